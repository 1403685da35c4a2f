"""Downloads that are cut at any byte, replaced by something else, or whose way on or login ends: no row is missing in silence.

`tests/connectors/salesforce/test_pages.py` has damaged pages one by one, and `test_fault_rules.py` each fault once; here a sync
meets them at each of its requests, and what is fetched anew is counted. The short run takes some of the bytes, of the requests
and of what comes instead of a page, by each way others; `--long` all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from halocline import registry
from halocline.emulator import rest
from halocline.errors import HaloclineError
from halocline.sync import SobjectSync
from tests.figures import Says, add
from tests.system.laptop import QUICK, Laptop, laptop

pytestmark = [pytest.mark.system, pytest.mark.timeout(1_200), pytest.mark.usefixtures("conserved")]

PAGE = 10
WAYS = {"rest": (1_000, 1_000), "bulk": (0, 1_000), "stage": (0, 0)}
CARRIES = ("query", "queryAll", "query.more", "bulk.results")  # calls whose answers hold rows
LOST = '[{"message":"invalid query locator","errorCode":"INVALID_QUERY_LOCATOR"}]'
OTHERS: Mapping[str, Mapping[str, Any]] = {  # what may come in the place of a page
    "JSON of an error": {"status": 200, "body": LOST, "content_type": "application/json"},
    "JSON of nothing": {"status": 200, "body": "{}", "content_type": "application/json"},
    "HTML": {"status": 200, "body": "<html><body>Down for maintenance</body></html>", "content_type": "text/html"},
    "HTML that says it is CSV": {"status": 200, "body": "<html>Down\n</html>\n", "content_type": "text/csv"},
    "garbage": {"status": 200, "body": '"\x01\x02","\n"" \x7f', "content_type": "text/csv"},
    "nothing": {"status": 200, "body": "", "content_type": "text/csv"},
    "a locator that has ended": {"status": 400, "body": LOST, "content_type": "application/json"},
}


@dataclass(slots=True)
class Tally:
    """What all points came to; `short` are syncs that ended well without all rows."""

    points: int = 0
    healed: int = 0
    told: int = 0
    short: int = 0
    fetched: int = 0
    needed: int = 0

    def say(self, record: Says, told: str) -> None:
        again = round(100 * (self.fetched - self.needed) / max(self.needed, 1))
        add(record, f"T13 {told}, {again} % of the bytes fetched anew", points=self.points, healed=self.healed,
            told_as_an_error=self.told, silent_short_reads=self.short)  # fmt: skip


@dataclass(slots=True)
class Downloads:
    """An org of some pages, and full syncs of it by one way."""

    here: Laptop
    way: str
    tally: Tally

    def sync(self) -> None:
        """Read everything. Raises: what stopped it."""
        self.here.kinds()
        with self.here.system() as system:
            system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = WAYS[self.way]
            system.run(SobjectSync("Account", "raw", "a", fields=("Id", "Name", "Description"), force_full_sync=True))

    def plain(self) -> tuple[int, list[tuple[int, str, int]]]:
        """An undisturbed sync: how many requests it makes, and those that carry rows, with kind and bytes."""
        self.here.org.calls.clear()
        with self.here.system() as system:
            system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = WAYS[self.way]
            system.run(SobjectSync("Account", "raw", "a", fields=("Id", "Name", "Description"), force_full_sync=True))
        calls = [call for call in self.here.org.calls if call.kind != "token"]
        return len(calls), [(number, call.kind, call.bytes) for number, call in enumerate(calls, 1) if call.kind in CARRIES]

    def bytes(self) -> int:
        """What the org has sent of rows since it was last asked."""
        return sum(call.bytes for call in self.here.org.calls if call.kind in CARRIES)

    def meets(self, action: Any, *, needed: int, **settings: Any) -> None:
        """A sync meets a fault: it is whole, or an error and the table as it was; the next one is whole."""
        faults, tally = self.here.org.faults, self.tally
        self.here.lake.execute("UPDATE raw.a SET Description = 'as it was'")
        before = self.rows()
        rule = faults.add(action, **settings)
        tally.points += 1
        try:
            self.sync()
        except HaloclineError:
            tally.told += 1
            assert self.rows() == before
        else:
            tally.healed += 1
            tally.fetched, tally.needed = tally.fetched + self.bytes(), tally.needed + needed
            tally.short += self.rows() != self.org()
        if not faults.counters(rule)["struck"]:  # how often a job is looked at differs
            tally.points -= 1
            tally.healed -= 1
        faults.clear()
        self.sync()
        assert self.rows() == self.org()

    def rows(self) -> list[tuple[Any, ...]]:
        return sorted(self.here.rows("SELECT Id, Name, Description FROM raw.a"))

    def org(self) -> list[tuple[Any, ...]]:
        return sorted(self.here.org.store.read("SELECT Id, Name, Description FROM Account"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Iterator[Laptop]:
    """An org of five pages, of three in a short run: the first, the last, and what lies between."""
    rows = 45 if pytestconfig.getoption("--long") else 25
    real = registry.open_source
    monkeypatch.setattr(registry, "open_source", lambda *args, **options: real(*args, **options, pace=QUICK))
    for limit in ("SMALLEST_PAGE", "LARGEST_PAGE"):  # our client asks for the largest pages there are
        monkeypatch.setattr(rest, limit, PAGE)
    with laptop(tmp_path, page_rows=PAGE) as running:
        running.add("Account", rows, Name='n{n} "quoted",\r\nline', Description="é𝄞 {n}\n" * 9)
        yield running


def requests_of(downloads: Downloads, count: int, *, long: bool) -> range:
    """The numbers of the requests to try: each, or every fourth, by each way others."""
    return range(1, count + 1) if long else range(1 + list(WAYS).index(downloads.way), count + 1, 4)


def sampled(size: int, *, most: int) -> list[int]:
    """Some of the bytes of an answer, the first and the last among them."""
    step = max(size // most, 1)
    return sorted({0, 1, *range(step, size, step), size - 1})


@pytest.mark.parametrize("way", list(WAYS))
def test_a_download_cut_at_any_byte(here: Laptop, way: str, record_property: Says, pytestconfig: pytest.Config) -> None:
    """The connection ends after k bytes of an answer that holds rows."""
    long = pytestconfig.getoption("--long")
    downloads = Downloads(here, way, Tally())
    _, carries = downloads.plain()
    needed = sum(size for _, _, size in carries)
    for number, (_, kind, size) in enumerate(carries):
        nth = 1 + sum(one == kind for _, one, _ in carries[:number])
        ks = sampled(size, most=60 if long else 2)
        for k in ks if long else ks[(number + list(WAYS).index(way)) % len(ks) :][:1]:
            downloads.meets("cut", needed=needed, kind=kind, nth=nth, where="during", after_bytes=k)
    assert downloads.tally.points >= len(carries)
    assert downloads.tally.short == downloads.tally.told == 0
    downloads.tally.say(record_property, f"downloads cut at byte k, {way}")


@pytest.mark.parametrize("way", list(WAYS))
def test_something_else_comes_instead_of_a_page(
    here: Laptop, way: str, record_property: Says, pytestconfig: pytest.Config
) -> None:
    """JSON, HTML, garbage, nothing, or a refusal, each with a status of its own: once, or for ever."""
    downloads = Downloads(here, way, Tally())
    _, carries = downloads.plain()
    needed = sum(size for _, _, size in carries)
    others = list(enumerate(OTHERS.items()))
    for number, (name, other) in others if pytestconfig.getoption("--long") else others[list(WAYS).index(way) % 2 :: 2]:
        pages = [
            (kind, nth) for kind in ("query.more", "bulk.results") for nth in range(1, 1 + sum(k == kind for _, k, _ in carries))
        ]
        for kind, nth in pages if pytestconfig.getoption("--long") else pages[number % len(pages) :][:1]:
            for times in (1, 0) if pytestconfig.getoption("--long") else ((number + list(WAYS).index(way)) % 2,):
                try:
                    downloads.meets("answer", needed=needed, kind=kind, nth=nth, times=times, **other)
                except BaseException as error:
                    error.add_note(f"{name} in the place of {kind} {nth}, times={times}")
                    raise
    assert downloads.tally.short == 0
    assert downloads.tally.told > 0
    downloads.tally.say(record_property, f"something else instead of a page, {way}")


@pytest.mark.parametrize("way", list(WAYS))
def test_a_session_that_ends_at_any_request(here: Laptop, way: str, record_property: Says, pytestconfig: pytest.Config) -> None:
    """The token has expired when request j arrives: it is renewed, and the same page goes on."""
    downloads = Downloads(here, way, Tally())
    requests, carries = downloads.plain()
    tried = requests_of(downloads, requests, long=pytestconfig.getoption("--long"))
    for number in tried:
        downloads.meets("expire_session", needed=sum(size for _, _, size in carries), path="/data/", nth=number)
    assert (downloads.tally.short, downloads.tally.told) == (0, 0)
    assert downloads.tally.points >= len(tried) - 2
    downloads.tally.say(record_property, f"session expired at request j, {way}")


@pytest.mark.parametrize("way", list(WAYS))
def test_a_list_of_errors_with_success_at_any_request(
    here: Laptop, way: str, record_property: Says, pytestconfig: pytest.Config
) -> None:
    """Whatever is asked for, JSON of another shape is an error of ours and never a page, a description or a job."""
    downloads = Downloads(here, way, Tally())
    requests, _ = downloads.plain()
    long = pytestconfig.getoption("--long")
    for number in requests_of(downloads, requests, long=long):
        downloads.meets("answer", needed=0, path="/data/", nth=number, **OTHERS["JSON of an error"])
    assert downloads.tally.short == 0
    assert downloads.tally.told >= (4 if long else 1)
    downloads.tally.fetched = 0
    downloads.tally.say(record_property, f"a list of errors with 200 at request j, {way}")
