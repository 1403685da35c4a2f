"""Follow one record through each job, and say which modules of ours it crosses: the tables of docs/explanation/architecture.md.

usage: trace_record.py [--check]

A record with a word of its own goes through the job, in this process, into an emulator and an AWS of ours. A module counts when
the word is in what one of its functions is given or gives back: a text, bytes, a dict, a list, an Arrow batch, a value of ours
with one of these, or the path of a file that holds it. With --check nothing is printed but what the page has otherwise.
"""

from __future__ import annotations

import dataclasses
import gzip
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
WORD = "Zebramarker"
LARGEST = 2_000_000  # characters or bytes that are looked through
DEEPEST = 4
NOT_OURS = ("halocline.emulator", "halocline.testing")  # the other side
OTHERS_FILES = {".sqlite", ".duckdb"}  # a path to a whole database is no record on its way
# Reads what `spooled` wrote, in a thread of DuckDB's own, where a look is a matter of luck.
UNSEEN = {"spooled": "connectors.duckdb.staging"}
SCHEMA = "object: Account\nfields: {Ext__c: {type: string(40) external unique}}\n"


@dataclass(frozen=True, slots=True)
class World:
    """Both sides, a login, and a folder for what a job needs."""

    org: Any
    login: Any
    folder: Path


class Trace:
    """The modules that the word was seen in, in their order."""

    def __init__(self) -> None:
        self.modules: list[str] = []
        self._looking = threading.local()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at every call of this process until the block ends."""
        threading.setprofile(self._see)
        sys.setprofile(self._see)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _see(self, frame: FrameType, event: str, answer: object) -> None:
        module = frame.f_globals.get("__name__", "")
        if event not in {"call", "return"} or not module.startswith("halocline.") or module.startswith(NOT_OURS):
            return
        if module in self.modules or getattr(self._looking, "on", False):
            return
        self._looking.on = True
        with suppress(Exception):  # what cannot be looked at is not counted
            if holds(answer) if event == "return" else any(holds(value) for value in _given(frame)):
                self.modules.append(module)
        self._looking.on = False


def _given(frame: FrameType) -> Iterator[object]:
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return (frame.f_locals.get(name) for name in names if name != "self")


def holds(value: object, depth: int = 0) -> bool:
    """Whether the word is in a value."""
    if depth > DEEPEST or value is None:
        return False
    if isinstance(value, str):
        return len(value) < LARGEST and WORD in value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return len(value) < LARGEST and WORD.encode() in _unpacked(bytes(value))
    if isinstance(value, Path):
        there = value.suffix not in OTHERS_FILES and value.is_file() and value.stat().st_size < LARGEST
        return there and holds(value.read_bytes())
    return any(holds(part, depth + 1) for part in _parts(value))


def _unpacked(data: bytes) -> bytes:
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def _parts(value: object) -> Iterator[object]:
    kind = type(value)
    if kind is dict:
        yield from list(value.values())[:200]  # type: ignore[attr-defined]
    elif kind in {list, tuple}:
        yield from value[:60]  # type: ignore[index]
    elif kind.__module__.startswith("pyarrow") and hasattr(value, "to_pylist"):
        yield str(value.to_pylist())
    elif kind.__module__.startswith("halocline.") and dataclasses.is_dataclass(value):
        yield from (getattr(value, field.name, None) for field in dataclasses.fields(value))


# ---- the jobs


def sync(world: World, *, bulk: int, stage: int) -> None:
    """An object into a table of DuckDB; from so many rows by Bulk, and staged."""
    from halocline import IntelligentSync

    with IntelligentSync(f"duckdb:///{world.folder / 'lake.duckdb'}", world.login) as system:
        system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = bulk, stage
        told = system.sync_sobject("Account", "raw", f"accounts_{bulk}_{stage}")
        assert told["success"], told["error"]


def push(world: World, *, api: str, file: bool) -> None:
    """A dict, or a row of a CSV file, into an object."""
    from halocline import FieldMapper, SyncPipeline

    (world.folder / "rows.csv").write_text(f"k,n\n{api}-f,{WORD}\n")
    rows: object = str(world.folder / "rows.csv") if file else [{"k": api, "n": WORD}]
    mapper = FieldMapper({"k": "Ext__c", "n": "Name"})
    told = SyncPipeline(world.login, "Account", mapper, "upsert", "Ext__c", api=api).sync(rows)
    assert told.success_count == 1


def query(world: World) -> None:
    """The answer of a query into an object."""
    import duckdb

    from halocline import retl

    with duckdb.connect() as lake:
        lake.execute(f"""CREATE TABLE accounts AS SELECT 'q' AS "Ext__c", '{WORD}' AS "Name" """)
        told = retl.upsert(lake, world.login, "Account", "SELECT * FROM accounts", "Ext__c", log_schema=None)
        assert told is not None
        assert told["records_failed"] == 0


def landed(world: World) -> None:
    """A file in a bucket, one of its rows refused: into an object, a report, the archive."""
    import boto3

    from halocline import registry
    from halocline.config import Settings
    from halocline.filejob import FileJob, run_file
    from halocline.landed import Landed
    from halocline.ledger import open_ledger

    bucket = boto3.client("s3")
    bucket.create_bucket(Bucket="landing")
    put = bucket.put_object(Bucket="landing", Key="in/rows.csv", Body=f"k,n\nf,{WORD}\ng,\n".encode())
    job = FileJob(
        name="x",
        bucket="landing",
        prefix="in/",
        sobject="Account",
        mode="upsert",
        key="Ext__c",
        mapping={"k": "Ext__c", "n": "Name"},
    )
    settings = Settings(world.folder / "file")
    with open_ledger(settings.ledger) as ledger:
        file = Landed("landing", "in/rows.csv", etag=put["ETag"].strip('"'))
        told = run_file(job, file, client=world.login, buckets=registry.open_buckets(), ledger=ledger, settings=settings)
    assert told.written == 1


def message(world: World) -> None:
    """A message to its handler, once."""
    import boto3

    from halocline.consume.handling.handlers import Handlers
    from halocline.consume.stores import open_store
    from halocline.consume.work.worker import Worker
    from halocline.registry import open_queue

    sqs = boto3.client("sqs")
    event = {"iniesta_pass": {"DataType": "String", "StringValue": "Thing.made"}}
    url = sqs.create_queue(QueueName="things")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=f'{{"name": "{WORD}"}}', MessageAttributes=event)
    handlers, handled = Handlers(), threading.Event()
    handlers.add_handler(lambda message: handled.set(), "Thing.made")  # noqa: ARG005 - what a handler is called with
    worker = Worker(open_queue("things"), handlers, store=open_store(f"sqlite:///{world.folder / 'claims.sqlite'}"))
    worker.start()
    assert handled.wait(30)
    worker.stop()
    worker.join()


def tables(world: World, *, built: bool) -> None:
    """An item of DynamoDB into a table, as it is or by a builder."""
    import boto3

    from halocline import TableCopy, copy

    name = "built" if built else "plain"
    key = {"AttributeName": "id", "KeyType": "HASH"}
    kind = {"AttributeName": "id", "AttributeType": "S"}
    database = boto3.client("dynamodb")
    database.create_table(TableName=name, KeySchema=[key], AttributeDefinitions=[kind], BillingMode="PAY_PER_REQUEST")
    database.put_item(TableName=name, Item={"id": {"S": "1"}, "name": {"S": WORD}})
    plain = TableCopy(name, name)
    made = TableCopy(name, name, build=dict, schema={"id": "text not null", "name": "text"})
    copy("dynamodb://?region=us-east-1", f"duckdb:///{world.folder / 'lake.duckdb'}", made if built else plain)


JOBS: Mapping[str, Callable[[World], None]] = {
    "object to table, by REST": lambda world: sync(world, bulk=1_000, stage=50_000),
    "object to table, by Bulk": lambda world: sync(world, bulk=1, stage=50_000),
    "object to table, by stage": lambda world: sync(world, bulk=1, stage=1),
    "dict to object, by collections": lambda world: push(world, api="collections", file=False),
    "CSV file to object, by Bulk": lambda world: push(world, api="bulk", file=True),
    "query to object (reverse ETL), by Bulk": query,
    "landed file to object, report and archive": landed,
    "message to handler": message,
    "DynamoDB to table": lambda world: tables(world, built=False),
    "DynamoDB to table, by a builder": lambda world: tables(world, built=True),
}


def main() -> int:
    """Print the table, or with --check what the page has otherwise; 1 then."""
    with tempfile.TemporaryDirectory() as folder:
        found = traced(Path(folder))
    if "--check" not in sys.argv:
        print("| job | modules | |\n|---|---:|---|")
        print("\n".join(f"| {job} | {len(found[job])} | {', '.join(f'`{one}`' for one in found[job])} |" for job in found))
        return 0
    page = on_page()
    faults = [f"{job}: {sorted(set(found[job]) ^ page.get(job, set()))}" for job in found if set(found[job]) != page.get(job)]
    print("\n".join(faults) or "the page tells what was traced")
    return 1 if faults else 0


def traced(folder: Path) -> dict[str, list[str]]:
    """The modules of each job, without `halocline.` in front."""
    os.environ.update({"HALOCLINE_HOME": str(folder / "home"), "HALOCLINE_SPOOL": str(folder)})
    from halocline import ClientCredentialsAuthenticator
    from halocline.emulator.server import Emulator, EmulatorConfig
    from halocline.testing.aws import FakeAWS

    (folder / "schema.yaml").write_text(SCHEMA)
    found: dict[str, list[str]] = {}
    with FakeAWS() as aws, Emulator(EmulatorConfig(schemas=(folder / "schema.yaml",))) as org:
        org.checkpoint()
        os.environ.update(aws.environment())
        login = ClientCredentialsAuthenticator(org.config.consumer_key, org.config.consumer_secret, login_url=org.url)
        for job, work in JOBS.items():
            org.reset()
            org.create("Account", {"Name": WORD})
            trace = Trace()
            with trace.watching():
                work(World(org, login, folder))
            seen = [one.removeprefix("halocline.") for one in trace.modules]
            found[job] = seen + [behind for before, behind in UNSEEN.items() if before in seen and behind not in seen]
    return found


def on_page() -> dict[str, set[str]]:
    """What the page says of each job."""
    rows = re.findall(r"^\| ([^|]+) \| \d+ \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    return {job: set(re.findall(r"`([^`]+)`", modules)) for job, modules in rows}


if __name__ == "__main__":
    sys.exit(main())
