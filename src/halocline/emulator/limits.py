"""The org's allowances and what is left of them."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from halocline.emulator.errors import ApiError
from halocline.emulator.names import unknown

# Max values of an Enterprise org with a few licences. Source: Salesforce Developer Limits and Allocations Quick Reference, "API
# Request Limits and Allocations", and Bulk API 2.0 Developer Guide, "Bulk API Limits and Allocations", read November 2026.
ALLOWANCES: dict[str, int] = {
    "AnalyticsExternalDataSizeMB": 40960,
    "ConcurrentAsyncGetReportInstances": 200,
    "ConcurrentSyncReportRuns": 20,
    "DailyApiRequests": 100_000,
    "DailyAsyncApexExecutions": 250_000,
    "DailyBulkApiBatches": 15_000,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "DailyBulkV2QueryJobs": 10_000,
    "DataStorageMB": 10_240,
    "FileStorageMB": 10_240,
    "HourlyODataCallout": 20_000,
    "MassEmail": 5_000,
    "SingleEmail": 5_000,
}


class Limits:
    """Counters of one org since it started; only a test resets them."""

    def __init__(self, *, daily_api_requests: int = 100_000, daily_query_jobs: int = 10_000) -> None:
        self._max = ALLOWANCES | {"DailyApiRequests": daily_api_requests, "DailyBulkV2QueryJobs": daily_query_jobs}
        self._used: dict[str, int] = {}
        self._result_bytes = 0
        self._lock = Lock()

    def spend_request(self) -> None:
        """Count one API request.
        Raises: ApiError(403, REQUEST_LIMIT_EXCEEDED) when none is left; the refused request is not counted.
        """
        if not self._spend("DailyApiRequests"):
            raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")

    def spend_query_job(self) -> None:
        """Count one Bulk 2.0 query job.
        Raises: ApiError(400, EXCEEDEDQUOTA) when none is left.
        Source: the message as observed in airbytehq/airbyte#26520; the code is unverified.
        """
        if not self._spend("DailyBulkV2QueryJobs"):
            most = self._max["DailyBulkV2QueryJobs"]
            message = f"Max bulk v2 query jobs ({most}) per 24 hrs has been reached ({most + 1})."
            raise ApiError(400, "EXCEEDEDQUOTA", message)

    def spend_batches(self, count: int) -> None:
        """Count batches of Bulk jobs, of both Bulk APIs.
        Raises: ApiError(400, ExceededQuota) when fewer are left; then none is counted. Source: the message as observed.
        """
        if not self._spend("DailyBulkApiBatches", count):
            raise ApiError(400, "ExceededQuota", "ApiBatchItems Limit exceeded.")

    def add_result_bytes(self, size: int) -> None:
        """Count the size of a Bulk 2.0 query's results."""
        with self._lock:
            self._result_bytes += size
            self._used["DailyBulkV2QueryFileStorageMB"] = self._result_bytes // 1_000_000

    def set_max(self, name: str, value: int) -> None:
        """Change an allowance, for instance to see a client stop at it.
        Raises: ValueError as `set_all`.
        """
        self.set_all({name: value})

    def set_all(self, allowances: Mapping[str, int]) -> None:
        """Change several allowances.
        Raises: ValueError for one that the org does not have, and for less than nothing; then none is changed.
        """
        for name, value in allowances.items():
            if name not in self._max:
                raise unknown("limit", name, known=self._max)
            if value < 0:
                raise ValueError(f"{name} is 0 or more, not {value}")
        with self._lock:
            self._max.update(allowances)

    def reset(self) -> None:
        """Begin a new day: nothing is used."""
        with self._lock:
            self._used.clear()
            self._result_bytes = 0

    def usage(self) -> tuple[int, int]:
        """API requests used, and how many there are."""
        with self._lock:
            return self._used.get("DailyApiRequests", 0), self._max["DailyApiRequests"]

    def header(self, style: str) -> str | None:
        """The value of `Sforce-Limit-Info`; `style` is `plain`, `per-app` or `off`.
        Source: REST API Developer Guide, "Limit Info Header".
        """
        used, most = self.usage()
        plain = f"api-usage={used}/{most}"
        return {"plain": plain, "per-app": f"{plain}; per-app-api-usage={used}/{most}(appName=emulator)"}.get(style)

    def answer(self) -> dict[str, dict[str, int]]:
        """What `/limits` says."""
        with self._lock:
            return {
                name: {"Max": most, "Remaining": max(0, most - self._used.get(name, 0))}
                for name, most in sorted(self._max.items())
            }

    def _spend(self, name: str, count: int = 1) -> bool:
        with self._lock:
            used = self._used.get(name, 0) + count
            if used > self._max[name]:
                return False
            self._used[name] = used
            return True
