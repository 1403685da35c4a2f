"""Logins and the session that renews itself."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.connectors.salesforce.loopback import CANARY, Answer, Asked, closed_port, said, serving

from halocline import events
from halocline.connectors import salesforce
from halocline.connectors.salesforce import auth as module
from halocline.connectors.salesforce.auth import (
    LEGACY_NOTICE,
    Authenticator,
    ClientCredentialsAuthenticator,
    JWTAuthenticator,
    OAuthAuthenticator,
    RefreshTokenAuthenticator,
    Session,
    SessionAuthenticator,
    Token,
    address,
    from_env,
    session_from,
)
from halocline.connectors.salesforce.soap_login import SoapAuthenticator
from halocline.connectors.salesforce.transport import Transport
from halocline.errors import FixConfig, HaloclineError, LoginRefused, NetworkFailed, RetryLater
from halocline.flows.connections import Org
from halocline.retry import Policy

SECRETS = ("s3cret-canary", "passw0rd-canary", "t0ken-canary", "refresh-canary")


def granting(url: Callable[[], str], **more: str) -> Callable[[Asked], Answer]:
    """A token endpoint that lets everybody in, with `CANARY0`, `CANARY1`, ..."""
    serial = iter(range(100))
    return lambda asked: said({"access_token": f"{CANARY}{next(serial)}", "instance_url": url(), "token_type": "Bearer", **more})


def denying(error: str, description: str, status: int = 400) -> Answer:
    return said({"error": error, "error_description": description}, status)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    none = serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none)


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logins are tried again without a wait."""
    monkeypatch.setattr(module, "_LOGIN_POLICY", Policy(attempts=3, base_s=0.0, budget_s=60.0))


# ---- the flows


