"""The admin door: what a test does to the org without being a client of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import pytest
from tests.emulator.conftest import connect, error

from halocline.emulator.server import Emulator


@pytest.fixture
def admin(emulator: Emulator) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{emulator.url}/__emulator__") as client:
        yield client


def count(client: httpx2.Client, sobject: str = "Account") -> int:
    size = client.get("/query", params={"q": f"SELECT COUNT() FROM {sobject}"}).json()["totalSize"]
    assert isinstance(size, int)
    return size


def test_calls_are_listed_and_forgotten(admin: httpx2.Client, emulator: Emulator) -> None:
    """With their kinds; the admin door's own calls are not among them."""
    with connect(emulator) as client:
        client.get("/limits")
        client.get("/query", params={"q": "SELECT Id FROM Account"})
    calls = admin.get("/calls").json()["calls"]
    assert [call["kind"] for call in calls] == ["token", "limits", "query"]
    assert [call["path"] for call in admin.get("/calls", params={"kind": "limits"}).json()["calls"]] == [calls[1]["path"]]
    assert admin.delete("/calls").status_code == 204
    assert admin.get("/calls").json() == {"calls": []}


def test_the_clock_is_moved(admin: httpx2.Client, client: httpx2.Client) -> None:
    """Frozen, then advanced; new records carry its time. A moment without a zone is refused."""
    assert admin.post("/clock", json={"freeze": "2026-01-02T03:04:05Z", "advance_s": 60}).json() == {
        "now": "2026-01-02T03:05:05+00:00"
    }
    record_id = client.post("/sobjects/Account", json={"Name": "x"}).json()["id"]
    assert client.get(f"/sobjects/Account/{record_id}").json()["SystemModstamp"] == "2026-01-02T03:05:05.000+0000"
    assert error(admin.post("/clock", json={"freeze": "2026-01-02T03:04:05"})) == (400, "EMULATOR_ADMIN")
    assert error(admin.post("/clock", json={"advance_s": "soon"})) == (400, "EMULATOR_ADMIN")
    assert not admin.post("/clock", json={"freeze": None}).json()["now"].startswith("2026-01-02T03")


def test_records_are_seeded(admin: httpx2.Client, client: httpx2.Client) -> None:
    """As many as ordered; an unknown object is refused."""
    answer = admin.post("/seed", json={"counts": {"Account": 30}, "number": 7}, timeout=60).json()
    assert answer["counts"]["Account"] == count(client) == 30
    assert admin.post("/seed", json={"counts": {"Nothing__c": 1}}).status_code == 400


def test_a_transaction_hides_its_writes_until_the_commit(admin: httpx2.Client, client: httpx2.Client) -> None:
    """Made by clients with a header, visible together and late, with the stamp of when they were made."""
    admin.post("/clock", json={"freeze": "2026-01-02T03:00:00Z"})
    transaction = admin.post("/transactions").json()["id"]
    answer = client.post("/sobjects/Account", json={"Name": "late"}, headers={"X-Emulator-Transaction": transaction})
    admin.post("/clock", json={"advance_s": 3600})
    assert (answer.status_code, count(client)) == (201, 0)
    assert admin.post(f"/transactions/{transaction}/commit").status_code == 204
    assert client.get(f"/sobjects/Account/{answer.json()['id']}").json()["SystemModstamp"] == "2026-01-02T03:00:00.000+0000"
    assert error(admin.post(f"/transactions/{transaction}/commit")) == (400, "EMULATOR_ADMIN")


def test_a_rolled_back_transaction_leaves_nothing(admin: httpx2.Client, client: httpx2.Client) -> None:
    """Its writes never were."""
    transaction = admin.post("/transactions").json()["id"]
    client.post("/sobjects/Account", json={"Name": "x"}, headers={"X-Emulator-Transaction": transaction})
    assert admin.post(f"/transactions/{transaction}/rollback").status_code == 204
    assert count(client) == 0


