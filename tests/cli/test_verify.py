"""Laws of `halocline verify`: the exit code says whether both sides are the same, and the words what differs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from tests.command_line import app
from tests.system.laptop import Laptop, laptop

pytestmark = pytest.mark.system

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "verifying.md"


@dataclass(frozen=True, slots=True)
class Told:
    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class Shell:
    """An org of some accounts and contacts, and a shell in which commands are typed."""

    here: Laptop
    home: Path
    lake: Path

    def type(self, *words: str) -> Told:
        login = self.here.access_info
        env = {
            "SF_ACCESS_TOKEN": login["access_token"],
            "SF_INSTANCE_URL": login["instance_url"],
            "HALOCLINE_HOME": str(self.home),
        }
        done = CliRunner().invoke(app, [*words, "--to", f"duckdb:///{self.lake}"], env=env)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Told(done.exit_code, done.stdout, done.stderr)

    def run(self, sql: str) -> None:
        with duckdb.connect(str(self.lake)) as connection:
            connection.execute(sql)


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    with laptop(tmp_path_factory.mktemp("org")) as here:
        here.seed("Account", 12)
        here.seed("Contact", 5)
        here.days_pass()
        yield here


@pytest.fixture(scope="module")
def synced(org: Laptop, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Both objects are synced, once for all tests."""
    folder = tmp_path_factory.mktemp("synced")
    made = Shell(org, folder / "home", folder / "lake.duckdb")
    assert made.type("sync", "Account", "Contact").code == 0
    shutil.copytree(folder, folder / "kept")
    return made


@pytest.fixture
def shell(synced: Shell) -> Shell:
    """The home and the lake are as they were after that."""
    kept = synced.lake.parent / "kept"
    shutil.rmtree(synced.home)
    shutil.copytree(kept / "home", synced.home)
    shutil.copy(kept / "lake.duckdb", synced.lake)
    return synced


def test_equal_sides_are_code_0_and_different_ones_3(shell: Shell) -> None:
    """One object after the other; the gravest code counts; nothing is changed without --repair."""
    told = shell.type("verify", "Account", "Contact")
    assert (told.code, told.out.count(": the same")) == (0, 2)
    shell.run("DELETE FROM main.Contact WHERE Id = (SELECT min(Id) FROM main.Contact)")
    told = shell.type("verify", "Account", "Contact")
    assert (told.code, told.out.count(": the same")) == (3, 1)
    assert re.search(r"Contact -> main\.Contact: 1 row differs\n  5 rows in Contact, 4 in main\.Contact; 4 compared;", told.out)
    assert re.search(r"1 missing from the table: 003\w{15}\n", told.out)
    assert "--repair sets it right" in told.out
    assert shell.type("verify", "Contact").code == 3
    told = shell.type("verify", "Contact", "--repair")
    assert (told.code, "1 inserted, 0 updated, 0 deleted" in told.out) == (0, True)
    assert shell.type("verify", "Contact", "--full").code == 0


def test_no_repair_is_offered_for_rows_that_share_a_key(shell: Shell) -> None:
    """It cannot tell them apart, and says what can; of others that differ it is offered as ever."""
    shell.run("INSERT INTO main.Contact SELECT * FROM main.Contact ORDER BY Id LIMIT 1")
    for words in (("verify", "Contact"), ("verify", "Contact", "--repair")):
        told = shell.type(*words)
        assert (told.code, told.out.startswith("Contact -> main.Contact: 1 row differs\n")) == (3, True)
        assert told.out.endswith("a full sync (--full) replaces the table.\n  nothing was changed\n")
    shell.run("DELETE FROM main.Contact WHERE Id = (SELECT max(Id) FROM main.Contact)")
    told = shell.type("verify", "Contact")
    assert told.out.startswith("Contact -> main.Contact: 2 rows differ\n")
    assert told.out.endswith("  nothing was changed; --repair sets the others right\n")
    told = shell.type("verify", "Contact", "--repair")
    assert (told.code, "1 inserted" in told.out, "nothing was changed" in told.out) == (3, True, False)


