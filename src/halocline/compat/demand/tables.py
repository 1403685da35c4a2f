"""Tables of DynamoDB as lists of items: the whole of what was asked for, or an error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from halocline import registry
from halocline.compat.demand.settings import Settings
from halocline.connector import Abilities, Manifest, Part
from halocline.engine import each, threads
from halocline.errors import FixConfig
from halocline.tables import TableCopy, decide_copy

if TYPE_CHECKING:
    from halocline.outcome import Outcome

_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class DynamoTable:
    """A table, and the login that reads it."""

    name: str
    access: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def table_name(self) -> str:
        """Its name, as boto3's tables tell it."""
        return self.name


def get_dynamo_table(table_name: str, account_id: str | int | None = None) -> DynamoTable:
    """The table of that name, in REGION; nothing is asked of AWS yet.

    With an account (an empty text is none) it is read in the role `DataScienceCrossAccountDDBAccess` there (DYNAMO_ROLE names
    another one), unless LOCAL_MODE=true or SOURCE_ENV=sandbox.
    Raises: FixConfig for what is no number of an account.
    """
    return DynamoTable(table_name, Settings.now().access(account_id))


def scan_dynamo_table(table: DynamoTable, max_items: int | None = None) -> list[dict[str, Any]]:
    """All items of a table, or the first `max_items` of a scan, as Python values: numbers are Decimals, binaries bytes.

    Raises: NotFound for a table that is not there, AccessDenied, LoginRefused, NetworkFailed, ... Never a part of the table.
    """
    _refuse_no_number(max_items=max_items)
    return _scanned(table, segments=1, limit=max_items)


def parallel_scan_dynamo_table(
    table: DynamoTable,
    total_segments: int = 5,
    global_max_rows: int | None = None,
    limit: int = 1000,
    filter_expression: object = None,
    projection_expression: str | Sequence[str] | None = None,
    *,
    names: Mapping[str, str] | None = None,
    values: Mapping[str, object] | None = None,
) -> list[dict[str, Any]]:
    """`scan_dynamo_table`, several segments at a time; the items of a segment stay together, segments are in their order.

    `global_max_rows` is exact, however items are spread. How many items a page has, the scan finds by itself: `limit` is only
    held to being a number. A filter is a condition of boto3's (`Attr("a").eq(1)`), or a text with `names` and `values`. Names in
    a projection that are plain may be DynamoDB's reserved words.
    Raises: as `scan_dynamo_table`; BadQuery for an expression that DynamoDB does not take.
    """
    _refuse_no_number(total_segments=total_segments, global_max_rows=global_max_rows, limit=limit)
    if limit < 1:
        raise FixConfig("Scanning a table", f"limit={limit} reads nothing", hint="It counts items of a page, from 1 up.")
    known, bound = dict(names or {}), dict(values or {})
    told: str | None = None
    if filter_expression is not None:
        condition = registry.connector("aws").expressed(filter_expression)
        told, known, bound = condition.text, {**condition.names, **known}, {**condition.values, **bound}
    projection, more = _projection(projection_expression)
    known |= more
    return _scanned(
        table,
        segments=total_segments,
        limit=global_max_rows,
        filter=told,
        projection=projection,
        names=known,
        values=bound,
    )


def _refuse_no_number(**given: object) -> None:
    """Raises: FixConfig for what counts something and is no whole number, such as a text of the environment."""
    for name, value in given.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise FixConfig("Scanning a table", f"{name} is {value!r}", hint=f"It is a whole number: int({name}).")


def _projection(asked: str | Sequence[str] | None) -> tuple[str | None, dict[str, str]]:
    """A projection with a placeholder for each plain name."""
    if asked is None:
        return None, {}
    parts = [part.strip() for part in (asked.split(",") if isinstance(asked, str) else asked)]
    names = {f"#projected{number}": part for number, part in enumerate(parts) if _NAME.fullmatch(part)}
    held = {part: placeholder for placeholder, part in names.items()}
    return ", ".join(held.get(part, part) for part in parts), names


def _scanned(table: DynamoTable, **wanted: object) -> list[dict[str, Any]]:
    """The items that a source of the table gives."""
    if not isinstance(table, DynamoTable):
        hint = "Pass what get_dynamo_table returned."
        raise FixConfig("Scanning a table", f"got {type(table).__name__}, and no table", hint=hint)
    account = registry.connect("dynamodb", f"dynamodb://?{urlencode(table.access)}")
    try:
        # No columns are inferred, and pages are kept for this call only.
        source: Any = registry.open_source("dynamodb", account, table=table.name, infer=False, keep_pages=False, **wanted)
        survey = source.survey(None)
        plan = decide_copy(survey, Abilities(), table=TableCopy(table.name), flow="scan")
        plan = source.take_up(plan, journal=_NoJournal(), left=())
        found: dict[str, list[dict[str, Any]]] = {}

        def read(part: Part) -> Manifest:
            found[part.id] = [item for items in source.items(part) for item in items.values]
            return Manifest(part.id, len(found[part.id]))

        with threads() as executor:
            source.check(plan, list(each(executor, source.parts(plan), work=read)))
        return [item for part in sorted(found) for item in found[part]]
    finally:
        account.close()


class _NoJournal:
    """For a read that nobody goes on with. Implements `connector.Journal`."""

    def intend(self, chunk: str, detail: object = None) -> None:
        """Nothing is begun that outlives the call."""

    def remote(self, chunk: str, job_id: str) -> None:
        """Likewise."""

    def settle(self, chunk: str, outcome: Outcome) -> None:
        """Likewise."""

    def open(self) -> Sequence[tuple[str, Any, str | None]]:
        """None."""
        return ()
