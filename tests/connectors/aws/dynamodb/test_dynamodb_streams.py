"""Laws of a table that is written while it is read: what a scan promises, and that with its stream nothing is lost."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pytest
from tests.connectors.aws.dynamodb.desk import Desk, Item, expected, loaded, made, versions

from halocline.config import Settings
from halocline.connector import Deletes
from halocline.connectors.aws import Access
from halocline.connectors.aws.dynamodb.client import DynamoDB
from halocline.connectors.aws.dynamodb.hand_over import KEPT_S
from halocline.connectors.aws.dynamodb.streams import END, Shard, Stream, generations
from halocline.errors import FixConfig, NotFound, Stop
from halocline.plan import Wish
from halocline.run import Run
from halocline.tables import TableCopy, copy
from halocline.testing.faults import Death, replaced

BOTH = "NEW_AND_OLD_IMAGES"


class Writer:
    """Puts, changes and deletes items at each call of a reader, as a seed has it; what was there when is remembered."""

    def __init__(self, desk: Desk, seed: int, *, splits: bool = False) -> None:
        self.desk, self.splits = desk, 3 if splits else 0
        self.lock = threading.Lock()
        self.chance = random.Random(seed)
        self.live: dict[tuple[Any, ...], Item] = {desk.place(one): one for one in desk.there()}
        self.seen: dict[tuple[Any, ...], set[int]] = {key: {int(one["version"])} for key, one in self.live.items()}
        self.touched: set[tuple[Any, ...]] = set()  # put anew or deleted
        self.version = 0

    def write(self, most: int = 2) -> None:
        """Some writes."""
        for _ in range(self.chance.randint(0, most)):
            self._write_one()
        if self.splits and self.chance.random() < 0.1:
            self.splits -= 1
            self.desk.fake.split_shards(self.desk.table)

    def _write_one(self) -> None:
        self.version += 1
        kind = self.chance.choice(("put", "change", "change", "delete"))
        if kind == "put" or not self.live:
            one = made(self.chance.randint(0, 400), version=self.version)
            if self.desk.place(one) not in self.live:
                self.touched.add(self.desk.place(one))
        else:
            one = {**self.live[self.chance.choice(sorted(self.live))], "version": self.version}
        key = self.desk.place(one)
        if kind == "delete":
            self.desk.delete(one)
            self.live.pop(key, None)
            self.touched.add(key)
        else:
            self.desk.put(one)
            self.live[key] = one
            self.seen.setdefault(key, set()).add(self.version)

    @contextmanager
    def between_calls(self) -> Iterator[None]:
        """Write before and after each page of a scan and each call for a stream."""

        def writing(whole: Callable[..., Any]) -> Callable[..., Any]:
            def call(*values: Any, **options: Any) -> Any:
                with self.lock:
                    self.write()
                answer = whole(*values, **options)
                with self.lock:
                    self.write()
                return answer

            return call

        with (
            replaced(DynamoDB, "scan_page", by=writing(DynamoDB.scan_page)),
            replaced(Stream, "_call", by=writing(Stream._call)),
        ):
            yield


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 20))])
def test_a_scan_has_what_was_there_throughout(desk: Desk, seed: int) -> None:
    """Each such item once, in a version that it had meanwhile; what came or went meanwhile is there or not."""
    desk.make([made(number) for number in range(100)])
    writer = Writer(desk, seed)
    before = set(writer.live)
    with writer.between_calls():
        desk.run(segments=1, streams=False)
    found = desk.rows("pk, sk, version")
    keys = [desk.place(row) for row in found]
    assert len(keys) == len(set(keys))
    assert before - writer.touched <= set(keys)
    assert set(keys) <= before | writer.touched
    assert all(int(row["version"]) in writer.seen[desk.place(row)] for row in found)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 30))])
def test_with_its_stream_nothing_is_lost(desk: Desk, seed: int) -> None:
    """Written during the scan and during later runs, its shards split meanwhile: in the end both are equal."""
    desk.make([made(number) for number in range(60)], stream=BOTH)
    writer = Writer(desk, seed, splits=True)
    with writer.between_calls():
        first = desk.run(segments=1, streams=True)
        later = [desk.run(streams=True) for _ in range(2)]
    last = desk.run(streams=True)
    assert first.plan is not None
    assert first.plan.full
    for run in (*later, last):
        assert run.plan is not None
        assert run.counts is not None
        assert run.rows_read == run.counts.accounted
    there = desk.there()
    assert versions(desk.rows()) == versions(there)
    assert loaded(desk.rows()) == expected(there)
    still = desk.run(streams=True)
    assert still.plan is not None
    assert not still.plan.full
    assert still.rows_read == 0


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 10))])
def test_a_scan_that_was_cut_off_hands_over_from_its_beginning(desk: Desk, seed: int) -> None:
    """What was written between the two runs lies behind the marks of the first."""
    desk.make([made(number) for number in range(150)], stream=BOTH)
    writer = Writer(desk, seed)
    whole, asked = DynamoDB.scan_page, []

    def dying(self: DynamoDB, table: str, **more: Any) -> Any:
        asked.append(1)
        if len(asked) > 6:
            raise Death
        writer.write(6)
        return whole(self, table, **more)

    with replaced(DynamoDB, "scan_page", by=dying), pytest.raises(Death):
        desk.run(segments=1, streams=True)
    writer.write(20)
    run = desk.run(segments=1, streams=True)
    assert run.plan is not None
    assert run.plan.continues is not None
    desk.run(streams=True)
    assert versions(desk.rows()) == versions(desk.there())


def test_an_eventual_scan_reads_the_whole_stream(desk: Desk) -> None:
    """It may miss what was written shortly before it, so no shard counts as read."""
    desk.make([made(1)], stream=BOTH)
    desk.put(made(2))
    desk.fake.split_shards(desk.table)
    desk.run(streams=True, consistent=False)
    assert END not in desk.position()["hand_over"]["marks"].values()
    desk.run(streams=True)
    assert versions(desk.rows()) == versions(desk.there())


@pytest.mark.parametrize("hours", [23.5, pytest.param(30, marks=pytest.mark.long)])
def test_a_stream_that_forgot_is_told_and_all_is_read(desk: Desk, hours: float) -> None:
    """Its records are kept for a day; the run after that is a full one, and says why."""
    desk.make([made(number) for number in range(5)], stream=BOTH)
    desk.run(streams=True)
    desk.put(made(9))
    desk.delete(made(1))
    later = desk.fake.clock.now() + hours * 3_600
    desk.now = lambda: later
    run = desk.run(streams=True)
    assert hours * 3_600 > KEPT_S
    assert run.plan is not None
    assert run.plan.full
    assert "the stream was last read" in run.plan.reasons[0]
    assert versions(desk.rows()) == versions(desk.there())


def test_a_shard_that_is_gone_and_a_stream_made_anew_are_told(desk: Desk) -> None:
    """Both make a full read."""
    desk.make([made(number) for number in range(5)], stream=BOTH)
    desk.run(streams=True)
    shards = Stream.shards
    with replaced(Stream, "shards", by=lambda self: [one for one in shards(self) if one.ended]):
        run = desk.run(streams=True)
    assert "a shard of the stream is gone" in run.plan.reasons[0]  # type: ignore[union-attr]  # it was planned
    for on in ({"StreamEnabled": False}, {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}):
        desk.client.update_table(TableName=desk.table, StreamSpecification=on)
    desk.put(made(77))
    run = desk.run(streams=True)
    assert "stream is another one" in run.plan.reasons[0]  # type: ignore[union-attr]  # likewise
    assert versions(desk.rows()) == versions(desk.there())


def test_trimmed_while_it_is_read_all_is_read(desk: Desk) -> None:
    """DynamoDB says so at the call for records, when the run is planned already."""
    desk.make([made(number) for number in range(5)], stream=BOTH)
    desk.run(streams=True)
    desk.put(made(9))
    gone = {"code": "TrimmedDataAccessException", "status": 400}
    desk.fake.faults.add("refuse", service="dynamodbstreams", operation="GetRecords", **gone)
    run = desk.run(streams=True)
    assert run.plan is not None
    assert run.plan.full
    assert run.plan.method.endswith("_full")
    assert versions(desk.rows()) == versions(desk.there())


def test_a_column_that_changes_its_type_makes_a_full_read(desk: Desk) -> None:
    """A number that becomes a text cannot be merged into a column of numbers; a new column can."""
    desk.make([made(number) for number in range(5)], stream=BOTH)
    desk.run(streams=True)
    desk.put({**made(2), "new": "column"})
    run = desk.run(streams=True)
    assert not run.plan.full  # type: ignore[union-attr]  # it was planned
    assert [row["new"] for row in desk.rows("pk, sk, new") if row["new"]] == ["column"]
    desk.put({**made(3), "version": "three"})
    run = desk.run(streams=True)
    assert "version was integer" in run.plan.reasons[0]  # type: ignore[union-attr]  # likewise
    assert [row["version"] for row in desk.rows("pk, sk, version")] == ["0", "0", "0", "three", "0"]


def test_a_column_that_the_table_lost_makes_a_full_read(desk: Desk) -> None:
    """An attribute that is new in the stream is no such column, and both may come at once."""
    desk.make([made(number) for number in range(5)], stream=BOTH)
    desk.run(streams=True)
    with duckdb.connect(f"{desk.home}/lake.duckdb") as lake:
        lake.execute("ALTER TABLE raw.documents DROP COLUMN version")
    desk.put({**made(2), "new": "column"})
    run = desk.run(streams=True)
    assert run.plan is not None
    assert run.plan.reasons[0] == "Everything is read: the table has lost the column version."
    assert loaded(desk.rows()) == expected(desk.there())
    assert not desk.run(streams=True).plan.full  # type: ignore[union-attr]  # it was planned


def test_deletes_may_be_left_in_the_table(desk: Desk) -> None:
    """Then they are counted as filtered; several changes of one item count too, and only the last is applied."""
    desk.make([made(number) for number in range(3)], stream=BOTH)
    desk.run(streams=True)
    desk.delete(made(0))
    desk.put(made(1, version=1))
    desk.put(made(1, version=2))
    run = desk.run(streams=True, wish=Wish("documents", key=desk.key, deletes=Deletes.IGNORE))
    assert run.counts is not None
    assert (run.counts.updated, run.counts.deleted, run.counts.filtered, run.rows_read) == (1, 0, 2, 3)
    assert len(desk.rows()) == 3


@pytest.mark.parametrize("view", ["KEYS_ONLY", "OLD_IMAGE"])
def test_a_stream_without_new_images_is_refused(desk: Desk, view: str) -> None:
    """It tells that an item changed, and not to what."""
    desk.make([made(1)], stream=view)
    with pytest.raises(FixConfig, match=f"it tells {view}"):
        desk.run(streams=True)


def test_rows_matched_by_another_key_are_refused(desk: Desk) -> None:
    """Changes are told by the table's key."""
    desk.make([made(1)], stream=BOTH)
    with pytest.raises(FixConfig, match="rows are matched by pk, and DynamoDB tells changes by pk, sk"):
        desk.run(streams=True, wish=Wish("documents", key=("pk",)))


