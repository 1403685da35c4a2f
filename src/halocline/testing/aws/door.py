"""The door: which service a request is for, what faults do to it, and the reply in that service's protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from halocline.testing.aws import dynamodb_reply, json_protocol, query_protocol, s3, secret_store, sns, sqs_query, sts
from halocline.testing.aws.account import Account
from halocline.testing.aws.body import Body
from halocline.testing.aws.connection import Answer
from halocline.testing.aws.dynamodb import resource_of
from halocline.testing.aws.dynamodb_reads import EXCEEDED
from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.faults import Fault, Target, kind_of
from halocline.testing.aws.later import Later
from halocline.testing.aws.request import Reply, Request
from halocline.testing.aws.s3_route import route
from halocline.testing.aws.sqs import Call
from halocline.testing.aws.visitors import is_visitor

_ALL = -1
_STRANGER = Reply(
    403,
    b"The fake answers to names of this machine and of AWS, and to no page of another site.\n",
    {"Content-Type": "text/plain"},
)
_MALFORMED = (KeyError, ValueError, TypeError, AttributeError)
_DYNAMODB = {"DynamoDB_20120810": "dynamodb", "DynamoDBStreams_20120810": "dynamodbstreams"}
_VERSIONS = {"2012-11-05": "sqs", "2010-03-31": "sns", "2011-06-15": "sts"}  # of the query protocol's services

# What a service answers to who asks too often.
# Source: the services' lists of common errors, and botocore's list of what it tries again (`retries/special.py`, `standard.py`).
_BUSY = {
    "s3": AWSError("SlowDown", "Please reduce your request rate.", status=503),
    "sqs": AWSError("RequestThrottled", "Rate exceeded", status=403),
    "secretsmanager": AWSError("ThrottlingException", "Rate exceeded"),
    "dynamodb": AWSError("ProvisionedThroughputExceededException", EXCEEDED),
    "dynamodbstreams": AWSError("ThrottlingException", "Rate exceeded"),
}
_BUSY_ELSEWHERE = AWSError("Throttling", "Rate exceeded")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a request asks for: `work` does it (so many entries of a batch fail), `refuse` words a refusal."""

    target: Target
    work: Callable[[int], Reply | asyncio.Future[Reply | None]]
    refuse: Callable[[AWSError], Reply]


