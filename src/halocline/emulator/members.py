"""A JSON object that a client sent, read member by member: unknown members and wrong types are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from halocline.emulator.errors import malformed_json

_TOKENS = {dict: "START_OBJECT", list: "START_ARRAY", str: "VALUE_STRING", bool: "VALUE_BOOLEAN", type(None): "VALUE_NULL"}


@dataclass(frozen=True, slots=True)
class Members:
    """The members of one object. Error words are those of Salesforce's JSON reader where they are known, else unverified."""

    values: Mapping[str, object]

    @classmethod
    def of(cls, value: object, known: tuple[str, ...], *, required: tuple[str, ...] = ()) -> Members:
        """The members of `value`; `required` ones count as known.
        Raises: ApiError(400, JSON_PARSER_ERROR).
        Source: "Handle Errors with Composite Resources", Salesforce developers' blog, for what a missing member is called.
        """
        if not isinstance(value, Mapping):
            raise _cannot_read("object", value)
        unknown = next((name for name in value if name not in known and name not in required), None)
        if unknown is not None:
            raise malformed_json(f'Unrecognized field "{unknown}"')
        missing = next((name for name in required if value.get(name) is None), None)
        if missing is not None:
            raise malformed_json(f"'{missing}' is a required field.")
        return cls(value)

    def flag(self, name: str) -> bool:
        """A boolean, False when it is absent; the texts `true` and `false` count as booleans."""
        value = self.values.get(name)
        known = {None: False, False: False, True: True, "false": False, "true": True}
        folded = value.lower() if isinstance(value, str) else value
        if not isinstance(folded, (bool, str, type(None))) or folded not in known:
            raise _cannot_read("boolean", value)
        return known[folded]

    def text(self, name: str) -> str:
        """A text, empty when it is absent."""
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value or ""
        raise _cannot_read("string", value)

    def array(self, name: str) -> list[object]:
        """A list, empty when it is absent."""
        value = self.values.get(name)
        if value is None or isinstance(value, list):
            return value or []
        raise _cannot_read("list", value)

    def objects(self, name: str) -> list[dict[str, object]]:
        """A list of objects, empty when it is absent."""
        found = self.array(name)
        for one in found:
            if not isinstance(one, dict):
                raise _cannot_read("object", one)
        return cast("list[dict[str, object]]", found)

    def texts(self, name: str) -> list[str]:
        """A list of texts, empty when it is absent."""
        found = self.array(name)
        for one in found:
            if not isinstance(one, str):
                raise _cannot_read("string", one)
        return cast("list[str]", found)

    def text_map(self, name: str) -> dict[str, str]:
        """An object whose values are texts, empty when it is absent."""
        value = self.values.get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise _cannot_read("map", value)
        for one in value.values():
            if not isinstance(one, str):
                raise _cannot_read("string", one)
        return dict(value)


def _cannot_read(kind: str, value: object) -> Exception:
    token = _TOKENS.get(type(value), "VALUE_NUMBER")
    return malformed_json(f"Cannot deserialize instance of {kind} from {token} or request may be missing a required field")
