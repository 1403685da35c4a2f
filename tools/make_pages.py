"""Write the pages of the documentation that the code itself tells: the reference of the command line, of settings, errors and
events, what the emulator covers, which type becomes which, and the JSON schema of halocline.yaml.

usage: make_pages.py [--check]

With --check nothing is written; a page that is not what the code says ends in exit code 1.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path

import reference
from markdown import table
from type_map import type_map

from halocline.emulator.bulk1.door import METHODS
from halocline.emulator.calls import KINDS
from halocline.emulator.faults.actions import ACTIONS, OTHER_NAMES
from halocline.emulator.faults.grammar import MATCHING
from halocline.emulator.faults.target import OPERATIONS as SERVED
from halocline.emulator.org import EmulatorConfig
from halocline.emulator.routes import ADMIN_ROUTES, ROUTES, Route
from halocline.emulator.schema_files import load_catalog
from halocline.emulator.soap.service import OPERATIONS
from halocline.emulator.soql.dates import DATE_LITERALS
from halocline.emulator.soql.parser import CLAUSES, LOCATION_FUNCTIONS, SCOPES
from halocline.emulator.soql.values import AGGREGATES, DATE_FUNCTIONS, REFUSED_FUNCTIONS, SHOWING_FUNCTIONS
from halocline.flows.json_schema import json_schema

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them with the code."""
    different = 0
    for name, tell in PAGES.items():
        page, text = ROOT / "docs" / name, tell()
        if "--check" not in arguments:
            page.write_text(text)
        elif not page.exists() or page.read_text() != text:
            print(f"{page.relative_to(ROOT)} is not what the code says: run make docs", file=sys.stderr)
            different = 1
    return different


