"""`kinetic_core.x` is found at `halocline.compat.kinetic.x`."""

from __future__ import annotations

from halocline import ConditionalFieldMapper, FieldMapper, JWTAuthenticator, OAuthAuthenticator
from halocline.compat.kinetic.client import SalesforceClient, SalesforceSession
from halocline.pipeline import SyncMode, SyncPipeline, SyncResult, SyncStatus

__all__ = [
    "ConditionalFieldMapper",
    "FieldMapper",
    "JWTAuthenticator",
    "OAuthAuthenticator",
    "SalesforceClient",
    "SalesforceSession",
    "SyncMode",
    "SyncPipeline",
    "SyncResult",
    "SyncStatus",
]
