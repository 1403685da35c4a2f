"""The flows that a browser begins: approval is automatic, everything else is as strict as it should be."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from tests.emulator.conftest import VERSION

from halocline.emulator.server import ConnectedApp, Emulator, Login
from halocline.emulator.standing import API_USERNAME

AUTHORIZE, TOKEN = "/services/oauth2/authorize", "/services/oauth2/token"
BACK = "http://localhost:1717/OauthRedirect"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # of RFC 7636, appendix B, as is the challenge
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
APP = ConnectedApp("web", "web-secret", callbacks=(BACK,))


@pytest.fixture
def visitor(run_emulator: Callable[..., Emulator]) -> Iterator[httpx2.Client]:
    users = (Login(API_USERNAME, "halocline"), Login("eva@example.com", "pw"))
    with httpx2.Client(base_url=run_emulator(apps=(APP,), users=users).url) as client:
        yield client


def sent_back(visitor: httpx2.Client, **changes: str) -> dict[str, str]:
    """What the browser brings back to the app."""
    asked = {"response_type": "code", "client_id": "web", "redirect_uri": BACK, "state": "a&b"} | changes
    answer = visitor.get(AUTHORIZE, params=asked)
    assert answer.status_code == 302, answer.text
    target = urlsplit(answer.headers["Location"])
    assert target._replace(query="", fragment="").geturl() == BACK
    return dict(parse_qsl(target.query or target.fragment))


def redeem(visitor: httpx2.Client, code: str, **changes: str) -> httpx2.Response:
    form = {
        "grant_type": "authorization_code",
        "client_id": "web",
        "client_secret": "web-secret",
        "redirect_uri": BACK,
        "code": code,
    }
    return visitor.post(TOKEN, data={key: value for key, value in (form | changes).items() if value})


def whoami(visitor: httpx2.Client, token: str) -> str:
    return str(
        visitor.get("/services/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"}).json()["preferred_username"]
    )


def test_a_code_becomes_a_token(visitor: httpx2.Client) -> None:
    """With a refresh token, as the default scope has one; the app gets its state back as it was."""
    back = sent_back(visitor)
    assert back["state"] == "a&b"
    answer = redeem(visitor, back["code"]).json()
    assert {
        "access_token",
        "refresh_token",
        "instance_url",
        "id",
        "scope",
        "signature",
        "issued_at",
        "token_type",
    } == answer.keys()
    assert visitor.get(VERSION, headers={"Authorization": f"Bearer {answer['access_token']}"}).status_code == 200
    form = {
        "grant_type": "refresh_token",
        "client_id": "web",
        "client_secret": "web-secret",
        "refresh_token": answer["refresh_token"],
    }
    assert visitor.post(TOKEN, data=form).status_code == 200


def test_a_code_works_once(visitor: httpx2.Client) -> None:
    """Also when the first try failed."""
    code = sent_back(visitor)["code"]
    assert redeem(visitor, code, redirect_uri="http://other/").json()["error"] == "redirect_uri_mismatch"
    assert redeem(visitor, code).json()["error"] == "invalid_grant"


def test_a_code_expires(run_emulator: Callable[..., Emulator]) -> None:
    """After a quarter of an hour of the org's time."""
    emulator = run_emulator(apps=(APP,))
    with httpx2.Client(base_url=emulator.url) as visitor:
        code = sent_back(visitor)["code"]
        emulator.clock.advance(15 * 60 + 1)
        assert redeem(visitor, code).json() == {"error": "invalid_grant", "error_description": "expired authorization code"}


def test_the_scope_decides_about_a_refresh_token(visitor: httpx2.Client) -> None:
    """Without `refresh_token` or `offline_access` there is none."""
    answer = redeem(visitor, sent_back(visitor, scope="api id")["code"]).json()
    assert ("refresh_token" in answer, answer["scope"]) == (False, "api id")
    assert "refresh_token" in redeem(visitor, sent_back(visitor, scope="api offline_access")["code"]).json()


def test_the_proof_key_is_checked(visitor: httpx2.Client) -> None:
    """A code that was asked for with a challenge needs the verifier, and the right one."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
    assert challenge == CHALLENGE
    codes = [sent_back(visitor, code_challenge=CHALLENGE)["code"] for _ in range(3)]
    assert redeem(visitor, codes[0], code_verifier=VERIFIER).status_code == 200
    assert redeem(visitor, codes[1], code_verifier="x" * 43).json()["error_description"] == "invalid code verifier"
    assert redeem(visitor, codes[2]).json()["error"] == "invalid_grant"


def test_the_hint_chooses_the_user(visitor: httpx2.Client) -> None:
    """Else it is the API user; a stranger's name brings the error back to the app."""
    answer = redeem(visitor, sent_back(visitor, login_hint="eva@example.com")["code"]).json()
    assert whoami(visitor, answer["access_token"]) == "eva@example.com"
    assert whoami(visitor, redeem(visitor, sent_back(visitor)["code"]).json()["access_token"]) == API_USERNAME
    assert sent_back(visitor, login_hint="nobody@example.com")["error"] == "invalid_grant"


def test_the_user_agent_flow_brings_the_token_in_the_fragment(visitor: httpx2.Client) -> None:
    """No server sees it."""
    answer = visitor.get(AUTHORIZE, params={"response_type": "token", "client_id": "web", "redirect_uri": BACK, "state": "s"})
    target = urlsplit(answer.headers["Location"])
    assert target.query == ""
    values = dict(parse_qsl(target.fragment))
    assert (values["token_type"], values["state"]) == ("Bearer", "s")
    assert whoami(visitor, values["access_token"]) == API_USERNAME


def test_an_unknown_response_type_is_told_to_the_app(visitor: httpx2.Client) -> None:
    """The browser comes back with the error and the state."""
    back = sent_back(visitor, response_type="magic")
    assert (back["error"], back["state"]) == ("unsupported_response_type", "a&b")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "nobody"}, "invalid_client_id"),
        ({"redirect_uri": "https://evil.example/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": ""}, "redirect_uri_mismatch"),
    ],
)
def test_nobody_is_sent_to_a_strange_place(visitor: httpx2.Client, changes: dict[str, str], error: str) -> None:
    """The refusal stays here: the address may be an attacker's."""
    asked = {"response_type": "code", "client_id": "web", "redirect_uri": BACK} | changes
    answer = visitor.get(AUTHORIZE, params=asked)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_code_is_no_good_for_another_app(visitor: httpx2.Client) -> None:
    """Nor with a wrong secret."""
    other = {"client_id": "halocline-consumer-key", "client_secret": "halocline-consumer-secret"}
    assert redeem(visitor, sent_back(visitor)["code"], **other).json()["error"] == "invalid_grant"
    assert redeem(visitor, sent_back(visitor)["code"], client_secret="no").json()["error"] == "invalid_client"
    assert redeem(visitor, sent_back(visitor)["code"], client_secret="").json()["error"] == "invalid_client"


@pytest.mark.parametrize("tail", ["\u6f22", "\r\nSet-Cookie: a=b", " ", "\x00"])
def test_a_redirect_address_cannot_add_headers(run_emulator: Callable[..., Emulator], tail: str) -> None:
    """What no header can hold is encoded."""
    emulator = run_emulator()
    asked = {"response_type": "code", "client_id": emulator.config.consumer_key, "redirect_uri": f"myapp://back/{tail}"}
    answer = httpx2.get(emulator.url + AUTHORIZE, params=asked)
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (302, False)
    assert answer.headers["Location"].startswith("myapp://back/%")
