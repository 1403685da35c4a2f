"""The schema changes while a sync reads: between any two calls a field comes, goes, gets wider, another type, another name.

Every text carries its column's name, so that one in a wrong column is seen. Whatever happens, a sync ends well with the org's
values in their columns, or with an error and the table as it was;
the next ones (in full where an error asks for it) have all columns. The short run lets each kind of change happen by two of the
ways, at one point of each; `--long` by all of them at every point.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from halocline import registry
from halocline.emulator import rest
from halocline.emulator.objects import Catalog
from halocline.errors import HaloclineError
from halocline.sync import IntelligentSync, SobjectSync
from tests.connectors.postgres.server import Place
from tests.figures import Says, add
from tests.system.laptop import QUICK, Laptop, laptop

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.usefixtures("conserved")]

SCHEMA = """
object: Drift__c
label: Drift
plural: Drifts
fields:
  First__c: string(80)
  Gone__c: string(80)
  Wide__c: string(20)
  Number__c: double(6,0)
  Old__c: string(80)
  New__c: string(80)
  Added__c: string(80)
  Last__c: string(80)
"""
TEXTS = ("First__c", "Gone__c", "Wide__c", "Old__c", "New__c", "Added__c", "Last__c")
HIDDEN = ("New__c", "Added__c")  # not there yet
PAGE = 10
WAYS = {"rest": (1_000, 1_000), "bulk": (0, 1_000), "stage": (0, 0)}


@dataclass(slots=True)
class Drifting:
    """An org with one object, and a table that follows it."""

    here: Laptop
    session: Any
    rows: Callable[[str], list[tuple[Any, ...]]]

    def afresh(self) -> None:
        """Thirty records, all of them in the table; since then half of them changed and twenty came."""
        self.here.org.org.show()
        self.here.org.org.hide([f"Drift__c.{name}" for name in HIDDEN])
        for (record,) in self.here.org.store.read("SELECT Id FROM Drift__c"):
            self.here.purge("Drift__c", record)
        self._write(range(30))
        self.here.days_pass()
        self.sync("rest", force_full_sync=True)
        self.here.days_pass()
        for (record,) in self.here.org.store.read("SELECT Id FROM Drift__c ORDER BY Id LIMIT 15"):
            self.here.change("Drift__c", record, First__c="First__c changed")
        self._write(range(30, 50))

    def _write(self, numbers: range) -> None:
        for number in numbers:
            values = {name: f"{name} {number}" for name in TEXTS}
            self.here.add("Drift__c", 1, Name=f"n{number}", Number__c=float(number), **values)

    def sync(self, way: str, **options: Any) -> None:
        """One sync by this way. Raises: what stopped it."""
        with IntelligentSync(self.session, self.here.client, settings=self.here.settings) as system:
            system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = WAYS[way]
            system.run(SobjectSync("Drift__c", "raw", "drift", **options))

    def table(self) -> list[dict[str, Any]]:
        """The table's rows by the names of the columns in lower case, in order."""
        listed = (
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'raw' AND table_name = 'drift' ORDER BY 1"
        )
        names = [name for (name,) in self.rows(listed)]
        text = ", ".join(f'"{name}"' for name in names)
        return [
            dict(zip([n.lower() for n in names], row, strict=True))
            for row in self.rows(f"SELECT {text} FROM raw.drift ORDER BY 1")
        ]

    def org(self) -> dict[str, dict[str, Any]]:
        """The records of the org by their Ids: what is visible, names in lower case."""
        sobject = self.here.org.org.catalog.get("Drift__c")
        assert sobject is not None
        names = [name for name in (*TEXTS, "Number__c", "Name") if sobject.field(name)]
        found = self.here.org.store.read(f"SELECT Id, {', '.join(names)} FROM Drift__c")
        return {row[0]: dict(zip((n.lower() for n in names), row[1:], strict=True)) for row in found}

    def retype(self, name: str, **changes: Any) -> None:
        """A field of the object is described in another way from now on."""
        org = self.here.org.org
        view = copy.copy(org.view)
        old = org.catalog.get("Drift__c")
        assert old is not None
        fields = {**old.fields, name.lower(): replace(old.fields[name.lower()], **changes)}
        view.catalog = Catalog([replace(old, fields=fields) if one is old else one for one in org.catalog])
        org._view = view

    def every(self, **values: Any) -> None:
        """All records get these values, stamps and all."""
        for (record,) in self.here.org.store.read("SELECT Id FROM Drift__c"):
            self.here.change("Drift__c", record, **values)


def comes(world: Drifting) -> None:
    world.here.org.org.show(["Drift__c.Added__c"])


def goes(world: Drifting) -> None:
    world.here.org.org.hide(["Drift__c.Gone__c"])


def gets_longer(world: Drifting) -> None:
    world.retype("Wide__c", length=255)
    world.every(Wide__c="Wide__c " + "x" * 200)


def gets_more_digits(world: Drifting) -> None:
    world.retype("Number__c", precision=18, scale=2)
    world.every(Number__c=1234567.25)


def gets_another_type(world: Drifting) -> None:
    world.retype("Number__c", type="string", length=80, precision=0, scale=0)
    world.every(Number__c="Number__c")


def gets_another_name(world: Drifting) -> None:
    world.here.org.org.hide(["Drift__c.Old__c"])
    world.here.org.org.show(["Drift__c.New__c"])


