"""Models: messages of a type, to JSON and back: pydantic models, msgspec structs, dataclasses; `dict`, `list`, `str` as they are.

Neither pydantic nor msgspec is imported here before a type of theirs came.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from halocline.errors import FixConfig
from halocline.plain import reader_of, writable

Model = TypeVar("Model")

_UNSENDABLE = {sign: f"\\u{ord(sign):04x}" for sign in "\ufffe\uffff"}
"""The two characters that JSON leaves as they are and SQS refuses.
Source: "SendMessage", read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""


@dataclass(frozen=True, slots=True)
class Codec(Generic[Model]):
    """How messages of one type become bodies, and bodies messages. `decode` may raise anything a user's validator raises."""

    encode: Callable[[Model], str]
    decode: Callable[[str], Model]


def codec_of(model: type[Model]) -> Codec[Model]:
    """How messages of that type are sent.

    Raises: FixConfig for a type that cannot be.
    """
    if model is str:
        return Codec(str, str)  # type: ignore[arg-type]  # the type of a text is Model here
    if hasattr(model, "model_validate_json"):
        return _json(_pydantic(model))
    if hasattr(model, "__struct_fields__"):
        return _json(_msgspec(model))
    if dataclasses.is_dataclass(model):
        return _json(_dataclass(model))
    if model in (dict, list):
        return _json(Codec(_dumps, _expecting(model)))
    hint = "Give a pydantic model, a msgspec Struct, a dataclass, dict, list or str."
    raise FixConfig("Opening a queue of messages", f"{model!r} is no type of messages", hint=hint)


def _json(codec: Codec[Any]) -> Codec[Any]:
    def encode(message: Any) -> str:
        body = codec.encode(message)
        if body.isascii() or not any(sign in body for sign in _UNSENDABLE):
            return body
        for sign, escaped in _UNSENDABLE.items():
            body = body.replace(sign, escaped)
        return body

    return Codec(encode, codec.decode)


def _pydantic(model: Any) -> Codec[Any]:
    return Codec(lambda message: str(model.model_dump_json(message, by_alias=True)), model.model_validate_json)


def _msgspec(model: Any) -> Codec[Any]:
    import msgspec

    encoder = msgspec.json.Encoder()
    return Codec(lambda message: encoder.encode(message).decode(), msgspec.json.Decoder(model).decode)


def _dataclass(model: Any) -> Codec[Any]:
    validator = getattr(model, "__pydantic_validator__", None)  # a dataclass of pydantic's
    if validator is not None:
        serializer = model.__pydantic_serializer__
        return Codec(lambda message: serializer.to_json(message, by_alias=True).decode(), validator.validate_json)
    read = reader_of(model)
    return Codec(_dumps, lambda body: read(json.loads(body)))


def _expecting(model: type[Any]) -> Callable[[str], Any]:
    def decode(body: str) -> Any:
        found = json.loads(body)
        if not isinstance(found, model):
            raise ValueError(f"{type(found).__name__} came in place of {model.__name__}")  # noqa: TRY004 - data, not a call
        return found

    return decode


def _dumps(message: object) -> str:
    return json.dumps(message, default=writable, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
