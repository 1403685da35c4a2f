"""Laws of SyncPipeline: whatever the records come from and whatever happens, each is accounted for once, and told so."""

from __future__ import annotations

import csv
import pickle
import socket
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halocline import ConditionalFieldMapper, FieldMapper
from halocline.config import Settings
from halocline.connectors.salesforce import ClientCredentialsAuthenticator, SalesforceClient
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.errors import (
    FixConfig,
    HaloclineError,
    LoginRefused,
    NetworkFailed,
    NotFound,
    QuotaExhausted,
    RejectRecord,
    Stopped,
)
from halocline.ledger import MemoryLedger, open_ledger
from halocline.pipeline import SyncMode, SyncPipeline, SyncResult, SyncStatus
from halocline.push.fields import checked
from halocline.push.order import WriteOrder
from halocline.retry import Policy
from halocline.rows.files import FileOptions
from halocline.rows.of import rows_of
from halocline.rows.query import Query
from tests.connectors.salesforce.writable import SCHEMA, HastyPace
from tests.examples import in_turn

pytestmark = pytest.mark.system

BOTH_WAYS = pytest.mark.parametrize("api", ["collections", "bulk"])
NAMELESS = "REQUIRED_FIELD_MISSING: Required fields are missing: [Name]"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    schema = tmp_path_factory.mktemp("schema") / "schema.yaml"
    schema.write_text(SCHEMA, encoding="utf-8")
    with Emulator(EmulatorConfig(schemas=(schema,))) as emulator:
        emulator.checkpoint()
        yield emulator


@dataclass(slots=True)
class Org:
    """An org without accounts, a client that hardly waits, and a place for the runs of its pipelines."""

    emulator: Emulator
    client: SalesforceClient
    settings: Settings
    heard: list[tuple[Any, ...]] = field(default_factory=list)

    def pipeline(self, sobject: str = "Account", **options: Any) -> SyncPipeline:
        """A pipeline into this org; by default it inserts accounts."""
        return SyncPipeline(self.client, sobject, settings=self.settings, **options)

    def upserting(self, **options: Any) -> SyncPipeline:
        return self.pipeline(mode="upsert", external_id_field="Ext__c", **options)

    def listening(self, *names: str) -> dict[str, Callable[..., None]]:
        """Callbacks that put what they hear into `heard`, under their own names."""
        return {name: lambda *arguments, name=name: self.heard.append((name, *arguments)) for name in names or LISTENERS}

    def accounts(self, columns: str = "Name") -> list[tuple[object, ...]]:
        return [tuple(row.values()) for row in self.emulator.query(f"SELECT {columns} FROM Account ORDER BY Name, Id")]

    def names(self) -> list[object]:
        return [name for (name,) in self.accounts()]

    def kinds(self) -> list[str]:
        """What was called since this was last asked, describes and logins left out."""
        found = [call.kind for call in self.emulator.calls if call.kind not in {"token", "describe", "describe.global", "query"}]
        self.emulator.calls.clear()
        return found

    def kept(self) -> list[Path]:
        """The folders of runs that are kept."""
        return sorted((self.settings.home / "runs").glob("*"))


LISTENERS = ("on_record_start", "on_record_success", "on_record_error")


@pytest.fixture
def org(running: Emulator, tmp_path: Path) -> Iterator[Org]:
    running.reset()
    config = running.config
    login = ClientCredentialsAuthenticator(config.consumer_key, config.consumer_secret, login_url=running.url)
    with SalesforceClient(login, pace=HastyPace().pace, retry=Policy(attempts=3)) as client:
        client.org_id()
        running.calls.clear()
        yield Org(running, client, Settings(tmp_path / "home", tmp_path / "spool"))


def records(count: int, **more: object) -> list[dict[str, Any]]:
    return [{"Name": f"n{number:05}", "Ext__c": f"e{number:05}", **more} for number in range(count)]


def names(count: int) -> list[str]:
    return [f"n{number:05}" for number in range(count)]


# ---- what can be written


def database(folder: Path) -> Query:
    connection = sqlite3.connect(folder / "some.db")
    connection.execute("CREATE TABLE t (Name TEXT, Ext__c TEXT)")
    connection.executemany("INSERT INTO t VALUES (:Name, :Ext__c)", records(3))
    connection.commit()
    return Query(connection, "SELECT Name, Ext__c FROM t ORDER BY Name")


def parquet(folder: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(records(3)), folder / "some.parquet")
    return folder / "some.parquet"


def text(name: str, content: str) -> Callable[[Path], Path]:
    def written(folder: Path) -> Path:
        (folder / name).write_text(content, encoding="utf-8")
        return folder / name

    return written


SOURCES: dict[str, Callable[[Path], object]] = {
    "list": lambda _: records(3),
    "tuple": lambda _: tuple(records(3)),
    "generator": lambda _: (record for record in records(3)),
    "Arrow table": lambda _: pa.Table.from_pylist(records(3)),
    "Arrow stream": lambda _: pa.Table.from_pylist(records(3)).to_reader(),
    "pandas": lambda _: pd.DataFrame(records(3)),
    "polars": lambda _: pl.DataFrame(records(3)),
    "CSV": text("some.csv", "Name,Ext__c\nn00000,e00000\nn00001,e00001\nn00002,e00002\n"),
    "CSV by its name": lambda folder: str(text("some.csv", "Name,Ext__c\nn00000,e00000\nn00001,e00001\nn00002,e00002\n")(folder)),
    "JSONL": text("some.jsonl", "".join(f'{{"Name": "n0000{n}", "Ext__c": "e0000{n}"}}\n' for n in range(3))),
    "Parquet": parquet,
    "query": database,
}


@pytest.mark.parametrize(("kind", "api"), in_turn(SOURCES, ("collections", "bulk")))
def test_anything_with_rows_is_written(org: Org, tmp_path: Path, kind: str, api: str) -> None:
    """The same three records, whatever they are kept in, on both paths, with their ids in the order of the source."""
    source = SOURCES[kind](tmp_path)
    result = org.upserting(api=api).sync(source)
    assert (result.status, result.total_records, result.success_count, result.error_count) == (SyncStatus.SUCCESS, 3, 3, 0)
    assert org.accounts("Name, Ext__c") == [(f"n0000{n}", f"e0000{n}") for n in range(3)]
    found = [row["Id"] for row in org.emulator.query("SELECT Id FROM Account ORDER BY Name")]
    assert result.salesforce_ids == found
    assert result.metadata["created"] == 3
    if isinstance(source, Query):
        source.connection.close()


