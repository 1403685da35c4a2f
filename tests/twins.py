"""In-memory twins of a source and a destination, with a switch that fails the n-th operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from halocline.batch import JSON, Batch, Position
from halocline.connector import Abilities, Journal, Lease, Load, Manifest, Part, Plan, Survey, Target, Unfinished
from halocline.errors import LeaseLost, NetworkFailed, Truncated
from halocline.outcome import Counts, Outcome
from halocline.schema import Column, Kind, Schema

SCHEMA = Schema((Column("Id", Kind.STRING), Column("Name", Kind.STRING)), ("Id",))


@dataclass
class Trips:
    """Counts operations and fails the n-th (from 1); 0 never fails."""

    fail_at: int = 0
    seen: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> None:
        self.seen.append(name)
        if len(self.seen) == self.fail_at:
            raise NetworkFailed(f"Doing {name}", "the twin was told to fail")


class TwinSource:
    """An org of dicts; its position is the number of changes read so far."""

    def __init__(self, trips: Trips | None = None) -> None:
        self.trips = trips or Trips()
        self.changes: list[tuple[str, str]] = []
        self.acked: list[JSON] = []
        self.calls = 0
        self.short = 0
        self.bulk = True

    def survey(self, since: Position | None) -> Survey:
        self.trips("survey")
        self.calls += 1
        start = int(str(since["seen"])) if since else 0
        return Survey(
            object="Thing",
            schema=SCHEMA,
            estimated_rows=len(self.changes) - start,
            server_time="2026-01-01T00:00:00+00:00",
            complete_until=None,
            cursor=None,
            delete_flag=None,
            window=(str(start) if since else None, str(len(self.changes))),
            abilities=Abilities(bulk=self.bulk),
            next_position={"seen": len(self.changes)},
            query="all",
        )

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:
        return plan

    def parts(self, plan: Plan) -> Iterator[Part]:
        low, high = int(plan.window[0] or 0), int(plan.window[1])
        for at in range(low, high, 2):
            self.trips(f"part {at}")
            yield Part(f"part-{at}", {"from": at, "to": min(at + 2, high)})

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:
        self.trips(f"read {part.id}")
        rows = self.changes[int(str(part.spec["from"])) : int(str(part.spec["to"]))]
        columns = [pa.array([i for i, _ in rows]), pa.array([n for _, n in rows])]
        yield Batch(rows=pa.RecordBatch.from_arrays(columns, names=["Id", "Name"]), receipts=("job",))

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:
        self.trips("check")
        if self.short:
            raise Truncated("Checking", "rows are missing")

    def ack(self, receipts: Sequence[JSON]) -> None:
        self.trips("ack")
        self.acked.extend(receipts)


@dataclass
class TwinDestination:
    """A table of dicts and a position beside it, changed together in `commit`."""

    trips: Trips = field(default_factory=Trips)
    rows: dict[str, str] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    fence: int = 0
    closed_units: int = 0
    abilities: Abilities = field(default_factory=lambda: Abilities(transactional=True, holds_position=True))

    def claim(self, flow: str, owner: str) -> Lease:
        self.fence += 1
        return Lease(flow, owner, self.fence)

    def position(self, flow: str, target: Target) -> Position | None:
        return self.positions.get(flow)

    def columns(self, target: Target) -> Schema | None:
        return SCHEMA if self.positions else None

    def recover(self, journal: Journal) -> Iterator[Outcome]:
        return iter(())

    def begin(self, lease: Lease) -> TwinUnit:
        return TwinUnit(self, lease)

    def attach(self, ticket: JSON) -> Load:
        raise NotImplementedError

    def close(self) -> None:
        pass


@dataclass
class TwinUnit:
    destination: TwinDestination
    lease: Lease
    plan: Plan | None = None
    staged: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def open(self, target: Target, plan: Plan, journal: Journal) -> TwinUnit:
        self.destination.trips("open")
        self.plan = plan
        return self

    def ticket(self) -> JSON:
        return None

    def stage(self, part: Part, batches: Iterator[Batch]) -> Manifest:
        self.destination.trips(f"stage {part.id}")
        found = [b for batch in batches for b in batch.arrow()]
        self.staged[part.id] = [(r["Id"], r["Name"]) for b in found for r in b.to_pylist()]
        return Manifest(part.id, rows=len(self.staged[part.id]), receipts=("job",))

    def outcomes(self) -> Iterator[Outcome]:
        return iter(())

    def commit(self, positions: Mapping[str, Position], manifests: Sequence[Manifest]) -> Counts:
        self.destination.trips("commit")
        if self.lease.fence != self.destination.fence:
            raise LeaseLost("Committing", "a newer run claimed this flow")
        assert self.plan is not None
        rows = [row for m in sorted(manifests, key=lambda m: int(m.part.split("-")[1])) for row in self.staged[m.part]]
        before = {} if self.plan.full else dict(self.destination.rows)
        fresh = len({i for i, _ in rows} - before.keys())
        changed = {i for i, n in rows if i in before and before[i] != n}
        self.destination.rows = {**before, **dict(rows)}
        self.destination.positions.update(positions)
        return Counts(inserted=fresh, updated=len(changed), unchanged=len(rows) - fresh - len(changed))

    def close(self) -> None:
        self.destination.closed_units += 1
