"""Writes as one user makes them: one record or many, checked, all or each for itself - behind every API that changes data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from halocline.emulator.conversions import cannot_read, trimmed
from halocline.emulator.errors import ApiError, deleted_record, malformed_id, not_found, not_open, unknown_record
from halocline.emulator.ids import is_valid, to_18
from halocline.emulator.lookups import is_key
from halocline.emulator.rules import Insistence

if TYPE_CHECKING:
    from halocline.emulator.objects import Field, SObject
    from halocline.emulator.org import Org
    from halocline.emulator.store import Check

_USUAL = Insistence()
# References whose targets a write leaves alone: whom a record belongs to and what kind it is.
_NEVER_LOCKED = frozenset({"OwnerId", "CreatedById", "LastModifiedById", "RecordTypeId"})


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of one record: its id (None if there is none), whether it is new, and the error if it was refused."""

    id: str | None
    created: bool = False
    error: ApiError | None = None

    @property
    def success(self) -> bool:
        """Whether the write was made."""
        return self.error is None


class SeveralMatches(ApiError):
    """More than one record has the external id; `ids` are theirs. Single-record REST answers 300 with their addresses."""

    def __init__(self, field: str, ids: Sequence[str]) -> None:
        message = f"{field}: more than one record found for external id field: [{', '.join(ids)}]"
        super().__init__(400, "DUPLICATE_EXTERNAL_ID", message, fields=(field,))
        self.ids = tuple(ids)


