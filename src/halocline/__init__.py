"""Keep Salesforce and your data platform in step, both ways, without losing or doubling a row.

Names are resolved when they are first used: `import halocline` loads no driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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
    from halocline.errors import FixConfig, HaloclineError, RejectRecord, RetryLater, Stop
    from halocline.mapping import ConditionalFieldMapper, FieldMapper
    from halocline.orchestrator import Orchestrator
    from halocline.pipeline import SyncMode, SyncPipeline, SyncResult, SyncStatus
    from halocline.sf_client import SfClient
    from halocline.sync import IntelligentSync, sync_sobject_intelligent

_HOME = {
    "ClientCredentialsAuthenticator": "halocline.connectors.salesforce",
    "ConditionalFieldMapper": "halocline.mapping",
    "FieldMapper": "halocline.mapping",
    "FixConfig": "halocline.errors",
    "HaloclineError": "halocline.errors",
    "IntelligentSync": "halocline.sync",
    "Invalid": "halocline.connectors.aws",
    "JWTAuthenticator": "halocline.connectors.salesforce",
    "OAuthAuthenticator": "halocline.connectors.salesforce",
    "Orchestrator": "halocline.orchestrator",
    "RefreshTokenAuthenticator": "halocline.connectors.salesforce",
    "RejectRecord": "halocline.errors",
    "RetryLater": "halocline.errors",
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
    "sync_sobject_intelligent": "halocline.sync",
}

__all__ = [
    "ClientCredentialsAuthenticator",
    "ConditionalFieldMapper",
    "FieldMapper",
    "FixConfig",
    "HaloclineError",
    "IntelligentSync",
    "Invalid",
    "JWTAuthenticator",
    "OAuthAuthenticator",
    "Orchestrator",
    "RefreshTokenAuthenticator",
    "RejectRecord",
    "RetryLater",
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
    "sync_sobject_intelligent",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("halocline._version").__version__
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'halocline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
