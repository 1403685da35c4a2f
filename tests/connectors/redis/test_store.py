"""Claims on a real Redis: the laws of every store, and what Redis alone can do to them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from tests.redis_server import RedisServer

from halocline.claims import Clock
from halocline.connectors.redis.client import Master, masters
from halocline.connectors.redis.store import RedisStore
from halocline.consume.stores import open_store
from halocline.errors import AccessDenied, FixConfig, LoginRefused, NetworkFailed, RetryLater
from halocline.idempotency import Held, IdempotencyStore, State, Wanted
from halocline.testing.idempotency import KEEP_S, LEASE_S, WORDS, IdempotencySuite, Seconds, hold, take


@pytest.fixture
def uri(redis_uri: str) -> str:
    """A database of this file's own, with nothing in it."""
    own = redis_uri.removesuffix("/0") + "/9"
    with Redis.from_url(own) as client:
        client.flushdb()
    return own


@pytest.fixture
def raw(uri: str) -> Iterator[Redis]:
    """The server's own client."""
    with Redis.from_url(uri, decode_responses=True) as client:
        yield client


class TestRedisStore(IdempotencySuite):
    def open(self, place: str, clock: Clock | None) -> IdempotencyStore:
        return RedisStore(Master(place), clock=clock)

    @pytest.fixture
    def place(self, uri: str) -> str:
        return uri


def test_nothing_stays_for_ever_but_what_is_set_aside(uri: str, raw: Redis) -> None:
    """Every record ends with its memory, in Redis's own keeping; it is readable by a person."""
    store = RedisStore(Master(uri))
    store.done([(hold(store, "done"), "hash")], keep_s=100)
    store.failed([(hold(store, "failed"), "boom")], keep_s=200)
    store.quarantine([(hold(store, "poison"), "reason")])
    hold(store, "claimed", lease_s=50)
    store.release([hold(store, "released")])
    left = {key.rpartition(":")[2]: raw.ttl(key) for key in raw.scan_iter("halocline:record:*")}
    fortnight = 14 * 86_400
    assert left.pop("poison") == -1
    wanted = {"done": 100, "failed": 200, "claimed": fortnight + 50, "released": fortnight}
    assert left.keys() == wanted.keys()
    assert all(seconds - 30 < left[name] <= seconds for name, seconds in wanted.items())
    assert raw.hgetall("halocline:record:done")["told"] == "hash"
    assert raw.zrange("halocline:quarantined", 0, -1) == ["poison"]
    store.close()


