"""Requests inside a request: composite, batch and graph."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx2
import pytest
from tests.emulator.conftest import VERSION, error

from halocline.emulator.server import Emulator

HALTED = "The transaction was rolled back since another operation in the same transaction failed."


def sub(reference: str, method: str, path: str, body: object = None, **more: object) -> dict[str, object]:
    request = {"method": method, "url": VERSION + path, "referenceId": reference, **more}
    return request if body is None else {**request, "body": body}


def composite(client: httpx2.Client, *requests: dict[str, object], **settings: object) -> list[dict[str, object]]:
    answer = client.post("/composite", json={"compositeRequest": requests, **settings})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, object]] = answer.json()["compositeResponse"]
    return rows


def statuses(rows: list[dict[str, object]]) -> list[object]:
    return [row["httpStatusCode"] for row in rows]


def code(row: dict[str, object]) -> object:
    (entry,) = row["body"]  # type: ignore[misc]
    return entry["errorCode"]


def accounts(client: httpx2.Client) -> list[str]:
    rows = client.get("/query", params={"q": "SELECT Name FROM Account ORDER BY Name"}).json()["records"]
    return [row["Name"] for row in rows]


RECORD = {"attributes": {"type": "Account"}, "Name": "x"}


@pytest.mark.parametrize(
    ("method", "path", "body", "first"),
    [
        ("POST", "/composite", {"compositeRequest": []}, 38),
        ("POST", "/composite/batch", {"batchRequests": []}, 34),
        ("POST", "/composite/graph", {"graphs": []}, 50),
        ("POST", "/composite/tree/Account", {"records": []}, 34),
        ("POST", "/composite/sobjects", {"records": [RECORD]}, 42),
        ("POST", "/composite/sobjects/Account", {"ids": ["001000000000000AAA"], "fields": ["Id"]}, 42),
        ("PATCH", "/composite/sobjects/Account/Id", {"records": []}, 46),
    ],
)
def test_a_resource_is_there_since_its_version(
    emulator: Emulator, client: httpx2.Client, method: str, path: str, body: dict[str, object], first: int
) -> None:
    """Before it there is none, nothing is written, and the list of resources does not name it."""

    def asked(version: int) -> httpx2.Response:
        return client.request(method, f"{emulator.url}/services/data/v{version}.0{path}", json=body)

    before = accounts(client)
    assert error(asked(first - 1)) == (404, "NOT_FOUND")
    assert accounts(client) == before
    assert asked(first).status_code != 404
    listed = client.get(f"{emulator.url}/services/data/v42.0/composite").json()
    assert listed == {name: f"/services/data/v42.0/composite/{name}" for name in ("tree", "batch", "sobjects")}


def test_a_request_inside_another_is_of_its_own_version(client: httpx2.Client) -> None:
    """A collection of an old version is not there either."""
    old = {"method": "POST", "url": "/services/data/v41.0/composite/sobjects", "referenceId": "a", "body": {"records": [RECORD]}}
    (row,) = composite(client, old)
    assert (row["httpStatusCode"], code(row), accounts(client)) == (404, "NOT_FOUND", [])


def test_a_later_request_uses_what_an_earlier_one_answered(client: httpx2.Client) -> None:
    """In the body, in the URL, in a query, and out of a list."""
    rows = composite(
        client,
        sub("new", "POST", "/sobjects/Account", {"Name": "Salt & Sea"}),
        sub("read", "GET", "/sobjects/Account/@{new.id}?fields=Id,Name"),
        sub("person", "POST", "/sobjects/Contact", {"LastName": "of @{read.Name}", "AccountId": "@{new.id}"}),
        sub("found", "GET", "/query?q=SELECT+Id,Name+FROM+Account+WHERE+Name='@{read.Name}'"),
        sub("change", "PATCH", "/sobjects/Account/@{found.records[0].Id}", {"NumberOfEmployees": 5}),
    )
    assert statuses(rows) == [201, 200, 201, 200, 204]
    new, read, person, found, change = rows
    assert new["httpHeaders"] == {"Location": f"{VERSION}/sobjects/Account/{new['body']['id']}"}  # type: ignore[index]
    assert read["httpHeaders"].keys() == {"ETag", "Last-Modified"}  # type: ignore[attr-defined]
    assert found["body"]["totalSize"] == 1  # type: ignore[index]
    assert (change["body"], change["httpHeaders"].keys(), change["referenceId"]) == (None, {"ETag"}, "change")  # type: ignore[attr-defined]
    made = client.get(f"/sobjects/Contact/{person['body']['id']}").json()  # type: ignore[index]
    assert (made["LastName"], made["AccountId"]) == ("of Salt & Sea", new["body"]["id"])  # type: ignore[index]


def test_a_text_that_is_one_reference_takes_over_the_type(client: httpx2.Client) -> None:
    """Numbers stay numbers; inside a longer text they become text."""
    first = {"Count__c": 3, "Paid__c": True}
    rows = composite(
        client,
        sub("a", "POST", "/sobjects/Invoice__c", first),
        sub("b", "GET", "/sobjects/Invoice__c/@{a.id}"),
        sub("c", "POST", "/sobjects/Invoice__c", {"Count__c": "@{b.Count__c}", "Short__c": "n@{b.Count__c}@{b.Paid__c}"[:5]}),
        sub("d", "POST", "/sobjects/Invoice__c", {"Count__c": "@{b.Count__c}", "Paid__c": "@{b.Paid__c}"}),
    )
    assert statuses(rows) == [201, 200, 201, 201]
    made = client.get(f"/sobjects/Invoice__c/{rows[3]['body']['id']}").json()  # type: ignore[index]
    assert (made["Count__c"], made["Paid__c"]) == (3, True)


@pytest.mark.parametrize(
    ("reference", "name"),
    [("new.Id", "new"), ("nobody.id", "nobody"), ("new.errors", "new"), ("new[0].id", "new"), ("new.id.more", "new"), ("", "")],
)
def test_a_reference_to_what_is_not_there_halts_its_request(client: httpx2.Client, reference: str, name: str) -> None:
    """Names are taken in their exact case; the rest goes on."""
    rows = composite(
        client,
        sub("new", "POST", "/sobjects/Account", {"Name": "A"}),
        sub("bad", "POST", "/sobjects/Contact", {"LastName": "B", "AccountId": f"@{{{reference}}}"}),
        sub("good", "POST", "/sobjects/Account", {"Name": "C"}),
    )
    assert statuses(rows) == [201, 400, 201]
    message = f"Invalid reference specified. No value for {reference} found in {name}"
    assert rows[1]["body"] == [{"errorCode": "PROCESSING_HALTED", "message": message}]


def test_a_reference_to_null_was_an_error_before_52(client: httpx2.Client, emulator: Emulator, add: Callable[..., str]) -> None:
    """Since then null is taken over."""
    known = add("Account", Name="A")
    requests = [
        sub("read", "GET", f"/sobjects/Account/{known}"),
        sub("new", "POST", "/sobjects/Account", {"Name": "B", "Industry": "@{read.Industry}"}),
    ]
    assert statuses(composite(client, *requests)) == [200, 201]
    old = client.post(f"{emulator.url}/services/data/v51.0/composite", json={"compositeRequest": requests})
    assert statuses(old.json()["compositeResponse"]) == [200, 400]


def test_without_all_or_none_only_what_depends_on_a_failure_fails(client: httpx2.Client) -> None:
    """The others are written."""
    rows = composite(
        client,
        sub("a", "POST", "/sobjects/Account", {"Nothing__c": 1}),
        sub("b", "POST", "/sobjects/Contact", {"LastName": "B", "AccountId": "@{a.id}"}),
        sub("c", "POST", "/sobjects/Account", {"Name": "C"}),
    )
    assert statuses(rows) == [400, 400, 201]
    assert (code(rows[0]), code(rows[1])) == ("INVALID_FIELD", "PROCESSING_HALTED")
    assert accounts(client) == ["C"]


def test_all_or_none_leaves_nothing_behind(client: httpx2.Client, add: Callable[..., str]) -> None:
    """The failing request says why, all others that they were undone - also those after it."""
    known = add("Account", Name="Old")
    rows = composite(
        client,
        sub("a", "POST", "/sobjects/Account", {"Name": "A"}),
        sub("b", "PATCH", f"/sobjects/Account/{known}", {"Name": "@{a.id}"}),
        sub("c", "POST", "/sobjects/Account", {"Nothing__c": 1}),
        sub("d", "DELETE", f"/sobjects/Account/{known}"),
        allOrNone=True,
    )
    assert statuses(rows) == [400] * 4
    assert [code(row) for row in rows] == ["PROCESSING_HALTED", "PROCESSING_HALTED", "INVALID_FIELD", "PROCESSING_HALTED"]
    assert rows[0]["body"] == [{"errorCode": "PROCESSING_HALTED", "message": HALTED}]
    assert accounts(client) == ["Old"]


def test_a_good_all_or_none_is_kept(client: httpx2.Client) -> None:
    """And seen by its own later requests before it is committed."""
    rows = composite(
        client,
        sub("a", "POST", "/sobjects/Account", {"Name": "A"}),
        sub("b", "GET", "/query?q=SELECT+COUNT()+FROM+Account"),
        allOrNone=True,
    )
    assert (statuses(rows), rows[1]["body"]["totalSize"]) == ([201, 200], 1)  # type: ignore[index]
    assert accounts(client) == ["A"]


@pytest.mark.parametrize(("outer", "inner", "left"), [(True, False, []), (False, True, ["C"]), (False, False, ["A", "C"])])
def test_the_outer_all_or_none_rules_the_inner_one(client: httpx2.Client, outer: bool, inner: bool, left: list[str]) -> None:
    """As the guide's table has it: a refused record of a collection undoes the whole composite request."""
    records = [
        {"attributes": {"type": "Account"}, "Name": "A"},
        {"attributes": {"type": "Account"}, "Name": "B", "NumberOfEmployees": 1, "Industry": "x" * 300},
    ]
    rows = composite(
        client,
        sub("many", "POST", "/composite/sobjects", {"records": records, "allOrNone": inner}),
        sub("one", "POST", "/sobjects/Account", {"Name": "C"}),
        allOrNone=outer,
    )
    assert statuses(rows) == [200, 400 if outer else 201]
    assert accounts(client) == left


