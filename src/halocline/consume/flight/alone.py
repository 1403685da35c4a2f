"""Alone: a message that is set aside when one more worker dies over it runs with nothing beside it.

Who dies takes along whatever ran or was claimed beside it. So the claim of such a message is given back at once; when nothing
else runs it is claimed anew, by itself, and begins; and nothing else begins or is claimed until it came to an end, or has run for
a while. So what is set aside as poison was alone when its last worker died, and what only ran beside poison is not set aside.
"""

from __future__ import annotations

from halocline.consume.flight.roster import Phase, Stay
from halocline.consume.limits import Limits
from halocline.idempotency import Claim

_AWAY = frozenset({Phase.BURYING, Phase.DELETING, Phase.LEAVING, Phase.GONE})


class Alone:
    """Who is to run alone, if anybody."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._stay: Stay | None = None
        self._refused: list[Stay] = []

    @property
    def is_on(self) -> bool:
        """Whether there was one when `keeps_out` was asked last."""
        return self._stay is not None

    def is_for(self, claim: Claim) -> bool:
        """Whether one more death would set the message aside."""
        return 0 < claim.deaths == self._limits.poison_after - 1

    def admit(self, stay: Stay) -> bool:
        """Whether the message can begin; if not, its claim is to be given back, and it may be the one that begins later."""
        if self.has(stay):
            return True
        if self._stay is None or self._stay.phase in _AWAY:
            self._stay = stay
        else:
            self._refused.append(stay)
        return False

    def has(self, stay: Stay) -> bool:
        """Whether this is the one."""
        return self._stay is stay

    def to_claim(self, busy: int) -> Stay | None:
        """The message to claim now, where nothing else runs or is being claimed."""
        stay = self._stay
        if stay is None or busy or (stay.phase is not Phase.WAITING and stay.phase is not Phase.UNCLAIMED):
            return None
        self._refused = [one for one in self._refused if one.phase is Phase.SAYING]
        return None if self._refused else stay

    def to_begin(self) -> Stay | None:
        """The message to begin now."""
        stay = self._stay
        return stay if stay is not None and stay.phase is Phase.READY else None

    def keeps_out(self, now: float) -> bool:
        """Whether no other message may begin."""
        stay = self._stay
        if stay is None:
            return False
        is_late = stay.phase is Phase.RUNNING and now >= stay.started_at + self._limits.alone_s
        if is_late or stay.phase in _AWAY:
            self._stay = None
        return self._stay is not None

    def due(self) -> float | None:
        """When others may begin again though it is still running."""
        stay = self._stay
        return stay.started_at + self._limits.alone_s if stay is not None and stay.phase is Phase.RUNNING else None
