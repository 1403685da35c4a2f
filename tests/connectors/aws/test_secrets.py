"""Laws of secrets by reference, on our fake and on moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from tests.connectors.aws.servers import BOTH, SERVERS, beside, new_name

from halocline import registry
from halocline.config import Settings, secret
from halocline.connectors.postgres.client import conninfo
from halocline.connectors.salesforce import ClientCredentialsAuthenticator, from_env
from halocline.connectors.snowflake.login import login_of
from halocline.errors import FixConfig, HaloclineError, NotFound
from halocline.place import place_of, schema_in

HELD = {"password": "p@ss/word", "port": 5432, "nested": {"a": 1}, "none": None}


@pytest.fixture(scope="module", params=BOTH, autouse=True)
def server(request: pytest.FixtureRequest) -> Iterator[object]:
    with SERVERS[request.param]() as running:
        yield running


@pytest.fixture
def name(server: object) -> str:
    made = new_name("prod/secret")
    beside("secretsmanager").create_secret(Name=made, SecretString=json.dumps(HELD))
    return made


@pytest.mark.short
def test_a_reference_is_the_value(name: str) -> None:
    """One value by its key, or the whole text; by name or by ARN; the newest version counts."""
    assert secret(f"aws-sm:{name}#password") == "p@ss/word"
    assert secret(f"aws-sm:{name}#port") == "5432"
    assert json.loads(secret(f"aws-sm:{name}")) == HELD
    arn = beside("secretsmanager").get_secret_value(SecretId=name)["ARN"]
    assert secret(f"aws-sm:{arn}#password") == "p@ss/word"
    beside("secretsmanager").put_secret_value(SecretId=name, SecretString='{"password": "new"}')
    assert secret(f"aws-sm:{name}#password") == "new"


@pytest.mark.parametrize(
    ("reference", "kind", "told"),
    [
        ("{name}#Password", NotFound, "no key 'Password'"),
        ("{name}#nested", FixConfig, "no text"),
        ("{name}#none", FixConfig, "no text"),
        ("{name}#", FixConfig, "names no secret"),
        ("#password", FixConfig, "names no secret"),
        ("nobodys#password", NotFound, "AWS_DEFAULT_REGION"),
        ("{text}#password", FixConfig, "no JSON object"),
        ("{bytes}", FixConfig, "bytes"),
    ],
)
def test_a_reference_that_leads_nowhere_is_told(name: str, reference: str, kind: type[HaloclineError], told: str) -> None:
    """With what to write; and nothing of the secret is in it."""
    names = {"name": name, "text": new_name(), "bytes": new_name()}
    beside("secretsmanager").create_secret(Name=names["text"], SecretString="p@ss/word")
    beside("secretsmanager").create_secret(Name=names["bytes"], SecretBinary=b"p@ss/word")
    with pytest.raises(kind, match=told) as error:
        secret(f"aws-sm:{reference.format(**names)}")
    assert error.value.hint
    cause: BaseException | None = error.value
    while cause is not None:
        assert "p@ss" not in f"{cause} {cause.args}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def test_every_connection_takes_references(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Salesforce, PostgreSQL, Snowflake, DuckDB, the ledger: a password, or the whole URI."""
    reference = f"aws-sm:{name}#password"
    quoted = reference.replace(":", "%3A").replace("/", "%2F").replace("#", "%23")
    assert "p@ss/word" in conninfo(f"postgresql://user:{quoted}@127.0.0.1/db")
    assert login_of(f"snowflake://user:{quoted}@account").arguments(5)["password"] == "p@ss/word"
    around = {"SNOWFLAKE_PASSWORD": reference, "SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u"}
    assert login_of("snowflake://", around).arguments(5)["password"] == "p@ss/word"
    variables = {"SF_CLIENT_ID": "id", "SF_CLIENT_SECRET": reference, "SF_LOGIN_URL": "https://x.my.salesforce.com"}
    found = from_env(variables)
    assert isinstance(found, ClientCredentialsAuthenticator)
    assert secret(found.client_secret) == "p@ss/word"  # as each login looks it up
    beside("secretsmanager").create_secret(Name=f"{name}/uri", SecretString=f"duckdb:///{tmp_path}/lake.duckdb")
    duckdb.connect(tmp_path / "lake.duckdb").close()
    uri = f"aws-sm:{name}/uri"
    assert registry.can_query(uri)
    assert place_of(uri) == place_of(f"duckdb:///{tmp_path}/lake.duckdb")
    assert schema_in(uri, None) == "main"
    with registry.open_query(uri, "SELECT 42 AS x") as rows:
        assert rows.read_all().to_pylist() == [{"x": 42}]
    assert Settings(tmp_path, ledger_at=uri).ledger == f"duckdb:///{tmp_path}/lake.duckdb"
    beside("secretsmanager").create_secret(Name=f"{name}/odd", SecretString="hunter2")
    with pytest.raises(FixConfig) as told:
        registry.open_query(f"aws-sm:{name}/odd", "SELECT 1")
    assert "hunter2" not in str(told.value)
