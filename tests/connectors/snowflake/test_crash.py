"""A load that dies at any point leaves the old table with the old position, or the new with the new.

Of the statements of the transaction that publishes, each mode dies before every fourth, another fourth each, and a process is
killed before one mode's commit; `--long`: before all, and each before and after. Modes commit alike: a reply is lost to one.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from snowflake.connector.errors import OperationalError
from tests.connectors.duckdb.pages import FLOW, TARGET, plan, text_schema
from tests.connectors.snowflake.pages import Wire, leftovers, load, rows, table, written
from tests.connectors.snowflake.server import Server

from halocline.batch import Batch
from halocline.connector import Mode, Part
from halocline.connectors.snowflake.destination import SnowflakeDestination
from halocline.errors import LeaseLost, NetworkFailed
from halocline.schema import Column, Kind
from halocline.spool import Spool
from halocline.testing.destinations import NoJournal

_DRIVER = """
import os, signal, sys
from pathlib import Path
from halocline.batch import Batch
from halocline.connector import Mode, Part
from halocline.connectors.snowflake.destination import SnowflakeDestination
from halocline.spool import Spool
from tests.connectors.duckdb.pages import text_schema
from tests.connectors.snowflake.pages import Wire, load, written

uri, folder, mode, when = sys.argv[1], Path(sys.argv[2]), Mode(sys.argv[3]), sys.argv[4]
destination = SnowflakeDestination(uri, spool=Spool("child", folder))
wire = Wire(destination._database.connection)

def deadly(sql):
    if sql == "COMMIT" and any("_POSITIONS" in one and "done" in one for one in wire.statements):
        os.kill(os.getpid(), signal.SIGKILL)

setattr(wire, when, deadly)
load(destination, [Batch(raw=written(folder / "new.csv", text_schema(), [("1", "new"), ("2", "b")]))], text_schema(), mode=mode)
"""


class Death(BaseException):
    """The process is gone: not even what comes after an error is done."""


@pytest.fixture
def connection(server: Server, tmp_path: Path) -> Iterator[Any]:
    made = server.connect(server.database(tmp_path))
    yield made
    made.close()


def page(folder: Path, text: str) -> Batch:
    return Batch(raw=written(folder / f"{text}.csv", text_schema(), [("1", text), ("2", "b")]))


def opened(server: Server, folder: Path, name: str) -> tuple[SnowflakeDestination, Wire]:
    destination = SnowflakeDestination(server.uri(server.database(folder)), spool=Spool(name, folder))
    return destination, Wire(destination._database.connection)


def state(connection: Any) -> tuple[str, str]:
    """The text of the first row, and the position."""
    found = rows(connection, 'SELECT "POSITION" FROM "PUBLIC"."_HALOCLINE_POSITIONS" WHERE "TARGET" <> \'\'')
    return str(table(connection)[0]["TEXT"]), str(found[0][0]) if found else ""


def seeded(server: Server, folder: Path, connection: Any) -> None:
    destination, _ = opened(server, folder, "seed")
    load(destination, [page(folder, "old")], text_schema())
    destination.close()
    connection.cursor().execute('UPDATE "PUBLIC"."_HALOCLINE_POSITIONS" SET "POSITION" = \'{"old": 1}\' WHERE "TARGET" <> \'\'')


@pytest.mark.parametrize("mode", [Mode.MERGE, pytest.param(Mode.REPLACE, marks=pytest.mark.long)])
def test_a_load_that_dies_leaves_the_old_or_the_new(
    mode: Mode, server: Server, connection: Any, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Dead before any statement of the transaction, the old rows are there with the old position; the next run is right."""
    seeded(server, tmp_path, connection)
    step = 1 if pytestconfig.getoption("--long") else 4
    states, point = [], 1 + list(Mode).index(mode) % step - step
    while not states or states[-1][0] == "old":
        point += step
        destination, wire = opened(server, tmp_path, f"run{point}")
        wire.before = _deadly(wire, point)
        with suppress(Death):
            load(destination, [page(tmp_path, "new")], text_schema(), mode=mode)
        destination.close()
        states.append(state(connection))
    assert point - step >= 5, "the transaction has more than five statements"
    assert set(states[:-1]) == {("old", '{"old": 1}')}
    assert states[-1] == ("new", '{"done": true}')


def _deadly(wire: Wire, point: int) -> Callable[[str], None]:
    """Death before the `point`-th statement of the transaction that publishes, and before all that follow."""
    seen = 0

    def deadly(sql: str) -> None:
        nonlocal seen
        publishing = sql.startswith("DESCRIBE") and any(one.startswith("COPY") for one in wire.statements)
        seen += bool(seen) or publishing
        if seen >= point:
            raise Death

    return deadly


@pytest.mark.parametrize(
    ("mode", "when"),
    [
        (Mode.REPLACE, "before"),
        pytest.param(Mode.REPLACE, "after", marks=pytest.mark.long),
        pytest.param(Mode.MERGE, "before", marks=pytest.mark.long),
        pytest.param(Mode.MERGE, "after", marks=pytest.mark.long),
    ],
)
def test_a_commit_that_is_killed_is_whole_or_nothing(
    mode: Mode, when: str, server: Server, connection: Any, tmp_path: Path
) -> None:
    """A process killed just before its commit leaves the old rows with the old position, just after it the new with the new."""
    seeded(server, tmp_path, connection)
    command = [sys.executable, "-W", "ignore", "-c", _DRIVER, server.uri(server.database(tmp_path)), str(tmp_path), mode, when]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == -9, done.stderr
    assert state(connection) == (("old", '{"old": 1}') if when == "before" else ("new", '{"done": true}'))


