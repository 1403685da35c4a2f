"""Mortals: a shell whose commands run in processes that die, an org that watches, and the laws that hold whatever dies when."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.ledger import SqliteLedger
from halocline.outcome import Fate, RunRecord
from halocline.push.open_runs import open_runs
from tests.system.shell import KILLED, Shell, Typed, env_of

SCHEMA = """
object: Account
fields:
  Ext__c: {type: string(40) external}
  Founded__c: date
"""  # Ext__c is not unique: the org itself would not keep a row from being there twice
CHUNK_ROWS, CHUNKS = 20, 5
ROWS = CHUNK_ROWS * CHUNKS
NO_DATE, NO_NAME = 33, 71  # bad rows, in the second and the fourth chunk: one makes its whole call unreadable, one only itself
BAD = (NO_DATE, NO_NAME)
MODES, APIS = ("insert", "upsert"), ("collections", "bulk")


@dataclass
class Mortals:
    """An org, a shell, and a home for each story."""

    emulator: Emulator
    folder: Path
    shell: Shell
    numbers: Iterator[int] = field(default_factory=count)
    home: Path = Path()

    def afresh(self) -> None:
        """An empty org and an empty home."""
        self.emulator.reset()
        self.home = self.folder / f"home-{next(self.numbers)}"

    @contextmanager
    def typing(
        self, *words: str, kinds: tuple[str, ...] = (), at: int = 0, marks: bool = False
    ) -> Iterator[tuple[int, Callable[[], Typed]]]:
        """`Shell.typing`, in the home of the story, with small jobs."""
        env = env_of(self.emulator, self.home)
        with self.shell.typing(*words, env=env, kinds=kinds, at=at, marks=marks, job_rows=CHUNK_ROWS) as process:
            yield process

    def type(self, *words: str, kinds: tuple[str, ...] = (), at: int = 0, marks: bool = False) -> Typed:
        """Type `halocline` and these words, and wait for the end."""
        with self.typing(*words, kinds=kinds, at=at, marks=marks) as (_, ended):
            typed = ended()
        assert typed.code in (0, KILLED), typed
        assert "Traceback" not in typed.err, typed.err
        assert typed.exit_code != 1, (typed.out, typed.err)
        return typed

    def push_words(self, mode: str, api: str) -> tuple[str, ...]:
        """The command that pushes the rows."""
        key = ("--key", "Ext__c") if mode == "upsert" else ()
        file = str(self.folder / "rows.csv")
        size = ("--batch-size", str(CHUNK_ROWS)) if api == "collections" else ()  # of jobs the shell says it
        return ("push", file, "--to", "Account", "--mode", mode, *key, "--api", api, *size, "--json")

    @contextmanager
    def ledger(self) -> Iterator[SqliteLedger]:
        with SqliteLedger(self.home / "ledger.sqlite") as ledger:
            yield ledger

    def open_runs(self) -> list[str]:
        """The runs of which something is left to do."""
        with self.ledger() as ledger:
            return open_runs(ledger, home=self.home)

    def in_org(self) -> Counter[str]:
        """How often each row is in the org."""
        return Counter(str(row["Ext__c"]) for row in self.emulator.query("SELECT Ext__c FROM Account"))

    def taken_up(self, words: tuple[str, ...], *, by: str, kinds: tuple[str, ...] = (), at: int = 0) -> Typed | None:
        """What follows a death: `resume`, or the same push `again`; it may die as well. A run that ended well needs neither."""
        if self.open_runs():
            return self.type(*(("resume", "--json") if by == "resume" else words), kinds=kinds, at=at)
        with self.ledger() as ledger:
            over = any(record.state == "done" for record in ledger.runs())
        if over:
            return None
        assert not self.in_org(), "something was sent, and no run remembers it"
        return self.type(*words, kinds=kinds, at=at)

    def check(self, mode: str, api: str) -> set[int]:
        """The laws: every row is in the books once and in the org at most once, and all are there but those in doubt and the bad.

        Answers the rows in doubt.
        """
        assert self.open_runs() == []
        with self.ledger() as ledger:
            records = ledger.runs()
            record = next(one for one in records if one.state == "done")
            refused = [(one.row, one.fate) for one in ledger.each_rejection(record.run)]
            doubted = [row for _, row in ledger.in_doubt(record.run)]
        assert "running" not in [one.state for one in records], records
        doubts = set(doubted)
        assert len(doubts) == len(doubted), "a row is in doubt once"
        assert sorted(refused) == [(row, Fate.REFUSED) for row in BAD if row not in doubts], refused
        _check_counts(record, refused=len(refused), in_doubt=len(doubts))
        there = self.in_org()
        assert max(there.values(), default=1) == 1, "a row is there once"
        written = {_key(row) for row in range(ROWS) if row not in doubts and row not in BAD}
        assert written <= set(there), sorted(written - set(there))
        assert set(there) <= written | {_key(row) for row in doubts if row not in BAD}
        assert not doubts or (mode, api) == ("insert", "collections")
        return doubts

    def locked_push(self, mode: str) -> str:
        """A push that came to its end in an org of its own, three rows of each call having been locked all the time; its run."""
        self.afresh()
        rule = self.emulator.faults.add("lock", object="Account", rows=3, every=1)
        self.type(*self.push_words(mode, "collections"))
        self.emulator.faults.remove(rule)
        with self.ledger() as ledger:
            return ledger.runs(limit=1)[0].run

    def check_retried(self, mode: str) -> set[int]:
        """After a run and its retries: every good row is there once, or in doubt. Answers the rows in doubt."""
        assert self.open_runs() == []
        with self.ledger() as ledger:
            doubts = {row for record in ledger.runs() for _, row in ledger.in_doubt(record.run)}
        there = self.in_org()
        assert max(there.values()) == 1, "a row is there once"
        assert {_key(row) for row in range(ROWS) if row not in BAD} - set(there) <= {_key(row) for row in doubts}
        assert not doubts or mode == "insert"
        return doubts

    def check_retry(self) -> None:
        """The bad rows of a run that came to its end and died while it tidied up can be sent again."""
        retried = self.type("retry", "last", "--json")
        told = json.loads(retried.out.splitlines()[-1])
        assert (told.get("total"), told.get("refused"), retried.exit_code) == (len(BAD), len(BAD), 3), (retried.out, retried.err)


def _check_counts(record: RunRecord, *, refused: int, in_doubt: int) -> None:
    counts = record.counts
    assert (record.rows_read, counts.accounted) == (ROWS, ROWS), record
    assert (counts.rejected, counts.in_doubt, counts.not_sent) == (refused, in_doubt, 0), record
    assert counts.changed == ROWS - refused - in_doubt, record


def _key(row: int) -> str:
    return f"e{row:03}"


@contextmanager
def mortals(folder: Path, typed: Shell) -> Iterator[Mortals]:
    """An org that runs until the block ends, and this shell."""
    schema = folder / "schema.yaml"
    schema.write_text(SCHEMA, encoding="utf-8")
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("Ext__c", "Name", "Founded__c"))
        rows.writerows(
            (_key(row), "" if row == NO_NAME else f"n{row}", "2026-13-45" if row == NO_DATE else "") for row in range(ROWS)
        )
    with Emulator(EmulatorConfig(schemas=(schema,))) as emulator:
        emulator.checkpoint()
        yield Mortals(emulator, folder, typed)