def coverage() -> str:
    """The page as Markdown."""
    parts = [_HEAD, _resources(), _soql(), _soap(), _UNVERIFIED, _faults(), _settings(), _objects()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


_HEAD = """
# What the emulator covers

This page is made from the code by `make docs`; a test keeps it true. What is not here is refused with the error that Salesforce
itself gives for something it does not know: `NOT_FOUND` for a resource, `INVALID_TYPE` for an object, `MALFORMED_QUERY` for SOQL.
How to use the emulator is told in [emulator.md](emulator.md).
"""


def _resources() -> str:
    served = [_row(route) for route in ROUTES if not route.path.endswith("{path:rest}")]
    ours = [_row(route) for route in ADMIN_ROUTES]
    return "\n\n".join(
        (
            "## Resources",
            table(("path", "method", "answer"), [line for lines in served for line in lines]),
            "## The admin door",
            "Ours, for tests and demos: what no Salesforce offers.",
            table(("path", "method", "effect"), [line for lines in ours for line in lines]),
        )
    )


def _row(route: Route) -> Iterator[tuple[str, str, str]]:
    path = re.sub(r"\(\?:[^)]*\)\?", "", route.path.replace("{version}", "67.0"))
    told: dict[str, list[str]] = {}
    for method, worker in METHODS.get(route.path, route.methods).items():  # what stands behind Bulk API 1.0's own door
        told.setdefault(_first_sentence(worker), []).append(method)
    for sentence, methods in told.items():
        yield f"`{path}`", ", ".join(methods), sentence + (f" Since v{route.since}." if route.since else "")


def _first_sentence(worker: Callable[..., object]) -> str:
    text = inspect.getdoc(worker) or ""
    paragraph = re.split(r"\n\s*\n|\s(?:Raises|Source):", text)[0]
    without_path = re.sub(r"^`[^`]+`(?:, (?:also )?`[^`]+`)*(?:: |, |\.$| (?=with |\())", "", " ".join(paragraph.split()))
    told = without_path or worker.__name__.replace("_", " ") + "."
    return told[:1].upper() + told[1:]


_SOQL = """
Relationships five levels up, five levels down from v58 (two before), `FIELDS()` (since v51), `TYPEOF` (since v46), semi-joins
and anti-joins, `LIKE`, `INCLUDES` and `EXCLUDES`. What Bulk queries do not run is refused there. The Tooling API answers more
of `EntityDefinition` and `FieldDefinition` than Salesforce does, which by its page "SOQL Operation Limitations" runs no `OR`,
`!=`, `NOT`, `COUNT()` or `GROUP BY` on them and ignores `LIMIT`.
""".strip()


def _soql() -> str:
    clauses = [(f"`{one.words.upper()}`", one.refused or "yes") for one in CLAUSES]
    literals = ", ".join(f"`{word.upper()}{':n' if counted else ''}`" for word, counted in DATE_LITERALS.items())
    return "\n\n".join(
        (
            "## SOQL",
            _SOQL,
            table(("clause", "served, or the refusal"), clauses),
            f"Scopes: {_words(SCOPES)}.",
            f"Aggregates: {_words(AGGREGATES)}. Date functions: {_words(DATE_FUNCTIONS)}. Others: {_words(SHOWING_FUNCTIONS)}.",
            f"Date literals: {literals}.",
            f"Refused where they stand by themselves, or at all: {_words({*REFUSED_FUNCTIONS, *LOCATION_FUNCTIONS})}.",
        )
    )


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _with(settings: Mapping[str, object]) -> str:
    return "".join(f" with `{key}={value}`" for key, value in settings.items())


def _soap() -> str:
    operations = _words(OPERATIONS)
    doors = "`POST /services/Soap/u/{version}` and `/c/{version}`"
    return f"## SOAP\n\n{doors}: {operations}. `login` ends with v64, as Salesforce's does."


_UNKNOWN_OF_VALUES = (
    ("a checkbox set to null", "is not refused and reads false"),
    ("the `Name` of a custom object's record, changed to null", "stays null; a new record without one is named by its id"),
    ("control characters around a text", "tab, line feed, vertical tab, form feed and carriage return go, others stay"),
    ("texts in the results of a Bulk 2.0 job", "are as they were sent; in the record they have no blanks around them"),
    ("letters beyond A to Z in a unique key", "differ by their case"),
    ("an undelete whose record, or a child of it, has a unique value that is taken", "is refused as a whole"),
    ("a body that is not packed as its `Content-Encoding` says", "is refused with JSON_PARSER_ERROR"),
    ("a lookup by an external id", "finds as an upsert does"),
    ("a key that is a standard field (`Email`)", "finds in any case of letters"),
)
_UNVERIFIED = f"""
## What is unverified

No page that we found says what Salesforce does here, and no recording of a real org shows it. Let no test rest on it.

{table(("case", "here"), _UNKNOWN_OF_VALUES)}

An upsert by an external id finds in any case of letters where that is unique and not case-sensitive, else by exact spelling: so
says the SOAP API Developer Guide of `upsert()`. Words of refusals that nobody has published are marked as unverified in the code.
""".strip()
_SOAP_KINDS = "SOAP's other calls, which are refused, are `soap.` and their name."
_OBJECTS_OF_RULES = """
`object` is one of the org or of its Tooling API. What no request can be is refused when the rule is made, with the nearest name.
""".strip()


def _faults() -> str:
    rows = [(f"`{name}`", one.effect, _words(one.reads), ", ".join(one.wheres)) for name, one in ACTIONS.items()]
    others = "; ".join(f"`{name}` is `{action}`{_with(settings)}" for name, (action, settings) in OTHER_NAMES.items())
    return "\n\n".join(
        (
            "## Faults",
            f"Every rule says which requests it strikes by {_words(MATCHING)}. Other names: {others}.",
            table(("action", "effect", "settings", "where"), rows),
            f"`kind` is one of these, or a pattern such as `record.*` that fits one: {_words(KINDS)}. {_SOAP_KINDS}",
            f"`operation` is one of {_words(SERVED)}, in any case; of a Bulk job's call, the job's. {_OBJECTS_OF_RULES}",
        )
    )


def _settings() -> str:
    rows = [(f"`{one.name}`", f"`{_default(one.default)}`") for one in fields(EmulatorConfig)]
    described = " ".join((inspect.getdoc(EmulatorConfig) or "").split())
    return f"## Settings\n\nFields of `EmulatorConfig`. {described}\n\n" + table(("setting", "default"), rows)


def _default(value: object) -> object:
    return "made anew" if value is MISSING else value


def _objects() -> str:
    rows = [(f"`{one.name}`", one.key_prefix, len(one.fields)) for one in load_catalog()]
    note = "Your own objects and fields come from YAML files (`--schema`), or from your org (`halocline emulator import`)."
    return f"## Objects that are always there\n\n{note}\n\n" + table(("object", "prefix", "fields"), rows)


PAGES: Mapping[str, Callable[[], str]] = {
    "emulator-coverage.md": coverage,
    "types.md": type_map,
    "halocline.schema.json": lambda: json.dumps(json_schema(), indent=2) + "\n",
    "reference/cli.md": reference.commands,
    "reference/settings.md": reference.settings,
    "reference/errors.md": reference.error_classes,
    "reference/events.md": reference.event_classes,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
