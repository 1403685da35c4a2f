"""S3: whole objects in Amazon S3, or in a store that speaks its language. It is a `halocline.buckets.Buckets`.

Every call may be repeated: an object appears whole or not at all, and what is gone already is no error to delete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.exceptions import S3DownloadFailedError
from s3transfer.subscribers import BaseSubscriber

from halocline.buckets import Stored, together
from halocline.connectors.aws.errors import code_of, gate
from halocline.connectors.aws.session import Access, session_of
from halocline.errors import Changed, FixConfig, NotFound
from halocline.spool import arriving

_MISSING = {"404", "NoSuchKey", "NoSuchVersion", "405", "MethodNotAllowed"}  # 405: a version that marks a deletion
_TAKEN = {"PreconditionFailed", "412"}
_CONFLICT = {"ConditionalRequestConflict", "409"}  # another create of the same name was on its way: try again
_TRIES = 5
_MB = 1024 * 1024
_IN_PARTS_BYTES = 16 * _MB
_COPIED_IN_PARTS_BYTES = 1024 * _MB
"""A copy in one call may take up to 5 GB; in parts it is quicker long before that.
Source: "CopyObject", https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html, read November 2026."""
_COPIED_PART_BYTES = 128 * _MB
_THREADS = 4
_WAITING_CHUNKS = 64  # of 256 KB each, between the network and a slow disk: memory stays flat
_LONGEST_LINK_S = 7 * 86_400
"""Source: "Sharing objects with presigned URLs",
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html, read November 2026."""
_KEPT_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType")


def open_buckets(**settings: object) -> S3:
    """The buckets that a login to AWS reaches; `settings` are those of `Access`, by our names or boto3's."""
    return S3(Access.of(settings))


