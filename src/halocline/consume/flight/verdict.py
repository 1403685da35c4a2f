"""Verdict: whether a message may be run, by what was found for its key. Workers, Lambda and callers by hand have the same one."""

from __future__ import annotations

from halocline.consume.limits import Limits
from halocline.idempotency import Claim, State


def why_aside(claim: Claim, limits: Limits) -> str:
    """Why a message whose key nobody else works on is to be set aside, and not run; "": it may be run."""
    if claim.state is State.MISMATCH:
        return f"its key {claim.key!r} stands for another message"
    if claim.state is State.QUARANTINED:
        return f"it was set aside before, and came again: {claim.reason}"
    if claim.deaths >= limits.poison_after:
        return f"{claim.deaths} workers died, or stood still, over it"
    if claim.deaths and limits.in_doubt != "run":
        return "a worker died over it: whether its effect came about is in doubt"
    return ""
