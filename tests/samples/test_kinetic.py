"""Laws of the kinetic-core document about pipelines: its code runs here with no edit but the listed ones."""

from __future__ import annotations

import ast
import builtins
import datetime as dt
import inspect
import json
import re
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import schedule
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from halocline.compat.kinetic import FieldMapper
from halocline.compat.kinetic.pipeline import SyncMode, SyncPipeline, SyncResult, SyncStatus
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.errors import FixConfig
from tests.connectors.postgres.server import Server
from tests.samples.documents import FOLDER, Document, fenced, table, unmade

KINETIC = Document("kinetic.md", "kinetic")
SIGNATURES = ("signature-init", "signature-sync", "signature-from-config")
RUN = [name for name in KINETIC.blocks() if name not in SIGNATURES]
TABLES = ("mode-values", "status-values", "callback-values")
API_USERNAME = "api@halocline.example"
GOOD = {"Name": "Good"}
MIXED = [{"Name": "ACME Corp"}, {"Phone": "555-1111"}, {"Name": "Initech"}]
"""Three records, of which Salesforce refuses the second: it has no name."""
NAMELESS = "REQUIRED_FIELD_MISSING: Required fields are missing: [Name]"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def org(key: rsa.RSAPrivateKey) -> Iterator[Emulator]:
    """The org of the document, empty."""
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with Emulator(EmulatorConfig(schemas=(FOLDER / "kinetic.yaml",), public_keys=(public.decode(),))) as running:
        running.checkpoint()
        yield running


@dataclass(slots=True)
class World:
    """What the samples find: the org, and the names that are supplied to them. `left` are the names that the last one left."""

    org: Emulator
    names: dict[str, object] = field(default_factory=dict)
    left: dict[str, Any] = field(default_factory=dict)

    def run(self, name: str, **names: object) -> dict[str, Any]:
        """Run a sample; the names it left behind."""
        self.left = KINETIC.run(name, {**self.names, **names})
        return self.left

    def accounts(self, columns: str = "Name") -> list[tuple[object, ...]]:
        """These columns of all accounts, in the order in which they were made."""
        return [tuple(row.values()) for row in self.org.query(f"SELECT {columns} FROM Account ORDER BY Id")]


@pytest.fixture
def world(
    org: Emulator, key: rsa.RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    """The document's org as if just made, a folder to run in, and what the sample `setup` leaves: it is run first."""
    org.reset()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    (tmp_path / "key.pem").touch(mode=0o600)
    (tmp_path / "key.pem").write_bytes(key.private_bytes(*form))
    monkeypatch.chdir(tmp_path)
    for variable, value in {
        "SF_CLIENT_ID": org.config.consumer_key,
        "SF_USERNAME": API_USERNAME,
        "SF_PRIVATE_KEY_PATH": str(tmp_path / "key.pem"),
        "SF_LOGIN_URL": org.url,
        "HALOCLINE_HOME": str(tmp_path / "home"),
    }.items():
        monkeypatch.setenv(variable, value)
    made = World(org)
    left = made.run("setup")
    every = ("client", "pipeline", "SyncPipeline", "SyncMode", "FieldMapper")
    made.names = {**{name: left[name] for name in every}, "SyncStatus": SyncStatus}
    capsys.readouterr()
    yield made
    left["client"].close()


# ---- the lists are whole


def test_the_quotes_are_the_document(recorded_data: Path) -> None:
    """Every fenced block of the document is quoted here, letter by letter and in order; so are its tables of values."""
    document = recorded_data.parent / "spec" / "2-kinetic-core-pipelines.md"
    assert document.is_file(), f"HALOCLINE_TEST_DATA has no document beside it: {document}"
    original = document.read_text(encoding="utf-8")
    assert list(KINETIC.blocks().values()) == fenced(original)
    headings = ("## SyncMode Enum", "## SyncStatus Enum", "**Available Callbacks**")
    for name, heading in zip(TABLES, headings, strict=True):
        assert quoted_table(name) == first_table(original.partition(heading)[2])


def first_table(text: str) -> list[list[str]]:
    found = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert found is not None
    return table(found[0])


def quoted_table(name: str) -> list[list[str]]:
    return first_table(f"{KINETIC.text}\n".partition(f"## {name}\n")[2])


def test_every_block_has_its_place() -> None:
    """A block is run or compared; no list names a block that is not there."""
    assert {row[0] for row in KINETIC.edits("outputs")} == {*SIGNATURES, *TABLES}
    named = {row[0] for section in ("text replaced", "names supplied", "copies") for row in KINETIC.edits(section)}
    assert named | {row[0] for row in KINETIC.edits("the world around")} <= set(RUN)
    reasons = [
        row[-1] for section in ("text replaced", "names supplied", "the world around", "copies") for row in KINETIC.edits(section)
    ]
    assert all(reasons)
    tests = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert set(RUN) <= tests


@pytest.mark.parametrize("name", RUN)
def test_just_the_names_that_a_sample_lacks_are_supplied(name: str) -> None:
    """The list of supplied names is exactly what the sample uses and does not make: none is slipped in beside."""
    assert unmade(KINETIC.edited(name)) == {row[1] for row in KINETIC.edits("names supplied") if row[0] == name}


# ---- signatures and values


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("signature-init", SyncPipeline.__init__),
        ("signature-sync", SyncPipeline.sync),
        ("signature-from-config", SyncPipeline.from_config),
    ],
)
def test_signatures(name: str, ours: Callable[..., Any]) -> None:
    """Names, order and defaults are the document's; what is more is by keyword only and has a default."""
    text = KINETIC.blocks()[name].text.rstrip()
    (function,) = ast.parse(f"{text}: ...").body
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args.args
    defaults = [None] * (len(arguments) - len(function.args.defaults)) + [ast.unparse(one) for one in function.args.defaults]
    documented = {
        argument.arg: default
        for argument, default in zip(arguments, defaults, strict=True)
        if argument.arg not in {"self", "cls"}
    }
    parameters = {name: one for name, one in inspect.signature(ours).parameters.items() if name != "self"}
    positional = {name: one for name, one in parameters.items() if one.kind is not inspect.Parameter.KEYWORD_ONLY}
    assert list(positional) == list(documented)
    given = {name: None if default is None else eval(default) for name, default in documented.items()}
    assert {name: None if one.default is inspect.Parameter.empty else one.default for name, one in positional.items()} == given
    assert [name for name, one in parameters.items() if name not in positional and one.default is inspect.Parameter.empty] == []


