"""What people ask an org: queries, counts, records, describes; first a scripted server, then the emulator."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.connectors.salesforce.loopback import CANARY, Answer, Server, StoppedClock, refused, said, serving

from halocline.connectors.salesforce.auth import (
    Authenticator,
    ClientCredentialsAuthenticator,
    JWTAuthenticator,
    OAuthAuthenticator,
    RefreshTokenAuthenticator,
    SessionAuthenticator,
)
from halocline.connectors.salesforce.client import SalesforceClient, TransportOptions
from halocline.connectors.salesforce.transport import Transport
from halocline.emulator.org import EmulatorConfig
from halocline.emulator.seed import seed
from halocline.emulator.server import Emulator, Login
from halocline.emulator.standing import API_USERNAME
from halocline.errors import BadQuery, FixConfig, LoginRefused, NetworkFailed, NotFound, RetryLater, Truncated
from halocline.retry import Policy

ACCOUNT = {"type": "Account", "url": "/services/data/v67.0/sobjects/Account/001000000000001AAA"}


def client_of(server: Server, **options: Any) -> SalesforceClient:
    info = {"access_token": CANARY, "instance_url": server.url}
    return SalesforceClient(info, pace=StoppedClock().pace, retry=Policy(attempts=2), **options)


def page(*records: dict[str, object], total: int, following: str | None = None) -> dict[str, object]:
    link = {"nextRecordsUrl": following} if following else {}
    return {"totalSize": total, "done": following is None, **link, "records": list(records)}


# ---- queries


def test_a_query_follows_its_pages_as_they_are_taken() -> None:
    """Each page is fetched when its first record is wanted, not before; records come without `attributes`."""
    first = page(
        {"attributes": ACCOUNT, "Id": "a"},
        {"attributes": ACCOUNT, "Id": "b"},
        total=3,
        following="/services/data/v67.0/query/01g-2",
    )
    with serving(said(first), said(page({"attributes": ACCOUNT, "Id": "c"}, total=3))) as server, client_of(server) as client:
        records = client.query("SELECT Id FROM Account", page_rows=500)
        assert next(records) == {"Id": "a"}
        assert len(server.asked) == 1
        assert list(records) == [{"Id": "b"}, {"Id": "c"}]
    assert server.asked[0].path == "/services/data/v67.0/query"
    assert server.asked[0].query == {"q": "SELECT Id FROM Account"}
    assert server.asked[0].headers["Sforce-Query-Options"] == "batchSize=500"
    assert server.asked[1].target == "/services/data/v67.0/query/01g-2"
    assert server.asked[1].headers["Sforce-Query-Options"] == "batchSize=500"


def test_deleted_records_are_asked_for_by_query_all() -> None:
    """`include_deleted` is another resource, not a clause."""
    with serving(said(page(total=0))) as server, client_of(server) as client:
        assert list(client.query("SELECT Id FROM Account", include_deleted=True)) == []
        assert client.query_one("SELECT Id FROM Account", include_deleted=True) is None
        assert {asked.path for asked in server.asked} == {"/services/data/v67.0/queryAll"}


def test_parents_are_dicts_and_children_lists() -> None:
    """`attributes` goes at every level; a parent or child that is not there stays None; children are read to their end."""
    contact = {"type": "Contact", "url": "/x"}
    children = page({"attributes": contact, "LastName": "X"}, total=2, following="/services/data/v67.0/query/01h-1")
    record = {
        "attributes": ACCOUNT,
        "Owner": {"attributes": {"type": "User"}, "Name": "O", "Profile": None},
        "Contacts": children,
        "Cases": None,
    }
    more = page({"attributes": contact, "LastName": "Y"}, total=2)
    with serving(said(page(record, total=1)), said(more)) as server, client_of(server) as client:
        (found,) = client.query("SELECT Owner.Name, (SELECT LastName FROM Contacts) FROM Account")
    assert found == {"Owner": {"Name": "O", "Profile": None}, "Contacts": [{"LastName": "X"}, {"LastName": "Y"}], "Cases": None}


def test_compound_values_keep_their_parts() -> None:
    """An address is a dict of its own, without more pages to follow."""
    address = {"city": "Bern", "street": None}
    with serving(said(page({"attributes": ACCOUNT, "BillingAddress": address}, total=1))) as server, client_of(server) as client:
        assert client.query_one("SELECT BillingAddress FROM Account") == {"BillingAddress": address}


def test_pages_keep_numbers_exactly() -> None:
    """A currency that a float cannot hold arrives as a Decimal; `attributes` stay for those who want them."""
    body = b'{"totalSize":1,"done":true,"records":[{"attributes":{"type":"A"},"Amount":1234567890123456.78,"N":5,"E":1.0E7}]}'
    with serving(Answer(200, body, {"Content-Type": "application/json"})) as server, client_of(server) as client:
        (records,) = client.query_pages("SELECT Amount FROM A")
        assert records == [{"attributes": {"type": "A"}, "Amount": Decimal("1234567890123456.78"), "N": 5, "E": Decimal("1.0E7")}]


@pytest.mark.parametrize(
    "pages",
    [
        [page({"Id": "a"}, total=3)],
        [page({"Id": "a"}, total=3, following="/q/1"), page({"Id": "b"}, total=3)],
        [page({"Id": "a"}, total=9, following="/q/1"), page({"Id": "b"}, total=9, following="/q/1")],
        [{"totalSize": 3, "done": False, "records": [{"Id": "a"}]}],
    ],
    ids=["one page", "last page short", "a link that comes back", "no link"],
)
def test_fewer_records_than_announced_are_an_error(pages: list[dict[str, object]]) -> None:
    """What is missing is noticed, and a circle of links is left: Truncated, with both numbers."""
    with serving(*map(said, pages)) as server, client_of(server) as client:
        with pytest.raises(Truncated) as caught:
            list(client.query("SELECT Id FROM Account"))
        assert len(server.asked) <= 2
    announced, rows = caught.value.facts["announced"], caught.value.facts["rows"]
    assert (announced, rows) == (pages[0]["totalSize"], len(pages))


LONG = "SELECT Id FROM Account WHERE Name IN ('" + "', '".join(f"{number:08}" for number in range(1_500)) + "')"


def enclosed(result: object, status: int = 200) -> Answer:
    """The answer to a batch of one request."""
    return said({"hasErrors": status != 200, "results": [{"statusCode": status, "result": result}]})


def test_a_query_that_no_address_holds_goes_in_a_body() -> None:
    """As the one request of a batch; its pages are followed as ever, and numbers stay exact."""
    first = page({"attributes": ACCOUNT, "Id": "a"}, total=2, following="/services/data/v67.0/query/01g-2")
    second = page({"attributes": ACCOUNT, "Id": "b"}, total=2)
    exact = b'{"results":[{"statusCode":200,"result":{"totalSize":1,"done":true,"records":[{"Amount":1234567890123456.78}]}}]}'
    body = Answer(200, exact, {"Content-Type": "application/json"})
    with serving(enclosed(first), said(second), enclosed(page(total=7)), body) as server, client_of(server) as client:
        assert list(client.query(LONG)) == [{"Id": "a"}, {"Id": "b"}]
        assert client.count(LONG.replace("SELECT Id", "SELECT COUNT()"), include_deleted=True) == 7
        assert list(client.query_pages(LONG)) == [[{"Amount": Decimal("1234567890123456.78")}]]
    assert [(asked.method, asked.path.rpartition("/v67.0/")[2]) for asked in server.asked] == [
        ("POST", "composite/batch"),
        ("GET", "query/01g-2"),
        ("POST", "composite/batch"),
        ("POST", "composite/batch"),
    ]
    urls = [json.loads(server.asked[n].body)["batchRequests"] for n in (0, 2)]
    assert urls[0] == [{"method": "GET", "url": f"v67.0/query?q={quote(LONG, safe='')}"}]
    assert urls[1][0]["url"].startswith("v67.0/queryAll?q=SELECT%20COUNT")


def test_a_refusal_in_a_body_is_one_like_another() -> None:
    """Its code decides what it is, and whether it is asked again; what is no answer to a batch is told as such."""
    no_query = enclosed([{"errorCode": "MALFORMED_QUERY", "message": "unexpected token"}], 400)
    busy = enclosed([{"errorCode": "SERVER_UNAVAILABLE", "message": "come back"}], 503)
    with serving(no_query, busy, enclosed(page(total=0)), busy, busy) as server, client_of(server) as client:
        with pytest.raises(BadQuery, match="MALFORMED_QUERY: unexpected token"):
            list(client.query(LONG))
        assert list(client.query(LONG)) == []
        with pytest.raises(RetryLater, match="SERVER_UNAVAILABLE"):
            list(client.query(LONG))
    assert len(server.asked) == 5
    for odd in ({"results": []}, {"results": [7]}, {"results": [{"statusCode": 200, "result": []}]}, {"results": [{}] * 2}):
        with (
            serving(said(odd), said(odd)) as server,
            client_of(server) as client,
            pytest.raises(NetworkFailed, match="expected one answer with totalSize, done, records in a batch"),
        ):
            list(client.query(LONG))


@pytest.mark.parametrize("soql", ["SELECT COUNT() FROM Lead", "\nselect\tcount ( )\nfrom Lead"])
def test_a_query_that_counts_has_no_records_and_lacks_none(soql: str) -> None:
    """What it announces is the count, and not records to come; that of COUNT(field) comes in a record."""
    with serving(*[said(page(total=3))] * 4, said(page(total=1))) as server, client_of(server) as client:
        assert list(client.query(soql)) == []
        assert list(client.query_pages(soql)) == [[]]
        assert client.query_one(soql) is None
        assert list(client.pages_from(client.page(soql), soql)) == [[]]
        with pytest.raises(Truncated):
            list(client.query("SELECT COUNT(Id) FROM Lead"))


def test_an_announcement_of_fewer_is_no_error() -> None:
    """Rows that turn up on top (external objects announce what they like) are taken."""
    with serving(said(page({"Id": "a"}, {"Id": "b"}, total=1))) as server, client_of(server) as client:
        assert len(list(client.query("SELECT Id FROM X__x"))) == 2


@pytest.mark.parametrize("rows", [0, 199, 2001])
def test_a_page_size_outside_the_vendors_range_is_refused(rows: int) -> None:
    """200 to 2,000, said before anything is sent."""
    with serving(said({})) as server, client_of(server) as client:
        with pytest.raises(FixConfig, match="200 to 2,000"):
            list(client.query("SELECT Id FROM A", page_rows=rows))
        assert server.asked == []


def test_a_link_to_a_stranger_is_not_followed() -> None:
    """A page that points elsewhere does not get the token there."""
    with serving(said({})) as stranger:
        first = page({"Id": "a"}, total=2, following=f"{stranger.url}/services/data/v67.0/query/01g")
        with serving(said(first)) as server, client_of(server) as client, pytest.raises(Exception, match="is not on"):
            list(client.query("SELECT Id FROM Account"))
        assert stranger.asked == []


def test_errors_show_the_query_shortly() -> None:
    """The message begins with what was asked, on one line, cut at 80 characters."""
    soql = "SELECT Id,\n  Nme FROM Account WHERE Name IN (" + ", ".join(f"'{n}'" for n in range(50)) + ")"
    told = r"^Querying \(SELECT Id, Nme FROM Account .*\.\.\.\): INVALID_FIELD: No such column"
    with (
        serving(refused("INVALID_FIELD", "No such column 'Nme' on entity 'Account'.")) as server,
        client_of(server) as client,
        pytest.raises(NotFound, match=told) as caught,
    ):
        list(client.query(soql))
    assert len(caught.value.doing) <= 91


# ---- counts, records, changes


@pytest.mark.parametrize(
    ("given", "soql", "answer", "count"),
    [
        (("Account",), "SELECT COUNT() FROM Account", page(total=1234), 1234),
        (("Account", "Name = 'x'"), "SELECT COUNT() FROM Account WHERE Name = 'x'", page(total=7), 7),
        (("select count() from Account",), "select count() from Account", page(total=0), 0),
        (("SELECT\nCOUNT(Id)\nFROM A",), "SELECT\nCOUNT(Id)\nFROM A", page({"attributes": {}, "expr0": 42}, total=1), 42),
        (("SELECT COUNT(Id) n FROM A",), "SELECT COUNT(Id) n FROM A", page({"attributes": {}, "n": 43}, total=1), 43),
    ],
)
def test_a_count_is_one_number(given: tuple[str, ...], soql: str, answer: dict[str, object], count: int) -> None:
    """An object with or without a condition, COUNT() and COUNT(field)."""
    with serving(said(answer)) as server, client_of(server) as client:
        assert client.count(*given) == count
        assert server.asked[0].query["q"] == soql


def test_a_count_can_include_deleted_records() -> None:
    """Then it asks queryAll."""
    with serving(said(page(total=3))) as server, client_of(server) as client:
        assert client.count("Account", include_deleted=True) == 3
        assert server.asked[0].path.endswith("/queryAll")


def test_a_query_that_does_not_count_is_refused() -> None:
    """Reading rows to count them, or grouping, is not what was asked for."""
    groups = page({"attributes": {}, "expr0": 1}, {"attributes": {}, "expr0": 2}, total=2)
    with serving(said(groups)) as server, client_of(server) as client:
        with pytest.raises(BadQuery, match=r"SELECT COUNT\("):
            client.count("SELECT Id FROM Account")
        assert server.asked == []
        with pytest.raises(BadQuery, match="more than one number"):
            client.count("SELECT COUNT(Id) FROM Account GROUP BY Name")


@pytest.mark.parametrize(
    "name", ["", "Account/describe", "Account WHERE", "../x", "Account?x", "1Account", "Ac%63ount", "Accöunt"]
)
def test_an_object_name_is_nothing_but_a_name(name: str) -> None:
    """It goes into addresses and queries, so nothing else may come along."""
    with serving(said({})) as server, client_of(server) as client:
        for ask in (client.describe, lambda one: client.get(one, "001"), lambda one: client.deleted(one, "a", "b")):
            with pytest.raises(BadQuery):
                ask(name)
        assert server.asked == []


def test_a_record_is_got_by_id() -> None:
    """Fields are chosen by parameter; an id cannot leave its place in the address."""
    with serving(said({"attributes": ACCOUNT, "Id": "a", "Name": "x"})) as server, client_of(server) as client:
        assert client.get("Account", "001A", fields=["Id", "Name"]) == {"Id": "a", "Name": "x"}
        client.get("Account", "../x?y")
        targets = [asked.target for asked in server.asked]
    assert targets == [
        "/services/data/v67.0/sobjects/Account/001A?fields=Id%2CName",
        "/services/data/v67.0/sobjects/Account/..%2Fx%3Fy",
    ]


def test_changes_are_asked_for_with_offsets() -> None:
    """Instants are sent in UTC with their offset; a datetime without a zone is refused; answers keep Salesforce's spelling."""
    covered = "2026-11-21T00:00:00.000+0000"
    deleted = {"deletedRecords": [{"id": "001", "deletedDate": "2026-11-20T10:00:00.000+0000"}], "latestDateCovered": covered}
    start, end = datetime(2026, 11, 20, 2, 30, tzinfo=timezone(timedelta(hours=2))), "2026-11-21T00:00:00Z"
    with serving(said(deleted), said({"ids": ["002"], "latestDateCovered": covered})) as server, client_of(server) as client:
        assert client.deleted("Account", start, end) == ([("001", "2026-11-20T10:00:00.000+0000")], covered)
        assert client.updated("Account", start, end) == (["002"], covered)
        with pytest.raises(ValueError, match="time zone"):
            client.deleted("Account", datetime(2026, 1, 1), end)  # noqa: DTZ001  # that is the point
        asked = server.asked
    assert [one.path.rpartition("Account")[2] for one in asked] == ["/deleted/", "/updated/"]
    assert asked[0].query == {"start": "2026-11-20T00:30:00+00:00", "end": "2026-11-21T00:00:00Z"}


