"""The OAuth endpoints: who gets a token, what the answer holds, how a session ends."""

from __future__ import annotations

import base64
import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from tests.emulator.conftest import VERSION, connect, error, login_form

from halocline.emulator.auth import JWT_GRANT
from halocline.emulator.server import ConnectedApp, Emulator, EmulatorConfig, Login
from halocline.emulator.standing import API_USERNAME

TOKEN = "/services/oauth2/token"


@pytest.fixture
def visitor(emulator: Emulator) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=emulator.url) as client:
        yield client


@pytest.fixture(scope="module")
def steady(signing_key: rsa.RSAPrivateKey) -> Iterator[Emulator]:
    """One emulator that knows the key, for tests that change nothing in it."""
    with Emulator(EmulatorConfig(public_keys=(certificate(signing_key),))) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "halocline")])
    today = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(today - dt.timedelta(days=1))
    signed = builder.not_valid_after(today + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def assertion(emulator: Emulator, key: rsa.RSAPrivateKey, **changes: Any) -> dict[str, str]:
    claims = {
        "iss": emulator.config.consumer_key,
        "sub": API_USERNAME,
        "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 180,
    }
    return {"grant_type": JWT_GRANT, "assertion": str(jwt.encode(claims | changes, key, algorithm="RS256"))}


def refused(response: httpx2.Response) -> tuple[int, str, str]:
    answer = response.json()
    assert answer.keys() == {"error", "error_description"}
    return response.status_code, answer["error"], answer["error_description"]


def password_form(emulator: Emulator, **changes: str) -> dict[str, str]:
    form = login_form(emulator.config) | {"grant_type": "password", "username": API_USERNAME, "password": "halocline"}
    return form | changes


def test_client_credentials_give_a_token_that_works(emulator: Emulator, visitor: httpx2.Client) -> None:
    """The answer has the vendor's keys, a token of the vendor's form, and the host that the client used."""
    answer = visitor.post(TOKEN, data=login_form(emulator.config)).json()
    assert answer.keys() == {"access_token", "instance_url", "id", "token_type", "issued_at", "signature", "scope"}
    assert answer["instance_url"] == emulator.url
    assert answer["access_token"].startswith(emulator.org.org_id[:15] + "!")
    assert answer["id"] == f"{emulator.url}/id/{emulator.org.org_id}/{emulator.org.api_user_id}"
    assert answer["issued_at"].isdecimal()
    assert visitor.get(VERSION, headers={"Authorization": f"Bearer {answer['access_token']}"}).status_code == 200


def test_the_instance_is_the_host_that_the_client_used(emulator: Emulator, visitor: httpx2.Client) -> None:
    """A client that came by another name stays with that name."""
    port = emulator.url.rpartition(":")[2]
    answer = visitor.post(TOKEN, data=login_form(emulator.config), headers={"Host": f"localhost:{port}"}).json()
    assert answer["instance_url"] == f"http://localhost:{port}"


def test_client_credentials_may_come_as_basic_authorization(emulator: Emulator, visitor: httpx2.Client) -> None:
    """RFC 6749 allows key and secret in the header."""
    config = emulator.config
    answer = visitor.post(TOKEN, data={"grant_type": "client_credentials"}, auth=(config.consumer_key, config.consumer_secret))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"client_secret": "wrong"}, (400, "invalid_client", "invalid client credentials")),
        ({"client_id": "wrong"}, (400, "invalid_client_id", "client identifier invalid")),
        ({"grant_type": "magic"}, (400, "unsupported_grant_type", "grant type not supported")),
    ],
)
def test_wrong_credentials_are_refused_in_the_vendors_words(
    emulator: Emulator, visitor: httpx2.Client, changes: dict[str, str], expected: tuple[int, str, str]
) -> None:
    """Every refusal is a JSON object with error and description."""
    assert refused(visitor.post(TOKEN, data=login_form(emulator.config) | changes)) == expected


