"""Trouble on the server's side: whatever is cut, killed or full, the table is as before, and the next run is right."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.connectors.duckdb.pages import FLOW, TARGET, plan, text_schema
from tests.connectors.postgres.pages import leftovers, load, table, written
from tests.connectors.postgres.server import Place

from halocline.batch import Batch
from halocline.connector import Mode, Part
from halocline.connectors.postgres import destination as module
from halocline.connectors.postgres import pages as blocks
from halocline.connectors.postgres.client import Database
from halocline.connectors.postgres.destination import PostgresDestination
from halocline.errors import HaloclineError, LeaseLost, NetworkFailed, StorageFailed
from halocline.testing.destinations import NoJournal

READY_S = 30.0
OLD = [{"id": "1", "text": "old"}]
NEW = [{"id": "1", "text": "new"}, {"id": "2", "text": "b"}]
OURS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'halocline' AND datname = current_database()"


@pytest.fixture
def fresh(tmp_path: Path) -> Batch:
    return Batch(raw=written(tmp_path / "new.csv", text_schema(), [(row["id"], row["text"]) for row in NEW]))


@pytest.fixture
def filled(destination: PostgresDestination, tmp_path: Path) -> PostgresDestination:
    load(destination, [Batch(raw=written(tmp_path / "old.csv", text_schema(), [("1", "old")]))], text_schema())
    return destination


def _sure(place: Place, destination: PostgresDestination, fresh: Batch, mode: Mode) -> None:
    """The table is as before, and the next run is right and leaves nothing behind."""
    assert table(place) == OLD
    assert destination.position(FLOW, TARGET) == {"done": True}
    load(destination, [fresh], text_schema(), mode=mode)
    assert table(place) == NEW
    assert leftovers(place) == []


@pytest.mark.parametrize("mode", list(Mode))
def test_a_connection_cut_in_the_middle_of_a_copy(
    mode: Mode, filled: PostgresDestination, place: Place, fresh: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a page was sent when the server ended the connection."""
    plain = blocks.bytes_of

    def cut(path: Path) -> Iterator[bytes]:
        whole = b"".join(plain(path))
        yield whole[:20]
        place.run(f"SELECT pg_terminate_backend(pid, 5000) FROM ({OURS} AND query LIKE 'COPY%') x")
        for at in range(20, len(whole)):
            yield whole[at : at + 1] * 100_000  # more than a socket's buffers take
        raise AssertionError("the cut was not noticed")

    with monkeypatch.context() as patched:
        patched.setattr(blocks, "bytes_of", cut)
        with pytest.raises(NetworkFailed, match=r"Copying the part p0 into raw\.page.*run it again"):
            load(filled, [fresh], text_schema(), mode=mode)
    _sure(place, filled, fresh, mode)


@contextmanager
def _before_the_end(monkeypatch: pytest.MonkeyPatch, name: str, action: Any) -> Iterator[None]:
    """Inside the publishing transaction, after a step of it, do something."""
    step = getattr(module, name)

    def stepped(*args: Any, **kwargs: Any) -> Any:
        done = step(*args, **kwargs)
        action()
        return done

    with monkeypatch.context() as patched:
        patched.setattr(module, name, stepped)
        yield


