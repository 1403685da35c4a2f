"""Laws of exact JSON: a quick look refuses what a close one does, and numbers keep their digits."""

from __future__ import annotations

from decimal import Decimal

import pytest

from halocline.exact_json import NoJSON, json_text, see_json, value_of

TEXTS = (
    *('{"a": [1, -2.5, null, true, "x"]}', "1e5", f"[{'9' * 500}]", '"\\u00e4"', f"[{'1' * 99}, {'2' * 100}]"),
    *("{", "", "[1,]", "NaN", "[Infinity]", "01", "1e999999999", f"[{'9' * 200_000}]", "'a'", "[" * 100_000),
)


@pytest.mark.parametrize("text", TEXTS, ids=[str(number) for number in range(len(TEXTS))])
def test_a_text_is_refused_by_the_quick_look_as_by_the_close_one(text: str) -> None:
    """The same texts pass, and the same reason is told of the others."""
    said = []
    for look in (see_json, value_of):
        try:
            look(text)
            said.append("taken")
        except NoJSON as reason:
            said.append(str(reason))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.50"), "1.50"),
        (Decimal("-0"), "-0"),
        (Decimal("1E+2"), "100"),
        (Decimal("0E-6"), "0.000000"),
        (Decimal("0E-10"), "0.0000000000"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("1E+100"), "1E+100"),
        (Decimal("12345678901234567890.12"), "12345678901234567890.12"),
        ({"a": [None, True, 1], "ä\n": 'q"'}, '{"a": [null, true, 1], "ä\\n": "q\\""}'),
        ({1: "x"}, '{"1": "x"}'),
    ],
)
def test_json_has_every_digit(value: object, text: str) -> None:
    """Short numbers and long ones, whatever their exponent."""
    assert json_text(value) == text


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), {1: "x", "1": "y"}, object()])
def test_what_json_has_no_form_for_is_refused(value: object) -> None:
    """Numbers that are not finite, keys that are one and the same, and anything else."""
    with pytest.raises(NoJSON):
        json_text(value)
