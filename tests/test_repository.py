"""Laws of the repository as a whole: what an import costs, who imports whom, what the wheel holds, what shape the code has."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

import halocline
from halocline.connectors.aws import session
from halocline.connectors.salesforce import transport
from tests.command_line import app

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
PACKAGE = SRC / "halocline"

DRIVERS = {
    *(
        "adbc_driver_manager",
        "adbc_driver_sqlite",
        "boto3",
        "botocore",
        "cryptography",
        "duckdb",
        "httpx2",
        "isal",
        "jwt",
        "opentelemetry",
        "pandas",
        "psycopg",
        "pyarrow",
        "pydantic",
    ),
    *("redis", "rich", "snowflake", "starlette", "typer", "uvicorn", "yaml"),
}

# Areas of the package, and which other areas each may import at run time. An area may always import itself.
CORE = "core"
FRONTS = {
    "sync",
    "verify",
    "several",
    "pipeline",
    "orchestrator",
    "filejob",
    "retl",
    "flows",
    "sf_client",
    "execution",
    "s3_files",
    "s3_keys",
    "tables",
}
ALLOWED = {
    "root": {"cli", CORE},  # __main__ starts the command line; __init__ resolves names lazily and is looked at in its own test
    CORE: set(),
    "ledger": {CORE},
    "connectors": {CORE},
    "front": {CORE, "ledger"},
    "consume": {CORE, "ledger", "front"},
    "compat": {CORE, "ledger", "front", "consume"},  # other documents' names for what is elsewhere
    "dashboard": {CORE, "ledger"},
    "testing": {CORE, "ledger"},
    "emulator": set(),
}

# What one connector lends another: boto3 is set up in one place, and its errors are told in one place.
LENT = {"connectors.files": ("halocline.connectors.aws.session.", "halocline.connectors.aws.errors.")}

# Each driver, and the only areas that may name it ("connectors.x" is one connector). `cli` may name all.
DRIVER_HOMES = {
    "httpx2": {"connectors.salesforce"},
    "isal": {"connectors.salesforce", "connectors.snowflake", "emulator", CORE},
    "jwt": {"connectors.salesforce", "emulator"},
    "cryptography": {"connectors.salesforce", "connectors.snowflake", "connectors.aws", "emulator"},
    "duckdb": {"connectors.duckdb"},
    "psycopg": {"connectors.postgres", "ledger"},
    "snowflake": {"connectors.snowflake"},
    "pydantic": {"front", "consume"},  # halocline.yaml; models that users bring
    "boto3": {"connectors.aws", "connectors.files"},
    "botocore": {"connectors.aws", "connectors.files"},
    "redis": {"connectors.redis"},
    "adbc_driver_manager": {"emulator"},
    "adbc_driver_sqlite": {"emulator"},
    "starlette": {"emulator", "dashboard"},
    "uvicorn": {"emulator", "dashboard"},
    "opentelemetry": {"consume"},
    "typer": set(),
    "click": set(),
    "rich": {CORE},  # the progress sink of events
}


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement's target as seen from one module."""

    module: str
    target: str
    line: int
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


@dataclass(frozen=True, slots=True)
class Function:
    """A function's shape: its length without its docstring, and how many parameters can be given by position."""

    path: Path
    name: str
    line: int
    lines: int
    positional: int

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGE)}:{self.line} {self.name}"


def area_of(module: str) -> str:
    """The area of ALLOWED that a dotted module belongs to; each connector is an area of its own."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] == "__main__":
        return "root"
    if parts[1] == "connectors":
        return ".".join(parts[1:3])
    if parts[1] in FRONTS:
        return "front"
    if parts[1] == "aws_lambda":  # the address that AWS is given
        return "consume"
    return parts[1] if parts[1] in {*ALLOWED, "cli"} else CORE


def may_import(importer: str, imported: str) -> bool:
    """Whether an area may import another."""
    if importer == imported or importer == "cli":
        return True
    return imported in ALLOWED[importer.partition(".")[0]]


def is_lent(found: Import) -> bool:
    """Whether what is imported is what one connector lends another."""
    return found.target.startswith(LENT.get(area_of(found.module), ("none",)))


def imports_of(text: str, *, module: str, is_package: bool = False) -> Iterator[Import]:
    """Every import in a module's text, relative ones resolved, in functions as well as at the top."""
    return imports_among(list(ast.walk(ast.parse(text))), module=module, is_package=is_package)


