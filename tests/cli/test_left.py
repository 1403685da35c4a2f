"""Laws of what is left: a push that ended before its end says how many rows it did not come to, and who takes them up."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from halocline.cli.left import left_of, standing
from halocline.emulator.server import Emulator
from halocline.ledger import Ledger, open_ledger, process
from halocline.outcome import Counts
from halocline.testing.ledgers import ended_process
from tests.cli.test_push import accounts
from tests.system.push_desk import PushDesk, desk_at, push_org

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with push_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PushDesk:
    return desk_at(emulator, tmp_path, monkeypatch)


@pytest.fixture
def ledger(desk: PushDesk) -> Iterator[Ledger]:
    desk.home.mkdir(exist_ok=True)
    with open_ledger(desk.home / "ledger.sqlite") as ledger:
        yield ledger


def test_a_flow_that_has_no_run_is_told_with_those_that_have(desk: PushDesk) -> None:
    """An empty answer would be taken for an empty ledger; before the first run of all it is one."""
    none_yet = "No runs yet. "
    assert desk.type("runs", "--flow", "leads").out.startswith(none_yet)
    desk.push(desk.file("some.csv", accounts(1)), "--flow", "leads[new]")
    assert desk.type("runs", "--flow", "leads[nw]").out == "No run of the flow 'leads[nw]'. Did you mean leads[new]?\n"
    assert desk.type("runs", "--flow", "zzz").out == "No run of the flow 'zzz'. `halocline runs` lists those of all flows.\n"
    assert "leads[new]" in desk.type("runs", "--flow", "leads[new]").out
    assert desk.documents("runs", "--flow", "zzz") == []


def short(desk: PushDesk, *words: str) -> tuple[str | Path, ...]:
    """The words of a push of 4 inserts in two requests, of which the quota allows the one that comes first."""
    desk.emulator.faults.add("request_limit", path="composite", nth=2, times=1_000)
    source = desk.file("some.csv", accounts(4))
    return ("push", source, "--to", "Account", "--mode", "insert", "--batch-size", "2", *words)


def test_rows_that_were_never_sent_are_told_everywhere(desk: PushDesk) -> None:
    """By the push, by `errors` in all its forms, by `runs`; once they are taken up nobody speaks of them any more."""
    told = desk.type(*short(desk))
    assert told.exit_code == 75, told
    run = desk.runs()[0]["run"]
    left = f"2 rows are left: `halocline resume {run[:8]}` takes them up"
    sentence, last = told.out.splitlines()
    assert "2 written (2 created), 0 refused, 2 left, " in sentence
    assert last == left
    shown = desk.type("errors", "last")
    assert (shown.exit_code, shown.err) == (0, "")
    nothing = f"Run {run[:8]} has no row that was refused, not sent or in doubt"
    assert shown.out == f"{nothing} so far.\n{left}.\n"
    for form in (("--json",), ("--jsonl", "-")):
        told = desk.type("errors", "last", *form)
        assert (told.out, told.err) == ("", f"{left}.\n")
    assert desk.type("errors", "last", "--csv", "-").out == "run,row,code,message,fields\n"
    heading, row, note = desk.type("runs").out.splitlines()
    assert (heading.split()[-1], row.split()[-1]) == ("left", "2")
    assert note == "1 run can be taken up: `halocline resume`"
    assert "left       2\n" in desk.type("runs", run).out
    assert (desk.runs()[0]["left"], desk.runs()[0]["resumable"]) == (2, True)
    desk.emulator.faults.clear()
    assert desk.type("resume").exit_code == 0
    assert desk.type("errors", "last").out == f"{nothing}.\n"
    assert " left" not in desk.type("runs").out
    assert (desk.runs()[0]["left"], len(desk.accounts())) == (0, 4)


def test_a_program_is_told_the_numbers_of_a_push_that_failed(desk: PushDesk) -> None:
    """One document holds what was written, what is left, and why it ended."""
    told = desk.type(*short(desk, "--json"))
    assert (told.exit_code, told.err) == (75, "")
    (document,) = map(json.loads, told.out.splitlines())
    run = desk.runs()[0]["run"]
    counted = {"total": 4, "written": 2, "refused": 0, "left": 2, "run": run, "resume": run}
    assert document == {**document, **counted, "success": False, "exit_code": 75, "kind": "QuotaExhausted"}


def test_a_failure_before_anything_was_planned_is_told_alone(desk: PushDesk) -> None:
    """There are no numbers of it."""
    desk.emulator.faults.add("request_limit", times=1_000)
    (document,) = desk.documents("push", desk.file("some.csv", accounts(3)), "--to", "Account", "--key", "Ext__c")
    assert (document["exit_code"], "written" in document, "error" in document) == (75, False, True)


def test_what_two_failed_tries_leave_is_told_once(desk: PushDesk) -> None:
    """The same push, typed again, takes the first up and fails as well: `errors` of either tells what is left now."""
    words = short(desk)
    desk.type(*words)
    desk.emulator.faults.clear()
    told = desk.type(*short(desk, "--quota-share", "0"))
    assert told.exit_code == 75, told
    second, first = desk.runs()
    assert (first["left"], second["left"], second["resumable"]) == (2, 0, False)
    for run in (first, second):
        left = f"2 rows are left: `halocline resume {first['run'][:8]}` takes them up."
        assert left in desk.type("errors", run["run"]).out


def test_of_a_run_that_was_killed_no_more_is_said_than_is_known(desk: PushDesk, ledger: Ledger) -> None:
    """It has counted nothing: while it seems to be at work that is said, and then how many rows there are at most."""
    desk.type(*short(desk))
    (record,) = ledger.runs()
    assert record.plan is not None
    ledger.start(record.flow, run="killed", pid=1, host="elsewhere")
    ledger.note("killed", plan={**record.plan, "push": {**record.plan["push"], "continues": record.run}})  # type: ignore[dict-item]
    assert standing(ledger.get("killed"), ledger) == (
        "Run killed has not ended. If its process is gone, `halocline resume killed` takes it up."
    )
    left = left_of(ledger.get(record.run), ledger)
    assert left is not None
    assert (left.count, left.run) == ("up to 2", record.run)
    assert str(left).startswith("up to 2 rows are left: ")


def test_a_run_that_was_killed_does_not_seem_to_be_at_work(desk: PushDesk, ledger: Ledger) -> None:
    """Nobody books its end before its flow runs again: until then the list, the run and the JSON tell that, and why."""
    gone = ended_process()
    for run, pid in (("killed", gone), ("working", os.getpid())):
        ledger.start("flow", run=run, pid=pid, host=socket.gethostname())
    why = f"process {gone} of {socket.gethostname()} is gone"
    listed, shown = desk.type("runs").out, desk.type("runs", "killed").out
    assert f"killed died: {why}. The next run of its flow takes it up.\n" in listed
    assert ["running, but dead" in line for line in listed.splitlines()[1:3]] == [False, True]
    assert f"died       {why}. The next run of its flow takes it up.\n" in shown
    assert "died" not in desk.type("runs", "working").out
    assert {one["run"]: (one["state"], one["dead"]) for one in desk.runs()} == {
        "killed": ("running", why),
        "working": ("running", None),
    }
    assert [one["dead"] for one in desk.documents("runs", "killed")] == [why]
    assert [one.state for one in ledger.runs()] == ["running", "running"]


def test_a_run_of_another_container_is_not_called_dead(desk: PushDesk, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it has the host's name, and no process of here has its number."""
    with monkeypatch.context() as there:
        there.setattr(process, "_world", lambda: "another boot:pid:[1]")
        ledger.start("flow", run="there", pid=ended_process(), host=socket.gethostname())
    assert [(one["state"], one["dead"]) for one in desk.runs()] == [("running", None)]
    assert "dead" not in desk.type("runs").out


def test_of_rows_that_nobody_can_name_the_number_is_told(desk: PushDesk, ledger: Ledger) -> None:
    """Of a run whose folder is gone it is known that rows are in doubt, and not which."""
    ledger.start("flow", run="buried", pid=os.getpid(), host=socket.gethostname())
    ledger.finish("buried", state="failed", counts=Counts(in_doubt=3), error="its folder is gone")
    assert desk.type("errors", "buried").out == (
        "Run buried has 3 rows in doubt, of which no more is known: its folder is gone.\n"
    )


def test_a_run_that_is_no_push_leaves_nothing(ledger: Ledger) -> None:
    """A sync that failed is begun anew."""
    ledger.start("flow", run="r", pid=1, host="elsewhere")
    ledger.finish("r", state="failed", rows_read=3, error="no")
    assert (left_of(ledger.get("r"), ledger), standing(ledger.get("r"), ledger)) == (None, "")
