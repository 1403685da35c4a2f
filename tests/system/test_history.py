"""Histories of an org that lives: every version that a sync saw stays, and the current rows are the org's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from halocline.connectors.duckdb.destination import DuckDBUnit
from halocline.connectors.postgres.destination import PostgresUnit
from halocline.errors import FixConfig, Refused
from halocline.events import Event, Noticed
from halocline.outcome import Counts
from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync
from halocline.testing.histories import check_versions
from halocline.verify import verify_with
from tests.command_line import app
from tests.connectors.postgres.server import Place, Server
from tests.system.desk import Desk, desk_at, frozen_org
from tests.system.laptop import Laptop, laptop
from tests.test_docs import DOCS, run_page

pytestmark = pytest.mark.system

FIELDS = ("Id", "Name", "Description", "IsDeleted", "SystemModstamp")
TOLD = "Id, Name, IsDeleted, valid_from, valid_to"


class Crash(BaseException):
    """The process dies here; nothing of ours may catch it."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    with laptop(tmp_path) as running:
        running.org.clock.freeze(datetime.fromisoformat("2026-03-01T12:00:30+00:00"))
        yield running


@dataclass(slots=True)
class Annals:
    """An org, and its accounts' history somewhere."""

    here: Laptop
    session: Any
    place: Place | None = None
    deletes: str = "soft"

    def sync(self, told: list[str] | None = None, **options: Any) -> Counts:
        """Sync the accounts with history; `told` gets what was noticed."""

        def watch(event: Event) -> None:
            if told is not None and isinstance(event, Noticed):
                told.append(event.message)

        with IntelligentSync(self.session, self.here.client, settings=self.here.settings, sink=watch) as system:
            run = system.run(self.job(**options), Run.new())
        assert run.counts is not None
        return run.counts

    def job(self, **options: Any) -> SobjectSync:
        given = {"history": True, "deletes": self.deletes, "fields": FIELDS, **options}
        return SobjectSync("Account", "raw", "accounts", **given)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.place.rows(sql) if self.place else self.here.rows(sql)

    def versions(self, record: str) -> list[tuple[str, bool]]:
        """The names of a record's versions in order, with their flags; all versions obey the law."""
        self.check()
        found = self.rows(f"SELECT Name, IsDeleted FROM raw.accounts WHERE Id = '{record}' ORDER BY valid_from")
        return [(name, flag) for name, flag in found]

    def flags(self, record: str) -> list[tuple[bool, bool]]:
        """A record's versions in order: whether each is flagged, and whether it is current."""
        found = self.rows(f"SELECT IsDeleted, valid_to IS NULL FROM raw.accounts WHERE Id = '{record}' ORDER BY valid_from")
        return [(flag, current) for flag, current in found]

    def check(self) -> None:
        """Versions follow each other, and the current rows are the org's."""
        names = ("Id", "Name", "IsDeleted", "valid_from", "valid_to")
        rows = [dict(zip(names, row, strict=True)) for row in self.rows(f"SELECT {TOLD} FROM raw.accounts")]
        check_versions(rows, gaps=self.deletes == "hard")
        listed = ", ".join(FIELDS)
        table = {row[0]: row for row in self.rows(f"SELECT {listed} FROM raw.accounts WHERE valid_to IS NULL")}
        found = self.here.org.store.read(f"SELECT {listed} FROM Account")
        org = {row[0]: (*row[:3], bool(row[3]), datetime.fromisoformat(row[4])) for row in found}
        if self.deletes == "hard":
            assert table == {key: row for key, row in org.items() if not row[3]}
            return
        assert {key: row for key, row in table.items() if key in org} == org
        assert all(row[3] for key, row in table.items() if key not in org)

    def passes(self, seconds: float = 60) -> None:
        self.here.org.clock.advance(seconds)


DATABASES = ("duckdb", "postgres")


def on(database: str) -> pytest.MarkDecorator:
    """A law that the short run shows on one database; `halocline.testing.histories` shows what each does with versions."""
    marked = [pytest.param(one, marks=() if one == database else pytest.mark.long) for one in DATABASES]
    return pytest.mark.parametrize("annals", marked, indirect=True)


