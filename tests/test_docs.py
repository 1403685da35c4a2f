"""Laws of the documentation: every Python block of a tutorial runs as it stands, in order."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from halocline.cli import demo
from halocline.report import CODES

DOCS = Path(__file__).resolve().parent.parent / "docs"
SRC = DOCS.parent / "src"
NO_VARIABLES = {"SF_ID", "SF_ERROR", "SNOWFLAKE_JWT"}  # columns of tables of results, and a way to log in
TUTORIALS = sorted([*DOCS.glob("tutorial*.md"), DOCS / "how-to" / "add-a-connector.md"])
FENCE = re.compile(r"^(?P<indent>[ ]*)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A Python block of a page: its code, and the line of the page on which the code starts, counted from 1."""

    code: str
    line: int


def python_blocks(page: str) -> list[Block]:
    """The Python blocks of a page, in order."""
    found = []
    for match in FENCE.finditer(page):
        line = page.count("\n", 0, match.start("code")) + 1
        found.append(Block(textwrap.dedent(match["code"]), line))
    return found


def run_page(path: Path) -> dict[str, object]:
    """Run a page's Python blocks in one namespace and return it; a failure's traceback shows the page and its line."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in python_blocks(path.read_text()):
        padded = "\n" * (block.line - 1) + block.code
        exec(compile(padded, str(path), "exec"), namespace)
    return namespace


def test_there_is_a_tutorial() -> None:
    """A newcomer finds a tutorial with something to run in it."""
    assert [path.name for path in TUTORIALS if python_blocks(path.read_text())]


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.name)
def test_a_tutorial_runs_as_it_stands(tutorial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of a tutorial runs, in order, in an empty folder with a ledger of its own, without credentials."""
    for name in list(os.environ):
        if name.startswith(("SF_", "HALOCLINE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    run_page(tutorial)


def test_blocks_share_a_namespace_in_order(tmp_path: Path) -> None:
    """A later block sees what an earlier one made; blocks of other languages are not run."""
    page = tmp_path / "page.md"
    page.write_text("```python\na = 1\n```\ntext\n```sql\nselect 1\n```\n- item\n  ```python\n  b = a + 1\n  ```\n")
    assert run_page(page)["b"] == 2


def test_a_failing_block_names_its_line(tmp_path: Path) -> None:
    """A block that fails shows the page's own line number."""
    page = tmp_path / "page.md"
    page.write_text("title\n\n```python\na = 1\nraise KeyError('here')\n```\n")
    with pytest.raises(KeyError) as caught:
        run_page(page)
    assert (caught.traceback[-1].path, caught.traceback[-1].lineno + 1) == (page, 5)


def test_the_pages_that_the_code_tells_are_what_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make docs` would change nothing."""
    monkeypatch.syspath_prepend(str(DOCS.parent / "tools"))
    import make_pages

    code = make_pages.main(["--check"])
    assert code == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", ["cli", "settings", "errors", "events"])
def test_the_reference_says_something_of_everything(name: str) -> None:
    """Every command, option, variable, key, error, code, event and field has its sentence."""
    page = (DOCS / "reference" / f"{name}.md").read_text()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if line.startswith("| `")]
    told_at = {5: -1, 4: -1, 3: 1 if name == "settings" else -1, 2: -1}
    silent = [row[0].strip() for row in rows if not row[told_at[len(row)]].strip()]
    assert (silent, len(rows) > 20) == (["`HaloclineError`"] if name == "errors" else [], True)


def test_every_variable_that_is_read_is_in_the_reference() -> None:
    """What looks like a variable of ours, of a login, or of a document that we follow is in docs/reference/settings.md."""
    text = "\n".join(path.read_text() for path in (SRC / "halocline").rglob("*.py"))
    found = set(re.findall(r"\b(?:HALOCLINE|SF|SNOWFLAKE|INIESTA|PG)_[A-Z][A-Z_]*[A-Z]\b", text))
    told = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", (DOCS / "reference" / "settings.md").read_text()))
    assert found - told - NO_VARIABLES == set()
    assert {name for name in NO_VARIABLES if name not in found} == set()


def test_every_code_of_a_rejection_is_in_the_reference() -> None:
    """A code that a row is rejected with by us is told in docs/reference/errors.md, and none that no row ever has."""
    text = "\n".join(
        path.read_text() for path in (SRC / "halocline").rglob("*.py") if not {"emulator", "testing"} & {*path.parts}
    )
    named = {*re.findall(r'"([A-Z][A-Z_]+)"', text)}
    refused = {*re.findall(r'(?:Misfit|_Not|RejectRecord)\((?:[^()]|\([^()]*\))*?"([A-Z][A-Z_]{3,})"', text)}
    assert (set(CODES) - named, refused - set(CODES)) == (set(), set())
    assert len(refused) > 10


def test_the_results_page_and_readme_are_what_the_benchmarks_printed() -> None:
    """`tools/results.py` would change nothing, and README's table is the one of the page."""
    command = [sys.executable, str(DOCS.parent / "tools" / "results.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    readme, page = (path.read_text() for path in (DOCS.parent / "README.md", DOCS / "results.md"))
    rows = [line for line in readme.splitlines() if "`make bench NAME=" in line]
    assert (len(rows), [row for row in rows if row not in page]) == (len([*(DOCS.parent / "benchmarks").glob("*.py")]), [])


def test_the_picture_is_of_the_demo_as_it_is() -> None:
    """The picture shows what the demo seeds, changes and pushes, and asks no host for anything."""
    picture = html.unescape((DOCS / "demo.svg").read_text()).replace("\xa0", " ")
    seeded = ", ".join(f"{name}: {count:,}" for name, count in demo.SEED.items())
    changed = f"{demo.EDITS} edits, {demo.DELETIONS} deletions, {demo.INSERTS} new records"
    pushed = (
        f"{demo.PROSPECTS} prospects",
        f"{demo.PUSHED_EDITS - 1} updated, 1 refused",
        f"row {demo.BAD}: REQUIRED_FIELD_MISSING",
    )
    steps = re.findall(r'"(?:\\n)?\[bold\](\d\. [^\[]+)\[/\]', Path(demo.__file__).read_text())
    assert [told for told in (seeded, changed, *pushed, *steps) if told not in re.sub(r"<[^>]+>", "", picture)] == []
    assert len(steps) == 5
    assert not re.search(r"@font-face|@import|<script|<image|url\((?!#)", picture)


def test_every_page_is_in_the_index() -> None:
    """Whoever looks for a page finds it from docs/README.md."""
    index = (DOCS / "README.md").read_text()
    folders = ("*.md", "explanation/*.md", "reference/*.md")
    pages = [path.relative_to(DOCS).as_posix() for folder in folders for path in DOCS.glob(folder)]
    assert [page for page in pages if page != "README.md" and f"({page})" not in index] == []


@pytest.mark.long
def test_a_records_way_is_as_the_page_says() -> None:
    """The modules that docs/explanation/architecture.md names for each job are those that a record was seen in."""
    command = [sys.executable, str(DOCS.parent / "tools" / "trace_record.py"), "--check"]
    place = {**os.environ, "PYTHONPATH": str(DOCS.parent / "src")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, env=place)
    assert done.returncode == 0, done.stdout + done.stderr
