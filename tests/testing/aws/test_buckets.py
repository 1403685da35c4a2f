"""Laws of buckets, judged on our server and on moto's by the same unmodified boto3."""

from __future__ import annotations

import hashlib
import io
import json
import random
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from botocore.exceptions import ClientError
from tests.testing.aws.cloud import Cloud, code_of

MIB = 1 << 20


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.short
def test_an_object_comes_as_it_was_put(cloud: Cloud) -> None:
    """Bytes, type, the user's metadata, ETag; HEAD tells the same without the bytes."""
    bucket, key = cloud.bucket(), "folder/ü +&%?#ß.csv"
    put = cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"a,b\r\n", ContentType="text/csv", Metadata={"Run": "7"})
    got = cloud.s3.get_object(Bucket=bucket, Key=key)
    head = cloud.s3.head_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == b"a,b\r\n"
    assert put["ETag"] == got["ETag"] == head["ETag"] == f'"{hashlib.md5(b"a,b" + bytes([13, 10])).hexdigest()}"'
    assert got["ContentType"] == head["ContentType"] == "text/csv"
    assert {name.lower(): value for name, value in head["Metadata"].items()} == {"run": "7"}
    assert head["ContentLength"] == 5
    assert cloud.keys(bucket) == [key]


def test_an_object_says_no_more_of_itself_than_s3_takes(cloud: Cloud) -> None:
    """2,048 bytes of names and values; put, copied or in parts."""
    bucket, most, more = cloud.bucket(), {"a": "x" * 2_047}, {"a": "x" * 2_048}
    cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata=most)
    place = {"Bucket": bucket, "Key": "k", "Metadata": more}
    source = {"CopySource": {"Bucket": bucket, "Key": "k"}, "MetadataDirective": "REPLACE"}
    for ask in (cloud.s3.put_object, partial(cloud.s3.copy_object, **source), cloud.s3.create_multipart_upload):
        with pytest.raises(ClientError) as caught:
            ask(**place)
        assert code_of(caught.value) == "MetadataTooLarge"
    assert cloud.s3.head_object(Bucket=bucket, Key="k")["Metadata"] == most


def test_what_is_not_there_is_told_as_such(cloud: Cloud) -> None:
    """A key, a bucket; HEAD has no document to say so in."""
    bucket = cloud.bucket()
    with pytest.raises(cloud.s3.exceptions.NoSuchKey):
        cloud.read(bucket, "nothing")
    with pytest.raises(cloud.s3.exceptions.NoSuchBucket):
        cloud.keys("no-such-bucket-here")
    with pytest.raises(ClientError) as caught:
        cloud.s3.head_object(Bucket=bucket, Key="nothing")
    assert code_of(caught.value) == "404"


def test_deleting_what_is_not_there_is_no_error(cloud: Cloud) -> None:
    """Alone and among others."""
    bucket = cloud.bucket()
    cloud.s3.put_object(Bucket=bucket, Key="a", Body=b"")
    cloud.s3.delete_object(Bucket=bucket, Key="b")
    told = cloud.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]})
    assert {one["Key"] for one in told["Deleted"]} == {"a", "b"}
    assert cloud.keys(bucket) == []


