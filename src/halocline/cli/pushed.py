"""What a verb that pushes says of a run: one sentence, the errors that came most often, and the exit code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from halocline.cli.answer import INTERRUPTED, err, out, say_json
from halocline.cli.left import left_of
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.cli.left import Left
    from halocline.cli.progress import ProgressBar
    from halocline.ledger import Ledger
    from halocline.outcome import Counts, RunRecord
    from halocline.push.note import Note

PARTLY = 3
"""The exit code of a push that came to its end, and of which some rows are not written."""

_API = {"bulk": "Bulk"}
_FREQUENT = 3  # error codes that are shown


@contextmanager
def resumable(bar: ProgressBar) -> Iterator[None]:
    """Turn an interrupt into 130, and say how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        told = f"`halocline resume {bar.run[:8]}` goes on where it stopped." if bar.run else "Nothing was sent."
        err.print(f"Interrupted. {told}", markup=False)
        raise typer.Exit(INTERRUPTED) from None


def say(
    ledger: Ledger,
    run: str,
    *,
    as_json: bool,
    elapsed_s: float | None = None,
    mirrored: Mapping[str, Any] | None = None,
    notices: Sequence[str] = (),
) -> int:
    """Say what the ledger knows of a push that has ended; the exit code that it deserves.

    `elapsed_s` is how long the command took, where that is not how long the run took; `mirrored` what a mirror did after it;
    `notices` are only for JSON: people were told while it went on.
    """
    from halocline.push.note import Note

    record = ledger.get(run)
    note = Note.from_json(record.plan)
    code = exit_code(record.counts) or (PARTLY if mirrored and mirrored["remaining"] else 0)
    if as_json:
        more = {} if mirrored is None else {"mirrored": mirrored}
        document = {**numbers(ledger, run, elapsed_s=elapsed_s), **more, "notices": list(notices)}
        say_json({**document, "success": code == 0, "exit_code": code})
        return code
    left = left_of(record, ledger)
    out.print(_sentence(record, note, left, elapsed_s=_lasted_s(record) if elapsed_s is None else elapsed_s), markup=False)
    if exit_code(record.counts):
        _say_errors(ledger, run)
    if left is not None:
        out.print(str(left), markup=False)
    if mirrored is not None:
        out.print(_mirror(mirrored), markup=False)
    return code


def tables_untold(ledger: Ledger, run: str, *, as_json: bool) -> list[str]:
    """What there is to say after a verb that fills no result tables, where the push itself did; printed, but for JSON."""
    from halocline.push.note import Note

    note = Note.from_json(ledger.get(run).plan)
    if note is None or note.results is None:
        return []
    told = f"The result tables in {note.results} lack the rows of this command; a push fills them, and nothing else does."
    if not as_json:
        err.print(told, markup=False)
    return [told]


def say_so_far(run: str, *, as_json: bool) -> dict[str, object]:
    """What is written stays written, whatever ended the push: tell it, or answer it for JSON; nothing of what never began."""
    from halocline.config import Settings
    from halocline.errors import NotFound
    from halocline.ledger import open_ledger

    with open_ledger(Settings.from_env().ledger) as ledger, suppress(NotFound):
        if ledger.get(run).plan is not None:
            if as_json:
                return numbers(ledger, run)
            say(ledger, run, as_json=False)
    return {}


def _lasted_s(record: RunRecord) -> float:
    ended = record.finished or record.started
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(record.started)).total_seconds()


def exit_code(counts: Counts) -> int:
    """0 when every row is written, or was there already."""
    return PARTLY if counts.rejected + counts.in_doubt + counts.not_sent else 0


def _sentence(record: RunRecord, note: Note | None, left: Left | None, *, elapsed_s: float) -> str:
    counts = record.counts
    name = record.flow.partition("->")[0]
    name = f"retry of {note.retries[:8]} ({name})" if note and note.retries else name
    rows = [f"{counts.changed:,} written{_of_which(counts, note)}", f"{counts.rejected:,} refused"]
    rare = {"in doubt": counts.in_doubt, "not sent": counts.not_sent, "unchanged": counts.unchanged}
    rare["folded into later rows"] = note.plan.folded if note else 0
    rows += [f"{count:,} {word}" for word, count in rare.items() if count]
    rows += [] if left is None else [f"{left.count} left"]
    way = f"{name} -> {note.order.sobject}: {note.order.mode} by {_API.get(note.plan.api, note.plan.api)}" if note else name
    return f"{way}{', ' if note else ': '}{', '.join(rows)}, {quantity(record.api_calls, 'API call')}, {elapsed_s:.1f} s"


def _mirror(told: Mapping[str, Any]) -> str:
    rare = {"gone before": told["already_gone"], "still there": told["remaining"]}
    rows = [f"{told['deleted']:,} deleted", *(f"{count:,} {word}" for word, count in rare.items() if count)]
    gone = f"{quantity(told['gone'], 'record')} {'is' if told['gone'] == 1 else 'are'}"
    return f"mirror: {gone} gone from the source, {', '.join(rows)}"


def _of_which(counts: Counts, note: Note | None) -> str:
    parts = {"created": counts.inserted, "updated": counts.updated, "deleted": counts.deleted}
    both = note is not None and note.order.mode == "upsert"
    told = [f"{count:,} {word}" for word, count in parts.items() if count or (both and word != "deleted")]
    return f" ({', '.join(told)})" if told else ""


def _say_errors(ledger: Ledger, run: str) -> None:
    from halocline.report import frequent

    codes, more = frequent(ledger, run, most=_FREQUENT)
    told = ", ".join(f"{code} {count:,}" for code, count in codes.items()) + (", ..." if more else "")
    out.print(f"{told}{': ' if told else ''}`halocline errors {run[:8]}`", markup=False)


def numbers(ledger: Ledger, run: str, *, elapsed_s: float | None = None) -> dict[str, object]:
    """What the ledger knows of a push that has ended, for programs."""
    from halocline.push.note import Note

    record = ledger.get(run)
    note, counts, left = Note.from_json(record.plan), record.counts, left_of(record, ledger)
    return {
        "run": record.run,
        "flow": record.flow,
        "retry_of": note and note.retries,
        "sobject": note and note.order.sobject,
        "mode": note and str(note.order.mode),
        "api": note and str(note.plan.api),
        "total": record.rows_read,
        "rows_read": record.rows_read,
        "counts": counts.to_json(),
        "written": counts.changed,
        "created": counts.inserted,
        "updated": counts.updated,
        "deleted": counts.deleted,
        "refused": counts.rejected,
        "in_doubt": counts.in_doubt,
        "not_sent": counts.not_sent,
        "unchanged": counts.unchanged,
        "left": 0 if left is None else left.rows,
        "resume": None if left is None else left.run,
        "folded": note.plan.folded if note else 0,
        "api_calls": record.api_calls,
        "elapsed_seconds": round(_lasted_s(record) if elapsed_s is None else elapsed_s, 3),
        "reasons": list(note.plan.reasons) if note else [],
    }
