"""PK chunking: one query becomes many, each with the records of one range of ids.

Source: Bulk API 2.0 and Bulk API Developer Guide, "PK Chunking", read November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from halocline.emulator.errors import ApiError
from halocline.emulator.ids import ALPHABET, is_valid, to_18
from halocline.emulator.soql.lexer import NAME, Token, tokenize
from halocline.emulator.tables import quoted

if TYPE_CHECKING:
    from halocline.emulator.objects import SObject
    from halocline.emulator.org import Org

HEADER = "sforce-enable-pkchunking"
DEFAULT_SIZE, MOST_SIZE = 100_000, 250_000  # ids in one range
SUPPORTED = frozenset(["account", "asset", "campaign", "campaignmember", "case", "casearticle", "casehistory", "contact"]) | {
    *("event", "eventrelation", "lead", "loginhistory", "opportunity", "task", "user", "workorder", "workorderlineitem")
}  # and custom objects
_KEY = 3  # characters of the key prefix; what follows is a number in base 62
_LENGTH = 15  # characters of an id without its check characters
_CHILDREN = ("share", "history")  # objects that are chunked by their parent's permission, with `parent=`
# "PK chunking works only with queries that don't include subqueries or conditions other than WHERE"; others run whole.
_UNCHUNKED = frozenset(["order", "limit", "offset", "group", "having", "for", "all", "with", "using", "typeof", "select"])


@dataclass(frozen=True, slots=True)
class Chunking:
    """How a job's queries are cut: ids per range, and the id to begin with (None: the object's first)."""

    size: int = DEFAULT_SIZE
    start: str | None = None


def read_header(value: str, *, operation: str, sobject: SObject) -> Chunking | None:
    """What the header of a new job asks for; None without chunking and for jobs that change data.

    The value is `true`, or settings: `chunkSize=50000; startRow=00130000000xEftMGH; parent=Account`.
    Raises: ApiError InvalidJob for an object that cannot be chunked (the words are those that clients look for) or a bad setting.
    """
    settings = dict(_setting(part) for part in value.split(";") if part.strip())
    if operation not in ("query", "queryAll") or not settings or "false" in settings:
        return None
    _check_supported(sobject, settings.get("parent"))
    return Chunking(_size(settings.get("chunksize")), _start(settings.get("startrow"), sobject))


def ranges(org: Org, sobject: SObject, *, chunking: Chunking) -> list[tuple[str, str]]:
    """The ranges of ids, from the first to before the second, that hold every record, deleted ones too.

    They are equally wide, so ids that were never given or are gone leave some with few records, or none. After the last id there
    is one range, that holds nothing.
    """
    ((first, last),) = org.store.read(f"SELECT MIN(Id), MAX(Id) FROM {quoted(sobject.name)}", ())
    if first is None:
        return []
    prefix = first[:_KEY]
    low, high = _number(chunking.start or first), _number(last)
    return [(_id(prefix, at), _id(prefix, at + chunking.size)) for at in range(low, max(low, high) + 1, chunking.size)]


def split_query(soql: str, sobject: SObject) -> tuple[str, str] | None:
    """The query's text before its conditions and the conditions; None for a query that is not cut.

    ORDER BY, LIMIT and their like, and conditions on ids, keep a query whole.
    Raises: ApiError MALFORMED_QUERY for text that is no SOQL.
    """
    tokens = tokenize(soql)
    where = next((token for token in tokens if token.is_word("where")), None)
    if any(token.kind == NAME and token.text.lower() in _UNCHUNKED for token in tokens[1:]):
        return None
    if where is None:
        return soql.rstrip(), ""
    if any(_names_id(token, sobject) for token in tokens if token.at > where.at):
        return None
    return soql[: where.at].rstrip(), soql[where.at + len("where") :].strip()


def chunked(parts: tuple[str, str], bounds: list[tuple[str, str]]) -> Iterator[str]:
    """The query of each range."""
    head, condition = parts
    for first, end in bounds:
        among = f"Id >= '{first}' AND Id < '{end}'"
        yield f"{head} WHERE ({condition}) AND {among}" if condition else f"{head} WHERE {among}"


def _setting(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name.strip().lower(), value.strip()


def _check_supported(sobject: SObject, parent: str | None) -> None:
    name = sobject.name.lower()
    if name in SUPPORTED or sobject.custom:
        return
    if parent is not None and name.endswith(_CHILDREN) and parent.lower() in SUPPORTED:
        return
    raise _invalid(f"Object {sobject.name} is not supported to use PKChunking")


def _size(value: str | None) -> int:
    if value is None:
        return DEFAULT_SIZE
    if not re.fullmatch(r"[0-9]{1,6}", value) or not 0 < int(value) <= MOST_SIZE:
        raise _invalid(f"PKChunking chunkSize must be a number from 1 to {MOST_SIZE}, not {value}")
    return int(value)


def _start(value: str | None, sobject: SObject) -> str | None:
    if value is not None and not (is_valid(value) and value.startswith(sobject.key_prefix)):
        raise _invalid(f"PKChunking startRow is not an id of {sobject.name}: {value}")
    return value


def _names_id(token: Token, sobject: SObject) -> bool:
    if token.kind != NAME:
        return False
    field = sobject.field(token.text)
    return token.text.lower() == "id" or (field is not None and field.type in ("id", "reference"))


def _number(record_id: str) -> int:
    number = 0
    for character in record_id[_KEY:_LENGTH]:
        number = number * len(ALPHABET) + ALPHABET.index(character)
    return number


def _id(prefix: str, number: int) -> str:
    digits = ""
    for _ in range(_LENGTH - _KEY):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return to_18(prefix + digits)


def _invalid(message: str) -> ApiError:
    return ApiError(400, "InvalidJob", message)
