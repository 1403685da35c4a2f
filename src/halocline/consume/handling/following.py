"""Following: the bodies of large messages, for deliveries that no queue of ours received."""

from __future__ import annotations

from dataclasses import replace

from halocline.errors import AccessDenied
from halocline.pointers import Follows, is_marked, wrapped
from halocline.queues import Delivery


def followed(delivery: Delivery, large: Follows | None) -> Delivery:
    """The delivery with its body, or with why nobody can have it, as `SQS.receive` gives it to a worker; None follows nothing.

    Raises: RetryLater, LoginRefused: it is to come again, and this delivery counts for no try.
    """
    if large is None or not (is_marked(delivery.attributes) or wrapped(delivery.body)):
        return delivery
    try:
        return large.follow(delivery)
    except AccessDenied as error:  # also said of what is gone, so that its tries are counted
        return replace(delivery, failure=str(error))
