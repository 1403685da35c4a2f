"""Merge: staged rows meet a table by key. Data files that hold a changed row are written anew; the others are not touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connector import Plan
from halocline.connectors.files import settle
from halocline.connectors.files.absent import Absent
from halocline.connectors.files.buckets import GONE, buckets
from halocline.connectors.files.judge import HOME, Judged, judge, refuse_moved_keys
from halocline.connectors.files.keys import KEY, between, ends, key_of
from halocline.connectors.files.log import DataFile
from halocline.connectors.files.output import TARGET_BYTES, Output
from halocline.connectors.files.partition import folders
from halocline.connectors.files.settle import flagged
from halocline.connectors.files.table import Table, check_types
from halocline.errors import Stop
from halocline.guards import refuse_emptied, refuse_loss, refuse_mass_delete, refuse_unmarkable
from halocline.outcome import Counts
from halocline.quantity import quantity
from halocline.spool import discard, storage
from halocline.spooled import StagedFile
from halocline.verdicts import Tally

SMALL_BYTES = TARGET_BYTES // 8  # a data file below this is small
MOST_SMALL = 8  # small data files of a partition; one more, and all of them are written anew as one
_NOWHERE = -1


def merge(table: Table, output: Output, *, plan: Plan, files: Sequence[StagedFile]) -> tuple[Counts, tuple[DataFile, ...]]:
    """Merge the staged files; what is told of it, and the table's data files afterwards.

    Of several staged rows with one key the newest stamp wins; at equal stamps a row wins over a deletion. A deletion
    older than the table's row is ignored. Rows that would not change are left alone. Those that a complete read lacks are
    flagged where deletes are soft.
    Raises: SchemaConflict for a changed type, or a chosen key that tells records badly apart; Truncated, Refused for a mass
    delete.
    """
    check_types(table, plan, doing=f"Merging into {table.target}")
    key = list(plan.schema.select(plan.key).names)
    tally, staged, live, stamps = Tally(), 0, 0, []
    changes, absent = _Changes(table, output), Absent(table, plan, output.shape.schema)
    for bucket in buckets(files, plan, key=key, spool=output.spool):
        settled = settle.for_merge(bucket, plan)
        refuse_moved_keys(settled.rows, table, plan=plan)
        judged = judge(settled.rows, table, plan=plan, schema=output.shape.schema)
        staged, live = staged + settled.staged, live + _live(settled.rows, plan)
        stamps += [settled.highest] if settled.highest is not None else []
        tally = changes.note(judged, *absent.upto(settled.rows.column(KEY)), so_far=tally)
    tally = changes.note(*absent.behind(), so_far=tally)
    _guard(table, plan, tally=tally, live=live)
    refuse_unmarkable(str(table.target), plan, deletions=tally.mark)
    after = _apply(table, changes, output, key=key)
    same = staged - tally.insert - tally.update - tally.deletions
    counts = tally.counts(unchanged=same, highest=max(stamps, default=None))
    _expect(table, after, tally)
    return counts, after


def _live(rows: pa.Table, plan: Plan) -> int:
    """Staged rows that are neither deletions nor marked as deleted."""
    return pc.sum(pc.invert(pc.or_(rows.column(GONE), flagged(rows, plan)))).as_py() or 0


def _guard(table: Table, plan: Plan, *, tally: Tally, live: int) -> None:
    label, there = str(table.target), table.commit
    if plan.complete:
        refuse_loss(label, plan, old=there.live, new=live)
        return
    refuse_mass_delete(label, plan, deletions=tally.deletions, there=there.rows)
    refuse_emptied(label, plan, removed=tally.remove, left=there.rows + tally.insert - tally.remove)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Rows to write, in a file of the spool, and the least and the greatest of their keys."""

    path: Path
    low: str
    high: str

    def read(self) -> pa.Table:
        """The rows."""
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as stream:
            return stream.read_all()


class _News:
    """The rows to write in place of a data file's: only those in memory that may belong among the rows at hand."""

    def __init__(self, kept: Sequence[_Kept]) -> None:
        self._kept = kept
        self._read: dict[Path, pa.Table] = {}

    def between(self, low: str, high: str) -> list[pa.Table]:
        """All whose keys may be in that range, both ends included. Ranges that go up are each read once."""
        near = [one for one in self._kept if one.low <= high and low <= one.high]
        self._read = {one.path: self._read[one.path] if one.path in self._read else one.read() for one in near}
        return list(self._read.values())


