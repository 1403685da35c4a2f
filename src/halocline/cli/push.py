"""`halocline push`: a file, or the answer of a query, into Salesforce."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

from halocline.cli import options
from halocline.cli.answer import err, error_json, out, refuse, refuse_empty, say_error, say_json, told
from halocline.cli.apart import keep_apart, keep_apart_from_query, keep_apart_from_stdin
from halocline.cli.previewed import show
from halocline.cli.pushed import resumable, say, say_so_far
from halocline.cli.system import org, settings_with
from halocline.push.order import BATCH_ROWS
from halocline.quantity import quantity
from halocline.report import check_place, rejections_of, write

if TYPE_CHECKING:
    from halocline.cli.progress import ProgressBar
    from halocline.errors import HaloclineError
    from halocline.pipeline import SyncPipeline, SyncResult
    from halocline.rows.rows import Rows

_STDIN, _STDIN_NAME = "-", "stdin"
_TAB = {"tab": "\t", "\\t": "\t"}  # how it is typed where a shell takes the character itself
_SYSTEM = "salesforce"
_NO_KEY = {
    "insert": "makes new records whatever they hold",
    **dict.fromkeys(("update", "delete", "hard_delete"), "finds records by Id"),
}
_UTF8 = "utf-8"
_ENDINGS = {  # of files that an option says nothing of, and what it is of
    "--encoding": ((".parquet",), "of a text file; a Parquet file says its own"),
    "--delimiter": ((".parquet", ".jsonl", ".ndjson", ".json"), "of a CSV file, whose columns it divides"),
}

From = Annotated[
    str | None,
    typer.Option("--from", metavar="URI", help="The database that SOURCE, a SELECT, is a question to.", callback=options.address),
]
Into = Annotated[str, typer.Option("--to", metavar="OBJECT", help="API name: Account, My_Thing__c (or salesforce:Account)")]
Mode = Annotated[str, typer.Option(help="insert · update (by Id) · upsert (by --key) · delete (by Id) · hard_delete.")]
Key = Annotated[str | None, typer.Option("--key", help="The external id of an upsert: the field that tells records apart.")]
Map = Annotated[
    Path | None, typer.Option("--map", "--mapping", help="A YAML file with `mapping:`; without one, columns are fields.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan, the check and the first rows; send nothing.")]
WhichApi = Annotated[str, typer.Option("--api", help="auto · collections (few rows) · bulk (many).")]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Rows in one request of collections.", show_default=str(BATCH_ROWS), min=1, max=BATCH_ROWS),
]
StopOnError = Annotated[bool, typer.Option("--stop-on-error", help="Send nothing after the first refused row.")]
WhichNulls = Annotated[str | None, typer.Option("--nulls", help="Empty values: clear the field, or keep it as it is.")]
Encoding = Annotated[str | None, typer.Option(help="Of a text file: utf-8, latin-1, cp1252, utf-16.", show_default=_UTF8)]
Delimiter = Annotated[str | None, typer.Option(help="Of a CSV file: one character, or tab (default: comma, or tab in .tsv).")]
Diff = Annotated[bool, typer.Option("--diff", help="Send only rows that changed since this flow last wrote them.")]
DiffKey = Annotated[str | None, typer.Option("--diff-key", help="For --diff without a key: the field that tells rows apart.")]
Mirror = Annotated[bool, typer.Option("--mirror", help="As --diff, and delete what was sent once and is gone from SOURCE.")]
MaxDeleteShare = Annotated[
    float | None, typer.Option(help="The share of what is known that --mirror may delete (0.5).", min=0, max=1)
]
ResultsTo = Annotated[str | None, typer.Option(metavar="SCHEMA", help="Write tables of results there, beside the source.")]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Let a source without rows be a success.")]
ErrorsTo = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write rows that are not written to a .csv or .jsonl; without any, none.")
]
WrittenTo = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write rows that are written, with their ids, to a .csv or .jsonl.")
]
FlowName = Annotated[str | None, typer.Option("--flow", help="What this push is called from run to run.")]


def push(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A CSV, JSONL, JSON or Parquet file; - for CSV; a SELECT")],
    to: Into,
    *,
    mode: Mode = "upsert",
    key: Key = None,
    uri: From = None,
    mapping: Map = None,
    dry_run: DryRun = False,
    api: WhichApi = "auto",
    batch_size: BatchSize = None,
    stop_on_error: StopOnError = False,
    nulls: WhichNulls = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    diff: Diff = False,
    diff_key: DiffKey = None,
    mirror: Mirror = False,
    max_delete_share: MaxDeleteShare = None,
    results_to: ResultsTo = None,
    allow_empty: AllowEmpty = False,
    errors_to: ErrorsTo = None,
    written_to: WrittenTo = None,
    flow: FlowName = None,
    quota_share: options.QuotaShare = None,
    api_budget: options.ApiBudget = None,
    as_json: options.Json = False,
) -> None:
    """Push rows into a Salesforce object; all are checked and put aside before the first is sent.

    What was sent stays: Salesforce has no commit. A push that was interrupted is taken up by `halocline resume`, or by typing it
    again. The login comes from the environment, as for `halocline sync`.
    """
    refuse_empty({"from": uri, "mode": mode, "key": key, "api": api, "nulls": nulls, "encoding": encoding, "diff_key": diff_key})
    refuse_empty({"results_to": results_to, "flow": flow})
    _refuse_idle(mode.lower(), key, mirror=mirror, max_delete_share=max_delete_share, diff_key=diff_key, diff=diff)
    _refuse_idle_wishes(mode.lower(), api.lower(), batch_size=batch_size, nulls=nulls)
    _refuse_idle_files(source, uri, errors_to, encoding=encoding, delimiter=delimiter)
    wish: dict[str, Any] = {"mode": mode, "external_id_field": key, "stop_on_error": stop_on_error}
    wish |= {"api": api, "nulls": nulls, "flow": flow} | ({} if batch_size is None else {"batch_size": batch_size})
    wish |= {"diff": diff, "diff_key": diff_key, "mirror": mirror}
    wish |= {"allow_empty": allow_empty} | ({} if max_delete_share is None else {"max_delete_share": max_delete_share})
    if results_to is not None:
        if uri is None:
            refuse("--results-to writes its tables beside the source, so it needs --from.")
        wish["results_to"] = (uri, results_to)
    given = _Source(source, uri, encoding or _UTF8, _TAB.get(delimiter or "", delimiter))
    limits: dict[str, Any] = {"quota_share": quota_share, "api_budget": api_budget}
    files = _Files(errors_to, written_to)
    job = _Job(given, _sobject(to), wish, mapping, files, allow_empty=allow_empty, as_json=as_json, **limits)
    with told(as_json=as_json):
        files.check(dry_run=dry_run)
        files.keep_apart(given, mapping)
        if dry_run:
            job.preview()
            return
        code = job.run()
    raise typer.Exit(code)


def _refuse_idle(
    mode: str, key: str | None, *, mirror: bool, max_delete_share: float | None, diff: bool, diff_key: str | None
) -> None:
    """Refuse what would be given in vain, and an upsert without what it needs."""
    if mode == "upsert" and key is None:
        refuse("an upsert needs --key: the external id field that tells records apart, such as Ext__c.")
    if mode in _NO_KEY and key is not None:
        refuse(f"--key is for an upsert; {mode} {_NO_KEY[mode]}. Leave it out, or use --mode upsert.")
    if max_delete_share is not None and not mirror:
        refuse("--max-delete-share bounds what --mirror deletes; give --mirror too, or leave it out.")
    if diff_key is not None and not (diff or mirror):
        refuse("--diff-key names the field by which --diff or --mirror tells rows apart; give one of them too, or leave it out.")


def _refuse_idle_wishes(mode: str, api: str, *, batch_size: int | None, nulls: str | None) -> None:
    """Refuse what would be said in vain of how rows are sent."""
    if batch_size is not None and (api == "bulk" or mode == "hard_delete"):
        refuse("--batch-size is of the requests of collections; Bulk cuts its jobs by bytes. Leave it out.")
    if nulls is not None and mode in {"delete", "hard_delete"}:
        refuse(f"--nulls says what an empty value does to its field; a {mode} sends ids alone. Leave it out.")


def _refuse_idle_files(
    source: str, uri: str | None, errors_to: Path | None, *, encoding: str | None, delimiter: str | None
) -> None:
    """Refuse what would be said in vain of a file."""
    from halocline.rows.files import kind_of

    if errors_to is not None and str(errors_to) == _STDIN:
        refuse("--errors-to wants a file; `halocline errors last --csv -` writes to standard output.")
    for option, given in (("--delimiter", delimiter), ("--encoding", encoding)):
        if uri is not None and given is not None:
            refuse(f"{option} is of a text file; the database that --from names needs none. Leave it out.")
        endings, said = _ENDINGS[option]
        if given is not None and source != _STDIN and kind_of(Path(source)) in endings:
            refuse(f"{option} is {said}. Leave it out.")
    if uri is not None and os.path.isfile(source):  # noqa: PTH113 - a query may be longer than a path can be, which Path raises for
        refuse(f"{source} is a file, and --from names the database that a query is asked of. Leave --from out.")


@dataclass(frozen=True, slots=True)
class _Source:
    """What to read: a file or `-`, or a query of the database `uri`; how a text file is written."""

    text: str
    uri: str | None
    encoding: str
    delimiter: str | None

    @contextmanager
    def rows(self, *, allow_empty: bool) -> Iterator[Rows]:
        """Its rows, while the block lasts; none at all end the command, unless they may."""
        from halocline.config import Settings
        from halocline.rows.files import FileOptions
        from halocline.rows.of import rows_of
        from halocline.spool import Spool, sweep

        settings = Settings.from_env()
        sweep(settings.spool)
        with ExitStack() as stack:
            spool, how = Spool(uuid.uuid4().hex, settings.spool), FileOptions(self.encoding, self.delimiter)
            stack.callback(spool.close)
            name, memory_limit = _STDIN_NAME if self.text == _STDIN else None, settings.duckdb_memory
            rows = rows_of(self._given(spool.path), folder=spool.path, name=name, options=how, memory_limit=memory_limit)
            stack.callback(rows.close)
            if not len(rows) and not allow_empty:
                refuse(f"{rows.name} has no rows, so there is nothing to push; --allow-empty makes that a success.")
            yield rows

    def _given(self, folder: Path) -> object:
        if self.uri is not None:
            from halocline.rows.query import Query

            return Query(self.uri, self.text)
        if self.text != _STDIN:
            return self.text  # of a text that is no path it is told why
        from halocline.errors import FixConfig
        from halocline.spool import storage

        if sys.stdin is None:
            raise FixConfig("Reading standard input", "it is closed", hint="Give it a CSV file: halocline push - ... < file.csv.")
        copy = folder / "stdin.csv"
        with storage("Putting standard input aside"), copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        return copy


@dataclass(frozen=True, slots=True)
class _Files:
    """What is written down when a push ends, well or badly; each appears whole or not at all."""

    errors: Path | None
    written: Path | None

    def check(self, *, dry_run: bool) -> None:
        """Raises: FixConfig for a name that says no form or is a folder's; StorageFailed where its folder takes no file."""
        for option, path, what in (("--errors-to", self.errors, "refused"), ("--written-to", self.written, "written")):
            if path is None:
                continue
            check_place(path, what)
            if dry_run:
                refuse(f"{option} writes what a push leaves behind, and --dry-run sends nothing; leave one of them out.")

    def keep_apart(self, source: _Source, mapping: Path | None) -> None:
        """Raises: FixConfig where one of them is the other, or a file that the push reads, or the ledger."""
        from halocline.config import Settings

        if self.errors is None and self.written is None:
            return
        files, ledger = {"--errors-to": self.errors, "--written-to": self.written}, Settings.from_env().ledger
        is_file = source.uri is None and source.text != _STDIN
        read = {"the source": source.text if is_file else None, "the mapping": mapping, "the ledger": ledger}
        keep_apart(files, read)
        if source.uri is not None:
            keep_apart_from_query(files, source.text, uri=source.uri)
        elif not is_file:
            keep_apart_from_stdin(files)

    def keep(self, run: str, result: SyncResult | None, *, rows: Rows | None) -> None:
        """Write them, if only with a header: those of an earlier push would be taken for this one's. `run` is "" for a push that
        ended before it was one, `rows` None where the source gave none.

        Raises: StorageFailed.
        """
        from halocline.config import Settings
        from halocline.ledger import open_ledger
        from halocline.push.written import write_written
        from halocline.rows.of import MemoryRows

        if self.written is not None:
            written = () if result is None else result.written()
            count = write_written(written, MemoryRows([]) if rows is None else rows, path=self.written, run=run)
            err.print(f"{quantity(count, 'row')} in {self.written}", markup=False)
        if self.errors is not None:
            if run:
                with open_ledger(Settings.from_env().ledger) as ledger:
                    count = write(partial(rejections_of, ledger, run), self.errors, run=run)
            else:  # what ended it may have been the ledger itself
                count = write(tuple, self.errors, run=run)
            err.print(f"{quantity(count, 'row')} in {self.errors}", markup=False)

    def keep_beside(self, run: str, result: SyncResult | None, *, rows: Rows | None) -> None:
        """As `keep`, beside a failure that is told after it; a failure of these files is printed, and no more."""
        from halocline.errors import HaloclineError

        try:
            self.keep(run, result, rows=rows)
        except HaloclineError as broken:  # the first failure is the one to tell last, and by its code
            err.print(str(broken), markup=False)

    @contextmanager
    def kept_on_failure(self) -> Iterator[None]:
        """Write them without rows when the block fails, or ends the command: there is no run yet."""
        try:
            yield
        except BaseException:  # also Ctrl-C while the source is read, and a source without rows
            self.keep_beside("", None, rows=None)
            raise


