"""SfClient: an org as users of simple-salesforce write it - objects as attributes, answers as dicts, results row by row.

Names are resolved when they are first used: bulk writes load pyarrow, which nothing else here needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.lazy import lazily

if TYPE_CHECKING:
    from halocline.sf_client.bulk import BulkType, SfBulk
    from halocline.sf_client.client import SfClient
    from halocline.sf_client.sobject import SfType

_HOME = {"BulkType": "bulk", "SfBulk": "bulk", "SfClient": "client", "SfType": "sobject"}

__all__ = ["BulkType", "SfBulk", "SfClient", "SfType"]

__getattr__ = lazily(__name__, _HOME)


def __dir__() -> list[str]:
    return list(__all__)
