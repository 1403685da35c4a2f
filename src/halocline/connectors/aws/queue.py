"""SQSQueue: a queue of messages of one type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar, overload

from halocline.connectors.aws.intake import Intake
from halocline.connectors.aws.models import Invalid
from halocline.connectors.aws.offload import Offload
from halocline.connectors.aws.sqs import SQS, open_queue
from halocline.errors import FixConfig, Stop
from halocline.models import Model, codec_of
from halocline.queues import Delivery, Message, Reply, Value

_Named = TypeVar("_Named")  # pyright does not tell the class's own type from an argument of a class method
_POLL_S = 1
"""A poll of any length asks all of SQS's servers, so that one which finds nothing means that there is nothing; one of no length
asks some. Source: "Amazon SQS short and long polling", read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html"""


class SQSQueue(Generic[Model]):
    """Sends and receives messages of type `message_model`: a pydantic model, a msgspec Struct, a dataclass, dict, list or str.

        queue: SQSQueue[Patient] = SQSQueue(name="my-queue-name", message_model=Patient)
        queue.send_messages(patients)
        handles, messages = queue.receive_messages()
        queue.delete_messages(handles)

    `group` (a text, or what makes one) is what a FIFO queue keeps in order, `dedupe` makes the text by which it tells repeats.
    `offload` is the bucket for messages of more than 256 KiB, or an `Offload` with more to say. `settings` are those of
    `Access`, by our names (`region`, `role`, ...) or boto3's (`region_name`, `endpoint_url`, ...).
    Raises: NotFound where there is no queue of that name.
    """

    @overload
    def __init__(
        self,
        url: str,
        message_model: type[Model],
        *,
        group: str | Callable[[Model], str] | None = None,
        dedupe: Callable[[Model], str] | None = None,
        offload: Offload | str | None = None,
        **settings: str | None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        *,
        name: str,
        message_model: type[Model],
        account_id: str | None = None,
        group: str | Callable[[Model], str] | None = None,
        dedupe: Callable[[Model], str] | None = None,
        offload: Offload | str | None = None,
        **settings: str | None,
    ) -> None: ...

    def __init__(
        self,
        url: str | None = None,
        message_model: type[Model] | None = None,
        *,
        name: str | None = None,
        account_id: str | None = None,
        group: str | Callable[[Model], str] | None = None,
        dedupe: Callable[[Model], str] | None = None,
        offload: Offload | str | None = None,
        **settings: str | None,
    ) -> None:
        place = name if url is None else url
        if place is None or message_model is None or (url is not None and name is not None):
            hint = 'Write SQSQueue(name="my-queue", message_model=MyModel), or the URL in place of the name.'
            raise FixConfig("Opening a queue", "it takes either a name or a URL, and the type of its messages", hint=hint)
        self._codec = codec_of(message_model)
        self._model = message_model
        self._group = group
        self._dedupe = dedupe
        self.queue: SQS = open_queue(place, account_id=account_id, offload=offload, **settings)

    @classmethod
    def from_name(
        cls,
        name: str,
        message_model: type[_Named],
        account_id: str | None = None,
        *,
        group: str | Callable[[_Named], str] | None = None,
        dedupe: Callable[[_Named], str] | None = None,
        offload: Offload | str | None = None,
        **settings: str | None,
    ) -> SQSQueue[_Named]:
        """The queue of that name, of this account or of another one that lets us in (`account_id`)."""
        named: type[SQSQueue[_Named]] = cls  # type: ignore[assignment]  # a class that is not of a type yet
        return named(
            name=name,
            message_model=message_model,
            account_id=account_id,
            group=group,
            dedupe=dedupe,
            offload=offload,
            **settings,
        )

    @property
    def url(self) -> str:
        """Where the queue is."""
        return self.queue.url

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.queue.name

    def __repr__(self) -> str:
        return f"SQSQueue(name={self.name!r}, message_model={self._model.__name__})"

    def send_message(
        self,
        message: Model,
        *,
        group: str | None = None,
        dedupe: str | None = None,
        delay_s: int | None = None,
        attributes: Mapping[str, Value] | None = None,
    ) -> str:
        """Send one message and return its id.

        Raises: Stop where SQS refused it.
        """
        one = self._message(message, group=group, delay_s=delay_s, attributes=attributes, dedupe=dedupe)
        (reply,) = self.queue.send([one])
        if reply.message_id is None:
            raise Stop(f"Sending to the queue {self.name}", f"SQS refused the message: {reply.error}", code=reply.code)
        return reply.message_id

    def send_messages(
        self,
        messages: Iterable[Model],
        *,
        group: str | Callable[[Model], str] | None = None,
        dedupe: Callable[[Model], str] | None = None,
        delay_s: int | None = None,
        attributes: Mapping[str, Value] | None = None,
    ) -> list[Reply]:
        """Send any number of messages, and return for each whether it was taken: true, or false with `code` and `error`.

        What is given here counts more than what the queue was opened with. All are made into bodies before the first is sent.
        """
        return self.queue.send(
            [
                self._message(
                    one, group=group, delay_s=delay_s, attributes=attributes, dedupe=None if dedupe is None else dedupe(one)
                )
                for one in messages
            ]
        )

    def receive_message(
        self, wait_time_seconds: int = _POLL_S, *, visibility_timeout: int | None = None
    ) -> tuple[str, Model | Invalid] | tuple[None, None]:
        """One message and the handle to delete it with; twice None where none came in time."""
        for delivery in self.queue.receive_allowed(1, wait_s=wait_time_seconds, visibility_s=visibility_timeout):
            return delivery.handle, self._decoded(delivery)
        return None, None

    def receive_messages(
        self,
        max_messages: int = 10_000,
        wait_time_seconds: int = _POLL_S,
        max_poll_attempts: int = 0,
        *,
        visibility_timeout: int | None = None,
    ) -> tuple[list[str], list[Model | Invalid]]:
        """At most `max_messages` messages, and as many handles: `handles[i]` is the one to delete `messages[i]` with.

        A body that is not of the type is an `Invalid` in its place. It ends when a poll of `wait_time_seconds` (0 to 20) found
        nothing - and `max_poll_attempts` more, which help where polls of no length miss messages - or when half of the visibility
        of the first messages is over, so that there is time to deal with them: `visibility_timeout` (seconds) makes it longer.
        """
        empty = 1 + max(0, max_poll_attempts)
        intake = Intake(self.queue, max_messages, wait_s=wait_time_seconds, empty=empty, visibility_s=visibility_timeout)
        found = intake.run()
        return [one.handle for one in found], [self._decoded(one) for one in found]

    def delete_message(self, handle: str) -> Reply:
        """Delete a message that was dealt with; false where its handle is no longer good."""
        return self.delete_messages([handle])[0]

    def delete_messages(self, handles: Sequence[str]) -> list[Reply]:
        """Delete messages that were dealt with, and return for each whether it is gone."""
        return self.queue.delete(self._handles(handles, "Deleting from"))

    def extend(self, handles: Sequence[str], seconds: int) -> list[Reply]:
        """Hide messages from now on for so long (0 to 43,200), because there is more to do."""
        return self.queue.extend(self._handles(handles, "Changing visibility in"), seconds)

    def hand_back(self, handles: Sequence[str]) -> list[Reply]:
        """Let messages be handed out again at once."""
        return self.queue.hand_back(self._handles(handles, "Changing visibility in"))

    def _handles(self, handles: Sequence[str], doing: str) -> list[str]:
        """Raises: FixConfig for what is no text, before anything is done with the others."""
        given: list[object] = list(handles)
        if wrong := [one for one in given if not isinstance(one, str)]:
            hint = "Where no message came receive_message gives None in the handle's place: look at it first."
            raise FixConfig(f"{doing} the queue {self.name}", f"{wrong[0]!r} is no handle", hint=hint)
        return [*handles]

    def _message(
        self,
        message: Model,
        *,
        group: str | Callable[[Model], str] | None,
        dedupe: str | None,
        delay_s: int | None,
        attributes: Mapping[str, Value] | None,
    ) -> Message:
        if not isinstance(message, self._model):
            raise TypeError(f"{type(message).__name__} is no {self._model.__name__}, which this queue carries")
        of = self._group if group is None else group
        if dedupe is None and self._dedupe is not None:
            dedupe = self._dedupe(message)
        return Message(self._codec.encode(message), attributes or {}, of(message) if callable(of) else of, dedupe, delay_s)

    def _decoded(self, delivery: Delivery) -> Model | Invalid:
        error = delivery.failure
        if not error:
            try:
                return self._codec.decode(delivery.body)
            except (Exception, SystemExit) as failure:  # noqa: BLE001 - a user's validator may raise anything, and no other message is lost by it
                error = f"{type(failure).__name__}: {failure}"
        return Invalid(delivery.body, error, delivery.id, delivery.receives)