def test_a_table_that_is_replaced_otherwise_is_merged_into_by_its_stream(desk: Desk) -> None:
    """A copy's plan says replace, for the reads that bring everything; changes alone would be all that is left."""
    desk.make([made(number) for number in range(30)], stream=BOTH)
    uri, lake = f"dynamodb://{desk.table}", f"duckdb:///{desk.home}/lake.duckdb"
    settings = Settings(desk.home, desk.home / "spool")
    table = TableCopy(desk.table, "raw.documents", options={"streams": True})
    copy(uri, lake, table, settings=settings, name="f")
    desk.put(made(3, version=9))
    desk.delete(made(4))
    run = copy(uri, lake, table, settings=settings, name="f")
    assert run.counts is not None
    assert (run.counts.updated, run.counts.deleted) == (1, 1)
    assert versions(desk.rows("pk, sk, version")) == versions(desk.there())


def _copied(desk: Desk, **more: Any) -> Run:
    """A copy of the table with its stream."""
    uri, lake = f"dynamodb://{desk.table}", f"duckdb:///{desk.home}/lake.duckdb"
    settings = Settings(desk.home, desk.home / "spool")
    options = {"streams": True, **more.pop("options", {})}
    table = TableCopy(desk.table, "raw.documents", options=options, **more)
    return copy(uri, lake, table, settings=settings, name="f", sink=desk.hear)