def test_a_bucket_that_holds_something_stays(cloud: Cloud) -> None:
    """It is deleted when it is empty."""
    bucket = cloud.bucket()
    cloud.s3.put_object(Bucket=bucket, Key="a", Body=b"")
    with pytest.raises(ClientError) as caught:
        cloud.s3.delete_bucket(Bucket=bucket)
    assert code_of(caught.value) == "BucketNotEmpty"
    cloud.s3.delete_object(Bucket=bucket, Key="a")
    cloud.s3.delete_bucket(Bucket=bucket)
    assert bucket not in [one["Name"] for one in cloud.s3.list_buckets()["Buckets"]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("bytes=0-3", b"0123"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=8-99", b"89")],
    ids=["first", "rest", "last", "beyond"],
)
def test_a_range_is_a_part(cloud: Cloud, asked: str, expected: bytes) -> None:
    """It tells where it lies in the whole."""
    bucket = cloud.bucket()
    cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    got = cloud.s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert got["Body"].read() == expected
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"].endswith("/10")


def test_a_range_behind_the_end_is_refused(cloud: Cloud) -> None:
    """There is nothing there."""
    bucket = cloud.bucket()
    cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    with pytest.raises(ClientError) as caught:
        cloud.read(bucket, "k", Range="bytes=10-")
    assert code_of(caught.value) == "InvalidRange"


@pytest.mark.short
def test_lists_come_in_pages_and_folders(cloud: Cloud) -> None:
    """In the order of UTF-8; a delimiter folds what is behind it, and folders count as entries."""
    bucket = cloud.bucket()
    keys = ["a", "a/1", "a/2", "b/1", "c", "ä", "\uffee", "\U0001f30a"]
    for key in keys:
        cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert cloud.keys(bucket) == sorted(keys, key=str.encode)
    pages = list(cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3}))
    assert [len(page["Contents"]) for page in pages] == [3, 3, 2]
    folded = list(
        cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
    )
    assert [one["Prefix"] for page in folded for one in page.get("CommonPrefixes", [])] == ["a/", "b/"]
    assert [one["Key"] for page in folded for one in page.get("Contents", [])] == ["a", "c", "ä", "\uffee", "\U0001f30a"]
    assert cloud.keys(bucket, Prefix="a/") == ["a/1", "a/2"]
    assert cloud.keys(bucket, StartAfter="b/1")[0] == "c"
    old = list(cloud.s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3}))
    assert [one["Key"] for page in old for one in page["Contents"]] == sorted(keys, key=str.encode)


def test_a_copy_has_what_the_original_has(cloud: Cloud) -> None:
    """Metadata go along, or are replaced."""
    bucket, other = cloud.bucket(), cloud.bucket()
    cloud.s3.put_object(Bucket=bucket, Key="k ü", Body=b"x", Metadata={"a": "1"}, ContentType="text/csv")
    cloud.s3.copy_object(Bucket=other, Key="same", CopySource={"Bucket": bucket, "Key": "k ü"})
    cloud.s3.copy_object(
        Bucket=other, Key="new", CopySource={"Bucket": bucket, "Key": "k ü"}, Metadata={"b": "2"}, MetadataDirective="REPLACE"
    )
    same, new = (cloud.s3.get_object(Bucket=other, Key=key) for key in ("same", "new"))
    assert (same["Body"].read(), same["Metadata"], same["ContentType"]) == (b"x", {"a": "1"}, "text/csv")
    assert (new["Body"].read(), new["Metadata"]) == (b"x", {"b": "2"})


def test_a_copy_onto_itself_changes_something(cloud: Cloud) -> None:
    """Else it is refused."""
    bucket = cloud.bucket()
    cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with pytest.raises(ClientError) as caught:
        cloud.s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k"})
    assert code_of(caught.value) == "InvalidRequest"


def test_a_copy_has_conditions_on_its_source(cloud: Cloud) -> None:
    """An ETag that is not the source's is refused."""
    bucket = cloud.bucket()
    etag = cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    source = {"Bucket": bucket, "Key": "k"}
    with pytest.raises(ClientError) as caught:
        cloud.s3.copy_object(Bucket=bucket, Key="c", CopySource=source, CopySourceIfMatch='"0"')
    assert code_of(caught.value) == "PreconditionFailed"
    cloud.s3.copy_object(Bucket=bucket, Key="c", CopySource=source, CopySourceIfMatch=etag)
    assert cloud.read(bucket, "c") == b"x"


def test_a_put_can_ask_that_nothing_is_there(cloud: Cloud) -> None:
    """The first of two wins."""
    bucket = cloud.bucket()
    cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as caught:
        cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    assert code_of(caught.value) == "PreconditionFailed"
    assert cloud.read(bucket, "k") == b"first"


def test_a_put_can_ask_that_nothing_changed(cloud: Cloud) -> None:
    """By the ETag of what it replaces; where nothing is, nothing can be replaced."""
    bucket = cloud.bucket()
    etag = cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)
    with pytest.raises(ClientError) as caught:
        cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)
    assert code_of(caught.value) == "PreconditionFailed"
    with pytest.raises(ClientError) as caught:
        cloud.s3.put_object(Bucket=bucket, Key="none", Body=b"3", IfMatch=etag)
    assert code_of(caught.value) == "NoSuchKey"