@dataclass(frozen=True, slots=True)
class _Job:
    """One push as it was typed; `wish` holds what a SyncPipeline takes."""

    source: _Source
    sobject: str
    wish: dict[str, Any]
    mapping: Path | None
    files: _Files
    allow_empty: bool
    as_json: bool
    quota_share: float | None
    api_budget: int | None

    def preview(self) -> None:
        """Show what would become of the rows."""
        with self._pipeline(None) as pipeline, self.source.rows(allow_empty=self.allow_empty) as rows:
            found = pipeline.preview(rows)
        if self.as_json:
            say_json({**found.to_json(), "success": True, "exit_code": 0})
        else:
            show(found)

    def run(self) -> int:
        """Push, and say how it went; the exit code that the run deserves."""
        from halocline.cli.progress import ProgressBar
        from halocline.errors import HaloclineError, Stopped

        with ExitStack() as kept:  # the rows outlive the bar and the login: what is written down is read from them
            with ExitStack() as stack:
                bar = stack.enter_context(ProgressBar(err, quiet=self.as_json))
                stack.enter_context(resumable(bar))
                pipeline = stack.enter_context(self._pipeline(bar))
                with self.files.kept_on_failure():
                    rows = kept.enter_context(self.source.rows(allow_empty=self.allow_empty))
                try:
                    result = pipeline.sync(rows)
                except Stopped as stopped:
                    say_error(stopped, as_json=False)
                    result = cast("SyncResult", stopped.facts["result"])
                except HaloclineError as error:
                    self._end(error, rows)
                except KeyboardInterrupt as error:
                    self.files.keep(bar.run, getattr(error, "result", None), rows=rows)
                    raise
            self._say_findings(result, bar)
            return self._say(result, rows)

    @contextmanager
    def _pipeline(self, bar: ProgressBar | None) -> Iterator[SyncPipeline]:
        """The pipeline into the org of the environment; what goes on is shown on `bar`."""
        from halocline import registry
        from halocline.events import silent
        from halocline.mapping.named import mapper_of
        from halocline.pipeline import SyncPipeline

        sink = silent if bar is None else bar.sink
        with self.files.kept_on_failure():
            mapper = None if self.mapping is None else mapper_of(Path(self.mapping).name, folder=Path(self.mapping).parent)
            client = registry.connect(_SYSTEM, org(sink, quota_share=self.quota_share), sink=sink)
        try:
            yield SyncPipeline(client, self.sobject, mapper, sink=sink, settings=settings_with(self.api_budget), **self.wish)
        finally:
            client.close()

    def _say(self, result: SyncResult, rows: Rows) -> int:
        from halocline.config import Settings
        from halocline.ledger import open_ledger

        told, mirrored = result.metadata, result.metadata.get("mirrored")
        if not result.total_records and mirrored is None:
            return self._say_nothing(rows)
        run, more = told["run"], {} if mirrored is None else {"mirrored": mirrored}
        with open_ledger(Settings.from_env().ledger) as ledger:
            code = say(ledger, run, as_json=self.as_json, elapsed_s=told["elapsed_seconds"], notices=told["notices"], **more)
        self.files.keep(run, result, rows=rows)
        return code

    def _end(self, error: HaloclineError, rows: Rows) -> NoReturn:
        """Raises: `error`, which ended the push, when what is written is told; in JSON both are one document."""
        result = cast("SyncResult | None", error.facts.get("result"))
        run = str(result.metadata.get("run") or "") if result is not None else ""
        so_far = say_so_far(run, as_json=self.as_json)
        self.files.keep_beside(run, result, rows=rows)
        if not so_far:
            raise error
        say_json({**so_far, **error_json(error)})
        raise typer.Exit(error.exit_code) from error

    def _say_findings(self, result: SyncResult, bar: ProgressBar) -> None:
        """What the mapping's check found, and nobody was told yet."""
        for notice in result.metadata.get("notices", ()):
            if notice not in bar.notices and not self.as_json:
                err.print(notice, markup=False)

    def _say_nothing(self, rows: Rows) -> int:
        self.files.keep("", None, rows=rows)
        if self.as_json:
            say_json(
                {"sobject": self.sobject, "mode": self.wish["mode"], "total": 0, "written": 0, "success": True, "exit_code": 0}
            )
        else:
            out.print(f"{self.source.text} -> {self.sobject}: 0 written, for there are no rows.", markup=False)
        return 0


def _sobject(to: str) -> str:
    """The object in `Account` or `salesforce:Account`."""
    system, colon, name = to.rpartition(":")
    if (colon and system != _SYSTEM) or not name:
        refuse(f"--to wants an object of Salesforce, such as Account or salesforce:Account, not {to!r}")
    return name
