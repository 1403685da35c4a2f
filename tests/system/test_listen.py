"""Laws of `halocline listen` as a process: several queues, logs, health, signals, and what becomes of poison."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner, Result

from halocline.queues import Message
from halocline.registry import open_queue
from halocline.testing.aws import FakeAWS
from tests.command_line import app
from tests.figures import SAYS, Says
from tests.ports import free_port
from tests.system.nursery import Done, Living, Nursery

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

PATIENCE_S = 40.0
MINE = """
import logging, os, pathlib
from halocline.consume.handling.handlers import Handlers
orders, bills = Handlers(), Handlers()
done = pathlib.Path("done")

@orders.handler("Order.*")
def on_order(message):
    logging.getLogger("mine").info("handling")
    with done.open("a") as file:
        file.write(f"order {message.raw_body}\\n")

@orders.handler("Kills")
def kills(message):
    with done.open("a") as file:
        file.write("kills\\n")
    os._exit(9)

@orders.handler("Fails")
def fails(message):
    raise ValueError(f"no such customer: {message.raw_body}")

@bills.handler
async def on_bill(message):
    with done.open("a") as file:
        file.write(f"bill {message.raw_body}\\n")
"""
FLOWS = """
flows:
  orders:
    kind: listen
    queue: orders
    handlers: mine:orders
    visibility: 2
    poison_after: 2
    retry_first: 0
    retry_most: 0
    most_receives: 2
  bills:
    kind: listen
    queue: bills
    handlers: mine:bills
"""


@dataclass(slots=True)
class Desk:
    """A folder with flows and handlers, and `halocline` in it."""

    folder: Path
    env: Mapping[str, str]
    nursed: Nursery
    started: list[Living] = field(default_factory=list)

    def listen(self, *words: str) -> Living:
        """`halocline listen`, going on; its logs are in the file `log`."""
        self.started.append(self.nursed.begin("listen", *words, cwd=self.folder, env=self.env, err=self.folder / "log"))
        return self.started[-1]

    def type(self, *words: str) -> Done:
        """`halocline` and these words, to its end."""
        return self.nursed.run(*words, cwd=self.folder, env=self.env)

    @property
    def done(self) -> list[str]:
        """What handlers did, in order."""
        path = self.folder / "done"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines that were logged."""
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]


@pytest.fixture
def desk(aws: FakeAWS, tmp_path: Path, nursed: Nursery) -> Iterator[Desk]:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "halocline.yaml").write_text(FLOWS)
    for name in ("orders", "bills"):
        boto3.client("sqs").create_queue(QueueName=name)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HALOCLINE_", "SF_", "INIESTA_"))}
    desk = Desk(tmp_path, {**env, "HALOCLINE_HOME": str(tmp_path / "home")}, nursed)
    yield desk
    for process in desk.started:
        process.signal(signal.SIGKILL)
        process.ended(within_s=PATIENCE_S)


