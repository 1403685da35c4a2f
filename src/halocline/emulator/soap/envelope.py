"""SOAP messages: a request read, an answer or a fault written.

Source: SOAP API Developer Guide, "API Fault Element" and "SOAP Headers"; spelling of answers from recorded ones of real orgs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape, quoteattr

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from halocline.emulator.wire import Answer

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

XML_TYPE = "text/xml;charset=UTF-8"
APIS = {"u": "partner", "c": "enterprise"}  # the letter in the address
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_HEAD = f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{_SOAP}"'
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # Source: XML 1.0, section 2.2, "Char"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"  # before the names of its attributes
_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


class SoapFault(Exception):
    """A refusal. `kind` is the WSDL's type of it; one of kind None is about the message itself and has no detail."""

    def __init__(self, code: str, message: str, *, kind: str | None = "UnexpectedErrorFault") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Typed:
    """An element's content together with attributes, such as `{"xsi:type": "sf:sObject"}`."""

    value: object
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """A request: which API and release it was sent to, what it wants, and the values in it."""

    api: str
    release: int
    operation: str
    headers: Mapping[str, str]
    body: Element

    def text(self, name: str) -> str:
        """The text of the operation's first parameter of that name, empty if there is none."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> list[str]:
        """The texts of all parameters of that name."""
        return [(child.text or "").strip() for child in self.body if local(child.tag) == name]


def read(body: bytes, *, api: str, release: int) -> Message:
    """The message in a request.
    Raises: SoapFault for what is no XML, no SOAP, or an operation of the other API. Wording is unverified but for the last one.
    """
    try:
        root = fromstring(body)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as reason:
        raise _no_message(f"The request is not well-formed XML: {reason}") from reason
    if root.tag != f"{{{_SOAP}}}Envelope":
        raise _no_message(f"A SOAP Envelope element is expected, not {local(root.tag)}")
    operation = next((child for part in root if part.tag == f"{{{_SOAP}}}Body" for child in part), None)
    if operation is None:
        raise _no_message("The SOAP Body is missing or empty")
    message = Message(api, release, local(operation.tag), _headers(root), operation)
    if operation.tag != f"{{urn:{api}.soap.sforce.com}}{message.operation}":
        raise unknown_operation(operation.tag)
    return message


def unknown_operation(tag: str) -> SoapFault:
    """The API has no such operation, `tag` with its namespace. Source: quoted in public issue threads of several clients."""
    shown = tag if tag.startswith("{") else f"{{}}{tag}"
    return _no_message(f"No operation available for request {shown}, please check the WSDL for the service.")


def answer(message: Message, results: Sequence[object]) -> Answer:
    """The answer of an operation: each result in an element of its own."""
    namespaces = f'xmlns="urn:{message.api}.soap.sforce.com" {_XSI} xmlns:sf="urn:sobject.{message.api}.soap.sforce.com"'
    content = "".join(_element("result", result) for result in results)
    name = f"{message.operation}Response"
    return _envelope(200, namespaces, f"<{name}>{content}</{name}>" if content else f"<{name}/>")


def fault(refusal: SoapFault, *, api: str) -> Answer:
    """The answer for a refusal: HTTP 500, whatever it is about."""
    prefix = "soapenv" if refusal.kind is None else "sf"
    told = refusal.message if refusal.kind is None else str(refusal)
    text = f"<faultcode>{prefix}:{_text(refusal.code)}</faultcode><faultstring>{_text(told)}</faultstring>{_detail(refusal)}"
    namespaces = f'xmlns:sf="urn:fault.{api}.soap.sforce.com" {_XSI}'
    return _envelope(500, namespaces, f"<soapenv:Fault>{text}</soapenv:Fault>")


def _detail(refusal: SoapFault) -> str:
    if refusal.kind is None:
        return ""
    values = {"sf:exceptionCode": refusal.code, "sf:exceptionMessage": refusal.message}
    return f"<detail>{_element(f'sf:{refusal.kind}', Typed(values, {'xsi:type': f'sf:{refusal.kind}'}))}</detail>"


def _no_message(text: str) -> SoapFault:
    return SoapFault("Client", text, kind=None)


def _envelope(status: int, namespaces: str, content: str) -> Answer:
    text = f"{_HEAD} {namespaces}><soapenv:Body>{content}</soapenv:Body></soapenv:Envelope>"
    return Answer(status, text.encode(), XML_TYPE)


def _element(name: str, value: object) -> str:
    """An element; a list becomes one for each member, None one that is nil."""
    if isinstance(value, (list, tuple)):
        return "".join(_element(name, one) for one in value)
    attributes = ""
    if isinstance(value, Typed):
        attributes = "".join(f" {key}={quoteattr(text)}" for key, text in value.attributes.items())
        value = value.value
    if value is None:
        return f'<{name}{attributes} xsi:nil="true"/>'
    return f"<{name}{attributes}>{_content(value)}</{name}>"


def _content(value: object) -> str:
    if isinstance(value, Mapping):
        return "".join(_element(str(key), one) for key, one in value.items())
    return str(value).lower() if isinstance(value, bool) else _text(str(value))


def _text(value: str) -> str:
    """Text as XML can hold it: characters that no document may have are left out."""
    return escape(_NO_XML.sub("", value))


def _headers(root: Element) -> dict[str, str]:
    """The values of all SOAP headers by name, whichever header they stand in: no two of Salesforce's share one that we read."""
    parts = (header for part in root if part.tag == f"{{{_SOAP}}}Header" for header in part)
    return {local(value.tag): (value.text or "").strip() for header in parts for value in header}


def local(tag: object) -> str:
    """The name of an element without its namespace."""
    return str(tag).rpartition("}")[2]
