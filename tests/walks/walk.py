"""A walk: from a clone to the first result of one kind of user, by the pages that the README names for them.

What is typed is read from the pages, so that a page that changed changes the walk: the first `sh` block with `pip install` (out
of a clone, as the README has it), a `sh` block that the walk picks, and the `console` blocks up to the first result.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.typed import FENCE, ROOT, Step, clean, differences, run, steps, warehouse

LIMIT_S = 1_800
_LINK = re.compile(r"\[[^\]]+\]\((docs/[\w/.-]+\.md)\)")
_CLONE = "../clone"


@dataclass(frozen=True, slots=True)
class Look:
    """How the result is looked at, by nothing that the page says: a program, and what it has to print."""

    program: str
    prints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A page, named by a part of its path, up to the command that begins with `result`; `block` picks a `sh` block of it."""

    page: str
    result: str
    look: Look
    block: str = ""
    also: str = ""


@dataclass(frozen=True, slots=True)
class Walk:
    """Who walks, and along which pages of those that the README names for them."""

    who: str
    parts: Sequence[Part]

    @property
    def pages(self) -> list[Path]:
        """The pages, as the README's own line leads to them.

        Raises: LookupError where it does not.
        """
        line = next((one for one in (ROOT / "README.md").read_text().splitlines() if one.startswith(f"- **{self.who}**")), "")
        linked = _LINK.findall(line)
        found = [next((path for path in linked if part.page in path), "") for part in self.parts]
        if not all(found):
            raise LookupError(f"the README has no way for the {self.who} to {[part.page for part in self.parts]}: {linked}")
        return [ROOT / path for path in found]

    def typed(self, *, fresh: bool) -> list[tuple[str, Step]]:
        """What is typed, each with the stage that it belongs to; `fresh` begins with a clone and an environment."""
        todo: list[tuple[str, Step]] = []
        if fresh:
            todo += [
                ("clone", Step(f"git clone --quiet {shlex.quote(str(ROOT))} {_CLONE}")),
                ("environment", Step("python3 -m venv ../env && . ../env/bin/activate")),
            ]
        for part, page in zip(self.parts, self.pages, strict=True):
            text = page.read_text()
            if fresh:
                todo.append(("install", Step(_install(text, page))))
            if part.block:
                todo += [("page", Step(line)) for line in _block(text, part.block, page, fresh=fresh)]
            todo += [("page", step) for step in _until(steps(text), part.result, page)]
            todo.append(("look", Step(f"python -c {shlex.quote(part.look.program)}", prints=part.look.prints)))
        return todo


def _install(text: str, page: Path) -> str:
    """The page's `pip install`, out of the clone."""
    for fence in FENCE.finditer(text):
        if fence["language"] == "sh" and fence["text"].startswith("pip install"):
            return fence["text"].strip().replace("'halocline[", f"'{_CLONE}[")
    raise LookupError(f"{page} does not say how to install")


def _block(text: str, words: str, page: Path, *, fresh: bool) -> Iterator[str]:
    """The lines of the `sh` block with these words, typed in a clone."""
    for fence in FENCE.finditer(text):
        if fence["language"] == "sh" and words in fence["text"]:
            yield f"cd {_CLONE if fresh else shlex.quote(str(ROOT))}"
            yield from textwrap.dedent(fence["text"]).strip().splitlines()
            yield "cd - > /dev/null"
            return
    raise LookupError(f"{page} has no block with {words}")


def _until(todo: Sequence[Step], result: str, page: Path) -> list[Step]:
    """The steps up to the last command that begins so."""
    at = [number for number, step in enumerate(todo) if not step.file and step.text.startswith(result)]
    if not at:
        raise LookupError(f"{page} never types {result}")
    return list(todo[: at[0] + 1])


def walk(whole: Walk, *, fresh: bool = True) -> dict[str, float]:
    """Walk it, and hold what is printed against the pages; the seconds of each stage.

    Raises: AssertionError for a step that printed something else; LookupError for a page that leads nowhere.
    """
    with tempfile.TemporaryDirectory(prefix="walk-") as name, ExitStack() as servers:
        folder = Path(name)
        todo = whole.typed(fresh=fresh)
        begun = time.time()
        given = warehouse("".join(page.read_text() for page in whole.pages if "postgres" in page.name), servers, folder)
        told = run([step for _, step in todo], folder, environment=_environment(given, fresh=fresh), limit_s=LIMIT_S)
        why = (told / "errors").read_text(errors="replace")[-3_000:]
        spent: dict[str, float] = {}
        for number, (stage, step) in enumerate(todo):
            if not step.file:
                differences(step, told / str(number), why=why)
                ended = float((told / f"{number}.at").read_text())
                spent[stage] = spent.get(stage, 0.0) + ended - begun
                begun = ended
        return spent


def _environment(given: Mapping[str, str], *, fresh: bool) -> dict[str, str]:
    """What a newcomer's shell has; in a fresh walk nothing of this tree, nor of the environment that runs it."""
    found = {**clean(), **given}
    if fresh:
        del found["PYTHONPATH"]
        ours = str(Path(sys.executable).parent)
        found["PATH"] = os.pathsep.join(one for one in os.environ["PATH"].split(os.pathsep) if one != ours)
        found.pop("VIRTUAL_ENV", None)
    return found


def told(who: str, spent: Mapping[str, float]) -> str:
    """A line of the table of times."""
    stages = "  ".join(f"{stage} {spent.get(stage, 0.0):6.1f} s" for stage in ("clone", "environment", "install", "page"))
    first = sum(seconds for stage, seconds in spent.items() if stage != "look")
    return f"{who:22} {stages}  first result after {first:6.1f} s"


def main(whole: Walk) -> None:
    """Walk, and say how long it took."""
    print(told(whole.who, walk(whole)))
