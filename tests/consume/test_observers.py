"""Laws of watching: logs, health and telemetry tell how workers stand, and nothing that a message holds."""

from __future__ import annotations

import http.client
import io
import json
import logging
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, ValidationError
from pydantic import v1 as first

from halocline import Handlers
from halocline.consume.flight.orders import Polled
from halocline.consume.handling import masking
from halocline.consume.handling.context import Context
from halocline.consume.handling.handlers import UnknownEvent
from halocline.consume.handling.masking import hidden, told
from halocline.consume.watching.guard import guarded
from halocline.consume.watching.health import SILENT_S, STALE_S, Health, HealthServer
from halocline.consume.watching.logs import JsonLines, Logs
from halocline.consume.watching.observer import SILENT, Named, Note, Observer, Observers, Silent, Snapshot, What
from halocline.consume.watching.telemetry import Telemetry, trace_attributes
from halocline.consume.watching.watch import Watch
from halocline.errors import FixConfig, Stop
from halocline.queues import Delivery, Value

SECRET = "jane.doe@example.com"
BODY = json.dumps({"customer": {"mail": SECRET, "number": 4711007}, "notes": ["call\nher back"], "ok": True})
ORDER = Delivery("handle", BODY, "id-1", 2)


class Patient(BaseModel):
    age: int


@pytest.fixture
def logger() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger of the test's own that writes lines of JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    found = logging.Logger("test")
    found.addHandler(handler)
    yield found, stream
    handler.close()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def failing() -> BaseException:
    """An error whose text has what the body holds."""

    def look_up(secret: str) -> None:
        raise ValueError(f"no account for {secret}, number 4711007")

    try:
        look_up(SECRET)
    except ValueError as error:
        return error
    raise AssertionError


def snapshot(**given: object) -> Snapshot:
    usual: dict[str, object] = {"queue": "orders", "state": "running", "polled_age_s": 1.0}
    return Snapshot(**{**usual, **given})  # type: ignore[arg-type]


# ---- what is hidden


@pytest.mark.parametrize(
    ("body", "text", "expected"),
    [
        (BODY, f"no {SECRET}", "no ***"),
        (BODY, "number 4711007 is wrong", "number *** is wrong"),
        (BODY, "it says call her back", "it says ***"),
        (json.dumps({"Message": BODY}), f"no {SECRET}", "no ***"),
        ("plain text\nof two lines", "not of two lines", "not ***"),
        ("[1, 2]", "1 of 2", "1 of 2"),
        ('{"a": "x"}', "x marks the spot", "x marks the spot"),
        *(
            (json.dumps({"name": value}), f"cannot book {form(value)}", f"cannot book {form('***')}")
            for value in ('O\'Neill "the one"', "line one\nline two", "Zoë\tA. B", "back\\slash")
            for form in (str, repr, json.dumps)
        ),
        ("", "text", "text"),
        ("[" * 3_000, "deep", "deep"),
        ("[" * 3_000 + json.dumps(SECRET) + ",4711007", f"{SECRET} 4711007", "*** ***"),
        (json.dumps({"to": [*map(str, range(3_000)), SECRET]}), f"no {SECRET}", "no ***"),
        (json.dumps({SECRET: 1, "Müller": 2, "customer4711": 3}), f"{SECRET} Müller customer4711", "*** *** ***"),
        (json.dumps({"orderId": 1, "ship_to": {"street": 2}}), "orderId, ship_to.street", "orderId, ship_to.street"),
        ("short", "x" * 30_000, "***"),
    ],
)
def test_what_a_body_holds_is_hidden_in_what_is_said_of_it(body: str, text: str, expected: str) -> None:
    """Texts, long numbers and lines of a body, in an envelope too, are hidden; what is shorter than four characters is not."""
    assert hidden(text, body) == expected


