"""The end of a program in the foreground: every SIGINT and SIGTERM is heard, whoever gets it, and nobody else takes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from halocline.emulator.signals import heard

ENDING = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
BULK = """
import sys
from halocline.emulator.query import prepare
from halocline.emulator.server import Emulator

with Emulator() as emulator:
    emulator.seed({"Account": 10})
    found = prepare(emulator.org.view, "SELECT Id FROM Account", all_rows=False, user_id=emulator.org.api_user_id)
    print(sum(batch.num_rows for batch in found.batches()))
print(*sorted({"adbc_driver_manager", "adbc_driver_manager.dbapi", "polars"} & sys.modules.keys()))
"""


def handling() -> tuple[object, ...]:
    """Who hears of the signals, and where they are written."""
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), descriptor


@ENDING
def test_a_signal_before_the_wait_ends_it(number: signal.Signals) -> None:
    """Nothing is lost between the beginning of the block and the wait; afterwards all is as before."""
    before = handling()
    with heard() as wait:
        signal.raise_signal(number)
        wait()
    assert handling() == before


@ENDING
def test_a_signal_that_another_thread_gets_ends_the_wait(number: signal.Signals) -> None:
    """The main thread need not be the one that the system interrupts."""
    with heard() as wait:
        other = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), number))
        other.start()
        wait()
        other.join()


def test_a_signal_of_somebody_elses_does_not_end_the_wait() -> None:
    """It goes to its own handler; the wait goes on until one comes that ends it."""
    seen: list[int] = []

    def note(number: int, _frame: object) -> None:
        seen.append(number)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGUSR1, note)
    try:
        with heard() as wait:
            other = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGUSR1))
            other.start()
            wait()
            other.join()
            assert seen == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_it_is_undone_when_the_block_fails() -> None:
    """A program that could not start is interrupted as any other."""
    before = handling()
    with pytest.raises(OSError, match="taken"), heard():
        raise OSError("taken")
    assert handling() == before


def test_making_and_streaming_records_leaves_ctrl_c_alone() -> None:
    """Neither ADBC's DB-API, which takes SIGINT during each call, nor polars, which keeps it from ending a wait, is loaded."""
    done = subprocess.run(
        [sys.executable, "-c", BULK],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == ["10", "adbc_driver_manager"]
