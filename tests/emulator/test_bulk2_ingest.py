"""Bulk API 2.0 ingest jobs over HTTP: their life, their settings, their results."""

from __future__ import annotations

import gzip
import itertools
import re
from collections.abc import Callable, Iterator

import httpx2
import pytest
from tests.emulator.bulk2_load import close, create, ended, load, put, records, results
from tests.emulator.conftest import VERSION, connect, error, stored

from halocline.emulator.bulk2 import locators
from halocline.emulator.server import Emulator

THREE = "Name,Industry\nA,Banking\nB,Energy\nC,Retail\n"


def test_a_job_lives_as_the_vendor_describes(emulator: Emulator, client: httpx2.Client) -> None:
    """Open with a relative upload address, 201 without a body, UploadComplete, JobComplete; each answer has its own keys."""
    job = create(client, "account")
    common = ["id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state"]
    common += ["concurrencyMode", "contentType", "apiVersion"]
    assert list(job) == [*common, "contentUrl", "lineEnding", "columnDelimiter"]
    assert (job["object"], job["state"], job["apiVersion"]) == ("Account", "Open", 66.0)
    assert re.fullmatch(r"750[A-Za-z0-9]{15}", job["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000\+0000", job["createdDate"])
    assert job["contentUrl"] == f"services/data/v66.0/jobs/ingest/{job['id']}/batches"
    answer = client.put(
        f"{emulator.url}/{job['contentUrl']}/", content=THREE, headers={"Content-Type": "text/csv; charset=UTF-8"}
    )
    assert (answer.status_code, answer.content) == (201, b"")
    assert client.get(f"/jobs/ingest/{job['id']}").json()["state"] == "Open"
    closed = close(client, job["id"])
    assert (list(closed), closed["state"]) == (common, "UploadComplete")
    info = ended(client, job["id"])
    counters = ["numberRecordsProcessed", "numberRecordsFailed", "retries", "totalProcessingTime"]
    counters += ["apiActiveProcessingTime", "apexProcessingTime"]
    assert list(info) == [*common, "jobType", "lineEnding", "columnDelimiter", *counters]
    assert (info["state"], info["jobType"], info["numberRecordsProcessed"]) == ("JobComplete", "V2Ingest", 3)


def test_result_files_agree_with_recorded_ones(client: httpx2.Client) -> None:
    """Verbatim: own columns quoted, the client's header as written, every value quoted, errors as `CODE:message:fields --`."""
    job = load(client, 'Name,NumberOfEmployees,"Description"\nAcme,5,"two\nlines, ""quoted"""\n,7,nameless\nshort,1\nLast,,\n')
    first, last = job.ids
    header = 'Name,NumberOfEmployees,"Description"'
    assert job.success == (
        f'"sf__Id","sf__Created",{header}\n"{first}","true","Acme","5","two\nlines, ""quoted"""\n"{last}","true","Last","",""\n'
    )
    assert job.failed == (
        f'"sf__Id","sf__Error",{header}\n'
        '"","REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --","","7","nameless"\n'
        '"","INVALID_FIELD:Number of fields in header is different from the row. header = 3 row = 2:--","","",""\n'
    )
    assert job.unprocessed == header + "\n"
    assert job.counts == ("JobComplete", 4, 2)


def test_paths_of_results_are_found_in_any_case(client: httpx2.Client) -> None:
    """Clients write them differently, and some with a slash at the end."""
    job_id = load(client, THREE).info["id"]
    for name in ("successfulResults/", "successfulresults", "failedResults", "unprocessedRecords", "unprocessedrecords/"):
        answer = client.get(f"/jobs/ingest/{job_id}/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv")


def test_upserts_say_what_was_created(client: httpx2.Client, add: Callable[..., str]) -> None:
    """`sf__Created` is true for new records only, and the key may be spelled in any case."""
    old = add("Invoice__c", Number__c="N1", Short__c="a")
    job = load(client, "number__C,Short__c\nN1,b\nN2,c\n", "Invoice__c", "upsert", externalIdFieldName="number__c")
    assert job.info["externalIdFieldName"] == "Number__c"
    assert list(job.info).index("externalIdFieldName") == list(job.info).index("state") + 1
    found = {row["number__C"]: (row["sf__Id"], row["sf__Created"]) for row in records(job.success)}
    assert found["N1"] == (old, "false")
    assert found["N2"][1] == "true"


def test_updates_leave_what_is_empty_and_clear_what_says_so(
    emulator: Emulator, client: httpx2.Client, add: Callable[..., str]
) -> None:
    """An empty cell is ignored, `#N/A` is null, blanks around a text are not kept, 1 and 0 are booleans."""
    one = add("Invoice__c", Short__c="keep", Mail__c="a@b.cd", Paid__c=False, Count__c=3)
    job = load(client, f"Id,Short__c,Mail__c,Paid__c,Count__c\n{one[:15]},,#N/A,1, 4 \n", "Invoice__c", "update")
    assert (job.ids, job.counts) == ([one], ("JobComplete", 1, 0))
    row = stored(emulator, "Invoice__c", one)
    assert [row[name] for name in ("Short__c", "Mail__c", "Paid__c", "Count__c")] == ["keep", None, True, 4]
    load(client, f"Id,Short__c,Paid__c\n{one}, x ,FALSE\n", "Invoice__c", "update")
    assert [stored(emulator, "Invoice__c", one)[name] for name in ("Short__c", "Paid__c")] == ["x", False]


def test_failed_updates_show_the_id_since_v53(emulator: Emulator, client: httpx2.Client, add: Callable[..., str]) -> None:
    """Before it, and for inserts, it is empty."""
    one = add("Account", Name="x")
    content = f"Id,NumberOfEmployees\n{one},many\n"
    with httpx2.Client(base_url=f"{emulator.url}/services/data/v52.0", headers=client.headers) as older:
        ids = [records(load(each, content, "Account", "update").failed)[0]["sf__Id"] for each in (client, older)]
    assert ids == [one, ""]


def test_row_errors_are_spelled_as_bulk_spells_them(client: httpx2.Client, add: Callable[..., str]) -> None:
    """Code, message, fields; nothing between the colons if no field is to blame."""
    gone = add("Account", Name="gone")
    client.delete(f"/sobjects/Account/{gone}")
    unknown = "0015g00000ZZZZZ"
    rows = [f"{gone},", f"{unknown},", "001zz,", ",x", f"{add('Account', Name='y')},abc"]
    job = load(client, "Id,AnnualRevenue\n" + "\n".join(rows) + "\n", "Account", "update")
    assert sorted(job.errors) == sorted(
        [
            "ENTITY_IS_DELETED:entity is deleted:--",
            "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--",
            "MALFORMED_ID:Account ID: id value of incorrect type: 001zz:Id --",
            "MISSING_ARGUMENT:Id not specified in an update call:--",
            "INVALID_TYPE_ON_FIELD_IN_RECORD:Annual Revenue: value not of required type: abc:AnnualRevenue --",
        ]
    )


def test_a_key_that_comes_twice_in_a_transaction_fails_each_time(client: httpx2.Client) -> None:
    """In another transaction of 200 it is a change of the same record."""
    lines = ["N1,a", "n1,b", *(f"M{number},x" for number in range(198)), "M5,y"]
    job = load(client, "Number__c,Short__c\n" + "\n".join(lines) + "\n", "Invoice__c", "upsert", externalIdFieldName="Number__c")
    assert job.counts == ("JobComplete", 201, 2)
    assert sorted(job.errors) == [
        "DUPLICATE_VALUE:Duplicate external id specified: N1:Number__c --",
        "DUPLICATE_VALUE:Duplicate external id specified: n1:Number__c --",
    ]
    changed = [row for row in records(job.success) if row["Number__c"] == "M5"]
    assert [row["sf__Created"] for row in changed] == ["true", "false"]
    assert len({row["sf__Id"] for row in changed}) == 1


def test_an_upsert_without_a_key_is_refused(client: httpx2.Client) -> None:
    """Row by row, with or without the column."""
    for content in ("Number__c,Short__c\n,a\n", "Short__c\na\n"):
        job = load(client, content, "Invoice__c", "upsert", externalIdFieldName="Number__c")
        assert job.errors == ["MISSING_ARGUMENT:Number__c not specified:--"]


def test_lookups_by_key_set_the_parent(emulator: Emulator, client: httpx2.Client, add: Callable[..., str]) -> None:
    """By relationship, with the object named or not; `#N/A` clears; a key that finds nobody fails its row alone."""
    user = stored(emulator, "User", emulator.org.api_user_id)["Username"]
    content = f"Name,User:Owner.Username\nA,{user}\nB,nobody@x.yz\n"
    job = load(client, content)
    assert job.counts == ("JobComplete", 2, 1)
    assert stored(emulator, "Account", job.ids[0])["OwnerId"] == emulator.org.api_user_id
    assert job.errors[0].startswith("INVALID_FIELD:Foreign key external ID: nobody@x.yz not found for field Username")
    invoice = add("Invoice__c", Account__c=add("Account", Name="P"))
    assert load(client, f"Id,Account__r.Id\n{invoice},#N/A\n", "Invoice__c", "update").counts == ("JobComplete", 1, 0)
    assert stored(emulator, "Invoice__c", invoice)["Account__c"] is None


def test_polymorphic_lookups_name_their_object(emulator: Emulator, client: httpx2.Client, add: Callable[..., str]) -> None:
    """`Contact:Who.Email`; without it nobody knows whose field that is."""
    contact = add("Contact", LastName="C", Email="c@d.ef")
    job = load(client, "Subject,Contact:Who.Email\nCall,c@d.ef\n", "Task")
    assert job.counts == ("JobComplete", 1, 0), job.failed
    assert stored(emulator, "Task", job.ids[0])["WhoId"] == contact
    failed = load(client, "Subject,Who.Email\nCall,c@d.ef\n", "Task")
    assert failed.info["errorMessage"] == "InvalidBatch : Field name not found : Who.Email"


def test_deletes_take_ids_and_hard_deletes_leave_nothing(
    emulator: Emulator, client: httpx2.Client, add: Callable[..., str]
) -> None:
    """Deleted records lie in the recycle bin, hard-deleted ones nowhere; `sf__Created` is false."""
    soft, hard = add("Account", Name="soft"), add("Account", Name="hard")
    for record_id, operation in ((soft, "delete"), (hard, "hardDelete")):
        job = load(client, f"id\n{record_id}\n", "Account", operation)
        assert job.success == f'"sf__Id","sf__Created",id\n"{record_id}","false","{record_id}"\n'
    assert stored(emulator, "Account", soft)["IsDeleted"] is True
    account = emulator.store.catalog.get("Account")
    assert account is not None
    assert emulator.store.get(account, hard) is None


def test_a_delete_with_other_columns_fails_as_a_whole(client: httpx2.Client, add: Callable[..., str]) -> None:
    """Only ids; the rows stay unprocessed."""
    content = f"Id,Name\n{add('Account', Name='x')},x\n"
    job = load(client, content, "Account", "delete")
    assert (job.info["state"], job.info["errorMessage"]) == ("Failed", "InvalidBatch : Delete batch must contain only ids")
    assert job.unprocessed == content


def test_hard_delete_needs_a_permission(run_emulator: Callable[..., Emulator]) -> None:
    """403 at creation in the vendor's words."""
    with connect(run_emulator(hard_delete=False)) as client:
        answer = client.post("/jobs/ingest", json={"object": "Account", "operation": "hardDelete"})
    assert error(answer) == (403, "FEATURENOTENABLED")
    assert "hardDelete operation requires special user profile permission" in answer.json()[0]["message"]


UPSERT = {"object": "Account", "operation": "upsert"}


@pytest.mark.parametrize(
    ("wanted", "code", "message"),
    [
        ({"object": "", "operation": "insert"}, "INVALIDJOB", "InvalidJob : Unable to find object: "),
        ({"object": "Nothing__c", "operation": "insert"}, "INVALIDJOB", "InvalidJob : Unable to find object: Nothing__c"),
        ({"operation": "insert"}, "INVALIDJOB", "InvalidJob : Unable to find object: "),
        ({"object": "Silent__c", "operation": "insert"}, "INVALIDENTITY", "is not supported by the Bulk API."),
        ({"object": "Account", "operation": ""}, "API_ERROR", "Invalid value: '' supplied for property: 'operation'"),
        ({"object": "Account"}, "API_ERROR", "Invalid value: '' supplied for property: 'operation'"),
        ({"object": "Account", "operation": "query"}, "API_ERROR", "'query' supplied for property: 'operation'"),
        (UPSERT, "INVALIDJOB", "InvalidJob : External ID was blank for Account. An External ID must be specified for upsert."),
        (
            UPSERT | {"externalIdFieldName": ""},
            "INVALIDJOB",
            "InvalidJob : Field name provided,  does not match an External ID for Account",
        ),
        (UPSERT | {"externalIdFieldName": "Phone"}, "INVALIDJOB", "Phone does not match an External ID for Account"),
        ({"object": "Account", "operation": "insert", "contentType": "JSON"}, "API_ERROR", "property: 'contentType'"),
        ({"object": "Account", "operation": "insert", "columnDelimiter": ";"}, "API_ERROR", "property: 'columnDelimiter'"),
        ({"object": "Account", "operation": "insert", "lineEnding": "CR"}, "API_ERROR", "property: 'lineEnding'"),
        ({"object": "Account", "operation": "insert", "assignmentRuleId": "01Q5g000000AAAAAAA"}, "INVALIDJOB", "not valid"),
        ({"object": "Lead", "operation": "insert", "assignmentRuleId": "rule"}, "INVALIDJOB", "not valid"),
    ],
)
def test_wrong_settings_are_refused(client: httpx2.Client, wanted: dict[str, str], code: str, message: str) -> None:
    """400 in the words of real orgs where they are known, and no job remains."""
    answer = client.post("/jobs/ingest", json=wanted)
    assert error(answer) == (400, code)
    assert message in answer.json()[0]["message"]
    assert client.get("/jobs/ingest").json()["records"] == []


def test_an_assignment_rule_is_kept_for_leads(client: httpx2.Client) -> None:
    """It is shown again."""
    job = create(client, "Lead", assignmentRuleId="01Q5g0000000001EAA")
    assert client.get(f"/jobs/ingest/{job['id']}").json()["assignmentRuleId"] == "01Q5g0000000001EAA"


def test_ingest_exists_since_v41(emulator: Emulator, client: httpx2.Client) -> None:
    """Before it the resource is unknown."""
    answer = client.post(f"{emulator.url}/services/data/v40.0/jobs/ingest", json={"object": "Account", "operation": "insert"})
    assert error(answer) == (404, "NOT_FOUND")


def test_a_form_brings_settings_and_data_together(client: httpx2.Client) -> None:
    """The job is closed at once; more than 100,000 characters are refused."""

    def post(content: str, line_end: str = "\r\n") -> httpx2.Response:
        lines = ["--XX", "Content-Type: application/json", 'Content-Disposition: form-data; name="job"', ""]
        lines += ['{"object": "Account", "operation": "insert"}', "", "--XX", "Content-Type: text/csv"]
        lines += ['Content-Disposition: form-data; name="content"; filename="content"', "", content, "--XX--", ""]
        headers = {"Content-Type": "multipart/form-data; boundary=XX"}
        return client.post("/jobs/ingest", content=line_end.join(lines), headers=headers)

    for line_end in ("\r\n", "\n"):
        answer = post(THREE, line_end)
        assert (answer.status_code, answer.json()["state"]) == (200, "UploadComplete")
        assert "contentUrl" not in answer.json()
        assert results(client, answer.json()["id"]).counts == ("JobComplete", 3, 0)
    assert error(post("Name\n" + "x" * 100_000)) == (400, "INVALIDJOB")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--X\r\n\r\n--X--"),
        ("multipart/form-data; boundary=X", b"nothing"),
        ("multipart/form-data; boundary=X", b"--X\r\nno content\r\n--X--"),
        ("multipart/form-data; boundary=X", b'--X\r\nContent-Disposition: form-data; name="job"\r\n\r\n{}\r\n--X--'),
        ("application/json", b"[]"),
        ("application/json", b""),
    ],
)
def test_malformed_creations_are_refused(client: httpx2.Client, content_type: str, body: bytes) -> None:
    """400, never a failure of ours."""
    answer = client.post("/jobs/ingest", content=body, headers={"Content-Type": content_type})
    assert error(answer)[0] == 400


