"""Errands: the orders of a worker that go to its queue and its idempotency store, each carried out and answered with a report.

No failure passes through: it is a report too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, runtime_checkable

from halocline.consume.flight.orders import (
    Arrival,
    Buried,
    Bury,
    Delete,
    Deleted,
    Extend,
    Extended,
    Poll,
    Polled,
    PollFailed,
    Renew,
    Renewed,
    Report,
    Said,
    Say,
    SayFailed,
    Take,
    TakeFailed,
    Taken,
    Word,
)
from halocline.consume.handling import masking
from halocline.consume.known_queues import book, identity_known
from halocline.consume.letters.dead_letters import set_aside
from halocline.consume.limits import Limits
from halocline.errors import FixConfig, RetryLater
from halocline.idempotency import Held, IdempotencyStore, Wanted
from halocline.queues import Delivery, Queue, Reply

LONGEST_POLL_S = 20.0
"""Source: "Amazon SQS short and long polling", read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html"""


@runtime_checkable
class Cuttable(Protocol):
    """A queue whose polls can be ended from outside."""

    def cut(self, thread: int) -> None:
        """Let the poll that this thread waits for fail, unless its answer is on its way; called again, at once."""


class Polls:
    """Who waits at the queue just now, so that nobody has to be waited for at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, Queue] = {}
        self.is_over = False
        """Whether `end` was called: what fails from then on was broken off."""

    def wait(self, queue: Queue, order: Poll, *, limits: Limits) -> Sequence[Delivery]:
        """What a poll brings.

        Raises: what the queue raises; RetryLater once `end` was called.
        """
        me = threading.get_ident()
        with self._lock:
            if self.is_over:
                raise RetryLater("Asking for messages", "the worker is ending")
            self._waiting[me] = queue
        try:
            return queue.receive(order.limit, wait_s=min(LONGEST_POLL_S, limits.silent_s / 2), visibility_s=limits.visibility_s)
        finally:
            with self._lock:
                self._waiting.pop(me, None)

    def end(self) -> None:
        """Begin no more, and let those under way end, as far as the queue can do that. Idempotent."""
        with self._lock:
            if not self.is_over:
                self.is_over = True
                self.cut()

    def cut(self) -> None:
        """Let polls under way fail, as far as the queue can do that; again: at once, whatever is on its way to them."""
        for thread, queue in tuple(self._waiting.items()):
            if isinstance(queue, Cuttable):
                queue.cut(thread)


@dataclass(slots=True)
class Errands:
    """Calls of one worker. `queue` is the only thing that changes: a client that is silent is replaced. `aside_s` is for how long
    a key that is set aside is remembered; None: until it is let go. `books`: the store is to know which queue `name` stands for.
    """

    queue: Queue
    name: str
    limits: Limits
    arrive: Callable[[Delivery, str], Arrival]
    owner: str
    store: IdempotencyStore | None = None
    dead_letters: Queue | None = None
    books: bool = False
    aside_s: float | None = None
    polls: Polls = field(default_factory=Polls)

    def poll(self, order: Poll) -> Report:
        """Ask for messages."""
        try:
            self._book()
            found = self.polls.wait(self.queue, order, limits=self.limits)
            return Polled(order.number, [self.arrive(one, self.name) for one in found])
        except BaseException as error:  # noqa: BLE001 - the flight must hear of it, or it waits for ever
            # What a person must change first - the queue is gone, a right was taken away - no further poll can mend.
            is_cut = self.polls.is_over
            return PollFailed(order.number, error, fatal=isinstance(error, FixConfig) and not is_cut, is_cut=is_cut)

    def take(self, orders: Sequence[Take]) -> list[Report]:
        """Claim keys, those of all orders in one call."""
        wanted = [Wanted(one.arrival.key, one.arrival.payload) for order in orders for one in order.tickets]
        try:
            claims = iter(self._known_store.claim(wanted, owner=self.owner, lease_s=min(one.lease_s for one in orders)))
        except BaseException as error:  # noqa: BLE001 - as above
            return [TakeFailed(order.tickets, error) for order in orders]
        return [Taken(order.tickets, [*islice(claims, len(order.tickets))]) for order in orders]

    def say(self, orders: Sequence[Say]) -> list[Report]:
        """Say what became of claims, the same words of all orders in one call."""
        words: dict[Word, list[Say]] = {}
        for order in orders:
            words.setdefault(order.sayings[0].word, []).append(order)
        return [report for word, several in words.items() for report in self._said(word, several)]

    def renew(self, order: Renew) -> Report:
        """Hold on to claims."""
        held = [Held(ticket.arrival.key, fence) for ticket, fence in order.claims]
        try:
            return Renewed(order.claims, self._known_store.renew(held, lease_s=self.limits.lease))
        except BaseException:  # noqa: BLE001 - as above; None is how it is told
            return Renewed(order.claims, [None] * len(held))

    def extend(self, order: Extend) -> Report:
        """Hide messages for longer, or hand them back."""
        try:
            return Extended(order, self.queue.extend(order.handles, order.seconds))
        except BaseException as error:  # noqa: BLE001 - as above
            return Extended(order, _refused(error, len(order.handles)))

    def delete(self, order: Delete) -> Report:
        """Delete messages."""
        try:
            return Deleted(order, self.queue.delete(order.handles))
        except BaseException as error:  # noqa: BLE001 - as above
            return Deleted(order, _refused(error, len(order.handles)))

    def bury(self, order: Bury) -> Report:
        """Put a message where set-aside ones are kept."""
        arrival, place = order.ticket.arrival, ""
        failure: BaseException | None = None
        try:
            place = set_aside(
                self.dead_letters,
                arrival.delivery,
                queue=self.name,
                reason=order.reason,
                key=arrival.key,
                payload=arrival.payload,
                identity=identity_known(self.queue),
            )
        except BaseException as error:  # noqa: BLE001 - as above
            failure = error
        return Buried(order.ticket, failure, order.reason, place)

    def _book(self) -> None:
        """Before the first message is received. Several polls may do it at once, which does no harm."""
        if self.books and self.store is not None:
            book(self.store, self.name, identity=identity_known(self.queue))
            self.books = False

    @property
    def _known_store(self) -> IdempotencyStore:
        if self.store is None:
            raise FixConfig("Asking the idempotency store", "the worker has none", hint="Give it one, or set records=False.")
        return self.store

    def _said(self, word: Word, orders: Sequence[Say]) -> list[Report]:
        told = [(Held(one.ticket.arrival.key, one.fence), one.told) for order in orders for one in order.sayings]
        try:
            counts = iter(self._heard(word, told))
        except BaseException as error:  # noqa: BLE001 - as above
            return [SayFailed(order.sayings, error) for order in orders]
        return [Said(order.sayings, [*islice(counts, len(order.sayings))]) for order in orders]

    def _heard(self, word: Word, told: Sequence[tuple[Held, str]]) -> list[bool]:
        store, keep_s = self._known_store, self.limits.keep_s
        if word is Word.RELEASE:
            return store.release([held for held, _ in told])
        if word is Word.DONE:
            return store.done(told, keep_s=keep_s)
        return store.failed(told, keep_s=keep_s) if word is Word.FAILED else store.quarantine(told, keep_s=self.aside_s)


def _refused(error: BaseException, count: int) -> list[Reply]:
    return [Reply(code=type(error).__name__, error=masking.told(error))] * count
