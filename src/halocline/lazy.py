"""Lazy: the names of a package that are loaded when they are first used, so that importing it loads no driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, home: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: `home` says where a name is, below the package or from `halocline.` on.

    What it answers raises: AttributeError for a name that is not in `home`, as a module does; what loading the module raises.
    """

    def resolved(name: str) -> Any:
        where = home.get(name)
        if where is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(where if where.startswith("halocline.") else f"{package}.{where}"), name)

    return resolved
