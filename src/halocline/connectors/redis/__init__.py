"""Redis and Valkey: a store of claims on one server, or on several masters by majority."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halocline.idempotency import IdempotencyStore

__all__ = ["open_claims"]


def open_claims(place: str) -> IdempotencyStore:
    """The store on the server that `place` names, or on all of several masters, parted by commas; nothing is asked of them yet.

    Raises: FixConfig for a URI that cannot be read, and for two that name the same server.
    """
    from halocline.connectors.redis.client import masters
    from halocline.connectors.redis.majority import MajorityStore
    from halocline.connectors.redis.store import RedisStore

    found = masters(place)
    if len(found) == 1:
        return RedisStore(found[0])
    return MajorityStore(found)
