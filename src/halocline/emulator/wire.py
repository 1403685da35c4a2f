"""One exchange over HTTP: what a client asks, what the emulator answers, and how the answer is compressed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from halocline.emulator.errors import ApiError, OAuthError, malformed_json, missing_body

if TYPE_CHECKING:
    from halocline.emulator.bulk2.upload import Upload
    from halocline.emulator.org import Org
    from halocline.emulator.sessions import Session

JSON_TYPE = "application/json;charset=UTF-8"
SLICE_BYTES = 256 * 1024  # of a streamed body: large enough that thread hops do not count, small enough to stay flat
RAW_QUERY = ":query"  # the query as it came, among the headers: no HTTP header can have this name
_GZIP_WINDOW = 31  # zlib's largest window with a gzip header

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: names in `headers` are lower case, `params` come from the path, already unquoted.

    The body of a Bulk 2.0 upload is not here but on disk, as `upload`.
    """

    org: Org
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    params: Mapping[str, str] = field(default_factory=dict)
    base_url: str = ""
    session: Session | None = None
    upload: Upload | None = None

    @property
    def version(self) -> str:
        """The API version in the path, as `67.0`."""
        return self.params["version"]

    @property
    def user_id(self) -> str:
        """Who asks."""
        if self.session is None:
            raise RuntimeError("a route that needs a user was declared open")
        return self.session.user_id

    def json(self) -> dict[str, object]:
        """The body as a JSON object.
        Raises: ApiError(400, JSON_PARSER_ERROR) if there is none or it is something else.
        """
        if not self.body.strip():
            raise missing_body()
        try:
            value = json.loads(self.body)
            if b"\\ud" in self.body.lower():
                json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair: JSON can say it, no text can hold it
        except (ValueError, RecursionError) as reason:
            raise malformed_json(f"Unexpected character in the request body: {reason}") from reason
        if not isinstance(value, dict):
            raise malformed_json("Can not deserialize: the request body is not a JSON object")
        return value


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply. A body that is not `bytes` is streamed, once."""

    status: int = 200
    body: bytes | Iterator[bytes] = b""
    content_type: str | None = JSON_TYPE
    headers: Headers = ()

    def with_headers(self, *added: tuple[str, str]) -> Answer:
        """The same reply with more headers."""
        return replace(self, headers=self.headers + added)

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces."""
        return iter((self.body,)) if isinstance(self.body, bytes) else self.body


def json_answer(value: object, *, status: int = 200, headers: Headers = ()) -> Answer:
    """A JSON reply in Salesforce's content type, without spaces as Salesforce writes it."""
    return Answer(status, json_bytes(value), headers=headers)


def json_bytes(value: object) -> bytes:
    """UTF-8 JSON without spaces; half a surrogate pair becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def error_answer(error: ApiError | OAuthError) -> Answer:
    """The reply for a refusal."""
    return json_answer(error.body(), status=error.status)


def empty_answer(status: int = 204) -> Answer:
    """A reply without a body."""
    return Answer(status, b"", content_type=None)


def wants_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` header allows gzip."""
    choices = (part.replace(" ", "").lower().partition(";q=") for part in accept_encoding.split(","))
    return any(name in ("gzip", "*") and quality not in ("0", "0.0", "0.00", "0.000") for name, _, quality in choices)


def gzipped(answer: Answer) -> Answer:
    """The same reply, compressed; one without a body stays as it is."""
    if answer.body == b"":
        return answer
    packed = _compress(answer.chunks())
    body = b"".join(packed) if isinstance(answer.body, bytes) else packed
    return replace(answer, body=body).with_headers(("Content-Encoding", "gzip"))


class _Compressor(Protocol):
    def compress(self, _data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _compressor() -> _Compressor:
    try:
        from isal import isal_zlib  # four times zlib's speed; optional, because it has no wheel for every platform
    except ImportError:
        return zlib.compressobj(1, zlib.DEFLATED, _GZIP_WINDOW)
    packer: _Compressor = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _GZIP_WINDOW)
    return packer


def _compress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer = _compressor()
    for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()
