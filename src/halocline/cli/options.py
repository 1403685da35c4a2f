"""Options that several verbs share, with one name and one help text each."""

from __future__ import annotations

from typing import Annotated

import typer

To = Annotated[str, typer.Option("--to", help="Where the table is: duckdb:///lake.duckdb or postgresql://host/db", metavar="URI")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, one document a line, for programs.")]
Schema = Annotated[
    str | None,
    typer.Option(
        help="The schema of the table; it is made if need be.", show_default="main; in PostgreSQL the search path's first"
    ),
]
Full = Annotated[bool, typer.Option("--full", help="Read everything and replace the table.")]
Where = Annotated[str | None, typer.Option(help="SOQL condition, without WHERE: \"Industry = 'Energy'\"")]
Fields = Annotated[str | None, typer.Option(help="Columns to carry, by comma (default: all that can be).")]
Exclude = Annotated[str | None, typer.Option(help="Columns to leave out, by comma.")]
Deletes = Annotated[str, typer.Option(help="soft: keep deleted rows, flagged · hard: remove them · ignore.")]
Numbers = Annotated[str, typer.Option(help="decimal: exact, as declared · double: as Salesforce sends them.")]
Key = Annotated[str, typer.Option("--key", help="The field that identifies a row.")]
UseStage = Annotated[bool, typer.Option("--use-stage", help="Stage result pages in files at any size.")]
BulkThreshold = Annotated[int | None, typer.Option(help="Rows from which Bulk API 2.0 is used (1,000).")]
StageThreshold = Annotated[int | None, typer.Option(help="Rows from which result pages are staged (50,000).")]
QuotaShare = Annotated[
    float | None,
    typer.Option(help="The share of the org's daily API calls at which to stop (0.95); 1: not before.", min=0, max=1),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run, by how its name begins, or `last`.")]


def schema_in(uri: str, schema: str | None) -> str | None:
    """The schema that was asked for; without any, a server's search path decides, and a file's is `main`."""
    return "main" if schema is None and uri.lower().startswith("duckdb:") else schema


def listed(text: str | None) -> list[str] | None:
    """The names in a comma-separated option, None where it was not given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
