"""Org: the emulator in a process of its own, seeded and reduced to the columns that everybody reads."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

API = "/services/data/v67.0"
COLUMNS = (
    *("Id", "IsDeleted", "Name", "Type", "ParentId", "BillingStreet", "BillingCity", "BillingCountry", "Phone", "Website"),
    *("Industry", "AnnualRevenue", "NumberOfEmployees", "Ownership", "Description", "Rating", "LastActivityDate"),
    *("CreatedDate", "LastModifiedDate", "SystemModstamp"),
)
WRITERS = 4  # connections that edit records at the same time
STOP_S = 30.0


class Door:
    """An emulator in a process of its own, and a session; `options` are those of its command line."""

    def __init__(self, options: Sequence[str]) -> None:
        command = [sys.executable, "-m", "halocline", "emulator", "--port", "0", *options, "--json"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            self.url, self.token = self._login()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the emulator. Idempotent."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def call(self, method: str, path: str, body: bytes | None = None, *, kind: str = "application/json") -> Any:
        """What a JSON resource answers.
        Raises: RuntimeError for a refusal.
        """
        words = self.read(method, path, body, kind=kind)
        return json.loads(words) if words else None

    def read(self, method: str, path: str, body: bytes | None = None, *, kind: str = "application/json") -> bytes:
        """The bytes of an answer.
        Raises: RuntimeError for a refusal.
        """
        connection = self.connection()
        connection.request(method, path, body, {"Content-Type": kind, "Authorization": f"Bearer {self.token}"})
        reply = connection.getresponse()
        words = reply.read()
        connection.close()
        if reply.status >= 300:
            raise RuntimeError(f"{method} {path}: {reply.status} {words.decode()}")
        return words

    @property
    def cpu_s(self) -> float:
        """CPU of the emulator so far, user and system together."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def connection(self) -> http.client.HTTPConnection:
        """A connection to the plain door."""
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(str(parts.hostname), parts.port)

    def _login(self) -> tuple[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the emulator ended with code {self._process.wait()}")
        door = json.loads(line)
        self.url, self.token = str(door["url"]), ""
        credentials = {"client_id": door["client_id"], "client_secret": door["client_secret"]}
        form = urlencode({"grant_type": "client_credentials", **credentials}).encode()
        answer = self.call("POST", "/services/oauth2/token", form, kind="application/x-www-form-urlencoded")
        return self.url, str(answer["access_token"])


class Org(Door):
    """A Salesforce with so many Accounts; for the API user they have just the COLUMNS, because lht reads every field there is.

    `fields` maps them to Salesforce's types, in the order of the describe.
    """

    def __init__(self, folder: Path, *, accounts: int, seed_number: int) -> None:
        store, seeded = str(folder / "org.sqlite"), f"Account={accounts}"
        super().__init__(["--store", store, "--seed", seeded, "--seed-number", str(seed_number)])
        try:
            self.hundredth = self._ids("AccountNumber LIKE '%00'")
            self.fields = self._reduced()
        except BaseException:
            self.stop()
            raise

    def seed_more(self, accounts: int, *, seed_number: int) -> None:
        """Add so many Accounts."""
        self._admin("seed", {"counts": {"Account": accounts}, "number": seed_number})

    def advance(self, seconds: float) -> None:
        """Move the org's clock."""
        self._admin("clock", {"advance_s": seconds})

    def edit(self, ids: Sequence[str], phone: str) -> None:
        """Give each of these Accounts another phone number, one call for each, as users do."""
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(lambda some: self._edit(some, phone), [ids[start::WRITERS] for start in range(WRITERS)]))

    def forget_jobs(self) -> None:
        """Delete the finished query jobs that clients left behind, so that the disk does not fill."""
        for job in self.call("GET", f"{API}/jobs/query?jobType=V2Query")["records"]:
            if job["state"] in ("JobComplete", "Failed", "Aborted"):
                self.call("DELETE", f"{API}/jobs/query/{job['id']}")

    def _ids(self, where: str) -> list[str]:
        """The Ids under a condition."""
        answer = self.call("GET", f"{API}/query?q=" + quote(f"SELECT Id FROM Account WHERE {where}"))
        found = [str(record["Id"]) for record in answer["records"]]
        while not answer["done"]:
            answer = self.call("GET", answer["nextRecordsUrl"])
            found += [str(record["Id"]) for record in answer["records"]]
        return found

    def _reduced(self) -> dict[str, str]:
        there = [str(field["name"]) for field in self._described()]
        self._admin("permissions", {"hide": [f"Account.{name}" for name in there if name not in COLUMNS]})
        left = {str(field["name"]): str(field["type"]) for field in self._described()}
        if set(left) != set(COLUMNS):
            raise RuntimeError(f"the API user sees other columns than wanted: {sorted(set(left) ^ set(COLUMNS))}")
        return left

    def _described(self) -> list[dict[str, Any]]:
        fields: list[dict[str, Any]] = self.call("GET", f"{API}/sobjects/Account/describe")["fields"]
        return fields

    def _edit(self, ids: Sequence[str], phone: str) -> None:
        connection = self.connection()
        for record_id in ids:
            path = f"{API}/sobjects/Account/{record_id}"
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection.request("PATCH", path, json.dumps({"Phone": phone}), headers)
            reply = connection.getresponse()
            words = reply.read()
            if reply.status != 204:
                raise RuntimeError(f"editing {record_id}: {reply.status} {words.decode()}")
        connection.close()

    def _admin(self, resource: str, body: object) -> None:
        self.call("POST", f"/__emulator__/{resource}", json.dumps(body).encode())
