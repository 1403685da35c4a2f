"""The classes under the module's first name, which the document still uses."""

from __future__ import annotations

from halocline.compat.kicksaw.orchestrator import Orchestrator
from halocline.sf_client import SfClient

SalesforceClient = SfClient

__all__ = ["Orchestrator", "SalesforceClient", "SfClient"]
