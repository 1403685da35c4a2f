"""A request and a reply, as the wire carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl, unquote

from halocline.testing.aws.body import Body

REGION = "us-east-1"  # of callers who do not say which


class Request:
    """A request: `path` with its escapes resolved, header names in small letters."""

    def __init__(self, method: str, target: str, *, headers: dict[str, str]) -> None:
        self.method = method
        self.headers = headers
        self.body = Body()
        raw, _, self.raw_query = target.partition("?")
        self.path = unquote(raw) if "%" in raw else raw

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters of the address; one without a value has an empty one."""
        return dict(parse_qsl(self.raw_query, keep_blank_values=True)) if self.raw_query else {}

    @property
    def query_of_source(self) -> dict[str, str]:
        """The parameters of the object that is to be copied: its version."""
        return dict(parse_qsl(self.headers.get("x-amz-copy-source", "").partition("?")[2]))

    @cached_property
    def form(self) -> dict[str, str]:
        """The parameters of a form; where there is none, those of the address."""
        text = self.body.read().decode()
        return dict(parse_qsl(text, keep_blank_values=True)) if text else self.query

    @property
    def host(self) -> str:
        """What the caller calls this server: an address of ours made of it leads back here."""
        return self.headers.get("host", "127.0.0.1")

    @property
    def _credential(self) -> list[str]:
        """Key, date, region and service that the caller signed for; empty texts where nothing says it.
        Source: AWS Signature Version 4: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
        """
        signed = self.headers.get("authorization", "") or self.query.get("X-Amz-Credential", "")
        words = signed.rpartition("Credential=")[2].partition(",")[0].split("/")
        return words[:4] if len(words) == 5 else ["", "", "", ""]

    @property
    def key(self) -> str:
        return self._credential[0]

    @property
    def region(self) -> str:
        return self._credential[2] or REGION

    @property
    def service(self) -> str:
        return self._credential[3]


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply; `size` is told in place of the body's where that is left out (HEAD), `cut` closes the line after so many bytes."""

    status: int = 200
    body: bytes | Body = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    cut: int | None = None

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return self.body.size if isinstance(self.body, Body) else len(self.body)
