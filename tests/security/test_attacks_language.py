"""T26: what a stranger names or writes is never taken for a query, a statement, a path, a header, a tag or an entity."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import httpx2
import pytest
from tests.connectors.aws.test_sns_signature import NOTICE, NOW, TOPIC, signed
from tests.connectors.salesforce.loopback import said, serving
from tests.examples import in_turn
from tests.security.attacks import Attacks

from halocline.connectors.aws import SignatureCheck
from halocline.connectors.salesforce import ClientCredentialsAuthenticator, SalesforceClient, SessionAuthenticator, soql
from halocline.emulator.server import Emulator
from halocline.errors import BadMessage, HaloclineError
from halocline.execution import ExecutionNames, _integration
from halocline.filejob import limits
from halocline.filejob.limits import Limits
from halocline.filejob.record import _literal, records_of
from halocline.flows.reading import understood
from halocline.retry import Policy
from halocline.sf_client import SfClient
from halocline.standard_sql import quoted
from halocline.testing.aws import FakeAWS

INJECTIONS = (
    *(
        "' OR Name != '",
        "\\' OR Name != \\'",
        "\\",
        "\\\\'",
        "'",
        "''",
        '"',
        '""',
        "a'; DROP TABLE kept; --",
        'a"; DROP TABLE kept; --',
    ),
    *(
        "x) OR (1=1",
        "1 OR 1=1",
        "/*",
        "*/",
        "--",
        "%",
        "_",
        ";",
        "\n",
        "\r\n",
        "\t",
        "\u2019",
        "\uff07",
        "\u02bc",
        "\x00x",
        "a\x00b",
    ),
    *(
        "${jndi:ldap://x}",
        "{{7*7}}",
        "%s%n",
        "$1",
        ":1",
        "?",
        "@x",
        "`id`",
        "\u202e",
        "\U0001f600",
        "SELECT",
        "Robert'); DROP TABLE kept;--",
    ),
    *("\\u0027 OR 1=1", "\\x27", "%27", "&#39;", "\ud800", "\ufeff'", "' LIMIT 0 ALL ROWS", "') FOR UPDATE", "'\\'", "\\'\\"),
)
_SIGHT = "SELECT Id FROM Account WHERE (Name = {}) AND (IsDeleted = false)"


def test_values_in_SOQL(attacks: Attacks) -> None:
    """A value in a query is a value: an org that holds it finds it, and nothing else."""
    with Emulator() as emulator:
        client = SalesforceClient({"access_token": _token(emulator), "instance_url": emulator.url}, retry=Policy(attempts=1))
        client.create("Account", {"Name": "innocent"})
        for text in INJECTIONS:
            try:
                found = list(client.query(_SIGHT.format(soql.literal(text))))
            except HaloclineError:
                found = []  # a text that no org can hold
            except UnicodeEncodeError:
                found = []  # half of a character
            attacks.blocked(f"{text!r}: {found}", not found)
            if text == "SELECT":
                continue  # a word of the language may be a name as well
            attacks.refused(f"a name {text!r}", lambda text=text: soql.name(text))
            attacks.refused(f"a field {text!r}", lambda text=text: soql.select(["Id", text], "Account"))
            attacks.refused(f"an object {text!r}", lambda text=text: soql.select(["Id"], text))
        for where in (
            "Name = 'a') OR (Id != null",
            "Id != null LIMIT 1",
            "Id != null) ALL ROWS --",
            "Name = 'a",
            "Id IN (SELECT",
            "1=1)",
        ):
            attacks.refused(f"a condition {where!r}", lambda where=where: soql.condition(where))
        client.close()


def test_values_in_SOQL_of_other_fronts(attacks: Attacks) -> None:
    """The name of an integration, the key of an execution record and an id by a field of one's own are values as well."""
    with Emulator() as emulator:
        token = _token(emulator)
        client = SalesforceClient({"access_token": token, "instance_url": emulator.url}, retry=Policy(attempts=1))
        sf = SfClient(client=client)
        client.create("Account", {"Name": "innocent"})
        names = ExecutionNames(integration="Account")
        told: list[str] = []
        simple: Any = SimpleNamespace(
            Account=SimpleNamespace(upsert=lambda place, _: told.append(place)), query_all=lambda _: {"records": [{"Id": "x"}]}
        )
        for text in (one for one in INJECTIONS if one != "\ud800"):
            attacks.refused(f"an integration {text!r}", lambda text=text: _integration(sf, text, names=names, create=False))
            try:
                found = list(client.query(_SIGHT.format(_literal(text))))
            except HaloclineError:
                found = []  # a text that no org can hold
            attacks.blocked(f"a value of a record {text!r}: {found}", not found)
            records_of(simple).upsert("Account", {}, external_id_field="Ext__c", value=text)
            told_of = told.pop()
            is_one = told_of.startswith("Ext__c/") and not set(told_of.removeprefix("Ext__c/")) & set("/?#\\\r\n\0")
            attacks.blocked(f"an external id {text!r}: {told_of}", is_one and unquote(told_of) == f"Ext__c/{text}")
        client.close()