def test_all_sessions_expire_at_once(admin: httpx2.Client, client: httpx2.Client) -> None:
    """The next request of every client is refused."""
    assert admin.delete("/sessions").json() == {"expired": 1}
    assert error(client.get("/limits")) == (401, "INVALID_SESSION_ID")


def test_faults_come_and_go(admin: httpx2.Client, client: httpx2.Client) -> None:
    """The rules of Python's side, as JSON."""
    rule = admin.post("/faults", json={"action": "answer", "path": "/limits", "status": 503, "times": 0}).json()["id"]
    assert [client.get("/limits").status_code for _ in range(2)] == [503, 503]
    assert [fault["id"] for fault in admin.get("/faults").json()["faults"]] == [rule]
    admin.delete(f"/faults/{rule}")
    assert client.get("/limits").status_code == 200
    admin.post("/faults", json={"action": "answer", "path": "/limits"})
    admin.delete("/faults")
    assert client.get("/limits").status_code == 200
    assert error(admin.post("/faults", json={"action": "explode"})) == (400, "EMULATOR_ADMIN")


def test_a_hidden_field_does_not_exist_for_the_client(
    admin: httpx2.Client, client: httpx2.Client, add: Callable[..., str]
) -> None:
    """Not in describe, not in queries, not in writes; its values stay and come back with the right to see them."""
    record_id = add("Account", Name="x", Phone="1")
    assert admin.post("/permissions", json={"hide": ["Account.Phone"]}).json() == {"hidden": ["account.phone"]}
    assert "Phone" not in [field["name"] for field in client.get("/sobjects/Account/describe").json()["fields"]]
    assert error(client.get("/query", params={"q": "SELECT Phone FROM Account"})) == (400, "INVALID_FIELD")
    job = {"operation": "query", "query": "SELECT Phone FROM Account"}
    assert error(client.post("/jobs/query", json=job)) == (400, "INVALID_FIELD")
    assert error(client.patch(f"/sobjects/Account/{record_id}", json={"Phone": "2"})) == (400, "INVALID_FIELD")
    assert "Phone" not in client.get(f"/sobjects/Account/{record_id}").json()
    assert client.patch(f"/sobjects/Account/{record_id}", json={"Name": "y"}).status_code == 204
    admin.delete("/permissions")
    assert client.get(f"/sobjects/Account/{record_id}").json()["Phone"] == "1"


def test_a_hidden_object_does_not_exist_for_the_client(admin: httpx2.Client, client: httpx2.Client) -> None:
    """SOQL does not know its type, REST not its resource."""
    admin.post("/permissions", json={"hide": ["Lead"]})
    assert error(client.get("/query", params={"q": "SELECT Id FROM Lead"})) == (400, "INVALID_TYPE")
    assert error(client.get("/sobjects/Lead/describe")) == (404, "NOT_FOUND")
    assert "Lead" not in [entry["name"] for entry in client.get("/sobjects").json()["sobjects"]]


def test_a_record_comes_out_of_the_bin_or_vanishes(admin: httpx2.Client, client: httpx2.Client, add: Callable[..., str]) -> None:
    """Neither is possible over REST."""
    record_id = add("Account", Name="x")
    client.delete(f"/sobjects/Account/{record_id}")
    assert admin.post(f"/records/Account/{record_id}/undelete").status_code == 204
    assert client.get(f"/sobjects/Account/{record_id}").status_code == 200
    assert admin.post(f"/records/Account/{record_id}/purge").status_code == 204
    assert error(client.get(f"/sobjects/Account/{record_id}")) == (404, "NOT_FOUND")
    assert error(admin.post(f"/records/Account/{record_id}/undelete")) == (400, "EMULATOR_ADMIN")


