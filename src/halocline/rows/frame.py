"""FrameRows: a pandas table with columns that no Arrow column can hold, such as numbers beside texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from halocline.errors import FixConfig
from halocline.push.destination import RowBatch
from halocline.push.order import Nulls
from halocline.quantity import quantity
from halocline.rows.columns import ColumnRows, table_rows
from halocline.rows.rows import DICT_ROWS

_MIXED = {"mixed", "mixed-integer"}  # pandas' words for a column of several kinds, or of dicts and lists
_REFUSALS = (pa.ArrowException, ValueError, TypeError, OverflowError, NotImplementedError)


class FrameRows:
    """The rows of a pandas table as dicts, made as they are asked for. NaN, NaT and NA are None."""

    nulls = Nulls.CLEAR
    clears: str | None = None

    def __init__(self, frame: Any, *, name: str = "rows") -> None:
        self.name = name
        self._frame = frame

    def __len__(self) -> int:
        return len(self._frame)

    def batches(self) -> Iterator[RowBatch]:
        """All rows in order, about 2,000 at a time."""
        for first in range(0, len(self), DICT_ROWS):
            some = self._frame.iloc[first : first + DICT_ROWS]
            yield RowBatch(range(first, first + len(some)), _dicts(some))

    def records(self, numbers: Sequence[int]) -> list[Mapping[str, object]]:
        """The rows of these numbers as dicts."""
        return list(_dicts(self._frame.iloc[list(numbers)]))

    def close(self) -> None:
        """Nothing: the table is the caller's."""


def frame_rows(frame: Any, *, name: str = "rows") -> ColumnRows | FrameRows:
    """The rows of a pandas DataFrame, its index left out: as Arrow where Arrow can hold them all, else as dicts.

    Raises: FixConfig for rows without columns, or two columns of one name.
    """
    names = [str(column) for column in frame.columns]
    if len(set(names)) != len(names) or (len(frame) and not names):
        twice = next((name for at, name in enumerate(names) if name in names[:at]), "")
        cause = f"two columns are called {twice!r}" if names else f"its {quantity(len(frame), 'row has')} no columns"
        raise FixConfig("Reading the pandas table", cause, hint="Pass a table with the fields as columns, each named once.")
    if any(_is_mixed(frame.iloc[:, at]) for at in range(len(names))):
        return FrameRows(frame, name=name)
    try:
        table = pa.Table.from_pandas(frame.set_axis(names, axis=1), preserve_index=False)
    except _REFUSALS:
        return FrameRows(frame, name=name)
    if any(_is_foreign(field.type) for field in table.schema):
        return FrameRows(frame, name=name)
    return table_rows(table, name=name)


def _is_mixed(column: Any) -> bool:
    """Arrow would take some of these, and make bytes of texts, or give every dict the keys of all."""
    from pandas.api.types import infer_dtype, is_object_dtype

    return bool(is_object_dtype(column.dtype) and infer_dtype(column, skipna=True) in _MIXED)


def _is_foreign(kind: pa.DataType) -> bool:
    """A period of pandas is a number to others."""
    return isinstance(kind, pa.BaseExtensionType)


def _dicts(frame: Any) -> list[dict[str, object]]:
    names = [str(column) for column in frame.columns]
    columns = [_values(frame.iloc[:, at]) for at in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: Any) -> list[object]:
    """The column's values as Python's own, None where pandas says that there is none."""
    if column.dtype != object:
        try:
            array = pa.array(column, from_pandas=True)
            if not _is_foreign(array.type):
                return list(array.to_pylist())
        except _REFUSALS:
            pass  # a kind that Arrow does not have: one by one
    return [_value(value) for value in column]


def _value(value: Any) -> object:
    from pandas import isna
    from pandas.api.types import is_scalar

    if is_scalar(value) and isna(value):
        return None
    return value.item() if hasattr(value, "dtype") and hasattr(value, "item") and is_scalar(value) else value
