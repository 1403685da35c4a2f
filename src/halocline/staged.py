"""Staged: what loads of every kind do with a batch, and the pieces of a part that a manifest names."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from halocline.batch import JSON, Batch, Op, Position, Raw
from halocline.connector import Manifest, Part, Plan, Target
from halocline.errors import FixConfig, SchemaConflict, Truncated
from halocline.quantity import quantity
from halocline.schema import Schema
from halocline.spool import storage


class Piece(Protocol):
    """Some rows of a part where a load has put them: whose they are, rows or deletions, and how many."""

    @property
    def load(self) -> str:
        """The label of the load."""

    @property
    def op(self) -> Op:
        """What they ask of the destination."""

    @property
    def rows(self) -> int:
        """How many they are."""

    def to_text(self) -> str:
        """This value as the text that a manifest carries."""


_Piece = TypeVar("_Piece", bound=Piece)


@dataclass(frozen=True, slots=True)
class Found:
    """What a table of staged rows holds: rows, those flagged as deleted, whether keys repeat, the greatest cursor value."""

    rows: int
    flagged: int
    repeats: bool
    highest: str | None


def wanted(plan: Plan, held: Sequence[str], *, op: Op, doing: str) -> Schema:
    """The columns to load of those that a batch holds: all of the plan's, or a deletion's key and stamp.

    Raises: SchemaConflict when one is missing.
    """
    there = {name.lower() for name in held}
    needed = plan.schema.names if op is Op.UPSERT else plan.key
    missing = [name for name in needed if name.lower() not in there]
    if missing:
        cause = f"the column {', '.join(missing[:5])} is missing from the rows that were read"
        raise SchemaConflict(doing, cause, hint="The object changed while it was read; run it again.")
    chosen = {name.lower() for name in (needed if op is Op.UPSERT else (*needed, *plan.cursor_columns))}
    return plan.schema.select([name for name in plan.schema.names if name.lower() in there & chosen])


def own_positions(plan: Plan, following: Mapping[str, Position]) -> dict[str, Position]:
    """The positions that a table stores, as `Unit.commit` says."""
    return {plan.flow: following[plan.flow]} if plan.flow in following else dict(following)


def refuse_second_load(target: Target, known: Collection[str], *, label: str) -> None:
    """Hold a load to being the only one of its unit into that table: the second would replace what the first brought.

    Raises: FixConfig.
    """
    if label in known:
        hint = "Bring the rows of both in one, by a query, or load into two tables."
        raise FixConfig(f"Opening a load into {target}", "the table is loaded twice in one run", hint=hint)


def held_columns(batch: Batch, *, doing: str) -> tuple[str, ...]:
    """The columns of a batch; of a page, those in its first line.

    Raises: SchemaConflict for a damaged page, StorageFailed.
    """
    if batch.rows is not None:
        return tuple(batch.rows.schema.names)
    assert batch.raw is not None, "a batch has rows or a page"
    with storage(f"Reading {batch.raw.path.name}"):
        held = first_line(batch.raw, encoding="utf-8-sig")
    refuse_damaged(batch.raw, held, doing=doing)
    return held


def first_line(raw: Raw, *, encoding: str) -> tuple[str, ...]:
    """The names in the first line of a page; none for an empty file."""
    with raw.path.open(encoding=encoding, errors="replace", newline="") as file:
        return tuple(next(csv.reader(file), ()))


def refuse_damaged(raw: Raw, held: tuple[str, ...], *, doing: str) -> None:
    """Hold the first line of a page against what was announced.

    Raises: SchemaConflict when they differ.
    """
    if held != tuple(raw.columns):
        cause = f"the file {raw.path.name} starts with the columns {', '.join(held)[:200]!r}"
        raise SchemaConflict(doing, cause, hint="The page is damaged; run it again.")


def is_nothing(batch: Batch) -> bool:
    """Whether a batch has no rows, and no columns to look at: an empty answer may come without its header line."""
    if batch.count or batch.raw is None:
        return batch.count == 0
    with storage(f"Reading {batch.raw.path.name}"):
        return batch.raw.path.stat().st_size == 0


def manifest_of(
    part: Part,
    pieces: Sequence[Piece],
    *,
    size: int,
    receipts: Sequence[JSON],
    lowest: str | None = None,
    highest: str | None = None,
) -> Manifest:
    """The manifest of a part that became these pieces of `size` bytes."""
    return Manifest(
        part=part.id,
        rows=sum(piece.rows for piece in pieces if piece.op is Op.UPSERT),
        deletes=sum(piece.rows for piece in pieces if piece.op is Op.DELETE),
        bytes=size,
        lowest=lowest,
        highest=highest,
        files=tuple(piece.to_text() for piece in pieces),
        receipts=tuple(receipts),
    )


def of_load(pieces: Iterable[_Piece], label: str) -> list[_Piece]:
    """Those of the load of that label."""
    return [piece for piece in pieces if piece.load == label]


def pieces_of(manifests: Iterable[Manifest], read: Callable[[str], _Piece], *, doing: str, called: str) -> list[_Piece]:
    """The pieces that the manifests name, as `read` has them; of a part staged more than once, those of its last manifest.

    Raises: Truncated when a manifest counts other rows than its pieces, which are `called` so.
    """
    last: dict[tuple[str, str], list[_Piece]] = {}
    for manifest in manifests:
        pieces = [read(text) for text in manifest.files]
        if sum(piece.rows for piece in pieces) != manifest.rows + manifest.deletes:
            announced = quantity(manifest.rows + manifest.deletes, "row")
            cause = f"the part {manifest.part} announces {announced}, its {called} another number"
            raise Truncated(doing, cause, hint="Run it again; nothing was published.")
        last[manifest.part, pieces[0].load if pieces else ""] = pieces
    return [piece for pieces in last.values() for piece in pieces]
