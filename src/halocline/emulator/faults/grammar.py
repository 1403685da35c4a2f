"""Rules from loose values and from text; what makes no sense is refused at once, with the list of what there is.

The text of a rule, for the command line: `NAME` or `NAME: key=value ...`, values with spaces in quotes as a shell has them.

    lock: path=/sobjects/Account nth=3
    server_error: kind=query every=10
    answer: path=/limits status=418 body='[]'

The same as JSON, as the admin door takes it: `{"action": "lock", "path": "/sobjects/Account", "nth": 3}`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from http import HTTPMethod

from halocline.emulator.calls import check_kind
from halocline.emulator.faults.actions import ACTIONS, OTHER_NAMES
from halocline.emulator.faults.rule import Fault
from halocline.emulator.faults.target import OPERATIONS
from halocline.emulator.names import unknown

_STATUSES = (200, 599)  # of final answers. Source: RFC 9110, "Status Codes": clients take what is beyond for a broken server
MATCHING = ("path", "method", "kind", "object", "operation", "nth", "times", "every", "probability", "seed")


def parse(action: object, settings: Mapping[str, object]) -> Fault:
    """A rule from loose values; numbers may be text.
    Raises: ValueError for an unknown action or setting, for a value that makes no sense, and for a method, kind or operation that
    no request has.
    """
    name, usual = OTHER_NAMES.get(str(action), (str(action), {}))
    if name not in ACTIONS:
        raise ValueError(f"unknown action {action!r}; known are {', '.join(sorted((*ACTIONS, *OTHER_NAMES)))}")
    known = (*MATCHING, *(("where",) if ACTIONS[name].wheres else ()), *ACTIONS[name].reads)
    unknown = [key for key in settings if key not in known]
    if unknown:
        raise ValueError(f"{action} has no setting {', '.join(unknown)}; it has {', '.join(known)}")
    read = {key: _READERS[key](value) for key, value in settings.items()}
    fault = Fault(name, **{**usual, **read})  # type: ignore[arg-type]  # every value was read as its field wants it
    _check(fault)
    return fault


def parse_text(text: str) -> tuple[str, dict[str, object]]:
    """Action and settings of a rule written as text, or as a JSON object; `parse` makes the rule of them.
    Raises: ValueError for text that is not written so.
    """
    if text.lstrip().startswith("{"):
        settings: dict[str, object] = json.loads(text)
        return str(settings.pop("action", "")), settings
    name, _, rest = text.partition(":")
    pairs = [word.partition("=") for word in shlex.split(rest)]
    wrong = [key for key, sign, _ in pairs if not (key and sign)]
    if wrong or not name.strip():
        raise ValueError(f"a fault is written NAME or NAME: key=value ..., not {text!r}")
    return name.strip(), {key: value for key, _, value in pairs}


def _check(fault: Fault) -> None:
    try:
        re.compile(fault.path)
    except re.error as reason:
        raise ValueError(f"path is no regular expression: {reason}") from reason
    wheres = ACTIONS[fault.action].wheres
    if fault.where is not None and fault.where not in wheres:
        raise ValueError(f"{fault.action} can strike {' or '.join(wheres)}, not {fault.where}")
    if fault.probability is not None and not 0 < fault.probability <= 1:
        raise ValueError(f"probability is more than 0 and at most 1, not {fault.probability}")
    if fault.action == "drop_header" and not fault.header:
        raise ValueError("drop_header wants a header")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a text is wanted, not {value!r}")  # noqa: TRY004  # loose values: one kind of error for the caller
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError(f"names with values are wanted, not {value!r}")  # noqa: TRY004  # as above
    return {_text(key): _text(one) for key, one in value.items()}


def _number(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError as reason:
        raise ValueError(f"a number is wanted, not {value!r}") from reason
    if not 0 <= number < float("inf"):
        raise ValueError(f"a number from 0 on is wanted, not {value}")
    return number


def _count(value: object) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError(f"a whole number is wanted, not {value}")
    return int(number)


def _at_least_one(value: object) -> int:
    number = _count(value)
    if number < 1:
        raise ValueError(f"a number from 1 on is wanted, not {value}")
    return number


def _status(value: object) -> int:
    """Raises: ValueError for what is no status of a final answer."""
    number = _count(value)
    if not _STATUSES[0] <= number <= _STATUSES[1]:
        raise ValueError(f"a status from {_STATUSES[0]} to {_STATUSES[1]} is wanted, not {value}")
    return number


def _method(value: object) -> str | None:
    method = None if value is None else _text(value).upper()
    if method is not None and method not in tuple(HTTPMethod):
        raise unknown("method", value, known=HTTPMethod)
    return method


def _kind(value: object) -> str | None:
    kind = _text_or_none(value)
    if kind is not None:
        check_kind(kind)
    return kind


def _operation(value: object) -> str | None:
    operation = _text_or_none(value)
    if operation is not None and operation.lower() not in {name.lower() for name in OPERATIONS}:
        raise unknown("operation", value, known=OPERATIONS)
    return operation


_READERS: Mapping[str, Callable[[object], object]] = {
    **dict.fromkeys(("path", "body", "message", "header", "where"), _text),
    **dict.fromkeys(("object", "content_type"), _text_or_none),
    "kind": _kind,
    "operation": _operation,
    **dict.fromkeys(("nth", "every", "bytes_per_s"), _at_least_one),
    "status": _status,
    **dict.fromkeys(("times", "seed", "rows", "after_bytes", "after_batches"), _count),
    **dict.fromkeys(("seconds", "probability"), _number),
    "method": _method,
    "headers": _texts,
}