def test_a_table_under_a_contract_is_verified_and_repaired_under_it(shell: Shell) -> None:
    """A new column that `discard` leaves out is no difference; without the option the next sync is what sets it right."""
    org, wanted = shell.here.org.org, ("Lead", "--contract", "discard")
    shell.here.add("Lead", 3, LastName="L{n}", Company="C", Title="Dr.")
    org.hide(["Lead.Title"])
    try:
        assert shell.type("sync", *wanted).code == 0
        shell.here.days_pass()
        assert shell.type("sync", *wanted).code == 0
    finally:
        org.show()
    told = shell.type("verify", *wanted, "--full")
    assert (told.code, "Lead -> main.Lead: the same" in told.out) == (0, True)
    told = shell.type("verify", "Lead", "--full")
    assert (told.code, "The next sync reads everything: fields are new" in told.out) == (3, True)
    assert told.out.endswith("  nothing was changed; the next sync, which reads everything, sets it right\n")
    assert shell.type("verify", "Lead", "--full", "--json").documents[0]["due_in_full"] is True
    shell.run("DELETE FROM main.Lead WHERE Id = (SELECT min(Id) FROM main.Lead)")
    told = shell.type("verify", *wanted, "--repair")
    assert (told.code, "1 inserted, 0 updated" in told.out) == (0, True)
    assert shell.type("verify", *wanted, "--full", "--json").documents[0]["due_in_full"] is False


def test_json_tells_all_of_it(shell: Shell) -> None:
    """One document for each object, with counts, keys, columns, the repair's own counts, and the code."""
    shell.run("UPDATE main.Account SET Name = 'x' WHERE Id = (SELECT max(Id) FROM main.Account)")
    (found,) = shell.type("verify", "Account", "--full", "--json").documents
    assert (found["equal"], found["good"], found["different"], found["exit_code"]) == (False, False, 1, 3)
    assert (found["columns"], len(found["examples"]["different"]), found["repair"]) == ({"Name": 1}, 1, None)
    told = shell.type("verify", "Account", "Contact", "--full", "--repair", "--json")
    first, second = told.documents
    assert (told.code, first["good"], first["repair"]["counts"]["updated"], second["equal"]) == (0, True, 1, True)
    (found,) = shell.type("verify", "Account", "--sample", "4", "--json").documents
    assert (found["level"], found["looked_at"], found["source_rows"], found["exit_code"]) == ("sample", 4, 12, 0)


def test_one_that_fails_stops_no_other(shell: Shell) -> None:
    """An object without a table, and one that there is not: code 2, with a hint; the other is verified."""
    told = shell.type("verify", "Lead", "Account", "--json")
    failed, found = told.documents
    assert (told.code, failed["exit_code"], "no such table" in failed["error"], found["equal"]) == (2, 2, True, True)
    told = shell.type("verify", "Acount")
    assert (told.code, "Did you mean Account" in " ".join(told.err.split())) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("verify",), "name an object"),
        (("verify", "Account", "--sample", "3", "--full"), "Choose one of them"),
        (("verify", "Account", "--sample", "-3"), "--sample"),
        (("verify", "Account", "--max-delete-share", "2"), "--max-delete-share"),
        (("verify", "Account", "Contact", "--table", "one"), "--table"),
        (("verify", "Account", "--where", "Name ="), "where clause"),
        (("sync", "Account", "--formula-refresh", "soon"), "24h"),
        (("plan", "Account", "--formula-refresh", "1x"), "24h"),
    ],
    ids=["nothing", "both", "sample", "share", "table", "where", "refresh", "plan"],
)
def test_bad_use_is_code_2(shell: Shell, words: tuple[str, ...], said: str) -> None:
    """With words that say what is wrong."""
    told = shell.type(*words)
    assert (told.code, said in " ".join(re.sub("[│╭╮╰╯─]", " ", told.err).split())) == (2, True), told.err


def test_the_samples_of_the_page_are_commands_that_exist(shell: Shell) -> None:
    """Every `halocline verify` and `halocline sync` of the page runs as it is written, into a lake beside it."""
    commands = re.findall(r"^\$ halocline (.+?)(?:\s+#.*)?$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        words = command.replace(" --to duckdb:///lake.duckdb", "").split()
        assert shell.type(*words).code == 0, command


def test_no_repair_is_offered_by_a_key_that_is_masked(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can ask for the records behind it; what is offered in its place sets them right."""
    monkeypatch.setenv("HALOCLINE_MASK_KEY", "a secret of more than thirty-two characters")
    hidden = ("Contact", "--mask", "Id=hash", "--table", "Hidden")
    assert shell.type("sync", *hidden).code == 0
    shell.run("UPDATE main.Hidden SET LastName = 'other' WHERE Id = (SELECT min(Id) FROM main.Hidden)")
    told = shell.type("verify", *hidden, "--full")
    assert (told.code, "`sync --full` sets it right" in told.out, "--repair" in told.out) == (3, True, False), told
    told = shell.type("verify", *hidden, "--full", "--repair")
    assert (told.code, "the key Id is masked" in told.err) == (2, True), told
    told = shell.type("verify", *hidden, "--sample", "2")
    assert (told.code, "`verify --full` compares all values without it" in told.err) == (2, True), told
    assert shell.type("sync", *hidden, "--full").code == 0
    assert shell.type("verify", *hidden, "--full").code == 0
