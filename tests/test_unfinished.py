"""Laws of unfinished work: what a run began at its source is offered to the next run until somebody has settled it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from halocline.batch import JSON
from halocline.connector import Journal, Lease, Part, Plan, Target, Unfinished
from halocline.errors import AccessDenied, HaloclineError, NetworkFailed, StillRunning, StorageFailed, Truncated
from halocline.ledger import MemoryLedger
from halocline.plan import Thresholds, Wish, decide
from halocline.run import Flow, Run, execute
from halocline.unfinished import SourceJournal
from tests.twins import TwinDestination, TwinSource


class Patient(TwinSource):
    """A twin that intends a job before its parts, goes on with one that is left, and fails as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = [("1", "one")]
        self.offered: list[list[Unfinished]] = []
        self.error: BaseException | None = None
        self.silent = self.denied = False
        self.journal: Journal

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:
        self.offered.append(list(left))
        if self.silent:
            raise NetworkFailed("Asking", "no answer")
        self.journal = journal
        for work in left[:1]:
            journal.intend("job", work.detail)
            journal.remote("job", str(work.remote))
        return plan

    def parts(self, plan: Plan) -> Iterator[Part]:
        if not self.journal.open():
            self.journal.intend("job", {"n": len(self.offered)})
            self.journal.remote("job", f"750-{len(self.offered)}")
        if self.error is not None:
            raise self.error
        yield from super().parts(plan)

    def ack(self, receipts: Sequence[JSON]) -> None:
        if self.denied:
            raise AccessDenied("Deleting the job", "no right")
        super().ack(receipts)


class Desk:
    """A flow with its ledger; `run` executes it once."""

    def __init__(self, place: str = "") -> None:
        self.source, self.ledger = Patient(), MemoryLedger()
        decision = partial(decide, wish=Wish(flow="twins", thresholds=Thresholds(0, 10)))
        self.flow = Flow("twins", "Thing", self.source, TwinDestination(), Target(None, "thing"), decision, place=place)

    def run(self, error: BaseException | None = None) -> Run:
        self.source.error, run = error, Run.new()
        if error is None:
            return execute(self.flow, run, ledger=self.ledger)
        with pytest.raises(type(error)):
            execute(self.flow, run, ledger=self.ledger)
        return run

    def open(self, run: Run) -> list[tuple[str, Any, str | None]]:
        return list(self.ledger.journal(run.id).open())


def test_work_goes_from_run_to_run_until_its_rows_are_durable() -> None:
    """Each failed run's work is the next one's, under the same remote name; a run that ends well leaves nothing open."""
    desk = Desk()
    first = desk.run(NetworkFailed("Reading", "cut"))
    assert desk.open(first) == [("source:job", {"n": 1}, "750-1")]
    second = desk.run(KeyboardInterrupt())
    assert (desk.open(first), desk.open(second)) == ([], [("source:job", {"n": 1}, "750-1")])
    third = desk.run()
    assert [[work.run for work in left] for left in desk.source.offered] == [[], [first.id], [second.id]]
    assert desk.source.offered[1][0].plan == first.plan
    assert (desk.open(second), desk.open(third)) == ([], [])
    desk.run()
    assert desk.source.offered[-1] == []


