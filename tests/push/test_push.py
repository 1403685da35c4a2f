"""Laws of a push: every row is told once and booked before it is told, and nothing is sent before all is staged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.push.fake import FakeDestination, FakeLoad, Heard, ListRows, Org

from halocline.errors import FixConfig, NetworkFailed, Stop, Stopped
from halocline.events import Event, PushPlanned, RowsStaged, RowsTold, RunFailed, RunFinished, RunStarted
from halocline.ledger import Ledger, MemoryLedger
from halocline.mapping import FieldMapper
from halocline.outcome import Counts, Fate
from halocline.push.destination import RowBatch, Told
from halocline.push.order import SyncMode, WriteOrder
from halocline.push.push import Push, execute, prepare
from halocline.push.run import NOT_ATTEMPTED, PushRun
from halocline.push.sieve import Sieve

UPSERT = WriteOrder("Account", SyncMode.UPSERT, key="Ext__c", batch_size=2)
INSERT = WriteOrder("Account", SyncMode.INSERT, batch_size=2)
NAMES = ["Åsa", "Bo", "bad", "unsendable", "Di"]


def rows_of(names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"Ext__c": f"k{at}", "Name": name} for at, name in enumerate(names)]


@pytest.fixture
def ledger() -> Ledger:
    return MemoryLedger()


@pytest.fixture
def org() -> Org:
    return Org()


def push(org: Org, rows: Sequence[Any], order: WriteOrder = UPSERT, *, arrow: bool = False, **options: Any) -> Push:
    return Push(order, ListRows(rows, arrow=arrow), FakeDestination(org), "flow", **options)


def test_every_row_is_counted_told_and_booked(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """Written, refused by the other side, and refused before it was sent: counts, watch and ledger say the same."""
    heard, run = Heard(), PushRun.new()
    execute(push(org, rows_of(NAMES)), run, ledger=ledger, home=tmp_path, watch=heard)
    assert (run.total, run.written, run.created, run.refused, run.not_sent, run.accounted) == (5, 3, 3, 1, 1, 5)
    assert org.names() == ["Bo", "Di", "Åsa"]
    assert {row: (other.fate, other.code) for row, other in heard.others.items()} == {
        2: (Fate.REFUSED, "REQUIRED_FIELD_MISSING"),
        3: (Fate.NOT_SENT, "CANNOT_BE_SENT"),
    }
    kept = {r.row: (r.fate, r.code, r.fields, r.record) for r in ledger.each_rejection(run.id)}
    assert kept[2] == (Fate.REFUSED, "REQUIRED_FIELD_MISSING", ("Name",), {"Ext__c": "k2", "Name": "bad"})
    assert kept[3][0] is Fate.NOT_SENT
    record = ledger.get(run.id)
    assert (record.state, record.method, record.rows_read) == ("done", "collections_upsert", 5)
    assert record.counts == Counts(inserted=3, rejected=1, not_sent=1)
    assert record.counts.accounted == 5
    assert (record.api_calls, run.api_calls) == (2, 2)
    assert ledger.abandon_dead("flow") == []


def test_records_are_the_sources_own(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """What is told of a row that was not written carries the very dict of the caller, also behind a mapping."""
    rows = [{"key": "a", "name": "bad"}, {"key": "b", "name": "unsendable"}, 7]
    heard = Heard()
    mapper = FieldMapper({"key": "Ext__c", "name": "Name"})
    execute(push(org, rows, mapper=mapper), PushRun.new(), ledger=ledger, home=tmp_path, watch=heard)
    assert [heard.others[n].record is rows[n] for n in range(3)] == [True, True, True]
    assert heard.others[2].code == "NOT_A_RECORD"
    assert [r.record for r in ledger.each_rejection(PushRun(ledger.runs()[0].run).id)] == [rows[1], None, rows[0]]


def test_nothing_is_sent_before_all_rows_are_staged(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """A source that fails half-way leaves the org, and the disk, as they were."""

    class Broken(ListRows):
        def batches(self) -> Iterator[RowBatch]:
            yield next(super().batches())
            raise FixConfig("Reading the source", "line 4 is ragged")

    run = PushRun.new()
    with pytest.raises(FixConfig, match="ragged") as raised:
        execute(Push(UPSERT, Broken(rows_of(NAMES)), FakeDestination(org), "flow"), run, ledger=ledger, home=tmp_path, sink=print)
    assert raised.value.facts["run"] == run.id
    assert "resume" not in str(raised.value)
    assert org.records == {}
    assert list((tmp_path / "runs").iterdir()) == []
    assert ledger.get(run.id).state == "failed"
    assert ledger.abandon_dead("flow") == []


def test_no_rows_ask_nobody_for_anything(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """An empty source is a run that went well, without a call, a plan or a folder."""
    heard = Heard()
    destination = FakeDestination(org)
    run = execute(Push(UPSERT, ListRows([]), destination, "flow"), PushRun.new(), ledger=ledger, home=tmp_path, watch=heard)
    assert (run.total, run.plan, destination.calls, heard.story) == (0, None, 0, ["begun"])
    assert ledger.get(run.id).state == "done"
    assert not (tmp_path / "runs").exists()


def test_the_watch_hears_in_order_and_after_the_ledger(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """Refusals of staging come before the plan, a chunk's rows are announced before they go, and what is told is durable."""
    run = PushRun.new()

    class Asking(Heard):
        def told(self, told: Told) -> None:
            super().told(told)
            kept = {rejection.row for rejection in ledger.each_rejection(run.id)}
            assert {row.row for row in told.others} <= kept

    heard = Asking()
    execute(push(org, rows_of(NAMES)), run, ledger=ledger, home=tmp_path, watch=heard)
    assert heard.story == ["begun", "told staging", "planned", *["sending", "told c00000"], *["sending", "told c00002"]]
    assert sorted(heard.sent) == [0, 1, 2, 4]


