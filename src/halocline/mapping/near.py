"""Names that somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(wanted: str, known: Iterable[str], *, alike: float = 0.6) -> list[str]:
    """Up to three known names close to `wanted`, nearest first, matched in any case; `alike` is from 0 (any) to 1 (the same)."""
    spelled = {name.lower(): name for name in known}
    return [spelled[name] for name in difflib.get_close_matches(wanted.lower(), spelled, n=3, cutoff=alike)]
