"""T26: no name and no link of a stranger's leads to a file of somebody else's, and no file of ours is left open to others."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from tests.security.attacks import Attacks

from halocline.config import secret
from halocline.connectors.files.local import checked
from halocline.consume.letters.quarantine import Quarantine, quarantine
from halocline.errors import HaloclineError
from halocline.ledger import open_ledger
from halocline.ledger.database import create
from halocline.private import ExposedSecretWarning, own_folder, refuse_planted
from halocline.push.folder import RunFolder
from halocline.queues import Message
from halocline.scratch import place_of
from halocline.spool import Spool

KEYS = (
    *(
        "../x",
        "../../../../etc/passwd",
        "a/../../x",
        "/etc/passwd",
        "//etc/passwd",
        "..",
        ".",
        "",
        "a/..",
        "./../x",
        "a//../../x",
    ),
    *("..\\..\\x", "C:\\x", "C:/x", "\\\\host\\share", "a\0b", "\0", "a/\0/../../x", "x\n../y", "\r\n", "~/x", "~root/x"),
    *(
        "\u2024\u2024/x",
        "\uff0e\uff0e/x",
        "..\uff0fx",
        "\u2025/x",
        "%2e%2e/x",
        "%2e%2e%2fx",
        "..%00/x",
        "\udcff/../x",
        "\u202e/../x",
    ),
    *(
        "a" * 5_000,
        "a/" * 2_000 + "x",
        "../" * 500 + "x",
        "é" * 300,
        "CON",
        "nul.txt",
        ".ssh/authorized_keys/../../../x",
        "-rf",
        "$HOME/x",
    ),
    *("....//x", "..;/x", "a/./../../x", "file:///etc/passwd", "s3://other/x", "|id", "`id`", ". . /x", "../.\u200b./x"),
)


def test_keys_of_objects(attacks: Attacks, tmp_path: Path) -> None:
    """A key becomes a file below its folder, or none; two keys never become one file."""
    root = tmp_path / "root"
    root.mkdir()
    places: dict[Path, str] = {}
    for key in KEYS:
        try:
            place = place_of(key, root)
        except HaloclineError:
            attacks.blocked(key, is_blocked=True)
            continue
        is_inside = place.resolve().is_relative_to(root.resolve()) and place != root and len(place.name.encode()) <= 255
        attacks.blocked(f"{key[:60]!r} -> {place}"[:300], is_inside and places.setdefault(place, key) == key)
    (root / "link").symlink_to(tmp_path)
    attacks.refused("a link in the folder", lambda: place_of("link/x", root))


def test_names_of_files_of_ours(attacks: Attacks, tmp_path: Path) -> None:
    """What names a spool's file, a quarantine, a message in it or a file of a table is no path."""
    spool = Spool("run", tmp_path)
    queue = Quarantine(tmp_path / "queue")
    for key in (one for one in KEYS if "/" in one or "\\" in one or "\0" in one or one in {"", ".", ".."}):
        attacks.blocked(f"spool {key!r}"[:200], _raises(ValueError, lambda key=key: spool.file(key)))
        attacks.refused(f"quarantine {key!r}", lambda key=key: quarantine(tmp_path, key))
        attacks.refused(f"message {key!r}", lambda key=key: queue.delete([key + ".message.json" if "/" in key else key]))
    for name in ("../x", "/x", "a/../../x", "", "..", "a//b", "a\0b"):
        attacks.blocked(f"file of a table {name!r}", _raises((HaloclineError, ValueError), lambda name=name: checked(name)))


def _raises(kinds: type[Exception] | tuple[type[Exception], ...], work: object) -> bool:
    with pytest.raises(kinds):
        work()  # type: ignore[operator]
    return True


def _theirs(path: Path) -> Path:
    """Give what is there to somebody else, where this user may."""
    if os.geteuid() == 0:
        os.lchown(path, 65_534, 65_534)
    return path


@pytest.fixture
def everybody(tmp_path: Path) -> Iterator[Path]:
    """A folder such as /tmp. Who may give away nothing is taken for another user than the one who made what is in it."""
    folder = tmp_path / "everybody"
    folder.mkdir()
    folder.chmod(0o1777)
    user = os.geteuid()
    with mock.patch("halocline.private.os.geteuid", return_value=user if user == 0 else user + 1):
        yield folder