def test_a_read_can_ask_what_it_has_already(cloud: Cloud) -> None:
    """304 where it is the same, 412 where it should be and is not."""
    bucket = cloud.bucket()
    etag = cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    with pytest.raises(ClientError) as caught:
        cloud.read(bucket, "k", IfNoneMatch=etag)
    assert code_of(caught.value) == "304"
    with pytest.raises(ClientError) as caught:
        cloud.read(bucket, "k", IfMatch='"0"')
    assert code_of(caught.value) == "PreconditionFailed"


def test_a_delete_can_ask_that_nothing_changed(cloud: Cloud) -> None:
    """By the ETag of what it deletes."""
    bucket = cloud.bucket()
    old = cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    new = cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"2")["ETag"]
    with pytest.raises(ClientError) as caught:
        cloud.s3.delete_object(Bucket=bucket, Key="k", IfMatch=old)
    assert code_of(caught.value) == "PreconditionFailed"
    cloud.s3.delete_object(Bucket=bucket, Key="k", IfMatch=new)
    assert cloud.keys(bucket) == []


def test_versions_are_kept(cloud: Cloud) -> None:
    """A delete lays a marker over them; a version's delete is for good; without the marker the object is there again."""
    bucket = cloud.bucket(versioned=True)
    first, second = (cloud.s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"1", b"2"))
    assert cloud.read(bucket, "k") == b"2"
    assert cloud.read(bucket, "k", VersionId=first) == b"1"
    marker = cloud.s3.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"]
    with pytest.raises(cloud.s3.exceptions.NoSuchKey):
        cloud.read(bucket, "k")
    told = cloud.s3.list_object_versions(Bucket=bucket)
    assert [one["VersionId"] for one in told["Versions"]] == [second, first]
    assert [(one["VersionId"], one["IsLatest"]) for one in told["DeleteMarkers"]] == [(marker["VersionId"], True)]
    cloud.s3.delete_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    cloud.s3.delete_object(Bucket=bucket, Key="k", VersionId=second)
    assert cloud.read(bucket, "k") == b"1"


def test_a_copy_takes_the_version_asked_for(cloud: Cloud) -> None:
    """Not the newest."""
    bucket = cloud.bucket(versioned=True)
    first, _ = (cloud.s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"1", b"2"))
    cloud.s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k", "VersionId": first})
    assert cloud.read(bucket, "c") == b"1"


def test_parts_become_an_object(cloud: Cloud) -> None:
    """Its ETag is that of the parts; until it is complete nothing is there."""
    bucket, data = cloud.bucket(), noise(11 * MIB)
    upload = cloud.s3.create_multipart_upload(Bucket=bucket, Key="k", Metadata={"a": "1"})["UploadId"]
    pieces = [data[at : at + 5 * MIB] for at in range(0, len(data), 5 * MIB)]
    parts = []
    for number, piece in enumerate(pieces, 1):
        told = cloud.s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": told["ETag"]})
    assert cloud.keys(bucket) == []
    assert [one["Size"] for one in cloud.s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]] == [5 * MIB] * 2 + [MIB]
    assert [one["UploadId"] for one in cloud.s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    done = cloud.s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    digest = hashlib.md5(b"".join(hashlib.md5(piece).digest() for piece in pieces)).hexdigest()
    assert done["ETag"] == f'"{digest}-3"'
    assert cloud.read(bucket, "k") == data
    assert cloud.read(bucket, "k", Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}") == data[5 * MIB - 2 : 5 * MIB + 2]


def test_an_object_is_read_by_its_parts(cloud: Cloud) -> None:
    """As they were uploaded, each with its place in the whole; one that was put whole is its own first part."""
    bucket, data = cloud.bucket(), noise(6 * MIB)
    where = {"Bucket": bucket, "Key": "k"}
    upload = cloud.s3.create_multipart_upload(**where)["UploadId"]
    pieces = {1: data[: 5 * MIB], 2: data[5 * MIB :]}
    tags = {
        number: cloud.s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=piece)["ETag"]
        for number, piece in pieces.items()
    }
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in tags.items()]
    cloud.s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    got = cloud.s3.get_object(**where, PartNumber=2)
    assert got["Body"].read() == pieces[2]
    assert (got["PartsCount"], got["ContentRange"]) == (2, f"bytes {5 * MIB}-{6 * MIB - 1}/{6 * MIB}")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    head = cloud.s3.head_object(**where, PartNumber=1)
    assert (head["ContentLength"], head["PartsCount"]) == (5 * MIB, 2)
    for wrong, code in (({"PartNumber": 3}, "InvalidPartNumber"), ({"PartNumber": 1, "Range": "bytes=0-1"}, "InvalidRequest")):
        with pytest.raises(ClientError) as caught:
            cloud.s3.get_object(**where, **wrong)
        assert code_of(caught.value) == code
    cloud.s3.put_object(Bucket=bucket, Key="whole", Body=b"abc")
    cloud.s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert cloud.read(bucket, "whole", PartNumber=1) == b"abc"
    assert cloud.read(bucket, "empty", PartNumber=1) == b""


