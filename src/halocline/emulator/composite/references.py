"""`@{name.path[0]}`: values of earlier answers in the URLs and bodies of later requests.

Source: REST API Developer Guide, "Composite Subrequest", and "Composite Subrequest Result" for what fails and in which words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import quote

from halocline.emulator.errors import ApiError

NULLS_SINCE = 52.0  # API version from which a field that is null may be referred to
_REFERENCE = re.compile(r"@\{([^{}]*)\}")
_NAME = re.compile(r"[^.\[]*")
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]{1,9})\]")
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class References:
    """The bodies of the answers so far, by reference id; `version` is that of the enclosing request."""

    version: str
    bodies: dict[str, object] = field(default_factory=dict)

    def filled(self, value: object) -> object:
        """The value with every reference in its texts replaced; a text that is one reference takes over the type too.
        Raises: ApiError(400, PROCESSING_HALTED) for a reference to what is not there.
        """
        if isinstance(value, str):
            whole = _REFERENCE.fullmatch(value)
            if whole:
                return self._value(whole[1])
            return _REFERENCE.sub(lambda match: _as_text(self._value(match[1])), value)
        if isinstance(value, list):
            return [self.filled(one) for one in cast("list[object]", value)]
        if isinstance(value, Mapping):
            return {name: self.filled(one) for name, one in cast("Mapping[str, object]", value).items()}
        return value

    def filled_url(self, url: str) -> str:
        """The URL with every reference replaced by its value, percent-encoded.
        Raises: as `filled`.
        """
        return _REFERENCE.sub(lambda match: quote(_as_text(self._value(match[1])), safe="/:"), url)

    def _value(self, path: str) -> object:
        name = cast("re.Match[str]", _NAME.match(path))[0]
        found = _reached(self.bodies.get(name, _ABSENT), path[len(name) :])
        missing = found is _ABSENT or isinstance(found, (Mapping, list))
        if missing or (found is None and float(self.version) < NULLS_SINCE):
            raise ApiError(400, "PROCESSING_HALTED", f"Invalid reference specified. No value for {path} found in {name}")
        return found


def named(value: object) -> frozenset[str]:
    """The reference ids that a URL or a body refers to."""
    if isinstance(value, str):
        return frozenset(cast("re.Match[str]", _NAME.match(path))[0] for path in _REFERENCE.findall(value))
    if isinstance(value, list):
        return frozenset().union(*map(named, cast("list[object]", value)))
    if isinstance(value, Mapping):
        return frozenset().union(*map(named, cast("Mapping[str, object]", value).values()))
    return frozenset()


def _reached(body: object, path: str) -> object:
    """What the path leads to, names in their exact case; `_ABSENT` if nothing is there."""
    position = 0
    while position < len(path) and body is not _ABSENT:
        step = _STEP.match(path, position)
        if step is None:
            return _ABSENT
        body = _member(body, step[1]) if step[1] is not None else _item(body, int(step[2]))
        position = step.end()
    return body


def _member(body: object, name: str) -> object:
    return body.get(name, _ABSENT) if isinstance(body, Mapping) else _ABSENT


def _item(body: object, index: int) -> object:
    return body[index] if isinstance(body, list) and index < len(body) else _ABSENT


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
