"""Events of S3: the files that landed, each handled once, in its order, and none because another one failed.

event -> notices -> in order -> for each file: lease -> done before? -> callback -> booked -> a result for each
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum

from halocline.config import Settings
from halocline.consume.aws.callbacks import Callback, name_of
from halocline.consume.aws.s3_notices import News, Notice, notices
from halocline.errors import LeaseHeld, NotAllHandled
from halocline.events import Noticed, Sink, silent
from halocline.heartbeat import Turn
from halocline.landed import Landed, handling, is_superseded
from halocline.ledger import Ledger, open_ledger
from halocline.once import once
from halocline.scratch import scratch

__all__ = ["Handled", "Handling", "Landed", "News", "Notice", "S3Events", "landed", "notices", "respond_to_s3_event"]

OWN_PREFIXES = ("archive/", "errors/")
"""Where archived files and error reports land by default: news of them must not start the work that put them there."""


class Handling(StrEnum):
    """What became of one piece of news.

    DONE now; DUPLICATE: done before; BUSY: another process is at it; FAILED; SUPERSEDED: its bytes were overwritten before they
    could be read, and the ones that are there now have an event of their own. Nothing to do for: IGNORED (a prefix of our own),
    REMOVED (an object that is gone), TEST (S3 tried whether it is heard).
    """

    DONE = "done"
    DUPLICATE = "duplicate"
    BUSY = "busy"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    IGNORED = "ignored"
    REMOVED = "removed"
    TEST = "test"


_TO_REPEAT = frozenset({Handling.BUSY, Handling.FAILED})


@dataclass(frozen=True, slots=True)
class Handled:
    """One piece of news and what became of it: `value` is what the callback returned, `error` what it raised.

    `message` is the id of the SQS message that it came in, "" for none.
    """

    handling: Handling
    where: Landed | None = None
    value: object = None
    error: BaseException | None = None
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
        if notice.where is None or notice.error is not None:
            groups[number] = [notice]
            continue
        mark = (notice.news, notice.where.dedupe if notice.where.distinct else number)
        if mark not in seen:
            seen.add(mark)
            groups.setdefault((notice.where.bucket, notice.where.key), []).append(notice)
    return [notice for group in groups.values() for notice in sorted(group, key=_order)]


def respond_to_s3_event(event: object, callback: Callback, *args: object, **kwargs: object) -> list[Handled]:
    """Call `callback(key, bucket, *args, **kwargs)` for every file that landed, with the settings of the environment.

    All that is behind the callback is the callback's own. See `S3Events`, which takes settings, and a name for the work.
    Raises: as `S3Events.respond`.
    """
    return S3Events().respond(event, callback, *args, **kwargs)


@dataclass(frozen=True, slots=True)
class S3Events:
    """How events are responded to.

    A file counts as handled when its callback has returned; that is kept in the ledger (None: that of `settings`, which are the
    environment's otherwise), under the name `flow`. None makes one: of the Lambda function or the program, the callback and its
    arguments (see `name_of` of `halocline.consume.aws.callbacks`), so that other arguments are other work; with a name they are
    not. Keys that begin with one of `ignore` are left out. Two processes share what they know when they share the ledger. A file
    of which no version, etag or sequencer is told cannot be told from the one before it: it is handled whenever an event says so.
    """

    ledger: Ledger | None = None
    settings: Settings | None = None
    ignore: Sequence[str] = OWN_PREFIXES
    flow: str | None = None
    sink: Sink = silent

    def respond(self, event: object, callback: Callback, *args: object, **kwargs: object) -> list[Handled]:
        """Call `callback(key, bucket, *args, **kwargs)` for every file that landed; what became of each piece of news, in order.

        A file that was handled before is left out; one whose callback failed, or whose process died, may run again. A failure
        stops no other file, nor does one of the ledger while it is asked or told of a file. Files of one key go in the order in
        which they landed. What `download_file` brought for a callback is deleted after it.
        Raises: FixConfig, and nobody is called, when there is no `flow` and none can be made of the callback or its arguments;
        NotAllHandled when all have had their turn, for files that failed or that another process is at, and for events that are
        not known: so that the queue delivers it again. Its `results` are what is returned otherwise.
        """
        settings = self.settings or Settings.from_env()
        flow = self.flow or f"s3-event:{name_of(callback, args=args, kwargs=kwargs)}"
        with ExitStack() as stack:
            ledger = self.ledger or stack.enter_context(open_ledger(settings.ledger, keep_s=settings.keep_s))
            once = _Once(ledger, flow, Turn(settings.lease_s), self.sink)
            results = [
                self._handle(notice, lambda file: callback(file.key, file.bucket, *args, **kwargs), once=once)
                for notice in in_order(notices(event))
            ]
        _check(results)
        return results

    def _handle(self, notice: Notice, call: Callable[[Landed], object], *, once: _Once) -> Handled:
        if notice.where is None or notice.error is not None:
            handling = Handling.TEST if notice.news is News.TEST else Handling.FAILED
            return Handled(handling, notice.where, error=notice.error, message=notice.message)
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
        name = f"{self.flow} {where.dedupe if where.distinct else uuid.uuid4().hex}"
        begun, value = False, None
        try:
            with once(self.ledger, name, turn=self.turn, sink=self.sink) as due:
                if not due:
                    return Handled(Handling.DUPLICATE, where, message=message)
                begun = True
                with scratch(), handling(where):
                    value = call(where)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - of the callback or the ledger: it is this file's result
            return Handled(self._judged(where, error, begun=begun), where, value=value, error=error, message=message)
        return Handled(Handling.DONE, where, value=value, message=message)

    def _judged(self, where: Landed, error: BaseException, *, begun: bool) -> Handling:
        if is_superseded(where, error):
            self.sink(Noticed(f"{where} was overwritten before it was handled; what is there now has an event of its own."))
            return Handling.SUPERSEDED
        return Handling.BUSY if isinstance(error, LeaseHeld) and not begun else Handling.FAILED


def _check(results: Sequence[Handled]) -> None:
    """Raises: NotAllHandled naming what is to be delivered again."""
    again = [one for one in results if one.again]
    if not again:
        return
    cause = f"{len(again):,} of {len(results):,} were not handled: {'; '.join(map(str, again))}"
    hint = "Delivered again, the others are not repeated."
    raise NotAllHandled("Responding to an event of S3", cause, hint=hint, results=results) from again[0].error


def _order(notice: Notice) -> str:
    return "" if notice.where is None else notice.where.order
