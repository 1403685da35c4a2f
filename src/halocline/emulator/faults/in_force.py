"""The rules in force, and how often each saw a request of its own and struck."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING

from halocline.emulator.faults.actions import ACTIONS
from halocline.emulator.faults.grammar import parse, parse_text
from halocline.emulator.faults.rule import FOREVER, Fault

if TYPE_CHECKING:
    from halocline.emulator.faults.target import Target


@dataclass(slots=True)
class _Record:
    """What became of a rule so far; guarded by the lock of `Faults`."""

    rule: Fault
    dice: random.Random
    seen: int = field(default=0)
    struck: int = field(default=0)

    def strikes(self) -> bool:
        self.seen += 1
        # The dice are thrown at every request, so that what was struck before does not change what they say of the next.
        hit = self.rule.probability is None or self.dice.random() < self.rule.probability
        left = self.rule.most_strikes == FOREVER or self.struck < self.rule.most_strikes
        strikes = hit and left and self.rule.is_due(self.seen)
        self.struck += strikes
        return strikes


class Faults:
    """The rules in force. Safe to change while requests run.

    `let_go` is told the id of a rule that is released or lifted: what it held back - stuck jobs, late commits - goes on.
    `check_object` raises ValueError for the name of an object that no request can be about.
    """

    def __init__(
        self, let_go: Callable[[str], None] = lambda _rule_id: None, *, check_object: Callable[[str], object] = lambda _name: None
    ) -> None:
        self._records: dict[str, _Record] = {}
        self._serial = count(1)
        self._let_go = let_go
        self._check_object = check_object
        self._lock = Lock()

    def add(self, action: str, **settings: object) -> str:
        """Put a rule in force and return its id; `settings` are fields of `Fault`: what chooses requests, and the action's own.
        Raises: ValueError for an unknown action or setting, for a value that makes no sense, and for a method, kind, operation or
        object that no request has.
        """
        fault = parse(action, settings)
        if fault.object is not None:
            self._check_object(fault.object)
        with self._lock:
            rule_id = f"f{next(self._serial)}"
            self._records[rule_id] = _Record(replace(fault, id=rule_id), random.Random(fault.seed))  # noqa: S311  # no secret
        return rule_id

    def add_text(self, text: str) -> str:
        """Put a rule in force that is written as text (`lock: path=/sobjects/Account nth=3`), and return its id.
        Raises: ValueError as `add`, and for text that is not written so.
        """
        action, settings = parse_text(text)
        return self.add(action, **settings)

    def release(self, rule_id: str) -> None:
        """Let go what a rule has held back; it stays in force. An unknown id holds nothing."""
        self._let_go(rule_id)

    def remove(self, rule_id: str) -> None:
        """Lift one rule; an unknown id is already lifted."""
        with self._lock:
            self._records.pop(rule_id, None)
        self._let_go(rule_id)

    def clear(self) -> None:
        """Lift all rules."""
        with self._lock:
            lifted = tuple(self._records)
            self._records.clear()
        for rule_id in lifted:
            self._let_go(rule_id)

    def take(self, method: str, path: str, *, target: Target) -> tuple[Fault, ...]:
        """The rules that act on this request; counts it for every rule that fits it and can strike it."""
        if not self._records:
            return ()
        with self._lock:
            fitting = [one for one in self._records.values() if _counts(one.rule, method, path, target=target)]
            return tuple(one.rule for one in fitting if one.strikes())

    def counters(self, rule_id: str) -> dict[str, int]:
        """How many requests a rule has `seen`, and how many it `struck`; zeros for an unknown id."""
        with self._lock:
            found = self._records.get(rule_id)
            return {"seen": found.seen, "struck": found.struck} if found else {"seen": 0, "struck": 0}

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter(tuple(one.rule for one in self._records.values()))


def _counts(rule: Fault, method: str, path: str, *, target: Target) -> bool:
    return rule.fits(method, path, target=target) and ACTIONS[rule.action].can_strike(target)