def test_every_option_of_the_transport_can_be_given_to_a_client() -> None:
    """The typed options and Transport's parameters are the same set."""
    parameters = inspect.signature(Transport.__init__).parameters
    assert set(TransportOptions.__annotations__) == set(parameters) - {"self", "session", "version"}


# ---- the emulator


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def emulator(private_key: rsa.RSAPrivateKey) -> Iterator[Emulator]:
    public = private_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    login = Login(API_USERNAME, "word", "tok")
    with Emulator(EmulatorConfig(users=(login,), public_keys=(public.decode(),), refresh_tokens=("refresh",))) as running:
        seed(running.store, {"Account": 700, "Contact": 20})
        yield running


@pytest.fixture
def client(emulator: Emulator) -> Iterator[SalesforceClient]:
    emulator.faults.clear()
    with SalesforceClient(login_to(emulator)["client credentials"], pace=StoppedClock().pace) as made:
        yield made


def login_to(emulator: Emulator) -> dict[str, Authenticator]:
    url, config = emulator.url, emulator.config
    return {
        "client credentials": ClientCredentialsAuthenticator(config.consumer_key, config.consumer_secret, login_url=url),
        "refresh token": RefreshTokenAuthenticator(config.consumer_key, "refresh", login_url=url),
        "password": OAuthAuthenticator(config.consumer_key, config.consumer_secret, API_USERNAME, "word", "tok", login_url=url),
    }


