"""The report of the PostgreSQL benchmark: costs as tables, beside each other and beside what was wanted, and its last line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from measuring.process import Cost, typical
from measuring.verdict import hold_against

Merges: TypeAlias = dict[str, Cost]
# What was wanted: the figure, the bound, and whether more is better.
WANTED = (
    ("vs_floor", 1.3, False),
    ("vs_dlt", 2.0, True),
    ("vs_best_other", 5.0, True),
    ("peak_mb", 300.0, False),
    ("peak_mb_larger", 300.0, False),
    ("peak_growth", 1.1, False),
)
_OURS, _KEYED, _DLT = "ours", "floor identity, with key", "dlt, Arrow and ADBC"


@dataclass(slots=True)
class Result:
    """What was measured: full loads, incremental ones, ours on a larger org, peers on fewer rows, merges."""

    costs: Mapping[str, Sequence[Cost]]
    later: Mapping[str, Cost]
    larger: Cost | None
    slow: Mapping[str, Cost] = field(default_factory=dict)
    merges: Merges = field(default_factory=dict)


def line(name: str, cost: Cost, *, rows: int) -> str:
    """One run in one line."""
    client_s, server_s = (float(cost.told[name]) for name in ("client_cpu_s", "server_cpu_s"))
    return (
        f"{name:<32} wall {cost.wall_s:7.2f} s  CPU {cost.cpu_s:7.2f} s (client {client_s:7.2f}, server {server_s:6.2f})"
        f"  {rows / cost.cpu_s:9,.0f} rows/CPU-s  peak {cost.peak_mb:5.0f} MB"
    )


def report(result: Result, *, rows: int, slow_rows: int) -> None:
    """Print the medians, what they mean, and the last line."""
    middle = {name: _middle(some) for name, some in result.costs.items()}
    scaled = {name: _scaled(cost, rows / slow_rows) for name, cost in result.slow.items()}
    print(f"\nmedians: {rows:,} Accounts x 20 columns into PostgreSQL; all tables are equal")
    for name, cost in sorted((middle | scaled).items(), key=lambda item: item[1].cpu_s):
        print(f"  {line(name, cost, rows=rows)}{'  *' if name in scaled else ''}")
    if scaled:
        print(f"  * measured with {slow_rows:,} rows and scaled to {rows:,}, what comes before the first row not among it")
    figures = _against(middle, scaled) | _of_larger(middle[_OURS], result.larger) | _of_later(middle, result.later)
    figures |= _of_merges(result.merges)
    hold_against(WANTED, figures)
    print(f"load average at the end {os.getloadavg()[0]:.1f}")
    print("postgres: " + " ".join(f"{name}={value}" for name, value in figures.items()))


def _middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure; its share of client and server is the last run's."""
    cost = typical(costs)
    share = float(cost.told["server_cpu_s"]) / costs[-1].cpu_s
    return Cost(
        cost.wall_s,
        cost.cpu_s,
        cost.peak_mb,
        {**cost.told, "server_cpu_s": cost.cpu_s * share, "client_cpu_s": cost.cpu_s * (1 - share)},
    )


def _scaled(cost: Cost, times: float) -> Cost:
    """What so many times more rows would have cost, if each cost the same; its start is paid once."""
    start_s = float(cost.told.get("start_cpu_s", 0.0))
    client_s = start_s + (float(cost.told["client_cpu_s"]) - start_s) * times
    server_s = float(cost.told["server_cpu_s"]) * times
    told = {**cost.told, "client_cpu_s": client_s, "server_cpu_s": server_s}
    return Cost(cost.wall_s * times, client_s + server_s, cost.peak_mb, told)


def _against(middle: Mapping[str, Cost], scaled: Mapping[str, Cost]) -> dict[str, str]:
    ours = middle[_OURS]
    floors = [cost for name, cost in middle.items() if name.startswith("floor") and name != _KEYED]
    floor = min(floors, key=lambda cost: cost.cpu_s)
    peers = {name: cost for name, cost in (dict(middle) | dict(scaled)).items() if name != _OURS and not name.startswith("floor")}
    others = [cost.cpu_s for name, cost in peers.items() if name != _DLT]
    best = min(peers, key=lambda name: peers[name].cpu_s, default=None)
    figures = {
        "vs_best_peer": _times(peers[best], ours) if best else "none",
        "vs_floor": _times(ours, floor),
        "peak_mb": f"{ours.peak_mb:.0f}",
        "vs_keyed_floor": _times(ours, middle[_KEYED]),
        "vs_floor_wall": f"{ours.wall_s / min(cost.wall_s for cost in floors):.2f}",
        "vs_dlt": _times(peers[_DLT], ours) if _DLT in peers else "none",
        "vs_best_other": f"{min(others) / ours.cpu_s:.2f}" if others else "none",
    }
    if best:
        figures |= {"best_peer": _word(best), "floor_vs_best_peer": _times(peers[best], floor)}
    return figures | {f"vs_{_word(name)}": _times(cost, ours) for name, cost in peers.items() if name != _DLT}


def _of_larger(ours: Cost, larger: Cost | None) -> dict[str, str]:
    if larger is None:
        return {}
    return {"peak_mb_larger": f"{larger.peak_mb:.0f}", "peak_growth": f"{larger.peak_mb / ours.peak_mb:.2f}"}


def _of_later(middle: Mapping[str, Cost], later: Mapping[str, Cost]) -> dict[str, str]:
    ours = later[_OURS]
    figures = {"later_share": f"{ours.cpu_s / middle[_OURS].cpu_s:.3f}", "later_vs_floor": _times(ours, later[_KEYED])}
    return figures | ({"later_vs_dlt": _times(later[_DLT], ours)} if _DLT in later else {})


def _of_merges(merges: Mapping[str, Cost]) -> dict[str, str]:
    """Ours over the cheaper of the ways by hand."""
    hand = [cost for name, cost in merges.items() if name != _OURS]
    return {
        "merge_vs_hand": f"{merges[_OURS].cpu_s / min(cost.cpu_s for cost in hand):.2f}",
        "merge_vs_hand_wall": f"{merges[_OURS].wall_s / min(cost.wall_s for cost in hand):.2f}",
    }


def _times(one: Cost, other: Cost) -> str:
    return f"{one.cpu_s / other.cpu_s:.2f}"


def _word(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")
