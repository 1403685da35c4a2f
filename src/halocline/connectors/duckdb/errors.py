"""The gate: what DuckDB raises becomes an error of ours that says what to try."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from halocline.errors import (
    AccessDenied,
    FixConfig,
    HaloclineError,
    NotFound,
    RetryLater,
    SchemaConflict,
    Stop,
    StorageFailed,
    Truncated,
)

INEXACT = "halocline-inexact"
"""Starts the message that our own SQL raises for a number that its column cannot hold: marker, column, type, value."""

_INTERRUPTED = "Query interrupted"
_SEPARATOR = "\x1f"
_HOLDER = re.compile(r"Conflicting lock is held in (.+?\(PID \d+\)(?: by user [^.\s]+)?)")
_INEXACT = re.compile(f"{INEXACT}{_SEPARATOR}(.*?){_SEPARATOR}(.*?){_SEPARATOR}(.*?){_SEPARATOR}", re.DOTALL)
_UNREADABLE = re.compile(r'when converting column "(.*?)"\. Could not convert string "(.*?)" to \'(.*?)\'', re.DOTALL)
_SHOWN = 300  # characters of DuckDB's own message; it may quote a whole record


def inexact(column: str, sql_type: str) -> str:
    """The text that goes before the value in the message for a number that does not fit."""
    return _SEPARATOR.join((INEXACT, column, sql_type, ""))


@contextmanager
def gate(doing: str) -> Iterator[None]:
    """Turn an error of DuckDB into one of ours, with what was being done.

    Raises: SchemaConflict, FixConfig, RetryLater or a Stop, by what DuckDB reports; KeyboardInterrupt, which DuckDB turns into
    a RuntimeError while a statement runs.
    """
    try:
        yield
    except RuntimeError as error:
        if str(error) != _INTERRUPTED:
            raise
        raise KeyboardInterrupt from error
    except duckdb.Error as error:
        raise translated(doing, error) from error


def translated(doing: str, error: duckdb.Error) -> HaloclineError:
    """Our error for DuckDB's. The first rule whose class and words match decides; all else is a plain Stop."""
    text = str(error)
    for rule in _RULES:
        if isinstance(error, rule.kind) and any(word in text for word in rule.words):
            return rule.made(doing, text)
    return Stop(doing, _shown(text))


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: type[duckdb.Error]
    words: tuple[str, ...]
    made: Callable[[str, str], HaloclineError]


