"""Markdown of the pages that the code tells, and what the code says of itself beside its values."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """A table; a bar in a cell stays one."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell_of(cell) for cell in line) + " |" for line in lines)


def cell_of(value: object) -> str:
    """A value in one line, as a cell takes it."""
    return plain(" ".join(str(value).split())).replace("|", "\\|")


def plain(text: str) -> str:
    """A text whose stars and angles are read as they are, outside of code."""
    return re.sub(r"(`[^`]*`)|([*<])", lambda found: found[1] or f"\\{found[2]}", text)


def code(text: object) -> str:
    """A text as code; nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def paragraphs(kind: object) -> list[str]:
    """The paragraphs of a docstring, each in one line, without what it raises and where it is from."""
    said = re.split(r"\n(?:Raises|Source):", inspect.getdoc(kind) or "")[0]
    return [" ".join(one.split()) for one in re.split(r"\n\s*\n", said) if one.strip()]


def fields_of(kind: type) -> list[tuple[str, str, str]]:
    """The fields of a value, or the members of an enumeration: name, type, and the docstring behind each."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = []
    for one, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(one, (ast.Assign, ast.AnnAssign)):
            target = one.target if isinstance(one, ast.AnnAssign) else one.targets[0]
            kind_of = ast.unparse(one.annotation) if isinstance(one, ast.AnnAssign) else ""
            told = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            found.append((ast.unparse(target), kind_of, " ".join(str(told).split())))
    return found
