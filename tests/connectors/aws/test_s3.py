"""Laws of the buckets in S3, on our fake and on moto."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.connectors.aws.servers import BOTH, SERVERS, beside, new_bucket

from halocline import registry
from halocline.buckets import Buckets, Stored
from halocline.connectors.aws import S3
from halocline.connectors.aws import s3 as module
from halocline.errors import Changed, FixConfig, NotFound, StorageFailed


@pytest.fixture(scope="module", params=BOTH, autouse=True)
def server(request: pytest.FixtureRequest) -> Iterator[object]:
    with SERVERS[request.param]() as running:
        yield running


@pytest.fixture
def buckets(server: object) -> Buckets:
    return registry.open_buckets()


@pytest.fixture
def place(server: object) -> str:
    return new_bucket()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 5 MB, the least that S3 takes, so that 11 MB are three."""
    for name in ("_IN_PARTS_BYTES", "_COPIED_IN_PARTS_BYTES", "_COPIED_PART_BYTES"):
        monkeypatch.setattr(module, name, 5 * 1024 * 1024)


def large(path: Path) -> bytes:
    data = os.urandom(11_000_000)
    path.write_bytes(data)
    return data


@pytest.mark.short
@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n"], ids=["empty", "small"])
def test_a_file_goes_there_and_back(buckets: Buckets, place: str, tmp_path: Path, data: bytes) -> None:
    """What was uploaded is what is downloaded, read, looked at and listed; type and metadata stay."""
    (tmp_path / "a").write_bytes(data)
    made = buckets.upload(tmp_path / "a", place, "in/ä b.csv", content_type="text/csv", metadata={"Halocline-Run": "r1"})
    found = buckets.head(place, "in/ä b.csv")
    assert found is not None
    assert (found.size, found.etag, found.metadata) == (len(data), hashlib.md5(data).hexdigest(), {"halocline-run": "r1"})
    assert (made.etag, made.size, made.metadata) == (found.etag, found.size, found.metadata)
    assert buckets.download(place, "in/ä b.csv", tmp_path / "b", etag=made.etag) == found
    assert (tmp_path / "b").read_bytes() == data == buckets.read(place, "in/ä b.csv")
    assert beside("s3").head_object(Bucket=place, Key="in/ä b.csv")["ContentType"] == "text/csv"
    assert [(one.key, one.etag, one.size) for one in buckets.each(place, "in/")] == [("in/ä b.csv", made.etag, len(data))]
    assert list(buckets.each(place, "out/")) == []


