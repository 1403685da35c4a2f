"""Laws of versions: when one starts, what is refused, and that any changes make the history that a small model makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from halocline.connector import Abilities, Deletes, Mode, Plan
from halocline.connectors.duckdb import open_destination as open_duckdb
from halocline.connectors.postgres import open_destination as open_postgres
from halocline.errors import FixConfig, Refused, Stop
from halocline.plan import Wish, decide
from halocline.schema import Column, Kind, Schema
from halocline.spool import Spool
from halocline.testing.destinations import SCHEMA, Bench, DestinationSuite, account, batch, deletions, stamp
from halocline.testing.histories import check_versions
from halocline.versions import refuse_other_kind, stamps, start_after, start_anew, table_schema
from tests.connectors.postgres.server import Place, Server
from tests.examples import examples
from tests.test_plan import DUCKDB, survey

KEEPER = Abilities(history=True, transactional=True)
HISTORY = Wish(flow="f", history=True)


def history_plan(**changes: Any) -> Plan:
    return DestinationSuite().plan(**{"history": True, "mode": Mode.MERGE, **changes})


# ---- the decision


def test_history_is_always_merged() -> None:
    """A full read is complete, and says so; what came since is not. Without history nothing changes."""
    first, later = decide(survey(5), KEEPER, wish=HISTORY), decide(survey(5, first=False), KEEPER, wish=HISTORY)
    assert (first.mode, first.complete, first.whole, first.method) == (Mode.MERGE, True, True, "regular_api_full")
    assert (later.mode, later.complete, later.whole) == (Mode.MERGE, False, False)
    assert any("History is kept" in reason and "lacks" in reason for reason in first.reasons)
    assert not any("lacks" in reason for reason in later.reasons)
    forced = decide(survey(5), KEEPER, wish=replace(HISTORY, force_full=True))
    assert (forced.mode, forced.complete, forced.allow_replace) == (Mode.MERGE, True, True)
    assert forced.reasons[0].endswith("everything is read and merged.")
    plain = decide(survey(5), KEEPER, wish=Wish(flow="f"))
    assert (plain.mode, plain.history, plain.complete, plain.whole) == (Mode.REPLACE, False, False, True)
    assert Plan.from_json(first.to_json()) == first


def test_a_destination_that_cannot_keep_history_is_refused() -> None:
    """The error names those that can."""
    with pytest.raises(FixConfig, match=r"cannot keep history\. DuckDB and PostgreSQL can"):
        decide(survey(5), replace(DUCKDB, history=False), wish=HISTORY)


@pytest.mark.parametrize("name", ["Valid_From", "valid_to"])
def test_a_column_of_that_name_is_refused(name: str) -> None:
    """In any case: the history needs the name for itself. Without history the column is welcome."""
    wide = Schema((*survey(5).schema.columns, Column(name, Kind.DATETIME)), ("Id",))
    with pytest.raises(FixConfig, match=f"{name} itself.*rename"):
        decide(survey(5, schema=wide), KEEPER, wish=HISTORY)
    assert decide(survey(5, schema=wide), KEEPER, wish=Wish(flow="f")).schema == wide


# ---- kinds of tables


def test_the_kind_of_a_table_is_told_by_its_columns() -> None:
    """Both instants, with their zone, and not the source's own: anything else is a table without history."""
    kept = {"id": False, "valid_from": True, "valid_to": True}
    refuse_other_kind("t", history_plan(), names=kept)
    for names in ({"id": False}, {**kept, "valid_to": False}, {"id": False, "valid_from": True}):
        refuse_other_kind("t", history_plan(history=False), names=names)
        with pytest.raises(Refused, match="another table"):
            refuse_other_kind("t", history_plan(), names=names)
    with pytest.raises(Refused, match="--history"):
        refuse_other_kind("t", history_plan(history=False), names=kept)
    own = Schema((*SCHEMA.columns, Column("valid_from", Kind.DATETIME), Column("valid_to", Kind.DATETIME)))
    refuse_other_kind("t", history_plan(history=False, schema=own), names=kept)


def test_a_history_has_two_more_columns() -> None:
    """They come last."""
    assert table_schema(history_plan()).names == (*SCHEMA.names, "valid_from", "valid_to")
    assert table_schema(history_plan(history=False)) == SCHEMA


# ---- when a version starts

T = "TIMESTAMPTZ '2026-03-01T00:00:{:02}+00:00'"


def at(sql: str) -> object:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(f"SELECT epoch_us({sql}) - epoch_us({T.format(0)})").fetchall()[0][0]


