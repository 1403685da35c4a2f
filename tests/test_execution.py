"""Laws of executions: a record of its own for each, children for what was refused, under names that are settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from halocline import SfClient
from halocline.compat.kicksaw import KicksawSalesforce
from halocline.compat.kicksaw.integrations import LogLevel
from halocline.config import Settings
from halocline.connectors.salesforce.auth import ClientCredentialsAuthenticator
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.emulator.faults import FOREVER
from halocline.emulator.org import EmulatorConfig
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig, NotFound, RetryLater, Stop
from halocline.execution import ExecutionNames
from halocline.ledger import MemoryLedger
from tests.connectors.salesforce.writable import HastyPace

pytestmark = pytest.mark.system

SCHEMA = """
object: Account
fields:
  Ext__c: {{type: string(40) external unique}}
---
object: {ns}Integration__c
fields:
  {ns}LambdaName__c: string(80)
---
object: {ns}IntegrationExecution__c
fields:
  {ns}Integration__c: {{type: reference, to: "{ns}Integration__c"}}
  {ns}ExecutionPayload__c: textarea(32000)
  {ns}ResponsePayload__c: textarea(32000)
  {ns}SuccessfulCompletion__c: boolean
  {ns}ErrorMessage__c: textarea(32000)
---
object: {ns}IntegrationError__c
fields:
  {ns}IntegrationExecution__c: {{type: reference, to: "{ns}IntegrationExecution__c"}}
  {ns}Operation__c: string(40)
  {ns}Object__c: string(80)
  {ns}ErrorCode__c: string(80)
  {ns}ErrorMessage__c: string(40)
  {ns}UpsertKey__c: string(80)
  {ns}UpsertKeyValue__c: string(255)
  {ns}ObjectPayload__c: textarea(32000)
---
object: {ns}IntegrationLog__c
fields:
  {ns}IntegrationExecution__c: {{type: reference, to: "{ns}IntegrationExecution__c"}}
  {ns}LogMessage__c: textarea(32000)
  {ns}LogLevel__c: string(40)
  {ns}StatusCode__c: int
  {ns}AssociatedEntity__c: string(255)
"""


class Here:
    """An org with the package's objects, plain and in a namespace, and clients of it."""

    def __init__(self, emulator: Emulator, client: SalesforceClient, folder: Path) -> None:
        self.emulator = emulator
        self.login = {"client": client}
        self.options = {"settings": Settings(folder), "ledger": MemoryLedger()}
        self.sf = SfClient(client=client, **self.options)  # type: ignore[arg-type]
        KicksawSalesforce.create_integration(self.sf, "it's \\ one", "lambda")

    def made(self, payload: Any = None, **more: Any) -> KicksawSalesforce:
        return KicksawSalesforce(self.login, "it's \\ one", payload or {}, **self.options, **more)

    def of(self, name: str, columns: str = "Id") -> list[dict[str, Any]]:
        return self.emulator.query(f"SELECT {columns} FROM {name}")


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, SalesforceClient]]:
    schema = tmp_path_factory.mktemp("org") / "schema.yaml"
    schema.write_text(SCHEMA.format(ns="") + "---" + SCHEMA.format(ns="Acme__").partition("---")[2], encoding="utf-8")
    config = EmulatorConfig(schemas=(schema,))
    with Emulator(config) as emulator:
        login = ClientCredentialsAuthenticator(config.consumer_key, config.consumer_secret, login_url=emulator.url)
        with SalesforceClient(login, pace=HastyPace().pace) as client:
            client.limits()
            emulator.checkpoint()
            yield emulator, client


@pytest.fixture
def here(org: tuple[Emulator, SalesforceClient], tmp_path: Path) -> Here:
    org[0].reset()
    return Here(*org, tmp_path)


def test_an_execution_records_what_it_was_started_with(here: Here) -> None:
    """Its integration and its payload; by its id another step finds it, and nothing new is made."""
    client = here.made({"start_date": "2021-10-12"})
    record = client.get_execution_object()
    assert record["Id"] == client.execution_object_id
    assert record["Integration__c"] == here.of("Integration__c")[0]["Id"]
    assert json.loads(record["ExecutionPayload__c"]) == {"start_date": "2021-10-12"}
    other = KicksawSalesforce.instantiate_from_id(here.login, client.execution_object_id, **here.options)
    other.update_execution_object_payload({"step": 2})
    assert json.loads(client.get_execution_object()["ExecutionPayload__c"]) == {"step": 2}
    assert len(here.of("IntegrationExecution__c")) == 1


