"""Dead letters: messages that were set aside, with what is known of why; looked at, brought back, written out, deleted.

A message that a worker set aside has one attribute more than it had: `halocline_buried`, JSON with `reason`, `from` (the queue),
`id`, `key`, `receives`, `at` (seconds since 1970), `payload` (the hash of what its key stood for, where that is compared) and
`identity` (what no other queue is called). One
that the queue's own policy put there has none, and no reason is known.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from halocline.consume.letters.quarantine import Quarantine, quarantine
from halocline.errors import AccessDenied, FixConfig, HaloclineError, Stop, StorageFailed
from halocline.idempotency import IdempotencyStore, State
from halocline.queues import Counted, Delivery, Identified, Message, Queue, Redriven, Reply, Value
from halocline.spool import WHERE_NAMED, arriving, storage, to_disk

MARK = "halocline_buried"
"""The attribute that says why a message was set aside."""

_MOST_ATTRIBUTES = 10
"""Source: "Amazon SQS message metadata", read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html"""
_LONGEST_REASON = 500
_TOO_LARGE = {"MessageTooLong", "InvalidParameterValue", "BatchRequestTooLong"}
_KINDS = {True: "FIFO", False: "standard"}
_BATCH = 10
_POLL_S = 1.0  # a poll of any length asks all of SQS's servers
_ENOUGH = 3  # batches without a new message: what was hidden comes round again


def buried(
    delivery: Delivery,
    *,
    queue: str,
    reason: str,
    key: str = "",
    payload: str = "",
    identity: str = "",
    now: float | None = None,
) -> Message:
    """The message to keep for a delivery that is set aside. Where it has no room for one attribute more, it has no reason."""
    about = {
        "reason": reason[:_LONGEST_REASON],
        "from": queue,
        "id": delivery.id,
        "key": key,
        "payload": payload,
        "identity": identity,
        "receives": delivery.receives,
        "at": round(time.time() if now is None else now, 3),
    }
    attributes = {**delivery.attributes, MARK: json.dumps(about)}
    if len(attributes) > _MOST_ATTRIBUTES:
        attributes = dict(delivery.attributes)
    dedupe = delivery.id if delivery.group else None
    return Message(delivery.body, attributes, delivery.group, dedupe, typed=delivery.typed)


def set_aside(
    place: Queue | None, delivery: Delivery, *, queue: str, reason: str, key: str = "", payload: str = "", identity: str = ""
) -> str:
    """Keep a delivery of `queue` at `place`, with the reason, and return what that place is called. What is too large with
    the reason is kept without. `identity` tells the queue from others of its name ("": nothing does).

    Raises: FixConfig where there is no place, Stop where it is refused; what the place raises.
    """
    doing = f"Setting aside a message of {queue}"
    if place is None:
        hint = "Give the queue a redrive policy, or the worker a place for dead letters."
        raise FixConfig(doing, "there is no place for it", hint=hint)
    message = buried(delivery, queue=queue, reason=reason, key=key, payload=payload, identity=identity)
    (reply,) = place.send([message])
    if not reply and MARK in message.attributes and reply.code.rpartition(".")[2] in _TOO_LARGE:
        (reply,) = place.send([replace(message, attributes=delivery.attributes)])
    if not reply:
        raise Stop(doing, f"it was refused: {reply.error}", code=reply.code)
    return shown(place)


def shown(place: Queue) -> str:
    """What people call a place of dead letters: the queue's name, or the folder."""
    return str(place.folder) if isinstance(place, Quarantine) else str(getattr(place, "name", "its dead letters"))


def place_of(queue: Queue, given: str | None, *, name: str, home: Path, open_queue: Callable[[str], Queue]) -> Queue:
    """Where messages of `queue` are set aside: in the queue or folder that is given (a name, a URL, `file:///folder`); else where
    its own policy puts what was received too often; else in a folder below `home`, for nothing may be lost.

    Raises: as `refuse_unfit`; what asking the queues raises.
    """
    if given is None:
        own = queue.dead_letters() if isinstance(queue, Redriven) else None
        aside = quarantine(home, name) if own is None else own
    elif given.startswith("file://"):
        aside = Quarantine(Path(given.removeprefix("file://")))
    else:
        aside = open_queue(given)
        identity_of(aside)  # asked for whether it is there
    refuse_unfit(aside, name=str(getattr(queue, "name", name)), fifo=_is_fifo(queue), identity=lambda: identity_of(queue))
    return aside


