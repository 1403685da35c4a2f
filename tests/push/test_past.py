"""Laws of dead runs, killed at any point: pushed again, followed by another push, resumed, discarded: nothing twice or lost."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.examples import stride
from tests.push.fake import FakeDestination, Fuse, FusedLedger, Heard, Killed, ListRows, Org

from halocline.errors import FixConfig, HaloclineError, LeaseHeld, NetworkFailed, NotFound, Stopped
from halocline.events import Event, Noticed
from halocline.ledger import Ledger, MemoryLedger, SqliteLedger
from halocline.outcome import Counts, Fate
from halocline.push.destination import RowBatch, Told
from halocline.push.folder import KEPT_S, RunFolder, sweep
from halocline.push.order import Api, SyncMode, WriteOrder
from halocline.push.past import unsettled
from halocline.push.push import Push, execute
from halocline.push.resume import discard, resume
from halocline.push.run import PushRun
from halocline.push.sieve import Sieve

FIRST = [{"Ext__c": f"k{name}", "Name": name} for name in "abcde"]
OTHER = [{"Ext__c": f"k{name}", "Name": name} for name in "vwxyz"]
DEATHS = stride(3)
WAYS = [
    pytest.param(SyncMode.INSERT, True, id="insert, asked"),
    pytest.param(SyncMode.INSERT, False, id="insert, not asked"),
    pytest.param(SyncMode.UPSERT, True, id="upsert, asked"),
    pytest.param(SyncMode.UPSERT, False, id="upsert, not asked"),
]


def order_of(mode: SyncMode, **options: Any) -> WriteOrder:
    return WriteOrder("Account", mode, key="Ext__c", batch_size=2, **options)


class World:
    """An org, a ledger and a home that outlive the processes in which pushes run."""

    def __init__(self, home: Path, mode: SyncMode = SyncMode.UPSERT, *, asks: bool = True, ledger: Ledger | None = None) -> None:
        self.org = Org()
        self.home = home
        self.order = order_of(mode)
        self.asks = asks
        self.ledger = ledger or MemoryLedger()
        self.notices: list[str] = []

    def kill(self, rows: Sequence[Any] = FIRST, *, at: int, run: PushRun | None = None) -> Fuse:
        """Push in a process that dies at its `at`-th deed (0: it lives)."""
        fuse = Fuse(at)
        made = Push(self.order, ListRows(rows), FakeDestination(self.org, fuse=fuse, asks=self.asks), "flow")
        dying: Any = FusedLedger(self.ledger, fuse)
        try:
            execute(made, run or PushRun("first"), ledger=dying, home=self.home)
        except Killed:
            assert at
        return fuse

    def die_sending(self, rows: Sequence[Any] = FIRST, *, run: str = "first", chunk: str = "c00002") -> None:
        """Push in a process that dies when a chunk goes out."""
        deeds = World(self.home / "probe", self.order.mode, asks=self.asks).kill(rows, at=0).seen
        self.kill(rows, at=deeds.index(f"request {chunk}") + 1, run=PushRun(run))

    def destination(self) -> FakeDestination:
        return FakeDestination(self.org, asks=self.asks)

    def push(self, rows: Sequence[Any] = FIRST, *, watch: Heard | None = None, **options: Any) -> PushRun:
        made = Push(self.order, ListRows(rows), self.destination(), "flow", **options)
        return execute(made, PushRun.new(), ledger=self.ledger, home=self.home, sink=self.sink, watch=watch or Heard())

    def resume(self, run: str = "first", **options: Any) -> PushRun:
        return resume(run, destination=self.destination(), ledger=self.ledger, home=self.home, sink=self.sink, **options)

    def discard(self, run: str = "first", **options: Any) -> PushRun:
        return discard(run, destination=self.destination(), ledger=self.ledger, home=self.home, sink=self.sink, **options)

    def sink(self, event: Event) -> None:
        if isinstance(event, Noticed):
            self.notices.append(event.message)

    @property
    def unsettled(self) -> list[str]:
        """The dead runs in whose journal something is open."""
        self.ledger.abandon_dead("flow")  # which names runs that are found dead for the first time, whatever they left
        return self.ledger.abandon_dead("flow")

    def doubts(self, run: str) -> list[str]:
        """The names of FIRST of which a run does not know."""
        return [FIRST[row]["Name"] for _, row in self.ledger.in_doubt(run)]


def every_death(folder: Path, mode: SyncMode, *, asks: bool) -> list[World]:
    """A world for each deed of a push that is tried, in which a process died at it."""
    deeds = World(folder / "whole", mode, asks=asks).kill(at=0).seen
    assert len(deeds) > 20
    worlds = []
    for at in range(1, len(deeds) + 1, DEATHS):
        world = World(folder / str(at), mode, asks=asks)
        world.kill(at=at)
        worlds.append(world)
    return worlds


def started(world: World) -> bool:
    """Whether anything of the dead run may have been sent and its end is not booked."""
    return world.unsettled == ["first"]


def over(world: World) -> bool:
    """Whether the dead run had come to its end but for the tidying."""
    return bool(world.ledger.runs()) and world.ledger.get("first").state == "done" and not started(world)


def check_once(world: World, run: str, names: str, *, among: str | None = None) -> None:
    """Each of the names is in the org once; an insert that cannot be asked about may lack those that are in doubt."""
    found = Counter(name for name in world.org.names() if name in (among or names))
    doubts = world.doubts(run)
    assert max(found.values(), default=1) == 1
    assert set(names) - set(found) <= set(doubts)
    if world.asks or world.order.mode is SyncMode.UPSERT:
        assert doubts == []


@pytest.mark.parametrize(("mode", "asks"), WAYS)
def test_killed_anywhere_and_pushed_again(tmp_path: Path, mode: SyncMode, asks: bool) -> None:
    """The same rows again: each is in the org once, all are told, and nothing remains to be done."""
    continued = 0
    for world in every_death(tmp_path, mode, asks=asks):
        if over(world):
            continue
        was_started, before, heard = started(world), list(world.org.names()), Heard()
        run = world.push(watch=heard)
        assert run.continues == ("first" if was_started else None)
        assert was_started or not before
        assert run.accounted == 5
        assert sorted([*heard.written, *heard.others]) == [0, 1, 2, 3, 4]
        check_once(world, run.id, "abcde")
        assert world.unsettled == []
        assert bool(list((world.home / "runs").glob("*/load"))) is bool(run.in_doubt) or not was_started
        continued += was_started
    assert continued > 10 // DEATHS


@pytest.mark.parametrize(("mode", "asks"), WAYS)
def test_killed_anywhere_and_another_push_comes(tmp_path: Path, mode: SyncMode, asks: bool) -> None:
    """Other rows are all written; what remains of the dead run is told to a person, and can be sent or forgotten."""
    waiting = 0
    for world in every_death(tmp_path, mode, asks=asks):
        was_started, was_over = started(world), over(world)
        run = world.push(OTHER)
        assert (run.continues, run.written) == (None, 5)
        check_once(world, run.id, "vwxyz")
        if world.unsettled:
            waiting += 1
            assert was_started
            assert any("`halocline resume first` sends them" in notice for notice in world.notices)
            world.resume(anyway=True)
            check_once(world, "first", "abcde")
        elif was_started or was_over:
            check_once(world, "first", "abcde")
        else:
            assert set(world.org.names()) == set("vwxyz")
        assert world.unsettled == []
    assert waiting > 5 // DEATHS


@pytest.mark.parametrize(("mode", "asks"), WAYS)
def test_killed_anywhere_and_resumed(tmp_path: Path, mode: SyncMode, asks: bool) -> None:
    """Without the source: each row is in the org once, and the run's own books are complete."""
    for world in every_death(tmp_path, mode, asks=asks):
        if not started(world):
            with pytest.raises(HaloclineError) as refused:
                world.resume()
            assert isinstance(refused.value, FixConfig)
            assert over(world) or world.org.names() == []
            continue
        heard = Heard()
        run = world.resume(watch=heard)
        assert (run.id, run.accounted, heard.total) == ("first", 5, 5)
        assert sorted([*heard.written, *heard.others]) == [0, 1, 2, 3, 4]
        check_once(world, "first", "abcde")
        record = world.ledger.get("first")
        assert (record.state, record.counts.accounted, record.rows_read) == ("done", 5, 5)
        assert world.unsettled == []


