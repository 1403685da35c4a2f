"""Flows of the kind `sync`: Salesforce objects into tables, as `halocline sync` does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from halocline import registry
from halocline.errors import FixConfig
from halocline.events import Noticed
from halocline.flows.connected import Connected
from halocline.flows.connections import open_org, uri_of
from halocline.flows.model import Model
from halocline.place import schema_in, stage_in
from halocline.refresh import LONGEST_S
from halocline.several import PARALLEL, Columns, Ended, Looked

if TYPE_CHECKING:
    from halocline.sync import IntelligentSync, SobjectSync

Hidden = Literal["hash", "null"] | None  # `null` without quotes is YAML's own


class SyncFlow(Model):
    """Salesforce objects into tables: all of it at first, then only what changed."""

    kind: Literal["sync"]
    """Salesforce objects into tables."""
    org: str | None = Field(None, alias="from")
    """The connection of the org; without any, the login of the SF_* variables."""
    to: str
    """The connection of the database or folder, or its URI."""
    objects: list[str] = Field(default_factory=list)
    """Names or patterns: Account, 'Acc*'."""
    everything: bool = Field(default=False, alias="all")
    """Every object that can be queried."""
    exclude_objects: list[str] = Field(default_factory=list)
    """Names or patterns to leave out: '*History'."""
    schema_name: str | None = Field(None, alias="schema")
    """The schema of the tables, made if need be; without it main, in PostgreSQL the search path's first."""
    table: str | dict[str, str] | None = None
    """Where the table is not named like its object: the name for one object, or object -> table for several."""
    key: str = "Id"
    """The field that identifies a row."""
    soql: str | None = None
    """A whole query, parents too, in the place of `where`, `fields` and `exclude`."""
    where: str | None = None
    """A SOQL condition, without WHERE."""
    fields: list[str] | None = None
    """Columns to carry; `Account.Name` means one object's, as in the next three."""
    exclude: list[str] = Field(default_factory=list)
    """Columns to leave out."""
    rename: dict[str, str] = Field(default_factory=dict)
    """Column -> another name for it."""
    mask: dict[str, Hidden] = Field(default_factory=dict)
    """Column -> hash or null."""
    contract: Literal["evolve", "freeze", "discard"] = "evolve"
    """Columns that differ from the last read: evolve adds new ones, freeze refuses, discard ignores new ones."""
    deletes: Literal["soft", "hard", "ignore"] = "soft"
    """Deleted rows: soft keeps them, flagged, hard removes them, ignore leaves them as they are."""
    history: bool = False
    """Keep every version of a row, with valid_from and valid_to; nothing is replaced."""
    lookback: Annotated[float, Field(ge=0, le=LONGEST_S)] | None = None
    """Seconds before the last position to read again."""
    formula_refresh: str = "never"
    """How often formulas, which change without a stamp, are read for all rows: never, always, 24h, 7d."""
    numbers: Literal["decimal", "double"] = "decimal"
    """decimal: exact, as declared; double: as Salesforce sends them."""
    full: bool = False
    """Read everything each time, and replace the table."""
    allow_empty: bool = False
    """Let an empty answer empty the table."""
    max_delete_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The share of the table's rows that may be missing or deleted; more is refused."""
    use_stage: bool = False
    """Stage result pages in files at any size."""
    stage_name: str | None = None
    """The stage for the files, in Snowflake: '@MY_STAGE'."""
    bulk_threshold: Annotated[int, Field(ge=0)] | None = None
    """Rows from which Bulk API 2.0 is used; without it 1,000."""
    stage_threshold: Annotated[int, Field(ge=0)] | None = None
    """Rows from which result pages are staged; without it 50,000."""
    parallel: Annotated[int, Field(ge=1)] = PARALLEL
    """Objects at a time."""
    wait: Annotated[float, Field(ge=0)] = 0.0
    """Seconds to wait for another run of the same object to end."""
    schedule: str | None = None
    """The name of the EventBridge rule that starts it in Lambda."""

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        several = self.everything or len(self.objects) != 1
        if self.soql is not None and (self.everything or self.exclude_objects or len(self.objects) > 1):
            raise ValueError("soql reads one object; leave all, exclude_objects and further objects out")
        if self.soql is not None and (self.where or self.fields is not None or self.exclude):
            raise ValueError("soql says it all; leave where, fields and exclude out")
        if self.soql is None and not self.objects and not self.everything:
            raise ValueError("name objects, or say `all: true`, or give soql")
        if self.everything and self.objects:
            raise ValueError("all means every object; leave objects out, or all")
        both = {name.lower() for name in self.exclude}.intersection(name.lower() for name in self.fields or ())
        if both:
            raise ValueError(f"fields and exclude both name {', '.join(sorted(both))}; name each column in one of them")
        if isinstance(self.table, str) and several and self.soql is None:
            raise ValueError("table names one table; for several objects write {Account: ACCOUNTS, Contact: CONTACTS}")
        if isinstance(self.table, dict):
            _check_tables(self.table, self.objects)
        return self

    @contextmanager
    def system(self, around: Connected) -> Iterator[IntelligentSync]:
        """The system that syncs this flow's objects, connected while the block lasts.

        Raises: FixConfig for a login or a secret that is not there.
        """
        from halocline.sync import IntelligentSync

        uri = uri_of(around.connection(self.to))
        client = open_org(around.org(self.org), sink=around.sink)
        with ExitStack() as stack:
            stack.callback(client.close)
            system = IntelligentSync(
                uri, client, ledger=around.ledger, settings=around.settings, sink=around.sink, wait_s=self.wait
            )
            stack.callback(system.close)
            if self.bulk_threshold is not None:
                system.BULK_API_THRESHOLD = self.bulk_threshold
            if self.stage_threshold is not None:
                system.STAGE_THRESHOLD = self.stage_threshold
            yield system

    def jobs(self, system: IntelligentSync, around: Connected) -> list[SobjectSync]:
        """One job for each object that is meant; the watcher is told of those that cannot be read.

        Raises: NotFound for a pattern that no object matches; FixConfig for a column of an object that is not meant; what asking
        the org raises.
        """
        names = self._names(system, around)
        mask = {column: mask or "null" for column, mask in self.mask.items()}
        columns = Columns(self.fields, self.exclude, self.rename, mask, paths=self.soql is not None)
        columns.check(names)
        return [self._job(name, columns, around) for name in names]

    def _names(self, system: IntelligentSync, around: Connected) -> Sequence[str]:
        if self.soql is not None:
            return self.objects or [registry.object_of("salesforce", self.soql)]
        choice = system.choose(self.objects, exclude=self.exclude_objects, everything=self.everything)
        for name, reason in choice.left_out:
            around.sink(Noticed(f"Left out {name}: {reason}"))
        if isinstance(self.table, str) and len(choice.objects) > 1:
            hint = "Leave table out, name one object, or write {Account: ACCOUNTS, Contact: CONTACTS}."
            raise FixConfig("Reading the flow", f"table names one table, but {len(choice.objects)} objects are meant", hint=hint)
        return choice.objects

    def _job(self, name: str, columns: Columns, around: Connected) -> SobjectSync:
        from halocline.sync import SobjectSync

        uri = uri_of(around.connection(self.to))
        return SobjectSync(
            name,
            schema_in(uri, self.schema_name),
            self._table_of(name),
            match_field=self.key,
            use_stage=self.use_stage,
            stage_name=stage_in(uri, self.stage_name),
            force_full_sync=self.full,
            where_clause=self.where,
            deletes=self.deletes,
            numbers=self.numbers,
            allow_empty=self.allow_empty,
            max_delete_share=self.max_delete_share,
            lookback_s=self.lookback,
            soql=self.soql,
            contract=self.contract,
            formula_refresh=self.formula_refresh,
            history=self.history,
            **columns.of(name),
        )

    def _table_of(self, name: str) -> str:
        if isinstance(self.table, dict):
            named = {one.lower(): table for one, table in self.table.items()}
            return named.get(name.lower(), name)
        return self.table or name

    def run(self, name: str, around: Connected) -> Iterator[SyncDone]:
        """Sync the objects, and yield what became of each; a failure of one is in what is yielded.

        Raises: an error of `halocline.errors` where nothing could be begun.
        """
        with self.system(around) as system:
            jobs = self.jobs(system, around)
            watch = around.watch if len(jobs) > 1 else None
            for ended in system.run_all(jobs, parallel=self.parallel, watch=watch, halt=around.halt):
                yield SyncDone(name, ended)

    def plan(self, around: Connected) -> Iterator[Looked]:
        """What `run` would do now with each object; nothing is read or changed."""
        with self.system(around) as system:
            yield from system.plan_all(self.jobs(system, around), parallel=self.parallel)


def _check_tables(tables: dict[str, str], objects: list[str]) -> None:
    """Raises: ValueError for a table of two objects, and of an object that is not read."""
    counted = Counter(table.lower() for table in tables.values())
    twice = next((table for table in tables.values() if counted[table.lower()] > 1), None)
    if twice is not None:
        raise ValueError(f"table names {twice} for two objects; give each its own")
    known = [one.lower() for one in objects]
    strange = [name for name in tables if known and not any(fnmatchcase(name.lower(), one) for one in known)]
    if strange:
        raise ValueError(f"table names the object {strange[0]}, which the flow does not read")


@dataclass(frozen=True, slots=True)
class SyncDone:
    """One object of a flow, synced or not."""

    flow: str
    ended: Ended

    @property
    def error(self) -> Exception | None:
        """Why it was not."""
        return self.ended.error

    @property
    def is_whole(self) -> bool:
        """Whether every record is where it belongs."""
        return self.error is None

    def to_json(self) -> dict[str, object]:
        """What is told to programs."""
        from halocline.sync import answer

        ended = self.ended
        told = {"flow": self.flow, "run": ended.run.id, **answer(ended.job, ended.run, error=ended.error)}
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items()}
