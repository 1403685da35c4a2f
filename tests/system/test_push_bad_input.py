"""Whatever is wrong with what is to be pushed, its owner reads why, gets the right exit code, and the org holds nothing half."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from halocline.emulator.server import Emulator
from tests.examples import in_turn
from tests.system.desk import STARTS
from tests.system.push_desk import PushDesk, desk_at, push_org

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

GOOD = "Ext__c,Name\na,A\nb,B\n"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with push_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PushDesk:
    made = desk_at(emulator, tmp_path, monkeypatch)
    made.emulator.create("Account", {"Ext__c": "a", "Name": "old"})
    return made


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that cannot be pushed: what is typed after `halocline push` (made on the desk), and what is to be read."""

    name: str
    words: Callable[[PushDesk], tuple[str | Path, ...]]
    says: tuple[str, ...]


def content(text: str | bytes, name: str = "rows.csv", *more: str) -> Callable[[PushDesk], tuple[str | Path, ...]]:
    """A file with this content, and further words."""
    return lambda desk: (desk.file(name, text), *UPSERT, *more)


def typed(*words: str) -> Callable[[PushDesk], tuple[str | Path, ...]]:
    """These words, beside a good file named good.csv."""

    def make(desk: PushDesk) -> tuple[str | Path, ...]:
        desk.file("good.csv", GOOD)
        return words

    return make


def mapped(text: str) -> Callable[[PushDesk], tuple[str | Path, ...]]:
    """A good file with this mapping."""
    return lambda desk: (desk.file("rows.csv", GOOD), *UPSERT, "--map", desk.file("map.yaml", text))


def queried(sql: str) -> Callable[[PushDesk], tuple[str | Path, ...]]:
    """A query of a database that is there."""

    def make(desk: PushDesk) -> tuple[str | Path, ...]:
        with duckdb.connect(str(desk.folder / "lake.duckdb")) as lake:
            lake.execute("CREATE TABLE t AS SELECT 'a' AS \"Ext__c\", 'A' AS \"Name\"")
        return (sql, "--from", "duckdb:///lake.duckdb", *UPSERT)

    return make


