"""`lht.salesforce.intelligent_sync`: the same names and answers; instants are pandas Timestamps, as that document shows.

Needs the extra `pandas`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import ParamSpec

from halocline import sync
from halocline.registry import missing_extra

try:
    from pandas import Timestamp
except ModuleNotFoundError as error:
    raise missing_extra("pandas", error) from error

__all__ = ["IntelligentSync", "sync_sobject_intelligent"]


P = ParamSpec("P")


def _in_pandas(sync_one: Callable[P, dict[str, object]]) -> Callable[P, dict[str, object]]:
    """The same function, whose answer has its instants as Timestamps."""

    @wraps(sync_one)
    def told(*given: P.args, **named: P.kwargs) -> dict[str, object]:
        answer = sync_one(*given, **named)
        return {key: Timestamp(value) if isinstance(value, datetime) else value for key, value in answer.items()}

    return told


class IntelligentSync(sync.IntelligentSync):
    """`halocline.sync.IntelligentSync`, answering with pandas Timestamps (in UTC)."""

    sync_sobject = _in_pandas(sync.IntelligentSync.sync_sobject)


sync_sobject_intelligent = _in_pandas(sync.sync_sobject_intelligent)
