"""Sweeping: data files that no commit names any more, deleted after a commit that made them so, or when their makers are dead."""

from __future__ import annotations

import time
from collections.abc import Iterator

from halocline.connector import Lease
from halocline.connectors.files.layout import maker_of, shown_name
from halocline.connectors.files.log import Commit
from halocline.connectors.files.table import Table
from halocline.spool import SWEEP_AFTER_S


def sweep(table: Table, before: Commit, *, lease: Lease, keep: int, now_s: float | None = None) -> None:
    """Delete what the commit of `table` by `lease`, which followed `before`, has left over.

    Files that an earlier commit named and the last `keep` ones before this do not; files of runs of this flow that were fenced
    off, for they cannot commit any more; and files of other flows' runs that nobody has touched for two days.
    """
    number = table.commit.number
    wanted, known = set(table.commit.paths), set(before.paths)
    for older in range(max(number - keep - 1, 1), number) if keep else ():
        paths = table.log.at(older).paths
        known |= paths
        if older >= number - keep:
            wanted |= paths
    limit_s = (time.time() if now_s is None else now_s) - SWEEP_AFTER_S
    left = sorted(set(_left_over(table, wanted, known, lease=lease, limit_s=limit_s)))
    if left:
        table.storage.delete(table.name_of(path) for path in left)


def _left_over(table: Table, wanted: set[str], known: set[str], *, lease: Lease, limit_s: float) -> Iterator[str]:
    mine = table.folder.owner(lease.flow)
    for entry in table.entries():
        maker, path = maker_of(entry.name), shown_name(entry.name)
        if maker is None or path in wanted:
            continue
        owner, fence = maker
        if path in known or entry.changed_s < limit_s or (owner == mine and fence < lease.fence):
            yield path
