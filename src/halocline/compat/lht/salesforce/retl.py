"""`lht.salesforce.retl`: the same names, arguments and answers; row by row, results are in the tables of `log_schema`."""

from __future__ import annotations

from halocline.retl import delete, insert, update, upsert

__all__ = ["delete", "insert", "update", "upsert"]
