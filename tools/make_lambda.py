"""Make the zip of the Lambda function `halocline.aws_lambda.handler`: the package, what it needs, your halocline.yaml.

usage: make_lambda.py [--python 3.13] [--arch x86_64|arm64] [--config halocline.yaml] [--extra postgres ...] [--out FILE]
                      [--level 0-9] [--installed] [--no-bytecode]

Dependencies come by pip as wheels for Lambda's platform, in the versions that requirements/dev.txt pins. Where they cannot be
fetched, and with --installed, those of this environment are copied instead, if it has Lambda's platform and that Python; else
nothing is made. boto3 is in Lambda's own runtime. The same input gives the same bytes.

Files that flows name (`mapping`, `file`) are copied to the same places beside halocline.yaml; one that is not below its folder,
not there, or in the way of what the function needs, is refused.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from halocline.errors import HaloclineError
from halocline.flows.reading import read

ROOT = Path(__file__).resolve().parent.parent
LIMIT_BYTES = 250 << 20
"""Unzipped. Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""
GIVEN = {"boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3"}  # by Lambda's runtime of Python
NOT_NEEDED = re.compile(r"(^|/)(tests|include|__pycache__|bin)/|libarrow_flight|_flight\.|\.pxd$|\.pyx$|\.h$")
GLIBC = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")  # Amazon Linux 2023 has glibc 2.34
LONG_AGO = (1980, 1, 1, 0, 0, 0)


def main(arguments: list[str]) -> int:
    """Make the zip, and say how large it is."""
    asked = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="halocline-lambda-") as name:
        folder = Path(name) / "task"
        folder.mkdir()
        if asked.installed or not _fetched(folder, asked):
            _copied(folder, asked)
        shutil.copytree(
            ROOT / "src" / "halocline", folder / "halocline", ignore=shutil.ignore_patterns("__pycache__", "emulator")
        )
        _prune(folder)
        if asked.config:
            _configure(folder, asked.config)
        if not asked.no_bytecode:
            _compile(folder, asked.python)
        unzipped = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if unzipped > LIMIT_BYTES:
            most = LIMIT_BYTES >> 20
            sys.exit(f"make lambda: {unzipped >> 20} MB unzipped, and Lambda takes {most}: leave extras out, or make an image")
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        write_zip(folder, asked.out, level=asked.level)
    zipped = asked.out.stat().st_size
    print(f"{asked.out}: {zipped / 1e6:.1f} MB, {unzipped / 1e6:.1f} MB unzipped, Python {asked.python}, {asked.arch}")
    return 0


def _parser() -> argparse.ArgumentParser:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--python", default=here)
    parser.add_argument("--arch", default={"aarch64": "arm64"}.get(platform.machine(), "x86_64"), choices=("x86_64", "arm64"))
    parser.add_argument("--config", type=Path)
    parser.add_argument("--extra", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "lambda" / "halocline-lambda.zip")
    parser.add_argument("--level", type=int, default=9)
    parser.add_argument("--installed", action="store_true")
    parser.add_argument("--no-bytecode", action="store_true")
    return parser


