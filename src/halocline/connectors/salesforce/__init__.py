"""Salesforce: logins, the client, what became of the rows it wrote, the source. Names are resolved when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.lazy import lazily

if TYPE_CHECKING:
    from halocline.connectors.salesforce.auth import (
        Authenticator,
        ClientCredentialsAuthenticator,
        JWTAuthenticator,
        OAuthAuthenticator,
        RefreshTokenAuthenticator,
        Session,
        SessionAuthenticator,
        Token,
        from_env,
        session_from,
    )
    from halocline.connectors.salesforce.client import SalesforceClient
    from halocline.connectors.salesforce.destination import SalesforceDestination, accepts_rows, open_rows
    from halocline.connectors.salesforce.ingest import Bulk, Loaded, Progress
    from halocline.connectors.salesforce.ingest_jobs import JobInfo
    from halocline.connectors.salesforce.quota import Usage
    from halocline.connectors.salesforce.soap_login import SoapAuthenticator
    from halocline.connectors.salesforce.source import SalesforceSource, choose_objects, connect, look, object_of, open_source
    from halocline.connectors.salesforce.transport import Reply, Stream, Transport
    from halocline.connectors.salesforce.variables import VARIABLES

_AUTH = (
    "Authenticator",
    "ClientCredentialsAuthenticator",
    "JWTAuthenticator",
    "OAuthAuthenticator",
    "RefreshTokenAuthenticator",
    "Session",
    "SessionAuthenticator",
    "Token",
    "from_env",
    "session_from",
)
_HOME = {
    **dict.fromkeys(_AUTH, "auth"),
    **dict.fromkeys(("Reply", "Stream", "Transport"), "transport"),
    "Usage": "quota",
    **dict.fromkeys(("Bulk", "Loaded", "Progress"), "ingest"),
    **dict.fromkeys(("SalesforceDestination", "accepts_rows", "open_rows"), "destination"),
    "JobInfo": "ingest_jobs",
    "SalesforceClient": "client",
    "SoapAuthenticator": "soap_login",
    "VARIABLES": "variables",
    **dict.fromkeys(("SalesforceSource", "choose_objects", "connect", "look", "object_of", "open_source"), "source"),
}

__all__ = [
    "VARIABLES",
    "Authenticator",
    "Bulk",
    "ClientCredentialsAuthenticator",
    "JWTAuthenticator",
    "JobInfo",
    "Loaded",
    "OAuthAuthenticator",
    "Progress",
    "RefreshTokenAuthenticator",
    "Reply",
    "SalesforceClient",
    "SalesforceDestination",
    "SalesforceSource",
    "Session",
    "SessionAuthenticator",
    "SoapAuthenticator",
    "Stream",
    "Token",
    "Transport",
    "Usage",
    "accepts_rows",
    "choose_objects",
    "connect",
    "from_env",
    "look",
    "object_of",
    "open_rows",
    "open_source",
    "session_from",
]

__getattr__ = lazily(__name__, _HOME)


def __dir__() -> list[str]:
    return list(__all__)
