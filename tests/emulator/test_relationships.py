"""Paths through relationships, and the content of binary fields."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from tests.emulator.conftest import connect, error

from halocline.emulator.server import Emulator, EmulatorConfig

Add = Callable[..., str]


@pytest.fixture
def family(add: Add) -> tuple[str, str, str]:
    """A parent account, its child account, and the child's contact."""
    parent = add("Account", Name="Parent")
    child = add("Account", Name="Child", ParentId=parent)
    return parent, child, add("Contact", LastName="C", AccountId=child)


def test_a_parent_is_reached_by_the_relationship(client: httpx2.Client, family: tuple[str, str, str]) -> None:
    """Over several levels, in any case, with the fields wanted."""
    _, _, contact = family
    assert client.get(f"/sobjects/Contact/{contact}/Account").json()["Name"] == "Child"
    far = client.get(f"/sobjects/Contact/{contact[:15]}/account/parent", params={"fields": "Name"}).json()
    assert (far["Name"], far.keys()) == ("Parent", {"attributes", "Name"})


def test_children_come_as_a_query_would_list_them(client: httpx2.Client, family: tuple[str, str, str]) -> None:
    """None is an empty list, not an error."""
    parent, child, contact = family
    answer = client.get(f"/sobjects/Account/{child}/Contacts", params={"fields": "Id,LastName"}).json()
    assert (answer["totalSize"], answer["done"], answer["records"][0]["Id"]) == (1, True, contact)
    assert client.get(f"/sobjects/Account/{parent}/Contacts").json()["records"] == []


def test_the_record_at_the_end_can_be_changed_and_deleted(client: httpx2.Client, family: tuple[str, str, str]) -> None:
    """Only towards the parent."""
    parent, child, contact = family
    assert client.patch(f"/sobjects/Contact/{contact}/Account", json={"Name": "New"}).status_code == 204
    assert client.get(f"/sobjects/Account/{child}").json()["Name"] == "New"
    assert client.delete(f"/sobjects/Contact/{contact}/Account/Parent").status_code == 204
    assert error(client.get(f"/sobjects/Account/{parent}")) == (404, "ENTITY_IS_DELETED")
    assert error(client.delete(f"/sobjects/Account/{child}/Contacts")) == (405, "METHOD_NOT_ALLOWED")


def test_a_path_that_leads_nowhere_does_not_exist(client: httpx2.Client, family: tuple[str, str, str]) -> None:
    """No parent, no such relationship, no such record, too many steps, no such field."""
    parent, child, _ = family
    far = f"{child}/" + "Parent/" * 6
    for path in (f"{parent}/Parent", f"{child}/Nothing", "001000000000000AAA/Parent", far, "Name/a/b"):
        assert error(client.get(f"/sobjects/Account/{path}")) == (404, "NOT_FOUND")
    refused = client.get(f"/sobjects/Account/{child}/Parent", params={"fields": "Nothing__c"})
    assert error(refused) == (400, "INVALID_FIELD")
    refused = client.get(f"/sobjects/Account/{child}/Contacts", params={"fields": "Id FROM User --"})
    assert error(refused) == (400, "INVALID_FIELD")


def test_a_binary_field_answers_with_its_bytes(tmp_path: Path) -> None:
    """As they were sent in base64; nothing where there is none."""
    path = tmp_path / "scan.yaml"
    path.write_text("object: Scan__c\nlabel: Scan\nplural: Scans\nfields:\n  Body__c: base64\n", encoding="utf-8")
    with Emulator(EmulatorConfig(schemas=(path,))) as emulator, connect(emulator) as client:
        full = client.post("/sobjects/Scan__c", json={"Body__c": base64.b64encode(b"\x00\xffpixels").decode()}).json()["id"]
        empty = client.post("/sobjects/Scan__c", json={"Name": "none"}).json()["id"]
        shown = client.get(f"/sobjects/Scan__c/{full}").json()["Body__c"]
        answer = client.get(shown.partition("v66.0")[2], headers={"Accept": "image/png"})
        assert (answer.content, answer.headers["content-type"]) == (b"\x00\xffpixels", "application/octet-stream")
        assert error(client.get(f"/sobjects/Scan__c/{empty}/Body__c")) == (404, "NOT_FOUND")
