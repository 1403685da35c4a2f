"""`halocline demo`: everything on this laptop - a Salesforce, a first sync, edits, a sync of just those, and rows pushed back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from halocline.cli.answer import err, out, told
from halocline.errors import Stop
from halocline.quantity import quantity
from halocline.spool import WHERE_NAMED, storage

if TYPE_CHECKING:
    from halocline.cli.progress import ProgressBar
    from halocline.connector import Plan
    from halocline.connectors.salesforce import SalesforceClient
    from halocline.pipeline import SyncResult
    from halocline.run import Run
    from halocline.sync import IntelligentSync

SEED = {"Account": 60_000, "Contact": 5_000, "Opportunity": 500}
EDITS, DELETIONS, INSERTS = 40, 5, 7  # per object
PROSPECTS, PUSHED_EDITS, BAD = 300, 40, 17  # rows of a table that are pushed, how many are edited then, and which is made bad
_KEY = "Lake_Key__c"
_SHAPE = f"object: Account\nfields: {{{_KEY}: {{type: string(20) external unique}}}}\n"  # what this org has beyond the standard
_START_S = 60.0  # seconds to wait for the emulator to have seeded and opened its door
_EDIT = {"Account": "Description", "Contact": "Description", "Opportunity": "Description"}
_NEW: dict[str, dict[str, object]] = {
    "Account": {"Name": "Halocline Demo Ltd", "Industry": "Energy"},
    "Contact": {"LastName": "Demo"},
    "Opportunity": {"Name": "A new deal", "StageName": "Prospecting", "CloseDate": "2030-01-31"},
}


@dataclass(frozen=True, slots=True)
class _Row:
    """One object's two syncs, for the summary."""

    name: str
    first: Run
    later: Run
    in_org: int
    in_table: int


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its files; made anew each time.")] = Path("halocline-demo"),
) -> None:
    """See it work: an emulated Salesforce on this laptop, synced into a DuckDB file, in full, then what changed; and back."""
    from halocline.cli.progress import ProgressBar

    with told(as_json=False):
        began = time.monotonic()
        lake = _fresh(folder)
        out.print(f"[bold]1. A Salesforce on this laptop[/] with {', '.join(f'{name}: {n:,}' for name, n in SEED.items())}")
        with _emulator() as door, ProgressBar(err, quiet=not err.is_terminal) as bar:
            out.print(f"   it listens on {door['url']} (any Salesforce client may log in)")
            _walk(lake, folder, door, bar, began)


def _walk(lake: Path, folder: Path, door: Mapping[str, str], bar: ProgressBar, began: float) -> None:
    from halocline.config import Settings
    from halocline.connectors.salesforce import ClientCredentialsAuthenticator, SalesforceClient
    from halocline.sync import IntelligentSync

    login = ClientCredentialsAuthenticator(door["client_id"], door["client_secret"], login_url=door["url"])
    settings = Settings(home=folder)
    with SalesforceClient(login.authenticate()) as client:
        with IntelligentSync(f"duckdb:///{lake}", login, settings=settings, sink=bar.sink) as system:
            rows = _carry(system, client, lake)
        _summary(rows)
        _hold_to_account(rows)
        _push_back(lake, folder, client, bar)
    _where(lake, folder, time.monotonic() - began)


def _carry(system: IntelligentSync, client: SalesforceClient, lake: Path) -> list[_Row]:
    """A sync of everything, edits, and a sync of those."""
    out.print("\n[bold]2. First sync[/]: everything, and the way chosen by volume")
    first = {name: _sync(system, name) for name in SEED}
    out.print(
        f"\n[bold]3. Life goes on[/]: {EDITS} edits, {DELETIONS} deletions, {INSERTS} new records of each, through the REST API"
    )
    for name in SEED:
        _live(client, name)
    out.print("\n[bold]4. Later sync[/]: only what changed")
    later = {name: _sync(system, name) for name in SEED}
    return [_Row(n, first[n], later[n], client.count(n), _count(lake, n)) for n in SEED]


