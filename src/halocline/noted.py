"""Noted: values that are noted down as plain JSON data, and read again, perhaps by a later version of ours."""

from __future__ import annotations

from typing import Self

from halocline.batch import JSON


class Noted:
    """What a dataclass with slots, of whose fields each is plain JSON data, can do besides."""

    __slots__: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """This value as plain JSON data."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def read(cls, told: object) -> Self | None:
        """The value that `to_json` wrote; None for anything else."""
        try:
            return cls(**told)  # type: ignore[arg-type]  # what is no such mapping fails
        except TypeError:
            return None
