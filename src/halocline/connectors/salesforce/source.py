"""An sObject as a source: surveyed once, read by REST or by Bulk, incrementally where it has a stamp.

    survey: describe -> position -> what was deleted, up to when all is complete -> COUNT()
    parts:  deletions that no query shows; then one part by REST, or one part for each result page of one Bulk job
    read:   rest -> Arrow from JSON;  bulk -> Arrow from a downloaded page;  bulk_stage -> the downloaded page itself

A finished job is deleted by `ack`, once its rows are durable, and not before: the next run takes it up, or lets go of it
(`adoption`). After a run that failed because of what it read, it stays for a look until Salesforce drops it (seven days).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, Unpack

import pyarrow as pa

from halocline import events
from halocline.batch import JSON, Batch, Op, Position
from halocline.budget import Spend
from halocline.connector import (
    OVERLAP_S,
    Abilities,
    Contract,
    Deletes,
    Journal,
    Manifest,
    ObjectChoice,
    Part,
    Plan,
    Survey,
    Unfinished,
)
from halocline.connectors.salesforce import adoption, bulk, describe, objects, pages, rest, select, soql, types, window
from halocline.connectors.salesforce.client import SalesforceClient, TransportOptions
from halocline.connectors.salesforce.describe import KEY, Sobject
from halocline.connectors.salesforce.pages import Shelf
from halocline.errors import AccessDenied, BadQuery, FixConfig, NotFound, RetryLater, Truncated
from halocline.halt import Halt
from halocline.quantity import quantity, quantity_of
from halocline.retry import Pace
from halocline.schema import Schema
from halocline.spool import Spool, discard

DELETIONS_AT_ONCE = 50_000  # in one part
_WHERE_HINT = "Look at the where clause: one SOQL condition is wanted, such as Industry = 'Energy' OR Rating = 'Hot'."
_UNLISTED = "Salesforce keeps no list of this object's deletions; rows that vanish from the recycle bin are not seen."
_UNFLAGGED = (
    "Salesforce neither flags nor lists this object's deletions, so a later sync sees none: rows of deleted records stay until a "
    "full sync (--full) or `halocline verify --repair`."
)
_TOO_LONG = "QUERY_TIMEOUT"
_NO_DELETIONS = frozenset({"INVALID_REPLICATION_DATE", "EXCEEDED_ID_LIMIT"})


@dataclass(frozen=True, slots=True)
class _Deletions:
    """What getDeleted said: (id, deletedDate) pairs, and the instant up to which that is complete (None: it did not say)."""

    rows: tuple[tuple[str, str], ...] = ()
    covered: datetime | None = None
    refused: str | None = None


class SalesforceSource:
    """One object of an org, with the columns, condition and settings that a sync asks for. Implements `connector.Source`.

    `fields` (None: all that can be carried) less `exclude`; `where` is SOQL without the WHERE. `numbers="double"` gives up
    exact decimals. `overlap_s` is read again before the position; `deadline_s` bounds the wait for the Bulk job. Result pages
    are downloaded into `spool`. `query` is a whole SELECT in the place of `fields`, `exclude` and `where`; columns of parents are
    then named by their path (`Owner.Name`). `contract` says what becomes of columns that differ from the last read; `shape` is
    what becomes of columns behind this source, where with `history` ended versions of rows are kept: a position is only good for
    the same. Result pages are kept for the next run of
    `flow`, until their rows are durable; without a name, or where they may not outlive the run (`keep_pages`), they are not.
    `spend` is asked before each call, and `halt` ends them.
    """

    def __init__(
        self,
        client: SalesforceClient,
        sobject: str,
        *,
        spool: Spool,
        fields: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        where: str | None = None,
        deletes: Deletes = Deletes.SOFT,
        numbers: str = "decimal",
        overlap_s: float = OVERLAP_S,
        deadline_s: float = bulk.DEADLINE_S,
        query: str | None = None,
        contract: Contract = Contract.EVOLVE,
        shape: str | None = None,
        history: bool = False,
        formula_refresh_s: float | None = None,
        flow: str | None = None,
        keep_pages: bool = True,
        spend: Spend | None = None,
        halt: Halt | None = None,
        sink: events.Sink | None = None,
        pace: Pace = Pace(),  # noqa: B008  # frozen, and holds functions only
    ) -> None:
        if overlap_s < 0:
            raise FixConfig("Reading the options", f"overlap_s={overlap_s} is negative", hint="It counts seconds, from 0 up.")
        pace = pace if halt is None else halt.heard_by(pace)
        self._client = client = client.view(spend=spend, halt=halt, sink=sink if halt is not None else None)
        self._name = soql.name(sobject)
        self._selection = _selection(query, sobject, fields=fields, exclude=exclude, where=where)
        self._fields, self._exclude = (self._selection.fields if self._selection else fields), exclude
        self._where = soql.condition(self._selection.where if self._selection else where)
        self._contract, self._shape, self._history = Contract(contract), shape, history
        self._deletes = Deletes(deletes)
        self._numbers = types.check_numbers(numbers)
        self._overlap_s = overlap_s
        self._formula_refresh_s = formula_refresh_s
        self._spool = spool
        self._pace = pace
        self._sink = sink or events.silent
        self._bulk = bulk.BulkQuery(client.transport, deadline_s=deadline_s, sink=self._sink, pace=pace)
        self._shelf = Shelf(flow, spool) if flow else None
        self._keeps = keep_pages and flow is not None
        self._since: Position | None = None
        self._journal: Journal | None = None
        self._taken: str | None = None
        self._deletions = _Deletions()
        self._counted = True
        self._ordered = True
        self._job: bulk.FinishedJob | None = None
        self._issued: dict[str, int | None] = {}

    @property
    def calls(self) -> int:
        """Calls made to Salesforce so far, by this source."""
        return self._client.transport.usage.calls

    def survey(self, since: Position | None) -> Survey:
        """Columns, rows to expect, the server's clock, and where the next read will start.

        Raises: NotFound with near names for an object or field that does not exist; BadQuery for a condition that Salesforce
        does not understand; Refused for the position of another org; AccessDenied, LoginRefused, RetryLater.
        """
        return self._surveyed(since, self._described(since))

    def survey_of_all(self, since: Position) -> Survey:
        """See `connector.survey_of_all`; a contract goes by the columns of `since`.

        Raises: as `survey`.
        """
        sobject = self._described(since)
        self._hold(since, self._scope(sobject))
        return replace(self._surveyed(None, sobject), same_question=not self._where)

    def _hold(self, since: Position | None, scope: window.Scope) -> None:
        """Hold the columns to the contract with those of `since`."""
        if self._contract is Contract.FREEZE:
            window.refuse_drift(since, scope)
        if self._contract is Contract.DISCARD:
            window.refuse_other_names(since, scope)

    def _surveyed(self, since: Position | None, sobject: Sobject) -> Survey:
        """What a survey says of an object, to be read from a position on."""
        self._since = since
        self._ordered = sobject.ordered
        # Every answer of Salesforce has a Date; without one, this machine's clock is the best guess, and the overlap its safety.
        now = self._client.transport.server_time or datetime.now(UTC)
        scope = self._scope(sobject)
        window.refuse_other_org(since, scope)
        self._hold(since, scope)
        window.refuse_exposed(since, scope, versions=self._history)
        start = window.start(since, scope, now=now, overlap_s=self._overlap_s)
        self._deletions = self._deleted(sobject, low=start.low, now=now)
        if start.low is not None and self._matters(sobject) and self._deletions.refused:
            start = window.Start(reason=self._deletions.refused, same_question=not self._where)
        refresh = self._refresh_due(sobject, start, now=now)
        low = None if refresh else start.low
        query = self._query(sobject.schema, sobject.cursor, low=low, high=window.high(now))
        following = scope.position(window.next_stamp(now, self._deletions.covered))
        return Survey(
            object=sobject.name,
            schema=sobject.schema,
            estimated_rows=self._count(query),
            server_time=soql.instant(now),
            complete_until=soql.instant(self._deletions.covered) if self._deletions.covered else None,
            cursor=sobject.cursor,
            delete_flag=None if self._deletes is Deletes.IGNORE else sobject.delete_flag,
            window=(soql.instant(start.low) if start.low else None, soql.instant(window.high(now))),
            abilities=Abilities(
                once=True, bulk=not sobject.not_in_bulk, bulk_reason=sobject.not_in_bulk, max_query_bytes=soql.MAX_QUERY_BYTES
            ),
            next_position={**following, **self._formulas_read(sobject, now if low is None else None)},
            query=query.text,
            query_bytes=soql.uri_bytes(query.text, base=self._client.transport.base),
            full_reason=start.reason,
            notes=(*sobject.notes, *self._notes(sobject)),
            references=sobject.references,
            carried_until=window.carried_until(since),
            refresh=refresh,
            same_question=start.same_question,
            conditional=self._where is not None,
            masked_anew={name: name for name in window.masked_anew(since, scope)},
        )

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:
        """The plan, or one that goes on with a Bulk job that an earlier run left; see `adoption`.

        Raises: RetryLater when Salesforce does not say what became of a job.
        """
        self._journal, self._taken = journal, None
        transport = self._client.transport
        orphans = adoption.Orphans(
            self._bulk, version=transport.version, now=lambda: transport.server_time, shelf=self._shelf, sink=self._sink
        )
        found = orphans.adopt(left, adoption.Question(plan, self._since, self._planned, self._count))
        if found is None or found.job is None or found.plan is None or found.intent is None:
            return plan
        journal.intend(adoption.CHUNK, found.intent.to_json())
        journal.remote(adoption.CHUNK, found.job)
        self._taken = found.job
        return found.plan

    def parts(self, plan: Plan) -> Iterator[Part]:
        """The deletions that no query shows, then the rows. One Bulk job at most is created, and it is waited for here.

        Raises: BulkUnsupported before any row was read, so that the plan can be made again; JobFailed, StillRunning.
        """
        self._issued = {}
        for part in (*self._deletion_parts(plan), *self._rest_parts(plan)):
            self._issued[part.id] = len(part.spec.get("deleted", ())) or None  # type: ignore[arg-type]  # a list of our own
            yield part
        if plan.api != "rest":
            yield from self._bulk_parts(plan)

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:  # noqa: ARG002  # the contract's
        """The rows of one part. `resume` is not used: a part is small enough to be read again from its start."""
        spec: Mapping[str, Any] = part.spec
        if "deleted" in spec:
            yield _deletion_batch(spec)
        elif "rest" in spec:
            first = 0
            for rows in rest.batches(self._client, rest.RestQuery.from_json(spec["rest"])):
                yield Batch(rows=rows, first_row=first)
                first += rows.num_rows
        else:
            yield from self._read_pages(part)

    def again(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:
        """See `Source.again`: by REST, some keys a call."""
        return self._again(plan, keys, where=self._where)

    def again_of_all(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch] | None:
        """See `connector.again_of_all`; some objects Salesforce only queries under a condition of theirs."""
        return None if objects.needs_filter(self._name) else self._again(plan, keys, where=None)

    def _again(self, plan: Plan, keys: Sequence[JSON], *, where: str | None) -> Iterator[Batch]:
        include_deleted = plan.deletes is not Deletes.IGNORE
        query = rest.RestQuery(plan.object, plan.schema, plan.cursor, where, None, include_deleted)
        for rows in rest.of_keys(self._client, query, key=plan.key[0], keys=keys):
            yield Batch(rows=rows)

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:
        """Every part was staged, every deletion, and as many rows as the job says it has.

        Raises: Truncated when not.
        """
        doing = f"Checking what was read of {plan.object}"
        staged = {manifest.part: manifest for manifest in manifests}
        missing = [name for name in self._issued if name not in staged]
        if missing:
            raise Truncated(
                doing, f"{quantity_of(len(missing), len(self._issued), what='part was')} not staged ({missing[0]}, ...)"
            )
        for name, deletions in self._issued.items():
            if deletions is not None and staged[name].deletes != deletions:
                raise Truncated(doing, f"{quantity_of(staged[name].deletes, deletions, what='deletion was')} staged")
        rows = sum(manifest.rows for manifest in manifests)
        if self._job is not None and plan.api != "rest" and rows != self._job.rows:
            cause = f"job {self._job.id} has {quantity(self._job.rows, 'row')}, but {rows:,} were staged"
            raise Truncated(doing, cause, job_id=self._job.id, rows=rows, announced=self._job.rows)

    def ack(self, receipts: Sequence[JSON]) -> None:
        """Delete the jobs whose rows are durable. Idempotent; the receipts may be another run's."""
        for receipt in receipts:
            self._bulk.delete(str(receipt))
            if self._shelf is not None:
                self._shelf.clear(str(receipt))

    def _described(self, since: Position | None) -> Sobject:
        objects.refuse_unreadable(self._name, filtered=self._where is not None)
        try:
            told = self._client.describe(self._name)
        except NotFound as error:
            known = [str(one["name"]) for one in self._client.list_objects()]
            raise describe.with_suggestions(error, known, wanted=self._name) from error
        sobject = describe.read(told, fields=self._fields, exclude=self._exclude, numbers=self._numbers)
        if self._selection:
            paths, ask = self._selection.paths, cache(self._client.describe)
            sobject = describe.with_parents(sobject, select.parent_columns(paths, told, describe=ask, numbers=self._numbers))
        return describe.without_new(sobject, window.known_columns(since)) if self._contract is Contract.DISCARD else sobject

    def _scope(self, sobject: Sobject) -> window.Scope:
        return window.Scope(
            object=sobject.name,
            cursor=sobject.cursor,
            fields=sobject.schema.names,
            where=self._where,
            deletes=self._deletes,
            numbers=self._numbers,
            replicateable=sobject.replicateable,
            org=self._client.org_id(),
            kinds=tuple(map(describe.kind, sobject.schema)),
            shape=self._shape,
        )

    def _refresh_due(self, sobject: Sobject, start: window.Start, *, now: datetime) -> str | None:
        """Why all rows are read although only changed ones need be, for the sake of formulas."""
        if start.low is None or not any(column.calculated for column in sobject.schema):
            return None
        return window.refresh_due(self._since, now=now, every_s=self._formula_refresh_s)

    def _formulas_read(self, sobject: Sobject, now: datetime | None) -> Position:
        """What the next position says of formulas: read for all rows now, or (`now` None) when the one before it says."""
        at = now or window.formulas_read(self._since)
        return {"formulas": soql.instant(at)} if at and any(column.calculated for column in sobject.schema) else {}

    def _matters(self, sobject: Sobject) -> bool:
        """Whether deletions are asked for and can be told."""
        return self._deletes is not Deletes.IGNORE and sobject.replicateable

    def _deleted(self, sobject: Sobject, *, low: datetime | None, now: datetime) -> _Deletions:
        """The deletions since `low`, and up to when all changes are complete.

        The minute under way is asked for as well. That Salesforce takes an end in the future is unverified; where it does not,
        the last whole minute is the end.
        """
        if not sobject.replicateable:
            return _Deletions()
        wanted = low if self._matters(sobject) else None
        begin, end = window.deletions(wanted, now)
        answer = _Deletions()
        for until in (end, now.replace(second=0, microsecond=0)):
            try:
                rows, covered = self._client.deleted(sobject.name, begin, until)
            except (AccessDenied, NotFound, BadQuery) as error:
                if isinstance(error, BadQuery) and error.code not in _NO_DELETIONS:
                    raise
                answer = _Deletions(refused=f"Salesforce does not list the deletions since then ({error.cause})")
            else:
                return _Deletions(tuple(rows) if wanted else (), window.moment(covered))
        return answer

    def _query(self, schema: Schema, cursor: str | None, *, low: datetime | None, high: datetime) -> rest.RestQuery:
        bounds = soql.window(cursor, soql.instant(low), high=soql.instant(high)) if cursor and low else None
        include_deleted = self._deletes is not Deletes.IGNORE
        return rest.RestQuery(self._name, schema, cursor, self._where, bounds, include_deleted, ordered=self._ordered)

    def _count(self, query: rest.RestQuery) -> int:
        text = soql.count(query.sobject, conditions=(query.where, query.window))
        try:
            return self._client.count(text, include_deleted=query.include_deleted)
        except NotFound as error:
            told = self._client.describe(query.sobject)
            raise describe.with_suggestions(error, [str(field["name"]) for field in told["fields"]]) from error
        except BadQuery as error:
            hint = error.hint or (_WHERE_HINT if query.where else "")
            raise BadQuery(error.doing, error.cause, hint=hint, code=error.code, **error.facts) from error
        except RetryLater as error:
            if error.code != _TOO_LONG:
                raise
            self._counted = False  # of a very large object; Salesforce's own figure decides the way just as well
            return self._client.record_count(query.sobject)

    def _notes(self, sobject: Sobject) -> Iterator[str]:
        if self._deletes is not Deletes.IGNORE and not sobject.replicateable and sobject.cursor:
            yield _UNFLAGGED if sobject.delete_flag is None else _UNLISTED
        last = window.formulas_read(self._since)
        if last and self._formula_refresh_s and any(column.calculated for column in sobject.schema):
            yield f"Formulas were last read for all rows at {soql.instant(last)} (formula_refresh)."
        if not self._counted:
            yield "Counting the rows took Salesforce too long; its own cached count of the whole object stands in."
        if self._where and sobject.cursor:
            yield f"A later sync does not see that a record has ceased to meet the where clause; {self._leaves()}."

    def _leaves(self) -> str:
        """What becomes of the row of a record that has ceased to meet the condition."""
        if self._deletes is not Deletes.IGNORE:
            does = "end its version" if self._history else "remove its row"
            return f"a full sync (--full) and `halocline verify --repair` {does}"
        return "its row stays" if self._history else "a full sync (--full) removes its row"

    def _planned(self, plan: Plan) -> rest.RestQuery:
        """The plan's query in its pieces."""
        low, high = plan.window
        bounds = soql.window(plan.cursor, None if plan.full else low, high=high) if plan.cursor else None
        include_deleted = plan.deletes is not Deletes.IGNORE
        return rest.RestQuery(plan.object, plan.schema, plan.cursor, self._where, bounds, include_deleted, ordered=self._ordered)

    def _deletion_parts(self, plan: Plan) -> Iterator[Part]:
        """Deletions go only where rows may be from before: what takes a table's place has no row that was not read.

        Under a condition a complete read needs them too: they alone tell what is gone from what only ceased to meet it.
        """
        needless = plan.whole and not (plan.complete and plan.conditional)
        rows = () if needless or plan.deletes is Deletes.IGNORE else self._deletions.rows
        if rows and plan.key != (KEY,):
            told = (
                f"{quantity(len(rows), 'deletion')} cannot be applied: Salesforce lists deletions by Id, and rows are matched by"
            )
            self._sink(events.Noticed(f"{told} {', '.join(plan.key)}. Deleted rows in the recycle bin are seen all the same."))
            return
        # A creation date does not move, so the deletion's instant has no place in its column.
        stamp = None if plan.cursor == describe.CREATED else plan.cursor
        columns = plan.schema.select([name for name in (KEY, stamp) if name])
        for number, begin in enumerate(range(0, len(rows), DELETIONS_AT_ONCE)):
            some = [list(row) for row in rows[begin : begin + DELETIONS_AT_ONCE]]
            spec = {"deleted": some, "schema": columns.to_json(), "object": plan.object}
            yield Part(f"deleted-{number:05}", spec)

    def _rest_parts(self, plan: Plan) -> Iterator[Part]:
        if plan.api == "rest":
            yield Part("rows", {"rest": self._planned(plan).to_json()})

    def _bulk_parts(self, plan: Plan) -> Iterator[Part]:
        self._job = self._bulk.take(self._taken, sobject=plan.object) if self._taken else self._new_job(plan)
        common = {"job": self._job.id, "raw": plan.api == "bulk_stage", "schema": plan.schema.to_json(), "object": plan.object}
        listed = self._bulk.pages(self._job.id)
        number = 0
        for number, url in enumerate(listed or (), start=1):
            yield self._issue(Part(f"page-{number:05}", {**common, "url": url}))
        if not number:
            yield self._issue(Part("pages", {**common, "url": self._bulk.first_page(self._job.id), "chain": True}))

    def _new_job(self, plan: Plan) -> bulk.FinishedJob:
        query, operation = self._planned(plan), "queryAll" if plan.deletes is not Deletes.IGNORE else "query"
        transport, since = self._client.transport, self._since

        def intent() -> adoption.Intent:
            at = soql.instant(transport.server_time or datetime.now(UTC))
            return adoption.Intent(query.text, operation, transport.version, since, at)

        book = adoption.JobBook(self._journal, intent, self._shelf) if self._journal is not None else None
        asked: dict[str, Any] = {"sobject": plan.object, "include_deleted": query.include_deleted, "book": book}
        return self._bulk.run(query.text, count=lambda: self._count(query), **asked)

    def _issue(self, part: Part) -> Part:
        self._issued[part.id] = None
        return part

    def _read_pages(self, part: Part) -> Iterator[Batch]:
        """One result page, or, where pages are chained by locators, one after the other."""
        spec: Mapping[str, Any] = part.spec
        url, number, first = str(spec["url"]), 0, 0
        while url:
            page = self._fetched(spec, url, file=f"{part.id}-{number:05}.csv")
            yield from _page_batches(page, spec, first=first, keep=self._keeps)
            first += page.rows
            number += 1
            chained = spec.get("chain") and page.locator
            url = self._bulk.first_page(str(spec["job"]), page.locator) if chained else ""

    def _fetched(self, spec: Mapping[str, Any], url: str, *, file: str) -> pages.Page:
        """The page as an earlier run left it, else fetched."""
        job = str(spec["job"])
        about: dict[str, Any] = {"schema": Schema.from_json(spec["schema"]), "sobject": str(spec["object"])}
        if self._shelf is None or not self._keeps:
            return pages.fetch(self._client.transport, url, to=self._spool.file(f"{job}-{file}"), pace=self._pace, **about)
        found = self._shelf.find(job, file, url=url, **about)
        if found is None:
            found = pages.fetch(self._client.transport, url, to=self._shelf.file(job, file), pace=self._pace, **about)
            self._shelf.keep(found, url=url)
        return found


