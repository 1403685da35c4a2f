"""Laws of asking for a sync: what belongs to which object, what is left out, and what is shown of several at once."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable
from dataclasses import fields
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from halocline import SalesforceClient, guards
from halocline.cli import options
from halocline.cli.answer import in_json
from halocline.cli.jobs import FOR_EACH, Asked, relation_lines, tell_left_out
from halocline.cli.plan import plan
from halocline.cli.progress import ProgressBar
from halocline.cli.sync import sync
from halocline.cli.verify import verify
from halocline.connector import ObjectChoice, Reference
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig
from halocline.events import PartStaged, RunFailed, RunStarted
from halocline.several import relations
from halocline.sync import ALSO, SobjectSync
from tests.command_line import app
from tests.test_docs import DOCS, run_page

OWN = ("all", "exclude-object", "parallel", "rename", "mask", "soql", "lookback", "contract", "api-budget", "quota-share")
NOTHING: dict[str, Any] = {
    "objects": ["Account", "Contact"],
    "everything": False,
    "exclude_object": [],
    "to": "duckdb:///lake.duckdb",
    "schema": "raw",
    "table": None,
    "soql": None,
    "fields": None,
    "exclude": None,
    "rename": [],
    "mask": [],
    "deletes": "hard",
    "as_json": False,
}
OF_ONE = {sync: {"parallel"}, plan: {"parallel", "ctx", "config"}, verify: {"sample", "repair"}}
OF_SYSTEM = {"bulk_threshold", "stage_threshold", "quota_share", "api_budget", "wait"}


class Org:
    """As much of a system as is asked for objects."""

    def choose(self, names: list[str], **_: object) -> ObjectChoice:
        return ObjectChoice(tuple(names), (("Closed__c", "it is closed"),))


def jobs(**asked: Any) -> list[Any]:
    return Asked.of({**NOTHING, **asked}).jobs(Org())  # type: ignore[arg-type]  # it is asked for nothing else


@pytest.mark.parametrize("command", [sync, plan, verify])
def test_no_option_is_taken_in_vain(command: Callable[..., None]) -> None:
    """What a command takes is read in one place, made into jobs and a system, or is its own."""
    taken = set(inspect.signature(command).parameters)
    assert taken - set(FOR_EACH) - OF_SYSTEM - OF_ONE[command] == set(NOTHING) - {"deletes"}
    stages = "snowflake://user@account/database"
    typed = {**NOTHING, "to": stages, **{name: f"-{name}" for name in taken & {*FOR_EACH, *OF_SYSTEM}}}
    asked = Asked.of(typed)
    assert asked.each == {name: f"-{name}" for name in taken & set(FOR_EACH)}
    named = {"wait": "wait_s"}
    assert {key: said for key, said in asked.around.items() if said} == {
        named.get(name, name): f"-{name}" for name in taken & OF_SYSTEM
    }
    given = {*FOR_EACH, "objects", "schema", "table", "soql", "fields", "exclude", "rename", "mask"}
    own = {ALSO.get(name, name) for name in given} - {"objects"} | {"sobject"}
    assert own == {one.name for one in fields(SobjectSync)}, "and every field of a job is an option"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"fields": ""}, "--fields is empty"),
        ({"fields": " , "}, "--fields is empty"),
        ({"exclude": ""}, "--exclude is empty"),
        ({"table": "", "objects": ["Account"]}, "--table is empty"),
        ({"schema": " "}, "--schema is empty"),
        ({"where": ""}, "--where is empty"),
        ({"exclude_object": ["*History", ""]}, "--exclude-object is empty"),
        ({"objects": ["Account", ""]}, "the name of an object is empty"),
    ],
)
def test_an_empty_option_is_not_one_that_was_left_out(
    typed: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a variable that is not set, and all rows or all columns would go where a few were meant."""
    in_json(value=False)  # a command before this one, in the same process, may have answered programs
    with pytest.raises(typer.Exit) as caught:
        jobs(**typed)
    assert (caught.value.exit_code, told in capsys.readouterr().err) == (2, True)


def test_a_column_with_an_object_means_that_object_only() -> None:
    """Others mean all objects; names are the same in any case; every option reaches every job."""
    asked = {"fields": "Name,account.Site", "exclude": "Contact.Phone", "rename": ["Name=n", "Contact.Email=mail"]}
    account, contact = jobs(**asked, mask=["CONTACT.Email=hash"])
    assert (account.fields, account.exclude, account.rename, account.mask) == (["Name", "Site"], [], {"Name": "n"}, {})
    assert (contact.fields, contact.exclude) == (["Name"], ["Phone"])
    assert (contact.rename, contact.mask) == ({"Name": "n", "Email": "mail"}, {"Email": "hash"})
    assert (contact.table, contact.schema, contact.deletes) == ("Contact", "raw", "hard")


