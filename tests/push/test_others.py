"""Laws of a flow in diff mode that is pushed from several homes with one ledger: nothing is kept back or made twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.push.fake import FakeDestination, Fuse, FusedLedger, Killed, ListRows, Org

from halocline.errors import FixConfig, LeaseHeld, NetworkFailed
from halocline.events import Event, Noticed
from halocline.ledger import MemoryLedger
from halocline.ledger.ledger import utc_now
from halocline.push.destination import RowBatch
from halocline.push.diff.mirror import Mirror, Mirrored
from halocline.push.diff.sent import SentRows
from halocline.push.diff.sifting import Sifting, learning
from halocline.push.order import SyncMode, WriteOrder
from halocline.push.push import Push, execute
from halocline.push.resume import discard, resume
from halocline.push.retry import retry
from halocline.push.run import PushRun
from halocline.push.sieve import Sieve

UPSERT = WriteOrder("Account", SyncMode.UPSERT, key="Ext__c", batch_size=2)
INSERT = WriteOrder("Account", SyncMode.INSERT, batch_size=2)
Row = dict[str, Any]


def accounts(*names: str) -> list[Row]:
    """A row for each name, under the keys k0, k1 and so on."""
    return [{"Ext__c": f"k{at}", "Name": name} for at, name in enumerate(names)]


class Hosts:
    """Hosts with a home each, one ledger and one org; every call is a run of the flow on the host that it names."""

    def __init__(self, folder: Path, *, order: WriteOrder = UPSERT) -> None:
        self.folder, self.order = folder, order
        self.org, self.ledger = Org(), MemoryLedger()
        self.told: list[str] = []

    def sent(self, host: str, *, mirror: bool = False, looking: bool = False) -> SentRows:
        home, key = self.folder / host, "Ext__c" if self.order is INSERT else None
        home.mkdir(exist_ok=True)
        return SentRows(home, flow="flow", org=self.org.name, order=self.order, diff_key=key, mirror=mirror, looking=looking)

    def push(self, host: str, rows: Sequence[Row], *, sieve: Sieve | None = None, mirror: bool = False) -> PushRun:
        with self.sent(host, mirror=mirror) as sent:
            return self._push(host, rows, sieve or sent)[1]

    def plain(self, host: str, rows: Sequence[Row]) -> PushRun:
        """Without diff mode."""
        return self._push(host, rows, None)[1]

    def mirror(self, host: str, rows: Sequence[Row]) -> Mirrored:
        with self.sent(host, mirror=True) as sent:
            push, run = self._push(host, rows, sent)
            guard = Mirror(sent, 1.0, allow_empty=True)
            return guard.execute(push, run, ledger=self.ledger, home=self.folder / host)

    def _push(self, host: str, rows: Sequence[Row], sieve: Sieve | None) -> tuple[Push, PushRun]:
        push = Push(self.order, ListRows(rows), FakeDestination(self.org), "flow", sieve=sieve)
        run = PushRun.new()
        execute(push, run, ledger=self.ledger, home=self.folder / host, sink=self._hear)
        return push, run

    def killed(self, host: str, rows: Sequence[Row], fuse: Fuse) -> bool:
        """A push that dies at the deed that the fuse names; whether it did."""
        ledger: Any = FusedLedger(self.ledger, fuse)
        with self.sent(host) as sent:
            push = Push(self.order, ListRows(rows), FakeDestination(self.org, fuse=fuse), "flow", sieve=sent)
            try:
                execute(push, PushRun.new(), ledger=ledger, home=self.folder / host)
            except Killed:
                return True
        return False

    def _hear(self, event: Event) -> None:
        if isinstance(event, Noticed):
            self.told.append(event.message)

    def names(self) -> list[Any]:
        return self.org.names()


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return Hosts(tmp_path)


def test_what_another_host_wrote_is_not_taken_for_ones_own(hosts: Hosts) -> None:
    """A value that came back to what this host last wrote is sent, and a notice says why all rows are."""
    hosts.push("one", accounts("a", "b"))
    other = hosts.push("two", accounts("a", "changed"))
    assert hosts.push("one", accounts("a", "b")).written == 2
    assert hosts.names() == ["a", "b"]
    (told,) = hosts.told
    assert other.id in told
    assert "all rows are sent again" in told
    assert hosts.push("one", accounts("a", "b")).unchanged == 2, "and from then on only what changed"


def test_what_another_host_wrote_is_seen_after_the_clock_was_set_back(hosts: Hosts) -> None:
    """The order in which the ledger tells of runs decides, and not what the clock said when each began."""
    back = [timedelta()]
    hosts.ledger = MemoryLedger(clock=lambda: utc_now() - back[0])
    hosts.push("one", accounts("a", "b"))
    back[0] = timedelta(hours=1)
    hosts.push("two", accounts("a", "changed"))
    assert hosts.push("one", accounts("a", "b")).written == 2
    assert hosts.names() == ["a", "b"]


def test_a_run_that_sent_nothing_is_passed_over(hosts: Hosts) -> None:
    """A push that was refused before it sent anything changes nothing for the others."""
    _at_work(hosts, "one", accounts("a", "b"), during=lambda: hosts.push("two", accounts("c", "d")))
    assert hosts.push("one", accounts("a", "b")).unchanged == 2
    assert hosts.told == []


@pytest.mark.parametrize("host", ["one", "two"])
def test_an_insert_with_another_memory_is_refused(tmp_path: Path, host: str) -> None:
    """It would make every record once more: nothing is sent, however often it is tried, and the first goes on."""
    hosts = Hosts(tmp_path, order=INSERT)
    hosts.push("one", accounts("a", "b"))
    if host == "one":
        with pytest.raises(FixConfig, match="another HALOCLINE_HOME"):
            hosts.push("two", accounts("a", "b"))
        assert hosts.push("one", accounts("a", "b", "c")).written == 1
    else:
        for _ in range(2):
            with pytest.raises(FixConfig) as refused:
                hosts.push("two", accounts("a", "b"))
            assert "make its records twice" in refused.value.hint
    assert hosts.names() == ["a", "b", "c"][: 3 if host == "one" else 2]


def test_a_mirror_with_another_memory_is_refused(hosts: Hosts) -> None:
    """It would not know which records are gone."""
    hosts.mirror("one", accounts("a", "b", "c"))
    with pytest.raises(FixConfig) as refused:
        hosts.mirror("two", accounts("a", "b"))
    assert "leave behind" in refused.value.hint
    assert hosts.names() == ["a", "b", "c"]
    hosts.mirror("one", accounts("a", "b"))
    assert hosts.names() == ["a", "b"]


def test_an_empty_source_is_no_way_around_it(hosts: Hosts) -> None:
    """Also a mirror that sends no row looks first; and what it deletes elsewhere is sent again when it comes back."""
    hosts.push("one", accounts("a", "b"))
    with pytest.raises(FixConfig):
        hosts.mirror("two", [])
    hosts.mirror("one", [])
    assert hosts.names() == []
    hosts.push("two", accounts("a"))
    hosts.push("one", accounts("a", "b"))
    assert hosts.names() == ["a", "b"]


def test_rows_that_a_mirror_deleted_elsewhere_come_back(hosts: Hosts) -> None:
    """Of an empty source there is no push, only the deletes: they count as well."""
    hosts.push("one", accounts("a", "b"))
    hosts.push("two", accounts("a", "b"))
    with hosts.sent("two") as sent:  # as where all was deleted at a time when nobody looked for others
        push = Push(UPSERT, ListRows([]), FakeDestination(hosts.org), "flow", sieve=sent)
        run = PushRun.new()
        execute(push, run, ledger=hosts.ledger, home=hosts.folder / "two")
        Mirror(sent, 1.0, allow_empty=True).execute(push, run, ledger=hosts.ledger, home=hosts.folder / "two")
    assert hosts.names() == []
    assert hosts.push("one", accounts("a", "b")).written == 2


def test_a_push_without_diff_mode_is_noticed(hosts: Hosts) -> None:
    """What it wrote is not remembered, so the next one in diff mode sends all rows."""
    hosts.push("one", accounts("a", "b"))
    hosts.plain("one", accounts("a", "changed"))
    assert hosts.push("one", accounts("a", "b")).written == 2
    assert hosts.names() == ["a", "b"]
    assert "without diff mode" in hosts.told[0]


def test_an_insert_goes_on_after_one_without_diff_mode(tmp_path: Path) -> None:
    """A flow that begins to use diff mode, or leaves it out once, is not held up."""
    hosts = Hosts(tmp_path, order=INSERT)
    hosts.plain("one", accounts("a"))
    hosts.push("one", accounts("b", "c"))
    hosts.plain("one", accounts("d"))
    assert hosts.push("one", accounts("b", "c")).unchanged == 2


def test_an_insert_of_diff_mode_that_died_is_not_ended_without_it(tmp_path: Path) -> None:
    """Its memory would not learn of the rows, and insert them again: refused until somebody ends it, or pushes in diff mode."""
    hosts = Hosts(tmp_path, order=INSERT)
    destination = FakeDestination(hosts.org)

    def cut(_chunk: str) -> None:
        raise NetworkFailed("Sending", "the line is cut")

    destination.failing = cut
    with hosts.sent("one") as sent:
        push = Push(INSERT, ListRows(accounts("a", "b")), destination, "flow", sieve=sent)
        with pytest.raises(NetworkFailed):
            execute(push, PushRun.new(), ledger=hosts.ledger, home=hosts.folder / "one")
    with pytest.raises(FixConfig, match="an insert in diff mode, was interrupted"):
        hosts.plain("one", accounts("a", "b"))
    hosts.push("one", accounts("a", "b"))
    assert hosts.push("one", accounts("a", "b")).unchanged == 2
    assert hosts.names() == ["a", "b"]


def test_another_object_is_another_matter(hosts: Hosts) -> None:
    """Runs of the flow into other objects say nothing of this one."""
    hosts.push("one", accounts("a", "b"))
    hosts.order = WriteOrder("Contact", SyncMode.UPSERT, key="Ext__c", batch_size=2)
    hosts.push("two", accounts("a", "b"))
    hosts.order = UPSERT
    assert hosts.push("one", accounts("a", "b")).unchanged == 2
    assert hosts.told == []


def test_only_one_host_is_at_work(hosts: Hosts) -> None:
    """Whoever comes later is refused while the first sends, whatever its rows are."""
    refused = _at_work(hosts, "one", accounts("a", "b"), during=lambda: hosts.push("two", accounts("c", "d")))
    assert refused.exit_code == 75
    assert hosts.names() == ["a", "b"]


def test_a_push_that_came_between_look_and_sending_is_noticed(hosts: Hosts) -> None:
    """One that sent all its rows while the others were sifted: nothing of these is sent."""
    with hosts.sent("one") as sent:
        sift = sent.sift

        def late(batch: Any) -> Any:
            hosts.push("two", accounts("c", "d"))
            return sift(batch)

        sent.sift = late  # type: ignore[method-assign]
        with pytest.raises(LeaseHeld, match="since this one looked"):
            hosts._push("one", accounts("a", "b"), sent)
    assert hosts.names() == ["c", "d"]
    assert hosts.push("two", accounts("c", "d")).unchanged == 2


@pytest.mark.parametrize("way", ["forgotten", "of before"])
def test_a_memory_that_noted_no_runs_is_believed(tmp_path: Path, way: str) -> None:
    """One that was cleared on purpose, and one that an earlier version made."""
    hosts = Hosts(tmp_path, order=INSERT)
    hosts.push("one", accounts("a"))
    with hosts.sent("two") as sent:
        if way == "forgotten":
            sent.forget()
        else:
            sent.store._db.execute("DELETE FROM facts WHERE name = 'notes_runs'")
    assert hosts.push("two", accounts("b")).written == 1
    with pytest.raises(FixConfig):
        hosts.push("one", accounts("a"))


@pytest.mark.parametrize("order", [UPSERT, INSERT], ids=["upsert", "insert"])
def test_what_a_killed_push_wrote_is_learnt_in_its_own_home(tmp_path: Path, order: WriteOrder) -> None:
    """A host that sees its folder, but has another memory, does not end it in its stead: no row is made twice or kept back."""
    rows = accounts("a", "b", "c", "d", "e")
    changed = rows if order is INSERT else accounts("f", "g", "h", "i", "j")
    deaths = 0
    for at in range(30, 400):  # before that nothing is sent
        hosts = Hosts(tmp_path / f"{at}", order=order)
        hosts.folder.mkdir()
        if order is UPSERT:
            hosts.push("one", rows)
        if not hosts.killed("one", changed, Fuse(at)):
            break
        deaths += 1
        with hosts.sent("two") as sent:
            push = Push(order, _Broken(rows), FakeDestination(hosts.org), "flow", sieve=sent)
            with pytest.raises(FixConfig if hosts.org.records and order is INSERT else (FixConfig, ValueError)):
                execute(push, PushRun.new(), ledger=hosts.ledger, home=hosts.folder / "two")
        hosts.push("one", rows)
        assert hosts.names() == ["a", "b", "c", "d", "e"], at
    assert deaths > 20


class _Broken(ListRows):
    """Rows of a source that fails when it is read."""

    def batches(self) -> Iterator[RowBatch]:
        raise ValueError("the source is broken")


@pytest.mark.parametrize("way", ["resume", "discard", "retry"])
def test_a_run_of_another_home_is_not_gone_on_with(tmp_path: Path, way: str) -> None:
    """Its memory would not learn of it, and the next push there would make the rows twice."""
    hosts, rows = Hosts(tmp_path, order=INSERT), accounts("a", "b", "c", "d", "e")
    if way == "retry":
        hosts.push("one", [*rows[:4], {**rows[4], "Name": "bad"}])
    else:
        at = next(at for at in range(1, 400) if hosts.killed("one", rows, Fuse(at)) and hosts.org.records)
        assert at > 1
    run, two = hosts.ledger.runs()[0].run, hosts.folder / "two"
    given: dict[str, Any] = {"destination": _Left(hosts.org), "ledger": hosts.ledger, "home": two}
    two.mkdir()
    with ExitStack() as held:
        if way != "retry":
            given["sieve"] = held.enter_context(learning(two, flow="flow", org=hosts.org.name, order=INSERT))
        with pytest.raises(FixConfig, match="sifted with another HALOCLINE_HOME") as refused:
            {"resume": resume, "discard": discard, "retry": retry}[way](run, **given)
    assert str(hosts.folder / "one") in refused.value.hint
    hosts.push("one", rows)
    assert hosts.names() == ["a", "b", "c", "d", "e"]


class _Left(FakeDestination):
    """A destination that says which rows are left."""

    def left(self, folder: Path, *, in_doubt: bool = False) -> Iterator[RowBatch]:
        yield RowBatch([4], [{"Ext__c": "k4", "Name": "e"}])


def test_a_mirror_does_not_begin_once_a_push_passed_by_another_memory(hosts: Hosts) -> None:
    """All rows were sent again then, but what the other home had written before is known there only."""
    hosts.push("one", accounts("a", "b", "c"))
    hosts.push("two", accounts("a", "b"))
    with pytest.raises(FixConfig, match="another HALOCLINE_HOME"):
        hosts.mirror("two", accounts("a", "b"))
    assert hosts.push("two", accounts("a", "b")).unchanged == 2
    with hosts.sent("two") as sent:
        sent.forget()
    assert hosts.mirror("two", accounts("a", "b")).gone == 0, "who forgets on purpose has been told"


def test_nobody_pushes_while_a_mirror_elsewhere_deletes(hosts: Hosts) -> None:
    """A row that came back would be written, and its record deleted after that."""
    hosts.mirror("two", accounts("a", "b", "c"))
    refused: list[LeaseHeld] = []

    def delete(_chunk: str) -> None:
        with pytest.raises(LeaseHeld, match="is at work") as caught:
            hosts.push("one", accounts("a", "b", "c"))
        refused.append(caught.value)

    _mirror(hosts, "two", accounts("a", "b"), failing=delete)
    assert refused
    hosts.push("one", accounts("a", "b", "c"))
    assert hosts.push("one", accounts("a", "b", "c")).unchanged == 3
    assert hosts.names() == ["a", "b", "c"]


@pytest.mark.parametrize("rows", [accounts("a", "b"), []], ids=["some rows", "no row"])
def test_a_mirror_deletes_nothing_that_another_pushed_since(hosts: Hosts, rows: list[Row]) -> None:
    """It looked before; what it takes for gone may have come back."""
    hosts.mirror("two", accounts("a", "b", "c"))
    with pytest.raises(LeaseHeld, match="since this one looked"):
        _mirror(hosts, "two", rows, before=lambda: hosts.push("one", accounts("a", "b", "c")))
    assert hosts.names() == ["a", "b", "c"]


def test_rows_retried_elsewhere_on_purpose_do_not_teach_a_memory(tmp_path: Path) -> None:
    """It knows no more of the run that they are of than before: an insert there is refused as ever, and so is a second retry."""
    hosts, rows = Hosts(tmp_path, order=INSERT), accounts("a", "b", "c", "d", "e")
    hosts.push("one", [*rows[:4], {**rows[4], "Name": "bad"}])
    two = hosts.folder / "two"
    two.mkdir()
    run = hosts.ledger.runs()[0].run
    retry(run, destination=_Left(hosts.org), ledger=hosts.ledger, home=two, anyway=True)
    assert hosts.names() == ["a", "b", "c", "d", "e"]
    with pytest.raises(FixConfig, match="another HALOCLINE_HOME"):
        hosts.push("two", rows)
    with learning(two, flow="flow", org=hosts.org.name, order=INSERT) as sieve:
        assert not sieve.knows(run)
    assert hosts.names() == ["a", "b", "c", "d", "e"]


def test_a_push_elsewhere_that_sent_nothing_holds_up_no_mirror(hosts: Hosts) -> None:
    """Two that met, and ended before they sent anything: the memory has missed nothing."""
    hosts.mirror("one", accounts("a", "b", "c"))
    ledger: Any = _Meeting(hosts)
    with hosts.sent("two") as sent:
        push = Push(UPSERT, ListRows(accounts("a", "x")), FakeDestination(hosts.org), "flow", sieve=sent)
        with pytest.raises(LeaseHeld):
            execute(push, PushRun.new(), ledger=ledger, home=hosts.folder / "two")
    assert ledger.met
    assert hosts.mirror("one", accounts("a", "b")).gone == 1
    assert hosts.names() == ["a", "b"]


class _Meeting:
    """A ledger in which, once a push has noted its work, home one begins to push; then the first finds itself refused as well."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts, self.met = hosts, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hosts.ledger, name)

    def running(self, flow: str | None = None) -> Any:
        if not self.met and any(record.plan for record in self._hosts.ledger.runs(flow)[:1] if record.state == "running"):
            self.met = True
            with pytest.raises(LeaseHeld, match="is at work"):
                self._hosts.push("one", accounts("a", "b", "c"))
            raise LeaseHeld("Looking", "the other is at work")
        return self._hosts.ledger.running(flow)


