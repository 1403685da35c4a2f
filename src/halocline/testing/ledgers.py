"""LedgerSuite: the laws of a ledger. Subclass it, name the class `Test...`, and give it a `ledger` fixture."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from halocline.errors import LeaseHeld, LeaseLost, NotFound, QuotaExhausted
from halocline.ledger import Ledger
from halocline.ledger.process import Process
from halocline.outcome import Counts, Fate, Outcome, Rejection
from halocline.testing.retention import RetentionLaws

HERE = socket.gethostname()
ELSEWHERE = f"not-{HERE}"
TTL_S = 60.0
REFUSED = Rejection("page-1", 7, "REQUIRED_FIELD_MISSING", "Required: Name", ("Name",), {"Id": None, "Städte": "a\r\nb"})


class HandClock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.now += timedelta(seconds=seconds)


def ended_process() -> int:
    """The number of a process of this host that has just ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def begin(ledger: Ledger, run: str, flow: str = "Account", *, pid: int | None = None) -> None:
    """Start a run of this process, or of the process `pid` of this host."""
    ledger.start(flow, run=run, pid=os.getpid() if pid is None else pid, host=HERE)


class LedgerSuite(RetentionLaws):
    """Every ledger keeps these laws; a subclass makes its `ledger` with the `clock` given."""

    @pytest.fixture
    def clock(self) -> HandClock:
        return HandClock()

    @pytest.fixture
    def ledger(self, clock: HandClock) -> Ledger:
        raise NotImplementedError

    # Runs

    def test_a_started_run_is_running_since_now(self, ledger: Ledger, clock: HandClock) -> None:
        """A run is booked as running before anything else is known of it."""
        begin(ledger, "r1")
        record = ledger.get("r1")
        assert (record.run, record.flow, record.state, record.finished) == ("r1", "Account", "running", None)
        assert datetime.fromisoformat(record.started) == clock.now
        assert (record.method, record.rows_read, record.counts, record.plan) == (None, 0, Counts(), None)

    def test_a_run_starts_once(self, ledger: Ledger) -> None:
        """A second start under the same name is refused and changes nothing."""
        begin(ledger, "r1")
        with pytest.raises(ValueError, match="r1"):
            begin(ledger, "r1", "Contact")
        assert ledger.get("r1").flow == "Account"

    def test_a_finished_run_remembers_all_it_was_told(self, ledger: Ledger, clock: HandClock) -> None:
        """Plan, counts, calls and times come back as they were given."""
        begin(ledger, "r1")
        ledger.note("r1", plan={"reasons": ["first"], "window": [None, "x"]})
        clock.advance(2.5)
        counts = Counts(inserted=3, updated=2, unchanged=1, highest="2026-01-01T00:00:00+00:00")
        ledger.finish("r1", state="done", method="bulk_api_full", rows_read=6, counts=counts, api_calls=9)
        record = ledger.get("r1")
        assert (record.state, record.method, record.rows_read, record.counts, record.api_calls) == (
            "done",
            "bulk_api_full",
            6,
            counts,
            9,
        )
        assert record.plan == {"reasons": ["first"], "window": [None, "x"]}
        assert record.finished is not None
        assert datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started) == timedelta(seconds=2.5)

    def test_a_failed_run_keeps_its_words(self, ledger: Ledger) -> None:
        """The reason of a failure is kept, also where it holds text that UTF-8 cannot carry."""
        begin(ledger, "r1")
        ledger.finish("r1", state="failed", error="Reading 'caf\udce9': broken \u2713")
        record = ledger.get("r1")
        assert (record.state, record.error) == ("failed", "Reading 'caf\\udce9': broken \u2713")

    def test_the_first_done_stands(self, ledger: Ledger) -> None:
        """Rows that are durable stay so: a failure after the commit takes neither state nor receipts away."""
        begin(ledger, "r1")
        ledger.finish("r1", state="done", rows_read=5, receipts=["job"])
        ledger.finish("r1", state="failed", error="too late")
        assert (ledger.get("r1").state, ledger.get("r1").rows_read, ledger.get("r1").error) == ("done", 5, None)
        assert ledger.unacked("Account") == [("r1", ["job"])]

    def test_an_unknown_run_is_not_found(self, ledger: Ledger) -> None:
        """Nothing is booked for a run that was never started."""
        deeds: list[Callable[[], object]] = [
            lambda: ledger.get("nope"),
            lambda: ledger.note("nope", plan={}),
            lambda: ledger.finish("nope", state="done"),
            lambda: ledger.acked("nope"),
            lambda: ledger.journal("nope"),
            lambda: ledger.record("nope", Outcome("c")),
        ]
        for deed in deeds:
            with pytest.raises(NotFound, match="nope"):
                deed()
        assert ledger.runs() == []

    def test_runs_are_listed_newest_first(self, ledger: Ledger) -> None:
        """Also those started in the same instant; a flow and a limit narrow the list."""
        for run, flow in (("r1", "Account"), ("r2", "Contact"), ("r3", "Account")):
            begin(ledger, run, flow)
        assert [r.run for r in ledger.runs()] == ["r3", "r2", "r1"]
        assert [r.run for r in ledger.runs("Account")] == ["r3", "r1"]
        assert [r.run for r in ledger.runs("Account", limit=1)] == ["r3"]

    def test_what_was_given_is_not_shared(self, ledger: Ledger) -> None:
        """Changing a value after it was given, or after it came back, changes nothing in the ledger."""
        plan: dict[str, object] = {"reasons": ["a"]}
        begin(ledger, "r1")
        ledger.note("r1", plan=plan)
        plan["reasons"] = []
        back = ledger.get("r1").plan
        assert isinstance(back, dict)
        back["reasons"] = "gone"
        assert ledger.get("r1").plan == {"reasons": ["a"]}

    # Aftermath

    def test_receipts_wait_until_they_are_acknowledged(self, ledger: Ledger) -> None:
        """Receipts of a done run are handed out, oldest first, until the source has let go."""
        for run in ("r1", "r2"):
            begin(ledger, run)
            ledger.finish(run, state="done", receipts=[{"job": run}, 2])
        assert ledger.unacked("Account") == [("r1", [{"job": "r1"}, 2]), ("r2", [{"job": "r2"}, 2])]
        ledger.acked("r1")
        ledger.acked("r1")
        assert ledger.unacked("Account") == [("r2", [{"job": "r2"}, 2])]
        assert ledger.unacked("Contact") == []

    def test_only_durable_rows_are_acknowledged(self, ledger: Ledger) -> None:
        """A failed or running run hands out no receipts, and a done one without any needs no acknowledgement."""
        for run in ("r1", "r2", "r3"):
            begin(ledger, run)
        ledger.finish("r1", state="failed", receipts=["job"])
        ledger.finish("r2", state="done")
        assert ledger.unacked("Account") == []

    def test_a_run_whose_process_is_gone_is_abandoned(self, ledger: Ledger) -> None:
        """It is named once; with nothing open, there is nothing more to do about it."""
        begin(ledger, "dead", pid=ended_process())
        begin(ledger, "alive")
        told = ledger.dead()
        assert list(told) == ["dead"]
        assert ledger.get("dead").state == "running"
        assert ledger.abandon_dead("Account") == ["dead"]
        assert ledger.abandon_dead("Account") == []
        assert ledger.dead() == {}
        record = ledger.get("dead")
        assert record.state == "abandoned"
        assert record.finished is not None
        assert "gone" in (record.error or "")
        assert record.error == told["dead"]
        assert ledger.get("alive").state == "running"

    def test_the_dead_of_another_flow_or_host_are_left(self, ledger: Ledger) -> None:
        """A process of another host cannot be looked at, so its run counts as alive."""
        ledger.start("Account", run="far", pid=ended_process(), host=ELSEWHERE)
        begin(ledger, "other", "Contact", pid=ended_process())
        assert ledger.abandon_dead("Account") == []
        assert [r.state for r in ledger.runs()] == ["running", "running"]
        assert list(ledger.dead()) == ["other"]

    @pytest.mark.parametrize("end", ["expired", "released", "claimed anew"])
    def test_a_run_whose_lease_ended_is_abandoned(self, ledger: Ledger, clock: HandClock, end: str) -> None:
        """Whoever lost the lease cannot commit, wherever it runs; while it holds it, it is alive."""
        lease = ledger.claim("Account", "far", ttl_s=TTL_S)
        ledger.start("Account", run="r1", pid=1, host=ELSEWHERE, lease=lease)
        clock.advance(TTL_S - 1)
        assert (ledger.dead(), ledger.abandon_dead("Account")) == ({}, [])
        if end == "expired":
            clock.advance(1)
        elif end == "released":
            ledger.release(lease)
        else:
            ledger.claim("Account", "far", ttl_s=TTL_S)
        assert list(ledger.dead()) == ["r1"]
        assert ledger.abandon_dead("Account") == ["r1"]

    def test_the_lease_of_the_dead_is_free_at_once(self, ledger: Ledger) -> None:
        """Nobody waits for the end of a lease whose holder is known to be gone; a newer lease is not touched."""
        lease = ledger.claim("Account", "dead", ttl_s=TTL_S)
        ledger.start("Account", run="r1", pid=ended_process(), host=HERE, lease=lease)
        ledger.abandon_dead("Account")
        newer = ledger.claim("Account", "next", ttl_s=TTL_S)
        assert newer.fence > lease.fence
        ledger.start("Account", run="r2", pid=ended_process(), host=HERE, lease=lease)
        assert ledger.abandon_dead("Account") == ["r2"]
        ledger.renew(newer)

    def test_whoever_knows_it_may_abandon_a_run(self, ledger: Ledger) -> None:
        """Also one of another host; its lease is free, its work named."""
        ledger.start("Account", run="r1", pid=7, host=ELSEWHERE, lease=ledger.claim("Account", "far", ttl_s=TTL_S))
        ledger.journal("r1").intend("c1")
        assert (ledger.running("Account"), ledger.running("Contact")) == ({"r1": Process(7, ELSEWHERE)}, {})
        ledger.abandon("r1", error="its host is gone")
        assert (ledger.get("r1").state, ledger.get("r1").error, ledger.running()) == ("abandoned", "its host is gone", {})
        assert (ledger.abandon_dead("Account"), ledger.claim("Account", "next", ttl_s=TTL_S).fence) == (["r1"], 2)

    def test_a_run_that_has_ended_is_not_abandoned(self, ledger: Ledger) -> None:
        """It stays as it ended; one that never was is told as such."""
        begin(ledger, "r1")
        ledger.finish("r1", state="done", rows_read=3)
        ledger.abandon("r1", error="too late")
        assert (ledger.get("r1").state, ledger.get("r1").error) == ("done", None)
        with pytest.raises(NotFound):
            ledger.abandon("none", error="x")

    def test_an_abandoned_run_that_ends_after_all_is_believed(self, ledger: Ledger) -> None:
        """Its own word says whether it committed."""
        begin(ledger, "r1", pid=ended_process())
        ledger.abandon_dead("Account")
        ledger.finish("r1", state="done", rows_read=3)
        record = ledger.get("r1")
        assert (record.state, record.rows_read, record.error) == ("done", 3, None)

    def test_open_intents_are_named_until_they_are_settled(self, ledger: Ledger) -> None:
        """A run that dies while it recovers another loses nothing: the next one is told again, of failed runs too."""
        begin(ledger, "dead", pid=ended_process())
        begin(ledger, "failed")
        for run in ("dead", "failed"):
            ledger.journal(run).intend("c1")
        ledger.finish("failed", state="failed", error="cut")
        assert ledger.abandon_dead("Account") == ["dead", "failed"]
        assert ledger.abandon_dead("Account") == ["dead", "failed"]
        ledger.journal("dead").settle("c1", Outcome("c1"))
        assert ledger.abandon_dead("Account") == ["failed"]

    # Journal

    def test_a_journal_tells_what_is_open(self, ledger: Ledger) -> None:
        """Intents come back oldest first, with detail and remote job, until they are settled."""
        begin(ledger, "r1")
        journal = ledger.journal("r1")
        journal.intend("c2", {"rows": [1, 2], "digest": "ab"})
        journal.intend("c1")
        journal.intend("c3", 5)
        journal.remote("c1", "750x")
        journal.settle("c3", Outcome("c3"))
        expected = [("c2", {"rows": [1, 2], "digest": "ab"}, None), ("c1", None, "750x")]
        assert list(journal.open()) == expected
        assert list(ledger.journal("r1").open()) == expected

    def test_journals_of_two_runs_do_not_meet(self, ledger: Ledger) -> None:
        """The same chunk in two runs is two chunks."""
        for run in ("r1", "r2"):
            begin(ledger, run)
            ledger.journal(run).intend("c1", run)
        ledger.journal("r1").settle("c1", Outcome("c1"))
        assert list(ledger.journal("r1").open()) == []
        assert list(ledger.journal("r2").open()) == [("c1", "r2", None)]

    def test_intending_again_keeps_the_remote_job_until_settled(self, ledger: Ledger) -> None:
        """An open job is never forgotten; a settled chunk that is intended anew has no job yet."""
        begin(ledger, "r1")
        journal = ledger.journal("r1")
        journal.intend("c1", 1)
        journal.remote("c1", "job")
        journal.intend("c1", 2)
        assert list(journal.open()) == [("c1", 2, "job")]
        journal.settle("c1", Outcome("c1"))
        journal.settle("c1", Outcome("c1"))
        journal.intend("c1", 3)
        assert list(journal.open()) == [("c1", 3, None)]

    def test_what_was_never_intended_cannot_be_settled(self, ledger: Ledger) -> None:
        """Sending comes after intending: anything else is a mistake of ours and is told."""
        begin(ledger, "r1")
        journal = ledger.journal("r1")
        with pytest.raises(ValueError, match="never intended"):
            journal.remote("c1", "job")
        with pytest.raises(ValueError, match="never intended"):
            journal.settle("c1", Outcome("c1", rejections=(REFUSED,)))
        assert ledger.rejections("r1") == []

    def test_settling_records_the_outcome(self, ledger: Ledger) -> None:
        """Rejections and doubts are durable together with the end of the intent, and recording them again doubles nothing."""
        begin(ledger, "r1")
        outcome = Outcome("c1", rejections=(REFUSED,), in_doubt=(4, 9))
        ledger.journal("r1").intend("c1")
        ledger.journal("r1").settle("c1", outcome)
        ledger.record("r1", outcome)
        assert ledger.rejections("r1") == [REFUSED]
        assert ledger.in_doubt("r1") == [("c1", 4), ("c1", 9)]

    # Outcomes

    def test_rejections_come_back_in_order_and_in_pages(self, ledger: Ledger) -> None:
        """Limit and offset cut the whole list, over the borders of chunks; every field survives."""
        begin(ledger, "r1")
        refused = [Rejection("p", row, "C", f"m{row}") for row in range(7)]
        ledger.record("r1", Outcome("c1", rejections=tuple(refused[:4])))
        ledger.record("r1", Outcome("c2", rejections=(*refused[4:], REFUSED)))
        assert ledger.rejections("r1") == [*refused, REFUSED]
        assert ledger.rejections("r1", limit=3, offset=2) == refused[2:5]
        assert ledger.rejections("r1", limit=3, offset=99) == []
        assert ledger.rejections("r2") == []

    def test_all_rejections_are_read_in_flat_memory(self, ledger: Ledger) -> None:
        """In the order of recording, however many; the ledger can be written between two of them."""
        begin(ledger, "r1")
        refused = [Rejection("p", row, "C", "m") for row in range(2_300)]
        for at in range(0, 2_300, 100):
            ledger.record("r1", Outcome(f"c{at}", rejections=tuple(refused[at : at + 100])))
        seen: list[Rejection] = []
        for rejection in ledger.each_rejection("r1"):
            if not seen:
                ledger.note("r1", plan={})
            seen.append(rejection)
        assert seen == refused
        assert list(ledger.each_rejection("nope")) == []

    def test_a_rejection_says_whether_it_was_sent(self, ledger: Ledger) -> None:
        """A push keeps rows that the other side refused apart from those that it never saw."""
        begin(ledger, "r1")
        kept = (Rejection("p", 0, "C", "m", fate=Fate.NOT_SENT), Rejection("p", 1, "C", "m"))
        ledger.record("r1", Outcome("c", rejections=kept))
        assert [rejection.fate for rejection in ledger.rejections("r1")] == [Fate.NOT_SENT, Fate.REFUSED]

    def test_rows_in_doubt_come_back_as_they_were(self, ledger: Ledger) -> None:
        """In the order of recording, however many, each with what was told of it; of some that is their number alone."""
        begin(ledger, "r1")
        for at in range(0, 1_200, 400):
            told = tuple(replace(REFUSED, row=row, fate=Fate.IN_DOUBT) for row in range(at, at + 399))
            ledger.record("r1", Outcome(f"c{at}", in_doubt=tuple(range(at, at + 400)), doubts=told))
        found = list(ledger.each_doubt("r1"))
        assert [one.row for one in found] == [row for _, row in ledger.in_doubt("r1")] == list(range(1_200))
        assert found[7] == replace(REFUSED, row=7, fate=Fate.IN_DOUBT)
        assert found[799] == Rejection("c400", 799, "IN_DOUBT", "", fate=Fate.IN_DOUBT)
        assert list(ledger.each_doubt("nope")) == []

    def test_counts_of_a_push_are_kept(self, ledger: Ledger) -> None:
        """Rows in doubt and rows that were not sent are accounted for."""
        begin(ledger, "r1")
        counts = Counts(updated=1, rejected=2, in_doubt=3, not_sent=4)
        ledger.finish("r1", state="done", rows_read=10, counts=counts)
        assert ledger.get("r1").counts == counts
        assert counts.accounted == 10

    def test_the_latest_record_of_a_chunk_stands(self, ledger: Ledger) -> None:
        """A chunk sent again has one outcome, the last."""
        begin(ledger, "r1")
        ledger.record("r1", Outcome("c1", rejections=(REFUSED,), in_doubt=(1,)))
        ledger.record("r1", Outcome("c2", in_doubt=(2,)))
        ledger.record("r1", Outcome("c1", accepted=("001",)))
        assert ledger.rejections("r1") == []
        assert ledger.in_doubt("r1") == [("c2", 2)]

    def test_a_rejected_record_is_kept_whatever_it_holds(self, ledger: Ledger) -> None:
        """Values that JSON does not know are kept as text, and text that UTF-8 cannot carry as it was."""
        begin(ledger, "r1")
        record = {"Amount": Decimal("1.10"), "Close": datetime(2026, 1, 2, tzinfo=UTC), "Name": "bad \ud800 nul \0 end"}
        ledger.record("r1", Outcome("c", rejections=(Rejection("p", 0, "C", "no \ud800", (), record),)))
        (kept,) = ledger.rejections("r1")
        assert kept.message == "no \ud800"
        assert kept.record == {**record, "Amount": "1.10", "Close": "2026-01-02 00:00:00+00:00"}

    def test_an_odd_record_does_not_stop_the_books(self, ledger: Ledger) -> None:
        """Keys that are no text become text, and a value that JSON cannot hold at all is kept as Python shows it."""
        begin(ledger, "r1")
        endless: list[object] = []
        endless.append(endless)
        records: list[dict[object, object]] = [{("a", 1): "x", None: 2}, {"deep": {("a", 1): "x"}}, {"endless": endless}]
        rejections = tuple(Rejection("p", row, "C", "m", (), record) for row, record in enumerate(records))  # type: ignore[arg-type]  # a source's records may have any keys
        ledger.record("r1", Outcome("c", rejections=rejections))
        assert [rejection.record for rejection in ledger.rejections("r1")] == [
            {"('a', 1)": "x", "None": 2},
            {"deep": "{('a', 1): 'x'}"},
            {"endless": "[[...]]"},
        ]

    # Leases and plans

    def test_a_fenced_off_lease_notes_no_plan(self, ledger: Ledger) -> None:
        """Who was taken for dead and lives after all leaves what its successor noted as it is."""
        begin(ledger, "r1")
        old = ledger.claim("Account", "a", ttl_s=TTL_S)
        ledger.note("r1", plan={"n": 1}, lease=old)
        ledger.release(old)
        new = ledger.claim("Account", "b", ttl_s=TTL_S)
        ledger.note("r1", plan={"n": 2}, lease=new)
        with pytest.raises(LeaseLost):
            ledger.note("r1", plan={"n": 3}, lease=old)
        assert ledger.get("r1").plan == {"n": 2}

    # Leases

    def test_a_lease_keeps_others_out_while_it_lives(self, ledger: Ledger, clock: HandClock) -> None:
        """Another owner is told how long to wait; another flow is free; the end of the time opens the door."""
        first = ledger.claim("Account", "a", ttl_s=TTL_S)
        clock.advance(20)
        with pytest.raises(LeaseHeld) as refusal:
            ledger.claim("Account", "b", ttl_s=TTL_S)
        assert refusal.value.after_s == pytest.approx(TTL_S - 20)
        assert "a holds it" in str(refusal.value)
        ledger.claim("Contact", "b", ttl_s=TTL_S)
        clock.advance(TTL_S - 20)
        assert ledger.claim("Account", "b", ttl_s=TTL_S).fence > first.fence

    def test_a_refusal_says_who_since_when_and_when_it_was_last_alive(self, ledger: Ledger, clock: HandClock) -> None:
        """A person sees whether to wait; a renewal is a sign of life and moves nothing else."""
        lease = ledger.claim("Account", "a", ttl_s=TTL_S)
        clock.advance(40)
        ledger.renew(lease)
        clock.advance(15)
        with pytest.raises(LeaseHeld, match=r"a holds it since 2026-03-01T12:00:00Z, its last sign of life was 15 s ago") as told:
            ledger.claim("Account", "b", ttl_s=TTL_S)
        assert (told.value.facts["owner"], told.value.facts["silent_s"], told.value.exit_code) == ("a", 15.0, 75)
        assert told.value.after_s == pytest.approx(TTL_S - 15)

    def test_the_lease_of_a_process_that_ended_here_is_free_at_once(self, ledger: Ledger) -> None:
        """Nobody waits for a holder that this host knows to be gone; the newcomer's fence is higher."""
        dead = ledger.claim("Account", "dead", ttl_s=TTL_S, process=Process.of(ended_process(), HERE))
        newer = ledger.claim("Account", "next", ttl_s=TTL_S)
        assert newer.fence > dead.fence
        with pytest.raises(LeaseLost, match="next"):
            ledger.renew(dead)

    def test_the_lease_of_elsewhere_is_free_after_its_time(self, ledger: Ledger, clock: HandClock) -> None:
        """A process there cannot be looked at: only its silence says that it is gone. A container may have this host's name."""
        for flow, there in (("host", (ELSEWHERE,)), ("container", (HERE, "boot:1", "boot:pid:[1]"))):
            ledger.claim(flow, "far", ttl_s=TTL_S, process=Process(ended_process(), *there))
            clock.advance(TTL_S - 0.1)
            with pytest.raises(LeaseHeld):
                ledger.claim(flow, "next", ttl_s=TTL_S)
            clock.advance(0.1)
            ledger.claim(flow, "next", ttl_s=TTL_S)

    def test_a_lease_may_have_another_name_than_the_flow(self, ledger: Ledger) -> None:
        """One flow may go into two destinations at once: each run is judged by its own lease."""
        one, two = (ledger.claim(f"Account in {place}", "far", ttl_s=TTL_S) for place in ("lake", "sea"))
        for run, lease in (("r1", one), ("r2", two)):
            ledger.start("Account", run=run, pid=1, host=ELSEWHERE, lease=lease)
        ledger.release(one)
        assert ledger.abandon_dead("Account") == []
        assert ledger.abandon_dead(one.flow) == ["r1"]
        assert ledger.get("r2").state == "running"

    def test_what_runs_left_goes_by_the_name_of_their_lease(self, ledger: Ledger) -> None:
        """Of one flow in two places, each place has its own intents and receipts; runs without a lease have the flow's."""
        one, two = (ledger.claim(f"Account in {place}", "o", ttl_s=TTL_S) for place in ("lake", "sea"))
        for run, lease in (("r1", one), ("r2", two), ("r3", None)):
            ledger.start("Account", run=run, pid=os.getpid(), host=HERE, lease=lease)
            ledger.journal(run).intend("c1")
            ledger.finish(run, state="done", receipts=[run])
        names = {one.flow: ["r1"], two.flow: ["r2"], "Account": ["r3"]}
        assert {name: ledger.abandon_dead(name) for name in names} == names
        assert {name: [run for run, _ in ledger.unacked(name)] for name in names} == names
        assert [record.run for record in ledger.runs("Account")] == ["r3", "r2", "r1"]

    def test_fences_only_grow(self, ledger: Ledger, clock: HandClock) -> None:
        """Over claims by the same owner, releases and ends."""
        leases = [ledger.claim("Account", "a", ttl_s=TTL_S), ledger.claim("Account", "a", ttl_s=TTL_S)]
        ledger.release(leases[-1])
        leases.append(ledger.claim("Account", "b", ttl_s=TTL_S))
        clock.advance(TTL_S)
        leases.append(ledger.claim("Account", "c", ttl_s=TTL_S))
        fences = [lease.fence for lease in leases]
        assert fences == sorted(set(fences))

    def test_a_renewed_lease_lives_on(self, ledger: Ledger, clock: HandClock) -> None:
        """From the moment of renewal for its whole time, also when it had run out and nobody came."""
        lease = ledger.claim("Account", "a", ttl_s=TTL_S)
        for pause in (TTL_S - 1, TTL_S + 5):
            clock.advance(pause)
            ledger.renew(lease)
            clock.advance(TTL_S - 1)
            with pytest.raises(LeaseHeld):
                ledger.claim("Account", "b", ttl_s=TTL_S)

    def test_a_lost_lease_is_told_when_renewed(self, ledger: Ledger, clock: HandClock) -> None:
        """Whoever was fenced off, or gave the lease back, learns it, and who has it or had it next."""
        lost = ledger.claim("Account", "a", ttl_s=TTL_S)
        clock.advance(TTL_S)
        newer = ledger.claim("Account", "b", ttl_s=TTL_S)
        with pytest.raises(LeaseLost, match=r"newer run \(b\) took it over"):
            ledger.renew(lost)
        ledger.release(newer)
        with pytest.raises(LeaseLost, match="was released"):
            ledger.renew(newer)
        with pytest.raises(LeaseLost, match=r"newer run \(b\) took it over") as told:
            ledger.renew(lost)
        assert (told.value.facts["owner"], told.value.exit_code) == ("b", 75)

    def test_a_release_frees_only_its_own_lease(self, ledger: Ledger) -> None:
        """Releasing an older lease, or one twice, does nothing to the newest."""
        old = ledger.claim("Account", "a", ttl_s=TTL_S)
        new = ledger.claim("Account", "a", ttl_s=TTL_S)
        ledger.release(old)
        with pytest.raises(LeaseHeld):
            ledger.claim("Account", "b", ttl_s=TTL_S)
        ledger.release(new)
        ledger.release(new)
        ledger.claim("Account", "b", ttl_s=TTL_S)

    # Threads

    def test_one_of_many_threads_gets_the_lease(self, ledger: Ledger) -> None:
        """However many ask at once."""

        def ask(owner: int) -> bool:
            try:
                ledger.claim("Account", f"owner {owner}", ttl_s=TTL_S)
            except LeaseHeld:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(ask, range(32))) == 1

    def test_threads_write_one_journal_together(self, ledger: Ledger) -> None:
        """No intent is lost, and each is settled once."""
        begin(ledger, "r1")
        journal = ledger.journal("r1")

        def work(number: int) -> None:
            journal.intend(f"c{number}", number)
            if number % 2:
                journal.settle(f"c{number}", Outcome(f"c{number}", in_doubt=(number,)))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(40)))
        assert {chunk for chunk, _, _ in journal.open()} == {f"c{number}" for number in range(0, 40, 2)}
        assert {row for _, row in ledger.in_doubt("r1")} == set(range(1, 40, 2))

    # Usages

    def test_calls_of_a_day_add_up_for_each_org(self, ledger: Ledger) -> None:
        """Each org has a count of its own; without a budget any number is taken."""
        assert (ledger.spent("A"), ledger.spend("A", 3), ledger.spend("A", 4), ledger.spend("B", 1)) == (0, 3, 7, 1)
        assert (ledger.spent("A"), ledger.spent("B"), ledger.spent("C")) == (7, 1, 0)

    def test_a_call_beyond_the_budget_is_refused_and_not_counted(self, ledger: Ledger) -> None:
        """The last call of a budget is made, the next is not; a larger budget lets it go on at once."""
        assert ledger.spend("A", 9, most=10) == 9
        assert ledger.spend("A", 1, most=10) == 10
        with pytest.raises(QuotaExhausted, match="10 of the budget of 10 calls") as caught:
            ledger.spend("A", 1, most=10, doing="Describing Account")
        assert caught.value.doing == "Describing Account"
        assert (caught.value.exit_code, caught.value.facts["used"], caught.value.facts["budget"]) == (75, 10, 10)
        assert (ledger.spent("A"), ledger.spend("A", 1, most=11)) == (10, 11)

    def test_a_day_ends_at_midnight_utc(self, ledger: Ledger, clock: HandClock) -> None:
        """The refusal says when the budget begins anew, and then it does."""
        ledger.spend("A", 10, most=10)
        with pytest.raises(QuotaExhausted, match="2026-03-02T00:00Z") as caught:
            ledger.spend("A", 1, most=10)
        assert caught.value.after_s == 12 * 3600.0
        clock.advance(12 * 3600.0 - 1.0)
        with pytest.raises(QuotaExhausted):
            ledger.spend("A", 1, most=10)
        clock.advance(1.0)
        assert (ledger.spent("A"), ledger.spend("A", 1, most=10)) == (0, 1)

    def test_threads_never_spend_more_than_the_budget(self, ledger: Ledger) -> None:
        """Of many calls at once exactly as many are let out as the budget holds."""

        def one(_: int) -> int:
            try:
                ledger.spend("A", 1, most=15)
            except QuotaExhausted:
                return 0
            return 1

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(one, range(40))) == 15
        assert ledger.spent("A") == 15
