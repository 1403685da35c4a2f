"""The verbs: what each is called, where it is, and under which heading `halocline --help` shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Annotated, NamedTuple

import typer

from halocline.cli import version
from halocline.cli.answer import in_json
from halocline.cli.misread import Verbs

_START = "Start here"
_TO_TABLES = "Salesforce to a table"
_TO_SALESFORCE = "Anything to Salesforce"
_FLOWS = "Flows of halocline.yaml"
_PAST = "What happened"
_EVENTS = "Events"
_LAPTOP = "A Salesforce on this laptop"


class Verb(NamedTuple):
    """One word of the command line."""

    name: str
    place: str  # a module of this package, and in it a function, or a Typer that has verbs of its own
    heading: str | None = None


VERBS = (
    Verb("demo", "demo:demo", _START),
    Verb("sync", "sync:sync", _TO_TABLES),
    Verb("plan", "plan:plan", _TO_TABLES),
    Verb("verify", "verify:verify", _TO_TABLES),
    Verb("push", "push:push", _TO_SALESFORCE),
    Verb("retry", "retry:retry", _TO_SALESFORCE),
    Verb("resume", "resume:resume", _TO_SALESFORCE),
    Verb("init", "init:init", _FLOWS),
    Verb("check", "check:check", _FLOWS),
    Verb("run", "run:run", _FLOWS),
    Verb("iam", "iam:iam", _FLOWS),
    Verb("schema", "init:schema", _FLOWS),
    Verb("runs", "runs:app", _PAST),
    Verb("errors", "errors:errors", _PAST),
    Verb("listen", "listen:listen", _EVENTS),
    Verb("dlq", "dlq:app", _EVENTS),
    Verb("emulator", "emulator:app", _LAPTOP),
    Verb("version", "version:version"),
)


def typed(words: Sequence[str]) -> tuple[Verb, ...]:
    """The verb that the `words` after the program's name begin with; all of them where it is none, for help and suggestions."""
    return tuple(verb for verb in VERBS if words and verb.name == words[0]) or VERBS


def program(verbs: Iterable[Verb] = VERBS) -> typer.Typer:
    """The command line with these verbs; the modules of others are not loaded."""
    app = typer.Typer(
        name="halocline",
        cls=Verbs,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
        rich_markup_mode="rich",
    )
    app.callback()(_any_verb)
    for verb in verbs:
        module, _, attribute = verb.place.partition(":")
        found = getattr(import_module(f"halocline.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=verb.name, rich_help_panel=verb.heading)
        else:
            app.command(verb.name, rich_help_panel=verb.heading)(found)
    return app


def _any_verb(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version of Halocline alone.", is_eager=True, callback=version.alone)
    ] = False,
) -> None:
    """Keep Salesforce and your data platform in step, without losing or doubling a row."""
    in_json(False)  # until the command's own --json says otherwise
