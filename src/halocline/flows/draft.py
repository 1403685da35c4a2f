"""Drafts: a halocline.yaml with one flow, made of a few answers, with comments that say what else there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath
from urllib.parse import urlsplit

from halocline.errors import FixConfig
from halocline.flows.connections import checked_address, is_reference, refers

KINDS = ("sync", "push", "file", "listen", "tables")
SALESFORCE = "salesforce"

_LOGINS = (
    ("SF_ACCESS_TOKEN", ("SF_ACCESS_TOKEN", "SF_INSTANCE_URL")),
    ("SF_REFRESH_TOKEN", ("SF_LOGIN_URL", "SF_CLIENT_ID", "SF_CLIENT_SECRET", "SF_REFRESH_TOKEN")),
    ("SF_PRIVATE_KEY_PATH", ("SF_LOGIN_URL", "SF_CLIENT_ID", "SF_USERNAME", "SF_PRIVATE_KEY_PATH")),
    ("SF_PASSWORD", ("SF_LOGIN_URL", "SF_USERNAME", "SF_PASSWORD", "SF_SECURITY_TOKEN")),
)
_USUAL = ("SF_LOGIN_URL", "SF_CLIENT_ID", "SF_CLIENT_SECRET")
_DOING = "Writing a flow"
_PLAIN = re.compile(r"[A-Za-z_][\w./:@+-]*(?<!:)")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody answered. `source` and `to` are `salesforce`, a URI, a reference to one, or the path of a file."""

    kind: str
    source: str = ""
    to: str = ""
    objects: Sequence[str] = ()
    key: str = ""
    query: str = ""
    tables: Sequence[str] = ()
    queue: str = ""
    handlers: str = ""
    name: str = ""

    def text(self, environ: Mapping[str, str]) -> str:
        """The file. `environ` says by which login: that of the SF_* variables which are set, else client credentials.

        Raises: FixConfig for answers of which no flow can be made, and for a URI that holds a password.
        """
        flow = {"sync": self._sync, "push": self._push, "file": self._file, "listen": self._listen, "tables": self._tables}
        if self.kind not in flow:
            raise FixConfig(_DOING, f"{self.kind!r} is no kind of flow", hint=f"There are {', '.join(KINDS)}.")
        body = "\n".join(f"    {line}" for line in flow[self.kind]())
        found = [*self._connections(environ)]
        connections = "\n".join(["connections:", *found, ""]) if found else ""
        title = f"{said(self._name)}:  # {_RUN[self.kind].format(name=self._name)}"
        return f"{_HEAD}\n{connections}\nflows:\n  {title}\n{body}\n{_others(self.kind)}"

    @property
    def _name(self) -> str:
        name = self.name or (self.queue.rpartition("/")[2] if self.kind == "listen" else "")
        name = name or (self.objects[0] if len(self.objects) == 1 else "")
        usual = {"sync": "crm", "push": "to_org", "file": "landed", "tables": "tables"}
        return _identifier(name) or usual.get(self.kind, "flow")

    def _connections(self, environ: Mapping[str, str]) -> Iterator[str]:
        if self.kind in {"sync", "push", "file"}:
            yield from ("  org:", "    kind: salesforce")
            names = next((names for sign, names in _LOGINS if environ.get(sign)), _USUAL)
            yield from (f"    {name.removeprefix('SF_').lower()}: env:{name}" for name in names)
        for role, place in {"source": self.source, "to": "" if self.to == self.source else self.to}.items():
            if place and place != SALESFORCE and not self._is_path(place):
                _refuse_secret(place)
                yield f"  {self._place(role)}: {said(place)}"

    def _is_path(self, place: str) -> bool:
        return self.kind == "push" and "://" not in place and not is_reference(place)

    def _sync(self) -> Iterator[str]:
        yield from ("kind: sync", "from: org", f"to: {self._place('to')}")
        if not self.objects:
            raise FixConfig(_DOING, "it does not say which objects", hint="Give --object Account, as often as you like, or '*'.")
        yield "all: true" if list(self.objects) == ["*"] else f"objects: [{', '.join(map(said, self.objects))}]"
        yield from _COMMENTS["sync"]

    def _push(self) -> Iterator[str]:
        yield "kind: push"
        if self._is_path(self.source):
            yield f"file: {said(self.source)}"
        else:
            yield f"from: {self._place('source')}"
            yield f"query: {said(self.query or 'SELECT * FROM my_table')}"
        yield from self._writing()
        yield from _COMMENTS["push" if self.key else "insert"]
        if not self._is_path(self.source):
            yield "# results_to: salesforce              # tables beside the source that tell what became of each row"

    def _file(self) -> Iterator[str]:
        yield from ("kind: file", f"from: {self._place('source')}")
        if not self.source.startswith("s3://") and not refers(self.source):
            raise FixConfig(_DOING, f"{self.source!r} is no bucket", hint="Give --from s3://bucket/prefix/.")
        yield from self._writing()
        yield from _COMMENTS["file"]

    def _writing(self) -> Iterator[str]:
        if len(self.objects) != 1:
            raise FixConfig(_DOING, "it does not say into which object", hint="Give --object Account, once.")
        yield from ("to: org", f"object: {said(self.objects[0])}")
        if self.key:
            yield from ("mode: upsert", f"key: {said(self.key)}  # an external id field of the object")
        else:
            yield "mode: insert  # twice makes records twice; an upsert does not: mode: upsert, key: Ext__c"

    def _listen(self) -> Iterator[str]:
        if not self.queue:
            raise FixConfig(_DOING, "it does not say which queue", hint="Give --queue NAME, or its URL.")
        yield from ("kind: listen", f"queue: {said(self.queue)}", f"handlers: {said(self.handlers or 'handlers:handlers')}")
        yield from _COMMENTS["listen"]

    def _tables(self) -> Iterator[str]:
        yield from ("kind: tables", f"from: {self._place('source')}", f"to: {self._place('to')}", "tables:")
        if not self.tables:
            raise FixConfig(_DOING, "it does not say which tables", hint="Give --table people, or --table people=raw.people.")
        for one in self.tables:
            source, _, target = one.partition("=")
            yield f"  - {{from: {said(source)}{f', to: {said(target)}' if target else ''}}}"
        yield from _COMMENTS["tables"]

    def _place(self, role: str) -> str:
        place = self.source if role == "source" else self.to
        if not place or place == SALESFORCE:
            option = "--from" if role == "source" else "--to"
            raise FixConfig(_DOING, f"{option} is missing", hint=f"Give a URI, such as {option} duckdb:///lake.duckdb.")
        name = _named(place, role)
        other = self.source if role == "to" and self.source not in {"", SALESFORCE} else ""
        return f"{name}_to" if other and other != place and _named(other, "source") == name else name


