"""lht 3.0.0's `sync_sobject_intelligent` into PostgreSQL, which it does not know: through a look-alike of its Snowpark session.

Its pages go by pandas' `to_sql` and psycopg2; Snowflake's type names, SHOW, DESCRIBE and USE are reworded, its function
and casts are made, everything else runs as lht wrote it.
Started by postgres.py in the peer's own environment with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

from lookalike import Answer, Row

sys.path.pop(0)  # a file beside this one is called like the package that it imports

from lht.salesforce.intelligent_sync import sync_sobject_intelligent
from sqlalchemy import Connection, create_engine

CHUNK_ROWS = 1_000
_SCHEMAS = re.compile(r"SHOW SCHEMAS LIKE '(\w+)'", re.IGNORECASE)
_TABLES = re.compile(r"SHOW TABLES IN SCHEMA (\w+)", re.IGNORECASE)
_COLUMNS = re.compile(r"DESCRIBE TABLE (\w+)", re.IGNORECASE)
_WORDS = (
    (re.compile(r"\bNUMBER\b", re.IGNORECASE), "NUMERIC"),
    (re.compile(r"\bFLOAT\b", re.IGNORECASE), "DOUBLE PRECISION"),
    (re.compile(r"\bSTRING\b", re.IGNORECASE), "VARCHAR"),
    (re.compile(r"\bTIMESTAMP_NTZ\b", re.IGNORECASE), "TIMESTAMP"),
)
_MADE = (
    "CREATE FUNCTION to_timestamp_ntz(value text, form text) RETURNS timestamp IMMUTABLE LANGUAGE sql RETURN value::timestamp",
    "CREATE CAST (text AS numeric) WITH INOUT AS ASSIGNMENT",
    "CREATE CAST (text AS bigint) WITH INOUT AS ASSIGNMENT",
    "CREATE CAST (text AS double precision) WITH INOUT AS ASSIGNMENT",
)
_TYPES = (
    "CASE WHEN data_type LIKE 'timestamp%' THEN 'TIMESTAMP_NTZ' WHEN data_type LIKE 'char%' THEN 'VARCHAR'"
    " WHEN data_type = 'numeric' THEN 'NUMBER' ELSE upper(data_type) END"
)


class Session:
    """The two methods of a Snowpark session that lht uses, on PostgreSQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        for statement in _MADE:
            connection.exec_driver_sql(statement)

    def sql(self, text: str) -> Answer:
        done = self._connection.exec_driver_sql(self._reworded(text).replace("%", "%%"))
        return Answer([Row(row) for row in done.mappings()] if done.returns_rows else [])

    def write_pandas(self, frame: Any, *, table_name: str, **_options: object) -> None:
        """A new table of texts: lht asks for one with each page."""
        frame = frame.rename(columns=str.lower)
        frame.to_sql(table_name.lower(), self._connection, schema="raw", if_exists="replace", index=False, chunksize=CHUNK_ROWS)

    def _reworded(self, text: str) -> str:
        if found := _SCHEMAS.fullmatch(text.strip()):
            return f"SELECT schema_name AS name FROM information_schema.schemata WHERE upper(schema_name) = upper('{found[1]}')"
        if found := _TABLES.fullmatch(text.strip()):
            return f"SELECT upper(tablename) AS name FROM pg_tables WHERE upper(schemaname) = upper('{found[1]}')"
        if found := _COLUMNS.fullmatch(text.strip()):
            shown = "'TEXT'" if found[1].lower().startswith("tmp_") else _TYPES  # as in Snowflake, texts of two lengths differ
            return (
                f"SELECT upper(column_name) AS name, {shown} AS type FROM information_schema.columns"
                f" WHERE upper(table_name) = upper('{found[1]}') ORDER BY ordinal_position"
            )
        if text.startswith("USE DATABASE"):
            return "SELECT 1"
        text = re.sub(r"^USE SCHEMA (\S+)", r"SET search_path = \1, public", text).replace(
            "CURRENT_DATABASE()", "CURRENT_DATABASE()"
        )
        for pattern, word in _WORDS:
            text = pattern.sub(word, text)
        return text


def main() -> None:
    """`{url, token, uri}`."""
    wanted = json.loads(sys.argv[1])
    began, start_cpu_s = time.monotonic(), time.process_time()
    address = wanted["uri"].replace("postgresql:", "postgresql+psycopg2:")
    with create_engine(address, isolation_level="AUTOCOMMIT").connect() as connection:  # as a session of Snowflake
        session = Session(connection)
        login = {"access_token": wanted["token"], "instance_url": wanted["url"]}
        result = sync_sobject_intelligent(session, login, "Account", "RAW", "ACCOUNTS")
    told = {"wall_s": time.monotonic() - began, "start_cpu_s": start_cpu_s, "method": result["sync_method"]}
    if not result["success"]:
        raise SystemExit(str(result["error"]))
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
