"""Errors in Salesforce's own words: an HTTP status, an error code, a message."""

from __future__ import annotations

from collections.abc import Collection, Sequence


class ApiError(Exception):
    """A refusal that the REST door answers as `[{"message": ..., "errorCode": ...[, "fields": ...]}]`.

    `status` is the HTTP status; `code` Salesforce's error code (`INVALID_FIELD`, `NOT_FOUND`, ...).
    """

    def __init__(self, status: int, code: str, message: str, *, fields: tuple[str, ...] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields

    def body(self) -> list[dict[str, object]]:
        """The JSON answer, as Salesforce shapes it."""
        entry: dict[str, object] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            entry["fields"] = list(self.fields)
        return [entry]


class OAuthError(Exception):
    """A refusal of the OAuth endpoints, answered as `{"error": ..., "error_description": ...}`."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.status = status
        self.error = error
        self.description = description

    def body(self) -> dict[str, str]:
        """The JSON answer, as Salesforce shapes it."""
        return {"error": self.error, "error_description": self.description}


# Codes and messages: REST API Developer Guide, "Status Codes and Error Responses", and answers of real orgs in public recordings.


def session_expired() -> ApiError:
    """The token is missing, unknown, revoked or expired."""
    return ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")


def not_found() -> ApiError:
    """No such object, path, job or page."""
    return ApiError(404, "NOT_FOUND", "The requested resource does not exist")


def unknown_record(name: str) -> ApiError:
    """No record has this id or external id; `name` is the id or the external id field."""
    return ApiError(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {name}")


def deleted_record() -> ApiError:
    """The record lies in the recycle bin."""
    return ApiError(404, "ENTITY_IS_DELETED", "entity is deleted", fields=())


def method_not_allowed(method: str, allowed: Collection[str]) -> ApiError:
    """The resource exists but does not know this HTTP method; `allowed` are those it knows."""
    known = {*allowed, *(("HEAD",) if "GET" in allowed else ())}
    listed = ",".join(name for name in ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE") if name in known)
    return ApiError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed. Allowed are {listed}")


def retired_version(version: str) -> ApiError:
    """The API version is too old to be served. The message's wording is unverified; status and code are the vendor's."""
    return ApiError(410, "UNSUPPORTED_API_VERSION", f"The API version {version} is retired and no longer supported")


def malformed_json(detail: str) -> ApiError:
    """The body is not the JSON that the resource expects."""
    return ApiError(400, "JSON_PARSER_ERROR", detail)


def missing_body() -> ApiError:
    """The request needs a body and has none."""
    return malformed_json("The HTTP entity body is required, but this request has no entity body.")


def no_column(name: str, sobject: str) -> ApiError:
    """A record names a field that the object does not have (or that its writer may not see)."""
    return ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject}")


def read_only(names: Sequence[str]) -> ApiError:
    """A record sets fields that nobody may write."""
    joined = ", ".join(names)
    message = (
        f"Unable to create/update fields: {joined}. Please check the security settings of this field and verify that it is "
        "read/write for your profile or permission set."
    )
    return ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, fields=tuple(names))


def required_missing(names: Sequence[str]) -> ApiError:
    """A record leaves required fields empty."""
    return ApiError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", fields=tuple(names))


def blank_owner(label: str, name: str) -> ApiError:
    """A record is made or changed to belong to nobody.
    Source: code and words as loads into real orgs print them: SFDO-Tooling/CumulusCI#3400 and forcedotcom's
    SFDX-Data-Move-Utility#1156.
    """
    return ApiError(400, "INVALID_CROSS_REFERENCE_KEY", f"{label}: owner cannot be blank", fields=(name,))


def malformed_id(label: str, value: object, *, field: str) -> ApiError:
    """A value in an id field is not an id of the right kind."""
    return ApiError(400, "MALFORMED_ID", f"{label}: id value of incorrect type: {value}", fields=(field,))


def not_open(transaction: str) -> ApiError:
    """A transaction of the admin door is named that there is not (any more)."""
    message = f"transaction {transaction} is not open: it was committed or rolled back, a reset ended it, or it never began"
    return ApiError(400, "EMULATOR_ADMIN", message)


def duplicate_value(field: str, record_id: str) -> ApiError:
    """A unique field already has this value on another record."""
    message = f"duplicate value found: {field} duplicates value on record with id: {record_id}"
    return ApiError(400, "DUPLICATE_VALUE", message, fields=())