@pytest.mark.parametrize("flow", ["client credentials", "refresh token", "password"])
def test_each_flow_opens_the_org_and_renews(emulator: Emulator, flow: str) -> None:
    """Log in, ask, lose the session, ask again."""
    with SalesforceClient(login_to(emulator)[flow]) as client:
        assert client.count("Account") == 700
        emulator.org.sessions.end_all()
        assert client.count("Contact") == 20


def test_the_jwt_flow_opens_the_org_and_renews(emulator: Emulator, private_key: rsa.RSAPrivateKey) -> None:
    """The emulator checks the signature against the registered key; another key is refused."""
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def signed_by(key: rsa.RSAPrivateKey) -> JWTAuthenticator:
        none = serialization.NoEncryption()
        text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, none)
        return JWTAuthenticator(emulator.config.consumer_key, API_USERNAME, private_key=text, login_url=emulator.url)

    with SalesforceClient(signed_by(private_key)) as client:
        assert client.count("Account") == 700
        emulator.org.sessions.end_all()
        assert client.count("Account") == 700
    with pytest.raises(LoginRefused):
        signed_by(stranger).authenticate()


def test_a_session_id_opens_the_org_and_dies_with_it(emulator: Emulator) -> None:
    """Another login's token works as given; when it ends there is no renewal."""
    token = login_to(emulator)["client credentials"].authenticate().token()
    with SalesforceClient(SessionAuthenticator(token.access_token, emulator.url)) as client:
        assert client.count("Account") == 700
        emulator.org.sessions.end_all()
        with pytest.raises(LoginRefused, match="cannot be renewed"):
            client.count("Account")


