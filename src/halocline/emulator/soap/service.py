"""The SOAP door: `POST /services/Soap/u/{release}` (partner) and `/c/{release}` (enterprise)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from halocline.emulator.errors import ApiError
from halocline.emulator.soap import changes, login, records
from halocline.emulator.soap.envelope import APIS, Message, SoapFault, answer, fault, read, unknown_operation
from halocline.emulator.wire import Answer, Ask

if TYPE_CHECKING:
    from halocline.emulator.org import EmulatorConfig

Operation = Callable[[Ask, Message], list[object]]

OPERATIONS: Mapping[str, Operation] = {
    "login": login.login,
    "logout": login.logout,
    "getUserInfo": login.user_info,
    "getServerTimestamp": login.server_timestamp,
    "query": records.query,
    "queryAll": records.query_all,
    "queryMore": records.query_more,
    "create": changes.create,
    "update": changes.update,
    "upsert": changes.upsert,
    "delete": records.delete,
    "undelete": records.undelete,
    "emptyRecycleBin": records.empty_recycle_bin,
}


def serve(ask: Ask) -> Answer:
    """Answer one message; what follows the release in the address (the org, in a login's `serverUrl`) says nothing new."""
    api = APIS.get(ask.params["letter"].lower(), "partner")
    try:
        message = read(ask.body, api=api, release=_release(ask.params["release"], ask.org.config))
        return answer(message, _worked(ask, message))
    except SoapFault as refusal:
        return fault(refusal, api=api)
    except ApiError as refusal:
        return fault(_translated(refusal), api=api)


def _release(text: str, config: EmulatorConfig) -> int:
    """Raises: SoapFault for a release that is retired or never was."""
    number = int(text.removesuffix(".0")) if re.fullmatch(r"[0-9]{1,2}(\.0)?", text) else 0
    if not config.oldest_version <= number <= config.newest_version:
        raise SoapFault("UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL")
    return number


def _worked(ask: Ask, message: Message) -> list[object]:
    work = OPERATIONS.get(message.operation)
    if work is None or ask.params["letter"].lower() not in APIS:
        raise unknown_operation(message.body.tag)
    if message.operation != "login":
        ask = replace(ask, session=ask.org.sessions.use(message.headers.get("sessionId")))
        ask.org.limits.spend_request()
    return work(ask, message)


def _translated(refusal: ApiError) -> SoapFault:
    """REST's refusal in SOAP's form. Source: SOAP API Developer Guide, "ExceptionCode"."""
    if refusal.code == "INVALID_SESSION_ID":
        return SoapFault(refusal.code, "Invalid Session ID found in SessionHeader: Illegal Session")
    kinds = {
        "INVALID_FIELD": "InvalidFieldFault",
        "INVALID_TYPE": "InvalidSObjectFault",
        "MALFORMED_QUERY": "MalformedQueryFault",
        "INVALID_QUERY_LOCATOR": "InvalidQueryLocatorFault",
    }
    return SoapFault(refusal.code, refusal.message, kind=kinds.get(refusal.code, "UnexpectedErrorFault"))
