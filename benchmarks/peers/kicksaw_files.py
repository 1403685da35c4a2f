"""kicksaw-integration-utils as its document says: a subclass of Orchestrator, `bulk.<object>.upsert`, `automagically_finish_up`.

Started by files.py in the peer's own environment with one JSON argument; answers with one JSON line. It knows no other address
than https://*.salesforce.com, so every session of requests gets an adapter that leads to the emulator.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter


class Detour(HTTPAdapter):
    """Requests for any https address, sent to one plain address."""

    url = ""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        parts = urlsplit(request.url)
        request.url = f"{self.url}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return super().send(request, *args, **options)


def main() -> None:
    """`{url, user, bucket, key, sobject, key_field, execution, look_s}`: seconds between looks at batches, in place of five."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    _lead(wanted["url"])
    if wanted.get("look_s"):
        _look_every(float(wanted["look_s"]))
    from kicksaw_integration_utils import Orchestrator, SalesforceClient

    class Landing(Orchestrator):
        @property
        def execution_sfdc_hash(self) -> dict[str, Any]:
            return {
                "Number_of_Errors__c": self.error_count,
                "Error_Report__c": f"https://{self.bucket_name}.us-east-1.amazonaws.com/{self.error_file_s3_key}",
                "Data_File__c": self.s3_object_key,
            }

    salesforce = SalesforceClient(*wanted["user"], "test")
    orchestrator = Landing(wanted["key"], wanted["bucket"], sf_client=salesforce, execution_object_name=wanted["execution"])
    with orchestrator.downloaded_file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    results = getattr(salesforce.bulk, wanted["sobject"]).upsert(rows, wanted["key_field"])
    orchestrator.log_batch(results, rows, wanted["sobject"], wanted["key_field"])
    orchestrator.automagically_finish_up()
    print(json.dumps({"refused": orchestrator.error_count}), flush=True)


def _lead(url: str) -> None:
    """All https goes to this address."""
    Detour.url = url
    made = requests.Session.__init__

    def init(self: requests.Session) -> None:
        made(self)
        self.mount("https://", Detour())

    requests.Session.__init__ = init  # type: ignore[method-assign]


def _look_every(seconds: float) -> None:
    """simple-salesforce sleeps five seconds between two looks at a batch, and offers no way to say otherwise."""
    from simple_salesforce import bulk

    bulk.sleep = lambda _: time.sleep(seconds)


if __name__ == "__main__":
    main()
