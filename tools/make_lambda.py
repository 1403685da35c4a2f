"""Make the zip of the Lambda function `halocline.aws_lambda.handler`: the package, what it needs, your halocline.yaml.

usage: make_lambda.py [--python 3.13] [--arch x86_64|arm64] [--config halocline.yaml] [--extra postgres ...] [--out FILE]
                      [--also PATH ...] [--layer] [--level 0-9] [--installed] [--no-bytecode]

Dependencies come by pip as wheels for Lambda's platform, in the versions that requirements/dev.txt pins. Where they cannot be
fetched, and with --installed, those of this environment are copied instead, if it has Lambda's platform and that Python; else
nothing is made. boto3 is in Lambda's own runtime. The same input gives the same bytes.

Files that flows name (`mapping`, `file`), the modules of their functions (`build`, `rows`, ...) and what --also names are
copied to the same places beside halocline.yaml; one that is not below its folder, not there, or in the way of what the function
needs, is refused.
--layer makes a layer for functions of your own: the same without a configuration, below `python/`.
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
import zipfile
from collections.abc import Iterable
from pathlib import Path

from locked import ROOT, distributions, pins, wanted

from halocline.errors import HaloclineError
from halocline.flows.push import PushFlow, Writing
from halocline.flows.reading import read
from halocline.mapping.named import places_in

LIMIT_BYTES = 250 << 20
"""Unzipped. Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""
GIVEN = {"boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3"}  # by Lambda's runtime of Python
NOT_NEEDED = re.compile(r"(^|/)(tests|include|__pycache__|bin)/|libarrow_flight|_flight\.|\.pxd$|\.pyx$|\.h$")
GLIBC = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")  # Amazon Linux 2023 has glibc 2.34
LONG_AGO = (1980, 1, 1, 0, 0, 0)


def main(arguments: list[str]) -> int:
    """Make the zip, and say how large it is."""
    asked = _parser().parse_args(arguments)
    if asked.layer and (asked.config or asked.also):
        sys.exit("make lambda: a layer holds no configuration; your own files are in the functions that use it")
    if asked.also and not asked.config:
        sys.exit("make lambda: --also names files beside a configuration, and there is none: --config")
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
            _configure(folder, asked.config, also=asked.also)
        if not asked.no_bytecode:
            _compile(folder, asked.python, place="/opt/python" if asked.layer else "/var/task")
        unzipped = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if unzipped > LIMIT_BYTES:
            most = LIMIT_BYTES >> 20
            sys.exit(f"make lambda: {unzipped >> 20} MB unzipped, and Lambda takes {most}: leave extras out, or make an image")
        out = asked.out or ROOT / "build" / "lambda" / f"halocline-{'layer' if asked.layer else 'lambda'}.zip"
        out.parent.mkdir(parents=True, exist_ok=True)
        write_zip(folder, out, level=asked.level, below="python/" if asked.layer else "")
    zipped = out.stat().st_size
    print(f"{out}: {zipped / 1e6:.1f} MB, {unzipped / 1e6:.1f} MB unzipped, Python {asked.python}, {asked.arch}")
    return 0


