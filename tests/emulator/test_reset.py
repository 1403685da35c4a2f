"""Laws of going back: after a reset the org is as at the checkpoint, behind the same address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from tests.emulator.conftest import VERSION

from halocline.emulator.errors import ApiError
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.emulator.snapshot import Snapshot
from halocline.emulator.store import Store
from halocline.emulator.writing import Writer

KEYS = {
    "grant_type": "client_credentials",
    "client_id": EmulatorConfig().consumer_key,
    "client_secret": EmulatorConfig().consumer_secret,
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Three Accounts at the checkpoint."""
    with Emulator(EmulatorConfig(daily_api_requests=1_000)) as running:
        running.seed({"Account": 3})
        running.checkpoint()
        yield running


def session(emulator: Emulator) -> httpx2.Client:
    """A client that is logged in."""
    token = httpx2.post(f"{emulator.url}/services/oauth2/token", data=KEYS).json()["access_token"]
    return httpx2.Client(base_url=emulator.url, headers={"Authorization": f"Bearer {token}"})


def names(emulator: Emulator) -> set[object]:
    """The Accounts' names."""
    return {record["Name"] for record in emulator.query("SELECT Name FROM Account")}


def test_records_are_as_at_the_checkpoint(emulator: Emulator) -> None:
    """New records are gone, changed ones are as before, deleted ones are back."""
    before = emulator.query("SELECT Id, Name, SystemModstamp FROM Account ORDER BY Id")
    with session(emulator) as client:
        client.post(f"{VERSION}/sobjects/Account", json={"Name": "New"}).raise_for_status()
        client.patch(f"{VERSION}/sobjects/Account/{before[0]['Id']}", json={"Name": "Changed"}).raise_for_status()
        client.delete(f"{VERSION}/sobjects/Account/{before[1]['Id']}").raise_for_status()
    assert names(emulator) >= {"New", "Changed"}
    emulator.reset()
    assert emulator.query("SELECT Id, Name, SystemModstamp FROM Account ORDER BY Id") == before


def test_ids_begin_again(emulator: Emulator) -> None:
    """The first record after each reset has the same id."""
    first = emulator.create("Account", {"Name": "One"})
    emulator.reset()
    assert emulator.create("Account", {"Name": "One"}) == first


def test_nothing_else_is_left(emulator: Emulator) -> None:
    """Sessions, jobs, cursors, faults, calls, limits, hidden objects and the moved clock are forgotten; the address stays."""
    url = emulator.url
    with session(emulator) as client:
        body = {"operation": "query", "query": "SELECT Id FROM Account"}
        job = client.post(f"{VERSION}/jobs/query", json=body).json()["id"]
        emulator.faults.add("delay", path="/never", seconds=1.0)
        emulator.clock.advance(86_400)
        emulator.org.hide(["Contact"])
        emulator.reset()
        assert emulator.url == url
        assert client.get(f"{VERSION}/limits").json()[0]["errorCode"] == "INVALID_SESSION_ID"
    with session(emulator) as client:
        assert client.get(f"{VERSION}/jobs/query/{job}").status_code == 404
        used = client.get(f"{VERSION}/limits").headers["Sforce-Limit-Info"]
    assert used == "api-usage=2/1000"
    assert not list(emulator.faults)
    assert emulator.calls.count("bulk.create") == 0
    assert emulator.org.catalog.get("Contact") is not None
    assert abs((emulator.clock.now() - type(emulator.clock)().now()).total_seconds()) < 60


def test_queries_by_bulk_see_the_old_records_again(emulator: Emulator) -> None:
    """The Bulk path, which reads the file itself, is not left behind."""
    emulator.create("Account", {"Name": "New"})
    with session(emulator) as client:
        assert "New" in _bulk_names(client)
    emulator.reset()
    with session(emulator) as client:
        assert sorted(_bulk_names(client)) == sorted(map(str, names(emulator)))


def test_a_write_under_way_is_waited_for(emulator: Emulator) -> None:
    """It is undone with the rest."""
    begun, go = threading.Event(), threading.Event()
    writer = Writer(emulator.org, emulator.org.api_user_id)

    def write() -> None:
        with writer.alone():
            begun.set()
            assert go.wait(30)
            writer.insert(emulator.org.sobject("Account"), {"Name": "late"})

    with ThreadPoolExecutor() as threads:
        written = threads.submit(write)
        assert begun.wait(30)
        reset = threads.submit(emulator.reset)
        go.set()
        written.result(timeout=30)
        reset.result(timeout=30)
    assert "late" not in names(emulator)


def test_nobody_of_before_writes_into_the_new_org(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request with an old session, while the records are put back, nor one that had its session before and writes after."""
    writer, sobject = Writer(emulator.org, emulator.org.api_user_id), emulator.org.sobject("Account")
    restore, told = Snapshot.restore, []

    def watched(self: Snapshot, store: Store) -> None:
        told.append(client.post(f"{VERSION}/sobjects/Account", json={"Name": "between"}))
        restore(self, store)

    monkeypatch.setattr(Snapshot, "restore", watched)
    with session(emulator) as client:
        emulator.reset()
    assert [(one.status_code, one.json()[0]["errorCode"]) for one in told] == [(401, "INVALID_SESSION_ID")]
    for write in (lambda: writer.insert(sobject, {"Name": "after"}), lambda: writer.batch([])):
        with pytest.raises(ApiError, match="INVALID_SESSION_ID"):
            write()
    assert names(emulator).isdisjoint({"between", "after"})
    emulator.create("Account", {"Name": "new"})
    assert "new" in names(emulator)


def test_an_open_transaction_does_not_come_back(emulator: Emulator) -> None:
    """A commit of a transaction from before the reset is refused."""
    transaction = emulator.store.begin()
    emulator.reset()
    with pytest.raises(KeyError):
        emulator.store.commit(transaction)


def test_a_bare_count_is_not_taken_for_an_empty_answer(emulator: Emulator) -> None:
    """`COUNT()` has no records, so the shortcut for tests refuses it; a counted field is a record."""
    with pytest.raises(ValueError, match=r"COUNT\(Id\)"):
        emulator.query("SELECT COUNT() FROM Account")
    assert emulator.query("SELECT COUNT(Id) n FROM Account") == [{"n": 3}]


def test_there_must_be_a_checkpoint() -> None:
    """A reset without a checkpoint says what to do, and changes nothing."""
    with Emulator() as fresh:
        with pytest.raises(RuntimeError, match=r"checkpoint\(\)"):
            fresh.reset()
        assert fresh.query("SELECT Id FROM Organization")


def test_the_https_door_keeps_its_certificate() -> None:
    """A client that trusts the authority still gets in after a reset."""
    with Emulator(EmulatorConfig(https=True)) as emulator:
        emulator.checkpoint()
        emulator.reset()
        import ssl

        trusting = ssl.create_default_context(cafile=str(emulator.ca_file))
        assert httpx2.get(f"{emulator.https_url}/services/data", verify=trusting).status_code == 200


def _bulk_names(client: httpx2.Client) -> list[str]:
    job = client.post(f"{VERSION}/jobs/query", json={"operation": "query", "query": "SELECT Name FROM Account"}).json()["id"]
    while client.get(f"{VERSION}/jobs/query/{job}").json()["state"] in ("UploadComplete", "InProgress"):
        pass
    lines = client.get(f"{VERSION}/jobs/query/{job}/results").text.splitlines()
    return [line.strip('"') for line in lines[1:]]