@pytest.mark.parametrize(
    ("row", "known", "since", "micros"),
    [
        (T.format(7), T.format(5), T.format(5), 7_000_000),  # the stamp moved on
        (T.format(5), T.format(5), T.format(5), 30_000_000),  # it did not: the window's end
        (T.format(4), T.format(5), T.format(5), 30_000_000),  # an older one
        (T.format(7), T.format(5), T.format(20), 30_000_000),  # moved on, but the version before started later
        (T.format(7), T.format(5), T.format(40), 40_000_001),  # which started after the window's end
        ("NULL::TIMESTAMPTZ", T.format(5), T.format(5), 30_000_000),
    ],
)
def test_a_version_starts_after_the_one_before_it(row: str, known: str, since: str, micros: int) -> None:
    """At the stamp where that moved on, else at the window's end, and always later."""
    plan = history_plan(window=(None, stamp(30).isoformat()))
    assert at(start_after(plan, stamp=row, known=known, since=since)) == micros


@pytest.mark.parametrize(
    ("row", "ended", "micros"),
    [
        (T.format(7), "NULL", 7_000_000),
        ("NULL::TIMESTAMPTZ", "NULL", 30_000_000),
        (T.format(7), T.format(7), 7_000_000),
        (T.format(7), T.format(8), 30_000_000),
        (T.format(7), T.format(40), 40_000_000),
    ],
)
def test_a_version_starts_anew_after_the_last_one_ended(row: str, ended: str, micros: int) -> None:
    """At the stamp, if that is not before the end of the last version, else at the window's end, or that of the version."""
    plan = history_plan(window=(None, stamp(30).isoformat()))
    assert at(start_anew(plan, stamp=row, ended=ended)) == micros


def test_without_instants_the_window_tells() -> None:
    """A cursor of another kind is no time; a window whose end is none stops the load."""
    plan = history_plan(cursor="Count__c", window=(None, stamp(30).isoformat()))
    assert stamps(plan) == ()
    assert stamps(history_plan()) == ("SystemModstamp",)
    assert at(start_after(plan, stamp=None, known="", since=T.format(9))) == 30_000_000
    assert at(start_anew(plan, stamp=None, ended=T.format(9))) == 30_000_000
    for end in ("12", "2026-03-01T00:00:00"):
        with pytest.raises(Stop, match="window ends at"):
            start_anew(history_plan(window=(None, end)), stamp=None, ended="NULL")


# ---- any sequence of changes


@dataclass(frozen=True, slots=True)
class Step:
    """One sync: rows as (key, stamp, name, flagged), deletions as (key, stamp), whether it was complete, seconds until it, and
    whether it asked for records that meet a condition.
    """

    rows: tuple[tuple[int, int, str, bool], ...]
    gone: tuple[tuple[int, int], ...]
    complete: bool
    passed: int
    conditional: bool = False


@dataclass(slots=True)
class Version:
    """A version in the model; times in seconds, fractions for what was seen at one instant."""

    name: str
    flagged: bool
    at: int
    start: float
    end: float | None = None


@dataclass(slots=True)
class Model:
    """A history as a few lines of Python keep it."""

    deletes: Deletes
    of: dict[int, list[Version]] = field(default_factory=dict)
    now: int = 100

    def play(self, step: Step) -> None:
        """One sync."""
        self.now += step.passed
        for key, at_, name, flagged in step.rows:
            self._row(key, Version(name, flagged, at_, 0))
        for key, at_ in step.gone:
            current = self.current(key)
            if current is not None and at_ >= current.at and not current.flagged:
                self._gone(key, current, max(at_, current.at))
        read = {key for key, *_ in step.rows} | {key for key, _ in step.gone}
        for key in self.of if step.complete else ():
            current = self.current(key)
            if current is not None and key not in read and not (current.flagged and self.deletes is Deletes.SOFT):
                self._gone(key, current, None, flagged=not step.conditional)

    def current(self, key: int) -> Version | None:
        """The open version."""
        return next((version for version in self.of.get(key, []) if version.end is None), None)

    def _row(self, key: int, row: Version) -> None:
        current, past = self.current(key), self.of.setdefault(key, [])
        if self.deletes is Deletes.HARD and row.flagged:
            if current is not None:
                current.end = self._after(current, row.at)
        elif current is None:
            ended = max((version.end or 0 for version in past), default=None)
            row.start = row.at if ended is None or row.at >= ended else max(self.now, ended)
            past.append(row)
        elif (current.name, current.flagged, current.at) != (row.name, row.flagged, row.at):
            row.start = current.end = self._after(current, row.at)
            past.append(row)

    def _gone(self, key: int, current: Version, at_: int | None, *, flagged: bool = True) -> None:
        current.end = self._after(current, at_)
        if flagged and self.deletes is Deletes.SOFT:
            self.of[key].append(Version(current.name, True, current.at if at_ is None else at_, current.end))

    def _after(self, current: Version, at_: int | None) -> float:
        if at_ is not None and at_ > current.at and at_ > current.start:
            return at_
        return max(self.now, round(current.start + 1e-6, 6))

    def rows(self) -> list[tuple[object, ...]]:
        """All versions."""
        return sorted(
            (account(key)["Id"], v.name, v.flagged, v.at, v.start, v.end) for key, past in self.of.items() for v in past
        )


