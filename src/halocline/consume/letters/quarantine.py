"""Quarantine: a folder that is a queue, for the messages that a queue without dead letters has no place for.

One file holds one message, readable by its owner only. It is for what is rare: to look costs a listing of the folder. What one
process receives is hidden from itself alone; deleting, and sending, hold for all.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from halocline.errors import FixConfig
from halocline.private import refuse_planted
from halocline.queues import Delivery, Message, Reply, Typed, Value
from halocline.spool import arriving, prove, quarantine_of, storage, to_disk

_ENDING = ".message.json"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_USUAL_HIDDEN_S = 30
_MOST = 10


def quarantine(home: Path, name: str) -> Quarantine:
    """The quarantine of the queue called `name`, below `home`.

    Raises: FixConfig for a name that no queue has: it would be a path.
    """
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise FixConfig("Opening the quarantine", f"{name[:40]!r} is no name of a queue")
    return Quarantine(quarantine_of(home, name))


class Quarantine:
    """The messages in a folder, as a `halocline.queues.Queue`; it is made with the first message. Threads may share it.

    All methods raise: StorageFailed.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._hidden: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The folder's name: that of the queue whose messages are in it."""
        return self.folder.name

    def count(self) -> int:
        """How many messages there are."""
        with storage(f"Reading the messages in {self.folder}"):
            return len(self._paths())

    def prove(self) -> None:
        """Find out whether messages can be kept; the folder stays as it is."""
        prove(self.folder)

    def send(self, messages: Sequence[Message]) -> list[Reply]:
        """Keep messages: each is on the disk when this returns. Not in a folder that somebody else has put there."""
        with storage(f"Putting messages aside in {self.folder}", room="put them on a larger one"):
            self.folder.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            refuse_planted(self.folder)
            self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            replies = [Reply(message_id=self._keep(message)) for message in messages]
            to_disk(self.folder)
        return replies

    def receive(self, limit: int = _MOST, *, wait_s: float = 0.0, visibility_s: int | None = None) -> list[Delivery]:  # noqa: ARG002 - what is there is there at once
        """At most `limit` messages and at most ten, the oldest first; nobody is waited for."""
        found: list[Delivery] = []
        with storage(f"Reading the messages in {self.folder}"), self._lock:
            now = self._clock()
            for path in self._paths():
                if len(found) >= min(limit, _MOST):
                    break
                if self._hidden.get(path.name, now) > now:
                    continue
                try:
                    found.append(_read(path))
                except FileNotFoundError:  # another process has deleted it since it was listed
                    self._hidden.pop(path.name, None)
                    continue
                self._hidden[path.name] = now + (_USUAL_HIDDEN_S if visibility_s is None else visibility_s)
        return found

    def delete(self, handles: Sequence[str]) -> list[Reply]:
        """Delete messages; one that is gone already is gone."""
        with storage(f"Deleting messages in {self.folder}"):
            for handle in handles:
                self._path(handle).unlink(missing_ok=True)
            if self.folder.is_dir():  # what was deleted must not come back with the power
                to_disk(self.folder)
        with self._lock:
            for handle in handles:
                self._hidden.pop(handle, None)
        return [Reply(message_id=handle) for handle in handles]

    def extend(self, handles: Sequence[str], seconds: int) -> list[Reply]:
        """Hide messages from this process for so long."""
        until = self._clock() + seconds
        with self._lock:
            self._hidden.update(dict.fromkeys(handles, until))
        return [Reply(message_id=handle) for handle in handles]

    def hand_back(self, handles: Sequence[str]) -> list[Reply]:
        """Let messages be received again at once."""
        return self.extend(handles, 0)

    def _keep(self, message: Message) -> str:
        now = time.time_ns()
        name = f"{now:020}-{uuid.uuid4().hex}{_ENDING}"
        told = {
            "sent_ms": now // 1_000_000,
            "group": message.group,
            "attributes": {key: _written(value) for key, value in message.attributes.items()},
            "typed": {key: [one.kind, _written(one.content)] for key, one in message.typed.items()},
            "body": message.body,
        }
        with arriving(self.folder / name) as path:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(told, file)
            to_disk(path)
        return name.removesuffix(_ENDING)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{_ENDING}")) if self.folder.is_dir() else []

    def _path(self, handle: str) -> Path:
        if "/" in handle or "\\" in handle or not handle.endswith(_ENDING):
            raise FixConfig(f"Deleting a message in {self.folder}", f"{handle[:40]!r} is no message of it")
        return self.folder / handle


def _read(path: Path) -> Delivery:
    """A file as a delivery; one that is no message says so and can be deleted like any other."""
    handle, name = path.name, path.name.removesuffix(_ENDING)
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        told: Mapping[str, Any] = json.loads(text)
        attributes = {key: _understood(value) for key, value in told["attributes"].items()}
        typed = {key: Typed(kind, _content(content)) for key, (kind, content) in told.get("typed", {}).items()}
        return Delivery(handle, told["body"], name, 1, told["sent_ms"], told["group"], attributes, typed=typed)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Delivery(handle, text, name, failure=f"the file {path} is no message: {type(error).__name__}")


def _written(value: Value) -> object:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _content(value: Any) -> str | bytes:
    found = _understood(value)
    return found if isinstance(found, bytes) else str(found)


def _understood(value: Any) -> Value:
    return base64.b64decode(value["base64"]) if isinstance(value, Mapping) else value