def test_rows_that_somebody_holds_are_taken_as_they_are(org: Org, tmp_path: Path) -> None:
    """Rows read with options of their own, by `rows_of`; they stay open for whoever made them."""
    file = tmp_path / "some.csv"
    file.write_bytes("Name;Ext__c\nMüller;e1\n".encode("cp1252"))
    rows = rows_of(file, folder=tmp_path / "run", options=FileOptions(encoding="cp1252", delimiter=";"))
    assert org.upserting().sync(rows).metadata["created"] == 1
    assert org.upserting().sync(rows).metadata["updated"] == 1
    assert rows.records([0]) == [{"Name": "Müller", "Ext__c": "e1"}]
    rows.close()
    assert org.names() == ["Müller"]


@pytest.mark.parametrize("source", [[], (), iter(()), pa.table({"Name": pa.array([], pa.string())}), pd.DataFrame({"Name": []})])
def test_nothing_is_a_success_that_asks_nobody(org: Org, source: object) -> None:
    """No records: SUCCESS with 0, and no request; not even a login, and no run in the ledger."""

    class NeverAsked:
        def authenticate(self) -> object:
            raise AssertionError("nobody needs a login to do nothing")

    for client in (NeverAsked(), org.client):
        result = SyncPipeline(client, "Account", settings=org.settings, callbacks=org.listening()).sync(source)
        assert (result.status, result.total_records, result.success_rate) == (SyncStatus.SUCCESS, 0, 0.0)
        assert (result.errors, result.salesforce_ids, result.metadata["api_calls"]) == ([], [], 0)
    assert len(org.emulator.calls) == 0
    assert org.heard == []
    assert not org.settings.ledger.exists()


@pytest.mark.parametrize("source", [None, 7, {"Name": "x"}, "no such file.txt", b"Name\nx\n"])
def test_what_holds_no_records_is_refused(org: Org, source: object) -> None:
    """A single record, a text, a number: an error that says what to pass; the error carries a result all the same."""
    with pytest.raises(FixConfig) as told:
        org.pipeline().sync(source)
    assert result_of(told.value).status is SyncStatus.FAILED
    assert len(org.emulator.calls) == 0


def result_of(error: BaseException) -> SyncResult:
    """The result that an error carries."""
    result: SyncResult = error.result  # type: ignore[attr-defined]  # the pipeline puts it there
    if isinstance(error, HaloclineError):
        assert error.facts["result"] is result
    return result


def test_errors_and_results_come_back_from_a_worker_process(org: Org) -> None:
    """With message, result and rows; only what sends again stays behind with its pipeline, and a copy says what to do instead."""
    with pytest.raises(FixConfig, match="Did you mean Name") as told:
        org.pipeline().sync([{"Nmae": "x"}])
    there = pickle.loads(pickle.dumps(told.value))
    assert (type(there), str(there)) == (FixConfig, str(told.value))
    assert result_of(there).status is SyncStatus.FAILED
    result = org.pipeline().sync([{"Name": "x"}, {"Phone": "1"}])
    copied: SyncResult = pickle.loads(pickle.dumps(result))
    assert (copied.salesforce_ids, copied.errors) == (result.salesforce_ids, result.errors)
    assert (copied.status, copied.metadata, copied.failed_records) == (SyncStatus.PARTIAL, result.metadata, [{"Phone": "1"}])
    with pytest.raises(FixConfig, match="failed_records"):
        copied.retry()
    assert result.retry().total_records == 1


@pytest.mark.parametrize("mode", ["insert", "INSERT", SyncMode.INSERT])
def test_a_mode_may_be_a_text(org: Org, mode: str) -> None:
    """In any case."""
    assert org.pipeline(mode=mode).sync(records(1)).success_count == 1


@BOTH_WAYS
def test_all_modes(org: Org, api: str) -> None:
    """Insert, update, upsert, delete: what Salesforce holds after each, and what the result calls it."""
    made = org.pipeline(api=api).sync(records(3))
    assert (made.metadata["created"], made.metadata["updated"]) == (3, 0)
    rows = [{"Id": record_id, "Phone": "1"} for record_id in made.salesforce_ids]
    changed = org.pipeline(mode="update", api=api).sync(rows)
    assert (changed.metadata["updated"], changed.salesforce_ids) == (3, made.salesforce_ids)
    assert rows == [{"Id": record_id, "Phone": "1"} for record_id in made.salesforce_ids], "the caller's rows are the caller's"
    both = org.upserting(api=api).sync(records(4, Phone="2"))
    assert (both.metadata["created"], both.metadata["updated"]) == (1, 3)
    assert org.accounts("Name, Phone") == [(name, "2") for name in names(4)]
    gone = org.pipeline(mode="delete", api=api).sync([{"Id": record_id} for record_id in both.salesforce_ids])
    assert (gone.success_count, org.names()) == (4, [])


def test_hard_deletes_go_past_the_bin(org: Org) -> None:
    """The records are not even there for a query that sees the recycle bin."""
    made = org.pipeline().sync(records(3))
    assert org.pipeline(mode="hard_delete").sync([{"Id": one} for one in made.salesforce_ids]).success_count == 3
    assert org.emulator.query("SELECT Id FROM Account", all_rows=True) == []


def test_few_go_by_collections_and_many_by_bulk(org: Org) -> None:
    """2,000 records are ten calls; 2,001 are a job. `api` decides otherwise."""
    few = org.pipeline().sync(records(2_000))
    assert (few.metadata["api"], org.kinds()) == ("collections", ["collections.create"] * 10)
    many = org.upserting().sync(records(2_001))
    assert (many.metadata["api"], many.success_count) == ("bulk", 2_001)
    assert not [kind for kind in org.kinds() if kind.startswith("collections")]
    assert org.upserting(api="collections").sync(records(2_001)).metadata["api"] == "collections"


