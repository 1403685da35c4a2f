"""Laws of logging in and of what goes wrong: the URI, the vendor's variables, and errors that say what to try."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector.errors import DatabaseError, InterfaceError, OperationalError, ProgrammingError

from halocline.connectors.snowflake.client import connected
from halocline.connectors.snowflake.errors import gate, login_gate
from halocline.connectors.snowflake.login import login_of
from halocline.errors import (
    AccessDenied,
    FixConfig,
    HaloclineError,
    LoginRefused,
    NetworkFailed,
    NotFound,
    QuotaExhausted,
    RetryLater,
    SchemaConflict,
    Stop,
    StorageFailed,
    Truncated,
)


def test_a_uri_says_everything() -> None:
    """Percent codes are read, options become the connector's, and our session has its own tag, time zone and limit for locks."""
    uri = "Snowflake://me%40corp:p%2F%40ss@org-acc.eu-west-1/My_DB/raw?warehouse=WH&role=R&query_tag=nightly&host=h&port=1&protocol=http"
    told = login_of(uri, {}).arguments(5)
    wanted = {"user": "me@corp", "password": "p/@ss", "account": "org-acc.eu-west-1", "database": "My_DB", "schema": "raw"}
    wanted |= {"warehouse": "WH", "role": "R", "host": "h", "port": 1, "protocol": "http"}
    assert {name: told[name] for name in wanted} == wanted
    assert told["session_parameters"] == {"QUERY_TAG": "nightly", "LOCK_TIMEOUT": 300, "TIMEZONE": "UTC"}


