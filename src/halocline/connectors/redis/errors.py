"""The gate: what Redis and its driver report becomes an error of ours that says what to try."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions as theirs

from halocline.errors import AccessDenied, FixConfig, HaloclineError, LoginRefused, NetworkFailed, RetryLater, Stop
from halocline.hiding import quiet, scrub

_LOGIN = "Look at user and password of the URI."
_RIGHTS = (
    "The user needs +eval +evalsha +zrange +time, hash commands, expiry, ZADD, ZCARD and ZREM (scripts use them) on halocline:*."
)
_AGAIN = "Run it again when the server answers."
_FULL = "Give the server more memory; its policy must be noeviction, or it forgets what was done."
_CLUSTER = "Name one server that holds all keys, or several masters that know nothing of each other; a cluster splits the keys."

# The first kind that fits decides.
# Source: the exceptions of redis-py 8.1; "Redis serialization protocol specification" (the first word of an error is its kind),
# https://redis.io/docs/latest/develop/reference/protocol-spec/
_RULES: tuple[tuple[tuple[type[Exception], ...], type[HaloclineError], str], ...] = (
    ((theirs.AuthenticationError, theirs.AuthenticationWrongNumberOfArgsError), LoginRefused, _LOGIN),
    ((theirs.AuthorizationError, theirs.NoPermissionError), AccessDenied, _RIGHTS),
    ((theirs.ReadOnlyError, theirs.MasterDownError, theirs.BusyLoadingError), RetryLater, "It is no master (just now)."),
    ((theirs.OutOfMemoryError,), RetryLater, _FULL),
    ((theirs.ClusterError, theirs.AskError, theirs.MovedError, theirs.ClusterCrossSlotError), FixConfig, _CLUSTER),
    ((theirs.MaxConnectionsError, theirs.ConnectionError, theirs.TimeoutError), NetworkFailed, _AGAIN),
)
_BEGINNINGS = {"NOAUTH": (LoginRefused, _LOGIN), "BUSY": (RetryLater, _AGAIN), "MISCONF": (RetryLater, "Look at its disk.")}


@contextmanager
def gate(doing: str, secrets: tuple[str, ...] = ()) -> Iterator[None]:
    """Turn an error of Redis or its driver into one of ours, with what was being done, and without the secrets."""
    try:
        yield
    except theirs.RedisError as error:
        raise translated(doing, error, secrets=secrets) from quiet(error, secrets)
    except OSError as error:  # a connection that broke between the driver's own guards
        raise NetworkFailed(doing, str(error), hint=_AGAIN) from error


def translated(doing: str, error: theirs.RedisError, *, secrets: tuple[str, ...] = ()) -> HaloclineError:
    """Our error for theirs."""
    words = scrub(" ".join(str(error).split()), secrets) or type(error).__name__
    if "user_script" in words or "script" in words.partition(":")[0].lower():  # an error inside of a script keeps only its words
        for beginning, kind in (("NOPERM", AccessDenied), ("OOM", RetryLater), ("READONLY", RetryLater)):
            if beginning in words:
                return kind(doing, words, hint=_RIGHTS if kind is AccessDenied else _FULL if beginning == "OOM" else _AGAIN)
    for kinds, ours, hint in _RULES:
        if isinstance(error, kinds):
            return ours(doing, words, hint=hint)
    for beginning, (ours, hint) in _BEGINNINGS.items():
        if words.startswith(beginning):
            return ours(doing, words, hint=hint)
    return Stop(doing, words, hint="Halocline needs Redis 5 or later, or Valkey.")
