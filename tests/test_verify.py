"""Laws of comparing two sides: what differs is found, what is not due is not, and memory does not grow with the rows."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halocline import refresh
from halocline.connector import Abilities, Deletes, Mode, Plan, Survey
from halocline.errors import FixConfig, Truncated
from halocline.plan import Wish, decide
from halocline.schema import Column, Kind, Schema
from halocline.spool import Spool
from halocline.verifying.buckets import LEAST_BUCKETS, MOST_BUCKETS, Buckets, bucket_of, how_many
from halocline.verifying.compare import Compared, Kinds, Rules, compare
from halocline.verifying.findings import SHOWN, Findings
from halocline.verifying.sample import Sample
from tests.examples import examples

SCHEMA = Schema(
    (
        Column("Id", Kind.STRING),
        Column("Name", Kind.STRING),
        Column("Amount", Kind.DECIMAL, precision=18, scale=2),
        Column("Place", Kind.JSON),
        Column("Stamp", Kind.DATETIME),
        Column("Gone", Kind.BOOLEAN),
    ),
    key=("Id",),
)
PLAN = Plan(
    flow="f",
    object="Thing",
    method="bulk_api_full",
    reasons=(),
    query="",
    window=(None, ""),
    next_position={},
    mode=Mode.MERGE,
    key=("Id",),
    schema=SCHEMA,
    cursor="Stamp",
    deletes=Deletes.SOFT,
    delete_flag="Gone",
    expected_rows=0,
)
MIDNIGHT = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)

Row = Mapping[str, object]


def at(minute: int) -> dt.datetime:
    return MIDNIGHT + dt.timedelta(minutes=minute)


def row(key: str | None, *, minute: int = 0, **values: object) -> Row:
    return {"Id": key, "Name": f"n{key}", "Amount": Decimal("1.50"), "Stamp": at(minute), "Gone": False, **values}


def table(rows: Sequence[Row], schema: Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_pylist([dict(one) for one in rows], schema=schema.arrow)


def rules(*, since: int | None = None, until: int = 10_000, gone: Sequence[str] = (), **plan: object) -> Rules:
    scalar = pa.timestamp("us", "UTC")
    low = None if since is None else pa.scalar(at(since), scalar)
    return Rules(replace(PLAN, **plan), low, pa.scalar(at(until), scalar), pa.array(gone, pa.string()))  # type: ignore[arg-type]


def found(here: Sequence[Row], there: Sequence[Row], how: Rules | None = None) -> Compared:
    return compare(table(here), table(there), rules=how or rules())


def keys(some: Compared) -> dict[str, list[str]]:
    """The keys of what differs, without kinds of which there are none."""
    return {str(kind): sorted(map(str, array.to_pylist())) for kind, array in some.keys.items() if len(array)}


def test_a_record_that_comes_twice_in_place_of_another_is_no_comparison() -> None:
    """Where each record is promised once, a repeated one means that something else did not come; elsewhere it is one row."""
    here = [row("a"), row("b"), row("a")]
    with pytest.raises(Truncated, match="arrived twice"):
        found(here, [row("a"), row("b")], rules(once=True))
    assert keys(found(here, [row("a"), row("b")])) == {}


@pytest.mark.parametrize(
    ("here", "there", "same"),
    [
        ('{"a": 1, "b": 2}', '{"b":2.0,"a":1e0}', True),
        ('{"a": 0}', '{"a": -0.0}', True),
        ('{"a": "\\u00e9"}', '{"a":"é"}', True),
        ('{"a": 1}', '{"a": "1"}', False),
        ('{"a": 1234567890123456789012345678901}', '{"a": 1234567890123456789012345678902}', False),
        ("[1, 2]", "[2, 1]", False),
        ("no json", "no json", True),
    ],
)
def test_json_is_compared_by_what_it_says(here: str, there: str, *, same: bool) -> None:
    """Spelling and order of names do not matter; a number is no text, and counts to its last digit."""
    some = found([row("a", Place=here)], [row("a", Place=there)])
    assert keys(some) == ({} if same else {"different": ["a"]})


# ---- buckets


@given(st.lists(st.text(max_size=60), min_size=1, max_size=40), st.integers(0, 40))
@settings(max_examples=examples(60))
def test_a_key_has_one_bucket_whatever_batch_it_comes_in(texts: list[str], cut: int) -> None:
    """Alone, in a slice or among others, a key goes to the same place, and it is a place that there is."""
    every = pa.array(texts, pa.string())
    whole = bucket_of(every, 16).to_pylist()
    assert [*bucket_of(every.slice(0, cut), 16).to_pylist(), *bucket_of(every.slice(cut), 16).to_pylist()] == whole
    assert [bucket_of(pa.array([text]), 16)[0].as_py() for text in texts] == whole
    assert set(whole) <= set(range(16))


@pytest.mark.parametrize(
    "spelled", ["001{:015d}", "{:05d}", "someone.{}@example.com", "x" * 30 + "{}"], ids=["id", "number", "mail", "long"]
)
def test_keys_that_look_alike_are_spread(spelled: str) -> None:
    """Of 8,000 ids, numbers or addresses, no bucket of 16 gets more than a third above its share."""
    counted = Counter(bucket_of(pa.array([spelled.format(n) for n in range(8_000)]), 16).to_pylist())
    assert max(counted.values()) < 8_000 / 16 * 4 / 3


def test_rows_come_back_from_their_buckets_as_they_went_in(tmp_path: Path) -> None:
    """Every row is in the bucket of its key, once, with its values, whichever order its columns came in; nulls too."""
    spool = Spool("b", tmp_path)
    rows = [row(f"k{n}", Name=None if n % 7 == 0 else f"n{n}") for n in range(500)] + [row(None)]
    buckets = Buckets(spool, "a", schema=SCHEMA.arrow, key="Id", count=16)
    for begin in range(0, len(rows), 60):
        batch = table(rows[begin : begin + 60]).combine_chunks().to_batches()[0]
        buckets.add(batch.select(list(reversed(SCHEMA.names))))
    buckets.close()
    came = {number: buckets.read(number) for number in range(16)}
    assert sorted(str(one["Name"]) for some in came.values() for one in some.to_pylist()) == sorted(str(r["Name"]) for r in rows)
    for number, some in came.items():
        assert set(bucket_of(some.column("Id").combine_chunks(), 16).to_pylist()) <= {number}
    assert buckets.rows == 501
    for number in range(16):
        buckets.forget(number)
    assert not list(spool.path.iterdir())


def test_more_rows_or_columns_make_more_buckets_up_to_a_bound() -> None:
    """A power of two, between the least and the most."""
    counts = [how_many(rows, columns) for rows in (0, 10**6, 10**9) for columns in (1, 100)]
    assert counts == [16, 16, 32, 128, 128, 128]
    assert all(count & (count - 1) == 0 and LEAST_BUCKETS <= count <= MOST_BUCKETS for count in counts)


# ---- compare


def test_each_kind_of_difference_is_found_and_told_by_its_key() -> None:
    """Missing, extra, stale by stamp or by flag, different in a value, doubled or without a key; the same row is none."""
    here = [row("same"), row("missing"), row("stale", minute=2), row("flag", Gone=True), row("value", Name="a"), row("twice")]
    there = [row("same"), row("extra"), row("stale", minute=1), row("flag"), row("value", Name="b"), row("twice"), row("twice")]
    some = found(here, [*there, row(None)])
    assert keys(some) == {
        "missing": ["missing"],
        "extra": ["extra"],
        "stale": ["flag", "stale"],
        "different": ["value"],
        "doubled": ["None", "twice"],
    }
    assert some.columns == {"Name": 1}
    assert sorted(some.alike.to_pylist()) == ["same", "twice", "value"]


@pytest.mark.parametrize(
    ("here", "there"),
    [(None, "x"), ("x", None), ("x", "X"), ("", None)],
    ids=["null here", "null there", "case", "empty and null"],
)
def test_null_is_like_null_and_nothing_else(here: object, there: object) -> None:
    """A value on one side only is a difference; so are texts that differ in case only."""
    assert keys(found([row("k", Name=here)], [row("k", Name=there)])) == {"different": ["k"]}
    assert keys(found([row("k", Name=here)], [row("k", Name=here)])) == {}


def test_what_is_under_way_is_no_difference() -> None:
    """Left out on both sides: rows stamped from the last sync on, on either side, and what the source deleted since."""
    here = [row("old"), row("new", minute=9), row("changed", minute=9), row("changes", minute=1)]
    there = [row("old"), row("changed", minute=1), row("changes", minute=9), row("came", minute=9), row("deleted")]
    how = rules(since=5, gone=["deleted", "never seen"])
    some = found(here, there, how)
    assert (keys(some), some.not_due) == ({}, 5)
    assert keys(found(here, there)) != {}


def test_a_stamp_that_lies_in_the_future_is_a_difference() -> None:
    """A damaged stamp is not taken for a change that is under way."""
    there = [row("k", minute=5_000)]
    assert keys(found([row("k")], there, rules(since=5, until=100))) == {"stale": ["k"]}


@pytest.mark.parametrize(
    ("deletes", "differs", "kept"),
    [
        (Deletes.SOFT, {"missing": ["binned"], "extra": ["live"]}, 1),
        (Deletes.HARD, {"extra": ["flagged", "live", "still"]}, 0),
        (Deletes.IGNORE, {"missing": ["binned"]}, 2),
    ],
)
def test_rows_that_were_deleted_follow_the_setting(deletes: Deletes, differs: Mapping[str, object], kept: int) -> None:
    """soft: flagged rows are rows, and stay when the source has none; hard: they are to be gone; ignore: no row is extra."""
    here = [row("binned", Gone=True), row("still", Gone=True)]
    there = [row("live"), row("flagged", Gone=True), row("still", Gone=True)]
    some = found(here, there, rules(deletes=deletes))
    assert (keys(some), some.kept) == (differs, kept)


def test_of_rows_that_the_source_sent_twice_the_newest_counts() -> None:
    """As a load leaves it: the newest stamp, and of equal ones the live one; rows without a key are nobody's."""
    here = [row("k", minute=1), row("k", minute=3), row("k", minute=3, Gone=True), row("k", minute=2), row(None)]
    assert keys(found(here, [row("k", minute=3)])) == {}


