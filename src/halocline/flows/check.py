"""Checks: every connection of a configuration tried, and what flows need beside connections, without changing anything."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Literal, Protocol

from halocline import registry
from halocline.connector import Target
from halocline.errors import HaloclineError, NotFound
from halocline.flows.configuration import AnyFlow, Configuration
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
from halocline.flows.listen import ListenFlow
from halocline.flows.push import PushFlow
from halocline.flows.sync import SyncFlow
from halocline.flows.tables import TablesFlow
from halocline.ledger import open_ledger
from halocline.quantity import quantity
from halocline.spool import Spool


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was tried: what it is, on which line it stands, what was found, or the error.

    `state` is ok, failed or skipped; `place` is what of the thing is wrong, where just one key of the file is.
    """

    name: str
    found: str = ""
    error: HaloclineError | None = None
    line: int | None = None
    place: str = ""
    state: Literal["ok", "failed", "skipped"] = "ok"


class Listens(Protocol):
    """What says that a flow of the kind listen has all that it needs, and raises where it has not."""

    def __call__(self, name: str, flow: ListenFlow, /, *, around: Connected) -> str:
        """What listening to its queue finds, in words."""


def checks(configuration: Configuration, around: Connected, *, listens: Listens) -> Iterator[Checked]:
    """Try the ledger, each connection, and what each flow needs; each is told as soon as it is known.

    A flow that needs a connection which failed is not tried: it would fail for that. `listens` says what listening to a queue
    finds, as `halocline.consume.examined.examine`.
    """
    yield _tried("ledger", lambda: _ledger(around))
    flows = configuration.flows.values()
    asked = {uri for flow in flows if isinstance(flow, (PushFlow, TablesFlow)) and (uri := flow.source) is not None}
    made = {flow.to for flow in flows if isinstance(flow, (SyncFlow, TablesFlow))}  # what is not there yet, these flows make
    failed: dict[str, str] = {}
    for name in _names(configuration):
        connection = around.connection(name)
        scheme, is_uri, _ = name.partition("://")
        shown = f"{scheme}://..." if is_uri and name not in configuration.connections else name
        shown = "salesforce by the SF_* variables" if name == ENVIRONMENT else shown
        look = partial(_connection, connection, around, is_asked=name in asked, is_made=name in made)
        found = _tried(shown, look, line=_line(name, configuration))
        if found.error is not None:
            failed[name] = shown
        yield found
    for name, flow in configuration.flows.items():
        without = next((failed[one] for one in _named_by(flow) if one in failed), None)
        line = configuration.line("flows", name)
        if without is not None:
            yield Checked(f"flow {name}", f"not tried, for {without} failed", line=line, state="skipped")
        else:
            found = _tried(f"flow {name}", partial(_flow, name, flow, around, listens=listens), line=line)
            yield _placed(found, name, configuration)
    if not configuration.flows:
        yield Checked("flows", "there are none yet; `halocline init` writes one")


def _names(configuration: Configuration) -> list[str]:
    """The connections of the file, and those that flows name without one."""
    named = [name for flow in configuration.flows.values() for name in _named_by(flow)]
    return list(dict.fromkeys([*configuration.connections, *named]))


def _named_by(flow: AnyFlow) -> list[str]:
    """The connections that a flow needs, by name or as URIs."""
    if isinstance(flow, ListenFlow):
        return []
    if isinstance(flow, TablesFlow):
        return [flow.source, flow.to]
    org = flow.org if isinstance(flow, SyncFlow) else flow.to
    other = flow.to if isinstance(flow, SyncFlow) else flow.source
    return [ENVIRONMENT if org is None else org, *([] if other is None else [other])]


def _line(name: str, configuration: Configuration) -> int | None:
    """Where a connection stands; where a URI stands in its place, the flow."""
    flow = next((one for one, flow in configuration.flows.items() if name in _named_by(flow)), None)
    return configuration.line("connections", name) or (None if flow is None else configuration.line("flows", flow))


def _tried(name: str, look: Callable[[], str], *, line: int | None = None) -> Checked:
    try:
        return Checked(name, look(), line=line)
    except HaloclineError as error:
        return Checked(name, error=error, line=line, state="failed")


def _placed(found: Checked, flow: str, configuration: Configuration) -> Checked:
    """What was found, with the line and the place of the option that is wrong, where the error is about one in the file."""
    facts = {} if found.error is None else found.error.facts
    table, option = facts.get("table"), facts.get("option")
    if not isinstance(table, int) or not isinstance(option, str):
        return found
    place = ("tables", table, "options", option)
    line = configuration.line("flows", flow, *place)
    return found if line is None else replace(found, line=line, place=".".join(map(str, place)))


def _ledger(around: Connected) -> str:
    place = around.settings.ledger
    with open_ledger(place):
        return "shared by all hosts that reach it" if isinstance(place, str) else f"a file of this host: {place}"


def _connection(connection: Connection, around: Connected, *, is_asked: bool, is_made: bool) -> str:
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
    if not is_asked and (is_made or not registry.only_reads(uri_of(connection))):
        return _written(connection, around)
    try:
        return _asked(connection, around)
    except NotFound:
        if not is_made:
            raise
    return _written(connection, around)


def _asked(connection: Connection, around: Connected) -> str:
    uri = uri_of(connection)
    if not registry.can_query(uri):
        registry.connect(registry.reader_of(uri), uri, memory_limit=around.settings.duckdb_memory, sink=around.sink).close()
        return "can be read"
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


def _flow(name: str, flow: AnyFlow, around: Connected, *, listens: Listens) -> str:
    if isinstance(flow, ListenFlow):
        return listens(name, flow, around=around)
    if isinstance(flow, SyncFlow):
        return _sync(flow, around)
    if isinstance(flow, TablesFlow):
        counts = [survey.estimated_rows for _, survey, _ in flow.plan(name, around)]
        return f"{quantity(len(counts), 'table')} with about {quantity(sum(counts), 'row')} can be read, and have where to go"
    if isinstance(flow, FileFlow):
        job = flow.job(name, around)
        return f"files below s3://{job.bucket}/{job.prefix} go into {job.sobject}{flow.examine(around)}"
    flow.find_functions(around)
    if flow.rows_of is not None:
        return f"what {flow.rows_of} gives goes into {flow.sobject}; it is not called now{flow.examine(around)}"
    if flow.query is None:
        with flow.rows(around) as rows:
            return f"{rows.name}: {quantity(len(rows), 'row')} for {flow.sobject}{flow.examine(around, rows)}"
    return f"its query goes into {flow.sobject}{flow.examine(around)}"


def _sync(flow: SyncFlow, around: Connected) -> str:
    """Each object that is named is looked at; those that only patterns stand for are too many for that."""
    with flow.system(around) as system:
        jobs = flow.jobs(system, around)
        named = {one.lower() for one in flow.objects} if flow.soql is None else {job.sobject.lower() for job in jobs}
        looked = list(system.plan_all([job for job in jobs if job.sobject.lower() in named], parallel=flow.parallel))
    for one in looked:
        if one.error is not None:
            raise one.error
    count = sum(one.survey.estimated_rows for one in looked if one.survey is not None)
    about = f", {quantity(count, 'row')} to be read from those that are named" if looked else ""
    return f"{quantity(len(jobs), 'object')} can be read{about}"
