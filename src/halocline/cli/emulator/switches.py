"""The options of `halocline emulator`, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

_DOORS, _DATA, _LOGIN, _HABITS = "Doors", "Data", "Login", "Habits and limits"

_PORTS = 65_535

Port = Annotated[
    int, typer.Option(help="Plain http; 0 takes a free port.", min=0, max=_PORTS, metavar="PORT", rich_help_panel=_DOORS)
]
Host = Annotated[
    str,
    typer.Option(
        help="Where the doors are; 0.0.0.0 lets in other machines and containers, whoever asks.",
        metavar="ADDRESS",
        rich_help_panel=_DOORS,
    ),
]
Https = Annotated[bool, typer.Option(help="Https with a certificate authority of the emulator's own.", rich_help_panel=_DOORS)]
HttpsPort = Annotated[
    int | None,
    typer.Option(
        help="Port for https (default: --port + 1 if that is free).", min=0, max=_PORTS, metavar="PORT", rich_help_panel=_DOORS
    ),
]
Proxy = Annotated[
    bool, typer.Option(help="An HTTP proxy for clients with fixed hosts: *.salesforce.com ends here.", rich_help_panel=_DOORS)
]
ProxyPort = Annotated[
    int | None,
    typer.Option(
        help="Port for the proxy (default: --port + 2 if that is free).",
        min=0,
        max=_PORTS,
        metavar="PORT",
        rich_help_panel=_DOORS,
    ),
]
CaDir = Annotated[
    Path | None,
    typer.Option(
        help="Keep the certificate authority here (default: beside --store, or new each time).",
        metavar="FOLDER",
        rich_help_panel=_DOORS,
    ),
]

Seed = Annotated[
    str | None, typer.Option(help="Records to make: Account=1000,Contact=200", metavar="OBJECT=COUNT", rich_help_panel=_DATA)
]
SeedNumber = Annotated[int, typer.Option(help="The same number makes the same records.", metavar="N", rich_help_panel=_DATA)]
Schema = Annotated[
    list[Path] | None,
    typer.Option(
        help="YAML with objects and fields, or a folder of such files; may be repeated.",
        exists=True,
        metavar="FILE",
        rich_help_panel=_DATA,
    ),
]
Records = Annotated[
    int | None,
    typer.Option(help="Records to make of each object that --schema defines.", min=0, metavar="N", rich_help_panel=_DATA),
]
Store = Annotated[
    Path | None, typer.Option(help="Keep the org in this file (default: gone at the end).", metavar="FILE", rich_help_panel=_DATA)
]

Certificate = Annotated[
    list[Path] | None,
    typer.Option(
        help="Certificate or public key (PEM) whose JWT logins are accepted; may be repeated.",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        rich_help_panel=_LOGIN,
    ),
]
User = Annotated[
    list[str] | None,
    typer.Option(
        help="Who may log in, as NAME:PASSWORD or NAME:PASSWORD:TOKEN; may be repeated.",
        metavar="NAME:PASSWORD",
        rich_help_panel=_LOGIN,
    ),
]
RefreshToken = Annotated[
    list[str] | None, typer.Option(help="A refresh token that is good; may be repeated.", metavar="TOKEN", rich_help_panel=_LOGIN)
]
RotateRefreshTokens = Annotated[
    bool, typer.Option("--rotate-refresh-tokens", help="Each refresh token works once.", rich_help_panel=_LOGIN)
]
PasswordFlow = Annotated[bool, typer.Option(help="OAuth's username-password flow.", rich_help_panel=_LOGIN)]
SoapLogin = Annotated[bool, typer.Option(help="SOAP's login().", rich_help_panel=_LOGIN)]
ExpireAfter = Annotated[
    int | None, typer.Option(help="End each session after so many requests.", min=1, metavar="N", rich_help_panel=_LOGIN)
]
ExpireAfterS = Annotated[
    float | None, typer.Option(help="End each session after so many seconds.", min=0, metavar="SECONDS", rich_help_panel=_LOGIN)
]

PageSize = Annotated[int, typer.Option(help="Records on a page of a REST query.", min=1, metavar="N", rich_help_panel=_HABITS)]
PageRows = Annotated[
    int,
    typer.Option(help="Rows on a page of a Bulk result, when the client sets none.", min=1, metavar="N", rich_help_panel=_HABITS),
]
JobMs = Annotated[
    int, typer.Option(help="Milliseconds that a Bulk job takes at least.", min=0, metavar="N", rich_help_panel=_HABITS)
]
JobMsPer10k = Annotated[
    int,
    typer.Option("--job-ms-per-10k", help="Milliseconds more for each 10,000 rows.", min=0, metavar="N", rich_help_panel=_HABITS),
]
HardDelete = Annotated[bool, typer.Option(help="The right to delete for good in bulk.", rich_help_panel=_HABITS)]
MaxCursors = Annotated[
    int, typer.Option(help="Open query cursors; one more closes the oldest.", min=1, metavar="N", rich_help_panel=_HABITS)
]
DailyApiRequests = Annotated[int, typer.Option(help="API requests a day.", min=0, metavar="N", rich_help_panel=_HABITS)]
DailyQueryJobs = Annotated[int, typer.Option(help="Bulk 2.0 query jobs a day.", min=0, metavar="N", rich_help_panel=_HABITS)]
LimitInfo = Annotated[
    Literal["plain", "per-app", "off"], typer.Option(help="What Sforce-Limit-Info says.", rich_help_panel=_HABITS)
]
Charset = Annotated[
    Literal["none", "utf-8"], typer.Option(help="The charset that Bulk's text/csv names.", rich_help_panel=_HABITS)
]
BulkLocator = Annotated[
    Literal["null", "missing"], typer.Option(help="How the last page of a Bulk 2.0 result says so.", rich_help_panel=_HABITS)
]
OldestVersion = Annotated[int, typer.Option(help="Older API versions are retired.", min=7, metavar="N", rich_help_panel=_HABITS)]
NewestVersion = Annotated[int, typer.Option(help="The newest API version.", min=7, metavar="N", rich_help_panel=_HABITS)]
BulkUploadBytes = Annotated[
    int, typer.Option(help="The largest upload of a Bulk 2.0 job.", min=1, metavar="BYTES", rich_help_panel=_HABITS)
]
EnforceRequired = Annotated[bool, typer.Option(help="Refuse records without their required fields.", rich_help_panel=_HABITS)]
EnforceUnique = Annotated[bool, typer.Option(help="Refuse values of unique fields that are taken.", rich_help_panel=_HABITS)]
EnforceDuplicateRules = Annotated[bool, typer.Option(help="Refuse what duplicate rules refuse.", rich_help_panel=_HABITS)]
LockWaitS = Annotated[
    float,
    typer.Option(help="Seconds that a write waits for a locked record.", min=0, metavar="SECONDS", rich_help_panel=_HABITS),
]
Fault = Annotated[
    list[str] | None,
    typer.Option(
        help="What goes wrong from the start, as NAME or 'NAME: key=value ...' ('lock: path=/sobjects/Account nth=3'), or as the "
        'admin API takes it: {"action": "delay", "seconds": 2}; may be repeated.',
        metavar="RULE",
        rich_help_panel=_HABITS,
    ),
]
