"""Ids of messages and requests."""

from __future__ import annotations

import random

_RANDOM = random.Random()  # noqa: S311  # no secret; asking the system for each message's would be a system call each


def new_id() -> str:
    """A UUID as text."""
    digits = f"{_RANDOM.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
