"""Laws of SfClient: an org as users of simple-salesforce write it."""

from __future__ import annotations

import copy
import gc
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from tests.connectors.salesforce.writable import writable
from tests.test_docs import DOCS

from halocline import SfClient, SoapAuthenticator, SyncPipeline
from halocline.config import Settings
from halocline.connectors.salesforce import soap_login, transport
from halocline.emulator.org import EmulatorConfig
from halocline.emulator.server import Emulator
from halocline.emulator.standing import API_USERNAME
from halocline.errors import BadQuery, FixConfig, LoginRefused, NotFound, RejectRecord, RetryLater
from halocline.ledger import MemoryLedger
from halocline.retry import Policy
from halocline.sf_client.absent import instead_of
from halocline.sf_client.sobject import SfType

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, SfClient]]:
    folder = tmp_path_factory.mktemp("sf")
    with writable(folder) as (emulator, client), MemoryLedger() as ledger:
        client.limits()  # logged in before the checkpoint, so that each test finds the session there
        emulator.checkpoint()
        yield emulator, SfClient(client=client, settings=Settings(folder), ledger=ledger)


@pytest.fixture
def sf(org: tuple[Emulator, SfClient]) -> SfClient:
    org[0].reset()
    return org[1]


@pytest.fixture
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "ACCESS_TOKEN",
        "CLIENT_SECRET",
        "PRIVATE_KEY_PATH",
        "REFRESH_TOKEN",
        "CLIENT_ID",
        "USERNAME",
        "PASSWORD",
        "LOGIN_URL",
        "DOMAIN",
    ):
        monkeypatch.delenv(f"SF_{name}", raising=False)


@pytest.fixture
def as_app(org: tuple[Emulator, SfClient], monkeypatch: pytest.MonkeyPatch, no_login: None) -> None:
    """The environment logs in as the emulator's app."""
    config = org[0].config
    monkeypatch.setenv("SF_CLIENT_ID", config.consumer_key)
    monkeypatch.setenv("SF_CLIENT_SECRET", config.consumer_secret)
    monkeypatch.setenv("SF_LOGIN_URL", org[0].url)


def test_a_record_lives(sf: SfClient) -> None:
    """Created, read, changed, upserted and deleted, each with the answer that simple-salesforce gives."""
    made = sf.Account.create({"Name": "a", "Ext__c": "K/1"})
    assert (made["success"], made["errors"], set(made)) == (True, [], {"id", "success", "errors"})
    assert sf.Account.get(made["id"])["Name"] == "a"
    assert sf.Account.get_by_custom_id("Ext__c", "K/1")["attributes"]["type"] == "Account"
    assert sf.Account.update(made["id"], {"Phone": "1"}) == 204
    assert sf.Account.upsert("Ext__c/K%2F1", {"Name": "b"}) == 200
    assert sf.Account.upsert("Ext__c/new one", {"Name": "c"}) == 201
    assert {row["Ext__c"]: row["Name"] for row in sf.query("SELECT Name, Ext__c FROM Account")["records"]} == {
        "K/1": "b",
        "new one": "c",
    }
    assert sf.Account.delete(made["id"]) == 204
    with pytest.raises(NotFound):
        sf.Account.get(made["id"])


def test_a_refusal_is_an_error(sf: SfClient) -> None:
    """With Salesforce's code and words."""
    with pytest.raises(RejectRecord, match="REQUIRED_FIELD_MISSING"):
        sf.Account.create({"Phone": "1"})
    with pytest.raises(RejectRecord, match="REQUIRED_FIELD_MISSING"):
        sf.Account.upsert("Ext__c/x", {"Phone": "1"})
    with pytest.raises(BadQuery, match="names no field and value"):
        sf.Account.upsert("x", {"Phone": "1"})


def test_a_query_answers_a_page_and_query_all_every_one(org: tuple[Emulator, SfClient], sf: SfClient) -> None:
    """In Salesforce's own shape, with `attributes`."""
    org[0].seed({"Account": 2_100})
    first = sf.query("SELECT Id FROM Account")
    assert (first["totalSize"], first["done"], len(first["records"])) == (2_100, False, 2_000)
    assert len(sf.query_more(first["nextRecordsUrl"])["records"]) == 100
    whole = sf.query_all("SELECT Id FROM Account")
    assert (whole["done"], len({row["Id"] for row in whole["records"]})) == (True, 2_100)
    assert len(list(sf.query_all_iter("SELECT Id FROM Account"))) == 2_100
    assert sf.query_all("SELECT COUNT() FROM Account") == {"totalSize": 2_100, "done": True, "records": []}
    assert list(sf.query_all_iter("SELECT COUNT() FROM Account")) == []
    assert "attributes" in whole["records"][0]
    assert "attributes" not in sf.bulk.Account.query("SELECT Id FROM Account")[0]


