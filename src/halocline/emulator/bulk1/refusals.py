"""What Bulk API 1.0 says when it refuses: `exceptionCode` and `exceptionMessage`, in the format of the request.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Errors" of the Bulk API; messages without another source are unverified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.emulator.bulk1 import xml
from halocline.emulator.errors import ApiError
from halocline.emulator.wire import Answer, json_bytes

if TYPE_CHECKING:
    from halocline.emulator.wire import Ask

JSON_TYPE, XML_TYPE, CSV_TYPE = "application/json", "application/xml", "text/csv"  # salesforce-bulk compares with ==: no charset
SESSION_HEADER = "x-sfdc-session"

# The door's own refusals in this API's codes.
_CODES = {
    "INVALID_SESSION_ID": "InvalidSessionId",
    "UNSUPPORTED_API_VERSION": "InvalidVersion",
    "NOT_FOUND": "InvalidUrl",
    "METHOD_NOT_ALLOWED": "MethodNotAllowed",
    "REQUEST_LIMIT_EXCEEDED": "ExceededQuota",
    "JSON_PARSER_ERROR": "InvalidJob",
    "UNKNOWN_EXCEPTION": "Unknown",
}
_KEPT_STATUS = (405, 500)  # every other refusal is 400, as jsforce expects of InvalidSessionId


def refusal(ask: Ask, error: ApiError) -> Answer:
    """The reply for a refusal, JSON if the request says that it is JSON, else XML."""
    code = _CODES.get(error.code, error.code)
    message = _session_message(ask) if code == "InvalidSessionId" else error.message
    status = error.status if error.status in _KEPT_STATUS else 400
    body = {"exceptionCode": code, "exceptionMessage": message}
    if speaks_json(ask):
        return Answer(status, json_bytes(body), JSON_TYPE)
    return Answer(status, xml.document("error", xml.elements(body)), XML_TYPE)


def content_type(ask: Ask) -> str:
    """The media type of the request in small letters, without parameters; empty if it has none."""
    return ask.headers.get("content-type", "").partition(";")[0].strip().lower()


def speaks_json(ask: Ask) -> bool:
    """Whether the client wants JSON: its content type says so, or without one what it accepts."""
    return JSON_TYPE in (content_type(ask) or ask.headers.get("accept", "").lower())


def invalid_job(message: str) -> ApiError:
    """The job cannot be made so, or there is none of that id."""
    return ApiError(400, "InvalidJob", message)


def invalid_state(message: str) -> ApiError:
    """The job's state does not allow it."""
    return ApiError(400, "InvalidJobState", message)


def invalid_batch(message: str) -> ApiError:
    """The batch cannot be processed so, or there is none of that id."""
    return ApiError(400, "InvalidBatch", message)


def client_error(message: str) -> ApiError:
    """The request itself is wrong: too large, or not what it says it is."""
    return ApiError(400, "ClientInputError", message)


def field_not_found(name: str) -> ApiError:
    """A column or element names no field. Source: observed `stateMessage` of failed batches."""
    return invalid_batch(f"Field name not found : {name}")


def _session_message(ask: Ask) -> str:
    return "Invalid session id" if ask.headers.get(SESSION_HEADER) else "Unable to find session id"
