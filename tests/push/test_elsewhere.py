"""Laws of pushes that were begun on another host, as in a container: taken up where their folder is, ended elsewhere."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tests.push.test_past import FIRST, World

from halocline.errors import FixConfig, LeaseHeld
from halocline.push.elsewhere import death
from halocline.push.folder import RunFolder
from halocline.push.open_runs import open_runs, still_running
from halocline.push.order import SyncMode
from halocline.push.resume import check

MODES = pytest.mark.parametrize("mode", [SyncMode.INSERT, SyncMode.UPSERT])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """One whose push died on the host `poda` when its second chunk went out."""
    return died_on_poda(tmp_path, monkeypatch)


def died_on_poda(home: Path, monkeypatch: pytest.MonkeyPatch, mode: SyncMode = SyncMode.UPSERT) -> World:
    made = World(home, mode)
    with monkeypatch.context() as there:
        there.setattr(socket, "gethostname", lambda: "poda")
        made.die_sending()
    assert (made.ledger.get("first").state, made.ledger.running()["first"].host) == ("running", "poda")
    return made


def told_dead(world: World) -> str | None:
    return death(world.ledger.get("first"), world.ledger.running()["first"], home=world.home)


def lost(world: World) -> None:
    """The folder stays behind with its host."""
    (world.home / "runs").rename(world.home / "elsewhere")


@MODES
@pytest.mark.parametrize("by", ["pushed again", "resumed", "discarded"])
def test_on_the_same_volume_it_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: SyncMode, by: str) -> None:
    """Nobody holds its folder, so it is dead whatever its host is called now."""
    world = died_on_poda(tmp_path, monkeypatch, mode)
    assert "process " in str(told_dead(world))
    if by == "pushed again":
        assert world.push().continues == "first"
    elif by == "resumed":
        assert open_runs(world.ledger, home=world.home) == ["first"]
        world.resume()
    else:
        world.discard()
    assert world.org.names() == (["a", "b"] if by == "discarded" else list("abcde"))
    assert world.unsettled == []
    assert still_running(world.ledger) == ""


def test_one_whose_folder_is_held_is_alive(world: World) -> None:
    """Two containers at once: the later one waits, and no word of anybody's ends the first."""
    with RunFolder.of("first", world.home).held():
        assert told_dead(world) is None
        with pytest.raises(LeaseHeld, match=r"process .* of poda, since"):
            world.push()
        for anyway in (False, True):
            with pytest.raises(LeaseHeld, match=r"still at work: process .* of poda"):
                world.discard(anyway=anyway)
    assert world.ledger.get("first").state == "running"


def test_without_its_folder_nobody_can_tell(world: World) -> None:
    """It is no past of which all is well, and each refusal says how it is ended where the host is gone for good."""
    lost(world)
    assert open_runs(world.ledger, home=world.home) == []
    told = still_running(world.ledger)
    assert "first on poda, begun " in told
    assert "halocline resume RUN --discard --anyway" in told
    for ask in (world.push, world.resume, world.discard):
        with pytest.raises(LeaseHeld, match=r"poda.* --discard --anyway"):
            ask()
    assert world.org.names() == ["a", "b"]


def test_whoever_says_that_its_host_is_gone_ends_it(world: World) -> None:
    """The rows of which nobody was told are in doubt, and the next push is free."""
    lost(world)
    check("first", ledger=world.ledger, home=world.home, doing="Discarding", anyway=True)
    run = world.discard(anyway=True)
    assert (run.id, run.in_doubt, run.accounted) == ("first", len(FIRST), len(FIRST))
    assert world.unsettled == []
    assert any("its folder" in notice and "is gone" in notice for notice in world.notices)
    with pytest.raises(FixConfig, match="nothing of it is left to do"):
        world.discard(anyway=True)
    assert world.push().continues is None
    assert world.org.names() == list("abcde")


def test_what_is_no_push_is_not_ended_so(world: World) -> None:
    """A sync of another host has a lease, which tells when it died; a push that noted nothing has sent nothing."""
    world.ledger.start("flow", run="sync", pid=os.getpid(), host="poda")
    with pytest.raises(LeaseHeld, match=r"still at work: process .* of poda"):
        world.discard("sync", anyway=True)
    assert world.ledger.get("sync").state == "running"


@pytest.mark.parametrize("folder", ["/" + "x" * 300, "locked"], ids=["cannot be looked at", "cannot be locked"])
def test_a_folder_of_which_nothing_can_be_told_is_no_evidence(world: World, folder: str) -> None:
    """As another user's, where two hosts have one ledger and the same paths: the run may live, and nothing fails for it."""
    lost(world)
    if folder == "locked":
        (world.home / folder / "lock").mkdir(parents=True)
    plan = {**(world.ledger.get("first").plan or {}), "folder": str(world.home / folder)}
    world.ledger.note("first", plan=plan)  # type: ignore[arg-type]  # it is JSON
    assert told_dead(world) is None
    assert open_runs(world.ledger, home=world.home) == []
    with pytest.raises(LeaseHeld, match="still at work"):
        world.resume()
