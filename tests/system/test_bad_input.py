"""Whatever is wrong, the user reads one clear paragraph, gets the right exit code, and finds the table as it was."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from halocline import sync
from halocline.emulator.faults import FOREVER
from halocline.emulator.server import Emulator, EmulatorConfig
from tests.system.desk import WAYS, Desk, desk_at, frozen_org, is_clear

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with frozen_org() as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with desk_at(emulator, tmp_path, monkeypatch) as made:
        yield made


Cause = Callable[[Desk], AbstractContextManager[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong for a while: how it is caused (the block gives more arguments), and what the user is to read."""

    name: str
    exit_code: int
    says: tuple[str, ...]
    cause: Cause
    ways: tuple[str, ...] = tuple(WAYS)


def typed(*arguments: str) -> Cause:
    """The user types something."""

    @contextmanager
    def cause(_: Desk) -> Iterator[tuple[str, ...]]:
        yield arguments

    return cause


def environment(**values: str | None) -> Cause:
    """The environment says something else; None takes a variable away."""

    @contextmanager
    def cause(desk: Desk) -> Iterator[tuple[str, ...]]:
        before = dict(desk.env)
        desk.env.update({name: value for name, value in values.items() if value is not None})
        for name in (name for name, value in values.items() if value is None):
            del desk.env[name]
        yield ()
        desk.env = before

    return cause


def broken(act: Callable[[Desk], object]) -> Cause:
    """Something happens to the org, until it is healed."""

    @contextmanager
    def cause(desk: Desk) -> Iterator[tuple[str, ...]]:
        act(desk)
        yield ()
        desk.heal()

    return cause


def fault(action: str, path: str, **settings: Any) -> Cause:
    """The org answers badly wherever the path matches."""
    return broken(lambda desk: desk.fault(action, path=path, times=FOREVER, **settings))


def job_told(state: str, message: str = "") -> Cause:
    body = json.dumps({"id": "750", "state": state, "numberRecordsProcessed": 3, "errorMessage": message})
    return fault("answer", r"jobs/query/750\w+$", method="GET", status=200, body=body)


