"""Located: what stands at `module:name`, as configurations and command lines name functions and registries."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from halocline.errors import FixConfig
from halocline.trace import places
from halocline.unneeded import let_in, make_known

_PLACES = 2  # of an import that failed: where it did, and what led there


def function_at(place: str, *, doing: str, folder: Path, example: str) -> Callable[..., Any]:
    """The function at `module:function`.

    Raises: as `located`; FixConfig for what is no function.
    """
    found = located(place, doing=doing, folder=folder, example=example)
    if not callable(found):
        raise FixConfig(doing, f"it is {type(found).__name__}, and no function", hint=f"Write module:name, as in {example}.")
    return found


def located(place: str, *, doing: str, folder: Path, example: str, usual: str = "") -> object:
    """The value at `module:name` (`module`: at `usual`), the module looked for in `folder` too.

    Raises: FixConfig for a module or a name that is not there, and for a module that cannot be imported; with where and why.
    """
    module, _, said = place.partition(":")
    name = said or usual
    write = f"Write module:name, as in {example}."
    if not module or not name:
        raise FixConfig(doing, f"it names no {'module' if not module else 'function'}", hint=write)
    path = str(folder.resolve())
    if path not in sys.path:
        sys.path.insert(0, path)
    let_in()
    try:
        found: object = import_module(module)
        make_known()
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise FixConfig(doing, f"{module} needs {error.name!r}, which is not installed") from error
        hint = f"Modules are looked for in {path} and where Python is installed."
        raise FixConfig(doing, f"there is no module {error.name}", hint=hint) from error
    except (Exception, SystemExit) as error:  # a module may end with sys.exit, which is no end of this program
        at = ", ".join(places(error)[:_PLACES])
        raise FixConfig(doing, f"importing {module} failed: {type(error).__name__}: {error} ({at})") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise FixConfig(doing, f"{module} has no {name}", hint=write)
        found = getattr(found, part)
    return found
