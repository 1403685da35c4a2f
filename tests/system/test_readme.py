"""Laws of the first screens: what README has its reader type works on the org that README has its reader start."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.laptop import Laptop, laptop
from tests.system.nursery import Nursery
from tests.system.test_cli import shell_to

pytestmark = pytest.mark.system

README = Path(__file__).resolve().parents[2] / "README.md"
TYPED = re.compile(r"^\$ halocline ((?:plan|sync|verify|runs)\b[^#\n]*)", re.MULTILINE)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Laptop]:
    with laptop(tmp_path) as running:
        yield running


def test_what_readme_types_works_on_its_org(here: Laptop, tmp_path: Path, nursed: Nursery) -> None:
    """The objects, patterns and columns of its syncs are in an org as the emulator makes it; each ends with 0, in that order."""
    commands = [shlex.split(found) for found in TYPED.findall(README.read_text())]
    assert [words[0] for words in commands] == ["plan", "sync", "sync", "verify", "runs"]
    here.org.seed({"Account": 20, "Contact": 10})
    shell = shell_to(here, tmp_path, nursed)
    assert [(words, done.err) for words in commands if (done := shell.run(*words)).code] == []
