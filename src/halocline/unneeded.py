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


def let_in() -> None:
    """From now on they are there for whoever imports them: functions of a user's own may."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Unneeded)]


def make_known() -> None:
    """Let pyarrow know of a pandas that was loaded after it had looked for one in vain: NaN of a Series is null to it then."""
    arrow = sys.modules.get("pyarrow.lib")
    if arrow is not None and "pandas" in sys.modules:
        arrow._pandas_api.pd  # noqa: B018 - it looks again when it is asked for pandas itself
