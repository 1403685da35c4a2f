"""The report of the files benchmark: best rounds as tables, held against each other, and its last line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from measuring.phases import PHASES
from measuring.process import Cost

STEADY = 1.25  # all do the same work in the org; where its CPU for the same bytes differs by more, the machine was not ours alone
PEER_TIMES, PEAK_MB = 1.0, 300.0  # wanted: no slower than a peer, or than a bare loop over boto3
_OURS, _COMMAND, _CLASS, _FLOOR, _PEER = "ours", "ours, halocline run", "ours, Orchestrator", "floor", "kicksaw"
Phases = Mapping[str, Mapping[str, float]]


@dataclass(slots=True)
class Result:
    """What was measured: file jobs by number of rows; the queue near, and where every call waits (`far`)."""

    files: dict[int, dict[str, list[Cost]]] = field(default_factory=dict)
    near: dict[str, list[Phases]] = field(default_factory=dict)
    far: dict[str, list[Phases]] = field(default_factory=dict)


def line(name: str, cost: Cost, rows: int) -> str:
    """One run of a file job in one line."""
    told = cost.told
    return (
        f"{name:<22} wall {cost.wall_s:7.2f} s  {rows / cost.wall_s:9,.0f} rows/s  CPU {cost.cpu_s:6.2f} s"
        f" (org {told['org_cpu_s']:6.2f}, AWS {told['aws_cpu_s']:5.2f})  peak {cost.peak_mb:5.0f} MB"
        f"  calls {told['org_calls']:3.0f} + {told['aws_calls']:2.0f}"
    )


def queue_line(name: str, phases: Phases, messages: int) -> str:
    """One run through a queue in one line."""
    each = (
        f"{phase} {messages / phases[phase]['wall_s']:8,.0f}/s {phases[phase]['cpu_s'] / messages * 1e6:5.0f} us"
        f" (AWS {phases[phase]['aws_cpu_s'] / messages * 1e6:3.0f} us, {phases[phase]['calls']:5,.0f} calls)"
        for phase in PHASES
    )
    return f"{name:<8} " + "  ".join(each)


def report(result: Result, *, messages: int, latency_messages: int) -> None:
    """Print the best rounds, what they mean, and the last line."""
    figures: dict[str, str] = {}
    for rows, costs in sorted(result.files.items(), reverse=True):
        best = {name: best_of(some) for name, some in costs.items()}
        print(f"\nbest of {max(map(len, costs.values()))}: a file of {rows:,} rows, sorted by wall clock")
        for name, cost in sorted(best.items(), key=lambda item: item[1].wall_s):
            print(f"  {line(name, cost, rows)}")
        prefix = f"rows{rows}_" if figures else ""
        figures |= {f"{prefix}{name}": value for name, value in _against(best).items()}
    for where, told, count in (("queue", result.near, messages), ("far", result.far, latency_messages)):
        if told:
            best_phases = {name: best_round(some) for name, some in told.items()}
            distance = "each call with latency" if where == "far" else "near"
            print(f"\nbest of {max(map(len, told.values()))}: {count:,} messages, {distance}")
            for name, phases in best_phases.items():
                print(f"  {queue_line(name, phases, count)}")
            figures |= {f"{where}_{name}": value for name, value in _of_queue(best_phases, count).items()}
    if result.files:
        _tell_spread(result.files, figures)
    _hold_against_wishes(figures)
    print(f"load average at the end {os.getloadavg()[0]:.1f}")
    print("files: " + " ".join(f"{name}={value}" for name, value in figures.items()))


def best_of(costs: Sequence[Cost]) -> Cost:
    """The least wall clock and the least CPU, each of its own round, and the greatest memory; what the quickest said."""
    quickest = min(costs, key=lambda cost: cost.wall_s)
    return Cost(quickest.wall_s, min(cost.cpu_s for cost in costs), max(cost.peak_mb for cost in costs), quickest.told)


def best_round(rounds: Sequence[Phases]) -> dict[str, dict[str, float]]:
    """The same for each phase."""
    return {
        phase: {name: min(one[phase][name] for one in rounds) for name in ("wall_s", "cpu_s", "aws_cpu_s", "calls")}
        for phase in PHASES
    }


def _against(best: Mapping[str, Cost]) -> dict[str, str]:
    """Ours beside the others: how many times as fast as the fastest peer, how many times as slow as the floor."""
    ours, floor = best[_OURS], best[_FLOOR]
    peak_mb = max(ours.peak_mb, best[_COMMAND].peak_mb)
    figures = {"vs_best_peer": "none", "vs_floor": f"{ours.wall_s / floor.wall_s:.2f}", "peak_mb": f"{peak_mb:.0f}"}
    figures |= {"cpu_s": f"{ours.cpu_s:.2f}", "calls": f"{ours.told['org_calls'] + ours.told['aws_calls']:.0f}"}
    for name, word in ((_COMMAND, "run"), (_CLASS, "orchestrator")):
        figures[f"{word}_vs_floor"] = f"{best[name].wall_s / floor.wall_s:.2f}"
    figures["orchestrator_peak_mb"] = f"{best[_CLASS].peak_mb:.0f}"
    peers = [cost for name, cost in best.items() if name.startswith(_PEER)]
    if not peers:
        return figures
    wall_s, cpu_s = min(cost.wall_s for cost in peers), min(cost.cpu_s for cost in peers)
    return figures | {
        "vs_best_peer": f"{wall_s / ours.wall_s:.2f}",
        "vs_best_peer_cpu": f"{cpu_s / ours.cpu_s:.2f}",
        "orchestrator_vs_best_peer": f"{wall_s / best[_CLASS].wall_s:.2f}",
        "orchestrator_vs_best_peer_cpu": f"{cpu_s / best[_CLASS].cpu_s:.2f}",
        "floor_vs_best_peer": f"{wall_s / floor.wall_s:.2f}",
        "peer_peak_mb": f"{min(cost.peak_mb for cost in peers):.0f}",
        "peer_org_cpu": f"{min(cost.told['org_cpu_s'] for cost in peers) / ours.told['org_cpu_s']:.2f}",
    }


def _of_queue(best: Mapping[str, Phases], messages: int) -> dict[str, str]:
    """For each phase our messages per second and CPU, and how many times those of the others."""
    figures = {}
    for phase in PHASES:
        ours = best[_OURS][phase]
        figures[f"{phase}_per_s"] = f"{messages / ours['wall_s']:.0f}"
        for name in (one for one in best if one != _OURS):
            figures[f"{phase}_vs_{name}"] = f"{best[name][phase]['wall_s'] / ours['wall_s']:.2f}"
        figures[f"{phase}_cpu_us"] = f"{ours['cpu_s'] / messages * 1e6:.0f}"
    return figures


def _tell_spread(files: Mapping[int, Mapping[str, Sequence[Cost]]], figures: dict[str, str]) -> None:
    """The most CPU that the org took for one contender's file over the least."""
    spread = 1.0
    for costs in files.values():
        for some in costs.values():
            times = [float(cost.told["org_cpu_s"]) for cost in some]
            spread = max(spread, max(times) / min(times))
    figures["org_spread"] = f"{spread:.2f}"
    if spread > STEADY:
        print(
            f"  NOT TO BE QUOTED: the org's own CPU for the same file differs {spread:.2f} times between rounds; a busy machine"
        )


def _hold_against_wishes(figures: Mapping[str, str]) -> None:
    least = ["vs_best_peer", *(f"{where}_{phase}_vs_boto3" for where in ("queue", "far") for phase in PHASES)]
    wishes = [(name, PEER_TIMES, "least") for name in least] + [("peak_mb", PEAK_MB, "most")]
    for name, wanted, bound in wishes:
        if figures.get(name, "none") != "none":
            got = float(figures[name])
            met = got >= wanted if bound == "least" else got <= wanted
            print(f"  {'met   ' if met else 'MISSED'}  {name} = {got:g}, wanted at {bound} {wanted:g}")
