"""SyncPipeline: records from anywhere into Salesforce, mapped, checked, and each accounted for."""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Self

from halocline import registry
from halocline.choice import chosen
from halocline.config import Settings
from halocline.errors import FixConfig, HaloclineError, Stopped
from halocline.events import Event, Noticed, Sink, silent
from halocline.ledger import Ledger, open_ledger
from halocline.mapping import FieldMapper, Finding
from halocline.mapping.near import near
from halocline.push.callbacks import Callbacks, Function, Unit, known_functions
from halocline.push.diff.mirror import Mirrored
from halocline.push.diff.sifting import Sifting
from halocline.push.fields import checked
from halocline.push.order import BATCH_ROWS, Api, Nulls, SyncMode, WriteOrder
from halocline.push.pending import Pending
from halocline.push.preview import Preview, preview
from halocline.push.push import Push, execute
from halocline.push.result import SyncResult, SyncStatus
from halocline.push.run import PushRun
from halocline.push.tables import TableWatch, key_of
from halocline.push.watch import Watch
from halocline.rows.of import rows_of
from halocline.rows.rows import Rows
from halocline.several import Company, company
from halocline.spool import Spool

__all__ = ["SyncMode", "SyncPipeline", "SyncResult", "SyncStatus"]

_CONFIG = (
    *("sobject", "mode", "external_id_field", "key", "batch_size", "stop_on_error", "mapping", "api", "strict", "nulls", "flow"),
    *("diff", "diff_key", "mirror", "max_delete_share", "allow_empty"),
)
_READING = "Reading a pipeline's configuration"
_MAKING = "Making a pipeline"


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What rows mean, wherever they are tried again: the source's name, and what empties a field."""

    name: str
    nulls: Nulls
    clears: str | None


