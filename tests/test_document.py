"""Laws of YAML documents: plain data with the lines on which it stands, nothing twice, nothing without end."""

from __future__ import annotations

import pytest

from halocline.document import parsed
from halocline.errors import FixConfig

TEXT = """
a:
  b: 1
  c: [x,
      y]
d: {e: 2}
f: &one {g: 3}
h: *one
"""
BOMB = "b0: &b0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]\n" for n in range(1, 9))


def test_each_value_has_its_line() -> None:
    """Counted from 1; of something that is not there, the line of what would hold it."""
    found = parsed(TEXT, "Reading")
    places = [("a",), ("a", "b"), ("a", "c"), ("a", "c", 1), ("d", "e"), ("h", "g"), ("a", "nothing"), ("nothing",), ()]
    assert [found.line(place) for place in places] == [2, 3, 4, 5, 6, 7, 2, 1, 1]
    assert found.value["h"] == {"g": 3}


def test_an_empty_document_is_nothing() -> None:
    """Also one of comments only."""
    assert [parsed(text, "Reading").value for text in ("", "# only this\n", "---\n")] == [None, None, None]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3", "line 3 says 'a' a second time. Once is enough."),
        ("a: &x [*x]", "line 1: aliases make it hold itself"),
        (BOMB, "more than 100,000 values"),
        ("a: !!python/name:os.system", "it is no YAML"),
        ("a: 1\n---\nb: 2", "it is no YAML"),
        ("\ta: 1", "it is no YAML"),
        ("a: 1\nb: [1, 2\nc: 3", "it is no YAML: line 3: expected ',' or ']', but got ':'"),
        ("a: 1\nb: *there", "it is no YAML: line 2: found undefined alias '...'"),
        ("a: 1\nb: \x07", "it is no YAML: line 2: special characters are not allowed"),
        ("a: 1\nb: 2026-02-30", "line 2 holds no timestamp that can be. Put it in quotes"),
        (f"a: 1\nb:\n  c: [{'9' * 5_000}]", "line 3 holds no int that can be"),
        ("a: !!bool x", "line 1 holds no bool that can be"),
        ("!!map [a, b]", "it is no YAML: line 1"),
        ("a: 1\nx: !!map abc", "it is no YAML: line 2"),
        ("a: !!set [x]", "it is no YAML: line 1"),
        ("a: !!timestamp x", "line 1 holds no timestamp that can be"),
        ("[" * 1_000, "it is no YAML: it goes deeper than"),
    ],
)
def test_what_is_no_document_is_refused(text: str, says: str) -> None:
    """With the line, at once, and without building anything."""
    with pytest.raises(FixConfig) as caught:
        parsed(text, "Reading", twice="Once is enough.")
    assert says in str(caught.value)
    assert caught.value.__cause__ is None
