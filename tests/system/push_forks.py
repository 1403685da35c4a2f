"""A program that types `halocline` in processes that it forks, each of which may be made to die at any of its deeds.

Orders are lines of JSON on standard input: `words` to type, the `env`, where to put the `answer`, and `die`: the `kinds` of deeds
that are counted and the one `at` which the process ends by SIGKILL (0: none). Each order is answered by two lines: the number of
the process, and once it is gone how it ended. Waits are cut short, and a Bulk job takes `job_rows` at most.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
from typer import testing

from halocline import retry
from halocline.cli.main import app
from halocline.connectors.salesforce import sheets
from halocline.ledger import sqlite

LONGEST_WAIT_S = 0.03


class Deeds:
    """Counts the deeds of some kinds, each before and after it is done, and ends the process at one of them."""

    def __init__(self, kinds: Sequence[str], at: int) -> None:
        self.seen: list[str] = []
        self._kinds = kinds
        self._at = at
        self._lock = threading.Lock()

    def __call__(self, kind: str, name: str) -> None:
        """This is where the process may end."""
        if kind not in self._kinds:
            return
        with self._lock:
            self.seen.append(name)
            if len(self.seen) == self._at:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, kind: str, work: Callable[..., Any], *, name: Callable[..., str]) -> Callable[..., Any]:
        """The work, with a deed before and after it."""

        def counted(*values: Any, **options: Any) -> Any:
            told = name(*values)
            self(kind, f"before {told}")
            done = work(*values, **options)
            self(kind, f"after {told}")
            return done

        return counted


def watch(deeds: Deeds) -> None:
    """Count every request, every write of the ledger, and everything that makes a file durable or lets it go."""
    transport: Any = httpx2.HTTPTransport
    transport.handle_request = deeds.around(
        "request", transport.handle_request, name=lambda _, one: f"{one.method} {one.url.path}"
    )
    for name in ("fsync", "replace", "unlink", "rmdir", "mkdir"):
        setattr(os, name, deeds.around("file", getattr(os, name), name=lambda path, *_, what=name: f"{what} {_plain(path)}"))
    whole, books = Path.write_text, sqlite.transaction

    def halved(self: Path, text: str, *values: Any, **options: Any) -> int:
        whole(self, text[: len(text) // 2], *values, **options)
        deeds("file", f"inside write {self.name}")
        return whole(self, text, *values, **options)

    @contextmanager
    def booked(db: Any) -> Iterator[None]:
        deeds("ledger", "before transaction")
        inner: AbstractContextManager[None] = books(db)
        with inner:
            yield
        deeds("ledger", "after transaction")

    Path.write_text = halved  # type: ignore[method-assign]  # that is the point
    sqlite.transaction = booked


def _plain(path: object) -> str:
    return "a folder or file" if isinstance(path, int) else Path(os.fspath(path)).name  # type: ignore[call-overload]


def prepare() -> None:
    """Make once what every command makes anew and what is of no interest here: the table of verbs, the authorities to trust."""
    verbs, trusted = testing._get_command(app), ssl.create_default_context()
    testing._get_command = lambda _: verbs
    ssl.create_default_context = lambda *_, **__: trusted


def hurry(job_rows: int) -> None:
    """Cut waits short, and jobs small."""
    object.__setattr__(retry.PACE, "sleep", lambda seconds: time.sleep(min(seconds, LONGEST_WAIT_S)))
    sheets.MAX_ROWS = job_rows


def live(order: dict[str, Any]) -> None:
    """Type the words, and leave what was said in the answer's file."""
    os.environ.update(order["env"])
    deeds = Deeds(order["die"]["kinds"], order["die"]["at"])
    hurry(order["job_rows"])
    write = os.replace
    watch(deeds)
    done = testing.CliRunner().invoke(app, order["words"])
    told = {"exit_code": done.exit_code, "out": done.stdout, "err": done.stderr, "deeds": deeds.seen, "modules": [*sys.modules]}
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        told["err"] += "".join(traceback.format_exception(done.exception))
    partial = Path(f"{order['answer']}.new")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(told, file)
    write(partial, order["answer"])


def born(order: dict[str, Any]) -> int:
    """A process that carries out the order."""
    pid = os.fork()
    if pid:
        return pid
    try:
        live(order)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - nothing of the parent may run in the child
        traceback.print_exc()
        os._exit(1)


def learn(modules: Sequence[str]) -> None:
    """Load what a child had to load, so that the next one has it; most of a command's time is that."""
    for name in modules:
        if name not in sys.modules:
            with suppress(ImportError):  # made up by a compiler, or a part of what is no package
                importlib.import_module(name)


def main() -> None:
    """Carry out orders until there are no more."""
    prepare()
    for line in sys.stdin:
        order = json.loads(line)
        pid = born(order)
        print(json.dumps({"pid": pid}), flush=True)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code == 0:
            learn(json.loads(Path(order["answer"]).read_text(encoding="utf-8"))["modules"])
        print(json.dumps({"ended": code}), flush=True)


if __name__ == "__main__":
    assert shutil.rmtree.avoids_symlink_attacks  # it deletes by os.unlink and os.rmdir, which are watched
    main()
