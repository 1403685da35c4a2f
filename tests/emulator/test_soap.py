"""The SOAP door: logging in, who am I, and what REST cannot do to records - with Salesforce's faults."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree.ElementTree import Element, fromstring
from xml.sax.saxutils import escape

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.conftest import VERSION, stored
from tests.examples import examples

from halocline.emulator.server import Emulator, Login
from halocline.emulator.soap.service import serve
from halocline.emulator.standing import API_USERNAME
from halocline.emulator.wire import Ask

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
PARTNER = "urn:partner.soap.sforce.com"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
WRONG = "INVALID_LOGIN: Invalid username, password, security token; or user locked out."


class Soap:
    """A client of one emulator's SOAP door, logged in unless told otherwise."""

    def __init__(self, emulator: Emulator, *, session: str | None = None) -> None:
        self.emulator = emulator
        started = emulator.org.sessions.start(emulator.org.api_user_id, org_id=emulator.org.org_id)
        self.session = started.token if session is None else session

    def post(self, content: bytes | str, *, path: str = "u/58.0") -> httpx2.Response:
        headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'}
        return httpx2.post(f"{self.emulator.url}/services/Soap/{path}", content=content, headers=headers)

    def ask(
        self, operation: str, *, headers: str = "", path: str = "u/58.0", namespace: str = PARTNER, **values: Any
    ) -> httpx2.Response:
        body = "".join(f"<{name}>{escape(one)}</{name}>" for name, value in values.items() for one in _many(value))
        head = f"<SessionHeader><sessionId>{self.session}</sessionId></SessionHeader>{headers}"
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><e:Envelope xmlns:e="{SOAP}"><e:Header xmlns="{namespace}">{head}</e:Header>'
            f'<e:Body><{operation} xmlns="{namespace}">{body}</{operation}></e:Body></e:Envelope>'
        )
        return self.post(text.encode(), path=path)

    def results(self, operation: str, **values: Any) -> list[Element]:
        """The results of a call that works."""
        answer = self.ask(operation, **values)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/xml;charset=UTF-8"), answer.text
        (response,) = fromstring(answer.content)[0]
        assert response.tag == f"{{{PARTNER}}}{operation}Response"
        return list(response)


@pytest.fixture
def soap(emulator: Emulator) -> Soap:
    return Soap(emulator)


@pytest.fixture(scope="module")
def steady() -> Iterator[Soap]:
    """One emulator for tests that change nothing in it."""
    with Emulator() as emulator:
        yield Soap(emulator)


@pytest.fixture
def account(add: Callable[..., str]) -> str:
    return add("Account", Name="Salt & <Water>")


def _many(value: Any) -> list[str]:
    return list(value) if isinstance(value, (list, tuple)) else [str(value)]


def flat(element: Element) -> dict[str, str | None]:
    """Children by local name; None where nil."""
    return {child.tag.rpartition("}")[2]: None if child.get(f"{XSI}nil") else (child.text or "") for child in element}


def fault(answer: httpx2.Response) -> tuple[str, str]:
    """Code and text of a fault, after checking its shape."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "text/xml;charset=UTF-8"), answer.text
    found = fromstring(answer.content)[0][0]
    assert found.tag == f"{{{SOAP}}}Fault"
    values = flat(found)
    code, text = values["faultcode"] or "", values["faultstring"] or ""
    detail = found.find("detail")
    assert code.startswith("sf:") == (detail is not None)
    if detail is not None:
        told = flat(detail[0])
        assert f"{told['exceptionCode']}: {told['exceptionMessage']}" == text
        assert code == f"sf:{told['exceptionCode']}"
        assert detail[0].tag.startswith("{urn:fault.")
    return code, text


def login(soap: Soap, *, username: str = API_USERNAME, password: str = "halocline", **more: Any) -> httpx2.Response:
    return soap.ask("login", username=username, password=password, **more)


@pytest.mark.parametrize(("letter", "namespace"), [("u", PARTNER), ("c", "urn:enterprise.soap.sforce.com")])
def test_a_login_opens_a_session_for_every_api(steady: Soap, letter: str, namespace: str) -> None:
    """The result has the WSDL's parts; its token works for REST, its address for the next call."""
    answer = login(steady, path=f"{letter}/58.0", namespace=namespace)
    result = fromstring(answer.content)[0][0][0]
    values = flat(result)
    org, base = steady.emulator.org, steady.emulator.url
    assert values["serverUrl"] == f"{base}/services/Soap/{letter}/58.0/{org.org_id[:15]}"
    assert values["metadataServerUrl"] == f"{base}/services/Soap/m/58.0/{org.org_id[:15]}"
    assert (values["userId"], values["sandbox"], values["passwordExpired"]) == (org.api_user_id, "false", "false")
    user = flat(result[-1])
    assert (user["organizationId"], user["userName"], user["userId"]) == (org.org_id, API_USERNAME, org.api_user_id)
    assert user["userDefaultCurrencyIsoCode"] is None
    assert int(user["sessionSecondsValid"] or 0) == 7_200
    bearer = {"Authorization": f"Bearer {values['sessionId']}"}
    assert httpx2.get(f"{base}{VERSION}/limits", headers=bearer).status_code == 200


