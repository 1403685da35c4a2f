"""Deciding how rows travel, with the reasons as sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from halocline.push.order import Api, SyncMode, WriteOrder
from halocline.quantity import quantity

FEW_ROWS = 2_000  # as many go by collections at most: ten calls, where a Bulk job takes six and some seconds of waiting
JOB_CALLS = 6  # create, upload, close, one look that finds it ended, two result files


def api_for(order: WriteOrder, rows: int) -> tuple[Api, str]:
    """How so many rows travel, and why; `rows` counts what is left after folding."""
    if order.mode is SyncMode.HARD_DELETE:
        return Api.BULK, "Only Bulk API 2.0 deletes for good."
    if order.stop_on_error:
        return Api.COLLECTIONS, "Only collections can stop at the first error."
    if order.api is not Api.AUTO:
        words = "collections are" if order.api is Api.COLLECTIONS else "Bulk API 2.0 is"
        return order.api, f"{words[0].upper()}{words[1:]} asked for."
    if rows <= FEW_ROWS:
        return Api.COLLECTIONS, f"{quantity(rows, 'row')} to send: up to {FEW_ROWS:,} go by collections."
    return Api.BULK, f"{quantity(rows, 'row')} to send: more than {FEW_ROWS:,} go by Bulk API 2.0."


def apart_reason(rows: int, *, chars: int, second: Sequence[str]) -> str:
    """Why some rows of a Bulk load go by collections; `second` are columns that no sheet has beside others."""
    one = f"a sheet of Bulk sets a field by one column, here not by {' or '.join(second)}, and " if second else ""
    why = f"{one}no cell of Bulk holds a file, the text #N/A, or more than {chars:,} characters"
    return f"{quantity(rows, 'row goes')} by collections: {why}."


def fold_reason(rows: int, key: str) -> str:
    """What folding did."""
    return f"{quantity(rows, 'row shares')} {key} with a later row and {'travels' if rows == 1 else 'travel'} in it."


def order_reason(order: WriteOrder, column: str | None, *, known: bool) -> str:
    """Why the rows stand as they stand; `known`: the object has been described."""
    if order.stop_on_error:
        return "Rows keep the order of the source, because the push stops at the first error."
    if column is not None:
        return f"Rows are sorted by {column}, so that requests do not wait for the lock of one parent record."
    if order.mode in (SyncMode.DELETE, SyncMode.HARD_DELETE):
        return "Rows keep the order of the source: only ids travel, and they do not tell a parent."
    why = "no column names a parent record" if known else "the object is not described, so no parent is known"
    return f"Rows keep the order of the source: {why}."