def test_a_key_pair_needs_no_password() -> None:
    """A path makes it a login by key; a password of the environment is left out of it."""
    around = {"SNOWFLAKE_PASSWORD": "another", "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "phrase"}
    told = login_of("snowflake://me@acc/db?private_key_path=/k.p8", around).arguments(4)
    assert told["private_key_file"] == "/k.p8"
    assert told["private_key_file_pwd"] == "phrase"
    assert told["authenticator"] == "SNOWFLAKE_JWT"
    assert "password" not in told


def test_the_environment_fills_what_the_uri_leaves_out() -> None:
    """The URI goes first; the connector's names for a time limit are those of its version."""
    names = ("ACCOUNT", "USER", "PASSWORD", "DATABASE", "SCHEMA", "WAREHOUSE", "ROLE", "PRIVATE_KEY_FILE")
    around = {f"SNOWFLAKE_{name}": name.lower() for name in names}
    told = login_of("snowflake://you@/mine?role=other&network_timeout=7", around).arguments(4)
    assert [told[name] for name in ("account", "user", "database", "schema", "warehouse", "role")] == [
        *("account", "you", "mine", "schema", "warehouse"),
        "other",
    ]
    assert told["private_key_file"] == "private_key_file"
    assert told["network_timeout"] == 7
    assert login_of("snowflake://u@a/d?network_timeout=7", {}).arguments(5)["request_timeout"] == 7


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "snowflake://u:se cret@a/d",
            "snowflake://u:secret@x@a/d",
            "snowflake://u:secret@a/d/s/more",
            "snowflake://u:secret@/d",
        ),
        *("snowflake://u:secret@a/d?passwort=secret", "snowflake://u:secret@a/d?port=x", "snowflake://u:sec#ret@a/d"),
    ],
)
def test_a_uri_that_cannot_be_read_is_not_repeated(uri: str) -> None:
    """A password may be in any piece of it."""
    with pytest.raises(FixConfig) as caught:
        login_of(uri, {})
    assert "secret" not in str(caught.value)
    assert "sec" not in str(caught.value).replace("second", "")
    assert "secret" not in repr(login_of("snowflake://u:secret@a/d?token=secret", {}))


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            DatabaseError("Incorrect username or password", errno=250001, sqlstate="08001"),
            LoginRefused,
            "password or key",
        ),
        (DatabaseError("JWT token is invalid.", errno=390144), LoginRefused, "password or key"),
        (ProgrammingError("Insufficient privileges", errno=3001, sqlstate="42501"), AccessDenied, "rights needed"),
        (
            ProgrammingError("Object 'X' does not exist", errno=2003, sqlstate="42S02"),
            NotFound,
            "may not use it",
        ),
        (ProgrammingError("No active warehouse selected", errno=606, sqlstate="57P03"), FixConfig, "warehouse=WH"),
        (ProgrammingError("Warehouse 'W' cannot be resumed", errno=90073, sqlstate="22000"), QuotaExhausted, "resource monitor"),
        (ProgrammingError("Warehouse suspended", errno=607), RetryLater, "suspended"),
        (ProgrammingError("Statement reached its timeout", errno=630, sqlstate="57014"), RetryLater, "STATEMENT_TIMEOUT"),
        (ProgrammingError("has locked table", errno=625, sqlstate="57014"), RetryLater, "holds the lock"),
        (ProgrammingError("Numeric value 'x' is not recognized", errno=100038, sqlstate="22018"), SchemaConflict, "run it again"),
        (ProgrammingError("String 'x' is too long", errno=100078, sqlstate="22000"), SchemaConflict, "widen"),
        (ProgrammingError("Number of columns in file (1)", errno=100080, sqlstate="22000"), Truncated, "damaged"),
        (OperationalError("File doesn't exist", errno=253006), StorageFailed, "HALOCLINE_SPOOL"),
        (OperationalError("Failed to connect", errno=250003), NetworkFailed, "run it again"),
        (InterfaceError("gone"), NetworkFailed, "run it again"),
        (ProgrammingError("odd", errno=999999), Stop, "odd"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_an_error_says_what_to_try(error: Any, kind: type[HaloclineError], said: str) -> None:
    """By Snowflake's number; what was being done and its own words are told."""
    with pytest.raises(kind, match=said) as caught, gate("Doing a thing"):
        raise error
    assert type(caught.value) is kind
    assert str(caught.value).startswith("Doing a thing: ")


@pytest.mark.parametrize("held", [None, "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_cannot_be_used_is_told_by_its_path(held: str | None, tmp_path: Path) -> None:
    """The connector lets what Python and its library of keys raise through; here it is an error that says where to look."""
    path = tmp_path / "key.p8"
    if held is not None:
        path.touch(mode=0o600)
        path.write_text(held)
    with pytest.raises(FixConfig, match=f"private key {path} cannot be used.*PRIVATE_KEY_PATH"):
        connected(f"snowflake://me@acc/db?private_key_path={path}")


@pytest.mark.parametrize("phrase", [None, "phrase"])
def test_a_reference_to_the_key_itself_is_followed(phrase: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connector gets the key; behind a reference may also be the path of its file."""
    key, pem = _key(phrase)
    monkeypatch.setenv("THE_KEY", pem)
    monkeypatch.setenv("ITS_FILE", "/run/key.p8")
    around = {"SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": phrase} if phrase else {}
    told = login_of("snowflake://me@acc/db?private_key_path=env:THE_KEY", around).arguments(5)
    assert serialization.load_der_private_key(told["private_key"], None).private_numbers() == key.private_numbers()
    assert not {"private_key_file", "private_key_file_pwd"} & set(told)
    told = login_of("snowflake://me@acc/db?private_key_path=env:ITS_FILE", {}).arguments(5)
    assert (told["private_key_file"], told["authenticator"]) == ("/run/key.p8", "SNOWFLAKE_JWT")


@pytest.mark.parametrize(
    "held", ["key-canary", "key-canary" * 600, "-----BEGIN PRIVATE KEY-----\nkey-canary\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_behind_a_reference_to_a_key_is_never_told(held: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a key in another spelling, that is taken for a path."""
    monkeypatch.setenv("THE_KEY", held)
    with pytest.raises(FixConfig, match=r"private key .*cannot be used.*private_key_path") as caught:
        connected("snowflake://me@acc/db?private_key_path=env:THE_KEY")
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("inside", ["", "//", "/"])
def test_a_key_in_the_place_of_its_path_is_never_told(inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its base64 alone is no PEM, and is taken for a path: one with a slash or two is told by the system as it understood it."""
    body = "".join(_key(None)[1].splitlines()[1:-1])
    body = body[:80] + inside + body[80:]
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PATH", body)
    with pytest.raises(FixConfig, match=r"private key .*looks like a key without its BEGIN line.* cannot be used") as caught:
        connected("snowflake://me@acc/db")
    told = "".join(traceback.format_exception(caught.value))
    assert not [piece for piece in re.findall(r"[A-Za-z0-9]{12,}", body) if piece in told]


def _key(phrase: str | None) -> tuple[rsa.RSAPrivateKey, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kept = serialization.BestAvailableEncryption(phrase.encode()) if phrase else serialization.NoEncryption()
    return key, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kept).decode()


def test_a_key_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    """As every file of a secret."""
    path = tmp_path / "key.p8"
    path.touch()
    path.chmod(0o666)
    with pytest.raises(FixConfig, match="every user of this machine can write"):
        connected(f"snowflake://me@acc/db?private_key_path={path}")


@pytest.mark.parametrize("error", [KeyError("data"), ValueError("no number"), AttributeError("x"), OSError(5, "I/O")])
def test_an_answer_that_is_none_of_snowflakes_is_told(error: Exception) -> None:
    """The connector trips over it; a proxy may have sent it."""
    with pytest.raises(NetworkFailed, match=r"none of Snowflake's.*proxy"), login_gate((), key=None):
        raise error
