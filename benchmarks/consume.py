"""Messages that are handled: ours, a bare boto3 loop, dramatiq, Celery, taskiq and Powertools. `make bench NAME=consume`.

The queue is the in-memory AWS over HTTP in a process of its own, the records are in a real Redis, handlers do nothing. The clock
runs from the first receive until the queue holds nothing, neither to be received nor in flight, and is read where the queue is:
whoever deletes late is late. CPU is that of the consumer's process in that time.

Environment: MESSAGES (20,000 for ours; slower consumers get fewer, so that a turn takes one to three seconds), LATENCY_MS (12)
and LATENCY_MESSAGES (4,000) of the queue far away, RECORDS (5,000) for the cost of a record, ROUNDS (5), ONLY (near, far,
records), ONLY_PEERS (dramatiq-sqs, celery, taskiq-aio-sqs, powertools; or none), SEED (of the order of turns).
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from measuring import consume_report, machine
from measuring.cloud import Cloud, cloud
from measuring.consuming import NAME
from measuring.place import place
from measuring.process import Failed, Process, run

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the tests' way to start a Redis is in tests/

from tests.redis_server import RedisServer

HERE = Path(__file__).resolve().parent
VENVS = HERE.parent / ".bench-venvs"
LONGEST_S = 60.0  # for one turn
FEWEST = 4
OURS = "contenders/consume_ours.py"
T = TypeVar("T", bound="Contender | Claimer")


@dataclass(frozen=True, slots=True)
class Contender:
    """A consumer: its script, the environment of its own (`venv`, none: ours), its options, and its `share` of the messages near
    and far. `sends` where messages have a format of its own: it sends them itself, before it says that it is ready.

    When a peer does not do the work, that is its own affair; when ours or the loop does not, there is no result.
    """

    name: str
    script: str
    share: float
    far_share: float
    venv: str = ""
    sends: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claimer:
    """Who claims keys in Redis: its script, and the environment of its own."""

    name: str
    script: str
    venv: str = ""


CONSUMERS = (
    Contender("ours", OURS, 1.0, 1.0),
    Contender("ours, no store", OURS, 1.0, 1.0, options={"store": "none"}),
    Contender("boto3", "contenders/consume_boto3.py", 0.5, 0.2, options={"threads": 1}),
    Contender("boto3, 4 threads", "contenders/consume_boto3.py", 0.5, 0.5, options={"threads": 4}),
    Contender("dramatiq", "peers/dramatiq_consume.py", 0.05, 0.15, "dramatiq-sqs", sends=True),
    Contender("taskiq", "peers/taskiq_consume.py", 0.05, 0.25, "taskiq-aio-sqs", sends=True),
    Contender("celery", "peers/celery_consume.py", 0.015, 0.05, "celery", sends=True),
    Contender("powertools", "peers/powertools_consume.py", 0.25, 0.2, "powertools"),
)
CLAIMERS = (
    Claimer("ours", "contenders/idempotency_ours.py"),
    Claimer("SET NX PX", "contenders/idempotency_set_nx.py"),
    Claimer("powertools", "peers/powertools_idempotency.py", "powertools"),
)
PEERS = tuple(one.venv for one in CONSUMERS if one.venv)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks for."""

    messages: int
    latency_s: float
    latency_messages: int
    records: int
    rounds: int
    only: Sequence[str]
    peers: Sequence[str]
    seed: int

    @classmethod
    def from_env(cls) -> Settings:
        env = os.environ
        return cls(
            messages=int(env.get("MESSAGES", "20000")),
            latency_s=float(env.get("LATENCY_MS", "12")) / 1_000,
            latency_messages=int(env.get("LATENCY_MESSAGES", "4000")),
            records=int(env.get("RECORDS", "5000")),
            rounds=int(env.get("ROUNDS", "5")),
            only=env.get("ONLY", "near,far,records").split(","),
            peers=env.get("ONLY_PEERS", ",".join(PEERS)).split(","),
            seed=int(env.get("SEED", "20261121")),
        )

    def has(self, venv: str) -> bool:
        """Whether an environment is asked for and there; ours always is."""
        return not venv or (venv in self.peers and python_of(venv).exists())


def main() -> None:
    """Measure, print, and end with the line of figures."""
    settings = Settings.from_env()
    there = [one for one in PEERS if settings.has(one)]
    print(machine.told([str(python_of(one)) for one in there]), flush=True)
    if left := sorted({*PEERS} - {*there}):
        print(f"left out: {', '.join(left)}; not asked for, or not in .bench-venvs; make bench makes them")
    result = consume_report.Result()
    with place("consume") as folder, cloud(folder) as aws, RedisServer() as redis:
        bench = Bench(settings, aws, redis.uri)
        if "near" in settings.only:
            result.near = bench.rounds(settings.messages)
        if "far" in settings.only:
            result.far = bench.rounds(settings.latency_messages, latency_s=settings.latency_s)
        if "records" in settings.only:
            result.records = bench.claims()
    consume_report.report(result, latency_s=settings.latency_s)


