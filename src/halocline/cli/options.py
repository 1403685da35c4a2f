"""Options that several verbs share, with one name and one help text each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from halocline.cli.answer import in_json, warn
from halocline.errors import FixConfig
from halocline.quantity import MOST
from halocline.refresh import LONGEST_S

_INSTEAD = {"postgresql": "PGPASSWORD", "postgres": "PGPASSWORD", "snowflake": "SNOWFLAKE_PASSWORD"}


def _exposed(uri: str | None, option: str) -> str | None:
    """The warning of a URI that was typed with a password in it, and what to write in its place; None for any other text."""
    if uri is None or "://" not in uri or not ("@" in uri or "?" in uri):
        return None
    from halocline.flows.connections import holds_password

    if not holds_password(uri):
        return None
    instead = _INSTEAD.get(uri.partition("://")[0].lower())
    alone = f" Or leave the password out of it, and set {instead}." if instead else ""
    return (
        f"{option} holds a password: every user of this machine can see it (ps), and the shell keeps it. Put the whole URI into a"
        f" variable, and write {option} env:WAREHOUSE, or keep it in AWS, and write {option} aws-sm:NAME#KEY.{alone}"
    )


def address(param: typer.CallbackParam, value: str | None) -> str | None:
    """The option's text as it is; of a password in it is warned, once for each command."""
    warning = _exposed(value, param.opts[0])
    if warning is not None:
        warn(warning)
    return value


Objects = Annotated[
    list[str] | None, typer.Argument(metavar="OBJECT", help="API names or patterns: Account My_Thing__c 'Acc*' '*__c'")
]
Everything = Annotated[bool, typer.Option("--all", help="Every object of the org that can be queried.")]
ExcludeObject = Annotated[
    list[str] | None, typer.Option("--exclude-object", metavar="PATTERN", help="Objects to leave out: '*History'. Repeatable.")
]
Parallel = Annotated[int, typer.Option(help="Objects at a time.", min=1)]
Table = Annotated[str | None, typer.Option(help="The table, where it is not named like the object.")]
Soql = Annotated[
    str | None, typer.Option(help='A whole query, parents too: "SELECT Id, Name, Owner.Name FROM Account WHERE ..."')
]
Rename = Annotated[list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="Another name for a column. Repeatable.")]
Mask = Annotated[
    list[str] | None,
    typer.Option("--mask", metavar="COLUMN=HASH|NULL", help="Hide a column's values: Email=hash, Phone=null. Repeatable."),
]
Contract = Annotated[
    str,
    typer.Option(
        help="Columns that differ from the last read · evolve: add new ones · freeze: refuse · discard: ignore new ones."
    ),
]
History = Annotated[
    bool, typer.Option("--history", help="Keep every version of a row, with valid_from and valid_to; nothing is replaced.")
]
Lookback = Annotated[
    float | None,
    typer.Option(
        "--lookback", min=0, max=LONGEST_S, metavar="SECONDS", help="How far before the last position to read again (600)."
    ),
]
FormulaRefresh = Annotated[
    str,
    typer.Option(
        "--formula-refresh",
        metavar="TIME",
        help="How often formulas, which change without a stamp, are read for all rows: never · always · 24h, 7d.",
    ),
]
ApiBudget = Annotated[
    int | None,
    typer.Option("--api-budget", metavar="N", help="API calls a day (UTC) to this org, over all runs.", min=1, max=MOST),
]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", help="How long to wait for another run of the same object to end.", min=0)
]
To = Annotated[
    str,
    typer.Option(
        "--to",
        help="Where the table is: duckdb:///lake.duckdb, postgresql://host/db, file:folder, s3://...",
        metavar="URI",
        callback=address,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Answer in JSON, one document a line, for programs.", is_eager=True, callback=in_json)
]
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
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Let an empty answer empty the table.")]
MaxDeleteShare = Annotated[
    float, typer.Option(help="The share of the table's rows that may be deleted; more is refused.", min=0, max=1)
]
Deletes = Annotated[str, typer.Option(help="soft: keep deleted rows, flagged · hard: remove them · ignore.")]
Numbers = Annotated[str, typer.Option(help="decimal: exact, as declared · double: as Salesforce sends them.")]
Key = Annotated[str, typer.Option("--key", help="The field that identifies a row.")]
UseStage = Annotated[bool, typer.Option("--use-stage", help="Stage result pages in files at any size.")]
StageName = Annotated[str | None, typer.Option(help="The stage for the files, in Snowflake: @MY_STAGE.", metavar="STAGE")]
BulkThreshold = Annotated[int | None, typer.Option(help="Rows from which Bulk API 2.0 is used (1,000).", min=0)]
StageThreshold = Annotated[int | None, typer.Option(help="Rows from which result pages are staged (50,000).", min=0)]
QuotaShare = Annotated[
    float | None,
    typer.Option(help="The share of the org's daily API calls at which to stop (0.95); 1: not before.", min=0, max=1),
]
Config = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="The file with the flows (HALOCLINE_CONFIG; ./halocline.yaml).")
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run, by how its name begins, or `last`.")]


def pairs(given: Sequence[str], option: str, *, example: str) -> dict[str, str]:
    """What a repeated `name=value` option says.

    Raises: FixConfig for one without both, and for a name that comes twice.
    """
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = (part.strip() for part in one.partition("="))
        if not (name and equals and value):
            raise FixConfig(f"Reading {option}", f"{one!r} is no name=value", hint=f"Write {option} {example}.")
        if name.lower() in {other.lower() for other in found}:
            raise FixConfig(f"Reading {option}", f"{name} is given twice", hint="Names are the same in any case.")
        found[name] = value
    return found


def listed(text: str | None) -> list[str] | None:
    """The names in a comma-separated option, None where it was not given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
