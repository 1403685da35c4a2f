"""Laws of the server as a whole: its life, its fixture, its page, and what large bodies and long queues cost."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.figures import SAYS, Says
from tests.testing.aws.cloud import Cloud
from tests.testing.aws.load import drain, fill, queue_at

from halocline import SNSClient
from halocline.testing.aws import FakeAWS

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "testing-aws.md"
MIB = 1 << 20

# The project that the guide's example tests: it settles each order once, however often it comes.
MY_PROJECT = """
    import boto3


    def settle_orders(queue):
        sqs, settled = boto3.client("sqs"), []
        while found := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for one in found:
                if one["Body"] not in settled:
                    settled.append(one["Body"])
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
        return settled
    """


# A server in a process of its own, which ends with its input and tells CPU seconds and the most MiB that it needed.
SERVER = """
    import resource, sys
    from halocline.testing.aws import FakeAWS
    with FakeAWS() as aws:
        print(aws.url, flush=True)
        sys.stdin.read()
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, used.ru_maxrss // 1024)
    """


# One that may have few files open, of which each connection is one.
CROWDED = """
    import resource, sys
    from halocline.testing.aws import FakeAWS
    with FakeAWS() as aws:
        open_ones = 24
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_ones, open_ones))
        print(aws.url, flush=True)
        sys.stdin.read()
    """


def run(folder: Path, **files: str) -> subprocess.CompletedProcess[str]:
    """Put the files down and start pytest there, as its owner would."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(textwrap.dedent(text))
    unneeded = [word for name in ("cacheprovider", "hypothesispytest", "xdist") for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "-q", *unneeded]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_a_server_has_an_end() -> None:
    """Its port is closed and its files are gone; it can be started again, empty."""
    server = FakeAWS()
    for _ in range(2):
        with server:
            cloud = Cloud(server.url)
            assert cloud.s3.list_buckets()["Buckets"] == []
            cloud.s3.put_object(Bucket=cloud.bucket(), Key="k", Body=b"x" * 3 * MIB)
            folder = Path(server._folder.name)
            assert list(folder.iterdir())
        assert not folder.exists()
    server.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on open files to lower")
