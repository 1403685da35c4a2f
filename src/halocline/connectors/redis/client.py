"""Master: one Redis server that runs our scripts, each call in one round trip."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, NoScriptError, RedisError  # noqa: A004 - the driver's
from redis.retry import Retry

from halocline.connectors.redis.errors import gate
from halocline.errors import FixConfig

Script = Literal["claim", "renew", "word", "seal", "look", "forget"]
ANSWER_S = 3.0  # seconds that a server may take to answer; it takes a fraction of a millisecond, and a lease is ten times as long
ONE_OF_MANY_S = 0.5  # the same for one of several masters: one that stands still should not hold up what the others can do
NAMESPACE = "halocline"
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
_WRITE = "Write redis://user:password@host:6379/0, the special characters of the password as percent codes (@ as %40)."
_ONE_SERVER = "Name it once: databases of one server are no masters of their own, for they go away together."


class Master:
    """A server by its URI, connected when it is first asked; any number of threads may ask at once.

    Raises: FixConfig for a URI that cannot be read (without repeating it).
    """

    def __init__(self, uri: str, *, answer_s: float = ANSWER_S) -> None:
        scheme, _, rest = uri.partition("://")
        plain = f"{_SCHEMES.get(scheme.lower(), scheme.lower())}://{rest}"
        try:
            parts = urlsplit(plain)
            _refuse_second_login(parts)
            self._secrets = (unquote(parts.password),) if parts.password else ()
            self.place = f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
            # A broken connection is noticed when it is used; scripts may be run twice, so it is tried again once on a new one.
            again: Retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))
            spans: dict[str, Any] = {"socket_timeout": answer_s, "socket_connect_timeout": answer_s}
            self._client: Redis = Redis.from_url(plain, retry=again, **spans)
            # Nobody has to close a store; left to the garbage collector, a socket may be reached before the connection it is of.
            weakref.finalize(self, self._client.connection_pool.disconnect).atexit = False
        except ValueError:  # its words repeat what may be a password
            raise FixConfig("Opening the idempotency store", "the URI of its Redis cannot be read", hint=_WRITE) from None

    def run(self, script: Script, keys: Sequence[str], *, values: Sequence[str | int], doing: str) -> list[Any]:
        """What the script answers.
        Raises: what the gate makes of the driver's errors.
        """
        text, digest = _script(script)
        with gate(f"{doing} in the Redis at {self.place}", self._secrets):
            try:
                return self._client.evalsha(digest, len(keys), *keys, *values)  # type: ignore[no-any-return]
            except NoScriptError:  # a server that was started anew, or never asked before
                return self._client.eval(text, len(keys), *keys, *values)  # type: ignore[no-any-return]

    def members(self, name: str, *, start: int, limit: int, doing: str) -> list[str]:
        """Members of a sorted set, in its order, from the place `start` on."""
        with gate(f"{doing} in the Redis at {self.place}", self._secrets):
            found: Any = self._client.zrange(name, start, start + limit - 1)
            return [member.decode() for member in found]

    def close(self) -> None:
        """Let its connections go. Idempotent."""
        try:
            self._client.close()
            self._client.connection_pool.disconnect()
        except RedisError:  # a connection that cannot be closed is gone
            return


def _refuse_second_login(parts: SplitResult) -> None:
    """Raises: ValueError for a password that was not quoted, a piece of which would pass for the host."""
    if "@" in parts.path:
        raise ValueError("an @ behind the host")


def masters(place: str) -> list[Master]:
    """The servers of a list of URIs, parted by commas.

    Raises: FixConfig for a URI that cannot be read, and for two that name the same server.
    """
    uris = [uri.strip() for uri in place.split(",") if uri.strip()]
    found = [Master(uri, answer_s=ANSWER_S if len(uris) == 1 else ONE_OF_MANY_S) for uri in uris]
    if len({master.place for master in found}) < len(found):
        raise FixConfig("Opening the idempotency store", "two of its URIs name the same Redis", hint=_ONE_SERVER)
    return found


@cache
def _script(name: Script) -> tuple[str, str]:
    """The text of a script, and the name that a server gives it."""
    text = resources.files("halocline.connectors.redis").joinpath(f"{name}.lua").read_text()
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