@pytest.mark.parametrize(("mode", "asks"), WAYS)
def test_killed_anywhere_and_discarded(tmp_path: Path, mode: SyncMode, asks: bool) -> None:
    """Nothing more is sent; each row is booked as written, in doubt or discarded, and the books agree with the org."""
    discarded = 0
    for world in every_death(tmp_path, mode, asks=asks):
        if not started(world):
            continue
        before, heard = world.org.names(), Heard()
        run = world.discard(watch=heard)
        assert world.org.names() == before
        assert sorted([*heard.written, *heard.others]) == [0, 1, 2, 3, 4]
        assert run.accounted == 5
        told = {heard.others[row].code for row in heard.others if heard.others[row].fate is Fate.NOT_SENT}
        assert told <= {"DISCARDED"}
        discarded += run.not_sent
        if asks:
            assert sorted(FIRST[row]["Name"] for row in heard.written) == before
        assert world.ledger.get("first").state == "done"
        assert world.unsettled == []
    assert discarded > 10 // DEATHS


@pytest.mark.parametrize(("mode", "asks"), WAYS)
def test_killed_while_taking_up_the_work_of_the_dead(tmp_path: Path, mode: SyncMode, asks: bool) -> None:
    """A second process that dies at any point of it leaves no more behind than the first did."""
    for at in count(1, DEATHS):
        world = World(tmp_path / str(at), mode, asks=asks)
        world.die_sending()
        fuse = world.kill(at=at, run=PushRun("second"))
        if len(fuse.seen) < at:
            break
        if not world.unsettled:
            assert world.ledger.get("second").state == "done"
            continue
        run = world.push()
        check_once(world, run.id, "abcde")
        assert run.accounted == 5
        assert world.unsettled == []
    assert at > 20


