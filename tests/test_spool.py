"""The spool: private, whole files or none, gone with its run."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from halocline.errors import StorageFailed
from halocline.spool import IN_HOME, IN_SPOOL, SWEEP_AFTER_S, WHERE_NAMED, Spool, arriving, discard, storage, sweep


def test_a_spool_is_a_folder_of_its_owner_alone(tmp_path: Path) -> None:
    """Named by its run, below the root given; opening it again finds the same files."""
    spool = Spool("r1", tmp_path / "deep" / "root")
    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o700
    spool.file("page.csv").write_text("x")
    assert Spool("r1", tmp_path / "deep" / "root").file("page.csv").read_text() == "x"
    assert Spool("r2", tmp_path / "deep" / "root").path != spool.path


def test_without_a_root_the_systems_temporary_folder_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TMPDIR decides."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert Spool("r1").path.parent == tmp_path


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/etc/passwd", "a\\b", "a\0b"])
def test_a_file_name_never_leads_out(tmp_path: Path, name: str) -> None:
    """Part ids come from other systems: only a plain name is taken."""
    with pytest.raises(ValueError, match="plain file name"):
        Spool("r1", tmp_path).file(name)


def test_closing_deletes_everything_and_may_be_repeated(tmp_path: Path) -> None:
    """Also files that somebody else put there."""
    spool = Spool("r1", tmp_path)
    (spool.path / "sub").mkdir()
    (spool.path / "sub" / "f").write_text("x")
    spool.close()
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_arrives_whole(tmp_path: Path) -> None:
    """Under its name there is nothing until the block has ended, then all of it; an older file is replaced."""
    path = tmp_path / "page.csv"
    path.write_text("old")
    with arriving(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert (path.read_text(), list(tmp_path.iterdir())) == ("new", [path])


def test_a_file_that_fails_does_not_arrive(tmp_path: Path) -> None:
    """No half file is left under any name."""
    with pytest.raises(UnicodeEncodeError), arriving(tmp_path / "page.csv") as partial:
        partial.write_text("half" * 5000 + "\ud800", encoding="utf-8")
    assert list(tmp_path.iterdir()) == []


def test_two_arrivals_of_one_name_do_not_meet(tmp_path: Path) -> None:
    """A part that is read twice at once writes two partial files; the last to end stands."""
    path = tmp_path / "page.csv"
    with arriving(path) as first:
        with arriving(path) as second:
            first.write_text("1")
            second.write_text("2")
        assert path.read_text() == "2"
    assert path.read_text() == "1"


@pytest.mark.parametrize(("code", "hinted"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)])
def test_a_failure_of_storage_is_told(code: int, hinted: bool) -> None:
    """With what was being done and the number; a full disk with what to do about it."""
    with pytest.raises(StorageFailed, match="Writing a page") as failure, storage("Writing a page"):
        raise OSError(code, os.strerror(code))
    assert failure.value.facts["errno"] == code
    assert ("Free some space" in str(failure.value)) is hinted


@pytest.mark.parametrize(
    ("room", "says"), [(IN_SPOOL, "HALOCLINE_SPOOL"), (IN_HOME, "HALOCLINE_HOME"), (WHERE_NAMED, "write it to another disk")]
)
def test_a_full_disk_is_told_with_what_moves_the_file(room: str, says: str) -> None:
    """Each place has a setting of its own, and a file that a user named has none."""
    with pytest.raises(StorageFailed, match=f"Free some space, or .*{says}"), storage("Writing", hint="no", room=room):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_cannot_be_discarded_is_left_to_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is of no more use is deleted; a disk that refuses is no failure of the work that was done."""
    for name in ("one", "two"):
        (tmp_path / name).touch()
    discard(tmp_path / "one")
    discard(tmp_path / "one")

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "unlink", fails)
    discard(tmp_path / "two")
    assert [path.name for path in tmp_path.iterdir()] == ["two"]


def test_a_spool_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With the path, and the variable that names another."""
    (tmp_path / "root").write_text("in the way")
    with pytest.raises(StorageFailed, match=r"halocline-r1.*HALOCLINE_SPOOL"):
        Spool("r1", tmp_path / "root")


def test_a_sweep_takes_what_is_old_and_ours(tmp_path: Path) -> None:
    """Young spools stay, and so does whatever else has our name: a demo, an emulator's folder, a file."""
    old, young = Spool("old", tmp_path), Spool("young", tmp_path)
    others = [tmp_path / "halocline-demo", tmp_path / "halocline-emulator-x", tmp_path / "other"]
    for folder in others:
        folder.mkdir()
    (tmp_path / "halocline-file.spool").write_text("x")
    for path in (old.path, *others, tmp_path / "halocline-file.spool"):
        os.utime(path, (1_000.0, 1_000.0))
    os.utime(young.path, (2_000.0, 2_000.0))
    assert sweep(tmp_path, now_s=1_500.0 + SWEEP_AFTER_S) == [old.path]
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "halocline-file.spool", young.path])


def test_a_sweep_bears_a_spool_that_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run may end between the look into the folder and the look at the spool."""
    gone = tmp_path / "halocline-gone.spool"
    monkeypatch.setattr(Path, "glob", lambda _self, _pattern: [gone])
    assert sweep(tmp_path) == []


def test_a_spool_beside_outlives_the_run_unless_all_must_go(tmp_path: Path) -> None:
    """What a later run may use stays; after a disk that filled up it goes too."""
    first, second = Spool("one", tmp_path), Spool("two", tmp_path)
    for spool in (first, second):
        spool.beside("kept").file("page.csv").write_text("rows")
    kept = first.beside("kept").path
    first.close()
    assert kept.is_dir()
    second.close(everything=True)
    assert list(tmp_path.iterdir()) == []
