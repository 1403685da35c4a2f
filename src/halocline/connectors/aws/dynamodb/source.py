"""A table of DynamoDB as a source: scanned in segments, and, where its stream is to be followed, only once.

    survey    DescribeTable; the shards of the stream are listed: what is behind these marks is for later runs. Where an earlier
              run read it, its records are put aside here: only then is it known whether all are there, and what they hold
    take_up   a scan that was cut off is gone on with; where columns are inferred or items counted, all pages are fetched here
    parts     one for each segment; or one for each bucket of changes
    read      pages from the shelf, and from the table where they are not there yet

Without its stream a table does not say what changed: each run reads everything.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from halocline import engine
from halocline.batch import JSON, Batch, Items, Position
from halocline.connector import Abilities, Deletes, Ending, Journal, Manifest, Mode, Part, Plan, Survey, Unfinished
from halocline.connectors.aws.dynamodb import progress
from halocline.connectors.aws.dynamodb.account import Account
from halocline.connectors.aws.dynamodb.capacity import Capacity, units_of
from halocline.connectors.aws.dynamodb.changes import BUCKETS, Changes, batches, refuse_merge_of_all, refuse_other_key
from halocline.connectors.aws.dynamodb.client import Table
from halocline.connectors.aws.dynamodb.following import Following
from halocline.connectors.aws.dynamodb.lookup import Lookup
from halocline.connectors.aws.dynamodb.pages import DecodedPage, Pages
from halocline.connectors.aws.dynamodb.reader import Reader
from halocline.connectors.aws.dynamodb.scan import Asked, Fetched, Scan, segments_of
from halocline.connectors.aws.dynamodb.shape import Chosen, Shape
from halocline.connectors.aws.dynamodb.shelf import Shelf
from halocline.connectors.aws.dynamodb.streams import Trimmed
from halocline.connectors.aws.dynamodb.tally import Tally
from halocline.connectors.aws.dynamodb.wanted import Wanted
from halocline.errors import FixConfig, RetryLater
from halocline.events import Noticed
from halocline.spool import Spool

_SAMPLE = 100  # items that a survey looks at, to tell columns before all is read
_MOST_WIDTH = engine.WIDTH
_HELD = "held"


@dataclass(slots=True)
class _Seen:
    """What was surveyed: the table, what a scan asks of it, its columns, and how far its stream is read before and after."""

    table: Table
    asked: Asked
    chosen: Chosen
    scan: str
    now: float
    following: Following | None = None
    changes: Changes | None = None
    hand_over: JSON = None


class DynamoDBSource:
    """The table that is `wanted`, by the login of an account. Implements `connector.Source`, and gives items to builders.

    Pages are kept for the next run until their rows are durable, unless they may not outlive the run (`keep_pages`).
    """

    def __init__(self, account: Account, wanted: Wanted, *, spool: Spool | None = None, keep_pages: bool = True) -> None:
        self._account = account
        self._wanted = wanted
        self._dynamodb = account.dynamodb()
        self._spool = account.spool() if spool is None else spool
        self._keeps = keep_pages
        self._since: Position | None = None
        self._seen: _Seen | None = None
        self._scan: Scan | None = None
        self._receipt: str | None = None
        self._begun: progress.Begun | None = None
        self._journal: Journal | None = None
        self._changes: Changes | None = None
        self._shape: Shape | None = None
        self._pages: Pages | None = None
        self._take: list[int] | None = None
        self._tally = Tally()
        self._looks = 0
        self._rejected: list[int] = []  # of changes, a number for each batch: threads may add to it

    @property
    def calls(self) -> int:
        """Calls made to DynamoDB and its streams so far."""
        following = None if self._seen is None else self._seen.following
        return self._looks + (self._scan.calls if self._scan else 0) + (following.calls if following else 0)

    def survey(self, since: Position | None) -> Survey:
        """See `Source.survey`. The rows to expect of a scan are those of DescribeTable, which is up to six hours old.

        A stream whose records are gone, or do not fit the columns that there were, is a reason to read everything.

        Raises: NotFound, AccessDenied, LoginRefused; FixConfig for a stream that is not there, or tells no items; RetryLater for
        a table that is being made.
        """
        self._since = since
        self._looks += 1
        table = self._dynamodb.describe(self._wanted.table)
        if table.status in ("CREATING", "DELETING"):
            raise RetryLater(f"Looking at the table {table.name} of DynamoDB", f"its status is {table.status}")
        now = self._account.now()
        known = since is not None and since.get("id") == table.id and since.get("scope") == self._wanted.scope
        before = since if since is not None and known else {}
        names = (since or {} if self._wanted.any_case else before).get("names")  # a table's columns stay what they were
        chosen = Chosen(self._wanted, key=table.key, types=table.types, earlier=before.get("facts"), names=names)
        self._seen = seen = _Seen(table, self._asked(table, chosen), chosen, uuid.uuid4().hex, now)
        reason = self._follow(seen, since if known else None)
        if since is not None and not known:
            reason = "the table, or what is read of it, is another one than before"
        self._sample(seen)
        low = None if seen.following is None or seen.changes is None else _instant(seen.following.since)
        most = table.items if self._wanted.limit is None else min(table.items, self._wanted.limit)
        return Survey(
            object=table.name,
            schema=chosen.shape().schema,
            estimated_rows=most if seen.changes is None else seen.changes.count,
            server_time=_instant(now),
            complete_until=None,
            cursor=None,
            delete_flag=None,
            window=(low, _instant(now)),
            abilities=Abilities(once=self._wanted.index is None, bulk_reason="DynamoDB has pages only"),
            next_position=self._position(seen),
            query=json.dumps(seen.asked.to_json(), sort_keys=True),
            full_reason=reason,
            notes=(*chosen.shape().notes, *self._notes(seen)),
            fresh=chosen.fresh,
        )

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:
        """See `Source.take_up`. What a stream told is merged, whatever becomes of a full read.

        Raises: as `survey`; StorageFailed; FixConfig where rows are matched by another key than the table's, and changes are told
        by that, or where a full read that a stream follows would be merged.
        """
        seen = self._surveyed()
        self._journal, self._scan, self._changes, self._take = journal, None, None, None
        self._rejected.clear()
        if self._wanted.streams:
            refuse_other_key(seen.table.name, seen.chosen.shape(), key=plan.key, own=seen.table.key)
            refuse_merge_of_all(seen.table.name, plan)
        if seen.changes is None or plan.full:
            return self._with_scan(plan, seen, left)
        self._left(plan, seen, left, wanted=False)
        self._changes, self._shape = seen.changes, seen.chosen.shape()
        # Whoever decided on a replacement did so for the reads that bring everything.
        return replace(plan, mode=Mode.MERGE, complete=False)

    def parts(self, plan: Plan) -> Iterator[Part]:
        """See `Source.parts`: the segments of the scan, or the buckets of the changes."""
        self._tally.clear()
        if self._changes is not None:
            filled = [bucket for bucket in range(BUCKETS) if self._changes.counted(bucket)]
            deletes = plan.deletes is not Deletes.IGNORE
            for bucket in filled:
                spec: dict[str, JSON] = {"bucket": bucket, "key": list(plan.key), "deletes": deletes}
                yield self._tally.issued(Part(f"changes-{bucket:02}", spec))
            return
        for number in range(self._surveyed().asked.segments):
            take = None if self._take is None else self._take[number]
            yield self._tally.issued(Part(f"segment-{number:06}", {"segment": number, "take": take}))
        if self._receipt is not None and self._journal is not None:
            self._journal.remote(progress.CHUNK, progress.GIVEN)

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:  # noqa: ARG002 - pages are on the shelf
        """See `Source.read`."""
        spec: Mapping[str, Any] = part.spec
        if "bucket" in spec:
            yield from self._read_changes(part, spec)
            return
        assert self._pages is not None, "a source is taken up before it is read"
        first = rejected = 0
        for page, most in self._fetched(spec):
            if page.is_new and self._surveyed().chosen.needs_pages:
                self._refuse_more(page.data)
            decoded = _first(self._pages.decode(page.data, part=part.id), most)
            moved = tuple(replace(one, row=one.row + first) for one in decoded.rejected)
            yield Batch(decoded.batch, first_row=first, receipts=self._receipts, rejections=moved)
            first += len(decoded.batch) + len(moved)
            rejected += len(moved)
        self._tally.read(part, announced=first, besides=rejected)

    def items(self, part: Part, resume: Position | None = None) -> Iterator[Items]:  # noqa: ARG002 - likewise
        """The items of a part as Python values.

        Raises: FixConfig for changes: which rows a builder made of an item that is gone, nobody knows.
        """
        spec: Mapping[str, Any] = part.spec
        if "bucket" in spec:
            cause = "which rows were built of an item that changed or is gone, nobody knows"
            raise FixConfig(f"Reading {self._wanted.table}", cause, hint="Read it without streams, or without a builder.")
        assert self._pages is not None, "a source is taken up before it is read"
        first = 0
        for page, most in self._fetched(spec):
            values = self._pages.items(page.data)[:most]
            yield Items(values, first_row=first, receipts=self._receipts)
            first += len(values)
        self._tally.read(part, announced=first)

    def again(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:
        """See `Source.again`.

        Raises: as `Lookup`.
        """
        seen, shape = self._surveyed(), self._shape or self._surveyed().chosen.shape()
        lookup = Lookup(self._account, self._dynamodb, self._wanted, table=seen.table, key=plan.key, shape=shape)
        try:
            yield from lookup.batches(plan, keys)
        finally:
            self._looks += lookup.calls

    def ending(self, plan: Plan) -> Ending:
        """The position after the read; where a change could not become a row, the stream is read again from where it was.

        Else its row would stay as it was before, and nobody would hear of it again.
        """
        left, since = sum(self._rejected), self._since or {}
        if self._changes is None or not left:
            return Ending(plan.next_position)
        told = since.get(_HELD)
        position = {**plan.next_position, "hand_over": since.get("hand_over"), _HELD: left}
        return Ending(position, known=min(left, told if isinstance(told, int) else 0))

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:
        """Every part was read to its end, and staged with all its items.

        Raises: Truncated when not.
        """
        self._tally.check(plan.object, manifests)

    def ack(self, receipts: Sequence[JSON]) -> None:
        """Clear the shelves whose rows are durable. Idempotent; the receipts may be another run's."""
        for receipt in receipts:
            progress.folder(self._spool, str(receipt)).close()

    # ---- what is asked

    def _surveyed(self) -> _Seen:
        if self._seen is None:
            raise ValueError("a source is surveyed before it is read")
        return self._seen

    def _asked(self, table: Table, chosen: Chosen) -> Asked:
        wanted = self._wanted
        if wanted.index is not None and wanted.index not in table.indexes:
            known = ", ".join(table.indexes) or "none"
            raise FixConfig(f"Scanning {table.name}", f"it has no index {wanted.index!r}", hint=f"There are: {known}.")
        names, projection = dict(wanted.names), wanted.projection
        left_out = [] if projection is None else [one for one in table.key if one not in _top(projection, names)]
        if left_out and wanted.infer and wanted.columns is None:
            cause = f"the projection leaves out {', '.join(left_out)}, which is the table's key"
            raise FixConfig(f"Scanning {table.name}", cause, hint="Add it: without it no row could be told from another.")
        attributes = chosen.attributes
        if projection is None and attributes is not None:
            names |= {f"#column{number}": one for number, one in enumerate(attributes)}
            projection = ", ".join(f"#column{number}" for number in range(len(attributes)))
        return Asked(
            table=self._wanted.table,
            id=table.id,
            segments=segments_of(table, wanted.segments),
            consistent=wanted.streams if wanted.consistent is None else wanted.consistent,
            index=wanted.index,
            filter=wanted.filter,
            projection=projection,
            names=names,
            values=wanted.bound,
        )

    def _follow(self, seen: _Seen, since: Position | None) -> str | None:
        """See how far the stream is read; why everything is read although something was read before (None: it is not)."""
        if not self._wanted.streams:
            return None if since is None else "its stream is not followed, and nothing else tells what changed"
        earlier = (since or {}).get("hand_over")
        seen.following = Following(self._account, seen.table, earlier=earlier, consistent=seen.asked.consistent, now=seen.now)
        seen.hand_over = seen.following.after_scan.to_json()
        if since is None or seen.following.broken is not None:
            return None if since is None else seen.following.broken
        if self._wanted.any_case and not since.get("names"):
            return "which attributes its columns came from is not known"
        return self._put_aside(seen, seen.following)

    def _sample(self, seen: _Seen) -> None:
        """See some items, where columns are inferred and nothing is known of them."""
        if seen.chosen.needs_pages and not seen.chosen.facts and self._wanted.columns is None:
            wanted = seen.asked.parameters(0, key=None, most=_SAMPLE)
            self._looks += 1
            seen.chosen.see(seen.chosen.reader().read(self._dynamodb.scan_page(seen.asked.table, wanted=wanted).data))

    def _position(self, seen: _Seen, *, scan: str | None = None, hand_over: JSON = None) -> Position:
        told: Position = {"table": seen.table.arn, "id": seen.table.id, "scope": self._wanted.scope, "scan": scan or seen.scan}
        told["names"] = seen.chosen.names
        if self._wanted.streams:
            told["hand_over"] = hand_over or seen.hand_over
            told["facts"] = seen.chosen.facts
        return told

    def _notes(self, seen: _Seen) -> Iterator[str]:
        held = (self._since or {}).get(_HELD)
        if seen.changes is not None and held:
            yield f"{held:,} of the changes that the last run read could not become rows, and are read again."
        if seen.chosen.needs_pages and self._wanted.columns is None:
            yield "Columns are inferred from all items, so they are known when all pages are here."
        if not seen.asked.consistent:
            yield "Items may be shown some seconds older than the scan (consistent: true costs twice as much)."

    # ---- a scan

    def _with_scan(self, plan: Plan, seen: _Seen, left: Sequence[Unfinished]) -> Plan:
        hand_over = None if seen.following is None else seen.following.after_scan.to_json()
        begun = progress.Begun(seen.scan, seen.asked.to_json(), seen.now, plan.allow_replace, hand_over)
        found = self._left(plan, seen, left)
        shelf = self._spool
        if found is not None and found.begun is not None and found.asked is not None:
            begun, seen.asked = found.begun, found.asked
            plan = progress.gone_on(plan, found, pages=progress.pages_in(progress.folder(self._spool, begun.scan)))
        self._receipt = begun.scan if self._keeps else None
        if self._keeps and self._journal is not None:
            self._journal.intend(progress.CHUNK, begun.to_json())
            shelf = progress.folder(self._spool, begun.scan)
        units_s = units_of(seen.table, self._wanted.read_capacity)
        capacity = Capacity(width=_MOST_WIDTH, units_s=units_s, pace=self._account.pace)
        self._scan = Scan(
            self._dynamodb,
            seen.asked,
            table=seen.table,
            shelf=Shelf(shelf, begun.scan),
            capacity=capacity,
            sink=self._account.sink,
        )
        reader = seen.chosen.reader() if seen.chosen.needs_pages else None
        if reader is not None or self._wanted.limit is not None:
            self._first_pass(self._scan, seen, reader=reader)
        self._shape = seen.chosen.shape()
        self._pages = Pages(self._shape, reader=reader)
        position = self._position(seen, scan=begun.scan, hand_over=begun.hand_over)
        return replace(plan, schema=self._shape.schema, next_position=position)

    def _left(self, plan: Plan, seen: _Seen, left: Sequence[Unfinished], *, wanted: bool = True) -> progress.Found | None:
        """The scan to go on with, where one is `wanted`; the others are let go of."""
        segmented = self._wanted.segments is not None
        looked = [
            progress.look(
                work, seen.asked, plan=plan, since=self._since, now=seen.now, streamed=self._wanted.streams, segmented=segmented
            )
            for work in left
            if work.chunk == progress.CHUNK
        ]
        found: progress.Found | None = None
        wanted = wanted and self._keeps
        for one in looked:
            place = None if one.begun is None else progress.folder(self._spool, one.begun.scan)
            if place is not None and found is None and wanted and not one.against and progress.has_pages(place):
                found = one
            elif place is not None and (found is None or one.begun != found.begun):
                place.close()
                told = one.against or "another one is, or it has no page yet"
                self._account.sink(Noticed(f"The scan of run {one.work.run} is not gone on with: {told}."))
        return found

    def _first_pass(self, scan: Scan, seen: _Seen, *, reader: Reader | None) -> None:
        """Bring all pages to the shelf: to see what columns they hold, or until there are as many items as wanted."""
        count = _Count(self._wanted.limit)
        ended = threading.Event()

        def fetch(part: Part) -> Manifest:
            number = int(str(part.spec["segment"]))
            if not ended.is_set() and not count.is_full:
                try:
                    self._fetch(scan, number, reader=reader, chosen=seen.chosen, count=count, ended=ended)
                except BaseException:
                    ended.set()
                    raise
            return Manifest(part.id, 0)

        with engine.threads() as executor:
            segments = (Part(str(number), {"segment": number}) for number in range(seen.asked.segments))
            for _ in engine.each(executor, segments, work=fetch):
                pass
        self._take = None if self._wanted.limit is None else _shares(scan, seen.asked.segments, limit=self._wanted.limit)
        self._account.tell(seen.chosen.left_out(seen.table.name))

    def _fetch(
        self, scan: Scan, number: int, *, reader: Reader | None, chosen: Chosen, count: _Count, ended: threading.Event
    ) -> None:
        for page in scan.pages(number, reader=reader, most=count.left if self._wanted.filter is None else None):
            self._account.check(f"Scanning {self._wanted.table}")
            if page.page is not None:
                chosen.see(page.page)
            count.add(page.count)
            if ended.is_set() or count.is_full:
                return

    def _fetched(self, spec: Mapping[str, Any]) -> Iterator[tuple[Fetched, int | None]]:
        """The pages of a segment, each with the number of items to take of it (None: all)."""
        assert self._scan is not None, "a source is taken up before it is read"
        left = spec["take"]
        for page in self._scan.pages(spec["segment"]) if left != 0 else ():
            yield page, None if left is None else min(left, page.count)
            if left is not None:
                left -= page.count
                if left <= 0:
                    return

    def _refuse_more(self, data: bytes) -> None:
        """See that a page which is fetched once more, because it was damaged on the disk, has a place in the columns.

        Raises: RetryLater where it holds what no page had when the columns were settled.
        """
        seen = self._surveyed()
        left_out = seen.chosen.left_out(seen.table.name)
        seen.chosen.see(seen.chosen.reader().read(data))
        now, before = seen.chosen.shape(), self._shape
        assert before is not None, "a source is taken up before it is read"
        if (now.schema, now.paths) != (before.schema, before.paths) or seen.chosen.left_out(seen.table.name) != left_out:
            cause = "a page was damaged on this disk and fetched once more, and now holds what the columns have no place for"
            raise RetryLater(f"Reading {seen.table.name}", cause, hint="Run it again: it goes on with the pages that are here.")

    @property
    def _receipts(self) -> tuple[JSON, ...]:
        return () if self._receipt is None else (self._receipt,)

    # ---- changes

    def _put_aside(self, seen: _Seen, following: Following) -> str | None:
        """Put aside what is in the stream, and see what columns it holds; why that cannot be merged (None: it can)."""
        changes = Changes(self._spool, seen.scan)
        try:
            after = following.drain(changes)
        except Trimmed as error:
            return error.cause
        if seen.chosen.needs_pages:
            reader = seen.chosen.reader()
            for page in changes.pages():
                seen.chosen.see(reader.read(page))
            changed = seen.chosen.changed()
            if changed is not None:
                return changed
            self._account.tell(seen.chosen.left_out(seen.table.name))
        seen.changes, seen.hand_over = changes, after.to_json()
        return None

    def _read_changes(self, part: Part, spec: Mapping[str, Any]) -> Iterator[Batch]:
        assert self._changes is not None, "a source is taken up before it is read"
        assert self._shape is not None, "likewise"
        besides = 0
        latest = self._changes.latest(spec["bucket"])
        for batch in batches(latest, self._shape, key=spec["key"], part=part.id, deletes=spec["deletes"]):
            besides += len(batch.rejections) + batch.filtered
            self._rejected.append(len(batch.rejections))
            yield batch
        self._tally.read(part, announced=self._changes.counted(spec["bucket"]), besides=besides)


