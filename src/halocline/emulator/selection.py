"""The fields that a request names for its answer, outside of SOQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from halocline.emulator.errors import no_column

if TYPE_CHECKING:
    from halocline.emulator.objects import SObject


def listed(text: str) -> list[str]:
    """The names in a comma-separated list, without the empty ones."""
    return [name.strip() for name in text.split(",") if name.strip()]


def selected(sobject: SObject, names: Sequence[str]) -> list[str]:
    """The fields of these names in canonical case, each once; all of them without names.
    Raises: ApiError(400, INVALID_FIELD) for a field that the object does not have.
    """
    if not names:
        return [field.name for field in sobject.fields.values()]
    fields = {name: sobject.field(name) for name in names}
    unknown = next((name for name, field in fields.items() if field is None), None)
    if unknown is not None:
        raise no_column(unknown, sobject.name)
    return list(dict.fromkeys(field.name for field in fields.values() if field is not None))
