"""An org in memory that takes rows one by one, its destination with durable folders, and a fuse that kills at the k-th call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from halocline.batch import JSON
from halocline.connector import Journal
from halocline.ledger import Ledger
from halocline.outcome import Fate, Outcome, RowResult
from halocline.push.destination import RowBatch, Told, WritePlan
from halocline.push.order import Api, Nulls, SyncMode, WriteOrder
from halocline.testing.ledgers import ended_process

WRITTEN = pa.schema([("row", pa.int64()), ("id", pa.string()), ("created", pa.bool_())])


class Killed(BaseException):
    """The process ends here; nothing that follows is done."""


@dataclass
class Fuse:
    """Counts what a process does, and ends it at the `at`-th deed (0: never); whatever it tries after that fails as well."""

    at: int = 0
    seen: list[str] = field(default_factory=list)

    def __call__(self, deed: str) -> None:
        self.seen.append(deed)
        if self.at and len(self.seen) >= self.at:
            raise Killed(deed)


@cache
def dead_pid() -> int:
    """The number of a process that has ended."""
    return ended_process()


class FusedLedger:
    """A ledger that dies before and after each write; its runs belong to a process that has ended."""

    def __init__(self, ledger: Ledger, fuse: Fuse) -> None:
        self._ledger = ledger
        self._fuse = fuse
        self._pid = dead_pid()

    def start(self, flow: str, **options: Any) -> None:
        """Start under the number of a dead process."""
        self._fuse("before start")
        self._ledger.start(flow, **{**options, "pid": self._pid})

    def journal(self, run: str) -> FusedJournal:
        """The journal, as fragile."""
        return FusedJournal(self._ledger.journal(run), self._fuse)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)

        def fused(*values: Any, **options: Any) -> Any:
            self._fuse(f"before {name}")
            answer = method(*values, **options)
            self._fuse(f"after {name}")
            return answer

        return fused


class FusedJournal:
    """A journal that dies before and after each write."""

    def __init__(self, journal: Journal, fuse: Fuse) -> None:
        self._journal = journal
        self._fuse = fuse

    def open(self) -> Sequence[tuple[str, JSON, str | None]]:
        """As it is."""
        return self._journal.open()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._journal, name)

        def fused(*values: Any) -> None:
            self._fuse(f"before {name} {values[0]}")
            method(*values)
            self._fuse(f"after {name} {values[0]}")

        return fused


@dataclass
class Org:
    """Records by id, and jobs by theirs. A row whose Name is `bad` is refused."""

    name: str = "00D1"
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, list[dict[str, Any]] | None] = field(default_factory=dict)
    made: int = 0  # records that ever were: no id comes twice

    def write(self, order: WriteOrder, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Do it, row by row."""
        return [self._one(order, row) for row in rows]

    def run(self, job: str, order: WriteOrder, rows: Sequence[Mapping[str, Any]]) -> None:
        """Do it once, and remember what became of it."""
        assert self.jobs[job] is None, "a job runs once"
        self.jobs[job] = self.write(order, rows)

    def create_job(self) -> str:
        """A job that has not begun."""
        job = f"750{len(self.jobs)}"
        self.jobs[job] = None
        return job

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(str(record.get("Name")) for record in self.records.values())

    def _one(self, order: WriteOrder, row: Mapping[str, Any]) -> dict[str, Any]:
        if row.get("Name") == "bad":
            return {"code": "REQUIRED_FIELD_MISSING", "message": "Required: Name", "fields": ["Name"]}
        known = self._known(order, row)
        if order.mode in {SyncMode.DELETE, SyncMode.UPDATE} and known is None:
            return {"code": "ENTITY_IS_DELETED", "message": "no such record", "fields": []}
        if order.mode is SyncMode.DELETE:
            del self.records[str(known)]
            return {"id": known, "created": None}
        record_id = known or f"001{self.made:06}"
        self.made += known is None
        self.records[record_id] = {**self.records.get(record_id, {}), **row}
        return {"id": record_id, "created": known is None}

    def _known(self, order: WriteOrder, row: Mapping[str, Any]) -> str | None:
        if order.mode is SyncMode.INSERT:
            return None
        if order.mode is SyncMode.UPSERT:
            return next((i for i, record in self.records.items() if record.get(order.key or "") == row[order.key or ""]), None)
        return row["Id"] if row["Id"] in self.records else None


