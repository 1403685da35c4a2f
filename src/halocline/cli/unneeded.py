"""Unneeded: libraries that others would load on their own account, and that no verb uses."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_NAMES = frozenset({"pandas"})  # pyarrow looks for it with its first array: half a second and 45 MB


class Unneeded:
    """A finder that says of the unneeded that they are not installed."""

    @staticmethod
    def find_spec(name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """Raises: ModuleNotFoundError for what is not to be loaded; None leaves a module to other finders."""
        if name in _NAMES:
            raise ModuleNotFoundError(f"No module named {name!r} for the command line, which does not need it", name=name)
        return None


def leave_out() -> None:
    """From now on this process does without them."""
    sys.meta_path.insert(0, Unneeded())
