"""Laws of names: one landed file has one name wherever it is told, no two files share one, and no key is ever a path."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline.filejob.names import KEY_BYTES, LOCAL_REPORT, below, flow_of, job_mark, local_name, run_of, source_mark
from halocline.landed import Landed

ODD_KEYS = (
    "../../etc/passwd",
    "/etc/passwd",
    "in/../../x.csv",
    "in//x.csv",
    "in/./x.csv",
    "C:\\windows\\x.csv",
    "in/a\0b.csv",
    "in/\x1b[31m.csv",
    "in/" + "é" * 510 + "csv",
    "x" * 1_024,
    "in/" + "y/" * 500 + "z.csv",
    "in/.csv",
    "in/株式会社.csv.gz",
    "in/a b+c%2F.csv",
    "in/\ud800.csv",
    "..",
    "/",
)
keys = st.text(min_size=1, max_size=400).filter(lambda key: len(key.encode("utf-8", "replace")) <= KEY_BYTES)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_odd_key_makes_plain_names(key: str, tmp_path: Path) -> None:
    """No folder that leads upwards, nothing that steers a terminal, no more than a bucket takes."""
    made = below("archive/", key, mark="0123456789abcdef")
    assert made.startswith("archive/")
    assert not {"", ".", ".."} & set(made.split("/"))
    assert made.isprintable()
    assert len(made.encode()) <= KEY_BYTES
    assert "0123456789abcdef" in made
    (tmp_path / local_name(key)).write_bytes(b"")
    assert [path.name for path in tmp_path.iterdir()] == [local_name(key)]


@given(keys)
def test_a_local_name_is_a_plain_name(key: str) -> None:
    """Whatever the key is: letters, digits and a few signs, no hidden file, no path."""
    name = local_name(key)
    assert Path(name).name == name
    assert name.isascii()
    assert name.isprintable()
    assert not name.startswith(".")
    assert len(name) < 100
    assert name != LOCAL_REPORT
    assert local_name(f"{key}/{LOCAL_REPORT}") != LOCAL_REPORT


@given(keys, keys)
def test_two_landings_have_two_runs(one: str, other: str) -> None:
    """The run, and with it every name, is that of one job, one place and one landing."""
    landings = {Landed("b", key, etag=etag, sequencer=when) for key in (one, other) for etag in "ef" for when in ("01", "02")}
    runs = {run_of(job, where) for job in ("job", "other") for where in landings}
    assert len(runs) == 2 * len(landings)
    assert {len(run) for run in runs} == {32}


def test_a_file_of_one_name_in_two_folders_keeps_its_folders() -> None:
    """What is archived is found where people look for it."""
    assert below("archive/", "in/a/f.csv", mark="m1") == "archive/in/a/f-m1.csv"
    assert below("archive/", "in/b/f.csv.gz", mark="m2") == "archive/in/b/f-m2.csv.gz"
    assert below("errors/", "in/b/f.csv", mark="m2", ending="-errors.csv") == "errors/in/b/f-m2-errors.csv"


@pytest.mark.parametrize("key", ["in/f.csv", "in/" + "x" * 1_000 + ".csv.gz", "in/" + "é" * 508 + ".csv", "y/" * 512])
def test_whatever_is_made_of_a_key_begins_alike(key: str) -> None:
    """So that it is found by listing a bucket, also where the end of the name had to be left out."""
    near = below("archive/", key, mark="", ending="")
    for mark in ("0123456789abcdef", "20261121T120000-0123456789abcdef"):
        assert below("archive/", key, mark=mark).startswith(near)
        assert below("archive/", key, mark=mark, ending="-errors.csv").startswith(near)


def test_a_job_has_a_short_mark_of_plain_letters() -> None:
    """For metadata: as it is called where that is short, and never that of another job."""
    assert job_mark("companies") == "companies"
    marks = [job_mark(name) for name in ("企業" * 200, "企業" * 201, "a b", "a%20b")]
    assert len(set(marks)) == 4
    assert all(one.isascii() and one.isprintable() and len(one) < 128 for one in marks)


def test_a_flow_is_a_key() -> None:
    """All landings of one key are one flow, and a name that is too long for people is still that of its key alone."""
    assert (
        flow_of("job", Landed("b", "in/f.csv", etag="1"))
        == flow_of("job", Landed("b", "in/f.csv", etag="2"))
        == "job: s3://b/in/f.csv"
    )
    long = [flow_of("job", Landed("b", "x" * 1_000 + end)) for end in "ab"]
    assert long[0] != long[1]
    assert source_mark("b", "x") != source_mark("bx", "")