def test_wrong_credentials_are_told(emulator: Emulator) -> None:
    """A wrong secret shows at `authenticate`, with a hint and without the secret."""
    with pytest.raises(LoginRefused, match="SF_CLIENT_SECRET") as caught:
        ClientCredentialsAuthenticator(emulator.config.consumer_key, "wrong-canary", login_url=emulator.url).authenticate()
    assert "wrong-canary" not in str(caught.value)


def test_all_pages_of_a_query_arrive_in_order(client: SalesforceClient) -> None:
    """700 records in pages of 200: four calls, every record once, in the order asked for."""
    ids = [record["Id"] for record in client.query("SELECT Id FROM Account ORDER BY Id", page_rows=200)]
    assert ids == sorted(set(ids))
    assert len(ids) == 700
    assert client.transport.usage.calls == 4


def test_a_query_survives_expiry_loss_and_trouble_on_the_way(client: SalesforceClient, emulator: Emulator) -> None:
    """A session that ends, a cut reply and a 503 between pages change nothing about the result."""
    whole = list(client.query("SELECT Id, Name FROM Account ORDER BY Id"))
    emulator.faults.add("expire_session", path="/query/", nth=1)
    emulator.faults.add("cut", path="/query/", nth=3, after_bytes=200)
    emulator.faults.add("answer", path="/query/", nth=4, status=503, body="[]")
    emulator.faults.add("lose_reply", path="/query/", nth=6)
    assert list(client.query("SELECT Id, Name FROM Account ORDER BY Id", page_rows=200)) == whole


