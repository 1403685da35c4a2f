"""Files that land and queues that carry: ours, kicksaw-integration-utils, boto3 and a floor. `make bench NAME=files`.

Environment: ROWS (10000,200000: one file each), MESSAGES (10,000), LATENCY_MS (15) and LATENCY_MESSAGES (2,000) of the queue far
away, ROUNDS (3), ONLY (files or queue), ONLY_PEERS (kicksaw or none), SEED (of the order of turns).
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

from measuring import files_report, machine
from measuring.cloud import Cloud, cloud
from measuring.landing import landing
from measuring.phases import PHASES
from measuring.place import place
from measuring.process import Cost, Failed, Process, run
from measuring.target import KEY, SOBJECT, Undone

HERE = Path(__file__).resolve().parent
KICKSAW = HERE.parent / ".bench-venvs" / "kicksaw" / "bin" / "python"
OURS = "contenders/files_ours.py"
LOOK_S = 0.25  # between the looks of the peer that does not sleep for five seconds
QUEUE = "messages"


@dataclass(frozen=True, slots=True)
class Contender:
    """Who does the work: its script, the Python that runs it, its own options, what it finds in its environment.

    When a peer does not do the work, that is its own affair; when ours or the floor does not, there is no result.
    """

    name: str
    script: str
    options: Mapping[str, Any] = field(default_factory=dict)
    is_peer: bool = False

    @property
    def command(self) -> list[str]:
        """What starts it."""
        python = str(KICKSAW) if self.script.startswith("peers/") else sys.executable
        return [python, str(HERE / self.script)]


FILE_OWN = (
    Contender("ours", OURS, {"front": "run_file"}),
    Contender("ours, halocline run", OURS, {"front": "command"}),
    Contender("ours, Orchestrator", OURS, {"front": "orchestrator"}),
    Contender("floor", "contenders/files_floor.py"),
)
FILE_PEERS = (
    Contender("kicksaw", "peers/kicksaw_files.py", is_peer=True),
    Contender("kicksaw, looks often", "peers/kicksaw_files.py", {"look_s": LOOK_S}, is_peer=True),
)
QUEUE_OWN = (
    Contender("ours", "contenders/queue_ours.py"),
    Contender("boto3", "contenders/queue_boto3.py"),
)
QUEUE_FLOOR = Contender("floor", "contenders/queue_floor.py")
QUEUE_PEER = Contender("kicksaw", "peers/kicksaw_queue.py", is_peer=True)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks for."""

    rows: tuple[int, ...]
    messages: int
    latency_s: float
    latency_messages: int
    rounds: int
    only: str
    peers: str
    seed: int

    @classmethod
    def from_env(cls) -> Settings:
        env = os.environ
        return cls(
            rows=tuple(int(one) for one in env.get("ROWS", "10000,200000").split(",")),
            messages=int(env.get("MESSAGES", "10000")),
            latency_s=float(env.get("LATENCY_MS", "15")) / 1_000,
            latency_messages=int(env.get("LATENCY_MESSAGES", "2000")),
            rounds=int(env.get("ROUNDS", "3")),
            only=env.get("ONLY", "files,queue"),
            peers=env.get("ONLY_PEERS", "kicksaw"),
            seed=int(env.get("SEED", "20261121")),
        )

    @property
    def has_peer(self) -> bool:
        """Whether the peer is asked for and installed."""
        return "kicksaw" in self.peers.split(",") and KICKSAW.exists()


def main() -> None:
    """Measure, print, and end with the line of figures."""
    settings = Settings.from_env()
    print(machine.told([str(KICKSAW)] if settings.has_peer else []), flush=True)
    if not settings.has_peer:
        print("kicksaw is left out: it was not asked for, or .bench-venvs/kicksaw is not there; make bench makes it")
    result = files_report.Result()
    with place("files") as folder, cloud(folder) as aws:
        if "files" in settings.only:
            jobs = FileJobs(settings, folder, aws)
            result.files = {rows: jobs.rounds(rows) for rows in settings.rows}
        if "queue" in settings.only:
            queues = Queues(settings, aws)
            result.near = queues.rounds(settings.messages, [QUEUE_FLOOR, *QUEUE_OWN])
            if settings.latency_s:
                result.far = queues.rounds(settings.latency_messages, list(QUEUE_OWN), latency_s=settings.latency_s)
    files_report.report(result, messages=settings.messages, latency_messages=settings.latency_messages)


