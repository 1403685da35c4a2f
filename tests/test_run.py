"""Laws of the loop: nothing visible before the commit, nothing lost after it, and the ledger tells the truth."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from halocline.batch import Batch, Position
from halocline.connector import Manifest, Part, Plan, Target
from halocline.errors import HaloclineError, LeaseLost, NetworkFailed, NotSupported, Stop, StorageFailed, Truncated
from halocline.events import Committed, Event, Noticed, PartStaged, Planned, RunFailed, RunFinished, RunStarted
from halocline.ledger import Ledger, MemoryLedger
from halocline.outcome import Counts
from halocline.plan import Thresholds, Wish, decide
from halocline.run import Flow, Run, execute, survey_and_plan
from tests.twins import Trips, TwinDestination, TwinSource, TwinUnit

CHANGES = [("1", "one"), ("2", "two"), ("3", "three"), ("4", "four"), ("5", "five")]


def flow(source: TwinSource, destination: TwinDestination, **changes: object) -> Flow:
    wish = Wish(flow="twins", thresholds=Thresholds(0, 10))
    made = Flow("twins", "Thing", source, destination, Target(None, "thing"), partial(decide, wish=wish))
    return Flow(**{**{n: getattr(made, n) for n in made.__slots__}, **changes})  # type: ignore[arg-type]


@pytest.fixture
def ledger() -> Ledger:
    return MemoryLedger()


@pytest.fixture
def source() -> TwinSource:
    twin = TwinSource()
    twin.changes = list(CHANGES)
    return twin


def test_a_first_run_carries_everything_and_a_second_only_what_changed(source: TwinSource, ledger: Ledger) -> None:
    """Rows and position become visible together; the next run starts after them."""
    destination = TwinDestination()
    execute(flow(source, destination), Run.new(), ledger=ledger)
    assert destination.rows == dict(CHANGES)
    source.changes.append(("2", "zwei"))
    second = execute(flow(source, destination), Run.new(), ledger=ledger)
    assert destination.rows == {**dict(CHANGES), "2": "zwei"}
    assert second.counts == Counts(updated=1)
    assert second.rows_read == 1


def test_fail_the_ith_operation_for_every_i(source: TwinSource, ledger: Ledger) -> None:
    """Whatever fails, the table is as before or as after; the next run makes it whole; nothing is counted twice."""
    probe = Trips()
    clean = TwinSource(probe)
    clean.changes = list(CHANGES)
    execute(flow(clean, TwinDestination(probe)), Run.new(), ledger=MemoryLedger())
    assert len(probe.seen) > 10
    for i in range(1, len(probe.seen) + 1):
        trips = Trips(fail_at=i)
        broken, destination, books = TwinSource(trips), TwinDestination(trips), MemoryLedger()
        broken.changes = list(CHANGES)
        run = Run.new()
        try:
            execute(flow(broken, destination), run, ledger=books)
        except NetworkFailed:
            assert (destination.rows, destination.positions, run.durable_rows) == ({}, {}, 0)
            assert books.get(run.id).state == "failed"
            assert broken.acked == []
        else:
            assert trips.seen[i - 1] == "ack", "only a failed acknowledgement may leave the run successful"
        execute(flow(broken, destination), Run.new(), ledger=books)
        assert destination.rows == dict(CHANGES), f"after a failure of operation {i}: {trips.seen[i - 1]}"
        assert broken.acked, "the job is let go in the end"


def test_a_failed_acknowledgement_is_made_by_the_next_run(source: TwinSource, ledger: Ledger) -> None:
    """The rows are durable, so the run is done; the receipts wait in the ledger."""
    destination, seen = TwinDestination(), list[Event]()
    source.trips = Trips()
    execute(flow(source, destination), Run.new(), ledger=ledger)
    source.acked.clear()
    source.trips = Trips(fail_at=0)
    source.changes.append(("6", "six"))
    real_ack, source.ack = source.ack, lambda receipts: (_ for _ in ()).throw(NetworkFailed("Telling", "no"))  # type: ignore[method-assign]
    run = execute(flow(source, destination), Run.new(), ledger=ledger, sink=seen.append)
    assert ledger.get(run.id).state == "done"
    assert any(isinstance(e, Noticed) for e in seen)
    source.ack = real_ack  # type: ignore[method-assign]
    execute(flow(source, destination), Run.new(), ledger=ledger)
    assert source.acked == ["job"]


def test_the_events_tell_the_story_in_order(source: TwinSource, ledger: Ledger) -> None:
    """Started, planned, staged parts, committed, finished."""
    seen: list[Event] = []
    execute(flow(source, TwinDestination()), Run.new(), ledger=ledger, sink=seen.append)
    kinds = [type(e) for e in seen]
    assert kinds[:2] == [RunStarted, Planned]
    assert kinds[-2:] == [Committed, RunFinished]
    assert kinds.count(PartStaged) == 3


def test_a_failure_is_told_and_booked_with_its_words(source: TwinSource, ledger: Ledger) -> None:
    """The ledger keeps state and reason; the event says how many rows became durable."""
    source.short = 1
    seen: list[Event] = []
    run = Run.new()
    with pytest.raises(Truncated, match="rows are missing"):
        execute(flow(source, TwinDestination()), run, ledger=ledger, sink=seen.append)
    booked = ledger.get(run.id)
    assert (booked.state, booked.counts.changed) == ("failed", 0)
    assert "rows are missing" in str(booked.error)
    assert isinstance(seen[-1], RunFailed)
    assert seen[-1].durable_rows == 0


def test_a_newer_claim_fences_the_older_run_off(source: TwinSource, ledger: Ledger) -> None:
    """The run that lost its lease commits nothing."""
    destination = TwinDestination()
    original = source.check
    source.check = lambda plan, manifests: (original(plan, manifests), destination.claim("twins", "other"))[0]  # type: ignore[method-assign]
    with pytest.raises(LeaseLost):
        execute(flow(source, destination), Run.new(), ledger=ledger)
    assert destination.rows == {}


def test_a_way_that_turns_out_closed_is_planned_again(source: TwinSource, ledger: Ledger) -> None:
    """When the source cannot use Bulk after all, the same run goes by REST, with the reason in its plan."""
    parts = source.parts

    def refusing(plan):  # type: ignore[no-untyped-def]
        if plan.api != "rest":
            raise NotSupported("Creating a job", "Entity 'Thing' is not supported by the Bulk API.", ability="bulk")
        return parts(plan)

    source.parts = refusing  # type: ignore[method-assign]
    destination = TwinDestination()
    run = execute(flow(source, destination), Run.new(), ledger=ledger)
    assert destination.rows == dict(CHANGES)
    assert run.plan is not None
    assert run.plan.method == "regular_api_full"
    assert any("not supported by the Bulk API" in r for r in run.plan.reasons)
    assert ledger.get(run.id).method == "regular_api_full"


def test_a_way_refused_twice_is_an_error(source: TwinSource, ledger: Ledger) -> None:
    """A source that refuses what it said it lacks does not make the loop turn for ever."""
    source.bulk = False

    def refusing(plan):  # type: ignore[no-untyped-def]
        raise NotSupported("Creating a job", "no", ability="bulk")

    source.parts = refusing  # type: ignore[method-assign]
    with pytest.raises(NotSupported):
        execute(flow(source, TwinDestination()), Run.new(), ledger=ledger)


def test_books_that_do_not_balance_stop_the_run(source: TwinSource, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read = inserted + updated + deleted + unchanged + rejected + filtered, checked at the end of every run."""
    monkeypatch.setattr("tests.twins.TwinUnit.commit", lambda self, positions, manifests: Counts(inserted=4))
    run = Run.new()
    with pytest.raises(Stop, match="5 rows were read but 4 rows are accounted for"):
        execute(flow(source, TwinDestination()), run, ledger=ledger)
    assert run.durable_rows == 4
    assert ledger.get(run.id).state == "failed"


