"""SOQL tokens -> Query, by recursive descent; one method per rule of the grammar.

Source: SOQL and SOSL Reference, "SOQL SELECT Syntax", "Logical Operators", "Comparison Operators".
"""

from __future__ import annotations

from dataclasses import replace

from halocline.emulator.errors import ApiError
from halocline.emulator.soql import lexer
from halocline.emulator.soql.ast import (
    Call,
    Comparison,
    Condition,
    Expression,
    FieldPath,
    Item,
    Junction,
    Literal,
    Membership,
    Not,
    Ordering,
    Query,
    SemiJoin,
)
from halocline.emulator.soql.dates import is_relative, takes_count
from halocline.emulator.soql.lexer import Token, tokenize
from halocline.emulator.soql.refusal import refusal, unexpected

MAX_CHARACTERS = 100_000  # SOQL and SOSL Reference, "SOQL and SOSL Limits for Search Queries"
MAX_OFFSET = 2_000  # SOQL and SOSL Reference, "OFFSET"
MAX_STRING = 4_000  # characters of a string in WHERE; same limits page
MAX_DEPTH = 100  # nested parentheses; ours, so that no query ends this process

COMPARISONS = frozenset({"=", "!=", "<>", "<", "<=", ">", ">="})
# Words that end a FROM clause or a SELECT item and so are no alias.
CLAUSES = frozenset({"from", "using", "where", "with", "group", "having", "order", "limit", "offset", "for", "all", "update"})
SCOPES = frozenset({"delegated", "everything", "mine", "mine_and_my_groups", "my_territory", "my_team_territory", "team"})


def parse(soql: str) -> Query:
    """The query that `soql` says.

    Raises: ApiError MALFORMED_QUERY with the place, or NUMBER_OUTSIDE_VALID_RANGE for an OFFSET above 2,000.
    """
    if len(soql) > MAX_CHARACTERS:
        raise ApiError(400, "MALFORMED_QUERY", f"SOQL statements cannot be longer than {MAX_CHARACTERS:,} characters.")
    return _Parser(soql).statement()


