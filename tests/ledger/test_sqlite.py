"""The ledger in a file: the laws of every ledger, and what crashes, other processes and bad disks may not break."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from tests.examples import stride

from halocline.budget import Budget
from halocline.consume.stores import open_store
from halocline.errors import FixConfig, LeaseHeld, StorageFailed
from halocline.ledger import Ledger, SqliteLedger, database, open_ledger, turn
from halocline.ledger.database import migrate, migrations
from halocline.ledger.process import Process
from halocline.outcome import Counts, Outcome, Rejection
from halocline.testing.ledgers import HERE, HandClock, LedgerSuite, begin, ended_process

NOBODY = 65534
T = TypeVar("T")


class TestSqliteLedger(LedgerSuite):
    @pytest.fixture
    def ledger(self, clock: HandClock, tmp_path: Path) -> Iterator[Ledger]:
        with SqliteLedger(tmp_path / "ledger.sqlite", clock=clock) as ledger:
            yield ledger


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "ledger.sqlite"


def view(ledger: Ledger) -> dict[str, object]:
    """All that a ledger knows of the flow Account."""
    runs = ledger.runs()
    return {
        "runs": [(r.run, r.state, r.rows_read, r.counts, r.plan) for r in runs],
        "open": [(r.run, list(ledger.journal(r.run).open())) for r in runs],
        "refused": [(ledger.rejections(r.run), ledger.in_doubt(r.run)) for r in runs],
        "unacked": ledger.unacked("Account"),
    }


# ---- the file


def test_a_ledger_outlives_its_process(file: Path) -> None:
    """What was written is there when the file is opened again, fences go on growing, and nothing is migrated twice."""
    with open_ledger(file) as ledger:
        begin(ledger, "r1")
        fence = ledger.claim("Account", "a", ttl_s=60).fence
        before = view(ledger)
    with open_ledger(str(file)) as ledger:
        assert view(ledger) == before
        assert ledger.claim("Account", "a", ttl_s=60).fence == fence + 1
    with sqlite3.connect(file) as db:
        assert [n for (n,) in db.execute("SELECT number FROM migrations")] == [m[0] for m in migrations()]
    db.close()


def test_only_the_owner_can_read_the_file(file: Path) -> None:
    """Folder 0700, file and journal files 0600, whatever the umask: records that were refused are in there."""
    before = os.umask(0)
    try:
        with SqliteLedger(file) as ledger:
            begin(ledger, "r1")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (file.parent, *file.parent.iterdir())}
    finally:
        os.umask(before)
    assert modes == {"home": 0o700, "ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600, "ledger.sqlite-shm": 0o600}


def test_the_file_a_dangling_link_points_at_is_made_private(tmp_path: Path) -> None:
    """A link is followed before the file is made, never by SQLite itself."""
    (tmp_path / "link").symlink_to(tmp_path / "real" / "ledger.sqlite")
    with SqliteLedger(tmp_path / "link"):
        assert stat.S_IMODE((tmp_path / "real" / "ledger.sqlite").stat().st_mode) == 0o600


def test_commits_are_synced_and_tables_strict(file: Path) -> None:
    """WAL with a full sync at every commit, foreign keys on, and no column takes a value of the wrong type."""
    with SqliteLedger(file) as ledger:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        values = [ledger._db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
        lax = ledger._db.execute(
            "SELECT name FROM pragma_table_list WHERE NOT strict AND schema = 'main' AND name NOT LIKE 'sqlite_%'"
        )
        assert (values, lax.fetchall()) == (["wal", 2, 1, 30_000], [])


def test_a_closed_ledger_says_so(file: Path) -> None:
    """Closing twice is harmless; using a closed ledger is told as an error of ours."""
    ledger = SqliteLedger(file)
    ledger.close()
    ledger.close()
    with pytest.raises(StorageFailed, match="closed"):
        ledger.runs()


# ---- migrations


def test_a_migration_and_its_note_are_one_transaction(file: Path) -> None:
    """A step that fails half way leaves nothing of itself; put right, it runs."""
    last = len(migrations())
    bad = (last + 1, "bad", "CREATE TABLE extra (a TEXT) STRICT;\nCREATE TABLE runs (a TEXT);\n")
    good = (
        last + 1,
        "good",
        "CREATE TABLE extra (a TEXT) STRICT;\n-- a comment; with a semicolon\nINSERT INTO extra VALUES ('x;\ny');\n",
    )
    with SqliteLedger(file) as ledger:
        db = ledger._db
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            migrate(db, (*migrations(), bad), now="now")
        assert db.execute("SELECT max(number) FROM migrations").fetchone() == (last,)
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").fetchone() == (0,)
        migrate(db, (*migrations(), good), now="now")
        migrate(db, (*migrations(), good), now="later")
        newest = db.execute("SELECT name, ran FROM migrations WHERE number > ?", (last,)).fetchall()
        assert newest == [("good", "now")]
        assert db.execute("SELECT a FROM extra").fetchall() == [("x;\ny",)]


def test_migrations_are_numbered_without_gaps() -> None:
    """Steps run in the order of their numbers, from 1."""
    assert [number for number, _, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_newer_file_is_refused_and_left_alone(file: Path) -> None:
    """An older Halocline cannot know what a newer one wrote."""
    SqliteLedger(file).close()
    db = sqlite3.connect(file)
    with db:
        db.execute("INSERT INTO migrations VALUES (99, 'from the future', 'x')")
    db.close()
    with pytest.raises(FixConfig, match=r"newer Halocline.*99.*Upgrade"):
        SqliteLedger(file)


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Not a byte of it changes, its journal mode included."""
    file = tmp_path / "theirs.sqlite"
    db = sqlite3.connect(file)
    with db:
        db.execute("CREATE TABLE migrations (id TEXT)")
    db.close()
    before = file.read_bytes()
    with pytest.raises(FixConfig, match="another program"):
        SqliteLedger(file)
    assert file.read_bytes() == before


