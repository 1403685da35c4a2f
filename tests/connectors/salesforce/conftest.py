"""The org that the tests of the writing side share: one emulator of this process of tests, as new for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.connectors.salesforce.writable import Org, client_of, writable

from halocline.emulator.server import Emulator


@pytest.fixture(scope="package")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with writable(tmp_path_factory.mktemp("org")) as (emulator, _):
        emulator.checkpoint()
        yield emulator


@pytest.fixture
def org(_kept: Emulator) -> Iterator[Org]:
    """The emulator with nothing in it, and a client that logs in to it: a third of the work of starting one."""
    _kept.reset()
    with client_of(_kept) as client:
        yield _kept, client