@pytest.fixture(params=DATABASES)
def annals(request: pytest.FixtureRequest, here: Laptop, tmp_path: Path) -> Iterator[Annals]:
    if request.param == "duckdb":
        here.lake.execute("SET TimeZone = 'UTC'")
        yield Annals(here, here.lake)
        return
    server: Server = request.getfixturevalue("server")
    with server.place(tmp_path) as place:
        yield Annals(here, place.uri(), place)


def test_edits_deletes_and_undeletes_are_versions(annals: Annals) -> None:
    """Each state that a sync saw, from its own stamp; what was read again in the overlap made none."""
    here = annals.here
    one, two = here.add("Account", 2, Name="n{n}")
    assert annals.sync().inserted == 2
    for name in ("a", "b"):
        annals.passes()
        here.change("Account", one, Name=name)
        counts = annals.sync()
        assert (counts.updated, counts.unchanged) == (1, 1)
    annals.passes()
    here.delete("Account", two)
    assert annals.sync().deleted == 1
    annals.passes()
    here.org.store.undelete(here.sobject("Account"), two, user_id=here.org.org.api_user_id)
    assert annals.sync().updated == 1
    assert annals.sync().changed == 0
    assert annals.versions(one) == [("n0", False), ("a", False), ("b", False)]
    assert annals.versions(two) == [("n1", False), ("n1", True), ("n1", False)]
    stamps = annals.rows("SELECT count(*) FROM raw.accounts WHERE valid_from <> SystemModstamp")
    assert stamps == [(0,)]


@on("postgres")
def test_hard_deletes_end_versions(annals: Annals) -> None:
    """Also of a record that is gone for good before a sync could see it in the bin, and of the loser of a merge."""
    annals.deletes = "hard"
    here = annals.here
    binned, purged, loser, winner = here.add("Account", 4, Name="n{n}")
    annals.sync()
    annals.passes()
    here.delete("Account", binned)
    here.purge("Account", purged)
    here.change("Account", winner, Name="of both")
    here.change("Account", loser, MasterRecordId=winner)
    here.delete("Account", loser)
    counts = annals.sync()
    assert (counts.deleted, counts.updated) == (3, 1)
    for record, name in ((binned, "n0"), (purged, "n1"), (loser, "n2")):
        assert annals.versions(record) == [(name, False)]
    assert annals.rows("SELECT count(*) FROM raw.accounts WHERE valid_to IS NULL") == [(1,)]
    annals.passes()
    here.org.store.undelete(here.sobject("Account"), binned, user_id=here.org.org.api_user_id)
    assert annals.sync().inserted == 1
    assert annals.versions(binned) == [("n0", False), ("n0", False)]


@on("duckdb")
def test_a_full_sync_is_merged(annals: Annals) -> None:
    """What it lacks has vanished; what it has and did not change stays; the past stays in any case."""
    here = annals.here
    kept, changed, *others = here.add("Account", 4, Name="n{n}")
    annals.sync()
    annals.passes(40 * 86_400)  # further back than deletions are listed, so that everything is read
    here.change("Account", changed, Name="new")
    for record in others:
        here.purge("Account", record)
    counts = annals.sync()
    assert (counts.updated, counts.vanished, counts.unchanged) == (1, 2, 1)
    assert annals.versions(others[0]) == [("n2", False), ("n2", True)]
    assert annals.versions(kept) == [("n0", False)]
    before = annals.rows(f"SELECT {TOLD} FROM raw.accounts ORDER BY 1, 4")
    assert annals.sync(force_full_sync=True).changed == 0
    assert annals.rows(f"SELECT {TOLD} FROM raw.accounts ORDER BY 1, 4") == before