def test_events_tell_the_story(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """Started, staged, planned, told, finished."""
    events: list[Event] = []
    execute(push(org, rows_of(NAMES)), PushRun.new(), ledger=ledger, home=tmp_path, sink=events.append)
    kinds = [RunStarted, RowsStaged, RowsTold, RowsStaged, PushPlanned, RowsTold, RowsTold, RunFinished]
    assert Counter(map(type, events)) == Counter(kinds)
    assert sum(event.written + event.others for event in events if isinstance(event, RowsTold)) == 5


def test_a_clean_run_leaves_no_folder_and_another_keeps_its_rows(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """The folder of a run with refused rows is shrunk to what may be tried again."""
    clean = execute(push(org, rows_of(["a"])), PushRun.new(), ledger=ledger, home=tmp_path)
    other = execute(push(org, rows_of(NAMES)), PushRun.new(), ledger=ledger, home=tmp_path)
    assert clean.folder is None
    assert other.folder == tmp_path / "runs" / other.id
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [other.id]
    assert (other.folder / "load" / "left.json").exists()


def test_folded_rows_share_the_fate_of_the_last(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """Each row of the source is counted, though the org was told once."""
    rows = [{"Ext__c": "k", "Name": "a", "City": "x"}, {"Ext__c": "k", "Name": "b"}]
    run = execute(push(org, rows), PushRun.new(), ledger=ledger, home=tmp_path)
    assert (run.written, run.folded, run.plan and run.plan.rows) == (2, 1, 1)
    assert list(org.records.values()) == [{"Ext__c": "k", "Name": "b", "City": "x"}]


@pytest.mark.parametrize("mode", [SyncMode.UPDATE, SyncMode.DELETE])
def test_counts_follow_the_mode(org: Org, ledger: Ledger, tmp_path: Path, mode: SyncMode) -> None:
    """What was written was updated, or deleted."""
    org.records["001x"] = {"Id": "001x"}
    run = execute(push(org, [{"Id": "001x"}], WriteOrder("Account", mode)), PushRun.new(), ledger=ledger, home=tmp_path)
    assert (run.created, run.updated, run.deleted) == (0, int(mode == "update"), int(mode == "delete"))
    assert ledger.get(run.id).counts == Counts(updated=run.updated, deleted=run.deleted)


def test_an_upsert_tells_new_from_old(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """As far as the other side does."""
    execute(push(org, rows_of(["a"])), PushRun.new(), ledger=ledger, home=tmp_path)
    run = execute(push(org, rows_of(["a", "b", "c"])), PushRun.new(), ledger=ledger, home=tmp_path)
    assert (run.written, run.created, run.updated) == (3, 2, 1)


# ---- mapping


@pytest.mark.parametrize("arrow", [False, True])
@pytest.mark.parametrize(
    "mapping",
    [
        {"Ext__c": "Ext__c", "name": "Name"},
        {"Ext__c": "Ext__c", "name": ("Name", str.upper)},
        {"Ext__c": "Ext__c", "name": ("Name", None, 5)},
    ],
    ids=["plain", "function", "default of another type"],
)
def test_rows_are_mapped_alike_from_dicts_and_columns(
    org: Org, ledger: Ledger, tmp_path: Path, arrow: bool, mapping: dict[str, object]
) -> None:
    """Whether or not columns can do it: what only rows can do falls back to rows."""
    rows = [{"Ext__c": "a", "name": "x"}, {"Ext__c": "b", "name": None}]
    execute(push(org, rows, mapper=FieldMapper(mapping), arrow=arrow), PushRun.new(), ledger=ledger, home=tmp_path)
    expected = [row["Name"] for row in FieldMapper(mapping).transform_batch(rows, skip_none=False)]
    assert [record["Name"] for record in org.records.values()] == expected


def test_a_row_that_cannot_be_mapped_is_told_and_the_others_are_sent(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """A function that raises refuses its own row, before anything is sent; strict mode refuses rows without the field."""
    rows = [{"Ext__c": "a", "n": "1"}, {"Ext__c": "b", "n": "x"}, {"Ext__c": "c"}]
    heard = Heard()
    mapper = FieldMapper({"Ext__c": "Ext__c", "n": ("Name", int)})
    run = execute(push(org, rows, mapper=mapper, strict=True), PushRun.new(), ledger=ledger, home=tmp_path, watch=heard)
    assert {row: other.code for row, other in heard.others.items()} == {1: "MAPPING_FAILED", 2: "SOURCE_FIELD_MISSING"}
    assert (run.written, run.not_sent, run.unstaged) == (1, 2, 2)


def test_strict_mode_holds_for_columns_too(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """A column that is not there is missing in every row."""
    mapper = FieldMapper({"Ext__c": "Ext__c", "n": "Name"})
    run = execute(
        push(org, [{"Ext__c": "a"}], mapper=mapper, strict=True, arrow=True), PushRun.new(), ledger=ledger, home=tmp_path
    )
    assert (run.written, run.not_sent) == (0, 1)


def test_two_columns_of_one_name_are_refused(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """Nobody can say which one is meant, and one of them would be lost on the way to rows."""
    import pyarrow as pa

    class Doubles(ListRows):
        def batches(self) -> Iterator[RowBatch]:
            yield RowBatch(range(1), pa.RecordBatch.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["a", "a"]))

    made = Push(UPSERT, Doubles([{}]), FakeDestination(org), "flow", mapper=FieldMapper({"a": ("Ext__c", str)}))
    with pytest.raises(FixConfig, match="several columns named 'a'"):
        execute(made, PushRun.new(), ledger=ledger, home=tmp_path)


# ---- stopping


@pytest.mark.parametrize("arrow", [False, True])
def test_a_refusal_of_staging_ends_the_rows_there(org: Org, ledger: Ledger, tmp_path: Path, arrow: bool) -> None:
    """What is before the row is sent, then it counts as the error, and what is behind it was not attempted."""
    rows = rows_of(["a", "b", "c", "d", "unsendable", "e", "unsendable", "f"])
    heard, run = Heard(), PushRun.new()
    order = WriteOrder("Account", SyncMode.INSERT, batch_size=3, stop_on_error=True)
    with pytest.raises(Stopped, match=r"row 4: CANNOT_BE_SENT: it cannot go\. 4 rows are written") as raised:
        execute(push(org, rows, order, arrow=arrow), run, ledger=ledger, home=tmp_path, watch=heard)
    assert org.names() == ["a", "b", "c", "d"]
    assert {row: other.code for row, other in heard.others.items()} == {
        4: "CANNOT_BE_SENT",
        **dict.fromkeys((5, 6, 7), NOT_ATTEMPTED),
    }
    assert (run.written, run.not_sent, run.not_attempted, run.accounted) == (4, 4, 3, 8)
    assert raised.value.facts == {"run": run.id, "row": 4, "counts": run.counts.to_json()}
    assert (ledger.get(run.id).state, ledger.abandon_dead("flow")) == ("done", [])


def test_a_refusal_of_the_other_side_ends_the_rows_there(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """Rows of later chunks were not attempted; an earlier row is the first error, whatever staging found behind it."""
    rows = rows_of(["a", "bad", "c", "d", "unsendable", "e"])
    run = PushRun.new()
    order = WriteOrder("Account", SyncMode.INSERT, batch_size=2, stop_on_error=True)
    with pytest.raises(Stopped, match="row 1: REQUIRED_FIELD_MISSING"):
        execute(push(org, rows, order), run, ledger=ledger, home=tmp_path)
    assert (run.written, run.refused, run.not_sent, run.not_attempted) == (1, 1, 4, 3)


def test_a_mapping_error_ends_the_rows_there(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """Mapping is part of staging."""
    rows = [{"n": "1"}, {"n": "x"}, {"n": "3"}]
    order = WriteOrder("Account", SyncMode.INSERT, stop_on_error=True)
    run = PushRun.new()
    with pytest.raises(Stopped, match="row 1: MAPPING_FAILED"):
        execute(push(org, rows, order, mapper=FieldMapper({"n": ("Name", int)})), run, ledger=ledger, home=tmp_path)
    assert org.names() == ["1"]


# ---- failures


def test_what_ends_a_push_half_way_says_how_to_go_on(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """The error names the run, the ledger has the counts so far, and the folder is kept."""
    made, run = push(org, rows_of(["a", "b", "c"])), PushRun.new()

    def fail(chunk: str) -> None:
        if chunk == "c00002":
            raise NetworkFailed("Sending rows", "the line is cut")

    made.destination.failing = fail  # type: ignore[attr-defined]
    events: list[Event] = []
    with pytest.raises(NetworkFailed, match=f"`halocline resume {run.id}` sends the rest") as raised:
        execute(made, run, ledger=ledger, home=tmp_path, sink=events.append)
    assert raised.value.facts["run"] == run.id
    record = ledger.get(run.id)
    assert (record.state, record.counts, record.rows_read) == ("failed", Counts(inserted=2), 3)
    assert isinstance(events[-1], RunFailed)
    assert events[-1].durable_rows == 2
    assert (tmp_path / "runs" / run.id / "load").is_dir()
    assert ledger.abandon_dead("flow") == [run.id]


def test_a_failure_after_all_is_told_leaves_nothing_to_take_up(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """A job that failed as a whole, its rows told: the error comes through, and the books are closed."""

    class Failing(FakeDestination):
        def open(self, *args: Any, **options: Any) -> FakeLoad:
            load = super().open(*args, **options)
            told = load.outcomes

            def outcomes(**options: Any) -> Iterator[Told]:
                yield from told(**options)
                raise Stop("Loading", "the job failed")

            load.outcomes = outcomes  # type: ignore[method-assign]
            return load

    run = PushRun.new()
    with pytest.raises(Stop, match="the job failed") as raised:
        execute(Push(UPSERT, ListRows(rows_of(["a", "bad"])), Failing(org), "flow"), run, ledger=ledger, home=tmp_path)
    assert "resume" not in str(raised.value)
    assert (ledger.get(run.id).state, ledger.get(run.id).counts) == ("failed", Counts(inserted=1, rejected=1))
    assert ledger.abandon_dead("flow") == []


@pytest.mark.parametrize("crime", ["forgets a row", "tells a row twice", "tells a row that it never got"])
def test_books_that_do_not_balance_stop_the_run(org: Org, ledger: Ledger, tmp_path: Path, crime: str) -> None:
    """Each staged row is told exactly once, or the run has failed."""

    class Criminal(FakeDestination):
        def open(self, *args: Any, **options: Any) -> FakeLoad:
            load = super().open(*args, **options)
            told = load.outcomes

            def outcomes(**options: Any) -> Iterator[Told]:
                first, _ = told(**options)
                assert first.written is not None
                yield first
                if crime == "tells a row twice":
                    yield first
                elif crime != "forgets a row":
                    rows = first.written.to_pylist()
                    yield Told("x", written=type(first.written).from_pylist([{**row, "row": row["row"] + 90} for row in rows]))

            load.outcomes = outcomes  # type: ignore[method-assign]
            return load

    run = PushRun.new()
    with pytest.raises(Stop, match=r"of 4 rows .* are accounted for"):
        execute(Push(UPSERT, ListRows(rows_of("abcd")), Criminal(org), "flow"), run, ledger=ledger, home=tmp_path)
    assert ledger.get(run.id).state == "failed"


def test_a_watch_that_raises_changes_nothing_that_is_booked(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """The push ends there; the rows told until then are in the books, and the rest can be sent."""

    class Rude(Heard):
        def told(self, told: Told) -> None:
            raise ValueError("no")

    run = PushRun.new()
    with pytest.raises(ValueError, match="no"):
        execute(push(org, rows_of("abcd")), run, ledger=ledger, home=tmp_path, watch=Rude())
    assert (ledger.get(run.id).state, ledger.get(run.id).counts) == ("failed", Counts(inserted=2))
    again = execute(push(org, rows_of("abcd")), PushRun.new(), ledger=ledger, home=tmp_path)
    assert (again.continues, again.written, org.names()) == (run.id, 4, ["a", "b", "c", "d"])


# ---- looking without doing


def test_preparing_sends_and_books_nothing(org: Org, tmp_path: Path) -> None:
    """The plan and the refusals are those of the push itself, and the first rows are told."""
    heard, run = Heard(), PushRun.new()
    first = prepare(push(org, rows_of(NAMES)), run, folder=tmp_path, watch=heard)
    assert run.plan is not None
    assert (run.plan.rows, run.plan.chunks, run.not_sent) == (4, 2, 1)
    assert [row["Name"] for row in first] == NAMES[:3]
    assert (set(heard.others), org.records) == ({3}, {})


# ---- the sieve


class Odd(Sieve):
    """A sieve that holds back rows with an odd number; it learns what was written, by run."""

    def __init__(self) -> None:
        self.run = ""
        self.learnt: list[tuple[str, int]] = []

    def begin(self, run: str) -> None:
        self.run = run

    def sift(self, batch: RowBatch) -> tuple[RowBatch, Sequence[int]]:
        assert isinstance(batch.rows, Sequence)
        kept = [(n, row) for n, row in zip(batch.numbers, batch.rows, strict=True) if n % 2 == 0]
        return RowBatch([n for n, _ in kept], [row for _, row in kept]), [n for n in batch.numbers if n % 2]

    def sifted(self) -> Sequence[str]:
        return ()

    def told(self, told: Told) -> None:
        if told.written is not None:
            self.learnt.extend((self.run, row) for row in told.written.column("row").to_pylist())


def test_rows_that_the_sieve_holds_back_are_unchanged(org: Org, ledger: Ledger, tmp_path: Path) -> None:
    """They are counted and not sent, and the sieve hears what became of the others."""
    sieve, run = Odd(), PushRun.new()
    execute(push(org, rows_of("abcde"), sieve=sieve), run, ledger=ledger, home=tmp_path)
    assert (run.written, run.unchanged, org.names()) == (3, 2, ["a", "c", "e"])
    assert ledger.get(run.id).counts == Counts(inserted=3, unchanged=2)
    assert sieve.learnt == [(run.id, 0), (run.id, 2), (run.id, 4)]


# ---- all of it


@st.composite
def sources(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows with repeated, missing and empty keys, names that are refused on either side, and values that no function takes."""
    keys = st.sampled_from(["a", "b", "c", "d", "", None])
    names = st.sampled_from(["x", "y", "bad", "unsendable", 5])
    return [{"key": draw(keys), "name": draw(names)} for _ in range(draw(st.integers(0, 12)))]


@settings(max_examples=examples(150), deadline=None)
@given(rows=sources(), mode=st.sampled_from(["insert", "upsert"]), size=st.integers(1, 4), stop=st.booleans(), asks=st.booleans())
def test_whatever_happens_every_row_is_told_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], mode: str, size: int, stop: bool, asks: bool
) -> None:
    """Read = written + refused + in doubt + not sent + unchanged, row by row, in counts, watch, ledger and org alike."""
    org, ledger, heard, run = Org(), MemoryLedger(), Heard(), PushRun.new()
    order = WriteOrder("Account", SyncMode(mode), key="Ext__c", batch_size=size, stop_on_error=stop)
    mapper = FieldMapper({"key": "Ext__c", "name": ("Name", lambda name: name + "")})
    made = Push(order, ListRows(rows, batch=size + 1), FakeDestination(org, asks=asks), "flow", mapper=mapper)
    try:
        execute(made, run, ledger=ledger, home=tmp_path_factory.mktemp("home"), watch=heard)
    except Stopped:
        assert stop
        assert heard.others
    assert run.accounted == run.total == len(rows)
    assert sorted([*heard.written, *heard.others]) == list(range(len(rows)))
    assert sorted(r.row for r in ledger.each_rejection(run.id)) == sorted(heard.others)
    assert ledger.get(run.id).counts.accounted == len(rows)
    keys = [rows[number]["key"] for number in heard.written]
    assert len(org.records) == (len(keys) if mode == "insert" else len(set(keys)))
    assert ledger.abandon_dead("flow") == []
