"""The tools that break things: each way strikes where it says, once, and nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from halocline.errors import StorageFailed
from halocline.ledger import SqliteLedger
from halocline.testing.faults import Death, Operations, Seam, Way, When, watching_files, watching_ledger


class Bank:
    """Something with an operation."""

    def __init__(self) -> None:
        self.paid: list[int] = []
        self.closed = 0

    def pay(self, amount: int) -> int:
        self.paid.append(amount)
        return len(self.paid)

    def ask(self) -> int:
        return len(self.paid)


def spoil(bank: Bank, *_: object) -> None:
    bank.closed += 1


PAY = Seam("pay", lambda when: ConnectionError(str(when)), name=lambda _, amount: f"pay {amount}", spoil=spoil)
ASK = Seam("ask", lambda when: ConnectionError(str(when)))


@contextmanager
def watched(operations: Operations) -> Iterator[Bank]:
    with operations.watching(Bank, "pay", seam=PAY), operations.watching(Bank, "ask", seam=ASK), operations:
        yield Bank()


def test_without_a_strike_all_moments_are_told() -> None:
    """`at=0` strikes nowhere; what a way could strike is in the order of events, and outside of the block nothing is counted."""
    operations = Operations(way=Way.DEATH)
    with watched(operations) as bank:
        assert (bank.pay(5), bank.ask()) == (1, 1)
    bank.pay(6)
    assert [str(moment) for moment in operations.seen] == ["before pay 5", "after pay 5", "before ask", "after ask"]
    assert operations.struck is None


@pytest.mark.parametrize(("way", "when", "paid"), [(Way.ERROR, When.BEFORE, [1]), (Way.LOST, When.AFTER, [1, 2])])
def test_an_error_comes_before_the_work_and_a_lost_reply_after_it(way: Way, when: When, paid: list[int]) -> None:
    """The caller gets the seam's error, what it held is let go of, and the operations before and after are left alone."""
    operations = Operations(at=2, way=way)
    with watched(operations) as bank:
        bank.pay(1)
        with pytest.raises(ConnectionError, match=when):
            bank.pay(2)
        assert (bank.paid, bank.closed) == (paid, 1)
        bank.pay(3)
    assert (bank.paid, str(operations.struck)) == ([*paid, 3], f"{when} pay 2")


def test_after_a_death_nothing_works_any_more() -> None:
    """What runs after it can do nothing; what is said at that instant is the last that anybody sees."""
    seen: list[list[int]] = []
    operations = Operations(at=3, die=lambda: seen.append(list(bank.paid)))
    with watched(operations) as bank:
        bank.pay(1)
        with pytest.raises(Death):
            bank.pay(2)
        with pytest.raises(Death):
            bank.ask()
    assert (bank.paid, seen) == ([1], [[1]])


def test_a_lasting_error_lasts_for_its_kinds() -> None:
    """From the error on nothing of those kinds works, also of kinds that are not counted, until the block ends."""
    operations = Operations(at=1, way=Way.ERROR, kinds=("pay",), lasting=("pay", "ask"))
    with watched(operations) as bank:
        bank.ask()
        for _ in range(2):
            with pytest.raises(ConnectionError):
                bank.pay(1)
        with pytest.raises(ConnectionError):
            bank.ask()
    assert (bank.ask(), len(operations.seen)) == (0, 1)


def test_what_other_threads_do_can_be_left_out() -> None:
    """`own_thread` counts the thread that entered the block, and strikes no other."""
    operations = Operations(at=1, way=Way.ERROR, own_thread=True)
    with watched(operations) as bank:
        other = threading.Thread(target=bank.pay, args=(1,))
        other.start()
        other.join()
        assert bank.paid == [1]
        with pytest.raises(ConnectionError):
            bank.pay(2)


def in_text(path: Path) -> None:
    path.write_text("abcdef")


def in_bytes(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        file.write(b"abcdef")


def in_arrow(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file:
        file.write(b"abcdef")


@pytest.mark.parametrize(("write", "kind"), [(in_text, "file"), (in_bytes, "write"), (in_arrow, "write")])
def test_a_process_can_die_when_half_is_written(write: Callable[[Path], None], kind: str, tmp_path: Path) -> None:
    """Half of it is in the file."""
    operations = Operations(at=1, whens=[When.INSIDE], kinds=(kind,), die=lambda: None)
    with watching_files(operations), operations, pytest.raises(Death):
        write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"abc"


@pytest.mark.parametrize("way", [Way.ERROR, Way.LOST])
def test_files_and_ledgers_fail_as_disks_do(way: Way, tmp_path: Path) -> None:
    """A file's OSError, and a ledger's own error; after the work it is done."""
    operations = Operations(at=1, way=way, kinds=("file",))
    with watching_files(operations), operations, pytest.raises(OSError, match=r"No space left|Input/output"):
        (tmp_path / "new").mkdir()
    assert (tmp_path / "new").exists() is (way is Way.LOST)
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        operations = Operations(at=1, way=way)
        with watching_ledger(operations), operations, pytest.raises(StorageFailed):
            ledger.spend("org", 1)
        assert (ledger.spent("org") == 1) is (way is Way.LOST)
