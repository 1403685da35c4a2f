"""Making: what a function does, told by its code as it was imported and by the plain data that it holds.

Two functions with the same answer make the same rows of the same items. Followed are functions, classes and plain data of its
own module that it names, and what its closure, its defaults, the arguments of a `partial` and its module's objects hold.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(...), Decimal, date, time, timedelta, UUID, PurePath)
_KNOWN: WeakKeyDictionary[Any, Making] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Making:
    """What one function does, as a `digest`; `unseen` are things that it holds and whose changes the digest does not show."""

    digest: str
    unseen: tuple[str, ...] = ()


def making_of(function: Callable[..., object]) -> Making:
    """What a function does. It is looked at once: what it counts or keeps while it works is no change of it."""
    try:
        known = _KNOWN.get(function)
    except TypeError:  # it has no hash
        return _looked_at(function)
    if known is None:
        known = _looked_at(function)
        try:
            _KNOWN[function] = known
        except TypeError:  # nothing may refer to it weakly
            return known
    return known


def _looked_at(function: Callable[..., object]) -> Making:
    look = _Look(_homes(function))
    digest = hashlib.sha256()
    for word in look.told(function, held=True):
        digest.update(word.encode(errors="surrogatepass") + b"\0")
    return Making(digest.hexdigest()[:16], tuple(sorted(look.unseen)))


@dataclass(slots=True)
class _Look:
    """A walk over all that a function of a module in `homes` is made of.

    `told` yields words, and nothing that differs from one process to the next: no address, no order of a set.
    """

    homes: frozenset[str]
    seen: dict[int, object] = field(default_factory=dict)  # by address, and kept, so that none is used twice
    unseen: set[str] = field(default_factory=set)

    def told(self, value: object, *, held: bool) -> Iterator[str]:
        """What a value is; `held` says that the function was given it, and does not only name it."""
        yield type(value).__qualname__
        if isinstance(value, _PLAIN):
            yield repr(value)
        elif isinstance(value, (tuple, frozenset, CodeType)):
            # who shares one of these, a stored code tells otherwise than a new one
            yield from self._inside(value, held=held)
        elif id(value) not in self.seen:
            self.seen[id(value)] = value
            yield from self._inside(value, held=held)

    def _inside(self, value: object, *, held: bool) -> Iterator[str]:
        if isinstance(value, (FunctionType, BuiltinFunctionType, type)):
            yield f"{value.__module__}:{value.__qualname__}"
            if value.__module__ in self.homes and not isinstance(value, BuiltinFunctionType):
                yield from self._class(value) if isinstance(value, type) else self._function(value)
        elif isinstance(value, CodeType):
            yield from self._code(value)
        elif isinstance(value, (Mapping, list, tuple, set, frozenset)):
            yield from self._several(value, held=held)
        elif isinstance(value, ModuleType):
            yield value.__name__
        else:
            parts = _parts(value)
            if parts is None:
                yield from self._object(value, held=held)
            else:
                yield from self._each(parts)

    def _each(self, values: Iterable[object], *, held: bool = True) -> Iterator[str]:
        for one in values:
            yield from self.told(one, held=held)
        yield "end"

    def _several(self, value: Iterable[object], *, held: bool) -> Iterator[str]:
        if isinstance(value, Mapping):
            yield from self._each((one for pair in value.items() for one in pair), held=held)
        elif isinstance(value, (set, frozenset)):
            yield from sorted(" ".join(self.told(one, held=held)) for one in value)
        else:
            yield from self._each(value, held=held)

    def _code(self, code: CodeType) -> Iterator[str]:
        yield code.co_code.hex()
        yield " ".join((*code.co_names, "", *code.co_varnames, "", *code.co_freevars))
        yield from self._each(code.co_consts)

    def _function(self, function: FunctionType) -> Iterator[str]:
        yield from self._code(function.__code__)
        yield from self._each((function.__defaults__, function.__kwdefaults__))
        yield from self._each(_contents(function))
        known = function.__globals__
        for name in sorted(known.keys() & set(_names(function.__code__))):
            yield name
            yield from self.told(known[name], held=False)

    def _class(self, found: type) -> Iterator[str]:
        yield from self._each(found.__bases__)
        for name, value in sorted(vars(found).items()):
            if isinstance(value, (FunctionType, staticmethod, classmethod, property)) or not name.startswith("__"):
                yield name
                yield from self.told(value, held=False)

    def _object(self, value: object, *, held: bool) -> Iterator[str]:
        """An object of a class of ours, with what is in it; any other is only named: who knows what it keeps."""
        kind = type(value)
        if kind.__module__ in self.homes:
            yield from self.told(kind, held=True)
            yield from self._each(_state(value).items())
            return
        yield kind.__module__
        if held:
            self.unseen.add(f"{kind.__module__}.{kind.__qualname__}")


def _parts(value: object) -> tuple[object, ...] | None:
    """What some things of Python's own consist of; None for others."""
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    if isinstance(value, MethodType):
        return value.__func__, value.__self__
    if isinstance(value, (staticmethod, classmethod)):
        return (value.__func__,)
    if isinstance(value, property):
        return (value.fget,)
    if isinstance(value, Enum):
        return value.name, value.value
    if isinstance(value, re.Pattern):
        return value.pattern, value.flags
    wrapped = getattr(value, "__wrapped__", None)  # by functools.lru_cache, say
    return None if wrapped is None else (wrapped,)


def _state(value: object) -> dict[str, object]:
    """What is in an object of a class that was written in Python."""
    slots = (name for kind in type(value).__mro__ for name in _tupled(vars(kind).get("__slots__", ())))
    held = {name: getattr(value, name) for name in slots if not name.startswith("__") and hasattr(value, name)}
    return {**held, **getattr(value, "__dict__", {})}


def _tupled(slots: object) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(map(str, slots)) if isinstance(slots, Iterable) else ()


def _contents(function: FunctionType) -> Iterator[object]:
    """What the closure of a function holds."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # it is empty
            yield None


def _names(code: CodeType) -> Iterator[str]:
    """All names in a code and in what is defined inside of it."""
    yield from code.co_names
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _names(one)


def _homes(function: object) -> frozenset[str]:
    """The modules whose functions and classes are followed: those of the function, or of what it calls first."""
    homes = set[str]()
    while function is not None:
        own = function if isinstance(function, (FunctionType, partial, MethodType)) else type(function)
        homes.add(str(getattr(own, "__module__", "")))
        is_method = isinstance(function, MethodType)
        homes |= {type(function.__self__).__module__} if is_method else set()  # type: ignore[attr-defined]  # it is one
        function = function.func if isinstance(function, partial) else getattr(function, "__wrapped__", None)
    return frozenset(homes - {"functools", "builtins", ""})
