"""What is a table of files' own about the destination: folders, names, two runs at once, what readers see, what is swept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from tests.connectors.files.lakes import FLOW, SCHEMA, TARGET, data_files, gone, load, merge, opened, plan, ready, rows, texts

from halocline import registry
from halocline.connector import Deletes, Mode, Target
from halocline.connectors.files import claims, output, read_table, table_files
from halocline.connectors.files import merge as merging
from halocline.connectors.files.destination import FilesDestination
from halocline.connectors.files.format import format_of
from halocline.connectors.files.layout import Folder
from halocline.errors import (
    AccessDenied,
    FixConfig,
    HaloclineError,
    LeaseLost,
    NotFound,
    Refused,
    RetryLater,
    SchemaConflict,
    StorageFailed,
    Truncated,
)
from halocline.events import Noticed
from halocline.schema import Column, Kind, Schema
from halocline.spool import Spool
from halocline.testing.destinations import NoJournal

MANY = {f"{n:03}": "old" for n in range(100)}


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"file://{tmp_path}/lake"


@pytest.fixture
def lake(uri: str, tmp_path: Path) -> FilesDestination:
    return opened(uri, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lake" / "raw" / "page"


# ---- URIs and options


def test_no_driver_is_loaded_to_recognise_a_uri() -> None:
    """`accepts` loads neither pyarrow nor boto3, and a local folder never needs boto3."""
    code = (
        "import sys; from halocline.connectors.files import accepts\n"
        "assert accepts('file:///x') and accepts('S3://x') and not accepts('duckdb:///x') and not accepts(object())\n"
        "assert not {'boto3', 'pyarrow'} & set(sys.modules)\n"
        "from halocline.connectors.files import destination\nassert 'boto3' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_driver_is_told_with_its_extra() -> None:
    """S3 without boto3: the error says what to install."""
    code = (
        "import sys; sys.modules['boto3'] = None\n"
        "from halocline import registry\nfrom halocline.errors import MissingExtra\n"
        "try: registry.open_destination('s3://bucket', spool=None)\n"
        "except MissingExtra as error: assert 'halocline[aws]' in str(error)\nelse: sys.exit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file://lake/x", "file:///lake/x"),
        ("file://", "names no folder"),
        ("file:///", "names no folder"),
        ("file:///x?format=xlsx", "parquet, csv, jsonl"),
        ("file:///x?fromat=csv", "Known are format, partition_by, keep"),
        ("file:///x?keep=-1", "from 0 to"),
        ("file://[x", "cannot be read"),
        ("s3://", "names no bucket"),
        ("s3://key:secret@bucket/x", "names no bucket"),
        ("s3://bucket/a/../b", "cannot be meant"),
    ],
)
def test_a_uri_that_cannot_be_meant_is_refused(uri: str, words: str, tmp_path: Path) -> None:
    """The error says what to write instead, repeats no secret, and nothing was made."""
    with pytest.raises(FixConfig, match=words) as refused:
        registry.open_destination(uri, spool=Spool("test", tmp_path))
    assert "secret" not in str(refused.value)


def test_a_relative_uri_lies_beside_you(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`file:lake` is a folder of the working directory; a per cent code is a character."""
    monkeypatch.chdir(tmp_path)
    load(opened("file:my%20lake", tmp_path), rows({"1": "a"}))
    assert texts(f"file://{tmp_path}/my%20lake") == {"1": "a"}


def test_keywords_count_more_than_the_uri(uri: str, folder: Path, tmp_path: Path) -> None:
    """Options may come as keywords."""
    load(opened(f"{uri}?format=csv", tmp_path, format="jsonl"), rows({"1": "a"}))
    assert [Path(name).suffix for name in data_files(folder)] == [".jsonl"]


@pytest.mark.parametrize("by", ["Nope", "year(Text)", "day(Id)", "year(Id", "At", "Ratio"])
def test_a_partition_that_cannot_be_is_refused(by: str, uri: str, folder: Path, tmp_path: Path) -> None:
    """An unknown column, a year of a text, an instant's or a fraction's value: refused before anything is staged."""
    wide = Schema((*SCHEMA.columns, Column("At", Kind.DATETIME), Column("Ratio", Kind.DOUBLE)), SCHEMA.key)
    destination = opened(uri, tmp_path, partition_by=by)
    with pytest.raises(FixConfig, match="partition_by"):
        destination.begin(destination.claim(FLOW, "test")).open(TARGET, plan(schema=wide), NoJournal())
    assert not folder.exists()


