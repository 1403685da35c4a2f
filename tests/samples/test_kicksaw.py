"""Laws of the kicksaw-integration-utils document: its code runs here with no edit but the listed ones."""

from __future__ import annotations

import csv
import importlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

from halocline import SfClient
from halocline.compat.kicksaw.sfdc_helpers import parse_bulk_upsert_results
from halocline.emulator.org import EmulatorConfig
from halocline.emulator.server import Emulator
from halocline.errors import NotAllHandled
from tests.connectors.files.server import bucket, s3
from tests.consume.s3_samples import event, record
from tests.samples.documents import FOLDER, Document, fenced, unmade
from tests.test_docs import DOCS, python_blocks

KICKSAW = Document("kicksaw.md", "kicksaw")
RUN = (
    "send-messages",
    "receive-and-delete-messages",
    "inheriting-the-orchestrator",
    "using-the-orchestrator",
    "low-level-example",
)

# ---- the lists are whole


def test_the_quotes_are_the_document(recorded_data: Path) -> None:
    """Every fenced block of the document is quoted here, letter by letter and in order."""
    document = recorded_data.parent / "spec" / "0-kicksaw-integration-utils.md"
    assert document.is_file(), f"HALOCLINE_TEST_DATA has no document beside it: {document}"
    assert list(KICKSAW.blocks().values()) == fenced(document.read_text(encoding="utf-8"))


def test_every_block_is_run() -> None:
    """None is left out, and no list names a block that is not there, or has no reason."""
    assert list(RUN) == list(KICKSAW.blocks())
    rows = [row for section in ("text replaced", "names supplied", "the world around") for row in KICKSAW.edits(section)]
    assert {row[0] for row in rows} <= set(RUN)
    assert all(row[-1] for row in rows)


@pytest.mark.parametrize("name", RUN)
def test_just_the_names_that_a_sample_lacks_are_supplied(name: str) -> None:
    """The list of supplied names is exactly what the sample uses and does not make: none is slipped in beside."""
    assert unmade(KICKSAW.edited(name)) == {row[1] for row in KICKSAW.edits("names supplied") if row[0] == name}


# ---- the samples run


@dataclass(slots=True)
class World:
    """A bucket, an org, and what the samples leave behind."""

    org: Emulator
    bucket: str

    @property
    def config(self) -> SimpleNamespace:
        return SimpleNamespace(AWS_REGION="us-east-1", S3_BUCKET=self.bucket)

    def run(self, name: str, **names: object) -> dict[str, Any]:
        return KICKSAW.run(name, {"config": self.config, "parse_bulk_upsert_results": parse_bulk_upsert_results, **names})

    def put(self, key: str, text: str) -> None:
        boto3.client("s3").put_object(Bucket=self.bucket, Key=key, Body=text.encode())

    def objects(self) -> list[str]:
        return [one["Key"] for one in boto3.client("s3").list_objects_v2(Bucket=self.bucket).get("Contents", ())]

    def report(self) -> list[dict[str, str]]:
        (key,) = [key for key in self.objects() if key.startswith("errors/")]
        body = boto3.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return list(csv.DictReader(io.StringIO(body.decode())))


@pytest.fixture(scope="module")
def org() -> Iterator[Emulator]:
    with Emulator(EmulatorConfig(schemas=(FOLDER / "kicksaw.yaml",))) as emulator:
        emulator.checkpoint()
        yield emulator


@pytest.fixture(scope="module", autouse=True)
def aws() -> Iterator[str]:
    with s3() as endpoint:
        yield endpoint


