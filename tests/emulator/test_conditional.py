"""Requests with conditions, and the media types that REST speaks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime

import httpx2
import pytest
from tests.emulator.conftest import error

from halocline.emulator.server import Emulator

Add = Callable[..., str]


def http_date(text: str, seconds: int = 0) -> str:
    return format_datetime(parsedate_to_datetime(text) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("path", ["/sobjects", "/sobjects/Account/describe"])
def test_a_describe_that_has_not_changed_is_not_sent_again(client: httpx2.Client, emulator: Emulator, path: str) -> None:
    """304 without a body, until a permission changes what the user sees."""
    shaped = client.get(path).headers["last-modified"]
    same = client.get(path, headers={"If-Modified-Since": shaped})
    assert (same.status_code, same.content) == (304, b"")
    assert client.get(path, headers={"If-Modified-Since": http_date(shaped, -1)}).status_code == 200
    assert client.get(path, headers={"If-Modified-Since": "yesterday"}).status_code == 200
    assert client.get(path, headers={"If-Unmodified-Since": http_date(shaped, -1)}).status_code == 412
    emulator.clock.advance(5)
    emulator.org.hide(["Account.Rating"])
    assert client.get(path, headers={"If-Modified-Since": shaped}).status_code == 200


def test_an_account_has_a_tag_that_changes_with_it(client: httpx2.Client, add: Add) -> None:
    """304 for a reader who has it, 412 for a writer who has an old one."""
    path = f"/sobjects/Account/{add('Account', Name='A')}"
    tag = client.get(path).headers["etag"]
    assert tag.startswith('"')
    assert client.get(path, headers={"If-None-Match": f'"other", {tag}'}).status_code == 304
    assert client.get(path, headers={"If-None-Match": tag[:-1] + '-gzip"'}).status_code == 304
    assert client.get(path, headers={"If-Match": '"other"'}).status_code == 412
    changed = client.patch(path, json={"Name": "B"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.headers["etag"] != tag) == (204, True)
    assert client.patch(path, json={"Name": "C"}, headers={"If-Match": tag}).status_code == 412
    assert client.patch(path, json={"Name": "C"}, headers={"If-None-Match": changed.headers["etag"]}).status_code == 412
    assert client.get(path).json()["Name"] == "B"


def test_records_have_dates(client: httpx2.Client, add: Add) -> None:
    """Every object's do, tags only accounts have."""
    path = f"/sobjects/Contact/{add('Contact', LastName='A')}"
    answer = client.get(path)
    assert "etag" not in answer.headers
    modified = answer.headers["last-modified"]
    assert client.get(path, headers={"If-Modified-Since": modified}).status_code == 304
    assert client.get(path, headers={"If-Unmodified-Since": modified}).status_code == 200
    before = {"If-Unmodified-Since": http_date(modified, -60)}
    assert error(client.patch(path, json={"LastName": "B"}, headers=before)) == (412, "PRECONDITION_FAILED")


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match", "If-Unmodified-Since"])
def test_a_condition_that_cannot_be_read_stops_a_write(client: httpx2.Client, add: Add, header: str) -> None:
    """400 for PATCH; a DELETE knows no conditions."""
    path = f"/sobjects/Account/{add('Account', Name='A')}"
    assert client.patch(path, json={"Name": "B"}, headers={header: "no quotes"}).status_code == 400
    assert client.get(path).json()["Name"] == "A"
    assert client.delete(path, headers={header: "no quotes"}).status_code == 204


@pytest.mark.parametrize("sent", ["application/xml", "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_json_is_refused(client: httpx2.Client, sent: str) -> None:
    """415, with the type in the message."""
    answer = client.post("/sobjects/Account", content=b'{"Name": "A"}', headers={"Content-Type": sent})
    assert error(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert answer.json()[0]["message"].endswith(sent)


@pytest.mark.parametrize("sent", ["application/json", "application/json; charset=UTF-8", "Application/JSON", None])
def test_json_is_taken_in_all_its_spellings(client: httpx2.Client, sent: str | None) -> None:
    """And when nobody says what it is."""
    headers = {} if sent is None else {"Content-Type": sent}
    assert client.post("/sobjects/Account", content=b'{"Name": "A"}', headers=headers).status_code == 201


def test_an_answer_that_cannot_be_json_is_refused(client: httpx2.Client) -> None:
    """406; whoever takes anything gets JSON."""
    assert error(client.get("/limits", headers={"Accept": "application/xml"})) == (406, "NOT_ACCEPTABLE")
    for accepted in ("*/*", "application/json", "text/html,application/xml;q=0.9,*/*;q=0.8", "application/*"):
        assert client.get("/limits", headers={"Accept": accepted}).status_code == 200


def test_a_wrong_method_is_told_the_right_ones(client: httpx2.Client, add: Add) -> None:
    """In the words of real orgs."""
    path = f"/sobjects/Account/{add('Account', Name='A')}"
    message = client.put(path, json={}).json()[0]["message"]
    assert message == "HTTP Method 'PUT' not allowed. Allowed are HEAD,GET,PATCH,DELETE"
    assert client.delete("/limits").json()[0]["message"] == "HTTP Method 'DELETE' not allowed. Allowed are HEAD,GET"


def test_head_and_the_method_override_work(client: httpx2.Client, add: Add) -> None:
    """HEAD is a GET without its body; `_HttpMethod` makes a POST what it says."""
    path = f"/sobjects/Account/{add('Account', Name='A')}"
    head = client.head(path)
    assert (head.status_code, head.content, "etag" in head.headers) == (200, b"", True)
    assert client.post(f"{path}?_HttpMethod=PATCH", json={"Name": "B"}).status_code == 204
    assert client.get(path).json()["Name"] == "B"


def test_small_resources_have_the_vendors_shapes(client: httpx2.Client) -> None:
    """List views, recent records, tabs and themes: there are none."""
    assert client.get("/sobjects/account/listviews").json()["sobjectType"] == "Account"
    assert client.get("/recent").json() == client.get("/tabs").json() == []
    assert client.get("/theme").json() == {"themeItems": []}


def test_the_resources_of_a_version_exist(client: httpx2.Client) -> None:
    """All but the folder of Bulk's jobs, which is no resource itself."""
    for name, path in client.get("").json().items():
        if name not in ("identity", "jobs"):
            answer = client.get(path.partition("v66.0")[2])
            assert (answer.status_code, name) != (404, name)
