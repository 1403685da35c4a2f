"""Every fault, and a sync: it ends well with the org's own data, or with a clear error of the right class - never with less.

The short run takes for each rule that is not alike another one of its ways, in turn; `--long` all of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from halocline import registry
from halocline.emulator import rest
from halocline.emulator.faults.actions import ACTIONS
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.errors import HaloclineError, JobFailed, NetworkFailed, QuotaExhausted, RetryLater, StillRunning, Truncated
from halocline.sync import SobjectSync
from tests.system.laptop import QUICK, Laptop, laptop_at

pytestmark = pytest.mark.system

WAYS = {"rest": (1_000, 1_000), "bulk": (0, 1_000), "stage": (0, 0)}  # thresholds that choose each way at any size
PAGE, LAKE = 10, "lake.duckdb"
REST, BULK = ("rest",), ("bulk", "stage")
EVERY = (*REST, *BULK)


@dataclass(frozen=True, slots=True)
class Case:
    """A rule, the ways of reading that it meets, and how the sync ends: None well, else with this error.

    Of a rule that is `alike` another one says the same; it is tried with `--long`.
    """

    rule: str
    ways: tuple[str, ...] = EVERY
    ends: type[HaloclineError] | None = None
    alike: bool = False

    @property
    def action(self) -> str:
        """Its action's name in the table."""
        return self.rule.partition(":")[0]


CASES = (
    Case("answer: path=/describe$ status=502 body='<h1>Bad gateway</h1>' content_type=text/html"),
    Case("answer: path=/describe$ status=502 body='<h1>Bad gateway</h1>' content_type=text/html times=0", ends=RetryLater),
    Case("server_error: path=/data/ every=4 times=2"),
    Case("server_error: path=/data/ probability=0.3 seed=7 times=2", alike=True),
    Case("server_error: path=/data/ times=0", ends=RetryLater),
    Case("unavailable: path=/data/ every=3 times=2"),
    Case("unavailable: path=/data/ times=0", ends=RetryLater),
    Case("unavailable: kind=bulk.create where=after", ways=BULK),
    Case("request_limit: path=/data/ nth=3", ends=QuotaExhausted),
    Case("concurrent_limit: path=/data/ nth=2"),
    Case("concurrent_limit: path=/data/ times=0", ends=QuotaExhausted),
    Case("expire_session: path=/data/ nth=4 every=5 times=2"),
    Case("delay: path=/data/ seconds=0.02 times=0"),
    Case("delay: path=/data/ seconds=0.02 where=after times=0", alike=True),
    Case("cut: path=/data/ where=before every=4 times=2"),
    Case("cut: path=/data/ where=during every=4 times=2"),
    Case("cut: path=/data/ where=after every=4 times=2", alike=True),
    Case("cut: kind=query.more where=during times=0", ways=REST, ends=NetworkFailed),
    Case("cut: kind=bulk.results where=during times=0", ways=BULK, ends=NetworkFailed),
    Case("cut: kind=bulk.create where=after", ways=BULK),
    Case("slow_body: path=/data/ bytes_per_s=200000 times=0"),
    Case("corrupt_gzip: kind=query.more", ways=REST),
    Case("corrupt_gzip: kind=bulk.results", ways=BULK),
    Case("corrupt_gzip: kind=bulk.results times=0", ways=BULK, ends=NetworkFailed),
    Case("drop_header: header=Sforce-NumberOfRecords kind=bulk.results times=0", ways=BULK),
    Case("drop_header: header=Sforce-Limit-Info times=0"),
    Case("truncate_page: kind=query*", ways=REST, ends=Truncated),
    Case("truncate_page: kind=query.more rows=9", ways=REST, ends=Truncated, alike=True),
    Case("truncate_page: kind=bulk.results", ways=BULK),
    Case("truncate_page: kind=bulk.results rows=9 times=0", ways=BULK, ends=Truncated),
    Case("duplicate_page: kind=query*", ways=REST),
    Case("duplicate_page: kind=query.more times=0", ways=REST),  # read on from behind the last Id
    Case("duplicate_page: kind=bulk.pages", ways=BULK, ends=Truncated),
    Case("wrong_locator: kind=query*", ways=REST),  # likewise
    Case("wrong_locator: kind=query* rows=3", ways=REST, ends=Truncated),
    Case("wrong_locator: kind=bulk.pages", ways=BULK, ends=Truncated),
    Case("wrong_locator: kind=bulk.pages rows=3", ways=BULK, ends=Truncated),
    Case("job_stuck", ways=BULK, ends=StillRunning),
    Case("job_failed: message='InternalServerError : no luck'", ways=BULK, ends=JobFailed),
    Case("job_aborted", ways=BULK, ends=JobFailed),
    Case("lock: rows=2"),
    Case("late_commit: seconds=30"),
)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Path]]:
    """An org, and the folder of a laptop that holds its 25 Accounts; since then 60 came, two changed, one went."""
    folder = tmp_path_factory.mktemp("before")
    real = registry.open_source
    with pytest.MonkeyPatch.context() as patch, Emulator(EmulatorConfig(page_rows=PAGE)) as org:
        patch.setattr(registry, "open_source", lambda *args, **options: real(*args, **options, pace=QUICK))
        for limit in ("SMALLEST_PAGE", "LARGEST_PAGE"):  # our client asks for the largest pages there are
            patch.setattr(rest, limit, PAGE)
        with laptop_at(org, folder, lake=str(folder / LAKE)) as running:
            ids = running.add("Account", 25, Name="old {n}")
            running.days_pass()
            sync(running, "rest")
            running.days_pass()
            running.add("Account", 60, Name="new {n}")
            for record in ids[:2]:
                running.change("Account", record, Name="changed")
            running.delete("Account", ids[2])
        org.checkpoint()
        yield org, folder


