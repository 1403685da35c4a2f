"""Staged rows that can never be sent: without their key, with an id that is none, with nothing to say, or saying two things."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce import results
from halocline.connectors.salesforce.cells import places
from halocline.connectors.salesforce.collections import AN_ID
from halocline.connectors.salesforce.results import not_sent
from halocline.connectors.salesforce.writing.frames import ROW, fields_of
from halocline.outcome import RowResult
from halocline.push.order import SyncMode, WriteOrder

NOTHING_TO_SEND = "NOTHING_TO_SEND"  # ours: the row changes nothing
_ONLY_AN_ID = rf"\A{AN_ID}\z"
_SHOWN_CHARS = 40


def doubts_of(batch: pa.RecordBatch, order: WriteOrder) -> dict[int, RowResult]:
    """The rows that can never be sent, by their place in the batch, each with the first reason found."""
    found: dict[int, RowResult] = {}
    needed = order.needed
    key = None if needed is None else next((name for name in fields_of(batch.schema) if name.lower() == needed.lower()), None)
    numbers = batch.column(ROW)
    checks = [_without_key(batch, needed, key=key), _no_ids(batch, key), _says_nothing(batch, order, key=key), _says_two(batch)]
    for index, code, message, fields in (told for check in checks for told in check):
        if index not in found:
            found[index] = not_sent(numbers[index].as_py(), code, message=message, fields=fields)
    return found


def without(batch: pa.RecordBatch, doubts: Iterable[int]) -> pa.RecordBatch:
    """The batch less the rows at these places."""
    bad = set(doubts)
    return batch.take(pa.array([n for n in range(batch.num_rows) if n not in bad], pa.int64())) if bad else batch


def settled(batch: pa.RecordBatch, targets: Mapping[str, str]) -> pa.RecordBatch:
    """The batch without orders to clear what another column of the row sets: a null in `AccountId` beside an `Account.Ext__c`.

    `targets` says which field each column sets.
    """
    for names in sharing({name: targets[name] for name in fields_of(batch.schema)}):
        some = pa.repeat(pa.scalar(value=False), batch.num_rows)
        for name in names:
            some = pc.or_(some, _is_set(batch.column(name)))
        for name in names:
            texts = batch.column(name)
            idle = pc.and_(some, pc.fill_null(pc.equal(texts, ""), fill_value=False))
            kept = pc.if_else(idle, pa.scalar(None, pa.string()), texts)
            batch = batch.set_column(batch.schema.get_field_index(name), name, kept)
    return batch


_Told = tuple[int, str, str, tuple[str, ...]]  # place, code, message, fields


def _without_key(batch: pa.RecordBatch, needed: str | None, *, key: str | None) -> Iterator[_Told]:
    if needed is None:
        return
    bad = range(batch.num_rows) if key is None else places(pc.fill_null(pc.equal(batch.column(key), ""), fill_value=True))
    for index in bad:
        yield index, results.MISSING_KEY, f"{needed} is missing or empty; the row was not sent", (needed,)


def _no_ids(batch: pa.RecordBatch, key: str | None) -> Iterator[_Told]:
    if key is None or key.lower() != "id":
        return
    ids = batch.column(key)
    for index in places(pc.invert(pc.match_substring_regex(ids, _ONLY_AN_ID))):
        shown = ids[index].as_py()[:_SHOWN_CHARS]
        yield index, results.CANNOT_BE_SENT, f"{shown!r} is no id of a record", (key,)


def _says_nothing(batch: pa.RecordBatch, order: WriteOrder, *, key: str | None) -> Iterator[_Told]:
    """An update needs a field beside its id, an insert any; an upsert's key alone makes sure that the record is there."""
    if order.mode not in (SyncMode.INSERT, SyncMode.UPDATE):
        return
    said = [batch.column(name) for name in fields_of(batch.schema) if name != key]
    some = pa.repeat(pa.scalar(value=False), batch.num_rows)
    for column in said:
        some = pc.or_(some, pc.is_valid(column))
    what = "create a record with" if order.mode is SyncMode.INSERT else "change"
    for index in places(pc.invert(some)):
        yield index, NOTHING_TO_SEND, f"the row has no values to {what}; nothing was sent for it", ()


def _says_two(batch: pa.RecordBatch) -> Iterator[_Told]:
    """A record can look its parent up by one key only: in JSON the two would stand in one place."""
    for names in sharing({name: relationship(name) or name.lower() for name in fields_of(batch.schema)}):
        count = pa.repeat(pa.scalar(0, pa.int8()), batch.num_rows)
        for name in names:
            count = pc.add(count, _is_set(batch.column(name)).cast(pa.int8()))
        for index in places(pc.greater(count, 1)):
            message = f"{' and '.join(names)} are given; a lookup names one key of the other object"
            yield index, results.CANNOT_BE_SENT, message, tuple(names)


def _is_set(texts: pa.Array) -> pa.Array:
    return pc.fill_null(pc.not_equal(texts, ""), fill_value=False)


def sharing(targets: Mapping[str, str]) -> list[list[str]]:
    """The columns that set the same thing, where there are several: `Owner.A` and `User:Owner.B`."""
    found: dict[str, list[str]] = {}
    for name, target in targets.items():
        found.setdefault(target, []).append(name)
    return [names for names in found.values() if len(names) > 1]


def relationship(name: str) -> str | None:
    """The relationship, in lower case, that a lookup by a key goes through; None for a plain field."""
    path, dot, _ = name.partition(".")
    return path.rpartition(":")[2].lower() if dot else None
