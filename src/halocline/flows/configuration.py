"""`halocline.yaml` as a whole: what it may say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from halocline.config import Settings
from halocline.document import Place
from halocline.errors import NotFound
from halocline.flows.connections import Connection
from halocline.flows.files import FileFlow
from halocline.flows.listen import ListenFlow
from halocline.flows.model import Model
from halocline.flows.push import PushFlow
from halocline.flows.sync import SyncFlow
from halocline.flows.tables import TablesFlow
from halocline.mapping.near import near
from halocline.refresh import time_of

NAME = "halocline.yaml"

AnyFlow = SyncFlow | PushFlow | FileFlow | ListenFlow | TablesFlow
Flow = Annotated[AnyFlow, Field(discriminator="kind")]


class Lambda(Model):
    """How `halocline.aws_lambda.handler` behaves."""

    margin: Annotated[float, Field(ge=1, le=300)] = 20.0
    """Seconds before the function's time-out at which nothing new is begun and what is at work is told to end."""
    unmatched: Literal["fail", "ignore"] = "fail"
    """What becomes of an event that no flow is for: fail (so that it reaches a dead letter queue) or ignore."""


def _as_time(text: str) -> str:
    if time_of(text) is None:
        raise ValueError(f"{text!r} is no time; write 90d, 12w or 36h, at most 36525d")
    return text


class Books(Model):
    """What the ledger keeps."""

    keep: Annotated[str, AfterValidator(_as_time)] | None = None
    """For how long runs that have ended stay in the ledger with the rows that they refused: 90d, 12w (HALOCLINE_LEDGER_KEEP)."""


class Said(Model):
    """The file: connections by name, flows by name, what the ledger keeps, and how Lambda behaves."""

    connections: dict[str, Connection] = Field(default_factory=dict)
    """Name -> a URI, `salesforce:` for the login of the SF_* variables, or a mapping with a `kind`."""
    flows: dict[str, Flow] = Field(default_factory=dict)
    """Name -> a flow, by its `kind`."""
    ledger: Books = Field(default_factory=Books)
    """For how long the ledger keeps what it knows; it can be left out."""
    aws_lambda: Lambda = Field(default_factory=Lambda, alias="lambda")
    """How Lambda behaves; it can be left out."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A checked `halocline.yaml`. `folder` is where it lies, `lines` tells where in it things stand."""

    said: Said
    folder: Path = field(default_factory=Path)
    lines: Mapping[Place, int] = field(default_factory=dict)

    def line(self, *place: str | int) -> int | None:
        """The line of what is there by these names; None: the file has it not."""
        return self.lines.get(place)

    @property
    def flows(self) -> Mapping[str, AnyFlow]:
        """The flows by their names, in the file's order."""
        return self.said.flows

    @property
    def connections(self) -> Mapping[str, Connection]:
        """The connections by their names."""
        return self.said.connections

    def settings(self, found: Settings) -> Settings:
        """The settings of the environment, and what the file says where that says nothing."""
        keep = self.said.ledger.keep
        return found if keep is None or found.keep_s is not None else replace(found, keep_s=time_of(keep))

    def flow(self, name: str) -> AnyFlow:
        """The flow of that name.

        Raises: NotFound, with names that are near.
        """
        if name not in self.flows:
            are = "is" if len(self.flows) == 1 else "are"
            there = f"There {are} {', '.join(self.flows)}." if self.flows else "The file has none."
            raise NotFound("Looking up a flow", f"there is none called {name!r}", suggestions=near(name, self.flows), hint=there)
        return self.flows[name]
