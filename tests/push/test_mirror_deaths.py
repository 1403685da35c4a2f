"""Laws of a mirror whose deletes were cut off: rows that came back are there again, and nobody deletes them later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.push.fake import FakeDestination, Fuse, FusedLedger, Killed, ListRows
from tests.push.test_diff import DEATHS, INSERT, UPSERT, Flow, Row, accounts

from halocline.errors import FixConfig, NetworkFailed
from halocline.ledger import MemoryLedger
from halocline.ledger.ledger import utc_now
from halocline.push.destination import RowBatch
from halocline.push.diff.mirror import Mirror
from halocline.push.diff.sifting import learning
from halocline.push.order import SyncMode, WriteOrder
from halocline.push.push import Push, execute
from halocline.push.resume import resume
from halocline.push.run import PushRun

WHOLE = accounts("a", "b", "c", "d", "e")
FEW = WHOLE[:2]
DELETE = WriteOrder("Account", SyncMode.DELETE)


def cut_off(flow: Flow, rows: Sequence[Row], fuse: Fuse) -> bool:
    """Push and mirror; the deletes die at the deed that the fuse names. Whether they did."""
    with flow.sent() as sent:
        push, run = flow._push(rows, sent)
        push = replace(push, destination=FakeDestination(flow.org, fuse=fuse, asks=flow.asks))
        ledger: Any = FusedLedger(flow.ledger, fuse)
        try:
            Mirror(sent, 1.0, allow_empty=True).execute(push, run, ledger=ledger, home=flow.home)
        except Killed:
            return True
    return False


def names(flow: Flow) -> list[object]:
    return flow.org.names()


@pytest.mark.parametrize("order", [UPSERT, INSERT], ids=["upsert", "insert"])
@pytest.mark.parametrize("mirrors", [True, False], ids=["mirrored", "only pushed"])
@pytest.mark.parametrize("asks", [True, False], ids=["it can be asked", "nobody can be asked"])
def test_rows_that_came_back_are_there_again(tmp_path: Path, order: WriteOrder, *, mirrors: bool, asks: bool) -> None:
    """Killed at any deed of its deletes: the next push learns first what was deleted, with or without a mirror of its own."""
    deaths = 0
    for at in range(1, 400, DEATHS):
        flow = Flow(tmp_path / f"{at}", order=order, diff_key="Ext__c" if order is INSERT else None)
        flow.home.mkdir()
        flow.asks = asks
        flow.mirror(WHOLE)
        if not cut_off(flow, FEW, Fuse(at)):
            break
        deaths += 1
        for _ in range(2):
            _ = flow.mirror(WHOLE) if mirrors else flow.push(WHOLE)
        if order is INSERT and not asks and not mirrors:  # one in doubt may be there still, and be made again
            assert set(names(flow)) == set("abcde"), at
        else:
            assert names(flow) == [*"abcde"], at
        assert flow.push(WHOLE).unchanged == 5, at
    assert deaths > 20 // DEATHS


@pytest.mark.parametrize("set_back_h", [0, 1], ids=["clock right", "clock set back"])
def test_deletes_that_a_later_push_overtook_are_not_gone_on_with(tmp_path: Path, set_back_h: int) -> None:
    """A push of the flow that was not in diff mode does not settle them; the rows are in the source again."""
    flow, back = Flow(tmp_path), [timedelta()]
    flow.ledger = MemoryLedger(clock=lambda: utc_now() - back[0])
    flow.mirror(WHOLE)
    with flow.sent() as sent:
        push, run = flow._push(FEW, sent)
        destination = FakeDestination(flow.org)

        def fail(_chunk: object) -> None:
            raise NetworkFailed("Deleting", "the line is cut")

        destination.failing = fail
        with pytest.raises(NetworkFailed) as caught:
            Mirror(sent, 1.0).execute(replace(push, destination=destination), run, ledger=flow.ledger, home=flow.home)
    dead = str(caught.value.facts["run"])
    back[0] = timedelta(hours=set_back_h)
    plain = Push(flow.order, ListRows(WHOLE), FakeDestination(flow.org), "flow")
    execute(plain, PushRun.new(), ledger=flow.ledger, home=flow.home)
    with (
        learning(flow.home, flow="flow:mirror", org=flow.org.name, order=DELETE) as sieve,
        pytest.raises(FixConfig, match="a later run of flow"),
    ):
        resume(dead, destination=FakeDestination(flow.org), ledger=flow.ledger, home=flow.home, sieve=sieve)
    assert names(flow) == ["a", "b", "c", "d", "e"]


def test_an_insert_after_a_delete_in_doubt_says_what_may_be_there_twice(tmp_path: Path) -> None:
    """Nobody knows whether the record is gone when its row comes back: the push that makes it again tells."""
    flow = Flow(tmp_path, order=INSERT, diff_key="Ext__c")
    flow.mirror(WHOLE)
    with flow.sent() as sent:
        flow._push(FEW, sent)
        load = sent.store.begin("deletes")
        gone = sent.store.put_gone(sent.gone())
        sent.store.wait_to_go(load, range(gone))
        sent.store.doubt_gone(load, range(gone))
    with flow.sent() as sent:
        sent.begin("back")
        sent.sift(RowBatch(range(5), WHOLE))
        (told,) = sent.sifted()
    assert told.startswith("Inserted again: 3 rows in doubt since run deletes")
    flow.mirror(WHOLE)
    assert names(flow) == [*"abcde"]


def test_a_line_that_names_another_record_by_now_is_kept(tmp_path: Path) -> None:
    """An insert's row came back changed and made another record: that the first was deleted says nothing of it."""
    flow = Flow(tmp_path, order=INSERT, diff_key="Ext__c")
    flow.mirror(WHOLE)
    with flow.sent() as sent:
        flow._push(FEW, sent)
        load = sent.store.begin("deletes")
        count_gone = sent.store.put_gone(lines for lines in sent.gone())
        sent.store.wait_to_go(load, range(count_gone))
        sent.store.keep(load)
    changed = [*FEW, *({**row, "Name": f"{row['Name']}2"} for row in WHOLE[2:])]
    flow.push(changed)
    with flow.sent() as sent:
        sent.store.drop_gone(load, range(count_gone))
        assert sent.store.outliving == 0
    assert flow.push(changed).unchanged == 5


def test_an_empty_source_learns_of_the_dead_as_well(tmp_path: Path) -> None:
    """What a killed push wrote is deleted with the rest when nothing is left in the source."""
    deaths = 0
    for at in range(1, 400, DEATHS):
        flow = Flow(tmp_path / f"{at}")
        flow.home.mkdir()
        flow.mirror(FEW)
        fuse = Fuse(at)
        try:
            flow.push(WHOLE, ledger=FusedLedger(flow.ledger, fuse), fuse=fuse)
        except Killed:
            deaths += 1
        else:
            break
        flow.mirror([], max_delete_share=1.0, allow_empty=True)
        assert names(flow) == [], at
    assert deaths > 20 // DEATHS
