"""Laws of a flight: what it wants done, report by report, and what it never does."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
from tests.figures import SAYS, Says

from halocline.consume.flight.backoff import Backoff
from halocline.consume.flight.flight import Flight, Limits
from halocline.consume.flight.orders import (
    Arrival,
    Buried,
    Bury,
    Delete,
    Deleted,
    Extend,
    Extended,
    Failed,
    Finished,
    Order,
    Poll,
    Polled,
    PollFailed,
    Rebuild,
    Renew,
    Renewed,
    Report,
    Said,
    Say,
    SayFailed,
    Start,
    Take,
    TakeFailed,
    Taken,
    TellLost,
    Then,
    Ticket,
    Word,
)
from halocline.errors import FixConfig, NotFound, RetryLater
from halocline.idempotency import Claim, State
from halocline.queues import Delivery, Reply

DOWN = RetryLater("Claiming", "nothing answers")
PLAIN = Backoff(first_s=10.0, jitter=0.0)
One = TypeVar("One", bound=Order)


def arrival(number: int, *, receives: int = 1, key: str = "", group: str = "", error: Exception | None = None) -> Arrival:
    """A message as it was handed out for the so-manieth time."""
    delivery = Delivery(f"h{number}.{receives}", "body", f"m{number}", receives, group=group or None)
    return Arrival(delivery, key or f"m{number}", group=group, error=error)


@dataclass
class Desk:
    """A flight, and what it wants done; time stands still unless it is moved."""

    flight: Flight
    now: float = 0.0
    open: list[Order] = field(default_factory=list)

    def tell(self, *reports: Report) -> None:
        """Report, and see what is to be done."""
        for report in reports:
            self.flight.told(report, self.now)
        self.look()

    def look(self, after_s: float = 0.0) -> None:
        """See what is to be done after a while."""
        self.now += after_s
        self.open += self.flight.orders(self.now)

    def take(self, kind: type[One]) -> One:
        """The only open order of a kind, no longer open."""
        (found,) = self.all(kind)
        return found

    def all(self, kind: type[One]) -> list[One]:
        """All open orders of a kind, no longer open."""
        found = [one for one in self.open if isinstance(one, kind)]
        self.open = [one for one in self.open if not isinstance(one, kind)]
        return found

    def receive(self, *arrivals: Arrival) -> None:
        """A poll brings messages."""
        self.look()
        poll, *others = self.all(Poll)
        self.open += others
        self.tell(Polled(poll.number, arrivals))

    def claim(self, state: State = State.OURS, *, deaths: int = 0, left_s: float = 30.0) -> None:
        """The store answers all claims that are asked for."""
        for order in self.all(Take):
            fence = 7 if state is State.OURS else 0
            self.tell(Taken(order.tickets, [Claim(one.arrival.key, state, fence, left_s, deaths) for one in order.tickets]))

    def heard(self, *, counts: bool = True) -> list[Word]:
        """The store hears all words."""
        words = []
        while orders := self.all(Say):
            for order in orders:
                words += [one.word for one in order.sayings]
                self.tell(Said(order.sayings, [counts] * len(order.sayings)))
            self.look(0.003)
        return words


def desk(**limits: object) -> Desk:
    """A flight that has just begun."""
    return Desk(Flight(Limits(**{"retries": PLAIN, **limits})))  # type: ignore[arg-type]  # any of its fields


def started(desk: Desk, *arrivals: Arrival, deaths: int = 0) -> list[Start]:
    """Handlers of messages that came in and were claimed."""
    desk.receive(*arrivals)
    desk.claim(deaths=deaths)
    return desk.all(Start)


def handles(orders: Iterable[Delete | Extend]) -> list[str]:
    """The handles that orders name."""
    return [one for order in orders for one in order.handles]


def refused(order: Delete | Extend, code: str = "InternalError") -> list[Reply]:
    """What a queue says that takes none of it."""
    return [Reply(code=code, error="no")] * len(order.handles)


# ---- the way of a message


def test_a_message_is_claimed_run_said_done_and_deleted() -> None:
    """Each step begins when the one before it is answered, and nothing is left in the end."""
    work = desk()
    (start,) = started(work, arrival(1))
    assert start.claim is not None
    assert start.claim.fence == 7
    work.tell(Finished(start.ticket, "hash"))
    say = work.take(Say)
    assert [(one.word, one.fence, one.told) for one in say.sayings] == [(Word.DONE, 7, "hash")]
    assert work.all(Delete) == []
    work.tell(Said(say.sayings, [True]))
    delete = work.take(Delete)
    work.tell(Deleted(delete, [Reply()]))
    counts = work.flight.counts
    assert (counts.received, counts.done, counts.deleted, work.flight.in_flight) == (1, 1, 1, 0)


def test_what_was_done_before_is_deleted_and_not_run() -> None:
    """A message that comes again after it was done leaves the queue at once."""
    work = desk()
    work.receive(arrival(1))
    work.claim(State.DONE)
    assert handles(work.all(Delete)) == ["h1.1"]
    assert work.all(Start) == []
    assert work.flight.counts.redelivered_done == 1


def test_what_was_set_aside_before_is_set_aside_again_and_never_deleted_unseen() -> None:
    """Its letter may be gone, or be the message itself, which was moved back: the queue holds it until it is kept elsewhere."""
    work = desk()
    work.receive(arrival(1))
    work.claim(State.QUARANTINED)
    bury = work.take(Bury)
    assert "set aside before" in bury.reason
    assert (work.all(Start), work.all(Delete)) == ([], [])
    work.tell(Buried(bury.ticket))
    assert (handles(work.all(Delete)), work.heard()) == (["h1.1"], [])
    assert (work.flight.counts.set_aside_again, work.flight.counts.buried) == (1, 1)


def test_what_another_works_on_is_hidden_until_its_lease_ends() -> None:
    """It is not waited for here: whoever is free then gets it."""
    work = desk()
    work.receive(arrival(1))
    work.claim(State.HELD, left_s=11.2)
    extend = work.take(Extend)
    assert (extend.handles, extend.seconds) == (("h1.1",), 12)
    work.tell(Extended(extend, [Reply()]))
    assert work.flight.in_flight == 0


def test_a_key_that_stands_for_something_else_is_set_aside() -> None:
    """Neither run nor dropped: somebody has to look at it."""
    work = desk()
    work.receive(arrival(1))
    work.claim(State.MISMATCH)
    bury = work.take(Bury)
    assert "another message" in bury.reason
    work.tell(Buried(bury.ticket))
    assert handles(work.all(Delete)) == ["h1.1"]


def test_messages_of_one_key_are_claimed_one_after_the_other() -> None:
    """A worker never asks for a key whose work it has under way."""
    work = desk()
    (start,) = started(work, arrival(1, key="k"), arrival(2, key="k"))
    assert work.all(Take) == []
    work.tell(Finished(start.ticket))
    assert work.heard() == [Word.DONE]
    assert [one.arrival.delivery.id for one in work.take(Take).tickets] == ["m2"]


def test_a_failure_is_said_and_the_message_hidden_by_how_often_it_came() -> None:
    """The wait doubles with each receive."""
    for receives, seconds in ((1, 10), (2, 20), (4, 80), (9, 900)):
        work = desk()
        (start,) = started(work, arrival(1, receives=receives))
        work.tell(Failed(start.ticket, ValueError("no")))
        assert work.heard() == [Word.FAILED]
        assert work.take(Extend).seconds == seconds


@pytest.mark.parametrize(
    ("then", "word", "left"),
    [(Then.IGNORE, Word.DONE, Delete), (Then.LEAVE, Word.RELEASE, None), (Then.RETRY, Word.FAILED, Extend)],
)
def test_a_handler_that_is_missing_is_a_matter_of_policy(then: Then, word: Word, left: type[Order] | None) -> None:
    """Ignored is deleted, left is neither deleted nor hidden anew, retried is hidden."""
    work = desk()
    (start,) = started(work, arrival(1))
    work.tell(Failed(start.ticket, KeyError("event"), then))
    assert work.heard() == [word]
    assert [type(one) for one in work.open if isinstance(one, Delete | Extend)] == ([] if left is None else [left])
    assert work.flight.counts.done == 0


def test_what_is_left_is_left_though_it_was_given_back_before() -> None:
    """A message that had to wait until it could run alone, and is left then, is not hidden for as long as it had to wait."""
    work = desk()
    assert started(work, arrival(1), deaths=2) == []
    assert work.heard() == [Word.RELEASE]
    work.claim(deaths=2)
    work.tell(Failed(work.take(Start).ticket, KeyError("event"), Then.LEAVE))
    assert work.heard() == [Word.RELEASE]
    assert work.all(Extend) == []
    assert work.flight.in_flight == 0


class Untold(Exception):
    """An error that cannot be told."""

    def __str__(self) -> str:
        raise TypeError("code is a number")

    @property
    def event(self) -> str:
        raise TypeError("there is none")


def test_an_error_that_cannot_be_told_is_an_error_like_others() -> None:
    """Of a handler, of a message that cannot be read, of the place for dead letters."""
    work = desk(poison_after=1, most_receives=1)
    (start,) = started(work, arrival(1))
    work.tell(Failed(start.ticket, Untold()))
    bury = work.take(Bury)
    assert bury.reason.startswith("Untold")
    work.tell(Buried(bury.ticket, Untold()))
    assert work.heard() == [Word.FAILED]
    work.receive(arrival(2, error=Untold()))
    assert work.take(Bury).reason.startswith("it could not be read")


def test_half_a_character_in_an_error_can_be_stored() -> None:
    """A name of a file that is no text is in errors of the system; a store that refuses it would be asked again for ever."""
    assert Failed(Ticket(1, arrival(1)), OSError("no file \ud800")).told == "OSError: no file ?"


def test_what_an_error_says_of_the_message_is_told_to_nobody() -> None:
    """The body is in neither the reason for a dead letter nor the word to the store."""
    for limits, then in (({"most_receives": 1}, Then.RETRY), ({}, Then.RETRY), ({}, Then.LEAVE)):
        work = desk(**limits)
        (start,) = started(work, replace(arrival(1), delivery=Delivery("h", '{"name": "Jane Roe"}', "m1")))
        work.tell(Failed(start.ticket, ValueError('no patient Jane Roe in {"name": "Jane Roe"}'), then))
        told = [one.reason for one in work.all(Bury)] + [say.told for one in work.all(Say) for say in one.sayings]
        assert len(told) == 1
        assert "ValueError" in told[0]
        assert "Jane" not in told[0]


def test_a_message_that_failed_too_often_is_set_aside() -> None:
    """First it is where set-aside ones are kept, then it is said so, then it is deleted."""
    work = desk(most_receives=3)
    (start,) = started(work, arrival(1, receives=3))
    work.tell(Failed(start.ticket, ValueError("no")))
    bury = work.take(Bury)
    assert "ValueError: no" in bury.reason
    assert work.all(Say) == []
    work.tell(Buried(bury.ticket))
    assert work.heard() == [Word.QUARANTINE]
    assert handles(work.all(Delete)) == ["h1.3"]


def test_what_cannot_be_set_aside_comes_again() -> None:
    """It is never deleted for that, and deaths are not forgotten by a word that no handler said."""
    work = desk()
    started(work, arrival(1), deaths=3)
    work.tell(Buried(work.take(Bury).ticket, DOWN))
    assert work.heard() == [Word.RELEASE]
    assert work.all(Delete) == []
    assert work.take(Extend).seconds == 10
    assert work.flight.counts.bury_failures == 1


def test_a_message_that_cannot_be_read_is_set_aside_after_some_tries() -> None:
    """Twice it comes again, the third time it is set aside; it is never claimed."""
    for receives, kind in ((1, Extend), (2, Extend), (3, Bury)):
        work = desk(poison_after=3)
        work.receive(arrival(1, receives=receives, error=ValueError("no JSON")))
        assert [type(one) for one in work.open if isinstance(one, Extend | Bury | Take)] == [kind]


# ---- zombies: what Powertools does in such cases is told in docs/reliability.md


def test_a_word_that_is_refused_leaves_the_message_to_whoever_has_it() -> None:
    """A worker that stood still past its lease neither deletes nor hides the message, whether it then succeeds or fails."""
    for report in (Finished, lambda ticket: Failed(ticket, ValueError("no"))):
        work = desk()
        (start,) = started(work, arrival(1))
        work.tell(report(start.ticket))
        work.heard(counts=False)
        assert [one for one in work.open if isinstance(one, Delete | Extend)] == []
        assert (work.flight.counts.stale, work.flight.counts.done, work.flight.in_flight) == (1, 0, 0)


def test_a_handler_is_told_when_somebody_else_has_claimed_its_message() -> None:
    """At the next beat, once, and what is behind it in its group goes back."""
    work = desk(fifo=True)
    (start,) = started(work, arrival(1, group="g"), arrival(2, group="g"))
    work.look(15.0)
    renew = work.take(Renew)
    work.all(Extend)
    work.tell(Renewed(renew.claims, [False]))
    assert work.take(TellLost).ticket is start.ticket
    work.look(0.1)
    assert [(one.handles, one.seconds) for one in work.all(Extend)] == [] or work.flight.counts.handed_back == 1
    assert (work.flight.counts.lost_leases, work.flight.counts.handed_back) == (1, 1)


def test_a_handler_is_told_when_its_lease_ends_unrenewed() -> None:
    """Not before it ends: a store that does not answer for a while costs nothing."""
    work = desk()
    started(work, arrival(1))
    while work.now < 29.0:
        work.look(1.0)
        for renew in work.all(Renew):
            work.tell(Renewed(renew.claims, [None]))
    assert work.all(TellLost) == []
    work.look(1.5)
    assert "ended" in work.take(TellLost).reason


def test_what_was_not_begun_when_its_lease_ended_is_claimed_anew() -> None:
    """After a long pause nothing is begun on the word of an old claim."""
    work = desk(workers=1)
    (first,) = started(work, arrival(1))
    work.tell(Finished(first.ticket))  # handlers are quick: messages are claimed ahead
    work.heard()
    work.receive(arrival(2), arrival(3))
    work.claim()
    (second,) = work.all(Start)
    work.now += 100.0
    work.tell(Finished(second.ticket))
    assert work.all(Start) == []
    assert [one.arrival.key for one in work.take(Take).tickets] == ["m3"]


@pytest.mark.parametrize("word", ["set_aside", "quarantine"])
def test_a_run_after_a_death_is_counted_in_doubt(word: Any) -> None:
    """The effect of the one who died may have come about: it is run, and counted; or set aside where that was asked for."""
    work = desk()
    (start,) = started(work, arrival(1), deaths=1)
    assert start.claim is not None
    assert start.claim.deaths == 1
    assert work.flight.counts.in_doubt == 1
    careful = desk(in_doubt=word)
    assert started(careful, arrival(1), deaths=1) == []
    assert "in doubt" in careful.take(Bury).reason
    assert careful.flight.counts.in_doubt == 1


def test_poison_is_set_aside_and_its_last_try_runs_alone() -> None:
    """After `poison_after` deaths it is not run; before the last one everything else comes to an end first."""
    poison = desk(poison_after=3)
    assert started(poison, arrival(1), deaths=3) == []
    assert "3 workers died" in poison.take(Bury).reason
    work = desk(poison_after=3)
    (beside,) = started(work, arrival(1))
    work.receive(arrival(2))
    work.claim(deaths=2)
    assert work.heard() == [Word.RELEASE]
    assert (work.all(Start), work.all(Take)) == ([], [])
    work.tell(Finished(beside.ticket))
    work.claim(deaths=2)
    (alone,) = work.all(Start)
    work.receive(arrival(3))
    assert work.all(Take) == []
    work.tell(Finished(alone.ticket))
    work.heard()
    assert [one.arrival.key for one in work.take(Take).tickets] == ["m3"]


# ---- holding on


def test_messages_are_hidden_and_claims_held_at_half_of_their_time_ten_a_call() -> None:
    """25 messages: three calls to the queue, one to the store."""
    work = desk(workers=25, in_flight=25)
    for first in (0, 10, 20):
        work.receive(*[arrival(first + n) for n in range(min(10, 25 - first))])
        work.claim()
    assert work.flight.wake_at() == pytest.approx(15.0)
    work.look(15.0)
    assert [len(order.handles) for order in work.all(Extend)] == [10, 10, 5]
    assert [len(order.claims) for order in work.all(Renew)] == [25]


def test_a_message_that_comes_again_is_not_run_again_and_its_newest_handle_counts() -> None:
    """Its visibility had ended: with the old handle it could no longer be deleted."""
    work = desk()
    (start,) = started(work, arrival(1))
    work.receive(arrival(1, receives=2))
    assert work.all(Start) == []
    work.tell(Finished(start.ticket))
    work.heard()
    delete = work.take(Delete)
    assert delete.handles == ("h1.2",)
    work.receive(arrival(1, receives=3))
    work.tell(Deleted(delete, [Reply()]))  # a standard queue says so of an old handle too
    assert handles(work.all(Delete)) == ["h1.3"]
    assert work.flight.counts.again == 2


def test_after_the_longest_time_a_handler_is_told_and_no_longer_held_on_to() -> None:
    """A handler that hangs does not hide its message for ever."""
    work = desk(longest_s=40)
    started(work, arrival(1))
    for _ in range(10):
        work.look(10.0)
        for renew in work.all(Renew):
            work.tell(Renewed(renew.claims, [True] * len(renew.claims)))
    assert len(work.all(TellLost)) == 1
    assert sum(order.seconds for order in work.all(Extend)) <= 30 + 20 + 10


def test_without_a_store_a_lost_visibility_is_a_lost_lease() -> None:
    """Nobody else tells: the queue's refusal of the handle is what there is."""
    work = desk(records=False)
    work.receive(arrival(1))
    work.take(Start)
    work.look(15.0)
    extend = work.take(Extend)
    work.tell(Extended(extend, refused(extend, "ReceiptHandleIsInvalid")))
    assert "visibility" in work.take(TellLost).reason


