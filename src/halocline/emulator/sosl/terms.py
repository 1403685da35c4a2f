"""The words after FIND: parsed into a condition that a record's words meet or not.

Source: SOQL and SOSL Reference, "FIND {SearchQuery}": words, "phrases", `*` and `?`, AND, OR, AND NOT and parentheses, in any
case; words side by side must all be there; a backslash takes a character's meaning away. What an inflected word or a synonym
would also find in Salesforce is not found here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from halocline.emulator.errors import ApiError

MOST_CHARACTERS = 10_000  # a longer text finds nothing. Source: SOQL and SOSL Reference, "SOSL Syntax"
MOST_DEPTH = 50  # nested parentheses; ours, so that no search ends this process

Words: TypeAlias = Sequence[Sequence[str]]  # of each field that is searched, in lower case
Matches: TypeAlias = Callable[[Words], bool]

_TOKEN = re.compile(r'\s*(?:(?P<mark>[()])|"(?P<phrase>(?:[^"\\]|\\.)*)"?|(?P<word>(?:[^\s()"\\]|\\.|\\\Z)+))', re.DOTALL)
_WORD = re.compile(r"\w+")
_PIECES = re.compile(r"[\w*?]+")


def words_of(text: str) -> list[str]:
    """The words of a field's text, as a search sees them."""
    return _WORD.findall(text.casefold())


def matcher(text: str) -> Matches:
    """What the text after FIND asks for.

    Raises: ApiError(400, INVALID_SEARCH) if it has no two letters to look for, MALFORMED_SEARCH if operators or parentheses
    miss their operands. Source: the words of the first as recorded from real orgs; those of the second are unverified.
    """
    if len(text) > MOST_CHARACTERS:
        return lambda _: False
    if len(re.sub(r"[\W_]", "", re.sub(r"(?i)\b(?:and|or|not)\b", "", text))) < 2:
        raise ApiError(400, "INVALID_SEARCH", f"search term must be longer than one character: {text}")
    return _Parser(text).whole()


class _Parser:
    """Recursive descent; OR binds weaker than AND, as in the reference's examples."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._depth = 0

    def whole(self) -> Matches:
        found = self._either()
        if self._tokens:
            raise self._malformed(self._tokens[0][1])
        return found

    def _either(self) -> Matches:
        sides = [self._both()]
        while self._next_is("or"):
            self._tokens.pop(0)
            sides.append(self._both())
        return sides[0] if len(sides) == 1 else lambda words: any(side(words) for side in sides)

    def _both(self) -> Matches:
        sides = [self._one()]
        while self._tokens and not self._next_is("or") and self._tokens[0] != ("mark", ")"):
            if self._next_is("and"):
                self._tokens.pop(0)
            sides.append(self._one())
        return sides[0] if len(sides) == 1 else lambda words: all(side(words) for side in sides)

    def _one(self) -> Matches:
        if self._next_is("not"):
            self._tokens.pop(0)
            operand = self._one_inside()
            return lambda words: not operand(words)
        return self._one_inside()

    def _one_inside(self) -> Matches:
        if not self._tokens or self._tokens[0] == ("mark", ")") or self._next_is("and") or self._next_is("or"):
            raise self._malformed(self._tokens[0][1] if self._tokens else "<EOF>")
        kind, text = self._tokens.pop(0)
        if kind != "mark":
            return _term(text)
        return self._grouped()

    def _grouped(self) -> Matches:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise self._malformed("(")
        found = self._either()
        if not self._tokens:
            raise self._malformed("<EOF>")
        self._tokens.pop(0)
        self._depth -= 1
        return found

    def _next_is(self, operator: str) -> bool:
        return bool(self._tokens) and self._tokens[0][0] == "word" and self._tokens[0][1].lower() == operator

    def _malformed(self, token: str) -> ApiError:
        return ApiError(400, "MALFORMED_SEARCH", f"unexpected token: '{token}' in search text: {self._text}")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = [(str(match.lastgroup), str(match[str(match.lastgroup)])) for match in _TOKEN.finditer(text)]
    return [token for token in tokens if token[0] == "mark" or _pieces(token[1])]


def _term(text: str) -> Matches:
    """A word, or several that stand side by side in one field: a phrase, or a word with punctuation inside."""
    pieces = _pieces(text)
    return lambda fields: any(_stand_in(words, pieces) for words in fields)


def _pieces(text: str) -> list[str]:
    """The words of the text with their wildcards; a character that was escaped only parts words."""
    plain = re.sub(r"\\.", lambda match: match[0][1] if match[0][1].isalnum() else " ", text, flags=re.DOTALL)
    # A wildcard at the beginning says nothing: the reference knows it in the middle and at the end.
    return [piece for one in _PIECES.findall(plain.casefold()) if (piece := one.lstrip("*?"))]


def _stand_in(words: Sequence[str], pieces: Sequence[str]) -> bool:
    starts = range(len(words) - len(pieces) + 1)
    return any(all(_fits(words[start + at], piece) for at, piece in enumerate(pieces)) for start in starts)


def _fits(word: str, piece: str) -> bool:
    """Whether the word is the piece, `*` standing for any characters and `?` for one, in time of their lengths' product."""
    at = under = 0
    star, resume = -1, 0
    while at < len(word):
        if under < len(piece) and piece[under] == "*":
            star, resume = under, at
            under += 1
        elif under < len(piece) and piece[under] in ("?", word[at]):
            at += 1
            under += 1
        elif star >= 0:
            resume += 1
            at, under = resume, star + 1
        else:
            return False
    return not piece[under:].strip("*")
