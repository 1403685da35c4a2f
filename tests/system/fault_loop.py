"""The fault loop: a sync that fails at one of its operations is started once more, and then all must be as if nothing had been.

A process that dies is played in this one: from that operation on nothing that it does has an effect, and the next sync finds its
files as they were at that instant. Parts are read one after another, so that the operations come in the same order each time.
"""

from __future__ import annotations

import json
import random
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import duckdb

from halocline import engine, registry
from halocline.config import Settings
from halocline.connectors.files import read_table
from halocline.connectors.salesforce import SalesforceClient
from halocline.emulator.server import Emulator
from halocline.errors import HaloclineError
from halocline.ledger import SqliteLedger
from halocline.ledger.process import Process
from halocline.retry import Pace, Policy
from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync
from halocline.testing.faults import STRUCK_AT, Death, Moment, Operations, Way, When, replaced
from tests.connectors.postgres.server import Server
from tests.system.fault_seams import NETWORK, watching_all
from tests.system.laptop import DAY_S, QUICK, login_to
from tests.system.shell import Shell, Typed, env_of
from tests.system.told_apart import Marking, worth_trying

KINDS = ("request", "response", "sql", "file", "write", "ledger")
FIELDS = ("Id", "Name", "Description", "IsDeleted", "SystemModstamp")
START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
WAYS = {"rest": (1_000, 1_000), "bulk": (0, 1_000), "stage": (0, 0)}
ROWS, PAGE_ROWS = 24, 10  # three pages of all, two of what changed later: a page has one before it, and one behind it
AT_WORK = ("UploadComplete", "InProgress")
LOOKS = 6  # moments of a look at a job that is at work: the next time there may be one look more, or one less
# A job is made, and whoever loses the answer, and then the network or his life, does not know its id; or the ledger fails.
UNKNOWN = ("/jobs/query", "before transaction")

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """What is synced, into what, how: `first` into nothing, `full` in the place of what is there, `later` what changed."""

    into: str
    run: str
    method: str
    deletes: str

    def __str__(self) -> str:
        return f"{self.into:8} {self.run:5} {self.method:5} {self.deletes:4}"


@dataclass
class Tally:
    """What became of the points that were tried, by kind of operation."""

    told: str
    points: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    wedged: int = 0
    orphans: int = 0
    wrong: list[str] = field(default_factory=list)

    def say(self, record: Callable[[str, object], None]) -> None:
        """Tell the figures at the end of the test run.

        Raises: AssertionError when anything was wrong, with all that was.
        """
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.points.items()))
        harm = f"{self.lost} lost, {self.doubled} doubled, {self.wedged} wedged, {self.orphans} jobs left"
        told = f"{self.told}: {self.points.total():4} points, {harm} ({kinds})"
        record("says", told)
        assert self.wrong == [], "\n".join([told, *self.wrong])


class Inline(Executor):
    """Does the work where it is asked for."""

    def submit(self, work: Callable[..., Any], /, *values: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*values, **options))
        except Exception as error:  # noqa: BLE001 - as every executor does
            done.set_exception(error)
        return done


@contextmanager
def inline() -> Iterator[Executor]:
    yield Inline()


class Place:
    """Where a story writes: a copy of what was there before, for each trial."""

    def uri(self, home: Path) -> str:
        """Where the trial in this folder writes."""
        raise NotImplementedError

    def keep(self, home: Path) -> None:
        """What is there now is what every trial starts with."""

    def restore(self, home: Path) -> None:
        """Start the trial in this folder."""

    def dump(self, home: Path) -> tuple[list[Row], list[Row]]:
        """Rows and positions."""
        raise NotImplementedError

    @contextmanager
    def committed(self) -> Iterator[Callable[[], object]]:
        """What tells how much is committed that is no file of the trial's folder."""
        yield lambda: None


