"""The address of the Lambda function: `halocline.aws_lambda.handler` for the flows of a configuration, `handles(handlers)` for
handlers of events. Loading it loads no driver, and what `handles` needs when that is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.consume.aws.aws_lambda import handler
from halocline.lazy import lazily

if TYPE_CHECKING:
    from halocline.consume.aws.lambda_batch import handles

__all__ = ["handler", "handles"]

__getattr__ = lazily(__name__, {"handles": "halocline.consume.aws.lambda_batch"})
