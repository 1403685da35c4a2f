"""Plain: dataclasses from and to JSON by their annotations, without a library.

Nothing is converted on the quiet: a text is no number. Unknown names are left out, as pydantic and msgspec do by default.
"""

from __future__ import annotations

import base64
import dataclasses
import types
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from halocline.errors import FixConfig

Reader = Callable[[Any], Any]


def reader_of(kind: Any) -> Reader:
    """What makes a value of that type of what JSON held; it raises ValueError, with the way to the place, where it cannot.

    Raises: FixConfig for a type that JSON has no form for.
    """
    return _reader(kind, {})


def writable(value: object) -> object:
    """What JSON holds for a value that `json` does not know.

    Raises: TypeError for one that we do not know either.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


def _reader(kind: Any, known: dict[Any, Reader]) -> Reader:
    """`known` holds the readers of dataclasses under way: a type may hold itself."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return known.get(kind) or _fields(kind, known)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _reader(inside[0], known)
    if origin is Literal:
        return _literal(inside)
    if origin in (Union, types.UnionType):
        return _union([_reader(one, known) for one in inside])
    if origin in _COLLECTIONS or kind in _COLLECTIONS:
        return _collection(origin or kind, inside, known=known)
    raise FixConfig("Opening a queue of messages", f"{kind!r} has no form in JSON here", hint="A pydantic model may know it.")


def _fields(kind: Any, known: dict[Any, Reader]) -> Reader:
    readers: dict[str, Reader] = {}

    def read(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _unexpected(kind.__name__, value)
        given = {}
        for name, reader in readers.items():
            if name in value:
                given[name] = _inside(name, reader, value=value[name])
            elif name in required:
                raise ValueError(f"{name}: it is missing")
        return kind(**given)

    known[kind] = read
    hints = get_type_hints(kind, include_extras=True)
    own = [one for one in dataclasses.fields(kind) if one.init]
    missing = dataclasses.MISSING
    required = {one.name for one in own if one.default is missing and one.default_factory is missing}
    readers |= {one.name: _reader(hints[one.name], known) for one in own}
    return read


def _inside(place: object, reader: Reader, *, value: Any) -> Any:
    try:
        return reader(value)
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"{place}: {error}") from error


def _collection(origin: Any, inside: tuple[Any, ...], *, known: dict[Any, Reader]) -> Reader:
    if origin in (dict, Mapping):
        key, value = (_reader(one, known) for one in inside) if inside else (str, _anything)
        numbers = bool(inside) and inside[0] is int  # JSON's keys are texts
        return lambda found: {
            _inside(name, key, value=int(name) if numbers else name): _inside(name, value, value=one)
            for name, one in _of(dict, found).items()
        }
    if origin is tuple and inside and inside[-1] is not ...:
        return _places([_reader(one, known) for one in inside])
    one = _reader(inside[0], known) if inside else _anything
    make = _COLLECTIONS[origin]
    return lambda found: make(_inside(number, one, value=value) for number, value in enumerate(_of(list, found)))


def _places(readers: list[Reader]) -> Reader:
    def read(found: Any) -> tuple[Any, ...]:
        values = _of(list, found)
        if len(values) != len(readers):
            raise ValueError(f"{len(values)} values came in place of {len(readers)}")
        return tuple(
            _inside(number, reader, value=value) for number, (reader, value) in enumerate(zip(readers, values, strict=True))
        )

    return read


def _union(readers: list[Reader]) -> Reader:
    def read(value: Any) -> Any:
        told = []
        for reader in readers:
            try:
                return reader(value)
            except (ValueError, ArithmeticError) as error:
                told.append(str(error))
        raise ValueError(" / ".join(told))

    return read


def _literal(values: Iterable[Any]) -> Reader:
    choices = [(type(one), one) for one in values]

    def read(value: Any) -> Any:
        if (type(value), value) not in choices:
            raise _unexpected(" or ".join(repr(one) for _, one in choices), value)
        return value

    return read


def _of(kind: type[Any], value: Any) -> Any:
    if not isinstance(value, kind):
        raise _unexpected(kind.__name__, value)
    return value


def _exactly(*kinds: type[Any]) -> Reader:
    def read(value: Any) -> Any:
        if type(value) not in kinds:  # not isinstance: True is no number here
            raise _unexpected(kinds[0].__name__, value)
        return kinds[0](value)

    return read


def _from_text(make: Callable[[str], Any], name: str) -> Reader:
    return lambda value: make(value) if isinstance(value, str) else _raise(_unexpected(name, value))


def _raise(error: ValueError) -> Any:
    raise error


def _nothing(value: Any) -> None:
    if value is not None:
        raise _unexpected("null", value)


def _anything(value: Any) -> Any:
    return value


def _decimal(value: Any) -> Decimal:
    if type(value) not in (str, int):
        raise _unexpected("a decimal as text", value)
    return Decimal(value)


def _unexpected(wanted: str, value: Any) -> ValueError:
    return ValueError(f"{type(value).__name__} came in place of {wanted}")


_SIMPLE: dict[Any, Reader] = {
    Any: _anything,
    object: _anything,
    None: _nothing,
    type(None): _nothing,
    str: _exactly(str),
    int: _exactly(int),
    float: _exactly(float, int),
    bool: _exactly(bool),
    bytes: _from_text(lambda text: base64.b64decode(text, validate=True), "base64"),
    Decimal: _decimal,
    datetime: _from_text(datetime.fromisoformat, "a time"),
    date: _from_text(date.fromisoformat, "a date"),
    time: _from_text(time.fromisoformat, "a time of day"),
    UUID: _from_text(UUID, "a UUID"),
}
_COLLECTIONS: dict[Any, Any] = {list: list, set: set, frozenset: frozenset, tuple: tuple, dict: dict, Mapping: dict}
