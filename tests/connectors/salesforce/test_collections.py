"""Many records by collections: a result for every row, in the order of the rows, and no row sent twice that must not be."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from tests.connectors.salesforce.writable import HastyPace, Org

from halocline.connectors.salesforce.collections import CALL_ROWS, ROW_RETRIES, Collections, Operation, Order
from halocline.connectors.salesforce.results import is_transient
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig, HaloclineError, NotFound, QuotaExhausted
from halocline.outcome import Fate, RowResult

INSERT = Order(Operation.INSERT, "Account")


def accounts(count: int, **more: object) -> list[dict[str, Any]]:
    return [{"Name": f"n{number}", "Ext__c": f"e{number}", **more} for number in range(count)]


def fates(results: list[RowResult]) -> dict[str, int]:
    return dict(Counter(one.fate.value for one in results))


def rows(results: list[RowResult]) -> list[int | None]:
    return [one.row for one in results]


def names(emulator: Emulator) -> list[object]:
    return [row["Name"] for row in emulator.query("SELECT Name FROM Account ORDER BY Name")]


# ---- what comes back


def test_two_hundred_go_in_a_call(org: Org) -> None:
    """450 rows are three calls; the results stand in the order of the rows, each with its record's id."""
    emulator, client = org
    results = client.create_many("Account", accounts(450))
    assert rows(results) == list(range(450))
    assert fates(results) == {"written": 450}
    assert emulator.calls.count("collections.create") == 3
    found = {row["Id"]: row["Name"] for row in emulator.query("SELECT Id, Name FROM Account")}
    assert [found[one.id] for one in results] == [f"n{number}" for number in range(450)]
    assert {one.created for one in results} == {True}


def test_records_live_by_the_many(org: Org) -> None:
    """Upsert tells created from changed; update and delete find their records by id."""
    emulator, client = org
    first = client.upsert_many("Account", accounts(3), external_id_field="Ext__c")
    again = client.upsert_many("Account", accounts(4, Phone="1"), external_id_field="Ext__c")
    assert [one.created for one in first] == [True] * 3
    assert [one.created for one in again] == [False, False, False, True]
    ids = [one.id for one in again]
    changed = client.update_many("Account", [{"Id": one, "Phone": None} for one in ids])
    assert [one.id for one in changed] == ids
    assert emulator.query("SELECT Phone FROM Account") == [{"Phone": None}] * 4
    gone = client.delete_many("Account", [str(ids[0]), {"id": ids[1]}])
    assert [one.success for one in gone] == [True, True]
    assert names(emulator) == ["n2", "n3"]


def test_a_refused_row_keeps_its_number_and_its_reason(org: Org) -> None:
    """One bad row of each kind: each is refused in Salesforce's words, the others are written."""
    emulator, client = org
    given = accounts(300)
    given[5] = {"Phone": "1"}
    given[17]["Name"] = "n" * 300
    given[150]["Ext__c"] = "e1"
    results = client.create_many("Account", given)
    bad = [(one.row, one.code, one.fields) for one in results if not one.success]
    assert [(row, code) for row, code, _ in bad] == [
        (5, "REQUIRED_FIELD_MISSING"),
        (17, "STRING_TOO_LONG"),
        (150, "DUPLICATE_VALUE"),
    ]
    assert bad[0][2] == ("Name",)
    assert len(names(emulator)) == 297


def test_a_row_that_spoils_its_call_is_found(org: Org) -> None:
    """An unreadable value refuses the whole call; the call is halved until that row stands alone, and the rest is written."""
    emulator, client = org
    given = accounts(200)
    given[3]["Founded__c"] = "21.11.2026"
    given[150]["Share__c"] = "many"
    results = client.create_many("Account", given)
    assert [(one.row, one.code) for one in results if not one.success] == [(3, "JSON_PARSER_ERROR"), (150, "JSON_PARSER_ERROR")]
    assert rows(results) == list(range(200))
    assert len(names(emulator)) == 198


def test_an_unknown_field_refuses_the_rows_that_have_it_at_once(org: Org) -> None:
    """However many rows name it, no call is made for each of them."""
    emulator, client = org
    given = accounts(200)
    for row in given[::2]:
        row["Nope__c"] = 1
    results = client.create_many("Account", given)
    assert [one.row for one in results if one.success] == list(range(1, 200, 2))
    assert {one.code for one in results if not one.success} == {"INVALID_FIELD"}
    assert emulator.calls.count("collections.create") == 2


