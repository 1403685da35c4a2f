"""Plain types: Arrow columns without dictionaries and views, for which many of Arrow's functions are not written."""

from __future__ import annotations

import pyarrow as pa

from halocline.errors import FixConfig


def plain_schema(schema: pa.Schema, *, doing: str) -> pa.Schema:
    """The schema with plain types and no metadata.

    Raises: FixConfig for two columns of one name: a row could hold only one of them.
    """
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        hint = "Give each column a name of its own (in SQL: AS)."
        raise FixConfig(doing, f"several columns are called {', '.join(map(repr, twice))}", hint=hint)
    return pa.schema([field.with_type(_plain(field.type)).remove_metadata() for field in schema])


def plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the types of its plain schema."""
    if batch.schema.equals(schema):
        return batch.replace_schema_metadata(None)
    columns = [_made_plain(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _made_plain(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The column with its plain type. Dictionaries of views, which polars makes, are beyond Arrow's own cast."""
    if column.type.equals(kind):
        return column
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, _made_plain(column.dictionary, kind)).dictionary_decode()
    if pa.types.is_struct(column.type):
        inner = [_made_plain(column.field(at), field.type) for at, field in enumerate(kind)]
        return pa.StructArray.from_arrays(inner, fields=list(kind), mask=column.is_null())
    return column.cast(kind)


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([inner.with_type(_plain(inner.type)) for inner in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_plain(kind.value_type)))
    return kind