class SyncPipeline:
    """Writes records to one object of one org: inserts, updates, upserts or deletes them.

    `client` is a SalesforceClient, or what describes a login (an authenticator, a session, a dict). `mode` may be a text.
    `batch_size` counts the rows between two calls of `on_batch_complete`; a request holds at most so many, and at most 200.
    `callbacks` are functions by the names `on_record_start(record)`, `on_record_success(record, id)`,
    `on_record_error(record, error)` and `on_batch_complete(number, of, result)`. What one raises is told at the end, in
    `metadata["callback_errors"]` and by a RuntimeWarning; it changes nothing else.

    `key` is `external_id_field` by its name on the command line and in halocline.yaml.
    `api` overrides the choice between collections and Bulk; `strict` refuses rows that lack a mapped field; `nulls` says what an
    empty value does (None: files leave the field, all else clears it). `flow` names what is pushed: the ledger keeps runs by it,
    and a call with the same rows goes on where an earlier one of that name was cut off. `settings` and `ledger` are the
    environment's otherwise.

    `diff` sends only what changed since this flow last wrote it (`diff_key`: the field that tells an insert's rows apart);
    `mirror` also deletes what it wrote and the source no longer has, within `max_delete_share`, and after an empty source only
    with `allow_empty`. `results_to` is a DuckDB connection or URI and a schema, where tables tell what became of each row.
    Raises: FixConfig for arguments that cannot work together.
    """

    def __init__(
        self,
        client: object,
        sobject: str,
        mapper: FieldMapper | None = None,
        mode: SyncMode | str = SyncMode.INSERT,
        external_id_field: str | None = None,
        batch_size: int = BATCH_ROWS,
        stop_on_error: bool = False,  # noqa: FBT001, FBT002 - the documented signature
        callbacks: Mapping[str, Function | None] | None = None,
        *,
        key: str | None = None,
        api: Api | str = Api.AUTO,
        strict: bool = False,
        nulls: Nulls | str | None = None,
        ledger: Ledger | None = None,
        settings: Settings | None = None,
        sink: Sink = silent,
        flow: str | None = None,
        diff: bool = False,
        diff_key: str | None = None,
        mirror: bool = False,
        max_delete_share: float = 0.5,
        allow_empty: bool = False,
        results_to: tuple[object, str] | None = None,
    ) -> None:
        self.client = client
        self.sobject = sobject
        self.mapper = mapper
        self.mode = chosen(SyncMode, mode, name="mode", doing=_MAKING)
        self.external_id_field = _one_key(external_id_field, key)
        self.batch_size = batch_size
        self.stop_on_error = stop_on_error
        self.callbacks = known_functions(callbacks)
        self._api = chosen(Api, api, name="api", doing=_MAKING)
        self._strict = strict
        self._nulls = None if nulls is None else chosen(Nulls, nulls, name="nulls", doing=_MAKING)
        self._ledger = ledger
        self._settings = settings or Settings.from_env()
        self._sink = sink
        self._flow = flow
        self._sifting = Sifting(diff or mirror or diff_key is not None, diff_key, mirror, max_delete_share, allow_empty)
        self._results_to = results_to
        _check_kinds(self)
        self._order(_Meaning("rows", Nulls.CLEAR, None))  # so that what cannot work is told now

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        client: object,
        *,
        callbacks: Mapping[str, Function | None] | None = None,
        ledger: Ledger | None = None,
        settings: Settings | None = None,
        sink: Sink = silent,
    ) -> Self:
        """The pipeline of a dict: `sobject`, and where wanted the constructor's other names.

        `mapping` is a dict of any form that FieldMapper knows, the path of a YAML file, or a mapper.
        Raises: FixConfig for a name that is not known, or a value that cannot be.
        """
        if not isinstance(config, Mapping):
            hint = 'Give a dict such as {"sobject": "Account"}, or what yaml.safe_load makes of a file.'
            raise FixConfig(_READING, f"config is a {type(config).__name__}", hint=hint)
        for name in config:
            if name not in _CONFIG:
                meant = near(str(name), _CONFIG)
                hint = f"Did you mean {' or '.join(meant)}?" if meant else f"There are {', '.join(_CONFIG)}."
                raise FixConfig(_READING, f"the key {name!r} is unknown", hint=hint)
        if not config.get("sobject"):
            raise FixConfig(_READING, "sobject is missing", hint='Name the object: {"sobject": "Account"}.')
        options = {name: value for name, value in config.items() if name != "mapping"}
        mapper = _mapper_of(config.get("mapping"))
        return cls(client, mapper=mapper, callbacks=callbacks, ledger=ledger, settings=settings, sink=sink, **options)

    def sync(self, source_data: object) -> SyncResult:
        """Write the records, and tell what became of each.

        They may be a list of dicts, any iterable, a table (Arrow, pandas, polars), a file (CSV, JSONL, Parquet), Rows or a Query.
        All are mapped, checked and put aside before the first is sent. Records that are refused are in the result's `errors`, not
        raised.
        Raises: Stopped at the first refused record, with `stop_on_error`; FixConfig before anything is sent; what ends a push on
        its way (network, quota, login). An error's `result` says what is known of the records by then.
        """
        return self._sync(source_data)

    def preview(self, source_data: object) -> Preview:
        """What `sync` would do with these records: the plan, the check's findings, the first rows, those that would be refused.

        The object is described; nothing is sent, and nothing is booked. Raises: what `sync` raises before anything is sent.
        """
        with ExitStack() as stack:
            spool = self._spool(stack)
            rows = self._rows(source_data, None, spool=spool, stack=stack)
            meaning = self._meaning(rows)
            if not len(rows) and not self._sifting.mirror:
                return Preview(rows.name, self._order(meaning), 0)
            shared = stack.enter_context(company(self._ledger, self._settings, looking=True))
            push, findings = self._opened(rows, meaning, stack, shared=shared)
            push = self._sifting.of(push, home=self._settings.home, stack=stack, looking=True)
            before = self._pending(push)
            found = preview(push, findings=findings, scratch=spool.path)
            return replace(found, mirror=self._sifting.looked(push, not_sent=found.refused, before=before), before=before)

    def examine(self, source_data: object = ()) -> tuple[Finding, ...]:
        """What some of these records may not survive, by the object's describe; no row is mapped, and nothing is sent.

        Without records the mapping and the key are looked at alone. Raises: as `preview`.
        """
        with ExitStack() as stack:
            spool = self._spool(stack)
            rows = self._rows(source_data, None, spool=spool, stack=stack)
            shared = stack.enter_context(company(self._ledger, self._settings, looking=True))
            return self._opened(rows, self._meaning(rows), stack, shared=shared)[1]

    def _sync(self, source: object, again: _Meaning | None = None, *, level: int = 3) -> SyncResult:
        """`again` is what the rows meant at the first try; a warning names the caller `level` frames up."""
        going = _Going(self.mode, self.sobject)
        try:
            with ExitStack() as stack:
                self._carry(source, again, going, stack)
            going.end()
            going.warn(level + 1)
        except BaseException as error:
            going.end(error)
            raise
        return going.result

    def _carry(self, source: object, again: _Meaning | None, going: _Going, stack: ExitStack) -> None:
        rows = self._rows(source, again, spool=self._spool(stack), stack=stack)
        going.begin(len(rows))
        if not len(rows) and not self._sifting.mirror:
            return  # nothing to do needs nobody: not even a login
        meaning = again or self._meaning(rows)
        result = going.result
        result.retrying = lambda: self._sync(result.failed_records, meaning, level=4)
        shared = stack.enter_context(company(self._ledger, self._settings))
        push, findings = self._opened(rows, meaning, stack, shared=shared)
        going.notices.extend(str(finding) for finding in findings)
        callbacks = going.callbacks = Callbacks(
            self.callbacks, rows=rows, result=going.result, unit=Unit(self.batch_size, going.refresh)
        )
        push = self._sifting.of(push, home=self._settings.home, stack=stack)
        watch = self._watch(push, going.run, callbacks, stack)
        ledger = shared.books
        sink, home, before = going.hearing(self._sink), self._settings.home, push.destination.calls
        going.calls = lambda: push.destination.calls - before
        try:
            execute(push, going.run, ledger=ledger, home=home, sink=sink, watch=watch)
        except Stopped:  # every row is told, as without it
            callbacks.finish()
            raise
        callbacks.finish()
        if again is None:  # records that are tried again are not all that the source has
            going.mirrored = self._sifting.mirrored(push, going.run, ledger=ledger, home=home, sink=sink)

    def _watch(self, push: Push, run: PushRun, callbacks: Callbacks, stack: ExitStack) -> Watch:
        if self._results_to is None:
            return callbacks
        tables = registry.open_results(*self._results_to, memory_limit=self._settings.duckdb_memory)
        stack.callback(tables.close)
        match = key_of(push.rows, push.order.needed) if push.mapper is None and push.order.needed else None
        return TableWatch(tables, run, push.order, match, callbacks)

    def _spool(self, stack: ExitStack) -> Spool:
        spool = Spool(uuid.uuid4().hex, self._settings.spool)
        stack.callback(spool.close)
        return spool

    def _rows(self, source: Any, again: _Meaning | None, *, spool: Spool, stack: ExitStack) -> Rows:
        """The rows of a source, until the stack is closed; Rows that are given are the giver's to close."""
        if callable(getattr(source, "batches", None)) and callable(getattr(source, "records", None)):
            given: Rows = source
            return given
        rows = rows_of(
            source,
            folder=spool.path,
            name=again.name if again else None,
            memory_limit=self._settings.duckdb_memory,
        )
        stack.callback(rows.close)
        return rows

    def _meaning(self, rows: Rows) -> _Meaning:
        return _Meaning(rows.name, self._nulls or rows.nulls, rows.clears)

    def _opened(self, rows: Rows, meaning: _Meaning, stack: ExitStack, *, shared: Company) -> tuple[Push, tuple[Finding, ...]]:
        """The push, its mapping checked or its rows to be looked at, with the connection open until the stack is closed."""
        order = self._order(meaning)
        destination = registry.open_rows(self.client, sink=self._sink, spend=shared.spend)
        stack.callback(destination.close)
        looked_at, findings = checked(rows, order, mapper=self.mapper, destination=destination)
        flow = self._flow or f"{rows.name}->salesforce:{self.sobject}:{self.mode}".lower()
        results = None if self._results_to is None else self._results_to[1]
        return Push(order, looked_at, destination, flow, self.mapper, self._strict, results=results), findings

    def _pending(self, push: Push) -> tuple[Pending, ...]:
        """What a look ahead does not know yet; a ledger that is not there knows of nothing, and is not made."""
        with ExitStack() as stack:
            ledger = self._ledger
            if ledger is None:
                place = self._settings.ledger
                if "://" not in str(place) and not Path(place).exists():
                    return ()
                ledger = stack.enter_context(open_ledger(place))
            return self._sifting.pending(push, ledger=ledger, home=self._settings.home)

    def _order(self, meaning: _Meaning) -> WriteOrder:
        return WriteOrder(
            self.sobject,
            self.mode,
            self.external_id_field if self.mode is SyncMode.UPSERT else None,
            self._api,
            self.batch_size,
            self.stop_on_error,
            meaning.nulls,
            meaning.clears,
        )


