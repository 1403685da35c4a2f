"""Redrive: letters go back to the queues that they were for, once: sent, booked, deleted.

    claim redrive:<queue>:<id that it had>  -> send -> done -> delete

A letter whose key is done by now was handled meanwhile, and is only deleted. All other keys that the store has set aside are let
go, and no others: what is done stays done.

Killed between sending and booking, the next try cannot know whether the letter was sent: it sends it, for nothing may be lost,
and says so. Killed later, it only deletes. A message that was set aside twice, by a worker that died over it, goes back once.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from halocline.consume.known_queues import identity_known
from halocline.consume.letters.dead_letters import DeadLetters, Letter, Tally, Wanted, every, told
from halocline.errors import FixConfig, JobFailed
from halocline.idempotency import Claim, Entry, Held, IdempotencyStore, State
from halocline.idempotency import Wanted as Key
from halocline.queues import Move, Queue, Redriven, name_of

_LEASE_S = 120.0
_KEEP_S = 14 * 86_400.0
"""The longest that SQS keeps a message. Source: "Amazon SQS queue quotas", read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html"""
_LOOK_EVERY_S = 2.0
_HELD = f"another redrive has it under way, or ended a moment ago: try again in {_LEASE_S:.0f} seconds"
_MOVING = {"RUNNING", "CANCELLING"}
_MOST_LOOKED_AT = 1_000


class Targets:
    """The queue that each letter goes back to: the one that is given, else the one that the letter was for, else `own`, else the
    only one that puts its dead letters there. `own`, a name or URL, is also what is opened for letters of a queue of its name;
    `known` has the places of queues that are known by other names than their own.
    """

    def __init__(
        self,
        queue: Queue,
        open_queue: Callable[[str], Queue],
        *,
        given: str | None = None,
        own: str | None = None,
        known: Mapping[str, str] | None = None,
    ) -> None:
        self._queue = queue
        self._open = open_queue
        self._given = given
        self._own = own
        self._known = known or {}
        self._opened: dict[str, Queue] = {}
        self._only: str | None = None

    def name_of(self, letter: Letter) -> str:
        """The name of the letter's queue. Raises: FixConfig where nothing tells it; what asking the queue raises."""
        if self._given is not None or not letter.source:
            return self.only()
        if self._own is not None and name_of(self._own) == letter.source:
            return self._own
        return self._known.get(letter.source, letter.source)

    def why_not(self, letter: Letter) -> str:
        """Why a letter must not go to its queue: it was set aside for another one of that name. "": it may, or it was said.

        Raises: as `name_of`; what asking the queue raises, save AccessDenied.
        """
        if self._given is not None or not letter.identity:
            return ""
        name = self.name_of(letter)
        found = identity_known(self.queue(name))
        return f"it is of {letter.identity}, and {name} is {found}: say --to" if found and found != letter.identity else ""

    def only(self) -> str:
        """The queue that is given, or named, or the only one that puts its dead letters there.

        Raises: FixConfig where there is none, or several; what asking the queue raises.
        """
        if self._given is not None or self._own is not None:
            return self._given or self._own or ""
        if self._only is None:
            found = self._queue.sources() if isinstance(self._queue, Redriven) else []
            if len(found) != 1:
                among = f"{len(found)} queues put their dead letters there ({', '.join(found)})" if found else "nothing tells it"
                hint = "Say which one with --to."
                raise FixConfig("Looking for the queue to send dead letters back to", among, hint=hint)
            self._only = found[0]
        return self._only

    def queue(self, name: str) -> Queue:
        """The queue of that name, opened once."""
        if name not in self._opened:
            self._opened[name] = self._open(name)
        return self._opened[name]


