"""Cloud: a fake AWS in a process of its own, the same for every contender, and what it has to do for them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring.process import Process

_SCRIPT = Path(__file__).resolve().parent / "cloud_process.py"


class Cloud:
    """A running one; `environment` leads clients to it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        told = process.answer()
        self.url: str = told["url"]
        self.environment: Mapping[str, str] = told["environment"]

    def ask(self, wanted: str, **details: Any) -> Any:
        """Have it do something: a method of `cloud_process.Desk`."""
        self.begin(wanted, **details)
        return self.told()

    def begin(self, wanted: str, **details: Any) -> None:
        """Have it begin to do something whose answer `told` waits for."""
        self._process.ask(json.dumps({"do": wanted, **details}))

    def told(self) -> Any:
        """What came of that which was begun."""
        return self._process.answer()["told"]


@contextmanager
def cloud(folder: Path) -> Iterator[Cloud]:
    """A fake AWS until the block ends."""
    home = folder / "cloud"
    home.mkdir()
    process = Process([sys.executable, str(_SCRIPT)], {"folder": str(home)})
    try:
        yield Cloud(process)
    finally:
        process.close()
