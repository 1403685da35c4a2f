"""Reading `halocline.yaml`: the mistakes in it, each with its line and what may have been meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from halocline.config import variables
from halocline.document import Document, Place, parsed
from halocline.errors import FixConfig
from halocline.flows import connections
from halocline.flows.configuration import NAME, AnyFlow, Books, Configuration, Lambda, Said
from halocline.flows.connections import (
    Bucket,
    Connection,
    Org,
    bucket_of,
    checked_address,
    is_reference,
    kind_of,
    refers,
    secrets_of,
)
from halocline.flows.files import Execution, FileFlow
from halocline.flows.listen import ListenFlow
from halocline.flows.others import ours
from halocline.flows.push import PushFlow
from halocline.flows.sync import SyncFlow
from halocline.flows.tables import OneTable, TablesFlow
from halocline.mapping.near import near
from halocline.quantity import quantity

_LARGEST_BYTES = 1 << 20
_KINDS = ("sync", "push", "file", "listen", "tables")
_KINDS_OF_VALUE = {
    "string_type": "a text (in quotes, where YAML takes it for something else)",
    "list_type": "a list, as in [one, other]",
    "tuple_type": "a list, as in [one, other]",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of names to values",
    "model_attributes_type": "a mapping of names to values",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "a true or false",
}
"""What pydantic calls a value of another kind, and what the value should be."""
_BOUNDS = {
    "greater_than_equal": "too small: at least {ge:,.12g}",
    "less_than_equal": "too large: at most {le:,.12g}",
    "too_short": "too short: a list of at least {min_length}",
    "string_too_short": "too short: in characters, at least {min_length:,}",
    "string_too_long": "too long: in characters, at most {max_length:,}",
}
"""What pydantic calls a value beyond a bound, and what is wrong with it; the numbers are its own."""
_SHOWN = 10  # mistakes told at a time


def place(given: str | Path | None = None) -> Path:
    """The file that is meant: the one given, or HALOCLINE_CONFIG's, or `halocline.yaml` here."""
    return Path(given or variables("HALOCLINE_").get("CONFIG") or NAME).expanduser()


