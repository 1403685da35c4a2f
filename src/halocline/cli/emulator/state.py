"""Which emulators run on this machine: each leaves a note with its addresses, and takes it away when it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from halocline.cli.answer import err
from halocline.config import Settings
from halocline.errors import FixConfig

FOLDER = "emulators"
ELSEWHERE = "one that was started with another HALOCLINE_HOME is found with that one set."
_WAIT_S = 5.0  # for an emulator on this machine to say that it is there


@contextmanager
def announced(addresses: Mapping[str, Any], *, folder: str = FOLDER) -> Iterator[None]:
    """Leave a note until the block ends; only this user can read it. Where no note can be left, the address has to be given."""
    note = folder_of(folder) / f"{urlsplit(addresses['url'] or '').port}.json"
    try:
        _write(note, json.dumps(addresses))
    except OSError as error:
        err.print(f"`env` cannot find it by itself: no note can be left in {note.parent} ({error.strerror}).", markup=False)
        yield
        return
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def found(url: str | None = None) -> dict[str, str | None]:
    """The addresses of the emulator at `url`, or of the one that was started last and still answers.

    Notes of emulators that ended without tidying up are removed.
    Raises: FixConfig if there is none.
    """
    if url is not None:
        answer = _asked(url)
        if answer is None:
            raise FixConfig("Looking for the emulator", f"no emulator answers at {url}")
        return answer
    for note in notes(FOLDER):
        noted = _read(note)
        answer = _asked(noted["url"]) if noted else None
        if answer == noted and answer is not None:  # another emulator may have got the port since
            return answer
        note.unlink(missing_ok=True)
    hint = f"Start one in another terminal with `halocline emulator`, or name one with --url; {ELSEWHERE}"
    raise FixConfig("Looking for the emulator", f"none that runs has a note in {folder_of(FOLDER)}", hint=hint)


def notes(folder: str) -> list[Path]:
    """The notes in a folder below HALOCLINE_HOME, the newest first."""
    return sorted(folder_of(folder).glob("*.json"), key=_age, reverse=True)


def folder_of(name: str) -> Path:
    """Where notes of that kind are: below HALOCLINE_HOME."""
    return Settings.from_env().home / name


def _write(note: Path, text: str) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    draft = note.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(note)


def _age(note: Path) -> float:
    try:
        return note.stat().st_mtime
    except OSError:
        return 0.0


def _read(note: Path) -> dict[str, str] | None:
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return noted if isinstance(noted, dict) and isinstance(noted.get("url"), str) else None


def _asked(url: str) -> dict[str, str | None] | None:
    """What the emulator at `url` says of itself; None if there is none. The exports may be set already: no proxy is asked."""
    import httpx2

    try:
        with httpx2.Client(trust_env=False, verify=False, timeout=_WAIT_S) as client:
            answer = client.get(url.rstrip("/") + "/__emulator__/doors")
            return cast("dict[str, str | None]", answer.json()) if answer.status_code == 200 else None
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return None
