"""`halocline.yaml` as a whole: what it may say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from halocline.errors import NotFound
from halocline.flows.connections import Connection
from halocline.flows.files import FileFlow
from halocline.flows.model import Model
from halocline.flows.push import PushFlow
from halocline.flows.sync import SyncFlow
from halocline.mapping.near import near

NAME = "halocline.yaml"

Flow = Annotated[SyncFlow | PushFlow | FileFlow, Field(discriminator="kind")]


class Lambda(Model):
    """How `halocline.aws_lambda.handler` behaves."""

    margin: Annotated[float, Field(ge=1, le=300)] = 20.0
    """Seconds before the function's time-out at which nothing new is begun and what is at work is told to end."""
    unmatched: Literal["fail", "ignore"] = "fail"
    """What becomes of an event that no flow is for: fail (so that it reaches a dead letter queue) or ignore."""


class Said(Model):
    """The file: connections by name, flows by name, and how Lambda behaves."""

    connections: dict[str, Connection] = Field(default_factory=dict)
    flows: dict[str, Flow] = Field(default_factory=dict)
    aws_lambda: Lambda = Field(default_factory=Lambda, alias="lambda")


@dataclass(frozen=True, slots=True)
class Configuration:
    """A checked `halocline.yaml`. `folder` is where it lies."""

    said: Said
    folder: Path = field(default_factory=Path)

    @property
    def flows(self) -> Mapping[str, SyncFlow | PushFlow | FileFlow]:
        """The flows by their names, in the file's order."""
        return self.said.flows

    @property
    def connections(self) -> Mapping[str, Connection]:
        """The connections by their names."""
        return self.said.connections

    def flow(self, name: str) -> SyncFlow | PushFlow | FileFlow:
        """The flow of that name.

        Raises: NotFound, with names that are near.
        """
        if name not in self.flows:
            there = f"There are {', '.join(self.flows)}." if self.flows else "The file has none."
            raise NotFound("Looking up a flow", f"there is none called {name!r}", suggestions=near(name, self.flows), hint=there)
        return self.flows[name]
