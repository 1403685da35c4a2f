"""Laws of one way: what is done at many places is decided at one."""

from __future__ import annotations

from pathlib import Path

import halocline
from halocline import connector, sync, wanted

PACKAGE = Path(halocline.__file__).parent
APART = ("emulator/", "testing/")  # the emulator shares nothing with us; what tests bring along is theirs


def places_of(*words: str) -> set[str]:
    """The modules in which one of these words stands, by their paths in the package."""
    modules = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
    return {
        name
        for name, path in modules.items()
        if not name.startswith(APART) and any(word in path.read_text(encoding="utf-8") for word in words)
    }


def test_the_environment_is_read_in_one_module() -> None:
    """`config.py` reads it; the demo hands it on to a process of its own."""
    assert places_of("os.environ", "os.getenv") == {"config.py", "cli/demo.py"}


def test_arrow_reads_csv_in_one_module() -> None:
    """So what is null, and the wrapper around Arrow's defect, cannot be forgotten at one of several places."""
    assert places_of("open_csv(", ".read_csv(", "ConvertOptions") == {"rows/texts.py"}


def test_the_overlap_is_one_number() -> None:
    """Whether rows come of an org or of a database, as much is read again unless something else is said."""
    assert places_of("OVERLAP_S = 6") == {"connector.py"}
    assert sync.OVERLAP_S == wanted.Wanted("a database", table="t").overlap_s == connector.OVERLAP_S  # type: ignore[attr-defined]
