"""The reading REST resources: versions, describes, queries and their pages, deleted and updated ids."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx2
import pytest
from tests.emulator.conftest import VERSION, connect, error

from halocline.emulator.server import Emulator

NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


def test_the_versions_need_no_session_and_no_limit_header(emulator: Emulator) -> None:
    """A JSON array, oldest first, so that both the last and the greatest entry are the newest."""
    answer = httpx2.get(emulator.url + "/services/data")
    rows = answer.json()
    assert [rows[0]["version"], rows[-1]] == ["31.0", {"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"}]
    assert next(row["label"] for row in rows if row["version"] == "59.0") == "Winter '24"
    assert "sforce-limit-info" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/services/data/", "/SERVICES/data", "/my.salesforce.com/services/data", "/x.salesforce.com/services/data/"]
)
def test_slashes_case_and_a_domain_segment_do_not_matter(emulator: Emulator, path: str) -> None:
    """Clients spell the same resource in several ways."""
    assert httpx2.get(emulator.url + path).status_code == 200


def test_a_doubled_prefix_is_an_error(client: httpx2.Client) -> None:
    """A client that joins addresses wrongly must see it."""
    assert error(client.get(f"/query{VERSION}/query/01g000000000000AAA-2000")) == (404, "NOT_FOUND")


def test_the_resources_of_a_version_are_paths(client: httpx2.Client) -> None:
    """The sf CLI reads where things are from here."""
    answer = client.get("").json()
    assert (answer["sobjects"], answer["query"]) == (f"{VERSION}/sobjects", f"{VERSION}/query")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v30.0", (410, "UNSUPPORTED_API_VERSION")),
        ("v68.0", (404, "NOT_FOUND")),
        ("v66.1", (404, "NOT_FOUND")),
        ("v6.0", (404, "NOT_FOUND")),
    ],
)
def test_versions_outside_the_served_ones_are_refused(
    emulator: Emulator, client: httpx2.Client, version: str, expected: tuple[int, str]
) -> None:
    """Retired versions are gone, others never were."""
    assert error(client.get(f"{emulator.url}/services/data/{version}/limits")) == expected


@pytest.mark.parametrize("version", ["v31.0", "v67.0"])
def test_the_oldest_and_the_newest_version_are_served(emulator: Emulator, client: httpx2.Client, version: str) -> None:
    """31.0 to 67.0, both included."""
    assert client.get(f"{emulator.url}/services/data/{version}/limits").status_code == 200


def test_unknown_resources_and_methods_are_refused(client: httpx2.Client) -> None:
    """404 for what does not exist, 405 for what exists without that method."""
    assert error(client.get("/nothing")) == (404, "NOT_FOUND")
    assert error(client.post("/nothing/else", json={})) == (404, "NOT_FOUND")
    assert error(client.get("/nothing", headers={"Authorization": ""})) == (401, "INVALID_SESSION_ID")
    assert error(client.get("/sobjects/Nothing__c/describe")) == (404, "NOT_FOUND")
    assert error(client.delete("/query")) == (405, "METHOD_NOT_ALLOWED")


def test_describes_answer_for_any_case_of_the_name(client: httpx2.Client) -> None:
    """The canonical name comes back."""
    assert client.get("/sobjects/aCCount/describe/").json()["name"] == "Account"
    names = [entry["name"] for entry in client.get("/sobjects").json()["sobjects"]]
    assert {"Account", "Invoice__c"} <= set(names)
    assert client.get("/sobjects/account").json()["objectDescribe"]["name"] == "Account"


def test_rest_answers_are_json_in_utf_8(client: httpx2.Client) -> None:
    """The content type is the vendor's, to the letter."""
    assert client.get("/limits").headers["content-type"] == "application/json;charset=UTF-8"


