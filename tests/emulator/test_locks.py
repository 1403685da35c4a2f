"""Laws of locked records."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.emulator.conftest import connect, error
from tests.emulator.life_org import Life, life, refused

from halocline.emulator.server import Emulator
from halocline.emulator.writing import Saved


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Life]:
    with life(tmp_path) as made:
        yield made


def test_a_locked_record_refuses_every_write_until_it_is_released(org: Life) -> None:
    """Update, delete and undelete, in Salesforce's words; reads go on."""
    account = org.insert("Account", Name="Acme")
    locks = org.emulator.locks
    locks.lock(account[:15])
    words = f"unable to obtain exclusive access to this record or 1 records: {account}"
    with refused("UNABLE_TO_LOCK_ROW", message=words, fields=()):
        org.update("Account", account, Name="Bolt")
    with refused("UNABLE_TO_LOCK_ROW"):
        org.delete("Account", account)
    assert org.row("Account", account)["Name"] == "Acme"
    locks.release(account)
    org.delete("Account", account)
    locks.lock(account)
    with refused("UNABLE_TO_LOCK_ROW"):
        org.writer.undelete(org.kind("Account"), account)


def test_a_lock_with_a_time_ends_by_the_orgs_clock(org: Life) -> None:
    """Not by that of the machine."""
    account = org.insert("Account", Name="Acme")
    org.emulator.locks.lock(account, seconds=30)
    org.emulator.clock.advance(29)
    with refused("UNABLE_TO_LOCK_ROW"):
        org.update("Account", account, Name="Bolt")
    org.emulator.clock.advance(2)
    org.update("Account", account, Name="Bolt")
    assert org.emulator.locks.held() == {}


def test_a_detail_locks_its_master_and_a_lookup_whom_it_is_made_to_point_at(org: Life) -> None:
    """A master with every write on its detail; the target of a lookup only when the lookup is set; an owner never."""
    deal, account = org.insert("Deal__c"), org.insert("Account", Name="Acme")
    line = org.insert("Line__c", Deal__c=deal)
    org.emulator.locks.lock(deal)
    for write in (lambda: org.insert("Line__c", Deal__c=deal), lambda: org.update("Line__c", line, Amount__c=1)):
        with refused("UNABLE_TO_LOCK_ROW"):
            write()
    with refused("UNABLE_TO_LOCK_ROW"):
        org.delete("Line__c", line)
    org.emulator.locks.release_all()
    free = org.insert("Deal__c")
    org.emulator.locks.lock(account)
    org.emulator.locks.lock(org.org.api_user_id)
    with refused("UNABLE_TO_LOCK_ROW"):
        org.update("Deal__c", free, Account__c=account)
    org.update("Deal__c", free, City__c="Ulm", OwnerId=org.org.api_user_id)


def test_one_locked_record_of_a_batch_is_refused_alone(org: Life) -> None:
    """The others are written."""
    ids = [org.insert("Account", Name=name) for name in "ABC"]
    org.emulator.locks.lock(ids[1])
    account = org.kind("Account")

    def renamed(record_id: str) -> Saved:
        org.writer.update(account, record_id, {"Name": "new"})
        return Saved(record_id)

    results = org.writer.batch([lambda one=one: renamed(one) for one in ids])
    assert [saved.error.code if saved.error else None for saved in results] == [None, "UNABLE_TO_LOCK_ROW", None]


def test_a_write_waits_for_a_record_as_long_as_the_org_says(tmp_path: Path) -> None:
    """Released in time it goes through; the refusal comes after the whole wait."""
    with life(tmp_path, lock_wait_s=30.0) as org:
        account = org.insert("Account", Name="Acme")
        org.emulator.locks.lock(account)
        writing = threading.Thread(target=org.update, args=("Account", account), kwargs={"Name": "Bolt"})
        writing.start()
        org.emulator.locks.release(account)
        writing.join(20)
        assert org.row("Account", account)["Name"] == "Bolt"
    with life(tmp_path, lock_wait_s=0.2) as org:
        account = org.insert("Account", Name="Acme")
        org.emulator.locks.lock(account)
        began = time.monotonic()
        with refused("UNABLE_TO_LOCK_ROW"):
            org.update("Account", account, Name="Bolt")
        assert time.monotonic() - began >= 0.2


def test_the_admin_door_locks_and_releases(emulator: Emulator) -> None:
    """With and without a time; what is no id is refused."""
    with connect(emulator) as client, httpx2.Client(base_url=f"{emulator.url}/__emulator__") as admin:
        account = client.post("/sobjects/Account", json={"Name": "Acme"}).json()["id"]
        path = f"/sobjects/Account/{account}"
        assert admin.post("/locks", json={"id": account}).json() == {"locks": {account: None}}
        assert error(client.patch(path, json={"Name": "Bolt"})) == (400, "UNABLE_TO_LOCK_ROW")
        assert admin.delete(f"/locks/{account}").status_code == 204
        assert client.patch(path, json={"Name": "Bolt"}).status_code == 204
        assert admin.post("/locks", json={"id": account, "seconds": 60}).json()["locks"][account] is not None
        assert list(admin.get("/locks").json()["locks"]) == [account]
        assert admin.delete("/locks").status_code == 204
        assert admin.get("/locks").json() == {"locks": {}}
        assert error(admin.post("/locks", json={"id": "nonsense"})) == (400, "EMULATOR_ADMIN")
