"""Make what a release publishes, in dist/: the sdist, the wheel, the list of parts (SBOM), and the checksums of all three.

usage: make_release.py [--environments NAME ...]

They are built from the commit, never from the folder, which must be as the commit is. Both are built twice, in folders of other
names, at other times and under other rights, and the wheel once more from the sdist: the same bytes each time, or there is no
release. What is in them is looked at (`check_archives`), licences are held against the list (`check_licences`), and the wheel is
installed into empty environments (`check_installed`). Nothing is published.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import check_archives
import check_installed
import check_licences
import make_sbom
from locked import ROOT

DIST = ROOT / "dist"


def main(arguments: list[str]) -> int:
    """Build, check, install, and say what there is; return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--environments", nargs="*", default=list(check_installed.ENVIRONMENTS))
    asked = parser.parse_args(arguments)
    changed = _git("status", "--porcelain").splitlines()
    if changed:
        shown = "\n".join(changed[:10])
        sys.exit(f"make release: the folder is not as its commit is; commit what belongs to it, or remove it:\n{shown}")
    os.environ.setdefault("SOURCE_DATE_EPOCH", _git("log", "-1", "--format=%ct"))
    if check_licences.main(ROOT / "requirements" / "dev.txt"):
        return 1
    DIST.mkdir(exist_ok=True)
    for old in DIST.iterdir():
        old.unlink()
    built = build(DIST)
    faults = check_archives.faults(*built, tracked=frozenset(_git("ls-files").splitlines()))
    if faults:
        print("\n".join(f"release: {fault}" for fault in faults))
        return 1
    make_sbom.main(DIST / "sbom.cdx.json")
    failed = check_installed.main([str(built[1]), *asked.environments])
    _tell(_git("log", "-1", "--format=%h"))
    return failed


def build(into: Path) -> tuple[Path, Path]:
    """The sdist and the wheel of the commit; ends the program where two builds differ."""
    with tempfile.TemporaryDirectory(prefix="halocline-release-") as name:
        folder = Path(name)
        tree, other = _exported(folder / "tree"), _exported(folder / "another name")
        made = {kind: _built(tree, kind, folder / "first") for kind in ("sdist", "wheel")}
        before = os.umask(0o077)
        try:
            for path in other.rglob("*"):
                path.chmod(0o700 if path.is_dir() else 0o600)
                os.utime(path, (2_000_000_000, 2_000_000_000))
            again = {kind: _built(other, kind, folder / "second") for kind in made}
        finally:
            os.umask(before)
        with tarfile.open(made["sdist"]) as packed:
            packed.extractall(folder / "unpacked", filter="data")
        (unpacked,) = (folder / "unpacked").iterdir()
        same = {"the second sdist": (made["sdist"], again["sdist"]), "the second wheel": (made["wheel"], again["wheel"])}
        same["the wheel of the sdist"] = (made["wheel"], _built(unpacked, "wheel", folder / "third"))
        differing = [what for what, (one, two) in same.items() if one.read_bytes() != two.read_bytes()]
        if differing:
            sys.exit(f"make release: {' and '.join(differing)} is of other bytes")
        print("release: two builds of one commit, and the wheel of the sdist: the same bytes")
        sdist, wheel = (path.rename(into / path.name) for path in made.values())
        return sdist, wheel


def _exported(folder: Path) -> Path:
    """The files of the commit, in a new folder."""
    folder.mkdir()
    archive = folder.with_suffix(".tar")
    _git("archive", "--output", str(archive), "HEAD")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def _built(tree: Path, kind: str, into: Path) -> Path:
    """What hatchling makes of a folder: the one file, in a folder of its own."""
    target = into / kind
    target.mkdir(parents=True)
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(target)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"make release: the {kind} cannot be built:\n{done.stderr.strip()}")
    (made,) = target.iterdir()
    return made


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"make release: `git {words[0]}` failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _tell(commit: str) -> None:
    """Write and show the checksums."""
    files = sorted(path for path in DIST.iterdir() if path.name != "SHA256SUMS")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in files]
    (DIST / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    print(f"dist/, of commit {commit}:")
    for path, line in zip(files, sums, strict=True):
        print(f"  {line[:12]}  {path.stat().st_size / 1e3:8.1f} kB  {path.name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
