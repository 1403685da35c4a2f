"""What a flow is run with: its connections, this process's settings, who watches, and when it has to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.config import Settings
from halocline.events import Sink, silent
from halocline.flows.connections import ENVIRONMENT, Connection
from halocline.halt import Halt

if TYPE_CHECKING:
    from halocline.ledger import Ledger
    from halocline.sync import SobjectSync


@dataclass(frozen=True, slots=True)
class Connected:
    """A flow's surroundings. `folder` is that of the file, from which paths in it start; `ledger` None is the settings' own.

    `halt` ends the work when it is called; `ends_at` is the instant of `time.monotonic` at which it will be (None: never).
    `watch` gives each of several objects a sink of its own.
    """

    connections: Mapping[str, Connection]
    folder: Path = field(default_factory=Path)
    settings: Settings = field(default_factory=Settings.from_env)
    ledger: Ledger | None = None
    sink: Sink = silent
    watch: Callable[[SobjectSync], Sink] | None = None
    halt: Halt = field(default_factory=Halt)
    ends_at: float | None = None

    def connection(self, name: str) -> Connection:
        """The connection of that name, or the URI that the name is."""
        return self.connections.get(name, name)

    def org(self, name: str | None) -> Connection:
        """The org of that name; without any, the one that the environment describes."""
        return ENVIRONMENT if name is None else self.connection(name)

    def is_over(self) -> bool:
        """Whether nothing new is to be begun."""
        return self.halt.is_called or (self.ends_at is not None and time.monotonic() >= self.ends_at)
