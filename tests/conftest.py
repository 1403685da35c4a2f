"""What every test shares: the recorded data, the long tests' switch, and hypothesis settings that a busy machine cannot upset."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.figures import lines
from tests.made_once import make_once

make_once()

# No deadline: two workers on two cores make any single example's time meaningless; pytest's own timeout bounds the whole test.
settings.register_profile("halocline", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("halocline")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long` adds the tests that take minutes."""
    parser.addoption("--long", action="store_true", default=False, help="run the tests marked long as well")


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files go to a folder of this process's own, which ends with it.

    Processes that tests kill leave spools there, and every later sync on the machine would look at all of them.
    """
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # `tmp_path` stays where it is looked for
    folder = tempfile.mkdtemp(prefix="tests-")
    Path(folder).chmod(0o711)  # a database server that runs as another user has its own folder inside
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["TMPDIR"] = tempfile.tempdir = folder


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the long tests, saying so, unless they were asked for."""
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: takes minutes; run with --long"))


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of recordings of a real org that HALOCLINE_TEST_DATA names; skips where it is unset, fails where it is wrong."""
    named = os.environ.get("HALOCLINE_TEST_DATA")
    if not named:
        pytest.skip("HALOCLINE_TEST_DATA is unset")
    folder = Path(named)
    assert folder.is_dir(), f"HALOCLINE_TEST_DATA names {folder}, which is not a folder"
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests that passed have to say of themselves: see `tests.figures`."""
    passed = {report.nodeid for report in terminalreporter.getreports("passed")}
    ended = [one for one in terminalreporter.getreports("") if one.when == "teardown" and one.nodeid in passed]
    told = lines(one for report in ended for one in report.user_properties)
    if told:
        terminalreporter.section("what tests say")
        for line in told:
            terminalreporter.write_line(line)
