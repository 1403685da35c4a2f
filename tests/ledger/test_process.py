"""A process is known by number and birth."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from halocline.ledger import process as looked_at
from halocline.ledger.process import Process
from halocline.testing.ledgers import ended_process

HERE = socket.gethostname()
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")


def test_this_process_is_not_gone() -> None:
    """Whoever asks is alive."""
    assert not Process.of(os.getpid(), HERE).gone()


def test_an_ended_process_is_gone() -> None:
    """Also where its birth was never known."""
    process = Process.of(ended_process(), HERE)
    assert process.born is None
    assert process.gone()


def test_a_process_of_another_host_is_never_gone() -> None:
    """It cannot be looked at, so nobody may say that it ended."""
    assert not Process.of(ended_process(), f"not-{HERE}").gone()


@needs_proc
def test_a_number_given_to_a_later_process_is_not_the_earlier_one() -> None:
    """In a container every first process has the number 1: the birth tells them apart."""
    process = Process.of(os.getpid(), HERE)
    assert replace(process, born="another boot:1").gone()


@needs_proc
def test_a_killed_process_is_gone_before_its_parent_has_looked() -> None:
    """A zombie holds its number but does no more work."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        process = Process.of(child.pid, HERE)
        assert not process.gone()
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not yet reaped
        assert process.gone()
    finally:
        child.kill()
        child.communicate()


# ---- worlds: what /proc says is put in their place, so that these hold on any machine


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a boot and a PID namespace, which the tests may change."""
    (tmp_path / "boot").write_text("b1\n")
    (tmp_path / "pid").symlink_to("pid:[1]")
    monkeypatch.setattr(looked_at, "_BOOT", tmp_path / "boot")
    monkeypatch.setattr(looked_at, "_NAMESPACE", tmp_path / "pid")
    return tmp_path


def moved(world: Path, *, boot: str = "b1", namespace: str | None = "pid:[1]") -> None:
    """This process is in another world from here on."""
    (world / "boot").write_text(boot)
    (world / "pid").unlink(missing_ok=True)
    if namespace is not None:
        (world / "pid").symlink_to(namespace)


@pytest.mark.parametrize("change", [{"namespace": "pid:[2]"}, {"boot": "b2"}, {"namespace": None}])
def test_a_process_of_another_world_is_never_gone(world: Path, change: dict[str, Any]) -> None:
    """Its number is nobody's here, or another's; the host's name is the same, as of two containers, or after a restart."""
    for pid in (ended_process(), os.getpid()):
        process = Process.of(pid, HERE)
        assert not process.elsewhere
        moved(world, **change)
        assert process.elsewhere
        assert not process.gone()
        moved(world)
    assert Process.of(ended_process(), HERE).gone()


@pytest.mark.parametrize(("boot", "told"), [("b1", (False, True)), ("b2", (True, False))])
def test_what_an_older_ledger_noted_goes_by_the_boot(world: Path, boot: str, told: tuple[bool, bool]) -> None:
    """It knew no namespace: in the same boot the process is looked at as it was then, else it is elsewhere."""
    noted = Process(ended_process(), HERE, f"{boot}:17")
    assert (noted.elsewhere, noted.gone()) == told


def test_of_an_unknown_boot_nothing_is_said(world: Path) -> None:
    """A number alone might be one of anywhere."""
    assert not Process(ended_process(), HERE).gone()


def test_without_namespaces_the_boot_is_the_world(world: Path) -> None:
    """As on a kernel that was built without them."""
    moved(world, namespace=None)
    process = Process.of(ended_process(), HERE)
    assert (process.world, process.gone()) == ("b1:", True)


def test_a_system_that_says_nothing_has_the_host_alone(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a number of this host is taken for one of here; what a system with boots noted is elsewhere."""
    known = Process.of(ended_process(), HERE)
    (world / "boot").unlink()
    monkeypatch.setattr(looked_at, "_boot_session", lambda: "")
    process = Process.of(ended_process(), HERE)
    assert (process.born, process.world, process.gone()) == (None, None, True)
    assert known.elsewhere


def test_a_boot_that_only_sysctl_names_is_one(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, which has no /proc."""
    moved(world, namespace=None)
    (world / "boot").unlink()
    monkeypatch.setattr(looked_at, "_boot_session", lambda: "5E55")
    process = Process.of(ended_process(), HERE)
    assert (process.world, process.gone()) == ("5E55:", True)
    monkeypatch.setattr(looked_at, "_boot_session", lambda: "0THER")
    assert process.elsewhere


@needs_proc
def test_the_world_of_this_process_is_told() -> None:
    """By the system that it runs on, and the same each time."""
    mine, again = (Process.of(os.getpid(), HERE) for _ in range(2))
    assert mine == again
    assert mine.world is not None
    assert mine.born is not None
    assert mine.world.partition(":")[0] == mine.born.partition(":")[0]
