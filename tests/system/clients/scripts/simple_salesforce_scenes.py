"""Scenes of simple-salesforce. `login` is what its `Salesforce` class takes."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from play import play
from simple_salesforce import Salesforce

Record = dict[str, Any]


def logged_in(login: Record) -> Record:
    salesforce = Salesforce(**login)
    answer = salesforce.query("SELECT Id FROM Organization")
    return {
        "way": salesforce.auth_type,
        "instance": salesforce.sf_instance,
        "token": salesforce.session_id,
        "rows": answer["totalSize"],
    }


def who_am_i(login: Record) -> Any:
    return Salesforce(**login).oauth2("userinfo")


def outlived_session(login: Record) -> Record:
    """Its own token is revoked; the next call has to log in again."""
    salesforce = Salesforce(**login)
    before = salesforce.session_id
    salesforce.oauth2("revoke", {"token": before})
    rows = salesforce.query("SELECT Id FROM Organization")["totalSize"]
    return {"is_new": salesforce.session_id != before, "rows": rows}


def usage(login: Record) -> Any:
    salesforce = Salesforce(**login)
    salesforce.query("SELECT Id FROM Organization")
    return salesforce.api_usage["api-usage"]._asdict()


def query(login: Record, soql: str, include_deleted: bool = False) -> Any:
    return Salesforce(**login).query(soql, include_deleted=include_deleted)


def query_all(login: Record, soql: str, include_deleted: bool = False) -> Any:
    return Salesforce(**login).query_all(soql, include_deleted=include_deleted)


def query_all_iter(login: Record, soql: str) -> list[Any]:
    return list(Salesforce(**login).query_all_iter(soql))


def query_more(login: Record, soql: str) -> Record:
    """The second page, once by its id and once by its URL."""
    salesforce = Salesforce(**login)
    url = salesforce.query(soql)["nextRecordsUrl"]
    by_id = salesforce.query_more(url.rpartition("/")[2])
    by_url = salesforce.query_more(url, identifier_is_url=True)
    return {"url": url, "by_id": by_id, "by_url": by_url}


def record_life(login: Record, sobject: str, first: Record, second: Record) -> Record:
    """Create, read, change, read, delete, look again."""
    kind = getattr(Salesforce(**login), sobject)
    created = kind.create(first)
    before = kind.get(created["id"])
    changed = kind.update(created["id"], second)
    after = kind.get(created["id"])
    deleted = kind.delete(created["id"])
    return {"created": created, "before": before, "changed": changed, "after": after, "deleted": deleted}


def get(login: Record, sobject: str, record_id: str) -> Any:
    return getattr(Salesforce(**login), sobject).get(record_id)


def create(login: Record, sobject: str, record: Record) -> Any:
    return getattr(Salesforce(**login), sobject).create(record)


def upsert(login: Record, sobject: str, key: str, record: Record) -> int:
    """The HTTP status, as it returns it."""
    return int(getattr(Salesforce(**login), sobject).upsert(key, record))


def get_by_key(login: Record, sobject: str, field: str, value: str) -> Any:
    return getattr(Salesforce(**login), sobject).get_by_custom_id(field, value)


def described(login: Record, sobject: str) -> Record:
    salesforce = Salesforce(**login)
    kind = getattr(salesforce, sobject)
    return {"every": salesforce.describe(), "one": kind.describe(), "basic": kind.metadata()}


def changes(login: Record, sobject: str, start: str, end: str) -> Record:
    kind = getattr(Salesforce(**login), sobject)
    window = datetime.fromisoformat(start), datetime.fromisoformat(end)
    return {"deleted": kind.deleted(*window), "updated": kind.updated(*window)}


def limits(login: Record) -> Any:
    return Salesforce(**login).limits()


def is_sandbox(login: Record) -> Any:
    return Salesforce(**login).is_sandbox()


def search(login: Record, sosl: str) -> Any:
    return Salesforce(**login).search(sosl)


def quick_search(login: Record, words: str) -> Any:
    return Salesforce(**login).quick_search(words)


def tooling(login: Record, action: str) -> Any:
    return Salesforce(**login).toolingexecute(action)


def bulk(login: Record, sobject: str, operation: str, data: Any, **options: Any) -> Any:
    """Bulk API 1.0: one of its operations."""
    return list(getattr(getattr(Salesforce(**login).bulk, sobject), operation)(data, **options))


def bulk_lazy(login: Record, sobject: str, soql: str) -> list[Any]:
    """Bulk API 1.0, page by page."""
    return list(getattr(Salesforce(**login).bulk, sobject).query(soql, lazy_operation=True))


def bulk_dml(login: Record, sobject: str, operation: str, data: Any, key: str | None = None) -> Any:
    """Bulk API 1.0 by name of the operation."""
    return Salesforce(**login).bulk.submit_dml(sobject, operation, data, external_id_field=key)


def bulk2(login: Record, sobject: str, operation: str, records: list[Record], **options: Any) -> Record:
    """Bulk API 2.0: one of its operations, and the three result files of its first job."""
    kind = getattr(Salesforce(**login).bulk2, sobject)
    jobs = getattr(kind, operation)(records=records, **options)
    job_id = jobs[0]["job_id"]
    return {
        "jobs": jobs,
        "successful": kind.get_successful_records(job_id),
        "failed": kind.get_failed_records(job_id),
        "unprocessed": kind.get_unprocessed_records(job_id),
    }


def bulk2_file(login: Record, sobject: str, text: str, **options: Any) -> Any:
    """Bulk API 2.0: insert from a file, several jobs at a time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text(text, encoding="utf-8", newline="")
        return getattr(Salesforce(**login).bulk2, sobject).insert(csv_file=str(path), **options)


def bulk2_results_file(login: Record, sobject: str, job_id: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.csv"
        getattr(Salesforce(**login).bulk2, sobject).get_successful_records(job_id, file=str(path))
        return path.read_text(encoding="utf-8")


def bulk2_query(login: Record, sobject: str, soql: str, operation: str = "query", **options: Any) -> list[str]:
    """Bulk API 2.0: the pages of a query."""
    return list(getattr(getattr(Salesforce(**login).bulk2, sobject), operation)(soql, **options))


def bulk2_download(login: Record, sobject: str, soql: str, **options: Any) -> list[Record]:
    """Bulk API 2.0: the pages of a query as files."""
    with tempfile.TemporaryDirectory() as folder:
        pages = getattr(Salesforce(**login).bulk2, sobject).download(soql, folder, **options)
        return [{**page, "file": Path(page["file"]).read_text(encoding="utf-8")} for page in pages]


def bulk2_job_life(login: Record, sobject: str) -> Record:
    """Bulk API 2.0: an ingest job is created and aborted."""
    client = getattr(Salesforce(**login).bulk2, sobject)._client
    created = client.create_job("insert")
    return {"created": created, "aborted": client.abort_job(created["id"], False), "seen": client.get_job(created["id"], False)}


def bulk2_delete_job(login: Record, sobject: str, job_id: str, is_query: bool) -> Any:
    return getattr(Salesforce(**login).bulk2, sobject)._client.delete_job(job_id, is_query)


play(
    *(logged_in, who_am_i, outlived_session, usage),
    *(query, query_all, query_all_iter, query_more, record_life, get, create, upsert, get_by_key),
    *(described, changes, limits, is_sandbox, search, quick_search, tooling),
    *(
        bulk,
        bulk_lazy,
        bulk_dml,
        bulk2,
        bulk2_file,
        bulk2_results_file,
        bulk2_query,
        bulk2_download,
        bulk2_job_life,
        bulk2_delete_job,
    ),
)
