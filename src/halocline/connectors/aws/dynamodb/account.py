"""Account: a login to DynamoDB that several sources share."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from halocline.connectors.aws.dynamodb.client import DynamoDB
from halocline.connectors.aws.dynamodb.streams import Stream
from halocline.connectors.aws.s3 import S3
from halocline.connectors.aws.session import Access
from halocline.errors import FixConfig
from halocline.events import Noticed, Sink, silent
from halocline.halt import Halt
from halocline.retry import PACE, Pace
from halocline.spool import Spool

SCHEME = "dynamodb://"


@dataclass(frozen=True, slots=True)
class Account:
    """The tables that a login reaches, and the one that is meant where none is named. `now` counts seconds since 1970."""

    access: Access
    table: str | None = None
    sink: Sink = silent
    pace: Pace = PACE
    now: Callable[[], float] = time.time
    root: Path | None = None
    halt: Halt | None = None
    _spools: list[Spool] = field(default_factory=list)

    @classmethod
    def at(cls, uri: str, *, sink: Sink = silent) -> Account:
        """The account that a URI leads to: `dynamodb://table?region=eu-west-1&role=arn:...`; its settings are those of `Access`.

        Raises: FixConfig for a URI that cannot be read, or settings that cannot be meant.
        """
        parts = urlsplit(uri)
        if not uri.lower().startswith(SCHEME) or parts.path.strip("/"):
            hint = "Write dynamodb://table, or dynamodb://table?region=eu-west-1."
            raise FixConfig("Opening DynamoDB", "the URI leads to no table", hint=hint)
        return cls(Access.of(dict(parse_qsl(parts.query))), parts.netloc or None, sink)

    def view(self, *, halt: Halt | None = None) -> Self:
        """The same account for one of its users, whose waits end when `halt` is called."""
        return self if halt is None else replace(self, pace=halt.heard_by(self.pace), halt=halt)

    def check(self, doing: str) -> None:
        """Go on, unless the end was called.

        Raises: Stop.
        """
        if self.halt is not None:
            self.halt.check(doing)

    def tell(self, note: str | None) -> None:
        """Tell whoever listens, where there is something to tell."""
        if note is not None:
            self.sink(Noticed(note))

    def dynamodb(self) -> DynamoDB:
        """Its tables."""
        return DynamoDB(self.access, pace=self.pace)

    def stream(self, arn: str) -> Stream:
        """One of its streams."""
        return Stream(arn, self.access, pace=self.pace)

    def buckets(self) -> S3:
        """Its buckets."""
        return S3(self.access)

    def spool(self) -> Spool:
        """A folder for files, gone when the account is closed."""
        made = Spool(uuid.uuid4().hex, self.root)
        self._spools.append(made)
        return made

    def close(self) -> None:
        """Delete what was put aside. Idempotent."""
        for spool in self._spools:
            spool.close()
        self._spools.clear()
