"""Faults: count the operations of a piece of work, and let a chosen one fail - refused, its reply lost, or its process killed.

    moment   of an operation, at which        error       lost reply       killed
    before   nothing is done yet              strikes                      strikes
    inside   a write is half done                                          strikes
    after    it is done, nobody knows yet                 strikes          strikes

Do the work once with `at=0` to see its moments; then once for each `at` from 1 on, start it again each time as a user would, and
compare what is there with what should be, until an `at` is not struck any more.

    operations = Operations(at=7, way=Way.LOST)
    with operations.watching(MyClient, "call", seam=Seam("request", error=my_error)), watching_files(operations), operations:
        work()
    assert operations.struck
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Self

import pyarrow as pa

from halocline.ledger import sqlite
from halocline.ledger.turn import Turn
from halocline.sql_transaction import begun


class When(StrEnum):
    """The moments of an operation."""

    BEFORE = "before"
    INSIDE = "inside"
    AFTER = "after"


class Way(StrEnum):
    """How an operation fails."""

    ERROR = "error"
    LOST = "lost reply"
    DEATH = "killed"


STRUCK_AT = {
    Way.ERROR: frozenset({When.BEFORE}),
    Way.LOST: frozenset({When.AFTER}),
    Way.DEATH: frozenset(When),
}


class Death(BaseException):
    """The process dies here. Handlers that run after it find that nothing works any more."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment of an operation: of what kind it is, when, and what the operation is called."""

    kind: str
    when: When
    name: str

    def __str__(self) -> str:
        return f"{self.when} {self.name}"


