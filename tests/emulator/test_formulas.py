"""Laws of fields that are computed when they are read: formulas over parents, and roll-ups of details."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.emulator.life_org import Life, life

from halocline.emulator.describe import describe_field
from halocline.emulator.query import prepare


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Life]:
    with life(tmp_path) as made:
        yield made


def test_a_formula_reads_a_parent_and_moves_without_the_stamp(org: Life) -> None:
    """The parent's change shows in the child at once; the child's stamps stay."""
    account = org.insert("Account", Name="Acme")
    deal = org.insert("Deal__c", Account__c=account)
    before = org.row("Deal__c", deal)
    org.emulator.clock.advance(60)
    org.update("Account", account, Name="Bolt")
    after = org.row("Deal__c", deal)
    assert (before["AccountName__c"], after["AccountName__c"]) == ("Acme", "Bolt")
    assert (after["SystemModstamp"], after["LastModifiedDate"]) == (before["SystemModstamp"], before["LastModifiedDate"])


def test_a_formula_goes_up_two_parents_and_is_null_without_one(org: Life) -> None:
    """`Account__r.Owner.Username`; nothing where the lookup is empty."""
    deal = org.insert("Deal__c", Account__c=org.insert("Account", Name="Acme"))
    alone = org.insert("Deal__c")
    user = str(org.row("User", org.org.api_user_id)["Username"])
    assert org.row("Deal__c", deal)["OwnerOfAccount__c"] == user.upper()
    assert org.row("Deal__c", alone)["OwnerOfAccount__c"] is None


def test_a_formula_over_a_lookup_of_several_objects_reads_whichever_it_is(org: Life) -> None:
    """A contact's name or an account's."""
    people = [org.insert("Contact", FirstName="Eva", LastName="Berg"), org.insert("Account", Name="Acme")]
    found = [org.row("Deal__c", org.insert("Deal__c", Who__c=who))["WhoName__c"] for who in people]
    assert found == ["Eva Berg", "Acme"]


def test_computed_fields_can_be_queried_filtered_and_sorted(org: Life) -> None:
    """SOQL treats them as any other field, also through a relationship."""
    for name, count in (("Acme", 2), ("Bolt", 1)):
        deal = org.insert("Deal__c", Account__c=org.insert("Account", Name=name))
        for _ in range(count):
            org.insert("Line__c", Deal__c=deal, Amount__c=5, Open__c=True)
    rows = org.query("SELECT AccountName__c, Lines__c FROM Deal__c WHERE Total__c > 1 ORDER BY Lines__c")
    assert rows == [{"AccountName__c": "Bolt", "Lines__c": 1}, {"AccountName__c": "Acme", "Lines__c": 2}]
    (line,) = org.query("SELECT Deal__r.Total__c, DealTotal__c FROM Line__c WHERE Deal__r.AccountName__c = 'bolt'")
    assert (line["Deal__r"]["Total__c"], line["DealTotal__c"]) == (5, 5)  # type: ignore[index]


def test_bulk_queries_read_computed_fields_as_text(org: Life) -> None:
    """The same values as over REST."""
    deal = org.insert("Deal__c", Account__c=org.insert("Account", Name="Acme"))
    org.insert("Line__c", Deal__c=deal, Amount__c=2.5, Open__c=True)
    query = prepare(org.org.view, "SELECT AccountName__c, Lines__c, Total__c, Least__c FROM Deal__c", all_rows=False, bulk=True)
    (batch,) = query.batches()
    assert [[value.as_py() for value in column] for column in batch.columns] == [["Acme"], ["1.0"], ["2.5"], ["2.5"]]


def test_roll_ups_follow_live_details_and_never_move_the_stamp(org: Life) -> None:
    """Counted, summed where the filter holds, least and most; deleted details do not count, restored ones do."""
    deal = org.insert("Deal__c")
    empty = org.row("Deal__c", deal)
    assert [empty[f"{name}__c"] for name in ("Lines", "Total", "Least", "Most")] == [0, 0, None, None]
    org.emulator.clock.advance(60)
    ids = [org.insert("Line__c", Deal__c=deal, Amount__c=amount, Open__c=is_open) for amount, is_open in ((1, True), (4, False))]
    full = org.row("Deal__c", deal)
    assert [repr(full[f"{name}__c"]) for name in ("Lines", "Total", "Least", "Most")] == ["2.0", "1.0", "1.0", "8.0"]
    org.delete("Line__c", ids[0])
    assert org.row("Deal__c", deal)["Lines__c"] == 1
    org.writer.undelete(org.kind("Line__c"), ids[0])
    assert org.row("Deal__c", deal)["Lines__c"] == 2
    assert org.row("Deal__c", deal)["SystemModstamp"] == empty["SystemModstamp"]


def test_computed_fields_are_calculated_in_describe_and_refused_in_writes(org: Life) -> None:
    """Read-only, nillable, calculated."""
    for name in ("Total__c", "AccountName__c"):
        field = org.kind("Deal__c").field(name)
        assert field is not None
        described = describe_field(field)
        assert [described[key] for key in ("calculated", "createable", "updateable", "nillable")] == [True, False, False, True]
        with pytest.raises(Exception, match="Unable to create/update fields"):
            org.insert("Deal__c", **{name: 1})


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ('{type: double, formula: "A__c + 1"}', "refers to itself"),
        ('{type: double, formula: "Nobody__r.Name"}', "no relationship"),
        ('{type: double, formula: "Owner.Nothing__c"}', "no field"),
        ('{type: double, formula: "1 +"}', "A__c"),
        ("{type: double, rollup: {of: Nothing__c, relationship: X__c, function: COUNT}}", "no Nothing__c"),
        ("{type: double, rollup: {of: Account, relationship: X__c, function: COUNT}}", "no field"),
        ("{type: double, rollup: {of: Account, relationship: ParentId, function: SUM}}", "reads"),
        ("{type: double, rollup: {of: Account, relationship: ParentId, function: AVG}}", "none of"),
        ("{type: double, rollup: {of: Account, relationship: ParentId, sum: 1}}", "unknown key"),
    ],
)
def test_what_cannot_be_computed_is_refused_at_the_start(tmp_path: Path, field: str, reason: str) -> None:
    """Not by the first query that happens to read the field."""
    with pytest.raises(ValueError, match=reason), life(tmp_path, f"object: Bad__c\nfields:\n  A__c: {field}\n"):
        pass
