"""Faults on order: each does what it says, to the requests that it names, as often as it was told."""

from __future__ import annotations

import csv
import gzip
import io
import time
import zlib
from collections.abc import Callable
from typing import cast

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.conftest import error
from tests.emulator.test_bulk2 import complete

from halocline.emulator.faults import FOREVER, Fault, Faults
from halocline.emulator.faults.pages import first_rows
from halocline.emulator.faults.target import Target
from halocline.emulator.org import Org
from halocline.emulator.server import Emulator
from halocline.emulator.wire import Ask


def struck(faults: Faults, method: str, path: str) -> int:
    """How many rules act on a request."""
    return len(faults.take(method, path, target=Target(Ask(cast("Org", None), method, path))))


def test_a_fault_strikes_the_nth_matching_requests_only() -> None:
    """Others are not counted; after `times` it is over."""
    faults = Faults()
    faults.add("answer", path="/query$", method="GET", nth=2, times=2)
    asked = [("GET", "/query"), ("POST", "/query"), ("GET", "/other"), ("GET", "/QUERY"), ("GET", "/query"), ("GET", "/query")]
    assert [struck(faults, method, path) for method, path in asked] == [0, 0, 0, 1, 1, 0]


def test_a_fault_without_end_strikes_until_it_is_lifted() -> None:
    """By its id."""
    faults = Faults()
    rule = faults.add("answer", times=FOREVER)
    assert [struck(faults, "GET", "/") for _ in range(3)] == [1, 1, 1]
    faults.remove(rule)
    assert struck(faults, "GET", "/") == 0


@pytest.mark.parametrize("settings", [{"action": "explode"}, {"action": "delay", "minutes": 1}, {"action": "delay", "path": "("}])
def test_a_fault_that_makes_no_sense_is_refused(settings: dict[str, object]) -> None:
    """At once, not when it should strike."""
    with pytest.raises(ValueError, match=r"explode|minutes|unterminated"):
        Faults().add(**settings)  # type: ignore[arg-type]


