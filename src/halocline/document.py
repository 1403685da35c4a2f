"""YAML documents: plain data and nothing else, no key twice, and the line on which each thing stands."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halocline.errors import FixConfig

if TYPE_CHECKING:
    import yaml

Place = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""

_MOST_VALUES = 100_000  # aliases of aliases make a few lines into more than a memory holds; no document of ours is near this
_DEEPEST = 60
_QUOTED = re.compile(r"""(['"])(?P<plain><[a-z ]+>|.)\1|(['"]).*\3""")
"""What PyYAML quotes of a text: kinds of token and characters are plain, and `*x`, `!x`, `&x` may be the start of a secret."""
_HINTS = {
    "character '\\t'": "; it is a tab: indent with blanks",
    "mapping values are not allowed here": "; a blank is missing after a colon above, or quotes around a text with a colon",
    "but found '<block mapping start>'": "; its indentation is that of no line above",
    "could not find expected ':'": "; a name without a colon and a value stands there or above",
    "but found '<scalar>'": "; a colon or a comma is missing before it",
}
"""What people mostly did where PyYAML says so."""
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What PyYAML lets through from the values that it makes: `2026-02-30`, `!!bool x`, a number of 5,000 digits."""


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document as plain data, with the line (from 1) of each value that it holds."""

    value: Any
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """The line of a value, or of the nearest thing that would hold it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def parsed(text: str, doing: str, *, twice: str = "Leave one of them out.") -> Document:
    """The document in a text; an empty one is None. `twice` is what to do about a key that comes a second time.

    Raises: FixConfig, naming the line, for what is no YAML, for a value that cannot be, for a key that comes twice, and for one
    that holds itself or is larger than any memory. What stands in the line is not shown, nor kept as a cause: it may be a secret.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML lets the last of two equal keys win in silence; here the second is refused."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
            seen: set[tuple[str, str]] = set()
            pairs = node.value if node.id == "mapping" else ()  # a tag may say so of what is none
            for key in (key for key, _ in pairs if isinstance(key, yaml.ScalarNode)):
                if (key.tag, key.value) in seen:
                    raise FixConfig(doing, f"line {key.start_mark.line + 1} says {key.value!r} a second time", hint=twice)
                seen.add((key.tag, key.value))
            return super().construct_mapping(node, deep=deep)

        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
            try:
                return super().construct_object(node, deep=deep)
            except _UNREADABLE:
                kind = str(node.tag).rpartition(":")[2]
                hint = "Put it in quotes if it is a text."
                raise FixConfig(doing, f"line {node.start_mark.line + 1} holds no {kind} that can be", hint=hint) from None

    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return Document(None, {})
            lines = _lines(node, doing)
            return Document(loader.construct_document(node), lines)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise FixConfig(doing, f"it is no YAML: {_problem(error, text)}") from None
    except RecursionError:
        raise FixConfig(doing, f"it is no YAML: it goes deeper than {_DEEPEST} levels") from None


def _problem(error: yaml.YAMLError, text: str) -> str:
    """What is wrong, and in which line, without anything that stands there."""
    import yaml

    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        told = _QUOTED.sub(lambda found: found[0] if found["plain"] else "'...'", error.problem or "it cannot be read")
        hint = next((words for sign, words in _HINTS.items() if sign in (error.problem or "")), "")
        return told + hint if mark is None else f"line {mark.line + 1}: {told}{hint}"
    where = getattr(error, "position", 0)  # of a character that no YAML may hold
    return f"line {text.count(chr(10), 0, where) + 1}: {getattr(error, 'reason', 'it cannot be read')}"


def _lines(node: yaml.Node, doing: str) -> dict[Place, int]:
    found: dict[Place, int] = {}
    for place, line in _each(node, ()):
        if len(found) >= _MOST_VALUES or len(place) > _DEEPEST:
            raise FixConfig(doing, f"line {line}: aliases make it hold itself, or more than {_MOST_VALUES:,} values")
        found.setdefault(place, line)
    return found


def _each(node: yaml.Node, place: Place) -> Iterator[tuple[Place, int]]:
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield (*place, key.value), key.start_mark.line + 1
                yield from _each(value, (*place, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*place, index), value.start_mark.line + 1
            yield from _each(value, (*place, index))