def test_a_composite_request_is_one_request(client: httpx2.Client, emulator: Emulator) -> None:
    """Its requests are neither counted nor logged."""
    before = emulator.org.limits.usage()[0]
    composite(client, *(sub(f"r{n}", "GET", "/sobjects/Account/describe") for n in range(25)))
    assert emulator.org.limits.usage()[0] == before + 1
    assert [call.kind for call in emulator.org.calls][-1] == "composite"


def test_too_many_requests_are_one_answer(client: httpx2.Client) -> None:
    """In the words of the service; nothing is done."""
    (row,) = composite(client, *(sub(f"r{n}", "POST", "/sobjects/Account", {"Name": "A"}) for n in range(26)))
    assert row["referenceId"] is None
    assert row["body"] == [{"errorCode": "LIMIT_EXCEEDED", "message": "The request can\u2019t contain more than 25 operations."}]
    queries = [sub(f"q{n}", "GET", "/query?q=SELECT+Id+FROM+Account") for n in range(6)]
    assert code(composite(client, *queries)[0]) == "LIMIT_EXCEEDED"
    assert statuses(composite(client, *queries[:5])) == [200] * 5
    assert accounts(client) == []


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([{"method": "GET", "url": f"{VERSION}/sobjects"}], "JSON_PARSER_ERROR"),
        ([{**sub("a", "GET", "/sobjects"), "more": 1}], "JSON_PARSER_ERROR"),
        ([sub("a", "get", "/sobjects")], "JSON_PARSER_ERROR"),
        ([sub("a", "GET", "/sobjects"), sub("a", "GET", "/sobjects")], "INVALID_INPUT"),
        ([sub("a-b", "GET", "/sobjects")], "JSON_PARSER_ERROR"),
        ([{**sub("a", "GET", ""), "url": "/sobjects"}], "JSON_PARSER_ERROR"),
        ([sub("a", "GET", "/sobjects", httpHeaders={"Authorization": "x"})], "INVALID_HTTP_HEADER"),
        ([sub("a", "GET", "/sobjects", httpHeaders={"X": 1})], "JSON_PARSER_ERROR"),
        ([sub("a", "GET", "/limits")], "INVALID_INPUT"),
        ([sub("a", "POST", "/composite", {"compositeRequest": []})], "INVALID_INPUT"),
        ([1], "JSON_PARSER_ERROR"),
        ({}, "JSON_PARSER_ERROR"),
        (None, "JSON_PARSER_ERROR"),
    ],
)
def test_a_composite_request_that_is_not_well_formed_is_refused_whole(
    client: httpx2.Client, requests: object, expected: str
) -> None:
    """400, and nothing is done."""
    assert error(client.post("/composite", json={"compositeRequest": requests})) == (400, expected)


