"""Laws of the engine: parts are drawn lazily, a few at a time, and the first failure ends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from halocline import engine
from halocline.connector import Manifest, Part


def staged(part: Part) -> Manifest:
    return Manifest(part.id, rows=1)


def parts(count: int) -> Iterator[Part]:
    return (Part(str(n)) for n in range(count))


@pytest.mark.parametrize("make", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_every_part_gives_one_manifest_on_any_executor(make: type[Executor]) -> None:
    """Threads and processes carry the same contract."""
    with make(2) as executor:  # type: ignore[call-arg]
        found = sorted(m.part for m in engine.each(executor, parts(7), work=staged))
    assert found == [str(n) for n in range(7)]


def test_parts_are_drawn_only_as_there_is_room() -> None:
    """No more than `width` parts are begun and not handed out: pages wait on the server, not in memory."""
    drawn: list[str] = []

    def watched() -> Iterator[Part]:
        for part in parts(10):
            drawn.append(part.id)
            yield part

    with ThreadPoolExecutor(2) as executor:
        stream = engine.each(executor, watched(), work=staged, width=2)
        next(stream)
        assert len(drawn) <= 3
        assert len(list(stream)) == 9


def test_the_first_failure_is_raised() -> None:
    """A part that fails ends the read with its own error."""

    def work(part: Part) -> Manifest:
        if part.id == "3":
            raise ValueError("page 3")
        return staged(part)

    with engine.threads(2) as executor, pytest.raises(ValueError, match="page 3"):
        list(engine.each(executor, parts(6), work=work))


def test_threads_drop_what_has_not_begun() -> None:
    """When the block ends early, queued work is cancelled and running work is waited for."""
    gate = threading.Event()
    futures: list[Future[bool]] = []
    with engine.threads(1) as executor:
        futures = [executor.submit(gate.wait, 30) for _ in range(3)]
        while not futures[0].running():
            pass
        threading.Timer(0.05, gate.set).start()
    assert futures[0].result() is True
    assert futures[2].cancelled()