@pytest.mark.parametrize(("batch_size", "calls"), [(50, 6), (200, 2), (500, 2)])
def test_a_request_holds_at_most_a_batch(org: Org, batch_size: int, calls: int) -> None:
    """`batch_size` governs requests, up to Salesforce's 200."""
    org.pipeline(batch_size=batch_size).sync(records(300))
    assert org.kinds() == ["collections.create"] * calls


def test_records_with_one_key_travel_together(org: Org) -> None:
    """The later record's fields win, both have the fate of one, and the result says how many were folded."""
    rows = [{"Ext__c": "a", "Name": "old", "Phone": "1"}, {"Ext__c": "a", "Name": "new"}]
    result = org.upserting(callbacks=org.listening("on_record_success")).sync(rows)
    assert org.accounts("Name, Phone") == [("new", "1")]
    assert (result.success_count, result.metadata["folded"], len(set(result.salesforce_ids))) == (2, 1, 1)
    assert sorted((heard[1]["Name"], heard[2]) for heard in org.heard) == [
        ("new", result.salesforce_ids[0]),
        ("old", result.salesforce_ids[0]),
    ]


def test_empty_values_mean_what_the_source_means_or_what_is_said(org: Org, tmp_path: Path) -> None:
    """An empty cell of a file leaves the field, a None clears it; `nulls` says otherwise."""
    cells = text("some.csv", "Ext__c,Name,Phone\ne00000,n00000,\n")(tmp_path)

    def phone_after(source: object, **options: Any) -> object:
        org.upserting().sync(records(1, Phone="1"))
        assert org.upserting(**options).sync(source).status is SyncStatus.SUCCESS
        return org.accounts("Phone")[0][0]

    assert phone_after(cells) == "1"
    assert phone_after(cells, nulls="clear") is None
    assert phone_after(records(1, Phone=None)) is None
    assert phone_after(records(1, Phone=None), nulls="keep") == "1"


# ---- what is checked before anything is sent

BAD_NAMES: dict[str, tuple[dict[str, Any], list[dict[str, Any]], str]] = {
    "unknown": ({}, [{"Nmae": "x"}], r"Nmae: Account has no such field\. Did you mean Name"),
    "unknown in a late row": ({}, [*records(3_000), {"Name": "x", "Phon": "1"}], "Phon: .* Did you mean Phone"),
    "several": ({}, [{"Nmae": "x", "Phon": "1"}], "Nmae: .*; Phon: "),
    "no relationship": ({}, [{"Name": "x", "Parnt.Ext__c": "1"}], "no relationship 'Parnt'. Did you mean Parent"),
    "no key of a parent": ({}, [{"Name": "x", "Parent": {"Name": "y"}}], r"Parent.Name: .* no external id.*Ext__c"),
    "no text": ({}, [{"Name": "x", 7: "1"}], "7: a field's name is a text"),
    "a line that is longer than its header": (
        {},
        list(csv.DictReader(["Name", "a", "b,c"])),
        "None: .*csv.DictReader .*the file's path",
    ),
    "key is none": ({"mode": "upsert", "external_id_field": "Name"}, [{"Name": "x"}], "Name: it is no external id.*Ext__c"),
    "key is unknown": ({"mode": "upsert", "external_id_field": "Ex__c"}, [{"Ex__c": "x"}], "Ex__c: .* Did you mean Ext__c"),
}


@pytest.mark.parametrize("case", list(BAD_NAMES))
@BOTH_WAYS
def test_names_that_the_object_does_not_have_are_told_before_anything_is_sent(org: Org, case: str, api: str) -> None:
    """Without a mapper the rows' own names are looked at, all rows of them; nothing is sent and nothing left behind."""
    options, rows, words = BAD_NAMES[case]
    with pytest.raises(FixConfig, match=words) as told:
        org.pipeline(api=api, **options).sync(rows)
    assert org.kinds() == []
    assert org.kept() == []
    assert (result_of(told.value).total_records, result_of(told.value).success_count) == (len(rows), 0)


BY_KEY = {"mode": "upsert", "external_id_field": "Ext__c"}
UNWRITABLE: dict[str, tuple[dict[str, Any], object, str]] = {
    "new": ({}, pa.table({"Name": ["x"], "CreatedDate": ["2026-01-01"]}), "CreatedDate cannot be set when a record is created"),
    "changed": ({"mode": "update"}, [{"Id": "0", "IsDeleted": True}], "IsDeleted cannot be changed in a record that is there"),
    "upserted": (
        BY_KEY,
        [{"Ext__c": "x", "createddate": "y", "IsDeleted": False}],
        "IsDeleted cannot.*; createddate: CreatedDate cannot",
    ),
    "cleared": ({}, pa.table({"Name": ["x"], "CreatedDate": pa.nulls(1)}), "CreatedDate cannot be set"),
    "in a late row": ({}, [*records(3_000), {"Name": "x", "IsDeleted": False}], "IsDeleted cannot be set"),
    "compound": ({}, [{"Name": "x", "BillingAddress": {"city": "y"}}], "Write its parts instead: BillingStreet"),
    "an id of its own": ({}, [{"Name": "x", "Id": "001000000000001AAA"}], "Id cannot be set when a record is created"),
    "an id beside the key": (BY_KEY, [{"Ext__c": "x", "Id": "001000000000001AAA"}], "an upsert by another key takes no Id"),
    "a lookup": ({}, pa.table({"Name": ["x"], "CreatedBy.Username": ["y"]}), "CreatedById cannot be set"),
    "a lookup as a dict": ({}, [{"Name": "x", "CreatedBy": {"Username": "y"}}], "CreatedById cannot be set"),
    "a lookup that is cleared": ({}, [{"Name": "x", "CreatedBy": None}], "CreatedById cannot be set"),
    "a lookup in a struct": ({}, pa.table({"Name": ["x"], "Parent": [{"Nope": "y"}]}), "Account has no field 'Nope'"),
}


