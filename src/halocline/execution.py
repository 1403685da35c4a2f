"""Execution: one run of an integration as a record of Salesforce, with a child record for every refused row, and logs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Self

from halocline.errors import FixConfig, HaloclineError, NotFound, Stop
from halocline.mapping.near import near
from halocline.push.order import WriteOrder
from halocline.soql_text import soql_text

if TYPE_CHECKING:
    from halocline.sf_client.bulk import Answer, BulkType, Row
    from halocline.sf_client.client import SfClient
    from halocline.sf_client.sobject import SfType

_CUT = "..."


class LogLevel(Enum):
    """How grave a log is."""

    ERROR = "ERROR"
    WARNING = "WARNING"
    INFO = "INFO"
    DEBUG = "DEBUG"


@dataclass(frozen=True, slots=True)
class ExecutionNames:
    """What the objects and fields are called in the org; `namespace` ("Acme__") goes before each of them.

    The defaults are those of the "integration app" package.
    """

    namespace: str = ""
    integration: str = "Integration__c"
    lambda_name: str = "LambdaName__c"
    execution: str = "IntegrationExecution__c"
    execution_integration: str = "Integration__c"
    execution_payload: str = "ExecutionPayload__c"
    response_payload: str = "ResponsePayload__c"
    successful_completion: str = "SuccessfulCompletion__c"
    execution_error_message: str = "ErrorMessage__c"
    error: str = "IntegrationError__c"
    error_execution: str = "IntegrationExecution__c"
    operation: str = "Operation__c"
    salesforce_object: str = "Object__c"
    error_code: str = "ErrorCode__c"
    error_message: str = "ErrorMessage__c"
    upsert_key: str = "UpsertKey__c"
    upsert_key_value: str = "UpsertKeyValue__c"
    object_payload: str = "ObjectPayload__c"
    log: str = "IntegrationLog__c"
    log_execution: str = "IntegrationExecution__c"
    log_message: str = "LogMessage__c"
    log_level: str = "LogLevel__c"
    status_code: str = "StatusCode__c"
    associated_entity: str = "AssociatedEntity__c"

    def qualified(self) -> ExecutionNames:
        """The same names, each with the namespace before it."""
        spelled = {one.name: f"{self.namespace}{getattr(self, one.name)}" for one in fields(self) if one.name != "namespace"}
        return replace(self, namespace="", **spelled)


class Execution:
    """One execution record, by its `id`."""

    def __init__(self, sf: SfClient, execution_id: str, *, names: ExecutionNames | None = None) -> None:
        self.id = execution_id
        self._sf = sf
        self._names = (names or ExecutionNames()).qualified()
        self._error_fields: dict[str, Mapping[str, Any]] | None = None  # asked for once, when rows are first sent

    @classmethod
    def begin(
        cls,
        sf: SfClient,
        integration_name: str,
        *,
        payload: object,
        names: ExecutionNames | None = None,
        create_missing_integration: bool = False,
    ) -> Self:
        """A new execution of the integration of that name, which records the payload it was started with.

        Raises: NotFound where there is no such integration, unless it is to be created; FixConfig where there are several;
        RetryLater with `facts["in_doubt"]` when the answer was lost and the record may be there.
        """
        known = (names or ExecutionNames()).qualified()
        parent = _integration(sf, integration_name, names=known, create=create_missing_integration)
        record = {known.execution_integration: parent, known.execution_payload: _json(payload)}
        return cls(sf, str(_object(sf, known.execution).create(record)["id"]), names=names)

    def record(self) -> dict[str, Any]:
        """The record as it is."""
        return self._object.get(self.id)

    def update_payload(self, payload: object) -> None:
        """Record another payload in place of the first."""
        self._object.update(self.id, {self._names.execution_payload: _json(payload)})

    def fail(self, message: str) -> None:
        """Record that it did not end well, and why."""
        record = {self._names.successful_completion: False, self._names.execution_error_message: message}
        self._object.update(self.id, record)

    def complete(self, response_payload: object = None) -> None:
        """Record that it ended well, and with what answer."""
        told = {} if response_payload is None else {self._names.response_payload: _json(response_payload)}
        self._object.update(self.id, {self._names.successful_completion: True, **told})

    def log(
        self,
        message: str,
        level: LogLevel | str = LogLevel.INFO,
        *,
        status_code: int | None = None,
        associated_entity: str | None = None,
    ) -> str:
        """Record a message as a child of the execution; its id. A level may be said by its name.

        Raises: FixConfig for a name that no level has.
        """
        known, grave = self._names, _level(level)
        record: dict[str, Any] = {known.log_execution: self.id, known.log_message: message, known.log_level: grave}
        if status_code is not None:
            record[known.status_code] = status_code
        if associated_entity is not None:
            record[known.associated_entity] = associated_entity
        return str(_object(self._sf, known.log).create(record)["id"])

    def record_errors(self, order: WriteOrder, rows: Sequence[Row], *, answers: Sequence[Answer]) -> int:
        """Record what was refused of a bulk write, a child record for each error of each row, and say how many; none, no call.

        Texts are cut to what their fields hold. Raises: Stop when an error record was refused, or could not be sent, with the
        rows' answers as `facts["results"]` and `facts["answers"]`, those of the error records as `facts["recorded"]`.
        """
        pairs = zip(rows, answers, strict=True)
        found = [self._error(order, row, error) for row, told in pairs if not told["success"] for error in told["errors"]]
        if not found:
            return 0
        children: BulkType = getattr(replace(self._sf.bulk, execution=None), self._names.error)
        try:
            results = children.insert([self._cut(one) for one in found])
        except HaloclineError as error:
            raise self._unrecorded(str(error), answers, recorded=error.facts.get("results", [])) from error
        bad = [one["errors"][0] for one in results if not one["success"]]
        if bad:
            cause = f"{len(bad):,} of {len(found):,} were refused, the first with {bad[0]['statusCode']}: {bad[0]['message']}"
            raise self._unrecorded(cause, answers, recorded=results)
        return len(found)

    def expect_error_fields(self, order: WriteOrder) -> None:
        """Raises: NotFound, FixConfig where error records could not be made: before rows are sent whose errors would be lost."""
        known = {name: str(one["name"]) for name, one in self._described().items() if one.get("createable", True)}
        wanted = self._error(order, {}, {"statusCode": "", "message": ""})
        missing = [name for name in wanted if name.lower() not in known]
        if missing:
            close = {name: near(name, known.values()) for name in missing}
            told = ", ".join(f"{name} (near: {', '.join(found)})" if found else name for name, found in close.items())
            hint = "Create them, let the user write them, or name others: names=ExecutionNames(...)."
            raise FixConfig(f"Checking the fields of {self._names.error}", f"it has no {told} that can be written", hint=hint)

    @property
    def _object(self) -> SfType:
        return _object(self._sf, self._names.execution)

    def _error(self, order: WriteOrder, row: Row, error: Mapping[str, Any]) -> dict[str, Any]:
        known, key = self._names, order.key
        value = None if key is None else next((told for name, told in row.items() if name.lower() == key.lower()), None)
        return {
            known.error_execution: self.id,
            known.operation: order.mode.value,
            known.salesforce_object: order.sobject,
            known.error_code: error["statusCode"],
            known.error_message: error["message"],
            known.upsert_key: key,
            known.upsert_key_value: None if value is None else str(value),
            known.object_payload: _json(row),
        }

    def _cut(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record with its texts as long as their fields are."""
        lengths = {name: int(one.get("length") or 0) for name, one in self._described().items()}
        return {name: _within(value, lengths.get(name.lower(), 0)) for name, value in record.items()}

    def _described(self) -> Mapping[str, Mapping[str, Any]]:
        """The fields of error records, by their names in lower case."""
        if self._error_fields is None:
            described = _object(self._sf, self._names.error).describe()["fields"]
            self._error_fields = {str(one["name"]).lower(): one for one in described}
        return self._error_fields

    def _unrecorded(self, cause: str, answers: Sequence[Answer], *, recorded: object) -> Stop:
        told = list(answers)
        hint = "The rows themselves were sent, and would be sent again; what became of them is in facts['answers']."
        return Stop(f"Recording errors in {self._names.error}", cause, hint=hint, results=told, answers=told, recorded=recorded)


