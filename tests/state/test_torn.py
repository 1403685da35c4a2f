"""T27: state that is cut off, damaged in a bit or left by a newer version is a clean error, or is as it was."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from halocline.connectors.salesforce.writing.cargo import Prepared
from halocline.errors import FixConfig, HaloclineError, StorageFailed
from tests.command_line import app
from tests.figures import Says, add
from tests.state.opened import VERSIONS, VIEWS, State, lake_view, ledger_view, sent_view
from tests.system.shell import env_of

WHAT = "T27 state, torn"
UNSUMMED = {"ledger", "claims", "sent", "lake.sqlite", "letter", "org"}
"""Pieces without checksums: SQLite has none, nor has a letter. A bit that is turned over within a value is not seen there."""


@pytest.fixture(params=VERSIONS)
def state(request: pytest.FixtureRequest, tmp_path: Path) -> State:
    return State.unpacked(request.param, tmp_path / "state")


def piece(state: State, where: str) -> Path:
    """The first file of that place."""
    return min(state.folder.glob(where))


def damages(data: bytes, *, count: int) -> Iterator[tuple[str, bytes]]:
    """The bytes cut off at so many places, and with so many bits turned over; half of them near the beginning."""
    chance = random.Random(len(data))
    ends = [len(data), min(len(data), 4096)]
    for number in range(count):
        yield "cut", data[: chance.randrange(2, ends[number % 2])]
    for number in range(count):
        at = chance.randrange(ends[number % 2])
        yield "turned", data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def judged(name: str, how: str, *, view: Callable[[], Any], before: Any) -> str:
    """What becomes of a damaged piece: a figure's name."""
    try:
        found = view()
    except HaloclineError:
        return "clean_errors"
    except sqlite3.DatabaseError:
        assert name == "org", "SQLite's error, as it is"  # so the class raises it; the command line says it in a line
        return "clean_errors"
    if found == before:
        return "opened_as_they_were"
    if name == "letter" and [one for one in found if one[2]] == before[1:]:
        return "clean_errors"  # it is told, and kept, as no message
    return "with_another_value" if how == "turned" and name in UNSUMMED else "wrong"


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("count", [6, pytest.param(150, marks=pytest.mark.long)])
def test_a_damaged_piece_is_an_error_or_as_it_was(name: str, count: int, state: State, record_property: Says) -> None:
    """Cut off anywhere, or with any bit turned over; where there are checksums, no other value is ever seen."""
    where, view = VIEWS[name]
    before, victim = view(state), piece(state, where)
    data, found = victim.read_bytes(), Counter[str](clean_errors=0, opened_as_they_were=0, with_another_value=0, wrong=0)
    for how, bad in damages(data, count=count):
        for left in victim.parent.glob(f"{victim.name}?*"):  # logs of the one before
            left.unlink()
        victim.write_bytes(bad)
        found[judged(name, how, view=lambda: view(state), before=before)] += 1
    add(record_property, WHAT, **found)
    assert not found["wrong"]
    assert found["clean_errors"]


@pytest.mark.parametrize("name", ["ledger", "sent", "lake.sqlite"])
def test_an_empty_file_is_a_new_one(name: str, state: State) -> None:
    """As SQLite takes it; the next sync reads everything, and nothing of the table is doubled by that."""
    where, view = VIEWS[name]
    piece(state, where).write_bytes(b"")
    assert not any(view(state).values() if name == "ledger" else view(state))


@pytest.mark.parametrize("name", ["ledger", "sent"])
def test_a_name_that_is_no_text_is_an_error(name: str, state: State) -> None:
    """A table's, as a bit that was turned over leaves it."""
    where, view = VIEWS[name]
    victim = piece(state, where)
    data = victim.read_bytes()
    bare = {"ledger": b"leases", "sent": b"loads"}[name]
    assert bare in data[:4096]
    victim.write_bytes(data[:4096].replace(bare, b"\xac" + bare[1:]) + data[4096:])
    with pytest.raises(StorageFailed):
        view(state)


# ---- left by a newer version


def test_what_a_newer_version_left_is_refused(state: State, record_property: Says) -> None:
    """By the numbers in the ledger, in what was sent, in a table's log and in a push's folder; with what to do."""
    with sqlite3.connect(state.ledger) as db:
        db.execute("INSERT INTO migrations (number, name, ran) VALUES (99, 'later', '2030-01-01')")
    db.close()
    with sqlite3.connect(state.sent) as db:
        db.execute("UPDATE facts SET value = '99' WHERE name = 'version'")
    db.close()
    log = piece(state, "lake/Account/_halocline/00000002.json")
    log.write_text(json.dumps(json.loads(log.read_text()) | {"halocline": 99}))
    staged = state.folder / "home" / "runs" / state.told["ledgers"]["file"]["upsert"]["run"] / "load"
    plan = staged / "plan.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"halocline": 99}))
    views: tuple[Callable[[], Any], ...] = (
        lambda: ledger_view(state.ledger),
        lambda: sent_view(state),
        lambda: lake_view(state, "files"),
        lambda: Prepared.open(staged),
    )
    for view in views:
        with pytest.raises(FixConfig, match=r"newer Halocline|version 99"):
            view()
    add(record_property, WHAT, clean_errors=len(views))


def test_a_store_that_is_none_is_said_by_the_emulators_command(state: State) -> None:
    """One line, and no traceback."""
    store = state.folder / "org.sqlite"
    store.write_bytes(store.read_bytes()[:5000])
    done = CliRunner().invoke(app, ["emulator", "--port", "0", "--no-https", "--no-proxy", "--store", str(store)])
    assert done.exit_code == 1
    assert "Opening the org in" in done.stderr


# ---- a push's folder


CUTS = [("load/plan.json", 0.5), ("load/collections.arrow", 0.7), ("rows", 0.5), ("rows", 0)]


@pytest.mark.parametrize(("name", "share"), CUTS)
def test_a_damaged_run_folder_loses_and_doubles_nothing(name: str, share: float, state: State, record_property: Says) -> None:
    """A push that was killed and whose files are cut off says so, or tells of every row what became of it."""
    told = state.told["ledgers"]["file"]["upsert"]
    victim = state.folder / "home" / "runs" / told["run"] / name
    victim.write_bytes(victim.read_bytes()[: int(victim.stat().st_size * share)])
    with state.org() as org:
        env = env_of(org, state.folder / "home")
        done = CliRunner().invoke(app, ["resume", told["run"], "--json"], env=env)
        keys = [str(one["Ext__c"]) for one in org.query("SELECT Ext__c FROM Account")]
    there = Counter(key for key in keys if key.startswith("file-upsert-"))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert max(there.values()) == 1
    complete = len(there) == told["rows"]
    assert done.exit_code in (1, 2) or complete, (done.stdout, done.stderr)
    add(record_property, WHAT, **{"opened_as_they_were" if done.exit_code == 0 else "clean_errors": 1})
