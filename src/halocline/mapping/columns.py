"""Steps on Arrow batches: columns renamed, taken out of structs, and filled with defaults, without a Python object per value."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from halocline.errors import FixConfig, NotSupported
from halocline.mapping.paths import splits
from halocline.mapping.steps import Step

_DOING = "Mapping columns"
_HINT = "Map it by rows instead (`each`)."


def mapped(batch: pa.RecordBatch, steps: Sequence[Step] | None) -> pa.RecordBatch:
    """The batch with the steps' targets as columns, in the order of the steps; `steps` None: a function takes part.

    Raises: NotSupported (`ability="columns"`) for what only rows can do; FixConfig for two columns of one name.
    """
    if steps is None:
        raise _not_here("a Python function takes part")
    _refuse_doubles(batch.schema.names)
    named = dict(zip(batch.schema.names, batch.columns, strict=True))
    found = {step.target: _column(named, step, rows=batch.num_rows) for step in steps}
    arrays = {target: array for target, array in found.items() if array is not None}
    if not arrays:
        # A batch without columns has no rows either, and they would be lost.
        raise _not_here(f"none of the mapped sources is a column of the batch ({', '.join(batch.schema.names)})")
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def _column(named: dict[str, pa.Array], step: Step, *, rows: int) -> pa.Array | None:
    """The step's column, None where the batch has nothing for it."""
    array = _at(named, step.source)
    if not step.has_default:
        return array
    if array is None:
        return pa.repeat(_scalar(step.default, None, step=step), rows)
    return _filled(array, step)


def _at(named: dict[str, pa.Array], path: str) -> pa.Array | None:
    """The column at a dotted path, found as `value_at` finds a value; None where no row has one."""
    if path in named:
        return named[path]
    for head, rest in splits(path):
        if head in named:
            return _below(named[head], rest)
    return None


def _below(array: pa.Array, path: str) -> pa.Array | None:
    """What is at the path inside a struct column. Below a null row everything is null."""
    if pa.types.is_null(array.type):
        return array
    if pa.types.is_struct(array.type):
        names = [array.type.field(at).name for at in range(array.type.num_fields)]
        _refuse_doubles(names)
        # flatten, unlike field(), carries the struct's own nulls down.
        found = _at(dict(zip(names, array.flatten(), strict=True)), path)
        if found is not None:
            return found
    if array.null_count:
        raise _not_here(f"{path!r} is null below the rows that are null, and missing below the others")
    return None


def _filled(array: pa.Array, step: Step) -> pa.Array:
    """The column with the default in place of nulls and empty texts."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_null(array.type):
        return pa.repeat(_scalar(step.default, None, step=step), len(array))
    empty = pc.is_null(array)
    if _is_text(array.type):
        empty = pc.or_(empty, pc.fill_null(pc.equal(pc.binary_length(array), 0), fill_value=False))
    if not pc.any(empty).as_py():
        return array
    return pc.if_else(empty, _scalar(step.default, array.type, step=step), array)


def _scalar(default: object, kind: pa.DataType | None, *, step: Step) -> pa.Scalar:
    """The default as a value of the column's type, the very same value; another type than the column's is for rows only."""
    try:
        scalar = pa.scalar(default, kind)
        same = scalar.as_py()
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise _not_here(f"the default {default!r} of {step.target} is no value of a {kind or 'column'}") from error
    if type(same) is not type(default) or same != default:
        raise _not_here(f"the default {default!r} of {step.target} would be {same!r} in a column of {kind or scalar.type}")
    return scalar


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _refuse_doubles(names: Sequence[str]) -> None:
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        hint = "Name them apart, for nobody can say which one is meant."
        raise FixConfig(_DOING, f"the batch has several columns named {doubles[0]!r}", hint=hint)


def _not_here(cause: str) -> NotSupported:
    return NotSupported(_DOING, cause, ability="columns", hint=_HINT)
