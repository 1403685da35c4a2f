"""SOQL tokens -> Query, by recursive descent; one method per rule of the grammar.

Source: SOQL and SOSL Reference, "SOQL SELECT Syntax", "Logical Operators", "Comparison Operators".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

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
    TypeOf,
)
from halocline.emulator.soql.dates import is_relative, takes_count
from halocline.emulator.soql.lexer import Token, tokenize
from halocline.emulator.soql.refusal import refusal, unexpected

MAX_CHARACTERS = 100_000  # SOQL and SOSL Reference, "SOQL and SOSL Limits for Search Queries"
MAX_OFFSET = 2_000  # SOQL and SOSL Reference, "OFFSET"
MAX_STRING = 4_000  # characters of a string in WHERE; same limits page
MAX_DEPTH = 100  # nested parentheses; ours, so that no query ends this process

COMPARISONS = frozenset({"=", "!=", "<>", "<", "<=", ">", ">="})
# Words that end a FROM clause or a SELECT item, and those that the vendor keeps for himself, are no alias.
# Source: SOQL and SOSL Reference, "SOQL Typographical Conventions", alias notation.
NO_ALIAS = frozenset(
    {"from", "using", "where", "with", "group", "having", "order", "limit", "offset", "for", "all", "update", "and", "asc"}
    | {"desc", "excludes", "first", "in", "includes", "last", "like", "not", "null", "nulls", "or", "select"}
)
# Source: SOQL and SOSL Reference, "USING SCOPE".
SCOPES = frozenset(
    {"delegated", "everything", "mine", "mine_and_my_groups", "mineandmygroups", "my_territory", "my_team_territory", "team"}
    | {"scopingrule"}
)
SUBTOTALS = ("rollup", "cube")
MAX_SUBTOTALS = 3  # fields. Source: SOQL and SOSL Reference, "GROUP BY ROLLUP"
MAX_ORDERINGS = 32  # fields. Source: SOQL and SOSL Reference, "ORDER BY"
LOCATION_FUNCTIONS = frozenset({"distance", "geolocation"})


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
        query = self._closing(self._query())
        if self._token.kind != lexer.END:
            raise self._unexpected_clause()
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
        if len(following) < len(words):
            return False
        for token, word in zip(following, words, strict=True):  # not any(): this is asked a dozen times for each token
            if not _is(token, word):
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
        query = Query(items, self._path(), at, alias=self._alias(), aliases=self._further_sources())
        for clause in CLAUSES:
            if not clause.closing and self._begins(clause):
                query = clause.read(self, query)
        return query

    def _begins(self, clause: Clause) -> bool:
        """Whether the clause stands here; if so its words are taken.

        Raises: ApiError MALFORMED_QUERY with the place, for a clause that is refused.
        """
        at = self._token.at
        taken = self._token.kind == lexer.NAME and self._accept(*clause.words.lower().split())
        if taken and clause.refused is not None:
            raise refusal(self._soql, at, clause.refused)
        return taken

    def _unexpected_clause(self) -> ApiError:
        """The refusal of what follows the last clause: of its second word, where the first begins a clause: `GROUP Name`."""
        pairs = [clause.words.lower().split() for clause in CLAUSES]
        seconds = [pair[1] for pair in pairs if len(pair) > 1 and self._token.is_word(pair[0])]
        if seconds and not any(self._tokens[self._position + 1].is_word(second) for second in seconds):
            self._take()
        return self._unexpected()

    def _further_sources(self) -> tuple[tuple[str, FieldPath], ...]:
        """`FROM Contact c, c.Account a`; without an alias the path stands for itself.

        Source: SOQL and SOSL Reference, "SOQL Typographical Conventions", "COUNT()".
        """
        sources = []
        while self._accept(","):
            path = self._path()
            sources.append((self._alias() or "", path))
        return tuple(sources)

    def _items(self) -> tuple[Item | TypeOf | Query, ...]:
        items = [self._item()]
        while self._accept(","):
            items.append(self._item())
        return tuple(items)

    def _item(self) -> Item | TypeOf | Query:
        if self._accept("("):
            return self._nested_query()
        if self._token.is_word("typeof"):
            return self._type_of()
        if self._token.is_word("from"):
            raise self._unexpected()
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

    def _type_of(self) -> TypeOf:
        at = self._take().at
        relationship = self._path()
        cases = []
        while self._accept("when"):
            kind = self._path()
            self._expect("then")
            cases.append((kind, self._paths()))
        if not cases:
            raise self._unexpected()
        otherwise = self._paths() if self._accept("else") else ()
        self._expect("end")
        return TypeOf(relationship, tuple(cases), otherwise, at)

    def _paths(self) -> tuple[FieldPath, ...]:
        paths = [self._path()]
        while self._accept(","):
            paths.append(self._path())
        return tuple(paths)

    def _nested_query(self) -> Query:
        self._descend()
        query = self._query()
        if query.scope is not None:  # the words are unverified
            raise refusal(self._soql, query.at, "USING SCOPE is only allowed in the outermost query")
        if not self._accept(")"):
            raise self._unexpected_clause()
        self._depth -= 1
        return query

    def _alias(self) -> str | None:
        if self._accept("as"):
            return self._expect_kind(lexer.NAME).text
        if self._token.kind == lexer.NAME and self._token.text.lower() not in NO_ALIAS:
            return self._take().text
        return None

    def _scope(self, query: Query) -> Query:
        if self._token.text.lower() not in SCOPES:
            raise self._unexpected()
        return replace(query, scope=self._take().text.lower())

    def _where(self, query: Query) -> Query:
        return replace(query, where=self._condition())

    def _group_by(self, query: Query) -> Query:
        subtotals = next((word for word in SUBTOTALS if self._accept(word, "(")), None)
        keys = self._keys()
        if subtotals is not None:
            self._expect(")")
            if len(keys) > MAX_SUBTOTALS:  # the words are unverified
                message = f"GROUP BY {subtotals.upper()} allows at most {MAX_SUBTOTALS} fields"
                raise refusal(self._soql, keys[MAX_SUBTOTALS].at, message)
        return replace(query, group_by=keys, subtotals=subtotals)

    def _having(self, query: Query) -> Query:
        if not query.group_by:
            raise unexpected(self._soql, self._tokens[self._position - 1].at, self._tokens[self._position - 1].text)
        return replace(query, having=self._condition())

    def _keys(self) -> tuple[Expression, ...]:
        keys = [self._expression()]
        while self._accept(","):
            keys.append(self._expression())
        return tuple(keys)

    def _order_by(self, query: Query) -> Query:
        orderings = [self._ordering()]
        while self._accept(","):
            if len(orderings) == MAX_ORDERINGS:  # the words are unverified
                raise refusal(self._soql, self._token.at, f"ORDER BY allows at most {MAX_ORDERINGS} fields")
            orderings.append(self._ordering())
        return replace(query, order_by=tuple(orderings))

    def _ordering(self) -> Ordering:
        expression = self._expression()
        descending = self._accept("desc")
        if not descending:
            self._accept("asc")
        # Nulls come first in either direction unless the query says otherwise. Source: SOQL and SOSL Reference, "ORDER BY".
        nulls_first = not self._accept("nulls", "last")
        self._accept("nulls", "first")
        return Ordering(expression, descending, nulls_first)

    def _limit(self, query: Query) -> Query:
        return replace(query, limit=self._count())

    def _offset(self, query: Query) -> Query:
        offset = self._count()
        if offset > MAX_OFFSET:
            raise ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}")
        return replace(query, offset=offset)

    def _count(self) -> int:
        return self._number()

    def _closing(self, query: Query) -> Query:
        """What only a whole query may end with, in any order."""
        while clause := next((c for c in CLAUSES if c.closing and self._begins(c)), None):
            query = clause.read(self, query)
        return query

    def _unchanged(self, query: Query) -> Query:
        """Nobody looks at records here, so FOR VIEW and FOR REFERENCE change nothing."""
        return query

    def _for_update(self, query: Query) -> Query:
        """It takes a lock that ends with the request, so there is nothing to do but refuse what it does not go with.

        Source: Apex Developer Guide, "Locking Statements": no ORDER BY. The words are unverified.
        """
        if query.order_by:
            at = self._tokens[self._position - 1].at
            raise refusal(self._soql, at, "FOR UPDATE cannot be used with ORDER BY")
        return query

    def _statistics(self, query: Query) -> Query:
        return replace(query, update=self._tokens[self._position - 1].text.lower())

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
        if path.text.lower() in LOCATION_FUNCTIONS:
            raise refusal(self._soql, path.at, f"{path.text.upper()} is not supported by this emulator")
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
        return self._number()

    def _number(self) -> int:
        """A count; one that no number of rows or days can be is refused as a word would be."""
        if not re.fullmatch(r"[0-9]{1,10}", self._token.text):
            raise self._unexpected()
        return int(self._take().text)

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise refusal(self._soql, self._token.at, f"more than {MAX_DEPTH} nested parentheses")


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause that may follow FROM: the words that begin it, and how it is read or why it is refused.

    A `closing` one stands at the end of a whole query only.
    """

    words: str
    read: Callable[[_Parser, Query], Query] = _Parser._unchanged
    refused: str | None = None
    closing: bool = False