def test_a_missing_reference_id_is_named(client: httpx2.Client) -> None:
    """In the words of the vendor's blog."""
    answer = client.post("/composite", json={"compositeRequest": [{"method": "GET", "url": f"{VERSION}/sobjects"}]})
    assert answer.json()[0]["message"] == "'referenceId' is a required field."


def test_a_subrequest_has_headers_of_its_own(client: httpx2.Client) -> None:
    """Query options and conditions are such headers."""
    late = {"If-Modified-Since": "Tue, 31 May 2050 18:00:00 GMT"}
    (row,) = composite(client, sub("a", "GET", "/sobjects/Account/describe", httpHeaders=late))
    assert (row["httpStatusCode"], row["body"]) == (304, None)


def test_unknown_resources_inside_are_ordinary_errors(client: httpx2.Client) -> None:
    """404, 405 and 410 as they would be outside."""
    rows = composite(
        client,
        sub("a", "GET", "/sobjects/Nothing__c"),
        sub("b", "DELETE", "/sobjects/Account"),
        {**sub("c", "GET", ""), "url": "/services/data/v20.0/sobjects"},
    )
    assert statuses(rows) == [404, 405, 410]


def test_composite_lists_its_resources(client: httpx2.Client) -> None:
    """Tree, batch, sobjects and graph."""
    assert client.get("/composite").json()["graph"] == f"{VERSION}/composite/graph"


