"""Checks: every connection of a configuration tried, and what flows need beside connections, without changing anything."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

from halocline import registry
from halocline.connector import Target
from halocline.errors import HaloclineError
from halocline.flows.configuration import Configuration
from halocline.flows.connected import Connected
from halocline.flows.connections import (
    ENVIRONMENT,
    Connection,
    bucket_of,
    kind_of,
    leads_to_bucket,
    open_bucket_store,
    open_org,
    uri_of,
)
from halocline.flows.files import FileFlow
from halocline.flows.push import PushFlow
from halocline.flows.sync import SyncFlow
from halocline.ledger import open_ledger
from halocline.spool import Spool


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was tried: what it is, what was found, or the error."""

    name: str
    found: str = ""
    error: HaloclineError | None = None


def checks(configuration: Configuration, around: Connected) -> Iterator[Checked]:
    """Try the ledger, each connection, and what each flow reads beside it; each is told as soon as it is known."""
    yield _tried("ledger", lambda: _ledger(around))
    asked = {uri for flow in configuration.flows.values() if isinstance(flow, PushFlow) and (uri := flow.source) is not None}
    for name in _names(configuration):
        connection = around.connection(name)
        shown = {ENVIRONMENT: "salesforce by the SF_* variables"}.get(name, f"{name.partition('://')[0]}://...")
        shown = name if name in configuration.connections else shown
        yield _tried(shown, lambda one=connection, is_asked=name in asked: _connection(one, around, is_asked=is_asked))  # type: ignore[misc]  # bound as it is now
    for name, flow in configuration.flows.items():
        if not isinstance(flow, SyncFlow):
            yield _tried(f"flow {name}", lambda name=name, one=flow: _flow(name, one, around))  # type: ignore[misc]  # likewise


def _names(configuration: Configuration) -> list[str]:
    """The connections of the file, and those that flows name without one."""
    named = [*configuration.connections]
    for flow in configuration.flows.values():
        org = flow.org if isinstance(flow, SyncFlow) else flow.to
        other = flow.to if isinstance(flow, SyncFlow) else flow.source
        named += [ENVIRONMENT if org is None else org, *([] if other is None else [other])]
    return list(dict.fromkeys(named))


def _tried(name: str, look: Callable[[], str]) -> Checked:
    try:
        return Checked(name, look())
    except HaloclineError as error:
        return Checked(name, error=error)


def _ledger(around: Connected) -> str:
    place = around.settings.ledger
    with open_ledger(place):
        return "shared by all hosts that reach it" if isinstance(place, str) else f"a file of this host: {place}"


def _connection(connection: Connection, around: Connected, *, is_asked: bool) -> str:
    if kind_of(connection) == "salesforce":
        client = open_org(connection, sink=around.sink)
        try:
            return registry.look("salesforce", client)
        finally:
            client.close()
    if leads_to_bucket(connection):
        bucket, prefix = bucket_of(connection)
        found = len(list(islice(open_bucket_store(connection).each(bucket, prefix), 1)))
        return f"s3://{bucket}/{prefix}: {'can be listed' if found else 'can be listed, and is empty'}"
    return _asked(connection, around) if is_asked else _written(connection, around)


def _asked(connection: Connection, around: Connected) -> str:
    reader = registry.open_query(uri_of(connection), "SELECT 1 AS one", memory_limit=around.settings.duckdb_memory)
    with reader:
        reader.read_all()
    return "answers queries"


def _written(connection: Connection, around: Connected) -> str:
    with ExitStack() as stack:
        spool = Spool(uuid.uuid4().hex, around.settings.spool)
        stack.callback(spool.close)
        options = {"spool": spool, "memory_limit": around.settings.duckdb_memory, "read_only": True, "sink": around.sink}
        destination = registry.open_destination(uri_of(connection), **options)
        stack.callback(destination.close)
        destination.position("halocline check", Target(None, "halocline_check"))
    return "can be reached"


def _flow(name: str, flow: PushFlow | FileFlow, around: Connected) -> str:
    if isinstance(flow, FileFlow):
        job = flow.job(name, around)
        return f"files below s3://{job.bucket}/{job.prefix} go into {job.sobject}"
    flow.mapper(around)
    if flow.query is None:
        with flow.rows(around) as rows:
            return f"{rows.name}: {len(rows):,} rows for {flow.sobject}"
    return f"its query goes into {flow.sobject}"