def test_the_next_page_is_asked_for_as_with_simple_salesforce(org: tuple[Emulator, SfClient], sf: SfClient) -> None:
    """By its identifier, or by the path with or without a word that it is one; deleted records stay in the answer."""
    org[0].seed({"Account": 2_100})
    sf.Account.delete(sf.query("SELECT Id FROM Account")["records"][0]["Id"])
    path = sf.query("SELECT Id FROM Account")["nextRecordsUrl"]
    identifier = path.rpartition("/")[2]
    pages = [sf.query_more(identifier), sf.query_more(identifier, False), sf.query_more(path, True), sf.query_more(path)]
    assert [len(page["records"]) for page in pages] == [99] * 4
    path = sf.query("SELECT Id FROM Account", include_deleted=True)["nextRecordsUrl"]
    assert len(sf.query_more(path.rpartition("/")[2], include_deleted=True)["records"]) == 100


def test_it_is_a_login_too(sf: SfClient, tmp_path: Path) -> None:
    """Whatever takes an authenticator takes it: a pipeline, too."""
    with MemoryLedger() as ledger:
        pipeline = SyncPipeline(sf, "Account", ledger=ledger, settings=Settings(tmp_path))
        assert pipeline.sync([{"Name": "a"}]).success_count == 1
    assert sf.query("SELECT Name FROM Account")["records"][0]["Name"] == "a"


def test_any_path_may_be_called(sf: SfClient) -> None:
    """As with simple-salesforce: relative to the API's version, JSON both ways, None where there is no answer."""
    made = sf.restful("sobjects/Account", method="POST", json={"Name": "Waldo"})
    assert sf.restful(f"sobjects/Account/{made['id']}", params={"fields": "Name"})["Name"] == "Waldo"
    assert sf.restful(f"sobjects/Account/{made['id']}", method="PATCH", data='{"Name": "Walda"}') is None
    assert sf.restful(f"/services/data/v{sf.sf_version}/limits").keys() == sf.limits().keys()
    found = sf.search("FIND {Walda} IN NAME FIELDS RETURNING Account(Name)")["searchRecords"]
    assert [one["Name"] for one in found] == ["Walda"]
    assert [one["Id"] for one in sf.quick_search("Walda")["searchRecords"]] == [made["id"]]
    assert sf.toolingexecute("query/?q=SELECT+Id+FROM+ApexClass")["done"] is True
    assert sf.is_sandbox() in {True, False}
    assert sf.base_url.endswith(f"/services/data/v{sf.sf_version}/")
    with pytest.raises(NotFound):
        sf.apexecute("No/Such", method="POST", data={"a": 1})
    with pytest.raises(TypeError):
        sf.restful("limits", timeout=3)


@pytest.mark.parametrize(("name", "instead"), [("bulk2", "sf.bulk.Account"), ("mdapi", "beside it"), ("session", "sf.restful")])
def test_what_is_not_there_says_what_to_use(sf: SfClient, name: str, instead: str) -> None:
    """It is no object of the org, and `hasattr` says so too."""
    assert not hasattr(sf, name)
    with pytest.raises(AttributeError, match=instead):
        getattr(sf, name)


THEIRS = [
    "apex_url",
    "apexecute",
    "api_usage",
    "auth_site",
    "auth_type",
    "base_url",
    "bulk2_url",
    "bulk_url",
    "checkDeployStatus",
    "deploy",
    "describe",
    "domain",
    "headers",
    "is_sandbox",
    "limits",
    "mdapi",
    "metadata_url",
    "oauth2",
    "oauth2_url",
    "parse_api_usage",
    "parse_result_to_json",
    "proxies",
    "query",
    "query_all",
    "query_all_iter",
    "query_more",
    "quick_search",
    "restful",
    "search",
    "session",
    "session_id",
    "set_password",
    "sf_instance",
    "sf_version",
    "tooling_url",
    "toolingexecute",
]
"""The public names of `simple_salesforce.Salesforce` 1.12.10, attributes of its instances included."""


@pytest.mark.parametrize("name", THEIRS)
def test_no_name_of_simple_salesforce_becomes_an_object(name: str) -> None:
    """Each is here too, or says what to use."""
    assert hasattr(SfClient, name) or instead_of(name) is not None


