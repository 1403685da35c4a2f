"""Laws of the statements that are sent to Snowflake, where an emulation of it does not know them or takes them too lightly."""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from snowflake.connector.errors import ProgrammingError
from tests.connectors.duckdb.pages import FLOW, TARGET, plan, text_schema
from tests.connectors.snowflake.pages import written
from tests.connectors.snowflake.standin import SnowflakeConnection

from halocline.batch import Batch
from halocline.connector import Mode, Part
from halocline.connectors.snowflake import open_destination, tables
from halocline.errors import FixConfig, Truncated
from halocline.spool import Spool
from halocline.testing.destinations import NoJournal

Lines = Sequence[tuple[str, str]]
LINES: Lines = (("1", "a"), ("2", "b"))
DDL = re.compile(r"^\s*(CREATE|ALTER|DROP|TRUNCATE|GRANT|USE|COMMENT|REMOVE|PUT)\b")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool("test", tmp_path)
    yield made
    made.close()


@pytest.fixture
def connection() -> SnowflakeConnection:
    """Snowflake with a table of two rows, into which this run's claim and load fit."""
    made = SnowflakeConnection()
    made.answer(
        r'^DESCRIBE TABLE "DB"."RAW"."PAGE"', ("name", "type"), ("ID", "VARCHAR(16777216)"), ("TEXT", "VARCHAR(16777216)")
    )
    made.answer(r"^SHOW OBJECTS LIKE 'PAGE'", ("name", "kind"), ("PAGE", "TABLE"))
    made.answer(r'^SELECT DISTINCT "EPOCH"', ("E", "O"), (7, "test"))
    made.answer(r'^SELECT "POSITION"', ("POSITION",), ('{"n": 1}',))
    made.answer(r"^SELECT count\(\*\) FROM .*_POSITIONS", ("N",), (1,))
    made.answer(r"^UPDATE ", ("number of rows updated",), (1,))
    made.answer(r"^SELECT count\(\*\), COUNT_IF", ("N", "K", "F", "S", "D"), (2, 2, 0, None, 2))
    made.answer(r"^SELECT count\(\*\) FROM \S+PAGE", ("N",), (2,))
    made.answer(r"GROUP BY", ("X",))
    made.answer(r"^MERGE ", ("number of rows inserted", "number of rows updated"), (1, 1))
    made.answer(r"^INSERT OVERWRITE", ("number of rows inserted",), (2,))
    return made


