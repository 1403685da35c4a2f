"""Halocline on a connector of another environment, and on a Snowpark session: runs there, with our sources on the path.

    python driver_script.py PORT DATABASE FOLDER connection|session|uri

Prints one line of JSON: the driver's version, the counts of a full load and of a merge, the rows, the stored position, a query.

Before Python 3.12 connector 5.x can crash when garbage is collected inside of `ContextVar.set`: nothing is collected there.
Source: https://github.com/python/cpython/issues/148891
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import snowflake.connector

from halocline import registry
from halocline.connector import Mode
from halocline.spool import Spool
from halocline.testing.destinations import Bench, DestinationSuite, account, batch, deletions


def opened(kind: str, port: int, database: str) -> tuple[Any, Any]:
    """What is handed in, and the connection below it."""
    place = {"account": "fake", "user": "etl", "password": "word", "host": "127.0.0.1", "port": port, "protocol": "http"}
    place |= {"database": database, "schema": "PUBLIC", "network_timeout": 30, "login_timeout": 20}
    place |= {"session_parameters": {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}}
    if kind == "uri":
        options = f"host=127.0.0.1&port={port}&protocol=http&network_timeout=30&login_timeout=20"
        return f"snowflake://etl:word@fake/{database}/PUBLIC?{options}", snowflake.connector.connect(**place)
    if kind == "connection":
        connection = snowflake.connector.connect(**place)
        return connection, connection
    from snowflake.snowpark import Session

    session = Session.builder.configs(place).create()
    return session, session.connection


def main(port: int, database: str, folder: Path, kind: str) -> dict[str, Any]:
    """Load in full, merge, and look."""
    session, connection = opened(kind, port, database)
    spool = Spool("drivers", folder)
    destination = registry.open_destination(session, spool=spool)
    bench = Bench(DestinationSuite(), destination)
    full = bench.load(batch([account(1), account(2), account(3)]))
    changed = batch([account(2), account(3, at=5, Name="new"), account(4, at=5)])
    merged = bench.merge(changed, deletions((1, 6)), position={"n": 2})
    found = (
        connection.cursor()
        .execute('SELECT "ID", "NAME", "AMOUNT__C", "ISDELETED" FROM "RAW"."ACCOUNTS" ORDER BY "ID"')
        .fetchall()
    )
    answer = registry.open_query(session, 'SELECT "AMOUNT__C", "SYSTEMMODSTAMP" FROM "RAW"."ACCOUNTS" ORDER BY "ID"')
    told = {
        "version": snowflake.connector.__version__,
        "full": full.to_json(),
        "merged": merged.to_json(),
        "rows": [[str(value) for value in row] for row in found],
        "position": bench.position(),
        "types": [str(kind) for kind in answer.schema.types],
        "amounts": [str(row["AMOUNT__C"]) for row in answer.read_all().to_pylist()],
        "modes": [str(mode) for mode in Mode],
    }
    destination.close()
    spool.close()
    connection.close()
    return told


if __name__ == "__main__":
    if sys.version_info < (3, 12):
        gc.disable()
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4])))
