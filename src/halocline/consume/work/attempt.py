"""Attempts: messages handled one at a time, where somebody else received them and deletes them: Lambda, or a caller by hand.

    claim the key -> run the handler -> say what became of it -> the caller deletes it, or lets it come again

A key is claimed just before its handler begins: when the process dies, it counts against no message that waited behind. A thread
cannot be cancelled: what is at work in one keeps its claim until it ends, and says what came of it, whoever still waits for that.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import count
from typing import Any

from halocline.consume.aws.invocation import TimeLeft
from halocline.consume.flight.orders import Arrival, Then
from halocline.consume.flight.verdict import why_aside
from halocline.consume.handling.context import Context
from halocline.consume.handling.handlers import Handlers, digest_of
from halocline.consume.handling.masking import told
from halocline.consume.handling.message import Message
from halocline.consume.known_queues import book, may_clash
from halocline.consume.letters.dead_letters import set_aside
from halocline.consume.limits import Limits
from halocline.consume.work.own_loop import OwnLoop
from halocline.consume.work.thread_call import ThreadCall
from halocline.errors import AlreadyApplied, BadMessage, FixConfig, HaloclineError, LeaseHeld, LeaseLost, RetryLater
from halocline.idempotency import Claim, Held, IdempotencyStore, State, Wanted
from halocline.queues import Delivery, Queue

_LONGEST = 500  # characters of an error that are kept
_BEHIND_S = 5.0  # a claim outlives its function by so much: clocks of two machines tick alike, their calls do not
_MOST_KEPT = 1_000  # ids of messages that were set aside, where no store remembers it
_ENDS = (Exception, asyncio.CancelledError, SystemExit)  # how a handler ends that is not the end of the process


def _nothing(*_: object) -> None:
    """There is no claim, and nobody waits."""


class End(StrEnum):
    """What is to become of a message: it was handled (now or before), it is kept elsewhere, or it is to come again."""

    DONE = "done"
    ASIDE = "aside"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one delivery. `result` is what its handler returned, `error` why it was not handled. `was_run`: the handler
    was called; where it is false, an earlier run was the one.
    """

    end: End
    result: Any = None
    error: BaseException | None = None
    was_run: bool = False


@dataclass(frozen=True, slots=True)
class _Turn:
    """A message that is ours to run. `gone_at` is when its function is ended; None: its claim is held on to."""

    arrival: Arrival
    message: Message
    claim: Claim | None
    context: Context
    gone_at: float | None


@dataclass(frozen=True, slots=True)
class _Begun:
    """A run that goes on where async handlers run: `answer` is to be awaited, or what `call` returns where it is not called yet.
    `release` ends the looking after the claim.
    """

    turn: _Turn
    release: Callable[[], None]
    call: Callable[[], Any]
    answer: Any = None