def test_answers_are_compressed_only_when_asked(client: httpx2.Client) -> None:
    """With gzip that any decoder reads."""
    plain = client.get("/sobjects", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with client.stream("GET", "/sobjects", headers={"Accept-Encoding": "gzip"}) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        raw = b"".join(packed.iter_raw())
    assert gzip.decompress(raw) == plain.content
    assert zlib.decompress(raw, 31) == plain.content


def test_a_query_returns_records_in_the_vendors_shape(client: httpx2.Client, add: Callable[..., str]) -> None:
    """Attributes first, then the columns in the order of the SELECT, under canonical names."""
    record_id = add("Account", Name="Acme")
    answer = client.get("/query", params={"q": "SELECT name, id FROM account"}).json()
    url = f"{VERSION}/sobjects/Account/{record_id}"
    assert answer == {
        "totalSize": 1,
        "done": True,
        "records": [{"attributes": {"type": "Account", "url": url}, "Name": "Acme", "Id": record_id}],
    }
    assert list(answer["records"][0]) == ["attributes", "Name", "Id"]


def test_a_plus_in_the_query_is_a_space(emulator: Emulator, client: httpx2.Client, add: Callable[..., str]) -> None:
    """Both encodings of a space are in use."""
    add("Account", Name="Acme")
    assert client.get(f"{emulator.url}{VERSION}/query/?q=SELECT+Id+FROM%20Account").json()["totalSize"] == 1


def test_count_has_a_size_and_no_records(client: httpx2.Client, add: Callable[..., str]) -> None:
    """`COUNT()` is answered in totalSize."""
    add("Account", Name="Acme")
    assert client.get("/query", params={"q": "SELECT COUNT() FROM Account"}).json() == {
        "totalSize": 1,
        "done": True,
        "records": [],
    }


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Foo__c FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nothing__c", "INVALID_TYPE"),
        ("SELECT Id FORM Account", "MALFORMED_QUERY"),
        ("", "MALFORMED_QUERY"),
    ],
)
def test_wrong_soql_is_refused(client: httpx2.Client, soql: str, code: str) -> None:
    """400 with the vendor's code."""
    assert error(client.get("/query", params={"q": soql})) == (400, code)


def add_many(add: Callable[..., str], count: int) -> list[str]:
    return [add("Account", Name=f"Account {number:04d}") for number in range(count)]


def pages(client: httpx2.Client, url: str, answer: dict[str, object]) -> list[dict[str, object]]:
    found = [answer]
    while not found[-1]["done"]:
        found.append(client.get(f"{url}{found[-1]['nextRecordsUrl']}").json())
    return found


def names(answers: list[dict[str, object]]) -> list[str]:
    return [record["Name"] for answer in answers for record in answer["records"]]  # type: ignore[attr-defined]


QUERY = {"q": "SELECT Name FROM Account ORDER BY Name"}


def test_pages_follow_each_other_to_the_end(emulator: Emulator, client: httpx2.Client, add: Callable[..., str]) -> None:
    """Each page names the next by a path with the row number; only the last is done."""
    add_many(add, 450)
    first = client.get("/query", params=QUERY, headers={"Sforce-Query-Options": "batchSize=200"}).json()
    assert first["nextRecordsUrl"].startswith(f"{VERSION}/query/01g")
    assert first["nextRecordsUrl"].endswith("-200")
    headers = {"Sforce-Query-Options": "batchSize=200"}
    client.headers.update(headers)
    answers = pages(client, emulator.url, first)
    assert [len(answer["records"]) for answer in answers] == [200, 200, 50]  # type: ignore[arg-type]
    assert {answer["totalSize"] for answer in answers} == {450}
    assert names(answers) == [f"Account {number:04d}" for number in range(450)]


def test_pages_stay_as_they_were_while_the_org_changes(run_emulator: Callable[..., Emulator]) -> None:
    """A cursor is a snapshot: rows that come, go or change later are not in it, and a page can be read twice."""
    emulator = run_emulator(page_size=300)
    account = emulator.store.catalog.get("Account")
    assert account is not None
    user = emulator.org.api_user_id
    ids = [emulator.store.insert(account, {"Name": f"Account {number:04d}"}, user_id=user) for number in range(700)]
    with connect(emulator) as client:
        first = client.get("/query", params=QUERY).json()
        emulator.store.delete(account, ids[650], user_id=user)
        emulator.store.update(account, ids[651], {"Name": "changed"}, user_id=user)
        emulator.store.insert(account, {"Name": "Account 0000a"}, user_id=user)
        assert names(pages(client, emulator.url, first)) == [f"Account {number:04d}" for number in range(700)]
        assert (
            client.get(emulator.url + first["nextRecordsUrl"]).json() == client.get(emulator.url + first["nextRecordsUrl"]).json()
        )


def test_the_batch_size_stays_within_the_vendors_bounds(client: httpx2.Client, add: Callable[..., str]) -> None:
    """A smaller wish than 200 gives 200."""
    add_many(add, 201)
    answer = client.get("/query", params=QUERY, headers={"Sforce-Query-Options": "batchSize=1"}).json()
    assert len(answer["records"]) == 200