def test_all_or_none_holds_others_back_and_never_deadlocks(client: httpx2.Client) -> None:
    """Writers that meet wait for each other; every request ends, whole or not at all."""
    ended: list[list[object]] = []

    def work(number: int) -> None:
        requests = [sub(f"r{n}", "POST", "/sobjects/Account", {"Name": f"{number}-{n}"}) for n in range(5)]
        bad = sub("bad", "POST", "/sobjects/Account", {"Nothing__c": 1})
        rows = composite(client, *requests, *([bad] if number % 2 else []), allOrNone=True)
        ended.append(statuses(rows))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(map(str, ended)) == sorted([str([201] * 5)] * 4 + [str([400] * 6)] * 4)
    assert sorted({name[0] for name in accounts(client)}) == ["0", "2", "4", "6"]


def test_batch_requests_do_not_know_of_each_other(client: httpx2.Client, emulator: Emulator) -> None:
    """Each has its status and result, is committed for itself, and counts as a request."""
    before = emulator.org.limits.usage()[0]
    answer = client.post(
        "/composite/batch",
        json={
            "batchRequests": [
                {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "A"}},
                {"method": "GET", "url": "/services/data/v66.0/sobjects/Nothing__c"},
                {"method": "GET", "url": "v66.0/query?q=SELECT+Name+FROM+Account"},
                {"method": "GET", "url": "v66.0/limits"},
            ]
        },
    ).json()
    assert answer["hasErrors"] is True
    assert [row["statusCode"] for row in answer["results"]] == [201, 404, 200, 200]
    assert answer["results"][2]["result"]["records"][0]["Name"] == "A"
    assert emulator.org.limits.usage()[0] == before + 5