@pytest.mark.parametrize("case", list(UNWRITABLE))
def test_values_that_nobody_may_write_are_told_before_anything_is_sent(org: Org, case: str) -> None:
    """Without a mapper the describe is asked as with one: what the mode does with the field, be it named or looked up."""
    options, rows, words = UNWRITABLE[case]
    with pytest.raises(FixConfig, match=words):
        org.pipeline(**options).preview(rows)
    assert org.kinds() == []


def test_columns_that_nobody_may_write_do_no_harm_where_nothing_of_them_is_sent(org: Org, tmp_path: Path) -> None:
    """Empty cells that leave their fields, the key of an upsert, and whatever stands beside the id of a delete."""
    cells = text("some.csv", "Ext__c,Name,CreatedDate\ne1,a,\n")(tmp_path)
    assert org.upserting().sync(cells).success_count == 1
    assert org.upserting(nulls="keep").sync([{"Ext__c": "e1", "IsDeleted": None, "CreatedDate": ""}]).success_count == 1
    columns = {"Name": ["b"], "IsDeleted": pa.nulls(1, pa.bool_()), "CreatedDate": pa.array([""]).dictionary_encode()}
    (made,) = org.pipeline(nulls="keep").sync(pa.table(columns)).salesforce_ids
    assert org.pipeline(mode="update").sync([{"Id": made, "Name": "c"}]).success_count == 1
    assert org.pipeline(mode="delete").sync(pa.table({"Id": [made], "CreatedDate": ["2026-01-01"]})).success_count == 1
    with pytest.raises(FixConfig, match="CreatedDate cannot"):
        org.upserting().sync(text("cleared.csv", "Ext__c,CreatedDate\ne1,#N/A\n")(tmp_path))
    assert org.names() == ["a"]


class Described:
    """A destination of which only the describe is asked."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.describe = lambda _: described


def test_a_field_that_only_new_records_take_is_a_notice_of_an_upsert(org: Org) -> None:
    """The upsert may only ever create; the first rows tell. So does an object that the user may only change."""
    described = org.client.describe("Account")
    for one in described["fields"]:
        one["updateable"] &= one["name"] != "Phone"
    told: Any = partial(checked, order=WriteOrder("Account", SyncMode.UPSERT, "Ext__c"), mapper=None)
    rows = rows_of([{"Ext__c": "a", "Phone": "1"}], folder=org.settings.home)
    looked_at, notices = told(rows, destination=Described({**described, "createable": False}))
    assert [str(one).partition(". ")[0] for one in notices] == [
        "Account: records of it are not createable",
        "Phone: Phone cannot be changed in a record that is there",
    ]
    assert [len(batch.numbers) for batch in looked_at.batches()] == [1]
    with pytest.raises(FixConfig, match="records of it are not createable and not updateable"):
        told(rows, destination=Described({**described, "createable": False, "updateable": False}))


def test_a_table_of_new_records_without_a_field_that_they_need_is_told(org: Org) -> None:
    """No error, for the org may fill it itself; and not of dicts, which are refused one by one."""
    result = org.pipeline().sync(pa.table({"Phone": ["1"]}))
    assert (result.errors[0]["error"], len(result.metadata["notices"])) == (NAMELESS, 1)
    assert result.metadata["notices"][0].startswith("Name: a new Account needs it, and there is no such column")
    assert org.pipeline().preview([{"Phone": "1"}]).findings == ()


def test_a_table_without_the_key_is_told_at_once(org: Org) -> None:
    """Columns are known for all rows; dicts are refused one by one."""
    with pytest.raises(FixConfig, match=r"Ext__c: there is no such column.*Did you mean Ext_c"):
        org.upserting().sync(pa.table({"Ext_c": ["x"], "Name": ["x"]}))
    result = org.upserting().sync([{"Name": "x"}, {"Name": "y", "Ext__c": 0}])
    assert [(error["row"], error["code"], error["fields"]) for error in result.errors] == [(0, "MISSING_KEY", ("Ext__c",))]
    assert org.accounts("Name, Ext__c") == [("y", "0")], "0 is a key"


def test_names_that_are_no_fields_and_yet_right_pass(org: Org) -> None:
    """Lookups by key, dotted or as a dict, any case, the attributes of queried rows, a lookup that is cleared."""
    org.upserting().sync(records(1))
    rows = [
        {"name": "a", "Parent.Ext__c": "e00000", "attributes": {"type": "Account"}},
        {"NAME": "b", "Parent": {"Ext__c": "e00000"}},
        {"Name": "c", "Parent": None},
        {"Name": "d", "Parent": {"attributes": {"type": "Account", "url": "/x"}, "Ext__c": "e00000"}},
    ]
    assert org.pipeline().sync(rows).errors == []
    assert org.accounts("Name, Parent.Name")[3] == ("d", {"Name": "n00000"})
    assert org.accounts("Name, Parent.Name")[:2] == [("a", {"Name": "n00000"}), ("b", {"Name": "n00000"})]


def test_a_delete_reads_nothing_but_the_id(org: Org) -> None:
    """Other names may be whatever they are."""
    made = org.pipeline().sync(records(1))
    assert org.pipeline(mode="delete").sync([{"Id": made.salesforce_ids[0], "why": "old"}]).success_count == 1


def test_the_field_of_an_upsert_has_two_names() -> None:
    """That of the document, and that of the command line and halocline.yaml; both at once may not say two things."""
    login = {"access_token": "-", "instance_url": "https://example.my.salesforce.com"}
    by_key = SyncPipeline(login, "Account", mode="upsert", key="Ext__c")
    configured = SyncPipeline.from_config({"sobject": "Account", "mode": "upsert", "key": "Ext__c"}, login)
    assert by_key.external_id_field == configured.external_id_field == "Ext__c"
    with pytest.raises(FixConfig, match="two names of one setting"):
        SyncPipeline(login, "Account", mode="upsert", external_id_field="Ext__c", key="Other__c")


def test_an_unknown_object_is_told_with_near_names(org: Org) -> None:
    """Before anything is sent."""
    with pytest.raises(NotFound, match="Did you mean Account"):
        org.pipeline("Acount").sync(records(1))


def test_a_mapping_is_checked_against_the_object(org: Org) -> None:
    """All that no row can survive in one error; what some may not survive is told in the result."""
    mapper = FieldMapper({"a": "Nmae", "b": "CreatedDate", "c": "Parent.Name"})
    with pytest.raises(FixConfig, match=r"Nmae: .*CreatedDate.*Parent\.Name"):
        org.pipeline(mapper=mapper).sync([{"a": "x"}])
    assert org.kinds() == []
    result = org.upserting(mapper=FieldMapper({"e": "Ext__c", "p": "Phone"})).sync([{"e": "1", "p": "2"}])
    assert "a new Account needs it" in result.metadata["notices"][0]
    assert result.errors[0]["error"] == NAMELESS


def test_rows_are_mapped(org: Org) -> None:
    """By functions, conditions and defaults; a row that cannot be mapped is an error with the source's own record."""
    mapper = ConditionalFieldMapper(
        {"n": ("Name", str.strip), "r": ("AnnualRevenue", float), "p": ("Phone", None, "none")},
        {"Description": lambda row: f"was {row['n']!r}"},
    )
    rows = [{"n": "a ", "r": "1.5"}, {"n": "b", "r": "a lot"}, {"n": "c", "r": None, "p": "1"}]
    result = org.pipeline(mapper=mapper).sync(rows)
    assert org.accounts("Name, Phone, Description") == [("a", "none", "was 'a '"), ("c", "1", "was 'c'")]
    (error,) = result.errors
    assert error["record"] is rows[1]
    assert (error["row"], error["code"], error["fields"]) == (1, "MAPPING_FAILED", ("AnnualRevenue",))


