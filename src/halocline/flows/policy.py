"""The least that AWS must allow to whoever runs a flow: its bucket and prefixes, its queue, its secrets, and nothing else.

What each call of S3 needs is told by the vendor: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html,
read November 2026. Keys of KMS are not in it, nor the right to write a log: those depend on how bucket and function are set up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from halocline.config import Settings
from halocline.flows.configuration import Configuration
from halocline.flows.connected import Connected
from halocline.flows.connections import Bucket, Connection, bucket_of, leads_to_bucket, secrets_of
from halocline.flows.files import FileFlow
from halocline.flows.push import PushFlow
from halocline.flows.sync import SyncFlow

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

Statement = dict[str, Any]


def policy(name: str, configuration: Configuration, *, around: Connected, assumed: bool = False) -> dict[str, Any]:
    """The policy of a flow; of the role that its bucket's connection assumes, with `assumed`.

    Raises: NotFound for a flow that is not there; FixConfig for a connection that leads to no bucket, and for one by a reference
    that is not there: only behind it is told which bucket it is.
    """
    flow = configuration.flow(name)
    store, statements = _store(flow, around)
    role = store.role if isinstance(store, Bucket) else None
    if assumed:
        told = statements
    else:
        told = [*(statements if role is None else [_statement("AssumeRole", ["sts:AssumeRole"], [role])]), *_beside(flow, around)]
    return {"Version": VERSION, "Statement": told}


def _store(flow: SyncFlow | PushFlow | FileFlow, around: Connected) -> tuple[Connection | None, list[Statement]]:
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


def _beside(flow: SyncFlow | PushFlow | FileFlow, around: Connected) -> Iterator[Statement]:
    """What must be allowed beside the bucket: the queue, and the secrets of the flow's connections and of the settings."""
    if isinstance(flow, FileFlow) and flow.queue is not None:
        yield _statement("ReceiveEvents", _POLLED, [flow.queue])
    references = [*_references(flow, around), *_of_settings(around.settings)]
    names = sorted({one.removeprefix(_MANAGED).partition("#")[0] for one in references if one.startswith(_MANAGED)})
    if names:
        yield _statement("ReadSecrets", ["secretsmanager:GetSecretValue"], [_secret(one) for one in names])


def _references(flow: SyncFlow | PushFlow | FileFlow, around: Connected) -> Iterator[str]:
    org, other = (flow.org, flow.to) if isinstance(flow, SyncFlow) else (flow.to, flow.source)
    yield from secrets_of(around.org(org))
    if other is not None:
        yield from secrets_of(around.connection(other))


def _of_settings(settings: Settings) -> list[str]:
    return [one for one in (settings.ledger_at, settings.mask_key) if one is not None]


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
