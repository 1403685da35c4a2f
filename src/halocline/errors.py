"""The error tree. The second level says what to do next.

    HaloclineError
    ├── RetryLater            nothing is wrong here; the same call may work after a while        (exit 75)
    │   ├── NetworkFailed     no or broken answer from the other side
    │   ├── QuotaExhausted    the other side's daily or concurrent limit
    │   ├── StillRunning      a remote job outlived our patience; it goes on, nothing was aborted
    │   ├── LeaseHeld         somebody else runs this flow
    │   ├── NotAllHandled     some of what came in was not handled; delivered again, only that is
    │   └── LeaseLost         a newer run took over; this one's commit was not made
    ├── FixConfig             a person must change a login, a name, a setting or a right          (exit 2)
    │   ├── LoginRefused
    │   ├── NotFound          object, field, table, file: with suggestions
    │   ├── AccessDenied
    │   ├── BadQuery
    │   ├── SchemaConflict    a column changed in a way that no load may paper over
    │   ├── NotSupported      the other side cannot do it this way; another way may be planned
    │   └── MissingExtra      a driver is not installed
    ├── RejectRecord          one record is refused; the run goes on
    ├── BadMessage            one message is refused, and no repeat helps: it is set aside
    │   ├── Unreadable        its body is not what was expected; some repeats, for a newer worker may read it
    │   ├── SetAside          it is kept elsewhere, and is to be deleted where it came from
    │   └── BrokenTransaction its handler ended the transaction of its effect, or began a second one (also a FixConfig)
    ├── AlreadyApplied        the effect of this message is there already: it counts as handled
    └── Stop                  going on would risk data                                            (exit 1)
        ├── Truncated         fewer rows or bytes than the other side announced
        ├── JobFailed         a remote job ended in a failure of its own
        ├── Refused           an answer that would empty or gut a table
        ├── Changed           an object is no longer the one that was meant
        ├── StorageFailed     disk full, read-only or damaged
        └── Stopped           the first refused row ended a push, as it was asked to; all rows are booked (exit 3)

Every message says what was being done, what came back and what to try; facts stay as attributes, secrets never.
"""

from __future__ import annotations

from collections.abc import Sequence


class HaloclineError(Exception):
    """A failure told to a person: `doing` what, `cause` that came back, `hint` at what to try.

    `code` is the other side's error code where there is one; `facts` keeps ids and numbers (`job_id`, `status`).
    """

    exit_code = 1

    def __init__(self, doing: str, cause: str, *, hint: str = "", code: str | None = None, **facts: object) -> None:
        self.doing = doing
        self.cause = cause
        self.hint = hint
        self.code = code
        self.facts = facts
        super().__init__(doing, cause)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross from worker processes; their keyword-only arguments are attributes, so state is all there is to carry.
        return (_revive, (type(self), self.args, self.__dict__))

    def __str__(self) -> str:
        told = f"{self.doing}: {self.cause}".rstrip()
        told = told if told.endswith((".", "!", "?")) else told + "."
        return f"{told} {self.hint}".rstrip()


def _revive(kind: type[HaloclineError], args: tuple[object, ...], state: dict[str, object]) -> HaloclineError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class RetryLater(HaloclineError):
    """Nothing is wrong here; the same call may work after `after_s` seconds (None: unknown).

    What to try: the same again then.
    """

    exit_code = 75

    def __init__(
        self, doing: str, cause: str, *, after_s: float | None = None, hint: str = "", code: str | None = None, **facts: object
    ) -> None:
        super().__init__(doing, cause, hint=hint, code=code, **facts)
        self.after_s = after_s


class NetworkFailed(RetryLater):
    """No answer, or a broken one, after all retries.

    What to try: the same again; if it stays, the address, proxy, certificate and firewall on the way there.
    """


class QuotaExhausted(RetryLater):
    """The other side's daily or concurrent limit is used up, or the share or budget of calls that you set.

    What to try: wait until the limit renews itself, ask less often, or raise `--quota-share` or `--api-budget`.
    """


class StillRunning(RetryLater):
    """A remote job outlived the deadline; it was not aborted, and its id is in `facts["job_id"]`.

    What to try: the same again later; it takes the job up and begins no second one.
    """


class LeaseHeld(RetryLater):
    """Somebody else holds the lease of this flow.

    What to try: wait for that run (`--wait SECONDS`); a dead one's lease ends by itself.
    """


class NotAllHandled(RetryLater):
    """Some of what came in was not handled; `results` tells of each piece.

    What to try: let it be delivered again, which only does what is missing; mend what `results` tells.
    """

    def __init__(
        self, doing: str, cause: str, *, results: Sequence[object] = (), hint: str = "", code: str | None = None, **facts: object
    ) -> None:
        super().__init__(doing, cause, hint=hint, code=code, after_s=None, **facts)
        self.results = tuple(results)


