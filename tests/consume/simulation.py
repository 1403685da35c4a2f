"""A simulation: workers, a queue and an idempotency store in virtual time, with faults drawn from a seed.

The queue is SQS's as far as order and loss go: visibility, newest handles, blocked groups, messages handed out twice. Requests
get lost, replies get lost, calls take long or are never answered, workers stand still, are cut off, die, or are drained; handlers
fail, outlive their lease, or kill their worker. What must hold whatever happens is in `Simulation.broken_laws`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import heappop, heappush

from halocline.consume.flight.backoff import Backoff
from halocline.consume.flight.flight import Flight, Limits
from halocline.consume.flight.orders import (
    Arrival,
    Buried,
    Bury,
    Delete,
    Deleted,
    Extend,
    Extended,
    Failed,
    Finished,
    Order,
    Poll,
    Polled,
    PollFailed,
    Rebuild,
    Renew,
    Renewed,
    Report,
    Said,
    Say,
    SayFailed,
    Start,
    Take,
    TakeFailed,
    Taken,
    TellLost,
    Ticket,
    Word,
)
from halocline.errors import RetryLater
from halocline.idempotency import Claim, State
from halocline.queues import Delivery, Reply

_PATIENCE_S = 900.0  # virtual seconds after which a schedule counts as stuck
_EVENTS = 100_000
_POLL_S = 1.0
_TIMEOUT_S = 1.0
_DEAF_S = 0.9  # how long the queue goes on with a poll that was cut off


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How likely each fault is. Per call: `lost_request`, `lost_reply`, `slow`, `silent_poll`; per reply: `refused_delete`,
    `refused_extend`; per worker and second: `death`, `pause`, `cut`, `drain`. `twice` is that a message is handed
    out though it is hidden. `deaf_poll` is per drain: polls go on for a while at the queue, and nobody hears what they bring.
    `undeletable` is per message: it is never deleted.
    """

    lost_request: float = 0.0
    lost_reply: float = 0.0
    slow: float = 0.0
    silent_poll: float = 0.0
    refused_delete: float = 0.0
    refused_extend: float = 0.0
    death: float = 0.0
    pause: float = 0.0
    cut: float = 0.0
    drain: float = 0.0
    twice: float = 0.0
    deaf_poll: float = 0.0
    undeletable: float = 0.0

    @property
    def are_none(self) -> bool:
        """Whether nothing goes wrong."""
        return self == Faults()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a schedule is made of."""

    seed: int
    messages: int = 12
    groups: int = 0
    workers: int = 2
    limits: Limits = field(default_factory=Limits)
    faults: Faults = field(default_factory=Faults)
    longest_handler_s: float = 5.0
    failing: float = 0.0
    """The share of messages whose first tries fail."""
    poison: float = 0.0
    """The share of messages that kill their worker."""
    transaction: bool = False
    """Whether the effect is committed with the key, once."""
    faults_until: float = 60.0


@dataclass(slots=True)
class Letter:
    """A message in the queue."""

    number: int
    group: str
    takes_s: float
    fails: int = 0
    kills: bool = False
    visible_at: float = 0.0
    receives: int = 0
    hidden_by: str = ""
    denied: str = ""
    """The code with which it is never deleted."""

    @property
    def id(self) -> str:
        return f"m{self.number}"

    @property
    def handle(self) -> str:
        return f"{self.number}.{self.receives}"


class ModelQueue:
    """Hands letters out until they are deleted; where it is `fair`, those first (or groups) that were handed out the least."""

    def __init__(self, *, fifo: bool, fair: bool = False) -> None:
        self.letters: dict[int, Letter] = {}
        self.fifo = fifo
        self.fair = fair

    def receive(self, limit: int, *, now: float, visibility_s: float, twice: Callable[[], bool]) -> list[Delivery]:
        found = []
        hidden = {one.group for one in self.letters.values() if self.fifo and one.visible_at > now}
        blocked = hidden - {""}
        for letter in self._in_turn() if self.fair else self.letters.values():
            if len(found) == limit:
                break
            if letter.group in blocked:
                continue
            if letter.visible_at > now and (self.fifo or not twice()):
                continue
            letter.receives += 1
            letter.visible_at = now + visibility_s
            found.append(Delivery(letter.handle, letter.id, letter.id, letter.receives, group=letter.group or None))
        return found

    def _in_turn(self) -> list[Letter]:
        groups = Counter[str]()
        for letter in self.letters.values():
            groups[letter.group] += letter.receives
        return sorted(self.letters.values(), key=lambda one: groups[one.group] if one.group else one.receives)

    def next_visible(self, now: float) -> float:
        return min((one.visible_at for one in self.letters.values() if one.visible_at > now), default=now + _POLL_S)

    def delete(self, handle: str, *, now: float) -> Reply:
        number, _, receipt = handle.partition(".")
        letter = self.letters.get(int(number))
        if letter is None:
            return Reply()
        if letter.denied:
            return Reply(code=letter.denied, error="not now")
        is_good = letter.receives == int(receipt)
        if self.fifo and (not is_good or letter.visible_at <= now):
            return Reply(code="InvalidParameterValue", error="The receipt handle has expired")
        if is_good:
            del self.letters[letter.number]
        return Reply()

    def extend(self, handle: str, *, seconds: int, now: float) -> Reply:
        number, _, receipt = handle.partition(".")
        letter = self.letters.get(int(number))
        if letter is None:
            return Reply(code="InvalidParameterValue", error="Message does not exist")
        if letter.receives != int(receipt) or letter.visible_at <= now:
            return Reply(code="InvalidParameterValue", error="The receipt handle has expired") if self.fifo else Reply()
        letter.visible_at = now + seconds
        return Reply()


@dataclass(slots=True)
class Entry:
    """A key in the store."""

    state: str = ""
    fence: int = 0
    owner: str = ""
    until: float = 0.0
    deaths: int = 0
    attempts: int = 0
    told: str = ""
    last_word: Word | None = None


class ModelStore:
    """The idempotency store: atomic, by its own clock."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.dones: Counter[str] = Counter()
        self.stale: Counter[str] = Counter()

    def claim(self, key: str, *, owner: str, lease_s: float, now: float) -> Claim:
        entry = self.entries.setdefault(key, Entry())
        if entry.state == "done":
            return Claim(key, State.DONE, result=entry.told)
        if entry.state == "quarantined":
            return Claim(key, State.QUARANTINED, reason=entry.told)
        if entry.state == "claimed" and entry.until <= now:
            entry.deaths += 1
        elif entry.state == "claimed" and entry.owner != owner:
            return Claim(key, State.HELD, left_s=entry.until - now, deaths=entry.deaths, attempts=entry.attempts)
        entry.state, entry.owner, entry.until, entry.last_word = "claimed", owner, now + lease_s, None
        entry.fence += 1
        return Claim(key, State.OURS, entry.fence, lease_s, entry.deaths, entry.attempts)

    def is_current(self, entry: Entry, fence: int) -> bool:
        return entry.fence == fence

    def renew(self, key: str, fence: int, *, lease_s: float, now: float) -> bool:
        entry = self.entries[key]
        if entry.state != "claimed" or not self.is_current(entry, fence):
            return False
        entry.until = now + lease_s
        return True

    def say(self, key: str, fence: int, *, word: Word, told: str) -> bool:
        entry = self.entries[key]
        if self.is_current(entry, fence) and entry.last_word is word:
            return True
        if entry.state != "claimed" or not self.is_current(entry, fence):
            self.stale[key] += word is not Word.RELEASE
            return False
        entry.last_word = word
        entry.told = told
        if word is Word.DONE:
            self.dones[key] += 1
        if word is Word.FAILED:
            entry.attempts += 1
        if word is not Word.RELEASE:
            entry.deaths = 0
        entry.state = {Word.DONE: "done", Word.FAILED: "failed", Word.QUARANTINE: "quarantined", Word.RELEASE: "free"}[word]
        return True