def test_of_a_body_with_too_many_values_to_look_through_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text beside it is hidden; with one value fewer it is told."""
    monkeypatch.setattr(masking, "_MOST_VALUES", 500)
    assert [hidden("text", json.dumps([0] * count)) for count in (499, 500)] == ["text", "***"]


def test_a_validation_error_is_told_without_what_it_was_given() -> None:
    """The words of pydantic quote the input; ours name the place and the reason."""
    with pytest.raises(ValidationError) as caught:
        Patient.model_validate({"age": SECRET})
    assert SECRET in str(caught.value)
    text = told(caught.value)
    assert SECRET not in text
    assert text.startswith("age: Input should be a valid integer")


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        (4111111111111111, "card 4111111111111111", "card ***"),
        (b"secret-token", "token b'secret-token'", "token b'***'"),
        (b"secret-token", "token secret-token", "token ***"),
        ('["anna@example.com","bob@example.com"]', "no user anna@example.com", "no user ***"),
        ('{"ssn":"123-45-6789"}', "ssn 123-45-6789", "ssn ***"),
    ],
)
def test_attributes_of_every_type_are_hidden(value: Value, text: str, expected: str) -> None:
    """Numbers, bytes, and what is in a list or in JSON."""
    assert told(ValueError(text), Delivery("h", "{}", "1", attributes={"a": value})) == expected


@pytest.mark.parametrize(
    ("body", "text", "expected"),
    [
        ('{"a": 1.2345e6}', "1234500 or 1234500.0 or 1.2345e6", "*** or *** or ***"),
        ('{"a": 12345.60}', "12345.60 or 12345.6", "*** or ***"),
        ('{"a": 3.14159265358979323846}', "3.14159265358979323846 or 3.141592653589793", "*** or ***"),
        ('{"a": "0040012345"}', "40012345", "***"),
        ("name=anna%40example.com&x=1", "no name for anna@example.com", "no name for ***"),
        ("<p><name>M&amp;M Mueller</name></p>", "bad name M&M Mueller", "bad name ***"),
        ("id,name\n1,Mueller", "bad row Mueller", "bad row ***"),
        ('{"doc": "<name>Mueller</name>"}', "bad name Mueller", "bad name ***"),
        ('{"doc": " {\\"name\\": \\"Mueller\\"}"}', "bad name Mueller", "bad name ***"),
    ],
)
def test_what_is_written_in_other_ways_is_hidden_in_all_of_them(body: str, text: str, expected: str) -> None:
    """Numbers as they are written and as Python does; values of forms, XML and CSV, in JSON too, without fields' names."""
    assert told(ValueError(text), Delivery("h", body, "1")) == expected


def test_values_of_attributes_are_hidden_and_the_event_is_not() -> None:
    """Who reads a log is to know what happened, and to whom is none of his business."""
    message = Delivery("h", "{}", "1", attributes={"token": SECRET, "iniesta_pass": "User.updated"})
    assert told(ValueError(f"no {SECRET} for User.updated"), message) == "no *** for User.updated"
    handlers = Handlers(event_key="kind")
    other = Delivery("h", "{}", "1", attributes={"kind": "User.updated"})
    with pytest.raises(UnknownEvent) as caught:
        handlers.run(other, Context())
    assert "nobody handles the event 'User.updated'" in told(caught.value, other)


def test_an_error_of_the_first_pydantic_is_told_too() -> None:
    """By place and reason, as that of the second."""

    class Order(first.BaseModel):
        id: int

    with pytest.raises(first.ValidationError) as caught:
        Order(id=SECRET)
    assert told(caught.value, ORDER) == "id: value is not a valid integer"


def test_what_is_told_is_one_short_line() -> None:
    """However long an error is, and even if it cannot be told at all."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise KeyError

    assert len(told(ValueError("x\n" * 5_000))) == 500
    assert told(Odd()) == ""


# ---- logs


def test_notes_are_lines_of_json_without_a_body(logger: tuple[logging.Logger, io.StringIO]) -> None:
    """Every kind of note: level, queue, message, receives, reason; of an error type, places, and words without the body's."""
    log, stream = logger
    logs: Observer = Logs(log)
    for what in What:
        logs.noted(Note(what, "orders", ORDER, "orders/id-1", f"because {what}", failing()))
    told_ = lines(stream)
    assert [one["what"] for one in told_] == [str(what) for what in What]
    assert SECRET not in stream.getvalue()
    assert "4711007" not in stream.getvalue()
    one = told_[list(What).index(What.FAILED)]
    assert (one["queue"], one["message"], one["receives"], one["level"]) == ("orders", "id-1", 2, "warning")
    error = one["error"]
    assert isinstance(error, dict)
    assert error["text"] == "no account for ***, number ***"
    assert error["at"][0].endswith("look_up")


