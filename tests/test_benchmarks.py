"""Laws of the benchmarks: what is counted is the contender and all of it, and a table that differs is no result.

Small runs of whole benchmarks start some twenty processes each: `--long` has them. Each time, rounds of extract and consume are
measured as the benchmark measures them, ours and a floor, and a contender that did not do the work is noticed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest
from benchmarks.measuring.process import Failed, run

from halocline.emulator.server import Emulator, EmulatorConfig

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ("extract", "push", "consume", "dynamodb")
ROWS = 2_000
LOSES = """
import contextlib, io, json, runpy, sys
from pathlib import Path
import duckdb
sys.path.insert(0, str(Path({floor!r}).parent))
with contextlib.redirect_stdout(io.StringIO()) as told:
    runpy.run_path({floor!r}, run_name="__main__")
with duckdb.connect(json.loads(sys.argv[1])["database"]) as database:
    database.execute("DELETE FROM accounts WHERE Id = (SELECT min(Id) FROM accounts)")
print(told.getvalue(), end="")
"""
MERGES = ("ours", "on conflict", "merge")
LAST = re.compile(r"extract: vs_best_peer=none vs_floor=(\S+) peak_mb=(\d+)((?: \w+=\S+)*)")
LAST_OF_POSTGRES = re.compile(r"postgres: vs_best_peer=none vs_floor=(\S+) peak_mb=(\d+)((?: \w+=\S+)*)")
LAST_OF_FILES = re.compile(r"files: vs_best_peer=none vs_floor=(\S+) peak_mb=(\d+)((?: \w+=\S+)*)")
LAST_OF_CONSUME = re.compile(
    r"consume: vs_boto3_loop=(\S+) vs_dramatiq=none idempotency_us=(\S+) idempotency_vs_set_nx=(\S+)"
    r" vs_powertools=none vs_celery=none vs_taskiq=none cpu_us_per_message=(\d+)((?: \w+=\S+)*)"
)
LAST_OF_DYNAMODB = re.compile(
    r"dynamodb: vs_boto3_decode=(\S+) vs_document_way=(\S+) vs_floor=(\S+) peak_mb=(\d+)((?: \w+=\S+)*)"
)
LAST_OF_PUSH = re.compile(r"push: vs_best_peer=none vs_floor=(\S+) pipeline_vs_kinetic=none peak_mb=(\d+)((?: \w+=\S+)*)")
FIELDS = {"Id": "id", "Description": "textarea", "BillingCity": "string", "CreatedDate": "datetime", "AnnualRevenue": "currency"}
AWKWARD = (
    ("001A", "two\nlines", "Αθήνα", "2026-11-21T10:00:00Z", "12"),
    ("001B", 'a "quote"', "Seattle", "2026-11-21T11:00:00Z", None),
    ("001C", None, "Zürich", "2026-11-21T12:00:00Z", "0"),
)


@pytest.fixture(scope="module")
def measuring() -> Iterator[None]:
    """The benchmarks and their modules, found as a benchmark finds them."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "measuring" or name in BENCHMARKS:
            del sys.modules[name]


@pytest.fixture
def extract(measuring: None) -> ModuleType:
    """benchmarks/extract.py."""
    return import_module("extract")