@dataclass(slots=True)
class Redrive:
    """Sends the letters of a queue back, one by one. `store` (None: none) books what was sent; what it has set aside under a
    letter's key is let go, so that the letter is worked on again. `name` is that of the queue in which the letters are.
    """

    letters: DeadLetters
    targets: Targets
    name: str
    store: IdempotencyStore | None = None

    def run(self, wanted: Wanted = every, *, limit: int | None = None) -> Tally:
        """Send the letters that are meant, and delete each when it is sent.

        Raises: FixConfig where nothing tells the queue that a letter was for; what the queues and the store raise. What was sent
        by then is booked.
        """
        tally = Tally()
        owner = f"redrive {os.getpid()} {uuid.uuid4().hex}"
        with self.letters.taken(wanted, limit=limit) as batches:
            for batch in batches:
                self._batch(batch, tally, owner)
        return self.letters.told(tally, wanted)

    def _batch(self, letters: Sequence[Letter], tally: Tally, owner: str) -> None:
        alike: dict[str, list[Letter]] = {}
        foreign = [(letter, why) for letter in letters if (why := self.targets.why_not(letter))]
        tally.left += foreign
        others = [letter for letter, _ in foreign]
        for letter in [one for one in letters if one not in others]:
            alike.setdefault(letter.original, []).append(letter)
            self.targets.queue(self.targets.name_of(letter))  # a name that is none must be told before anything is claimed
        gone: list[Letter] = []
        ours: dict[str, list[tuple[Letter, Claim]]] = {}
        for letter, claim in zip([some[0] for some in alike.values()], self._claim(list(alike), owner), strict=True):
            if claim.state is State.DONE:
                tally.again += 1
                gone.append(letter)
            elif claim.state is State.OURS:
                tally.doubted += 1 if claim.deaths else 0
                ours.setdefault(self.targets.name_of(letter), []).append((letter, claim))
            else:
                tally.left.append((letter, _HELD))
        for name, some in ours.items():
            handled, rest = self._parted(some, tally)
            sent = self._send(name, rest, tally)
            tally.handled += len(handled)
            tally.done += len(sent)
            gone += [*handled, *sent]
        twins = [twin for letter in gone for twin in alike[letter.original][1:]]
        tally.again += len(twins)
        self.letters.delete([*gone, *twins], tally)

    def _claim(self, originals: Sequence[str], owner: str) -> list[Claim]:
        if self.store is None:
            return [Claim(original, State.OURS) for original in originals]
        keys = [Key(f"redrive:{self.name}:{original}") for original in originals]
        return self.store.claim(keys, owner=owner, lease_s=_LEASE_S)

    def _parted(self, some: Sequence[tuple[Letter, Claim]], tally: Tally) -> tuple[list[Letter], list[tuple[Letter, Claim]]]:
        """The letters that were handled since they were set aside, which is booked; and the others, whose keys are let go."""
        keyed = [letter for letter, _ in some if letter.key]
        if self.store is None or not keyed:
            return [], list(some)
        found = {entry.key: entry for entry in self.store.look([letter.key for letter in keyed]) if entry is not None}
        tally.unknown += sum(letter.key not in found for letter in keyed)
        handled = [(letter, claim) for letter, claim in some if _is_handled(letter, found.get(letter.key))]
        if handled:
            self.store.done([(Held(claim.key, claim.fence), "handled") for _, claim in handled], keep_s=_KEEP_S)
        rest = [one for one in some if one not in handled]
        self.store.forget([letter.key for letter, _ in rest if letter.key], only=State.QUARANTINED)
        return [letter for letter, _ in handled], rest

    def _send(self, name: str, some: Sequence[tuple[Letter, Claim]], tally: Tally) -> list[Letter]:
        """Send letters to one queue, and book them; those that were sent."""
        try:
            replies = self.targets.queue(name).send([letter.message() for letter, _ in some])
        except FixConfig:  # nothing was taken: the next try need not wait, nor doubt it
            if self.store is not None:
                self.store.release([Held(claim.key, claim.fence) for _, claim in some])
            raise
        sent = [(letter, claim) for (letter, claim), reply in zip(some, replies, strict=True) if reply]
        failed = [(letter, claim, reply) for (letter, claim), reply in zip(some, replies, strict=True) if not reply]
        tally.left += [(letter, told(reply)) for letter, _, reply in failed]
        if self.store is not None:
            self.store.done([(Held(claim.key, claim.fence), "sent") for _, claim in sent], keep_s=_KEEP_S)
            self.store.release([Held(claim.key, claim.fence) for _, claim, _ in failed])
        return [letter for letter, _ in sent]


def move_all(queue: Redriven, target: str, *, per_second: int | None = None, pause: Callable[[float], None] = time.sleep) -> Move:
    """Have the queue's own system move all of its messages, and wait until it has.

    Raises: JobFailed where it gave up.
    """
    queue.start_move(target, per_second=per_second)
    while (move := queue.last_move()) is not None and move.state in _MOVING:
        pause(_LOOK_EVERY_S)
    if move is None or move.state != "COMPLETED":
        cause = "it is not there" if move is None else f"it ended as {move.state} ({move.reason}); {move.moved} were moved"
        raise JobFailed(
            f"Moving dead letters to {target}", cause, hint="Send them one by one: halocline dlq redrive --one-by-one"
        )
    return move


def may_be_moved(letters: DeadLetters, *, most: int = _MOST_LOOKED_AT) -> bool:
    """Whether every letter was looked at, and none was set aside by a worker of ours, whose store has set its key aside too. Of
    more than `most`, and of a FIFO queue, which hides what is behind the first of a group, nobody can say it.
    """
    if getattr(letters.queue, "is_fifo", False):
        return False
    with letters.looked_at(limit=most + 1) as found:
        return all(number < most and not letter.source for number, letter in enumerate(found))


def _is_handled(letter: Letter, entry: Entry | None) -> bool:
    """Whether it was handled after it was set aside: its key is done, and stands for this very message. Where nothing tells what
    the letter's key stood for, as of letters of earlier versions, only a key that is not compared is known to.
    """
    return entry is not None and entry.state == State.DONE and entry.since_s > letter.at and entry.payload == letter.payload