def refuse_unfit(aside: Queue, *, name: str, fifo: bool | None, identity: Callable[[], object]) -> None:
    """Refuse a place where no message of the queue called `name` can be set aside; everybody does who sets messages aside.
    `fifo` is whether it is a FIFO queue (None: nothing tells it), `identity` tells it from others of its name.

    Raises: FixConfig for the queue itself, one of the other kind (FIFO or not), and a folder that cannot be written; what asking
    the queues raises.
    """
    doing = f"Looking for the dead letters of {name}"
    if isinstance(aside, Quarantine):
        try:
            aside.prove()
        except StorageFailed as error:
            hint = "Name a queue for dead letters, or a folder that can be written."
            raise FixConfig(doing, f"the folder {aside.folder} cannot be written: {error.cause}", hint=hint) from error
        return
    if shown(aside) == name and _is_same(identity(), identity_of(aside)):
        hint = "Name another queue, or file:///folder."
        raise FixConfig(doing, "they would go into the queue itself, and come again at once", hint=hint)
    theirs = _is_fifo(aside)
    if fifo is not None and theirs is not None and fifo != theirs:
        cause = f"{name} is a {_KINDS[fifo]} queue, and {shown(aside)} a {_KINDS[theirs]} one"
        raise FixConfig(doing, cause, hint="Name a queue of the same kind, or file:///folder.")


def identity_of(queue: Queue) -> object:
    """What no other queue is called; of a queue where we may only send, its URL has to tell it.

    Raises: what asking the queue raises, save AccessDenied.
    """
    try:
        return queue.identity() if isinstance(queue, Identified) else id(queue)
    except AccessDenied:
        return getattr(queue, "url", id(queue))


def _is_fifo(queue: Queue) -> bool | None:
    found = getattr(queue, "is_fifo", None)
    return None if found is None else bool(found)


