"""What the rules that struck a request order for its work, wherever that is done: in its thread, or in a job that it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

from halocline.emulator.faults.rule import Fault

_T = TypeVar("_T")
_A = TypeVar("_A")

JOB_FATES = {"job_failed": "Failed", "job_aborted": "Aborted"}
# Source: Bulk API 2.0 and Bulk API Developer Guide, "How Bulk Queries Are Processed"
RETRIED = "InternalServerError : Retried more than fifteen times"


@dataclass(frozen=True, slots=True)
class Fate:
    """How a job ends: in `state`, with `message` as its error, once it has done `after_batches` batches."""

    state: str
    message: str
    after_batches: int


@dataclass(slots=True)
class _Orders:
    faults: Sequence[Fault] = ()
    locked_rows: int = 0  # still to be refused; shared by the request and the jobs that it started
    guard: Lock = field(default_factory=Lock)


_NONE = _Orders()
_ORDERS: ContextVar[_Orders] = ContextVar("orders", default=_NONE)
_ALL_ROWS = 1 << 62


@contextmanager
def given(faults: Sequence[Fault]) -> Iterator[None]:
    """These rules order the work of the block, and of the jobs that it starts."""
    if not faults:
        yield
        return
    token = _ORDERS.set(_Orders(faults, max((_locked(fault) for fault in faults), default=0)))
    try:
        yield
    finally:
        _ORDERS.reset(token)


def carried(work: Callable[[_A], _T]) -> Callable[[_A], _T]:
    """The work, which will run in another thread, under the orders of this one."""
    orders = _ORDERS.get()
    if orders is _NONE:
        return work
    context = copy_context()
    return lambda value: context.copy().run(work, value)


def any_row_locked() -> bool:
    """Whether rows of this work are still to be refused."""
    return _ORDERS.get().locked_rows > 0


def take_lock() -> bool:
    """Whether the row that is written now is one of those to be refused; counts it."""
    orders = _ORDERS.get()
    if orders.locked_rows <= 0:
        return False
    with orders.guard:
        orders.locked_rows -= 1
        return orders.locked_rows >= 0


def stuck_by() -> str | None:
    """The rule because of which a job that starts now stands still, or None."""
    return next((fault.id for fault in _ORDERS.get().faults if fault.action == "job_stuck"), None)


def fate() -> Fate | None:
    """How a job that starts now ends, if a rule says so."""
    for fault in _ORDERS.get().faults:
        if state := JOB_FATES.get(fault.action):
            message = fault.message or (RETRIED if state == "Failed" else "")
            return Fate(state, message, fault.after_batches)
    return None


def _locked(fault: Fault) -> int:
    if fault.action != "lock":
        return 0
    return _ALL_ROWS if fault.rows == 0 else fault.rows or 1
