"""File jobs: a file that landed in a bucket goes into Salesforce, is reported on, archived and recorded, each of it once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.lazy import lazily

if TYPE_CHECKING:
    from halocline.filejob.job import FileJob, FileOutcome, FileState
    from halocline.filejob.limits import Limits
    from halocline.filejob.record import Execution
    from halocline.filejob.run import run_file

_HOME = {
    "Execution": "record",
    "FileJob": "job",
    "FileOutcome": "job",
    "FileState": "job",
    "Limits": "limits",
    "run_file": "run",
}

__all__ = ["Execution", "FileJob", "FileOutcome", "FileState", "Limits", "run_file"]

__getattr__ = lazily(__name__, _HOME)


def __dir__() -> list[str]:
    return list(__all__)