class Lake(Place):
    """A DuckDB file in the trial's folder."""

    def uri(self, home: Path) -> str:
        return f"duckdb:///{home}/lake.duckdb"

    def dump(self, home: Path) -> tuple[list[Row], list[Row]]:
        with duckdb.connect(str(home / "lake.duckdb"), read_only=True) as lake:
            tables = {name for (name,) in lake.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            stored = lake.execute("SELECT flow, target, position FROM _halocline_positions WHERE target <> ''").fetchall()
            rows = lake.execute(f"SELECT {', '.join(FIELDS)} FROM raw.accounts ORDER BY Id").fetchall()
        left = sorted(tables - {"accounts", "_halocline_positions"})
        assert left == [], f"tables are left: {left}"
        return rows, [(flow, target, json.loads(position)) for flow, target, position in stored]


class Folder(Place):
    """Parquet files in the trial's folder."""

    def uri(self, home: Path) -> str:
        return f"file://{home}/files"

    def dump(self, home: Path) -> tuple[list[Row], list[Row]]:
        found = read_table(self.uri(home), "accounts", schema="raw").read_all().to_pylist()
        newest = max((home / "files" / "raw" / "accounts" / "_halocline").glob("[0-9]*.json"))
        stored = json.loads(newest.read_text(encoding="utf-8"))["positions"]
        return sorted(tuple(row[name] for name in FIELDS) for row in found), sorted(stored.items())


class Warehouse(Place):
    """A database of a running PostgreSQL, put back for each trial."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server, self._folder = server, folder
        with server.place(folder) as place:
            self._uri = place.uri()
            place.run("CREATE SCHEMA kept")

    def uri(self, home: Path) -> str:
        return self._uri

    def keep(self, home: Path) -> None:
        with self._server.place(self._folder) as place:
            place.run(_copied("raw.accounts", "kept.accounts"))
            place.run(_copied("public._halocline_positions", "kept.positions"))

    def restore(self, home: Path) -> None:
        with self._server.place(self._folder) as place:
            others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            place.run(f"SELECT pg_terminate_backend(pid) {others}")
            place.run("DROP SCHEMA IF EXISTS raw CASCADE; DROP TABLE IF EXISTS public._halocline_positions")
            if place.rows("SELECT 1 FROM pg_tables WHERE schemaname = 'kept'"):
                place.run("CREATE SCHEMA raw;" + _copied("kept.accounts", "raw.accounts"))
                place.run(_copied("kept.positions", "public._halocline_positions"))

    def dump(self, home: Path) -> tuple[list[Row], list[Row]]:
        with self._server.place(self._folder) as place:
            stored = place.rows("SELECT flow, target, position FROM _halocline_positions WHERE target <> ''")
            tables = place.rows("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'raw'::regnamespace")
            assert tables == [("accounts",)], f"tables are left: {tables}"
            return place.rows(f"SELECT {', '.join(FIELDS)} FROM raw.accounts ORDER BY id"), stored

    @contextmanager
    def committed(self) -> Iterator[Callable[[], object]]:
        # the number behind the last transaction that came to its end; one that is at work does not change it
        with self._server.place(self._folder) as place:
            yield lambda: place.rows("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")


def _copied(table: str, to: str) -> str:
    return f"CREATE TABLE {to} (LIKE {table} INCLUDING ALL); INSERT INTO {to} SELECT * FROM {table};"


@dataclass
class Story:
    """An org, and a place that it was synced into (or not yet) before it changed."""

    emulator: Emulator
    folder: Path
    route: Route
    place: Place
    numbers: Iterator[int] = field(default_factory=count)
    expected: tuple[list[Row], list[Row]] = ([], [])

    def begin(self) -> None:
        """The org lives, the first sync is made where one comes before, and all is kept for the trials."""
        self.emulator.reset()
        self.emulator.clock.freeze(START)
        store, user, account = self.emulator.store, self.emulator.org.api_user_id, self._account()
        ids = [store.insert(account, {"Name": f"n{n}\r\n"}, user_id=user) for n in range(ROWS)]
        before = self.folder / "before"
        before.mkdir(parents=True)
        if self.route.run != "first":
            store.delete(account, ids[20], user_id=user)
            self.carry(before, full=False)
            self.place.keep(before)
            self.emulator.clock.advance(DAY_S)
            for one in ids[:10]:
                store.update(account, one, {"Description": 'changed "now"\r\n'}, user_id=user)
            store.delete(account, ids[10], user_id=user)
            store.purge(account, ids[11])
            store.undelete(account, ids[20], user_id=user)
            for n in range(3):
                store.insert(account, {"Name": f"new {n}"}, user_id=user)
        self.emulator.clock.advance(DAY_S)  # else what a position skips would be read again all the same, as overlap

    def every(self, tally: Tally, *, way: Way, kinds: Sequence[str] = (), step: int = 1) -> None:
        """A trial for each moment of these kinds that is worth one, or for every `step`-th."""
        rehearsed = self.rehearsed(way, marks=way is Way.DEATH)
        there = [(moment, mark) for moment, mark in rehearsed if moment.kind in (kinds or KINDS)]
        marks = [mark for _, mark in there if mark]
        for at in worth_trying([f"{moment.kind} {moment}" for moment, _ in there], marks)[::step]:
            struck = self.trial(tally, way=way, at=at, kinds=tuple(kinds))
            assert struck or at > len(there) - LOOKS, "how often a job is looked at differs, nothing else"

    def rehearsed(self, way: Way, *, marks: bool) -> list[tuple[Moment, str]]:
        """The moments that this way can strike, and with `marks` what each leaves, in a sync that nothing strikes.

        What that sync leaves is what is expected.
        """
        home = self._home()
        options: dict[str, Any] = {"way": way, "whens": _whens(way), "own_thread": True}
        with self.place.committed() as committed:
            operations = Marking(home, committed=committed, **options) if marks else Operations(**options)
            with watching_all(operations):
                self.carry(home, full=self.route.run == "full")
        self.expected = self.place.dump(home)
        rows = self.expected[0]
        assert differences(self.emulator, rows, deletes=self.route.deletes) == (set(), [], 0)
        self._clean(home)
        left = operations.marks if isinstance(operations, Marking) else [""] * len(operations.seen)
        return list(zip(operations.seen, left, strict=True))

    def moments(self, way: Way) -> list[Moment]:
        """The moments that this way can strike."""
        return [moment for moment, _ in self.rehearsed(way, marks=False)]

    def carry(self, home: Path, *, full: bool) -> Run:
        """One sync, as a process of its own would do it."""
        registered, pace = registry.open_source, Pace(sleep=self._until_jobs_are_done)
        settings = Settings(home, home / "spool")
        with (
            replaced(registry, "open_source", by=lambda *a, **k: registered(*a, **k, pace=pace)),
            replaced(engine, "threads", by=inline),
            ExitStack() as stack,
        ):
            client = stack.enter_context(SalesforceClient(login_to(self.emulator), pace=QUICK, retry=Policy(attempts=3)))
            system = stack.enter_context(IntelligentSync(self.place.uri(home), client, settings=settings))
            system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = WAYS[self.route.method]
            job = SobjectSync("Account", "raw", "accounts", fields=FIELDS, deletes=self.route.deletes, force_full_sync=full)
            return system.run(job, Run.new())

    def _until_jobs_are_done(self, _seconds: float) -> None:
        """So that each job is looked at about as often as the last one."""
        deadline = time.monotonic() + 1.0
        while any(job.state in AT_WORK for job in self.emulator.org.jobs.all()) and time.monotonic() < deadline:
            time.sleep(0.001)

    def trial(self, tally: Tally, *, way: Way, at: int, kinds: tuple[str, ...] = ()) -> bool:
        """The `at`-th moment of these kinds is struck, and a plain sync follows; whether there was such a moment."""
        home = self._home()
        after = home.with_name(f"{home.name}-after")
        operations = Operations(
            at=at,
            way=way,
            kinds=kinds,
            whens=_whens(way),
            lasting=NETWORK,
            die=lambda: _photograph(home, after),
            own_thread=True,
        )
        raw = ""
        try:
            with watching_all(operations):
                self.carry(home, full=self.route.run == "full")
        except (Death, HaloclineError):
            pass  # this is what the trial is for
        except Exception as error:  # noqa: BLE001 - told below
            raw = "".join(traceback.format_exception(error)[-6:])
        if operations.struck is None:
            self._clean(home)
            return False
        if after.exists():
            shutil.rmtree(home)
            after.rename(home)
        tally.points[operations.struck.kind] += 1
        wrong = [f"an error that is not ours: {raw}"] if raw else []
        wrong += self.restarted(home, tally, struck=str(operations.struck), again=lambda: self._plain(home))
        point = f"{self.route}, {way} at {at} ({operations.struck.kind}: {operations.struck})"
        tally.wrong += [f"{point}: {one}" for one in wrong]
        self._clean(home)
        return True

    def restarted(self, home: Path, tally: Tally, *, struck: str, again: Callable[[], object]) -> Iterator[str]:
        """What is wrong after a plain sync was started again."""
        try:
            again()
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody has to mend it by hand
            tally.wedged += 1
            yield f"wedged: {error!r}"
            return
        rows, positions = self.place.dump(home)
        lost, strange, doubled = differences(self.emulator, rows, deletes=self.route.deletes)
        tally.lost += len(lost)
        tally.doubled += doubled
        if lost or strange or doubled:
            yield f"rows are lost: {lost}; these should not be there: {strange}; {doubled} are there again"
        if positions != self.expected[1]:
            yield f"the position is {positions}, not {self.expected[1]}"
        yield from _ledger(home)
        jobs = len(self.emulator.org.jobs.all("V2Query"))
        tally.orphans += jobs
        if jobs > struck.endswith(UNKNOWN):
            yield f"{jobs} jobs are left"
        if spools := sorted((home / "spool").iterdir())[1:]:
            yield f"spools are left: {spools}"

    def killed_for_good(self, tally: Tally, shell: Shell, *, moments: int) -> None:
        """The sync as a process of its own, killed at some moments by SIGKILL; the plain sync that follows is one as well."""
        home = self._home()
        seen = self._typed(shell, home, kinds=KINDS).deeds
        self.expected = self.place.dump(home)
        self._clean(home)
        for at in sorted(random.Random(len(seen)).sample(range(1, len(seen)), moments)):
            home = self._home()
            if self._typed(shell, home, kinds=KINDS, at=at).killed:
                tally.points["process"] += 1
                wrong = self.restarted(home, tally, struck=seen[at - 1], again=lambda home=home: self._typed(shell, home))
                tally.wrong += [f"{self.route}, SIGKILL at {at} ({seen[at - 1]}): {one}" for one in wrong]
            self._clean(home)

    def _typed(self, shell: Shell, home: Path, *, kinds: tuple[str, ...] = (), at: int = 0) -> Typed:
        bulk, stage = map(str, WAYS[self.route.method])
        table = ("--schema", "raw", "--table", "accounts", "--fields", ",".join(FIELDS), "--deletes", self.route.deletes)
        words = ("sync", "Account", "--to", self.place.uri(home), *table, "--bulk-threshold", bulk, "--stage-threshold", stage)
        with shell.typing(*words, env=env_of(self.emulator, home), kinds=kinds, at=at) as (_, ended):
            typed = ended()
        assert typed.killed or (typed.code, typed.exit_code) == (0, 0), typed
        return typed

    def _plain(self, home: Path) -> None:
        with replaced(Process, "gone", by=lambda _: True):  # each trial is a process of its own, and the last one has ended
            self.carry(home, full=False)

    def _home(self) -> Path:
        home = self.folder / f"trial-{next(self.numbers)}"
        shutil.copytree(self.folder / "before", home)
        self.place.restore(home)
        return home

    def _clean(self, home: Path) -> None:
        self.emulator.org.jobs.clear()
        shutil.rmtree(home)

    def _account(self) -> Any:
        return self.emulator.store.catalog.get("Account")


def differences(emulator: Emulator, rows: list[Row], *, deletes: str) -> tuple[set[Row], list[Row], int]:
    """The org's rows that are lost, the table's rows that are strange, and how many stand there more than once.

    What went to the bin is gone where deletes are hard, and flagged where they are soft; there, what the org forgot stays.
    """
    read = emulator.store.read(f"SELECT {', '.join(FIELDS)} FROM Account")
    org = {(*row[:3], bool(row[3]), datetime.fromisoformat(row[4])) for row in read}
    hard, ids = deletes == "hard", {row[0] for row in org}
    wanted = {row for row in org if not (row[3] and hard)}
    strange = [row for row in rows if row not in wanted and (hard or not row[3] or row[0] in ids)]
    return wanted - set(rows), strange, len(rows) - len({row[0] for row in rows})


def _whens(way: Way) -> frozenset[When]:
    """To die before an operation is to die after the one before it."""
    return STRUCK_AT[way] - {When.BEFORE} if way is Way.DEATH else STRUCK_AT[way]


def _photograph(home: Path, to: Path) -> None:
    """The files as they are at this instant; nothing that the dead process does after it changes them."""
    shutil.copytree(home, to)


def _ledger(home: Path) -> Iterator[str]:
    """What is wrong with the books."""
    with SqliteLedger(home / "ledger.sqlite") as ledger:
        records = ledger.runs()
    if not records or records[0].state != "done":
        yield f"the last run is not done: {records[:1]}"
    for record in records:
        if record.state not in ("done", "failed", "abandoned"):
            yield f"a run is {record.state}"
        if record.state == "done" and record.rows_read != record.counts.accounted:
            yield f"{record.rows_read} rows were read, {record.counts.accounted} are accounted for"
        if record.state != "done" and not record.error:
            yield f"a run that is {record.state} does not say why"


def sampled(story: Story, way: Way, *, kinds: Sequence[str]) -> list[tuple[str, int]]:
    """One moment of each of these kinds of operation, by chance, but the same one each time: the kind, and which of it."""
    chance = random.Random(f"{story.route} {way}")
    there = Counter(moment.kind for moment in story.moments(way))
    return [(kind, chance.randint(1, there[kind])) for kind in kinds if there[kind]]
