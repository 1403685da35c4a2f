"""A full refresh is seen whole or not at all: somebody reads the table all the time while it is refreshed again and again.

Every refresh carries another version of every record, and another number of them: a reader that saw two versions, or a number
that no version has, or no table, saw a torn table.
And a source that suddenly answers nothing, or far too little, replaces no table.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from halocline import guards
from halocline.connectors.files import read_table
from halocline.errors import Refused
from halocline.sync import IntelligentSync, SobjectSync
from tests.connectors.postgres.server import Place
from tests.examples import in_turn
from tests.figures import Says, add
from tests.system.laptop import Laptop, laptop

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.usefixtures("conserved")]

ROWS = 40
SMALL = 50  # rows up to which no share of a table counts as a mass delete, where it is a thousand otherwise
QUICKLY = (1_000_000, 1_000_000)  # thresholds: by REST
WAYS = {"rest": QUICKLY, "bulk": (1, 1_000_000), "stage": (1, 1)}
Look = Callable[[], tuple[int, set[str]] | None]
"""What a reader sees: the number of rows, and their names; None where there is no table."""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Laptop]:
    with laptop(tmp_path) as running:
        yield running


@dataclass(slots=True)
class Reader:
    """Looks at the table without a pause, in a thread of its own."""

    rows: int
    reads: int = 0
    torn: int = 0
    versions: int = 0
    error: BaseException | None = None

    def watch(self, look: Look, ended: threading.Event) -> None:
        """Until it has ended; a look that fails is kept."""
        seen: set[str] = set()
        try:
            while not ended.is_set():
                count, names = look() or (0, set())
                self.reads += 1
                whole = len(names) == 1 and count == self.rows + int(min(names)[1:])
                self.torn += not whole
                seen |= names
        except BaseException as error:  # noqa: BLE001  # told in the test's own thread
            self.error = error
        self.versions = len(seen)


@contextmanager
def read_all_the_time(look: Look, rows: int) -> Iterator[Reader]:
    """A reader until the block ends."""
    reader, ended = Reader(rows), threading.Event()
    thread = threading.Thread(target=reader.watch, args=(look, ended))
    thread.start()
    try:
        yield reader
    finally:
        ended.set()
        thread.join()
    if reader.error is not None:
        raise reader.error


def next_version(here: Laptop, number: int) -> None:
    """Every record gets another name, and one more comes."""
    if number:
        here.add("Account", 1)
    account, user = here.sobject("Account"), here.org.org.api_user_id
    for (record,) in here.org.store.read("SELECT Id FROM Account"):
        here.org.store.update(account, record, {"Name": f"v{number}"}, user_id=user)


def refreshed(here: Laptop, session: Any, look: Look, *, rows: int, times: int) -> Reader:
    """So many full refreshes by all ways in turn, while somebody reads."""
    here.add("Account", rows)
    job = SobjectSync("Account", "raw", "a", fields=("Id", "Name"), force_full_sync=True)
    with IntelligentSync(session, here.client, settings=here.settings) as system:
        next_version(here, 0)
        system.run(job)
        with read_all_the_time(look, rows) as reader:
            for number in range(1, times + 1):
                system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = list(WAYS.values())[number % len(WAYS)]
                next_version(here, number)
                system.run(job)
    return reader


def duckdb_reader(here: Laptop, place: Place) -> tuple[Any, Look]:
    cursor = here.lake.cursor()

    def look() -> tuple[int, set[str]]:
        ((count, names),) = cursor.execute("SELECT count(*), list(DISTINCT Name) FROM raw.a").fetchall()
        return count, set(names)

    return here.lake, look


def postgres_reader(here: Laptop, place: Place, *, view: bool = False) -> tuple[Any, Look]:
    watched = "raw.a"

    def look() -> tuple[int, set[str]]:
        nonlocal watched
        if view and watched == "raw.a":
            place.run("CREATE VIEW raw.seen AS SELECT * FROM raw.a")  # from now on the table stays the table
            watched = "raw.seen"
        query = f"SELECT count(*), array_agg(DISTINCT name) FROM {watched}"
        ((count, names),) = place.rows(query)
        return count, set(names)

    return place.uri(), look


def view_reader(here: Laptop, place: Place) -> tuple[Any, Look]:
    return postgres_reader(here, place, view=True)


def files_reader(here: Laptop, place: Place) -> tuple[Any, Look]:
    uri = f"file://{here.folder}/lake"

    def look() -> tuple[int, set[str]]:
        table = read_table(uri, "a", schema="raw").read_all()
        return table.num_rows, set(table.column("Name").to_pylist())

    return uri, look


READERS = {"duckdb": duckdb_reader, "postgresql": postgres_reader, "postgresql with a view": view_reader, "files": files_reader}


@pytest.mark.parametrize("name", list(READERS))
@pytest.mark.parametrize(("rows", "times"), [(ROWS, 4), pytest.param(10_000, 60, marks=pytest.mark.long)])
def test_a_refresh_is_seen_whole_or_not_at_all(
    name: str, rows: int, times: int, here: Laptop, place: Place, record_property: Says
) -> None:
    """No reader sees rows of two versions, a part of a version, or no table."""
    session, look = READERS[name](here, place)
    reader = refreshed(here, session, look, rows=rows, times=times)
    assert reader.reads > times
    assert reader.versions >= 3
    add(
        record_property, f"T18 {name}", refreshes=times, reads=reader.reads, versions_seen=reader.versions, torn_reads=reader.torn
    )
    assert reader.torn == 0


# ---- answers that would gut a table


@pytest.mark.parametrize(("name", "answer"), in_turn(["duckdb", "postgresql", "files"], ["none", "half"]))
def test_an_answer_that_would_gut_the_table_is_refused(
    name: str,
    answer: str,
    here: Laptop,
    place: Place,
    record_property: Says,
    pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows that a login cannot see any more look like rows that are gone: the table stays; the error says how to go on."""
    monkeypatch.setattr(guards, "SMALL_DELETE_ROWS", SMALL)
    session, look = READERS[name](here, place)
    here.add("Account", 2 * SMALL + 5, Name="v0")
    job = SobjectSync("Account", "raw", "a", fields=("Id", "Name", "SystemModstamp"))
    with IntelligentSync(session, here.client, settings=here.settings) as system:
        system.run(job)
        before = look()
        here.days_pass(16)  # too long ago for what changed to be listed: everything is read again
        ids = here.org.store.read("SELECT Id FROM Account ORDER BY Id")
        for (record,) in ids if answer == "none" else ids[: SMALL + 15]:
            here.purge("Account", record)
        for thresholds in list(WAYS.values())[: None if pytestconfig.getoption("--long") else 1]:
            system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = thresholds
            with pytest.raises(Refused, match=r"allow_empty=True|max_delete_share=1\.0"):
                system.run(job)
            assert look() == before
            add(
                record_property,
                f"T18 {name}, answers with {'no row' if answer == 'none' else 'far too few rows'}",
                refused=1,
                taken=0,
            )
