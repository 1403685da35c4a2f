"""What a service refuses: the code and the words of AWS."""

from __future__ import annotations


class AWSError(Exception):
    """A refusal. `code` is that of S3 and of the query protocol; `shape` its name in the JSON protocol, where it has another."""

    def __init__(self, code: str, message: str, *, status: int = 400, shape: str | None = None, by_sender: bool = True) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.shape = shape or code.rpartition(".")[2]
        self.by_sender = by_sender
        self.facts: dict[str, str] = {}  # what S3's error document tells beside code and message
        self.headers: dict[str, str] = {}


def invalid(name: str, value: object, *, reason: str) -> AWSError:
    """A parameter with a value that cannot be.
    Source: answers of Amazon SQS in public issue threads, as https://github.com/aws/aws-sdk-js/issues/1750.
    """
    return AWSError("InvalidParameterValue", f"Value {value} for parameter {name} is invalid. Reason: {reason}")


def missing(name: str) -> AWSError:
    """A parameter that must be there."""
    return AWSError("MissingParameter", f"The request must contain the parameter {name}.")


def check_order(at: int, *, of: int, failing: int) -> None:
    """Let an entry of a batch fail if a rule has the last `failing` of its entries fail (-1: all).
    Raises: AWSError (InternalError).
    """
    if failing < 0 or at >= of - failing:
        raise AWSError("InternalError", "We encountered an internal error. Please try again.", by_sender=False)