def test_fields_of_one_object_leave_the_other_whole() -> None:
    """An object of which no field is chosen keeps all."""
    account, contact = jobs(fields="Account.Name")
    assert (account.fields, contact.fields) == (["Name"], None)


def test_a_path_in_a_query_is_a_column() -> None:
    """With --soql a dot leads to a parent, and the object is the query's."""
    (job,) = jobs(objects=[], soql="SELECT Id, Owner.Name FROM Account", rename=["Owner.Name=owner"])
    assert (job.sobject, job.table, job.rename) == ("Account", "Account", {"Owner.Name": "owner"})


@pytest.mark.system
def test_a_mass_deletion_is_refused_until_it_is_allowed(
    salesforce: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the option, and the option does it."""
    monkeypatch.setattr(guards, "SMALL_DELETE_ROWS", 1)
    keys = salesforce.config
    said = {"SF_LOGIN_URL": salesforce.url, "SF_CLIENT_ID": keys.consumer_key, "SF_CLIENT_SECRET": keys.consumer_secret}
    for name, value in {**said, "HALOCLINE_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    salesforce.seed({"Account": 4})
    command = ["sync", "Account", "--to", f"duckdb:///{tmp_path}/lake.duckdb", "--deletes", "hard"]
    assert CliRunner().invoke(app, command).exit_code == 0
    with SalesforceClient.from_env() as client:
        for record in client.query("SELECT Id FROM Account LIMIT 3"):
            client.delete("Account", record["Id"])
    refused = CliRunner().invoke(app, command)
    assert (refused.exit_code, "(--max-delete-share)" in refused.stderr) == (1, True), refused.stderr
    assert CliRunner().invoke(app, [*command, "--max-delete-share", "1"]).exit_code == 0


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"objects": []}, "name an object"),
        ({"everything": True}, "leave the names out"),
        ({"table": "t"}, "--table names one table"),
        ({"soql": "SELECT Id FROM Account"}, "--soql reads one object"),
    ],
)
def test_arguments_that_do_not_go_together_are_code_2(
    asked: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a word on what to leave out."""
    with pytest.raises(typer.Exit) as ended:
        jobs(**asked)
    assert ended.value.exit_code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("asked", [{"exclude": "Lead.Name"}, {"mask": ["Lead.Name=hash"]}, {"fields": "Lead.Name"}])
def test_a_column_of_another_object_is_refused(asked: dict[str, Any]) -> None:
    """It would be of no effect, and nobody would know."""
    with pytest.raises(FixConfig, match=r"Lead, which is not among the objects \(Account, Contact\)"):
        jobs(**asked)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"fields": "Name,Site", "exclude": "name"}, "Name is to be carried"),
        ({"fields": "Name,Site", "exclude": "Site,Name"}, "Name, Site are to be carried"),
        ({"fields": "Account.Name", "exclude": "Name"}, "Account.Name is to be carried"),
        ({"fields": "Name", "exclude": "Account.Name,Contact.Name"}, "Name is to be carried"),
    ],
)
def test_a_column_is_not_chosen_and_left_out_at_once(asked: dict[str, Any], named: str) -> None:
    """It would be left out, although it was named; one that another object keeps is no such thing."""
    with pytest.raises(FixConfig, match=named):
        jobs(**asked)
    account, contact = jobs(fields="Name,Email", exclude="Account.Email")
    assert (account.exclude, contact.exclude, contact.fields) == (["Email"], [], ["Name", "Email"])


