"""Flows of the kind `push`: a file, or the answer of a query, into a Salesforce object, as `halocline push` does it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import Field, model_validator

from halocline.errors import FixConfig, HaloclineError
from halocline.flows.connected import Connected
from halocline.flows.connections import open_org, uri_of
from halocline.flows.functions import FunctionName, found, given_by, heard
from halocline.flows.model import Model

if TYPE_CHECKING:
    from halocline.mapping import FieldMapper
    from halocline.pipeline import SyncPipeline, SyncResult
    from halocline.rows.rows import Rows

_DOING = "Reading the flow"

Hook = Literal["on_record_start", "on_record_success", "on_record_error", "on_batch_complete"]


class Writing(Model):
    """What both kinds of flow that write to Salesforce say of the writing."""

    MAY_BE_BLANK = frozenset({"delimiter"})

    to: str | None = None
    """The connection of the org; without any, the login of the SF_* variables."""
    sobject: str = Field(alias="object")
    """The object that is written: Account, My_Thing__c."""
    mode: Literal["insert", "update", "upsert", "delete", "hard_delete"] = "upsert"
    """update, delete and hard_delete go by Id, upsert by `key`."""
    key: str | None = None
    """The external id field of an upsert."""
    mapping: str | dict[str, Any] | None = None
    """Column -> field, or the path of a YAML file with `mapping:`; without one, columns are fields. A transform is a name, or
    `module:function`."""
    conditions: dict[str, FunctionName] = Field(default_factory=dict)
    """Field -> `module:function`, which makes its value of the whole row."""
    api: Literal["auto", "collections", "bulk"] = "auto"
    """collections for few rows, bulk for many; auto chooses by their number."""
    batch_size: Annotated[int, Field(ge=1, le=200)] = 200
    """Rows in one request of collections."""
    nulls: Literal["clear", "keep"] | None = None
    """What an empty value does (files keep the field, queries clear it)."""
    strict: bool = False
    """Refuse rows that lack a mapped field."""
    encoding: str = "utf-8"
    """Of a text file: utf-8, latin-1, cp1252, utf-16."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Of a CSV file, one character; without it a comma, in a .tsv a tab."""

    @model_validator(mode="after")
    def _has_its_key(self) -> Self:
        if self.mode == "upsert" and self.key is None:
            raise ValueError("an upsert needs a key: the external id field that tells records apart")
        if self.mode != "upsert" and self.key is not None:
            raise ValueError(f"key is for an upsert; leave it out of {self.mode}")
        if self.conditions and self.mapping is None:
            raise ValueError("conditions go with a mapping: what it maps, and besides what they say")
        return self

    def mapper(self, around: Connected) -> FieldMapper | None:
        """The mapping; paths start from the folder of the file.

        Raises: FixConfig for a mapping that cannot be.
        """
        from halocline.mapping.named import mapper_of

        return None if self.mapping is None else mapper_of(self.mapping, self.conditions, folder=around.folder)

    def examine(self, around: Connected, rows: object = ()) -> str:
        """Hold the mapping, the key and these rows against the object's describe; what some rows may not survive, in words.

        Raises: FixConfig for what no row can survive; NotFound for an object that is not there; what asking the org raises.
        """
        from halocline.pipeline import SyncPipeline

        client = open_org(around.org(self.to), sink=around.sink)
        try:
            mapper = self.mapper(around)
            pipeline = SyncPipeline(
                client,
                self.sobject,
                mapper,
                self.mode,
                self.key,
                ledger=around.ledger,
                settings=around.settings,
                sink=around.sink,
            )
            return "".join(f"; {finding}" for finding in pipeline.examine(rows))
        finally:
            client.close()