def test_values() -> None:
    """The members of both enums are the document's; the callbacks are called as its table says."""
    assert [member.name for member in SyncMode] == [*(row[0] for row in quoted_table("mode-values")), "HARD_DELETE"]
    assert [member.name for member in SyncStatus] == [row[0] for row in quoted_table("status-values")]
    assert [member.value for member in SyncStatus] == [row[0].lower() for row in quoted_table("status-values")]


@pytest.mark.system
def test_callbacks_have_the_documented_parameters(world: World) -> None:
    """Every callback of the table is called, with as many arguments as it says."""
    heard: dict[str, set[int]] = {}

    def listener(name: str) -> Callable[..., None]:
        return lambda *arguments: heard.setdefault(name, set()).add(len(arguments))

    documented = {row[0]: row[2].count(",") + 1 for row in quoted_table("callback-values")}
    SyncPipeline(world.names["client"], "Account", callbacks={name: listener(name) for name in documented}).sync(MIXED)
    assert heard == {name: {count} for name, count in documented.items()}


# ---- the samples run


def test_sync_modes(world: World) -> None:
    """The four modes are where the document imports them from."""
    left = world.run("sync-modes")
    assert [left[f"mode_{name}"].value for name in ("insert", "update", "upsert", "delete")] == [
        "insert",
        "update",
        "upsert",
        "delete",
    ]


@pytest.mark.system
def test_setup(world: World) -> None:
    """A JWT login from the environment, a mapper, a pipeline."""
    left = world.run("setup")
    left["client"].close()
    pipeline = left["pipeline"]
    assert (pipeline.sobject, pipeline.mode, pipeline.batch_size) == ("Account", SyncMode.INSERT, 100)


