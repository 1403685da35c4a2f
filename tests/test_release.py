"""Laws of what a release publishes: which archives and licences are refused, what the list of parts says, what is installed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import halocline

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "dev.txt"
EXTRAS = ("aws", "duckdb", "emulator", "otel", "pandas", "postgres", "redis", "snowflake")


@pytest.fixture(autouse=True)
def _beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Programs of tools/ find each other, as they do when one is run."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    yield
    for name in ("check_archives", "check_installed", "check_licences", "locked", "make_sbom"):
        sys.modules.pop(name, None)


def tool(name: str) -> ModuleType:
    return import_module(name)


# ---- licences


def test_every_locked_dependency_has_an_allowed_licence_or_an_exception() -> None:
    """The whole lock, as `make lint` looks at it."""
    command = [sys.executable, str(ROOT / "tools" / "check_licences.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.split(" locked")[0]) == (0, f"licences: {len(tool('locked').pins(LOCK))}")


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("MPL-2.0 AND MIT", False),
        ("MIT AND ISC", True),
        ("GPL-3.0-only AND MIT OR ISC", True),
        ("(GPL-3.0-only OR MIT) AND ISC", False),  # not read: somebody has to
    ],
)
def test_of_a_choice_one_licence_is_enough_and_of_a_sum_all_are_needed(expression: str, allowed: bool) -> None:
    assert tool("check_licences").is_allowed(expression, ["MIT", "ISC"]) is allowed


@pytest.mark.parametrize(
    ("allow", "read", "exceptions", "fault"),
    [
        ([], {}, {}, "rich is under MIT, which is not on the list"),
        (["MIT"], {}, {}, ""),
        ([], {}, {"rich": {"licence": "MIT", "reason": "tests"}}, ""),
        ([], {}, {"rich": {"licence": "ISC", "reason": "tests"}}, "its exception is for ISC"),
        ([], {}, {"rich": {"licence": "MIT", "reason": ""}}, "its exception"),
        (["MIT"], {}, {"rich": {"licence": "MIT", "reason": "tests"}}, "needs no exception"),
        (["MIT"], {"rich": "MIT"}, {}, "says itself"),
        (["MIT"], {"gone": "MIT"}, {}, "gone is not locked"),
    ],
)
def test_what_the_list_of_licences_does_not_say_is_a_fault(
    allow: list[str], read: dict[str, str], exceptions: dict[str, dict[str, str]], fault: str
) -> None:
    """And so is what it says for nothing, or of a licence that has changed."""
    check, pin = tool("check_licences"), tool("locked").Pin("rich", "15.0.0", "", "")
    known = check.Policy(frozenset(allow), {}, read, exceptions)
    found = [*check._faults({"rich": pin}, known), *check._stale({"rich": pin}, known)]
    assert (len(found), fault in "".join(found)) == (1 if fault else 0, True)


def test_a_package_of_an_unknown_licence_is_a_fault() -> None:
    """One that is not installed says nothing."""
    check, pin = tool("check_licences"), tool("locked").Pin("no-such-package", "1", "", "")
    (found,) = check._faults({"no-such-package": pin}, check.Policy(frozenset(["MIT"]), {}, {}, {}))
    assert "does not say" in found


# ---- the list of parts


def test_the_list_of_parts_is_what_the_lock_pins_for_the_package_and_its_extras() -> None:
    """Each with version, licence and extras; tools are no parts; every reference leads somewhere; the same twice."""
    make, locked = tool("make_sbom"), tool("locked").pins(LOCK)
    made = make.document(datetime(2026, 11, 1, tzinfo=UTC))
    assert json.dumps(made) == json.dumps(make.document(datetime(2026, 11, 1, tzinfo=UTC)))
    parts = {part["name"]: part for part in made["components"]}
    assert {name: part["version"] for name, part in parts.items()} == {name: locked[name].version for name in parts}
    assert {"pyarrow", "duckdb", "psycopg-binary", "async-timeout"} <= set(parts)
    assert {"pytest", "hatchling", "psycopg2-binary", "halocline"} & set(parts) == set()
    assert (parts["pyarrow"]["scope"], parts["duckdb"]["scope"]) == ("required", "optional")
    assert [one["value"] for one in parts["duckdb"]["properties"]] == ["duckdb"]
    assert parts["psycopg"]["licenses"] == [{"license": {"id": "LGPL-3.0-only"}}]
    references = {edge["ref"]: edge["dependsOn"] for edge in made["dependencies"]}
    ours = f"pkg:pypi/halocline@{halocline.__version__}"
    assert set(references) == {part["bom-ref"] for part in made["components"]} | {ours}
    assert {one for edges in references.values() for one in edges} | {ours} == set(references)
    assert made["metadata"]["component"]["version"] == halocline.__version__


# ---- what each extra needs


def test_each_extra_is_installed_from_hashes_of_the_lock(tmp_path: Path) -> None:
    """Whole entries of dev.txt, fewer than all; no extra needs less than the package itself, and `all` needs what each does."""
    check, locked = tool("check_installed"), tool("locked")
    assert ("none", *EXTRAS, "duckdb,emulator", "all") == check.ENVIRONMENTS
    whole, names = locked.pins(LOCK), {}
    for chosen in ((), *((one,) for one in EXTRAS), EXTRAS):
        lock = tmp_path / "lock.txt"
        lock.write_text(check.lock_of(chosen))
        found = locked.pins(lock)
        assert all(pin == whole[name] and "--hash=sha256:" in pin.lines for name, pin in found.items())
        names[chosen] = set(found)
    assert all(names[()] < names[one,] for one in EXTRAS)
    assert set().union(*names.values()) == names[EXTRAS] < set(whole)
    runtime = locked.pins(ROOT / "requirements" / "runtime.txt")
    assert names[()] <= set(runtime) <= names[()] | {name for name, pin in runtime.items() if pin.marker}


# ---- what is in the archives

NAME = f"halocline-{halocline.__version__}"
METADATA = f"""Metadata-Version: 2.4
Name: halocline
Version: {halocline.__version__}
License-Expression: Apache-2.0
Requires-Python: >=3.11
Classifier: Typing :: Typed
Description-Content-Type: text/markdown