def test_data_is_uploaded_exactly_once(client: httpx2.Client) -> None:
    """A second upload is refused in the service's own spelling, and the first one counts."""
    job_id = create(client)["id"]
    assert put(client, job_id, THREE).status_code == 201
    again = put(client, job_id, "Name\nother\n")
    assert error(again) == (400, "BULK_API_ERROR")
    assert again.json()[0]["message"].startswith(f"Found multipe contents for job: <{job_id[:15]}>, please 'Close'")
    close(client, job_id)
    assert results(client, job_id).counts == ("JobComplete", 3, 0)
    assert error(put(client, job_id, THREE)) == (400, "INVALIDJOBSTATE")


def test_uploads_may_be_packed_and_chunked(client: httpx2.Client) -> None:
    """`Content-Encoding: gzip`, and bodies without a length."""

    def pieces() -> Iterator[bytes]:
        yield from (THREE.encode()[:7], THREE.encode()[7:])

    packed, chunked = create(client)["id"], create(client)["id"]
    assert put(client, packed, gzip.compress(THREE.encode()), **{"Content-Encoding": "gzip"}).status_code == 201
    path = f"/jobs/ingest/{chunked}/batches"
    assert client.put(path, content=pieces(), headers={"Content-Type": "text/csv"}).status_code == 201
    for job_id in (packed, chunked):
        close(client, job_id)
        assert results(client, job_id).counts == ("JobComplete", 3, 0)