@pytest.mark.parametrize(("mode", "asks"), WAYS)
def test_killed_while_asking_about_the_dead(tmp_path: Path, mode: SyncMode, asks: bool) -> None:
    """A push of other rows that dies while it settles an earlier one, or later: both runs can be brought to their end."""
    for at in count(1, DEATHS):
        world = World(tmp_path / str(at), mode, asks=asks)
        world.die_sending()
        fuse = world.kill(OTHER, at=at, run=PushRun("second"))
        if len(fuse.seen) < at:
            break
        for run in world.unsettled:
            world.resume(run, anyway=True)
        assert world.unsettled == []
        check_once(world, "first", "abcde")
        found = Counter(name for name in world.org.names() if name in "vwxyz")
        begun = {record.run for record in world.ledger.runs() if record.plan is not None}
        lost = [OTHER[row]["Name"] for _, row in world.ledger.in_doubt("second")]
        noted = "second" in begun and world.ledger.get("second").state == "done"
        assert set(found) | set(lost) == (set("vwxyz") if noted else set())
        assert max(found.values(), default=1) == 1
    assert at > 20


def test_a_ledger_in_a_file_takes_up_as_well(tmp_path: Path) -> None:
    """Everything that is needed outlives the process on disk."""
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        world = World(tmp_path, ledger=ledger)
        world.die_sending()
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        world.ledger = ledger
        run = world.push()
        assert (run.continues, run.written, world.org.names()) == ("first", 5, list("abcde"))


# ---- what may be taken up, and by whom


