"""Letter places: where the dead letters of a queue are, whichever of the two was named.

A queue that has a place for them now may have had none before: what its workers put into a folder below HALOCLINE_HOME then is
dealt with as well, until nothing is left there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from halocline.consume.letters.quarantine import Quarantine, quarantine
from halocline.errors import FixConfig, NotFound
from halocline.queues import Counted, Delivery, Message, Queue, Redriven, Reply, name_of

_LIVE = "no queue puts its dead letters there, and it puts none anywhere"


@dataclass(frozen=True, slots=True)
class LetterPlace:
    """Where dead letters are: `name` that of the queue or folder. `own` is the queue that was named, by name or URL as it was
    (None: it is the place itself). `also` is the folder whose letters are among them ("": there is none).
    """

    queue: Queue
    name: str
    own: str | None = None
    also: str = ""

    @property
    def kept(self) -> Queue:
        """Where messages are set aside now."""
        return self.queue.places[-1] if isinstance(self.queue, Places) else self.queue


class Places:
    """Several places of letters, as one `halocline.queues.Queue`: those of the first come first, and what is sent goes there."""

    def __init__(self, *places: Queue) -> None:
        self.places = places
        self.is_fifo = any(getattr(place, "is_fifo", False) for place in places)

    def send(self, messages: Sequence[Message]) -> list[Reply]:
        """See `Queue.send`."""
        return self.places[0].send(messages)

    def receive(self, limit: int = 10, *, wait_s: float = 20.0, visibility_s: int | None = None) -> list[Delivery]:
        """See `Queue.receive`."""
        for number, place in enumerate(self.places):
            found = place.receive(limit, wait_s=wait_s, visibility_s=visibility_s)
            if found:
                return [replace(one, handle=f"{number}:{one.handle}") for one in found]
        return []

    def delete(self, handles: Sequence[str]) -> list[Reply]:
        """See `Queue.delete`."""
        return self._each(handles, lambda place, some: place.delete(some))

    def extend(self, handles: Sequence[str], seconds: int) -> list[Reply]:
        """See `Queue.extend`."""
        return self._each(handles, lambda place, some: place.extend(some, seconds))

    def hand_back(self, handles: Sequence[str]) -> list[Reply]:
        """See `Queue.hand_back`."""
        return self._each(handles, lambda place, some: place.hand_back(some))

    def count(self) -> int:
        """See `Counted.count`."""
        return sum(place.count() for place in self.places if isinstance(place, Counted))

    def _each(self, handles: Sequence[str], ask: Callable[[Queue, Sequence[str]], list[Reply]]) -> list[Reply]:
        replies: dict[str, Reply] = {}
        for number, place in enumerate(self.places):
            some = [handle for handle in handles if handle.startswith(f"{number}:")]
            if some:
                answers = ask(place, [handle.partition(":")[2] for handle in some])
                replies.update(zip(some, answers, strict=True))
        return [replies[handle] for handle in handles]


def letter_place(
    named: str,
    *,
    home: Path,
    open_queue: Callable[[str], Queue],
    known_as: str | None = None,
    dead_letters: str | None = None,
    as_is: bool = False,
    flows: Sequence[str] = (),
) -> LetterPlace:
    """The place of the dead letters of the queue or folder that is named, or the place itself: a queue that others name as such.
    `known_as` and `dead_letters` are what a flow says of it, whose letters are in its folder where they have no other place;
    `as_is` takes the queue that is named, whatever is said of it. `flows` are those that listen to it.

    Raises: FixConfig for a queue that is neither: its messages wait for a worker, and are not to be touched by mistake; NotFound
    for a folder that is not there.
    """
    if dead_letters is not None:
        kept = letter_place(dead_letters, home=home, open_queue=open_queue, as_is=True)
        return _with_folder(LetterPlace(kept.queue, kept.name, named), quarantine(home, known_as or name_of(named)))
    if named.startswith("file://"):
        return _folder(Path(named.removeprefix("file://")), as_is=as_is)
    name = name_of(named)
    aside = quarantine(home, known_as or name)
    try:
        queue = open_queue(named)
    except NotFound:
        if not aside.folder.is_dir():
            raise
        return LetterPlace(aside, name, named)
    if as_is or not isinstance(queue, Redriven):
        return LetterPlace(queue, name)
    own = queue.dead_letters()
    if own is not None:
        return _with_folder(LetterPlace(own, str(getattr(own, "name", name)), named), aside)
    if queue.sources():
        return LetterPlace(queue, name)
    if known_as is not None or aside.folder.is_dir():
        return LetterPlace(aside, name, named)
    if flows:
        hint = f"Name the flow: {' or '.join(flows)}."
        raise FixConfig(f"Looking for the dead letters of {name}", "several flows listen to it, known by other names", hint=hint)
    hint = "Name a dead letter queue, or say --as-is to take this one for it: its messages are hidden from workers meanwhile."
    raise FixConfig(f"Looking for the dead letters of {name}", _LIVE, hint=hint)


def _folder(folder: Path, *, as_is: bool) -> LetterPlace:
    """The folder as a place of letters; `as_is`: whether it is there or not, for it comes with the first of them.

    Raises: NotFound.
    """
    if not as_is and not folder.is_dir():
        hint = "A worker makes it with the first message that it sets aside."
        raise NotFound("Looking for messages that were set aside", f"there is no folder {folder}", hint=hint)
    return LetterPlace(Quarantine(folder), folder.name)


def _with_folder(place: LetterPlace, aside: Quarantine) -> LetterPlace:
    """The place, with the letters that are in the folder still."""
    is_it = isinstance(place.queue, Quarantine) and place.queue.folder.resolve() == aside.folder.resolve()
    if is_it or not aside.count():
        return place
    return replace(place, queue=Places(aside, place.queue), also=str(aside.folder))