class FakeDestination:
    """Rows into an org: by jobs that can be asked what became of them (`asks`), or by requests that cannot."""

    def __init__(self, org: Org, *, fuse: Fuse | None = None, asks: bool = True) -> None:
        self._org = org
        self.fuse = fuse or Fuse()
        self.asks = asks
        self.calls = 0
        self.failing: Callable[[str], None] = lambda chunk: None

    @property
    def org(self) -> str:
        """The org's name."""
        return self._org.name

    @property
    def store(self) -> Org:
        """The org itself."""
        return self._org

    def describe(self, sobject: str) -> Mapping[str, Any]:
        """Nothing but the name."""
        return {"name": sobject, "fields": []}

    def left(self, folder: Path, *, in_doubt: bool = False) -> Iterator[RowBatch]:
        """No push reads it."""
        raise NotImplementedError

    def open(self, order: WriteOrder, folder: Path, *, journal: Journal | None = None) -> FakeLoad:
        """A load in a folder that is there."""
        return FakeLoad(self, order, folder, journal)

    def close(self) -> None:
        """Nothing to let go of."""


class FakeLoad:
    """Rows in `staged.json`, then a plan, then one file for each chunk that was told."""

    def __init__(self, destination: FakeDestination, order: WriteOrder, folder: Path, journal: Journal | None) -> None:
        assert folder.is_dir()
        self._destination = destination
        self._order = order
        self._folder = folder
        self._journal = journal
        staged = folder / "staged.json"
        self._rows: list[tuple[int, dict[str, Any]]] = json.loads(staged.read_text()) if staged.exists() else []
        self.closed = False

    def stage(self, batch: RowBatch) -> Sequence[RowResult]:
        rows = batch.rows if isinstance(batch.rows, Sequence) else batch.rows.to_pylist()
        refused = []
        for number, row in zip(batch.numbers, rows, strict=True):
            code = self._unsendable(row)
            if code is None:
                self._rows.append((number, dict(row)))
            else:
                refused.append(RowResult(number, Fate.NOT_SENT, code=code, message="it cannot go", fields=("Name",)))
        return refused

    def _unsendable(self, row: object) -> str | None:
        if not isinstance(row, Mapping):
            return "NOT_A_RECORD"
        if self._order.needed is not None and row.get(self._order.needed) in {None, ""}:
            return "MISSING_KEY"
        return "CANNOT_BE_SENT" if row.get("Name") == "unsendable" else None

    def plan(self) -> WritePlan:
        text = json.dumps(self._rows)
        (self._folder / "staged.json").write_text(text)
        chunks = len(self._chunks())
        digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        rows, folded = len(self._carriers()), len(list(self.folded()))
        return WritePlan(Api.COLLECTIONS, ("it is a fake",), rows, folded, chunks, chunks, digest)

    def first(self) -> Sequence[Mapping[str, Any]]:
        return [dict(row) for row, _ in list(self._carriers().values())[:3]]

    def folded(self) -> Iterator[tuple[int, int]]:
        yield from ((row, into) for into, (_, below) in self._carriers().items() for row in below)

    def _carriers(self) -> dict[int, tuple[dict[str, Any], list[int]]]:
        """Row number -> what travels, and the numbers of the rows folded into it."""
        key = self._order.needed
        found: dict[object, tuple[int, dict[str, Any], list[int]]] = {}
        for number, row in self._rows:
            name = number if key is None else row[key]
            before = found.pop(name, None)
            below = [] if before is None else [*before[2], before[0]]
            found[name] = (number, {**(before[1] if before else {}), **row}, below)
        return {number: (row, below) for number, row, below in found.values()}

    def _chunks(self) -> list[tuple[str, dict[int, tuple[dict[str, Any], list[int]]]]]:
        items, size = list(self._carriers().items()), self._order.batch_size
        return [(f"c{at:05}", dict(items[at : at + size])) for at in range(0, len(items), size)]

    def outcomes(self, *, sending: Callable[[Sequence[int]], None] | None = None) -> Iterator[Told]:
        return self._tell(sending, send=True)

    def settle(self) -> Iterator[Told]:
        return self._tell(None, send=False)

    def _tell(self, sending: Callable[[Sequence[int]], None] | None, *, send: bool) -> Iterator[Told]:
        assert self._journal is not None
        opened = {chunk: remote for chunk, _, remote in self._journal.open()}
        stopped = False
        for chunk, rows in self._chunks():
            file = self._folder / f"{chunk}.told.json"
            again = file.exists()
            if stopped:
                numbers = [number for row, (_, below) in rows.items() for number in (row, *below)]
                others = (RowResult(n, Fate.NOT_SENT, code="NOT_ATTEMPTED", message="stopped") for n in numbers)
                yield Told(chunk, others=tuple(others))
                continue
            if not again:
                answers = self._answers(chunk, rows, opened, sending=sending, send=send)
                if answers is None:
                    continue
                file.write_text(json.dumps(answers))
                self._destination.fuse(f"told {chunk}")
            told = _told(chunk, rows, json.loads(file.read_text()), again=again)
            stopped = self._order.stop_on_error and bool(told.others)
            yield told
            if not again or chunk in opened:
                self._journal.settle(chunk, Outcome(chunk))

    def _answers(
        self,
        chunk: str,
        rows: Mapping[int, tuple[dict[str, Any], list[int]]],
        opened: Mapping[str, str | None],
        *,
        sending: Callable[[Sequence[int]], None] | None,
        send: bool,
    ) -> list[dict[str, Any]] | None:
        """What became of the rows of a chunk; None: it was not sent, and is not to be."""
        destination, order = self._destination, self._order
        assert self._journal is not None
        unsure = order.mode is SyncMode.INSERT or (order.mode is SyncMode.DELETE and not send)  # others may be sent again
        if chunk in opened and not destination.asks and unsure:
            return [{"doubt": True} for _ in rows]
        job = opened.get(chunk)
        if job is not None and destination.store.jobs[job] is not None:
            return destination.store.jobs[job]
        if not send:
            return None
        if sending is not None:
            sending(list(rows))
        destination.failing(chunk)
        self._journal.intend(chunk, {"rows": len(rows)})
        bodies = [row for row, _ in rows.values()]
        destination.calls += 1
        if not destination.asks:
            destination.fuse(f"request {chunk}")
            answers = destination.store.write(order, bodies)
        else:
            if job is None:
                job = destination.store.create_job()
                self._journal.remote(chunk, job)
            destination.fuse(f"request {chunk}")
            destination.store.run(job, order, bodies)
            answers = destination.store.jobs[job] or []
        destination.fuse(f"reply {chunk}")
        return answers

    def left(self) -> Path:
        path = self._folder / "left.json"
        path.write_text("[]")
        return path

    def close(self) -> None:
        self.closed = True


