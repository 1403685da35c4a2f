"""Sling into PostgreSQL: result pages downloaded to files, then `sling run` over them.

Started by postgres.py in the peer's own environment with one JSON argument; answers with one JSON line. The package holds no
program: it fetches one when it is loaded, and where it cannot, its own words say so.
"""

from __future__ import annotations

import json


def main() -> None:
    """Whether its program is there; `{}`."""
    try:
        from sling.bin import SLING_BIN
    except RuntimeError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps({"program": str(SLING_BIN)}), flush=True)


if __name__ == "__main__":
    main()