def test_a_login_answers_with_the_host_that_the_client_used(run_emulator: Callable[..., Emulator]) -> None:
    """Scheme and name, through the proxy as well."""
    emulator = run_emulator(https=True, proxy=True)
    envelope = (
        f'<e:Envelope xmlns:e="{SOAP}"><e:Body><login xmlns="{PARTNER}"><username>{API_USERNAME}</username>'
        "<password>halocline</password></login></e:Body></e:Envelope>"
    )
    with httpx2.Client(proxy=emulator.proxy_url, verify=ssl.create_default_context(cafile=str(emulator.ca_file))) as client:
        answer = client.post("https://login.salesforce.com/services/Soap/u/59.0", content=envelope.encode())
    assert "<serverUrl>https://login.salesforce.com/services/Soap/u/59.0/00D" in answer.text


@pytest.mark.parametrize("changes", [{"password": "no"}, {"username": "nobody@example.com"}, {"username": ""}])
def test_a_wrong_login_is_told_nothing_more(steady: Soap, changes: dict[str, str]) -> None:
    """One fault for all, with the prefix by which simple-salesforce finds the message."""
    answer = login(steady, **changes)
    assert fault(answer) == ("sf:INVALID_LOGIN", WRONG)
    assert "<sf:LoginFault " in answer.text


def test_an_inactive_user_cannot_log_in(soap: Soap) -> None:
    """Nor learn that there is one."""
    emulator = soap.emulator
    emulator.store.update(
        emulator.org.sobject("User"), emulator.org.api_user_id, {"IsActive": False}, user_id=emulator.org.api_user_id
    )
    assert fault(login(soap)) == ("sf:INVALID_LOGIN", WRONG)


def test_the_security_token_follows_the_password(run_emulator: Callable[..., Emulator]) -> None:
    """As in OAuth's password flow."""
    soap = Soap(run_emulator(users=(Login("eva@example.com", "pw", "TOKEN"),)))
    assert fault(login(soap, username="eva@example.com", password="pw"))[0] == "sf:INVALID_LOGIN"
    assert login(soap, username="EVA@example.com", password="pwTOKEN").status_code == 200


@pytest.mark.parametrize("release", ["65.0", "67.0"])
def test_newer_releases_have_no_login(steady: Soap, release: str) -> None:
    """From release 65 on it is gone, in the vendor's words."""
    code, text = fault(login(steady, path=f"u/{release}"))
    assert code == "sf:INVALID_OPERATION"
    assert f"is not available in the API version specified ({release})" in text


def test_login_can_be_switched_off(run_emulator: Callable[..., Emulator]) -> None:
    """New orgs have it so; a good session still works."""
    soap = Soap(run_emulator(soap_login=False))
    code, text = fault(login(soap))
    assert (code, "disabled by default in this org" in text) == ("sf:INVALID_OPERATION", True)
    assert len(soap.results("getUserInfo")) == 1


@pytest.mark.parametrize("path", ["u/30.0", "u/7", "u/68.0", "u/abc", "c/20.0"])
def test_releases_that_are_not_served_are_a_fault(steady: Soap, path: str) -> None:
    """Retired ones and those that never were."""
    assert fault(login(steady, path=path))[0] == "sf:UNSUPPORTED_API_VERSION"


@pytest.mark.parametrize("path", ["u/58", "u/58.0/", "u/58.0/00D5g0000000000", "U/58.0/00D5g0000000000/0DF000000000000"])
def test_the_address_may_go_on(steady: Soap, path: str) -> None:
    """A login's `serverUrl` names the org, and older ones the package."""
    assert steady.ask("getUserInfo", path=path).status_code == 200


