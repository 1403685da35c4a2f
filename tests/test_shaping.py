"""Laws of renaming and masking: the source keeps its own names, all others see the new ones, and nobody what is masked."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from halocline.batch import JSON, Batch, Op, Position
from halocline.connector import Abilities, Journal, Manifest, Part, Plan, Survey, Unfinished
from halocline.errors import FixConfig, HaloclineError, NotFound, SchemaConflict, Stop, Truncated
from halocline.ledger import MemoryLedger
from halocline.plan import Wish, decide
from halocline.schema import Column, Kind, Schema
from halocline.shaping import ShapedSource, Shaping

SECRET = "a long random text"
SCHEMA = Schema(
    (
        Column("Id", Kind.STRING, length=18, nullable=False),
        Column("Email", Kind.STRING, length=80),
        Column("Amount", Kind.DECIMAL, precision=18, scale=2),
        Column("IsDeleted", Kind.BOOLEAN),
        Column("Stamp", Kind.STRING),
        Column("Owner.Name", Kind.STRING, length=121),
    ),
    ("Id",),
)
ROWS = [
    {"Id": "1", "Email": "ada@x", "Amount": "1.50", "IsDeleted": False, "Stamp": "a", "Owner.Name": "Ada"},
    {"Id": "2", "Email": None, "Amount": None, "IsDeleted": False, "Stamp": "b", "Owner.Name": None},
    {"Id": "3", "Email": "ada@x", "Amount": "2.00", "IsDeleted": True, "Stamp": "c", "Owner.Name": "Bo"},
]


@dataclass
class Page:
    """A page as received, of one row a line."""

    path: Path
    rows: int
    columns: tuple[str, ...]
    batches: Sequence[pa.RecordBatch]

    def arrow(self) -> Iterator[pa.RecordBatch]:
        yield from self.batches


class Inner:
    """A source of three rows and a deletion that remembers the plans it was handed."""

    calls = 7

    def __init__(self, folder: Path, *, raw: bool = False, error: HaloclineError | None = None) -> None:
        self.plans: list[Plan] = []
        self.page = folder / "page.csv"
        self.raw, self.error = raw, error
        self.acked: list[JSON] = []

    def survey(self, since: Position | None) -> Survey:
        return Survey(
            object="Thing",
            schema=SCHEMA,
            estimated_rows=3,
            server_time="2026-01-01T00:00:00+00:00",
            complete_until=None,
            cursor="Stamp",
            delete_flag="IsDeleted",
            window=(None, "z"),
            abilities=Abilities(bulk=True),
            next_position={"since": str(since)},
            query="SELECT",
        )

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:
        assert journal.open() == []
        self.left = list(left)
        self.plans.append(plan)
        return replace(plan, continues="r1")

    def parts(self, plan: Plan) -> Iterator[Part]:
        self.plans.append(plan)
        yield Part("rows")
        yield Part("deleted")

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:
        if self.error is not None:
            raise self.error
        schema = self.plans[-1].schema
        if part.id == "deleted":
            yield Batch(rows=self._rows(schema.select(["Id", "Stamp"]), ROWS[:1]), op=Op.DELETE)
            return
        if not self.raw:
            yield Batch(rows=self._rows(schema, ROWS[:2]), receipts=("job",))
            yield Batch(rows=self._rows(schema, ROWS[2:]), first_row=2, receipts=("job",))
            return
        self.page.write_text("ada@x")
        pages = [self._rows(schema, ROWS[:2]), self._rows(schema, ROWS[2:])]
        yield Batch(raw=Page(self.page, 3, schema.names, pages), receipts=("job",))

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:
        self.plans.append(plan)

    def ack(self, receipts: Sequence[JSON]) -> None:
        self.acked.extend(receipts)

    @staticmethod
    def _rows(schema: Schema, records: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
        columns = [pa.array([record[c.name] for record in records]).cast(c.arrow) for c in schema]
        return pa.RecordBatch.from_arrays(columns, names=list(schema.names))


def digest(text: str) -> str:
    """What RFC 2104 says, by the book."""
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


def taken(inner: Inner, shaping: Shaping) -> tuple[Plan, list[Batch]]:
    source = ShapedSource(inner, shaping)
    key = shaping.renamed("Id")
    plan = decide(source.survey(None), Abilities(), wish=Wish("flow", key=(key,)))
    batches = [batch for part in source.parts(plan) for batch in source.read(part)]
    source.check(plan, [])
    source.ack(["job"])
    return plan, batches


@pytest.mark.parametrize("raw", [False, True])
def test_rows_have_the_new_names_and_no_masked_value(tmp_path: Path, raw: bool) -> None:
    """Renamed, hashed and nulled; types are those of the schema; nulls stay null; the same value has the same hash."""
    inner = Inner(tmp_path, raw=raw)
    shaping = Shaping({"id": "thing_id", "Stamp": "at"}, {"EMAIL": "hash", "Amount": "null"}, secret=SECRET)
    plan, batches = taken(inner, shaping)
    assert plan.schema.names == ("thing_id", "Email", "Amount", "IsDeleted", "at", "Owner_Name")
    rows = [row for batch in batches if batch.op is Op.UPSERT for b in batch.arrow() for row in b.to_pylist()]
    assert [row["thing_id"] for row in rows] == ["1", "2", "3"]
    assert [row["Email"] for row in rows] == [digest("ada@x"), None, digest("ada@x")]
    assert [row["Amount"] for row in rows] == [None, None, None]
    assert [row["Owner_Name"] for row in rows] == ["Ada", None, "Bo"]
    assert {b.schema for batch in batches if batch.op is Op.UPSERT for b in batch.arrow()} == {plan.schema.arrow}
    assert [batch.first_row for batch in batches] == [0, 2, 0]
    assert all(batch.raw is None for batch in batches)
    assert (batches[0].receipts, inner.acked) == (("job",), ["job"])
    assert not inner.page.exists(), "a page that holds what is masked is gone"


def test_a_deletion_is_shaped_as_rows_are(tmp_path: Path) -> None:
    """Its key and stamp have the new names; a hashed key is hashed there too, so that it finds its row."""
    _, batches = taken(Inner(tmp_path), Shaping({"Id": "k"}, {"Id": "hash"}, key="Id", secret=SECRET))
    (deleted,) = [batch for batch in batches if batch.op is Op.DELETE]
    assert deleted.rows is not None
    assert deleted.rows.to_pylist() == [{"k": digest("1"), "Stamp": "a"}]


def test_the_source_is_handed_its_own_plan(tmp_path: Path) -> None:
    """Key, cursor, flag and columns in its own names; what will be null is read as text, which no value fails to be."""
    inner = Inner(tmp_path)
    plan, _ = taken(inner, Shaping({"Id": "k", "Stamp": "at", "IsDeleted": "gone"}, {"Amount": "null"}))
    assert (plan.key, plan.cursor, plan.delete_flag, plan.schema.key) == (("k",), "at", "gone", ("k",))
    for own in inner.plans:
        assert (own.key, own.cursor, own.delete_flag) == (("Id",), "Stamp", "IsDeleted")
        assert own.schema.names == SCHEMA.names
        assert own.schema.column("Amount") == replace(SCHEMA.columns[2], kind=Kind.STRING)


def test_left_work_is_taken_up_in_the_sources_names(tmp_path: Path) -> None:
    """Its plan and the earlier run's reach the source in its own names; the plan that goes on comes back in the new ones."""
    inner = Inner(tmp_path)
    source = ShapedSource(inner, Shaping({"Id": "k"}, {"Email": "null"}))
    plan = decide(source.survey(None), Abilities(), wish=Wish("flow", key=("k",)))
    ledger = MemoryLedger()
    ledger.start("flow", run="r2", pid=1, host="h")
    left = [Unfinished("r1", "query job", None, "750", plan), Unfinished("r0", "query job", None, None, None)]
    found = source.take_up(plan, journal=ledger.journal("r2"), left=left)
    assert found == replace(plan, continues="r1")
    assert [work.plan and work.plan.key for work in inner.left] == [("Id",), None]
    assert inner.left[0].plan == inner.plans[-1]


