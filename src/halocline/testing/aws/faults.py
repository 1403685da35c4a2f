"""Faults on order: what goes wrong, at which requests and deliveries, how often."""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from itertools import count
from threading import Lock
from typing import Final, Literal

FOREVER = 0  # for `times`
Kind = Literal["request", "batch", "delivery"]
DELIVERY: Final = "delivery"  # the operation, of sqs, of a message on its way into a queue
_BATCHES = ("DeleteObjects", "BatchGetItem", "BatchWriteItem")

# What an action strikes: any request, one with entries (a batch is a request too), or a message on its way into a queue.
ACTIONS: Mapping[str, tuple[tuple[Kind, ...], str]] = {
    "throttle": (("request", "batch"), "refused as the service refuses who asks too often; nothing is done"),
    "server_error": (("request", "batch"), "500: before the work, or (where=after) when it is done"),
    "unavailable": (("request", "batch"), "503: before the work, or (where=after) when it is done"),
    "refuse": (("request", "batch"), "refused with `code` and `status`, such as AccessDenied and 403; nothing is done"),
    "delay": (("request", "batch"), "the answer comes after so many `seconds` (1)"),
    "cut": (
        ("request", "batch"),
        "the line is closed: before the work, during the answer (after `bytes` of it), or after the work",
    ),
    "damage": (("request", "batch"), "one byte of the answer (that behind `bytes`; the one in the middle) is another one"),
    "fail_entries": (("batch",), "so many `entries` of a batch (1; 0 for all) fail, as by an error of the service"),
    "drop": (("delivery",), "the message is accepted and never seen again"),
    "duplicate": (("delivery",), "the message is in the queue twice, with one id"),
    "late": (("delivery",), "the message is seen only after so many `seconds` (1)"),
}
OTHER_NAMES: Mapping[str, tuple[str, Mapping[str, object]]] = {"lose_reply": ("cut", {"where": "after"})}


@dataclass(frozen=True, slots=True)
class Target:
    """What a rule may strike: `service` is sqs, sns, s3, sts, secretsmanager, dynamodb or dynamodbstreams, `operation` is named
    as in its API.

    A message on its way into a queue is the operation `delivery` of sqs. `resource` is a queue's, topic's or table's name or
    `bucket/key`.
    """

    service: str
    operation: str
    resource: str
    kind: Kind = "request"


