"""The emulator as a running server: in a thread of this process for tests and demos, or in the foreground."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halocline.emulator.app import Door
from halocline.emulator.apps import ConnectedApp
from halocline.emulator.clock import Clock
from halocline.emulator.database import StoreInUseError
from halocline.emulator.doors.addresses import Addresses
from halocline.emulator.doors.serving import Listeners, Serving
from halocline.emulator.org import EmulatorConfig, Org
from halocline.emulator.query import prepare
from halocline.emulator.schema_files import load_catalog
from halocline.emulator.sessions import Login
from halocline.emulator.signals import heard
from halocline.emulator.snapshot import Snapshot
from halocline.emulator.standing import ensure_org
from halocline.emulator.store import Store
from halocline.emulator.writing import Writer

if TYPE_CHECKING:
    import socket

    from halocline.emulator.calls import CallLog
    from halocline.emulator.doors.certificates import Certificates
    from halocline.emulator.faults import Faults
    from halocline.emulator.locks import Locks

__all__ = ["ConnectedApp", "Emulator", "EmulatorConfig", "Login", "StoreInUseError", "run_forever"]

_VERSION = "67.0"  # of the records that `query` returns
_ON_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a client here goes when every address is listened on


class Emulator:
    """A Salesforce of its own, from `start` to `stop`; also a context manager.

    Once made it can be seeded; its addresses are known only after `start`. It is started once.
    Raises: StoreInUseError where another emulator has the store's file.
    """

    def __init__(self, config: EmulatorConfig | None = None, *, clock: Clock | None = None) -> None:
        self.config = config or EmulatorConfig()
        self.store = Store(load_catalog(self.config.schemas), self.config.path, clock=clock)
        try:
            ensure_org(self.store)
            self.org = Org(self.store, self.config)
        except BaseException:
            self.store.close()
            raise
        self._door = Door(self.org)
        self._checkpoint: Snapshot | None = None
        self._own_folder: Path | None = None
        self._doors: tuple[Listeners, Certificates | None] | None = None
        self._serving: Serving | None = None

    @property
    def clock(self) -> Clock:
        """The org's clock: move it, and the server's time moves."""
        return self.org.clock

    @property
    def calls(self) -> CallLog:
        """What clients asked."""
        return self.org.calls

    @property
    def faults(self) -> Faults:
        """What goes wrong on order."""
        return self.org.faults

    @property
    def locks(self) -> Locks:
        """Records that somebody else is working on."""
        return self.org.locks

    @property
    def addresses(self) -> Addresses:
        """Where it can be reached.
        Raises: RuntimeError before `start` and after `stop`.
        """
        if self.org.addresses is None:
            raise RuntimeError("the emulator is not running")
        return self.org.addresses

    @property
    def url(self) -> str:
        """Where the plain door is, without a slash at the end.
        Raises: RuntimeError before `start` and after `stop`.
        """
        return self.addresses.url

    @property
    def https_url(self) -> str:
        """Where the https door is, without a slash at the end.
        Raises: RuntimeError if it is shut.
        """
        return _open(self.addresses.https_url, "https")

    @property
    def proxy_url(self) -> str:
        """Where the proxy is.
        Raises: RuntimeError if it is shut.
        """
        return _open(self.addresses.proxy_url, "proxy")

    @property
    def ca_file(self) -> Path:
        """The certificate authority that clients of the https door and the proxy have to trust (PEM).
        Raises: RuntimeError if the https door is shut.
        """
        return Path(_open(self.addresses.ca_file, "https"))

    def environment(self, host: str | None = None) -> dict[str, str]:
        """The variables that lead a client's process here: see `Addresses.environment`."""
        return self.addresses.environment(host)

    def bind(self) -> Emulator:
        """Take the ports, and answer nobody yet: until `start` connections are refused. Harmless when repeated.

        So a port that is taken is known before the org is filled, and whoever waits for the port finds the org filled.
        Raises: OSError if a port is taken, or the authority of the https door has no folder.
        """
        self._bound()
        return self

    def start(self) -> Emulator:
        """Open the doors. Returns when the first request can be sent.
        Raises: OSError as `bind`, or if another process listens on a port since.
        """
        listeners, trusted = self._bound()
        try:
            listeners.listen()
            self.org.addresses = _addresses(listeners, self.config, trusted)
            self._serving = Serving(self._door, listeners, trusted.context if trusted else None)
            self._serving.start()
        except BaseException:
            listeners.close()
            self._doors = self.org.addresses = None
            raise
        return self

    def stop(self) -> None:
        """Close every connection, stop jobs, close the store. Harmless when repeated."""
        if self._serving is not None:
            self._serving.stop()
        if self._doors is not None:
            self._doors[0].close()
        self._serving = self._doors = self.org.addresses = None
        self.org.close()
        self.store.close()
        if self._checkpoint is not None:
            self._checkpoint.close()
        if self._own_folder is not None:
            shutil.rmtree(self._own_folder, ignore_errors=True)

    def seed(self, counts: Mapping[str, int], *, number: int = 0, years: float = 2.0) -> dict[str, int]:
        """Make believable records, `{"Account": 1000}`, and say how many there are; the same `number` makes the same ones.
        Raises: ValueError for an object that the org does not have.
        """
        from halocline.emulator.seed import seed  # pyarrow is only wanted on the bulk paths

        return seed(self.store, counts, number=number, years=years)

    def create(self, sobject: str, record: Mapping[str, object]) -> str:
        """Add a record as the API user would, with all checks, and return its id.
        Raises: ApiError in Salesforce's words.
        """
        return Writer(self.org, self.org.api_user_id).insert(self.org.sobject(sobject), record)

    def query(self, soql: str, *, all_rows: bool = False) -> list[dict[str, object]]:
        """All records that a query finds, as REST writes them, without `attributes`; with `all_rows` the recycle bin too.
        Raises: ApiError in Salesforce's words; ValueError for `SELECT COUNT()`, which has no records.
        """
        found = prepare(self.org.view, soql, all_rows=all_rows, user_id=self.org.api_user_id)
        if found.is_count:
            raise ValueError("COUNT() answers no records: count a field, as in SELECT COUNT(Id) FROM Account")
        return [_plain(record) for record in found.records(_VERSION, 0, found.total_size())]

    def checkpoint(self) -> None:
        """Keep the records as they are now for `reset`. The copy is held in memory."""
        if self._checkpoint is not None:
            self._checkpoint.close()
        self._checkpoint = Snapshot(self.store)

    def reset(self) -> None:
        """Be as at the checkpoint again: records, sessions, jobs, faults, calls, limits, clock. Addresses stay.

        Clients of before are shut out first: what they still send, or have sent and not written yet, is refused (401).
        Raises: RuntimeError if there is no checkpoint.
        """
        if self._checkpoint is None:
            raise RuntimeError("there is nothing to go back to: call checkpoint() first")
        before = self.org
        before.end()
        self._checkpoint.restore(self.store)
        self.clock.freeze(None)
        self.org = Org(self.store, self.config)
        self.org.addresses = before.addresses
        self._door.org = self.org

    def _bound(self) -> tuple[Listeners, Certificates | None]:
        if self._doors is None:
            config = self.config
            https, proxy = config.https_port if config.https else None, config.proxy_port if config.proxy else None
            listeners = Listeners.bound(config.host, http=config.port, https=https, proxy=proxy)
            try:
                self._doors = listeners, self._certificates() if config.https else None
            except BaseException:
                listeners.close()
                raise
        return self._doors

    def _certificates(self) -> Certificates:
        from halocline.emulator.doors.certificates import certificates

        config = self.config
        beside_store = None if config.path is None else config.path.with_name(f"{config.path.name}-ca")
        return certificates(config.ca_dir or beside_store or self._folder())

    def _folder(self) -> Path:
        """A private folder that outlives a reset."""
        self._own_folder = self._own_folder or Path(tempfile.mkdtemp(prefix="halocline-emulator-"))
        return self._own_folder

    def __enter__(self) -> Emulator:
        try:
            return self.start()
        except BaseException:
            self.stop()  # nobody else will: the block never begins
            raise

    def __exit__(self, *_failure: object) -> None:
        self.stop()