def _fresh(folder: Path) -> Path:
    """The demo's database file in an empty folder; only files that a demo made are removed."""
    marker = folder / ".halocline-demo"
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise Stop("Making the demo folder", f"{folder} exists and is not a demo's", hint="Name another with --folder.")
    shutil.rmtree(folder, ignore_errors=True)
    with storage(f"Making the demo folder {folder}", hint="Name another with --folder.", room=WHERE_NAMED):
        folder.mkdir(parents=True)
        marker.touch()
    return folder.resolve() / "lake.duckdb"


@contextmanager
def _emulator() -> Iterator[Mapping[str, str]]:
    """An emulator in a process of its own, ended with the block; gives its address and a login."""
    seed = ",".join(f"{name}={count}" for name, count in SEED.items())
    command = [sys.executable, "-m", "halocline", "emulator", "--port", "0", "--no-https", "--no-proxy", "--seed", seed, "--json"]
    with tempfile.TemporaryDirectory(prefix="halocline-demo-") as home:  # nobody else is to find this emulator
        shape = Path(home) / "shape.yaml"
        shape.write_text(_SHAPE, encoding="utf-8")
        command += ["--schema", str(shape)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HALOCLINE_HOME": home}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603 - our own command
            try:
                yield _announced(process)
            finally:
                process.terminate()
                process.wait(timeout=_START_S)


def _announced(process: subprocess.Popen[str]) -> Mapping[str, str]:
    """What the emulator says once it listens."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise Stop("Starting the emulator", f"it ended with code {process.wait()}", hint="Its own words are above.")
    answer: Mapping[str, str] = json.loads(line)
    return answer


def _sync(system: IntelligentSync, name: str) -> Run:
    from halocline.run import Run
    from halocline.sync import SobjectSync

    run = system.run(SobjectSync(name, "main", name), Run.new())
    assert run.plan is not None, "a run that ended well has a plan"
    assert run.counts is not None, "and counts"
    read, calls = quantity(run.rows_read, "row"), quantity(run.api_calls, "API call")
    moved = f"{read} read, {run.counts.changed:,} changed, {calls}, {run.elapsed_s:.1f} s"
    out.print(f"   {name:<12} [green]{run.plan.method:<28}[/] {moved}")
    out.print(f"   {'':<12} {_why(run.plan)}", style="dim", markup=False)
    return run


def _why(plan: Plan) -> str:
    """The reason for the way, or, for a later sync, for the window."""
    return next((reason for reason in plan.reasons if plan.full and reason.startswith("About")), plan.reasons[0])


def _live(client: SalesforceClient, name: str) -> None:
    ids = [str(r["Id"]) for r in client.query(f"SELECT Id FROM {name} ORDER BY Id LIMIT {EDITS + DELETIONS}")]
    path = f"sobjects/{name}"
    for record_id in ids[:EDITS]:
        client.transport.send("PATCH", f"{path}/{record_id}", json={_EDIT[name]: "edited by the demo"}, accept=(204,))
    for record_id in ids[EDITS:]:
        client.transport.send("DELETE", f"{path}/{record_id}", accept=(204,))
    for _ in range(INSERTS):
        client.transport.send("POST", path, json=_NEW[name], accept=(201,), safe=False)


def _push_back(lake: Path, folder: Path, client: SalesforceClient, bar: ProgressBar) -> None:
    """Rows of a table go into Salesforce by a key of ours; then some are edited, one of them badly, and go again.

    Raises: Stop when something else was written or refused than that.
    """
    from halocline.config import Settings
    from halocline.pipeline import SyncPipeline
    from halocline.rows.query import Query

    out.print(f"\n[bold]5. Push back[/]: {PROSPECTS} prospects of a table in DuckDB become Accounts, by {_KEY}")
    _in_lake(
        lake,
        f"CREATE TABLE prospects AS SELECT i AS number, 'P-' || i AS \"{_KEY}\", 'Prospect ' || i AS \"Name\", "
        f'10 * i AS "NumberOfEmployees" FROM range({PROSPECTS}) AS made(i)',
    )
    source = Query(f"duckdb:///{lake}", "SELECT * EXCLUDE (number) FROM prospects ORDER BY number")
    told: dict[str, Any] = {"mode": "upsert", "external_id_field": _KEY, "flow": "prospects", "diff": True}
    pipeline = SyncPipeline(client, "Account", settings=Settings(home=folder), sink=bar.sink, **told)
    first = _pushed(pipeline.sync(source))
    out.print(f"   then {PUSHED_EDITS} are edited in the table, one of them loses its name, and only those go")
    _in_lake(lake, f'UPDATE prospects SET "NumberOfEmployees" = 7 WHERE number < {PUSHED_EDITS}')
    _in_lake(lake, f'UPDATE prospects SET "Name" = NULL WHERE number = {BAD}')
    later = _pushed(pipeline.sync(source))
    for error in later.errors:
        out.print(f"   row {error['row']}: {error['code']}: {error['message']}", style="yellow", markup=False)
    found = (first.success_count, later.success_count, [error["row"] for error in later.errors])
    if found != (PROSPECTS, PUSHED_EDITS - 1, [BAD]) or client.count("Account", f"{_KEY} LIKE 'P-%'") != PROSPECTS:
        raise Stop("Checking the demo", f"the pushes ended with {found}, or Salesforce holds other prospects than were pushed")


def _in_lake(lake: Path, sql: str) -> None:
    import duckdb

    with duckdb.connect(str(lake)) as connection:
        connection.execute(sql)


def _pushed(result: SyncResult) -> SyncResult:
    told = result.metadata
    rows = f"{told['created']:,} created, {told['updated']:,} updated, {result.error_count:,} refused, "
    rows += f"{told['unchanged']:,} unchanged"
    moved = f"{rows}, {quantity(told['api_calls'], 'API call')}, {told['elapsed_seconds']:.1f} s"
    out.print(f"   {'Account':<12} [green]{'upsert by ' + told['api']:<28}[/] {moved}")
    return result


def _count(lake: Path, name: str) -> int:
    import duckdb

    with duckdb.connect(str(lake), read_only=True) as connection:
        found = connection.execute(f'SELECT count(*) FROM main."{name}" WHERE NOT "IsDeleted"').fetchone()
    return int(found[0]) if found else 0


def _summary(rows: list[_Row]) -> None:
    from rich.table import Table

    table = Table(title="\nWhat moved", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading in ("object", "first sync", "then", "inserted", "updated", "deleted", "in Salesforce", "in DuckDB"):
        table.add_column(heading, justify="left" if heading in ("object", "first sync", "then") else "right")
    for row in rows:
        counts = row.later.counts
        assert counts is not None, "a run that ended well has counts"
        assert row.first.plan is not None, "and a plan"
        assert row.later.plan is not None, "each of them"
        moved = (f"{counts.inserted:,}", f"{counts.updated:,}", f"{counts.deleted:,}")
        table.add_row(row.name, row.first.plan.method, row.later.plan.method, *moved, f"{row.in_org:,}", f"{row.in_table:,}")
    out.print(table)


def _where(lake: Path, folder: Path, elapsed_s: float) -> None:
    import duckdb

    query = (
        'SELECT "Industry", count(*) AS accounts FROM "Account" WHERE "Industry" IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 5'
    )
    out.print(f"\n[bold]Look at it[/] ({elapsed_s:.0f} s in all). The database is {escape(str(lake))}", soft_wrap=True)
    out.print(f"   {query}", markup=False)
    with duckdb.connect(str(lake), read_only=True) as connection:
        for industry, accounts in connection.execute(query).fetchall():
            out.print(f"   {industry:<24} {accounts:>8,}", markup=False)
    program = f"{sys.executable} -m halocline" if sys.argv[0].endswith("__main__.py") else sys.argv[0]
    out.print(f"   What ran: HALOCLINE_HOME={folder} {program} runs", markup=False)
    out.print(f"   What was refused, row by row: HALOCLINE_HOME={folder} {program} errors last", markup=False)


def _hold_to_account(rows: list[_Row]) -> None:
    """A demo that moved something else than the edits has failed.

    Raises: Stop.
    """
    expected = (INSERTS, EDITS, DELETIONS)
    for row in rows:
        counts = row.later.counts
        found = (counts.inserted, counts.updated, counts.deleted) if counts else (0, 0, 0)
        if found != expected or row.in_org != row.in_table:
            raise Stop("Checking the demo", f"{row.name} moved {found}, not {expected}, or the two sides differ")
