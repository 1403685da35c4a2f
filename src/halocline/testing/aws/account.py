"""An account: its clock, its services, what goes wrong in it, and what was asked of it."""

from __future__ import annotations

from halocline.testing.aws.buckets import Buckets
from halocline.testing.aws.calls import Calls
from halocline.testing.aws.clock import Clock
from halocline.testing.aws.dynamodb import DynamoDB
from halocline.testing.aws.faults import Faults
from halocline.testing.aws.ids import new_id
from halocline.testing.aws.message import Message, md5_of
from halocline.testing.aws.notifications import Notifier
from halocline.testing.aws.queues import Queues, no_such_queue
from halocline.testing.aws.s3 import S3
from halocline.testing.aws.secret_store import SecretStore
from halocline.testing.aws.sns import SNS
from halocline.testing.aws.sqs import SQS
from halocline.testing.aws.sts import STS


class Account:
    """The services of one account, made empty. Only the server's thread may call them."""

    def __init__(self, clock: Clock, faults: Faults, *, calls: Calls) -> None:
        self.clock = clock
        self.faults = faults
        self.calls = calls
        self.queues = Queues(clock, faults)
        self.sqs = SQS(self.queues, clock)
        self.sns = SNS(self.queues, clock)
        self.sts = STS(clock)
        self.secrets = SecretStore(clock)
        buckets = Buckets(clock)
        self.dynamodb = DynamoDB(clock, buckets)
        self.s3 = S3(buckets, clock, notifier=Notifier(self._tell), exists=self._exists)

    @property
    def operations(self) -> dict[str, tuple[str, ...]]:
        """What can be asked of each service, by the names that requests have where faults look for them."""
        return {
            "sqs": self.sqs.operations,
            "sns": self.sns.operations,
            "s3": self.s3.operations,
            "sts": self.sts.operations,
            "secretsmanager": self.secrets.operations,
            "dynamodb": self.dynamodb.operations,
            "dynamodbstreams": self.dynamodb.streams.operations,
        }

    def end(self) -> None:
        """Refuse everybody who still waits."""
        for queue in self.queues:
            self.queues.polls(queue).end(no_such_queue())

    def _exists(self, arn: str) -> bool:
        return self.queues.by_arn(arn) is not None or self.sns.exists(arn)

    def _tell(self, arn: str, text: str) -> None:
        """Bring what a bucket tells to a queue or topic."""
        queue = self.queues.by_arn(arn)
        if queue is None:
            self.sns.tell(arn, text, subject="Amazon S3 Notification")
            return
        message = Message(new_id(), text, md5_of(text), len(text.encode()), self.clock.now(), sender="AIDAJHIPRHEMV73VRJEBU")
        self.queues.deliver(queue, message, delay=float(queue.settings["DelaySeconds"]))
