"""Names: of a run, of its archived file, of its report - the same for every delivery of one landed file, and of no other.

A key of a bucket is whatever somebody called it: `../../etc/x`, `/x`, a kilobyte, a NUL. It never becomes a path here, and what
is made of it for another key or a local file has nothing in it that means something to a file system, a proxy or a terminal.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from halocline.push.past import OF_FILE

if TYPE_CHECKING:
    from halocline.landed import Landed

MARK_DIGITS = 16  # hexadecimal digits of a run in the names of its objects: 64 bits
KEY_BYTES = 1_024
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html (UTF-8), read November 2026."""

TAIL_BYTES = 64
"""What is kept free behind a name, so that whatever is made of one key begins alike: marks and endings are shorter."""

_RUN_DIGITS = 32
_JOB_CHARS = 100  # of the name of a job, as people read it in metadata
_FLOW_CHARS = 240  # of the name of a flow, as people read it in lists
LOCAL_REPORT = "error report.csv"  # beside the file, which never has a blank: a file that lands as error-report.csv is another
_LOCAL_CHARS = 60  # of the name of a local file, its endings not counted
_ENDING = re.compile(r"(\.[A-Za-z0-9]{1,10}){0,2}$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]")
_ODD = re.compile(r"[^\w.-]", re.ASCII)


def digest(*parts: str) -> str:
    """A text that is the same for the same parts, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def run_of(job: str, where: Landed) -> str:
    """The run in which a job takes care of one landed file."""
    return digest(job, where.dedupe)[:_RUN_DIGITS]


def flow_of(job: str, where: Landed) -> str:
    """The flow of all files that land under one key: they are taken care of one after the other."""
    name = _CONTROL.sub("_", f"{job}: {where}").encode("utf-8", "replace").decode()
    return name if len(name) <= _FLOW_CHARS else f"{name[:_FLOW_CHARS]}... {digest(where.bucket, where.key)[:MARK_DIGITS]}"


def push_flow_of(job: str, run: str) -> str:
    """The flow of the push that brings the rows of one landed file into Salesforce."""
    return f"{job}{OF_FILE}{run}"


def source_mark(bucket: str, key: str) -> str:
    """What tells the place of a file in the metadata of its copy: a key itself may be longer than metadata may be."""
    return digest(bucket, key)[:_RUN_DIGITS]


def job_mark(job: str) -> str:
    """What tells a job in metadata, in ASCII: its name, and where that is long its beginning and a digest."""
    name = quote(job)
    return name if len(name) <= _JOB_CHARS else f"{name[:_JOB_CHARS]}...{digest(job)[:MARK_DIGITS]}"


def below(prefix: str, key: str, *, mark: str, ending: str | None = None) -> str:
    """A key below `prefix` for what is made of `key`, folders kept, `mark` behind the name; `ending` takes the place of its own.

    At most 1,024 bytes: of a key that is too long the end of the name is left out, at the same place whatever the mark and the
    ending are (up to `TAIL_BYTES`), and the mark tells it apart. So with neither it is what all the others begin with.
    """
    segments = [_segment(one) for one in key.split("/") if one]
    name = segments.pop() if segments else "_"
    own = _ending_of(name)
    tail = f"-{mark}{own if ending is None else ending}"
    path = "/".join([*segments, name.removesuffix(own) or "_"])
    room = KEY_BYTES - len(prefix.encode()) - max(len(tail.encode()), TAIL_BYTES)
    return f"{prefix}{path.encode()[: max(room, 0)].decode('utf-8', 'ignore')}{tail}"


def local_name(key: str) -> str:
    """A plain name for a local file with what `key` holds: letters, digits, `.`, `-`, `_`; never hidden, never a path."""
    last = PurePosixPath(key.replace("\\", "/").replace("\0", "_")).name
    ending = _ending_of(last)
    stem = _ODD.sub("_", last.removesuffix(ending)).lstrip(".")[:_LOCAL_CHARS]
    return f"{stem or 'file'}{ending}"


def _segment(text: str) -> str:
    clean = _CONTROL.sub("_", text).encode("utf-8", "replace").decode()
    return "_" if clean in {".", ".."} else clean


def _ending_of(name: str) -> str:
    found = _ENDING.search(name)
    ending = found[0] if found else ""
    return "" if ending == name else ending