@pytest.fixture
def here(before: tuple[Emulator, Path], tmp_path: Path) -> Iterator[Laptop]:
    """A laptop as it was then, whose sources do not wait."""
    org, folder = before
    org.reset()
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    with laptop_at(org, tmp_path, lake=str(tmp_path / LAKE)) as running:
        yield running


def sync(here: Laptop, way: str, *, deadline_s: float = 60.0) -> None:
    """One sync by this way. Raises: what stopped it."""
    bulk, stage = WAYS[way]
    system = here.system(bulk=bulk, stage=stage)
    system.JOB_DEADLINE_S = deadline_s
    system.run(SobjectSync("Account", "raw", "Account", fields=("Id", "Name", "IsDeleted", "SystemModstamp")))


def lake(here: Laptop) -> list[tuple[object, ...]]:
    """The table as any reader sees it."""
    return sorted(here.rows('SELECT "Id", "Name" FROM raw."Account" WHERE NOT "IsDeleted"'))


def org(here: Laptop) -> list[tuple[object, ...]]:
    """The same of the org."""
    return sorted((one["Id"], one["Name"]) for one in here.org.query("SELECT Id, Name FROM Account"))


def write_behind(here: Laptop) -> None:
    """Another client, that knows nothing of ours, changes five records."""
    data = f"{here.org.url}/services/data/v66.0"
    headers = {"Authorization": f"Bearer {here.access_info['access_token']}"}
    records = [{"attributes": {"type": "Account"}, "Name": f"theirs {number}"} for number in range(5)]
    with httpx2.Client(headers=headers) as client:
        told = client.post(f"{data}/composite/sobjects", json={"records": records}).json()
    assert len(told) == 5


def always(case: Case, way: str) -> bool:
    """Of each rule that is not alike another the short run takes one way, in turn among those that it meets."""
    others = [one for one in CASES if one.ways == case.ways and not one.alike]
    return not case.alike and way == case.ways[others.index(case) % len(case.ways)]


MATRIX = [
    pytest.param(case, way, marks=() if always(case, way) else pytest.mark.long, id=f"{way}-{case.rule}")
    for case in CASES
    for way in case.ways
]


@pytest.mark.parametrize(("case", "way"), MATRIX)
def test_a_fault_costs_no_row(here: Laptop, case: Case, way: str) -> None:
    """A sync under the fault equals the org, or leaves the table as it was with the error named; the next is whole again."""
    before = lake(here)
    assert before != org(here)
    rule = here.org.faults.add_text(case.rule)
    if case.action in ("lock", "late_commit"):
        write_behind(here)
    if case.ends is None:
        sync(here, way)
        assert lake(here) == org(here)
    else:
        with pytest.raises(case.ends):
            sync(here, way, deadline_s=0.2 if case.action == "job_stuck" else 60.0)
        assert lake(here) == before
    assert here.org.faults.counters(rule)["struck"] > 0
    assert any(rule in call.fault for call in here.org.calls)
    here.org.faults.clear()
    here.org.clock.advance(60)
    sync(here, way)
    assert lake(here) == org(here)


def test_every_fault_meets_a_sync() -> None:
    """The table names each action there is."""
    assert {case.action for case in CASES} == ACTIONS.keys()
