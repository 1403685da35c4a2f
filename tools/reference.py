"""The pages of docs/reference: the command line, settings, errors and events, each as the code has it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import typer
from markdown import cell_of, code, fields_of, paragraphs, plain, table

from halocline import config, errors, events
from halocline.cli.answer import EXIT_CODES
from halocline.cli.verbs import program
from halocline.compat.demand import settings as demand
from halocline.compat.kinetic import auth as kinetic
from halocline.consume.topics import event_settings
from halocline.consume.watching import observer
from halocline.flows.json_schema import json_schema
from halocline.outcome import Counts
from halocline.registry import able
from halocline.report import CODES

_MADE = "This page is made from the code by `make docs`; a test keeps it true."

# ---- the command line


def commands() -> str:
    """docs/reference/cli.md."""
    parts = [_CLI_HEAD, _exit_codes()]
    parts += [_command(path, one) for path, one in _walk(typer.main.get_command(program()), "halocline")]
    return _page(parts)


_CLI_HEAD = f"""
# Command line

{_MADE} `halocline COMMAND --help` says the same. An option that takes no value is off unless it is given; `--no-...`
switches off what is on. What the environment says instead of an option is in [settings](settings.md#environment).
"""


def _exit_codes() -> str:
    rows = [(f"`{number}`", told) for number, told in EXIT_CODES.items()]
    return "## Exit codes\n\n" + table(("code", "meaning"), rows)


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The commands that do something, with how they are called."""
    below: Mapping[str, Any] = getattr(command, "commands", {})
    if not below or getattr(command, "invoke_without_command", False):
        yield path, command
    for name, one in below.items():
        yield from _walk(one, f"{path} {name}")


def _command(path: str, command: Any) -> str:
    usage = " ".join([path, *command.collect_usage_pieces(typer.Context(command, info_name=path))])
    said = [plain(" ".join(one.split())) for one in (command.help or "").split("\n\n")]
    rows = [_parameter(one) for one in command.params if not getattr(one, "hidden", False)]
    told = [table(("argument or option", "default", "what it says"), rows)] if rows else []
    return "\n\n".join([f"## {path}", *said, f"```\n{usage}\n```", *told])


def _parameter(one: Any) -> tuple[str, str, str]:
    said = one.show_default if isinstance(one.show_default, str) else _default(one)
    return _called(one), said, one.help or ""


def _called(one: Any) -> str:
    if not one.opts[0].startswith("-"):
        return code(one.metavar or one.name.upper())
    value = "" if one.is_flag else f" {one.metavar or _value(one.type_descriptor.annotation)}"
    return " / ".join([*(code(f"{name}{value}") for name in one.opts), *map(code, one.secondary_opts)])


def _value(kind: Any) -> str:
    choices = [str(choice) for choice in get_args(kind)]
    return "|".join(choices) or {int: "N", float: "NUMBER", Path: "PATH"}.get(kind, "TEXT")


def _default(one: Any) -> str:
    if one.required:
        return "required"
    if one.default is None or one.default is False or one.default in ("", []):
        return ""
    return "on" if one.default is True else code(f"{one.default:g}" if isinstance(one.default, float) else one.default)


# ---- settings


def settings() -> str:
    """docs/reference/settings.md."""
    schema = json_schema()
    kinds = schema["$defs"]
    parts = [_SETTINGS_HEAD, *_environment(), _YAML_HEAD, _keys({"properties": schema["properties"]})]
    parts += [f"### {_TITLES[name]}\n\n{cell_of(kinds[name]['description'])}\n\n{_keys(kinds[name])}" for name in _TITLES]
    missing = sorted(kinds.keys() - _TITLES.keys())
    assert not missing, f"halocline.yaml has parts that no page tells: {missing}"
    return _page(parts)


_SETTINGS_HEAD = f"""
# Settings

{_MADE} A setting of Python's functions is told where they are: [syncing](../syncing.md), [pushing](../pushing.md),
[handlers](../handlers.md).
"""
_YAML_HEAD = """
## halocline.yaml

How its parts go together is told in [flows](../flows.md). Keys that are not here are refused, with the line and what
may have been meant; editors complete and check by [halocline.schema.json](../halocline.schema.json). A *reference* says
where a secret is: `env:NAME`, `file:PATH` or `aws-sm:NAME#KEY`.
"""
_TITLES = {
    "Org": "connections: kind `salesforce`",
    "Place": "connections: kind `database` or `folder`",
    "Bucket": "connections: kind `s3`",
    "SyncFlow": "flows: kind `sync`",
    "PushFlow": "flows: kind `push`",
    "FileFlow": "flows: kind `file`",
    "Execution": "flows: kind `file`: `execution`",
    "ListenFlow": "flows: kind `listen`",
    "TablesFlow": "flows: kind `tables`",
    "OneTable": "flows: kind `tables`: `tables`",
    "Books": "ledger",
    "Lambda": "lambda",
}


def _environment() -> list[str]:
    groups: list[tuple[str, str, tuple[config.Variable, ...]]] = [
        ("Halocline", "HALOCLINE_LEDGER, HALOCLINE_IDEMPOTENCY and HALOCLINE_MASK_KEY may be references.", config.VARIABLES)
    ]
    for name, module in able("VARIABLES").items():
        groups.append((name, _NOTES.get(name, ""), module.VARIABLES))
    groups.append(("Events", _NOTES["events"], event_settings.VARIABLES))
    groups.append(("halocline.compat.demand", _NOTES["demand"], demand.VARIABLES))
    groups.append(("halocline.compat.kinetic", _NOTES["kinetic"], kinetic.VARIABLES))
    warned = "warns of a misspelt one, save those of `halocline.compat.demand`, whose names other programs have too."
    parts = [f"## Environment\n\nAn empty variable is one that is not set. `halocline check` {warned}"]
    for title, note, known in groups:
        rows = [(code(one.name), one.told, one.default) for one in known]
        parts.append("\n\n".join(filter(None, (f"### {title}", note, table(("variable", "what it says", "without it"), rows)))))
    return parts


_NOTES = {
    "salesforce": "Which of them are set decides how to log in. Each may be a reference.",
    "aws": "All else is as boto3 finds it: `AWS_PROFILE`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `~/.aws/config`, the machine's role.",
    "snowflake": "Each is also a part or an option of the URI, and what the URI says goes first: [Snowflake](../snowflake.md).",
    "events": "Read by `SQSClient` and `SNSClient` where their arguments do not say it: [handlers](../handlers.md).",
    "demand": "From the environment, else from `.env` in the current folder: [more](../coming-from-demand-pipeline.md).",
    "kinetic": "Beside those of salesforce; its `from_env` reads `.env`, too: [more](../coming-from-kinetic-core.md).",
}


def _keys(kind: Mapping[str, Any]) -> str:
    required = kind.get("required", [])
    rows = []
    for name, one in sorted(kind["properties"].items(), key=lambda item: item[0] != "kind"):
        default = "required" if name in required else _plain(one.get("default"))
        rows.append((code(name), _type(one), default, one.get("description", "")))
    return table(("key", "type", "default", "what it says"), rows)


def _plain(value: object) -> str:
    return "" if value is None or value == [] else code(json.dumps(value) if not isinstance(value, str) else value)


def _type(one: Mapping[str, Any]) -> str:
    """A type of JSON schema in words."""
    if "anyOf" in one or "oneOf" in one:
        several = [_type(each) for each in one.get("anyOf", one.get("oneOf", ())) if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(several))
    if "$ref" in one:
        name = one["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(_TITLES[name])})" if name in _TITLES else name
    if "const" in one or "enum" in one:
        return ", ".join(code(value) for value in one.get("enum", [one.get("const")]))
    if one.get("pattern", "").startswith("^(env|"):
        return "reference"
    return _containers(one) or _scalar(one)


def _containers(one: Mapping[str, Any]) -> str:
    if one.get("type") == "array":
        return f"list of {_type(one['items'])}"
    if one.get("type") == "object":
        below = one.get("additionalProperties")
        return f"mapping of names to {_type(below)}" if isinstance(below, Mapping) and below else "mapping"
    return ""


def _scalar(one: Mapping[str, Any]) -> str:
    word = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}.get(
        one.get("type", ""), "any"
    )
    low, high = one.get("minimum"), one.get("maximum")
    if low is None and high is None:
        return word
    return f"{word}, {low} to {high}" if high is not None else f"{word} from {low}"


def _anchor(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


# ---- errors


def error_classes() -> str:
    """docs/reference/errors.md."""
    parts = [_ERRORS_HEAD, "```\n" + _drawing() + "\n```"]
    parts.append(table(("error", "kind of", "exit code", "when", "what to try"), map(_error, _tree(errors.HaloclineError))))
    parts += [_CODES_HEAD, table(("code", "meaning"), [(code(name), told) for name, told in CODES.items()])]
    return _page(parts)


_ERRORS_HEAD = f"""
# Errors

{_MADE} Import them from `halocline.errors`. Every error says what was being done (`doing`), what came back (`cause`)
and what to try (`hint`); `code` is the other side's own code, `facts` holds ids and numbers. The second level of the
tree says what to do next. With `--json` a command answers `{{"success": false, "error": ..., "kind": ..., "code": ...,
"exit_code": ...}}`. Exit codes are those of [the command line](cli.md#exit-codes).
"""
_CODES_HEAD = """
## Codes of rejected records

`halocline errors RUN` shows them. These are Halocline's own; the others are Salesforce's (`REQUIRED_FIELD_MISSING`,
...), or the name of what a builder raised (`ValueError`, ...).
"""


def _drawing() -> str:
    text = inspect.getdoc(errors) or ""
    begin = text.index("HaloclineError\n")
    return inspect.cleandoc("    " + text[begin : text.index("\n\n", begin)])


def _tree(kind: type[errors.HaloclineError]) -> Iterator[type[errors.HaloclineError]]:
    """A class and those below it, each once, in the module's order; other modules' own are those above them to everybody."""
    known = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, kind)]
    yield from sorted(known, key=lambda one: inspect.getsourcelines(one)[1])


