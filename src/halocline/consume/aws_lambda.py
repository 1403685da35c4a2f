"""Lambda: an event comes in, the flows that it is for are run in the time that there is, and what was not done is handed back.

    SQS              {"batchItemFailures": [...]}: the messages that are to be delivered again, and no others
    S3, SNS,         what was done; raises when something was not, so that Lambda delivers the event again
    EventBridge
    {"flow": ...}    likewise; with "on_timeout": "return" the answer says {"done": false, "continue": {...}}, for Step Functions

Delivered again, nothing is done twice: a file job finds its own steps, a push its run, a sync its position.
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html, read November 2026.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from halocline.errors import FixConfig, HaloclineError, NotAllHandled, RetryLater, Stop
from halocline.landed import Landed

if TYPE_CHECKING:
    from halocline.consume.s3_notices import Notice
    from halocline.flows.configuration import Configuration
    from halocline.flows.connected import Connected
    from halocline.flows.files import FileFlow
    from halocline.flows.run import Done

_DOING = "Handling an event in Lambda"
_FLOW_KEYS = {"flow", "flows", "bucket", "key", "on_timeout"}
_MOST_MARGIN = 1 / 3  # of the time that there is: a function with a short time-out is to do something all the same
_SCHEDULED = {"Scheduled Event", "Scheduled Event - Scheduler"}


class Context(Protocol):
    """What Lambda says of one invocation. Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Handle one event with the flows of `halocline.yaml` beside the function (or where HALOCLINE_CONFIG says).

    Raises: FixConfig for a configuration that cannot be; NotAllHandled, RetryLater for what is to be delivered again.
    """
    from halocline.config import Settings
    from halocline.flows.connected import Connected
    from halocline.flows.reading import place
    from halocline.ledger import open_ledger

    configuration = _configuration(str(place()))
    left_s = context.get_remaining_time_in_millis() / 1_000
    ends_at = time.monotonic() + left_s - min(configuration.said.aws_lambda.margin, left_s * _MOST_MARGIN)
    settings = Settings.from_env()
    with open_ledger(settings.ledger) as ledger:
        around = Connected(configuration.connections, configuration.folder, settings, ledger, ends_at=ends_at)
        return Function(configuration, around).respond(event)


@cache  # a warm function reads its file once
def _configuration(path: str) -> Configuration:
    from pathlib import Path

    from halocline.flows.reading import read

    return read(Path(path))


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of work out of an event: a flow, and a file of it or none. `error` says why it cannot be begun.

    `message` is the id of its SQS message ("" for none), `group` that message's FIFO group.
    """

    flow: str = ""
    where: Landed | None = None
    message: str = ""
    group: str = ""
    error: HaloclineError | None = None