def _parser() -> argparse.ArgumentParser:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--python", default=here)
    parser.add_argument("--arch", default={"aarch64": "arm64"}.get(platform.machine(), "x86_64"), choices=("x86_64", "arm64"))
    parser.add_argument("--config", type=Path)
    parser.add_argument("--extra", nargs="*", default=[])
    parser.add_argument("--also", nargs="*", default=[])
    parser.add_argument("--layer", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--level", type=int, default=9)
    parser.add_argument("--installed", action="store_true")
    parser.add_argument("--no-bytecode", action="store_true")
    return parser


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
    bare = folder.parent / "pins.txt"  # without hashes, which pip takes for requirements only
    bare.write_text("\n".join(f"{pin.name}=={pin.version}" for pin in pins(ROOT / "requirements" / "dev.txt").values()))
    done = subprocess.run([*pip, "--constraint", str(bare), *wanted(asked.extra)], capture_output=True, text=True, check=False)
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
        target = f"Python {asked.python} on linux {asked.arch}"
        sys.exit(f"make lambda: this is Python {here} on {sys.platform} {machine}, and {target} is wanted")
    for one in distributions(wanted(asked.extra), without=GIVEN):
        for file in one.files or ():
            source = Path(str(one.locate_file(file)))
            if not source.is_file() or ".." in file.parts:
                continue
            target = folder / str(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


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


def _configure(folder: Path, config: Path, *, also: Iterable[str] = ()) -> None:
    """Copy a configuration that can be read, the files that its flows read, and what they build with."""
    try:
        flows = read(config).flows
    except HaloclineError as error:
        sys.exit(f"make lambda: {error}")
    home, copied = config.resolve().parent, set[Path]()
    named = [(f"the flow {name}", path) for name, flow in flows.items() for path in (*_files_of(flow), *_modules_of(flow, home))]
    named += [("--also", path) for one in also for path in _sources(home, _below(home, one))]
    shutil.copyfile(config, folder / "halocline.yaml")
    for name, path in named:
        source, target = home / path, folder / path
        if Path(path).is_absolute() or not source.resolve().is_relative_to(home) or ".." in Path(path).parts:
            sys.exit(f"make lambda: {name} names {path}, which is not below the folder of {config.name}: put it there")
        if not source.is_file():
            sys.exit(f"make lambda: {name} names {path}, and there is no such file")
        if target not in copied and (target.exists() or (folder / Path(path).parts[0]).is_file()):
            sys.exit(f"make lambda: {name} names {path}, where the function has a file of its own: call it another name")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        copied.add(target)


def _files_of(flow: object) -> list[str]:
    """The paths that a flow names."""
    found = (getattr(flow, "mapping", None), getattr(flow, "file", None))
    return [one for one in found if isinstance(one, str)]


def _modules_of(flow: object, home: Path) -> list[str]:
    """The files of the modules whose functions a flow names: the module, or the whole of the package that it is in."""
    places = [str(one.build) for one in getattr(flow, "tables", ()) if one.build]
    if isinstance(flow, Writing):
        places += [*places_in(flow.mapping, folder=home), *flow.conditions.values()]
    if isinstance(flow, PushFlow):
        places += [*flow.callbacks.values(), *([] if flow.rows_of is None else [flow.rows_of])]
    tops = dict.fromkeys(re.split("[.:]", place)[0] for place in places)
    return [path for top in tops for path in _sources(home, top if (home / top).is_dir() else f"{top}.py")]


def _below(home: Path, name: str) -> str:
    """The place from `home` of what a whole path names there; else the name as it is."""
    path = Path(name)
    return path.resolve().relative_to(home).as_posix() if path.is_absolute() and path.resolve().is_relative_to(home) else name


def _sources(home: Path, name: str) -> list[str]:
    """A file, or the Python files below a folder, by their places from `home`."""
    folder = home / name
    if not folder.is_dir() or Path(name).is_absolute() or ".." in Path(name).parts:
        return [name]
    return [path.relative_to(home).as_posix() for path in sorted(folder.rglob("*.py"))]


def _compile(folder: Path, python: str, *, place: str) -> None:
    """Bytecode beside the code, where this is the Python for it: a function cannot write any, and would compile at each start."""
    if python != f"{sys.version_info.major}.{sys.version_info.minor}":
        return
    words = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", place, str(folder)]
    subprocess.run([sys.executable, *words], check=True, env={**os.environ, "PYTHONHASHSEED": "0"})


def write_zip(folder: Path, out: Path, *, level: int = 9, below: str = "") -> None:
    """Zip a folder, `below` another: the same files give the same bytes, whenever and by whomever they were written."""
    partial = out.with_name(f".{out.name}.partial")
    kind = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    with zipfile.ZipFile(partial, "w", kind, compresslevel=level or None) as made:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            entry = zipfile.ZipInfo(below + path.relative_to(folder).as_posix(), LONG_AGO)
            entry.compress_type, entry.external_attr, entry.create_system = kind, 0o100644 << 16, 3
            with path.open("rb") as source, made.open(entry, "w") as target:
                shutil.copyfileobj(source, target)
    partial.replace(out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
