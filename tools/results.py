"""The page of benchmark results and README's table, made from what the benchmarks printed (benchmarks/results/*.txt).

usage: results.py [--check]

With --check nothing is written; a page or a table that is not what the runs say ends in exit code 1.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from markdown import table

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "benchmarks" / "results"
PAGE, README = ROOT / "docs" / "results.md", ROOT / "README.md"
BEGIN, END = "<!-- benchmarks: made by `make bench` -->", "<!-- end of benchmarks -->"
STEADY = 1.25  # as in the benchmarks: where the cost of the same work differs by more, the machine was not ours alone
_ROUND = re.compile(r"^ +round \d+ +(?P<who>.+?)  .*?CPU +(?P<cpu>[\d.,]+)")
_WISH = re.compile(r"^ +(?P<met>met|MISSED) +(?P<figure>\S+) = \S+, wanted (?P<bound>.+)$", re.MULTILINE)
_MADE = re.compile(r"^# (?P<day>\d{4}-\d{2}-\d{2})(?:, (?P<seconds>\d+) s)?$", re.MULTILINE)
_PEAK = re.compile(r"^ +ours  .*peak +(\d+) MB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """A benchmark that ran to its end: its name, and what it printed, headed by the day and, where it is known, its seconds."""

    name: str
    text: str

    @property
    def day(self) -> date:
        """The day on which it began."""
        return date.fromisoformat(self._made["day"])

    @property
    def seconds(self) -> int | None:
        """How long it took."""
        return None if self._made["seconds"] is None else int(self._made["seconds"])

    @property
    def figures(self) -> dict[str, str]:
        """The line of figures with which it ended."""
        told = next(line for line in reversed(self.text.splitlines()) if line.startswith(f"{self.name}: "))
        return dict(re.findall(r"(\S+)=(\S+)", told))

    @property
    def wishes(self) -> dict[str, tuple[str, str]]:
        """Figure -> whether it was met, and what was wanted."""
        return {found["figure"]: (found["met"], found["bound"]) for found in _WISH.finditer(self.text)}

    @property
    def spread(self) -> float | None:
        """The most cost of the same work over the least, as the run says, else by the CPU of each contender's rounds."""
        said = [float(value) for name, value in self.figures.items() if name.endswith("spread")]
        costs: dict[str, list[float]] = defaultdict(list)
        for found in filter(None, map(_ROUND.match, self.text.splitlines())):
            costs[found["who"]].append(float(found["cpu"].replace(",", "")))
        seen = [max(some) / min(some) for some in costs.values() if len(some) > 1]
        return max(said or seen, default=None)

    @property
    def peak_mb(self) -> str:
        """The most memory that ours took, as the figures or the lines of ours say; "" where none is told."""
        peaks = [int(mb) for mb in _PEAK.findall(self.text)]
        return self.figures.get("peak_mb") or (str(max(peaks)) if peaks else "")

    @property
    def is_quotable(self) -> bool:
        """Whether its figures may be told without saying that the machine had other work."""
        return "NOT TO BE QUOTED" not in self.text and (self.spread or 1.0) <= STEADY

    def line(self, beginning: str) -> str:
        """The rest of the first line that begins so."""
        return next((line.removeprefix(beginning).strip() for line in self.text.splitlines() if line.startswith(beginning)), "")

    @property
    def machine(self) -> str:
        """What it ran on."""
        return next(line for line in self.text.splitlines() if " cores, " in line)

    @property
    def _made(self) -> re.Match[str]:
        found = _MADE.search(self.text)
        assert found, f"{self.name}: the first line is no `# 2026-11-21, 250 s`"
        return found


@dataclass(frozen=True, slots=True)
class Job:
    """What README says of a benchmark: the job, and how it stands beside the best peer and beside the floor, with its figures."""

    told: str
    peer: str = ""
    floor: str = ""


