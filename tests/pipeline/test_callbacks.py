"""Laws of callbacks, whatever pieces the results come in."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline.outcome import Fate, RowResult
from halocline.push.callbacks import FAULTS_KEPT, Callbacks, Unit
from halocline.push.destination import Told
from halocline.push.result import SyncResult
from halocline.push.run import NOT_ATTEMPTED
from halocline.rows.of import MemoryRows

FATES = ("written", "refused", "in doubt", "unsent", "not attempted")
TOLD = pa.schema({"row": pa.int64(), "id": pa.string(), "created": pa.bool_()})


def told_of(fates: dict[int, str], *, chunk: str = "c") -> Told:
    """The Told of rows with these fates."""
    rows = [row for row, fate in fates.items() if fate == "written"]
    others = {
        "refused": (Fate.REFUSED, "BAD"),
        "in doubt": (Fate.IN_DOUBT, "IN_DOUBT"),
        "unsent": (Fate.NOT_SENT, "MISSING_KEY"),
        "not attempted": (Fate.NOT_SENT, NOT_ATTEMPTED),
    }
    written = pa.RecordBatch.from_pylist([{"row": row, "id": f"id{row}", "created": True} for row in rows], schema=TOLD)
    told = [
        RowResult(row, others[fate][0], code=others[fate][1], message="so") for row, fate in fates.items() if fate != "written"
    ]
    return Told(chunk, written=written if rows else None, others=tuple(told))


class Heard:
    """Callbacks over `count` records, and all that they hear."""

    def __init__(self, count: int, *, size: int = 200, names: tuple[str, ...] = ()) -> None:
        self.records = [{"n": number} for number in range(count)]
        self.result = SyncResult(count)
        self.said: list[tuple[Any, ...]] = []
        every = {
            "on_record_start": lambda record: self.said.append(("start", record["n"])),
            "on_record_success": lambda record, one: self.said.append(("success", record["n"], one)),
            "on_record_error": lambda record, error: self.said.append(("error", record["n"], error.code)),
            "on_batch_complete": lambda number, of, result: self.said.append(
                ("batch", number, of, result.success_count + result.error_count)
            ),
        }
        chosen = {name: every[name] for name in names or every}
        unit = Unit(size, lambda: None)
        self.callbacks = Callbacks(chosen, rows=MemoryRows(self.records), result=self.result, unit=unit)


@given(st.data())
def test_every_row_is_heard_of_once_in_whatever_pieces(data: st.DataObject) -> None:
    """Start once and first, one end, none of what was not tried; each batch when just so many rows are known."""
    fates = data.draw(st.lists(st.sampled_from(FATES), min_size=1, max_size=40))
    order = data.draw(st.permutations(range(len(fates))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(fates)), max_size=5)) | {len(fates)})
    size = data.draw(st.integers(1, 12))
    heard = Heard(len(fates), size=size)
    for first, end in zip([0, *cuts], cuts, strict=False):
        piece = {row: fates[row] for row in order[first:end]}
        if data.draw(st.booleans()):
            heard.callbacks.sending([row for row in piece if piece[row] in {"written", "refused"}])
        heard.callbacks.told(told_of(piece))
    heard.callbacks.finish()
    tried = [row for row, fate in enumerate(fates) if fate != "not attempted"]
    assert sorted(one[1] for one in heard.said if one[0] == "start") == tried
    assert sorted(one[1] for one in heard.said if one[0] in {"success", "error"}) == tried
    for row in tried:
        mine = [one[0] for one in heard.said if one[0] != "batch" and one[1] == row]
        assert mine == ["start", "success" if fates[row] == "written" else "error"]
    batches = [one[1:] for one in heard.said if one[0] == "batch"]
    known = [min(size * number, len(tried)) for number in range(1, math.ceil(len(tried) / size) + 1)]
    assert batches == [(number, math.ceil(len(fates) / size), so_many) for number, so_many in enumerate(known, 1)]
    result = heard.result
    counted = (result.success_count, result.error_count, result.not_attempted_count, result.in_doubt_count)
    assert counted == (
        fates.count("written"),
        len(tried) - fates.count("written"),
        len(fates) - len(tried),
        fates.count("in doubt"),
    )


def test_records_of_a_piece_come_in_the_order_of_the_source() -> None:
    """Written and refused ones between each other."""
    heard = Heard(4, names=("on_record_success", "on_record_error"))
    heard.callbacks.told(told_of({2: "written", 3: "refused", 0: "written", 1: "refused"}))
    assert heard.said == [("success", 0, "id0"), ("error", 1, "BAD"), ("success", 2, "id2"), ("error", 3, "BAD")]


def test_without_functions_a_piece_is_taken_whole() -> None:
    """No record is looked up, and the result holds all."""
    heard = Heard(3, names=("on_batch_complete",))
    heard.records.clear()
    heard.callbacks.told(told_of(dict.fromkeys(range(3), "written")))
    assert heard.result.salesforce_ids == ["id0", "id1", "id2"]


def test_a_function_that_always_raises_fills_no_memory() -> None:
    """The first thousand faults are kept, all are counted, and the sentence says how many."""
    count = FAULTS_KEPT + 500
    heard = Heard(count)
    callbacks = Callbacks(
        {"on_record_success": lambda *_: 1 / 0}, rows=MemoryRows(heard.records), result=heard.result, unit=Unit(200, lambda: None)
    )
    callbacks.told(told_of(dict.fromkeys(range(count), "written")))
    assert (len(callbacks.faults), callbacks.faults_count) == (FAULTS_KEPT, count)
    assert callbacks.blame().startswith(
        "on_record_success of row 0 raised ZeroDivisionError: division by zero; callbacks raised 1,500 times"
    )


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_is_no_mistake_goes_through(kind: type[BaseException]) -> None:
    """An interrupt, or the end of the process, is nobody's fault."""

    def ending(*_: object) -> None:
        raise kind

    callbacks = Callbacks({"on_record_start": ending}, rows=MemoryRows([{}]), result=SyncResult(1), unit=Unit(1, lambda: None))
    with pytest.raises(kind):
        callbacks.sending([0])