def test_the_page_names_as_absent_what_is() -> None:
    """Each attribute there says what to use, and none of what is here is among them."""
    absent = (DOCS / "coming-from-simple-salesforce.md").read_text(encoding="utf-8").partition("## What is absent")[2]
    of_client, of_object, _ = absent.split("\n- ")[1:]
    names = re.findall(r"`\.(\w+)`", of_client)
    assert len(names) > 8
    assert [name for name in names if hasattr(SfClient, name) or instead_of(name) is None] == []
    assert [name for name in re.findall(r"`(\w+)`", of_object) if hasattr(SfType, name)] == []


def test_names_of_python_are_no_objects(sf: SfClient) -> None:
    """Copying does not go round for ever."""
    assert copy.copy(sf).Account.name == "Account"
    assert not hasattr(sf, "_nothing")
    assert not hasattr(SfClient.__new__(SfClient), "client")
    assert not hasattr(sf.bulk, "_nothing")
    assert {"Account"} <= {one["name"] for one in sf.describe()["sobjects"]}
    assert sf.Account.describe()["name"] == "Account"


# ---- logging in


def test_a_user_logs_in_as_before(org: tuple[Emulator, SfClient], no_login: None) -> None:
    """User name, password, token and domain, by position."""
    with SfClient(API_USERNAME, "halo", "cline", org[0].url) as sf:
        assert sf.query("SELECT COUNT() FROM Account")["done"] is True
        assert sf.sf_instance == org[0].url.partition("://")[2]
        assert sf.session_id
        assert sf.authenticate().notices


def test_the_environment_logs_in(org: tuple[Emulator, SfClient], monkeypatch: pytest.MonkeyPatch, no_login: None) -> None:
    """As our other clients, or by user name and password alone."""
    config = org[0].config
    monkeypatch.setenv("SF_USERNAME", API_USERNAME)
    monkeypatch.setenv("SF_PASSWORD", "halocline")
    monkeypatch.setenv("SF_DOMAIN", org[0].url)
    with SfClient() as sf:
        assert sf.limits()
    monkeypatch.delenv("SF_PASSWORD")
    monkeypatch.setenv("SF_CLIENT_ID", config.consumer_key)
    monkeypatch.setenv("SF_CLIENT_SECRET", config.consumer_secret)
    monkeypatch.setenv("SF_LOGIN_URL", org[0].url)
    with SfClient() as sf:
        assert sf.limits()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: SfClient().Account.create({"Name": "a"})["success"],
        lambda: SfClient().bulk.Account.upsert([{"Name": "a", "Ext__c": "1"}], "Ext__c")[0]["success"],
        lambda: SfClient().bulk.Account.insert([{"Name": "a"}])[0]["success"],
        lambda: SfClient().client.count("Account") == 0,
        lambda: list(SfClient().client.query("SELECT Id FROM Organization")),
        lambda: SfClient().client.view().count("Account") == 0,
        lambda: SfClient().client.bulk.insert("Account", [{"Name": "a"}]).success_count,
        lambda: list(SfClient().query_all_iter("SELECT Id FROM Organization")),
    ],
)
def test_a_client_that_nobody_holds_works_to_its_end(
    org: tuple[Emulator, SfClient], as_app: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[], object]
) -> None:
    """What was taken of it keeps its connections open, and once nothing does they are closed: no socket is left over."""
    org[0].reset()
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    made: list[httpx2.Client] = []
    http_client = transport.http_client

    def noted(**options: float) -> httpx2.Client:
        made.append(http_client(**options))
        return made[-1]

    monkeypatch.setattr(transport, "http_client", noted)
    assert ask()
    gc.collect()
    assert [one.is_closed for one in made] == [True]


def test_a_client_that_was_closed_says_so(org: tuple[Emulator, SfClient], as_app: None) -> None:
    """By an error of ours, before anything is asked; a client that was given stays open."""
    with SfClient() as sf:
        assert sf.limits()
    with pytest.raises(FixConfig, match=r"Counting.* its client is closed"):
        sf.client.count("Account")
    with SfClient(client=org[1].client):
        pass
    assert org[1].limits()


def test_a_wrong_password_is_refused_once(org: tuple[Emulator, SfClient]) -> None:
    """It is not tried again, for that would lock the user out, and is in no message."""
    org[0].calls.clear()
    login = SoapAuthenticator(API_USERNAME, "secret-word", login_url=org[0].url)
    with pytest.raises(LoginRefused, match="INVALID_LOGIN") as refused:
        login.authenticate()
    assert len(org[0].calls) == 1
    assert "secret-word" not in f"{refused.value} {refused.value.facts} {login!r}"


def test_an_org_without_this_login_says_so() -> None:
    """With what to use instead."""
    with Emulator(EmulatorConfig(soap_login=False)) as org, pytest.raises(LoginRefused, match="client credentials"):
        SoapAuthenticator(API_USERNAME, "halocline", login_url=org.url).authenticate()


