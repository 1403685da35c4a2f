"""Laws of what may be handed in: it is left as it was found, and nobody's transaction is committed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.duckdb.pages import FLOW, text_schema
from tests.connectors.snowflake.pages import Wire, leftovers, load, rows, table, written
from tests.connectors.snowflake.server import Server

from halocline import registry
from halocline.batch import Batch
from halocline.connector import Mode, Part
from halocline.connectors.snowflake import accepts, open_destination
from halocline.connectors.snowflake.destination import SnowflakeDestination
from halocline.errors import FixConfig, NotFound
from halocline.spool import Spool
from halocline.testing.destinations import TARGET as ACCOUNTS
from halocline.testing.destinations import Bench, DestinationSuite, NoJournal, account, batch, deletions


class Session:
    """What is used of a Snowpark session."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def sql(self, query: str) -> Any:
        return self.connection.cursor().execute(query)


Session.__module__ = "snowflake.snowpark.session"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool("test", tmp_path)
    yield made
    made.close()


@pytest.fixture
def connection(server: Server, tmp_path: Path) -> Iterator[Any]:
    made = server.connect(server.database(tmp_path))
    yield made
    made.close()


def page(folder: Path, name: str = "page.csv", text: str = "a") -> Batch:
    return Batch(raw=written(folder / name, text_schema(), [("1", text), ("2", "b")]))


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_connection_is_left_as_it_was_found(server: Server, tmp_path: Path, spool: Spool, *, autocommit: bool) -> None:
    """Schema, autocommit and parameters stay, also when a schema is made; what is loaded is committed."""
    connection = server.connect(server.database(tmp_path), autocommit=autocommit)
    wire = Wire(connection)
    destination = open_destination(connection, spool=spool)
    for mode in Mode:
        load(destination, [page(tmp_path, text=mode)], text_schema(), mode=mode)
    destination.close()
    assert rows(connection, "SELECT CURRENT_SCHEMA()") == [("PUBLIC",)]
    assert not any(sql.startswith("ALTER SESSION") for sql in wire.statements)
    other = server.connect(server.database(tmp_path))
    assert [row["TEXT"] for row in table(other)] == [str(list(Mode)[-1]), "b"]
    assert leftovers(other) == []
    assert list(spool.path.iterdir()) == []
    for each in (connection, other):
        each.close()


def test_an_open_transaction_is_nobody_elses(connection: Any, server: Server, tmp_path: Path, spool: Spool) -> None:
    """A connection with a transaction open is refused, now and later, and the transaction stays open."""
    connection.cursor().execute("CREATE TABLE mine (n int)")
    destination = open_destination(connection, spool=spool)
    connection.cursor().execute("BEGIN TRANSACTION")
    connection.cursor().execute("INSERT INTO mine SELECT 1")
    for attempt in (lambda: open_destination(connection, spool=spool), lambda: destination.claim(FLOW, "test")):
        with pytest.raises(FixConfig, match="a transaction is open"):
            attempt()
    connection.cursor().execute("ROLLBACK")
    assert rows(connection, "SELECT count(*) FROM mine") == [(0,)]
    assert destination.claim(FLOW, "test").fence == 1


def test_a_session_of_snowpark_works_through_its_connection(connection: Any, tmp_path: Path, spool: Spool) -> None:
    """It is taken by its shape: a load goes through `.connection`, which stays open."""
    destination = registry.open_destination(Session(connection), spool=spool)
    assert isinstance(destination, SnowflakeDestination)
    assert load(destination, [page(tmp_path)], text_schema()).inserted == 2
    destination.close()
    assert len(table(connection)) == 2


def test_two_destinations_may_share_a_connection(connection: Any, spool: Spool) -> None:
    """A transaction of one is not committed by the DDL of the other: the other waits."""
    suite = DestinationSuite()

    def run(number: int) -> int:
        destination = open_destination(connection, spool=spool)
        flow, target = f"flow {number}", replace(ACCOUNTS, table=f"t{number}")
        unit = destination.begin(destination.claim(flow, f"owner {number}"))
        manifest = unit.open(target, suite.plan(flow=flow), NoJournal()).stage(Part("p"), iter([batch([account(number)])]))
        counts = unit.commit({flow: {"n": number}}, [manifest])
        unit.close()
        return counts.inserted

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, range(2))) == [1, 1]
    for number in range(2):
        assert rows(connection, f'SELECT count(*) FROM "RAW"."T{number}"') == [(1,)]


