"""Answers: what Salesforce said of each chunk, kept beside the rows, so that a load that is opened again knows it.

    <chunk>.told.json    all is known: the results of its rows, or the job that ended with them, or that nobody can know
    <chunk>.part.json    a call ended early: the results of some rows; the others were not sent in that attempt

A file is whole or not there, and it is on the disk before the journal hears that the chunk is settled: else, after a power cut,
a chunk would look as if it had never been sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from halocline.connectors.salesforce.ingest_jobs import JobInfo
from halocline.outcome import Fate, RowResult
from halocline.spool import IN_HOME, arriving, storage, to_disk


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a chunk: the `results` of its rows, else the `job` that ended, else why its rows are in doubt (`lost`).

    With `lost`, `results` may hold the rows that are known all the same. `again`: the rows had been sent once before, and that
    may have been carried out. `job_id` is the job that was lost.
    """

    results: tuple[RowResult, ...] = ()
    job: JobInfo | None = None
    lost: str = ""
    job_id: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of a chunk whose `attempt`-th call ended early; rows without a result were not sent in it."""

    attempt: int
    results: tuple[RowResult, ...] = ()
    again: bool = False


class Answers:
    """The answers in one folder. `keep` and `keep_part` may be called from any thread, for different chunks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, chunk: str) -> Answer | None:
        """What is known of all rows of a chunk."""
        told = read_json(self._folder / f"{chunk}.told.json")
        if told is None:
            return None
        job = None if told["job"] is None else JobInfo(**told["job"])
        return Answer(_results(told["results"]), job, told["lost"], told["job_id"], told["again"])

    def keep(self, chunk: str, answer: Answer) -> None:
        """Remember durably what is known of a chunk.

        Raises: StorageFailed.
        """
        job = None if answer.job is None else asdict(answer.job)
        facts = {"job": job, "lost": answer.lost, "job_id": answer.job_id, "again": answer.again}
        keep_json(self._folder / f"{chunk}.told.json", {**facts, "results": _rows(answer.results)})

    def part(self, chunk: str) -> Part | None:
        """What is known of some rows of a chunk."""
        told = read_json(self._folder / f"{chunk}.part.json")
        return None if told is None else Part(told["attempt"], _results(told["results"]), told["again"])

    def keep_part(self, chunk: str, part: Part) -> None:
        """Remember durably what is known of some rows of a chunk.

        Raises: StorageFailed.
        """
        facts = {"attempt": part.attempt, "again": part.again}
        keep_json(self._folder / f"{chunk}.part.json", {**facts, "results": _rows(part.results)})


def keep_json(path: Path, data: object) -> None:
    """Write a file of JSON, whole and on the disk, or not at all.

    Raises: StorageFailed.
    """
    with storage(f"Writing {path.name} to the run's folder", room=IN_HOME):
        with arriving(path) as partial:
            partial.write_text(json.dumps(data, separators=(",", ":")), encoding="utf-8")
            to_disk(partial)
        to_disk(path.parent)


def read_json(path: Path) -> Any:
    """The JSON of a file; None where there is none.

    Raises: StorageFailed, also for a file that is no JSON.
    """
    with storage(f"Reading {path.name} of the run's folder"):
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise OSError(f"the file is damaged ({error})") from error


def _rows(results: Iterable[RowResult]) -> list[list[Any]]:
    return [[one.row, one.fate, one.id, one.created, one.code, one.message, one.fields] for one in results]


def _results(rows: Iterable[list[Any]]) -> tuple[RowResult, ...]:
    return tuple(
        RowResult(row, Fate(fate), made_id, created, code, message, tuple(fields))
        for row, fate, made_id, created, code, message, fields in rows
    )