UPSERT = ("--to", "Account", "--mode", "upsert", "--key", "Ext__c")
NOTHING = [
    Trouble("no-bytes", content(b""), ("rows.csv", "the file is empty")),
    Trouble("header-only", content("Ext__c,Name\n"), ("rows.csv", "no rows", "--allow-empty")),
    Trouble("empty-list", content("[]", "rows.json"), ("rows.json", "no rows", "--allow-empty")),
    Trouble("query-without-rows", queried("SELECT * FROM t WHERE false"), ("no rows", "--allow-empty")),
]
MISTAKES = [
    *NOTHING,
    Trouble("no-key-column", content("Name\nA\n"), ("Ext__c",)),
    Trouble("unknown-field", content("Ext__c,Nme\na,A\n"), ("Nme", "Did you mean Name")),
    Trouble("field-that-is-not-writable", content("Ext__c,IsDeleted\na,true\n"), ("IsDeleted cannot be set",)),
    Trouble("label-as-name", content("Ext__c,Account Name\na,A\n"), ("Account Name", "label", "Did you mean Name")),
    Trouble("key-with-spaces", content(" Ext__c ,Name\na,A\n"), ("The column ' Ext__c ' seems to be it",)),
    Trouble("a-relationship-as-a-column", content("Ext__c,Parent\na,A\n"), ("Parent: it is no field", "ParentId")),
    Trouble("text-of-any-form", content("Ext__c\tName\na\tA\n", "rows.txt"), ("rows.txt", "--delimiter tab")),
    Trouble(
        "wrong-encoding", content("Ext__c,Name\na,Müller\n".encode("latin-1")), ("rows.csv", "utf-8", "--encoding|encoding=")
    ),
    Trouble("wrong-encoding-said", content(GOOD, "rows.csv", "--encoding", "klingon"), ("klingon",)),
    Trouble("ragged", content("Ext__c,Name\na,A\nb,B,C\n"), ("rows.csv", "line 3")),
    Trouble("same-name-twice", content("Ext__c,Name,Name\na,A,B\n"), ("rows.csv", "Name")),
    Trouble("open-quote", content('Ext__c,Name\na,"A\n'), ("rows.csv",)),
    Trouble("no-json", content('{"Ext__c": "a"}\n{"Ext__c": \n', "rows.jsonl"), ("rows.jsonl", "line 2")),
    Trouble("no-object-in-json", content('{"Ext__c": "a"}\n[1]\n', "rows.jsonl"), ("rows.jsonl", "line 2")),
    Trouble("no-parquet", content(GOOD, "rows.parquet"), ("rows.parquet",)),
    Trouble("unknown-ending", content(GOOD, "rows.xlsx"), ("rows.xlsx", "csv")),
    Trouble("no-such-file", typed("goood.csv", *UPSERT), ("goood.csv", "Did you mean good.csv")),
    Trouble("a-folder", typed(".", *UPSERT), ("folder",)),
    Trouble("bad-sql", queried("SELEC 1"), ("SELEC",)),
    Trouble("unknown-table", queried("SELECT * FROM nowhere"), ("nowhere",)),
    Trouble("no-such-database", typed("SELECT 1", "--from", "duckdb:///nowhere.duckdb", *UPSERT), ("nowhere.duckdb",)),
    Trouble("unknown-database", typed("SELECT 1", "--from", "oracle://x", *UPSERT), ("oracle://",)),
    Trouble("unknown-object", typed("good.csv", "--to", "Acount", "--mode", "insert"), ("Acount", "Did you mean Account")),
    Trouble("unknown-system", typed("good.csv", "--to", "hubspot:Account", "--mode", "insert"), ("hubspot",)),
    Trouble("unknown-mode", typed("good.csv", "--to", "Account", "--mode", "merge"), ("merge", "upsert")),
    Trouble("unknown-api", typed("good.csv", *UPSERT, "--api", "soap"), ("soap", "collections")),
    Trouble("unknown-nulls", typed("good.csv", *UPSERT, "--nulls", "maybe"), ("maybe", "keep")),
    Trouble("no-key", typed("good.csv", "--to", "Account", "--mode", "upsert"), ("--key",)),
    Trouble("key-is-no-external-id", typed("good.csv", "--to", "Account", "--mode", "upsert", "--key", "Name"), ("Name",)),
    Trouble("update-without-id", typed("good.csv", "--to", "Account", "--mode", "update"), ("Id",)),
    Trouble("bulk-that-stops", typed("good.csv", *UPSERT, "--api", "bulk", "--stop-on-error"), ("Bulk",)),
    Trouble("batch-of-none", typed("good.csv", *UPSERT, "--batch-size", "0"), ("batch",)),
    Trouble("no-such-map", typed("good.csv", *UPSERT, "--map", "nowhere.yaml"), ("nowhere.yaml",)),
    Trouble("map-is-no-yaml", mapped("mapping: {"), ("map.yaml", "no YAML")),
    Trouble("map-without-mapping", mapped("Ext__c: Name"), ("map.yaml", "mapping:")),
    Trouble("map-unknown-transform", mapped("mapping: {Ext__c: Ext__c, Name: {target: Name, transform: shout}}"), ("shout",)),
    Trouble("map-unknown-target", mapped("mapping: {Ext__c: Ext__c, Name: Nme}"), ("Nme", "Did you mean Name")),
    Trouble("map-without-key", mapped("mapping: {Name: Name}"), ("Ext__c",)),
    Trouble("errors-to-nowhere", typed("good.csv", *UPSERT, "--errors-to", "e.txt"), (".csv", ".jsonl")),
]


