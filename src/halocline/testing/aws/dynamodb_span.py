"""The stretch of a table or index that a key condition means.

Source: "Key condition expressions for the Query operation",
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html. The words of refusals are the
service's as https://github.com/architect/dynalite has recorded them from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from halocline.testing.aws.dynamodb_condition import Between, Both, Compare, Condition, In, Not
from halocline.testing.aws.dynamodb_expression import Call, Given, Operand, Path
from halocline.testing.aws.dynamodb_key import Key, behind, ended, escaped, hashed
from halocline.testing.aws.dynamodb_reply import one_or_more, refused
from halocline.testing.aws.dynamodb_shelf import Span
from halocline.testing.aws.dynamodb_value import Value, kind_of, sortable
from halocline.testing.aws.errors import AWSError

_TURNED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class _Part:
    """A condition on one attribute."""

    name: str
    sign: str
    values: tuple[Value, ...]


def span_of(found: Condition, key: Key) -> Span:
    """The stretch that a condition on a key means.
    Raises: AWSError for a condition that a Query cannot have.
    """
    parts: dict[str, _Part] = {}
    for one in _flat(found):
        part = _part(one)
        if part.name in parts:
            raise _wrong("KeyConditionExpressions must only contain one condition per key")
        parts[part.name] = part
    _check(parts, key)
    start = hashed(parts[key.names[0]].values[0])
    ranged = parts.get(key.names[1]) if len(key.names) > 1 else None
    return Span(start, behind(start)) if ranged is None else _ranged(start, ranged)


def _flat(found: Condition) -> list[Condition]:
    if isinstance(found, Both) and found.word == "AND":
        return [part for one in found.of for part in _flat(one)]
    return [found]


def _part(found: Condition) -> _Part:
    match found:
        case Both() | Not() | In():
            word = "IN" if isinstance(found, In) else "NOT" if isinstance(found, Not) else "OR"
            raise _wrong(f"Invalid operator used in KeyConditionExpression: {word}")
        case Compare("<>", _, _):
            raise _wrong("Invalid operator used in KeyConditionExpression: <>")
        case Compare(sign, Given(value), Path() as path):
            return _Part(_attribute(path), _TURNED[sign], (value,))
        case Compare(sign, left, right):
            return _Part(_attribute(left), sign, (_given(right),))
        case Between(operand, low, high):
            return _Part(_attribute(operand), "BETWEEN", (_given(low), _given(high)))
        case Call("begins_with", (path, start)):
            return _Part(_attribute(path), "begins_with", (_given(start),))
        case Call(name, _):
            raise _wrong(f"Invalid operator used in KeyConditionExpression: {name}")


def _attribute(found: Operand) -> str:
    if isinstance(found, Call):
        raise _wrong("KeyConditionExpressions cannot contain nested operations")
    if not isinstance(found, Path):
        raise _wrong("Invalid condition in KeyConditionExpression: No key attribute specified")
    if len(found.steps) > 1:
        raise _wrong("KeyConditionExpressions cannot have conditions on nested attributes")
    return str(found.steps[0])


def _given(found: Operand) -> Value:
    if isinstance(found, Path):
        raise _wrong("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
    if not isinstance(found, Given):
        raise _wrong("KeyConditionExpressions cannot contain nested operations")
    return found.value


def _check(parts: dict[str, _Part], key: Key) -> None:
    if len(parts) > 2:
        raise refused("Conditions can be of length 1 or 2 only")
    missing = [name for name in key.names[: len(parts)] if name not in parts]
    if missing:
        raise refused(f"Query condition missed key schema element: {missing[0]}")
    if parts[key.names[0]].sign != "=" or any(name not in key.names for name in parts):
        raise refused("Query key condition not supported")
    for name, kind in zip(key.names, key.kinds, strict=True):
        if name in parts and any(kind_of(value) != kind for value in parts[name].values):
            raise one_or_more("Condition parameter type does not match schema type")


def _ranged(start: bytes, part: _Part) -> Span:
    first = start + ended(sortable(part.values[0]))
    if part.sign == "begins_with":
        low = start + escaped(sortable(part.values[0]))
        return Span(low, behind(low))
    if part.sign == "BETWEEN":
        return Span(first, behind(start + ended(sortable(part.values[1]))))
    spans = {
        "=": Span(first, behind(first)),
        "<": Span(start, first),
        "<=": Span(start, behind(first)),
        ">": Span(behind(first) or first, behind(start)),
        ">=": Span(first, behind(start)),
    }
    return spans[part.sign]


def _wrong(reason: str) -> AWSError:
    return refused(f"Invalid KeyConditionExpression: {reason}")