def test_a_server_without_room_for_a_connection_says_so_once(tmp_path: Path) -> None:
    """In one line and not in a hundred tracebacks; who waits is answered when others have left."""
    script = tmp_path / "server.py"
    script.write_text(textwrap.dedent(CROWDED), encoding="utf-8")
    said = tmp_path / "said"
    with (
        said.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        at = ("127.0.0.1", int(process.stdout.readline().rpartition(":")[2]))
        crowd = [socket.create_connection(at, timeout=60) for _ in range(40)]
        while not said.stat().st_size:
            time.sleep(0.01)
        for one in crowd[:-1]:
            one.close()
        crowd[-1].sendall(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert crowd[-1].recv(8) == b"HTTP/1.1"
        crowd[-1].close()
        process.stdin.close()
        assert process.wait(60) == 0
    (line,) = said.read_text(encoding="utf-8").splitlines()
    assert "No more connections are taken until some are closed: Too many open files." in line


@pytest.mark.parametrize("is_ended", [True, False])
def test_a_server_that_ends_without_room_says_no_more(caplog: pytest.LogCaptureFixture, *, is_ended: bool) -> None:
    """The loop looks for room again a second later, at a port that is closed by then; the same error before is told."""
    with FakeAWS() as server:
        loop = server._loop
        assert loop is not None
        say = loop.get_exception_handler()
        assert say is not None
        say(loop, {"message": "socket.accept() out of system resource", "exception": OSError(errno.EMFILE, "Too many")})
        if is_ended:
            server.stop()
        say(loop, {"message": "Exception in callback", "exception": ValueError("Invalid file descriptor: -1")})
    told = [record.name for record in caplog.records]
    assert told == ["halocline.testing.aws", *([] if is_ended else ["asyncio"])]


def test_a_port_that_is_taken_is_an_error() -> None:
    """And leaves nothing behind."""
    with FakeAWS() as first, pytest.raises(OSError, match="address already in use"):
        FakeAWS(port=int(first.url.rpartition(":")[2])).start()


@pytest.mark.parametrize("ends_first", [True, False])
def test_who_asks_no_more_is_given_no_message(fresh: tuple[FakeAWS, Cloud], *, ends_first: bool) -> None:
    """A poll whose client has closed its half of the line takes no message from then on; what it took before it gets."""
    aws, cloud = fresh
    queue = cloud.queue()
    host, _, port = aws.url.rpartition("/")[2].partition(":")
    with socket.create_connection((host, int(port))) as waiting, socket.create_connection((host, int(port))) as sending:
        ask(waiting, "ReceiveMessage", QueueUrl=queue, WaitTimeSeconds=20)
        ask(sending, "GetQueueAttributes", QueueUrl=queue)
        assert sending.recv(1 << 16).startswith(b"HTTP/1.1 200")
        is_held, go = threading.Event(), threading.Event()
        holding = threading.Thread(target=aws._ask, args=(lambda: is_held.set() or go.wait(10),))
        holding.start()
        assert is_held.wait(10)  # the server stands still, and finds both on its next look, in this order
        steps = [lambda: waiting.shutdown(socket.SHUT_WR), lambda: ask(sending, "SendMessage", QueueUrl=queue, MessageBody="x")]
        for step in steps if ends_first else reversed(steps):
            step()
        go.set()
        holding.join()
        assert sending.recv(1 << 16).startswith(b"HTTP/1.1 200")
        waiting.settimeout(10)
        assert (b'"Body": "x"' in waiting.recv(1 << 16), aws.counts(queue.rpartition("/")[2]).visible) == (
            (False, 1) if ends_first else (True, 0)
        )


def ask(line: socket.socket, operation: str, **params: Any) -> None:
    """Send a request to SQS by hand."""
    body = json.dumps(params).encode()
    head = f"POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: AmazonSQS.{operation}\r\nContent-Length: {len(body)}\r\n\r\n"
    line.sendall(head.encode() + body)


def test_a_file_goes_when_nothing_refers_to_it(fresh: tuple[FakeAWS, Cloud]) -> None:
    """A large body is in one file, however often it is copied; the last copy's end is the file's."""
    server, cloud = fresh
    folder, bucket = Path(server._folder.name), cloud.bucket()
    before = len(list(folder.iterdir()))
    cloud.s3.put_object(Bucket=bucket, Key="a", Body=b"x" * 3 * MIB)
    cloud.s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    assert len(list(folder.iterdir())) == before + 1
    cloud.s3.delete_object(Bucket=bucket, Key="a")
    assert cloud.s3.head_object(Bucket=bucket, Key="b")["ContentLength"] == 3 * MIB
    assert len(list(folder.iterdir())) == before + 1
    cloud.s3.delete_object(Bucket=bucket, Key="b")
    assert len(list(folder.iterdir())) == before


def test_a_reset_account_is_empty(fresh: tuple[FakeAWS, Cloud]) -> None:
    """Queues, buckets, faults, calls, and the time that was moved."""
    server, cloud = fresh
    cloud.queue()
    cloud.bucket()
    server.faults.add("throttle")
    server.clock.freeze()
    server.clock.advance(10**6)
    server.reset()
    assert (server.calls.count(), list(server.faults)) == (0, [])
    assert abs(server.clock.now() - time.time()) < 60
    assert (cloud.sqs.list_queues().get("QueueUrls", []), cloud.s3.list_buckets()["Buckets"]) == ([], [])


def test_looking_into_a_queue_changes_nothing(fresh: tuple[FakeAWS, Cloud]) -> None:
    """Messages in their order, with their counts; a change to a copy is none to the message."""
    server, cloud = fresh
    url = cloud.queue()
    name = url.rpartition("/")[2]
    cloud.send(url, "a", "b")
    cloud.receive(url, 1)
    looked = server.messages(name)
    looked[1].body = "changed"
    assert [(one.body, one.receives) for one in server.messages(name)] == [("a", 1), ("b", 0)]
    assert cloud.bodies(url) == ["b"]


def test_the_fixture_gives_an_empty_account(tmp_path: Path) -> None:
    """The example of the page passes as it is printed; what one test makes, the next does not find."""
    example = re.search(r"```python\n(# test_\w+\.py\n.*?)```", GUIDE.read_text(), re.DOTALL)
    assert example is not None
    tests = """
        import boto3
        import pytest

        @pytest.mark.parametrize("turn", range(2))
        def test_alone(aws, turn):
            s3 = boto3.client("s3")
            assert s3.list_buckets()["Buckets"] == []
            s3.create_bucket(Bucket="mine")
    """
    done = run(tmp_path, test_guide__py=example[1], my_project__py=MY_PROJECT, test_it__py=tests)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


ASTRAY = {"AWS_PROFILE": "mine", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
ASTRAY |= {f"INIESTA_{name}_ENDPOINT_URL": "http://127.0.0.1:9" for name in ("SQS", "SNS")}
ASTRAY |= {"INIESTA_AWS_DEFAULT_REGION": "eu-north-1", "INIESTA_CACHES": "redis://127.0.0.1:9"}


@pytest.fixture
def astray(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ASTRAY.items():
        monkeypatch.setenv(name, value)


def test_the_fixture_unsets_what_leads_elsewhere(astray: None, aws: FakeAWS) -> None:
    """A client of a service or of ours that goes by such a variable would leave the server, or remember beyond the test."""
    assert ASTRAY.keys() & os.environ.keys() == set()
    topic = boto3.client("sns").create_topic(Name="events")["TopicArn"]
    assert SNSClient(topic).create_message(event="Order.placed", message={"id": 1}).publish_now()
    assert aws.calls.count("sns.Publish*") == 1


def test_the_guides_script_and_rules_work(capsys: pytest.CaptureFixture[str]) -> None:
    """The script runs as it is printed, and the rules of the page are rules."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (script,) = (block for block in blocks if "with FakeAWS()" in block)
    (rules,) = (block for block in blocks if "add_text" in block)
    before = dict(os.environ)
    try:
        exec(script, {})
    finally:
        os.environ.clear()
        os.environ.update(before)
        boto3.DEFAULT_SESSION = None
    assert capsys.readouterr().out == "1\n"
    server = FakeAWS()
    exec(rules, {"aws": server})
    assert len(list(server.faults)) == 3


def test_a_long_queue_is_as_fast_as_a_short_one(fake: FakeAWS) -> None:
    """A server that looks through the whole queue for each message would need fifty times as long."""

    def filled(messages: int) -> str:
        url = queue_at(fake.url, f"depth-{messages}")
        fill(fake.url, url, messages=messages)
        return url

    def seconds(url: str) -> float:
        started = time.process_time()
        assert drain(fake.url, url, most=100) == 100
        return time.process_time() - started

    long, short = filled(5_000), [filled(number) for number in range(101, 104)]
    assert min(seconds(long) for _ in range(3)) < 10 * min(map(seconds, short))


@pytest.mark.long
def test_messages_per_second(record_property: Says) -> None:
    """Told, not judged: what a client that costs little gets through, in batches of ten, the server in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(SERVER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        queue, messages = queue_at(url, "speed"), 50_000
        started = time.perf_counter()
        fill(url, queue, messages=messages)
        filled = time.perf_counter()
        assert drain(url, queue, most=messages) == messages
        drained = time.perf_counter()
        cpu = float(process.communicate("")[0].split()[0])
    told = f"sent {messages / (filled - started):,.0f}/s, received and deleted {messages / (drained - filled):,.0f}/s"
    told += f", {cpu / messages * 1e6:.0f} us of the server's CPU for all three"
    record_property(SAYS, f"FakeAWS, raw client, batches of ten: {told}")


@pytest.mark.long
def test_two_gigabytes_need_little_memory(tmp_path: Path) -> None:
    """Put in one piece, copied, read: the server's memory stays flat."""
    size = 2_000 * MIB
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    command = [sys.executable, "-c", textwrap.dedent(SERVER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        cloud = Cloud(process.stdout.readline().strip())
        bucket = cloud.bucket()
        with (tmp_path / "large").open("rb") as file:
            cloud.s3.put_object(Bucket=bucket, Key="one", Body=file)
        cloud.s3.upload_file(str(tmp_path / "large"), bucket, "parts")
        cloud.s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "one"})
        body = cloud.s3.get_object(Bucket=bucket, Key="copy")["Body"]
        assert sum(len(chunk) for chunk in body.iter_chunks(MIB)) == size
        told, _ = process.communicate("")
    assert int(told.split()[1]) < 150  # MiB