# In the order that a query has them. SECURITY_ENFORCED, the modes and ALL ROWS belong to Apex, DATA CATEGORY to articles.
# Source: SOQL and SOSL Reference, "SOQL SELECT Syntax", "WITH", "FOR VIEW", "FOR REFERENCE", "FOR UPDATE", "UPDATE TRACKING",
# "UPDATE VIEWSTAT", "ALL ROWS". The words of the last WITH are ours.
CLAUSES: tuple[Clause, ...] = (
    Clause("USING SCOPE", _Parser._scope),
    Clause("WHERE", _Parser._where),
    Clause("WITH SECURITY_ENFORCED", refused="SECURITY_ENFORCED not allowed in this context"),
    Clause("WITH USER_MODE", refused="USER_MODE not allowed in this context"),
    Clause("WITH SYSTEM_MODE", refused="SYSTEM_MODE not allowed in this context"),
    Clause("WITH", refused="WITH clauses are not supported by this emulator"),
    Clause("GROUP BY", _Parser._group_by),
    Clause("HAVING", _Parser._having),
    Clause("ORDER BY", _Parser._order_by),
    Clause("LIMIT", _Parser._limit),
    Clause("OFFSET", _Parser._offset),
    Clause("FOR VIEW", closing=True),
    Clause("FOR REFERENCE", closing=True),
    Clause("FOR UPDATE", _Parser._for_update, closing=True),
    Clause("UPDATE TRACKING", _Parser._statistics, closing=True),
    Clause("UPDATE VIEWSTAT", _Parser._statistics, closing=True),
    Clause("ALL ROWS", refused="ALL ROWS not allowed in this context", closing=True),
)


def _is(token: Token, word: str) -> bool:
    return token.is_word(word) if word[0].isalpha() else token.kind == lexer.MARK and token.text == word
