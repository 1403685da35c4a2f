"""A file job that dies anywhere, loses any reply or fails at anything is done by the next delivery, as if nothing had been.

The event of one small file is delivered to a process of its own, which is killed before or after one of its operations: a step, a
request to the bucket or to the org, a transaction of the ledger, a file. Then the event is delivered again. Likewise replies are
lost, and operations fail. Org, bucket, reports and records are compared with those of a delivery that nothing happened to.

The short run tries some of the operations of each kind, each kind of failure by some of the routes; `make faults`, or `--long`
here, tries all that differ (`told_apart`).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

import pytest

from halocline.config import Settings
from halocline.errors import HaloclineError
from halocline.landed import Landed
from halocline.ledger import open_ledger
from halocline.testing.faults import Operations, Way
from tests.system.file_forks import NETWORK, watching_job
from tests.system.file_world import ROUTES, FileWorld, Say, carried, file_world, job_of, small
from tests.system.shell import ROOT, plain_env
from tests.system.told_apart import worth_trying

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL"),
]

REQUESTS, ELSEWHERE = ("s3", "request"), ("ledger", "file", "write")
MOST_SPOOLS = 1  # that of the process that was killed; it goes with a sweep
INSTANT = re.compile(r"\d{8}T\d{6}")
KEY = "in/companies.csv"
DATA = small(4, 2)
left_to_the_collector = (
    pytest.mark.filterwarnings(  # a push whose disk fails lets go of its half-written file, and does not close it
        "ignore:.*staged.arrow:pytest.PytestUnraisableExceptionWarning"
    )
)
each_route = pytest.mark.parametrize("route", ROUTES)


def usually(*routes: str) -> pytest.MarkDecorator:
    """Each route; others than these only with `--long`."""
    each = [pytest.param(route, marks=() if route in routes else pytest.mark.long) for route in ROUTES]
    return pytest.mark.parametrize("route", each)


@dataclass
class Stories:
    """A world, a program that forks, and the one landing that all stories are about."""

    world: FileWorld
    forks: subprocess.Popen[str]
    where: Landed = field(init=False)
    expected: Any = ()
    told: dict[str, Any] = field(default_factory=dict)

    def begin(self, route: str) -> None:
        """What is to come of it, told by a delivery that nothing happens to; one of each route tells it to all tests."""
        if route not in self.told:
            self.afresh()
            self.plainly(route)
            self.told[route] = self.state()
        self.expected = self.told[route]
        accounts, records, objects = self.expected
        assert (len(accounts), len(records), len(objects)) == (4, 1, 2)

    def afresh(self) -> None:
        """An empty org, the file alone in its bucket, an empty home: the very landing of the other stories."""
        world = self.world
        world.emulator.reset()
        for name in world.bucket.names():
            world.bucket.client.delete_object(Bucket=world.bucket.name, Key=name)
        world.home = world.folder / f"home-{next(world.homes)}"
        answer = world.bucket.client.put_object(Bucket=world.bucket.name, Key=KEY, Body=DATA)
        self.where = Landed(
            world.bucket.name, KEY, etag=answer["ETag"].strip('"'), size=len(DATA), sequencer="0055AED6DCD90281E5"
        )

    def state(self) -> Any:
        """What a reader sees; the instant at which the file landed is another one in each story."""
        return json.loads(INSTANT.sub("(landed)", json.dumps(self.world.state(), default=bytes.decode)))

    def mortally(self, route: str, *, kinds: tuple[str, ...], at: int, marks: bool = False) -> tuple[int, list[str], list[str]]:
        """A delivery in a process that dies at that operation: how it ended, what it did, and what a death would have left."""
        world, keys = self.world, self.world.emulator.config
        order: dict[str, Any] = {"route": route, "where": asdict(self.where), "home": str(world.home), "url": world.emulator.url}
        order |= {"keys": [keys.consumer_key, keys.consumer_secret], "die": {"kinds": kinds, "at": at, "marks": marks}}
        assert self.forks.stdin is not None
        assert self.forks.stdout is not None
        self.forks.stdin.write(json.dumps(order) + "\n")
        self.forks.stdin.flush()
        line = self.forks.stdout.readline()
        assert line, "the forking program is gone"
        told = json.loads(line)
        return told["ended"], told["moments"], told["marks"]

    def plainly(self, route: str) -> None:
        """A delivery in this process."""
        world = self.world
        settings, job = Settings(world.home, world.home / "spool"), job_of(world.bucket.name, route=route)
        with open_ledger(world.home / "ledger.sqlite") as ledger:
            carried(route, job, self.where, client=world.client, buckets=world.buckets, ledger=ledger, settings=settings)

    def wrong(self, route: str) -> Iterator[str]:
        """What is not as it should be after one delivery more."""
        try:
            self.plainly(route)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody has to mend it by hand
            yield f"wedged: {error!r}"
            return
        for name, found, wanted in zip(("accounts", "records", "objects"), self.state(), self.expected, strict=True):
            if found != wanted:
                yield f"{name}: {found} and not {wanted}"
        if left := sorted(path.name for path in (self.world.home / "spool").glob("*"))[MOST_SPOOLS:]:
            yield f"spools are left: {left}"


@dataclass
class Tally:
    """The points that were tried, by kind, and what was wrong after them."""

    told: str
    points: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def say(self, record: Say) -> None:
        """Tell the figures.

        Raises: AssertionError when anything was wrong, with all that was.
        """
        wedged = sum("wedged" in one for one in self.wrong)
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(self.points.items()))
        told = f"{self.told}: {self.points.total()} points ({kinds}), {len(self.wrong) - wedged} differences, {wedged} wedged"
        record("says", told)
        assert self.wrong == [], "\n".join([told, *self.wrong])


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stories]:
    with file_world(tmp_path_factory.mktemp("kills")) as world, _forks() as forks:
        yield Stories(world, forks)


@contextmanager
def _forks() -> Iterator[subprocess.Popen[str]]:
    program = [sys.executable, "-m", "tests.system.file_forks"]
    env = plain_env() | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT) as forks:
        try:
            yield forks
        finally:
            assert forks.stdin is not None
            forks.stdin.close()
            forks.wait(timeout=30)


def killed(stories: Stories, route: str, *, kinds: tuple[str, ...], first: int = 1, step: int = 1) -> Tally:
    """Killed at each moment of these kinds, or at some; then delivered again."""
    stories.begin(route)
    tally = Tally(f"T1 {route}: killed at {'every' if step == 1 else f'every {step}th'} {' or '.join(kinds)}")
    stories.afresh()
    _, moments, marks = stories.mortally(route, kinds=kinds, at=0, marks=step == 1)
    points: Sequence[int] = worth_trying(moments, marks) if step == 1 else range(first, len(moments) + 1, step)
    for at in points:
        stories.afresh()
        code, *_ = stories.mortally(route, kinds=kinds, at=at)
        if code != -signal.SIGKILL:
            assert code == 0, f"{route}: an error that nothing caused"
            assert at >= len(moments) - 4, "how often the org is asked to log in differs, nothing else"
            break
        kind, _, name = moments[at - 1].partition(" ")
        tally.points[kind] += 1
        tally.wrong += [f"{at}, {kind} {name}: {one}" for one in stories.wrong(route)]
    return tally


def failed(
    stories: Stories,
    route: str,
    *,
    way: Way,
    kinds: tuple[str, ...],
    lasting: tuple[str, ...] = (),
    first: int = 1,
    step: int = 1,
) -> Tally:
    """Each operation of these kinds fails, or its reply is lost; where it is `lasting`, nothing of that kind works after it."""
    stories.begin(route)
    what = (
        f"{way} at {'every' if step == 1 else f'every {step}th'} {' or '.join(kinds)}{', then nothing works' if lasting else ''}"
    )
    tally = Tally(f"{'T3' if way is Way.LOST else 'T4'} {route}: {what}")
    for at in rehearsed(stories, route, way=way, kinds=kinds) if step == 1 else count(first, step):
        stories.afresh()
        operations = Operations(at=at, way=way, kinds=kinds, lasting=lasting, own_thread=False)
        raised: Exception | None = None
        with watching_job(operations):
            try:
                stories.plainly(route)
            except HaloclineError as error:
                raised = error
            except OSError as error:
                tally.wrong.append(f"{at}: an error that is not ours: {error!r}")
        if operations.struck is None:
            assert raised is None, raised
            break
        tally.points[operations.struck.kind] += 1
        tally.wrong += [f"{at}, {operations.struck}, {raised!r}: {one}" for one in stories.wrong(route)]
    return tally


def rehearsed(stories: Stories, route: str, *, way: Way, kinds: tuple[str, ...]) -> list[int]:
    """The numbers of the operations that are worth a failure."""
    stories.afresh()
    operations = Operations(way=way, kinds=kinds, own_thread=False)
    with watching_job(operations):
        stories.plainly(route)
    return worth_trying([f"{moment.kind} {moment}" for moment in operations.seen])


@each_route
def test_killed_at_steps(stories: Stories, route: str, record_property: Say) -> None:
    """Before a step, and when it is done and nobody has heard of it: at every sixth of these, by each route at others."""
    tally = killed(stories, route, kinds=("step",), first=1 + 2 * ROUTES.index(route), step=6)
    assert tally.points.total() >= 1
    tally.say(record_property)


@usually("flow without a key", "class")
def test_killed_at_requests(stories: Stories, route: str, record_property: Say) -> None:
    """Before a request to the bucket or the org goes out, or when it is carried out and its answer is not read: at some."""
    tally = killed(stories, route, kinds=REQUESTS, first=1 + 7 * ROUTES.index(route), step=37)
    assert tally.points.total() >= 1
    tally.say(record_property)


@usually("flow", "flow without a key")
def test_replies_are_lost(stories: Stories, route: str, record_property: Say) -> None:
    """The request is carried out and the answer never comes: repeated where that is safe, looked for where it is not."""
    tally = failed(stories, route, way=Way.LOST, kinds=REQUESTS, first=1 + 3 * ROUTES.index(route), step=19)
    assert tally.points.total() >= 1
    tally.say(record_property)


@usually("flow without a key")
def test_the_network_goes_away(stories: Stories, route: str, record_property: Say) -> None:
    """From some request on nothing can be reached."""
    first = 2 + 7 * ROUTES.index(route)
    failed(stories, route, way=Way.ERROR, kinds=REQUESTS, lasting=NETWORK, first=first, step=19).say(record_property)


def test_killed_elsewhere(stories: Stories, record_property: Say) -> None:
    """Between two books, while rows are put aside, while the spool is tidied: at some of these."""
    killed(stories, ROUTES[0], kinds=ELSEWHERE, first=3, step=257).say(record_property)


@left_to_the_collector
def test_a_disk_or_a_ledger_that_fails(stories: Stories, record_property: Say) -> None:
    """Some write of a file or of the ledger fails."""
    failed(stories, ROUTES[0], way=Way.ERROR, kinds=ELSEWHERE, first=2, step=107).say(record_property)


# ---- the same at every point


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("kinds", [("step",), REQUESTS, ELSEWHERE], ids=["steps", "requests", "elsewhere"])
@each_route
def test_there_is_no_point_at_which_a_kill_does_harm(
    stories: Stories, route: str, kinds: tuple[str, ...], record_property: Say
) -> None:
    """Every step, every request, every write, every transaction at which a death leaves something else than at the one before."""
    killed(stories, route, kinds=kinds).say(record_property)


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("way", [Way.LOST, Way.ERROR])
@each_route
def test_there_is_no_request_whose_failure_does_harm(stories: Stories, route: str, way: Way, record_property: Say) -> None:
    """Every reply is lost once; from every request on nothing can be reached."""
    lasting = NETWORK if way is Way.ERROR else ()
    failed(stories, route, way=way, kinds=REQUESTS, lasting=lasting).say(record_property)


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("route", ROUTES[:2])
@left_to_the_collector
def test_there_is_no_write_whose_failure_does_harm(stories: Stories, route: str, record_property: Say) -> None:
    """Every file, every transaction."""
    failed(stories, route, way=Way.ERROR, kinds=ELSEWHERE).say(record_property)
