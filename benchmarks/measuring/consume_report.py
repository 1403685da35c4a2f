"""The report of the consume benchmark: best and median rounds as tables, held against each other, and its last line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

STEADY = 1.25  # all turns of a consumer do the same work; where its CPU differs by more, the machine was not ours alone
WANTED = (
    ("vs_boto3_loop", 1.0, True),
    ("vs_dramatiq", 5.0, True),
    ("idempotency_vs_set_nx", 1.2, False),
    ("idempotency_us", 50.0, False),
    ("far_vs_boto3_loop", 1.0, True),
)
"""What was wanted: the figure, the bound, and whether more is better."""
_FIRST = (
    *("vs_boto3_loop", "vs_dramatiq", "idempotency_us", "idempotency_vs_set_nx"),
    *("vs_powertools", "vs_celery", "vs_taskiq", "cpu_us_per_message"),
)
_OURS, _BARE, _LOOP, _LOOPS = "ours", "ours, no store", "boto3", "boto3, 4 threads"
_PEERS = ("dramatiq", "powertools", "celery", "taskiq")


@dataclass(frozen=True, slots=True)
class Turn:
    """One contender's turn: how many messages (or records), seconds, and CPU of its own and of AWS."""

    messages: int
    wall_s: float
    cpu_s: float
    aws_cpu_s: float = 0.0
    calls: int = 0
    peak_mb: float = 0.0

    @property
    def per_s(self) -> float:
        """Messages a second."""
        return self.messages / self.wall_s

    @property
    def us(self) -> float:
        """Microseconds a message, by the clock."""
        return self.wall_s / self.messages * 1e6

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a message."""
        return self.cpu_s / self.messages * 1e6

    @property
    def aws_us(self) -> float:
        """Microseconds of AWS's CPU a message."""
        return self.aws_cpu_s / self.messages * 1e6


Turns = Mapping[str, Sequence[Turn]]


@dataclass(slots=True)
class Result:
    """What was measured: the queue near, and where every call waits (`far`), and the cost of a record."""

    near: dict[str, list[Turn]] = field(default_factory=dict)
    far: dict[str, list[Turn]] = field(default_factory=dict)
    records: dict[str, list[Turn]] = field(default_factory=dict)


def line(name: str, turn: Turn) -> str:
    """One turn of a consumer in one line."""
    return (
        f"{name:<17} {turn.per_s:8,.0f} messages/s  CPU {turn.cpu_us:6,.0f} us  (AWS {turn.aws_us:4,.0f} us,"
        f" {turn.calls / turn.messages:5.2f} calls)  {turn.messages:6,} in {turn.wall_s:5.2f} s  peak {turn.peak_mb:4.0f} MB"
    )


def record_line(name: str, turn: Turn) -> str:
    """One turn of claiming in one line."""
    return f"{name:<12} {turn.us:6.1f} us a record, CPU {turn.cpu_us:6.1f} us"


def report(result: Result, *, latency_s: float) -> None:
    """Print the best and the median rounds, what they mean, and the last line."""
    figures: dict[str, str] = {}
    _tell("near", result.near, line)
    _tell(f"each call waits {latency_s * 1_000:g} ms", result.far, line)
    _tell(
        "records: ours claimed and done, ten in a round trip; SET NX PX and Powertools one by one",
        result.records,
        record_line,
    )
    near, records = _against(result.near), _of_records(result.records)
    figures |= {name: found[name] for name in _FIRST for found in (near, records) if name in found}
    figures |= near | records
    figures |= {f"far_{name}": value for name, value in _against(result.far).items()}
    if result.near:
        _tell_spread(result.near, figures)
    _hold_against_wishes(figures)
    print(f"load average at the end {os.getloadavg()[0]:.1f}")
    print("consume: " + " ".join(f"{name}={value}" for name, value in figures.items()))


def best_of(turns: Sequence[Turn]) -> Turn:
    """The least of everything, each of its own round; the greatest memory."""
    return Turn(
        turns[0].messages,
        min(one.wall_s for one in turns),
        min(one.cpu_s for one in turns),
        min(one.aws_cpu_s for one in turns),
        min(one.calls for one in turns),
        max(one.peak_mb for one in turns),
    )


