"""Files as tables: Parquet, CSV or JSON Lines in a folder or in S3, with a log of commits that says which files count."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from halocline.connector import About
from halocline.events import Sink, silent

if TYPE_CHECKING:
    import pyarrow as pa

    from halocline.connectors.files.destination import FilesDestination
    from halocline.spool import Spool

__all__ = ["ABOUT", "accepts", "open_destination", "place_of", "read_table", "table_files"]

ABOUT = About("Files", schemes=("file", "s3"), example="file:folder")
_SCHEMES = ("file:", "s3://")


def accepts(session: object) -> bool:
    """Whether `session` is a `file:` or `s3://` URI."""
    return isinstance(session, str) and session.lower().startswith(_SCHEMES)


def place_of(uri: str) -> str:
    """The folder of a URI, or the bucket and what the names in it begin with."""
    parts = urlsplit(uri)
    if parts.scheme.lower() == "file":
        return f"file:{Path(unquote(parts.path)).expanduser().absolute()}"
    return f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def open_destination(
    session: object,
    *,
    spool: Spool,
    memory_limit: str | None = None,  # noqa: ARG001 - of an embedded database
    read_only: bool = False,  # noqa: ARG001 - looking makes nothing here
    sink: Sink = silent,
    **options: str,
) -> FilesDestination:
    """The destination behind `session`; `options` are those of the URI, and count more. See `FilesDestination`."""
    from halocline.connectors.files.destination import FilesDestination

    return FilesDestination(str(session), spool=spool, given=options, sink=sink)


def table_files(uri: str, table: str, *, schema: str | None = None) -> list[str]:
    """The paths or `s3://` addresses of the files that hold a table as it is now, for any reader of such files.

    Raises: NotFound where there is no such table.
    """
    from halocline.connectors.files import reading

    return reading.table_files(uri, table, schema=schema)


def read_table(uri: str, table: str, *, schema: str | None = None) -> pa.RecordBatchReader:
    """The rows of a table as it is now, as a stream in its own types.

    Raises: NotFound where there is no such table; RetryLater where a commit deletes its files while it is read.
    """
    from halocline.connectors.files import reading

    return reading.read_table(uri, table, schema=schema)
