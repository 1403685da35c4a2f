"""Laws of what a ledger keeps for the sake of others: what a push, a sync and a file really note is what is looked for."""

from __future__ import annotations

from pathlib import Path

from halocline.ledger.retention import Past
from halocline.push.destination import WritePlan
from halocline.push.note import Note
from halocline.push.order import Api, SyncMode, WriteOrder


def test_a_push_names_the_runs_that_it_goes_on_with_and_retries() -> None:
    """By the very words of its note."""
    plan = WritePlan(Api.BULK, (), 1, 0, 1, 1, "digest")
    order = WriteOrder("Account", SyncMode.UPSERT, "Ext__c")
    note = Note(order, "org", plan, Path("/folder"), 1, 1, continues="dead", retries="refused")
    past = Past.of("run", "flow", state="done", ended="2026", plan=note.to_json(), is_open=False)
    assert (set(past.names), past.is_repeats, past.is_open) == ({"dead", "refused"}, False, False)
