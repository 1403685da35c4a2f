"""WriteOrder: what is to happen to the rows of one push."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from halocline.batch import JSON
from halocline.errors import FixConfig
from halocline.quantity import quantity

BATCH_ROWS = 200


class SyncMode(StrEnum):
    """What happens to the records. UPDATE and DELETE need `Id`, UPSERT an external id; HARD_DELETE goes past the recycle bin."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"
    HARD_DELETE = "hard_delete"


DELETES = frozenset({SyncMode.DELETE, SyncMode.HARD_DELETE})


class Api(StrEnum):
    """How rows travel. AUTO: collections for few, Bulk for many."""

    AUTO = "auto"
    COLLECTIONS = "collections"
    BULK = "bulk"


class Nulls(StrEnum):
    """What a null of the source does to the field: CLEAR empties it, KEEP leaves it as it is."""

    CLEAR = "clear"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class WriteOrder:
    """What to do with all rows of a push. `key` is the external id of an upsert.

    `batch_size` rows are the unit of progress; a request holds at most so many, and never more than 200. `stop_on_error`: one
    request at a time, in the order of the source, none after the first that had a refused row. `nulls` and `clears` (a text that
    clears a field, as `#N/A` does in CSV files) say what empty values of the source mean. `job_rows` bounds the rows of a Bulk
    job (None: as many as fit).

    Raises: FixConfig for a combination that cannot work.
    """

    sobject: str
    mode: SyncMode
    key: str | None = None
    api: Api = Api.AUTO
    batch_size: int = BATCH_ROWS
    stop_on_error: bool = False
    nulls: Nulls = Nulls.CLEAR
    clears: str | None = None
    job_rows: int | None = None

    def __post_init__(self) -> None:
        doing = f"Preparing to {self.mode} {self.sobject}"
        if self.mode is SyncMode.UPSERT and not self.key:
            raise FixConfig(doing, "an upsert needs external_id_field", hint="Name the field that tells records apart: Ext__c.")
        if self.batch_size < 1:
            raise FixConfig(doing, f"batch_size is {self.batch_size}", hint="It counts rows, from 1 up.")
        if self.job_rows is not None and self.job_rows < 1:
            raise FixConfig(doing, f"a job of {quantity(self.job_rows, 'row')} was asked for", hint="It counts rows, from 1 up.")
        if self.stop_on_error and self.api is Api.BULK:
            raise FixConfig(doing, "Bulk cannot stop at the first error", hint='Leave api="bulk" out, or stop_on_error.')
        if self.mode is SyncMode.HARD_DELETE and (self.api is Api.COLLECTIONS or self.stop_on_error):
            raise FixConfig(doing, "only Bulk deletes for good", hint='Leave api="collections" and stop_on_error out.')

    @property
    def needed(self) -> str | None:
        """The field without which a row cannot be written: the key of an upsert, else `Id`; None for an insert."""
        return self.key if self.mode is SyncMode.UPSERT else None if self.mode is SyncMode.INSERT else "Id"

    def to_json(self) -> dict[str, JSON]:
        """The order as plain JSON data."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> WriteOrder:
        """The order that `to_json` wrote."""
        values = dict(data)
        kinds = {"mode": SyncMode, "api": Api, "nulls": Nulls}
        return cls(**{**values, **{name: kind(str(values[name])) for name, kind in kinds.items()}})  # type: ignore[arg-type]  # JSON of our own making
