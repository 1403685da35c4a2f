"""Bulk API 1.0: batches that change data, in CSV, XML and JSON."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring
from tests.emulator.bulk1_client import NS, Classic, fields, refused, rows
from tests.emulator.conftest import stored

from halocline.emulator.server import Emulator

XML = '<sObjects xmlns="http://www.force.com/2009/06/asyncapi/dataload" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
BATCH_FIELDS = [
    *("id", "jobId", "state", "createdDate", "systemModstamp", "numberRecordsProcessed", "numberRecordsFailed"),
    *("totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime"),
]
MISSING = "Required fields are missing: [Name]"


@pytest.fixture
def classic(emulator: Emulator) -> Iterator[Classic]:
    made = Classic(emulator)
    yield made
    made.http.close()


def xml(*records: str) -> str:
    return XML + "".join(f"<sObject>{record}</sObject>" for record in records) + "</sObjects>"


def account(emulator: Emulator, record_id: str) -> Mapping[str, object]:
    return stored(emulator, "Account", record_id)


def test_csv_results_come_in_the_order_of_the_rows(emulator: Emulator, classic: Classic) -> None:
    """All values quoted, words in small letters, the error as `CODE:message:fields --`."""
    answer = classic.changed("insert", "Account", "Name,Phone\nÄ,1\n,2\nC,3\n")
    (header, first, second, third) = rows(answer)
    assert answer.text.startswith('"Id","Success","Created","Error"\n"001')
    assert header == ["Id", "Success", "Created", "Error"]
    assert (first[1:], third[1:]) == (["true", "true", ""], ["true", "true", ""])
    assert second == ["", "false", "false", f"REQUIRED_FIELD_MISSING:{MISSING}:Name --"]
    assert (account(emulator, first[0])["Name"], account(emulator, third[0])["Phone"]) == ("Ä", "3")


def test_json_results_name_the_fields_of_an_error(classic: Classic) -> None:
    """A list in order; `id` is null where there is none."""
    answer = classic.changed("insert", "Account", json.dumps([{"Name": "A"}, {"Phone": "1"}]), "JSON")
    assert answer.headers["content-type"] == "application/json"
    first, second = answer.json()
    assert (first["success"], first["created"], first["errors"]) == (True, True, [])
    error = {"statusCode": "REQUIRED_FIELD_MISSING", "message": MISSING, "fields": ["Name"], "extendedErrorDetails": None}
    assert second == {"success": False, "created": False, "id": None, "errors": [error]}


def test_xml_results_name_the_fields_of_an_error(classic: Classic) -> None:
    """In the vendor's namespace, in order."""
    answer = classic.changed("insert", "Account", xml("<Name>A &lt; B</Name>", "<Phone>1</Phone>"), "XML")
    assert answer.headers["content-type"] == "application/xml"
    root = fromstring(answer.content)
    first, second = root
    assert root.tag == f"{NS}results"
    assert list(fields(first)) == ["id", "success", "created"]
    (errors,) = second.findall(f"{NS}errors")
    assert fields(errors) == {"fields": "Name", "message": MISSING, "statusCode": "REQUIRED_FIELD_MISSING"}
    assert (second.findtext(f"{NS}success"), second.findtext(f"{NS}created")) == ("false", "false")


def test_a_batch_is_shown_in_the_format_of_its_job(classic: Classic) -> None:
    """XML for CSV jobs even where the request says JSON, with the fields in the vendor's order; JSON for JSON jobs."""
    job_id = classic.create("insert", "Account")
    batch_id = classic.add(job_id, "Name\nA\n\n")
    batch = classic.ended(job_id, batch_id)
    answer = classic.http.get(f"/job/{job_id}/batch/{batch_id[:15]}", headers={"Content-Type": "application/json"})
    assert answer.headers["content-type"] == "application/xml"
    assert list(batch) == BATCH_FIELDS
    assert (batch["jobId"], batch["numberRecordsProcessed"], batch["numberRecordsFailed"]) == (job_id, "1", "0")
    assert batch["createdDate"].endswith("Z")
    assert classic.batches(job_id) == [batch]
    other = classic.create("insert", "Account", "JSON")
    added = classic.post(other, '[{"Name": "A"}]', "JSON")
    assert (added.status_code, added.headers["content-type"]) == (201, "application/json")
    assert list(added.json()) == sorted([*BATCH_FIELDS, "stateMessage"])
    listed = classic.http.get(f"/job/{other}/batch").json()
    assert [one["id"] for one in listed["batchInfo"]] == [added.json()["id"]]
    assert listed["batchInfo"][0]["createdDate"].endswith("+0000")


