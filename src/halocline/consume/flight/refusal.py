"""Refusal: whether a queue that refused a handle would take it another time."""

from __future__ import annotations

from halocline.queues import Reply

_FOR_GOOD = {
    *("ReceiptHandleIsInvalid", "InvalidParameterValue", "InvalidParameterValueException", "InvalidReceiptHandle"),
    *("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", "InvalidIdFormat"),
}
"""Source: "ChangeMessageVisibility" and "DeleteMessage", errors, read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html; that a FIFO queue answers
InvalidParameterValue to a handle whose time is over: https://github.com/aws/aws-sdk-js/issues/1279"""


_DENIED = {"AccessDenied", "AccessDeniedException", "KmsAccessDenied", "KMS.AccessDeniedException"}
OBJECT_LEFT = "ObjectLeft"
"""The message is deleted, its body in another place is not."""


def is_gone(reply: Reply) -> bool:
    """Whether the message is deleted, whatever became of a body that was kept elsewhere."""
    return bool(reply) or reply.code == OBJECT_LEFT


def is_denied(reply: Reply) -> bool:
    """Whether a person must change something before it could be done."""
    return reply.code in _DENIED


def is_for_good(reply: Reply) -> bool:
    """Whether the handle is no longer good, and will not be: the message was handed out again, or is gone."""
    return reply.code in _FOR_GOOD
