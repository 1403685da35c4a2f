"""Laws of files that a command is told to write: nothing that it reads, and none of its own, is lost by it."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from halocline.cli.apart import keep_apart, keep_apart_from_query, keep_apart_from_stdin
from halocline.consume.letters.quarantine import Quarantine
from halocline.errors import FixConfig
from halocline.ledger import open_ledger
from halocline.queues import Message
from tests.command_line import app

LEADS = "LastName,Company\nA,x\n"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder with a home in it, and no org at all: what is refused is refused before anybody is asked."""
    for name in [name for name in os.environ if name.startswith(("SF_", "HALOCLINE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))


def refused(*words: str, says: str) -> None:
    """`halocline` and these words end with 2, and say so."""
    done = CliRunner().invoke(app, list(words))
    said = " ".join(done.stderr.split())
    assert (done.exit_code, done.stdout, says in said) == (2, "", True), done.output


@pytest.mark.parametrize("way", ["its name", "another spelling", "a symbolic link", "a hard link"])
@pytest.mark.parametrize("option", ["--errors-to", "--written-to"])
def test_a_push_never_writes_over_its_source(tmp_path: Path, way: str, option: str) -> None:
    """By whatever name the source is called: it stays as it is, and no org is asked."""
    source = tmp_path / "leads.csv"
    source.write_text(LEADS)
    target = {"its name": "leads.csv", "another spelling": f"../{tmp_path.name}/leads.csv"}.get(way, "link.csv")
    if way == "a symbolic link":
        Path(target).symlink_to(source)
    elif way == "a hard link":
        Path(target).hardlink_to(source)
    refused("push", "leads.csv", "--to", "Lead", "--mode", "insert", option, target, says=f"({option}): it is the source too")
    assert source.read_text() == LEADS


def test_a_push_writes_no_file_twice_and_none_that_it_needs() -> None:
    """Two options for one file, which is not there yet; the mapping; the ledger; a file that the query reads."""
    Path("leads.csv").write_text(LEADS)
    Path("map.csv").write_text("mapping: {}")
    duckdb.connect("lake.duckdb").close()
    words = ("push", "leads.csv", "--to", "Lead", "--mode", "insert")
    refused(*words, "--errors-to", "o.csv", "--written-to", "./o.csv", says="it is the file of --errors-to too")
    refused(*words, "--map", "map.csv", "--errors-to", "map.csv", says="it is the mapping too")
    query = ("push", "SELECT * FROM 'leads.csv'", "--from", "duckdb:///lake.duckdb", *words[2:])
    refused(*query, "--written-to", "leads.csv", says="the query reads it")
    assert (Path("leads.csv").read_text(), Path("o.csv").exists()) == (LEADS, False)


READS = (
    "SELECT * FROM 'leads.csv'",
    "SELECT * FROM leads.csv",
    "SELECT * FROM read_csv('./Leads.CSV')",
    "SELECT * FROM new JOIN read_csv(['new.csv', 'l*.csv'], delim = ';') ON true",
    "WITH a AS (SELECT * FROM 'link.csv') SELECT (SELECT max(b) FROM a)",
    "SELECT * FROM read_csv('leads' || '.csv') UNION SELECT * FROM '*.csv'",
    "this is no query of leads.csv",
)
SEEMS = (
    "SELECT * FROM 'new-leads.csv'",
    "SELECT * FROM 'leads.csv2'",
    "SELECT * FROM 'in/leads.csv'",
    "SELECT 'leads.csv' AS source FROM new WHERE file IN ('leads.csv')",
    'SELECT "leads.csv".* FROM new AS "leads.csv" -- not leads.csv',
    'SELECT * FROM main."other.csv", lake.main."Other.csv"',
    'WITH "leads.csv" AS (SELECT 1) SELECT * FROM "leads.csv"',
)


@pytest.mark.parametrize(("sql", "reads"), [*((sql, True) for sql in READS), *((sql, False) for sql in SEEMS)])
def test_a_file_that_a_query_only_seems_to_name_may_be_written(sql: str, reads: bool) -> None:
    """One that it reads may not, by whatever way; a table of that name, a text and a part of another name are no file."""
    for name in ("leads.csv", "other.csv"):
        Path(name).write_text(LEADS)
    Path("link.csv").symlink_to("leads.csv")
    Path("in").mkdir()
    Path("in/leads.csv").write_text(LEADS)
    with duckdb.connect("lake.duckdb") as lake:
        lake.execute('CREATE TABLE new (file TEXT); CREATE VIEW "other.csv" AS FROM new')
    files = {"--errors-to": Path("leads.csv"), "--written-to": Path("other.csv") if not reads else None}
    if not reads:
        keep_apart_from_query(files, sql, uri="duckdb:///lake.duckdb")
        return
    with pytest.raises(FixConfig, match="the query reads it"):
        keep_apart_from_query(files, sql, uri="duckdb:///lake.duckdb")


def test_a_database_that_reads_no_files_here_is_asked_anything() -> None:
    """The file of a server's query is the server's; and nothing is lost where there is no file."""
    Path("leads.csv").write_text(LEADS)
    keep_apart_from_query({"--errors-to": Path("leads.csv")}, "SELECT * FROM 'leads.csv'", uri="postgresql://host/db")
    keep_apart_from_query({"--errors-to": Path("gone.csv")}, "SELECT * FROM 'gone.csv'", uri="duckdb:///lake.duckdb")
    with pytest.raises(FixConfig, match="the query reads it"):  # nobody can say: there is no such database
        keep_apart_from_query({"--errors-to": Path("leads.csv")}, "FROM 'leads.csv'", uri="duckdb:///gone.duckdb")


def test_the_file_behind_standard_input_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell opened it by `< leads.csv`; another file may be written, and any where standard input is no file."""
    Path("leads.csv").write_text(LEADS)
    Path("other.csv").touch()
    keep_apart_from_stdin({"--errors-to": Path("leads.csv")})
    with Path("leads.csv").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        keep_apart_from_stdin({"--errors-to": Path("other.csv"), "--written-to": None})
        with pytest.raises(FixConfig, match="standard input comes from it"):
            keep_apart_from_stdin({"--errors-to": Path("leads.csv")})


def test_what_is_not_given_or_no_file_is_in_nobodys_way() -> None:
    """None, and an address of another system."""
    keep_apart(
        {"--errors-to": None, "--written-to": Path("a.csv")}, {"the source": None, "the ledger": "postgresql://host/a.csv"}
    )


def test_refused_rows_are_not_written_over_the_ledger(tmp_path: Path) -> None:
    """`halocline errors --csv` takes any name, but not the one of what it reads."""
    file = tmp_path / "home" / "ledger.sqlite"
    open_ledger(file).close()
    before = file.read_bytes()
    for option in ("--csv", "--jsonl"):
        refused("errors", "last", option, "home/ledger.sqlite", says=f"({option}): it is the ledger too")
    assert file.read_bytes() == before


def test_letters_are_not_written_over_what_they_come_from(tmp_path: Path) -> None:
    """Neither over the configuration, nor into the folder of the letters themselves."""
    Path("mine.yaml").write_text("flows: {}\n")
    folder = Quarantine(tmp_path / "letters")
    folder.send([Message("body")])
    (letter,) = folder.folder.iterdir()
    words = ("dlq", "export", f"file://{folder.folder}")
    refused(*words, "mine.yaml", "--config", "mine.yaml", says="it is the configuration too")
    refused(*words, str(letter), says="the letters themselves are in that folder")
    assert ([one.body for one in folder.receive()], Path("mine.yaml").read_text()) == (["body"], "flows: {}\n")


def test_a_configuration_is_not_written_over_the_file_that_it_is_to_push() -> None:
    """Not even by --force."""
    Path("leads.csv").write_text(LEADS)
    words = ("init", "--from", "leads.csv", "--to", "salesforce", "--object", "Lead", "--key", "Ext__c", "--force")
    refused(*words, "--config", "leads.csv", says="(--config): it is the source too")
    assert Path("leads.csv").read_text() == LEADS
