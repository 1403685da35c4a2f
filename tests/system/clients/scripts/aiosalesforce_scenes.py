"""Scenes of aiosalesforce. `way` names one of its flows, `credentials` is what that takes."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from aiosalesforce import Salesforce
from aiosalesforce.auth import ClientCredentialsFlow, JwtBearerFlow, SoapLogin
from aiosalesforce.bulk.v2.ingest import JobInfo
from play import Scene, play

POLL_S = 0.02
Record = dict[str, Any]


def scene(work: Callable[..., Awaitable[Any]]) -> Scene:
    """An async function as a scene with a loop of its own."""

    @functools.wraps(work)
    def run(**arguments: Any) -> Any:
        return asyncio.run(work(**arguments))

    return run


@asynccontextmanager
async def connected(url: str, way: str, credentials: Record, **options: Any) -> AsyncIterator[Salesforce]:
    with tempfile.TemporaryDirectory() as folder:
        if key := credentials.pop("private_key", None):
            credentials["private_key_file"] = Path(folder) / "key.pem"
            credentials["private_key_file"].write_text(key)
        flow = {"client_credentials": ClientCredentialsFlow, "soap": SoapLogin, "jwt": JwtBearerFlow}[way]
        async with httpx.AsyncClient() as web:
            yield Salesforce(web, base_url=url, auth=flow(**credentials), **options)


@scene
async def rows(soql: str, include_all_records: bool = False, **login: Any) -> list[Any]:
    async with connected(**login) as salesforce:
        return [row async for row in salesforce.query(soql, include_all_records=include_all_records)]


@scene
async def many_at_once(soql: str, times: int, **login: Any) -> list[int]:
    """How many rows each of so many parallel queries saw."""
    async with connected(**login) as salesforce:

        async def count() -> int:
            return len([row async for row in salesforce.query(soql)])

        return list(await asyncio.gather(*(count() for _ in range(times))))


@scene
async def limits(**login: Any) -> Any:
    async with connected(**login) as salesforce:
        return await salesforce.get_limits()


@scene
async def record_life(sobject: str, first: Record, second: Record, **login: Any) -> Record:
    async with connected(**login) as salesforce:
        kind = salesforce.sobject
        record_id = await kind.create(sobject, first)
        before = await kind.get(sobject, record_id, fields=list(first))
        await kind.update(sobject, record_id, second)
        after = await kind.get(sobject, record_id)
        await kind.delete(sobject, record_id)
        return {"id": record_id, "before": before, "after": after}


@scene
async def get(sobject: str, record_id: str, key: str | None = None, **login: Any) -> Any:
    async with connected(**login) as salesforce:
        return await salesforce.sobject.get(sobject, record_id, external_id_field=key)


@scene
async def upsert(sobject: str, key: str, value: str, record: Record, **login: Any) -> Record:
    async with connected(**login) as salesforce:
        return dataclasses.asdict(await salesforce.sobject.upsert(sobject, value, external_id_field=key, data=record))


@scene
async def batch(sobject: str, record: Record, soql: str, **login: Any) -> Record:
    """Composite batch: a record is made, an unknown one asked for, and a query run."""
    async with connected(**login) as salesforce, salesforce.composite.batch() as several:
        made = several.sobject.create(sobject, record)
        missing = several.sobject.get(sobject, "001000000000000AAA")
        found = several.query(soql)
    return {"id": made.id, "missing": missing.status_code, "records": found.records}


@scene
async def composite(parent: Record, child: Record, all_or_none: bool = True, as_shown: bool = False, **login: Any) -> Record:
    """Composite: an Account, and a Contact that refers to it before it exists, by the text of the reference or `as_shown`."""
    async with connected(**login) as salesforce, salesforce.composite(all_or_none=all_or_none) as several:
        account = several.sobject.create("Account", parent)
        reference = account.reference.id if as_shown else str(account.reference.id)
        contact = several.sobject.create("Contact", {**child, "AccountId": reference})
    return {"statuses": [account.status_code, contact.status_code], "bodies": [account.response_body, contact.response_body]}


@scene
async def bulk(operation: str, sobject: str, records: list[Record], key: str | None = None, **login: Any) -> list[Record]:
    async with connected(**login) as salesforce:
        jobs = salesforce.bulk_v2.ingest.perform_operation(
            operation, sobject, records, external_id_field=key, polling_interval=POLL_S
        )
        return [dataclasses.asdict(result) async for result in jobs]


@scene
async def bulk_jobs(sobject: str, **login: Any) -> Record:
    """Two jobs: one is aborted and deleted, one stays; what the list says then."""
    async with connected(**login) as salesforce:
        ingest = salesforce.bulk_v2.ingest
        gone, kept = await ingest.create_job("insert", sobject), await ingest.create_job("update", sobject)
        aborted = await ingest.abort_job(gone.id)
        await ingest.delete_job(gone.id)
        listed: list[JobInfo] = [job async for job in ingest.list_jobs()]
        return {"aborted": aborted.state, "kept": kept.id, "listed": [(job.id, job.job_type, job.state) for job in listed]}


play(rows, many_at_once, limits, record_life, get, upsert, batch, composite, bulk, bulk_jobs)