def test_a_failed_run_is_taken_up_like_a_dead_one(tmp_path: Path) -> None:
    """Whoever ran into a limit goes on where it was met."""
    world = World(tmp_path)
    destination = world.destination()

    def fail(chunk: str) -> None:
        if chunk == "c00002":
            raise NetworkFailed("Sending rows", "the line is cut")

    destination.failing = fail
    with pytest.raises(NetworkFailed, match="`halocline resume first`"):
        execute(Push(world.order, ListRows(FIRST), destination, "flow"), PushRun("first"), ledger=world.ledger, home=tmp_path)
    before, heard = world.ledger.get("first").api_calls, Heard()
    run = world.resume(watch=heard)
    assert run.written == 5
    assert [told.again for told in heard.tolds] == [True, False, False]
    assert (before, run.api_calls, world.ledger.get("first").api_calls) == (1, 2, 3)


def test_an_upsert_is_not_taken_up_once_another_run_wrote(tmp_path: Path) -> None:
    """The caller wants these values in the org, not those of a run in between: all rows are sent anew."""
    world = World(tmp_path)
    world.die_sending()
    world.push([{"Ext__c": "ka", "Name": "newer"}])
    run = world.push()
    assert run.continues is None
    assert world.org.names() == list("abcde")
    assert world.unsettled == []
    assert not (tmp_path / "runs" / "first").exists()


def test_an_insert_is_taken_up_whatever_came_between(tmp_path: Path) -> None:
    """Its rows must not be made twice."""
    world = World(tmp_path, SyncMode.INSERT)
    world.die_sending()
    world.push(OTHER)
    assert world.push().continues == "first"
    assert Counter(world.org.names()) == Counter("abcdevwxyz")


@pytest.mark.parametrize(
    "change", [{"api": Api.BULK}, {"stop_on_error": True}, {"batch_size": 5}], ids=["api", "stop", "batches"]
)
def test_an_insert_in_another_way_is_the_same_insert(tmp_path: Path, change: dict[str, Any]) -> None:
    """Whoever tries another API after a failure does not want the records twice."""
    world = World(tmp_path, SyncMode.INSERT)
    world.die_sending()
    world.order = replace(world.order, **change)
    assert world.push().continues == "first"
    assert world.org.names() == list("abcde")


def test_an_upsert_in_another_way_is_sent_anew(tmp_path: Path) -> None:
    """There the caller's choice counts: it may be what makes the difference to the failure."""
    world = World(tmp_path)
    world.die_sending()
    world.order = replace(world.order, api=Api.BULK)
    assert world.push().continues is None
    assert world.org.names() == list("abcde")


def test_two_dead_inserts_of_the_same_rows_are_two(tmp_path: Path) -> None:
    """They were at work side by side, so both were wanted: one is taken up, the other waits for a person."""
    world = World(tmp_path, SyncMode.INSERT)
    world.die_sending()
    ledger, world.ledger = world.ledger, MemoryLedger()
    world.die_sending(run="second")  # which saw nothing of the first
    other, world.ledger = world.ledger, ledger
    dying: Any = FusedLedger(ledger, Fuse())
    dying.start("flow", run="second", host=socket.gethostname())
    ledger.note("second", plan=other.get("second").plan or {})
    for chunk, detail, remote in other.journal("second").open():
        ledger.journal("second").intend(chunk, detail)
        if remote is not None:
            ledger.journal("second").remote(chunk, remote)
    assert world.push().continues == "first"
    assert world.unsettled == ["second"]
    assert "`halocline resume second` sends them" in world.notices[-1]
    world.resume("second")
    assert Counter(world.org.names()) == Counter("abcdeabcde")


def test_older_values_are_not_sent_over_newer_ones(tmp_path: Path) -> None:
    """Resuming an upsert after a later run is refused, unless somebody wants it."""
    world = World(tmp_path)
    world.die_sending()
    world.push([{"Ext__c": "ke", "Name": "newer"}])
    with pytest.raises(FixConfig, match=r"a later run of flow .*--anyway"):
        world.resume()
    assert "newer" in world.org.names()
    world.resume(anyway=True)
    assert world.org.names() == list("abcde")


