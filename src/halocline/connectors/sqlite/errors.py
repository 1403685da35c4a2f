"""The gate: what SQLite raises becomes an error of ours that says what to try."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from halocline.errors import BadQuery, FixConfig, HaloclineError, NotFound, RetryLater, SchemaConflict, StorageFailed

_FOLDER = "Make the folder first; an absolute path takes four slashes: sqlite:////data/lake.sqlite."
_RULES: tuple[tuple[str, type[HaloclineError], str], ...] = (
    ("locked", RetryLater, "Another connection holds the file; run this again when it has ended its transaction."),
    ("busy", RetryLater, "Another connection holds the file; run this again when it has ended its transaction."),
    ("unable to open", NotFound, _FOLDER),
    ("readonly", StorageFailed, "Give this user the right to write to the file and its folder."),
    ("full", StorageFailed, "Free some space on that disk."),
    ("not a database", StorageFailed, "This is no SQLite file: name another one."),
    ("malformed", StorageFailed, "The file is damaged: restore it from a copy."),
    ("disk I/O", StorageFailed, "Look at the disk that holds the file."),
    ("constraint failed", SchemaConflict, "Drop the constraint from the table; loads bring nulls and any values."),
    ("no such", FixConfig, "Look at the table in the database."),
)


_OF_THE_FILE = ("locked", "busy", "unable to open", "not a database", "malformed", "disk I/O")


@contextmanager
def gate(doing: str) -> Iterator[None]:
    """Turn an error of SQLite into one of ours, with what was being done.

    Raises: RetryLater for a file that others hold, else by what SQLite reports.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise translated(doing, error) from error
    except UnicodeDecodeError as error:  # of a damaged name in its schema, which the driver takes for text
        hint = "The file is damaged: restore it from a copy."
        raise StorageFailed(doing, f"a name in it is no text ({error})", hint=hint) from error


@contextmanager
def asking(doing: str) -> Iterator[None]:
    """As `gate`, for what others wrote: what is wrong with a question is `BadQuery`."""
    with gate(doing):
        try:
            yield
        except sqlite3.Error as error:
            if any(words in str(error) for words in _OF_THE_FILE):
                raise
            raise BadQuery(doing, str(error), hint="Nothing was written; correct the query and run it again.") from error


def translated(doing: str, error: sqlite3.Error) -> HaloclineError:
    """Our error for SQLite's. The first rule whose words are in the message decides."""
    text = str(error)
    for words, kind, hint in _RULES:
        if words in text:
            return kind(doing, text, hint=hint)
    return FixConfig(doing, text, hint="Look at the table and the file.")