DRIFTS = (comes, goes, gets_longer, gets_more_digits, gets_another_type, gets_another_name)


@contextmanager
def after_call(world: Drifting, number: int, then: Callable[[Drifting], None]) -> Iterator[list[int]]:
    """When so many calls of the data API have been answered, something happens; how many there were in all."""
    calls, seen = world.here.org.calls, [0]
    plain = calls.add

    def watched(call: Any) -> None:
        plain(call)
        seen[0] += 1
        if seen[0] == number:
            then(world)

    calls.add = watched  # type: ignore[method-assign]  # the log is told of a call before its answer leaves
    try:
        yield seen
    finally:
        del calls.add


@dataclass(slots=True)
class Found:
    """What was wrong with a table, over all cases."""

    cases: int = 0
    errors: int = 0
    misplaced: int = 0
    dropped: int = 0
    wrong: int = 0

    def judge(self, world: Drifting, *, whole: bool) -> None:
        """Values stand in their own columns; `whole`: rows and visible columns are the org's."""
        table, org = world.table(), world.org()
        for row in table:
            for name, value in row.items():
                text = name.lower() in {one.lower() for one in TEXTS} and value is not None
                self.misplaced += bool(text and not str(value).lower().startswith(name))
        if whole:
            visible = {name for row in org.values() for name in row}
            self.dropped += len(visible - table[0].keys())
            wrong = [row for row in table if any(row.get(name) != _told(value) for name, value in org[row["id"]].items())]
            self.wrong += len(wrong) + abs(len(table) - len(org))


def _told(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


def case(world: Drifting, way: str, drift: Callable[[Drifting], None], *, at: int, found: Found) -> bool:
    """One drift at one point; whether the sync came so far."""
    world.afresh()
    before = world.table()
    found.cases += 1
    with after_call(world, at, drift) as calls:
        try:
            world.sync(way)
        except HaloclineError:
            found.errors += 1
            found.wrong += world.table() != before
        else:
            found.dropped += len(before[0].keys() - world.table()[0].keys())
        found.judge(world, whole=False)
    if calls[0] < at:
        found.cases -= 1
        return False
    world.here.days_pass()
    world.every(First__c="First__c again")
    try:
        world.sync(way)
    except HaloclineError as error:  # a person has to say that another type is meant
        if "full sync" not in str(error):
            raise
        world.sync(way, force_full_sync=True)
    found.judge(world, whole=True)
    return True


def drifts(world: Drifting, way: str, *, odd: bool, long: bool, record: Says, told: str) -> None:
    """Every drift at every point; or every other drift, by the ways in turn, each at another point."""
    found = Found()
    first = 1 + list(WAYS).index(way)
    tried = list(enumerate(DRIFTS)) if long else list(enumerate(DRIFTS))[odd::2]
    for number, drift in tried:
        at_one = first + number * 5 % len(DRIFTS)
        for at in range(1, 1_000) if long else (at_one,):
            try:
                if not case(world, way, drift, at=at, found=found):
                    break
            except BaseException as error:
                error.add_note(f"{drift.__name__} after call {at}, {way}")
                raise
            assert (found.misplaced, found.dropped, found.wrong) == (0, 0, 0), f"{drift.__name__} after call {at}, {way}"
    assert found.cases >= len(tried)
    add(
        record,
        f"T17 schema drift between two calls, {told}",
        drift_and_point_cases=found.cases,
        ended_with_an_error=found.errors,
        columns_silently_dropped=found.dropped,
        rows_misplaced=found.misplaced,
        rows_wrong_after_the_next=found.wrong,
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    real = registry.open_source
    monkeypatch.setattr(registry, "open_source", lambda *args, **options: real(*args, **options, pace=QUICK))
    for limit in ("SMALLEST_PAGE", "LARGEST_PAGE"):  # our client asks for the largest pages there are
        monkeypatch.setattr(rest, limit, PAGE)
    (tmp_path / "drift.yaml").write_text(SCHEMA)
    with laptop(tmp_path, schemas=(tmp_path / "drift.yaml",), page_rows=PAGE) as running:
        yield running


@pytest.mark.parametrize("way", list(WAYS))
def test_a_field_that_changes_while_it_is_read(
    here: Laptop, way: str, record_property: Says, pytestconfig: pytest.Config
) -> None:
    """Into DuckDB: no column is dropped silently, no value stands in another's place."""
    long = pytestconfig.getoption("--long")
    drifts(Drifting(here, here.lake, here.rows), way, odd=way == "bulk", long=long, record=record_property, told="DuckDB")


@pytest.fixture
def place(place: Place) -> Place:
    place.admin.prepare_threshold = None  # the table's columns change
    return place


@pytest.mark.parametrize(
    "way", [pytest.param("rest", marks=pytest.mark.long), pytest.param("bulk", marks=pytest.mark.long), "stage"]
)
def test_it_does_so_in_postgresql(
    here: Laptop, place: Place, way: str, record_property: Says, pytestconfig: pytest.Config
) -> None:
    """The same law in a server's table."""
    long = pytestconfig.getoption("--long")
    drifts(Drifting(here, place.uri(), place.rows), way, odd=True, long=long, record=record_property, told="PostgreSQL")