def test_a_batch_asks_for_its_own_version_and_those_before(client: httpx2.Client) -> None:
    """Down to the first one that has batches."""
    requests = [{"method": "GET", "url": f"v{version}/limits"} for version in ("66.0", "50.0", "34.0")]
    answer = client.post("/composite/batch", json={"batchRequests": requests}).json()
    assert [row["statusCode"] for row in answer["results"]] == [200, 200, 200]


def test_a_batch_can_halt_at_an_error(client: httpx2.Client) -> None:
    """What follows is answered with 412 and not done."""
    bad = {"method": "GET", "url": "v66.0/sobjects/Nothing__c"}
    good = {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "A"}}
    answer = client.post("/composite/batch", json={"haltOnError": True, "batchRequests": [good, bad, good]}).json()
    assert [row["statusCode"] for row in answer["results"]] == [201, 404, 412]
    assert answer["results"][2]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"
    assert accounts(client) == ["A"]


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([{"method": "GET", "url": "v66.0/limits"}] * 26, "LIMIT_EXCEEDED"),
        ([{"method": "GET"}], "JSON_PARSER_ERROR"),
        ([{"method": "BREW", "url": "v66.0/limits"}], "JSON_PARSER_ERROR"),
        ([{"method": "GET", "url": "v66.0/composite/tree/Account"}], "INVALID_BATCH_REQUEST_URL"),
        ([{"method": "GET", "url": "v66.0/limits", "referenceId": "a"}], "JSON_PARSER_ERROR"),
        ([{"method": "GET", "url": "v66.0/limits"}, {"method": "GET", "url": "v67.0/limits"}], "INVALID_BATCH_REQUEST_URL"),
        ([{"method": "GET", "url": "/services/data/v33.0/limits"}], "INVALID_BATCH_REQUEST_URL"),
    ],
)
def test_a_batch_that_is_not_well_formed_is_refused_whole(client: httpx2.Client, requests: object, expected: str) -> None:
    """Regardless of `haltOnError`."""
    assert error(client.post("/composite/batch", json={"batchRequests": requests})) == (400, expected)


def graph(graph_id: str, *requests: dict[str, object]) -> dict[str, object]:
    return {"graphId": graph_id, "compositeRequest": list(requests)}


def test_each_graph_is_done_whole_or_not_at_all(client: httpx2.Client) -> None:
    """One that fails says so and does not touch the others."""
    answer = client.post(
        "/composite/graph",
        json={
            "graphs": [
                graph(
                    "1",
                    sub("a", "POST", "/sobjects/Account", {"Name": "A"}),
                    sub("b", "POST", "/sobjects/Contact", {"LastName": "B", "AccountId": "@{a.id}"}),
                ),
                graph(
                    "2",
                    sub("a", "POST", "/sobjects/Account", {"Name": "C"}),
                    sub("b", "POST", "/sobjects/Contact", {"Nothing__c": 1}),
                ),
            ]
        },
    )
    first, second = answer.json()["graphs"]
    assert (first["graphId"], first["isSuccessful"]) == ("1", True)
    assert statuses(first["graphResponse"]["compositeResponse"]) == [201, 201]
    assert (second["graphId"], second["isSuccessful"]) == ("2", False)
    assert [code(row) for row in second["graphResponse"]["compositeResponse"]] == ["PROCESSING_HALTED", "INVALID_FIELD"]
    assert accounts(client) == ["A"]