@pytest.fixture(scope="module")
def aws(measuring: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The cloud of the benchmarks, which every turn begins by emptying."""
    with import_module("measuring.cloud").cloud(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.mark.system
@pytest.mark.long
def test_extract_measures_equal_tables_and_ends_with_its_figures() -> None:
    """Ours, the floor in three ways and two incremental runs give the same rows and the same content, or there are no figures."""
    env = {**os.environ, "ROWS": str(ROWS), "ROUNDS": "1", "SCALE": "1", "ONLY_PEERS": "none"}
    command = [sys.executable, str(ROOT / "benchmarks" / "extract.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.strip().splitlines()
    last = LAST.fullmatch(told[-1])
    assert last, told[-1]
    assert float(last[1]) > 0
    assert int(last[2]) > 50  # DuckDB and Arrow alone are more
    turns = [line.split("round 1")[1].split(" wall ")[0].strip() for line in told if "round 1" in line]
    assert sorted(turns) == ["floor gz", "floor gzip", "floor identity", "ours"]
    assert sum(f"{ROWS // 100} rows changed" in line for line in told) == 2
    assert "simple-salesforce" not in done.stdout


@pytest.mark.system
def test_a_table_without_one_of_the_rows_has_no_figures(extract: ModuleType, tmp_path: Path) -> None:
    """Ours and the floor leave equal tables; a table that lacks a row ends the benchmark."""
    loses = tmp_path / "loses.py"
    loses.write_text(LOSES.format(floor=str(ROOT / "benchmarks" / extract.FLOOR)))
    plain = {"encoding": "identity"}
    ours, floor = extract.Contender("ours", extract.OURS), extract.Contender("floor", extract.FLOOR, options=plain)
    org = extract.Org(tmp_path, accounts=300, seed_number=1)
    try:
        settings = extract.Settings(rows=300, rounds=1, peer_rounds=1, scale=1, peers="none", memory="160MB", seed=1)
        bench = extract.Bench(settings, org, tmp_path)
        costs = bench.rounds([ours, floor])
        assert all(costs[name][0].cpu_s > 0 for name in ("ours", "floor"))
        with pytest.raises(extract.Failed, match=r"loses has another table: .*'rows': 299"):
            bench.rounds([extract.Contender("loses", str(loses), options=plain)])
    finally:
        org.stop()


def test_a_contender_is_charged_for_its_own_memory_and_time(tmp_path: Path) -> None:
    """What a child allocates and burns is in its cost, and what it says is passed on."""
    burn = "import json, sys, time\nheld = b'x' * (120 << 20)\nwhile time.process_time() < 0.3: pass\n"
    script = tmp_path / "burn.py"
    script.write_text(burn + "print('noise')\nprint(json.dumps({'rows_read': json.loads(sys.argv[1])['rows']}))\n")
    cost = run([sys.executable, str(script)], {"rows": 7})
    assert cost.told == {"rows_read": 7}
    assert cost.peak_mb > 120
    assert cost.cpu_s >= 0.3
    assert cost.wall_s >= 0.3


@pytest.mark.parametrize("text", ["raise SystemExit(3)", "import json; print(json.dumps({}), flush=True); raise SystemExit(3)"])
def test_a_contender_that_fails_has_no_cost(tmp_path: Path, text: str) -> None:
    """A process that ends badly raises, whether it had answered or not."""
    script = tmp_path / "fails.py"
    script.write_text(text)
    with pytest.raises(Failed):
        run([sys.executable, str(script)], {})


def test_the_content_hash_knows_values_and_nothing_else(
    measuring: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Order of rows, case of names and the choice of a type change nothing; one changed value does, and so does null for text."""
    stamps, columns = "CreatedDate TIMESTAMPTZ", "Id VARCHAR, Description VARCHAR, BillingCity VARCHAR"
    changed = (*AWKWARD[:2], ("001C", "nan", *AWKWARD[2][2:]))
    table, found = import_module("measuring.table"), []
    for name, rows, kinds in (
        ("a", AWKWARD, f"{columns}, {stamps}"),
        ("b", AWKWARD[::-1], f"{columns}, {stamps}".upper().replace("TIMESTAMPTZ", "TIMESTAMP")),
        ("c", changed, f"{columns}, {stamps}"),
    ):
        wanted = _filled(tmp_path / f"{name}.duckdb", rows, kinds)
        monkeypatch.setattr(sys, "argv", ["table.py", json.dumps(wanted)])
        table.main()
        found.append(json.loads(capsys.readouterr().out))
    exact, other, differs = found
    assert exact == other
    assert exact["rows"] == len(AWKWARD)
    assert differs["content"] != exact["content"]


def _filled(path: Path, rows: tuple[tuple[str | None, ...], ...], columns: str) -> dict[str, object]:
    """What is asked of a table of these rows."""
    with duckdb.connect(str(path)) as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"CREATE TABLE accounts ({columns}, AnnualRevenue DECIMAL(18, 0))")
        database.executemany("INSERT INTO accounts VALUES (?, ?, ?, ?, ?)", rows)
    return {"database": str(path), "table": "main.accounts", "fields": FIELDS}


# ---- postgres