# ---- what fails is tried again


def test_deletes_that_fail_are_tried_again_until_they_are_through() -> None:
    """By a refusal that may pass; one for good ends it, as what was done is remembered."""
    work = desk()
    (start,) = started(work, arrival(1))
    work.tell(Finished(start.ticket))
    work.heard()
    for _ in range(5):
        delete = work.take(Delete)
        work.tell(Deleted(delete, refused(delete)))
        work.look(6.0)
    assert work.flight.counts.delete_retries == 5
    delete = work.take(Delete)
    work.tell(Deleted(delete, refused(delete, "ReceiptHandleIsInvalid")))
    work.look(6.0)
    assert (work.all(Delete), work.flight.in_flight, work.flight.counts.delete_stale) == ([], 0, 1)


def done(desk: Desk, *arrivals: Arrival) -> None:
    """Messages come in, are run, and are to be deleted."""
    for start in [*started(desk, *arrivals), *desk.all(Start)]:
        desk.tell(Finished(start.ticket))
        desk.heard()
    desk.look(1.0)


@pytest.mark.parametrize("records", [True, False])
def test_a_delete_that_is_refused_for_want_of_a_right_makes_room_for_others(*, records: bool) -> None:
    """It is not tried again here, nor hidden for longer: the message comes again when its visibility ends."""
    work = desk(records=records, in_flight=1, workers=1)
    done(work, arrival(1))
    delete = work.take(Delete)
    work.tell(Deleted(delete, refused(delete, "AccessDenied")))
    assert (work.flight.in_flight, work.flight.counts.undeleted, len(work.all(Poll))) == (0, 1, 1)
    work.look(60.0)
    assert work.all(Extend) + work.all(Delete) == []


