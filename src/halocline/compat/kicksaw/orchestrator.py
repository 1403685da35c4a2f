"""See `halocline.orchestrator`."""

from __future__ import annotations

from halocline.orchestrator import Orchestrator

__all__ = ["Orchestrator"]
