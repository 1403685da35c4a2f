"""Claims in a table of DynamoDB: the laws of every store on our fake, and a share of them on moto (with `--long` all); and what
DynamoDB alone can do to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber
from tests.connectors.aws.servers import beside, fake, moto, new_name

from halocline.claims import KEPT_S, Clock
from halocline.connectors.aws.dynamodb_claims import DynamoStore
from halocline.consume.stores import open_store
from halocline.errors import FixConfig, NotFound, RetryLater
from halocline.idempotency import IdempotencyStore, State
from halocline.testing.idempotency import KEEP_S, LEASE_S, IdempotencySuite, Seconds, hold, take


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[object]:
    with fake() as running:
        yield running


@pytest.fixture(scope="class")
def other_server(server: object) -> Iterator[str]:
    with moto() as running:
        yield running


@pytest.fixture
def table() -> str:
    name = new_name("claims")
    beside("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
    )
    return name


class TestDynamoStore(IdempotencySuite):
    many, few = 101, 4  # more than one call reads

    def open(self, place: str, clock: Clock | None) -> IdempotencyStore:
        table = place.removeprefix("dynamodb://")
        return DynamoStore(table, clock=clock) if clock else DynamoStore(table)

    @pytest.fixture
    def place(self, table: str) -> str:
        return f"dynamodb://{table}"

    @pytest.mark.long
    def test_of_many_processes_one_takes_a_key(self, place: str) -> None:
        """To the table their connections are like those of threads, which do so in each run."""
        super().test_of_many_processes_one_takes_a_key(place)


@pytest.mark.usefixtures("other_server")
class TestDynamoStoreOnMoto(TestDynamoStore):
    SHARE = (7, 5)


def test_items_expire_with_their_memory(table: str) -> None:
    """In DynamoDB's own keeping, by its seconds; what is set aside stays."""
    clock = Seconds()
    store = DynamoStore(table, clock=clock)
    store.done([(hold(store, "done"), "hash")], keep_s=100)
    store.quarantine([(hold(store, "poison"), "reason")])
    hold(store, "claimed")
    items = {item["key"]["S"]: item for item in beside("dynamodb").scan(TableName=table)["Items"]}
    expires = {key: float(item["expires"]["N"]) - clock.now for key, item in items.items() if "expires" in item}
    assert expires == {"done": 101.0, "claimed": KEPT_S + LEASE_S + 1}
    assert "poison" in items


def test_a_key_longer_than_dynamodb_takes_is_a_key(table: str) -> None:
    """It is told by its hash, and listed by its name."""
    store = DynamoStore(table)
    long = "ö" * 3_000
    assert store.quarantine([(hold(store, long), "reason")]) == [True]
    assert take(store, long).state is State.QUARANTINED
    assert [entry.key for entry in store.quarantined()] == [long]


def test_a_key_at_which_others_were_faster_is_decided_anew(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is not what is written over; after many times of that nothing is said to be so."""
    store, other = DynamoStore(table), DynamoStore(table)
    read = DynamoStore._read
    faster = ["one"]

    def late(self: DynamoStore, keys: list[str], *, doing: str) -> Any:
        found = read(self, keys, doing=doing)
        if self is store and faster:
            faster.pop()
            hold(other, owner="two")
        return found

    monkeypatch.setattr(DynamoStore, "_read", late)
    assert take(store).state is State.HELD
    monkeypatch.setattr(DynamoStore, "_put_one", lambda *_, doing: False)
    with pytest.raises(RetryLater, match="other workers were faster"):
        take(store, "new")


def test_keys_that_dynamodb_did_not_come_to_are_asked_for_again(table: str) -> None:
    """A busy table answers a part, and names the rest."""
    store = DynamoStore(table)
    with Stubber(store._client) as stub:
        rest = {table: {"Keys": [{"key": {"S": "k"}}], "ConsistentRead": True}}
        stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": rest})
        stub.add_response("batch_get_item", {"Responses": {table: []}}, {"RequestItems": rest})
        assert store.look(["k"]) == [None]
        stub.add_client_error("batch_get_item", "ProvisionedThroughputExceededException")
        with pytest.raises(RetryLater, match="slow down"):
            store.look(["k"])


def test_a_table_that_is_not_there_is_told_how_to_make() -> None:
    """With its key and its time to live."""
    store = open_store("dynamodb://nobodys")
    assert store is not None
    with pytest.raises(NotFound, match=r"create-table --table-name nobodys.*AttributeName=expires"):
        take(store)
    store.close()


@pytest.mark.parametrize("place", ["dynamodb://", "dynamodb://table/more", "dynamodb://table?regio=x"])
def test_a_uri_that_names_no_table_is_refused(place: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(FixConfig):
        open_store(place)


def test_a_word_whose_answer_was_lost_is_heard(table: str) -> None:
    """The driver repeats the write, its condition does not hold any more, and the record says why."""
    store = DynamoStore(table)
    held = hold(store)
    put = store._client.put_item
    store._client.put_item = lambda **wanted: (put(**wanted), put(**wanted))
    assert store.done([(held, "hash")], keep_s=KEEP_S) == [True]
    store._client.put_item = put