def test_each_client_has_an_execution_of_its_own(here: Here) -> None:
    """What one does is below its own record, whichever was made last."""
    first, second = here.made(), here.made()
    assert first.execution_object_id != second.execution_object_id
    first.bulk.Account.insert([{"Ext__c": "no name"}])
    first.complete_execution({"rows": 1})
    second.handle_exception("Code died")
    (error,) = here.of("IntegrationError__c", "IntegrationExecution__c")
    assert error["IntegrationExecution__c"] == first.execution_object_id
    columns = ("SuccessfulCompletion__c", "ResponsePayload__c", "ErrorMessage__c")
    assert [first.get_execution_object()[name] for name in columns] == [True, '{"rows": 1}', None]
    assert [second.get_execution_object()[name] for name in columns] == [False, None, "Code died"]


def test_every_refused_row_has_its_error(here: Here) -> None:
    """With what was done to which object, Salesforce's words as far as the field holds them, the key, and the row as JSON."""
    rows = [{"Ext__c": "a", "Name": "a"}, {"Ext__c": "b"}]
    results = here.made().bulk.Account.upsert(rows, "Ext__c")
    assert [one["success"] for one in results] == [True, False]
    columns = ("Operation__c", "Object__c", "ErrorCode__c", "ErrorMessage__c", "UpsertKey__c", "UpsertKeyValue__c")
    (error,) = here.of("IntegrationError__c", ", ".join((*columns, "ObjectPayload__c")))
    told = "Required fields are missing: [Name]"[:40]
    assert [error[name] for name in columns] == ["upsert", "Account", "REQUIRED_FIELD_MISSING", told, "Ext__c", "b"]
    assert json.loads(error["ObjectPayload__c"]) == {"Ext__c": "b"}


def test_no_errors_are_no_records(here: Here) -> None:
    """Nothing is inserted; the error object is looked at once, before the first rows are sent."""
    client = here.made()
    here.emulator.calls.clear()
    client.bulk.Account.update([])
    assert not list(here.emulator.calls)
    for _ in range(2):
        client.bulk.Account.upsert([{"Ext__c": "a", "Name": "a"}], "Ext__c")
    asked = [call.path.rpartition("/")[2] for call in here.emulator.calls if "IntegrationError__c" in call.path]
    assert asked == ["describe"]
    assert here.of("IntegrationError__c") == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (ExecutionNames(upsert_key_value="UpsertKeyVal__c"), r"no UpsertKeyVal__c \(near: UpsertKeyValue__c"),
        (ExecutionNames(object_payload="Id"), "no Id that can be written"),
        (ExecutionNames(error="Nothing__c"), "Nothing__c"),
    ],
)
def test_errors_that_could_not_be_recorded_are_told_before_rows_are_sent(here: Here, names: ExecutionNames, said: str) -> None:
    """So that the same call, once it is mended, writes every row once."""
    rows = [{"Name": "a"}, {"Name": "b"}, {"Ext__c": "no name"}]
    with pytest.raises(FixConfig, match=said):
        here.made(names=names).bulk.Account.insert(rows)
    assert here.of("Account") == []
    assert [one["success"] for one in here.made().bulk.Account.insert(rows)] == [True, True, False]
    assert (len(here.of("Account")), len(here.of("IntegrationError__c"))) == (2, 1)


def test_answers_are_not_lost_with_their_error_records(here: Here) -> None:
    """The org goes away between the rows and their errors: what became of the rows is told, and that they were sent."""
    client = here.made()
    here.emulator.faults.add("cut", path="/jobs/ingest", object="IntegrationError__c", times=FOREVER)
    with pytest.raises(Stop, match="would be sent again") as stopped:
        client.bulk.Account.insert([{"Name": "a"}, {"Ext__c": "no name"}])
    here.emulator.faults.clear()
    facts: Any = stopped.value.facts
    assert [one["success"] for one in facts["results"]] == [one["success"] for one in facts["answers"]] == [True, False]
    assert facts["results"][0]["id"] == here.of("Account")[0]["Id"]
    assert [one["success"] for one in facts["recorded"]] == [False]


def test_a_write_that_is_cut_off_records_its_errors_at_its_end(here: Here) -> None:
    """Once: by the call that does the rest."""
    client, rows = here.made(), [{"Ext__c": "a", "Name": "a"}, {"Ext__c": "b"}]
    here.emulator.faults.add("lose_reply", path="/jobs/ingest/", method="PATCH", times=1)
    here.emulator.faults.add("cut", path="/jobs/ingest/", method="GET", times=FOREVER)
    with pytest.raises(RetryLater) as cut:
        client.bulk.Account.insert(rows)
    assert len(cut.value.facts["results"]) == 2  # type: ignore[arg-type]
    here.emulator.faults.clear()
    assert here.of("IntegrationError__c") == []
    assert [one["success"] for one in client.bulk.Account.insert(rows)] == [True, False]
    assert (len(here.of("Account")), len(here.of("IntegrationError__c"))) == (1, 1)


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ({"user": "u", "password": "p"}, "Did you mean username"),
        ({"security_tokn": "t"}, "Did you mean security_token"),
        ({"security_token": "t"}, "without user name and password"),
        ({"username": "u"}, "come together"),
    ],
)
def test_a_connection_that_cannot_be_is_told(here: Here, connection: dict[str, str], said: str) -> None:
    """Else the environment would log in, perhaps to another org."""
    with pytest.raises(FixConfig, match=said):
        KicksawSalesforce(connection, "it's \\ one", {}, **here.options)


