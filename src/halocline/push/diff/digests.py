"""Digests: 64 bits for each row, the same for the same names and values, whether they came as dicts or as Arrow.

A row is written as one text: its values in the order of their names, each value as it would be spelled for sending, null as a
mark of its own; a field that the row does not have is not among its names. A decimal has its own digits in a field of text, and
no zeros at its end elsewhere: `1.50` and `1.5` are two texts, and one number. That a changed row has the digest that its key had
before happens once in 1.8e19 changes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.push.destination import Records
from halocline.push.texts import holds_text

_BETWEEN, _NULL, _KIND = "\x1f", "\x1b", "\x1d"
_ESCAPES = ((_NULL, _NULL + "0"), (_BETWEEN, _NULL + "1"))  # in this order; a lone _NULL is null
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the distance from it is measured, in UTC or without a zone
_MICROSECOND = timedelta(microseconds=1)
_Spell = Callable[[Any], str | None]
_MOST_DIGITS = 400  # ours: more has no field, and 1E+999999999, which is short in a file, would be written as a gigabyte


@dataclass(frozen=True, slots=True)
class Digests:
    """For each row of a batch the text of its key (null: it has none) and the digest of all that it holds."""

    keys: pa.Array
    rows: pa.Array


class Digester:
    """Makes digests of the rows of one flow; `seed` is what else decides what a row does. `key` names its column, in any case.

    `texts` are the `text_fields` of the object; None: they are not looked at, and no decimal has its own digits.
    """

    def __init__(self, key: str, *, seed: str, texts: frozenset[str] | None = None) -> None:
        self._key = key.lower()
        self._seed = seed
        self._texts = texts
        self._headers: dict[tuple[str, ...], _Header] = {}

    def of(self, rows: pa.RecordBatch | Records) -> Digests:
        """The digests of the rows, in order; of what is no row, null."""
        return self._of_arrow(rows) if isinstance(rows, pa.RecordBatch) else self._of_dicts(rows)

    def _of_arrow(self, batch: pa.RecordBatch) -> Digests:
        header = self._header(tuple(batch.schema.names))
        given = (batch.column(batch.schema.get_field_index(name)) for name in header.names)
        columns = [_column(column, spell) for column, spell in zip(given, header.spells, strict=True)]
        keys = pa.nulls(batch.num_rows, pa.string()) if header.key is None else columns[header.key]
        joined = _joined(columns, rows=batch.num_rows).cast(pa.binary())
        return Digests(keys, _numbers([_hash(text, header.person) for text in joined.to_pylist()]))

    def _of_dicts(self, rows: Records) -> Digests:
        keys: list[str | None] = []
        found: list[bytes | None] = []
        for row in rows:
            if not _is_record(row):
                keys.append(None)
                found.append(None)
                continue
            header = self._header(tuple(row))
            texts = [spell(row[name]) for name, spell in zip(header.names, header.spells, strict=True)]
            keys.append(None if header.key is None else _storable(texts[header.key]))
            found.append(_hash(_line(texts).encode(errors="surrogatepass"), header.person))
        return Digests(pa.array(keys, pa.string()), _numbers(found))

    def _header(self, names: tuple[str, ...]) -> _Header:
        header = self._headers.get(names)
        if header is None:
            told = json.dumps([self._seed, *sorted(names)]).encode()
            key = next((at for at, name in enumerate(sorted(names)) if name.lower() == self._key), None)
            texts = self._texts
            spells = tuple(_text if texts is None or not holds_text(name, texts) else _own for name in sorted(names))
            header = self._headers[names] = _Header(tuple(sorted(names)), key, spells, blake2b(told, digest_size=16).digest())
        return header


def places(keys: pa.Array) -> pa.Array:
    """A number for each key, the same in every process; null for null."""
    return _numbers([None if key is None else _hash(key, b"key") for key in keys.cast(pa.binary()).to_pylist()])


@dataclass(frozen=True, slots=True)
class _Header:
    """The names of a row in order, where its key is among them, how each value is told, and what goes before it into the hash."""

    names: tuple[str, ...]
    key: int | None
    spells: tuple[_Spell, ...]
    person: bytes


def _hash(text: bytes, person: bytes) -> bytes:
    return blake2b(text, digest_size=8, person=person).digest()


def _numbers(hashes: Sequence[bytes | None]) -> pa.Array:
    """The hashes as integers: the machine's own reading of eight bytes, for the file stays on the machine."""
    if None in hashes:
        return pa.array([None if one is None else struct.unpack("=q", one)[0] for one in hashes], pa.int64())
    told: Iterable[bytes] = filter(None, hashes)
    return pa.Array.from_buffers(pa.int64(), len(hashes), [None, pa.py_buffer(b"".join(told))])


# ---- dicts


def _is_record(row: object) -> bool:
    """Whether this is a row at all; the destination refuses what is none."""
    return isinstance(row, Mapping) and all(type(name) is str for name in row)


def _line(texts: Sequence[str | None]) -> str:
    line = _BETWEEN.join([_NULL if text is None else text for text in texts])
    if line.count(_BETWEEN) == len(texts) - 1 and line.count(_NULL) == texts.count(None):
        return line
    return _BETWEEN.join(_NULL if text is None else _escaped(text) for text in texts)


def _escaped(text: str) -> str:
    for mark, instead in _ESCAPES:
        text = text.replace(mark, instead)
    return text