@pytest.mark.parametrize("empty", [None, ""])
def test_a_row_without_its_key_is_not_sent(org: Org, empty: str | None) -> None:
    """It is a result like the others, with our own code; a row that cannot be spelled likewise."""
    _, client = org
    given = [{"Ext__c": "a", "Name": "a"}, {"Ext__c": empty, "Name": "b"}, {"Name": "c"}, {"Ext__c": "d", "Name": float("nan")}]
    results = client.upsert_many("Account", given, external_id_field="Ext__c")
    assert [(one.fate, one.code) for one in results] == [
        (Fate.WRITTEN, ""),
        (Fate.NOT_SENT, "MISSING_KEY"),
        (Fate.NOT_SENT, "MISSING_KEY"),
        (Fate.NOT_SENT, "CANNOT_BE_SENT"),
    ]


def test_what_is_no_id_is_not_sent(org: Org) -> None:
    """Ids travel in one list; one that holds another's comma never gets there."""
    _, client = org
    made = client.create("Account", {"Name": "a"})
    results = client.delete_many("Account", [f"{made},{made}", "", made, made[:15]])
    assert [one.code for one in results] == ["CANNOT_BE_SENT", "MISSING_KEY", "", "ENTITY_IS_DELETED"]


def test_a_table_is_rows_and_a_file_is_not(org: Org) -> None:
    """An Arrow table is written row by row; a file's name is not taken apart into letters."""
    emulator, client = org
    assert fates(client.create_many("Account", pa.Table.from_pylist(accounts(3)))) == {"written": 3}
    for wrong in ("rows.csv", {"Name": "a"}):
        with pytest.raises(FixConfig, match="no list of records"):
            client.create_many("Account", wrong)  # type: ignore[arg-type]  # that it is wrong is the point
    assert names(emulator) == ["n0", "n1", "n2"]


def test_nothing_is_no_call(org: Org) -> None:
    """No rows, no request."""
    emulator, client = org
    emulator.calls.clear()
    assert client.create_many("Account", []) == []
    assert len(emulator.calls) == 0


def test_a_lookup_by_another_objects_key_is_one_row(org: Org) -> None:
    """The parent is found by its external id; one that does not exist refuses that row only."""
    emulator, client = org
    client.create_many("Account", accounts(1))
    given = [{"LastName": "a", "Account.Ext__c": "e0"}, {"LastName": "b", "Account": {"Ext__c": "nobody"}}]
    results = client.create_many("Contact", given)
    assert [one.success for one in results] == [True, False]
    assert emulator.query("SELECT Account.Ext__c FROM Contact") == [{"Account": {"Ext__c": "e0"}}]


# ---- when things go wrong


def test_locked_rows_are_tried_again_alone(org: Org) -> None:
    """Only the rows that were locked are sent again, after a wait; in the end each row is written once."""
    emulator, client = org
    emulator.faults.add("lock", kind="collections.create", rows=3)
    pace = HastyPace()
    results = Collections(client.transport, pace=pace.pace).write_all(INSERT, accounts(10))
    assert fates(results) == {"written": 10}
    assert len(names(emulator)) == 10
    assert emulator.calls.count("collections.create") == 2
    assert len(pace.slept) == 1


def test_a_row_that_stays_locked_is_refused(org: Org) -> None:
    """Patience ends after so many tries; the row says that it is locked, and that it may be sent again."""
    emulator, client = org
    made = client.create("Account", {"Name": "a"})
    emulator.locks.lock(made)
    results = client.update_many("Account", [{"Id": made, "Phone": "1"}])
    assert (results[0].fate, results[0].code, is_transient(results[0])) == (Fate.REFUSED, "UNABLE_TO_LOCK_ROW", True)
    assert emulator.calls.count("collections.update") == ROW_RETRIES.attempts


@pytest.mark.parametrize("action", ["cut", "unavailable", "server_error"])
def test_an_insert_whose_answer_is_lost_is_in_doubt(org: Org, action: str) -> None:
    """Just the rows of that call are in doubt, and none of them is sent again: the org holds each row once at most."""
    emulator, client = org
    emulator.faults.add(action, kind="collections.create", where="after", nth=2)
    results = client.collections(width=1).write_all(INSERT, accounts(600))
    assert [one.row for one in results if one.fate is Fate.IN_DOUBT] == list(range(200, 400))
    assert fates(results) == {"written": 400, "in_doubt": 200}
    assert len(set(names(emulator))) == len(names(emulator)) == 600


@pytest.mark.parametrize("body", ["<html>no</html>", "[]", '{"a": 1}'])
def test_an_answer_that_tells_nothing_is_a_lost_one(org: Org, body: str) -> None:
    """Whatever came instead of results: the rows may be written, and are in doubt."""
    emulator, client = org
    emulator.faults.add("answer", kind="collections.create", where="after", status=200, body=body)
    assert fates(client.create_many("Account", accounts(3))) == {"in_doubt": 3}


