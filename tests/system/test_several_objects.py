"""Several objects in one run: side by side, each for itself, and what can be said of the columns of each."""

from __future__ import annotations

import hashlib
import hmac
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest

from halocline.errors import FixConfig, NotFound, SchemaConflict
from halocline.events import Event, JobProgress, Noticed, RunStarted
from halocline.sync import IntelligentSync, SobjectSync
from tests.command_line import app
from tests.system.laptop import Laptop, laptop
from tests.system.nursery import Nursery
from tests.system.test_cli import LAKE, PATIENCE_S, Done, Shell, shell_to

pytestmark = pytest.mark.system

SCHEMA = """
object: Closed__c
label: Closed
plural: Closed
flags: -queryable
fields:
  Text__c: string(80)
---
object: ContentDocumentLink
prefix: "06A"
label: Link
plural: Links
fields:
  ShareType: string(20)
"""
SECRET = "a long random text"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("several")


@pytest.fixture(scope="module")
def here(folder: Path) -> Iterator[Laptop]:
    """One org for all tests here, which only add to it: 40 Accounts, 60 Contacts, 30 Opportunities."""
    (folder / "schema.yaml").write_text(SCHEMA)
    with laptop(folder, schemas=(folder / "schema.yaml",), page_rows=20) as running:
        for name, count in (("Account", 40), ("Contact", 60), ("Opportunity", 30)):
            running.seed(name, count)
        yield running


@pytest.fixture
def shell(here: Laptop, tmp_path: Path) -> Shell:
    return shell_to(here, tmp_path)


Typed = Callable[..., Done]


