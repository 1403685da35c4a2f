"""What is S3's own: conditional writes, replies that were lost, errors and what they are told as."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from boto3.exceptions import RetriesExceededError
from botocore.exceptions import ClientError, IncompleteReadError, NoCredentialsError, ReadTimeoutError
from s3transfer.exceptions import RetriesExceededError as TransferRetriesExceededError
from tests.connectors.files.lakes import FLOW, TARGET, load, merge, opened, ready, rows, texts
from tests.connectors.files.server import Bucket, bucket, s3

from halocline.connectors.aws.errors import gate
from halocline.connectors.files import table_files
from halocline.connectors.files.s3 import S3Storage
from halocline.errors import (
    AccessDenied,
    FixConfig,
    HaloclineError,
    LeaseLost,
    LoginRefused,
    NetworkFailed,
    NotFound,
    RetryLater,
    Stop,
)


@pytest.fixture(scope="module", autouse=True)
def endpoint() -> Iterator[str]:
    with s3() as running:
        yield running


@pytest.fixture
def place() -> Bucket:
    return bucket()


def test_nothing_lies_outside_of_the_prefix(place: Bucket, tmp_path: Path) -> None:
    """All keys begin with the prefix; a table's log and claims are among them, probes and files of before are gone."""
    destination = opened(f"{place}/a/b", tmp_path)
    load(destination, rows({"1": "a"}))
    load(destination, rows({"1": "b"}))
    assert all(name.startswith("a/b/") for name in place.names())
    assert len([name for name in place.names() if name.endswith(".parquet")]) == 1
    assert not [name for name in place.names() if "probe" in name]
    addresses = table_files(f"{place}/a/b", "page", schema="raw")
    assert [address.removeprefix(f"{place}/") in place.names() for address in addresses] == [True]


def test_the_files_are_parquet_for_everybody(place: Bucket, tmp_path: Path) -> None:
    """An object downloaded by somebody else is the table."""
    load(opened(place, tmp_path), rows({"1": "a"}))
    key = table_files(place, "page", schema="raw")[0].removeprefix(f"{place}/")
    place.client.download_file(place.name, key, str(tmp_path / "x.parquet"))
    assert duckdb.sql(f"FROM '{tmp_path}/x.parquet'").fetchall() == [("1", "a")]


def test_a_fenced_off_run_does_not_commit(place: Bucket, tmp_path: Path) -> None:
    """The newer run wins; the older one leaves nothing."""
    older, newer = opened(place, tmp_path), opened(place, tmp_path)
    late = ready(older, older.claim(FLOW, "older"), [rows({"1": "older"})])
    load(newer, rows({"1": "newer"}))
    with pytest.raises(LeaseLost):
        late()
    assert texts(place) == {"1": "newer"}
    assert len([name for name in place.names() if name.endswith(".parquet")]) == 1


def test_an_object_is_created_once(place: Bucket, tmp_path: Path) -> None:
    """The second creation of a name is refused, and changes nothing."""
    storage = opened(place, tmp_path)._storage
    assert storage.create("x", b"one")
    assert not storage.create("x", b"two")
    assert storage.read("x") == b"one"


