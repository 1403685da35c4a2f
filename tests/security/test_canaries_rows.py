"""T25: what rows and messages hold is told by no log, metric, span or error, and masked values are kept nowhere."""

from __future__ import annotations

import gc
import io
import json
import logging
import sqlite3
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, TypeAdapter
from tests.examples import in_turn
from tests.security.canaries import Watch, canary
from tests.system.desk import Desk, desk_at, frozen_org

from halocline.consume.watching.health import Health, HealthServer
from halocline.consume.watching.logs import JsonLines, Logs
from halocline.consume.watching.observer import Note, Snapshot, What
from halocline.consume.watching.telemetry import Telemetry
from halocline.queues import Delivery

WORD = canary("in a message")
BODIES = {
    "JSON": json.dumps({"customer": {"mail": f"{WORD}@example.com", "lines": [WORD, {"name": WORD}]}, "note": f"a {WORD} b"}),
    "text": WORD,
    "form": f"name={WORD}&x=1",
    "XML": f"<a name='{WORD}'>{WORD}</a>",
    "JSON in JSON": json.dumps({"Message": json.dumps({"inner": WORD}), "Type": "Notification"}),
    "half of JSON": '{"a": "' + WORD,
}


class _Order(BaseModel):
    number: int


def _raised(error: BaseException, cause: BaseException | None = None) -> None:
    raise error from cause


def _noted() -> None:
    error = ValueError("bad")
    error.add_note(WORD)
    raise error


def _asked() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"SELECT {WORD}")


_ERRORS: dict[str, Callable[[str], object]] = {
    "its text": lambda _: _raised(ValueError(f"cannot handle {WORD}")),
    "the whole body": lambda body: _raised(RuntimeError(body)),
    "as repr": lambda body: _raised(ValueError(f"{body!r}")),
    "a key": lambda _: _raised(KeyError(WORD)),
    "a cause": lambda _: _raised(ValueError("bad"), ValueError(WORD)),
    "a group": lambda _: _raised(ExceptionGroup("several", [ValueError(WORD), KeyError(WORD)])),
    "a note": lambda _: _noted(),
    "pydantic": lambda _: _Order.model_validate({"number": WORD}),
    "pydantic, a list": lambda _: TypeAdapter(list[int]).validate_python([WORD, WORD]),
    "JSON": lambda _: json.loads(f"[{WORD}"),
    "a driver": lambda _: _asked(),
    "arguments": lambda _: _raised(OSError(5, "cannot open", f"/data/{WORD}")),
}


def test_bodies_of_messages(watch: Watch) -> None:
    """Logs in lines and in JSON, spans, metrics and health tell what happened to a message, and nothing that it holds."""
    for (how, work), (kind, body) in in_turn(_ERRORS.items(), BODIES.items()):
        try:
            work(body)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises
            watch.look(f"{kind}: {how}", _observed(Delivery("handle", body, "id", 1), error), hiding=(WORD,))


def _observed(delivery: Delivery, error: BaseException) -> dict[str, bytes]:
    lines, plain, spans = io.StringIO(), io.StringIO(), InMemorySpanExporter()
    logger = logging.Logger("test")
    for stream, formatter in ((lines, JsonLines()), (plain, logging.Formatter())):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    reader = InMemoryMetricReader()
    telemetry, logs = Telemetry(tracers, MeterProvider([reader])), Logs(logger)
    with suppress(type(error)), telemetry.handling("orders", delivery), logs.handling("orders", delivery):
        _end(Note(What.FAILED, "orders", delivery, error=error), (telemetry, logs), error)
    told = "".join(span.to_json() for span in spans.get_finished_spans())
    measured = reader.get_metrics_data()
    assert told
    assert measured is not None
    assert lines.getvalue()
    return {"logs": f"{lines.getvalue()}{plain.getvalue()}".encode(), "facts": f"{told}{measured.to_json()}".encode()}


def _end(note: Note, observers: tuple[Telemetry | Logs, ...], error: BaseException) -> None:
    for observer in observers:
        observer.noted(note)
    raise error


def test_health(watch: Watch) -> None:
    """The endpoint tells counts."""
    health = Health(["orders"])
    health.noted(
        Note(What.FAILED, "orders", Delivery("handle", BODIES["JSON"], WORD, 1), key=WORD, reason=WORD, error=ValueError(WORD))
    )
    health.seen(Snapshot(queue="orders", state="running", polled_age_s=1.0))
    with HealthServer(health, "0") as server:
        for path in ("/live", "/ready", "/metrics"):
            with urllib.request.urlopen(f"{server.url}{path}", timeout=30) as answer:
                watch.look(f"GET {path}", {"message": answer.read()}, hiding=(WORD,))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with frozen_org() as org, desk_at(org, tmp_path, monkeypatch) as made:
        yield made


def test_masked_values(watch: Watch, desk: Desk) -> None:
    """A masked column, and the key of its hash, are in no table, ledger, spool, message or plan, also where the run fails."""
    value, key = canary("a masked value"), canary("the key of the mask")
    desk.empty()
    desk.add(40, Description=value)
    desk.env["HALOCLINE_MASK_KEY"] = key
    folders = (desk.folder,)
    for way, mask in in_turn(("rest", "stage"), ("Description=hash", "Description=null")):
        watch.attempt(
            f"{way}, {mask}, JSON", lambda w=way, m=mask: _went(desk, w, m, "--json"), hiding=(value, key), folders=folders
        )
    desk.lake.unlink()
    desk.lake.write_bytes(b"no database, and long enough not to be taken for an empty one" * 100)
    watch.attempt(
        "no database", lambda: _went(desk, "rest", "Description=hash", done=False), hiding=(value, key), folders=folders
    )
    desk.lake.unlink()
    seen = Watch()
    seen.attempt("unmasked", lambda: desk.sync("rest", "--full"), hiding=(value,), folders=folders)
    assert seen.leaks, "a value that is not masked is found"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # the runs that failed held on to a connection, as a process that ends may
    assert any(value in str(row) for row in desk.emulator.store.read("SELECT Description FROM Account")), (
        "it is there to be found"
    )


def _went(desk: Desk, way: str, mask: str, *more: str, done: bool = True) -> None:
    told = desk.sync(way, "--mask", mask, "--full", *more)
    print(told.out, told.err)
    assert (told.exit_code == 0) is done, told


_CRASH = """
import sys
from halocline.cli import main
def crash(*arguments, **named):
    word = sys.stdin.read()
    secrets = {{"password": word}}
    raise {error}
from halocline import config
config.Settings.from_env = classmethod(lambda cls, environ=None: crash())
main.run()
"""


def test_crashes(watch: Watch, tmp_path: Path) -> None:
    """What nobody foresaw ends a command with a traceback that shows no local variable."""
    word = canary("in a local variable")
    for error in ("RuntimeError('unforeseen') from KeyError('x')",):
        command = [sys.executable, "-c", _CRASH.format(error=error), "runs"]
        env = {
            "HALOCLINE_HOME": str(tmp_path),
            "PATH": "",
            "PYTHONPATH": ":".join(sys.path),
            "TERMINAL_WIDTH": "200",
            "FORCE_COLOR": "1",
        }
        done = subprocess.run(command, input=word, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 1, done.stderr
        assert "crash" in done.stderr, done.stderr
        told = {"standard output": done.stdout.encode(), "traceback": done.stderr.encode()}
        watch.look(error, told, hiding=(word,))