def test_client_credentials_are_sent_to_the_token_endpoint() -> None:
    """The app's id and secret travel in the body of one POST; the answer's token and address make the session."""
    with serving(granting(lambda: server.url)) as server:
        session = ClientCredentialsAuthenticator("id", SECRETS[0], login_url=server.url).authenticate()
        (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/services/oauth2/token")
    assert asked.form == {"grant_type": "client_credentials", "client_id": "id", "client_secret": SECRETS[0]}
    assert (session.token(), session.instance_url) == (Token(f"{CANARY}0", server.url), server.url)


@pytest.mark.parametrize("login_url", ["https://login.salesforce.com", "https://test.salesforce.com/", "login.salesforce.com"])
def test_client_credentials_need_my_domain(login_url: str) -> None:
    """The shared hosts do not know this flow: that is said before anything is sent."""
    with pytest.raises(LoginRefused, match="My Domain"):
        ClientCredentialsAuthenticator("id", "secret", login_url=login_url).authenticate()


@pytest.mark.parametrize("given", ["text", "bytes", "path"])
def test_a_jwt_is_signed_for_the_user(given: str, key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    """The assertion names app, user, audience and a near end, and is signed with the key, however that was given."""
    file = tmp_path / "server.key"
    file.touch(mode=0o600)
    file.write_bytes(pem(key))
    keys: dict[str, dict[str, object]] = {
        "text": {"private_key": pem(key).decode()},
        "bytes": {"private_key": pem(key)},
        "path": {"private_key_path": file},
    }
    with serving(granting(lambda: server.url)) as server:
        JWTAuthenticator("app", "user@example.com", login_url=f"{server.url}/", **keys[given]).authenticate()  # type: ignore[arg-type]
        form = server.asked[0].form
    claims = jwt.decode(form["assertion"], key.public_key(), algorithms=["RS256"], audience=server.url)
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert (claims["iss"], claims["sub"]) == ("app", "user@example.com")
    assert 0 < claims["exp"] - time.time() <= 180


def test_a_jwt_can_name_another_audience(key: rsa.RSAPrivateKey) -> None:
    """Some orgs log in at one address and want another one named."""
    with serving(granting(lambda: server.url)) as server:
        made = JWTAuthenticator("a", "u", private_key=pem(key), login_url=server.url, audience="https://test.salesforce.com")
        made.authenticate()
        claims = jwt.decode(server.asked[0].form["assertion"], options={"verify_signature": False})
    assert claims["aud"] == "https://test.salesforce.com"


@pytest.mark.usefixtures("_hasty")
def test_every_attempt_signs_afresh(key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """An assertion that grew old while waiting is not sent again."""
    clock = iter([1000.0, 5000.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: next(clock)))
    with serving(Answer(503, b""), granting(lambda: server.url)) as server:
        JWTAuthenticator("a", "u", private_key=pem(key), login_url=server.url).authenticate()
        ends = [jwt.decode(asked.form["assertion"], options={"verify_signature": False})["exp"] for asked in server.asked]
    assert ends == [1180, 5180]


@pytest.mark.parametrize("bad", ["-----BEGIN PRIVATE KEY-----\nkey-canary\n-----END PRIVATE KEY-----", "", "key-canary", "curve"])
def test_a_key_that_cannot_sign_is_told_without_showing_it(bad: str) -> None:
    """Not PEM, not RSA, empty: the hint says what it must be, and no byte of the key appears."""
    text = pem(ec.generate_private_key(ec.SECP256R1())).decode() if bad == "curve" else bad
    with pytest.raises(FixConfig, match="RSA key in PEM form") as caught:
        JWTAuthenticator("a", "u", private_key=text, login_url="http://127.0.0.1:1").authenticate()
    shown = "".join(traceback.format_exception(caught.value))
    assert "key-canary" not in shown
    assert not any(line and line in shown for line in text.splitlines()[1:-1])


@pytest.mark.parametrize("said", ["/k/server.key", "file:{file}", "env:KEY", "env:KEY_FILE", "{pem}"])
def test_the_variable_of_the_key_may_lead_to_the_key_itself(
    said: str, key: rsa.RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file, a reference to that or to the key, and the key in the place of its file: each signs."""
    file, text = tmp_path / "server.key", pem(key).decode()
    file.touch(mode=0o600)
    file.write_text(text)
    monkeypatch.setenv("KEY", text)
    monkeypatch.setenv("KEY_FILE", str(file))
    place = said.format(file=file, pem=text).replace("/k/server.key", str(file))
    with serving(granting(lambda: server.url)) as server:
        environ = {"SF_CLIENT_ID": "a", "SF_USERNAME": "u", "SF_PRIVATE_KEY_PATH": place, "SF_LOGIN_URL": server.url}
        made = from_env(environ)
        made.authenticate()
        jwt.decode(server.asked[0].form["assertion"], key.public_key(), algorithms=["RS256"], audience=server.url)
    assert text.splitlines()[1] not in repr(made)


@pytest.mark.parametrize("behind", ["key-canary", "key-canary" * 600, "key-\0canary", "no-dir/key-canary"])
def test_what_is_behind_a_reference_to_a_key_is_never_told(behind: str, tmp_path: Path) -> None:
    """It may be a key in another spelling, that is taken for a path: the reference is named."""
    (tmp_path / "held").touch(mode=0o600)
    (tmp_path / "held").write_text(behind)
    place = f"file:{tmp_path / 'held'}"
    with pytest.raises(FixConfig, match=rf"Reading the private key: {place}: .*SF_PRIVATE_KEY_PATH") as caught:
        JWTAuthenticator("a", "u", private_key_path=place).authenticate()
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("cut", ["all", "line", "start", "url-safe", "PEM packed"])
def test_a_key_in_the_place_of_its_path_is_never_told(cut: str, key: rsa.RSAPrivateKey) -> None:
    """Without its first line it is no PEM, and might be taken for a path; what was written there is not repeated."""
    lines = pem(key).decode().splitlines()[1:-1]
    body = "".join(lines)
    packed = base64.b64encode(pem(key)).decode()
    given = {"all": body, "line": lines[0], "start": "\n".join(lines), "PEM packed": packed}.get(
        cut, body.translate(str.maketrans("+/", "-_"))
    )
    with pytest.raises(FixConfig, match=r"looks like a key without its BEGIN line.*SF_PRIVATE_KEY_PATH") as caught:
        JWTAuthenticator("a", "u", private_key_path=given).authenticate()
    told = "".join(traceback.format_exception(caught.value))
    assert not [piece for piece in re.findall(r"[A-Za-z0-9]{12,}", given) if piece in told]


@pytest.mark.parametrize(
    "path",
    [
        "/home/someone/projects/salesforce_sync/production/secrets/the_private_key_file",
        "~/keys/production/salesforce/server.key",
        "keys/2026-11-23/salesforce-integration-user/of-the-production-org/server.pem",
    ],
)
def test_a_long_path_of_a_key_is_told(path: str) -> None:
    """However long, it is what must be corrected."""
    with pytest.raises(FixConfig, match=f"Reading the private key: {path}: No such file"):
        JWTAuthenticator("a", "u", private_key_path=path).authenticate()


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The path is no secret, and is what must be corrected."""
    with pytest.raises(FixConfig, match=r"missing\.key: No such file"):
        JWTAuthenticator("a", "u", private_key_path=tmp_path / "missing.key").authenticate()
    with pytest.raises(FixConfig, match="no private key"):
        JWTAuthenticator("a", "u").authenticate()


def test_a_rotated_refresh_token_is_kept_and_handed_on() -> None:
    """The next login uses the new one, and the owner hears of it before the session is used."""
    instance = "https://acme.my.salesforce.com"
    rotating = said({"access_token": f"{CANARY}0", "instance_url": instance, "refresh_token": "second"})
    kept: list[str] = []
    with serving(rotating, said({"access_token": f"{CANARY}1", "instance_url": instance})) as server:
        made = RefreshTokenAuthenticator("app", "first", client_secret="s", login_url=server.url, on_rotate=kept.append)
        session = made.authenticate()
        assert kept == ["second"]
        session.renew(session.token())
        forms = [asked.form for asked in server.asked]
    assert forms[0] == {"grant_type": "refresh_token", "client_id": "app", "refresh_token": "first", "client_secret": "s"}
    assert forms[1]["refresh_token"] == "second"
    assert kept == ["second"]


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize("trouble", [Answer(sent=-1), Answer(503, b"")], ids=["lost", "5xx"])
def test_a_rotating_token_is_not_sent_again_after_a_lost_answer(trouble: Answer) -> None:
    """It may be spent, and a spent one ends every session; where tokens do not rotate, asking again is harmless."""
    with serving(trouble, granting(lambda: server.url)) as server:
        with pytest.raises(RetryLater) as caught:
            RefreshTokenAuthenticator("app", "token", login_url=server.url, on_rotate=lambda token: None).authenticate()
        assert (len(server.asked), caught.value.facts["in_doubt"]) == (1, False)
    with serving(trouble, granting(lambda: server.url)) as server:
        assert RefreshTokenAuthenticator("app", "token", login_url=server.url).authenticate().instance_url == server.url


def test_a_public_app_refreshes_without_a_secret() -> None:
    """No secret, no `client_secret` field."""
    with serving(granting(lambda: server.url)) as server:
        RefreshTokenAuthenticator("app", "token", login_url=server.url).authenticate()
        assert "client_secret" not in server.asked[0].form


def test_the_password_flow_says_that_it_ends() -> None:
    """The security token follows the password; whoever uses the session is told once that the flow retires."""
    with serving(granting(lambda: server.url)) as server:
        session = OAuthAuthenticator("id", "secret", "user", "pass", "token", login_url=server.url).authenticate()
        form = server.asked[0].form
    told: list[events.Event] = []
    Transport(session, sink=told.append).close()
    assert (form["grant_type"], form["username"], form["password"]) == ("password", "user", "passtoken")
    assert told == [events.Noticed(LEGACY_NOTICE)]
    assert "February 2027" in LEGACY_NOTICE


def test_a_session_id_works_until_it_expires() -> None:
    """Nothing is sent to log in; a renewal is refused with a way out."""
    session = SessionAuthenticator(CANARY, "https://acme.my.salesforce.com/").authenticate()
    assert session.token() == Token(CANARY, "https://acme.my.salesforce.com")
    with pytest.raises(LoginRefused, match=r"has expired.*cannot be renewed.*client credentials or a JWT"):
        session.renew(session.token())


# ---- refused logins


@pytest.mark.parametrize(
    ("error", "description", "hint"),
    [
        ("invalid_client_id", "client identifier invalid", "SF_CLIENT_ID"),
        ("invalid_client", "invalid client credentials", "SF_CLIENT_SECRET"),
        ("invalid_grant", "authentication failure", r"test\.salesforce\.com"),
        ("invalid_grant", "user hasn't approved this consumer", "Pre-authorize"),
        ("invalid_grant", "request not supported on this domain", "My Domain"),
        ("invalid_grant", "no client credentials user enabled", "Run As"),
        ("invalid_grant", "expired access/refresh token", "authorize the app again"),
        ("invalid_grant", "Audience validation failed", "login_url"),
        ("invalid_grant", "invalid assertion", "private key"),
        ("inactive_user", "user is inactive", "inactive"),
        ("unsupported_grant_type", "grant type not supported", "does not allow this flow"),
    ],
)
def test_a_refused_login_says_what_to_try(error: str, description: str, hint: str) -> None:
    """Salesforce's words, the code, and a hint that fits them; nothing is tried a second time."""
    with serving(denying(error, description)) as server:
        with pytest.raises(LoginRefused, match=hint) as caught:
            ClientCredentialsAuthenticator("id", "secret", login_url=server.url).authenticate()
        assert len(server.asked) == 1
    assert (caught.value.code, caught.value.exit_code) == (error, 2)
    assert description in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>Login</html>", {"Content-Type": "text/html"}),
        said(["a list"]),
        said({"instance_url": "https://x.my.salesforce.com"}),
        said({"access_token": None, "instance_url": "https://x.my.salesforce.com"}),
        said({"access_token": CANARY}),
        Answer(302, b"", {"Location": "https://elsewhere.example/"}),
    ],
)
def test_an_answer_that_is_no_token_is_refused(answer: Answer) -> None:
    """A login page, a list, half an answer, a redirect: LoginRefused, never a crash and never a token elsewhere."""
    with serving(answer) as server, pytest.raises(LoginRefused):
        ClientCredentialsAuthenticator("id", "secret", login_url=server.url).authenticate()


@pytest.mark.parametrize("instance_url", ["http://acme.my.salesforce.com", "https://acme.lightning.force.com", "nonsense here"])
def test_a_login_cannot_send_the_token_somewhere_unsafe(instance_url: str) -> None:
    """The address in the answer obeys the same rules as one that a person gives."""
    with serving(said({"access_token": CANARY, "instance_url": instance_url})) as server, pytest.raises(FixConfig) as caught:
        ClientCredentialsAuthenticator("id", "secret", login_url=server.url).authenticate()
    assert CANARY not in str(caught.value)


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize(
    "trouble", [Answer(503, b""), Answer(sent=-1), denying("rate_limit_exceeded", "slow down"), Answer(429, b"")]
)
def test_a_login_survives_passing_trouble(trouble: Answer) -> None:
    """A busy or broken endpoint is asked again; one that stays so is RetryLater, and leaves nothing in doubt."""
    with serving(trouble, granting(lambda: server.url)) as server:
        assert ClientCredentialsAuthenticator("id", "s", login_url=server.url).authenticate().token().access_token == f"{CANARY}0"
    with serving(trouble) as server:
        with pytest.raises(RetryLater) as caught:
            ClientCredentialsAuthenticator("id", "s", login_url=server.url).authenticate()
        assert len(server.asked) == 3
    assert not caught.value.facts.get("in_doubt")


@pytest.mark.usefixtures("_hasty")
def test_a_login_that_met_no_trust_may_be_asked_again() -> None:
    """The secrets did not leave this machine, so it is no refusal of them that would be remembered."""
    answers = iter(
        [FixConfig("Logging in", "no trust", in_doubt=False, permanent=True), Token("x", "https://a.my.salesforce.com")]
    )

    def login() -> Token:
        answer = next(answers)
        if isinstance(answer, FixConfig):
            raise answer
        return answer

    session = Session(login)
    with pytest.raises(FixConfig, match="no trust"):
        session.token()
    assert session.token().access_token == "x"


def test_an_unreachable_login_host_is_named() -> None:
    """No network at login names the host."""
    port = closed_port()
    with pytest.raises(NetworkFailed, match=rf"127\.0\.0\.1:{port} refused the connection"):
        ClientCredentialsAuthenticator("id", "s", login_url=f"http://127.0.0.1:{port}").authenticate()


def everyone(login_url: str) -> list[Authenticator]:
    secret, password, token, refresh = SECRETS
    return [
        ClientCredentialsAuthenticator("id", secret, login_url=login_url),
        RefreshTokenAuthenticator("id", refresh, client_secret=secret, login_url=login_url),
        OAuthAuthenticator("id", secret, "user", password, token, login_url=login_url),
    ]


@pytest.mark.parametrize("number", range(3))
def test_no_refusal_tells_a_secret(number: int) -> None:
    """Even when the endpoint says back all that it was told: not in message, representation or traceback."""

    def echo(asked: Asked) -> Answer:
        return denying("invalid_grant", f"authentication failure: {asked.body.decode()} {asked.form}")

    with serving(echo) as server:
        made = everyone(server.url)[number]
        with pytest.raises(LoginRefused) as caught:
            made.authenticate()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(made)
    assert not [secret for secret in (*SECRETS, SECRETS[1] + SECRETS[2]) if secret in shown]


def test_no_representation_tells_a_secret(key: rsa.RSAPrivateKey) -> None:
    """Authenticators, tokens and sessions can be printed and logged."""
    given = SessionAuthenticator(CANARY, "https://acme.my.salesforce.com")
    signer = JWTAuthenticator("id", "user", private_key=pem(key))
    shown = " ".join(
        map(
            repr, [*everyone("https://acme.my.salesforce.com"), given, given.authenticate(), given.authenticate().token(), signer]
        )
    )
    assert not [secret for secret in (*SECRETS, CANARY, "PRIVATE KEY") if secret in shown]
    assert "acme.my.salesforce.com" in shown


# ---- the session


def test_callers_with_the_same_stale_token_cause_one_login() -> None:
    """Renewal is single flight; whoever comes late gets the token that is fresh already."""
    logins: list[int] = []
    together = threading.Barrier(8)

    def login() -> Token:
        logins.append(1)
        return Token(f"{CANARY}{len(logins)}", "https://acme.my.salesforce.com")

    session = Session(login)
    stale = session.token()

    def renew(_: int) -> Token:
        together.wait(30.0)
        return session.renew(stale)

    with ThreadPoolExecutor(8) as pool:
        fresh = set(pool.map(renew, range(8)))
    assert (fresh, len(logins)) == ({Token(f"{CANARY}2", "https://acme.my.salesforce.com")}, 2)
    assert session.renew(stale) == session.token()
    assert len(logins) == 2


def test_a_refused_renewal_is_not_tried_again_by_everyone() -> None:
    """A wrong secret sent by every thread would lock the user out: one refusal holds for all."""
    tried: list[int] = []

    def login() -> Token:
        tried.append(1)
        raise LoginRefused("Logging in", "invalid_grant: authentication failure", hint="Check.", code="invalid_grant")

    stale = Token(CANARY, "https://acme.my.salesforce.com")
    session = Session(login, token=stale)
    for _ in range(3):
        with pytest.raises(LoginRefused, match="authentication failure") as caught:
            session.renew(stale)
        assert (len(tried), caught.value.code, caught.value.hint) == (1, "invalid_grant", "Check.")


def test_a_renewal_that_met_trouble_may_be_tried_again() -> None:
    """No network is no refusal."""
    outcomes: Iterator[Token | Exception] = iter(
        [NetworkFailed("Logging in", "no answer"), Token("fresh", "https://a.my.salesforce.com")]
    )

    def login() -> Token:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    stale = Token(CANARY, "https://a.my.salesforce.com")
    session = Session(login, token=stale)
    with pytest.raises(NetworkFailed):
        session.renew(stale)
    assert session.renew(stale).access_token == "fresh"


@pytest.mark.parametrize("text", ["", "two words", "line\r\nInjected: header", "naïve", "tab\t"])
def test_a_token_that_would_break_a_header_is_no_token(text: str) -> None:
    """It is refused before it reaches a header, without being shown."""
    with pytest.raises(FixConfig) as caught:
        Token(text, "https://acme.my.salesforce.com")
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("https://acme.my.salesforce.com/", "https://acme.my.salesforce.com"),
        ("acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        (" https://acme.my.salesforce.com ", "https://acme.my.salesforce.com"),
        ("https://login.salesforce.com/services/oauth2/token", "https://login.salesforce.com"),
        ("https://acme.my.site.com/customers", "https://acme.my.site.com/customers"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_is_read_as_people_write_it(text: str, read: str) -> None:
    """Scheme and slash are put right; http is for this machine."""
    assert address(text, what="login_url") == read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://acme.my.salesforce.com", "unencrypted"),
        ("http://127.0.0.1.evil.example", "unencrypted"),
        ("http://localhost.evil.example", "unencrypted"),
        ("ftp://acme.my.salesforce.com", "unencrypted"),
        ("https://user:secret-canary@acme.my.salesforce.com", "not an address"),
        ("https://", "not an address"),
        ("", "not an address"),
        ("https://acme.my.salesforce.com:port", "not an address"),
        ("https://acme my.salesforce.com", "not an address"),
        ("https://acme.my.salesforce.com?x=1", "not an address"),
        ("https://acme.lightning.force.com/lightning/page", r"https://acme\.my\.salesforce\.com"),
        ("acme--dev.sandbox.lightning.force.com", r"https://acme--dev\.sandbox\.my\.salesforce\.com"),
    ],
)
def test_an_address_that_cannot_work_is_refused(text: str, words: str) -> None:
    """In the clear, with a password in it, the browser's own, or no address at all."""
    with pytest.raises(FixConfig, match=words) as caught:
        address(text, what="instance_url")
    assert "secret-canary" not in str(caught.value)


# ---- where settings come from

LOGIN = {"SF_CLIENT_ID": "id", "SF_LOGIN_URL": "https://acme.my.salesforce.com"}


@pytest.mark.parametrize(
    ("environ", "flow"),
    [
        ({**LOGIN, "SF_CLIENT_SECRET": "s"}, ClientCredentialsAuthenticator("id", "s", login_url=LOGIN["SF_LOGIN_URL"])),
        (
            {"SF_CLIENT_ID": "id", "SF_USERNAME": "u", "SF_PRIVATE_KEY_PATH": "/k", "SF_CLIENT_SECRET": "s"},
            JWTAuthenticator("id", "u", private_key_path="/k"),
        ),
        (
            {**LOGIN, "SF_CLIENT_SECRET": "s", "SF_USERNAME": "u", "SF_PASSWORD": "p", "SF_SECURITY_TOKEN": "t"},
            OAuthAuthenticator("id", "s", "u", "p", "t", login_url=LOGIN["SF_LOGIN_URL"]),
        ),
        (
            {"SF_CLIENT_ID": "id", "SF_CLIENT_SECRET": "s", "SF_USERNAME": "u", "SF_PASSWORD": "p"},
            OAuthAuthenticator("id", "s", "u", "p"),
        ),
        ({"SF_USERNAME": "u", "SF_PASSWORD": "p"}, SoapAuthenticator("u", "p")),
        (
            {"SF_USERNAME": "u", "SF_PASSWORD": "p", "SF_SECURITY_TOKEN": "t", "SF_DOMAIN": "test"},
            SoapAuthenticator("u", "p", security_token="t", login_url="https://test.salesforce.com"),
        ),
        (
            {"SF_USERNAME": "u", "SF_PASSWORD": "p", "SF_DOMAIN": "test", "SF_LOGIN_URL": "https://acme.example"},
            SoapAuthenticator("u", "p", login_url="https://acme.example"),
        ),
        (
            {"SF_ACCESS_TOKEN": "t", "SF_INSTANCE_URL": "https://acme.my.salesforce.com", **LOGIN, "SF_CLIENT_SECRET": "s"},
            SessionAuthenticator("t", "https://acme.my.salesforce.com"),
        ),
    ],
)
def test_the_environment_decides_the_flow(environ: Mapping[str, str], flow: Authenticator) -> None:
    """What is set says which flow is meant; the more particular one wins."""
    assert from_env(environ) == flow


def test_a_refresh_token_in_the_environment_is_used() -> None:
    """The refresh token flow takes a secret only where there is one."""
    with serving(granting(lambda: server.url)) as server:
        from_env({"SF_CLIENT_ID": "id", "SF_REFRESH_TOKEN": "r", "SF_LOGIN_URL": server.url}).authenticate()
        assert server.asked[0].form == {"grant_type": "refresh_token", "client_id": "id", "refresh_token": "r"}


SAID = {"SF_CLIENT_ID": "env:OUTER", "SF_USERNAME": "u"}


@pytest.mark.parametrize(
    ("environ", "sent"),
    [
        ({"SF_CLIENT_SECRET": "env:OUTER"}, ["client_secret"]),
        ({"SF_REFRESH_TOKEN": "env:OUTER", "SF_CLIENT_SECRET": "env:OUTER"}, ["refresh_token", "client_secret"]),
        ({"SF_PASSWORD": "env:OUTER", "SF_CLIENT_SECRET": "env:OUTER"}, ["password", "client_secret"]),
    ],
)
def test_a_reference_is_followed_once(monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str], sent: list[str]) -> None:
    """A secret may begin as a reference does: it is sent as it is, whether it came from the environment or a connection."""
    monkeypatch.setenv("OUTER", "env:INNER")
    monkeypatch.setenv("INNER", "nobody asked for it")
    with serving(granting(lambda: server.url)) as server:
        told = {**SAID, **environ, "SF_LOGIN_URL": server.url}
        from_env(told).authenticate()
        org = Org(kind="salesforce", **{name.removeprefix("SF_").lower(): value for name, value in told.items()})  # type: ignore[arg-type]  # texts
        from_env(org.environ()).authenticate()
        for asked in server.asked:
            assert {name: asked.form[name] for name in ["client_id", *sent]} == dict.fromkeys(["client_id", *sent], "env:INNER")
        assert len(server.asked) == 2


def test_a_refresh_token_may_be_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked up once; the token that a login gave in its place is sent as it is."""
    monkeypatch.setenv("REFRESH", "first")
    with serving(granting(lambda: server.url, refresh_token="env:SECOND")) as server:
        session = RefreshTokenAuthenticator("id", "env:REFRESH", login_url=server.url).authenticate()
        session.renew(session.token())
        assert [asked.form["refresh_token"] for asked in server.asked] == ["first", "env:SECOND"]
    with pytest.raises(FixConfig, match="NOWHERE"):
        RefreshTokenAuthenticator("id", "env:NOWHERE").authenticate()


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({"SF_CLIENT_SECRET": "s"}, "client credentials flow needs SF_CLIENT_ID, SF_LOGIN_URL"),
        ({"SF_PRIVATE_KEY_PATH": "/k"}, "JWT flow needs SF_CLIENT_ID, SF_USERNAME"),
        ({"SF_PASSWORD": "p", "SF_CLIENT_ID": "id"}, "username-password flow needs SF_CLIENT_SECRET, SF_USERNAME"),
        ({"SF_REFRESH_TOKEN": "r", "SF_CLIENT_ID": ""}, "refresh token flow needs SF_CLIENT_ID"),
        ({"SF_ACCESS_TOKEN": "t"}, "session id flow needs SF_INSTANCE_URL"),
        ({}, "none of SF_ACCESS_TOKEN, .* is set"),
    ],
)
def test_a_variable_that_is_missing_is_named(environ: Mapping[str, str], missing: str) -> None:
    """The error names exactly what to set."""
    with pytest.raises(FixConfig, match=missing):
        from_env(environ)


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """`from_env()` reads the variables that the documents name, for each class and for the chooser."""
    for name, value in {"SF_CLIENT_ID": "id", "SF_USERNAME": "u", "SF_PRIVATE_KEY_PATH": "/k"}.items():
        monkeypatch.setenv(name, value)
    for name in ("SF_LOGIN_URL", "SF_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert JWTAuthenticator.from_env() == from_env() == JWTAuthenticator("id", "u", private_key_path="/k")


def test_a_session_comes_from_whatever_describes_one() -> None:
    """A session is itself; an authenticator logs in; a dict is the documented `access_info`, and may hold more."""
    session = SessionAuthenticator(CANARY, "https://acme.my.salesforce.com").authenticate()
    info = {"access_token": CANARY, "instance_url": "https://acme.my.salesforce.com", "token_type": "Bearer"}
    assert session_from(session) is session
    assert session_from(info).token() == session.token()
    assert session_from(SessionAuthenticator(CANARY, "acme.my.salesforce.com")).token() == session.token()


@pytest.mark.parametrize(
    ("info", "missing"), [({}, "access_token and instance_url"), ({"access_token": CANARY}, "instance_url missing")]
)
def test_half_an_access_info_is_refused(info: Mapping[str, object], missing: str) -> None:
    """What is missing is named, what is there is not shown."""
    with pytest.raises(FixConfig, match=missing) as caught:
        session_from(info)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("odd", [None, CANARY, 5, object(), SessionAuthenticator])
def test_what_is_no_login_is_told(odd: object) -> None:
    """By what it is, and not what it holds; and what would be one."""
    with pytest.raises(FixConfig, match=r"is no login\. Give an authenticator") as caught:
        session_from(odd)  # type: ignore[arg-type]  # that it is wrong is the point
    assert CANARY not in str(caught.value)


def test_the_package_exports_what_it_says() -> None:
    """Every exported name of this part is there, none loads before it is used, unknown names are errors."""
    names = [name for name in salesforce.__all__ if name != "SalesforceSource"]
    assert all(getattr(getattr(salesforce, name), "__name__", name) == name for name in names)  # one of them is a plain value
    with pytest.raises(AttributeError):
        salesforce.Nonsense  # noqa: B018
    check = (
        "import sys, halocline.connectors.salesforce as s; dir(s); print(sorted({'httpx2', 'jwt', 'isal'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_login_without_pyjwt_names_the_package(key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the JWT flow needs it, and says so."""
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(HaloclineError, match="PyJWT"):
        JWTAuthenticator("a", "u", private_key=pem(key), login_url="http://127.0.0.1:1").authenticate()