def test_bad_uploads_are_refused_and_leave_the_job_open(emulator: Emulator, client: httpx2.Client) -> None:
    """No CSV, no gzip, half a gzip, no such job: nothing is kept on disk, and a good upload still works."""
    job_id = create(client)["id"]
    packed = {"Content-Encoding": "gzip"}
    assert error(put(client, job_id, THREE, **{"Content-Type": "application/json"}))[0] == 415
    assert error(put(client, job_id, THREE, **packed)) == (400, "CLIENTINPUTERROR")
    assert error(put(client, job_id, gzip.compress(THREE.encode())[:-9], **packed)) == (400, "CLIENTINPUTERROR")
    assert error(put(client, "7505g0000000000AAA", THREE)) == (404, "NOT_FOUND")
    assert [path.name for path in emulator.org.folder.iterdir() if path.is_file()] == []
    assert put(client, job_id, THREE).status_code == 201


def test_uploads_have_a_size_limit(run_emulator: Callable[..., Emulator]) -> None:
    """It is measured after base64, and after unpacking; the largest that fits is taken."""
    with connect(run_emulator(bulk_upload_bytes=4_000)) as client:
        job_id = create(client)["id"]
        content = b"Name\n" + b"x" * 2_994 + b"\n"
        for too_much, headers in ((content + b"y", {}), (gzip.compress(content + b"y"), {"Content-Encoding": "gzip"})):
            answer = put(client, job_id, too_much, **headers)
            assert error(answer) == (400, "CLIENTINPUTERROR")
            assert "Exceeded max size limit of 4000" in answer.json()[0]["message"]
        assert put(client, job_id, content).status_code == 201


