"""Files that a command is told to write: none may be one that it reads, or be written twice."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from glob import iglob
from itertools import islice
from pathlib import Path

from halocline import registry
from halocline.errors import FixConfig

_MOST_FILES = 100_000  # that a pattern of a query is looked through


def keep_apart(written: Mapping[str, Path | None], read: Mapping[str, Path | str | None]) -> None:
    """See, before anything is read, that no file to be written is one of `read`, or of `written` under two names. Both are named
    by what a user calls them (`--errors-to`, `the ledger`); what is None was not given, and an address (`s3://...`) is no file.

    Raises: FixConfig.
    """
    kept = [(name, Path(given)) for name, given in read.items() if given is not None and "://" not in str(given)]
    given = [(option, path) for option, path in written.items() if path is not None]
    for number, (option, path) in enumerate(given):
        for name, other in kept:
            if _is_same(path, other):
                raise _refused(option, path, f"it is {name} too, which would be lost")
        for name, other in given[:number]:
            if _is_same(path, other):
                raise _refused(option, path, f"it is the file of {name} too, and one of them would be lost")


def keep_apart_from_stdin(written: Mapping[str, Path | None]) -> None:
    """See that no file to be written is the one that standard input comes from.

    Raises: FixConfig.
    """
    try:
        source = os.fstat(sys.stdin.fileno())
    except (OSError, ValueError):  # there is none, or no file of the system's
        return
    for option, path in _there(written):
        if os.path.samestat(path.stat(), source):
            raise _refused(option, path, "standard input comes from it, and it would be lost")


def keep_apart_from_query(written: Mapping[str, Path | None], sql: str, *, uri: str) -> None:
    """See that no file to be written is one that a query reads: some databases read files, `SELECT * FROM 'leads.csv'`.

    Raises: FixConfig; as `registry.files_named`.
    """
    there = list(_there(written))
    named = registry.files_named(uri, sql) if there else []
    for option, path in there:
        if any(_leads_to(text, path) for text in named):
            raise _refused(option, path, "the query reads it, and it would be lost")


def _leads_to(text: str, path: Path) -> bool:
    """Whether a text is the path of a file, or a pattern that it fits; one that leads nowhere, whether it has the file's name."""
    found = list(islice(iglob(text, recursive=True), _MOST_FILES))  # noqa: PTH207  # Path.glob takes none that begins at the root
    if found:
        return any(_is_same(path, Path(one)) for one in found)
    return re.search(rf"(?<![\w.-]){re.escape(path.name)}(?![\w-])", text, re.IGNORECASE) is not None


def _refused(option: str, path: Path, cause: str) -> FixConfig:
    return FixConfig(f"Writing {path} ({option})", cause, hint="Name another file; nothing was read or written.")


def _there(written: Mapping[str, Path | None]) -> Iterator[tuple[str, Path]]:
    return ((option, path) for option, path in written.items() if path is not None and path.exists())


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, by links of either kind too; files that are not there yet are told by their places."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
