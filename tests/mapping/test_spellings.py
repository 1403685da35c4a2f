"""Transforms that are told how a text is spelled: dates, instants and numbers of people."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from halocline import FieldMapper, FixConfig
from halocline.mapping.named import mapper_of
from halocline.mapping.spellings import FORMS, spelling

BERLIN = "datetime(%d.%m.%Y %H:%M, Europe/Berlin)"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("date(%d.%m.%Y)", " 31.12.2026 ", "2026-12-31"),
        ("date(%m/%d/%Y)", "1/2/2026", "2026-01-02"),
        ("date(%B %d, %Y)", "January 2, 2026", "2026-01-02"),
        ("date(%d.%m.%Y)", date(2026, 1, 2), "2026-01-02"),
        (BERLIN, "31.12.2026 23:59", "2026-12-31T22:59:00.000Z"),
        (BERLIN, "01.07.2026 00:30", "2026-06-30T22:30:00.000Z"),
        ("datetime(%d.%m.%Y %H:%M %z)", "31.12.2026 23:59 +0200", "2026-12-31T21:59:00.000Z"),
        ("decimal(,)", "1.234.567,50", Decimal("1234567.50")),
        ("decimal(,)", "-1\u00a0234,5", Decimal("-1234.5")),
        ("decimal(,)", "1.234", Decimal(1234)),
        ("decimal(,)", "+7", Decimal(7)),
        ("decimal(.)", "1,234.50", Decimal("1234.50")),
        ("decimal(.)", "1'234.50", Decimal("1234.50")),
        ("decimal(.)", "1234.50", Decimal("1234.50")),
        ("decimal(,)", 1.5, Decimal("1.5")),
    ],
)
def test_a_spelling_gives_what_it_says(name: str, value: object, told: object) -> None:
    """In the form that Salesforce reads; a number with every digit."""
    given = spelling(name)(value)
    assert (given, type(given)) == (told, type(told))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("date(%d.%m.%Y)", "12/31/2026", "does not match format"),
        ("date(%d.%m.%Y)", "31.02.2026", "day"),
        (BERLIN, "29.03.2026 02:30", "show 2026-03-29 02:30:00 never"),
        (BERLIN, "25.10.2026 02:30", "show 2026-10-25 02:30:00 twice"),
        ("decimal(,)", "1,234.50", "no number with ',' before its fraction"),
        ("decimal(,)", "12.34", "no number"),
        ("decimal(,)", "1.234 567", "no number"),
        ("decimal(.)", "1,23", "no number"),
        ("decimal(.)", "12 EUR", "no number"),
        ("decimal(.)", "", "no number"),
    ],
)
def test_a_spelling_takes_no_other(name: str, value: str, words: str) -> None:
    """Nothing is guessed: not the order of day and month, not which mark is meant, not which of two hours."""
    with pytest.raises(ValueError, match=words):
        spelling(name)(value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("date()", "lacks a format"),
        ("datetime(%d.%m.%Y)", "either a zone, .*have an offset"),
        ("datetime(%d.%m.%Y %z, Europe/Berlin)", "either a zone, .*have an offset"),
        ("datetime(%d.%m.%Y, Europe/Berlim)", "'Europe/Berlim' is no time zone"),
        ("date(%Q)", r"'%Q' is no form that can be read \(.*such as date\(%d"),
        ("date(%d.%m.%Y %)", "is no form that can be read"),
        ("date(%d.%m.%d)", "is no form that can be read"),
        ("date(dd.mm.yyyy)", "'dd.mm.yyyy' tells no day: "),
        ("date(%H:%M)", "'%H:%M' tells no day: "),
        ("datetime(%d.%m.%Y %Q, Europe/Berlin)", "is no form that can be read"),
        ("datetime(dd.MM.yyyy, Europe/Berlin)", "'dd.MM.yyyy' tells no instant: "),
        ("decimal()", r"decimal\(,\) or decimal\(\.\)"),
        ("integer(,)", r"none of date\(%d"),
    ],
)
def test_a_spelling_that_cannot_be_is_told_when_the_mapping_is_read(name: str, words: str) -> None:
    """With the source's name, and what is wrong."""
    with pytest.raises(FixConfig, match=rf"'Day' names a transform .*{words}"):
        FieldMapper({"Day": {"target": "Day__c", "transform": name}})


@pytest.mark.parametrize(
    "form",
    [
        "%d.%m.%y",
        "%m/%Y",
        "%Y",
        "%d %b %Y",
        "%A, %d %B %Y",
        "%j/%Y",
        "%G-W%V-%u",
        "%Y-%W-%w",
        "%x",
        "%d.%m.%Y %H:%M",
        "on %Y%m%d",
    ],
)
def test_a_form_that_tells_a_day_is_taken(form: str) -> None:
    """Whatever else strptime knows, or less than a whole day: nobody is refused a form that could be used."""
    assert spelling(f"date({form})")(date(2026, 1, 2).strftime(form)) is not None


@pytest.mark.parametrize(
    "told", ["%Y-%m-%dT%H:%M:%S%z", "%d.%m.%Y %I:%M %p, Asia/Kolkata", "%d.%m.%Y %H:%M:%S.%f, UTC", "%H:%M, UTC"]
)
def test_a_form_that_tells_an_instant_is_taken(told: str) -> None:
    """With an offset, by half a day, with fractions of a second."""
    assert spelling(f"datetime({told})") is not None


def test_spellings_stand_in_files_and_lists(tmp_path: Path) -> None:
    """A colon of the time of day is no function of yours; other steps may come before."""
    file = tmp_path / "map.yaml"
    file.write_text(f"mapping:\n  Seen: {{target: Seen__c, transform: [none_if_empty, '{BERLIN}']}}\n")
    mapper = mapper_of(file.name, folder=tmp_path)
    assert mapper.transform({"Seen": "31.12.2026 23:59"}) == {"Seen__c": "2026-12-31T22:59:00.000Z"}
    assert mapper.transform({"Seen": " "}, skip_none=False) == {"Seen__c": None}


@pytest.mark.parametrize("name", FORMS)
def test_a_spelling_can_go_to_another_process(name: str) -> None:
    """A mapper that names one can be pickled."""
    mapper = pickle.loads(pickle.dumps(FieldMapper({"a": ("A__c", name)})))
    assert mapper.vectorised is False


def test_a_spelling_is_held_against_its_field() -> None:
    """A number for a date is told before any row is."""
    describe = {"name": "Thing__c", "fields": [{"name": "Day__c", "type": "date", "createable": True, "nillable": True}]}
    (finding,) = FieldMapper({"a": ("Day__c", "decimal(,)")}).check(describe, mode="insert")
    assert "do not fit a field of type date" in finding.problem
    assert FieldMapper({"a": ("Day__c", "date(%d.%m.%Y)")}).check(describe, mode="insert") == ()
