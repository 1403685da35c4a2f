"""IdempotencySuite: the laws of an idempotency store. Subclass it, name the class `Test...`, and say how one is opened."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from halocline.claim_store import Change, DecidingStore
from halocline.claims import Clock, Record, known, micros
from halocline.idempotency import Claim, Entry, Held, IdempotencyStore, State, Wanted

LEASE_S = 30.0
KEEP_S = 3600.0
DAY_S = 86_400.0
ODD_KEYS = ["a b", "nul\0", "lone \ud800", "sqs:event:{1}", "Städte/☃", "line\nbreak", "quote\"'%s:1", "x" * 900, "-1", "[]"]


class Seconds:
    """A clock that stands still until it is told to move: seconds since 1970."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds


class MemoryStore(DecidingStore):
    """An `IdempotencyStore` of this process: the model of all others, and enough for a test of what uses one."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}

    def close(self) -> None:
        """Nothing to let go of."""

    def _change(self, changes: Sequence[tuple[str, Change]], *, doing: str) -> list[Any]:  # noqa: ARG002 - it cannot fail
        with self._lock:
            return [self._changed(key, change) for key, change in changes]

    def _changed(self, key: str, change: Change) -> Any:
        answer, after = change(self._records.get(key), micros(self._clock()))
        if after is not None:
            self._records[key] = after
        return answer

    def _read(self, keys: Sequence[str], *, doing: str) -> tuple[Mapping[str, Record], int]:  # noqa: ARG002 - as above
        with self._lock:
            return {key: self._records[key] for key in keys if key in self._records}, micros(self._clock())

    def _aside(self, limit: int, *, doing: str) -> list[Entry]:  # noqa: ARG002 - as above
        with self._lock:
            found = [(key, known(record, micros(self._clock()))) for key, record in self._records.items()]
        aside = [record.entry(key) for key, record in found if record is not None and record.state == "quarantined"]
        return sorted(aside, key=lambda entry: (entry.since_s, entry.key))[:limit]


def take(store: IdempotencyStore, key: str = "k", *, owner: str = "one", lease_s: float = LEASE_S, payload: str = "") -> Claim:
    """What a claim of one key finds."""
    (claim,) = store.claim([Wanted(key, payload)], owner=owner, lease_s=lease_s)
    return claim


def hold(store: IdempotencyStore, key: str = "k", *, owner: str = "one", lease_s: float = LEASE_S, payload: str = "") -> Held:
    """A claim that is ours."""
    claim = take(store, key, owner=owner, lease_s=lease_s, payload=payload)
    assert claim.state is State.OURS, claim
    return Held(key, claim.fence)


WORDS: dict[str, Callable[[IdempotencyStore, Held], list[bool]]] = {
    "done": lambda store, held: store.done([(held, "hash")], keep_s=KEEP_S),
    "failed": lambda store, held: store.failed([(held, "boom")], keep_s=KEEP_S),
    "quarantine": lambda store, held: store.quarantine([(held, "poison")]),
    "release": lambda store, held: store.release([held]),
}


class IdempotencySuite:
    """Every idempotency store keeps these laws; a subclass gives the `place` and opens it, by the clock given or the store's own.

    `many` keys are asked for at once, and processes crowd at `few` old keys and as many new ones.
    """

    many = 300
    few = 20

    def open(self, place: str, clock: Clock | None) -> IdempotencyStore:
        """A store on `place`; any number may be open at a time."""
        raise NotImplementedError

    @pytest.fixture
    def place(self) -> str:
        """Where the store is, with nothing in it; also what `open_store` takes in another process."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Seconds:
        return Seconds()

    @pytest.fixture
    def store(self, place: str, clock: Seconds) -> Iterator[IdempotencyStore]:
        opened = self.open(place, clock)
        yield opened
        opened.close()

    # Claims

    def test_what_is_free_is_taken(self, store: IdempotencyStore) -> None:
        """A fresh key is ours for the lease, with a fence and no past."""
        claim = take(store)
        assert claim == Claim("k", State.OURS, claim.fence, claim.left_s)
        assert claim.fence > 0
        assert LEASE_S - 5 < claim.left_s <= LEASE_S

    def test_what_is_held_is_not_taken(self, store: IdempotencyStore, clock: Seconds) -> None:
        """Another owner finds it held, and for how long."""
        hold(store)
        clock.advance(10)
        claim = take(store, owner="two")
        assert (claim.state, claim.fence) == (State.HELD, 0)
        assert claim.left_s == pytest.approx(LEASE_S - 10, abs=5)

    def test_an_owner_whose_answer_was_lost_claims_anew(self, store: IdempotencyStore) -> None:
        """The same owner gets it with a higher fence, no death is counted, and the older fence is worth nothing."""
        first = hold(store)
        claim = take(store)
        assert (claim.state, claim.deaths) == (State.OURS, 0)
        assert claim.fence > first.fence
        assert store.renew([first], lease_s=LEASE_S) == [False]
        assert store.done([(first, "x")], keep_s=KEEP_S) == [False]
        assert store.done([(Held("k", claim.fence), "y")], keep_s=KEEP_S) == [True]

    def test_a_lease_that_ended_is_taken_over(self, store: IdempotencyStore, clock: Seconds) -> None:
        """Each claim that ended without a word is a death, the fence goes on growing."""
        fences = [hold(store, owner="0").fence]
        for number in range(1, 4):
            clock.advance(LEASE_S + 1)
            claim = take(store, owner=str(number))
            assert (claim.state, claim.deaths, claim.attempts) == (State.OURS, number, 0)
            fences.append(claim.fence)
        assert fences == sorted(set(fences))

    def test_keys_are_answered_in_their_order(self, store: IdempotencyStore) -> None:
        """Whatever each one finds; nothing asked, nothing answered."""
        hold(store, "b", owner="two")
        WORDS["done"](store, hold(store, "c"))
        claims = store.claim([Wanted(key) for key in "dcba"], owner="one", lease_s=LEASE_S)
        assert [(claim.key, claim.state.value) for claim in claims] == [
            ("d", "ours"),
            ("c", "done"),
            ("b", "held"),
            ("a", "ours"),
        ]
        assert [entry and entry.state for entry in store.look(list("xcba"))] == [None, "done", "claimed", "claimed"]
        assert store.claim([], owner="one", lease_s=LEASE_S) == []
        assert store.look([]) == []
        assert store.renew([], lease_s=1) == store.release([]) == store.forget([]) == store.quarantine([]) == []

    def test_of_equal_keys_in_one_call_the_first_is_taken(self, store: IdempotencyStore) -> None:
        """The others find it held: two messages with one key never run beside each other."""
        claims = store.claim([Wanted("a"), Wanted("b"), *[Wanted("c")] * 2, Wanted("a")], owner="one", lease_s=LEASE_S)
        assert [claim.state.value for claim in claims] == ["ours", "ours", "ours", "held", "held"]
        assert store.done([(Held("a", claims[0].fence), "x")], keep_s=KEEP_S) == [True]
        assert [c.state.value for c in store.claim([Wanted("a")] * 2, owner="one", lease_s=LEASE_S)] == ["done", "done"]

    def test_a_key_is_any_text(self, store: IdempotencyStore) -> None:
        """Blanks, quotes, braces, other scripts, many characters: each is a key of its own."""
        claims = store.claim([Wanted(key, "hash") for key in ODD_KEYS], owner="Ö'\"%", lease_s=LEASE_S)
        assert [(claim.key, claim.state) for claim in claims] == [(key, State.OURS) for key in ODD_KEYS]
        held = [Held(claim.key, claim.fence) for claim in claims]
        assert store.renew(held, lease_s=LEASE_S) == [True] * len(ODD_KEYS)
        assert all(store.failed([(one, "\ud800\0☃" * 2_000) for one in held], keep_s=KEEP_S))
        found = [entry for entry in store.look(ODD_KEYS) if entry]
        assert [(entry.key, entry.owner) for entry in found] == [(key, "Ö'\"%") for key in ODD_KEYS]
        assert {entry.told[:11] for entry in found} == {"\\ud800\\x00☃"}
        assert all(len(entry.told) < 10_000 for entry in found)
        assert store.forget(ODD_KEYS) == [True] * len(ODD_KEYS)

    def test_hundreds_of_keys_are_one_call(self, store: IdempotencyStore) -> None:
        """What is asked of them at once is answered for each."""
        keys = [f"key {number}" for number in range(self.many)]
        claims = store.claim([Wanted(key) for key in keys], owner="one", lease_s=LEASE_S)
        assert {claim.state for claim in claims} == {State.OURS}
        held = [Held(claim.key, claim.fence) for claim in claims]
        assert store.renew(held, lease_s=LEASE_S) == [True] * self.many
        assert store.done([(one, "x") for one in held], keep_s=KEEP_S) == [True] * self.many
        assert {claim.state for claim in store.claim([Wanted(key) for key in keys], owner="two", lease_s=1)} == {State.DONE}

    # Words

    def test_what_is_done_stays_done_while_it_is_remembered(self, store: IdempotencyStore, clock: Seconds) -> None:
        """With the hash of its result; after that the key is as new, save that its fence is higher."""
        held = hold(store, payload="p")
        assert store.done([(held, "hash")], keep_s=KEEP_S) == [True]
        for owner in ("one", "two"):
            claim = take(store, owner=owner)
            assert claim == Claim("k", State.DONE, result="hash")
        clock.advance(KEEP_S + 1)
        assert store.look(["k"]) == [None]
        claim = take(store, payload="q")
        assert claim == Claim("k", State.OURS, claim.fence, claim.left_s)
        assert claim.fence > held.fence

    def test_what_failed_is_free_at_once_and_counted(self, store: IdempotencyStore, clock: Seconds) -> None:
        """A failure that was told is an attempt, not a death; it is counted as long as it is remembered."""
        hold(store)
        clock.advance(LEASE_S + 1)
        for number in range(1, 4):
            assert store.failed([(hold(store, owner=str(number)), "boom")], keep_s=KEEP_S) == [True]
            assert [entry and (entry.state, entry.attempts, entry.deaths, entry.told) for entry in store.look(["k"])] == [
                ("failed", number, 0, "boom")
            ]
            claim = take(store, owner="x")
            assert (claim.state, claim.attempts, claim.deaths) == (State.OURS, number, 0)
            assert store.release([Held("k", claim.fence)]) == [True]
        assert store.failed([(hold(store), "boom")], keep_s=KEEP_S) == [True]
        clock.advance(KEEP_S + 1)
        assert take(store).attempts == 0

    def test_what_is_set_aside_stays_until_it_is_forgotten(self, store: IdempotencyStore, clock: Seconds) -> None:
        """It is found with its reason and listed, the oldest first; forgotten, it is claimed like new."""
        for key in "cab":
            assert store.quarantine([(hold(store, key), f"poison {key}")]) == [True]
            clock.advance(1)
        clock.advance(100 * DAY_S)
        claim = take(store, "a", owner="two")
        assert (claim.state, claim.reason) == (State.QUARANTINED, "poison a")
        assert [(entry.key, entry.told, entry.until_s) for entry in store.quarantined()] == [
            (key, f"poison {key}", 0.0) for key in "cab"
        ]
        assert [entry.key for entry in store.quarantined(limit=2)] == ["c", "a"]
        assert store.forget(["a", "nothing"]) == [True, False]
        assert [entry.key for entry in store.quarantined()] == ["c", "b"]
        claim = take(store, "a")
        assert claim == Claim("a", State.OURS, claim.fence, claim.left_s)

    def test_what_is_set_aside_for_a_while_ends(self, store: IdempotencyStore, clock: Seconds) -> None:
        """Then the key is as new, and is listed no more; what is set aside until it is forgotten stays beside it."""
        for key, keep_s in (("short", KEEP_S), ("stays", None), ("long", 2 * KEEP_S)):
            assert store.quarantine([(hold(store, key), "poison")], keep_s=keep_s) == [True]
        clock.advance(KEEP_S - 1)
        assert take(store, "short").state is State.QUARANTINED
        clock.advance(2)
        assert [entry.key for entry in store.quarantined()] == ["long", "stays"]
        assert [entry and entry.state for entry in store.look(["short", "stays"])] == [None, "quarantined"]
        assert store.forget(["short"]) == [False]
        claim = take(store, "short")
        assert claim == Claim("short", State.OURS, claim.fence, claim.left_s)
        clock.advance(KEEP_S)
        assert [entry.key for entry in store.quarantined(limit=1)] == ["stays"]

    def test_what_is_forgotten_may_be_told_by_its_state(self, store: IdempotencyStore, clock: Seconds) -> None:
        """Only what is set aside, or done, at that moment; all else stays as it is, and answers False."""
        words = {"aside": "quarantine", "done": "done", "failed": "failed"}
        for key, word in words.items():
            WORDS[word](store, hold(store, key))
        hold(store, "dead")
        keys = [*words, "dead", "nothing"]
        clock.advance(LEASE_S + 1)
        before = store.look(keys)
        assert store.forget(keys, only=State.QUARANTINED) == [True, False, False, False, False]
        assert store.look(keys) == [None, *before[1:]]
        assert store.forget(keys, only=State.DONE) == [False, True, False, False, False]
        assert take(store, "done", owner="two").state is State.OURS

    def test_what_is_given_back_is_as_if_never_claimed(self, store: IdempotencyStore, clock: Seconds) -> None:
        """It is free at once, for another payload too; deaths and attempts before it stay counted, and fences go on."""
        held = hold(store, payload="p")
        assert store.release([held]) == [True]
        assert store.look(["k"]) == [None]
        claim = take(store, owner="two", payload="q")
        assert claim == Claim("k", State.OURS, claim.fence, claim.left_s)
        assert claim.fence > held.fence
        clock.advance(LEASE_S + 1)
        for _ in range(2):
            again = take(store, owner="three")
            assert (again.state, again.deaths) == (State.OURS, 1)
            assert store.release([Held("k", again.fence)]) == [True]

    @pytest.mark.parametrize("word", sorted(WORDS))
    def test_the_same_word_again_is_heard_again(self, store: IdempotencyStore, word: str) -> None:
        """Its answer may have been lost; another word of the same claim is refused, and changes nothing."""
        held = hold(store)
        assert WORDS[word](store, held) == [True]
        told = store.look(["k"])
        assert WORDS[word](store, held) == [True]
        for other in sorted(WORDS.keys() - {word}):
            assert WORDS[other](store, held) == [False], other
        assert store.renew([held], lease_s=LEASE_S) == [False]
        assert store.look(["k"]) == told

    @pytest.mark.parametrize("word", sorted(WORDS))
    def test_a_word_after_the_lease_counts_while_nobody_else_claims(
        self, store: IdempotencyStore, clock: Seconds, *, word: str
    ) -> None:
        """A worker that stood still and was not missed is no zombie."""
        held = hold(store)
        clock.advance(LEASE_S + 1)
        assert WORDS[word](store, held) == [True]

    def test_who_holds_on_is_not_taken_over(self, store: IdempotencyStore, clock: Seconds) -> None:
        """A lease counts anew from each renewal, also from one that came late but before anybody else."""
        held = hold(store)
        for seconds in (LEASE_S - 1, LEASE_S - 1, LEASE_S + 5):
            clock.advance(seconds)
            assert store.renew([held], lease_s=LEASE_S) == [True]
        clock.advance(LEASE_S - 1)
        assert take(store, owner="two").state is State.HELD
        clock.advance(2)
        hold(store, owner="two")
        assert store.renew([held], lease_s=LEASE_S) == [False]

    def test_words_about_nothing_are_refused(self, store: IdempotencyStore) -> None:
        """A key that was never claimed, and a fence that was never given."""
        real = hold(store, "real")
        for held in (Held("none", 1), replace(real, fence=real.fence + 1), replace(real, fence=0)):
            assert [WORDS[word](store, held) for word in sorted(WORDS)] == [[False]] * len(WORDS)
            assert store.renew([held], lease_s=LEASE_S) == [False]
        assert store.done([(Held("none", 1), ""), (real, "hash")], keep_s=KEEP_S) == [False, True]

    def test_a_key_stands_for_one_payload(self, store: IdempotencyStore, clock: Seconds) -> None:
        """Another payload under the same key is told apart, in whatever state, and changes nothing; none is not compared."""
        held = hold(store, payload="p")
        assert take(store, payload="other").state is State.MISMATCH
        assert take(store, owner="two", payload="other").state is State.MISMATCH
        assert store.done([(held, "hash")], keep_s=KEEP_S) == [True]
        assert take(store, payload="other").state is State.MISMATCH
        assert [take(store, payload=payload).state for payload in ("p", "")] == [State.DONE] * 2
        assert store.failed([(hold(store, "f", payload="p"), "boom")], keep_s=KEEP_S) == [True]
        assert take(store, "f", payload="other").state is State.MISMATCH
        clock.advance(KEEP_S + 1)
        assert take(store, payload="other").state is State.OURS

    def test_what_somebody_holds_cannot_be_forgotten(self, store: IdempotencyStore, clock: Seconds) -> None:
        """Until its lease ended; what is forgotten is gone, and a late word about it is refused."""
        held = hold(store)
        assert store.forget(["k"]) == [False]
        clock.advance(LEASE_S + 1)
        assert store.forget(["k"]) == [True]
        assert store.forget(["k"]) == [False]
        assert store.look(["k"]) == [None]
        assert [WORDS[word](store, held) for word in ("done", "failed", "quarantine")] == [[False]] * 3
        claim = take(store, owner="two")
        assert (claim.state, claim.deaths) == (State.OURS, 0)
        assert claim.fence > held.fence

    def test_people_see_what_there_is(self, store: IdempotencyStore, clock: Seconds) -> None:
        """Owner, fence, since and until when."""
        held = hold(store, owner="host-1")
        assert store.look(["k"]) == [Entry("k", "claimed", held.fence, "host-1", clock.now, clock.now + LEASE_S, 0, 0, "")]
        clock.advance(5)
        store.done([(held, "hash")], keep_s=KEEP_S)
        assert store.look(["k"]) == [Entry("k", "done", held.fence, "host-1", clock.now, clock.now + KEEP_S, 0, 0, "hash")]
        store.done([(hold(store, "of", payload="p"), "hash")], keep_s=KEEP_S)
        assert [entry and entry.payload for entry in store.look(["of"])] == ["p"]

    # Zombies: what a worker that stood still past its lease may not do to the one that took over

    def test_a_zombie_that_fails_does_not_undo_what_was_done(self, store: IdempotencyStore, clock: Seconds) -> None:
        """Its failure after the takeover completed is refused: the key stays done, and nobody runs it a third time."""
        zombie = hold(store, owner="zombie")
        clock.advance(LEASE_S + 1)
        assert WORDS["done"](store, hold(store, owner="two")) == [True]
        assert WORDS["failed"](store, zombie) == [False]
        assert take(store, owner="three").state is State.DONE

    def test_a_zombie_that_succeeds_does_not_speak_for_the_run_under_way(self, store: IdempotencyStore, clock: Seconds) -> None:
        """Its result is refused while the takeover runs: a third reader finds it held, and later the takeover's result."""
        zombie = hold(store, owner="zombie")
        clock.advance(LEASE_S + 1)
        second = hold(store, owner="two")
        assert store.done([(zombie, "the zombie's")], keep_s=KEEP_S) == [False]
        assert take(store, owner="three").state is State.HELD
        assert store.done([(second, "the real one's")], keep_s=KEEP_S) == [True]
        assert take(store, owner="three").result == "the real one's"

    def test_an_effect_whose_word_was_lost_is_in_doubt(self, store: IdempotencyStore, clock: Seconds) -> None:
        """The effect came about and `done` was never heard: the next claim tells of a death, it does not run blindly."""
        hold(store, owner="one")
        clock.advance(LEASE_S + 1)
        claim = take(store, owner="two")
        assert (claim.state, claim.deaths) == (State.OURS, 1)

    def test_a_death_blocks_the_key_no_longer_than_its_lease(self, store: IdempotencyStore, clock: Seconds) -> None:
        """Whoever died without a word, by whatever exception: the key is free when the lease ends, and not sooner."""
        hold(store, owner="one", lease_s=5)
        clock.advance(4)
        assert take(store, owner="two").state is State.HELD
        clock.advance(2)
        assert take(store, owner="two").state is State.OURS

    @pytest.mark.parametrize("word", [*sorted(WORDS), "renew"])
    def test_every_word_of_a_zombie_is_refused(self, store: IdempotencyStore, clock: Seconds, *, word: str) -> None:
        """Whatever it says, and whatever became of the takeover; the record is as it was."""
        zombie = hold(store, owner="zombie")
        clock.advance(LEASE_S + 1)
        second = hold(store, owner="two")
        for after in ("", "failed", "done"):
            if after:
                WORDS[after](store, second)
            before = store.look(["k"])
            heard = store.renew([zombie], lease_s=LEASE_S) if word == "renew" else WORDS[word](store, zombie)
            assert heard == [False]
            assert store.look(["k"]) == before
            second = hold(store, owner="two") if after == "failed" else second

    # Several at once

    def test_of_many_threads_one_takes_a_key(self, place: str) -> None:
        """And none is stuck that came to none of them; by the store's own clock."""
        keys = [f"key {number}" for number in range(40)]
        store = self.open(place, None)

        def claims(owner: int) -> list[Claim]:
            mixed = random.Random(owner).sample(keys, len(keys))  # noqa: S311 - a test's order
            return [
                claim
                for start in range(0, len(mixed), 10)
                for claim in store.claim([Wanted(key) for key in mixed[start : start + 10]], owner=str(owner), lease_s=LEASE_S)
            ]

        with ThreadPoolExecutor(6) as pool:
            found = [claim for each in pool.map(claims, range(6)) for claim in each]
        assert {claim.state for claim in found} == {State.OURS, State.HELD}
        left = store.claim([Wanted(key) for key in keys], owner="late", lease_s=LEASE_S)
        store.close()
        assert sorted(claim.key for claim in [*found, *left] if claim.state is State.OURS) == sorted(keys)

    def test_of_many_processes_one_takes_a_key(self, place: str) -> None:
        """And of many that find a lease ended, one takes it over: each claim of a key has a fence of its own."""
        store = self.open(place, Seconds(time.time() - 2 * LEASE_S))
        ended = store.claim([Wanted(f"key {number}") for number in range(self.few)], owner="dead", lease_s=LEASE_S)
        store.close()
        command = [sys.executable, "-c", CROWD, place, str(self.few)]
        crowd = [
            subprocess.Popen([*command, str(one)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own script
            for one in range(3)
        ]
        for process in crowd:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        told = [process.communicate(b"go\n", timeout=60)[0] for process in crowd]
        assert [process.returncode for process in crowd] == [0, 0, 0]
        found = [claim for text in told for claim in json.loads(text)]
        store = self.open(place, None)
        keys = [f"{kind} {number}" for number in range(self.few) for kind in ("key", "new")]
        left = store.claim([Wanted(key) for key in keys], owner="late", lease_s=LEASE_S)
        store.close()
        found += [[claim.key, claim.state, claim.fence, claim.deaths] for claim in left]
        assert sorted(key for key, state, _, _ in found if state == "ours") == sorted(keys)
        before = {claim.key: claim.fence for claim in ended}
        assert all(fence > before.get(key, 0) for key, state, fence, _ in found if state == "ours")
        assert {deaths for key, state, _, deaths in found if state == "ours" and key.startswith("key")} == {1}

    @pytest.mark.parametrize("seed", range(4))
    def test_a_random_walk_is_the_models(self, store: IdempotencyStore, clock: Seconds, *, seed: int) -> None:
        """Whatever is asked in whatever order, each answer is that of the rules (`halocline.claims`)."""
        chance = random.Random(seed)  # noqa: S311 - a test's steps
        model = MemoryStore(clock=clock)
        known: list[Held] = [Held("a", 7)]
        for _ in range(80):
            clock.advance(chance.choice([0.0, 0.0, 0.5, LEASE_S / 2, LEASE_S + 1, KEEP_S]))
            step = _step(chance, known)
            ours, theirs = step(store), step(model)
            assert [_timeless(one) for one in ours] == [_timeless(one) for one in theirs]
            if isinstance(ours[0], Claim):
                known += [Held(claim.key, claim.fence) for claim in ours if claim.state is State.OURS]
        keys = list("abcd")
        assert store.look(keys) == model.look(keys)
        assert store.quarantined() == model.quarantined()


def _timeless(answer: Any) -> Any:
    """The answer with what is left of a lease to five seconds: some stores keep a margin."""
    return replace(answer, left_s=round((answer.left_s + 1) / 5)) if isinstance(answer, Claim) else answer


def _step(chance: random.Random, known: list[Held]) -> Callable[[IdempotencyStore], list[Any]]:
    """Something to do to a store, the same to each."""
    keys = [chance.choice("abcd") for _ in range(chance.randint(1, 3))]
    held = [chance.choice(known[-6:]) for _ in range(chance.randint(1, 3))]
    held = list({one.key: one for one in held}.values())
    told = [(one, f"told {chance.random():.3f}") for one in held]
    wanted = [Wanted(key, chance.choice(["", "", "p", "q"])) for key in keys]
    owner = chance.choice(["one", "two"])
    keep_s = chance.choice([None, KEEP_S / 2])
    only = chance.choice([None, State.QUARANTINED, State.DONE])
    steps: list[tuple[int, Callable[[IdempotencyStore], list[Any]]]] = [
        (6, lambda store: store.claim(wanted, owner=owner, lease_s=LEASE_S)),
        (2, lambda store: store.renew(held, lease_s=LEASE_S)),
        (2, lambda store: store.done(told, keep_s=KEEP_S)),
        (2, lambda store: store.failed(told, keep_s=KEEP_S)),
        (1, lambda store: store.quarantine(told, keep_s=keep_s)),
        (1, lambda store: store.release(held)),
        (1, lambda store: store.forget(sorted(set(keys)), only=only)),
        (1, lambda store: store.look(keys)),
    ]
    return chance.choices([step for _, step in steps], [weight for weight, _ in steps])[0]


CROWD = """
import json, random, sys
from halocline.consume.stores import open_store
from halocline.idempotency import Wanted
store = open_store(sys.argv[1])
store.look(["warm"])
print("ready", flush=True)
sys.stdin.readline()
keys = [f"{kind} {number}" for number in range(int(sys.argv[2])) for kind in ("key", "new")]
random.Random(sys.argv[3]).shuffle(keys)
claims = [claim for key in keys for claim in store.claim([Wanted(key)], owner=sys.argv[3], lease_s=30)]
store.close()
print(json.dumps([[claim.key, claim.state.value, claim.fence, claim.deaths] for claim in claims]))
"""
