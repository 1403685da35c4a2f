"""Pages that are typed into a shell: what they have their reader write and type, and whether it prints what they say.

How such a page is written: a fence whose first line names a file (```yaml halocline.yaml) is that file; a fence of the kind
`console` is typed, `$ ` before each command and what it prints below it, `...` for lines that are left out; a fence of the kind
`sh` is for the reader alone.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?: (?P<file>\S+))?\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
PORTS = ("8080", "4566", "9100")  # as pages name them; a test takes free ones
READY_S = 30
LIMIT_S = 240
# What differs from run to run: names of runs, how long they took, where servers are, how often a job was looked at.
CHANGES = [
    (r"\b[0-9a-f]{16}\b|\b[0-9a-f]{8}\b", "RUN"),
    (r"\b[\d.,]+ ?s\b", "SECONDS"),
    (r"127\.0\.0\.1:\d+", "HERE"),
    (r"\b\d+ API calls?", "CALLS"),
    (r" +$", ""),
]
LOGINS = ("SF_", "HALOCLINE_", "AWS_", "SNOWFLAKE_", "PYTEST_")


@dataclass(frozen=True, slots=True)
class Step:
    """A file to write, or a command to type with what it prints."""

    text: str
    file: str = ""
    prints: tuple[str, ...] = ()


def steps(page: str) -> list[Step]:
    """What a page asks its reader to do, in order."""
    found: list[Step] = []
    for fence in FENCE.finditer(page):
        if fence["file"]:
            found.append(Step(fence["text"], fence["file"]))
        elif fence["language"] == "console":
            found += typed(fence["text"])
    return found


def typed(text: str) -> Iterator[Step]:
    """The commands of a console, each with what stands below it; a line that ends with a backslash goes on."""
    for part in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, *prints = part.rstrip("\n").split("\n")
        yield Step(command, prints=tuple(prints))


def run(
    todo: list[Step], folder: Path, *, environment: Mapping[str, str], beside: Path | None = None, limit_s: float = LIMIT_S
) -> Path:
    """Do the steps in a shell; the folder in which the output of each lies. What it started in the background ends with it.

    The files of the folder `beside` are there from the beginning. When a step was done stands beside its output, `<number>.at`.
    """
    told, work = folder / "told", folder / "work"
    told.mkdir()
    if beside is None:
        work.mkdir()
    else:
        shutil.copytree(beside, work)
    ports = {port: str(free_port()) for port in PORTS}
    lines = [f"exec 2>{told}/errors", "set -m"]
    for number, step in enumerate(todo):
        text = swapped(step.text, ports)
        if step.file:
            (told / f"{number}.file").write_text(text)
            lines.append(f"cp {told}/{number}.file {shlex.quote(step.file)}")
        else:
            lines += [f"{{ {text}\n}} >{told}/{number}; echo $? >{told}/{number}.code; echo $EPOCHREALTIME >{told}/{number}.at"]
            lines += [waiting(port) for port in ports.values() if text.endswith("&") and port in text]
    lines += ["for job in $(jobs -p); do kill -- -$job; done", "wait"]
    shell = ["bash", "-c", "\n".join(lines)]
    env = {**environment, "HALOCLINE_HOME": str(folder / "home"), "HALOCLINE_SPOOL": str(folder)}
    with subprocess.Popen(shell, cwd=work, env=env, start_new_session=True) as process:
        try:
            process.wait(limit_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return told


def differences(step: Step, output: Path, *, why: str) -> None:
    """Every line of the page is printed, in its order, and no other unless `...` says that some are left out."""
    printed = [changed(line) for line in output.read_text().splitlines()]
    if not step.prints:
        assert output.with_suffix(".code").read_text() == "0\n", f"{step.text}\n{why}"
        return
    pattern = "".join(".*" if line.strip() == "..." else f"{_pattern(line)}\n" for line in step.prints)
    assert re.fullmatch(pattern, "".join(f"{line}\n" for line in printed), re.DOTALL), "\n".join([step.text, *printed, why])


def _pattern(line: str) -> str:
    return re.escape(changed(line)).replace(r"\.\.\.", ".*")


def changed(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, word in CHANGES:
        line = re.sub(pattern, word, line)
    return re.sub(r"\s{2,}", "  ", line)


def swapped(text: str, ports: Mapping[str, str]) -> str:
    """A page's ports, made free ones."""
    for named, taken in ports.items():
        text = text.replace(named, taken)
    return text


def waiting(port: str) -> str:
    """A line of bash that goes on when somebody listens."""
    return f"for try in $(seq {READY_S * 20}); do (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.05; done"


def warehouse(text: str, servers: ExitStack, folder: Path) -> dict[str, str]:
    """The variable that a page leaves to its reader, where it needs one."""
    if "snowflake://" in text:
        from tests.connectors.snowflake.server import snowflake_server

        server = servers.enter_context(snowflake_server())
        return {"WAREHOUSE": server.uri(server.database(folder))}
    if "postgresql://" in text:
        from tests.samples.postgres import postgres

        database = servers.enter_context(postgres())
        word = quote(str(database.folder), safe="")
        with closing(database.admin()) as admin, admin.cursor() as cursor:
            cursor.execute("CREATE ROLE etl SUPERUSER LOGIN PASSWORD 'any'")
        return {"WAREHOUSE": f"postgresql://etl:any@/postgres?host={word}&port={database.port}"}
    return {}


def clean() -> dict[str, str]:
    """Our environment without logins, and with this Python's programs and this tree's package in front."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LOGINS)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "80"}
