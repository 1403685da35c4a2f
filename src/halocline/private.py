"""Private: files and folders that nobody else can read or put there; and files of secrets, looked at before they are read.

A folder such as /tmp is everybody's: whoever knows a name before it is made can make it first, as a folder of theirs or a link.
Source: CWE-377, "Insecure Temporary File"; CWE-59, "Improper Link Resolution Before File Access"; sshd(8), "StrictModes".
"""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path

from halocline.errors import FixConfig, StorageFailed

SECRET_BYTES = 1 << 20  # a key has some thousands; a device has no end
_ROOT = 0


class ExposedSecretWarning(UserWarning):
    """Every user of this machine can read a file with a secret."""


def own_folder(path: Path) -> None:
    """Make a folder for its owner alone, and those above it; one that is there is made so, if it is ours.

    Raises: StorageFailed for a link, or a folder of somebody else's; OSError.
    """
    path.mkdir(parents=True, mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise _planted(path, "it is a link")
    if found.st_uid != os.geteuid():
        raise _planted(path, f"it belongs to user {found.st_uid}")
    if found.st_mode & 0o077:
        path.chmod(0o700)


def refuse_planted(path: Path) -> None:
    """Look at a file of ours, which need not be there yet, and at its folder; what others may read of it is closed to them.

    Raises: StorageFailed for a link that somebody else made, for a file of somebody else's in a folder of everybody's, and for a
    folder in which everybody can put another in its place; OSError.
    """
    folder = path.parent.stat()
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise _planted(path, f"every user of this machine can write to {path.parent}", hint=f"chmod o-w {path.parent}")
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        if found.st_uid not in (os.geteuid(), _ROOT):
            raise _planted(path, f"it is a link of user {found.st_uid}")
        return
    if found.st_uid != os.geteuid() and folder.st_mode & stat.S_ISVTX:
        raise _planted(path, f"it belongs to user {found.st_uid}, in a folder of everybody's")
    if found.st_uid == os.geteuid() and found.st_mode & stat.S_IRWXO:
        path.chmod(stat.S_IMODE(found.st_mode) & ~stat.S_IRWXO)


def secret_bytes(path: Path, doing: str) -> bytes:
    """What a file of a secret holds. Who lets every user of the machine read it is warned.

    Raises: FixConfig for one that everybody can write, or that is too long to be one; OSError.
    """
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode):
            _refuse_written(path, found, doing)
        content = file.read(SECRET_BYTES + 1)
        if len(content) > SECRET_BYTES:
            raise FixConfig(
                doing, f"the file {path} is longer than {SECRET_BYTES:,} bytes", hint="Name a file with the secret alone."
            )
        if (
            found.st_mode & stat.S_IROTH
            and stat.S_ISREG(found.st_mode)
            and found.st_uid == os.geteuid()
            and not _is_mounted(file.fileno())
        ):
            told = f"the file {path} holds a secret, and every user of this machine can read it: chmod 600 {path}"
            warnings.warn(told, ExposedSecretWarning, stacklevel=3)
    return content


def _refuse_written(path: Path, found: os.stat_result, doing: str) -> None:
    if found.st_mode & stat.S_IWOTH:
        hint = f"chmod 600 {path}, and look at what is in it."
        raise FixConfig(doing, f"every user of this machine can write to the file {path}", hint=hint)


def _is_mounted(handle: int) -> bool:
    """Whether it lies on a disk that is only read, as those are on which Kubernetes and Docker give a container its secrets."""
    return bool(os.fstatvfs(handle).f_flag & os.ST_RDONLY)


def _planted(path: Path, cause: str, *, hint: str = "") -> StorageFailed:
    usual = "Delete it, or point HALOCLINE_HOME and HALOCLINE_SPOOL at folders of your own."
    return StorageFailed(f"Using {path}", cause, hint=hint or usual)
