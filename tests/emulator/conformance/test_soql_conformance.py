"""SOQL answers what the vendor's reference says: every case of `soql/*.yaml`, asked over HTTP of one running emulator."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2
import pytest
from tests.emulator.conformance.cases import CASE_KEYS, SCHEMA, Case, cases, org
from tests.emulator.conftest import login_form

from halocline.emulator.clock import Clock
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.emulator.soql.dates import DATE_LITERALS
from halocline.emulator.soql.parser import CLAUSES, LOCATION_FUNCTIONS
from halocline.emulator.soql.values import AGGREGATES, DATE_FUNCTIONS, REFUSED_FUNCTIONS, SHOWING_FUNCTIONS

CASES = cases()
FEWEST = 250  # cases that the file promises
_KEY = re.compile(r"\{(\w+)(:15)?\}")
_REPEATED = re.compile(r"\{([^{}]+) \* (\d+)\}")
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Org:
    """The running org: a client that is logged in, and the ids of its records by key."""

    client: httpx2.Client
    ids: Mapping[str, str]

    def filled(self, value: Any) -> Any:
        """The value with every `{key}` in its texts replaced by that record's id, `{key:15}` by its first 15 characters."""
        if isinstance(value, str):
            return _with_ids(value, self.ids)
        if isinstance(value, dict):
            return {self.filled(key): self.filled(inner) for key, inner in value.items()}
        return [self.filled(inner) for inner in value] if isinstance(value, list) else value

    def ask(self, case: Case) -> httpx2.Response:
        """The answer to the case's query."""
        soql = _REPEATED.sub(lambda match: match[1] * int(match[2]), self.filled(case.query))
        return self.client.get(case.resource, params={"q": soql})


