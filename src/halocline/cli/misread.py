"""What Typer refuses by itself - an option that is not there, a word that is missing - told as the rest of the answers is."""

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
        if error.exit_code != BAD_USE or not _wants_json(words):
            raise
        in_json(True)
        said = error.format_message()
        refuse(f"{said}{'' if said.endswith(('.', '?')) else '.'} `{_where(error)} --help` tells what there is.")


def _wants_json(words: Sequence[str]) -> bool:
    ended = words.index(_END_OF_OPTIONS) if _END_OF_OPTIONS in words else len(words)
    return _JSON in words[:ended]


def _where(error: typer.TyperException) -> str:
    """The command whose words they are."""
    at = getattr(error, "ctx", None)
    return "halocline" if at is None else str(at.command_path)