class Bench:
    """Every consumer in a process of its own, in turn, with a new queue of the same server and the same Redis."""

    def __init__(self, settings: Settings, aws: Cloud, redis: str) -> None:
        self._settings = settings
        self._aws = aws
        self._redis = redis

    def rounds(self, messages: int, *, latency_s: float = 0.0) -> dict[str, list[consume_report.Turn]]:
        """Everybody's turns. With latency every request of the queue waits so long before it is worked on."""
        told: dict[str, list[consume_report.Turn]] = {one.name: [] for one in CONSUMERS if self._settings.has(one.venv)}
        out = set[str]()
        for number, contender in self._turns(CONSUMERS):
            if contender.name in out:
                continue
            count = max(FEWEST, round(messages * (contender.far_share if latency_s else contender.share)))
            try:
                turn = self._turn(contender, count, latency_s=latency_s)
            except Failed as error:
                if not contender.venv:
                    raise
                print(f"  {contender.name} is out, it did not do the work: {error}", flush=True)
                out.add(contender.name)
                continue
            told[contender.name].append(turn)
            where = f"{latency_s * 1_000:g} ms away" if latency_s else "near"
            print(f"  {where}, round {number}  {consume_report.line(contender.name, turn)}", flush=True)
        return {name: some for name, some in told.items() if name not in out}

    def claims(self) -> dict[str, list[consume_report.Turn]]:
        """Everybody's cost of claiming fresh keys and, save for the bare SET, of saying that they are done.

        Raises: Failed where a claim was refused.
        """
        told: dict[str, list[consume_report.Turn]] = {one.name: [] for one in CLAIMERS if self._settings.has(one.venv)}
        wanted = {"store": self._redis, "records": self._settings.records}
        for number, claimer in self._turns(CLAIMERS):
            found = run(_command(claimer), wanted, env=_quiet(claimer)).told
            if found["done"] != self._settings.records:
                raise Failed(f"{claimer.name} claimed {found['done']:,} fresh keys, and not {self._settings.records:,}")
            turn = consume_report.Turn(self._settings.records, found["wall_s"], found["cpu_s"])
            told[claimer.name].append(turn)
            print(f"  records, round {number}  {consume_report.record_line(claimer.name, turn)}", flush=True)
        return told

    def _turn(self, contender: Contender, messages: int, *, latency_s: float) -> consume_report.Turn:
        """Raises: Failed where messages were not handled once each, or are left."""
        url = self._aws.ask("queue", name=NAME)
        if not contender.sends:
            self._aws.ask("fill", url=url, messages=messages)
        wanted = {"queue": url, "messages": messages, "store": self._redis, **contender.options}
        process = Process(_command(contender), wanted, env={**self._aws.environment, **_quiet(contender)})
        try:
            pid = process.answer()["pid"]
            if (depth := self._aws.ask("depth", name=NAME)) != messages:
                raise Failed(f"the queue holds {depth:,} messages, and not {messages:,}")
            if latency_s:
                self._aws.ask("delay", seconds=latency_s)
            self._aws.begin("watch", name=NAME, pid=pid, seconds=LONGEST_S)
            process.ask("go")
            watched = self._aws.told()
            if watched is None:
                left = self._aws.ask("depth", name=NAME)
                raise Failed(f"{left:,} of {messages:,} messages are left after {LONGEST_S:g} s, or its process has ended")
            process.ask("end")
            told = process.answer()
            peak_mb = process.end(told).peak_mb
        finally:
            process.close()
        if told["done"] != messages or told["sum"] != messages * (messages - 1) // 2:
            raise Failed(f"its handlers saw {told['done']:,} messages, and not {messages:,}, or others")
        return consume_report.Turn(messages, peak_mb=peak_mb, **watched)

    def _turns(self, everybody: Sequence[T]) -> Iterator[tuple[int, T]]:
        """Everybody who is there once in each round, in another order each time."""
        dice = random.Random(self._settings.seed)
        for number in range(1, self._settings.rounds + 1):
            turn = [one for one in everybody if self._settings.has(one.venv)]
            dice.shuffle(turn)
            for one in turn:
                yield number, one


def python_of(venv: str) -> Path:
    """The Python of a peer's environment."""
    return VENVS / venv / "bin" / "python"


def _quiet(one: Contender | Claimer) -> dict[str, str]:
    """What peers warn of is no news."""
    return {"PYTHONWARNINGS": "ignore"} if one.venv else {}


def _command(one: Contender | Claimer) -> list[str]:
    return [str(python_of(one.venv)) if one.venv else sys.executable, str(HERE / one.script)]


if __name__ == "__main__":
    main()
