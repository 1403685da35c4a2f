"""One running org: its settings, and all that its requests share."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, cast

from halocline.emulator.auth import Login, Sessions
from halocline.emulator.bulk2 import Jobs
from halocline.emulator.calls import CallLog
from halocline.emulator.errors import not_found
from halocline.emulator.faults import Faults
from halocline.emulator.limits import Limits
from halocline.emulator.objects import Catalog, SObject
from halocline.emulator.rest import Cursors
from halocline.emulator.seed import API_USERNAME

if TYPE_CHECKING:
    from halocline.emulator.store import Store


@dataclass(frozen=True, slots=True)
class EmulatorConfig:
    """Settings of an emulator; every one has a default that a client can work with.

    `port` 0 takes a free one; `path` is the store's file, None a private one that vanishes at the end; `schemas` are YAML files
    with custom objects and added fields. `expire_after` ends a session after so many requests, `expire_after_s` after so many
    seconds. `page_size` is the REST default, `page_rows` Bulk's. A Bulk job takes at least `job_ms`. `public_keys` are PEM texts
    of certificates or public keys for the JWT flow; with none, no assertion is good. `refresh_tokens` belong to the API user.
    `limit_info` is `plain`, `per-app` or `off`; `bulk_charset` is appended to `text/csv` if set.
    """

    host: str = "127.0.0.1"
    port: int = 0
    path: Path | None = None
    schemas: tuple[Path, ...] = ()
    consumer_key: str = "halocline-consumer-key"
    consumer_secret: str = "halocline-consumer-secret"  # noqa: S105  # a published default, for laptops
    users: tuple[Login, ...] = (Login(API_USERNAME, "halocline"),)
    refresh_tokens: tuple[str, ...] = ()
    public_keys: tuple[str, ...] = ()
    identity_host: str = "https://login.salesforce.com"
    password_flow: bool = True
    rotate_refresh_tokens: bool = False
    expire_after: int | None = None
    expire_after_s: float | None = None
    page_size: int = 2_000
    page_rows: int = 50_000
    job_ms: int = 0
    max_cursors: int = 10
    daily_api_requests: int = 100_000
    daily_query_jobs: int = 10_000
    limit_info: str = "plain"
    bulk_charset: str | None = None


class Org:
    """The state behind the doors. Requests run in threads; each part guards itself."""

    def __init__(self, store: Store, config: EmulatorConfig) -> None:
        self.store = store
        self.config = config
        self.clock = store.clock
        self.public_keys = [_public_key(text) for text in config.public_keys]
        self.folder = Path(tempfile.mkdtemp(prefix="halocline-emulator-"))
        self.sessions = Sessions(self.clock, expire_after=config.expire_after, expire_after_s=config.expire_after_s)
        self.limits = Limits(daily_api_requests=config.daily_api_requests, daily_query_jobs=config.daily_query_jobs)
        self.calls = CallLog()
        self.faults = Faults()
        self.cursors = Cursors(self.folder, most=config.max_cursors)
        self.jobs = Jobs(self.folder)
        self._hidden: frozenset[str] = frozenset()
        self._view = store
        self._guard = Lock()
        self.writing = RLock()  # held from a check to the write that relies on it: unique values, upserts
        self.org_id = self._first_id("Organization")
        self._ensure_users()
        self.api_user_id = self._user_or_first(config.users[0].username if config.users else API_USERNAME)
        for token in config.refresh_tokens:
            self.sessions.grant_refresh(self.api_user_id, token)

    @property
    def catalog(self) -> Catalog:
        """The objects and fields that the API user may see."""
        return self._view.catalog

    @property
    def view(self) -> Store:
        """The store as the API user may query it: hidden objects and fields do not exist."""
        return self._view

    @property
    def hidden(self) -> frozenset[str]:
        """What is hidden, as `object` or `object.field` in lower case."""
        return self._hidden

    def hide(self, names: Iterable[str]) -> None:
        """Take the right to see these objects (`Account`) or fields (`Account.Rating`) away, beside what is hidden already."""
        self._set_hidden(self._hidden | {name.lower() for name in names})

    def show(self, names: Iterable[str] | None = None) -> None:
        """Give the right back, for all when none is named."""
        self._set_hidden(frozenset() if names is None else self._hidden - {name.lower() for name in names})

    def sobject(self, name: str) -> SObject:
        """The object of that name in any case.
        Raises: ApiError(404, NOT_FOUND) if there is none that the user may see.
        """
        found = self.catalog.get(name)
        if found is None:
            raise not_found()
        return found

    def user_id(self, username: str) -> str | None:
        """The id of the user with that name, or None."""
        rows = self.store.find(self._standard("User"), "Username", username)
        return cast("str", rows[0]["Id"]) if rows else None

    def user(self, user_id: str) -> dict[str, Any]:
        """The record of a user."""
        return self.store.get(self._standard("User"), user_id) or {"Id": user_id}

    def username(self, user_id: str) -> object:
        """The login name of a user."""
        return self.user(user_id).get("Username")

    def now(self) -> datetime:
        """The org's time."""
        return self.clock.now()

    def close(self) -> None:
        """Stop jobs, drop spooled results. The store is closed by its owner."""
        self.jobs.close()
        self.cursors.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _set_hidden(self, hidden: frozenset[str]) -> None:
        with self._guard:
            self._hidden = hidden
            self._view = _narrowed(self.store, hidden) if hidden else self.store

    def _standard(self, name: str) -> SObject:
        found = self.store.catalog.get(name)
        if found is None:
            raise ValueError(f"the schemas define no {name}")
        return found

    def _first_id(self, name: str) -> str:
        from halocline.emulator.query import prepare

        rows = prepare(self.store, f"SELECT Id FROM {name} ORDER BY CreatedDate, Id LIMIT 1", all_rows=False).records(
            "67.0", 0, 1
        )
        if not rows:
            raise ValueError(f"the store holds no {name}")
        return cast("str", rows[0]["Id"])

    def _user_or_first(self, username: str) -> str:
        return self.user_id(username) or self._first_id("User")

    def _ensure_users(self) -> None:
        for login in self.config.users:
            if self.user_id(login.username) is None:
                self.store.insert(self._standard("User"), _new_user(login.username), user_id=self._first_id("User"))


def _new_user(username: str) -> dict[str, object]:
    name = username.partition("@")[0]
    return {"Username": username, "LastName": name, "Alias": name[:8], "Email": username, "IsActive": True}


def _narrowed(store: Store, hidden: frozenset[str]) -> Store:
    """The same store behind a smaller catalog; it shares connections, locks and files with the whole one."""
    view = copy.copy(store)
    view.catalog = Catalog([_without(s, hidden) for s in store.catalog if s.name.lower() not in hidden])
    return view


def _without(sobject: SObject, hidden: frozenset[str]) -> SObject:
    prefix = sobject.name.lower()
    return replace(sobject, fields={key: field for key, field in sobject.fields.items() if f"{prefix}.{key}" not in hidden})


def _public_key(pem: str) -> Any:
    """The RSA key of a PEM certificate or public key, as PyJWT takes it.
    Raises: ValueError if the text is neither.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    if "CERTIFICATE" in pem:
        return load_pem_x509_certificate(pem.encode()).public_key()
    return load_pem_public_key(pem.encode())