QUERY, RESULTS = r"/queryall", r"/results"
BULK = ("bulk", "stage")
HTML = "<html><body><h1>We are down for maintenance</h1></body></html>"
EMPTY = json.dumps({"totalSize": 30, "done": True, "records": []})
LIKELY = [  # `test_cli.py` has the words for each of them; the short run takes some
    Trouble("wrong-secret", 2, ("Logging in", "SF_CLIENT_SECRET"), environment(SF_CLIENT_SECRET="wrong")),
    Trouble("no-login", 2, ("SF_",), environment(SF_CLIENT_ID=None, SF_CLIENT_SECRET=None, SF_LOGIN_URL=None)),
    Trouble("half-a-login", 2, ("SF_CLIENT_SECRET",), environment(SF_CLIENT_SECRET=None)),
    Trouble("plain-http", 2, ("http",), environment(SF_LOGIN_URL="http://example.com")),
    Trouble(
        "nobody-listens", 75, ("127.0.0.1:9", "refused the connection", "port"), environment(SF_LOGIN_URL="http://127.0.0.1:9")
    ),
    Trouble("missing-field", 2, ("Nme", "Did you mean Name"), typed("--fields", "Id,Nme")),
    Trouble("hidden-field", 2, ("Description", "Account"), broken(lambda desk: desk.emulator.org.hide(["Account.Description"]))),
    Trouble("hidden-object", 2, ("Account",), broken(lambda desk: desk.emulator.org.hide(["Account"]))),
    Trouble("key-is-no-field", 2, ("the key Nmbr",), typed("--key", "Nmbr")),
    Trouble("unknown-deletes", 2, ("deletes='sometimes'", "soft, hard or ignore"), typed("--deletes", "sometimes")),
    Trouble("where-malformed", 2, ("MALFORMED_QUERY", "unexpected token"), typed("--where", "Name =")),
    Trouble("where-unknown-field", 2, ("Nme", "Did you mean Name"), typed("--where", "Nme = 'x'")),
    Trouble("where-open-quote", 2, ("quote is not closed",), typed("--where", "Name = 'x")),
    Trouble("where-escapes", 2, ("parentheses do not balance",), typed("--where", "Name = 'x') OR (Name != 'x'))")),
    Trouble("where-limit", 2, ("LIMIT",), typed("--where", "Name != 'x' LIMIT 5")),
]
MISTAKES = [
    Trouble("unknown-app", 2, ("Logging in", "SF_CLIENT_ID"), environment(SF_CLIENT_ID="wrong")),
    Trouble("where-hidden-field", 2, ("Rating",), broken(lambda desk: desk.emulator.org.hide(["Account.Rating"]))),
    Trouble("where-wrong-type", 2, ("NumberOfEmployees", "must be of type int"), typed("--where", "NumberOfEmployees = 'many'")),
]
REFUSALS = [
    Trouble("down", 75, ("503|SERVER_UNAVAILABLE",), fault("answer", "/services/data", status=503, body="")),
    Trouble(
        "maintenance-page",
        75,
        ("web page", "maintenance"),
        fault("answer", QUERY, status=200, body=HTML, content_type="text/html"),
    ),
    Trouble("no-json", 75, ("expected JSON",), fault("answer", QUERY, status=200, body="{", content_type="text/plain")),
    Trouble("login-expires-for-ever", 2, ("INVALID_SESSION_ID|expired",), fault("expire_session", "/services/data")),
    Trouble(
        "quota-used-up",
        75,
        ("REQUEST_LIMIT_EXCEEDED",),
        broken(lambda desk: desk.emulator.org.limits.set_max("DailyApiRequests", 0)),
    ),
    Trouble(
        "quota-ends-midway",
        75,
        ("daily API calls|REQUEST_LIMIT",),
        broken(lambda desk: desk.emulator.org.limits.set_max("DailyApiRequests", 3)),
    ),
    Trouble("rows-missing", 1, ("0 of 30 records",), fault("answer", QUERY, status=200, body=EMPTY), ("rest",)),
    Trouble(
        "no-more-jobs",
        75,
        ("Max bulk v2 query jobs",),
        broken(lambda desk: desk.emulator.org.limits.set_max("DailyBulkV2QueryJobs", 0)),
        BULK,
    ),
    Trouble(
        "job-fails",
        1,
        ("state:? Failed", "InternalServerError"),
        job_told("Failed", "InternalServerError : Retried more than 15 times"),
        BULK,
    ),
    Trouble("job-is-aborted", 1, ("state:? Aborted",), job_told("Aborted"), BULK),
    Trouble(
        "job-is-gone",
        1,
        ("somebody deleted it",),
        fault("answer", r"jobs/query/750\w+$", method="GET", status=404, body="[]"),
        BULK,
    ),
    Trouble("page-too-short", 1, ("3 of 10 rows came",), fault("truncate_rows", RESULTS, rows=3), BULK),
    Trouble("page-breaks-off", 75, ("broke off|ends early|cut",), fault("cut", RESULTS, after_bytes=30), BULK),
    Trouble("page-damaged", 75, ("damaged body",), fault("corrupt_gzip", RESULTS), BULK),
    Trouble(
        "page-of-json",
        1,
        ("application/json", "instead of CSV"),
        fault("answer", RESULTS, status=200, body='[{"message":"no"}]'),
        BULK,
    ),
    Trouble(
        "page-of-html",
        75,
        ("web page", "maintenance"),
        fault("answer", RESULTS, status=200, body=HTML, content_type="text/html"),
        BULK,
    ),
    Trouble(
        "page-of-others",
        1,
        ("first line",),
        fault("answer", RESULTS, status=200, body='"Id"\n"1"\n', content_type="text/csv"),
        BULK,
    ),
    Trouble("replies-get-lost", 75, ("127.0.0.1",), fault("lose_reply", RESULTS), BULK),
]


bulk_once = pytest.mark.parametrize("way", ["rest", pytest.param("bulk", marks=pytest.mark.long), "stage"])
"""Where what is done to pages of results is the same in both ways that have them, the short run does it in one."""


def in_turn(turn: bool) -> Any:
    """A mark for what the short run leaves out: each trouble that no other test tells of is met there, and each way by some."""
    return () if turn else pytest.mark.long