KEYS = st.integers(1, 3)
STAMPS = st.integers(0, 120)
ROWS = st.lists(st.tuples(KEYS, STAMPS, st.sampled_from("ab"), st.booleans()), max_size=3, unique_by=lambda row: row[0]).map(
    tuple
)
GONE = st.lists(st.tuples(KEYS, STAMPS), max_size=2, unique_by=lambda row: row[0]).map(tuple)
STEPS = st.builds(Step, ROWS, GONE, st.booleans(), st.sampled_from([0, 0, 1, 7]), st.booleans()).map(
    lambda step: replace(step, gone=tuple(one for one in step.gone if one[0] not in {key for key, *_ in step.rows}))
)


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a history is kept in this test: a bench, all rows of its table, and the way to drop it."""

    bench: Bench
    rows: Callable[[], list[dict[str, Any]]]
    drop: Callable[[], object]


@contextmanager
def duck(folder: Path) -> Iterator[Kept]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        destination = open_duckdb(connection, spool=Spool("s", folder))
        yield Kept(
            Bench(DestinationSuite(), destination),
            lambda: connection.sql('FROM raw."Accounts"').to_arrow_table().to_pylist(),
            lambda: connection.execute('DROP TABLE IF EXISTS raw."Accounts"'),
        )
        destination.close()


@contextmanager
def elephant(place: Place, folder: Path) -> Iterator[Kept]:
    destination = open_postgres(place.uri(), spool=Spool("s", folder))
    spelled = {name.lower(): name for name in SCHEMA.names}

    def rows() -> list[dict[str, Any]]:
        with psycopg.connect(place.uri(), row_factory=dict_row) as connection:
            found = connection.execute("SELECT * FROM raw.accounts").fetchall()
        return [{spelled.get(name, name): value for name, value in row.items()} for row in found]

    yield Kept(Bench(DestinationSuite(), destination), rows, lambda: place.run("DROP TABLE IF EXISTS raw.accounts"))
    destination.close()


@pytest.mark.parametrize("deletes", [Deletes.SOFT, pytest.param(Deletes.HARD, marks=pytest.mark.long)])
def test_any_sequence_of_changes_makes_the_models_history(deletes: Deletes, tmp_path: Path) -> None:
    """Rows, flagged rows, deletions, older stamps, complete reads, syncs at one instant: each version as the model has it."""
    with duck(tmp_path) as kept:
        _any_sequence(deletes, kept)


@pytest.mark.parametrize("deletes", [pytest.param(Deletes.SOFT, marks=pytest.mark.long), Deletes.HARD])
def test_so_it_does_in_postgresql(deletes: Deletes, server: Server, tmp_path: Path) -> None:
    """The same sequences, the same model."""
    with server.place(tmp_path) as place, elephant(place, tmp_path) as kept:
        _any_sequence(deletes, kept)


def _any_sequence(deletes: Deletes, kept: Kept) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]

    @settings(max_examples=examples(12), deadline=None, suppress_health_check=checks, database=None)
    @given(steps=st.lists(STEPS, min_size=2, max_size=7))
    def law(steps: list[Step]) -> None:
        kept.drop()
        model = Model(deletes)
        for step in steps:
            model.play(step)
            rows = [account(k, at=a, Name=name, IsDeleted=flagged) for k, a, name, flagged in step.rows]
            window = (None, stamp(model.now).isoformat())
            options: dict[str, Any] = {"complete": step.complete, "window": window, "deletes": deletes, "history": True}
            options["conditional"] = step.conditional
            kept.bench.merge(batch(rows), deletions(*step.gone), allow_empty=True, allow_replace=True, **options)
            found = kept.rows()
            check_versions(found, gaps=deletes is Deletes.HARD or any(step.complete and step.conditional for step in steps))
            assert _told(found) == model.rows()

    law()


def _told(rows: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    names = ("SystemModstamp", "valid_from", "valid_to")
    return sorted((row["Id"], row["Name"], row["IsDeleted"], *(_seconds(row[name]) for name in names)) for row in rows)


def _seconds(instant: datetime | None) -> float | None:
    return None if instant is None else (instant.astimezone(UTC) - stamp(0)).total_seconds()