@pytest.mark.parametrize(("trouble", "how"), in_turn(MISTAKES, ["push", "dry-run"]), ids=lambda one: getattr(one, "name", one))
def test_a_mistake_is_told_and_changes_nothing(desk: PushDesk, trouble: Trouble, how: str) -> None:
    """Code 2, one paragraph that names what is wrong; nothing was sent, and neither org nor ledger nor folder knows of it."""
    words = trouble.words(desk)
    before, files = desk.accounts(), sorted(path.name for path in desk.folder.iterdir())
    told = desk.type("push", *words, *(("--dry-run",) if how == "dry-run" else ()))
    assert told.exit_code == 2, told
    is_one_paragraph(told.err, trouble.says)
    assert told.out == ""
    assert desk.sent() == []
    assert desk.accounts() == before == [("a", "old")]
    assert desk.folders() == []
    assert desk.runs() == []
    assert sorted(path.name for path in desk.folder.iterdir() if path.name != "home") == files


def is_one_paragraph(text: str, says: tuple[str, ...]) -> None:
    flat = " ".join(text.split())
    assert flat.startswith((STARTS[1], "Usage:")), text
    for word in says:
        assert any(one in flat for one in word.split("|")), f"{word!r} is not in {flat!r}"


@pytest.mark.parametrize("trouble", NOTHING[1:], ids=lambda trouble: trouble.name)
def test_a_source_without_rows_may_be_allowed(desk: PushDesk, trouble: Trouble) -> None:
    """With --allow-empty it is a success of 0 rows, and nothing is sent."""
    told = desk.type("push", *trouble.words(desk), "--allow-empty")
    assert (told.exit_code, "0 written" in told.out) == (0, True), told
    assert desk.sent() == []


@dataclass(frozen=True, slots=True)
class Partly:
    """A source of which some rows cannot be written: its rows, which of them are refused and how, and what the org holds then."""

    name: str
    text: str
    refused: dict[int, str]
    org: list[tuple[str | None, str]]


PARTLY = [
    Partly(
        "key-null-in-some-rows",
        "Ext__c,Name\na,A\n,B\nc,C\n",
        {1: "MISSING_KEY"},
        [("a", "A"), ("c", "C")],
    ),
    Partly(
        "wrong-type",
        "Ext__c,Name,NumberOfEmployees\na,A,5\nb,B,many\n",
        {1: "INVALID_TYPE|JSON_PARSER_ERROR|INVALID_NUMBER|CANNOT_BE_SENT|INVALID_TYPE_ON_FIELD_IN_RECORD"},
        [("a", "A")],
    ),
    Partly("required-field-missing", "Ext__c,Name\na,A\nb,\n", {1: "REQUIRED_FIELD_MISSING"}, [("a", "A")]),
    Partly("text-too-long", f"Ext__c,Name\na,A\nb,{'x' * 300}\n", {1: "STRING_TOO_LONG"}, [("a", "A")]),
    Partly(
        "ten-megabytes",
        f"Ext__c,Name,Description\na,A,short\nb,B,{'x' * 10_000_000}\n",
        {1: "CANNOT_BE_SENT|STRING_TOO_LONG"},
        [("a", "A")],
    ),
]


WRITTEN = [
    pytest.param(
        case, api, id=f"{case.name}-{api}", marks=pytest.mark.long if (case.name, api) == ("ten-megabytes", "bulk") else ()
    )
    for case in PARTLY
    for api in ("collections", "bulk")
]


@pytest.mark.parametrize(("case", "api"), WRITTEN)
def test_bad_rows_are_refused_one_by_one(desk: PushDesk, case: Partly, api: str) -> None:
    """Code 3; the other rows are written; `halocline errors` names each with code, message and the source's record."""
    told = desk.push(desk.file("rows.csv", case.text), "--api", api)
    assert told.exit_code == 3, told
    assert re.search(rf" ({len(case.refused)} refused|0 refused, {len(case.refused)} not sent), ", told.out)
    assert "halocline errors " in told.out
    assert desk.accounts() == case.org
    refused = {one["row"]: one for one in desk.documents("errors", "last")}
    assert refused.keys() == case.refused.keys()
    lines = case.text.splitlines()
    for row, codes in case.refused.items():
        assert refused[row]["code"] in codes.split("|"), refused[row]["code"]
        assert refused[row]["message"]
        assert list(refused[row]["record"].values()) == [cell or None for cell in lines[row + 1].split(",")]
