"""`kicksaw_integration_utils.x` is found at `halocline.compat.kicksaw.x`. Names are resolved when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.lazy import resolved

if TYPE_CHECKING:
    from halocline.compat.kicksaw.classes import Orchestrator, SalesforceClient, SfClient
    from halocline.compat.kicksaw.integrations import KicksawSalesforce

_HOME = {
    "KicksawSalesforce": "integrations",
    "Orchestrator": "orchestrator",
    "SalesforceClient": "classes",
    "SfClient": "classes",
}

__all__ = ["KicksawSalesforce", "Orchestrator", "SalesforceClient", "SfClient"]


def __getattr__(name: str) -> object:
    return resolved(__name__, name, home=_HOME)


def __dir__() -> list[str]:
    return list(__all__)