# ---- bad disks


@pytest.mark.parametrize("text", [b"not a database, but long enough to look like one" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_file_is_told(tmp_path: Path, text: bytes) -> None:
    """The error names the file, says what to do and what is lost by it; the file stays as it was."""
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(text)
    with pytest.raises(StorageFailed, match=r"ledger\.sqlite.*Move the file away.*an insert that was cut off is made once more"):
        SqliteLedger(file)
    with pytest.raises(StorageFailed, match=r"Opening the store.*one that comes again is handled again"):
        open_store(f"sqlite:///{file}")
    assert file.read_bytes() == text


def test_damage_inside_the_file_is_told_when_met(file: Path) -> None:
    """A page that turned to rubbish raises; it never reads as an empty ledger."""
    with SqliteLedger(file) as ledger:
        for number in range(50):
            begin(ledger, f"r{number}")
            ledger.note(f"r{number}", plan={"text": "x" * 500})
    with file.open("r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xff" * (file.stat().st_size - 4096))
    with pytest.raises(StorageFailed, match="Move the file away"), SqliteLedger(file) as ledger:
        ledger.runs()


def test_a_file_that_may_not_be_written_is_told() -> None:
    """A read-only ledger raises StorageFailed with a hint; tried as a user without rights, for root may write anything."""
    with tempfile.TemporaryDirectory() as name:  # not below tmp_path: pytest's folders are closed to other users
        file = Path(name) / "ledger.sqlite"
        SqliteLedger(file).close()
        file.chmod(0o444)
        Path(name).chmod(0o555)
        try:
            with as_nobody(), pytest.raises(StorageFailed, match="write access"), SqliteLedger(file) as ledger:
                begin(ledger, "r1")
        finally:
            Path(name).chmod(0o700)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file where the folder should be is an error of storage, with the path."""
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(StorageFailed, match="home"):
        SqliteLedger(tmp_path / "home" / "ledger.sqlite")


def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    """SQLite cannot open it."""
    with pytest.raises(StorageFailed, match="unable to open"):
        SqliteLedger(tmp_path)


def test_a_full_disk_loses_only_what_was_refused(file: Path) -> None:
    """The write that does not fit raises and leaves no trace; what was durable stays, and room makes it go on."""
    with SqliteLedger(file) as ledger:
        begin(ledger, "r1")
        ledger.note("r1", plan={"n": 1})
        wal = file.with_name("ledger.sqlite-wal").stat().st_size
        with files_no_longer_than(wal + 8192), pytest.raises(StorageFailed, match="disk"):
            ledger.note("r1", plan={"n": 2, "much": "x" * 100_000})
        assert ledger.get("r1").plan == {"n": 1}
        ledger.note("r1", plan={"n": 3})
    with SqliteLedger(file) as ledger:
        assert ledger.get("r1").plan == {"n": 3}


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's rights for a while; without them, nothing is to be given up."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Let writes beyond `size` bytes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ---- the i-th operation fails


STEPS: list[Callable[[Ledger], object]] = [
    lambda x: begin(x, "r0", pid=os.getppid()),
    lambda x: x.note("r0", plan={"reasons": ["a"]}),
    lambda x: x.journal("r0").intend("c1", {"rows": 2}),
    lambda x: x.journal("r0").remote("c1", "job"),
    lambda x: x.journal("r0").settle("c1", Outcome("c1", rejections=(Rejection("p", 0, "C", "m"), Rejection("p", 1, "C", "m")))),
    lambda x: x.record("r0", Outcome("c2", in_doubt=(5, 6))),
    lambda x: x.finish("r0", state="done", rows_read=4, counts=Counts(inserted=4), receipts=["job"]),
    lambda x: x.claim("Account", "a", ttl_s=60.0),
    lambda x: x.acked("r0"),
]


class Tripped(BaseException):
    """The process is dead from here on."""


def tripping(fail_at: int, seen: list[str], *, dead: bool) -> type[sqlite3.Connection]:
    """A connection whose `fail_at`-th statement fails: once with an I/O error, or, when `dead`, that and all after it."""

    class Tripping(sqlite3.Connection):
        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
            seen.append(sql)
            if dead and len(seen) >= fail_at:
                raise Tripped(sql)
            if len(seen) == fail_at:
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *values)  # type: ignore[arg-type]  # we pass what came

    return Tripping


@contextmanager
def wired(monkeypatch: pytest.MonkeyPatch, factory: type[sqlite3.Connection]) -> Iterator[None]:
    """Every connection that is opened is of this kind."""
    plain = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda path, **rest: plain(path, factory=factory, **rest))
        yield


def clean_views(folder: Path) -> list[dict[str, object]]:
    """What a ledger knows after no step, after one, and so on, when nothing fails."""
    with SqliteLedger(folder / "clean.sqlite") as ledger:
        views = [view(ledger)]
        for step in STEPS:
            step(ledger)
            views.append(view(ledger))
    return views


def test_dying_at_the_ith_statement_loses_and_halves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every i (a third of them in a short run): the file opens again and holds exactly the steps that returned."""
    views = clean_views(tmp_path)
    fail_at, survived = 1 - stride(3), False
    while not survived:
        fail_at += stride(3)
        file, done = tmp_path / f"{fail_at}.sqlite", 0
        try:
            with wired(monkeypatch, tripping(fail_at, [], dead=True)), SqliteLedger(file) as ledger:
                for step in STEPS:
                    step(ledger)
                    done += 1
            survived = True
        except Tripped:
            pass
        with SqliteLedger(file) as ledger:
            assert view(ledger) == views[done]
    assert fail_at > 30


def test_an_io_error_at_the_ith_statement_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every i (a third of them in a short run): the step raises StorageFailed, is undone, and can be asked again."""
    views = clean_views(tmp_path)
    fail_at, survived = 1 - stride(3), False
    while not survived:
        fail_at += stride(3)
        with wired(monkeypatch, tripping(fail_at, [], dead=False)):
            failures = insistent_story(tmp_path / f"{fail_at}.sqlite", views)
        survived = not failures
        assert len(failures) <= 1
    assert fail_at > 30


def insistent_story(file: Path, views: list[dict[str, object]]) -> list[StorageFailed]:
    """Do every step, again where storage failed, look after each at what is known, and tell the failures."""
    failures: list[StorageFailed] = []
    ledger = insist(partial(SqliteLedger, file), failures)
    with ledger:
        for step, expected in zip(STEPS, views[1:], strict=True):
            insist(partial(step, ledger), failures)
            assert insist(partial(view, ledger), failures) == expected
    return failures


def insist(deed: Callable[[], T], failures: list[StorageFailed]) -> T:
    """Do it, and once more if storage failed."""
    try:
        return deed()
    except StorageFailed as failure:
        failures.append(failure)
        return deed()


# ---- several processes


WRITER = """
import json, os, socket, sys
from halocline.ledger import SqliteLedger
from halocline.outcome import Outcome, Rejection
ledger = SqliteLedger(sys.argv[1])
lease = ledger.claim("Account", sys.argv[2], ttl_s=3600.0)
ledger.start("Account", run=sys.argv[2], pid=os.getpid(), host=socket.gethostname(), lease=lease)
journal = ledger.journal(sys.argv[2])
n = 0
while True:
    n += 1
    journal.intend(f"c{n}", n)
    journal.settle(f"c{n}", Outcome(f"c{n}", in_doubt=(n,))) if n % 2 else journal.remote(f"c{n}", f"job {n}")
    print(n, flush=True)
"""

CLAIMER = """
import sys
from halocline.ledger import SqliteLedger
sys.stdin.readline()
for _ in range(10):
    with SqliteLedger(sys.argv[1]) as ledger:
        print(ledger.claim("Account", "same owner", ttl_s=1.0).fence)
"""


@pytest.mark.parametrize("lines", [1, 8, 31])
def test_a_killed_process_leaves_all_that_it_was_promised(file: Path, lines: int) -> None:
    """After kill -9 the file is sound, what had returned is there, the run is abandoned and its lease is free."""
    run = f"killed after {lines}"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(file), run], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            promised = max(int(child.stdout.readline()) for _ in range(lines))
        finally:
            child.send_signal(signal.SIGKILL)
    with SqliteLedger(file) as ledger:
        assert ledger._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert ledger.abandon_dead("Account") == [run]
        still_open = {chunk: remote for chunk, _, remote in ledger.journal(run).open()}
        assert {f"c{n}" for n in range(2, promised + 1, 2)} <= still_open.keys()
        assert all(still_open[f"c{n}"] == f"job {n}" for n in range(2, promised + 1, 2))
        assert {n for _, n in ledger.in_doubt(run)} >= set(range(1, promised + 1, 2))
        assert ledger.claim("Account", "next", ttl_s=60.0).fence == 2


def test_processes_that_make_the_file_together_never_share_a_fence(file: Path) -> None:
    """Several processes open a file that is not there yet, at the same moment: one migration, and every claim its own fence."""
    command = [sys.executable, "-c", CLAIMER, str(file)]
    crowd = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for child in crowd:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [child.communicate(timeout=60)[0] for child in crowd]
    assert [child.returncode for child in crowd] == [0, 0, 0, 0]
    fences = sorted(int(line) for text in told for line in text.split())
    assert fences == list(range(1, 41))


def test_opening_waits_until_the_journal_mode_can_change(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite refuses the change at once while another process is about to write the new file; we ask again until it is done."""
    file.parent.mkdir()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr("halocline.ledger.database.time.sleep", wait)
    with SqliteLedger(file) as ledger:
        begin(ledger, "r1")
    other.close()
    assert len(waits) == 3


def test_a_reader_does_not_wait_for_a_writer(file: Path) -> None:
    """`halocline runs` answers while another process is in the middle of a write."""
    with SqliteLedger(file) as writer, SqliteLedger(file) as reader:
        begin(writer, "r1")
        with writer._writing() as put:
            put("note", run="r1", plan=json.dumps({"half": "done"}))
            assert reader.get("r1").plan is None
        assert reader.get("r1").plan == {"half": "done"}


def test_a_lock_that_is_never_given_back_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting has an end, and the error says what to look for."""
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    told = pytest.raises(StorageFailed, match=r"locked.*look for one that hangs")
    with SqliteLedger(file) as hog, SqliteLedger(file) as other, hog._writing(), told:
        begin(other, "r1")


def test_a_wait_is_told_and_not_made_twice(file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What a command waits for is in its log before it gives up; what it books on its way out then waits no second time."""
    monkeypatch.setattr(database, "BUSY_S", 0.4)
    monkeypatch.setattr(turn, "TOLD_AFTER_S", 0.1)
    locked = partial(pytest.raises, StorageFailed, match="locked")
    waits: list[float] = []
    with SqliteLedger(file) as hog, SqliteLedger(file) as other:
        other._db.set_trace_callback(lambda sql: waits.append(float(sql.split()[-1])) if "busy_timeout" in sql else None)
        with hog._writing():
            with locked():
                begin(other, "r1")
            assert [one.message for one in caplog.records] == [
                f"Waiting for the ledger {file.resolve()}: another process is writing to it."
            ]
            with locked(), Budget(other) as budget:
                budget.spend("org", "looking")
                begin(other, "r2")
        begin(other, "r3")
        begin(other, "r4")
    assert waits == [100, 300, 50, 50, 50, 100]
    assert len(caplog.records) == 1


def test_the_dead_of_one_host_are_found_by_another_process(file: Path) -> None:
    """The judgement needs nothing but the file."""
    with SqliteLedger(file) as first:
        first.start("Account", run="r1", pid=ended_process(), host=HERE)
    with SqliteLedger(file) as second:
        assert second.abandon_dead("Account") == ["r1"]


# ---- what is forgotten


def _filled(ledger: Ledger) -> None:
    for number in range(20):
        begin(ledger, f"r{number}")
        rows = (Rejection("p", row, "CODE", "x" * 200, record={"Name": "y" * 200}) for row in range(200))
        ledger.note(f"r{number}", plan={"reasons": []})
        ledger.record(f"r{number}", Outcome("c", rejections=tuple(rows)))
        ledger.finish(f"r{number}", state="done")


def test_the_file_is_made_smaller(file: Path) -> None:
    """What was pruned is not in it, nor in the log beside it; what nobody asked for waits until half of the file is free."""
    clock = HandClock()
    with SqliteLedger(file, clock=clock) as ledger:
        _filled(ledger)
        clock.advance(100.0)
        found = ledger.prune(older_than_s=50.0, every_s=10.0)
        assert found is not None
        assert found.bytes_before is not None
        assert found.bytes_after is not None
        assert found.bytes_after < found.bytes_before / 10
        assert sum(path.stat().st_size for path in file.parent.iterdir()) < found.bytes_before / 5


def test_a_file_that_somebody_reads_is_pruned_all_the_same(file: Path) -> None:
    """Only that it is made smaller has to wait; nothing fails."""
    clock = HandClock()
    with SqliteLedger(file, clock=clock) as ledger:
        _filled(ledger)
        clock.advance(100.0)
        with sqlite3.connect(file, isolation_level=None) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM runs").fetchone() == (20,)
            ledger._db.execute("PRAGMA busy_timeout = 1")  # type: ignore[attr-defined]  # so that it does not wait for the reader
            found = ledger.prune(older_than_s=50.0)
            assert found is not None
            assert (len(found.runs), len(ledger.runs())) == (20, 0)
        reader.close()


def test_a_sign_of_life_from_the_future_is_told_as_such(tmp_path: Path) -> None:
    """A holder whose clock is ahead keeps its lease until ours is there: the refusal names the clocks, not a sign of just now."""
    ahead, ours = HandClock(), HandClock()
    ahead.advance(7_200.0)
    file = tmp_path / "ledger.sqlite"
    with SqliteLedger(file, clock=ahead) as theirs, SqliteLedger(file, clock=ours) as ledger:
        theirs.claim("Account", "far", ttl_s=60.0, process=Process(1, "elsewhere"))
        with pytest.raises(LeaseHeld, match="its last sign of life is dated 7200 s ahead of this clock") as told:
            ledger.claim("Account", "next", ttl_s=60.0)
        assert "the lease is free in 7260 s" in told.value.hint
        assert "the clocks of its host and of this one" in told.value.hint
        ours.advance(7_260.0)
        assert ledger.claim("Account", "next", ttl_s=60.0).owner == "next"
