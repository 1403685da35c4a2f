"""What became of one record of many, as REST's collections and trees write it.

Source: REST API Developer Guide, "Create Records Using sObject Collections": errors have a `statusCode`, not an `errorCode`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.emulator.errors import ApiError

if TYPE_CHECKING:
    from halocline.emulator.writing import Saved


def save_error(error: ApiError) -> dict[str, object]:
    """One entry of `errors`."""
    return {"statusCode": error.code, "message": error.message, "fields": list(error.fields or ())}


def save_result(saved: Saved, *, tells_created: bool = False) -> dict[str, object]:
    """The result of one record; an upsert tells whether it is new. A refused record has no id, as in the guide's examples."""
    if saved.error is not None:
        return {"success": False, "errors": [save_error(saved.error)]}
    result: dict[str, object] = {"id": saved.id, "success": True, "errors": []}
    return {**result, "created": saved.created} if tells_created else result


def is_unreadable(error: ApiError) -> bool:
    """Whether the record was no record: its JSON names what the object does not have, or holds what no such field can hold.

    Such a record refuses the whole request, the others not even tried.
    Source: REST API Developer Guide, "Create Records Using sObject Collections": "If the request isn't well formed, the API
    returns a 400 Bad Request HTTP Status."
    """
    no_such_field = error.code == "INVALID_FIELD" and error.message.startswith("No such column")
    return no_such_field or error.code == "JSON_PARSER_ERROR"
