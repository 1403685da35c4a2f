"""SentRows: what one flow wrote into one org, so that a row is sent again only when it changed."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from halocline.errors import FixConfig, LeaseHeld
from halocline.outcome import Fate
from halocline.push.destination import RowBatch, Told
from halocline.push.diff.digests import Digester, Digests
from halocline.push.diff.gone import GoneRows
from halocline.push.diff.known import Held, Known
from halocline.push.diff.others import Later, Others
from halocline.push.diff.repeats import Repeats
from halocline.push.diff.store import Line, Store
from halocline.push.keys import Alike
from halocline.push.order import DELETES, SyncMode, WriteOrder
from halocline.push.past import MIRROR
from halocline.push.sieve import Sieve
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.ledger import Ledger

FOLDER = "sent"  # below the home
_DECIMAL = re.compile(r"-?\d+\.\d+")


class SentRows:
    """The `Sieve` of diff mode: rows whose names and values are those that were last written for their key are not sent.

    The memory is a file below `home` for each flow and org. The key is the one of the order (the external id, or Id); an insert
    has none, so `diff_key` names a field whose value tells its rows apart, and two rows of one value are refused. Only written
    rows are remembered; refused rows stay due, and rows in doubt are sent again. Of rows with one key, all from the first changed
    one on are sent; `known_by`, asked when the first rows come, says which keys are one (None: those that were one before), and
    `texts_by` which are the `text_fields` of the object (None: nobody knows). Records that others change or delete in Salesforce
    are not noticed: `forget` starts over. `rows` counts the rows of this load. With `looking` nothing will be sent, so rows need
    not wait to be told of; else nobody else may be at work with this memory until `close`.
    Raises: FixConfig for an insert without `diff_key`, for deletes, and for a file that is not ours; LeaseHeld while another
    push, retry or resume of the flow is at work; StorageFailed.
    """

    def __init__(
        self,
        home: Path,
        *,
        flow: str,
        org: str,
        order: WriteOrder,
        diff_key: str | None = None,
        known_by: Callable[[], Alike] | None = None,
        texts_by: Callable[[], frozenset[str]] | None = None,
        mirror: bool = False,
        looking: bool = False,
    ) -> None:
        self._looking = looking
        self._mirror = mirror
        self._doing = f"Looking for what changed since {flow} was last sent"
        self._order = order
        self._key = self._chosen_key(diff_key)
        self._store = memory_of(home, flow=flow, org=org, alone=not looking)
        self._flow = flow
        self._others = Others(flow, org, order, self._store)
        self._later = Later()
        self._sending: str | None = None  # the run of this load, once it may send
        self._digester = Digester(self._key, seed=_seed(order, self._key))
        self._load: int | None = None
        self._known: Known | None = None
        self._known_by = known_by
        self._given_texts_by = texts_by
        self._texts_by = texts_by if self._store.own_digits else None
        self._repeats = Repeats()
        self._anew = False
        self._rewritten: set[int] = set()  # lines whose records an insert would leave behind, where it is only looked
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._store.close()

    @property
    def known(self) -> int:
        """How many records were remembered when this load began; of an insert, with those that outlived their rows."""
        return len(self._memory) + self._store.outliving + len(self._rewritten)

    @property
    def deletes(self) -> tuple[str, Sieve]:
        """See `Sieve.deletes`."""
        return self._flow + MIRROR, GoneRows(0, self._store)

    def knows(self, run: str) -> bool:
        """See `Sieve.knows`."""
        return self._store.knows(run) or self._store.awaits(run)

    def catch_up(self, ledger: Ledger, run: str) -> Sequence[str]:
        """See `Sieve.catch_up`.

        Raises: FixConfig for an insert or a mirror, where another memory than this one knows which records there are.
        """
        self._later = later = self._others.later(ledger, but=run)
        inserts = self._order.mode is SyncMode.INSERT
        unknown = later.another or (self._store.missed if self._mirror else None)
        if unknown is not None and (inserts or self._mirror):
            raise self._unknown(unknown)
        self._anew = (later.another or later.plain) is not None and not inserts and self.known > 0
        if not self._anew:
            return ()
        if later.another is None:
            told = f"Run {later.plain} sent rows of this flow without diff mode"
        else:
            told = f"Run {later.another} sent rows of this flow with another memory than {self._store.path}"
        return (f"{told}: all rows are sent again.",)

    def refuse_others(self, ledger: Ledger, run: str) -> None:
        """See `Sieve.refuse_others`."""
        self._others.refuse_at_work(ledger, but=run, doing=self._doing)
        newest = self._others.later(ledger, but=run).newest
        if newest not in {None, self._later.newest, self._sending}:
            cause = f"run {newest} of the same flow sent rows since this one looked"
            raise LeaseHeld(self._doing, cause, hint="Run it again; this run sent nothing.", other=newest)
        if self._later.another is not None:  # not before: one that was at work when this one looked may have sent nothing
            self._store.miss(self._later.another)
        self._sending = run

    def begin(self, run: str) -> None:
        """See `Sieve.begin`."""
        self._load, self._known, self.rows = self._store.begin(run), None, 0
        self._rewritten.clear()
        self._repeats.clear()

    def sift(self, batch: RowBatch) -> tuple[RowBatch, Sequence[int]]:
        """See `Sieve.sift`.

        Raises: FixConfig for a row of an insert that has no value in the field `diff_key`.
        """
        if self._texts_by is not None:
            self._digester = Digester(self._key, seed=_seed(self._order, self._key), texts=self._texts_by())
            self._texts_by = None
        told = self._digester.of(batch.rows)
        self._refuse_keyless(batch, told)
        if self._known_by is not None:
            self._store.know_by(self._known_by())
            self._known_by = self._known = None
        held = self._memory.hold_against(told)
        if self._anew:
            held = replace(held, unchanged=[False] * len(held.unchanged))
        if self._order.mode is SyncMode.INSERT:
            self._repeats.add(held.places, batch.numbers)
        self.rows += len(batch.numbers)
        self._wait(batch, told, held)
        if self._looking and self._order.mode is SyncMode.INSERT:
            pairs = zip(held.lines, held.unchanged, strict=True)
            self._rewritten.update(line for line, same in pairs if line is not None and not same)
        if not any(held.unchanged):
            return batch, ()
        unchanged = [number for number, same in zip(batch.numbers, held.unchanged, strict=True) if same]
        return _without(batch, held.unchanged), unchanged

    def sifted(self) -> Sequence[str]:
        """See `Sieve.sifted`; it tells of rows that an insert may make twice.

        Raises: FixConfig where two rows of an insert have the same value in the field `diff_key`, or its records are known
        by another field.
        """
        diff_key = self._key if self._order.mode is SyncMode.INSERT and self._key else None
        if diff_key is not None:
            self._refuse_other_key(diff_key)
        self._refuse_repeats()
        if self._looking:
            return ()
        self._store.keep(self._number, anew=self._anew, diff_key=diff_key)
        return [self._twice(run, rows) for run, rows in self._store.doubtful(self._number)]

    def told(self, told: Told) -> None:
        """See `Sieve.told`; what it learns is on disk before it returns."""
        written: list[tuple[int, str | None]] = []
        if told.written is not None:
            written = list(zip(told.written.column("row").to_pylist(), told.written.column("id").to_pylist(), strict=True))
        written += [(one.row, one.id) for one in told.others if one.fate is Fate.WRITTEN and one.row is not None]
        doubtful = [one.row for one in told.others if one.fate is Fate.IN_DOUBT and one.row is not None]
        if written or doubtful:
            self._store.tell(self._number, written=written, doubtful=doubtful, twice=self._order.mode is SyncMode.INSERT)

    def gone(self) -> Iterator[list[Line]]:
        """The records that were written once and are not among the rows of this load: (line, key, id), some at a time.

        A record that came under another spelling of its key is not gone: one that this load wrote is known by its id, and its
        line under the old key is dropped; for one that was refused or is in doubt the keys are compared without regard to case.
        An insert makes a new record of a row that changed: the one before it is gone.
        """
        self._store.put_untouched(self._memory.untouched(), load=self._load, fold=self._fold, drop=not self._looking)
        rewritten = sorted(self._rewritten)
        return chain(
            self._store.untouched(), self._store.outlived(rewritten), [self._store.named(rewritten)] if rewritten else ()
        )

    def forget(self) -> None:
        """Forget all that was sent: the next load sends every row."""
        self._store.clear()
        self._texts_by = self._given_texts_by  # a memory that begins has own digits
        self._load, self._known, self.rows = None, None, 0

    @property
    def store(self) -> Store:
        """The file."""
        return self._store

    @property
    def _number(self) -> int:
        """The number of this load; one that nobody named is a load of its own."""
        if self._load is None:
            self._load = self._store.begin(uuid.uuid4().hex)
        return self._load

    @property
    def _memory(self) -> Known:
        if self._known is None:
            self._known = Known(self._store)
        return self._known

    def _fold(self, key: str) -> str:
        """The key without what may differ between two spellings of it. Ids are as good without their last three characters, and
        decimals without the zeros at their end, of which a column that got another scale has more or less.

        Source: https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/field_types.htm, "ID".
        """
        if _DECIMAL.fullmatch(key):
            return key.rstrip("0").rstrip(".")
        return (key[:15] if self._key == "Id" else key).casefold()

    def _unknown(self, run: str) -> FixConfig:
        cause = f"run {run} of this flow was made on another host, or with another HALOCLINE_HOME"
        cause += f": {self._store.path} does not know what it wrote"
        then = "would make its records twice" if self._order.mode is SyncMode.INSERT else "would leave behind what is gone since"
        hint = f"This push {then}, so nothing was sent. Run the flow where that run was made, or with the same HALOCLINE_HOME."
        return FixConfig(self._doing, cause, hint=f"{hint} Under another flow name it begins anew.", other=run)

    def _twice(self, run: str, rows: int) -> str:
        told = f"Inserted again: {quantity(rows, 'row')} in doubt since run {run}; what was written after all is there twice"
        return f"{told}. Compare both sides by {self._key}; an upsert by an external id never makes a record twice."

    def _chosen_key(self, diff_key: str | None) -> str:
        if self._order.mode in DELETES:
            raise FixConfig(self._doing, "deletes have no state to compare", hint="Leave diff out for a delete.")
        key = self._order.needed or diff_key
        if key is None:
            hint = "Name the mapped field that tells its rows apart: diff_key=... (--diff-key)."
            raise FixConfig(self._doing, "an insert has no key by which a row could be known again", hint=hint)
        return key

    def _refuse_keyless(self, batch: RowBatch, told: Digests) -> None:
        """An inserted row without a key could not be remembered, and would be inserted again each time.

        In the other modes the destination refuses such a row.
        """
        if self._order.needed is None and told.keys.null_count:
            at = next(place for place, key in enumerate(told.keys.to_pylist()) if key is None)
            cause = f"row {batch.numbers[at]} has no value in {self._key}, by which it would be known again"
            raise FixConfig(self._doing, cause, hint="Give every row one, or choose another diff_key; nothing was sent.")

    def _refuse_other_key(self, diff_key: str) -> None:
        """By another field no row is known again, and each would be inserted once more."""
        before, known = self._store.diff_key, self.known
        if known and before is not None and before.lower() != diff_key.lower():
            cause = f"{quantity(known, 'record is')} known by {before}, and none by {diff_key}"
            hint = f"Every row would be inserted once more, so nothing was sent. Give the diff_key {before} (--diff-key)"
            raise FixConfig(self._doing, cause, hint=f"{hint}; where that is meant, another flow name (--flow).")

    def _refuse_repeats(self) -> None:
        """Of rows that share a key one line is remembered, so that the others would be inserted again each time."""
        two = self._repeats.first()
        self._repeats.clear()
        if two is not None:
            cause = f"rows {two[0]} and {two[1]} have the same value in {self._key}, by which each would be known again"
            hint = "Leave one of them out: nothing was sent."
            raise FixConfig(self._doing, cause, hint=hint)

    def _wait(self, batch: RowBatch, told: Digests, held: Held) -> None:
        columns = (batch.numbers, held.lines, held.places.to_pylist(), told.rows.to_pylist(), told.keys.to_pylist())
        rows = [row[1:] for row in zip(held.unchanged, *columns, strict=True) if not row[0] and row[5] is not None]
        if rows and not self._looking:
            self._store.wait(self._number, rows)


def memory_of(home: Path, *, flow: str, org: str, alone: bool) -> Store:
    """The file of a flow into an org; `alone`: nobody else may be at work with it.

    Raises: as Store.
    """
    name = blake2b(json.dumps([flow, org]).encode(), digest_size=12).hexdigest()
    return Store(home / FOLDER / f"{name}.sqlite", flow=flow, alone=alone)


def _without(batch: RowBatch, left_out: Sequence[bool]) -> RowBatch:
    kept = [not one for one in left_out]
    numbers = [number for number, keep in zip(batch.numbers, kept, strict=True) if keep]
    if isinstance(batch.rows, pa.RecordBatch):
        return RowBatch(numbers, batch.rows.filter(pa.array(kept, pa.bool_())))
    return RowBatch(numbers, [row for row, keep in zip(batch.rows, kept, strict=True) if keep])


def _seed(order: WriteOrder, key: str) -> str:
    """What else than its names and values decides what a row does to a record."""
    return json.dumps([order.sobject.lower(), order.mode, key.lower(), order.nulls, order.clears])
