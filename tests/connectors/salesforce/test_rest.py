"""Rows by REST; objects too wide for one address are joined from several queries without mixing states of a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from tests.connectors.salesforce.orgs import emulated

from halocline.connectors.salesforce import rest, soql
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.errors import RetryLater, Truncated
from halocline.schema import Column, Kind, Schema

EXTRA = ["F00__c", *(f"F{number:02}_{'x' * 120}__c" for number in range(1, 30))]
NAMES = ("Id", "SystemModstamp", *EXTRA)
SCHEMA = Schema(tuple(Column(name, Kind.STRING) for name in NAMES), ("Id",))
QUERY = rest.RestQuery("X__c", SCHEMA, "SystemModstamp", "(F00__c != 'no')", None, include_deleted=True, max_bytes=3_800)
BASE = "/services/data/v67.0"


class Org:
    """The part of a client that reading needs, over rows that `meanwhile` may change before each query."""

    def __init__(self, rows: int, meanwhile: Callable[[Org, int], None] = lambda org, number: None) -> None:
        self.rows = {f"{number:018}": self.row(f"{number:018}", "1") for number in range(rows)}
        self.meanwhile = meanwhile
        self.asked: list[str] = []
        self.transport = self
        self.base = BASE

    def row(self, key: str, state: str) -> dict[str, Any]:
        return {"Id": key, "SystemModstamp": state, **{name: f"{key}-{name}-{state}" for name in EXTRA}}

    def query_pages(self, text: str, *, include_deleted: bool) -> Iterator[list[dict[str, Any]]]:
        assert include_deleted
        assert soql.uri_bytes(text, base=BASE) <= QUERY.max_bytes
        self.meanwhile(self, len(self.asked))
        self.asked.append(text)
        names = text.removeprefix("SELECT ").partition(" FROM ")[0].split(", ")
        wanted = [row for key, row in self.rows.items() if "Id IN" not in text or f"'{key}'" in text]
        found = [{name: row[name] for name in names} for row in wanted if "!= 'no'" not in text or row["F00__c"] != "no"]
        yield from (found[begin : begin + 2000] for begin in range(0, max(len(found), 1), 2000))


def read(org: Org, query: rest.RestQuery = QUERY) -> list[dict[str, Any]]:
    client: Any = org
    rows: list[dict[str, Any]] = pa.Table.from_batches(rest.batches(client, query), schema=query.schema.arrow).to_pylist()
    return rows


def test_columns_are_split_so_that_each_query_fits() -> None:
    """Every column is in one group, key and stamp are in all, and no query is longer than allowed with a hundred ids."""
    names = ("Id", "SystemModstamp", *(f"Field_{number:03}__c" for number in range(400)))
    many = Schema(tuple(Column(name, Kind.STRING) for name in names))
    query = rest.RestQuery("X__c", many, "SystemModstamp", None, None, include_deleted=True, max_bytes=6_000)
    groups = rest.column_groups(query, base=BASE)
    assert len(groups) > 1
    assert all(group[:2] == ("Id", "SystemModstamp") for group in groups)
    assert [name for group in groups for name in group[2:]] == list(many.names[2:])
    ids = soql.any_of("Id", ["x" * 18] * rest.IDS_AT_ONCE)
    texts = [soql.select(group, "X__c", conditions=[ids]) for group in groups]
    assert all(soql.uri_bytes(text, base=BASE) <= 6_000 for text in texts)


def test_conditions_without_room_for_fields_are_asked_with_all_of_them() -> None:
    """A where clause as long as the address leaves nothing to be split: one query, which the client sends in a body."""
    query = rest.RestQuery("X__c", SCHEMA, None, "(" + "A = 1 OR " * 900 + "A = 2)", None, include_deleted=False)
    assert rest.column_groups(query, base=BASE) == [SCHEMA.names]


def test_a_narrow_query_is_sent_as_it_is() -> None:
    """What fits is one query, and comes page by page."""
    org = Org(3)
    client: Any = org
    query = rest.RestQuery("X__c", SCHEMA.select(NAMES[:4]), "SystemModstamp", None, None, include_deleted=True)
    assert sum(batch.num_rows for batch in rest.batches(client, query)) == 3
    assert org.asked == [f"{query.text} ORDER BY Id"]


def test_a_wide_row_has_all_its_columns() -> None:
    """Joined rows equal the org's, row by row and column by column, in the order of the first query."""
    org = Org(250)
    assert read(org) == list(org.rows.values())
    assert len(org.asked) > 3


def test_rows_that_move_between_queries_are_read_again() -> None:
    """A row that changes after its first columns were read comes whole in its later state, never half and half."""

    def meanwhile(org: Org, number: int) -> None:
        if number in (1, 3):
            org.rows["000000000000000001"] = org.row("000000000000000001", str(number + 1))

    org = Org(3, meanwhile)
    got = {row["Id"]: row for row in read(org)}
    assert got == org.rows


def test_rows_that_vanish_between_queries_are_left_out() -> None:
    """A row that is gone, or no longer meets the condition, before it was read whole is as if it had been so all along."""

    def meanwhile(org: Org, number: int) -> None:
        if number == 1:
            org.rows.pop("000000000000000001", None)
            org.rows["000000000000000002"] |= {"F00__c": "no", "SystemModstamp": "2"}

    org = Org(4, meanwhile)
    assert [row["Id"] for row in read(org)] == ["000000000000000000", "000000000000000003"]


def test_rows_that_never_rest_end_the_run() -> None:
    """Rather no rows than mixed ones: later it may work."""

    def meanwhile(org: Org, number: int) -> None:
        org.rows["000000000000000001"] = org.row("000000000000000001", str(number))

    with pytest.raises(RetryLater, match="1 row changed again and again"):
        read(Org(3, meanwhile))