@pytest.mark.parametrize("action", ["cut", "unavailable"])
def test_what_may_be_repeated_is(org: Org, action: str) -> None:
    """Upsert, update and delete are sent again after a lost answer; whether an upsert created a record is then not known."""
    emulator, client = org
    emulator.faults.add(action, kind="collections.upsert", where="after")
    made = client.upsert_many("Account", accounts(5), external_id_field="Ext__c")
    assert [(one.success, one.created) for one in made] == [(True, None)] * 5
    emulator.faults.add(action, kind="collections.update", where="after")
    assert fates(client.update_many("Account", [{"Id": one.id, "Phone": "1"} for one in made])) == {"written": 5}
    emulator.faults.add(action, kind="collections.delete", where="after")
    assert fates(client.delete_many("Account", [str(one.id) for one in made])) == {"written": 5}
    assert names(emulator) == []


@pytest.mark.parametrize("action", ["cut", "unavailable"])
def test_a_row_that_spoils_its_call_is_found_after_a_lost_answer_as_well(org: Org, action: str) -> None:
    """A call that cannot be read was not carried out the first time either: no row of it is in doubt."""
    emulator, client = org
    emulator.faults.add(action, kind="collections.upsert", where="after")
    given = accounts(20)
    given[3]["Founded__c"] = "21.11.2026"
    results = client.upsert_many("Account", given, external_id_field="Ext__c")
    assert [(one.row, one.fate, one.code) for one in results if not one.success] == [(3, Fate.REFUSED, "JSON_PARSER_ERROR")]
    assert len(names(emulator)) == 19


def test_a_session_that_ends_on_the_way_is_renewed(org: Org) -> None:
    """No row is lost or doubled by a login in the middle."""
    emulator, client = org
    emulator.faults.add("expire_session", kind="collections.create", nth=2)
    assert fates(client.create_many("Account", accounts(600))) == {"written": 600}
    assert len(names(emulator)) == 600


def test_a_call_refused_as_a_whole_takes_the_results_along(org: Org) -> None:
    """The error holds the results of the other calls, and the rows of its own call as not sent."""
    emulator, client = org
    emulator.faults.add("request_limit", kind="collections.create", nth=2, times=20)
    with pytest.raises(QuotaExhausted) as told:
        client.collections(width=1).write_all(INSERT, accounts(600))
    results = told.value.facts["results"]
    assert isinstance(results, list)
    assert rows(results) == list(range(400))
    assert fates(results) == {"written": 200, "not_sent": 200}
    assert len(names(emulator)) == 200


def test_a_divided_call_that_fails_lists_all_its_rows(org: Org) -> None:
    """The part that was written is told, the row that spoilt it, and the part that could not be sent any more."""
    emulator, client = org
    given = accounts(8)
    given[6]["Founded__c"] = "21.11.2026"
    emulator.faults.add("request_limit", kind="collections.create", nth=3, times=20)
    with pytest.raises(QuotaExhausted) as told:
        client.create_many("Account", given)
    results = told.value.facts["results"]
    assert isinstance(results, list)
    assert rows(results) == list(range(8))
    assert fates(results) == {"refused": 1, "not_sent": 7}
    assert names(emulator) == []


def test_an_unknown_object_is_an_error_of_the_whole(org: Org) -> None:
    """Nothing was written, and no row is to blame."""
    with pytest.raises(HaloclineError) as told:
        org[1].create_many("Nope__c", accounts(2))
    assert isinstance(told.value, NotFound)


def test_rows_whose_source_fails_are_accounted_for_first(org: Org) -> None:
    """The results of what was sent are handed out before the source's own error is raised."""
    emulator, client = org

    def broken() -> Iterator[dict[str, Any]]:
        yield from accounts(400)
        raise OSError("the source broke")

    calls, seen = client.collections().write(INSERT, broken()), list[RowResult]()
    with pytest.raises(OSError, match="the source broke"):
        deque(map(seen.extend, calls), maxlen=0)
    assert fates(seen) == {"written": 400}
    assert len(names(emulator)) == 400


def test_one_call_at_a_time_can_be_stopped(org: Org) -> None:
    """With a width of one nothing is sent ahead of the results: who stops taking them stops the sending."""
    emulator, client = org
    calls = client.collections(width=1, rows_per_call=50).write(INSERT, accounts(500))
    assert rows(next(calls)) == list(range(50))
    calls.close()  # type: ignore[attr-defined]  # a generator, told as an iterator
    assert len(names(emulator)) == 50


@pytest.mark.parametrize(("width", "rows_per_call"), [(0, 200), (1, 0), (1, CALL_ROWS + 1)])
def test_sizes_have_limits(org: Org, width: int, rows_per_call: int) -> None:
    """What Salesforce would refuse is refused before a call is made."""
    with pytest.raises(FixConfig):
        org[1].collections(width=width, rows_per_call=rows_per_call)