def test_a_user_asks_who_it_is_and_what_time_it_is(soap: Soap) -> None:
    """The same user info as a login's; the time is the org's."""
    (user,) = soap.results("getUserInfo")
    assert flat(user)["userName"] == API_USERNAME
    soap.emulator.clock.advance(86_400)
    (answer,) = soap.results("getServerTimestamp")
    assert (flat(answer)["timestamp"] or "").startswith(soap.emulator.clock.now().strftime("%Y-%m-%dT"))


@pytest.mark.parametrize("session", ["", "00Dno!such"])
def test_no_session_no_answer(emulator: Emulator, session: str) -> None:
    """The fault by which clients know to log in again."""
    code, text = fault(Soap(emulator, session=session).ask("getUserInfo"))
    assert (code, text.startswith("INVALID_SESSION_ID: Invalid Session ID found in SessionHeader")) == (
        "sf:INVALID_SESSION_ID",
        True,
    )


def test_a_logout_ends_the_session(soap: Soap) -> None:
    """For every API."""
    assert soap.results("logout") == []
    assert fault(soap.ask("getUserInfo"))[0] == "sf:INVALID_SESSION_ID"


def test_soap_requests_use_the_session_up(run_emulator: Callable[..., Emulator]) -> None:
    """Expiry counts them as it counts REST's."""
    soap = Soap(run_emulator(expire_after=2))
    assert [soap.ask("getServerTimestamp").status_code for _ in range(3)] == [200, 200, 500]


def test_an_expired_session_on_order_reaches_soap(soap: Soap) -> None:
    """The fault ends the session that stands in the envelope."""
    soap.emulator.faults.add("expire_session", path="/services/Soap", nth=2)
    assert [soap.ask("getServerTimestamp").status_code for _ in range(2)] == [200, 500]
    assert fault(soap.ask("getUserInfo"))[0] == "sf:INVALID_SESSION_ID"


def test_soap_requests_are_api_requests(soap: Soap) -> None:
    """They spend the daily allowance, and its end is a fault."""
    soap.results("getUserInfo")
    assert soap.emulator.org.limits.usage()[0] == 1
    soap.emulator.org.limits.set_max("DailyApiRequests", 1)
    assert fault(soap.ask("getUserInfo"))[0] == "sf:REQUEST_LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<",
        b"not xml",
        b"<a/>",
        b'{"json": true}',
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        f'<e:Envelope xmlns:e="{SOAP}"/>'.encode(),
        f'<e:Envelope xmlns:e="{SOAP}"><e:Body/></e:Envelope>'.encode(),
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    ],
)
def test_what_is_no_soap_is_the_clients_fault(steady: Soap, content: bytes) -> None:
    """Never a crash, and never an entity."""
    assert fault(steady.post(content))[0] == "soapenv:Client"


@pytest.mark.parametrize(
    ("operation", "path", "namespace"),
    [
        ("convertLead", "u/58.0", PARTNER),
        ("login", "c/58.0", PARTNER),
        ("login", "u/58.0", "urn:enterprise.soap.sforce.com"),
        ("describeMetadata", "m/58.0", "http://soap.sforce.com/2006/04/metadata"),
    ],
)
def test_an_unknown_operation_is_named(steady: Soap, operation: str, path: str, namespace: str) -> None:
    """So is one of the other API: the namespace belongs to the address."""
    code, text = fault(steady.ask(operation, path=path, namespace=namespace))
    assert (code, f"{{{namespace}}}{operation}" in text) == ("soapenv:Client", True)


def test_a_deleted_record_comes_back(soap: Soap, account: str) -> None:
    """Delete and undelete answer for each id by itself."""
    (gone,) = soap.results("delete", ids=[account])
    assert flat(gone) == {"id": account, "success": "true"}
    assert stored(soap.emulator, "Account", account)["IsDeleted"] in (1, True)
    back, unknown, malformed = soap.results("undelete", ids=[account, "0015g0000009999", "no id"])
    assert flat(back) == {"id": account, "success": "true"}
    assert stored(soap.emulator, "Account", account)["IsDeleted"] in (0, False)
    assert [flat(one)["success"] for one in (unknown, malformed)] == ["false", "false"]
    assert flat(malformed[0])["statusCode"] == "MALFORMED_ID"
    assert flat(malformed)["id"] is None


