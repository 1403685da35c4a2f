"""How the typed queue is used, for type checkers: read by them, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

import msgspec
from pydantic import BaseModel

from halocline import Invalid, SQSQueue
from halocline.queues import Reply

__all__ = ["as_documented", "by_every_way", "refused"]


class Patient(BaseModel):
    first_name: str
    last_name: str
    age: int


class Visit(msgspec.Struct):
    patient: int


@dataclass
class Bill:
    amount: int


def as_documented(messages: list[Patient]) -> None:
    queue: SQSQueue[Patient] = SQSQueue(name="my-queue-name", message_model=Patient)
    assert_type(queue.send_messages(messages), list[Reply])
    handles, found = queue.receive_messages()
    assert_type(handles, list[str])
    assert_type(found, list[Patient | Invalid])
    queue.delete_messages(handles)
    for message in found:
        if isinstance(message, Invalid):
            assert_type(message.error, str)
        else:
            assert_type(message.age, int)


def by_every_way() -> None:
    assert_type(SQSQueue(name="q", message_model=Visit), SQSQueue[Visit])
    assert_type(SQSQueue("https://sqs.eu-west-1.amazonaws.com/1/q", Bill), SQSQueue[Bill])
    assert_type(SQSQueue.from_name("q", Bill, account_id="1", region="eu-west-1"), SQSQueue[Bill])
    bills = SQSQueue(name="q.fifo", message_model=Bill, group=lambda bill: str(bill.amount), dedupe=lambda bill: str(bill.amount))
    assert_type(bills.send_message(Bill(1)), str)
    handle, bill = bills.receive_message()
    if handle is not None:
        assert_type(bills.delete_message(handle), Reply)
    if bill is not None and not isinstance(bill, Invalid):
        assert_type(bill, Bill)


def refused(queue: SQSQueue[Bill], visit: Visit) -> None:
    queue.send_message(visit)  # type: ignore[arg-type]  # wrong: another type's message
    SQSQueue(message_model=Bill)  # type: ignore[call-overload]  # wrong: neither name nor URL
    SQSQueue(name="q")  # type: ignore[call-overload]  # wrong: no type
    print(queue.receive_messages()[1][0].amount)  # type: ignore[union-attr]  # wrong: it may be Invalid
