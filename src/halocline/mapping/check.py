"""A mapping held against an object's describe, before anything is sent.

Source: REST API Developer Guide, "sObject Describe"; SOAP API Developer Guide, "DescribeSObjectResult" (createable, updateable,
nillable, defaultedOnCreate, externalId, idLookup). Read November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halocline.errors import FixConfig
from halocline.mapping import fitting, lookups
from halocline.mapping.finding import Finding
from halocline.mapping.near import near
from halocline.mapping.paths import splits
from halocline.mapping.steps import Step
from halocline.mapping.unknown import unknown_field
from halocline.schema import Schema

Describe = Mapping[str, Any]  # the JSON of a describe, as Salesforce gives it
Field = Mapping[str, Any]

_MODES: Mapping[str, tuple[str, ...]] = {
    "insert": ("createable",),
    "update": ("updateable",),
    "upsert": ("createable", "updateable"),
    "delete": ("deletable",),
}
_CANNOT = {"createable": "set when a record is created", "updateable": "changed in a record that is there"}
_ID = "id"


@dataclass(frozen=True, slots=True)
class Question:
    """What a mapping is checked for: the object, the mode and its key, other objects' describes, the source's columns."""

    describe: Describe
    mode: str
    key: str | None = None
    describe_of: Callable[[str], Describe] | None = None
    source: Schema | None = None

    @property
    def sobject(self) -> str:
        """The object's name."""
        return str(self.describe["name"])

    @property
    def fields(self) -> dict[str, Field]:
        """The object's fields by their names in lower case."""
        return {str(field["name"]).lower(): field for field in self.describe["fields"]}

    @property
    def abilities(self) -> tuple[str, ...]:
        """The describe's words for what the mode does with a field or an object."""
        return _MODES[self.mode]

    def is_key(self, name: str) -> bool:
        """Whether the field only says which record is meant: the Id, except of an insert, and the key of an upsert."""
        keys = {"insert": "", "upsert": (self.key or "").lower()}
        return name.lower() == keys.get(self.mode, _ID)


def examine(steps: Sequence[Step], targets: Sequence[str], *, question: Question) -> tuple[Finding, ...]:
    """All findings: of the object, of each target in order, of what is missing, and of the source's columns.

    Raises: FixConfig for an unknown mode.
    """
    if question.mode not in _MODES:
        raise FixConfig("Checking a mapping", f"the mode {question.mode!r} is unknown", hint=f"Use {', '.join(_MODES)}.")
    return (
        *of_object(question),
        *(finding for target in targets for finding in _of_target(target, question)),
        *_of_key(targets, question),
        *_missing(targets, question),
        *_twice(targets, question),
        *(finding for step in steps for finding in _of_step(step, question)),
    )


def of_object(question: Question) -> Iterator[Finding]:
    """What the mode cannot do with any record of the object."""
    denied = [ability for ability in question.abilities if question.describe.get(ability) is False]
    if denied:
        hint = "The object or this user's rights do not allow it."
        problem = f"records of it are not {' and not '.join(denied)}"
        yield Finding(question.sobject, problem, hint=hint, fatal=_is_fatal(denied, question))


def _of_target(target: str, question: Question) -> Iterator[Finding]:
    if "." in target:
        yield from lookups.examine(target, question.describe, describe_of=question.describe_of)
        field = lookups.reference(target, question.describe)
    else:
        field = question.fields.get(target.lower())
        if field is None:
            yield unknown_field(target, question.describe, sobject=question.sobject)
    if field is not None:
        yield from of_writing(target, field, question=question)


def of_writing(target: str, field: Field, *, question: Question) -> Iterator[Finding]:
    """What is wrong with a value for the field, which `target` names or looks up."""
    if question.is_key(target):
        return
    if question.mode == "delete":
        yield Finding(target, "a delete reads nothing but the Id, so this is not sent", fatal=False)
    elif question.mode == "upsert" and target.lower() == _ID:
        hint = f"An upsert by {question.key} finds the record itself; leave the Id out."
        yield Finding(target, "an upsert by another key takes no Id", hint=hint)
    else:
        yield from _writable(target, field, question)