def _mirror(hosts: Hosts, host: str, rows: Sequence[Row], *, failing: Any = None, before: Any = None) -> None:
    """Push, do what comes `before` the deletes, and delete."""
    with hosts.sent(host, mirror=True) as sent:
        push, run = hosts._push(host, rows, sent)
        destination = FakeDestination(hosts.org)
        if failing is not None:
            destination.failing = failing
        if before is not None:
            before()
        push = replace(push, destination=destination)
        Mirror(sent, 1.0, allow_empty=True).execute(push, run, ledger=hosts.ledger, home=hosts.folder / host)


def test_who_only_looks_is_told_the_same(hosts: Hosts) -> None:
    """A look ahead counts all rows where the push would send them, and ends as the push would."""
    hosts.push("one", accounts("a", "b"))
    hosts.push("two", accounts("a", "b"))
    for mirror in (False, True):
        with hosts.sent("one", mirror=mirror, looking=True) as sent:
            push = Push(UPSERT, ListRows(accounts("a", "b")), FakeDestination(hosts.org), "flow", sieve=sent)
            if mirror:
                with pytest.raises(FixConfig):
                    Sifting(diff=True, mirror=True).pending(push, ledger=hosts.ledger, home=hosts.folder / "one")
            else:
                Sifting(diff=True).pending(push, ledger=hosts.ledger, home=hosts.folder / "one")
                assert sent.catch_up(hosts.ledger, "")
    assert hosts.push("two", accounts("a", "b")).unchanged == 2, "who looked changed nothing"


def _at_work(hosts: Hosts, host: str, rows: Sequence[Row], *, during: Any) -> LeaseHeld:
    """What refuses `during`, which is called when `host` has begun to send."""
    refusals: list[LeaseHeld] = []
    destination = FakeDestination(hosts.org)

    def at_first(_chunk: Any) -> None:
        if not refusals:
            with pytest.raises(LeaseHeld) as refused:
                during()
            refusals.append(refused.value)

    destination.failing = at_first
    with hosts.sent(host) as sent:
        push = Push(hosts.order, ListRows(rows), destination, "flow", sieve=sent)
        execute(push, PushRun.new(), ledger=hosts.ledger, home=hosts.folder / host)
    return refusals[0]
