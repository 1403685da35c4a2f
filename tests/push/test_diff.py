"""Laws of diff mode: what has not changed is not sent, what is due is never kept back, and a mirror deletes only what is gone."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples, stride
from tests.push.fake import WRITTEN, FakeDestination, Fuse, FusedLedger, Killed, ListRows, Org

from halocline.errors import FixConfig, LeaseHeld, NetworkFailed, Refused, RetryLater, StorageFailed
from halocline.events import Event, Noticed
from halocline.ledger import Ledger, MemoryLedger
from halocline.outcome import Fate, RowResult
from halocline.push.destination import RowBatch, Told
from halocline.push.diff.digests import Digester
from halocline.push.diff.mirror import Foreseen, Mirror, Mirrored
from halocline.push.diff.sent import FOLDER, SentRows
from halocline.push.diff.sifting import learning
from halocline.push.keys import Alike
from halocline.push.order import Nulls, SyncMode, WriteOrder
from halocline.push.past import unsettled
from halocline.push.preview import preview
from halocline.push.push import Push, execute
from halocline.push.resume import discard, resume
from halocline.push.run import PushRun

UPSERT = WriteOrder("Account", SyncMode.UPSERT, key="Ext__c", batch_size=2)
INSERT = WriteOrder("Account", SyncMode.INSERT, batch_size=2)
DEATHS = stride(3)
PINNED = 367_670_622_436_486_134
Row = dict[str, Any]


@pytest.fixture
def ledger() -> Ledger:
    return MemoryLedger()


def accounts(*names: str) -> list[Row]:
    """A row for each name, under the keys k0, k1 and so on."""
    return [{"Ext__c": f"k{at}", "Name": name} for at, name in enumerate(names)]


class Flow:
    """One flow in diff mode into an org in memory: every call of `push` is a run of its own."""

    def __init__(self, home: Path, *, order: WriteOrder = UPSERT, diff_key: str | None = None) -> None:
        self.home, self.order, self.diff_key = home, order, diff_key
        self.org, self.ledger = Org(), MemoryLedger()
        self.asks = True
        self.known_by: Callable[[], Alike] | None = None

    def sent(self, *, looking: bool = False) -> SentRows:
        diff_key, known_by = self.diff_key, self.known_by
        return SentRows(
            self.home,
            flow="flow",
            org=self.org.name,
            order=self.order,
            diff_key=diff_key,
            known_by=known_by,
            looking=looking,
        )

    def push(self, rows: Sequence[Row], *, arrow: bool = False, ledger: Any = None, fuse: Fuse | None = None) -> PushRun:
        with self.sent() as sent:
            return self._push(rows, sent, arrow=arrow, ledger=ledger, fuse=fuse)[1]

    def mirror(self, rows: Sequence[Row], **guard: Any) -> Mirrored:
        with self.sent() as sent:
            push, run = self._push(rows, sent)
            return Mirror(sent, **guard).execute(push, run, ledger=self.ledger, home=self.home)

    def foresee(self, rows: Sequence[Row], *, not_sent: int = 0, **guard: Any) -> Foreseen:
        with self.sent(looking=True) as sent:
            push = Push(self.order, ListRows(rows), FakeDestination(self.org), "flow", sieve=sent)
            preview(push)
            return Mirror(sent, **guard).foresee(push, not_sent=not_sent)

    def _push(self, rows: Sequence[Row], sent: SentRows, **options: Any) -> tuple[Push, PushRun]:
        destination = FakeDestination(self.org, fuse=options.get("fuse"), asks=self.asks)
        push = Push(self.order, ListRows(rows, arrow=options.get("arrow", False)), destination, "flow", sieve=sent)
        run = PushRun.new()
        execute(push, run, ledger=options.get("ledger") or self.ledger, home=self.home)
        return push, run

    def names(self) -> dict[str, Any]:
        return {record["Ext__c"]: record.get("Name") for record in self.org.records.values()}


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return Flow(tmp_path)


def sift(sent: SentRows, rows: Sequence[Row], *, first: int = 0) -> list[int]:
    """The numbers of the rows that are let through."""
    return list(sent.sift(RowBatch(range(first, first + len(rows)), rows))[0].numbers)


def written(*rows: int) -> Told:
    """These rows were written."""
    table = {"row": list(rows), "id": [f"001{row:015}" for row in rows], "created": [True] * len(rows)}
    return Told("c", written=pa.RecordBatch.from_pydict(table, schema=WRITTEN))


# ---- what is sent


@pytest.mark.parametrize("arrow", [False, True])
def test_only_what_changed_is_sent_again(flow: Flow, *, arrow: bool) -> None:
    """A new row, a changed one and one that lost its value go; the others count as unchanged."""
    assert flow.push(accounts("a", "b", "c"), arrow=arrow).written == 3
    run = flow.push([*accounts("a", "B", "c"), {"Ext__c": "new", "Name": "d"}], arrow=arrow)
    assert (run.total, run.unchanged, run.written, run.accounted) == (4, 2, 2, 4)
    assert flow.names() == {"k0": "a", "k1": "B", "k2": "c", "new": "d"}
    run = flow.push([*accounts("a", "B", "c"), {"Ext__c": "new", "Name": "d"}], arrow=arrow)
    assert (run.unchanged, run.written) == (4, 0)


def test_dicts_and_arrow_share_one_memory(flow: Flow) -> None:
    """The same rows are unchanged, whichever way they come."""
    flow.push(accounts("a", "b"))
    assert flow.push(accounts("a", "b"), arrow=True).unchanged == 2


def test_a_missing_field_is_not_a_null(tmp_path: Path) -> None:
    """One leaves the field, the other clears it; each is a change from the other."""
    with SentRows(tmp_path, flow="f", org="o", order=UPSERT) as sent:
        sift(sent, [{"Ext__c": "a"}])
        sent.told(written(0))
        sent.begin("second")
        assert sift(sent, [{"Ext__c": "a", "Name": None}]) == [0]
        assert sift(sent, [{"Ext__c": "b"}], first=1) == [1]


def test_refused_rows_stay_due(flow: Flow) -> None:
    """A row that was refused is sent each time, until it is written."""
    assert flow.push(accounts("a", "bad")).refused == 1
    run = flow.push(accounts("a", "bad"))
    assert (run.unchanged, run.refused) == (1, 1)
    run = flow.push(accounts("a", "good"))
    assert (run.unchanged, run.written) == (1, 1)


def test_a_refused_change_forgets_nothing(flow: Flow) -> None:
    """The record still holds what was written before, so going back to that is no change."""
    flow.push(accounts("a"))
    flow.push(accounts("bad"))
    assert flow.push(accounts("a")).unchanged == 1


def test_a_row_in_doubt_is_sent_again(tmp_path: Path) -> None:
    """Nobody knows what the record holds now, so neither the old nor the new values count as there."""
    with SentRows(tmp_path, flow="f", org="o", order=UPSERT) as sent:
        sift(sent, accounts("a"))
        sent.told(written(0))
        sent.begin("second")
        assert sift(sent, accounts("b")) == [0]
        sent.told(Told("c", others=(RowResult(0, Fate.IN_DOUBT),)))
        sent.begin("third")
        assert sift(sent, accounts("a")) == [0]
        sent.begin("fourth")
        assert sift(sent, accounts("b")) == [0]


def test_hearing_it_twice_is_harmless(tmp_path: Path) -> None:
    """A record has one line, whatever was told how often."""
    with SentRows(tmp_path, flow="f", org="o", order=UPSERT) as sent:
        sift(sent, accounts("a", "b"))
        sent.told(written(0, 1))
        sent.told(written(0, 1))
        sent.begin("second")
        assert (sent.known, sift(sent, accounts("a", "b"))) == (2, [])


def test_rows_of_one_key_go_together(flow: Flow) -> None:
    """Of two rows with one key the later has the last word, in every load: the earlier alone must not be sent."""
    twice = [{"Ext__c": "k", "Name": "first"}, {"Ext__c": "other", "Name": "o"}, {"Ext__c": "k", "Name": "last"}]
    for _ in range(3):
        flow.push(twice)
        assert flow.names() == {"k": "last", "other": "o"}
    assert flow.push(twice).unchanged == 1, "only the row that is alone with its key"


def test_the_last_row_of_a_key_is_what_is_remembered(tmp_path: Path) -> None:
    """However results come in, and also where a key was new in that load."""
    with SentRows(tmp_path, flow="f", org="o", order=UPSERT) as sent:
        sift(sent, [{"Ext__c": "k", "Name": "first"}, {"Ext__c": "k", "Name": "last"}])
        sent.told(written(1, 0))
        sent.begin("second")
        assert sent.known == 1
        assert sift(sent, [{"Ext__c": "k", "Name": "last"}]) == []


def test_a_key_that_was_told_in_two_pieces_has_one_line(tmp_path: Path) -> None:
    """Two inserted rows with one key are told apart; the later one stands, and the record of the other is not forgotten."""
    with SentRows(tmp_path, flow="f", org="o", order=INSERT, diff_key="Ext__c") as sent:
        sift(sent, [{"Ext__c": "k", "Name": "first"}, {"Ext__c": "k", "Name": "last"}])
        sent.told(written(0))
        sent.told(written(1))
        sent.begin("second")
        assert sent.known == 2
        assert sift(sent, [{"Ext__c": "k", "Name": "last"}]) == []


def test_another_order_sends_all_again(tmp_path: Path) -> None:
    """What a null means, the object or the key: a change of any of them may change every record."""
    orders = [
        UPSERT,
        WriteOrder("Account", SyncMode.UPSERT, "Ext__c", nulls=Nulls.KEEP),
        WriteOrder("Lead", SyncMode.UPSERT, "Ext__c"),
    ]
    for order in orders:
        with SentRows(tmp_path, flow="f", org="o", order=order) as sent:
            assert sift(sent, accounts("a")) == [0]
            sent.told(written(0))
    with SentRows(tmp_path, flow="f", org="o", order=replace(UPSERT, sobject="Lead", batch_size=7)) as sent:
        assert sift(sent, accounts("a")) == [], "how rows are packed changes no record"


def test_every_flow_and_org_has_a_memory_of_its_own(tmp_path: Path) -> None:
    """What a sandbox has, production need not have."""
    for flow, org in (("f", "sandbox"), ("f", "production"), ("g", "sandbox")):
        with SentRows(tmp_path, flow=flow, org=org, order=UPSERT) as sent:
            assert sift(sent, accounts("a")) == [0]
            sent.told(written(0))
    assert len(list((tmp_path / FOLDER).glob("*.sqlite"))) == 3


def test_forget_starts_over(tmp_path: Path) -> None:
    """All rows are due again."""
    with SentRows(tmp_path, flow="f", org="o", order=UPSERT) as sent:
        sift(sent, accounts("a"))
        sent.told(written(0))
        sent.forget()
        assert (sent.known, sift(sent, accounts("a"))) == (0, [0])


def test_rows_without_a_key_are_let_through(tmp_path: Path) -> None:
    """The destination refuses them and says so; so it does with what is no row."""
    rows: list[Any] = [{"Name": "a"}, {"Ext__c": None}, "no row", {1: 2}, {"Ext__c": "\ud800"}]
    with SentRows(tmp_path, flow="f", org="o", order=UPSERT) as sent:
        for run in ("first", "second"):
            sent.begin(run)
            assert sift(sent, rows) == [0, 1, 2, 3, 4]
            sent.told(written(0, 1))


# ---- inserts


def test_an_insert_needs_a_diff_key(tmp_path: Path) -> None:
    """Without one nothing could be known again; in a row without a value likewise, and before anything is sent."""
    with pytest.raises(FixConfig, match="diff_key"):
        SentRows(tmp_path, flow="f", org="o", order=INSERT)
    with (
        SentRows(tmp_path, flow="f", org="o", order=INSERT, diff_key="ext__C") as sent,
        pytest.raises(FixConfig, match="row 8 has no value in ext__C"),
    ):
        sift(sent, [{"Ext__c": "a"}, {"Name": "b"}], first=7)


def test_an_insert_keeps_its_diff_key(tmp_path: Path) -> None:
    """By another field no row is known again: it is refused before anything is sent, looking too, and nothing is forgotten."""
    rows = [{"Ext__c": f"k{at}", "Name": f"n{at}"} for at in range(3)]
    flow = Flow(tmp_path, order=INSERT, diff_key="Ext__c")
    flow.push(rows)
    flow.diff_key = "Name"
    told = "3 records are known by Ext__c, and none by Name"
    with pytest.raises(FixConfig, match=told):
        flow.push(rows)
    with pytest.raises(FixConfig, match=told):
        flow.foresee(rows)
    flow.diff_key = "EXT__C"
    assert (flow.push(rows).written, len(flow.org.records)) == (0, 3)
    with flow.sent() as sent:
        sent.forget()
    flow.diff_key = "Name"
    assert flow.push(rows).written == 3


def test_an_insert_that_remembers_nothing_may_change_its_diff_key(tmp_path: Path) -> None:
    """A run that was refused, or that has written nothing, binds nobody; a memory of before did not note its key."""
    rows = [{"Ext__c": f"k{at}", "Name": f"n{at}"} for at in range(3)]
    flow = Flow(tmp_path, order=INSERT, diff_key="Ext__c")
    flow.push([])
    flow.diff_key = "Name"
    assert flow.push(rows).written == 3
    with flow.sent() as sent, closing(sqlite3.connect(sent.store.path)) as file, file:
        file.execute("DELETE FROM facts WHERE name = 'diff_key'")
    assert flow.push(rows).unchanged == 3
    flow.diff_key = "Ext__c"
    with pytest.raises(FixConfig, match="known by Name"):
        flow.push(rows)


def test_a_delete_has_nothing_to_compare(tmp_path: Path) -> None:
    """It is refused rather than remembered."""
    with pytest.raises(FixConfig, match="deletes"):
        SentRows(tmp_path, flow="f", org="o", order=WriteOrder("Account", SyncMode.DELETE))


def test_an_insert_in_diff_mode_makes_each_record_once(tmp_path: Path) -> None:
    """Only rows with a new key, or with other values, are inserted."""
    flow = Flow(tmp_path, order=INSERT, diff_key="Ext__c")
    flow.push(accounts("a", "b"))
    assert flow.push(accounts("a", "b", "c")).written == 1
    assert flow.org.names() == ["a", "b", "c"]


def _deeds(home: Path, order: WriteOrder, diff_key: str | None) -> int:
    flow, fuse = Flow(home, order=order, diff_key=diff_key), Fuse()
    flow.push(accounts("a", "b", "c", "d", "e"), ledger=FusedLedger(flow.ledger, fuse), fuse=fuse)
    return len(fuse.seen)


@pytest.mark.parametrize(("order", "diff_key"), [(UPSERT, None), (INSERT, "Ext__c")])
def test_a_run_that_dies_anywhere_is_learnt_from(tmp_path: Path, order: WriteOrder, diff_key: str | None) -> None:
    """Killed at every deed, the next run with more rows makes each record once, and the one after it sends nothing."""
    points = _deeds(tmp_path / "whole", order, diff_key)
    assert points > 10
    for at in range(1, points + 1, DEATHS):
        flow, fuse = Flow(tmp_path / str(at), order=order, diff_key=diff_key), Fuse(at)
        with pytest.raises(Killed):
            flow.push(accounts("a", "b", "c", "d", "e"), ledger=FusedLedger(flow.ledger, fuse), fuse=fuse)
        flow.push(accounts("a", "b", "c", "d", "e", "f"))
        assert flow.org.names() == ["a", "b", "c", "d", "e", "f"], fuse.seen[-1]
        assert flow.push(accounts("a", "b", "c", "d", "e", "f")).unchanged == 6, fuse.seen[-1]


def _refused_as_a_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Flow, PushRun]:
    """A flow of inserts whose first push the org refused, row by row; now it would take them."""
    flow = Flow(home, order=INSERT, diff_key="Ext__c")
    with monkeypatch.context() as patch:
        refusal = {"code": "TRIGGER", "message": "not today", "fields": []}
        patch.setattr(Org, "write", lambda _org, _order, rows: [refusal for _ in rows])
        run = flow.push(accounts("a", "b", "c"))
    assert (run.refused, flow.org.records) == (3, {})
    return flow, run


def _try_again(flow: Flow, first: PushRun, fuse: Fuse) -> None:
    """What `retry` does with rows that lie staged."""
    with learning(flow.home, flow="flow", org=flow.org.name, order=INSERT) as sieve:
        destination = FakeDestination(flow.org, fuse=fuse)
        push = Push(INSERT, ListRows(accounts("a", "b", "c")), destination, "flow", sieve=sieve, retries=first.id)
        execute(push, PushRun.new(), ledger=FusedLedger(flow.ledger, fuse), home=flow.home)


class Reply(Fuse):
    """Ends the process when the first answer has come."""

    def __call__(self, deed: str) -> None:
        if deed.startswith("reply "):
            self.at = len(self.seen) + 1
        super().__call__(deed)


def killed_without_trace(flow: Flow, rows: Sequence[Row]) -> None:
    """A push that dies when its first request has been done, and whose folder is gone."""
    fuse = Reply()
    with pytest.raises(Killed):
        flow.push(rows, ledger=FusedLedger(flow.ledger, fuse), fuse=fuse)
    shutil.rmtree(flow.home / "runs")


def test_of_a_run_without_its_folder_nothing_is_taken_for_known(flow: Flow) -> None:
    """It may have written what nobody heard of: the row that is as before again is sent, for the record may not be."""
    flow.push(accounts("a", "b"))
    killed_without_trace(flow, accounts("A", "b"))
    assert flow.names() == {"k0": "A", "k1": "b"}
    assert flow.push(accounts("a", "b")).written == 1
    assert flow.names() == {"k0": "a", "k1": "b"}
    assert flow.push(accounts("a", "b")).unchanged == 2


def test_no_insert_is_sifted_behind_a_run_without_its_folder(tmp_path: Path) -> None:
    """What it wrote would be made once more: a person ends it first, and then hears how many rows may be twice."""
    flow = Flow(tmp_path, order=INSERT, diff_key="Ext__c")
    killed_without_trace(flow, accounts("a", "b"))
    (run,) = (record.run for record in flow.ledger.runs() if record.plan is not None)
    with pytest.raises(RetryLater, match=rf"nobody can say .* {run} --discard --anyway"):
        flow.push(accounts("a", "b", "c"))
    assert len(flow.org.records) == 2
    with learning(tmp_path, flow="flow", org=flow.org.name, order=flow.order) as sieve:
        ended = discard(run, destination=FakeDestination(flow.org), ledger=flow.ledger, home=tmp_path, sieve=sieve, anyway=True)
    assert ended.in_doubt == 2
    assert flow.push(accounts("a", "b", "c")).written == 3


@pytest.mark.parametrize("way", ["pushed", "resumed"])
def test_a_retry_that_dies_anywhere_is_learnt_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Its rows wait under the run that it tries again; killed at every deed, each record is made once all the same."""
    whole = Fuse()
    _try_again(*_refused_as_a_whole(tmp_path / "whole", monkeypatch), whole)
    assert len(whole.seen) > 10
    resumed = 0
    for at in range(1, len(whole.seen) + 1, DEATHS):
        flow, first = _refused_as_a_whole(tmp_path / str(at), monkeypatch)
        fuse = Fuse(at)
        with pytest.raises(Killed):
            _try_again(flow, first, fuse)
        dead = next(iter(flow.ledger.runs())).run
        if way == "resumed" and dead != first.id and unsettled(dead, flow.ledger):
            resumed += 1
            with learning(flow.home, flow="flow", org=flow.org.name, order=INSERT) as sieve:
                resume(dead, destination=FakeDestination(flow.org), ledger=flow.ledger, home=flow.home, sieve=sieve)
        flow.push(accounts("a", "b", "c", "d"))
        assert flow.org.names() == ["a", "b", "c", "d"], fuse.seen[-1]
        assert flow.push(accounts("a", "b", "c", "d")).unchanged == 4, fuse.seen[-1]
    assert way == "pushed" or resumed > 5 // DEATHS


