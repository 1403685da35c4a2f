"""A read that is killed anywhere is gone on with by the next: the table is whole, and pages that came are not asked for again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from tests.connectors.aws.dynamodb.desk import Desk, made
from tests.connectors.aws.dynamodb.test_dynamodb_source import DECLARED
from tests.system.fault_loop import inline
from tests.system.fault_seams import watching_duckdb

from halocline import engine
from halocline.connectors.aws.dynamodb import source
from halocline.connectors.aws.dynamodb.client import DynamoDB
from halocline.connectors.aws.lines import Lines
from halocline.errors import HaloclineError
from halocline.ledger import SqliteLedger
from halocline.testing.faults import Death, Moment, Operations, Seam, Way, When, replaced, watching_files, watching_ledger

_WHENS = {Way.DEATH: {When.INSIDE, When.AFTER}, Way.ERROR: {When.BEFORE}}
REQUEST = Seam(
    "request",
    lambda _: ConnectionClosedError(endpoint_url="http://127.0.0.1"),
    name=lambda _, one: str(one.headers["X-Amz-Target"]).rpartition(".")[2],
)


@contextmanager
def watching(operations: Operations) -> Iterator[None]:
    """Count what a run does: calls, files, the ledger, the database; one thing after another."""
    with ExitStack() as stack:
        stack.enter_context(operations.watching(Lines, "send", seam=REQUEST))
        for watch in (watching_files, watching_ledger, watching_duckdb):
            stack.enter_context(watch(operations))
        stack.enter_context(replaced(engine, "threads", by=inline))
        stack.enter_context(operations)
        yield


class Trials:
    """Runs of one kind, each killed at another moment, and the run after it."""

    def __init__(self, desk: Desk, before: Path, options: dict[str, Any]) -> None:
        self.desk, self.before, self.options = desk, before, options
        self.numbers = count()
        self.wrong: list[str] = []
        self.points = self.resumed = 0
        self.expected: Any = None

    def moments(self, way: Way) -> list[Moment]:
        """The moments of a run that nothing strikes; what it leaves is what is expected."""
        operations = Operations(way=way, whens=_WHENS[way], own_thread=True)
        self._home()
        with watching(operations):
            self.desk.run(**self.options)
        self.expected = self.desk.rows()
        return operations.seen

    def trial(self, at: int, *, way: Way) -> None:
        """Strike at a moment, and run again."""
        home = self._home()
        after = home.with_name(f"{home.name}-after")
        photograph: Callable[[], Any] = lambda: shutil.copytree(home, after)  # noqa: E731 - the files of that instant
        operations = Operations(at=at, way=way, whens=_WHENS[way], die=photograph, own_thread=True)
        raw = None
        try:
            with watching(operations):
                self.desk.run(**self.options)
        except (Death, HaloclineError):
            pass
        except Exception as error:  # noqa: BLE001 - told below
            raw = error
        if operations.struck is None:
            return
        if after.exists():
            shutil.rmtree(home)
            after.rename(home)
        self.points += 1
        told = [] if raw is None else [f"an error that is not ours: {raw!r}"]
        told += self._again(str(operations.struck))
        self.wrong += [f"{way} at {at}, {operations.struck.kind} {operations.struck}: {one}" for one in told]
        shutil.rmtree(home)

    def _again(self, struck: str) -> Iterator[str]:
        try:
            run = self.desk.run(**self.options)
        except Exception as error:  # noqa: BLE001 - somebody would have to mend it by hand
            yield f"wedged: {error!r}"
            return
        self.resumed += run.plan is not None and run.plan.continues is not None
        if self.desk.rows() != self.expected:
            yield f"{len(self.desk.rows())} rows, not {len(self.expected)}, or others"
        with SqliteLedger(self.desk.home / "ledger.sqlite") as ledger:
            records = ledger.runs()
        if records[0].state != "done" or records[0].rows_read != records[0].counts.accounted:
            yield f"the books: {records[0]}"
        left = [name for name in self.desk.spools() if "dynamodb" in name]
        if left and "unlink" not in struck and "rmdir" not in struck:  # what cannot be deleted goes with a sweep
            yield f"pages are left: {left}"

    def _home(self) -> Path:
        home = self.before.with_name(f"trial-{next(self.numbers)}")
        shutil.copytree(self.before, home)
        self.desk.home = home
        return home


@pytest.fixture
def items(desk: Desk) -> Desk:
    """A table with some pages in each of two segments."""
    desk.make([made(number) for number in range(36)])
    return desk


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(
    ("options", "way", "step"),
    [
        pytest.param({}, Way.DEATH, 41, id="some-inferred-killed"),
        pytest.param({"columns": DECLARED}, Way.ERROR, 41, id="some-declared-error"),
        pytest.param({}, Way.DEATH, 1, id="every-inferred-killed", marks=pytest.mark.long),
        pytest.param({}, Way.ERROR, 1, id="every-inferred-error", marks=pytest.mark.long),
        pytest.param({"columns": DECLARED}, Way.DEATH, 1, id="every-declared-killed", marks=pytest.mark.long),
        pytest.param({"columns": DECLARED}, Way.ERROR, 1, id="every-declared-error", marks=pytest.mark.long),
    ],
)
def test_a_read_that_failed_somewhere_is_gone_on_with(
    items: Desk, tmp_path: Path, options: dict[str, Any], way: Way, step: int, record_property: Callable[[str, object], None]
) -> None:
    """At some operations, or at every one: calls, files, writes, transactions of the ledger, statements of the database."""
    (tmp_path / "before").mkdir()
    trials = Trials(items, tmp_path / "before", {**options, "segments": 2})
    there = len(trials.moments(way))
    for at in range(1 + step // 2, there + 1, step):
        trials.trial(at, way=way)
    kind = "declared" if options else "inferred"
    record_property("says", f"dynamodb {kind} {way}: {trials.points} of {there} moments, {trials.resumed} gone on with")
    assert trials.wrong == []
    assert trials.points >= there // step - 2
    if way is Way.DEATH:
        assert trials.resumed > trials.points // 4


@pytest.mark.usefixtures("small_pages")
def test_pages_that_came_are_not_asked_for_again(items: Desk) -> None:
    """The next run asks for as many as the killed one did not get; what another read left is let go of."""
    items.make([made(number) for number in range(120)])
    asked: list[Any] = []

    def dying(at: int) -> Callable[..., Any]:
        whole = DynamoDB.scan_page

        def scan_page(self: DynamoDB, table: str, **more: Any) -> Any:
            asked.append(more["wanted"].get("ExclusiveStartKey"))
            if len(asked) == at:
                raise Death
            return whole(self, table, **more)

        return scan_page

    with replaced(DynamoDB, "scan_page", by=dying(0)):
        items.run(columns=DECLARED, segments=2)
    whole, items.home = len(asked), items.home / "other"
    items.home.mkdir()
    asked.clear()
    with replaced(DynamoDB, "scan_page", by=dying(whole - 1)), replaced(engine, "threads", by=inline), pytest.raises(Death):
        items.run(columns=DECLARED, segments=2)
    asked.clear()
    with replaced(DynamoDB, "scan_page", by=dying(0)):
        run = items.run(columns=DECLARED, segments=2)
    assert len(asked) == 2
    assert run.plan is not None
    assert run.plan.continues is not None
    assert "on this disk" in run.plan.reasons[0]
    asked.clear()
    with replaced(DynamoDB, "scan_page", by=dying(4)), replaced(engine, "threads", by=inline), pytest.raises(Death):
        items.run(columns=DECLARED)
    with replaced(source, "segments_of", by=lambda *_: 9):  # the table grew, by what DynamoDB says of its size
        run = items.run(columns=DECLARED)
    assert run.plan is not None
    assert run.plan.continues is not None
    assert len(items.rows("pk, sk")) == 120
    asked.clear()
    with replaced(DynamoDB, "scan_page", by=dying(4)), replaced(engine, "threads", by=inline), pytest.raises(Death):
        items.run(columns=DECLARED, segments=2)
    items.run(segments=2)
    assert "is not gone on with: it asked for something else" in items.told[-1]
    assert items.spools() == []