def kill() -> None:
    """End this process at once, as SIGKILL does it."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Seam:
    """What is known of the operations that pass one method.

    `error` makes what its caller gets when an operation fails: before its work, or after it. `name` names an operation by the
    method's arguments. `spoil` gets the same arguments and the lost answer (None: none came), to let go of what they hold.
    """

    kind: str
    error: Callable[[When], Exception]
    name: Callable[..., str] | None = None
    spoil: Callable[..., None] | None = None


class Operations:
    """Counts the moments of operations of these kinds (none: of all), and strikes at the `at`-th that this way can strike.

    `whens` are fewer moments than the way could strike.
    `lasting` are the kinds of which nothing works any more after an error (a network that is gone), until the block ends. `die`
    is called where the way is DEATH: by default it kills the process; where it returns, Death is raised there, and at everything
    that the dead work still tries. `own_thread` counts only what the thread does that enters the block: what others do comes when
    chance has it. Outside of its block nothing is counted and nothing fails.
    """

    def __init__(
        self,
        *,
        at: int = 0,
        way: Way = Way.DEATH,
        kinds: Collection[str] = (),
        whens: Collection[When] | None = None,
        lasting: Collection[str] = (),
        die: Callable[[], None] = kill,
        own_thread: bool = False,
    ) -> None:
        self.seen: list[Moment] = []
        self.struck: Moment | None = None
        self._at, self._way, self._kinds, self._lasting = at, way, kinds, lasting
        self._whens = STRUCK_AT[way] if whens is None else whens
        self._die = die
        self._own_thread = own_thread
        self._thread: int | None = None
        self._lock = threading.Lock()
        self._dead = False

    def __enter__(self) -> Self:
        self._thread = threading.get_ident()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._thread = None

    def moment(self, when: When, name: str, *, seam: Seam) -> None:
        """This is where an operation may fail.

        Raises: what the seam makes for this moment; Death.
        """
        if not self._counts():
            return
        if self._dead:
            raise Death
        with self._lock:
            if self._passes(Moment(seam.kind, when, name)):
                return
        if self._way is Way.DEATH:
            self._dead = True
            self._die()
            raise Death
        raise seam.error(when)

    def around(self, work: Callable[..., Any], *, seam: Seam) -> Callable[..., Any]:
        """The work, with a moment before and after it."""

        def counted(*values: Any, **options: Any) -> Any:
            if not self._counts():
                return work(*values, **options)
            name = seam.name(*values, **options) if seam.name else work.__name__
            with spoiling(None, values):
                self.moment(When.BEFORE, name, seam=seam)
            answer = work(*values, **options)
            with spoiling(answer, values):
                self.moment(When.AFTER, name, seam=seam)
            return answer

        @contextmanager
        def spoiling(answer: object, values: tuple[Any, ...]) -> Iterator[None]:
            try:
                yield
            except BaseException:
                if seam.spoil:
                    seam.spoil(*values, answer)
                raise

        return counted

    @contextmanager
    def watching(self, owner: Any, attribute: str, *, seam: Seam) -> Iterator[None]:
        """Count each call of a method (or of a function of a module) while the block runs."""
        with replaced(owner, attribute, by=self.around(getattr(owner, attribute), seam=seam)):
            yield

    def _counts(self) -> bool:
        return self._thread is not None and (not self._own_thread or self._thread == threading.get_ident())

    def _passes(self, moment: Moment) -> bool:
        """Whether nothing happens at this moment."""
        if moment.when not in self._whens:
            return True
        if self.struck is not None and self._way is Way.ERROR and {moment.kind, self.struck.kind} <= set(self._lasting):
            return False
        if self._kinds and moment.kind not in self._kinds:
            return True
        self.seen.append(moment)
        if len(self.seen) != self._at:
            return True
        self.struck = moment
        return False


@contextmanager
def replaced(owner: Any, attribute: str, *, by: Any) -> Iterator[None]:
    """`owner.attribute` is `by` while the block runs."""
    before = owner.__dict__[attribute] if isinstance(owner, type) else getattr(owner, attribute)
    setattr(owner, attribute, by)
    try:
        yield
    finally:
        setattr(owner, attribute, before)


# ---- seams that every connector has: files, and the ledger


def no_disk(when: When) -> OSError:
    """What a disk says of a write: that it is full, where nothing was done; that it fails, where something was."""
    number = errno.ENOSPC if when is When.BEFORE else errno.EIO
    return OSError(number, os.strerror(number))


def failing_ledger(when: When) -> sqlite3.Error:
    """What SQLite says where the disk does so."""
    return sqlite3.OperationalError("database or disk is full" if when is When.BEFORE else "disk I/O error")


def failing_disk(_: When) -> OSError:
    """What a disk says where no space is needed."""
    return OSError(errno.EIO, os.strerror(errno.EIO))


def _of_path(path: object, *_: object, what: str) -> str:
    return f"{what} a folder or file" if isinstance(path, int) else f"{what} {Path(os.fspath(path)).name}"  # type: ignore[call-overload]


FILE = Seam("file", no_disk)
WRITE = Seam("write", no_disk)
LEDGER = Seam("ledger", failing_ledger)


@contextmanager
def watching_files(operations: Operations) -> Iterator[None]:
    """Count what makes files durable or lets them go (kind `file`), and each write through Path.open or pyarrow (kind `write`).

    A process can be killed when half of a write is done.
    """
    with ExitStack() as stack:
        for name in ("fsync", "replace", "rename", "link", "unlink", "rmdir", "mkdir"):
            error = failing_disk if name in ("unlink", "rmdir") else no_disk
            seam = Seam("file", error, name=lambda path, *rest, what=name, **_: _of_path(path, *rest, what=what))
            stack.enter_context(operations.watching(os, name, seam=seam))
        stack.enter_context(_halving_texts(operations))
        stack.enter_context(_watching_handles(operations))
        yield


def _halving_texts(operations: Operations) -> AbstractContextManager[None]:
    whole = Path.write_text

    def halved(self: Path, text: str, *values: Any, **options: Any) -> int:
        whole(self, text[: len(text) // 2], *values, **options)
        operations.moment(When.INSIDE, f"write {self.name}", seam=FILE)
        return whole(self, text, *values, **options)

    return replaced(Path, "write_text", by=halved)


@contextmanager
def _watching_handles(operations: Operations) -> Iterator[None]:
    opened = Path.open

    def watched(self: Path, mode: str = "r", *values: Any, **options: Any) -> Any:
        handle = opened(self, mode, *values, **options)
        writes = set(mode) & set("wax+") and operations._counts()
        return _Handle(handle, self.name, operations) if writes else handle

    real = pa.OSFile

    def arrow_file(path: str, mode: str = "r", **options: Any) -> Any:
        if mode != "wb" or not operations._counts():
            return real(path, mode, **options)
        return pa.PythonFile(_Handle(Path(path).open("wb", buffering=0), Path(path).name, operations), mode="w")

    with replaced(Path, "open", by=watched), replaced(pa, "OSFile", by=arrow_file):
        yield


class _Handle:
    """An open file whose writes are counted."""

    def __init__(self, inner: Any, name: str, operations: Operations) -> None:
        # a file that was opened while the files are watched is watched already
        self._inner: IO[Any] = inner._inner if isinstance(inner, _Handle) else inner
        self._name = f"write {name}"
        self._operations = operations

    def write(self, data: Any) -> int:
        """Write all of it, or half where the process dies in the middle."""
        self._operations.moment(When.BEFORE, self._name, seam=WRITE)
        half = len(data) // 2
        self._all(data[:half])
        self._operations.moment(When.INSIDE, self._name, seam=WRITE)
        self._all(data[half:])
        self._operations.moment(When.AFTER, self._name, seam=WRITE)
        return len(data)

    def _all(self, data: Any) -> None:
        done = self._inner.write(data)
        while done < len(data):  # an unbuffered file may take less than it is given
            done += self._inner.write(data[done:])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._inner.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._inner)


@contextmanager
def watching_ledger(operations: Operations) -> Iterator[None]:
    """Count the transactions of ledgers in SQLite (kind `ledger`)."""
    take, books = Turn.take, begun

    def taken(turn: Turn) -> None:
        operations.moment(When.BEFORE, "transaction", seam=LEDGER)
        take(turn)

    @contextmanager
    def booked(db: sqlite3.Connection, *, failure: type[Exception]) -> Iterator[sqlite3.Connection]:
        with books(db, failure=failure):
            yield db
        operations.moment(When.AFTER, "transaction", seam=LEDGER)

    with replaced(Turn, "take", by=taken), replaced(sqlite, "begun", by=booked):
        yield
