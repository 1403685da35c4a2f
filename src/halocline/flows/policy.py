"""The least that AWS must allow to whoever runs a flow: its bucket and prefixes, its queue, its secrets, and nothing else.

What each call of S3 needs is told by the vendor: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html,
read November 2026. Keys of KMS are not in it, nor the right to write a log: those depend on how bucket and function are set up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from halocline.config import Settings
from halocline.flows.configuration import AnyFlow, Configuration
from halocline.flows.connected import Connected
from halocline.flows.connections import Bucket, Connection, bucket_of, leads_to_bucket, secrets_of, uri_of
from halocline.flows.files import FileFlow
from halocline.flows.listen import ListenFlow
from halocline.flows.push import PushFlow
from halocline.flows.sync import SyncFlow
from halocline.flows.tables import TablesFlow

VERSION = "2012-10-17"
"""Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html."""

_MANAGED = "aws-sm:"
_TAKEN = (
    *("s3:GetObject", "s3:GetObjectTagging", "s3:DeleteObject"),
    *("s3:GetObjectVersion", "s3:GetObjectVersionTagging", "s3:DeleteObjectVersion"),
)
_PUT = ("s3:PutObject", "s3:PutObjectTagging", "s3:GetObject", "s3:AbortMultipartUpload")
_TABLE = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
_POLLED = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
"""What Lambda needs to bring a queue's messages to a function.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html, read November 2026.
"""

_LISTENED = (
    *("sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"),
    *("sqs:DeleteMessage", "sqs:ChangeMessageVisibility"),
)
"""Source: "Actions, resources, and condition keys for Amazon SQS", read November 2026,
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html. A batch needs the right of one call."""
_SET_ASIDE = ("sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SendMessage")
_LARGE = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")  # what is set aside is put there anew
_TABLE_OF_CLAIMS = "dynamodb://"
_READ_BY_STREAM = ("dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords")
"""Source: "Actions, resources, and condition keys for Amazon DynamoDB", read November 2026,
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html."""
_CLAIMED = ("dynamodb:BatchGetItem", "dynamodb:PutItem")

Statement = dict[str, Any]


def policy(name: str, configuration: Configuration, *, around: Connected, assumed: bool = False) -> dict[str, Any]:
    """The policy of a flow; of the role that its bucket's connection assumes, with `assumed`.

    Raises: NotFound for a flow that is not there; FixConfig for a connection that leads to no bucket, and for one by a reference
    that is not there: only behind it is told which bucket it is.
    """
    flow = configuration.flow(name)
    if isinstance(flow, ListenFlow):
        places = [_Place(flow.role, list(_listening(flow)))]
    else:
        store, statements = _store(flow, around)
        places = [_Place(store.role if isinstance(store, Bucket) else None, statements)]
    if isinstance(flow, TablesFlow):
        places.append(_source(flow, around))
    roles = {one.role: None for one in places if one.role is not None}
    if assumed:
        told = [said for one in places if one.role is not None or not roles for said in one.statements]
    else:
        told = [said for one in places if one.role is None for said in one.statements]
        told += [_statement("AssumeRole", ["sts:AssumeRole"], roles)] if roles else []
        told += _beside(flow, around)
    return {"Version": VERSION, "Statement": told}


@dataclass(frozen=True, slots=True)
class _Place:
    """What must be allowed at one place, and the role that is to be allowed it; None: whoever runs the flow."""

    role: str | None
    statements: Sequence[Statement]


def _store(flow: SyncFlow | PushFlow | FileFlow | TablesFlow, around: Connected) -> tuple[Connection | None, list[Statement]]:
    """The bucket of a flow, and what must be allowed there."""
    if isinstance(flow, PushFlow):
        return None, []
    connection = around.connection(flow.source if isinstance(flow, FileFlow) else flow.to)
    if isinstance(flow, FileFlow):
        job = flow.reach("flow", around)
        own = job.own_prefixes
        return connection, [
            _statement("TakeFiles", _TAKEN, [_objects(job.bucket, job.prefix)]),
            _statement("ArchiveAndReport", _PUT, [_objects(job.bucket, one) for one in own]),
            _listing(job.bucket, [job.prefix, *own]),
        ]
    if not leads_to_bucket(connection):
        return connection, []
    bucket, prefix = bucket_of(connection)
    return connection, [_statement("Tables", _TABLE, [_objects(bucket, prefix)]), _listing(bucket, [prefix])]


def _beside(flow: AnyFlow, around: Connected) -> Iterator[Statement]:
    """What must be allowed beside the bucket: the queue, and the secrets of the flow's connections and of the settings."""
    if isinstance(flow, FileFlow) and flow.queue is not None:
        yield _statement("ReceiveEvents", _POLLED, [flow.queue])
    if isinstance(flow, ListenFlow) and (flow.store or "").startswith(_TABLE_OF_CLAIMS):
        parts = urlsplit(flow.store or "")
        region = dict(parse_qsl(parts.query)).get("region", "*")
        yield _statement("Claims", _CLAIMED, [f"arn:aws:dynamodb:{region}:*:table/{parts.netloc}"])
    references = [*_references(flow, around), *_of_settings(around.settings)]
    names = sorted({one.removeprefix(_MANAGED).partition("#")[0] for one in references if one.startswith(_MANAGED)})
    if names:
        yield _statement("ReadSecrets", ["secretsmanager:GetSecretValue"], [_secret(one) for one in names])