def test_a_full_read_that_a_stream_follows_is_not_merged(desk: Desk) -> None:
    """What was deleted while nobody read the stream would stay for ever: refused from the first run on; replaced, it goes."""
    desk.make([made(number) for number in range(5)], stream=BOTH)
    with pytest.raises(FixConfig, match="stay for ever that were deleted"):
        _copied(desk, mode="merge")
    _copied(desk)
    desk.delete(made(1))
    for on in ({"StreamEnabled": False}, {"StreamEnabled": True, "StreamViewType": BOTH}):
        desk.client.update_table(TableName=desk.table, StreamSpecification=on)
    with pytest.raises(FixConfig, match="stay for ever that were deleted"):
        _copied(desk, mode="merge")
    assert _copied(desk).plan.full  # type: ignore[union-attr]  # it was planned
    assert versions(desk.rows("pk, sk, version")) == versions(desk.there())


def test_attributes_that_the_table_has_no_column_for_are_told_of_changes_too(desk: Desk) -> None:
    """A copy makes columns in its first run; later ones fill those, and say what they leave out."""
    desk.make([made(number) for number in range(3)], stream=BOTH)
    _copied(desk)
    assert desk.told == []
    desk.put({**made(1, version=2), "brandnew": "value"})
    assert _copied(desk).rows_read == 1
    assert desk.told == [f"Attributes of {desk.table} that the table has no column for are left out: brandnew."]
    assert versions(desk.rows("pk, sk, version")) == versions(desk.there())


