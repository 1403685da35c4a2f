"""Load: how many messages, how long each is worked on, for how long it is hidden, and how often a worker is killed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from halocline.testing.aws import FakeAWS
from tests.system.torture.effects import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A handler's time is `longest_s` times an even chance to the power of `power`: most are short, and some take very long, so
    that many threads get through. An even share of it comes before the effect, the rest after it.

    Every `kills_s[0]` to `kills_s[1]` seconds one of two workers is killed. It is the same one as the last time, save for one in
    `steady`: so there is always one that has just begun, and every now and then one that lives as long as the longest handler.
    """

    messages: int
    threads: int = 64
    visibility_s: int = 2
    longest_s: float = 5.0
    power: float = 6.0
    kills_s: tuple[float, float] = (0.2, 0.9)
    steady: int = 10
    seed: int = 20_261_121

    def works(self) -> Iterator[Work]:
        """What is to be done, the same each time."""
        dice = random.Random(self.seed)
        for number in range(self.messages):
            takes_s = self.longest_s * dice.random() ** self.power
            before_s = takes_s * dice.random()
            yield Work(number, round(before_s, 4), round(takes_s - before_s, 4))


def fill(aws: FakeAWS, name: str, *, load: Load) -> str:
    """A new queue with these messages: its address."""
    import boto3

    told = aws.environment()
    client = boto3.client(
        "sqs",
        endpoint_url=aws.url,
        region_name=told["AWS_REGION"],
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
    )
    url = str(client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(load.visibility_s)})["QueueUrl"])
    bodies = [json.dumps(asdict(work)) for work in load.works()]
    for start in range(0, len(bodies), 10):
        entries = [{"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies[start : start + 10])]
        assert len(client.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == len(entries)
    client.close()
    return url
