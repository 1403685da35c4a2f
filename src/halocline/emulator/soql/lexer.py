"""SOQL text -> tokens that know where they stand.

Source: SOQL and SOSL Reference, "Quoted String Escape Sequences" and "Date Formats and Date Literals in WHERE".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from halocline.emulator.errors import ApiError
from halocline.emulator.soql.refusal import refusal, unexpected, unreadable

NAME, STRING, NUMBER, DATE, DATETIME, TIME, MARK, END = "name", "string", "number", "date", "datetime", "time", "mark", "end"

_TIME = r"\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:?\d{2})"
_PATTERNS = (
    (DATETIME, rf"\d{{4}}-\d{{2}}-\d{{2}}[Tt]{_TIME}"),
    (DATE, r"\d{4}-\d{2}-\d{2}(?![\w:])"),
    (TIME, _TIME),
    (NUMBER, r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?!\w)"),
    (NAME, r"[A-Za-z_]\w*"),
    (STRING, r"'(?:[^'\\]|\\.)*'"),
    (MARK, r"!=|<>|<=|>=|[=<>(),.:]"),
)
_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS), re.DOTALL | re.ASCII)
_SPACE = re.compile(r"\s*")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"_": "_", "%": "%", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its kind, the text as written, and the offset of its first character."""

    kind: str
    text: str
    at: int

    def is_word(self, word: str) -> bool:
        """Whether it is that keyword, in any case."""
        return self.kind == NAME and self.text.lower() == word


def tokenize(soql: str) -> list[Token]:
    """The tokens of a query, with an end token last.

    Raises: ApiError MALFORMED_QUERY for a character that begins no token, a bad escape, or a string that does not end.
    """
    tokens = []
    position = _skip(soql, 0)
    while position < len(soql):
        match = _TOKEN.match(soql, position)
        if match is None:
            raise _bad_character(soql, position)
        tokens.append(Token(str(match.lastgroup), match.group(), position))
        position = _skip(soql, match.end())
    return [*tokens, Token(END, "<EOF>", len(soql))]


def unescaped(soql: str, token: Token) -> str:
    """The text that a string token means, with `_`, `%` and a backslash that were escaped still escaped: LIKE needs to know.

    Raises: ApiError MALFORMED_QUERY for an escape that SOQL does not have.
    """
    text = _ESCAPE.sub(lambda m: _escape(soql, token, m), token.text[1:-1])
    # Two \\u escapes may be the halves of one character.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escape(soql: str, token: Token, match: re.Match[str]) -> str:
    code = match.group(1)
    plain = chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code.lower())
    if plain is None:
        message = f"Invalid string literal {token.text}. Illegal character sequence '\\{code}' in string literal."
        raise refusal(soql, token.at, message)
    return f"\\{plain}" if plain in "\\_%" else plain


def plain_text(text: str) -> str:
    """An unescaped string as `=` compares it, with no escape left."""
    return re.sub(r"\\([_%\\])", r"\1", text)


def _skip(soql: str, position: int) -> int:
    match = _SPACE.match(soql, position)
    return match.end() if match else position


def _bad_character(soql: str, position: int) -> ApiError:
    if soql[position] == "'":
        return unreadable(soql, len(soql), problem="mismatched character '<EOF>' expecting '''")
    if soql[position] == "*":
        return unexpected(soql, position, "*")
    return unreadable(soql, position, problem=f"no viable alternative at character '{soql[position]}'")