@BOTH_WAYS
def test_a_csv_file_clears_a_field_that_a_function_fills(org: Org, tmp_path: Path, api: str) -> None:
    """`#N/A` is the order to clear, and no value that a transform could refuse; an empty cell leaves the field."""
    org.upserting(api=api).sync([{"Ext__c": key, "Name": key, "AnnualRevenue": 7} for key in "abc"])
    file = tmp_path / "rows.csv"
    file.write_text('Ext__c,revenue\na,#N/A\nb,"1,234.50"\nc,\n')
    mapper = FieldMapper({"Ext__c": "Ext__c", "revenue": ("AnnualRevenue", "decimal(.)")})
    result = org.upserting(mapper=mapper, api=api).sync(file)
    assert (result.success_count, result.errors) == (3, [])
    assert org.accounts("Ext__c, AnnualRevenue") == [("a", None), ("b", 1234.5), ("c", 7.0)]


def test_strict_refuses_rows_that_lack_a_field(org: Org) -> None:
    """A null that is there is not missing."""
    rows = [{"n": "a", "p": None}, {"n": "b"}]
    result = org.pipeline(mapper=FieldMapper({"n": "Name", "p": "Phone"}), strict=True).sync(rows)
    assert [(error["row"], error["code"]) for error in result.errors] == [(1, "SOURCE_FIELD_MISSING")]
    assert org.names() == ["a"]


# ---- what is told of errors


@BOTH_WAYS
def test_errors_say_all_that_salesforce_says(org: Org, api: str) -> None:
    """Record, text, row, code, message, fields - the record being the very dict of the caller."""
    rows = [*records(3), {"Phone": "1"}, 7, {"Name": "x", "AnnualRevenue": float("nan")}, {"Name": "last"}]
    result = org.pipeline(api=api).sync(rows)
    assert (result.status, result.success_count, result.error_count) == (SyncStatus.PARTIAL, 4, 3)
    assert result.success_rate == pytest.approx(400 / 7)
    refused = result.errors[0]
    assert refused["error"] == NAMELESS
    assert (refused["code"], refused["message"], refused["fields"]) == (*NAMELESS.split(": ", 1), ("Name",))
    assert [error["row"] for error in result.errors] == [3, 4, 5]
    assert all(error["record"] is rows[error["row"]] for error in result.errors)
    assert [error["code"] for error in result.errors[1:]] == ["CANNOT_BE_SENT"] * 2
    assert result.failed_records == [rows[3], rows[4], rows[5]]


def test_all_refused_is_failed(org: Org) -> None:
    """And none is written."""
    result = org.pipeline().sync([{"Phone": "1"}])
    assert (result.status, result.success_rate, result.salesforce_ids) == (SyncStatus.FAILED, 0.0, [])


def test_failed_records_can_be_sent_again(org: Org) -> None:
    """By `retry()`, and by `sync(result.failed_records)`; what was written is not sent again."""
    rows = [*records(2), {"Ext__c": "e9", "Phone": "1"}]
    pipeline = org.upserting()
    first = pipeline.sync(rows)
    assert (first.success_count, first.error_count) == (2, 1)
    assert first.retry().error_count == 1
    rows[2]["Name"] = "mended"
    again = first.retry()
    assert (again.status, again.total_records) == (SyncStatus.SUCCESS, 1)
    assert org.names() == ["mended", *names(2)]
    assert pipeline.sync(first.failed_records).metadata["updated"] == 1
    org.kinds()
    assert again.retry().status is SyncStatus.SUCCESS
    assert org.kinds() == []


def test_another_try_means_what_the_first_meant(org: Org, tmp_path: Path) -> None:
    """The records of a file come back as dicts, and their empty cells still leave fields as they are."""
    org.upserting().sync(records(1, Phone="1"))
    file = text("some.csv", "Ext__c,Name,Phone,AnnualRevenue\ne00000,n00000,,many\n")(tmp_path)
    first = org.upserting().sync(file)
    (failed,) = first.failed_records
    assert failed == {"Ext__c": "e00000", "Name": "n00000", "Phone": None, "AnnualRevenue": "many"}
    failed["AnnualRevenue"] = "5"  # type: ignore[index]  # a dict, told as a mapping
    assert first.retry().status is SyncStatus.SUCCESS
    assert org.accounts("Phone, AnnualRevenue") == [("1", 5)]


