"""Laws of SOQL's tokens and literals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline.emulator.errors import ApiError
from halocline.emulator.soql import lexer
from halocline.emulator.soql.ast import Literal
from halocline.emulator.soql.literals import bound


def one(text: str) -> lexer.Token:
    """The only token of a text."""
    token, end = lexer.tokenize(text)
    assert end.kind == lexer.END
    return token


def strings(soql: str) -> list[str]:
    """What the strings of a query mean."""
    return [lexer.unescaped(soql, token) for token in lexer.tokenize(soql) if token.kind == lexer.STRING]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Name__c", lexer.NAME),
        ("'it''".replace("''", "\\''"), lexer.STRING),
        ("-1.5e3", lexer.NUMBER),
        ("2026-11-20", lexer.DATE),
        ("2026-11-20T08:30:00Z", lexer.DATETIME),
        ("2026-11-20T08:30:00.123+05:30", lexer.DATETIME),
        ("08:30:00.000Z", lexer.TIME),
        ("<=", lexer.MARK),
    ],
)
def test_each_kind_of_token_is_recognised(text: str, kind: str) -> None:
    """A token keeps its text and knows its kind."""
    assert (one(text).kind, one(text).text) == (kind, text)


@pytest.mark.parametrize(
    ("source", "meaning"),
    [
        (r"'a\'b'", "a'b"),
        (r"'\"'", '"'),
        (r"'a\\b'", "a\\b"),
        (r"'\n\r\t\b\f\N'", "\n\r\t\b\f\n"),
        (r"'100\% \_'", "100% _"),
        (r"'\u00e9\uD83D\uDE00'", "é😀"),
        ("'é😀'", "é😀"),
        (r"'\u005c_'", "\\_"),
    ],
)
def test_escapes_mean_what_the_reference_says(source: str, meaning: str) -> None:
    """Every escape of the reference becomes its character."""
    assert lexer.plain_text(lexer.unescaped(source, one(source))) == meaning


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_can_be_quoted(text: str) -> None:
    """Text with backslashes and quotes escaped is read back as it was."""
    source = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    assert lexer.plain_text(lexer.unescaped(source, one(source))) == text


@pytest.mark.parametrize(
    ("soql", "place"),
    [
        ("SELECT 'x", "Row:1:Column:9\nline 1:9 mismatched character '<EOF>' expecting '''"),
        ("SELECT\n  #", "Row:2:Column:2\nline 2:2 no viable alternative at character '#'"),
        ("select Id from Account where id = $sfid", "Row:1:Column:34\nline 1:34 no viable alternative at character '$'"),
        ("$", "line 1:0 no viable alternative at character '$'"),
        ("SELECT *", "Row:1:Column:7\nunexpected token: '*'"),
        (r"'\q'", "Row:1:Column:1\nInvalid string literal"),
    ],
)
def test_what_is_no_token_is_refused_with_its_place(soql: str, place: str) -> None:
    """A bad character, an open string and a bad escape are MALFORMED_QUERY at their row and column."""
    with pytest.raises(ApiError) as refused:
        strings(soql)
    assert refused.value.code == "MALFORMED_QUERY"
    assert place in refused.value.message


@pytest.mark.parametrize(
    ("kind", "text", "stored"),
    [
        ("datetime", "2026-11-20T08:30:00Z", "2026-11-20T08:30:00.000Z"),
        ("datetime", "2026-11-20T00:30:00.5+02:00", "2026-11-19T22:30:00.500Z"),
        ("datetime", "2026-11-20T23:30:00-0130", "2026-11-21T01:00:00.000Z"),
        ("date", "2026-02-28", "2026-02-28"),
        ("time", "08:30:00Z", "08:30:00.000Z"),
    ],
)
def test_moments_are_compared_in_utc_as_they_are_stored(kind: str, text: str, stored: str) -> None:
    """A date or time literal in any zone becomes the stored spelling of the same moment."""
    assert bound(Literal(kind, text, 0), kind, soql=text, name="X", at=0) == stored


@pytest.mark.parametrize(("kind", "text"), [("date", "2026-02-30"), ("datetime", "2026-13-01T00:00:00Z"), ("time", "25:00:00Z")])
def test_impossible_moments_are_refused(kind: str, text: str) -> None:
    """A date that does not exist is MALFORMED_QUERY."""
    with pytest.raises(ApiError, match="MALFORMED_QUERY"):
        bound(Literal(kind, text, 0), kind, soql=text, name="X", at=0)
