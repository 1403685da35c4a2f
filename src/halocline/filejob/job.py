"""FileJob: what becomes of the files that land below a prefix of a bucket; FileOutcome: what became of one of them."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from halocline.batch import JSON
from halocline.choice import chosen
from halocline.errors import FixConfig
from halocline.filejob.limits import Limits
from halocline.filejob.record import Execution
from halocline.mapping import FieldMapper
from halocline.outcome import Counts
from halocline.push.order import BATCH_ROWS, Api, Nulls, SyncMode, WriteOrder
from halocline.rows.files import FileOptions

if TYPE_CHECKING:
    from halocline.landed import Landed

LINK_S = 7 * 86_400
"""The longest that a signature lasts; one of temporary credentials ends with them.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html, read November 2026.
"""
_DOING = "Reading a file job"


@dataclass(frozen=True, kw_only=True)
class FileJob:
    """Files below `prefix` of `bucket` go into `sobject`, are reported on, archived and recorded.

    `mode`, `key` (the external id field of an upsert), `mapping`, `api`, `batch_size`, `strict` and `nulls` are those of a push;
    `encoding` and `delimiter` those of text files. What was not written is told in a file below `error_prefix`; with
    `empty_report` there is one, with its header line, for every file. The file itself goes below `archive_prefix`, folders kept.
    `execution` says which record tells of it. A link to the report lasts `link_s` seconds. `name` is a part of what the ledger
    remembers: renamed, a job takes a file that lies there still for a new one.
    Raises: FixConfig for what cannot work together.
    """

    name: str
    bucket: str
    sobject: str
    prefix: str = ""
    mode: SyncMode | str = SyncMode.UPSERT
    key: str | None = None
    mapping: FieldMapper | Mapping[str, object] | None = None
    archive_prefix: str = "archive/"
    error_prefix: str = "errors/"
    execution: Execution | None = None
    encoding: str = "utf-8"
    delimiter: str | None = None
    api: Api | str = Api.AUTO
    batch_size: int = BATCH_ROWS
    strict: bool = False
    nulls: Nulls | str | None = None
    limits: Limits = field(default_factory=Limits)
    empty_report: bool = False
    link_s: int = LINK_S

    def __post_init__(self) -> None:
        for name in ("name", "bucket", "sobject", "archive_prefix", "error_prefix"):
            if not getattr(self, name):
                raise FixConfig(_DOING, f"{name} is empty", hint="Give it a value.")
        for one in self.own_prefixes:
            if self.prefix.startswith(one):
                hint = "What the job puts there itself it never reads; choose another prefix."
                raise FixConfig(_DOING, f"its files lie below {self.prefix!r}, which is below its own {one!r}", hint=hint)
        if not 1 <= self.link_s <= LINK_S:
            raise FixConfig(_DOING, f"link_s is {self.link_s}", hint=f"A signature lasts at most {LINK_S:,} seconds.")
        try:
            "".encode(self.encoding)
            codecs.lookup(self.encoding)
        except LookupError as error:
            raise FixConfig(_DOING, str(error), hint="Name an encoding that Python knows, such as cp1252.") from error
        _ = (self.reading, self.mapper, self.order(Nulls.KEEP, None))  # so that what cannot work is told now

    @property
    def own_prefixes(self) -> tuple[str, str]:
        """Where the job puts things; what lands there is none of its files."""
        return (self.archive_prefix, self.error_prefix)

    def takes(self, where: Landed) -> bool:
        """Whether a file is one of this job's: in its bucket, below its prefix, not below its own, and no mark of a folder."""
        mine = where.bucket == self.bucket and where.key.startswith(self.prefix)
        return mine and not where.key.startswith(self.own_prefixes) and not where.key.endswith("/")

    @cached_property
    def mapper(self) -> FieldMapper | None:
        """The mapping at work."""
        return FieldMapper(self.mapping) if isinstance(self.mapping, Mapping) else self.mapping

    @property
    def reading(self) -> FileOptions:
        """How its text files are read."""
        return FileOptions(self.encoding, self.delimiter)

    def order(self, nulls: Nulls, clears: str | None) -> WriteOrder:
        """What is done with the rows of one file, whose empty values mean `nulls` where the job says nothing of them."""
        mode = chosen(SyncMode, self.mode, name="mode", doing=_DOING)
        return WriteOrder(
            self.sobject,
            mode,
            self.key if mode is SyncMode.UPSERT else None,
            chosen(Api, self.api, name="api", doing=_DOING),
            self.batch_size,
            nulls=nulls if self.nulls is None else chosen(Nulls, self.nulls, name="nulls", doing=_DOING),
            clears=clears,
        )


class FileState(StrEnum):
    """What became of a file.

    DONE: its rows were sent, whatever Salesforce said of each. UNREADABLE: it is no file of rows, which the report says.
    AGAIN: an earlier delivery took care of it, and nothing was done. REPLACED: somebody wrote another file over it before it was
    read, and nothing was done; that one has an event of its own. SUPERSEDED: a file that landed later under the same key was sent
    before it, in a bucket with versions; its rows were not, for an upsert or update would put older values over newer ones.
    """

    DONE = "done"
    UNREADABLE = "unreadable"
    AGAIN = "again"
    REPLACED = "replaced"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file, in rows. `errors` rows are in the report `error_key`, those in doubt or not sent among them.

    `run` is that of the file in the ledger, `push_run` that of its rows (`halocline errors`, `retry`). `message` says why a file
    could not be read, or was not sent.
    """

    state: FileState
    run: str
    where: Landed
    rows: int = 0
    written: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: int = 0
    in_doubt: int = 0
    not_sent: int = 0
    error_key: str | None = None
    archive_key: str | None = None
    record_id: str | None = None
    push_run: str | None = None
    message: str = ""

    @property
    def clean(self) -> bool:
        """Whether nothing is left for anybody to look at."""
        return not self.errors and not self.message

    @property
    def counts(self) -> Counts:
        """The rows as every other answer counts them; a file that could not be read, or was not sent, has none refused."""
        return Counts(
            inserted=self.created,
            updated=self.updated,
            deleted=self.written - self.created - self.updated,
            unchanged=self.unchanged,
            rejected=0 if self.message else self.errors - self.in_doubt - self.not_sent,
            in_doubt=self.in_doubt,
            not_sent=self.not_sent,
        )

    def to_json(self) -> dict[str, JSON]:
        """The outcome as plain JSON data: its own words, and `rows_read` and `counts`, which every answer has."""
        data: dict[str, JSON] = {name: getattr(self, name) for name in self.__slots__ if name not in {"where", "state"}}
        data |= {"rows_read": self.rows, "counts": self.counts.to_json()}
        return {"state": self.state.value, "bucket": self.where.bucket, "key": self.where.key, **data}
