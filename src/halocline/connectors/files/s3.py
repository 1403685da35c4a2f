"""S3Storage: a bucket and a prefix of Amazon S3, or of a store that speaks its language and honours conditional writes.

Login, region, profile and endpoint are what boto3 finds (`AWS_PROFILE`, `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL`, ...).
Source: "Configuration", https://docs.aws.amazon.com/boto3/latest/guide/configuration.html
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from halocline.connectors.aws.errors import code_of, gate
from halocline.connectors.aws.session import Access, session_of
from halocline.connectors.files.storage import Entry, checked
from halocline.errors import FixConfig, NotFound
from halocline.spool import Spool, arriving

_TAKEN = {"PreconditionFailed", "412"}
_CONFLICT = {"ConditionalRequestConflict", "409"}  # another create of the same name was on its way: try again
_TRIES = 5
_DELETED_AT_ONCE = 1_000
"""Source: "DeleteObjects", https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html, read November 2026."""


class S3Storage:
    """Objects below `prefix` of `bucket`. Files are looked at by way of the spool, where each is downloaded once.

    Raises: FixConfig where boto3 has no login or region, or a wrong one.
    """

    def __init__(self, bucket: str, prefix: str, *, spool: Spool) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._spool = spool
        self._lock = threading.Lock()
        self._is_checked = False
        with gate(f"Opening s3://{bucket}"):
            self._client: Any = session_of(Access.of({})).client("s3")

    def uri(self, name: str) -> str:
        """The object's address."""
        return f"s3://{self._bucket}/{self._key(name)}"

    def entries(self, folder: str) -> Iterator[Entry]:
        """The objects below a folder."""
        pages = self._client.get_paginator("list_objects_v2")
        with gate(f"Listing {self.uri(folder)}"):
            for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._key(folder)}/"):
                for found in page.get("Contents", ()):
                    yield Entry(found["Key"].removeprefix(self._prefix), found["LastModified"].timestamp())

    def read(self, name: str) -> bytes | None:
        """What an object holds; None where it does not exist."""
        with gate(f"Reading {self.uri(name)}"):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
                data: bytes = answer["Body"].read()
            except ClientError as error:
                if code_of(error) == "NoSuchKey":
                    return None
                raise
        return data

    def create(self, name: str, data: bytes) -> bool:
        """Put an object under the condition that there is none of its name.

        A refusal may be the answer to our own repeated request, whose first reply was lost: what is there then decides.
        Source: "How to prevent object overwrites with conditional writes",
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html, read November 2026.
        """
        with gate(f"Writing {self.uri(name)}"):
            try:
                self._put_if_new(name, data)
            except (ClientError, BotoCoreError) as error:
                if isinstance(error, ClientError) and code_of(error) not in _TAKEN | _CONFLICT:
                    raise
                found = self.read(name)
                if found is None:
                    raise
                return found == data
        return True

    def write(self, name: str, data: bytes) -> None:
        """Put an object; readers see the old one or the new one."""
        with gate(f"Writing {self.uri(name)}"):
            self._client.put_object(Bucket=self._bucket, Key=self._key(name), Body=data)

    def bring(self, path: Path, name: str) -> None:
        """Upload, large files in parts. An object appears when it is whole: S3 cannot rename, so it is seen from here on."""
        with gate(f"Writing {self.uri(name)}"):
            self._client.upload_file(str(path), self._bucket, self._key(name))

    def show(self, names: Iterable[str]) -> None:
        """Nothing: see `bring`."""

    @contextmanager
    def at_hand(self, name: str) -> Iterator[Path]:
        """The file in the spool, under a name that owes nothing to the object's."""
        path = self._spool.file(f"s3-{hashlib.sha256(name.encode()).hexdigest()[:24]}")
        with self._lock:
            if not path.exists():
                self._download(name, path)
        yield path

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, a thousand at a time."""
        rest = iter(names)
        while some := list(islice(rest, _DELETED_AT_ONCE)):
            asked = {"Objects": [{"Key": self._key(name)} for name in some], "Quiet": True}
            with gate(f"Deleting below {self.uri('x')[:-1]}"):
                answer = self._client.delete_objects(Bucket=self._bucket, Delete=asked)
                for failed in islice(answer.get("Errors", ()), 1):
                    raise ClientError({"Error": {"Code": failed.get("Code"), "Message": failed.get("Message")}}, "DeleteObjects")

    def check(self) -> None:
        """Make an object twice: a store that takes the second one does not look at the condition."""
        if self._is_checked:
            return
        name = f"_halocline/probe-{secrets.token_hex(6)}"
        self.create(name, b"one")
        second = self.create(name, b"two")
        self.delete([name])
        if second:
            cause = "this store overwrites an object although it is asked not to (If-None-Match)"
            hint = "Two runs could not be told apart; choose another store."
            raise FixConfig(f"Writing to s3://{self._bucket}", cause, hint=hint)
        self._is_checked = True

    def close(self) -> None:
        """Nothing: the client is the process's."""

    def _key(self, name: str) -> str:
        return self._prefix + checked(name)

    def _put_if_new(self, name: str, data: bytes) -> None:
        for tries_left in reversed(range(_TRIES)):
            try:
                self._client.put_object(Bucket=self._bucket, Key=self._key(name), Body=data, IfNoneMatch="*")
                return
            except ClientError as error:
                if code_of(error) not in _CONFLICT or not tries_left:
                    raise

    def _download(self, name: str, path: Path) -> None:
        doing = f"Reading {self.uri(name)}"
        with gate(doing), arriving(path) as partial:
            try:
                self._client.download_file(self._bucket, self._key(name), str(partial))
            except ClientError as error:
                if code_of(error) not in ("404", "NoSuchKey"):
                    raise
                hint = "Somebody removed it: run a full sync (--full, force_full_sync=True), which builds the table anew."
                raise NotFound(doing, "the data file is missing", hint=hint) from error
