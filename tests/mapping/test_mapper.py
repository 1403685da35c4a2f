"""Rows by a FieldMapper: every form, what becomes of nothing, null and empty text, and refused rows in their place."""

from __future__ import annotations

import copy
import pickle
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline import ConditionalFieldMapper, FieldMapper, FixConfig, RejectRecord
from halocline.errors import NotFound
from halocline.mapping import UNTOUCHED
from halocline.outcome import Rejection


def lower(value: str) -> str:
    return value.lower()


def one(mapper: FieldMapper, source: object) -> object:
    """What `each` makes of one source."""
    (told,) = mapper.each([source])
    return told


# ---- forms


@pytest.mark.parametrize(
    ("form", "source", "told"),
    [
        ("Email", {"e": "A@B.example"}, {"Email": "A@B.example"}),
        (("Email",), {"e": "A@B.example"}, {"Email": "A@B.example"}),
        (("Email", lower), {"e": "A@B.example"}, {"Email": "a@b.example"}),
        (("Email", "lowercase"), {"e": "A@B.example"}, {"Email": "a@b.example"}),
        (("Email", lower, "NOBODY@b.example"), {}, {"Email": "nobody@b.example"}),
        (("Status", None, "New"), {}, {"Status": "New"}),
        (("Status", None, "New"), {"e": None}, {"Status": "New"}),
        (("Status", None, "New"), {"e": "Old"}, {"Status": "Old"}),
        ({"target": "Email"}, {"e": "x"}, {"Email": "x"}),
        ({"target": "Email", "transform": "uppercase", "default": "x"}, {}, {"Email": "X"}),
        ({"target": "Email", "transform": ["strip", "lowercase"]}, {"e": " A "}, {"Email": "a"}),
        ({"target": "Email", "transform": ["none_if_empty", "lowercase"]}, {"e": "  "}, {"Email": None}),
        ({"target": "Email", "transform": lower}, {"e": "A"}, {"Email": "a"}),
    ],
)
def test_each_form_does_what_it_says(form: object, source: dict[str, object], told: dict[str, object]) -> None:
    """Strings, tuples of one to three, and dicts; functions by themselves and by name."""
    assert one(FieldMapper({"e": form}), source) == told


def test_one_source_may_have_several_targets() -> None:
    """A list of forms, each with its own function and default."""
    mapper = FieldMapper({"name": ["Name", ("Short__c", lambda x: x[:2]), {"target": "Key__c", "transform": "uppercase"}]})
    assert mapper.transform({"name": "Acme"}) == {"Name": "Acme", "Short__c": "Ac", "Key__c": "ACME"}


def test_the_rows_fields_are_in_the_order_of_the_mapping() -> None:
    """Whatever order the source has."""
    assert list(FieldMapper({"b": "B", "a": "A"}).transform({"a": 1, "b": 2})) == ["B", "A"]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"a": 5}, "none of the forms"),
        ({"a": ()}, "none of the forms"),
        ({"a": ("T", None, None, None)}, "none of the forms"),
        ({"a": {"transform": "int"}}, "none of the forms"),
        ({"a": [["T"]]}, "none of the forms"),
        ({"a": []}, "list of targets of 'a' is empty"),
        ({"a": ""}, "no name of a field"),
        ({"a": "A."}, "no name of a field"),
        ({"a": (None, lower)}, "no name of a field"),
        ({"a": ("T", 5)}, "neither a function nor a name"),
        ({"a": {"target": "T", "transform": []}}, "neither a function nor a name"),
        ({False: "T"}, "in quotes"),
        ({}, "maps nothing"),
        ({...}, "not a set"),
        ({"a": "T", "b": "t"}, "several sources are mapped to T"),
        ({"a": ["T", "T"]}, "several sources are mapped to T"),
    ],
)
def test_a_wrong_mapping_is_refused_when_it_is_made(mapping: object, message: str) -> None:
    """Before any row is read, and with the name that is wrong."""
    with pytest.raises(FixConfig, match=message):
        FieldMapper(mapping)  # type: ignore[arg-type]  # wrong on purpose


def test_an_unknown_transform_is_refused_with_the_names_there_are() -> None:
    """A misspelt name never means "no transform"."""
    with pytest.raises(NotFound, match=r"'lowercas'.*Did you mean lowercase") as caught:
        FieldMapper({"a": ("T", "lowercas")})
    assert "datetime_iso" in str(caught.value)