def _writable(target: str, field: Field, question: Question) -> Iterator[Finding]:
    denied = [ability for ability in question.abilities if not field.get(ability)]
    if not denied:
        return
    problem = f"{field['name']} cannot be {' or '.join(_CANNOT[ability] for ability in denied)}"
    yield Finding(target, problem, hint=_reason(field, question), fatal=_is_fatal(denied, question))


def _is_fatal(denied: Sequence[str], question: Question) -> bool:
    """An upsert may only ever create, or only ever change; then one of the two rights is enough."""
    return len(denied) == len(question.abilities)


def _reason(field: Field, question: Question) -> str:
    parts = [str(one["name"]) for one in question.describe["fields"] if _is_part(one, field)]
    if parts:
        return f"Write its parts instead: {', '.join(parts)}."
    if field.get("calculated"):
        return "It is a formula."
    if field.get("autoNumber"):
        return "Salesforce numbers it itself."
    return "Check this user's rights to the field, or leave it out."


def _is_part(field: Field, compound: Field) -> bool:
    return bool(field.get("compoundFieldName") == compound["name"] != field["name"])


def _of_key(targets: Sequence[str], question: Question) -> Iterator[Finding]:
    """The key that the mode needs: there, mapped, and one that finds records."""
    key = {"insert": "", "upsert": question.key or ""}.get(question.mode, "Id")
    if question.mode == "upsert" and not key:
        yield Finding("key", "an upsert needs the field that tells which record is meant", hint="Name an external id.")
    if not key:
        return
    if key.lower() not in {target.lower() for target in targets}:
        yield Finding(key, f"nothing is mapped to it, and mode {question.mode} needs it in every row", hint="Map a source to it.")
    field = question.fields.get(key.lower())
    if field is not None and not lookups.finds(field):
        keys = [str(one["name"]) for one in question.describe["fields"] if lookups.finds(one)]
        yield Finding(
            key, "it is no external id, so no record can be found by it", hint=f"Keys of {question.sobject}: {', '.join(keys)}."
        )


def _missing(targets: Sequence[str], question: Question) -> Iterator[Finding]:
    """What a new record must have; an upsert that only changes records does without."""
    problem, hint = f"a new {question.sobject} needs it, and nothing is mapped to it", "Map a source to it, or give a default."
    for field in missing(targets, question):
        yield Finding(str(field["name"]), problem, hint=hint, fatal=question.mode == "insert")


def missing(targets: Sequence[str], question: Question) -> Iterator[Field]:
    """The fields that a new record must have, and that no target gives; none where the mode makes no record."""
    if "createable" not in question.abilities:
        return
    references = [lookups.reference(target, question.describe) for target in targets if "." in target]
    given = {target.lower() for target in targets} | {str(field["name"]).lower() for field in references if field is not None}
    yield from (field for name, field in question.fields.items() if _is_required(field) and name not in given)


def _is_required(field: Field) -> bool:
    optional = bool(field.get("nillable") or field.get("defaultedOnCreate")) or str(field["type"]) == "boolean"
    return bool(field.get("createable")) and not optional


def _twice(targets: Sequence[str], question: Question) -> Iterator[Finding]:
    """A lookup that is given by its id and by a key, or by two keys. Salesforce refuses both (words unverified)."""
    setters: dict[str, str] = {}
    for target in targets:
        field = lookups.reference(target, question.describe) if "." in target else question.fields.get(target.lower())
        if field is None:
            continue
        other = setters.setdefault(str(field["name"]), target)
        if other != target:
            yield Finding(target, f"{other} sets the same field, {field['name']}", hint="Map one of the two.")


def _of_step(step: Step, question: Question) -> Iterator[Finding]:
    """The default, and the source's column, beside the field that they go to."""
    if question.mode == "delete":
        return
    if question.source is not None:
        yield from _of_source(step, question.source)
    field = question.fields.get(step.target.lower())
    if field is not None:
        yield from fitting.of_default(step, field)
        yield from fitting.of_kind(step, field, source=question.source)


def _of_source(step: Step, source: Schema) -> Iterator[Finding]:
    heads = [step.source, *(head for head, _ in splits(step.source))]
    if not any(name in source.names for name in heads):
        told = "its default is sent in every row" if step.has_default else "the field is left untouched in every row"
        problem = f"the source has no {step.source!r}; {told}"
        yield Finding(step.target, problem, tuple(near(step.source, source.names)), fatal=False)
