"""Layout: which folder a table has, what its data files are called, and where its log lies.

    <root>/<schema>/<table>/_halocline/00000007.json        one commit
    <root>/<schema>/<table>/<column>=<value>/<name>.parquet data, in folders where the table is partitioned
    <root>/_halocline/claims/<flow>/00000003.json           who runs a flow

Names that a path cannot hold safely are quoted, so nothing ever lies outside of the root.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from urllib.parse import quote

from halocline.connector import Lease, Target
from halocline.errors import FixConfig

OWN = "_halocline"
_LONGEST_BYTES = 200  # of one name; file systems take 255, and hidden names are a little longer
_NUMBERED = re.compile(r"(\d{8})\.json")
_DATA = re.compile(r"\.?([0-9a-f]{8})-(\d{8})-[0-9a-f]{8}-\d{5}\.(parquet|csv|jsonl)(\.part)?")
_ENDINGS = (".parquet", ".csv", ".jsonl")


def step(name: str, *, of: str) -> str:
    """A name as one step of a path: letters, digits and `_ . -` stay, all else, also a leading dot, becomes percent codes.

    Raises: FixConfig for an empty or far too long name.
    """
    made = quote(name, safe="").replace("~", "%7E")
    if made.startswith((".", OWN)):
        made = f"%{ord(made[0]):02X}{made[1:]}"
    if not made or len(made.encode()) > _LONGEST_BYTES:
        cause = f"{name[:60]!r} is {'empty' if not made else 'too long'}"
        raise FixConfig(f"Naming the folder of {of}", cause, hint=f"A name takes up to {_LONGEST_BYTES} bytes.")
    return made


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of a table, and the names in it."""

    path: str

    @classmethod
    def of(cls, target: Target) -> Folder:
        """The folder of `target`; without a schema it lies at the root."""
        names = [target.table] if target.schema is None else [target.schema, target.table]
        return cls("/".join(step(name, of=str(target)) for name in names))

    @property
    def log(self) -> str:
        """The folder of the commit log."""
        return f"{self.path}/{OWN}"

    def commit(self, number: int) -> str:
        """The name of one commit."""
        return f"{self.log}/{number:08d}.json"

    def owner(self, flow: str) -> str:
        """What the names of a flow's data files here begin with: no other flow's and no other table's do."""
        return hashlib.sha256(f"{flow}\0{self.path}".encode()).hexdigest()[:8]


@dataclass(slots=True)
class Names:
    """Makes the names of the data files of one unit of work: flow and table, fence, the unit's own token, a number."""

    folder: Folder
    lease: Lease
    ending: str
    token: str = ""
    made: int = 0

    def __post_init__(self) -> None:
        self.token = self.token or secrets.token_hex(4)

    def next(self, partition: str) -> str:
        """A name that no other file has, relative to the table's folder."""
        self.made += 1
        name = f"{self.folder.owner(self.lease.flow)}-{self.lease.fence:08d}-{self.token}-{self.made:05d}.{self.ending}"
        return f"{partition}/{name}" if partition else name


def number_of(name: str) -> int | None:
    """The number of a commit or claim by its file's name; None for other files."""
    found = _NUMBERED.fullmatch(name.rpartition("/")[2])
    return int(found[1]) if found else None


def claims_of(flow: str) -> str:
    """The folder of a flow's claims."""
    return f"{OWN}/claims/{hashlib.sha256(flow.encode()).hexdigest()[:32]}"


def maker_of(name: str) -> tuple[str, int] | None:
    """Who made a data file (`Folder.owner`, fence) by its name, shown or not; None for a file that is not ours."""
    found = _DATA.fullmatch(name.rpartition("/")[2])
    return (found[1], int(found[2])) if found else None


def shown_name(name: str) -> str:
    """The name of a data file, also of one that was brought and never shown."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.removeprefix('.').removesuffix('.part')}"


def is_data(name: str) -> bool:
    """Whether a file looks like rows of somebody."""
    return name.endswith(_ENDINGS)


def is_in_partition(name: str) -> bool:
    """Whether a name relative to a table's folder lies in it or in a folder of a partition: not in its log, nor a table below."""
    return all("=" in one for one in name.split("/")[:-1])
