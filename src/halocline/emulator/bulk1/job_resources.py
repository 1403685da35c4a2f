"""Jobs over HTTP: created, looked at, closed and aborted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.emulator.bulk1 import chunking, xml
from halocline.emulator.bulk1.job import OPERATIONS, QUERIES, Job, job_json, job_xml
from halocline.emulator.bulk1.jobs import new_id
from halocline.emulator.bulk1.refusals import (
    JSON_TYPE,
    XML_TYPE,
    content_type,
    invalid_job,
    invalid_state,
    speaks_json,
)
from halocline.emulator.errors import ApiError
from halocline.emulator.wire import Answer, Ask, json_bytes

if TYPE_CHECKING:
    from halocline.emulator.objects import SObject

CONTENT_TYPES = ("CSV", "XML", "JSON")
ZIPPED = ("ZIP_CSV", "ZIP_XML", "ZIP_JSON")
# Source: Bulk API Developer Guide, "JobInfo": which content types and operations came with which API version.
SINCE = {"JSON": 36.0, "queryAll": 39.0}
# simple-salesforce sends the number of the mode in Salesforce's enumeration.
_CONCURRENCY = {"Parallel": "Parallel", "Serial": "Serial", "0": "Parallel", "1": "Serial"}


def create(ask: Ask) -> Answer:
    """`POST /job`: 201 with the new job, in the format of the request.

    `Sforce-Enable-PKChunking` is heeded; `Sforce-Line-Ending` and `Sforce-Disable-Batch-Retry` are accepted and change nothing.
    Raises: ApiError InvalidJob, InvalidEntity or InvalidXML for a job that cannot be.
    """
    wanted = _settings(ask)
    operation = _choice(wanted, "operation", OPERATIONS)
    kind = _content_type(wanted)
    _check_since(ask, kind, operation)
    _check_right(ask, operation)
    sobject = _sobject(ask, wanted, operation)
    now = ask.org.now()
    job = Job(
        id=new_id("750"),
        operation=operation,
        sobject=sobject.name,
        user_id=ask.user_id,
        version=ask.version,
        created=now,
        changed=now,
        content_type=kind,
        concurrency=_CONCURRENCY[_choice(wanted, "concurrencyMode", tuple(_CONCURRENCY), default="Parallel")],
        external_id=_external_id(wanted, sobject) if operation == "upsert" else None,
        assignment_rule=wanted.get("assignmentRuleId") or None,
        chunking=chunking.read_header(ask.headers.get(chunking.HEADER, ""), operation=operation, sobject=sobject),
    )
    ask.org.bulk1.add(job)
    return _answer(ask, job, status=201)


def show(ask: Ask) -> Answer:
    """`GET /job/{id}`."""
    return _answer(ask, ask.org.bulk1.get(ask.params["job"]))


def change(ask: Ask) -> Answer:
    """`POST /job/{id}` with a state: Closed takes no more batches, Aborted processes none that waits."""
    job = ask.org.bulk1.get(ask.params["job"])
    state = _settings(ask).get("state", "")
    if state not in ("Closed", "Aborted"):  # code and words unverified
        raise invalid_state(f"Invalid job state: {state}")
    return _answer(ask, ask.org.bulk1.end(job, state))


def _answer(ask: Ask, job: Job, *, status: int = 200) -> Answer:
    """In the format of the request; without a content type in that of the job, CSV jobs in XML."""
    batches = ask.org.bulk1.batches(job.id)
    if speaks_json(ask) or (not content_type(ask) and job.content_type == "JSON"):
        return Answer(status, json_bytes(job_json(job, batches)), JSON_TYPE)
    return Answer(status, job_xml(job, batches), XML_TYPE)


def _settings(ask: Ask) -> dict[str, str]:
    """What the body says, as text, whether it is JSON or XML; JSON's null is as good as nothing."""
    if speaks_json(ask):
        return {name: str(value) for name, value in ask.json().items() if value is not None}
    root = xml.parsed(ask.body)
    if xml.local(root) != "jobInfo":
        raise ApiError(400, "InvalidXML", f"Unexpected element: {xml.local(root)}")  # words unverified
    return xml.texts(root)


def _choice(wanted: dict[str, str], name: str, allowed: tuple[str, ...], *, default: str = "") -> str:
    value = wanted.get(name) or default
    if value not in allowed:  # words unverified
        raise invalid_job(f"Invalid {name}: {value}")
    return value


def _content_type(wanted: dict[str, str]) -> str:
    kind = _choice(wanted, "contentType", (*CONTENT_TYPES, *ZIPPED), default="XML")
    if kind in ZIPPED:  # the code is the one that the guide gives for zip content where it is not served; words unverified
        raise invalid_job(f"Unsupported content type: {kind}")
    return kind


def _check_since(ask: Ask, *names: str) -> None:
    for name in names:
        if float(ask.version) < SINCE.get(name, 0.0):  # words unverified
            raise invalid_job(f"{name} is not supported in API version {ask.version}")


def _check_right(ask: Ask, operation: str) -> None:
    """Code and words are those of Bulk API 2.0; for this API they are unverified."""
    if operation == "hardDelete" and not ask.org.config.hard_delete:
        message = "hardDelete operation requires special user profile permission, please contact your system administrator"
        raise ApiError(400, "FeatureNotEnabled", message)


def _sobject(ask: Ask, wanted: dict[str, str], operation: str) -> SObject:
    name = wanted.get("object", "")
    found = ask.org.catalog.get(name)
    if found is None:  # words unverified
        raise invalid_job(f"Unable to find object: {name}")
    if operation in QUERIES and not found.bulk_queryable:
        raise ApiError(400, "InvalidEntity", f"Entity '{found.name}' is not supported by the Bulk API.")
    return found


def _external_id(wanted: dict[str, str], sobject: SObject) -> str:
    """Source of both messages: observed answers of real orgs."""
    name = wanted.get("externalIdFieldName", "")
    if not name:
        raise invalid_job(f"External ID was blank for {sobject.name}. An External ID must be specified for upsert.")
    field = sobject.field(name)
    if field is None or not (field.external_id or field.type == "id" or field.overrides.get("idLookup") is True):
        raise invalid_job(f"Field name provided, {name} does not match an External ID for {sobject.name}")
    return field.name
