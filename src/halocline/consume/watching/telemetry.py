"""Telemetry: workers as OpenTelemetry sees them: a span for each handler's run, in its message's trace, and metrics.

The API alone is needed (extra `otel`); without an SDK set up in the process, all of it does nothing.
Source: "Semantic conventions for messaging spans", https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/;
"Semantic conventions for messaging client metrics",
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/; both "Development", read November 2026.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from halocline.consume.handling.envelope import unwrap
from halocline.consume.handling.masking import told
from halocline.consume.watching.observer import Note, Snapshot
from halocline.queues import Delivery
from halocline.registry import missing_extra

try:
    from opentelemetry import metrics, propagate, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider
except ModuleNotFoundError as error:
    raise missing_extra("telemetry", error) from error

_NAME = "halocline.listen"
_SYSTEM = "aws_sqs"
_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 900]
"""Those of the conventions, and more above them: handlers may take hours."""
_TRACED = ("traceparent", "tracestate", "baggage")


class Telemetry:
    """An observer that makes spans and metrics. The providers are those of the process where none are given.

    A span `process <queue>` has the message's trace context as its parent, which is looked for in the message's attributes
    (`traceparent`), in an envelope of SNS too. Errors are told by type and text, with values of the body hidden.
    """

    def __init__(self, tracers: TracerProvider | None = None, meters: MeterProvider | None = None) -> None:
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracers)
        meter = metrics.get_meter(_NAME, meter_provider=meters)
        self._seen: dict[str, tuple[Snapshot, float]] = {}
        self._process_s = meter.create_histogram(
            "messaging.process.duration",
            "s",
            "Duration of processing operation.",
            explicit_bucket_boundaries_advisory=_BUCKETS_S,
        )
        meter.create_observable_counter(
            "messaging.client.consumed.messages",
            [self._consumed],
            "{message}",
            "Messages that were delivered to the application.",
        )
        meter.create_observable_counter("halocline.listen.events", [self._events], "{event}", "What came to pass, by `event`.")
        gauges: list[tuple[str, str, Callable[[Snapshot, float], float | None]]] = [
            ("in_flight", "{message}", lambda one, _: one.in_flight),
            ("running", "{handler}", lambda one, _: one.running),
            ("oldest", "s", lambda one, _: one.oldest_s),
            ("last_poll_age", "s", lambda one, since: None if one.polled_age_s is None else one.polled_age_s + since),
            ("last_success_age", "s", lambda one, since: None if one.done_age_s is None else one.done_age_s + since),
        ]
        for name, unit, value in gauges:
            meter.create_observable_gauge(f"halocline.listen.{name}", [self._gauge(value)], unit)

    def handling(self, queue: str, delivery: Delivery) -> AbstractContextManager[object]:
        """A span, current while the handler runs."""
        return self._span(queue, delivery)

    def noted(self, note: Note) -> None:
        """A span that is current is told; for the rest there are counts."""
        trace.get_current_span().add_event(f"halocline.{note.what}", {"reason": note.reason} if note.reason else {})

    def seen(self, snapshot: Snapshot) -> None:
        """Remember how a worker stands, until metrics are collected."""
        self._seen[snapshot.queue] = (snapshot, time.monotonic())

    @contextmanager
    def _span(self, queue: str, delivery: Delivery) -> Iterator[None]:
        began = time.perf_counter()
        about: dict[str, str | int] = {
            "messaging.system": _SYSTEM,
            "messaging.destination.name": queue,
            "messaging.operation.name": "process",
        }
        more: dict[str, str | int] = {
            "messaging.operation.type": "process",
            "messaging.message.id": delivery.id,
            "halocline.receives": delivery.receives,
        }
        name, parent = f"process {queue}", propagate.extract(_carrier(delivery))
        with self._tracer.start_as_current_span(
            name, parent, SpanKind.CONSUMER, {**about, **more}, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                about["error.type"] = type(error).__name__
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR, told(error, delivery)))
                raise
            finally:
                self._process_s.record(time.perf_counter() - began, about)

    def _consumed(self, _options: CallbackOptions) -> Iterable[Observation]:
        for queue, (snapshot, _) in list(self._seen.items()):
            about = {"messaging.system": _SYSTEM, "messaging.destination.name": queue, "messaging.operation.name": "receive"}
            yield Observation(snapshot.counts.get("received", 0), about)

    def _events(self, _options: CallbackOptions) -> Iterable[Observation]:
        for queue, (snapshot, _) in list(self._seen.items()):
            for name, count in snapshot.counts.items():
                yield Observation(count, {"messaging.destination.name": queue, "event": name})

    def _gauge(self, value: Callable[[Snapshot, float], float | None]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            now = time.monotonic()
            for queue, (snapshot, at) in list(self._seen.items()):
                found = value(snapshot, now - at)
                if found is not None:
                    yield Observation(found, {"messaging.destination.name": queue})

        return observe


def trace_attributes() -> dict[str, str]:
    """The attributes to send with a message, so that whoever handles it is in the trace that is current here."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def current_trace() -> dict[str, str]:
    """Likewise, where a span is current here; else none."""
    return trace_attributes() if trace.get_current_span().get_span_context().is_valid else {}


def _carrier(delivery: Delivery) -> dict[str, Any]:
    """What a message says of its trace."""
    attributes = delivery.attributes
    if _TRACED[0] not in attributes and f'"{_TRACED[0]}"' in delivery.body:
        attributes = unwrap(delivery.body, attributes).attributes
    return {name: str(attributes[name]) for name in _TRACED if name in attributes}