def read(path: Path) -> Configuration:
    """The configuration in a file.

    Raises: FixConfig for a file that cannot be read, and for all mistakes in it, each with its line. No value of a connection
    is ever in a message.
    """
    doing = f"Reading {path}"
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = "`halocline init` writes one; `--config FILE` or HALOCLINE_CONFIG names another."
        raise FixConfig(doing, f"the file cannot be read ({error.strerror})", hint=hint) from error
    if len(data) > _LARGEST_BYTES:
        raise FixConfig(doing, f"it has {quantity(len(data), 'byte')}; at most {_LARGEST_BYTES:,} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FixConfig(doing, f"it is not UTF-8 ({error.reason} at byte {error.start:,})") from error
    return understood(text, doing, folder=path.parent)


def understood(text: str, doing: str = f"Reading {NAME}", *, folder: Path | None = None) -> Configuration:
    """The configuration that a text is. Raises: FixConfig, as `read`."""
    document = parsed(text, doing)
    value = {} if document.value is None else document.value
    strange = list(_strange_names(value, document))
    if strange:
        raise _told(doing, strange)
    try:
        said = Said.model_validate(value)
    except ValidationError as error:
        raise _told(doing, [*_mistakes(error.errors(include_input=False, include_url=False), document)]) from None
    found = [*_wrong_references(said, document), *_same_files(said, document)]
    if found:
        raise _told(doing, found)
    return Configuration(said, folder or Path(), document.lines)


def _strange_names(value: Any, document: Document) -> Iterator[tuple[int, str]]:
    """Names of flows and connections that YAML takes for something else than a text (`no`, `1`, `2026-01-01`)."""
    for where, line in document.lines.items():
        part = value.get(where[0]) if isinstance(value, Mapping) else None
        if len(where) == 2 and where[0] in {"connections", "flows"} and isinstance(part, Mapping) and where[1] not in part:
            yield line, f"the name {where[1]!r} is no text to YAML; put it in quotes"


def _told(doing: str, mistakes: list[tuple[int, str]]) -> FixConfig:
    told = [f"line {line}: {text}" for line, text in sorted(set(mistakes))]
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return FixConfig(doing, "; ".join(told[:_SHOWN]) + more, mistakes=told)


def _mistakes(errors: Sequence[Any], document: Document) -> Iterator[tuple[int, str]]:
    """What pydantic found; of a value that may be of several kinds and is of none, one finding and not one for each."""
    by_place: dict[tuple[Place, bool], list[Any]] = {}
    for error in errors:
        by_place.setdefault((_place(error["loc"], document.value), error["type"] in _KINDS_OF_VALUE), []).append(error)
    for (where, is_kind), several in by_place.items():
        if is_kind and len(several) > 1:
            kinds = " nor ".join(dict.fromkeys(_KINDS_OF_VALUE[one["type"]] for one in several))
            yield document.line(where), f"{_path(where)!r} in {_owner(where, '')} is neither {kinds}"
        else:
            yield from (_mistake(one, document) for one in several)


def _mistake(error: Any, document: Document) -> tuple[int, str]:
    """One finding of pydantic as a line and a sentence of ours; it never holds the value."""
    where = _place(error["loc"], document.value)
    line, owner = document.line(where), _owner(where, error["type"])
    name = _path(where) or "the file"
    match error["type"]:
        case "extra_forbidden":
            return line, f"{name!r} is unknown in {owner}. {_instead(str(where[-1]), error['loc'])}"
        case "missing":
            return line, f"{owner} lacks {_path((*where, error['loc'][-1]))!r}"
        case "union_tag_invalid":
            return line, f"{owner} has an unknown kind. {_one_of(_said_kind(where, document), _KINDS)}"
        case "union_tag_not_found":
            return line, f"{owner} lacks 'kind': sync, push, file, listen or tables"
        case "literal_error":
            return line, f"{name!r} in {owner} is none of {error['ctx']['expected']}"
        case "value_error":
            return line, f"{_own_words(error, where, owner)}"
        case kind if kind in _KINDS_OF_VALUE:
            return (
                line,
                f"{_what(where, owner)} is no {_KINDS_OF_VALUE[kind].removeprefix('a ')}" if where else f"{owner} is no mapping",
            )
        case _:
            if bound := _BOUNDS.get(error["type"]):
                return line, f"{_what(where, owner)} is {bound.format(**error['ctx'])}"
            return line, f"{_what(where, owner)} is wrong: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _what(where: Place, owner: str) -> str:
    """What a finding is about: a flow or a connection as a whole, or something in it."""
    is_whole = len(where) == 2 and where[0] in {"flows", "connections"}
    return owner if is_whole else f"{_path(where)!r} in {owner}"


def _one_of(name: str, known: Sequence[str]) -> str:
    meant = near(name, known)
    return f"Did you mean {' or '.join(meant)}?" if meant else f"There are {', '.join(known)}."


def _instead(name: str, loc: tuple[str | int, ...]) -> str:
    """What to write for an unknown key: ours for the word of another tool, else what is spelled like it."""
    known = _known(loc)
    kind = str(loc[2]) if loc[0] == "flows" and len(loc) > 2 else ""
    is_of_tables = kind == "tables" and len(loc) == 4
    inner = [one.alias or key for key, one in OneTable.model_fields.items()] if is_of_tables else ()
    return ours(name, known, kind=kind, inner=inner) or _one_of(name, known)


def _said_kind(where: Place, document: Document) -> str:
    """The kind that a flow says; no secret, for it is only compared."""
    value = document.value
    for step in where:
        value = value[step]
    return str(value.get("kind")) if isinstance(value, Mapping) else ""


def _path(where: Place) -> str:
    """Where something is in its flow or connection: mask.Phone, tables[0].from."""
    inner = where[2:] if len(where) > 2 and where[0] in {"flows", "connections"} else where[1:] or where
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in inner).removeprefix(".")


def _own_words(error: Any, where: Place, owner: str) -> str:
    words = str(error["ctx"]["error"])
    return f"{owner}: {words}" if len(where) <= 2 else f"{_path(where)!r} in {owner}: {words}"


def _place(loc: tuple[str | int, ...], value: Any) -> Place:
    """Where in the document a finding is: pydantic's path has the names of kinds in it, which the document has not.

    The kind of a flow or a connection comes third; a flow of the kind `tables` has a key of that name as well.
    """
    found: list[str | int] = []
    for step in (*loc[:2], *loc[3:]) if loc and loc[0] in {"flows", "connections"} else loc:
        inside = value if isinstance(value, Mapping) else dict(enumerate(value)) if isinstance(value, list) else {}
        if step in inside:
            value = inside[step]
            found.append(step)
    return tuple(found)


def _owner(where: Place, kind: str) -> str:
    """What a mistake is in, in words."""
    if len(where) >= 2 and where[0] in {"flows", "connections"}:
        return f"the {str(where[0])[:-1]} {where[1]!r}"
    return str(where[0]) if where and kind == "missing" else f"{where[0]!r}" if len(where) > 1 else "the file"


def _known(loc: tuple[str | int, ...]) -> list[str]:
    """The names that are known where an unknown one was found."""
    model: type[BaseModel] = Said
    for step in loc[:-1]:
        model = OneTable if model is TablesFlow and isinstance(step, int) else _MODELS.get(str(step), model)
    return [one.alias or name for name, one in model.model_fields.items()]


