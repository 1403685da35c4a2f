"""The soak: an org that changes all the time, and syncs of it into two places that are killed again and again."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from halocline.emulator.server import Emulator
from halocline.ledger import SqliteLedger
from tests.system.fault_loop import FIELDS, Place, Row, differences
from tests.system.shell import KILLED, ROOT, Shell, Typed, env_of, plain_env

WAYS = {
    "rest": ("--bulk-threshold", "100000", "--stage-threshold", "100000"),
    "bulk": ("--bulk-threshold", "0", "--stage-threshold", "100000"),
    "stage": ("--use-stage",),
}
START_S = 1.2  # seconds in which a process of Python has loaded what a sync needs; it is killed after that
FULL_SHARE = 0.15  # of the syncs read all again
OWN_PROCESS_EVERY = 10  # every so-many-th sync is not forked but started as a person starts it, which takes a second longer
ROWS = 300


class Writer:
    """People who work in the org: through its door they add, change and delete accounts, and take some out of the bin."""

    def __init__(self, emulator: Emulator, *, seed: int) -> None:
        self.emulator = emulator
        self.done: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._chance = random.Random(seed)
        self._ids = [emulator.create("Account", {"Name": f"first {n}"}) for n in range(ROWS)]
        self._bin: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="writer")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Work goes on while the block runs.

        Raises: what stopped it before.
        """
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _work(self) -> None:
        config = self.emulator.config
        form = {
            "grant_type": "client_credentials",
            "client_id": config.consumer_key,
            "client_secret": config.consumer_secret,
        }
        try:
            with httpx2.Client(base_url=self.emulator.url) as http:
                token = http.post("/services/oauth2/token", data=form).json()["access_token"]
                http.headers["Authorization"] = f"Bearer {token}"
                while not self._ended.wait(self._chance.uniform(0, 0.02)):
                    self._change(http)
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self.failure = error

    def _change(self, http: httpx2.Client) -> None:
        """One change that a person makes."""
        what = self._chance.choices(("insert", "update", "delete", "undelete"), (3, 10, 2, 1))[0]
        records = "/services/data/v67.0/sobjects/Account"
        if what == "insert":
            answer = http.post(records, json={"Name": f"new {self.done['insert']}"})
            self._ids.append(answer.json()["id"])
        elif what == "update":
            values = {"Description": f'"{self.done["update"]}",\r\n'}
            answer = http.patch(f"{records}/{self._chance.choice(self._ids)}", json=values)
        elif what == "delete":
            gone = self._ids.pop(self._chance.randrange(len(self._ids)))
            answer = http.delete(f"{records}/{gone}")
            self._bin.append(gone)
        elif self._bin:
            back = self._bin.pop(self._chance.randrange(len(self._bin)))
            answer = http.post(f"/__emulator__/records/Account/{back}/undelete")
            self._ids.append(back)
        else:
            return
        answer.raise_for_status()
        self.done[what] += 1


@dataclass
class Soak:
    """A place that is synced into, and its own home."""

    emulator: Emulator
    shell: Shell
    place: Place
    home: Path
    deletes: str
    kills: int = 0
    ended: int = 0
    seconds: float = 0.0
    usual_s: float = 0.5
    failed: list[Typed] = field(default_factory=list)

    def sync(self, *more: str) -> Typed:
        """A sync that nobody disturbs."""
        began = time.monotonic()
        with self.shell.typing(*self._words(*more), env=env_of(self.emulator, self.home)) as (_, ended):
            typed = ended()
        self.usual_s = time.monotonic() - began
        return typed

    def killed_sync(self, chance: random.Random, *, number: int) -> None:
        """A sync that is killed, unless it has ended by then."""
        words = self._words(*WAYS[chance.choice(list(WAYS))], *(("--full",) if chance.random() < FULL_SHARE else ()))
        began = time.monotonic()
        share = chance.random()
        typed = self._own(words, share) if number % OWN_PROCESS_EVERY == 0 else self._forked(words, share)
        self.seconds += time.monotonic() - began
        if typed.killed:
            self.kills += 1
        elif (typed.code, typed.exit_code) == (0, 0):
            self.ended += 1
        else:
            self.failed.append(typed)

    def _forked(self, words: tuple[str, ...], share: float) -> Typed:
        env, wait_s = env_of(self.emulator, self.home), max(share * self.usual_s, 0.001)
        with self.shell.typing(*words, env=env, kill_after_s=wait_s) as (_, ended):
            return ended()

    def _own(self, words: tuple[str, ...], share: float) -> Typed:
        """The same in a process that nothing of ours has prepared."""
        env = plain_env() | env_of(self.emulator, self.home)
        command = [sys.executable, "-m", "halocline", *words]
        with subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                out, err = process.communicate(timeout=START_S + share * self.usual_s)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
        return Typed(KILLED) if process.returncode == KILLED else Typed(0, process.returncode, out, err)

    def _words(self, *more: str) -> tuple[str, ...]:
        table = ("--schema", "raw", "--table", "accounts", "--fields", ",".join(FIELDS), "--deletes", self.deletes)
        # The usual ten minutes of overlap would read again all that a position skips.
        return ("sync", "Account", "--to", self.place.uri(self.home), *table, "--lookback", "1", "--json", *more)

    def rows_read(self) -> int:
        """How many rows the runs read that came to their end."""
        with SqliteLedger(self.home / "ledger.sqlite") as ledger:
            records = ledger.runs(limit=100_000)
        assert {record.state for record in records} <= {"done", "failed", "abandoned"}, "a run is still open"
        for record in records:
            assert record.state != "done" or record.rows_read == record.counts.accounted, record
        return sum(record.rows_read for record in records if record.state == "done")

    def differences(self) -> tuple[set[Row], list[Row], int]:
        """The org's rows that are lost, the table's rows that are strange, and how many stand more than once."""
        rows, _ = self.place.dump(self.home)
        return differences(self.emulator, rows, deletes=self.deletes)
