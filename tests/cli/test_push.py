"""Laws of the verbs that push: what they say is what is, and what a run left can be seen, sent again, taken up."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from halocline.emulator.server import Emulator
from tests.system.desk import Told
from tests.system.push_desk import PushDesk, desk_at, push_org

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "push-command.md"
MAP = "mapping: {key: Ext__c, name: Name, staff: {target: NumberOfEmployees, transform: int}}"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with push_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PushDesk:
    return desk_at(emulator, tmp_path, monkeypatch)


def accounts(count: int, *, bad: tuple[int, ...] = ()) -> str:
    """A CSV file of so many accounts, of which some have no name."""
    lines = (f"k{number:05},{'' if number in bad else f'N{number}'}\n" for number in range(count))
    return "Ext__c,Name\n" + "".join(lines)


# ---- push


@pytest.mark.parametrize(("api", "word"), [("collections", "collections"), ("bulk", "Bulk")])
def test_one_sentence_tells_what_became_of_the_rows(desk: PushDesk, api: str, word: str) -> None:
    """Source, object, mode, API, written, created, updated, refused, API calls; then the codes, and where to read on; code 3."""
    desk.emulator.create("Account", {"Ext__c": "k00000", "Name": "old"})
    told = desk.push(desk.file("some.csv", accounts(10, bad=(3, 7))), "--api", api)
    assert told.exit_code == 3
    first, second = told.out.splitlines()
    sentence = (
        rf"some\.csv -> Account: upsert by {word}, 8 written \(7 created, 1 updated\), 2 refused, \d+ API calls?, \d+\.\d s"
    )
    assert re.fullmatch(sentence, first)
    (run,) = desk.runs()
    assert second == f"REQUIRED_FIELD_MISSING 2: `halocline errors {run['run'][:8]}`"
    assert (run["rows_read"], run["counts"]["inserted"], run["counts"]["updated"], run["counts"]["rejected"]) == (10, 7, 1, 2)


def test_a_push_without_trouble_is_one_line_and_leaves_no_folder(desk: PushDesk) -> None:
    """Code 0, one line, no folder; with --json one document and nothing else."""
    source = desk.file("some.csv", accounts(3))
    told = desk.push(source)
    assert (told.exit_code, len(told.out.splitlines()), desk.folders()) == (0, 1, [])
    told = desk.push(source, "--json")
    assert (told.exit_code, told.err) == (0, "")
    document = json.loads(told.out)
    wanted = {"sobject": "Account", "mode": "upsert", "api": "collections", "total": 3, "written": 3, "created": 0, "updated": 3}
    assert document == {**document, **wanted, "refused": 0, "not_sent": 0, "in_doubt": 0, "success": True, "exit_code": 0}
    assert document["run"] == desk.runs()[0]["run"]


def test_a_name_with_a_line_end_forges_no_line(desk: PushDesk) -> None:
    """Whoever names a file writes no line of what is printed: neither of the answer, nor of progress, nor of a dry run."""
    source = desk.file("bad\nforged: 9 written.csv", 'Ext__c,Name\n"a\nforged",A\nb,\n')
    for words in ((), ("--dry-run",), ("--json",)):
        told = desk.push(source, *words)
        lines = [*told.out.splitlines(), *told.err.splitlines()]
        assert lines
        assert [line for line in lines if line.startswith("forged")] == [], told
    assert r"bad\nforged: 9 written.csv" in desk.push(source).out
    assert r"bad\nforged: 9 written.csv" in desk.type("runs").out


def test_folded_rows_are_counted(desk: PushDesk) -> None:
    """A key that comes twice is folded to its last row, and the sentence says so."""
    told = desk.push(desk.file("some.csv", "Ext__c,Name\na,old\nb,B\na,new\n"))
    assert "3 written (3 created, 0 updated), 0 refused, 1 folded into later rows" in told.out
    assert desk.accounts() == [("a", "new"), ("b", "B")]


def test_a_decimal_key_finds_its_record_by_every_way(desk: PushDesk) -> None:
    """In a field of text its own digits are the key, however many rows there are: what one way made, the other finds."""
    with duckdb.connect("lake.duckdb") as lake:
        lake.execute(
            """CREATE TABLE t AS SELECT (500000 + i)::DECIMAL(38, 10) AS "Ext__c", 'N' || i AS "Name" FROM range(3) r(i)"""
        )
        lake.execute("""INSERT INTO t VALUES (7007000000000000000000, 'long')""")
    words = ("push", "SELECT * FROM t", "--from", "duckdb:///lake.duckdb", "--to", "Account", "--key", "Ext__c", "--diff")
    assert "4 created, 0 updated" in desk.type(*words, "--api", "bulk").out
    with duckdb.connect("lake.duckdb") as lake:
        lake.execute("""UPDATE t SET "Name" = 'new' WHERE "Ext__c" IN (500001, 7007000000000000000000)""")
    assert "0 created, 2 updated), 0 refused, 2 unchanged" in desk.type(*words, "--api", "collections").out
    long = "7007000000000000000000.0000000000"
    keys = [("500000.0000000000", "N0"), ("500001.0000000000", "new"), ("500002.0000000000", "N2"), (long, "new")]
    assert desk.accounts() == keys


def test_parents_by_id_and_by_key_stand_in_one_file(desk: PushDesk) -> None:
    """By Bulk as by collections each row finds its parent by what it has."""
    parent = desk.emulator.create("Account", {"Ext__c": "top", "Name": "Top"})
    source = desk.file("some.csv", f"Ext__c,Name,ParentId,Parent.Ext__c\na,A,,top\nb,B,{parent},\nc,C,,top\n")
    for api in ("bulk", "collections"):
        told = desk.push(source, "--api", api)
        assert (told.exit_code, "3 written" in told.out) == (0, True), told
        found = desk.emulator.query("SELECT Parent.Ext__c FROM Account WHERE ParentId != null")
        assert [one["Parent"]["Ext__c"] for one in found] == ["top"] * 3


def test_every_kind_of_source_is_pushed(desk: PushDesk) -> None:
    """CSV from standard input, CSV with another delimiter and encoding, JSON lines, and the answer of a query."""
    with duckdb.connect("lake.duckdb") as lake:
        lake.execute("""CREATE TABLE t AS SELECT 'q' AS "Ext__c", 'Query' AS "Name" """)
    semicolons = "Ext__c;Name\nd;Müller\n".encode("cp1252")
    for words, stdin in (
        (("-",), b"Ext__c,Name\ns,Stdin\n"),
        ((desk.file("d.csv", semicolons), "--delimiter", ";", "--encoding", "cp1252"), None),
        ((desk.file("j.jsonl", '{"Ext__c": "j", "Name": "Json"}\n'),), None),
        (("SELECT * FROM t", "--from", "duckdb:///lake.duckdb"), None),
    ):
        told = desk.type("push", *words, "--to", "salesforce:Account", "--key", "Ext__c", stdin=stdin)
        assert told.exit_code == 0, told
    assert desk.accounts() == [("d", "Müller"), ("j", "Json"), ("q", "Query"), ("s", "Stdin")]


@pytest.mark.parametrize("tab", ["\t", "\\t", "tab"])
def test_a_tab_may_be_typed(desk: PushDesk, tab: str) -> None:
    """The character itself is hard to type in a shell."""
    assert desk.push(desk.file("t.csv", "Ext__c\tName\na\tA\n"), "--delimiter", tab).exit_code == 0
    assert desk.accounts() == [("a", "A")]


def test_a_file_with_another_delimiter_is_told(desk: PushDesk) -> None:
    """What a spreadsheet writes in much of the world: the one column is shown, and the option."""
    told = desk.push(desk.file("s.csv", "Ext__c;Name\na;A\n"))
    assert told.exit_code == 2
    assert "The only column is 'Ext__c;Name': say what divides it, perhaps delimiter=';' (--delimiter)." in told.err


@pytest.mark.parametrize("query", ["SELECT 1", "SELECT\n 1", f"SELECT {'x, ' * 2_000} y FROM t", "select * from t.csv"])
def test_a_select_without_a_database_is_told(desk: PushDesk, query: str) -> None:
    """It is no file that is missing, however long it is and however it is laid out."""
    told = desk.type("push", query, "--to", "Account", "--key", "Ext__c")
    assert (told.exit_code, "name that with --from" in told.err) == (2, True), told


def test_the_memory_that_was_set_is_that_of_a_query(desk: PushDesk) -> None:
    """HALOCLINE_DUCKDB_MEMORY limits the database that --from names."""
    duckdb.connect("lake.duckdb").close()
    desk.env["HALOCLINE_DUCKDB_MEMORY"] = "64MB"
    query = """SELECT 'a' AS "Ext__c", current_setting('memory_limit') AS "Name" """
    told = desk.type("push", query, "--from", "duckdb:///lake.duckdb", "--to", "Account", "--key", "Ext__c")
    assert (told.exit_code, desk.accounts()) == (0, [("a", "61.0 MiB")]), told


def test_a_mapping_of_a_column_that_is_not_there_is_told(desk: PushDesk) -> None:
    """The field would stay as it was in every row, and each row would count as written."""
    desk.emulator.create("Account", {"Ext__c": "a", "Name": "A"})
    words = (desk.file("some.csv", "key,name\na,B\n"), "--map", desk.file("map.yaml", "mapping: {key: Ext__c, nmae: Name}"))
    notice = "Name: the source has no 'nmae'; the field is left untouched in every row. Did you mean name?"
    assert notice in desk.push(*words, "--dry-run").out
    assert notice in desk.push(*words).err
    (document,) = desk.documents("push", *words, "--to", "Account", "--key", "Ext__c")
    assert notice in document["notices"]


@pytest.mark.parametrize(("nulls", "kept"), [((), "old"), (("--nulls", "keep"), "old"), (("--nulls", "clear"), None)])
def test_an_empty_cell_keeps_the_field_unless_it_is_to_clear_it(desk: PushDesk, nulls: tuple[str, ...], kept: str | None) -> None:
    """Files leave the field of an empty cell as it is; --nulls clear empties it."""
    desk.emulator.create("Account", {"Ext__c": "a", "Name": "A", "Description": "old"})
    assert desk.push(desk.file("some.csv", "Ext__c,Description\na,\n"), *nulls).exit_code == 0
    assert desk.accounts("Ext__c", "Description") == [("a", kept)]


def test_the_other_modes_write_by_id(desk: PushDesk) -> None:
    """Insert makes records, update changes them by Id, delete removes them."""
    assert "2 written (2 created)" in desk.push(desk.file("a.csv", accounts(2)), "--mode", "insert").out
    ids = [one for (one,) in desk.accounts("Id")]
    text = "Id,Name\n" + "".join(f"{one},new\n" for one in ids)
    assert "update by collections, 2 written (2 updated)" in desk.push(desk.file("b.csv", text), "--mode", "update").out
    assert {name for _, name in desk.accounts()} == {"new"}
    assert (
        "delete by collections, 1 written (1 deleted)" in desk.push(desk.file("c.csv", f"Id\n{ids[0]}\n"), "--mode", "delete").out
    )
    assert len(desk.accounts()) == 1


def test_a_delete_takes_no_records_of_another_object(desk: PushDesk) -> None:
    """Salesforce would: a call that deletes names no object. The other rows go, and a dry run tells so before."""
    account, contact = desk.emulator.create("Account", {"Name": "A"}), desk.emulator.create("Contact", {"LastName": "C"})
    file = desk.file("gone.csv", f"Id\n{contact}\n{account}\n")
    told = desk.push(file, "--mode", "delete", "--dry-run")
    assert f"'{contact}' is a record of another object" in " ".join(told.out.split()), told
    told = desk.push(file, "--mode", "delete")
    assert (told.exit_code, desk.accounts()) == (3, []), told
    assert desk.emulator.query("SELECT Id FROM Contact") == [{"Id": contact}]


def test_a_push_that_stops_at_the_first_error_says_where(desk: PushDesk) -> None:
    """Rows before it are written, none after its call; the row is named; code 3; the rest counts as not sent."""
    told = desk.push(desk.file("some.csv", accounts(6, bad=(3,))), "--stop-on-error", "--batch-size", "2")
    assert told.exit_code == 3
    assert "stopped at the first error: row 3: REQUIRED_FIELD_MISSING" in told.err
    assert "3 written (3 created, 0 updated), 1 refused, 2 not sent" in told.out
    assert [key for key, _ in desk.accounts()] == ["k00000", "k00001", "k00002"]
    assert "done, stopped at an error" in desk.type("runs").out
    assert desk.runs()[0]["error"].startswith("stopped at the first error: row 3: REQUIRED_FIELD_MISSING")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mode", "insert", "--key", "Ext__c"), "--key is for an upsert; insert makes new records"),
        (("--mode", "update", "--key", "Ext__c"), "--key is for an upsert; update finds records by Id"),
        (("--max-delete-share", "1"), "--max-delete-share bounds what --mirror deletes"),
        (("--errors-to", "-"), "`halocline errors last --csv -`"),
        (("--errors-to", "bad.csv", "--dry-run"), "--errors-to writes what a push leaves"),
        (("--diff-key", "Ext__c"), "--diff-key names the field by which --diff or --mirror"),
        (("--delimiter", ";", "--from", "duckdb:///lake.duckdb"), "--delimiter is of a text file"),
        (("--encoding", "utf-8", "--from", "duckdb:///lake.duckdb"), "--encoding is of a text file"),
        (("--batch-size", "100", "--api", "bulk"), "--batch-size is of the requests of collections"),
        (("--batch-size", "201"), "--batch-size: it takes a whole number from 1 to 200, not '201'"),
        (("--mode", "hard_delete", "--batch-size", "200"), "--batch-size is of the requests of collections"),
        (("--flow", ""), "--flow is empty; leave it out, or look whether a variable in it is not set"),
        (("--encoding", ""), "--encoding is empty"),
        (("--key", " "), "--key is empty"),
        (("--diff", "--diff-key", ""), "--diff-key is empty"),
        (("--from", ""), "--from is empty"),
        (("--from", "duckdb:///lake.duckdb"), "some.csv is a file, and --from names the database that a query is asked of"),
        (("--mode", "delete", "--nulls", "clear"), "--nulls says what an empty value does to its field; a delete sends"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(desk: PushDesk, words: tuple[str, ...], said: str) -> None:
    """Code 2 and why, before anything is looked at."""
    told = desk.push(desk.file("some.csv", accounts(1)), *words)
    assert (told.exit_code, told.out, said in " ".join(told.err.split())) == (2, "", True), told
    assert (desk.sent(), desk.runs()) == ([], [])


@pytest.mark.parametrize(
    ("name", "option"),
    [("a.parquet", "--encoding"), ("a.parquet", "--delimiter"), ("a.jsonl", "--delimiter"), ("a.JSON.gz", "--delimiter")],
)
def test_how_a_file_is_written_is_said_only_where_it_can_be(desk: PushDesk, name: str, option: str) -> None:
    """A Parquet file has neither encoding nor delimiter, JSON no delimiter."""
    told = desk.push(desk.file(name, b""), option, {"--encoding": "cp1252", "--delimiter": ";"}[option])
    assert (told.exit_code, told.out, f"{option} is of a " in told.err) == (2, "", True), told


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_errors_are_written_where_they_are_wanted(desk: PushDesk, ending: str) -> None:
    """--errors-to writes the refused rows as the push ends; one of an earlier push never stays in its place."""
    target = desk.folder / f"bad.{ending}"
    heading = ["run,row,code,message,fields"] if ending == "csv" else []
    told = desk.push(desk.file("some.csv", accounts(4, bad=(1, 2))), "--errors-to", target)
    assert f"2 rows in {target}" in told.err
    full = target.read_text().splitlines()
    assert len(full) == 2 + len(heading)
    for content, more in ((accounts(1), ()), ("Ext__c,Name\n", ("--allow-empty",))):
        target.write_text("\n".join(full))
        told = desk.push(desk.file("good.csv", content), "--errors-to", target, *more)
        assert (told.exit_code, f"0 rows in {target}" in told.err) == (0, True), told
        assert target.read_text().splitlines() == heading


def test_the_reports_are_not_pushed(desk: PushDesk) -> None:
    """With a mapping their own columns would do no harm, and the apostrophes in front of formulas would be written."""
    mapping = desk.file("map.yaml", "mapping: {Ext__c: Ext__c, Name: Name, Tel: Phone}")
    source = desk.file("some.csv", "Ext__c,Name,Tel\na,,+49 (0)30/99\nb,B,+49 (0)30/98\n")
    files = {option: desk.folder / f"{option[2:]}.csv" for option in ("--errors-to", "--written-to")}
    words = [word for both in files.items() for word in both]
    assert desk.push(source, "--map", mapping, *words).exit_code == 3
    for path in files.values():
        path.write_text(path.read_text().replace("a,,", "a,Mended,"))
        told = desk.push(path, "--map", mapping)
        assert (told.exit_code, "it is a report of a push" in told.err) == (2, True), told
    assert [one["Phone"] for one in desk.emulator.query("SELECT Phone FROM Account")] == ["+49 (0)30/98"]


@pytest.mark.parametrize("nth", [1, 2])
def test_errors_of_a_push_that_failed_are_written_too(desk: PushDesk, nth: int) -> None:
    """Code 75: the file holds what was refused by then (of two requests one gets through), if only its header."""
    target = desk.file("bad.csv", "of an earlier push\n")
    desk.emulator.faults.add("request_limit", path="composite", nth=nth, times=1_000)
    told = desk.push(desk.file("some.csv", accounts(4, bad=(1, 3))), "--batch-size", "2", "--errors-to", target)
    assert told.exit_code == 75, told
    refused = target.read_text().splitlines()[1:]
    assert [line.split(",")[2] for line in refused] == ["REQUIRED_FIELD_MISSING"] * (nth - 1)
    assert f"{'0 rows' if nth == 1 else '1 row'} in {target}" in told.err


@pytest.mark.parametrize("option", ["--errors-to", "--written-to"])
def test_a_file_that_could_not_be_written_is_told_before_a_row_is_sent(desk: PushDesk, option: str) -> None:
    """A folder of that name, and a folder that takes no file, are seen first; a file of an earlier push stays."""
    taken, earlier = desk.folder / "taken.csv", desk.file("earlier.csv", "kept\n")
    taken.mkdir()
    told = desk.push(desk.file("some.csv", accounts(1)), option, taken)
    assert (told.exit_code, "it is a folder" in told.err, desk.sent()) == (2, True, []), told
    told = desk.push(desk.file("some.csv", accounts(1)), option, Path("/proc/nothing.csv"))
    assert (told.exit_code, "Writing into /proc" in told.err, desk.sent()) == (1, True, []), told
    told = desk.push(desk.file("some.csv", accounts(1)), option, earlier, "--mode", "none")
    assert (told.exit_code, earlier.read_text()) == (2, "kept\n"), told


def test_a_push_that_failed_before_it_began_leaves_no_file_of_an_earlier_one(desk: PushDesk) -> None:
    """A login that is refused, a mapping or a source that cannot be read, a source without rows: the files have no rows."""
    errors, done = desk.file("bad.csv", "of an earlier push\n"), desk.file("done.jsonl", "of an earlier push\n")
    good, secret = desk.file("good.csv", accounts(1)), desk.env["SF_CLIENT_SECRET"]
    for words in (
        (desk.file("ragged.csv", "Ext__c,Name\na,b,c\n"),),
        (desk.folder / "nowhere.csv",),
        (desk.file("empty.csv", "Ext__c,Name\n"),),
        (good, "--map", "nowhere.yaml"),
        (good,),
    ):
        errors.write_text("of an earlier push\n")
        done.write_text("of an earlier push\n")
        desk.env["SF_CLIENT_SECRET"] = "wrong" if words == (good,) else secret
        told = desk.push(*words, "--errors-to", errors, "--written-to", done)
        assert (told.exit_code, errors.read_text(), done.read_text()) == (2, "run,row,code,message,fields\n", ""), told
    assert (desk.sent(), desk.runs()) == ([], [])


def test_an_errors_file_that_cannot_be_written_hides_no_failure(desk: PushDesk) -> None:
    """Both are told, and the code is that of the push: no longer name can stand beside its own for a while."""
    desk.emulator.faults.add("request_limit", path="composite", times=1_000)
    told = desk.push(desk.file("some.csv", accounts(1)), "--errors-to", desk.folder / f"{'b' * 251}.csv")
    assert (told.exit_code, "Writing the refused rows to" in told.err, "Try again later:" in told.err) == (75, True, True), told


# ---- only what changed


@pytest.fixture
def table(desk: PushDesk) -> list[str]:
    """The words of a push of a table of four prospects in a DuckDB file."""
    in_lake("""CREATE TABLE t AS SELECT i, 'k' || i AS "Ext__c", 'N' || i AS "Name" FROM range(4) AS made(i)""")
    query = "SELECT * EXCLUDE (i) FROM t ORDER BY i"
    return ["push", query, "--from", "duckdb:///lake.duckdb", "--to", "Account", "--key", "Ext__c", "--flow", "prospects"]


def in_lake(sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect("lake.duckdb") as lake:
        return lake.execute(sql).fetchall()


def test_a_diff_sends_what_changed_and_a_mirror_deletes_what_is_gone(desk: PushDesk, table: list[str]) -> None:
    """First all, then nothing, then the changed row; a dry run learns nothing; what is gone is deleted, within a guard."""
    assert "4 written (4 created, 0 updated), 0 refused," in desk.type(*table, "--diff").out
    assert "0 written (0 created, 0 updated), 0 refused, 4 unchanged," in desk.type(*table, "--diff").out
    in_lake("""UPDATE t SET "Name" = 'new' WHERE i = 2""")
    for _ in range(2):
        told = desk.type(*table, "--diff", "--dry-run")
        assert "1 sent by collections in 1 chunk\n" in told.out
        assert re.search(r"unchanged +3 rows, not sent", told.out)
    assert "1 written (0 created, 1 updated), 0 refused, 3 unchanged," in desk.type(*table, "--diff").out
    in_lake("DELETE FROM t WHERE i = 3")
    told = desk.type(*table, "--mirror", "--dry-run")
    assert "mirror     1 of the 4 records written from it is gone from it, and would be deleted" in told.out
    assert len(desk.accounts()) == 4
    told = desk.type(*table, "--mirror")
    assert told.exit_code == 0, told
    assert "mirror: 1 record is gone from the source, 1 deleted" in told.out
    assert desk.accounts() == [("k0", "N0"), ("k1", "N1"), ("k2", "new")]
    in_lake("DELETE FROM t WHERE i > 0")
    told = desk.type(*table, "--mirror", "--dry-run")
    assert "mirror     2 of the 3 records written from it are gone from it, and would stay: 2 of" in told.out
    told = desk.type(*table, "--mirror")
    assert (told.exit_code, "2 of the 3 records" in told.err, "--max-delete-share" in told.err) == (1, True, True), told
    assert "0 written" in told.out, "what was pushed before the guard is told as well"
    assert len(desk.accounts()) == 3
    (document,) = desk.documents(*table, "--mirror", "--max-delete-share", "1")
    assert (document["mirrored"]["deleted"], document["exit_code"]) == (2, 0)
    in_lake("DELETE FROM t")
    assert desk.type(*table, "--mirror").exit_code == 2
    (document,) = desk.documents(*table, "--mirror", "--allow-empty", "--max-delete-share", "1", "--dry-run")
    assert document["mirror"] == {"gone": 1, "known": 1, "refusal": ""}
    told = desk.type(*table, "--mirror", "--allow-empty", "--max-delete-share", "1")
    assert (told.exit_code, desk.accounts()) == (0, [])
    assert told.out.startswith("prospects: 0 written, 0 refused, ")


def test_a_dry_run_behind_a_push_that_was_cut_off_foresees_no_deletions(desk: PushDesk, table: list[str]) -> None:
    """What the flow wrote is not known before that push is taken up: no number is told, and why; then it is the right one."""
    words = [*table, "--mirror", "--max-delete-share", "1"]
    desk.emulator.faults.add("request_limit", path="composite", nth=2, times=1_000)
    assert desk.type(*words, "--batch-size", "2").exit_code == 75
    desk.emulator.faults.clear()
    (cut_off,) = (one["run"] for one in desk.runs())
    in_lake("DELETE FROM t WHERE i <> 3")
    told = desk.type(*words, "--dry-run")
    why = f"run {cut_off[:8]} was cut off: the push first finds out what became of its rows, which is not known here"
    assert f"before     {why}\n" in told.out
    assert f"mirror     how many records would be deleted cannot be told: {why}\n" in told.out
    (document,) = desk.documents(*words, "--dry-run")
    assert (document["mirror"]["gone"], document["mirror"]["known"]) == (None, None)
    assert document["before"] == [{"run": cut_off, "cut_off": True, "lost": False}]
    assert (len(desk.runs()), desk.runs()[0]["state"]) == (1, "failed")
    assert "mirror: 2 records are gone from the source, 2 deleted" in desk.type(*words).out
    (document,) = desk.documents(*words, "--dry-run")
    assert (document["mirror"], document["before"]) == ({"gone": 0, "known": 1, "refusal": ""}, [])


def test_a_dry_run_makes_no_ledger(desk: PushDesk) -> None:
    """Where none is there, nothing was pushed before."""
    assert desk.push(desk.file("some.csv", accounts(2)), "--dry-run").exit_code == 0
    assert list(desk.home.glob("ledger*")) == []


def test_results_are_written_beside_the_source(desk: PushDesk, table: list[str]) -> None:
    """--results-to makes tables of jobs, successes and failures in a schema of the source; without --from there is no place."""
    in_lake("""UPDATE t SET "Name" = NULL WHERE i = 1""")
    assert desk.type(*table, "--results-to", "logs").exit_code == 3
    assert in_lake('SELECT count(*) FROM logs."SUCCESS"') == [(3,)]
    assert in_lake('SELECT "ROW", "CODE" FROM logs."FAILURE"') == [(1, "REQUIRED_FIELD_MISSING")]
    told = desk.push(desk.file("some.csv", accounts(2)), "--results-to", "logs")
    assert (told.exit_code, "needs --from" in told.err) == (2, True)


def test_only_the_push_fills_its_result_tables(desk: PushDesk, table: list[str]) -> None:
    """A push that left rows names itself as the way on; resume and retry, which know no connection, say what the tables lack."""
    words = [*table, "--results-to", "logs", "--batch-size", "2"]
    desk.emulator.faults.add("request_limit", path="composite", nth=2, times=1_000)
    told = desk.type(*words)
    assert (told.exit_code, "the same push again takes them up; `halocline resume" in told.out) == (75, True), told
    desk.emulator.faults.clear()
    lack = "The result tables in logs lack the rows of this command"
    told = desk.type("resume")
    assert (told.exit_code, lack in told.err) == (0, True), told
    assert in_lake('SELECT count(*) FROM logs."SUCCESS"') == [(2,)]
    in_lake("""UPDATE t SET "Name" = NULL WHERE i = 1""")
    assert desk.type(*words).exit_code == 3
    assert in_lake('SELECT "ROW" FROM logs."FAILURE"') == [(1,)]
    (document,) = desk.documents("retry", "last")
    assert any(lack in notice for notice in document["notices"]), document


# ---- the page


def test_the_page_of_the_command_shows_what_it_prints(desk: PushDesk) -> None:
    """The first commands of docs/push-command.md print what stands there, but for names of runs and seconds."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    shown, *_ = [block for block in blocks if block.startswith("$ cat")]
    desk.file("accounts.csv", shown.partition("\n")[2])
    commands = re.findall(r"^\$ halocline ([^\n]*)\n(.*?)(?=^\$|\Z)", "\n".join(blocks), re.DOTALL | re.MULTILINE)
    for command, printed in commands[:4]:
        assert same(desk.type(*command.split()).out) == same(printed), command
    assert len(commands) > 4