@dataclass(slots=True)
class _Changes:
    """What is to be done, by data file: keys whose rows go, and in the spool the rows to write."""

    table: Table
    output: Output
    drops: dict[int, list[pa.Array]] = field(default_factory=dict)
    writes: dict[int, list[_Kept]] = field(default_factory=dict)

    def note(self, *judged: Judged, so_far: Tally) -> Tally:
        """Remember what follows for some rows; the verdicts with theirs."""
        for one in judged:
            self._note(one)
            so_far += one.tally
        return so_far

    def _note(self, judged: Judged) -> None:
        """A row whose partition changed has no home."""
        for home, rows in _by_home(judged.drops):
            self.drops.setdefault(home, []).append(rows.column(KEY).combine_chunks())
        rows = judged.writes
        folder_of = pa.array([file.partition for file in self.table.commit.files], pa.string())
        homes = rows.column(HOME)
        at_home = folder_of.take(pc.if_else(pc.less(homes, 0), pa.scalar(None, pa.int32()), homes))
        stays = pc.fill_null(pc.equal(folders(rows, self.output.shape.by), at_home), fill_value=False)
        homes = pc.if_else(stays, homes, _NOWHERE)
        rows = rows.set_column(rows.schema.get_field_index(HOME), HOME, pc.cast(homes, pa.int32()))
        for home, some in _by_home(rows):
            self._keep(home, some.drop_columns([HOME]))

    def dropped(self, home: int) -> pa.Array:
        """The keys whose rows in a data file go, sorted."""
        keys = pa.concat_arrays(self.drops.get(home, []) or [pa.array([], pa.string())])
        return keys.take(pc.sort_indices(keys))

    def written(self, home: int) -> Sequence[_Kept]:
        """The rows to write in place of a data file's."""
        return self.writes.get(home, ())

    def forget(self) -> None:
        """Delete what was kept in the spool."""
        for kept in [one for several in self.writes.values() for one in several]:
            discard(kept.path)

    def _keep(self, home: int, rows: pa.Table) -> None:
        kept = self.writes.setdefault(home, [])
        path = self.output.spool.file(f"change-{self.output.names.token}-{home}-{len(kept)}")
        doing = "Writing changed rows to the spool folder"
        with storage(doing), pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
            stream.write_table(rows)
        kept.append(_Kept(path, *ends(rows.column(KEY))))


def _by_home(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    homes = rows.column(HOME)
    for home in homes.unique().to_pylist():
        yield home, rows.filter(pc.equal(homes, home))


def _apply(table: Table, changes: _Changes, output: Output, *, key: Sequence[str]) -> tuple[DataFile, ...]:
    """Write what changed; the data files that the table has afterwards, untouched ones first."""
    touched = set(changes.drops) | _crowd(table, changes)
    files = table.commit.files
    try:
        for number in sorted(touched, key=lambda number: (files[number].partition, files[number].low)):
            _rewrite(table, number, changes, output=output, key=key)
        for kept in changes.written(_NOWHERE):
            output.put(kept.read())
        made = output.finish()
    finally:
        changes.forget()
    return (*(file for number, file in enumerate(files) if number not in touched), *made)


def _crowd(table: Table, changes: _Changes) -> set[int]:
    """The small data files of partitions that would have too many of them. Where nothing is written, nothing is tidied."""
    if not changes.drops and not changes.writes:
        return set()
    small: dict[str, list[int]] = {}
    for number, file in enumerate(table.commit.files):
        if file.bytes < SMALL_BYTES:
            small.setdefault(file.partition, []).append(number)
    return {number for numbers in small.values() if len(numbers) > MOST_SMALL for number in numbers}


def _rewrite(table: Table, number: int, changes: _Changes, *, output: Output, key: Sequence[str]) -> None:
    """Write a data file anew: less the rows that go, and changed rows where they stood. A large one stays a file of its own."""
    file = table.commit.files[number]
    if file.bytes >= SMALL_BYTES:
        output.end(file.partition)
    gone, news = changes.dropped(number), _News(changes.written(number))
    for batch in table.batches(file, output.shape.schema):
        rows = pa.Table.from_batches([batch])
        rows = rows.append_column(KEY, pa.chunked_array([pc.cast(key_of(rows, key), pa.string()).combine_chunks()]))
        low, high = ends(rows.column(KEY))
        output.put_into(file.partition, _replaced(rows, between(gone, low=low, high=high), news.between(low, high)))
    if file.bytes >= SMALL_BYTES:
        output.end(file.partition)


def _replaced(rows: pa.Table, gone: pa.Array, news: Sequence[pa.Table]) -> pa.Table:
    """Some rows less those that go, with their successors among `news`, in the order of keys as before."""
    hit = pc.is_in(rows.column(KEY), value_set=gone)
    if not pc.any(hit).as_py():
        return rows
    left = rows.column(KEY).filter(hit).combine_chunks()
    successors = [some.filter(pc.is_in(some.column(KEY), value_set=left)) for some in news]
    whole = pa.concat_tables([rows.filter(pc.invert(hit)), *(some.cast(rows.schema) for some in successors)])
    return whole.take(pc.sort_indices(whole.column(KEY)))


def _expect(table: Table, after: Sequence[DataFile], tally: Tally) -> None:
    """The books must balance: the files hold as many rows as the verdicts say."""
    expected = table.commit.rows + tally.insert - tally.remove
    found = sum(file.rows for file in after)
    if found != expected:
        cause = f"the table would have {quantity(found, 'row')}, and should have {expected:,}"
        raise Stop(f"Merging into {table.target}", cause, hint="Nothing was published; report this defect.")
