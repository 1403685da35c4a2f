"""Points that are left out are twins of points that are tried."""

from __future__ import annotations

from pathlib import Path

from halocline.testing.faults import Seam, Way, When
from tests.system.told_apart import Marking, files_of, worth_trying

SQL, REQUEST = (Seam(kind, lambda _: OSError("never")) for kind in ("sql", "request"))


def test_a_death_that_leaves_what_the_last_one_left_is_left_out() -> None:
    """The first of each row of equal marks stays; a mark that comes back is another death."""
    moments = [f"sql after statement {number}" for number in range(6)]
    assert worth_trying(moments, ["a", "a", "b", "b", "a", "a"]) == [1, 3, 5]


def test_a_failure_is_told_to_its_caller_whatever_is_left() -> None:
    """With no marks all operations stay."""
    assert worth_trying(["sql before one", "sql before two", "file before three"]) == [1, 2, 3]


def test_of_the_pieces_of_a_file_three_stand_for_all() -> None:
    """First, middle and last, each with all of its moments; the next file has its own."""
    one = [f"write {when} write a.part" for _ in range(5) for when in ("inside", "after")]
    other = ["write after write b.part", "file after replace b.part"]
    assert worth_trying([*one, *other]) == [1, 2, 5, 6, 9, 10, 11, 12]


def test_what_a_death_leaves_is_seen_from_outside(tmp_path: Path) -> None:
    """A read leaves what was there; a write, something sent and something committed do not; and a striker is no looker-on."""
    committed = 0
    operations = Marking(tmp_path, committed=lambda: committed, way=Way.DEATH)
    with operations:
        operations.moment(When.AFTER, "read", seam=SQL)
        operations.moment(When.AFTER, "read", seam=SQL)
        (tmp_path / "file").write_text("half")
        operations.moment(When.AFTER, "write", seam=SQL)
        operations.moment(When.AFTER, "send", seam=REQUEST)
        committed += 1
        operations.moment(When.AFTER, "commit", seam=SQL)
    assert worth_trying([f"{one.kind} {one}" for one in operations.seen], operations.marks) == [1, 3, 4, 5]


def test_a_file_is_told_by_its_name_and_by_what_is_in_it(tmp_path: Path) -> None:
    """What readers of a SQLite share says nothing of what was written."""
    (tmp_path / "ledger.sqlite").write_bytes(b"a")
    before = files_of(tmp_path)
    (tmp_path / "ledger.sqlite-shm").write_bytes(b"locks")
    assert files_of(tmp_path) == before
    (tmp_path / "ledger.sqlite").write_bytes(b"b")
    changed = files_of(tmp_path)
    (tmp_path / "ledger.sqlite").rename(tmp_path / "other.sqlite")
    assert len({before, changed, files_of(tmp_path)}) == 3
