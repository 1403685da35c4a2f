"""Rows into Salesforce: ours, kinetic-core, simple-salesforce, lht and a floor, each into a fresh org. `make bench NAME=push`.

Environment: ROWS (200,000) of the bulk loads, ROUNDS (3 for ours, the floor and the closest peer, else 1), SCALE (10: how many
times more rows the last load has; 1 leaves it out), PIPELINE_ROWS (5,000) and LATENCY_MS (20) of the pipelines, ONLY_PEERS (a
comma between them; `none`), FRONT (pipeline; `client` measures client.bulk as ours), SEED (of the order of turns).
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from measuring import machine, push_report
from measuring.place import place
from measuring.process import Cost, Failed, run
from measuring.target import KEY, SOBJECT, Target, Targets, Undone

HERE = Path(__file__).resolve().parent
VENVS = HERE.parent / ".bench-venvs"
OURS, FLOOR = "contenders/push_ours.py", "contenders/push_floor.py"
OPERATIONS = ("upsert", "insert")
REFUSED_ROWS = 100  # of the pipeline that cannot work: enough to show that none is written


@dataclass(frozen=True, slots=True)
class Contender:
    """Who writes: its script, the Python that runs it, how often it has its turn, its own options.

    When a peer does not do the work, that is its own affair; when ours or the floor does not, there is no result.
    """

    name: str
    script: str
    python: str = sys.executable
    rounds: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    is_peer: bool = False


KINETIC = Contender("kinetic-core bulk", "peers/kinetic_core_push.py", "kinetic-core", options={"front": "bulk"}, is_peer=True)
PEERS = (
    KINETIC,
    Contender("simple-salesforce bulk2", "peers/simple_salesforce_push.py", "simple-salesforce", is_peer=True),
    Contender("lht retl", "peers/lht_push.py", "lht", is_peer=True),
)
CLOSEST_PEER = "simple-salesforce bulk2"  # measured as often as ours, because the verdict hangs on it
PIPELINE_PEER = replace(KINETIC, name="kinetic-core SyncPipeline", options={"front": "pipeline"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks for."""

    rows: int
    rounds: int
    scale: int
    pipeline_rows: int
    latency_s: float
    peers: str
    front: str
    seed: int

    @classmethod
    def from_env(cls) -> Settings:
        env = os.environ
        return cls(
            rows=int(env.get("ROWS", "200000")),
            rounds=int(env.get("ROUNDS", "3")),
            scale=int(env.get("SCALE", "10")),
            pipeline_rows=int(env.get("PIPELINE_ROWS", "5000")),
            latency_s=float(env.get("LATENCY_MS", "20")) / 1_000,
            peers=env.get("ONLY_PEERS", "all"),
            front=env.get("FRONT", "pipeline"),
            seed=int(env.get("SEED", "20261121")),
        )


def main() -> None:
    """Measure, print, and end with the line of figures."""
    settings = Settings.from_env()
    peers = list(_there(settings, PEERS))
    print(machine.told(peer.python for peer in peers))
    print(f"ours is {'SyncPipeline' if settings.front == 'pipeline' else 'client.bulk, not SyncPipeline'}", flush=True)
    with place("push") as folder:
        bench = Bench(settings, folder)
        costs = {operation: bench.rounds(operation, [*_own(settings), *peers]) for operation in OPERATIONS}
        pipelines = bench.pipelines(list(_there(settings, [PIPELINE_PEER])))
        larger = bench.larger()
    push_report.report(costs, pipelines, larger, rows=settings.rows, pipeline_rows=settings.pipeline_rows)


def _own(settings: Settings) -> Iterator[Contender]:
    """Ours comes first: what it sends is what the floor sends."""
    rounds, bulk = settings.rounds, {"front": settings.front, "api": "bulk"}
    yield Contender("ours", OURS, rounds=rounds, options={"form": "dicts"} | bulk)
    yield Contender("ours from Parquet", OURS, options={"form": "parquet"} | bulk)
    if settings.front == "pipeline":
        yield Contender("ours, client.bulk", OURS, options={"form": "dicts", "front": "client", "api": "bulk"})
    yield Contender("floor", FLOOR, rounds=rounds)


def _there(settings: Settings, peers: Sequence[Contender]) -> Iterator[Contender]:
    """The peers that are asked for and installed."""
    for peer in peers:
        if settings.peers != "all" and peer.python not in settings.peers.split(","):
            continue
        python = VENVS / peer.python / "bin" / "python"
        if python.exists():
            yield replace(peer, python=str(python), rounds=settings.rounds if peer.name == CLOSEST_PEER else 1)
        else:
            print(f"{peer.name} is left out: {VENVS.name}/{peer.python} is not there; make bench makes it")


