"""Many rows at once between Arrow and SQLite, through ADBC: a stream of batches out, a side file of batches in.

It speaks ADBC's low-level interface. In the main thread the DB-API one takes SIGINT for itself during every call, to cancel it,
which this driver cannot: Ctrl-C while records are made would be a NotSupportedError. It also imports polars where that is
installed, after which Ctrl-C no longer interrupts a wait: see `signals`.
Source: adbc_driver_manager 1.13, `_lib.pyx`, `_blocking_impl.cc`; https://github.com/apache/arrow-adbc/pull/1509 (2026-11-21).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import adbc_driver_sqlite
import pyarrow as pa
from adbc_driver_manager import (
    INGEST_OPTION_MODE,
    INGEST_OPTION_MODE_APPEND,
    INGEST_OPTION_MODE_CREATE,
    INGEST_OPTION_TARGET_TABLE,
    AdbcConnection,
    AdbcStatement,
)

from halocline.emulator.database import Database

ROWS_OPTION = "adbc.sqlite.query.batch_rows"


def load(side: Path, batches: Iterable[pa.RecordBatch]) -> list[str]:
    """Write the batches to table `load` of a new SQLite file and return the column names; none if no batch came."""
    names: list[str] = []
    with _statement(str(side)) as statement:
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):
            statement.set_sql_query(f"PRAGMA {pragma}")
            statement.execute_update()
        for batch in batches:
            mode = INGEST_OPTION_MODE_APPEND if names else INGEST_OPTION_MODE_CREATE
            statement.set_options(**{INGEST_OPTION_TARGET_TABLE: "load", INGEST_OPTION_MODE: mode})
            statement.bind(batch)
            statement.execute_update()
            names = names or batch.schema.names
    return names


def stream(
    database: Database, sql: Callable[[Callable[[str], str]], str], values: Sequence[object], *, names: Sequence[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a SELECT whose columns are all text, as one state of the data, in batches of at most `rows`.

    `sql` makes the statement from a function that turns a REAL expression into text, which the two readers do differently.
    ADBC reads a file that stands still; when it cannot be made to, Python's own SQLite reads, slower, with the same result.
    """
    schema = pa.schema([(name, pa.string()) for name in names])
    with database.frozen_file() as frozen:
        if frozen:
            yield from _fast(database.path, sql(_cast), values, schema, rows)
            return
    yield from _plain(database, sql(_number), values, schema, rows)


def _fast(path: Path, sql: str, values: Sequence[object], schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    # The driver takes a column's type from its first rows, so a row of text goes first: a column may begin with nulls.
    blanks = ", ".join(["''"] * len(schema))
    with _statement(f"{path.absolute().as_uri()}?immutable=1") as statement:
        statement.set_options(**{ROWS_OPTION: str(rows)})
        statement.set_sql_query(f"SELECT {blanks} UNION ALL SELECT * FROM ({sql})")
        if values:
            statement.bind(pa.record_batch([[value] for value in values], names=list(map(str, range(len(values))))))
        found, _ = statement.execute_query()
        skip = 1
        with pa.RecordBatchReader.from_stream(found) as reader:
            for batch in reader:
                if batch.num_rows > skip:
                    yield pa.RecordBatch.from_arrays(batch.slice(skip).columns, schema=schema)
                skip = 0


@contextmanager
def _statement(uri: str) -> Iterator[AdbcStatement]:
    with (
        adbc_driver_sqlite.connect(uri) as database,
        AdbcConnection(database) as connection,
        AdbcStatement(connection) as statement,
    ):
        yield statement


def _plain(database: Database, sql: str, values: Sequence[object], schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    with closing(database.connect()) as connection:
        connection.create_function("number_text", 1, _number_text, deterministic=True)
        found = connection.execute(sql, values)
        while chunk := found.fetchmany(rows):
            yield pa.RecordBatch.from_arrays([pa.array(c, pa.string()) for c in zip(*chunk, strict=True)], schema=schema)
        found.close()


def _cast(expression: str) -> str:
    # ADBC's SQLite (3.53) casts to 17 digits where 15 are not enough, and 99999999999.9999 becomes 99999999999.999893. REST, and
    # Java's Double.toString, write the fewest digits that read back as the same number.
    shorter = " ".join(f"WHEN CAST({text} AS REAL) = v THEN {text}" for text in ("printf('%!.15g', v)", "printf('%!.16g', v)"))
    return f"(SELECT CASE {shorter} ELSE CAST(v AS TEXT) END FROM (SELECT {expression} AS v))"


def _number(expression: str) -> str:
    return f"number_text({expression})"


def _number_text(value: float | None) -> str | None:
    return None if value is None else repr(float(value))
