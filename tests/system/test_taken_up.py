"""A sync that dies is gone on with by the next one: the same Bulk job, and no page downloaded twice that was whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import psycopg
import pytest

from halocline import registry
from halocline.config import Settings
from halocline.connectors.salesforce import ClientCredentialsAuthenticator
from halocline.emulator import rest
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.ledger import SqliteLedger
from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync
from tests.system.nursery import Nursery
from tests.system.shell import ROOT, plain_env

pytestmark = [pytest.mark.system, pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")]

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
PAGE = 10
FIELDS = ("Id", "Name", "Description", "IsDeleted", "SystemModstamp")
_NO_RIGHT = '[{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}]'
WAYS = {"rest": (10**6, 10**6), "bulk": (0, 10**6), "stage": (0, 0)}

# Reads an order a line, and carries each out in a process of its own, forked before any database is open. `die` is the moment at
# which that process kills itself: an event and its number, or the call of a commit. The answer says how it ended.
_DRIVER = """
import json, os, signal, sys, traceback
from collections import Counter
from pathlib import Path

import duckdb, psycopg, pyarrow.csv, pyarrow.compute
from halocline.config import Settings
from halocline.connectors.duckdb.destination import DuckDBUnit
from halocline.connectors.postgres.destination import PostgresUnit
from halocline.connectors.salesforce import ClientCredentialsAuthenticator, bulk, pages
from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync
from tests.system.forks import fork, learn, prepare

def carry(order):
    counts = Counter()
    def moment(name):
        counts[name] += 1
        if order.get("die") == f"{name} {counts[name]}":
            os.kill(os.getpid(), signal.SIGKILL)
    def before(owner, name, label):
        real = getattr(owner, name)
        def watched(*args, **kwargs):
            moment(label)
            return real(*args, **kwargs)
        setattr(owner, name, watched)
    for unit in (DuckDBUnit, PostgresUnit):
        before(unit, "commit", "commit")
    before(pages, "_write_all", "write")
    if order.get("die") == "made 1":  # between Salesforce's answer and the note of it
        post = bulk.BulkQuery._post
        bulk.BulkQuery._post = lambda *a, **k: (post(*a, **k), moment("made"))[0]
    home = Path(order["home"])
    login = ClientCredentialsAuthenticator(order["key"], order["secret"], login_url=order["url"])
    said, run = [], Run.new()
    def sink(event):
        said.append(str(getattr(event, "message", "")))
        moment(type(event).__name__)
    with IntelligentSync(order["to"], login, settings=Settings(home, home / "spool", mask_key="x" * 20), sink=sink) as system:
        system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = order["thresholds"]
        system.JOB_DEADLINE_S = order.get("deadline_s", 3600.0)
        error = None
        try:
            system.run(SobjectSync(**order["job"]), run)
        except Exception as failed:
            error = f"{type(failed).__name__}: {failed}"
    plan = run.plan
    told = {"run": run.id, "error": error, "said": [one for one in said if one]}
    return {**told, "reasons": list(plan.reasons) if plan else [], "continues": plan.continues if plan else None}

prepare()
for line in sys.stdin:
    order = json.loads(line)
    answer = Path(order["home"]) / "answer.json"
    answer.unlink(missing_ok=True)
    pid = fork()
    if pid == 0:
        try:
            answer.write_text(json.dumps([carry(order), [*sys.modules]]))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    told, modules = json.loads(answer.read_text()) if code == 0 else ({}, [])
    learn(modules)
    print(json.dumps({"code": code, **told}), flush=True)
