"""Conditions: how they are read, and whether an item fulfils them.

Source: "Condition and filter expressions, operators, and functions",
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from halocline.testing.aws.dynamodb_expression import Call, Given, Operand, Path, Words
from halocline.testing.aws.dynamodb_value import KINDS, Item, Value, decoded, equal, kind_of, ordered
from halocline.testing.aws.errors import AWSError

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COMPARISONS = ("=", "<>", *_COMPARE)
_OPERANDS = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
    "size": 1,
}
_OF_PATHS = ("attribute_exists", "attribute_not_exists")
_MOST_IN = 100  # Source: the page above: "up to 100 values"


@dataclass(frozen=True, slots=True)
class Compare:
    """One of = <> < <= > >= between two operands."""

    sign: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    """An operand that is neither below nor above two others."""

    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    """An operand that is one of others."""

    operand: Operand
    others: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    of: Condition


@dataclass(frozen=True, slots=True)
class Both:
    """AND, or OR, of some conditions."""

    word: str
    of: tuple[Condition, ...]


Condition = Compare | Between | In | Not | Both | Call


def condition(words: Words) -> Condition:
    """The condition that these words make.
    Raises: AWSError for words that make none.
    """
    found = _or(words)
    words.end()
    if not _is_condition(found):
        if isinstance(found, Call):
            raise _misused(words, found)
        raise words.unexpected()
    return found  # type: ignore[return-value]  # seen in the line above


def paths_of(found: Condition | Operand) -> list[Path]:
    """All document paths of a condition."""
    if isinstance(found, Path):
        return [found]
    if isinstance(found, Given):
        return []
    parts: tuple[Condition | Operand, ...]
    match found:
        case Call():
            parts = found.args
        case Compare():
            parts = (found.left, found.right)
        case Between():
            parts = (found.operand, found.low, found.high)
        case In():
            parts = (found.operand, *found.others)
        case Not():
            parts = (found.of,)
        case Both():
            parts = found.of
    return [path for part in parts for path in paths_of(part)]


def holds(found: Condition, item: Item) -> bool:
    """Whether an item fulfils a condition."""
    match found:
        case Both("AND", of):
            return all(holds(one, item) for one in of)
        case Both(_, of):
            return any(holds(one, item) for one in of)
        case Not(of_one):
            return not holds(of_one, item)
        case Compare(sign, left, right):
            return _compared(sign, _value(left, item), _value(right, item))
        case Between(operand, low, high):
            value = _value(operand, item)
            return _compared(">=", value, _value(low, item)) and _compared("<=", value, _value(high, item))
        case In(operand, others):
            value = _value(operand, item)
            return any(_compared("=", value, _value(other, item)) for other in others)
        case Call(name, args):
            return _FUNCTIONS[name](*(_value(one, item) for one in args))


# ---- reading


def _or(words: Words) -> Condition | Operand:
    return _joined(words, "OR", _and)


def _and(words: Words) -> Condition | Operand:
    return _joined(words, "AND", _not)


def _joined(words: Words, word: str, part: Callable[[Words], Condition | Operand]) -> Condition | Operand:
    found = [part(words)]
    while words.take(word):
        found.append(part(words))
    if len(found) == 1:
        return found[0]
    return Both(word, tuple(_needed(words, one) for one in found))


def _not(words: Words) -> Condition | Operand:
    if words.take("NOT"):
        return Not(_needed(words, _not(words)))
    return _comparison(words)


def _needed(words: Words, found: Condition | Operand) -> Condition:
    if not _is_condition(found):
        raise words.unexpected()
    return found  # type: ignore[return-value]  # seen in the line above


def _is_condition(found: Condition | Operand) -> bool:
    return not isinstance(found, (Path, Given)) and not (isinstance(found, Call) and found.name == "size")


def _comparison(words: Words) -> Condition | Operand:
    """A comparison, a function, or all of a condition in brackets."""
    left = _operand(words, whole=True)
    if _is_condition(left) and not isinstance(left, Call):
        return left
    if sign := words.take(*_COMPARISONS):
        return _checked_compare(words, Compare(sign, _plain(words, left), _plain(words, _operand(words))))
    if words.take("BETWEEN"):
        low = _plain(words, _operand(words))
        words.need("AND")
        return _checked_between(words, Between(_plain(words, left), low, _plain(words, _operand(words))))
    if words.take("IN"):
        words.need("(")
        return In(_plain(words, left), _arguments(words, most=_MOST_IN))
    return left


def _operand(words: Words, *, whole: bool = False) -> Condition | Operand:
    """An operand; `whole` conditions may be in brackets too, in one pair.

    Source: https://github.com/architect/dynalite/issues/99 and https://github.com/ExtendDB/extenddb/pull/71, tried on DynamoDB.
    """
    if words.take("("):
        is_doubled = words.is_bracketed()
        found = _or(words) if whole else _operand(words)
        words.need(")")
        if is_doubled:
            raise words.wrong("The expression has redundant parentheses;")
        return found
    if name := words.function():
        return _call(words, name)
    return words.given() or words.path()


def _plain(words: Words, found: Condition | Operand) -> Operand:
    """An operand that has a value."""
    if isinstance(found, Call) and found.name != "size":
        raise _misused(words, found)
    if not isinstance(found, (Path, Given, Call)):
        raise words.unexpected()
    return found


def _misused(words: Words, found: Call) -> AWSError:
    return words.wrong(f"The function is not allowed to be used this way in an expression; function: {found.name}")


def _arguments(words: Words, *, most: int) -> tuple[Operand, ...]:
    found = [_plain(words, _operand(words))]
    while words.take(","):
        found.append(_plain(words, _operand(words)))
    words.need(")")
    if len(found) > most:
        raise words.wrong(f"The IN operator is provided with too many operands; number of operands: {len(found)}")
    return tuple(found)


def _call(words: Words, name: str) -> Call:
    if name not in _OPERANDS:
        raise words.wrong(f"Invalid function name; function: {name}")
    args = _arguments(words, most=_MOST_IN)
    if len(args) != _OPERANDS[name]:
        why = "Incorrect number of operands for operator or function; operator or function"
        raise words.wrong(f"{why}: {name}, number of operands: {len(args)}")
    if name in _OF_PATHS and not isinstance(args[0], Path):
        raise words.wrong(f"Operator or function requires a document path; operator or function: {name}")
    _check_types(words, name, args=args)
    return Call(name, args)


def _check_types(words: Words, name: str, *, args: tuple[Operand, ...]) -> None:
    """Raises: AWSError for values that a function cannot take."""
    kinds = [kind_of(one.value) if isinstance(one, Given) else "" for one in args]
    if name == "begins_with":
        wrong = [kind for kind in kinds if kind and kind not in ("S", "B")]
    elif name == "size":
        wrong = [kind for kind in kinds if kind in ("N", "BOOL", "NULL")]
    elif name == "attribute_type":
        wrong = [kind for kind in kinds[1:] if kind != "S"]
    else:
        return
    if wrong:
        raise _wrong_type(words, name, wrong[0])
    if name == "attribute_type" and isinstance(args[1], Given) and args[1].value["S"] not in KINDS:
        why = f"Invalid attribute type name found; type: {args[1].value['S']}, valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}"
        raise words.wrong(why)


def _wrong_type(words: Words, name: str, kind: str) -> AWSError:
    why = "Incorrect operand type for operator or function; operator or function"
    return words.wrong(f"{why}: {name}, operand type: {kind}")


def _checked_compare(words: Words, found: Compare) -> Compare:
    for one in (found.left, found.right):
        if found.sign in _COMPARE and isinstance(one, Given) and ordered(one.value) is None:
            raise _wrong_type(words, found.sign, kind_of(one.value))
    if isinstance(found.left, Path) and found.left == found.right:
        why = "The first operand must be distinct from the remaining operands for this operator or function; operator"
        raise words.wrong(f"{why}: {found.sign}, first operand: {found.left}")
    return found


def _checked_between(words: Words, found: Between) -> Between:
    low, high = found.low, found.high
    for one in (low, high):
        if isinstance(one, Given) and ordered(one.value) is None:
            raise _wrong_type(words, "BETWEEN", kind_of(one.value))
    if not isinstance(low, Given) or not isinstance(high, Given):
        return found
    told = "; lower bound operand: AttributeValue: {}, upper bound operand: AttributeValue: {}"
    told = told.format(_told(low.value), _told(high.value))
    if kind_of(low.value) != kind_of(high.value):
        raise words.wrong(f"The BETWEEN operator requires same data type for lower and upper bounds{told}")
    if _compared(">", low.value, high.value):
        raise words.wrong(f"The BETWEEN operator requires upper bound to be greater than or equal to lower bound{told}")
    return found


def _told(value: Value) -> str:
    return "{" + ", ".join(f"{kind}:{content}" for kind, content in value.items()) + "}"


# ---- judging


def _value(found: Operand, item: Item) -> Value | None:
    if isinstance(found, Given):
        return found.value
    if isinstance(found, Path):
        return found.get(item)
    return _size(_value(found.args[0], item))


def _compared(sign: str, left: Value | None, right: Value | None) -> bool:
    if left is None or right is None:
        return sign == "<>" and left is not right
    if sign in ("=", "<>"):
        return equal(left, right) == (sign == "=")
    if kind_of(left) != kind_of(right):
        return False
    one, other = ordered(left), ordered(right)
    return one is not None and other is not None and _COMPARE[sign](one, other)


def _size(value: Value | None) -> Value | None:
    """How long a text is in characters, a binary in bytes, or how many are in what has members.

    Source: the page above; that characters are those of UTF-16, as in Java, is unverified.
    """
    if value is None:
        return None
    kind, content = next(iter(value.items()))
    if kind in ("N", "BOOL", "NULL"):
        return None
    if kind == "S":
        return {"N": str(len(content.encode("utf-16-le")) // 2)}
    return {"N": str(len(decoded(content) if kind == "B" else content))}


def _begins_with(value: Value | None, start: Value | None) -> bool:
    if value is None or start is None or kind_of(value) != kind_of(start):
        return False
    one, other = ordered(value), ordered(start)
    if isinstance(one, str) and isinstance(other, str):
        return one.startswith(other)
    return isinstance(one, bytes) and isinstance(other, bytes) and one.startswith(other)


def _contains(value: Value | None, part: Value | None) -> bool:
    if value is None or part is None:
        return False
    kind, content = next(iter(value.items()))
    if kind in ("S", "B") and kind == kind_of(part):
        return ordered(part) in ordered(value)  # type: ignore[operator]  # both texts, or both bytes
    if kind in ("SS", "NS", "BS"):
        return kind[0] == kind_of(part) and part[kind[0]] in content
    return kind == "L" and any(equal(one, part) for one in content)


def _is_of_type(value: Value | None, kind: Value | None) -> bool:
    return value is not None and kind is not None and kind_of(value) == kind.get("S")


_FUNCTIONS: Mapping[str, Callable[..., bool]] = {
    "attribute_exists": lambda value: value is not None,
    "attribute_not_exists": lambda value: value is None,
    "attribute_type": _is_of_type,
    "begins_with": _begins_with,
    "contains": _contains,
}
