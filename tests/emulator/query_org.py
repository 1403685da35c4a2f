"""An org for the tests of queries: a store with short ways to fill and ask it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.emulator.small_org import USER, small_catalog

from halocline.emulator.clock import Clock
from halocline.emulator.errors import ApiError
from halocline.emulator.objects import Catalog, SObject
from halocline.emulator.query import PreparedQuery, prepare
from halocline.emulator.store import Store

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Org:
    """A store with short ways to fill and ask it."""

    def __init__(self, *more: SObject) -> None:
        clock = Clock()
        clock.freeze(NOON)
        self.store = Store(Catalog([*small_catalog(), *more]), clock=clock)
        self.user = self.add("User", FirstName="Jo", LastName="Doe", Username="jo@example.com")

    def add(self, kind: str, /, **values: object) -> str:
        """A new record's id."""
        sobject = self.store.catalog.get(kind)
        assert sobject is not None
        return self.store.insert(sobject, values, user_id=getattr(self, "user", USER))

    def remove(self, kind: str, record_id: str) -> None:
        """Put a record into the recycle bin."""
        sobject = self.store.catalog.get(kind)
        assert sobject is not None
        self.store.delete(sobject, record_id, user_id=USER)

    def query(self, soql: str, *, all_rows: bool = False, bulk: bool = False, version: str | None = None) -> PreparedQuery:
        """The prepared query."""
        return prepare(self.store, soql, all_rows=all_rows, bulk=bulk, user_id=self.user, version=version)

    def refusal(self, soql: str, *, version: str | None = None) -> ApiError:
        """How the query is refused."""
        with pytest.raises(ApiError) as refused:
            self.query(soql, version=version)
        return refused.value

    def rows(self, soql: str, *, all_rows: bool = False) -> list[dict[str, Any]]:
        """The first two thousand records."""
        return self.query(soql, all_rows=all_rows).records("66.0", 0, 2_000)

    def bulk(self, soql: str, *, rows: int = 50_000) -> list[dict[str, Any]]:
        """All rows of a Bulk query."""
        return [row for batch in self.query(soql, bulk=True).batches(rows) for row in batch.to_pylist()]
