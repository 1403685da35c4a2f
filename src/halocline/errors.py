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
    └── Stop                  going on would risk data                                            (exit 1)
        ├── Truncated         fewer rows or bytes than the other side announced
        ├── JobFailed         a remote job ended in a failure of its own
        ├── Refused           an answer that would empty or gut a table
        ├── Changed           an object is no longer the one that was meant
        ├── StorageFailed     disk full, read-only, locked or damaged
        └── Stopped           the first refused row ended a push, as it was asked to; all that became of the rows is booked

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
    """Nothing is wrong here; the same call may work after `after_s` seconds (None: unknown)."""

    exit_code = 75

    def __init__(
        self, doing: str, cause: str, *, after_s: float | None = None, hint: str = "", code: str | None = None, **facts: object
    ) -> None:
        super().__init__(doing, cause, hint=hint, code=code, **facts)
        self.after_s = after_s


class NetworkFailed(RetryLater):
    """No answer, or a broken one, after all retries."""


class QuotaExhausted(RetryLater):
    """The other side's daily or concurrent limit is used up."""


class StillRunning(RetryLater):
    """A remote job outlived the deadline; it was not aborted, and its id is in `facts["job_id"]`."""


class LeaseHeld(RetryLater):
    """Somebody else holds the lease of this flow."""


class NotAllHandled(RetryLater):
    """Some of what came in was not handled; `results` tells of each piece. Delivered again, only what is missing is done."""

    def __init__(
        self, doing: str, cause: str, *, results: Sequence[object] = (), hint: str = "", code: str | None = None, **facts: object
    ) -> None:
        super().__init__(doing, cause, hint=hint, code=code, after_s=None, **facts)
        self.results = tuple(results)


class LeaseLost(RetryLater):
    """A newer run took over this flow; this run's commit was not made."""


class FixConfig(HaloclineError):
    """A person must change a login, a name, a setting or a right before this can work."""

    exit_code = 2


class LoginRefused(FixConfig):
    """The other side did not accept the credentials."""


class NotFound(FixConfig):
    """An object, field, table or file does not exist, or is hidden from this user; `suggestions` are close names."""

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
    """The user lacks a right."""


class BadQuery(FixConfig):
    """The other side could not understand a query or a clause."""


class SchemaConflict(FixConfig):
    """A column changed in a way that no load may paper over."""


class NotSupported(FixConfig):
    """The other side cannot do it this way; `ability` names the one to plan without (`bulk`)."""

    def __init__(self, doing: str, cause: str, *, ability: str, hint: str = "", code: str | None = None, **facts: object) -> None:
        super().__init__(doing, cause, hint=hint, code=code, **facts)
        self.ability = ability


class MissingExtra(FixConfig):
    """A driver is not installed; the hint names the extra that brings it."""


class RejectRecord(HaloclineError):
    """One record is refused (`row` is its number in the part); the run goes on without it."""

    def __init__(self, doing: str, cause: str, *, row: int, hint: str = "", code: str | None = None, **facts: object) -> None:
        super().__init__(doing, cause, hint=hint, code=code, **facts)
        self.row = row


class Stop(HaloclineError):
    """Going on would risk data; nothing was published."""


class Truncated(Stop):
    """Fewer rows or bytes arrived than the other side announced, again and again."""


class JobFailed(Stop):
    """A remote job ended in a failure of its own; `cause` holds the other side's message."""


class Refused(Stop):
    """An answer that would empty or gut a table was not published."""


class Changed(Stop):
    """What was to be read, copied or deleted was replaced since it was looked at; nothing was done."""


class StorageFailed(Stop):
    """Local or destination storage failed: full, read-only, locked or damaged."""


class Stopped(Stop):
    """The first refused row ended a push that was asked to stop there. What was sent stays; `facts["counts"]` tells the rest."""
