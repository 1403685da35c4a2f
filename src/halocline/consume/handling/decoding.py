"""Decoding: the bodies of messages as what handlers are annotated with.

Neither pydantic nor msgspec is imported here before a type of theirs came.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Iterator
from typing import Any

from halocline.models import codec_of
from halocline.plain import reader_of


def decoder_of(kind: Any) -> Callable[[str], Any]:
    """What makes a value of that type of a body: of those of `codec_of`, and of a dict or a list of such, with what is in it. It
    may raise anything a user's validator raises.

    Raises: FixConfig for a type that no body is read as.
    """
    decode: Callable[[str], Any]
    if typing.get_origin(kind) not in (dict, list):
        return codec_of(kind).decode
    inside = list(_leaves(kind))
    if any(hasattr(one, "model_validate_json") or hasattr(one, "__pydantic_validator__") for one in inside):
        from pydantic import TypeAdapter

        adapter: Any = TypeAdapter(kind)
        decode = adapter.validate_json
        return decode
    if any(hasattr(one, "__struct_fields__") for one in inside):
        import msgspec

        decode = msgspec.json.Decoder(kind).decode
        return decode
    read = reader_of(kind)
    return lambda body: read(json.loads(body))


def _leaves(kind: Any) -> Iterator[Any]:
    """The types that a type is made of, and that are made of no others."""
    parts = typing.get_args(kind)
    if not parts:
        yield kind
    for part in parts:
        yield from _leaves(part)
