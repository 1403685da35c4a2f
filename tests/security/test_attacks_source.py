"""T26: what opens a door wherever it stands is in no module of ours: data that is run, certificates that nobody looks at."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.security.attacks import Attacks

import halocline

ROOT = Path(halocline.__file__).parent
_RUNS_DATA = frozenset(
    {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "zipfile", "tarfile", "telnetlib", "ftplib"}
)
_XML = "xml."
_PARSERS = frozenset({"fromstring", "fromstringlist", "parse", "iterparse", "parseString", "XML", "XMLParser", "XMLPullParser"})
_CALLS = frozenset(
    {
        "eval",
        "exec",
        "compile",
        "os.system",
        "os.popen",
        "tempfile.mktemp",
        "yaml.load",
        "yaml.load_all",
        "yaml.unsafe_load",
        "yaml.full_load",
    }
)
_CALLS |= {"ssl._create_unverified_context", "shutil.unpack_archive"}
_GIVEN = {"verify": False, "shell": True, "follow_redirects": True, "allow_redirects": True, "check_hostname": False}
_NAMES = frozenset({"CERT_NONE", "_create_unverified_context", "disable_warnings"})
ALLOWED = {
    ("rows/drawn.py", "import pickle"): "rows of an iterator, in the run's own folder, read by the process that wrote them",
    ("cli/emulator/state.py", "verify=False"): "asks an emulator of this machine whether it is there, and sends nothing",
    ("emulator/schema_files.py", "yaml.load_all()"): "with a loader made of the safe one",
    ("emulator/seeding/words.py", "yaml.load()"): "with the safe loader, a file of ours",
    ("testing/aws/markup.py", "ET.fromstring()"): "what a test sends to its own server; entities do not expand there either",
}


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names)
    if isinstance(node, ast.ImportFrom) and node.module:
        yield from (node.module, *(f"{node.module}.{one.name}" for one in node.names))


def _of_imports(node: ast.AST) -> Iterator[str]:
    for name in _imported(node):
        if name.partition(".")[0] in _RUNS_DATA or (name.startswith(_XML) and name.rpartition(".")[2] in _PARSERS):
            yield f"import {name}"


def _dotted(node: ast.AST) -> str:
    """`a.b.c` of what is nothing but names; of other things the last of them."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def _of_calls(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        called = _dotted(node.func)
        place, _, name = called.rpartition(".")
        if called in _CALLS or (place in {"ET", "ElementTree", "minidom", "sax"} and name in _PARSERS):
            yield f"{called}()"


def _of_arguments(node: ast.AST) -> Iterator[str]:
    is_given = isinstance(node, ast.keyword) and node.arg in _GIVEN and isinstance(node.value, ast.Constant)
    if is_given and node.value.value is _GIVEN[node.arg]:
        yield f"{node.arg}={node.value.value}"


def _of_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and node.attr in _NAMES:
        yield node.attr


RULES: tuple[Callable[[ast.AST], Iterator[str]], ...] = (_of_imports, _of_calls, _of_arguments, _of_names)


# What no rule can tell of a source without one of these words; most have none, and are not parsed.
_WORDS = re.compile(
    r"\b(?:" + "|".join(sorted({*_RUNS_DATA, "xml", "ET", "ElementTree", "minidom", "sax", *_GIVEN, *_NAMES})) + r")\b"
    r"|(?<![.\w])(?:" + "|".join(re.escape(name) for name in sorted(_CALLS)) + r")\s*\("
)


def _found(source: str) -> set[str]:
    if not _WORDS.search(source):
        return set()
    return {told for node in ast.walk(ast.parse(source)) for rule in RULES for told in rule(node)}


def test_doors_in_modules_of_ours(attacks: Attacks) -> None:
    """Nothing that runs data, follows where it is led, or trusts whoever answers; each exception has its reason and is there."""
    found = {
        (path.relative_to(ROOT).as_posix(), told)
        for path in ROOT.rglob("*.py")
        for told in _found(path.read_text(encoding="utf-8"))
    }
    open_here = found - ALLOWED.keys()
    for door in sorted(_RUNS_DATA | _PARSERS | _CALLS | _NAMES | {f"{name}={value}" for name, value in _GIVEN.items()}):
        seen = sorted(one for one in open_here if door in one[1])
        attacks.blocked(f"{door}: {seen}", not seen)
    assert not open_here
    assert found & ALLOWED.keys() == ALLOWED.keys(), "an exception that nobody needs is none"


@pytest.mark.parametrize(
    "source",
    [
        *(
            "import pickle",
            "from pickle import loads",
            "from xml.etree.ElementTree import XML",
            "minidom.parseString(x)",
            "import tarfile",
        ),
        *("eval(x)", "yaml.load(x)", "os.system(x)", "ssl._create_unverified_context()", "tempfile.mktemp()"),
        *("client(verify=False)", "run(x, shell=True)", "get(url, follow_redirects=True)", "context.verify_mode = ssl.CERT_NONE"),
    ],
)
def test_what_opens_a_door_is_seen(source: str) -> None:
    """The looking itself."""
    assert _found(source)
