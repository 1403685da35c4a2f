"""Verdict: costs as tables, held against each other and against what was wanted, and the last line of a benchmark."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from measuring.process import Cost, typical

# What was wanted: the figure, the bound, and whether more is better.
WANTED = (
    ("vs_best_peer", 3.0, True),
    ("vs_best_peer_wall", 1.0, True),
    ("vs_floor", 1.5, False),
    ("vs_floor_wall", 1.5, False),
    ("peak_mb", 350.0, False),
    ("peak_growth", 1.1, False),
    ("later_same_cpu", 0.03, False),
    ("later_same_wall", 0.03, False),
    ("later_fresh_cpu", 0.03, False),
    ("later_fresh_wall", 0.03, False),
)
_FLOOR = """\
the floor: the same pages, four at a time, downloaded with no parsing, and CREATE TABLE AS SELECT * FROM read_csv(...) with
  types given; identity and gzip are encodings of the transfer (isal decodes), gz leaves decoding to DuckDB; the best counts"""


@dataclass(frozen=True, slots=True)
class Later:
    """An incremental run after edits, and the full one that it is held against."""

    name: str
    wall_s: float
    cpu_s: float
    full: Cost
    told: Mapping[str, Any]

    @property
    def wall_share(self) -> float:
        """Its wall clock as a share of the full run's."""
        return self.wall_s / self.full.wall_s

    @property
    def cpu_share(self) -> float:
        """Its CPU as a share of the full run's."""
        return self.cpu_s / self.full.cpu_s


def line(name: str, cost: Cost, *, rows: int) -> str:
    """One run in one line."""
    waited = f"  {cost.waited_s:5.2f} s of the wall waiting for the job" if cost.waited_s else ""
    return (
        f"{name:<30} wall {cost.wall_s:6.2f} s  CPU {cost.cpu_s:6.2f} s  {rows / cost.cpu_s:9,.0f} rows/CPU-s"
        f"  peak {cost.peak_mb:5.0f} MB{waited}"
    )


def report(costs: Mapping[str, Sequence[Cost]], later: Sequence[Later], larger: Cost | None, *, rows: int, memory: str) -> None:
    """Print the medians, what they mean, and the last line."""
    middle = {name: typical(some) for name, some in costs.items()}
    print(
        f"\nmedians: {rows:,} Accounts x 20 columns into a DuckDB file; memory_limit {memory} for everybody; all tables are equal"
    )
    for name, cost in sorted(middle.items(), key=lambda item: item[1].cpu_s):
        print(f"  {line(name, cost, rows=rows)}")
    print(_FLOOR)
    figures = _against(middle) | _of_later(later) | _of_larger(middle["ours"], larger)
    hold_against(WANTED, figures)
    print(f"load average at the end {os.getloadavg()[0]:.1f}")
    print("extract: " + " ".join(f"{name}={value}" for name, value in figures.items()))


def hold_against(wanted: Sequence[tuple[str, float, bool]], figures: Mapping[str, str]) -> None:
    """Print for each of the figures that there are whether it is what was wanted."""
    for name, bound, more in wanted:
        if figures.get(name, "none") == "none":
            continue
        met = float(figures[name]) >= bound if more else float(figures[name]) <= bound
        print(
            f"  {'met   ' if met else 'MISSED'}  {name} = {figures[name]}, wanted {'at least' if more else 'at most'} {bound:g}"
        )


def _against(middle: Mapping[str, Cost]) -> dict[str, str]:
    ours = middle["ours"]
    floors = [cost for name, cost in middle.items() if name.startswith("floor")]
    peers = {
        name.replace(" ", "-").strip("()"): cost
        for name, cost in middle.items()
        if name != "ours" and not name.startswith("floor")
    }
    floor_cpu_s, floor_wall_s = min(cost.cpu_s for cost in floors), min(cost.wall_s for cost in floors)
    best = min(peers, key=lambda name: peers[name].cpu_s, default=None)
    figures = {
        "vs_best_peer": f"{peers[best].cpu_s / ours.cpu_s:.2f}" if best else "none",
        "vs_floor": f"{ours.cpu_s / floor_cpu_s:.2f}",
        "peak_mb": f"{ours.peak_mb:.0f}",
        "vs_floor_wall": f"{ours.wall_s / floor_wall_s:.2f}",
    }
    if best:
        figures["best_peer"] = best
        figures["vs_best_peer_wall"] = f"{min(cost.wall_s for cost in peers.values()) / ours.wall_s:.2f}"
        figures["floor_vs_best_peer"] = f"{peers[best].cpu_s / floor_cpu_s:.2f}"
    return figures | {f"vs_{name}": f"{cost.cpu_s / ours.cpu_s:.2f}" for name, cost in peers.items()}


def _of_later(later: Sequence[Later]) -> dict[str, str]:
    figures: dict[str, str] = {}
    for one in later:
        counts = one.told["counts"]
        rows = f"{counts['updated']:,} rows changed, {counts['unchanged']:,} more re-read"
        print(
            f"incremental, {one.name}: {rows}; {one.told['method']}, {one.told['api_calls']} API calls;"
            f" wall {one.wall_s:.2f} s ({one.wall_share:.1%} of the full run), {one.told['waited_s']:.2f} s of it for the job;"
            f" CPU {one.cpu_s:.2f} s ({one.cpu_share:.1%})"
        )
        key = one.name.split(" ")[0]
        figures |= {f"later_{key}_cpu": f"{one.cpu_share:.3f}", f"later_{key}_wall": f"{one.wall_share:.3f}"}
    return figures | {"reread_rows": str(later[0].told["counts"]["unchanged"])}


def _of_larger(ours: Cost, larger: Cost | None) -> dict[str, str]:
    if larger is None:
        return {}
    print(f"peak memory of ours: {ours.peak_mb:.0f} MB, and {larger.peak_mb:.0f} MB for the larger org")
    return {"peak_mb_larger": f"{larger.peak_mb:.0f}", "peak_growth": f"{larger.peak_mb / ours.peak_mb:.2f}"}