def test_basic_authorization_that_is_no_base64_is_refused(visitor: httpx2.Client) -> None:
    """Garbage in the header is a wrong consumer, not a crash."""
    answer = visitor.post(TOKEN, data={"grant_type": "client_credentials"}, headers={"Authorization": "Basic %%%"})
    assert refused(answer)[1] == "invalid_client_id"


def test_client_credentials_are_refused_on_the_shared_login_host(emulator: Emulator, visitor: httpx2.Client) -> None:
    """Only an org's own host takes this flow."""
    answer = visitor.post(TOKEN, data=login_form(emulator.config), headers={"Host": "login.salesforce.com"})
    assert refused(answer)[:2] == (400, "invalid_grant")


def test_a_password_opens_a_session(emulator: Emulator, visitor: httpx2.Client) -> None:
    """The legacy flow works while it is allowed, and gives no refresh token."""
    answer = visitor.post(TOKEN, data=password_form(emulator)).json()
    assert answer.keys() == {"access_token", "instance_url", "id", "token_type", "issued_at", "signature"}


def test_a_wrong_password_is_an_authentication_failure(emulator: Emulator, visitor: httpx2.Client) -> None:
    """A wrong password and an unknown user are told the same."""
    expected = (400, "invalid_grant", "authentication failure")
    assert refused(visitor.post(TOKEN, data=password_form(emulator, password="no"))) == expected
    assert refused(visitor.post(TOKEN, data=password_form(emulator, username="nobody@example.com"))) == expected


def test_the_security_token_is_part_of_the_password(run_emulator: Callable[..., Emulator]) -> None:
    """Outside trusted networks the token is appended to the password."""
    emulator = run_emulator(users=(Login("eva@example.com", "pw", "TOKEN"),))
    with httpx2.Client(base_url=emulator.url) as visitor:
        form = password_form(emulator, username="eva@example.com", password="pw")
        assert visitor.post(TOKEN, data=form).status_code == 400
        assert visitor.post(TOKEN, data=form | {"password": "pwTOKEN"}).status_code == 200


def test_the_password_flow_can_be_switched_off(run_emulator: Callable[..., Emulator]) -> None:
    """New orgs refuse the flow as they refuse a wrong password."""
    emulator = run_emulator(password_flow=False)
    answer = httpx2.post(emulator.url + TOKEN, data=password_form(emulator))
    assert refused(answer) == (400, "invalid_grant", "authentication failure")


@pytest.mark.parametrize("as_certificate", [True, False])
def test_a_signed_assertion_opens_a_session(
    run_emulator: Callable[..., Emulator], signing_key: rsa.RSAPrivateKey, as_certificate: bool
) -> None:
    """The key may be registered as a certificate or as a public key."""
    encoding = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    pem = certificate(signing_key) if as_certificate else signing_key.public_key().public_bytes(*encoding).decode()
    emulator = run_emulator(public_keys=(pem,))
    answer = httpx2.post(emulator.url + TOKEN, data=assertion(emulator, signing_key)).json()
    assert answer.keys() == {"access_token", "scope", "instance_url", "id", "token_type"}


def test_the_address_that_the_client_used_is_an_audience(
    run_emulator: Callable[..., Emulator], signing_key: rsa.RSAPrivateKey
) -> None:
    """The client simple-salesforce asks for `https://` and its domain, whatever the door speaks."""
    emulator = run_emulator(public_keys=(certificate(signing_key),))
    audience = emulator.url.replace("http://", "https://") + "/my.salesforce.com"
    assert httpx2.post(emulator.url + TOKEN, data=assertion(emulator, signing_key, aud=audience)).status_code == 200


