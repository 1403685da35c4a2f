"""Laws of functions that flows name: looked for beside the file, told where they are not there; what they raise sends nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from halocline.errors import FixConfig, HaloclineError, RetryLater, Stop
from halocline.flows.functions import given_by, heard
from halocline.flows.reading import understood
from halocline.mapping.named import mapper_of, places_in

MINE = """
from halocline.errors import RetryLater

def some():
    return [{"a": 1}]

def each():
    yield {"a": 1}
    raise ValueError("the cable")

def later():
    raise RetryLater("Asking the API", "429")

def fails():
    raise KeyError("no such thing")

def ends(*_):
    raise SystemExit(0)

def ends_late():
    yield {"a": 1}
    raise SystemExit(0)

def loud(value):
    return value.upper()

def whole(row):
    return row["a"] + row["b"]

thing = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "mine_of_flows.py").write_text(MINE)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    sys.modules.pop("mine_of_flows", None)


def test_rows_are_what_the_function_gives(folder: Path) -> None:
    """A list as it is; an iterator, whose errors say where they came from; an error of ours as it is."""
    assert given_by("mine_of_flows:some", folder) == [{"a": 1}]
    each = given_by("mine_of_flows:each", folder)
    assert isinstance(each, Iterator)
    assert next(each) == {"a": 1}
    with pytest.raises(Stop, match=r"Asking mine_of_flows:each for rows: it raised ValueError: the cable \(.*:9 each\)"):
        next(each)
    with pytest.raises(Stop, match="KeyError: 'no such thing'"):
        given_by("mine_of_flows:fails", folder)
    with pytest.raises(RetryLater, match="429"):
        given_by("mine_of_flows:later", folder)
    with pytest.raises(Stop, match="it raised SystemExit: 0"):
        given_by("mine_of_flows:ends", folder)
    with pytest.raises(Stop, match="it raised SystemExit: 0"):
        list(given_by("mine_of_flows:ends_late", folder))  # type: ignore[call-overload]


def test_a_callback_of_a_flow_ends_no_process(folder: Path) -> None:
    """It raises as a mistake of its own would, which changes nothing of what is sent."""
    assert heard("mine_of_flows:loud", folder)("x") == "X"
    with pytest.raises(RuntimeError, match=r"mine_of_flows:ends would end the process \(SystemExit: 0\)"):
        heard("mine_of_flows:ends", folder)({"a": 1}, "id")


def test_a_mapping_may_name_functions(folder: Path) -> None:
    """Of one value as a transform, alone or among others, and of the whole row as a condition; in a file likewise."""
    mapping = {
        "a": {"target": "A", "transform": ["strip", "mine_of_flows:loud"]},
        "b": ["B", {"target": "C", "transform": "strip"}],
    }
    mapper = mapper_of(mapping, {"D": "mine_of_flows:whole"}, folder=folder)
    assert mapper.transform({"a": " x ", "b": "y "}) == {"A": "X", "B": "y ", "C": "y", "D": " x y "}
    (folder / "map.yaml").write_text("mapping: {a: {target: A, transform: 'mine_of_flows:loud'}}")
    assert mapper_of("map.yaml", folder=folder).transform({"a": "x"}) == {"A": "X"}
    assert (places_in("map.yaml", folder=folder), places_in(None, folder=folder)) == (["mine_of_flows:loud"], [])


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("nowhere_at_all:x", "there is no module nowhere_at_all"),
        ("mine_of_flows:lod", "mine_of_flows has no lod"),
        ("mine_of_flows:thing", "it is int, and no function"),
    ],
)
def test_a_function_that_is_not_there_is_told(folder: Path, place: str, says: str) -> None:
    """For rows, transforms and conditions alike, with the place that was named."""
    for look in (
        lambda: given_by(place, folder),
        lambda: mapper_of({"a": {"target": "A", "transform": place}}, folder=folder),
        lambda: mapper_of({"a": "A"}, {"B": place}, folder=folder),
    ):
        with pytest.raises(HaloclineError, match=says) as caught:
            look()
        assert place in str(caught.value)


PUSH = "flows:\n  f:\n    kind: push\n    object: A\n    mode: insert\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{PUSH}    rows: leads", "it is module:function, such as leads:rows"),
        (f"{PUSH}    rows: leads:rows\n    file: x.csv", "give a query, a file or rows, one of the three"),
        (f"{PUSH}    rows: leads:rows\n    callbacks: {{on_eror: 'x:y'}}", "none of 'on_record_start'"),
        (f"{PUSH}    rows: leads:rows\n    conditions: {{Rating: 'x:y'}}", "conditions go with a mapping"),
        ("flows: {f: {kind: sync, to: 'duckdb:///x', objects: [A, B], table: {A: t, B: T}}}", "table names t for two objects"),
        (
            "flows: {f: {kind: sync, to: 'duckdb:///x', objects: [A, 'B*'], table: {C: t}}}",
            "the object C, which the flow does not",
        ),
        (
            "flows: {f: {kind: sync, to: 'duckdb:///x', objects: [A, B], table: t}}",
            "for several objects write {Account: ACCOUNTS",
        ),
    ],
)
def test_what_cannot_be_meant_is_told(text: str, says: str) -> None:
    """Before anything is looked for."""
    with pytest.raises(FixConfig, match=says.replace("{", r"\{")):
        understood(text)
