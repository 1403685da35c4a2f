"""Laws of docs/how-to: the commands of a page, in an empty folder and in their order, print what stands there.

How such a page is written stands in `tests.typed`. Pages of examples/ are typed beside a copy of their files.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer import Exit
from typer.main import get_command

from tests.command_line import app
from tests.test_docs import DOCS
from tests.typed import FENCE, ROOT, clean, differences, run, steps, warehouse


def commands(pages: list[Path]) -> Iterator[tuple[str, str]]:
    """Every `halocline ...` that a page has its reader type, with the page's name."""
    for page in pages:
        for fence in FENCE.finditer(page.read_text()):
            if fence["language"] in {"console", "sh", "bash"} and not fence["file"]:
                lines = fence["text"].replace("\\\n", " ").split("\n")
                yield from ((page.name, found[1]) for line in lines if (found := re.match(r"(?: *\$ | *)(halocline .*)", line)))


def misused(command: str, line: Any) -> str:
    """Why the command line would not take it; empty if it would."""
    words = shlex.split(re.split(r" [|&;>]| 2>| #", command)[0])
    try:
        parse(line, words)
    except Exit:  # --help
        return ""
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        told = str(error.format_message())
        return "" if told.endswith("does not exist.") else told  # a file of the reader's
    return ""


def parse(command: Any, words: list[str]) -> None:
    """Have the command line read the words, and run nothing."""
    context = command.make_context(words[0], words[1:])
    rest = [*getattr(context, "_protected_args", []), *context.args]
    if hasattr(command, "resolve_command") and rest:
        _, found, left = command.resolve_command(context, rest)
        parse(found, [rest[0], *left])


PAGES = [
    page
    for page in (*sorted((DOCS / "how-to").glob("*.md")), *sorted(ROOT.glob("examples/*/README.md")))
    if any(not step.file for step in steps(page.read_text()))
]


def test_there_is_a_page_for_each_job() -> None:
    """Six jobs, each with something to type, and four examples."""
    assert len(PAGES) >= 10


def test_every_command_of_a_page_is_one() -> None:
    """What any page has its reader type, the command line takes: no option that it has not, and none that is missing."""
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    found, line = list(commands(pages)), get_command(app)
    assert len(found) > 40
    assert [f"{page}: {command}: {why}" for page, command in found if (why := misused(command, line))] == []


@pytest.mark.parametrize(
    "command", ["halocline snc Account", "halocline sync Account", "halocline dlq lst orders", "halocline run --al"]
)
def test_a_command_that_is_none_is_found(command: str) -> None:
    """A misspelt verb or option, and an option that is missing, are told."""
    assert misused(command, get_command(app))


@pytest.mark.long
@pytest.mark.system
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem if path.stem != "README" else path.parent.name)
def test_a_page_runs_as_it_stands(page: Path, tmp_path: Path) -> None:
    """Its files are written, its commands typed into one shell, and each prints what the page says."""
    text = page.read_text()
    with ExitStack() as servers:
        place = warehouse(text, servers, tmp_path)
        todo = steps(text)
        beside = page.parent if page.name == "README.md" else None
        told = run(todo, tmp_path, environment={**clean(), **place}, beside=beside)
        for number, step in enumerate(todo):
            if not step.file:
                differences(step, told / str(number), why=(told / "errors").read_text(errors="replace")[-3_000:])
