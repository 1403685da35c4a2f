"""`halocline emulator`: run it in the foreground."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer

from halocline.cli import options
from halocline.cli.answer import err, out, refuse, say_json, told
from halocline.cli.emulator import state, switches
from halocline.errors import FixConfig, StorageFailed

if TYPE_CHECKING:
    from halocline.emulator.server import Emulator, EmulatorConfig, Login

LOOPBACK = "127.0.0.1"


def emulator(
    context: typer.Context,
    port: switches.Port = 8080,
    *,
    host: switches.Host = LOOPBACK,
    https: switches.Https = True,
    https_port: switches.HttpsPort = None,
    proxy: switches.Proxy = True,
    proxy_port: switches.ProxyPort = None,
    ca_dir: switches.CaDir = None,
    seed: switches.Seed = None,
    seed_number: switches.SeedNumber = 0,
    schema: switches.Schema = None,
    records: switches.Records = None,
    store: switches.Store = None,
    certificate: switches.Certificate = None,
    user: switches.User = None,
    refresh_token: switches.RefreshToken = None,
    rotate_refresh_tokens: switches.RotateRefreshTokens = False,
    password_flow: switches.PasswordFlow = True,
    soap_login: switches.SoapLogin = True,
    expire_after: switches.ExpireAfter = None,
    expire_after_s: switches.ExpireAfterS = None,
    page_size: switches.PageSize = 2_000,
    page_rows: switches.PageRows = 50_000,
    job_ms: switches.JobMs = 0,
    job_ms_per_10k: switches.JobMsPer10k = 0,
    hard_delete: switches.HardDelete = True,
    max_cursors: switches.MaxCursors = 10,
    daily_api_requests: switches.DailyApiRequests = 100_000,
    daily_query_jobs: switches.DailyQueryJobs = 10_000,
    limit_info: switches.LimitInfo = "plain",
    charset: switches.Charset = "none",
    bulk_locator: switches.BulkLocator = "null",
    oldest_version: switches.OldestVersion = 31,
    newest_version: switches.NewestVersion = 67,
    bulk_upload_bytes: switches.BulkUploadBytes = 150_000_000,
    enforce_required: switches.EnforceRequired = True,
    enforce_unique: switches.EnforceUnique = True,
    enforce_duplicate_rules: switches.EnforceDuplicateRules = True,
    lock_wait_s: switches.LockWaitS = 0.0,
    fault: switches.Fault = None,
    as_json: options.Json = False,
) -> None:
    """Run a Salesforce that real clients accept, until it is interrupted."""
    if context.invoked_subcommand is not None:
        return
    _refuse_idle(context)
    if oldest_version > newest_version:
        refuse(f"no API version is served: --oldest-version {oldest_version} is newer than --newest-version {newest_version}")
    counts = _counts(seed)
    with told(as_json=as_json):
        server = _server()
        users = {"users": tuple(_login(server, text) for text in user)} if user else {}
        flows = {"rotate_refresh_tokens": rotate_refresh_tokens, "password_flow": password_flow, "soap_login": soap_login}
        sessions = {"expire_after": expire_after, "expire_after_s": expire_after_s, "lock_wait_s": lock_wait_s}
        pages = {"page_size": page_size, "page_rows": page_rows, "max_cursors": max_cursors, "limit_info": limit_info}
        jobs = {"job_ms": job_ms, "job_ms_per_10k": job_ms_per_10k, "bulk_upload_bytes": bulk_upload_bytes}
        versions = {"bulk_locator": bulk_locator, "oldest_version": oldest_version, "newest_version": newest_version}
        allowed = {"hard_delete": hard_delete, "daily_api_requests": daily_api_requests, "daily_query_jobs": daily_query_jobs}
        checks = {"enforce_required": enforce_required, "enforce_unique": enforce_unique}
        config = server.EmulatorConfig(
            host=host,
            port=port,
            https=https,
            https_port=_beside(port, https_port, 1, host=host),
            proxy=proxy and https,
            proxy_port=_beside(port, proxy_port, 2, host=host),
            ca_dir=ca_dir,
            path=store,
            schemas=tuple(schema or ()),
            public_keys=tuple(map(_text, certificate or ())),
            refresh_tokens=tuple(refresh_token or ()),
            bulk_charset=None if charset == "none" else charset,
            enforce_duplicate_rules=enforce_duplicate_rules,
            **(users | flows | sessions | pages | versions | jobs | allowed | checks),
        )
        start = _Start(counts, records, seed_number, tuple(map(_rule, fault or ())))
        _run(server, config, start, as_json=as_json)


def _refuse_idle(context: typer.Context) -> None:
    """Refuse what would be said in vain: of records that no schema defines, and of doors that are shut."""
    said = context.params
    given = {name for name in said if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"}
    if said["records"] is not None and not said["schema"]:
        refuse("--records makes records of the objects that --schema defines; give that too, or say --seed Account=1000.")
    if "proxy" in given and said["proxy"] and not said["https"]:
        refuse("--proxy leads clients to the https door, which --no-https shuts; leave one of them out.")
    for name in ("https_port", "ca_dir"):
        if name in given and not said["https"]:
            refuse(f"--{name.replace('_', '-')} is of the https door, which --no-https shuts; leave one of them out.")
    if "proxy_port" in given and not (said["proxy"] and said["https"]):
        refuse(f"--proxy-port is of the proxy, which --no-{'proxy' if said['https'] else 'https'} shuts; leave one of them out.")


@dataclass(frozen=True, slots=True)
class _Start:
    """What there is from the start: records (`counts` by object, `records` of each object that the schema files define, None: as
    they say), and `faults`, each as the admin door takes it.
    """

    counts: dict[str, int]
    records: int | None
    number: int
    faults: tuple[dict[str, Any], ...] = ()


def _run(server: ModuleType, config: EmulatorConfig, start: _Start, *, as_json: bool) -> None:
    from halocline.registry import missing_extra

    with ExitStack() as ending:

        def bound(emulator: Emulator) -> None:
            # Before the first request: whoever waits for the port finds the records, and the faults in force.
            _seed(emulator, start)
            for rule in start.faults:
                emulator.faults.add(**rule)

        def ready(running: Emulator) -> None:
            ending.enter_context(state.announced(running.addresses.as_json()))
            _announce(running, as_json=as_json)

        try:
            server.run_forever(config, on_bound=bound, on_ready=ready)
        except ModuleNotFoundError as error:
            raise missing_extra("emulator", error) from error
        except OSError as error:
            raise _cannot_start(config, error) from error
        except server.StoreInUseError as error:
            hint = "Stop that one, or name another file."
            raise StorageFailed(f"Opening the org in {config.path}", str(error), hint=hint) from error
        except sqlite3.DatabaseError as error:
            raise StorageFailed(
                f"Opening the org in {config.path or 'a temporary file'}", str(error), hint=_other_file(config.path)
            ) from error
        except ValueError as error:
            raise FixConfig("Starting the emulator", str(error)) from error


def _cannot_start(config: EmulatorConfig, error: OSError) -> StorageFailed:
    """A port that cannot be had, or a file: the authority's, as a rule."""
    where, reason = str(error.filename or f"port {config.port}"), error.strerror or str(error)
    if not where.startswith("port "):
        hint = "Name a folder that can be written to with --ca-dir, or shut the https door (--no-https --no-proxy)."
        return StorageFailed(f"Starting the emulator with {where}", reason, hint=hint)
    hint = "Choose another port, or 0." if config.host == LOOPBACK else "Look at --host, or choose another port, or 0."
    return StorageFailed(f"Starting the emulator on {where}", reason, hint=hint)