def test_a_job_without_data_fails(client: httpx2.Client) -> None:
    """There is no header to read; a header alone is a job of no records."""
    job_id = create(client)["id"]
    close(client, job_id)
    job = results(client, job_id)
    assert (job.info["state"], job.info["errorMessage"]) == ("Failed", "InvalidBatch : Failed to parse CSV header")
    assert (job.success, job.unprocessed) == ('"sf__Id","sf__Created"\n', "\n")
    assert load(client, "Name\n").counts == ("JobComplete", 0, 0)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Name,Foo__c", "InvalidBatch : Field name not found : Foo__c"),
        ("Name,Owner.LastName", "InvalidBatch : Field name not found : Owner.LastName"),
        ("Name,Foo.Id", "InvalidBatch : Field name not found : Foo.Id"),
        ("Name,name", "InvalidBatch : Field name is duplicated : name"),
        ("Name, Phone", "InvalidBatch : Field name not found :  Phone"),
        (
            'Name,"Phone',
            "InvalidBatch : Failed to parse CSV. Found unescaped quote. A value with quote should be within a quote",
        ),
        (
            '\ufeff"Name","Phone"',
            "InvalidBatch : Failed to parse CSV. Found unescaped quote. A value with quote should be within a quote",
        ),
    ],
)
def test_a_wrong_header_fails_the_job_before_any_record(client: httpx2.Client, header: str, message: str) -> None:
    """All records stay unprocessed, as they came."""
    job = load(client, f"{header}\na,b\n")
    assert job.counts == ("Failed", 0, 0)
    assert job.info["errorMessage"] == message
    assert job.unprocessed.endswith("a,b\n")


