"""Logs: what happens to workers, as records of `logging` and as lines of JSON. No body of a message is in them."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime

from halocline.consume.handling.masking import told
from halocline.consume.watching.observer import Note, Snapshot, What
from halocline.hiding import one_line
from halocline.queues import Delivery
from halocline.trace import places

NAME = "halocline.listen"
"""The logger's name."""

_EVERY_S = 60.0
_SEVERE = {What.BURIED, What.NOT_BURIED}
_at_work: ContextVar[tuple[str, Delivery] | None] = ContextVar("halocline-at-work", default=None)


class Logs:
    """An observer that logs notes, and counts once in `every_s` seconds in which something came to pass.

    A record's `halocline` holds `what`, `queue`, `message` (its id), `receives`, `key`, `reason`, `error`. Errors are told by
    type, place and text, with the values of the message's body hidden; `bodies=True` logs them, and the body, as they are.
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        *,
        bodies: bool = False,
        every_s: float = _EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logging.getLogger(NAME) if logger is None else logger
        self._bodies = bodies
        self._every_s = every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, tuple[float, dict[str, int]]] = {}

    def handling(self, queue: str, delivery: Delivery) -> AbstractContextManager[object]:
        """What a handler logs meanwhile, in lines of JSON, names queue and message."""
        return _working(queue, delivery)

    def noted(self, note: Note) -> None:
        """Log a note."""
        level = logging.WARNING if note.is_bad else logging.INFO
        if note.what in _SEVERE or (note.what is What.STOPPED and note.error is not None):
            level = logging.ERROR
        if not self._logger.isEnabledFor(level):
            return
        fields = self._fields(note)
        self._logger.log(level, "%s", _sentence(fields), extra={"halocline": fields})

    def seen(self, snapshot: Snapshot) -> None:
        """Log counts, if it is time and something came to pass, or the worker has ended."""
        counts, now = dict(snapshot.counts), self._clock()
        with self._lock:
            at, before = self._told.setdefault(snapshot.queue, (now, {}))
            is_over = snapshot.state in {"stopped", "failed"}
            if not is_over and (now - at < self._every_s or counts == before):
                return
            self._told[snapshot.queue] = (now, counts)
        some = {name: count for name, count in counts.items() if count}
        fields = {"what": "counts", "queue": snapshot.queue, "state": snapshot.state, "in_flight": snapshot.in_flight, **some}
        self._logger.info("%s", _sentence(fields), extra={"halocline": fields})

    def _fields(self, note: Note) -> dict[str, object]:
        fields: dict[str, object] = {"what": str(note.what), "queue": note.queue}
        if note.delivery is not None:
            fields |= {"message": note.delivery.id, "receives": note.delivery.receives, "key": note.key}
            if self._bodies:
                fields["body"] = note.delivery.body
        if note.reason:
            fields["reason"] = note.reason
        if note.error is not None:
            fields["error"] = {
                "type": type(note.error).__name__,
                "text": told(note.error, None if self._bodies else note.delivery),
                "at": places(note.error),
            }
        return fields


class JsonLines(logging.Formatter):
    """Records as lines of JSON: `at`, `level`, `logger`, `text`, `queue` and `message` at work, and what we know of a note.

    Of a traceback there are the places, and neither values nor lines of the program.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        working = _at_work.get()
        if working is not None:
            line |= {"queue": working[0], "message": working[1].id}
        ours = getattr(record, "halocline", None)
        line |= ours if isinstance(ours, dict) else {"text": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text = told(error, None if working is None else working[1])
            line["error"] = {"type": type(error).__name__, "text": text, "at": places(error)}
        return json.dumps(line, default=str)


@contextmanager
def _working(queue: str, delivery: Delivery) -> Iterator[None]:
    token = _at_work.set((queue, delivery))
    try:
        yield
    finally:
        with suppress(ValueError):  # a task whose loop was closed is ended from elsewhere, and what it had set is gone
            _at_work.reset(token)


def _sentence(fields: dict[str, object]) -> str:
    rest = [f"{name}={_short(value)}" for name, value in fields.items() if name not in {"what", "queue"}]
    told = f"{fields['queue']}: {fields['what']} {' '.join(rest)}".rstrip()
    return one_line(told)  # a key may hold a line that looks like another record


def _short(value: object) -> object:
    return f"{value['type']}: {value['text']}" if isinstance(value, dict) else value