def test_an_unknown_key_of_a_dict_is_refused() -> None:
    """`defualt` is no key that may be overlooked."""
    with pytest.raises(NotFound, match="Did you mean default"):
        FieldMapper({"a": {"target": "T", "defualt": 1}})


def test_own_transforms_may_be_named() -> None:
    """`transforms` adds names."""
    mapper = FieldMapper({"a": ("T", "double")}, transforms={"double": lambda x: x * 2})
    assert mapper.transform({"a": 4}) == {"T": 8}


# ---- nothing, null, empty


def test_nothing_null_and_empty_stay_apart() -> None:
    """A missing field leaves the target untouched, null clears it, and the empty text is a text."""
    mapper = FieldMapper({"a": "A", "b": "B", "c": "C"})
    assert one(mapper, {"b": None, "c": ""}) == {"B": None, "C": ""}


def test_transform_leaves_nulls_out_unless_it_is_told_to_keep_them() -> None:
    """The documented default; a missing field is never made a null."""
    mapper = FieldMapper({"a": "A", "b": "B"})
    assert mapper.transform({"b": None}) == {}
    assert mapper.transform({"b": None}, skip_none=False) == {"B": None}


def test_a_default_stands_for_nothing_null_and_empty() -> None:
    """A CSV's empty cell gets the default too; 0 and False are values."""
    mapper = FieldMapper({"a": ("A", None, "x")})
    assert list(mapper.each([{}, {"a": None}, {"a": ""}, {"a": 0}, {"a": False}])) == [
        *({"A": "x"}, {"A": "x"}, {"A": "x"}, {"A": 0}, {"A": False})
    ]


def test_a_default_of_none_says_null() -> None:
    """Stated as the third of a tuple, or as `default: null`."""
    assert one(FieldMapper({"a": ("A", None, None)}), {"a": ""}) == {"A": None}
    assert one(FieldMapper({"a": {"target": "A", "default": None}}), {}) == {"A": None}


def test_functions_never_see_none() -> None:
    """A null goes past the function; what the function itself makes null is null, in both ways of mapping."""
    mapper = FieldMapper({"a": ("A", lower), "b": ("B", lambda x: None)})
    assert one(mapper, {"a": None, "b": 1}) == {"A": None, "B": None}
    assert mapper.transform({"a": None, "b": 1}) == {"B": None}


def test_functions_never_see_the_order_to_clear() -> None:
    """`#N/A` of a CSV file clears its field whatever the mapping would make of a value; elsewhere it is a text like any other."""
    mapper = FieldMapper({"r": ("AnnualRevenue", "decimal"), "n": ("Name", "lowercase")})
    rows = [{"r": "#N/A", "n": "#N/A"}]
    assert list(mapper.each(rows, clears="#N/A")) == [{"AnnualRevenue": "#N/A", "Name": "#N/A"}]
    (refused,) = mapper.each(rows)
    assert isinstance(refused, Rejection)


def test_a_function_may_leave_the_target_untouched() -> None:
    """UNTOUCHED is neither null nor a value."""
    assert one(FieldMapper({"a": ("A", lambda x: UNTOUCHED if x < 0 else x)}), {"a": -1}) == {}
    chain = FieldMapper({"a": {"target": "A", "transform": ["gone", "int"]}}, transforms={"gone": lambda x: UNTOUCHED})
    assert one(chain, {"a": "x"}) == {}


def test_a_default_of_untouched_leaves_the_target_where_the_source_is_null_or_empty() -> None:
    """For sources whose nulls mean "not known": nothing is cleared."""
    mapper = FieldMapper({"n": ("AnnualRevenue", float, UNTOUCHED), "p": ("Phone", None, UNTOUCHED)})
    assert list(mapper.each([{"n": "", "p": None}, {}, {"n": "1", "p": "5"}])) == [{}, {}, {"AnnualRevenue": 1.0, "Phone": "5"}]


def test_a_mapper_without_own_functions_can_go_to_another_process() -> None:
    """Pickled and back, it maps the same."""
    mapper = FieldMapper({"a": {"target": "A", "transform": ["strip", "int"]}, "b": ("B", None, UNTOUCHED), "c.d": "E.F"})
    again = pickle.loads(pickle.dumps(mapper))
    sources = [{"a": " 1 ", "b": None, "c": {"d": 2}}, {"b": 1}]
    assert list(again.each(sources)) == list(mapper.each(sources)) == [{"A": 1, "E.F": 2}, {"B": 1}]