@pytest.mark.parametrize("kind", ["CSV", "XML", "JSON"])
def test_empty_says_nothing_and_null_clears(emulator: Emulator, classic: Classic, add: Any, kind: str) -> None:
    """An empty value is left alone; `#N/A`, `xsi:nil` and JSON's null clear, a lookup by its relationship too."""
    parent = add("Account", Name="Parent")
    record = add("Account", Name="Old", Phone="1", Website="w", ParentId=parent)
    content = {
        "CSV": f"Id,Name,Phone,Website,Parent.Id\n{record},New,#N/A,,#N/A\n",
        "XML": xml(f'<Id>{record}</Id><Name>New</Name><Phone xsi:nil="true"/><Website></Website><Parent xsi:nil="1"/>'),
        "JSON": json.dumps([{"attributes": {"type": "Account"}, "Id": record, "Name": "New", "Phone": None, "Parent": None}]),
    }[kind]
    assert classic.changed("update", "Account", content, kind).status_code == 200
    row = account(emulator, record)
    assert [row[name] for name in ("Name", "Phone", "Website", "ParentId")] == ["New", None, "w", None]


@pytest.mark.parametrize("kind", ["CSV", "XML", "JSON"])
def test_lookups_are_set_by_a_key_of_the_other_record(emulator: Emulator, classic: Classic, add: Any, kind: str) -> None:
    """Through a relationship, its object named where the lookup may point at several."""
    contact = add("Contact", LastName="C")
    login = str(emulator.config.users[0].username)
    content = {
        "CSV": f"Subject,Contact:Who.Id,User:Owner.Username\nS,{contact},{login}\n",
        "XML": xml(
            f"<type>Task</type><Subject>S</Subject><Who><sObject><type>Contact</type><Id>{contact}</Id></sObject></Who>"
            f"<Owner><sObject><type>User</type><Username>{login}</Username></sObject></Owner>"
        ),
        "JSON": json.dumps(
            [
                {
                    "Subject": "S",
                    "Who": {"attributes": {"type": "Contact"}, "Id": contact},
                    "Owner": {"attributes": {"type": "User"}, "Username": login},
                }
            ]
        ),
    }[kind]
    classic.changed("insert", "Task", content, kind)
    found = emulator.store.read("SELECT WhoId, OwnerId FROM Task", ())
    assert found == [(contact, emulator.org.api_user_id)]


def test_the_type_of_an_xml_record_is_its_object_or_a_field(emulator: Emulator, classic: Classic) -> None:
    """The object's own name is no value; anything else is one of the field Type."""
    classic.changed("insert", "Account", xml("<type>account</type><Name>A</Name>", "<type>Prospect</type><Name>B</Name>"), "XML")
    assert emulator.store.read("SELECT Type FROM Account ORDER BY Name", ()) == [(None,), ("Prospect",)]


def test_values_of_every_kind_go_in_as_text(emulator: Emulator, classic: Classic) -> None:
    """Numbers, booleans (1 and 0 as well), dates and datetimes of a CSV."""
    header = "Number__c,Amount__c,Count__c,Paid__c,Due__c,Sent__c\n"
    answer = classic.changed("insert", "Invoice__c", header + "N1,12.5,3,1,2026-01-02,2026-01-02T03:04:05Z\nN2,,,false,,\n")
    first, second = (stored(emulator, "Invoice__c", row[0]) for row in rows(answer)[1:])
    names = ("Amount__c", "Count__c", "Paid__c", "Due__c", "Sent__c")
    assert [first[name] for name in names] == [12.5, 3, True, "2026-01-02", "2026-01-02T03:04:05.000Z"]
    assert [second[name] for name in names] == [None, None, False, None, None]


def test_upsert_says_what_is_new(classic: Classic, add: Any) -> None:
    """By external id or by Id; a row without the key is refused, and one key twice in a transaction."""
    add("Invoice__c", Number__c="N1")
    key = {"externalIdFieldName": "Number__c"}
    results = rows(classic.changed("upsert", "Invoice__c", "Number__c,Count__c\nN1,1\nN2,2\n,3\nN4,4\nn4,5\n", **key))[1:]
    assert [row[2] for row in results] == ["false", "true", "false", "false", "false"]
    assert results[2][3] == "MISSING_ARGUMENT:Number__c not specified:--"
    assert [row[3] for row in results[3:]] == [
        "DUPLICATE_VALUE:Duplicate external id specified: N4:Number__c --",
        "DUPLICATE_VALUE:Duplicate external id specified: n4:Number__c --",
    ]
    content = f"Id,Count__c\n{results[0][0]},9\n,8\n"
    assert [row[2] for row in rows(classic.changed("upsert", "Invoice__c", content, externalIdFieldName="Id"))[1:]] == [
        "false",
        "true",
    ]


