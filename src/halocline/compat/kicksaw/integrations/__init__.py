"""The client of integrations that are Step Functions."""

from __future__ import annotations

from halocline.compat.kicksaw.integrations.salesforce import KicksawSalesforce, LogLevel

__all__ = ["KicksawSalesforce", "LogLevel"]
