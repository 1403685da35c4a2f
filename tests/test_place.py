"""Laws of places: one text for each database, and nothing secret in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from halocline.place import place_of, within


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("postgresql://me:word@host/db?options=-c%20x%3D1", "postgresql://host:5432/db"),
        ("postgres://other@host:5432/db", "postgresql://host:5432/db"),
        ("postgresql:///db?host=%2Ftmp%2Fpg&port=5433", "postgresql:///tmp/pg:5433/db"),
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("file:///lake/my%20files?format=csv", "file:/lake/my files"),
        ("duckdb:////lake/of.duckdb", "duckdb:/lake/of.duckdb"),
    ],
)
def test_a_uri_names_its_database_and_nobodys_login(uri: str, place: str) -> None:
    """Spelled differently, it is the same place; user, password and settings say nothing of it."""
    assert place_of(uri) == place


def test_a_file_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same words in two folders are two files."""
    monkeypatch.chdir(tmp_path)
    assert place_of("duckdb:///lake.duckdb") == f"duckdb:{tmp_path / 'lake.duckdb'}"


def test_what_no_other_process_can_reach_has_a_place_of_its_own() -> None:
    """A database in memory keeps nobody else out."""
    for session in ("duckdb:///:memory:", object()):
        assert f"process {os.getpid()}" in place_of(session)
    assert place_of(object()) != place_of("x://y")


def test_processes_of_one_number_have_places_of_their_own() -> None:
    """As the first processes of two containers, which may have one host name: neither waits for the other's lease."""
    told = "import os; from halocline import place; os.getpid = lambda: 1; print(place.of_this_process('x'))"
    first, second = (subprocess.run([sys.executable, "-c", told], check=True, capture_output=True).stdout for _ in range(2))
    assert b" of process 1 of " in first
    assert first != second


def test_a_connection_of_snowflake_names_its_database() -> None:
    """As its URI does, and the same in every process; a Snowpark session has the place of its connection."""
    connection = SimpleNamespace(account="org-acc", database="LAKE", schema="RAW")
    for session in (connection, SimpleNamespace(connection=connection), "snowflake://me:word@org-acc/LAKE/RAW?role=R"):
        assert place_of(session) == "snowflake://org-acc/LAKE/RAW"
    assert "process" in place_of(SimpleNamespace(account="org-acc", database=None))


def test_a_flow_has_another_name_in_each_place() -> None:
    """Without a place it keeps its own."""
    assert [within("flow", place) for place in ("", "lake")] == ["flow", "flow in lake"]