def later(trouble: Trouble, way: str) -> str:
    """The name of a case that has been synced before."""
    return f"later-{trouble.name}-{way}"


MATRIX = [
    *(
        pytest.param(trouble, way, True, marks=in_turn((at % 2, at // 2 % len(trouble.ways)) == (0, nth)), id=later(trouble, way))
        for at, trouble in enumerate(REFUSALS)
        for nth, way in enumerate(trouble.ways)
    ),
    *(
        pytest.param(trouble, trouble.ways[-1], False, marks=in_turn(at % 2 == 1), id=f"first-{trouble.name}")
        for at, trouble in enumerate(REFUSALS)
    ),
    *(
        pytest.param(trouble, "rest", later, marks=in_turn(at % 3 == 0 and bool(at % 2) is later), id=f"{trouble.name}-{later}")
        for at, trouble in enumerate(LIKELY)
        for later in (True, False)
    ),
    *(
        pytest.param(trouble, "rest", later, marks=in_turn(bool(at % 2) is later), id=f"{trouble.name}-{later}")
        for at, trouble in enumerate(MISTAKES)
        for later in (True, False)
    ),
]


@pytest.mark.parametrize(("trouble", "way", "later"), MATRIX)
def test_a_failed_sync_says_why_and_leaves_table_and_position_alone(trouble: Trouble, way: str, later: bool, desk: Desk) -> None:
    """One clear paragraph and the right exit code; table and position are the same bytes; the next good sync completes."""
    if later:
        assert desk.sync(way).exit_code == 0
        desk.life()
    before = desk.dump()
    assert (before != b"") == later
    with trouble.cause(desk) as arguments:
        more = (*arguments, "--where", "Rating = 'Hot'") if trouble.name == "where-hidden-field" else arguments
        told = desk.sync(way, *more)
    is_clear(told, exit_code=trouble.exit_code, says=trouble.says)
    assert desk.dump() == before
    if told.exit_code != 75:  # else whole pages are kept for the run that goes on
        assert list(desk.spool.iterdir()) == []
    assert desk.sync(way).exit_code == 0
    assert list(desk.spool.iterdir()) == []
    assert desk.equals_org()


def test_a_misspelt_object_is_told_with_a_suggestion(desk: Desk) -> None:
    """The near name is offered, and nothing is made."""
    told = desk.sync("rest", sobject="Acount")
    is_clear(told, exit_code=2, says=("Acount", "Did you mean Account"))
    assert desk.dump() == b""


def test_a_failure_in_json_has_the_same_words_and_code(desk: Desk) -> None:
    """One document with success false, the paragraph, the code, and no record counted."""
    desk.fault("truncate_rows", path=RESULTS, rows=3, times=FOREVER)
    told = desk.sync("bulk", "--json")
    (document,) = [json.loads(line) for line in told.out.splitlines()]
    assert (told.exit_code, told.err) == (1, "")
    assert (document["success"], document["exit_code"], document["records_processed"], document["actual_records"]) == (
        False,
        1,
        0,
        0,
    )
    assert "3 of 10 rows came" in document["error"]
    assert document["sync_method"] == "bulk_api_full"


@bulk_once
def test_a_rare_hiccup_is_not_even_noticed(way: str, desk: Desk) -> None:
    """Anything that goes wrong once is tried again, and the sync completes."""
    paths = {"rest": [QUERY], "bulk": [RESULTS], "stage": [RESULTS]}[way]
    assert desk.sync(way).exit_code == 0
    desk.life()
    for path in ["/describe", "/deleted", *paths]:
        desk.fault("answer", path=path, status=503)
        desk.fault("lose_reply", path=path, nth=2)
    desk.fault("truncate_rows", path=RESULTS, rows=1, nth=4)
    desk.fault("corrupt_gzip", path=RESULTS, nth=5)
    desk.fault("cut", path=RESULTS, nth=6, after_bytes=9)
    assert desk.sync(way).exit_code == 0
    assert desk.equals_org()


EXPIRIES = [
    *(("rest", *moment) for moment in (("/describe", 1), (QUERY, 1), (QUERY, 2), (r"/query(all)?/", 1))),
    *(
        ("bulk", *moment)
        for moment in ((r"jobs/query$", 1), (r"jobs/query/750\w+$", 1), ("resultPages", 1), (RESULTS, 1), (RESULTS, 2))
    ),
    *(("stage", *moment) for moment in (("/deleted", 1), (r"jobs/query/750\w+$", 1), (RESULTS, 2))),
]


@pytest.mark.parametrize(
    ("way", "path", "nth"), [pytest.param(*moment, marks=in_turn(at % 2 == 0)) for at, moment in enumerate(EXPIRIES)]
)
def test_a_session_that_expires_midway_is_renewed(way: str, path: str, nth: int, desk: Desk) -> None:
    """Whatever call the session ends before, a new one is fetched, and the sync completes. The short run takes every other."""
    if path == r"/query(all)?/":  # only a second page has such an address
        desk.add(2_000)
    desk.fault("expire_session", path=path, nth=nth)
    desk.emulator.calls.clear()
    told = desk.sync(way, *(("--bulk-threshold", "10000", "--stage-threshold", "10000") if way == "rest" else ()))
    assert told.exit_code == 0, told.err
    assert desk.equals_org()
    assert [call.status for call in desk.emulator.calls].count(401) >= 1


@bulk_once
def test_a_session_id_that_expires_cannot_be_renewed(way: str, desk: Desk) -> None:
    """A token as given ends as a clear refusal; with a fresh one the next sync completes."""
    assert desk.sync(way).exit_code == 0
    desk.life()
    before, login = desk.dump(), dict(desk.env)
    desk.env = {name: value for name, value in login.items() if not name.startswith("SF_")}
    desk.env |= {"SF_ACCESS_TOKEN": desk.login.authenticate().token().access_token, "SF_INSTANCE_URL": desk.emulator.url}
    desk.fault("expire_session", path={"rest": QUERY}.get(way, RESULTS), nth=2)
    is_clear(desk.sync(way), exit_code=2, says=("INVALID_SESSION_ID|expired",))
    assert desk.dump() == before
    desk.env["SF_ACCESS_TOKEN"] = desk.login.authenticate().token().access_token
    assert desk.sync(way).exit_code == 0
    assert desk.equals_org()


@pytest.mark.parametrize("way", [pytest.param("bulk", marks=pytest.mark.long), "stage"])
def test_a_job_that_never_ends_is_left_alone(way: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our patience ends, not the job: exit code 75 with the job's id, no abort, no deletion; the next sync completes."""
    assert desk.sync(way).exit_code == 0
    desk.life()
    before = desk.dump()
    monkeypatch.setattr(sync, "JOB_DEADLINE_S", 0.02)
    desk.emulator.org.config = replace(desk.emulator.config, job_ms=3_600_000)
    desk.emulator.calls.clear()
    others = {job.id for job in desk.emulator.org.jobs.all()}
    told = desk.sync(way)
    (job,) = [job for job in desk.emulator.org.jobs.all() if job.id not in others]
    assert job.state == "InProgress"
    is_clear(told, exit_code=75, says=(job.id, "still in state", "goes on"))
    assert not [call for call in desk.emulator.calls if call.method in ("PATCH", "DELETE")]
    assert desk.dump() == before
    desk.heal()
    monkeypatch.undo()
    assert desk.sync(way).exit_code == 0
    assert desk.equals_org()


@bulk_once
def test_a_field_hidden_while_it_is_read_stops_the_sync(way: str, desk: Desk) -> None:
    """A right that is lost between the description and the rows is an error, not a column of nulls."""
    assert desk.sync(way).exit_code == 0
    desk.life()
    before = desk.dump()
    with hidden_after_count(desk, "Account.Description"):
        is_clear(desk.sync(way), exit_code=2, says=("Description",))
    assert desk.dump() == before
    desk.heal()
    assert desk.sync(way).exit_code == 0
    assert desk.equals_org()


@contextmanager
def hidden_after_count(desk: Desk, name: str) -> Iterator[None]:
    """Takes the right to see something away as soon as the rows were counted."""
    calls = desk.emulator.calls
    add, counted = calls.add, 0

    def watch(call: Any) -> None:
        nonlocal counted
        add(call)
        counted += call.kind == "queryAll"
        if counted == 1:
            desk.emulator.org.hide([name])

    calls.add = watch  # type: ignore[method-assign]  # the log is told of a call before its answer leaves
    try:
        yield
    finally:
        del calls.add


def test_a_column_that_was_hidden_for_a_while_comes_back_whole(desk: Desk) -> None:
    """While a field is hidden its column stands still; when it is back, all rows are read anew."""
    every = ("--fields", "Id,Name,IsDeleted,SystemModstamp")
    assert desk.sync("rest").exit_code == 0
    desk.life()
    desk.emulator.org.hide(["Account.Description"])
    assert desk.sync("rest", *every).exit_code == 0
    with duckdb.connect(str(desk.lake), read_only=True) as connection:
        assert ("Description",) in connection.execute('SELECT column_name FROM (DESCRIBE "Account")').fetchall()
    desk.heal()
    assert desk.sync("rest").exit_code == 0
    assert desk.equals_org()


_SERVER = """
import re, sys, threading
from pathlib import Path
from halocline.emulator import faults
from halocline.emulator.bulk2.results import Results
from halocline.emulator.seed import seed
from halocline.emulator.server import EmulatorConfig, run_forever

store, deadly = Path(sys.argv[1]), sys.argv[2]

def stand_still():
    print("midway\\n", end="", flush=True)  # in one piece: two answers may get here at once
    threading.Event().wait()

def half(self, start, end, page=Results.page, **how):
    pieces = page(self, start, end, **how)
    yield next(pieces)
    if start:
        stand_still()
    yield from pieces

def take(self, method, path, *, target, take=faults.Faults.take, seen=[]):
    seen += [path] * path.lower().endswith("/queryall")
    if len(seen) == 2:
        stand_still()
    return take(self, method, path, target=target)

if deadly == "rest":
    faults.Faults.take = take
else:
    Results.page = half

def ready(emulator):
    seed(emulator.store, {"Account": 35})
    print(emulator.url, flush=True)

run_forever(EmulatorConfig(path=store, page_rows=10), on_ready=ready)
"""


@contextmanager
def an_org_of_its_own(store: Path, *, deadly: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An emulator in another process, which stands still in the middle of its answer by this way and says `midway`."""
    command = [sys.executable, "-c", _SERVER, str(store), deadly]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("way", [*(pytest.param(way, marks=pytest.mark.long) for way in ("rest", "bulk")), "stage"])
def test_an_org_killed_in_the_middle_of_an_answer_is_a_network_failure(way: str, desk: Desk, tmp_path: Path) -> None:
    """The process of the org dies while rows are read: exit code 75, nothing half-loaded; when it is back, the sync completes.

    By the other ways `test_cut_downloads.py` cuts the same answers without a process's death.
    """
    store = tmp_path / "org.sqlite"
    with an_org_of_its_own(store, deadly=way) as (process, url):
        desk.env["SF_LOGIN_URL"] = url
        with ThreadPoolExecutor() as other:
            killed = other.submit(kill_midway, process)
            try:
                told = desk.sync(way)
            finally:
                process.kill()  # a sync that ended before the middle would leave the other thread waiting for a word
            killed.result()
    is_clear(told, exit_code=75, says=("127.0.0.1", "broke off|cut the connection|refused the connection"))
    assert desk.dump() == b""
    with Emulator(EmulatorConfig(port=int(url.rpartition(":")[2]), path=store, page_rows=10)):
        assert desk.sync(way).exit_code == 0
    assert list(desk.spool.iterdir()) == []
    with duckdb.connect(str(desk.lake), read_only=True) as connection, sqlite3.connect(store) as org:
        sql = 'SELECT Id, Name, Description FROM "Account" ORDER BY Id'
        assert connection.execute(sql).fetchall() == org.execute(sql).fetchall()
    org.close()


def kill_midway(process: subprocess.Popen[str]) -> None:
    """Kills the process as soon as it says that it is in the middle of an answer."""
    assert process.stdout is not None
    word = process.stdout.readline()
    process.kill()  # whatever was said: an org that stands still would hold the sync up
    assert word == "midway\n"