def _is_same(one: object, other: object) -> bool:
    """Whether two identities are one queue's, also where one is its ARN and the other its URL."""
    if one == other or not (isinstance(one, str) and isinstance(other, str)):
        return one == other
    arn, url = (one, other) if one.startswith("arn:") else (other, one)
    if not arn.startswith("arn:") or "://" not in url:
        return False
    (region, account, name), (host, owner, known) = arn.split(":")[-3:], url.rstrip("/").split("/")[-3:]
    return (account, name) == (owner, known) and (f".{region}." in host or ".amazonaws." not in host)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that was set aside. `source` is the queue that it was for ("": not known), `at` when it was set aside (0: not
    known), `original` the id and `key` the key under which it was worked on; `payload` is the hash of what that key stood for
    ("": it was not compared, or nothing tells it). `identity` tells `source` from other queues of its name ("": nothing does).
    """

    delivery: Delivery
    reason: str = ""
    source: str = ""
    original: str = ""
    key: str = ""
    receives: int = 0
    at: float = 0.0
    payload: str = ""
    identity: str = ""

    @classmethod
    def of(cls, delivery: Delivery) -> Letter:
        """The letter that a delivery is; a mark that is none of ours is an attribute like others."""
        try:
            about: Mapping[str, Any] = json.loads(str(delivery.attributes.get(MARK, "{}")))
            told = {name: str(about.get(name) or "") for name in ("reason", "key", "payload", "identity")}
            numbers = int(about.get("receives") or delivery.receives), float(about.get("at") or 0)
            original = str(about.get("id") or delivery.id)
            more = told["payload"], told["identity"]
            return cls(delivery, told["reason"], str(about.get("from") or ""), original, told["key"], *numbers, *more)
        except (ValueError, TypeError, AttributeError):
            return cls(delivery, original=delivery.id, receives=delivery.receives)

    @property
    def id(self) -> str:
        """Its id where it lies now."""
        return self.delivery.id

    def message(self) -> Message:
        """The message to send again: as it was before it was set aside."""
        attributes = {name: value for name, value in self.delivery.attributes.items() if name != MARK}
        return Message(self.delivery.body, attributes, self.delivery.group, self.id, typed=self.delivery.typed)

    def to_json(self, *, body: bool) -> dict[str, object]:
        """What is told to programs; with the body only where it is asked for."""
        told: dict[str, object] = {
            "id": self.id,
            "original_id": self.original,
            "from": self.source,
            "key": self.key,
            "reason": self.reason,
            "receives": self.receives,
            "sent_ms": self.delivery.sent_ms,
            "at": self.at,
            "group": self.delivery.group,
            "attributes": {name: _plain(value) for name, value in self.delivery.attributes.items() if name != MARK},
        }
        if self.delivery.typed:
            told["types"] = {name: [one.kind, _plain(one.content)] for name, one in self.delivery.typed.items()}
        if self.delivery.failure:
            told["failure"] = self.delivery.failure
        return {**told, "body": self.delivery.body} if body else told


Wanted = Callable[[Letter], bool]
"""Which letters are meant."""


def every(_letter: Letter) -> bool:
    """All are."""
    return True


@dataclass(slots=True)
class Tally:
    """What became of the letters that were meant: `done` were sent, deleted or written; `again` had been sent by an earlier try
    that was cut off, and are only deleted; `handled` were handled since they were set aside, and are only deleted; `doubted` may
    have been sent before; of the keys of `unknown` the store knows nothing; `left` are still there, each with why. Of `missing`
    ids there is no letter, and about `unseen` letters were not looked at: those before them in their groups are hidden.
    """

    done: int = 0
    again: int = 0
    handled: int = 0
    doubted: int = 0
    unknown: int = 0
    left: list[tuple[Letter, str]] = field(default_factory=list)
    missing: Sequence[str] = ()
    unseen: int = 0

    def to_json(self) -> dict[str, object]:
        """What is told to programs."""
        left = [{"id": letter.id, "error": why} for letter, why in self.left]
        looked = {"not_found": list(self.missing), "unseen": self.unseen}
        counts = {"done": self.done, "sent_before": self.again, "handled_meanwhile": self.handled}
        return {**counts, "maybe_sent_before": self.doubted, "unknown_keys": self.unknown, "left": left, **looked}


class DeadLetters:
    """The letters in a queue. To look at one hides it for `hidden_s` seconds, or until the looking ends.

    Of a FIFO queue's group nobody sees more than the first ten while those are hidden: `unseen` is about how many were behind
    them when last no more were found.
    """

    def __init__(self, queue: Queue, *, hidden_s: int = 300, wait_s: float | None = None) -> None:
        self.queue = queue
        self.unseen = 0
        self._is_through = False
        self._hidden_s = hidden_s
        self._wait_s = _POLL_S if wait_s is None else wait_s

    @contextmanager
    def looked_at(self, wanted: Wanted = every, *, limit: int | None = None) -> Iterator[Iterator[Letter]]:
        """The letters that are meant, at most `limit`; they are where they were when the block has ended."""
        held: dict[str, str] = {}
        try:
            yield (letter for batch in self._batches(wanted, held, limit=limit) for letter in batch)
        finally:
            self._hand_back(held)

    @contextmanager
    def taken(self, wanted: Wanted = every, *, limit: int | None = None) -> Iterator[Iterator[list[Letter]]]:
        """The letters that are meant, by the ten, for whoever deletes them. Others are handed back when the block has ended, and
        so is a batch in which it failed.
        """
        held: dict[str, str] = {}

        def batches() -> Iterator[list[Letter]]:
            for batch in self._batches(wanted, held, limit=limit):
                yield batch
                for letter in batch:
                    held.pop(letter.id, None)

        try:
            yield batches()
        finally:
            self._hand_back(held)

    def purge(
        self,
        wanted: Wanted = every,
        *,
        limit: int | None = None,
        store: IdempotencyStore | None = None,
        unreadable: bool = False,
        export: Path | None = None,
    ) -> Tally:
        """Delete the letters that are meant, and let `store` forget that it has set their keys aside. A letter whose body cannot
        be had is left unless `unreadable`: what it stands for may lie elsewhere, and would for ever. With `export`, a file that
        is not there yet, each is on the disk, as a line of it, before it is deleted.

        Raises: StorageFailed.
        """
        tally = Tally()
        with _kept(export) as keep, self.taken(wanted, limit=limit) as batches:
            for batch in batches:
                meant = [letter for letter in batch if unreadable or not letter.delivery.failure]
                tally.left += [(letter, f"not deleted: {letter.delivery.failure}") for letter in batch if letter not in meant]
                keep(meant)
                gone = self.delete(meant, tally)
                tally.done += len(gone)
                if store is not None:
                    store.forget([letter.key for letter in gone if letter.key], only=State.QUARANTINED)
        return self.told(tally, wanted)

    def export(self, path: Path, wanted: Wanted = every, *, limit: int | None = None) -> Tally:
        """Write the letters that are meant into a JSONL file, bodies and all; none is deleted. The file appears whole or not at
        all, and is its owner's only. A letter whose body cannot be had is written with why (`failure`), and left in the tally.

        Raises: StorageFailed.
        """
        tally = Tally()
        with (
            storage(f"Writing {path}", room=WHERE_NAMED),
            arriving(path) as partial,
            self.looked_at(wanted, limit=limit) as letters,
        ):
            partial.touch(mode=0o600)
            with partial.open("w", encoding="utf-8") as file:
                for letter in letters:
                    write_line(file, letter, tally=tally)
            to_disk(partial)
        return self.told(tally, wanted)

    def told(self, tally: Tally, wanted: Wanted) -> Tally:
        """The tally, with what was meant and not found when last all letters were looked through."""
        tally.unseen = self.unseen
        tally.missing = wanted.missing if isinstance(wanted, Chosen) and self._is_through else ()
        return tally

    def delete(self, letters: Sequence[Letter], tally: Tally) -> list[Letter]:
        """Delete letters, and return those that are gone; those that are left are told in the tally."""
        replies = self.queue.delete([letter.delivery.handle for letter in letters])
        pairs = list(zip(letters, replies, strict=True))
        tally.left += [(letter, f"not deleted: {told(reply)}") for letter, reply in pairs if not reply]
        return [letter for letter, reply in pairs if reply]

    def _hand_back(self, held: Mapping[str, str]) -> None:
        with suppress(HaloclineError):  # they come back by themselves, and what went wrong before is what is to be told
            self.queue.hand_back(list(held.values()))

    def _batches(self, wanted: Wanted, held: dict[str, str], *, limit: int | None) -> Iterator[list[Letter]]:
        """Letters by the ten as they come, each once; `held` gathers the handles of what is to be handed back."""
        seen: set[str] = set()
        given = idle = self.unseen = 0
        self._is_through = False
        while (limit is None or given < limit) and idle < _ENOUGH:
            most = _BATCH if limit is None or wanted is not every else min(_BATCH, limit - given)
            found = self.queue.receive(most, wait_s=self._wait_s, visibility_s=self._hidden_s)
            if not found:
                break
            fresh = [one for one in found if one.id not in seen]
            idle = 0 if fresh else idle + 1
            held.update({one.id: one.handle for one in found})
            seen.update(one.id for one in fresh)
            letters = [letter for letter in map(Letter.of, fresh) if wanted(letter)]
            letters = letters if limit is None else letters[: limit - given]
            given += len(letters)
            yield letters
        self._is_through = limit is None or given < limit
        if self._is_through and held and getattr(self.queue, "is_fifo", False) and isinstance(self.queue, Counted):
            with suppress(AccessDenied):  # who may receive may not always look
                self.unseen = max(0, self.queue.count() - len(held))


@contextmanager
def _kept(path: Path | None) -> Iterator[Callable[[Sequence[Letter]], None]]:
    """What writes letters into a new file, each on the disk when it returns; without a path, what does nothing."""
    if path is None:
        yield lambda _: None
        return
    doing = f"Writing {path}"
    with storage(doing, room=WHERE_NAMED):
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:

        def keep(letters: Sequence[Letter]) -> None:
            with storage(doing, room=WHERE_NAMED):
                for letter in letters:
                    write_line(file, letter, tally=Tally())
                file.flush()
                os.fsync(file.fileno())

        yield keep


def write_line(file: IO[str], letter: Letter, *, tally: Tally) -> None:
    """Write a letter as one line of JSON, exactly; without its body it is left, and so told."""
    file.write(json.dumps(letter.to_json(body=True)) + "\n")
    if letter.delivery.failure:
        tally.left.append((letter, letter.delivery.failure))
    else:
        tally.done += 1


class Chosen:
    """The letters with these ids (now or before; none: any), whose reason, source or key has `matching` in it."""

    def __init__(self, ids: Sequence[str], matching: str) -> None:
        self._ids = frozenset(ids)
        self._matching = matching.lower()
        self._met: set[str] = set()

    def __call__(self, letter: Letter) -> bool:
        """Whether it is one of them."""
        met = self._ids & {letter.id, letter.original}
        self._met |= met
        is_named = bool(met) or not self._ids
        return is_named and self._matching in f"{letter.reason}\n{letter.source}\n{letter.key}".lower()

    @property
    def missing(self) -> list[str]:
        """The ids that no letter had so far."""
        return sorted(self._ids - self._met)


def chosen(ids: Sequence[str] = (), *, matching: str = "") -> Wanted:
    """The letters with these ids (now or before), whose reason, source or key has `matching` in it; nothing given: all."""
    return Chosen(ids, matching) if ids or matching else every


def told(reply: Reply) -> str:
    """What a reply says went wrong."""
    return f"{reply.code}: {reply.error}".rstrip(": ")


def _plain(value: Value) -> object:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
