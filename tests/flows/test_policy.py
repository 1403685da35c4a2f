"""Laws of `halocline iam`: what a flow's run asks of AWS is allowed, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import botocore.client
import pytest
from tests.connectors.files.server import s3
from tests.system.flow_desk import QUEUE, FlowDesk, failures, flow_desk, sqs_event
from tests.system.push_desk import desk_at, push_org

from halocline import aws_lambda
from halocline.consume.aws.aws_lambda import _configuration
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig
from halocline.flows.configuration import Configuration
from halocline.flows.connected import Connected
from halocline.flows.policy import policy
from halocline.flows.reading import understood

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

WRITES = ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")
COPIES = ("CopyObject", "UploadPartCopy")


@dataclass(frozen=True, slots=True)
class Ask:
    """An action on a resource; of a listing also the prefix, of what names none None."""

    action: str
    resource: str
    prefix: str | None = None


@dataclass(slots=True)
class Recorder:
    """What was asked of AWS through boto3."""

    asks: set[Ask] = field(default_factory=set)

    def hear(self, service: str, operation: str, given: Mapping[str, Any]) -> None:
        """Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html."""
        if service == "secretsmanager":
            assert operation == "GetSecretValue"
            self.asks.add(
                Ask("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:us-east-1:1:secret:{given['SecretId']}-AbCdEf")
            )
            return
        if operation == "PutBucketVersioning":  # the test's own
            return
        assert service == "s3", (service, operation)
        bucket = f"arn:aws:s3:::{given['Bucket']}"
        place, version = f"{bucket}/{given.get('Key')}", "Version" if given.get("VersionId") else ""
        if operation in {"HeadBucket", "ListObjectsV2"}:
            self.asks.add(Ask("s3:ListBucket", bucket, given.get("Prefix")))
        elif operation in {"GetObject", "HeadObject"}:
            self.asks |= {Ask(f"s3:GetObject{version}", place), Ask("s3:ListBucket", bucket)}
        elif operation in {"DeleteObject", "AbortMultipartUpload"}:
            self.asks.add(Ask(f"s3:{operation}{version}", place))
        elif operation in WRITES:
            self.asks.add(Ask("s3:PutObject", place))
        elif operation in COPIES:
            source = given["CopySource"]
            version = "Version" if source.get("VersionId") else ""
            self.asks |= {Ask("s3:PutObject", place), Ask(f"s3:GetObject{version}", f"{bucket}/{source['Key']}")}
            self.asks |= {Ask(f"s3:GetObject{version}Tagging", f"{bucket}/{source['Key']}"), Ask("s3:PutObjectTagging", place)}
        else:
            raise AssertionError(f"{operation} is new: say here which right it needs")


def allows(found: Mapping[str, Any], ask: Ask) -> bool:
    """Whether a policy allows it."""
    for one in found["Statement"]:
        patterns = one.get("Condition", {}).get("StringLikeIfExists", {}).get("s3:prefix", ["*"])
        right_prefix = ask.prefix is None or any(fnmatchcase(ask.prefix, pattern) for pattern in patterns)
        right_place = any(fnmatchcase(ask.resource, pattern) for pattern in one["Resource"])
        if ask.action in one["Action"] and right_place and right_prefix:
            return True
    return False


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with s3(), push_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlowDesk:
    made = desk_at(emulator, tmp_path, monkeypatch)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    _configuration.cache_clear()
    return flow_desk(made)


@pytest.fixture
def recorder(desk: FlowDesk, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    heard, call = Recorder(), botocore.client.BaseClient._make_api_call

    def listening(self: Any, operation: str, given: Mapping[str, Any]) -> Any:
        heard.hear(self.meta.service_model.service_name, operation, given)
        return call(self, operation, given)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", listening)
    return heard


def printed(desk: FlowDesk, *words: str) -> dict[str, Any]:
    told = desk.desk.type("iam", *words)
    assert told.exit_code == 0, told
    found: dict[str, Any] = json.loads(told.out)
    return found


@pytest.mark.parametrize("versions", [False, True])
def test_what_a_run_asks_of_the_bucket_is_allowed(desk: FlowDesk, recorder: Recorder, *, versions: bool) -> None:
    """By event, redelivered, from the command line, with and without rows to report; of buckets with versions too."""
    events = []
    client = desk.bucket.client
    if versions:
        client.put_bucket_versioning(Bucket=desk.bucket.name, VersioningConfiguration={"Status": "Enabled"})
    for name, row in (("a", "a,A"), ("b", "b,")):
        record = desk.land(f"in/{name}.csv", f"key,name\n{row}\n")
        if versions:
            record["s3"]["object"]["versionId"] = client.head_object(Bucket=desk.bucket.name, Key=f"in/{name}.csv")["VersionId"]
        events.append({"Records": [record]})
    desk.land("in/c.csv", "key,name\nc,C\n")
    recorder.asks.clear()
    assert failures(aws_lambda.handler(sqs_event(*events), desk.context)) == []
    assert failures(aws_lambda.handler(sqs_event(*events), desk.context)) == []
    assert desk.desk.type("run", "companies").exit_code == 0
    desk.desk.type("run", "companies", "--file", f"{desk.bucket}/in/none.csv")
    found = printed(desk, "companies")
    assert [ask for ask in recorder.asks if not allows(found, ask)] == []
    asked = {ask.action for ask in recorder.asks}
    assert {"s3:GetObject", "s3:PutObject", "s3:ListBucket", f"s3:DeleteObject{'Version' if versions else ''}"} <= asked


def test_nothing_else_is_allowed(desk: FlowDesk) -> None:
    """Not to write where files land, not to delete what is kept, not to read beside it, and no action by a star."""
    found = printed(desk, "companies")
    bucket = f"arn:aws:s3:::{desk.bucket.name}"
    for ask in (
        Ask("s3:PutObject", f"{bucket}/in/a.csv"),
        Ask("s3:DeleteObject", f"{bucket}/archive/in/a.csv"),
        Ask("s3:GetObject", f"{bucket}/private/x"),
        Ask("s3:GetObject", "arn:aws:s3:::another/in/a.csv"),
        Ask("s3:ListBucket", bucket, "private/"),
        Ask("s3:DeleteBucket", bucket),
        Ask("sqs:SendMessage", QUEUE),
    ):
        assert not allows(found, ask), ask
    actions = [action for one in found["Statement"] for action in one["Action"]]
    assert [action for action in actions if "*" in action] == []
    assert allows(found, Ask("sqs:ReceiveMessage", QUEUE))


FLOWS = """
connections:
  org: {kind: salesforce, client_id: x, client_secret: aws-sm:prod/sf#secret, login_url: aws-sm:prod/sf#url}
  wh: {kind: database, uri: postgresql://me@h/db, password: "aws-sm:arn:aws:secretsmanager:eu-west-1:1:secret:pg-AbCdEf#pw"}
  landing: {kind: s3, bucket: b, role: arn:aws:iam::1:role/files}
flows:
  sync: {kind: sync, from: org, to: wh, objects: [Account]}
  lake: {kind: sync, from: org, to: s3://tables/raw, objects: [Account]}
  push: {kind: push, from: wh, query: SELECT 1, to: org, object: A, key: E__c}
  file: {kind: file, from: landing, prefix: in/, to: org, object: A, key: E__c}
"""


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return understood(FLOWS)


def statements(name: str, configuration: Configuration, **more: Any) -> dict[str, tuple[list[str], list[str]]]:
    found = policy(name, configuration, around=Connected(configuration.connections), **more)
    return {one["Sid"]: (one["Action"], one["Resource"]) for one in found["Statement"]}


def test_secrets_are_those_of_the_flows_own_connections(configuration: Configuration) -> None:
    """Each once, by name or ARN; a flow without any has no statement."""
    secret = "arn:aws:secretsmanager:*:*:secret:prod/sf-??????"
    read = ["secretsmanager:GetSecretValue"]
    warehouse = "arn:aws:secretsmanager:eu-west-1:1:secret:pg-AbCdEf"
    assert statements("sync", configuration) == {"ReadSecrets": (read, [warehouse, secret])}
    assert statements("push", configuration) == {"ReadSecrets": (read, [warehouse, secret])}
    assert statements("lake", configuration)["ReadSecrets"] == (read, [secret])


def test_tables_in_a_bucket_are_written_below_their_prefix(configuration: Configuration) -> None:
    """And found there."""
    found = statements("lake", configuration)
    assert found["Tables"][1] == ["arn:aws:s3:::tables/raw/*"]
    assert found["FindFiles"] == (["s3:ListBucket"], ["arn:aws:s3:::tables"])


def test_a_bucket_by_reference_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its policy is that of the bucket; without the reference there is none, rather than an empty one."""
    text = FLOWS.replace("to: s3://tables/raw", "to: lake").replace("connections:", "connections:\n  lake: env:LAKE_URI", 1)
    monkeypatch.setenv("LAKE_URI", "s3://tables/raw")
    assert statements("lake", understood(text))["Tables"][1] == ["arn:aws:s3:::tables/raw/*"]
    monkeypatch.setenv("LAKE_URI", "postgresql://h/d")
    assert set(statements("lake", understood(text))) == {"ReadSecrets"}
    monkeypatch.delenv("LAKE_URI")
    with pytest.raises(FixConfig, match="LAKE_URI is not set"):
        statements("lake", understood(text))


def test_an_assumed_role_has_a_policy_of_its_own(configuration: Configuration) -> None:
    """The function may assume it; what is allowed in the bucket belongs to the role."""
    own, roles = statements("file", configuration), statements("file", configuration, assumed=True)
    assert own["AssumeRole"] == (["sts:AssumeRole"], ["arn:aws:iam::1:role/files"])
    assert (set(own), set(roles)) == ({"AssumeRole", "ReadSecrets"}, {"TakeFiles", "ArchiveAndReport", "FindFiles"})


ROLE = "arn:aws:iam::1:role/tables"
OF_TABLES = """
connections:
  rolled: {{kind: database, uri: "dynamodb://?region=eu-west-1&role={role}"}}
flows:
  t: {{kind: tables, from: "{source}", to: s3://lake/raw, tables: [{tables}]}}
"""


def of_tables(tables: str, source: str = "dynamodb://orders?region=eu-west-1") -> Configuration:
    return understood(OF_TABLES.format(source=source, tables=tables, role=ROLE))


@pytest.mark.parametrize("source", ["dynamodb://orders?region=eu-west-1", "env:SRC", "dynamodb://orders?region=eu-west-1&role=r"])
def test_a_table_is_read_by_what_its_options_say(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its index and stream have resources of their own, and an export is read from its bucket, without a scan."""
    monkeypatch.setenv("SRC", "dynamodb://orders?region=eu-west-1")
    arn = "arn:aws:dynamodb:eu-west-1:*:table/"
    asked = "{from: orders}, {from: b, options: {index: byx}}, {from: c, options: {streams: true}}"
    found = statements("t", of_tables(asked, source), assumed="role=" in source)
    assert found["DescribeTables"] == (["dynamodb:DescribeTable"], [f"{arn}b", f"{arn}c", f"{arn}orders"])
    assert found["ReadTables"] == (["dynamodb:Scan"], [f"{arn}b/index/byx", f"{arn}c", f"{arn}orders"])
    assert found["ReadStreams"][1] == [f"{arn}c/stream/*"]
    assert "ReadExport" not in found
    found = statements(
        "t", of_tables('{from: orders, options: {from_export: "s3://exports/of/orders"}}', source), assumed="role=" in source
    )
    assert found["DescribeTables"][1] == [f"{arn}orders"]
    assert (found["ReadExport"], found["FindExport"][1]) == (
        (["s3:GetObject"], ["arn:aws:s3:::exports/of/orders*"]),
        ["arn:aws:s3:::exports"],
    )
    assert not {"ReadTables", "ReadStreams"} & set(found)


def test_a_role_of_the_tables_has_their_rights_and_no_others() -> None:
    """Who runs the flow may assume it, and write where the flow itself does."""
    own, role = (statements("t", of_tables("{from: a}", "rolled"), assumed=assumed) for assumed in (False, True))
    assert (set(own), set(role)) == ({"Tables", "FindFiles", "AssumeRole"}, {"DescribeTables", "ReadTables"})
    assert own["AssumeRole"][1] == [ROLE]
