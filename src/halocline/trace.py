"""Trace: where an error came from, without values and without lines of the program."""

from __future__ import annotations

import traceback

_FRAMES = 6


def places(error: BaseException) -> list[str]:
    """The last places that an error came through, the very last first: `file:line function`."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