def test_the_recycle_bin_is_emptied_for_good(soap: Soap, account: str) -> None:
    """Only what lies in it; afterwards nothing brings it back."""
    (early,) = soap.results("emptyRecycleBin", ids=[account])
    assert flat(early)["success"] == "false"
    soap.results("delete", ids=[account])
    (done,) = soap.results("emptyRecycleBin", ids=[account[:15]])
    assert flat(done)["success"] == "true"
    (late,) = soap.results("undelete", ids=[account])
    assert flat(late)["success"] == "false"
    assert soap.emulator.store.get(soap.emulator.org.sobject("Account"), account) is None


def test_all_or_none_undoes_what_was_done(soap: Soap, account: str) -> None:
    """One that fails leaves the others where they were."""
    header = "<AllOrNoneHeader><allOrNone>true</allOrNone></AllOrNoneHeader>"
    results = soap.results("delete", ids=[account, "0015g0000009999"], headers=header)
    assert [flat(one)["success"] for one in results] == ["false", "false"]
    assert stored(soap.emulator, "Account", account)["IsDeleted"] in (0, False)


def test_two_hundred_ids_are_the_most(soap: Soap, account: str) -> None:
    """One more is a fault, and nothing is done."""
    assert fault(soap.ask("delete", ids=[account] * 201))[0] == "sf:EXCEEDED_ID_LIMIT"


def test_a_query_answers_records_in_the_partner_form(soap: Soap, account: str) -> None:
    """Type first, the id twice when it was asked for, parents nested, null as nil, text escaped, moments with a Z."""
    (result,) = soap.results("query", queryString="SELECT Id, Name, Industry, CreatedDate, Owner.Username FROM Account")
    assert flat(result)["done"] == "true"
    assert flat(result)["queryLocator"] is None
    assert flat(result)["size"] == "1"
    (record,) = result.findall(f"{{{PARTNER}}}records")
    values = flat(record)
    assert [child.tag.rpartition("}")[2] for child in record][:3] == ["type", "Id", "Id"]
    assert (values["type"], values["Id"], values["Name"], values["Industry"]) == ("Account", account, "Salt & <Water>", None)
    assert (values["CreatedDate"] or "").endswith(".000Z")
    owner = record[-1]
    assert (flat(owner)["type"], flat(owner)["Username"]) == ("User", API_USERNAME)


def test_a_query_answers_records_in_the_enterprise_form(soap: Soap, account: str) -> None:
    """The element's type is the object's."""
    space = "urn:enterprise.soap.sforce.com"
    answer = soap.ask("query", path="c/58.0", namespace=space, queryString="SELECT Id FROM Account")
    (record,) = fromstring(answer.content).iter(f"{{{space}}}records")
    assert record.get(f"{XSI}type") == "sf:Account"
    assert [(child.tag, child.text) for child in record] == [("{urn:sobject.enterprise.soap.sforce.com}Id", account)]


def test_the_recycle_bin_is_seen_by_query_all(soap: Soap, account: str) -> None:
    """Only by it."""
    soap.results("delete", ids=[account])
    soql = "SELECT COUNT() FROM Account"
    assert flat(soap.results("query", queryString=soql)[0])["size"] == "0"
    assert flat(soap.results("queryAll", queryString=soql)[0])["size"] == "1"


def test_a_long_answer_is_fetched_by_its_locator(soap: Soap, add: Callable[..., str]) -> None:
    """Pages of the size asked for, until done; every record once."""
    made = {add("Account", Name=f"A {number}") for number in range(450)}
    size = "<QueryOptions><batchSize>200</batchSize></QueryOptions>"
    (page,) = soap.results("query", queryString="SELECT Id FROM Account", headers=size)
    seen, pages = [page], 1
    while flat(page)["done"] == "false":
        (page,) = soap.results("queryMore", queryLocator=flat(page)["queryLocator"], headers=size)
        seen.append(page)
        pages += 1
    ids = [record[1].text for one in seen for record in one.findall(f"{{{PARTNER}}}records")]
    assert (pages, len(ids), set(ids)) == (3, 450, made)