@pytest.mark.parametrize("written", [str, lambda seconds: seconds * 1000], ids=["text", "milliseconds"])
def test_expiry_as_text_or_in_milliseconds_is_understood(
    run_emulator: Callable[..., Emulator], signing_key: rsa.RSAPrivateKey, written: Callable[[int], object]
) -> None:
    """The client simple-salesforce sends text, the sf CLI milliseconds; both log in at Salesforce."""
    emulator = run_emulator(public_keys=(certificate(signing_key),))
    exp = written(int(time.time()) + 600)
    assert httpx2.post(emulator.url + TOKEN, data=assertion(emulator, signing_key, exp=exp)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"aud": "https://example.com"}, ("invalid_grant", "audience is invalid")),
        ({"iss": "other"}, ("invalid_client_id", "client identifier invalid")),
        ({"sub": "nobody@example.com"}, ("invalid_grant", "user hasn't approved this consumer")),
        ({"exp": 1_000_000_000}, ("invalid_grant", "invalid assertion")),
    ],
)
def test_an_assertion_with_a_wrong_claim_is_refused(
    steady: Emulator, signing_key: rsa.RSAPrivateKey, changes: dict[str, object], expected: tuple[str, str]
) -> None:
    """Each claim has its own refusal."""
    assert refused(httpx2.post(steady.url + TOKEN, data=assertion(steady, signing_key, **changes)))[1:] == expected


def test_an_assertion_signed_by_another_key_is_refused(
    run_emulator: Callable[..., Emulator], signing_key: rsa.RSAPrivateKey
) -> None:
    """The signature is really checked."""
    emulator = run_emulator(public_keys=(certificate(signing_key),))
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    answer = httpx2.post(emulator.url + TOKEN, data=assertion(emulator, stranger))
    assert refused(answer) == (400, "invalid_grant", "invalid assertion")


def test_without_registered_keys_no_assertion_is_good(
    emulator: Emulator, visitor: httpx2.Client, signing_key: rsa.RSAPrivateKey
) -> None:
    """An emulator that knows no key trusts none."""
    assert refused(visitor.post(TOKEN, data=assertion(emulator, signing_key)))[2] == "invalid assertion"


def refresh_form(emulator: Emulator, token: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "client_id": emulator.config.consumer_key, "refresh_token": token}


def test_a_refresh_token_opens_sessions_again_and_again(run_emulator: Callable[..., Emulator]) -> None:
    """Without rotation it stays good, and no new one is sent."""
    emulator = run_emulator(refresh_tokens=("5Aep-sample",))
    for _ in range(2):
        answer = httpx2.post(emulator.url + TOKEN, data=refresh_form(emulator, "5Aep-sample")).json()
        assert "refresh_token" not in answer
        assert answer["access_token"]


def test_a_rotated_refresh_token_works_once(run_emulator: Callable[..., Emulator]) -> None:
    """With rotation the answer brings the next one, and the old one is spent."""
    emulator = run_emulator(refresh_tokens=("5Aep-sample",), rotate_refresh_tokens=True)
    fresh = httpx2.post(emulator.url + TOKEN, data=refresh_form(emulator, "5Aep-sample")).json()["refresh_token"]
    last = httpx2.post(emulator.url + TOKEN, data=refresh_form(emulator, fresh)).json()
    assert last["refresh_token"] not in (fresh, "5Aep-sample")
    assert httpx2.get(emulator.url + VERSION, headers={"Authorization": f"Bearer {last['access_token']}"}).status_code == 200


def test_a_spent_refresh_token_takes_its_descendants_with_it(run_emulator: Callable[..., Emulator]) -> None:
    """Whoever uses a rotated token again may have stolen it: the current one and its sessions end, another user's stay."""
    emulator = run_emulator(refresh_tokens=("5Aep-sample", "5Aep-other"), rotate_refresh_tokens=True)
    current = httpx2.post(emulator.url + TOKEN, data=refresh_form(emulator, "5Aep-sample")).json()
    again = httpx2.post(emulator.url + TOKEN, data=refresh_form(emulator, "5Aep-sample"))
    assert refused(again) == (400, "invalid_grant", "expired access/refresh token")
    descendant = httpx2.post(emulator.url + TOKEN, data=refresh_form(emulator, current["refresh_token"]))
    assert refused(descendant) == (400, "invalid_grant", "expired access/refresh token")
    assert httpx2.get(emulator.url + VERSION, headers={"Authorization": f"Bearer {current['access_token']}"}).status_code == 401
    assert httpx2.post(emulator.url + TOKEN, data=refresh_form(emulator, "5Aep-other")).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer 00Dno!such", "Bearer", "Basic abc"])
