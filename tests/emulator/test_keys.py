"""Keys of one call that are one and the same: by every API those that would find the same record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias
from xml.etree.ElementTree import fromstring

import pytest
from tests.emulator.bulk1_client import Classic
from tests.emulator.bulk1_client import rows as rows_of
from tests.emulator.conftest import connect
from tests.emulator.test_bulk2_ingest import load, records
from tests.emulator.test_soap import Soap, change

from halocline.emulator.keys import GivenTwice, folded
from halocline.emulator.objects import Field
from halocline.emulator.server import Emulator

Codes: TypeAlias = list[str]
_DUPLICATE = "DUPLICATE_VALUE"


def by_collections(emulator: Emulator, field: str, keys: Sequence[str]) -> Codes:
    body = {"records": [{"attributes": {"type": "Invoice__c"}, field: key} for key in keys]}
    with connect(emulator) as client:
        answers = client.patch(f"/composite/sobjects/Invoice__c/{field}", json=body).json()
    return ["" if one["success"] else one["errors"][0]["statusCode"] for one in answers]


def by_bulk2(emulator: Emulator, field: str, keys: Sequence[str]) -> Codes:
    with connect(emulator) as client:
        job = load(client, "\n".join((field, *keys)) + "\n", "Invoice__c", "upsert", externalIdFieldName=field)
    told = {row[field]: row["sf__Error"].partition(":")[0] for row in records(job.failed)}
    return [told.get(key, "") for key in keys]


def by_bulk1(emulator: Emulator, field: str, keys: Sequence[str]) -> Codes:
    classic = Classic(emulator)
    try:
        answer = classic.changed("upsert", "Invoice__c", "\n".join((field, *keys)) + "\n", externalIdFieldName=field)
    finally:
        classic.http.close()
    return [row[3].partition(":")[0] for row in rows_of(answer)[1:]]


def by_soap(emulator: Emulator, field: str, keys: Sequence[str]) -> Codes:
    written = "".join(f"<sObjects><type>Invoice__c</type><{field}>{key}</{field}></sObjects>" for key in keys)
    answer = change(Soap(emulator), "upsert", written, first=f"<externalIDFieldName>{field}</externalIDFieldName>")
    return [one.findtext("{*}errors/{*}statusCode", "") for one in fromstring(answer.content)[0][0]]


WAYS: dict[str, Callable[[Emulator, str, Sequence[str]], Codes]] = {
    "collections": by_collections,
    "bulk2": by_bulk2,
    "bulk1": by_bulk1,
    "soap": by_soap,
}


@pytest.mark.parametrize("way", list(WAYS))
def test_every_api_takes_the_same_keys_for_one(emulator: Emulator, way: str) -> None:
    """In any case of letters, unless the field is case-sensitive or not unique; a number however it is written. No record is
    written over.
    """
    ask = WAYS[way]
    assert ask(emulator, "Number__c", ["abc", "b", "ABC", "É", "é"]) == [_DUPLICATE, "", _DUPLICATE, "", ""]
    assert ask(emulator, "Exact__c", ["abc", "b", "ABC", "b"]) == ["", _DUPLICATE, "", _DUPLICATE]
    assert ask(emulator, "Batch__c", ["abc", "b", "ABC", "b"]) == ["", _DUPLICATE, "", _DUPLICATE]
    assert ask(emulator, "Line__c", ["1", "2", "1.0"]) == [_DUPLICATE, "", _DUPLICATE]
    assert len(emulator.query("SELECT Id FROM Invoice__c")) == 3 + 2 + 2 + 1


def update_by_collections(emulator: Emulator, ids: Sequence[str]) -> Codes:
    body = {"records": [{"attributes": {"type": "Invoice__c"}, "Id": one, "Count__c": at} for at, one in enumerate(ids)]}
    with connect(emulator) as client:
        answers = client.patch("/composite/sobjects", json=body).json()
    return ["" if one["success"] else "{statusCode}:{message}".format(**one["errors"][0]) for one in answers]


def update_by_bulk2(emulator: Emulator, ids: Sequence[str]) -> Codes:
    lines = [f"{one},{at}" for at, one in enumerate(ids)]
    with connect(emulator) as client:
        job = load(client, "\n".join(("Id,Count__c", *lines)) + "\n", "Invoice__c", "update")
    told = {row["Count__c"]: row["sf__Error"] for row in records(job.failed)}
    return [told.get(str(at), "").removesuffix(":Id --") for at in range(len(ids))]


def update_by_bulk1(emulator: Emulator, ids: Sequence[str]) -> Codes:
    classic = Classic(emulator)
    try:
        lines = [f"{one},{at}" for at, one in enumerate(ids)]
        answer = classic.changed("update", "Invoice__c", "\n".join(("Id,Count__c", *lines)) + "\n")
    finally:
        classic.http.close()
    return [row[3].removesuffix(":Id --") for row in rows_of(answer)[1:]]


def update_by_soap(emulator: Emulator, ids: Sequence[str]) -> Codes:
    written = "".join(
        f"<sObjects><type>Invoice__c</type><Id>{one}</Id><Count__c>{at}</Count__c></sObjects>" for at, one in enumerate(ids)
    )
    results = list(fromstring(change(Soap(emulator), "update", written).content)[0][0])
    told = [(one.findtext("{*}errors/{*}statusCode"), one.findtext("{*}errors/{*}message")) for one in results]
    return ["" if code is None else f"{code}:{message}" for code, message in told]


@pytest.mark.parametrize("update", [update_by_collections, update_by_bulk2, update_by_bulk1, update_by_soap])
def test_no_api_updates_one_record_twice_in_a_call(
    emulator: Emulator, update: Callable[[Emulator, Sequence[str]], Codes]
) -> None:
    """In 15 or 18 characters; each row of it is refused, and a later call may change it. What is no id is refused for that."""
    twice, once = (emulator.create("Invoice__c", {}) for _ in range(2))
    refusal = f"DUPLICATE_VALUE:Duplicate id specified: {twice}"
    assert update(emulator, [twice, once, twice[:15]]) == [refusal, "", refusal]
    counts = {row["Id"]: row["Count__c"] for row in emulator.query("SELECT Id, Count__c FROM Invoice__c")}
    assert counts == {twice: None, once: 1}
    assert update(emulator, [twice]) == [""]
    assert {told.partition(":")[0] for told in update(emulator, ["no", "no"])} == {"MALFORMED_ID"}


@pytest.mark.parametrize("way", list(WAYS))
def test_a_key_that_need_not_be_unique_finds_its_own_spelling(emulator: Emulator, way: str) -> None:
    """In another case it is another record's; a unique key finds its record in any, and so does a query."""
    ask = WAYS[way]
    for field, count in (("Batch__c", 2), ("Number__c", 1)):
        for key in ("abc", "ABC", "abc"):
            assert ask(emulator, field, [key]) == [""]
        assert len(emulator.query(f"SELECT Id FROM Invoice__c WHERE {field} = 'aBc'")) == count


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        (Field("A__c", "string", "A", custom=True, external_id=True, unique=True), "abC", "ABc"),
        (Field("Email", "email", "A"), "abC", "ABc"),
        (Field("A__c", "string", "A"), "abc", " abc\n"),
        (Field("A__c", "double", "A"), "1", 1.0),
        (Field("A__c", "double", "A"), "x", "x"),
        (Field("Id", "id", "Id"), "001000000000001", "001000000000001AAA"),
    ],
)
def test_keys_that_find_the_same_are_the_same(field: Field, one: object, other: object) -> None:
    """By the rules of the field's type."""
    assert folded(field, one) == folded(field, other)
    assert GivenTwice.among(field, [one, other]).keys == {folded(field, one)}


def test_records_without_a_key_have_none_in_common() -> None:
    """Neither null nor empty text nor blanks are one."""
    assert GivenTwice.among(Field("A__c", "string", "A"), [None, "", " ", None, "", " "]).keys == frozenset()
