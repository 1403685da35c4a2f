"""Windows and positions: no row falls between two reads."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline.connector import Deletes
from halocline.connectors.salesforce import window
from halocline.errors import Refused, SchemaConflict
from halocline.shaping import Shaping

NOW = datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)
SCOPE = window.Scope(
    "Account", "SystemModstamp", ("Id", "Name", "SystemModstamp"), None, Deletes.SOFT, "decimal", replicateable=True
)


def begun(since: Any, scope: window.Scope = SCOPE, *, now: datetime = NOW, overlap_s: float = 600.0) -> window.Start:
    return window.start(since, scope, now=now, overlap_s=overlap_s)


def test_a_first_read_starts_at_the_beginning_without_a_reason() -> None:
    """No position means everything, and that needs no explanation."""
    assert begun(None) == window.Start(None, None)


def test_a_later_read_starts_an_overlap_before_the_stamp() -> None:
    """The window begins at the position's stamp less the overlap."""
    assert begun(SCOPE.position(NOW)) == window.Start(NOW - timedelta(seconds=600))
    assert begun(SCOPE.position(NOW), overlap_s=0) == window.Start(NOW)


@pytest.mark.parametrize(
    ("changes", "word", "same"),
    [
        ({"object": "Contact"}, "object", False),
        ({"cursor": "CreatedDate"}, "stamp", True),
        ({"cursor": None}, "no stamp", True),
        ({"cursor": None, "where": "(A = 1)"}, "no stamp", False),
        ({"where": "(A = 1)"}, "where", False),
        ({"deletes": Deletes.HARD}, "deletes", False),
        ({"numbers": "double"}, "numbers", False),
        ({"shape": "another"}, "renaming or masking", False),
        ({"fields": ("Id", "Name", "New__c", "SystemModstamp")}, "New__c", True),
        ({"fields": ("Id", "Name", "New__c", "SystemModstamp"), "shape": "another"}, "renaming or masking", False),
    ],
)
def test_another_scope_is_read_from_the_beginning(changes: dict[str, Any], word: str, same: bool) -> None:
    """A position is good for the settings that it was made with; the reason names what differs. Only what the user said makes it
    another question.
    """
    start = begun(SCOPE.position(NOW), replace(SCOPE, **changes))
    assert start.low is None
    assert word in (start.reason or "")
    assert start.same_question is same


SHAPED = replace(SCOPE, fields=("Id", "Name", "Email", "Owner.Name"), kinds=("id", "text", "text", "text"))


def shaped(renames: dict[str, str] | None = None, masks: dict[str, str] | None = None) -> window.Scope:
    return replace(SHAPED, shape=Shaping(renames or {}, masks or {}, secret="a long secret").scope)


@pytest.mark.parametrize(
    ("before", "now", "frozen", "discards"),
    [
        (shaped(), shaped({"email": "mail"}), "Email was called Email and is called mail", True),
        (shaped({"Email": "mail"}), shaped(), "Email was called mail and is called Email", True),
        (shaped({"Email": "mail"}), shaped({"Email": "post"}), "Email was called mail and is called post", True),
        (shaped(), shaped({"Owner.Name": "owner"}), "Owner.Name was called Owner_Name and is called owner", True),
        (shaped(), shaped({"Email": "Name", "Name": "Email"}), "Name was called Name and is called Email", True),
        (shaped(), shaped(masks={"email": "hash"}), "Email was not masked and is hashed", False),
        (shaped(masks={"Email": "hash"}), shaped(masks={"Email": "null"}), "Email was hashed and is nulled", False),
        (shaped(masks={"Email": "null"}), shaped(), "Email was nulled and is not masked", False),
    ],
)
def test_other_names_and_masks_are_other_columns(before: window.Scope, now: window.Scope, frozen: str, discards: bool) -> None:
    """Freeze refuses both, discard the names, which it can neither add nor leave out; a table without a position takes all."""
    since = before.position(NOW)
    with pytest.raises(SchemaConflict, match=frozen):
        window.refuse_drift(since, now)
    if discards:
        with pytest.raises(SchemaConflict, match=frozen):
            window.refuse_other_names(since, now)
    else:
        window.refuse_other_names(since, now)
    for same in (None, now.position(NOW)):
        window.refuse_drift(same, now)
        window.refuse_other_names(same, now)


def test_a_name_in_another_case_is_the_same_column() -> None:
    """As it is in every destination."""
    window.refuse_drift(shaped().position(NOW), shaped({"Email": "EMAIL"}))


@pytest.mark.parametrize(
    ("before", "now", "alone", "versions"),
    [
        (shaped(), shaped({"Email": "mail"}, {"Email": "hash"}), True, True),
        (shaped(), shaped({"Email": "mail"}, {"EMAIL": "null"}), True, True),
        (shaped({"Email": "mail"}), shaped({}, {"Email": "hash"}), True, True),
        (shaped({}, {"Email": "hash"}), shaped({"Email": "mail"}, {"Email": "null"}), True, True),
        (shaped(), shaped({"Email": "Name", "Name": "Email"}, {"Email": "hash"}), False, True),
        (shaped(), shaped({}, {"Email": "hash"}), False, True),
        (shaped(), shaped({"Email": "mail"}), False, False),
        (shaped({}, {"Email": "hash"}), shaped({"Email": "mail"}, {"Email": "hash"}), False, False),
        (shaped({}, {"Email": "null"}), shaped({"Email": "mail"}, {"Email": "hash"}), False, False),
        (shaped({}, {"Email": "hash"}), shaped(), False, False),
    ],
)
def test_masks_leave_no_plain_value_behind(before: window.Scope, now: window.Scope, alone: bool, versions: bool) -> None:
    """A column that is to show less is refused where old values would stay: under its old name, or in ended versions."""
    since = before.position(NOW)
    for refused, kept in ((alone, False), (versions, True)):
        with pytest.raises(SchemaConflict, match="Email is to be masked") if refused else nullcontext():
            window.refuse_exposed(since, now, versions=kept)
        window.refuse_exposed(None, now, versions=kept)


