"""Laws of choosing objects: patterns find what can be read, and say what they leave out; a name is taken at its word."""

from __future__ import annotations

from typing import Any

import pytest

from halocline.connectors.salesforce import objects
from halocline.errors import FixConfig, NotFound


class Listing:
    """A client that knows some objects, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def list_objects(self) -> list[dict[str, Any]]:
        self.asked += 1
        names = ["Account", "AccountHistory", "ContentDocumentLink", "AggregateResult", "Thing__c", "Old__c", "Closed__c"]
        hidden, closed = {"Old__c"}, {"Closed__c"}
        return [{"name": n, "queryable": n not in closed, "deprecatedAndHidden": n in hidden} for n in names]


def chosen(*names: str, **more: Any) -> tuple[tuple[str, ...], dict[str, str]]:
    choice = objects.choose(Listing(), names, **more)  # type: ignore[arg-type]  # as much of a client as is needed
    return choice.objects, dict(choice.left_out)


def test_patterns_find_what_can_be_read_and_say_what_they_leave_out() -> None:
    """In any case, each object once, in the org's order."""
    assert chosen("acc*", "Account") == (("Account", "AccountHistory"), {})
    found, left_out = chosen("*__c")
    assert found == ("Thing__c",)
    assert left_out == {"Closed__c": "Salesforce does not let it be queried", "Old__c": "it is deprecated and hidden"}
    found, left_out = chosen(everything=True, exclude=["*history", "closed*"])
    assert found == ("Account", "Thing__c")
    assert set(left_out) == {"AggregateResult", "ContentDocumentLink", "Old__c"}
    assert left_out["ContentDocumentLink"] == "Salesforce queries it only with a filter"


def test_a_name_is_kept_whatever_is_known_of_it() -> None:
    """Its own run says why it fails, and with a filter it need not; the org is not asked for names alone."""
    assert chosen("closed__c", "Acc*", "contentdocumentlink")[0] == (
        "Closed__c",
        "Account",
        "AccountHistory",
        "ContentDocumentLink",
    )
    listing = Listing()
    assert objects.choose(listing, ["Nope", "nope"]).objects == ("Nope",)  # type: ignore[arg-type]  # likewise
    assert listing.asked == 0


def test_a_pattern_without_a_match_and_a_choice_without_a_rest_are_refused() -> None:
    """Exit code 2: both are mistakes."""
    with pytest.raises(NotFound, match=r"no object is like 'Acount\*'. Did you mean Account"):
        chosen("Acount*")
    with pytest.raises(FixConfig, match="nothing is left to read"):
        chosen("Account", exclude=["acc*"])


@pytest.mark.parametrize("name", ["ContentDocumentLink", "AggregateResult"])
def test_a_named_object_that_cannot_be_read_is_refused(name: str) -> None:
    """Before it is asked for; with a filter the first may be."""
    with pytest.raises(FixConfig):
        objects.refuse_unreadable(name, filtered=False)
    objects.refuse_unreadable("ContentDocumentLink", filtered=True)
    objects.refuse_unreadable("Account", filtered=False)