class Worker:
    """A driver without threads: carries a flight's orders out against the models, as faults allow."""

    def __init__(self, simulation: Simulation, name: str, flight: Flight) -> None:
        self.simulation = simulation
        self.name = name
        self.flight = flight
        self.is_dead = False
        self.paused_until = 0.0
        self.cut_until = 0.0
        self.wakes = 0
        self.running: dict[int, Ticket] = {}
        self.lost: set[int] = set()
        self.deaf_from: float | None = None
        self.given_back: set[str] = set()
        self.unheard: set[str] = set()
        self.failed_ones: set[str] = set()

    def later(self, delay_s: float, work: Callable[[], None]) -> None:
        """Do it after a while, if the worker lives, and when it does not stand still."""

        def run() -> None:
            if self.is_dead:
                return
            now = self.simulation.now
            if self.paused_until > now:
                self.later(self.paused_until - now, work)
                return
            work()

        self.simulation.at(self.simulation.now + delay_s, run)

    def tell(self, report: Report) -> None:
        self.flight.told(report, self.simulation.now)
        self.turn()

    def turn(self) -> None:
        """Carry out what is to be done now, and come back when the flight says so."""
        now = self.simulation.now
        for order in self.flight.orders(now):
            self.carry(order)
        if self.flight.is_over:
            self.simulation.ended(self)
            return
        wake = self.flight.wake_at()
        self.wakes += 1
        mine = self.wakes
        if wake is not None:
            self.later(max(0.0, wake - now), lambda: self.turn() if mine == self.wakes else None)

    def carry(self, order: Order) -> None:
        match order:
            case Start():
                self.simulation.handlers_started(self, order)
            case TellLost():
                self.lost.add(order.ticket.number)
            case Rebuild():
                pass
            case Poll():
                self.poll(order)
            case _:
                self.call(order)

    def call(self, order: Order) -> None:
        """A call that is always answered: by what it did, or by an error when it is not known whether it did anything."""
        simulation = self.simulation
        fate = simulation.fate(self)
        there_s, back_s = simulation.latency(), simulation.latency()
        if fate == "lost_request":
            self.later(_TIMEOUT_S, lambda: self.tell(self.failed(order)))
            return

        def apply() -> None:
            report = self.done(order)
            if fate == "lost_reply":
                self.later(_TIMEOUT_S, lambda: self.tell(self.failed(order)))
            else:
                self.later(back_s, lambda: self.tell(report))

        simulation.at(simulation.now + there_s, apply)

    def done(self, order: Order) -> Report:
        simulation = self.simulation
        now, store, queue = simulation.now, simulation.store, simulation.queue
        match order:
            case Take():
                lease_s = order.lease_s
                keys = [ticket.arrival.key for ticket in order.tickets]
                simulation.under_way(self, keys)
                claims = [store.claim(key, owner=self.name, lease_s=lease_s, now=now) for key in keys]
                if self.is_dead:
                    simulation.excuse(self)
                return Taken(order.tickets, claims)
            case Say():
                counts = [store.say(one.ticket.arrival.key, one.fence, word=one.word, told=one.told) for one in order.sayings]
                return Said(order.sayings, counts)
            case Renew():
                lease_s = self.flight.limits.lease
                held = [store.renew(ticket.arrival.key, fence, lease_s=lease_s, now=now) for ticket, fence in order.claims]
                return Renewed(order.claims, held)
            case Extend():
                extend = partial(queue.extend, seconds=order.seconds, now=now)
                replies = [simulation.unless("refused_extend", extend, one) for one in order.handles]
                self.hid(order, replies)
                return Extended(order, replies)
            case Delete():
                delete = partial(queue.delete, now=now)
                return Deleted(order, [simulation.unless("refused_delete", delete, one) for one in order.handles])
            case Bury():
                simulation.buried.add(order.ticket.arrival.delivery.id)
                return Buried(order.ticket)
        raise AssertionError(order)

    def hid(self, order: Extend, replies: list[Reply]) -> None:
        """Note who hid what, and who gave what back at the end."""
        for ticket, handle, reply in zip(order.tickets, order.handles, replies, strict=True):
            letter = self.simulation.queue.letters.get(int(handle.partition(".")[0]))
            if reply and letter is not None and letter.handle == handle:
                letter.hidden_by = self.name
                if not order.seconds and self.deaf_from is not None:
                    self.given_back.add(ticket.arrival.delivery.id)

    def failed(self, order: Order) -> Report:
        error = RetryLater("Simulating", "no answer")
        refused = Reply(code="NoAnswer", error="no answer")
        match order:
            case Take():
                return TakeFailed(order.tickets, error)
            case Say():
                return SayFailed(order.sayings, error)
            case Renew():
                return Renewed(order.claims, [None] * len(order.claims))
            case Extend():
                return Extended(order, [refused] * len(order.handles))
            case Delete():
                return Deleted(order, [refused] * len(order.handles))
            case Bury():
                return Buried(order.ticket, error)
        raise AssertionError(order)

    def poll(self, order: Poll) -> None:
        simulation = self.simulation
        fate = "silent" if simulation.happens("silent_poll") else simulation.fate(self)
        if fate == "lost_request":
            self.later(_TIMEOUT_S, lambda: self.tell(PollFailed(order.number, RetryLater("Simulating", "no answer"))))
            return
        simulation.at(simulation.now + simulation.latency(), lambda: self.look(order, fate, ends=simulation.now + _POLL_S))

    def look(self, order: Poll, fate: str, *, ends: float) -> None:
        """The queue's side of a long poll; one whose worker died goes on as well, and may take messages with it."""
        simulation = self.simulation
        now, limits = simulation.now, self.flight.limits
        found: list[Delivery] = []
        is_deaf = self.deaf_from is not None
        if self.deaf_from is not None:
            ends = min(ends, self.deaf_from + _DEAF_S)
        if now < ends and (is_deaf or not (self.flight_is_stopping() and simulation.random() < 0.5)):
            found = simulation.queue.receive(
                order.limit, now=now, visibility_s=limits.visibility_s, twice=lambda: simulation.happens("twice")
            )
            if not found:
                again = min(ends, max(now + 0.05, simulation.queue.next_visible(now)))
                simulation.at(again, lambda: self.look(order, fate, ends=ends))
                return
        for one in found:
            simulation.queue.letters[int(one.id[1:])].hidden_by = self.name
        if is_deaf:
            simulation.taken_unheard(self, {one.id for one in found})
        if fate == "silent":
            return
        if is_deaf:
            gone = PollFailed(order.number, RetryLater("Simulating", "cut off"), is_cut=True)
            self.later(simulation.latency(), lambda: self.tell(gone))
            return
        if fate == "lost_reply":
            self.later(_TIMEOUT_S, lambda: self.tell(PollFailed(order.number, RetryLater("Simulating", "no answer"))))
            return
        arrivals = [Arrival(one, one.id, group=one.group or "") for one in found]
        self.later(simulation.latency(), lambda: self.tell(Polled(order.number, arrivals)))

    def flight_is_stopping(self) -> bool:
        return self.name in self.simulation.draining