def connect(connection: object, **options: Unpack[TransportOptions]) -> SalesforceClient:
    """A client on a session, an authenticator or a dict with `access_token` and `instance_url`; a client is itself.

    `options` are those of a new client.
    """
    if isinstance(connection, SalesforceClient):
        return connection
    return SalesforceClient(connection, **options)  # type: ignore[arg-type]  # the client checks it


def look(client: SalesforceClient) -> str:
    """Where the org is, and how many of its API calls of the day are left.

    Raises: what logging in raises.
    """
    limit = client.limits().get("DailyApiRequests", {})
    return f"{client.transport.session.instance_url}, {limit.get('Remaining')} of {limit.get('Max')} API calls left today"


def _selection(
    query: str | None, sobject: str, *, fields: Sequence[str] | None, exclude: Sequence[str], where: str | None
) -> select.Selection | None:
    """What a whole query selects.

    Raises: BadQuery for one that a sync cannot carry, or of another object; FixConfig beside another choice of columns or rows.
    """
    if query is None:
        return None
    if fields is not None or exclude or where:
        hint = "Say it all in the query, or leave the query out."
        raise FixConfig("Reading the SOQL", "fields, exclude or where are given as well", hint=hint)
    found = select.parse(query)
    if found.object.lower() != sobject.lower():
        raise BadQuery(
            "Reading the SOQL", f"it reads {found.object}, but {sobject} is to be synced", hint="Name the same object."
        )
    return found


