"""Exports of a table as a source: the newest full one first, then what the incremental ones tell, in their order.

Nothing is asked of the table but its key; nothing of what it may be read is used up.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from halocline import engine
from halocline.batch import JSON, Batch, Items, Position
from halocline.connector import Abilities, Deletes, Journal, Manifest, Mode, Part, Plan, Survey, Unfinished
from halocline.connectors.aws.dynamodb.account import Account
from halocline.connectors.aws.dynamodb.changes import BUCKETS, Changes, batches, refuse_other_key
from halocline.connectors.aws.dynamodb.client import Table
from halocline.connectors.aws.dynamodb.export import DataFile, Export, chain, changes_of, exports_below, lines
from halocline.connectors.aws.dynamodb.pages import Pages
from halocline.connectors.aws.dynamodb.reader import Frame
from halocline.connectors.aws.dynamodb.shape import Chosen, Shape
from halocline.connectors.aws.dynamodb.tally import Tally
from halocline.connectors.aws.dynamodb.wanted import Wanted
from halocline.errors import FixConfig, SchemaConflict
from halocline.quantity import quantity
from halocline.spool import Spool, discard


@dataclass(slots=True)
class _Seen:
    """What was surveyed: the table, all exports that are there, those that are read, and the columns."""

    table: Table
    there: list[Export]
    exports: list[Export]
    chosen: Chosen

    @property
    def is_full(self) -> bool:
        return any(one.is_full for one in self.exports)


class ExportSource:
    """The exports of a table, where `wanted.from_export` says. Implements `connector.Source`, and gives items to builders."""

    def __init__(self, account: Account, wanted: Wanted, *, spool: Spool | None = None) -> None:
        self._account = account
        self._wanted = wanted
        self._place = wanted.from_export or ""
        self._spool = account.spool() if spool is None else spool
        self._dynamodb = account.dynamodb()
        self._buckets = account.buckets()
        self._calls = 0
        self._seen: _Seen | None = None
        self._changes: Changes | None = None
        self._shape: Shape | None = None
        self._tally = Tally()

    @property
    def calls(self) -> int:
        """Calls made so far, about: an object that is brought counts as one."""
        return self._calls

    def survey(self, since: Position | None) -> Survey:
        """See `Source.survey`.

        Raises: NotFound where there is no export; FixConfig for one of another table, or a gap; Truncated, Stop for manifests
        that do not fit together.
        """
        table = self._dynamodb.describe(self._wanted.table)
        exports = exports_below(self._buckets, self._place)
        self._calls += 2 + 4 * len(exports)
        exports, notes = _own(exports, table)
        known = since is not None and since.get("id") == table.id and since.get("scope") == self._wanted.scope
        until = datetime.fromisoformat(str(since["until"])) if since is not None and known else None
        before = since if since is not None and known else {}
        names = (since or {} if self._wanted.any_case else before).get("names")  # a table's columns stay what they were
        chosen = Chosen(self._wanted, key=table.key, types=table.types, earlier=before.get("facts"), names=names)
        found, reason = chain(exports, until=until)
        self._seen = seen = _Seen(table, exports, found, chosen)
        if since is not None and not known:
            reason = "the table, or what is read of it, is another one than before"
        end = max((one.end for one in found), default=until) or datetime.now(UTC)
        return Survey(
            object=table.name,
            schema=chosen.shape().schema,
            estimated_rows=sum(one.items for one in found),
            server_time=end.isoformat(),
            complete_until=end.isoformat(),
            cursor=None,
            delete_flag=None,
            window=(None if seen.is_full or until is None else until.isoformat(), end.isoformat()),
            abilities=Abilities(once=True, bulk_reason="exports are files"),
            next_position=self._position(seen, end),
            query=", ".join(one.arn for one in found),
            full_reason=reason,
            notes=(f"{len(found)} of {len(exports)} exports below {self._place} are read.", *notes),
        )

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:  # noqa: ARG002 - the contract's
        """`plan`, with the columns that the files hold; nothing is gone on with, for the files stay where they are.

        Raises: Truncated for a file that is not what its manifest tells; SchemaConflict where a column's type is another one now;
        FixConfig where everything is to be read, and there is no full export.
        """
        seen = self._surveyed()
        self._changes = None
        if plan.full and not seen.is_full:
            plan = self._with_full(plan, seen)
        if not seen.is_full:
            refuse_other_key(seen.table.name, seen.chosen.shape(), key=plan.key, own=seen.table.key)
            self._changes = self._put_aside(seen)
        if seen.chosen.needs_pages:
            self._see_all(seen)
        self._shape = seen.chosen.shape()
        position = {**plan.next_position, **self._facts(seen)}
        if self._changes is not None:  # whoever decided on a replacement did so for full exports
            plan = replace(plan, mode=Mode.MERGE, complete=False)
        return replace(plan, schema=self._shape.schema, next_position=position)

    def parts(self, plan: Plan) -> Iterator[Part]:
        """See `Source.parts`: the files of a full export, or the buckets of changes."""
        self._tally.clear()
        deletes = plan.deletes is not Deletes.IGNORE
        if self._changes is not None:
            for bucket in (one for one in range(BUCKETS) if self._changes.counted(one)):
                spec: dict[str, JSON] = {"bucket": bucket, "key": list(plan.key), "deletes": deletes}
                yield self._tally.issued(Part(f"changes-{bucket:02}", spec))
            return
        for at, one in enumerate(self._surveyed().exports):
            for number in range(len(one.files)):
                yield self._tally.issued(Part(f"file-{number:06}", {"export": at, "file": number}))

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:  # noqa: ARG002 - a file is read from its start
        """See `Source.read`."""
        spec: Mapping[str, Any] = part.spec
        assert self._shape is not None, "a source is taken up before it is read"
        if self._changes is not None:
            besides = 0
            latest = self._changes.latest(spec["bucket"])
            for batch in batches(latest, self._shape, key=spec["key"], part=part.id, deletes=spec["deletes"]):
                besides += len(batch.rejections) + batch.filtered
                yield batch
            self._tally.read(part, announced=self._changes.counted(spec["bucket"]), besides=besides)
            return
        pages, first, rejected = Pages(self._shape, frame=Frame.EXPORT), 0, 0
        export, told = self._file(spec)
        for block in self._blocks(export, told):
            decoded = pages.decode(block, part=part.id)
            moved = tuple(replace(one, row=one.row + first) for one in decoded.rejected)
            yield Batch(decoded.batch, first_row=first, rejections=moved)
            first, rejected = first + len(decoded.batch) + len(moved), rejected + len(moved)
        self._tally.read(part, announced=told.items, besides=rejected)

    def items(self, part: Part, resume: Position | None = None) -> Iterator[Items]:  # noqa: ARG002 - likewise
        """The items of a part as Python values.

        Raises: FixConfig for changes: which rows a builder made of an item that is gone, nobody knows.
        """
        if self._changes is not None:
            cause = "which rows were built of an item that changed or is gone, nobody knows"
            raise FixConfig(f"Reading {self._wanted.table}", cause, hint="Read full exports only, or without a builder.")
        assert self._shape is not None, "a source is taken up before it is read"
        pages, first = Pages(self._shape, frame=Frame.EXPORT), 0
        export, told = self._file(part.spec)
        for block in self._blocks(export, told):
            values = pages.items(block)
            yield Items(values, first_row=first)
            first += len(values)
        self._tally.read(part, announced=told.items)

    def again(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:  # noqa: ARG002 - the contract's
        """Raises: FixConfig: an export is not asked for single items."""
        raise FixConfig(f"Reading items of {plan.object} again", "they come from an export", hint="Run it anew.")

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:
        """Every file was read to its end, and staged with all its items.

        Raises: Truncated when not.
        """
        self._tally.check(plan.object, manifests)

    def ack(self, receipts: Sequence[JSON]) -> None:
        """Nothing: exports stay where they are."""

    def _surveyed(self) -> _Seen:
        if self._seen is None:
            raise ValueError("a source is surveyed before it is read")
        return self._seen

    def _with_full(self, plan: Plan, seen: _Seen) -> Plan:
        """The plan that reads the newest full export, although only what followed it was due."""
        seen.exports, _ = chain(seen.there, until=None)
        (full,) = seen.exports
        told = f"The newest full export is read; it ends at {full.end.isoformat()}, and what later ones tell is for the next run."
        return replace(
            plan,
            reasons=(*plan.reasons, told),
            query=full.arn,
            window=(None, full.end.isoformat()),
            expected_rows=full.items,
            next_position={**plan.next_position, "until": full.end.isoformat()},
        )

    def _position(self, seen: _Seen, end: datetime) -> Position:
        told = {"table": seen.table.arn, "id": seen.table.id, "scope": self._wanted.scope, "until": end.isoformat()}
        return {**told, "run": uuid.uuid4().hex, **self._facts(seen)}

    def _facts(self, seen: _Seen) -> Position:
        return {"facts": seen.chosen.facts, "names": seen.chosen.names}

    def _file(self, spec: Mapping[str, Any]) -> tuple[Export, DataFile]:
        export = self._surveyed().exports[spec["export"]]
        return export, export.files[spec["file"]]

    def _blocks(self, export: Export, told: DataFile) -> Iterator[bytes]:
        """The lines of a file, which is on the disk as long as that takes."""
        path: Path = self._spool.file(f"{uuid.uuid4().hex}.json.gz")
        self._account.check(f"Reading exports of {self._wanted.table}")
        self._buckets.download(export.bucket, told.key, path)
        self._calls += 1
        try:
            yield from lines(path, told)
        finally:
            discard(path)

    def _put_aside(self, seen: _Seen) -> Changes:
        """The changes of all exports, those of a later one behind those of an earlier one."""
        changes = Changes(self._spool, uuid.uuid4().hex)

        def put(part: Part) -> Manifest:
            export, told = self._file(part.spec)
            for block in self._blocks(export, told):
                changes.put(changes_of(block))
            return Manifest(part.id, 0)

        for at, one in enumerate(seen.exports):  # of one export each file has other keys
            self._each(at, one, put)
        return changes

    def _see_all(self, seen: _Seen) -> None:
        changes = self._changes
        if changes is not None:
            reader = seen.chosen.reader()
            for page in changes.pages():
                seen.chosen.see(reader.read(page))
            changed = seen.chosen.changed()
            if changed is not None:
                hint = "Add a newer full export, and run it with everything read anew."
                raise SchemaConflict(f"Reading exports of {seen.table.name}", changed, hint=hint)
            self._account.tell(seen.chosen.left_out(seen.table.name))
            return
        reader = seen.chosen.reader(frame=Frame.EXPORT)

        def look(part: Part) -> Manifest:
            export, told = self._file(part.spec)
            for block in self._blocks(export, told):
                seen.chosen.see(reader.read(block))
            return Manifest(part.id, 0)

        for at, one in enumerate(seen.exports):
            self._each(at, one, look)
        self._account.tell(seen.chosen.left_out(seen.table.name))

    def _each(self, at: int, export: Export, work: Any) -> None:
        """Do something with each file of an export, some at a time."""
        parts = (Part(str(number), {"export": at, "file": number}) for number in range(len(export.files)))
        with engine.threads() as executor:
            for _ in engine.each(executor, parts, work=work):
                pass


def _own(exports: list[Export], table: Table) -> tuple[list[Export], list[str]]:
    """The exports of this very table, and what is told of the others: a table that is made anew has its name from the one before.

    Raises: FixConfig where one is of a table of another name, or none is of this one.
    """
    doing = f"Reading exports of {table.name}"
    other = next((one for one in exports if one.table != table.arn), None)
    if other is not None:
        raise FixConfig(doing, f"{other.arn} is of another table", hint="Name the prefix of this table's exports.")
    own = [one for one in exports if one.table_id in (None, table.id)]
    if not own:
        cause = f"{quantity(len(exports), 'export is')} there, of an earlier table of this name"
        raise FixConfig(doing, cause, hint="Export the table that there is now, or name the prefix of its exports.")
    left = len(exports) - len(own)
    return own, [f"Left out: {quantity(left, 'export')} of an earlier table of this name."] if left else []