def test_a_run_goes_on_only_in_its_own_org(tmp_path: Path) -> None:
    """Neither resume nor the next push sends its rows elsewhere; the next push says that they wait."""
    world = World(tmp_path)
    world.die_sending()
    home_org, world.org = world.org, Org("00D2")
    with pytest.raises(FixConfig, match="begun in 00D1, and this is 00D2"):
        world.resume(anyway=True)
    assert world.push().continues is None
    assert any("on its way into 00D1" in notice for notice in world.notices)
    world.org = home_org
    world.resume(anyway=True)
    assert world.org.names() == list("abcde")


def test_a_settled_run_is_asked_once(tmp_path: Path) -> None:
    """The next pushes repeat the notice without asking the other side again."""
    world = World(tmp_path)
    world.die_sending()
    world.push(OTHER)
    (tmp_path / "runs" / "first" / "load" / "staged.json").unlink()  # who opens it now sees no rows at all
    world.push([*OTHER, FIRST[0]])
    assert Counter(world.notices)[world.notices[0]] == 2
    assert "3 rows were never sent" in world.notices[0]
    assert world.ledger.get("first").counts.inserted == 2


def test_rows_that_were_only_refused_here_overtake_nothing(tmp_path: Path) -> None:
    """A later run that stopped before it sent anything wrote no newer values: what waits is still the newest there is."""
    world = World(tmp_path)
    world.die_sending()
    world.ledger.start("flow", run="later", pid=1, host="elsewhere")
    world.ledger.note("later", plan=world.ledger.get("first").plan or {})
    world.ledger.finish("later", state="failed", rows_read=5, counts=Counts(not_sent=4, unchanged=1))
    assert world.push().continues == "first"
    assert world.org.names() == list("abcde")


@pytest.mark.parametrize("damage", ["", "3 ro"])
def test_a_count_that_was_not_written_to_its_end_is_taken_anew(tmp_path: Path, damage: str) -> None:
    """After a power cut the file that says how many rows wait may be empty: the run is asked about once more."""
    world = World(tmp_path)
    world.die_sending()
    world.push(OTHER)
    (tmp_path / "runs" / "first" / "settled").write_text(damage)
    world.push([*OTHER, FIRST[0]])
    assert "3 rows were never sent" in world.notices[-1]
    assert (tmp_path / "runs" / "first" / "settled").read_text() == "3"


def test_a_run_whose_folder_is_gone_is_told(tmp_path: Path) -> None:
    """Nobody can say what became of its rows: they are in doubt, a person hears it, and once."""
    world = World(tmp_path)
    world.die_sending()
    RunFolder(tmp_path / "runs" / "first").delete()
    with pytest.raises(NotFound, match="is gone"):
        world.resume()
    world.push(OTHER)
    assert any("nobody can say which of its 5 rows were written" in notice for notice in world.notices)
    assert (world.ledger.get("first").state, world.ledger.get("first").counts.in_doubt) == ("failed", 5)
    assert world.unsettled == []


def test_a_home_that_was_moved_is_found(tmp_path: Path) -> None:
    """The folder is looked for below the home that is used now."""
    world = World(tmp_path / "old")
    world.die_sending()
    world.home = (tmp_path / "old").rename(tmp_path / "new")
    assert world.resume().written == 5


def test_only_one_takes_up_a_dead_run(tmp_path: Path) -> None:
    """While another process holds the folder, neither a push nor a resume goes on; both may once it has ended."""
    world = World(tmp_path)
    world.die_sending()
    lock = tmp_path / "runs" / "first" / "lock"
    text = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", text, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for attempt in (world.push, world.resume, world.discard):
            with pytest.raises(LeaseHeld, match="somebody else is at work on it"):
                attempt()
        assert world.org.names() == ["a", "b"]
    finally:
        other.kill()
        other.communicate()
    assert world.push().continues == "first"


