"""SalesforceDestination: an org as a system that takes rows one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from halocline.budget import Spend
from halocline.connector import Journal
from halocline.connectors.salesforce.auth import Session
from halocline.connectors.salesforce.bulk import DEADLINE_S
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.describe import with_suggestions
from halocline.connectors.salesforce.writing.left import DOUBT_FILE, LEFT_FILE, read_left
from halocline.connectors.salesforce.writing.load import SalesforceLoad
from halocline.errors import NotFound
from halocline.events import Sink
from halocline.push.destination import RowBatch
from halocline.push.order import WriteOrder


class SalesforceDestination:
    """Rows into the org of `client`. Implements `RowDestination`. `owned`: `close` closes the client.

    A Bulk load gives up waiting when no job of it has ended for `deadline_s`; the jobs go on. `spend` is asked before each call.
    """

    def __init__(
        self, client: SalesforceClient, *, owned: bool = False, deadline_s: float = DEADLINE_S, spend: Spend | None = None
    ) -> None:
        self._whole, self._client = client, client.view(spend=spend)
        self._owned = owned
        self._deadline_s = deadline_s
        self._described: dict[str, Mapping[str, Any]] = {}

    @property
    def org(self) -> str:
        """The org's id (15 characters); where this user may not know it, the host of the instance."""
        return self._client.org_id() or urlsplit(self._client.transport.session.token().instance_url).netloc

    @property
    def calls(self) -> int:
        """Calls made to Salesforce so far, since this destination was made."""
        return self._client.transport.usage.calls

    def describe(self, sobject: str) -> Mapping[str, Any]:
        """The object's describe as Salesforce sends it; asked once per object.

        Raises: NotFound with near names; AccessDenied, LoginRefused, RetryLater.
        """
        key = sobject.lower()
        if key not in self._described:
            try:
                self._described[key] = self._client.describe(sobject)
            except NotFound as error:
                known = [str(one["name"]) for one in self._client.list_objects()]
                raise with_suggestions(error, known, wanted=sobject) from error
        return self._described[key]

    def open(self, order: WriteOrder, folder: Path, *, journal: Journal | None = None) -> SalesforceLoad:
        """See `RowDestination.open`.

        Raises: FixConfig when the folder holds the work of another order; StorageFailed.
        """
        return SalesforceLoad(
            self._client,
            order,
            folder=folder,
            journal=journal,
            describe=lambda: self.describe(order.sobject),
            deadline_s=self._deadline_s,
        )

    def left(self, folder: Path, *, in_doubt: bool = False) -> Iterator[RowBatch]:
        """See `RowDestination.left`. A folder that keeps no rows has none.

        Raises: StorageFailed.
        """
        for name in (LEFT_FILE, DOUBT_FILE) if in_doubt else (LEFT_FILE,):
            if (folder / name).exists():
                yield from read_left(folder / name)

    def close(self) -> None:
        """Let go of the connections, unless the client was given. Idempotent."""
        if self._owned:
            self._whole.close()


def accepts_rows(session: object) -> bool:
    """Whether `open_rows` can make a destination of it."""
    if isinstance(session, Mapping):
        return bool({"access_token", "instance_url"} & session.keys())
    return isinstance(session, (SalesforceClient, Session)) or callable(getattr(session, "authenticate", None))


def open_rows(session: Any, *, sink: Sink | None = None, spend: Spend | None = None) -> SalesforceDestination:
    """The destination on a client, which stays the caller's to close, or on what a client can be made of.

    `sink` is told of waits and of the org's usage; a client has its own. `spend` is asked before each call.
    Raises: FixConfig for a dict that lacks something; what logging in raises.
    """
    if isinstance(session, SalesforceClient):
        return SalesforceDestination(session, spend=spend)
    return SalesforceDestination(SalesforceClient(session, sink=sink), owned=True, spend=spend)