@pytest.mark.parametrize(
    ("operation", "values", "code"),
    [
        ("query", {"queryString": "SELECT Nope FROM Account"}, "INVALID_FIELD"),
        ("query", {"queryString": "SELECT Id FROM Nope"}, "INVALID_TYPE"),
        ("query", {"queryString": "SELEKT"}, "MALFORMED_QUERY"),
        ("query", {}, "MALFORMED_QUERY"),
        ("queryMore", {"queryLocator": "01g000000000000AAA-200"}, "INVALID_QUERY_LOCATOR"),
    ],
)
def test_a_query_that_fails_is_a_fault_with_rests_words(steady: Soap, operation: str, values: dict[str, str], code: str) -> None:
    """The code decides the fault's type."""
    assert fault(steady.ask(operation, **values))[0] == f"sf:{code}"


def test_text_that_xml_cannot_hold_does_not_break_the_answer(soap: Soap, add: Callable[..., str]) -> None:
    """A control character in a name is left out."""
    add("Account", Name="a\x07b")
    (result,) = soap.results("query", queryString="SELECT Name FROM Account")
    assert "<sf:Name>ab</sf:Name>" in soap.ask("query", queryString="SELECT Name FROM Account").text
    assert flat(result)["size"] == "1"


def test_the_call_log_tells_soap_operations_apart(soap: Soap) -> None:
    """They share one address."""
    login(soap)
    soap.results("getUserInfo")
    soap.post(b"nothing")
    assert [call.kind for call in soap.emulator.calls] == ["soap.login", "soap.getUserInfo", "soap"]


@pytest.mark.parametrize("number", ["9" * 5_000, "-1", "many", ""])
def test_numbers_of_any_kind_break_nothing(steady: Soap, number: str) -> None:
    """A batch size that makes no sense is kept within bounds, a locator of that kind is refused."""
    size = f"<QueryOptions><batchSize>{number}</batchSize></QueryOptions>"
    assert len(steady.results("query", queryString="SELECT Id FROM Account", headers=size)) == 1
    assert fault(steady.ask("queryMore", queryLocator=f"01g000000000000AAA-{number}"))[0] == "sf:INVALID_QUERY_LOCATOR"


def saved(soap: Soap, operation: str, records: str, **more: Any) -> list[dict[str, str | None]]:
    """The results of a call with sObjects, which are given as XML."""
    answer = change(soap, operation, records, **more)
    assert answer.status_code == 200, answer.text
    return [flat(result) for result in fromstring(answer.content)[0][0]]


def change(
    soap: Soap, operation: str, records: str, *, first: str = "", header: str = "", space: str = PARTNER
) -> httpx2.Response:
    path = "c/58.0" if "enterprise" in space else "u/58.0"
    xsi = "http://www.w3.org/2001/XMLSchema-instance"
    text = (
        f'<e:Envelope xmlns:e="{SOAP}" xmlns="{space}" xmlns:xsi="{xsi}"><e:Header>'
        f"<SessionHeader><sessionId>{soap.session}</sessionId></SessionHeader>{header}</e:Header>"
        f"<e:Body><{operation}>{first}{records}</{operation}></e:Body></e:Envelope>"
    )
    return soap.post(text.encode(), path=path)


def test_records_are_created_and_changed(soap: Soap) -> None:
    """Text becomes what the field is; an empty or nil element says nothing, `fieldsToNull` clears."""
    (made,) = saved(
        soap,
        "create",
        "<sObjects><type>Invoice__c</type><Number__c>N1</Number__c><Amount__c>12.50</Amount__c><Paid__c>1</Paid__c>"
        '<Due__c>2026-01-31</Due__c><Short__c/><Mail__c xsi:nil="true"/></sObjects>',
    )
    assert made["success"] == "true"
    row = stored(soap.emulator, "Invoice__c", str(made["id"]))
    assert (row["Number__c"], row["Amount__c"], row["Paid__c"], row["Due__c"]) == ("N1", 12.5, 1, "2026-01-31")
    (changed,) = saved(
        soap,
        "update",
        f"<sObjects><type>Invoice__c</type><fieldsToNull>Due__c</fieldsToNull><Id>{made['id']}</Id>"
        "<Paid__c>false</Paid__c></sObjects>",
    )
    assert changed == {"id": made["id"], "success": "true"}
    row = stored(soap.emulator, "Invoice__c", str(made["id"]))
    assert (row["Number__c"], row["Paid__c"], row["Due__c"]) == ("N1", 0, None)