@pytest.mark.parametrize("shape", ["", "{", "[]", '{"rename": 3}', 7])
def test_a_shape_that_cannot_be_read_is_none(shape: object) -> None:
    """Positions of other versions end nothing; everything is read, because the shape is another."""
    since = {**SHAPED.position(NOW), "shape": shape}
    window.refuse_exposed(since, SHAPED)
    assert begun(since, SHAPED).low is None


def test_fewer_fields_need_no_new_read() -> None:
    """A field that is gone leaves the rows that were read as they are."""
    assert begun(SCOPE.position(NOW), replace(SCOPE, fields=("Id", "SystemModstamp"))).low is not None


@pytest.mark.parametrize("since", [{}, {"stamp": 5}, {"stamp": "yesterday"}, {"stamp": "2026-01-01T00:00:00"}])
def test_an_unreadable_position_is_read_from_the_beginning(since: Any) -> None:
    """What cannot be trusted is not built upon."""
    start = begun(since)
    assert start.low is None
    assert start.reason
    assert not start.same_question


def test_a_position_of_the_future_is_read_from_the_beginning() -> None:
    """After the server's clock was set back, what changed since may be older than the position; the overlap bears a little."""
    assert begun(SCOPE.position(NOW + timedelta(seconds=600))).low == NOW
    start = begun(SCOPE.position(NOW + timedelta(seconds=601)))
    assert start.low is None
    assert "future" in (start.reason or "")
    assert start.same_question


def test_an_object_without_a_stamp_is_always_read_in_full() -> None:
    """Without a cursor there is no window."""
    scope = replace(SCOPE, cursor=None)
    assert "no stamp" in (begun(scope.position(NOW), scope).reason or "")


def test_deletions_reach_back_fifteen_days() -> None:
    """An older position is of no use while deletions matter; where they do not, or cannot be told, it is."""
    old = NOW - timedelta(days=15)
    late = begun(SCOPE.position(old))
    assert "15 days" in (late.reason or "")
    assert late.same_question
    limited = replace(SCOPE, where="(Site = 'open')")
    assert not begun(limited.position(old), limited).same_question, "what the answer lacks may only have ceased to meet it"
    assert begun(SCOPE.position(NOW - timedelta(days=14))).low is not None
    ignoring = replace(SCOPE, deletes=Deletes.IGNORE)
    assert begun(ignoring.position(old), ignoring).low is not None
    untold = replace(SCOPE, replicateable=False)
    assert begun(untold.position(old), untold).low is not None


def test_the_next_stamp_never_passes_what_is_complete() -> None:
    """It is the earlier of the clock and what Salesforce vouches for, and lags where Salesforce says nothing."""
    early, late = NOW - timedelta(minutes=3), NOW + timedelta(minutes=1)
    assert window.next_stamp(NOW, early) == early
    assert window.next_stamp(NOW, late) == NOW
    assert window.next_stamp(NOW, None) == NOW - timedelta(seconds=window.LAG_S)


@given(
    st.integers(0, 10**6),
    st.integers(0, 7200),
    st.integers(0, 7200),
    st.sampled_from([0.0, 1.0, 600.0]),
)
def test_windows_touch_or_overlap(first: int, gap: int, behind: int, overlap_s: float) -> None:
    """Whatever the clock and `latestDateCovered` say, the next window begins at or before the instant where this one ends."""
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=first)
    position = SCOPE.position(window.next_stamp(now, now - timedelta(seconds=behind)))
    later = begun(position, now=now + timedelta(seconds=gap), overlap_s=overlap_s)
    assert later.low is not None
    assert later.low < window.high(now)
    assert later.low <= now - timedelta(seconds=behind)


def test_the_second_under_way_is_read() -> None:
    """Stamps have whole seconds: the bound is the next one."""
    assert window.high(NOW.replace(microsecond=999_999)) == NOW + timedelta(seconds=1)


def test_deletions_are_asked_for_in_whole_minutes_that_cover_the_window() -> None:
    """The range holds the window and the minute under way, and an hour at least, so that old changes hold the stamp back."""
    low = NOW - timedelta(hours=3)
    assert window.deletions(low, NOW) == (datetime(2026, 11, 21, 7, 20, tzinfo=UTC), datetime(2026, 11, 21, 10, 21, tzinfo=UTC))
    assert window.deletions(None, NOW)[0] == datetime(2026, 11, 21, 9, 20, tzinfo=UTC)
    assert window.deletions(NOW, NOW)[0] == datetime(2026, 11, 21, 9, 20, tzinfo=UTC)


def test_the_position_of_another_org_is_refused_and_an_unknown_one_is_not() -> None:
    """Two orgs never mix in one table; a position from before orgs were noted is taken as it is."""
    position = replace(SCOPE, org="00D000000000001").position(NOW)
    with pytest.raises(Refused, match=r"00D000000000001.*00D000000000002"):
        window.refuse_other_org(position, replace(SCOPE, org="00D000000000002"))
    for since, org in (
        (position, "00D000000000001"),
        (position, None),
        ({**position, "org": None}, "00D000000000002"),
        (None, "x"),
    ):
        window.refuse_other_org(since, replace(SCOPE, org=org))