def test_a_delete_that_is_always_refused_is_given_up_after_half_a_minute() -> None:
    """Who is refused for a reason that may pass tries for some time, and for no longer, though it is hidden again meanwhile."""
    work = desk()
    done(work, arrival(1))
    began = work.now
    while work.flight.in_flight:
        for delete in work.all(Delete):
            work.tell(Deleted(delete, refused(delete)))
        for extend in work.all(Extend):
            work.tell(Extended(extend, [Reply()]))
        work.look(0.5)
    assert 10.0 < work.now - began < 60.0
    assert (work.flight.counts.undeleted, work.flight.counts.delete_retries) == (1, 11)


def test_a_body_that_is_left_elsewhere_does_not_keep_its_message() -> None:
    """The message is deleted, which is counted, and so is what was left."""
    work = desk()
    done(work, arrival(1))
    delete = work.take(Delete)
    work.tell(Deleted(delete, refused(delete, "ObjectLeft")))
    counts = work.flight.counts
    assert (work.flight.in_flight, counts.deleted, counts.objects_left, counts.delete_retries) == (0, 1, 1, 0)


@pytest.mark.parametrize("records", [True, False])
def test_a_group_goes_on_behind_a_message_that_is_done_and_cannot_be_deleted(*, records: bool) -> None:
    """It is done: what is behind it is in its turn."""
    work = desk(records=records, fifo=True)
    done(work, arrival(1, group="g"), arrival(2, group="g"))
    delete = work.all(Delete)[0]
    work.tell(Deleted(delete, refused(delete, "AccessDenied")))
    work.claim()
    assert records or [one.ticket.arrival.key for one in work.all(Start)] == ["m2"]
    assert not records or work.flight.counts.started == 2


