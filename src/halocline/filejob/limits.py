"""Limits: how much one file may ask of this machine, looked at before any of it is read as rows.

A packed file may expand without end, and a file without line ends is one row that is as long as the file. So each text file is
unpacked once to nowhere first: in flat memory, no further than the limits, and at the speed of the unpacking (1,200 MB a second
were seen of a plain file, 110 where all values are in quotes). Of a Parquet file the values are measured where they lie.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from halocline.errors import FixConfig
from halocline.filejob import parquet
from halocline.rows.files import kind_of
from halocline.rows.text import opened

_CHUNK_BYTES = 1 << 20
_ALWAYS_BYTES = 64 << 20  # what a small file may expand to, however well it was packed
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_RAISE = "Raise the limit of the job if the file is meant to be so."


@dataclass(frozen=True, slots=True)
class Limits:
    """In bytes: of a file `unpacked`, of one `record` in it (to within 2 MiB), and of a `.json` file, which is read as a whole.

    `ratio` is how many times its packed size a .gz file, or the rows of a Parquet file, may have; under 64 MiB nobody asks.
    Raises: FixConfig for a limit below 1.
    """

    unpacked_bytes: int = 20 << 30
    record_bytes: int = 16 << 20
    json_bytes: int = 64 << 20
    ratio: int = 200

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise FixConfig("Reading the limits of a file job", f"{name} is {getattr(self, name)}", hint="Give 1 or more.")


def check_packed(name: str, size: int, *, limits: Limits) -> None:
    """Look at the size of a file of that name in bytes, before it is fetched.

    Raises: FixConfig for one that is larger than it may be unpacked, so that it does not fill the disk first.
    """
    if size > limits.unpacked_bytes:
        raise _too_large(f"Reading {name}", "", packed=size, most=limits.unpacked_bytes, limits=limits)


def check(path: Path, limits: Limits, *, encoding: str = "utf-8", delimiter: str | None = None) -> None:
    """Look at a file as a whole.

    `delimiter` is that of CSV files; None: a tab in .tsv files, else a comma.

    Raises: FixConfig for a file beyond the limits, and for one that cannot be unpacked or decoded.
    """
    kind = kind_of(path)
    if kind is None:
        return
    doing, packed = f"Reading {path.name}", path.stat().st_size
    if kind == ".parquet":
        _check_parquet(path, limits, packed=packed)
        return
    most = min(limits.unpacked_bytes, limits.json_bytes) if kind == ".json" else limits.unpacked_bytes
    if path.suffix.lower() == ".gz":
        most = min(most, max(packed * limits.ratio, _ALWAYS_BYTES))
    records = None if kind == ".json" else _Records((delimiter or _DELIMITERS[kind]) if kind in _DELIMITERS else None)
    size = 0
    with opened(path, encoding) as file:
        while data := file.read(_CHUNK_BYTES):
            size += len(data)
            if size > most:
                raise _too_large(doing, kind, packed=packed, most=most, limits=limits)
            if records is not None and records.longest(data) > limits.record_bytes:
                cause = f"record {records.ended + 1:,} is longer than {limits.record_bytes:,} bytes"
                hint = f"A line end may be missing, or a quote that closes. {_RAISE}"
                raise FixConfig(doing, cause, hint=hint, limit="record_bytes")


def _check_parquet(path: Path, limits: Limits, *, packed: int) -> None:
    doing, most = f"Reading {path.name}", min(limits.unpacked_bytes, max(packed * limits.ratio, _ALWAYS_BYTES))
    if parquet.announced(path) > most:
        raise _too_large(doing, ".parquet", packed=packed, most=most, limits=limits)
    seen = size = 0
    for rows, some, longest in parquet.sizes(path):
        size += some
        if size > most:
            raise _too_large(doing, ".parquet", packed=packed, most=most, limits=limits)
        if longest > limits.record_bytes:
            cause = f"a record after the first {seen:,} is longer than {limits.record_bytes:,} bytes"
            raise FixConfig(doing, cause, hint=_RAISE, limit="record_bytes")
        seen += rows


def _too_large(doing: str, kind: str, *, packed: int, most: int, limits: Limits) -> FixConfig:
    if kind == ".json" and most == limits.json_bytes:
        cause = f"a .json file is read as a whole, and this one is larger than {most:,} bytes"
        return FixConfig(doing, cause, hint=f"Write it as JSON Lines (.jsonl). {_RAISE}", limit="json_bytes")
    if most == limits.unpacked_bytes:
        return FixConfig(doing, f"it is larger than {most:,} bytes", hint=_RAISE, limit="unpacked_bytes")
    cause = f"its {packed:,} bytes expand to more than {most:,}, over {limits.ratio} times as many"
    return FixConfig(doing, cause, hint=_RAISE, limit="ratio")


class _Records:
    """Counts how long a record is, to within two pieces of the file; a line end inside of quotes ends none.

    A quote opens where a field begins, and nowhere else; of two inside of quotes neither closes. With no delimiter none opens.
    """

    def __init__(self, delimiter: str | None) -> None:
        self.ended = 0
        self._quoted = None if delimiter is None else _quoted(delimiter)
        self._inside = False
        self._open_bytes = 0
        self._before = b"\n"  # the last byte of what was looked at: the file begins as a line does
        self._held = b""  # the quotes that it ended with, for what they mean the next byte says

    def longest(self, data: bytes) -> int:
        """Take in a piece of the file: at most so many bytes has the longest record that it touches."""
        ended = data.count(b"\n") if self._quoted is None else self._ends(data, self._quoted)
        self.ended += ended
        touched = self._open_bytes + len(data)
        self._open_bytes = len(data) if ended else touched
        return touched

    def _ends(self, data: bytes, quoted: re.Pattern[bytes]) -> int:
        """How many records end in the piece."""
        data = self._held + data
        known = data.rstrip(b'"')
        quotes = len(data) - len(known)
        self._held = b'"' * (quotes if quotes < 3 else 2 - quotes % 2)  # a pair more or less changes nothing
        if not known:
            return 0
        start = 0
        if self._inside:
            cell = _INSIDE.match(known)
            assert cell is not None, "it matches nothing as well"
            if cell.end() == len(known):
                return 0
            self._before, start = b'"', cell.end() + 1
        outside = quoted.sub(b'"', self._before + known[start:])
        self._inside = outside.endswith(b'"')  # what is known ends with no quote of its own, so it is that of a field
        ended = outside.count(b"\n") - self._before.count(b"\n")
        self._before = known[-1:]
        return ended


_INSIDE = re.compile(rb'[^"]*+(?:""[^"]*+)*+')


def _quoted(delimiter: str) -> re.Pattern[bytes]:
    """A field in quotes, or as much of it as there is. It begins with a plain quote, which `re` looks for at the speed of C."""
    return re.compile(rb'"(?<=[\n\r%s]")' % re.escape(delimiter.encode()) + _INSIDE.pattern + rb'(?:"|\Z)')