def _references(flow: AnyFlow, around: Connected) -> Iterator[str]:
    if isinstance(flow, ListenFlow):
        store = flow.store or around.settings.idempotency_at
        yield from [] if store is None else [store]
        return
    if isinstance(flow, TablesFlow):
        yield from (one for name in (flow.source, flow.to) for one in secrets_of(around.connection(name)))
        return
    org, other = (flow.org, flow.to) if isinstance(flow, SyncFlow) else (flow.to, flow.source)
    yield from secrets_of(around.org(org))
    if other is not None:
        yield from secrets_of(around.connection(other))


def _of_settings(settings: Settings) -> list[str]:
    return [one for one in (settings.ledger_at, settings.mask_key) if one is not None]


def _listening(flow: ListenFlow) -> Iterator[Statement]:
    """What a worker does with its queue, with the one where it sets messages aside, and with large messages."""
    yield _statement("Receive", _LISTENED, [_queue(flow.queue, flow)])
    if flow.dead_letters is not None and not flow.dead_letters.startswith("file://"):
        yield _statement("SetAside", _SET_ASIDE, [_queue(flow.dead_letters, flow)])
    if flow.offload is not None:
        yield _statement("LargeMessages", _LARGE, [_objects(flow.offload, "")])
        yield _statement("FindLargeMessages", ["s3:ListBucket"], [f"arn:aws:s3:::{flow.offload}"])


def _source(flow: TablesFlow, around: Connected) -> _Place:
    """What reading tables of DynamoDB takes, by scans, streams and exports."""
    connection = around.connection(flow.source)
    uri = "" if isinstance(connection, Bucket) else uri_of(connection)
    if not uri.lower().startswith(_TABLE_OF_CLAIMS):
        return _Place(None, [])
    parts = urlsplit(uri)
    asked = dict(parse_qsl(parts.query))
    described, scanned, followed, exports = set[str](), set[str](), set[str](), dict[str, None]()
    for one in flow.tables:
        name = one.source or parts.netloc
        arn = name if name.startswith("arn:") else f"arn:aws:dynamodb:{asked.get('region', '*')}:*:table/{name}"
        export, index = one.options.get("from_export"), one.options.get("index")
        described.add(arn)
        if export:
            exports[str(export)] = None
            continue
        scanned.add(f"{arn}/index/{index}" if index else arn)
        followed |= {f"{arn}/stream/*"} if one.options.get("streams") else set()
    found = [_statement("DescribeTables", ["dynamodb:DescribeTable"], sorted(described))]
    found += [_statement("ReadTables", ["dynamodb:Scan"], sorted(scanned))] if scanned else []
    found += [_statement("ReadStreams", _READ_BY_STREAM, sorted(followed))] if followed else []
    for at, place in enumerate(exports):
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        found.append(_statement(f"ReadExport{at or ''}", ["s3:GetObject"], [_objects(bucket, prefix)]))
        found.append({**_listing(bucket, [prefix]), "Sid": f"FindExport{at or ''}"})
    return _Place(asked.get("role"), found)


def _queue(place: str, flow: ListenFlow) -> str:
    """The ARN of a queue by name or URL; what is not said of region and account is any."""
    parts = urlsplit(place)
    if not parts.netloc:
        return f"arn:aws:sqs:{flow.region or '*'}:*:{place}"
    account, _, name = parts.path.strip("/").partition("/")
    region = re.search(r"(?:^sqs\.|\.)([a-z]{2}(?:-[a-z]+)+-\d)\.", f".{parts.netloc}")
    return f"arn:aws:sqs:{flow.region or (region[1] if region else '*')}:{account}:{name}"


def _secret(name: str) -> str:
    """A secret's ARN ends in six characters that nobody chooses.

    Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html, read November 2026.
    """
    return name if name.startswith("arn:") else f"arn:aws:secretsmanager:*:*:secret:{name}-??????"


def _objects(bucket: str, prefix: str) -> str:
    return f"arn:aws:s3:::{bucket}/{prefix}*"


def _listing(bucket: str, prefixes: Iterable[str]) -> Statement:
    """Without the right to list, S3 says of an object that is not there that it is forbidden; asking for one names no prefix.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html, "Permissions". That IfExists lets a call
    pass which names no prefix is unverified on an account.
    """
    condition = {"StringLikeIfExists": {"s3:prefix": [f"{one}*" for one in prefixes]}}
    return {**_statement("FindFiles", ["s3:ListBucket"], [f"arn:aws:s3:::{bucket}"]), "Condition": condition}


def _statement(sid: str, actions: Iterable[str], resources: Iterable[str]) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