# ---- folders and names


@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", "../../out", "a\\b", "a\0b", "_halocline", ".hidden", "Łódź", "a b", "%2e%2e", "~"]
)
def test_a_name_never_leads_outside(name: str, uri: str, lake: FilesDestination, tmp_path: Path) -> None:
    """Whatever a table and its schema are called, their files lie in a folder of their own below the root."""
    for target in (Target(None, name), Target(name, name), Target("raw", name)):
        load(lake, rows({"1": name}), target=target)
        assert texts(uri, target) == {"1": name}
    made = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.parquet")}
    assert made == {"lake"}
    assert len({str(path.parent) for path in tmp_path.rglob("*.parquet")}) == 3


def test_names_that_differ_are_different_folders() -> None:
    """No two names share a folder."""
    names = ["a", "A", "a.b", "a%2Fb", "a/b", "..", "%2E.", "%2e.", "é", "e\u0301", "_halocline", "%5Fhalocline"]
    assert len({Folder.of(Target(None, name)).path for name in names}) == len(names)


@pytest.mark.parametrize("name", ["", "x" * 300, "é" * 60])
def test_a_name_that_no_folder_can_have_is_refused(name: str, lake: FilesDestination) -> None:
    """Empty and far too long names are refused, not cut."""
    with pytest.raises(FixConfig, match="Naming the folder"):
        load(lake, rows({"1": "a"}), target=Target("raw", name))


@pytest.mark.parametrize("path", ["../../../secret.parquet", "/etc/passwd", "a//b", "..\\x"])
def test_a_manifest_cannot_lead_outside(path: str, uri: str, lake: FilesDestination, folder: Path, tmp_path: Path) -> None:
    """A commit that names a file outside of the table's folder is not followed."""
    load(lake, rows({"1": "a"}))
    (tmp_path / "secret.parquet").write_bytes(next(folder.glob("*.parquet")).read_bytes())
    commit = json.loads((folder / "_halocline/00000001.json").read_text())
    commit["files"][0]["path"] = path
    (folder / "_halocline/00000002.json").write_text(json.dumps({**commit, "number": 2}))
    with pytest.raises(StorageFailed):
        texts(uri)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"halocline": 1}', '{"halocline": 99}'])
def test_a_damaged_commit_is_told(text: str, uri: str, lake: FilesDestination, folder: Path) -> None:
    """A commit that cannot be read stops everything; an older one is never taken for the newest."""
    load(lake, rows({"1": "a"}))
    (folder / "_halocline/00000002.json").write_text(text)
    with pytest.raises((StorageFailed, FixConfig), match="00000002"):
        lake.position(FLOW, TARGET)


def test_files_of_somebody_else_are_left_alone(lake: FilesDestination, folder: Path) -> None:
    """A folder with rows of somebody else is no table of ours, even by force: readers would see both."""
    folder.mkdir(parents=True)
    (folder / "theirs.parquet").write_bytes(b"x")
    with pytest.raises(FixConfig, match=r"theirs\.parquet"):
        load(lake, rows({"1": "a"}), allow_replace=True)
    assert data_files(folder) == {"theirs.parquet"}


def test_a_table_below_a_table_is_not_its_own(uri: str, lake: FilesDestination) -> None:
    """The table `raw` at the root and the table `page` of the schema `raw` share a folder, and nothing else."""
    load(lake, rows({"1": "a"}))
    for text in ("b", "c"):
        load(lake, rows({"1": text}), target=Target(None, "raw"))
    load(lake, rows({"1": "d"}))
    assert texts(uri) == {"1": "d"}
    assert texts(uri, Target(None, "raw")) == {"1": "c"}


# ---- formats and partitions


def test_a_merge_goes_on_in_the_tables_format(uri: str, lake: FilesDestination, folder: Path, tmp_path: Path) -> None:
    """Without an option the table stays what it is; another one takes a full sync, which leaves no file of the old format."""
    load(opened(f"{uri}?format=csv", tmp_path), rows(MANY))
    merge(lake, rows({"1": "a"}))
    assert {Path(name).suffix for name in data_files(folder)} == {".csv"}
    other = opened(f"{uri}?format=jsonl&partition_by=Text", tmp_path)
    with pytest.raises(FixConfig, match="the table is csv, partitioned by nothing"):
        merge(other, rows({"1": "a"}))
    load(other, rows({"1": "a"}), allow_replace=True)
    assert {Path(name).suffix for name in data_files(folder)} == {".jsonl"}
    merge(lake, rows({"2": "b"}))
    assert {path.parent.name for path in folder.rglob("*.jsonl")} == {"Text=a", "Text=b"}


