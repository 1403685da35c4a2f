"""Laws of the client that kinetic-core's users find at `halocline.compat.kinetic`: its arguments and answers, our guarantees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from halocline.compat import kinetic
from halocline.compat.kinetic import SalesforceClient, SalesforceSession, mapping, pipeline
from halocline.emulator.server import Emulator
from halocline.errors import NotFound, RejectRecord
from tests.connectors.salesforce.writable import writable

pytestmark = pytest.mark.system

Org = tuple[Emulator, SalesforceClient]


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    """An org, and the client made as that one's users make it: from a session of theirs."""
    with writable(tmp_path) as (emulator, ours):
        session = SalesforceSession(emulator.url, ours.transport.session.token().access_token)
        with SalesforceClient(session) as client:
            yield emulator, client


def test_a_session_is_a_login(org: Org) -> None:
    """With the parts that its users read, the version that it names, and a token that is not shown."""
    emulator, client = org
    session = SalesforceSession(f"{emulator.url}/", "secret", "v61.0")
    assert (session.base_url, session.is_valid()) == (f"{emulator.url}/services/data/v61.0", True)
    assert session.auth_header == {"Authorization": "Bearer secret"}
    assert "secret" not in repr(session)
    assert not SalesforceSession("", "").is_valid()
    client.count("Account")
    assert [call.path for call in emulator.calls][-1].startswith("/services/data/v62.0/")


def test_a_record_lives(org: Org) -> None:
    """Create answers the id, update and delete True, upsert the id both times."""
    _, client = org
    made = client.create("Account", {"Name": "a"})
    assert client.update("Account", made, {"Phone": "1"}) is True
    assert client.get("Account", made, ["Name", "Phone"]) == {"Name": "a", "Phone": "1"}
    new = client.upsert("Account", "Ext__c", "K/1?x=a'b", {"Name": "b"})
    assert client.upsert("Account", "Ext__c", "K/1?x=a'b", {"Name": "c"}) == new
    assert client.query("SELECT Name, Ext__c FROM Account WHERE Ext__c != null") == [{"Name": "c", "Ext__c": "K/1?x=a'b"}]
    assert client.delete("Account", made) is True
    with pytest.raises(NotFound):
        client.delete("Account", made)


def test_queries_answer_lists(org: Org) -> None:
    """All pages of them; one record or None; a number."""
    emulator, client = org
    emulator.seed({"Account": 2_500})
    found = client.query("SELECT Id FROM Account")
    assert isinstance(found, list)
    assert len({record["Id"] for record in found}) == 2_500
    assert client.query_one("SELECT Id FROM Account WHERE Name = 'nobody'") is None
    assert client.query_one("SELECT Id FROM Account LIMIT 1") in found
    assert client.count("Account") == 2_500
    assert client.count("Account", "Name = 'nobody'") == 0
    assert client.count("Account", where="") == 2_500


def test_a_batch_tells_of_every_record(org: Org) -> None:
    """In the shape of Salesforce's own answer; more than 200 are no error."""
    _, client = org
    told = client.create_batch("Account", [{"Name": f"n{number}"} for number in range(250)] + [{"Phone": "1"}])
    assert [one["success"] for one in told] == [True] * 250 + [False]
    assert told[0]["errors"] == []
    refused = {"statusCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [Name]", "fields": ["Name"]}
    assert (told[-1]["id"], told[-1]["errors"]) == (None, [refused])


def test_a_refusal_keeps_its_words(org: Org) -> None:
    """Not just that it was a 400."""
    with pytest.raises(RejectRecord, match="REQUIRED_FIELD_MISSING"):
        org[1].create("Account", {"Phone": "1"})


def test_the_names_are_where_the_documents_import_them_from() -> None:
    """Each module offers the same things."""
    for module in (kinetic, pipeline, mapping):
        for name in module.__all__:
            assert getattr(module, name) is getattr(kinetic, name)