def test_a_query_beside_a_locator_is_ignored(emulator: Emulator, client: httpx2.Client, add: Callable[..., str]) -> None:
    """tap-salesforce repeats its query on every page."""
    add_many(add, 201)
    first = client.get("/query", params=QUERY, headers={"Sforce-Query-Options": "batchSize=200"}).json()
    more = client.get(emulator.url + first["nextRecordsUrl"], params={"q": "nonsense"}).json()
    assert names([more]) == ["Account 0200"]


@pytest.mark.parametrize("locator", ["01g000000000000AAA-2000", "01g000000000000AAA", "rubbish"])
def test_an_unknown_locator_is_refused(client: httpx2.Client, locator: str) -> None:
    """The cursor is gone, or never was."""
    assert error(client.get(f"/query/{locator}")) == (400, "INVALID_QUERY_LOCATOR")


def test_the_oldest_cursor_closes_when_there_are_too_many(run_emulator: Callable[..., Emulator]) -> None:
    """Ten a user at Salesforce, fewer here to see it."""
    emulator = run_emulator(page_size=200, max_cursors=2)
    account = emulator.store.catalog.get("Account")
    assert account is not None
    for number in range(201):
        emulator.store.insert(account, {"Name": str(number)}, user_id=emulator.org.api_user_id)
    with connect(emulator) as client:
        urls = [emulator.url + client.get("/query", params=QUERY).json()["nextRecordsUrl"] for _ in range(3)]
        assert [client.get(url).status_code for url in urls] == [400, 200, 200]


def test_query_all_sees_the_recycle_bin(client: httpx2.Client, add: Callable[..., str]) -> None:
    """An ordinary query does not."""
    client.delete(f"/sobjects/Account/{add('Account', Name='Acme')}")
    params = {"q": "SELECT Id, IsDeleted FROM Account"}
    assert client.get("/query", params=params).json()["totalSize"] == 0
    assert client.get("/queryAll", params=params).json()["records"][0]["IsDeleted"] is True


def test_a_request_with_too_long_a_head_is_refused_by_the_web_server(client: httpx2.Client) -> None:
    """431 as HTML, beyond 16,384 bytes of address and headers; just below it the query is read."""
    soql = "SELECT Id FROM Account WHERE Name = '{}'"
    answer = client.get("/query", params={"q": soql.format("x" * 16_384)})
    assert (answer.status_code, answer.text[:25]) == (431, "<h1>Bad Message 431</h1><")
    assert client.get("/query", params={"q": soql.format("x" * 3_900)}).status_code == 200


def window(start: datetime, end: datetime) -> dict[str, str]:
    return {"start": start.isoformat(), "end": end.isoformat()}


def test_deleted_and_updated_list_ids_of_whole_minutes(
    emulator: Emulator, client: httpx2.Client, add: Callable[..., str]
) -> None:
    """Seconds of the window are cut off; the answer says up to where it is complete."""
    emulator.clock.freeze(NOON)
    kept, gone = add("Account", Name="kept"), add("Account", Name="gone")
    emulator.clock.freeze(NOON + timedelta(minutes=5))
    client.delete(f"/sobjects/Account/{gone}")
    end = NOON + timedelta(minutes=6)
    updated = client.get("/sobjects/Account/updated/", params=window(NOON, end)).json()
    assert updated == {"ids": [kept], "latestDateCovered": "2026-03-01T12:05:30.000+0000"}
    deleted = client.get("/sobjects/Account/deleted", params=window(NOON, end)).json()
    assert deleted["deletedRecords"] == [{"id": gone, "deletedDate": "2026-03-01T12:05:30.000+0000"}]
    cut = client.get("/sobjects/Account/deleted", params=window(NOON, NOON + timedelta(minutes=5))).json()
    assert cut["deletedRecords"] == []
    assert cut["latestDateCovered"] == "2026-03-01T12:05:00.000+0000"


