"""The least that an idempotency record can cost: one `SET NX PX` per record with redis-py, a round trip each.

It does not know when the work was done, and nobody's claim has a number. Started by consume.py; answers with JSON lines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import redis

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.claiming import serve

LEASE_MS = 30_000


def main() -> None:
    """`{store, records}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    client = redis.Redis.from_url(wanted["store"])

    def claim(keys: list[str]) -> int:
        return sum(bool(client.set(key, "claimed", nx=True, px=LEASE_MS)) for key in keys)

    serve(claim, wanted["records"])


if __name__ == "__main__":
    main()