class Door:
    """Answers requests; `account` can be another one from one request to the next."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def __call__(self, request: Request) -> Answer:
        if not is_visitor(request.headers):
            return _STRANGER
        try:
            plan = self._plan(request)
        except AWSError as error:
            return _unread(request, error)
        except _MALFORMED as reason:
            return _unread(request, AWSError("MalformedInput", f"The request cannot be read: {reason!r}"))
        self.account.calls.note(plan.target.service, plan.target.operation)
        faults = self.account.faults.take(plan.target) if self.account.faults else ()
        if not faults:
            return _done(plan, 0)
        return asyncio.get_running_loop().create_task(_struck(plan, faults))

    def _plan(self, request: Request) -> _Plan:
        service, _, operation = request.headers.get("x-amz-target", "").partition(".")
        if service == "AmazonSQS":
            return self._sqs(request, operation)
        if service == "secretsmanager":
            return self._secrets(request, operation)
        if service in _DYNAMODB:
            return self._dynamodb(request, _DYNAMODB[service], operation)
        if _is_form(request) or "Action" in request.query:
            return self._query(request, _VERSIONS.get(request.form.get("Version", ""), request.service))
        return self._s3(request)

    def _sqs(self, request: Request, operation: str) -> _Plan:
        params = json_protocol.params_of(request)
        queue = str(params.get("QueueUrl") or params.get("QueueName") or "").rpartition("/")[2]

        def render(told: Mapping[str, Any]) -> Reply:
            return json_protocol.result(told, version="1.0")

        def refuse(error: AWSError) -> Reply:
            return json_protocol.refusal(error, version="1.0", namespace="com.amazonaws.sqs")

        return _Plan(
            _target("sqs", operation, queue), self._sqs_work(request, operation, params, render=render, refuse=refuse), refuse
        )

    def _sqs_work(
        self,
        request: Request,
        operation: str,
        params: Mapping[str, Any],
        *,
        render: Callable[[Mapping[str, Any]], Reply],
        refuse: Callable[[AWSError], Reply],
    ) -> Callable[[int], Reply | asyncio.Future[Reply | None]]:
        def work(failing: int) -> Reply | asyncio.Future[Reply | None]:
            told = self.account.sqs.call(operation, params, call=Call(request.host, request.region, failing))
            return _rendered(told, render, refuse=refuse) if isinstance(told, asyncio.Future) else render(told)

        return work

    def _secrets(self, request: Request, operation: str) -> _Plan:
        params = json_protocol.params_of(request)

        def work(_failing: int) -> Reply:
            return json_protocol.result(self.account.secrets.call(operation, params, region=request.region), version="1.1")

        def refuse(error: AWSError) -> Reply:
            return json_protocol.refusal(error, version="1.1", namespace=secret_store.NAMESPACE)

        name = str(params.get("SecretId") or params.get("Name") or "")
        return _Plan(_target("secretsmanager", operation, name), work, refuse)

    def _dynamodb(self, request: Request, service: str, operation: str) -> _Plan:
        params = json_protocol.params_of(request)
        dynamodb = self.account.dynamodb
        if service == "dynamodb":

            def work(failing: int) -> Reply:
                told = dynamodb.call(operation, params, region=request.region, failing=failing)
                return dynamodb_reply.reply(told)

            return _Plan(_target(service, operation, resource_of(params)), work, dynamodb_reply.refusal)

        def read(_failing: int) -> Reply:
            told = dynamodb.streams.call(operation, params, region=request.region)
            return dynamodb_reply.reply(dynamodb_reply.encoded(told))

        return _Plan(_target(service, operation, dynamodb.streams.table_of(params)), read, dynamodb_reply.refusal)

    def _query(self, request: Request, service: str) -> _Plan:
        operation = request.form.get("Action", "")
        if service == "sqs":
            params = sqs_query.params_of(request)

            def render(told: Mapping[str, Any]) -> Reply:
                return query_protocol.result(operation, sqs_query.told(operation, told), namespace=sqs_query.NAMESPACE)

            def refuse(error: AWSError) -> Reply:
                return query_protocol.refusal(error, namespace=sqs_query.NAMESPACE)

            name = str(params.get("QueueUrl") or params.get("QueueName") or "").rpartition("/")[2]
            return _Plan(
                _target("sqs", operation, name), self._sqs_work(request, operation, params, render=render, refuse=refuse), refuse
            )
        if service == "sts":
            return self._plain(
                request, "sts", lambda _failing: self.account.sts.call(operation, request.form, key=request.key), sts.NAMESPACE
            )
        params = query_protocol.tree(request.form)
        return self._plain(
            request,
            "sns",
            lambda failing: self.account.sns.call(operation, params, call=Call(request.host, request.region, failing)),
            sns.NAMESPACE,
        )

    def _plain(self, request: Request, service: str, call: Callable[[int], Mapping[str, Any]], namespace: str) -> _Plan:
        operation = request.form.get("Action", "")
        name = request.form.get("TopicArn") or request.form.get("Name") or request.form.get("RoleArn") or ""

        def work(failing: int) -> Reply:
            return query_protocol.result(operation, call(failing), namespace=namespace)

        def refuse(error: AWSError) -> Reply:
            return query_protocol.refusal(error, namespace=namespace)

        return _Plan(_target(service, operation, name.rpartition(":")[2]), work, refuse)

    def _s3(self, request: Request) -> _Plan:
        found = route(request)

        def work(failing: int) -> Reply:
            return self.account.s3.answer(request, found, failing=failing)

        def refuse(error: AWSError) -> Reply:
            return s3.refusal(error, request, found)

        return _Plan(_target("s3", found.operation, found.resource), work, refuse)


def _is_form(request: Request) -> bool:
    """Whether the body is a call; one that is PUT is an object, which urllib and `curl --data-binary` call a form as well."""
    return request.method == "POST" and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _target(service: str, operation: str, resource: str) -> Target:
    return Target(service, operation, resource, kind_of(operation))


def _unread(request: Request, error: AWSError) -> Reply:
    """A refusal of a request of which not even the operation could be read."""
    if "x-amz-target" in request.headers:
        return json_protocol.refusal(error, version="1.0", namespace="com.amazonaws")
    return query_protocol.refusal(error, namespace="")


def _done(plan: _Plan, failing: int) -> Reply | asyncio.Future[Reply | None]:
    try:
        return plan.work(failing)
    except AWSError as error:
        return plan.refuse(error)
    except _MALFORMED as reason:
        return plan.refuse(AWSError("MalformedInput", f"The request cannot be understood: {reason!r}"))


def _rendered(
    told: asyncio.Future[dict[str, Any]], render: Callable[[Mapping[str, Any]], Reply], *, refuse: Callable[[AWSError], Reply]
) -> asyncio.Future[Reply | None]:
    """The reply of a call that answers later."""

    def reply(call: asyncio.Future[dict[str, Any]]) -> Reply | None:
        try:
            return render(call.result())
        except AWSError as error:
            return refuse(error)

    return Later(told, reply)


async def _struck(plan: _Plan, faults: Sequence[Fault]) -> Reply | None:
    """A request that faults strike; None where its line is closed without a reply."""
    before = [fault for fault in faults if fault.where == "before"]
    for fault in before:
        if fault.action == "delay":
            await asyncio.sleep(fault.seconds)
    if any(fault.action == "cut" for fault in before):
        return None
    for fault in before:
        if error := _error(fault, plan.target.service):
            return plan.refuse(error)
    failing = [fault.entries or _ALL for fault in faults if fault.action == "fail_entries"]
    done = _done(plan, failing[0] if failing else 0)
    reply = await done if isinstance(done, asyncio.Future) else done
    for fault in faults if reply is not None else ():
        if fault.where != "before" or fault.action == "damage":
            reply = await _spoiled(reply, plan, fault)
    return reply


async def _spoiled(reply: Reply | None, plan: _Plan, fault: Fault) -> Reply | None:
    """What becomes of the reply to work that is done."""
    if reply is None or (fault.action == "cut" and fault.where == "after"):
        return None
    if fault.action == "cut":
        return replace(reply, cut=fault.bytes or reply.length // 2)
    if fault.action == "damage":
        return replace(reply, body=_damaged(reply.body, fault.bytes or reply.length // 2))
    if fault.action == "delay":
        await asyncio.sleep(fault.seconds)
    error = _error(fault, plan.target.service)
    return reply if error is None else plan.refuse(error)


def _damaged(body: bytes | Body, at: int) -> bytes:
    """A body with one byte that is another one."""
    data = bytearray(body if isinstance(body, bytes) else body.read())
    if data:
        data[min(at, len(data) - 1)] ^= 1
    return bytes(data)


def _error(fault: Fault, service: str) -> AWSError | None:
    """What a rule has a service say, if that is what the rule does."""
    if fault.action == "throttle":
        return _BUSY.get(service, _BUSY_ELSEWHERE)
    if fault.action == "server_error":
        return AWSError("InternalError", "We encountered an internal error. Please try again.", status=500, by_sender=False)
    if fault.action == "unavailable":
        return AWSError("ServiceUnavailable", "Please reduce your request rate.", status=503, by_sender=False)
    if fault.action == "refuse":
        return AWSError(fault.code, f"Refused on order: {fault.code}.", status=fault.status)
    return None