def test_without_stamp_and_flag_values_decide() -> None:
    """An object without a cursor and a flag is compared by key, and by value."""
    how = rules(since=5, cursor=None, delete_flag=None)
    some = found([row("a", minute=9), row("b")], [row("a", minute=1), row("c")], how)
    assert keys(some) == {"missing": ["b"], "extra": ["c"], "different": ["a"]}


def test_keys_alone_are_compared_where_only_they_were_read() -> None:
    """With key, stamp and flag, values are not looked at."""
    narrow = SCHEMA.select(["Id", "Stamp", "Gone"])
    some = compare(
        table([row("a"), row("b", minute=1)], narrow), table([row("a"), row("b", minute=2)], narrow), rules=rules(schema=narrow)
    )
    assert keys(some) == {"stale": ["b"]}
    assert some.alike.to_pylist() == ["a"]


def test_empty_sides_can_be_compared() -> None:
    """Nothing against nothing, against something, and the other way round."""
    assert keys(found([], [])) == {}
    assert keys(found([row("a")], [])) == {"missing": ["a"]}
    assert keys(found([], [row("a")])) == {"extra": ["a"]}


_ROWS = st.dictionaries(st.integers(0, 12), st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", None]), st.booleans()))


@given(_ROWS, _ROWS, st.sampled_from(list(Deletes)))
@settings(max_examples=examples(120))
def test_the_comparison_is_that_of_two_dicts(
    here: dict[int, tuple[int, str, bool]], there: dict[int, tuple[int, str, bool]], deletes: Deletes
) -> None:
    """Against a plain model, key by key, for any rows on both sides and any setting for deletes."""
    sides = [
        {f"k{key}": row(f"k{key}", minute=minute, Name=name, Gone=gone) for key, (minute, name, gone) in side.items()}
        for side in (here, there)
    ]
    wanted: dict[str, list[str]] = {}
    for key in sorted({*sides[0], *sides[1]}):
        source, target = sides[0].get(key), sides[1].get(key)
        if source is not None and deletes is Deletes.HARD and source["Gone"]:
            source = None
        kind = None
        if source is None and target is not None:
            stays = deletes is Deletes.IGNORE or (deletes is Deletes.SOFT and target["Gone"])
            kind = None if stays else "extra"
        elif target is None:
            kind = None if source is None else "missing"
        elif source is not None and (source["Stamp"], source["Gone"]) != (target["Stamp"], target["Gone"]):
            kind = "stale"
        elif source is not None and source["Name"] != target["Name"]:
            kind = "different"
        if kind:
            wanted.setdefault(kind, []).append(key)
    rows = [random.Random(1).sample(list(side.values()), len(side)) for side in sides]
    assert keys(found(*rows, rules(deletes=deletes))) == wanted


# ---- findings, samples


def test_findings_keep_every_key_and_show_some(tmp_path: Path) -> None:
    """Keys come back by kind, so many at once; of each kind the first few are shown."""
    findings = Findings(Spool("f", tmp_path), key=pa.string())
    for begin in range(0, 25, 5):
        findings.add(Kinds.MISSING, pa.array([f"m{n:02}" for n in range(begin, begin + 5)]))
        findings.add(Kinds.EXTRA, pa.array([f"e{begin:02}"]))
    findings.add(Kinds.STALE, pa.array([], pa.string()))
    findings.close()
    findings.close()
    came = [keys.to_pylist() for keys in findings.keys(Kinds.MISSING, Kinds.STALE, at_once=10)]
    assert [len(some) for some in came] == [10, 10, 5]
    assert [key for some in came for key in some] == [f"m{n:02}" for n in range(25)]
    assert findings.shown[Kinds.MISSING] == [f"m{n:02}" for n in range(SHOWN)]
    assert (findings.total(Kinds.MISSING, Kinds.EXTRA), findings.counts[Kinds.STALE]) == (30, 0)
    assert list(findings.keys(Kinds.DOUBLED, at_once=10)) == []


def test_a_sample_takes_each_row_as_likely_as_every_other() -> None:
    """Rows of the first, a middle and the last bucket are drawn about as often; fewer rows than wanted are all taken."""
    drawn: Counter[str] = Counter()
    for seed in range(300):
        sample = Sample(3, seed=seed * 1_000)
        for bucket in range(5):
            sample.offer(pa.array([f"{bucket}{n}" for n in range(bucket + 1)]))
        assert len(set(map(str, sample.keys))) == 3
        drawn.update(map(str, sample.keys))
    assert len(drawn) == 15
    assert max(drawn.values()) < 2 * min(drawn.values())
    few = Sample(10)
    few.offer(pa.array(["a", "b"]))
    assert sorted(map(str, few.keys)) == ["a", "b"]
    none = Sample(0)
    none.offer(pa.array(["a"]))
    assert none.keys == []


# ---- formula refresh


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("never", None), ("Always", 0.0), ("90s", 90.0), ("24h", 86_400.0), (" 7 d ", 604_800.0), ("1.5h", 5_400.0)],
)
def test_a_time_is_read_as_people_write_it(text: str, seconds: float | None) -> None:
    """A number and a unit, never or always."""
    assert refresh.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "0h", "1 year", "nan s", "always24h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With what to write instead."""
    with pytest.raises(FixConfig, match="formula_refresh") as caught:
        refresh.seconds(text)
    assert "24h" in caught.value.hint


@pytest.mark.parametrize(
    ("seconds", "words"), [(90.0, "90s"), (86_400.0, "1d"), (5_400.0, "90m"), (1_209_600.0, "2w"), (0.5, "0.5s")]
)
def test_a_time_is_told_in_its_largest_unit(seconds: float, words: str) -> None:
    """And means the same when it is read again."""
    assert refresh.words(seconds) == words
    assert refresh.seconds(words) == seconds


def test_a_refresh_reads_everything_and_replaces_nothing() -> None:
    """Its plan is a full read that is merged; a forced full sync is what it always was."""
    survey = Survey("Thing", SCHEMA, 10, "", None, "Stamp", "Gone", ("low", "high"), Abilities(bulk=True), {}, "", refresh="why")
    plan = decide(survey, Abilities(), wish=Wish("f"))
    assert (plan.full, plan.mode, plan.whole) == (True, Mode.MERGE, False)
    assert plan.reasons[0].startswith("Everything is read and merged: why")
    plain = decide(replace(survey, refresh=None), Abilities(), wish=Wish("f"))
    assert (plain.full, plain.mode) == (False, Mode.MERGE)
