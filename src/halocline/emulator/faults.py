"""Faults on order: what the emulator does wrong, at which request, how often."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from threading import Lock
from typing import Literal, get_args

from halocline.emulator.wire import JSON_TYPE, Answer

Action = Literal["answer", "delay", "cut", "lose_reply", "expire_session", "truncate_rows", "corrupt_gzip"]
FOREVER = 0  # for `times`
_QUOTE_OR_LINE_END = re.compile(rb'["\n]')


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule: from the `nth` request (counted from 1) whose method and path match, for `times` requests.

    | action | effect | reads |
    |---|---|---|
    | answer | this reply instead of the work | status, body, content_type, headers |
    | delay | waits before the work | seconds |
    | cut | does the work, closes the connection after so many body bytes as sent | after_bytes |
    | lose_reply | does the work, closes the connection without a reply | |
    | expire_session | the caller's session ends before this request | |
    | truncate_rows | a CSV page ends after so many rows, its headers still claim all | rows |
    | corrupt_gzip | one byte of the compressed body is wrong | |
    """

    action: Action
    path: str = ""
    method: str | None = None
    nth: int = 1
    times: int = 1
    status: int = 500
    body: str = ""
    content_type: str | None = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    after_bytes: int = 0
    rows: int = 0
    id: str = ""

    def matches(self, method: str, path: str) -> bool:
        """Whether a request is one of those that this rule counts; `path` is searched for, in any case of letters."""
        return self.method in (None, method) and re.search(self.path, path, re.IGNORECASE) is not None

    def strikes(self, seen: int) -> bool:
        """Whether the rule acts on its `seen`-th matching request."""
        return seen >= self.nth and (self.times == FOREVER or seen < self.nth + self.times)

    def answer(self) -> Answer:
        """The reply of action `answer`."""
        return Answer(self.status, self.body.encode(), self.content_type, tuple(self.headers.items()))


class Faults:
    """The rules in force. Safe to change while requests run."""

    def __init__(self) -> None:
        self._rules: dict[str, Fault] = {}
        self._seen: dict[str, int] = {}
        self._serial = count(1)
        self._lock = Lock()

    def add(self, action: Action, **settings: object) -> str:
        """Put a rule in force and return its id; `settings` are the fields of `Fault`.
        Raises: ValueError for an unknown action, field or a path that is no regular expression.
        """
        fault = parse(action, settings)
        with self._lock:
            rule_id = f"f{next(self._serial)}"
            self._rules[rule_id] = replace(fault, id=rule_id)
            self._seen[rule_id] = 0
        return rule_id

    def remove(self, rule_id: str) -> None:
        """Lift one rule; an unknown id is already lifted."""
        with self._lock:
            self._rules.pop(rule_id, None)
            self._seen.pop(rule_id, None)

    def clear(self) -> None:
        """Lift all rules."""
        with self._lock:
            self._rules.clear()
            self._seen.clear()

    def take(self, method: str, path: str) -> tuple[Fault, ...]:
        """The rules that act on this request; counts it for every rule that matches."""
        with self._lock:
            return tuple(rule for rule in self._rules.values() if rule.matches(method, path) and rule.strikes(self._count(rule)))

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter(tuple(self._rules.values()))

    def _count(self, rule: Fault) -> int:
        self._seen[rule.id] += 1
        return self._seen[rule.id]


def parse(action: str, settings: Mapping[str, object]) -> Fault:
    """A rule from loose values.
    Raises: ValueError for an unknown action, field or a path that is no regular expression.
    """
    if action not in get_args(Action):
        raise ValueError(f"unknown action {action!r}; known are {', '.join(get_args(Action))}")
    try:
        fault = Fault(action=action, **settings)  # type: ignore[arg-type]  # loose values: the constructor checks the names
        re.compile(fault.path)
    except (TypeError, re.error) as reason:
        raise ValueError(str(reason)) from reason
    return fault


def reshaped(answer: Answer, faults: Iterable[Fault]) -> Answer:
    """The plain reply as these rules want it, before compression."""
    for fault in faults:
        if fault.action == "truncate_rows":
            answer = replace(answer, body=first_rows(answer.chunks(), fault.rows))
    return answer


def damaged(answer: Answer, faults: Iterable[Fault]) -> Answer:
    """The compressed reply as these rules want it; one that is not compressed has nothing to corrupt."""
    if ("Content-Encoding", "gzip") in answer.headers and any(fault.action == "corrupt_gzip" for fault in faults):
        return replace(answer, body=_corrupt(answer.chunks()))
    return answer


def first_rows(chunks: Iterable[bytes], rows: int) -> Iterator[bytes]:
    """The header and the first `rows` records of a CSV text, whose quoted values may hold line ends."""
    lines_left, quoted = rows + 1, False
    for chunk in chunks:
        for mark in _QUOTE_OR_LINE_END.finditer(chunk):
            if mark[0] == b'"':
                quoted = not quoted
            elif not quoted:
                lines_left -= 1
                if not lines_left:
                    yield chunk[: mark.end()]
                    return
        yield chunk


def _corrupt(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for first in chunks:
        middle = len(first) // 2
        yield first[:middle] + bytes((first[middle] ^ 0xFF,)) + first[middle + 1 :]
        break
    yield from chunks
