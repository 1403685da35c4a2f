"""What a queue is known by: no two queues share a name in one store of keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from halocline import Handlers, aws_lambda
from halocline.consume.known_queues import book
from halocline.consume.letters.quarantine import Quarantine
from halocline.consume.stores import open_store
from halocline.consume.work.worker import Worker
from halocline.errors import AccessDenied, FixConfig
from halocline.idempotency import IdempotencyStore
from halocline.queues import Message


class Now:
    """An invocation with time enough."""

    invoked_function_arn = "arn:aws:lambda:eu-west-1:111122223333:function:orders"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class Placed(Quarantine):
    """A queue called `orders` that says which one it is ("": its login may not ask)."""

    def __init__(self, folder: Path, arn: str) -> None:
        super().__init__(folder / "orders")
        self._arn = arn

    def identity(self) -> str:
        if not self._arn:
            raise AccessDenied("Looking at the queue", "it is forbidden")
        return self._arn


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IdempotencyStore]:
    found = open_store(f"sqlite:///{tmp_path}/claims.sqlite")
    assert found is not None
    yield found
    found.close()


def by_order(seen: list[str], *, across_queues: bool = False) -> Handlers:
    handlers = Handlers(key=lambda message: message.body["order"], across_queues=across_queues)
    handlers.add_handler(lambda message: seen.append(message.body["of"]))
    return handlers


def test_a_name_is_one_queue_s_in_a_store(store: IdempotencyStore) -> None:
    """Said again it is the same; another queue of that name is refused; of what nothing is known, nothing is booked."""
    for _ in range(2):
        book(store, "orders", identity="arn:eu:orders")
    book(store, "orders", identity="")
    book(store, "orders-us", identity="arn:us:orders")
    with pytest.raises(FixConfig, match=r"another queue called orders.*known_as"):
        book(store, "orders", identity="arn:us:orders")


@pytest.mark.parametrize(
    ("arn", "name", "across", "ends"),
    [
        ("arn:us:orders", None, False, True),
        ("arn:us:orders", "orders-us", False, False),
        ("arn:us:orders", None, True, False),
        ("arn:eu:orders", None, False, False),
        ("", None, False, False),
    ],
)
def test_a_worker_takes_no_message_under_keys_of_another_queue(
    tmp_path: Path, store: IdempotencyStore, arn: str, name: str | None, across: bool, ends: bool
) -> None:
    """It ends before it receives one; unless it has a name of its own, or its keys are meant for several queues."""
    book(store, "orders", identity="arn:eu:orders")
    seen: list[str] = []
    queue = Placed(tmp_path, arn)
    queue.send([Message('{"order": "17", "of": "us"}')])
    handlers = by_order(seen, across_queues=across)
    worker = Worker(queue, handlers, store=store, name=name)
    handlers.add_handler(lambda message: (seen.append(message.body["of"]), worker.stop()), "stop")
    if not ends:
        queue.send([Message('{"order": "18", "of": "end"}', {"iniesta_pass": "stop"})])
        worker.run()
        assert sorted(seen) == ["end", "us"]
        return
    with pytest.raises(FixConfig, match="known_as"):
        worker.run()
    assert (seen, len(queue.receive())) == ([], 1)


def test_a_function_takes_no_message_under_keys_of_another_queue(store: IdempotencyStore) -> None:
    """Two regions' queues of one name, with functions of one store: the second is refused until it says `known_as`."""

    def event(region: str) -> dict[str, Any]:
        arn = f"arn:aws:sqs:{region}:111122223333:orders"
        record = {"messageId": region, "body": '{"order": "17", "of": "REGION"}'.replace("REGION", region)}
        return {"Records": [{**record, "receiptHandle": "h", "eventSource": "aws:sqs", "eventSourceARN": arn}]}

    seen: list[str] = []
    for region in ("eu", "eu"):
        assert aws_lambda.handles(by_order(seen), store=store)(event(region), Now()) == {"batchItemFailures": []}
    with pytest.raises(FixConfig, match="known_as"):
        aws_lambda.handles(by_order(seen), store=store)(event("us"), Now())
    assert aws_lambda.handles(by_order(seen), store=store, known_as="orders-us")(event("us"), Now()) == {"batchItemFailures": []}
    assert seen == ["eu", "us"]