def test_more_than_500_nodes_are_refused_in_each_graph(client: httpx2.Client) -> None:
    """In the words of the service; 500 are taken."""
    nodes = [sub(f"r{n}", "POST", "/sobjects/Account", {"Name": "A"}) for n in range(501)]
    (over,) = client.post("/composite/graph", json={"graphs": [graph("1", *nodes)]}).json()["graphs"]
    (row,) = over["graphResponse"]["compositeResponse"]
    assert (over["isSuccessful"], row["referenceId"]) == (False, None)
    assert row["body"][0]["message"] == "Limit of 500 reached for number of Nodes in the Graph"
    (whole,) = client.post("/composite/graph", json={"graphs": [graph("1", *nodes[:500])]}).json()["graphs"]
    assert (whole["isSuccessful"], len(accounts(client))) == (True, 500)


def test_a_graph_is_at_most_fifteen_nodes_deep(client: httpx2.Client) -> None:
    """Counted along the references."""
    first = sub("r1", "POST", "/sobjects/Account", {"Name": "1"})
    chain = [sub(f"r{n}", "POST", "/sobjects/Account", {"Name": f"{n}", "ParentId": f"@{{r{n - 1}.id}}"}) for n in range(2, 17)]
    (over,) = client.post("/composite/graph", json={"graphs": [graph("1", first, *chain)]}).json()["graphs"]
    assert code(over["graphResponse"]["compositeResponse"][0]) == "LIMIT_EXCEEDED"
    (whole,) = client.post("/composite/graph", json={"graphs": [graph("1", first, *chain[:-1])]}).json()["graphs"]
    assert whole["isSuccessful"] is True


def test_a_graph_has_at_most_fifteen_kinds_of_nodes(client: httpx2.Client) -> None:
    """Versions, methods and objects make them different."""
    nodes = [
        {**sub(f"r{n}", "PATCH", ""), "url": f"/services/data/v{n}.0/sobjects/Account/001000000000000AAA"} for n in range(40, 56)
    ]
    (over,) = client.post("/composite/graph", json={"graphs": [graph("1", *nodes)]}).json()["graphs"]
    assert code(over["graphResponse"]["compositeResponse"][0]) == "LIMIT_EXCEEDED"


def test_after_fifteen_failures_the_rest_of_the_graphs_is_halted(client: httpx2.Client) -> None:
    """Good ones too."""
    bad = [graph(f"b{n}", sub("a", "POST", "/sobjects/Account", {"Nothing__c": 1})) for n in range(15)]
    good = graph("good", sub("a", "POST", "/sobjects/Account", {"Name": "A"}))
    *_, last = client.post("/composite/graph", json={"graphs": [*bad, good]}).json()["graphs"]
    assert (last["isSuccessful"], code(last["graphResponse"]["compositeResponse"][0])) == (False, "PROCESSING_HALTED")
    assert accounts(client) == []


@pytest.mark.parametrize(
    ("graphs", "expected"),
    [
        (None, "JSON_PARSER_ERROR"),
        ([{"graphId": "1"}], "JSON_PARSER_ERROR"),
        ([graph("1"), graph("1")], "INVALID_INPUT"),
        ([graph("a.b")], "INVALID_INPUT"),
        ([graph("1", sub("a", "GET", "/query?q=SELECT+Id+FROM+Account"))], "INVALID_INPUT"),
    ],
)
def test_graphs_that_are_not_well_formed_are_refused_whole(client: httpx2.Client, graphs: object, expected: str) -> None:
    """400, and nothing is done."""
    assert error(client.post("/composite/graph", json={"graphs": graphs})) == (400, expected)
