"""Flight: the messages in a worker, and what is to be done about them. Pure: no clock, no thread, no call.

    waiting --> unclaimed --take--> taking --ours--> ready --start--> running --finished--> saying "done" --> deleting --> gone
                                          --held-----------------------------------------------------------> leaving
                                          --done before----------------------------------------> deleting
                                          --set aside before--> burying --------------------------> deleting
                                          --poison--> burying --> saying "quarantine" ---------> deleting
                                                                      --failed--> saying "failed" -----------> leaving

A driver carries out `orders`, tells what came of them, and asks again. Without an idempotency store, waiting goes to ready at
once, and nothing is said. What is leaving is hidden for a while, or handed back, by a last order.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import ceil
from typing import Any

from halocline.consume.flight.appetite import Appetite
from halocline.consume.flight.beats import Beats
from halocline.consume.flight.claiming import Claiming
from halocline.consume.flight.deletions import Deletions, Fate
from halocline.consume.flight.departures import Departures
from halocline.consume.flight.ending import Ending
from halocline.consume.flight.keys import Keys
from halocline.consume.flight.lanes import Lanes
from halocline.consume.flight.orders import (
    Arrival,
    Buried,
    Bury,
    Deleted,
    Extended,
    Failed,
    Finished,
    Order,
    Polled,
    PollFailed,
    Rebuild,
    Renewed,
    Report,
    Said,
    SayFailed,
    Saying,
    Start,
    TakeFailed,
    Taken,
    TellLost,
    Then,
    Ticket,
    Word,
)
from halocline.consume.flight.outage import Outage, wait_s
from halocline.consume.flight.outbox import Words
from halocline.consume.flight.polling import Polling
from halocline.consume.flight.ready import Ready
from halocline.consume.flight.refusal import is_for_good
from halocline.consume.flight.roster import UNSTARTED, Phase, Roster, Stay
from halocline.consume.flight.verdict import why_aside
from halocline.consume.limits import Limits
from halocline.consume.watching.counts import Counts
from halocline.idempotency import Claim, State
from halocline.quantity import quantity
from halocline.queues import Reply

__all__ = ["Counts", "Flight", "Limits"]

_IGNORED = "ignored"


class Flight:
    """What became of each message is in `counts`; `failure` says why the flight ended by itself."""

    def __init__(self, limits: Limits, *, seed: int = 0) -> None:
        self.limits = limits
        self.counts = Counts()
        self.failure: BaseException | None = None
        self._chance = random.Random(seed).random  # noqa: S311  # chance spreads waits; it keeps no secret
        self._polling = Polling(limits, self._chance)
        self._beats = Beats(limits)
        self._lanes = Lanes()
        self._keys = Keys()
        self._words = Words(limits)
        self._departures = Departures(limits)
        self._appetite = Appetite(limits)
        self._outage = Outage(self._chance)
        self._stays = Roster(limits.visibility_s)
        self._turn = self._stays.turn
        self._end = self._stays.end
        self._numbers = self._stays.numbers
        self._claiming = Claiming(limits, self._stays)
        self._ready = Ready(limits)
        self._deletions = Deletions(limits, self.counts, self._chance)
        self._out: list[Order] = []
        self._ending = Ending()
        self._hear: dict[type[Any], Callable[[Any, float], None]] = {
            Polled: self._polled,
            PollFailed: self._poll_failed,
            Taken: self._taken,
            TakeFailed: self._take_failed,
            Finished: self._finished,
            Failed: self._failed,
            Said: self._said,
            SayFailed: self._say_failed,
            Renewed: self._renewed,
            Extended: self._extended,
            Deleted: self._deleted,
            Buried: self._buried,
        }

    # ---- what a driver calls

    def told(self, report: Report, now: float) -> None:
        """Hear what came of an order. `now` is monotonic seconds, never less than before."""
        self._hear[type(report)](report, now)

    def orders(self, now: float) -> list[Order]:
        """What is to be done now; each order is given once."""
        self._tick(now)
        self._start(now)
        self._take(now)
        self._out += self._polling.polls(now, self._may_poll(), messages=len(self._stays))
        self._flush(now)
        out, self._out = self._out, []
        return out

    def wake_at(self) -> float | None:
        """When to ask for orders again if nothing is reported before; None: only a report changes anything."""
        times = [self._beats.due_at(), self._deletions.due(), self._words.due()]
        times.append(self._ending.held_back(self._departures.due(), self._polling))
        times += [self._ending.due(self._polling), self._ready.alone.due(), self._polling.due(self._may_poll(), len(self._stays))]
        if self._outage.is_on and (self._alone_to_claim() if self._ready.alone.is_on else self._room_to_claim()):
            times.append(self._outage.over_at)
        return min((one for one in times if one is not None), default=None)

    def stop(self, now: float) -> None:
        """Ask for nothing more, hand back what is not started, let handlers finish: for `grace_s`, then `stop_now`."""
        if self._ending.is_on:
            return
        self._ending.begin(now, grace_s=self.limits.grace_s, visible_s=self.limits.beat_s)
        for stay in reversed(list(self._stays)):
            if stay.phase in UNSTARTED:
                self._hand_back(stay, now)

    def stop_now(self, now: float) -> None:
        """Hand back everything; handlers that run are told, and not waited for."""
        self.stop(now)
        if self._ending.is_now:
            return
        self._ending.now(now)
        for stay in [stay for stay in self._stays if stay.phase is Phase.RUNNING]:
            self._ending.abandon(stay)
            self._tell_lost(stay, "the worker is ending")
            for follower in self._lanes.cut(stay):
                self._hand_back(follower, now)
            self._departures.add(stay, now)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do: after `stop`, or after the queue was gone (`failure`)."""
        return not self._out and self._ending.is_over(len(self._stays), self._polling)

    @property
    def in_flight(self) -> int:
        """Messages in the worker now."""
        return len(self._stays)

    # ---- messages come in

    def _polled(self, report: Polled, now: float) -> None:
        self.counts.polls += 1
        self._polling.answered(report.number, len(report.arrivals))
        for arrival in report.arrivals:
            self._arrive(arrival, now)

    def _poll_failed(self, report: PollFailed, now: float) -> None:
        self.counts.poll_failures += not report.is_cut
        self._polling.failed(report.number, now)
        if report.fatal and self.failure is None:
            self.failure = report.error
            self.stop(now)

    def _arrive(self, arrival: Arrival, now: float) -> None:
        known = self._stays.known(arrival)
        if known is not None:
            if known.phase is not Phase.LEAVING:
                self.counts.again += 1
                known.came_again(arrival.delivery, hidden_until=now + self.limits.visibility_s)
                return
            self._end(known)
        self.counts.received += 1
        stay = self._stays.add(arrival, now)
        if self._ending.is_on:
            self._hand_back(stay, now)
            return
        self._beats.at(stay, now + self.limits.beat_s)
        if not self.limits.fifo or not arrival.group or self._lanes.add(stay):
            self._admit(stay, now)

    def _admit(self, stay: Stay, now: float) -> None:
        """A message that is behind nobody in its lane: it may have to wait for its key."""
        is_unreadable = stay.ticket.arrival.error is not None
        if is_unreadable:
            self._unreadable(stay, now=now)
        elif not self.limits.records:
            self._turn(stay, Phase.READY)
            self._ready.add(stay)
        elif self._keys.ask(stay):
            self._claiming.want(stay)

    def _unreadable(self, stay: Stay, *, now: float) -> None:
        self.counts.unreadable += 1
        if stay.receives >= self.limits.poison_after:
            self._bury(stay, f"it could not be read, {quantity(stay.receives, 'time')}: {stay.ticket.arrival.trouble}")
        else:
            self._retry(stay, now)

    # ---- claims

    def _taken(self, report: Taken, now: float) -> None:
        self._outage.answered()
        for ticket, claim in zip(report.tickets, report.claims, strict=True):
            stay = self._stays.at(ticket, Phase.TAKING)
            if stay is not None:
                self._claimed(stay, claim, now=now)

    def _claimed(self, stay: Stay, claim: Claim, *, now: float) -> None:
        if claim.state is State.OURS:
            self._ours(stay, claim, now=now)
        elif claim.state is State.HELD:
            self.counts.held += 1
            self._leave(stay, now, seconds=max(1, min(ceil(claim.left_s), self.limits.visibility_s)))
        elif claim.state is State.MISMATCH:
            self.counts.mismatched += 1
            self._bury(stay, why_aside(claim, self.limits))
        elif claim.state is State.QUARANTINED:
            self.counts.set_aside_again += 1
            self._bury(stay, why_aside(claim, self.limits))
        else:
            self.counts.redelivered_done += 1
            self._delete(stay, now)

    def _ours(self, stay: Stay, claim: Claim, *, now: float) -> None:
        stay.claim = claim
        stay.fence = claim.fence
        stay.lease_until = stay.taken_at + claim.left_s
        self._turn(stay, Phase.READY)
        if self._ending.is_on:
            self._hand_back(stay, now)
        elif why := why_aside(claim, self.limits):
            self.counts.in_doubt += 1
            self._bury(stay, why)
        elif not self._ready.add(stay):
            stay.hide_s = None if self._ready.alone.has(stay) else self._backoff_s(stay)
            self._say_or(stay, Word.RELEASE, told="", now=now)

    def _take_failed(self, report: TakeFailed, now: float) -> None:
        self.counts.store_failures += 1
        self._outage.failed(now)
        for ticket in reversed(report.tickets):
            stay = self._stays.at(ticket, Phase.TAKING)
            if stay is not None:
                self._claiming.want_again(stay)
                if self._ending.is_on:
                    self._hand_back(stay, now)

    # ---- handlers

    def _finished(self, report: Finished, now: float) -> None:
        stay = self._ran(report.ticket, now)
        if stay is None:
            return
        if self.limits.records:
            self._say(stay, Word.DONE, told=report.result, now=now)
        else:
            self.counts.done += 1
            self._delete(stay, now)

    def _failed(self, report: Failed, now: float) -> None:
        stay = self._ran(report.ticket, now)
        if stay is None:
            return
        self.counts.failed += 1
        told = report.told
        if report.then is Then.IGNORE:
            self._say_or(stay, Word.DONE, told=_IGNORED, now=now)
        elif report.then is Then.LEAVE:
            self._say_or(stay, Word.RELEASE, told=told, now=now)
        elif report.then is Then.BURY or 0 < self.limits.most_receives <= stay.receives:
            self._bury(stay, told)
        else:
            self._say_or(stay, Word.FAILED, told=told, now=now)

    def _ran(self, ticket: Ticket, now: float) -> Stay | None:
        """The message whose handler came to an end."""
        stay = self._stays.at(ticket, Phase.RUNNING)
        if stay is None:
            return None
        self._appetite.took(now - stay.started_at)
        self._ending.returned(stay)
        return stay

    # ---- words

    def _say_or(self, stay: Stay, word: Word, *, told: str, now: float) -> None:
        """Say a word of a claim; where there is none, do at once what comes after it."""
        if stay.fence:
            self._say(stay, word, told=told, now=now)
        else:
            stay.told = told
            self._heard(stay, word, now)

    def _say(self, stay: Stay, word: Word, *, told: str, now: float) -> None:
        self._turn(stay, Phase.SAYING)
        stay.told = told
        stay.tries = 0
        self._words.add(Saying(stay.ticket, stay.fence, word, told), now)

    def _said(self, report: Said, now: float) -> None:
        self._outage.answered()
        self._words.answered(now)
        for saying, counts in zip(report.sayings, report.counts, strict=True):
            stay = self._stays.at(saying.ticket, Phase.SAYING)
            if stay is None:
                continue
            if counts:
                self._heard(stay, saying.word, now)
            else:
                self.counts.stale += saying.word is not Word.RELEASE
                self._drop(stay, now)

    def _heard(self, stay: Stay, word: Word, now: float) -> None:
        """What comes after a word that counts."""
        if word is Word.DONE or word is Word.QUARANTINE:
            self.counts.done += word is Word.DONE and stay.told != _IGNORED
            self._delete(stay, now)
        elif word is Word.FAILED:
            self._retry(stay, now)
        elif stay.hide_s is None and stay.has_begun:
            self._drop(stay, now)
        elif stay.hide_s is not None or self._ending.is_on:
            self._leave(stay, now, seconds=0 if self._ending.is_on else stay.hide_s or 0)
        else:  # it has to run alone, and waits until it can
            self._turn(stay, Phase.WAITING)
            stay.fence = 0

    def _say_failed(self, report: SayFailed, now: float) -> None:
        self.counts.store_failures += 1
        self._words.answered(now)
        self._outage.failed(now)
        for saying in report.sayings:
            stay = self._stays.at(saying.ticket, Phase.SAYING)
            if stay is None:
                continue
            stay.tries += 1
            if self._ending.is_now:
                self._leave(stay, now, seconds=0)
            else:
                self._words.again(saying, now + self._wait_s(stay.tries))

    def _bury(self, stay: Stay, reason: str) -> None:
        self._turn(stay, Phase.BURYING)
        stay.told = reason
        self._out.append(Bury(stay.ticket, reason))

    def _buried(self, report: Buried, now: float) -> None:
        stay = self._stays.at(report.ticket, Phase.BURYING)
        if stay is None:
            return
        if report.error is None:
            self.counts.buried += 1
            self._say_or(stay, Word.QUARANTINE, told=stay.told, now=now)
            return
        self.counts.bury_failures += 1
        if stay.has_begun:
            self._say_or(stay, Word.FAILED, told=f"{stay.told}; could not be set aside: {report.trouble}", now=now)
        else:  # no handler said a word here: deaths are not forgotten
            self._give_up(stay, now, seconds=self._backoff_s(stay))

    # ---- deleting

    def _delete(self, stay: Stay, now: float) -> None:
        self._turn(stay, Phase.DELETING)
        self._deletions.add(stay, now, urgent=not self.limits.records and self._lanes.is_followed(stay))
        if self.limits.records:
            self._pass_on(stay, now)

    def _deleted(self, report: Deleted, now: float) -> None:
        for ticket, handle, reply in zip(report.order.tickets, report.order.handles, report.replies, strict=True):
            stay = self._stays.at(ticket, Phase.DELETING)
            if stay is None:
                continue
            fate = self._deletions.answered(stay, handle, reply=reply, now=now, is_last=self._ending.is_now)
            if fate is Fate.OVER:
                if not self.limits.records:
                    self._pass_on(stay, now)
                self._end(stay)
            elif fate is Fate.STALE:
                self._drop(stay, now)

    # ---- hiding and holding on

    def _extended(self, report: Extended, now: float) -> None:
        for ticket, handle, reply in zip(report.order.tickets, report.order.handles, report.replies, strict=True):
            stay = self._stays.get(ticket)
            if stay is None:
                self._ending.answered(ticket.number)
            elif stay.extending:
                stay.extending -= 1
                if stay.phase is Phase.LEAVING or stay.abandoned:
                    self._departures.add(stay, now)
                elif stay.handle == handle:
                    self._was_extended(stay, reply, seconds=report.order.seconds, now=now)
            elif stay.abandoned:
                self._ending.answered(ticket.number)
            elif stay.phase is Phase.LEAVING:
                self._left(stay, reply, now=now)

    def _was_extended(self, stay: Stay, reply: Reply, *, seconds: int, now: float) -> None:
        if reply:
            self.counts.extended += 1
            stay.hidden_until = max(stay.hidden_until, stay.extended_at + seconds)
        elif is_for_good(reply):
            self._out_of_sight(stay, now)
        else:
            self._beats.soon(stay, now)

    def _left(self, stay: Stay, reply: Reply, *, now: float) -> None:
        if reply or is_for_good(reply) or self._ending.is_now or now >= stay.hidden_until:
            self._end(stay)
        else:
            stay.tries += 1
            self._departures.again(stay, now + self._wait_s(stay.tries))

    def _out_of_sight(self, stay: Stay, now: float) -> None:
        """The handle is no longer good: others are handed the message."""
        if stay.phase in UNSTARTED and not stay.fence:
            self.counts.expired += 1
            self._drop(stay, now)
        elif stay.phase is Phase.RUNNING and not self.limits.records:
            self._tell_lost(stay, "its visibility ended")

    def _renewed(self, report: Renewed, now: float) -> None:
        for (ticket, fence), held in zip(report.claims, report.held, strict=True):
            stay = self._stays.get(ticket)
            if stay is None or stay.fence != fence:
                continue
            if held:
                self.counts.renewed += 1
                stay.lease_until = max(stay.lease_until, stay.renewed_at + self.limits.lease)
            elif held is None:
                self.counts.store_failures += 1
                self._beats.soon(stay, now)
            elif stay.phase is Phase.READY:
                self._unclaim(stay)
            elif stay.phase is Phase.RUNNING:
                self._tell_lost(stay, "somebody else has claimed it")
                for follower in self._lanes.cut_behind(stay):
                    self._hand_back(follower, now)

    def _unclaim(self, stay: Stay) -> None:
        """A claim that ended before its handler was started is asked for anew."""
        stay.fence = 0
        self._claiming.want(stay)

    def _tell_lost(self, stay: Stay, reason: str) -> None:
        if not stay.is_lost:
            stay.is_lost = True
            self.counts.lost_leases += 1
            self._out.append(TellLost(stay.ticket, reason))

    # ---- the end of a message here

    def _pass_on(self, stay: Stay, now: float) -> None:
        """Whoever waited for this message may go on."""
        self._free_key(stay)
        following = self._lanes.step(stay) if self.limits.fifo else None
        if following is not None:
            self._admit(following, now)

    def _break(self, stay: Stay, now: float) -> None:
        """The message goes without being done: what is behind it in its group must not go before it."""
        self._free_key(stay)
        if self.limits.fifo:
            for follower in self._lanes.cut(stay):
                self._hand_back(follower, now)

    def _free_key(self, stay: Stay) -> None:
        following = self._keys.free(stay)
        if following is not None:
            self._claiming.want(following)

    def _retry(self, stay: Stay, now: float) -> None:
        self._leave(stay, now, seconds=self._backoff_s(stay))

    def _backoff_s(self, stay: Stay) -> int:
        return self.limits.retries.seconds(stay.receives, chance=self._chance())

    def _leave(self, stay: Stay, now: float, *, seconds: int) -> None:
        self._turn(stay, Phase.LEAVING)
        stay.hide_s = seconds
        stay.tries = 0
        self._break(stay, now)
        self._departures.add(stay, now)

    def _hand_back(self, stay: Stay, now: float) -> None:
        self.counts.handed_back += 1
        self._give_up(stay, now, seconds=0)

    def _give_up(self, stay: Stay, now: float, *, seconds: int) -> None:
        """Once the claim is given back, if there is one, the message is hidden for so long."""
        stay.hide_s = seconds
        self._say_or(stay, Word.RELEASE, told="", now=now)

    def _drop(self, stay: Stay, now: float) -> None:
        self._break(stay, now)
        self._end(stay)

    # ---- orders

    def _tick(self, now: float) -> None:
        """What time alone brings about."""
        if self._ending.is_due(now):
            if self._ending.is_now:
                self._polling.give_up()
            self.stop_now(now)
        if self._polling.is_silent(now):
            self.counts.poll_failures += 1
            self.counts.rebuilds += 1
            self._out.append(Rebuild())
        due = self._beats.due(now)
        self._out += due.orders
        self.counts.lost_leases += due.lost
        for stay in due.overlong:
            if stay.phase in UNSTARTED:
                self._hand_back(stay, now)
        if self._numbers[Phase.UNCLAIMED] > 1 and self._outage.has_lasted(now, self.limits.patience_s):
            for stay in self._claiming.waiting()[1:]:  # one is kept to see when the store answers again
                self._hand_back(stay, now)

    def _take(self, now: float) -> None:
        if now < self._outage.over_at:
            return
        if self._ready.alone.is_on:
            alone = self._alone_to_claim()
            self._out += [] if alone is None else [self._claiming.take_only(alone, now)]
        else:
            while room := self._room_to_claim():
                self._out.append(self._claiming.take(room, now))

    def _alone_to_claim(self) -> Stay | None:
        running = self._numbers[Phase.RUNNING] - self._ending.abandoned
        return None if self._ending.is_on else self._ready.alone.to_claim(running + self._numbers[Phase.TAKING])

    def _room_to_claim(self) -> int:
        return self._claiming.room(ahead=self._appetite.ahead(), idle=self._ending.abandoned)

    def _start(self, now: float) -> None:
        while stay := self._ready.next(now, running=self._numbers[Phase.RUNNING] - self._ending.abandoned):
            self._begin(stay, now)

    def _begin(self, stay: Stay, now: float) -> None:
        """Start the handler, if the message is still ours."""
        if self.limits.records and now >= stay.lease_until:
            self._unclaim(stay)
        elif not self.limits.records and now >= stay.hidden_until:
            self.counts.expired += 1
            self._drop(stay, now)
        else:
            self._turn(stay, Phase.RUNNING)
            stay.started_at = now
            self.counts.started += 1
            self.counts.in_doubt += stay.claim is not None and stay.claim.deaths > 0
            self._out.append(Start(stay.ticket, stay.claim))

    def _may_poll(self) -> int:
        """For how many more messages there is room, those included that polls under way may bring."""
        is_waiting = self._numbers[Phase.UNCLAIMED] or self._numbers[Phase.TAKING]
        if self._ending.is_on or (self._outage.is_on and is_waiting):
            return 0
        return max(0, self._appetite.most() - len(self._stays))

    def _flush(self, now: float) -> None:
        numbers = self._numbers
        is_idle = not (numbers[Phase.UNCLAIMED] or numbers[Phase.TAKING] or numbers[Phase.READY] or numbers[Phase.RUNNING])
        urgent = is_idle or self._ending.is_on
        self._out += self._words.orders(now)
        self._out += self._deletions.orders(now, urgent=urgent)
        if self._ending.held_back(now, self._polling) == now:
            self._out += self._departures.orders(now, urgent=urgent)

    def _wait_s(self, failures: int) -> float:
        return wait_s(failures, chance=self._chance())
