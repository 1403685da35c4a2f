"""Laws of docs/handlers.md and docs/coming-from-iniesta.md: their samples run as they stand, and do what the pages say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.test_docs import DOCS, python_blocks, run_page

from halocline.consume.flight.orders import Then
from halocline.consume.handling.context import Context
from halocline.consume.handling.handlers import Handlers
from halocline.errors import AlreadyApplied, BadMessage
from halocline.queues import Delivery


def message(event: str, body: str = '{"id": 17}') -> Delivery:
    return Delivery("handle", body, event, attributes={"iniesta_pass": event})


def test_the_samples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In order; each handler is called for what the page says."""
    monkeypatch.chdir(tmp_path)
    names = run_page(DOCS / "handlers.md")
    handlers: Handlers = names["handlers"]
    assert capsys.readouterr().out == "order Order.placed\n"
    bodies = {
        "User.updated": '{"id": 17}',
        "Invoice.sent": "{}",
        "Thing.unknown": "{}",
        "Account.created": '{"id": 1, "name": "Acme"}',
        "Bill.paid": '{"amount": 5}',
    }
    for event, body in bodies.items():
        handlers.run(message(event, body), Context())
    assert capsys.readouterr().out.splitlines() == [
        "User.updated 17",
        "else Thing.unknown",
        "Acme {'iniesta_pass': 'Account.created'} 1 web",
        "total 5",
    ]
    with pytest.raises(BadMessage) as caught:
        handlers.run(message("Refund.asked", '{"amount": -1}'), Context())
    assert handlers.then(caught.value, message("Refund.asked")) is Then.BURY
    names["shop"].close()


def test_the_pages_effect_happens_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run twice for one key, the payment is booked once; a key is what the page's function makes of the body."""
    monkeypatch.chdir(tmp_path)
    names = run_page(DOCS / "handlers.md")
    orders: Handlers = names["orders"]
    payment = message("Payment.made", '{"order": 1, "amount": 5}')
    key = orders.arrival(payment, "orders").key
    assert key == "orders/Payment.made/1"
    orders.run(payment, Context(key=key))
    with pytest.raises(AlreadyApplied):
        orders.run(payment, Context(key=key))
    assert names["shop"].execute("SELECT * FROM payments").fetchall() == [(1, 5)]
    names["shop"].close()


def test_the_samples_of_the_other_page_run(aws: Any, tmp_path: Path) -> None:
    """As a program that stands there as it is: it handles what comes, and ends at SIGTERM, with nothing left."""
    queue = boto3.client("sqs").create_queue(QueueName="users")["QueueUrl"]
    for event in ("UserUpdated.user", "UserDeleted.user"):
        told = {"iniesta_pass": {"DataType": "String", "StringValue": event}}
        boto3.client("sqs").send_message(QueueUrl=queue, MessageBody='{"id": 17}', MessageAttributes=told)
    program = tmp_path / "program.py"
    program.write_text("\n".join(block.code for block in python_blocks((DOCS / "coming-from-iniesta.md").read_text())))
    environ = {**os.environ, "HALOCLINE_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, str(program)]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            told = "".join(process.stdout.readline() for _ in range(2))
        finally:
            process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert sorted(told.replace("\n", "")) == sorted("deleted {'id': 17}updated {'id': 17}"), "two threads may print into one line"
    counts = aws.counts("users")
    assert (counts.visible, counts.in_flight) == (0, 0)