def test_compound_and_read_only_fields_are_refused_row_by_row(client: httpx2.Client) -> None:
    """They exist, but nobody may write them."""
    for name in ("BillingAddress", "CreatedDate"):
        (message,) = load(client, f"Name,{name}\na,b\n").errors
        assert message.startswith(f"INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: {name}.")
        assert message.endswith(f":{name} --")


def test_hidden_fields_do_not_exist_for_uploads(emulator: Emulator, client: httpx2.Client) -> None:
    """The message is that of a field that is not there."""
    emulator.org.hide(["Account.Industry"])
    assert load(client, THREE).info["errorMessage"] == "InvalidBatch : Field name not found : Industry"


def test_states_go_one_way(client: httpx2.Client) -> None:
    """What has ended cannot be aborted, closed or given data; what is open cannot be deleted or read."""
    open_id = create(client)["id"]
    assert error(client.delete(f"/jobs/ingest/{open_id}")) == (400, "INVALIDJOBSTATE")
    assert error(client.get(f"/jobs/ingest/{open_id}/successfulResults")) == (400, "INVALIDJOBSTATE")
    assert error(client.patch(f"/jobs/ingest/{open_id}", json={"state": "Failed"})) == (400, "API_ERROR")
    assert client.patch(f"/jobs/ingest/{open_id}", json={"state": "Aborted"}).json()["state"] == "Aborted"
    done_id = load(client, THREE).info["id"]
    for job_id, word in ((open_id, "Aborted"), (done_id, "Completed")):
        for state, verb in (("Aborted", "Aborting"), ("UploadComplete", "Closing")):
            answer = client.patch(f"/jobs/ingest/{job_id}", json={"state": state})
            assert error(answer) == (400, "INVALIDJOBSTATE")
            assert answer.json()[0]["message"] == f"{verb} already {word} Job not allowed"


