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
from halocline.private import secret_bytes
from halocline.quantity import MOST
from halocline.refresh import time_of

LEASE_S = 60.0  # seconds without a sign of life after which a run counts as dead, where its process cannot be looked at
_LONGEST_LEASE_S = 86_400.0
_KEY = re.compile(
    r"(?!(?:env|file|aws-sm):)(?:.*[\r\n]|.*[A-Za-z0-9+=]{40}|(?![/~.])[A-Za-z0-9+/=_-]{64,}$)"
)  # base64: no folder or file is called so
_NO_PLACE = re.compile(r"\s*[{\[]|\s*(?:host|port|user|password|dbname)\s*=")  # a file of such a name would tell the password
_REFERENCE_WITHIN = re.compile(r"://[^/@]*:(env|file|aws-sm):")


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that is read: what it says, and what holds where it is not set (empty is the same)."""

    name: str
    told: str
    default: str = ""


VARIABLES = (
    Variable(
        "HALOCLINE_HOME",
        "The folder of the ledger and of the rows of pushes.",
        "~/.local/state/halocline; in Lambda /tmp/halocline",
    ),
    Variable("HALOCLINE_SPOOL", "The folder where files are put aside while a run lasts.", "the system's temporary folder"),
    Variable("HALOCLINE_CONFIG", "The file with the flows.", "./halocline.yaml"),
    Variable(
        "HALOCLINE_LEDGER",
        "The ledger: a file, a postgresql:// URI, or a reference to the whole of one.",
        "a file in HALOCLINE_HOME",
    ),
    Variable(
        "HALOCLINE_IDEMPOTENCY",
        "Where workers remember what was handled, a URI or a reference to the whole of one.",
        "the ledger",
    ),
    Variable(
        "HALOCLINE_LEDGER_KEEP",
        "For how long the ledger keeps runs that have ended, and the rows that they refused: 90d, 12w.",
        "until they are pruned",
    ),
    Variable("HALOCLINE_LEASE_S", "Seconds without a sign of life after which a run counts as dead.", f"{LEASE_S:.0f}"),
    Variable("HALOCLINE_API_BUDGET", "The most API calls a day (UTC) to one org, over all runs.", "no limit"),
    Variable("HALOCLINE_MASK_KEY", "The secret behind hashed columns, or a reference to it."),
    Variable("HALOCLINE_DUCKDB_MEMORY", "How much memory a DuckDB file that is opened by its URI may take.", "512MB"),
    Variable("XDG_STATE_HOME", "The folder above `halocline`, where HALOCLINE_HOME is not set.", "~/.local/state"),
    Variable("HTTPS_PROXY", "The proxy on the way to Salesforce; HTTP_PROXY and ALL_PROXY likewise.", "none"),
    Variable("NO_PROXY", "Hosts that are reached without it, with commas between; this machine always is."),
    Variable("SSL_CERT_FILE", "The file of certificate authorities to trust.", "the system's"),
    Variable("SSL_CERT_DIR", "The folder of certificate authorities to trust.", "the system's"),
)
"""What is read whatever is connected; a connector's own variables are in its package's `VARIABLES`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where Halocline keeps its own things, and what it may use of this machine.

    `home` holds the ledger (HALOCLINE_HOME); `spool` is where runs put files aside (HALOCLINE_SPOOL, None: the system's
    temporary folder); `duckdb_memory` limits the embedded DuckDB (HALOCLINE_DUCKDB_MEMORY; None: 512MB for a database opened
    by name, and its own setting for a connection). `api_budget` is the most calls a day (UTC) to one org, counted in the ledger
    (HALOCLINE_API_BUDGET; None: any number). `mask_key` is the secret behind hashed columns, or `env:NAME` or
    `file:PATH` (HALOCLINE_MASK_KEY). `ledger_at` is where the ledger is instead, a file or a `postgresql://` URI, or `env:NAME`
    or `file:PATH` with one (HALOCLINE_LEDGER). `lease_s` is for how long a run that shows no sign of life keeps others out
    (HALOCLINE_LEASE_S). `idempotency_at` is where listeners remember what was handled, or a reference to it as for the ledger
    (HALOCLINE_IDEMPOTENCY, None: in the ledger's database). `keep_s` is for how long the ledger keeps runs that have ended, and
    the rows that they refused (HALOCLINE_LEDGER_KEEP; None: until they are pruned by hand).
    """

    home: Path
    spool: Path | None = None
    duckdb_memory: str | None = None
    api_budget: int | None = None
    mask_key: str | None = field(default=None, repr=False)
    ledger_at: str | None = field(default=None, repr=False)  # a URI may hold a password
    lease_s: float = LEASE_S
    idempotency_at: str | None = field(default=None, repr=False)
    keep_s: float | None = None

    @property
    def ledger(self) -> Path | str:
        """The ledger's file, or the URI of its database.

        Raises: FixConfig when `ledger_at` refers to something that is not there, leads to neither, or holds a reference within a
        URI.
        """
        if self.ledger_at is None:
            return self.home / "ledger.sqlite"
        place = secret(self.ledger_at)
        if _NO_PLACE.match(place):
            hint = "Of a secret with several keys name the one that holds the URI: aws-sm:NAME#KEY."
            raise FixConfig(
                "Reading HALOCLINE_LEDGER", "it leads to JSON or to single settings, not to a path or a URI", hint=hint
            )
        if _REFERENCE_WITHIN.search(place):
            hint = "Put the whole URI where HALOCLINE_LEDGER=env:NAME leads; or leave its password out, and set PGPASSWORD."
            raise FixConfig(
                "Reading HALOCLINE_LEDGER",
                "in its URI stands a reference; only one in the place of the whole is looked up",
                hint=hint,
            )
        return place if "://" in place else Path(place).expanduser()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings that the environment gives; without any, `$XDG_STATE_HOME/halocline` or `~/.local/state/halocline`,
        in a Lambda function `/tmp/halocline`.
        """
        env = environment(environ)
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
            idempotency_at=env.get("HALOCLINE_IDEMPOTENCY") or None,
            keep_s=_keep(env.get("HALOCLINE_LEDGER_KEEP", "")),
        )


