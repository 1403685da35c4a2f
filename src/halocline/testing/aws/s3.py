"""Amazon S3: buckets and what is asked of them; objects are in `s3_objects`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element  # for types

from halocline.testing.aws import listing
from halocline.testing.aws.bucket import Bucket
from halocline.testing.aws.buckets import Buckets
from halocline.testing.aws.clock import Clock
from halocline.testing.aws.errors import AWSError, check_order
from halocline.testing.aws.markup import document, parse, text_of
from halocline.testing.aws.notifications import OWNER, Notifier, configured
from halocline.testing.aws.request import Reply, Request
from halocline.testing.aws.s3_objects import NAMESPACE, Objects, malformed
from halocline.testing.aws.s3_route import DOCUMENT_OPERATIONS, DOCUMENTS, UNKNOWN, Route
from halocline.testing.aws.version import iso

_XML = {"Content-Type": "application/xml"}
_OF_ITS_OWN = ("ListBuckets", "CreateBucket", "DeleteObjects")  # which `answer` tells by name


class S3:
    """The service, over the buckets of one account. `exists` says whether an ARN leads to a queue or topic."""

    def __init__(self, buckets: Buckets, clock: Clock, *, notifier: Notifier, exists: Callable[[str], bool]) -> None:
        self._buckets = buckets
        self._clock = clock
        self._notifier = notifier
        self._exists = exists
        self._objects = objects = Objects(buckets, clock, notifier)
        self._on_buckets: Mapping[str, Callable[[Bucket, Request], Reply]] = {
            "HeadBucket": _head_bucket,
            "DeleteBucket": self._delete_bucket,
            "GetBucketLocation": _get_location,
            "GetBucketVersioning": _get_versioning,
            "PutBucketVersioning": _put_versioning,
            "GetBucketNotificationConfiguration": _get_notifications,
            "PutBucketNotificationConfiguration": self._put_notifications,
            "PutBucketAcl": lambda _bucket, _request: Reply(),
            "ListObjectsV2": lambda bucket, request: _xml("ListBucketResult", listing.objects_v2(bucket, request.query)),
            "ListObjects": lambda bucket, request: _xml("ListBucketResult", listing.objects(bucket, request.query)),
            "ListObjectVersions": lambda bucket, request: _xml("ListVersionsResult", listing.versions(bucket, request.query)),
            "ListMultipartUploads": lambda bucket, request: _xml(
                "ListMultipartUploadsResult", listing.uploads(bucket, request.query)
            ),
        }
        self._on_objects: Mapping[str, Callable[..., Reply]] = {
            "PutObject": objects.put,
            "GetObject": objects.get,
            "HeadObject": objects.get,
            "DeleteObject": objects.delete,
            "CopyObject": objects.copy,
            "GetObjectTagging": objects.get_tags,
            "PutObjectTagging": objects.put_tags,
            "DeleteObjectTagging": objects.delete_tags,
            "PutObjectAcl": lambda _bucket, _key, **_request: Reply(),
            "CreateMultipartUpload": objects.begin,
            "UploadPart": objects.add_part,
            "UploadPartCopy": objects.add_part_copy,
            "CompleteMultipartUpload": objects.complete,
            "AbortMultipartUpload": objects.give_up,
            "ListParts": objects.list_parts,
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that there are, as in its API; those of a bucket's documents as `s3_route` names them."""
        return (*_OF_ITS_OWN, *self._on_buckets, *self._on_objects, *DOCUMENT_OPERATIONS)

    def answer(self, request: Request, route: Route, *, failing: int) -> Reply:
        """What S3 answers; the last `failing` objects of a DeleteObjects are not deleted (-1: none is).
        Raises: AWSError.
        """
        self._check_expiry(request)
        if route.operation == UNKNOWN:
            raise AWSError("NotImplemented", "This is not part of this test server.", status=501)
        if route.operation == "ListBuckets":
            return self._list_buckets(request)
        if route.operation == "CreateBucket":
            return self._create_bucket(request, route.bucket)
        bucket = self._buckets.get(route.bucket)
        if route.document:
            return _document(bucket, route.document, request=request)
        if route.operation == "DeleteObjects":
            return self._delete_objects(bucket, request, failing=failing)
        if route.key:
            return self._on_objects[route.operation](bucket, route.key, request=request)
        return self._on_buckets[route.operation](bucket, request)

    def _list_buckets(self, request: Request) -> Reply:
        prefix = request.query.get("prefix", "")
        found = [{"Name": one.name, "CreationDate": iso(one.created)} for one in self._buckets if one.name.startswith(prefix)]
        told = {"Owner": {"ID": OWNER, "DisplayName": "owner"}, "Buckets": {"Bucket": found}}
        return _xml("ListAllMyBucketsResult", told)

    def _create_bucket(self, request: Request, name: str) -> Reply:
        region = request.region
        if data := request.body.read():
            region = text_of(_parsed(data), "LocationConstraint") or region
        self._buckets.create(name, region=region)
        return Reply(200, b"", {"Location": f"/{name}"})

    def _delete_bucket(self, bucket: Bucket, _request: Request) -> Reply:
        self._buckets.delete(bucket)
        return Reply(204)

    def _put_notifications(self, bucket: Bucket, request: Request) -> Reply:
        """Replace what the bucket tells whom; each new target gets a test event.
        Raises: AWSError (InvalidArgument, MalformedXML).
        """
        try:
            found = tuple(configured(_parsed(request.body.read())))
        except ValueError as reason:
            raise AWSError("InvalidArgument", str(reason)) from reason
        for one in found:
            if not self._exists(one.target):
                raise AWSError("InvalidArgument", "Unable to validate the following destination configurations")
        bucket.notifications = found
        for one in found:
            self._notifier.test(bucket, one.target, now=self._clock.now())
        return Reply()

    def _delete_objects(self, bucket: Bucket, request: Request, *, failing: int) -> Reply:
        root = _parsed(request.body.read())
        entries = root.findall("Object")
        if not 0 < len(entries) <= 1000:
            raise malformed()
        done: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for at, entry in enumerate(entries):
            key, version = text_of(entry, "Key") or "", text_of(entry, "VersionId")
            named = {"Key": key, "VersionId": version}
            try:
                check_order(at, of=len(entries), failing=failing)
                done.append(named | self._deleted(bucket, entry, key=key, version=version))
            except AWSError as error:
                failed.append({**named, "Code": error.code, "Message": error.message})
        quiet = (text_of(root, "Quiet") or "").lower() == "true"
        return _xml("DeleteResult", {"Deleted": [] if quiet else done, "Error": failed})

    def _deleted(self, bucket: Bucket, entry: Element, *, key: str, version: str | None) -> dict[str, Any]:
        gone = self._objects.remove(bucket, key, version_id=version, wanted=text_of(entry, "ETag"))
        if not gone.get("x-amz-delete-marker"):
            return {}
        return {"DeleteMarker": True, "DeleteMarkerVersionId": gone["x-amz-version-id"]}

    def _check_expiry(self, request: Request) -> None:
        """Raises: AWSError (AccessDenied) for a presigned address whose time is over; signatures are not checked.

        Source: Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters"; `Expires` is that of version 2.
        """
        if not request.raw_query:
            return
        query = request.query
        until = float(query["Expires"]) if "Signature" in query and "Expires" in query else float("inf")
        if "X-Amz-Expires" in query:
            signed = datetime.strptime(query.get("X-Amz-Date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            until = signed.timestamp() + int(query["X-Amz-Expires"])
        if until < self._clock.now():
            raise AWSError("AccessDenied", "Request has expired", status=403)


def refusal(error: AWSError, request: Request, route: Route) -> Reply:
    """A refusal as S3 words it; a HEAD gets no document."""
    request_id = secrets.token_hex(8).upper()
    headers = {**_XML, **error.headers, "x-amz-request-id": request_id}
    if request.method == "HEAD":
        return Reply(error.status, b"", headers)
    told = {
        "Code": error.code,
        "Message": error.message,
        "Resource": f"/{route.resource}",
        **error.facts,
        "RequestId": request_id,
    }
    return Reply(error.status, document("Error", told, namespace=""), headers)


def _parsed(data: bytes) -> Element:
    try:
        return parse(data)
    except ValueError as reason:
        raise malformed() from reason


def _xml(name: str, told: Mapping[str, Any]) -> Reply:
    return Reply(200, document(name, told, namespace=NAMESPACE), _XML)


def _head_bucket(bucket: Bucket, _request: Request) -> Reply:
    return Reply(200, b"", {"x-amz-bucket-region": bucket.region})


def _get_location(bucket: Bucket, _request: Request) -> Reply:
    region = "" if bucket.region == "us-east-1" else bucket.region
    data = f'<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="{NAMESPACE}">{region}</LocationConstraint>'
    return Reply(200, data.encode(), _XML)


def _get_versioning(bucket: Bucket, _request: Request) -> Reply:
    return _xml("VersioningConfiguration", {"Status": bucket.versioning or None})


def _put_versioning(bucket: Bucket, request: Request) -> Reply:
    """Raises: AWSError (MalformedXML): versioning is switched on, and later suspended, but never off."""
    status = text_of(_parsed(request.body.read()), "Status")
    if status not in ("Enabled", "Suspended"):
        raise malformed()
    bucket.versioning = status
    return Reply()


def _get_notifications(bucket: Bucket, _request: Request) -> Reply:
    told: dict[str, list[dict[str, Any]]] = {}
    for one in bucket.notifications:
        told.setdefault(one.kind, []).append(one.described())
    return _xml("NotificationConfiguration", told)


def _document(bucket: Bucket, name: str, *, request: Request) -> Reply:
    """A setting that is kept as it came."""
    if request.method == "PUT":
        bucket.documents[name] = request.body.read()
        return Reply(204 if name == "policy" else 200)
    if request.method == "DELETE":
        bucket.documents.pop(name, None)
        return Reply(204)
    found = bucket.documents.get(name)
    if found is None:
        raise AWSError(DOCUMENTS[name], "The configuration does not exist", status=404)
    return Reply(200, found, {"Content-Type": "application/json"} if name == "policy" else _XML)
