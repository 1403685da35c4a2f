"""Place: a folder for what a benchmark makes, beside the benchmarks, gone with the block."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORK = Path(__file__).resolve().parent.parent / ".work"


@contextmanager
def place(name: str) -> Iterator[Path]:
    """A new folder whose name starts so."""
    WORK.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=WORK))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
