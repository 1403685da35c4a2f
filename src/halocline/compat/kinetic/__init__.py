"""`kinetic_core.x` is found at `halocline.compat.kinetic.x`."""

from __future__ import annotations

from halocline import ConditionalFieldMapper, FieldMapper
from halocline.compat.kinetic.auth import JWTAuthenticator, OAuthAuthenticator, SalesforceSession
from halocline.compat.kinetic.client import SalesforceClient
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
