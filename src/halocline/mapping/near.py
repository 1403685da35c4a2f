"""Names that somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(wanted: str, known: Iterable[str]) -> list[str]:
    """Up to three known names close to `wanted`, nearest first, matched in any case."""
    spelled = {name.lower(): name for name in known}
    return [spelled[name] for name in difflib.get_close_matches(wanted.lower(), spelled, n=3, cutoff=0.6)]
