"""Environment -> settings, and secret references -> secrets. Nothing else reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from halocline.errors import FixConfig

_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where Halocline keeps its own things, and what it may use of this machine.

    `home` holds the ledger (HALOCLINE_HOME); `spool` is where runs put files aside (HALOCLINE_SPOOL, None: the system's
    temporary folder); `duckdb_memory` limits the embedded DuckDB (HALOCLINE_DUCKDB_MEMORY; None: 512MB for a database opened
    by name, and its own setting for a connection).
    """

    home: Path
    spool: Path | None = None
    duckdb_memory: str | None = None

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.home / "ledger.sqlite"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings that the environment gives; without any, `$XDG_STATE_HOME/halocline` or `~/.local/state/halocline`."""
        env = os.environ if environ is None else environ
        state = Path(env["XDG_STATE_HOME"]) if env.get("XDG_STATE_HOME") else Path.home() / ".local" / "state"
        home = Path(env["HALOCLINE_HOME"]).expanduser() if env.get("HALOCLINE_HOME") else state / "halocline"
        spool = Path(env["HALOCLINE_SPOOL"]).expanduser() if env.get("HALOCLINE_SPOOL") else None
        return cls(home, spool, env.get("HALOCLINE_DUCKDB_MEMORY") or None)


def secret(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """The secret behind `env:NAME` or `file:PATH`; any other text is returned as it is.

    Raises: FixConfig when the variable or the file is not there.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = (os.environ if environ is None else environ).get(name)
        if value is None:
            raise FixConfig("Resolving a secret", f"the environment variable {name} is not set")
        return value
    if kind == "file":
        try:
            return Path(name).expanduser().read_text().rstrip("\n")
        except OSError as error:
            raise FixConfig("Resolving a secret", f"the file {name} cannot be read ({error.strerror})") from error
    return reference


def masked(uri: str) -> str:
    """The URI without user name and password."""
    return _USERINFO.sub("***@", uri)
