"""A pipeline as its user has it: a halocline.yaml that brings a table of DynamoDB into PostgreSQL, and `halocline run` typed."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import boto3
from psycopg.types.json import set_json_loads

from halocline.connectors.aws.dynamodb.values import item as python_item
from halocline.connectors.aws.dynamodb.values import tagged
from halocline.testing.aws import FakeAWS
from tests.connectors.postgres.server import Place
from tests.system.dynamodb_items import Item, back, made
from tests.system.shell import Shell, Typed

Key = tuple[str, int]
_YAML = """
connections:
  warehouse: env:WAREHOUSE
flows:
  items:
    kind: tables
    from: dynamodb://
    to: warehouse
    tables:
      - {{from: {table}, to: raw.items, {options}}}
"""


def key(one: Any) -> Key:
    """The key of an item."""
    return one["pk"], int(one["sk"])


@dataclass
class Pipeline:
    """The table, the database, and a home."""

    aws: FakeAWS
    shell: Shell
    place: Place
    home: Path
    table: str
    count: int = 0

    def make(self, count: int, *, options: str = "options: {segments: 4}", stream: bool = False) -> None:
        """A new table with so many items, and the flow that reads it."""
        self.count = count
        client = boto3.client("dynamodb")
        more: dict[str, Any] = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}} if stream else {}
        client.create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}],
            BillingMode="PAY_PER_REQUEST",
            **more,
        )
        self.aws.fill_table(self.table, (wire(made(number)) for number in range(count)))
        self.home.joinpath("halocline.yaml").write_text(_YAML.format(table=self.table, options=options))

    def run(self, *, kinds: tuple[str, ...] = (), at: int = 0, kill_after_s: float = 0.0) -> Typed:
        """`halocline run items`, undisturbed or killed."""
        words = ("run", "items", "--config", str(self.home / "halocline.yaml"), "--json")
        with self.shell.typing(*words, env=self.env(), kinds=kinds, at=at, kill_after_s=kill_after_s) as (_, ended):
            return ended()

    def env(self) -> dict[str, str]:
        """The variables of the command."""
        home = {"HALOCLINE_HOME": str(self.home), "HALOCLINE_SPOOL": str(self.home / "spool"), "WAREHOUSE": self.place.uri()}
        return self.aws.environment() | home

    def there(self) -> dict[Key, Item]:
        """The items of the table."""
        return {key(one): one for one in map(python_item, self.aws.items(self.table))}

    def loaded(self) -> dict[Key, Item]:
        """The items that the rows are; a key that is there twice fails."""
        set_json_loads(_text, context=self.place.admin)
        found: dict[Key, Item] = {}
        with self.place.admin.transaction(), self.place.admin.cursor(name="rows") as cursor:
            cursor.itersize = 5_000
            cursor.execute("SELECT * FROM raw.items")
            for row in cursor:
                assert cursor.description is not None
                one = back(dict(zip((column.name for column in cursor.description), row, strict=True)))
                assert key(one) not in found, f"the key {key(one)} is there twice"
                found[key(one)] = one
        return found

    def is_there(self) -> bool:
        """Whether the table was made."""
        return self.place.rows("SELECT to_regclass('raw.items')") != [(None,)]


def differences(expected: dict[Key, Item], found: dict[Key, Item]) -> list[str]:
    """What differs, in words."""
    wrong = [f"{one} is not there" for one in expected.keys() - found.keys()]
    wrong += [f"{one} should not be there" for one in found.keys() - expected.keys()]
    both = expected.keys() & found.keys()
    wrong += [f"{one}: {_unlike(expected[one], found[one])}" for one in both if expected[one] != found[one]]
    return sorted(wrong)


def _unlike(expected: Item, found: Item) -> str:
    nothing = object()
    names = {*expected, *found}
    unlike = sorted(name for name in names if expected.get(name, nothing) != found.get(name, nothing))
    return ", ".join(f"{name} is {found.get(name)!r}, not {expected.get(name)!r}" for name in unlike)


def wire(one: Item) -> dict[str, Any]:
    """An item as it goes over the wire."""
    return {name: tagged(value) for name, value in one.items()}


class Writer:
    """Somebody who writes the table all the time, and knows what was ever in it."""

    def __init__(self, pipeline: Pipeline, *, seed: int) -> None:
        self.versions: dict[Key, set[int | None]] = defaultdict(set)  # those that an item had; None where it was gone
        self.failure: BaseException | None = None
        self._pipeline = pipeline
        self._version = 0
        self._chance = Random(seed)
        self._ended = threading.Event()
        self._table = boto3.resource("dynamodb").Table(pipeline.table)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Write while the block runs.

        Raises: what stopped it before.
        """
        self._ended.clear()
        thread = threading.Thread(target=self._work, name="writer")
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
        if self.failure is not None:
            raise self.failure

    def write(self, changes: int) -> None:
        """Change so many items, now."""
        for _ in range(changes):
            self._version += 1
            self._change(self._chance.randrange(int(self._pipeline.count * 1.05)), self._version)

    def _work(self) -> None:
        try:
            while not self._ended.wait(0.001):
                self.write(1)
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self.failure = error

    def _change(self, number: int, version: int) -> None:
        one = made(number, version=version)
        known = self.versions[key(one)]
        if not known:
            known.add(0 if number < self._pipeline.count else None)
        if self._chance.random() < 0.25:
            known.add(None)
            self._table.delete_item(Key={name: one[name] for name in ("pk", "sk")})
        else:
            known.add(version)
            self._table.put_item(Item=one)

    def broken(self, found: dict[Key, Item]) -> list[str]:
        """What breaks the promise of a scan: what nobody touched is there as it is, the rest in a version that it had."""
        numbers = {key(made(number)): number for number in range(int(self._pipeline.count * 1.05))}
        wrong = []
        for one, number in numbers.items():
            row = found.get(one)
            known = self.versions.get(one) or {0 if number < self._pipeline.count else None}
            version = None if row is None else int(row["version"])
            if version not in known:
                wrong.append(f"{one} has the version {version}, and had {known}")
            elif row is not None and version is not None and row != made(number, version=version):
                wrong.append(f"{one}: {_unlike(made(number, version=version), row)}")
        return wrong + [f"{one} was never there" for one in found.keys() - numbers.keys()]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