@pytest.mark.system
@pytest.mark.long
def test_postgres_measures_equal_tables_and_ends_with_its_figures() -> None:
    """Ours and the floors give the same table, in full, incrementally and after a merge, or there are no figures."""
    few = {"ROWS": "500", "ROUNDS": "1", "SCALE": "1", "MERGE_ROWS": "1000", "CHANGES": "100", "ONLY_PEERS": "none"}
    command = [sys.executable, str(ROOT / "benchmarks" / "postgres.py")]
    done = subprocess.run(command, env={**os.environ, **few}, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.strip().splitlines()
    last = LAST_OF_POSTGRES.fullmatch(told[-1])
    assert last, told[-1]
    assert float(last[1]) > 0
    assert int(last[2]) > 50  # Arrow alone is more, and it is the sync's process that is looked at, not who starts it
    names = [line.split(" wall ")[0].strip() for line in told if " wall " in line and not line.startswith("  round")]
    assert names[:5] == ["incremental  ours", "incremental  floor identity, with key", *(f"merge, {how}" for how in MERGES)]
    assert "merge_vs_hand=" in last[3]


def test_what_the_server_burns_is_charged(measuring: None, tmp_path: Path) -> None:
    """CPU of a session's process is the contender's, also when that process has ended."""
    script = tmp_path / "burn.py"
    script.write_text(
        "import json, sys, psycopg\n"
        "with psycopg.connect(json.loads(sys.argv[1])['uri']) as connection:\n"
        "    connection.execute('SELECT sum(sqrt(i)) FROM generate_series(1, 2000000) i')\n"
        "print(json.dumps({}))\n"
    )
    with import_module("measuring.server").server() as server:
        cost = server.measured([sys.executable, str(script)], {"uri": server.uri("postgres")})
    assert cost.told["server_cpu_s"] > 0.1
    assert cost.cpu_s == pytest.approx(cost.told["server_cpu_s"] + cost.told["client_cpu_s"])


# ---- push


@pytest.fixture
def push(measuring: None) -> ModuleType:
    """benchmarks/push.py."""
    return import_module("push")


@pytest.fixture(scope="module")
def running(measuring: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator in this process with the object of the benchmark."""
    schema = tmp_path_factory.mktemp("target") / "schema.yaml"
    schema.write_text(import_module("measuring.target")._SCHEMA, encoding="utf-8")
    with Emulator(EmulatorConfig(schemas=(schema,))) as emulator:
        emulator.checkpoint()
        yield emulator


@pytest.fixture
def target(running: Emulator) -> Any:
    """A target of the benchmark in it, without records."""
    running.reset()
    made = object.__new__(import_module("measuring.target").Target)
    session = running.org.sessions.start(running.org.api_user_id, org_id=running.org.org_id)
    made.url, made.token = running.url, session.token
    return made


@pytest.mark.system
@pytest.mark.long
def test_push_measures_work_that_was_done_and_ends_with_its_figures() -> None:
    """Ours by all its ways and the floor fill fresh orgs with the same rows, with latency too, or there are no figures."""
    few = {"ROWS": "300", "ROUNDS": "1", "SCALE": "2", "PIPELINE_ROWS": "250", "LATENCY_MS": "20", "ONLY_PEERS": "none"}
    command = [sys.executable, str(ROOT / "benchmarks" / "push.py")]
    done = subprocess.run(command, env={**os.environ, **few}, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.strip().splitlines()
    last = LAST_OF_PUSH.fullmatch(told[-1])
    assert last, told[-1]
    assert float(last[1]) > 0
    assert int(last[2]) > 50  # Arrow alone is more
    turns = [line.split(" wall ")[0].split(maxsplit=2) for line in told if " 1  " in line]
    for operation in ("upsert", "insert"):
        who = [name.strip() for kind, _, name in turns if kind == operation]
        assert sorted(who) == ["floor", "ours", "ours from Parquet", "ours, client.bulk"]
    calls = [int(line.partition(" calls ")[2]) for line in told if line.startswith("  pipeline  ours by collections")]
    assert len(calls) == 1
    assert 2 <= calls[0] < 10  # two are the rows' own
    assert "kinetic-core" not in done.stdout


def test_who_did_not_write_every_row_has_no_figures(
    push: ModuleType,
    target: Any,
    running: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A peer that only says so is out, with the reason told; ours would end the benchmark."""

    @contextmanager
    def fresh(_: object, operation: str) -> Iterator[Any]:
        running.reset()
        target.token = running.org.sessions.start(running.org.api_user_id, org_id=running.org.org_id).token
        yield target

    monkeypatch.setattr(push.Targets, "know", lambda *_: None)
    monkeypatch.setattr(push.Targets, "fresh", fresh)
    idle = tmp_path / "idle.py"
    idle.write_text("import json\nprint(json.dumps({'wall_s': 0.1, 'cpu_s': 0.1, 'written': 60, 'refused': 0}))\n")
    settings = push.Settings(rows=60, rounds=1, scale=1, pipeline_rows=10, latency_s=0.02, peers="none", front="pipeline", seed=1)
    bench = push.Bench(settings, tmp_path)
    floor = push.Contender("floor", push.FLOOR)
    costs = bench.rounds("upsert", [floor, push.Contender("idle", str(idle), is_peer=True)])
    assert list(costs) == ["floor"]
    assert "idle is out, it did not do the work (upsert): the org holds 0 records, not 60" in capsys.readouterr().out
    with pytest.raises(push.Undone):
        bench.rounds("insert", [push.Contender("ours", str(idle))])


def test_an_org_with_one_other_value_is_noticed(push: ModuleType, target: Any, tmp_path: Path) -> None:
    """The number of records, the sums over all, and the sample each tell alone."""
    made = run(
        [sys.executable, str(ROOT / "benchmarks/measuring/rows.py")],
        {"folder": str(tmp_path), "rows": 40, "forms": ["csv"], "files": 1},
    )
    at = {"url": target.url, "token": target.token, "home": str(tmp_path), "sobject": push.SOBJECT, "key": push.KEY}
    floor = [sys.executable, str(ROOT / "benchmarks" / push.FLOOR)]
    assert run(floor, {**at, "operation": "insert", "files": made.told["paths"]["csv"]}).told["refused"] == 0
    truth = made.told["truth"]
    sample = [{**truth["sample"][0], "City__c": "Bern"}, *truth["sample"][1:]]
    target.check(truth)
    for other in ({"rows": 41}, {"sums": [truth["sums"][0] + 1, truth["sums"][1]]}, {"sample": sample}):
        with pytest.raises(push.Undone):
            target.check({**truth, **other})


def test_latency_meets_every_call(target: Any) -> None:
    """Each call takes at least as long as was ordered, and they are counted; latency that met nobody is an error."""
    target.slow_down(0.02)
    for _ in range(3):
        began = time.monotonic()
        target.call("GET", "/services/data/v67.0/limits")
        assert time.monotonic() - began >= 0.02
    assert target.quicken() == 3
    target.slow_down(0.02)
    with pytest.raises(Exception, match="of 0 requests 0 had latency"):
        target.quicken()


# ---- files


@pytest.mark.system
@pytest.mark.long
def test_files_measures_jobs_that_were_done_and_ends_with_its_figures() -> None:
    """Ours by all its ways and the floor do the whole job, and every message goes all the way, or there are no figures."""
    few = {"ROWS": "200", "MESSAGES": "40", "LATENCY_MESSAGES": "20", "LATENCY_MS": "2", "ROUNDS": "1", "ONLY_PEERS": "none"}
    command = [sys.executable, str(ROOT / "benchmarks" / "files.py")]
    done = subprocess.run(command, env={**os.environ, **few}, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.strip().splitlines()
    last = LAST_OF_FILES.fullmatch(told[-1])
    assert last, told[-1]
    assert float(last[1]) > 0
    assert int(last[2]) > 50  # Arrow alone is more
    assert all(f" {where}_{phase}_vs_boto3=" in last[3] for where in ("queue", "far") for phase in ("send", "receive", "delete"))
    turns = [line.split("round 1")[1].split(" wall ")[0].strip() for line in told if "rows, round 1" in line]
    assert sorted(turns) == ["floor", "ours", "ours, Orchestrator", "ours, halocline run"]


@pytest.mark.system
def test_a_file_job_that_lacks_a_part_is_noticed(aws: Any, tmp_path: Path) -> None:
    """Rows, report and archive are looked at; what is as it should be passes."""
    landing, target = import_module("measuring.landing"), import_module("measuring.target")
    path = tmp_path / "landed.csv"
    made = run([sys.executable, str(ROOT / "benchmarks/measuring/landing_rows.py")], {"path": str(path), "rows": 40}).told
    truth, broken = made["truth"], made["broken"]
    wanted = {"sobject": target.SOBJECT, "key_field": target.KEY}
    with landing.landing(tmp_path, path, aws) as place:
        with pytest.raises(target.Undone, match="0 records"):
            place.check(truth, broken, tmp_path)
        cost = place.measured([sys.executable, str(ROOT / "benchmarks/contenders/files_floor.py")], wanted, env={})
        place.check(truth, broken, tmp_path)
        assert cost.told["refused"] == len(broken) == 20
        assert cost.told["aws_calls"] == 4
        with pytest.raises(target.Undone, match="the report tells of"):
            place.check(truth, broken[1:], tmp_path)
        path.write_text("other")
        with pytest.raises(target.Undone, match="is another file"):
            place.check(truth, broken, tmp_path)


# ---- consume

HASTY = """
import json, os, sys
import boto3
sys.path.append({benchmarks!r})
from measuring.consuming import serve
wanted, client, numbers = json.loads(sys.argv[1]), boto3.client("sqs"), []
def run():
    while True:
        found = client.receive_message(QueueUrl=wanted["queue"], MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for one in found.get("Messages", ()):
            {work}
serve(run, numbers)
"""
HANDLE = 'numbers.append(json.loads(one["Body"])["number"])'
DELETE = 'client.delete_message(QueueUrl=wanted["queue"], ReceiptHandle=one["ReceiptHandle"])'


@pytest.fixture
def consume(measuring: None) -> ModuleType:
    """benchmarks/consume.py."""
    return import_module("consume")


def near(consume: ModuleType) -> Any:
    """One round of few messages in a queue that is near."""
    return consume.Settings(8, 0.0, 0, 0, 1, only=("near",), peers=("theirs",), seed=1)


@pytest.mark.system
@pytest.mark.long
def test_consume_measures_messages_that_were_handled_and_ends_with_its_figures() -> None:
    """Ours and the bare loop handle every message once, near and far, and records are claimed, or there are no figures."""
    few = {"MESSAGES": "200", "LATENCY_MESSAGES": "100", "LATENCY_MS": "2", "RECORDS": "50", "ROUNDS": "1", "ONLY_PEERS": "none"}
    command = [sys.executable, str(ROOT / "benchmarks" / "consume.py")]
    done = subprocess.run(command, env={**os.environ, **few}, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.strip().splitlines()
    last = LAST_OF_CONSUME.fullmatch(told[-1])
    assert last, told[-1]
    assert all(float(figure) > 0 for figure in last.groups()[:4])
    assert " far_vs_boto3_loop=" in last[5]
    for where in ("near", "2 ms away"):
        turns = [line.partition("round 1  ")[2].partition("  ")[0] for line in told if f"  {where}, round 1" in line]
        assert sorted(turns) == ["boto3", "boto3, 4 threads", "ours", "ours, no store"]


@pytest.mark.system
def test_ours_and_the_bare_loop_have_figures(consume: ModuleType, aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They handle and delete every message once."""
    good = [one for one in consume.CONSUMERS if one.name in ("ours, no store", "boto3")]
    monkeypatch.setattr(consume, "CONSUMERS", good)
    turns = consume.Bench(near(consume), aws, "").rounds(400)  # fewer may be done before the first look
    assert {name: turn.cpu_s > 0 for name, (turn,) in turns.items()} == {"ours, no store": True, "boto3": True}


@pytest.mark.system
@pytest.mark.parametrize(
    ("work", "why"),
    [
        (DELETE, "its handlers saw 0 messages, and not 8"),
        pytest.param(f"{HANDLE}; {HANDLE}; {DELETE}", "its handlers saw 16 messages, and not 8", marks=pytest.mark.long),
        (HANDLE, "8 of 8 messages are left after 1.2 s"),
    ],
    ids=["deletes only", "handles twice", "handles only"],
)
def test_a_consumer_that_did_not_handle_and_delete_every_message_once_has_no_figures(
    consume: ModuleType,
    aws: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    work: str,
    why: str,
) -> None:
    """A peer of that kind is out, with the reason told."""
    script = tmp_path / "hasty.py"
    script.write_text(HASTY.format(benchmarks=str(ROOT / "benchmarks"), work=work))
    monkeypatch.setattr(consume, "python_of", lambda venv: Path(sys.executable))
    monkeypatch.setattr(consume, "LONGEST_S", 1.2)
    monkeypatch.setattr(consume, "CONSUMERS", [consume.Contender("hasty", str(script), 1.0, 1.0, venv="theirs")])
    assert consume.Bench(near(consume), aws, "").rounds(8) == {}
    assert f"hasty is out, it did not do the work: {why}" in capsys.readouterr().out


def test_when_ours_does_not_do_the_work_there_is_no_result(consume: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a peer's failure is its own affair."""

    def fail(*_: object, **__: object) -> None:
        raise consume.Failed("8 of 8 messages are left")

    monkeypatch.setattr(consume.Bench, "_turn", fail)
    monkeypatch.setattr(consume, "CONSUMERS", [consume.Contender("ours", "none.py", 1.0, 1.0)])
    with pytest.raises(consume.Failed, match="8 of 8 messages are left"):
        consume.Bench(near(consume), None, "").rounds(8)


@pytest.mark.system
def test_the_cpu_that_counts_is_the_consumers_until_the_queue_is_empty(consume: ModuleType, aws: Any, tmp_path: Path) -> None:
    """What handlers burn is charged; what was burnt before the first receive, and what another process burns, is not."""
    burn = "end = time.process_time() + {}\nwhile time.process_time() < end: pass\n"
    text = HASTY.replace("import json", "import time\n" + burn.format(0.6) + "import json", 1)
    script = tmp_path / "burns.py"
    busy = "end = time.process_time() + 0.05\n            while time.process_time() < end: pass\n            "
    script.write_text(text.format(benchmarks=str(ROOT / "benchmarks"), work=f"{busy}{HANDLE}; {DELETE}"))
    turn = consume.Bench(near(consume), aws, "")._turn(consume.Contender("burns", str(script), 1.0, 1.0), 8, latency_s=0.0)
    assert 8 * 0.05 <= turn.cpu_s < 0.6 + 8 * 0.05
    assert turn.wall_s >= 8 * 0.05
    assert turn.calls >= 8


# ---- dynamodb


@pytest.fixture
def dynamodb(measuring: None) -> ModuleType:
    """benchmarks/dynamodb.py."""
    return import_module("dynamodb")


@pytest.mark.system
@pytest.mark.long
def test_dynamodb_measures_equal_tables_and_ends_with_its_figures() -> None:
    """Ours by all its ways, the document's, boto3's and the floor leave the same rows, and decode the same values."""
    few = {"ITEMS": "200", "BLOCK": "100", "LARGER_ITEMS": "0", "DECODE_ITEMS": "100", "ROUNDS": "1", "DECODE_ROUNDS": "1"}
    command = [sys.executable, str(ROOT / "benchmarks" / "dynamodb.py")]
    env = {**os.environ, **few, "ONLY": "decode,whole"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.strip().splitlines()
    last = LAST_OF_DYNAMODB.fullmatch(told[-1])
    assert last, told[-1]
    assert all(float(figure) > 0 for figure in last.groups()[:3])
    assert int(last[4]) > 50  # Arrow alone is more
    turns = [line.split("round 1")[1].split(" wall ")[0].strip() for line in told if "round 1" in line]
    ours = ["ours", "ours, builder", "ours, document's names"]
    assert sorted(turns) == ["boto3 client, COPY", "document's way", "floor", *ours]


def test_who_leaves_another_table_than_the_document_s_way_ends_the_benchmark(dynamodb: ModuleType, tmp_path: Path) -> None:
    """Rows are counted, and their content is compared, before a figure is told."""

    class Fake:
        found: dict[str, object]

        def make(self, database: str, *, like: str) -> None: ...

        def drop(self, database: str) -> None: ...

        def uri(self, database: str) -> str:
            return database

        def measured(self, *told: object, **more: object) -> object:
            return dynamodb.Cost(1.0, 1.0, 1.0, {"rows": 3})

        def content(self, *told: object) -> dict[str, object]:
            return self.found

    server = Fake()
    bench = dynamodb.Bench(dynamodb.Settings.from_env(), tmp_path, server)
    ours, wanted, truth = dynamodb.LOADERS[0], {"url": "http://127.0.0.1:9"}, {"rows": 3, "content": "17"}
    server.found = truth
    assert bench._turn(ours, wanted, content=truth).wall_s == 1.0
    for other in ({**truth, "content": "18"}, {**truth, "rows": 2}):
        server.found = other
        with pytest.raises(dynamodb.Failed, match="ours says 3 rows and has another table"):
            bench._turn(ours, wanted, content=truth)


def test_the_prepared_dynamodb_gives_every_item_once_in_any_number_of_segments(measuring: None) -> None:
    """Each page is announced with its own checksum, and leads to the next one of its segment, until the last has no key."""
    table = import_module("measuring.dynamodb_process").Table(items=150, block=50)
    for segments in (1, 2, 5):
        keys = []
        for segment in range(segments):
            asked: dict[str, object] = {"Segment": segment, "TotalSegments": segments}
            while True:
                data, crc = table.scan(asked)
                assert crc == zlib.crc32(data)
                answer = json.loads(data)
                assert answer["Count"] == len(answer["Items"])
                keys += [item["documentId"]["S"] for item in answer["Items"]]
                if "LastEvaluatedKey" not in answer:
                    break
                asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        assert sorted(keys) == [f"doc-{block:03d}{number:06d}" for block in range(3) for number in range(50)]
