"""T25: what holds a secret does not show it, and what was given a reference holds none, whatever is made of it."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import pprint
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.security.canaries import Watch, canary

from halocline.config import Settings
from halocline.connectors.aws import Access
from halocline.connectors.redis.client import Master
from halocline.connectors.salesforce import (
    ClientCredentialsAuthenticator,
    JWTAuthenticator,
    OAuthAuthenticator,
    RefreshTokenAuthenticator,
    SalesforceClient,
    SessionAuthenticator,
    SoapAuthenticator,
)
from halocline.connectors.salesforce.auth import Session, Token
from halocline.connectors.snowflake.login import login_of
from halocline.flows.reading import understood
from halocline.sf_client import SfClient
from halocline.shaping import Shaping

URL = "https://acme.my.salesforce.com"


def _held(name: str) -> Iterator[tuple[object, tuple[str, ...]]]:
    """(an object of the public ones, the secrets that it was given)."""
    one, two, three = (canary(f"{name} {n}") for n in range(3))
    yield ClientCredentialsAuthenticator("id", one, login_url=URL), (one,)
    yield JWTAuthenticator("id", "user", private_key=one), (one,)
    yield JWTAuthenticator("id", "user", private_key=one.encode()), (one,)
    yield RefreshTokenAuthenticator("id", one, client_secret=two), (one, two)
    yield OAuthAuthenticator("id", one, "user", two, security_token=three), (one, two, three)
    yield SoapAuthenticator("user", one, security_token=two), (one, two)
    yield SessionAuthenticator(one, URL), (one,)
    yield Token(one, URL), (one,)
    yield Session(lambda: Token(one, URL), token=Token(one, URL)), (one,)
    yield SalesforceClient(SessionAuthenticator(one, URL)), (one,)
    yield SalesforceClient(SessionAuthenticator(one, URL)).transport, (one,)
    yield SfClient("user", one, two), (one, two)
    yield SfClient("user", one, two).Account, (one, two)
    yield (
        Settings(Path("home"), mask_key=one, ledger_at=f"postgresql://u:{two}@h/d", idempotency_at=f"redis://:{three}@h"),
        (one, two, three),
    )
    yield Access(key_id="AKIA", secret_key=one, token=two), (one, two)
    yield login_of(f"snowflake://user:{one}@account/DB?token={two}&private_key_passphrase={three}", {}), (one, two, three)
    yield login_of("snowflake://user@account/DB", {"SNOWFLAKE_PASSWORD": one}), (one,)
    yield Master(f"redis://user:{one}@127.0.0.1:1/0"), (one,)
    yield Shaping({}, {"Email": "hash"}, key="Id", secret=one), (one,)


def test_objects_that_hold_secrets(watch: Watch) -> None:
    """Neither their text, nor how Python or pprint show them, nor what a debugger or a logger makes of them."""
    for number, (found, secrets) in enumerate(_held("held")):
        told = {
            "repr": repr(found),
            "message": f"{found} {found!s:>5} {[found]} { {'x': found} }",
            "traceback": f"{pprint.pformat(found)} {found!a}",
            "logs": "%s %r" % (found, found),  # noqa: UP031 - as loggers do
        }
        texts = {channel: text.encode() for channel, text in told.items()}
        watch.look(f"{number} {type(found).__name__}", texts, hiding=secrets)


def _referring(path: Path) -> Iterator[object]:
    reference = f"file:{path}"
    yield ClientCredentialsAuthenticator("id", reference, login_url=URL)
    yield JWTAuthenticator("id", "user", private_key=reference)
    yield JWTAuthenticator("id", "user", private_key_path=path)
    yield RefreshTokenAuthenticator("id", reference, client_secret=reference)
    yield OAuthAuthenticator("id", reference, "user", reference, security_token=reference)
    yield Settings(Path("home"), mask_key=reference, ledger_at=reference, idempotency_at=reference)
    yield Access(key_id=reference, secret_key=reference, token=reference)
    yield login_of(f"snowflake://user@account/DB?token={reference.replace('/', '%2F')}", {"SNOWFLAKE_PASSWORD": reference})
    yield understood(_YAML.format(reference=reference)).said


_YAML = """
connections:
  org: {{kind: salesforce, login_url: https://acme.my.salesforce.com, client_id: id, client_secret: "{reference}"}}
  base: {{kind: database, uri: postgresql://me@host/db, password: "{reference}"}}
flows: {{}}
"""


def test_objects_that_were_given_references(watch: Watch, tmp_path: Path) -> None:
    """A secret by reference is in no pickle, no copy and no dict of what was given it: it is looked up where it is used."""
    word = canary("behind a reference")
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text(word)
    for number, found in enumerate(_referring(path)):
        texts = {"pickle": pickle.dumps(found), "repr": repr(found).encode(), "message": str(copy.deepcopy(found)).encode()}
        texts["facts"] = repr(_plain(found)).encode()
        texts["JSON"] = json.dumps(_plain(found), default=str).encode()
        watch.look(f"{number} {type(found).__name__} by reference", texts, hiding=(word,))


def _plain(found: Any) -> object:
    if dataclasses.is_dataclass(found) and not isinstance(found, type):
        return dataclasses.asdict(found)
    return found.model_dump() if hasattr(found, "model_dump") else vars(found)


_WRONG = (
    "connections: {{org: {{kind: salesforce, client_secret: {word}}}}}",
    "connections: {{org: {{kind: salesforce, password: '{word}', access_token: '{word}'}}}}",
    "connections: {{base: 'postgresql://me:{word}@host/db'}}",
    "connections: {{base: {{kind: database, uri: 'postgresql://me@host/db?password={word}'}}}}",
    "connections: {{base: {{kind: database, uri: 'postgresql://me@host/db', password: {word}}}}}",
    "connections: {{base: {{kind: database, uri: ['{word}'], password: {{a: {word}}}}}}}",
    "connections: {{base: {word}}}",
    "connections: {{org: {{kind: salesforce, client_secret: '{word}}}}}",
    "connections: {{org: {{kind: salesforce, client_secret: *{word}}}}}",
    "connections: {{org: {{kind: salesforce, client_secret: !{word} x}}}}",
    "connections: {{org: {{kind: salesforce, client_secret: &{word} x, password: &{word} y}}}}",
    "connections:\n  org:\n   kind: salesforce\n  client_secret: {word}\n   x: y",
    "connections: {{org: {{kind: salesforce, quota_share: {word}}}}}",
    "connections: {{org: {{kind: salesforce, client_secret: {{a: {word}}}}}}}",
    "connections: {{org: [{word}, {word}]}}",
    "flows: {{a: {{kind: sync, from: 'postgresql://me:{word}@h/d', to: 'redis://:{word}@h', objects: [Account]}}}}",
    "%YAML 9 {word}\n---\nx: 1",
    "x: {word}\n\tb: {word}",
    'x: "{word}',
    "connections: {{base: 'postgresql://me:{word}@host/db\0'}}",
)


def test_configurations_that_are_wrong(watch: Watch, tmp_path: Path) -> None:
    """What is wrong with a halocline.yaml is told by its line, and never with what stands there."""
    word = canary("in YAML")
    for number, text in enumerate(_WRONG):

        def read(text: str = text) -> None:
            understood(text.format(word=word))
            pytest.fail(f"it was understood: {text}")

        watch.attempt(f"YAML {number}", read, hiding=(word,), folders=(tmp_path,))