def _token(emulator: Emulator) -> str:
    config = emulator.config
    return (
        ClientCredentialsAuthenticator(config.consumer_key, config.consumer_secret, login_url=emulator.url)
        .authenticate()
        .token()
        .access_token
    )


def test_names_in_SQL(attacks: Attacks) -> None:
    """A column or a table of any name is that table: nothing else is made, read or dropped."""
    for database in (sqlite3.connect(":memory:"), duckdb.connect(":memory:")):
        database.execute("CREATE TABLE kept (x INTEGER)")
        database.execute("INSERT INTO kept VALUES (1)")
        for text in INJECTIONS:
            try:
                database.execute(f"CREATE TABLE {quoted(text)} ({quoted(text)} VARCHAR)")
                database.execute(f"INSERT INTO {quoted(text)} ({quoted(text)}) VALUES (?)", [text])
                (found,) = database.execute(f"SELECT {quoted(text)} FROM {quoted(text)}").fetchall()
                is_itself = found[0] == text
            except (ValueError, RuntimeError, sqlite3.Error, duckdb.Error):
                is_itself = True  # a name that the database cannot have
            kept = database.execute("SELECT * FROM kept").fetchall()
            attacks.blocked(f"{text!r}", is_itself and kept == [(1,)])
        database.close()


def test_ids_and_headers(attacks: Attacks) -> None:
    """An id or a key leads to its record alone, and ends no header and no request."""
    with serving(said({"id": "x", "success": True, "errors": []}, 201)) as server:
        client = SalesforceClient(SessionAuthenticator("token", server.url), retry=Policy(attempts=1))
        odd = (
            *INJECTIONS,
            "../../../etc",
            "..",
            ".",
            "a/../../b",
            "?x=1",
            "#",
            "x/y",
            "x HTTP/1.1\r\nHost: evil",
            "%2e%2e",
            "//evil.example",
        )
        calls: tuple[Callable[[str], object], ...] = (
            lambda text: client.record("Account", text),
            lambda text: client.delete("Account", text),
            lambda text: client.upsert("Account", {"Name": "a"}, external_id_field="Ext__c", value=text),
        )
        for text, call in in_turn(odd, calls):
            server.asked.clear()
            with suppress(HaloclineError, ValueError):
                call(text)
            base = "/services/data/v67.0/sobjects/Account/"
            for asked in server.asked:
                rest = urlsplit(asked.target)
                told = unquote(rest.path.removeprefix(base).removeprefix("Ext__c/"), errors="surrogatepass")
                is_alone = (
                    rest.path.startswith(base) and not rest.query and told == text and "evil" not in asked.headers.get("Host", "")
                )
                attacks.blocked(f"{text!r}: {asked.method} {asked.target}", is_alone)
            attacks.blocked(f"{text!r} as more than its own request", len(server.asked) <= 1)
        for value in ("a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\0b", "a\rb"):
            server.asked.clear()
            with suppress(HaloclineError, ValueError):
                client.transport.send("GET", "x", headers={"Sforce-Call-Options": value})
            attacks.blocked(f"header {value!r}", all("X-Evil" not in asked.headers for asked in server.asked))
        client.close()


def test_YAML(attacks: Attacks, tmp_path: Path) -> None:
    """A configuration makes no objects, and is no larger than it looks."""
    mark = tmp_path / "mark"
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
    )
    texts = (
        f"flows: !!python/object/apply:os.system ['touch {mark}']",
        f"flows: !!python/object/new:subprocess.Popen [['touch', '{mark}']]",
        "flows: !!python/name:os.system",
        "flows: !!python/module:os",
        "flows: !!python/object/apply:builtins.eval ['1+1']",
        "!!python/tuple [1]",
        "!include /etc/passwd",
        "flows: !!binary '@@@'",
        bomb,
        "flows: &x {a: *x}",
        "a: " + "[" * 1_000,
        "{a: " * 3_000,
        "flows: {a: 1, a: 2}",
        f"flows: {'9' * 10_000}",
        "? [a, b]\n: c",
        "<<: *nothing",
        "flows: !!timestamp '2026-99-99'",
    )
    for text in texts:
        attacks.refused(f"{text[:60]!r}", lambda text=text: understood(text))
    attacks.blocked("a command was run", not mark.exists())


_LAUGHS = (
    '<!DOCTYPE a [<!ENTITY a "ha">' + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)) + "]>"
)


