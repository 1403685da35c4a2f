"""The file and its in-memory twin give the same answers, whatever is asked in whatever order."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from halocline.connector import Lease
from halocline.errors import HaloclineError
from halocline.ledger import Ledger, MemoryLedger, Pruned, SqliteLedger
from halocline.outcome import Counts, Outcome, Rejection
from halocline.testing.ledgers import HERE, HandClock, ended_process

GONE = ended_process()
Deed = Callable[[Ledger], object]

run, flow, chunk, owner = (st.sampled_from(names) for names in (("r1", "r2"), ("F", "G"), ("c1", "c2"), ("a", "b")))
lease = st.builds(Lease, flow, owner, st.integers(1, 4))
outcome = st.builds(
    lambda chunk, rows: Outcome(chunk, rejections=tuple(Rejection("p", r, "C", "m") for r in rows), in_doubt=tuple(rows)),
    chunk,
    st.lists(st.integers(0, 5), max_size=2),
)


def deed(make: Callable[..., Deed], *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Deed]:
    return st.builds(make, *arguments)


deeds = st.one_of(
    deed(
        lambda f, r, p, le: lambda x: x.start(f, run=r, pid=p, host=HERE, lease=le),
        flow,
        run,
        st.sampled_from([GONE, os.getpid()]),
        st.none() | lease,
    ),
    deed(lambda r, s: lambda x: x.finish(r, state=s, counts=Counts(1), receipts=[r]), run, st.sampled_from(["done", "failed"])),
    deed(lambda r, le: lambda x: x.note(r, plan={"of": r}, lease=le), run, st.none() | lease),
    deed(lambda r: lambda x: x.acked(r), run),
    deed(lambda f: lambda x: x.abandon_dead(f), flow),
    deed(lambda _: lambda x: x.dead(), flow),
    deed(lambda r, c: lambda x: x.journal(r).intend(c, [c]), run, chunk),
    deed(lambda r, c: lambda x: x.journal(r).remote(c, "job"), run, chunk),
    deed(lambda r, o: lambda x: x.journal(r).settle(o.chunk, o), run, outcome),
    deed(lambda r, o: lambda x: x.record(r, o), run, outcome),
    deed(lambda f, o, t: lambda x: x.claim(f, o, ttl_s=t), flow, owner, st.sampled_from([1.0, 50.0])),
    deed(lambda le: lambda x: x.renew(le), lease),
    deed(lambda le: lambda x: x.release(le), lease),
    deed(lambda a, k: lambda x: told(x.prune(older_than_s=a, keep_failed=k)), st.sampled_from([1.0, 20.0]), st.booleans()),
)


def told(found: Pruned | None) -> object:
    assert found is not None
    return found.runs, found.rows, found.kept, found.left


def answer(ledger: Ledger, deed: Deed) -> object:
    try:
        return deed(ledger)
    except (HaloclineError, ValueError) as error:
        return type(error), str(error)


def view(ledger: Ledger) -> object:
    runs = [r.run for r in ledger.runs()]
    per_run = [(list(ledger.journal(r).open()), ledger.rejections(r), ledger.in_doubt(r)) for r in runs]
    return ledger.runs(), per_run, [ledger.unacked(f) for f in ("F", "G")]


@settings(max_examples=examples(60))
@given(st.lists(st.tuples(deeds, st.sampled_from([0.0, 7.0, 30.0])), max_size=30))
def test_both_ledgers_answer_alike(story: list[tuple[Deed, float]]) -> None:
    """Every deed gives the same answer or the same error, and leaves the same memory behind."""
    clock = HandClock()
    with tempfile.TemporaryDirectory() as folder, SqliteLedger(Path(folder) / "l.sqlite", clock=clock) as file:
        memory = MemoryLedger(clock=clock)
        for deed, pause in story:
            assert answer(file, deed) == answer(memory, deed)
            clock.advance(pause)
        assert view(file) == view(memory)