def same(printed: str) -> list[list[str]]:
    """What is printed, word by word, without names of runs and seconds."""
    text = re.sub(r"errors [0-9a-f]{8}|[\d.]+ s$", "", printed, flags=re.MULTILINE)
    return [line.split() for line in text.splitlines() if line.strip()]


# ---- the dry run


def test_a_dry_run_shows_all_and_changes_nothing(desk: PushDesk) -> None:
    """Plan with reasons, calls, first rows, rows that would be refused; no call that writes, no run, no folder; code 0."""
    source = desk.file("some.csv", "key,name,staff\na,A,5\nb,B,many\n,C,7\nd,D,\n")
    mapping = desk.file("map.yaml", MAP)
    told = desk.push(source, "--map", mapping, "--dry-run")
    assert told.exit_code == 0, told
    flat = " ".join(told.out.split())
    for words in (
        "upsert of Account with 4 rows of some.csv; nothing is sent",
        "2 sent by collections in 1 chunk ",
        "API calls 1",
        "2 rows to send: up to 2,000 go by collections.",
        "2 rows would be refused before they are sent",
        "1 MAPPING_FAILED",
        "2 MISSING_KEY",
        "a A 5",
    ):
        assert words in flat, f"{words!r} is not in {flat!r}"
    assert (desk.sent(), desk.runs(), desk.folders(), desk.accounts()) == ([], [], [], [])
    told = desk.push(source, "--map", mapping, "--dry-run", "--json")
    document = json.loads(told.out)
    assert (document["total"], document["refused"], document["plan"]["rows"], document["plan"]["calls"]) == (4, 2, 2, 1)
    assert [one["row"] for one in document["first_refused"]] == [1, 2]
    assert [row["Ext__c"] for row in document["plan"]["first"]] == ["a", "d"]