def test_a_living_run_cannot_be_resumed(tmp_path: Path) -> None:
    """Also from within its own process, and also by its watch."""
    world, refused = World(tmp_path), []

    class Asking(Heard):
        def sending(self, numbers: Sequence[int]) -> None:
            run = world.ledger.runs()[0].run
            for attempt in (world.resume, world.discard):
                with pytest.raises(LeaseHeld, match="still at work"):
                    attempt(run)
                refused.append(run)

    world.push(watch=Asking())
    assert len(refused) == 6


def test_the_same_rows_are_not_sent_by_two_at_once(tmp_path: Path) -> None:
    """A push of the rows that another run is sending is refused, with nothing sent and nothing left; other rows may go."""
    world, refused = World(tmp_path), []

    class Twin(Heard):
        def sending(self, numbers: Sequence[int]) -> None:
            if not refused:
                with pytest.raises(LeaseHeld, match="is sending the same rows") as caught:
                    world.push()
                refused.append(caught.value.facts["run"])
                assert world.push(rows=OTHER).written == 5

    run = world.push(watch=Twin())
    assert (run.written, len(world.org.names())) == (5, 10)
    assert world.ledger.get(refused[0]).state == "failed"
    assert not (tmp_path / "runs" / refused[0]).exists()
    assert world.push().written == 5


def test_what_is_done_cannot_be_resumed(tmp_path: Path) -> None:
    """Nor what never was."""
    world = World(tmp_path)
    run = world.push()
    with pytest.raises(FixConfig, match="nothing of it is left to do"):
        world.resume(run.id)
    with pytest.raises(NotFound):
        world.resume("nope")


def test_resuming_the_run_that_took_up_another_resumes_that(tmp_path: Path) -> None:
    """Whichever of the two names a person has."""
    world = World(tmp_path)
    world.die_sending()
    deeds = World(tmp_path / "probe2").kill(at=0).seen
    world.kill(at=deeds.index("before note") + 8, run=PushRun("second"))
    assert world.ledger.get("second").state == "running"
    run = world.resume("second")
    assert (run.id, run.written) == ("first", 5)


def test_a_resumed_run_tells_its_refusals_again(tmp_path: Path) -> None:
    """Those of staging come from the ledger with their records; the books hold each row once."""
    rows = [*FIRST[:3], {"Ext__c": "k", "Name": "unsendable"}, {"Ext__c": "kk", "Name": "bad"}]
    world = World(tmp_path)
    world.die_sending(rows)
    heard = Heard()
    run = world.resume(watch=heard)
    assert (run.written, run.refused, run.not_sent, run.unstaged) == (3, 1, 1, 1)
    assert heard.others[3].record == rows[3]
    assert heard.tolds[0].again
    assert [(r.row, r.fate) for r in world.ledger.each_rejection("first")] == [(3, Fate.NOT_SENT), (4, Fate.REFUSED)]


def test_a_resumed_run_stops_at_errors_as_it_was_told(tmp_path: Path) -> None:
    """Also at the one that staging had found."""
    world = World(tmp_path)
    world.order = order_of(SyncMode.UPSERT, stop_on_error=True)
    rows = [*FIRST[:4], {"Ext__c": "k", "Name": "unsendable"}, *OTHER]
    deeds = World(tmp_path / "probe").kill(rows[:4], at=0).seen
    world.kill(rows, at=deeds.index("request c00002") + 3)
    assert started(world)
    with pytest.raises(Stopped, match="row 4: CANNOT_BE_SENT"):
        world.resume()
    assert world.org.names() == list("abcd")


# ---- the sieve