def test_an_error_record_that_is_refused_is_told(here: Here) -> None:
    """With what became of the rows themselves: neither is lost."""
    names = ExecutionNames(object_payload="IntegrationExecution__c")  # a lookup cannot hold the row
    with pytest.raises(Stop, match="Recording errors in IntegrationError__c: 1 of 1 were refused") as stopped:
        here.made(names=names).bulk.Account.insert([{"Ext__c": "x"}, {"Ext__c": "y", "Name": "y"}])
    facts: Any = stopped.value.facts
    assert [one["success"] for one in facts["answers"]] == [one["success"] for one in facts["results"]] == [False, True]
    assert [one["success"] for one in facts["recorded"]] == [False]


def test_logs_are_children(here: Here) -> None:
    """With their level, and what else is known."""
    client = here.made()
    client.log("Some message", LogLevel.WARNING, 404, "001")
    client.log("Another")
    columns = ("IntegrationExecution__c", "LogMessage__c", "LogLevel__c", "StatusCode__c", "AssociatedEntity__c")
    found = [tuple(row[name] for name in columns) for row in here.of("IntegrationLog__c", ", ".join(columns))]
    mine = client.execution_object_id
    assert sorted(found) == [(mine, "Another", "INFO", None, None), (mine, "Some message", "WARNING", 404, "001")]


def test_a_level_of_a_log_goes_by_its_name_too(here: Here) -> None:
    """In any case; another is told with those that there are, and a member of one's own enumeration says what it says."""

    class OfTheOrg(Enum):
        FATAL = "Fatal"

    client = here.made()
    for level in ("ERROR", "warning", OfTheOrg.FATAL):
        client.log("x", level)  # type: ignore[arg-type]  # another enumeration is what is tested
    with pytest.raises(FixConfig, match=r"there is no level 'grave'.* ERROR, WARNING, INFO, DEBUG"):
        client.log("x", "grave")
    assert sorted(row["LogLevel__c"] for row in here.of("IntegrationLog__c", "LogLevel__c")) == ["ERROR", "Fatal", "WARNING"]


def test_a_missing_integration_is_told_or_made(here: Here) -> None:
    """A name with quotes is only ever a name; several of one name are an error."""
    with pytest.raises(NotFound, match="create_missing_integration"):
        KicksawSalesforce(here.login, "x' OR Name != '", {}, **here.options)
    KicksawSalesforce(here.login, "new", {}, None, True, **here.options)
    KicksawSalesforce(here.login, "new", {}, create_missing_integration=True, **here.options)
    assert sorted(row["Name"] for row in here.of("Integration__c", "Name")) == ["it's \\ one", "new"]
    KicksawSalesforce.create_integration(here.sf, "new")
    with pytest.raises(FixConfig, match="several"):
        KicksawSalesforce(here.login, "new", {}, **here.options)


def test_names_are_settings(here: Here) -> None:
    """A namespace is before all of them; a subclass says it, or `names` does."""

    class Mine(KicksawSalesforce):
        NAMESPACE = "Acme__"

    Mine.create_integration(here.sf, "theirs", "lambda")
    client = Mine(here.login, "theirs", {"a": 1}, **here.options)
    client.bulk.Account.insert([{"Ext__c": "no name"}])
    client.log("hello")
    assert json.loads(client.get_execution_object()["Acme__ExecutionPayload__c"]) == {"a": 1}
    assert (len(here.of("Acme__IntegrationError__c")), len(here.of("Acme__IntegrationLog__c"))) == (1, 1)
    other = KicksawSalesforce(here.login, "theirs", {}, names=ExecutionNames(namespace="Acme__"), **here.options)
    assert len(here.of("Acme__IntegrationExecution__c")) == 2
    assert other.get_execution_object()["Id"] == other.execution_object_id


def test_the_oldest_form_logs_in_by_the_environment(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name and payload, without a connection; too many arguments are told."""
    config = here.emulator.config
    for name, value in {"CLIENT_ID": config.consumer_key, "CLIENT_SECRET": config.consumer_secret}.items():
        monkeypatch.setenv(f"SF_{name}", value)
    monkeypatch.setenv("SF_LOGIN_URL", here.emulator.url)
    client = KicksawSalesforce("it's \\ one", {"a": 1}, **here.options)
    assert json.loads(client.get_execution_object()["ExecutionPayload__c"]) == {"a": 1}
    with pytest.raises(FixConfig, match="by position"):
        KicksawSalesforce("a", {}, None, False, 1, 2)
    client.close()
