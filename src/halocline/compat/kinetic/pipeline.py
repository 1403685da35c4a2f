"""`kinetic_core.pipeline`: the same names."""

from __future__ import annotations

from halocline.pipeline import SyncMode, SyncPipeline, SyncResult, SyncStatus

__all__ = ["SyncMode", "SyncPipeline", "SyncResult", "SyncStatus"]