def test_a_large_file_goes_in_parts(buckets: Buckets, place: str, tmp_path: Path, small_parts: None) -> None:
    """Parts there, parts back, and nothing but the file is left in the folder."""
    data = large(tmp_path / "a")
    made = buckets.upload(tmp_path / "a", place, "a", metadata={"x": "1"})
    assert (made.size, made.etag.endswith("-3"), made.metadata) == (len(data), True, {"x": "1"})
    buckets.download(place, "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_copy_is_of_the_object_that_was_meant(buckets: Buckets, place: str, tmp_path: Path) -> None:
    """Type and metadata come along, new metadata is added; one that was replaced or is gone is not copied."""
    (tmp_path / "a").write_bytes(b"one")
    made = buckets.upload(tmp_path / "a", place, "a", content_type="text/csv", metadata={"x": "1"})
    copied = buckets.copy(made, place, "archive/a", metadata={"halocline-run": "r1"})
    again = buckets.copy(made, place, "archive/a", metadata={"halocline-run": "r1"})
    found = buckets.head(place, "archive/a")
    assert found is not None
    assert found.metadata == copied.metadata == again.metadata == {"x": "1", "halocline-run": "r1"}
    assert (found.etag, found.size) == (made.etag, 3) == (copied.etag, copied.size)
    assert beside("s3").head_object(Bucket=place, Key="archive/a")["ContentType"] == "text/csv"
    buckets.put(b"two", place, "a")
    with pytest.raises(Changed, match=f"s3://{place}/a"):
        buckets.copy(made, place, "other")
    buckets.delete(place, "a")
    with pytest.raises(NotFound):
        buckets.copy(made, place, "other")
    assert buckets.head(place, "other") is None


def test_a_large_copy_goes_in_parts(buckets: Buckets, place: str, tmp_path: Path, small_parts: None) -> None:
    """As objects over 5 GB must."""
    data = large(tmp_path / "a")
    made = buckets.upload(tmp_path / "a", place, "a", content_type="text/csv", metadata={"x": "1"})
    copied = buckets.copy(made, place, "b", metadata={"y": "2"})
    assert (copied.size, copied.metadata) == (len(data), {"x": "1", "y": "2"})
    assert buckets.read(place, "b") == data
    with pytest.raises(Changed):
        buckets.copy(Stored(place, "a", len(data), "0" * 32), place, "c")
    assert buckets.head(place, "c") is None


def test_what_was_replaced_is_not_deleted_or_read(buckets: Buckets, place: str, tmp_path: Path) -> None:
    """With the etag of before, a delete and a download do nothing but say so."""
    buckets.put(b"one", place, "a")
    old = buckets.head(place, "a")
    assert old is not None
    buckets.put(b"two", place, "a")
    with pytest.raises(Changed, match=old.etag):
        buckets.delete(place, "a", etag=old.etag)
    with pytest.raises(Changed):
        buckets.download(place, "a", tmp_path / "a", etag=old.etag)
    assert buckets.read(place, "a") == b"two"
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_is_replaced_between_its_parts_is_not_mixed(
    buckets: Buckets, place: str, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The download fails as Changed, and no file appears."""
    large(tmp_path / "a")
    buckets.upload(tmp_path / "a", place, "a")
    client: Any = buckets._client  # type: ignore[attr-defined]  # the seam of this test
    plain, replaced = client.get_object, []

    def get(**named: Any) -> Any:
        if not replaced:
            replaced.append(beside("s3").put_object(Bucket=place, Key="a", Body=os.urandom(11_000_000)))
        return plain(**named)

    monkeypatch.setattr(client, "get_object", get)
    with pytest.raises(Changed):
        buckets.download(place, "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_deleting_twice_is_deleting_once(buckets: Buckets, place: str) -> None:
    """With and without a condition; of a version too."""
    buckets.put(b"one", place, "a")
    made = buckets.head(place, "a")
    assert made is not None
    for _ in range(2):
        buckets.delete(place, "a", etag=made.etag)
        buckets.delete(place, "a")
    assert buckets.head(place, "a") is None


def test_an_object_is_made_once(buckets: Buckets, place: str) -> None:
    """A second `put` of a new name says whether it is the same; without the condition it replaces."""
    assert buckets.put(b"one", place, "a", if_new=True)
    assert buckets.put(b"one", place, "a", if_new=True)
    assert not buckets.put(b"two", place, "a", if_new=True)
    assert buckets.read(place, "a") == b"one"
    assert buckets.put(b"two", place, "a", content_type="text/plain")
    assert buckets.read(place, "a") == b"two"


def test_versions_are_kept_apart(buckets: Buckets, place: str, tmp_path: Path) -> None:
    """Each is looked at, read, downloaded, copied and deleted by its name, whatever came after it."""
    beside("s3").put_bucket_versioning(Bucket=place, VersioningConfiguration={"Status": "Enabled"})
    made = []
    for text in (b"one", b"two"):
        (tmp_path / "a").write_bytes(text)
        made.append(buckets.upload(tmp_path / "a", place, "a"))
    first, second = made
    assert len({None, first.version, second.version}) == 3
    assert buckets.read(place, "a", version=first.version) == b"one"
    assert buckets.download(place, "a", tmp_path / "b", version=first.version, etag=first.etag).version == first.version
    assert (tmp_path / "b").read_bytes() == b"one"
    buckets.copy(first, place, "c")
    assert buckets.read(place, "c") == b"one"
    buckets.delete(place, "a", version=first.version, etag=first.etag)
    buckets.delete(place, "a", version=first.version, etag=first.etag)
    assert buckets.head(place, "a", version=first.version) is None
    assert buckets.read(place, "a") == b"two"
    buckets.delete(place, "a")
    assert buckets.head(place, "a") is None
    assert buckets.read(place, "a", version=second.version) == b"two"


def test_a_link_reads_the_object(buckets: Buckets, place: str) -> None:
    """Without a login; for seven days at most."""
    buckets.put(b"report", place, "errors/report.csv")
    link = buckets.link(place, "errors/report.csv", seconds=60)
    assert httpx2.get(link).content == b"report"
    with pytest.raises(FixConfig, match="604800"):
        buckets.link(place, "a", seconds=604_801)


def test_a_public_object_is_public(buckets: Buckets, place: str, tmp_path: Path) -> None:
    """Anybody may read it."""
    (tmp_path / "a").write_bytes(b"report")
    buckets.upload(tmp_path / "a", place, "a", public=True)
    assert httpx2.get(f"{os.environ['AWS_ENDPOINT_URL']}/{place}/a").content == b"report"


def test_what_is_missing_is_told(buckets: Buckets, place: str, tmp_path: Path) -> None:
    """An object, a bucket, a file; `head` of an object that is not there is no error."""
    assert buckets.head(place, "a") is None
    for call in (
        lambda: buckets.read(place, "a"),
        lambda: buckets.download(place, "a", tmp_path / "a"),
        lambda: buckets.head("nobodys-bucket", "a"),
        lambda: list(buckets.each("nobodys-bucket")),
        lambda: buckets.put(b"", "nobodys-bucket", "a"),
    ):
        with pytest.raises(NotFound) as told:
            call()
        assert told.value.hint
    with pytest.raises(StorageFailed, match="No such file"):
        buckets.upload(tmp_path / "none", place, "a")
    assert list(tmp_path.iterdir()) == []


def test_threads_share_the_client(place: str) -> None:
    """One session and one client in this process, whoever asks."""
    assert S3()._client is S3()._client
    assert S3()._client is not registry.open_buckets(region="eu-west-1")._client  # type: ignore[attr-defined]