def middle_of(turns: Sequence[Turn]) -> Turn:
    """The median of everything; the greatest memory."""
    return Turn(
        turns[0].messages,
        median(one.wall_s for one in turns),
        median(one.cpu_s for one in turns),
        median(one.aws_cpu_s for one in turns),
        round(median(one.calls for one in turns)),
        max(one.peak_mb for one in turns),
    )


def _tell(what: str, turns: Turns, told: object) -> None:
    """A table of the best rounds and one of the medians."""
    if not turns or not callable(told):
        return
    for word, chosen in (("best", best_of), ("median", middle_of)):
        print(f"\n{word} of {max(map(len, turns.values()))}: {what}")
        for name, one in sorted(((name, chosen(some)) for name, some in turns.items()), key=lambda item: item[1].us):
            print(f"  {told(name, one)}")


def _against(turns: Turns) -> dict[str, str]:
    """How many times as fast as the others we are, by best rounds, and our own figures. `none`: who was not there."""
    if not turns:
        return {}
    best = {name: best_of(some) for name, some in turns.items()}
    ours = best[_OURS]

    def times(name: str) -> str:
        return f"{ours.per_s / best[name].per_s:.2f}" if name in best else "none"

    figures = {"vs_boto3_loop": times(_LOOP), **{f"vs_{name}": times(name) for name in _PEERS}}
    figures |= {"vs_boto3_threads": times(_LOOPS), "per_s": f"{ours.per_s:.0f}", "cpu_us_per_message": f"{ours.cpu_us:.0f}"}
    figures |= {f"{word}_cpu_us": f"{best[name].cpu_us:.0f}" for name, word in ((_LOOP, "boto3_loop"),)}
    figures |= {f"{name}_cpu_us": f"{best[name].cpu_us:.0f}" for name in _PEERS if name in best}
    figures |= {"no_store_per_s": f"{best[_BARE].per_s:.0f}", "no_store_cpu_us": f"{best[_BARE].cpu_us:.0f}"}
    middle = {name: middle_of(turns[name]) for name in (_OURS, _LOOP)}
    figures["median_vs_boto3_loop"] = f"{middle[_OURS].per_s / middle[_LOOP].per_s:.2f}"
    return figures


def _of_records(turns: Turns) -> dict[str, str]:
    """Our cost of a record beside that of the bare SET, and of the peer."""
    if not turns:
        return {}
    best, middle = ({name: chosen(some) for name, some in turns.items()} for chosen in (best_of, middle_of))
    ours, bare = best["ours"], best["SET NX PX"]
    figures = {"idempotency_us": f"{ours.us:.1f}", "idempotency_vs_set_nx": f"{ours.us / bare.us:.2f}"}
    figures |= {"idempotency_cpu_us": f"{ours.cpu_us:.1f}", "set_nx_us": f"{bare.us:.1f}", "set_nx_cpu_us": f"{bare.cpu_us:.1f}"}
    figures["median_idempotency_vs_set_nx"] = f"{middle['ours'].us / middle['SET NX PX'].us:.2f}"
    if "powertools" in best:
        figures["powertools_idempotency_us"] = f"{best['powertools'].us:.1f}"
    return figures


def _tell_spread(turns: Turns, figures: dict[str, str]) -> None:
    """The CPU of anybody's dearest turn over that of its cheapest: the same work each time."""
    spread = max(max(one.cpu_s for one in some) / min(one.cpu_s for one in some) for some in turns.values())
    figures["spread"] = f"{spread:.2f}"
    if spread > STEADY:
        print(f"  NOT TO BE QUOTED: CPU for the same messages differs {spread:.2f} times between rounds; a busy machine")


def _hold_against_wishes(figures: Mapping[str, str]) -> None:
    for name, wanted, more in WANTED:
        if figures.get(name, "none") != "none":
            got = float(figures[name])
            met = got >= wanted if more else got <= wanted
            print(f"  {'met   ' if met else 'MISSED'}  {name} = {got:g}, wanted at {'least' if more else 'most'} {wanted:g}")