def test_a_dry_run_tells_what_the_check_found(desk: PushDesk) -> None:
    """What some rows may not survive is a finding and code 0; what none can is code 2."""
    source = desk.file("some.csv", "key,staff\na,5\n")
    told = desk.push(source, "--map", desk.file("map.yaml", "mapping: {key: Ext__c, staff: NumberOfEmployees}"), "--dry-run")
    assert told.exit_code == 0, told
    assert "Name: " in told.out.split("the check of the mapping found")[1]
    told = desk.push(source, "--map", desk.file("map.yaml", "mapping: {key: Ext__c, staff: Staff}"), "--dry-run")
    assert (told.exit_code, told.out) == (2, "")
    assert "Account has no such field" in told.err


def test_a_dry_run_tells_of_columns_as_of_a_mapping(desk: PushDesk) -> None:
    """One that new records need and that is not there is a finding."""
    told = desk.type("push", desk.file("phones.csv", "Phone\n1\n"), "--to", "Account", "--mode", "insert", "--dry-run")
    assert (told.exit_code, "Name: a new Account needs it" in told.out.split("the check of the columns found")[1]) == (0, True)


# ---- errors


def test_errors_show_the_rows_and_write_them(desk: PushDesk) -> None:
    """A table for people, at most --limit of them; CSV with the source's columns; JSONL and --json with all that is known."""
    desk.push(desk.file("some.csv", accounts(6, bad=(1, 2, 4))))
    run = desk.runs()[0]["run"]
    told = desk.type("errors", run[:6], "--limit", "2")
    assert [line.split()[:2] for line in told.out.splitlines()[1:3]] == [
        ["1", "REQUIRED_FIELD_MISSING"],
        ["2", "REQUIRED_FIELD_MISSING"],
    ]
    assert f"`halocline errors {run[:8]} --csv FILE`" in told.out
    assert "3 rows in e.csv" in desk.type("errors", "last", "--csv", "e.csv").out
    with Path("e.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["row"], row["Ext__c"], row["fields"]) for row in rows] == [
        (run, "1", "k00001", "Name"),
        (run, "2", "k00002", "Name"),
        (run, "4", "k00004", "Name"),
    ]
    desk.type("errors", "last", "--csv", "e.csv", "--excel")
    assert Path("e.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    desk.type("errors", "last", "--jsonl", "e.jsonl")
    documents = [json.loads(line) for line in Path("e.jsonl").read_text().splitlines()]
    assert documents == desk.documents("errors", run)
    assert documents[2]["record"] == {"Ext__c": "k00004", "Name": None}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_errors_are_printed_for_a_dash(desk: PushDesk, form: str) -> None:
    """Standard output holds what the file would, and nothing else; no file of that name is made."""
    desk.push(desk.file("some.csv", accounts(6, bad=(1, 2))))
    desk.type("errors", "last", f"--{form}", "wanted")
    told = desk.type("errors", "last", f"--{form}", "-")
    assert (told.exit_code, told.err, told.out) == (0, "", Path("wanted").read_text(encoding="utf-8"))
    assert not Path("-").exists()


def test_a_run_or_file_that_cannot_be_is_told(desk: PushDesk) -> None:
    """Code 2 (1 for a disk that refuses), and what is wrong."""
    for _ in range(2):
        desk.push(desk.file("some.csv", accounts(2)))
    for words, said in (
        (("errors", "nope"), "no run begins with 'nope'"),
        (("errors", ""), "2 runs begin with ''"),
        (("errors", "last", "--csv", "a.csv", "--jsonl", "b.jsonl"), "give one of them"),
        (("errors", "last", "--csv", "nowhere/a.csv"), "nowhere"),
        (("retry", "nope"), "no run begins with 'nope'"),
        (("resume", "nope"), "no run begins with 'nope'"),
        (("resume", "last"), "nothing of it is left to do"),
    ):
        told = desk.type(*words)
        assert told.exit_code in {1, 2}, words
        assert said in " ".join(told.err.split()), words


def test_a_run_without_errors_says_so(desk: PushDesk) -> None:
    """No table of nothing."""
    desk.push(desk.file("some.csv", accounts(2)))
    told = desk.type("errors", "last")
    assert (told.exit_code, "has no row that was refused" in told.out) == (0, True)


# ---- retry


@pytest.mark.parametrize("api", ["collections", "bulk"])
def test_what_was_refused_is_sent_again_once_its_cause_is_gone(desk: PushDesk, api: str) -> None:
    """Salesforce is mended, `retry` sends just the refused rows, in a new run that names the old one; then nothing is left."""
    known = desk.emulator.create("Account", {"Ext__c": "k00001", "Name": "theirs"})
    told = desk.push(desk.file("some.csv", "Ext__c,Name\nk00000,N0\nk00001,N1\nk00002,N2\n"), "--mode", "insert", "--api", api)
    assert (told.exit_code, "1 refused" in told.out) == (3, True)
    assert len(desk.folders()) == 1
    store = desk.emulator.store
    store.delete(store.catalog.get("Account"), known, user_id=desk.emulator.org.api_user_id)
    first = desk.runs()[0]["run"]
    told = desk.type("retry", "last")
    assert told.exit_code == 0, told
    assert f"retry of {first[:8]} (some.csv) -> Account: insert by" in told.out
    assert "1 written (1 created), 0 refused" in told.out
    assert desk.accounts() == [("k00000", "N0"), ("k00001", "N1"), ("k00002", "N2")]
    assert f"retry of   {first}" in desk.type("runs", "last").out
    assert desk.folders() == []
    again = desk.type("retry", "last")
    assert (again.exit_code, "has no row that was refused or not sent" in again.out) == (0, True)
    old = desk.type("retry", first)
    assert (old.exit_code, "its rows were sent again by run" in old.err) == (2, True)


def test_rows_keep_their_numbers_and_records_through_retries(desk: PushDesk) -> None:
    """Refused again and again, a row is still the row of the source that it was."""
    desk.push(desk.file("some.csv", accounts(5, bad=(2, 4))))
    before = desk.documents("errors", "last")
    for _ in range(2):
        told = desk.type("retry", "last")
        assert told.exit_code == 3, told
        after = desk.documents("errors", "last")
        assert [{**one, "run": ""} for one in after] == [{**one, "run": ""} for one in before]


def test_rows_that_were_refused_before_they_were_staged_cannot_be_retried(desk: PushDesk) -> None:
    """They are wrong themselves: code 2, and the source is to be mended."""
    desk.push(desk.file("some.csv", "Ext__c,Name\na,A\n,B\n"))
    told = desk.type("retry", "last")
    assert told.exit_code == 2
    assert "refused before they were staged" in told.err
    assert "Mend the source and push it again." in told.err


def test_a_retry_after_a_later_push_does_not_bring_old_values_back(desk: PushDesk) -> None:
    """The same flow has run since: code 2; --anyway does it all the same."""
    desk.push(desk.file("some.csv", f"Ext__c,Name\na,A\nb,{'x' * 300}\n"))
    old = desk.runs()[0]["run"]
    desk.push(desk.file("some.csv", "Ext__c,Name\na,A\nb,B\n"))
    told = desk.type("retry", old)
    assert (told.exit_code, "a later run of" in told.err) == (2, True)
    assert desk.type("retry", old, "--anyway").exit_code == 3, "it is as much too long as before"
    assert desk.accounts() == [("a", "A"), ("b", "B")]


def test_a_folder_that_is_gone_is_told(desk: PushDesk) -> None:
    """Pruned or removed by hand: code 2, and where the rows still are."""
    desk.push(desk.file("some.csv", accounts(2, bad=(1,))))
    for path in desk.folders():
        subprocess.run(["rm", "-r", path], check=True)
    told = desk.type("retry", "last")
    assert (told.exit_code, "its folder is gone" in told.err, "`halocline errors" in told.err) == (2, True, True)


def test_rows_in_doubt_are_retried_only_when_asked_for(desk: PushDesk) -> None:
    """An insert whose answer was lost is in doubt: `retry` leaves it, `retry --in-doubt` sends it."""
    desk.emulator.faults.add("cut", kind="collections.create", where="after")
    told = desk.push(desk.file("some.csv", accounts(2)), "--mode", "insert")
    assert (told.exit_code, "2 in doubt" in told.out) == (3, True)
    assert {one["code"] for one in desk.documents("errors", "last")} == {"IN_DOUBT"}
    desk.emulator.faults.clear()
    told = desk.type("retry", "last")
    assert (told.exit_code, "2 rows are in doubt" in told.out) == (0, True)
    told = desk.type("retry", "last", "--in-doubt")
    assert told.exit_code == 3, "the records are there: the external id is unique, so both are refused"
    assert "2 refused" in told.out
    assert len(desk.accounts()) == 2
    assert [one["record"]["Name"] for one in desk.documents("errors", "last")] == ["N0", "N1"]


@pytest.mark.parametrize("fault", ["cut", "unavailable"])
def test_rows_in_doubt_are_given_back_as_they_were(desk: PushDesk, fault: str) -> None:
    """With their columns, in the file of --errors-to and by `halocline errors`, beside rows that were refused; and whether the
    answer was lost or was none (503) is told rightly.
    """
    where = {"where": "after"} if fault == "cut" else {}
    desk.emulator.faults.add(fault, kind="collections.create", nth=2, **where)
    source, target = desk.file("some.csv", accounts(4, bad=(1, 3))), desk.folder / "bad.csv"
    told = desk.push(source, "--mode", "insert", "--batch-size", "2", "--errors-to", target)
    assert (told.exit_code, "1 refused, 2 in doubt" in told.out) == (3, True), told
    with target.open() as file:
        found = [(int(one["row"]), one["code"], one["Ext__c"], one["Name"]) for one in csv.DictReader(file)]
    first = found[1][0]  # of the request that came second: two are under way at once
    refused = {0: 3, 2: 1}[first]
    assert found == [
        (refused, "REQUIRED_FIELD_MISSING", f"k0000{refused}", ""),
        (first, "IN_DOUBT", f"k0000{first}", f"N{first}"),
        (first + 1, "IN_DOUBT", f"k0000{first + 1}", ""),
    ]
    (_, *doubts) = desk.documents("errors", "last")
    records = [(one["record"]["Ext__c"], one["record"]["Name"]) for one in doubts]
    assert records == [(f"k0000{first}", f"N{first}"), (f"k0000{first + 1}", None)]
    for one in doubts:
        assert "no answer told what became of them: " in one["message"]
        assert one["message"].endswith("look in Salesforce whether it is there before it is sent again")
        assert ("SERVER_UNAVAILABLE" in one["message"]) is (fault == "unavailable")


# ---- resume


def interrupted(desk: PushDesk, *words: str) -> Told:
    """Type `halocline push` in a process of its own, and press Ctrl-C when the first job is at work."""
    hears = "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program = hears + "runpy.run_module('halocline', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", program, "push", *words]
    with subprocess.Popen(
        command, env={**desk.env, "PATH": ""}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while not any(call.kind == "ingest.status" for call in desk.emulator.calls):
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.01)  # the processor is the other's
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return Told(process.returncode, out, err)


@pytest.mark.parametrize("way", ["resume", "push again", "discard"])
def test_a_push_that_ran_out_of_quota_goes_on_when_there_is_some(desk: PushDesk, way: str) -> None:
    """Code 75, what is written is told, and how to go on; `resume` or the same push sends the rest, `--discard` gives it up."""
    source = desk.file("some.csv", accounts(20))
    words = ("push", source, "--to", "Account", "--mode", "insert", "--batch-size", "2")
    limits = desk.emulator.org.limits
    limits.set_max("DailyApiRequests", 6)
    told = desk.type(*words)
    limits.set_max("DailyApiRequests", 100_000)
    assert told.exit_code == 75, told
    run, written = desk.runs()[0]["run"], len(desk.accounts())
    assert 0 < written < 20
    assert f"{run[:8]}  some.csv->salesforce:account:insert  failed, resumable  " in desk.type("runs").out
    assert "1 run can be taken up: `halocline resume`" in desk.type("runs").out
    one = desk.type("runs", "last").out
    assert re.search(rf"^counts     {written} inserted", one, re.MULTILINE), one
    assert f"resume     `halocline resume {run[:8]}`" in one
    assert desk.runs()[0]["resumable"] is True
    assert f"{written} written ({written} created), 0 refused," in told.out
    assert f"`halocline resume {run}` sends the rest." in " ".join(told.err.split())
    if way == "resume":
        told = desk.type("resume", run[:8])
        assert f"known before: {written} rows written" in told.out
        assert f"the rest: {20 - written} rows written" in told.out
    elif way == "push again":
        told = desk.type(*words)
    if way == "discard":
        told = desk.type("resume", "--discard")
        assert (told.exit_code, f"{20 - written} not sent" in told.out) == (3, True), told
        assert len(desk.accounts()) == written
        told = desk.type("retry", "last")
    assert told.exit_code == 0, told
    assert [key for key, _ in desk.accounts()] == [f"k{number:05}" for number in range(20)]
    assert "resum" not in desk.type("runs").out
    assert not any(one["resumable"] for one in desk.runs())
    assert desk.type("resume").out == "Nothing is left to do: every push came to its end.\n"


def test_nothing_to_take_up_needs_no_login(desk: PushDesk) -> None:
    """The ledger alone knows it, of all runs and of one by its name."""
    assert desk.push(desk.file("some.csv", accounts(2))).exit_code == 0
    desk.env.update(dict.fromkeys([name for name in desk.env if name.startswith("SF_")], ""))
    assert desk.type("resume").out == "Nothing is left to do: every push came to its end.\n"
    for words, doing in (((), "Resuming"), (("--discard",), "Discarding")):
        told = desk.type("resume", "last", *words)
        assert (told.exit_code, f"{doing} run" in told.err, "nothing of it is left to do" in told.err) == (2, True, True), told
    assert "Logging in" in desk.push(desk.file("more.csv", accounts(2))).err


def test_the_share_of_the_quota_is_what_was_asked_for(desk: PushDesk) -> None:
    """Calls stop at the share, code 75, and the option that the hint names lets `resume` go on."""
    desk.emulator.org.limits.set_max("DailyApiRequests", 40)
    words = ("push", desk.file("some.csv", accounts(6)), "--to", "Account", "--mode", "insert", "--batch-size", "1")
    told = desk.type(*words, "--quota-share", "0.1")
    assert (told.exit_code, "the share of 10%" in told.err, "--quota-share 1" in told.err) == (75, True, True), told
    assert len(desk.accounts()) < 6
    assert desk.type("resume", "--quota-share", "1").exit_code == 0
    assert len(desk.accounts()) == 6


def test_an_interrupted_push_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a job runs: code 130 and how to go on; `resume` finds the job complete; nothing is written twice. Where nobody
    knows the job any more, for Salesforce deletes jobs after days, the rows of an insert are in doubt, and it is said why.
    """
    with push_org(tmp_path, job_ms=1_500) as emulator:
        desk = desk_at(emulator, tmp_path, monkeypatch)
        source = desk.file("some.csv", accounts(30))
        told = interrupted(desk, str(source), "--to", "Account", "--mode", "insert", "--api", "bulk")
        assert (told.exit_code, told.out) == (130, ""), told
        (run,) = desk.runs()
        assert f"`halocline resume {run['run'][:8]}` goes on where it stopped." in told.err
        kept = shutil.copytree(desk.home, tmp_path / "kept")
        told = desk.type("resume")
        assert told.exit_code == 0, told
        assert re.search(r"chunk b\d+: job 750\w+ was complete: 30 rows written", told.out), told.out
        assert "30 written (30 created), 0 refused" in told.out
        assert len(desk.accounts()) == 30
        assert desk.type("resume").out == "Nothing is left to do: every push came to its end.\n"
        (document,) = desk.documents("resume")
        assert (document["success"], document["exit_code"]) == (True, 0)
        assert "Nothing is left to do" in document["notices"][0]
        assert desk.folders() == []
    shutil.rmtree(desk.home)
    kept.rename(desk.home)
    with push_org(tmp_path) as another:  # of the same id, without the job
        told = desk_at(another, tmp_path, monkeypatch).type("resume")
    assert told.exit_code == 3, told
    assert re.search(r"chunk b\d+: job 750\w+ tells nothing of its rows any more: 30 rows in doubt", told.out), told.out


def test_written_rows_are_written_down_with_their_ids(desk: PushDesk) -> None:
    """As Data Loader's file of successes: number, id and the source's own row, whatever its record was made or changed by."""
    source = desk.file("rows.csv", 'Ext__c,Name,row\na,=A,1\nb,,2\nc,"C, D",3\n')
    mapping = desk.file("map.yaml", "mapping: {Ext__c: Ext__c, Name: Name}")
    told = desk.push(source, "--map", mapping, "--written-to", desk.folder / "done.csv")
    assert (told.exit_code, "2 rows in" in told.err) == (3, True), told
    with (desk.folder / "done.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(one["row"], one["Ext__c"], one["Name"], one["source.row"]) for one in found] == [
        ("0", "a", "'=A", "1"),
        ("2", "c", "C, D", "3"),
    ]
    ids = {record["Ext__c"]: record["Id"] for record in desk.emulator.query("SELECT Id, Ext__c FROM Account")}
    assert [one["id"] for one in found] == [ids["a"], ids["c"]]
    desk.push(source, "--map", mapping, "--written-to", desk.folder / "done.jsonl")
    lines = [json.loads(line) for line in (desk.folder / "done.jsonl").read_text().splitlines()]
    assert [(one["id"], one["record"]["Name"]) for one in lines] == [(ids["a"], "=A"), (ids["c"], "C, D")]


def test_a_file_of_written_rows_is_asked_for_in_a_form(desk: PushDesk) -> None:
    """Before anything is sent; and a dry run sends none."""
    source = desk.file("rows.csv", "Ext__c,Name\na,A\n")
    told = desk.push(source, "--written-to", "done.txt")
    assert (told.exit_code, "Writing the written rows to done.txt" in told.err) == (2, True), told
    told = desk.push(source, "--written-to", desk.folder / "done.csv", "--dry-run")
    assert (told.exit_code, "--written-to" in told.err, (desk.folder / "done.csv").exists()) == (2, True, False), told
    assert desk.sent() == []
