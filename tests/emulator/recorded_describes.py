"""Describes of real orgs, recorded, and where an answer of ours differs from one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

OBJECTS = ["Account", "Case", "Contact", "Event", "Lead", "Opportunity", "OpportunityContactRole"]  # packaged and recorded
EXPLAINED = Path(__file__).with_name("describe_differences.yaml")
_BLANKED = "59.0"  # what stands for the versions that were blanked out: all of them were later than 52.0

Described = dict[str, Any]


def folder() -> Path:
    """Where the recordings are. Skips the test where there are none."""
    data = os.environ.get("HALOCLINE_TEST_DATA")
    if not data:
        pytest.skip("HALOCLINE_TEST_DATA names no folder with recorded describes")
    return Path(data) / "describe"


def recording(name: str) -> Described:
    text = (folder() / f"{name}.json").read_text(encoding="utf-8")
    loaded: Described = json.loads(text.replace("/vxx.0/", f"/v{_BLANKED}/"))
    return loaded


def version_of(recorded: Described) -> str:
    """The version in the recording's urls."""
    found = re.search(r"/services/data/v([\d.]+)/", str(recorded["urls"]))
    return found[1] if found else _BLANKED


def differences(recorded: Described, ours: Described, *, objects: Collection[str]) -> Iterator[str]:
    """Where the two describes of an object differ, as `Account.fields.Name.label`; `objects` are all that our org has."""
    name = recorded["name"]
    for key in recorded.keys() | ours.keys():
        if key == "fields":
            yield from _of_lists(f"{name}.fields", recorded[key], ours[key], by=lambda one: str(one["name"]))
        elif key == "childRelationships":
            here = [child for child in recorded[key] if child["childSObject"] in objects]
            elsewhere = [child for child in recorded[key] if child["childSObject"] not in objects]
            yield from (f"{name}.children of other objects.{_child(one)}" for one in elsewhere)
            yield from _of_lists(f"{name}.childRelationships", here, ours[key], by=_child)
        elif key == "recordTypeInfos":
            yield from _of_lists(f"{name}.recordTypeInfos", recorded[key], ours[key], by=lambda one: str(one["name"]))
        else:
            yield from _of_values(f"{name}.{key}", recorded.get(key, _MISSING), ours.get(key, _MISSING))


def global_differences(recorded: Described, ours: Described) -> Iterator[str]:
    """Where two global describes differ, in the objects that ours lists and the keys of the whole."""
    listed = {line["name"]: line for line in recorded["sobjects"]}
    for line in ours["sobjects"]:
        if line["name"] in listed:
            yield from _of_values(f"Global.{line['name']}", listed[line["name"]], line)
        else:
            yield f"Global.not listed there.{line['name']}"
    yield from (f"Global.not an object of ours.{name}" for name in listed.keys() - {line["name"] for line in ours["sobjects"]})
    for key in (recorded.keys() | ours.keys()) - {"sobjects"}:
        yield from _of_values(f"Global.{key}", recorded.get(key, _MISSING), ours.get(key, _MISSING))


def check_explained(found: Collection[str], chapter: str) -> None:
    """Fails for a difference that `describe_differences.yaml` does not explain, and for one that it explains and is no more."""
    explained: Mapping[str, str] = yaml.safe_load(EXPLAINED.read_text(encoding="utf-8"))[chapter]
    assert all(explained.values()), "a difference without a reason"
    unlisted = [place for place in found if not any(fnmatchcase(place, pattern) for pattern in explained)]
    assert sorted(unlisted) == []
    gone = [pattern for pattern in explained if not any(fnmatchcase(place, pattern) for place in found)]
    assert gone == []


_MISSING = object()


def _child(one: Described) -> str:
    return f"{one['childSObject']}.{one['field']}"


def _of_lists(path: str, recorded: list[Described], ours: list[Described], *, by: Callable[[Described], str]) -> Iterator[str]:
    theirs, mine = {by(one): one for one in recorded}, {by(one): one for one in ours}
    if [name for name in theirs if name in mine] != [name for name in mine if name in theirs]:
        yield f"{path} in another order"
    for name in theirs.keys() | mine.keys():
        if name in theirs and name in mine:
            yield from _of_values(f"{path}.{name}", theirs[name], mine[name])
        else:
            yield f"{path}.{name} only {'there' if name in theirs else 'here'}"


def _of_values(path: str, recorded: object, ours: object) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key in recorded.keys() | ours.keys():
            yield from _of_values(f"{path}.{key}", recorded.get(key, _MISSING), ours.get(key, _MISSING))
    elif type(recorded) is not type(ours) or recorded != ours:
        yield path