def test_a_lost_reply_to_the_commit_is_looked_up(place: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object was made and the answer got lost: the commit counts, and is not made twice."""
    destination = opened(place, tmp_path)
    load(destination, rows({"1": "a"}))
    plain = S3Storage._put_if_new

    def lost(storage: S3Storage, name: str, data: bytes) -> None:
        plain(storage, name, data)
        if "claims" not in name:
            raise ReadTimeoutError(endpoint_url="x")

    with monkeypatch.context() as patch:
        patch.setattr(S3Storage, "_put_if_new", lost)
        assert merge(destination, rows({"2": "b"})).inserted == 1
    assert texts(place) == {"1": "a", "2": "b"}


def test_a_commit_that_never_arrived_is_told(place: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network broke before the object was made: an error, the table as before, and the next run is right."""
    destination = opened(place, tmp_path)
    load(destination, rows({"1": "a"}))

    def cut(storage: S3Storage, name: str, data: bytes) -> None:
        raise ReadTimeoutError(endpoint_url="x")

    lease = destination.claim(FLOW, "test")
    commit = ready(destination, lease, [rows({"1": "b"})])
    with monkeypatch.context() as patch:
        patch.setattr(S3Storage, "_put_if_new", cut)
        with pytest.raises(NetworkFailed):
            commit()
    assert texts(place) == {"1": "a"}
    load(destination, rows({"1": "c"}))
    assert texts(place) == {"1": "c"}
    assert len([name for name in place.names() if name.endswith(".parquet")]) == 1


def test_a_store_that_ignores_the_condition_is_refused(place: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without conditional writes two runs could not be told apart; it is seen before anything is written."""

    def overwrite(storage: S3Storage, name: str, data: bytes) -> None:
        storage.write(name, data)

    monkeypatch.setattr(S3Storage, "_put_if_new", overwrite)
    with pytest.raises(FixConfig, match="If-None-Match"):
        opened(place, tmp_path).claim(FLOW, "test")
    assert place.names() == []


def test_a_conflict_is_tried_again(place: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 answers 409 where another creation is on its way: the answer to the next try counts."""
    storage: Any = opened(place, tmp_path)._storage
    plain, answers = storage._client.put_object, iter([True, True, False])

    def put(**named: Any) -> Any:
        if next(answers):
            raise ClientError({"Error": {"Code": "ConditionalRequestConflict", "Message": ""}}, "PutObject")
        return plain(**named)

    monkeypatch.setattr(storage._client, "put_object", put)
    assert storage.create("x", b"one")
    assert storage.read("x") == b"one"


def test_a_missing_bucket_is_told(tmp_path: Path) -> None:
    """The error names it."""
    with pytest.raises(NotFound, match="NoSuchBucket"):
        load(opened("s3://nobodys-bucket", tmp_path), rows({"1": "a"}))


def test_an_endpoint_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: try later."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(NetworkFailed, match=r"127\.0\.0\.1:1"):
        opened("s3://bucket", tmp_path).position(FLOW, TARGET)


@pytest.mark.parametrize("variable", [("AWS_ENDPOINT_URL", "no url"), ("AWS_PROFILE", "nobodys-profile")])
def test_a_wrong_setting_is_told(variable: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that is no URL, a profile that does not exist: a person must mend it."""
    monkeypatch.setenv(*variable)
    with pytest.raises(FixConfig, match="AWS_"):
        opened("s3://bucket", tmp_path)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDenied", AccessDenied),
        ("403", AccessDenied),
        ("NoSuchBucket", NotFound),
        ("InvalidAccessKeyId", LoginRefused),
        ("ExpiredToken", LoginRefused),
        ("SlowDown", RetryLater),
        ("ServiceUnavailable", RetryLater),
        ("PermanentRedirect", FixConfig),
        ("InvalidRequest", Stop),
    ],
)
def test_an_answer_of_s3_says_what_to_do(code: str, kind: type[HaloclineError]) -> None:
    """Each of S3's codes is an error of the tree with a hint, and keeps the code."""
    with pytest.raises(kind, match=code) as told, gate("Reading s3://bucket/x"):
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")
    assert told.value.code == code
    assert bool(told.value.hint) is (kind is not Stop)


_SHORT = IncompleteReadError(actual_bytes=7, expected_bytes=9)


@pytest.mark.parametrize(
    "error", [_SHORT, RetriesExceededError(_SHORT), TransferRetriesExceededError(_SHORT)], ids=["once", "boto3", "s3transfer"]
)
def test_a_body_that_breaks_off_is_a_trouble_of_the_network(error: Exception) -> None:
    """However often boto3 tried: it is worth trying again later, and what came back last is told."""
    with pytest.raises(NetworkFailed, match="7 read, but total bytes expected is 9"), gate("Reading s3://bucket/x"):
        raise error


def test_a_missing_login_is_told() -> None:
    """The error says where a login comes from."""
    with pytest.raises(LoginRefused, match="AWS_PROFILE"), gate("Reading"):
        raise NoCredentialsError