def test_a_word_is_said_at_once_and_what_comes_meanwhile_goes_in_the_next_call() -> None:
    """Who is killed leaves few words unsaid; who has much to say says it together."""
    work = desk()
    starts = started(work, *[arrival(number) for number in range(5)])
    work.tell(Finished(starts[0].ticket))
    first = work.take(Say)
    work.tell(*[Finished(start.ticket) for start in starts[1:]])
    assert work.all(Say) == []
    work.tell(Said(first.sayings, [True]))
    work.look(0.003)
    assert [len(one.sayings) for one in work.all(Say)] == [4]


def test_words_that_were_perhaps_not_heard_are_said_again() -> None:
    """The store's outage delays the delete, and is no reason to run anything again."""
    work = desk()
    (start,) = started(work, arrival(1))
    work.tell(Finished(start.ticket))
    for _ in range(4):
        work.tell(SayFailed(work.take(Say).sayings, DOWN))
        assert work.all(Delete) == []
        work.look(6.0)
    assert work.heard() == [Word.DONE]
    assert len(work.all(Delete)) == 1


def test_while_the_store_is_down_nothing_runs_and_nothing_more_is_asked_for() -> None:
    """Messages here are kept hidden; after `patience_s` all but one go back; when the store answers, work goes on."""
    work = desk(patience_s=60.0, polls=1)
    work.receive(*[arrival(n) for n in range(5)])
    work.all(Poll)
    while work.now < 59.0:
        for take in work.all(Take):
            work.tell(TakeFailed(take.tickets, DOWN))
        for extend in work.all(Extend):
            assert extend.seconds == 30
            work.tell(Extended(extend, [Reply()] * len(extend.handles)))
        assert (work.all(Start), work.all(Poll)) == ([], [])
        work.look(1.0)
    for take in work.all(Take):
        work.tell(TakeFailed(take.tickets, DOWN))
    work.look(6.0)
    while extends := work.all(Extend):
        work.tell(*[Extended(extend, [Reply()] * len(extend.handles)) for extend in extends])
        work.look(0.2)  # so long what leaves waits for others
    assert (work.flight.in_flight, work.flight.counts.handed_back) == (1, 4)
    work.claim()
    assert len(work.all(Start)) == 1
    assert len(work.all(Poll)) == 1