@given(
    table=st.lists(st.lists(st.text(alphabet='a"\n\r,', max_size=5), min_size=2, max_size=2), max_size=6),
    rows=st.integers(0, 7),
    size=st.integers(1, 9),
)
def test_first_rows_ends_after_whole_records(table: list[list[str]], rows: int, size: int) -> None:
    """However the text is cut into chunks and whatever the values hold."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([["h1", "h2"], *table])
    raw = text.getvalue().encode()
    kept = b"".join(first_rows((raw[at : at + size] for at in range(0, len(raw), size)), rows))
    assert list(csv.reader(io.StringIO(kept.decode(), newline=""))) == [["h1", "h2"], *table[:rows]]


def test_an_answer_on_order_replaces_the_work(emulator: Emulator, client: httpx2.Client) -> None:
    """Status, body and headers; nothing is written."""
    emulator.faults.add(
        "answer", method="POST", status=503, body="<html>busy</html>", content_type="text/html", headers={"Retry-After": "7"}
    )
    answer = client.post("/sobjects/Account", json={"Name": "x"})
    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (503, "<html>busy</html>", "7")
    assert answer.headers["content-type"] == "text/html"
    assert client.get("/query", params={"q": "SELECT COUNT() FROM Account"}).json()["totalSize"] == 0


def test_a_results_page_can_be_something_else(emulator: Emulator, client: httpx2.Client) -> None:
    """200 with JSON where CSV was expected."""
    job_id = complete(client)
    emulator.faults.add("answer", path="/results$", status=200, body="[]")
    answer = client.get(f"/jobs/query/{job_id}/results")
    assert (answer.status_code, answer.json()) == (200, [])
    assert client.get(f"/jobs/query/{job_id}/results").text == '"Id","Name"\n'


def test_a_delay_holds_the_answer_back(emulator: Emulator, client: httpx2.Client) -> None:
    """At least so long; a client with less patience gives up."""
    emulator.faults.add("delay", path="/limits", seconds=0.3, times=2)
    began = time.monotonic()
    client.get("/limits")
    assert time.monotonic() - began >= 0.3
    with pytest.raises(httpx2.ReadTimeout):
        client.get("/limits", timeout=0.05)


def test_a_lost_reply_comes_after_the_work(emulator: Emulator, client: httpx2.Client) -> None:
    """The client cannot know that the record exists."""
    emulator.faults.add("lose_reply", method="POST", path="/sobjects/Account")
    with pytest.raises(httpx2.RemoteProtocolError):
        client.post("/sobjects/Account", json={"Name": "x"})
    assert client.get("/query", params={"q": "SELECT COUNT() FROM Account"}).json()["totalSize"] == 1
    assert emulator.calls.of("record.create")[0].status == 0


@pytest.mark.parametrize("after", [0, 1, 40])
@pytest.mark.parametrize("path", ["/sobjects", "bulk"])
def test_a_cut_ends_the_connection_inside_the_body(emulator: Emulator, client: httpx2.Client, after: int, path: str) -> None:
    """Exactly so many bytes arrive, of a body with a length and of one without."""
    if path == "bulk":
        path = f"/jobs/query/{complete(client, 'SELECT Id, Name, Username, Email FROM User')}/results"
    emulator.faults.add("cut", path=f"{path}$", after_bytes=after)
    chunks: list[bytes] = []
    with client.stream("GET", path, headers={"Accept-Encoding": "identity"}) as answer, pytest.raises(httpx2.RemoteProtocolError):
        chunks.extend(answer.iter_raw())
    arrived = b"".join(chunks)
    assert len(arrived) == after
    whole = client.get(path)
    assert whole.status_code == 200
    assert whole.content.startswith(arrived)


def test_a_session_can_expire_at_a_request(emulator: Emulator, client: httpx2.Client) -> None:
    """That request is refused, and so are the next with the same token."""
    emulator.faults.add("expire_session", path="/limits", nth=2)
    assert [client.get("/limits").status_code for _ in range(3)] == [200, 401, 401]


def test_a_truncated_page_still_claims_all_rows(emulator: Emulator, client: httpx2.Client, add: Callable[..., str]) -> None:
    """What a client must notice by counting."""
    for number in range(5):
        add("Account", Name=f'{number}\n"x"')
    job_id = complete(client)
    emulator.faults.add("truncate_rows", path="/results$", rows=2)
    answer = client.get(f"/jobs/query/{job_id}/results")
    assert answer.headers["sforce-numberofrecords"] == "5"
    assert len(list(csv.reader(io.StringIO(answer.text, newline="")))) == 3


def test_corrupt_gzip_does_not_decode(emulator: Emulator, client: httpx2.Client) -> None:
    """The stream has its length but not its contents."""
    emulator.faults.add("corrupt_gzip", path="/sobjects$")
    with client.stream("GET", "/sobjects", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    with pytest.raises((zlib.error, EOFError, gzip.BadGzipFile)):
        gzip.decompress(raw)
    assert client.get("/sobjects").status_code == 200


def test_faults_are_values() -> None:
    """A rule can be looked at."""
    faults = Faults()
    rule = faults.add("delay", seconds=1.0)
    assert list(faults) == [Fault("delay", seconds=1.0, id=rule)]


def test_two_faults_can_strike_one_request(emulator: Emulator, client: httpx2.Client) -> None:
    """A slow refusal."""
    emulator.faults.add("delay", path="/limits", seconds=0.05)
    emulator.faults.add("answer", path="/limits", status=500, body='[{"message":"m","errorCode":"UNKNOWN_EXCEPTION"}]')
    began = time.monotonic()
    assert error(client.get("/limits")) == (500, "UNKNOWN_EXCEPTION")
    assert time.monotonic() - began >= 0.05