@pytest.mark.system
def test_sync_result(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Every documented property is there and prints as the document formats it."""
    data = [{"customer_name": "ACME Corp"}, {"customer_phone": "1"}, {"customer_name": "Initech"}, {"customer_name": "Globex"}]
    result = world.run("sync-result", data=data)["result"]
    ids = [f"Created: {row['Id']}" for row in world.org.query("SELECT Id FROM Account ORDER BY Id")]
    lines = capsys.readouterr().out.splitlines()
    told = ["Status: partial", "Total: 4", "Success: 3", "Errors: 1", "Success Rate: 75.0%", *ids]
    assert lines[:-2] == [*told, f"Failed record: {data[1]}", f"Error: {NAMELESS}"]
    assert re.fullmatch(r"Elapsed: [\d.]+s", lines[-2])
    assert re.fullmatch(r"Throughput: [\d.]+ rec/sec", lines[-1])
    assert result.errors[0]["record"] is data[1]


@pytest.mark.system
def test_sync(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Three records, mapped, written."""
    world.run("sync")
    assert capsys.readouterr().out == "✓ All 3 records synced successfully!\n"
    assert world.accounts("Name, Email") == [
        ("ACME Corp", "info@acme.com"),
        ("Globex Inc", "contact@globex.com"),
        ("Initech", "admin@initech.com"),
    ]


@pytest.mark.system
def test_from_config(world: World) -> None:
    """A pipeline of a dict, a function in its mapping included."""
    source_data = [{"ext_id": "K1", "company": "ACME Corp", "email": "INFO@ACME.COM", "industry": "Energy"}]
    left = world.run("from-config", source_data=source_data)
    assert left["result"].status is SyncStatus.SUCCESS
    assert (left["pipeline"].mode, left["pipeline"].batch_size) == (SyncMode.UPSERT, 100)
    assert world.accounts("External_Key__c, Name, Email, Industry") == [("K1", "ACME Corp", "info@acme.com", "Energy")]


@pytest.mark.system
def test_insert(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Two new accounts."""
    world.run("insert")
    assert capsys.readouterr().out == "Created 2 accounts\n"
    assert world.accounts() == [("New Company 1",), ("New Company 2",)]


@pytest.mark.system
def test_update(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Two accounts get their phones."""
    ids = [world.org.create("Account", GOOD) for _ in range(2)]
    world.run("update", account_ids=ids)
    assert capsys.readouterr().out == "Updated 2 accounts\n"
    assert world.accounts("Phone") == [("555-1111",), ("555-2222",)]


@pytest.mark.system
def test_update_with_mapping(world: World) -> None:
    """The Id is mapped like any other field."""
    ids = [world.org.create("Account", GOOD)]
    assert world.run("update-with-mapping", account_ids=ids)["result"].success_count == 1
    assert world.accounts("Phone, Industry") == [("555-1111", "Tech")]


@pytest.mark.system
def test_upsert(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Two new keys are two new accounts."""
    world.run("upsert")
    assert capsys.readouterr().out == "Upserted 2 accounts\n"
    assert world.accounts("External_Key__c, Name") == [("EXT001", "ACME Corp"), ("EXT002", "Globex Inc")]


@pytest.mark.system
def test_prevents_duplicates(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The first run creates two records, the second changes the same two."""
    left = world.run("upsert")
    world.org.reset()  # the sample calls the next run the first one
    capsys.readouterr()
    left = world.run("prevents-duplicates", pipeline=left["pipeline"], data=left["data"])
    assert capsys.readouterr().out == "Created: 2\nUpdated: 2\n"
    assert world.accounts("External_Key__c, Name") == [("EXT001", "ACME Corporation"), ("EXT002", "Globex Inc")]
    assert left["result1"].salesforce_ids == left["result2"].salesforce_ids
    assert [left[name].metadata["created"] for name in ("result1", "result2")] == [2, 0]


@pytest.mark.system
def test_delete(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Two accounts go to the recycle bin."""
    ids = [world.org.create("Account", GOOD) for _ in range(2)]
    world.run("delete", account_ids=ids)
    assert capsys.readouterr().out == "Deleted 2 accounts\n"
    assert world.accounts() == []
    assert len(world.org.query("SELECT Id FROM Account", all_rows=True)) == 2


@pytest.mark.system
def test_callbacks(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """All four are called, in order, and the batch's with the running counts."""
    world.run("callbacks", data=MIXED)
    ids = [row["Id"] for row in world.org.query("SELECT Id FROM Account ORDER BY Id")]
    assert capsys.readouterr().out.splitlines() == [
        *("Processing: ACME Corp", "Processing: Unknown", "Processing: Initech"),
        f"✓ Created {ids[0]} for ACME Corp",
        f"✗ Failed: None - {NAMELESS}.",
        f"✓ Created {ids[1]} for Initech",
        *("Batch 1/1 complete", "  Success: 2, Errors: 1"),
    ]


@pytest.mark.system
def test_progress_bar(world: World) -> None:
    """The bar of the real tqdm is full at the end, and was moved five times."""
    left = world.run("progress-bar", large_dataset=[{"Name": f"{number}"} for number in range(1_000)])
    assert (left["progress"].n, left["progress"].total) == (1_000, 1_000)
    assert left["result"].success_count == 1_000


@pytest.mark.system
def test_continue_on_error(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The bad record is told, the others are written."""
    world.run("continue-on-error", data=MIXED)
    assert capsys.readouterr().out == f"Processed: 3\nSuccess: 2\nFailed: 1\nError: {NAMELESS}\n"


@pytest.mark.system
def test_stop_on_error(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says which record it was and what Salesforce said; what comes after its call is not sent."""
    world.run("stop-on-error", data=[*MIXED, *([GOOD] * 200)])
    out = capsys.readouterr().out
    assert out.startswith("Pipeline stopped due to error: ")
    assert NAMELESS in out
    assert len(world.accounts()) < 203


@pytest.mark.system
def test_csv_import(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A CSV file by Python's own reader, with a function that lowers and one that makes numbers."""
    head = "Company Name,Email Address,Phone Number,Industry Type,Annual Revenue\n"
    Path("accounts.csv").write_text(
        f'{head}"Acme, Inc.",INFO@ACME.COM,555-1111,Energy,1200000\nInitech,A@B.COM,,,12.0\n', encoding="utf-8"
    )
    world.run("csv-import")
    assert re.fullmatch(r"Import complete:\n  Success: 2\n  Failed: 0\n  Duration: [\d.]+s\n", capsys.readouterr().out)
    assert world.accounts("Name, Email, Phone, Industry, AnnualRevenue") == [
        ("Acme, Inc.", "info@acme.com", "555-1111", "Energy", 1_200_000),
        ("Initech", "a@b.com", None, None, 12),
    ]


@contextmanager
def customers(server: Server, monkeypatch: pytest.MonkeyPatch, *, rows: str) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """The sample's database in a real PostgreSQL, with these customers, until the block ends; answers queries."""
    for variable, value in server.running.environment.items():
        monkeypatch.setenv(variable, value)
    with server.connected("postgres") as anybody:
        anybody.execute("CREATE ROLE \"user\" LOGIN PASSWORD 'pass'")
        anybody.execute('CREATE DATABASE mydb OWNER "user"')
        try:
            with server.connected("mydb") as administrator:
                columns = "id int PRIMARY KEY, name text, email text, phone text, synced boolean DEFAULT false"
                administrator.execute(f"CREATE TABLE customers ({columns})")  # type: ignore[arg-type]  # texts of the tests
                administrator.execute('ALTER TABLE customers OWNER TO "user"')
                administrator.execute(f"INSERT INTO customers (id, name, email, phone) VALUES {rows}")  # type: ignore[arg-type]
                yield lambda sql: administrator.execute(sql).fetchall()  # type: ignore[arg-type]
        finally:
            anybody.execute("DROP DATABASE mydb WITH (FORCE)")  # the sample leaves its connection open
            anybody.execute('DROP ROLE "user"')


@pytest.mark.system
def test_database(world: World, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Customers of a real PostgreSQL become accounts, and are marked there; the second run finds nothing to do."""
    rows = "(1, 'Acme', 'INFO@ACME.COM', '555-1111'), (2, 'Initech', 'a@b.com', NULL), (3, 'Zoë''s', 'Z@B.COM', '1')"
    with customers(server, monkeypatch, rows=rows) as ask:
        world.run("database")
        assert ask("SELECT id, synced FROM customers ORDER BY id") == [(1, True), (2, True), (3, True)]
        assert capsys.readouterr().out == "Synced 3 customers from database\n"
        before = len(world.org.calls)
        world.run("database")
        assert capsys.readouterr().out == "Synced 0 customers from database\n"
        assert len(world.org.calls) == before
    assert world.accounts("External_Customer_Id__c, Name, Email, Phone") == [
        (1, "Acme", "info@acme.com", "555-1111"),
        (2, "Initech", "a@b.com", None),
        (3, "Zoë's", "z@b.com", "1"),
    ]


@pytest.mark.system
def test_rows_are_marked_by_their_own_fate(world: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a bad row among them the sample's "first success_count rows" are the wrong ones; the errors say which they are."""
    rows = "(1, 'Acme', 'no address', NULL), (2, 'Initech', 'a@b.com', NULL), (3, 'Globex', 'c@d.com', NULL)"
    with customers(server, monkeypatch, rows=rows):
        left = world.run("database")
    assert left["success_ids"] == [1, 2], "the sample is as wrong as we say it is"
    failed = {error["row"] for error in left["result"].errors}
    assert [row["id"] for number, row in enumerate(left["db_data"]) if number not in failed] == [2, 3]


class Answering(requests.adapters.BaseAdapter):
    """Answers every request of `requests` from memory."""

    def __init__(self, body: object) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._body = json.dumps(body).encode()

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:  # type: ignore[override]
        self.asked.append(str(request.url))
        response = requests.Response()
        response.status_code, response._content, response.request = 200, self._body, request
        return response

    def close(self) -> None:
        pass


@pytest.fixture
def contacts(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """The sample's web service: two contacts of a known account, one of an unknown."""
    keys = ("external_id", "first_name", "last_name", "email", "company_name")
    people = [
        ("C1", "Ada", "Lovelace", "ADA@X.EXAMPLE", "K1"),
        ("C2", "Alan", "Turing", "A@X.EXAMPLE", "K1"),
        ("C3", "No", "One", "N@X.EXAMPLE", "K9"),
    ]
    answering = Answering([dict(zip(keys, person, strict=True)) for person in people])
    monkeypatch.setattr(requests.Session, "get_adapter", lambda *_, **__: answering)
    return answering


@pytest.mark.system
def test_api_with_retry(world: World, contacts: Answering) -> None:
    """It maps `Account.Name`: refused before a record is sent, naming the keys that would do."""
    with pytest.raises(FixConfig, match=r"Account\.Name.*no external id.*External_Key__c") as caught:
        world.run("api-with-retry")
    assert contacts.asked == ["https://api.example.com/contacts"]
    assert world.org.query("SELECT Id FROM Contact") == []
    assert {call.kind for call in world.org.calls} <= {"token", "describe", "query", "object.describe", "sobject.describe"}
    result: SyncResult = caught.value.result  # type: ignore[attr-defined]  # set by the pipeline
    assert (result.success_count, result.error_count, result.total_records) == (0, 0, 3)


@pytest.mark.system
def test_a_copy_with_an_external_id_succeeds(world: World, contacts: Answering, capsys: pytest.CaptureFixture[str]) -> None:
    """By the key of the account the contacts find their parents; the one without is tried three times and told."""
    parent = world.org.create("Account", {"Name": "Acme", "External_Key__c": "K1"})
    ((_, old, new, _),) = KINETIC.edits("copies")
    text = KINETIC.edited("api-with-retry")
    assert old in text
    exec(compile(text.replace(old, new), "kinetic.md:api-with-retry, copy", "exec"), {"client": world.names["client"]})
    assert capsys.readouterr().out.splitlines() == [
        *("Attempt 1: Processing 3 records", "  Success: 2, Failed: 1"),
        *("Attempt 2: Processing 1 records", "  Success: 0, Failed: 1"),
        *("Attempt 3: Processing 1 records", "  Success: 0, Failed: 1"),
        "Final result: 0 synced, 1 failed",
    ]
    found = world.org.query("SELECT External_Id__c, LastName, Email, AccountId FROM Contact ORDER BY External_Id__c")
    assert [tuple(row.values()) for row in found] == [
        ("C1", "Lovelace", "ada@x.example", parent),
        ("C2", "Turing", "a@x.example", parent),
    ]


class Enough(Exception):
    """The days of a test are over."""


class FakeClock:
    """The clock of the scheduler: a sleep moves it, and ends the loop after three days."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 3, 1, 12, 0)  # noqa: DTZ001 - the scheduler's own clock is a naive one
        self.end = self.now + dt.timedelta(days=3)

    def sleep(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)
        if self.now > self.end:
            raise Enough

    def as_time(self) -> types.ModuleType:
        """What the sample gets where it imports time."""
        module = types.ModuleType("time")
        module.sleep = self.sleep  # type: ignore[attr-defined]
        module.strftime = lambda form: format(self.now, form)  # type: ignore[attr-defined]
        return module

    def as_datetime(self) -> types.SimpleNamespace:
        """What the scheduler gets as the module datetime."""
        clock = self

        class Stopped(dt.datetime):
            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
                return clock.now.replace(tzinfo=tz)

        return types.SimpleNamespace(**{**vars(dt), "datetime": Stopped})


@pytest.mark.system
def test_scheduled(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Three nights at two o'clock: each day's leads are written once, and the errors of a bad night are sent on."""
    clock, sent = FakeClock(), []
    monkeypatch.setattr(schedule, "datetime", clock.as_datetime())
    monkeypatch.setattr(schedule, "default_scheduler", scheduler := schedule.Scheduler())
    monkeypatch.setattr(schedule, "jobs", scheduler.jobs)
    stand_ins = {"time": clock.as_time()}

    def importing(name: str, *rest: Any) -> types.ModuleType:
        return stand_ins.get(name) or builtins.__import__(name, *rest)

    nights = iter([[lead("L1")], [lead("L1", company="Changed"), lead("L2")], [lead("L3", last_name=None)]])
    supplied = {"fetch_leads_from_crm": lambda: next(nights), "send_error_notification": sent.extend}
    names = KINETIC.supplied("scheduled", {**world.names, **supplied})
    code = compile(KINETIC.edited("scheduled"), "kinetic.md:scheduled", "exec")
    with pytest.raises(Enough):
        exec(code, {**names, "__builtins__": {**vars(builtins), "__import__": importing}})
    assert next(nights, None) is None
    found = world.org.query("SELECT External_Lead_Id__c, Company, Email, Status FROM Lead ORDER BY External_Lead_Id__c")
    assert [tuple(row.values()) for row in found] == [
        ("L1", "Changed", "a@b.example", "New"),
        ("L2", "Acme", "a@b.example", "New"),
    ]
    assert [error["code"] for error in sent] == ["REQUIRED_FIELD_MISSING"]
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")] == [
        f"[2026-03-0{day} 02:00:00] Daily sync complete:" for day in (2, 3, 4)
    ]
    assert time.sleep is sys.modules["time"].sleep, "the real clock was left alone"


def lead(key: str, **changed: object) -> dict[str, object]:
    names = {"first_name": "Ada", "last_name": "Lovelace", "company": "Acme", "email": "A@B.EXAMPLE", "phone": "1"}
    return {"lead_id": key, **names, **changed}


@pytest.mark.system
def test_bulk_update(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Accounts are queried, judged, and updated in two batches with progress."""
    revenues = [20_000_000, 2_000_000, 2_000] * 100
    for revenue in revenues:
        world.org.create("Account", {"Name": "x", "Industry": "Technology", "AnnualRevenue": revenue})
    world.org.create("Account", {"Name": "x", "Industry": "Energy"})
    world.run("bulk-update")
    assert capsys.readouterr().out.splitlines()[:-1] == [
        *("Progress: 50.0% (1/2 batches)", "  Processed: 200/300", "Progress: 100.0% (2/2 batches)", "  Processed: 300/300"),
        *("", "✓ Update complete!", "  Total: 300", "  Updated: 300", "  Failed: 0"),
    ]
    assert world.accounts("Customer_Tier__c") == [*([("Platinum",), ("Gold",), ("Silver",)] * 100), (None,)]


@pytest.mark.parametrize(("rows", "size"), [(999, 200), (9_999, 500), (10_000, 1_000)])
def test_batch_sizes(world: World, rows: int, size: int) -> None:
    """Every batch size of the sample is taken."""
    assert world.run("batch-sizes", data=[GOOD] * rows)["pipeline"].batch_size == size


def test_external_ids(world: World) -> None:
    """Both pipelines can be made; the first would upsert, the second insert."""
    assert world.run("external-ids")["pipeline"].mode is SyncMode.INSERT


@pytest.mark.system
def test_handle_errors(world: World) -> None:
    """The file holds one error, whole."""
    world.run("handle-errors", data=MIXED)
    (line,) = Path("sync_errors.log").read_text().splitlines()
    assert NAMELESS in line
    assert str(MIXED[1]) in line


def test_field_mapping(world: World) -> None:
    """With and without a mapper."""
    left = world.run("field-mapping", data=[{"customer_name": "x"}], transform=lambda record: {"Name": record["customer_name"]})
    assert isinstance(left["mapper"], FieldMapper)
    assert (left["pipeline"].mapper, left["transformed_data"]) == (None, [{"Name": "x"}])


@pytest.mark.system
def test_performance(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The metadata are numbers that can be compared."""
    world.run("performance", data=[{"customer_name": "x"}])
    assert re.match(r"Throughput: [\d.]+ rec/sec\nDuration: [\d.]+s\n", capsys.readouterr().out)