def test_entities_in_XML(attacks: Attacks, tmp_path: Path) -> None:
    """The emulator's XML has no entities of its own, neither many nor from files."""
    secret = tmp_path / "secret"
    secret.write_text("CONTENT-OF-A-FILE")
    heads = (_LAUGHS, f'<!DOCTYPE a [<!ENTITY j SYSTEM "file://{secret}">]>', '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd">')
    with Emulator() as emulator, httpx2.Client(base_url=emulator.url, timeout=120) as visitor:
        token = _token(emulator)
        for head in heads:
            job = f"{head}<jobInfo xmlns='http://www.force.com/2009/06/asyncapi/dataload'><object>&j;</object></jobInfo>"
            login = (
                f"{head}<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'>"
                "<e:Body><login xmlns='urn:partner.soap.sforce.com'>"
                "<username>&j;</username><password>x</password></login></e:Body></e:Envelope>"
            )
            for path, body, headers in (
                ("/services/async/64.0/job", job, {"X-SFDC-Session": token, "Content-Type": "application/xml"}),
                ("/services/Soap/u/64.0", login, {"SOAPAction": "login", "Content-Type": "text/xml"}),
            ):
                answer = visitor.post(path, content=body.encode(), headers=headers)
                is_refused = answer.status_code >= 400 and "CONTENT-OF" not in answer.text and len(answer.content) < 10_000
                attacks.blocked(f"{path} {head[:50]}: {answer.status_code} {answer.text[:80]}", is_refused)


def test_entities_in_XML_for_FakeAWS(attacks: Attacks, tmp_path: Path) -> None:
    """Nor has that of the AWS for tests."""
    secret = tmp_path / "secret"
    secret.write_text("CONTENT-OF-A-FILE")
    heads = (_LAUGHS, f'<!DOCTYPE a [<!ENTITY j SYSTEM "file://{secret}">]>')
    with FakeAWS() as fake, httpx2.Client(base_url=fake.url, timeout=120) as visitor:
        assert visitor.put("/bucket").status_code == 200
        for head in heads:
            body = f"{head}<Delete><Object><Key>&j;</Key></Object></Delete>"
            answer = visitor.post("/bucket?delete", content=body.encode())
            is_refused = answer.status_code >= 400 and "CONTENT-OF" not in answer.text and len(answer.content) < 10_000
            attacks.blocked(f"{head[:50]}: {answer.status_code} {answer.text[:80]}", is_refused)


_CERTIFICATES = (
    *(
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://evil.example/SimpleNotificationService-0.pem",
    ),
    *(
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0.pem",
        "https://169.254.169.254/latest/meta-data/",
    ),
    *(
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-0.pem",
        "file:///etc/passwd",
        "",
        "https://[",
        "//x",
    ),
    *(
        "https://sns.s3.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com:1/SimpleNotificationService-0.pem",
    ),
    *(
        "https://sns.eu-west-1.amazonaws.com/../SimpleNotificationService-0.pem",
        "https://SNS.eu-west-1.amazonaws.com\\@evil.example/x.pem",
    ),
    *("https://sns.eu-west-1.amazonaws.com/x?/SimpleNotificationService-0.pem", "gopher://sns.eu-west-1.amazonaws.com/x.pem"),
)


def test_addresses_in_messages_of_SNS(attacks: Attacks) -> None:
    """Nothing is fetched from where a message points, unless it is Amazon's own; nor is a subscription confirmed elsewhere."""
    fetched: list[str] = []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return b""

    check = SignatureCheck([TOPIC], fetch=fetch, now=NOW.timestamp)
    for url in _CERTIFICATES:
        attacks.refused(f"certificate {url}", lambda url=url: check.check(signed({**NOTICE, "SigningCertURL": url})))
        for action in ("ConfirmSubscription", "DeleteTopic"):
            with pytest.raises(BadMessage):
                check.confirm(
                    {"SubscribeURL": f"{url}?Action={action}" if "sns.eu-west-1.amazonaws.com/" not in url else f"http{url[4:]}"}
                )
        attacks.blocked(f"{url}: {fetched}", not fetched)
    for body in (
        "[" * 100_000,
        "9" * 10_000,
        '{"Type":' * 50_000,
        "null",
        '"x"',
        "\ud800",
        b"\xff",
        json.dumps({**NOTICE, "Type": "Other"}),
    ):
        attacks.refused(f"a body {body[:20]!r}", lambda body=body: check.check(body))


def test_files_that_expand(attacks: Attacks, tmp_path: Path) -> None:
    """A small file that becomes a large one, a row without an end and JSON of gigabytes are refused before they are read."""
    bomb = tmp_path / "bomb.csv.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(b"Name\n")
        for _ in range(80):
            file.write(b"a\n" * (1 << 19))
    row, quote, large, deep = (tmp_path / name for name in ("row.csv", "quote.csv", "large.json", "cut.csv.gz"))
    row.write_bytes(b"Name\n" + b"a" * (20 << 20))
    quote.write_bytes(b'Name\n"' + b"a\n" * (10 << 20))
    large.write_bytes(b"[" + b" " * (2 << 20) + b"]")
    deep.write_bytes(bomb.read_bytes()[:100_000])
    for path, kept in (
        (bomb, Limits()),
        (row, Limits()),
        (quote, Limits()),
        (large, Limits(json_bytes=1 << 20)),
        (deep, Limits()),
    ):
        attacks.refused(path.name, lambda path=path, kept=kept: limits.check(path, kept))