def test_folders_of_everybody(attacks: Attacks, everybody: Path, tmp_path: Path) -> None:
    """What somebody else has made, or a link that he has put there, is no spool, ledger, run's folder or quarantine of ours."""
    theirs = everybody / "halocline-run.spool"
    theirs.mkdir(mode=0o777)
    _theirs(theirs)
    attacks.refused("a spool's folder of somebody else's", lambda: Spool("run", everybody))
    attacks.refused("a kept page's folder of somebody else's", lambda: own_folder(theirs))
    link = everybody / "halocline-link.spool"
    link.symlink_to(tmp_path)
    attacks.refused("a spool's folder that is a link", lambda: Spool("link", everybody))
    target = tmp_path / "target"
    (everybody / "ledger.sqlite").symlink_to(target)
    _theirs(everybody / "ledger.sqlite")
    attacks.refused("a ledger that is a link of somebody else's", lambda: create(everybody / "ledger.sqlite"))
    attacks.blocked("the link's target was made", not target.exists())
    planted = everybody / "planted.sqlite"
    planted.write_bytes(b"")
    _theirs(planted)
    attacks.refused("a ledger of somebody else's", lambda: create(planted))
    for place in ("run", "queue"):
        theirs = everybody / place
        theirs.mkdir(mode=0o777)
        _theirs(theirs)
        (everybody / f"{place}-link").symlink_to(tmp_path)
        _theirs(everybody / f"{place}-link")
        for name in (place, f"{place}-link"):
            attacks.refused(f"a run's folder: {name}", lambda name=name: RunFolder(everybody / name).make())
            attacks.refused(f"a quarantine: {name}", lambda name=name: Quarantine(everybody / name).send([Message("x")]))
    attacks.blocked(f"something was put there: {list(theirs.iterdir())}", not list(theirs.iterdir()))
    everybody.chmod(0o777)
    attacks.refused("a run's folder where anybody replaces files", lambda: RunFolder(everybody / "new-run").make())
    attacks.refused("a quarantine there", lambda: Quarantine(everybody / "new-queue").send([Message("x")]))
    attacks.refused("a folder in which anybody replaces files", lambda: refuse_planted(everybody / "new.sqlite"))


def test_rights_of_what_we_make(attacks: Attacks, tmp_path: Path) -> None:
    """Whatever the umask, others can read nothing that was made, and what they could read is closed to them."""
    before = os.umask(0)
    try:
        spool = Spool("run", tmp_path / "spool")
        beside = spool.beside("kept")
        open_spool = tmp_path / "halocline-open.spool"
        open_spool.mkdir(mode=0o777)
        Spool("open", tmp_path)
        home = tmp_path / "home"
        open_ledger(home / "ledger.sqlite").close()
        left = tmp_path / "old"
        left.mkdir(mode=0o700)
        (left / "ledger.sqlite").touch(mode=0o666)
        create(left / "ledger.sqlite")
    finally:
        os.umask(before)
    for made in (spool.path, beside.path, open_spool, home, home / "ledger.sqlite", left / "ledger.sqlite"):
        mode = stat.S_IMODE(made.stat().st_mode)
        attacks.blocked(f"{made.name}: {mode:o}", mode & 0o007 == 0)


def test_files_of_secrets(attacks: Attacks, tmp_path: Path) -> None:
    """A secret's file that everybody can write is not read, one that everybody can read is warned of, one without an end ends."""
    file = tmp_path / "secret"
    file.write_text("word\n")
    file.chmod(0o666)
    attacks.refused("everybody can write", lambda: secret(f"file:{file}"))
    file.chmod(0o644)
    with pytest.warns(ExposedSecretWarning, match="chmod 600"):
        assert secret(f"file:{file}") == "word"
    attacks.blocked("everybody can read", is_blocked=True)
    file.chmod(0o600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert secret(f"file:{file}") == "word"
    attacks.refused("a device without an end", lambda: secret("file:/dev/zero"))
    attacks.refused("a folder", lambda: secret(f"file:{tmp_path}"))
    file.write_bytes(b"\xff\xfe\x00")
    attacks.refused("bytes that are no text", lambda: secret(f"file:{file}"))
    attacks.refused("nothing there", lambda: secret(f"file:{tmp_path / 'none'}"))