@pytest.fixture
def world(org: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    org.reset()
    config = org.config
    login = {"CLIENT_ID": config.consumer_key, "CLIENT_SECRET": config.consumer_secret, "LOGIN_URL": org.url}
    for name, value in login.items():
        monkeypatch.setenv(f"SF_{name}", value)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    return World(org, bucket().name)


def test_send_and_receive_messages(world: World) -> None:
    """What the first sample sends the second receives, as models, and deletes."""
    url = boto3.client("sqs").create_queue(QueueName="my-queue-name")["QueueUrl"]
    sent = world.run("send-messages")
    left = world.run("receive-and-delete-messages", queue=sent["queue"])
    assert sorted(one.first_name for one in left["messages"]) == ["Jane", "John"]
    assert all(isinstance(one, sent["Patient"]) for one in left["messages"])
    assert len(left["handles"]) == 2
    attributes = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (attributes["ApproximateNumberOfMessages"], attributes["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


@pytest.mark.system
def test_using_the_orchestrator(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account is there, the file is in the archive, the report in the error folder, and the record tells of both."""
    module = ModuleType("orchestrator")
    vars(module).update(world.run("inheriting-the-orchestrator"))
    monkeypatch.setitem(sys.modules, "orchestrator", module)
    world.put("some/s3/key/file.csv", "Name,My_External_ID__c\nA name,123\n")
    left = world.run("using-the-orchestrator")
    assert [one["success"] for one in left["results"]] == [True]
    assert world.org.query("SELECT Name, My_External_ID__c FROM Account") == [{"Name": "A name", "My_External_ID__c": "123"}]
    (archived,) = [key for key in world.objects() if not key.startswith("errors/")]
    assert archived.startswith("archive/some/s3/key/file-")
    assert world.report() == []
    (record_,) = world.org.query("SELECT Number_of_Errors__c, Data_File__c, Error_Report__c FROM Integration_Execution__c")
    orchestrator = left["orchestrator"]
    assert record_ == {
        "Number_of_Errors__c": 0,
        "Data_File__c": "some/s3/key/file.csv",
        "Error_Report__c": f"https://{world.bucket}.us-east-1.amazonaws.com/{orchestrator.error_file_s3_key}",
    }


@pytest.mark.system
def test_the_low_level_example(world: World, tmp_path: Path) -> None:
    """The handler downloads, the errors are reported in the error folder; the same event again does nothing."""
    world.put("in/accounts one.csv", "Name,My_External_ID__c\na,1\n,2\nc,3\n")
    pushed: list[Path] = []

    def serialize_and_push_to_sfdc(path: Path) -> list[dict[str, Any]]:
        pushed.append(path)
        with SfClient() as salesforce, path.open(newline="") as file:
            rows = [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]
            return salesforce.bulk.Account.upsert(rows, "My_External_ID__c")

    left = world.run("low-level-example", serialize_and_push_to_sfdc=serialize_and_push_to_sfdc)
    told = event(record("in/accounts one.csv", bucket=world.bucket, etag=""))
    left["handler"](told, None)
    left["handler"](told, None)
    assert len(pushed) == 1
    assert not pushed[0].exists()
    assert [row["Name"] for row in world.org.query("SELECT Name FROM Account ORDER BY Name")] == ["a", "c"]
    (line,) = world.report()
    assert (line["code"], line["message"]) == ("REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]")
    with pytest.raises(NotAllHandled, match="NotFound"):
        left["handler"](event(record("in/nothing.csv", bucket=world.bucket, etag="")), None)


@pytest.mark.system
def test_the_first_sample_of_the_page_runs_as_it_stands(world: World) -> None:
    """Its client is made and held by nobody; `rows_of` is the reader's own."""

    def rows_of(path: Path) -> list[dict[str, str]]:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    page = DOCS / "coming-from-kicksaw.md"
    names: dict[str, Any] = {"__name__": "page", "rows_of": rows_of}
    exec(compile(python_blocks(page.read_text(encoding="utf-8"))[0].code, str(page), "exec"), names)
    world.put("in/accounts.csv", "Name,My_External_ID__c\na,1\nb,2\n")
    names["handler"](event(record("in/accounts.csv", bucket=world.bucket, etag="")), None)
    assert [row["Name"] for row in world.org.query("SELECT Name FROM Account ORDER BY Name")] == ["a", "b"]


def test_the_names_are_where_the_documents_import_them_from() -> None:
    """Every module of the older library is there, with what it offers."""
    names = {
        "": "Orchestrator SalesforceClient",
        ".classes": "Orchestrator SfClient",
        ".orchestrator": "Orchestrator",
        ".salesforce_client": "SfClient SFBulkHandler SFBulkType",
        ".sfdc_helpers": "parse_bulk_upsert_results extract_errors_from_results",
        ".csv_helpers": "create_error_report",
        ".s3_helpers": "upload_file move_file delete_file download_file timestamp_s3_key parse_s3_event_record "
        "respond_to_s3_event parse_kinesis_record get_filename_from_s3_key get_prefix_from_s3_key "
        "build_archive_s3_key build_date_divided_s3_prefix",
        ".aws": "SQSQueue",
        ".aws.sqs": "SQSQueue",
        ".aws.sqs.queue": "SQSQueue",
        ".sqs_helpers": "get_queue_url pull_n_number_of_messages acknowledge_messages",
        ".step_function_helpers": "cache_data_in_s3 pull_cached_data_from_s3",
        ".field_formatters": "convert_to_iso_date",
        ".utils": "get_iso get_timestamp_folder batch_collection dedupe unix_timestamp_in_future extract_domain",
        ".integrations.salesforce": "KicksawSalesforce LogLevel",
    }
    for module, offered in names.items():
        found = importlib.import_module(f"halocline.compat.kicksaw{module}")
        assert set(offered.split()) <= set(found.__all__)