def test_a_request_without_a_good_token_is_refused(visitor: httpx2.Client, header: str) -> None:
    """401 with the code by which clients know to log in again."""
    assert error(visitor.get(VERSION, headers={"Authorization": header})) == (401, "INVALID_SESSION_ID")


def test_a_session_ends_after_so_many_requests(run_emulator: Callable[..., Emulator]) -> None:
    """The switch by which renewal in the middle of a run is tested."""
    emulator = run_emulator(expire_after=3)
    with connect(emulator) as client:
        assert [client.get("/limits").status_code for _ in range(4)] == [200, 200, 200, 401]


def test_a_session_ends_with_time(run_emulator: Callable[..., Emulator]) -> None:
    """Time is the org's clock."""
    emulator = run_emulator(expire_after_s=60)
    with connect(emulator) as client:
        emulator.clock.advance(59)
        assert client.get("/limits").status_code == 200
        emulator.clock.advance(1)
        assert error(client.get("/limits")) == (401, "INVALID_SESSION_ID")


def test_a_revoked_token_is_no_longer_good(emulator: Emulator, client: httpx2.Client, visitor: httpx2.Client) -> None:
    """Revoking ends the session at once."""
    token = client.headers["Authorization"].removeprefix("Bearer ")
    answer = visitor.post("/services/oauth2/revoke", data={"token": token})
    assert (answer.status_code, answer.content) == (200, b"")
    assert error(client.get("/limits")) == (401, "INVALID_SESSION_ID")


