"""Queue policy: who may put messages into a queue, and that its topics may.

Whatever cannot be told for sure lets no topic in, and limits nobody: a statement more does no harm, a dropped event and an open
queue do. Of a statement's conditions all must hold, and of a condition's values one.
Source: "IAM JSON policy elements: Condition operators", read November 2026,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html;
"Fanout Amazon SNS notifications to Amazon SQS queues", https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html;
"The confused deputy problem", https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html, read November 2026.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from halocline.errors import FixConfig
from halocline.quantity import quantity

MOST_STATEMENTS = 20
"""Of a queue's policy. Source: "Subscribing a queue to an Amazon SNS topic", read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-subscribe-queue-sns-topic.html"""
_OURS = "HaloclineTopics"
_SERVICE = "sns.amazonaws.com"
_SENDING = "sqs:sendmessage"
_ARNS = {"arnequals", "arnlike"}  # which are the same
_COMPARISONS = {*_ARNS, "stringequals", "stringlike"}
_ARN, _ACCOUNT = "aws:sourcearn", "aws:sourceaccount"
_WILD = ("*", "?")
_LIMITING = {
    *(_ARN, _ACCOUNT, "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourceip", "aws:sourcevpc", "aws:sourcevpce"),
    *("aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:userid"),
}
"""Keys that say who sends; others (`aws:SecureTransport`, a date) say how."""


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """The policy of the queue with that ARN, as its text ("": none) says it. Denials in it are not looked at."""

    arn: str
    document: Mapping[str, Any]

    @classmethod
    def read(cls, arn: str, text: str) -> QueuePolicy:
        """Raises: FixConfig for a text that is no policy."""
        try:
            document = json.loads(text) if text else {}
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise FixConfig(f"Reading the policy of the queue {arn}", "it is no JSON object", hint="Set the queue's policy anew.")
        return cls(arn, document)

    def lets_in(self, topic: str) -> bool:
        """Whether a statement lets SNS send what comes from this topic, names the topic, and asks for nothing else."""
        return any(_sends(one) and _of_sns(one) and _names(one, topic) for one in self._allowing())

    def is_open(self) -> bool:
        """Whether a statement lets anybody in, or SNS with what any topic of the world says."""
        return any(_sends(one) and _of_sns(one) and not _limits(one) for one in self._allowing())

    def with_topics(self, topics: Sequence[str]) -> str:
        """The text of the policy with a statement of ours that lets these topics in, beside those that it names already."""
        others = [one for one in self._statements() if one.get("Sid") != _OURS]
        own = [one for one in self._statements() if one.get("Sid") == _OURS]
        named = {arn for one in own for arn in _many(one.get("Condition", {}).get("ArnEquals", {}).get("aws:SourceArn"))}
        statement = {
            "Sid": _OURS,
            "Effect": "Allow",
            "Principal": {"Service": _SERVICE},
            "Action": "sqs:SendMessage",
            "Resource": self.arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": sorted({*named, *topics})}},
        }
        if len(others) >= MOST_STATEMENTS:
            hint = "Join some of its statements."
            raise FixConfig(
                f"Letting topics into the queue {self.arn}", f"its policy has {quantity(len(others), 'statement')}", hint=hint
            )
        return json.dumps({"Version": "2012-10-17", **self.document, "Statement": [*others, statement]})

    def _statements(self) -> list[Mapping[str, Any]]:
        return [one for one in _many(self.document.get("Statement")) if isinstance(one, Mapping)]

    def _allowing(self) -> list[Mapping[str, Any]]:
        here = [one for one in self._statements() if one.get("Effect") == "Allow"]
        return [one for one in here if _meant(one, "Resource", self.arn)]


def _many(value: object) -> list[Any]:
    """A policy has one or a list of nearly everything."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _meant(statement: Mapping[str, Any], element: str, name: str) -> bool:
    """Whether a statement's element, or what it leaves out of all (`NotAction`), means this name."""
    if f"Not{element}" in statement:
        return not any(_like(str(one), name) for one in _many(statement[f"Not{element}"]))
    return any(_like(str(one), name) for one in _many(statement.get(element)))


def _sends(statement: Mapping[str, Any]) -> bool:
    named = {name: statement[name] for name in ("Action", "NotAction") if name in statement}
    return _meant({name: [str(one).lower() for one in _many(value)] for name, value in named.items()}, "Action", _SENDING)


def _of_sns(statement: Mapping[str, Any]) -> bool:
    if "NotPrincipal" in statement:  # everybody but these
        return not _is_sns(statement["NotPrincipal"])
    return _is_sns(statement.get("Principal"))


def _is_sns(principal: object) -> bool:
    if not isinstance(principal, Mapping):
        return principal == "*"
    services = _many(principal.get("Service"))
    return _SERVICE in services or "*" in services or "*" in _many(principal.get("AWS"))


def _conditions(statement: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Each condition: how it compares, what, with which values. The case of operators and keys says nothing."""
    condition = statement.get("Condition")
    if not isinstance(condition, Mapping):
        return []
    return [
        (str(operator).lower(), str(key).lower(), [str(one) for one in _many(patterns)])
        for operator, wanted in condition.items()
        for key, patterns in (wanted.items() if isinstance(wanted, Mapping) else [("", [])])
    ]


def _names(statement: Mapping[str, Any], topic: str) -> bool:
    """Whether what SNS sends for this topic meets every condition, of which one names it."""
    found = _conditions(statement)
    fields = topic.split(":")
    known = {_ARN: topic, _ACCOUNT: fields[4] if len(fields) > 4 else ""}
    return any(key == _ARN for _, key, _ in found) and all(
        key in known and _fits(operator, patterns, known[key]) for operator, key, patterns in found
    )


def _fits(operator: str, patterns: Sequence[str], value: str) -> bool:
    if operator not in _COMPARISONS:
        return False
    if operator in _ARNS:
        return any(_like_arn(pattern, value) for pattern in patterns)
    return any(_like(pattern, value) if operator == "stringlike" else pattern == value for pattern in patterns)


def _limits(statement: Mapping[str, Any]) -> bool:
    """Whether a condition says who it is that sends; one that only applies where its key is there (`...IfExists`) does not."""
    return any(
        key in _LIMITING
        and (operator in _COMPARISONS or operator == "ipaddress")
        and not any(_is_anybody(pattern, key, exact=operator == "stringequals") for pattern in patterns)
        for operator, key, patterns in _conditions(statement)
    )


def _is_anybody(pattern: str, key: str, *, exact: bool) -> bool:
    """Whether a value fits what anybody may be: an ARN of any account (a bucket's has none, but its own name), any address."""
    if exact:
        return False
    if key == "aws:sourceip":
        return pattern.endswith("/0")
    fields = pattern.split(":", 5)
    if key not in {_ARN, "aws:principalarn"} or len(fields) < 6:
        return pattern.startswith(_WILD) or (key == _ARN and "*" in pattern)
    is_bucket = fields[2] == "s3" and fields[5] != "" and not fields[5].startswith(_WILD)
    return not is_bucket and (not fields[4] or any(sign in fields[4] for sign in _WILD))


def _like_arn(pattern: str, arn: str) -> bool:
    """Whether an ARN is like a pattern: each of its six parts for itself, as `*` spans no colon between them."""
    wanted, found = pattern.split(":", 5), arn.split(":", 5)
    return len(wanted) == len(found) and all(_like(one, part) for one, part in zip(wanted, found, strict=True))


def _like(pattern: str, text: str) -> bool:
    """Whether a text is like a pattern, in which `*` and `?` alone have a meaning."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))
