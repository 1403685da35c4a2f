"""Searches: SOSL over REST, and words with parameters."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from tests.emulator.conftest import error

from halocline.emulator.server import Emulator
from halocline.emulator.sosl.terms import matcher, words_of


@pytest.fixture
def data(add: Callable[..., str]) -> None:
    """Three accounts and two contacts."""
    add("Account", Name="Acme Salt Works", Phone="(415) 555-1212", Description="Mines of rock", Industry="Mining")
    add("Account", Name="Brine & Co", Description="Buys from Acme", Industry="Banking")
    add("Account", Name="Zeta", Industry="Banking")
    add("Contact", LastName="Acmeson", Email="a@brine.example")
    add("Contact", LastName="O'Neil", Email="acme@zeta.example")


def found(client: httpx2.Client, sosl: str, key: str = "Name") -> list[object]:
    answer = client.get("/search", params={"q": sosl})
    assert answer.status_code == 200, answer.text
    return [row.get(key) for row in answer.json()["searchRecords"]]


@pytest.mark.usefixtures("data")
def test_without_returning_all_objects_are_searched_for_their_ids(client: httpx2.Client) -> None:
    """Each entry has attributes and the id, nothing more."""
    rows = client.get("/search", params={"q": "FIND {Acme}"}).json()["searchRecords"]
    assert [row["attributes"]["type"] for row in rows] == ["Account", "Account", "Contact"]
    assert all(row.keys() == {"attributes", "Id"} for row in rows)


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("sosl", "names"),
    [
        ("FIND {acme} RETURNING Account(Name)", ["Acme Salt Works", "Brine & Co"]),
        ("FIND 'acme' RETURNING Account(Name)", ["Acme Salt Works", "Brine & Co"]),
        ("find {acme} in name fields returning account(name)", ["Acme Salt Works"]),
        ("FIND {acme} IN EMAIL FIELDS RETURNING Contact(Name), Account(Name)", ["O'Neil"]),
        ("FIND {415} IN PHONE FIELDS RETURNING Account(Name)", ["Acme Salt Works"]),
        ("FIND {acm*} RETURNING Contact(Name)", ["Acmeson", "O'Neil"]),
        ("FIND {acme???} RETURNING Contact(Name)", ["Acmeson"]),
        ("FIND {acme AND brine} RETURNING Account(Name)", ["Brine & Co"]),
        ("FIND {acme brine} RETURNING Account(Name)", ["Brine & Co"]),
        ("FIND {acme AND NOT brine} RETURNING Account(Name)", ["Acme Salt Works"]),
        ("FIND {zeta OR (acme AND salt)} RETURNING Account(Name)", ["Acme Salt Works", "Zeta"]),
        ('FIND {"salt works"} RETURNING Account(Name)', ["Acme Salt Works"]),
        ('FIND {"works salt"} RETURNING Account(Name)', []),
        ("FIND {a@brine.example} RETURNING Contact(Name)", ["Acmeson"]),
        ("FIND {banking} RETURNING Account(Name WHERE Name LIKE 'Z%')", ["Zeta"]),
        ("FIND {banking} RETURNING Account(Name ORDER BY Name DESC LIMIT 1)", ["Zeta"]),
        ("FIND {banking} RETURNING Account(Name ORDER BY Name LIMIT 1 OFFSET 1)", ["Zeta"]),
        ("FIND {acme} RETURNING Account(Name WHERE Name != 'a) (b' AND (Industry = 'Mining')), Contact(Name) LIMIT 1",
         ["Acme Salt Works"]),
        ("FIND {O\\'Neil} RETURNING Contact(Name)", ["O'Neil"]),
        ("FIND {nowhere} RETURNING Account(Name)", []),
    ],
)  # fmt: skip
def test_sosl_finds(client: httpx2.Client, sosl: str, names: list[str]) -> None:
    """Groups of fields, wildcards, operators, phrases, and the clauses behind each object."""
    assert found(client, sosl) == names


@pytest.mark.usefixtures("data")
def test_deleted_records_and_hidden_objects_are_not_found(client: httpx2.Client, emulator: Emulator) -> None:
    """A search sees what a query sees."""
    (record_id,) = found(client, "FIND {zeta} RETURNING Account", "Id")
    client.delete(f"/sobjects/Account/{record_id}")
    assert found(client, "FIND {zeta} RETURNING Account") == []
    emulator.org.hide(["Contact"])
    assert error(client.get("/search", params={"q": "FIND {zeta} RETURNING Contact"})) == (400, "INVALID_TYPE")


@pytest.mark.parametrize(
    ("sosl", "code"),
    [
        ("", "MALFORMED_SEARCH"),
        ("SELECT Id FROM Account", "MALFORMED_SEARCH"),
        ("FIND {acme", "MALFORMED_SEARCH"),
        ("FIND {a}", "INVALID_SEARCH"),
        ("FIND {*}", "INVALID_SEARCH"),
        ("FIND {acme AND}", "MALFORMED_SEARCH"),
        ("FIND {(acme}", "MALFORMED_SEARCH"),
        ("FIND {acme)}", "MALFORMED_SEARCH"),
        ("FIND {OR acme}", "MALFORMED_SEARCH"),
        ("FIND {" + "(" * 200 + "acme" + ")" * 200 + "}", "MALFORMED_SEARCH"),
        ("FIND {acme} IN SECRET FIELDS", "MALFORMED_SEARCH"),
        ("FIND {acme} RETURNING", "MALFORMED_SEARCH"),
        ("FIND {acme} RETURNING Account(Name", "MALFORMED_SEARCH"),
        ("FIND {acme} RETURNING Account()", "MALFORMED_SEARCH"),
        ("FIND {acme} RETURNING Account(COUNT(Id))", "MALFORMED_SEARCH"),
        ("FIND {acme} RETURNING Account(Name USING ListView=x)", "MALFORMED_SEARCH"),
        ("FIND {acme} LIMIT 2001", "MALFORMED_SEARCH"),
        ("FIND {acme} WITH NETWORK = 'x'", "MALFORMED_SEARCH"),
        ("FIND {acme} RETURNING Nothing__c", "INVALID_TYPE"),
        ("FIND {acme} RETURNING Account(Nothing__c)", "INVALID_FIELD"),
        ("FIND {acme} RETURNING Account(Name WHERE Name)", "MALFORMED_QUERY"),
    ],
)
def test_sosl_that_says_nothing_clear_is_refused(client: httpx2.Client, sosl: str, code: str) -> None:
    """400, never an empty answer."""
    assert error(client.get("/search", params={"q": sosl})) == (400, code)


@pytest.mark.usefixtures("data")
def test_before_37_the_answer_is_a_bare_list(client: httpx2.Client, emulator: Emulator) -> None:
    """Since then it is wrapped."""
    rows = client.get(f"{emulator.url}/services/data/v36.0/search", params={"q": "FIND {zeta} RETURNING Account(Name)"}).json()
    assert [row["Name"] for row in rows] == ["Zeta"]


@pytest.mark.usefixtures("data")
def test_a_search_by_parameters_in_the_url(client: httpx2.Client) -> None:
    """Several objects, with parameters of their own or common ones."""
    rows = client.get(
        "/parameterizedSearch?q=acme&sobject=Account&Account.fields=Id,Name&Account.limit=1&sobject=Contact&fields=Name&in=ALL"
    ).json()["searchRecords"]
    assert [(row["attributes"]["type"], row["Name"], "Id" in row) for row in rows] == [
        ("Account", "Acme Salt Works", True),
        ("Contact", "O'Neil", False),
    ]


@pytest.mark.usefixtures("data")
def test_a_search_by_parameters_in_the_body(client: httpx2.Client) -> None:
    """The same as JSON."""
    body = {
        "q": "banking",
        "in": "ALL",
        "fields": ["Name"],
        "sobjects": [{"name": "Account", "where": "Name != 'Zeta'", "orderBy": "Name", "limit": 5}, {"name": "Contact"}],
        "overallLimit": 100,
        "defaultLimit": "10",
    }
    rows = client.post("/parameterizedSearch", json=body).json()["searchRecords"]
    assert [row["Name"] for row in rows] == ["Brine & Co"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "JSON_PARSER_ERROR"),
        ({"q": "acme", "more": 1}, "JSON_PARSER_ERROR"),
        ({"q": "acme", "snippet": 1}, "INVALID_SEARCH"),
        ({"q": "acme", "in": "SECRET"}, "INVALID_SEARCH_SCOPE"),
        ({"q": "acme", "fields": ["Id"]}, "INVALID_SEARCH"),
        ({"q": "acme", "overallLimit": 5000}, "INVALID_SEARCH"),
        ({"q": "acme", "overallLimit": "ten"}, "INVALID_SEARCH"),
        ({"q": "acme", "sobjects": [{"name": "Account; DROP"}]}, "INVALID_TYPE"),
        ({"q": "acme", "sobjects": [{"name": "Account", "where": "Name='x') OR (Name!='x'"}]}, "MALFORMED_QUERY"),
        ({"q": "acme", "sobjects": ["Account"]}, "JSON_PARSER_ERROR"),
    ],
)
def test_parameters_that_make_no_search_are_refused(client: httpx2.Client, body: object, code: str) -> None:
    """400 for each."""
    assert error(client.post("/parameterizedSearch", json=body)) == (400, code)


def test_many_wildcards_take_no_time() -> None:
    """Matching goes over a word once per wildcard, not once per combination."""
    matches = matcher("aa" + "*a" * 200 + "*b")
    assert not matches([words_of("a" * 5_000)])
    assert matches([words_of("a" * 5_000 + "b")])
