"""Laws of `halocline init`: a file that can be read, of what was said or asked, that holds no secret and replaces no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from halocline.cli.asking import asked
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig
from halocline.flows.configuration import Configuration
from halocline.flows.draft import KINDS, Draft, kind_of, said
from halocline.flows.reading import read, understood
from tests.system.push_desk import PushDesk, desk_at, push_org

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with push_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PushDesk:
    return desk_at(emulator, tmp_path, monkeypatch)


def written(desk: PushDesk, *words: str) -> Configuration:
    """The file that these options make."""
    told = desk.type("init", "--force", *words)
    assert told.exit_code == 0, told
    return read(Path("halocline.yaml"))


def test_a_file_is_written_once(desk: PushDesk) -> None:
    """What is there is not written over unless that is asked for; where nobody can be asked it is the sample."""
    assert list(written(desk).flows) == ["accounts"]
    told = desk.type("init", "--from", "salesforce", "--object", "Lead", "--to", "duckdb:///other.duckdb")
    assert (told.exit_code, "is there already" in told.err) == (2, True)
    assert list(read(Path("halocline.yaml")).flows) == ["accounts"]
    assert "halocline check" in desk.type("init", "--config", "new.yaml").out
    assert Path("new.yaml").read_text() == Path("halocline.yaml").read_text()


def test_what_is_written_passes_the_check_and_runs(desk: PushDesk) -> None:
    """As it stands: the login of the environment, and a table where it was said."""
    desk.emulator.seed({"Account": 5})
    for to in ("duckdb:///lake.duckdb", "file:lakedir"):
        found = written(desk, "--from", "salesforce", "--object", "Account", "--to", to)
        assert list(found.flows) == ["account"]
        told = desk.type("check")
        assert (told.exit_code, "ok      org" in told.out, "ok      lake" in told.out) == (0, True, True), told
        assert "5 inserted" in desk.type("run", "account").out
    assert Path("lakedir").is_dir()


@pytest.mark.parametrize(
    ("words", "kind", "holds"),
    [
        (
            "--from salesforce --object Acc* --object My__c --to env:WAREHOUSE",
            "sync",
            {"objects": ["Acc*", "My__c"], "to": "warehouse"},
        ),
        ("--from salesforce --object * --to sqlite:///2lake.sqlite", "sync", {"everything": True, "to": "_2lake"}),
        ("--from a.csv --to salesforce --object Account --key E__c", "push", {"file": "a.csv", "key": "E__c", "mode": "upsert"}),
        ("--from duckdb:///l.duckdb --object Lead --query SELECT --name off", "push", {"query": "SELECT", "mode": "insert"}),
        ("--from s3://acme/in/ --object Account --key E__c", "file", {"source": "landing", "key": "E__c"}),
        ("--kind files --from env:BUCKET --object Account", "file", {"source": "app", "mode": "insert"}),
        ("--queue orders --handlers mine:orders", "listen", {"queue": "orders", "handlers": "mine:orders"}),
        ("--from dynamodb:// --to file:///lake --table people --table a=raw.b", "tables", {"source": "app", "to": "lake"}),
        ("--from duckdb:///x/a.duckdb --to duckdb:///y/a.duckdb --table t", "tables", {"source": "a", "to": "a_to"}),
    ],
)
def test_each_kind_can_be_said_by_options(desk: PushDesk, words: str, kind: str, holds: dict[str, object]) -> None:
    """The kind follows from the rest; each line that is commented out can be read too."""
    ((_, flow),) = written(desk, *words.split()).flows.items()
    assert (flow.kind, {name: getattr(flow, name) for name in holds}) == (kind, holds)
    text = Path("halocline.yaml").read_text()
    assert all(f"kind: {one}" in text for one in KINDS)
    for line in text.partition("# Other kinds")[0].splitlines():
        if line.startswith("    # ") and not line.startswith("      "):
            understood(text.replace(line, f"    {line[6:]}"))


@pytest.mark.parametrize(
    ("draft", "says"),
    [
        (Draft("sync", "salesforce", "postgresql://me:hunter2@host/db", ["A"]), "the URI holds a password"),
        (Draft("sync", "salesforce", "mysql://host/db", ["A"]), "begin with one of"),
        (Draft("sync", "salesforce", "duckdb:///x"), "which objects"),
        (Draft("sync", "salesforce", objects=["A"]), "--to is missing"),
        (Draft("push", "a.csv", objects=["A", "B"]), "into which object"),
        (Draft("file", "duckdb:///x", objects=["A"]), "is no bucket"),
        (Draft("tables", "dynamodb://", "duckdb:///x"), "which tables"),
        (Draft("listen", handlers="a:b"), "which queue"),
        (Draft("snyc"), "no kind of flow"),
    ],
)
def test_what_is_missing_is_told(draft: Draft, says: str) -> None:
    """With the option that says it, and without a password."""
    with pytest.raises(FixConfig, match=says) as caught:
        draft.text({})
    assert "hunter2" not in str(caught.value)


def test_answers_that_mean_nothing_are_told() -> None:
    """With all that could be said."""
    with pytest.raises(FixConfig, match="sync, push, file, listen, tables"):
        kind_of(Draft("", to="duckdb:///x"))


@pytest.mark.parametrize("text", ["no", "Acc*", "1", "a: b", "- x", "#", "SELECT 1", "ä", "x:", "{y}", "2026-01-01", "null"])
def test_a_text_stays_one(text: str) -> None:
    """Whatever YAML would take it for."""
    found = understood(f"flows: {{f: {{kind: push, from: 'duckdb:///x', object: A, mode: insert, query: {said(text)}}}}}").flows[
        "f"
    ]
    assert getattr(found, "query") == text  # noqa: B009 - which kind of flow it is, the text says


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, ["login_url", "client_id", "client_secret"]),
        ({"SF_PASSWORD": "hunter2"}, ["login_url", "username", "password", "security_token"]),
        ({"SF_PRIVATE_KEY_PATH": "k"}, ["login_url", "client_id", "username", "private_key_path"]),
        ({"SF_ACCESS_TOKEN": "hunter2"}, ["access_token", "instance_url"]),
        ({"SF_REFRESH_TOKEN": "hunter2"}, ["login_url", "client_id", "client_secret", "refresh_token"]),
    ],
)
def test_the_login_is_the_one_that_is_set(environ: dict[str, str], names: list[str]) -> None:
    """By reference; no value is ever written."""
    text = Draft("sync", "salesforce", "duckdb:///x", ["A"]).text(environ)
    org = understood(text).connections["org"]
    assert [name for name in names if getattr(org, name) == f"env:SF_{name.upper()}"] == names
    assert "hunter2" not in text


def answered(desk: PushDesk, *answers: str) -> str:
    """What is written for a person who answers so."""
    app = typer.Typer()

    @app.command()
    def ask() -> None:
        Path("asked.yaml").write_text(asked(desk.env).text(desk.env))

    done = CliRunner().invoke(app, [], env=desk.env, input="".join(f"{one}\n" for one in answers))
    assert done.exit_code == 0, done.output
    return done.output


def test_a_person_is_asked(desk: PushDesk) -> None:
    """What cannot be is told and asked again: a number, a URI, an object that the org has not; what is known is offered."""
    desk.env["WAREHOUSE"] = "duckdb:///there.duckdb"
    output = answered(desk, "9", "1", "mysql://x", "", "Acount", "Account, Contact")
    assert ("a number from 1 to 5" in output, "[env:WAREHOUSE]" in output, "Did you mean Account" in output) == (True, True, True)
    (flow,) = understood(Path("asked.yaml").read_text()).flows.values()
    assert (flow.kind, getattr(flow, "objects", None), getattr(flow, "to", None)) == ("sync", ["Account", "Contact"], "warehouse")


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (("2", "a.csv", "Account", "Ext__c"), "push"),
        (("2", "env:SHOP", "SELECT 1", "Account", ""), "push"),
        (("3", "s3://acme/in/", "Account", "Ext__c"), "file"),
        (("4", "orders", ""), "listen"),
        (("5", "", "", "people, cases=raw.cases"), "tables"),
    ],
)
def test_each_kind_can_be_asked_for(desk: PushDesk, answers: tuple[str, ...], kind: str) -> None:
    """And where no org can be asked, nothing is checked against it."""
    del desk.env["SF_LOGIN_URL"], desk.env["SF_CLIENT_ID"], desk.env["SF_CLIENT_SECRET"]
    answered(desk, *answers)
    assert [flow.kind for flow in understood(Path("asked.yaml").read_text()).flows.values()] == [kind]
