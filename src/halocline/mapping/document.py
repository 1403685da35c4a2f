"""Mappings in YAML files: `mapping:`, and below it the forms of a mapping.

mapping:
  customer_name: Name
  email: {target: Email, transform: lowercase}
  revenue:
    - {target: AnnualRevenue, transform: decimal}
    - {target: Revenue_Text__c, default: unknown}
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from halocline.errors import FixConfig


def read(path: Path) -> Mapping[str, object]:
    """The mapping in a YAML file.

    Raises: FixConfig for a file that cannot be read, is no YAML, says a name twice, or has no `mapping`.
    """
    doing = f"Reading the mapping in {path}"
    told = _parsed(path, doing)
    if not isinstance(told, Mapping) or not isinstance(told.get("mapping"), Mapping):
        raise FixConfig(doing, "there is no mapping in it", hint="Write `mapping:`, and below it lines like `source: Target`.")
    others = [str(key) for key in told if key != "mapping"]
    if others:
        raise FixConfig(doing, f"the key {others[0]!r} beside `mapping` is unknown", hint="Put source fields below `mapping:`.")
    mapping: Mapping[str, object] = told["mapping"]  # names and forms are checked where the steps are made
    return mapping


def _parsed(path: Path, doing: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML lets the last of two equal keys win in silence; here the second is refused."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
            seen: set[tuple[str, str]] = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if (key.tag, key.value) in seen:
                    cause = f"line {key.start_mark.line + 1} says {key.value!r} a second time"
                    raise FixConfig(doing, cause, hint="Give one source a list of targets.")
                seen.add((key.tag, key.value))
            return super().construct_mapping(node, deep=deep)

    try:
        with path.open(encoding="utf-8") as file:
            return yaml.load(file, Loader)  # noqa: S506 - a SafeLoader with one more check
    except OSError as error:
        raise FixConfig(doing, f"the file cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FixConfig(doing, f"it is no YAML: {error}") from error
