"""`halocline emulator import`: the shape of a real org, written as schema files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from halocline.cli import options
from halocline.cli.answer import err, out, say_json, told
from halocline.config import environment
from halocline.errors import AccessDenied, FixConfig, NotFound
from halocline.mapping.near import near

if TYPE_CHECKING:
    from halocline.connectors.salesforce import SalesforceClient
    from halocline.emulator.importing import Imported

_DOING = "Importing an org's shape"
_SCHEME = "salesforce://"

From = Annotated[
    str,
    typer.Option(
        "--from",
        help="The org, as salesforce://mycompany.my.salesforce.com or its login URL; salesforce:// alone is the one that "
        "SF_LOGIN_URL names. Or a folder of recorded describe answers, one *.json each.",
        metavar="CONNECTION",
    ),
]
Objects = Annotated[str, typer.Option(help="API names, by comma; all: every object that can be queried.", metavar="A,B|all")]
Out = Annotated[Path, typer.Option("--out", help="The folder for the schema files; it is made if need be.", metavar="FOLDER")]
Records = Annotated[
    int, typer.Option(help="Records of each object that an emulator with these schemas starts with.", min=0, metavar="N")
]


def import_(from_: From, out_: Out, *, objects: Objects = "all", records: Records = 0, as_json: options.Json = False) -> None:
    """Write a schema file for each object of an org, for `halocline emulator --schema FOLDER`.

    The login comes from the environment, as for `halocline sync`. Only describes are read, no records.
    """
    with told(as_json=as_json):
        wanted = None if objects.strip().lower() == "all" else options.listed(objects)
        shape = _recorded(Path(from_), wanted) if Path(from_).is_dir() else _asked(from_, wanted)
        found = _imported(shape, records)
        _write(found, out_)
        _tell(found, [*shape.notes, *found.notes], out_, as_json=as_json)


@dataclass(slots=True)
class _Shape:
    """Describes of objects, and a note for each that could not be had."""

    describes: list[Mapping[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _recorded(folder: Path, wanted: list[str] | None) -> _Shape:
    """The describes among the folder's files; a global describe lists objects, but says nothing of their fields.
    Raises: FixConfig for a file that holds no JSON; NotFound for an object without a file.
    """
    answers = (_read(path) for path in sorted(folder.glob("*.json")))
    describes = [one for one in answers if isinstance(one, dict) and "fields" in one and "name" in one]
    if not describes:
        hint = "Save what GET /services/data/v67.0/sobjects/Account/describe answers as Account.json there."
        raise FixConfig(_DOING, f"no file in {folder} holds the describe of an object", hint=hint)
    names = _chosen(wanted, [str(one["name"]) for one in describes])
    return _Shape([one for one in describes if one["name"] in names])


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise FixConfig(_DOING, f"{path} holds no JSON ({reason})") from reason


def _asked(connection: str, wanted: list[str] | None) -> _Shape:
    """The describes that the org answers; where all are wanted, one that it lists and does not describe is noted.
    Raises: NotFound for a wanted object that it does not have; what the client raises.
    """
    shape = _Shape()
    with _client(connection) as client:
        listed = [str(one["name"]) for one in client.list_objects() if one["queryable"]]
        names = _chosen(wanted, listed)
        for number, name in enumerate([name for name in listed if name in names], 1):
            err.print(f"[{number}/{len(names)}] {name}", markup=False)
            try:
                shape.describes.append(client.describe(name))
            except (AccessDenied, NotFound) as refusal:
                if wanted is not None:
                    raise
                shape.notes.append(f"{name}: {refusal}")
    return shape


def _client(connection: str) -> SalesforceClient:
    from halocline.connectors.salesforce import SalesforceClient

    if "://" not in connection:
        hint = "Give a folder, an address such as https://mycompany.my.salesforce.com, or salesforce://."
        raise FixConfig(_DOING, f"{connection} is neither a folder nor the address of an org", hint=hint)
    address = connection.removeprefix(_SCHEME)
    if not address:
        return SalesforceClient.from_env()
    _refuse_session_elsewhere(address)
    return SalesforceClient.from_env({**environment(), "SF_LOGIN_URL": address})


def _refuse_session_elsewhere(address: str) -> None:
    """Raises: FixConfig if the environment holds the session of another org than `address`: that org would be imported."""
    instance = environment().get("SF_INSTANCE_URL", "")
    if environment().get("SF_ACCESS_TOKEN") and _host(instance) != _host(address):
        hint = "Leave SF_ACCESS_TOKEN out to log in there, or say --from salesforce:// to import the session's org."
        raise FixConfig(_DOING, f"SF_ACCESS_TOKEN belongs to {instance or 'no org'}, not to {address}", hint=hint)


def _host(address: str) -> str | None:
    return urlsplit(address if "://" in address else f"https://{address}").hostname


def _chosen(wanted: list[str] | None, known: list[str]) -> frozenset[str]:
    """The wanted objects under their own names. Raises: NotFound."""
    if wanted is None:
        return frozenset(known)
    named = {name.lower(): name for name in known}
    missing = [name for name in wanted if name.lower() not in named]
    if missing:
        raise NotFound(_DOING, f"there is no object {' or '.join(missing)}", suggestions=near(missing[0], known))
    return frozenset(named[name.lower()] for name in wanted)


def _imported(shape: _Shape, records: int) -> Imported:
    from halocline.registry import missing_extra

    try:
        from halocline.emulator.importing import imported
    except ModuleNotFoundError as error:
        raise missing_extra("emulator", error) from error
    try:
        return imported(shape.describes, records=records)
    except (KeyError, TypeError, ValueError) as error:
        raise FixConfig(_DOING, f"an answer is no describe of an object ({error!r})") from error


def _write(found: Imported, folder: Path) -> None:
    from halocline.emulator.importing import text_of

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, document in found.documents.items():
            (folder / f"{name}.yaml").write_text(text_of(document), encoding="utf-8")
    except OSError as error:
        raise FixConfig(_DOING, f"{error.filename} cannot be written ({error.strerror})") from error


def _tell(found: Imported, notes: list[str], folder: Path, *, as_json: bool) -> None:
    if as_json:
        say_json({"objects": list(found.documents), "folder": folder, "replaced": found.replaced, "notes": notes})
        return
    out.print(f"{len(found.documents):,} schema files are in {folder}.", markup=False)
    if found.replaced:
        out.print(f"They replace what the emulator brings along of: {', '.join(found.replaced)}", markup=False)
    for note in notes:
        out.print(f"Not taken over: {note}", markup=False)
    out.print()
    out.print(f"  halocline emulator --schema {folder} --records 100", markup=False)
