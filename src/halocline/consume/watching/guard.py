"""Guard: an observer that raises is switched off, so that no worker ends or hangs for want of being watched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TypeVar

from halocline.consume.watching.observer import SILENT, Note, Observer, Observers, Snapshot, What
from halocline.queues import Delivery

_LOGGER = "halocline.listen"
_NOTHING: AbstractContextManager[object] = nullcontext()
Result = TypeVar("Result")


def guarded(observer: Observer) -> Observer:
    """An observer that passes all on and never raises. The first error of one switches it off; the others are told by a note, and
    where there is none, the logger `halocline.listen` is.
    """
    if observer is SILENT or isinstance(observer, Guarded):
        return observer
    if not isinstance(observer, Observers):
        return Guarded(observer)
    each = [one if isinstance(one, Guarded) else Guarded(one) for one in observer.several]
    for one in each:
        one.others = [other for other in each if other is not one]
    return Observers(each)


class Guarded:
    """One observer, until it raises; `error` is what it raised then, and `others` are told."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.error: BaseException | None = None
        self.others: list[Guarded] = []

    def handling(self, queue: str, delivery: Delivery) -> AbstractContextManager[object]:
        """What the observer puts around a handler's run."""
        return _NOTHING if self.error is not None else _Around(self, queue, delivery)

    def noted(self, note: Note) -> None:
        """Pass it on."""
        self.call(note.queue, lambda: self._observer.noted(note))

    def seen(self, snapshot: Snapshot) -> None:
        """Pass it on."""
        self.call(snapshot.queue, lambda: self._observer.seen(snapshot))

    def call(self, queue: str, do: Callable[[], Result]) -> Result | None:
        """What comes of it; None where the observer is switched off, or is now."""
        if self.error is not None:
            return None
        try:
            return do()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an observer of a user's may raise anything
            self.error = error
            self._tell(queue, error)
            return None

    def entered(self, queue: str, delivery: Delivery) -> AbstractContextManager[object] | None:
        """The observer's own block, entered."""

        def enter() -> AbstractContextManager[object]:
            block = self._observer.handling(queue, delivery)
            block.__enter__()
            return block

        return self.call(queue, enter)

    def _tell(self, queue: str, error: BaseException) -> None:
        note = Note(What.OBSERVER_FAILED, queue, reason=f"{type(self._observer).__name__} is switched off", error=error)
        left = [other for other in self.others if other.error is None]
        for other in left:
            other.noted(note)
        if not left:
            logging.getLogger(_LOGGER).error("%s: the observer %s", queue, note.reason, exc_info=error)


class _Around:
    """An observer's block around a handler's run: what the handler raises passes through, and nothing else."""

    def __init__(self, guard: Guarded, queue: str, delivery: Delivery) -> None:
        self._guard = guard
        self._queue = queue
        self._delivery = delivery
        self._block: AbstractContextManager[object] | None = None

    def __enter__(self) -> None:
        self._block = self._guard.entered(self._queue, self._delivery)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, places: TracebackType | None, /) -> None:
        block = self._block
        if block is not None:
            self._guard.call(self._queue, lambda: _left(block, kind, error, places))


def _left(
    block: AbstractContextManager[object],
    kind: type[BaseException] | None,
    error: BaseException | None,
    places: TracebackType | None,
) -> None:
    try:
        block.__exit__(kind, error, places)
    except BaseException as raised:
        if raised is not error:
            raise
