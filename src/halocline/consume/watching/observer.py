"""Observers: who watches a worker. Counters come by snapshots, so that a message costs nothing; rare things come one by one.

An observer is called from several threads at once and by the worker's own: it must be quick. One that raises is switched off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from halocline.queues import Delivery


class What(StrEnum):
    """What a note tells of."""

    STARTED = "started"
    """The worker begins to poll."""
    STOPPING = "stopping"
    """It was told to end: it polls no more, and drains."""
    STOPPED = "stopped"
    """It has ended; `error` where it ended by itself."""
    FAILED = "failed"
    """A handler raised, or there is none for the message; or it could not be read, or got no key (`reason` says which)."""
    BURIED = "buried"
    """A message was set aside; `reason` says why, and where it is."""
    SET_ASIDE_AGAIN = "set_aside_again"
    """A message came although it was set aside before (`reason`): it is set aside once more."""
    NOT_BURIED = "not_buried"
    """A message was to be set aside and could not be; it is tried again."""
    IN_DOUBT = "in_doubt"
    """A message is run although a worker before may have had its effect; or it is set aside for that."""
    STALE = "stale"
    """A handler ended after somebody else had claimed its message: its word was refused, and it may have run twice."""
    LEASE_LOST = "lease_lost"
    """A running handler was told that its message is no longer its own."""
    POLL_FAILED = "poll_failed"
    """A queue did not answer, or refused; it is asked again, less and less often."""
    STORE_FAILED = "store_failed"
    """The idempotency store did not answer; nothing is begun until it does."""
    DELETE_FAILED = "delete_failed"
    """A message that is done with could not be deleted: it is tried again for half a minute, or when it has come back."""
    OBJECT_LEFT = "object_left"
    """A message is deleted, its body, kept in another place because it is large, is not."""
    REBUILT = "rebuilt"
    """The client was silent for too long, and was made anew."""
    OBSERVER_FAILED = "observer_failed"
    """An observer raised, and is switched off; `reason` says which."""
    HUNG = "hung"
    """A handler did not end in the time that was left after the stop; its message is handed back."""


_USUAL = frozenset({What.STARTED, What.STOPPING, What.STOPPED})


@dataclass(frozen=True, slots=True)
class Note:
    """Something rare that happened to a queue's worker, or to one message of it (`delivery`)."""

    what: What
    """Which of the things below."""
    queue: str
    """The queue's name."""
    delivery: Delivery | None = None
    """The message, where it is about one."""
    key: str = ""
    """What the message is remembered by, where it is known."""
    reason: str = ""
    """Why, in a sentence or by name."""
    error: BaseException | None = None
    """What was raised, where something was."""

    @property
    def is_bad(self) -> bool:
        """Whether somebody should look."""
        return self.what not in _USUAL or self.error is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A worker at one instant."""

    queue: str
    """The queue's name."""
    state: str
    """`starting`, `running`, `stopping`, `stopped` or `failed`."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What became of messages, by name, since the worker's start; never goes down."""
    in_flight: int = 0
    """Messages that it holds."""
    running: int = 0
    """Handlers that run."""
    oldest_s: float = 0.0
    """Seconds for which the oldest of them has been running."""
    polled_age_s: float | None = None
    """Seconds since a poll was last answered, with messages or without; None: never yet."""
    done_age_s: float | None = None
    """Seconds since a message was last done; None: never yet."""
    waits_for_store: bool = False
    """Whether the idempotency store was last seen not to answer."""


class Observer(Protocol):
    """Watches workers, of any number of queues."""

    def handling(self, queue: str, delivery: Delivery) -> AbstractContextManager[object]:
        """Entered around a handler's run, in the thread or task that runs it; what the handler raises passes through."""

    def noted(self, note: Note) -> None:
        """Something rare happened."""

    def seen(self, snapshot: Snapshot) -> None:
        """How a worker stands: once a second or so, and once more when it has ended."""


class Silent:
    """The observer that watches nothing."""

    def handling(self, queue: str, delivery: Delivery) -> AbstractContextManager[object]:  # noqa: ARG002 - it looks at none
        """Nothing around it."""
        return _NOTHING

    def noted(self, note: Note) -> None:
        """Not told."""

    def seen(self, snapshot: Snapshot) -> None:
        """Not looked at."""


class Observers:
    """Several observers as one. They are entered in their order and left in the opposite one."""

    def __init__(self, several: Sequence[Observer]) -> None:
        self.several = tuple(several)

    def handling(self, queue: str, delivery: Delivery) -> AbstractContextManager[object]:
        """All of them around it."""
        return self._all(queue, delivery)

    def noted(self, note: Note) -> None:
        """All are told."""
        for one in self.several:
            one.noted(note)

    def seen(self, snapshot: Snapshot) -> None:
        """All look at it."""
        for one in self.several:
            one.seen(snapshot)

    @contextmanager
    def _all(self, queue: str, delivery: Delivery) -> Iterator[None]:
        with ExitStack() as stack:
            for one in self.several:
                stack.enter_context(one.handling(queue, delivery))
            yield


_NOTHING: AbstractContextManager[object] = nullcontext()
SILENT: Observer = Silent()
"""The observer where none is given."""


class Named:
    """An observer of one worker that is told of its queue by another name than the worker's."""

    def __init__(self, observer: Observer, name: str) -> None:
        self._observer = observer
        self._name = name

    def handling(self, queue: str, delivery: Delivery) -> AbstractContextManager[object]:  # noqa: ARG002 - it has another name
        """Around a handler's run."""
        return self._observer.handling(self._name, delivery)

    def noted(self, note: Note) -> None:
        """Something rare happened."""
        self._observer.noted(replace(note, queue=self._name))

    def seen(self, snapshot: Snapshot) -> None:
        """How the worker stands."""
        self._observer.seen(replace(snapshot, queue=self._name))
