"""`kicksaw_integration_utils.x` is found at `halocline.compat.kicksaw.x`. Names are resolved when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