def test_a_message_without_a_key_is_logged_each_time_it_comes(logger: tuple[logging.Logger, io.StringIO]) -> None:
    """With what raised, and where: the function of the user's, or the message itself; and not only when it is set aside."""
    log, stream = logger
    keyed = Handlers(key=lambda message: {}[message.body["customer"]["mail"]])
    compared = Handlers(compare=failing_at)
    arrivals = [one.arrival(ORDER, "orders") for one in (keyed, compared, Handlers(key=lambda message: 7))]  # type: ignore[arg-type,return-value]
    Watch(Logs(log), "orders").reported(Polled(1, [*arrivals, Handlers().arrival(ORDER, "orders")]), 0.0)
    told_ = lines(stream)
    assert [(one["what"], one["reason"], one["error"]["type"]) for one in told_] == [
        ("failed", "the key function raised", "KeyError"),
        ("failed", "the compare function raised", "ZeroDivisionError"),
        ("failed", "it could not be read", "Unreadable"),
    ]
    assert told_[0]["error"]["at"][0].endswith("<lambda>")
    assert re.search(r"^the key function raised KeyError: '\*\*\*' \(.*test_observers\.py:\d+ <lambda>\)$", arrivals[0].trouble)
    assert SECRET not in stream.getvalue() + arrivals[0].trouble


def failing_at(message: object) -> float:
    """What no message is."""
    return 1 / (message is None)


def test_a_person_may_ask_for_bodies(logger: tuple[logging.Logger, io.StringIO]) -> None:
    """Only who says so gets them."""
    log, stream = logger
    Logs(log, bodies=True).noted(Note(What.FAILED, "orders", ORDER, error=failing()))
    (one,) = lines(stream)
    assert one["body"] == BODY
    assert SECRET in str(one["error"])


def test_what_a_handler_logs_names_its_message(logger: tuple[logging.Logger, io.StringIO]) -> None:
    """Within a handler's run, and only there; a traceback shows places and neither values nor source."""
    log, stream = logger
    with Logs(log).handling("orders", ORDER):
        log.info("hello %s", "there")
    log.error("oh", exc_info=failing())
    first, second = lines(stream)
    assert (first["text"], first["queue"], first["message"]) == ("hello there", "orders", "id-1")
    assert "message" not in second
    assert "secret =" not in stream.getvalue()
    assert list(second["error"]) == ["type", "text", "at"]  # type: ignore[call-overload]


def test_counts_are_logged_now_and_then_and_at_the_end(logger: tuple[logging.Logger, io.StringIO]) -> None:
    """Once in a while if something came to pass; a queue where nothing happens is silent."""
    log, stream = logger
    now = [0.0]
    logs = Logs(log, every_s=60, clock=lambda: now[0])
    for second in range(0, 300, 10):
        now[0] = float(second)
        logs.seen(snapshot(counts={"done": 5 if second > 100 else 0, "failed": 0}))
    logs.seen(snapshot(state="stopped", counts={"done": 5, "failed": 0}))
    assert [(one.get("done"), one["state"], "failed" in one) for one in lines(stream)] == [
        (None, "running", False),
        (5, "running", False),
        (5, "stopped", False),
    ]


# ---- health


def ask(url: str, path: str, host: str | None = None, verb: str = "GET") -> tuple[int, dict[str, object]]:
    line = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    try:
        line.request(verb, path, headers={} if host is None else {"Host": host})
        answer = line.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body else {}
    finally:
        line.close()


def test_health_says_who_lives_and_who_is_ready() -> None:
    """It waits at first, is ready when a poll was answered, and ill when nothing is heard of a worker."""
    now = [100.0]
    health = Health(["orders", "bills"], clock=lambda: now[0])
    assert (health.ill(), len(health.unready())) == ([], 2)
    health.seen(snapshot())
    health.seen(snapshot(queue="bills", polled_age_s=None))
    assert health.unready() == []  # its first poll is under way
    health.seen(snapshot(queue="bills", polled_age_s=None, counts={"poll_failures": 1}))
    assert health.unready() == ["bills: no poll was answered yet, and some failed"]
    health.seen(snapshot(queue="bills"))
    assert (health.ill(), health.unready()) == ([], [])
    health.seen(snapshot(waits_for_store=True))
    assert health.unready() == ["orders: its idempotency store does not answer"]
    health.seen(snapshot(polled_age_s=SILENT_S + 1))
    assert health.unready() == [f"orders: no poll was answered for {SILENT_S + 1:.0f} s"]
    health.seen(snapshot(state="stopping"))
    assert (health.ill(), health.unready()) == ([], ["orders: it is stopping"])
    now[0] += STALE_S + 1
    assert len(health.ill()) == 2
    health.seen(snapshot(state="stopped"))
    health.seen(snapshot(queue="bills", state="failed"))
    assert health.ill() == ["bills: it ended by itself"]


