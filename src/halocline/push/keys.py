"""Keys: which texts of a key name the same record.

Source: SOAP API Developer Guide, upsert(): "Matching by external ID is case-insensitive only if the external ID field has the
Unique attribute" and treats "ABC" and "abc" as duplicate values; DescribeSObjectResult, `caseSensitive`. Read November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_ID_CHARS = 15
_TEXTS = frozenset({"string", "email", "phone", "url"})


class Alike(StrEnum):
    """When two texts of a key name the same record: EXACT when they are equal; CASELESS also when only the case of the letters A
    to Z differs; ID when their first 15 characters are equal. Beyond A to Z nobody has said what Salesforce does: those differ.
    """

    EXACT = "exact"
    CASELESS = "caseless"
    ID = "id"

    def common(self, texts: pa.Array) -> pa.Array:
        """What the texts that name one record have in common, and no others; null for null."""
        import pyarrow.compute as pc  # dicts do not need Arrow before there are keys to compare

        if self is Alike.ID:
            return pc.utf8_slice_codeunits(texts, 0, _ID_CHARS)
        return pc.ascii_lower(texts) if self is Alike.CASELESS else texts


def alike(describe: Mapping[str, Any], key: str | None) -> Alike:
    """When two texts of the field `key` name the same record, as the object's describe says (EXACT: it does not)."""
    if key is None:
        return Alike.EXACT
    if key.lower() == "id":
        return Alike.ID
    fields: dict[str, Mapping[str, Any]] = {str(field["name"]).lower(): field for field in describe.get("fields", ())}
    field = fields.get(key.lower(), {})
    caseless = field.get("unique") is True and field.get("caseSensitive") is False and field.get("type") in _TEXTS
    return Alike.CASELESS if caseless else Alike.EXACT
