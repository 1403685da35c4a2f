"""Adoption: a Bulk query job that an earlier run of the flow made is read by this one, where it answers the same question.

    intend -> job -> [the run dies] -> look: the same question, and a job to be had? -> its window and position are this run's
                                             no -> it is deleted when it has ended, and left alone while it runs

Why the old job's rows may be published: the plan that is gone on with ends its window and sets its position where the dead run
would have. What changed since then has a later stamp, and the next run reads it. A deletion since then is told by this run's own
survey, and is newer than the row.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Get Results for a Query Job": locators of a job stay the same as long as it is
there, and only the API version that made it may read it; "Bulk API 2.0 limits": results are kept for seven days. November 2026.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from halocline import events
from halocline.batch import JSON, Position
from halocline.connector import Journal, Plan, Unfinished
from halocline.connectors.salesforce import window
from halocline.connectors.salesforce.bulk import BulkQuery
from halocline.connectors.salesforce.pages import Shelf
from halocline.connectors.salesforce.rest import RestQuery
from halocline.errors import HaloclineError, JobFailed
from halocline.noted import Noted
from halocline.outcome import Outcome
from halocline.quantity import quantity

CHUNK = "query job"
KEPT = timedelta(days=6, hours=12)  # Salesforce keeps results for seven days; the rest is for reading them
PATIENCE = timedelta(days=1)  # a job that has not ended by then is not waited for by yet another run
CREATION = timedelta(minutes=10)  # between the intent and the job's own date: a call, its repeats, two clocks of one org
# Of a plan, what may differ between the run that made a job and the one that reads it, or is looked at in another way.
_FREE = frozenset(
    {
        *("flow", "reasons", "query", "window", "next_position", "expected_rows", "method", "continues"),
        *("allow_empty", "allow_replace", "max_delete_share"),
    }
)
_FINAL = frozenset({"JobComplete", "Failed", "Aborted"})
_TAKEN = "is taken up: "
_DROPPED = "Salesforce drops it after seven days."


@dataclass(frozen=True, slots=True)
class Intent(Noted):
    """A job as it was about to be made: `since` is the position that it starts from, `at` the server's clock."""

    query: str
    operation: str
    version: str
    since: Position | None
    at: str


class JobBook:
    """Writes the making of a job into a run's journal. Implements `bulk.Book`. A job that is made has nothing on the shelf."""

    def __init__(self, journal: Journal, intent: Callable[[], Intent], shelf: Shelf | None) -> None:
        self._journal = journal
        self._intent = intent
        self._shelf = shelf

    def intend(self) -> None:
        """See `Book.intend`."""
        self._journal.intend(CHUNK, self._intent().to_json())

    def made(self, job_id: str) -> None:
        """See `Book.made`."""
        self._journal.remote(CHUNK, job_id)
        if self._shelf is not None:
            self._shelf.clear(job_id)

    def refused(self) -> None:
        """See `Book.refused`."""
        self._journal.settle(CHUNK, Outcome(CHUNK))


