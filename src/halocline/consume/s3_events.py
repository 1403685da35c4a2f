"""Events of S3: the files that landed, each handled once, in its order, and none because another one failed.

event -> notices -> in order -> for each file: lease -> done before? -> callback -> booked -> a result for each
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum

from halocline.config import Settings
from halocline.consume.s3_notices import News, Notice, notices
from halocline.errors import LeaseHeld, NotAllHandled
from halocline.events import Sink, silent
from halocline.heartbeat import Turn, held
from halocline.landed import Landed, handling
from halocline.ledger import Ledger, open_ledger
from halocline.scratch import scratch

__all__ = ["Handled", "Handling", "Landed", "News", "Notice", "S3Events", "landed", "notices", "respond_to_s3_event"]

OWN_PREFIXES = ("archive/", "errors/")
"""Where archived files and error reports land by default: news of them must not start the work that put them there."""

Callback = Callable[..., object]


class Handling(StrEnum):
    """What became of one piece of news.

    DONE now; DUPLICATE: done before; BUSY: another process is at it; FAILED. Nothing to do for: IGNORED (a prefix of our own),
    REMOVED (an object that is gone), TEST (S3 tried whether it is heard).
    """

    DONE = "done"
    DUPLICATE = "duplicate"
    BUSY = "busy"
    FAILED = "failed"
    IGNORED = "ignored"
    REMOVED = "removed"
    TEST = "test"


_TO_REPEAT = frozenset({Handling.BUSY, Handling.FAILED})


@dataclass(frozen=True, slots=True)
class Handled:
    """One piece of news and what became of it: `value` is what the callback returned, `error` what it raised.

    `message` is the id of the queue message that it came in, "" for none.
    """

    handling: Handling
    where: Landed | None = None
    value: object = None
    error: Exception | None = None
    message: str = ""

    @property
    def again(self) -> bool:
        """Whether it must be delivered again."""
        return self.handling in _TO_REPEAT

    def __str__(self) -> str:
        """The file, and what went wrong with it."""
        name = str(self.where) if self.where else "an event"
        return f"{name}: {type(self.error).__name__}: {self.error}" if self.error else f"{name}: {self.handling}"


def landed(event: object) -> tuple[Landed, ...]:
    """The files that an event says have landed, duplicates left out, those of one key in the order in which they landed.

    Tests of S3 and removals are no landings; `notices` tells of them.
    Raises: FixConfig when any of it is no event of S3 that is known here.
    """
    found = notices(event)
    for notice in found:
        if notice.error is not None:
            raise notice.error
    return tuple(notice.where for notice in in_order(found) if notice.news is News.LANDED and notice.where is not None)


def in_order(found: Iterable[Notice]) -> list[Notice]:
    """The notices with those of one key side by side, at the place of the first, as they happened; each landing once."""
    groups: dict[tuple[str, str] | int, list[Notice]] = {}
    seen = set()
    for number, notice in enumerate(found):
        if notice.where is None:
            groups[number] = [notice]
            continue
        mark = (notice.news, notice.where.dedupe if notice.where.distinct else number)
        if mark not in seen:
            seen.add(mark)
            groups.setdefault((notice.where.bucket, notice.where.key), []).append(notice)
    return [notice for group in groups.values() for notice in sorted(group, key=_order)]


def respond_to_s3_event(event: object, callback: Callback, *args: object, **kwargs: object) -> list[Handled]:
    """Call `callback(key, bucket, *args, **kwargs)` for every file that landed, with the settings of the environment.

    See `S3Events`, which takes settings. Raises: as `S3Events.respond`.
    """
    return S3Events().respond(event, callback, *args, **kwargs)


@dataclass(frozen=True, slots=True)
class S3Events:
    """How events are responded to.

    A file counts as handled when its callback has returned; that is kept in the ledger (None: that of `settings`, which are the
    environment's otherwise), under the name `flow` (None: the callback's own; where one function does several pieces of work,
    give each a name). Keys that begin with one of `ignore` are left out. Two processes share what they know when they share the
    ledger. A file of which no version, etag or sequencer is told cannot be told from the one before it, and is handled whenever
    an event says so.
    """

    ledger: Ledger | None = None
    settings: Settings | None = None
    ignore: Sequence[str] = OWN_PREFIXES
    flow: str | None = None
    sink: Sink = silent

    def respond(self, event: object, callback: Callback, *args: object, **kwargs: object) -> list[Handled]:
        """Call `callback(key, bucket, *args, **kwargs)` for every file that landed; what became of each piece of news, in order.

        A file that was handled before is left out; one whose callback failed, or whose process died, may run again. A failure
        stops no other file. Files of one key go in the order in which they landed. What `download_file` brought for a callback is
        deleted after it.
        Raises: NotAllHandled when all have had their turn, for files that failed or that another process is at, and for events
        that are not known: so that the queue delivers it again. Its `results` are what is returned otherwise.
        """
        settings = self.settings or Settings.from_env()
        flow = self.flow or f"s3-event:{_name(callback)}"
        with ExitStack() as stack:
            ledger = self.ledger or stack.enter_context(open_ledger(settings.ledger))
            once = _Once(ledger, flow, Turn(settings.lease_s), self.sink)
            results = [
                self._handle(notice, lambda file: callback(file.key, file.bucket, *args, **kwargs), once=once)
                for notice in in_order(notices(event))
            ]
        _check(results)
        return results

    def _handle(self, notice: Notice, call: Callable[[Landed], object], *, once: _Once) -> Handled:
        if notice.where is None:
            handling = Handling.TEST if notice.news is News.TEST else Handling.FAILED
            return Handled(handling, error=notice.error, message=notice.message)
        if notice.news is News.REMOVED or notice.where.key.startswith(tuple(self.ignore)):
            handling = Handling.REMOVED if notice.news is News.REMOVED else Handling.IGNORED
            return Handled(handling, notice.where, message=notice.message)
        return once.handle(notice.where, call, message=notice.message)


@dataclass(frozen=True, slots=True)
class _Once:
    """Files of one flow, each handled to its end once."""

    ledger: Ledger
    flow: str
    turn: Turn
    sink: Sink

    def handle(self, where: Landed, call: Callable[[Landed], object], *, message: str) -> Handled:
        run = uuid.uuid4().hex
        flow = f"{self.flow} {where.dedupe if where.distinct else run}"
        try:
            with held(self.ledger, flow, owner=run, turn=self.turn, sink=self.sink) as lease:
                self.ledger.abandon_dead(flow)
                if any(one.state == "done" for one in self.ledger.runs(flow)):
                    return Handled(Handling.DUPLICATE, where, message=message)
                self.ledger.start(flow, run=run, pid=os.getpid(), host=socket.gethostname(), lease=lease)
                return self._run(run, where, call, message=message)
        except LeaseHeld as error:
            return Handled(Handling.BUSY, where, error=error, message=message)

    def _run(self, run: str, where: Landed, call: Callable[[Landed], object], *, message: str) -> Handled:
        try:
            with scratch(), handling(where):
                value = call(where)
        except Exception as error:  # noqa: BLE001 - whatever the user's callback raises is its result, and is told at the end
            self.ledger.finish(run, state="failed", error=f"{type(error).__name__}: {error}")
            return Handled(Handling.FAILED, where, error=error, message=message)
        except BaseException as error:
            self.ledger.finish(run, state="failed", error=type(error).__name__)
            raise
        self.ledger.finish(run, state="done")
        return Handled(Handling.DONE, where, value=value, message=message)


def _check(results: Sequence[Handled]) -> None:
    """Raises: NotAllHandled naming what is to be delivered again."""
    again = [one for one in results if one.again]
    if not again:
        return
    cause = f"{len(again):,} of {len(results):,} were not handled: {'; '.join(map(str, again))}"
    hint = "Delivered again, the others are not repeated."
    raise NotAllHandled("Responding to an event of S3", cause, hint=hint, results=results) from again[0].error


def _name(callback: Callback) -> str:
    """What a callback is called, the same in every process; what wraps another is called as that one, a lambda by its line."""
    inner = getattr(callback, "func", callback)
    named = inner if hasattr(inner, "__qualname__") else type(inner)
    code = getattr(inner, "__code__", None)
    line = f":{code.co_firstlineno}" if code is not None and code.co_name == "<lambda>" else ""
    return f"{named.__module__}.{named.__qualname__}{line}"


def _order(notice: Notice) -> str:
    return "" if notice.where is None else notice.where.order
