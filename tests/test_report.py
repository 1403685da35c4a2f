"""Laws of the error report: every row is in it, nothing in it runs, and the exact form is exact."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline import report
from halocline.errors import FixConfig, StorageFailed
from halocline.ledger.memory import MemoryLedger
from halocline.outcome import Fate, Outcome, Rejection

RUN = "5e1f"
TWO = [
    Rejection("c1", 3, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", ("Name",), {"key": "a", "n": -5}),
    Rejection("c2", 0, "MAPPING_FAILED", "no", ("A", "B"), {"n": None, "extra": {"x": [1]}, "ok": True}),
]


def table(path: Path, encoding: str = "utf-8") -> list[list[str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.reader(file))


def test_csv_has_our_columns_then_those_of_the_source_as_they_came_up(tmp_path: Path) -> None:
    """One line a row; a name that a record lacks is an empty cell; nested values are JSON."""
    assert report.write(lambda: TWO, tmp_path / "e.csv", run=RUN) == 2
    head, first, second = table(tmp_path / "e.csv")
    assert head == ["run", "row", "code", "message", "fields", "key", "n", "extra", "ok"]
    assert first == [RUN, "3", "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", "Name", "a", "-5", "", ""]
    assert second == [RUN, "0", "MAPPING_FAILED", "no", "A B", "", "", '{"x": [1]}', "true"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("name", ["e.csv", "e.jsonl"])
def test_a_full_disk_under_a_named_file_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to try is about that file: no setting of ours moves it."""

    @contextmanager
    def full(_: Path) -> Iterator[Path]:
        yield Path("/dev/full")

    monkeypatch.setattr(report, "arriving", full)
    with pytest.raises(StorageFailed, match="No space left on device") as told:
        report.write(lambda: TWO, tmp_path / name, run=RUN)
    assert str(told.value).endswith("Free some space, or write it to another disk.")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_cell_is_a_formula(start: str, tmp_path: Path) -> None:
    """A cell that begins like a formula begins with an apostrophe: values, messages, fields, and the names of columns."""
    evil = f'{start}HYPERLINK("http://x","y")'
    one = Rejection("c", 1, evil, evil, (evil,), {evil: evil, "list": [evil]})
    report.write_csv(lambda: [one], tmp_path / "e.csv", run=RUN)
    head, row = table(tmp_path / "e.csv")
    assert [head[5], *row[2:6]] == [f"'{evil}"] * 5
    assert row[6].startswith("[")


@pytest.mark.parametrize("number", ["-5", "+5", "-5.25", "-0", "12"])
def test_a_text_that_is_a_number_stays_one(number: str) -> None:
    """It has no function in it, and a person wants to add it up."""
    assert report.safe(number) == number


@pytest.mark.parametrize("text", ["-5+1", "-", "--5", "-5e3", "+47 55 12", "-1,5", "-\u0665", "-5\n", "=5"])
def test_a_text_that_is_not_quite_a_number_is_none(text: str) -> None:
    """Signs, blanks, operators, digits of other scripts and line ends are not let through."""
    assert report.safe(text) == f"'{text}"


@given(st.text())
def test_a_safe_cell_never_begins_like_a_formula_and_loses_nothing(text: str) -> None:
    """For any text: it stands as it was, or behind one apostrophe."""
    told = report.safe(text)
    assert told in {text, f"'{text}"}
    assert not told.startswith(("=", "@", "\t", "\r"))
    assert not told.startswith(("+", "-")) or str(float(told)) != ""


def test_columns_named_like_ours_are_told_apart(tmp_path: Path) -> None:
    """A source that has a `row` and a `source.row` of its own loses neither."""
    one = Rejection("c", 7, "X", "m", (), {"row": "theirs", "source.row": "another", "run": 1})
    report.write_csv(lambda: [one], tmp_path / "e.csv", run=RUN)
    head, row = table(tmp_path / "e.csv")
    assert head[5:] == ["source.source.row", "source.row", "source.run"]
    assert row[5:] == ["theirs", "another", "1"]


def test_excel_finds_its_mark(tmp_path: Path) -> None:
    """With `utf-8-sig` the file begins with the mark, without it not; letters of any language arrive."""
    one = Rejection("c", 0, "X", "m", (), {"name": "Estée 株式会社"})
    report.write(lambda: [one], tmp_path / "e.csv", run=RUN, encoding="utf-8-sig")
    assert (tmp_path / "e.csv").read_bytes().startswith(b"\xef\xbb\xbfrun,")
    assert table(tmp_path / "e.csv", "utf-8-sig")[1][-1] == "Estée 株式会社"
    report.write(lambda: [one], tmp_path / "e.csv", run=RUN)
    assert (tmp_path / "e.csv").read_bytes().startswith(b"run,")


