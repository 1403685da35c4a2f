"""Updates: SET, REMOVE, ADD and DELETE, how they are read, and the item that they make of another.

Source: "Update expressions", https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from halocline.testing.aws.dynamodb_expression import Call, Given, Operand, Path, Words
from halocline.testing.aws.dynamodb_projection import Projection
from halocline.testing.aws.dynamodb_reply import one_or_more, refused
from halocline.testing.aws.dynamodb_value import Item, Value, equal, kind_of, number
from halocline.testing.aws.errors import AWSError

_SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")
_FUNCTIONS = {"if_not_exists": 2, "list_append": 2}
_SUM = Context(prec=200)
_TYPE_NAMES = {"S": "STRING", "N": "NUMBER", "B": "BINARY", "BOOL": "BOOLEAN", "NULL": "NULL", "L": "LIST", "M": "MAP"}
_WRONG_TYPE = "An operand in the update expression has an incorrect data type"
_WRONG_PATH = "The document path provided in the update expression is invalid for update"
_NOT_THERE = "The provided expression refers to an attribute that does not exist in the item"


@dataclass(frozen=True, slots=True)
class Sum:
    """Two numbers, added or (sign -) subtracted."""

    sign: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Action:
    """What one section does at one path; REMOVE has no operand."""

    section: str
    path: Path
    operand: Operand | Sum | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """All that an update expression does."""

    actions: tuple[Action, ...] = ()

    @property
    def paths(self) -> list[Path]:
        return [action.path for action in self.actions]

    def check(self, key: tuple[str, ...]) -> None:
        """Raises: AWSError where it changes the key."""
        for path in self.paths:
            if path.steps[0] in key:
                raise one_or_more(f"Cannot update attribute {path.steps[0]}. This attribute is part of the key")

    def made(self, item: Item) -> Item:
        """What it makes of an item, which stays as it is. All values are those before the update.
        Raises: AWSError for what cannot be done to this item.
        """
        after = copy.deepcopy(item)
        values = [(action, _value(action.operand, item)) for action in self.actions]
        for action, value in values:
            if action.section != "REMOVE":
                _WORK[action.section](after, action.path, value)
        gone = [action.path for action, _ in values if action.section == "REMOVE"]
        for path in sorted(gone, key=_last_first, reverse=True):
            _remove(after, path)
        return after


def update(words: Words) -> Update:
    """The update that these words make.
    Raises: AWSError for words that make none.
    """
    actions: list[Action] = []
    seen: set[str] = set()
    while not words.is_done:
        section = words.take(*_SECTIONS)
        if section is None:
            raise words.unexpected()
        if section in seen:
            raise words.wrong(f'The "{section}" section can only be used once in an update expression;')
        seen.add(section)
        actions.append(_action(words, section))
        while words.take(","):
            actions.append(_action(words, section))
    _check_overlap(words, [action.path for action in actions])
    return Update(tuple(actions))


def _action(words: Words, section: str) -> Action:
    path = words.path()
    if section == "REMOVE":
        return Action(section, path)
    if section == "SET":
        words.need("=")
        return Action(section, path, _sum(words))
    value = words.given()
    if value is None:
        raise words.unexpected()
    kind = kind_of(value.value)
    if kind not in ("SS", "NS", "BS") and not (section == "ADD" and kind == "N"):
        why = "Incorrect operand type for operator or function; operator"
        raise words.wrong(f"{why}: {section}, operand type: {_TYPE_NAMES[kind]}")
    return Action(section, path, value)


def _sum(words: Words) -> Operand | Sum:
    left = _operand(words)
    if sign := words.take("+", "-"):
        return Sum(sign, left, _operand(words))
    return left


def _operand(words: Words) -> Operand:
    if words.take("("):
        found = _operand(words)
        words.need(")")
        return found
    name = words.function()
    if name is None:
        return words.given() or words.path()
    if name not in _FUNCTIONS:
        raise words.wrong(f"Invalid function name; function: {name}")
    args = [_operand(words)]
    while words.take(","):
        args.append(_operand(words))
    words.need(")")
    if len(args) != _FUNCTIONS[name]:
        why = "Incorrect number of operands for operator or function; operator or function"
        raise words.wrong(f"{why}: {name}, number of operands: {len(args)}")
    if name == "if_not_exists" and not isinstance(args[0], Path):
        raise words.wrong(f"Operator or function requires a document path; operator or function: {name}")
    return Call(name, tuple(args))


def _check_overlap(words: Words, paths: list[Path]) -> None:
    for at, one in enumerate(paths):
        for other in paths[at + 1 :]:
            told = f"must remove or rewrite one of these paths; path one: {one}, path two: {other}"
            both = list(zip(one.steps, other.steps, strict=False))
            if all(left == right for left, right in both):
                raise words.wrong(f"Two document paths overlap with each other; {told}")
            apart = next((left, right) for left, right in both if left != right)
            if type(apart[0]) is not type(apart[1]):
                raise words.wrong(f"Two document paths conflict with each other; {told}")


# ---- values


def _value(found: Operand | Sum | None, item: Item) -> Value:
    if isinstance(found, Given):
        return found.value
    if isinstance(found, Path):
        value = found.get(item)
        if value is None:
            raise refused(_NOT_THERE)
        return value
    if isinstance(found, Sum):
        return _summed(found.sign, _value(found.left, item), _value(found.right, item))
    return {} if found is None else _called(found, item)


def _summed(sign: str, left: Value, right: Value) -> Value:
    if kind_of(left) != "N" or kind_of(right) != "N":
        raise refused(_WRONG_TYPE)
    one, other = Decimal(left["N"]), Decimal(right["N"])
    return {"N": number(str(_SUM.add(one, other) if sign == "+" else _SUM.subtract(one, other)))}


def _called(found: Call, item: Item) -> Value:
    if found.name == "if_not_exists":
        path = found.args[0]
        value = path.get(item) if isinstance(path, Path) else None
        return _value(found.args[1], item) if value is None else value
    left, right = (_value(one, item) for one in found.args)
    if kind_of(left) != "L" or kind_of(right) != "L":
        raise refused(_WRONG_TYPE)
    return {"L": left["L"] + right["L"]}


# ---- changes


def _holder(item: Item, path: Path) -> Any:
    """The map or list that holds, or can hold, what the path's last step names; None where there is none."""
    found: Any = {"M": item} if len(path.steps) == 1 else Path(path.steps[:-1]).get(item)
    return None if found is None else found.get("L" if isinstance(path.steps[-1], int) else "M")