def test_an_upload_that_is_wrong_is_refused(cloud: Cloud) -> None:
    """Small parts, parts that nobody sent, uploads that are over."""
    bucket = cloud.bucket()
    upload = cloud.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    tags = [cloud.s3.upload_part(**where, PartNumber=number, Body=b"small")["ETag"] for number in (1, 2)]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]

    def refused(listed: list[dict[str, object]]) -> str:
        with pytest.raises(ClientError) as caught:
            cloud.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": listed})
        return code_of(caught.value)

    assert refused(parts) == "EntityTooSmall"
    assert refused([{"PartNumber": 3, "ETag": tags[0]}]) == "InvalidPart"
    cloud.s3.abort_multipart_upload(**where)
    assert refused(parts) == "NoSuchUpload"


def test_parts_are_listed_in_order(cloud: Cloud) -> None:
    """Sent in any order, listed by number."""
    bucket = cloud.bucket()
    where = {"Bucket": bucket, "Key": "k", "UploadId": cloud.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]}
    data = {number: bytes([number]) * 5 * MIB for number in (2, 1)}
    tags = {number: cloud.s3.upload_part(**where, PartNumber=number, Body=body)["ETag"] for number, body in data.items()}
    parts = [{"PartNumber": number, "ETag": tags[number]} for number in (1, 2)]
    with pytest.raises(ClientError) as caught:
        cloud.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts[::-1]})
    assert code_of(caught.value) == "InvalidPartOrder"
    cloud.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert cloud.read(bucket, "k") == data[1] + data[2]


def test_a_part_can_be_copied(cloud: Cloud) -> None:
    """A range of another object."""
    bucket, data = cloud.bucket(), noise(6 * MIB)
    cloud.s3.put_object(Bucket=bucket, Key="source", Body=data)
    upload = cloud.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    told = cloud.s3.upload_part_copy(
        **where, PartNumber=1, CopySource={"Bucket": bucket, "Key": "source"}, CopySourceRange=f"bytes=10-{5 * MIB + 9}"
    )
    parts = [{"PartNumber": 1, "ETag": told["CopyPartResult"]["ETag"]}]
    cloud.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert cloud.read(bucket, "k") == data[10 : 5 * MIB + 10]


def test_files_go_up_and_come_down(cloud: Cloud, tmp_path: Path) -> None:
    """boto3's own transfers, which cut large files into parts and read them in ranges."""
    bucket, data = cloud.bucket(), noise(18 * MIB)
    (tmp_path / "up").write_bytes(data)
    cloud.s3.upload_file(str(tmp_path / "up"), bucket, "k")
    cloud.s3.download_file(bucket, "k", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == data
    into = io.BytesIO()
    cloud.s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "c")
    cloud.s3.download_fileobj(bucket, "c", into)
    assert into.getvalue() == data


