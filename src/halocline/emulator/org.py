"""One running org: its settings, and all that its requests share."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from halocline.emulator.apps import Apps, ConnectedApp
from halocline.emulator.authorization import Codes
from halocline.emulator.bulk1.jobs import Jobs as ClassicJobs
from halocline.emulator.bulk2.jobs import Jobs
from halocline.emulator.calls import CallLog
from halocline.emulator.errors import not_found
from halocline.emulator.faults import Faults
from halocline.emulator.faults.late import LateCommits
from halocline.emulator.incoming import Checks
from halocline.emulator.limits import Limits
from halocline.emulator.locks import Locks
from halocline.emulator.names import several, unknown
from halocline.emulator.objects import Catalog, SObject
from halocline.emulator.readings import Readings
from halocline.emulator.record_types import ensure_record_types
from halocline.emulator.rest import Cursors
from halocline.emulator.rules import Rules
from halocline.emulator.sessions import Login, Sessions
from halocline.emulator.standing import API_USERNAME, known_object
from halocline.emulator.tooling import TOOLS, Tooling
from halocline.emulator.turn import Turn

if TYPE_CHECKING:
    from halocline.emulator.doors.addresses import Addresses
    from halocline.emulator.store import Store


@dataclass(frozen=True, slots=True)
class EmulatorConfig:
    """Settings of an emulator; every one has a default that a client can work with.

    `port` 0 takes a free one, as the other doors' ports do: `https` opens a door with a certificate of the emulator's own
    authority, `proxy` one that leads `*.salesforce.com` to the https door. The authority is kept in `ca_dir`, else beside the
    store's file, else not at all. `path` is the store's file, None a private one that vanishes at the end; `schemas` are YAML
    files with custom objects and added fields. `consumer_key`, `consumer_secret`, `public_keys` (PEM texts of certificates or
    public keys for the JWT flow; with none, no assertion is good) and `rotate_refresh_tokens` make the default connected app,
    `apps` are more of them. `refresh_tokens` belong to the API user. `password_flow` and `soap_login` say whether the org lets
    anybody in that way. `identity_host` is where identity URLs lead; None takes the login host for clients that use Salesforce's
    names, and the emulator's own for others. `expire_after` ends a session after so many requests, `expire_after_s` after so
    many seconds. `page_size` is the REST default, `page_rows` Bulk's. A Bulk job takes at least `job_ms`, and
    `job_ms_per_10k` for every 10,000 records. `hard_delete` is the API user's right to it, `bulk_upload_bytes` the most that an
    upload may have after base64.
    `limit_info` is `plain`, `per-app` or `off`; `bulk_charset` is appended to `text/csv` if set; the last page of a Bulk 2.0
    result says `null` for its locator, or with `bulk_locator` `missing` nothing. API versions from `oldest_version` to
    `newest_version` are served; older ones are retired. The `enforce_` switches let
    records without required fields, with values of unique fields that are taken, or with duplicates pass. A write waits
    `lock_wait_s` for a locked record, where Salesforce waits ten seconds.
    """

    host: str = "127.0.0.1"
    port: int = 0
    https: bool = False
    https_port: int = 0
    proxy: bool = False
    proxy_port: int = 0
    ca_dir: Path | None = None
    path: Path | None = None
    schemas: tuple[Path, ...] = ()
    consumer_key: str = "halocline-consumer-key"
    consumer_secret: str = "halocline-consumer-secret"  # noqa: S105  # a published default, for laptops
    users: tuple[Login, ...] = (Login(API_USERNAME, "halocline"),)
    refresh_tokens: tuple[str, ...] = ()
    public_keys: tuple[str, ...] = ()
    apps: tuple[ConnectedApp, ...] = ()
    identity_host: str | None = None
    password_flow: bool = True
    soap_login: bool = True
    rotate_refresh_tokens: bool = False
    expire_after: int | None = None
    expire_after_s: float | None = None
    page_size: int = 2_000
    page_rows: int = 50_000
    job_ms: int = 0
    job_ms_per_10k: int = 0
    hard_delete: bool = True
    bulk_upload_bytes: int = 150_000_000
    max_cursors: int = 10
    daily_api_requests: int = 100_000
    daily_query_jobs: int = 10_000
    limit_info: str = "plain"
    bulk_charset: str | None = None
    bulk_locator: str = "null"
    oldest_version: int = 31
    newest_version: int = 67
    enforce_required: bool = True
    enforce_unique: bool = True
    enforce_duplicate_rules: bool = True
    lock_wait_s: float = 0.0

    def __post_init__(self) -> None:
        """Raises: ValueError for a proxy without the https door that it leads to, and for versions out of order."""
        if self.proxy and not self.https:
            raise ValueError("the proxy needs the https door: TLS ends there")
        if not self.oldest_version <= self.newest_version:
            raise ValueError(f"version {self.oldest_version} is not older than {self.newest_version}")
        if self.bulk_locator not in ("null", "missing"):
            raise ValueError(f"bulk_locator is null or missing, not {self.bulk_locator}")


class Org:
    """The state behind the doors. Requests run in threads; each part guards itself."""

    def __init__(self, store: Store, config: EmulatorConfig) -> None:
        self.store = store
        self.config = config
        self.clock = store.clock
        self.apps = Apps([_default_app(config), *config.apps])
        self.codes = Codes()
        self.folder = Path(tempfile.mkdtemp(prefix="halocline-emulator-"))
        self.sessions = Sessions(self.clock, expire_after=config.expire_after, expire_after_s=config.expire_after_s)
        self.limits = Limits(daily_api_requests=config.daily_api_requests, daily_query_jobs=config.daily_query_jobs)
        self.calls = CallLog()
        self.addresses: Addresses | None = None  # known while the doors are open
        self.faults = Faults(self._let_go, check_object=self._check_object)
        self.late = LateCommits(store)
        self.cursors = Cursors(self.folder, most=config.max_cursors)
        self.jobs = Jobs(self.folder, self.clock)
        self.bulk1 = ClassicJobs(self)
        self.tooling = Tooling(self.clock)
        self._hidden: frozenset[str] = frozenset()
        self._view = store
        self._guard = Lock()
        self.shaped_at = self.now()  # when the API user last came to see other objects or fields
        self.readings = Readings()
        self.checks = Checks(store, required=config.enforce_required)
        self.rules = Rules(store, unique=config.enforce_unique, duplicates=config.enforce_duplicate_rules)
        self.locks = Locks(self.clock, wait_s=config.lock_wait_s)
        self.writing = Turn()
        self.org_id = self._first_id("Organization")
        self._ensure_users()
        ensure_record_types(store)
        self.api_user_id = self._user_or_first(config.users[0].username if config.users else API_USERNAME)
        for token in config.refresh_tokens:
            self.sessions.grant_refresh(self.api_user_id, token)

    @property
    def catalog(self) -> Catalog:
        """The objects and fields that the API user may see."""
        return self._view.catalog

    @property
    def view(self) -> Store:
        """The store as the API user may query it: hidden objects and fields do not exist."""
        return self._view

    @property
    def hidden(self) -> frozenset[str]:
        """What is hidden, as `object` or `object.field` in lower case."""
        return self._hidden

    def over(self, store: Store) -> Org:
        """The same org, whose queries see another store."""
        other = copy.copy(self)
        other._view = store
        return other

    def hide(self, names: Iterable[str]) -> None:
        """Take the right to see these objects (`Account`) or fields (`Account.Rating`) away, beside what is hidden already.
        Raises: ValueError for a name that the org does not have, and then nothing is hidden.
        """
        self._set_hidden(self._hidden | self._known(names))

    def show(self, names: Iterable[str] | None = None) -> None:
        """Give the right back, for all when none is named.
        Raises: ValueError as `hide`.
        """
        self._set_hidden(frozenset() if names is None else self._hidden - self._known(names))

    def sobject(self, name: str) -> SObject:
        """The object of that name in any case.
        Raises: ApiError(404, NOT_FOUND) if there is none that the user may see.
        """
        found = self.catalog.get(name)
        if found is None:
            raise not_found()
        return found

    def user_id(self, username: str) -> str | None:
        """The id of the user with that name, or None."""
        rows = self.store.find(self._standard("User"), "Username", username)
        return cast("str", rows[0]["Id"]) if rows else None

    def user(self, user_id: str) -> dict[str, Any]:
        """The record of a user."""
        return self.store.get(self._standard("User"), user_id) or {"Id": user_id}

    def username(self, user_id: str) -> object:
        """The login name of a user."""
        return self.user(user_id).get("Username")

    def organization(self) -> dict[str, Any]:
        """The org's own record."""
        return self.store.get(self._standard("Organization"), self.org_id) or {"Id": self.org_id}

    @property
    def is_sandbox(self) -> bool:
        """Whether the org calls itself a sandbox."""
        return bool(self.organization().get("IsSandbox"))

    def now(self) -> datetime:
        """The org's time."""
        return self.clock.now()

    def end(self) -> None:
        """End every session, stop all jobs, and wait for writes that are under way: from then on nothing writes as this org.

        The store is untouched.
        """
        self.sessions.end_all()
        self.close()
        self.writing.end()

    def close(self) -> None:
        """Stop jobs, drop spooled results. The store is closed by its owner."""
        self.late.close()
        self.jobs.close()
        self.tooling.close()
        self.bulk1.close()
        self.cursors.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _let_go(self, rule_id: str) -> None:
        """What a fault's rule held back goes on."""
        self.late.let_go(rule_id)
        self.jobs.let_go(rule_id)
        self.bulk1.let_go(rule_id)

    def _known(self, names: Iterable[str]) -> set[str]:
        """Names of objects and fields of the org, in small letters."""
        found = several(names)
        for name in found:
            sobject_name, dot, field_name = name.partition(".")
            sobject = known_object(self.store.catalog, sobject_name)
            if dot and sobject.field(field_name) is None:
                raise unknown(f"field of {sobject.name}", field_name, known=[field.name for field in sobject.fields.values()])
        return {name.lower() for name in found}

    def _check_object(self, name: str) -> None:
        """Raises: ValueError for an object that neither the org has nor its Tooling API, so that no request is about it."""
        if name.lower() not in {one.lower() for one in TOOLS}:
            known_object(self.store.catalog, name)

    def _set_hidden(self, hidden: frozenset[str]) -> None:
        with self._guard:
            self._hidden = hidden
            self.shaped_at = self.now()
            self._view = _narrowed(self.store, hidden) if hidden else self.store

    def _standard(self, name: str) -> SObject:
        found = self.store.catalog.get(name)
        if found is None:
            raise ValueError(f"the schemas define no {name}")
        return found

    def _first_id(self, name: str) -> str:
        from halocline.emulator.query import prepare

        rows = prepare(self.store, f"SELECT Id FROM {name} ORDER BY CreatedDate, Id LIMIT 1", all_rows=False).records(
            "67.0", 0, 1
        )
        if not rows:
            raise ValueError(f"the store holds no {name}")
        return cast("str", rows[0]["Id"])

    def _user_or_first(self, username: str) -> str:
        return self.user_id(username) or self._first_id("User")

    def _ensure_users(self) -> None:
        for login in self.config.users:
            if self.user_id(login.username) is None:
                users = self._standard("User")
                values = {name: value for name, value in _new_user(login.username).items() if users.field(name)}
                self.store.insert(users, values, user_id=self._first_id("User"))


def _new_user(username: str) -> dict[str, object]:
    name = username.partition("@")[0]
    return {"Username": username, "LastName": name, "Alias": name[:8], "Email": username, "IsActive": True}


def _narrowed(store: Store, hidden: frozenset[str]) -> Store:
    """The same store behind a smaller catalog; it shares connections, locks and files with the whole one."""
    view = copy.copy(store)
    view.catalog = Catalog([_without(s, hidden) for s in store.catalog if s.name.lower() not in hidden])
    return view


def _without(sobject: SObject, hidden: frozenset[str]) -> SObject:
    prefix = sobject.name.lower()
    return replace(sobject, fields={key: field for key, field in sobject.fields.items() if f"{prefix}.{key}" not in hidden})


def _default_app(config: EmulatorConfig) -> ConnectedApp:
    """Raises: ValueError if one of the keys is neither a certificate nor a public key."""
    return ConnectedApp(
        config.consumer_key,
        config.consumer_secret,
        certificates=config.public_keys,
        secret_required=False,
        rotate_refresh_tokens=config.rotate_refresh_tokens,
    )
