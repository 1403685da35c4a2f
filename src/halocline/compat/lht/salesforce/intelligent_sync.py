"""`lht.salesforce.intelligent_sync`: the same names and answers; instants are pandas Timestamps, as that document shows.

Needs the extra `pandas`.
"""

from __future__ import annotations

from datetime import datetime

from halocline import sync
from halocline.registry import missing_extra

try:
    from pandas import Timestamp
except ModuleNotFoundError as error:
    raise missing_extra("pandas", error) from error

__all__ = ["IntelligentSync", "sync_sobject_intelligent"]


class IntelligentSync(sync.IntelligentSync):
    """`halocline.sync.IntelligentSync`, answering with pandas Timestamps (in UTC)."""

    def sync_sobject(
        self,
        sobject: str,
        schema: str,
        table: str,
        match_field: str = "ID",
        use_stage: bool = False,
        stage_name: str | None = None,
        force_full_sync: bool = False,
        **options: object,
    ) -> dict[str, object]:
        """Sync one object; see `halocline.sync.IntelligentSync.sync_sobject`."""
        told = super().sync_sobject(sobject, schema, table, match_field, use_stage, stage_name, force_full_sync, **options)
        return {key: Timestamp(value) if isinstance(value, datetime) else value for key, value in told.items()}


def sync_sobject_intelligent(
    session: object,
    access_info: object,
    sobject: str,
    schema: str,
    table: str,
    match_field: str = "ID",
    use_stage: bool = False,
    stage_name: str | None = None,
    force_full_sync: bool = False,
    **options: object,
) -> dict[str, object]:
    """Sync one object with the default thresholds; see `halocline.sync.sync_sobject_intelligent`."""
    with IntelligentSync(session, access_info) as system:
        return system.sync_sobject(sobject, schema, table, match_field, use_stage, stage_name, force_full_sync, **options)