def bare(body: bytes) -> bytes:
    """Deflated without zlib's header."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", bare), ("identity", bytes)]
)
def test_a_request_may_come_packed(
    emulator: Emulator, client: httpx2.Client, encoding: str, packed: Callable[[bytes], bytes]
) -> None:
    """What rules ask of it is what it holds."""
    emulator.faults.add("server_error", object="Contact")
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    told = []
    for name, body in (("Account", {"Name": "x"}), ("Contact", {"LastName": "x"})):
        content = json.dumps({"records": [{"attributes": {"type": name}, **body}]}).encode()
        told.append(client.post("/composite/sobjects", content=packed(content), headers=headers).status_code)
    assert told == [200, 500]
    assert client.get("/query?q=SELECT+Name+FROM+Account").json()["totalSize"] == 1


@pytest.mark.parametrize("how", ["plain", "cut", "huge"])
def test_what_cannot_be_unpacked_is_refused_with_the_reason(client: httpx2.Client, how: str) -> None:
    """It is not packed, cut off, or grows beyond all limits; nobody is told that before the session is good."""
    plain = b'{"Name": "x"}'
    body = {"plain": plain, "cut": gzip.compress(plain)[:-4], "huge": gzip.compress(plain + b" " * 50_000_000)}[how]
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = client.post("/sobjects/Account", content=body, headers=headers)
    assert error(answer) == (400, "JSON_PARSER_ERROR")
    assert "not packed as its Content-Encoding says" in answer.json()[0]["message"]
    assert error(client.post("/sobjects/Account", content=body, headers={**headers, "Authorization": "Bearer x"}))[0] == 401


def test_an_open_transaction_holds_back_what_is_covered(emulator: Emulator, client: httpx2.Client) -> None:
    """Rows may still appear with stamps from its start on."""
    emulator.clock.freeze(NOON)
    transaction = emulator.store.begin()
    emulator.clock.freeze(NOON + timedelta(minutes=5))
    path, params = "/sobjects/Account/updated", window(NOON - timedelta(minutes=1), NOON + timedelta(minutes=5))
    assert client.get(path, params=params).json()["latestDateCovered"] == "2026-03-01T12:00:30.000+0000"
    emulator.store.commit(transaction)
    assert client.get(path, params=params).json()["latestDateCovered"] == "2026-03-01T12:05:00.000+0000"


def test_a_hard_deleted_record_is_still_listed(emulator: Emulator, client: httpx2.Client, add: Callable[..., str]) -> None:
    """It vanishes from every query, but not from the log of deletions."""
    record_id = add("Account", Name="gone")
    account = emulator.store.catalog.get("Account")
    assert account is not None
    emulator.store.purge(account, record_id)
    now = emulator.clock.now()
    deleted = client.get(
        "/sobjects/Account/deleted", params=window(now - timedelta(minutes=5), now + timedelta(minutes=5))
    ).json()
    assert [row["id"] for row in deleted["deletedRecords"]] == [record_id]


@pytest.mark.parametrize(
    ("start", "end"),
    [(timedelta(0), timedelta(seconds=20)), (timedelta(days=-40), timedelta(0)), (timedelta(minutes=1), timedelta(0))],
)
def test_a_window_that_cannot_be_answered_is_refused(
    emulator: Emulator, client: httpx2.Client, start: timedelta, end: timedelta
) -> None:
    """Shorter than a minute, too far back, or backwards."""
    emulator.clock.freeze(NOON)
    answer = client.get("/sobjects/Account/deleted", params=window(NOON + start, NOON + end))
    assert error(answer) == (400, "INVALID_REPLICATION_DATE")


def test_a_window_without_dates_is_refused(client: httpx2.Client) -> None:
    """Both ends are needed."""
    assert error(client.get("/sobjects/Account/updated", params={"start": "yesterday"})) == (400, "INVALID_REPLICATION_DATE")


def test_objects_that_are_not_replicateable_have_no_window(emulator: Emulator, client: httpx2.Client) -> None:
    """Their describe says so."""
    now = emulator.clock.now()
    answer = client.get("/sobjects/Silent__c/updated", params=window(now - timedelta(hours=1), now))
    assert error(answer) == (400, "INVALID_TYPE")


def test_the_date_header_is_the_orgs_time(emulator: Emulator, client: httpx2.Client) -> None:
    """Clients take the server's clock from it; there is one such header."""
    emulator.clock.freeze(NOON)
    answer = client.get("/limits")
    assert [parsedate_to_datetime(value) for value in answer.headers.get_list("date")] == [NOON]
    assert "server" not in answer.headers


def test_a_body_in_chunks_is_read(client: httpx2.Client) -> None:
    """Clients like jsforce and the sf CLI send no content length."""
    answer = client.post(
        "/sobjects/Account", content=iter([b'{"Na', b'me": "Ac', b'me"}']), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 201
    assert answer.request.headers["transfer-encoding"] == "chunked"


def test_head_is_get_without_a_body(client: httpx2.Client) -> None:
    """Some clients look whether a resource is there."""
    answer = client.head("/sobjects/Account/describe")
    assert (answer.status_code, answer.content) == (200, b"")