class FuseAt(Fuse):
    """Ends the process at the deed of this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __call__(self, deed: str) -> None:
        if deed == self._name:
            self.at = len(self.seen) + 1
        super().__call__(deed)


def _insert(flow: Flow, *, fuse: Fuse | None = None) -> list[str]:
    """Insert five rows by requests of which nobody can be asked; what a person is told."""
    heard: list[Event] = []
    with flow.sent() as sent:
        destination = FakeDestination(flow.org, fuse=fuse, asks=False)
        push = Push(INSERT, ListRows(accounts("a", "b", "c", "d", "e")), destination, "flow", sieve=sent)
        ledger: Any = flow.ledger if fuse is None else FusedLedger(flow.ledger, fuse)
        execute(push, PushRun.new(), ledger=ledger, home=flow.home, sink=heard.append)
    return [event.message for event in heard if isinstance(event, Noticed)]


def test_inserting_rows_in_doubt_again_is_told(tmp_path: Path) -> None:
    """How many, since which run, and what to compare; when they are written it is not told any more."""
    flow = Flow(tmp_path, order=INSERT, diff_key="Ext__c")
    with pytest.raises(Killed):
        _insert(flow, fuse=FuseAt("reply c00002"))
    (dead,) = (one.run for one in flow.ledger.runs())
    assert flow.org.names() == ["a", "b", "c", "d"]
    (told,) = _insert(flow)
    assert told.startswith(f"Inserted again: 2 rows in doubt since run {dead}")
    assert "Compare both sides by Ext__c" in told
    assert flow.org.names() == ["a", "b", "c", "c", "d", "d", "e"]
    assert _insert(flow) == []


def test_rows_that_wait_are_on_disk_before_any_is_sent(flow: Flow) -> None:
    """The last transaction before the first request waits for the disk, and has something to write."""
    statements: list[str] = []
    before: list[str] = []
    with flow.sent() as sent:
        sent.store._db.set_trace_callback(statements.append)
        destination = FakeDestination(flow.org)
        destination.failing = lambda _chunk: before.extend(() if before else statements)
        push = Push(UPSERT, ListRows(accounts("a", "b", "c", "d")), destination, "flow", sieve=sent)
        execute(push, PushRun.new(), ledger=flow.ledger, home=flow.home)
        sent.store._db.set_trace_callback(None)
    writes = [at for at, statement in enumerate(before) if statement.startswith("INSERT OR REPLACE INTO waiting")]
    durable = max(at for at, statement in enumerate(before) if statement == "PRAGMA synchronous = FULL")
    assert writes
    assert max(writes) < durable
    assert [statement.split()[0] for statement in before[durable:]][:4] == ["PRAGMA", "BEGIN", "INSERT", "DELETE"]


def test_only_one_is_at_work_with_a_memory(flow: Flow) -> None:
    """A push, a retry and a resume refuse each other, with exit code 75; who only looks, or has another flow, is let in."""
    home, org = flow.home, flow.org.name

    def pushing() -> None:
        with flow.sent():
            raise AssertionError("two are at work")

    def learning_of(name: str, order: WriteOrder) -> None:
        with learning(home, flow=name, org=org, order=order):
            raise AssertionError("two are at work")

    others = (pushing, lambda: learning_of("flow", UPSERT), lambda: learning_of("flow:mirror", WriteOrder("A", SyncMode.DELETE)))
    with flow.sent():
        for other in others:
            with pytest.raises(LeaseHeld, match="another push, retry or resume of flow is at work") as caught:
                other()
            assert caught.value.exit_code == 75
        assert flow.foresee(accounts("a")) == Foreseen(0, 0)
        with SentRows(home, flow="other", org=org, order=UPSERT) as sent:
            assert sift(sent, accounts("a")) == [0]
    assert flow.push(accounts("a")).written == 1


def test_of_two_pushes_at_once_one_inserts(tmp_path: Path) -> None:
    """The second is refused before it sends anything, so no record is made twice."""
    flow = Flow(tmp_path, order=INSERT, diff_key="Ext__c")
    refused: list[LeaseHeld] = []

    def push_again(_chunk: str) -> None:
        with pytest.raises(LeaseHeld) as caught:
            flow.push(accounts("a", "b", "c", "d"))
        refused.append(caught.value)

    destination = FakeDestination(flow.org)
    destination.failing = push_again
    with flow.sent() as sent:
        push = Push(INSERT, ListRows(accounts("a", "b", "c")), destination, "flow", sieve=sent)
        execute(push, PushRun.new(), ledger=flow.ledger, home=flow.home)
    assert len(refused) == 2
    flow.push(accounts("a", "b", "c", "d"))
    assert flow.org.names() == ["a", "b", "c", "d"]


# ---- digests

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(
    ["", "\x1b", "\x1f", "\x1b0", "\x1f\x1b1", "E"]
)
moments = st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(4000, 1, 1))  # noqa: DTZ001 - hypothesis wants it plain
COLUMNS: Mapping[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "Text": (pa.string(), texts),
    "More": (pa.string(), texts),
    "Whole": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "Flag": (pa.bool_(), st.booleans()),
    "Amount": (pa.decimal128(30, 10), st.decimals(-(10**12), 10**12, places=10)),
    "Share": (pa.float64(), st.floats(allow_nan=False)),
    "Day": (pa.date32(), st.dates()),
    "At": (pa.timestamp("us", "UTC"), moments.map(lambda one: one.replace(tzinfo=UTC))),
    "Clock": (pa.time64("us"), st.times()),
    "Account": (pa.struct({"Ext__c": pa.string()}), st.fixed_dictionaries({"Ext__c": texts})),
    "Tags": (pa.list_(pa.string()), st.lists(texts, max_size=2)),
    "Raw": (pa.binary(), st.binary(max_size=3)),
}
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])
records = st.fixed_dictionaries({name: st.none() | values for name, (_, values) in COLUMNS.items()})


def digests(rows: pa.RecordBatch | Sequence[Row]) -> list[int]:
    return Digester("Text", seed="s").of(rows).rows.to_pylist()


@given(st.lists(records, min_size=1, max_size=4))
def test_a_row_has_one_digest_however_it_comes(rows: list[Row]) -> None:
    """As a dict, as Arrow, with its fields in another order; and the same key."""
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    turned = [dict(reversed(row.items())) for row in rows]
    assert digests(rows) == digests(batch) == digests(turned)
    both = (Digester("tEXT", seed="s").of(one).keys for one in (rows, batch))
    assert next(both).to_pylist() == next(both).to_pylist()


@given(st.lists(st.dictionaries(st.sampled_from(["A", "B", "C"]), st.none() | texts), min_size=2, max_size=6, unique_by=repr))
def test_different_rows_have_different_digests(rows: list[Row]) -> None:
    """Whatever characters they hold; missing, null and empty are three things."""
    distinct = [row for at, row in enumerate(rows) if row not in rows[:at]]
    assert len(set(digests(distinct))) == len(distinct)


def test_digests_stay_what_they_are() -> None:
    """Another version must know what this one sent, or every row is sent once more."""
    row = {"Ext__c": "é", "n": 1, "d": Decimal("1.50"), "f": 0.1, "at": datetime(2026, 11, 21, 10, tzinfo=UTC), "x": None}
    assert Digester("Ext__c", seed="s").of([row]).rows.to_pylist() == [PINNED]


def test_a_decimal_has_its_own_digits_in_a_field_of_text() -> None:
    """There `1.50` and `1.5` are two texts, and two keys, as dicts and as Arrow; elsewhere they are one."""

    def told(value: str, *, arrow: bool, **options: Any) -> tuple[int, str]:
        row = {"Ext__c": Decimal(value), "Parent": {"Key__c": Decimal(value)}, "Amount": Decimal("2.0")}
        found = Digester("Ext__c", seed="s", **options).of(pa.RecordBatch.from_pylist([row]) if arrow else [row])
        return found.rows[0].as_py(), found.keys[0].as_py()

    texts = frozenset({"ext__c", "parent"})
    assert told("1.50", arrow=False, texts=texts) == told("1.50", arrow=True, texts=texts)
    assert told("1.50", arrow=True, texts=texts)[1] == "1.50"
    assert told("1.50", arrow=True, texts=texts)[0] != told("1.5", arrow=True, texts=texts)[0]
    assert told("1.50", arrow=True) == told("1.5", arrow=False)
    assert told("1.50", arrow=True, texts=frozenset()) == told("1.5", arrow=False)


def test_a_memory_of_before_goes_on_in_its_own_way(tmp_path: Path) -> None:
    """Rows that were inserted before decimals had their own digits are known again; once all is forgotten, they have them."""

    def memory(**options: Any) -> SentRows:
        return SentRows(tmp_path, flow="f", org="o", order=INSERT, diff_key="Ext__c", **options)

    rows = [{"Ext__c": Decimal("7.50"), "Name": "a"}]
    with memory() as before:
        assert sift(before, rows) == [0]
        before.told(written(0))
        with closing(sqlite3.connect(before.store.path)) as db, db:
            db.execute("DELETE FROM facts WHERE name = 'own_digits'")
    texts = frozenset({"ext__c", "name"})
    with memory(texts_by=lambda: texts) as now:
        assert sift(now, rows) == []
        assert sift(now, [{"Ext__c": Decimal("7.5"), "Name": "a"}]) == []
        now.forget()
    with memory(texts_by=lambda: texts) as now:
        assert sift(now, rows) == [0]
        now.told(written(0))
    with memory(texts_by=lambda: texts) as now:
        assert sift(now, rows) == []
        assert sift(now, [{"Ext__c": Decimal("7.5"), "Name": "a"}]) == [0]


def test_whoever_forgets_may_push_at_once(tmp_path: Path) -> None:
    """A memory of before that forgot all tells decimals with their own digits from then on, in the same object, too."""
    texts = frozenset({"ext__c", "name"})

    def memory() -> SentRows:
        return SentRows(tmp_path, flow="f", org="o", order=INSERT, diff_key="Ext__c", texts_by=lambda: texts)

    rows = [{"Ext__c": Decimal("7.50"), "Name": "a"}]
    with memory() as before, sqlite3.connect(before.store.path) as db:
        db.execute("DELETE FROM facts WHERE name = 'own_digits'")
    with memory() as now:
        now.forget()
        assert sift(now, rows) == [0]
        now.told(written(0))
    with memory() as now:
        assert sift(now, rows) == []
        assert sift(now, [{"Ext__c": Decimal("7.5"), "Name": "a"}]) == [0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("1.50"), Decimal("1.5")),
        (Decimal("1E+2"), 100),
        (Decimal("-0.00"), 0),
        (datetime(2026, 11, 21, 10, tzinfo=UTC), datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_one_value_in_two_spellings_is_no_change(one: object, other: object) -> None:
    """The record would hold the same."""
    assert digests([{"A": one}]) == digests([{"A": other}])


@pytest.mark.parametrize(
    ("one", "other"),
    [(None, ""), ("1", 1.0), (date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)), (time(1), 3_600_000_000), (True, 1)],
)
def test_values_that_differ_are_told_apart(one: object, other: object) -> None:
    """Also where Python holds them for equal."""
    assert digests([{"A": one}]) != digests([{"A": other}])


# ---- many loads

loads = st.lists(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", "bad"])), max_size=5), max_size=5)


@given(loads)
@settings(max_examples=examples(60), deadline=None)
def test_with_diff_the_org_ends_as_without(sequence: list[list[tuple[int, str]]]) -> None:
    """Whatever is pushed in whatever order, duplicates and refusals too."""
    with tempfile.TemporaryDirectory() as folder:
        flow, plain = Flow(Path(folder) / "diff"), Org()
        for load in sequence:
            rows = [{"Ext__c": f"k{key}", "Name": name} for key, name in load]
            flow.push(rows)
            push = Push(UPSERT, ListRows(rows), FakeDestination(plain), "flow")
            execute(push, PushRun.new(), ledger=MemoryLedger(), home=Path(folder) / "plain")
        assert flow.names() == {record["Ext__c"]: record.get("Name") for record in plain.records.values()}


# ---- mirror


@settings(max_examples=examples(40), deadline=None)
@given(states=st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), min_size=1), min_size=1, max_size=5))
def test_after_an_insert_with_a_mirror_the_org_is_the_source(states: list[dict[str, str]]) -> None:
    """A row that changed makes a new record, and the one before it is gone, as a dry run says."""
    with tempfile.TemporaryDirectory() as home:
        flow = Flow(Path(home), order=INSERT, diff_key="Ext__c")
        for state in states:
            rows = [{"Ext__c": key, "Name": key + name} for key, name in state.items()]
            foreseen = flow.foresee(rows, max_delete_share=1.0)
            assert foreseen.gone == flow.mirror(rows, max_delete_share=1.0).gone
            assert flow.org.names() == sorted(row["Name"] for row in rows)


@pytest.mark.parametrize("arrow", [True, False])
def test_two_rows_of_an_insert_with_one_key_are_refused(tmp_path: Path, *, arrow: bool) -> None:
    """One line would be remembered for both, and the other row be inserted again in every push: alone or far apart, new or known,
    changed or not; in a dry run too. Nothing is sent, and the next push is right.
    """
    flow = Flow(tmp_path, order=INSERT, diff_key="Ext__c")
    many = [{"Ext__c": f"o{n}", "Name": f"o{n}"} for n in range(50 if arrow else 2_050)]  # dicts come 2,000 at a time
    first, same, changed = ({"Ext__c": "k", "Name": name} for name in ("A", "A", "B"))
    for known in (False, True):
        if known:
            flow.push([first, *many], arrow=arrow)
        before = flow.org.names()
        for rows in (
            [first, same],
            [first, changed],
            [changed, first],
            [first, *many, changed],
            [*many[:3], first, *many[3:], same],
        ):
            numbers = [n for n, row in enumerate(rows) if row["Ext__c"] == "k"]
            told = f"rows {numbers[0]} and {numbers[1]} have the same value in Ext__c"
            with pytest.raises(FixConfig, match=f"{told}.*nothing was sent"):
                flow.push(rows, arrow=arrow)
            with pytest.raises(FixConfig, match=told):
                flow.foresee(rows)
        assert flow.org.names() == before
    assert flow.push([first, *many], arrow=arrow).unchanged == 1 + len(many)
    assert flow.mirror([changed, *many]).gone == 1
    assert "B" in flow.org.names()
    assert "A" not in flow.org.names()


def test_a_record_of_an_insert_that_was_refused_anew_stays(tmp_path: Path) -> None:
    """The row that changed is in the source still, and nothing took the place of its record."""
    flow = Flow(tmp_path, order=INSERT, diff_key="Ext__c")
    flow.mirror(accounts("a", "b"))
    assert flow.mirror(accounts("bad", "b")).gone == 0
    assert flow.org.names() == ["a", "b"]
    assert flow.mirror(accounts("A", "b")).gone == 1
    assert flow.org.names() == ["A", "b"]


def test_a_mirror_deletes_what_is_gone(flow: Flow) -> None:
    """By Id, only what this flow wrote, and the next one has nothing to do."""
    flow.org.records["001strange"] = {"Ext__c": "strange", "Name": "of somebody else"}
    flow.push(accounts("a", "b", "c"))
    done = flow.mirror(accounts("a", "b"))
    assert (done.gone, done.run.written, done.remaining, done.without_id) == (1, 1, 0, 0)
    assert flow.names() == {"k0": "a", "k1": "b", "strange": "of somebody else"}
    assert flow.mirror(accounts("a", "b")).gone == 0


def test_what_comes_back_is_written_anew(flow: Flow) -> None:
    """A record that was deleted is not remembered as sent."""
    flow.push(accounts("a", "b", "c"))
    flow.mirror(accounts("a", "b"))
    assert flow.push(accounts("a", "b", "c")).written == 1


def test_a_changed_or_refused_row_is_not_gone(flow: Flow) -> None:
    """It came in this load, whatever became of it."""
    flow.push(accounts("a", "b", "c"))
    done = flow.mirror(accounts("A", "bad", "c"))
    assert (done.gone, sorted(flow.names())) == (0, ["k0", "k1", "k2"])


@pytest.fixture
def caseless(monkeypatch: pytest.MonkeyPatch) -> None:
    """An org that finds external ids in any case, as Salesforce does unless told otherwise."""

    def known(org: Org, order: WriteOrder, row: Mapping[str, Any]) -> str | None:
        if order.mode is SyncMode.DELETE:
            return row["Id"] if row["Id"] in org.records else None
        return next((i for i, one in org.records.items() if one["Ext__c"].casefold() == row["Ext__c"].casefold()), None)

    monkeypatch.setattr(Org, "_known", known)


@pytest.mark.usefixtures("caseless")
def test_a_key_that_is_spelled_anew_is_not_gone(flow: Flow) -> None:
    """Its record was just written; what is gone besides is deleted, and the old spelling is forgotten."""
    flow.push(accounts("a", "b", "c"))
    done = flow.mirror([{"Ext__c": "K0", "Name": "a"}, *accounts("a", "b")[1:]])
    assert (done.gone, done.run.written) == (1, 1)
    assert flow.names() == {"K0": "a", "k1": "b"}
    with flow.sent() as sent:
        assert sent.known == 2
    assert flow.push(accounts("a")).written == 1, "it was written under the other spelling since"


@pytest.mark.usefixtures("caseless")
def test_the_last_spelling_of_a_key_has_the_last_word(flow: Flow) -> None:
    """Where keys in any case are one, all rows of a key from the first changed one on are sent, and one line remembers them."""
    flow.known_by = lambda: Alike.CASELESS
    flow.push([*accounts("a", "b"), {"Ext__c": "K0", "Name": "c"}])
    run = flow.push([*accounts("A", "b"), {"Ext__c": "K0", "Name": "c"}])
    assert (run.unchanged, run.written) == (1, 2)
    assert flow.names() == {"K0": "c", "k1": "b"}
    with flow.sent() as sent:
        assert sent.known == 2


@pytest.mark.usefixtures("caseless")
def test_a_look_knows_a_key_in_another_case(flow: Flow) -> None:
    """Also from a memory that was begun by exact spelling, and by exact spelling again after it."""
    flow.push([{"Ext__c": "K0", "Name": "a"}, *accounts("a", "b", "c")[1:]])
    assert flow.foresee(accounts("a", "b")).gone == 2
    flow.known_by = lambda: Alike.CASELESS
    assert flow.foresee(accounts("a", "b")) == Foreseen(1, 3)
    assert flow.mirror(accounts("a", "b")).gone == 1
    assert flow.push(accounts("a", "b")).unchanged == 2
    flow.known_by = lambda: Alike.EXACT
    assert flow.foresee([{"Ext__c": "K0", "Name": "a"}, *accounts("a", "b")[1:]]).gone == 0
    assert flow.foresee(accounts("a", "b")).gone == 1


@pytest.mark.usefixtures("caseless")
def test_a_key_that_is_spelled_anew_and_refused_is_not_gone(flow: Flow) -> None:
    """It came in this load, whatever became of it, though no answer names its record."""
    flow.push(accounts("a", "b", "c"))
    assert flow.mirror([{"Ext__c": "K0", "Name": "bad"}, *accounts("a", "b", "c")[1:]]).gone == 0
    assert flow.names() == {"k0": "a", "k1": "b", "k2": "c"}


@pytest.mark.usefixtures("caseless")
def test_a_record_with_two_spellings_is_not_gone_with_one(flow: Flow) -> None:
    """A look sees that too, and forgets neither."""
    flow.push([*accounts("a", "b"), {"Ext__c": "K0", "Name": "a"}])
    assert flow.foresee(accounts("a", "b")) == Foreseen(0, 3)
    assert flow.foresee(accounts("a", "b")) == Foreseen(0, 3)
    assert flow.mirror(accounts("a", "b")).gone == 0
    assert len(flow.org.records) == 2


@pytest.mark.parametrize(("before", "after"), [(15, 18), (18, 15)])
@pytest.mark.parametrize("answered", [15, 18])
@pytest.mark.parametrize("fate", ["written", "refused"])
def test_an_id_of_15_characters_names_the_record_of_18(tmp_path: Path, before: int, after: int, answered: int, fate: str) -> None:
    """So a row with the one is not gone when it comes with the other, whichever is answered."""
    ids = ["001000000000001AAA", "001000000000002AAA", "00100000000000bAAA"]
    order = WriteOrder("Account", SyncMode.UPDATE)

    def told(numbers: Sequence[int], length: int) -> Told:
        table = {"row": list(numbers), "id": [ids[n][:length] for n in numbers], "created": [False] * len(numbers)}
        return Told("c", written=pa.RecordBatch.from_pydict(table, schema=WRITTEN))

    with SentRows(tmp_path, flow="f", org="o", order=order) as sent:
        sift(sent, [{"Id": one[:before]} for one in ids])
        sent.told(told([0, 1, 2], 18))
        sent.begin("second")
        due = sift(sent, [{"Id": one[:after]} for one in ids[:2]])
        assert due == [0, 1]
        sent.told(told(due, answered) if fate == "written" else Told("c", others=tuple(RowResult(n, Fate.REFUSED) for n in due)))
        assert [key for lines in sent.gone() for _, key, _ in lines] == [ids[2][:before]]


def test_what_a_mirror_would_delete_is_foreseen(flow: Flow) -> None:
    """How many, of how many, and why they would stay where they would; nothing is deleted, and nothing learnt."""
    flow.push(accounts("a", "b", "c"))
    assert flow.foresee(accounts("a", "b")) == Foreseen(1, 3)
    assert flow.foresee(accounts("a")).refusal.startswith("2 of the 3 records")
    assert flow.foresee([]).refusal.startswith("the source is empty")
    assert flow.foresee([], allow_empty=True).refusal.startswith("3 of the 3 records")
    assert flow.foresee([], allow_empty=True, max_delete_share=1.0) == Foreseen(3, 3)
    assert flow.foresee(accounts("a", "b"), not_sent=1).refusal.startswith("1 row of the source was not sent")
    assert len(flow.names()) == 3


def test_a_mirror_refuses_to_delete_most_of_it(flow: Flow) -> None:
    """Exit code 1, how many, and how to allow it; then nothing is deleted."""
    flow.push(accounts("a", "b", "c"))
    with pytest.raises(Refused, match=r"2 of the 3 records.*max-delete-share") as caught:
        flow.mirror(accounts("a"))
    assert (caught.value.exit_code, len(flow.names())) == (1, 3)
    assert flow.mirror(accounts("a"), max_delete_share=1.0).run.written == 2


def test_a_mirror_refuses_to_follow_an_empty_source(flow: Flow) -> None:
    """Also where any share is allowed, and where an empty source is: only both together say that all of it is meant."""
    flow.push(accounts("a", "b"))
    with pytest.raises(Refused, match=r"the source is empty.*allow-empty"):
        flow.mirror([], max_delete_share=1.0)
    assert len(flow.names()) == 2
    with pytest.raises(Refused, match="2 of the 2 records"):
        flow.mirror([], allow_empty=True)
    assert flow.mirror([], allow_empty=True, max_delete_share=1.0).run.written == 2
    assert flow.names() == {}


def test_a_mirror_deletes_nothing_when_rows_were_not_sent(flow: Flow) -> None:
    """A row that could not be sent might be the one that seems gone."""
    flow.push(accounts("a", "b", "c"))
    with pytest.raises(Refused, match="1 row of the source was not sent"):
        flow.mirror([*accounts("a", "b"), {"Ext__c": "k2", "Name": "unsendable"}])
    assert len(flow.names()) == 3


def test_what_others_deleted_counts_as_gone(flow: Flow) -> None:
    """It is forgotten as if the mirror had deleted it."""
    flow.push(accounts("a", "b", "c"))
    flow.org.records = {key: record for key, record in flow.org.records.items() if record["Name"] != "c"}
    done = flow.mirror(accounts("a", "b"))
    assert (done.gone, done.already_gone, done.remaining) == (1, 1, 0)
    assert flow.mirror(accounts("a", "b")).gone == 0


def test_records_without_an_id_are_told(tmp_path: Path) -> None:
    """They cannot be deleted, and stay remembered until they can."""
    flow = Flow(tmp_path)
    with flow.sent() as sent:
        sift(sent, accounts("a", "b", "c"))
        table = {"row": [0, 1, 2], "id": ["001000000", None, None], "created": [True] * 3}
        sent.told(Told("c", written=pa.RecordBatch.from_pydict(table, schema=WRITTEN)))
    done = flow.mirror(accounts("a", "b"))
    assert (done.gone, done.without_id, done.examples, done.remaining) == (1, 1, ("k2",), 1)


@pytest.mark.parametrize("way", ["again", "resumed"])
def test_a_mirror_that_died_is_gone_on_with(flow: Flow, way: str) -> None:
    """What it had deleted is forgotten, what it had not is deleted: by the next mirror, or when its run is resumed."""
    flow.push(accounts("a", "b", "c", "d", "e", "f"))
    with flow.sent() as sent:
        push, run = flow._push(accounts("a", "b", "c"), sent)
        destination = FakeDestination(flow.org)
        seen: list[str] = []

        def fail(chunk: str) -> None:
            seen.append(chunk)
            if len(seen) == 2:
                raise NetworkFailed("Deleting", "the line is cut")

        destination.failing = fail
        with pytest.raises(NetworkFailed) as caught:
            Mirror(sent).execute(replace(push, destination=destination), run, ledger=flow.ledger, home=flow.home)
    assert 3 < len(flow.names()) < 6
    if way == "resumed":
        dead = str(caught.value.facts["run"])
        order = WriteOrder("Account", SyncMode.DELETE)
        with learning(flow.home, flow="flow:mirror", org=flow.org.name, order=order) as sieve:
            resume(dead, destination=FakeDestination(flow.org), ledger=flow.ledger, home=flow.home, sieve=sieve)
        assert sorted(flow.names()) == ["k0", "k1", "k2"]
        with flow.sent() as sent:
            assert sent.known == 3
    done = flow.mirror(accounts("a", "b", "c"))
    assert done.remaining == 0
    assert sorted(flow.names()) == ["k0", "k1", "k2"]


def test_a_resumed_run_is_learnt_from(tmp_path: Path) -> None:
    """An insert that failed half-way and was resumed has nothing left to do."""
    for at in count(1):
        flow, fuse = Flow(tmp_path / f"{at}", order=INSERT, diff_key="Ext__c"), Fuse(at)
        flow.home.mkdir()
        with pytest.raises(Killed):
            flow.push(accounts("a", "b", "c", "d", "e"), ledger=FusedLedger(flow.ledger, fuse), fuse=fuse)
        if flow.org.records:
            break
    (dead,) = (one.run for one in flow.ledger.runs())
    assert 0 < len(flow.org.records) < 5
    with learning(flow.home, flow="flow", org=flow.org.name, order=INSERT) as sieve:
        resume(dead, destination=FakeDestination(flow.org), ledger=flow.ledger, home=flow.home, sieve=sieve)
    assert flow.push(accounts("a", "b", "c", "d", "e")).unchanged == 5
    assert flow.org.names() == ["a", "b", "c", "d", "e"]


# ---- the file


def test_the_file_is_private_and_checked(tmp_path: Path) -> None:
    """Only its owner reads it; a newer version and a stranger's file are refused, a broken one is told."""
    with SentRows(tmp_path, flow="f", org="o", order=UPSERT):
        (path,) = (tmp_path / FOLDER).glob("*.sqlite")
        assert path.stat().st_mode & 0o077 == 0
    db = sqlite3.connect(path)
    db.execute("UPDATE facts SET value = '99' WHERE name = 'version'")
    db.commit()
    db.close()
    with pytest.raises(FixConfig, match="version 99"):
        SentRows(tmp_path, flow="f", org="o", order=UPSERT)
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE strange (a)")
    other.close()
    with pytest.raises(FixConfig, match="another program"):
        SentRows(tmp_path, flow="f", org="o", order=UPSERT)
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(StorageFailed, match="sent once more"):
        SentRows(tmp_path, flow="f", org="o", order=UPSERT)


