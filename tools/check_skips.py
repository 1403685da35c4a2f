"""Fail when a test that continuous integration could have run was skipped.

usage: check_skips.py JUNIT_FILE

A skip is fine only where its reason starts with "long:", or says that HALOCLINE_TEST_DATA is unset while it really is unset.
A test that is expected to fail (xfail) is not a skip: it ran.
"""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ET  # the file is our own pytest's, so no hostile XML arrives here
from pathlib import Path

DATA_UNSET = "HALOCLINE_TEST_DATA is unset"


def main(junit: Path) -> int:
    """Print every skip that is not allowed; return 1 if there is one, or if no test ran at all."""
    cases = list(ET.parse(junit).iter("testcase"))
    if not cases:
        print(f"{junit} holds no test", file=sys.stderr)
        return 1
    unexpected = [(name, reason) for name, reason in _skips(cases) if not _is_allowed(reason)]
    for name, reason in unexpected:
        print(f"skipped, but could have run: {name}: {reason}", file=sys.stderr)
    return 1 if unexpected else 0


def _skips(cases: list[ET.Element]) -> list[tuple[str, str]]:
    found = [(case, skip) for case in cases for skip in case.findall("skipped") if skip.get("type") != "pytest.xfail"]
    return [(f"{case.get('classname')}.{case.get('name')}", skip.get("message", "")) for case, skip in found]


def _is_allowed(reason: str) -> bool:
    if reason.startswith("long:"):
        return True
    return reason.startswith(DATA_UNSET) and not os.environ.get("HALOCLINE_TEST_DATA")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