def _error(kind: type[errors.HaloclineError]) -> tuple[str, str, str, str, str]:
    said = paragraphs(kind)
    tried = [one.removeprefix("What to try:").strip() for one in said if one.startswith("What to try:")]
    above = ", ".join(code(one.__name__) for one in kind.__bases__ if one is not Exception)
    return (
        code(kind.__name__),
        above,
        str(kind.exit_code),
        " ".join(said[:1]),
        " ".join(one[:1].upper() + one[1:] for one in tried),
    )


# ---- events


def event_classes() -> str:
    """docs/reference/events.md."""
    parts = [_EVENTS_HEAD, *(_value_class(one) for one in get_args(events.Event))]
    parts += [_value_class(Counts), _WORKERS_HEAD, _value_class(observer.Note), _notes(), _value_class(observer.Snapshot)]
    return _page(parts)


_EVENTS_HEAD = f"""
# Events of runs

{_MADE} What happened, for watching: progress, logs. For truth there is the ledger. `sink=` of `IntelligentSync`,
`SyncPipeline` and the other fronts takes a function of one event; it is called from several threads at once. (Events
that are messages are told in [events](../events.md).)
"""
_WORKERS_HEAD = """
## Of workers

An observer (`Observer`) is told notes as they happen, and shown a snapshot about once a second: [listening](../listening.md).
"""


def _value_class(kind: type) -> str:
    fields = fields_of(kind)
    rows = [(code(name), code(type_.replace(" | None", " or None")), told or _SAME[name]) for name, type_, told in fields]
    return "\n\n".join((f"## {kind.__name__}", *paragraphs(kind), table(("field", "type", "what it says"), rows)))


_SAME = {name: told for name, _, told in fields_of(events.RunStarted) if name == "run"}


def _notes() -> str:
    rows = [(code(observer.What[name].value), told) for name, _, told in fields_of(observer.What)]
    return "`what` is one of:\n\n" + table(("value", "what happened"), rows)


def _page(parts: list[str]) -> str:
    return "\n\n".join(part.strip() for part in parts) + "\n"