def run_forever(
    config: EmulatorConfig,
    *,
    on_bound: Callable[[Emulator], None] | None = None,
    on_ready: Callable[[Emulator], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then stop cleanly and return. Call it in the main thread.

    `on_bound` gets the emulator that has its ports and answers nobody yet, to seed it and to add faults: the first client finds
    them. `on_ready` gets the listening emulator, to print its address.
    Raises: OSError if a port is taken: before `on_bound`, but for one whose last connections were still ending then.
    """
    with heard() as wait, ExitStack() as ending:
        emulator = Emulator(config)
        ending.callback(emulator.stop)
        emulator.bind()
        if on_bound is not None:
            on_bound(emulator)
        emulator.start()
        if on_ready is not None:
            on_ready(emulator)
        wait()


def _addresses(listeners: Listeners, config: EmulatorConfig, trusted: Certificates | None) -> Addresses:
    return Addresses(
        url=f"http://{_authority(listeners.http)}",
        consumer_key=config.consumer_key,
        consumer_secret=config.consumer_secret,
        https_url=f"https://{_authority(listeners.https)}" if listeners.https else None,
        proxy_url=f"http://{_authority(listeners.proxy)}" if listeners.proxy else None,
        ca_file=str(trusted.ca_file.resolve()) if trusted else None,
    )


def _authority(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = _ON_THIS_MACHINE.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {key: _plain(one) for key, one in value.items() if key != "attributes"} if isinstance(value, dict) else value


def _open(address: str | None, door: str) -> str:
    if address is None:
        raise RuntimeError(f"the {door} door is shut: EmulatorConfig({door}=True) opens it")
    return address