def test_the_file_holds_keys_ids_and_digests(flow: Flow) -> None:
    """No value and no name of a field of what was sent, waits or is in doubt is in it, nor in its journal."""
    flow.push(
        [{"Ext__c": "thekey", "Name": "thevalue", "Field__c": {"inner": "thevalue"}}, {"Ext__c": "other", "Name": "thevalue"}]
    )
    with flow.sent() as sent:
        sent.begin("run")
        sent.sift(RowBatch([0], [{"Ext__c": "waits", "Name": "thevalue"}]))
        sent.sifted()
        held = b"".join(path.read_bytes() for path in (flow.home / FOLDER).iterdir())
    for name in (b"thevalue", b"Field__c", b"inner", b"Name"):
        assert name not in held, name
    for key in (b"thekey", b"other", b"waits"):
        assert key in held, key


def test_a_number_of_a_gigabyte_has_a_digest() -> None:
    """`1E+999999999` is short in a file; it is told from its neighbours, and never written out."""
    tracemalloc.start()
    found = [digests([{"A": Decimal(text)}]) for text in ("1E+99999999", "1E+99999998", "-1E+99999999", "1E-99999999")]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len({str(one) for one in found}) == 4
    assert peak < 1 << 20


@pytest.fixture
def many(tmp_path: Path) -> Iterator[SentRows]:
    with SentRows(tmp_path, flow="f", org="o", order=UPSERT) as sent:
        yield sent


def test_many_batches_are_one_load(many: SentRows) -> None:
    """Rows are found again across batches, in any order, and what did not come is gone."""
    rows = [{"Ext__c": f"k{at}", "Name": "n"} for at in range(1_000)]
    for first in range(0, 1_000, 100):
        sift(many, rows[first : first + 100], first=first)
    many.told(written(*range(1_000)))
    many.begin("second")
    turned = list(reversed(rows))[:600]
    assert [sift(many, turned[first : first + 70], first=first) for first in range(0, 600, 70)] == [[]] * 9
    gone = [line for lines in many.gone() for line in lines]
    assert sorted(key for _, key, _ in gone) == sorted(f"k{at}" for at in range(400))
    assert {(key, record_id) for _, key, record_id in gone} >= {("k7", f"001{7:015}")}
