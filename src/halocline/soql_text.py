"""SOQL text: how a text is written into a query, so that it is that text and nothing else.

Source: SOQL and SOSL Reference, "Quoted String Escape Sequences"; read November 2026.
"""

from __future__ import annotations

_ESCAPES = str.maketrans({"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f"})


def soql_text(text: str) -> str:
    """`text` in quotes, what ends or changes a text escaped."""
    return f"'{text.translate(_ESCAPES)}'"
