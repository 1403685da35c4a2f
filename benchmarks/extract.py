"""Salesforce into a DuckDB file: Halocline, lht, simple-salesforce and a floor, against one emulator. `make bench NAME=extract`.

Environment: ROWS (1,000,000), ROUNDS (3 for ours, the floor and the closest peer, else 1), SCALE (3: how many times larger the
org is for the last run; 1 leaves that out), ONLY_PEERS (a comma between them; `none`), MEMORY (DuckDB's memory_limit, for all),
SEED (of the records and of the order of turns).
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import machine, verdict
from measuring.org import Org
from measuring.place import place
from measuring.process import Cost, Failed, Process, run, typical
from measuring.verdict import Later, line

HERE = Path(__file__).resolve().parent
VENVS = HERE.parent / ".bench-venvs"
CLOCK_STEP_S = 3_600.0  # moved before the edits: past the overlap of 600 s
OURS, FLOOR = "contenders/ours.py", "contenders/floor.py"
PEERS = (
    ("simple-salesforce download()", "simple-salesforce", "peers/simple_salesforce_files.py", "main.accounts"),
    ("simple-salesforce query()", "simple-salesforce", "peers/simple_salesforce_texts.py", "main.accounts"),
    ("lht", "lht", "peers/lht.py", "raw.accounts"),
)
CLOSEST_PEER = "simple-salesforce download()"  # measured as often as ours, because the verdict hangs on it


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks for."""

    rows: int
    rounds: int
    peer_rounds: int
    scale: int
    peers: str
    memory: str
    seed: int

    @classmethod
    def from_env(cls) -> Settings:
        env = os.environ
        return cls(
            rows=int(env.get("ROWS", "1000000")),
            rounds=int(env.get("ROUNDS", "3")),
            peer_rounds=int(env.get("ROUNDS", "1")),
            scale=int(env.get("SCALE", "3")),
            peers=env.get("ONLY_PEERS", "all"),
            memory=env.get("MEMORY", "160MB"),
            seed=int(env.get("SEED", "20261121")),
        )


@dataclass(frozen=True, slots=True)
class Contender:
    """Who reads: its script, the Python that runs it, the table that it fills, how often it has its turn, its own options."""

    name: str
    script: str
    python: str = sys.executable
    table: str = "main.accounts"
    rounds: int = 1
    options: Mapping[str, str] = field(default_factory=dict)


def main() -> None:
    """Measure, print, and end with the line of figures; a table that is not as the others is a failure."""
    settings = Settings.from_env()
    peers = list(_peers(settings))
    print(machine.told(peer.python for peer in peers))
    with place("extract") as folder:
        print(f"seeding {settings.rows:,} Accounts (not measured) ...", flush=True)
        org = Org(folder, accounts=settings.rows, seed_number=settings.seed)
        try:
            bench = Bench(settings, org, folder)
            costs = bench.rounds([*_own(settings), *peers])
            later = bench.later(typical(costs["ours"]))
            larger = bench.larger()
        finally:
            org.stop()
    verdict.report(costs, later, larger, rows=settings.rows, memory=settings.memory)


def _own(settings: Settings) -> Iterator[Contender]:
    yield Contender("ours", OURS, rounds=settings.rounds)
    for encoding in ("identity", "gzip", "gz"):
        yield Contender(f"floor {encoding}", FLOOR, rounds=settings.rounds, options={"encoding": encoding})


def _peers(settings: Settings) -> Iterator[Contender]:
    for name, venv, script, table in PEERS:
        if settings.peers != "all" and venv not in settings.peers.split(","):
            continue
        python = VENVS / venv / "bin" / "python"
        if python.exists():
            rounds = settings.rounds if name == CLOSEST_PEER else settings.peer_rounds
            yield Contender(name, script, str(python), table, rounds)
        else:
            print(f"{name} is left out: {VENVS.name}/{venv} is not there; make bench makes it")