class Attempts:
    """Handles deliveries of the queue called `queue`. `store` and `dead_letters` are as for a worker.

    Without `dead_letters`, what is to be set aside is to come again, until the queue's own policy sets it aside. `within` is as
    for `Handlers.arrival`. `identity` tells the queue from others of its name ("": nothing does), `booked` has those that the
    store knows already. `loop` is for async handlers; None: each has one of its own. Threads may share it, where it has none.
    """

    def __init__(
        self,
        handlers: Handlers,
        *,
        queue: str,
        store: IdempotencyStore | None,
        limits: Limits | None = None,
        dead_letters: Queue | None = None,
        within: str | None = None,
        identity: str = "",
        booked: set[str] | None = None,
        loop: OwnLoop | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handlers = handlers
        self._queue = queue
        self._store = store
        self._limits = limits or Limits(records=store is not None)
        self._dead_letters = dead_letters
        self._identity = identity
        self._booked = set[str]() if booked is None else booked
        self._within = queue if within is None else within
        self._loop = loop
        self._clock = clock
        self._owner = f"{os.getpid()}-{uuid.uuid4().hex}"
        self._numbers = count()
        self._kept: deque[str] = deque(maxlen=_MOST_KEPT)

    def attempt(self, delivery: Delivery, *, left: TimeLeft | None = None) -> Attempt:
        """Handle a delivery, once. `left` is the time that there is, by the clock; without one, the claim is held on to.

        What the handler raises is in the attempt. Raises: FixConfig for a store that cannot be; as `book`.
        """
        turn = self._turn(delivery, left)
        if isinstance(turn, Attempt):
            return turn
        release = self._hold(turn)
        try:
            result = self._handlers.call(turn.message, turn.context, loop=self._loop)
        except _ENDS as error:
            return self._ended(turn, error=error)
        finally:
            release()
        return self._ended(turn, result=result)

    async def attempt_async(self, delivery: Delivery, *, after: Callable[[], object] = _nothing) -> Attempt:
        """Likewise, with async handlers on the running loop, and all else in threads.

        Who cancels it cancels an async handler; one in a thread goes on, and holds its claim until it ends. `after` is called
        when nothing of it is at work any more, from any thread.
        """
        late = partial(self._dropped, after=after)
        begun = await ThreadCall(partial(self._begin, delivery, after=after), late).done()
        if isinstance(begun, Attempt):
            return begun
        result: object = None
        error: BaseException | None = None
        try:
            answer = begun.call()
            if inspect.isawaitable(answer):
                answer = self._handlers.handler_of(begun.turn.message).awaited(await answer)
            result = answer
        except asyncio.CancelledError as raised:
            error = raised
            if _is_cancelled():  # who waits for us ended it, and not the handler
                await ThreadCall(lambda _: self._finish(begun, after, error=error), _nothing).done()
                raise
        except _ENDS as raised:
            error = raised
        except BaseException as raised:
            if isinstance(raised, GeneratorExit):  # its loop was closed, and nothing can be awaited any more
                self._finish(begun, after, error=asyncio.CancelledError())
            else:  # as of a process that dies: what it did, nobody knows
                begun.release()
                after()
            raise
        return await ThreadCall(lambda _: self._finish(begun, after, result=result, error=error), _nothing).done()

    def _begin(self, delivery: Delivery, call: ThreadCall[Any], *, after: Callable[[], object]) -> Attempt | _Begun:
        """What became of a message that is not ours to run, or whose handler ran here to its end; else its run, as it goes on."""
        begun: Attempt | _Begun | None = None
        try:
            turn = self._turn(delivery, None)
            if isinstance(turn, Attempt):
                begun = turn
            elif call.is_left:
                begun = self._unbegun(turn)
            else:
                begun = self._in_thread(turn)
            return begun
        finally:
            if not isinstance(begun, _Begun):
                after()

    def _in_thread(self, turn: _Turn) -> Attempt | _Begun:
        release = self._hold(turn)
        goes_on = False
        try:
            handler = self._handlers.handler_of(turn.message)
            if handler.is_async:
                goes_on = True
                return _Begun(turn, release, partial(handler.call, turn.message, turn.context))
            answer = handler.call(turn.message, turn.context)
            if inspect.isawaitable(answer):
                goes_on = True
                return _Begun(turn, release, lambda: answer, answer)
        except _ENDS as error:
            return self._ended(turn, error=error)
        finally:
            if not goes_on:
                release()
        return self._ended(turn, result=answer)

    def _finish(
        self, begun: _Begun, after: Callable[[], object], *, result: object = None, error: BaseException | None = None
    ) -> Attempt:
        begun.release()
        try:
            return self._ended(begun.turn, result=result, error=error)
        finally:
            after()

    def _dropped(self, begun: Attempt | _Begun, *, after: Callable[[], object]) -> None:
        """Nobody waited for it any more when it was to go on."""
        if not isinstance(begun, _Begun):
            return
        begun.release()
        if begun.answer is None:
            self._unbegun(begun.turn)
        else:
            end = getattr(begun.answer, "close", None)
            if callable(end):
                end()  # it is not to be told as never awaited
            self._ended(begun.turn, error=asyncio.CancelledError())
        after()

    def _unbegun(self, turn: _Turn) -> Attempt:
        """A message that was claimed for somebody who does not wait any more is given back as if it had never been."""
        error = self._cancelled(turn)
        self._give_back(turn.arrival, turn.claim, error=error, counted=False)
        return Attempt(End.AGAIN, error=error)

    # ---- before the handler

    def _turn(self, delivery: Delivery, left: TimeLeft | None) -> _Turn | Attempt:
        """The message as ours to run; or what became of it without."""
        arrival = self._handlers.arrival(delivery, self._queue, within=self._within)
        if arrival.error is not None and delivery.id:  # its tries are counted by its id, and it is set aside once
            arrival = replace(arrival, key=f"{self._within}/{delivery.id}")
        try:
            claim = self._claimed(arrival, left)
        except FixConfig:
            raise
        except HaloclineError as error:
            return Attempt(End.AGAIN, error=error)
        found = None if claim is None else self._of_claim(arrival, claim)
        if found is not None:
            return found
        if arrival.error is not None:
            return self._failed(arrival, claim, error=arrival.error)
        deadline, gone_at = (None, None) if left is None else (left.ends_at, left.gone_at)
        context = Context.of(delivery, claim, queue=self._queue, key=arrival.key, deadline=deadline)
        return _Turn(arrival, self._handlers.message(delivery, self._queue), claim, context, gone_at)

    def _claimed(self, arrival: Arrival, left: TimeLeft | None) -> Claim | None:
        if self._store is None or not arrival.key:
            return None
        if may_clash(self._handlers) and self._identity not in self._booked:
            book(self._store, self._queue, identity=self._identity)
            self._booked.add(self._identity)
        lease_s = self._limits.lease if left is None else max(1.0, left.gone_at - self._clock()) + _BEHIND_S
        owner = f"{self._owner}-{next(self._numbers)}"
        (claim,) = self._store.claim([Wanted(arrival.key, arrival.payload)], owner=owner, lease_s=lease_s)
        return claim

    def _of_claim(self, arrival: Arrival, claim: Claim) -> Attempt | None:
        """What a claim says that ends the attempt; None: it is our turn."""
        doing = self._doing(arrival)
        match claim.state:
            case State.DONE:
                return Attempt(End.DONE)
            case State.QUARANTINED if arrival.error is not None or self._handlers.aside_s is not None:
                # Its key is its own id: this very message is kept already. Under a key of the user's it may be another one.
                return Attempt(End.ASIDE, error=BadMessage(doing, f"it was set aside: {claim.reason}"))
            case State.HELD:
                return Attempt(End.AGAIN, error=LeaseHeld(doing, "somebody else is at work on it", after_s=claim.left_s))
        reason = why_aside(claim, self._limits)
        ours = claim if claim.state is State.OURS else None
        return self._aside(arrival, ours, error=BadMessage(doing, reason), counted=False) if reason else None

    # ---- behind it

    def _ended(self, turn: _Turn, *, result: object = None, error: BaseException | None = None) -> Attempt:
        if isinstance(error, asyncio.CancelledError):
            error = self._cancelled(turn)
        if error is None or isinstance(error, AlreadyApplied):
            return self._done(turn.claim, result)
        return replace(self._failed(turn.arrival, turn.claim, error=error), was_run=True)

    def _done(self, claim: Claim | None, result: object) -> Attempt:
        if self._store is not None and claim is not None:
            try:
                (counts,) = self._store.done([(_held(claim), digest_of(result))], keep_s=self._limits.keep_s)
            except HaloclineError:
                counts = True  # its claim ends by itself; what was done is deleted, and so does not come again
            if not counts:
                cause = "it was claimed by somebody else while its handler ran: it may have been run twice"
                return Attempt(End.AGAIN, result, LeaseLost(f"Handling {claim.key}", cause), was_run=True)
        return Attempt(End.DONE, result, was_run=True)

    def _failed(self, arrival: Arrival, claim: Claim | None, *, error: BaseException) -> Attempt:
        """By how often it came, or how often it failed: a topic does not count."""
        tries = max(arrival.delivery.receives, 0 if claim is None else claim.attempts + 1)
        then = self._handlers.then(error, replace(arrival.delivery, receives=tries))
        if then is Then.BURY or (then is Then.RETRY and 0 < self._limits.most_receives <= tries):
            return self._aside(arrival, claim, error=error, counted=True)
        if then is Then.IGNORE:
            return replace(self._done(claim, None), error=error)
        self._give_back(arrival, claim, error=error, counted=then is not Then.LEAVE)
        return Attempt(End.AGAIN, error=error)

    def _aside(self, arrival: Arrival, claim: Claim | None, *, error: BaseException, counted: bool) -> Attempt:
        """Keep the message elsewhere, then say so: cut off between the two, it may be kept twice, and is never lost."""
        reason, known = _told(error, arrival), arrival.delivery.id
        if claim is None and known and known in self._kept:
            return Attempt(End.ASIDE, error=error)
        try:
            own = {"key": arrival.key, "payload": arrival.payload, "identity": self._identity}
            set_aside(self._dead_letters, arrival.delivery, queue=self._queue, reason=reason, **own)
        except HaloclineError as refused:
            self._give_back(arrival, claim, error=error, counted=counted)
            if self._dead_letters is not None:
                error.add_note(f"It could not be set aside: {refused}")
            return Attempt(End.AGAIN, error=error)
        self._kept.append(known)
        if self._store is not None and claim is not None:
            try:
                self._store.quarantine([(_held(claim), reason)], keep_s=self._handlers.aside_s)
            except HaloclineError as unheard:
                error.add_note(f"It could not be noted that it was set aside: {unheard}")
        return Attempt(End.ASIDE, error=error)

    def _give_back(self, arrival: Arrival, claim: Claim | None, *, error: BaseException, counted: bool) -> None:
        """Let go of the claim: as a failure, or as if it had never been."""
        if self._store is None or claim is None:
            return
        try:
            if counted:
                self._store.failed([(_held(claim), _told(error, arrival))], keep_s=self._limits.keep_s)
            else:
                self._store.release([_held(claim)])
        except HaloclineError as lost:
            error.add_note(f"It could not be noted, so that the next try waits for the end of the claim: {lost}")

    def _cancelled(self, turn: _Turn) -> RetryLater:
        return RetryLater(self._doing(turn.arrival), "its handler was cancelled")

    def _doing(self, arrival: Arrival) -> str:
        return f"Handling the message {arrival.delivery.id} of {self._queue}"

    # ---- the claim

    def _hold(self, turn: _Turn) -> Callable[[], None]:
        """Look after the claim, from a thread of its own, until what is returned is called."""
        if self._store is None or turn.claim is None:
            return _nothing
        over = threading.Event()
        work = self._expire if turn.gone_at is not None else self._renew
        thread = threading.Thread(target=work, args=(turn, over), name=f"{self._queue}-claim", daemon=True)
        thread.start()

        def release() -> None:
            over.set()
            thread.join()

        return release

    def _renew(self, turn: _Turn, over: threading.Event) -> None:
        """Hold on to it. Whatever keeps us from that, the handler is told when another may have it."""
        assert self._store is not None  # or nobody called this
        held, lease_s, lease = Held(turn.context.key, turn.context.fence), self._limits.lease, turn.context.lease
        until = self._clock() + lease_s
        while not over.wait(self._limits.beat_s):
            try:
                (ours,) = self._store.renew([held], lease_s=lease_s)
            except RetryLater:
                ours = self._clock() < until
            except Exception as error:  # noqa: BLE001 - as told above
                lease.lose(f"its claim could not be held on to ({type(error).__name__}: {error})")
                return
            else:
                until = self._clock() + lease_s
            if not ours:
                lease.lose("its claim ended, and could not be held on to")
                return

    def _expire(self, turn: _Turn, over: threading.Event) -> None:
        """It ends with the function; a handler that is still at work then is told."""
        left_s = (turn.gone_at or 0.0) - self._clock()
        if not over.wait(min(max(0.0, left_s), threading.TIMEOUT_MAX)):
            turn.context.lease.lose("the time of the function is over, and so is its claim")


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _held(claim: Claim) -> Held:
    return Held(claim.key, claim.fence)


def _told(error: BaseException, arrival: Arrival) -> str:
    """An error in few words, without values of the body: the store is read by others than the queue."""
    text = f"{type(error).__name__}: {told(error, arrival.delivery)}"
    return (arrival.trouble if arrival.raised and error is arrival.error else text)[:_LONGEST]
