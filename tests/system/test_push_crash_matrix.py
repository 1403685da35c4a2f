"""A push that dies anywhere is taken up: nothing is sent twice that must not be, and every row is accounted for.

A push of five chunks (three to four requests for each job of Bulk) is told on the command line, in a process of its own, into an
org that would take a row twice. At every request the process is killed, or the reply is lost, or the server answers 503 after it
has done the work; the process is also killed at what is no request: every write of the ledger, every file that becomes durable or
is let go. Then follows `halocline resume`, or the same push again. The end of the run says how many points each test tried, and
how many rows were in doubt.

The short run tries a spread of the points. Each mode by each API dies at some of its requests. Deaths elsewhere, deaths one
after the other and an org that goes dark are tried by two ways of the four that differ in both. The only way that can leave a
row in doubt loses replies in either manner. `make faults`, or `--long` here, tries every way, and every point at which a death
leaves something else than at the one before.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import pytest

from halocline.emulator.faults import FOREVER
from tests.system.push_mortals import APIS, CHUNK_ROWS, CHUNKS, MODES, Mortals, mortals
from tests.system.shell import Shell
from tests.system.told_apart import worth_trying

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL"),
]

WAYS = list(product(MODES, APIS))
UNLIKE = [("insert", "collections"), ("upsert", "bulk")]
THE_OTHERS = [way for way in WAYS if way not in UNLIKE]
ACTIONS, WHERES = ("cut", "unavailable"), ("before", "after")


def usually(names: str, each: Iterable[tuple[str, ...]], usual: Sequence[tuple[str, ...]]) -> pytest.MarkDecorator:
    """Each of these; those that are not usual only with `--long`."""
    return pytest.mark.parametrize(names, [pytest.param(*one, marks=() if one in usual else pytest.mark.long) for one in each])


each_way = usually("mode, api", WAYS, usual=WAYS)
unlike_ways = usually("mode, api", WAYS, usual=UNLIKE)
the_other_ways = usually("mode, api", WAYS, usual=THE_OTHERS)
each_loss = usually(
    "mode, api, action",
    product(MODES, APIS, ACTIONS),
    usual=[*((*UNLIKE[0], action) for action in ACTIONS), (*UNLIKE[1], "cut"), (*THE_OTHERS[0], "unavailable")],
)
each_hold = usually(  # of an upsert by Bulk one request is held, and of an insert that one as well
    "mode, api, where",
    product(MODES, APIS, WHERES),
    usual=[*((*UNLIKE[0], where) for where in WHERES), *((*way, "after") for way in THE_OTHERS)],
)
BYS = ("resume", "again")
MOST_POINTS = 5_000
BEATS = 8  # deeds of a heartbeat or two: the next time there may be so many fewer
IN_FLIGHT = 4  # calls of collections
REQUESTS, ELSEWHERE = ("request",), ("file", "ledger")
HELD = {  # the requests that may still be carried out when nobody waits for them any more
    ("insert", "collections"): ("collections.create",),
    ("upsert", "collections"): ("collections.upsert",),
    ("insert", "bulk"): ("ingest.create", "ingest.upload", "ingest.end"),
    ("upsert", "bulk"): ("ingest.end",),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, typed: Shell) -> Iterator[Mortals]:
    with mortals(tmp_path_factory.mktemp("mortals"), typed) as running:
        yield running


@dataclass
class Tally:
    """How many points were tried, and how many rows were in doubt after them."""

    told: str
    points: int = 0
    doubts: int = 0

    @contextmanager
    def point(self, name: str) -> Iterator[None]:
        """One more; what fails there names it."""
        self.points += 1
        try:
            yield
        except BaseException as error:
            error.add_note(f"{self.told}: {name}")
            raise

    def say(self, record: Callable[[str, object], None]) -> None:
        record("says", f"{self.told}: {self.points} points, {self.doubts} rows in doubt")


def killed(
    world: Mortals, mode: str, api: str, *, kinds: tuple[str, ...], bys: tuple[str, ...], first: int = 1, step: int = 1
) -> Tally:
    """Kill the push at each of its deeds of these kinds, or at some, before and after; then take it up."""
    words = world.push_words(mode, api)
    deeds, worth = deadly(world, words, kinds=kinds, marks=step == 1 and kinds == ELSEWHERE)
    points: Sequence[int] = worth or range(first, MOST_POINTS if step == 1 else len(deeds) + 1, step)
    tally = Tally(f"{mode} by {api}, killed at {_each(step)} {' or '.join(kinds)}, taken up by {' or '.join(bys)}")
    for number, at in enumerate(points):
        world.afresh()
        if not world.type(*words, kinds=kinds, at=at).killed:
            assert points is not worth or at > len(deeds) - BEATS
            break  # how often a job is looked at differs, so this may be a little sooner or later than in `deeds`
        with tally.point(f"deed {at}, {deeds[at - 1] if at <= len(deeds) else 'late'}"):
            done = world.taken_up(words, by=bys[(number + MODES.index(mode) if points is worth else at // 2) % len(bys)])
            doubts = world.check(mode, api)
            assert len(doubts) <= IN_FLIGHT * CHUNK_ROWS
            tally.doubts += len(doubts)
            if done is None:
                world.check_retry()
    else:
        assert points is worth or step > 1, "there is no end of points"
    return tally


def deadly(world: Mortals, words: tuple[str, ...], *, kinds: tuple[str, ...], marks: bool) -> tuple[Sequence[str], list[int]]:
    """The deeds of a push that nothing kills, and with `marks` the numbers of those at which a death leaves something else."""
    world.afresh()
    typed = world.type(*words, kinds=kinds, marks=marks)
    return typed.deeds, worth_trying(typed.deeds, typed.marks) if marks else []


def _each(step: int) -> str:
    return {1: "every", 2: "every second", 3: "every third"}.get(step, f"every {step}th")


def struck(
    world: Mortals,
    mode: str,
    api: str,
    *,
    action: str,
    goes_dark: bool,
    bys: tuple[str, ...] = BYS,
    first: int = 1,
    step: int = 1,
) -> Tally:
    """At each request the work is done and its answer is none; where it `goes_dark`, nothing works after that."""
    words = world.push_words(mode, api)
    how = {"cut": "the reply lost", "unavailable": "503 after the work"}[action]
    tally = Tally(f"{mode} by {api}, {how} at {_each(step)} request" + (", and then nothing works" if goes_dark else ""))
    for nth in range(first, MOST_POINTS, step):
        world.afresh()
        faults = world.emulator.faults
        rule = faults.add(action, nth=nth, where="after")
        if goes_dark:
            faults.add(action, nth=nth + 1, where="before", times=FOREVER)
        typed = world.type(*words)
        if not faults.counters(rule)["struck"]:
            break
        faults.clear()
        (kind,) = (call.kind for call in world.emulator.calls if f"{rule}:" in call.fault)
        with tally.point(f"request {nth}, {kind}"):
            assert typed.exit_code in ({3, 75} if goes_dark else {3}), (typed.out, typed.err)
            world.taken_up(words, by=bys[nth // step % len(bys)])
            doubts = len(world.check(mode, api))
            assert doubts <= CHUNK_ROWS or goes_dark
            assert bool(doubts) or kind != "collections.create"
            assert not doubts or goes_dark or kind == "collections.create"
            tally.doubts += doubts
    else:
        raise AssertionError("there is no end of requests")
    return tally


@pytest.mark.timeout(900)
@each_way
def test_killed_at_any_request(world: Mortals, mode: str, api: str, record_property: Callable[[str, object], None]) -> None:
    """Before the request goes out, and when its answer is there and nobody has looked at it; at some of the requests."""
    step = 19 if api == "bulk" else 6
    tally = killed(world, mode, api, kinds=REQUESTS, bys=BYS, first=2 + MODES.index(mode) * step // 2, step=step)
    assert tally.points >= 2 * CHUNKS * (4 if api == "bulk" else 1) // step
    assert bool(tally.doubts) is ((mode, api) == ("insert", "collections"))
    tally.say(record_property)


@pytest.mark.timeout(900)
@each_loss
def test_an_answer_that_never_comes(
    world: Mortals, mode: str, api: str, action: str, record_property: Callable[[str, object], None]
) -> None:
    """The connection ends, or 503 comes, after the work is done: once; at some of the requests."""
    step = {"cut": 11, "unavailable": 13}[action] if api == "bulk" else 4
    tally = struck(world, mode, api, action=action, goes_dark=False, first=1 + MODES.index(mode), step=step)
    assert tally.points >= CHUNKS * (4 if api == "bulk" else 1) // step
    assert bool(tally.doubts) is ((mode, api) == ("insert", "collections"))
    tally.say(record_property)


@pytest.mark.timeout(900)
@unlike_ways
def test_an_org_that_goes_dark(world: Mortals, mode: str, api: str, record_property: Callable[[str, object], None]) -> None:
    """The reply of some request is lost, and nothing answers after that until the push has given up."""
    step = 17 if api == "bulk" else 5
    tally = struck(world, mode, api, action="cut", goes_dark=True, first=1 + MODES.index(mode), step=step)
    assert tally.points >= CHUNKS * (4 if api == "bulk" else 1) // step
    tally.say(record_property)


@pytest.mark.timeout(900)
@the_other_ways
def test_killed_elsewhere(world: Mortals, mode: str, api: str, record_property: Callable[[str, object], None]) -> None:
    """At some of what is no request: while rows are put aside, in the middle of the plan, between two books, while tidying."""
    step = 67 if api == "collections" else 97
    tally = killed(world, mode, api, kinds=ELSEWHERE, bys=BYS, first=3 + MODES.index(mode) * step // 2, step=step)
    assert tally.points >= 2
    tally.say(record_property)


@pytest.mark.timeout(900)
@unlike_ways
def test_killed_again_and_again(world: Mortals, mode: str, api: str, record_property: Callable[[str, object], None]) -> None:
    """Whoever takes up a dead push may die of it as well, anywhere, and so may the next."""
    fates(world, mode, api, seeds=range(MODES.index(mode), MODES.index(mode) + 1)).say(record_property)


@pytest.mark.timeout(900)
@each_hold
def test_killed_while_the_org_is_at_work(
    world: Mortals, mode: str, api: str, where: str, record_property: Callable[[str, object], None]
) -> None:
    """Killed from outside while its request is held by the server, which does the work when somebody else is at it, or later."""
    tally = Tally(f"{mode} by {api}, killed while the org holds a request {where} its work")
    longer = api == "collections" and (mode, where) in (("insert", "before"), ("upsert", "after"))
    seconds = 0.7 if longer else 0.1
    for kind in HELD[mode, api]:
        with tally.point(f"{kind} held for {seconds} s"):
            tally.doubts += len(orphaned(world, mode, api, kind=kind, where=where, seconds=seconds))
    tally.say(record_property)


def orphaned(world: Mortals, mode: str, api: str, *, kind: str, where: str, seconds: float) -> set[int]:
    """A push is killed while its third request of this kind is held; the rows in doubt when all is over."""
    words = world.push_words(mode, api)
    world.afresh()
    faults, calls = world.emulator.faults, world.emulator.calls
    rule = faults.add("delay", kind=kind, nth=3, where=where, seconds=seconds)
    with world.typing(*words) as (pid, ended):
        until(lambda: bool(faults.counters(rule)["struck"]))
        os.kill(pid, signal.SIGKILL)
        assert ended().killed
    world.taken_up(words, by="resume")
    until(lambda: any(call.fault for call in calls))
    return world.check(mode, api)


def until(true: Callable[[], bool]) -> None:
    """Return when it is true.

    Raises: AssertionError when it takes too long.
    """
    end_s = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.002)


def fates(world: Mortals, mode: str, api: str, *, seeds: range) -> Tally:
    """For each seed a push that dies, and one to three that take it up and die, each at a deed that chance picks."""
    words, kinds = world.push_words(mode, api), (*REQUESTS, *ELSEWHERE)
    world.afresh()
    deeds = len(world.type(*words, kinds=kinds).deeds)
    tally = Tally(f"{mode} by {api}, killed two to four times in a row, seeds {seeds.start} to {seeds.stop - 1}")
    for seed in seeds:
        chance = random.Random(seed)
        world.afresh()
        story = [chance.randint(1, deeds) for _ in range(chance.randint(2, 4))]
        with tally.point(f"seed {seed}, deeds {story}"):
            world.type(*words, kinds=kinds, at=story[0])
            for at in (*story[1:], 0):
                world.taken_up(words, by=chance.choice(BYS), kinds=kinds, at=at)
            doubts = world.check(mode, api)
            tally.doubts += len(doubts)
    return tally


@pytest.mark.timeout(900)
@usually("mode", [(mode,) for mode in MODES], usual=[("insert",)])  # whom an upsert finds there it does not make again
def test_a_retry_that_is_killed_sends_no_row_twice(
    world: Mortals, mode: str, record_property: Callable[[str, object], None]
) -> None:
    """Rows that were locked are sent again by a retry that dies, most often at its end; asked for once more, none comes twice."""
    kinds = (*REQUESTS, *ELSEWHERE)
    deeds = len(world.type("retry", world.locked_push(mode), "--json", kinds=kinds).deeds)
    tally = Tally(f"{mode} by collections, a retry killed at some of its deeds and at the last ones")
    for at in (*range(5 + 61 * MODES.index(mode), deeds - 36, 193), *range(deeds - 36 + 9 * MODES.index(mode), deeds, 19)):
        first = world.locked_push(mode)
        with tally.point(f"deed {at} of {deeds}"):
            world.type("retry", first, "--json", kinds=kinds, at=at)
            if world.open_runs():
                world.type("resume", "--json")
            world.type("retry", first, "--json")
            tally.doubts += len(world.check_retried(mode))
    tally.say(record_property)


# ---- the same at every point


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize(
    ("kinds", "bys"),
    [(REQUESTS, ("resume",)), (REQUESTS, ("again",)), (ELSEWHERE, BYS)],
    ids=["request-resume", "request-again", "elsewhere"],
)
@each_way
def test_there_is_no_point_at_which_a_kill_does_harm(
    world: Mortals,
    mode: str,
    api: str,
    kinds: tuple[str, ...],
    bys: tuple[str, ...],
    record_property: Callable[[str, object], None],
) -> None:
    """Every request, taken up by `resume` and by the same push; every write of the ledger, every file, by each in turn."""
    tally = killed(world, mode, api, kinds=kinds, bys=bys)
    assert tally.points >= 2 * CHUNKS
    tally.say(record_property)


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize(("action", "by"), [("cut", "resume"), ("unavailable", "again")])
@each_way
def test_there_is_no_point_at_which_the_dark_does_harm(
    world: Mortals, mode: str, api: str, action: str, by: str, record_property: Callable[[str, object], None]
) -> None:
    """Every request, its reply lost or a 503, and nothing works after it; `resume` mends the one, the same push the other."""
    struck(world, mode, api, action=action, goes_dark=True, bys=(by,)).say(record_property)


@pytest.mark.long
@pytest.mark.timeout(3_000)
@each_way
def test_no_chain_of_kills_does_harm(world: Mortals, mode: str, api: str, record_property: Callable[[str, object], None]) -> None:
    """Twenty-five stories of pushes that die of taking up others, of each mode by each API others."""
    first = 100 * (1 + 2 * MODES.index(mode) + APIS.index(api))
    fates(world, mode, api, seeds=range(first, first + 25)).say(record_property)