def _shown(text: str) -> str:
    # DuckDB names a catalog entry in a conflict with NUL between its parts.
    line = " ".join(text.split("\n\n", maxsplit=1)[0].replace("\0", " ").split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."


def _inexact(doing: str, text: str) -> HaloclineError:
    found = _INEXACT.search(text)
    column, kind, value = found.groups() if found else ("?", "?", "?")
    hint = 'Nothing was rounded. Load such numbers as floating point with numbers="double", or correct the field at the source.'
    cause = f"the column {column} is {kind}, and cannot hold the value {value} exactly"
    return SchemaConflict(doing, cause, hint=hint, column=column, value=value)


def _unreadable(doing: str, text: str) -> HaloclineError:
    found = _UNREADABLE.search(text)
    if found is None:
        return SchemaConflict(doing, _shown(text), hint="A value is not of the type that the source announced.")
    column, value, kind = found.groups()
    cause = f"the column {column} is {kind}, and cannot hold the value {value[:_SHOWN]!r}"
    hint = "The source announced this type; look whether the field's type has changed, and run a full sync."
    return SchemaConflict(doing, cause, hint=hint, column=column, value=value)


def _damaged_page(doing: str, text: str) -> HaloclineError:
    lines = [line for line in text.splitlines() if line.startswith(("Expected", "Value with", "Invalid unicode", "Maximum line"))]
    file = re.search(r"^\s*file = (.+)$", text, re.MULTILINE)
    cause = f"the result page {file.group(1) if file else ''} is damaged ({' '.join(lines) or _shown(text)})"
    return Truncated(doing, cause, hint="Run it again; the page is then fetched anew.")


def _locked(doing: str, text: str) -> HaloclineError:
    found = _HOLDER.search(text)
    holder = found.group(1) if found else "another process"
    hint = "DuckDB lets one process write at a time: run this again when that one has ended, or close it (or its connection)."
    return RetryLater(doing, f"the file is locked; it is open in {holder}", hint=hint, holder=holder)


def _with(error: type[HaloclineError], hint: str) -> Callable[[str, str], HaloclineError]:
    def made(doing: str, text: str) -> HaloclineError:
        return error(doing, _shown(text), hint=hint)

    return made


_ANY = ("",)
_RULES = (
    _Rule(duckdb.Error, (INEXACT,), _inexact),
    _Rule(duckdb.Error, ("No space left", "max_temp_directory_size"), _with(StorageFailed, "Free some space on that disk.")),
    _Rule(duckdb.OutOfMemoryException, _ANY, _with(StorageFailed, "Raise memory_limit (HALOCLINE_DUCKDB_MEMORY).")),
    _Rule(duckdb.Error, ("read-only mode",), _with(StorageFailed, "Open the database for writing, or name another file.")),
    _Rule(duckdb.IOException, ("Could not set lock", "already open in", "being used by another"), _locked),
    _Rule(
        duckdb.IOException,
        ("not a valid DuckDB database", "Corrupt", "corrupt", "checksum"),
        _with(StorageFailed, "This is no DuckDB file, or it is damaged: name another one, or restore it from a copy."),
    ),
    _Rule(duckdb.SerializationException, _ANY, _with(StorageFailed, "The file was written by a newer DuckDB, or it is damaged.")),
    _Rule(duckdb.Error, ("Permission denied",), _with(AccessDenied, "Give this user the right to write there.")),
    _Rule(
        duckdb.IOException,
        ("No such file or directory", "Is a directory"),
        _with(NotFound, "Make the folder first; an absolute path takes four slashes: duckdb:////data/lake.duckdb."),
    ),
    _Rule(duckdb.IOException, _ANY, _with(StorageFailed, "Look at the disk that holds the database.")),
    _Rule(duckdb.PermissionException, _ANY, _with(AccessDenied, "This connection may not read files; allow external access.")),
    _Rule(duckdb.TransactionException, _ANY, _with(RetryLater, "Another connection changed the same table; run this again.")),
    _Rule(duckdb.ConversionException, _ANY, _unreadable),
    _Rule(duckdb.ConstraintException, _ANY, _with(SchemaConflict, "Drop the constraint from the table; loads bring nulls.")),
    _Rule(duckdb.InvalidInputException, ("CSV Error",), _damaged_page),
    _Rule(
        duckdb.ConnectionException,
        ("already closed", "been closed"),
        _with(FixConfig, "Pass a connection that stays open for as long as the sync runs."),
    ),
    _Rule(
        duckdb.ConnectionException,
        ("different configuration",),
        _with(FixConfig, "Pass that open connection instead of the file."),
    ),
    _Rule(duckdb.DependencyException, _ANY, _with(FixConfig, "Drop what depends on the table first.")),
    _Rule(duckdb.CatalogException, _ANY, _with(FixConfig, "Look at the table in the database.")),
    _Rule(
        duckdb.ProgrammingError,
        _ANY,
        _with(FixConfig, "Look at the settings of the DuckDB connection (its memory: HALOCLINE_DUCKDB_MEMORY, such as 2GB)."),
    ),
    _Rule(duckdb.FatalException, _ANY, _with(StorageFailed, "DuckDB stopped this database; open it anew.")),
    _Rule(duckdb.InternalException, _ANY, _with(StorageFailed, "DuckDB reports a defect of its own; open the database anew.")),
)