def test_what_was_set_aside_for_a_while_leaves_the_list(uri: str, raw: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of a queue that sets much aside does not grow for ever, and is read to its end past what is over."""
    clock = Seconds()
    monkeypatch.setattr("halocline.connectors.redis.store._PAGE", 7)
    store = RedisStore(Master(uri), clock=clock)
    store.quarantine([(hold(store, "stays"), "poison")])
    for day in range(12):
        held = [Held(one.key, one.fence) for one in store.claim([Wanted(f"{day}/{n}") for n in range(60)], owner="o", lease_s=9)]
        for some in (held[:20], held[20:40], held[40:]):
            store.quarantine([(one, "poison") for one in some], keep_s=86_400)
            clock.advance(28_800.000_007)
    assert raw.zcard("halocline:quarantined") < 200
    clock.advance(86_400)
    last = store.quarantine([(hold(store, "last"), "poison")])
    assert (last, [entry.key for entry in store.quarantined(limit=2)]) == ([True], ["stays", "last"])
    store.close()


def test_a_store_that_nobody_closes_closes_its_connections(uri: str) -> None:
    """Before the garbage collector looks at anything: it warns of a socket that it comes to before its connection."""
    seen: list[bool] = []

    class First:
        def __del__(self) -> None:
            seen.append(connection.is_connected)

    ring: list[object] = [First()]  # the collector takes the oldest first
    store = RedisStore(Master(uri))
    hold(store)
    (connection,) = store._master._client.connection_pool._available_connections
    assert connection.is_connected
    ring += [store, ring]
    del store, ring
    gc.collect()
    assert seen == [False]


def test_leases_end_by_the_servers_clock(uri: str, raw: Redis) -> None:
    """Hosts whose clocks differ agree: instants of a record are the server's."""
    store = RedisStore(Master(uri))
    hold(store, lease_s=60)
    seconds, micros = raw.time()
    since = int(raw.hget("halocline:record:k", "since") or 0)
    assert 0 <= seconds * 1_000_000 + micros - since < 60_000_000
    assert int(raw.hget("halocline:record:k", "until") or 0) - since == 60_000_000
    store.close()


def test_a_server_that_comes_back_empty_has_forgotten_claims() -> None:
    """Words about them are refused, nobody is told that they count; the next claim's fence is higher all the same."""
    with RedisServer() as server:
        store = RedisStore(Master(server.uri))
        held = hold(store)
        server.stop()
        with pytest.raises(NetworkFailed, match=r"Claiming keys in the Redis at 127\.0\.0\.1"):
            take(store)
        server.start()
        assert store.done([(held, "hash")], keep_s=KEEP_S) == [False]
        assert store.renew([held], lease_s=LEASE_S) == [False]
        assert hold(store).fence > held.fence
        store.close()


def test_a_connection_that_broke_is_made_anew(uri: str, raw: Redis) -> None:
    """The call goes on: to run a script twice does no harm."""
    store = RedisStore(Master(uri))
    held = hold(store)
    raw.client_kill_filter(skipme=True, _type="normal")
    raw.script_flush()
    assert store.done([(held, "hash")], keep_s=KEEP_S) == [True]
    store.close()


def test_a_fence_grows_when_the_servers_clock_goes_back(uri: str) -> None:
    """It is one more than the last at least."""
    clock = Seconds()
    store = RedisStore(Master(uri), clock=clock)
    first = hold(store)
    clock.advance(-1000)
    assert hold(store).fence == first.fence + 1
    store.close()


def test_what_the_server_refuses_is_told() -> None:
    """A password that is missing or wrong, a right that is missing, memory that is full: which error, and what to try."""
    with RedisServer(("--requirepass", "se:cr@t", "--user", "reader", "on", ">word", "~*", "+@read")) as server:
        where = server.uri.removeprefix("redis://")
        for place in (server.uri, f"redis://:wrong@{where}"):
            with pytest.raises(LoginRefused, match="user and password") as raised:
                take(RedisStore(Master(place)))
            assert "wrong" not in str(raised.value)
        with pytest.raises(AccessDenied, match="evalsha"):
            take(RedisStore(Master(f"redis://reader:word@{where}")))
        store = RedisStore(Master(f"redis://:se%3Acr%40t@{where}"))
        assert take(store).state is State.OURS
        with Redis.from_url(f"redis://:se%3Acr%40t@{where}") as client:
            client.config_set("maxmemory", 1)
        with pytest.raises(RetryLater, match="more memory"):
            take(store)
        store.close()


@pytest.mark.parametrize("place", ["redis://host:port/0", "redis://user:p@ss:1@host:x", "redis://[::1"])
def test_a_uri_that_cannot_be_read_is_refused_without_repeating_it(place: str) -> None:
    """A password may be in any piece of it."""
    with pytest.raises(FixConfig, match="percent codes") as raised:
        masters(place)
    assert "ss" not in str(raised.value).partition(": the URI")[0].removeprefix("Opening the idempotency store")
    assert raised.value.__context__ is None or raised.value.__suppress_context__


def test_databases_of_one_server_are_no_masters(uri: str) -> None:
    """A majority of them goes away with the server."""
    with pytest.raises(FixConfig, match="name the same Redis"):
        masters(f"{uri},{uri.removesuffix('9')}8")


def test_valkey_is_a_redis(uri: str) -> None:
    """Its schemes are understood."""
    store = open_store(uri.replace("redis://", "valkey://"))
    assert store is not None
    (claim,) = store.claim([Wanted("k")], owner="one", lease_s=LEASE_S)
    assert store.release([Held("k", claim.fence)]) == [True]
    store.close()


class Deaf(Master):
    """A master whose answer to the call of that number is lost: it was carried out."""

    def __init__(self, uri: str, lost: int) -> None:
        super().__init__(uri)
        self.calls = 0
        self._lost = lost

    def run(self, *arguments: Any, **settings: Any) -> list[Any]:
        self.calls += 1
        answers = super().run(*arguments, **settings)
        if self.calls == self._lost:
            raise NetworkFailed("Asking", "no answer")
        return answers


def twice(ask: Callable[[], Any]) -> Any:
    """What is answered, if need be the second time."""
    try:
        return ask()
    except NetworkFailed:
        return ask()


def lived(store: IdempotencyStore, word: str) -> object:
    """A claim from its beginning to its end, and what the store has of it then."""
    claim = twice(lambda: take(store))
    assert (claim.state, claim.deaths, claim.attempts) == (State.OURS, 0, 0)
    held = Held("k", claim.fence)
    assert twice(lambda: store.renew([held], lease_s=LEASE_S)) == [True]
    assert twice(lambda: WORDS[word](store, held)) == [True]
    (entry,) = twice(lambda: store.look(["k"]))
    return entry and (entry.state, entry.deaths, entry.attempts, entry.told)


@pytest.mark.parametrize("word", sorted(WORDS))
def test_any_lost_answer_is_made_good_by_asking_again(uri: str, raw: Redis, word: str) -> None:
    """Whichever call it was of: the word counts, no death and no attempt is counted for it."""
    ends = []
    for lost in range(5):  # 0: none
        raw.flushdb()
        store = RedisStore(Deaf(uri, lost))
        ends.append(lived(store, word))
        store.close()
    assert len(set(ends)) == 1
