"""Laws of hands: who is held up by whom, and that nothing on the pile is forgotten."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import pytest
from tests.consume.desk import until

from halocline.consume.work.hands import Hands


def test_a_piece_that_blocks_holds_up_no_other() -> None:
    """Nine of ten are done beside it, in the order in which they were laid down, by one hand where that is enough."""
    done: list[int] = []
    go = threading.Event()

    def work(pieces: list[int]) -> None:
        for piece in pieces:
            if piece == 0:
                go.wait(20)
            done.append(piece)

    hands = Hands("test", work, most=2)
    hands.give(range(10))
    until(lambda: len(done) == 9)
    assert done == list(range(1, 10))
    go.set()
    until(lambda: len(done) == 10)
    hands.end()
    assert hands.join(20) == []


def test_as_many_as_may_block_at_once_do() -> None:
    """Four hands for five pieces: four are begun, the fifth when one of them is through, also when they were woken before."""
    begun: SimpleQueue[int] = SimpleQueue()
    go = threading.Semaphore(0)

    def work(pieces: list[int]) -> None:
        begun.put(pieces[0])
        go.acquire(timeout=20)

    hands = Hands("test", work, most=4)
    for round_ in range(20):
        hands.give(range(5))
        assert sorted(begun.get(timeout=20) for _ in range(4)) == [0, 1, 2, 3], round_
        assert begun.empty()
        go.release()
        assert begun.get(timeout=20) == 4
        go.release(4)
        until(lambda: hands._idle == 4)
    hands.end()
    assert hands.join(20) == []


def test_no_piece_is_forgotten() -> None:
    """Ten thousand, laid down by four threads at once: each is done once, and hands that gather take no more than they may."""
    done: SimpleQueue[int] = SimpleQueue()
    most: list[int] = []

    def work(pieces: list[int]) -> None:
        most.append(len(pieces))
        for piece in pieces:
            done.put(piece)

    hands = Hands("test", work, most=3, together=5)

    def give(first: int) -> None:
        for number in range(first, 10_000, 4):
            hands.give([number])

    givers = [threading.Thread(target=give, args=(first,)) for first in range(4)]
    for one in givers:
        one.start()
    for one in givers:
        one.join()
    assert sorted(done.get(timeout=20) for _ in range(10_000)) == list(range(10_000))
    assert max(most) <= 5
    hands.end()
    assert hands.join(20) == []


def test_what_lies_there_at_the_end_is_left() -> None:
    """A hand that is busy ends its piece and takes no other; it is named while it has not."""
    begun, go = threading.Event(), threading.Event()
    done: list[int] = []

    def work(pieces: list[int]) -> None:
        begun.set()
        go.wait(20)
        done.extend(pieces)

    hands = Hands("test", work, most=1)
    hands.give([1, 2, 3])
    assert begun.wait(20)
    hands.end()
    assert hands.join(0) == ["test-1"]
    go.set()
    assert hands.join(20) == []
    assert done == [1]


def test_fewer_threads_than_wanted_do_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no more, those that are there do all; where there is none it is told, and later there may be."""
    start, done = threading.Thread.start, SimpleQueue[int]()
    left = [0]

    def scarce(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    hands: Hands[int] = Hands("test", lambda pieces: done.put(pieces[0]), most=4)
    with pytest.raises(RuntimeError, match="new thread"):
        hands.give([0])
    left[0] = 1
    hands.give(range(1, 100))
    assert [done.get(timeout=20) for _ in range(100)] == list(range(100))
    hands.end()
    assert hands.join(20) == []
