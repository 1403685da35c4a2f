"""Projections: the parts of an item that a read wants.

Source: "Projection expressions", https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ProjectionExpressions.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halocline.testing.aws.dynamodb_expression import Names, Path, Words
from halocline.testing.aws.dynamodb_reply import refused
from halocline.testing.aws.dynamodb_value import Item, Value


@dataclass(frozen=True, slots=True)
class Projection:
    """Some paths."""

    paths: tuple[Path, ...]

    def of(self, item: Item) -> Item:
        """What of an item is at these paths; members of lists close ranks, in their order."""
        made: dict[Any, Any] = {}
        for path in self.paths:
            if path.get(item) is not None:
                _mark(made, path)
        return {name: _picked(item[name], below) for name, below in made.items()}


def projection(params: Mapping[str, Any], names: Names) -> Projection | None:
    """The projection that a request asks for; None for whole items.
    Raises: AWSError for one that cannot be read.
    """
    listed = params.get("AttributesToGet")
    text = params.get("ProjectionExpression")
    if listed and text is not None:
        why = "Can not use both expression and non-expression parameters in the same request"
        raise refused(f"{why}: Non-expression parameters: {{AttributesToGet}} Expression parameters: {{ProjectionExpression}}")
    if listed:
        return Projection(tuple(Path((name,)) for name in listed))
    if text is None:
        return None
    words = Words(text, names, kind="ProjectionExpression")
    paths = [words.path()]
    while words.take(","):
        paths.append(words.path())
    words.end()
    _check_overlap(words, paths)
    return Projection(tuple(paths))


def _check_overlap(words: Words, paths: list[Path]) -> None:
    for at, one in enumerate(paths):
        for other in paths[at + 1 :]:
            if all(left == right for left, right in zip(one.steps, other.steps, strict=False)):
                told = f"must remove or rewrite one of these paths; path one: {one}, path two: {other}"
                raise words.wrong(f"Two document paths overlap with each other; {told}")


_ALL: dict[Any, Any] = {}  # below a path's end


def _mark(made: dict[Any, Any], path: Path) -> None:
    for step in path.steps[:-1]:
        made = made.setdefault(step, {})
    made[path.steps[-1]] = _ALL


def _picked(value: Value, below: dict[Any, Any]) -> Value:
    if not below:
        return value
    if "L" in value:
        return {"L": [_picked(value["L"][at], below[at]) for at in sorted(below)]}
    return {"M": {name: _picked(value["M"][name], deeper) for name, deeper in below.items()}}