def test_a_change_that_could_not_become_a_row_is_read_again(desk: Desk) -> None:
    """Its row would stay as it was, and no one hear of it: each run tells it, until it can be. It counts as new only once."""
    desk.make([made(number) for number in range(3)], stream=BOTH)
    _copied(desk)
    desk.put({**made(1), "version": "text"})
    assert _copied(desk, max_rejected=1).rejected == 1
    desk.put(made(2, version=2))
    again = _copied(desk, max_rejected=0)
    assert (again.rejected, versions(desk.rows("pk, sk, version"))[("item-002", 2)]) == (1, 2)
    assert any("1 of the changes that the last run read could not become rows" in one for one in again.plan.reasons)  # type: ignore[union-attr]
    desk.put(made(1, version=5))
    assert _copied(desk, max_rejected=0).rejected == 0
    assert versions(desk.rows("pk, sk, version")) == versions(desk.there())
    assert _copied(desk).rows_read == 0


def test_columns_that_are_not_chosen_are_not_told_as_ones_that_the_table_lacks(desk: Desk) -> None:
    """It has them: what is in maps, and what has one name in two spellings, too. They keep what they had, and that is told."""
    one = {"pk": "a", "sk": 1, "name": "lower", "Name": "UPPER", "claim": {"a": 1, "b": "x"}}
    desk.make([one], stream=BOTH)
    options = {"nested": "flatten", "streams": False}
    _copied(desk, options=options)
    desk.put({**one, "name": "other", "claim": {"a": 7, "b": "x", "new": 1}})
    _copied(desk, options=options, columns=["pk", "sk", "claim__b"])
    missing = [line for line in desk.told if "that the table has no column for" in line]
    assert missing == [f"Attributes of {desk.table} that the table has no column for are left out: claim.new."]
    (kept,) = (line for line in desk.told if line not in missing)
    assert kept.partition("keep their values: ")[2] == "name_2, Name, claim__a. Drop those that nobody is to see."
    with pytest.raises(NotFound, match=r"there is no column 'nme' among .* Did you mean Name"):
        _copied(desk, options=options, exclude=["nme"])


