"""The engine on Salesforce: an emulated org, a ledger in a file, and a process that dies at any of its deeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.connectors.salesforce.writable import writable
from tests.examples import stride
from tests.push.fake import Fuse, FusedLedger, Heard, Killed, ListRows

from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.destination import SalesforceDestination
from halocline.emulator.server import Emulator
from halocline.ledger import MemoryLedger, SqliteLedger
from halocline.mapping import FieldMapper
from halocline.outcome import Fate
from halocline.push.order import Api, SyncMode, WriteOrder
from halocline.push.push import Push, execute
from halocline.push.resume import resume
from halocline.push.run import PushRun

Org = tuple[Emulator, SalesforceClient]


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    with writable(tmp_path_factory.mktemp("org")) as (emulator, client):
        yield emulator, client


def names(org: Org, start: str) -> list[str]:
    found = org[0].query(f"SELECT Name FROM Account WHERE Name LIKE '{start} %'")
    return sorted(str(row["Name"]) for row in found)


@pytest.mark.parametrize("api", [Api.COLLECTIONS, Api.BULK])
@pytest.mark.parametrize("arrow", [False, True])
def test_rows_reach_the_org_and_each_is_accounted_for(org: Org, tmp_path: Path, api: Api, arrow: bool) -> None:
    """Mapped, upserted, refused where Salesforce refuses, with source records and numbers."""
    start = f"{api}{arrow}"
    rows: list[dict[str, Any]] = [{"key": f"{start}{n}", "name": f"{start} {n:03}", "born": "2020-01-01"} for n in range(60)]
    rows[7]["born"], rows[9]["key"] = "2026-13-45", None
    order = WriteOrder("Account", SyncMode.UPSERT, key="Ext__c", api=api)
    mapper = FieldMapper({"key": "Ext__c", "name": "Name", "born": "Founded__c"})
    source = ListRows(rows, batch=25, arrow=arrow)
    heard = Heard()
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        made = Push(order, source, SalesforceDestination(org[1]), "flow", mapper=mapper)
        run = execute(made, PushRun.new(), ledger=ledger, home=tmp_path, watch=heard)
        assert (run.written, run.created, run.refused + run.not_sent) == (58, 58, 2)
        assert len(names(org, start)) == 58
        assert set(heard.others) == {7, 9}
        assert heard.others[7].record == rows[7]
        assert {r.row: r.record for r in ledger.each_rejection(run.id)} == {7: rows[7], 9: rows[9]}
        assert ledger.get(run.id).counts.accounted == 60
        again = execute(made, PushRun.new(), ledger=ledger, home=tmp_path)
        assert (again.updated, again.created) == (58, 0)


WAYS = (
    (SyncMode.INSERT, Api.COLLECTIONS),
    (SyncMode.INSERT, Api.BULK),
    (SyncMode.UPSERT, Api.BULK),
    (SyncMode.UPSERT, Api.COLLECTIONS),
)
TAKEN_UP = ("pushed again", "resumed")


@pytest.mark.parametrize(  # in the short run each way is taken up in one of the two ways, and each mode and API in both
    ("mode", "api", "taken_up"),
    [
        pytest.param(*way, taken_up, marks=() if number % 2 == place else pytest.mark.long)
        for number, way in enumerate(WAYS)
        for place, taken_up in enumerate(TAKEN_UP)
    ],
)
def test_a_process_that_dies_at_any_deed_loses_and_doubles_nothing(
    org: Org, tmp_path: Path, mode: SyncMode, api: Api, taken_up: str
) -> None:
    """Every write of the ledger, before and after it: each record is in the org once; an insert by collections may doubt."""
    doubts = deeds = 0
    for at in range(1, 200, stride(3)):
        start = f"{mode}{api}{taken_up[0]}{at}"
        rows = [{"Ext__c": f"{start}{n}", "Name": f"{start} {n}"} for n in range(6)]
        order = WriteOrder("Account", mode, key="Ext__c", api=api, batch_size=2)
        home, ledger, fuse = tmp_path / str(at), MemoryLedger(), Fuse(at)
        dying: Any = FusedLedger(ledger, fuse)
        made = Push(order, ListRows(rows), SalesforceDestination(org[1]), "flow")
        try:
            execute(made, PushRun("first"), ledger=dying, home=home)
        except Killed:
            deeds = at
        else:
            break
        ledger.abandon_dead("flow")
        if ledger.abandon_dead("flow") != ["first"]:
            assert len(names(org, start)) in {0, 6}
            continue
        if taken_up == "resumed":
            run = resume("first", destination=SalesforceDestination(org[1]), ledger=ledger, home=home)
        else:
            run = execute(made, PushRun("second"), ledger=ledger, home=home)
            assert run.continues == "first"
        found = Counter(names(org, start))
        lost = {rows[row]["Name"] for _, row in ledger.in_doubt(run.id)}
        assert max(found.values(), default=1) == 1
        assert set(found) | lost == {row["Name"] for row in rows}
        assert run.accounted == 6
        assert ledger.abandon_dead("flow") == []
        doubts += run.in_doubt
    assert deeds > 12
    assert bool(doubts) is (mode is SyncMode.INSERT and api is Api.COLLECTIONS)


def test_a_run_that_is_resumed_has_no_records_but_keeps_the_rows(org: Org, tmp_path: Path) -> None:
    """The source is not asked: what is refused now is known by its number, and lies in the folder as it was sent."""
    rows = [{"Ext__c": f"gone{n}", "Name": f"gone {n}", "Founded__c": "2026-13-45" if n == 3 else None} for n in range(4)]
    order = WriteOrder("Account", SyncMode.UPSERT, key="Ext__c", batch_size=2, api=Api.COLLECTIONS)
    destination, ledger, probe = SalesforceDestination(org[1]), MemoryLedger(), Fuse()
    fused: Any = FusedLedger(MemoryLedger(), probe)
    execute(Push(order, ListRows(rows[:1]), destination, "flow"), PushRun("probe"), ledger=fused, home=tmp_path)
    dying: Any = FusedLedger(ledger, Fuse(probe.seen.index("after intend whole") + 1))
    with pytest.raises(Killed):
        execute(Push(order, ListRows(rows), destination, "flow"), PushRun("first"), ledger=dying, home=tmp_path)
    heard = Heard()
    run = resume("first", destination=destination, ledger=ledger, home=tmp_path, watch=heard)
    assert (heard.others[3].fate, heard.others[3].record) == (Fate.REFUSED, None)
    assert run.folder is not None
    (left,) = destination.left(run.folder / "load")
    kept = left.rows.to_pylist() if isinstance(left.rows, pa.RecordBatch) else list(left.rows)
    assert list(left.numbers) == [3]
    assert kept[0]["Ext__c"] == "gone3"
