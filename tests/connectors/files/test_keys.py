"""Ranges of keys: a data file is passed over by those of the key that it was written by, and by no others."""

from __future__ import annotations

import json
from pathlib import Path

from tests.connectors.files.lakes import SCHEMA, load, merge, opened, rows, texts

from halocline.schema import Schema


def test_a_commit_that_does_not_name_the_keys_of_its_files_is_merged_into(tmp_path: Path) -> None:
    """Older versions noted ranges of keys without saying of which columns: then all files are looked at."""
    uri = f"file://{tmp_path}/lake"
    lake = opened(uri, tmp_path)
    load(lake, rows({"1": "b", "2": "a"}))
    path = tmp_path / "lake/raw/page/_halocline/00000001.json"
    told = json.loads(path.read_text())
    assert told["files"][0].pop("key") == ["Id"]
    del told["sha256"]
    path.write_text(json.dumps(told))
    assert merge(lake, rows({"1": "b"})).unchanged == 1
    changed = Schema(SCHEMA.columns, ())
    assert merge(lake, rows({"7": "b"}, changed), schema=changed, key=("Text",)).updated == 1
    assert texts(uri) == {"7": "b", "2": "a"}