def test_the_clock_and_the_usage_are_the_orgs(client: SalesforceClient, emulator: Emulator) -> None:
    """`server_time` follows the org's clock, not ours; usage is the org's own count."""
    emulator.clock.freeze(datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC))
    try:
        client.limits()
    finally:
        emulator.clock.freeze(None)
    usage = client.transport.usage
    assert client.transport.server_time == datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert (usage.calls, usage.allowed) == (1, emulator.config.daily_api_requests)
    assert usage.used is not None
    assert usage.used >= 1


def test_records_describes_and_objects_are_read(client: SalesforceClient) -> None:
    """get, query_one, describe, list_objects and limits speak of the same org."""
    one = client.query_one("SELECT Id, Name FROM Account LIMIT 1")
    assert one is not None
    assert client.get("Account", one["Id"][:15], fields=["Id", "Name"]) == one
    assert {"Id", "Name", "SystemModstamp"} <= {field["name"] for field in client.describe("Account")["fields"]}
    assert {"Account", "Contact"} <= {entry["name"] for entry in client.list_objects()}
    assert client.limits()["DailyApiRequests"]["Max"] == 100_000


def test_deletions_and_changes_are_listed(client: SalesforceClient, emulator: Emulator) -> None:
    """A deleted record leaves `count`, stays in `include_deleted`, and is listed with its instant; a new one is listed too."""
    start = emulator.clock.now() - timedelta(minutes=5)
    made = client.transport.send("POST", "sobjects/Account", json={"Name": "short life"}, accept=(201,), safe=False).json()["id"]
    emulator.clock.advance(120)
    assert made in client.updated("Account", start, emulator.clock.now())[0]
    client.transport.send("DELETE", f"sobjects/Account/{made}", accept=(204,))
    emulator.clock.advance(120)
    deleted, covered = client.deleted("Account", start, emulator.clock.now())
    assert [identity for identity, _ in deleted] == [made]
    assert datetime.fromisoformat(covered) > start
    assert client.count("Account", f"Id = '{made}'") == 0
    assert client.count("Account", f"Id = '{made}'", include_deleted=True) == 1
    with pytest.raises(NotFound, match="recycle bin"):
        client.get("Account", made)


