"""What every test shares: the recorded data, the long tests' switch, and hypothesis settings that a busy machine cannot upset."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import warnings
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.examples import draw_all, examples
from tests.figures import lines
from tests.made_once import make_once

if TYPE_CHECKING:
    from tests.connectors.postgres.server import Place, Server
    from tests.system.nursery import Nursery

make_once()

HERE = Path(__file__).parent
EXAMPLES = 100  # of a test that names no number; hypothesis' own
MEMORY = Path("/dev/shm")
ROOM_BYTES = 8 << 30  # a whole run leaves about one gigabyte


def in_memory() -> bool:
    """Whether there is room for temporary files in memory: a ledger waits for the disk at each of its commits, and tests make
    hundreds of thousands. No test lets a machine lose its power, and what a killed process has written is there in either place.
    """
    if not os.access(MEMORY, os.W_OK):
        return False
    there = os.statvfs(MEMORY)
    told = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    free_bytes = int(told["MemAvailable"].split()[0]) << 10
    return not there.f_flag & os.ST_NOEXEC and min(free_bytes, there.f_bavail * there.f_frsize) > ROOM_BYTES


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long` adds the tests that take minutes."""
    parser.addoption("--long", action="store_true", default=False, help="run the tests marked long as well")


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files go to a folder of this process's own, which ends with it; and with `--long` all examples are drawn.

    Processes that tests kill leave spools there, and every later sync on the machine would look at all of them.
    """
    if config.getoption("--long"):
        draw_all()
    elif "TMPDIR" not in os.environ and in_memory():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
    draw_without_deadline()
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # `tmp_path` stays where it is looked for
    sweep(Path(tempfile.gettempdir()))
    folder = tempfile.mkdtemp(prefix=f"tests-{os.getpid()}-")
    Path(folder).chmod(0o711)  # a database server that runs as another user has its own folder inside
    config.add_cleanup(gc.unfreeze)
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["TMPDIR"] = tempfile.tempdir = folder


def sweep(below: Path) -> None:
    """Delete what a run left that was killed: it lies in memory, and nobody else frees that."""
    for folder in below.glob("tests-*-*"):
        process = folder.name.split("-")[1]
        with suppress(OSError):
            if process.isdecimal() and folder.stat().st_uid == os.getuid() and not _lives(int(process)):
                shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def draw_without_deadline() -> None:
    """Two workers on two cores make any single example's time meaningless; pytest's own timeout bounds the whole test."""
    quiet = [HealthCheck.too_slow]
    settings.register_profile(
        "halocline", deadline=None, print_blob=True, suppress_health_check=quiet, max_examples=examples(EXAMPLES)
    )
    settings.load_profile("halocline")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Ten thousand tests are here to stay: the garbage collector looks through none of them, now or later."""
    gc.disable()
    try:
        import_share(session.config)
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def import_share(config: pytest.Config) -> None:
    """In a first run of everything, a worker imports its share of the modules before it collects: what it compiles is there for
    the others, which would all compile the same at the same time. One that cannot be imported is told of when it is collected.
    """
    count, name = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    files = sorted(HERE.rglob("test_*.py"))
    if count == 1 or config.args != ["tests"] or any(files[-1].parent.glob(f"__pycache__/{files[-1].stem}.*")):
        return
    size, number = -(-len(files) // count), int(name.removeprefix("gw"))
    for path in files[number * size :][:size]:
        with warnings.catch_warnings(action="error"), suppress(Exception, pytest.skip.Exception):
            import_module(".".join(path.relative_to(HERE.parent).with_suffix("").parts))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the long tests, saying so, unless they were asked for; a law marked `short` keeps its variants that are marked long.

    A suite that runs for many ways into one destination may name its SHARE for a way: `(3, 1)` is the second third of its laws.
    One whose destination is dear may name the laws that other tests of it hold as well: they are its LATER.
    """
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("short"):
            item.add_marker(pytest.mark.skip(reason="long: takes minutes; run with --long"))
        elif not _shared(item):
            item.add_marker(pytest.mark.skip(reason="long: another way into the destination keeps this law; run with --long"))
        elif _later(item):
            item.add_marker(pytest.mark.skip(reason="long: other tests of the destination hold this law; run with --long"))


@cache
def _laws(suite: type) -> list[str]:
    return sorted(name for name in dir(suite) if name.startswith("test_"))


def _shared(item: pytest.Item) -> bool:
    suite = getattr(item, "cls", None)
    of, which = getattr(suite, "SHARE", (1, 0))
    return of == 1 or _laws(suite).index(item.originalname) % of == which


def _later(item: pytest.Item) -> bool:
    suite = getattr(item, "cls", None)
    later = getattr(suite, "LATER", frozenset())
    assert not later or later <= {*_laws(suite)}, f"{suite} has no such laws: {later}"
    return getattr(item, "originalname", None) in later


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of recordings of a real org that HALOCLINE_TEST_DATA names; skips where it is unset, fails where it is wrong."""
    named = os.environ.get("HALOCLINE_TEST_DATA")
    if not named:
        pytest.skip("HALOCLINE_TEST_DATA is unset")
    folder = Path(named)
    assert folder.is_dir(), f"HALOCLINE_TEST_DATA names {folder}, which is not a folder"
    return folder


@pytest.fixture(scope="session")
def redis_uri() -> Iterator[str]:
    """A real Redis of this process of tests, shared by them: each takes keys of its own. Where it cannot be made, they fail.

    HALOCLINE_NO_CLIENTS=1 skips the tests, as it skips other things that have to be fetched first.
    """
    if os.environ.get("HALOCLINE_NO_CLIENTS"):
        pytest.skip("HALOCLINE_NO_CLIENTS is set")
    from tests.redis_server import RedisServer  # only then: it brings the environments of clients along

    with RedisServer() as server:
        yield server.uri


@pytest.fixture(scope="session")
def nursed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Where commands come from: one nursery for all tests of this process."""
    from tests.system.nursery import nursery

    with nursery(tmp_path_factory.mktemp("nursery")) as running:
        yield running


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One PostgreSQL for all tests of this process."""
    from tests.connectors.postgres.server import Server  # only then: drivers of databases come along
    from tests.samples.postgres import postgres

    with postgres() as running:
        yield Server(running)


@pytest.fixture
def place(server: Server, tmp_path: Path) -> Iterator[Place]:
    """A database of the test's own in it, with an administrator's connection in autocommit."""
    with server.place(tmp_path) as made:
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests that passed have to say of themselves: see `tests.figures`."""
    passed = {report.nodeid for report in terminalreporter.getreports("passed")}
    ended = [one for one in terminalreporter.getreports("") if one.when == "teardown" and one.nodeid in passed]
    told = lines(one for report in ended for one in report.user_properties)
    if told:
        terminalreporter.section("what tests say")
        for line in told:
            terminalreporter.write_line(line)