# ---- polls


def test_polls_grow_while_they_come_back_full_and_shrink_when_they_are_empty() -> None:
    """One where little comes in; `polls` where there is more than one can bring."""
    work = desk(polls=3, in_flight=100, workers=100)
    under_way = []
    numbers = iter(range(1000))
    work.look()
    pending = work.all(Poll)
    for _ in range(4):
        under_way.append(len(pending))
        work.tell(Polled(pending.pop(0).number, [arrival(next(numbers)) for _ in range(10)]))
        pending += work.all(Poll)
    for _ in range(6):
        work.tell(Polled(pending.pop(0).number, []))
        pending += work.all(Poll)
        under_way.append(len(pending))
    assert (under_way[:4], under_way[-1]) == ([1, 2, 3, 3], 1)


@pytest.mark.parametrize("in_flight", [1, 7, 25])
def test_there_are_never_more_messages_than_the_limit(in_flight: int) -> None:
    """What polls under way may bring counts too."""
    work = desk(in_flight=in_flight, workers=3, polls=4)
    numbers = iter(range(1000))
    for _ in range(10):
        work.look(1.0)
        polls = work.all(Poll)
        assert work.flight.in_flight + sum(poll.limit for poll in polls) <= in_flight
        for poll in polls:
            work.tell(Polled(poll.number, [arrival(next(numbers)) for _ in range(poll.limit)]))


