"""`halocline emulator`: a Salesforce on this laptop, in the foreground."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import err, out, refuse, say_json, told
from halocline.errors import FixConfig, StorageFailed

if TYPE_CHECKING:
    from halocline.emulator.server import Emulator, EmulatorConfig


def emulator(
    port: Annotated[int, typer.Option(help="Where to listen on 127.0.0.1; 0 takes a free port.")] = 8080,
    seed: Annotated[str | None, typer.Option(help="Records to make: Account=1000,Contact=200")] = None,
    *,
    seed_number: Annotated[int, typer.Option(help="The same number makes the same records.")] = 0,
    schema: Annotated[
        list[Path] | None,
        typer.Option(help="YAML with custom objects and fields; may be repeated.", exists=True, dir_okay=False),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Keep the org in this file (default: gone at the end).")] = None,
    as_json: options.Json = False,
) -> None:
    """Run a Salesforce that real clients accept, until it is interrupted."""
    counts = _counts(seed)
    with told(as_json=as_json):
        server = _server()
        config = server.EmulatorConfig(port=port, path=store, schemas=tuple(schema or ()))

        def ready(running: Emulator) -> None:
            _seed(running, counts, seed_number)
            _announce(running, as_json=as_json)

        try:
            server.run_forever(config, on_ready=ready)
        except OSError as error:
            raise StorageFailed(
                f"Starting the emulator on port {port}", error.strerror or str(error), hint="Choose another --port, or 0."
            ) from error
        except ValueError as error:
            raise FixConfig("Starting the emulator", str(error)) from error


def _server() -> ModuleType:
    from halocline.registry import missing_extra

    try:
        from halocline.emulator import server
    except ModuleNotFoundError as error:
        raise missing_extra("emulator", error) from error
    return server


def _counts(text: str | None) -> dict[str, int]:
    """`Account=1000,Contact=200` as a dict."""
    found: dict[str, int] = {}
    for item in (text or "").split(","):
        name, _, count = item.strip().partition("=")
        if not name and not count:
            continue
        if not name or not count.isdigit():
            refuse(f"--seed wants Object=count, not {item!r}")
        found[name] = int(count)
    return found


def _seed(running: Emulator, counts: dict[str, int], number: int) -> None:
    from halocline.emulator.seed import seed as make

    if counts:
        err.print(f"Making {', '.join(f'{n:,} {name}' for name, n in counts.items())} ...")
        make(running.store, counts, number=number)


def _announce(running: Emulator, *, as_json: bool) -> None:
    config: EmulatorConfig = running.config
    if as_json:
        say_json({"url": running.url, "client_id": config.consumer_key, "client_secret": config.consumer_secret})
        return
    out.print("A Salesforce is listening. In another terminal:\n")
    out.print(f"  export SF_LOGIN_URL={running.url}")
    out.print(f"  export SF_CLIENT_ID={config.consumer_key}")
    out.print(f"  export SF_CLIENT_SECRET={config.consumer_secret}")
    out.print("  halocline sync Account --to duckdb:///lake.duckdb\n")
    out.print("Stop it with Ctrl-C.")
