"""What every part of `halocline.yaml` is: a value that is checked when it is read, and knows no other names than its own."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Model(BaseModel):
    """A mapping of the file. Texts are no numbers here, and numbers are no texts: YAML has told them apart already.

    An empty text, or a blank one, is refused but in the fields of `MAY_BE_BLANK`: what was left out by mistake would mean all
    rows, all columns or the usual table.
    """

    MAY_BE_BLANK: ClassVar[frozenset[str]] = frozenset()
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _says_something(cls, value: object, info: ValidationInfo) -> object:
        texts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
        if info.field_name not in cls.MAY_BE_BLANK and any(isinstance(one, str) and not one.strip() for one in texts):
            raise ValueError(f"{'it' if texts == [value] else 'a text in it'} is empty; say something, or leave it out")
        return value
