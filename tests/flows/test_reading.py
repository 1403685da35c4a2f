"""Laws of reading halocline.yaml: one clear error for each mistake, with its line and what may have been meant, and no secret."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from halocline.config import Settings
from halocline.connectors.postgres.client import conninfo
from halocline.errors import FixConfig, NotFound
from halocline.flows import others, reading
from halocline.flows.configuration import Said
from halocline.flows.connected import Connected
from halocline.flows.connections import Org, Place, bucket_of, kind_of, leads_to_bucket, secrets_of, uri_of
from halocline.flows.files import FileFlow
from halocline.flows.json_schema import json_schema
from halocline.flows.others import ours
from halocline.flows.reading import place, read, understood
from halocline.flows.tables import OneTable

GOOD = """
connections:
  org: {kind: salesforce, client_secret: env:SECRET}
  lake: duckdb:///lake.duckdb
  warehouse: {kind: database, uri: postgresql://me@host/db, password: env:PASSWORD}
  somewhere: env:WAREHOUSE
  landing: {kind: s3, bucket: acme, role: arn:aws:iam::1:role/r}
flows:
  a: {kind: sync, from: org, to: lake, objects: [Account], mask: {Phone: null}}
  b: {kind: push, from: somewhere, query: SELECT 1, to: org, object: Account, key: E__c, mapping: {x: E__c}}
  c: {kind: file, from: landing, prefix: in/, to: org, object: Account, key: E__c}
  d: {kind: push, file: x.csv, object: Account, mode: insert}
  e: {kind: sync, to: s3://bucket/lake, all: true, wait: 30}
"""


def mistakes(text: str) -> list[str]:
    """What is wrong with a text."""
    with pytest.raises(FixConfig) as caught:
        understood(text)
    found: list[str] = caught.value.facts.get("mistakes") or [caught.value.cause]  # type: ignore[assignment]
    return found


@pytest.mark.parametrize(
    ("flow", "key"),
    [
        ("sync, to: lake, objects: [Account], table: ''", "table"),
        ("sync, to: lake, objects: [Account], where: ' '", "where"),
        ("sync, to: lake, objects: [Account], fields: ['']", "fields"),
        ("sync, to: lake, objects: [Account], table: {Account: ''}", "table"),
        ("push, file: a.csv, object: Account, mode: insert, encoding: ''", "encoding"),
        ("push, file: a.csv, object: Account, key: ''", "key"),
        ("file, from: 's3://b', object: Account, mode: insert, mapping: ''", "mapping"),
        ("listen, queue: '', handlers: 'a:b'", "queue"),
        ("tables, from: lake, to: lake, schedule: '', tables: [{from: t}]", "schedule"),
        ("tables, from: lake, to: lake, tables: [{from: t, filter: ''}]", "tables[0].filter"),
    ],
)
def test_an_empty_text_is_told_by_its_key(flow: str, key: str) -> None:
    """It would mean all rows, all columns or the usual table, as if it had been left out."""
    (told,) = mistakes(f"connections: {{lake: 'duckdb:///l.duckdb'}}\nflows:\n  f: {{kind: {flow}}}\n")
    assert told.startswith(f"line 3: {key!r} in the flow 'f': ")
    assert "is empty; say something, or leave it out" in told


def test_a_reference_may_stand_in_the_place_of_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a bucket, a database or a folder; what it stands for is looked up when the flow runs. An org is never one."""
    monkeypatch.setenv("SOME_URI", "s3://b/in")
    flows = (
        "  c: {kind: file, from: env:SOME_URI, object: A, mode: insert}\n"
        "  s: {kind: sync, to: aws-sm:lake#uri, objects: [Account]}\n"
        "  p: {kind: push, from: env:LAKE, query: SELECT 1, object: A, mode: insert}\n"
        "  t: {kind: tables, from: env:APP, to: env:LAKE, tables: [{from: a}]}\n"
    )
    found = understood(f"flows:\n{flows}")
    flow, around = found.flow("c"), Connected(found.connections)
    assert isinstance(flow, FileFlow)
    assert bucket_of(around.connection(flow.source)) == ("b", "in/")
    (told,) = mistakes("flows:\n  s: {kind: sync, from: env:ORG, to: env:LAKE, objects: [Account]}\n")
    assert "a Salesforce org belongs there" in told


def test_what_may_be_blank_is_taken() -> None:
    """All keys of a bucket, columns that blanks divide, and a field that is to be cleared."""
    flow = "kind: file, from: 's3://b', prefix: '', object: A, mode: insert, delimiter: ' '"
    found = understood(f"flows:\n  f: {{{flow}, execution: {{object: R__c, fields: {{N__c: ''}}}}}}\n").flow("f")
    assert isinstance(found, FileFlow)
    assert (found.prefix, found.delimiter, found.execution.fields if found.execution else None) == ("", " ", {"N__c": ""})


def test_what_can_be_meant_is_understood() -> None:
    """Connections by name, by URI and by reference; numbers of either kind; YAML's own null."""
    found = understood(GOOD)
    assert [flow.kind for flow in found.flows.values()] == ["sync", "push", "file", "push", "sync"]
    assert [kind_of(one) for one in found.connections.values()] == ["salesforce", "place", "place", "place", "bucket"]
    assert understood("").flows == {}


LAKE = "connections: {lake: 'duckdb:///l.duckdb', org: {kind: salesforce}}\nflows:\n  f:\n"
FILE = f"{LAKE}    kind: file\n    from: s3://b\n    object: A\n    key: E__c\n"
TWO = (
    "connections: {one: s3://b/in, two: {kind: s3, bucket: b}}\nflows:\n"
    "  f: {kind: file, from: one, prefix: x/, object: A, key: E__c}\n"
)
SYNC = f"{LAKE}    kind: sync\n    to: lake\n    objects: [Account]\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (f"{LAKE}    kind: synk", 3, "has an unknown kind. Did you mean sync?"),
        (f"{SYNC}    table: [a]", 7, "'table' in the flow 'f' is neither a text"),
        (
            f"{LAKE}    kind: tables\n    from: lake\n    to: lake\n    tables: [t]",
            7,
            "'tables[0]' in the flow 'f' is no mapping",
        ),
        (f"{LAKE}    kind: tables\n    from: lake\n    to: lake\n    tables: [{{form: t}}]", 7, "'tables[0].form' is unknown"),
        (
            f"{LAKE}    kind: tables\n    from: lake\n    to: lake\n    tables: [{{from: t}}]\n    wait: long",
            8,
            "'wait' in the flow 'f' is no number",
        ),
        (f"{LAKE}    kind: sync\n    from: salesforce\n    to: lake\n    all: true", 5, "Leave it out for the org of the SF_*"),
        ("connections: {w: '${WAREHOUSE}'}", 1, "a variable is written env:NAME"),
        ("connections: {w: lake.duckdb}", 1, "it is a path, and no URI: write duckdb:///FILE"),
        ("connections:\n  org: {type: salesforce}", 2, "the connection 'org' is wrong: a connection is a URI, or has a `kind`"),
        ("flows:\n\ta: 1", 2, "it is a tab: indent with blanks"),
        ("flows:\n  a:\n    kind:sync\n    to: x", 4, "a blank is missing after a colon above"),
        ("flows:\n  a:\n    kind: sync\n   to: x", 4, "its indentation is that of no line above"),
        (f"{LAKE}    kind: listen\n    queue: q\n    handlers: mine.py", 6, "without .py"),
        ("flow: {}", 1, "'flow' is unknown in the file. Did you mean flows?"),
        (f"{SYNC}    paralel: 3", 7, "'paralel' is unknown in the flow 'f'. Did you mean parallel or all?"),
        (f"{SYNC}    zzz: 3", 7, "'zzz' is unknown in the flow 'f'. There are kind, from, to,"),
        (f"{SYNC}    parallel: many", 7, "'parallel' in the flow 'f' is no whole number"),
        (f"{SYNC}    parallel: 0", 7, "'parallel' in the flow 'f' is too small: at least 1"),
        (f"{SYNC}    max_delete_share: 1.5", 7, "'max_delete_share' in the flow 'f' is too large: at most 1"),
        (f"{SYNC}    lookback: 1.0e+12", 7, "'lookback' in the flow 'f' is too large: at most 3,1"),
        (f"{FILE}    batch_size: 201", 8, "'batch_size' in the flow 'f' is too large: at most 200"),
        (f"{FILE}    delimiter: ';;'", 8, "'delimiter' in the flow 'f' is too long: in characters, at most 1"),
        (f"{LAKE}    kind: tables\n    from: lake\n    to: lake\n    tables: []", 7, "is too short: a list of at least 1"),
        (
            f"{LAKE}    kind: tables\n    from: lake\n    to: lake\n    tables: [{{from: t, build: nope}}]",
            7,
            "'tables[0].build' in the flow 'f': it is module:function",
        ),
        (f"{SYNC}    parallel: '3'", 7, "is no whole number"),
        (f"{SYNC}    deletes: gone", 7, "'deletes' in the flow 'f' is none of 'soft', 'hard' or 'ignore'"),
        (f"{SYNC}    history: 'no'", 7, "'history' in the flow 'f' is no true or false"),
        (f"{SYNC}    fields: Name", 7, "'fields' in the flow 'f' is no list, as in [one, other]"),
        (f"{SYNC}    mask: {{Phone: hide}}", 7, "'mask.Phone' in the flow 'f' is none of 'hash' or 'null'"),
        (f"{SYNC}    soql: SELECT Id FROM Account\n    where: Id != null", 3, "soql says it all"),
        (f"{SYNC}    fields: [Name, Site]\n    exclude: [name]", 3, "fields and exclude both name name"),
        (f"{LAKE}    kind: sync\n    to: lake", 3, "name objects, or say `all: true`, or give soql"),
        (
            f"{LAKE}    kind: sync\n    to: lak\n    all: true",
            5,
            "names the connection 'lak', which is not there. Did you mean lake?",
        ),
        (f"{LAKE}    kind: sync\n    to: org\n    all: true", 5, "leads to a Salesforce org; a database or folder belongs there"),
        (
            f"{LAKE}    kind: sync\n    from: lake\n    to: lake\n    all: true",
            5,
            "leads to a database or folder; a Salesforce org",
        ),
        (f"{LAKE}    kind: sink", 3, "the flow 'f' has an unknown kind. There are sync, push, file"),
        (f"{LAKE}    to: lake", 3, "the flow 'f' lacks 'kind': sync, push, file, listen or tables"),
        (f"{LAKE}    - kind: sync", 3, "no mapping"),
        (f"{LAKE}    kind: push\n    object: A\n    key: E__c", 3, "give a query, a file or rows, one of the three"),
        (f"{LAKE}    kind: push\n    object: A\n    file: x.csv", 3, "an upsert needs a key"),
        (f"{LAKE}    kind: push\n    object: A\n    file: x.csv\n    mode: insert\n    mirror: true", 3, "need a diff_key"),
        (f"{LAKE}    kind: push\n    object: A\n    file: x.csv\n    mode: delete\n    diff: true", 3, "no state to compare"),
        (f"{LAKE}    kind: push\n    key: E__c\n    file: x.csv", 3, "the flow 'f' lacks 'object'"),
        (
            f"{LAKE}    kind: file\n    from: lake\n    object: A\n    key: E__c",
            5,
            "leads to a database or folder; a bucket belongs there",
        ),
        (
            f"{LAKE}    kind: file\n    from: s3://b\n    object: A\n    key: E__c\n    errors: bad",
            3,
            "errors is a prefix such as errors/",
        ),
        (f"{LAKE}    kind: file\n    from: s3://b\n    object: A\n    key: E__c\n    encoding: utf8x", 3, "unknown encoding"),
        (
            FILE + "    execution:\n      object: R__c\n      fields: {N__c: '{eror}'}",
            8,
            "names 'eror', which nobody knows",
        ),
        (
            f"{LAKE}    kind: file\n    from: s3://b\n    object: A\n    key: E__c\n    execution:\n      objct: R__c",
            8,
            "lacks 'execution.object'",
        ),
        (
            "connections:\n  x: {kind: salesforce, client_ids: a}",
            2,
            "'client_ids' is unknown in the connection 'x'. Did you mean client_id",
        ),
        (
            "connections: {b: {kind: s3, bucket: b, region: x}}\nflows: {f: {kind: sync, to: b, all: true}}",
            2,
            "take region, role and the like from the environment",
        ),
        (f"{LAKE}    kind: file\n    from: file:///folder\n    object: A\n    key: E__c", 5, "a bucket belongs there"),
        (f"{FILE}  g: {{kind: file, from: s3://b, object: A, key: E__c}}", 8, "the flow 'g' takes the same files as 'f'"),
        (f"{TWO}  g: {{kind: file, from: two, prefix: in/x/, object: A, key: E__c}}", 4, "takes the same files as 'f'"),
        (
            f"{FILE}  g: {{kind: file, from: s3://b, prefix: errors/x/, object: A, key: E__c, errors: e/}}",
            8,
            "the files of the flow 'g' lie below 'errors/', where the flow 'f' puts its own",
        ),
        (f"{LAKE}    kind: file\n    from: s3:///x\n    object: A\n    key: E__c", 5, "it leads to no bucket"),
        ("x: 1\nflows: {a: 2026-02-30}", 2, "holds no timestamp that can be"),
        ("connections:\n  x: {kind: oracle}", 2, "a connection is a URI, or has a `kind`: salesforce, database, folder or s3"),
        ("connections:\n  x: mysql://host/db", 2, "it is no URI that is known; begin with one of duckdb://"),
        ("connections:\n  no: duckdb:///x", 2, "the name 'no' is no text to YAML; put it in quotes"),
        ("lambda:\n  margin: 0", 2, "too small: at least 1"),
        ("ledger:\n  keep: 90", 2, "'keep' in 'ledger' is no text"),
        ("ledger:\n  keep: soon", 2, "'soon' is no time; write 90d, 12w or 36h, at most 36525d"),
        ("ledger:\n  keeps: 90d", 2, "Did you mean keep"),
        ("flows: 3", 1, "no mapping"),
        ("- flows", 1, "the file is no mapping"),
        ("flows: {}\nflows: {}", 2, "says 'flows' a second time"),
        ("flows: {x: &a {y: *a}}", 1, "aliases make it hold itself"),
        ("a: !!python/object:os.system x", 1, "it is no YAML"),
        ("a: [", 1, "it is no YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, says: str) -> None:
    """And with what may have been meant."""
    told = mistakes(text)
    assert any(says in one for one in told), told
    assert any(f"line {line}" in one for one in told), told


@pytest.mark.parametrize("kind", ["[a]", "{a: 1}", "[]", "null", "7", "true", "database s"])
def test_a_kind_of_a_connection_that_is_none_is_told(kind: str) -> None:
    """Lists and mappings too, which YAML gives where a bracket slipped in."""
    (told,) = mistakes(f"connections:\n  c:\n    kind: {kind}\n    uri: duckdb:///x\n")
    assert told.startswith("line 2: the connection 'c' is wrong: a connection is a URI, or has a `kind`")


TABLES = f"{LAKE}    kind: tables\n    from: lake\n    to: lake\n    tables: [{{from: t}}]\n"
ONE_TABLE = f"{LAKE}    kind: tables\n    from: lake\n    to: lake\n    tables:\n      - from: t\n        "
PUSH = f"{LAKE}    kind: push\n    object: A\n    file: x.csv\n    key: E__c\n    "


@pytest.mark.parametrize(
    ("text", "word", "says"),
    [
        (f"{SYNC}    ", "full_refresh", "Here it is called full."),
        (f"{SYNC}    ", "force_full_sync", "Here it is called full."),
        (f"{SYNC}    ", "primary_key", "Here it is called key."),
        (f"{SYNC}    ", "primary-key", "Here it is called key."),
        (f"{SYNC}    ", "matchField", "Here it is called key."),
        (f"{SYNC}    ", "where_clause", "Here it is called where."),
        (f"{SYNC}    ", "filter", "Here it is called where."),
        (f"{SYNC}    ", "lookback_s", "Here it is called lookback."),
        (f"{SYNC}    ", "overlap", "Here it is called lookback."),
        (f"{SYNC}    ", "query", "Here it is called soql."),
        (f"{SYNC}    ", "columns", "Here it is called fields."),
        (f"{SYNC}    ", "object", "Here it is called objects."),
        (f"{SYNC}    ", "dataset_name", "Here it is called schema."),
        (f"{SYNC}    ", "mode", "A sync is incremental by itself: `full: true`"),
        (f"{SYNC}    ", "write_disposition", "A sync is incremental by itself: `full: true`"),
        (f"{SYNC}    ", "update_key", "by the object's own stamp; there is nothing to say."),
        (PUSH, "external_id_field", "Here it is called key."),
        (PUSH, "operation", "Here it is called mode."),
        (PUSH, "mapper", "Here it is called mapping."),
        (PUSH, "sobject", "Here it is called object."),
        (ONE_TABLE, "primary_key", "Here it is called key."),
        (ONE_TABLE, "update_key", "Here it is called cursor."),
        (ONE_TABLE, "write_disposition", "Here it is called mode."),
        (ONE_TABLE, "where", "Here it is called filter."),
        (ONE_TABLE, "fields", "Here it is called columns."),
        (ONE_TABLE, "lookback", "Here it is called overlap."),
        (ONE_TABLE, "full_refresh", "say `mode: replace` of it"),
        (f"{TABLES}    ", "primary_key", "It is said of each table: `tables: [{from: ..., key: ...}]`."),
        (f"{TABLES}    ", "mode", "It is said of each table: `tables: [{from: ..., mode: ...}]`."),
        (f"{TABLES}    ", "full_refresh", "say `mode: replace` of it"),
        (f"{LAKE}    kind: listen\n    queue: q\n    handlers: a:b\n    ", "dlq", "Here it is called dead_letters."),
        ("", "pipelines", "Here it is called flows."),
        ("", "sources", "Here it is called connections."),
    ],
)
def test_a_word_of_others_is_answered_with_ours(text: str, word: str, says: str) -> None:
    """Of dlt, Sling, LHT, Data Loader and our own Python; what is spelled alike would lead astray."""
    (told,) = (one for one in mistakes(f"{text}{word}: x\n") if f"{word}' is unknown in" in one)
    assert says in told


def test_each_word_of_others_leads_to_keys_that_there_are() -> None:
    """And none of our keys is answered where it is known: it is never unknown there."""
    tables = others._OURS
    every = {
        one.alias or name for model in (Said, *reading._MODELS.values(), OneTable) for name, one in model.model_fields.items()
    }
    assert {key for keys in tables.values() for key in keys} <= every
    assert set(others._WITHOUT_A_KEY) <= set(reading._FLOWS)
    assert ours("paralel", ["parallel"]) is None


def test_all_mistakes_are_told_at_once() -> None:
    """In the order of their lines."""
    text = f"{SYNC}    one: 1\n    two: 2\n  g: {{kind: push}}\n"
    assert [one.split(":")[0] for one in mistakes(text)] == ["line 7", "line 8", "line 9"]
    assert len(mistakes("flows: {" + ", ".join(f"f{n}: {{}}" for n in range(30)) + "}")) == 30


SECRET = "hunter2-is-secret"


@pytest.mark.parametrize(
    "text",
    [
        f"connections:\n  x: {{kind: salesforce, client_secret: {SECRET}}}",
        f"connections:\n  x: {{kind: salesforce, password: [{SECRET}]}}",
        f"connections:\n  x: postgresql://me:{SECRET}@host/db",
        f"connections:\n  x: {{kind: database, uri: 'postgresql://me:{SECRET}@host/db'}}",
        f"connections:\n  x: {{kind: database, uri: 'postgresql://me@host/db', password: {SECRET}}}",
        f"connections:\n  x: {SECRET}",
        f"connections:\n  x: {{kind: salesforce, access_token: {SECRET}, wrong: 1}}",
        f"connections:\n  x: postgresql://me@host/db?password={SECRET}",
        f"connections:\n  x: postgresql://host/db?user=me&sslmode=require&sslpassword={SECRET}",
        f"connections:\n  x: postgresql://me@host/db?p%61ssword={SECRET}",
        f"connections:\n  x: snowflake://me@account/db?private_key_passphrase={SECRET}",
        f"connections:\n  x: snowflake://me@account/db?warehouse=w;token={SECRET}",
        f"connections:\n  x: s3://AKIA:{SECRET}/SEC+RET@bucket/x",
        f"connections:\n  x: postgresql://:{SECRET}?x@host/db",
        f"connections:\n  x: {{kind: salesforce, client_secret: '{SECRET}\n  y: 1",
        f"connections:\n  x: {{kind: salesforce, client_secret: {SECRET}: x}}",
        f"connections:\n  x: {{kind: salesforce, client_secret: *{SECRET}}}",
        f"connections:\n  x: {{kind: salesforce, client_secret: !{SECRET} }}",
        f"connections:\n  x: {{kind: salesforce, client_secret: !x!{SECRET} y}}",
        f'connections:\n  x: {{kind: salesforce, client_secret: "{SECRET}\\q"}}',
        f"connections:\n  x: {{kind: salesforce, client_secret: !!int {SECRET}}}",
        f"flows:\n  x: {{kind: sync, all: true, to: 'postgresql://me:{SECRET}@host/db'}}",
        f"flows:\n  x: {{kind: push, object: A, key: E__c, query: SELECT 1, from: 'mysql://me:{SECRET}@host/db'}}",
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_shown(text: str) -> None:
    """Where a reference belongs, in URIs, and in a line that is no YAML."""
    with pytest.raises(FixConfig) as caught:
        understood(text)
    assert (SECRET in str(caught.value), SECRET in repr(caught.value.facts), caught.value.__cause__) == (False, False, None)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me@host:5432/db?sslmode=require&options=-c%20x=a@b",
        "postgresql://me@host/db?sslkey=/k/client.key&passfile=/k/pass",
        "snowflake://me@account/db?private_key_path=/k/key.p8&warehouse=w",
        "duckdb:///C:/data/me@home/lake.duckdb",
        "file:///data/a:b@c",
    ],
)
def test_a_uri_without_a_secret_is_taken(uri: str) -> None:
    """Ports, paths of keys, and an @ elsewhere."""
    assert understood(f"connections: {{x: '{uri}'}}").connections["x"] == uri


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["connections", "flows", "kind", "sync", "push", "file", "to", "from", "object", "x", "lambda"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_a_file_holds_is_understood_or_told(value: Any) -> None:
    """No other error, whatever the shape."""
    text = yaml.safe_dump(value)
    try:
        understood(text)
    except FixConfig as error:
        told = error.cause
    else:
        told = "line"
    assert "line" in told or "YAML" in told


# ---- files and connections


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """That it is not there, is no UTF-8, or is larger than any configuration."""
    with pytest.raises(FixConfig, match="`halocline init` writes one"):
        read(tmp_path / "halocline.yaml")
    for data, says in ((b"\xff\xfe", "is not UTF-8"), (b"#" * (2 << 20), "at most 1,048,576 are read")):
        (tmp_path / "halocline.yaml").write_bytes(data)
        with pytest.raises(FixConfig, match=says):
            read(tmp_path / "halocline.yaml")
    (tmp_path / "halocline.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read(tmp_path / "halocline.yaml").folder == tmp_path


def test_the_file_is_named_by_option_or_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it is halocline.yaml here."""
    monkeypatch.delenv("HALOCLINE_CONFIG", raising=False)
    assert (place(), place("x.yaml")) == (Path("halocline.yaml"), Path("x.yaml"))
    monkeypatch.setenv("HALOCLINE_CONFIG", "/etc/h.yaml")
    assert (place(), place("x.yaml")) == (Path("/etc/h.yaml"), Path("x.yaml"))


def test_an_unknown_flow_is_told_with_near_names() -> None:
    """And with all there are."""
    with pytest.raises(NotFound, match=r"there is none called 'aa'.*There are a, b, c, d, e"):
        understood(GOOD).flow("aa")
    with pytest.raises(NotFound, match=r"none called 'g'\. There is f\."):
        understood(SYNC).flow("g")


def test_secrets_are_looked_up_when_they_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By what opens the connection, and once: a password goes into its URI as the reference that it is, as a login's do."""
    monkeypatch.setenv("PASSWORD", "a@b/c:d")
    database = Place(kind="database", uri="postgresql://me@host:5/db", password="env:PASSWORD")
    assert uri_of(database) == "postgresql://me:env%3APASSWORD@host:5/db"
    assert "password=a@b/c:d " in f"{conninfo(uri_of(database))} "
    with pytest.raises(FixConfig, match="its URI names no user"):
        uri_of(Place(kind="database", uri="postgresql://host/db", password="env:PASSWORD"))
    (tmp_path / "id").write_text("consumer\n")
    org = Org(kind="salesforce", client_id=f"file:{tmp_path}/id", client_secret="env:PASSWORD", quota_share=0.5)
    assert org.environ() == {"SF_CLIENT_ID": f"file:{tmp_path}/id", "SF_CLIENT_SECRET": "env:PASSWORD"}
    assert (uri_of("file:///data/lake"), uri_of("env:PASSWORD")) == ("file:///data/lake", "a@b/c:d")
    folder = Place(kind="folder", uri="s3://b/lake")
    assert (kind_of(folder), bucket_of(folder)) == ("bucket", ("b", "lake/"))
    assert bucket_of("s3://b/x/y") == ("b", "x/y/")


def test_in_the_place_of_a_uri_file_begins_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the command line, for a connection and for a flow's own; a file that is there is no folder, and no URI."""
    monkeypatch.chdir(tmp_path)
    for connections in (
        "connections: {lake: 'file:lakedir?format=csv'}",
        "connections: {lake: {kind: folder, uri: 'file:lakedir?format=csv'}}",
    ):
        found = understood(f"{connections}\nflows: {{f: {{kind: sync, objects: [A], to: lake}}}}").connections["lake"]
        assert (uri_of(found), kind_of(found), leads_to_bucket(found), list(secrets_of(found))) == (
            "file:lakedir?format=csv",
            "place",
            False,
            [],
        )
    assert understood("flows: {f: {kind: sync, objects: [A], to: 'file:lakedir'}}").flow("f").to == "file:lakedir"
    with pytest.raises(FixConfig, match="leads to a database or folder; a bucket belongs there"):
        understood("flows: {f: {kind: file, from: 'file:lakedir', object: A, key: K}}")
    Path("uri").write_text("postgresql://me:secret@host/db")
    with pytest.raises(FixConfig, match=r"file:uri is a file.*begins a folder.*env:NAME") as caught:
        uri_of("file:uri")
    assert "secret" not in str(caught.value)
    there = Place(kind="database", uri="env:URI", password="file:uri")
    assert list(secrets_of(there)) == ["env:URI", "file:uri"]


# ---- the sample and the schema


def test_the_sample_can_be_read_with_and_without_its_comments() -> None:
    """What `halocline init` writes is understood, and so is every line of it that is commented out."""
    text = files("halocline.flows").joinpath("sample.yaml").read_text()
    assert list(understood(text).flows) == ["accounts"]
    head, _, body = text.partition("\nconnections:")
    opened = "\n".join(line.replace("# ", "", 1) if line.strip().startswith("# ") else line for line in body.splitlines())
    found = understood(f"connections:{opened}")
    assert (list(found.flows), list(found.connections)) == (
        ["accounts", "to_org", "companies", "orders", "demand"],
        ["org", "lake", "warehouse", "landing"],
    )
    assert "halocline schema" in head


def test_the_schema_says_what_is_read() -> None:
    """Each object of it is closed, names every key, and describes what is not plain from its name."""
    schema = json_schema()
    json.dumps(schema)
    assert set(schema["properties"]) == {"connections", "flows", "lambda", "ledger"}
    for name in ("SyncFlow", "PushFlow", "FileFlow", "Org", "Place", "Bucket", "Execution", "Lambda"):
        assert schema["$defs"][name]["additionalProperties"] is False
    assert {"from", "all", "schema"} <= schema["$defs"]["SyncFlow"]["properties"].keys()
    assert schema["$defs"]["Org"]["properties"]["client_secret"]["anyOf"][0]["pattern"] == "^(env|file|aws-sm):."
    assert Said.model_validate({}).flows == {}


def test_the_file_says_what_the_ledger_keeps_where_the_environment_does_not(tmp_path: Path) -> None:
    """As of every setting that both know."""
    file, none = understood("ledger: {keep: 2w}"), understood("flows: {}")
    assert file.settings(Settings(tmp_path)).keep_s == 14 * 86_400.0
    assert (file.settings(Settings(tmp_path, keep_s=5.0)).keep_s, none.settings(Settings(tmp_path)).keep_s) == (5.0, None)