class Memory(Sieve):
    """A sieve that remembers the rows of each run, and which names were written."""

    def __init__(self) -> None:
        self.run = ""
        self.names: dict[tuple[str, int], str] = {}
        self.written: set[str] = set()

    def begin(self, run: str) -> None:
        self.run = run

    def sift(self, batch: RowBatch) -> tuple[RowBatch, Sequence[int]]:
        assert isinstance(batch.rows, Sequence)
        pairs = list(zip(batch.numbers, batch.rows, strict=True))
        self.names.update({(self.run, n): str(row["Name"]) for n, row in pairs})
        kept = [(n, row) for n, row in pairs if row["Name"] not in self.written]
        return RowBatch([n for n, _ in kept], [row for _, row in kept]), [n for n, row in pairs if row["Name"] in self.written]

    def sifted(self) -> Sequence[str]:
        return ()

    def told(self, told: Told) -> None:
        if told.written is not None:
            self.written |= {self.names[self.run, row] for row in told.written.column("row").to_pylist()}


def test_a_sieve_learns_what_the_dead_wrote(tmp_path: Path) -> None:
    """Killed anywhere: the next push of the flow sends what is still due, an insert too, and nobody is left waiting."""
    memory = Memory()
    deeds = 0
    for at in count(1, DEATHS):
        world, memory = World(tmp_path / str(at), SyncMode.INSERT), Memory()
        fuse = Fuse(at)
        made = Push(world.order, ListRows(FIRST), FakeDestination(world.org, fuse=fuse), "flow", sieve=memory)
        dying: Any = FusedLedger(world.ledger, fuse)
        try:
            execute(made, PushRun("first"), ledger=dying, home=world.home)
        except Killed:
            deeds = at
        else:
            break
        if started(world):
            with pytest.raises(FixConfig, match="diff mode"):
                world.resume()
        run = world.push([*FIRST, *OTHER], sieve=memory)
        assert run.accounted == 10
        assert Counter(world.org.names()) == Counter("abcdevwxyz")
        assert world.unsettled == []
    assert deeds > 20


def test_a_run_with_a_sieve_is_resumed_with_it(tmp_path: Path) -> None:
    """Then it learns of the rows that are sent."""
    world, memory = World(tmp_path, SyncMode.INSERT), Memory()
    destination = world.destination()

    def fail(chunk: str) -> None:
        if chunk == "c00002":
            raise NetworkFailed("Sending rows", "the line is cut")

    destination.failing = fail
    made = Push(world.order, ListRows(FIRST), destination, "flow", sieve=memory)
    with pytest.raises(NetworkFailed):
        execute(made, PushRun("first"), ledger=world.ledger, home=tmp_path)
    world.resume(sieve=memory)
    assert memory.written == set("abcde")
    assert world.push(sieve=memory).unchanged == 5


# ---- folders


def test_folders_are_swept_when_nobody_misses_them(tmp_path: Path) -> None:
    """After a month, or after a day where staging never ended; never while somebody is at work."""
    staged, young, aborted, held = (RunFolder.of(name, tmp_path) for name in ("staged", "young", "aborted", "held"))
    for folder in (staged, young, aborted, held):
        folder.make()
    staged.marks.touch()
    held.marks.touch()
    young.marks.touch()
    now = staged.path.stat().st_mtime
    assert sweep(tmp_path, now_s=now + 3_600) == []
    assert sweep(tmp_path, now_s=now + 2 * 86_400) == [aborted.path]
    with held.held():
        assert set(sweep(tmp_path, now_s=now + KEPT_S + 60)) == {staged.path, young.path}
    assert held.path.exists()


def test_a_folder_is_closed_to_others(tmp_path: Path) -> None:
    """It holds the rows themselves."""
    folder = RunFolder.of("r", tmp_path)
    folder.make()
    assert [path.stat().st_mode & 0o777 for path in (folder.path.parent, folder.path, folder.load)] == [0o700] * 3


def test_an_open_whole_is_what_keeps_a_run(tmp_path: Path) -> None:
    """From before the first row goes until the books are closed."""
    world, seen = World(tmp_path), []

    class Looking(Heard):
        def planned(self, plan: object) -> None:
            seen.append(unsettled(world.ledger.runs()[0].run, world.ledger))

    run = world.push(watch=Looking())
    assert (seen, unsettled(run.id, world.ledger)) == ([True], False)