def kind_of(operation: str) -> Kind:
    """What a request with that operation is: a batch has entries, which may fail one by one."""
    return "batch" if operation.endswith("Batch") or operation in _BATCHES else "request"


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. `action` is what happens (`ACTIONS` says what each does).

    Which: `service`, `operation`, and `resource`, a regular expression searched for. Which of those: from the `nth` on (counted
    from 1), `every` so-and-so-many, each with `probability` by dice that `seed` makes the same each time, until it has struck
    `times` times - without `times` once, and without end for rules with `every` or `probability`.
    """

    action: str
    service: str | None = None
    operation: str | None = None
    resource: str = ""
    nth: int = 1
    times: int | None = None
    every: int | None = None
    probability: float | None = None
    seed: int = 0
    where: Literal["before", "during", "after"] = "before"
    seconds: float = 1.0
    entries: int = 1
    bytes: int = 0
    code: str = "AccessDenied"
    status: int = 403
    id: str = ""

    def fits(self, target: Target) -> bool:
        """Whether this is one of those that the rule counts."""
        return (
            target.kind in ACTIONS[self.action][0]
            and self.service in (None, target.service)
            and self.operation in (None, target.operation)
            and re.search(self.resource, target.resource) is not None
        )

    @property
    def most_strikes(self) -> int:
        """How often it strikes; `FOREVER` without end."""
        if self.times is not None:
            return self.times
        return 1 if self.every is None and self.probability is None else FOREVER

    def is_due(self, seen: int) -> bool:
        """Whether the `seen`-th that it counts is one at which it may strike."""
        return seen >= self.nth and (seen - self.nth) % (self.every or 1) == 0


@dataclass(slots=True)
class _Record:
    rule: Fault
    dice: random.Random
    seen: int = 0
    struck: int = 0

    def strikes(self) -> bool:
        self.seen += 1
        # The dice are thrown each time, so that what was struck before does not change what they say of the next.
        hit = self.rule.probability is None or self.dice.random() < self.rule.probability
        left = self.rule.most_strikes == FOREVER or self.struck < self.rule.most_strikes
        strikes = hit and left and self.rule.is_due(self.seen)
        self.struck += strikes
        return strikes


class Faults:
    """The rules in force. Safe to change while requests run. `operations` tells what can be asked of each service."""

    def __init__(self, operations: Callable[[], Mapping[str, Iterable[str]]]) -> None:
        self._operations = operations
        self._records: dict[str, _Record] = {}
        self._serial = count(1)
        self._lock = Lock()

    def add(self, action: str, **settings: object) -> str:
        """Put a rule in force and return its id; `settings` are fields of `Fault`.
        Raises: ValueError for an unknown action or setting, for a value that makes no sense, and for a rule that nothing fits.
        """
        name, usual = OTHER_NAMES.get(action, (action, {}))
        if name not in ACTIONS:
            raise ValueError(f"unknown action {action!r}; known are {', '.join(sorted((*ACTIONS, *OTHER_NAMES)))}")
        known = {one.name for one in fields(Fault)} - {"action", "id"}
        unknown = sorted(settings.keys() - known)
        if unknown:
            raise ValueError(f"{action} has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        rule = Fault(name, **{**usual, **settings})  # type: ignore[arg-type]  # checked by `_check`, and by the first use
        _check(rule)
        _check_target(rule, self._operations())
        with self._lock:
            rule_id = f"f{next(self._serial)}"
            self._records[rule_id] = _Record(replace(rule, id=rule_id), random.Random(rule.seed))  # noqa: S311  # no secret
        return rule_id

    def add_text(self, text: str) -> str:
        """Put a rule in force that is written as text (`throttle: operation=SendMessage nth=3`), and return its id.
        Raises: ValueError as `add`, and for text that is not written so.
        """
        name, _, rest = text.partition(":")
        pairs = [word.partition("=") for word in shlex.split(rest)]
        if not name.strip() or any(not (key and sign) for key, sign, _ in pairs):
            raise ValueError(f"a fault is written NAME or NAME: key=value ..., not {text!r}")
        return self.add(name.strip(), **{key: _value(key, value) for key, _, value in pairs})

    def remove(self, rule_id: str) -> None:
        """Lift one rule; an unknown id is already lifted."""
        with self._lock:
            self._records.pop(rule_id, None)

    def clear(self) -> None:
        """Lift all rules."""
        with self._lock:
            self._records.clear()

    def take(self, target: Target) -> tuple[Fault, ...]:
        """The rules that strike this; counts it for every rule that fits it."""
        if not self._records:
            return ()
        with self._lock:
            fitting = [one for one in self._records.values() if one.rule.fits(target)]
            return tuple(one.rule for one in fitting if one.strikes())

    def counters(self, rule_id: str) -> dict[str, int]:
        """How much a rule has `seen`, and how often it `struck`; zeros for an unknown id."""
        with self._lock:
            found = self._records.get(rule_id)
            return {"seen": found.seen, "struck": found.struck} if found else {"seen": 0, "struck": 0}

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter(tuple(one.rule for one in self._records.values()))

    def __bool__(self) -> bool:
        return bool(self._records)


_WHOLE = ("nth", "times", "every", "seed", "entries", "bytes", "status")
_FRACTIONS = ("probability", "seconds")


def _value(name: str, text: str) -> object:
    """A setting written as text."""
    if name in _WHOLE:
        return int(text)
    return float(text) if name in _FRACTIONS else text


def _check(rule: Fault) -> None:
    """Raises: ValueError for settings that make no sense."""
    try:
        re.compile(rule.resource)
    except re.error as reason:
        raise ValueError(f"resource is no regular expression: {reason}") from reason
    if rule.where not in ("before", "during", "after"):
        raise ValueError(f"where is before, during or after, not {rule.where!r}")
    if rule.probability is not None and not 0 < rule.probability <= 1:
        raise ValueError(f"probability is more than 0 and at most 1, not {rule.probability}")
    if rule.nth < 1 or (rule.every is not None and rule.every < 1) or (rule.times is not None and rule.times < 0):
        raise ValueError("nth and every are 1 or more, times 0 or more")
    if rule.seconds < 0 or rule.entries < 0 or rule.bytes < 0:
        raise ValueError("seconds, entries and bytes are 0 or more")


def _check_target(rule: Fault, known: Mapping[str, Iterable[str]]) -> None:
    """Raises: ValueError for a service or an operation that is not there, and where the action strikes nothing of them."""
    if rule.service is not None and rule.service not in known:
        raise ValueError(f"unknown service {rule.service!r}; known are {', '.join(known)}")
    targets = [Target(service, one, "", kind_of(one)) for service, several in known.items() for one in several]
    targets.append(Target("sqs", DELIVERY, "", DELIVERY))
    of_service = [one for one in targets if rule.service in (None, one.service)]
    names = sorted({one.operation for one in of_service})
    if rule.operation is not None and rule.operation not in names:
        meant = get_close_matches(rule.operation, names, n=3)
        hint = f"did you mean {' or '.join(meant)}?" if meant else f"there are {', '.join(names)}"
        raise ValueError(
            f"{rule.service or 'no service'} has {'no' if rule.service else 'an'} operation {rule.operation!r}; {hint}"
        )
    if not any(replace(rule, resource="").fits(one) for one in of_service):
        strikes = _STRUCK[ACTIONS[rule.action][0]]
        what = rule.operation or rule.service
        raise ValueError(f"{rule.action} strikes {strikes}, and never {what}: leave it out, or name one of those")


_STRUCK: Mapping[tuple[Kind, ...], str] = {
    ("request", "batch"): f"requests (their operation is not {DELIVERY!r})",
    ("batch",): "requests with entries (SendMessageBatch, DeleteObjects, BatchWriteItem and their like)",
    (DELIVERY,): f"messages on their way into a queue (operation {DELIVERY!r} of sqs)",
}
