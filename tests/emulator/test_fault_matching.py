"""Which requests a rule strikes, how it is written down, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.conftest import VERSION, connect, error
from tests.emulator.test_faults import struck

from halocline.emulator.calls import KINDS
from halocline.emulator.faults import Faults
from halocline.emulator.faults.actions import ACTIONS, OTHER_NAMES
from halocline.emulator.faults.grammar import parse, parse_text
from halocline.emulator.server import Emulator
from halocline.emulator.soap.service import OPERATIONS as SOAP

ACCOUNT = {"attributes": {"type": "Account"}, "Name": "x"}
JSON = "application/json"


def strikes(count: int, **settings: object) -> list[int]:
    """Which of so many requests a rule strikes, counted from 1."""
    faults = Faults()
    faults.add("server_error", **settings)
    return [number for number in range(1, count + 1) if struck(faults, "GET", "/")]


def test_every_so_and_so_many_requests() -> None:
    """From the nth on, without end or so many times."""
    assert strikes(10, every=3) == [1, 4, 7, 10]
    assert strikes(10, every=3, nth=2) == [2, 5, 8]
    assert strikes(10, every=3, times=2) == [1, 4]


@given(seed=st.integers(0, 1_000), percent=st.integers(1, 100))
def test_dice_fall_the_same_for_the_same_seed(seed: int, percent: int) -> None:
    """A test that failed once fails again; about so many are struck."""
    chosen = strikes(200, probability=percent / 100, seed=seed)
    assert chosen == strikes(200, probability=percent / 100, seed=seed)
    assert abs(len(chosen) - 2 * percent) < 50
    assert strikes(200, probability=percent / 100, seed=seed, times=3) == chosen[:3]


ASKED: Mapping[str, tuple[str, str, dict[str, object]]] = {
    "record": ("POST", "/sobjects/Account", {"json": {"Name": "x"}}),
    "tree": ("POST", "/composite/tree/Account", {"json": {"records": []}}),
    "collection": ("POST", "/composite/sobjects", {"json": {"records": [ACCOUNT]}}),
    "batch": ("POST", "/composite/batch", {"json": {"batchRequests": [{"method": "GET", "url": "v66.0/sobjects/Account/001"}]}}),
    "query": ("GET", "/query?q=select+Id+from+ACCOUNT", {}),
    "ingest": ("POST", "/jobs/ingest", {"json": {"operation": "insert", "object": "Account"}}),
    "bulk": ("POST", "/jobs/query", {"json": {"operation": "query", "query": "SELECT Id FROM Account"}}),
}


@pytest.mark.parametrize("asked", list(ASKED))
def test_a_rule_can_name_the_object_that_a_request_is_about(emulator: Emulator, client: httpx2.Client, asked: str) -> None:
    """Wherever the request names it: in its path, its query, its records, its job."""
    method, path, body = ASKED[asked]
    emulator.faults.add("server_error", object="Contact", times=0)
    emulator.faults.add("server_error", object="account", times=0)
    assert error(client.request(method, path, **body)) == (500, "UNKNOWN_EXCEPTION")  # type: ignore[arg-type]
    assert [emulator.faults.counters(rule.id)["struck"] for rule in emulator.faults] == [0, 1]


OPERATIONS = {
    "insert": ("POST", "/sobjects/Account"),
    "update": ("PATCH", "/sobjects/Account/001000000000001AAA"),
    "upsert": ("PATCH", "/sobjects/Account/Ext__c/7"),
    "delete": ("DELETE", "/composite/sobjects?ids=001000000000001AAA"),
    "query": ("GET", "/query?q=SELECT+Id+FROM+Account"),
    "queryAll": ("GET", "/queryAll?q=SELECT+Id+FROM+Account"),
}


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_a_rule_can_name_the_operation(emulator: Emulator, client: httpx2.Client, operation: str) -> None:
    """That of no other request."""
    emulator.faults.add("unavailable", operation=operation, times=0)
    statuses = {name: client.request(method, path).status_code for name, (method, path) in OPERATIONS.items()}
    assert [name for name, status in statuses.items() if status == 503] == [operation]


def test_a_rule_can_name_the_kind_of_call(emulator: Emulator, client: httpx2.Client) -> None:
    """As the call log does, with a star for several."""
    emulator.faults.add("unavailable", kind="describe*", times=0)
    paths = ("/sobjects", "/sobjects/Account/describe", "/limits")
    assert [client.get(path).status_code for path in paths] == [503, 503, 200]


def test_a_job_s_later_calls_are_about_its_object(emulator: Emulator, client: httpx2.Client) -> None:
    """Its id says which that is."""
    wanted = {"operation": "query", "query": "SELECT Id FROM Account"}
    job_id = client.post("/jobs/query", json=wanted).json()["id"]
    emulator.faults.add("unavailable", object="Account", operation="query", kind="bulk.*", times=0)
    assert client.get(f"/jobs/query/{job_id}").status_code == 503
    assert client.get("/jobs/query/750000000000001AAA").status_code == 404


def test_the_call_log_names_what_struck_a_call(emulator: Emulator, client: httpx2.Client) -> None:
    """And the counters of a rule say how often it had the chance."""
    first = emulator.faults.add("delay", path="/limits", seconds=0.001, nth=2)
    second = emulator.faults.add("unavailable", path="/limits", nth=2)
    assert [client.get("/limits").status_code for _ in range(3)] == [200, 503, 200]
    assert [call.fault for call in emulator.calls.of("limits")] == ["", f"{first}:delay {second}:unavailable", ""]
    (told, _) = httpx2.get(f"{emulator.url}/__emulator__/faults").json()["faults"]
    assert (told["action"], told["seen"], told["struck"]) == ("delay", 3, 1)
    calls = httpx2.get(f"{emulator.url}/__emulator__/calls?kind=limits").json()["calls"]
    assert calls[1]["fault"].endswith("unavailable")


def test_a_rule_counts_only_what_it_could_strike(emulator: Emulator, client: httpx2.Client) -> None:
    """A page is no count of records, a write no query: the nth is the nth of its own kind."""
    emulator.faults.add("lock", times=0)
    emulator.faults.add("truncate_page", times=0)
    client.get("/query", params={"q": "SELECT COUNT() FROM Account"})
    client.get("/limits")
    assert [emulator.faults.counters(rule.id)["seen"] for rule in emulator.faults] == [0, 0]


@pytest.mark.parametrize(
    ("text", "action", "settings"),
    [
        ("lock: path=/sobjects/Account nth=3", "lock", {"path": "/sobjects/Account", "nth": "3"}),
        ("unavailable", "unavailable", {}),
        ("answer: body='{\"a\": 1}' status=200", "answer", {"body": '{"a": 1}', "status": "200"}),
        ('{"action": "delay", "seconds": 2}', "delay", {"seconds": 2}),
    ],
)
def test_rules_are_written_as_text(text: str, action: str, settings: dict[str, object]) -> None:
    """Numbers become numbers when the rule is made."""
    assert parse_text(text) == (action, settings)
    assert parse(action, settings).action == action


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("explode", "known are answer, concurrent_limit, corrupt_gzip"),
        ("lock: volume=3", "it has path, method, kind"),
        ("lock: where=after", "no setting where"),
        ("delay: where=during", "before or after"),
        ("delay: seconds=soon", "a number is wanted"),
        ("delay: seconds=-1", "from 0 on"),
        ("lock: nth=0", "from 1 on"),
        ("lock: rows=1.5", "whole number"),
        ("lock: probability=2", "at most 1"),
        ("lock: path=(", "regular expression"),
        ("lock: nth", "key=value"),
        (": nth=1", "key=value"),
        ("drop_header", "wants a header"),
        ('{"action": "delay", "seconds": [2]}', "a number"),
        ('{"action": "delay", "path": 2}', "a text"),
        ('{"action": "answer", "headers": [2]}', "names with values"),
        ("{}", "unknown action"),
        ("{", "Expecting property name"),
        ("lock: kind=qery", "kind of call 'qery' is unknown; did you mean query"),
        ("lock: kind=records.*", "kind of call 'records.*' is unknown; did you mean record"),
        ("lock: kind=", "there are query, queryAll"),
        ("lock: kind=soap.qery", "did you mean soap.query"),
        ("lock: operation=inser", "did you mean insert"),
        ("lock: operation=read", "there are insert, update"),
        ("lock: method=GTE", "did you mean GET"),
        ("answer: status=99", "a status from 200 to 599 is wanted, not 99"),
        ("answer: status=700", "a status from 200 to 599 is wanted, not 700"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_what_there_is(text: str, told: str) -> None:
    """At once, not when it should strike."""
    with pytest.raises(ValueError, match=told):
        Faults().add_text(text)


@pytest.mark.parametrize("kind", ["*", "soap.*", "soap.describeGlobal", "record.*", "query*", "token", "[qr]*"])
def test_whatever_kind_a_call_can_have_is_taken(kind: str) -> None:
    """A pattern has to fit one; a client may ask SOAP for what the emulator does not serve."""
    assert parse("delay", {"kind": kind, "operation": "HARDDELETE", "method": "head"}).kind == kind


def test_every_operation_of_soap_is_a_kind() -> None:
    """The list of the kinds leaves none out."""
    assert {f"soap.{name}" for name in SOAP} == {kind for kind in KINDS if kind.startswith("soap.")}


@pytest.mark.parametrize(
    ("name", "told"),
    [("Acount", "did you mean Account"), ("Nothing__c", "unknown"), ("EntityDefintion", "unknown"), ("", "unknown")],
)
def test_a_rule_for_an_object_that_the_org_lacks_is_refused(emulator: Emulator, name: str, told: str) -> None:
    """No request could be about it. One that is hidden is there, and the objects of the Tooling API are."""
    with pytest.raises(ValueError, match=told):
        emulator.faults.add("lock", object=name)
    assert list(emulator.faults) == []
    emulator.org.hide(["Account"])
    assert emulator.faults.add("lock", object="account")
    assert emulator.faults.add("server_error", object="EntityDefinition")


def test_the_admin_door_takes_rules_as_text(emulator: Emulator, client: httpx2.Client) -> None:
    """And refuses what makes no sense."""
    door = f"{emulator.url}/__emulator__/faults"
    assert httpx2.post(door, json={"rule": "unavailable: path=/limits times=0"}).status_code == 201
    assert client.get("/limits").status_code == 503
    assert error(httpx2.post(door, json={"rule": "unavailable: loud=yes"})) == (400, "EMULATOR_ADMIN")
    assert error(httpx2.post(door, json={})) == (400, "EMULATOR_ADMIN")
    assert error(httpx2.post(door, json={"action": "lock", "object": "Acount"})) == (400, "EMULATOR_ADMIN")
    assert error(httpx2.post(door, json={"rule": "unavailable", "path": "/limits"})) == (400, "EMULATOR_ADMIN")


def test_every_action_says_what_it_does() -> None:
    """Other names are names of actions in the table."""
    assert all(action.effect for action in ACTIONS.values())
    assert {name for name, _ in OTHER_NAMES.values()} <= ACTIONS.keys()
    assert not OTHER_NAMES.keys() & ACTIONS.keys()


@pytest.mark.parametrize("action", list(ACTIONS))
def test_every_action_is_shown_on_a_client(action: str) -> None:
    """The tests of the effects put a rule of each in force."""
    effects = [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("test_faults.py", "test_fault_actions.py")]
    assert any(f'"{action}"' in text for text in effects)


def test_versions_outside_the_range_served_are_retired_or_unknown(run_emulator: Callable[..., Emulator]) -> None:
    """At every door that has versions, and the list of versions says the same."""
    emulator = run_emulator(oldest_version=60, newest_version=66)
    with connect(emulator) as client:
        root = emulator.url + VERSION.rpartition("/")[0]
        assert [client.get(f"{root}/v{n}.0/limits").status_code for n in (59, 60, 66, 67)] == [410, 200, 200, 404]
        assert [one["version"] for one in client.get(root).json()][::6] == ["60.0", "66.0"]
        assert client.get(f"{emulator.url}/services/async/59.0/job/1").text.count("InvalidVersion") == 1
    with pytest.raises(ValueError, match="not older"):
        run_emulator(oldest_version=60, newest_version=59)


def test_the_last_page_may_lack_its_locator(run_emulator: Callable[..., Emulator]) -> None:
    """Instead of the literal null."""
    emulator = run_emulator(bulk_locator="missing", page_rows=1)
    with connect(emulator) as client:
        job_id = client.post("/jobs/query", json={"operation": "query", "query": "SELECT Id FROM User LIMIT 2"}).json()["id"]
        emulator.org.jobs.settle(job_id)
        first = client.get(f"/jobs/query/{job_id}/results")
        last = client.get(f"/jobs/query/{job_id}/results", params={"maxRecords": 100})
    assert "sforce-locator" not in last.headers
    assert ("sforce-locator" in first.headers) == (
        first.headers["sforce-numberofrecords"] != last.headers["sforce-numberofrecords"]
    )
    with pytest.raises(ValueError, match="null or missing"):
        run_emulator(bulk_locator="gone")
