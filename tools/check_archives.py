"""Check what is in an sdist and a wheel.

All of the package and nothing beside it, metadata that holds, no place of the builder's machine, no secret.
"""

from __future__ import annotations

import email.parser
import re
import tarfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from locked import ROOT, project
from packaging.metadata import Metadata
from trove_classifiers import classifiers

from halocline._version import __version__

NAME = f"halocline-{__version__}"
MUST = ("LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "requirements/dev.txt", "src/halocline/py.typed")
INFO = {f"{NAME}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
UNWANTED = re.compile(r"(^|/)(\.env$|\.git/|\.venv|__pycache__|id_rsa|\.netrc)|\.(pem|key|pyc|duckdb|p12|log)$")
SAMPLES = ("tests/", "docs/", "examples/", "README.md")  # places and secrets of nobody are shown there
PLACES = re.compile(rb"/(home|Users)/[a-z][\w.-]+/|/roo[t]/|[A-Z]:\\\\Users\\\\")
SECRETS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*[A-Za-z0-9+/]{20}|AKIA(?![A-Z0-9]*EXAMPLE)[A-Z0-9]{16}|\b00D\w{12,15}![\w.]{30}"
)


def faults(sdist: Path, wheel: Path, *, tracked: Collection[str]) -> list[str]:
    """What is wrong with the two, a line each; `tracked` are the files of the commit."""
    with tarfile.open(sdist) as packed:
        files = {one.name: packed.extractfile(one) for one in packed if one.isfile()}
        source = {name.partition("/")[2]: file.read() for name, file in files.items() if file is not None}
        apart = sorted(one.name for one in packed if not (one.isfile() or one.isdir()) or one.name.split("/")[0] != NAME)
    with zipfile.ZipFile(wheel) as packed_wheel:
        inside = {name: packed_wheel.read(name) for name in packed_wheel.namelist()}
    found = [f"{sdist.name} holds {name}, which is no plain file below {NAME}" for name in apart]
    found += _names(source, inside, frozenset(tracked))
    found += [f"{sdist.name}: {fault}" for fault in (*_bytes(source), *_metadata(source["PKG-INFO"]))]
    found += [f"{wheel.name}: {fault}" for fault in (*_bytes(inside), *_metadata(inside[f"{NAME}.dist-info/METADATA"]))]
    return found


def _names(source: Collection[str], inside: Collection[str], tracked: frozenset[str]) -> Iterator[str]:
    package = {name.removeprefix("src/") for name in tracked if name.startswith("src/halocline/")}
    wrong = {
        "the sdist lacks": {*MUST, *(f"src/{name}" for name in package)} - set(source),
        "the sdist holds, and the commit does not": set(source) - tracked - {"PKG-INFO"},
        "the wheel lacks": (package | INFO) - set(inside),
        "the wheel holds beside the package": set(inside) - package - INFO,
    }
    for what, names in wrong.items():
        for name in sorted(names):
            yield f"{what}: {name}"


def _bytes(files: Mapping[str, bytes]) -> Iterator[str]:
    """Files that nobody wants, places of the builder's machine, and secrets."""
    here = re.compile(b"|".join(re.escape(str(place).encode()) for place in (f"{ROOT}/", f"{Path.home()}/")))
    for name, data in sorted(files.items()):
        if UNWANTED.search(name):
            yield f"{name} does not belong there"
        for pattern in (here, *(() if name.startswith(SAMPLES) else (PLACES, SECRETS))):
            if match := pattern.search(data):
                yield f"{name} has {match[0][:24]!r} in it"


def _metadata(data: bytes) -> Iterator[str]:
    """What an index would refuse, or show wrong."""
    try:
        told = Metadata.from_email(data, validate=True)
    except ExceptionGroup as group:
        yield from (str(error) for error in group.exceptions)
        return
    wanted = {"name": "halocline", "license_expression": project()["license"], "description_content_type": "text/markdown"}
    yield from (f"{key} is {getattr(told, key)!r}" for key, value in wanted.items() if getattr(told, key) != value)
    if str(told.version) != __version__ or str(told.requires_python) != project()["requires-python"]:
        yield f"it is version {told.version} for Python {told.requires_python}"
    yield from (f"there is no classifier {one!r}" for one in told.classifiers or () if one not in classifiers)
    if "# Halocline" not in (told.description or email.parser.BytesParser().parsebytes(data).get_payload()):
        yield "the README is not its description"