@dataclass(slots=True)
class Function:
    """One invocation: the configuration, what its flows are run with, and what was said so far."""

    configuration: Configuration
    around: Connected
    told: list[dict[str, Any]] = field(default_factory=list)
    failed: list[tuple[Item, HaloclineError]] = field(default_factory=list)

    def respond(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Do what the event asks for, and answer in the form that its sender understands.

        Raises: NotAllHandled, RetryLater, FixConfig for senders that understand nothing else.
        """
        records = event.get("Records")
        if isinstance(records, list) and records and all(_is_sqs(one) for one in records):
            return self._respond_to_queue(records)
        if _FLOW_KEYS & event.keys() & {"flow", "flows"}:
            return self._respond_to_call(event)
        if event.get("detail-type") in _SCHEDULED:
            self._work([Item(name) for name in self._scheduled(event)])
        else:
            self._work(self._files(event))
        self._refuse_failures()
        return {"done": True, "results": self.told}

    # ---- SQS

    def _respond_to_queue(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        fifo = any(str(one.get("eventSourceARN", "")).endswith(".fifo") for one in records)
        groups = {str(one["messageId"]): str((one.get("attributes") or {}).get("MessageGroupId") or "") for one in records}
        calls = {str(one["messageId"]): call for one in records if (call := _call_in(one.get("body"))) is not None}
        items = []
        for together in [[one] for one in records] if fifo else [records]:
            items += self._files({"Records": [one for one in together if one["messageId"] not in calls]})
            items += [item for one in together for item in self._of_message(one["messageId"], calls)]
        self._work([replace(item, group=groups.get(item.message, "")) for item in items], in_order=fifo)
        again = {item.message for item, _ in self.failed}
        return {"batchItemFailures": [{"itemIdentifier": name} for name in groups if name in again]}

    def _of_message(self, message: str, calls: Mapping[str, Mapping[str, Any]]) -> list[Item]:
        try:
            return [replace(item, message=message) for item in self._called(calls[message])] if message in calls else []
        except HaloclineError as error:
            return [Item(message=message, error=error)]

    # ---- calls: {"flow": ...}

    def _respond_to_call(self, event: Mapping[str, Any]) -> dict[str, Any]:
        items = self._called(event)
        self._work(items)
        late = [item for item, error in self.failed if self._is_late(error)]
        if event.get("on_timeout") == "return" and late and len(late) == len(self.failed):
            rest = {**event, "flows": [item.flow for item in late]}
            rest.pop("flow", None)
            return {"done": False, "results": self.told, "continue": rest}
        self._refuse_failures()
        return {"done": True, "results": self.told}

    def _called(self, call: Mapping[str, Any]) -> list[Item]:
        """The work that somebody asks for by name.

        Raises: FixConfig for a key that is not known, NotFound for a flow.
        """
        odd = sorted(call.keys() - _FLOW_KEYS)
        if odd:
            raise FixConfig(_DOING, f"the key {odd[0]!r} is unknown", hint=f"There are {', '.join(sorted(_FLOW_KEYS))}.")
        names = [call["flow"]] if "flow" in call else list(call["flows"])
        for name in names:
            self.configuration.flow(str(name))
        if "key" not in call:
            return [Item(str(name)) for name in names]
        return [Item(name, self._lying(name, call)) for name in names]

    def _lying(self, name: str, call: Mapping[str, Any]) -> Landed:
        from halocline.flows.connections import open_bucket_store
        from halocline.flows.files import FileFlow, lying

        flow = self.configuration.flow(name)
        if not isinstance(flow, FileFlow):
            raise FixConfig(_DOING, f"a key is given, and the flow {name} takes no files", hint="Leave bucket and key out.")
        bucket = call.get("bucket") or flow.reach(name, self.around).bucket
        return lying(f"s3://{bucket}/{call['key']}", open_bucket_store(self.around.connection(flow.source)))

    def _scheduled(self, event: Mapping[str, Any]) -> list[str]:
        """The flows that a rule of EventBridge starts: those that name it as their `schedule`.

        Raises: FixConfig when there is none.
        """
        rules = [str(one).rpartition("/")[2] for one in event.get("resources") or ()]
        names = [name for name, flow in self.configuration.flows.items() if getattr(flow, "schedule", None) in rules and rules]
        if not names and self.configuration.said.aws_lambda.unmatched == "fail":
            hint = 'Write `schedule: NAME` into a flow, or give the rule the constant input {"flow": "NAME"}.'
            raise FixConfig(_DOING, f"no flow has the schedule {' or '.join(rules) or 'of this event'}", hint=hint)
        return names

    # ---- files

    def _files(self, event: Mapping[str, Any]) -> list[Item]:
        """The files that an event of S3 tells of, each with its flow; what is not known is told as such."""
        from halocline.consume.s3_events import in_order
        from halocline.consume.s3_notices import notices

        if event.get("Records") == []:
            return []
        return [item for notice in in_order(notices(event)) if (item := self._of_notice(notice)) is not None]

    def _of_notice(self, notice: Notice) -> Item | None:
        from halocline.consume.s3_notices import News

        if notice.error is not None:
            return Item(message=notice.message, error=notice.error)
        if notice.news is not News.LANDED or notice.where is None:
            return None
        where = notice.where
        jobs = {name: flow.reach(name, self.around) for name, flow in self._file_flows()}
        takers = [name for name, job in jobs.items() if job.takes(where)]
        if takers:
            return Item(max(takers, key=lambda name: len(jobs[name].prefix)), where, notice.message)
        own = any(where.bucket == job.bucket and where.key.startswith(job.own_prefixes) for job in jobs.values())
        if own or where.key.endswith("/") or self.configuration.said.aws_lambda.unmatched == "ignore":
            return None
        hint = "Narrow the bucket's notification to the prefixes of flows, or set `lambda: {unmatched: ignore}`."
        return Item(where=where, message=notice.message, error=FixConfig(_DOING, f"no flow takes {where}", hint=hint))

    def _file_flows(self) -> Iterator[tuple[str, FileFlow]]:
        from halocline.flows.files import FileFlow

        yield from ((name, flow) for name, flow in self.configuration.flows.items() if isinstance(flow, FileFlow))

    # ---- work

    def _work(self, items: Sequence[Item], *, in_order: bool = False) -> None:
        """Run what there is, one after the other; a failure stops no other, but those behind it in its FIFO group."""
        ordered = items if in_order else sorted(items, key=lambda item: (item.flow, item.where is None))
        stopped: set[str] = set()
        for (name, _), together in groupby(ordered, key=lambda item: (item.flow, item.where is None)):
            self._work_on(name, list(together), stopped, in_order=in_order)

    def _work_on(self, name: str, items: list[Item], stopped: set[str], *, in_order: bool) -> None:
        for item in items:
            if item.error is not None:
                self._fail(item, item.error, stopped)
        todo = [item for item in items if item.error is None]
        for item in [item for item in todo if item.where is None]:
            if self._may_begin(item, stopped, in_order=in_order):
                self._run(item, stopped)
        files = [item for item in todo if item.where is not None]
        if files:
            self._run_files(name, files, stopped, in_order=in_order)

    def _run(self, item: Item, stopped: set[str]) -> None:
        """Run a flow that was called by its name; its first failure is the item's."""
        from halocline.flows.run import run_flow

        try:
            found = list(map(self._tell, run_flow(item.flow, self.configuration, around=self.around)))
        except HaloclineError as error:
            found = [error]
        failures = [error for error in found if error is not None]
        if failures:
            self._fail(item, failures[0], stopped)

    def _run_files(self, name: str, items: list[Item], stopped: set[str], *, in_order: bool) -> None:
        """Run a flow for files; each is drawn when the one before it is done, so that a failure can hold those behind it."""
        from halocline.flows.run import run_flow

        begun: list[Item] = []

        def drawn() -> Iterator[Landed]:
            for item in items:
                if self._may_begin(item, stopped, in_order=in_order):
                    begun.append(item)
                    assert item.where is not None, "files have a place"
                    yield item.where

        ended = 0
        try:
            for done in run_flow(name, self.configuration, around=self.around, files=drawn()):
                error = self._tell(done)
                ended += 1
                if error is not None:
                    self._fail(begun[-1], error, stopped)
        except HaloclineError as error:
            known = {id(item) for item in begun[:ended]} | {id(item) for item, _ in self.failed}
            for item in items:
                if id(item) not in known:
                    self._fail(item, error, stopped)

    def _may_begin(self, item: Item, stopped: set[str], *, in_order: bool) -> bool:
        """Whether it is an item's turn; one that waits for another of its group, or has no time left, is handed back."""
        if in_order and item.group in stopped:
            cause = f"one before it in the group {item.group!r} was not handled"
            self._fail(item, RetryLater(_DOING, cause, hint="It comes again, in its order."), stopped)
            return False
        if self.around.is_over():
            self._fail(item, RetryLater(_DOING, _LATE, hint="It goes on at the next delivery."), stopped)
            return False
        return True

    def _tell(self, done: Done) -> HaloclineError | None:
        """Keep and log what became of something; its error, if it has one."""
        self.told.append(done.to_json())
        _log(self.told[-1])
        if done.error is None or isinstance(done.error, HaloclineError):
            return done.error
        traceback.print_exception(done.error)  # a defect: its place is in the log, and the others go on
        return Stop(f"Running the flow {done.flow}", f"{type(done.error).__name__}: {done.error}")

    def _fail(self, item: Item, error: HaloclineError, stopped: set[str]) -> None:
        self.failed.append((item, error))
        stopped.add(item.group)
        file = None if item.where is None else str(item.where)
        _log({"flow": item.flow, "file": file, "message": item.message, "failed": type(error).__name__, "error": str(error)})

    def _is_late(self, error: HaloclineError) -> bool:
        return self.around.is_over() and (isinstance(error, RetryLater) or self.around.halt.is_called)

    def _refuse_failures(self) -> None:
        """Raises: the error of the one thing that failed, or one that names all."""
        if len(self.failed) == 1:
            raise self.failed[0][1]
        if self.failed:
            cause = "; ".join(f"{item.where or item.flow or 'an event'}: {error}" for item, error in self.failed)
            hint = "Delivered again, what is done is not done twice."
            raise NotAllHandled(_DOING, f"{len(self.failed)} were not handled: {cause}", results=self.told, hint=hint)


_LATE = "there was no time left"


def _is_sqs(record: object) -> bool:
    return isinstance(record, Mapping) and record.get("eventSource") == "aws:sqs"


def _call_in(body: object) -> dict[str, Any] | None:
    """The call that a message holds; None where it is something else."""
    if not isinstance(body, str):
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and {"flow", "flows"} & found.keys() else None


def _log(told: Mapping[str, Any]) -> None:
    """One line of JSON, which CloudWatch keeps as an event of the log."""
    sys.stdout.write(json.dumps(told, default=str) + "\n")
    sys.stdout.flush()
