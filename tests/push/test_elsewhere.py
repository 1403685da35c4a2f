"""Laws of pushes that were begun on another host, in another container, or before a restart: taken up where their folder is."""

from __future__ import annotations

import os
import shutil
import socket
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from tests.push.test_past import FIRST, OTHER, World

from halocline.errors import FixConfig, LeaseHeld, NotFound, RetryLater
from halocline.ledger import process
from halocline.push.elsewhere import death
from halocline.push.folder import RunFolder
from halocline.push.open_runs import open_runs, still_running
from halocline.push.order import SyncMode
from halocline.push.resume import check

MODES = pytest.mark.parametrize("mode", [SyncMode.INSERT, SyncMode.UPSERT])
HARMLESS = [SyncMode.UPSERT, SyncMode.UPDATE, SyncMode.DELETE]
HERE = socket.gethostname()


@pytest.fixture(autouse=True)
def _boot(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A boot and a PID namespace, as Linux tells them, on any machine."""
    in_world(tmp_path_factory.mktemp("here"), monkeypatch, boot="b1", namespace="pid:[1]")


def in_world(folder: Path, patch: pytest.MonkeyPatch, *, boot: str, namespace: str) -> None:
    (folder / "boot").write_text(boot)
    (folder / "pid").symlink_to(namespace)
    patch.setattr(process, "_BOOT", folder / "boot")
    patch.setattr(process, "_NAMESPACE", folder / "pid")


def go(where: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Be on the host `poda`, or in another container of this one's name, or on this host before it was restarted."""
    if where == "host":
        patch.setattr(socket, "gethostname", lambda: "poda")
    else:
        folder.mkdir(parents=True)
        boot, namespace = ("b1", "pid:[2]") if where == "container" else ("b0", "pid:[1]")
        in_world(folder, patch, boot=boot, namespace=namespace)


@pytest.fixture(params=["host", "container", "before the restart"])
def where(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> World:
    """One whose push died elsewhere when its second chunk went out."""
    return died_elsewhere(tmp_path, monkeypatch, where)


def died_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch, where: str, mode: SyncMode = SyncMode.UPSERT) -> World:
    made = World(home, mode)
    with monkeypatch.context() as there:
        go(where, home / "there", there)
        made.die_sending()
    assert (made.ledger.get("first").state, made.ledger.running()["first"].elsewhere) == ("running", True)
    assert made.ledger.dead() == {}
    return made


@MODES
def test_a_function_of_lambda_is_dead_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: SyncMode
) -> None:
    """Nobody sees its folder; but none lasts longer than 15 minutes. Until then it may live; then all but inserts go on."""
    with monkeypatch.context() as there:
        there.setenv("AWS_LAMBDA_FUNCTION_NAME", "etl")
        world = died_elsewhere(tmp_path, there, "container", mode)
    shutil.rmtree(world.home / "runs")
    assert told_dead(world) is None
    with pytest.raises(LeaseHeld):
        world.push()
    monkeypatch.setattr(process, "_FUNCTION_S", -process._CLOCKS_S - 1)
    assert "no call of a function of AWS Lambda lasts as long" in str(told_dead(world))
    if mode is SyncMode.INSERT:
        with pytest.raises(RetryLater, match="is gone: nobody can say"):
            world.push()
    else:
        world.push()
        assert world.org.names() == list("abcde")