def test_the_endpoint_answers_on_loopback_names_only() -> None:
    """200 and 503 as it stands; figures with the age of the last success; a name that leads here from elsewhere gets nothing."""
    health = Health(["orders"])
    with HealthServer(health, "0") as server:
        assert ask(server.url, "/live") == (200, {"ok": True, "wrong": []})
        assert ask(server.url, "/ready") == (503, {"ok": False, "wrong": ["orders: it has not begun"]})
        health.seen(snapshot(counts={"done": 3}, done_age_s=2.0))
        assert ask(server.url, "/ready?x=1")[0] == 200
        assert ask(server.url, "/live", verb="HEAD") == (200, {})
        status, figures = ask(server.url, "/metrics")
        orders = figures["queues"]["orders"]  # type: ignore[index]
        assert (status, orders["done"], orders["state"]) == (200, 3, "running")
        assert orders["last_success_age_s"] >= 2.0
        assert ask(server.url, "/")[0] == 404
        assert ask(server.url, "/metrics", host="evil.example:80")[0] == 403
        port = server.url.rpartition(":")[2]
        assert ask(server.url, "/live", host=f"localhost:{port}")[0] == 200
        with pytest.raises(FixConfig, match="cannot be had"):
            HealthServer(health, port)


def has_loopback_of_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as line:
            line.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_loopback_of_ipv6(), reason="this machine has no loopback of IPv6")
def test_the_endpoint_is_on_the_loopback_of_ipv6_too() -> None:
    """Its address is in brackets, as in every URL."""
    with HealthServer(Health([]), "[::1]:0") as server:
        assert server.url.startswith("http://[::1]:")
        assert ask(server.url, "/live")[0] == 200


def test_two_workers_of_one_name_are_not_watched_as_one() -> None:
    """The health of the one would hide that of the other."""
    with pytest.raises(FixConfig, match="two have one name"):
        Health(["orders", "orders"])
    health = Health(["orders", "west"])
    Named(health, "west").seen(snapshot(state="failed"))
    health.seen(snapshot())
    assert health.ill() == ["west: it ended by itself"]


