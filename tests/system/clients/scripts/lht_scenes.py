"""Scenes of lht. Its Snowflake is the benchmarks' look-alike on DuckDB; for writes it gets a warehouse of the test's own."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import duckdb
from lht.salesforce import jobs, results_bapi, retl
from lht.salesforce.intelligent_sync import sync_sobject_intelligent
from lht.salesforce.merge import merge
from lht.user.salesforce_auth import jwt_bearer_flow, login_user_flow
from lht.warehouse import SnowflakeWarehouse
from play import play

Record = dict[str, Any]


def look_alike() -> Any:
    """The class that answers `sql(text).collect()` and `write_pandas(...)` as a Snowpark session does."""
    path = Path(__file__).resolve().parents[4] / "benchmarks" / "peers" / "lht.py"
    spec = importlib.util.spec_from_file_location("snowpark_look_alike", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    kept = list(sys.path)
    sys.path.insert(0, str(path.parent))  # as a program it finds its neighbour there, and takes the folder off the path
    spec.loader.exec_module(module)
    sys.path[:] = kept
    return module.Session


class Rows(SnowflakeWarehouse):
    """A warehouse of our own, as lht lets one be made: it gives the rows it has, and keeps what it is told to execute."""

    def __init__(self, found: list[Record]) -> None:
        super().__init__(None)
        self.found = found
        self.told: list[str] = []

    def rows(self, _query: str) -> list[Record]:
        return self.found

    def execute(self, statement: str) -> None:
        self.told.append(statement)


def by_client_credentials(client_id: str, client_secret: str, my_domain: str) -> Any:
    return login_user_flow(client_id, client_secret, my_domain)


def by_assertion(client_id: str, username: str, login_url: str, private_key: str) -> Any:
    return jwt_bearer_flow(client_id, username, login_url, private_key.encode())


def synced(login: Record, sobject: str, database: str, **options: Any) -> Record:
    """A sync into a table of the database, and what the table holds then."""
    with duckdb.connect(Path(os.environ["HOME"]) / database) as lake:
        for macro in ("TO_TIMESTAMP_NTZ", "TO_DATE"):  # the session makes them, and finds those of the last one
            lake.execute(f"DROP MACRO IF EXISTS {macro}")
        session = look_alike()(lake)
        result = sync_sobject_intelligent(session, login, sobject, "RAW", "ROWS", **options)
        held = lake.execute("SELECT id, name FROM raw.rows ORDER BY id").fetchall()
    return {"result": result, "held": held}


def written(login: Record, operation: str, sobject: str, rows: list[Record], **options: Any) -> Record:
    """Reverse ETL, and the results of the job as lht reads them."""
    warehouse = Rows(rows)
    told = getattr(retl, operation)(warehouse, login, sobject, "SELECT ...", **options)
    return {"told": told, "logged": warehouse.told}


def results(login: Record, job_id: str) -> Record:
    return {
        "job": results_bapi.get_job_info(login, job_id),
        "successful": results_bapi.get_successful_results(login, job_id),
        "failed": results_bapi.get_failed_results(login, job_id),
    }


def job_life(login: Record, job_id: str) -> Record:
    """All jobs, one of them, and its end."""
    listed = jobs.list_bulk_api_jobs(login)
    shown = jobs.get_bulk_api_job(login, job_id)
    deleted = jobs.delete_bulk_api_job(login, job_id)
    return {"listed": [job["id"] for job in listed], "shown": shown, "deleted": deleted}


def job_files(login: Record, job_id: str) -> Any:
    return jobs.get_ingest_job_results(login, job_id)


def merged(login: Record, sobject: str, rows: list[Record]) -> Any:
    return merge(Rows(rows), login, sobject, "SELECT ...")


play(by_client_credentials, by_assertion, synced, written, results, job_life, job_files, merged)
