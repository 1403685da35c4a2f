"""Which rows a read takes, and where the next one starts. Pure: clocks and settings come in, bounds and positions go out.

    time ----------[ low - overlap ............ server time ][ +1 s = high )
    next stamp  =  min(server time, what Salesforce says is complete), or server time - LAG_S where it does not say

Stamps have whole seconds, so `high` is the first second that is not read. Rows may be committed late with an older stamp; the
overlap and `latestDateCovered` find them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from halocline.batch import JSON, Position
from halocline.connector import Deletes
from halocline.connectors.salesforce import soql
from halocline.errors import Refused, SchemaConflict
from halocline.refresh import words
from halocline.shaping import Shape

LAG_S = 600.0  # seconds that the position stays behind the clock where Salesforce does not say what is complete
COVER_S = 3_600.0  # seconds that getDeleted looks back at least: only changes begun inside its range hold latestDateCovered back
DELETED_REACH = timedelta(days=15) - timedelta(hours=1)  # of getDeleted, with some room; SOAP API Developer Guide, "getDeleted()"


_ACCEPT = "Choose columns (fields, exclude), let the table follow (contract evolve), or accept them by a full sync (--full)."
_HIDE = "Choose another table; or accept it by a full sync (--full, force_full_sync=True), and clear what was there yourself."
MOVING = ("stamp", "formulas")  # what a position says of time, and so differs from one read to the next


@dataclass(frozen=True, slots=True)
class Scope:
    """What a position is only good for: the same object, cursor, condition and settings.

    `kinds` are the types of `fields`, in the same order; `shape` is what becomes of the columns behind the source.
    """

    object: str
    cursor: str | None
    fields: tuple[str, ...]
    where: str | None
    deletes: Deletes
    numbers: str
    replicateable: bool
    org: str | None = None
    kinds: tuple[str, ...] = ()
    shape: str | None = None

    def position(self, stamp: datetime) -> Position:
        """The position from which the next read of this scope starts."""
        columns = {"fields": list(self.fields), "kinds": list(self.kinds)}
        return {**self.settings, "org": self.org, "stamp": soql.instant(stamp), **columns}

    @property
    def settings(self) -> dict[str, str | None]:
        """What must not change from one read to the next."""
        return {
            "object": self.object,
            "cursor": self.cursor,
            "where": self.where,
            "deletes": str(self.deletes),
            "numbers": self.numbers,
            "shape": self.shape,
        }


@dataclass(frozen=True, slots=True)
class Start:
    """Where a read starts: `low` (overlap included) or, when it is None, at the beginning; `reason` where that was not wished.

    `same_question`: nothing that the user said is the reason, and all records are asked for, so that rows which the answer lacks
    are gone. Under a condition a record that is still there may only have ceased to meet it.
    """

    low: datetime | None = None
    reason: str | None = None
    same_question: bool = False


def refuse_other_org(since: Position | None, scope: Scope) -> None:
    """Hold the org of a stored position against the org of this login; either may be unknown.

    Raises: Refused when they differ: the table would mix two orgs, or one would be replaced by the other unasked.
    """
    before = since.get("org") if since else None
    if before and scope.org and before != scope.org:
        raise Refused(
            f"Surveying {scope.object}",
            f"the table was filled from the org {before}, but this login is for the org {scope.org}",
            hint="Log in to the other org, choose another table, or replace the table (--full, force_full_sync=True).",
            org=scope.org,
        )


def refuse_drift(since: Position | None, scope: Scope) -> None:
    """Hold the columns against those of the last read, under a contract that freezes them; without a last read all are welcome.

    Raises: SchemaConflict naming each column that is new, gone, of another type or name, or masked in another way.
    """
    before = known_columns(since)
    if before is None:
        return
    now = dict(zip((name.lower() for name in scope.fields), scope.kinds, strict=True))
    told = [f"{name} is new" for name in scope.fields if name.lower() not in before]
    told += [f"{name} is gone" for name in before if name not in now]
    was, shaped, known = _shapes(since, scope)
    told += [
        f"{name} was {before[name.lower()]} and is {now[name.lower()]}"
        for name in scope.fields
        if before.get(name.lower()) and before[name.lower()] != now[name.lower()]
    ]
    told += [*shaped.other_names(was, known), *shaped.other_masks(was, known)]
    if told:
        raise SchemaConflict(
            f"Holding {scope.object} to its contract", f"columns are not as frozen: {'; '.join(told)}", hint=_ACCEPT
        )


def refuse_other_names(since: Position | None, scope: Scope) -> None:
    """Hold the names of the columns in the table against those of the last read, under a contract that adds none.

    Raises: SchemaConflict naming each that has another: its new name would be a new column, and its old one be filled no more.
    """
    before, now, known = _shapes(since, scope)
    told = now.other_names(before, known)
    if told:
        cause = f"columns have other names, which can neither be added nor left out: {'; '.join(told)}"
        raise SchemaConflict(f"Holding {scope.object} to its contract", cause, hint=_ACCEPT)


def refuse_exposed(since: Position | None, scope: Scope, *, versions: bool = False) -> None:
    """Hold the masks against those of the last read: under its own name a column's masked values take the place of the others.

    Raises: SchemaConflict for one that is masked from now on under another name, and with `versions`, which are never written
    again, for any that is: in the table the values of before would stay.
    """
    before, now, known = _shapes(since, scope)
    doing = f"Masking columns of {scope.object}"
    for name in now.exposed(before, known):
        cause = f"{name} is to be masked and called {now.name(name)}, and the column {before.name(name)} would keep its values"
        raise SchemaConflict(doing, cause, hint=f"Leave the rename out: masked values take their place. {_HIDE}", column=name)
    for name in now.hidden(before, known) if versions else ():
        cause = f"{name} is to be masked, and the versions that have ended would keep its values"
        raise SchemaConflict(doing, cause, hint=_HIDE, column=name)


def masked_anew(since: Position | None, scope: Scope) -> tuple[str, ...]:
    """The columns that are masked and that the last read did not have; an earlier one may have had them, in the plain."""
    before, now = known_columns(since), Shape.read(scope.shape)
    return tuple(name for name in scope.fields if now.mask(name) and before is not None and name.lower() not in before)


def _shapes(since: Position | None, scope: Scope) -> tuple[Shape, Shape, tuple[str, ...]]:
    """What became of columns at the last read, what is to become of them now, and the columns of both reads."""
    before = known_columns(since) or {}
    known = tuple(name for name in scope.fields if name.lower() in before)
    return Shape.read((since or {}).get("shape")), Shape.read(scope.shape), known


def known_columns(since: Position | None) -> dict[str, str] | None:
    """The columns of the last read in lower case, with their types as far as they were noted; None where there was none."""
    fields, kinds = (since.get(name) if since else None for name in ("fields", "kinds"))
    if not isinstance(fields, list):
        return None
    noted = kinds if isinstance(kinds, list) and len(kinds) == len(fields) else [""] * len(fields)
    return {str(name).lower(): str(kind) for name, kind in zip(fields, noted, strict=True)}


def start(since: Position | None, scope: Scope, *, now: datetime, overlap_s: float) -> Start:
    """Where to start from a stored position, or why it cannot be used."""
    if since is None:
        return Start()
    same = not scope.where and all(since.get(name) == scope.settings[name] for name in _QUESTION)
    if scope.cursor is None:
        return Start(reason=f"{scope.object} has no stamp that can be filtered by", same_question=same)
    stamp = _stamp(since)
    if stamp is None:
        return Start(reason="the stored position cannot be read")
    reason = _changed(since, scope)
    low = stamp - timedelta(seconds=overlap_s)
    if reason is None and scope.deletes is not Deletes.IGNORE and scope.replicateable and low < now - DELETED_REACH:
        reason = f"the last read ({soql.instant(stamp)}) is further back than Salesforce lists deletions (15 days)"
    if reason is None and low > now:
        reason = f"the last read ({soql.instant(stamp)}) lies in the future of Salesforce's clock ({soql.instant(now)})"
    return Start(reason=reason, same_question=same) if reason else Start(low)


def carried_until(since: Position | None) -> str | None:
    """The instant before which all was carried when this position was stored."""
    stamp = _stamp(since) if since else None
    return soql.instant(stamp) if stamp else None


def formulas_read(since: Position | None) -> datetime | None:
    """When calculated columns were last read for all rows, as a position remembers; None where it does not."""
    try:
        return moment(str(since["formulas"])) if since else None
    except (KeyError, TypeError, ValueError):
        return None


def refresh_due(since: Position | None, *, now: datetime, every_s: float | None) -> str | None:
    """Why calculated columns are to be read for all rows again, or None; `every_s` None: never, 0: always."""
    if every_s is None or since is None:
        return None
    if every_s == 0:
        return "formulas are to be read every time (formula_refresh)"
    last = formulas_read(since)
    if last is None:
        return "it is not known when formulas were last read for all rows (formula_refresh)"
    if now - last < timedelta(seconds=every_s):
        return None
    return f"formulas were last read for all rows at {soql.instant(last)}, longer ago than {words(every_s)} (formula_refresh)"


def high(now: datetime) -> datetime:
    """The first instant that is not read any more."""
    return now.replace(microsecond=0) + timedelta(seconds=1)


def next_stamp(now: datetime, covered: datetime | None) -> datetime:
    """The stamp of the next position; `covered` is the instant that Salesforce says is complete."""
    return min(now, covered) if covered is not None else now - timedelta(seconds=LAG_S)


def deletions(low: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """The range to ask getDeleted for: whole minutes, the one under way included, at least COVER_S long."""
    look = now - timedelta(seconds=COVER_S)
    begin = min(low, look) if low is not None else look
    return _minute(begin), _minute(now) + timedelta(minutes=1)


def moment(text: str) -> datetime:
    """An instant as Salesforce or a position spells it, aware, in UTC.

    Raises: ValueError when it is none, or names no time zone.
    """
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError(f"no time zone: {text}")
    return read.astimezone(UTC)


def _minute(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


def _stamp(since: Position) -> datetime | None:
    try:
        return moment(str(since["stamp"]))
    except (KeyError, TypeError, ValueError):
        return None


def _changed(since: Mapping[str, JSON], scope: Scope) -> str | None:
    """What differs so much from the last read that its rows cannot be built upon."""
    for name, value in scope.settings.items():
        if since.get(name) != value:
            return f"{_SETTING[name]} is another than at the last read"
    added = _added(since.get("fields"), scope.fields)
    return f"fields are new, and old rows must get their values ({', '.join(added)})" if added else None


_SETTING = {
    "object": "the object",
    "cursor": "the stamp",
    "where": "the where clause",
    "deletes": "the setting for deletes",
    "numbers": "the setting for numbers",
    "shape": "the renaming or masking of columns",
}
# The settings that say which rows and values are meant. Another stamp only finds the same rows in another way.
_QUESTION = ("object", "where", "deletes", "numbers", "shape")


def _added(before: JSON, now: Sequence[str]) -> list[str]:
    known = {str(name).lower() for name in before} if isinstance(before, (list, tuple)) else set()
    return [name for name in now if name.lower() not in known]
