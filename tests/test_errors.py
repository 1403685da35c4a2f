"""The error tree says what to do next, and tells it to a person."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from halocline import errors
from halocline.errors import (
    AlreadyApplied,
    BadMessage,
    FixConfig,
    HaloclineError,
    LeaseHeld,
    NetworkFailed,
    NotFound,
    NotSupported,
    RejectRecord,
    RetryLater,
    StillRunning,
    Stop,
    Stopped,
)

TREE = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__}
SECOND_LEVEL = (RetryLater, FixConfig, RejectRecord, BadMessage, AlreadyApplied, Stop)


def depth(kind: type) -> int:
    """How far below the root a class stands, by the shortest way."""
    return 0 if kind is HaloclineError else 1 + min(depth(one) for one in kind.__bases__ if issubclass(one, HaloclineError))


def test_the_drawing_shows_the_tree() -> None:
    """Every class stands in the module's drawing, once, at its depth; nothing else does."""
    drawn = [
        (match[2], 1 + len(match[1]) // 4) for match in re.finditer(r"^    ([│ ├└─]+) (\w+)", errors.__doc__ or "", re.MULTILINE)
    ]
    real = {name: depth(kind) for name, kind in TREE.items() if kind is not HaloclineError}
    assert dict(drawn) == real
    assert len(drawn) == len(real)


@pytest.mark.parametrize("kind", [kind for kind in TREE.values() if kind is not HaloclineError], ids=lambda kind: kind.__name__)
def test_every_error_says_what_to_do_next(kind: type[HaloclineError]) -> None:
    """It is of a kind of the second level, and exits as that kind does: where it is of two, as the first. A push that stopped as
    it was asked to exits as any push that left rows behind.
    """
    level = next(one for one in SECOND_LEVEL if issubclass(kind, one))
    assert kind.exit_code == {Stopped: 3}.get(kind, {RetryLater: 75, FixConfig: 2}.get(level, 1))


@pytest.mark.parametrize(
    ("cause", "hint", "told"),
    [
        ("it broke", "", "Doing this: it broke."),
        ("it broke.", "Try that.", "Doing this: it broke. Try that."),
        ("why?", "Because.", "Doing this: why? Because."),
        ("it broke \n", "", "Doing this: it broke."),
    ],
)
def test_a_message_is_whole_sentences(cause: str, hint: str, told: str) -> None:
    """What was being done, what came back, what to try."""
    assert str(HaloclineError("Doing this", cause, hint=hint)) == told


def test_facts_stay_as_attributes() -> None:
    """A caller reads codes and ids from the error, never from its words."""
    error = StillRunning("Waiting", "not yet", after_s=30.0, code="Timeout", job_id="750x", rows=5)
    assert (error.after_s, error.code, error.facts) == (30.0, "Timeout", {"job_id": "750x", "rows": 5})
    assert (error.doing, error.cause) == ("Waiting", "not yet")


def test_close_names_are_suggested_before_other_hints() -> None:
    """A misspelt name is answered with those that exist."""
    error = NotFound("Reading Acount", "no such object", suggestions=["Account", "AccountTeam"], hint="See the list.")
    assert str(error) == "Reading Acount: no such object. Did you mean Account or AccountTeam? See the list."
    assert error.suggestions == ("Account", "AccountTeam")
    assert str(NotFound("Reading x", "no such object")) == "Reading x: no such object."


def test_what_belongs_to_one_kind_is_kept() -> None:
    """The row refused, the ability missing, the time to wait (unknown where nobody said)."""
    assert RejectRecord("Writing", "no", row=7).row == 7
    assert NotSupported("Querying", "no", ability="bulk").ability == "bulk"
    assert LeaseHeld("Claiming", "held", after_s=3.5).after_s == 3.5
    assert NetworkFailed("Asking", "cut").after_s is None


@pytest.mark.parametrize("kind", [errors.Truncated, errors.LoginRefused, NotFound, NetworkFailed])
def test_an_error_crosses_a_process_border(kind: type[HaloclineError]) -> None:
    """A part may run in another process: its error arrives with words and facts."""
    error = kind("Doing", "cause", hint="try", code="X", job_id="750")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.code, copy.facts) == (kind, str(error), "X", {"job_id": "750"})


@pytest.mark.parametrize("kind", TREE.values(), ids=lambda kind: kind.__name__)
def test_an_error_survives_a_process_border(kind: type[HaloclineError]) -> None:
    """Pickled and back, an error keeps its words, its exit code and its facts."""
    needed = {"row": 3} if kind is RejectRecord else {"ability": "bulk"} if kind is NotSupported else {}
    error = kind("Doing", "what came back", hint="try this", code="X", job_id="750", **needed)  # type: ignore[arg-type]
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.facts, vars(back)) == (kind, str(error), {"job_id": "750"}, vars(error))
