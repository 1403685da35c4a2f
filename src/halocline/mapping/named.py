"""A mapping as a configuration says it: functions of yours stand there as `module:function`, and become functions here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from halocline.located import function_at
from halocline.mapping import document
from halocline.mapping.conditional import ConditionalFieldMapper
from halocline.mapping.mapper import FieldMapper
from halocline.mapping.spellings import is_spelling
from halocline.mapping.transforms import Function

_EXAMPLE = "cleaning:phone"


def mapper_of(
    said: str | Path | Mapping[str, object], conditions: Mapping[str, str] | None = None, *, folder: Path
) -> FieldMapper:
    """The mapper of a mapping, or of the file (its path starts from `folder`) that holds one.

    A transform with a colon is the function at that place, its module looked for in `folder` too; so are `conditions`.
    Raises: FixConfig for a mapping, a file or a function that cannot be.
    """
    mapping = said if isinstance(said, Mapping) else document.read(folder / said)
    transforms = {
        place: _function(place, folder, doing=f"Looking for the transform {place}") for place in dict.fromkeys(_places(mapping))
    }
    if not conditions:
        return FieldMapper(mapping, transforms=transforms)
    doing = "Looking for the condition of"
    asked = {target: _function(place, folder, doing=f"{doing} {target}, {place}") for target, place in conditions.items()}
    return ConditionalFieldMapper(mapping, asked, transforms=transforms)


def places_in(said: Mapping[str, object] | str | Path | None, *, folder: Path) -> list[str]:
    """The functions that a mapping, or the file that holds one, names as `module:function`."""
    if said is None:
        return []
    return list(dict.fromkeys(_places(said if isinstance(said, Mapping) else document.read(folder / said))))


def _function(place: str, folder: Path, *, doing: str) -> Function:
    return function_at(place, doing=doing, folder=folder, example=_EXAMPLE)


def _places(mapping: Mapping[str, object]) -> Iterator[str]:
    for form in mapping.values():
        for one in form if isinstance(form, list) else [form]:
            if isinstance(one, Mapping):
                named = one.get("transform")
                names = named if isinstance(named, list) else [named]
                yield from (name for name in names if isinstance(name, str) and ":" in name and not is_spelling(name))