@pytest.mark.parametrize("mode", list(Mode))
def test_a_connection_cut_before_the_commit(
    mode: Mode, filled: PostgresDestination, place: Place, fresh: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All statements were made when the server ended the connection."""

    def cut() -> None:
        place.run(f"SELECT pg_terminate_backend(pid, 5000) FROM ({OURS}) x")

    with _before_the_end(monkeypatch, {Mode.MERGE: "merge", Mode.REPLACE: "publish"}[mode], cut), pytest.raises(NetworkFailed):
        load(filled, [fresh], text_schema(), mode=mode)
    _sure(place, filled, fresh, mode)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_server_that_crashes_before_the_commit(
    mode: Mode, filled: PostgresDestination, place: Place, fresh: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of the server was killed: it restarts by itself, goes back to the last commit, and empties unlogged tables."""

    def crash() -> None:
        os.kill(place.rows(OURS)[0][0], signal.SIGKILL)

    with _before_the_end(monkeypatch, {Mode.MERGE: "merge", Mode.REPLACE: "publish"}[mode], crash), pytest.raises(NetworkFailed):
        load(filled, [fresh], text_schema(), mode=mode)
    with _again(place) as admin:
        after = Place(place.server, place.database, admin)
        _sure(after, filled, fresh, mode)


@contextmanager
def _again(place: Place) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a server that comes back: not before it noticed that a process of it died, and ended all connections."""
    deadline = time.monotonic() + READY_S
    with suppress(psycopg.OperationalError):
        while time.monotonic() < deadline:
            place.run("SELECT pg_sleep(0.05)")
    while True:
        try:
            with psycopg.connect(place.uri(), autocommit=True) as connection:
                yield connection
                return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_server_that_restarts_between_copy_and_commit(filled: PostgresDestination, place: Place, fresh: Batch) -> None:
    """What a crash emptied is missed at the commit: nothing is published."""
    unit = filled.begin(filled.claim(FLOW, "test"))
    manifest = unit.open(TARGET, plan(text_schema(), mode=Mode.MERGE), NoJournal()).stage(Part("p"), iter([fresh]))
    os.kill(place.rows(OURS)[0][0], signal.SIGKILL)
    with _again(place) as admin:
        with pytest.raises(HaloclineError):
            unit.commit({FLOW: {"n": 2}}, [manifest])
        with pytest.raises(HaloclineError, match="0 rows are staged, 2 were announced"):
            unit.commit({FLOW: {"n": 2}}, [manifest])
        unit.close()
        _sure(Place(place.server, place.database, admin), filled, fresh, Mode.MERGE)


def test_a_commit_whose_reply_is_lost_is_found_out(
    filled: PostgresDestination, place: Place, fresh: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke after the server had committed: the position tells, and the run has succeeded."""
    plain = Database.transaction
    publishing = False

    def began() -> None:
        nonlocal publishing
        publishing = True

    @contextmanager
    def lossy(self: Database) -> Iterator[Any]:
        nonlocal publishing
        with plain(self) as cursor:
            yield cursor
        if publishing:
            publishing = False
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    with _before_the_end(monkeypatch, "merge", began), monkeypatch.context() as patched:
        patched.setattr(Database, "transaction", lossy)
        counts = load(filled, [fresh], text_schema(), mode=Mode.MERGE)
    assert (counts.inserted, counts.updated) == (1, 1)
    assert table(place) == NEW


@pytest.mark.parametrize("mode", list(Mode))
def test_a_server_whose_disk_is_full(mode: Mode, filled: PostgresDestination, place: Place, fresh: Batch) -> None:
    """The server's own words are told; here a trigger speaks them, for the disk is not ours to fill."""
    place.run(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;"
        " CREATE TRIGGER full_disk BEFORE INSERT ON raw.page FOR EACH ROW EXECUTE FUNCTION full_disk()"
    )
    with pytest.raises(StorageFailed, match=r"No space left on device.*server's disk"):
        load(filled, [fresh], text_schema(), mode=mode)
    place.run("DROP TRIGGER full_disk ON raw.page")
    _sure(place, filled, fresh, mode)


# ---- two runs


@pytest.mark.parametrize("mode", list(Mode))
def test_a_run_that_wakes_up_late_is_fenced_off(mode: Mode, filled: PostgresDestination, place: Place, fresh: Batch) -> None:
    """A newer run took the flow and swept the older one's staging away: the older one is told so, wherever it goes on."""
    unit = filled.begin(filled.claim(FLOW, "older"))
    opened = unit.open(TARGET, plan(text_schema(), mode=mode), NoJournal())
    manifest = opened.stage(Part("p"), iter([fresh]))
    load(filled, [fresh], text_schema(), mode=mode)
    with pytest.raises(LeaseLost, match="newer run"):
        opened.stage(Part("q"), iter([fresh]))
    with pytest.raises(LeaseLost, match="newer run"):
        unit.commit({FLOW: {"n": 9}}, [manifest])
    unit.close()
    assert table(place) == NEW
    assert filled.position(FLOW, TARGET) == {"done": True}
    assert leftovers(place) == []


def test_a_claim_during_a_commit_wins(
    filled: PostgresDestination, place: Place, fresh: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim made after our commit looked at its lease, and before it ended, makes the commit fail."""
    with _before_the_end(monkeypatch, "merge", lambda: filled.claim(FLOW, "newer")), pytest.raises(LeaseLost, match="newer"):
        load(filled, [fresh], text_schema(), mode=Mode.MERGE)
    _sure(place, filled, fresh, Mode.MERGE)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_part_that_failed_half_way_and_was_repeated_counts_once(
    mode: Mode, filled: PostgresDestination, place: Place, fresh: Batch
) -> None:
    """Batches that were committed to the staging table by an attempt without a manifest are thrown out by their transaction."""

    def broken() -> Iterator[Batch]:
        yield fresh
        raise ConnectionError("cut")

    unit = filled.begin(filled.claim(FLOW, "test"))
    opened = unit.open(TARGET, plan(text_schema(), mode=mode), NoJournal())
    with pytest.raises(ConnectionError):
        opened.stage(Part("p"), broken())
    manifest = opened.stage(Part("p"), iter([fresh]))
    counts = unit.commit({FLOW: {}}, [manifest])
    unit.close()
    assert counts.accounted == 2
    assert table(place) == NEW