class S3:
    """Objects by bucket and key, with the one client of this process for `access`. Threads may share it.

    Raises: FixConfig where boto3 has no region or profile, or a wrong one.
    """

    def __init__(self, access: Access | None = None) -> None:
        self._client: Any = session_of(Access.of({}) if access is None else access).client("s3")

    def head(self, bucket: str, key: str, *, version: str | None = None) -> Stored | None:
        """What the object is, or None where there is none."""
        with gate(f"Looking at {_uri(bucket, key)}"):
            try:
                answer = self._client.head_object(Bucket=bucket, Key=key, **_version(version))
            except ClientError as error:
                if code_of(error) not in _MISSING:
                    raise
                self._expect_bucket(bucket)
                return None
        return _stored(bucket, key, answer)

    def download(self, bucket: str, key: str, path: Path, *, version: str | None = None, etag: str | None = None) -> Stored:
        """Bring the object into a file, which appears whole or not at all; memory stays flat.

        The parts are all of the object that was there at first, and S3's checksum is looked at.
        Source: "Checking object integrity", https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
        """
        doing = f"Reading {_uri(bucket, key)}"
        found = self._there(doing, bucket, key, version=version, etag=etag)
        with gate(doing), arriving(path) as partial:
            try:
                with _manager(self._client, _IN_PARTS_BYTES, part_bytes=_IN_PARTS_BYTES) as manager:
                    manager.download(bucket, key, str(partial), _version(version), [_Known(found)]).result()
            except S3DownloadFailedError as error:
                raise Changed(doing, "the object was replaced while it was read", hint="Read it again.") from error
        return found

    def read(self, bucket: str, key: str, *, version: str | None = None) -> bytes:
        """What a small object holds."""
        with gate(f"Reading {_uri(bucket, key)}"):
            data: bytes = self._client.get_object(Bucket=bucket, Key=key, **_version(version))["Body"].read()
        return data

    def upload(
        self,
        path: Path,
        bucket: str,
        key: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        public: bool = False,
    ) -> Stored:
        """Make an object of a file, in parts where it is large; it appears whole."""
        doing = f"Writing {_uri(bucket, key)}"
        wanted: dict[str, Any] = {"Metadata": dict(metadata or {})}
        if content_type is not None:
            wanted["ContentType"] = content_type
        if public:
            wanted["ACL"] = "public-read"
        with gate(doing):
            size = path.stat().st_size
            if size < _IN_PARTS_BYTES:
                with path.open("rb") as data:
                    answer = self._client.put_object(Bucket=bucket, Key=key, Body=data, **wanted)
                return _made(bucket, key, answer, size=size, metadata=wanted["Metadata"])
            with _manager(self._client, _IN_PARTS_BYTES, part_bytes=_IN_PARTS_BYTES) as manager:
                manager.upload(str(path), bucket, key, wanted).result()
        return self._there(doing, bucket, key)

    def put(self, data: bytes, bucket: str, key: str, *, content_type: str | None = None, if_new: bool = False) -> bool:
        """Make an object; with `if_new`, False where there is one of this name that holds something else.

        A refusal may be the answer to our own repeated request, whose first reply was lost: what is there then decides.
        Source: "How to prevent object overwrites with conditional writes",
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html, read November 2026.
        """
        wanted = {"Bucket": bucket, "Key": key, "Body": data}
        if content_type is not None:
            wanted["ContentType"] = content_type
        with gate(f"Writing {_uri(bucket, key)}"):
            if not if_new:
                self._client.put_object(**wanted)
                return True
            try:
                self._put_if_new(wanted)
            except (ClientError, BotoCoreError) as error:
                if isinstance(error, ClientError) and code_of(error) not in _TAKEN | _CONFLICT:
                    raise
                if self.head(bucket, key) is None:
                    raise
                return self.read(bucket, key) == data
        return True

    def copy(self, old: Stored, bucket: str, key: str, *, metadata: Mapping[str, str] | None = None) -> Stored:
        """Copy exactly that object, of any size; `metadata` is added to its own, which stay away where both are too many bytes.

        Its type and the like come along; rights (ACL) do not, nor do tags where it is copied in parts.
        Raises: Changed, and nothing is copied, where the object is no longer the one of that etag.
        """
        doing = f"Copying {_uri(old.bucket, old.key)} to {_uri(bucket, key)}"
        source = {"Bucket": old.bucket, "Key": old.key, **_version(old.version)}
        with gate(doing):
            own = self._client.head_object(**source, IfMatch=_quoted(old.etag))
            pairs = together(own.get("Metadata", {}), metadata or {})
            wanted = {name: own[name] for name in _KEPT_HEADERS if name in own}
            wanted |= {"Metadata": pairs, "MetadataDirective": "REPLACE", "CopySourceIfMatch": _quoted(old.etag)}
            size = own["ContentLength"]
            if size < _COPIED_IN_PARTS_BYTES:
                answer = self._client.copy_object(Bucket=bucket, Key=key, CopySource=source, **wanted)
                return _made(bucket, key, {**answer, **answer["CopyObjectResult"]}, size=size, metadata=pairs)
            with _manager(self._client, _COPIED_IN_PARTS_BYTES, part_bytes=_COPIED_PART_BYTES) as manager:
                manager.copy(source, bucket, key, wanted, [_Known(_stored(old.bucket, old.key, own))]).result()
        return self._there(doing, bucket, key)

    def delete(self, bucket: str, key: str, *, version: str | None = None, etag: str | None = None) -> None:
        """Delete the object; where there is none, nothing is done. Without `version`, older versions stay in the bucket.

        The condition on the etag is also looked at before: stores that are not Amazon's may not know it.
        Source: "How to perform conditional deletes",
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html, read November 2026.
        """
        doing = f"Deleting {_uri(bucket, key)}"
        wanted = _version(version)
        if etag is not None:
            found = self.head(bucket, key, version=version)
            if found is None:
                return
            _expect(doing, found, etag)
            if version is None:  # S3 holds the condition against the newest version only; a version by name cannot change
                wanted["IfMatch"] = _quoted(etag)
        with gate(doing):
            try:
                self._client.delete_object(Bucket=bucket, Key=key, **wanted)
            except ClientError as error:
                if code_of(error) != "NoSuchKey":
                    raise

    def each(self, bucket: str, prefix: str = "") -> Iterator[Stored]:
        """The objects whose keys begin with `prefix`, in the order of their keys; a listing tells no metadata and no version."""
        pages = self._client.get_paginator("list_objects_v2")
        with gate(f"Listing {_uri(bucket, prefix)}"):
            for page in pages.paginate(Bucket=bucket, Prefix=prefix):
                for found in page.get("Contents", ()):
                    yield Stored(
                        bucket, found["Key"], found["Size"], found["ETag"].strip('"'), modified=_utc(found["LastModified"])
                    )

    def link(self, bucket: str, key: str, *, seconds: int) -> str:
        """An address under which anyone can read the object for so long; one made with a role's keys ends with them.

        Raises: FixConfig for more than seven days.
        """
        doing = f"Making a link to {_uri(bucket, key)}"
        if not 1 <= seconds <= _LONGEST_LINK_S:
            hint = f"Give 1 to {_LONGEST_LINK_S}, or make the object public."
            raise FixConfig(doing, f"{seconds} is no number of seconds that S3 allows", hint=hint)
        with gate(doing):
            wanted = {"Bucket": bucket, "Key": key}
            return str(self._client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds))

    def _there(self, doing: str, bucket: str, key: str, *, version: str | None = None, etag: str | None = None) -> Stored:
        found = self.head(bucket, key, version=version)
        if found is None:
            raise NotFound(doing, "there is no such object", hint="Somebody removed it, or its name is another one.")
        if etag is not None:
            _expect(doing, found, etag)
        return found

    def _expect_bucket(self, bucket: str) -> None:
        """An answer to HEAD has no words: is it the bucket that is missing?"""
        try:
            self._client.head_bucket(Bucket=bucket)
        except ClientError as error:
            if code_of(error) not in {"404", "NoSuchBucket"}:
                raise
            hint = "Make the bucket first, or correct its name."
            raise NotFound(f"Looking for the bucket {bucket}", "there is no such bucket", hint=hint) from error

    def _put_if_new(self, wanted: Mapping[str, Any]) -> None:
        for tries_left in reversed(range(_TRIES)):
            try:
                self._client.put_object(**wanted, IfNoneMatch="*")
                return
            except ClientError as error:
                if code_of(error) not in _CONFLICT or not tries_left:
                    raise


