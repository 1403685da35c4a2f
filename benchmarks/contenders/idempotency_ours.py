"""Halocline's record in Redis: ten claims in one round trip, and ten times the word that it is done in another, both fenced.

Started by consume.py with one JSON argument; answers with JSON lines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from halocline.consume.stores import open_store
from halocline.idempotency import Held, State, Wanted

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.claiming import BATCH, serve

LEASE_S, KEEP_S, OWNER, RESULT = 30.0, 86_400.0, "bench", "1f40fc92da241694"


def main() -> None:
    """`{store, records}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    store = open_store(wanted["store"])
    assert store is not None

    def claim(keys: list[str]) -> int:
        done = 0
        for start in range(0, len(keys), BATCH):
            claims = store.claim([Wanted(key, RESULT) for key in keys[start : start + BATCH]], owner=OWNER, lease_s=LEASE_S)
            held = [(Held(one.key, one.fence), RESULT) for one in claims if one.state is State.OURS]
            done += sum(store.done(held, keep_s=KEEP_S))
        return done

    serve(claim, wanted["records"])


if __name__ == "__main__":
    main()
