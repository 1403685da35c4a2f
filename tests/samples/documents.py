"""A document whose samples are quoted here, with what EDITS.md says of them."""

from __future__ import annotations

import builtins
import re
import symtable
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

FOLDER = Path(__file__).resolve().parent
FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
DIRECTIVE = re.compile(r"^\.\. code-block:: (?P<language>\w+)\n(?P<text>(?:[ \t]+.*\n|\n)+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, and its text as it stands."""

    language: str
    text: str


def fenced(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(found["language"], found["text"]) for found in FENCE.finditer(page)]


def directives(page: str) -> list[Block]:
    """The code blocks of a page of reStructuredText, in order, without their indentation."""
    return [Block(found["language"], dedent(found["text"]).strip("\n") + "\n") for found in DIRECTIVE.finditer(page)]


def table(body: str) -> list[list[str]]:
    """The rows of a Markdown table, its heading left out."""
    lines = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`*") for cell in line.strip("|").split("|")] for line in lines[2:]]


@dataclass(frozen=True, slots=True)
class Document:
    """A quoted document: its page here (`lht.md`), and the word that opens its headings in EDITS.md (`LHT`)."""

    page: str
    title: str

    @property
    def text(self) -> str:
        """The page."""
        return (FOLDER / self.page).read_text(encoding="utf-8")

    def blocks(self) -> dict[str, Block]:
        """The document's blocks as quoted here, by name."""
        sections = re.split(r"^## (\S+)\n", self.text, flags=re.MULTILINE)[1:]
        found = {name: fenced(body) for name, body in zip(sections[::2], sections[1::2], strict=True)}
        return {name: blocks[0] for name, blocks in found.items() if blocks}

    def edits(self, section: str) -> list[list[str]]:
        """The rows of a table of EDITS.md, cells without backticks."""
        page = (FOLDER / "EDITS.md").read_text(encoding="utf-8")
        return table(page.partition(f"## {self.title}: {section}\n")[2].partition("\n## ")[0])

    def edited(self, name: str) -> str:
        """A sample's text after the replacements that are listed for it, each of which must be needed."""
        text = self.blocks()[name].text
        for _, old, new, _ in (row for row in self.edits("text replaced") if row[0] == name):
            assert old in text, f"EDITS.md replaces {old!r} in {name}, where it does not stand"
            text = text.replace(old, new)
        return text

    def supplied(self, name: str, every: Mapping[str, object]) -> dict[str, object]:
        """The names that are listed as supplied to a sample, with what each is in `every`."""
        return {known: every[known] for sample, known, *_ in self.edits("names supplied") if sample == name}

    def run(self, name: str, every: Mapping[str, object]) -> dict[str, Any]:
        """Run a sample with its listed edits and nothing else; the names it left behind, also when it raises."""
        namespace = self.supplied(name, every)
        exec(compile(self.edited(name), f"{self.page}:{name}", "exec"), namespace)
        return namespace


def unmade(code: str) -> set[str]:
    """The names that a block uses, in its functions too, and neither makes nor finds among the builtins."""
    top = symtable.symtable(code, "block", "exec")
    made = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    return _wanted(top) - made - set(dir(builtins))


def _wanted(scope: symtable.SymbolTable) -> set[str]:
    is_top = scope.get_type() == "module"
    own = {one.get_name() for one in scope.get_symbols() if one.is_referenced() and (is_top or one.is_global())}
    return own.union(*(_wanted(inner) for inner in scope.get_children()))