def test_a_login_that_cannot_be_is_an_error(org: tuple[Emulator, SfClient], no_login: None) -> None:
    """Nothing that was given is left out in silence, and another login taken."""
    client = org[1].client
    for half in (("name",), ("name", ""), ("", ""), (None, "word")):
        with pytest.raises(FixConfig, match="come together"):
            SfClient(*half)
    with pytest.raises(FixConfig, match="is set"):
        SfClient()
    with pytest.raises(FixConfig, match="without user name and password"):
        SfClient(security_token="t")
    for beside in ({"username": "u", "password": "p"}, {"domain": "test"}, {"security_token": "t"}):
        with pytest.raises(FixConfig, match="a login beside it"):
            SfClient(client=client, **beside)


def test_a_domain_goes_before_that_of_the_environment(
    org: tuple[Emulator, SfClient], monkeypatch: pytest.MonkeyPatch, no_login: None
) -> None:
    """By password and by app; a session id has an address of its own, so there it cannot be honoured."""
    emulator = org[0]
    for name in ("DOMAIN", "LOGIN_URL"):
        monkeypatch.setenv(f"SF_{name}", "http://127.0.0.1:1")
    monkeypatch.setenv("SF_USERNAME", API_USERNAME)
    monkeypatch.setenv("SF_PASSWORD", "halocline")
    with SfClient(domain=emulator.url) as sf:
        assert sf.limits()
    monkeypatch.delenv("SF_PASSWORD")
    monkeypatch.setenv("SF_CLIENT_ID", emulator.config.consumer_key)
    monkeypatch.setenv("SF_CLIENT_SECRET", emulator.config.consumer_secret)
    with SfClient(domain=emulator.url) as sf:
        assert sf.limits()
    monkeypatch.setenv("SF_ACCESS_TOKEN", "00D!x")
    monkeypatch.setenv("SF_INSTANCE_URL", emulator.url)
    with pytest.raises(FixConfig, match="good for its own only"):
        SfClient(domain="test")


@pytest.mark.parametrize("by_password", [True, False])
def test_nothing_is_asked_or_looked_up_until_it_is_needed(
    org: tuple[Emulator, SfClient], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_login: None, by_password: bool
) -> None:
    """A client of a module costs its import nothing: the network may be away, and the secret it refers to come later."""
    emulator = org[0]
    secret, kept = (tmp_path / name for name in ("word", "kept"))
    monkeypatch.setenv("SF_USERNAME" if by_password else "SF_CLIENT_ID", API_USERNAME if by_password else "env:KEY")
    monkeypatch.setenv("SF_PASSWORD" if by_password else "SF_CLIENT_SECRET", f"file:{secret}")
    monkeypatch.setenv("SF_DOMAIN" if by_password else "SF_LOGIN_URL", emulator.url)
    emulator.calls.clear()
    with SfClient() as sf:
        assert (sf.Account.name, sf.bulk.Account.object_name) == ("Account", "Account")
        assert not list(emulator.calls)
        secret.touch(mode=0o600)
        secret.write_text("halocline\n" if by_password else f"{emulator.config.consumer_secret}\n")
        monkeypatch.setenv("KEY", emulator.config.consumer_key)
        kept.write_text(str(sf.limits()))
    assert kept.read_text()
    monkeypatch.setattr(soap_login, "_POLICY", Policy(attempts=2, base_s=0.001))
    with SfClient("nobody", "nothing", "", "http://127.0.0.1:1") as sf, pytest.raises(RetryLater):
        sf.authenticate()


def test_a_session_that_expired_is_renewed(org: tuple[Emulator, SfClient]) -> None:
    """By the same login, as often as it takes; its notices are known once it is made."""
    with SfClient(API_USERNAME, "halocline", None, org[0].url) as sf:
        session = sf.authenticate()
        assert session.notices
        first = session.token()
        second = session.renew(first)
        assert session.renew(first) == second == session.token()
        assert sf.limits()


@pytest.mark.parametrize(
    ("domain", "url"),
    [
        ("", "https://login.salesforce.com"),
        ("na", "https://login.salesforce.com"),
        ("test", "https://test.salesforce.com"),
        ("acme.my", "https://acme.my.salesforce.com"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
    ],
)
def test_a_domain_is_the_host_before_salesforce(domain: str, url: str) -> None:
    """As the older client has it, or a whole address."""
    from halocline.sf_client.client import soap_login as login

    assert login("u", "p", security_token="t", domain=domain).login_url == url