class Bench:
    """One org, and who reads from it. Every table is compared with the first one, value by value, through its hash."""

    def __init__(self, settings: Settings, org: Org, folder: Path) -> None:
        self._settings = settings
        self._org = org
        self._folder = folder
        self._content: dict[str, Any] | None = None

    def rounds(self, contenders: Sequence[Contender]) -> dict[str, list[Cost]]:
        """Everybody's costs; in each round the order is another one."""
        costs: dict[str, list[Cost]] = {contender.name: [] for contender in contenders}
        dice = random.Random(self._settings.seed)
        for number in range(max(contender.rounds for contender in contenders)):
            turn = [contender for contender in contenders if number < contender.rounds]
            dice.shuffle(turn)
            for contender in turn:
                cost = self._one(contender)
                costs[contender.name].append(cost)
                print(f"  round {number + 1}  {line(contender.name, cost, rows=self._settings.rows)}", flush=True)
        return costs

    def later(self, full: Cost) -> list[Later]:
        """The same incremental run twice: in the process that did the full one, and in a fresh one on a copy of its table."""
        home, copy = self._folder / "later", self._folder / "copy"
        warm, told = self._in_one_process(home, copy)
        fresh = run([sys.executable, str(HERE / OURS)], self._wanted(copy))
        runs = [
            Later("same process", told["wall_s"], told["cpu_s"], warm, told),
            Later("fresh process", fresh.wall_s, fresh.cpu_s, full, fresh.told),
        ]
        self._compare_with_a_new_table((home, copy))
        for one in runs:
            self._check_later(one)
        shutil.rmtree(home)
        shutil.rmtree(copy)
        return runs

    def larger(self) -> Cost | None:
        """Ours alone on an org that is SCALE times as large."""
        rows = self._settings.rows * self._settings.scale
        if self._settings.scale <= 1:
            return None
        more = rows - self._settings.rows
        print(f"seeding {more:,} Accounts more (not measured) ...", flush=True)
        self._org.seed_more(more, seed_number=self._settings.seed + 1)
        cost = run([sys.executable, str(HERE / OURS)], self._wanted(self._folder / "larger"))
        if cost.told["counts"]["inserted"] != rows:
            raise Failed(f"the larger run inserted {cost.told['counts']['inserted']:,} rows, not {rows:,}")
        print(f"  {line(f'ours, {rows:,} rows', cost, rows=rows)}", flush=True)
        return cost

    def _one(self, contender: Contender) -> Cost:
        home = self._folder / "turn"
        wanted = self._wanted(home) | dict(contender.options)
        cost = run([contender.python, str(HERE / contender.script)], wanted)
        self._org.forget_jobs()
        found = self._content_of(wanted["database"], contender.table)
        shutil.rmtree(home)
        self._content = self._content or found
        if found != self._content or found["rows"] != self._settings.rows:
            raise Failed(f"{contender.name} has another table: {found}, not {self._content}")
        return cost

    def _in_one_process(self, home: Path, copy: Path) -> tuple[Cost, dict[str, Any]]:
        """A full run, then the clock is moved and a hundredth of the records edited, then an incremental run; both as told."""
        wanted = self._wanted(home) | {"later": True}
        process = Process([sys.executable, str(HERE / OURS)], wanted)
        try:
            first = process.answer()
            copy.mkdir()
            shutil.copy(wanted["database"], copy / "lake.duckdb")
            self._org.advance(CLOCK_STEP_S)
            self._org.edit(self._org.hundredth, phone="+41 44 000 00 00")
            process.ask()
            told = process.answer()
            peak_mb = process.end(told).peak_mb
        finally:
            process.close()
        return Cost(first["wall_s"], first["cpu_s"], peak_mb, first), told

    def _compare_with_a_new_table(self, homes: Sequence[Path]) -> None:
        """After the edits, the merged tables must equal one that is read anew, by the floor, which shares no code with ours."""
        anew = self._wanted(self._folder / "anew") | {"encoding": "identity"}
        run([sys.executable, str(HERE / FLOOR)], anew)
        truth = self._content_of(anew["database"], "main.accounts")
        shutil.rmtree(self._folder / "anew")
        if truth == self._content:
            raise Failed("the edits changed nothing")
        for home in homes:
            found = self._content_of(str(home / "lake.duckdb"), "main.accounts")
            if found != truth:
                raise Failed(f"after the incremental run the table differs: {found}, not {truth}")

    def _check_later(self, later: Later) -> None:
        counts, edits = later.told["counts"], len(self._org.hundredth)
        if (counts["inserted"], counts["updated"], counts["deleted"]) != (0, edits, 0):
            raise Failed(f"the incremental run ({later.name}) changed other rows than were edited: {counts}")

    def _content_of(self, database: str, table: str) -> dict[str, Any]:
        wanted = {"database": database, "table": table, "fields": self._org.fields}
        found = dict(run([sys.executable, str(HERE / "measuring/table.py")], wanted).told)
        missing = [name for name in ("newlines", "quotes", "beyond_latin", "nulls") if not found[name]]
        if missing:
            raise Failed(f"the seeded values hold no {', '.join(missing)}")
        return found

    def _wanted(self, home: Path) -> dict[str, Any]:
        home.mkdir(parents=True, exist_ok=True)
        return {
            "url": self._org.url,
            "token": self._org.token,
            "home": str(home),
            "database": str(home / "lake.duckdb"),
            "memory_limit": self._settings.memory,
            "fields": self._org.fields,
        }


if __name__ == "__main__":
    main()