def _told(
    chunk: str, rows: Mapping[int, tuple[dict[str, Any], list[int]]], answers: Sequence[Mapping[str, Any]], *, again: bool
) -> Told:
    written, others = [], []
    for (row, (_, below)), answer in zip(rows.items(), answers, strict=True):
        for number in (row, *below):
            if "id" in answer:
                written.append({"row": number, "id": answer["id"], "created": answer["created"]})
            elif "doubt" in answer:
                others.append(RowResult(number, Fate.IN_DOUBT, code="IN_DOUBT", message="no answer came"))
            else:
                fields = tuple(answer["fields"])
                others.append(RowResult(number, Fate.REFUSED, code=answer["code"], message=answer["message"], fields=fields))
    return Told(chunk, written=pa.RecordBatch.from_pylist(written, WRITTEN), others=tuple(others), again=again)


class ListRows:
    """Rows of a list; `arrow` hands them out as columns."""

    def __init__(self, rows: Sequence[Any], *, batch: int = 3, arrow: bool = False) -> None:
        self.rows = list(rows)
        self.name = "rows"
        self.nulls = Nulls.CLEAR
        self.clears = None
        self._batch = batch
        self._arrow = arrow

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self) -> Iterator[RowBatch]:
        for at in range(0, len(self.rows), self._batch):
            part = self.rows[at : at + self._batch]
            yield RowBatch(range(at, at + len(part)), pa.RecordBatch.from_pylist(part) if self._arrow else part)

    def records(self, numbers: Sequence[int]) -> list[Mapping[str, object]]:
        return [self.rows[number] for number in numbers]

    def close(self) -> None:
        """Nothing to let go of."""


class Heard:
    """A Watch that keeps all it hears."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.total = 0
        self.plan: WritePlan | None = None
        self.sent: list[int] = []
        self.tolds: list[Told] = []

    def begun(self, total: int) -> None:
        self.total = total
        self.story.append("begun")

    def planned(self, plan: WritePlan) -> None:
        self.plan = plan
        self.story.append("planned")

    def sending(self, numbers: Sequence[int]) -> None:
        self.sent.extend(numbers)
        self.story.append("sending")

    def told(self, told: Told) -> None:
        self.tolds.append(told)
        self.story.append(f"told {told.chunk}")

    @property
    def others(self) -> dict[int, RowResult]:
        """What was not written, by row."""
        return {row.row: row for told in self.tolds for row in told.others if row.row is not None}

    @property
    def written(self) -> list[int]:
        """The rows that were written, in the order in which that was told."""
        return [row for told in self.tolds if told.written is not None for row in told.written.column("row").to_pylist()]