def _storable(text: str | None) -> str | None:
    """The key, or None for one that could never be sent: half a character."""
    if text is None:
        return None
    return text if text.isascii() or text.encode(errors="ignore").decode() == text else None


def _own(value: object) -> str | None:
    """As `_text`, but that a decimal has its own digits."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) <= _MOST_DIGITS:
        return format(value, "f")
    return _of_mapping(value, _own) if isinstance(value, Mapping) else _text(value)


def _text(value: object) -> str | None:
    """The value as text, None for null. What has no spelling here is told by its `repr`, and may be sent each time."""
    if value is None or type(value) is str:
        return value
    spell = next((spell for kind, spell in _TEXTS if isinstance(value, kind)), None)
    return f"{_KIND}{type(value).__name__}{value!r}" if spell is None else spell(value)


def _of_decimal(value: Decimal) -> str:
    if not value.is_finite():
        return str(value)
    if value == 0:
        return "0"
    if abs(value.adjusted()) > _MOST_DIGITS:
        return str(value)
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _of_float(value: float) -> str:
    return f"{_KIND}f{struct.unpack('=q', struct.pack('=d', value))[0]}"


def _of_datetime(value: datetime) -> str:
    zone = "n" if value.tzinfo is None else "t"
    plain = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    return f"{_KIND}{zone}{(plain - _EPOCH) // _MICROSECOND}"


def _of_time(value: time) -> str:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return f"{_KIND}c{seconds * 1_000_000 + value.microsecond}"


def _of_mapping(value: Mapping[Any, Any], spell: _Spell) -> str:
    names = sorted(value, key=str)
    return f"{_KIND}m{json.dumps(list(map(str, names)))}{_line([spell(value[name]) for name in names])}"


def _of_list(value: Sequence[Any]) -> str:
    return f"{_KIND}l{_line(list(map(_text, value)))}"


_TEXTS: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (str, str),
    (bool, lambda value: "true" if value else "false"),  # before int: a bool is one
    (int, str),
    (float, _of_float),
    (Decimal, _of_decimal),
    (datetime, _of_datetime),  # before date: a datetime is one
    (date, date.isoformat),
    (time, _of_time),
    ((bytes, bytearray, memoryview), lambda value: f"{_KIND}b{bytes(value).hex()}"),
    (Mapping, lambda value: _of_mapping(value, _text)),
    ((list, tuple), _of_list),
)


# ---- Arrow


def _joined(columns: Sequence[pa.Array], *, rows: int) -> pa.Array:
    if not columns:
        return pa.array([""] * rows, pa.string())
    line = pc.binary_join_element_wise(*columns, _BETWEEN, null_handling="replace", null_replacement=_NULL)
    data = line.buffers()[2].to_pybytes() if rows else b""
    nulls = sum(column.null_count for column in columns)
    if data.count(_BETWEEN.encode()) == rows * (len(columns) - 1) and data.count(_NULL.encode()) == nulls:
        return line
    for mark, instead in _ESCAPES:
        columns = [pc.replace_substring(column, mark, instead) for column in columns]
    return pc.binary_join_element_wise(*columns, _BETWEEN, null_handling="replace", null_replacement=_NULL)


def _column(column: pa.Array, told: _Spell) -> pa.Array:
    """A column as the texts that `told` makes of its values one by one."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if told is _own and pa.types.is_decimal(column.type):
        return _own_decimals(column)
    spell = next((spell for is_kind, spell in _COLUMNS if is_kind(column.type)), None)
    return _one_by_one(column, told) if spell is None else spell(column)


def _one_by_one(column: pa.Array, told: _Spell) -> pa.Array:
    return pa.array([told(value) for value in column.to_pylist()], pa.string())


def _cast(column: pa.Array) -> pa.Array:
    return column.cast(pa.string())


def _decimals(column: pa.Array) -> pa.Array:
    texts = column.cast(pa.string())
    if pc.any(pc.match_substring(texts, "E")).as_py():
        return _one_by_one(column, _text)
    return pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), ".") if column.type.scale > 0 else texts


def _own_decimals(column: pa.Array) -> pa.Array:
    texts = column.cast(pa.string())
    return _one_by_one(column, _own) if pc.any(pc.match_substring(texts, "E")).as_py() else texts


def _marked(kind: str, numbers: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(_KIND + kind, numbers.cast(pa.string()), "")


def _floats(column: pa.Array) -> pa.Array:
    return _marked("f", column.cast(pa.float64()).view(pa.int64()))


def _moments(column: pa.Array) -> pa.Array:
    kind = "n" if column.type.tz is None else "t"
    return _marked(kind, column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()))


def _times(column: pa.Array) -> pa.Array:
    return _marked("c", column.cast(pa.time64("us"), safe=False).cast(pa.int64()))


_COLUMNS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]], ...] = (
    (
        lambda t: any(
            is_kind(t)
            for is_kind in (
                pa.types.is_string,
                pa.types.is_large_string,
                pa.types.is_string_view,
                pa.types.is_boolean,
                pa.types.is_integer,
                pa.types.is_date32,
                pa.types.is_null,
            )
        ),
        _cast,
    ),
    (lambda t: pa.types.is_float32(t) or pa.types.is_float64(t), _floats),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_timestamp, _moments),
    (pa.types.is_time, _times),
)
