"""A program that takes care of one file, and says how much memory that took: its own at the beginning, and at the most."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest.mock import patch

from halocline import registry
from halocline.config import Settings
from halocline.connectors.salesforce import job_results, pages
from halocline.connectors.salesforce.auth import ClientCredentialsAuthenticator
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.writing import frames, staging
from halocline.filejob import FileJob, run_file
from halocline.landed import Landed
from halocline.ledger import open_ledger
from halocline.rows import columns, delimited


def main() -> None:
    """Read the order from the command line."""
    order = json.loads(sys.argv[1])
    home = Path(order["home"])
    job = FileJob(name="large", bucket=order["bucket"], sobject="Account", key="Ext__c", mapping=order["mapping"])
    login = ClientCredentialsAuthenticator(*order["keys"], login_url=order["url"])
    if order["little"]:
        hold_little()
    before = peak_mb()
    with SalesforceClient(login) as client, open_ledger(home / "ledger.sqlite") as ledger:
        outcome = run_file(
            job,
            Landed(order["bucket"], order["key"], etag=order["etag"]),
            client=client,
            buckets=registry.open_buckets(),
            ledger=ledger,
            settings=Settings(home, home / "spool"),
        )
    print(json.dumps({**outcome.to_json(), "before_mb": before, "peak_mb": peak_mb()}))


def hold_little() -> None:
    """Make small what is held at a time: blocks, of which Arrow reads 32 ahead where the machine has time for it, and pieces."""
    for module, name, size in (
        (delimited, "_BLOCK_BYTES", 1 << 16),
        (job_results, "_BLOCK_BYTES", 1 << 16),
        (columns, "_PIECE_BYTES", 1 << 20),
        (staging, "FRAME_BYTES", 1 << 20),
        (frames, "FRAME_BYTES", 1 << 20),
    ):
        patch.object(module, name, size).start()
    patch.dict(pages.text_batches.__kwdefaults__, block_bytes=1 << 16).start()


def peak_mb() -> float:
    """The most memory that this program has had; what getrusage says may be that of the program which started it."""
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
