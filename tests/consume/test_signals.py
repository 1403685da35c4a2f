"""Laws of signals: asked once a worker ends in order, asked again at once, and afterwards nobody hears of it."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest
from tests.consume.desk import handled_by, limits, queue_of, until

from halocline.consume.work.signals import heard, waited
from halocline.consume.work.worker import Worker


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_stops_and_the_others_stop_at_once(number: signal.Signals) -> None:
    """While the block lasts; whoever heard the signal before hears it again behind it."""
    told: list[str] = []
    before = signal.getsignal(number)
    with heard(lambda: told.append("stop"), lambda: told.append("now")):
        for _ in range(3):
            signal.raise_signal(number)
    assert told == ["stop", "now", "now"]
    assert signal.getsignal(number) is before


def test_other_threads_leave_signals_alone() -> None:
    """Python hears them in the main thread: a worker that runs elsewhere is stopped by who started it."""
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def elsewhere() -> None:
        with heard(lambda: None, lambda: None):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_signal_that_another_thread_was_given_is_heard() -> None:
    """A wait without an end would never hear of it, nor of one that came just before it began: a worker that nothing ends."""
    over = threading.Event()
    other = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
    with heard(over.set, over.set):
        other.start()
        assert waited(over)
        other.join()
    assert (waited(over, 5.0), waited(threading.Event(), 0.0)) == (True, False)


@pytest.mark.usefixtures("aws")
def test_a_signal_ends_a_worker_that_the_main_thread_waits_for() -> None:
    """`run` returns, and `run_async` on its loop: each with what came to pass."""
    for is_async in (False, True):
        worker = Worker(queue_of(3), handled_by(lambda message: None), limits=limits())
        sender = threading.Thread(target=_when_done, args=(worker,))
        sender.start()
        counts = asyncio.run(worker.run_async()) if is_async else worker.run()
        sender.join()
        assert (counts.done, counts.deleted) == (3, 3)


def _when_done(worker: Worker) -> None:
    until(lambda: worker.counts.deleted == 3)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