def test_limits_are_seen_and_set_without_being_used(admin: httpx2.Client, client: httpx2.Client) -> None:
    """A day can be nearly over, and begin anew."""
    client.get("/limits")
    assert admin.post("/limits", json={"DailyApiRequests": 1}).json()["DailyApiRequests"] == {"Max": 1, "Remaining": 0}
    assert client.get("/limits").status_code == 403
    assert admin.delete("/limits").status_code == 204
    assert client.get("/limits").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/permissions", {"hide": ["Lead", "Acount"]}, "did you mean Account"),
        ("/permissions", {"hide": ["Lead", "Account.Ratting"]}, "field of Account 'Ratting' is unknown; did you mean Rating"),
        ("/permissions", {"hide": ["Lead", "Account."]}, "field of Account '' is unknown"),
        ("/permissions", {"hide": "Lead"}, "list of names"),
        ("/permissions", {"hide": ["Lead", 3]}, "list of names"),
        ("/permissions", {"hid": ["Lead"]}, "has no setting 'hid'; it has hide"),
        ("/seed", {"Account": 3}, "has no setting 'Account'; it has counts, number, years"),
        ("/seed", {"counts": {"Account": 3}, "number": 1.5}, "1.5 is no whole number"),
        ("/clock", {"foo": 1}, "it has freeze, advance_s"),
        ("/limits", {"MassEmail": 1, "DailyApiRequets": 5}, "did you mean DailyApiRequests"),
        ("/limits", {"MassEmail": 1, "DailyApiRequests": -1}, "DailyApiRequests is 0 or more, not -1"),
        ("/locks", {"id": "001000000000001AAA", "second": 5}, "it has id, seconds"),
        ("/jobs/doom", {"stat": "Aborted"}, "it has state, message, job, after_batches"),
        ("/batches/doom", {"stat": "Aborted"}, "it has state, message"),
    ],
)
def test_what_is_misspelt_is_refused_and_nothing_is_done(
    admin: httpx2.Client, client: httpx2.Client, path: str, body: dict[str, object], told: str
) -> None:
    """A test would pass for nothing otherwise."""
    before = admin.get("/limits").json()
    answer = admin.post(path, json=body)
    assert error(answer) == (400, "EMULATOR_ADMIN")
    assert told in answer.json()[0]["message"]
    assert (admin.get("/limits").json(), admin.get("/locks").json()) == (before, {"locks": {}})
    assert (admin.get("/permissions").json(), count(client)) == ({"hidden": []}, 0)


def test_a_kind_of_call_that_there_is_not_is_not_counted_as_none(admin: httpx2.Client, emulator: Emulator) -> None:
    """A test that no call of a kind came would pass for nothing."""
    with pytest.raises(ValueError, match="did you mean describe"):
        emulator.calls.count("descibe")
    assert error(admin.get("/calls", params={"kind": "qery"})) == (400, "EMULATOR_ADMIN")


def test_calls_of_several_kinds_are_found_by_a_pattern(admin: httpx2.Client, emulator: Emulator) -> None:
    """As rules of faults choose them."""
    with connect(emulator) as client:
        client.get("/sobjects/Account/describe")
        client.get("/sobjects")
        client.get("/limits")
    assert [call.kind for call in emulator.calls.of("describe*", "limits")] == ["describe", "describe.global", "limits"]
    assert len(admin.get("/calls", params={"kind": "describe*"}).json()["calls"]) == emulator.calls.count("describe*") == 2


def test_python_hides_and_shows_names_of_the_org_only(emulator: Emulator) -> None:
    """One name alone would be taken letter by letter."""
    org = emulator.org
    for names, told in (("Account.Rating", r"list of names is wanted, such as \['Account.Rating'\]"), (["Acount"], "Account")):
        for change in (org.hide, org.show):
            with pytest.raises(ValueError, match=told):
                change(names)
    org.hide(["account.RATING", "Lead"])
    org.show(["lead"])
    assert org.hidden == {"account.rating"}


def test_unknown_admin_resources_are_refused(admin: httpx2.Client) -> None:
    """404 and 405, as elsewhere."""
    assert admin.get("/nothing").status_code == 404
    assert admin.delete("/seed").status_code == 405
