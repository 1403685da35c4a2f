"""What `sync` and `plan` are asked for: objects by name, pattern or query, and the jobs that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from halocline.cli import options
from halocline.cli.answer import err, refuse, say_json
from halocline.quantity import quantity

if TYPE_CHECKING:
    from halocline.several import Columns
    from halocline.sync import IntelligentSync, SobjectSync


@dataclass(frozen=True, slots=True)
class Asked:
    """Objects and options as the command line gives them; `each` are the fields of `SobjectSync` that hold for every object.

    A column may be given with its object (`Account.Email=hash`); then it means that object's only.
    """

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

    def check(self) -> None:
        """End with 2 for arguments that do not go together."""
        if self.soql is not None and (self.everything or self.exclude_objects or len(self.objects) > 1):
            refuse("--soql reads one object; leave --all, --exclude-object and further objects out.")
        if not (self.objects or self.everything or self.soql is not None):
            refuse("name an object, a pattern such as 'Acc*', or --all.")
        if self.everything and self.objects:
            refuse("--all means every object; leave the names out, or --all.")
        if self.table is not None and (self.everything or len(self.objects) > 1):
            refuse("--table names one table; leave it out to sync several objects.")

    def jobs(self, system: IntelligentSync, *, as_json: bool) -> list[SobjectSync]:
        """One job for each object; what patterns had to leave out is told.

        Raises: NotFound for a pattern that matches nothing; FixConfig for an option that cannot be read, and for a column of an
        object that is not meant.
        """
        from halocline.several import Columns, listed

        names = self._names(system, as_json=as_json)
        if self.table is not None and len(names) > 1:
            refuse(f"--table names one table, but {len(names)} objects are meant ({listed(names)}).")
        renames = options.pairs(self.rename, "--rename", example="Name=account_name")
        masks = options.pairs(self.mask, "--mask", example="Email=hash")
        columns = Columns(self.fields, self.exclude, renames, masks, paths=self.soql is not None)
        columns.check(names)
        return [self._job(name, columns) for name in names]

    def _names(self, system: IntelligentSync, *, as_json: bool) -> Sequence[str]:
        if self.soql is not None:
            from halocline import registry

            return self.objects or [registry.object_of("salesforce", self.soql)]
        choice = system.choose(self.objects, exclude=self.exclude_objects, everything=self.everything)
        tell_left_out(choice.left_out, as_json=as_json)
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


def relation_lines(related: Sequence[tuple[str, dict[str, dict[str, list[str]]]]]) -> list[str]:
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