def test_without_autocommit_a_merge_is_what_it_is_with_it(server: Server, tmp_path: Path, spool: Spool) -> None:
    """Every kind of change, through a connection that commits nothing by itself."""
    connection = server.connect(server.database(tmp_path), autocommit=False)
    bench = Bench(DestinationSuite(), open_destination(connection, spool=spool))
    bench.load(batch([account(n) for n in range(4)]))
    changed = batch([account(1, at=5, Name="new"), account(2), account(3, at=5, IsDeleted=True), account(9)])
    counts = bench.merge(changed, deletions((0, 6)), position={"n": 2})
    assert (counts.inserted, counts.updated, counts.deleted, counts.unchanged) == (1, 1, 2, 1)
    other = server.connect(server.database(tmp_path))
    found = rows(other, 'SELECT "ID", "NAME", "ISDELETED" FROM "RAW"."ACCOUNTS" ORDER BY "ID"')
    assert [(row[0], row[2]) for row in found] == [(account(n)["Id"], n in (0, 3)) for n in (0, 1, 2, 3, 9)]
    assert found[1][1] == "new"
    assert bench.position() == {"n": 2}
    for each in (connection, other):
        each.close()


def test_what_cannot_be_used_is_refused(server: Server, tmp_path: Path, spool: Spool) -> None:
    """A closed connection, and what is no connection at all."""
    connection = server.connect(server.database(tmp_path))
    connection.close()
    with pytest.raises(FixConfig, match="closed by its owner"):
        open_destination(connection, spool=spool)
    with pytest.raises(FixConfig, match="got a list"):
        open_destination([], spool=spool)


def test_what_is_accepted_is_told_by_its_shape() -> None:
    """A URI in any case, a connection, a session; nobody else's of the same name."""
    assert accepts("Snowflake://u@a/d")
    assert accepts(Session(None))
    assert not any(accepts(other) for other in ("postgresql://u@a/d", object(), type("Connection", (), {})()))


@pytest.mark.parametrize("name", [pytest.param("HALO_STAGE", marks=pytest.mark.long), "@HALO_STAGE/some/folder/"])
def test_a_named_stage_is_used_and_left_tidy(connection: Any, tmp_path: Path, spool: Spool, name: str) -> None:
    """The files go into a folder of their own there, and away; what others have in the stage stays, and so does the stage."""
    connection.cursor().execute("CREATE STAGE HALO_STAGE")
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("x")
    connection.cursor().execute(f"PUT 'file://{theirs}' @HALO_STAGE/ AUTO_COMPRESS = FALSE")
    wire = Wire(connection)
    destination = open_destination(connection, spool=spool)
    assert load(destination, [page(tmp_path)], text_schema(), stage_name=name).inserted == 2
    put = [sql for sql in wire.statements if sql.startswith("PUT")]
    assert len(put) == 1
    assert f"@{name.strip('@/')}/halocline/" in put[0]
    assert not any("CREATE TEMPORARY STAGE" in sql for sql in wire.statements)
    left = [row[0] for row in rows(connection, "LIST @HALO_STAGE")]
    assert left == ["halo_stage/theirs.csv"]


@pytest.mark.parametrize(
    ("name", "kind", "said"), [("a b; DROP TABLE x", FixConfig, "names no stage"), ("@NOWHERE", NotFound, "NOWHERE")]
)
def test_a_stage_that_is_not_there_is_named(connection: Any, spool: Spool, name: str, kind: type[FixConfig], said: str) -> None:
    """Neither a missing stage nor a text that names none gets as far as a file."""
    destination = open_destination(connection, spool=spool)
    unit = destination.begin(destination.claim(FLOW, "test"))
    with pytest.raises(kind, match=said):
        unit.open(ACCOUNTS, DestinationSuite().plan(stage_name=name), NoJournal())
    unit.close()
