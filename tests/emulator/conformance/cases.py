"""The conformance cases and the org that they run on, read from the YAML files beside this one.

A file of `soql/` is a list of pages: `source` (the page of the vendor's guide) and its `cases`. A case is a `name`, a `query`
and exactly one expectation:

    rows:   the records without their attributes, in the query's order if it has ORDER BY; a bare value stands for a record of one
            field. Expected attributes are compared where a row shows any.
    total:  the answer of COUNT(): a size and no records
    keys:   the fields of every record, in order
    error:  what is known of the refusal: `code`, `at` ("row:column"), `says` (a part of the message) or `message` (all of it),
            and `status`, which is 400 unless it says otherwise

`all: true` asks queryAll, `version` another API version, `exact: true` tells 5 from 5.0. `unverified: true` marks what the page
does not settle, with the reason in `note`. In texts, `{key}` is the id of the record with that key in `org.yaml`, `{key:15}` its
short form, and `{x * 4000}` that text so many times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
SCHEMA = HERE / "schema.yaml"
EXPECTATIONS = ("rows", "total", "keys", "error")
CASE_KEYS = frozenset({"name", "query", "all", "version", "exact", "unverified", "note", *EXPECTATIONS})


_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the fast one where PyYAML has it


class _Loader(_SAFE):
    """YAML's safe subset in which days, moments and times stay the texts that they are on the wire."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in _SAFE.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Case:
    """One query and what Salesforce answers; `written` is the case as its file has it, `file` the file's name without ending."""

    file: str
    source: str
    written: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The name that pytest shows."""
        return f"{self.file}: {self.written.get('name')}"

    @property
    def query(self) -> str:
        """The SOQL, with `{key}` still in place of ids."""
        return str(self.written["query"]).rstrip("\n")

    @property
    def resource(self) -> str:
        """The path that the query is sent to."""
        name = "queryAll" if self.written.get("all") else "query"
        return f"/services/data/v{self.written.get('version', '66.0')}/{name}"

    @property
    def expectations(self) -> list[str]:
        """Which expectations the case states; a sound one states a single one."""
        return [key for key in EXPECTATIONS if key in self.written]


def org() -> dict[str, Any]:
    """The content of `org.yaml`."""
    loaded: dict[str, Any] = _load(HERE / "org.yaml")
    return loaded


def cases() -> list[Case]:
    """Every case of every file."""
    return [case for path in sorted((HERE / "soql").glob("*.yaml")) for case in _cases_of(path)]


def _cases_of(path: Path) -> Iterator[Case]:
    for page in _load(path):
        for written in page["cases"]:
            yield Case(path.stem, str(page.get("source") or ""), written)


def _load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a subclass of the safe loader