@dataclass(slots=True)
class Run:
    """A handler that was started."""

    letter: int
    worker: str
    deaths: int


class Simulation:
    """One schedule."""

    flight: Callable[..., Flight] = Flight
    store_type: type[ModelStore] = ModelStore

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now = 0.0
        self._random = random.Random(plan.seed)
        self.random = self._random.random
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self.queue = ModelQueue(fifo=plan.limits.fifo, fair=plan.faults.undeletable > 0)
        self.store = self.store_type()
        self.effects: list[tuple[int, str]] = []
        self.committed: set[int] = set()
        self.killers: set[int] = set()
        self.excused: set[int] = set()
        self.buried: set[str] = set()
        self.happened: Counter[str] = Counter()
        self._rates = dict(_rates(plan.faults))
        self.runs: list[Run] = []
        self.tries: Counter[int] = Counter()
        self.workers: list[Worker] = []
        self.everyone: list[Worker] = []
        self.draining: set[str] = set()
        self.violations: list[str] = []
        for number in range(plan.messages):
            self.queue.letters[number] = self._letter(number)
        self.takes_s = {one.number: one.takes_s for one in self.queue.letters.values()}
        for _ in range(plan.workers):
            self._hire()
        if not plan.faults.are_none:
            self.at(1.0, self._trouble)

    # ---- time

    def at(self, at: float, work: Callable[[], None]) -> None:
        self._serial += 1
        heappush(self._events, (at, self._serial, work))

    def run(self) -> Simulation:
        """Until no message is left, or for so long that the rest is stuck."""
        events = self._events
        left = _EVENTS
        while events and self._is_work_left() and self.now < _PATIENCE_S and left:
            self.now, _, work = heappop(events)
            work()
            left -= 1
        if not left:
            self.violations.append(f"{_EVENTS} things happened in {self.now} s: it turns without end")
        if not self._is_work_left():
            self._settle()
        return self

    def _is_work_left(self) -> bool:
        letters = self.queue.letters.values()
        return any(not self._may_stay(one) for one in letters) if self.plan.faults.undeletable else bool(letters)

    def _may_stay(self, letter: Letter) -> bool:
        """Whether it is in the queue for ever: never deleted, and handled; or behind such a one in its group."""
        if letter.denied and (letter.number in self.committed or letter.id in self.buried):
            return True
        others = [one for one in self.queue.letters.values() if one.group and one.group == letter.group]
        return any(one.denied and one.number < letter.number for one in others)

    def taken_unheard(self, worker: Worker, taken: set[str]) -> None:
        """A poll that nobody listens to took messages: none of those that the same worker has just handed back."""
        worker.unheard |= taken
        if again := taken & worker.given_back:
            self._only_drained(f"the last poll of {worker.name} took {sorted(again)} that it had handed back")

    def _only_drained(self, violation: str) -> None:
        if replace(self.plan.faults, drain=0.0, deaf_poll=0.0).are_none:
            self.violations.append(violation)

    def _settle(self) -> None:
        """The last words and replies."""
        ends = self.now + 3.0
        while self._events and self._events[0][0] < ends:
            self.now, _, work = heappop(self._events)
            work()

    # ---- chance

    def happens(self, fault: str) -> bool:
        rate = self._rates[fault]
        if not rate or self.now >= self.plan.faults_until or self.random() >= rate:
            return False
        self.happened[fault] += 1
        return True

    def fate(self, worker: Worker) -> str:
        if worker.cut_until > self.now:
            return "lost_request" if self.random() < 0.8 else "lost_reply"
        for fault in ("lost_request", "lost_reply"):
            if self.happens(fault):
                return fault
        return "answered"

    def latency(self) -> float:
        if self.happens("slow"):
            return 0.2 + 3.0 * self.random()
        return 0.002 + 0.02 * self.random()

    def unless(self, fault: str, work: Callable[[str], Reply], handle: str) -> Reply:
        """A reply for one message of a call, which may be that the queue refused it for now."""
        return Reply(code="InternalError", error="try again") if self.happens(fault) else work(handle)

    def _letter(self, number: int) -> Letter:
        plan = self.plan
        group = f"g{number % plan.groups}" if plan.groups else ""
        fails = 1 + int(2 * self.random()) if self.random() < plan.failing else 0
        takes_s = plan.longest_handler_s * self.random() ** 3
        kills = self.random() < plan.poison
        self.killers |= {number} if kills else set()
        denied = ""
        if plan.faults.undeletable and self.random() < plan.faults.undeletable:
            denied = "AccessDenied" if self.random() < 0.5 else "InternalError"
        return Letter(number, group, takes_s, fails, kills, denied=denied)

    # ---- workers

    def _hire(self) -> None:
        name = f"w{len(self.everyone)}"
        worker = Worker(self, name, self.flight(self.plan.limits, seed=self.plan.seed + len(self.everyone)))
        self.workers.append(worker)
        self.everyone.append(worker)
        worker.later(0.0, worker.turn)

    def _lose(self, worker: Worker) -> None:
        """The worker dies; another takes its place in a while."""
        if not worker.is_dead:
            worker.is_dead = True
            self.excuse(worker)
            self.workers.remove(worker)
            self.at(self.now + 0.2 + self.random(), self._hire)

    def excuse(self, worker: Worker) -> None:
        """A message may be set aside in vain where a worker died between claiming it and giving the claim back."""
        last = worker.flight.limits.poison_after - 1
        began = self.now + worker.flight.limits.lease - 0.3
        for key, entry in self.store.entries.items():
            if entry.owner == worker.name and entry.state == "claimed" and entry.deaths == last and entry.until > began:
                self.excused.add(int(key[1:]))

    def ended(self, worker: Worker) -> None:
        """A worker that was drained is over."""
        if worker not in self.workers:
            return
        self._check_nothing_left_invisible(worker)
        self._lose(worker)

    def _check_nothing_left_invisible(self, worker: Worker) -> None:
        """Where nothing but drains goes wrong, what the worker was the last to hide is what failed, what another holds, what
        waits for its turn to run alone, or what the worker never heard of.
        """
        left = [one for one in self.queue.letters.values() if one.hidden_by == worker.name and one.visible_at > self.now]
        entries, last = self.store.entries.items(), self.plan.limits.poison_after - 1
        held = {key for key, entry in entries if entry.state == "claimed" and entry.owner != worker.name}
        alone = {key for key, entry in entries if entry.deaths >= last}
        hidden = {one.id for one in left} - held - alone - worker.failed_ones - worker.unheard
        if hidden:
            self._only_drained(f"the drain of {worker.name} left {sorted(hidden)} invisible")

    def _trouble(self) -> None:
        """Each second, something may happen to a worker."""
        for worker in list(self.workers):
            if self.happens("death"):
                self._lose(worker)
            elif self.happens("pause"):
                worker.paused_until = self.now + 12.0 * self.random() ** 2
            elif self.happens("cut"):
                worker.cut_until = self.now + 12.0 * self.random() ** 2
            elif self.happens("drain") and worker.name not in self.draining:
                self._drain(worker)
        if self.now < self.plan.faults_until:
            self.at(self.now + 1.0, self._trouble)

    def _drain(self, worker: Worker) -> None:
        self.draining.add(worker.name)

        def stop() -> None:
            if self.happens("deaf_poll"):
                worker.deaf_from = self.now
            worker.flight.stop(self.now)
            worker.turn()

        def stop_now() -> None:
            worker.flight.stop_now(self.now)
            worker.turn()

        worker.later(0.0, stop)
        if self.random() < 0.3:
            worker.later(self.random(), stop_now)

    # ---- handlers

    def under_way(self, worker: Worker, keys: list[str]) -> None:
        """The store's condition: no worker asks for a key whose work it has under way."""
        running = {ticket.arrival.key for ticket in worker.running.values()}
        self.violations += [f"{worker.name} asks for {key}, which it is running" for key in keys if key in running]

    def handlers_started(self, worker: Worker, order: Start) -> None:
        ticket = order.ticket
        number = int(ticket.arrival.delivery.id[1:])
        if any(one.arrival.delivery.id == ticket.arrival.delivery.id for one in worker.running.values()):
            self.violations.append(f"{worker.name} runs m{number} twice at once")
        if len(worker.running) >= worker.flight.limits.workers:
            self.violations.append(f"{worker.name} runs more handlers than it may")
        worker.running[ticket.number] = ticket
        self.runs.append(Run(number, worker.name, order.claim.deaths if order.claim else 0))
        letter = self.letter(number)
        worker.later(letter.takes_s, lambda: self._end_handler(worker, ticket, letter))

    def letter(self, number: int) -> Letter:
        """A message as it was sent, whether or not it is in the queue still."""
        found = self.queue.letters.get(number)
        return found if found is not None else Letter(number, "", 0.1)

    def _end_handler(self, worker: Worker, ticket: Ticket, letter: Letter) -> None:
        if letter.kills:
            self._lose(worker)
            return
        del worker.running[ticket.number]
        self.tries[letter.number] += 1
        if self.tries[letter.number] <= letter.fails:
            worker.failed_ones.add(letter.id)
            worker.tell(Failed(ticket, ValueError("as planned")))
            return
        if ticket.number in worker.lost and self.random() < 0.5:
            worker.failed_ones.add(letter.id)
            worker.tell(Failed(ticket, RuntimeError("the lease is lost")))
            return
        if not self.plan.transaction or letter.number not in self.committed:
            self.effects.append((letter.number, worker.name))
            self.committed.add(letter.number)
        worker.tell(Finished(ticket, "result"))

    # ---- laws

    def broken_laws(self) -> list[str]:
        """What must not be, whatever happened; nothing where all held."""
        return [
            *self.violations,
            *self._nothing_lost(),
            *self._order(),
            *self._doubles(),
        ]

    def _nothing_lost(self) -> list[str]:
        made = {number for number, _ in self.effects}
        lost = [f"m{number} is gone without an effect" for number in self._all() if not self._is_accounted(number, made)]
        left = [one for one in self.queue.letters.values() if not (self.plan.faults.undeletable and self._may_stay(one))]
        stuck = [f"{one.id} is stuck after {one.receives} receives" for one in left]
        return lost + stuck

    def _all(self) -> range:
        return range(self.plan.messages)

    def _is_accounted(self, number: int, made: set[int]) -> bool:
        return number in made or f"m{number}" in self.buried or number in self.queue.letters

    def _order(self) -> list[str]:
        """The first effects of a group's messages come in the order of the messages, those not counted that were set aside."""
        if not self.plan.groups or not self.plan.limits.fifo:
            return []
        seen: dict[int, int] = {}
        first: set[int] = set()
        found = []
        for number, _ in self.effects:
            if number in first or f"m{number}" in self.buried:
                continue
            first.add(number)
            group = number % self.plan.groups
            if seen.get(group, -1) > number:
                found.append(f"m{number} came after m{seen[group]}")
            seen[group] = max(number, seen.get(group, -1))
        return found

    def _doubles(self) -> list[str]:
        effects = Counter(number for number, _ in self.effects)
        twice = [number for number, times in effects.items() if times > 1]
        found = []
        if self.plan.transaction:
            found += [f"m{number} was committed {effects[number]} times" for number in twice]
        if self.plan.limits.records:
            found += [f"m{number} ran twice, and nobody says so" for number in twice if not self._is_told(number)]
            found += [f"{key} was done {times} times" for key, times in self.store.dones.items() if times > 1]
            done = sum(worker.flight.counts.done for worker in self.everyone)
            if done > self.plan.messages:
                found.append(f"{done} of {self.plan.messages} messages count as done")
        if self.plan.faults.are_none and self.plan.limits.records:
            buried = {int(one[1:]) for one in self.buried}
            found += [f"m{number} was set aside in vain" for number in buried - self.killers - self.excused]
            found += [f"m{number} was not set aside" for number in self.killers - buried]
        if self.plan.faults in (Faults(), Faults(refused_delete=self.plan.faults.refused_delete)):
            runs = Counter(run.letter for run in self.runs)
            fails = {number: self.tries[number] for number in runs}
            found += [f"m{n} ran {runs[n]} times, though nothing was wrong" for n in twice if not self.killers]
            found += [f"m{n} ran {times} times" for n, times in runs.items() if times > fails[n] and not self.killers]
        return found

    def _is_told(self, number: int) -> bool:
        """Whether a double run is in somebody's counts: begun in doubt, or its word refused."""
        return self.store.stale[f"m{number}"] > 0 or any(run.deaths for run in self.runs if run.letter == number)