class _Known(BaseSubscriber):  # type: ignore[misc]  # s3transfer has no types
    """Tells a transfer which object is meant: each of its calls is then made under the condition of that etag."""

    def __init__(self, found: Stored) -> None:
        self._found = found

    def on_queued(self, future: Any, **_: Any) -> None:
        """The transfer asks before its first call."""
        future.meta.provide_transfer_size(self._found.size)
        future.meta.provide_object_etag(_quoted(self._found.etag))


def _manager(client: Any, threshold_bytes: int, *, part_bytes: int) -> Any:
    config = TransferConfig(
        multipart_threshold=threshold_bytes,
        multipart_chunksize=part_bytes,
        max_concurrency=_THREADS,
        max_io_queue=_WAITING_CHUNKS,
    )
    return create_transfer_manager(client, config)


def _uri(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"


def _version(version: str | None) -> dict[str, str]:
    return {} if version is None else {"VersionId": version}


def _quoted(etag: str) -> str:
    return f'"{etag}"'


def _expect(doing: str, found: Stored, etag: str) -> None:
    if found.etag != etag.strip('"'):
        cause = f"the object was replaced: its etag is {found.etag}, not {etag}"
        raise Changed(doing, cause, hint="Work on the object that is there now.")


def _stored(bucket: str, key: str, answer: Mapping[str, Any]) -> Stored:
    pairs = answer.get("Metadata", {})
    return _made(bucket, key, answer, size=answer["ContentLength"], metadata=pairs)


def _made(bucket: str, key: str, answer: Mapping[str, Any], *, size: int, metadata: Mapping[str, str]) -> Stored:
    return Stored(
        bucket,
        key,
        size,
        answer["ETag"].strip('"'),
        answer.get("VersionId"),
        _utc(answer.get("LastModified")),
        {name.lower(): value for name, value in metadata.items()},
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
