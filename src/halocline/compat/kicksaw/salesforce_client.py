"""See `halocline.sf`."""

from __future__ import annotations

from halocline.sf import BulkType, SfBulk, SfClient

SFBulkHandler = SfBulk
SFBulkType = BulkType

__all__ = ["SFBulkHandler", "SFBulkType", "SfClient"]