def test_polls_that_fail_wait_longer_and_longer() -> None:
    """Never without a wait, never longer than half a minute."""
    work = desk(polls=1)
    waits = []
    work.look()
    for _ in range(10):
        work.tell(PollFailed(work.take(Poll).number, DOWN))
        assert work.all(Poll) == []
        wake = work.flight.wake_at()
        assert wake is not None
        waits.append(wake - work.now)
        work.look(wake - work.now)
    assert waits[0] < 1.0 < waits[4]
    assert max(waits) <= 30.0


def test_a_queue_that_is_gone_ends_the_flight_when_what_is_here_is_done() -> None:
    """`failure` says why."""
    work = desk(polls=2)
    (start,) = started(work, arrival(1))
    gone = NotFound("Polling", "the queue is not there")
    for poll in work.all(Poll):
        work.tell(PollFailed(poll.number, gone, fatal=True))
    assert not work.flight.is_over
    work.tell(Finished(start.ticket))
    work.heard()
    work.tell(Deleted(work.take(Delete), [Reply()]))
    assert work.flight.is_over
    assert work.flight.failure is gone


def test_a_silent_client_is_made_anew_once_and_late_messages_are_not_lost() -> None:
    """Its polls count as failed; what one of them brings after all is worked on."""
    work = desk(polls=1, silent_s=40.0)
    work.look()
    poll = work.take(Poll)
    assert work.flight.wake_at() == 40.0
    work.look(40.0)
    work.take(Rebuild)
    work.look(1.0)
    assert (work.all(Rebuild), len(work.all(Poll))) == ([], 1)
    work.tell(Polled(poll.number, [arrival(1)]))
    assert len(work.take(Take).tickets) == 1