def test_a_body_that_is_not_what_was_signed_is_refused(cloud: Cloud) -> None:
    """By the digest that came with it."""
    bucket = cloud.bucket()
    with pytest.raises(ClientError) as caught:
        cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"1", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    assert code_of(caught.value) == "BadDigest"


def test_a_presigned_address_opens_the_door(cloud: Cloud) -> None:
    """For a read without keys, with the name that the reader is to save it under."""
    bucket = cloud.bucket()
    cloud.s3.put_object(Bucket=bucket, Key="a b.csv", Body=b"x")
    wanted = {"Bucket": bucket, "Key": "a b.csv", "ResponseContentDisposition": 'attachment; filename="b.csv"'}
    url = cloud.s3.generate_presigned_url("get_object", Params=wanted, ExpiresIn=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"x"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="b.csv"'


def test_tags_are_kept(cloud: Cloud) -> None:
    """Given with the object or later."""
    bucket = cloud.bucket()
    cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=1&b=x%20y")
    tags = cloud.s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert {one["Key"]: one["Value"] for one in tags} == {"a": "1", "b": "x y"}
    cloud.s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "c", "Value": "3"}]})
    assert cloud.s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "c", "Value": "3"}]
    cloud.s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert cloud.s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []


def test_a_queue_hears_of_objects(cloud: Cloud) -> None:
    """First a test event, then what the filter lets through: keys as forms write them, in the order of their sequencers."""
    bucket, queue = cloud.bucket(), cloud.queue()
    rules = [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".csv"}]
    told = {"QueueArn": cloud.arn(queue), "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": rules}}}
    cloud.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [told]})
    for key in ("in/ä +b.csv", "in/no.txt", "out/a.csv", "in/2.csv"):
        cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"four")
    events = [json.loads(body) for body in cloud.bodies(queue)]
    assert [one["Event"] for one in events if "Event" in one] == ["s3:TestEvent"]
    records = [record for one in events for record in one.get("Records", [])]
    assert [unquote_plus(one["s3"]["object"]["key"]) for one in records] == ["in/ä +b.csv", "in/2.csv"]
    assert {one["eventName"] for one in records} == {"ObjectCreated:Put"}
    assert {(one["s3"]["bucket"]["name"], one["s3"]["object"]["size"]) for one in records} == {(bucket, 4)}


def test_events_are_numbered_in_order(cloud: Cloud) -> None:
    """The later event of a key has the greater sequencer."""
    bucket, queue = cloud.bucket(), cloud.queue()
    told = {"QueueArn": cloud.arn(queue), "Events": ["s3:ObjectCreated:*"]}
    cloud.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [told]})
    for _ in range(3):
        cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"")
    records = [one for body in cloud.bodies(queue) for one in json.loads(body).get("Records", [])]
    numbers = [one["s3"]["object"]["sequencer"] for one in records]
    assert sorted(numbers) == numbers
    assert len(set(numbers)) == 3


def test_a_queue_that_is_not_there_hears_nothing(cloud: Cloud) -> None:
    """A configuration that leads nowhere is refused."""
    told = {"QueueArn": "arn:aws:sqs:us-east-1:123456789012:not-there", "Events": ["s3:ObjectCreated:*"]}
    with pytest.raises(ClientError) as caught:
        cloud.s3.put_bucket_notification_configuration(
            Bucket=cloud.bucket(), NotificationConfiguration={"QueueConfigurations": [told]}
        )
    assert code_of(caught.value) == "InvalidArgument"


def test_settings_are_kept(cloud: Cloud) -> None:
    """A policy comes back; where there is none, that is an error of its own."""
    bucket = cloud.bucket()
    with pytest.raises(ClientError) as caught:
        cloud.s3.get_bucket_policy(Bucket=bucket)
    assert code_of(caught.value) == "NoSuchBucketPolicy"
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    cloud.s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert json.loads(cloud.s3.get_bucket_policy(Bucket=bucket)["Policy"]) == json.loads(policy)


def test_a_presigned_address_has_an_end(fresh: tuple[object, Cloud]) -> None:
    """After its seconds it is refused."""
    server, cloud = fresh
    bucket = cloud.bucket()
    cloud.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = cloud.s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    server.clock.advance(120)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url)