_PEERS = {
    "simple-salesforce-download": "simple-salesforce `download()`",
    "kinetic-core-bulk": "kinetic-core `client.bulk`",
    "simple-salesforce-bulk2": "simple-salesforce `bulk2`",
    "dlt-Arrow-and-ADBC": "dlt by Arrow and ADBC",
}
JOBS = {
    "extract": Job(
        "1,000,000 Accounts into a DuckDB file",
        "{vs_best_peer} (CPU), {vs_best_peer_wall} (wall): {best_peer}",
        "{vs_floor} (CPU), {vs_floor_wall} (wall)",
    ),
    "postgres": Job("1,000,000 Accounts into PostgreSQL", "{vs_best_peer} (CPU): {best_peer}", "{vs_floor} (CPU)"),
    "push": Job("200,000 rows into Salesforce by Bulk", "{vs_best_peer} (wall): {upsert_best_peer}", "{vs_floor} (wall)"),
    "files": Job(
        "a file of 200,000 rows from S3 into Salesforce", "{vs_best_peer} (wall): kicksaw-integration-utils", "{vs_floor} (wall)"
    ),
    "dynamodb": Job("50,000 items of DynamoDB into PostgreSQL", "{vs_client_copy} (CPU): boto3 and COPY", "{vs_floor} (CPU)"),
    "consume": Job("messages of SQS, each handled once", "{vs_boto3_loop} (messages/s): a boto3 loop that remembers nothing"),
    "torture": Job(
        "10,000 messages, workers killed all the time",
        "{transaction_lost} lost, {transaction_doubled} doubled (`context.transaction`);"
        " Powertools: {powertools_lost} and {powertools_doubled}",
    ),
    "pages": Job("the emulator's own Bulk pages", floor="{vs_static} of a static file server's rate"),
}


def main(arguments: list[str]) -> int:
    """Write page and table, or compare them with the runs."""
    runs = {name: Run(name, (RUNS / f"{name}.txt").read_text()) for name in JOBS}
    before, rest = README.read_text().split(BEGIN)
    readme = f"{before}{BEGIN}\n\n{summary(runs)}\n\n{END}{rest.split(END)[1]}"
    different = [path for path, text in ((PAGE, page(runs)), (README, readme)) if not path.exists() or path.read_text() != text]
    if "--check" not in arguments:
        PAGE.write_text(page(runs))
        README.write_text(readme)
        return 0
    for path in different:
        print(f"{path.relative_to(ROOT)} is not what benchmarks/results say: run tools/results.py", file=sys.stderr)
    return 1 if different else 0


def page(runs: Mapping[str, Run]) -> str:
    """docs/results.md."""
    parts = [_HEAD, summary(runs), _NOTE, *(_section(run) for run in runs.values())]
    return "\n\n".join(part.strip() for part in parts) + "\n"


_HEAD = """
# Benchmark results

`make bench` runs all benchmarks, one after the other, and writes this page and README's table; `make bench
NAME=extract` does so for one. What each measures, how, and why it comes to what it does, is told in
[benchmarks](benchmarks.md). What a run printed is kept as it was, in `benchmarks/results/`.
"""
_NOTE = """
Beside a peer more is better: 2 is half of its cost, or twice its rate. Beside the floor less is better: the floor does
the least that the job can cost, and checks nothing. A run marks itself as not to be quoted (†) when the cost of the
same work differed by more than a quarter between its rounds: its ratios, whose sides take turns, are of use, absolute
figures less so.
"""


def summary(runs: Mapping[str, Run]) -> str:
    """The table that README shows."""
    rows = []
    for name, run in runs.items():
        job, figures = JOBS[name], {figure: _PEERS.get(value, value) for figure, value in run.figures.items()}
        peak = f"{run.peak_mb} MB" if run.peak_mb else ""
        made = f"`make bench NAME={name}`, {_told(run.day)}{'' if run.is_quotable else ' †'}"
        cells = (job.told, job.peer.format_map(figures), job.floor.format_map(figures), peak, made)
        rows.append(cells)
    return table(("job", "beside the best peer", "beside the floor", "peak memory", "run"), rows)


def _section(run: Run) -> str:
    load = f"{run.line('load average at the start')} at the start, {run.line('load average at the end')} at the end"
    took = "" if run.seconds is None else f", {_minutes(run.seconds)}"
    head = f"{_told(run.day)}{took}. {run.machine}; load average {load}. {_quoted(run)}"
    versions = [f"- {line}" for line in run.text.splitlines() if line.startswith(("ours: ", "peer: "))]
    rows = [(f"`{name}`", value, *_wish(run, name)) for name, value in run.figures.items()]
    figures = table(("figure", "got", "wanted", ""), rows)
    return "\n\n".join((f"## {run.name}", head, "\n".join(versions), figures))


def _quoted(run: Run) -> str:
    if run.spread is None:
        return "The spread between rounds was not measured."
    return f"{'To' if run.is_quotable else '**Not** to'} be quoted: the spread between rounds is {run.spread:.2f}."


def _wish(run: Run, figure: str) -> Iterator[str]:
    met, bound = run.wishes.get(figure, ("", ""))
    yield bound
    yield met.lower()


def _told(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