# ---- groups


def test_a_group_goes_one_by_one_and_groups_go_beside_each_other() -> None:
    """The next one begins when the word of the one before it counts, which is said at once."""
    work = desk(fifo=True, workers=5)
    starts = started(work, *[arrival(n, group=f"g{n % 2}") for n in range(6)])
    assert [one.ticket.arrival.delivery.id for one in starts] == ["m0", "m1"]
    work.tell(Finished(starts[0].ticket))
    assert work.heard() == [Word.DONE]
    work.claim()
    assert [one.ticket.arrival.delivery.id for one in work.all(Start)] == ["m2"]


def test_what_is_behind_a_failed_message_goes_back_the_last_first() -> None:
    """Nothing of the group is worked on before the one that failed; the other groups go on."""
    work = desk(fifo=True)
    first, _ = started(work, *[arrival(n, group="g") for n in range(3)], arrival(9, group="other"))
    work.tell(Failed(first.ticket, ValueError("no")))
    work.heard()
    work.look(1.0)
    assert sorted((order.seconds, order.handles) for order in work.all(Extend)) == [(0, ("h2.1", "h1.1")), (10, ("h0.1",))]
    assert work.flight.in_flight == 4


# ---- the end


def test_a_drain_hands_back_what_is_not_begun_and_waits_for_what_is() -> None:
    """No further poll; claims are given back before their messages; late messages go back at once."""
    work = desk(workers=1)
    (start,) = started(work, arrival(1), arrival(2))
    work.flight.stop(work.now)
    work.look()
    work.tell(*[Polled(poll.number, [arrival(3)]) for poll in work.all(Poll)])
    work.tell(*[Extended(one, [Reply()] * len(one.handles)) for one in work.all(Extend)])
    assert (work.flight.in_flight, work.flight.is_over, work.all(Poll)) == (1, False, [])
    work.tell(Finished(start.ticket))
    work.heard()
    work.tell(Deleted(work.take(Delete), [Reply()]))
    assert work.flight.is_over
    assert (work.flight.counts.handed_back, work.flight.counts.done) == (2, 1)


def test_after_the_grace_everything_is_handed_back() -> None:
    """A handler that goes on is told, its message goes back, and if it ends in time its word still counts."""
    work = desk(grace_s=5.0)
    (start,) = started(work, arrival(1))
    work.flight.stop(work.now)
    work.look()
    work.tell(*[Polled(poll.number, []) for poll in work.all(Poll)])
    assert work.flight.wake_at() == 5.0
    work.look(5.0)
    assert work.take(TellLost).ticket is start.ticket
    extend = work.take(Extend)
    assert extend.seconds == 0
    assert not work.flight.is_over
    work.tell(Extended(extend, [Reply()]))
    assert work.flight.is_over
    work.tell(Finished(start.ticket))
    assert (work.heard(), work.flight.counts.done) == ([Word.DONE], 1)


def test_a_message_is_handed_back_after_its_last_heartbeat_was_answered() -> None:
    """Or the heartbeat, the slower call, would hide what was handed back."""
    work = desk(records=False, grace_s=0.0)
    work.receive(arrival(1))
    work.look(15.0)
    beat = work.take(Extend)
    work.flight.stop_now(work.now)
    work.tell(*[PollFailed(poll.number, DOWN, is_cut=True) for poll in work.all(Poll)])
    assert work.all(Extend) == []
    work.tell(Extended(beat, [Reply()]))
    assert work.take(Extend).seconds == 0