"""


class Life:
    """An org, and a home in which syncs live and die."""

    def __init__(self, emulator: Emulator, driver: subprocess.Popen[str], home: Path, *, to: str = "") -> None:
        self.emulator, self.driver, self.home = emulator, driver, home
        self.to = to or f"duckdb:///{home}/lake.duckdb"
        self.url = emulator.url

    @property
    def login(self) -> ClientCredentialsAuthenticator:
        config = self.emulator.config
        return ClientCredentialsAuthenticator(config.consumer_key, config.consumer_secret, login_url=self.url)

    @property
    def settings(self) -> Settings:
        return Settings(self.home, self.home / "spool")

    def add(self, count: int) -> list[str]:
        sobject, user = self._account(), self.emulator.org.api_user_id
        return [self.emulator.store.insert(sobject, {"Name": f'n{n} "x"\r\n'}, user_id=user) for n in range(count)]

    def change(self, record: str, **values: object) -> None:
        self.emulator.store.update(self._account(), record, values, user_id=self.emulator.org.api_user_id)

    def purge(self, record: str) -> None:
        self.emulator.store.purge(self._account(), record)

    def sync(self, die: str = "", *, way: str = "stage", table: str = "accounts", **options: Any) -> dict[str, Any]:
        """One sync in a process of its own, which may kill itself; how it ended."""
        job = {"sobject": "Account", "schema": None, "table": table, "fields": FIELDS, **options.pop("job", {})}
        config = self.emulator.config
        login = {"url": self.url, "key": config.consumer_key, "secret": config.consumer_secret}
        order = {"home": str(self.home), "to": self.to, "thresholds": WAYS[way], "die": die, "job": job, **login, **options}
        assert self.driver.stdin is not None
        assert self.driver.stdout is not None
        self.driver.stdin.write(json.dumps(order) + "\n")
        self.driver.stdin.flush()
        told: dict[str, Any] = json.loads(self.driver.stdout.readline())
        assert told["code"] == (-9 if die else 0), (die, told)
        return told

    def dies(self, die: str, **options: Any) -> None:
        """A sync that is killed at a moment."""
        self.sync(die, **options)

    def goes_well(self, **options: Any) -> dict[str, Any]:
        """A sync that nobody disturbs."""
        told = self.sync(**options)
        assert told["error"] is None
        return told

    def calls(self, kind: str) -> int:
        return self.emulator.calls.count(kind)

    def jobs(self) -> set[str]:
        return {str(job.id) for job in self.emulator.org.jobs.all("V2Query")}

    def table(self, name: str = "accounts", columns: str = ", ".join(FIELDS)) -> list[tuple[Any, ...]]:
        """The live rows that the table holds."""
        sql = f"SELECT {columns} FROM {name} WHERE NOT IsDeleted ORDER BY Id"
        if self.to.startswith("duckdb"):
            with duckdb.connect(str(self.home / "lake.duckdb"), read_only=True) as lake:
                return lake.execute(sql).fetchall()
        with psycopg.connect(self.to) as connection:
            return connection.execute(sql).fetchall()

    def org(self) -> list[tuple[Any, ...]]:
        """The live rows that the org holds."""
        rows = self.emulator.store.read(f"SELECT {', '.join(FIELDS)} FROM Account WHERE IsDeleted = 0 ORDER BY Id")
        return [(*row[:3], bool(row[3]), datetime.fromisoformat(row[4])) for row in rows]

    def runs(self) -> list[Any]:
        with SqliteLedger(self.home / "ledger.sqlite") as ledger:
            return ledger.runs()

    def kept(self) -> list[Path]:
        """The result pages that lie about."""
        return sorted(self.home.glob("spool/*/*.csv"))

    def _account(self) -> Any:
        return self.emulator.store.catalog.get("Account")


@pytest.fixture(scope="module")
def driver() -> Iterator[subprocess.Popen[str]]:
    """The process from which all runs are forked."""
    command = [sys.executable, "-W", "error", "-c", _DRIVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        yield running
        assert running.stdin is not None
        running.stdin.close()
        running.wait(30)


@contextmanager
def org(driver: subprocess.Popen[str], home: Path, *, rows: int = 35, to: str = "", **settings: Any) -> Iterator[Life]:
    with Emulator(EmulatorConfig(page_rows=PAGE, **settings)) as emulator:
        emulator.clock.freeze(NOW)
        life = Life(emulator, driver, home, to=to)
        life.add(rows)
        yield life


@pytest.fixture
def life(driver: subprocess.Popen[str], tmp_path: Path) -> Iterator[Life]:
    """An org of 35 accounts: four pages of results."""
    with org(driver, tmp_path) as made:
        yield made


DEATHS = ("JobProgress 1", "write 2", "PartStaged 1", "PartStaged 3", "commit 1")
FEW = DEATHS[1::3]  # in a page, and before the commit


@pytest.mark.parametrize(("way", "where", "deaths"), [("bulk", "duckdb", DEATHS), ("stage", "postgres", FEW)])
def test_a_job_outlives_any_number_of_deaths(
    way: str,
    where: str,
    deaths: tuple[str, ...],
    driver: subprocess.Popen[str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Any,
) -> None:
    """Killed once the job is made, in a page, between pages, after staging and before the commit: one job, and the org's rows."""
    with nowhere_or(where, tmp_path, request) as to, org(driver, tmp_path, to=to) as life:
        for moment in deaths:
            life.dies(moment, way=way)
        told = life.goes_well(way=way)
        assert life.table() == life.org()
        assert life.calls("bulk.create") == 1
        assert life.jobs() == set()
        assert life.kept() == []
        last = life.runs()[0]
        assert (last.run, last.state) == (told["run"], "done")
        assert [run.state for run in life.runs()[1:]] == ["abandoned"] * len(deaths)
        assert told["continues"] == life.runs()[1].run
        assert f"of run {told['continues']} is taken up: it is complete, with 35 rows" in told["reasons"][0]
        assert len([reason for reason in told["reasons"] if "is taken up" in reason]) == 1
        fetched = [call for call in life.emulator.calls.of("bulk.results") if call.status == 200]
        twice = sum(call.bytes for call in fetched) - sum({call.query: call.bytes for call in fetched}.values())
        # a page under way as its run was killed has to be fetched again; four are under way at a time, in the first four deaths
        assert len(fetched) <= 4 + 4 * 3
        says = f"{len(deaths)} deaths, 1 job, {len(fetched)} page requests for 4 pages, {twice:,} bytes fetched again"
        record_property("says", f"taken up ({way} into {where}): {says}")


