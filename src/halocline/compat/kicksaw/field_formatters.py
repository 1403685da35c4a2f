"""Values as Salesforce wants them."""

from __future__ import annotations

import re
from datetime import date

__all__ = ["convert_to_iso_date"]


def convert_to_iso_date(date_string: str | None) -> str | None:
    """`YYYY-MM-DD` of a text whose digits are a year, a month and a day (`19990516`, `1999/05/16`); None where they are none."""
    digits = re.sub(r"[^0-9]", "", date_string or "")
    if len(digits) != 8:
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).isoformat()
    except ValueError:
        return None