class _Parser:
    def __init__(self, soql: str) -> None:
        self._soql = soql
        self._tokens = tokenize(soql)
        self._position = 0
        self._depth = 0

    def statement(self) -> Query:
        query = self._query()
        self._tail()
        if self._token.kind != lexer.END:
            raise self._unexpected()
        return query

    # -- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._position]

    def _take(self) -> Token:
        token = self._token
        self._position += token.kind != lexer.END
        return token

    def _unexpected(self) -> ApiError:
        return unexpected(self._soql, self._token.at, self._token.text)

    def _accept(self, *words: str) -> bool:
        """Whether the next tokens are these words or marks; if so they are taken."""
        following = self._tokens[self._position : self._position + len(words)]
        if len(following) < len(words) or any(not _is(t, w) for t, w in zip(following, words, strict=True)):
            return False
        self._position += len(words)
        return True

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise self._unexpected()

    def _expect_kind(self, kind: str) -> Token:
        if self._token.kind != kind:
            raise self._unexpected()
        return self._take()

    # -- clauses

    def _query(self) -> Query:
        at = self._token.at
        self._expect("select")
        items = self._items()
        self._expect("from")
        query = Query(items, self._path(), at, alias=self._alias())
        query = replace(query, scope=self._scope(), where=self._condition() if self._accept("where") else None)
        if self._token.is_word("with"):
            raise refusal(self._soql, self._token.at, "WITH clauses are not supported by this emulator")
        query = self._grouped(query)
        query = replace(query, order_by=self._order_by())
        query = replace(query, limit=self._count("limit"))
        return replace(query, offset=self._offset())

    def _items(self) -> tuple[Item | Query, ...]:
        items = [self._item()]
        while self._accept(","):
            items.append(self._item())
        return tuple(items)

    def _item(self) -> Item | Query:
        if self._accept("("):
            return self._nested_query()
        if self._token.is_word("typeof"):
            raise refusal(self._soql, self._token.at, "TYPEOF is not supported by this emulator")
        expression = self._expression()
        if self._is_slip():
            raise self._unexpected()
        return Item(expression, self._alias())

    def _is_slip(self) -> bool:
        """Whether the next word can be no alias, as neither a comma nor FROM follows it: `SELECT Id FORM Account`."""
        if self._token.kind != lexer.NAME or self._token.is_word("from") or self._token.is_word("as"):
            return False
        following = self._tokens[self._position + 1]
        return following.text != "," and not following.is_word("from")

    def _nested_query(self) -> Query:
        self._descend()
        query = self._query()
        self._expect(")")
        self._depth -= 1
        return query

    def _alias(self) -> str | None:
        if self._accept("as"):
            return self._expect_kind(lexer.NAME).text
        if self._token.kind == lexer.NAME and self._token.text.lower() not in CLAUSES:
            return self._take().text
        return None

    def _scope(self) -> str | None:
        if not self._accept("using"):
            return None
        self._expect("scope")
        if self._token.text.lower() not in SCOPES:
            raise self._unexpected()
        return self._take().text.lower()

    def _grouped(self, query: Query) -> Query:
        if not self._accept("group"):
            return query
        self._expect("by")
        if self._token.text.lower() in ("rollup", "cube"):
            raise refusal(self._soql, self._token.at, f"GROUP BY {self._token.text.upper()} is not supported by this emulator")
        keys = [self._expression()]
        while self._accept(","):
            keys.append(self._expression())
        return replace(query, group_by=tuple(keys), having=self._condition() if self._accept("having") else None)

    def _order_by(self) -> tuple[Ordering, ...]:
        if not self._accept("order"):
            return ()
        self._expect("by")
        orderings = [self._ordering()]
        while self._accept(","):
            orderings.append(self._ordering())
        return tuple(orderings)

    def _ordering(self) -> Ordering:
        expression = self._expression()
        descending = self._accept("desc")
        if not descending:
            self._accept("asc")
        # Nulls come first in either direction unless the query says otherwise. Source: SOQL and SOSL Reference, "ORDER BY".
        nulls_first = not self._accept("nulls", "last")
        self._accept("nulls", "first")
        return Ordering(expression, descending, nulls_first)

    def _count(self, word: str) -> int | None:
        if not self._accept(word):
            return None
        if not self._token.text.isdecimal():
            raise self._unexpected()
        return int(self._take().text)

    def _offset(self) -> int | None:
        offset = self._count("offset")
        if offset is not None and offset > MAX_OFFSET:
            raise ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}")
        return offset

    def _tail(self) -> None:
        at = self._token.at
        if self._accept("for") and not (self._accept("view") or self._accept("reference")):
            raise self._unexpected()
        if self._accept("all", "rows"):
            raise refusal(self._soql, at, "ALL ROWS not allowed in this context")

    # -- expressions

    def _path(self) -> FieldPath:
        first = self._expect_kind(lexer.NAME)
        parts = [first.text]
        while self._accept("."):
            parts.append(self._expect_kind(lexer.NAME).text)
        return FieldPath(tuple(parts), first.at)

    def _expression(self) -> Expression:
        path = self._path()
        if len(path.parts) > 1 or not self._accept("("):
            return path
        self._descend()
        arguments: list[Expression] = []
        while not self._accept(")"):
            arguments.append(self._expression())
            if self._token.text != ")":
                self._expect(",")
        self._depth -= 1
        return Call(path.parts[0].lower(), tuple(arguments), path.at)

    # -- conditions

    def _condition(self) -> Condition:
        if self._accept("not"):
            # Parentheses are required whenever operators are mixed, so nothing may follow. Source: "Logical Operators".
            return Not(self._simple())
        operands = [self._simple()]
        joined_by = next((w for w in ("and", "or") if self._token.is_word(w)), None)
        while joined_by and self._accept(joined_by):
            operands.append(self._simple())
        if self._token.is_word("and") or self._token.is_word("or"):
            raise self._unexpected()
        return Junction(joined_by, tuple(operands)) if joined_by else operands[0]

    def _simple(self) -> Condition:
        if not self._accept("("):
            return self._comparison()
        self._descend()
        condition = self._condition()
        if self._token.text != ")":
            raise self._unexpected()
        self._take()
        self._depth -= 1
        return condition

    def _comparison(self) -> Condition:
        if self._token.is_word("not"):
            raise self._unexpected()
        left = self._expression()
        at = self._token.at
        if self._token.text in COMPARISONS:
            operator = self._take().text
            return Comparison(left, "!=" if operator == "<>" else operator, self._literal(), left.at)
        if self._accept("like"):
            return Comparison(left, "like", self._literal(), left.at)
        if self._accept("in"):
            return self._membership(left, "in", at)
        if self._accept("not", "in"):
            return self._membership(left, "not in", at)
        for operator in ("includes", "excludes"):
            if self._accept(operator):
                return self._membership(left, operator, at)
        raise self._unexpected()

    def _membership(self, left: Expression, operator: str, at: int) -> Condition:
        self._expect("(")
        if self._token.is_word("select") and operator.endswith("in"):
            return SemiJoin(left, self._nested_query(), operator == "not in", at)
        values = [self._literal()]
        while self._accept(","):
            values.append(self._literal())
        self._expect(")")
        return Membership(left, operator, tuple(values), left.at)

    def _literal(self) -> Literal:
        token = self._token
        if token.kind == lexer.NAME:
            return self._word()
        if token.kind == lexer.MARK and token.text == ":":
            raise refusal(self._soql, token.at, "Bind variables only allowed in Apex code")
        if token.kind in (lexer.MARK, lexer.END):
            raise self._unexpected()
        self._take()
        if token.kind != lexer.STRING:
            return Literal(token.kind, token.text, token.at)
        text = lexer.unescaped(self._soql, token)
        if len(text) > MAX_STRING:
            raise refusal(self._soql, token.at, f"string literal is longer than {MAX_STRING:,} characters")
        return Literal("string", text, token.at)

    def _word(self) -> Literal:
        word = self._token.text.lower()
        if word not in ("true", "false", "null") and not is_relative(word):
            raise self._unexpected()
        at = self._take().at
        if word == "null":
            return Literal("null", "", at)
        if not is_relative(word):
            return Literal("boolean", word, at)
        return Literal("relative", word, at, self._relative_count() if takes_count(word) else None)

    def _relative_count(self) -> int:
        self._expect(":")
        if not self._token.text.isdecimal():
            raise self._unexpected()
        return int(self._take().text)

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise refusal(self._soql, self._token.at, f"more than {MAX_DEPTH} nested parentheses")


def _is(token: Token, word: str) -> bool:
    return token.is_word(word) if word.isalpha() else token.kind == lexer.MARK and token.text == word