class _RolledBack(Exception):
    """Ends the block of a batch that is undone as a whole; `results` is what became of the records until then."""

    def __init__(self, results: list[Saved]) -> None:
        super().__init__(results)
        self.results = results


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes to an org as one user. Every method is one change, or none when it raises.

    `transaction` names an open transaction of the admin door, whose writes are seen later. Objects are given as the user sees
    them (`org.sobject(name)`); ids in 15 or 18 characters. `insistence` is how it treats duplicates.

    Many records at once are quickest in one `batch` of some hundred single writes, and several batches in one commit inside
    `org.store.database.together()`: what follows from an object and the names of a record's fields is worked out once, and used
    for every record that has the same.
    """

    org: Org
    user_id: str
    transaction: str | None = None
    insistence: Insistence = _USUAL

    def insert(self, sobject: SObject, record: Mapping[str, object]) -> str:
        """Add a record and return its id.
        Raises: ApiError for the first thing that is wrong with it.
        """
        _check_allowed(sobject, "createable", verb="inserted")
        with self.alone():
            values = self.org.checks.stored(sobject, record, new=True)
            whole = self._whole(sobject)
            self._await_locks(whole, None, values)
            check = self._check(whole, None)
            return self.org.store.insert(whole, values, user_id=self.user_id, transaction=self.transaction, check=check)

    def update(self, sobject: SObject, record_id: str, record: Mapping[str, object]) -> None:
        """Change a live record; None clears a field, what is not named stays.
        Raises: ApiError for the first thing that is wrong with it.
        """
        _check_allowed(sobject, "updateable", verb="updated")
        with self.alone():
            record_id = self.live(sobject, record_id)
            values = self.org.checks.stored(sobject, record, new=False)
            whole = self._whole(sobject)
            self._await_locks(whole, record_id, values)
            check = self._check(whole, record_id)
            self.org.store.update(whole, record_id, values, user_id=self.user_id, transaction=self.transaction, check=check)

    def upsert(self, sobject: SObject, record: Mapping[str, object], *, key: str, update_only: bool = False) -> Saved:
        """Change the record that has this record's value in field `key`, or add it.

        Key `Id` changes the record of that id, and adds one without an id.
        Raises: SeveralMatches; ApiError for the first thing that is wrong, 404 for a new record where `update_only`.
        """
        field = self.key_field(sobject, key)
        value = next((given for name, given in record.items() if name.lower() == field.name.lower()), None)
        value = trimmed(value) if isinstance(value, str) else value
        if field.type != "id" and value in (None, ""):
            raise ApiError(400, "MISSING_ARGUMENT", f"{field.name} not specified", fields=())
        with self.alone():
            found = [] if value in (None, "") else self.matches(sobject, field, value=value)
            if len(found) > 1:
                raise SeveralMatches(field.name, found)
            if field.type == "id":
                record = {name: given for name, given in record.items() if name.lower() != "id"}
            if found:
                self.update(sobject, found[0], record)
                return Saved(found[0])
            if update_only:
                raise not_found()
            return Saved(self.insert(sobject, record), created=True)

    def delete(self, sobject: SObject, record_id: str) -> None:
        """Put a live record into the recycle bin.
        Raises: ApiError if it is unknown, deleted already, or may not be deleted, DELETE_FAILED if other records forbid it.
        """
        _check_deletable(sobject)
        with self.alone():
            record_id = self.live(sobject, record_id)
            whole = self._whole(sobject)
            self._check_goes(whole, record_id)
            self.org.store.delete(whole, record_id, user_id=self.user_id, transaction=self.transaction)

    def hard_delete(self, sobject: SObject, record_id: str) -> None:
        """Remove a record for good, from the recycle bin too.
        Raises: ApiError if it is unknown or may not be deleted, DELETE_FAILED if other records forbid it.
        """
        _check_deletable(sobject)
        with self.alone():
            record_id, _ = self._kept(sobject, record_id)
            whole = self._whole(sobject)
            self._check_goes(whole, record_id)
            self.org.store.purge(whole, record_id)

    def undelete(self, sobject: SObject, record_id: str) -> None:
        """Take a record out of the recycle bin.
        Raises: ApiError if it is unknown or not deleted, its master is deleted, or another record has a unique value by now that
        comes back with it or with one of its children.
        Source: SOAP API Developer Guide, undelete(). That the whole is refused for a child is unverified, as are the words.
        """
        with self.alone():
            record_id, live = self._kept(sobject, record_id)
            if live:
                raise ApiError(400, "UNDELETE_FAILED", "Entity is not in the recycle bin", fields=())
            whole = self._whole(sobject)
            self._await_locks(whole, record_id, {})
            self._check_returns(whole, record_id)
            self.org.store.undelete(whole, record_id, user_id=self.user_id)

    def batch(self, writes: Sequence[Callable[[], Saved]], *, all_or_none: bool = False) -> list[Saved]:
        """Make these writes in one commit, and say of each what became of it, in order.

        A refused one undoes itself; with `all_or_none` it undoes all, and the others say so. Duplicate rules do not compare them.
        Source: REST API Developer Guide, "Using sObject Collections", `allOrNone`.
        """
        try:
            with self.alone(), self.org.rules.one_save(), self.org.store.database.together():
                return _kept_or_undone([self._tried(write) for write in writes], all_or_none=all_or_none)
        except _RolledBack as undone:
            return [one if one.error else Saved(None, error=_rolled_back()) for one in undone.results]

    def key_field(self, sobject: SObject, name: str) -> Field:
        """The field of that name, which can find a record: an external id, the Id, or one that describe calls `idLookup`.
        Raises: ApiError(404, NOT_FOUND).
        """
        field = sobject.field(name)
        if field is None or not is_key(field):
            raise unknown_record(name)
        return field

    def matches(self, sobject: SObject, field: Field, *, value: object) -> list[str]:
        """Ids of the live records that have `value` in a key field.
        Raises: ApiError(404) for a value that no record can have, 400 for a malformed id.
        """
        if field.type == "id":
            return [self.live(sobject, str(value))]
        if isinstance(value, (Mapping, list)):
            raise cannot_read("string", value)
        if field.type in ("int", "double", "currency", "percent"):
            value = _numeric(value)
        else:
            value = str(value).lower() if isinstance(value, bool) else trimmed(str(value))
        return self.org.store.ids_with(self._whole(sobject), field, value=value)

    def live(self, sobject: SObject, record_id: str) -> str:
        """The id in 18 characters.
        Raises: ApiError if it is malformed, unknown, or in the recycle bin.
        """
        record_id, live = self._kept(sobject, record_id)
        if not live:
            raise deleted_record()
        return record_id

    def alone(self) -> AbstractContextManager[object]:
        """Nobody else writes until the block ends. Raises: ApiError for a transaction that is not open."""
        return self.org.writing if self.transaction is None else self._alone_in(self.transaction)

    @contextmanager
    def _alone_in(self, transaction: str) -> Iterator[None]:
        with self.org.writing, self.org.store.database.lock:
            if transaction not in self.org.store.transactions:
                raise not_open(transaction)
            with self.org.store.inside(transaction):
                yield

    def _tried(self, write: Callable[[], Saved]) -> Saved:
        try:
            with self.org.store.database.together():
                return write()
        except ApiError as refusal:
            return Saved(None, error=refusal)

    def _kept(self, sobject: SObject, record_id: str) -> tuple[str, bool]:
        """The id in 18 characters, and whether the record is live."""
        if not is_valid(record_id) or record_id[:3] != sobject.key_prefix:
            raise malformed_id(f"{sobject.label} ID", record_id, field="Id")
        record_id = to_18(record_id)
        live = self.org.store.presence(self._whole(sobject), record_id)
        if live is None:
            # Status 404 for a single record over REST; among many records its code is what counts.
            raise ApiError(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields=())
        return record_id, live

    def _check(self, sobject: SObject, record_id: str | None) -> Check | None:
        return self.org.rules.check(sobject, record_id=record_id, insistence=self.insistence)

    def _check_goes(self, sobject: SObject, record_id: str) -> None:
        """Raises: ApiError if the record or a master of it is locked, or records that point at it forbid its deletion."""
        self._await_locks(sobject, record_id, {})
        for child, ids in self.org.store.bin.keepers(sobject, record_id):
            raise _associated(self._name_of(sobject, record_id), child, [self._name_of(child, one) for one in ids])

    def _check_returns(self, sobject: SObject, record_id: str) -> None:
        """Raises: ApiError if a deleted record cannot come back."""
        its_bin = self.org.store.bin
        its_bin.prepare(sobject)
        with self.org.store.database.lock:
            if (master := its_bin.deleted_master(sobject, record_id)) is not None:
                message = f"The record's master {master} is in the recycle bin"
                raise ApiError(400, "UNDELETE_FAILED", message, fields=())
            for one_id, one in its_bin.returning(sobject, record_id).items():
                self.org.rules.check_return(one, one_id)

    def _await_locks(self, sobject: SObject, record_id: str | None, values: Mapping[str, object]) -> None:
        """Wait for the record, its masters, and whom it is made to point at.

        Source: Salesforce "Record Locking Cheat Sheet", and "Managing Lookup Skew in Salesforce to Avoid Record Lock Exceptions":
        "Every time a record is inserted or updated, Salesforce must lock the target records that are selected for each lookup".
        """
        if not self.org.locks:
            return
        links = [f for f in sobject.fields.values() if f.type == "reference" and f.name not in _NEVER_LOCKED]
        row = self.org.store.get(sobject, record_id) if record_id else None
        masters = {(row or {}).get(f.name) for f in links if f.cascade_delete and not f.nillable}
        touched = {record_id, *masters, *(values.get(f.name) for f in links)}
        self.org.locks.await_free(str(one) for one in touched if one is not None)

    def _name_of(self, sobject: SObject, record_id: str) -> str:
        field = next((f.name for f in sobject.fields.values() if f.name_field), "Id")
        return str((self.org.store.get(sobject, record_id) or {}).get(field))

    def _whole(self, sobject: SObject) -> SObject:
        """The object as the store keeps it, with the fields that the user may not see."""
        return self.org.store.catalog.get(sobject.name) or sobject


def _kept_or_undone(results: list[Saved], *, all_or_none: bool) -> list[Saved]:
    if all_or_none and not all(one.success for one in results):
        raise _RolledBack(results)
    return results


def _numeric(value: object) -> float:
    try:
        return float(str(value))
    except ValueError as reason:
        raise not_found() from reason


def _associated(name: str, child: SObject, names: Sequence[str]) -> ApiError:
    """Words as in public recordings of answers to the deletion of a contact with cases."""
    others = f"{child.label_plural.lower()}.: {', '.join(names)}\n"
    message = f"Your attempt to delete {name} could not be completed because it is associated with the following {others}"
    return ApiError(400, "DELETE_FAILED", message, fields=())


def _rolled_back() -> ApiError:
    message = "Record rolled back because not all records were valid and the request was using AllOrNone header"
    return ApiError(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", message, fields=())


def _check_allowed(sobject: SObject, flag: str, *, verb: str) -> None:
    if sobject.overrides.get(flag) is False:
        message = f"entity type cannot be {verb}: {sobject.label}"
        raise ApiError(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message, fields=())


def _check_deletable(sobject: SObject) -> None:
    if not sobject.deletable:
        raise ApiError(400, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", fields=())
