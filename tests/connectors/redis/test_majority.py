"""Claims on three masters: the laws of every store, and what a majority stands and what it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from redis import Redis
from tests.redis_server import RedisServer

from halocline.claims import Clock
from halocline.connectors.redis.client import Master, Script, masters
from halocline.connectors.redis.majority import MajorityStore
from halocline.connectors.redis.store import RedisStore
from halocline.errors import LoginRefused, RetryLater
from halocline.idempotency import Held, IdempotencyStore, State
from halocline.testing.idempotency import KEEP_S, LEASE_S, IdempotencySuite, Seconds, hold, take


@pytest.fixture(scope="module")
def servers() -> Iterator[list[RedisServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RedisServer()) for _ in range(3)]


@pytest.fixture
def place(servers: list[RedisServer]) -> Iterator[str]:
    """Three masters with nothing in them; those that a test stops are started again."""
    for server in servers:
        with Redis.from_url(server.uri) as client:
            client.flushall()
    yield ",".join(server.uri for server in servers)
    for server in servers:
        server.stop()
        server.start()


@pytest.fixture
def store(place: str) -> Iterator[MajorityStore]:
    """By the masters' own clocks."""
    opened = MajorityStore(masters(place))
    yield opened
    opened.close()


class TestMajorityStore(IdempotencySuite):
    def open(self, place: str, clock: Clock | None) -> IdempotencyStore:
        return MajorityStore(masters(place), clock=clock)

    @pytest.fixture
    def place(self, servers: list[RedisServer]) -> str:
        for server in servers:
            with Redis.from_url(server.uri) as client:
                client.flushall()
        return ",".join(server.uri for server in servers)

    @pytest.mark.long
    def test_of_many_processes_one_takes_a_key(self, place: str) -> None:
        """To each master their connections are like those of threads, which do so in each run."""
        super().test_of_many_processes_one_takes_a_key(place)

    @pytest.fixture
    def store(self, place: str, clock: Seconds) -> Iterator[IdempotencyStore]:
        opened = self.open(place, clock)
        yield opened
        opened.close()


def test_most_masters_are_enough(store: MajorityStore, servers: list[RedisServer]) -> None:
    """With one of three away keys are claimed and done; with two away nothing is said to be so."""
    servers[0].stop()
    held = hold(store)
    assert take(store, owner="two").state is State.HELD
    assert store.renew([held], lease_s=LEASE_S) == [True]
    servers[1].stop()
    with pytest.raises(RetryLater, match="2 of 3 masters did not answer"):
        take(store, "other")
    with pytest.raises(RetryLater, match="2 of 3"):
        store.done([(held, "hash")], keep_s=KEEP_S)


def test_a_master_that_comes_back_empty_lets_nobody_in(store: MajorityStore, servers: list[RedisServer]) -> None:
    """The others know the claim, and what was done; what the empty one granted is given back."""
    held, gone = hold(store), hold(store, "gone")
    assert store.done([(gone, "hash")], keep_s=KEEP_S) == [True]
    servers[2].stop()
    servers[2].start()
    assert take(store, owner="two").state is State.HELD
    assert take(store, "gone", owner="two").result == "hash"
    alone = RedisStore(Master(servers[2].uri))
    assert [entry and entry.state for entry in alone.look(["k", "gone"])] == [None, None]
    alone.close()
    assert store.done([(held, "hash")], keep_s=KEEP_S) == [True]


def test_claims_that_came_to_no_majority_are_given_back(place: str, store: MajorityStore) -> None:
    """Where two others hold a key on a master each, nobody has it: it is found held, and free again when they are gone."""
    alone = [RedisStore(master) for master in masters(place)]
    held = [hold(alone[number], owner=str(number)) for number in range(2)]
    assert take(store, owner="late").state is State.HELD
    assert alone[2].look(["k"]) == [None]
    for one, other in zip(alone, held, strict=False):
        assert one.release([other]) == [True]
        one.close()
    alone[2].close()
    assert take(store, owner="late").state is State.OURS


