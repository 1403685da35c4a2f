"""SNS endpoint: what SNS posts to a web server of yours, checked, as a delivery that handlers take."""

from __future__ import annotations

from collections.abc import Collection

from halocline.queues import Delivery
from halocline.registry import open_signature_check


class SNSEndpoint:
    """Reads what SNS posts from `topics` (ARNs) to a web server. Threads may share it.

    `options` are those of `SignatureCheck`: `max_age_s`, `sha256_only`.
    Raises: FixConfig without a topic, MissingExtra when boto3 is not installed.
    """

    def __init__(self, topics: Collection[str], **options: object) -> None:
        self._check = open_signature_check(topics, **options)

    def read(self, body: str | bytes) -> Delivery | None:
        """The delivery that a request's body is, with the id that SNS gave the message; None for a subscription, which is
        confirmed hereby, or its end. Answer 200 to both.

        The event's name is in an attribute, and SNS does not sign attributes: have the endpoint called by HTTPS only.
        Raises: BadMessage (answer 403) for what is not from these topics; NetworkFailed (503: it comes again).
        """
        told = self._check.check(body)
        if told["Type"] == "Notification":
            return Delivery("", body if isinstance(body, str) else body.decode(), told["MessageId"])
        if told["Type"] == "SubscriptionConfirmation":
            self._check.confirm(told)
        return None
