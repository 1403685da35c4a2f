"""Expressions: their words, and the trees that conditions are read into.

Source: "Condition and filter expressions, operators, and functions",
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html. The words of refusals are
the service's as https://github.com/architect/dynalite has recorded them from it; what stands behind `near:` is unverified.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from halocline.testing.aws.dynamodb_reply import refused
from halocline.testing.aws.dynamodb_value import Value, checked
from halocline.testing.aws.dynamodb_words import RESERVED
from halocline.testing.aws.errors import AWSError

T = TypeVar("T")
_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),.\[\]+-]|[#:]?\w+|\S)", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_END = "<EOF>"


@dataclass(frozen=True, slots=True)
class Path:
    """Where in an item: names of attributes and places in lists."""

    steps: tuple[str | int, ...]

    def __str__(self) -> str:
        return "[" + ", ".join(f"[{step}]" if isinstance(step, int) else step for step in self.steps) + "]"

    def get(self, item: Mapping[str, Value]) -> Value | None:
        """What is there, or None."""
        found: Any = {"M": item}
        for step in self.steps:
            content = found.get("L") if isinstance(step, int) else found.get("M")
            if isinstance(step, int):
                found = content[step] if content is not None and step < len(content) else None
            else:
                found = content.get(step) if content is not None else None
            if found is None:
                return None
        return found  # type: ignore[no-any-return]  # a value, as all in an item are


@dataclass(frozen=True, slots=True)
class Given:
    """A value that the request brings."""

    value: Value


@dataclass(frozen=True, slots=True)
class Call:
    """A function of paths and values."""

    name: str
    args: tuple[Operand, ...]


Operand = Path | Given | Call


@dataclass(slots=True)
class Names:
    """What `#name` and `:value` stand for in the expressions of one request, and which of them were used."""

    names: Mapping[str, str]
    values: Mapping[str, Any]
    used: set[str] = field(default_factory=set)
    checked: dict[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, params: Mapping[str, Any], expressions: Iterable[str]) -> Names:
        """Those of a request that may have such expressions.
        Raises: AWSError for ones that no expression can use.
        """
        wanted = tuple(expressions)
        names, values = params.get("ExpressionAttributeNames"), params.get("ExpressionAttributeValues")
        is_there = any(params.get(one) is not None for one in wanted)
        if names is not None and not is_there:
            raise refused("ExpressionAttributeNames can only be specified when using expressions")
        takers = [one for one in wanted if one != "ProjectionExpression"]
        if values is not None and not any(params.get(one) is not None for one in takers):
            why = f"{' and '.join(takers)} {'are' if len(takers) > 1 else 'is'} null"
            raise refused(f"ExpressionAttributeValues can only be specified when using expressions: {why}")
        for told, given in (("Names", names), ("Values", values)):
            if given is not None and not given:
                raise refused(f"ExpressionAttribute{told} must not be empty")
        return cls(names or {}, values or {})

    def name(self, token: str) -> str:
        """The attribute that `#name` stands for."""
        if token not in self.names:
            raise refused(f"An expression attribute name used in the document path is not defined; attribute name: {token}")
        self.used.add(token)
        return self.names[token]

    def value(self, token: str) -> Given:
        """The value that `:value` stands for."""
        if token not in self.values:
            raise refused(f"An expression attribute value used in expression is not defined; attribute value: {token}")
        self.used.add(token)
        if token not in self.checked:
            try:
                self.checked[token] = checked(self.values[token])[0]
            except AWSError as error:
                why = f"ExpressionAttributeValues contains invalid value: {error.message} for key {token}"
                raise refused(why) from error
        return Given(self.checked[token])

    def end(self) -> None:
        """Raises: AWSError where something was defined and not used."""
        for told, given in (("Names", self.names), ("Values", self.values)):
            unused = [name for name in given if name not in self.used]
            if unused:
                raise refused(f"Value provided in ExpressionAttribute{told} unused in expressions: keys: {{{', '.join(unused)}}}")


class Words:
    """The words of one expression, read from the left; `kind` is the parameter that brought it."""

    def __init__(self, text: object, names: Names, *, kind: str) -> None:
        if not isinstance(text, str):
            raise AWSError("SerializationException", f"{kind} is no text")
        self.kind = kind
        self._names = names
        self._tokens: list[str] = [*_TOKEN.findall(text), _END]
        self._at = 0
        if len(self._tokens) == 1:
            raise self.wrong("The expression can not be empty;")

    @property
    def next(self) -> str:
        return self._tokens[self._at]

    @property
    def is_done(self) -> bool:
        return self._at == len(self._tokens) - 1

    def take(self, *wanted: str) -> str | None:
        """The next word if it is one of these, written in large or small letters."""
        if self.next.upper() not in wanted or self.is_done:
            return None
        self._at += 1
        return self._tokens[self._at - 1].upper()

    def need(self, wanted: str) -> None:
        """Pass over this word.
        Raises: AWSError where another one is next.
        """
        if self.take(wanted) is None:
            raise self.unexpected()

    def is_bracketed(self) -> bool:
        """Whether all up to the end of the bracket that was just passed over is in another one, as in ((a))."""
        if self.next != "(":
            return False
        depth = 0
        for at in range(self._at, len(self._tokens)):
            depth += (self._tokens[at] == "(") - (self._tokens[at] == ")")
            if not depth:
                return self._tokens[at + 1] == ")"
        return False

    def end(self) -> None:
        """Raises: AWSError where more is to come."""
        if not self.is_done:
            raise self.unexpected()

    def wrong(self, reason: str) -> AWSError:
        """A refusal of this expression."""
        return refused(f"Invalid {self.kind}: {reason}")

    def unexpected(self) -> AWSError:
        """A refusal of the next word."""
        near = [word for word in self._tokens[max(self._at - 1, 0) : self._at + 2] if word != _END]
        return self.wrong(f'Syntax error; token: "{self.next}", near: "{" ".join(near)}"')

    def path(self) -> Path:
        """A document path.
        Raises: AWSError for what is none.
        """
        steps: list[str | int] = [self._name()]
        while mark := self.take(".", "["):
            if mark == ".":
                steps.append(self._name())
                continue
            if not self.next.isdecimal():
                raise self.unexpected()
            steps.append(int(self.next))
            self._at += 1
            self.need("]")
        return Path(tuple(steps))

    def given(self) -> Given | None:
        """A value of the request, if one is next."""
        if not self.next.startswith(":") or len(self.next) < 2:
            return None
        self._at += 1
        return self._told(lambda: self._names.value(self._tokens[self._at - 1]))

    def function(self) -> str | None:
        """The name of a function, if one is next; its bracket is passed over."""
        if not _NAME.fullmatch(self.next) or self._tokens[self._at + 1] != "(":
            return None
        self._at += 2
        return self._tokens[self._at - 2]

    def _name(self) -> str:
        word = self.next
        if word.startswith("#") and len(word) > 1:
            self._at += 1
            return self._told(lambda: self._names.name(word))
        if not _NAME.fullmatch(word):
            raise self.unexpected()
        if word.upper() in RESERVED:
            raise self.wrong(f"Attribute name is a reserved keyword; reserved keyword: {word}")
        self._at += 1
        return word

    def _told(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except AWSError as error:
            if error.message.startswith("ExpressionAttribute"):
                raise
            raise self.wrong(error.message) from error
