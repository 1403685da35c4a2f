"""T25: no secret of a Salesforce login is told, whatever goes wrong: each as a canary, looked for in all that is told or kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives import serialization
from tests.command_line import app
from tests.connectors.salesforce.loopback import Answer, Asked, closed_port, said, serving
from tests.examples import in_turn
from tests.security.canaries import Watch, awkward, canary, key
from tests.security.servers import echo, shown
from typer import testing

from halocline.connectors.salesforce import (
    ClientCredentialsAuthenticator,
    JWTAuthenticator,
    OAuthAuthenticator,
    RefreshTokenAuthenticator,
    SalesforceClient,
    SessionAuthenticator,
    SoapAuthenticator,
    auth,
)

_ANSWERS: dict[str, Callable[[Asked], Answer]] = {
    "500 with the request": lambda asked: Answer(500, echo(asked).encode(), {"Content-Type": "text/plain"}),
    "500 with the form": lambda asked: Answer(500, shown(asked).encode(), {"Content-Type": "text/plain"}),
    "400 of OAuth": lambda asked: said({"error": "invalid_grant", "error_description": f"bad {shown(asked)}"}, 400),
    "400 of REST": lambda asked: said([{"errorCode": "MALFORMED_QUERY", "message": f"bad {shown(asked)}"}], 400),
    "401 of REST": lambda asked: said([{"errorCode": "INVALID_SESSION_ID", "message": f"bad {shown(asked)}"}], 401),
    "403 in a code": lambda asked: said([{"errorCode": asked.token or "X", "message": echo(asked)}], 403),
    "503 in HTML": lambda asked: Answer(503, f"<html><p>{echo(asked)}</p></html>".encode(), {"Content-Type": "text/html"}),
    "200 in HTML": lambda asked: Answer(200, f"<html><p>{echo(asked)}</p></html>".encode(), {"Content-Type": "text/html"}),
    "200 in words": lambda asked: Answer(200, shown(asked).encode(), {"Content-Type": "text/plain"}),
    "200 with a list": lambda asked: said([shown(asked)]),
    "200 with another object": lambda asked: said({"echo": shown(asked)}),
    "200 of XML": lambda asked: Answer(500, f"<a><faultcode>X</faultcode><faultstring>{echo(asked)}</faultstring></a>".encode()),
    "redirect": lambda asked: Answer(302, b"", {"Location": f"https://evil.example/{quote(shown(asked), safe='')}"}),
    "cut before the head": lambda _: Answer(200, b"{}", sent=-1),
    "cut in the body": lambda asked: Answer(200, echo(asked).encode(), {"Content-Type": "text/plain"}, sent=3),
    "gzip that is none": lambda asked: Answer(200, echo(asked).encode(), {"Content-Encoding": "gzip"}),
    "token with a blank": lambda asked: said({"access_token": f"a b {shown(asked)}", "instance_url": "https://x.example"}),
    "address with a secret": lambda asked: said({"access_token": "abc", "instance_url": f"ftp://{shown(asked)}"}),
}


def _pem() -> str:
    """The key in PEM form."""
    private = serialization.PrivateFormat.PKCS8
    return key().private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()).decode()


def _logins(name: str, url: str) -> Iterator[tuple[str, Callable[[], object], tuple[str, ...]]]:
    """(which way to log in, the login, the secrets in it)."""
    one, two, three = (canary(f"{name} {n}") for n in range(3))
    yield "client credentials", ClientCredentialsAuthenticator("id", awkward(one), login_url=url).authenticate, (one,)
    yield (
        "refresh token",
        RefreshTokenAuthenticator("id", one, client_secret=awkward(two), login_url=url).authenticate,
        (one, two),
    )
    password = OAuthAuthenticator("id", awkward(one), "user", awkward(two), security_token=three, login_url=url)
    yield "password", password.authenticate, (one, two, three)
    yield "SOAP", SoapAuthenticator("user", awkward(one), security_token=two, login_url=url).authenticate, (one, two)
    yield "JWT", JWTAuthenticator("id", "user", private_key=_pem(), login_url=url).authenticate, (_pem().splitlines()[5],)
    broken = f"-----BEGIN PRIVATE KEY-----\n{one}\n-----END PRIVATE KEY-----\n"
    yield "JWT, broken key", JWTAuthenticator("id", "user", private_key=broken, login_url=url).authenticate, (one,)


def test_logins_to_Salesforce(watch: Watch) -> None:
    """A login that is refused, echoed, cut or redirected tells nothing of what was sent."""
    with serving(Answer()) as server:
        for answer, (how, login, secrets) in in_turn(_ANSWERS, _logins("login", server.url)):
            server.script = _ANSWERS[answer]
            watch.attempt(f"{how}: {answer}", login, hiding=secrets)
    dead = f"http://127.0.0.1:{closed_port()}"
    places = {
        "nobody listens": dead,
        "no TLS": dead.replace("http:", "https:"),
        "no address": "http://[::1",
        "not this machine": "http://login.example",
        "a browser's address": "https://x.lightning.force.com",
    }
    for place, number in in_turn(places, range(len(list(_logins("login", dead))))):
        how, login, secrets = list(_logins("login", places[place]))[number]
        watch.attempt(f"{how}: {place}", login, hiding=secrets)
    inside = canary("inside of an address")
    for url in (
        f"https://user:{inside}@x.my.salesforce.com",
        f"https://x.my.salesforce.com?t={inside}",
        f"https://x.example:{inside}",
    ):
        watch.attempt(
            f"a secret in the address {url[:14]}", lambda url=url: auth.address(url, what="login_url"), hiding=(inside,)
        )


def test_calls_to_Salesforce(watch: Watch) -> None:
    """A call that is refused, echoed, cut or redirected tells nothing of the token that went with it."""
    opaque, marked = canary("an access token"), f"00D5g0000012345!{canary('a session id')}"
    secrets = {opaque: (opaque,), marked: (canary("a session id"),)}
    with serving(Answer()) as server:
        for answer, (token, call) in in_turn(_ANSWERS, product(secrets, _CALLS)):
            server.script = _ANSWERS[answer]
            with SalesforceClient(SessionAuthenticator(token, server.url)) as client:
                watch.attempt(f"{call}: {answer}", partial(_CALLS[call], client), hiding=secrets[token])


def test_waits_that_end(watch: Watch) -> None:
    """A server that takes too long, before its answer or in it, is told by its name, and not by what it was asked."""
    token, word = canary("a token that waits"), canary("a filter that waits")
    hold = threading.Event()
    with serving(Answer(hold=hold)) as server:
        client = SalesforceClient(SessionAuthenticator(token, server.url), read_timeout_s=0.2)
        calls: dict[str, Callable[[], object]] = {
            "describe": lambda: client.describe("Account"),
            "stream": lambda: _streamed(client),
            "create": lambda: client.create("Account", {"Name": word}),
        }
        for call, work in calls.items():
            watch.attempt(f"{call} takes too long", work, hiding=(token, word))
        watch.attempt("query takes too long", lambda: list(client.query("SELECT Id FROM Account")), hiding=(token,))
        hold.set()
        client.close()


def _streamed(client: SalesforceClient) -> None:
    with client.transport.stream("jobs/query/1/results") as body:
        for _ in body.chunks():
            pass


_CALLS: dict[str, Callable[[SalesforceClient], object]] = {
    "query": lambda client: list(client.query("SELECT Id FROM Account")),
    "describe": lambda client: client.describe("Account"),
    "stream": _streamed,
    "create": lambda client: client.transport.send("POST", "sobjects/Account", json={}, accept=(201,), safe=False),
}


_LOGIN_VARIABLES: dict[str, dict[str, str]] = {
    "client credentials": {"SF_CLIENT_ID": "id", "SF_CLIENT_SECRET": canary("cli client secret")},
    "refresh token": {"SF_CLIENT_ID": "id", "SF_REFRESH_TOKEN": canary("cli refresh token")},
    "password": {
        "SF_CLIENT_ID": "id",
        "SF_CLIENT_SECRET": canary("cli client secret"),
        "SF_USERNAME": "u",
        "SF_PASSWORD": canary("cli password"),
        "SF_SECURITY_TOKEN": canary("cli security token"),
    },
    "session": {"SF_ACCESS_TOKEN": canary("cli access token"), "SF_INSTANCE_URL": ""},
}
_COMMANDS = (
    ("sync", "Account", "--to", "duckdb:///{lake}"),
    ("sync", "Account", "Contact", "--to", "duckdb:///{lake}", "--json"),
    ("plan", "Account", "--to", "duckdb:///{lake}", "--json"),
    ("verify", "Account", "--to", "duckdb:///{lake}"),
    ("push", "{rows}", "--to", "Account", "--mode", "insert", "--json"),
    ("push", "{rows}", "--to", "Account", "--mode", "insert"),
)


def test_command_line(watch: Watch, tmp_path: Path) -> None:
    """What a command says, and what it leaves on the disk, holds no secret of its environment."""
    rows = tmp_path / "rows.csv"
    rows.write_text("Name\na\n")
    home = tmp_path / "home"
    some = ("500 with the form", "400 of OAuth", "401 of REST", "200 with another object", "cut before the head")
    with serving(Answer()) as server:
        typed = [(how, words) for number, how in enumerate(_LOGIN_VARIABLES) for words in _COMMANDS[number % 2 :: 2]]
        for (how, command), answer in in_turn(typed, some):
            server.script, variables = _ANSWERS[answer], _LOGIN_VARIABLES[how]
            at = {"SF_INSTANCE_URL": server.url} if how == "session" else {"SF_LOGIN_URL": server.url}
            env = {**variables, **at, "HALOCLINE_HOME": str(home), "HALOCLINE_SPOOL": str(tmp_path / "spool")}
            hidden = tuple(value for value in variables.values() if value.startswith("k"))
            words = [one.format(lake=tmp_path / "lake.duckdb", rows=rows) for one in command]
            _run(watch, f"{command[0]} {command[-1]}, {how}: {answer}", words, env=env, hiding=hidden, folder=tmp_path)


def _run(watch: Watch, what: str, words: list[str], *, env: dict[str, str], hiding: tuple[str, ...], folder: Path) -> None:
    def work() -> None:
        done = testing.CliRunner().invoke(app, words, env=env)
        print(done.stdout, done.stderr)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code in (1, 2, 3, 75), (done.exit_code, json.dumps(words), done.output)

    watch.attempt(what, work, hiding=hiding, folders=(folder,))
