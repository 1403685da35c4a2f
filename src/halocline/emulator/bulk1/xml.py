"""The XML of Bulk API 1.0: one namespace, elements without attributes except `xsi:nil` and `xsi:type`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from halocline.emulator.errors import ApiError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
NIL = f"{{{XSI}}}nil"
# Characters that XML 1.0 cannot hold, escaped or not.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def document(root: str, inner: str) -> bytes:
    """A document whose root element holds `inner`, which is XML already."""
    return (opening(root) + inner + f"</{root}>").encode()


def opening(root: str, *, typed: bool = False) -> str:
    """Declaration and start of a document; `typed` for one that says `xsi:`."""
    xsi = f' xmlns:xsi="{XSI}"' if typed else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}"{xsi}>'


def element(name: str, value: object) -> str:
    """An element with a value as text: booleans in small letters."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{escape(_ILLEGAL.sub('', text))}</{name}>"


def elements(values: Mapping[str, object]) -> str:
    """One element for each value that there is."""
    return "".join(element(name, value) for name, value in values.items() if value is not None)


def nil(name: str) -> str:
    """An element that says null."""
    return f'<{name} xsi:nil="true"/>'


def parsed(body: bytes) -> Element:
    """The root element of a document.
    Raises: ApiError InvalidXML if it is none, or declares entities, which no client of this API needs. Its words are unverified.
    """
    try:
        root: Element = fromstring(body.strip())
    except (ParseError, DefusedXmlException, LookupError, ValueError) as reason:  # the last two: encodings that nobody knows
        raise ApiError(400, "InvalidXML", f"Unable to parse the request body: {reason}") from reason
    return root


def local(item: Element) -> str:
    """The name of an element without its namespace."""
    return item.tag.rpartition("}")[2]


def texts(items: Iterable[Element]) -> dict[str, str]:
    """The text of each element by name."""
    return {local(item): (item.text or "").strip() for item in items}


def is_nil(item: Element) -> bool:
    """Whether the element says null."""
    return item.get(NIL, "").strip() in ("true", "1")
