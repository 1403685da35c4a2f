"""A connection to PostgreSQL as the documented variables say, and lists put into its tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from halocline import registry
from halocline.compat.demand.settings import DATABASE, USER, Settings, place_of
from halocline.errors import FixConfig, Truncated
from halocline.quantity import quantity
from halocline.spool import arriving, storage

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

Row: TypeAlias = Mapping[str, object] | Sequence[object]


def get_secret() -> dict[str, Any]:
    """The secret that PG_SECRET_ARN names, in REGION (or in the region of its ARN).

    Raises: FixConfig where the variable is not set, or the secret is no JSON object; NotFound, AccessDenied, LoginRefused.
    """
    doing = "Reading the secret of PostgreSQL"
    settings = Settings.now()
    name = settings.needed("PG_SECRET_ARN", doing)
    told = settings.access()
    if name.startswith("arn:"):
        del told["region"]
    aws = registry.connector("aws")
    text = aws.secret_of(name, aws.Access.of(told))
    try:
        found = json.loads(text)
    except ValueError:
        found = None  # the error would show a piece of the secret
    if not isinstance(found, dict):
        raise FixConfig(doing, "the secret is no JSON object", hint='It is to hold {"username": ..., "password": ...}.')
    return found


def get_db_connection() -> psycopg.Connection[Any]:
    """A connection whose transactions the caller ends: commit when all tables are filled, and close it.

    With LOCAL_MODE=true by PG_HOST and PG_PASSWORD (and PG_USER, PG_DATABASE, PG_PORT). Else by PG_ENDPOINT, whose port counts,
    and the secret: `password`, and `username`, `dbname`, `host` and `port` where it has them.
    Raises: FixConfig where something is not set, or the secret lacks its password; LoginRefused, NetworkFailed, NotFound.
    """
    doing = "Opening PostgreSQL"
    settings = Settings.now()
    said = settings.said
    if settings.local:
        place = settings.needed("PG_HOST", doing)
        login = {"username": said.get("PG_USER"), "dbname": said.get("PG_DATABASE"), "password": said.get("PG_PASSWORD")}
        port = said.get("PG_PORT")
    else:
        login = get_secret()
        if not isinstance(login.get("password"), str):
            raise FixConfig(doing, "the secret has no text under 'password'", hint="Look at its keys; case counts.")
        port = login.get("port")
        place = said.get("PG_ENDPOINT") or str(login.get("host") or "") or settings.needed("PG_ENDPOINT", doing)
    host, number = place_of(place, port=port)
    session: psycopg.Connection[Any] = registry.connector("postgres").new_session(
        host=host,
        port=number,
        dbname=login.get("dbname") or DATABASE,
        user=login.get("username") or USER,
        password=login.get("password"),
    )
    return session


def insert_data_into_table(
    conn: psycopg.Connection[Any],
    table_name: str,
    headers: Sequence[str],
    data: Iterable[Row],
    save_csv: bool = False,
    csv_file_path: str | Path = "output.csv",
) -> int:
    """Delete all rows of the table and put these there, by COPY, in the caller's transaction; how many they are.

    No data empties the table. Nothing is committed, so readers see all tables of a transaction change at once. Rows are dicts
    with just the names in `headers`, or values in that order; lists, dicts and sets become arrays and JSON, numbers stay exact.
    With `save_csv` the same rows are written to a file, which appears whole, before the caller commits.
    Raises: SchemaConflict for a row that does not fit, with its number; NotFound for a table or column; StorageFailed for a file
    that cannot be written; as `fill_table`. The table is as it was then, and the transaction can go on.
    """
    told: dict[str, object] = {"also": partial(_write_csv, Path(csv_file_path), headers)} if save_csv else {}
    written: int = registry.connector("postgres").fill_table(conn, table_name, headers=headers, rows=data, **told)
    return written


def insert_data_and_validate(conn: psycopg.Connection[Any], table_name: str, headers: Sequence[str], data: Iterable[Row]) -> int:
    """`insert_data_into_table`, and the table's rows are counted afterwards.

    Raises: Truncated where it has another number (a trigger or a rule of the table keeps some out); roll back then.
    """
    written = insert_data_into_table(conn, table_name, headers, data)
    there = registry.connector("postgres").count_of(conn, table_name)
    if there != written:
        cause = f"{quantity(written, 'row was')} written, and the table has {there:,}"
        raise Truncated(f"Filling {table_name}", cause, hint="Look at its triggers and rules, and roll back.")
    return written


def _write_csv(path: Path, headers: Sequence[str], batches: Sequence[pa.RecordBatch]) -> None:
    """A line of names, and the rows; bytes in hexadecimal."""
    from halocline.csvcopy import write_names, write_rows  # with pyarrow behind it

    with storage(f"Writing {path}"), arriving(path) as partial, partial.open("wb") as file:
        write_names(headers, file)
        for batch in batches:
            write_rows(batch, file, of_bytes=bytes.hex)