def test_columns_of_a_later_copy_come_from_where_those_of_the_first_came(desk: Desk) -> None:
    """What is in maps, and what has one name in two spellings: no column is emptied, and none gets another attribute's values."""
    one = {"pk": "a", "sk": 1, "name": "lower", "Name": "UPPER", "claim": {"a": 1, "b": "x"}, "claim__a": "top"}
    desk.make([one, {"pk": "b", "sk": 2, "claim": {"a": 2}}], stream=BOTH)
    options = {"nested": "flatten"}
    _copied(desk, options=options)
    first = desk.rows()
    assert {first[0]["Name"], first[0]["name_2"], first[0]["claim__b"]} == {"UPPER", "lower", "x"}
    desk.put({**one, "claim": {"a": 7, "b": "x", "new": 1}})
    for _ in range(2):
        _copied(desk, options=options)
        after = desk.rows()
        changed = {name: value for name, value in after[0].items() if value != first[0][name]}
        assert (list(changed.values()), after[1]) == ([7], first[1])
    assert desk.told == [f"Attributes of {desk.table} that the table has no column for are left out: claim.new."]
    _copied(desk, options={**options, "streams": False})
    assert desk.rows() == after


class Gaps(Stream):
    """An open shard with records at some places, and answers without any between them."""

    def __init__(self, places: Sequence[int]) -> None:
        super().__init__("arn", Access.of({"region": "us-east-1"}))
        self.places = {f"n{place}": place for place in places}

    def _call(self, operation: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "GetShardIterator":
            return {"ShardIterator": str(self.places.get(wanted["SequenceNumber"], -1) + 1)}
        at = int(wanted["ShardIterator"])
        record = {"dynamodb": {"SequenceNumber": f"n{at}", "ApproximateCreationDateTime": 1.0}}
        return {"Records": [record] if at in self.places.values() else [], "NextShardIterator": str(at + 1)}


@pytest.mark.parametrize("places", [[4], [0, 5, 6, 40, 41, 47], [0, 49, 98]], ids=str)
def test_a_stretch_without_records_is_passed_by_the_next_run(places: list[int]) -> None:
    """An answer without records does not mean that there are none behind it; each run comes farther than the one before."""
    stream, mark = Gaps(places), "at n"
    found: list[str] = []

    def take(records: Sequence[Mapping[str, Any]]) -> None:
        found.extend(one["SequenceNumber"] for one in records)

    for _ in places:
        before = len(found)
        mark = stream.drain(Shard("s", "n", False), mark, take=take, until=9.0)
        assert len(found) > before or len(found) == len(places)
    assert found == [f"n{place}" for place in places]
    assert mark == f"after n{places[-1]}"


def test_children_come_behind_their_parents() -> None:
    """Shards that are read to their end are not read again; parents that are gone are no obstacle."""
    shards = [Shard("c", "3", False, "b"), Shard("b", "2", True, "a"), Shard("a", "1", True, "gone"), Shard("x", "9", False)]
    assert [[one.id for one in some] for some in generations(shards, {})] == [["a", "x"], ["b"], ["c"]]
    assert [[one.id for one in some] for some in generations(shards, {"a": END, "b": END})] == [["c", "x"]]
    with pytest.raises(Stop, match="each other's parents"):
        list(generations([Shard("a", "1", True, "b"), Shard("b", "1", True, "a")], {}))