def kind_of(draft: Draft) -> str:
    """The kind of flow that answers without one can only mean.

    Raises: FixConfig where they could mean several.
    """
    if draft.queue or draft.handlers:
        return "listen"
    if draft.source == SALESFORCE:
        return "sync"
    if draft.to == SALESFORCE or (draft.source and draft.objects):
        return "file" if draft.source.startswith("s3://") else "push"
    if draft.source and draft.to:
        return "tables"
    if draft.to and draft.objects:
        return "sync"
    raise FixConfig(_DOING, "it does not say what is to be carried", hint=f"Give --from and --to, or --kind: {', '.join(KINDS)}.")


def said(text: str) -> str:
    """A text as YAML takes it for one: without quotes where it can do without."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)


def _identifier(text: str) -> str:
    found = re.sub(r"\W+", "_", text).strip("_").lower()
    return f"_{found}" if found[:1].isdigit() else found


def _refuse_secret(place: str) -> None:
    try:
        checked_address(place)
    except ValueError as error:
        scheme = place.partition("://")[0] if "://" in place else ""
        shown = f"{scheme}://..." if scheme else "an address"
        raise FixConfig(_DOING, f"{shown}: {error}") from None


def _named(place: str, role: str) -> str:
    if refers(place):
        return "app" if role == "source" else "warehouse"
    scheme = place.partition(":")[0].lower()
    if scheme == "s3":
        return "landing" if role == "source" else "lake"
    if scheme in {"duckdb", "sqlite", "file"}:
        return _identifier(PurePath(urlsplit(place).path).stem) or "lake"
    return "app" if role == "source" else "warehouse"


def _others(kind: str) -> str:
    """The flows of the other kinds, as the sample has them, all of it commented out."""
    sample = files("halocline.flows").joinpath("sample.yaml").read_text(encoding="utf-8")
    blocks = sample.partition("\nflows:\n")[2].split("\n\n")
    kept = [_commented(one) for one in blocks if f"kind: {kind}\n" not in f"{one}\n"]
    return "\n# Other kinds of flow:\n\n" + "\n\n".join(kept).rstrip() + "\n"


def _commented(block: str) -> str:
    lines = block.strip("\n").split("\n")
    return "\n".join(line if line.lstrip().startswith("#") or not line else f"  # {line[2:]}" for line in lines)


_HEAD = """# yaml-language-server: $schema=./halocline.schema.json
# (`halocline schema > halocline.schema.json` makes an editor complete and check this file.)
#
# `halocline check` tries every connection and says what is wrong. Secrets are never in here: write where they are - env:NAME,
# file:PATH or aws-sm:NAME#KEY.
"""
_RUN = {
    **dict.fromkeys(("sync", "push", "tables"), "halocline plan {name}, halocline run {name}"),
    "file": "halocline run {name}; by event in Lambda: make lambda",
    "listen": "halocline listen {name}",
}
_COMMENTS = {
    "sync": (
        "# schema: raw                         # of the tables",
        "# table: {Account: accounts}          # where a table is not named like its object",
        "# where: Industry = 'Energy'          # SOQL",
        "# mask: {Contact.Email: hash}         # a value that nobody is to see",
        "# deletes: soft                       # or hard, ignore",
        "# history: true                       # every version of a row",
        "# schedule: nightly                   # the EventBridge rule that starts it in Lambda",
    ),
    "push": (
        "# mapping: {company: Name, email: {target: Email, transform: lowercase}}   # without it, columns are fields",
        "# diff: true                          # send only rows that changed since they were last written",
        "# mirror: true                        # as diff, and delete what is gone from the source",
        "# schedule: nightly                   # the EventBridge rule that starts it in Lambda",
    ),
    "insert": (
        "# mapping: {company: Name, email: {target: Email, transform: lowercase}}   # without it, columns are fields",
        "# diff_key: Email                     # send only rows that changed; the field that tells them apart",
        "# schedule: nightly                   # the EventBridge rule that starts it in Lambda",
    ),
    "file": (
        "# prefix: companies/                  # keys that begin so",
        "# mapping: {symbol: Name}             # column -> field; without it, columns are fields",
        "# archive: archive/                   # where a file goes when its rows are told",
        "# errors: errors/                     # where the report of rows that are not written goes",
        "# execution: {object: Load__c, key: Run__c, fields: {Rows__c: '{rows}'}}   # a record in Salesforce that tells of it",
    ),
    "listen": (
        "# store: env:STORE                    # several machines need one memory: redis://, postgresql://, dynamodb://table",
        "# dead_letters: orders-dead           # a queue for what nobody can handle",
        "# workers: 10                         # handlers that run at once",
        "# in_doubt: run                       # or set_aside: what a process died over",
    ),
    "tables": (
        "  # build: builders:build_case         # of a table: a function that makes its rows of an item",
        "  # mode: merge, key: id, cursor: updated_at   # of a table: read only what is newer, and merge it",
        "# together: true                      # all tables by one commit",
        "# schedule: nightly                   # the EventBridge rule that starts it in Lambda",
    ),
}
