"""XML as AWS writes and reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET  # what a test sends to its own server
from xml.sax.saxutils import escape  # writes only

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_KEPT = {"\r": "&#13;"}  # a parser would make a line feed of it


def element(name: str, value: Any) -> str:
    """An element; a mapping's items are its children, a sequence repeats it, None leaves it out."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return f"<{name}>{children(value)}</{name}>"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(element(name, one) for one in value)
    text = str(value).lower() if isinstance(value, bool) else escape(str(value), _KEPT)
    return f"<{name}>{text}</{name}>"


def children(value: Mapping[str, Any]) -> str:
    """The elements of a mapping's items."""
    return "".join(element(name, one) for name, one in value.items())


def document(name: str, value: Mapping[str, Any], *, namespace: str) -> bytes:
    """A whole document whose root has a namespace."""
    spaced = f' xmlns="{namespace}"' if namespace else ""
    return f"{_HEAD}<{name}{spaced}>{children(value)}</{name}>".encode()


def parse(data: bytes) -> ET.Element:
    """The root of a document, without namespaces.
    Raises: ValueError for what is no XML.
    """
    try:
        root = ET.fromstring(data)  # noqa: S314  # as above; Python's expat bounds what entities grow to
    except ET.ParseError as reason:
        raise ValueError(str(reason)) from reason
    for one in root.iter():
        one.tag = one.tag.rpartition("}")[2]
    return root


def text_of(parent: ET.Element, name: str) -> str | None:
    """The text of the child of this name; None where there is no such child."""
    found = parent.find(name)
    return None if found is None else found.text or ""