@contextmanager
def nowhere_or(where: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a PostgreSQL place, or none."""
    if where == "duckdb":
        yield ""
        return
    with request.getfixturevalue("server").place(folder) as place:
        yield place.uri()


def test_pages_that_are_whole_are_not_fetched_again(life: Life) -> None:
    """All four were there before the commit: the next run asks for none; a torn one, and only that, is asked for again."""
    life.dies("commit 1")
    assert len(life.kept()) == 4
    assert all(path.stat().st_mode & 0o077 == 0 for path in {path.parent for path in life.kept()})
    before = life.calls("bulk.results")
    life.dies("commit 1")
    assert life.calls("bulk.results") == before == 4
    torn = life.kept()[2]
    torn.write_bytes(torn.read_bytes()[:-3])
    flipped = bytearray(life.kept()[1].read_bytes())
    flipped[-4] ^= 1
    life.kept()[1].write_bytes(flipped)
    life.goes_well()
    assert life.calls("bulk.results") == before + 2
    assert life.table() == life.org()


def test_what_changed_since_the_dead_run_is_the_next_syncs(life: Life) -> None:
    """The job's rows are of then, and so is the position: changes and deletions since come, at the latest one sync on."""
    life.goes_well()
    life.emulator.clock.advance(86_400)
    ids = [row[0] for row in life.org()]
    for record in ids[:12]:
        life.change(record, Description="first")
    life.dies("commit 1")
    life.emulator.clock.advance(3_600)
    for record in (*ids[6:9], *ids[20:22]):
        life.change(record, Description="later")
    life.purge(ids[0])
    life.purge(ids[30])
    life.add(2)
    made = life.calls("bulk.create")
    told = life.goes_well()
    assert told["continues"] is not None
    assert life.calls("bulk.create") == made
    life.emulator.clock.advance(60)
    life.goes_well()
    assert life.table() == life.org()
    assert life.jobs() == set()


def test_one_command_brings_the_table_up_to_now(life: Life) -> None:
    """Behind a run that goes on with a dead one's work another brings what changed since; the answer counts both."""
    life.dies("commit 1")
    life.emulator.clock.advance(3_600)
    life.add(2)
    life.change(life.org()[0][0], Description="later")
    said: list[str] = []
    with IntelligentSync(life.to, life.login, settings=life.settings, sink=lambda event: said.append(str(event))) as system:
        system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = WAYS["stage"]
        told = system.sync_sobject("Account", None, "accounts", fields=FIELDS)
    assert (told["error"], told["actual_records"]) == (None, 35 + 3)
    assert any("now what changed since" in one for one in said)
    assert life.table() == life.org()
    assert life.calls("bulk.create") == 2
    assert life.jobs() == set()


def test_a_run_killed_after_its_commit_leaves_nothing_to_take_up(life: Life) -> None:
    """The table has moved on: the job is not read again, and is deleted; so are its pages."""
    for moment in ("Committed 1", "RunFinished 1"):
        life.emulator.clock.advance(3_600)
        life.add(2)
        life.dies(moment)
        life.emulator.clock.advance(60)
        told = life.goes_well()
        assert told["continues"] is None
        assert life.jobs() == set()
        assert life.kept() == []
    assert life.table() == life.org()
    life.emulator.clock.advance(3_600)
    life.dies("Committed 1")
    told = life.goes_well()
    assert any("is not taken up: the table has moved on since. It was deleted." in one for one in told["said"])


OTHER = {
    "where": {"where_clause": "Name != 'n3'"},
    "fields": {"fields": ("Id", "Name", "Description", "IsDeleted", "SystemModstamp", "Industry")},
    "mask": {"mask": {"Name": "hash"}},
    "rename": {"rename": {"Name": "Title"}},
}


@pytest.mark.parametrize(
    "what", ["where", "mask", *(pytest.param(what, marks=pytest.mark.long) for what in ("fields", "rename"))]
)
def test_a_job_of_another_question_is_not_taken_up(what: str, life: Life) -> None:
    """Another condition, other columns, masks or names: the old job and its pages go, a new one is made."""
    life.dies("commit 1")
    told = life.goes_well(job=OTHER[what])
    assert told["continues"] is None
    assert life.calls("bulk.create") == 2
    assert (life.jobs(), life.kept()) == (set(), [])
    because = "it was made for another plan" if what in ("mask", "rename") else "columns, condition or settings are others now"
    assert any(f"is not taken up: {because}. It was deleted." in one for one in told["said"])


def test_masked_rows_do_not_outlive_their_run(life: Life) -> None:
    """With a mask the job is taken up, but its pages, which hold what is masked, are not kept for it."""
    life.dies("commit 1", job={"mask": {"Name": "hash"}})
    before = life.calls("bulk.results")
    told = life.goes_well(job={"mask": {"Name": "hash"}})
    assert told["continues"] is not None
    assert life.calls("bulk.create") == 1
    assert life.calls("bulk.results") == before + 4
    assert not any("n3 " in str(row) for row in life.table())


def test_another_way_or_a_forced_sync_makes_its_own_job(life: Life) -> None:
    """A plain sync's job is not what a forced one asks for; a forced one's serves the next forced one, and a first plain one."""
    life.dies("commit 1", way="bulk")
    life.dies("commit 1", way="stage")
    assert life.calls("bulk.create") == 2
    force = {"force_full_sync": True}
    life.dies("commit 1", job=force)
    assert life.calls("bulk.create") == 3
    life.dies("commit 1", job=force)
    life.goes_well()
    assert life.calls("bulk.create") == 3
    assert life.jobs() == set()
    life.dies("commit 1", job=force)
    told = life.goes_well(way="rest")
    assert told["continues"] is None
    assert (life.calls("bulk.create"), life.jobs()) == (4, set())
    assert life.table() == life.org()


def test_a_job_that_is_gone_or_failed_is_replaced(life: Life) -> None:
    """Dropped by Salesforce, aborted by somebody, or failed: a new job, and the old one is told of."""
    jobs = life.emulator.org.jobs
    life.dies("commit 1")
    jobs.remove(*life.jobs())
    told = life.goes_well()
    assert any("is not taken up: Salesforce does not have it any more." in one for one in told["said"])
    assert (life.calls("bulk.create"), life.table() == life.org()) == (2, True)
    life.emulator.clock.advance(3_600)
    life.emulator.faults.add("job_aborted")
    life.dies("JobProgress 1")
    told = life.goes_well()
    assert any("it has ended as Aborted. It was deleted." in one for one in told["said"])
    assert life.jobs() == set()


def test_a_job_that_still_runs_is_waited_for(life: Life) -> None:
    """Out of patience, killed while waiting, and at last complete: one job. After a day nobody waits for it any more."""
    stuck = life.emulator.faults.add("job_stuck")
    told = life.sync(deadline_s=0.0)
    assert "StillRunning" in str(told["error"])
    life.dies("JobProgress 1")
    told = life.sync(deadline_s=0.0)
    assert "it is still at work" in told["reasons"][0]
    life.emulator.clock.advance(2 * 86_400)
    told = life.goes_well()
    assert life.calls("bulk.create") == 2
    assert any("it has not ended in 48 hours. It is left alone" in one for one in told["said"])
    assert len(life.jobs()) == 1
    life.emulator.faults.release(stuck)
    assert life.table() == life.org()


def test_a_death_before_the_answer_leaves_one_job(life: Life) -> None:
    """The run did not live to hear of its job: it is found by its user, object and time, and believed for its number of rows."""
    life.dies("made 1")
    assert len(life.jobs()) == 1
    told = life.goes_well()
    assert "that run did not live to hear of it" in told["reasons"][0]
    assert (life.calls("bulk.create"), life.jobs()) == (1, set())
    life.emulator.clock.advance(3_600)
    life.add(3)
    life.dies("made 1")
    life.emulator.clock.advance(3_600)
    life.change(life.org()[-1][0], Description="so one row less is in the old window")
    told = life.goes_well()
    assert told["continues"] is None
    assert any("which job that run made cannot be told. It is left alone" in one for one in told["said"])
    assert life.table() == life.org()


def test_two_flows_of_one_object_keep_their_jobs_apart(life: Life) -> None:
    """Each takes up its own, whichever comes first."""
    life.dies("commit 1", table="one")
    life.dies("commit 1", table="two", job={"where_clause": "Name != 'n3'"})
    two = life.goes_well(table="two", job={"where_clause": "Name != 'n3'"})
    one = life.goes_well(table="one")
    by_run = {run.run: run.flow for run in life.runs()}
    assert [by_run[told["continues"]][-3:] for told in (one, two)] == ["one", "two"]
    assert life.calls("bulk.create") == 2
    assert life.calls("bulk.results") == 8
    assert life.jobs() == set()


def test_two_places_of_one_flow_keep_their_jobs_apart(life: Life) -> None:
    """One ledger, one spool, one object and table, two databases: each takes up its own job, and neither deletes the other's."""
    here = life.to
    life.dies("commit 1")
    (mine,) = life.jobs()
    kept = life.kept()
    life.to = f"duckdb:///{life.home}/sea.duckdb"
    told = life.goes_well()
    assert (told["continues"], life.calls("bulk.create"), life.jobs(), life.kept()) == (None, 2, {mine}, kept)
    life.to = here
    told = life.goes_well()
    assert told["continues"] is not None
    assert (life.calls("bulk.create"), life.calls("bulk.results"), life.jobs(), life.kept()) == (2, 8, set(), [])
    assert life.table() == life.org()


def test_pages_are_kept_by_flow_and_place(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """One flow into two databases has two shelves, each under the name of the lease that guards it."""
    asked: list[Any] = []
    real = registry.open_source
    monkeypatch.setattr(registry, "open_source", lambda *about, **options: (asked.append(options), real(*about, **options))[1])
    for name in ("lake", "sea"):
        system = IntelligentSync(f"duckdb:///{life.home}/{name}.duckdb", life.login, settings=life.settings)
        with system, system.opened(SobjectSync("Account", None, "accounts"), Run.new()) as both:
            assert asked[-1]["flow"] == both.flow.right
            assert f"duckdb:{life.home}/{name}.duckdb" in both.flow.right


def test_a_live_connection_finds_what_a_uri_left(life: Life) -> None:
    """Its file is the same place: another process that opens it by itself goes on with the job."""
    life.dies("commit 1")
    with (
        duckdb.connect(str(life.home / "lake.duckdb")) as lake,
        IntelligentSync(lake, life.login, settings=life.settings) as system,
    ):
        system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = WAYS["stage"]
        run = system.run(SobjectSync("Account", None, "accounts", fields=FIELDS))
    assert run.plan is not None
    assert run.plan.continues == life.runs()[1].run
    assert (life.calls("bulk.create"), life.jobs(), life.table() == life.org()) == (1, set(), True)


def test_a_forced_sync_reads_anew_what_was_published_already(life: Life) -> None:
    """Whether the job could not be deleted, or the run died behind its commit: its rows are not published once more."""
    force = {"force_full_sync": True}
    fault = life.emulator.faults.add("answer", kind="bulk.delete", times=0, status=403, body=_NO_RIGHT)
    life.goes_well(job=force)
    told = life.goes_well(job=force)
    assert (told["continues"], life.calls("bulk.create"), len(life.jobs())) == (None, 2, 2)
    life.emulator.faults.remove(fault)
    life.emulator.clock.advance(3_600)
    life.add(2)
    life.dies("Committed 1", job=force)
    assert len(life.jobs()) == 1
    told = life.goes_well(job=force)
    assert (told["continues"], life.calls("bulk.create"), life.jobs(), life.kept()) == (None, 4, set(), [])
    assert life.table() == life.org()


def test_where_nobody_says_whose_login_this_is_no_job_is_taken_up(life: Life) -> None:
    """The rows of a job are those that the user who made it may see."""
    life.dies("commit 1")
    fault = life.emulator.faults.add("answer", path="userinfo$", times=0, status=403, body="Bad_OAuth_Token")
    told = life.goes_well()
    life.emulator.faults.remove(fault)
    assert (told["continues"], life.calls("bulk.create")) == (None, 2)
    assert any("Salesforce does not say whose login this is" in one for one in told["said"])


def test_a_job_of_another_org_is_left_alone(life: Life, driver: subprocess.Popen[str], tmp_path: Path) -> None:
    """The same flow against another org makes its own job, and touches nothing of the same name there."""
    life.dies("commit 1")
    (mine,) = life.jobs()
    with Emulator(EmulatorConfig(page_rows=PAGE)) as elsewhere:
        elsewhere.org.org_id = "00D000000000002EAA"
        elsewhere.clock.freeze(NOW)
        other = Life(elsewhere, driver, tmp_path)
        other.add(3)
        told = other.goes_well()
        assert told["continues"] is None
        assert any("it is a job of the org" in one for one in told["said"])
        assert (other.calls("bulk.create"), other.table() == other.org()) == (1, True)
    assert life.jobs() == {mine}


def test_a_run_that_failed_for_what_it_read_is_not_gone_on_with(life: Life) -> None:
    """A job with rows missing would miss them again: it stays for a look, and the next run makes another."""
    fault = life.emulator.faults.add("truncate_page", kind="bulk.results", times=0, rows=2)
    told = life.sync()
    life.emulator.faults.remove(fault)
    assert "Truncated" in str(told["error"])
    (bad,) = life.jobs()
    life.goes_well()
    assert life.calls("bulk.create") == 2
    assert life.jobs() == {bad}
    assert life.table() == life.org()


def test_runs_show_who_went_on_with_a_dead_one(life: Life, nursed: Nursery) -> None:
    """No command is needed after a death; `halocline runs` tells what became of it."""
    life.dies("PartStaged 1")
    life.goes_well()
    done, dead = life.runs()
    shown = _halocline(life, nursed, "runs", dead.run[:8])
    assert f"abandoned, taken up by {done.run[:8]}" in shown
    listed = [json.loads(line) for line in _halocline(life, nursed, "runs", "--json").splitlines()]
    assert [(one["state"], one["taken_up_by"]) for one in listed] == [("done", None), ("abandoned", done.run)]


def _halocline(life: Life, nursed: Nursery, *words: str) -> str:
    done = nursed.run(*words, env={**plain_env(), "HALOCLINE_HOME": str(life.home)}, cwd=life.home)
    assert done.code == 0, done
    return done.out


@pytest.mark.parametrize("rows", [45])
def test_a_rest_read_goes_on_behind_the_last_row_when_its_cursor_is_lost(
    rows: int, driver: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    """The way on leads nowhere, twice: the read goes on by Id; every row comes, and no page is read twice."""
    for limit in ("SMALLEST_PAGE", "LARGEST_PAGE"):  # our client asks for the largest pages there are
        monkeypatch.setattr(rest, limit, 20)
    with org(driver, tmp_path, rows=rows) as life:
        life.emulator.faults.add("wrong_locator", kind="queryAll", times=2)
        life.goes_well(way="rest")
        asked = [call for call in life.emulator.calls.of("queryAll") if "COUNT" not in call.query]
        assert life.table() == life.org()
        assert sum("Id > '001" in unquote(call.query) for call in asked) == 2
        read = sum(call.status == 200 for call in life.emulator.calls.of("query.more")) + len(asked)
        assert read == 3
        record_property("says", f"REST by keyset: cursor lost twice, {read} pages read for {rows:,} rows, 0 of them twice")
