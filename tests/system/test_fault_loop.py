"""A sync that fails anywhere, in any way, is started once more, and nothing is lost, doubled, or left for a person to mend.

The short run tries one operation of each kind by three routes that differ in all that a route can differ in; each kind fails in
one of the ways by each route, and in all of them by the three. `make faults`, or `--long` here, tries every operation by every
route.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from halocline.batch import Position
from halocline.connector import Manifest
from halocline.connectors.duckdb import positions
from halocline.connectors.duckdb.destination import DuckDBUnit
from halocline.connectors.duckdb.tables import find
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.outcome import Counts
from halocline.testing.faults import Way
from tests.system.fault_loop import KINDS, PAGE_ROWS, Folder, Lake, Place, Route, Story, Tally, Warehouse, sampled
from tests.system.fault_seams import NETWORK
from tests.system.shell import Shell

pytestmark = pytest.mark.system

SOME = [
    Route("duckdb", "later", "stage", "hard"),
    Route("duckdb", "full", "rest", "soft"),
    Route("postgres", "later", "bulk", "soft"),
]
ALL = [
    *(
        Route(into, run, method, deletes)
        for into in ("duckdb", "postgres")
        for run in ("full", "later")
        for method, deletes in (("rest", "soft"), ("bulk", "hard"), ("stage", "soft" if run == "full" else "hard"))
    ),
    *(Route("files", run, "bulk", "hard") for run in ("full", "later")),
]
WAYS = list(Way)


def kinds_of(route: Route, way: Way) -> tuple[str, ...]:
    """The kinds of operations that are this route's own. Who dies leaves something else by each.

    Where one fails and the process lives on, the org's answers go through the same hands wherever rows go to: those of a full
    sync fail on the way into DuckDB, those of a later one on the way into PostgreSQL. And a database gets the same statements for
    rows by Bulk as for rows by REST.
    """
    if way is Way.DEATH:
        return KINDS
    answers = NETWORK if (route.into, route.run) in (("duckdb", "full"), ("postgres", "later")) else ()
    statements = ("sql",) if route.method != "bulk" else ()
    return ("file", "write", "ledger", *answers, *statements)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(EmulatorConfig(page_rows=PAGE_ROWS)) as running:
        running.checkpoint()
        yield running


@pytest.fixture
def story(request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path) -> Story:
    """The story of the test's `route`, begun."""
    route: Route = request.getfixturevalue("route")
    places: dict[str, Callable[[], Place]] = {
        "duckdb": Lake,
        "files": Folder,
        "postgres": lambda: Warehouse(request.getfixturevalue("server"), tmp_path),
    }
    place = places[route.into]()
    made = Story(emulator, tmp_path, route, place)
    made.begin()
    return made


@pytest.mark.timeout(280)
@pytest.mark.parametrize("route", SOME, ids=str)
def test_a_sync_that_failed_somewhere_is_made_good_by_the_next(
    route: Route, story: Story, record_property: Callable[[str, object], None]
) -> None:
    """An operation of every kind is refused, or its reply lost, or the process killed at it."""
    tally = Tally(f"fault loop {route} in each way at some")
    for number, way in enumerate(WAYS):
        kinds = KINDS[(number + SOME.index(route)) % len(WAYS) :: len(WAYS)]
        for kind, at in sampled(story, way, kinds=kinds):
            story.trial(tally, way=way, at=at, kinds=(kind,))
    assert set(tally.points) >= set(KINDS) - set(NETWORK), "only how often a job is looked at differs"
    tally.say(record_property)


@pytest.mark.parametrize("route", [Route("postgres", "later", "stage", "soft")], ids=str)
def test_a_process_that_is_killed_is_made_good_by_the_next(
    route: Route, story: Story, typed: Shell, record_property: Callable[[str, object], None]
) -> None:
    """The same with real processes and real SIGKILLs, at some of all moments; `test_kill.py` does so with DuckDB."""
    tally = Tally(f"fault loop {route} {'SIGKILL':10} at some")
    story.killed_for_good(tally, typed, moments=4)
    assert tally.points["process"] >= 3
    tally.say(record_property)


@pytest.mark.parametrize("route", [Route("duckdb", "later", "rest", "hard")], ids=str)
def test_the_loop_sees_a_position_that_is_stored_before_its_rows(
    story: Story, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A destination with that defect loses the changes when the process dies in between: the loop is no mere ceremony."""
    commit = DuckDBUnit.commit

    def hasty(self: DuckDBUnit, following: Mapping[str, Position], manifests: Sequence[Manifest]) -> Counts:
        with self._database.transaction() as cursor:
            for load in self._loads.values():
                table = find(cursor, self._database, target=load.target)
                for flow, position in following.items():
                    positions.write(self._database, cursor, lease=self._lease, flow=flow, table=table, position=position)
        return commit(self, following, manifests)

    monkeypatch.setattr(DuckDBUnit, "commit", hasty)
    told = [moment.name for moment in story.moments(Way.DEATH) if moment.kind == "sql"]
    stored = next(at for at, sql in enumerate(told, start=1) if sql.startswith("INSERT") and "position = excluded" in sql)
    tally = Tally(f"fault loop {route} with a defect")
    story.trial(tally, way=Way.DEATH, at=stored + 1, kinds=("sql",))
    assert told[stored] == "COMMIT"
    assert tally.lost > 10


EACH = [
    ("every sixth reply lost", Way.LOST, "request", Route("duckdb", "later", "bulk", "soft")),
    ("disk full at every sixth write", Way.ERROR, "write", Route("postgres", "full", "bulk", "soft")),
    ("disk fails at every sixth write", Way.LOST, "write", Route("postgres", "full", "bulk", "soft")),
    ("disk fails at every sixth file", Way.LOST, "file", Route("duckdb", "full", "rest", "soft")),
]


@pytest.mark.parametrize(("told", "way", "kind", "route"), EACH, ids=[told.replace(" ", "-") for told, *_ in EACH])
def test_each_operation_of_a_kind_may_fail(
    told: str, way: Way, kind: str, route: Route, story: Story, record_property: Callable[[str, object], None]
) -> None:
    """A sixth of Salesforce's replies is lost, one at a time; the disk is full, or fails, at a sixth of all writes and files."""
    tally = Tally(f"fault loop {route} {told}")
    story.every(tally, way=way, kinds=(kind,), step=6)
    assert set(tally.points) == {kind}
    tally.say(record_property)


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("way", list(Way), ids=lambda way: way.name.lower())
@pytest.mark.parametrize("route", ALL, ids=str)
def test_there_is_no_operation_at_which_a_fault_does_harm(
    route: Route, way: Way, story: Story, record_property: Callable[[str, object], None]
) -> None:
    """Every operation of the route; what is the same by another route fails there."""
    tally = Tally(f"fault loop {route} {way:10} at all ")
    story.every(tally, way=way, kinds=kinds_of(route, way))
    tally.say(record_property)
