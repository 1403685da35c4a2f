"""All walks, one after the other, with the time of each stage and the time to the first result; names pick some."""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module

from tests.walks.walk import told, walk

NAMES = ("data_engineer", "salesforce_developer", "aws_team", "tester")

if __name__ == "__main__":
    unknown = [name for name in sys.argv[1:] if name not in NAMES]
    if unknown:
        sys.exit(f"make walks: there is no walk {unknown[0]}; there are {', '.join(NAMES)}")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    print(f"Python {platform.python_version()}, {machine}", flush=True)
    failed = []
    for name in sys.argv[1:] or NAMES:
        whole = import_module(f"tests.walks.{name}").WALK
        try:
            print(told(whole.who, walk(whole)), flush=True)
        except (AssertionError, LookupError) as error:  # the others are walked all the same
            failed.append(whole.who)
            print(f"{whole.who}: came to no result:\n{error}", file=sys.stderr, flush=True)
    if failed:
        sys.exit(f"make walks: {', '.join(failed)} came to no result")