def imports_among(nodes: list[ast.AST], *, module: str, is_package: bool) -> Iterator[Import]:
    """Those of a module's whole tree."""
    blocks = [node for node in nodes if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")]
    typing_only = {id(inner) for block in blocks for part in block.body for inner in ast.walk(part)}
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.Call)):
            for target in _targets(node, module=module, is_package=is_package):
                yield Import(module, target, node.lineno, id(node) in typing_only)


def _targets(node: ast.Import | ast.ImportFrom | ast.Call, *, module: str, is_package: bool) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return [str(arg.value) for arg in node.args[:1] if name.endswith("import_module") and isinstance(arg, ast.Constant)]
    base = node.module or ""
    if node.level:
        above = module.split(".")[: len(module.split(".")) - node.level + is_package]
        base = ".".join([*above, base] if base else above)
    return [f"{base}.{alias.name}" for alias in node.names]


@cache
def package_files() -> list[Path]:
    """Every Python file that ships."""
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


@cache
def nodes_told(path: Path) -> tuple[list[Import], list[Function]]:
    """The imports and the functions of a file of the package, which is read once for all laws."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    found = imports_among(nodes, module=module_name(path), is_package=path.name == "__init__.py")
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    told = [
        Function(path, node.name, line=node.lineno, lines=body_lines(node), positional=positional(node)) for node in functions
    ]
    return list(found), told


def package_imports() -> list[Import]:
    """Every import of every file of the package."""
    return [found for path in package_files() for found in nodes_told(path)[0]]


def package_functions() -> list[Function]:
    """Every function and method of the package."""
    return [found for path in package_files() for found in nodes_told(path)[1]]


def modules_after(code: str) -> set[str]:
    """The top-level names in sys.modules of a fresh interpreter that ran `code`."""
    script = f"{code}\nimport sys\nprint('\\n'.join({{name.partition('.')[0] for name in sys.modules}}))"
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment, timeout=60)
    return set(done.stdout.split())


# ---- what an import costs


def test_importing_the_package_loads_no_driver() -> None:
    """`import halocline` in a fresh process loads none of the libraries that talk to a system."""
    assert modules_after("import halocline") & DRIVERS == set()


def test_the_command_line_loads_nothing_but_its_libraries_and_never_pandas() -> None:
    """`halocline --help` loads typer and rich, and no driver beside them. A verb that uses pyarrow then does not load pandas, as
    pyarrow would: half a second for nothing.
    """
    code = "import sys\nsys.argv = ['halocline', '--help']\nimport contextlib, io\nfrom halocline.cli.main import run\n"
    code += "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    run()\n"
    code += "print(*('after-help:' + name.partition('.')[0] for name in sys.modules), sep='\\n')\n"
    told = modules_after(code + "import pyarrow as pa\npa.array([1])")
    after_help = {name.removeprefix("after-help:") for name in told if name.startswith("after-help:")}
    assert {"halocline", "typer"} <= after_help
    assert after_help & (DRIVERS - {"typer", "rich"}) == set()
    assert {"pyarrow", "pandas"} & told == {"pyarrow"}


def test_the_version_is_in_one_place() -> None:
    """The package's version is the one that `_version.py` holds, and pyproject.toml reads it there."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in pyproject["project"]["dynamic"]
    home = ROOT / pyproject["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{halocline.__version__}"' in home.read_text()
    others = (path for path in (ROOT / "pyproject.toml", *package_files()) if path != home)
    assert [path.name for path in others if f'"{halocline.__version__}' in path.read_text()] == []


def test_whoever_is_told_the_version_is_told_that_one() -> None:
    """`halocline --version`, `halocline version`, Salesforce and AWS."""
    told = f"halocline {halocline.__version__}\n"
    assert CliRunner().invoke(app, ["--version"]).stdout == told
    assert CliRunner().invoke(app, ["version"]).stdout.split("\n")[0].split() == told.split()
    assert transport._HEADERS["User-Agent"] == session._config("sqs").user_agent_extra == told.strip().replace(" ", "/")


# ---- what is public


def test_exports_equal_all() -> None:
    """Every name in `__all__` resolves, is what the type checker sees, and no other public name is offered."""
    typed = {found.target.rpartition(".")[2] for found in package_imports() if found.module == "halocline" and found.typing_only}
    assert [name for name in halocline.__all__ if not hasattr(halocline, name)] == []
    assert set(halocline.__all__) == typed - {"TYPE_CHECKING"}
    assert set(dir(halocline)) - {"__version__"} == set(halocline.__all__)
    assert sorted(halocline.__all__) == list(halocline.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that the package does not have raises AttributeError, so that hasattr and typos behave."""
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = halocline.no_such_name


@pytest.mark.parametrize("module", [module_name(path) for path in package_files() if "\n__all__ = " in path.read_text()])
def test_all_names_exist(module: str) -> None:
    """Whatever a module lists in `__all__` is there."""
    loaded = importlib.import_module(module)
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []


# ---- who imports whom


def test_imports_point_inward() -> None:
    """No area imports at run time what the table does not allow it."""
    ours = [found for found in package_imports() if found.target.partition(".")[0] == "halocline" and not found.typing_only]
    strays = [found for found in ours if not may_import(area_of(found.module), area_of(found.target)) and not is_lent(found)]
    assert [str(found) for found in strays] == []


def test_the_emulator_knows_nothing_of_ours() -> None:
    """The emulator imports none of our other packages, not even for types: a misreading must not pass on both sides."""
    inside = [found for found in package_imports() if found.module.startswith("halocline.emulator")]
    assert [str(f) for f in inside if f.target.startswith("halocline") and not f.target.startswith("halocline.emulator")] == []


def test_each_driver_has_its_homes() -> None:
    """Only the areas named for a driver import it; above the gate nobody sees it."""
    strays = []
    for found in package_imports():
        homes = DRIVER_HOMES.get(found.target.partition(".")[0])
        if homes is not None and area_of(found.module) not in {*homes, "cli"} and not found.typing_only:
            strays.append(str(found))
    assert strays == []


@pytest.mark.parametrize(
    ("module", "text", "allowed"),
    [
        ("halocline.plan", "from halocline.errors import Stop", True),
        ("halocline.plan", "from halocline.ledger import Ledger", False),
        ("halocline.plan", "def f():\n    import halocline.sync", False),
        ("halocline.connectors.duckdb.source", "from .types import x", True),
        ("halocline.connectors.duckdb.source", "from ..salesforce import soql", False),
        ("halocline.connectors.duckdb.source", "from halocline.ledger import Ledger", False),
        ("halocline.sync", "from halocline.registry import source", True),
        ("halocline.sync", "from halocline.connectors.salesforce import client", False),
        ("halocline.sync", "importlib.import_module('halocline.connectors.duckdb')", False),
        ("halocline.consume.work.worker", "from halocline import emulator", False),
        ("halocline.consume.work.worker", "from halocline.compat import kicksaw", False),
        ("halocline.compat.kicksaw.x", "from halocline.consume.aws import s3_events", True),
        ("halocline.compat.kicksaw.x", "from halocline.connectors.aws import s3", False),
        ("halocline.dashboard.pages", "from halocline.run import execute", True),
        ("halocline.dashboard.pages", "from halocline.consume import worker", False),
        ("halocline.emulator.rest", "from ..errors import Stop", False),
        ("halocline.testing.destination", "from halocline import emulator", False),
        ("halocline.cli.demo", "from halocline.emulator import app", True),
    ],
)
def test_the_import_table_judges(module: str, text: str, *, allowed: bool) -> None:
    """The table judges as the architecture does: relative, nested and dynamic imports too, and folders yet to come."""
    found = list(imports_of(text, module=module))
    assert [may_import(area_of(one.module), area_of(one.target)) for one in found] == [allowed]


# ---- the shape of the code


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """A function's length in lines, its docstring left out."""
    whole = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    has_docstring = ast.get_docstring(function) is not None
    return whole - ((first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0)


def positional(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many parameters can be given by position, `self` and `cls` left out."""
    names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"], ["mcs"]))


# Documented fronts keep the signatures of their documents; Python calls its protocols by position; an object with its range, its
# record and values, or a refusal with its place and words, reads as the sentence that it is.
DOCUMENTED = {
    *{"download_file", "upload_file", "move_file", "timestamp_s3_key", "build_archive_s3_key", "cache_data_in_s3"},
    *{"pull_cached_data_from_s3", "sync_sobject_intelligent", "sync_sobject", "verify", "upsert", "insert", "delete"},
    *{"log_batch", "parse_sfdc_results", "hard_delete", "submit_dml", "restful", "apexecute", "toolingexecute"},
    *{"transform", "transform_batch", "receive_messages", "from_name"},
}
PYTHONS_OWN = {"__exit__", "__aexit__", "__setitem__", "__call__", "find_spec"}
SENTENCES = {
    *{"open", "deleted", "updated", "deleted_between", "updated_between", "update", "find", "records", "begin"},
    *{"refusal", "unexpected", "no_such_relationship", "no_such_children", "no_such_object", "refuse_unknown_keys"},
    *{"download", "upload", "put", "copy"},  # what, bucket, key: as `aws s3` has it
    *{"stream", "full_name", "email", "day_range", "expression", "test_a_run_whose_lease_ended_is_abandoned"},
}
BY_POSITION = DOCUMENTED | PYTHONS_OWN | SENTENCES


def test_no_file_is_longer_than_600_lines() -> None:
    """At 600 lines a file has a second noun."""
    long = {module_name(path): lines for path in package_files() if (lines := len(path.read_text().splitlines())) > 600}
    assert long == {}


def test_functions_are_short() -> None:
    """No function is longer than 80 lines, and 95 in a hundred are at most 35."""
    lengths = sorted((function.lines, str(function)) for function in package_functions())
    assert [entry for entry in lengths if entry[0] > 80] == []
    assert lengths[round(0.95 * (len(lengths) - 1))][0] <= 35


def test_parameters_after_the_second_are_keyword_only() -> None:
    """A third argument by position says nothing at a public call; compat and documented fronts keep their documents'."""
    found = [
        str(function)
        for function in package_functions()
        if "compat" not in function.path.parts
        if function.positional > 2 and function.name not in BY_POSITION and not function.name.startswith("_")
    ]
    assert found == []


# ---- what ships, and what it is made from


def shipped() -> set[str]:
    """Every file below src/halocline that the wheel must hold, by its name in the wheel."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(SRC).as_posix() for path in files}


def test_the_wheel_holds_the_whole_package(tmp_path: Path) -> None:
    """Data files (SQL, YAML, py.typed) travel in the wheel; nothing but the package and its metadata does."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    done = subprocess.run([*build, str(tmp_path), str(ROOT)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"halocline-{halocline.__version__}-")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == shipped()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_locks_pin_by_hash_and_name_no_index(lock: Path) -> None:
    """Every entry of a lock has an exact version and hashes, and no entry says where to fetch it."""
    text = lock.read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert "://" not in text
    assert [entry for entry in entries if not re.match(r"[A-Za-z0-9._-]+==\S+", entry) or "--hash=sha256:" not in entry] == []


def test_locks_hold_what_the_package_asks_for() -> None:
    """dev.txt pins every dependency, extra and tool of pyproject.toml; runtime.txt the required ones and no extra's driver."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    required = normal(pyproject["project"]["dependencies"])
    optional = pyproject["project"]["optional-dependencies"]
    extras = normal([one for name in optional if name != "all" for one in optional[name]])
    tools = normal(pyproject["dependency-groups"]["dev"])
    assert required | extras | tools <= locked("dev")
    assert required <= locked("runtime")
    assert (extras - required) & locked("runtime") == set()


def normal(requirements: list[str]) -> set[str]:
    """The normalised names of requirement strings."""
    return {re.split(r"[\[<>=!~; ]", one, maxsplit=1)[0].lower().replace("_", "-") for one in requirements}


def locked(name: str) -> set[str]:
    """The normalised names that a lock pins."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return normal([line for line in lines if re.match(r"[A-Za-z0-9]", line)])
