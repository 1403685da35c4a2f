"""Values that find records: an upsert's key, and which of them are one and the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from halocline.emulator import ids
from halocline.emulator.conversions import trimmed
from halocline.emulator.errors import ApiError
from halocline.emulator.objects import Field
from halocline.emulator.tables import INTEGER_TYPES, REAL_TYPES, is_caseless_key

_ID = Field("Id", "id", "Id")
_NUMBERS = (INTEGER_TYPES | REAL_TYPES) - {"boolean"}
# SQLite's NOCASE, by which a key finds its record, knows no other letters; what Salesforce does with them is unverified.
_FOLDED = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def folded(field: Field, value: object) -> object:
    """What is the same for two values of a key that find the same record, and for no others; None for no value."""
    text = trimmed(str(value)) if value is not None else ""
    if not text:
        return None
    if field.type == "id":
        return text[: ids.SHORT] if ids.is_valid(text) else None  # what is no id is refused for that
    if field.type in _NUMBERS:
        try:
            return float(text)
        except ValueError:
            return text
    return text.translate(_FOLDED) if is_caseless_key(field) else text


@dataclass(frozen=True, slots=True)
class GivenTwice:
    """The keys of one call or transaction that several of its records have; each of those is refused.

    Source: SOAP API Developer Guide, upsert(): where "the external ID is the same for two or more objects in your batch call,
    those records will be marked as errors in the UpsertResult"; the words as Data Loader and Bulk clients show them. Of ids, for
    an update too: Salesforce Help, knowledge article 000384876 ("Error 'Duplicate Id Specified'").
    """

    field: Field
    keys: frozenset[object] = frozenset()

    @classmethod
    def among(cls, field: Field, values: Iterable[object]) -> GivenTwice:
        """Of these values."""
        counted = Counter(folded(field, value) for value in values)
        return cls(field, frozenset(key for key, times in counted.items() if key is not None and times > 1))

    @classmethod
    def among_ids(cls, values: Iterable[object]) -> GivenTwice:
        """Of these ids, in 15 or 18 characters, of any objects."""
        return cls.among(_ID, values)

    def refuse(self, value: object) -> None:
        """Raises: ApiError(400, DUPLICATE_VALUE) if a record's key is one of them."""
        if self.keys and folded(self.field, value) in self.keys:
            message = f"Duplicate external id specified: {value}"
            if self.field.type == "id":
                message = f"Duplicate id specified: {ids.to_18(trimmed(str(value)))}"
            raise ApiError(400, "DUPLICATE_VALUE", message, fields=(self.field.name,))
