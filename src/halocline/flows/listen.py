"""Flows of the kind `listen`: the messages of a queue to the handlers of a module, as `halocline listen` does it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from halocline.errors import FixConfig
from halocline.flows.connections import holds_password, is_reference
from halocline.flows.model import Model
from halocline.queues import name_of

_REGISTRY = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?")
_TOPIC = re.compile(r"arn:[\w-]+:sns:[\w-]+:\d{12}:[\w.-]+")
_NEXT_URI = re.compile(r",(?=\s*\w+://)")
_ALSO_SECRET = re.compile(r"[?&;][^=&;]*(pass|passfile|auth)=", re.IGNORECASE)
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo|https?://[^/\s]+/\S*[^/\s]/?")
"""Source: "Amazon SQS queue and message identifiers",
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html, read November 2026:
a name has at most 80 characters, `.fifo` among them."""
_FOLDER = re.compile(r"file:///[^/].*")
_STORES = ("redis", "rediss", "valkey", "valkeys", "sqlite", "postgresql", "postgres", "dynamodb")
_LONGEST_HIDDEN_S = 43_200

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0)]


def _store(text: str) -> str:
    if is_reference(text) or text in {"ledger", "none"}:
        return text
    if text.partition("://")[0] not in _STORES or "://" not in text:
        raise ValueError(f"it is ledger, none, env:NAME, or begins with one of {', '.join(f'{one}://' for one in _STORES)}")
    if _ALSO_SECRET.search(text) or any(map(holds_password, _NEXT_URI.split(text))):
        raise ValueError("the URI holds a password; write where the whole is instead: env:NAME, file:PATH or aws-sm:NAME#KEY")
    return text


def _letters(text: str) -> str:
    if not (_QUEUE.fullmatch(text) or _FOLDER.fullmatch(text)):
        raise ValueError("it is a queue by name or URL, or file:///folder, with a path from the root")
    return text


def _known(text: str) -> str:
    if "/" in text or not _QUEUE.fullmatch(text):
        raise ValueError("it is a name such as a queue may have: letters, digits, - and _")
    return text


def _registry(text: str) -> str:
    if text.endswith(".py"):
        raise ValueError("it is module:name, without .py: my_project.events:handlers")
    if not _REGISTRY.fullmatch(text):
        raise ValueError("it is module:name, such as my_project.events:handlers")
    return text


def _topic(text: str) -> str:
    if not _TOPIC.fullmatch(text):
        raise ValueError("it is the ARN of an SNS topic: arn:aws:sns:REGION:ACCOUNT:NAME")
    return text


class ListenFlow(Model):
    """The messages of a queue to handlers, each handled once."""

    kind: Literal["listen"]
    """Messages of a queue, to handlers."""
    queue: str
    """The name or URL of the queue; a FIFO queue is known by its name."""
    known_as: Annotated[str, AfterValidator(_known)] | None = None
    """What its messages are remembered by, and set aside for: the queue's name, where it is left out. For the newer of two queues
    of one name, in two regions or accounts."""
    handlers: Annotated[str, AfterValidator(_registry)]
    """Where the handlers are, `module:name` (`handlers` where it is left out): a `Handlers`, or a class of `SQSClient`."""
    store: Annotated[str, AfterValidator(_store)] | None = None
    """The idempotency store, by URI or reference; `ledger`, `none`. Without one, HALOCLINE_IDEMPOTENCY's, else the ledger's."""
    dead_letters: Annotated[str, AfterValidator(_letters)] | None = None
    """Where messages are set aside: a queue by name or URL, or file:///folder. Without one, the queue that the queue's own policy
    names, else a folder below HALOCLINE_HOME."""
    offload: str | None = None
    """The bucket of large messages."""
    workers: Count = 10
    """Handlers that run at once."""
    in_flight: Count = 100
    """Messages that are held at once."""
    polls: Count = 4
    """Polls at once."""
    visibility: Annotated[int, Field(ge=1, le=_LONGEST_HIDDEN_S)] = 30
    """Seconds for which a message is hidden; it is hidden again as long as its handler runs."""
    longest: Annotated[int, Field(ge=1, le=_LONGEST_HIDDEN_S)] = _LONGEST_HIDDEN_S
    """Seconds after which it is not, whatever its handler does."""
    lease: Annotated[float, Field(ge=0.1, le=_LONGEST_HIDDEN_S)] | None = None
    """Seconds for which a message is claimed in the store, renewed as long as its handler runs. Without it, a little less than
    `visibility`."""
    alone: Seconds = 10.0
    """Seconds for which no other handler begins beside one that would be set aside if its process died once more."""
    patience: Seconds = 300.0
    """Seconds for which messages are held while the store does not answer; then they are handed back, all but one."""
    silent: Annotated[float, Field(ge=2)] = 40.0
    """Seconds without an answer after which a poll is given up and the client made anew; a poll takes half of it at most."""
    grace: Seconds = 30.0
    """Seconds for which handlers may go on after SIGTERM."""
    retry_first: Seconds = 5.0
    """Seconds until a message whose handler failed comes again; twice as long after each further failure."""
    retry_most: Seconds = 900.0
    """The most seconds until then."""
    poison_after: Count = 3
    """A message is set aside when so many processes died over it, or when it came so often and could not be read."""
    most_receives: Annotated[int, Field(ge=0)] = 0
    """A message whose handler failed is set aside when it came so often; 0: the queue's own policy decides."""
    in_doubt: Literal["run", "set_aside", "quarantine"] = "run"
    """What becomes of a message over which a process died, for its effect may have come about (quarantine: as set_aside)."""
    keep: Seconds = 345_600.0
    """Seconds for which what was done is remembered."""
    topics: tuple[Annotated[str, AfterValidator(_topic)], ...] = Field(default=(), strict=False)
    """The SNS topics that the queue gets its messages from; for --plan, --apply and --verify."""
    filter_by: Literal["attribute", "detail-type", "nothing"] = "attribute"
    """By what topics tell the events that have a handler: `detail-type` for topics that EventBridge publishes to; likewise."""
    raw: bool = True
    """Messages of topics come without an envelope; likewise."""
    max_receives: Count = 5
    """How often SQS hands a message out before its own policy sets it aside; likewise, with `dead_letters`."""
    region: str | None = None
    """Unless what boto3 finds: AWS_REGION, the profile."""
    profile: str | None = None
    """The profile of `~/.aws/config` to log in with."""
    role: str | None = None
    """The ARN of a role to assume."""
    endpoint: str | None = None
    """The address of another SQS than Amazon's."""

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.in_flight < self.workers:
            raise ValueError("in_flight is less than workers: some of them could never have a message")
        if self.retry_most < self.retry_first:
            raise ValueError("retry_most is less than retry_first")
        if self.dead_letters == self.queue:
            raise ValueError("dead_letters is the queue itself: what is set aside would come again at once")
        return self

    @property
    def known(self) -> str:
        """What the queue is known by."""
        return self.known_as or name_of(self.queue)

    def access(self) -> dict[str, str]:
        """What `registry.open_queue` takes beside the queue."""
        return self.model_dump(include={"region", "profile", "role", "endpoint"}, exclude_none=True)

    def limits(self) -> dict[str, Any]:
        """What the worker's limits are made of, by their names there; those of retries are `retries`."""
        same = {"workers", "in_flight", "polls", "poison_after", "most_receives", "in_doubt"}
        seconds = ("visibility", "longest", "lease", "alone", "patience", "silent", "grace", "keep")
        named = {f"{name}_s": getattr(self, name) for name in seconds}
        retries = {"first_s": self.retry_first, "most_s": self.retry_most}
        return {**self.model_dump(include=same), **named, "retries": retries}

    def in_lambda(self, name: str, doing: str) -> FixConfig:
        """The error of this flow, called `name`, where only flows that end are run: in Lambda its handlers need a handler of
        their own, and it says which line makes it.
        """
        module, _, place = self.handlers.partition(":")
        place = place or "handlers"
        found = f"{place}.handlers" if place.rpartition(".")[2][:1].isupper() else place  # of a class, by how it is spelled
        said = {
            key: value for key in ("store", "dead_letters", "known_as", "offload") if (value := getattr(self, key)) is not None
        }
        if said.get("dead_letters", "").startswith("file:"):  # no folder of a function lasts
            del said["dead_letters"]
        given = ", ".join([found, *(f"{key}={value!r}" for key, value in said.items())])
        line = f"from halocline import aws_lambda; from {module} import {place.partition('.')[0]}; "
        line += f"handler = aws_lambda.handles({given})"
        cause = f"the flow {name} is of the kind listen, whose messages go to functions of yours"
        return FixConfig(doing, cause, hint=f"Write this into a module, and make its `handler` the Lambda function's: {line}")
