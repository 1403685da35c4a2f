"""`halocline run`: flows of halocline.yaml, by their names."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import err, error_json, is_unwritten, out, refuse, say_error, say_json, told, unforeseen
from halocline.cli.pushed import PARTLY, resumable, say, say_so_far
from halocline.cli.sync import tell as tell_synced
from halocline.cli.system import worst
from halocline.errors import HaloclineError
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.cli.progress import ProgressBar
    from halocline.filejob import FileOutcome
    from halocline.flows.configuration import Configuration
    from halocline.flows.connected import Connected
    from halocline.flows.files import FileDone
    from halocline.flows.push import PushDone
    from halocline.flows.run import Done
    from halocline.flows.tables import TablesDone
    from halocline.landed import Landed

Flows = Annotated[list[str] | None, typer.Argument(metavar="FLOW", help="Names of flows in halocline.yaml.")]
Everything = Annotated[bool, typer.Option("--all", help="Every flow, in the file's order, but for those that listen.")]


def run(
    flows: Flows = None,
    *,
    everything: Everything = False,
    file: Annotated[
        str | None, typer.Option("--file", metavar="S3-URI", help="Only this file of a file flow: s3://bucket/key.")
    ] = None,
    config: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """Run flows, one after the other; one that fails stops no other.

    A flow of the kind file takes care of every file below its prefix that is not yet done.
    """
    from halocline.flows.reading import place, read

    if bool(flows) == everything:
        refuse("name flows, or say --all.")
    if file is not None and (everything or len(flows or ()) != 1):
        refuse("--file is of one flow; name that one.")
    with told(as_json=as_json):
        configuration = read(place(config))
        names = _ending(configuration) if everything else list(dict.fromkeys(flows or ()))
        for name in names:
            configuration.flow(name)  # before any is begun
        if not names:
            _say_none(configuration, as_json=as_json)
        answers = _Answers()
        codes = [_run(name, configuration, answers, file=file, as_json=as_json) for name in names]
        if answers.lost is not None:
            raise answers.lost
    raise typer.Exit(worst(codes))


def _ending(configuration: Configuration) -> list[str]:
    """The flows that have an end; those of the kind listen are for `halocline listen`."""
    return [name for name, flow in configuration.flows.items() if flow.kind != "listen"]


class _Answers:
    """Answers as they are said; of those that cannot be written the first is kept, for a full log is to stop no flow."""

    def __init__(self) -> None:
        self.lost: OSError | None = None

    def say(self, tell: Callable[[], int]) -> int:
        """The exit code that telling answers; 1 where what was told is not written.

        Raises: BrokenPipeError where nobody reads on.
        """
        try:
            return tell()
        except OSError as error:
            if not is_unwritten(error) or error.errno == errno.EPIPE:
                raise
            self.lost = self.lost or error
            return 1


def _say_none(configuration: Configuration, *, as_json: bool) -> None:
    """Say that --all means no flow: in a schedule that would look as if all were done."""
    if configuration.flows:
        found = quantity(len(configuration.flows), "flow")
        notice = f"No flow was run: --all leaves out {found} of the kind listen, which `halocline listen FLOW` runs."
    else:
        notice = "No flow was run: the file has none. `halocline init` writes one."
    if as_json:
        say_json({"success": True, "flows": [], "notices": [notice], "exit_code": 0})
    else:
        out.print(notice, markup=False)


def _run(name: str, configuration: Configuration, answers: _Answers, *, file: str | None, as_json: bool) -> int:
    """Run one flow and say what became of what it carries; the exit code that it deserves."""
    from halocline.cli.progress import ProgressBar
    from halocline.config import Settings
    from halocline.flows.connected import Connected
    from halocline.flows.run import run_flow

    with ExitStack() as stack:
        bar = stack.enter_context(ProgressBar(err, quiet=as_json))
        stack.enter_context(resumable(bar))
        settings = configuration.settings(Settings.from_env())
        around = Connected(configuration.connections, configuration.folder, settings, sink=bar.sink, watch=bar.watch)
        try:
            files = None if file is None else [_lying(name, configuration, around, file=file)]
            all_done = run_flow(name, configuration, around=around, files=files)
            codes = [answers.say(partial(_tell, done, bar, as_json=as_json)) for done in all_done]
        except (typer.Exit, BrokenPipeError):  # what cannot be meant is refused; nobody reads on
            raise
        except Exception as error:  # noqa: BLE001 - a flow that fails stops no other, whatever it failed by
            return answers.say(partial(_say_failed, name, unforeseen(error), as_json=as_json))
    if not codes and not as_json:
        return answers.say(partial(_say_idle, name))
    return worst(codes)


def _say_idle(name: str) -> int:
    out.print(f"{name}: nothing to do", markup=False)
    return 0


def _lying(name: str, configuration: Configuration, around: Connected, *, file: str) -> Landed:
    """The file that --file names, as it lies there."""
    from halocline.flows.connections import open_bucket_store
    from halocline.flows.files import FileFlow, lying

    flow = configuration.flow(name)
    if not isinstance(flow, FileFlow):
        refuse(f"--file is for flows of the kind file, and {name} is of the kind {flow.kind}.")
    return lying(file, open_bucket_store(around.connection(flow.source)))


def _say_failed(name: str, error: HaloclineError, *, as_json: bool, file: str = "", more: Mapping[str, object] = {}) -> int:
    if as_json:
        say_json({"flow": name, **({"file": file} if file else {}), **more, **error_json(error)})
    else:
        say_error(error, as_json=False, about=f"{name}: {file}" if file else name)
    return error.exit_code


def _tell(done: Done, bar: ProgressBar, *, as_json: bool) -> int:
    """Say how one thing went; the exit code that it deserves."""
    from halocline.flows.push import PushDone
    from halocline.flows.sync import SyncDone
    from halocline.flows.tables import TablesDone

    if isinstance(done, TablesDone):
        return _tell_tables(done, as_json=as_json)
    if isinstance(done, SyncDone):
        return tell_synced(done.ended, {"flow": done.flow}, as_json=as_json, flow=done.flow)
    if isinstance(done, PushDone):
        return _tell_pushed(done, bar, as_json=as_json)
    return _tell_file(done, as_json=as_json)


def _tell_pushed(done: PushDone, bar: ProgressBar, *, as_json: bool) -> int:
    from halocline.config import Settings
    from halocline.ledger import open_ledger

    told = {} if done.result is None else done.result.metadata
    if done.error is not None:
        so_far = say_so_far(str(told.get("run") or ""), as_json=as_json)
        return _say_failed(done.flow, done.error, as_json=as_json, more=so_far)
    if done.result is None or (not done.result.total_records and "mirrored" not in told):
        if as_json:
            say_json({**done.to_json(), "exit_code": 0})
        else:
            out.print(f"{done.flow} -> {done.sobject}: 0 written, for there are no rows.", markup=False)
        return 0
    for notice in told["notices"]:
        if notice not in bar.notices and not as_json:
            err.print(notice, markup=False)
    more = {"mirrored": told["mirrored"]} if "mirrored" in told else {}
    with open_ledger(Settings.from_env().ledger) as ledger:
        return say(ledger, told["run"], as_json=as_json, elapsed_s=told["elapsed_seconds"], notices=told["notices"], **more)


def _tell_tables(done: TablesDone, *, as_json: bool) -> int:
    if done.error is not None:
        return _say_failed(done.flow, unforeseen(done.error), as_json=as_json, more={"run": done.run.id})
    code = 0 if done.is_whole else PARTLY
    if as_json:
        say_json({**done.to_json(), "exit_code": code})
        return code
    for table, run in done.legs:
        counts = run.counts
        assert counts is not None, "a run that ended well has counts"
        did = f"{counts.inserted:,} inserted, {counts.updated:,} updated, {counts.deleted:,} deleted"
        did += f", {counts.unchanged:,} unchanged"
        if counts.rejected or counts.filtered:
            did += f", {counts.rejected:,} rejected, {counts.filtered:,} filtered"
        out.print(
            f"{done.flow}: {table.named} -> {table.target}: {quantity(run.rows_read, 'row')} read, {did}",
            markup=False,
        )
    if code:
        out.print(f"`halocline errors {done.run.id[:8]}` tells what was rejected, and why", markup=False)
    return code


def _tell_file(done: FileDone, *, as_json: bool) -> int:
    if done.outcome is None:
        error = done.error or AssertionError("a file without an outcome says why")
        return _say_failed(done.flow, unforeseen(error), as_json=as_json, file=str(done.where))
    code = 0 if done.is_whole else PARTLY
    if as_json:
        say_json({**done.to_json(), "exit_code": code})
    else:
        out.print(f"{done.flow}: {_file_sentence(done.outcome)}", markup=False)
    return code


def _file_sentence(outcome: FileOutcome) -> str:
    state = {"unreadable": "could not be read, ", "again": "was taken care of before, ", "replaced": "was replaced, "}
    state["superseded"] = "came after a newer one and was not sent, "
    counts = f"{outcome.written:,} written ({outcome.created:,} created, {outcome.updated:,} updated), {outcome.errors:,} not"
    told = f"{outcome.where}: {state.get(outcome.state.value, '')}{quantity(outcome.rows, 'row')}, {counts}"
    report = f"; report {outcome.error_key}" if outcome.error_key else ""
    return told + report + (f"; {outcome.message}" if outcome.message else "")
