"""Lambda: an event comes in, the flows that it is for are run in the time that there is, and what was not done is handed back.

    SQS              {"batchItemFailures": [...]}: the messages that are to be delivered again, and no others
    S3, SNS,         what was done; raises when something was not, so that Lambda delivers the event again
    EventBridge
    {"flow": ...}    likewise; with "on_timeout": "return" the answer says {"done": false, "continue": {...}}, for Step Functions

Delivered again, nothing is done twice, as far as the ledger reaches: a file job finds its own steps; of flows that are asked for
by name, those that were done for this message, event or `id` are passed over, and what was cut off goes on.
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html, read November 2026.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from halocline.consume.aws.invocation import Invocation, TimeLeft, refuse_no_event
from halocline.errors import FixConfig, HaloclineError, NotAllHandled, RetryLater, Stop
from halocline.landed import Landed
from halocline.queues import is_fifo, name_of

if TYPE_CHECKING:
    from halocline.consume.aws.s3_notices import Notice
    from halocline.flows.configuration import Configuration
    from halocline.flows.connected import Connected
    from halocline.flows.owners import Owners
    from halocline.flows.run import Done

_DOING = "Handling an event in Lambda"
_FLOW_KEYS = {"flow", "flows", "bucket", "key", "id", "on_timeout"}
_MOST_BYTES = 200_000  # of results in an answer; a state of Step Functions holds 256 KiB, and `continue` has to fit too
_SCHEDULED = {"Scheduled Event", "Scheduled Event - Scheduler"}


def handler(event: Mapping[str, Any], context: Invocation | None) -> dict[str, Any]:
    """Handle one event with the flows of `halocline.yaml` beside the function (or where HALOCLINE_CONFIG says).

    Raises: FixConfig for a configuration that cannot be; NotAllHandled, RetryLater for what is to be delivered again.
    """
    from halocline.config import Settings
    from halocline.flows.connected import Connected
    from halocline.flows.reading import place
    from halocline.ledger import open_ledger

    configuration = _configuration(str(place().absolute()))
    ends_at = TimeLeft.of(context, margin_s=configuration.said.aws_lambda.margin).ends_at
    settings = configuration.settings(Settings.from_env())
    with open_ledger(settings.ledger, keep_s=settings.keep_s) as ledger:
        around = Connected(configuration.connections, configuration.folder, settings, ledger, ends_at=ends_at)
        return Function(configuration, around, str(getattr(context, "aws_request_id", "") or "")).respond(event)


@cache  # a warm function reads its file once
def _configuration(path: str) -> Configuration:
    from pathlib import Path

    from halocline.flows.reading import read

    return read(Path(path))


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of work out of an event: a flow, and a file of it or none. `error` says why it cannot be begun.

    `where` is a file that landed; `key` (in `bucket`, "" for the flow's own) one that is asked for. `id` tells this asking from
    every other ("" where nothing does). `message` is the id of its SQS message ("" for none), `group` that message's FIFO group.
    """

    flow: str = ""
    where: Landed | None = None
    bucket: str = ""
    key: str = ""
    id: str = ""
    message: str = ""
    group: str = ""
    error: HaloclineError | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A piece of work that was not done; `is_late`: for want of time only, so that it is to be asked for again."""

    item: Item
    error: HaloclineError
    is_late: bool


@dataclass(slots=True)
class Function:
    """One invocation: the configuration, what its flows are run with, and what was said so far.

    `request` is its id, which stays when Lambda repeats an event that nobody waits for. Source:
    https://repost.aws/knowledge-center/lambda-function-duplicate-invocations, read November 2026.
    """

    configuration: Configuration
    around: Connected
    request: str = ""
    told: list[dict[str, Any]] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    owners: Owners | None = None

    def respond(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Do what the event asks for, and answer in the form that its sender understands.

        Raises: NotAllHandled, RetryLater, FixConfig for senders that understand nothing else, and for an event that is no object.
        """
        refuse_no_event(_DOING, event, hint='Write {"flow": "NAME"} to have a flow run.')
        records = event.get("Records")
        if isinstance(records, list) and records and all(_is_sqs(one) for one in records):
            return self._respond_to_queue(records)
        if _FLOW_KEYS & event.keys() & {"flow", "flows"}:
            return self._respond_to_call(event)
        if event.get("detail-type") in _SCHEDULED:
            asked = str(event.get("id") or self.request)
            self._work([Item(name, id=asked) for name in self._scheduled(event)])
        else:
            self._work([self._explained(item) for item in self._files(event)])
        self._refuse_failures()
        return self._answer(done=True)

    def _answer(self, *, done: bool, **more: Any) -> dict[str, Any]:
        """What was done, as much of it as every sender can take; the log has all of it."""
        kept: list[dict[str, Any]] = []
        size = 0
        for one in self.told:
            size += len(json.dumps(one, default=str))
            if size > _MOST_BYTES:
                more["results_left_out"] = len(self.told) - len(kept)
                break
            kept.append(one)
        return {"done": done, "results": kept, **more}

    # ---- SQS

    def _respond_to_queue(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        fifo = any(is_fifo(str(one.get("eventSourceARN", ""))) for one in records)
        groups = {str(one["messageId"]): str((one.get("attributes") or {}).get("MessageGroupId") or "") for one in records}
        calls = {str(one["messageId"]): call for one in records if (call := _call_in(one.get("body"))) is not None}
        items = []
        for together in [[one] for one in records] if fifo else [records]:
            items += self._files({"Records": [one for one in together if one["messageId"] not in calls]})
            items += [item for one in together for item in self._of_message(one["messageId"], calls)]
        places = {str(one["messageId"]): name_of(str(one.get("eventSourceARN", ""))) for one in records}
        items = [self._explained(item, places.get(item.message, "")) for item in items]
        self._work([replace(item, group=groups.get(item.message, "")) for item in items], in_order=fifo)
        again = {one.item.message for one in self.failed}
        return {"batchItemFailures": [{"itemIdentifier": name} for name in groups if name in again]}

    def _of_message(self, message: str, calls: Mapping[str, Mapping[str, Any]]) -> list[Item]:
        try:
            called = self._called(calls[message], id=message) if message in calls else []
        except Exception as error:  # noqa: BLE001 - it is this message's, and the others go on
            return [Item(message=message, error=_ours(_DOING, error))]
        return [replace(item, message=message) for item in called]

    def _explained(self, item: Item, queue: str = "") -> Item:
        """The item; one that cannot be read and that is a handler's, by its queue or for want of other flows, says what to do."""
        if item.error is None or item.flow or item.where is not None:
            return item
        flows = self.configuration.flows
        heard = {name: flow for name, flow in flows.items() if flow.kind == "listen"}
        meant = {name: flow for name, flow in heard.items() if name_of(flow.queue) == queue} or (heard if heard == flows else {})
        return next((replace(item, error=flow.in_lambda(name, _DOING)) for name, flow in meant.items()), item)

    # ---- calls: {"flow": ...}

    def _respond_to_call(self, event: Mapping[str, Any]) -> dict[str, Any]:
        items = self._called(event, id=self.request)
        self._work(items)
        if event.get("on_timeout") == "return" and self.failed and all(one.is_late for one in self.failed):
            rest = {**event, "flows": [one.item.flow for one in self.failed]}
            rest.pop("flow", None)
            return self._answer(done=False, **{"continue": rest})
        self._refuse_failures()
        return self._answer(done=True)

    def _called(self, call: Mapping[str, Any], *, id: str) -> list[Item]:  # noqa: A002 - what events call it
        """The work that somebody asks for by name; `id` is that of the asking, where the call has none itself.

        Raises: FixConfig for a call that cannot be meant, NotFound for a flow.
        """
        names = _names_in(call)
        flows = {name: self.configuration.flow(name) for name in names}
        for name, flow in flows.items():
            if flow.kind == "listen":
                raise flow.in_lambda(name, _DOING)
        kinds = {flow.kind for flow in flows.values()}
        if "key" in call and kinds != {"file"}:
            raise FixConfig(_DOING, f"a key is given, and the flow {names[0]} takes no files", hint="Leave bucket and key out.")
        bucket, key = call.get("bucket", ""), call.get("key", "")
        return [Item(name, bucket=bucket, key=key, id=call.get("id", id)) for name in names]

    def _lying(self, item: Item) -> Landed:
        from halocline.flows.connections import open_bucket_store
        from halocline.flows.files import FileFlow, lying

        flow = self.configuration.flow(item.flow)
        assert isinstance(flow, FileFlow), "the call was checked"
        bucket = item.bucket or flow.reach(item.flow, self.around).bucket
        return lying(f"s3://{bucket}/{item.key}", open_bucket_store(self.around.connection(flow.source)))

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
        from halocline.consume.aws.s3_events import in_order
        from halocline.consume.aws.s3_notices import notices

        if event.get("Records") == []:
            return []
        return [item for notice in in_order(notices(event)) if (item := self._of_notice(notice)) is not None]

    def _of_notice(self, notice: Notice) -> Item | None:
        from halocline.consume.aws.s3_notices import News
        from halocline.flows.owners import Owners

        if notice.error is not None:
            return Item(message=notice.message, error=notice.error)
        if notice.news is not News.LANDED or notice.where is None:
            return None
        where = notice.where
        try:
            owners = self.owners = self.owners or Owners.among(self.configuration, self.around)
        except Exception as error:  # noqa: BLE001 - what was called by name beside it goes on
            return Item(where=where, message=notice.message, error=_ours(_DOING, error))
        name = owners.of(where)
        if name is not None:
            return Item(name, where, message=notice.message)
        if owners.is_own(where) or where.key.endswith("/") or self.configuration.said.aws_lambda.unmatched == "ignore":
            return None
        hint = "Narrow the bucket's notification to the prefixes of flows, or set `lambda: {unmatched: ignore}`."
        return Item(where=where, message=notice.message, error=FixConfig(_DOING, f"no flow takes {where}", hint=hint))

    # ---- work

    def _work(self, items: Sequence[Item], *, in_order: bool = False) -> None:
        """Run what there is, in the order asked for; a failure stops no other, but those behind it in its FIFO group.

        The files of a flow are taken together, with one login, at the place of the first; in a FIFO queue those side by side.
        """
        stopped: set[str] = set()
        for together in _together(items, in_order=in_order):
            self._work_on(together[0].flow, together, stopped, in_order=in_order)

    def _work_on(self, name: str, items: list[Item], stopped: set[str], *, in_order: bool) -> None:
        for item in items:
            if item.error is not None:
                self._fail(self._failure(item, item.error), stopped)
        todo = [item for item in items if item.error is None]
        for item in [item for item in todo if item.where is None]:
            if self._may_begin(item, stopped, in_order=in_order):
                self._run(item, stopped)
        files = [item for item in todo if item.where is not None]
        if files:
            self._run_files(name, files, stopped, in_order=in_order)

    def _run(self, item: Item, stopped: set[str]) -> None:
        """Do what was asked for by name; of several failures, one that more time would not have helped is the item's."""
        found: list[Failure] = []
        try:
            self._run_once(item, found)
        except Exception as error:  # noqa: BLE001 - it is this item's, and the others go on
            if not found or error is not found[0].error:
                found.append(self._failure(item, _ours(f"Running the flow {item.flow}", error)))
        if found:
            self._fail(min(found, key=lambda one: one.is_late), stopped)

    def _run_once(self, item: Item, found: list[Failure]) -> None:
        """Unless this asking was done before. Raises: the first failure, so that it does not count as done."""
        with self._once(item) as due:
            if not due:
                self._keep({"flow": item.flow, "success": True, "state": "again"})
                return
            for done in self._asked(item):
                error = self._tell(done)
                if error is not None:
                    found.append(self._failure(item, error))
            if found:
                raise found[0].error

    def _once(self, item: Item) -> AbstractContextManager[bool]:
        """Whether an asking is due; one that cannot be told from others always is."""
        from halocline.heartbeat import Turn
        from halocline.once import once

        ledger = self.around.ledger
        if not item.id or ledger is None:
            return nullcontext(enter_result=True)
        name = f"lambda:{json.dumps([item.flow, item.bucket, item.key, item.id], ensure_ascii=False)}"
        return once(ledger, name, turn=Turn(self.around.settings.lease_s), sink=self.around.sink)

    def _asked(self, item: Item) -> Iterator[Done]:
        from halocline.flows.run import run_flow

        files = [self._lying(item)] if item.key else None
        yield from run_flow(item.flow, self.configuration, around=self.around, files=files)

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
        rest: HaloclineError = _late()
        try:
            for done in run_flow(name, self.configuration, around=self.around, files=drawn()):
                error = self._tell(done)
                ended += 1
                if error is not None:
                    self._fail(self._failure(begun[-1], error), stopped)
        except Exception as error:  # noqa: BLE001 - it is this flow's, and the others go on
            rest = _ours(f"Running the flow {name}", error)
        known = {id(item) for item in begun[:ended]} | {id(one.item) for one in self.failed}
        for item in items:
            if id(item) not in known:
                self._fail(self._failure(item, rest), stopped)

    def _may_begin(self, item: Item, stopped: set[str], *, in_order: bool) -> bool:
        """Whether it is an item's turn; one that waits for another of its group, or has no time left, is handed back."""
        if in_order and item.group in stopped:
            cause = f"one before it in the group {item.group!r} was not handled"
            waits = RetryLater(_DOING, cause, hint="It comes again, in its order.")
            self._fail(self._failure(item, waits), stopped)
            return False
        if self.around.is_over():
            self._fail(self._failure(item, _late()), stopped)
            return False
        return True

    def _tell(self, done: Done) -> HaloclineError | None:
        """Keep and log what became of something; its error, if it has one."""
        self._keep(done.to_json())
        return None if done.error is None else _ours(f"Running the flow {done.flow}", done.error)

    def _keep(self, told: dict[str, Any]) -> None:
        self.told.append(told)
        _log(told)

    def _failure(self, item: Item, error: HaloclineError) -> Failure:
        """A failure, judged at its moment: an end that came because the time was over is one that time would have helped."""
        ended = isinstance(error, RetryLater) or (type(error) is Stop and "defect" not in error.facts)  # as a halt ends things
        return Failure(item, error, ended and self.around.is_over())

    def _fail(self, failure: Failure, stopped: set[str]) -> None:
        item, error = failure.item, failure.error
        self.failed.append(failure)
        stopped.add(item.group)
        file = None if item.where is None else str(item.where)
        _log({"flow": item.flow, "file": file, "message": item.message, "failed": type(error).__name__, "error": str(error)})

    def _refuse_failures(self) -> None:
        """Raises: the error of the one thing that failed, or one that names all."""
        if len(self.failed) == 1:
            raise self.failed[0].error
        if self.failed:
            cause = "; ".join(f"{one.item.where or one.item.flow or 'an event'}: {one.error}" for one in self.failed)
            hint = "Delivered again, what is done is not done twice."
            raise NotAllHandled(_DOING, f"{len(self.failed)} were not handled: {cause}", results=self.told, hint=hint)


def _together(items: Sequence[Item], *, in_order: bool) -> Iterable[list[Item]]:
    """The items in groups of one flow, each at the place of its first; `in_order` moves none before another."""

    def kind(item: Item) -> tuple[str, bool]:
        return item.flow, item.where is None

    if in_order:
        return [list(together) for _, together in groupby(items, key=kind)]
    groups: dict[tuple[str, bool], list[Item]] = {}
    for item in items:
        groups.setdefault(kind(item), []).append(item)
    return groups.values()


def _late() -> RetryLater:
    return RetryLater(_DOING, "there was no time left", hint="It goes on at the next delivery.")


def _ours(doing: str, error: Exception) -> HaloclineError:
    """An error as one of ours; what is none is a defect, whose place is in the log."""
    if isinstance(error, HaloclineError):
        return error
    traceback.print_exception(error)
    return Stop(doing, f"{type(error).__name__}: {error}", defect=True)


def _names_in(call: Mapping[str, Any]) -> list[str]:
    """The flows that a call names.

    Raises: FixConfig for a call of another shape, rather than to do something else than was meant.
    """
    odd = sorted(map(str, call.keys() - _FLOW_KEYS))
    if odd:
        raise FixConfig(_DOING, f"the key {odd[0]!r} is unknown", hint=f"There are {', '.join(sorted(_FLOW_KEYS))}.")
    if ("flow" in call) == ("flows" in call):
        raise FixConfig(_DOING, "the call has both flow and flows", hint="Give one of the two.")
    names = [call["flow"]] if "flow" in call else call["flows"]
    if not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
        raise FixConfig(_DOING, "the call names no flows", hint='Write {"flow": "NAME"}, or {"flows": ["NAME", "NAME"]}.')
    for name in ("bucket", "key", "id"):
        if name in call and (not isinstance(call[name], str) or not call[name]):
            raise FixConfig(_DOING, f"{name} is no text, or empty", hint="Leave it out, or give it a text.")
    if call.get("on_timeout", "return") != "return":
        raise FixConfig(_DOING, "on_timeout is unknown", hint='Write "on_timeout": "return", or leave it out.')
    if "bucket" in call and "key" not in call:
        raise FixConfig(_DOING, "a bucket is given without a key", hint="Give the key of a file in it, or leave bucket out.")
    if "key" in call and len(names) > 1:
        raise FixConfig(_DOING, "a key is given, and several flows", hint="A file is of one flow; name that one.")
    return names


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