@pytest.mark.parametrize(
    ("ask", "kind", "code"),
    [
        (lambda c: c.describe("Acount"), NotFound, "NOT_FOUND"),
        (lambda c: c.get("Account", "001000000000zzz"), NotFound, "NOT_FOUND"),
        (lambda c: c.count("XYZZY"), NotFound, "INVALID_TYPE"),
        (lambda c: list(c.query("SELECT Nme FROM Account")), NotFound, "INVALID_FIELD"),
        (lambda c: list(c.query("SELECT Id FORM Account")), BadQuery, "MALFORMED_QUERY"),
        (
            lambda c: list(c.query("SELECT Id FROM Account WHERE " + "Name = 'yyyyyyyy' OR " * 5_000 + "Id = null")),
            BadQuery,
            "MALFORMED_QUERY",
        ),
        (lambda c: c.get("Account", "0" * 17_000), BadQuery, None),
    ],
    ids=["object", "record", "type", "field", "syntax", "length", "address"],
)
def test_the_orgs_refusals_have_their_place_in_the_tree(
    client: SalesforceClient, ask: Callable[[SalesforceClient], object], kind: type[Exception], code: str | None
) -> None:
    """Common mistakes end in the right error, with the org's own code."""
    with pytest.raises(kind) as caught:
        ask(client)
    assert getattr(caught.value, "code", "") == code


