"""Store: the SQLite file of one flow into one org, in which what was sent is remembered.

    sent       a line for each record: number of the key, digest of the row as it was last written (FORGOTTEN: send it), key, id
    waiting    rows that were let through and not yet told as written, by run and row number
    gone       what a mirror is about to delete, by row number
    outlived   records that an insert made for a row before it made another one for the row's key, by the line of the key
    sifted     the runs whose rows were held against this memory before they were sent
    doubtful   keys of inserted rows of which nobody knows whether they were written, with the run that sent them

Lines are appended and numbered rather than kept in the order of their keys: keys come in any order, and a tree of two million in
the order of a hash would be rewritten with every chunk.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa

from halocline.errors import FixConfig, StorageFailed
from halocline.private import refuse_planted
from halocline.push.diff.digests import places
from halocline.push.folder import hold
from halocline.push.keys import Alike
from halocline.spool import IN_HOME, storage

FORGOTTEN = -1  # a digest that stands for none; a row that really has it is sent every time
VERSION = 1
KEEP_S = 30 * 86_400.0  # how long the rows of a run that never ended are kept waiting, as long as its folder
_BUSY_S = 30.0
_FETCH = 5_000
_LAYOUT = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sent (
    n INTEGER PRIMARY KEY AUTOINCREMENT, place INTEGER NOT NULL, digest INTEGER NOT NULL, key TEXT NOT NULL, id TEXT
);
CREATE TABLE loads (load INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, begun_s REAL NOT NULL);
CREATE TABLE waiting (
    load INTEGER NOT NULL, row INTEGER NOT NULL, n INTEGER, place INTEGER NOT NULL, digest INTEGER NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (load, row)
) WITHOUT ROWID;
CREATE TABLE gone (row INTEGER PRIMARY KEY, n INTEGER NOT NULL, id TEXT NOT NULL);
"""
_DOUBTFUL = """
CREATE TABLE IF NOT EXISTS doubtful (place INTEGER NOT NULL, key TEXT NOT NULL, run TEXT NOT NULL, PRIMARY KEY (place, key))
WITHOUT ROWID
"""  # made where it is missing, for a file that was made without it; so is what follows
_OUTLIVED = """
CREATE TABLE IF NOT EXISTS outlived (o INTEGER PRIMARY KEY, n INTEGER NOT NULL, load INTEGER, key TEXT NOT NULL, id TEXT NOT NULL)
"""
_SIFTED = "CREATE TABLE IF NOT EXISTS sifted (n INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE)"
_SIFTED_KEPT = 10_000  # runs, more than are looked back for one of them
_BY_LOAD = "ALTER TABLE sent ADD COLUMN load INTEGER"  # the load by which an insert last wrote the row; null in other modes
_CAME = "s.n NOT IN (SELECT n FROM temp.untouched)"
_RESPELLED = f"""
CREATE TEMP TABLE respelled AS
SELECT u.n FROM sent s CROSS JOIN temp.untouched u ON u.id IN (s.id, substr(s.id, 1, 15)) WHERE {_CAME} UNION
SELECT u.n FROM sent s CROSS JOIN temp.untouched u ON u.id BETWEEN s.id AND s.id || 'zzz' WHERE length(s.id) = 15 AND {_CAME}
"""  # an id has 15 characters, or 18 that begin with them

Waiting = tuple[int, int | None, int, int, str]
"""A row that was let through: its number, its line in `sent` if it has one, the number of its key, its digest, its key."""

Line = tuple[int, str, str | None]
"""A record that was written: the number of its line, its key, its id."""


