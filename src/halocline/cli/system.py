"""The sync system that a command works with: login from the environment, thresholds from the options."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halocline.events import Sink
    from halocline.sync import IntelligentSync


def intelligent_sync(to: str, sink: Sink, *, bulk_threshold: int | None, stage_threshold: int | None) -> IntelligentSync:
    """The system that syncs into `to`, with the login that the environment describes.

    Raises: FixConfig when the environment describes no login.
    """
    from halocline.connectors.salesforce import from_env
    from halocline.sync import IntelligentSync

    system = IntelligentSync(to, from_env(), sink=sink)
    if bulk_threshold is not None:
        system.BULK_API_THRESHOLD = bulk_threshold
    if stage_threshold is not None:
        system.STAGE_THRESHOLD = stage_threshold
    return system