@pytest.mark.parametrize(
    ("error", "offered"),
    [
        (NetworkFailed("a", "b"), True),
        (StillRunning("a", "b"), True),
        (StorageFailed("a", "b"), True),
        (AccessDenied("a", "b"), True),
        (Truncated("a", "b"), False),
        (ZeroDivisionError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_work_that_failed_for_what_it_read_is_not_offered_again(error: HaloclineError, offered: bool) -> None:
    """The same work would fail in the same way; after anything else it is as good as before."""
    desk = Desk()
    desk.run(error)
    desk.run()
    assert bool(desk.source.offered[-1]) == offered


def test_work_is_offered_again_when_nobody_could_say_what_became_of_it() -> None:
    """Only a source that has decided lets the loop settle what was left."""
    desk = Desk()
    first = desk.run(NetworkFailed("Reading", "cut"))
    desk.source.silent = True
    desk.run(NetworkFailed("Asking", "no answer"))
    desk.source.silent = False
    desk.run()
    assert [[work.run for work in left] for left in desk.source.offered] == [[], [first.id], [first.id]]


def test_work_whose_rows_are_durable_is_not_offered() -> None:
    """Where only the acknowledgement failed, the next run makes it; a run that reads everything anew reads everything."""
    desk = Desk()
    desk.source.denied = True
    first = desk.run()
    assert (desk.ledger.get(first.id).state, len(desk.open(first))) == ("done", 1)
    desk.flow = replace(desk.flow, fresh=True)
    desk.run()
    assert (desk.source.offered[-1], len(desk.open(first))) == ([], 1)
    desk.source.denied = False
    desk.run()
    assert (desk.source.offered[-1], desk.open(first)) == ([], [])


@pytest.mark.parametrize("fresh", [False, True], ids=["plain", "fresh"])
def test_work_of_a_run_that_died_behind_its_commit_has_no_plan_for_a_fresh_run(fresh: bool) -> None:
    """The destination holds the position that its plan led to, so its rows are the table's already."""
    desk = Desk()
    first = desk.run(NetworkFailed("Reading", "cut"))
    plan = first.plan
    assert plan is not None
    desk.flow.destination.positions["twins"] = plan.next_position  # type: ignore[attr-defined]  # a twin's
    desk.flow = replace(desk.flow, fresh=fresh)
    desk.run()
    assert [(work.run, work.plan) for work in desk.source.offered[-1]] == [(first.id, None if fresh else plan)]


def test_work_of_a_fresh_run_that_died_before_its_commit_keeps_its_plan() -> None:
    """What was to be read anew, and was not published, serves the next one that reads everything."""
    desk = Desk()
    desk.run()
    desk.source.changes.append(("2", "two"))
    desk.flow = replace(desk.flow, fresh=True)
    dead = desk.run(NetworkFailed("Reading", "cut"))
    desk.run()
    assert [work.plan for work in desk.source.offered[-1]] == [dead.plan]


def test_work_that_was_taken_up_is_not_lost_when_the_destination_does_not_answer() -> None:
    """The run that took it up has noted its plan before the earlier run's intent is settled."""
    desk = Desk()
    first = desk.run(NetworkFailed("Reading", "cut"))
    claim, desk.flow.destination.claim = desk.flow.destination.claim, _no_answer  # type: ignore[method-assign]
    second = desk.run(NetworkFailed("Claiming", "no answer"))
    desk.flow.destination.claim = claim  # type: ignore[method-assign]
    assert (desk.open(first), len(desk.open(second))) == ([], 1)
    desk.run()
    assert [(work.run, work.remote, work.plan) for work in desk.source.offered[-1]] == [(second.id, "750-1", first.plan)]


def test_each_place_has_the_work_of_its_own_runs() -> None:
    """One flow goes into two databases from one ledger: neither touches what the other left, nor lets go of its receipts."""
    here, there = Desk("lake"), Desk("sea")
    there.ledger = here.ledger
    left = here.run(NetworkFailed("Reading", "cut"))
    here.source.denied = True
    here.run()
    there.run()
    assert (there.source.offered, there.source.acked) == ([[]], ["job"])
    again = here.run(NetworkFailed("Reading", "cut"))
    there.run()
    assert there.source.offered[-1] == []
    assert len(here.open(again)) == 1
    here.source.denied = False
    here.run()
    assert [[work.run for work in some] for some in here.source.offered] == [[], [left.id], [], [again.id]]


def test_nothing_stays_open_of_a_run_that_is_done_and_has_no_receipts() -> None:
    """It died between its end and the settling of what it intended: the next run settles it."""
    desk = Desk()
    desk.ledger.start("twins", run="r1", pid=1, host="h")
    SourceJournal(desk.ledger.journal("r1")).intend("job")
    desk.ledger.finish("r1", state="done")
    desk.run()
    assert desk.source.offered == [[]]
    assert list(desk.ledger.journal("r1").open()) == []


def _no_answer(*_: object) -> Lease:
    raise NetworkFailed("Claiming", "no answer")


def test_a_plan_that_cannot_be_read_is_offered_as_none() -> None:
    """What another version booked is the source's to let go of."""
    desk = Desk()
    first = desk.run(NetworkFailed("Reading", "cut"))
    desk.ledger.note(first.id, plan={"method": "by_pigeon"})
    desk.run()
    assert desk.source.offered[-1][0].plan is None


def test_a_source_and_a_destination_share_a_journal_without_meeting() -> None:
    """The source sees its own chunks only, by its own names."""
    ledger = MemoryLedger()
    ledger.start("f", run="r", pid=1, host="h")
    ledger.journal("r").intend("job", "the destination's")
    mine = SourceJournal(ledger.journal("r"))
    mine.intend("job", "the source's")
    assert mine.open() == [("job", "the source's", None)]
    assert len(ledger.journal("r").open()) == 2
