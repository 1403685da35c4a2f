"""What `halocline init` asks where nobody has said it by options, with what can be found out as the answer that is offered."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import typer

from halocline.cli.answer import err, out
from halocline.errors import HaloclineError
from halocline.flows.connections import checked_address
from halocline.flows.draft import KINDS, SALESFORCE, Draft
from halocline.mapping.near import near
from halocline.quantity import quantity

_WORDS = (
    "Salesforce objects into tables of a database, a warehouse or files",
    "a file, or the answer of a query, into a Salesforce object",
    "files that land in a bucket of S3 into a Salesforce object",
    "the messages of a queue to functions of yours",
    "tables of DynamoDB or a database into tables of another",
)
_PLACES = ("WAREHOUSE", "WAREHOUSE_URI", "DATABASE_URL")
_LAKE = "duckdb:///lake.duckdb"
_SHOWN = 8


def asked(environ: Mapping[str, str]) -> Draft:
    """The flow that a person wants."""
    out.print("What is to be carried?")
    for number, words in enumerate(_WORDS, 1):
        out.print(f"  {number}  {words}", markup=False)
    kind = KINDS[int(_answer("Number", "1", _number)) - 1]
    if kind == "listen":
        return Draft(kind, queue=_answer("Queue, by name or URL"), handlers=_answer("Handlers, module:name", "handlers:handlers"))
    if kind == "sync":
        return Draft(kind, SALESFORCE, _to(environ), objects=_objects("Objects, by comma", environ))
    if kind == "tables":
        source = _answer("From, a URI or env:NAME", "dynamodb://", checked_address)
        return Draft(kind, source, _to(environ), tables=_listed(_answer("Tables, by comma: people, cases=raw.cases")))
    source = _answer("From, the bucket", "s3://my-bucket/landing/", checked_address) if kind == "file" else _source()
    query = _answer("Query") if kind == "push" and ("://" in source or source.startswith("env:")) else ""
    objects = _objects("Object", environ, most=1)
    return Draft(kind, source, SALESFORCE, objects, _answer("External id field of an upsert (empty: insert)", "", str), query)


def _answer(question: str, offered: str | None = None, check: Callable[[str], object] = str) -> str:
    """An answer that `check` takes; what it raises is told, and asked again."""
    while True:
        found = str(typer.prompt(question, default=offered)).strip()
        try:
            check(found)
        except ValueError as error:
            err.print(f"  {error}", markup=False)
        else:
            return found


def _number(text: str) -> None:
    if text not in {str(number) for number in range(1, len(KINDS) + 1)}:
        raise ValueError(f"a number from 1 to {len(KINDS)}, please")


def _source() -> str:
    return _answer("From, a CSV file, a URI or env:NAME", "records.csv", lambda text: "://" not in text or checked_address(text))


def _to(environ: Mapping[str, str]) -> str:
    """Where tables go; a variable that leads to a database is offered."""
    set_there = next((f"env:{name}" for name in _PLACES if "://" in environ.get(name, "")), _LAKE)
    return _answer("To, a URI or env:NAME", set_there, checked_address)


def _objects(question: str, environ: Mapping[str, str], *, most: int | None = None) -> list[str]:
    """Names of objects; where the environment has a login, those that the org has."""
    known = _of_org() if any(name.startswith("SF_") for name in environ) else []

    def check(text: str) -> None:
        names = _listed(text)
        if not names or (most is not None and len(names) > most):
            raise ValueError("one name, please" if most == 1 else "names, please")
        for name in names:
            if known and name.lower() not in {one.lower() for one in known} and not set(name) & set("*?["):
                meant = near(name, known)
                raise ValueError(f"the org has no {name}." + (f" Did you mean {' or '.join(meant)}?" if meant else ""))

    return _listed(_answer(question, "Account", check))


def _of_org() -> list[str]:
    """The objects of the org that the environment leads to; nothing where it cannot be asked, and why is told."""
    from halocline import registry

    try:
        client = registry.connect(SALESFORCE, registry.login(SALESFORCE, None))
        try:
            found = list(registry.choose_objects(SALESFORCE, client, names=[], everything=True).objects)
        finally:
            client.close()
    except HaloclineError as error:
        err.print(f"  The org could not be asked for its objects: {error}", markup=False)
        return []
    usual = [name for name in ("Account", "Contact", "Lead", "Opportunity", "Case") if name in found]
    custom = [name for name in found if name.endswith("__c")]
    shown = ", ".join([*usual, *custom][:_SHOWN])
    out.print(f"  The org has {quantity(len(found), 'object')} that can be queried: {shown}, ...", markup=False)
    return found


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
