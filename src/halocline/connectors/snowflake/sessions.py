"""Sessions: what may be handed in, told by its type's name so that no driver has to be loaded for it."""

from __future__ import annotations

_CONNECTIONS = ("snowflake.connector", "fakesnow")
_KINDS = ("Connection", "SnowflakeConnection", "FakeSnowflakeConnection")


def is_connection(session: object) -> bool:
    """Whether this is a connection of Snowflake's connector, 4.x or 5.x."""
    return any(kind.__name__ in _KINDS and kind.__module__.startswith(_CONNECTIONS) for kind in type(session).__mro__)


def is_session(session: object) -> bool:
    """Whether this is a Snowpark session: it has the connection that it works through."""
    named = any(kind.__name__ == "Session" and kind.__module__.startswith("snowflake.") for kind in type(session).__mro__)
    return named and hasattr(session, "connection") and hasattr(session, "sql")
