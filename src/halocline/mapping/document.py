"""Mappings in YAML files: `mapping:`, and below it the forms of a mapping.

mapping:
  customer_name: Name
  email: {target: Email, transform: lowercase}
  revenue:
    - {target: AnnualRevenue, transform: decimal}
    - {target: Revenue_Text__c, default: unknown}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from halocline.document import parsed
from halocline.errors import FixConfig


def read(path: Path) -> Mapping[str, object]:
    """The mapping in a YAML file.

    Raises: FixConfig for a file that cannot be read, is no YAML, says a name twice, or has no `mapping`.
    """
    doing = f"Reading the mapping in {path}"
    told = _parsed(path, doing)
    said = told.get("mapping") if isinstance(told, Mapping) else None
    if not isinstance(said, Mapping):
        kind = "a list" if isinstance(said, list) else "a text" if isinstance(said, str) else "a value"
        cause = "there is no mapping in it" if said is None else f"its `mapping:` is {kind}, and no mapping of names to values"
        raise FixConfig(doing, cause, hint="Write `mapping:`, and below it lines like `source: Target`.")
    others = [str(key) for key in told if key != "mapping"]
    if others:
        raise FixConfig(doing, f"the key {others[0]!r} beside `mapping` is unknown", hint="Put source fields below `mapping:`.")
    mapping: Mapping[str, object] = said  # names and forms are checked where the steps are made
    return mapping


def _parsed(path: Path, doing: str) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FixConfig(doing, f"the file cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise FixConfig(doing, f"it is no YAML: {error}") from error
    return parsed(text, doing, twice="Give one source a list of targets.").value