@dataclass(slots=True)
class _Going:
    """One call of `sync`, as far as it has come."""

    mode: SyncMode
    sobject: str
    result: SyncResult = field(default_factory=SyncResult)
    run: PushRun = field(default_factory=PushRun.new)
    started_s: float = field(default_factory=time.monotonic)
    notices: list[str] = field(default_factory=list)
    callbacks: Callbacks | None = None
    mirrored: Mirrored | None = None
    calls: Callable[[], int] = lambda: 0

    def begin(self, total: int) -> None:
        """So many records are there."""
        self.run.total = total
        self.refresh()

    def hearing(self, sink: Sink) -> Sink:
        """The sink, with notices kept for the result."""

        def hear(event: Event) -> None:
            if isinstance(event, Noticed):
                self.notices.append(event.message)
            sink(event)

        return hear

    def refresh(self) -> None:
        """Bring the result up to the moment, in figures that people read."""
        elapsed_s = round(max(time.monotonic() - self.started_s, 0.001), 3)
        self.result.refresh(self.run, self.mode, sobject=self.sobject, elapsed_s=elapsed_s)
        self.result.metadata |= {
            "records_per_second": round(self.result.metadata["records_per_second"], 1),
            "api_calls": self.run.api_calls or self.calls(),  # the run is told at its end
            "notices": list(self.notices),
            "callback_errors": list(self.callbacks.faults) if self.callbacks else [],
        }
        if self.mirrored is not None:
            self.result.metadata["mirrored"] = self.mirrored.to_json()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will be known. An error carries what is."""
        self.refresh()
        self.result.finish()
        if self.mirrored is not None and self.mirrored.remaining and self.result.status is SyncStatus.SUCCESS:
            self.result.status = SyncStatus.PARTIAL  # records that are gone from the source are still there
        if error is not None:
            if not self.result.success_count:
                self.result.status = SyncStatus.FAILED  # also where nobody knows how many records there are
            self._give(error)

    def _give(self, error: BaseException) -> None:
        error.result = self.result  # type: ignore[attr-defined]  # any exception may pass, and all take attributes
        if isinstance(error, HaloclineError):
            error.facts["result"] = self.result
        if self.callbacks and self.callbacks.faults and not isinstance(error, RuntimeWarning):
            error.add_note(self.callbacks.blame())

    def warn(self, level: int) -> None:
        """Warn of functions that raised, naming the first."""
        if self.callbacks and self.callbacks.faults:
            warnings.warn(self.callbacks.blame(), RuntimeWarning, stacklevel=level)


def _one_key(external_id_field: str | None, key: str | None) -> str | None:
    """The field of an upsert, by whichever of its two names it is given.

    Raises: FixConfig for two fields.
    """
    if external_id_field is not None and key is not None and key != external_id_field:
        hint = "They are two names of one setting; give one of them."
        raise FixConfig(_MAKING, f"external_id_field is {external_id_field!r}, and key is {key!r}", hint=hint)
    return external_id_field if key is None else key


def _check_kinds(pipeline: SyncPipeline) -> None:
    """Texts where numbers or flags belong come from YAML files, and would be taken for something else."""
    sifting = pipeline._sifting
    kinds: dict[str, tuple[object, type | tuple[type, ...]]] = {
        "sobject": (pipeline.sobject, str),
        "external_id_field": (pipeline.external_id_field, (str, type(None))),
        "mapper": (pipeline.mapper, (FieldMapper, type(None))),
        "batch_size": (pipeline.batch_size, int),
        "stop_on_error": (pipeline.stop_on_error, bool),
        "strict": (pipeline._strict, bool),
        "flow": (pipeline._flow, (str, type(None))),
        "diff_key": (sifting.diff_key, (str, type(None))),
        "mirror": (sifting.mirror, bool),
        "diff": (sifting.diff, bool),  # after mirror, from which it follows
        "allow_empty": (sifting.allow_empty, bool),
    }
    for name, (value, kind) in kinds.items():
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            words = {str: "a text", int: "a whole number", bool: "True or False"}.get(kind if isinstance(kind, type) else kind[0])
            raise FixConfig(_MAKING, f"{name} is {value!r}", hint=f"It is {words or 'a FieldMapper'}.")
    share: object = sifting.max_delete_share
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise FixConfig(_MAKING, f"max_delete_share is {share!r}", hint="It is a share, from 0 to 1: 0.5 is half.")


def _mapper_of(mapping: object) -> FieldMapper | None:
    if mapping is None or isinstance(mapping, FieldMapper):
        return mapping
    if isinstance(mapping, (str, PathLike)):
        return FieldMapper.from_yaml(Path(mapping))
    if isinstance(mapping, Mapping):
        return FieldMapper(mapping)
    hint = "Give a dict, the path of a YAML file, or a FieldMapper."
    raise FixConfig(_READING, f"mapping is a {type(mapping).__name__}", hint=hint)
