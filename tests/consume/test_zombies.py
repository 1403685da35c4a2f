"""Zombies: workers that stood still past their lease, or died. The effect comes about once, or it is said to be in doubt.

The four cases are those in which idempotency layers without a fence were seen to run an effect again without a word.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis
from tests.figures import Says, add

from halocline.connectors.redis.client import Master
from halocline.connectors.redis.store import RedisStore
from halocline.consume.handling.transaction import once_in
from halocline.errors import AlreadyApplied
from halocline.idempotency import Held, IdempotencyStore, State, Wanted
from halocline.ledger.claims_sqlite import SqliteStore
from halocline.testing.idempotency import Seconds

LEASE_S = 30.0
WAYS = ("run", "quarantine", "transaction")  # what becomes of a message that is in doubt, and an effect with its note


@dataclass
class Scene:
    """A store, the clock that it goes by, and a database in which an effect is a row."""

    store: IdempotencyStore
    clock: Seconds
    way: str
    effects: Path
    doubts: int = 0
    refused: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._run("CREATE TABLE effects (owner TEXT)")

    def begin(self, owner: str) -> Held | None:
        """Claim the message; nothing where it is not ours, or where it is in doubt and set aside for that."""
        (claim,) = self.store.claim([Wanted("message")], owner=owner, lease_s=LEASE_S)
        if claim.state is not State.OURS:
            return None
        held = Held("message", claim.fence)
        self.doubts += claim.deaths > 0
        if claim.deaths and self.way == "quarantine":
            assert self.store.quarantine([(held, "in doubt")]) == [True]
            return None
        return held

    def work(self, held: Held, owner: str) -> None:
        """The effect."""
        insert = f"INSERT INTO effects VALUES ('{owner}')"
        if self.way != "transaction":
            self._run(insert)
            return
        try:
            with once_in(f"sqlite:///{self.effects}", held.key, fence=held.fence) as transaction:
                transaction.execute(insert)
        except AlreadyApplied:
            return

    def overslept(self) -> None:
        """The lease ends."""
        self.clock.advance(LEASE_S + 1)

    def takeover(self) -> Held | None:
        """Another worker claims the message, and does the work where it may."""
        held = self.begin("takeover")
        if held is not None:
            self.work(held, "takeover")
        return held

    def say(self, held: Held, *, well: bool) -> None:
        """A word that must be refused."""
        told = [(held, "zombie's")]
        heard = self.store.done(told, keep_s=3600) if well else self.store.failed(told, keep_s=3600)
        self.refused.append(heard == [False])

    def runs(self) -> int:
        """How often the effect came about."""
        db = sqlite3.connect(self.effects)
        ((count,),) = db.execute("SELECT count(*) FROM effects").fetchall()
        db.close()
        return int(count)

    def _run(self, sql: str) -> None:
        db = sqlite3.connect(self.effects)
        with db:
            db.execute(sql)
        db.close()


def a_zombie_fails(scene: Scene) -> None:
    """A: it fails after the takeover completed; the completed record must stay."""
    zombie = scene.begin("zombie")
    assert zombie is not None
    scene.work(zombie, "zombie")
    scene.overslept()
    second = scene.takeover()
    if second is not None:
        assert scene.store.done([(second, "takeover's")], keep_s=3600) == [True]
    scene.say(zombie, well=False)
    assert scene.begin("third") is None


def b_zombie_succeeds(scene: Scene) -> None:
    """B: it succeeds while the takeover runs; nobody may be served its result."""
    zombie = scene.begin("zombie")
    assert zombie is not None
    scene.work(zombie, "zombie")
    scene.overslept()
    second = scene.takeover()
    scene.say(zombie, well=True)
    assert scene.begin("third") is None
    if second is not None:
        assert scene.store.done([(second, "takeover's")], keep_s=3600) == [True]
        (claim,) = scene.store.claim([Wanted("message")], owner="third", lease_s=LEASE_S)
        assert claim.result == "takeover's"


def c_word_lost(scene: Scene) -> None:
    """C: the effect came about, and the word of it was never heard."""
    first = scene.begin("first")
    assert first is not None
    scene.work(first, "first")
    scene.overslept()
    scene.takeover()
    scene.say(first, well=True)


def d_death(scene: Scene) -> None:
    """D: the process died without a word, before the effect; the key is free when the lease ends, not sooner and not later."""
    assert scene.begin("dead") is not None
    scene.clock.advance(LEASE_S - 1)
    assert scene.begin("early") is None
    scene.clock.advance(2)
    scene.takeover()


@pytest.fixture(params=["redis", "sqlite"])
def scene_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[IdempotencyStore, Seconds]]:
    clock = Seconds()
    store: IdempotencyStore
    if request.param == "redis":
        uri = request.getfixturevalue("redis_uri").removesuffix("/0") + "/8"
        with Redis.from_url(uri) as client:
            client.flushdb()
        store = RedisStore(Master(uri), clock=clock)
    else:
        store = SqliteStore(tmp_path / "claims.sqlite", clock=clock)
    yield store, clock
    store.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", [a_zombie_fails, b_zombie_succeeds, c_word_lost, d_death])
def test_an_effect_comes_about_once_or_is_in_doubt(
    case: object,
    way: str,
    scene_store: tuple[IdempotencyStore, Seconds],
    tmp_path: Path,
    record_property: Says,
) -> None:
    """No run beside the first goes unreported, no word of a zombie counts; in a transaction with its note there is one effect."""
    store, clock = scene_store
    scene = Scene(store, clock, way, tmp_path / "effects.sqlite")
    assert callable(case)
    case(scene)
    runs = scene.runs()
    assert runs - 1 <= scene.doubts <= 1
    assert all(scene.refused)
    if way == "transaction":
        assert runs == 1
    if way == "quarantine":
        assert runs <= 1
        assert store.quarantined()
    unreported = max(0, runs - 1 - scene.doubts)
    figures = {"scenes": 1, "runs": runs, "in_doubt": scene.doubts, "doubled_unreported": unreported}
    add(record_property, "T7 zombies", **figures, stale_words_refused=len(scene.refused))