def test_an_interrupt_does_not_wait_for_a_long_part(source: TwinSource, ledger: Ledger) -> None:
    """A part under way ends at its next batch; what it had put aside is let go."""
    begun, drawn = threading.Event(), list[Batch]()
    read = source.read

    def endless(part: Part, resume: Position | None = None) -> Iterator[Batch]:
        while True:
            drawn.extend(read(part, resume))
            begun.set()
            yield drawn[-1]

    def interrupted(plan: Plan) -> Iterator[Part]:
        yield Part("part-0", {"from": 0, "to": 2})
        assert begun.wait(30)
        raise KeyboardInterrupt

    source.read, source.parts = endless, interrupted  # type: ignore[method-assign]
    destination, run = TwinDestination(), Run.new()
    with pytest.raises(KeyboardInterrupt):
        execute(flow(source, destination), run, ledger=ledger)
    assert (destination.rows, destination.closed_units) == ({}, 1)
    assert ledger.get(run.id).state == "failed"


def test_a_part_that_cannot_be_staged_is_let_go_of(source: TwinSource, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a source holds open half-way through a part is closed at once, although the failure is still at hand."""
    read, held = source.read, set[str]()

    def holding(part: Part, resume: Position | None = None) -> Iterator[Batch]:
        held.add(part.id)
        try:
            yield from read(part, resume)
        finally:
            held.remove(part.id)

    def refuse(unit: TwinUnit, part: Part, batches: Iterator[Batch]) -> Manifest:
        next(batches)
        assert part.id in held
        raise StorageFailed(f"Putting aside {part.id}", "the disk is full")

    source.read = holding  # type: ignore[method-assign]
    monkeypatch.setattr(TwinUnit, "stage", refuse)
    with pytest.raises(StorageFailed):
        execute(flow(source, TwinDestination()), Run.new(), ledger=ledger)
    assert held == set()


def test_units_are_always_closed(source: TwinSource, ledger: Ledger) -> None:
    """Whatever happens, staged things are let go."""
    destination = TwinDestination()
    source.short = 1
    with pytest.raises(HaloclineError):
        execute(flow(source, destination), Run.new(), ledger=ledger)
    assert destination.closed_units == 1


def test_planning_changes_nothing(source: TwinSource) -> None:
    """`survey_and_plan` neither claims nor opens nor reads."""
    destination = TwinDestination()
    _, plan = survey_and_plan(flow(source, destination))
    assert plan.method == "bulk_api_full"
    assert (destination.fence, destination.trips.seen, source.trips.seen) == (0, [], ["survey"])


def test_a_fresh_flow_ignores_the_position(source: TwinSource, ledger: Ledger) -> None:
    """force_full_sync reads everything, whatever the table's position says."""
    destination = TwinDestination()
    execute(flow(source, destination), Run.new(), ledger=ledger)
    run = execute(flow(source, destination, fresh=True), Run.new(), ledger=ledger)
    assert run.plan is not None
    assert run.plan.full
    assert run.rows_read == 5


def test_a_run_that_cannot_be_planned_fences_nobody_off(source: TwinSource, ledger: Ledger) -> None:
    """The flow is claimed after the plan: a misspelt field must not cost another run its commit."""
    destination = TwinDestination(rows={})
    source.trips = Trips(fail_at=1)
    with pytest.raises(NetworkFailed):
        execute(flow(source, destination), Run.new(), ledger=ledger)
    assert destination.fence == 0
