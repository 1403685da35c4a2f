"""Laws of messages by type: there and back, and what is said of a body that is none."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from hypothesis import given
from hypothesis import strategies as some

from halocline.errors import FixConfig
from halocline.models import codec_of


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Part:
    number: int
    inner: list[Part] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Plain:
    text: str
    number: int
    share: float
    flag: bool
    amount: Decimal
    at: datetime
    day: date
    clock: time
    key: UUID
    data: bytes
    colour: Colour
    parts: list[Part]
    by_name: dict[str, Part]
    by_number: dict[int, str]
    pair: tuple[int, str]
    many: tuple[int, ...]
    tags: frozenset[str]
    choice: Literal["a", 1]
    anything: Any
    bounded: Annotated[int, "positive"]
    either: int | str
    maybe: str | None = None
    made: int = dataclasses.field(init=False, default=7)


class Model(pydantic.BaseModel):
    text: str
    number: int = pydantic.Field(alias="theNumber")


class Struct(msgspec.Struct):
    text: str
    number: int


@pydantic.dataclasses.dataclass
class Checked:
    text: str
    number: int


PLAIN = Plain(
    text="ä\u2028\uffff\ufffe\0",
    number=2**70,
    share=0.1,
    flag=True,
    amount=Decimal("1.10"),
    at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    day=date(2026, 1, 2),
    clock=time(3, 4),
    key=UUID(int=1),
    data=b"\0\xff",
    colour=Colour.RED,
    parts=[Part(1, [Part(2)])],
    by_name={"a": Part(3)},
    by_number={1: "x"},
    pair=(1, "x"),
    many=(1, 2),
    tags=frozenset({"t"}),
    choice=1,
    anything={"a": [None, 1.5]},
    bounded=3,
    either="x",
)


@pytest.mark.parametrize(
    "message",
    [
        PLAIN,
        Model(text="\uffff\x7f\x01", theNumber=1),
        Struct("\uffff\x7f\x01", 1),
        Checked("\uffff\x7f\x01", 1),
        {"a": ["\uffff", 1]},
        ["\ufffe"],
        "as it is",
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_comes_back_as_it_was(message: Any) -> None:
    """Of every kind of type, and its body holds no character that SQS refuses."""
    codec = codec_of(type(message))
    body = codec.encode(message)
    assert codec.decode(body) == message
    assert not {sign for sign in body if sign in "\ufffe\uffff" or ord(sign) < 32}


@given(some.text(), some.integers(), some.none() | some.text())
def test_any_text_comes_back(text: str, number: int, maybe: str | None) -> None:
    """Surrogates aside, which are no text."""
    codec = codec_of(Plain)
    message = dataclasses.replace(PLAIN, text=text, number=number, maybe=maybe)
    assert codec.decode(codec.encode(message)) == message


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"number": "1"}, "number: str came in place of int"),
        ({"number": True}, "number: bool came in place of int"),
        ({"number": 1.0}, "number: float came in place of int"),
        ({"text": 1}, "text: int came in place of str"),
        ({"text": None}, "text: NoneType came in place of str"),
        ({"at": "soon"}, "at: Invalid isoformat string: 'soon'"),
        ({"amount": "x"}, "amount: "),
        ({"amount": 1.1}, "amount: float came in place of a decimal as text"),
        ({"key": "x"}, "key: "),
        ({"data": "%"}, "data: "),
        ({"colour": "blue"}, "colour: 'blue' is not a valid Colour"),
        ({"parts": [{"number": 1, "inner": [{}]}]}, "parts: 0: inner: 0: number: it is missing"),
        ({"parts": {}}, "parts: dict came in place of list"),
        ({"by_name": []}, "by_name: list came in place of dict"),
        ({"by_number": {"x": "y"}}, "by_number: "),
        ({"pair": [1]}, "pair: 1 values came in place of 2"),
        ({"choice": True}, "choice: bool came in place of 'a' or 1"),
        ({"either": None}, "either: NoneType came in place of int / NoneType came in place of str"),
    ],
)
def test_a_value_of_another_type_is_told_with_its_place(changes: dict[str, Any], told: str) -> None:
    """Nothing is converted on the quiet."""
    codec = codec_of(Plain)
    body = json.dumps({**json.loads(codec.encode(PLAIN)), **changes})
    with pytest.raises(ValueError, match=f"^{told}"):
        codec.decode(body)


def test_unknown_names_are_left_out_and_defaults_are_used() -> None:
    """As pydantic and msgspec do it."""
    assert codec_of(Part).decode('{"number": 1, "later": 2}') == Part(1)


@pytest.mark.parametrize("body", ["", "nope", "[]", "null", '{"text": 1, "number": "x"}', '{"text": "x"}'])
@pytest.mark.parametrize("model", [Model, Struct, Checked, Part, dict])
def test_a_body_that_is_none_is_refused(model: type[Any], body: str) -> None:
    """With some exception of the type's own; a dict takes any object."""
    if model is dict and body.startswith("{"):
        assert codec_of(model).decode(body) == json.loads(body)
        return
    with pytest.raises(Exception, match=r"."):
        codec_of(model).decode(body)


@dataclasses.dataclass
class Unknown:
    value: complex


@pytest.mark.parametrize("model", [int, object, Unknown, 1])
def test_a_type_without_a_form_is_refused_at_once(model: Any) -> None:
    """Before any message is sent."""
    with pytest.raises(FixConfig, match="pydantic model"):
        codec_of(model)


def test_what_json_cannot_hold_is_not_sent() -> None:
    """A NaN, and an object of some class."""
    codec = codec_of(dict)
    with pytest.raises(ValueError, match="Out of range"):
        codec.encode({"a": float("nan")})
    with pytest.raises(TypeError, match="object cannot be sent"):
        codec.encode({"a": object()})
