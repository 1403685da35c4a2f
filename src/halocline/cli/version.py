"""`halocline version`: what is installed."""

from __future__ import annotations

import platform

import typer

from halocline._version import __version__
from halocline.cli import options
from halocline.cli.answer import out, say_json

_SHOWN = ("pyarrow", "httpx2", "isal", "duckdb", "starlette")


def version(as_json: options.Json = False) -> None:
    """Show the version of Halocline and of what it stands on."""
    found: dict[str, object] = {"halocline": __version__, "python": platform.python_version()}
    found.update({name: _installed(name) for name in _SHOWN})
    if as_json:
        say_json(found)
        return
    for name, value in found.items():
        out.print(f"{name:<10} {value or 'not installed'}", markup=False)


def alone(asked: bool) -> None:
    """Show the version of Halocline in one line, and end; what `--version` does.

    Raises: typer.Exit.
    """
    if asked:
        out.print(f"halocline {__version__}", markup=False, highlight=False)
        raise typer.Exit


def _installed(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed(name)
    except PackageNotFoundError:
        return None
