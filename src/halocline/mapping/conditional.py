"""ConditionalFieldMapper: targets whose value depends on the whole row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from halocline.mapping import document
from halocline.mapping.mapper import FieldMapper, Row, called
from halocline.mapping.paths import UNTOUCHED
from halocline.mapping.steps import refuse_clashes
from halocline.mapping.transforms import Function


class ConditionalFieldMapper(FieldMapper):
    """A FieldMapper, and for each target of `conditions` a function of the whole source row.

    What a condition returns takes the place of a mapped value of the same target. None is a null like any other: `transform`
    leaves it out, `each` keeps it, and a load then clears the field; UNTOUCHED always leaves the field as it is.
    A condition that raises refuses its row.
    """

    def __init__(
        self,
        mapping: Mapping[str, object],
        conditions: Mapping[str, Function] | None = None,
        *,
        transforms: Mapping[str, Function] | None = None,
    ) -> None:
        self._conditions = dict(conditions or {})
        super().__init__(mapping, transforms=transforms)
        refuse_clashes(self._targets)

    @classmethod
    def from_yaml(
        cls,
        path: str | Path,
        *,
        transforms: Mapping[str, Function] | None = None,
        conditions: Mapping[str, Function] | None = None,
    ) -> Self:
        """The mapper of the YAML file's `mapping`, with `conditions`.

        Raises: FixConfig as FieldMapper.from_yaml.
        """
        return cls(document.read(Path(path)), conditions, transforms=transforms)

    @property
    def vectorised(self) -> bool:
        """Whether `columns` can do the work: no Python function takes part."""
        return not self._conditions and super().vectorised

    @property
    def _targets(self) -> tuple[str, ...]:
        mapped = super()._targets
        return (*mapped, *(target for target in self._conditions if target not in mapped))

    def _row(self, source: object, *, row: int, skip_none: bool, strict: bool, clears: str | None = None) -> Row:
        told = super()._row(source, row=row, skip_none=skip_none, strict=strict, clears=clears)
        for target, condition in self._conditions.items():
            value: Any = called(condition, source, row=row, doing=f"Asking the condition of {target}", target=target)
            if value is not UNTOUCHED and not (value is None and skip_none):
                told[target] = value
        return told