def until(is_so: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Wait until it is so."""
    ends = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < ends, "it never came to be"
        time.sleep(0.02)  # another process is looked at; nothing tells when


def ended(process: Living, number: int = signal.SIGTERM) -> tuple[int, str]:
    process.signal(number)
    return process.ended(within_s=PATIENCE_S), process.out.read_text()


def ask(port: int, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except urllib.error.URLError:
        return 0, {}


def left(aws: FakeAWS, queue: str) -> int:
    """Messages that are still in a queue."""
    counts = aws.counts(queue)
    return counts.visible + counts.in_flight


def send(queue: str, *bodies: str, event: str = "Order.made") -> None:
    open_queue(queue).send([Message(body, {"iniesta_pass": event}) for body in bodies])


def test_one_process_listens_to_several_queues_until_it_is_told_to_end(desk: Desk, aws: FakeAWS) -> None:
    """Each queue's messages go to its own handlers, once; health says so; SIGTERM ends it with 0 and the counts of each."""
    port = free_port()
    send("orders", *map(str, range(20)))
    send("bills", *map(str, range(10)))
    process = desk.listen("--all", "--health", str(port), "--otel", "--json")
    until(lambda: aws.counts("orders") == aws.counts("bills") and left(aws, "orders") == 0)
    until(lambda: ask(port, "/ready")[0] == 200)
    assert ask(port, "/live") == (200, {"ok": True, "wrong": []})
    until(lambda: ask(port, "/metrics")[1]["queues"]["orders"]["done"] == 20)
    until(lambda: ask(port, "/metrics")[1]["queues"]["bills"]["done"] == 10)
    figures = ask(port, "/metrics")[1]["queues"]
    assert (figures["bills"]["done"], figures["bills"]["last_success_age_s"] < PATIENCE_S) == (10, True)
    code, out = ended(process)
    told = {one["flow"]: one for one in map(json.loads, out.splitlines())}
    assert (code, told["orders"]["done"], told["bills"]["done"], told["orders"]["success"]) == (0, 20, 10, True)
    assert sorted(desk.done) == sorted([*(f"order {one}" for one in range(20)), *(f"bill {one}" for one in range(10))])
    whats = {(one.get("what"), one.get("queue")) for one in desk.log}
    assert {(what, queue) for what in ("started", "stopping", "stopped") for queue in ("orders", "bills")} <= whats
    mine = [one for one in desk.log if one["logger"] == "mine"]
    assert (len(mine), {one["queue"] for one in mine}, all(one["message"] for one in mine)) == (20, {"orders"}, True)


def test_what_fails_is_set_aside_and_brought_back(desk: Desk, aws: FakeAWS) -> None:
    """An event that nobody handles at once, a handler that fails after its tries; healthy messages are not held up; logs tell of
    it without the bodies; `dlq` shows them by the flow's name and sends them back.
    """
    send("orders", "secret-body", event="Fails")
    send("orders", "nobody", event="No.such")
    send("orders", *map(str, range(10)))
    process = desk.listen("orders")
    until(lambda: len(desk.done) == 10 and left(aws, "orders") == 0)
    assert ended(process)[0] == 0
    listed = [json.loads(line) for line in desk.type("dlq", "ls", "orders", "--json").out.splitlines()]
    assert sorted(one["receives"] for one in listed) == [1, 2]
    assert {one["from"] for one in listed} == {"orders"}
    assert "secret-body" not in (desk.folder / "log").read_text()
    assert [one for one in desk.log if one.get("what") == "buried"]
    done = desk.type("dlq", "redrive", "orders")
    assert (done.code, done.out) == (0, "orders: 2 messages sent back\n")
    assert aws.counts("orders").visible == 2


def test_a_message_that_kills_the_process_is_set_aside_after_its_deaths(desk: Desk, aws: FakeAWS, record_property: Says) -> None:
    """A supervisor starts the process anew; after two deaths the message is quarantined, and the others are done."""
    send("orders", "poison", event="Kills")
    aside = desk.folder / "home" / "quarantine"
    deaths = 0
    while not died_before(process := desk.listen("orders"), aside):
        assert process.code == 9
        deaths += 1
        assert deaths < 5
    send("orders", "healthy")
    until(lambda: desk.done[-1:] == ["order healthy"])
    assert ended(process)[0] == 0
    assert (deaths, desk.done.count("kills")) == (2, 2)
    assert left(aws, "orders") == 0
    (letter,) = [json.loads(line) for line in desk.type("dlq", "ls", "orders", "--json").out.splitlines()]
    assert letter["from"] == "orders"
    record_property(
        SAYS, f"T21 poison that kills: set aside after {deaths} deaths, {desk.done.count('kills')} runs, healthy lost=0"
    )


def died_before(process: Living, aside: Path) -> bool:
    """Wait until the process dies, or something is set aside: whether that came first."""
    until(lambda: process.poll() is not None or any(aside.glob("*/*.message.json")))
    return process.poll() is None


def test_a_queue_that_goes_ends_its_listening_only(desk: Desk, aws: FakeAWS) -> None:
    """The other queue is worked on; health asks for a new process; the exit code tells at the end."""
    port = free_port()
    process = desk.listen("orders", "bills", "--health", str(port))
    until(lambda: ask(port, "/ready")[0] == 200)
    boto3.client("sqs").delete_queue(QueueUrl=boto3.client("sqs").get_queue_url(QueueName="orders")["QueueUrl"])
    until(lambda: ask(port, "/live") == (503, {"ok": False, "wrong": ["orders: it ended by itself"]}))
    send("bills", "one more")
    until(lambda: desk.done == ["bill one more"])
    code, out = ended(process)
    assert (code, "bills: " in out) == (2, True)


def test_what_cannot_be_begun_is_told_before_anything_is(desk: Desk, aws: FakeAWS) -> None:
    """A queue that is not there, handlers that are not there: exit code 2, one paragraph, no message received."""
    (desk.folder / "halocline.yaml").write_text(FLOWS.replace("queue: bills", "queue: none"))
    send("orders", "x")
    done = desk.type("listen", "--all")
    assert (done.code, "none" in done.err, "Traceback" in done.err) == (2, True, False)
    (desk.folder / "halocline.yaml").write_text(FLOWS.replace("mine:bills", "mine:nobody"))
    done = desk.type("listen", "--all")
    assert (done.code, "has no nobody" in done.err) == (2, True)
    assert (aws.counts("orders").visible, desk.done) == (1, [])


def test_a_subscription_is_planned_applied_and_verified(desk: Desk, aws: FakeAWS, monkeypatch: pytest.MonkeyPatch) -> None:
    """--plan changes nothing, --verify ends with 3 until --apply; then events that are handled arrive, and no others."""
    monkeypatch.chdir(desk.folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (desk.folder / "listen_subscribed.py").write_text(MINE)
    topic = boto3.client("sns").create_topic(Name="events")["TopicArn"]

    def type_(*words: str) -> Result:
        return CliRunner().invoke(app, ["listen", "listen_subscribed:orders", "--queue", "orders", "--topic", topic, *words])

    assert type_("--verify").exit_code == 3
    planned = type_("--plan")
    assert (planned.exit_code, "+ subscribe" in planned.stdout) == (0, True)
    assert type_("--verify", "--json").exit_code == 3
    assert type_("--apply").exit_code == 0
    verified = type_("--verify", "--json")
    assert (verified.exit_code, json.loads(verified.stdout)["met"]) == (0, True)
    assert type_("--plan", "--apply").exit_code == 2
    for event in ("Order.made", "Other.made"):
        attributes = {"iniesta_pass": {"DataType": "String", "StringValue": event}}
        boto3.client("sns").publish(TopicArn=topic, Message=event, MessageAttributes=attributes)
    assert [one.body for one in aws.messages("orders")] == ["Order.made"]