# Halocline
"""
PACKAGE = ("src/halocline/py.typed", "src/halocline/a.sql")
SOURCES = ("LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "requirements/dev.txt", *PACKAGE)


def archives(folder: Path, *, source: Mapping[str, str | None] = {}, wheel: Mapping[str, str | None] = {}) -> list[str]:
    """The faults of an sdist and a wheel that are as they should be, but for these files; None: it is missing."""
    check = tool("check_archives")
    info = {f"{NAME}.dist-info/{name}": "" for name in ("WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    sources = {**dict.fromkeys(SOURCES, ""), "PKG-INFO": METADATA, **source}
    inside = {**{name.removeprefix("src/"): "" for name in PACKAGE}, **info, f"{NAME}.dist-info/METADATA": METADATA, **wheel}
    with tarfile.open(folder / "made.tar.gz", "w:gz") as packed:
        for name, text in sources.items():
            if text is not None:
                entry = tarfile.TarInfo(f"{NAME}/{name}")
                entry.size = len(text)
                packed.addfile(entry, io.BytesIO(text.encode()))
    with zipfile.ZipFile(folder / "made.whl", "w") as packed_wheel:
        for name, text in inside.items():
            if text is not None:
                packed_wheel.writestr(name, text)
    found: list[str] = check.faults(folder / "made.tar.gz", folder / "made.whl", tracked=frozenset((*SOURCES, "tests/x.py")))
    return found


KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEowIBAAKCAQEAx0000000000000000000"


@pytest.mark.parametrize(
    ("source", "wheel", "fault"),
    [
        ({}, {}, ""),
        ({"tests/x.py": KEY}, {}, ""),  # a sample
        ({"LICENSE": None}, {}, "the sdist lacks: LICENSE"),
        ({"src/halocline/a.sql": None}, {}, "the sdist lacks: src/halocline/a.sql"),
        ({"notes.txt": "mine"}, {}, "the commit does not: notes.txt"),
        ({}, {"halocline/a.sql": None}, "the wheel lacks: halocline/a.sql"),
        ({}, {"tests/x.py": ""}, "beside the package: tests/x.py"),
        ({}, {f"{NAME}.dist-info/licenses/LICENSE": None}, "licenses/LICENSE"),
        ({}, {"halocline/a.sql": f"-- {ROOT}/x"}, "a.sql has"),
        ({"tests/x.py": f"# {Path.home()}/x" if len(str(Path.home())) > 1 else f"# {ROOT}/x"}, {}, "x.py has"),
        ({}, {"halocline/a.sql": "-- /home/jane/x"}, "a.sql has"),
        ({}, {"halocline/a.sql": KEY}, "a.sql has"),
        ({}, {f"{NAME}.dist-info/METADATA": METADATA.replace("Typed", "Tipped")}, "no classifier"),
        ({}, {f"{NAME}.dist-info/METADATA": METADATA.replace("Version: 0", "Version: 9")}, "it is version 9"),
        ({"PKG-INFO": METADATA.replace("# Halocline", "")}, {}, "its description"),
        ({"PKG-INFO": METADATA.replace("Apache-2.0", "no licence")}, {}, "license"),
    ],
)
def test_archives_hold_the_package_and_nothing_beside_it(
    source: dict[str, str | None], wheel: dict[str, str | None], fault: str, tmp_path: Path
) -> None:
    """A file that is missing, strange, of the builder's machine or secret, and metadata that an index refuses, each are named."""
    found = archives(tmp_path, source=source, wheel=wheel)
    assert (bool(found), fault in "\n".join(found)) == (bool(fault), True)
