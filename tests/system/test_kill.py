"""A sync that is killed with SIGKILL, wherever that is, leaves the old table or the new one, and the next sync completes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from halocline.config import Settings
from halocline.connectors.salesforce import ClientCredentialsAuthenticator
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.sync import IntelligentSync, SobjectSync
from tests.system.shell import ROOT

pytestmark = [pytest.mark.system, pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")]

FIELDS = ("Id", "Name", "Description", "IsDeleted", "SystemModstamp")
WAYS = {"rest": (1_000, 1_000), "bulk": (0, 1_000), "stage": (0, 0)}

# Forks twice for each point, before any database is open, so that no thread of DuckDB is copied. The first child syncs into its
# own copy of the database and kills itself at that point; the second one looks at what is left, and syncs again.
_DRIVER = """
import json, os, shutil, signal, sys, traceback
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import duckdb, httpx2, pyarrow, pyarrow.csv
from halocline import registry, several, sync
from halocline.config import Settings
from halocline.connectors.duckdb.client import Database
from halocline.connectors.salesforce import ClientCredentialsAuthenticator, SalesforceClient, pages
from halocline.ledger import SqliteLedger, open_ledger
from halocline.retry import Pace
from halocline.run import Run
from tests.system.forks import fork, learn, prepare
from tests.system.told_apart import files_of

DAYS_8 = 8 * 86_400

class Points:
    def __init__(self, home, deadly="", *, marking=False):
        self.home, self.deadly, self.marking, self.seen, self.counts = home, deadly, marking, [], Counter()
        self.marks, self.sent = [], 0  # what a death at each point leaves: files, and what was sent
    def __call__(self, name):
        if name == "after unit.commit":
            (self.home / "committed").touch()
        self.counts[name] += 1
        label = f"{name} {self.counts[name]}"
        self.seen.append(label)
        if self.marking:
            self.marks.append(f"{self.sent} {files_of(self.home)}")
        if label == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)

class Watched:
    INNER = {"begin": "unit", "open": "load", "journal": "journal"}
    def __init__(self, inner, name, points):
        self.inner, self.name, self.points = inner, name, points
    def __getattr__(self, attribute):
        found = getattr(self.inner, attribute)
        if not callable(found):
            return found
        def watched(*args, **kwargs):
            name = f"{self.name}.{attribute}"
            self.points("before " + name)
            answer = found(*args, **kwargs)
            self.points("after " + name)
            if attribute in self.INNER and self.name != "journal":
                return Watched(answer, self.INNER[attribute], self.points)
            return self.each(name, answer) if attribute in ("parts", "read") else answer
        return watched
    def each(self, name, answers):
        for answer in answers:
            self.points("inside " + name)
            yield answer
    def __enter__(self):
        return self
    def __exit__(self, *_):
        self.inner.close()

class Cursor:
    def __init__(self, inner, points):
        self.inner, self.points = inner, points
    def execute(self, *args):
        self.points("before sql")
        return self.inner.execute(*args)
    def __getattr__(self, name):
        return getattr(self.inner, name)

