"""DynamoDB into PostgreSQL: ours, the document's way, boto3's client with COPY, and a floor. `make bench NAME=dynamodb`.

Environment: ITEMS (50,000), LARGER_ITEMS (200,000) for the memory of ours (0 leaves that out), BLOCK (10,000: items that are
made; they come again under other keys), DECODE_ITEMS (20,000) of each kind for decoding alone, ROUNDS (3), DECODE_ROUNDS (7),
ONLY (decode, whole, insert), SEED (of the order of turns).
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import dynamodb_report, machine
from measuring.dynamodb_report import BUILDER, CLIENT, DOCUMENT, FLOOR, NAMES, OURS, TEXTS, VALUES, line
from measuring.dynamodb_rows import CREATE, FIELDS, TARGET
from measuring.place import place
from measuring.process import Cost, Failed, Process, run
from measuring.server import Server, server

HERE = Path(__file__).resolve().parent
LOGIN = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "eu-west-1"}
_OURS = "contenders/dynamodb_ours.py"


@dataclass(frozen=True, slots=True)
class Contender:
    """Who loads: its script and its own options."""

    name: str
    script: str
    options: Mapping[str, Any] = field(default_factory=dict)


LOADERS = (
    Contender(OURS, _OURS, {"way": "columns"}),
    Contender(BUILDER, _OURS, {"way": "builder"}),
    Contender(NAMES, _OURS, {"way": "names"}),
    Contender(DOCUMENT, "contenders/dynamodb_document.py"),
    Contender(CLIENT, "contenders/dynamodb_client_copy.py"),
    Contender(FLOOR, "contenders/dynamodb_floor.py"),
)
INSERTERS = tuple(
    Contender(f"{who}, {what}", "contenders/dynamodb_insert.py", {"way": who, "nested": what == VALUES})
    for what in (TEXTS, VALUES)
    for who in ("ours", "document")
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks for."""

    items: int
    larger: int
    block: int
    decode_items: int
    rounds: int
    decode_rounds: int
    only: Sequence[str]
    seed: int

    @classmethod
    def from_env(cls) -> Settings:
        env = os.environ
        return cls(
            items=int(env.get("ITEMS", "50000")),
            larger=int(env.get("LARGER_ITEMS", "200000")),
            block=int(env.get("BLOCK", "10000")),
            decode_items=int(env.get("DECODE_ITEMS", "20000")),
            rounds=int(env.get("ROUNDS", "3")),
            decode_rounds=int(env.get("DECODE_ROUNDS", "7")),
            only=env.get("ONLY", "decode,whole,insert").split(","),
            seed=int(env.get("SEED", "20261121")),
        )


def main() -> None:
    """Measure, print, and end with the line of figures; a table that is not as the others is a failure."""
    settings = Settings.from_env()
    print(machine.told([sys.executable]), flush=True)
    result = dynamodb_report.Result()
    if "decode" in settings.only:
        wanted = {"items": settings.decode_items, "rounds": settings.decode_rounds, "seed": settings.seed}
        result.rates = run([sys.executable, str(HERE / "measuring/dynamodb_decode.py")], wanted).told
    if {"whole", "insert"} & {*settings.only}:
        with place("dynamodb") as folder, server() as target:
            bench = Bench(settings, folder, target)
            bench.load(result)
    dynamodb_report.report(result, items=settings.items, larger_items=settings.larger)


