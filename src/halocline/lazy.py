"""Lazy: the names of a package that are loaded when they are first used, so that importing it loads no driver."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def resolved(package: str, name: str, *, home: Mapping[str, str]) -> Any:
    """What a package's `__getattr__` answers: `home` says where a name is, below the package or from `halocline.` on.

    Raises: AttributeError for a name that is not in `home`, as a module does; what loading the module raises.
    """
    where = home.get(name)
    if where is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(import_module(where if where.startswith("halocline.") else f"{package}.{where}"), name)