@pytest.fixture(scope="module")
def running() -> Iterator[_Org]:
    """The org of `org.yaml`, its clock frozen, started once for all cases."""
    written = org()
    clock = Clock()
    clock.freeze(datetime.fromisoformat(written["now"]))
    with Emulator(EmulatorConfig(schemas=(SCHEMA,)), clock=clock) as emulator, httpx2.Client(base_url=emulator.url) as client:
        ids = _filled_store(emulator, written)
        token = client.post("/services/oauth2/token", data=login_form(emulator.config)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield _Org(client, ids)


def _filled_store(emulator: Emulator, written: Mapping[str, Any]) -> dict[str, str]:
    """Add the records in the file's order and return their ids by key."""
    ids: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for kind, records in written.items():
        if kind in ("now", "deleted"):
            continue
        for key, fields in records.items():
            values = {name: _with_ids(value, ids) for name, value in fields.items()}
            ids[key] = emulator.store.insert(emulator.org.sobject(kind), values, user_id=emulator.org.api_user_id)
            kinds[key] = kind
    for key in written["deleted"]:
        emulator.store.delete(emulator.org.sobject(kinds[key]), ids[key], user_id=emulator.org.api_user_id)
    return ids


def _with_ids(value: Any, ids: Mapping[str, str]) -> Any:
    return _KEY.sub(lambda match: ids[match[1]][: 15 if match[2] else 18], value) if isinstance(value, str) else value


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_soql_answers_as_the_reference_says(running: _Org, case: Case) -> None:
    """The rows, the size, the fields or the refusal of the case come back."""
    response = running.ask(case)
    expected = running.filled(dict(case.written))
    if "error" in expected:
        _check_refusal(response, expected["error"])
        return
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["done"] is True
    if "total" in expected:
        assert answer == {"totalSize": expected["total"], "done": True, "records": []}
    elif "keys" in expected:
        assert [list(_plain(record)) for record in answer["records"]] == [expected["keys"]] * len(answer["records"])
        assert answer["records"]
    else:
        _check_rows(answer, expected, ordered=_is_ordered(case.query), ordered_inside=_is_ordered_inside(case.query))


def test_there_are_enough_cases() -> None:
    """The file holds what it promises."""
    assert len(CASES) >= FEWEST


def test_every_case_is_sound() -> None:
    """Every case has a page, a name of its own and exactly one expectation; what is unverified says why."""
    for case in CASES:
        assert case.source, case.id
        assert case.written.keys() <= CASE_KEYS, case.id
        assert len(case.expectations) == 1, case.id
        assert not case.written.get("unverified") or case.written.get("note"), case.id
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []


LISTED = [
    *(f"{name}(" for name in sorted({*AGGREGATES, *DATE_FUNCTIONS, *SHOWING_FUNCTIONS, *REFUSED_FUNCTIONS, *LOCATION_FUNCTIONS})),
    *(f"{word}:" if counted else word for word, counted in DATE_LITERALS.items()),
    *(clause.words.lower() for clause in CLAUSES),
]


@pytest.mark.parametrize("listed", LISTED)
def test_whatever_is_listed_has_a_case(listed: str) -> None:
    """Each function, date literal and clause that the engine has a name for stands in a query; `:` marks a counted literal."""
    pattern = rf"(?<!\w){re.escape(listed)}" + (r"(?!\w)" if listed[-1].isalpha() else "")
    assert any(re.search(pattern, " ".join(case.query.lower().split())) for case in CASES)


def _check_refusal(response: httpx2.Response, expected: Mapping[str, Any]) -> None:
    assert response.status_code == expected.get("status", 400), response.text
    (entry,) = response.json()
    assert entry["errorCode"] == expected.get("code", entry["errorCode"]), entry
    assert expected.get("says", "") in entry["message"]
    if "at" in expected:
        row, column = str(expected["at"]).split(":")
        assert f"\nERROR at Row:{row}:Column:{column}\n" in entry["message"]
    if "message" in expected:
        assert entry["message"] == expected["message"].rstrip("\n")


def _check_rows(answer: Mapping[str, Any], expected: Mapping[str, Any], *, ordered: bool, ordered_inside: bool) -> None:
    """Compare as texts of JSON, so that true is not 1 and a difference is easy to read."""
    wanted = expected["rows"]
    shows_attributes = "attributes" in json.dumps(wanted)
    records = answer["records"] if shows_attributes else _plain(answer["records"])
    found = [_bare(record, wanted) for record in records]
    exact = bool(expected.get("exact"))
    forms = [[_form(row, exact=exact, sort=not ordered_inside) for row in rows] for rows in (found, wanted)]
    if not ordered:
        forms = [sorted(rows) for rows in forms]
    assert forms[0] == forms[1]
    assert answer["totalSize"] == len(wanted)


def _plain(value: Any) -> Any:
    """The value without attributes at any depth."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key != "attributes"}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _bare(record: dict[str, Any], wanted: list[Any]) -> Any:
    """The only value of a record, where the case is written in bare values."""
    if len(record) == 1 and wanted and not isinstance(wanted[0], dict):
        return next(iter(record.values()))
    return record


def _form(value: Any, *, exact: bool, sort: bool) -> str:
    """One text for equal values: keys sorted, whole floats as integers unless `exact`, inner records sorted if `sort`."""
    return json.dumps(_normal(value, exact=exact, sort=sort), sort_keys=True, ensure_ascii=False)


def _normal(value: Any, *, exact: bool, sort: bool) -> Any:
    if isinstance(value, float) and not exact and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _normal(inner, exact=exact, sort=sort) for key, inner in value.items()}
    if isinstance(value, list):
        inner = [_normal(one, exact=exact, sort=sort) for one in value]
        return sorted(inner, key=lambda one: json.dumps(one, sort_keys=True)) if sort else inner
    return value


def _is_ordered(query: str) -> bool:
    """Whether the outer query has ORDER BY."""
    return bool(_ORDERED.search(_outside(query)))


def _is_ordered_inside(query: str) -> bool:
    """Whether a query in parentheses has ORDER BY."""
    return len(_ORDERED.findall(query)) > len(_ORDERED.findall(_outside(query)))


def _outside(query: str) -> str:
    """The query without what stands in parentheses."""
    before = ""
    while before != query:
        before, query = query, re.sub(r"\([^()]*\)", "", query)
    return query
