"""T25: no secret of a Snowflake login, no token of its session and no signed link of its stages is told, whatever it answers."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from snowflake.connector.errors import OperationalError, ProgrammingError
from tests.connectors.salesforce.loopback import Answer, Asked, said, serving
from tests.connectors.snowflake.standin import SnowflakeConnection
from tests.examples import in_turn
from tests.security.canaries import Watch, awkward, canary, key

from halocline import registry
from halocline.connectors.snowflake.client import Database
from halocline.connectors.snowflake.errors import gate
from halocline.hiding import scrub


def _repeated(asked: Asked) -> str:
    """A request as it came, unpacked."""
    body = gzip.decompress(asked.body) if asked.body[:2] == b"\x1f\x8b" else asked.body
    return f"{asked.target} {' '.join(asked.headers.values())} {body.decode('utf-8', 'replace')}"


def _refused(code: str) -> Callable[[Asked], Answer]:
    return lambda asked: said({"success": False, "code": code, "message": f"wrong: {_repeated(asked)[:3_000]}", "data": {}})


_ANSWERS: dict[str, Callable[[Asked], Answer]] = {
    "a wrong password": _refused("390100"),
    "a wrong token": _refused("390303"),
    "a wrong key": _refused("390144"),
    "another number": _refused("999999"),
    "403": lambda asked: Answer(403, _repeated(asked).encode(), {"Content-Type": "text/plain"}),
    "words": lambda asked: Answer(200, _repeated(asked).encode(), {"Content-Type": "text/plain"}),
    "half of an answer": lambda asked: said({"success": True, "message": _repeated(asked)}),
    "a redirect": lambda asked: Answer(302, b"", {"Location": f"http://127.0.0.1:1/{quote(_repeated(asked)[:900])}"}),
}


def _logins(folder: Path, at: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(which way to log in, the URI, the secrets in it or behind it)."""
    one, two, phrase, text = (canary(f"snowflake {name}") for name in ("password", "token", "phrase", "no key"))
    word = quote(awkward(one), safe="")
    yield "password", f"snowflake://user:{word}@acc/DB?{at}", (one,)
    yield "access token", f"snowflake://user@acc/DB?authenticator=programmatic_access_token&token={two}&{at}", (two,)
    yield "OAuth", f"snowflake://user@acc/DB?authenticator=oauth&token={two}&{at}", (two,)
    kept = {"encrypted": serialization.BestAvailableEncryption(phrase.encode()), "plain": serialization.NoEncryption()}
    private = serialization.PrivateFormat.PKCS8
    for name, how in kept.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(key().private_bytes(serialization.Encoding.PEM, private, how))
    for name in ("broken", "no key"):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(
            text if name == "no key" else f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"
        )
    for name, word in {"encrypted": phrase, "plain": phrase, "broken": text, "no key": text, "none": text}.items():
        path = quote(str(folder / name))
        for given in dict.fromkeys((word, canary("a wrong phrase"))):
            yield (
                f"key, {name}",
                f"snowflake://user@acc/DB?private_key_path={path}&private_key_passphrase={given}&{at}",
                (word, given),
            )


def test_logins_to_Snowflake(watch: Watch, tmp_path: Path) -> None:
    """A login that is refused, repeated, cut or redirected, and a key that cannot be used, tell nothing of what was given."""
    with serving(Answer()) as server:
        at = f"host=127.0.0.1&port={urlsplit(server.url).port}&protocol=http&login_timeout=1"
        logins = list(_logins(tmp_path, at))
        unused = [one for one in logins if one[0].startswith("key") and "encrypted" not in one[0]]  # looked at before it is asked
        asked = in_turn(_ANSWERS, [one for one in logins if one not in unused])
        for answer, (how, uri, secrets) in [*asked, *(("a wrong key", one) for one in unused)]:
            server.script = _ANSWERS[answer]

            def work(uri: str = uri) -> None:
                registry.open_query(uri, "SELECT 1")
                pytest.fail("it was let in")

            watch.attempt(f"{how}: {answer}", work, hiding=secrets)


def test_sessions_and_stages_of_Snowflake(watch: Watch, tmp_path: Path) -> None:
    """What is said after the login, by a server or a stage that repeats what it was asked, holds no token and no signed link."""
    word = canary("a token of Snowflake's")
    token = f"ver:3-hint:{'1' * 15}-ETMsDgAAA{word * 8}"
    link = f"https://sfc-stage.s3.amazonaws.com/stages/x.gz?X-Amz-Credential=AKIA&X-Amz-Signature={word}{word}"
    others = (
        f"https://acc.blob.core.windows.net/stages/x.gz?sv=2024-11-04&se=2026-11-04T00%3A00%3A00Z&sig={word}%3D",
        f"https://storage.googleapis.com/x.gz?X-Goog-Credential=me&X-Goog-Signature={word}{word}",
        f"https://sfc-stage.s3.amazonaws.com/x?AWSAccessKeyId=AKIA&Signature={word}%3D&x-amz-security-token={word}",
    )
    texts = (
        f'wrong: Snowflake Token="{token}" is gone',
        f"token {token}",
        f"PUT {link} failed",
        *(f"GET {one}: 403" for one in others),
    )
    for text in texts:
        for kind in (OperationalError, ProgrammingError):
            for number in (253003, 390114, 999_999):
                connection = SnowflakeConnection()
                connection.fail("^(PUT|SELECT 1)", kind(text, errno=number))

                def put(connection: SnowflakeConnection = connection) -> None:
                    with gate("Putting a file"):
                        Database(connection).upload(tmp_path / "x.gz", "DB.S.STAGE/x/")

                watch.attempt(f"PUT, {number}: {text[:20]}", put, hiding=(word,))
                watch.attempt(
                    f"query, {number}: {text[:20]}", lambda c=connection: registry.open_query(c, "SELECT 1"), hiding=(word,)
                )
        assert word not in scrub(text)
    assert (
        scrub("GET https://x.example/a?b=c&sig=short&d=e: 403, version ver:1")
        == "GET https://x.example/a?b=c&sig=short&d=e: 403, version ver:1"
    )