@pytest.mark.parametrize("mode", [Mode.MERGE, pytest.param(Mode.REPLACE, marks=pytest.mark.long)])
def test_a_commit_whose_reply_is_lost_counts(mode: Mode, server: Server, connection: Any, tmp_path: Path) -> None:
    """What became of it is looked up: made, it is told as made; not made, the run fails and can be repeated."""
    seeded(server, tmp_path, connection)
    destination, wire = opened(server, tmp_path, "lost")

    def cut(sql: str) -> None:
        if sql == "COMMIT" and any("_POSITIONS" in one and "done" in one for one in wire.statements):
            wire.before = wire.after = lambda _: None
            raise OperationalError("connection reset by peer", errno=250003)

    wire.before = cut
    with pytest.raises(NetworkFailed, match="reset by peer"):
        load(destination, [page(tmp_path, "new")], text_schema(), mode=mode)
    assert state(connection) == ("old", '{"old": 1}')
    wire.statements.clear()
    wire.after = cut
    load(destination, [page(tmp_path, "new")], text_schema(), mode=mode)
    assert state(connection) == ("new", '{"done": true}')
    destination.close()
    assert leftovers(connection) == []


_WIDE = text_schema(Column("More", Kind.STRING))
_LOST = 'ALTER TABLE "RAW"."PAGE" DROP COLUMN "MORE"'
_RETYPED = 'ALTER TABLE "RAW"."PAGE" ADD COLUMN "MORE" NUMBER(10, 0)'


@pytest.mark.parametrize(
    ("mode", "altered"),
    [(Mode.MERGE, (_LOST,)), pytest.param(Mode.REPLACE, (_LOST,), marks=pytest.mark.long), (Mode.REPLACE, (_LOST, _RETYPED))],
)
def test_a_column_that_a_dead_run_made_is_lacking_still(
    mode: Mode, altered: tuple[str, ...], server: Server, connection: Any, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """As long as its values are gone the flow is told so, and a load of all rows, which needs nobody's leave, brings them back.

    Dead when the column is there; `--long`: before any statement from the copying to the end.
    """
    whole = ["x", "y"]
    page = Batch(raw=written(tmp_path / "wide.csv", _WIDE, [("1", "a", "x"), ("2", "b", "y")]))
    destination, wire = opened(server, tmp_path, "seed")
    load(destination, [page], _WIDE)
    destination.close()
    points = itertools.count(1) if pytestconfig.getoption("--long") else iter([0])
    for point in points:
        for sql in altered:
            connection.cursor().execute(sql)
        destination, wire = opened(server, tmp_path, f"run{point}")
        wire.before = _deadly(wire, point) if point else _deadly_behind_ddl(wire)
        died = _dies(partial(load, destination, [page], _WIDE, mode=mode))
        destination.close()
        destination, _ = opened(server, tmp_path, f"next{point}")
        assert destination.position(FLOW, TARGET) == {"done": True}
        is_whole = [row.get("MORE") for row in table(connection)] == whole
        assert is_whole or died
        if altered == (_LOST,) or any(sql.startswith("ALTER") for sql in wire.statements):
            assert destination.lacks(TARGET, _WIDE) == (() if is_whole else ("More",))
        load(destination, [page], _WIDE)
        assert [row["MORE"] for row in table(connection)] == whole
        assert (destination.position(FLOW, TARGET), destination.lacks(TARGET, _WIDE)) == ({"done": True}, ())
        destination.close()
        if not died:
            break
    assert point == 0 or point > 10, "the transactions have more than ten statements"


def _dies(run: Callable[[], object]) -> bool:
    try:
        run()
    except Death:
        return True
    return False


def _deadly_behind_ddl(wire: Wire) -> Callable[[str], None]:
    """Death before all that follows a new column."""

    def deadly(_: str) -> None:
        if any(sql.startswith("ALTER") and " ADD " in sql for sql in wire.statements):
            raise Death

    return deadly


def test_a_newer_run_is_told_where_its_sweep_took_our_files(server: Server, connection: Any, tmp_path: Path) -> None:
    """In a named stage the newer run clears the flow's folder; the older one then hears of the run, not of a missing file."""
    connection.cursor().execute("CREATE STAGE S")
    ours, theirs = opened(server, tmp_path, "ours")[0], opened(server, tmp_path, "theirs")[0]
    unit = ours.begin(ours.claim(FLOW, "ours"))
    opening = unit.open(TARGET, plan(text_schema(), stage_name="S"), NoJournal())
    manifest = opening.stage(Part("p"), iter([page(tmp_path, "ours")]))
    newer = theirs.begin(theirs.claim(FLOW, "theirs"))
    newer.open(TARGET, plan(text_schema(), stage_name="S"), NoJournal())
    with pytest.raises(LeaseLost, match="theirs"):
        unit.commit({FLOW: {}}, [manifest])
    for each in (unit, newer, ours, theirs):
        each.close()
