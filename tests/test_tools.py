"""Laws of the repository's own tools: what the check of skipped tests lets pass, and what the checks of docs and code find."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUITE = '<testsuites><testsuite><testcase classname="tests.x" name="test_y" time="0.1">{}</testcase></testsuite></testsuites>'


def check_skips(junit: Path, *, data: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the tool on a junit file, with HALOCLINE_TEST_DATA as given."""
    environment = {name: value for name, value in os.environ.items() if name != "HALOCLINE_TEST_DATA"}
    environment |= {"HALOCLINE_TEST_DATA": data} if data else {}
    command = [sys.executable, str(ROOT / "tools" / "check_skips.py"), str(junit)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


@pytest.mark.parametrize(
    ("inside", "data", "status"),
    [
        ("", None, 0),
        ('<skipped type="pytest.skip" message="long: takes minutes; run with --long"/>', None, 0),
        ('<skipped type="pytest.skip" message="HALOCLINE_TEST_DATA is unset"/>', None, 0),
        ('<skipped type="pytest.skip" message="HALOCLINE_TEST_DATA is unset"/>', "/recorded", 1),
        ('<skipped type="pytest.xfail" message="not done by them"/>', None, 0),
        ('<skipped type="pytest.skip" message="no server here"/>', None, 1),
        ('<skipped type="pytest.skip" message="got empty parameter set for (tutorial)"/>', None, 1),
        ('<failure message="boom"/>', None, 0),
    ],
)
def test_a_skip_needs_an_allowed_reason(tmp_path: Path, inside: str, data: str | None, status: int) -> None:
    """A skip passes as a long test or for recorded data that really is absent; any other is named, and fails."""
    junit = tmp_path / "junit.xml"
    junit.write_text(SUITE.format(inside))
    done = check_skips(junit, data=data)
    assert (done.returncode, "tests.x.test_y" in done.stderr) == (status, status == 1)


def test_a_run_without_tests_fails(tmp_path: Path) -> None:
    """No test at all is not a pass."""
    junit = tmp_path / "junit.xml"
    junit.write_text("<testsuites><testsuite/></testsuites>")
    assert check_skips(junit).returncode == 1


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("text\n\n```python\na = (\n```\n", "README.md:4:"),
        ("see [that](docs/none.md)\n", "README.md:1: no such file: docs/none.md"),
        ("```console\n[x](docs/none.md)\n```\nand [the index](docs/decisions/README.md#top)\n", ""),
    ],
)
def test_faults_in_a_page_are_found_with_their_line(tmp_path: Path, page: str, fault: str) -> None:
    """A block that does not parse and a link that leads nowhere are named with page and line; code is not read as prose."""
    tool = tmp_path / "tools" / "check_docs.py"
    index = tmp_path / "docs" / "decisions" / "README.md"
    for path in (tool, index):
        path.parent.mkdir(parents=True)
    tool.write_text((ROOT / "tools" / "check_docs.py").read_text())
    index.write_text("# Decisions\n")
    (tmp_path / "README.md").write_text(page)
    done = subprocess.run([sys.executable, str(tool)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, fault in done.stdout) == (1 if fault else 0, True)


def test_unused_code_is_found_and_hooks_are_not(tmp_path: Path) -> None:
    """A function that nothing calls is named with its line; one that is called, a dunder and a fixture are not."""
    code = "import pytest\n\ndef used(): ...\ndef unused(): ...\ndef __getattr__(name): return used()\n"
    code += "@pytest.fixture\ndef data(): ...\n"
    (tmp_path / "module.py").write_text(code)
    command = [sys.executable, str(ROOT / "tools" / "check_unused.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, f"{tmp_path}/module.py:4: unused function unused\n")


@pytest.mark.parametrize(
    ("script", "setting", "status"),
    [("print(TOLD)", "", 0), ("print(TOLD)", "7", 0), ("print(TOLD); raise SystemExit(1)", "", 1)],
)
def test_a_benchmark_is_kept_when_it_ran_well_and_as_documented(tmp_path: Path, script: str, setting: str, status: int) -> None:
    """What it printed becomes the record and the pages; not where it failed, or where the environment made it another run."""
    for folder in ("tools", "benchmarks/results", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.svg", "__pycache__", "decisions"))
    shutil.copy(ROOT / "README.md", tmp_path)
    record, pages = tmp_path / "benchmarks" / "results" / "pages.txt", [tmp_path / "README.md", tmp_path / "docs" / "results.md"]
    before, told = record.read_text(), "A machine, 2 cores, 4 GB\npages: spread=1.10 vs_static=0.77"
    (tmp_path / "benchmarks" / "pages.py").write_text(f'import os\nTOLD = """{told}"""\nos.environ.get("ROWS")\n{script}\n')
    environment = {name: value for name, value in os.environ.items() if name != "ROWS"} | ({"ROWS": setting} if setting else {})
    command = [sys.executable, str(tmp_path / "tools" / "bench.py"), "pages"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert (done.returncode, told in done.stdout) == (status, True)
    if setting or status:
        assert record.read_text() == before
    else:
        assert record.read_text().endswith(f" s\n{told}\n")
        assert all("0.77 of a static file server's rate" in page.read_text() for page in pages)