def test_a_query_travels_as_json() -> None:
    """What a part carries to another process is the same query."""
    assert rest.RestQuery.from_json(QUERY.to_json()) == QUERY


def test_a_split_read_of_the_emulator_equals_the_whole_one() -> None:
    """With a small limit the same rows come as with a large one."""
    with emulated() as (emulator, client):
        from halocline.connectors.salesforce import describe
        from halocline.emulator.seed import seed

        seed(emulator.store, {"Account": 230})
        found = describe.read(client.describe("Account"))
        whole, split = (_table(client, found, max_bytes=size) for size in (soql.MAX_QUERY_BYTES, 4_300))
        assert whole.num_rows == 230
        assert split.equals(whole)


def test_a_wide_row_under_a_long_condition_is_read_by_key_as_well() -> None:
    """Keys, condition and columns do not fit in a URI together, in whatever pieces."""
    with emulated() as (emulator, client):
        from halocline.connectors.salesforce import describe
        from halocline.emulator.seed import seed

        seed(emulator.store, {"Account": 130})
        found = describe.read(client.describe("Account"))
        where = "(Name NOT IN ('" + "', '".join(f"{n:08}" for n in range(600)) + "'))"
        query = rest.RestQuery("Account", found.schema, found.cursor, where, None, include_deleted=True)
        whole = _table(client, found, max_bytes=soql.MAX_QUERY_BYTES)
        keys = whole.column("Id").to_pylist()
        rows = pa.Table.from_batches(rest.of_keys(client, query, key="Id", keys=keys)).combine_chunks().sort_by("Id")
        assert rows.equals(whole)
        assert {"composite.batch"} <= {call.kind for call in emulator.calls}


def _table(client: SalesforceClient, found: Any, *, max_bytes: int) -> pa.Table:
    query = rest.RestQuery("Account", found.schema, found.cursor, None, None, include_deleted=True, max_bytes=max_bytes)
    return pa.Table.from_batches(rest.batches(client, query)).combine_chunks().sort_by("Id")


class Losing(Org):
    """An org whose pages hold two rows, and whose cursor is lost after the pages named by `lose`, counted over all queries."""

    def __init__(self, rows: int, *, lose: tuple[int, ...] = (), how: Truncated | None = None) -> None:
        super().__init__(rows)
        self.lose, self.how, self.pages = lose, how or Truncated("Querying", "gone", code="INVALID_QUERY_LOCATOR"), 0

    def query_pages(self, text: str, *, include_deleted: bool) -> Iterator[list[dict[str, Any]]]:
        self.meanwhile(self, len(self.asked))
        self.asked.append(text)
        last = text.partition("Id > '")[2].partition("'")[0]
        found = [row for key, row in sorted(self.rows.items()) if key > last]
        for begin in range(0, max(len(found), 1), 2):
            if begin and self.pages in self.lose:
                raise self.how
            self.pages += 1
            yield found[begin : begin + 2]


NARROW = rest.RestQuery("X__c", SCHEMA.select(NAMES[:4]), "SystemModstamp", "(A = 1)", "B < 2", include_deleted=True)


@pytest.mark.parametrize("how", [None, Truncated("Querying", "no way on", way_lost=True)], ids=["cursor gone", "no link"])
def test_a_lost_cursor_costs_no_row_and_doubles_none(how: Truncated | None) -> None:
    """The read goes on behind the last Id, under the same conditions, as often as the way is lost."""
    org = Losing(9, lose=(1, 3, 4), how=how)
    assert [row["Id"] for row in read(org, NARROW)] == sorted(org.rows)
    assert (len(org.asked), org.pages) == (4, 5)
    assert org.asked[0].endswith("WHERE (A = 1) AND B < 2 ORDER BY Id")
    assert org.asked[1].endswith("WHERE (A = 1) AND B < 2 AND Id > '000000000000000001' ORDER BY Id")


def test_a_wide_read_goes_on_behind_its_last_row() -> None:
    """So it is where rows are joined from several queries."""
    org = Losing(5, lose=(1,))
    wide = replace(NARROW, schema=SCHEMA, max_bytes=3_800)

    def by_id(text: str, *, include_deleted: bool) -> Iterator[list[dict[str, Any]]]:
        yield from Org.query_pages(org, text, include_deleted=include_deleted)

    whole, org.query_pages = org.query_pages, lambda text, **k: by_id(text, **k) if "Id IN" in text else whole(text, **k)  # type: ignore[method-assign]
    assert [row["Id"] for row in read(org, wide)] == sorted(org.rows)


@pytest.mark.parametrize(
    ("ordered", "how"),
    [(False, Truncated("Querying", "gone", code="INVALID_QUERY_LOCATOR")), (True, Truncated("Querying", "4 of 9 records came"))],
    ids=["no order", "rows missing"],
)
def test_what_cannot_be_gone_on_with_is_told(ordered: bool, how: Truncated) -> None:
    """Without an order nobody knows what came; rows that are missing in the middle do not lie behind the last one."""
    org = Losing(9, lose=(2,), how=how)
    with pytest.raises(Truncated):
        read(org, replace(NARROW, ordered=ordered))
    assert len(org.asked) == 1


def test_a_read_that_does_not_move_ends() -> None:
    """A way that is lost again before a single row came is an error, not a circle."""
    org = Losing(9)
    org.query_pages = lambda text, **k: (_ for _ in ()).throw(org.how)  # type: ignore[method-assign]
    with pytest.raises(Truncated):
        read(org, NARROW)
