"""Rows and answers as Snowpark's session gives them, for the stand-ins that lht is measured with."""

from __future__ import annotations

from typing import Any


class Row(dict[Any, Any]):
    """A row that is found by name and by place, as Snowpark's is."""

    def __getitem__(self, key: Any) -> Any:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Answer:
    """What `sql` gives: something to collect from."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def collect(self) -> list[Row]:
        return self._rows