def test_deletes_go_to_the_bin_and_hard_deletes_for_good(emulator: Emulator, classic: Classic, add: Any) -> None:
    """Rows without an id and unknown ids are refused; a batch with other columns fails."""
    first, second = add("Account", Name="A"), add("Account", Name="B")
    results = rows(classic.changed("delete", "Account", f'Id\n{first}\n""\n{first}\n'))[1:]
    assert results[0] == [first, "true", "false", ""]
    assert results[1][3] == "MISSING_ARGUMENT:Id not specified in a delete call:--"
    assert results[2][3] == "ENTITY_IS_DELETED:entity is deleted:--"
    assert account(emulator, first)["IsDeleted"]
    classic.changed("hardDelete", "Account", json.dumps([{"Id": first}, {"Id": second}]), "JSON")
    assert emulator.store.read("SELECT COUNT(*) FROM Account", ()) == [(0,)]
    assert classic.failed("delete", "Account", "Id,Name\n1,2\n") == "InvalidBatch : Delete batch must contain only ids"


def test_a_bad_row_stops_no_other(classic: Classic) -> None:
    """Rows of another width, values of another type, updates without an id: each says what is wrong with it."""
    answer = classic.changed("insert", "Invoice__c", "Number__c,Amount__c\nN1,1\nN2\nN3,x\nN4,4\n")
    width = "INVALID_FIELD:Number of fields in header is different from the row. header = 2 row = 1:--"
    kind = "INVALID_TYPE_ON_FIELD_IN_RECORD:Amount: value not of required type: x:Amount__c --"
    assert [row[3] for row in rows(answer)[1:]] == ["", width, kind, ""]
    (result,) = rows(classic.changed("update", "Invoice__c", "Number__c\nN1\n"))[1:]
    assert result == ["", "false", "false", "MISSING_ARGUMENT:Id not specified in an update call:--"]


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("Name,Foo__c\n1,2\n", "CSV", "Field name not found : Foo__c"),
        ("Name,Parent.Foo__c\n1,2\n", "CSV", "Field name not found : Parent.Foo__c"),
        ("Name,Parent.Phone\n1,2\n", "CSV", "Field name not found : Parent.Phone"),
        ("Name,Account:Parent.Id\n1,2\n", "CSV", "type is not needed for non polymorphic foreign key references: Parent"),
        ("Name,User:Parent.Id\n1,2\n", "CSV", "Field name not found : User:Parent.Id"),
        ("Name,name\n1,2\n", "CSV", "Field name is duplicated : name"),
        ("Name\n", "CSV", "Records not found"),
        ("", "CSV", "Records not found"),
        (XML + "</sObjects>", "XML", "Records not found"),
        ("[]", "JSON", "Records not found"),
        (
            '\ufeff"Name"\n"1"\n',
            "CSV",
            "Failed to parse CSV. Found unescaped quote. A value with quote should be within a quote",
        ),
        ('Name\na"b\n', "CSV", "Failed to parse CSV. Found unescaped quote. A value with quote should be within a quote"),
        (xml("<Foo__c>1</Foo__c>"), "XML", "Field name not found : Foo__c"),
        ('[{"Foo__c": 1}]', "JSON", "Field name not found : Foo__c"),
        ('[{"Parent": {}}]', "JSON", "Field name not found : Parent"),
        ('[{"\\ud800": 1}]', "JSON", "Failed to read the batch: a surrogate without its pair is no text"),
        ("<sObjects>", "XML", "Failed to parse XML. Unable to parse the request body: no element found: line 1, column 10"),
        (xml("<types>Contact</types>"), "XML", "Field name not found : types"),
        ('{"Name": "A"}', "JSON", "Failed to parse JSON: a batch is a list of records"),
    ],
)
def test_a_batch_that_cannot_be_read_fails_as_a_whole(classic: Classic, content: str, kind: str, message: str) -> None:
    """Nothing of it is written, and it has no results."""
    job_id = classic.create("insert", "Account", kind)
    batch_id = classic.add(job_id, content, kind)
    batch = classic.ended(job_id, batch_id)
    assert (batch["state"], batch["stateMessage"]) == ("Failed", f"InvalidBatch : {message}")
    assert refused(classic.result(job_id, batch_id)) == ("InvalidBatch", "Records not processed")
    assert classic.job(job_id)["numberBatchesFailed"] == 1