def test_nothing_is_handed_back_that_a_poll_of_ones_own_might_take() -> None:
    """Not before the polls under way are over, nor for longer than two seconds."""
    for is_answered in (True, False):
        work = desk(workers=1, polls=1)
        started(work, arrival(1), arrival(2))
        work.flight.stop(work.now)
        work.heard()
        work.look(1.9)
        assert work.all(Extend) == []
        if is_answered:
            work.tell(*[PollFailed(poll.number, DOWN, is_cut=True) for poll in work.all(Poll)])
        else:
            assert work.flight.wake_at() == 2.0
            work.look(0.1)
        assert [one.seconds for one in work.all(Extend)] == [0]
        assert (work.flight.counts.polls, work.flight.counts.poll_failures) == (1, 0)


def test_a_claim_ends_before_the_message_is_handed_out_again() -> None:
    """Or whoever is handed it after this worker's death finds it claimed, and has to wait once more."""
    for waited_s in (0.0, 10.0):
        work = desk(workers=1, batch=1)
        (start,) = started(work, arrival(1))
        work.receive(arrival(2))
        received = work.now
        work.look(waited_s)
        work.tell(Finished(start.ticket))
        work.heard()
        assert work.now + work.take(Take).lease_s < received + work.flight.limits.visibility_s


# ---- limits, cost


@pytest.mark.parametrize(
    "wrong",
    [
        *({"workers": 0}, {"workers": 2.5}, {"workers": "10"}, {"polls": True}, {"batch": 11}, {"poison_after": 0}),
        *({"visibility_s": 50_000}, {"visibility_s": 2.5}, {"lease_s": 0.0}, {"longest_s": 0}, {"longest_s": 100_000}),
        *({"flush_s": -1}, {"grace_s": -1.0}, {"patience_s": -1}, {"keep_s": -1}, {"most_receives": -1}, {"alone_s": "x"}),
        *({"silent_s": 1}, {"silent_s": float("inf")}, {"silent_s": float("nan")}, {"in_doubt": "Quarantine"}),
        *({"retries": None}, {"fifo": 1}, {"records": None}),
    ],
    ids=lambda wrong: "-".join(f"{name}={value}" for name, value in wrong.items()),
)
def test_limits_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    """With the name of the one to change."""
    with pytest.raises(FixConfig, match=f"{next(iter(wrong))} is .*; it has to be"):
        Limits(**wrong)


@pytest.mark.parametrize("wrong", [{"first_s": -5}, {"factor": 0.5}, {"most_s": 50_000}, {"jitter": 3}])
def test_waits_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    """None is below nothing or beyond what SQS allows."""
    with pytest.raises(FixConfig, match=f"{next(iter(wrong))} is .*; it has to be"):
        Backoff(**wrong)


@pytest.mark.parametrize("records", [True, False])
def test_a_flight_costs_microseconds_a_message(*, records: bool, record_property: Says) -> None:
    """And calls are full: deletes and words go ten at a time."""
    best = min(_cost_us(records=records, messages=2000) for _ in range(3))
    record_property(SAYS, f"T28 state machine: {best:.1f} us CPU a message, reports included, records={records}")
    few = min(_cost_us(records=records, messages=200) for _ in range(3))
    assert best < 4 * few  # what grew with the number of messages would cost ten times as much


def _cost_us(*, records: bool, messages: int) -> float:
    flight = Flight(Limits(records=records))
    arrivals = [arrival(n) for n in range(messages)]
    now, deleted, calls = 0.0, 0, 0
    began = time.process_time()
    while deleted < messages:
        now += 0.0005
        for order in flight.orders(now):
            match order:
                case Poll():
                    flight.told(Polled(order.number, [arrivals.pop() for _ in range(min(order.limit, len(arrivals)))]), now)
                case Take():
                    flight.told(Taken(order.tickets, [Claim("", State.OURS, 1, 30.0) for _ in order.tickets]), now)
                case Start():
                    flight.told(Finished(order.ticket), now)
                case Say():
                    flight.told(Said(order.sayings, [True] * len(order.sayings)), now)
                case Delete():
                    calls += 1
                    deleted += len(order.handles)
                    flight.told(Deleted(order, [Reply()] * len(order.handles)), now)
    assert calls <= messages / 9
    return (time.process_time() - began) / messages * 1e6