@pytest.fixture
def typed(shell: Shell, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Runs a command as the shell would, but in this process: that is quicker."""

    def run(*words: str, **changes: str | None) -> Done:
        before, code = Path.cwd(), 0
        os.chdir(shell.folder)
        try:
            with mock.patch.dict(os.environ, shell.environment(changes), clear=True):
                app(list(words))
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            os.chdir(before)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


def system(here: Laptop, folder: Path, **settings: Any) -> IntelligentSync:
    """A system of the org with a file and a ledger of its own; pages of 20 rows by Bulk."""
    own = replace(here.settings, home=folder, **settings)
    made = IntelligentSync(f"duckdb:///{folder / 'lake.duckdb'}", here.client, settings=own)
    made.BULK_API_THRESHOLD = 1
    return made


def lake(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "lake.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


# ---- several at once


def test_objects_side_by_side_get_what_they_get_alone(here: Laptop, tmp_path: Path) -> None:
    """Every row of every object; calls are each object's own; one login for all; the second time nothing changes."""
    names = ["Account", "Contact", "Opportunity", "User"]
    here.org.calls.clear()
    with system(here, tmp_path) as together:
        told = together.sync_objects(names, "raw")
        assert [one["error"] for one in told] == [None] * 4
        assert [one["sobject"] for one in told] == names
        assert [one["actual_records"] for one in told][:3] == [40, 60, 30]
        again = together.sync_objects([SobjectSync(name, "raw", name) for name in names])
        assert [(one["sync_method"][-11:], one["actual_records"]) for one in again] == [("incremental", 0)] * 4
    assert sum(call.kind == "token" for call in here.org.calls) <= 1
    for name in names[:3]:
        rows = here.client.count(name)
        assert lake(tmp_path, f"SELECT count(*), count(DISTINCT Id) FROM raw.{name}") == [(rows, rows)]


def test_each_run_counts_its_own_calls(here: Laptop, tmp_path: Path) -> None:
    """However they overlap, the calls of all runs are those that the org has seen."""
    with system(here, tmp_path) as together:
        here.org.calls.clear()
        ended = list(together.run_all([SobjectSync(name, "raw", name) for name in ("Account", "Contact", "Opportunity")]))
        seen = [call for call in here.org.calls if call.kind != "token"]
        acknowledged = [call for call in seen if call.method == "DELETE"]
    assert [one.error for one in ended] == [None] * 3
    assert sum(one.run.api_calls for one in ended) == len(seen) - len(acknowledged), "jobs are deleted after the books are closed"


def test_one_that_fails_stops_no_other(here: Laptop, tmp_path: Path) -> None:
    """A misspelt object, one that cannot be queried, one that needs a filter: told, and the rest is carried."""
    with system(here, tmp_path) as together:
        told = together.sync_objects(["Acount", "Account", "Closed__c", "ContentDocumentLink", "Contact"], "raw")
    assert [one["success"] for one in told] == [False, True, False, False, True]
    assert "Did you mean Account" in str(told[0]["error"])
    assert "does not let this object be queried" in str(told[2]["error"])
    assert "only with a filter" in str(told[3]["error"])
    assert lake(tmp_path, "SELECT (SELECT count(*) FROM raw.Account), (SELECT count(*) FROM raw.Contact)") == [(40, 60)]


def test_patterns_and_what_they_leave_out(here: Laptop, typed: Typed) -> None:
    """--all and patterns take what can be read; the rest is told with its reason, once a reason."""
    done = typed("plan", "*C*", "--to", LAKE, "--exclude-object", "*Role*", "--exclude-object", "Campaign*", "--json")
    assert done.code == 0, done.err
    left_out = {one["sobject"]: one["left_out"] for one in done.documents if "left_out" in one}
    assert left_out == {
        "Closed__c": "Salesforce does not let it be queried",
        "ContentDocumentLink": "Salesforce queries it only with a filter",
    }
    planned = [one["object"] for one in done.documents if "method" in one]
    assert {"Account", "Case", "Contact"} <= set(planned)
    assert not {"Campaign", "OpportunityContactRole", "User"} & set(planned)
    done = typed("sync", "--all", "--to", LAKE, "--exclude-object", "*[!t]", "--exclude-object", "*[!cn]?", "--json")
    assert done.code == 0, done.err
    assert {one["sobject"] for one in done.documents if "sync_method" in one} >= {"Account", "Contact", "Event"}
    told = typed("sync", "Acc*", "C*t", "Clos*", "Cont*", "--to", LAKE)
    assert "Left out 1 object: Salesforce does not let it be queried (Closed__c)" in told.err
    assert told.code == 0


def test_dependencies_are_told(here: Laptop, typed: Typed) -> None:
    """Which objects refer to which of the run, and which are not in it: in sentences, and in JSON beside each object."""
    for verb in ("plan", "sync"):
        words = (verb, "Account", "Contact", "--to", LAKE, "--fields", "OwnerId,Contact.AccountId")
        text = typed(*words)
        said = text.out if verb == "plan" else text.err
        assert "Contact refers to Account (AccountId)" in said
        assert "Not in this run: User, to which Contact.OwnerId refer" in said.replace("Account.OwnerId, ", "")
        documents = typed(verb, "Account", "Contact", "--to", LAKE, "--fields", "OwnerId,Contact.AccountId", "--json").documents
        assert documents[1]["refers_to"] == {"Account": ["AccountId"]}
        assert documents[1]["not_in_run"] == {"User": ["OwnerId"]}


def test_an_interrupt_ends_all_of_them(tmp_path: Path, nursed: Nursery) -> None:
    """Ctrl-C while three jobs are waited for: code 130 at once, no table, no run left open, and the next sync does it all."""
    with laptop(tmp_path, job_ms=500_000) as here:
        for name in ("Account", "Contact", "Lead"):
            here.seed(name, 2)
        shell = shell_to(here, tmp_path, nursed)
        with shell.start("sync", "Account", "Contact", "Lead", "--to", LAKE, "--bulk-threshold", "1") as process:
            assert process.stderr is not None
            assert process.stdout is not None
            lines = {process.stderr.readline() for _ in range(3)}
            assert lines == {f"{name} -> main.{name}: bulk_api_full\n" for name in ("Account", "Contact", "Lead")}
            process.send_signal(signal.SIGINT)
            out, err = process.stdout.read(), process.stderr.read()
            assert (process.wait(PATIENCE_S), out) == (130, "")
        assert "Traceback" not in err
        states = [document["state"] for document in shell.run("runs", "--json").documents]
        assert states == ["failed"] * 3
        done = shell.run("sync", "Account", "Contact", "Lead", "--to", LAKE, "--json")
        assert [document["actual_records"] for document in done.documents] == [2, 2, 2]


def test_only_a_few_jobs_are_at_work_at_once(tmp_path: Path) -> None:
    """Six objects at a time make no more than three Bulk jobs at a time, and all of them come through."""
    running, most, lock = set[str](), [0], threading.Lock()

    def watch(event: Event) -> None:
        if isinstance(event, JobProgress):
            with lock:
                (running.discard if event.state == "JobComplete" else running.add)(event.job_id)
                most[0] = max(most[0], len(running))

    with laptop(tmp_path, job_ms=300) as here, system(here, tmp_path) as together:
        here.add("Account", 2, Name="{n}")
        jobs = [SobjectSync("Account", "raw", f"a{n}", fields=["Name"]) for n in range(6)]
        assert [one.error for one in together.run_all(jobs, parallel=6, watch=lambda _: watch)] == [None] * 6
    assert 1 < most[0] <= 3


def test_each_object_is_watched_by_itself(here: Laptop, tmp_path: Path) -> None:
    """A sink that is given for an object hears of that object only."""
    heard: dict[str, set[str]] = {"Account": set(), "Contact": set()}

    def sink_of(job: SobjectSync) -> Any:
        return lambda event: heard[job.sobject].add(event.object) if isinstance(event, RunStarted) else None

    with system(here, tmp_path) as together:
        list(together.run_all([SobjectSync(name, "raw", name, fields=["Name"]) for name in heard], watch=sink_of))
    assert heard == {"Account": {"Account"}, "Contact": {"Contact"}}


# ---- columns


def test_renamed_and_masked_columns_stay_so(here: Laptop, tmp_path: Path) -> None:
    """By every method the same; a second sync reads what changed; another mask or secret reads all once more."""
    job = SobjectSync(
        "Contact",
        "raw",
        "c",
        fields=["Email", "Phone", "LastName"],
        rename={"LastName": "surname"},
        mask={"Email": "hash", "phone": "null"},
    )
    truth = {one["Id"]: one["Email"] for one in here.client.query("SELECT Id, Email FROM Contact")}
    with system(here, tmp_path, mask_key=SECRET) as made:
        for bulk, stage in ((1_000, 2_000), (1, 2_000), (1, 1)):
            made.BULK_API_THRESHOLD, made.STAGE_THRESHOLD = bulk, stage
            made.run(replace(job, force_full_sync=True))
            rows = lake(tmp_path, "SELECT Id, Email, Phone, surname FROM raw.c")
            assert len(rows) == len(truth)
            for key, email, phone, surname in rows:
                raw = truth[key]
                assert email == (None if raw is None else hmac.new(SECRET.encode(), raw.encode(), hashlib.sha256).hexdigest())
                assert phone is None
                assert surname
        assert made.run(job).plan.method.endswith("_incremental")  # type: ignore[union-attr]  # it has run
        changed = made.run(replace(job, mask={"Email": "hash"}))
        assert changed.plan is not None
        assert (
            changed.plan.reasons[0] == "Everything is read: the renaming or masking of columns is another than at the last read."
        )
        assert made.run(replace(job, mask={"Email": "hash"})).rows_read < len(truth)
    with system(here, tmp_path, mask_key="another secret") as made:
        plan = made.plan(replace(job, mask={"Email": "hash"}))[1]
        assert plan.full


def test_no_masked_value_is_kept_anywhere(here: Laptop, shell: Shell, typed: Typed) -> None:
    """Neither table, ledger, spool nor what is printed holds one, after a run that went well and one that did not."""
    secret = "nobody-may-see@example.com"
    ids = here.add("Contact", 1, LastName="Secret", Email=secret)
    for words in (("--bulk-threshold", "1", "--stage-threshold", "1"), ("--full",), ("--full", "--key", "Email")):
        done = typed(
            "sync",
            "Contact",
            "--to",
            LAKE,
            "--mask",
            "Email=hash",
            "--json",
            *words,
            HALOCLINE_MASK_KEY=SECRET,
            HALOCLINE_SPOOL=str(shell.folder / "spool"),
        )
        assert secret not in done.out + done.err
        assert SECRET not in done.out + done.err
    with duckdb.connect(str(shell.folder / "lake.duckdb"), read_only=True) as connection:
        assert connection.execute(f"SELECT length(Email) FROM Contact WHERE Id = '{ids[0]}'").fetchall() == [(64,)]
    files = [path for path in shell.folder.rglob("*") if path.is_file()]
    assert {"lake.duckdb", "ledger.sqlite"} <= {path.name for path in files}
    for path in files:
        assert secret.encode() not in path.read_bytes(), path
        assert SECRET.encode() not in path.read_bytes(), path
    here.delete("Contact", ids[0])


def test_a_hashed_key_finds_its_rows_again(here: Laptop, tmp_path: Path) -> None:
    """Changes and deletions of a table whose Id is hashed reach the right rows."""
    job = SobjectSync("Lead", "raw", "leads", fields=["Company"], mask={"Id": "hash"}, deletes="hard")
    ids = here.add("Lead", 3, LastName="{n}", Company="old")
    with system(here, tmp_path, mask_key=SECRET) as made:
        made.run(job)
        here.change("Lead", ids[0], Company="new")
        here.delete("Lead", ids[1])
        here.purge("Lead", ids[1])
        second = made.run(job)
    assert second.counts is not None
    assert (second.counts.updated, second.counts.deleted) == (1, 1)
    assert sorted(lake(tmp_path, "SELECT Company FROM raw.leads")) == [("new",), ("old",)]


def test_a_whole_query_is_kept_up_to_date(here: Laptop, shell: Shell, typed: Typed) -> None:
    """By the command line: parents' columns, a condition, a rename of one of them; incremental from the second time on."""
    query = "SELECT Id, LastName, Account.Name, Owner.Username FROM Contact WHERE Account.Name != null"
    words = ("sync", "--soql", query, "--to", LAKE, "--rename", "Owner.Username=owner", "--json")
    (first,) = typed(*words).documents
    rows = here.client.count("Contact", "Account.Name != null")
    assert (first["sobject"], first["success"], first["actual_records"]) == ("Contact", True, rows)
    (second,) = typed(*words).documents
    assert (second["sync_method"], second["actual_records"]) == ("regular_api_incremental", 0)
    columns = lake(shell.folder, "SELECT column_name FROM duckdb_columns() WHERE table_name = 'Contact' ORDER BY column_index")
    assert [name for (name,) in columns] == ["Id", "IsDeleted", "LastName", "SystemModstamp", "Account_Name", "owner"]


# ---- contracts and lookback


def test_a_frozen_table_refuses_other_columns(here: Laptop, tmp_path: Path) -> None:
    """New, gone and retyped ones, all named, before a row is read; the table is as before; a full sync accepts them."""
    job = SobjectSync("Account", "raw", "a", fields=["Name", "AnnualRevenue"], contract="freeze")
    with system(here, tmp_path) as made:
        made.run(job)
        before = lake(tmp_path, "SELECT * FROM raw.a ORDER BY Id")
        made.run(job)
        for other, words in (
            (replace(job, fields=["Name", "AnnualRevenue", "Site"]), "Site is new"),
            (replace(job, fields=["Name"]), "annualrevenue is gone"),
            (replace(job, numbers="double"), r"AnnualRevenue was decimal\(18,0\) and is double"),
        ):
            here.org.calls.clear()
            with pytest.raises(SchemaConflict, match=words) as caught:
                made.run(other)
            assert caught.value.exit_code == 2
            assert not {"query", "queryAll"} & set(here.kinds())
        assert lake(tmp_path, "SELECT * FROM raw.a ORDER BY Id") == before
        made.run(replace(job, fields=["Name", "Site"], force_full_sync=True))
        made.run(replace(job, fields=["Name", "Site"]))


@pytest.mark.parametrize("shaped", [{}, {"rename": {"Name": "called"}}], ids=["plain", "renamed"])
@pytest.mark.parametrize("where", [None, "Name = 'nobody is called so'"], ids=["emptied", "never filled"])
def test_a_table_without_rows_is_held_to_its_columns(
    here: Laptop, tmp_path: Path, where: str | None, shaped: dict[str, Any]
) -> None:
    """It is read anew, which is told, and takes in no column that its contract does not allow; a full sync does."""
    job = SobjectSync("Account", "raw", "a", fields=["Name"], where_clause=where, **shaped)
    wider = replace(job, fields=["Name", "Site"])
    with system(here, tmp_path) as made:
        made.run(job)
        with duckdb.connect(str(tmp_path / "lake.duckdb")) as connection:
            connection.execute("DELETE FROM raw.a")
        with pytest.raises(SchemaConflict, match="Site is new"):
            made.run(replace(wider, contract="freeze"))
        assert lake(tmp_path, "SELECT count(*) FROM raw.a") == [(0,)]
        survey, plan = made.plan(replace(wider, contract="discard"))
        assert (survey.emptied, plan.full, plan.reasons[0]) == (True, True, "The table has no rows, so everything is read.")
        assert "Site" not in plan.schema.names
        run = made.run(replace(job, contract="freeze"))
        assert run.plan is not None
        assert run.plan.full
        made.run(replace(wider, contract="freeze", force_full_sync=True))
        made.run(replace(wider, contract="freeze"))
    found = lake(tmp_path, "SELECT column_name FROM duckdb_columns() WHERE table_name = 'a' AND column_name = 'Site'")
    assert found == [("Site",)]


def test_new_columns_are_added_or_left_out_as_the_contract_says(here: Laptop, tmp_path: Path) -> None:
    """discard: the plan names them; evolve: they are read for all rows."""
    job = SobjectSync("Account", "raw", "a", fields=["Name"])
    wider = replace(job, fields=["Name", "Site"])
    with system(here, tmp_path) as made:
        made.run(job)
        run = made.run(replace(wider, contract="discard"))
        assert run.plan is not None
        assert run.plan.method.endswith("incremental")
        assert "Left out as new since the last read, as the contract (discard) says: Site." in run.plan.reasons
        assert "Site" not in run.plan.schema.names
        run = made.run(wider)
        assert run.plan is not None
        assert run.plan.full
        assert "Site" in run.plan.schema.names


@pytest.mark.parametrize("shaped", [{}, {"rename": {"Name": "called"}}], ids=["plain", "renamed"])
def test_a_column_that_the_table_lost_brings_in_none_that_is_left_out(
    here: Laptop, tmp_path: Path, shaped: dict[str, Any]
) -> None:
    """Under discard all rows are read for the lost one, and for no other; the plan names what is left out."""
    job = SobjectSync("Account", "raw", "a", fields=["Name", "Fax"], **shaped)
    wider = replace(job, fields=["Name", "Fax", "Site"], contract="discard")
    with system(here, tmp_path) as made:
        made.run(job)
        before = lake(tmp_path, "SELECT Id, Fax FROM raw.a ORDER BY Id")
        with duckdb.connect(str(tmp_path / "lake.duckdb")) as connection:
            connection.execute("ALTER TABLE raw.a DROP COLUMN Fax")
        run = made.run(wider)
        assert run.plan is not None
        assert "Everything is read: the table has lost the column Fax." in run.plan.reasons
        assert "Left out as new since the last read, as the contract (discard) says: Site." in run.plan.reasons
        names = [name for (name,) in lake(tmp_path, "SELECT column_name FROM duckdb_columns() WHERE table_name = 'a'")]
        assert ("Fax" in names, "Site" in names) == (True, False)
        assert lake(tmp_path, "SELECT Id, Fax FROM raw.a ORDER BY Id") == before
        run = made.run(wider)
        assert run.plan is not None
        assert (run.plan.full, "Site" in run.plan.schema.names) == (False, False)


def test_a_renamed_column_is_a_new_one_and_leaves_the_old_one(here: Laptop, tmp_path: Path) -> None:
    """Freeze and discard refuse it before a row is read; evolve adds it, and says that the old one keeps its values."""
    job = SobjectSync("Account", "raw", "a", fields=["Name", "Site"])
    other, heard = replace(job, rename={"Site": "place"}), list[Event]()
    told = "raw.a has columns that this load does not fill, and that keep their values: Site. Drop those that nobody is to see."
    with system(here, tmp_path) as made:
        made.run(job)
        before = lake(tmp_path, "SELECT * FROM raw.a ORDER BY Id")
        for contract in ("freeze", "discard"):
            here.org.calls.clear()
            with pytest.raises(SchemaConflict, match="Site was called Site and is called place"):
                made.run(replace(other, contract=contract))
            assert not {"query", "queryAll"} & set(here.kinds())
        assert lake(tmp_path, "SELECT * FROM raw.a ORDER BY Id") == before
        assert told in made.plan(other)[1].reasons
        run = made.run(other, sink=heard.append)
        assert run.plan is not None
        assert told in run.plan.reasons
        assert [event.message for event in heard if isinstance(event, Noticed)] == [told]
        assert made.run(replace(other, contract="freeze")).rows_read < len(before)
    assert lake(tmp_path, "SELECT count(*) FROM raw.a WHERE Site IS DISTINCT FROM place") == [(0,)]


@pytest.mark.parametrize("history", [False, True])
def test_a_column_that_is_masked_later_leaves_no_plain_values_unsaid(here: Laptop, tmp_path: Path, *, history: bool) -> None:
    """Under another name, and in a history under any, it is refused before a row is read; a full sync accepts it, and tells."""
    job = SobjectSync("Contact", "raw", "c", fields=["LastName", "Email"], history=history)
    renamed = replace(job, mask={"Email": "hash"}, rename={"Email": "email_hash"})
    masked, heard = replace(job, mask={"Email": "hash"}), list[Event]()
    with system(here, tmp_path, mask_key=SECRET) as made:
        made.run(job)
        before = lake(tmp_path, "SELECT * FROM raw.c ORDER BY Id")
        for other in (renamed, masked) if history else (renamed,):
            here.org.calls.clear()
            with pytest.raises(SchemaConflict, match="Email is to be masked") as caught:
                made.run(other)
            assert caught.value.exit_code == 2
            assert not {"query", "queryAll"} & set(here.kinds())
        assert lake(tmp_path, "SELECT * FROM raw.c ORDER BY Id") == before
        made.run(replace(renamed, force_full_sync=True), sink=heard.append)
        assert "keep their values: Email." in str([event for event in heard if isinstance(event, Noticed)])
        made.run(renamed)
        if not history:
            made.run(replace(masked, table="again"))
            made.run(replace(job, table="plain"))
            made.run(replace(masked, table="plain"))
            assert lake(tmp_path, "SELECT * FROM raw.plain ORDER BY Id") == lake(tmp_path, "SELECT * FROM raw.again ORDER BY Id")


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("way", ["left out", "hidden"])
def test_a_sync_without_the_column_does_not_get_round_that(here: Laptop, tmp_path: Path, way: str, *, history: bool) -> None:
    """What the last sync did not read, an earlier one may have: the table still has the column, so it is refused as before."""
    job = SobjectSync("Contact", "raw", "c", exclude=["Title"], history=history)
    renamed = replace(job, mask={"Email": "hash"}, rename={"Email": "email_hash"})
    masked = replace(job, mask={"Email": "hash"})
    with system(here, tmp_path, mask_key=SECRET) as made:
        made.run(job)
        if way == "hidden":
            here.org.org.hide(["Contact.Email"])
            try:
                made.run(job)
            finally:
                here.org.org.show()
        else:
            made.run(replace(job, exclude=["Title", "Email"]))
        before = lake(tmp_path, "SELECT * FROM raw.c ORDER BY Id")
        for other in (renamed, masked) if history else (renamed,):
            here.org.calls.clear()
            with pytest.raises(SchemaConflict, match=r"Email is to be masked.*; the last sync did not read it") as caught:
                made.run(other)
            assert caught.value.exit_code == 2
        assert lake(tmp_path, "SELECT * FROM raw.c ORDER BY Id") == before
        if history:
            made.run(replace(masked, force_full_sync=True))
        made.run(masked)
        new = replace(masked, exclude=[], mask={**masked.mask, "Title": "null"})
        made.run(new)  # a column that the table never had may come masked
        assert lake(tmp_path, "SELECT count(Title) FROM raw.c") == [(0,)]
        current = "WHERE valid_to IS NULL" if history else ""
        assert lake(tmp_path, f"SELECT count(*) FROM (FROM raw.c {current}) WHERE Email LIKE '%@%'") == [(0,)]


def test_the_lookback_is_what_is_asked(here: Laptop, tmp_path: Path) -> None:
    """The window begins so many seconds before the position."""
    job = SobjectSync("Account", "raw", "a", fields=["Name"])
    with system(here, tmp_path) as made:
        made.run(job)
        windows = [made.plan(replace(job, lookback_s=seconds))[1].window[0] for seconds in (0.0, 3_600.0, None)]
    none, hour, usual = (datetime.fromisoformat(str(one)) for one in windows)
    assert ((none - hour).total_seconds(), (none - usual).total_seconds()) == (3_600.0, 600.0)


# ---- bad input


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name an object, a pattern"),
        (("Account", "--all"), "leave the names out, or --all"),
        (("Acount*",), "no object is like 'Acount*'"),
        (("Account", "--exclude-object", "A*"), "nothing is left to read"),
        (("C*", "--table", "t"), "--table names one table"),
        (("Account", "--parallel", "0"), "--parallel: it takes a whole number from 1 up"),
        (("Account", "--rename", "Name"), "is no name=value"),
        (("Account", "--rename", "Name=a", "--rename", "NAME=b"), "given twice"),
        (("Account", "--rename", "Nmae=x"), "Did you mean Name"),
        (("Account", "--rename", "Name=Site"), "would both be called"),
        (("Account", "--rename", "Contact.Name=x"), "which is not among the objects"),
        (("Account", "--mask", "Name=md5"), "the mask 'md5' of Name is unknown"),
        (("Account", "--mask", "Nmae=null"), "Did you mean Name"),
        (("Account", "--mask", "Id=null"), "cannot be nulled"),
        (("Account", "--mask", "SystemModstamp=null"), "cannot be nulled"),
        (("Account", "--mask", "AnnualRevenue=hash"), "cannot be hashed"),
        (("Account", "--contract", "frozen"), "contract='frozen' is unknown"),
        (("Account", "--lookback", "-1"), "--lookback: it takes a number from 0"),
        (("Account", "--api-budget", "0"), "--api-budget: it takes a whole number from 1"),
        (("--soql", "SELECT COUNT() FROM Account"), "is computed"),
        (("--soql", "SELECT Id FROM Account", "--where", "Name = 'x'"), "given as well"),
        (("Contact", "--soql", "SELECT Id FROM Account"), "it reads Account"),
        (("--soql", "SELECT Id FROM Account", "--all"), "--soql reads one object"),
    ],
)
def test_a_wrong_option_is_code_2_and_changes_nothing(shell: Shell, typed: Typed, words: tuple[str, ...], told: str) -> None:
    """A clear word, exit code 2, and no table."""
    done = typed("sync", *words, "--to", LAKE, HALOCLINE_MASK_KEY=SECRET)
    assert done.code == 2
    assert told in " ".join((done.out + done.err).split())
    assert not (shell.folder / "lake.duckdb").exists() or lake(shell.folder, "FROM duckdb_tables()") == []


def test_a_hash_without_a_secret_is_told(typed: Typed) -> None:
    """The message names the variable."""
    done = typed("sync", "Account", "--to", LAKE, "--mask", "Name=hash")
    assert (done.code, "HALOCLINE_MASK_KEY" in done.err) == (2, True)


def test_a_choice_that_cannot_be_made_is_raised(here: Laptop, tmp_path: Path) -> None:
    """There is no object to tell it of."""
    with system(here, tmp_path) as made, pytest.raises(NotFound):
        made.sync_objects(["Acount*"])
    with system(here, tmp_path) as made, pytest.raises(FixConfig, match="lets nothing run"):
        made.sync_objects(["Account", "Contact"], parallel=0)
