"""Find functions, methods, properties and classes that nothing uses, and code that cannot be reached.

usage: check_unused.py FOLDER ...

vulture finds them. Its other findings are left out: unused imports, arguments and variables are ruff's, and fields of values are
read by users. Names that others call by agreement are listed with the reason in pyproject.toml, [tool.vulture].
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from vulture import Vulture

KINDS = {"class", "function", "method", "property", "unreachable_code"}
PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def main(folders: list[str]) -> int:
    """Print each finding with its file and line; return 1 if there is one, or if a file could not be read."""
    settings = tomllib.loads(PYPROJECT.read_text())["tool"]["vulture"]
    finder = Vulture(ignore_names=settings["ignore_names"], ignore_decorators=settings["ignore_decorators"])
    finder.scavenge(folders)
    found = [item for item in finder.get_unused_code(min_confidence=settings["min_confidence"]) if item.typ in KINDS]
    for item in found:
        print(f"{item.filename}:{item.first_lineno}: unused {item.typ} {item.name}")
    return 1 if found or finder.exit_code else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