def test_a_row_moves_with_its_partition(uri: str, folder: Path, tmp_path: Path) -> None:
    """A row whose partition changed is in the new folder only; a folder that became empty is gone."""
    destination = opened(f"{uri}?partition_by=Text", tmp_path)
    load(destination, rows({"1": "a", "2": "a", "3": "b"}))
    counts = merge(destination, rows({"1": "b", "3": "c"}))
    assert (counts.updated, texts(uri)) == (2, {"1": "b", "2": "a", "3": "c"})
    merge(destination, rows({"1": "c", "2": "c"}))
    assert {path.parent.name for path in folder.rglob("*.parquet")} == {"Text=c"}
    assert sorted(path.name for path in folder.iterdir()) == ["Text=c", "_halocline"]


def test_too_many_partitions_are_refused(uri: str, folder: Path, tmp_path: Path) -> None:
    """A partition for every row is a mistake; nothing of it is left."""
    destination = opened(f"{uri}?partition_by=Id", tmp_path)
    with pytest.raises(FixConfig, match="3,000 different folders"):
        load(destination, rows({f"{n}": "a" for n in range(3_000)}))
    assert not folder.exists()


def test_duckdb_reads_the_files_of_a_partitioned_table(uri: str, tmp_path: Path) -> None:
    """Folders are named as Hive's are, and every value, odd or null, is the one in the file."""
    odd = {"1": "New York/ä", "2": "", "3": "007", "4": "a=b%41", "5": "\r\n", "6": "true"}
    load(opened(f"{uri}?partition_by=Text", tmp_path), rows(odd))
    found = duckdb.sql(f"SELECT Id, Text FROM read_parquet({table_files(uri, 'page', schema='raw')!r}) ORDER BY Id").fetchall()
    assert dict(found) == odd


# ---- what is written anew


def test_only_files_with_a_changed_row_are_written_anew(
    lake: FilesDestination, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New rows are a new file; a row that does not change writes nothing; a changed one replaces its file, and no other."""
    monkeypatch.setattr(output, "TARGET_BYTES", 1)
    monkeypatch.setattr(merging, "SMALL_BYTES", 0)
    load(lake, rows({"1": "a", "2": "a"}))
    first = data_files(folder)
    merge(lake, rows({"5": "e", "6": "e"}))
    second = data_files(folder)
    assert first < second
    assert merge(lake, rows({"1": "a", "6": "e"}), gone("7")).unchanged == 3
    assert data_files(folder) == second
    assert merge(lake, rows({"1": "a", "6": "new"})).updated == 1
    assert first < data_files(folder)
    assert len(data_files(folder)) == 2


def test_small_files_become_one(uri: str, lake: FilesDestination, folder: Path) -> None:
    """However many small merges there were, a partition has a handful of small files."""
    for number in range(25):
        merge(lake, rows({f"{number:02}": "a"}))
        assert len(data_files(folder)) <= merging.MOST_SMALL + 1
    assert len(texts(uri)) == 25


# ---- two runs at once


def test_of_two_runs_of_a_flow_the_newer_wins(uri: str, lake: FilesDestination, folder: Path, tmp_path: Path) -> None:
    """The older one fails at its commit, whichever is first, and leaves nothing."""
    older, newer = lake.claim(FLOW, "older"), lake.claim(FLOW, "newer")
    early, late = (ready(opened(uri, tmp_path), older, [rows({"1": "older"})]) for _ in range(2))
    with pytest.raises(LeaseLost, match="newer"):
        early()
    ready(lake, newer, [rows({"1": "newer"})])()
    with pytest.raises(LeaseLost, match="newer"):
        late()
    assert texts(uri) == {"1": "newer"}
    assert len(data_files(folder)) == 1


def test_of_runs_that_all_believe_in_their_lease_one_commits(
    uri: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that were paused between the last look at their lease and the commit, and wake up together: one makes the commit."""
    start, plain, seen = threading.Barrier(6, timeout=30), claims.check, threading.local()

    def check(storage: Any, lease: Any) -> None:
        if hasattr(seen, "once"):
            plain(storage, lease)
        else:
            seen.once = start.wait()

    monkeypatch.setattr(claims, "check", check)
    benches = [opened(uri, tmp_path) for _ in range(6)]
    commits = [ready(bench, bench.claim(FLOW, f"{n}"), [rows({"1": f"{n}"})]) for n, bench in enumerate(benches)]

    def run(number: int) -> bool:
        try:
            commits[number](number)
        except (LeaseLost, RetryLater):
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(run, range(6)))
    winner = done.index(True)
    assert (sum(done), texts(uri)) == (1, {"1": f"{winner}"})
    assert benches[0].position(FLOW, TARGET) == {"at": winner}
    assert len(data_files(folder)) == 1


