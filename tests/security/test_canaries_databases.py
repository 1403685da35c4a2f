"""T25: the password of a database or a proxy is told to that one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.connectors.salesforce.loopback import closed_port
from tests.security import servers
from tests.security.canaries import Watch, awkward, canary
from tests.security.servers import talking

from halocline import registry
from halocline.config import Settings
from halocline.connectors.salesforce import ClientCredentialsAuthenticator
from halocline.consume.stores import open_store
from halocline.flows import connections
from halocline.idempotency import Wanted
from halocline.place import place_of


def _places(name: str, dead: int) -> Iterator[tuple[str, str, str]]:
    """(what, a URI with a password in it, the password)."""
    for scheme, rest in (
        ("postgresql", "db"),
        ("redis", "0"),
        ("valkeys", "0"),
        ("snowflake", "DB"),
        ("sqlite", ""),
        ("mysql", "db"),
    ):
        word = canary(f"{name} {scheme}")
        yield f"{scheme}, nobody there", f"{scheme}://user:{word}@127.0.0.1:{dead}/{rest}", word
        yield f"{scheme}, unquoted", f"{scheme}://user:a@{word}/:@127.0.0.1:{dead}/{rest}", word
        yield f"{scheme}, in a port", f"{scheme}://user@127.0.0.1:{word}/{rest}", word
        yield f"{scheme}, in a bracket", f"{scheme}://user:{word}@[::1/{rest}", word
        yield f"{scheme}, in an option", f"{scheme}://user@127.0.0.1:{dead}/{rest}?password={word}", word
        yield f"{scheme}, in an option that is none", f"{scheme}://user@127.0.0.1:{dead}/{rest}?{word}", word
        yield f"{scheme}, as a DSN", f"host=127.0.0.1 port={dead} password={word} user={scheme}", word


_OPENED: dict[str, Callable[[str], object]] = {
    "destination": registry.open_destination,
    "query": lambda uri: registry.open_query(uri, "SELECT 1"),
    "results": lambda uri: registry.open_results(uri, "s"),
    "claims": lambda uri: _claimed(open_store(uri)),
    "place": place_of,
    "connection": lambda uri: connections.checked_address(uri) and None,
    "once": lambda uri: registry.open_once(uri, "key", fence=1).__enter__(),
    "tables": lambda uri: registry.connect(registry.reader_of(uri), uri),
}


def _claimed(store: Any) -> object:
    return store.claim([Wanted("key", "hash")], owner="owner", lease_s=30.0)


def test_places_with_passwords(watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URI of a database tells its password to nobody but the database."""
    monkeypatch.chdir(tmp_path)
    for what, uri, word in _places("place", closed_port()):
        for opened, work in _OPENED.items():
            if "snowflake" in uri and opened != "place" and "nobody" in what:
                continue  # its driver asks for a minute
            watch.attempt(f"{what}: {opened}", lambda work=work, uri=uri: work(uri), hiding=(word,), folders=(tmp_path,))


def test_places_behind_references(watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HALOCLINE_IDEMPOTENCY and HALOCLINE_LEDGER may name where a place stands: what stands there is told by nobody."""
    monkeypatch.chdir(tmp_path)  # what is no URI is a file's path
    dead = closed_port()
    file = tmp_path / "place"
    file.touch(mode=0o600)
    for what, text in {
        "redis": "redis://:{word}@127.0.0.1:{dead}/0",
        "postgres": "postgresql://user:{word}@127.0.0.1:{dead}/db",
        "no place": "ftp://user:{word}@host",
        "no URI": "{word}",
        "a bracket": "redis://:{word}@[::1",
        "another reference": "env:{word}",
        "two lines": "redis://:{word}\n@127.0.0.1:{dead}/0",
    }.items():
        word = canary(f"behind a reference {what}")
        meant = text.format(word=word, dead=dead)
        file.write_text(meant)
        monkeypatch.setenv("ELSEWHERE", meant)
        for reference in ("env:ELSEWHERE", f"file:{file}"):
            for variable in ("HALOCLINE_IDEMPOTENCY", "HALOCLINE_LEDGER") if "://" in meant else ("HALOCLINE_IDEMPOTENCY",):
                monkeypatch.setenv(variable, reference)

                def work() -> None:
                    settings = Settings.from_env()
                    store = open_store(settings=settings)
                    if store is not None:
                        _claimed(store)
                    pytest.fail("it was opened")

                watch.attempt(f"{variable}={reference.partition(':')[0]}: {what}", work, hiding=(word,))
                monkeypatch.delenv(variable)


def test_servers_that_repeat_passwords(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a database says of a login holds no password, even where the database repeats it."""
    for state in ("28P01", "XX000", "57P03", "99999"):
        with talking(servers.postgres(state)) as port:
            word = canary(f"postgres {state}")
            quoted = quote(awkward(word), safe="")
            for opened in ("destination", "query", "results", "claims", "once", "tables"):
                uri = f"postgresql://user:{quoted}@127.0.0.1:{port}/db"
                watch.attempt(f"postgres {state}: {opened}", lambda o=opened, u=uri: _OPENED[o](u), hiding=(word,))
            monkeypatch.setenv("PGPASSWORD", awkward(word))
            uri = f"postgresql://user@127.0.0.1:{port}/db"
            watch.attempt(f"PGPASSWORD {state}", lambda u=uri: registry.open_destination(u), hiding=(word,))
            monkeypatch.delenv("PGPASSWORD")
    with talking(servers.redis) as port:
        word = canary("redis that repeats")
        uri = f"redis://user:{quote(awkward(word), safe='')}@127.0.0.1:{port}/0"
        watch.attempt("redis", lambda: _OPENED["claims"](uri), hiding=(word,))


def test_proxies(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password of a proxy is told to the proxy alone."""
    word, dead = canary("proxy"), closed_port()
    with talking(servers.proxy) as port:
        places = {
            "nobody there": f"http://user:{word}@127.0.0.1:{dead}",
            "refuses": f"http://user:{word}@127.0.0.1:{port}",
            "speaks no TLS": f"https://user:{word}@127.0.0.1:{port}",
            "no scheme": f"foo://user:{word}@127.0.0.1:{port}",
            "socks": f"socks5://user:{word}@127.0.0.1:{dead}",
            "no port": f"http://user:{word}@127.0.0.1:port",
            "no host": f"http://user:{word}@",
            "unquoted": f"http://user:/{word}@x:y@127.0.0.1:{dead}",
        }
        for what, place in places.items():
            for variable in ("HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(variable, place)
                login = ClientCredentialsAuthenticator("id", "secret", login_url="https://org.example").authenticate
                watch.attempt(f"Salesforce by {variable}: {what}", login, hiding=(word,))
                monkeypatch.delenv(variable)