def test_an_upsert_finds_its_record_by_a_key(soap: Soap, account: str) -> None:
    """Added the first time, changed the second; a parent may be named by its own key."""
    key = "<externalIDFieldName>Number__c</externalIDFieldName>"
    record = f"<sObjects><type>Invoice__c</type><Number__c>N1</Number__c><Account__r><Id>{account}</Id></Account__r></sObjects>"
    (first,), (second,) = (saved(soap, "upsert", record, first=key) for _ in range(2))
    assert (first["created"], second["created"], first["id"]) == ("true", "false", second["id"])
    assert stored(soap.emulator, "Invoice__c", str(first["id"]))["Account__c"] == account


def test_the_enterprise_form_names_the_type_in_an_attribute(soap: Soap) -> None:
    """With any prefix."""
    space = "urn:sobject.enterprise.soap.sforce.com"
    record = f'<sObjects xsi:type="urn1:Account" xmlns:urn1="{space}"><urn1:Name>E</urn1:Name></sObjects>'
    (made,) = saved(soap, "create", record, space="urn:enterprise.soap.sforce.com")
    assert stored(soap.emulator, "Account", str(made["id"]))["Name"] == "E"


def test_a_refused_record_refuses_no_other(soap: Soap) -> None:
    """Each has a result, in order; with AllOrNoneHeader one refusal is all of them's."""
    records = "<sObjects><type>Account</type><Name>a</Name></sObjects><sObjects><type>Account</type></sObjects>"
    good, bad = saved(soap, "create", records)
    assert (good["success"], bad["success"], bad["id"]) == ("true", "false", None)
    header = "<AllOrNoneHeader><allOrNone>true</allOrNone></AllOrNoneHeader>"
    assert [one["success"] for one in saved(soap, "create", records, header=header)] == ["false", "false"]
    assert soap.emulator.store.count(soap.emulator.org.sobject("Account")) == 1


def test_an_update_needs_an_id(soap: Soap) -> None:
    """Said for the record."""
    answer = change(soap, "update", "<sObjects><type>Account</type><Name>x</Name></sObjects>")
    assert "<statusCode>MISSING_ARGUMENT</statusCode>" in answer.text


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ("<sObjects><type>Nope</type></sObjects>", "INVALID_TYPE"),
        ("<sObjects/>", "INVALID_TYPE"),
        ("<sObjects><Name>x</Name></sObjects>", "INVALID_TYPE"),
        ("<sObjects><type>Account</type><Nope>x</Nope></sObjects>", "INVALID_FIELD"),
        ("<sObjects><type>Account</type><fieldsToNull>Nope</fieldsToNull></sObjects>", "INVALID_FIELD"),
        ("<sObjects><type>Account</type><Nope><type>User</type></Nope></sObjects>", "INVALID_FIELD"),
        ("<sObjects><type>Account</type></sObjects>" * 201, "EXCEEDED_ID_LIMIT"),
    ],
)
def test_what_does_not_fit_the_wsdl_is_a_fault(steady: Soap, record: str, code: str) -> None:
    """Nothing of the call is done."""
    assert fault(change(steady, "create", record))[0] == f"sf:{code}"


ENVELOPE = (
    f'<?xml version="1.0" encoding="utf-8"?><e:Envelope xmlns:e="{SOAP}"><e:Header>'
    f'<h xmlns="{PARTNER}"><sessionId>x</sessionId></h></e:Header><e:Body>'
    f'<login xmlns="{PARTNER}"><username>a</username><password>b</password></login></e:Body></e:Envelope>'
).encode()


@given(
    start=st.integers(0, len(ENVELOPE)),
    length=st.integers(0, 60),
    middle=st.binary(max_size=30) | st.text(max_size=30).map(str.encode),
)
@settings(max_examples=examples(500), deadline=None)
def test_a_damaged_message_is_answered_in_soap(steady: Soap, start: int, length: int, middle: bytes) -> None:
    """Whatever is cut out or put in, the answer is a message with a fault."""
    body = ENVELOPE[:start] + middle + ENVELOPE[start + length :]
    params = {"letter": "u", "release": "58.0"}
    answer = serve(
        Ask(steady.emulator.org, "POST", "/services/Soap/u/58.0", body=body, params=params, base_url="http://127.0.0.1")
    )
    found = fromstring(b"".join(answer.chunks()))
    assert (answer.status, found[0][0].tag) == (500, f"{{{SOAP}}}Fault")
