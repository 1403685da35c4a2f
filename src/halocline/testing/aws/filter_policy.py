"""Filter policies of subscriptions.

Source: Amazon SNS Developer Guide, "Amazon SNS subscription filter policies": https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from math import prod
from typing import Any

_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MOST_KEYS = 5
_MOST_COMBINATIONS = 150
_KNOWN = {"prefix", "suffix", "anything-but", "numeric", "exists", "equals-ignore-case", "cidr", "wildcard"}


def check(policy: Any) -> None:
    """Whether a policy is one.
    Raises: ValueError.
    """
    if not isinstance(policy, Mapping) or not policy:
        raise ValueError("Filter policy must be an object with at least one key")
    for key, wanted in policy.items():
        if key == "$or" and isinstance(wanted, Sequence):
            for one in wanted:
                check(one)
        elif isinstance(wanted, Mapping):
            check(wanted)
        elif not isinstance(wanted, list) or not wanted:
            raise ValueError(f'"{key}" must be an object or an array')
        else:
            for one in wanted:
                _check_rule(one)


def check_size(policy: Mapping[str, Any]) -> None:
    """Whether SNS takes a policy as large as that. Of `$or`, and of keys inside keys, the values are not counted.

    Source: Amazon SNS Developer Guide, "Filter policy constraints".
    Raises: ValueError.
    """
    if len(policy) > _MOST_KEYS:
        raise ValueError(f"Filter policy can not have more than {_MOST_KEYS} keys")
    plain = [rules for key, rules in policy.items() if isinstance(rules, list) and key != "$or"]
    if prod(len(rules) for rules in plain) > _MOST_COMBINATIONS:
        raise ValueError("Filter policy is too complex")


def matches(policy: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether every key of a policy is satisfied by one of its rules."""
    for key, wanted in policy.items():
        if key == "$or" and isinstance(wanted, Sequence):
            if not any(matches(one, values) for one in wanted):
                return False
        elif isinstance(wanted, Mapping):
            inside = values.get(key)
            found = inside if isinstance(inside, list) else [inside]
            if not any(matches(wanted, one) for one in found if isinstance(one, Mapping)):
                return False
        elif not _any(wanted, key in values, found=values.get(key)):
            return False
    return True


def _any(rules: Sequence[Any], is_there: bool, *, found: Any) -> bool:  # noqa: FBT001  # a fact about the key
    several = found if isinstance(found, list) else [found]
    for rule in rules:
        if isinstance(rule, Mapping) and "exists" in rule:
            if rule["exists"] is is_there:
                return True
        elif is_there and any(_fits(rule, value) for value in several):
            return True
    return False


def _fits(rule: Any, value: Any) -> bool:
    if not isinstance(rule, Mapping):
        return _same(rule, value)
    (name, wanted), *_ = rule.items()
    if name == "anything-but":
        return not _unwanted(wanted, value)
    if name == "numeric":
        return _is_number(value) and all(
            _COMPARED[sign](value, bound) for sign, bound in zip(wanted[::2], wanted[1::2], strict=True)
        )
    return isinstance(value, str) and _fits_text(name, wanted, text=value)


def _fits_text(name: str, wanted: Any, *, text: str) -> bool:
    if name == "prefix":
        return text.startswith(wanted)
    if name == "suffix":
        return text.endswith(wanted)
    if name == "equals-ignore-case":
        return text.lower() == str(wanted).lower()
    if name == "wildcard":
        return _fits_wildcard(str(wanted), text)
    try:
        return ip_address(text) in ip_network(wanted)
    except ValueError:
        return False


def _fits_wildcard(pattern: str, text: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    if not text.startswith(first) or not text.endswith(rest[-1]) or len(text) < len(first) + len(rest[-1]):
        return False
    at, end = len(first), len(text) - len(rest[-1])
    for part in rest[:-1]:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _unwanted(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, Mapping):
        (name, bounds), *_ = wanted.items()
        several = bounds if isinstance(bounds, list) else [bounds]
        return any(isinstance(value, str) and _fits_text(name, one, text=value) for one in several)
    return any(_same(one, value) for one in (wanted if isinstance(wanted, list) else [wanted]))


def _same(wanted: Any, value: Any) -> bool:
    if _is_number(wanted) and _is_number(value):
        return bool(wanted == value)
    return type(wanted) is type(value) and bool(wanted == value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_rule(rule: Any) -> None:
    if not isinstance(rule, Mapping):
        return
    if len(rule) != 1 or not rule.keys() <= _KNOWN:
        raise ValueError(f"Unrecognized match type {', '.join(rule)}")
    bounds = rule.get("numeric", [])
    if len(bounds) % 2 or any(sign not in _COMPARED for sign in bounds[::2]):
        raise ValueError("Invalid value for a numeric match")
