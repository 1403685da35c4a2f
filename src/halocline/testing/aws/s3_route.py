"""Which operation of S3 a request asks for: method, how deep its path goes, and what its query says.

Source: Amazon S3 API Reference, "Actions": https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from dataclasses import dataclass

from halocline.testing.aws.request import Request

# Settings of a bucket that are kept as they came, and what S3 answers where there is none.
DOCUMENTS = {
    "policy": "NoSuchBucketPolicy",
    "tagging": "NoSuchTagSet",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "cors": "NoSuchCORSConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "ownershipControls": "OwnershipControlsNotFoundError",
}
_DOCUMENT_METHODS = ("GET", "PUT", "DELETE")
_BUCKET_GETS = {
    "versions": "ListObjectVersions",
    "uploads": "ListMultipartUploads",
    "location": "GetBucketLocation",
    "versioning": "GetBucketVersioning",
    "notification": "GetBucketNotificationConfiguration",
}
_BUCKET_PUTS = {"versioning": "PutBucketVersioning", "notification": "PutBucketNotificationConfiguration", "acl": "PutBucketAcl"}
_OBJECT_GETS = {"uploadId": "ListParts", "tagging": "GetObjectTagging"}
_OBJECT_PUTS = {"tagging": "PutObjectTagging", "acl": "PutObjectAcl"}
_BUCKET_PLAIN = {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket"}
_NOT_HERE = {
    "acl",
    "attributes",
    "torrent",
    "select",
    "restore",
    "legal-hold",
    "retention",
    "website",
    "logging",
    "replication",
    "accelerate",
}
UNKNOWN = ""


def _of_document(method: str, document: str) -> str:
    return f"{method.capitalize()}Bucket{document[0].upper()}{document[1:]}"


DOCUMENT_OPERATIONS = tuple(_of_document(method, document) for document in DOCUMENTS for method in _DOCUMENT_METHODS)


@dataclass(frozen=True, slots=True)
class Route:
    """Operation, bucket and key; texts are empty where there is none."""

    operation: str
    bucket: str
    key: str
    document: str = ""

    @property
    def resource(self) -> str:
        return f"{self.bucket}/{self.key}" if self.key else self.bucket


def route(request: Request) -> Route:
    """What a request asks for; the operation is empty where this server has none for it."""
    bucket, _, key = request.path.removeprefix("/").partition("/")
    query = request.query
    if not bucket:
        return Route("ListBuckets" if request.method == "GET" else UNKNOWN, "", "")
    if key:
        return Route(_of_object(request), bucket, key)
    document = next((one for one in DOCUMENTS if one in query), "")
    if document and request.method in _DOCUMENT_METHODS:
        return Route(_of_document(request.method, document), bucket, "", document)
    return Route(_of_bucket(request), bucket, "")


def _of_bucket(request: Request) -> str:
    query = request.query
    if request.method == "GET":
        if found := next((name for asked, name in _BUCKET_GETS.items() if asked in query), None):
            return found
        if _NOT_HERE & query.keys():
            return UNKNOWN
        return "ListObjectsV2" if query.get("list-type") == "2" else "ListObjects"
    if request.method == "POST":
        return "DeleteObjects" if "delete" in query else UNKNOWN
    if request.method == "PUT" and (found := next((name for asked, name in _BUCKET_PUTS.items() if asked in query), None)):
        return found
    return UNKNOWN if _NOT_HERE & query.keys() else _BUCKET_PLAIN.get(request.method, UNKNOWN)


def _of_object(request: Request) -> str:
    query, method = request.query, request.method
    if method == "GET":
        found = next((name for asked, name in _OBJECT_GETS.items() if asked in query), None)
        return found or (UNKNOWN if _NOT_HERE & query.keys() else "GetObject")
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload" if "uploadId" in query else UNKNOWN
    if method == "PUT":
        return _of_put(request)
    if method == "DELETE":
        return "AbortMultipartUpload" if "uploadId" in query else "DeleteObjectTagging" if "tagging" in query else "DeleteObject"
    return "HeadObject" if method == "HEAD" else UNKNOWN


def _of_put(request: Request) -> str:
    query, is_copy = request.query, "x-amz-copy-source" in request.headers
    if "uploadId" in query:
        return "UploadPartCopy" if is_copy else "UploadPart"
    if found := next((name for asked, name in _OBJECT_PUTS.items() if asked in query), None):
        return found
    return UNKNOWN if _NOT_HERE & query.keys() else "CopyObject" if is_copy else "PutObject"
