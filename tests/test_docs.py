"""Laws of the documentation: every Python block of a tutorial runs as it stands, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
TUTORIALS = sorted(DOCS.glob("tutorial*.md"))
FENCE = re.compile(r"^(?P<indent>[ ]*)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A Python block of a page: its code, and the line of the page on which the code starts, counted from 1."""

    code: str
    line: int


def python_blocks(page: str) -> list[Block]:
    """The Python blocks of a page, in order."""
    found = []
    for match in FENCE.finditer(page):
        line = page.count("\n", 0, match.start("code")) + 1
        found.append(Block(textwrap.dedent(match["code"]), line))
    return found


def run_page(path: Path) -> dict[str, object]:
    """Run a page's Python blocks in one namespace and return it; a failure's traceback shows the page and its line."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in python_blocks(path.read_text()):
        padded = "\n" * (block.line - 1) + block.code
        exec(compile(padded, str(path), "exec"), namespace)
    return namespace


def test_there_is_a_tutorial() -> None:
    """A newcomer finds a tutorial with something to run in it."""
    assert [path.name for path in TUTORIALS if python_blocks(path.read_text())]


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.name)
def test_a_tutorial_runs_as_it_stands(tutorial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of a tutorial runs, in order, in an empty folder, without credentials in the environment."""
    for name in list(os.environ):
        if name.startswith(("SF_", "HALOCLINE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    run_page(tutorial)


def test_blocks_share_a_namespace_in_order(tmp_path: Path) -> None:
    """A later block sees what an earlier one made; blocks of other languages are not run."""
    page = tmp_path / "page.md"
    page.write_text("```python\na = 1\n```\ntext\n```sql\nselect 1\n```\n- item\n  ```python\n  b = a + 1\n  ```\n")
    assert run_page(page)["b"] == 2


def test_a_failing_block_names_its_line(tmp_path: Path) -> None:
    """A block that fails shows the page's own line number."""
    page = tmp_path / "page.md"
    page.write_text("title\n\n```python\na = 1\nraise KeyError('here')\n```\n")
    with pytest.raises(KeyError) as caught:
        run_page(page)
    assert (caught.traceback[-1].path, caught.traceback[-1].lineno + 1) == (page, 5)


def test_the_pages_that_the_code_tells_are_what_it_says() -> None:
    """`make docs` would change nothing."""
    command = [sys.executable, str(DOCS.parent / "tools" / "make_pages.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
