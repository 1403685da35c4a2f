"""Salesforce into PostgreSQL: Halocline, dlt, simple-salesforce with pandas, lht, Sling and a floor. `make bench NAME=postgres`.

Environment: ROWS (1,000,000), ROUNDS (3; slow peers have one), SLOW_ROWS (50,000) of the slow peers, SCALE (3: how many times
larger the org is for the last run; 1 leaves that out), MERGE_ROWS (5,000,000) and CHANGES (100,000) of the merge, ONLY_PEERS (a
comma between them; `none`), SEED (of the records and of the order of turns).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from measuring import machine, many, postgres_report
from measuring.org import API, Org
from measuring.place import place
from measuring.postgres_report import Merges, Result, line
from measuring.process import Cost, Failed
from measuring.server import Server, server

HERE = Path(__file__).resolve().parent
VENVS = HERE.parent / ".bench-venvs"
PHONE = "+41 44 000 00 00"  # of an edited row, and of no other
CLOCK_STEP_S = 3_600.0  # moved before the edits: past the overlap of 600 s
OURS, FLOOR, MERGE = (f"contenders/postgres_{name}.py" for name in ("ours", "floor", "merge"))
DLT, PANDAS = "peers/dlt_postgres.py", "peers/simple_salesforce_postgres.py"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks for."""

    rows: int
    rounds: int
    slow_rows: int
    scale: int
    merge_rows: int
    changes: int
    peers: str
    seed: int

    @classmethod
    def from_env(cls) -> Settings:
        env = os.environ
        return cls(
            rows=int(env.get("ROWS", "1000000")),
            rounds=int(env.get("ROUNDS", "3")),
            slow_rows=int(env.get("SLOW_ROWS", "50000")),
            scale=int(env.get("SCALE", "3")),
            merge_rows=int(env.get("MERGE_ROWS", "5000000")),
            changes=int(env.get("CHANGES", "100000")),
            peers=env.get("ONLY_PEERS", "all"),
            seed=int(env.get("SEED", "20261121")),
        )


@dataclass(frozen=True, slots=True)
class Contender:
    """Who loads: its script, the environment that runs it, its own options; whether it has fewer rows, and so just one turn."""

    name: str
    script: str
    venv: str = ""
    slow: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def python(self) -> str:
        """What runs the script."""
        return str(VENVS / self.venv / "bin" / "python") if self.venv else sys.executable


OWN = (
    Contender("ours", OURS),
    Contender("floor identity", FLOOR, options={"encoding": "identity"}),
    Contender("floor gzip", FLOOR, options={"encoding": "gzip"}),
)
KEYED = Contender("floor identity, with key", FLOOR, options={"encoding": "identity", "keyed": True})
BEST_DLT = Contender("dlt, Arrow and ADBC", DLT, "dlt", options={"way": "arrow"})
PEERS = (
    BEST_DLT,
    Contender("dlt, dicts", DLT, "dlt", slow=True, options={"way": "dicts"}),
    Contender("simple-salesforce, to_sql", PANDAS, "simple-salesforce", slow=True, options={"method": None}),
    Contender("simple-salesforce, to_sql multi", PANDAS, "simple-salesforce", slow=True, options={"method": "multi"}),
    Contender("lht", "peers/lht_postgres.py", "lht", slow=True),
)


def main() -> None:
    """Measure, print, and end with the line of figures; a table that is not as the others is a failure."""
    settings = Settings.from_env()
    peers = list(_there(settings))
    print(machine.told(peer.python for peer in peers))
    _tell_of_sling(settings)
    with place("postgres") as folder, server() as target:
        bench = Bench(settings, folder, target)
        result = bench.large([*OWN, KEYED, *(peer for peer in peers if not peer.slow)])
        result.slow = bench.small([peer for peer in peers if peer.slow])
        result.merges = bench.merges()
    postgres_report.report(result, rows=settings.rows, slow_rows=settings.slow_rows)


def _there(settings: Settings) -> Iterator[Contender]:
    for peer in PEERS:
        if settings.peers != "all" and peer.venv not in settings.peers.split(","):
            continue
        if Path(peer.python).exists():
            yield peer
        else:
            print(f"{peer.name} is left out: {VENVS.name}/{peer.venv} is not there; make bench makes it")


def _tell_of_sling(settings: Settings) -> None:
    """Why Sling has no turn; where its program can be fetched, it still has no way here that was tried."""
    sling = Contender("Sling", "peers/sling_postgres.py", "sling")
    if settings.peers not in ("all", "sling") or not Path(sling.python).exists():
        return
    done = subprocess.run([sling.python, str(HERE / sling.script)], capture_output=True, text=True, check=False)
    why = done.stderr.strip().splitlines()[-1] if done.returncode else "its program is there, but its way has not been tried yet"
    print(f"Sling is left out: {why}", flush=True)