# ---- dots


def test_a_dotted_source_reaches_into_dicts() -> None:
    """At any depth."""
    assert one(FieldMapper({"user.address.city": "City"}), {"user": {"address": {"city": "Oslo"}}}) == {"City": "Oslo"}


def test_a_name_that_holds_dots_is_found_whole_first() -> None:
    """A CSV header `Account.Name` is a column; so is `a.b` above `c`."""
    mapper = FieldMapper({"Account.Name": "Name", "a.b.c": "C"})
    assert one(mapper, {"Account.Name": "x", "Account": {"Name": "y"}, "a.b": {"c": 1}}) == {"Name": "x", "C": 1}


def test_below_a_null_is_null_and_below_a_value_is_nothing() -> None:
    """As Salesforce gives a lookup that is empty: `Account: null` has no Name to keep."""
    mapper = FieldMapper({"Account.Name": "Name"})
    assert [one(mapper, source) for source in ({"Account": None}, {"Account": {}}, {"Account": "x"}, {})] == [
        {"Name": None},
        {},
        {},
        {},
    ]


def test_a_dotted_target_is_nested_for_people_and_dotted_for_loads() -> None:
    """`transform` gives REST's form, `each` the column of Bulk's CSV."""
    mapper = FieldMapper({"company": "Account.Ext_Id__c", "boss": "User:Owner.Key__c", "n": "Name"})
    source = {"company": "A1", "boss": "U1", "n": "x"}
    nested = {"Account": {"Ext_Id__c": "A1"}, "Owner": {"attributes": {"type": "User"}, "Key__c": "U1"}, "Name": "x"}
    assert mapper.transform(source) == nested
    assert one(mapper, source) == {"Account.Ext_Id__c": "A1", "User:Owner.Key__c": "U1", "Name": "x"}


def test_targets_below_one_parent_share_it() -> None:
    """At any depth, as documented."""
    mapper = FieldMapper({"a": "x.y.a", "b": "x.y.b"})
    assert mapper.transform({"a": 1, "b": 2}) == {"x": {"y": {"a": 1, "b": 2}}}


@pytest.mark.parametrize("targets", [("Account", "Account.Name"), ("account.Name", "Account"), ("Owner", "User:Owner.Key__c")])
def test_a_value_cannot_be_a_parent_too(targets: tuple[str, str]) -> None:
    """`Account` beside `Account.Name` is refused when the mapping is made, not with a TypeError at some row."""
    with pytest.raises(FixConfig, match="a value of its own"):
        FieldMapper({"a": targets[0], "b": targets[1]})


# ---- strict


def test_strict_refuses_a_row_without_a_source_field() -> None:
    """Also where the mapping has a default, and with the row's number."""
    mapper = FieldMapper({"a": "A", "b.c": ("B", None, "x")})
    with pytest.raises(RejectRecord, match=r"no field 'b\.c'") as caught:
        mapper.transform({"a": 1}, strict=True)
    assert (caught.value.row, caught.value.code) == (0, "SOURCE_FIELD_MISSING")
    with pytest.raises(RejectRecord) as late:
        mapper.transform_batch([{"a": 1, "b": {"c": 1}}, {"a": 1}], strict=True)
    assert late.value.row == 1


def test_strict_takes_a_null_that_is_there() -> None:
    """A present null, nested or not, is not missing."""
    mapper = FieldMapper({"a": "A", "b.c": "B"})
    assert mapper.transform({"a": None, "b": {"c": None}}, skip_none=False, strict=True) == {"A": None, "B": None}
    assert mapper.transform({"a": None, "b": None}, strict=True) == {}


# ---- rows that are refused


def test_a_refused_row_keeps_its_place() -> None:
    """One answer for each source, in order; the refusal has the row's number, the target, and the source untouched."""
    sources = [{"n": "1"}, {"n": ""}, "no record", {"n": "2"}]
    before = copy.deepcopy(sources)
    good, bad, odd, last = FieldMapper({"n": ("AnnualRevenue", float)}).each(sources, first_row=10, part="p1")
    assert (good, last) == ({"AnnualRevenue": 1.0}, {"AnnualRevenue": 2.0})
    assert isinstance(bad, Rejection)
    assert (bad.part, bad.row, bad.code, bad.fields, bad.record) == ("p1", 11, "MAPPING_FAILED", ("AnnualRevenue",), {"n": ""})
    assert "could not convert string to float" in bad.message
    assert isinstance(odd, Rejection)
    assert (odd.row, odd.code, odd.record) == (12, "NOT_A_RECORD", None)
    assert sources == before