def run(
    connection: SnowflakeConnection,
    folder: Path,
    spool: Spool,
    *,
    session: object = None,
    loaded: int = 2,
    lines: Lines = LINES,
    **changes: Any,
) -> list[str]:
    """Load a page as a sync does, through a session or the connection itself; the statements."""

    def copied(sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        put = next(one for one in connection.statements if one.startswith("PUT"))
        file = put.partition("'file://")[2].partition("'")[0].rpartition("/")[2]
        return ("file", "status", "rows_loaded"), [(f"stage/x/{file}", "LOADED", loaded)] if "COPY" in sql else []

    connection.answers.insert(0, (r"^COPY", copied))
    destination = open_destination(session or connection, spool=spool)
    assert destination.position(FLOW, TARGET) == {"n": 1}
    if changes.get("mode") is Mode.REPLACE:
        assert destination.columns(TARGET) is not None  # planning looks for those that a load of everything would not fill
    unit = destination.begin(destination.claim(FLOW, "test"))
    try:
        load = unit.open(TARGET, plan(text_schema(), **changes), NoJournal())
        page = Batch(raw=written(folder / "page.csv", text_schema(), list(lines)))
        unit.commit({FLOW: {"n": 2}}, [load.stage(Part("p"), iter([page]))])
    finally:
        unit.close()
        destination.close()
    return connection.statements


def transactions(statements: list[str]) -> list[list[str]]:
    """The statements of each transaction."""
    found: list[list[str]] = []
    inside = False
    for sql in statements:
        if sql == "BEGIN TRANSACTION":
            assert not inside, "a BEGIN inside a transaction would be ignored"
            found.append([])
        elif inside and sql not in ("COMMIT", "ROLLBACK"):
            found[-1].append(sql)
        inside = sql == "BEGIN TRANSACTION" or (inside and sql not in ("COMMIT", "ROLLBACK"))
    return found


@pytest.mark.parametrize("mode", list(Mode))
def test_rows_position_and_fence_are_one_transaction_without_ddl(
    mode: Mode, connection: SnowflakeConnection, tmp_path: Path, spool: Spool
) -> None:
    """DDL would commit it: whatever makes or changes a table, a stage or a session goes before it, or after."""
    every = transactions(run(connection, tmp_path, spool, mode=mode))
    assert not [sql for statements in every for sql in statements if DDL.match(sql)]
    (publishing,) = [
        statements for statements in every if any(' "RAW"."PAGE"' in sql or '"RAW"."PAGE"' in sql for sql in statements)
    ]
    kinds = [sql.split()[0] for sql in publishing if not sql.startswith(("SELECT", "DESCRIBE"))]
    rows = ["MERGE"] if mode is Mode.MERGE else ["INSERT", "DELETE"]
    assert kinds == [*rows, "UPDATE", "UPDATE"]
    assert publishing[-1].startswith('UPDATE "DB"."PUBLIC"."_HALOCLINE_POSITIONS" SET')
    assert '"EPOCH" = 7' in publishing[-1]


@pytest.mark.parametrize("mode", list(Mode))
def test_a_new_column_is_noted_before_it_is_made(
    mode: Mode, connection: SnowflakeConnection, tmp_path: Path, spool: Spool
) -> None:
    """In a transaction that holds the claim, and that is over: the DDL would commit it, and must not come without it."""
    connection.answer(r'^DESCRIBE TABLE "DB"."RAW"."PAGE"', ("name", "type"), ("ID", "VARCHAR(16777216)"))
    connection.answer(r'^SELECT DISTINCT "POSITION"', ("POSITION",), ('{"n": 1}',), ("[]",))
    statements = run(connection, tmp_path, spool, mode=mode)
    every = transactions(statements)
    assert not [sql for transaction in every for sql in transaction if DDL.match(sql)]
    (noted,) = [transaction for transaction in every if any("unfilled" in sql for sql in transaction)]
    assert [sql.split()[0] for sql in noted] == ["UPDATE", "SELECT", "UPDATE"]
    assert '"EPOCH" = 7' in noted[0]
    assert noted[2].endswith("""WHERE "TARGET" = 'RAW.PAGE' AND "POSITION" = '{"n": 1}'""")
    before = statements[: statements.index('ALTER TABLE "DB"."RAW"."PAGE" ADD COLUMN "TEXT" VARCHAR')]
    assert before[-4:] == [*noted, "COMMIT"]


_MET = ["SHOW", "DESCRIBE", "SELECT"]  # the table and its position
_CLAIMED = ["BEGIN", "UPDATE", "COMMIT", "SELECT"]
_FIRST = [*_MET, *_CLAIMED]
_COPIED = ["SELECT", "CREATE", *("BEGIN", "COPY", "SELECT", "COMMIT"), "DESCRIBE"]  # the claim holds; what the files brought
_MERGED = ["BEGIN", *("SELECT", "MERGE"), *("UPDATE", "UPDATE"), "COMMIT"]
_REPLACED = ["BEGIN", *("DESCRIBE", "SELECT", "INSERT", "DELETE"), *("UPDATE", "UPDATE"), "COMMIT"]


@pytest.mark.parametrize(
    ("mode", "lines", "sent"),
    [
        (Mode.MERGE, LINES, [*_FIRST, *("CREATE", "PUT"), *_COPIED, *_MERGED, *("DROP", "DROP")]),
        (
            Mode.REPLACE,
            LINES,
            [*_MET, "DESCRIBE", *_CLAIMED, *("SELECT", "CREATE", "PUT"), *_COPIED, *_REPLACED, *("DROP", "DROP")],
        ),
        (Mode.MERGE, (), [*_FIRST, "CREATE", *("SELECT", "DESCRIBE"), *("BEGIN", "UPDATE", "UPDATE", "COMMIT"), "DROP"]),
    ],
)
def test_a_sync_sends_these_statements_and_no_others(
    mode: Mode, lines: Lines, sent: list[str], connection: SnowflakeConnection, tmp_path: Path, spool: Spool
) -> None:
    """Each is a round trip; docs/snowflake.md counts them. A connection that was handed in is asked for its state besides."""
    statements = run(connection, tmp_path, spool, mode=mode, lines=lines)
    assert [sql.split()[0] for sql in statements if not sql.startswith("SELECT CURRENT_")] == sent


def test_the_file_format_depends_on_no_setting(connection: SnowflakeConnection, tmp_path: Path, spool: Spool) -> None:
    """Of a page as received: gzip, a header line, quotes, empty is null; a backslash means nothing."""
    (copy,) = [sql for sql in run(connection, tmp_path, spool) if sql.startswith("COPY")]
    for words in (
        *("TYPE = CSV", "COMPRESSION = GZIP", "SKIP_HEADER = 1", "FIELD_OPTIONALLY_ENCLOSED_BY = '\"'", "NULL_IF = ('')"),
        *("ESCAPE = NONE", "ESCAPE_UNENCLOSED_FIELD = NONE", "EMPTY_FIELD_AS_NULL = TRUE", "TRIM_SPACE = FALSE"),
        *("ERROR_ON_COLUMN_COUNT_MISMATCH = TRUE", "ENCODING = 'UTF8'", "TIMESTAMP_FORMAT = AUTO"),
        *("ON_ERROR = ABORT_STATEMENT", "FORCE = TRUE", '("ID", "TEXT") FROM @'),
    ):
        assert words in copy
    assert not any(sql.startswith(("ALTER SESSION", "USE ")) for sql in connection.statements)


def test_a_page_goes_as_received(connection: SnowflakeConnection, tmp_path: Path, spool: Spool) -> None:
    """It is put as it is, neither compressed again nor beside another of its name, into a folder that nobody else has."""
    seen: list[bytes] = []

    def put(sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        seen.append(gzip.decompress(Path(sql.partition("'file://")[2].partition("'")[0]).read_bytes()))
        return ("source", "status"), [("x", "UPLOADED")]

    connection.answers.insert(0, (r"^PUT", put))
    statements = run(connection, tmp_path, spool)
    assert seen == [(tmp_path / "page.csv").read_bytes()]
    (sql,) = [sql for sql in statements if sql.startswith("PUT")]
    assert "AUTO_COMPRESS = FALSE" in sql
    assert "SOURCE_COMPRESSION = GZIP" in sql
    places = [re.search(r"@(\S+)/upsert", one).group(1) for one in statements if one.startswith(("PUT", "COPY"))]  # type: ignore[union-attr]  # both have it
    assert len(set(places)) == 1
    assert list(spool.path.iterdir()) == []


def test_a_copy_that_loads_other_rows_stops_the_commit(connection: SnowflakeConnection, tmp_path: Path, spool: Spool) -> None:
    """COPY's own answer is held against the manifest; the target is not touched."""
    with pytest.raises(Truncated, match="1 row was loaded, 2 announced"):
        run(connection, tmp_path, spool, loaded=1)
    assert not any(sql.startswith(("INSERT OVERWRITE", "MERGE")) for sql in connection.statements)


def test_the_users_stage_is_swept_and_left_tidy(connection: SnowflakeConnection, tmp_path: Path, spool: Spool) -> None:
    """What dead runs of the flow left goes first, what this one put there last; both are REMOVEs below a folder of the flow."""
    statements = run(connection, tmp_path, spool, stage_name='@"My Stage"/in')
    removed = [sql for sql in statements if sql.startswith("REMOVE")]
    assert len(removed) == 2
    assert re.fullmatch(r'REMOVE @"My Stage"/in/halocline/[0-9a-f]{16}/', removed[0])
    assert re.fullmatch(re.escape(removed[0]) + r"7-[0-9a-f]{8}/", removed[1])
    (put,) = [sql for sql in statements if sql.startswith("PUT")]
    assert f"'{removed[1].removeprefix('REMOVE ')}upsert-" in put
    assert not any("CREATE TEMPORARY STAGE" in sql for sql in statements)


def test_inside_snowflake_the_session_puts_the_files(
    connection: SnowflakeConnection, tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a notebook or a procedure there is no PUT: the session's own way is taken."""
    put: list[tuple[str, str, dict[str, Any]]] = []

    class Session:
        sql = None

        class file:
            @staticmethod
            def put(name: str, place: str, **options: Any) -> None:
                assert Path(name).is_file()
                connection.statements.append(f"PUT 'file://{name}'")
                put.append((name, place, options))

    Session.__module__ = "snowflake.snowpark.session"
    session = Session()
    session.connection = connection  # type: ignore[attr-defined]  # what a session has
    monkeypatch.setitem(sys.modules, "_snowflake", _module("_snowflake"))
    run(connection, tmp_path, spool, session=session)
    ((_, place, options),) = put
    assert place.startswith("@DB.PUBLIC._HALOCLINE_")
    assert options == {"auto_compress": False, "overwrite": True}


def test_no_database_is_told(spool: Spool) -> None:
    """Names need one; nothing is asked further."""
    connection = SnowflakeConnection()
    connection.answer(r"^SELECT CURRENT_DATABASE", ("D", "S", "T"), (None, None, None))
    with pytest.raises(FixConfig, match="no database is chosen"):
        open_destination(connection, spool=spool)
    assert not connection.closed


def test_a_table_that_is_hidden_is_not_taken_for_a_missing_one(
    connection: SnowflakeConnection, tmp_path: Path, spool: Spool
) -> None:
    """Snowflake says of both that they do not exist; making it then says that it does."""
    connection.fail(
        r'^DESCRIBE TABLE "DB"."RAW"."PAGE"', ProgrammingError("does not exist or not authorized", errno=2003, sqlstate="42S02")
    )
    connection.fail(
        r'^CREATE TABLE IF NOT EXISTS "DB"."RAW"."PAGE"', ProgrammingError("already exists", errno=2002, sqlstate="42710")
    )
    with pytest.raises(FixConfig, match="this role may not see it"):
        run(connection, tmp_path, spool)


def _module(name: str) -> ModuleType:
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    return made


class Refusing:
    """A cursor that refuses a statement so many times, with a number of Snowflake's."""

    def __init__(self, times: int, errno: int) -> None:
        self.left, self.errno, self.asked = times, errno, 0

    def execute(self, sql: str) -> None:
        self.asked += 1
        if self.left:
            self.left -= 1
            raise ProgrammingError("no", errno=self.errno)


def test_what_another_makes_at_this_instant_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few times; a right that is lacking is told at once."""
    monkeypatch.setattr(tables, "_WAITS_S", (0.0, 0.0))
    quick, never, denied = Refusing(2, 1), Refusing(9, 1), Refusing(1, 3001)
    tables.create(quick, "CREATE")  # type: ignore[arg-type]  # it needs nothing else of a cursor
    for cursor in (never, denied):
        with pytest.raises(ProgrammingError):
            tables.create(cursor, "CREATE")  # type: ignore[arg-type]  # likewise
    assert (quick.asked, never.asked, denied.asked) == (3, 3, 1)