def test_jsonl_is_exact(tmp_path: Path) -> None:
    """Every value as it was, formula or not; what JSON does not know is text; every line is JSON by the letter."""
    record = {
        "f": "=1+1",
        "n": -5,
        "big": 2**70,
        "none": None,
        "no": False,
        "d": Decimal("1.10"),
        "x": float("nan"),
        "deep": {"a": [1.5]},
    }
    ones = [Rejection("c", 2, "X", "=m", ("A", "B"), record), Rejection("c", 3, "Y", "m")]
    assert report.write(lambda: ones, tmp_path / "e.jsonl", run=RUN) == 2

    def no_constant(text: str) -> None:
        raise AssertionError(text)

    first, second = [json.loads(line, parse_constant=no_constant) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert first["record"] == {**record, "d": "1.10", "x": "nan"}
    assert {name: first[name] for name in report.OWN} == {
        "run": RUN,
        "row": 2,
        "code": "X",
        "message": "=m",
        "fields": ["A", "B"],
    }
    assert second == {"run": RUN, "row": 3, "code": "Y", "message": "m", "fields": [], "record": None}


def test_the_ledger_tells_rejections_and_then_doubts() -> None:
    """All pages of rejections in their order, then each row in doubt with the code IN_DOUBT."""
    with MemoryLedger() as ledger:
        ledger.start("f", run=RUN, pid=1, host="h")
        many = tuple(Rejection("c1", row, "X", "m") for row in range(2_500))
        ledger.record(RUN, Outcome("c1", rejections=many))
        doubt = Rejection("c2", 9_001, "IN_DOUBT", "the reply was lost", record={"Name": "A"}, fate=Fate.IN_DOUBT)
        ledger.record(RUN, Outcome("c2", in_doubt=(9_000, 9_001), doubts=(doubt,)))
        told = list(report.rejections_of(ledger, RUN))
        assert report.frequent(ledger, RUN, most=1) == ({"X": 2_500}, True)
        assert report.frequent(ledger, RUN, most=2) == ({"X": 2_500, "IN_DOUBT": 2}, False)
    assert [one.row for one in told] == [*range(2_500), 9_000, 9_001]
    assert [one.code for one in told[-3:]] == ["X", "IN_DOUBT", "IN_DOUBT"]
    assert [one.record for one in told[-2:]] == [None, {"Name": "A"}]
    look = "look in Salesforce whether it is there before it is sent again"
    assert told[-2].message == f"it was sent, and no answer told what became of it; {look}"
    assert told[-1].message == f"the reply was lost; {look}"


@pytest.mark.parametrize("name", ["e.txt", "e", "e.xlsx"])
def test_a_name_that_says_no_form_is_refused(name: str, tmp_path: Path) -> None:
    """The two endings that there are, are named; no file is made."""
    with pytest.raises(FixConfig, match=r"\.csv \(for people\) or \.jsonl \(exact\)"):
        report.write(lambda: TWO, tmp_path / name, run=RUN)
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    """A file appears whole or not at all; a folder that is not there is named."""
    (tmp_path / "e.csv").write_text("old")

    def breaks() -> Iterator[Rejection]:
        yield TWO[0]
        raise KeyError("the ledger is gone")

    with pytest.raises(KeyError):
        report.write_jsonl(breaks, tmp_path / "e.csv", run=RUN)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("e.csv", "old")]
    with pytest.raises(FixConfig, match=r"there is no folder .*nowhere"):
        report.write(lambda: TWO, tmp_path / "nowhere" / "e.csv", run=RUN)
    with pytest.raises(StorageFailed, match="nowhere"):
        report.write_csv(lambda: TWO, tmp_path / "nowhere" / "e.csv", run=RUN)


def test_memory_is_flat(tmp_path: Path) -> None:
    """3,000 rejections, more than half a megabyte of them, cost less than half of that."""

    def many() -> Iterator[Rejection]:
        return (Rejection("c", row, "X", "m" * 100, ("A",), {"key": f"k{row}", "n": "x" * 60}) for row in range(3_000))

    tracemalloc.start()
    try:
        report.write(many, tmp_path / "e.csv", run=RUN)
        report.write(many, tmp_path / "e.jsonl", run=RUN)
        assert tracemalloc.get_traced_memory()[1] < 265_000
    finally:
        tracemalloc.stop()
    assert (tmp_path / "e.csv").stat().st_size > 530_000