def test_an_empty_page_still_carries_its_receipts(tmp_path: Path) -> None:
    """Else the job of an empty answer would never be deleted."""
    inner = Inner(tmp_path, raw=True)
    source = ShapedSource(inner, Shaping({"Email": "mail"}))
    plan = decide(source.survey(None), Abilities(), wish=Wish("flow"))
    (first, _) = source.parts(plan)
    real = inner._rows
    inner._rows = lambda schema, _: real(schema, [])[:0]  # type: ignore[method-assign, assignment]
    page = Page(inner.page, 0, SCHEMA.names, [])
    inner.page.write_text("")
    inner.read = lambda *_: iter([Batch(raw=page, receipts=("job",))])  # type: ignore[method-assign]
    (batch,) = source.read(first)
    assert (batch.count, batch.receipts) == (0, ("job",))
    assert batch.rows is not None
    assert batch.rows.schema == plan.schema.arrow


@pytest.mark.parametrize(
    ("shaping", "error", "words"),
    [
        ({"renames": {"Emial": "x"}}, NotFound, "Did you mean Email"),
        ({"masks": {"Emial": "null"}}, NotFound, "Did you mean Email"),
        ({"renames": {"Email": "AMOUNT"}}, FixConfig, "would both be called"),
        ({"renames": {"Email": "x", "Amount": "X"}}, FixConfig, "would both be called"),
        ({"renames": {"Email": " "}}, FixConfig, "cannot be renamed"),
        ({"renames": {"Email": "a", "EMAIL": "b"}}, FixConfig, "named twice"),
        ({"masks": {"Email": "sha"}}, FixConfig, "the mask 'sha' of Email is unknown"),
        ({"masks": {"Id": "null"}}, FixConfig, "Id is a key, and cannot be nulled"),
        ({"masks": {"Stamp": "null"}}, FixConfig, "the stamp by which changes are found"),
        ({"masks": {"IsDeleted": "null"}}, FixConfig, "the flag of deleted rows"),
        ({"masks": {"email": "null"}, "key": "EMAIL"}, FixConfig, "Email is a key, and cannot be nulled"),
        ({"masks": {"Amount": "hash"}, "secret": SECRET}, FixConfig, "Amount is decimal, and cannot be hashed"),
        ({"masks": {"Email": "hash"}}, FixConfig, "HALOCLINE_MASK_KEY"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_read(
    tmp_path: Path, shaping: dict[str, Any], error: type[HaloclineError], words: str
) -> None:
    """Exit code 2, with the column's name."""
    with pytest.raises(error, match=words) as caught:
        ShapedSource(Inner(tmp_path), Shaping(**shaping)).survey(None)
    assert caught.value.exit_code == 2


def test_a_rename_may_swap_names(tmp_path: Path) -> None:
    """Two columns may take each other's names: it is the names in the end that have to differ."""
    plan, batches = taken(Inner(tmp_path), Shaping({"Email": "Stamp", "Stamp": "Email"}))
    assert batches[0].rows is not None
    assert (batches[0].rows.column("Stamp").to_pylist(), plan.cursor) == (["ada@x", None], "Email")


def test_paths_get_names_that_are_nobody_elses() -> None:
    """A dot becomes an underscore; a name that is taken gets a number."""
    columns = (*SCHEMA.columns, Column("Owner_Name", Kind.STRING), Column("OWNER_NAME_2", Kind.STRING))
    inner = Inner(Path())
    inner.survey = lambda since: replace(Inner.survey(inner, since), schema=Schema(columns, ("Id",)))  # type: ignore[method-assign]
    assert ShapedSource(inner, Shaping()).survey(None).schema.names[5:] == ("Owner_Name_3", "Owner_Name", "OWNER_NAME_2")


def test_the_scope_tells_names_masks_and_secrets_apart() -> None:
    """Nothing asked is no scope; any change is another one; the secret itself is not in it."""
    scopes = [
        Shaping({"A": "b"}).scope,
        Shaping({"A": "c"}).scope,
        Shaping({}, {"A": "null"}).scope,
        Shaping({}, {"A": "hash"}, secret=SECRET).scope,
        Shaping({}, {"A": "hash"}, secret="another").scope,
    ]
    assert len(set(scopes)) == 5
    assert Shaping({"a": "b"}).scope == scopes[0]
    assert (Shaping().scope, bool(Shaping())) == (None, False)
    assert SECRET not in str(scopes)
    assert SECRET not in repr(Shaping({}, {"A": "hash"}, secret=SECRET))


@pytest.mark.parametrize("kind", [Truncated, SchemaConflict])
def test_an_error_quotes_nothing_where_columns_are_masked(tmp_path: Path, kind: type[HaloclineError]) -> None:
    """A parser's message may hold a row; without masks it is told, with them it is withheld, in the traceback as well."""
    wrong = kind("Parsing page-1.csv", "expected 3 columns, got 4: ada@x,1", hint="Run it again.", value="ada@x")
    with pytest.raises(kind, match="ada@x"):
        taken(Inner(tmp_path, error=wrong), Shaping({"Email": "mail"}))
    with pytest.raises(kind, match="withheld") as caught:
        taken(Inner(tmp_path, error=wrong), Shaping({}, {"Email": "null"}))
    assert "ada@x" not in f"{caught.value}{caught.value.facts}"
    assert caught.value.__suppress_context__


def test_a_failure_of_the_parser_itself_is_one_of_ours(tmp_path: Path) -> None:
    """Arrow's own errors quote values too."""
    inner = Inner(tmp_path)
    damaged = (pa.scalar(value).cast(pa.int64()) for value in ["ada@x"])
    inner.read = lambda *_: damaged  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(Stop, match="withheld") as caught:
        taken(inner, Shaping({}, {"Email": "null"}))
    assert "ada@x" not in str(caught.value)
