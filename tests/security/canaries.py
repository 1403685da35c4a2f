"""Canaries: secrets that are like no other text, and everything through which one could be told.

A secret counts as told when ten characters of it are, as they are or in base64, whatever stands around them.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import logging
import pickle
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from halocline.cli.answer import error_json
from halocline.errors import HaloclineError

CHANNELS = (
    *("message", "repr", "facts", "pickle", "JSON", "traceback", "standard output", "standard error", "logs", "warnings"),
    "files",
)
_PIECE = 10


@cache
def key() -> rsa.RSAPrivateKey:
    """A key of this process."""
    return rsa.generate_private_key(65_537, 2_048)


def canary(name: str) -> str:
    """A text of 24 letters and digits that occurs nowhere else; the same for the same name."""
    return "k" + hashlib.sha256(name.encode()).hexdigest()[:23]


def awkward(secret: str) -> str:
    """A secret with every kind of character that some notation writes otherwise."""
    return f"{secret} <&>\"'%+@:/ü"


def is_in(secret: str, data: bytes) -> bool:
    """Whether a canary, or a good piece of it, stands in some bytes."""
    return any(piece in data for piece in _pieces(secret))


def _pieces(secret: str) -> Iterator[bytes]:
    raw = secret.encode()
    yield raw[:_PIECE]
    yield raw[-_PIECE:]
    for skip in range(3):  # base64 looks at three bytes at a time, and nobody knows what stands in front
        rest = raw[skip:]
        yield base64.b64encode(rest[: len(rest) // 3 * 3])[:16]


@dataclass(slots=True)
class Watch:
    """What was told through each channel, by what was tried."""

    secrets: set[str] = field(default_factory=set)
    injections: set[str] = field(default_factory=set)
    looks: int = 0
    leaks: list[str] = field(default_factory=list)

    def attempt(self, what: str, work: Callable[[], object], *, hiding: tuple[str, ...], folders: tuple[Path, ...] = ()) -> None:
        """Do what may go wrong, and look through all channels for canaries."""
        told = _told(work)
        told["files"] = b"\0".join(_files(folders))
        self.look(what, told, hiding=hiding)

    def look(self, what: str, told: dict[str, bytes], *, hiding: tuple[str, ...]) -> None:
        """Look for canaries in what channels told."""
        assert hiding, what
        self.injections.add(what)
        self.secrets.update(hiding)
        for channel, data in told.items():
            for secret in hiding:
                self.looks += 1
                if is_in(secret, data):
                    self.leaks.append(f"{what}: {channel}: {_around(secret, data)}")

    def __str__(self) -> str:
        return (
            f"{len(self.secrets)} secrets x {len(self.injections)} injections x {len(CHANNELS)} channels"
            f" ({self.looks:,} looks), {len(self.leaks)} leaks"
        )


def _around(secret: str, data: bytes) -> str:
    at = next(data.find(piece) for piece in _pieces(secret) if piece in data)
    return data[max(0, at - 80) : at + 40].decode("utf-8", "replace")


def _told(work: Callable[[], object]) -> dict[str, bytes]:
    out, err, log = io.StringIO(), io.StringIO(), _Records()
    failure: BaseException | None = None
    result: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings(record=True) as warned, log:
        warnings.simplefilter("always")
        try:
            result = work()
        except pytest.fail.Exception:  # what was to go wrong did not
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, somebody is told of it
            failure = error
    said = {"standard output": out.getvalue(), "standard error": err.getvalue(), "logs": "\n".join(log.lines)}
    said["warnings"] = "\n".join(str(one.message) for one in warned)
    said["repr"] = repr(result)
    told = {name: text.encode("utf-8", "surrogateescape") for name, text in said.items()}
    return told if failure is None else told | of_error(failure)


def of_error(error: BaseException) -> dict[str, bytes]:
    """What an error tells, and whatever it was raised from."""
    chain = list(_chain(error))
    ours = [one for one in chain if isinstance(one, HaloclineError)]
    told = {
        "message": [str(one) for one in chain],
        "repr": [repr(one) for one in chain] + [repr(getattr(one, "__notes__", "")) for one in chain],
        "facts": [repr(vars(one)) for one in ours],
        "JSON": [repr(error_json(one)) for one in ours],
        "traceback": traceback.format_exception(error),
    }
    found = {name: "\n".join(texts).encode("utf-8", "surrogateescape") for name, texts in told.items()}
    return found | {"pickle": b"".join(pickle.dumps(one) for one in ours)}


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    rest = [error]
    while rest:
        one = rest.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        rest += [other for other in (one.__cause__, one.__context__) if other is not None and not _is_hidden(one, other)]
        rest += list(getattr(one, "exceptions", ()))


def _is_hidden(one: BaseException, other: BaseException) -> bool:
    """`raise ... from None`: no traceback shows it."""
    return one.__suppress_context__ and other is one.__context__ and other is not one.__cause__


def _files(folders: tuple[Path, ...]) -> Iterator[bytes]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield str(path).encode() + b"\n" + path.read_bytes()


class _Records(logging.Handler):
    """All records while the block lasts: ours from DEBUG, those of libraries from INFO, what people switch on by default."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._level = logging.NOTSET

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("halocline") or record.levelno >= logging.INFO:
            self.lines.append(f"{self.format(record)} {getattr(record, 'halocline', '')!r}")

    def __enter__(self) -> _Records:
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.DEBUG)
        root.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)