def watch(points):
    open_source, open_destination = registry.open_source, registry.open_destination
    cursor, write = Database.cursor, pages._write_all
    quick, send = Pace(sleep=lambda seconds: None), httpx2.HTTPTransport.handle_request
    def sent(self, request):
        points.sent += 1
        return send(self, request)
    httpx2.HTTPTransport.handle_request = sent
    registry.open_source = lambda *a, **k: Watched(open_source(*a, **k, pace=quick), "source", points)
    registry.open_destination = lambda *a, **k: Watched(open_destination(*a, **k), "destination", points)
    several.open_ledger = lambda *a, **k: Watched(open_ledger(*a, **k), "ledger", points)
    @contextmanager
    def watched_cursor(self):
        with cursor(self) as found:
            yield Cursor(found, points)
    Database.cursor = watched_cursor
    def half(file, chunk):
        write(file, chunk[: len(chunk) // 2])
        points("inside page")
        write(file, chunk[len(chunk) // 2 :])
    pages._write_all = half

def carry(home, points=lambda name: None):
    sink = lambda event: points(f"event {type(event).__name__}")
    settings = Settings(home, home / "spool")
    with sync.IntelligentSync(f"duckdb:///{home}/lake.duckdb", login, settings=settings, sink=sink) as system:
        system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = order["thresholds"]
        job = sync.SobjectSync("Account", "main", "accounts", fields=order["fields"], deletes=order["deletes"])
        return system.run(job, Run.new())

def dump(home):
    path = home / "lake.duckdb"
    if not path.exists():
        return ["nothing"]
    with duckdb.connect(str(path), read_only=True) as lake:
        tables = sorted(name for (name,) in lake.execute("SELECT table_name FROM duckdb_tables()").fetchall())
        rows = lake.execute("FROM accounts ORDER BY Id").fetchall() if "accounts" in tables else []
        sql = "SELECT target, position FROM _halocline_positions WHERE target <> ''"
        positions = lake.execute(sql).fetchall() if "_halocline_positions" in tables else []
    found = [tables if rows else "nothing", rows, positions]
    return json.loads(json.dumps(found, default=str)) if rows or positions else ["nothing"]

def jobs():
    if not order["thresholds"][0]:
        return listed()
    return {}

def listed():
    with SalesforceClient(login) as client:
        return {job["id"]: job["state"] for job in client.transport.send("GET", "jobs/query").json()["records"]}

def alone(work, *args):
    # the answer of work in a forked process, or how that process ended
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    pid = fork()
    if pid == 0:
        try:
            answer.write_text(json.dumps([work(*args), [*sys.modules]]))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        return code
    found, modules = json.loads(answer.read_text())
    learn(modules)  # else each process loads them again
    return found

def rehearse(home):
    points = Points(home, marking=not wanted)  # which takes longer than the sync
    watch(points)
    run = carry(home, points)
    apart = [seen for at, seen in enumerate(points.seen) if not wanted and (not at or points.marks[at] != points.marks[at - 1])]
    return {"points": points.seen, "apart": apart, "changed": run.counts.changed, "read": run.rows_read}

def die(home, label):
    points = Points(home, label)
    watch(points)
    carry(home, points)
    return "lived"

def look(home, known):
    found, old, new = dump(home), *known
    spool = home / "spool"
    left = sorted(spool.iterdir()) if spool.exists() else []
    for path in left:
        os.utime(path, (path.stat().st_atime - DAYS_8, path.stat().st_mtime - DAYS_8))
    run = carry(home)
    with SqliteLedger(home / "ledger.sqlite") as ledger:
        ended = [(record.state, record.error) for record in ledger.runs()]
    return {
        "state": "old" if found == old else "new" if found == new else "neither",
        "committed": (home / "committed").exists(),
        "spools_left": len(left),
        "changed": run.counts.changed,
        "equal": dump(home) == new,
        "spools_after": len(sorted(spool.iterdir())),
        "runs": ended,
    }

def copied(name):
    home = folder / name
    shutil.copytree(folder / "before", home)
    return home

def told():
    first = copied("rehearsal")
    old = alone(dump, first)
    rehearsal = alone(rehearse, first)
    new = alone(dump, first)
    assert isinstance(rehearsal, dict), rehearsal
    chosen = [p for p in rehearsal["points"] if p in wanted] if wanted else rehearsal["apart"]
    report = []
    kept = jobs()
    for number, label in enumerate(chosen):
        home = copied(f"point-{number}")
        ended = alone(die, home, label)
        orphans = {job: state for job, state in jobs().items() if job not in kept}
        seen = alone(look, home, (old, new))
        assert isinstance(seen, dict), (label, seen)
        left, before = jobs(), kept
        still = [job for job in left if job not in before]
        report.append({"point": label, "ended": ended, "orphans": orphans, "still": still, **seen})
        kept = left
        shutil.rmtree(home)
    return {"rehearsal": rehearsal, "points": chosen, "report": report}

prepare()
for line in sys.stdin:  # an order each
    order = json.loads(line)
    folder, wanted = Path(order["folder"]), set(order["points"])
    login = ClientCredentialsAuthenticator(order["key"], order["secret"], login_url=order["url"])
    print(json.dumps(told()), flush=True)
"""

# Points that come when time has passed, one more or one fewer of them in each run.
BY_THE_CLOCK = ("event ", "before ledger.renew ", "after ledger.renew ")

# The points that differ: before anything, with files and a job left behind, inside the transaction, between it and the books.
# The ways share them, and each dies before its commit and after it. A test with `--long` takes every point
# at which a death leaves something else than at the one before.
SOME = {
    "rest": ["before unit.commit 1", "after unit.commit 1", "before sql 30", "after ledger.finish 1"],
    "stage": ["event Planned 1", "inside page 2", "before source.ack 1"],
    "bulk": ["after load.stage 1", "before ledger.finish 1", "after source.ack 1"],
}


class Life:
    """An org whose accounts were synced once, into `folder`/before, and have changed since (`later`), or were never synced."""

    def __init__(self, emulator: Emulator, driver: subprocess.Popen[str], folder: Path, *, way: str, deletes: str) -> None:
        self.emulator, self.driver = emulator, driver
        self.order: dict[str, Any] = {
            "folder": str(folder),
            "url": emulator.url,
            "key": emulator.config.consumer_key,
            "secret": emulator.config.consumer_secret,
            "fields": FIELDS,
            "thresholds": WAYS[way],
            "deletes": deletes,
        }
        (folder / "before").mkdir()
        self.folder = folder

    def add(self, count: int) -> None:
        for number in range(count):
            self.emulator.store.insert(self._account(), {"Name": f"n{number}\r\n"}, user_id=self.emulator.org.api_user_id)

    def changes(self) -> None:
        """Half of the accounts change, one goes to the bin, one for good, three come."""
        store, user = self.emulator.store, self.emulator.org.api_user_id
        self.emulator.clock.advance(86_400)
        ids = [record for (record,) in store.read("SELECT Id FROM Account ORDER BY Id")]
        for record in ids[:12]:
            store.update(self._account(), record, {"Description": 'changed "now"\r\n'}, user_id=user)
        store.delete(self._account(), ids[12], user_id=user)
        store.purge(self._account(), ids[13])
        self.add(3)

    def drive(self, points: list[str]) -> dict[str, Any]:
        """Kill a sync at each of these points (all, when none is named) and tell what was found."""
        assert self.driver.stdin is not None
        assert self.driver.stdout is not None
        self.driver.stdin.write(json.dumps({**self.order, "points": points}) + "\n")
        self.driver.stdin.flush()
        line = self.driver.stdout.readline()
        assert line, "the driver is gone: what it said stands above"
        found: dict[str, Any] = json.loads(line)
        return found

    def first_sync(self) -> None:
        """Fill `before` by a sync that nobody disturbs."""
        home, order = self.folder / "before", self.order
        login = ClientCredentialsAuthenticator(order["key"], order["secret"], login_url=order["url"])
        with IntelligentSync(f"duckdb:///{home}/lake.duckdb", login, settings=Settings(home, home / "spool")) as system:
            system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = order["thresholds"]
            system.run(SobjectSync("Account", "main", "accounts", fields=FIELDS, deletes=order["deletes"]))

    def is_in(self, home: Path) -> bool:
        """Whether the table there holds just what the org holds."""
        listed = ", ".join(FIELDS)
        with duckdb.connect(str(home / "lake.duckdb"), read_only=True) as lake:
            table = lake.execute(f"SELECT {listed} FROM accounts WHERE NOT IsDeleted ORDER BY Id").fetchall()
        org = self.emulator.store.read(f"SELECT {listed} FROM Account WHERE IsDeleted = 0 ORDER BY Id")
        return table == [(*row[:3], bool(row[3]), datetime.fromisoformat(row[4])) for row in org]

    def _account(self) -> Any:
        return self.emulator.store.catalog.get("Account")


@pytest.fixture(scope="module")
def driver() -> Iterator[subprocess.Popen[str]]:
    """The process from which all runs are forked; what goes wrong in one stands in the test's own error output."""
    command = [sys.executable, "-W", "error", "-c", _DRIVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        yield running
        assert running.stdin is not None
        running.stdin.close()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(EmulatorConfig(page_rows=10)) as running:
        running.clock.freeze(datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC))
        yield running


def lived_through(
    emulator: Emulator, driver: subprocess.Popen[str], folder: Path, *, way: str, later: bool, deletes: str, points: list[str]
) -> list[str]:
    """Kill a sync at these points, hold the report to the laws, and return the points."""
    life = Life(emulator, driver, folder, way=way, deletes=deletes)
    life.add(25)
    if later:
        life.first_sync()
        life.changes()
    found = life.drive(points)
    assert life.is_in(folder / "rehearsal")
    report, changed = found["report"], found["rehearsal"]["changed"]
    assert {"old", "new"} == {seen["state"] for seen in report}
    for seen in report:
        point = seen["point"]
        # how often a job is looked at differs from run to run, and a lease is renewed by the clock, so a late one of these may
        # not come; all else is killed
        assert seen["ended"] == -9 or (point.startswith(BY_THE_CLOCK) and seen["committed"]), point
        assert seen["state"] == ("new" if seen["committed"] else "old"), point
        assert seen["equal"], point
        assert seen["changed"] == (0 if seen["committed"] else changed), point
        assert (seen["spools_left"] <= 2, seen["spools_after"]) == (True, 0), point  # the run's own, and its job's pages
        assert seen["runs"][0][0] == "done", point
        assert "running" not in [state for state, _ in seen["runs"]], point
    check_jobs(report, at_most=0 if way == "rest" else 1)
    return [seen["point"] for seen in report]


def check_jobs(report: list[dict[str, Any]], *, at_most: int) -> None:
    """A killed run leaves one job at most; the next run reads or deletes that job; no job is ever aborted."""
    for seen in report:
        assert len(seen["orphans"]) <= at_most, seen
        assert seen["still"] == [], seen
        assert set(seen["orphans"].values()) <= {"UploadComplete", "InProgress", "JobComplete"}, seen


CASES = [("rest", True, "hard"), ("stage", True, "soft"), ("bulk", False, "soft")]


@pytest.mark.timeout(280)
@pytest.mark.parametrize(("way", "later", "deletes"), CASES)
def test_a_killed_sync_leaves_the_old_or_the_new(
    way: str, later: bool, deletes: str, emulator: Emulator, driver: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Killed at any kind of point: old or new, one orphan job at most; the next sync completes and sweeps the spool."""
    points = lived_through(emulator, driver, tmp_path, way=way, later=later, deletes=deletes, points=SOME[way])
    assert sorted(points) == sorted(SOME[way])
    assert any(point.endswith("source.ack 1") for point in points) == (way != "rest"), "only a job has something to be told"


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize(("later", "deletes"), [(False, "soft"), (True, "hard")], ids=["first", "later"])
@pytest.mark.parametrize("way", list(WAYS))
def test_there_is_no_point_at_which_a_kill_does_harm(
    way: str,
    later: bool,
    deletes: str,
    emulator: Emulator,
    driver: subprocess.Popen[str],
    tmp_path: Path,
    record_property: pytest.RecordProperty,
) -> None:
    """The same law at each call, event, statement, half of a page at which a death leaves something else than at the last one."""
    points = lived_through(emulator, driver, tmp_path, way=way, later=later, deletes=deletes, points=[])
    assert len(points) > 10
    record_property("says", f"killed for good, {way}, {'later' if later else 'first'}: {len(points)} points")
