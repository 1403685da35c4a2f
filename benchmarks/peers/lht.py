"""lht 3.0.0's `sync_sobject_intelligent` into DuckDB, through a look-alike of the Snowpark session that it asks for.

lht uses two methods of a session: `sql(text).collect()` and `write_pandas(...)`. The look-alike answers them with DuckDB:
Snowflake's type names, SHOW, DESCRIBE and USE are reworded, everything else runs as lht wrote it.
Started by extract.py in the peer's own environment with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

from lookalike import Answer, Row

sys.path.pop(0)  # this file is called like the package that it imports

import duckdb
from lht.salesforce.intelligent_sync import sync_sobject_intelligent

_SCHEMAS = re.compile(r"SHOW SCHEMAS LIKE '(\w+)'", re.IGNORECASE)
_TABLES = re.compile(r"SHOW TABLES IN SCHEMA (\w+)", re.IGNORECASE)
_COLUMNS = re.compile(r"DESCRIBE TABLE (\w+)", re.IGNORECASE)
_TYPES = (
    (re.compile(r"\bNUMBER\b", re.IGNORECASE), "DECIMAL"),
    (re.compile(r"\bSTRING\b", re.IGNORECASE), "VARCHAR"),
    (re.compile(r"\bTIMESTAMP_NTZ\b", re.IGNORECASE), "TIMESTAMP"),
)
_MACROS = (
    "CREATE MACRO TO_TIMESTAMP_NTZ(value, form) AS CAST(value AS TIMESTAMP)",  # the form is always that of ISO 8601
    "CREATE MACRO TO_DATE(value, form) AS CAST(value AS DATE)",
)


class Session:
    """The two methods of a Snowpark session that lht uses, on DuckDB; `spent_s` is the time that they took."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database
        self.spent_s = 0.0
        for macro in _MACROS:
            database.execute(macro)

    def sql(self, text: str) -> Answer:
        began = time.monotonic()
        try:
            return Answer(self._rows(self._reworded(text)))
        finally:
            self.spent_s += time.monotonic() - began

    def write_pandas(self, frame: Any, *, table_name: str, **_options: object) -> None:
        """A new temporary table of texts: lht asks for one with each page."""
        began = time.monotonic()
        self._database.register("frame", frame)
        self._database.execute(f"CREATE OR REPLACE TEMP TABLE {table_name} AS SELECT * FROM frame")
        self._database.unregister("frame")
        self.spent_s += time.monotonic() - began

    def _rows(self, text: str) -> list[Row]:
        cursor = self._database.execute(text)
        names = [column[0] for column in cursor.description or ()]
        return [Row(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []

    def _reworded(self, text: str) -> str:
        if found := _SCHEMAS.fullmatch(text.strip()):
            return f"SELECT schema_name AS name FROM duckdb_schemas() WHERE upper(schema_name) = '{found[1]}' AND NOT internal"
        if found := _TABLES.fullmatch(text.strip()):
            return f"SELECT upper(table_name) AS name FROM duckdb_tables() WHERE upper(schema_name) = '{found[1].upper()}'"
        if found := _COLUMNS.fullmatch(text.strip()):
            shown = (
                "CASE database_name WHEN 'temp' THEN 'TEXT' ELSE data_type END"  # as in Snowflake, texts of two lengths differ
            )
            return (
                f"SELECT upper(column_name) AS name, {shown} AS type FROM duckdb_columns()"
                f" WHERE upper(table_name) = '{found[1].upper()}' ORDER BY column_index"
            )
        if text.startswith("USE DATABASE"):
            return "SELECT 1"
        text = text.replace("USE SCHEMA", "USE")
        for pattern, word in _TYPES:
            text = pattern.sub(word, text)
        return text


def main() -> None:
    """`{url, token, database, memory_limit}`."""
    wanted = json.loads(sys.argv[1])
    began = time.monotonic()
    with duckdb.connect(wanted["database"]) as database:
        database.execute(f"SET memory_limit = '{wanted['memory_limit']}'")
        database.execute("SET preserve_insertion_order = false")
        session = Session(database)
        login = {"access_token": wanted["token"], "instance_url": wanted["url"]}
        result = sync_sobject_intelligent(session, login, "Account", "RAW", "ACCOUNTS")
        counted = database.execute("SELECT count(*) FROM raw.accounts").fetchone()
    told = {
        "wall_s": time.monotonic() - began,
        "rows_read": counted[0] if counted else 0,
        "session_s": session.spent_s,
        "method": result["sync_method"],
        "success": result["success"],
        "error": result["error"],
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
