"""Laws of record ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline.emulator import ids


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("001D000000IqhSL", "001D000000IqhSLIAZ"),
        ("750R0000000zlh9", "750R0000000zlh9IAA"),
        ("005000000000001", "005000000000001AAA"),
    ],
)
def test_check_characters_are_those_of_real_ids(short: str, full: str) -> None:
    """15 characters become the 18 that Salesforce shows, and 18 stay."""
    assert ids.to_18(short) == full
    assert ids.to_18(full) == full


@given(st.integers(0, 62**9 - 1), st.integers(0, 62**9 - 1))
def test_ids_sort_as_their_serials_and_give_them_back(one: int, other: int) -> None:
    """Text order of ids is order of making, and the serial can be read from the id."""
    first, second = ids.record_id("a0B", one), ids.record_id("a0B", other)
    assert (first[:15] < second[:15]) == (one < other)
    assert ids.serial_of(first) == one
    assert ids.is_valid(first)
    assert ids.to_18(first[:15]) == first


@pytest.mark.parametrize("bad", ["", "001", "001D000000IqhSLIAA", "001D000000Iqh-L", "001D000000IqhSLI", "001D000000IqhSéIAZ"])
def test_what_is_no_id_is_refused(bad: str) -> None:
    """Wrong length, letters or check characters make no id."""
    assert not ids.is_valid(bad)
    with pytest.raises(ValueError, match="not a record id"):
        ids.to_18(bad)


def test_ids_of_other_instances_have_no_serial() -> None:
    """Only ids made here give a serial."""
    assert ids.serial_of("001D000000IqhSLIAZ") is None


@pytest.mark.parametrize(("prefix", "serial"), [("0", 1), ("00!", 1), ("001", -1), ("001", 62**9)])
def test_impossible_ids_are_refused(prefix: str, serial: int) -> None:
    """A bad prefix or a serial that does not fit raises ValueError."""
    with pytest.raises(ValueError, match=r"prefix|fit"):
        ids.record_id(prefix, serial)
