"""Environment -> settings, and secret references -> secrets. Nothing else reads the environment."""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from halocline.errors import FixConfig

LEASE_S = 60.0  # seconds without a sign of life after which a run counts as dead, where its process cannot be looked at
_LONGEST_LEASE_S = 86_400.0
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where Halocline keeps its own things, and what it may use of this machine.

    `home` holds the ledger (HALOCLINE_HOME); `spool` is where runs put files aside (HALOCLINE_SPOOL, None: the system's
    temporary folder); `duckdb_memory` limits the embedded DuckDB (HALOCLINE_DUCKDB_MEMORY; None: 512MB for a database opened
    by name, and its own setting for a connection). `api_budget` is the most calls a day (UTC) to one org, counted in the ledger
    (HALOCLINE_API_BUDGET; None: any number). `mask_key` is the secret behind hashed columns, or `env:NAME` or
    `file:PATH` (HALOCLINE_MASK_KEY). `ledger_at` is where the ledger is instead, a file or a `postgresql://` URI, or `env:NAME`
    or `file:PATH` with one (HALOCLINE_LEDGER). `lease_s` is for how long a run that shows no sign of life keeps others out
    (HALOCLINE_LEASE_S).
    """

    home: Path
    spool: Path | None = None
    duckdb_memory: str | None = None
    api_budget: int | None = None
    mask_key: str | None = field(default=None, repr=False)
    ledger_at: str | None = field(default=None, repr=False)  # a URI may hold a password
    lease_s: float = LEASE_S

    @property
    def ledger(self) -> Path | str:
        """The ledger's file, or the URI of its database.

        Raises: FixConfig when `ledger_at` refers to something that is not there.
        """
        if self.ledger_at is None:
            return self.home / "ledger.sqlite"
        place = secret(self.ledger_at)
        return place if "://" in place else Path(place).expanduser()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings that the environment gives; without any, `$XDG_STATE_HOME/halocline` or `~/.local/state/halocline`,
        in a Lambda function `/tmp/halocline`.
        """
        env = os.environ if environ is None else environ
        state = Path(env["XDG_STATE_HOME"]) if env.get("XDG_STATE_HOME") else Path.home() / ".local" / "state"
        if env.get("AWS_LAMBDA_FUNCTION_NAME"):
            state = Path(tempfile.gettempdir())  # all that a function may write; it lasts as long as the warm instance
        home = Path(env["HALOCLINE_HOME"]).expanduser() if env.get("HALOCLINE_HOME") else state / "halocline"
        spool = Path(env["HALOCLINE_SPOOL"]).expanduser() if env.get("HALOCLINE_SPOOL") else None
        return cls(
            home,
            spool,
            env.get("HALOCLINE_DUCKDB_MEMORY") or None,
            api_budget=_budget(env.get("HALOCLINE_API_BUDGET", "")),
            mask_key=env.get("HALOCLINE_MASK_KEY") or None,
            ledger_at=env.get("HALOCLINE_LEDGER") or None,
            lease_s=_lease(env.get("HALOCLINE_LEASE_S", "")),
        )


def variables(prefix: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables whose names begin with `prefix`, by the rest of their names; empty ones are left out."""
    env = os.environ if environ is None else environ
    return {name.removeprefix(prefix): value for name, value in env.items() if name.startswith(prefix) and value}


def secret(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """The secret behind `env:NAME`, `file:PATH` or `aws-sm:NAME#KEY` (AWS Secrets Manager); any other text is returned as it is.

    Raises: FixConfig when the variable, the file or the secret is not there; as `registry.secret_of`.
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
    if kind == "aws-sm":
        from halocline.registry import secret_of  # the registry reads settings too

        return secret_of(kind, name)
    return reference


def resolved(session: object) -> object:
    """What a connection is given as: the URI behind `env:NAME` or `aws-sm:NAME#KEY`, else what it is (`file:` begins a URI).

    Raises: as `secret`.
    """
    return secret(session) if isinstance(session, str) and session.startswith(("env:", "aws-sm:")) else session


def _budget(text: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal() or int(text) < 1:
        raise FixConfig("Reading HALOCLINE_API_BUDGET", f"{text!r} is no number of calls", hint="Give a whole number from 1 up.")
    return int(text)


def _lease(text: str) -> float:
    if not text.strip():
        return LEASE_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1.0 <= seconds <= _LONGEST_LEASE_S:
        hint = f"Give seconds from 1 to {_LONGEST_LEASE_S:.0f}."
        raise FixConfig("Reading HALOCLINE_LEASE_S", f"{text!r} is no time for a lease", hint=hint)
    return seconds


def masked(uri: str) -> str:
    """The URI without user name and password."""
    return _USERINFO.sub("***@", uri)