_CONNECTIONS: dict[str, type[BaseModel]] = {"salesforce": Org, "place": connections.Place, "s3": Bucket}
_FLOWS: dict[str, type[BaseModel]] = {
    "sync": SyncFlow,
    "push": PushFlow,
    "file": FileFlow,
    "listen": ListenFlow,
    "tables": TablesFlow,
}
_MODELS: dict[str, type[BaseModel]] = {**_CONNECTIONS, **_FLOWS, "lambda": Lambda, "ledger": Books, "execution": Execution}


def _wrong_references(said: Said, document: Document) -> Iterator[tuple[int, str]]:
    """Names of connections that are not there, or lead to another kind of system."""
    for name, flow in said.flows.items():
        for key, connection, wanted in _references(flow):
            told = _wrong_reference(said.connections, connection, wanted)
            if told is not None:
                yield document.line(("flows", name, key)), f"{key!r} in the flow {name!r} {told}"


def _wrong_reference(known: Mapping[str, Connection], name: str, wanted: tuple[str, ...]) -> str | None:
    """What is wrong with the name of a connection, or with the URI in its place, which is not shown."""
    if name not in known and not ("://" in name or is_reference(name)):
        if name == "salesforce" and wanted == ("salesforce",):
            hint = "Leave it out for the org of the SF_* variables, or name a connection of the kind salesforce."
        else:
            hint = _one_of(name, list(known)) if known else "There are none: write one below `connections:`, or a URI here."
        return f"names the connection {name!r}, which is not there. {hint}"
    try:
        found = known[name] if name in known else checked_address(name)
    except ValueError as error:
        return f"is wrong: {error}"
    if "place" in wanted and isinstance(found, Bucket) and found.settings():
        return "leads to tables in a bucket, which take region, role and the like from the environment: write s3://bucket/folder"
    if kind_of(found) in wanted or _may_be(found, wanted):
        return None
    return f"leads to {_A[kind_of(found)]}; {_A[wanted[0]]} belongs there"


def _same_files(said: Said, document: Document) -> Iterator[tuple[int, str]]:
    """Flows whose files nobody could tell apart: those of another flow too, or all below what another flow puts there itself."""
    flows = {name: flow for name, flow in said.flows.items() if isinstance(flow, FileFlow)}
    reach: dict[str, tuple[str, str]] = {}
    for name, flow in flows.items():
        if _wrong_reference(said.connections, flow.source, ("bucket",)) is None:
            try:
                reach[name] = _reach(said.connections.get(flow.source, flow.source), flow.prefix)
            except FixConfig as error:
                yield document.line(("flows", name, "from")), f"'from' in the flow {name!r} is wrong: {error.cause}. {error.hint}"
    taken: dict[tuple[str, str], str] = {}
    for name, (bucket, prefix) in reach.items():
        line = document.line(("flows", name, "prefix"))
        other = taken.setdefault((bucket, prefix), name)
        if other != name:
            yield line, f"the flow {name!r} takes the same files as {other!r}"
        for beside in (one for one in reach if one != name):
            own = next((one for one in (flows[beside].archive, flows[beside].errors) if prefix.startswith(one)), None)
            if own is not None and reach[beside][0] == bucket:
                yield line, f"the files of the flow {name!r} lie below {own!r}, where the flow {beside!r} puts its own"


def _reach(connection: Connection, prefix: str) -> tuple[str, str]:
    """The bucket and the whole prefix; for a bucket by reference, which is not looked up here, the reference in its place."""
    references = [] if isinstance(connection, Bucket) else list(secrets_of(connection))
    if references:
        return " ".join(references), prefix
    bucket, above = bucket_of(connection)
    return bucket, above + prefix


_A = {"salesforce": "a Salesforce org", "bucket": "a bucket", "place": "a database or folder"}


def _may_be(connection: Connection, wanted: tuple[str, ...]) -> bool:
    return isinstance(connection, str) and refers(connection) and wanted != ("salesforce",)


def _references(flow: AnyFlow) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(key, name of a connection, what it may lead to) for each connection that a flow names."""
    org = ("salesforce",)
    if isinstance(flow, ListenFlow):
        return
    if isinstance(flow, SyncFlow):
        named = [("from", flow.org, org), ("to", flow.to, ("place", "bucket"))]
    elif isinstance(flow, TablesFlow):
        named = [("from", flow.source, ("place",)), ("to", flow.to, ("place", "bucket"))]
    elif isinstance(flow, PushFlow):
        named = [("from", flow.source, ("place",)), ("to", flow.to, org)]
    else:
        named = [("from", flow.source, ("bucket",)), ("to", flow.to, org)]
    yield from ((key, name, wanted) for key, name, wanted in named if name is not None)
