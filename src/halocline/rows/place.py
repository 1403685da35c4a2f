"""Places of files that rows are put aside in."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from halocline.spool import storage


def new_file(folder: Path, kind: str) -> Path:
    """A new, empty file in `folder`, which is made where it is not there; only its owner can read it.

    Raises: StorageFailed.
    """
    with storage(f"Making a file in {folder}"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, path = tempfile.mkstemp(prefix="rows-", suffix=f".{kind}", dir=folder)
        os.close(handle)
    return Path(path)