@pytest.mark.parametrize("why", ["a new field", "a pause"])
@on("duckdb")
def test_a_record_that_left_its_condition_is_not_told_as_deleted(annals: Annals, why: str) -> None:
    """Its version ends, as that of one that is gone, and that is told. When it meets the condition again, a version starts after
    a gap; both sides agree throughout.
    """
    here = annals.here
    job: dict[str, Any] = {"where_clause": "Name LIKE 'in%'"}
    kept, left, purged = here.add("Account", 3, Name="in {n}")
    assert annals.sync(**job).inserted == 3
    annals.passes(16 * 86_400 if why == "a pause" else 3_600)
    here.change("Account", left, Name="out")
    here.purge("Account", purged)
    job["fields"] = FIELDS if why == "a pause" else (*FIELDS, "Site")
    said: list[str] = []
    assert annals.sync(told=said, **job).vanished == 2
    assert said == ["raw.accounts: 2 current versions ended; their records no longer meet the condition, or are gone."]
    assert annals.flags(kept) == [(False, True)]
    assert annals.flags(left) == annals.flags(purged) == [(False, False)]
    assert annals.sync(**job).changed == 0
    with IntelligentSync(annals.session, here.client, settings=here.settings) as system:
        assert verify_with(system, annals.job(**job), full=True).equal
    annals.passes(3_600)
    here.change("Account", left, Name="in again")
    assert annals.sync(**job).inserted == 1
    assert annals.flags(left) == [(False, False), (False, True)]


@on("duckdb")
def test_deletes_that_become_hard_end_flagged_rows(annals: Annals) -> None:
    """The sync reads everything for that very reason, and then both sides agree."""
    here = annals.here
    _, binned, purged = here.add("Account", 3, Name="n{n}")
    annals.sync()
    annals.passes()
    here.delete("Account", binned)
    here.purge("Account", purged)
    assert annals.sync().deleted == 2
    assert annals.flags(purged) == [(False, False), (True, True)]
    annals.deletes = "hard"
    counts = annals.sync()
    assert (counts.deleted, counts.vanished) == (1, 1)
    assert annals.flags(binned) == annals.flags(purged) == [(False, False), (True, False)]
    with IntelligentSync(annals.session, here.client, settings=here.settings) as system:
        assert verify_with(system, annals.job(), full=True).equal


@on("postgres")
def test_a_new_field_makes_versions_from_now_on(annals: Annals) -> None:
    """Its values are read for all rows, and nobody says that they were there before."""
    here = annals.here
    here.add("Account", 2, Name="n{n}", Rating="Hot")
    annals.sync()
    annals.passes()
    assert annals.sync(fields=(*FIELDS, "Rating")).updated == 2
    found = annals.rows("SELECT Rating, valid_to IS NULL FROM raw.accounts ORDER BY valid_from")
    assert sorted(found, key=str) == [("Hot", True), ("Hot", True), (None, False), (None, False)]
    annals.check()


