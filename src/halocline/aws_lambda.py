"""The address of the Lambda function: `halocline.aws_lambda.handler`. Loading it loads no driver."""

from halocline.consume.aws_lambda import handler

__all__ = ["handler"]