def test_an_open_job_that_is_aborted_returns_its_data(client: httpx2.Client) -> None:
    """All of it is unprocessed, header alone included; without data there is nothing."""
    for content, returned in ((THREE, THREE), ("Name", "Name\n"), (None, "\n")):
        job_id = create(client)["id"]
        if content is not None:
            put(client, job_id, content)
        client.patch(f"/jobs/ingest/{job_id}", json={"state": "Aborted"})
        assert results(client, job_id).unprocessed == returned


def test_results_of_a_job_that_never_began_do_not_wait_for_others(emulator: Emulator, client: httpx2.Client) -> None:
    """Held jobs may take every thread there is."""
    admin(emulator, "jobs/hold")
    waiting = [create(client)["id"] for _ in range(6)]
    for job_id in waiting:
        put(client, job_id, THREE)
        close(client, job_id)
    client.patch(f"/jobs/ingest/{waiting[-1]}", json={"state": "Aborted"})
    assert results(client, waiting[-1]).unprocessed == THREE
    admin(emulator, "jobs/release")
    assert [results(client, job_id).counts for job_id in waiting[:-1]] == [("JobComplete", 3, 0)] * 5


def test_a_deleted_job_takes_its_files_along(emulator: Emulator, client: httpx2.Client) -> None:
    """204 without a body, then 404."""
    job_id = load(client, THREE).info["id"]
    answer = client.delete(f"/jobs/ingest/{job_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert error(client.get(f"/jobs/ingest/{job_id}")) == (404, "NOT_FOUND")
    assert [path.name for path in emulator.org.folder.iterdir() if path.is_file()] == []


def test_jobs_are_listed_by_kind_and_mode(client: httpx2.Client) -> None:
    """Ingest jobs, filtered as asked; query jobs have their own list."""
    jobs = [create(client)["id"] for _ in range(2)]
    client.post("/jobs/query", json={"operation": "query", "query": "SELECT Id FROM Account"})

    def listed(**filters: str) -> list[str]:
        answer = client.get("/jobs/ingest", params=filters).json()
        assert (answer["done"], answer["nextRecordsUrl"]) == (True, None)
        return [job["id"] for job in answer["records"]]

    assert listed() == listed(jobType="V2Ingest") == listed(concurrencyMode="parallel") == jobs
    assert listed(isPkChunkingEnabled="false") == jobs
    assert listed(jobType="BigObjectIngest") == listed(concurrencyMode="serial") == listed(isPkChunkingEnabled="true") == []


def test_classic_jobs_are_in_the_list(emulator: Emulator, client: httpx2.Client) -> None:
    """Bulk API's jobs as `Classic`."""
    token = client.headers["Authorization"].removeprefix("Bearer ")
    wanted = {"operation": "insert", "object": "Account", "contentType": "CSV"}
    made = client.post(f"{emulator.url}/services/async/66.0/job", json=wanted, headers={"X-SFDC-Session": token})
    assert made.status_code == 201, made.text
    (job,) = client.get("/jobs/ingest", params={"jobType": "Classic"}).json()["records"]
    assert (job["jobType"], job["object"], job["state"], job["apiVersion"]) == ("Classic", "Account", "Open", 66.0)


@pytest.mark.parametrize("listed", [20, pytest.param(1_000, marks=pytest.mark.long)])
def test_long_lists_come_in_pages_of_a_thousand(
    emulator: Emulator, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, listed: int
) -> None:
    """`nextRecordsUrl` leads on, with the filters."""
    assert locators.JOBS_LISTED == 1_000
    monkeypatch.setattr(locators, "JOBS_LISTED", listed)
    for _ in range(listed + 1):
        create(client)
    first = client.get("/jobs/ingest", params={"jobType": "V2Ingest"}).json()
    assert (len(first["records"]), first["done"]) == (listed, False)
    rest = client.get(emulator.url + first["nextRecordsUrl"]).json()
    assert (len(rest["records"]), rest["done"]) == (1, True)


def test_open_jobs_are_aborted_after_a_day_and_ended_ones_gone_after_a_week(emulator: Emulator, client: httpx2.Client) -> None:
    """By the org's clock; the results go with the job."""
    open_id, done_id = create(client)["id"], load(client, THREE).info["id"]
    emulator.clock.advance(25 * 3600)
    assert client.get(f"/jobs/ingest/{open_id}").json()["state"] == "Aborted"
    emulator.clock.advance(5 * 24 * 3600)
    assert client.get(f"/jobs/ingest/{done_id}/successfulResults").status_code == 200
    emulator.clock.advance(24 * 3600)
    assert error(client.get(f"/jobs/ingest/{done_id}/successfulResults")) == (404, "NOT_FOUND")
    assert client.get(f"/jobs/ingest/{open_id}").status_code == 200


def many(count: int) -> str:
    return "Name\n" + "".join(f"Account {number}\n" for number in range(count))


def admin(emulator: Emulator, path: str, **wanted: object) -> None:
    assert httpx2.post(f"{emulator.url}/__emulator__/{path}", json=wanted).status_code == 204


def test_a_held_job_is_stuck_until_it_is_released(emulator: Emulator, client: httpx2.Client) -> None:
    """It is in progress and does nothing; aborted meanwhile it ends, and all of it is unprocessed."""
    admin(emulator, "jobs/hold")
    first, second = create(client)["id"], create(client)["id"]
    for job_id in (first, second):
        put(client, job_id, THREE)
        close(client, job_id)
        while client.get(f"/jobs/ingest/{job_id}").json()["state"] == "UploadComplete":
            pass
    assert httpx2.get(f"{emulator.url}/__emulator__/jobs").json()["held"] is True
    assert client.get(f"/jobs/ingest/{first}").json()["numberRecordsProcessed"] == 0
    client.patch(f"/jobs/ingest/{second}", json={"state": "Aborted"})
    assert results(client, second).unprocessed == THREE
    admin(emulator, "jobs/release")
    assert results(client, first).counts == ("JobComplete", 3, 0)


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_doomed_job_keeps_what_it_has_done(emulator: Emulator, client: httpx2.Client, state: str) -> None:
    """After a batch of 10,000: those records are written, the others come back unprocessed, and the counters agree."""
    admin(emulator, "jobs/doom", state=state, message="TooManyLockFailure : told to", after_batches=1)
    job = load(client, many(10_003))
    assert job.counts == (state, 10_000, 0)
    assert job.info["errorMessage"] == "TooManyLockFailure : told to"
    assert job.unprocessed == "Name\nAccount 10000\nAccount 10001\nAccount 10002\n"
    assert len(job.ids) == emulator.store.count(emulator.org.sobject("Account")) == 10_000
    assert load(client, THREE).counts == ("JobComplete", 3, 0)


def test_a_doom_may_name_its_job(emulator: Emulator, client: httpx2.Client) -> None:
    """Others are spared; another state than Failed or Aborted is refused."""
    job_id = create(client)["id"]
    put(client, job_id, THREE)
    admin(emulator, "jobs/doom", message="no", job=job_id)
    assert load(client, THREE).counts == ("JobComplete", 3, 0)
    close(client, job_id)
    assert results(client, job_id).counts == ("Failed", 0, 0)
    assert httpx2.post(f"{emulator.url}/__emulator__/jobs/doom", json={"state": "Open"}).status_code == 400


def test_all_jobs_can_be_forgotten(emulator: Emulator, client: httpx2.Client) -> None:
    """Also those that are held; what comes later is neither held nor doomed."""
    admin(emulator, "jobs/hold")
    admin(emulator, "jobs/doom", after_batches=1)
    job_id = create(client)["id"]
    put(client, job_id, THREE)
    close(client, job_id)
    assert httpx2.delete(f"{emulator.url}/__emulator__/jobs").status_code == 204
    assert client.get(f"/jobs/ingest/{job_id}").status_code == 404
    assert load(client, THREE).counts == ("JobComplete", 3, 0)
    assert emulator.store.count(emulator.org.sobject("Account")) == 3


def test_speed_is_as_ordered(run_emulator: Callable[..., Emulator]) -> None:
    """`job_ms` for the job and `job_ms_per_10k` for its records are the least it takes; states are never skipped."""
    with connect(run_emulator(job_ms_per_10k=300)) as client:
        job_id = create(client)["id"]
        put(client, job_id, many(10_000))
        states = [close(client, job_id)["state"]]
        while states[-1] != "JobComplete":
            states.append(client.get(f"/jobs/ingest/{job_id}").json()["state"])
        info = client.get(f"/jobs/ingest/{job_id}").json()
    assert [state for state, _ in itertools.groupby(states)] == ["UploadComplete", "InProgress", "JobComplete"]
    assert info["totalProcessingTime"] >= 300
    assert info["apiActiveProcessingTime"] <= info["totalProcessingTime"]


def test_the_batches_of_the_day_run_out(emulator: Emulator, client: httpx2.Client) -> None:
    """One for every 10,000 records; the job that finds none left fails and keeps the rest unprocessed."""
    emulator.org.limits.set_max("DailyBulkApiBatches", 1)
    job = load(client, many(10_001))
    assert job.counts == ("Failed", 10_000, 0)
    assert job.info["errorMessage"] == "ExceededQuota : ApiBatchItems Limit exceeded."
    assert job.unprocessed == "Name\nAccount 10000\n"
    assert client.get("/limits").json()["DailyBulkApiBatches"]["Remaining"] == 0


def test_the_call_log_knows_ingest(emulator: Emulator, client: httpx2.Client) -> None:
    """Each call under its kind."""
    job_id = load(client, THREE).info["id"]
    client.get("/jobs/ingest")
    client.delete(f"/jobs/ingest/{job_id}")
    kinds = [call.kind for call in emulator.calls if call.kind.startswith("ingest.") and call.kind != "ingest.status"]
    assert kinds == ["ingest.create", "ingest.upload", "ingest.end", *["ingest.results"] * 3, "ingest.list", "ingest.delete"]


def test_uploads_need_a_session(emulator: Emulator) -> None:
    """401, and nothing is kept."""
    answer = httpx2.put(f"{emulator.url}{VERSION}/jobs/ingest/7505g0000000000AAA/batches", content=THREE)
    assert error(answer) == (401, "INVALID_SESSION_ID")
    httpx2.get(f"{emulator.url}/services/data")  # the upload goes when its answer has left; by now it has
    assert [path.name for path in emulator.org.folder.iterdir() if path.is_file()] == []