class Bench:
    """The same rows for everybody, and for everybody a fresh org, which is compared with the rows afterwards."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._targets = Targets(folder)
        self._made = self._rows("bulk", settings.rows, forms=("known", "json", "csv", "parquet"))
        self._targets.know(self._made["paths"]["known"])

    def rounds(self, operation: str, contenders: Sequence[Contender]) -> dict[str, list[Cost]]:
        """Everybody's costs; in each round the order is another one. Who did not do the work has none."""
        costs: dict[str, list[Cost]] = {contender.name: [] for contender in contenders}
        dice, out = random.Random(self._settings.seed), set[str]()
        for number in range(max(contender.rounds for contender in contenders)):
            turn = [one for one in contenders if number < one.rounds and one.name not in out]
            dice.shuffle(turn)
            for contender in sorted(turn, key=lambda one: number == 0 and one.name != "ours"):
                cost = self._judged(contender, operation)
                if cost is None:
                    out.add(contender.name)
                    continue
                costs[contender.name].append(cost)
                print(f"  {operation} {number + 1}  {push_report.line(contender.name, cost, self._settings.rows)}", flush=True)
        return {name: some for name, some in costs.items() if name not in out}

    def pipelines(self, peers: Sequence[Contender]) -> dict[str, Cost]:
        """Upserts by pipeline into an empty org with latency; the peer's insert stands for its upsert, which cannot work."""
        made = self._rows("pipeline", self._settings.pipeline_rows, forms=("json",))
        told = {"rows": made["paths"]["json"][0]}
        dicts = {"form": "dicts", "front": self._settings.front}
        turns = [
            (Contender("ours", OURS, options=dicts | {"api": "auto"}), "upsert"),
            (Contender("ours by collections", OURS, options=dicts | {"api": "collections"}), "upsert"),
        ]
        for peer in peers:
            few = {"most": min(REFUSED_ROWS, self._settings.pipeline_rows)}
            turns += [(peer, "insert"), (replace(peer, name=f"{peer.name}, upsert", options={**peer.options, **few}), "upsert")]
        costs: dict[str, Cost] = {}
        for contender, operation in turns:
            with self._targets.fresh("insert") as target:
                target.slow_down(self._settings.latency_s)
                cost = self._tried(contender, operation, target, wanted=told, truth=made["truth"], slowed=True)
            if cost is not None:
                costs[contender.name] = cost
                print(f"  pipeline  {push_report.line(contender.name, cost, self._settings.pipeline_rows)}", flush=True)
        return costs

    def larger(self) -> Cost | None:
        """Ours alone with SCALE times as many rows, from a Parquet file into an empty org."""
        if self._settings.scale <= 1:
            return None
        rows = self._settings.rows * self._settings.scale
        made = self._rows("larger", rows, forms=("parquet",))
        ours = Contender(f"ours, {rows:,} rows", OURS, options={"form": "parquet", "front": self._settings.front, "api": "bulk"})
        with self._targets.fresh("insert") as target:
            wanted = {"rows": made["paths"]["parquet"][0]}
            cost = self._tried(ours, "upsert", target, wanted=wanted, truth=made["truth"])
        print(f"  {push_report.line(ours.name, cost, rows)}" if cost else "", flush=True)
        return cost

    def _judged(self, contender: Contender, operation: str) -> Cost | None:
        form = "parquet" if contender.options.get("form") == "parquet" else "json"
        wanted = {"rows": self._made["paths"][form][0], "files": self._made["paths"]["csv"]}
        with self._targets.fresh(operation) as target:
            cost = self._tried(contender, operation, target, wanted=wanted, truth=self._made["truth"])
        jobs = cost.told.get("jobs") if cost and contender.name == "ours" else None
        if jobs and jobs != len(self._made["paths"]["csv"]):  # the floor sends as many files as ours
            self._made["paths"]["csv"] = self._rows("bulk", self._settings.rows, forms=("csv",), files=jobs)["paths"]["csv"]
        return cost

    def _tried(
        self,
        contender: Contender,
        operation: str,
        target: Target,
        *,
        wanted: Mapping[str, Any],
        truth: Mapping[str, Any],
        slowed: bool = False,
    ) -> Cost | None:
        """The cost of work that was done; None, and the reason on the screen, for a peer that did not do it."""
        home = self._folder / "turn"
        home.mkdir()
        asked = {"url": target.url, "token": target.token, "home": str(home), "operation": operation}
        command = [contender.python, str(HERE / contender.script)]
        try:
            env = {"HALOCLINE_HOME": str(home)}
            cost = run(command, asked | {"sobject": SOBJECT, "key": KEY} | wanted | dict(contender.options), env=env)
            facts = {"calls": target.quicken()} if slowed else target.jobs()
            _compare(cost, target, truth)
        except (Failed, Undone) as error:
            if not contender.is_peer:
                raise
            print(f"  {contender.name} is out, it did not do the work ({operation}): {error}", flush=True)
            return None
        finally:
            shutil.rmtree(home)
        return Cost(cost.told["wall_s"], cost.told["cpu_s"], cost.peak_mb, {**cost.told, **facts})

    def _rows(self, name: str, count: int, *, forms: Sequence[str], files: int = 1) -> dict[str, Any]:
        """The files of so many rows, and what an org must hold that has them."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        wanted = {"folder": str(folder), "rows": count, "forms": list(forms), "files": files}
        return dict(run([sys.executable, str(HERE / "measuring/rows.py")], wanted).told)


def _compare(cost: Cost, target: Target, truth: Mapping[str, Any]) -> None:
    """The org's own word counts, and a contender that counts rows must have counted them all.

    Raises: Undone.
    """
    told = cost.told
    if told.get("written", truth["rows"]) != truth["rows"]:
        counted = f"{told['written']:,} rows are written and {told['refused']:,} are not"
        raise Undone(f"it says that {counted}. {told.get('why') or ''}")
    if told.get("failed_jobs"):
        raise Undone(f"{told['failed_jobs']} of its jobs failed")
    target.check(truth)


if __name__ == "__main__":
    main()