@pytest.mark.parametrize("address", ["", "http", "127.0.0.1:", "1:99999", "127.0.0.1:x", "::1", "::1:80", "[x]:80"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    """With what to write instead."""
    with pytest.raises(FixConfig, match="is no address"):
        HealthServer(Health([]), address)


# ---- telemetry


@pytest.fixture
def otel() -> Iterator[tuple[Telemetry, InMemorySpanExporter, InMemoryMetricReader, TracerProvider]]:
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([reader])
    yield Telemetry(tracers, meters), spans, reader, tracers
    meters.shutdown()
    tracers.shutdown()


Otel = tuple[Telemetry, InMemorySpanExporter, InMemoryMetricReader, TracerProvider]


@pytest.mark.parametrize("way", ["raw", "sns"])
def test_a_handler_runs_in_the_trace_of_its_message(otel: Otel, way: str) -> None:
    """From who published, by attributes of the message or of its envelope, into the handler's own spans."""
    telemetry, spans, _, tracers = otel
    tracer = tracers.get_tracer("test")
    with tracer.start_as_current_span("publish") as published:
        sent = trace_attributes()
    if way == "raw":
        delivery = Delivery("h", "body", "id-1", attributes=dict(sent))
    else:
        attributes = {name: {"Type": "String", "Value": value} for name, value in sent.items()}
        about = {"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": "body"}
        body = {**about, "Timestamp": "2026-11-01T00:00:00.000Z", "MessageAttributes": attributes}
        delivery = Delivery("h", json.dumps(body), "id-1")
    with telemetry.handling("orders", delivery), tracer.start_as_current_span("inner"):
        pass
    found = {span.name: span for span in spans.get_finished_spans()}
    process = found["process orders"]
    assert process.context.trace_id == published.get_span_context().trace_id
    assert process.parent is not None
    assert process.parent.span_id == published.get_span_context().span_id
    assert found["inner"].parent is not None
    assert found["inner"].parent.span_id == process.context.span_id
    assert process.kind is trace.SpanKind.CONSUMER


def test_an_error_is_told_without_the_body(otel: Otel) -> None:
    """Type and masked words; the error itself passes through; no event of the span has the text."""
    telemetry, spans, _, _ = otel
    with pytest.raises(ValueError, match="account"), telemetry.handling("orders", ORDER):
        raise failing()
    (span,) = spans.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert span.status.description == "no account for ***, number ***"
    assert SECRET not in span.to_json()


def test_metrics_are_the_snapshots(otel: Otel) -> None:
    """Counts, gauges and the time that handlers took, each with the queue's name."""
    telemetry, _, reader, _ = otel
    telemetry.seen(snapshot(counts={"received": 7, "done": 5}, in_flight=2, running=1, oldest_s=3.0, done_age_s=4.0))
    with telemetry.handling("orders", ORDER):
        pass
    data = reader.get_metrics_data()
    assert data is not None
    found = {one.name: one for scope in data.resource_metrics[0].scope_metrics for one in scope.metrics}

    def value(name: str, **about: str) -> float:
        (point,) = [one for one in found[name].data.data_points if about.items() <= dict(one.attributes or {}).items()]
        assert dict(point.attributes or {})["messaging.destination.name"] == "orders"
        return float(getattr(point, "value", None) or getattr(point, "count", 0))

    assert value("messaging.client.consumed.messages") == 7
    assert value("halocline.listen.events", event="done") == 5
    assert (value("halocline.listen.in_flight"), value("halocline.listen.running"), value("halocline.listen.oldest")) == (2, 1, 3)
    assert value("halocline.listen.last_success_age") >= 4.0
    assert value("halocline.listen.last_poll_age") >= 1.0
    assert value("messaging.process.duration") == 1


def test_without_opentelemetry_the_extra_is_named() -> None:
    """Who asks for telemetry without the package is told what to install; nobody else needs it."""
    code = """
        import sys
        sys.modules["opentelemetry"] = None
        import halocline.consume.watching.observer, halocline.consume.watching.logs, halocline.consume.watching.health
        try:
            import halocline.consume.watching.telemetry
        except Exception as error:
            print(type(error).__name__, error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("MissingExtra")
    assert "halocline[otel]" in done.stdout


# ---- several


def test_several_observers_are_one() -> None:
    """Each is told, entered in order and left in the opposite one, and what a handler raises passes through all."""
    calls: list[str] = []

    class Loud(Silent):
        def __init__(self, name: str) -> None:
            self.name = name

        def noted(self, note: Note) -> None:
            calls.append(f"{self.name} {note.what}")

        def seen(self, snapshot: Snapshot) -> None:
            calls.append(f"{self.name} {snapshot.state}")

    both = Observers([Loud("a"), Loud("b"), SILENT])
    both.noted(Note(What.STARTED, "orders"))
    both.seen(snapshot())
    with pytest.raises(Stop), both.handling("orders", ORDER):
        raise Stop("Doing", "it")
    assert calls == ["a started", "b started", "a running", "b running"]


class Broken(Silent):
    """Raises at one call, and counts them all."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.calls = 0

    def _maybe(self, name: str) -> None:
        self.calls += 1
        if name == self.at:
            raise SystemExit(name) if name == "leave" else RuntimeError(name)

    def noted(self, note: Note) -> None:
        self._maybe("noted")

    def seen(self, snapshot: Snapshot) -> None:
        self._maybe("seen")

    @contextmanager
    def handling(self, queue: str, delivery: Delivery) -> Iterator[None]:
        self._maybe("enter")
        try:
            yield
        finally:
            self._maybe("leave")


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[Note] = []

    def noted(self, note: Note) -> None:
        self.notes.append(note)


@pytest.mark.parametrize("at", ["noted", "seen", "enter", "leave"])
def test_an_observer_that_raises_is_switched_off_and_told(at: str) -> None:
    """Wherever it raises; what it watches goes on, and what the handler raises is what passes through."""
    broken, heard = Broken(at), Heard()
    watched = guarded(Observers([broken, heard]))
    with pytest.raises(Stop, match="its own"), watched.handling("orders", ORDER):
        raise Stop("handling", "its own")
    watched.seen(snapshot())
    watched.noted(Note(What.STARTED, "orders"))
    calls = broken.calls
    (told_,) = [note for note in heard.notes if note.what is What.OBSERVER_FAILED]
    assert (told_.queue, told_.reason, str(told_.error)) == ("orders", "Broken is switched off", at)
    with watched.handling("orders", ORDER):
        watched.seen(snapshot())
    assert broken.calls == calls


def test_where_nobody_else_watches_the_logger_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """With the error; once."""
    watched = guarded(Broken("seen"))
    for _ in range(3):
        watched.seen(snapshot())
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("halocline.listen", "orders: the observer Broken is switched off")
    assert guarded(watched) is watched
    assert guarded(SILENT) is SILENT