def create_integration(sf: SfClient, name: str, *, lambda_name: str = "", names: ExecutionNames | None = None) -> dict[str, Any]:
    """The answer of Salesforce to a new integration, the parent of executions."""
    known = (names or ExecutionNames()).qualified()
    told = {known.lambda_name: lambda_name} if lambda_name else {}
    return _object(sf, known.integration).create({"Name": name, **told})


def _integration(sf: SfClient, name: str, *, names: ExecutionNames, create: bool) -> str:
    found = sf.query(f"SELECT Id FROM {names.integration} WHERE Name = {soql_text(name)} LIMIT 2")["records"]
    doing = f"Looking for the {names.integration} named {name!r}"
    if len(found) > 1:
        raise FixConfig(doing, "there are several", hint="Give them names of their own.")
    if found:
        return str(found[0]["Id"])
    if not create:
        raise NotFound(doing, "there is none", hint="Create it, or pass create_missing_integration=True.")
    return str(create_integration(sf, name, names=names)["id"])


def _object(sf: SfClient, name: str) -> SfType:
    found: SfType = getattr(sf, name)
    return found


def _level(level: Enum | str) -> object:
    """What the record says; members of another enumeration are their own value, for an org may have more levels."""
    if isinstance(level, Enum):
        return level.value
    try:
        return LogLevel(str(level).upper()).value
    except ValueError:
        hint = f"There are {', '.join(one.value for one in LogLevel)}."
        raise FixConfig("Recording a log", f"there is no level {level!r}", hint=hint) from None


def _json(value: object) -> str:
    """As JSON; what JSON does not know (dates, Decimals) is text: it is a record for people."""
    return json.dumps(value, default=str, ensure_ascii=False)


def _within(value: Any, length: int) -> Any:
    if not isinstance(value, str) or not 0 < length < len(value):
        return value
    return value[: length - len(_CUT)] + _CUT if length > len(_CUT) else value[:length]
