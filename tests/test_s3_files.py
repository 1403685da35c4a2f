"""Laws of files between a bucket and this machine: each under its own name, none outside of its folder, none left behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest

from halocline import registry
from halocline.buckets import Buckets
from halocline.compat.kicksaw import step_function_helpers
from halocline.compat.kicksaw.s3_helpers import build_date_divided_s3_prefix, parse_kinesis_record, parse_s3_event_record
from halocline.config import Settings
from halocline.consume.aws.s3_events import Handling, S3Events
from halocline.consume.aws.step_functions import cache_data_in_s3, pull_cached_data_from_s3
from halocline.errors import Changed, FixConfig, NotAllHandled, NotFound, StorageFailed
from halocline.ledger import MemoryLedger
from halocline.s3_files import delete_file, download_file, move_file, upload_file
from halocline.s3_keys import build_archive_s3_key, get_filename_from_s3_key, get_prefix_from_s3_key, timestamp_s3_key
from halocline.scratch import key_of, place_of, scratch
from tests.connectors.aws.servers import BOTH, SERVERS
from tests.connectors.files.server import bucket
from tests.consume.s3_samples import event, record


@pytest.fixture(scope="module", autouse=True, params=BOTH)
def server(request: pytest.FixtureRequest) -> Iterator[None]:
    with SERVERS[request.param]():
        yield


@pytest.fixture
def store() -> Buckets:
    return registry.open_buckets()


@pytest.fixture
def name() -> str:
    return bucket().name


# ---- files


@pytest.mark.short
def test_a_file_keeps_the_name_of_its_key(name: str, store: Buckets, tmp_path: Path) -> None:
    """Below its folders, as they are in the bucket; uploaded again it has the same key."""
    store.put(b"a,b\n", name, "in/2026/file one.csv")
    path = download_file("in/2026/file one.csv", name)
    assert path.parts[-3:] == ("in", "2026", "file one.csv")
    assert path.read_bytes() == b"a,b\n"
    assert upload_file(path, name) == "in/2026/file one.csv"
    assert download_file("in/2026/file one.csv", name, tmp_path) == tmp_path / "in" / "2026" / "file one.csv"


def test_two_buckets_do_not_meet_here(store: Buckets) -> None:
    """The same key of two buckets is two files, at the same time."""
    one, two = bucket().name, bucket().name
    store.put(b"1", one, "f.csv")
    store.put(b"2", two, "f.csv")
    paths = [download_file("f.csv", where) for where in (one, two)]
    assert [path.read_bytes() for path in paths] == [b"1", b"2"]


@pytest.mark.parametrize(
    "key",
    ["../../evil.csv", "/etc/evil.csv", "a/../../evil.csv", "a//b.csv", "./x.csv", "a\\..\\x.csv", "x" * 900, "a/"],
)
def test_a_key_never_leads_out(name: str, store: Buckets, tmp_path: Path, key: str) -> None:
    """Whatever it says, the file lies below the folder."""
    store.put(b"x", name, key)
    inside = tmp_path / "inside"
    path = download_file(key, name, inside)
    assert path.is_relative_to(inside)
    assert ".." not in path.parts
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [path]


def test_no_two_keys_have_one_place(tmp_path: Path) -> None:
    """Also where what a file system cannot take is left out of them."""
    keys = ["a/../b", "a/_/b", "a//b", "a/./b", "a/b", "a\nb", "a_b", "x" * 300, "x" * 301, "", "_"]
    assert len({place_of(key, tmp_path) for key in keys}) == len(keys)


def test_a_link_does_not_lead_out(tmp_path: Path) -> None:
    """A folder that is a link to elsewhere is no place."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").symlink_to(tmp_path / "outside")
    with pytest.raises(FixConfig, match="outside of"):
        place_of("a/f.csv", tmp_path / "root")