FAULTS = Faults(
    lost_request=0.03,
    lost_reply=0.03,
    slow=0.05,
    silent_poll=0.01,
    refused_delete=0.05,
    refused_extend=0.05,
    death=0.08,
    pause=0.08,
    cut=0.08,
    drain=0.05,
    twice=0.01,
)


def drawn(seed: int) -> Plan:
    """A schedule: everything about it comes from the seed."""
    draw = random.Random(f"plan {seed}")
    chosen = {name: rate * draw.choice((0.0, 0.5, 1.0, 3.0)) for name, rate in _rates(FAULTS) if rate and draw.random() < 0.7}
    kind = draw.choice(("wild", "wild", "wild", "calm", "refused", "drained", "poisoned"))
    more = random.Random(f"more of {seed}")
    if more.random() < 0.1:
        kind = "undeletable"
    faults = {
        "wild": Faults(**chosen),
        "calm": Faults(),
        "poisoned": Faults(),
        "refused": Faults(refused_delete=0.3),
        "drained": Faults(drain=0.3, deaf_poll=more.choice((0.0, 0.5, 1.0))),
        "undeletable": Faults(undeletable=0.3),
    }[kind]
    fifo = draw.random() < 0.5
    records = kind == "poisoned" or draw.random() < (0.5 if kind == "refused" else 0.9)
    visibility_s = draw.choice((2, 3, 6))
    limits = Limits(
        in_flight=draw.choice((1, 4, 10, 30)),
        workers=draw.choice((1, 2, 5, 10)),
        polls=draw.choice((1, 2, 4)),
        visibility_s=visibility_s,
        fifo=fifo,
        records=records,
        retries=Backoff(first_s=1.0, most_s=4.0),
        silent_s=4.0,
        grace_s=draw.choice((0.0, 1.0, 5.0)),
        patience_s=draw.choice((2.0, 10.0, 100.0)),
    )
    return Plan(
        seed=seed,
        messages=draw.choice((3, 8, 16, 30)),
        groups=draw.choice((1, 2, 4)) if fifo else 0,
        workers=draw.choice((1, 2, 3)),
        limits=limits,
        faults=faults,
        longest_handler_s=draw.choice((0.0, 1.0, 5.0, 5.0)),
        failing=draw.choice((0.0, 0.0, 0.2)),
        poison={"wild": 0.01, "poisoned": 0.15}.get(kind, 0.0) if records else 0.0,
        transaction=draw.random() < 0.5,
        faults_until=draw.choice((5.0, 20.0, 60.0)),
    )


def _rates(faults: Faults) -> list[tuple[str, float]]:
    return [(name, getattr(faults, name)) for name in Faults.__dataclass_fields__]
