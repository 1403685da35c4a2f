"""Laws of the right to run: taken before the work, kept alive beside it, given back whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from halocline import heartbeat
from halocline.connector import Lease
from halocline.errors import HaloclineError, LeaseHeld, LeaseLost, NetworkFailed, Stop
from halocline.events import Event, Noticed, silent
from halocline.halt import Halt
from halocline.heartbeat import Turn, explained, held
from halocline.ledger import MemoryLedger
from halocline.ledger.process import Process
from halocline.testing.ledgers import HandClock

FLOW = "Account in lake"


class Beaten(MemoryLedger):
    """A ledger that tells of each renewal, and fails those that it is told to."""

    def __init__(self, *, clock: HandClock, failing: int = 0) -> None:
        super().__init__(clock=clock)
        self.failing = failing
        self.beats = threading.Semaphore(0)

    def renew(self, lease: Lease) -> None:
        try:
            if self.failing:
                self.failing -= 1
                raise NetworkFailed("Using the ledger", "it is away")
            super().renew(lease)
        finally:
            self.beats.release()

    def release(self, lease: Lease) -> None:
        if self.failing:
            raise NetworkFailed("Using the ledger", "it is away")
        super().release(lease)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def sleeping(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[float], None]], None]:
    """Put something in the place of waiting; the time that passes is what was slept."""

    def patch(sleep: Callable[[float], None]) -> None:
        passed = [0.0]

        def slept(seconds: float) -> None:
            passed[0] += seconds
            sleep(seconds)

        monkeypatch.setattr(heartbeat.time, "sleep", slept)
        monkeypatch.setattr(heartbeat.time, "monotonic", lambda: passed[0])

    return patch


def test_the_lease_lasts_as_long_as_the_work(clock: HandClock) -> None:
    """Others are kept out inside of the block, and let in after it, also when it failed."""
    ledger = MemoryLedger(clock=clock)

    def work() -> None:
        with held(ledger, FLOW, owner="a", turn=Turn(), sink=silent):
            with pytest.raises(LeaseHeld, match="a holds it"):
                ledger.claim(FLOW, "b", ttl_s=60)
            raise Stop("Working", "it broke")

    with pytest.raises(Stop, match="it broke"):
        work()
    ledger.claim(FLOW, "b", ttl_s=60)


def test_the_heart_beats_while_the_work_lasts(clock: HandClock) -> None:
    """Signs of life come by themselves, also after some that were lost on the way."""
    ledger = Beaten(clock=clock, failing=2)
    with held(ledger, FLOW, owner="a", turn=Turn(lease_s=0.03), sink=silent):
        for _ in range(5):
            assert ledger.beats.acquire(timeout=30)
        clock.advance(0.02)
        for _ in range(2):
            assert ledger.beats.acquire(timeout=30)
        clock.advance(0.02)
        with pytest.raises(LeaseHeld):
            ledger.claim(FLOW, "b", ttl_s=60)


def claimed_after(ledger: Beaten, clock: HandClock) -> Lease:
    """The lease, once it is over: its heart may beat after the clock has moved on."""
    while True:
        clock.advance(1)
        with suppress(LeaseHeld):
            return MemoryLedger.claim(ledger, FLOW, "b", ttl_s=60)


def test_a_heart_that_was_fenced_off_stops_and_leaves_the_newer_lease(clock: HandClock) -> None:
    """The one who stood still neither renews nor frees what another has taken over."""
    ledger = Beaten(clock=clock)
    with held(ledger, FLOW, owner="a", turn=Turn(lease_s=0.03), sink=silent):
        newer = claimed_after(ledger, clock)
        assert ledger.beats.acquire(timeout=30)
    ledger.renew(newer)


def test_a_lease_that_cannot_be_given_back_costs_a_notice(clock: HandClock) -> None:
    """The work is done by then; the lease ends by itself."""
    ledger, heard = Beaten(clock=clock), list[Event]()
    with held(ledger, FLOW, owner="a", turn=Turn(), sink=heard.append):
        ledger.failing = 1
    assert [type(event) for event in heard] == [Noticed]
    assert "could not be given back" in str(heard[0])


def test_who_waits_gets_it_when_the_other_ends(clock: HandClock, sleeping: Callable[[Callable[[float], None]], None]) -> None:
    """It is told once whom one waits for."""
    ledger, heard = MemoryLedger(clock=clock), list[Event]()
    first, looks = ledger.claim(FLOW, "a", ttl_s=60), list[float]()

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            ledger.release(first)

    sleeping(sleep)
    with held(ledger, FLOW, owner="b", turn=Turn(wait_s=10), sink=heard.append) as lease:
        assert lease.owner == "b"
    assert (looks, len(heard)) == ([0.5] * 3, 1)
    assert "Waiting for another run of Account in lake, for at most 10 s: a holds it since" in str(heard[0])


def test_waiting_has_an_end(clock: HandClock, sleeping: Callable[[Callable[[float], None]], None]) -> None:
    """Then it is refused as without waiting; a halt that is called ends it before."""
    ledger, halt = MemoryLedger(clock=clock), Halt()
    ledger.claim(FLOW, "a", ttl_s=60)
    sleeping(lambda seconds: None)
    with pytest.raises(LeaseHeld), held(ledger, FLOW, owner="b", turn=Turn(wait_s=1.2), sink=silent):
        pass
    sleeping(lambda seconds: halt.call())
    with pytest.raises(Stop, match="interrupted"), held(ledger, FLOW, owner="b", turn=Turn(wait_s=9, halt=halt), sink=silent):
        pass


class Interrupted(MemoryLedger):
    """A ledger in whose first claim an interrupt falls, before it is booked or behind that."""

    def __init__(self, *, clock: HandClock, booked: bool) -> None:
        super().__init__(clock=clock)
        self.booked = booked
        self.claims = 0

    def claim(self, flow: str, owner: str, *, ttl_s: float, process: Process | None = None) -> Lease:
        self.claims += 1
        lease = super().claim(flow, owner, ttl_s=ttl_s, process=process) if self.booked or self.claims > 1 else None
        if self.claims == 1 or lease is None:
            raise KeyboardInterrupt
        return lease


@pytest.mark.parametrize("booked", [True, False])
def test_an_interrupted_claim_leaves_no_lease(clock: HandClock, *, booked: bool) -> None:
    """The next run in the same process need not wait for a run that never began."""
    ledger = Interrupted(clock=clock, booked=booked)
    with pytest.raises(KeyboardInterrupt), held(ledger, FLOW, owner="a", turn=Turn(), sink=silent):
        pass
    assert ledger.claim(FLOW, "b", ttl_s=60).owner == "b"


def test_who_is_interrupted_while_waiting_leaves_the_lease_to_its_owner(
    clock: HandClock, sleeping: Callable[[Callable[[float], None]], None]
) -> None:
    """What another run holds it goes on holding."""
    ledger = MemoryLedger(clock=clock)
    first = ledger.claim(FLOW, "a", ttl_s=60)

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    sleeping(interrupt)
    with pytest.raises(KeyboardInterrupt), held(ledger, FLOW, owner="b", turn=Turn(wait_s=9), sink=silent):
        pass
    ledger.renew(first)


def test_a_failure_after_a_takeover_is_told_as_what_it_is(clock: HandClock) -> None:
    """Whoever took over may have deleted the job that was read: the reason is the takeover. Others' failures stay as they are."""
    ledger = MemoryLedger(clock=clock)
    lease, failure = ledger.claim(FLOW, "a", ttl_s=60), Stop("Reading a page", "the job is gone")
    assert explained(failure, ledger=ledger, lease=lease) is failure
    clock.advance(60)
    newer = ledger.claim(FLOW, "b", ttl_s=60)
    told = explained(failure, ledger=ledger, lease=lease)
    assert isinstance(told, LeaseLost)
    assert (told.exit_code, told.facts["owner"]) == (75, "b")
    assert "a newer run (b) took it over" in str(told)
    assert "the job is gone" in str(told)
    ledger.release(newer)
    assert "a newer run (b) took it over" in str(explained(failure, ledger=ledger, lease=lease))
    interrupt = KeyboardInterrupt()
    assert explained(interrupt, ledger=ledger, lease=lease) is interrupt


def test_a_ledger_that_is_away_does_not_hide_the_failure(clock: HandClock) -> None:
    """What stopped the run is told, not that it could not be explained."""
    ledger = Beaten(clock=clock)
    lease, failure = ledger.claim(FLOW, "a", ttl_s=60), HaloclineError("Reading", "it broke")
    ledger.failing = 1
    assert explained(failure, ledger=ledger, lease=lease) is failure
