"""Progress for people: what is being done, rows, rate and API calls; a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from halocline.connector import Plan
from halocline.events import (
    ApiUsage,
    Committed,
    Event,
    JobProgress,
    Noticed,
    PartStaged,
    Planned,
    PushPlanned,
    RowsStaged,
    RowsTold,
    RunFailed,
    RunFinished,
    RunStarted,
    Sink,
    Waiting,
)
from halocline.hiding import one_line
from halocline.quantity import quantity

_AND = ", "  # between the tables of one run


class ProgressBar:
    """A context manager whose `sink` watches the runs of one command; `run` is the push at work, `notices` what was said."""

    def __init__(self, console: Console, *, quiet: bool = False, within: ProgressBar | None = None) -> None:
        self._console = console
        self._within = within
        self._live = console.is_terminal and not quiet
        self._quiet = quiet
        self.run = ""
        self.notices: list[str] = []
        self._object = ""
        self._several = False
        self._rows = self._calls = self._job_rows = 0
        self._began = time.monotonic()
        self._bar: Progress = within._bar if within is not None else self._made()
        self._task = self._bar.add_task("", total=None, detail="")

    def _made(self) -> Progress:
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),  # what a user named is no markup
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}", markup=False),
            console=self._console,
            transient=True,
            disable=not self._live,
        )

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def watch(self, _: object) -> Sink:
        """A sink with a line of its own on this bar, for one of several objects that are synced at the same time."""
        self._bar.update(self._task, visible=False)
        return ProgressBar(self._console, quiet=self._quiet, within=self).sink

    def sink(self, event: Event) -> None:
        """Show one event."""
        match event:
            case RunStarted():
                self._object = one_line(f"{event.object} -> {event.target}")  # a bar's words are no line that is printed
                self._several = _AND in event.target
                self._rows = self._job_rows = 0
                self._began = time.monotonic()
                self._show("looking", total=None)
            case Planned():
                self._say(f"{self._of(event.plan)}: {event.plan.method}")
                self._show("reading", total=event.plan.expected_rows)
            case JobProgress():
                self._job_rows = event.records
                self._show(f"job {event.state}")
            case PartStaged():
                self._rows += event.rows
                self._show("reading")
            case RowsStaged() | PushPlanned() | RowsTold():
                self._push(event)
            case ApiUsage():
                self._calls = event.calls
                self._show(None)
            case Waiting():
                self._tell(f"{self._head}waiting {event.after_s:.1f} s - {event.reason}")
            case Noticed():
                self.notices.append(event.message)
                self._tell(f"{self._head}{event.message}")
            case Committed():
                self._show("committed")
            case RunFinished():
                read = quantity(event.rows_read, "row")
                self._say(f"{self._object}: {read} read, {event.counts.changed:,} changed, {event.elapsed_s:.1f} s")
                self._leave()
            case RunFailed():
                self._leave()
            case _:
                pass

    @property
    def _head(self) -> str:
        """What a line begins with that is of the run at work: its object; between two runs nothing."""
        return f"{self._object}: " if self._object else ""

    def _of(self, plan: Plan) -> str:
        """What one plan is about: the run's object, or of a run that fills several tables the one that it fills."""
        return f"{plan.object} -> {plan.flow.rpartition('->')[2]}" if self._several else self._object

    def _leave(self) -> None:
        """The run has ended: what is told until the next one is not of it. One of several makes room with its line."""
        self._object = ""
        if self._within is not None:
            self._bar.update(self._task, visible=False)

    def _push(self, event: RowsStaged | PushPlanned | RowsTold) -> None:
        """Rows are counted twice: while they are staged, and while it becomes known what became of them."""
        match event:
            case RowsStaged():
                self._rows += event.rows
                self._show("staging")
            case PushPlanned(run=run, plan=plan):
                self.run = run
                self._say(
                    f"{self._object}: {quantity(plan.rows, 'row')} by {plan.api}, {quantity(plan.calls, 'API call')} expected"
                )
                self._rows, self._began = 0, time.monotonic()
                self._show("sending", total=plan.rows + plan.folded)
            case RowsTold():
                self._rows += event.written + event.others
                self._show("sending")

    def _show(self, stage: str | None, *, total: int | str | None = "same") -> None:
        elapsed = max(time.monotonic() - self._began, 0.001)
        detail = f"{quantity(self._rows, 'row')} · {self._rows / elapsed:,.0f}/s · {quantity(self._calls, 'API call')}"
        if self._job_rows and not self._rows:
            detail = f"{quantity(self._job_rows, 'row')} in Salesforce's job · {quantity(self._calls, 'API call')}"
        if stage is not None:
            self._bar.update(self._task, description=f"{self._object}: {stage}")
        if total != "same":
            self._bar.reset(self._task, total=total)  # type: ignore[arg-type]  # "same" is handled above
        self._bar.update(self._task, completed=self._rows, detail=detail)

    def _say(self, line: str) -> None:
        """A step of the work, which a bar shows by itself."""
        if not self._live:
            self._tell(line)

    def _tell(self, line: str) -> None:
        """Something that a person should know; on a terminal it stands above the bar."""
        if not self._quiet:
            self._console.print(line, markup=False)