def test_a_key_is_said_or_found(name: str, store: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is its own key; of another only the name is."""
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("out/r.csv").write_text("r")
    assert upload_file("out/r.csv", name) == "out/r.csv"
    assert upload_file(tmp_path / "out" / "r.csv", name) == "r.csv"
    assert upload_file("out/r.csv", name, Path("x") / "y.csv") == "x/y.csv"
    assert store.read(name, "x/y.csv") == b"r"
    assert key_of(Path("../r.csv")) == "r.csv"


def test_what_a_callback_brought_goes_with_it(name: str, store: Buckets, tmp_path: Path) -> None:
    """A process that handles files for ever does not fill its disk; what was put elsewhere stays."""
    store.put(b"x", name, "in/a.csv")
    paths: list[Path] = []

    def work(key: str, where: str) -> None:
        paths.extend((download_file(key, where), download_file(key, where, tmp_path)))
        assert all(path.exists() for path in paths)

    S3Events(MemoryLedger(), Settings(tmp_path), flow="f").respond(event(record(bucket=name, etag="")), work)
    assert [path.exists() for path in paths] == [False, True]


def test_the_bytes_that_landed_are_brought(name: str, store: Buckets, tmp_path: Path) -> None:
    """Each event has its own version, although the newest is another by then; outside of a callback it is the newest."""
    client = boto3.client("s3")
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    versions = [client.put_object(Bucket=name, Key="in/a.csv", Body=body)["VersionId"] for body in (b"one", b"two")]
    found: list[bytes] = []

    def work(key: str, where: str) -> None:
        found.append(download_file(key, where).read_bytes())

    told = [record(bucket=name, version=version, sequencer=f"0{number}") for number, version in enumerate(versions)]
    S3Events(MemoryLedger(), Settings(tmp_path), flow="f").respond(event(*reversed(told)), work)
    assert found == [b"one", b"two"]
    assert download_file("in/a.csv", name).read_bytes() == b"two"


def test_bytes_that_were_overwritten_are_told(name: str, store: Buckets, tmp_path: Path) -> None:
    """Without versions the older event finds its bytes gone: it gets no others, and is not delivered again for ever."""
    client = boto3.client("s3")
    etags = [client.put_object(Bucket=name, Key="in/a.csv", Body=body)["ETag"] for body in (b"one", b"two")]
    found: list[bytes] = []
    told: list[object] = []

    def work(key: str, where: str) -> None:
        found.append(download_file(key, where).read_bytes())

    with MemoryLedger() as ledger:
        records = [record(bucket=name, etag=etag.strip('"'), sequencer=f"0{n}") for n, etag in enumerate(etags)]
        here = S3Events(ledger, Settings(tmp_path), flow="f", sink=told.append)
        results = here.respond(event(*records), work)
        assert [one.handling for one in results] == [Handling.SUPERSEDED, Handling.DONE]
        assert found == [b"two"]
        assert "overwritten" in str(told)
        assert sorted(run.state for run in ledger.runs()) == ["done", "failed"]


def test_a_replaced_object_of_another_kind_is_a_failure(tmp_path: Path) -> None:
    """Only the file of the event is superseded; what else was replaced while the callback worked is its own trouble."""

    def work(key: str, where: str) -> None:
        raise Changed("Copying", "it was replaced")

    with pytest.raises(NotAllHandled):
        S3Events(MemoryLedger(), Settings(tmp_path), flow="f").respond(event(), work)


def test_the_folder_of_temporary_files_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TEMP that is not there yet is made, and one that cannot be is named."""
    monkeypatch.setenv("TEMP", str(tmp_path / "not" / "there"))
    with scratch() as here:
        assert here.parent == tmp_path / "not" / "there"
    (tmp_path / "file").touch()
    monkeypatch.setenv("TEMP", str(tmp_path / "file" / "below"))
    with pytest.raises(StorageFailed, match=r"file/below \(TEMP\)"), scratch():
        pass


def test_scratch_of_two_works_is_apart() -> None:
    with scratch() as one, scratch() as two:
        assert one != two
        assert key_of(two / "a" / "b") == "a/b"
    assert not one.exists()
    assert not two.exists()


def test_moving_is_done_once(name: str, store: Buckets) -> None:
    """To a new key or a new bucket; what was moved before is no error, what never was there is."""
    other = bucket().name
    store.put(b"x", name, "a")
    move_file("a", "b", name)
    move_file("a", "b", name)
    assert [store.head(name, key) is not None for key in "ab"] == [False, True]
    move_file("b", "b", name)
    assert store.read(name, "b") == b"x"
    move_file("b", "c", name, new_bucket=other, delete=False)
    assert store.read(other, "c") == store.read(name, "b")
    with pytest.raises(NotFound, match="no such object"):
        move_file("nothing", "d", name)
    with pytest.raises(NotFound, match="no such object"):
        move_file("never", "b", name)  # the object at the target came from elsewhere
    delete_file("b", name)
    delete_file("b", name)
    assert store.head(name, "b") is None


def versioned(name: str, *bodies: bytes) -> list[str]:
    """The versions of `in/a.csv`, oldest first."""
    client = boto3.client("s3")
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return [client.put_object(Bucket=name, Key="in/a.csv", Body=body)["VersionId"] for body in bodies]


@pytest.mark.parametrize("bodies", [(b"one", b"two"), (b"same", b"same")])
def test_the_version_that_landed_is_moved(name: str, store: Buckets, tmp_path: Path, bodies: tuple[bytes, bytes]) -> None:
    """Each event archives what it was about; the key is deleted by the event of the newest, and by no other."""
    versions = versioned(name, *bodies)
    there: list[bool] = []

    def work(key: str, where: str) -> None:
        move_file(key, f"archive/{len(there)}.csv", where)
        there.append(store.head(where, key) is not None)

    told = [record(bucket=name, version=version, sequencer=f"0{number}") for number, version in enumerate(versions)]
    S3Events(MemoryLedger(), Settings(tmp_path), flow="f").respond(event(*told), work)
    assert [store.read(name, f"archive/{number}.csv") for number in range(2)] == list(bodies)
    assert there == [True, False]


def test_an_older_landing_is_not_moved_over_a_newer_one(name: str, store: Buckets, tmp_path: Path) -> None:
    """Its callback failed after its move, and comes again when the newer is in its place: that one stays, nothing is copied."""
    first, second = versioned(name, b"one", b"two")
    failing = [True]

    def work(key: str, where: str) -> None:
        move_file(key, "archive/a.csv", where)
        if failing:
            failing.clear()
            raise ValueError("after the move")

    here = S3Events(MemoryLedger(), Settings(tmp_path), flow="f")
    old, new = (event(record(bucket=name, version=one, sequencer=f"0{n}")) for n, one in enumerate((first, second)))
    with pytest.raises(NotAllHandled):
        here.respond(old, work)
    here.respond(new, work)
    copies = store.head(name, "archive/a.csv")
    here.respond(old, work)
    assert store.read(name, "archive/a.csv") == b"two"
    assert store.head(name, "archive/a.csv") == copies


def test_an_event_without_a_version_knows_its_move(name: str, store: Buckets, tmp_path: Path) -> None:
    """In a bucket with versions too: by the etag."""
    versioned(name, b"one")
    found = store.head(name, "in/a.csv")
    assert found is not None
    failing = [True]

    def work(key: str, where: str) -> None:
        move_file(key, "archive/a.csv", where)
        if failing:
            failing.clear()
            raise ValueError("after the move")

    here = S3Events(MemoryLedger(), Settings(tmp_path), flow="f")
    with pytest.raises(NotAllHandled):
        here.respond(event(record(bucket=name, etag=found.etag)), work)
    (result,) = here.respond(event(record(bucket=name, etag=found.etag)), work)
    assert result.handling is Handling.DONE


def test_a_newer_object_is_neither_moved_nor_deleted(name: str, store: Buckets, tmp_path: Path) -> None:
    """Without versions too: it has an event of its own."""
    client = boto3.client("s3")
    etag = client.put_object(Bucket=name, Key="in/a.csv", Body=b"one")["ETag"].strip('"')

    def work(key: str, where: str) -> None:
        store.put(b"two", where, key)
        delete_file(key, where)
        move_file(key, "archive/a.csv", where)

    here = S3Events(MemoryLedger(), Settings(tmp_path), flow="f")
    (result,) = here.respond(event(record(bucket=name, etag=etag)), work)
    assert result.handling is Handling.SUPERSEDED
    assert (store.read(name, "in/a.csv"), store.head(name, "archive/a.csv")) == (b"two", None)


def test_what_landed_is_deleted(name: str, store: Buckets, tmp_path: Path) -> None:
    """With and without versions; a key of another event is deleted as anywhere else."""
    etag = boto3.client("s3").put_object(Bucket=name, Key="in/a.csv", Body=b"one")["ETag"].strip('"')
    store.put(b"x", name, "in/b.csv")

    def work(key: str, where: str) -> None:
        delete_file(key, where)
        delete_file(key, where)
        delete_file("in/b.csv", where)

    here = S3Events(MemoryLedger(), Settings(tmp_path), flow="f")
    here.respond(event(record(bucket=name, etag=etag)), work)
    (version,) = versioned(name, b"two")
    here.respond(event(record(bucket=name, version=version)), work)
    assert [store.head(name, key) for key in ("in/a.csv", "in/b.csv")] == [None, None]


def test_yesterdays_copy_is_no_move_of_today(name: str, store: Buckets, tmp_path: Path) -> None:
    """The archive's key is the same every day: what is there is the file of an event only if it was made of it."""
    first = boto3.client("s3").put_object(Bucket=name, Key="in/a.csv", Body=b"one")["ETag"].strip('"')

    def work(key: str, where: str) -> None:
        move_file(key, build_archive_s3_key(key), where)

    here = S3Events(MemoryLedger(), Settings(tmp_path), flow="f")
    assert here.respond(event(record(bucket=name, etag=first, sequencer="01")), work)[0].handling is Handling.DONE
    again = S3Events(MemoryLedger(), Settings(tmp_path), flow="f")  # it was moved, and that was forgotten
    assert again.respond(event(record(bucket=name, etag=first, sequencer="01")), work)[0].handling is Handling.DONE
    with pytest.raises(NotAllHandled, match="NotFound"):
        here.respond(event(record(bucket=name, etag="of-today", sequencer="02")), work)


# ---- keys


def test_keys_are_cut_and_joined() -> None:
    """As the older library did, but for the instant."""
    assert timestamp_s3_key("origin/a_file.csv", timestamp="T") == "a_file-T.csv"
    assert timestamp_s3_key("origin/a_file.csv", True, "T") == "origin/a_file-T.csv"
    assert timestamp_s3_key("a_file", keep_folder=True, timestamp="T") == "a_file-T"
    assert (get_filename_from_s3_key("a/b/c.csv"), get_prefix_from_s3_key("a/b/c.csv")) == ("c.csv", "a/b")
    assert (get_filename_from_s3_key("c.csv"), get_prefix_from_s3_key("c.csv")) == ("c.csv", "")
    assert build_archive_s3_key("origin/a_file.csv", replace=True) == "archive/a_file.csv"
    assert build_archive_s3_key("a/b/c/file.csv") == "archive/a/b/c/file.csv"
    assert build_date_divided_s3_prefix(date(2022, 7, 5)) == Path("2022/07/05")


@pytest.mark.parametrize("nested", [Path("2022/07/05"), "2022/07/05", "/2022/07/05/"])
def test_a_nested_prefix_is_between_the_folder_and_the_file(nested: Path | str) -> None:
    """As the older library had it: rules and partitions below `archive/in/` still find what is archived."""
    assert build_archive_s3_key("in/f.csv", nested) == "archive/in/2022/07/05/f.csv"
    assert build_archive_s3_key("a/b/f.csv", nested) == "archive/a/b/2022/07/05/f.csv"
    assert build_archive_s3_key("f.csv", nested) == "archive/2022/07/05/f.csv"
    assert build_archive_s3_key("a/b/f.csv", nested, True) == "archive/2022/07/05/f.csv"
    assert build_archive_s3_key("in/f.csv", build_date_divided_s3_prefix(date(2022, 7, 5))) == build_archive_s3_key(
        "in/f.csv", nested
    )


def test_no_two_keys_have_one_place_in_the_archive() -> None:
    """Slashes that other keys do not have are kept; an empty prefix is none."""
    keys = ["f.csv", "/f.csv", "a/f.csv", "a//f.csv", "/a/f.csv"]
    assert len({build_archive_s3_key(key) for key in keys}) == len(keys)
    assert {build_archive_s3_key("a/f.csv", nested) for nested in (None, "", ".", Path())} == {"archive/a/f.csv"}


def test_no_two_stamped_keys_are_the_same() -> None:
    """Not even of one instant."""
    assert len({timestamp_s3_key("a.csv") for _ in range(1_000)}) == 1_000


def test_records_are_read_one_by_one() -> None:
    """Of S3, whatever happened to the object, and of Kinesis."""
    bare = {"s3": {"bucket": {"name": "b"}, "object": {"key": "Im+a+problem.csv"}}}
    assert parse_s3_event_record(bare) == ("b", "Im a problem.csv")
    assert parse_s3_event_record(record(event="ObjectRemoved:Delete"))[1] == "in/a.csv"
    assert parse_s3_event_record(record(event="ObjectRestore:Completed")) == ("drop", "in/a.csv")
    for odd in ({}, event(record(), record("in/b.csv")), {"Records": []}):
        with pytest.raises(FixConfig):
            parse_s3_event_record(odd)
    assert parse_kinesis_record({"kinesis": {"data": "eyJOYW1lIjogIkJvYiJ9"}}) == {"Name": "Bob"}


# ---- payloads of Step Functions


@pytest.mark.parametrize("data", [{"greeting": "hi"}, [], None, "ä", [1, 2.5, True]])
def test_a_payload_comes_back_as_it_was(name: str, data: Any) -> None:
    """Under a key that no other has, or the one that was said; once taken with `delete` it is gone."""
    keys = {cache_data_in_s3(data, name) for _ in range(3)}
    assert len(keys) == 3
    assert all(pull_cached_data_from_s3(name, key) == data for key in keys)
    assert cache_data_in_s3(data, name, "my.json") == "my.json"
    assert pull_cached_data_from_s3(name, "my.json", delete=True) == data
    with pytest.raises(NotFound, match="delete=True has taken it"):
        pull_cached_data_from_s3(name, "my.json")


def test_a_payload_goes_by_the_older_names_too(name: str) -> None:
    """There the bucket is `bucket`, and a key may be a Path."""
    key = step_function_helpers.cache_data_in_s3([1], bucket=name, s3_key=Path("x/y.json"))
    assert key == "x/y.json"
    assert step_function_helpers.pull_cached_data_from_s3(bucket=name, s3_key=Path("x/y.json"), delete=True) == [1]
    with pytest.raises(NotFound, match=r"x/y\.json"):
        pull_cached_data_from_s3(name, Path("x/y.json"))
    fresh = step_function_helpers.cache_data_in_s3([2], name)
    assert step_function_helpers.pull_cached_data_from_s3(name, fresh) == [2]


def test_what_is_no_json_is_told(name: str, store: Buckets) -> None:
    """On its way in, and on its way out."""
    with pytest.raises(FixConfig, match="no JSON"):
        cache_data_in_s3({"at": date(2026, 1, 1)}, name)
    with pytest.raises(FixConfig, match="no JSON"):
        cache_data_in_s3(float("nan"), name)
    store.put(b"{", name, "bad.json")
    with pytest.raises(FixConfig, match="no JSON"):
        pull_cached_data_from_s3(name, "bad.json")
