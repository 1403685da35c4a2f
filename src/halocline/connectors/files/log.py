"""Log: the commits of a table. The newest one says what the table is; nothing else does.

A commit is the creation of the next number, which only one run can do. Rows and positions are in the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from halocline.batch import Position
from halocline.connectors.files.layout import Folder, number_of
from halocline.connectors.files.storage import Storage
from halocline.errors import FixConfig, StorageFailed
from halocline.schema import Column, Schema

KEPT_COMMITS = 100  # commits that stay in the log
_SHORTENED_EVERY = 10  # commits
_SUM = "sha256"  # of all else; the first commits had none
_LAYOUT = 1  # raised when an older Halocline could not read what this one writes


@dataclass(frozen=True, slots=True)
class DataFile:
    """One data file: `path` below the table's folder, `rows`, of which `live` are not marked as deleted, and the range of keys.

    `low` and `high` are keys as text (`keys.key_of`), in the order of their bytes; `key` is the columns of which (none: nobody
    noted them). `partition` is the folder.
    """

    path: str
    rows: int
    live: int
    bytes: int
    sha256: str
    low: str
    high: str
    partition: str = ""
    key: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """This value as plain JSON data."""
        return {name: getattr(self, name) for name in self.__slots__} | {"key": list(self.key)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DataFile:
        """The value that `to_json` wrote."""
        values = {name: data[name] for name in cls.__slots__ if name != "key"}
        return cls(**values, key=tuple(data.get("key", ())))


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: what the table is after it. `number` 0 is a table that does not exist."""

    number: int = 0
    format: str = ""
    partition_by: tuple[str, ...] = ()
    schema: Schema = field(default_factory=lambda: Schema(()))
    files: tuple[DataFile, ...] = ()
    positions: Mapping[str, Position] = field(default_factory=dict)
    flow: str = ""
    fence: int = 0
    owner: str = ""
    unit: str = ""
    committed: str = ""
    counts: Mapping[str, object] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Whether there is a table."""
        return self.number > 0

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return sum(file.rows for file in self.files)

    @property
    def live(self) -> int:
        """Rows that are not marked as deleted."""
        return sum(file.live for file in self.files)

    @property
    def paths(self) -> frozenset[str]:
        """The names of the data files, below the table's folder."""
        return frozenset(file.path for file in self.files)

    def only_here(self, schema: Schema) -> tuple[Column, ...]:
        """The columns that the table has and `schema` has not."""
        return tuple(column for column in self.schema if schema.column(column.name) is None)

    def to_bytes(self) -> bytes:
        """This commit as the bytes of its file."""
        data: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        shaped = {"schema": self.schema.to_json(), "files": [file.to_json() for file in self.files]}
        whole = {"halocline": _LAYOUT, **data, **shaped, "rows": self.rows, "live": self.live}
        return json.dumps({**whole, _SUM: _digest(whole)}, indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str) -> Commit:
        """The commit that `to_bytes` wrote.

        Raises: StorageFailed for a damaged file, FixConfig for one of a newer Halocline.
        """
        doing = f"Reading the commit {name}"
        try:
            read: dict[str, Any] = json.loads(data)
            if read["halocline"] > _LAYOUT:
                raise FixConfig(doing, "a newer Halocline wrote it", hint="Install that one here too.")
            _hold_sum(read)
            values = {key: read[key] for key in cls.__slots__}
            values["files"] = tuple(map(DataFile.from_json, values["files"]))
            values["schema"] = Schema.from_json(values["schema"])
            values["partition_by"] = tuple(values["partition_by"])
            return cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            hint = "Restore it from a copy, or name another table."
            raise StorageFailed(doing, f"it is damaged ({error!r})", hint=hint) from error


def _hold_sum(read: dict[str, Any]) -> None:
    """Raises: ValueError for a commit that is not as its checksum says; `read` has it no more."""
    kept = read.pop(_SUM, None)
    if kept is not None and kept != _digest(read):
        raise ValueError("its checksum is another")


def _digest(whole: Mapping[str, object]) -> str:
    """What shows that a commit is as it was written: disks and copies err, and a wrong position would lose rows."""
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Log:
    """The commits of a table, in its folder."""

    storage: Storage
    folder: Folder

    def newest(self) -> Commit:
        """The table as it stands: the commit with the greatest number."""
        return self.at(max(self._numbers(), default=0))

    def at(self, number: int) -> Commit:
        """One commit; that of a table that does not exist where it is gone."""
        data = self.storage.read(self.folder.commit(number)) if number > 0 else None
        return Commit() if data is None else Commit.from_bytes(data, name=self.folder.commit(number))

    def publish(self, commit: Commit) -> Commit | None:
        """Make the commit after `commit.number`, and return it; None when another run made it, and this one's did not happen.

        A run that slept while the log went on and was shortened could find its number free again: then it takes it back.
        """
        following = replace(commit, number=commit.number + 1)
        if not self.storage.create(self.folder.commit(following.number), following.to_bytes()):
            return None
        if max(self._numbers(), default=0) < following.number + KEPT_COMMITS // 2:
            return following
        self.storage.delete([self.folder.commit(following.number)])
        return None

    def tidy(self, newest: Commit) -> None:
        """Write `latest.json`, for whoever cannot look for the greatest number: it may lag, and is never the truth. Now and then
        delete all but the last commits, oldest first.
        """
        self.storage.write(f"{self.folder.log}/latest.json", newest.to_bytes())
        if newest.number % _SHORTENED_EVERY == 0:
            old = sorted(number for number in self._numbers() if number <= newest.number - KEPT_COMMITS)
            self.storage.delete(self.folder.commit(number) for number in old)

    def _numbers(self) -> list[int]:
        found = (number_of(entry.name) for entry in self.storage.entries(self.folder.log))
        return [number for number in found if number is not None]
