"""The report of a push benchmark: costs as tables, held against each other and against what was wanted, and its last line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from measuring.process import Cost, typical

PEER_TIMES, FLOOR_TIMES = 2.0, 1.3  # wanted: either of the two
PIPELINE_TIMES = 50.0
PEAK_MB, FLAT = 300.0, 1.1  # of the larger load; how much more it may be than the smaller one's
STEADY = 1.25  # the org does the same work for everybody; where its own time differs by more, the machine was not ours alone
_OURS, _FILE, _PIPELINE = "ours", "ours from Parquet", "kinetic-core SyncPipeline"


def line(name: str, cost: Cost, rows: int) -> str:
    """One run in one line."""
    facts = {name: cost.told[name] for name in ("api", "jobs", "calls") if cost.told.get(name)}
    org = f" (org {cost.told['org_s']:6.2f})" if cost.told.get("org_s") else ""
    return (
        f"{name:<28} wall {cost.wall_s:7.2f} s{org}  {rows / cost.wall_s:9,.0f} rows/s  CPU {cost.cpu_s:6.2f} s"
        f"  peak {cost.peak_mb:5.0f} MB  {' '.join(f'{name} {value}' for name, value in facts.items())}"
    )


def report(
    costs: Mapping[str, Mapping[str, Sequence[Cost]]],
    pipelines: Mapping[str, Cost],
    larger: Cost | None,
    *,
    rows: int,
    pipeline_rows: int,
) -> None:
    """Print the medians, what they mean, and the last line."""
    each: dict[str, dict[str, str]] = {}
    for operation, some in costs.items():
        middle = {name: typical(runs) for name, runs in some.items()}
        print(f"\nmedians: {operation} of {rows:,} rows, sorted by wall clock")
        for name, cost in sorted(middle.items(), key=lambda item: item[1].wall_s):
            print(f"  {line(name, cost, rows)}")
        each[operation] = _against(middle)
    print(f"\npipelines: {pipeline_rows:,} rows with latency")
    for name, cost in pipelines.items():
        print(f"  {line(name, cost, pipeline_rows)}")
    small = max(cost.peak_mb for some in costs.values() for cost in some[_FILE])
    figures = _worst(each) | _of_pipelines(pipelines) | _of_memory(small, larger)
    figures["org_spread"] = f"{max(_spread(some) for some in costs.values()):.2f}"
    figures |= {f"{operation}_{name}": value for operation, some in each.items() for name, value in some.items()}
    _hold_against_wishes(figures)
    print(f"load average at the end {os.getloadavg()[0]:.1f}")
    print("push: " + " ".join(f"{name}={value}" for name, value in figures.items()))


def _against(middle: Mapping[str, Cost]) -> dict[str, str]:
    """Ours beside the others: how many times faster than the best peer, how many times slower than the floor."""
    ours, floor = middle[_OURS], middle["floor"]
    peers = {name: cost for name, cost in middle.items() if name != "floor" and not name.startswith(_OURS)}
    figures = {"vs_floor": f"{ours.wall_s / floor.wall_s:.2f}", "parquet_vs_floor": f"{middle[_FILE].wall_s / floor.wall_s:.2f}"}
    if not peers:
        return {"vs_best_peer": "none", **figures}
    best = min(peers, key=lambda name: peers[name].wall_s)
    figures = {"vs_best_peer": f"{peers[best].wall_s / ours.wall_s:.2f}", "best_peer": _word(best), **figures}
    figures["floor_vs_best_peer"] = f"{peers[best].wall_s / floor.wall_s:.2f}"
    figures["vs_best_peer_cpu"] = f"{min(cost.cpu_s for cost in peers.values()) / ours.cpu_s:.2f}"
    return figures | {f"vs_{_word(name)}": f"{cost.wall_s / ours.wall_s:.2f}" for name, cost in peers.items()}


def _spread(costs: Mapping[str, Sequence[Cost]]) -> float:
    """The longest time that the org took for the rows over the shortest, of all runs of one operation with a single job."""
    times = [float(cost.told["org_s"]) for runs in costs.values() for cost in runs if cost.told["org_s"]]
    return max(times) / min(times) if times else 1.0


def _word(name: str) -> str:
    return name.replace(" ", "-")


def _worst(each: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Of the operations the one in which ours does worse, for each figure."""
    peers = [float(one["vs_best_peer"]) for one in each.values() if one["vs_best_peer"] != "none"]
    floors = [float(one["vs_floor"]) for one in each.values()]
    return {"vs_best_peer": f"{min(peers):.2f}" if peers else "none", "vs_floor": f"{max(floors):.2f}"}


def _of_pipelines(pipelines: Mapping[str, Cost]) -> dict[str, str]:
    peer = pipelines.get(_PIPELINE)
    return {"pipeline_vs_kinetic": f"{peer.wall_s / pipelines[_OURS].wall_s:.1f}" if peer else "none"}


def _of_memory(small_mb: float, larger: Cost | None) -> dict[str, str]:
    if larger is None:
        return {"peak_mb": f"{small_mb:.0f}"}
    return {"peak_mb": f"{max(small_mb, larger.peak_mb):.0f}", "peak_growth": f"{larger.peak_mb / small_mb:.2f}"}


def _hold_against_wishes(figures: Mapping[str, str]) -> None:
    def told(name: str) -> float | None:
        return None if figures.get(name, "none") == "none" else float(figures[name])

    peer, floor, pipeline, growth = (told(name) for name in ("vs_best_peer", "vs_floor", "pipeline_vs_kinetic", "peak_growth"))
    near = floor is not None and floor <= FLOOR_TIMES
    bulk = f"vs_best_peer = {figures['vs_best_peer']}, vs_floor = {figures['vs_floor']}"
    wishes = [
        (f"{bulk}, wanted at least {PEER_TIMES:g} or at most {FLOOR_TIMES:g}", near or (peer or 0.0) >= PEER_TIMES),
        (f"peak_mb = {figures['peak_mb']}, wanted at most {PEAK_MB:g}", float(figures["peak_mb"]) <= PEAK_MB),
    ]
    if pipeline is not None:
        wishes.append((f"pipeline_vs_kinetic = {pipeline:g}, wanted at least {PIPELINE_TIMES:g}", pipeline >= PIPELINE_TIMES))
    if growth is not None:
        wishes.append((f"peak_growth = {growth:g}, wanted at most {FLAT:g}", growth <= FLAT))
    if float(figures["org_spread"]) > STEADY:
        print(f"  NOT TO BE QUOTED: the org's own time for the same rows differs {figures['org_spread']} times; a busy machine")
    for text, met in wishes:
        print(f"  {'met   ' if met else 'MISSED'}  {text}")