class Bench:
    """One server for all; for everybody a fresh database, whose table is compared with the first one, value by value."""

    def __init__(self, settings: Settings, folder: Path, target: Server) -> None:
        self._settings = settings
        self._folder = folder
        self._server = target

    def large(self, contenders: Sequence[Contender]) -> Result:
        """All rows: everybody's turns, an incremental run, and ours on a larger org."""
        settings = self._settings
        with _org(self._folder, settings.rows, settings) as org:
            costs = self._rounds(org, contenders)
            later = self._later(org, [one for one in contenders if one in (OWN[0], KEYED, BEST_DLT)])
            return Result(costs, later, self._larger(org))

    def small(self, contenders: Sequence[Contender]) -> dict[str, Cost]:
        """Fewer rows for the slow ones: what they cost, start included."""
        if not contenders:
            return {}
        costs = {}
        with _org(self._folder, self._settings.slow_rows, self._settings) as org:
            content = self._turn(org, OWN[1])[1]
            for contender in contenders:
                try:
                    cost = self._turn(org, contender, content=content)[0]
                except Failed as error:
                    print(f"  {contender.name} is out, it did not do the work: {error}", flush=True)
                    continue
                costs[contender.name] = cost
                print(f"  {line(contender.name, cost, rows=self._settings.slow_rows)}", flush=True)
        return costs

    def merges(self) -> Merges:
        """Changes into a large table: ours and two ways by hand, each on a copy of it."""
        settings, path = self._settings, self._folder / "changes.csv"
        print(f"filling a table with {settings.merge_rows:,} rows (not measured) ...", flush=True)
        self._server.make("base")
        many.fill(self._server, "base", rows=settings.merge_rows)
        many.changes(self._server, path, rows=settings.merge_rows, count=settings.changes)
        costs: Merges = {}
        content: dict[str, Any] = {}
        for how in ("ours", "on conflict", "merge"):
            self._server.make("turn", like="base")
            wanted = {"uri": self._server.uri("turn"), "csv": str(path), "rows": settings.changes, "fields": many.FIELDS}
            costs[how] = self._server.measured([sys.executable, str(HERE / MERGE)], wanted | {"how": how})
            found = many.content(self._server, "turn")
            content = content or found
            if found != content or found["changed"] != settings.changes:
                raise Failed(f"after the merge ({how}) the table holds {found}, not {content}")
            print(f"  {line(f'merge, {how}', costs[how], rows=settings.changes)}", flush=True)
        self._server.drop("turn")
        self._server.drop("base")
        return costs

    def _rounds(self, org: Org, contenders: Sequence[Contender]) -> dict[str, list[Cost]]:
        costs: dict[str, list[Cost]] = {contender.name: [] for contender in contenders}
        dice, content = random.Random(self._settings.seed), None
        for number in range(self._settings.rounds):
            turn = list(contenders)
            dice.shuffle(turn)
            for contender in turn:
                cost, content = self._turn(org, contender, content=content)
                costs[contender.name].append(cost)
                print(f"  round {number + 1}  {line(contender.name, cost, rows=self._settings.rows)}", flush=True)
        return costs

    def _later(self, org: Org, contenders: Sequence[Contender]) -> dict[str, Cost]:
        """After a full run of each, one row in a hundred is edited; then each brings its table up to date, by key."""
        databases = [f"later_{number}" for number in range(len(contenders))]
        for contender, database in zip(contenders, databases, strict=True):
            self._server.make(database)
            self._run(org, contender, database, home=self._home(database))
        org.advance(CLOCK_STEP_S)
        org.edit(org.hundredth, phone=PHONE)
        asked = quote(f"SELECT MIN(SystemModstamp) m FROM Account WHERE Phone = '{PHONE}'")
        where = {"where": f"SystemModstamp >= {org.call('GET', f'{API}/query?q={asked}')['records'][0]['m']}"}
        truth = self._turn(org, OWN[1])[1]
        costs = {}
        for contender, database in zip(contenders, databases, strict=True):
            cost = self._run(org, contender, database, home=self._home(database), options=where)
            found = self._server.content(database, "raw.accounts", org.fields)
            if found != truth:
                raise Failed(f"after the incremental run of {contender.name} the table differs: {found}, not {truth}")
            costs[contender.name] = cost
            print(f"  incremental  {line(contender.name, cost, rows=len(org.hundredth))}", flush=True)
            self._server.drop(database)
            shutil.rmtree(self._home(database))
        return costs

    def _larger(self, org: Org) -> Cost | None:
        rows = self._settings.rows * self._settings.scale
        if self._settings.scale <= 1:
            return None
        more = rows - self._settings.rows
        print(f"seeding {more:,} Accounts more (not measured) ...", flush=True)
        org.seed_more(more, seed_number=self._settings.seed + 1)
        cost, found = self._turn(org, OWN[0])
        if found["rows"] != rows:
            raise Failed(f"the larger table has {found['rows']:,} rows, not {rows:,}")
        print(f"  {line(f'ours, {rows:,} rows', cost, rows=rows)}", flush=True)
        return cost

    def _turn(self, org: Org, contender: Contender, *, content: dict[str, Any] | None = None) -> tuple[Cost, dict[str, Any]]:
        """What one full run took, and what the table holds.

        Raises: Failed where it is not what it should be.
        """
        self._server.make("turn")
        home = self._home("turn")
        try:
            cost = self._run(org, contender, "turn", home=home)
            found = self._server.content("turn", "raw.accounts", org.fields)
        finally:
            shutil.rmtree(home)
            self._server.drop("turn")
        if content and found != content:
            raise Failed(f"{contender.name} has another table: {found}, not {content}")
        return cost, found

    def _run(
        self, org: Org, contender: Contender, database: str, *, home: Path, options: Mapping[str, Any] | None = None
    ) -> Cost:
        wanted = {"url": org.url, "token": org.token, "fields": org.fields, "uri": self._server.uri(database), "home": str(home)}
        command = [contender.python, str(HERE / contender.script)]
        cost = self._server.measured(command, wanted | dict(contender.options) | dict(options or {}))
        org.forget_jobs()
        return cost

    def _home(self, name: str) -> Path:
        path = self._folder / name
        path.mkdir(exist_ok=True)
        return path


@contextmanager
def _org(folder: Path, rows: int, settings: Settings) -> Iterator[Org]:
    """An org in a folder of its own until the block ends."""
    home = folder / f"org-{rows}"
    home.mkdir()
    print(f"seeding {rows:,} Accounts (not measured) ...", flush=True)
    org = Org(home, accounts=rows, seed_number=settings.seed)
    try:
        yield org
    finally:
        org.stop()
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