class FileJobs:
    """The same file for everybody, and for everybody a fresh bucket and a fresh org, which are looked at afterwards."""

    def __init__(self, settings: Settings, folder: Path, aws: Cloud) -> None:
        self._settings = settings
        self._folder = folder
        self._aws = aws

    def rounds(self, rows: int) -> dict[str, list[Cost]]:
        """Everybody's costs for a file of so many rows, in another order each round. Who did not do the work has none."""
        path = self._folder / f"customers-{rows}.csv"
        made = run([sys.executable, str(HERE / "measuring/landing_rows.py")], {"path": str(path), "rows": rows}).told
        peers = FILE_PEERS if self._settings.has_peer else ()
        out = set[str]()
        costs: dict[str, list[Cost]] = {one.name: [] for one in (*FILE_OWN, *peers)}
        for number, contender in _turns([*FILE_OWN, *peers], self._settings):
            if contender.name in out:
                continue
            try:
                cost = self._turn(contender, path, made=made)
            except (Failed, Undone) as error:
                if not contender.is_peer:
                    raise
                print(f"  {contender.name} is out, it did not do the work: {error}", flush=True)
                out.add(contender.name)
                continue
            costs[contender.name].append(cost)
            print(f"  {rows:,} rows, round {number}  {files_report.line(contender.name, cost, rows)}", flush=True)
        path.unlink()
        return {name: some for name, some in costs.items() if name not in out}

    def _turn(self, contender: Contender, path: Path, *, made: Mapping[str, Any]) -> Cost:
        home = self._folder / "turn"
        home.mkdir()
        env = {"HALOCLINE_HOME": str(home), "TEMP": str(home)}
        wanted = {"home": str(home), "sobject": SOBJECT, "key_field": KEY, **contender.options}
        try:
            with landing(self._folder, path, self._aws) as place:
                cost = place.measured(contender.command, wanted, env=env)
                place.check(made["truth"], made["broken"], home)
        finally:
            shutil.rmtree(home)
        if cost.told["refused"] != len(made["broken"]):
            raise Undone(f"it says that {cost.told['refused']} rows were refused, and not {len(made['broken'])}")
        return cost


class Queues:
    """The same messages for everybody, through a new queue of the same server."""

    def __init__(self, settings: Settings, aws: Cloud) -> None:
        self._settings = settings
        self._aws = aws

    def rounds(
        self, messages: int, own: Sequence[Contender], *, latency_s: float = 0.0
    ) -> dict[str, list[Mapping[str, Mapping[str, float]]]]:
        """Everybody's figures by phase. With latency every request waits so long before it is worked on."""
        contenders = [*own, *([QUEUE_PEER] if self._settings.has_peer else [])]
        told: dict[str, list[Mapping[str, Mapping[str, float]]]] = {one.name: [] for one in contenders}
        for number, contender in _turns(contenders, self._settings):
            phases = self._turn(contender, messages, latency_s=latency_s)
            told[contender.name].append(phases)
            where = f"{latency_s * 1_000:g} ms away" if latency_s else "near"
            print(f"  queue {where}, round {number}  {files_report.queue_line(contender.name, phases, messages)}", flush=True)
        return told

    def _turn(self, contender: Contender, messages: int, *, latency_s: float) -> dict[str, dict[str, float]]:
        """What each phase took; AWS's own CPU in it is `aws_cpu_s`.

        Raises: Failed where messages were lost or are left.
        """
        url = self._aws.ask("queue", name=QUEUE)
        wanted = {"queue": url, "aws": self._aws.url, "messages": messages}
        process = Process(contender.command, wanted, env=self._aws.environment)
        try:
            process.answer()
            if latency_s:
                self._aws.ask("delay", seconds=latency_s)
            phases = {name: self._phase(name, process) for name in PHASES}
            process.end({})
        finally:
            process.close()
        for name, phase in phases.items():
            if phase["done"] != messages or phase["sum"] != messages * (messages - 1) // 2:
                raise Failed(f"{contender.name} did {name} {phase['done']:,} messages, and not {messages:,}, or others")
        if (left := self._aws.ask("depth", name=QUEUE)) != 0:
            raise Failed(f"after {contender.name} {left:,} messages are left")
        return phases

    def _phase(self, name: str, process: Process) -> dict[str, float]:
        before = self._aws.ask("cost")
        process.ask(name)
        told = process.answer()
        after = self._aws.ask("cost")
        return {**told, "aws_cpu_s": after["cpu_s"] - before["cpu_s"], "calls": after["calls"] - before["calls"]}


def _turns(contenders: Sequence[Contender], settings: Settings) -> Iterator[tuple[int, Contender]]:
    """Everybody once in each round, in another order each time."""
    dice = random.Random(settings.seed)
    for number in range(1, settings.rounds + 1):
        turn = list(contenders)
        dice.shuffle(turn)
        for contender in turn:
            yield number, contender


if __name__ == "__main__":
    main()
