"""Laws of walks: what the README says leads each kind of user to a first result, and that result is what it should be."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.walks.__main__ import NAMES
from tests.walks.walk import Walk, told, walk

WALKS: dict[str, Walk] = {name: import_module(f"tests.walks.{name}").WALK for name in NAMES}


def test_each_script_is_a_walk() -> None:
    """None lies beside the others that `make walks` does not know."""
    beside = {path.stem for path in Path(__file__).parent.glob("*.py")} - {"__init__", "__main__", "walk", "test_walks"}
    assert beside == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_leads_to_what_is_typed(name: str) -> None:
    """From a clone over an installation to the command that brings the first result, which is then looked at."""
    stages = [stage for stage, _ in WALKS[name].typed(fresh=True)]
    assert stages[:3] == ["clone", "environment", "install"]
    assert (stages[-1], stages.count("look"), stages.count("install")) == ("look", len(WALKS[name].parts), len(WALKS[name].parts))
    assert told("somebody", {"clone": 1.0, "page": 2.0, "look": 5.0}).endswith("first result after    3.0 s")


def test_a_page_that_leads_nowhere_is_told() -> None:
    """A link that the README lost, and a command that the page never types."""
    found = WALKS["tester"].parts[0]
    with pytest.raises(LookupError, match="no way for the Nobody"):
        Walk("Nobody", [found]).typed(fresh=True)
    other = type(found)(found.page, "halocline nothing", found.look)
    with pytest.raises(LookupError, match="never types halocline nothing"):
        Walk("Tester", [other]).typed(fresh=True)


@pytest.mark.long
@pytest.mark.system
@pytest.mark.parametrize("name", [name for name in NAMES if name != "data_engineer"])  # whose page makes an environment
def test_a_walk_comes_to_its_result(name: str) -> None:
    """In this environment, without a clone: `make walks` does the whole."""
    assert walk(WALKS[name], fresh=False)["page"] > 0
