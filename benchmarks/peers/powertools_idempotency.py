"""AWS Lambda Powertools' idempotent function that does nothing, on Redis: one record a call.

Started by consume.py in the peer's own environment with one JSON argument; answers with JSON lines.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

os.environ["POWERTOOLS_LOG_LEVEL"] = "ERROR"

from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.persistence.cache import CachePersistenceLayer

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.claiming import serve

LEFT_MS = 30_000


def main() -> None:
    """`{store, records}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    place = urlsplit(wanted["store"])
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: LEFT_MS)
    config = IdempotencyConfig(event_key_jmespath="messageId", lambda_context=context)
    store = CachePersistenceLayer(host=str(place.hostname), port=int(place.port or 0), ssl=False)

    @idempotent_function(data_keyword_argument="record", config=config, persistence_store=store)
    def once(record: dict[str, str]) -> int:
        return int("messageId" in record)

    def claim(keys: list[str]) -> int:
        return sum(once(record={"messageId": key}) for key in keys)

    serve(claim, wanted["records"])


if __name__ == "__main__":
    main()