def test_another_flow_that_was_faster_makes_a_run_try_later(
    uri: str, lake: FilesDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two flows that merge into one table do not lose each other's rows: the slower one is told to run again."""
    load(lake, rows({"1": "a"}))
    bench = opened(uri, tmp_path)
    slower = ready(bench, bench.claim("slower", "test"), [rows({"2": "slower"})], mode=Mode.MERGE)
    plain = claims.check

    def check(*args: Any) -> None:
        monkeypatch.undo()
        merge(lake, rows({"3": "faster"}), flow="faster")
        plain(*args)

    monkeypatch.setattr(claims, "check", check)
    with pytest.raises(RetryLater, match="meanwhile"):
        slower()
    assert texts(uri) == {"1": "a", "3": "faster"}
    merge(lake, rows({"2": "slower"}), flow="slower")
    assert texts(uri) == {"1": "a", "2": "slower", "3": "faster"}


# ---- what readers see


@contextmanager
def looking(monkeypatch: pytest.MonkeyPatch, look: Any) -> Iterator[None]:
    """Calls `look` before every step of a commit that changes the file system."""
    with monkeypatch.context() as patch:
        for owner, name in ((os, "link"), (Path, "rename"), (Path, "replace"), (Path, "unlink")):
            plain = getattr(owner, name)

            def step(*args: Any, plain: Any = plain, **named: Any) -> Any:
                look()
                return plain(*args, **named)

            patch.setattr(owner, name, step)
        yield


def test_readers_of_the_log_see_the_old_table_or_the_new(
    uri: str, lake: FilesDestination, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each step of a refresh the log gives one whole table with its position; a glob may give both, but no half file."""
    load(lake, rows(MANY), position="old")
    commit = ready(lake, lake.claim(FLOW, "test"), [rows(dict.fromkeys(MANY, "new"))])
    seen, globbed = [], []

    def look() -> None:
        files = table_files(uri, "page", schema="raw")
        states = {text for name in files for text in pq.read_table(name).column("Text").to_pylist()}
        at = json.loads(sorted((folder / "_halocline").glob("0*.json"))[-1].read_text())["positions"][FLOW]["at"]
        seen.append((sorted(states), at))
        globbed.append(sum(pq.read_metadata(path).num_rows for path in folder.glob("**/*.parquet")))

    with looking(monkeypatch, look):
        commit()
    assert {(tuple(states), at) for states, at in seen} == {(("old",), "old"), (("new",), "new")}
    assert set(globbed) == {100, 200}
    assert texts(uri) == dict.fromkeys(MANY, "new")
    assert len(list(folder.glob("**/*.parquet"))) == 1


def test_older_versions_may_be_kept_for_slow_readers(uri: str, folder: Path, tmp_path: Path) -> None:
    """With `keep=1` a reader that began before the last commit still finds all its files; those of before are gone."""
    destination = opened(f"{uri}?keep=1", tmp_path)
    versions = []
    for text in "abc":
        load(destination, rows({"1": text}))
        versions.append(table_files(uri, "page", schema="raw"))
    assert [[Path(name).exists() for name in names] for names in versions] == [[False], [True], [True]]


def test_a_convenient_copy_of_the_newest_commit(uri: str, lake: FilesDestination, folder: Path) -> None:
    """`latest.json` is the newest commit; it is not the truth, so damage to it harms nobody."""
    load(lake, rows({"1": "a"}))
    log = folder / "_halocline"
    assert (log / "latest.json").read_text() == (log / "00000001.json").read_text()
    (log / "latest.json").write_text("{")
    assert texts(uri) == {"1": "a"}


def test_a_table_that_lost_a_file_is_read_anew(uri: str, lake: FilesDestination, folder: Path) -> None:
    """Somebody deleted a data file: there is no position any more, a merge is refused, a full load mends it."""
    load(lake, rows(MANY))
    next(folder.glob("*.parquet")).unlink()
    assert lake.position(FLOW, TARGET) is None
    with pytest.raises(NotFound, match="is missing"):
        merge(lake, rows({"001": "new"}))
    load(lake, rows(MANY))
    assert texts(uri) == MANY


def test_a_reader_that_is_overtaken_reads_the_new_table_or_is_told_to(uri: str, lake: FilesDestination, folder: Path) -> None:
    """Its files are gone before it came to them: the newest are read; behind rows that were handed out it ends as try later."""
    load(lake, rows({"1": "old"}))
    reader = read_table(uri, "page", schema="raw")
    load(lake, rows({"1": "new"}))
    assert reader.read_all().column("Text").to_pylist() == ["new"]
    merge(lake, rows({"2": "second file"}))
    merge(lake, rows({"3": "third file"}))
    assert len(list(folder.glob("*.parquet"))) > 1
    reader = read_table(uri, "page", schema="raw")
    assert reader.read_next_batch().num_rows > 0
    load(lake, rows({"1": "newer"}))
    with pytest.raises(RetryLater, match="another commit replaced the table"):
        reader.read_all()


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_file_that_goes_while_it_is_opened_is_gone_and_not_damaged(form: str, tmp_path: Path) -> None:
    """Another commit may sweep it between the look at it and its opening."""
    with pytest.raises(NotFound, match="is missing"):
        list(format_of(form).batches(tmp_path / f"swept.{form}", SCHEMA))


def test_a_missing_table_is_told(uri: str) -> None:
    """Reading what is not there is an error, not an empty table."""
    with pytest.raises(NotFound, match=r"raw\.nope"):
        read_table(uri, "nope", schema="raw")


# ---- what is swept


def test_files_of_dead_runs_are_swept(uri: str, lake: FilesDestination, folder: Path) -> None:
    """What a fenced-off run of the flow left goes with the next commit; another flow's only when it is old."""
    load(lake, rows({"1": "a"}))
    place = Folder.of(TARGET)
    mine, other = (
        f"{place.owner(FLOW)}-00000001-00000000-00001.parquet",
        f"{place.owner('other')}-00000001-00000000-00001.parquet",
    )
    old = f"{place.owner('other')}-00000001-00000000-00002.parquet"
    for name in (mine, f".{mine}.part", other, f".{old}.part"):
        (folder / name).write_bytes(b"x")
    os.utime(folder / f".{old}.part", (0, 0))
    merge(lake, rows({"1": "a"}))
    assert data_files(folder) - {Path(name).name for name in table_files(uri, "page", schema="raw")} == {other}


def test_a_failed_commit_leaves_no_file(lake: FilesDestination, folder: Path) -> None:
    """A refused load leaves the folder as it was."""
    load(lake, rows(MANY))
    before = data_files(folder)
    with pytest.raises(Refused):
        load(lake)
    assert data_files(folder) == before


def test_tidying_that_fails_is_told_and_harms_nothing(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are published; the sink hears that old files are still there, and the next commit deletes them."""
    heard: list[Any] = []
    destination = FilesDestination(uri, spool=Spool("x", tmp_path), sink=heard.append)
    load(destination, rows({"1": "a"}))
    with monkeypatch.context() as patch:
        patch.setattr("halocline.connectors.files.destination.sweep", _fail)
        load(destination, rows({"1": "b"}))
    assert [type(event) for event in heard] == [Noticed]
    assert len(data_files(tmp_path / "lake")) == 2
    merge(destination, rows({"1": "b"}))
    assert (texts(uri), len(data_files(tmp_path / "lake"))) == ({"1": "b"}, 1)


def _fail(*_: object, **__: object) -> None:
    raise StorageFailed("Deleting", "the disk is asleep")


def test_the_log_does_not_grow_for_ever(lake: FilesDestination, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old commits and claims go; the numbers go on."""
    monkeypatch.setattr("halocline.connectors.files.log.KEPT_COMMITS", 4)
    for number in range(20):
        merge(lake, rows({f"{number % 3}": "a"}))
    assert sorted(path.name for path in (folder / "_halocline").glob("0*"))[-1] == "00000020.json"
    assert len(list((folder / "_halocline").glob("0*"))) == 4
    assert len(list((folder.parent.parent / "_halocline").rglob("*.json"))) <= 10


def test_a_commit_into_a_gap_of_the_log_is_taken_back(
    uri: str, lake: FilesDestination, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that slept so long that its number is free again does not publish."""
    monkeypatch.setattr("halocline.connectors.files.log.KEPT_COMMITS", 4)
    for number in range(20):
        merge(lake, rows({"1": f"{number}"}))
    sleeper = ready(lake, lake.claim("sleeper", "test"), [rows({"1": "asleep"})], allow_replace=True)
    with monkeypatch.context() as patch:
        patch.setattr("halocline.connectors.files.log.Log.newest", lambda log: log.at(0))
        with pytest.raises(RetryLater):
            sleeper()
    assert texts(uri) == {"1": "19"}
    assert len(data_files(folder)) == 1


# ---- disks


def test_a_folder_that_may_not_be_written_is_told(uri: str, lake: FilesDestination, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights that are missing are told as such, and a full disk as such."""
    for number, kind in ((13, AccessDenied), (28, StorageFailed)):
        with monkeypatch.context() as patch:

            def refuse(*_: object, number: int = number) -> None:
                raise OSError(number, os.strerror(number))

            patch.setattr(os, "link", refuse)
            with pytest.raises(kind, match=os.strerror(number)):
                load(lake, rows({"1": "a"}))
    load(lake, rows({"1": "a"}))
    assert texts(uri) == {"1": "a"}


@pytest.mark.parametrize("there", ["lake", "lake/_halocline", "lake/raw/page"])
def test_a_file_where_a_folder_is_wanted_is_told_by_name(there: str, uri: str, lake: FilesDestination, tmp_path: Path) -> None:
    """A file in a folder's place is for a person to mend, wherever on the way it stands; the file stays as it is."""
    file = tmp_path / there
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine")
    with pytest.raises(FixConfig) as caught:
        load(lake, rows({"001": "a"}))
    assert caught.value.cause == f"{file} is a file, and a folder is wanted there"
    assert file.read_text() == "mine"


def test_a_disk_without_links_is_refused(lake: FilesDestination, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no link can be made, two runs cannot be told apart."""

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StorageFailed, match="hard links"):
        lake.claim(FLOW, "test")


def test_another_disk_for_the_spool(uri: str, lake: FilesDestination, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files come from the spool by a copy where a rename cannot cross."""
    plain = Path.rename

    def rename(path: Path, to: Path) -> Path:
        if path.parent != to.parent:
            raise OSError(18, "Invalid cross-device link")
        return plain(path, to)

    monkeypatch.setattr(Path, "rename", rename)
    load(lake, rows(MANY))
    assert texts(uri) == MANY


def test_a_damaged_data_file_stops_a_merge(lake: FilesDestination, folder: Path) -> None:
    """Rows that cannot be read are not lost silently."""
    load(lake, rows(MANY))
    next(folder.glob("*.parquet")).write_bytes(b"PAR1 is not all")
    with pytest.raises(Truncated, match="damaged"):
        merge(lake, rows({"001": "new"}))


def test_a_second_table_is_refused(lake: FilesDestination) -> None:
    """Two tables would be two commits."""
    unit = lake.begin(lake.claim(FLOW, "test"))
    unit.open(TARGET, plan(), NoJournal())
    with pytest.raises(FixConfig, match="one by one"):
        unit.open(Target("raw", "other"), plan(), NoJournal())
    unit.close()


def test_a_deletion_that_nothing_could_mark_is_refused(uri: str, lake: FilesDestination) -> None:
    """Soft deletes need a column for the mark."""
    load(lake, rows({"1": "a"}))
    with pytest.raises(HaloclineError, match="no column that could mark"):
        merge(lake, gone("1"), deletes=Deletes.SOFT)
    assert texts(uri) == {"1": "a"}


def test_rows_are_handed_out_to_be_compared(uri: str, lake: FilesDestination) -> None:
    """All rows, or those of some keys and perhaps more, in the plan's columns and spelling; a column not there is null."""
    load(lake, rows(MANY))
    wide = Schema((Column("ID", Kind.STRING), Column("New", Kind.INTEGER)), ("ID",))
    every = [row for batch in lake.rows(TARGET, plan(schema=wide)) for row in batch.to_pylist()]
    assert every == [{"ID": key, "New": None} for key in MANY]
    some = [row for batch in lake.rows(TARGET, plan(schema=wide), keys=["042", "007", "x"]) for row in batch.to_pylist()]
    assert some == [{"ID": "007", "New": None}, {"ID": "042", "New": None}]
    with pytest.raises(NotFound):
        list(lake.rows(Target("raw", "nope"), plan()))
    other = Schema((SCHEMA.columns[0], Column("Text", Kind.DATE)), ("Id",))
    with pytest.raises(SchemaConflict, match="Text is string there"):
        list(lake.rows(TARGET, plan(schema=other)))