def choose_objects(
    client: SalesforceClient, names: Sequence[str], *, exclude: Sequence[str] = (), everything: bool = False, **told: Any
) -> ObjectChoice:
    """See `objects.choose`; `told` are the arguments of `SalesforceClient.view`."""
    return objects.choose(client.view(**told), names, exclude=exclude, everything=everything)


def object_of(query: str) -> str:
    """The object that a whole query reads.

    Raises: BadQuery for one that a sync cannot carry.
    """
    return select.parse(query).object


def open_source(client: SalesforceClient, *, sobject: str, **options: Any) -> SalesforceSource:
    """A source on a client that `connect` gave; `options` are the further arguments of `SalesforceSource`."""
    return SalesforceSource(client, sobject, **options)


def _page_batches(page: pages.Page, spec: Mapping[str, Any], *, first: int, keep: bool) -> Iterator[Batch]:
    """The page itself, for a destination that loads files; else its rows, and then the file goes, unless it is to be kept."""
    receipts = (str(spec["job"]),)
    if spec["raw"]:
        yield Batch(raw=page, first_row=first, receipts=receipts)
        return
    try:
        empty = True
        for rows in page.arrow():
            empty = False
            yield Batch(rows=rows, first_row=first, receipts=receipts)
            first += rows.num_rows
        if empty:
            yield Batch(rows=_no_rows(page.schema), first_row=first, receipts=receipts)
    finally:
        if not keep:
            discard(page.path)


def _no_rows(schema: Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema.arrow)


def _deletion_batch(spec: Mapping[str, Any]) -> Batch:
    """Keys, and the instant of deletion in the place of the cursor."""
    schema = Schema.from_json(spec["schema"])
    records = [dict(zip(schema.names, row, strict=False)) for row in spec["deleted"]]
    return Batch(rows=types.batch_of_records(records, schema, sobject=str(spec["object"])), op=Op.DELETE)
