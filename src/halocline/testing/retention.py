"""RetentionLaws: what a ledger may forget, and what it may not however old it is. Part of `LedgerSuite`."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from halocline.ledger.retention import DAILY_S, REPEATS_S
from halocline.outcome import Outcome, Rejection

if TYPE_CHECKING:
    from halocline.batch import JSON
    from halocline.connector import Lease
    from halocline.ledger import Ledger
    from halocline.testing.ledgers import HandClock

_DAY_S = 86_400.0


def _ran(ledger: Ledger, run: str, flow: str = "Account", *, plan: dict[str, JSON] | None = None, state: str = "done") -> None:
    """A run that ended now, of which two rows are told."""
    _begun(ledger, run, flow)
    ledger.note(run, plan={"reasons": []} if plan is None else plan)
    ledger.record(run, Outcome("c", rejections=(Rejection("p", 0, "CODE", "message", record={"Name": run}),), in_doubt=(1,)))
    ledger.finish(run, state="done" if state == "done" else "failed")


def _begun(ledger: Ledger, run: str, flow: str = "Account", *, lease: Lease | None = None) -> None:
    ledger.start(flow, run=run, pid=os.getpid(), host=socket.gethostname(), lease=lease)


def _there(ledger: Ledger) -> list[str]:
    return [record.run for record in reversed(ledger.runs())]


def _pruned(ledger: Ledger, days: float = 90, *, keep_failed: bool = False) -> list[str]:
    found = ledger.prune(older_than_s=days * _DAY_S, keep_failed=keep_failed)
    assert found is not None
    return list(found.runs)


class RetentionLaws:
    """Every ledger keeps these laws too."""

    def test_old_runs_go_with_all_that_is_told_of_them(self, ledger: Ledger, clock: HandClock) -> None:
        """Those that ended before the age, and no others; calls of that time go too, and no lease gets an older fence."""
        fence = ledger.claim("Account", "a", ttl_s=1).fence
        ledger.spend("org", 7)
        _ran(ledger, "old")
        clock.advance(_DAY_S)
        _ran(ledger, "young")
        clock.advance(90 * _DAY_S - 1)
        found = ledger.prune(older_than_s=90 * _DAY_S)
        assert found is not None
        assert (found.runs, found.rows, found.kept, found.left, _there(ledger)) == (("old",), 2, {}, (), ["young"])
        assert (ledger.rejections("old"), ledger.in_doubt("old"), len(ledger.rejections("young"))) == ([], [], 1)
        assert ledger.claim("Account", "b", ttl_s=1).fence == fence + 1

    def test_a_dry_run_says_it_and_changes_nothing(self, ledger: Ledger, clock: HandClock) -> None:
        """What it says is what then goes."""
        _ran(ledger, "old")
        clock.advance(91 * _DAY_S)
        dry = ledger.prune(older_than_s=90 * _DAY_S, dry_run=True)
        assert (_there(ledger), len(ledger.rejections("old"))) == (["old"], 1)
        wet = ledger.prune(older_than_s=90 * _DAY_S)
        assert dry is not None
        assert wet is not None
        assert (dry.runs, dry.rows, dry.kept) == (wet.runs, wet.rows, wet.kept) == (("old",), 2, {})

    def test_what_is_not_ended_stays(self, ledger: Ledger, clock: HandClock) -> None:
        """A run that runs, one with an open intent, one whose source holds its receipts, a file of which not all is done."""
        _begun(ledger, "running", "A")
        _ran(ledger, "intent", "B", state="failed")
        ledger.journal("intent").intend("chunk")
        _begun(ledger, "unacked", "C")
        ledger.finish("unacked", state="done", receipts=["job"])
        _ran(ledger, "file", "D", plan={"file": {}, "steps": {"submit": {"state": "done"}}}, state="failed")
        clock.advance(400 * _DAY_S)
        found = ledger.prune(older_than_s=_DAY_S)
        assert found is not None
        assert (found.runs, found.left, found.kept) == ((), ("running", "intent", "unacked", "file"), {"open": 4})
        ledger.finish("running", state="done")
        ledger.journal("intent").settle("chunk", Outcome("chunk"))
        ledger.acked("unacked")
        ledger.finish("file", state="done")
        clock.advance(400 * _DAY_S)
        assert _pruned(ledger, 1) == ["running", "intent", "unacked", "file"]

    def test_what_came_after_an_open_run_of_its_flow_stays(self, ledger: Ledger, clock: HandClock) -> None:
        """Whoever takes that one up has to see that its records were written since; other flows, and earlier runs, may go."""
        for run, flow in (("before", "A"), ("open", "A"), ("after", "A"), ("other", "B")):
            _ran(ledger, run, flow)
        ledger.journal("open").intend("chunk")
        clock.advance(400 * _DAY_S)
        found = ledger.prune(older_than_s=_DAY_S)
        assert found is not None
        assert (found.runs, found.kept) == (("before", "other"), {"open": 1, "overtaking": 1})

    def test_what_a_run_that_stays_names_stays_too(self, ledger: Ledger, clock: HandClock) -> None:
        """The rows that a push retries or goes on with, a sync's job, a file's push; and what those name."""
        for run, plan in (
            ("first", None),
            ("retried", {"push": {"retries": "first"}}),
            ("job", None),
            ("table", None),
            ("rows", None),
            ("nobody's", None),
        ):
            _ran(ledger, run, f"flow of {run}", plan=plan)  # type: ignore[arg-type]  # None and dict
        clock.advance(100 * _DAY_S)
        _ran(ledger, "push", "A", plan={"push": {"continues": "retried", "retries": None}})
        _ran(ledger, "sync", "B", plan={"continues": "job"})
        _ran(ledger, "tables", "C", plan={"tables": [{"plan": {"continues": "table"}}, {"plan": None}]})
        _ran(ledger, "file", "D", plan={"file": {}, "steps": {"submit": {"push": "rows"}}})
        found = ledger.prune(older_than_s=_DAY_S)
        assert found is not None
        assert (found.runs, found.kept) == (("nobody's",), {"named": 5})
        clock.advance(100 * _DAY_S)
        assert len(_pruned(ledger, 1)) == 9

    def test_what_knows_a_repeated_delivery_stays_as_long_as_one_may_come(self, ledger: Ledger, clock: HandClock) -> None:
        """What is done of a file, or once for an event, is remembered for 30 days, however short the age."""
        _ran(ledger, "file", "A", plan={"file": {}, "steps": {"submit": {}}})
        _begun(ledger, "event", "B")
        ledger.finish("event", state="done")
        _ran(ledger, "sync", "C")
        clock.advance(REPEATS_S)
        found = ledger.prune(older_than_s=_DAY_S)
        assert found is not None
        assert (found.runs, found.kept) == (("sync",), {"repeats": 2})
        clock.advance(1)
        assert _pruned(ledger, 1) == ["file", "event"]

    def test_failed_runs_may_be_kept(self, ledger: Ledger, clock: HandClock) -> None:
        """All that did not end as done, however old."""
        _ran(ledger, "failed", "A", state="failed")
        _ran(ledger, "done", "B")
        clock.advance(400 * _DAY_S)
        assert _pruned(ledger, keep_failed=True) == ["done"]
        assert _pruned(ledger) == ["failed"]

    def test_what_nobody_asked_for_is_done_once_a_day(self, ledger: Ledger, clock: HandClock) -> None:
        """Of all who open the ledger one prunes; whoever asks for it gets it."""
        assert ledger.prune(older_than_s=1, every_s=DAILY_S) is not None
        _ran(ledger, "old")
        clock.advance(DAILY_S - 1)
        assert ledger.prune(older_than_s=1, every_s=DAILY_S) is None
        assert _there(ledger) == ["old"]
        clock.advance(1)
        assert ledger.prune(older_than_s=1, every_s=DAILY_S) is not None
        assert _there(ledger) == []