@pytest.mark.parametrize("where", ["duckdb:///lake.duckdb", "sqlite:///lake.sqlite", "postgresql://host/db", "file:folder"])
def test_a_stage_is_named_only_where_there_are_stages(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere it would be of no effect; it is refused before anybody is asked for anything."""
    with pytest.raises(typer.Exit) as ended:
        jobs(to=where, stage_name="@S")
    told = capsys.readouterr().err
    assert (ended.value.exit_code, "has no stages" in told, "Snowflake's" in told) == (2, True, True), told
    account, _ = jobs(to="snowflake://user@account/database", stage_name="@S")
    assert account.stage_name == "@S"


@pytest.mark.parametrize("given", ["Name", "=x", "Name=", "Name = "])
def test_a_pair_has_two_sides(given: str) -> None:
    """Blanks around them do not matter; a name twice does."""
    assert options.pairs([" Name = x=y "], "--rename", example="A=b") == {"Name": "x=y"}
    with pytest.raises(FixConfig, match="is no name=value"):
        options.pairs([given], "--rename", example="A=b")
    with pytest.raises(FixConfig, match="given twice"):
        options.pairs(["Name=a", "NAME=b"], "--rename", example="A=b")


def test_what_is_left_out_is_told_once_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """A line a reason for people, with a few names; a document an object for programs."""
    left_out = [*((f"O{n}", "closed") for n in range(7)), ("P", "hidden")]
    tell_left_out(left_out, as_json=False)
    assert capsys.readouterr().err.splitlines() == [
        "Left out 7 objects: closed (O0, O1, O2, O3, O4 and 2 more)",
        "Left out 1 object: hidden (P)",
    ]
    tell_left_out(left_out[-1:], as_json=True)
    assert capsys.readouterr().out == '{"sobject": "P", "left_out": "hidden", "exit_code": 0}\n'


def test_relations_are_told_as_the_run_sees_them() -> None:
    """Objects of the run in any case; those outside once each; an object that failed refers to nothing that is known."""

    class Surveyed:
        references = (
            Reference("AccountId", ("Account",)),
            Reference("WhoId", ("Lead", "Contact")),
            Reference("Boss", ("Contact",)),
        )

    found = relations(Surveyed(), ["account", "Contact"])  # type: ignore[arg-type]  # as much of a survey as is read
    assert found == {"refers_to": {"Contact": ["WhoId", "Boss"], "account": ["AccountId"]}, "not_in_run": {"Lead": ["WhoId"]}}
    assert relations(None, ["Account"]) == {"refers_to": {}, "not_in_run": {}}
    assert relation_lines([("Contact", found), ("Task", found)]) == [
        "Contact refers to account (AccountId)",
        "Task refers to Contact (WhoId, Boss), account (AccountId)",
        "Not in this run: Lead, to which Contact.WhoId, Task.WhoId refer",
    ]


def test_several_objects_have_a_line_each() -> None:
    """On a terminal each shows its own rows, as long as it is at work."""
    seen = StringIO()
    with ProgressBar(Console(file=seen, force_terminal=True, width=160, highlight=False)) as bar:
        first, second = bar.watch("a"), bar.watch("b")
        first(RunStarted("r1", "f", "Account", "raw.a"))
        second(RunStarted("r2", "f", "Contact", "raw.c"))
        first(PartStaged("r1", "p", 5, 1))
        second(PartStaged("r2", "p", 7, 1))
        bar._bar.refresh()
        shown = [task.visible for task in bar._bar.tasks]
        first(RunFailed("r1", "no", 0))
        assert (shown, [task.visible for task in bar._bar.tasks]) == ([False, True, True], [False, False, True])
    for words in ("Account -> raw.a: reading", "5 rows ·", "Contact -> raw.c: reading", "7 rows ·"):
        assert words in seen.getvalue()


@pytest.mark.system
@pytest.mark.parametrize("scheme", ["duckdb", "sqlite"])
@pytest.mark.parametrize("asked", [("Acount",), ("Account", "--fields", "Nmae")], ids=" ".join)
def test_a_sync_that_is_refused_leaves_no_file(
    salesforce: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...], scheme: str
) -> None:
    """One that was not there before is made when there is something to write."""
    keys = salesforce.config
    said = {"SF_LOGIN_URL": salesforce.url, "SF_CLIENT_ID": keys.consumer_key, "SF_CLIENT_SECRET": keys.consumer_secret}
    for name, value in {**said, "HALOCLINE_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "lake"
    assert CliRunner().invoke(app, ["sync", *asked, "--to", f"{scheme}:///{file}"]).exit_code == 2
    assert not file.exists()
    done = CliRunner().invoke(app, ["sync", "Account", "--to", f"{scheme}:///{file}"])
    assert (done.exit_code, file.exists()) == (0, True), done.output


@pytest.mark.system
def test_the_page_about_syncing_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its samples run as they stand, and print what the page says; it names every option that is its own."""
    for name in [name for name in os.environ if name.startswith(("SF_", "HALOCLINE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    page = DOCS / "syncing.md"
    run_page(page)
    text = page.read_text()
    assert capsys.readouterr().out == "".join(re.findall(r"```text\n(.*?)```", text, re.DOTALL))
    for option in OWN:
        assert f"--{option}" in text


@pytest.mark.system
def test_a_client_that_the_command_made_is_closed(salesforce: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a share of the quota it is no bare login, which the system opens and closes."""
    keys, closed, close = salesforce.config, list[SalesforceClient](), SalesforceClient.close
    said = {"SF_LOGIN_URL": salesforce.url, "SF_CLIENT_ID": keys.consumer_key, "SF_CLIENT_SECRET": keys.consumer_secret}
    for name, value in {**said, "HALOCLINE_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(SalesforceClient, "close", lambda client: (closed.append(client), close(client)))
    done = CliRunner().invoke(app, ["sync", "Account", "--to", f"duckdb:///{tmp_path}/lake.duckdb", "--quota-share", "0.5"])
    assert (done.exit_code, len(closed)) == (0, 1), done.output
