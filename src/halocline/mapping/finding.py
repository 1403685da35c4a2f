"""What a check of a mapping found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halocline.errors import FixConfig


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a mapping, or may be: `target` as mapped, the problem, near names, what to try.

    `fatal`: no row can be written so. Otherwise some rows may be refused, or a value may change on its way.
    """

    target: str
    problem: str
    suggestions: tuple[str, ...] = ()
    hint: str = ""
    fatal: bool = True

    def __str__(self) -> str:
        meant = f" Did you mean {' or '.join(self.suggestions)}?" if self.suggestions else ""
        return f"{self.target}: {self.problem}.{meant} {self.hint}".rstrip()


def refuse_fatal(findings: Sequence[Finding], sobject: str) -> tuple[Finding, ...]:
    """The findings that are not fatal.

    Raises: FixConfig that tells all the fatal ones; `facts["findings"]` holds them.
    """
    fatal = tuple(finding for finding in findings if finding.fatal)
    if fatal:
        raise FixConfig(f"Checking the mapping for {sobject}", "; ".join(str(one) for one in fatal), findings=fatal)
    return tuple(findings)
