"""pytest plugin: the fixture `salesforce`, an emulator that every test finds as if it had just been made.

pytest loads it wherever Halocline is installed; it costs nothing until a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from halocline.emulator.server import Emulator


def pytest_addoption(parser: pytest.Parser) -> None:
    """The settings of the fixture, for pyproject.toml or pytest.ini."""
    parser.addini("salesforce_schemas", "YAML files or folders with custom objects and fields of the fixture's org", type="paths")
    seed = "records that every test starts with, beside the `records:` of the schemas: Account=100 Contact=50"
    parser.addini("salesforce_seed", seed, type="args")
    parser.addini("salesforce_seed_number", "the same number makes the same records", default="0")


@pytest.fixture(scope="session")
def salesforce_server(pytestconfig: pytest.Config) -> Iterator[Emulator]:
    """One emulator for all tests of this process, started by the first that needs it, with all of its doors."""
    try:
        from halocline.emulator.server import Emulator, EmulatorConfig
    except ModuleNotFoundError as reason:
        pytest.fail(f"the salesforce fixture needs {reason.name}: install halocline[emulator]", pytrace=False)
    from halocline.emulator.schema_files import objects_of
    from halocline.emulator.starting import starting_counts

    named = _counts(cast("list[str]", pytestconfig.getini("salesforce_seed")))
    schemas = tuple(cast("list[Path]", pytestconfig.getini("salesforce_schemas")))
    with Emulator(EmulatorConfig(schemas=schemas, https=True, proxy=True)) as emulator:
        counts = starting_counts(emulator.store, objects_of(schemas), named=named)
        emulator.seed(counts, number=int(cast("str", pytestconfig.getini("salesforce_seed_number"))))
        emulator.checkpoint()
        yield emulator


@pytest.fixture
def salesforce(salesforce_server: Emulator) -> Emulator:
    """A Salesforce of the test's own: nothing that an earlier test did is left in it."""
    salesforce_server.reset()
    return salesforce_server


def _counts(settings: list[str]) -> dict[str, int]:
    """`["Account=100"]` as a dict.
    Raises: pytest.UsageError.
    """
    pairs = [setting.partition("=") for setting in settings]
    wrong = [f"{name}{sign}{count}" for name, sign, count in pairs if not name or not count.isdecimal()]
    if wrong:
        raise pytest.UsageError(f"salesforce_seed wants Object=count, not {', '.join(wrong)}")
    return {name: int(count) for name, _, count in pairs}
