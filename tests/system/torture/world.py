"""World: an in-memory AWS, a real PostgreSQL and a real Redis, for one consumer after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from halocline.testing.aws import FakeAWS
from tests.connectors.postgres.server import Server
from tests.redis_server import RedisServer
from tests.samples.postgres import postgres

SETTINGS = ("fsync=off", "max_connections=200")  # workers that were killed leave sessions, which end a moment later


@dataclass(frozen=True, slots=True)
class World:
    """All that runs; `folder` names databases."""

    aws: FakeAWS
    server: Server
    redis: str
    folder: Path


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """A world until the block ends."""
    with FakeAWS(folder=folder) as aws, postgres(SETTINGS) as running, RedisServer() as redis:
        yield World(aws, Server(running), redis.uri, folder)