@dataclass(frozen=True, slots=True)
class Found:
    """A job that an earlier run left. `against` says why it is not taken up ("": it is); `gone`: there is none; `deletable`: it
    is ours, and over; `told`: its state in words.
    """

    work: Unfinished
    job: str | None
    against: str = ""
    gone: bool = False
    deletable: bool = False
    told: str = ""
    plan: Plan | None = None
    intent: Intent | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What this run asks: its plan, the position before it, the query that a plan stands for, and the rows that query has."""

    plan: Plan
    since: Position | None
    query: Callable[[Plan], RestQuery]
    count: Callable[[RestQuery], int]


class Orphans:
    """The query jobs that earlier runs of a flow left. `version` is the API version of this run."""

    def __init__(
        self, jobs: BulkQuery, *, version: str, now: Callable[[], datetime | None], shelf: Shelf | None, sink: events.Sink
    ) -> None:
        self._jobs = jobs
        self._version = version
        self._now = now
        self._shelf = shelf
        self._sink = sink

    def adopt(self, left: Sequence[Unfinished], asked: Question) -> Found | None:
        """The first job that can be taken up, with the plan that goes on with it; the others are let go of.

        Raises: RetryLater when it cannot be known what became of them.
        """
        found = [self._look(work, asked) for work in left]
        chosen = next((one for one in found if one.job and not one.against), None)
        mine = None if chosen is None else chosen.job
        for one in found:
            if one.job is None or one.job != mine:
                self._let_go(one)
        return chosen

    def _look(self, work: Unfinished, asked: Question) -> Found:
        """What is left of some work, and whether it answers what is asked."""
        intent, then = Intent.read(work.detail), work.plan
        if intent is None:
            return Found(work, work.remote, "another version of Halocline made it")
        if then is None:
            return self._looked(work, intent, "it was made for another plan")
        plan = _gone_on(asked.plan, then, run=work.run)
        query = asked.query(plan)
        against = refusal(intent, then, asked=asked, version=self._version) or _other_query(intent, query)
        if _org(then) != _org(asked.plan):
            return Found(work, work.remote, against)
        if work.remote is None:
            return Found(work, None, against) if against else self._searched(work, intent, query, asked)
        found = self._looked(work, intent, against)
        told = f"job {work.remote} of run {work.run} {_TAKEN}{found.told}"
        return replace(found, plan=_with_reason(plan, then, told))

    def _looked(self, work: Unfinished, intent: Intent, against: str) -> Found:
        """What Salesforce says of a job."""
        info = None if work.remote is None else self._jobs.look(work.remote)
        if info is None:
            return Found(work, work.remote, "Salesforce does not have it any more", gone=True)
        deletable = info.get("state") in _FINAL and self._is_that(info, intent)
        told = f"{_state(info)}, made {info.get('createdDate')}"
        return Found(work, work.remote, against or self._unusable(info, intent), deletable=deletable, told=told, intent=intent)

    def _searched(self, work: Unfinished, intent: Intent, query: RestQuery, asked: Question) -> Found:
        """The job whose creation the run did not live to hear of: the one that looks like it, if it has the rows of the query.

        The list shows no query, so a job that does not fit in number is another's, or cannot be told from one.
        """
        at = window.moment(intent.at)
        found = self._jobs.made_between(at, at + CREATION, sobject=query.sobject, operation=intent.operation)
        if not found:
            return Found(work, None, "it was never made", gone=True)
        unsure = Found(work, None, "which job that run made cannot be told")
        if len(found) > 1:
            return unsure
        try:
            rows = self._jobs.take(found[0], sobject=query.sobject).rows
        except JobFailed:
            return unsure
        if rows != asked.count(query):
            return unsure
        told = f"job {found[0]} of run {work.run} {_TAKEN}that run did not live to hear of it"
        told += f"; it has the query's {quantity(rows, 'row')}"
        assert work.plan is not None, "the caller has looked"
        plan = _gone_on(asked.plan, work.plan, run=work.run)
        return Found(work, found[0], plan=_with_reason(plan, work.plan, told), intent=intent)

    def _unusable(self, info: Mapping[str, Any], intent: Intent) -> str:
        """Why a job that answers the right question is of no use; "" when it is."""
        state, age = str(info.get("state")), (self._now() or datetime.now(UTC)) - _created(info)
        if not self._is_that(info, intent):
            return "another job has its id"
        if state not in ("UploadComplete", "InProgress", "JobComplete"):
            return f"it has ended as {state}"
        if age > KEPT:
            return f"it is {quantity(age.days, 'day')} old, and Salesforce is about to drop its results"
        if age > PATIENCE and state != "JobComplete":
            return f"it has not ended in {quantity(round(age.total_seconds() / 3_600), 'hour')}"
        return self._of_another(info)

    def _is_that(self, info: Mapping[str, Any], intent: Intent) -> bool:
        at, same = window.moment(intent.at), info.get("operation") == intent.operation
        return same and at - CREATION <= _created(info) <= at + CREATION

    def _of_another(self, info: Mapping[str, Any]) -> str:
        """Rows are those that the user who made the job may see; where one of the two is unknown they may be others."""
        maker, user = str(info.get("createdById") or ""), self._jobs.user()
        if not maker:
            return "Salesforce does not say who made it"
        if not user:
            return "Salesforce does not say whose login this is"
        return "" if maker == user else f"user {maker} made it, and this login is user {user}"

    def _let_go(self, one: Found) -> None:
        """Delete a job that is over and nobody wants; whatever it is, say so. Failing costs nothing but tidiness."""
        told = f"Query job {one.job} of run" if one.job else "The query job of run"
        told = f"{told} {one.work.run} is not taken up: {one.against or 'another is'}."
        if one.job is not None and self._shelf is not None:
            self._shelf.clear(one.job)
        ends = "" if one.gone else self._deleted(one.job) if one.job and one.deletable else f"It is left alone; {_DROPPED}"
        self._sink(events.Noticed(f"{told} {ends}".rstrip()))

    def _deleted(self, job: str) -> str:
        try:
            self._jobs.delete(job)
        except HaloclineError as error:
            return f"It could not be deleted ({error.cause}); {_DROPPED}"
        return "It was deleted."


def refusal(intent: Intent, then: Plan, *, asked: Question, version: str) -> str:
    """Why a job that was made as `then` planned does not answer what is asked now; "" when it does.

    A plain run takes up the job of a forced one, where both read everything; a forced run does not take up a plain one's: who
    forces a full sync mistrusts what was read before.
    """
    now = asked.plan
    checks = (
        (_org(then) == _org(now), f"it is a job of the org {_org(then)}, and this login is for the org {_org(now)}"),
        (intent.version == version, f"API version {intent.version} made it, and this run speaks {version}"),
        (then.allow_replace or not now.allow_replace, "a full sync is forced, and the job is from before that"),
        (intent.since is not None or asked.since is None, "it reads everything, and this run reads what changed"),
        (_same(intent.since, asked.since), "the table has moved on since"),
        (then.method == now.method, f"the method was {then.method}, and is {now.method}"),
        (_same(_scope(then), _scope(now)), "columns, condition or settings are others now"),
        (then.window[0] == now.window[0], "the rows to read begin elsewhere now"),
    )
    return next((told for good, told in checks if not good), "")


def _other_query(intent: Intent, query: RestQuery) -> str:
    operation = "queryAll" if query.include_deleted else "query"
    return "" if (intent.query, intent.operation) == (query.text, operation) else "its query is another"


def _gone_on(now: Plan, then: Plan, *, run: str) -> Plan:
    """This run's plan, with the window of the run whose job is read, and the position after it."""
    return replace(
        now,
        query=then.query,
        window=(now.window[0], then.window[1]),
        next_position=then.next_position,
        expected_rows=then.expected_rows,
        continues=run,
    )


def _with_reason(plan: Plan, then: Plan, told: str) -> Plan:
    return replace(plan, reasons=(f"{told[:1].upper()}{told[1:]}.", *(one for one in then.reasons if _TAKEN not in one)))


def _scope(plan: Plan) -> JSON:
    """All that must not differ between two plans for the rows of one to serve the other."""
    told = {name: value for name, value in plan.to_json().items() if name not in _FREE}
    return {**told, "position": {name: value for name, value in plan.next_position.items() if name not in window.MOVING}}


def _same(one: JSON, other: JSON) -> bool:
    """Equal as JSON: what came back from a journal has lists where there were tuples."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _org(plan: Plan) -> JSON:
    return plan.next_position.get("org")


def _created(info: Mapping[str, Any]) -> datetime:
    return window.moment(str(info["createdDate"]))


def _state(info: Mapping[str, Any]) -> str:
    if info.get("state") == "JobComplete":
        return f"it is complete, with {quantity(int(info.get('numberRecordsProcessed') or 0), 'row')}"
    return "it is still at work"