def test_a_batch_is_never_shorter_than_its_sources() -> None:
    """`transform_batch` raises with the number of the row instead of leaving it out."""
    mapper = FieldMapper({"n": ("N", int)})
    assert mapper.transform_batch([{"n": "1"}, {"n": "2"}]) == [{"N": 1}, {"N": 2}]
    with pytest.raises(RejectRecord, match="Mapping n to N: 'x' was refused with ValueError") as caught:
        mapper.transform_batch([{"n": "1"}, {"n": "x"}, {"n": "y"}])
    assert caught.value.row == 1
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_function_that_would_end_the_process_refuses_its_row() -> None:
    """A transform or a condition; of value 0 it would read as a success of the whole."""

    def ends(value: Any) -> object:
        return sys.exit(0) if value in ("bad", {"n": "bad"}) else "fine"

    for mapper in (FieldMapper({"n": ("N", ends)}), ConditionalFieldMapper({"n": "M"}, {"N": ends})):
        good, bad = mapper.each([{"n": "x"}, {"n": "bad"}])
        assert isinstance(good, dict)
        assert good["N"] == "fine"
        assert isinstance(bad, Rejection)
        assert "SystemExit: 0" in bad.message


def test_a_long_value_is_cut_in_a_message() -> None:
    """A field of megabytes does not fill the log."""
    for function in (float, lambda x: 1 / 0):
        (refused,) = FieldMapper({"n": ("N", function)}).each([{"n": "x" * 1_000_000}])
        assert isinstance(refused, Rejection)
        assert len(refused.message) < 400


@given(
    st.lists(
        st.one_of(st.none(), st.integers(), st.text(max_size=3), st.dictionaries(st.sampled_from("ab"), st.text(max_size=2)))
    )
)
def test_every_source_has_one_answer(sources: list[object]) -> None:
    """Whatever the sources are, rows and rejections together are as many, and rejections know their place."""
    answers = list(FieldMapper({"a": ("A", int), "b": "B"}).each(sources))
    assert len(answers) == len(sources)
    assert all(answer.row == place for place, answer in enumerate(answers) if isinstance(answer, Rejection))


def test_the_source_row_is_not_changed() -> None:
    """Mapping makes a new row."""
    source = {"Id": "001", "a": {"b": 1}}
    before = copy.deepcopy(source)
    mapper = ConditionalFieldMapper({"Id": "Id", "a.b": "B.c"}, {"X": len})
    assert mapper.transform(source) == {"Id": "001", "B": {"c": 1}, "X": 2}
    assert source == before


# ---- conditions


def test_a_condition_makes_a_target_of_the_whole_row() -> None:
    """The documented example."""
    mapper = ConditionalFieldMapper(
        mapping={"name": "Name", "type": "Type"},
        conditions={"Industry": lambda data: "Technology" if data.get("type") == "tech" else "Other"},
    )
    assert mapper.transform({"name": "ACME", "type": "tech"}) == {"Name": "ACME", "Type": "tech", "Industry": "Technology"}


def test_a_conditions_null_is_a_null_like_any_other() -> None:
    """Left out by `transform`, kept where nulls are kept; UNTOUCHED is left out always."""
    mapper = ConditionalFieldMapper({"a": "A"}, {"B": lambda row: None, "C": lambda row: UNTOUCHED})
    assert mapper.transform({"a": 1}) == {"A": 1}
    assert mapper.transform({"a": 1}, skip_none=False) == {"A": 1, "B": None}
    assert one(mapper, {"a": 1}) == {"A": 1, "B": None}


def test_a_condition_takes_the_place_of_a_mapped_value() -> None:
    """And only where it has something to say."""
    mapper = ConditionalFieldMapper({"a": "A"}, {"A": lambda row: "VIP" if row["a"] == 1 else UNTOUCHED})
    assert [one(mapper, {"a": value}) for value in (1, 2)] == [{"A": "VIP"}, {"A": 2}]


