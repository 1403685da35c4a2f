"""Laws of looking ahead while earlier pushes of the flow are not told to their end: it is said, and nothing is booked."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tests.push.test_past import OTHER, World

from halocline.push.folder import RunFolder
from halocline.push.order import SyncMode
from halocline.push.pending import Pending, pending

HERE = socket.gethostname()


def looked(world: World, *, org: str = "00D1") -> tuple[Pending, ...]:
    return pending("flow", org=org, ledger=world.ledger, home=world.home)


def test_a_push_that_died_is_pending_until_its_rows_are_told(tmp_path: Path) -> None:
    """It stays booked as running: who looks changes nothing."""
    world = World(tmp_path)
    assert looked(world) == ()
    world.die_sending()
    assert looked(world) == (Pending("first", cut_off=True),)
    assert "run first was cut off" in str(looked(world)[0])
    assert world.ledger.get("first").state == "running"
    assert (looked(world, org="00D2"), pending("other", org="00D1", ledger=world.ledger, home=tmp_path)) == ((), ())
    world.push()
    assert looked(world) == ()


def test_so_is_an_insert_that_waits_for_a_person(tmp_path: Path) -> None:
    """Also behind a push that was told to its end."""
    world = World(tmp_path, SyncMode.INSERT)
    world.die_sending()
    world.push(OTHER)
    assert looked(world) == (Pending("first", cut_off=True),)


def test_of_one_without_its_folder_nothing_will_be_told(tmp_path: Path) -> None:
    """An insert stays so until a person ends it."""
    world = World(tmp_path, SyncMode.INSERT)
    world.die_sending()
    RunFolder.of("first", tmp_path).delete()
    assert looked(world) == (Pending("first", cut_off=True, lost=True, refused=True),)
    told = "its folder is gone: nobody can say what became of its rows. `halocline resume first --discard --anyway` ends it"
    assert told in str(looked(world)[0])
    world.discard(anyway=True)
    assert looked(world) == ()


@pytest.mark.parametrize("host", [HERE, "poda"])
def test_one_that_may_live_has_not_ended(tmp_path: Path, host: str) -> None:
    """A process of here that lives, or one of elsewhere whose folder is held; a free folder tells that it died."""
    world = World(tmp_path)
    world.die_sending()
    plan = world.ledger.get("first").plan or {}
    world.discard()
    world.ledger.start("flow", run="second", pid=os.getpid(), host=host)
    world.ledger.note("second", plan={**plan, "push": {**plan["push"], "folder": str(tmp_path / "runs" / "second")}})  # type: ignore[dict-item]
    world.ledger.journal("second").intend("whole")
    folder = RunFolder.of("second", tmp_path)
    folder.make()
    with folder.held():
        assert looked(world) == (Pending("second", cut_off=False, lost=True),)
        assert "run second has not ended" in str(looked(world)[0])
    assert looked(world) == (Pending("second", cut_off=host != HERE, lost=True),)