def test_a_version_that_is_retired_is_told(emulator: Emulator) -> None:
    """The hint names the setting."""
    login = login_to(emulator)["client credentials"]
    with SalesforceClient(login, version="20.0") as client, pytest.raises(FixConfig, match="Set version"):
        client.limits()


def test_an_org_out_of_calls_says_try_later() -> None:
    """With the guard off, the org's own refusal ends in exit code 75."""
    with (
        Emulator(EmulatorConfig(daily_api_requests=3)) as small,
        SalesforceClient(login_to(small)["client credentials"], quota_share=1.0) as client,
    ):
        assert [client.count("Account") for _ in range(3)] == [0, 0, 0]
        with pytest.raises(RetryLater) as caught:
            client.count("Account")
    assert (caught.value.code, caught.value.exit_code) == ("REQUEST_LIMIT_EXCEEDED", 75)


def test_the_environment_opens_the_org(emulator: Emulator) -> None:
    """The documented variables are all that a client needs."""
    environ = {
        "SF_CLIENT_ID": emulator.config.consumer_key,
        "SF_CLIENT_SECRET": emulator.config.consumer_secret,
        "SF_LOGIN_URL": emulator.url,
    }
    with SalesforceClient.from_env(environ, version="60.0") as client:
        assert client.count("Account") == 700
        assert client.transport.base == "/services/data/v60.0"


# ---- the org


def test_the_org_is_read_off_the_token_where_it_shows_it() -> None:
    """An opaque token starts with the org's id: no call is needed."""
    with serving() as server:
        info = {"access_token": "00D5g000000AbCdEAB!secret", "instance_url": server.url}
        with SalesforceClient(info) as client:
            assert client.org_id() == "00D5g000000AbCd"
        assert server.asked == []


def test_the_org_is_asked_for_once_where_the_token_is_silent() -> None:
    """A signed token hides the org; one query tells, and its answer is kept."""
    with serving(said(page({"attributes": ACCOUNT, "Id": "00D5g000000AbCdEAB"}, total=1))) as server:
        client = SalesforceClient({"access_token": "eyJ.signed.token", "instance_url": server.url})
        assert [client.org_id(), client.org_id()] == ["00D5g000000AbCd"] * 2
        assert len(server.asked) == 1
        client.close()


def test_an_org_that_the_user_may_not_see_is_unknown() -> None:
    """Who may not read Organization may still sync: the org is then not held against the position's."""
    with serving(refused("INVALID_TYPE", "sObject type 'Organization' is not supported.")) as server:
        client = SalesforceClient({"access_token": "eyJ.signed.token", "instance_url": server.url})
        assert client.org_id() is None
        client.close()