class _Count:
    """Items counted by several threads, up to a limit (None: any number)."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._seen = 0
        self._lock = threading.Lock()

    def add(self, items: int) -> None:
        """So many more came."""
        with self._lock:
            self._seen += items

    @property
    def is_full(self) -> bool:
        """Whether there are as many as wanted."""
        return self._limit is not None and self._seen >= self._limit

    @property
    def left(self) -> int | None:
        """How many are still wanted."""
        return None if self._limit is None else max(1, self._limit - self._seen)


def _top(projection: str, names: Mapping[str, str]) -> set[str]:
    """The attributes of an item that a projection leads to or into."""
    paths = (re.split(r"[.\[]", one.strip())[0] for one in projection.split(","))
    return {names.get(one, one) for one in paths}


def _shares(scan: Scan, segments: int, *, limit: int) -> list[int]:
    """How many items are taken of each segment, in their order, for just as many as wanted."""
    shares: list[int] = []
    for number in range(segments):
        shares.append(min(limit - sum(shares), sum(scan.counted(number))))
    return shares


def _first(decoded: DecodedPage, most: int | None) -> DecodedPage:
    """The first items of a page."""
    if most is None:
        return decoded
    rejected = tuple(one for one in decoded.rejected if one.row < most)
    return replace(decoded, batch=decoded.batch.slice(0, most - len(rejected)), rejected=rejected)


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
