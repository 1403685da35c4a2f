"""Check the documentation: Python blocks parse, links inside the repository lead somewhere, decisions are whole.

usage: check_docs.py

Tutorials are run as well, by tests/test_docs.py.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
DECISION_HEADINGS = ["Question", "Options", "Choice", "What would change it"]


def main() -> int:
    """Print every fault with its page and line; return 1 if there is one."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "requirements").glob("*.md")]
    faults = [fault for page in sorted(pages) for check in (_broken_blocks, _broken_links) for fault in check(page)]
    faults += _incomplete_decisions(ROOT / "docs" / "decisions")
    print("\n".join(faults) or f"{len(pages)} pages: examples parse, links lead somewhere, decisions are whole")
    return 1 if faults else 0


def _broken_blocks(page: Path) -> Iterator[str]:
    text = page.read_text()
    for match in FENCE.finditer(text):
        if match["language"] != "python":
            continue
        first = text.count("\n", 0, match.start("code"))
        try:
            ast.parse(textwrap.dedent(match["code"]))
        except SyntaxError as error:
            yield f"{page.relative_to(ROOT)}:{first + (error.lineno or 1)}: {error.msg}"


def _broken_links(page: Path) -> Iterator[str]:
    prose = FENCE.sub(lambda match: "\n" * match[0].count("\n"), page.read_text())
    for match in LINK.finditer(prose):
        target = match["target"].partition("#")[0]
        if not target or "://" in target or target.startswith("mailto:"):
            continue
        if not (page.parent / target).exists():
            yield f"{page.relative_to(ROOT)}:{prose.count(chr(10), 0, match.start()) + 1}: no such file: {target}"


def _incomplete_decisions(folder: Path) -> list[str]:
    index = (folder / "README.md").read_text()
    papers = sorted(folder.glob("[0-9]*.md"))
    faults = [f"{paper.relative_to(ROOT)}: not listed in README.md" for paper in papers if f"({paper.name})" not in index]
    headings = {paper: re.findall(r"^## (.+)$", paper.read_text(), re.MULTILINE) for paper in papers}
    wrong = {paper: found for paper, found in headings.items() if found != DECISION_HEADINGS}
    return faults + [f"{paper.relative_to(ROOT)}: headings are {found}" for paper, found in wrong.items()]


if __name__ == "__main__":
    sys.exit(main())
