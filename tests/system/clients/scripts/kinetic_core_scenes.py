"""Scenes of kinetic-core. `session` is what its `SalesforceSession` takes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from kinetic_core import (
    FieldMapper,
    JWTAuthenticator,
    OAuthAuthenticator,
    SalesforceClient,
    SalesforceSession,
    SyncMode,
    SyncPipeline,
)
from play import play

Record = dict[str, Any]


def client_of(session: Record) -> SalesforceClient:
    return SalesforceClient(SalesforceSession(**session))


def by_password(login: Record) -> Record:
    session = OAuthAuthenticator(**login).authenticate()
    return {"instance": session.instance_url, "rows": SalesforceClient(session).count("Organization")}


def by_assertion(login: Record, private_key: str) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key.pem"
        path.touch(mode=0o600)
        path.write_text(private_key)
        session = JWTAuthenticator(**login, private_key_path=str(path)).authenticate()
    return {"instance": session.instance_url, "rows": SalesforceClient(session).count("Organization")}


def record_life(session: Record, sobject: str, first: Record, second: Record) -> Record:
    client = client_of(session)
    record_id = client.create(sobject, first)
    before = client.get(sobject, record_id, fields=list(first))
    changed = client.update(sobject, record_id, second)
    after = client.get(sobject, record_id)
    return {"id": record_id, "before": before, "changed": changed, "after": after, "deleted": client.delete(sobject, record_id)}


def create(session: Record, sobject: str, record: Record) -> str:
    return client_of(session).create(sobject, record)


def create_batch(session: Record, sobject: str, records: list[Record]) -> list[Any]:
    return client_of(session).create_batch(sobject, records)


def upsert(session: Record, sobject: str, key: str, value: str, record: Record) -> Any:
    return client_of(session).upsert(sobject, key, value, record)


def query(session: Record, soql: str, include_deleted: bool = False) -> list[Any]:
    return client_of(session).query(soql, include_deleted=include_deleted)


def described(session: Record, sobject: str) -> Record:
    client = client_of(session)
    return {"every": [one["name"] for one in client.list_objects()], "one": client.describe(sobject)}


def count(session: Record, sobject: str, where: str) -> int:
    return client_of(session).count(sobject, where)


def piped(session: Record, sobject: str, mode: str, records: list[Record], mapping: Record, key: str | None = None) -> Record:
    """Its pipeline: one call for each record."""
    pipeline = SyncPipeline(client_of(session), sobject, FieldMapper(mapping), SyncMode[mode], external_id_field=key)
    result = pipeline.sync(records)
    return {
        "status": result.status.name,
        "good": result.success_count,
        "bad": result.error_count,
        "errors": [error["error"] for error in result.errors],
    }


def bulk(session: Record, operation: str, sobject: str, records: list[Any], key: str | None = None) -> Record:
    work = getattr(client_of(session).bulk, operation)
    return (work(sobject, records, key) if key else work(sobject, records)).to_dict()


def bulk_query(session: Record, soql: str) -> Record:
    return client_of(session).bulk.query(soql).to_dict()


play(by_password, by_assertion, record_life, create, create_batch, upsert, query, described, count, piped, bulk, bulk_query)
