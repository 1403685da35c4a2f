"""The report of the DynamoDB benchmark: costs as tables, beside each other and beside what was wanted, and its last line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from measuring.postgres_report import line
from measuring.process import Cost, typical
from measuring.verdict import hold_against

STEADY = 1.25  # everybody does the same work each time; where CPU or rates differ by more, the machine was not ours alone
WANTED = (
    ("vs_boto3_decode", 8.0, True),
    ("decode_flat_columns", 25.0, True),
    ("vs_document_way", 5.0, True),
    ("peak_growth", 1.1, False),
    ("insert_vs_document", 1.0, True),
)
"""What was wanted: the figure, the bound, and whether more is better."""
OURS, DOCUMENT, CLIENT, FLOOR = "ours", "document's way", "boto3 client, COPY", "floor"
BUILDER, NAMES = "ours, builder", "ours, document's names"
TEXTS, VALUES = "rows, JSON as text", "rows, nested values"

Rates = Mapping[str, Mapping[str, Sequence[float]]]
Costs = Mapping[str, Sequence[Cost]]


@dataclass(slots=True)
class Result:
    """What was measured: decoding by kind of item and way, whole runs, ours on a larger table, rows that are in Python."""

    rates: Rates = field(default_factory=dict)
    costs: Costs = field(default_factory=dict)
    larger: Cost | None = None
    inserts: Costs = field(default_factory=dict)


def report(result: Result, *, items: int, larger_items: int) -> None:
    """Print the medians, what they mean, and the last line."""
    _tell_rates(result.rates)
    _tell_costs(f"{items:,} items x 16 attributes from DynamoDB into PostgreSQL; all tables are equal", result.costs, items)
    _tell_costs("rows that are in Python already; all tables are equal", result.inserts, items)
    whole = _of_costs(result.costs)
    figures = _first(_of_rates(result.rates)) | _first(whole) | _of_rates(result.rates) | whole
    figures |= _of_inserts(result.inserts) | _of_larger(result, larger_items)
    _tell_spread(result, figures)
    hold_against(WANTED, figures)
    print(f"load average at the end {os.getloadavg()[0]:.1f}")
    print("dynamodb: " + " ".join(f"{name}={value}" for name, value in figures.items()))


def _first(figures: Mapping[str, str]) -> dict[str, str]:
    names = ("vs_boto3_decode", "vs_document_way", "vs_floor", "peak_mb")
    return {name: figures[name] for name in names if name in figures}


def _tell_rates(rates: Rates) -> None:
    for kind, ways in rates.items():
        print(f"\nmedians: decoding pages of {kind} items, one thread; all values are equal")
        for way, some in ways.items():
            times = "" if way == "boto3" else f"  {median(some) / median(ways['boto3']):6.1f} x boto3"
            print(f"  {way:<10} {median(some):9,.0f} items/CPU-s{times}")


def _tell_costs(what: str, costs: Costs, items: int) -> None:
    if not costs:
        return
    print(f"\nmedians: {what}")
    for name, cost in sorted(((name, typical(some)) for name, some in costs.items()), key=lambda one: one[1].cpu_s):
        print(f"  {line(name, cost, rows=items)}")


def _of_rates(rates: Rates) -> dict[str, str]:
    if not rates:
        return {}
    times = {(kind, way): median(some) / median(ways["boto3"]) for kind, ways in rates.items() for way, some in ways.items()}
    wanted = {
        "vs_boto3_decode": ("nested", "all"),
        "decode_flat_columns": ("nested", "columns"),
        "decode_flat_items": ("flat", "all"),
        "decode_python": ("nested", "items"),
        "decode_python_flat_items": ("flat", "items"),
    }
    return {name: f"{times[place]:.1f}" for name, place in wanted.items()}


def _of_costs(costs: Costs) -> dict[str, str]:
    if not costs:
        return {}
    middle = {name: typical(some) for name, some in costs.items()}
    ours, document, floor = middle[OURS], middle[DOCUMENT], middle[FLOOR]
    return {
        "vs_document_way": _times(document, ours),
        "vs_floor": _times(ours, floor),
        "peak_mb": f"{ours.peak_mb:.0f}",
        "vs_document_way_wall": f"{document.wall_s / ours.wall_s:.2f}",
        "vs_floor_wall": f"{ours.wall_s / floor.wall_s:.2f}",
        "vs_client_copy": _times(middle[CLIENT], ours),
        "builder_vs_document_way": _times(document, middle[BUILDER]),
        "names_vs_document_way": _times(document, middle[NAMES]),
        "document_way_peak_mb": f"{document.peak_mb:.0f}",
    }


def _of_inserts(costs: Costs) -> dict[str, str]:
    if not costs:
        return {}
    middle = {name: typical(some) for name, some in costs.items()}
    pairs = {name: (middle[f"document, {what}"], middle[f"ours, {what}"]) for name, what in _INSERTS.items()}
    figures = {name: _times(document, ours) for name, (document, ours) in pairs.items()}
    return figures | {f"{name}_wall": f"{document.wall_s / ours.wall_s:.2f}" for name, (document, ours) in pairs.items()}


_INSERTS = {"insert_vs_document": TEXTS, "insert_nested_vs_document": VALUES}


def _of_larger(result: Result, items: int) -> dict[str, str]:
    if result.larger is None:
        return {}
    peak_mb = max(cost.peak_mb for cost in result.costs[OURS])
    print(f"\npeak memory of ours: {peak_mb:.0f} MB, and {result.larger.peak_mb:.0f} MB for {items:,} items")
    print(f"  {line(f'ours, {items:,} items', result.larger, rows=items)}")
    return {"peak_mb_larger": f"{result.larger.peak_mb:.0f}", "peak_growth": f"{result.larger.peak_mb / peak_mb:.2f}"}


def _tell_spread(result: Result, figures: dict[str, str]) -> None:
    """Anybody's dearest turn over its cheapest: the same work each time."""
    spreads = {
        "decode_spread": [max(some) / min(some) for ways in result.rates.values() for some in ways.values()],
        "spread": [
            max(one.cpu_s for one in some) / min(one.cpu_s for one in some)
            for costs in (result.costs, result.inserts)
            for some in costs.values()
        ],
    }
    for name, found in spreads.items():
        if found:
            figures[name] = f"{max(found):.2f}"
            if max(found) > STEADY:
                print(f"  NOT TO BE QUOTED: CPU for the same work differs {max(found):.2f} times ({name}); a busy machine")


def _times(one: Cost, other: Cost) -> str:
    return f"{one.cpu_s / other.cpu_s:.2f}"