def test_records_in_doubt_are_told_and_not_tried_again(org: Org) -> None:
    """The answer of a call was lost after the work was done: its records may be there, and another try would double them."""
    org.emulator.faults.add("cut", kind="collections.create", where="after", nth=2)
    result = org.pipeline(callbacks=org.listening()).sync(records(600))
    assert (result.success_count, result.error_count, result.in_doubt_count) == (400, 200, 200)
    lost = [error["row"] for error in result.errors]
    assert lost in [list(range(first, first + 200)) for first in (0, 200, 400)], "one call's; they go side by side"
    assert result.failed_records == []
    assert len([heard for heard in org.heard if heard[0] == "on_record_error"]) == 200
    assert org.names() == names(600)


# ---- callbacks


@BOTH_WAYS
def test_every_record_is_started_and_ended_once(org: Org, api: str) -> None:
    """With the caller's own dict, its start first, the id of what was written, the error of what was not."""
    rows = [*records(250), {"Phone": "1"}, {"Name": float("nan")}]
    result = org.pipeline(api=api, batch_size=100, callbacks=org.listening()).sync(rows)
    starts = [heard[1] for heard in org.heard if heard[0] == "on_record_start"]
    ends = [heard for heard in org.heard if heard[0] != "on_record_start"]
    assert sorted(map(id, starts)) == sorted(map(id, rows))
    assert sorted(id(heard[1]) for heard in ends) == sorted(map(id, rows))
    place = {(heard[0] == "on_record_start", id(heard[1])): number for number, heard in enumerate(org.heard)}
    assert all(place[True, id(row)] < place[False, id(row)] for row in rows)
    ids = {id(heard[1]): heard[2] for heard in ends if heard[0] == "on_record_success"}
    assert [ids[id(row)] for row in rows[:250]] == result.salesforce_ids


def test_a_record_is_started_when_it_is_about_to_be_sent(org: Org) -> None:
    """At its start no call with it has been made; before a record of the last call, earlier calls have."""
    calls_at: list[int] = []
    callbacks = {"on_record_start": lambda _: calls_at.append(org.emulator.calls.count("collections.create"))}
    org.pipeline(stop_on_error=True, callbacks=callbacks).sync(records(450))
    assert calls_at == [0] * 200 + [1] * 200 + [2] * 50


def test_a_record_that_is_never_sent_is_started_just_before_its_error(org: Org) -> None:
    """Refused by the mapping: start, error, next."""
    rows = [{"n": "1"}, {"n": "x"}, {"n": "y"}]
    org.pipeline(mapper=FieldMapper({"n": ("Name", lambda value: str(int(value)))}), callbacks=org.listening()).sync(rows)
    told = [(heard[0].removeprefix("on_record_"), heard[1]["n"]) for heard in org.heard]
    assert told == [("start", "x"), ("error", "x"), ("start", "y"), ("error", "y"), ("start", "1"), ("success", "1")]


def test_an_error_is_an_exception_with_salesforces_words(org: Org) -> None:
    """Its text is code and message; it knows row, code and fields."""
    org.pipeline(callbacks=org.listening("on_record_error")).sync([{"Name": "x"}, {"Phone": "1"}])
    ((_, record, error),) = org.heard
    assert isinstance(error, RejectRecord)
    assert (str(error), record) == (f"{NAMELESS}.", {"Phone": "1"})
    assert (error.row, error.code, error.facts["fields"]) == (1, "REQUIRED_FIELD_MISSING", ("Name",))


