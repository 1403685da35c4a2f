"""Connected apps: who may ask for tokens, by which flows, with which key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

FLOWS = ("authorization_code", "client_credentials", "jwt_bearer", "password", "refresh_token")


@dataclass(frozen=True, slots=True)
class ConnectedApp:
    """One connected app, or external client app.

    `certificates` are PEM texts of certificates or public keys by which assertions of the JWT flow are checked; `callbacks` are
    the redirect addresses it may use, empty for any. Without `secret_required` the web server and refresh flows need no secret.
    """

    consumer_key: str
    consumer_secret: str
    certificates: tuple[str, ...] = ()
    flows: tuple[str, ...] = FLOWS
    callbacks: tuple[str, ...] = ()
    secret_required: bool = True
    rotate_refresh_tokens: bool = False

    def __post_init__(self) -> None:
        """Raises: ValueError for an empty key, an unknown flow, or a certificate that is none."""
        texts = (self.consumer_key, self.consumer_secret, *self.certificates, *self.flows, *self.callbacks)
        if not self.consumer_key or not all(isinstance(text, str) for text in texts):
            raise ValueError("a connected app has a consumer key, a secret, and lists of texts")
        if unknown := sorted(set(self.flows) - set(FLOWS)):
            raise ValueError(f"unknown flow {', '.join(unknown)}; known are {', '.join(FLOWS)}")
        self.public_keys()

    def public_keys(self) -> list[Any]:
        """The public keys of the certificates, as PyJWT takes them."""
        return [_public_key(text) for text in self.certificates]


class Apps:
    """The connected apps of one org. Safe to change while requests run."""

    def __init__(self, apps: Iterable[ConnectedApp]) -> None:
        self._apps = {app.consumer_key: app for app in apps}
        self._lock = Lock()

    def put(self, app: ConnectedApp) -> None:
        """Register an app; one with the same consumer key is replaced."""
        with self._lock:
            self._apps[app.consumer_key] = app

    def get(self, consumer_key: object) -> ConnectedApp | None:
        """The app of a consumer key, or None."""
        with self._lock:
            return self._apps.get(str(consumer_key))

    def __iter__(self) -> Iterator[ConnectedApp]:
        with self._lock:
            return iter(tuple(self._apps.values()))


def _public_key(pem: str) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    if "CERTIFICATE" in pem:
        return load_pem_x509_certificate(pem.encode()).public_key()
    return load_pem_public_key(pem.encode())