class PushFlow(Writing):
    """A file, the answer of a query, or what a function gives, into a Salesforce object."""

    kind: Literal["push"]
    """A file, or the answer of a query, into Salesforce."""
    source: str | None = Field(None, alias="from")
    """The connection of the database that `query` is a question to, or its URI."""
    query: str | None = None
    """A SELECT; its columns are fields, or what `mapping` names."""
    file: str | None = None
    """A CSV, JSONL, JSON or Parquet file; the path starts from this file's folder."""
    rows_of: FunctionName | None = Field(None, alias="rows")
    """`module:function`, called without arguments: a list or an iterator of dicts, or a table."""
    callbacks: dict[Hook, FunctionName] = Field(default_factory=dict)
    """What is to hear of rows and batches, `module:function` each."""
    stop_on_error: bool = False
    """Send nothing after the first refused row."""
    diff: bool = False
    """Send only rows that changed since this flow last wrote them."""
    diff_key: str | None = None
    """For `diff` without a key: the field that tells rows apart."""
    mirror: bool = False
    """As diff, and delete what was sent once and is gone from the source."""
    max_delete_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The share of what is known that `mirror` may delete; more is refused."""
    allow_empty: bool = False
    """Let a source without rows be a success."""
    results_to: str | None = None
    """The schema beside the source for tables of results."""
    schedule: str | None = None
    """The name of the EventBridge rule that starts it in Lambda."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if sum(one is not None for one in (self.query, self.file, self.rows_of)) != 1:
            raise ValueError("give a query, a file or rows, one of the three")
        if (self.query is None) != (self.source is None):
            raise ValueError("query and from go together: from names the database that is asked")
        if self.results_to is not None and self.query is None:
            raise ValueError("results_to writes its tables beside the source of a query; leave it out")
        return self

    @model_validator(mode="after")
    def _can_be_compared(self) -> Self:
        if not (self.diff or self.mirror or self.diff_key is not None):
            return self
        if self.mode in ("delete", "hard_delete"):
            raise ValueError("deletes have no state to compare; leave diff, diff_key and mirror out")
        if self.mode == "insert" and self.diff_key is None:
            raise ValueError("an insert has no key by which a row could be known again; diff and mirror need a diff_key")
        return self

    def find_functions(self, around: Connected) -> None:
        """Look for the mapping and for every function that the flow names; none is called.

        Raises: FixConfig for one that is not there.
        """
        self.mapper(around)
        for place in (*([] if self.rows_of is None else [self.rows_of]), *self.callbacks.values()):
            found(place, around.folder)

    @contextmanager
    def pipeline(self, name: str, around: Connected) -> Iterator[SyncPipeline]:
        """The pipeline into the org, connected while the block lasts.

        Raises: FixConfig for a login, a mapping or a choice that cannot be.
        """
        from halocline.pipeline import SyncPipeline

        mapper = self.mapper(around)
        callbacks = {str(name): heard(place, around.folder) for name, place in self.callbacks.items()}
        results_to = None if self.results_to is None else (uri_of(around.connection(self.source or "")), self.results_to)
        client = open_org(around.org(self.to), sink=around.sink)
        try:
            yield SyncPipeline(
                client.view(halt=around.halt),
                self.sobject,
                mapper,
                self.mode,
                self.key,
                self.batch_size,
                self.stop_on_error,
                callbacks,
                api=self.api,
                strict=self.strict,
                nulls=self.nulls,
                ledger=around.ledger,
                settings=around.settings,
                sink=around.sink,
                flow=name,
                diff=self.diff,
                diff_key=self.diff_key,
                mirror=self.mirror,
                max_delete_share=self.max_delete_share,
                allow_empty=self.allow_empty,
                results_to=results_to,
            )
        finally:
            client.close()

    @contextmanager
    def rows(self, around: Connected) -> Iterator[Rows]:
        """The rows of the source while the block lasts.

        Raises: FixConfig for a source without rows, unless it may be empty; NotFound; what the database raises.
        """
        from halocline.rows.files import FileOptions
        from halocline.rows.of import rows_of
        from halocline.spool import Spool, sweep

        sweep(around.settings.spool)
        with ExitStack() as stack:
            spool = Spool(uuid.uuid4().hex, around.settings.spool)
            stack.callback(spool.close)
            how = FileOptions(self.encoding, self.delimiter)
            memory_limit = around.settings.duckdb_memory
            rows = rows_of(self._source(around), folder=spool.path, name=self.rows_of, options=how, memory_limit=memory_limit)
            stack.callback(rows.close)
            if not len(rows) and not self.allow_empty:
                raise FixConfig(_DOING, f"{rows.name} has no rows", hint="`allow_empty: true` makes that a success.")
            yield rows

    def _source(self, around: Connected) -> object:
        from halocline.rows.query import Query

        if self.query is not None:
            return Query(uri_of(around.connection(self.source or "")), self.query)
        if self.rows_of is not None:
            return given_by(self.rows_of, around.folder)
        return around.folder / (self.file or "")

    def run(self, name: str, around: Connected) -> Iterator[PushDone]:
        """Push the rows, and yield what became of them; what ends the push is in what is yielded."""
        try:
            with self.pipeline(name, around) as pipeline, self.rows(around) as rows:
                result = pipeline.sync(rows)
        except HaloclineError as error:
            yield PushDone(name, self.sobject, cast("SyncResult | None", error.facts.get("result")), error)
        else:
            yield PushDone(name, self.sobject, result)


@dataclass(frozen=True, slots=True)
class PushDone:
    """A push, ended or broken off; `result` is None where nothing was begun."""

    flow: str
    sobject: str
    result: SyncResult | None
    error: HaloclineError | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every row is written."""
        return self.error is None and self.result is not None and self.result.status == "success"

    def to_json(self) -> dict[str, object]:
        """What is told to programs."""
        told: dict[str, object] = {"flow": self.flow, "sobject": self.sobject, "success": self.is_whole}
        if self.result is not None:
            told |= {"run": self.result.metadata.get("run"), "total": self.result.total_records}
            told |= {"written": self.result.success_count, "not_written": self.result.error_count}
        return told if self.error is None else {**told, "error": str(self.error)}
