"""`kicksaw_integration_utils.x` is found at `halocline.compat.kicksaw.x`. Names are resolved when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.lazy import lazily

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

__getattr__ = lazily(__name__, _HOME)


def __dir__() -> list[str]:
    return list(__all__)