def test_a_batch_is_limited_in_rows_and_bytes(classic: Classic) -> None:
    """10,000 rows fail later, 10 million bytes are refused at once, packed ones too."""
    too_many = "Name\n" + "A\n" * 10_001
    assert classic.failed("insert", "Account", too_many) == "InvalidBatch : Exceeded max number of records in a batch: 10000"
    job_id = classic.create("insert", "Account")
    message = ("ClientInputError", "Failed to read request. Exceeded max size limit of 10000000")
    big = b"Name\n" + b"A" * 10_000_000
    assert refused(classic.post(job_id, big)) == message
    assert refused(classic.post(job_id, gzip.compress(big), **{"Content-Encoding": "gzip"})) == message


def test_bodies_come_packed_both_ways(emulator: Emulator, classic: Classic) -> None:
    """A batch in gzip is read, results are packed for who wants it, and a body that is no gzip is refused."""
    job_id = classic.create("insert", "Account")
    packed = {"Content-Encoding": "gzip"}
    added = fields(fromstring(classic.post(job_id, gzip.compress(b"Name\nA\n"), **packed).content))
    classic.ended(job_id, added["id"])
    answer = classic.http.get(f"/job/{job_id}/batch/{added['id']}/result", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert rows(answer)[1][1:] == ["true", "true", ""]
    for bad in (b"Name\nA\n", gzip.compress(b"Name\nA\n")[:-9]):
        assert refused(classic.post(job_id, bad, **packed))[0] == "ClientInputError"
    assert emulator.store.read("SELECT COUNT(*) FROM Account", ()) == [(1,)]


def test_a_batch_says_the_type_of_its_job(emulator: Emulator, classic: Classic) -> None:
    """Another content type is refused; the charset is heeded."""
    job_id = classic.create("insert", "Account")
    assert refused(classic.post(job_id, "[]", "JSON"))[0] == "ClientInputError"
    latin = {"Content-Type": "text/csv; charset=ISO-8859-1"}
    batch = fromstring(classic.http.post(f"/job/{job_id}/batch", content="Name\nÄ\n".encode("latin-1"), headers=latin).content)
    classic.ended(job_id, fields(batch)["id"])
    assert emulator.store.read("SELECT Name FROM Account", ()) == [("Ä",)]
    assert classic.failed("insert", "Account", b"Name\n\xff\n") == "InvalidBatch : Failed to read the batch as utf-8"


def test_the_request_of_a_batch_can_be_read_again(classic: Classic) -> None:
    """As it was sent, in the type of the job."""
    job_id = classic.create("insert", "Account")
    batch_id = classic.add(job_id, "Name\r\nA\r\n")
    answer = classic.http.get(f"/job/{job_id}/batch/{batch_id}/request")
    assert (answer.content, answer.headers["content-type"]) == (b"Name\r\nA\r\n", "text/csv")


def test_a_result_waits_for_the_end(emulator: Emulator, classic: Classic) -> None:
    """Before it there is none."""
    emulator.org.bulk1.hold()
    job_id = classic.create("insert", "Account")
    batch_id = classic.add(job_id, "Name\nA\n")
    assert refused(classic.result(job_id, batch_id)) == ("InvalidBatch", "Batch not completed")
    emulator.org.bulk1.release()
    classic.ended(job_id, batch_id)
    assert len(rows(classic.result(job_id, batch_id))) == 2


def test_what_the_user_may_not_see_is_not_there(emulator: Emulator, classic: Classic) -> None:
    """A hidden field is no column, a hidden object has no jobs."""
    emulator.org.hide(["Account.Phone", "Lead"])
    assert classic.failed("insert", "Account", "Name,Phone\nA,1\n") == "InvalidBatch : Field name not found : Phone"
    body = {"operation": "insert", "object": "Lead", "contentType": "CSV"}
    assert refused(classic.http.post("/job", json=body)) == ("InvalidJob", "Unable to find object: Lead")


def test_jobs_take_the_time_that_they_are_told(run_emulator: Callable[..., Emulator]) -> None:
    """The longer of `job_ms` and `job_ms_per_10k` for the rows is in the batch and in the job."""
    classic = Classic(run_emulator(job_ms=30, job_ms_per_10k=2_000_000))
    with classic.http:
        job_id = classic.create("insert", "Account")
        assert int(classic.ended(job_id, classic.add(job_id, "Name\nA\n"))["totalProcessingTime"]) >= 200
        assert classic.job(job_id)["totalProcessingTime"] >= 200
