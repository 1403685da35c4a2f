"""Preview: what a push would do, found out by doing all of it but the sending."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from halocline.batch import JSON
from halocline.mapping import Finding
from halocline.outcome import RowResult
from halocline.push.destination import Told, WritePlan
from halocline.push.diff.mirror import Foreseen
from halocline.push.order import WriteOrder
from halocline.push.pending import Pending
from halocline.push.push import Push, prepare
from halocline.push.run import PushRun
from halocline.push.watch import Unwatched

_KEPT = 20  # refused rows that are told one by one


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of `total` rows of the source `name`.

    `plan` says how those that can be sent would be sent (None: there are none), `rows` are the first of them as they would go;
    `findings` is what the check of the mapping (`mapped`), or of the columns, found that some rows may not survive; `unchanged`
    rows need not be sent; `refused` rows would be refused before they are sent, the first of them in `first`; `mirror` is what a
    mirror would delete (None: nothing is mirrored); `before` are earlier pushes of the flow whose rows are not all told: the
    numbers may be others once they are.
    """

    name: str
    order: WriteOrder
    total: int
    plan: WritePlan | None = None
    findings: tuple[Finding, ...] = ()
    unchanged: int = 0
    refused: int = 0
    first: tuple[RowResult, ...] = ()
    rows: tuple[Mapping[str, JSON], ...] = ()
    mirror: Foreseen | None = None
    mapped: bool = False
    before: tuple[Pending, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """The preview as plain JSON data."""
        first = [{"row": one.row, "code": one.code, "message": one.message, "fields": list(one.fields)} for one in self.first]
        return {
            "source": self.name,
            "order": self.order.to_json(),
            "total": self.total,
            "unchanged": self.unchanged,
            "refused": self.refused,
            "first_refused": first,
            "findings": [str(finding) for finding in self.findings],
            "plan": None if self.plan is None else {**self.plan.to_json(), "first": list(self.rows)},
            "mirror": None if self.mirror is None else self.mirror.to_json(),
            "before": [{"run": one.run, "cut_off": one.cut_off, "lost": one.cut_off and one.lost} for one in self.before],
        }


def preview(push: Push, *, findings: Sequence[Finding] = (), scratch: Path | None = None) -> Preview:
    """Map, sift and stage the rows in a folder below `scratch` (None: the system's temporary folder) that is gone afterwards.

    Nothing is sent and nothing is booked; describes are asked for.
    Raises: what `prepare` raises.
    """
    seen, run = _Seen(), PushRun.new()
    first: Sequence[Mapping[str, JSON]] = ()
    if len(push.rows):
        with tempfile.TemporaryDirectory(prefix="halocline-preview-", dir=scratch) as folder:
            load = Path(folder) / "load"
            load.mkdir()
            first = prepare(push, run, folder=load, watch=seen)
    return Preview(
        push.rows.name,
        push.order,
        len(push.rows),
        plan=run.plan if run.plan is not None and run.plan.rows else None,
        findings=tuple(findings),
        unchanged=run.unchanged,
        refused=seen.refused,
        first=tuple(seen.first),
        rows=tuple(first),
        mapped=push.mapper is not None,
    )


class _Seen(Unwatched):
    """Counts what is refused while rows are staged, and keeps the first."""

    def __init__(self) -> None:
        self.refused = 0
        self.first: list[RowResult] = []

    def told(self, told: Told) -> None:
        """See `Watch`."""
        self.refused += len(told.others)
        self.first += told.others[: _KEPT - len(self.first)]