def _other_file(path: Path | None) -> str:
    """What to do about a store that SQLite cannot open."""
    if path is not None and path.is_dir():
        return "That is a folder: name a file in it."
    if path is not None and not path.parent.is_dir():
        return f"Make the folder {path.parent} first, or name another file."
    return "Name another file, or remove this one: a new org is made."


def _server() -> ModuleType:
    from halocline.registry import missing_extra

    try:
        from halocline.emulator import server
    except ModuleNotFoundError as error:
        raise missing_extra("emulator", error) from error
    return server


def _beside(port: int, wanted: int | None, offset: int, *, host: str) -> int:
    """The port asked for; without a wish the one `offset` after `port` if nobody listens there, else any (0)."""
    if wanted is not None or port == 0:
        return wanted or 0
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port + offset))
        except (OSError, OverflowError):
            return 0
    return port + offset


def _login(server: ModuleType, text: str) -> Login:
    """`name:password` or `name:password:token`; a password with a colon needs the third part, which may be empty."""
    name, _, rest = text.partition(":")
    password, _, token = rest.rpartition(":") if ":" in rest else (rest, "", "")
    if not name or not password:
        refuse(f"--user wants NAME:PASSWORD or NAME:PASSWORD:TOKEN, not {text!r}")
    found: Login = server.Login(name, password, token)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as reason:
        raise FixConfig("Reading a certificate", f"{path} is no PEM file ({reason})") from reason


def _rule(text: str) -> dict[str, Any]:
    """A rule as text or as JSON; one that makes no sense is refused, with what there is."""
    from halocline.emulator.faults.grammar import parse, parse_text

    try:
        action, settings = parse_text(text)
        parse(action, settings)
    except ValueError as reason:
        refuse(f"--fault {text!r}: {reason}")
    return {"action": action, **settings}


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


def _seed(running: Emulator, start: _Start) -> None:
    from halocline.emulator.schema_files import objects_of
    from halocline.emulator.starting import starting_counts

    counts = starting_counts(running.store, objects_of(running.config.schemas), records=start.records, named=start.counts)
    if counts:
        err.print(f"Making {', '.join(f'{n:,} {name}' for name, n in counts.items())} ...", markup=False)
        running.seed(counts, number=start.number)


def _announce(running: Emulator, *, as_json: bool) -> None:
    config: EmulatorConfig = running.config
    if as_json:
        login = {"client_id": config.consumer_key, "client_secret": config.consumer_secret}
        found = running.addresses
        doors = {"https_url": found.https_url, "proxy_url": found.proxy_url, "ca_file": found.ca_file}
        say_json({"url": running.url, **login, **doors})
        return
    out.print("A Salesforce is listening. In another terminal:\n")
    out.print(f"  export SF_LOGIN_URL={running.url}", markup=False)
    out.print(f"  export SF_CLIENT_ID={config.consumer_key}", markup=False)
    out.print(f"  export SF_CLIENT_SECRET={config.consumer_secret}", markup=False)
    out.print("  halocline sync Account --to duckdb:///lake.duckdb\n")
    if running.addresses.proxy_url is not None:
        out.print("Clients that know only Salesforce's own hosts, such as login.salesforce.com, find it after:\n")
        out.print('  eval "$(halocline emulator env)"\n')
    out.print("Stop it with Ctrl-C.")