def test_a_condition_that_raises_refuses_its_row() -> None:
    """It is not logged and forgotten."""
    mapper = ConditionalFieldMapper({"a": "A"}, {"B": lambda row: row["b"]})
    good, bad = mapper.each([{"a": 1, "b": 2}, {"a": 1}])
    assert good == {"A": 1, "B": 2}
    assert isinstance(bad, Rejection)
    assert (bad.row, bad.fields) == (1, ("B",))
    with pytest.raises(RejectRecord, match="condition of B"):
        mapper.transform({"a": 1})


def test_conditions_alone_are_a_mapping() -> None:
    """And their names clash like any."""
    assert ConditionalFieldMapper({}, {"A": len}).transform({"x": 1}) == {"A": 1}
    with pytest.raises(FixConfig, match="a value of its own"):
        ConditionalFieldMapper({"a": "Account.Name"}, {"Account": len})
    with pytest.raises(FixConfig, match="several sources"):
        ConditionalFieldMapper({"a": "Name"}, {"NAME": len})


# ---- YAML


def yaml_file(folder: Path, text: str) -> Path:
    path = folder / "map.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_yaml_has_every_form(tmp_path: Path) -> None:
    """Names, dicts with names of transforms and defaults, lists of targets, dotted names."""
    path = yaml_file(
        tmp_path,
        """
mapping:
  name: Name
  email: {target: Email, transform: lowercase}
  revenue:
    - {target: AnnualRevenue, transform: [strip, decimal], default: "0"}
    - Revenue_Text__c
  user.city: BillingCity
  company: Account.Ext__c
""",
    )
    mapper = FieldMapper.from_yaml(path)
    assert mapper.transform({"name": "A", "email": "X@Y", "revenue": " 1.50 ", "user": {"city": "Oslo"}, "company": "K"}) == {
        "Name": "A",
        "Email": "x@y",
        "AnnualRevenue": Decimal("1.50"),
        "Revenue_Text__c": " 1.50 ",
        "BillingCity": "Oslo",
        "Account": {"Ext__c": "K"},
    }
    assert one(mapper, {}) == {"AnnualRevenue": Decimal(0)}


def test_yaml_and_dict_are_one_language(tmp_path: Path) -> None:
    """What a file may say, the constructor takes."""
    form = {"target": "T", "transform": "int", "default": 3}
    path = yaml_file(tmp_path, "mapping:\n  a: {target: T, transform: int, default: 3}\n")
    assert FieldMapper.from_yaml(str(path)).transform({}) == FieldMapper({"a": form}).transform({}) == {"T": 3}


def test_yaml_may_name_own_transforms_and_take_conditions(tmp_path: Path) -> None:
    """For both mappers."""
    path = yaml_file(tmp_path, "mapping: {a: {target: A, transform: twice}}\n")
    mapper = ConditionalFieldMapper.from_yaml(path, transforms={"twice": lambda x: x * 2}, conditions={"B": len})
    assert mapper.transform({"a": 2}) == {"A": 4, "B": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no mapping"),
        ("fields: {a: A}", "no mapping"),
        ("mapping:", "there is no mapping"),
        ("mapping: [a]", "`mapping:` is a list, and no mapping of names to values.*`source: Target`"),
        ("mapping:\n  - {source: Name, target: Name}", "`mapping:` is a list"),
        ("mapping: Name", "`mapping:` is a text"),
        ("mapping: 5", "`mapping:` is a value"),
        ("mapping: {a: A}\nmaping: {b: B}", "'maping' beside"),
        ("mapping:\n  a: A\n  a: B", "line 3 says 'a' a second time.*list of targets"),
        ("mapping: {no: A}", "in quotes"),
        ("mapping: {a: A", "no YAML"),
        ("mapping: {? [a] : A}", "no YAML"),
        ("mapping: {a: !!python/object/apply:os.getcwd []}", "no YAML"),
        ("mapping: {a: {target: A, transform: nope}}", "'nope' that is unknown"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """With what is wrong, and where."""
    with pytest.raises(FixConfig, match=message):
        FieldMapper.from_yaml(yaml_file(tmp_path, text))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """One that is not there, and one that is no text."""
    with pytest.raises(FixConfig, match="cannot be read"):
        FieldMapper.from_yaml(tmp_path / "none.yaml")
    (tmp_path / "map.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(FixConfig, match="no YAML"):
        FieldMapper.from_yaml(tmp_path / "map.yaml")