class Bench:
    """One PostgreSQL for all. Everybody finds a table that an earlier run filled, and leaves the same rows in it."""

    def __init__(self, settings: Settings, folder: Path, target: Server) -> None:
        self._settings = settings
        self._folder = folder
        self._server = target
        self._content: dict[str, Any] = {}

    def load(self, result: dynamodb_report.Result) -> None:
        """Everybody's turns."""
        settings = self._settings
        with _dynamodb(settings.items, settings.block) as told:
            self._fill(told["url"])
            whole = {"url": told["url"], "bytes": told["bytes"], "csv": str(self._csv())}
            if "whole" in settings.only:
                result.costs = self._rounds(LOADERS, whole)
            if "insert" in settings.only:
                path = self._folder / "items.pickle"
                run([sys.executable, str(HERE / "measuring/dynamodb_items.py")], {"path": str(path), **whole}, env=_env(whole))
                result.inserts = self._rounds(INSERTERS, {"items": str(path), "warm": self._server.uri("warm"), **whole})
        if "whole" in settings.only and settings.larger:
            result.larger = self._larger()

    def _fill(self, url: str) -> None:
        """The table as an earlier run left it: the document's own way filled it, and everybody is held to that."""
        self._server.make("warm")
        self._server.sql(CREATE, database="warm")
        self._server.make("base", like="warm")
        document = next(one for one in LOADERS if one.name == DOCUMENT)
        cost = run(_command(document), {"uri": self._server.uri("base")}, env=_env({"url": url}))
        self._server.sql(f"VACUUM (FREEZE, ANALYZE) {TARGET}", database="base")
        self._content = self._server.content("base", TARGET, FIELDS)
        if not self._content["rows"] == cost.told["rows"] == self._settings.items:
            raise Failed(f"the table has {self._content['rows']:,} rows, and not {self._settings.items:,}")

    def _csv(self) -> Path:
        path = self._folder / "ready.csv"
        with path.open("wb") as file:
            self._server.copy_out(f"COPY {TARGET} TO STDOUT (FORMAT csv)", file, database="base")
        return path

    def _rounds(self, contenders: Sequence[Contender], wanted: Mapping[str, Any]) -> dict[str, list[Cost]]:
        """Everybody once in each round, in another order each time."""
        costs: dict[str, list[Cost]] = {contender.name: [] for contender in contenders}
        dice = random.Random(self._settings.seed)
        for number in range(1, self._settings.rounds + 1):
            turn = list(contenders)
            dice.shuffle(turn)
            for contender in turn:
                cost = self._turn(contender, wanted, content=self._content)
                costs[contender.name].append(cost)
                print(f"  round {number}  {line(contender.name, cost, rows=self._settings.items)}", flush=True)
        return costs

    def _turn(self, contender: Contender, wanted: Mapping[str, Any], *, content: Mapping[str, Any]) -> Cost:
        """Raises: Failed where the table is not what it should be."""
        self._server.make("turn", like="base")
        home = self._folder / "home"
        home.mkdir()
        try:
            asked = {**wanted, **contender.options, "uri": self._server.uri("turn")}
            cost = self._server.measured(_command(contender), asked, env={**_env(wanted), "HALOCLINE_HOME": str(home)})
            found = self._server.content("turn", TARGET, FIELDS)
        finally:
            shutil.rmtree(home)
            self._server.drop("turn")
        if found != content or cost.told["rows"] != content["rows"]:
            raise Failed(f"{contender.name} says {cost.told['rows']:,} rows and has another table: {found}, not {content}")
        return _clocked(cost)

    def _larger(self) -> Cost:
        """Ours once with more items, for its memory; what they are PostgreSQL makes of the items that it has."""
        settings = self._settings
        copies = settings.larger // settings.block
        others = ", ".join(name for name in FIELDS if name != "documentId")
        self._server.make("more", like="base")
        self._server.sql(
            f"DELETE FROM {TARGET} WHERE documentId >= 'doc-001';"
            f"INSERT INTO {TARGET} (documentId, {others})"
            f" SELECT 'doc-' || lpad(n::text, 3, '0') || substr(documentId, 8), {others}"
            f" FROM {TARGET}, generate_series(1, {copies - 1}) n",
            database="more",
        )
        content = self._server.content("more", TARGET, FIELDS)
        self._server.drop("more")
        with _dynamodb(settings.larger, settings.block) as told:
            return self._turn(LOADERS[0], {"url": told["url"]}, content=content)


@contextmanager
def _dynamodb(items: int, block: int) -> Iterator[dict[str, Any]]:
    """A DynamoDB with so many items until the block ends."""
    process = Process([sys.executable, str(HERE / "measuring/dynamodb_process.py")], {"items": items, "block": min(items, block)})
    try:
        told = process.answer()
        print(f"DynamoDB has {items:,} items on {told['pages']:,} pages, {told['bytes'] / 1e6:.1f} MB of JSON", flush=True)
        yield told
    finally:
        process.close()


def _clocked(cost: Cost) -> Cost:
    """The cost; of who had clocks of its own what they say, and the server's share."""
    if "wall_s" not in cost.told:
        return cost
    cpu_s, server_s = cost.told["cpu_s"], cost.told["server_cpu_s"]
    return Cost(cost.told["wall_s"], cpu_s + server_s, cost.peak_mb, {**cost.told, "client_cpu_s": cpu_s})


def _command(contender: Contender) -> list[str]:
    return [sys.executable, str(HERE / contender.script)]


def _env(wanted: Mapping[str, Any]) -> dict[str, str]:
    return {**LOGIN, "AWS_ENDPOINT_URL": wanted["url"]}


if __name__ == "__main__":
    main()
