"""Attacks: what is tried, and whether it was blocked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from halocline.errors import HaloclineError


@dataclass(slots=True)
class Attacks:
    """How many were tried, and those that came through."""

    tried: int = 0
    through: list[str] = field(default_factory=list)

    def blocked(self, what: str, is_blocked: bool) -> None:
        """An attack, and whether nothing came of it."""
        self.tried += 1
        if not is_blocked:
            self.through.append(what)

    def refused(self, what: str, work: Callable[[], object]) -> None:
        """An attack that has to end in an error of ours."""
        try:
            found = work()
        except HaloclineError:
            self.blocked(what, is_blocked=True)
        except Exception as error:  # noqa: BLE001 - one that nobody foresaw is told
            self.blocked(f"{what}: {type(error).__name__}: {error}"[:300], is_blocked=False)
        else:
            self.blocked(f"{what}: {found!r}"[:300], is_blocked=False)

    def __str__(self) -> str:
        return f"blocked {self.tried - len(self.through)} of {self.tried}"
