"""See `halocline.sf_client`."""

from __future__ import annotations

from halocline.sf_client import BulkType, SfBulk, SfClient

SFBulkHandler = SfBulk
SFBulkType = BulkType

__all__ = ["SFBulkHandler", "SFBulkType", "SfClient"]
