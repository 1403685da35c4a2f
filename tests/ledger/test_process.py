"""A process is known by number and birth."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from halocline.ledger.process import Process
from halocline.testing.ledgers import ended_process

HERE = socket.gethostname()
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")


def test_this_process_is_not_gone() -> None:
    """Whoever asks is alive."""
    assert not Process.of(os.getpid(), HERE).gone()


def test_an_ended_process_is_gone() -> None:
    """Also where its birth was never known."""
    assert Process(ended_process(), HERE).gone()


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
