"""A database that cannot be written and a disk that is full: one clear paragraph, and table and position as they were."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from halocline import spooled
from halocline.config import Settings
from halocline.connectors.salesforce import pages
from halocline.emulator.server import Emulator
from halocline.sync import IntelligentSync
from tests.system.desk import FIELDS, WAYS, Desk, Told, desk_at, frozen_org, is_clear

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with frozen_org() as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with desk_at(emulator, tmp_path, monkeypatch) as made:
        yield made


def test_a_read_only_connection_is_refused(desk: Desk) -> None:
    """A database opened for reading only cannot be written; the error says how to open it."""
    assert desk.sync("rest").exit_code == 0
    before = desk.dump()
    settings = Settings(desk.folder / "home", desk.spool)
    with (
        duckdb.connect(str(desk.lake), read_only=True) as lake,
        IntelligentSync(lake, desk.login, settings=settings) as system,
    ):
        told = system.sync_sobject("Account", "main", "Account")
    assert (told["success"], told["records_processed"]) == (False, 0)
    assert "read-only" in str(told["error"])
    assert "Open the database for writing" in str(told["error"])
    assert desk.dump() == before


def test_a_read_only_file_is_refused(desk: Desk) -> None:
    """A file that this user may not write: exit code and paragraph say so, and it stays as it was."""
    assert desk.sync("rest").exit_code == 0
    before = desk.lake.read_bytes()
    desk.lake.chmod(0o444)
    told = run_alone(desk, "rest", prefix=without_roots_rights())
    desk.lake.chmod(0o644)
    is_clear(told, exit_code=told.exit_code, says=(str(desk.lake), "ermission|read-only"))
    assert told.exit_code in (1, 2)
    assert desk.lake.read_bytes() == before
    desk.life()
    assert desk.sync("rest").exit_code == 0
    assert desk.equals_org()


def without_roots_rights() -> list[str]:
    """What to put before a command so that it respects file modes, whoever runs it."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root writes everything, and there is no setpriv to give that right up")
    return ["setpriv", "--bounding-set=-dac_override,-fowner", "--inh-caps=-dac_override,-fowner"]


def run_alone(desk: Desk, way: str, *, prefix: Sequence[str] = ()) -> Told:
    """The same command in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "halocline",
        "sync",
        "Account",
        "--to",
        f"duckdb:///{desk.lake}",
        "--fields",
        ",".join(FIELDS),
    ]
    env = {**os.environ, **desk.env}
    done = subprocess.run([*prefix, *command, *WAYS[way]], env=env, capture_output=True, text=True, timeout=60, check=False)
    return Told(done.returncode, done.stdout, done.stderr)


_HOLDER = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def test_a_locked_file_is_refused_and_its_holder_named(desk: Desk) -> None:
    """While another process has the database open: the error names that process; afterwards the sync completes."""
    assert desk.sync("rest").exit_code == 0
    desk.life()
    before = desk.dump()
    command = [sys.executable, "-c", _HOLDER, str(desk.lake)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told = desk.sync("rest")
        holder.communicate("")
    is_clear(told, exit_code=75, says=("locked", str(holder.pid), "run this again when that one has ended"))
    assert desk.dump() == before
    assert desk.sync("rest").exit_code == 0
    assert desk.equals_org()


def test_a_file_that_is_no_database_is_refused(desk: Desk) -> None:
    """A damaged or foreign file is named and left alone."""
    desk.lake.write_bytes(b"this is a letter to my aunt, not a database\n" * 500)
    before = desk.lake.read_bytes()
    is_clear(desk.sync("rest"), exit_code=1, says=("no DuckDB file", str(desk.lake)))
    assert desk.lake.read_bytes() == before


def test_a_missing_folder_is_told(desk: Desk) -> None:
    """A database in a folder that is not there: the error says what to do."""
    desk.lake.parent.joinpath("gone").mkdir()
    elsewhere = replace(desk, folder=desk.folder / "gone")
    elsewhere.folder.rmdir()
    is_clear(elsewhere.sync("rest"), exit_code=2, says=("No such file|not exist", "folder"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("way", list(WAYS))
def test_a_full_disk_while_spooling_stops_the_sync(way: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files put aside on a device that is always full: the error says so and what to do; nothing is lost."""
    assert desk.sync(way).exit_code == 0
    desk.life()
    before = desk.dump()

    @contextmanager
    def full(path: Path) -> Iterator[Path]:
        yield Path("/dev/full")

    with monkeypatch.context() as patched:
        for module in (pages, spooled):
            patched.setattr(module, "arriving", full)
        is_clear(desk.sync(way), exit_code=1, says=("No space left on device", "Free some space", "HALOCLINE_SPOOL"))
    assert desk.dump() == before
    assert desk.sync(way).exit_code == 0
    assert desk.equals_org()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB, which only root may mount."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("mount") else None
    if done is None or done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here ({done.stderr.strip() if done else 'no mount'})")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("way", ["bulk", *(pytest.param(way, marks=pytest.mark.long) for way in WAYS if way != "bulk")])
def test_a_real_disk_that_fills_up_stops_the_sync(way: str, desk: Desk, tiny_disk: Path) -> None:
    """The same on a real disk with real files, which is left empty, so that nobody has to clean up before the next run.

    By Bulk there is every kind of file that is put aside; the other ways have some of them.
    """
    assert desk.sync(way).exit_code == 0
    desk.life()
    desk.add(8, Description="0123456789abcdef" * 2_000)
    before = desk.dump()
    desk.env["HALOCLINE_SPOOL"] = str(tiny_disk)
    is_clear(desk.sync(way), exit_code=1, says=("No space left on device", "HALOCLINE_SPOOL"))
    assert list(tiny_disk.iterdir()) == []
    assert desk.dump() == before
    desk.env["HALOCLINE_SPOOL"] = str(desk.spool)
    assert desk.sync(way).exit_code == 0
    assert desk.equals_org()
