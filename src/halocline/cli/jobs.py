"""What `sync`, `plan` and `verify` are asked for: objects by name, pattern or query, where to, and the jobs that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from halocline.cli import options
from halocline.cli.answer import err, refuse, refuse_empty, say_json, told
from halocline.cli.system import intelligent_sync, worst
from halocline.place import schema_in, stage_in
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.cli.progress import ProgressBar
    from halocline.connector import Survey
    from halocline.several import Columns
    from halocline.sync import IntelligentSync, SobjectSync

FOR_EACH = (
    *("key", "full", "where", "deletes", "history", "numbers", "lookback", "formula_refresh", "contract", "use_stage"),
    *("stage_name", "allow_empty", "max_delete_share"),
)
"""The options that hold for every object, as `SobjectSync` takes them."""
Related: TypeAlias = dict[str, dict[str, list[str]]]


class OfObject(Protocol):
    """What became of one object, or would become of it."""

    @property
    def job(self) -> SobjectSync:
        """What was wanted."""

    @property
    def survey(self) -> Survey | None:
        """What the source said of it; None where it was not asked."""


Of = TypeVar("Of", bound=OfObject)


@dataclass(frozen=True, slots=True)
class Asked:
    """Objects and options as the command line gives them; `each` are those of `FOR_EACH`, `around` what the system is made with.

    A column may be given with its object (`Account.Email=hash`); then it means that object's only.
    """

    to: str
    objects: Sequence[str]
    everything: bool
    exclude_objects: Sequence[str]
    schema: str | None
    table: str | None
    soql: str | None
    fields: Sequence[str] | None
    exclude: Sequence[str]
    rename: Sequence[str]
    mask: Sequence[str]
    each: dict[str, Any]
    around: dict[str, Any]
    as_json: bool

    @classmethod
    def of(cls, typed: Mapping[str, Any]) -> Asked:
        """What a command was asked for, from its parameters by name; not every command has all of them.

        Ends with 2 for arguments that do not go together, for empty ones, and for a reference (`env:NAME`) to nothing.
        """
        refuse_empty(typed)
        with told(as_json=typed["as_json"]):
            schema = schema_in(typed["to"], typed["schema"])
            stage_in(typed["to"], typed.get("stage_name"))
        asked = cls(
            to=typed["to"],
            objects=typed["objects"] or [],
            everything=typed["everything"],
            exclude_objects=typed["exclude_object"] or [],
            schema=schema,
            table=typed["table"],
            soql=typed["soql"],
            fields=options.listed(typed["fields"]),
            exclude=options.listed(typed["exclude"]) or (),
            rename=typed["rename"] or [],
            mask=typed["mask"] or [],
            each={name: typed[name] for name in FOR_EACH if name in typed},
            around={name: typed.get(name) for name in ("bulk_threshold", "stage_threshold", "quota_share", "api_budget")}
            | {"wait_s": typed.get("wait", 0.0)},
            as_json=typed["as_json"],
        )
        asked._check()
        return asked

    @contextmanager
    def opened(self, *, quiet: bool = False) -> Iterator[tuple[IntelligentSync, ProgressBar]]:
        """The system between the org of the environment and `to`, and the bar that shows what it does (`quiet`: nothing).

        An error of ours in the block is told, and ends the command.
        """
        from halocline.cli.progress import ProgressBar

        with (
            told(as_json=self.as_json),
            ProgressBar(err, quiet=quiet or self.as_json) as bar,
            intelligent_sync(self.to, bar.sink, **self.around) as system,
        ):
            yield system, bar

    def _check(self) -> None:
        if self.soql is not None and (self.everything or self.exclude_objects or len(self.objects) > 1):
            refuse("--soql reads one object; leave --all, --exclude-object and further objects out.")
        if not (self.objects or self.everything or self.soql is not None):
            refuse("name an object, a pattern such as 'Acc*', or --all.")
        if self.everything and self.objects:
            refuse("--all means every object; leave the names out, or --all.")
        if self.table is not None and (self.everything or len(self.objects) > 1):
            refuse("--table names one table; leave it out to sync several objects.")

    def jobs(self, system: IntelligentSync) -> list[SobjectSync]:
        """One job for each object; what patterns had to leave out is told.

        Raises: NotFound for a pattern that matches nothing; FixConfig for an option that cannot be read, and for a column of an
        object that is not meant.
        """
        from halocline.several import Columns, listed

        names = self._names(system)
        if self.table is not None and len(names) > 1:
            refuse(f"--table names one table, but {len(names)} objects are meant ({listed(names)}).")
        renames = options.pairs(self.rename, "--rename", example="Name=account_name")
        masks = options.pairs(self.mask, "--mask", example="Email=hash")
        columns = Columns(self.fields, self.exclude, renames, masks, paths=self.soql is not None)
        columns.check(names)
        return [self._job(name, columns) for name in names]

    def _names(self, system: IntelligentSync) -> Sequence[str]:
        if self.soql is not None:
            from halocline import registry

            return self.objects or [registry.object_of("salesforce", self.soql)]
        choice = system.choose(self.objects, exclude=self.exclude_objects, everything=self.everything)
        tell_left_out(choice.left_out, as_json=self.as_json)
        return choice.objects

    def _job(self, name: str, columns: Columns) -> SobjectSync:
        from halocline.sync import SobjectSync

        return SobjectSync(name, self.schema, self.table or name, soql=self.soql, **columns.of(name), **self.each)


def tell_left_out(left_out: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    """Say which objects are left out and why: a line a reason for people, a document an object for programs."""
    from halocline.several import listed

    if as_json:
        for name, reason in left_out:
            say_json({"sobject": name, "left_out": reason, "exit_code": 0})
        return
    for reason, group in groupby(sorted(left_out, key=lambda one: one[1]), key=lambda one: one[1]):
        names = [name for name, _ in group]
        err.print(f"Left out {quantity(len(names), 'object')}: {reason} ({listed(names)})", markup=False)


def tell_each(done: Iterable[Of], jobs: Sequence[SobjectSync], *, tell: Callable[[Of, Related], int]) -> tuple[int, list[str]]:
    """Have each object told with what it refers to; the exit code that all deserve, and of several which refer to which."""
    from halocline.several import relations

    among = [job.sobject for job in jobs]
    codes, related = [], []
    for one in done:
        found = relations(one.survey, among)
        related.append((one.job.sobject, found))
        codes.append(tell(one, found))
    return worst(codes), relation_lines(related) if len(jobs) > 1 else []


def relation_lines(related: Sequence[tuple[str, Related]]) -> list[str]:
    """Which objects refer to which, in sentences, from what `several.relations` says of each."""
    from halocline.several import listed

    lines, outside = [], dict[str, list[str]]()
    for name, found in related:
        inside = [
            f"{other} ({', '.join(columns)})" for other, columns in found["refers_to"].items() if other.lower() != name.lower()
        ]
        if inside:
            lines.append(f"{name} refers to {', '.join(inside)}")
        for other, columns in found["not_in_run"].items():
            outside.setdefault(other, []).append(f"{name}.{columns[0]}" if len(columns) == 1 else f"{name}: {', '.join(columns)}")
    for other, columns in sorted(outside.items()):
        verb = "refers" if len(columns) == 1 and ":" not in columns[0] else "refer"
        lines.append(f"Not in this run: {other}, to which {listed(columns)} {verb}")
    return lines
