"""Laws of the client that kinetic-core's users find at `halocline.compat.kinetic`: its arguments and answers, our guarantees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import halocline
from halocline.compat import kinetic
from halocline.compat.kinetic import (
    JWTAuthenticator,
    OAuthAuthenticator,
    SalesforceClient,
    SalesforceSession,
    auth,
    mapping,
    pipeline,
)
from halocline.emulator.org import API_USERNAME
from halocline.emulator.server import Emulator
from halocline.errors import NotFound, RejectRecord
from tests.connectors.salesforce.writable import writable

pytestmark = pytest.mark.system

Org = tuple[Emulator, SalesforceClient]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a private key; that of its public key is beside it."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path_factory.mktemp("key") / "server.key"
    pem = serialization.Encoding.PEM
    path.write_bytes(made.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    path.chmod(0o600)
    public = made.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return path


@pytest.fixture
def org(tmp_path: Path, key: Path) -> Iterator[Org]:
    """An org, and the client made as that one's users make it: from a session of theirs."""
    with writable(tmp_path, public_keys=(key.with_suffix(".pub").read_text(),)) as (emulator, ours):
        session = SalesforceSession(emulator.url, ours.transport.session.token().access_token)
        with SalesforceClient(session) as client:
            yield emulator, client


def test_a_session_is_a_login(org: Org) -> None:
    """With the parts that its users read, the version that it names, and a token that is not shown."""
    emulator, client = org
    session = SalesforceSession(f"{emulator.url}/", "secret", "v61.0")
    assert (session.base_url, session.is_valid()) == (f"{emulator.url}/services/data/v61.0", True)
    assert session.auth_header == {"Authorization": "Bearer secret"}
    assert "secret" not in repr(session)
    assert not SalesforceSession("", "").is_valid()
    client.count("Account")
    assert [call.path for call in emulator.calls][-1].startswith("/services/data/v62.0/")


