"""SfClient: an org as users of simple-salesforce write it - objects as attributes, answers as dicts, results row by row.

Names are resolved when they are first used: bulk writes load pyarrow, which nothing else here needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halocline.sf_client.bulk import BulkType, SfBulk
    from halocline.sf_client.client import SfClient
    from halocline.sf_client.sobject import SfType

_HOME = {"BulkType": "bulk", "SfBulk": "bulk", "SfClient": "client", "SfType": "sobject"}

__all__ = ["BulkType", "SfBulk", "SfClient", "SfType"]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
