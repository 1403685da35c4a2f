"""What a command works with: the sync system with the login of the environment, and the run that a person means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.errors import NotFound

if TYPE_CHECKING:
    from halocline.config import Settings
    from halocline.events import Sink
    from halocline.ledger import Ledger
    from halocline.outcome import RunRecord
    from halocline.push.destination import RowDestination
    from halocline.sync import IntelligentSync

_SEVERITY = (0, 3, 75, 2, 1)  # exit codes from mild to grave: several objects or runs end with the gravest
_LOOKED_THROUGH = 10_000  # runs, newest first, among which a name is looked up


def org(sink: Sink, *, quota_share: float | None) -> object:
    """The org that the environment describes: its login, or a client where something is said that a login does not hold.

    Raises: FixConfig when the environment describes no login.
    """
    from halocline.connectors.salesforce import SalesforceClient, from_env

    return from_env() if quota_share is None else SalesforceClient.from_env(sink=sink, quota_share=quota_share)


def settings_with(api_budget: int | None) -> Settings:
    """The settings of the environment, and the budget that the command line gives.

    Raises: FixConfig for a setting that cannot be read.
    """
    from halocline.config import Settings

    settings = Settings.from_env()
    return settings if api_budget is None else replace(settings, api_budget=api_budget)


@contextmanager
def intelligent_sync(
    to: str,
    sink: Sink,
    *,
    bulk_threshold: int | None,
    stage_threshold: int | None,
    quota_share: float | None,
    api_budget: int | None,
    wait_s: float = 0.0,
) -> Iterator[IntelligentSync]:
    """The system that syncs into `to`, from the org that the environment describes, while the block lasts.

    Raises: FixConfig as `org` and `settings_with`.
    """
    from halocline.connectors.salesforce import SalesforceClient
    from halocline.sync import IntelligentSync

    given = org(sink, quota_share=quota_share)
    try:
        with IntelligentSync(to, given, settings=settings_with(api_budget), sink=sink, wait_s=wait_s) as system:
            if bulk_threshold is not None:
                system.BULK_API_THRESHOLD = bulk_threshold
            if stage_threshold is not None:
                system.STAGE_THRESHOLD = stage_threshold
            yield system
    finally:
        if isinstance(given, SalesforceClient):
            given.close()  # a client that the system is given it does not close


@dataclass(frozen=True, slots=True)
class Pushing:
    """What a push works with beside its rows: the org that the environment describes, the ledger, the folder of all runs."""

    destination: RowDestination
    ledger: Ledger
    home: Path


@contextmanager
def pushing(sink: Sink, *, quota_share: float | None, api_budget: int | None = None) -> Iterator[Pushing]:
    """The org, logged in when it is first asked, and the ledger, while the block lasts.

    Raises: FixConfig when the environment describes no login.
    """
    from halocline import registry
    from halocline.several import company

    settings = settings_with(api_budget)
    with company(None, settings) as shared:
        client = registry.connect("salesforce", org(sink, quota_share=quota_share), sink=sink)
        try:
            yield Pushing(registry.open_rows(client, spend=shared.spend), shared.books, settings.home)
        finally:
            client.close()


def worst(codes: Sequence[int]) -> int:
    """The gravest of some exit codes; 0 for none."""
    return max(codes, key=_SEVERITY.index, default=0)


def the_rows(ledger: Ledger, start: str) -> RunRecord:
    """As `the_run`; in the place of a file's run the push of its rows, where they are booked."""
    record = the_run(ledger, start)
    if record.method != "file_job":
        return record
    from halocline.filejob.journal import steps_of

    pushed = steps_of(record).get("submit", {}).get("push")
    return ledger.get(pushed) if pushed else record


def the_run(ledger: Ledger, start: str) -> RunRecord:
    """The one run whose name begins so; the newest for `last`.

    Raises: NotFound where there is none, or more than one.
    """
    if start != "last":
        with suppress(NotFound):  # a whole name is looked up as it is, however far back the run is
            return ledger.get(start)
    records = ledger.runs(limit=1 if start == "last" else _LOOKED_THROUGH)
    found = records if start == "last" else [record for record in records if record.run.startswith(start)]
    if len(found) == 1:
        return found[0]
    cause = f"{len(found)} runs begin with {start!r}" if found else f"no run begins with {start!r}"
    if not records:
        raise NotFound("Looking up a run", "there are none yet", hint="`halocline sync`, `push` and `run` make one each.")
    raise NotFound("Looking up a run", cause, hint="`halocline runs` lists them.")