@pytest.mark.parametrize("version", ["61.0", "v61.0"])
def test_a_version_is_read_with_its_v(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is given, also by the environment; v62.0 where nothing says it."""
    assert SalesforceSession("http://x/", "t", version).base_url == "http://x/services/data/v61.0"
    monkeypatch.setenv("SF_API_VERSION", version)
    assert SalesforceSession("http://x", "t").api_version == "v61.0"
    monkeypatch.delenv("SF_API_VERSION")
    assert SalesforceSession("http://x", "t").api_version == "v62.0"


def logins(emulator: Emulator, key: Path) -> list[JWTAuthenticator | OAuthAuthenticator]:
    """Both logins, with all arguments in their places."""
    app, secret = emulator.config.consumer_key, emulator.config.consumer_secret
    return [
        JWTAuthenticator(app, API_USERNAME, str(key), f"{emulator.url}/", "60.0"),
        OAuthAuthenticator(app, secret, API_USERNAME, "halocline", "", emulator.url, "60.0"),
    ]


def test_a_login_opens_a_session_of_theirs(org: Org, key: Path) -> None:
    """By arguments in their places; its version is the one that is called, and it renews itself, unlike there."""
    emulator, _ = org
    for login in logins(emulator, key):
        session = login.authenticate()
        first = session.access_token
        assert (session.instance_url, session.username, session.is_valid()) == (emulator.url, API_USERNAME, True)
        assert session.auth_header == {"Authorization": f"Bearer {first}"}
        assert first not in repr(session)
        with SalesforceClient(session) as client:
            emulator.org.sessions.end_all()
            assert client.count("Account") == 0
        assert [call.path for call in emulator.calls][-1].startswith("/services/data/v60.0/")
        assert session.access_token != first
        for other in (halocline.SalesforceClient(login), halocline.SalesforceClient(session)):
            with other:
                assert other.count("Account") == 0


@pytest.mark.parametrize("in_file", [False, True])
def test_a_login_is_read_from_the_environment_or_the_file_beside_it(
    org: Org, key: Path, in_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.env` in the current folder counts less; SF_API_VERSION less than the argument."""
    emulator, _ = org
    said = {
        "SF_CLIENT_ID": emulator.config.consumer_key,
        "SF_CLIENT_SECRET": emulator.config.consumer_secret,
        "SF_USERNAME": API_USERNAME,
        "SF_PASSWORD": "halocline",
        "SF_PRIVATE_KEY_PATH": str(key),
        "SF_LOGIN_URL": emulator.url,
        "SF_API_VERSION": "v60.0",
    }
    monkeypatch.chdir(tmp_path)
    for name, value in said.items():
        monkeypatch.delenv(name, raising=False) if in_file else monkeypatch.setenv(name, value)
    lines = said if in_file else dict.fromkeys(said, "wrong")
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    for kind in (JWTAuthenticator, OAuthAuthenticator):
        assert kind.from_env().authenticate().api_version == "v60.0"
        assert kind.from_env("v61.0").api_version == kind.from_env(api_version="61.0").api_version == "v61.0"
        assert kind.from_env(environ=said).authenticate().instance_url == emulator.url


def test_arguments_have_their_names_and_places(org: Org) -> None:
    """Those of `create`, `query_one`, and of a mapper's functions."""
    _, client = org
    made = client.create(sobject="Account", data={"Name": "a"})
    client.delete("Account", made)
    assert client.query_one("SELECT Name FROM Account", True) == {"Name": "a"}
    mapper = mapping.FieldMapper({"a": "A", "b": "B"})
    assert mapper.transform({"a": None}, False, False) == {"A": None}
    assert mapper.transform_batch([{"a": None}], False) == [{"A": None}]
    with pytest.raises(RejectRecord):
        mapping.ConditionalFieldMapper({"a": "A"}, {}).transform({}, True, True)


def test_a_record_lives(org: Org) -> None:
    """Create answers the id, update and delete True, upsert the id both times."""
    _, client = org
    made = client.create("Account", {"Name": "a"})
    assert client.update("Account", made, {"Phone": "1"}) is True
    assert client.get("Account", made, ["Name", "Phone"]) == {"Name": "a", "Phone": "1"}
    new = client.upsert("Account", "Ext__c", "K/1?x=a'b", {"Name": "b"})
    assert client.upsert("Account", "Ext__c", "K/1?x=a'b", {"Name": "c"}) == new
    assert client.query("SELECT Name, Ext__c FROM Account WHERE Ext__c != null") == [{"Name": "c", "Ext__c": "K/1?x=a'b"}]
    assert client.delete("Account", made) is True
    with pytest.raises(NotFound):
        client.delete("Account", made)


def test_queries_answer_lists(org: Org) -> None:
    """All pages of them; one record or None; a number."""
    emulator, client = org
    emulator.seed({"Account": 2_500})
    found = client.query("SELECT Id FROM Account")
    assert isinstance(found, list)
    assert len({record["Id"] for record in found}) == 2_500
    assert client.query_one("SELECT Id FROM Account WHERE Name = 'nobody'") is None
    assert client.query_one("SELECT Id FROM Account LIMIT 1") in found
    assert client.count("Account") == 2_500
    assert client.count("Account", "Name = 'nobody'") == 0
    assert client.count("Account", where="") == 2_500


def test_a_batch_tells_of_every_record(org: Org) -> None:
    """In the shape of Salesforce's own answer; more than 200 are no error."""
    _, client = org
    told = client.create_batch("Account", [{"Name": f"n{number}"} for number in range(250)] + [{"Phone": "1"}])
    assert [one["success"] for one in told] == [True] * 250 + [False]
    assert told[0]["errors"] == []
    refused = {"statusCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [Name]", "fields": ["Name"]}
    assert (told[-1]["id"], told[-1]["errors"]) == (None, [refused])


def test_a_refusal_keeps_its_words(org: Org) -> None:
    """Not just that it was a 400."""
    with pytest.raises(RejectRecord, match="REQUIRED_FIELD_MISSING"):
        org[1].create("Account", {"Phone": "1"})


def test_the_names_are_where_the_documents_import_them_from() -> None:
    """Each module offers the same things."""
    for module in (kinetic, auth, pipeline, mapping):
        for name in module.__all__:
            assert getattr(module, name) is getattr(kinetic, name)