def test_revoking_a_refresh_token_ends_its_sessions(run_emulator: Callable[..., Emulator]) -> None:
    """What a refresh token opened goes with it."""
    emulator = run_emulator(refresh_tokens=("5Aep-sample",))
    token = httpx2.post(emulator.url + TOKEN, data=refresh_form(emulator, "5Aep-sample")).json()["access_token"]
    assert httpx2.post(emulator.url + "/services/oauth2/revoke", data={"token": "5Aep-sample"}).status_code == 200
    assert httpx2.get(emulator.url + VERSION, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_introspection_tells_an_open_token_from_a_dead_one(
    emulator: Emulator, client: httpx2.Client, visitor: httpx2.Client
) -> None:
    """Looking at a token does not use it up."""
    form = login_form(emulator.config) | {"token": client.headers["Authorization"].removeprefix("Bearer ")}
    answer = visitor.post("/services/oauth2/introspect", data=form).json()
    assert (answer["active"], answer["username"]) == (True, API_USERNAME)
    assert visitor.post("/services/oauth2/introspect", data=form | {"token": "x"}).json() == {"active": False}


def test_userinfo_names_the_user(emulator: Emulator, client: httpx2.Client) -> None:
    """The shape of OpenID Connect, with the org's ids."""
    answer = client.get(emulator.url + "/services/oauth2/userinfo").json()
    assert answer["user_id"] == emulator.org.api_user_id
    assert answer["organization_id"] == emulator.org.org_id
    assert answer["preferred_username"] == API_USERNAME


def test_userinfo_with_a_bad_token_is_plain_text(visitor: httpx2.Client) -> None:
    """403 and a word, not JSON."""
    answer = visitor.get("/services/oauth2/userinfo", headers={"Authorization": "Bearer no"})
    assert (answer.status_code, answer.text) == (403, "Bad_OAuth_Token")


def test_the_identity_url_answers_with_the_token_in_the_query(
    emulator: Emulator, client: httpx2.Client, visitor: httpx2.Client
) -> None:
    """The client jsforce asks it after logging in."""
    token = client.headers["Authorization"].removeprefix("Bearer ")
    path = f"/id/{emulator.org.org_id}/{emulator.org.api_user_id}"
    assert visitor.get(path, params={"oauth_token": token, "format": "json"}).json()["username"] == API_USERNAME
    assert visitor.get(path).status_code == 403


def test_an_inactive_user_does_not_log_in(emulator: Emulator, visitor: httpx2.Client) -> None:
    """A user who was switched off is told so."""
    user = emulator.store.catalog.get("User")
    assert user is not None
    emulator.store.update(user, emulator.org.api_user_id, {"IsActive": False}, user_id=emulator.org.api_user_id)
    assert refused(visitor.post(TOKEN, data=password_form(emulator)))[:2] == (400, "inactive_user")


def test_the_token_is_accepted_under_its_older_name(emulator: Emulator, client: httpx2.Client, visitor: httpx2.Client) -> None:
    """`OAuth` is the scheme of older clients."""
    token = client.headers["Authorization"].removeprefix("Bearer ")
    assert visitor.get(VERSION, headers={"Authorization": f"OAuth {token}"}).status_code == 200


def test_a_basic_header_is_decoded_as_key_and_secret(emulator: Emulator, visitor: httpx2.Client) -> None:
    """A secret with a colon in it survives."""
    encoded = base64.b64encode(f"{emulator.config.consumer_key}:a:b".encode()).decode()
    answer = visitor.post(TOKEN, data={"grant_type": "client_credentials"}, headers={"Authorization": f"Basic {encoded}"})
    assert refused(answer)[1] == "invalid_client"


# -- connected apps


APP = ConnectedApp("other-key", "other-secret")


def app_form(app: ConnectedApp, grant: str = "client_credentials", **more: str) -> dict[str, str]:
    return {"grant_type": grant, "client_id": app.consumer_key, "client_secret": app.consumer_secret} | more


def test_every_connected_app_has_its_own_secret(run_emulator: Callable[..., Emulator]) -> None:
    """Beside the default one; a token tells which app it was given to."""
    emulator = run_emulator(apps=(APP,))
    answer = httpx2.post(emulator.url + TOKEN, data=app_form(APP)).json()
    told = httpx2.post(emulator.url + "/services/oauth2/introspect", data=app_form(APP, token=answer["access_token"])).json()
    assert (told["client_id"], told["token_type"], told["exp"] - told["iat"]) == ("other-key", "access_token", 7_200)
    mixed = app_form(APP) | {"client_secret": emulator.config.consumer_secret}
    assert refused(httpx2.post(emulator.url + TOKEN, data=mixed))[1] == "invalid_client"


def test_an_app_may_use_only_its_flows(run_emulator: Callable[..., Emulator]) -> None:
    """Others are refused, each in its words."""
    app = ConnectedApp("k", "s", flows=("jwt_bearer",))
    emulator = run_emulator(apps=(app,))
    answer = httpx2.post(emulator.url + TOKEN, data=app_form(app))
    assert refused(answer) == (400, "invalid_grant", "client credentials flow not enabled")
    form = app_form(app, "password", username=API_USERNAME, password="halocline")
    assert refused(httpx2.post(emulator.url + TOKEN, data=form))[1] == "invalid_grant"


def test_an_assertion_is_checked_by_its_own_apps_certificates(
    run_emulator: Callable[..., Emulator], signing_key: rsa.RSAPrivateKey
) -> None:
    """A certificate of one app opens nothing for another."""
    app = ConnectedApp("k", "s", certificates=(certificate(signing_key),))
    emulator = run_emulator(apps=(app,))
    assert httpx2.post(emulator.url + TOKEN, data=assertion(emulator, signing_key, iss="k")).status_code == 200
    assert refused(httpx2.post(emulator.url + TOKEN, data=assertion(emulator, signing_key)))[2] == "invalid assertion"


@pytest.mark.parametrize("text", ["", "a.b.c", "\u00e9", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJoYWxvY2xpbmUtY29uc3VtZXIta2V5In0."])
def test_an_assertion_that_is_none_is_refused(emulator: Emulator, visitor: httpx2.Client, text: str) -> None:
    """Nor is an unsigned one good."""
    answer = visitor.post(TOKEN, data={"grant_type": JWT_GRANT, "assertion": text})
    assert refused(answer) == (400, "invalid_grant", "invalid assertion")


def test_a_certificate_can_be_registered_at_run_time(
    emulator: Emulator, visitor: httpx2.Client, signing_key: rsa.RSAPrivateKey
) -> None:
    """By the admin door; what the app was before stays."""
    body = {"consumer_key": emulator.config.consumer_key, "certificates": [certificate(signing_key)]}
    assert visitor.post("/__emulator__/apps", json=body).status_code == 200
    assert visitor.post(TOKEN, data=assertion(emulator, signing_key)).status_code == 200
    assert visitor.post(TOKEN, data=login_form(emulator.config)).status_code == 200


def test_an_app_can_be_registered_at_run_time(emulator: Emulator, visitor: httpx2.Client) -> None:
    """Secrets are not told again; nonsense is refused with the reason."""
    made = visitor.post(
        "/__emulator__/apps", json={"consumer_key": "new", "consumer_secret": "s", "flows": ["client_credentials"]}
    )
    assert {app["consumer_key"] for app in made.json()["apps"]} == {"new", emulator.config.consumer_key}
    assert "halocline-consumer-secret" not in visitor.get("/__emulator__/apps").text
    assert visitor.post(TOKEN, data=app_form(ConnectedApp("new", "s"))).status_code == 200
    for wrong in ({}, {"consumer_key": "x"}, {"consumer_key": "x", "consumer_secret": "s", "flows": ["magic"]}):
        assert error(visitor.post("/__emulator__/apps", json=wrong)) == (400, "EMULATOR_ADMIN")
    text = {"consumer_key": "x", "consumer_secret": "s", "certificates": ["no PEM"]}
    assert error(visitor.post("/__emulator__/apps", json=text)) == (400, "EMULATOR_ADMIN")


def test_a_refresh_token_belongs_to_its_app(run_emulator: Callable[..., Emulator]) -> None:
    """Another app cannot use it."""
    emulator = run_emulator(apps=(APP,))
    mine = emulator.org.sessions.grant_refresh(emulator.org.api_user_id, consumer_key="other-key").token
    assert refused(httpx2.post(emulator.url + TOKEN, data=refresh_form(emulator, mine)))[1] == "invalid_grant"
    assert httpx2.post(emulator.url + TOKEN, data=app_form(APP, "refresh_token", refresh_token=mine)).status_code == 200


def test_an_app_may_require_its_secret_for_a_refresh(run_emulator: Callable[..., Emulator]) -> None:
    """The vendor's setting for the refresh flow; a wrong secret is refused in any case."""
    emulator = run_emulator(apps=(APP,), refresh_tokens=("5Aep-sample",))
    bare = {"grant_type": "refresh_token", "client_id": "other-key", "refresh_token": "5Aep-sample"}
    assert refused(httpx2.post(emulator.url + TOKEN, data=bare))[1] == "invalid_client"
    wrong = refresh_form(emulator, "5Aep-sample") | {"client_secret": "no"}
    assert refused(httpx2.post(emulator.url + TOKEN, data=wrong))[1] == "invalid_client"


def test_introspection_knows_refresh_tokens(run_emulator: Callable[..., Emulator]) -> None:
    """Looking at one neither uses nor rotates it."""
    emulator = run_emulator(refresh_tokens=("5Aep-sample",), rotate_refresh_tokens=True)
    form = login_form(emulator.config) | {"token": "5Aep-sample"}
    answer = httpx2.post(emulator.url + "/services/oauth2/introspect", data=form).json()
    assert (answer["active"], answer["token_type"]) == (True, "refresh_token")
    assert httpx2.post(emulator.url + TOKEN, data=refresh_form(emulator, "5Aep-sample")).status_code == 200


def test_revoking_an_unknown_token_is_refused(visitor: httpx2.Client) -> None:
    """By GET as by POST."""
    assert refused(visitor.get("/services/oauth2/revoke", params={"token": "x"}))[1] == "unsupported_token_type"


def test_a_token_is_revoked_by_get_too(client: httpx2.Client, visitor: httpx2.Client) -> None:
    """The way of browsers."""
    token = client.headers["Authorization"].removeprefix("Bearer ")
    assert visitor.get("/services/oauth2/revoke", params={"token": token}).status_code == 200
    assert error(client.get("/limits")) == (401, "INVALID_SESSION_ID")


def test_the_identity_names_every_api(emulator: Emulator, client: httpx2.Client) -> None:
    """On the host that the client used; the version stays open unless it is asked for."""
    path = f"{emulator.url}/id/{emulator.org.org_id}/{emulator.org.api_user_id}"
    urls = client.get(path).json()["urls"]
    assert urls["partner"] == f"{emulator.url}/services/Soap/u/{{version}}/{emulator.org.org_id[:15]}"
    assert urls["sobjects"] == f"{emulator.url}/services/data/v{{version}}/sobjects/"
    assert client.get(path, params={"version": "latest"}).json()["urls"]["rest"] == f"{emulator.url}/services/data/v67.0/"


def test_the_identity_of_another_is_not_found(emulator: Emulator, client: httpx2.Client) -> None:
    """Neither another user nor another org."""
    org, user = emulator.org.org_id, emulator.org.api_user_id
    assert error(client.get(f"{emulator.url}/id/{org}/0055g00000099999")) == (404, "NOT_FOUND")
    assert error(client.get(f"{emulator.url}/id/00D000000000000/{user}")) == (404, "NOT_FOUND")


# -- bad input


@pytest.mark.parametrize("host", ["[", "a b", "\u00e9.example", "x:y", "]:80["])
def test_a_host_that_is_none_breaks_nothing(steady: Emulator, host: str) -> None:
    """The header is the client's; the answer repeats it at most."""
    with httpx2.Client(base_url=steady.url) as visitor:
        answer = visitor.post(TOKEN, data=login_form(steady.config), headers={"Host": host.encode("latin-1")})
        assert answer.status_code in (200, 400, 403)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://["},
        {"aud": None},
        {"aud": [1, {}]},
        {"exp": "nan"},
        {"exp": "inf"},
        {"exp": None},
        {"exp": {}},
        {"sub": 5},
        {"iss": "x"},
    ],
)
def test_claims_of_any_kind_are_refused_politely(
    steady: Emulator, signing_key: rsa.RSAPrivateKey, changes: dict[str, object]
) -> None:
    """Never a crash, and never a login."""
    claims = {
        "iss": steady.config.consumer_key,
        "sub": API_USERNAME,
        "aud": steady.url,
        "exp": int(time.time()) + 180,
    } | changes
    text = jwt.api_jws.encode(json.dumps(claims).encode(), signing_key, algorithm="RS256")
    assert refused(httpx2.post(steady.url + TOKEN, data={"grant_type": JWT_GRANT, "assertion": text}))[0] == 400


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"grant_type=%FF%00", b"{}", b"a=b&" * 5_000, b"grant_type=password&username=%00&password=%ff"]
)
@pytest.mark.parametrize("path", ["token", "introspect", "revoke"])
def test_forms_of_any_kind_are_refused_politely(steady: Emulator, path: str, body: bytes) -> None:
    """In OAuth's own shape."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert refused(httpx2.post(f"{steady.url}/services/oauth2/{path}", content=body, headers=headers))[0] == 400


@pytest.mark.parametrize(
    "wrong",
    [{"certificates": "text"}, {"certificates": [5]}, {"certificates": [[]]}, {"consumer_secret": 5}, {"flows": 5}, {"no": 1}],
)
def test_apps_of_any_kind_are_refused_politely(emulator: Emulator, visitor: httpx2.Client, wrong: dict[str, object]) -> None:
    """The admin door says what is wrong."""
    body = {"consumer_key": emulator.config.consumer_key} | wrong
    assert error(visitor.post("/__emulator__/apps", json=body)) == (400, "EMULATOR_ADMIN")