def environment(environ: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """What stands for the environment: `environ`, or this process's own."""
    return os.environ if environ is None else environ


def variables(prefix: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables whose names begin with `prefix`, by the rest of their names; empty ones are left out."""
    env = environment(environ)
    return {name.removeprefix(prefix): value for name, value in env.items() if name.startswith(prefix) and value}


def secret(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """The secret behind `env:NAME`, `file:PATH` or `aws-sm:NAME#KEY` (AWS Secrets Manager); any other text is returned as it is.

    A file that every user of the machine can read is warned of.
    Raises: FixConfig when the variable, the file or the secret is not there, and for a file that everybody can write; as
    `registry.secret_of`.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = environment(environ).get(name)
        if value is None:
            hint = f"Set it, or name another: it is what env:{name} stands for."
            raise FixConfig("Resolving a secret", f"the environment variable {name} is not set", hint=hint)
        return value
    if kind == "file":
        return _in_file(name)
    if kind == "aws-sm":
        from halocline.registry import secret_of  # the registry reads settings too

        return secret_of(kind, name)
    return reference


def is_key(text: str) -> bool:
    """Whether a text is a private key in PEM itself, and no path to one."""
    return "-----BEGIN " in text


def key_place(named: str) -> str:
    """A key's path or reference as it may be told: of a text that has the looks of a key, and so may be one, nothing."""
    return "(not shown, for it looks like a key without its BEGIN line)" if _KEY.match(named) else named


def private_key(place: str | os.PathLike[str], *, doing: str, hint: str) -> bytes:
    """The private key at `place`: a file's path, a reference to the key or to such a path, or the key itself in PEM.

    Raises: FixConfig when it cannot be read, which names `place`, unless that may be a key, and nothing that is behind it; as
    `secret`.
    """
    named = os.fspath(place)
    shown = key_place(named)
    behind = secret(place) if isinstance(place, str) else named
    if is_key(behind):
        return behind.encode()
    try:
        return secret_bytes(Path(behind).expanduser(), doing)
    except (OSError, ValueError) as error:
        cause = f"{shown}: {getattr(error, 'strerror', None) or 'it is no path of a file'}"
        raise FixConfig(doing, cause, hint=hint) from (error if behind == shown else None)


def _in_file(name: str) -> str:
    doing = "Resolving a secret"
    try:
        return secret_bytes(Path(name).expanduser(), doing).decode().rstrip("\n")
    except OSError as error:
        raise FixConfig(doing, f"the file {name} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise FixConfig(doing, f"the file {name} is no text in UTF-8") from None


def resolved(session: object) -> object:
    """What a connection is given as: the URI behind `env:NAME` or `aws-sm:NAME#KEY`, else what it is (`file:` begins a URI).

    Raises: as `secret`.
    """
    return secret(session) if isinstance(session, str) and session.startswith(("env:", "aws-sm:")) else session


def _budget(text: str) -> int | None:
    if not text.strip():
        return None
    digits = text.strip()
    if not digits.isdecimal() or len(digits) > len(str(MOST)) or not 1 <= int(digits) <= MOST:
        hint = f"Give a whole number from 1 to {MOST}."
        raise FixConfig("Reading HALOCLINE_API_BUDGET", f"{text!r:.80} is no number of calls", hint=hint)
    return int(digits)


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


def _keep(text: str) -> float | None:
    return age(text, "HALOCLINE_LEDGER_KEEP") if text.strip() else None


def age(text: str, option: str) -> float:
    """The seconds of a time such as `90d`, which `option` gives.

    Raises: FixConfig for another text.
    """
    found = time_of(text)
    if found is None:
        raise FixConfig(f"Reading {option}", f"{text!r} is no time", hint="Write 90d, 12w or 36h; at most 36525d.")
    return found
