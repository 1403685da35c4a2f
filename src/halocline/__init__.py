"""Keep Salesforce and your data platform in step, both ways, without losing or doubling a row.

Names are resolved when they are first used: `import halocline` loads no driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.lazy import lazily

if TYPE_CHECKING:
    from halocline.connectors.aws import Invalid, SQSQueue
    from halocline.connectors.salesforce import (
        ClientCredentialsAuthenticator,
        JWTAuthenticator,
        OAuthAuthenticator,
        RefreshTokenAuthenticator,
        SalesforceClient,
        SessionAuthenticator,
        SoapAuthenticator,
    )
    from halocline.consume.handling.handlers import Handlers
    from halocline.consume.sqs_client import SQSClient
    from halocline.consume.topics.sns_client import SNSClient, SNSMessage
    from halocline.errors import FixConfig, HaloclineError, RejectRecord, RetryLater, Stop
    from halocline.mapping import ConditionalFieldMapper, FieldMapper
    from halocline.orchestrator import Orchestrator
    from halocline.pipeline import SyncMode, SyncPipeline, SyncResult, SyncStatus
    from halocline.sf_client import SfClient
    from halocline.sync import IntelligentSync, sync_sobject_intelligent
    from halocline.tables import TableCopy, copy

_HOME = {
    "__version__": "halocline._version",
    "ClientCredentialsAuthenticator": "halocline.connectors.salesforce",
    "ConditionalFieldMapper": "halocline.mapping",
    "FieldMapper": "halocline.mapping",
    "FixConfig": "halocline.errors",
    "HaloclineError": "halocline.errors",
    "Handlers": "halocline.consume.handling.handlers",
    "IntelligentSync": "halocline.sync",
    "Invalid": "halocline.connectors.aws",
    "JWTAuthenticator": "halocline.connectors.salesforce",
    "OAuthAuthenticator": "halocline.connectors.salesforce",
    "Orchestrator": "halocline.orchestrator",
    "RefreshTokenAuthenticator": "halocline.connectors.salesforce",
    "RejectRecord": "halocline.errors",
    "RetryLater": "halocline.errors",
    "SNSClient": "halocline.consume.topics.sns_client",
    "SNSMessage": "halocline.consume.topics.sns_client",
    "SQSClient": "halocline.consume.sqs_client",
    "SQSQueue": "halocline.connectors.aws",
    "SalesforceClient": "halocline.connectors.salesforce",
    "SessionAuthenticator": "halocline.connectors.salesforce",
    "SfClient": "halocline.sf_client",
    "SoapAuthenticator": "halocline.connectors.salesforce",
    "Stop": "halocline.errors",
    "SyncMode": "halocline.pipeline",
    "SyncPipeline": "halocline.pipeline",
    "SyncResult": "halocline.pipeline",
    "SyncStatus": "halocline.pipeline",
    "TableCopy": "halocline.tables",
    "copy": "halocline.tables",
    "sync_sobject_intelligent": "halocline.sync",
}

__all__ = [
    "ClientCredentialsAuthenticator",
    "ConditionalFieldMapper",
    "FieldMapper",
    "FixConfig",
    "HaloclineError",
    "Handlers",
    "IntelligentSync",
    "Invalid",
    "JWTAuthenticator",
    "OAuthAuthenticator",
    "Orchestrator",
    "RefreshTokenAuthenticator",
    "RejectRecord",
    "RetryLater",
    "SNSClient",
    "SNSMessage",
    "SQSClient",
    "SQSQueue",
    "SalesforceClient",
    "SessionAuthenticator",
    "SfClient",
    "SoapAuthenticator",
    "Stop",
    "SyncMode",
    "SyncPipeline",
    "SyncResult",
    "SyncStatus",
    "TableCopy",
    "copy",
    "sync_sobject_intelligent",
]

__getattr__ = lazily(__name__, _HOME)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
