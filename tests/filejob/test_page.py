"""The page about file jobs is true."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from tests.test_docs import DOCS, run_page

from halocline.filejob import FileJob
from halocline.filejob.record import NAMES
from halocline.filejob.report import ALL_HEADERS
from halocline.orchestrator import Orchestrator

PAGE = DOCS / "file-jobs.md"


@pytest.mark.system
def test_the_page_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every Python block, in order; the report that it prints has the documented headers."""
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    run_page(PAGE)
    header, line, *_ = capsys.readouterr().out.splitlines()
    assert header == ",".join(ALL_HEADERS)
    assert line.startswith("Account,REQUIRED_FIELD_MISSING,")


def test_the_page_names_every_argument_and_every_name() -> None:
    """Of the job, of the templates, of the class."""
    text = PAGE.read_text()
    public = {name for name in vars(Orchestrator) if not name.startswith("_")}
    arguments = set(inspect.signature(Orchestrator).parameters)
    wanted = {field.name for field in fields(FileJob)} | set(NAMES) | public | arguments
    assert sorted(name for name in wanted if name not in text) == []
