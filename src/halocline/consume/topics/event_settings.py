"""Event settings: what the INIESTA_* variables say of queues, topics and the records of what was handled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halocline.config import Variable, variables
from halocline.consume.handling.message import EVENT_KEY
from halocline.errors import FixConfig

PREFIX = "INIESTA_"
TEMPLATE = "iniesta-{env}-{service_name}"
VARIABLES = (
    Variable("INIESTA_SQS_QUEUE_NAME", "The service's own queue."),
    Variable(
        "INIESTA_SQS_QUEUE_NAME_TEMPLATE", "The queue's name where it is not said, with {env} and {service_name}.", TEMPLATE
    ),
    Variable("INIESTA_ENVIRONMENT", "{env} in it."),
    Variable("INIESTA_SERVICE_NAME", "{service_name} in it; what is published is called `<event>.<service name>`."),
    Variable("INIESTA_SNS_EVENT_KEY", "The attribute of a message that names its event.", EVENT_KEY),
    Variable("INIESTA_SNS_PRODUCER_GLOBAL_TOPIC_ARN", "The topic that events are published to."),
    Variable("INIESTA_SQS_ENDPOINT_URL", "The address of another SQS than Amazon's."),
    Variable("INIESTA_SNS_ENDPOINT_URL", "The address of another SNS than Amazon's."),
    Variable("INIESTA_AWS_DEFAULT_REGION", "The region of both.", "what boto3 finds"),
    Variable("INIESTA_SQS_RECEIVE_MESSAGE_MAX_NUMBER_OF_MESSAGES", "The most messages of one receive.", "10"),
    Variable("INIESTA_LOCK_TIMEOUT", "Seconds for which a message is claimed.", "as long as it is hidden"),
    Variable(
        "INIESTA_CACHES", "Redis, where what was handled is remembered: URIs, with commas between.", "HALOCLINE_IDEMPOTENCY"
    ),
)
"""What `SQSClient` and `SNSClient` read where their arguments do not say it."""
_DOING = "Reading the INIESTA_ settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSettings:
    """The variables by their names, without the prefix; None and "" where they are unset.

    `caches` are the addresses of the Redis servers that INIESTA_CACHES lists, each server once.
    """

    queue_name: str | None = None
    queue_name_template: str = TEMPLATE
    environment: str = ""
    service_name: str = ""
    event_key: str = EVENT_KEY
    topic_arn: str | None = None
    sqs_endpoint_url: str | None = None
    sns_endpoint_url: str | None = None
    region: str | None = None
    max_messages: int = 10
    lock_timeout_s: float | None = None
    caches: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> EventSettings:
        """The settings of the environment.

        Raises: FixConfig naming the one that cannot be understood.
        """
        said = variables(PREFIX, environ)
        timeout = said.get("LOCK_TIMEOUT")
        return cls(
            queue_name=said.get("SQS_QUEUE_NAME"),
            queue_name_template=said.get("SQS_QUEUE_NAME_TEMPLATE", TEMPLATE),
            environment=said.get("ENVIRONMENT", ""),
            service_name=said.get("SERVICE_NAME", ""),
            event_key=said.get("SNS_EVENT_KEY", EVENT_KEY),
            topic_arn=said.get("SNS_PRODUCER_GLOBAL_TOPIC_ARN"),
            sqs_endpoint_url=said.get("SQS_ENDPOINT_URL"),
            sns_endpoint_url=said.get("SNS_ENDPOINT_URL"),
            region=said.get("AWS_DEFAULT_REGION"),
            max_messages=_whole(said, "SQS_RECEIVE_MESSAGE_MAX_NUMBER_OF_MESSAGES", "10"),
            lock_timeout_s=None if timeout is None else _number(said, "LOCK_TIMEOUT", timeout),
            caches=_caches(said.get("CACHES", "")),
        )

    @property
    def queue(self) -> str:
        """The name of the service's own queue: INIESTA_SQS_QUEUE_NAME, or what the template makes of environment and service.

        Raises: FixConfig where neither says it.
        """
        if self.queue_name:
            return self.queue_name
        known = {"env": self.environment, "service_name": self.service_name}
        missing = [name for name, value in known.items() if not value and f"{{{name}}}" in self.queue_name_template]
        if missing:
            others = "set INIESTA_SQS_QUEUE_NAME, or set INIESTA_ENVIRONMENT and INIESTA_SERVICE_NAME."
            hint = f"Give queue_name= (to `halocline listen`: --queue), {others}"
            raise FixConfig("Choosing the queue", "no setting says its name", hint=hint)
        try:
            return self.queue_name_template.format(**known)
        except (KeyError, IndexError, ValueError) as error:
            raise FixConfig("Choosing the queue", f"INIESTA_SQS_QUEUE_NAME_TEMPLATE cannot be filled in ({error})") from error

    def store(self, environ: Mapping[str, str] | None = None) -> str | None:
        """Where what was handled is remembered: in the Redis of INIESTA_CACHES, unless HALOCLINE_IDEMPOTENCY says it. None: these
        settings do not say it.
        """
        return None if variables("HALOCLINE_", environ).get("IDEMPOTENCY") else ",".join(self.caches) or None


def _number(said: Mapping[str, str], name: str, otherwise: str) -> float:
    told = said.get(name, otherwise)
    try:
        found = float(told)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise FixConfig(_DOING, f"{PREFIX}{name} is {told!r}, no number above 0")
    return found


def _whole(said: Mapping[str, str], name: str, otherwise: str) -> int:
    found = _number(said, name, otherwise)
    if found != int(found):
        raise FixConfig(_DOING, f"{PREFIX}{name} is {said.get(name, otherwise)!r}, no whole number")
    return int(found)


def _caches(told: str) -> tuple[str, ...]:
    """The addresses in INIESTA_CACHES, with commas between, or in the JSON object of an older settings file.

    Databases of one server are one master: a majority of them would outlive nothing that one of them does not.
    """
    if not told.strip():
        return ()
    if not told.lstrip().startswith("{"):
        return tuple(dict.fromkeys(one.strip() for one in told.split(",") if one.strip()))
    try:
        servers = [_address(one) for one in json.loads(told).values()]
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        hint = 'Write redis://host:6379/0, several with commas between, or {"name": {"HOST": ..., "PORT": ..., "DATABASE": ...}}.'
        raise FixConfig(_DOING, f"{PREFIX}CACHES cannot be read ({type(error).__name__})", hint=hint) from error
    masters: dict[str, int] = {}
    for server, database in servers:
        masters.setdefault(server, database)
    return tuple(f"redis://{server}/{database}" for server, database in masters.items())


def _address(told: Mapping[str, Any]) -> tuple[str, int]:
    small = {str(name).lower(): value for name, value in told.items()}
    return f"{small['host']}:{int(small.get('port', 6379))}", int(small.get("database", small.get("db", 0)))