class LeaseLost(RetryLater):
    """A newer run took over this flow; this run's commit was not made.

    What to try: nothing, the newer run does the work. If it happens often, raise `HALOCLINE_LEASE_S`.
    """


class FixConfig(HaloclineError):
    """A person must change a login, a name, a setting or a right before this can work.

    What to try: the change that the message asks for; a repeat alone does not help.
    """

    exit_code = 2


class LoginRefused(FixConfig):
    """The other side did not accept the credentials.

    What to try: the login's variables or references, and whether the user may log in this way.
    """


class NotFound(FixConfig):
    """An object, field, table or file does not exist, or is hidden from this user; `suggestions` are close names.

    What to try: one of the suggestions, or the right to see it.
    """

    def __init__(
        self,
        doing: str,
        cause: str,
        *,
        suggestions: Sequence[str] = (),
        hint: str = "",
        code: str | None = None,
        **facts: object,
    ) -> None:
        self.suggestions = tuple(suggestions)
        if self.suggestions:
            hint = f"Did you mean {' or '.join(self.suggestions)}? {hint}".rstrip()
        super().__init__(doing, cause, hint=hint, code=code, **facts)


class AccessDenied(FixConfig):
    """The user lacks a right.

    What to try: give the right that the message names; `halocline iam FLOW` prints what AWS must allow.
    """


class BadQuery(FixConfig):
    """The other side could not understand a query or a clause.

    What to try: the query by itself, in the other side's own tool.
    """


class SchemaConflict(FixConfig):
    """A column changed in a way that no load may paper over.

    What to try: as the message says: leave the column out, rename it, change the table, or read everything anew (`--full`).
    """


class NotSupported(FixConfig):
    """The other side cannot do it this way; `ability` names the one to plan without (`bulk`).

    What to try: the other way that the message names.
    """

    def __init__(self, doing: str, cause: str, *, ability: str, hint: str = "", code: str | None = None, **facts: object) -> None:
        super().__init__(doing, cause, hint=hint, code=code, **facts)
        self.ability = ability


class MissingExtra(FixConfig):
    """A driver is not installed.

    What to try: install the extra that the message names.
    """


class RejectRecord(HaloclineError):
    """One record is refused (`row` is its number in the part); the run goes on without it.

    What to try: mend the record at its source.
    """

    def __init__(self, doing: str, cause: str, *, row: int, hint: str = "", code: str | None = None, **facts: object) -> None:
        super().__init__(doing, cause, hint=hint, code=code, **facts)
        self.row = row


class BadMessage(HaloclineError):
    """One message is refused, and to handle it again would not help: raised by a handler, it has the message set aside.

    What to try: mend handler or sender, then `halocline dlq redrive`.
    """


class Unreadable(BadMessage):
    """A message's body is not what was expected. It is tried some times, for another worker may know it, and then set aside.

    What to try: look at it by `halocline dlq show`; mend the model or the sender, then `halocline dlq redrive`.
    """


class SetAside(BadMessage):
    """A message is kept elsewhere now, where dead letters are, with why it was not handled (`__cause__`).

    What to try: delete it where it came from.
    """


class BrokenTransaction(FixConfig, BadMessage):
    """A handler ended the transaction of its effect by itself, or began a second one; some of the effect may be kept.

    What to try: change the handler; until then its messages are set aside, for a repeat would take them for handled.
    """


class AlreadyApplied(HaloclineError):
    """The effect of a message was kept before, with the note that it happened; raised before it would come about again.

    What to try: nothing; the message counts as handled.
    """


class Stop(HaloclineError):
    """Going on would risk data; nothing was published.

    What to try: look before it is run again; the message says at what.
    """


class Truncated(Stop):
    """Fewer rows or bytes arrived than the other side announced, again and again.

    What to try: the same again later; if it stays, what lies between (a proxy), and the other side's support.
    """


class JobFailed(Stop):
    """A remote job ended in a failure of its own; `cause` holds the other side's message.

    What to try: what that message says; the job itself is still to be seen there.
    """


class Refused(Stop):
    """An answer that would empty or gut a table was not published.

    What to try: look why rows are missing at the source; if it is right so, `--allow-empty` or a greater `max_delete_share`.
    """


class Changed(Stop):
    """What was to be read, copied or deleted was replaced since it was looked at; nothing was done.

    What to try: the same again, with what is there now.
    """


class StorageFailed(Stop):
    """Local or destination storage failed: full, read-only or damaged.

    What to try: make room, or mend what the message names; then the same again.
    """


class Stopped(Stop):
    """The first refused row ended a push that was asked to stop there. What was sent stays; `facts["counts"]` tells the rest.

    What to try: mend what `halocline errors RUN` names, in Salesforce, and `halocline retry RUN`; or in the source, and push.
    """

    exit_code = 3  # as of any push that left rows behind: it did what it was asked to do
