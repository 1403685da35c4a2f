"""URI: what a URI and its options say about where files go and what they look like.

    file:///data/lake?format=csv      an absolute folder          file:lake      one beside you
    s3://bucket/prefix?partition_by=year(CreatedDate)

Options may also come as keywords of `open_destination`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from halocline.connectors.files.format import NAMES
from halocline.connectors.files.local import LocalStorage
from halocline.connectors.files.storage import Storage
from halocline.errors import FixConfig
from halocline.spool import Spool

_DOING = "Reading the destination's URI"
_KNOWN = ("format", "partition_by", "keep")
_MOST_KEPT = 50  # versions whose files may stay; the log itself keeps twice as many


@dataclass(frozen=True, slots=True)
class Options:
    """How files are written: `format` (parquet, csv or jsonl; None: as the table is, parquet for a new one), `partition_by`
    (columns, `year(column)` or `month(column)`; None: as the table is), and `keep`, the older versions whose files stay.
    """

    format: str | None = None
    partition_by: tuple[str, ...] | None = None
    keep: int = 0

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Options:
        """The options by their texts.

        Raises: FixConfig for one that is unknown, or cannot be meant.
        """
        for name in given:
            if name not in _KNOWN:
                raise FixConfig(_DOING, f"the option {name[:40]!r} is unknown", hint=f"Known are {', '.join(_KNOWN)}.")
        chosen = given.get("format")
        if chosen is not None and chosen not in NAMES:
            raise FixConfig(_DOING, f"the format {chosen[:40]!r} is unknown", hint=f"Choose one of {', '.join(NAMES)}.")
        keep = given.get("keep", "0")
        if not keep.isdecimal() or int(keep) > _MOST_KEPT:
            raise FixConfig(_DOING, f"keep={keep[:40]!r} is no number of versions", hint=f"Give one from 0 to {_MOST_KEPT}.")
        by = given.get("partition_by")
        return cls(chosen, None if by is None else tuple(one.strip() for one in by.split(",") if one.strip()), int(keep))


def open_storage(uri: str, *, spool: Spool, given: Mapping[str, str]) -> tuple[Storage, Options]:
    """The storage behind a URI, and its options; those of `given` count more.

    Raises: FixConfig for a URI that cannot be meant, MissingExtra by way of ModuleNotFoundError where boto3 is not installed.
    """
    bare, _, query = uri.partition("?")
    options = Options.read({**dict(parse_qsl(query, keep_blank_values=True)), **given})
    try:
        parts = urlsplit(bare)
    except ValueError as error:
        raise FixConfig(_DOING, "it cannot be read", hint="Write file:///folder or s3://bucket/prefix.") from error
    if parts.scheme == "s3":
        return _bucket(parts.netloc, parts.path, spool=spool), options
    if parts.netloc not in ("", "localhost"):
        hint = f"An absolute folder takes three slashes: file:///{parts.netloc}{parts.path}; one beside you none: file:lake."
        raise FixConfig(_DOING, f"file://{parts.netloc} would be another machine", hint=hint)
    folder = unquote(parts.path)
    if not folder or folder == "/" or "\0" in folder:
        raise FixConfig(_DOING, "it names no folder", hint="Write file:///data/lake, or file:lake for a folder beside you.")
    return LocalStorage(Path(folder).expanduser().absolute()), options


def _bucket(bucket: str, path: str, *, spool: Spool) -> Storage:
    from halocline.connectors.files.s3 import S3Storage

    if not bucket or "@" in bucket or ":" in bucket:
        raise FixConfig(_DOING, "it names no bucket", hint="Write s3://bucket/prefix; the login comes from AWS_* or ~/.aws.")
    prefix = unquote(path).strip("/")
    if any(step in ("", ".", "..") for step in prefix.split("/")) and prefix:
        raise FixConfig(_DOING, f"the prefix {prefix[:80]!r} cannot be meant", hint="Write s3://bucket/folder/folder.")
    return S3Storage(bucket, prefix, spool=spool)
