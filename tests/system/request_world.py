"""A running emulator for the tests of bad input, and what a request needs to be there: records, jobs, locators."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx2

from halocline.emulator.server import Emulator

V = "/services/data/v66.0"
ASYNC = "/services/async/66.0"
CSV = "text/csv"


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `target` is path and query as they stand in the request line."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class World:
    """A running emulator, and new things in it for each request that needs one."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self._made = 0
        self._http = httpx2.Client(base_url=emulator.url, timeout=30)

    def close(self) -> None:
        self._http.close()

    @property
    def token(self) -> str:
        org = self.emulator.org
        return org.sessions.start(org.api_user_id, org_id=org.org_id).token

    def account(self) -> str:
        return self._row("Account", Name=f"Account {self._next()}")

    def contact(self, *, parent: str | None = None) -> str:
        """A contact of an account, which may have a parent."""
        account = self._row("Account", Name="Above", ParentId=parent)
        return self._row("Contact", LastName="Field", AccountId=account)

    def invoice(self) -> tuple[str, str]:
        """Its id and its key."""
        number = f"K{self._next()}"
        return self._row("Invoice__c", Number__c=number, Account__c=self.account()), number

    def deleted_account(self) -> str:
        account = self.account()
        self.emulator.store.delete(self._sobject("Account"), account, user_id=self.emulator.org.api_user_id)
        return account

    def locator(self, path: str = f"{V}/query", soql: str = "SELECT Id, Name FROM Account") -> str:
        while self.emulator.store.count(self._sobject("Account")) < 201:
            self.account()
        headers = self._bearer() | {"Sforce-Query-Options": "batchSize=200"}
        page = self._http.get(path, params={"q": soql}, headers=headers).json()
        return str(page["nextRecordsUrl"]).rpartition("/")[2]

    @cached_property
    def tooling_locator(self) -> str:
        whose = ", ".join(f"'{sobject.name}'" for sobject in self.emulator.org.catalog)
        return self.locator(f"{V}/tooling/query", f"SELECT Id FROM FieldDefinition WHERE EntityDefinitionId IN ({whose})")

    def ingest(self, *, until: str = "JobComplete", **settings: str) -> str:
        """An ingest job in that state."""
        job = self._json("POST", f"{V}/jobs/ingest", {"operation": "insert", "object": "Account"} | settings)["id"]
        if until != "Open":
            self._http.put(f"{V}/jobs/ingest/{job}/batches", content=b"Name\nA\n", headers=self._bearer() | {"Content-Type": CSV})
            self._json("PATCH", f"{V}/jobs/ingest/{job}", {"state": "UploadComplete"})
            self._ended(f"{V}/jobs/ingest/{job}")
        return str(job)

    def work_off(self, upload: str) -> str:
        """Have what was uploaded there loaded; what the job says was wrong with it."""
        job = upload.partition("?")[0].rstrip("/").rpartition("/")[0]
        if self._http.patch(job, json={"state": "UploadComplete"}, headers=self._bearer()).is_error:
            return ""
        return str(self._ended(job).get("errorMessage"))

    def query_job(self) -> str:
        job = self._json("POST", f"{V}/jobs/query", {"operation": "query", "query": "SELECT Id, Name FROM Account LIMIT 20"})[
            "id"
        ]
        self._ended(f"{V}/jobs/query/{job}")
        return str(job)

    def held_query_job(self) -> str:
        """One that can still be aborted."""
        self.emulator.org.jobs.hold()
        job = self._json("POST", f"{V}/jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"})["id"]
        return str(job)

    def classic(self, kind: str = "CSV", operation: str = "insert", **more: str) -> str:
        """A Bulk API 1.0 job."""
        body = {"operation": operation, "object": "Account", "contentType": kind, **more}
        return str(self._json("POST", f"{ASYNC}/job", body)["id"])

    def batch(self, operation: str = "insert", content: str = "Name\nA\n") -> tuple[str, str]:
        """A job and its only batch, which has ended."""
        job = self.classic(operation=operation)
        answer = self._http.post(
            f"{ASYNC}/job/{job}/batch", content=content.encode(), headers=self._bearer() | {"Content-Type": CSV}
        )
        batch = answer.text.partition("<id>")[2].partition("</id>")[0]
        while "<state>Completed</state>" not in self._http.get(f"{ASYNC}/job/{job}/batch/{batch}", headers=self._bearer()).text:
            time.sleep(0.002)
        return job, batch

    def classic_result(self) -> tuple[str, str, str]:
        job, batch = self.batch("query", "SELECT Id FROM Account LIMIT 5")
        text = self._http.get(f"{ASYNC}/job/{job}/batch/{batch}/result", headers=self._bearer()).text
        return job, batch, text.partition("<result>")[2].partition("</result>")[0]

    def calm(self) -> None:
        """Undo what a request to the admin door did to all later ones."""
        org = self.emulator.org
        org.jobs.release()
        org.bulk1.release()
        org.faults.clear()
        org.locks.release_all()
        org.show()
        org.clock.freeze(None)
        org.limits.reset()
        for name in ("DailyApiRequests", "DailyBulkV2QueryJobs", "DailyBulkApiBatches"):
            org.limits.set_max(name, 10_000_000)

    def _next(self) -> int:
        self._made += 1
        return self._made

    def _sobject(self, name: str) -> Any:
        found = self.emulator.store.catalog.get(name)
        assert found is not None
        return found

    def _row(self, name: str, **values: object) -> str:
        return self.emulator.store.insert(self._sobject(name), values, user_id=self.emulator.org.api_user_id)

    def _bearer(self) -> dict[str, str]:
        token = self.token
        return {"Authorization": f"Bearer {token}", "X-SFDC-Session": token}

    def _json(self, method: str, path: str, body: object) -> Any:
        answer = self._http.request(method, path, json=body, headers=self._bearer())
        assert answer.is_success, answer.text
        return answer.json()

    def _ended(self, path: str) -> Any:
        while (job := self._http.get(path, headers=self._bearer()).json())["state"] not in ("JobComplete", "Failed", "Aborted"):
            time.sleep(0.002)
        return job