def test_only_functions_of_lambda_have_such_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container of another kind may be at work for days."""
    world = died_elsewhere(tmp_path, monkeypatch, "container")
    shutil.rmtree(world.home / "runs")
    monkeypatch.setattr(process, "_FUNCTION_S", -process._CLOCKS_S - 1)
    assert told_dead(world) is None


def told_dead(world: World) -> str | None:
    return death(world.ledger.get("first"), world.ledger.running()["first"], home=world.home)


def made(world: World) -> list[str]:
    """The ids of the records that an earlier push made."""
    world.push()
    return list(world.org.records)


def lost(world: World) -> None:
    """The folder stays behind with its host."""
    (world.home / "runs").rename(world.home / "elsewhere")


@MODES
@pytest.mark.parametrize("by", ["pushed again", "resumed", "discarded"])
def test_on_the_same_volume_it_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, mode: SyncMode, by: str
) -> None:
    """Nobody holds its folder, so it is dead whatever its host is called now."""
    world = died_elsewhere(tmp_path, monkeypatch, where, mode)
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
        with pytest.raises(LeaseHeld, match=rf"process .* of (poda|{HERE}), since"):
            world.push()
        for anyway in (False, True):
            with pytest.raises(LeaseHeld, match=rf"still at work: process .* of (poda|{HERE})"):
                world.discard(anyway=anyway)
    assert world.ledger.get("first").state == "running"


@MODES
def test_without_its_folder_nobody_can_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, mode: SyncMode) -> None:
    """It is no past of which all is well, and each refusal says how it is ended where the host is gone for good."""
    world = died_elsewhere(tmp_path, monkeypatch, where, mode)
    lost(world)
    assert told_dead(world) is None
    assert open_runs(world.ledger, home=world.home) == []
    told = still_running(world.ledger)
    assert f"first on {world.ledger.running()['first'].host}, begun " in told
    assert "halocline resume RUN --discard --anyway" in told
    for ask in (world.push, world.resume, world.discard):
        with pytest.raises(LeaseHeld, match=r" --discard --anyway"):
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
    with pytest.raises(LeaseHeld, match=r"still at work: process .* of poda.*It has noted no rows, so it sent none") as caught:
        world.discard("sync", anyway=True)
    assert "--anyway" not in str(caught.value)
    assert world.ledger.get("sync").state == "running"


@pytest.mark.parametrize("state", ["free", "held", "just made", "never held"])
def test_one_that_noted_nothing_is_dead_where_its_folder_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, state: str
) -> None:
    """It died while its rows were put aside, and nothing of it was sent; one that is only making its folder is left alone."""
    world, folder = World(tmp_path), RunFolder.of("staging", tmp_path)
    with monkeypatch.context() as there:
        go(where, tmp_path / "there", there)
        world.ledger.start("flow", run="staging", pid=1, host=socket.gethostname())
    folder.make()
    with folder.held() if state != "never held" else nullcontext():
        if state != "just made":
            os.utime(folder.path, (0, 0))
        if state == "held":
            assert world.push().written == len(FIRST)
    if state != "held":
        world.push()
    assert world.ledger.get("staging").state == ("abandoned" if state == "free" else "running")


# ---- the process has certainly ended, and its folder is gone


@MODES
@pytest.mark.parametrize("end", ["process", "elsewhere"])
def test_an_insert_whose_folder_is_gone_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, mode: SyncMode, end: str
) -> None:
    """However sure it is that the run is dead: a key keeps an upsert from being doubled, nothing does that of an insert."""
    if end == "process":
        world = World(tmp_path, mode)
        world.die_sending()
    else:
        world = died_elsewhere(tmp_path, monkeypatch, where, mode)
        world.ledger.abandon("first", error="a person said so")
    lost(world)
    if mode is SyncMode.UPSERT:
        assert world.push().written == len(FIRST)
        assert any(notice.endswith("What the source has of them is sent again.") for notice in world.notices)
        return
    for _ in range(2):
        with pytest.raises(RetryLater, match=r"which of its 5 rows were written.* first --discard --anyway") as told:
            world.push()
        assert told.value.exit_code == 75
    assert world.org.names() == ["a", "b"]
    for ask in (world.resume, world.discard):
        with pytest.raises(NotFound, match=r"is gone.* --discard --anyway"):
            ask()
    assert world.discard(anyway=True).in_doubt == len(FIRST)
    assert world.push().written == len(FIRST)


def test_it_stays_open_while_other_rows_go(tmp_path: Path) -> None:
    """Whatever comes between: each push tells of it, and the same rows are still refused."""
    world = World(tmp_path, SyncMode.INSERT)
    world.die_sending()
    lost(world)
    for rows in (OTHER[:2], OTHER[2:]):
        assert world.push(rows).written == len(rows)
        assert "before that the same rows are refused" in world.notices[-1]
    with pytest.raises(RetryLater, match="nobody can say"):
        world.push()
    assert open_runs(world.ledger, home=world.home) == ["first"]
    assert Counter(world.org.names()) == Counter([*"ab", *"vwxyz"])


@pytest.mark.parametrize("mode", HARMLESS)
def test_what_a_key_keeps_apart_is_sent_again(tmp_path: Path, mode: SyncMode) -> None:
    """The same update, upsert or delete once more leaves the org as it would be anyway."""
    world = World(tmp_path)
    ids = made(world)
    world.order = replace(world.order, mode=mode, key="Ext__c" if mode is SyncMode.UPSERT else None)
    rows = [{"Id": one, "Name": f"{one} new"} for one in ids] if mode is not SyncMode.UPSERT else FIRST
    world.die_sending(rows)
    lost(world)
    run = world.push(rows)
    assert (run.accounted, run.in_doubt, run.continues) == (len(rows), 0, None)
    assert world.unsettled == []


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