def test_a_master_that_refuses_is_as_good_as_one_that_is_away(place: str) -> None:
    """One wrong login of three stops nobody, and what the others granted is no death of anybody."""
    clock = Seconds()
    with RedisServer(["--requirepass", "x"]) as locked:
        most = place.split(",")[:2]
        store = MajorityStore([Master(uri) for uri in (*most, locked.uri)], clock=clock)
        held = hold(store)
        assert store.done([(held, "hash")], keep_s=KEEP_S) == [True]
        assert take(store, owner="two").state is State.DONE
        store.close()


def test_a_majority_that_refuses_is_told_to_a_person(place: str) -> None:
    """No waiting mends a login: the master's own error is raised, and what was granted is given back, not left to die."""
    clock = Seconds()
    with RedisServer(["--requirepass", "x"]) as one, RedisServer(["--requirepass", "x"]) as two:
        own = place.partition(",")[0]
        store = MajorityStore([Master(uri) for uri in (one.uri, own, two.uri)], clock=clock)
        for owner in "abc":
            with pytest.raises(LoginRefused, match="Claiming keys"):
                take(store, owner=owner)
            clock.advance(LEASE_S + 1)
        store.close()
    alone = RedisStore(Master(own), clock=clock)
    assert alone.look(["k"]) == [None]
    alone.close()


def test_a_claim_whose_one_fence_was_not_heard_is_given_back(store: MajorityStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the fence that each master gave: it is nobody's death, and free for the next at once."""
    run = Master.run

    def deaf(self: Master, script: Script, keys: Sequence[str], *, values: Sequence[str | int], doing: str) -> list[Any]:
        if script == "seal":
            raise RetryLater(doing, "the line is bad")
        return run(self, script, keys, values=values, doing=doing)

    with monkeypatch.context() as patched:
        patched.setattr(Master, "run", deaf)
        assert take(store).state is State.HELD
    claim = take(store, owner="two")
    assert (claim.state, claim.deaths) == (State.OURS, 0)


def test_all_masters_have_one_fence(place: str, store: MajorityStore) -> None:
    """The highest that one gave: words carry one number, and each master knows it."""
    alone = [RedisStore(master) for master in masters(place)]
    for number, one in enumerate(alone):
        for _ in range(number):
            one.release([hold(one)])
    held = hold(store)
    assert {entry.fence for one in alone for entry in one.look(["k"]) if entry} == {held.fence}
    for one in alone:
        one.close()


def test_a_zombie_that_one_master_still_believes_is_refused(place: str, servers: list[RedisServer]) -> None:
    """A master that missed the takeover hears the zombie's word, the others do not: it does not count."""
    clock = Seconds()
    store = MajorityStore(masters(place), clock=clock)
    zombie = hold(store, owner="zombie")
    clock.advance(LEASE_S + 1)
    servers[0].pause()
    try:
        second = hold(store, owner="two")
    finally:
        servers[0].resume()
    assert store.done([(zombie, "the zombie's")], keep_s=KEEP_S) == [False]
    assert take(store, owner="three").state is State.HELD
    assert store.done([(second, "the real one's")], keep_s=KEEP_S) == [True]
    assert take(store, owner="three").result == "the real one's"
    store.close()


def test_a_word_that_one_master_heard_is_found(place: str) -> None:
    """Whoever asks next learns that the work was done, though its worker could not be told so."""
    clock = Seconds()
    store = MajorityStore(masters(place), clock=clock)
    held = hold(store)
    alone = RedisStore(Master(place.partition(",")[0]), clock=clock)
    assert alone.done([(Held("k", held.fence), "hash")], keep_s=KEEP_S) == [True]
    alone.close()
    clock.advance(LEASE_S + 1)
    claim = take(store, owner="two")
    assert (claim.state, claim.result) == (State.DONE, "hash")
    store.close()