@pytest.mark.parametrize(
    ("batches", "way"),
    in_turn([(10, 3), (9, 3), (1, 200), (450, 200)], product(("collections", "bulk"), ("list", "generator"))),
)
def test_batches_are_told_with_the_running_result(org: Org, batches: tuple[int, int], way: tuple[str, str]) -> None:
    """Number, an int of how many there are, and the very result, which then knows just so many records."""
    (count, size), (api, laid) = batches, way
    told: list[tuple[int, int, int, SyncStatus]] = []
    results: list[SyncResult] = []

    def on_batch(number: int, total: int, result: SyncResult) -> None:
        told.append((number, total, result.success_count + result.error_count, result.status))
        results.append(result)
        assert set(result.metadata) >= {"elapsed_seconds", "records_per_second", "mode", "sobject", "run", "api"}
        assert (result.total_records, result.metadata["mode"], result.metadata["sobject"]) == (count, "upsert", "Account")

    rows = [*records(count - 1), {"Ext__c": "x"}]
    source: Any = rows if laid == "list" else iter(rows)
    result = org.upserting(api=api, batch_size=size, callbacks={"on_batch_complete": on_batch}).sync(source)
    total = -(-count // size)
    known = [min(size * number, count) for number in range(1, total + 1)]
    assert told == [(number, total, so_many, SyncStatus.IN_PROGRESS) for number, so_many in enumerate(known, 1)]
    assert all(one is result for one in results)
    assert result.metadata["api_calls"] >= 1


@pytest.mark.parametrize("name", LISTENERS)
@BOTH_WAYS
def test_a_callback_that_raises_changes_nothing(org: Org, name: str, api: str) -> None:
    """The records are what they are; the fault is told at the end, in the result and by a warning that names the first."""

    def broken(*_: object) -> None:
        raise ValueError("my own mistake")

    rows = [*records(3), {"Phone": "1"}]
    with pytest.warns(RuntimeWarning, match=rf"{name} of row \d raised ValueError: my own mistake") as told:
        result = org.pipeline(api=api, callbacks={name: broken, "on_batch_complete": broken}).sync(rows)
    assert [warning.filename for warning in told] == [__file__]
    assert (result.success_count, result.error_count, result.total_records) == (3, 1, 4)
    faults = result.metadata["callback_errors"]
    assert len(faults) == {"on_record_start": 4, "on_record_success": 3, "on_record_error": 1}[name] + 1
    assert faults[-1] == "on_batch_complete of batch 1 raised ValueError: my own mistake"
    assert org.names() == names(3)


def test_a_callback_that_raises_is_told_beside_another_error(org: Org) -> None:
    """Where the sync ends in an error anyway, the fault is a note of that error."""
    callbacks = {"on_record_start": lambda record: record["no such key"]}
    with pytest.raises(Stopped) as told:
        org.pipeline(stop_on_error=True, callbacks=callbacks).sync([{"Phone": "1"}])
    assert "on_record_start of row 0 raised KeyError: 'no such key'" in told.value.__notes__[0]


def test_a_warning_that_is_an_error_carries_the_result(org: Org) -> None:
    """As every exception does."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning) as told:
            org.pipeline(callbacks={"on_record_start": lambda _: 1 / 0}).sync(records(2))
    assert result_of(told.value).success_count == 2


def test_an_interrupt_goes_through_and_the_next_call_goes_on(org: Org) -> None:
    """It is no mistake of the callback. What was sent is known, and the same records again do only the rest."""

    def interrupted(_: object, __: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as told:
        org.upserting(batch_size=2, callbacks={"on_record_success": interrupted}).sync(records(6))
    assert result_of(told.value).success_count == 2
    result = org.upserting(batch_size=2).sync(records(6))
    assert (result.status, result.success_count, org.names()) == (SyncStatus.SUCCESS, 6, names(6))
    assert "was interrupted; this run does the rest" in result.metadata["notices"][0]


# ---- when it stops


def test_stop_on_error_stops_after_the_call_with_the_error(org: Org) -> None:
    """One call at a time; the error says which row; what was written, refused and never tried is counted, and can be resent."""
    rows = [*records(250), {"Phone": "1"}, *[{"Name": f"z{n}"} for n in range(349)]]
    pipeline = org.pipeline(stop_on_error=True, batch_size=100, callbacks=org.listening("on_record_start", "on_batch_complete"))
    with pytest.raises(Stopped, match=rf"row 250: {NAMELESS[:22]}") as told:
        pipeline.sync(rows)
    result = result_of(told.value)
    assert org.kinds() == ["collections.create"] * 3
    assert (result.success_count, result.error_count, result.not_attempted_count) == (299, 1, 300)
    assert result.status is SyncStatus.PARTIAL
    assert [error["row"] for error in result.errors] == [250]
    assert [heard[1] for heard in org.heard if heard[0] == "on_batch_complete"] == [1, 2, 3]
    assert len([heard for heard in org.heard if heard[0] == "on_record_start"]) == 300
    assert result.failed_records == [rows[250], *rows[300:]]
    rows[250]["Name"] = "mended"
    assert result.retry().success_count == 301
    assert len(org.names()) == 600


def test_stop_on_error_stops_at_a_row_that_cannot_be_mapped(org: Org) -> None:
    """What stands before it is written, what stands behind it is not tried."""
    mapper = FieldMapper({"n": ("Name", lambda value: str(int(value)))})
    with pytest.raises(Stopped, match="row 2: MAPPING_FAILED") as told:
        org.pipeline(mapper=mapper, stop_on_error=True).sync([{"n": "1"}, {"n": "2"}, {"n": "x"}, {"n": "4"}])
    result = result_of(told.value)
    assert (result.success_count, result.error_count, result.not_attempted_count) == (2, 1, 1)
    assert org.names() == ["1", "2"]


def test_without_an_error_stop_on_error_is_a_sync_like_any_other(org: Org) -> None:
    """And the result is answered."""
    assert org.pipeline(stop_on_error=True).sync(records(3)).status is SyncStatus.SUCCESS


def test_what_ends_a_sync_carries_what_is_known(org: Org) -> None:
    """The error says what to do; its result knows the records of the calls before. The same records again: nothing twice."""
    org.emulator.faults.add("request_limit", kind="collections.create", nth=3, times=1_000)
    with pytest.raises(QuotaExhausted) as told:
        org.pipeline(batch_size=50).sync(records(600))
    known = result_of(told.value).success_count
    assert 100 <= known < 600
    assert result_of(told.value).status is SyncStatus.PARTIAL
    org.emulator.faults.clear()
    result = org.pipeline(batch_size=50).sync(records(600))
    assert (result.success_count, org.names()) == (600, names(600))
    assert org.kept() == []


def test_an_org_that_cannot_be_reached_is_told_with_a_result(org: Org) -> None:
    """Nobody listens: nothing was sent, and the run is not even in the ledger."""
    with socket.socket() as taken:  # bound, so that nobody else gets the port, and not listening
        taken.bind(("127.0.0.1", 0))
        nobody = {"access_token": "x", "instance_url": f"http://127.0.0.1:{taken.getsockname()[1]}"}
        with SalesforceClient(nobody, retry=Policy(attempts=2, base_s=0.0)) as client, pytest.raises(NetworkFailed) as told:
            SyncPipeline(client, "Account", settings=org.settings).sync(records(2))
    result = result_of(told.value)
    assert (result.total_records, result.success_count, result.status) == (2, 0, SyncStatus.FAILED)
    with open_ledger(org.settings.ledger) as ledger:
        assert ledger.runs() == []


def test_a_refused_login_carries_a_result_too(org: Org) -> None:
    """Nothing was sent."""
    login = ClientCredentialsAuthenticator("nobody", "nothing", login_url=org.emulator.url)
    with pytest.raises(LoginRefused) as told:
        SyncPipeline(login, "Account", settings=org.settings).sync(records(2))
    assert (result_of(told.value).total_records, result_of(told.value).success_count) == (2, 0)


def test_a_source_that_raises_ends_the_sync_before_anything_is_sent(org: Org) -> None:
    """The error is the source's own."""

    def source() -> Iterator[dict[str, str]]:
        yield {"Name": "x"}
        raise OSError("the source broke")

    with pytest.raises(OSError, match="the source broke") as told:
        org.pipeline().sync(source())
    assert result_of(told.value).status is SyncStatus.FAILED
    assert org.kinds() == []


# ---- the ledger, the flow, the preview


def test_the_ledger_knows_the_sync(org: Org) -> None:
    """By a flow named for source, object and mode, or as it was said, with the run of the result."""
    with MemoryLedger() as ledger:
        first = org.pipeline(ledger=ledger).sync([{"Name": "x"}, {"Phone": "1"}])
        second = org.upserting(ledger=ledger, flow="My flow").sync(records(1))
        runs = ledger.runs()
        assert [(run.run, run.flow) for run in reversed(runs)] == [
            (first.metadata["run"], "rows->salesforce:account:insert"),
            (second.metadata["run"], "My flow"),
        ]
        assert [(one.row, one.code) for one in ledger.rejections(first.metadata["run"])] == [(1, "REQUIRED_FIELD_MISSING")]
    org.pipeline().sync(records(1))
    with open_ledger(org.settings.ledger) as kept:
        assert [run.state for run in kept.runs()] == ["done"]


def test_a_file_gives_the_flow_its_name(org: Org, tmp_path: Path) -> None:
    """So that two files are two flows."""
    with MemoryLedger() as ledger:
        org.upserting(ledger=ledger).sync(text("Some.csv", "Name,Ext__c\nx,y\n")(tmp_path))
        assert [run.flow for run in ledger.runs()] == ["some.csv->salesforce:account:upsert"]


def test_nothing_is_left_behind(org: Org) -> None:
    """After a sync of a generator the spool is empty, and after a good one no folder is kept."""
    org.pipeline().sync(iter(records(10)))
    assert org.kept() == []
    assert list(org.settings.spool.iterdir()) == []  # type: ignore[union-attr]  # it is set here


def test_a_preview_sends_and_books_nothing(org: Org) -> None:
    """It says how the records would go, what would be refused, and leaves nothing behind."""
    found = org.upserting().preview([*records(3), {"Name": "no key"}])
    assert (found.total, found.refused, found.first[0].code) == (4, 1, "MISSING_KEY")
    assert found.plan is not None
    assert (found.plan.rows, found.plan.calls) == (3, 1)
    assert org.upserting().preview([]).plan is None
    with pytest.raises(FixConfig, match="Nmae"):
        org.pipeline().preview([{"Nmae": "x"}])
    assert org.kinds() == []
    assert not org.settings.ledger.exists()
    assert org.kept() == []
    assert list(org.settings.spool.iterdir()) == []  # type: ignore[union-attr]  # it is set here


# ---- how it is made


def test_a_config_takes_every_form_of_mapping(org: Org, tmp_path: Path) -> None:
    """A dict, the path of a YAML file, a mapper; the mode in any case; callbacks beside it."""
    mapping = {"n": "Name", "e": ["Ext__c", ("Phone", "strip")], "x": {"target": "Description", "default": "none"}}
    (tmp_path / "map.yaml").write_text(
        "mapping: {n: Name, e: [Ext__c, {target: Phone, transform: strip}], x: {target: Description, default: none}}\n"
    )
    for number, form in enumerate((mapping, str(tmp_path / "map.yaml"), tmp_path / "map.yaml", FieldMapper(mapping))):
        config = {"sobject": "Account", "mode": "UPSERT", "external_id_field": "Ext__c", "mapping": form, "batch_size": 7}
        made = SyncPipeline.from_config(config, org.client, settings=org.settings, callbacks=org.listening("on_record_start"))
        assert made.sync([{"n": f"n{number}", "e": f"e{number}"}]).metadata["created"] == 1
    assert org.accounts("Name, Phone, Description") == [(f"n{number}", f"e{number}", "none") for number in range(4)]
    assert len(org.heard) == 4


BAD_CONFIGS = [
    ({}, "sobject is missing"),
    ({"sobject": "A", "modes": "insert"}, "the key 'modes' is unknown. Did you mean mode"),
    ({"sobject": "A", "callbacks": {}}, "the key 'callbacks' is unknown"),
    ({"sobject": "A", "mode": "upsrt"}, "mode='upsrt' is unknown. Did you mean upsert"),
    ({"sobject": "A", "mode": "upsert"}, "needs external_id_field"),
    ({"sobject": "A", "batch_size": "200"}, "batch_size is '200'. It is a whole number"),
    ({"sobject": "A", "batch_size": 0}, "batch_size is 0"),
    ({"sobject": "A", "stop_on_error": "false"}, "stop_on_error is 'false'. It is True or False"),
    ({"sobject": "A", "strict": "no"}, "strict is 'no'. It is True or False"),
    ({"sobject": "A", "mirror": "no"}, "mirror is 'no'. It is True or False"),
    ({"sobject": "A", "diff": 1}, "diff is 1. It is True or False"),
    ({"sobject": "A", "allow_empty": "no"}, "allow_empty is 'no'. It is True or False"),
    ({"sobject": "A", "flow": 7}, "flow is 7. It is a text"),
    ({"sobject": "A", "max_delete_share": 50}, "max_delete_share is 50. It is a share"),
    ({"sobject": "A", "max_delete_share": "0.5"}, "max_delete_share is '0.5'. It is a share"),
    ({"sobject": "A", "stop_on_error": True, "api": "bulk"}, "Bulk cannot stop"),
    ({"sobject": "A", "api": "rest"}, "api='rest' is unknown"),
    ({"sobject": "A", "mapping": 7}, "mapping is a int"),
    ({"sobject": "A", "mapping": "no such.yaml"}, "no such.yaml"),
    ({"sobject": "A", "mapping": {"n": ("Name", "no such transform")}}, "no such transform"),
    ({"sobject": 7}, "sobject is 7. It is a text"),
    (None, "config is a NoneType. Give a dict"),
    ("config.yaml", "config is a str. Give a dict"),
]


@pytest.mark.parametrize(("config", "words"), BAD_CONFIGS, ids=[words for _, words in BAD_CONFIGS])
def test_a_wrong_config_is_told_with_what_was_meant(config: Any, words: str) -> None:
    """Before anybody is asked."""
    with pytest.raises(FixConfig, match=words):
        SyncPipeline.from_config(config, {})


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        ({"on_sucess": print}, "nothing calls 'on_sucess'"),
        ({"on_batch_completed": print}, "Did you mean on_batch_complete"),
        ({"on_record_start": 7}, "cannot be called"),
    ],
)
def test_a_callback_that_nobody_would_call_is_told(callbacks: dict[str, Any], words: str) -> None:
    """A misspelt name would be silent for ever."""
    with pytest.raises(FixConfig, match=words):
        SyncPipeline({}, "Account", callbacks=callbacks)


def test_a_mapper_is_a_mapper() -> None:
    """A dict in its place, or a mode, is told."""
    with pytest.raises(FixConfig, match="It is a FieldMapper"):
        SyncPipeline({}, "Account", {"n": "Name"})  # type: ignore[arg-type]  # the mistake that is meant