def _wanted(asked: argparse.Namespace) -> list[str]:
    """The requirements of the package itself and of the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [one for name in asked.extra for one in project["optional-dependencies"][name]]
    return [*project["dependencies"], *extras]


def _fetched(folder: Path, asked: argparse.Namespace) -> bool:
    """Install wheels for Lambda's platform below the folder; whether that worked."""
    machine = {"arm64": "aarch64"}.get(asked.arch, asked.arch)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--target",
        str(folder),
    ]
    pip += [word for glibc in GLIBC for word in ("--platform", f"{glibc}_{machine}")]
    pip += ["--python-version", asked.python, "--implementation", "cp", "--only-binary", ":all:"]
    pins = folder.parent / "pins.txt"  # without hashes, which pip takes for requirements only
    pins.write_text("\n".join(re.findall(r"(?m)^[\w.-]+==[^\s;]+", (ROOT / "requirements" / "dev.txt").read_text())))
    done = subprocess.run([*pip, "--constraint", str(pins), *_wanted(asked)], capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no word of why"]
        print(f"make lambda: the wheels cannot be fetched ({last[0]}); those of this environment are tried", file=sys.stderr)
        shutil.rmtree(folder)
        folder.mkdir()
    return not done.returncode


def _copied(folder: Path, asked: argparse.Namespace) -> None:
    """Copy the installed distributions; they must be what Lambda can load."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    if (sys.platform, here, machine) != ("linux", asked.python, asked.arch):
        wanted = f"Python {asked.python} on linux {asked.arch}"
        sys.exit(f"make lambda: this is Python {here} on {sys.platform} {machine}, and {wanted} is wanted")
    for one in _distributions(_wanted(asked)):
        for file in one.files or ():
            source = Path(str(one.locate_file(file)))
            if not source.is_file() or ".." in file.parts:
                continue
            target = folder / str(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _distributions(wanted: list[str]) -> Iterator[metadata.Distribution]:
    """The installed distributions that requirements ask for, and what those ask for, without what Lambda has."""
    seen: set[tuple[str, str]] = set()
    left = [(one, "") for one in wanted]
    while left:
        text, extra = left.pop()
        asked = Requirement(text)
        name = canonicalize_name(asked.name)
        if name in GIVEN or (asked.marker is not None and not asked.marker.evaluate({"extra": extra})):
            continue
        for one in {"", *asked.extras}:
            if (name, one) not in seen:
                found = metadata.distribution(name)
                if not any(name == other for other, _ in seen):
                    yield found
                seen.add((name, one))
                left += [(inner, one) for inner in found.requires or ()]


def _prune(folder: Path) -> None:
    """Leave out what nobody imports, and what Lambda's runtime has."""
    for name in GIVEN:
        for path in folder.glob(f"{name.replace('-', '_')}*"):
            if path.name.split("-")[0] == name.replace("-", "_") or path.stem == name:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        inside = path.relative_to(folder).as_posix() + ("/" if path.is_dir() else "")
        if NOT_NEEDED.search(inside) and path.exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _configure(folder: Path, config: Path) -> None:
    """Copy a configuration that can be read, and the files that its flows read."""
    try:
        flows = read(config).flows
    except HaloclineError as error:
        sys.exit(f"make lambda: {error}")
    named = [(name, path) for name, flow in flows.items() for path in _files_of(flow)]
    shutil.copyfile(config, folder / "halocline.yaml")
    home, copied = config.resolve().parent, set[Path]()
    for name, path in named:
        source, target = home / path, folder / path
        if Path(path).is_absolute() or not source.resolve().is_relative_to(home) or ".." in Path(path).parts:
            sys.exit(f"make lambda: the flow {name} names {path}, which is not below the folder of {config.name}: put it there")
        if not source.is_file():
            sys.exit(f"make lambda: the flow {name} names {path}, and there is no such file")
        if target not in copied and (target.exists() or (folder / Path(path).parts[0]).is_file()):
            sys.exit(f"make lambda: the flow {name} names {path}, where the function has a file of its own: call it another name")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        copied.add(target)


def _files_of(flow: object) -> list[str]:
    """The paths that a flow names."""
    found = (getattr(flow, "mapping", None), getattr(flow, "file", None))
    return [one for one in found if isinstance(one, str)]


def _compile(folder: Path, python: str) -> None:
    """Bytecode beside the code, where this is the Python for it: a function cannot write any, and would compile at each start."""
    if python != f"{sys.version_info.major}.{sys.version_info.minor}":
        return
    words = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/var/task", str(folder)]
    subprocess.run([sys.executable, *words], check=True, env={**os.environ, "PYTHONHASHSEED": "0"})


def write_zip(folder: Path, out: Path, *, level: int = 9) -> None:
    """Zip a folder: the same files give the same bytes, whenever and by whomever they were written."""
    partial = out.with_name(f".{out.name}.partial")
    kind = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    with zipfile.ZipFile(partial, "w", kind, compresslevel=level or None) as made:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), LONG_AGO)
            entry.compress_type, entry.external_attr, entry.create_system = kind, 0o100644 << 16, 3
            with path.open("rb") as source, made.open(entry, "w") as target:
                shutil.copyfileobj(source, target)
    partial.replace(out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
