"""How many examples hypothesis draws: a fifth of those that a test names, and with `--long` all of them."""

from __future__ import annotations

SHARE, FEWEST = 5, 4
_all = False


def draw_all() -> None:
    """From now on, in this process: before the modules of tests are imported."""
    global _all  # noqa: PLW0603 - decorators read it while modules are imported, where there is no configuration to ask
    _all = True


def examples(count: int) -> int:
    """How many are drawn of so many: new ones in each run, so that runs add up."""
    return count if _all else max(FEWEST, count // SHARE)
