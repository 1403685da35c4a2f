"""Objects of Amazon S3: put, get, copied, deleted, in one piece or in parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote

from halocline.testing.aws import checksums, uploads
from halocline.testing.aws.body import Body
from halocline.testing.aws.bucket import Bucket
from halocline.testing.aws.buckets import Buckets
from halocline.testing.aws.clock import Clock
from halocline.testing.aws.conditions import check_delete, check_read, check_write
from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.markup import document, parse, text_of
from halocline.testing.aws.notifications import Notifier
from halocline.testing.aws.request import Reply, Request
from halocline.testing.aws.version import NULL, Version, http_date, iso

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
COPY_BYTES = 5 << 30  # Source: Amazon S3 API Reference, CopyObject: "up to 5 GB in size in a single atomic action"
PUT_BYTES = 5 << 30  # Source: Amazon S3 User Guide, "Uploading objects": "in a single PUT operation"
KEY_BYTES = 1024  # Source: Amazon S3 User Guide, "Naming Amazon S3 objects"
META_BYTES = 2048  # Source: Amazon S3 User Guide, "Working with object metadata"
_META = "x-amz-meta-"
_KEPT = (
    *("content-type", "content-encoding", "content-language", "content-disposition", "cache-control", "expires"),
    *("x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-server-side-encryption"),
)
_SHOWN = ("content-type", "content-encoding", "content-language", "content-disposition", "cache-control", "expires")
_XML = {"Content-Type": "application/xml"}


class Objects:
    """The operations on objects."""

    def __init__(self, buckets: Buckets, clock: Clock, notifier: Notifier) -> None:
        self._buckets = buckets
        self._clock = clock
        self._notifier = notifier

    # ---- in one piece

    def put(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        body = request.body
        if body.size > PUT_BYTES:
            raise AWSError("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        check_write(request.headers, bucket.current(key))
        made = self._like(key, request, body=body, sums=checksums.given(request.headers, body))
        made = self._made(bucket, made, "ObjectCreated:Put")
        return Reply(200, b"", {"ETag": f'"{made.etag}"', **_id(made), **made.checksums, "x-amz-checksum-type": "FULL_OBJECT"})

    def get(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        version = _asked(bucket, key, version_id=request.query.get("versionId"))
        headers = _described(version, request)
        if not check_read(request.headers, version):
            return Reply(304, b"", _without_checksums(headers))
        span = _wanted(version, request)
        status, body = (200, version.body) if span is None else (206, version.body.slice(*span))
        if span is not None:
            headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{version.size}"
            headers = _without_checksums(headers)
        if "partNumber" in request.query and version.part_sizes:
            headers["x-amz-mp-parts-count"] = str(len(version.part_sizes))
        if request.method == "HEAD":
            return Reply(status, b"", headers, size=body.size)
        return Reply(status, body, headers)

    def delete(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        gone = self.remove(bucket, key, version_id=request.query.get("versionId"), wanted=request.headers.get("if-match"))
        return Reply(204, b"", {name: value for name, value in gone.items() if value})

    def remove(self, bucket: Bucket, key: str, *, version_id: str | None, wanted: str | None) -> dict[str, str]:
        """Delete an object or one version of it; what headers tell of that.
        Raises: AWSError (PreconditionFailed).
        """
        if version_id is not None:
            gone = bucket.delete_version(key, version_id)
            if gone is not None:
                self._tell("ObjectRemoved:Delete", bucket, version=gone)
            return {"x-amz-version-id": version_id, "x-amz-delete-marker": "true" if gone is not None and gone.is_marker else ""}
        check_delete(wanted, bucket.current(key))
        left = bucket.delete(key, self._clock.now())
        if left is None:
            return {}
        event = "DeleteMarkerCreated" if left.is_marker else "Delete"
        self._tell(f"ObjectRemoved:{event}", bucket, version=left)
        return {"x-amz-version-id": left.id, "x-amz-delete-marker": "true"} if left.is_marker else {}

    def copy(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        source_bucket, source = self._source(request)
        if source.size > COPY_BYTES:
            why = "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120"
            raise AWSError("InvalidRequest", why)
        check_write(request.headers, bucket.current(key))
        replaces = request.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
        is_itself = source_bucket is bucket and source is bucket.current(key)
        if is_itself and not replaces and "x-amz-storage-class" not in request.headers:
            raise AWSError("InvalidRequest", _ONTO_ITSELF)
        like = self._like(key, request, body=source.body, sums=source.checksums) if replaces else source
        tags = _tags(request) if request.headers.get("x-amz-tagging-directive", "COPY").upper() == "REPLACE" else source.tags
        made = Version(
            key,
            source.body,
            source.body.md5,
            self._clock.now(),
            headers=like.headers,
            metadata=like.metadata,
            checksums={} if source.part_sizes else source.checksums,
            tags=tags,
        )
        made = self._made(bucket, made, "ObjectCreated:Copy")
        headers = {**_XML, **_id(made), **({"x-amz-copy-source-version-id": source.id} if source.id != NULL else {})}
        told = {"LastModified": iso(made.modified), "ETag": f'"{made.etag}"'}
        return Reply(200, document("CopyObjectResult", told, namespace=NAMESPACE), headers)

    # ---- tags

    def get_tags(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        version = _asked(bucket, key, version_id=request.query.get("versionId"))
        tags = [{"Key": name, "Value": value} for name, value in version.tags.items()]
        told = document("Tagging", {"TagSet": {"Tag": tags}}, namespace=NAMESPACE)
        return Reply(200, told, {**_XML, **_id(version)})

    def put_tags(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        try:
            found = list(parse(request.body.read()).iter("Tag"))
        except ValueError as reason:
            raise malformed() from reason
        return self._retag(bucket, key, request, tags={text_of(one, "Key") or "": text_of(one, "Value") or "" for one in found})

    def delete_tags(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        done = self._retag(bucket, key, request, tags={})
        return Reply(204, b"", done.headers)

    def _retag(self, bucket: Bucket, key: str, request: Request, *, tags: Mapping[str, str]) -> Reply:
        version = _asked(bucket, key, version_id=request.query.get("versionId"))
        bucket.update(replace(version, tags=tags))
        return Reply(200, b"", _id(version))

    # ---- in parts

    def begin(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        like = self._like(key, request, body=Body(), sums={})
        made = uploads.begin(bucket, like, headers=request.headers, now=self._clock.now())
        headers = dict(_XML)
        if made.algorithm is not None:
            headers |= {"x-amz-checksum-algorithm": made.algorithm, "x-amz-checksum-type": made.checksum_type}
        told = {"Bucket": bucket.name, "Key": key, "UploadId": made.id}
        return Reply(200, document("InitiateMultipartUploadResult", told, namespace=NAMESPACE), headers)

    def add_part(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        upload = uploads.find(bucket, key, upload_id=request.query["uploadId"])
        sums = checksums.given(request.headers, request.body)
        number = request.query.get("partNumber", "")
        part = uploads.add(upload, number, body=request.body, sums=sums, now=self._clock.now())
        return Reply(200, b"", {"ETag": f'"{part.etag}"', **sums})

    def add_part_copy(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        upload = uploads.find(bucket, key, upload_id=request.query["uploadId"])
        source = self._source(request)[1]
        wanted = request.headers.get("x-amz-copy-source-range")
        span = _span(wanted, source.size) if wanted else None
        if wanted and (span is None or span[1] - span[0] < 1):
            raise AWSError("InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last")
        body = source.body if span is None else source.body.slice(*span)
        part = uploads.add(upload, request.query.get("partNumber", ""), body=body, sums={}, now=self._clock.now())
        told = {"LastModified": iso(part.modified), "ETag": f'"{part.etag}"'}
        return Reply(200, document("CopyPartResult", told, namespace=NAMESPACE), _XML)

    def complete(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        upload = uploads.find(bucket, key, upload_id=request.query["uploadId"])
        check_write(request.headers, bucket.current(key))
        whole = uploads.complete(upload, request.body.read(), now=self._clock.now())
        del bucket.uploads[upload.id]
        made = self._made(bucket, whole, "ObjectCreated:CompleteMultipartUpload")
        address = f"http://{request.host}/{bucket.name}/{key}"
        told: dict[str, Any] = {"Location": address, "Bucket": bucket.name, "Key": key, "ETag": f'"{made.etag}"'}
        for header, value in made.checksums.items():
            told[f"Checksum{header.rpartition('-')[2].upper()}"] = value
            told["ChecksumType"] = made.checksum_type
        return Reply(200, document("CompleteMultipartUploadResult", told, namespace=NAMESPACE), {**_XML, **_id(made)})

    def give_up(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        del bucket.uploads[uploads.find(bucket, key, upload_id=request.query["uploadId"]).id]
        return Reply(204)

    def list_parts(self, bucket: Bucket, key: str, *, request: Request) -> Reply:
        upload = uploads.find(bucket, key, upload_id=request.query["uploadId"])
        told = uploads.parts(bucket, upload, query=request.query)
        return Reply(200, document("ListPartsResult", told, namespace=NAMESPACE), _XML)

    # ---- inside

    def _made(self, bucket: Bucket, version: Version, event: str) -> Version:
        made = bucket.put(version)
        self._tell(event, bucket, version=made)
        return made

    def _tell(self, event: str, bucket: Bucket, *, version: Version) -> None:
        if bucket.notifications:
            self._notifier.happened(event, bucket, version=version, now=self._clock.now())

    def _like(self, key: str, request: Request, *, body: Body, sums: Mapping[str, str]) -> Version:
        """The version that a request's headers describe.
        Raises: AWSError (KeyTooLongError, MetadataTooLarge).
        """
        if len(key.encode()) > KEY_BYTES:
            raise AWSError("KeyTooLongError", "Your key is too long")
        metadata = {name.removeprefix(_META): value for name, value in request.headers.items() if name.startswith(_META)}
        if sum(len(name) + len(value) for name, value in metadata.items()) > META_BYTES:
            raise AWSError("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
        headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
        if coded := ",".join(
            one for one in headers.pop("content-encoding", "").split(",") if one.strip() not in ("", "aws-chunked")
        ):
            headers["content-encoding"] = coded
        headers.setdefault("content-type", "binary/octet-stream")
        headers.setdefault(
            "x-amz-server-side-encryption", "AES256"
        )  # Source: Amazon S3 User Guide, default encryption since 2023
        return Version(
            key, body, body.md5, self._clock.now(), headers=headers, metadata=metadata, checksums=sums, tags=_tags(request)
        )

    def _source(self, request: Request) -> tuple[Bucket, Version]:
        """Bucket and version that a copy is made of.
        Raises: AWSError (NoSuchBucket, NoSuchKey, NoSuchVersion, PreconditionFailed).
        """
        path = unquote(request.headers["x-amz-copy-source"].partition("?")[0]).removeprefix("/")
        name, _, key = path.partition("/")
        bucket = self._buckets.get(name)
        version = _asked(bucket, key, version_id=request.query_of_source.get("versionId"))
        check_read(request.headers, version, prefix="x-amz-copy-source-")
        return bucket, version


_ONTO_ITSELF = (
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, "
    "storage class, website redirect location or encryption attributes."
)


def malformed() -> AWSError:
    """What S3 says of a document that it does not understand."""
    why = "The XML you provided was not well-formed or did not validate against our published schema"
    return AWSError("MalformedXML", why)


def _tags(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.headers.get("x-amz-tagging", ""), keep_blank_values=True))


def _asked(bucket: Bucket, key: str, *, version_id: str | None) -> Version:
    """The version that a read means.
    Raises: AWSError (NoSuchKey, NoSuchVersion, MethodNotAllowed for a delete marker).
    """
    if version_id is None:
        if (found := bucket.current(key)) is not None:
            return found
        missing = AWSError("NoSuchKey", "The specified key does not exist.", status=404)
        newest = bucket.newest(key)
        missing.facts["Key"] = key
        missing.headers.update({"x-amz-delete-marker": "true", **_id(newest)} if newest is not None else {})
        raise missing
    one = bucket.version(key, version_id)
    if one is None:
        raise AWSError("NoSuchVersion", "The specified version does not exist.", status=404)
    if one.is_marker:
        refused = AWSError("MethodNotAllowed", "The specified method is not allowed against this resource.", status=405)
        refused.headers.update({"x-amz-delete-marker": "true", "Allow": "DELETE", "Last-Modified": http_date(one.modified)})
        raise refused
    return one


def _described(version: Version, request: Request) -> dict[str, str]:
    """The headers that tell of a version."""
    told = {name.title(): version.headers[name] for name in _SHOWN if name in version.headers}
    told |= {"ETag": f'"{version.etag}"', "Last-Modified": http_date(version.modified), "Accept-Ranges": "bytes"}
    told |= {f"{_META}{name}": value for name, value in version.metadata.items()}
    told |= {name: value for name, value in version.headers.items() if name.startswith("x-amz-") and value != "STANDARD"}
    told |= _id(version)
    if version.tags:
        told["x-amz-tagging-count"] = str(len(version.tags))
    if request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and version.checksums:
        told |= {**version.checksums, "x-amz-checksum-type": version.checksum_type}
    return told | {
        name.removeprefix("response-").title(): value for name, value in request.query.items() if name.startswith("response-")
    }


def _without_checksums(headers: dict[str, str]) -> dict[str, str]:
    """The headers of an answer that has not the whole object in it."""
    return {name: value for name, value in headers.items() if not name.startswith(checksums.PREFIX)}


def _id(version: Version) -> dict[str, str]:
    return {} if version.id == NULL else {"x-amz-version-id": version.id}


def _wanted(version: Version, request: Request) -> tuple[int, int] | None:
    """Start and stop of what a read asks for, by its bytes or by the part that was uploaded; None for the whole.

    Source: API reference, GetObject, "partNumber" ("effectively performs a 'ranged' GET request for the part"); both at once,
    tried on AWS: https://github.com/ceph/ceph/pull/66780; a part that is not there: https://github.com/scality/Arsenal. That
    parts are counted without gaps in their numbers is unverified.
    Raises: AWSError (InvalidRange, InvalidRequest, InvalidArgument, InvalidPartNumber).
    """
    number, text = request.query.get("partNumber"), request.headers.get("range")
    if number is None:
        return _span(text, version.size) if text else None
    if text:
        raise AWSError("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    sizes = version.part_sizes or (version.size,)
    at = uploads.part_number(number)
    if at > len(sizes):
        raise AWSError("InvalidPartNumber", "The requested partnumber is not satisfiable", status=416)
    start = sum(sizes[: at - 1])
    return (start, start + sizes[at - 1]) if version.size else None


def _span(text: str, size: int) -> tuple[int, int] | None:
    """Start and stop of a range of bytes; None for what is no range, which is ignored (RFC 9110, section 14.2).
    Raises: AWSError (InvalidRange).
    """
    unit, _, rest = text.partition("=")
    first, dash, last = rest.partition("-")
    if unit.strip() != "bytes" or not dash or not (first or last) or not (first + last).isdecimal():
        return None
    start, stop = (int(first), int(last) + 1 if last else size) if first else (max(size - int(last), 0), size)
    if start >= size or (first and last and int(last) < int(first)) or (not first and int(last) == 0):
        raise AWSError("InvalidRange", "The requested range is not satisfiable", status=416)
    return start, min(stop, size)