@pytest.mark.parametrize(
    ("annals", "published"),
    [
        ("duckdb", False),
        ("postgres", True),
        *(pytest.param(*pair, marks=pytest.mark.long) for pair in (("duckdb", True), ("postgres", False))),
    ],
    indirect=["annals"],
)
def test_a_death_at_the_commit_doubles_no_version(annals: Annals, published: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it died before the commit or after it, the next sync makes just the versions that are missing."""
    here = annals.here
    (one,) = here.add("Account", Name="first")
    annals.sync()
    annals.passes()
    here.change("Account", one, Name="second")
    unit = PostgresUnit if annals.place else DuckDBUnit
    real = unit.commit

    def dies(self: Any, *given: Any, **named: Any) -> Counts:
        if published:
            real(self, *given, **named)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(unit, "commit", dies)
        with pytest.raises(Crash):
            annals.sync()
    assert annals.sync().updated == (0 if published else 1)
    assert annals.versions(one) == [("first", False), ("second", False)]


@on("duckdb")
def test_an_empty_answer_ends_nothing(annals: Annals) -> None:
    """An org that suddenly shows no records is no reason to close them all, unless that is allowed."""
    here = annals.here
    records = here.add("Account", 3, Name="n{n}")
    annals.sync()
    annals.passes(40 * 86_400)
    for record in records:
        here.purge("Account", record)
    with pytest.raises(Refused, match="no rows"):
        annals.sync()
    assert annals.rows("SELECT count(*) FROM raw.accounts") == [(3,)]
    assert annals.sync(allow_empty=True).vanished == 3
    annals.check()


@on("postgres")
def test_history_is_neither_turned_on_nor_off(annals: Annals) -> None:
    """Both ways the table stays as it was, and the error says where to go."""
    here = annals.here
    (one,) = here.add("Account", Name="first")
    annals.sync(history=False)
    annals.passes()
    here.change("Account", one, Name="second")
    for forced in (False, True):
        with pytest.raises(Refused, match="another table"):
            annals.sync(force_full_sync=forced)
    assert annals.rows("SELECT Name FROM raw.accounts") == [("first",)]
    _drop(annals)
    annals.sync()
    for forced in (False, True):
        with pytest.raises(Refused, match="--history"):
            annals.sync(history=False, force_full_sync=forced)
    assert annals.versions(one) == [("second", False)]


def _drop(annals: Annals) -> None:
    if annals.place:
        annals.place.run("DROP TABLE raw.accounts")
    else:
        annals.here.lake.execute("DROP TABLE raw.accounts")


@on("duckdb")
def test_a_renamed_column_may_not_take_the_name(annals: Annals) -> None:
    """The plan says so before anything is read."""
    annals.here.add("Account", Name="first")
    with pytest.raises(FixConfig, match="Valid_From itself"):
        annals.sync(rename={"Description": "Valid_From"})
    assert annals.sync(history=False, rename={"Description": "Valid_From"}).inserted == 1


def test_what_hangs_on_a_history_in_postgresql_stays(here: Laptop, server: Server, tmp_path: Path) -> None:
    """A key of each version and of each current row, a view, a generated column, and a column of the user's own."""
    with server.place(tmp_path) as place:
        annals = Annals(here, place.uri(), place)
        (one,) = here.add("Account", Name="first")
        annals.sync()
        place.run("CREATE VIEW raw.now AS SELECT * FROM raw.accounts WHERE valid_to IS NULL")
        place.run("ALTER TABLE raw.accounts ADD COLUMN note text, ADD COLUMN loud text GENERATED ALWAYS AS (upper(name)) STORED")
        place.run("UPDATE raw.accounts SET note = 'mine'")
        annals.passes()
        here.change("Account", one, Name="second")
        annals.sync(force_full_sync=True)
        assert annals.rows("SELECT name, note, loud FROM raw.accounts ORDER BY valid_from") == [
            ("first", "mine", "FIRST"),
            ("second", "mine", "SECOND"),
        ]
        assert annals.rows("SELECT name FROM raw.now") == [("second",)]
        keys = annals.rows("SELECT indexdef FROM pg_indexes WHERE tablename = 'accounts' ORDER BY 1")
        assert [definition.split(" USING btree ")[1] for (definition,) in keys] == [
            "(id) WHERE (valid_to IS NULL)",
            "(id, valid_from)",
        ]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with frozen_org() as emulator, desk_at(emulator, tmp_path, monkeypatch) as opened:
        yield opened


def test_history_by_the_command_line(desk: Desk) -> None:
    """`--history` is an option of sync and plan; mistakes end with 2 or 1 and change nothing."""
    assert desk.sync("rest", "--history").exit_code == 0
    desk.life()
    told = desk.sync("bulk", "--history")
    assert told.exit_code == 0, told.err
    assert "14 updated" in told.out
    plan = ["plan", "Account", "--to", f"duckdb:///{desk.lake}", "--table", "Account", "--fields", ",".join(FIELDS), "--history"]
    planned = CliRunner().invoke(app, plan, env=desk.env)
    assert planned.exit_code == 0
    assert "History is kept" in planned.output
    before = desk.dump()
    refused = desk.sync("rest")
    assert (refused.exit_code, "--history" in refused.err) == (1, True)
    assert desk.dump() == before


def test_the_page_about_history_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its samples run as they stand, and print what the page says."""
    for name in [name for name in os.environ if name.startswith(("SF_", "HALOCLINE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    page = DOCS / "history.md"
    run_page(page)
    shown = page.read_text().partition("```text\n")[2].partition("```")[0]
    assert capsys.readouterr().out == shown
