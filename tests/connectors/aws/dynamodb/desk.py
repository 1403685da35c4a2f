"""A table of our fake, and runs that bring it into a DuckDB file, each as a process of its own would."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import duckdb
from tests.connectors.aws.servers import beside, new_name

from halocline import registry
from halocline.connector import Source, Target
from halocline.connectors.aws import Access
from halocline.connectors.aws.dynamodb.account import Account
from halocline.connectors.aws.dynamodb.values import item, json_text, tagged
from halocline.connectors.aws.session import session_of
from halocline.connectors.aws.wire import Wire
from halocline.events import Noticed, silent
from halocline.ledger import SqliteLedger
from halocline.ledger.process import Process
from halocline.plan import Wish, decide
from halocline.retry import Pace
from halocline.run import Flow, Run, execute
from halocline.spool import Spool
from halocline.testing.aws import FakeAWS
from halocline.testing.faults import replaced

Item = dict[str, Any]
KEY = ("pk", "sk")


def made(number: int, *, version: int = 0) -> Item:
    """An item with something of every type."""
    return {
        "pk": f"item-{number % 50:03}",
        "sk": number,
        "version": version,
        "amount": Decimal(f"{number}.{number % 100:02}12345678901234567890"),
        "name": f"näme {number}\n",
        "flag": number % 3 == 0,
        "nothing": None,
        "raw": bytes([number % 256, 0, 255]),
        "words": {f"w{number}", "x"},
        "numbers": {number, 1000 + number},
        "blobs": {b"a", bytes([number % 256, 1])},
        "map": {"a": [1, "x", None, {"deep": Decimal("1.50")}], "b": {"c": number}},
        "list": [number, {"k": "v"}],
    } | ({} if number % 5 else {"sometimes": "here"})


def wire(one: Mapping[str, Any]) -> dict[str, Any]:
    """An item as it goes over the wire."""
    return {name: tagged(value) for name, value in one.items()}


@dataclass
class Desk:
    """A table in the fake, a folder with the ledger, spools and the DuckDB file."""

    fake: FakeAWS
    home: Path
    table: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    key: tuple[str, ...] = KEY
    told: list[str] = field(default_factory=list)
    now: Callable[[], float] | None = None

    @cached_property
    def client(self) -> Any:
        """A client of boto3 beside ours."""
        return beside("dynamodb")

    def make(self, items: Sequence[Item] = (), *, stream: str | None = None, key: Sequence[str] = KEY, **more: Any) -> str:
        """A new table with these items, which its stream does not have."""
        self.table = new_name("table")
        self.key = tuple(key)
        types = {"pk": "S", "sk": "N", "id": "S", "name": "S"}
        names = {*key, *(one["AttributeName"] for index in more.get("GlobalSecondaryIndexes", ()) for one in index["KeySchema"])}
        if stream is not None:
            more["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": stream}
        self.client.create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in zip(key, ("HASH", "RANGE"), strict=False)],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": types[name]} for name in sorted(names)],
            **({"BillingMode": "PAY_PER_REQUEST"} | more),
        )
        self.fake.fill_table(self.table, [wire(one) for one in items])
        return self.table

    def put(self, one: Item) -> None:
        """Put an item, as a client does."""
        self._call("PutItem", Item=wire(one))

    def delete(self, one: Item) -> None:
        """Delete an item."""
        self._call("DeleteItem", Key=wire({name: one[name] for name in self.key}))

    def there(self) -> list[Item]:
        """The items of the table, by key."""
        return sorted((item(one) for one in self.fake.items(self.table)), key=self.place)

    def place(self, one: Mapping[str, Any]) -> tuple[Any, ...]:
        """The key of an item or row."""
        return tuple(one[name] for name in self.key)

    def account(self) -> Account:
        """The login to the fake, whose clock is ours, with waits that take no time."""
        clock = self.now or self.fake.clock.now
        return Account(Access.of({}), self.table, self.hear, Pace(sleep=lambda _: None), now=clock, root=self.home / "spool")

    def run(
        self, *, fresh: bool = False, wrap: Callable[[Source], Source] | None = None, wish: Wish | None = None, **options: Any
    ) -> Run:
        """A run into the DuckDB file; any before it is over, however it ended."""
        run = Run.new()
        with ExitStack() as stack, replaced(Process, "gone", by=lambda _: True):
            ledger = stack.enter_context(SqliteLedger(self.home / "ledger.sqlite"))
            spool = Spool(run.id, self.home / "spool")
            stack.callback(spool.close)
            destination = registry.open_destination(f"duckdb:///{self.home}/lake.duckdb", spool=spool)
            stack.callback(destination.close)
            source = registry.open_source("dynamodb", self.account(), spool=spool, **(self.options | options))
            flow = Flow(
                "documents",
                self.table,
                source if wrap is None else wrap(source),
                destination,
                Target("raw", "documents"),
                partial(decide, wish=wish or Wish("documents", key=self.key, force_full=fresh)),
                fresh=fresh,
            )
            return execute(flow, run, ledger=ledger, sink=self.hear)

    def rows(self, columns: str = "*") -> list[dict[str, Any]]:
        """The rows of the table that was loaded, by key."""
        with duckdb.connect(f"{self.home}/lake.duckdb", read_only=True) as lake:
            found = lake.sql(f"SELECT {columns} FROM raw.documents").to_arrow_table().to_pylist()
        return sorted(found, key=self.place)

    def position(self) -> dict[str, Any]:
        """The position that the table stores."""
        with duckdb.connect(f"{self.home}/lake.duckdb", read_only=True) as lake:
            found = lake.execute("SELECT position FROM _halocline_positions WHERE target <> ''").fetchall()
        position: dict[str, Any] = json.loads(found[0][0])
        return position

    def spools(self) -> list[str]:
        """What is left in the folder of spools."""
        return sorted(path.name for path in (self.home / "spool").glob("*"))

    @cached_property
    def _wire(self) -> Wire:
        return Wire(session_of(Access.of({})), "dynamodb")

    def _call(self, operation: str, **wanted: Any) -> None:
        self._wire.call("Writing", operation, wanted={"TableName": self.table, **wanted}, rights="")

    def hear(self, event: object) -> None:
        """Remember what is noticed."""
        silent(event)  # type: ignore[arg-type]  # any event
        if isinstance(event, Noticed):
            self.told.append(event.message)


def versions(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], int]:
    """The version of each row by key."""
    return {(one["pk"], int(one["sk"])): int(one["version"]) for one in rows}


def expected(items: Sequence[Item]) -> list[dict[str, Any]]:
    """The rows that these items become, all columns inferred."""
    names = sorted({name for one in items for name in one})
    return [{name: _plain(one.get(name), is_json=name in _NESTED) for name in names} for one in items]


def loaded(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their JSON read, to compare with `expected`; columns of items that are gone are left out."""
    read = partial(json.loads, parse_float=Decimal)
    nested = [{name: read(value) if name in _NESTED and value else value for name, value in one.items()} for one in rows]
    filled = {name for one in nested for name, value in one.items() if value is not None or name == "nothing"}
    return [{name: value for name, value in one.items() if name in filled} for one in nested]


_NESTED = {"words", "numbers", "blobs", "map", "list"}


def _plain(value: Any, *, is_json: bool) -> Any:
    if not is_json or value is None:
        return value
    return json.loads(json_text(tagged(value)), parse_float=Decimal)
