"""Make the list of what Halocline is put together from (SBOM), in the form of CycloneDX 1.6.

usage: make_sbom.py [OUT]

Components are what the package and its extras need, in the versions that requirements/dev.txt pins, on Linux and macOS with any
Python that pyproject.toml names; each with its licence and the extras that bring it. The same locks and SOURCE_DATE_EPOCH give
the same bytes.
Source: "CycloneDX v1.6 JSON Reference", https://cyclonedx.org/docs/1.6/json/, read November 2026.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from check_licences import licence_of, policy
from locked import ROOT, Pin, extras, needed, pins, project, wanted

from halocline._version import __version__

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/halocline")
OURS = f"pkg:pypi/halocline@{__version__}"


def main(out: Path) -> int:
    """Write the list, and say how long it is."""
    made = document(datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
    print(f"{out.name}: {len(made['components'])} components")  # type: ignore[arg-type]
    return 0


def document(at: datetime) -> dict[str, object]:
    """The whole list, made at an instant."""
    locked = pins(ROOT / "requirements" / "dev.txt")
    edges = needed(wanted(extras()), worlds=worlds())
    unknown = sorted(name for name in edges if name and name not in locked)
    if unknown:
        sys.exit(f"make sbom: {', '.join(unknown)} is needed, and requirements/dev.txt does not pin it: make locks")
    names = sorted(name for name in edges if name)
    ours = {"type": "library", "bom-ref": OURS, "name": "halocline", "version": __version__, "purl": OURS}
    body = {
        "metadata": {
            "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "tools/make_sbom.py", "version": __version__}]},
            "component": {
                **ours,
                "licenses": [{"license": {"id": project()["license"]}}],
                "description": project()["description"],
            },
        },
        "components": [_component(locked[name], _brought_by(name)) for name in names],
        "dependencies": [
            {"ref": _ref(locked, name), "dependsOn": sorted(_ref(locked, one) for one in edges[name])} for name in sorted(edges)
        ],
    }
    serial = uuid.uuid5(NAMESPACE, json.dumps(body, sort_keys=True))
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1, **body}


def worlds() -> list[dict[str, str]]:
    """The environments that the classifiers of pyproject.toml name, as differences that markers see."""
    text = "\n".join(project()["classifiers"])  # type: ignore[arg-type]
    pythons = re.findall(r"(?m)^Programming Language :: Python :: (3\.\d+)$", text)
    named = {"Linux": ("linux", "Linux"), "MacOS": ("darwin", "Darwin")}
    systems = [words for name, words in named.items() if name in text]
    return [
        {"sys_platform": system, "platform_system": title, "python_version": python, "python_full_version": f"{python}.0"}
        for system, title in systems
        for python in pythons
    ]


def _component(pin: Pin, brought_by: list[str]) -> dict[str, object]:
    purl = f"pkg:pypi/{pin.name}@{pin.version}"
    licence = licence_of(pin.name, policy())
    if licence is None:
        sys.exit(f"make sbom: nobody knows the licence of {pin.name}: python tools/check_licences.py")
    said = {"expression": licence} if " " in licence else {"license": {"id": licence}}
    return {
        "type": "library",
        "bom-ref": purl,
        "name": pin.name,
        "version": pin.version,
        "purl": purl,
        "scope": "optional" if brought_by else "required",
        "licenses": [said],
        "properties": [{"name": "halocline:extra", "value": name} for name in brought_by],
    }


def _brought_by(name: str) -> list[str]:
    """The extras that bring a package; none where it comes in any case."""
    if name in _of(""):
        return []
    return [extra for extra in sorted(extras()) if name in _of(extra)]


@cache
def _of(extra: str) -> frozenset[str]:
    return frozenset(needed(wanted([extra] if extra else []), worlds=worlds()))


def _ref(locked: Mapping[str, Pin], name: str) -> str:
    return f"pkg:pypi/{name}@{locked[name].version}" if name else OURS


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / "sbom.cdx.json"))