class Store:
    """The file `path`, made when it is not there, readable by its owner only. One thread uses it.

    With `alone` a lock beside the file is held until `close`, so that no other push sends what this one is sending.
    Raises: StorageFailed when it cannot be opened or is damaged, FixConfig when it is not ours or of another version, LeaseHeld
    while somebody else holds the lock.
    """

    def __init__(self, path: Path, *, flow: str, alone: bool) -> None:
        self.path = path
        self._doing = f"Remembering what was sent, in {path}"
        _create(path)
        with ExitStack() as held, self._gate():
            if alone:
                lock = hold(
                    path.with_suffix(".lock"), doing=self._doing, cause=f"another push, retry or resume of {flow} is at work"
                )
                assert lock is not None, "the folder is there"
                held.callback(os.close, lock)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
            held.callback(self._db.close)
            self._prepare(flow)
            self._held = held.pop_all()

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._held.close()

    # ---- loads

    def begin(self, run: str) -> int:
        """The number under which the rows of a run wait; those of runs that never ended, long ago, are dropped."""
        now = time.time()
        with self._writing(durable=False) as db:
            old = "SELECT load FROM loads WHERE begun_s < ?"
            db.execute(f"DELETE FROM waiting WHERE load IN ({old})", (now - KEEP_S,))
            db.execute("DELETE FROM loads WHERE begun_s < ? AND run <> ?", (now - KEEP_S, run))
            db.execute("INSERT INTO loads (run, begun_s) VALUES (?, ?) ON CONFLICT DO NOTHING", (run, now))
            return int(db.execute("SELECT load FROM loads WHERE run = ?", (run,)).fetchone()[0])

    def wait(self, load: int, rows: Iterable[Waiting]) -> None:
        """Put rows aside until it is told what became of them; durable with `keep`."""
        with self._writing(durable=False) as db:
            statement = "INSERT OR REPLACE INTO waiting (load, row, n, place, digest, key) VALUES (?, ?, ?, ?, ?, ?)"
            db.executemany(statement, ((load, *row) for row in rows))

    def keep(self, load: int, *, anew: bool = False, diff_key: str | None = None) -> None:
        """See that all that waits is on disk, and waits `KEEP_S` from now on. `anew`: no row counts as written any more, and
        `diff_key` is the field whose values are the keys from here on.
        """
        with self._writing(durable=True) as db:
            db.execute("INSERT INTO sifted (run) SELECT run FROM loads WHERE load = ? ON CONFLICT DO NOTHING", (load,))
            db.execute("DELETE FROM sifted WHERE n <= (SELECT max(n) FROM sifted) - ?", (_SIFTED_KEPT,))
            if anew:
                db.execute(f"UPDATE sent SET digest = {FORGOTTEN}")
            if diff_key is not None:
                db.execute("INSERT OR REPLACE INTO facts VALUES ('diff_key', ?)", (diff_key,))
            # A value that is new in any case: SQLite waits for the disk only when it has something to write.
            db.execute("UPDATE loads SET begun_s = max(?, begun_s + 0.001) WHERE load = ?", (time.time(), load))

    def miss(self, run: str) -> None:
        """Note that nobody knows here which records a run wrote."""
        with self._writing(durable=True) as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES ('missed', ?)", (run,))

    def tell(self, load: int, *, written: Sequence[tuple[int, str | None]], doubtful: Sequence[int], twice: bool) -> None:
        """Remember the rows that were written, with their ids, and forget those whose fate is not known; one transaction.

        `twice`: sending the latter again may make records twice, so `doubtful` tells of them when that happens.
        """
        with self._writing(durable=True) as db:
            self._remember(db, load, dict(written), twice=twice)
            rows = json.dumps(list(doubtful))
            found = "FROM json_each(?) CROSS JOIN waiting w ON w.load = ? AND w.row = value"
            statement = f"UPDATE sent SET digest = {FORGOTTEN} WHERE n IN (SELECT w.n {found} WHERE w.n IS NOT NULL)"
            db.execute(statement, (rows, load))
            if twice and doubtful:
                statement = (
                    f"INSERT OR REPLACE INTO doubtful SELECT w.place, w.key, l.run {found} JOIN loads l ON l.load = w.load"
                )
                db.execute(statement, (rows, load))

    def doubtful(self, load: int) -> list[tuple[str, int]]:
        """How many of the waiting rows of a load have a key that is in doubt since an earlier run, by run."""
        with self._gate():
            statement = (
                "SELECT d.run, count(*) FROM waiting w CROSS JOIN doubtful d ON d.place = w.place AND d.key = w.key"
                " WHERE w.load = ? AND EXISTS (SELECT 1 FROM doubtful) GROUP BY d.run ORDER BY d.run"
            )
            return self._db.execute(statement, (load,)).fetchall()

    def knows(self, run: str) -> bool:
        """Whether the rows of a run were sifted with this memory.

        One that has noted none, because it was made by an earlier version or was cleared, is believed to have seen all.
        """
        with self._gate():
            if self._db.execute("SELECT 1 FROM sifted WHERE run = ?", (run,)).fetchone() is not None:
                return True
            notes = self._db.execute("SELECT 1 FROM sifted UNION ALL SELECT 1 FROM facts WHERE name = 'notes_runs' LIMIT 1")
            return notes.fetchone() is None

    def awaits(self, run: str) -> bool:
        """Whether rows of a run wait here, or did, to be told of."""
        with self._gate():
            return self._db.execute("SELECT 1 FROM loads WHERE run = ?", (run,)).fetchone() is not None

    @property
    def missed(self) -> str | None:
        """A run that wrote with another memory than this one, which does not know its records."""
        return self._fact("missed")

    @property
    def diff_key(self) -> str | None:
        """The field by which the rows of an insert are known here; None where nobody noted it."""
        return self._fact("diff_key")

    # ---- what was sent

    @property
    def alike(self) -> Alike:
        """When two keys are one here."""
        found = self._fact("alike")
        return Alike.EXACT if found is None else Alike(found)

    @property
    def own_digits(self) -> bool:
        """Whether a decimal in a field of text is told with its own digits here; a file of before never did, and goes on so: its
        digests would all be others, and every row of an insert would be inserted once more.
        """
        return self._fact("own_digits") is not None

    def know_by(self, alike: Alike) -> None:
        """From here on two keys are one when `alike` says so. What was remembered otherwise gets the number of its key anew."""
        if alike is self.alike:
            return
        with self._writing(durable=True) as db:
            last = -1
            while found := db.execute("SELECT n, place, key FROM sent WHERE n > ? ORDER BY n LIMIT ?", (last, _FETCH)).fetchall():
                numbers = _places([key for _, _, key in found], alike)
                moved = [(new, n) for new, (n, old, _) in zip(numbers, found, strict=True) if new != old]
                db.executemany("UPDATE sent SET place = ? WHERE n = ?", moved)
                last = found[-1][0]
            db.execute("INSERT OR REPLACE INTO facts VALUES ('alike', ?)", (alike,))

    def lines(self) -> Iterator[list[tuple[int, int, int]]]:
        """Every line's number, number of the key and digest, some at a time."""
        with self._gate():
            cursor = self._db.execute("SELECT n, place, digest FROM sent ORDER BY n")
            while found := cursor.fetchmany(_FETCH):
                yield found

    def named(self, numbers: Sequence[int]) -> list[Line]:
        """The lines of these numbers, in order."""
        with self._gate():
            statement = "SELECT s.n, s.key, s.id FROM json_each(?) j CROSS JOIN sent s ON s.n = j.value ORDER BY s.n"
            return self._db.execute(statement, (json.dumps(list(numbers)),)).fetchall()

    def drop(self, doubles: Iterable[tuple[int, int]]) -> None:
        """Forget lines, each for another of the same key; the record that an insert made for it is there beside the other's."""
        with self._writing(durable=True) as db:
            for n, instead in doubles:
                db.execute("UPDATE outlived SET n = ? WHERE n = ?", (instead, n))
                statement = (
                    "INSERT INTO outlived (n, load, key, id) SELECT ?, load, key, id FROM sent"
                    " WHERE n = ? AND load IS NOT NULL AND id IS NOT NULL"
                )
                db.execute(statement, (instead, n))
                db.execute("DELETE FROM sent WHERE n = ?", (n,))

    def clear(self) -> None:
        """Forget everything."""
        with self._writing(durable=True) as db:
            for table in ("sent", "waiting", "loads", "gone", "outlived", "doubtful", "sifted"):
                db.execute(f"DELETE FROM {table}")
            db.execute("DELETE FROM facts WHERE name IN ('notes_runs', 'missed', 'diff_key')")
            db.execute("INSERT OR REPLACE INTO facts VALUES ('own_digits', '')")

    # ---- what is gone

    def put_untouched(self, parts: Iterable[Sequence[int]], *, load: int | None, fold: Callable[[str], str], drop: bool) -> None:
        """Put aside the lines whose key did not come, but for those whose record came under another spelling of it.

        That is so where a line that came has the same id; then the one that did not is forgotten if `drop`. It may be so where a
        new row of the load was not written, and has the same key when both are folded.
        """
        with self._writing(durable=True) as db:
            for table in ("untouched", "respelled", "unwritten"):
                db.execute(f"DROP TABLE IF EXISTS temp.{table}")
            db.execute("CREATE TEMP TABLE untouched (n INTEGER PRIMARY KEY, id TEXT)")
            for numbers in parts:
                statement = "INSERT INTO temp.untouched SELECT s.n, s.id FROM json_each(?) CROSS JOIN sent s ON s.n = value"
                db.execute(statement, (json.dumps(list(numbers)),))
            if db.execute("SELECT 1 FROM temp.untouched LIMIT 1").fetchone() is None:
                return
            db.execute("CREATE INDEX temp.untouched_id ON untouched (id)")
            db.execute(_RESPELLED)
            if drop:
                db.execute("DELETE FROM sent WHERE n IN (SELECT n FROM temp.respelled)")
            db.execute("DELETE FROM temp.untouched WHERE n IN (SELECT n FROM temp.respelled)")
            db.create_function("fold", 1, fold, deterministic=True)
            db.execute("CREATE TEMP TABLE unwritten (key TEXT PRIMARY KEY) WITHOUT ROWID")
            db.execute("INSERT OR IGNORE INTO unwritten SELECT fold(key) FROM waiting WHERE load = ? AND n IS NULL", (load,))
            if db.execute("SELECT 1 FROM unwritten LIMIT 1").fetchone() is not None:
                same = "SELECT s.n FROM temp.untouched u CROSS JOIN sent s ON s.n = u.n WHERE fold(s.key) IN unwritten"
                db.execute(f"DELETE FROM temp.untouched WHERE n IN ({same})")

    def untouched(self) -> Iterator[list[Line]]:
        """The lines that `put_untouched` put aside, in order, some at a time."""
        last = -1
        while True:
            with self._gate():
                found_in = "FROM temp.untouched u CROSS JOIN sent s ON s.n = u.n"
                statement = f"SELECT s.n, s.key, s.id {found_in} WHERE u.n > ? ORDER BY u.n LIMIT ?"
                found: list[Line] = self._db.execute(statement, (last, _FETCH)).fetchall()
            if not found:
                return
            yield found
            last = found[-1][0]

    def outlived(self, rewritten: Sequence[int] = ()) -> Iterator[list[Line]]:
        """The records that an insert made for rows that are not in the source any more, although their keys may be: those of an
        earlier load than the one that last wrote the key, and those of the lines that `put_untouched` put aside or that are
        `rewritten`. Their numbers are below 0.
        """
        statement = (
            "SELECT -o.o, o.key, o.id FROM outlived o LEFT JOIN sent s ON s.n = o.n WHERE s.n IS NULL OR o.load IS NOT s.load"
            " OR o.n IN (SELECT n FROM temp.untouched) OR o.n IN (SELECT value FROM json_each(?)) ORDER BY o.o"
        )
        with self._gate():
            found: list[Line] = self._db.execute(statement, (json.dumps(list(rewritten)),)).fetchall()
        for start in range(0, len(found), _FETCH):
            yield found[start : start + _FETCH]

    @property
    def outliving(self) -> int:
        """How many records are there beside those of the lines, each made for a key that has a later one."""
        with self._gate():
            return int(self._db.execute("SELECT count(*) FROM outlived").fetchone()[0])

    def put_gone(self, parts: Iterable[Sequence[Line]]) -> int:
        """Put aside the records to delete, in place of those of an earlier time; how many they are."""
        with self._writing(durable=False) as db:
            db.execute("DELETE FROM gone")  # numbers start anew at 1
            for lines in parts:
                db.executemany("INSERT INTO gone (n, id) VALUES (?, ?)", [(n, record_id) for n, _, record_id in lines])
            return int(db.execute("SELECT count(*) FROM gone").fetchone()[0])

    def gone(self, first: int, count: int) -> list[str]:
        """The ids of the records to delete, from row `first` (counted from 0), in order."""
        with self._gate():
            found = self._db.execute("SELECT id FROM gone WHERE row > ? ORDER BY row LIMIT ?", (first, count))
            return [str(record_id) for (record_id,) in found]

    def wait_to_go(self, load: int, rows: Sequence[int]) -> None:
        """Let the records of these rows wait until it is told that they are deleted."""
        with self._writing(durable=False) as db:
            statement = (
                "INSERT OR REPLACE INTO waiting (load, row, n, place, digest, key)"
                " SELECT ?, value, g.n, 0, 0, g.id FROM json_each(?) CROSS JOIN gone g ON g.row = value + 1"
            )
            db.execute(statement, (load, json.dumps(list(rows))))

    def drop_gone(self, load: int, rows: Sequence[int]) -> None:
        """Forget the records that these rows of a load deleted; a line may name another by now, of a row that came back."""
        numbers = json.dumps(list(rows))
        found = "FROM json_each(?) CROSS JOIN waiting w ON w.load = ? AND w.row = value"
        with self._writing(durable=True) as db:
            same = "w.key = '' OR substr(w.key, 1, 15) = substr(s.id, 1, 15)"  # loads of an earlier version noted no id
            lines = f"SELECT w.n {found} CROSS JOIN sent s ON s.n = w.n WHERE {same}"
            db.execute(f"DELETE FROM sent WHERE n IN ({lines})", (numbers, load))
            ids = f"SELECT substr(w.key, 1, 15) {found}"
            statement = f"DELETE FROM outlived WHERE o IN (SELECT -w.n {found}) OR substr(id, 1, 15) IN ({ids})"
            db.execute(statement, (numbers, load, numbers, load))
            db.execute("DELETE FROM waiting WHERE load = ? AND row IN (SELECT value FROM json_each(?))", (load, numbers))

    def doubt_gone(self, load: int, rows: Sequence[int]) -> None:
        """The records that these rows of a load deleted may be there or not: what the source has of them is to be sent."""
        numbers = json.dumps(list(rows))
        found = "FROM json_each(?) CROSS JOIN waiting w ON w.load = ? AND w.row = value"
        with self._writing(durable=True) as db:
            db.execute(f"UPDATE sent SET digest = {FORGOTTEN} WHERE n IN (SELECT w.n {found})", (numbers, load))
            twice = f"{found} JOIN sent s ON s.n = w.n AND s.load IS NOT NULL JOIN loads l ON l.load = w.load"  # of an insert
            db.execute(f"INSERT OR REPLACE INTO doubtful SELECT s.place, s.key, l.run {twice}", (numbers, load))

    # ---- below

    def _fact(self, name: str) -> str | None:
        with self._gate():
            found = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def _remember(self, db: sqlite3.Connection, load: int, ids: dict[int, str | None], *, twice: bool) -> None:
        rows = json.dumps(list(ids))
        statement = (
            "SELECT w.row, w.n, w.place, w.digest, w.key FROM json_each(?) CROSS JOIN waiting w ON w.load = ? AND w.row = value"
            " ORDER BY w.row"  # of rows with one key, the last is what the record now holds
        )
        found: list[Waiting] = db.execute(statement, (rows, load)).fetchall()
        alike = self.alike  # it may be another than when these rows were let through
        numbers = _places([key for *_, key in found], alike)
        common = alike.common(pa.array([key for *_, key in found], pa.string())).to_pylist()
        last = {
            (place, same): (row, n, place, digest, key)
            for (row, n, _, digest, key), place, same in zip(found, numbers, common, strict=True)
        }
        if twice:
            rewritten = ((row, n, place, digest, key) for (row, n, _, digest, key), place in zip(found, numbers, strict=True))
            _remember_inserted(db, load, rewritten, ids=ids)
        else:
            known = [(digest, ids[row], n) for row, n, _, digest, _ in last.values() if n is not None]
            fresh = [(place, digest, key, ids[row]) for row, n, place, digest, key in last.values() if n is None]
            db.executemany("UPDATE sent SET digest = ?, id = coalesce(?, id) WHERE n = ?", known)
            db.executemany("INSERT INTO sent (place, digest, key, id) VALUES (?, ?, ?, ?)", fresh)
        if db.execute("SELECT 1 FROM doubtful LIMIT 1").fetchone() is not None:
            db.executemany("DELETE FROM doubtful WHERE place = ? AND key = ?", last)
        db.executemany("DELETE FROM waiting WHERE load = ? AND row = ?", ((load, row) for row, *_ in found))

    def _prepare(self, flow: str) -> None:
        self._check()
        self._db.execute("PRAGMA journal_mode = WAL")
        with self._writing(durable=True) as db:
            if not self._check():
                for statement in _LAYOUT.split(";"):
                    db.execute(statement)
                facts = [("version", str(VERSION)), ("flow", flow), ("own_digits", ""), ("notes_runs", "")]
                db.executemany("INSERT INTO facts VALUES (?, ?)", facts)
            db.execute(_DOUBTFUL)
            db.execute(_OUTLIVED)
            db.execute(_SIFTED)
            if "load" not in {name for _, name, *_ in db.execute("PRAGMA table_info(sent)")}:
                db.execute(_BY_LOAD)

    def _check(self) -> bool:
        """Whether the file has our layout; False for an empty one."""
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return False
        found = self._db.execute("SELECT value FROM facts WHERE name = 'version'").fetchone() if "facts" in tables else None
        if found is None:
            raise FixConfig(self._doing, "the file is another program's", hint="Point HALOCLINE_HOME at a folder of its own.")
        if found[0] != str(VERSION):
            hint = "Move it away: a new one is made, and all rows are sent once more."
            raise FixConfig(self._doing, f"the file is of version {found[0]}, this Halocline knows {VERSION}", hint=hint)
        return True

    @contextmanager
    def _writing(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """One transaction. A `durable` one is on disk when the block ends, with all that came before it."""
        with self._gate():
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _gate(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter of a damaged name in its schema
            hint = "Free some space, or move the file away: a new one is made, and all rows are sent once more."
            raise StorageFailed(self._doing, str(error), hint=hint, code=getattr(error, "sqlite_errorname", None)) from error


def _remember_inserted(db: sqlite3.Connection, load: int, rows: Iterable[Waiting], *, ids: Mapping[int, str | None]) -> None:
    """Each row made a record of its own; the one made before for its key stays behind. Keys that came twice, which `SentRows`
    refuses now, have two lines in older memories, of which `drop` makes one.
    """
    for row, n, place, digest, key in rows:
        if n is None:
            values = (place, digest, key, ids[row], load)
            db.execute("INSERT INTO sent (place, digest, key, id, load) VALUES (?, ?, ?, ?, ?)", values)
        else:
            behind = "SELECT n, load, key, id FROM sent WHERE n = ? AND id IS NOT NULL"
            db.execute(f"INSERT INTO outlived (n, load, key, id) {behind}", (n,))
            db.execute("UPDATE sent SET digest = ?, id = ?, load = ? WHERE n = ?", (digest, ids[row], load, n))


def _places(keys: Sequence[str], alike: Alike) -> list[int]:
    numbers: list[int] = places(alike.common(pa.array(keys, pa.string()))).to_pylist()
    return numbers


def _create(path: Path) -> None:
    with storage(f"Making {path}", room=IN_HOME):
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        refuse_planted(path)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # before SQLite sees it, so that it is never readable by others
