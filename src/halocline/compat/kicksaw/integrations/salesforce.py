"""KicksawSalesforce: an org, and an execution record whose children are refused rows and logs. See `halocline.execution`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

from halocline.config import Settings
from halocline.errors import FixConfig
from halocline.execution import Execution, ExecutionNames, LogLevel, create_integration
from halocline.ledger import Ledger
from halocline.mapping.near import near
from halocline.sf_client import SfBulk, SfClient

__all__ = ["KicksawSalesforce", "LogLevel"]

_ARGUMENTS = ("connection_object", "integration_name", "payload", "execution_object_id", "create_missing_integration")
_LOGIN = ("username", "password", "security_token", "domain")


class KicksawSalesforce(SfClient):
    """`KicksawSalesforce(connection, integration_name, payload)`, or without the connection, for the `SF_*` variables.

    `connection_object` is a dict with `username`, `password`, `security_token`, `domain`, or with `client`, one of ours. Without
    `execution_object_id` a new execution is recorded, of the integration of that name. Every refused row of `bulk` gets child
    records. The names in the org are those of the class: a subclass may have others, or `names` says them.
    Raises: FixConfig for a connection with other keys, and as SfClient; as `Execution.begin`.
    """

    NAMESPACE: ClassVar[str] = ""
    INTEGRATION: ClassVar[str] = "Integration__c"
    LAMBDA_NAME: ClassVar[str] = "LambdaName__c"
    EXECUTION: ClassVar[str] = "IntegrationExecution__c"
    EXECUTION_PAYLOAD: ClassVar[str] = "ExecutionPayload__c"
    EXECUTION_INTEGRATION: ClassVar[str] = "Integration__c"
    RESPONSE_PAYLOAD: ClassVar[str] = "ResponsePayload__c"
    SUCCESSFUL_COMPLETION: ClassVar[str] = "SuccessfulCompletion__c"
    ERROR: ClassVar[str] = "IntegrationError__c"
    OPERATION: ClassVar[str] = "Operation__c"
    SALESFORCE_OBJECT: ClassVar[str] = "Object__c"
    ERROR_CODE: ClassVar[str] = "ErrorCode__c"
    ERROR_MESSAGE: ClassVar[str] = "ErrorMessage__c"
    UPSERT_KEY: ClassVar[str] = "UpsertKey__c"
    UPSERT_KEY_VALUE: ClassVar[str] = "UpsertKeyValue__c"
    OBJECT_PAYLOAD: ClassVar[str] = "ObjectPayload__c"
    LOG: ClassVar[str] = "IntegrationLog__c"
    LOG_MESSAGE: ClassVar[str] = "LogMessage__c"
    LOG_LEVEL: ClassVar[str] = "LogLevel__c"
    STATUS_CODE: ClassVar[str] = "StatusCode__c"
    ASSOCIATED_ENTITY: ClassVar[str] = "AssociatedEntity__c"

    def __init__(
        self,
        *given: Any,
        connection_object: Mapping[str, Any] | None = None,
        integration_name: str = "",
        payload: Any = None,
        execution_object_id: str | None = None,
        create_missing_integration: bool = False,
        names: ExecutionNames | None = None,
        settings: Settings | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        told = _by_name(given)
        connection = _connection(told.get("connection_object", connection_object))
        login = (connection.get(name) for name in _LOGIN)
        super().__init__(*login, client=connection.get("client"), settings=settings, ledger=ledger)
        names = names or self._names()
        execution_id = told.get("execution_object_id", execution_object_id)
        if execution_id:
            self._execution = Execution(self, execution_id, names=names)
        else:
            self._execution = Execution.begin(
                self,
                told.get("integration_name", integration_name),
                payload=told.get("payload", {} if payload is None else payload),
                names=names,
                create_missing_integration=told.get("create_missing_integration", create_missing_integration),
            )

    @classmethod
    def instantiate_from_id(cls, connection_object: Mapping[str, Any] | None, execution_object_id: str, **options: Any) -> Self:
        """The client of an execution that another step recorded; without a connection, for the `SF_*` variables."""
        return cls(connection_object=connection_object, execution_object_id=execution_object_id, **options)

    @property
    def execution_object_id(self) -> str:
        """The id of this client's own execution record."""
        return self._execution.id

    @property
    def bulk(self) -> SfBulk:
        """Many rows; what is refused of them is recorded below the execution."""
        return replace(super().bulk, execution=self._execution)

    def get_execution_object(self) -> dict[str, Any]:
        """The execution record."""
        return self._execution.record()

    def update_execution_object_payload(self, payload: Any) -> None:
        """Record another payload in place of the first."""
        self._execution.update_payload(payload)

    def log(
        self,
        log: str,
        level: LogLevel | str = LogLevel.INFO,
        status_code: int | None = None,
        associated_entity: str | None = None,
    ) -> None:
        """Record a message below the execution. Raises: FixConfig for the name of no level."""
        self._execution.log(log, level, status_code=status_code, associated_entity=associated_entity)

    def handle_exception(self, message: str) -> None:
        """Record that the execution did not end well; the caller raises then."""
        self._execution.fail(message)

    def complete_execution(self, response_payload: Any = None) -> None:
        """Record that the execution ended well."""
        self._execution.complete(response_payload)

    @classmethod
    def create_integration(cls, salesforce: SfClient, name: str, lambda_name: str = "") -> dict[str, Any]:
        """The answer of Salesforce to a new integration, the parent of executions."""
        return create_integration(salesforce, name, lambda_name=lambda_name, names=cls._names())

    @classmethod
    def _names(cls) -> ExecutionNames:
        return ExecutionNames(
            namespace=cls.NAMESPACE,
            integration=cls.INTEGRATION,
            lambda_name=cls.LAMBDA_NAME,
            execution=cls.EXECUTION,
            execution_integration=cls.EXECUTION_INTEGRATION,
            execution_payload=cls.EXECUTION_PAYLOAD,
            response_payload=cls.RESPONSE_PAYLOAD,
            successful_completion=cls.SUCCESSFUL_COMPLETION,
            execution_error_message=cls.ERROR_MESSAGE,
            error=cls.ERROR,
            error_execution=cls.EXECUTION,
            operation=cls.OPERATION,
            salesforce_object=cls.SALESFORCE_OBJECT,
            error_code=cls.ERROR_CODE,
            error_message=cls.ERROR_MESSAGE,
            upsert_key=cls.UPSERT_KEY,
            upsert_key_value=cls.UPSERT_KEY_VALUE,
            object_payload=cls.OBJECT_PAYLOAD,
            log=cls.LOG,
            log_execution=cls.EXECUTION,
            log_message=cls.LOG_MESSAGE,
            log_level=cls.LOG_LEVEL,
            status_code=cls.STATUS_CODE,
            associated_entity=cls.ASSOCIATED_ENTITY,
        )


def _connection(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Raises: FixConfig for a key that no connection has: without its value another org could be the one that is written to."""
    connection, known = dict(given or {}), (*_LOGIN, "client")
    for key in connection.keys() - set(known):
        close = near(str(key), known) or known
        raise FixConfig("Reading a connection", f"it has no key {key!r}", hint=f"Did you mean {' or '.join(close)}?")
    return connection


def _by_name(given: tuple[Any, ...]) -> dict[str, Any]:
    """The arguments by position under their names: the first may be the connection, or be left out.

    Raises: FixConfig for more than there are.
    """
    names = _ARGUMENTS[1:] if given and isinstance(given[0], str) else _ARGUMENTS
    if len(given) > len(names):
        raise FixConfig(
            "Making a KicksawSalesforce", f"{len(given)} arguments by position", hint=f"There are {', '.join(names)}."
        )
    return dict(zip(names, given, strict=False))
