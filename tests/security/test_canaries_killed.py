"""T25: what a process that was killed leaves on the disk: no secret, masked values in its spool alone, and all is its owner's."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.examples import examples
from tests.security.canaries import Watch, canary, is_in
from tests.system.shell import KILLED, Shell, Typed, env_of, shell

from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.emulator.sessions import Session

pytestmark = [pytest.mark.system, pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")]

SECRET, MASK, VALUE, NAME = (canary(f"killed {what}") for what in ("client secret", "mask", "masked value", "name"))
KINDS = ("request", "response", "file", "write", "ledger", "sql")
ROWS = 30
WAYS = {
    "rest": ("--bulk-threshold", "1000"),
    "bulk": ("--bulk-threshold", "0", "--stage-threshold", "1000"),
    "stage": ("--use-stage",),
}

POINTS = examples(4, least=2)  # of each command, spread evenly over what it does
NEVER = 1_000_000  # 0 would note at each deed what a death there leaves, which takes longer than the command


@dataclass
class Deaths:
    """An org, a shell, and a folder for each story; the umask forbids nothing, so that whatever is closed was closed by us."""

    emulator: Emulator
    folder: Path
    shell: Shell
    tokens: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def afresh(self) -> Path:
        home = self.folder / f"story-{next(self.numbers)}"
        home.mkdir(mode=0o755)
        self.tokens.clear()
        return home

    def type(self, home: Path, *words: str, at: int = 0) -> Typed:
        env = env_of(self.emulator, home / "home") | {"HALOCLINE_MASK_KEY": MASK, "HALOCLINE_SPOOL": str(home / "spool")}
        with self.shell.typing(*words, env=env, kinds=KINDS, at=at, job_rows=10) as (_, ended):
            return ended()

    def killed(self, *words: str) -> Iterator[tuple[str, Path]]:
        """What is there after a death at some of the moments of a command: (the moment, the folder)."""
        home = self.afresh()
        deeds = self.type(home, *_at(words, home), at=NEVER).deeds
        assert len(deeds) > POINTS, deeds
        yield "the end", home
        died = 0
        for at in range(len(deeds) // (2 * POINTS), len(deeds), -(-len(deeds) // POINTS)):
            home = self.afresh()
            if self.type(home, *_at(words, home), at=at).code == KILLED:  # how often a job is looked at differs
                died += 1
                yield deeds[at - 1], home
        assert died > POINTS // 2, died


def _at(words: tuple[str, ...], home: Path) -> tuple[str, ...]:
    return tuple(word.replace("{home}", str(home)) for word in words)


@contextmanager
def _without_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def deaths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deaths]:
    folder = tmp_path_factory.mktemp("deaths")
    with _without_umask(), Emulator(EmulatorConfig(page_rows=10, consumer_secret=SECRET)) as emulator, shell(folder) as opened:
        account, user = emulator.store.catalog.get("Account"), emulator.org.api_user_id
        for number in range(ROWS):
            emulator.store.insert(account, {"Name": f"n{number}", "Description": VALUE}, user_id=user)
        deaths = Deaths(emulator, folder, opened)
        start = emulator.org.sessions.start

        def started(*args: Any, **named: Any) -> Session:
            session = start(*args, **named)
            deaths.tokens.append(session.token[-24:])
            return session

        emulator.org.sessions.start = started  # type: ignore[method-assign]
        yield deaths


def _open_to_others(home: Path) -> list[str]:
    """What others can read of what we keep: neither it nor a folder above it is closed. The table is its user's own."""
    return [
        f"{path}: {stat.S_IMODE(path.stat().st_mode):o}"
        for kept in ("home", "spool")
        for path in (home / kept).rglob("*")
        if all(one.stat().st_mode & 0o077 for one in (path, *path.parents) if home in one.parents)
    ]


def _files(folder: Path, *, but: str = "") -> bytes:
    """All files below a folder, with their names; `but`: those of one folder in it."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.relative_to(folder).parts[0] != but)
    return b"\0".join(str(path).encode() + b"\n" + path.read_bytes() for path in paths)


@pytest.mark.parametrize(("lake", "way"), [("duckdb", "bulk"), ("sqlite", "rest"), ("sqlite", "stage")])
def test_a_sync_that_is_killed(watch: Watch, deaths: Deaths, lake: str, way: str) -> None:
    """No secret, mask or token is anywhere; a masked value lies in the spool alone, and that is its owner's."""
    words = ("sync", "Account", "--to", f"{lake}:///{{home}}/lake", "--mask", "Description=hash", *WAYS[way], "--json")
    spooled = False
    for moment, home in deaths.killed(*words):
        what = f"{way}, {lake}, {moment}"
        watch.look(what, {"files": _files(home)}, hiding=(SECRET, MASK, *deaths.tokens))
        watch.look(f"{what}: beside the spool", {"files": _files(home, but="spool")}, hiding=(VALUE,))
        spooled = spooled or is_in(VALUE, _files(home / "spool"))
        assert not _open_to_others(home), what
    assert spooled or way == "rest", "the pages of one that was killed are there to be found"


@pytest.mark.parametrize("api", ["collections", "bulk"])
def test_a_push_that_is_killed(watch: Watch, deaths: Deaths, api: str, tmp_path: Path) -> None:
    """No secret and no token is anywhere; what was sent is remembered by digests, and rows lie in the run's folder and ledger."""
    rows = tmp_path / "rows.csv"
    rows.write_text("Name,AccountNumber\n" + "".join(f"{NAME},{number}\n" for number in range(ROWS)))
    how = ("--mode", "insert", "--diff", "--diff-key", "AccountNumber", "--api", api)
    words = ("push", str(rows), "--to", "Account", *how, "--json")
    kept = False
    for moment, home in deaths.killed(*words):
        what = f"push by {api}, {moment}"
        watch.look(what, {"files": _files(home)}, hiding=(SECRET, *deaths.tokens))
        watch.look(f"{what}: what was sent", {"files": _files(home / "home" / "sent")}, hiding=(NAME,))
        kept = kept or is_in(NAME, _files(home / "home" / "runs"))
        assert not _open_to_others(home), what
    assert kept, "the rows of one that was killed are there to be found"