def _set(item: Item, path: Path, value: Value) -> None:
    holder, last = _holder(item, path), path.steps[-1]
    if holder is None:
        raise refused(_WRONG_PATH)
    if isinstance(last, int) and last >= len(holder):
        holder.append(copy.deepcopy(value))  # Source: the page above: behind the end "it is appended to the end of the list"
    else:
        holder[last] = copy.deepcopy(value)


def _remove(item: Item, path: Path) -> None:
    holder, last = _holder(item, path), path.steps[-1]
    if holder is None:
        raise refused(_WRONG_PATH)
    if isinstance(last, int):
        del holder[last : last + 1]
    else:
        holder.pop(last, None)


def _add(item: Item, path: Path, value: Value) -> None:
    before = path.get(item)
    if before is None:
        _set(item, path, value)
        return
    kind = kind_of(value)
    if kind_of(before) != kind:
        raise refused(_WRONG_TYPE)
    if kind == "N":
        _set(item, path, _summed("+", before, value))
    else:
        _set(item, path, {kind: [*before[kind], *(one for one in value[kind] if one not in before[kind])]})


def _delete(item: Item, path: Path, value: Value) -> None:
    before = path.get(item)
    if before is None:
        if _holder(item, path) is None:
            raise refused(_WRONG_PATH)
        return
    kind = kind_of(value)
    if kind_of(before) != kind:
        raise refused(_WRONG_TYPE)
    left = [one for one in before[kind] if one not in value[kind]]
    if left:
        _set(item, path, {kind: left})
    else:
        _remove(item, path)  # Source: the page above, DELETE: an empty set is no value


_WORK = {"SET": _set, "ADD": _add, "DELETE": _delete}


def _last_first(path: Path) -> list[tuple[bool, str | int]]:
    """The order in which what is removed from a list does not move what is to be removed."""
    return [(isinstance(step, int), step) for step in path.steps]


# ---- what is told of an update


def changed(before: Item, after: Item, *, paths: list[Path], wanted: str) -> Item:
    """What `ReturnValues` asks for of an update at these paths."""
    if wanted in ("ALL_OLD", "ALL_NEW"):
        return before if wanted == "ALL_OLD" else after
    return Projection(tuple(paths)).of(before if wanted == "UPDATED_OLD" else after)


def is_same(before: Item | None, after: Item | None) -> bool:
    """Whether nothing was changed."""
    if before is None or after is None:
        return before is after
    return equal({"M": before}, {"M": after})


RETURNS: Mapping[str, tuple[str, ...]] = {
    "PutItem": ("NONE", "ALL_OLD"),
    "DeleteItem": ("NONE", "ALL_OLD"),
    "UpdateItem": ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"),
}


def returns(params: Mapping[str, Any], operation: str) -> str:
    """The `ReturnValues` of a request.
    Raises: AWSError for one that the operation does not know.
    """
    wanted = str(params.get("ReturnValues") or "NONE")
    if wanted in RETURNS[operation]:
        return wanted
    if wanted in RETURNS["UpdateItem"]:
        raise refused("ReturnValues can only be ALL_OLD or NONE")
    raise _not_one_of("returnValues", wanted)


def _not_one_of(name: str, value: str) -> AWSError:
    told = f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint"
    return refused(f"{told}: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]")
