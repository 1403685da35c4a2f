"""Intents: the journal as one load uses it, with what it remembers of each chunk that is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from halocline.batch import JSON
from halocline.connector import Journal
from halocline.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Intent:
    """A chunk that was about to be sent, for the `attempt`-th time; `again`: earlier attempts may have been carried out.

    `job_id` is its job, and `closing` the job that was about to be closed: until then nothing of a job is processed. `stopping`
    is a job that was open all the same, and that we were about to abort: it is not one that somebody else stopped.
    """

    attempt: int
    again: bool = False
    closing: str | None = None
    job_id: str | None = None
    stopping: str | None = None

    @property
    def detail(self) -> dict[str, JSON]:
        """What the journal keeps of it, the job's id aside."""
        return {"attempt": self.attempt, "again": self.again, "closing": self.closing, "stopping": self.stopping}


class Intents:
    """The chunks of one load that are open in its journal. One thread calls it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._open = {chunk: _intent(detail, job_id) for chunk, detail, job_id in journal.open() if isinstance(detail, Mapping)}

    def of(self, chunk: str) -> Intent | None:
        """The intent of a chunk that is open."""
        return self._open.get(chunk)

    def begin(self, chunk: str, attempt: int, *, again: bool = False) -> None:
        """Remember durably that a chunk is about to be sent."""
        self._put(chunk, Intent(attempt, again, None, self._job_of(chunk)))

    def job(self, chunk: str, job_id: str) -> None:
        """Remember durably which job carries a chunk."""
        self._journal.remote(chunk, job_id)
        self._open[chunk] = replace(self._open[chunk], job_id=job_id)

    def closing(self, chunk: str, job_id: str) -> None:
        """Remember durably that the job of a chunk is about to be closed."""
        self._put(chunk, replace(self._open[chunk], closing=job_id))

    def stopping(self, chunk: str, job_id: str) -> None:
        """Remember durably that the job of a chunk is about to be aborted, because it was not closed."""
        self._put(chunk, replace(self._open[chunk], stopping=job_id))

    def settle(self, chunk: str) -> None:
        """Remember durably that all is known of a chunk, if it is open."""
        if chunk in self._open:
            self._journal.settle(chunk, Outcome(chunk))
            del self._open[chunk]

    def _put(self, chunk: str, intent: Intent) -> None:
        self._journal.intend(chunk, intent.detail)
        self._open[chunk] = intent

    def _job_of(self, chunk: str) -> str | None:
        return self._open[chunk].job_id if chunk in self._open else None


def _intent(detail: Mapping[str, JSON], job_id: str | None) -> Intent:
    attempt, closing, stopping = (detail.get(name) for name in ("attempt", "closing", "stopping"))
    number = attempt if isinstance(attempt, int) else 0
    return Intent(number, bool(detail.get("again")), _text(closing), job_id, _text(stopping))


def _text(told: JSON) -> str | None:
    return None if told is None else str(told)
