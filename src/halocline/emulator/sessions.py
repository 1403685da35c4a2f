"""Who is logged in: access tokens at work, and the refresh tokens that bring new ones."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock

from halocline.emulator.clock import Clock
from halocline.emulator.errors import session_expired

SESSION_S = (
    7_200  # seconds an idle session lasts. Source: Salesforce Help, "Modify Session Security Settings": two hours by default
)


@dataclass(frozen=True, slots=True)
class Login:
    """A user who may log in with a name and a password, to which a security token is appended if there is one."""

    username: str
    password: str
    security_token: str = ""

    @property
    def secret(self) -> str:
        """What the user has to send as the password."""
        return self.password + self.security_token


@dataclass(frozen=True, slots=True)
class Session:
    """An access token at work; `uses` counts the requests that it opened.

    `consumer_key` is the connected app's, None after a SOAP login; `family` is shared by all that one refresh token led to.
    """

    token: str
    user_id: str
    issued: datetime
    consumer_key: str | None = None
    family: str | None = None
    uses: int = 0


@dataclass(frozen=True, slots=True)
class RefreshGrant:
    """What a refresh token is good for; `family` outlives rotation. `consumer_key` None is good for every app."""

    token: str
    user_id: str
    family: str
    consumer_key: str | None = None


class Sessions:
    """The open sessions and refresh tokens of one org.

    `expire_after` ends a session after so many requests, `expire_after_s` after so many seconds of `clock`.
    """

    def __init__(self, clock: Clock, *, expire_after: int | None = None, expire_after_s: float | None = None) -> None:
        self._clock = clock
        self._expire_after = expire_after
        self._expire_after_s = expire_after_s
        self._open: dict[str, Session] = {}
        self._refresh: dict[str, RefreshGrant] = {}
        self._spent: dict[str, str] = {}  # rotated token -> its family
        self._lock = Lock()

    @property
    def lasts_s(self) -> float:
        """How long a session stays open, in seconds."""
        return SESSION_S if self._expire_after_s is None else self._expire_after_s

    def start(self, user_id: str, *, org_id: str, consumer_key: str | None = None, family: str | None = None) -> Session:
        """Open a session. The token looks like Salesforce's, because the sf CLI refuses others."""
        token = f"{org_id[:15]}!{secrets.token_urlsafe(72).replace('-', '.')}"
        session = Session(token, user_id, self._clock.now(), consumer_key, family)
        with self._lock:
            self._open[token] = session
        return session

    def use(self, token: str | None) -> Session:
        """The session of a token, one request older.
        Raises: ApiError(401, INVALID_SESSION_ID) if it is unknown or has ended.
        """
        with self._lock:
            session = self._open.get(token or "")
            if session is None or self._ended(session):
                self._open.pop(token or "", None)
                raise session_expired()
            self._open[session.token] = replace(session, uses=session.uses + 1)
            return session

    def peek(self, token: str | None) -> Session | None:
        """The open session of a token without using it up, or None."""
        with self._lock:
            session = self._open.get(token or "")
            return None if session is None or self._ended(session) else session

    def end(self, token: str) -> bool:
        """End a session, or a refresh token with all its sessions; whether there was one."""
        with self._lock:
            grant = self._refresh.get(token)
            if grant is not None:
                self._end_family(grant.family)
            return self._open.pop(token, None) is not None or grant is not None

    def end_all(self) -> int:
        """End every session now; refresh tokens stay good. How many there were."""
        with self._lock:
            ended = len(self._open)
            self._open.clear()
            return ended

    def grant_refresh(self, user_id: str, token: str | None = None, *, consumer_key: str | None = None) -> RefreshGrant:
        """A refresh token for a user: the given one or a new one."""
        token = token or _fresh_token()
        grant = RefreshGrant(token, user_id, token, consumer_key)
        with self._lock:
            self._refresh[token] = grant
        return grant

    def refreshed(self, token: str) -> RefreshGrant | None:
        """What a refresh token is good for, or None."""
        with self._lock:
            return self._refresh.get(token)

    def spent(self, token: str) -> None:
        """A refresh token was refused: if it was rotated away, all that came after it ends, for one of its two users stole it.

        Source: Salesforce Help, "Force one-time-use Refresh Tokens - (RTR) Refresh Token Rotation", read November 2026.
        """
        with self._lock:
            if token in self._spent:
                self._end_family(self._spent[token])

    def rotate(self, grant: RefreshGrant) -> RefreshGrant | None:
        """The grant under a new token, after which the old one is spent; None if somebody else has just done that."""
        with self._lock:
            if self._refresh.pop(grant.token, None) is None:
                return None
            self._spent[grant.token] = grant.family
            fresh = replace(grant, token=_fresh_token())
            self._refresh[fresh.token] = fresh
            return fresh

    def _end_family(self, family: str) -> None:
        self._refresh = {token: grant for token, grant in self._refresh.items() if grant.family != family}
        self._open = {token: session for token, session in self._open.items() if session.family != family}

    def _ended(self, session: Session) -> bool:
        if self._expire_after is not None and session.uses >= self._expire_after:
            return True
        age_s = (self._clock.now() - session.issued).total_seconds()
        return self._expire_after_s is not None and age_s >= self._expire_after_s


def _fresh_token() -> str:
    return f"5Aep861{secrets.token_urlsafe(48)}"
