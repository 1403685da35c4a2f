"""What Typer refuses by itself - an option that is not there, a word that is missing, a number that an option does not take -
told as the rest of the answers is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from halocline.cli.answer import BAD_USE, in_json, refuse

if TYPE_CHECKING:
    from typer._click.core import Context  # the very class of TyperGroup's parameters; Typer gives it no public name

_JSON = "--json"
_END_OF_OPTIONS = "--"
_SHOWN = 60  # characters of what was typed


class Verbs(TyperGroup):
    """The verbs of the command line. With --json among the words a mistake in them is one document of JSON, as any error is."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """See Typer: reads the words before the verb."""
        with _told(list(args)):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Context) -> Any:
        """See Typer: reads the verb's own words, and runs it."""
        with _told(list(ctx.args)):
            return super().invoke(ctx)


@contextmanager
def _told(words: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except typer.TyperException as error:
        number = _no_number(error)
        if error.exit_code != BAD_USE or not (number or _wants_json(words)):
            raise
        in_json(_wants_json(words))
        said = number or error.format_message()
        refuse(f"{said}{'' if said.endswith(('.', '?')) else '.'} `{_where(error)} --help` tells what there is.")


def _no_number(error: typer.TyperException) -> str | None:
    """The sentence for a value that is not the number which its option takes; None for any other mistake."""
    kind = getattr(getattr(getattr(error, "param", None), "type_descriptor", None), "annotation", None)
    if not isinstance(error, typer.BadParameter) or kind not in {int, float}:
        return None
    low, high = error.param.min, error.param.max  # type: ignore[union-attr]  # of a number Typer keeps both
    bounds = "" if low is None else f" from {low:,} up" if high is None else f" from {low:,} to {high:,}"
    came = "".join(f", not {str(one['input'])[:_SHOWN]!r}" for one in getattr(error.__cause__, "errors", list)()[:1])
    return f"Reading {error.param.opts[0]}: it takes a {'whole ' if kind is int else ''}number{bounds}{came}."  # type: ignore[union-attr]


def _wants_json(words: Sequence[str]) -> bool:
    ended = words.index(_END_OF_OPTIONS) if _END_OF_OPTIONS in words else len(words)
    return _JSON in words[:ended]


def _where(error: typer.TyperException) -> str:
    """The command whose words they are."""
    at = getattr(error, "ctx", None)
    return "halocline" if at is None else str(at.command_path)
