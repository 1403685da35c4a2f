"""Owners: which flow a file belongs to, whoever asks: an event, a person who names it, or a flow that looks for its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from halocline.errors import FixConfig
from halocline.filejob import FileJob
from halocline.flows.connected import Connected
from halocline.flows.files import FileFlow
from halocline.landed import Landed

if TYPE_CHECKING:
    from halocline.flows.configuration import Configuration


@dataclass(frozen=True, slots=True)
class Owners:
    """The file flows of a configuration, each with the job that tells which files it takes."""

    jobs: Mapping[str, FileJob]

    @classmethod
    def among(cls, configuration: Configuration, around: Connected) -> Owners:
        """Raises: FixConfig for a connection that leads to no bucket, for two flows that take the same files, and for one whose
        files would lie below what a flow puts there: they would be nobody's.
        """
        flows = configuration.flows.items()
        jobs = {name: flow.reach(name, around) for name, flow in flows if isinstance(flow, FileFlow)}
        seen: dict[tuple[str, str], str] = {}
        for name, job in jobs.items():
            other = seen.setdefault((job.bucket, job.prefix), name)
            if other != name:  # only references looked up could tell; all else is told when the file is read
                raise FixConfig(f"Running the flow {name}", f"it takes the same files as {other}", hint="Give it another prefix.")
            for putter, its in jobs.items():
                if its.bucket == job.bucket and job.prefix.startswith(its.own_prefixes):
                    cause = f"its files would lie below what {putter} puts there, and be nobody's"
                    raise FixConfig(f"Running the flow {name}", cause, hint="Give it another prefix.")
        return cls(jobs)

    def of(self, where: Landed) -> str | None:
        """The flow that takes a file: of those that could, the one with the longest prefix.

        None takes the mark of a folder, what any flow put into the bucket itself, and what lies below no prefix.
        """
        if where.key.endswith("/") or self.is_own(where):
            return None
        takers = [name for name, job in self.jobs.items() if job.takes(where)]
        return max(takers, key=lambda name: len(self.jobs[name].prefix), default=None)

    def is_own(self, where: Landed) -> bool:
        """Whether a flow put it there: whatever lies below an archive or an errors prefix of its bucket."""
        return any(where.bucket == job.bucket and where.key.startswith(job.own_prefixes) for job in self.jobs.values())

    def check(self, name: str, where: Landed) -> None:
        """Raises: FixConfig for a file that is not this flow's, naming the one whose it is."""
        owner = self.of(where)
        if owner == name:
            return
        if owner is not None:
            raise FixConfig(f"Running {name}: {where}", f"it belongs to the flow {owner}", hint=f"Run {owner} for it.")
        job = self.jobs[name]
        hint = f"It takes what lies below {job.prefix!r} of {job.bucket}, but for what flows put there themselves."
        raise FixConfig(f"Running {name}: {where}", "it is none of its files", hint=hint)
