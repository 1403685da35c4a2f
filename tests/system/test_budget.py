"""The daily budget and the reserve of an org's quota: no call goes out that is one too many, and nothing is lost by stopping."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from halocline.budget import Budget
from halocline.connectors.salesforce import SalesforceClient
from halocline.errors import QuotaExhausted
from halocline.ledger import SqliteLedger
from halocline.pipeline import SyncPipeline
from halocline.quantity import quantity
from halocline.retry import Policy
from halocline.sync import IntelligentSync, SobjectSync
from tests.system.laptop import QUICK, Laptop, laptop, login_to
from tests.system.nursery import Nursery
from tests.system.test_cli import LAKE, shell_to

pytestmark = pytest.mark.system

OBJECTS = ("Account", "Contact", "Opportunity", "Lead")
ROWS = 60
Says = Callable[[str, object], None]


class Day:
    """A clock of the ledger's own, for days that pass."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """One org for all tests here: pages of 20 rows by Bulk, so that an object has many."""
    with laptop(tmp_path_factory.mktemp("budget"), page_rows=20) as running:
        for name in OBJECTS:
            running.seed(name, ROWS)
        yield running


def calls(here: Laptop) -> int:
    """The calls that the org has counted since it was last asked; logins are no calls."""
    return len(here.kinds())


def system(here: Laptop, folder: Path, *, ledger: SqliteLedger | None = None, budget: int | None = None) -> IntelligentSync:
    settings = replace(here.settings, home=folder, api_budget=budget)
    made = IntelligentSync(f"duckdb:///{folder / 'lake.duckdb'}", here.client, ledger=ledger, settings=settings)
    made.BULK_API_THRESHOLD = 1
    return made


def rows_of(folder: Path, table: str) -> int | None:
    """The rows of a table; None where there is none."""
    with duckdb.connect(str(folder / "lake.duckdb"), read_only=True) as lake:
        if not lake.execute(f"SELECT 1 FROM duckdb_tables() WHERE table_name = '{table}'").fetchall():
            return None
        return int(lake.execute(f"SELECT count(*) FROM raw.{table}").fetchall()[0][0])


def spent(ledger: SqliteLedger, here: Laptop) -> int:
    return ledger.spent(here.client.org_id() or "")


def told(error: Exception, budget: int) -> None:
    """The refusal names what is used, the budget, and when it begins anew; its code says: later."""
    assert isinstance(error, QuotaExhausted)
    assert error.exit_code == 75
    assert f"{budget:,} of the budget of {quantity(budget, 'call')} a day" in str(error)
    assert (error.facts["used"], error.facts["budget"]) == (budget, budget)
    assert "It begins anew at " in str(error)


# ---- the budget


def test_a_run_stops_before_the_call_that_would_be_too_many(
    here: Laptop, tmp_path: Path, record_property: Says, pytestconfig: pytest.Config
) -> None:
    """For small budgets (`--long`: all too small): as many calls as it allows, no table, code 75, and a larger one goes on."""
    job = SobjectSync("Account", "raw", "a", fields=["Name"])
    past, needed = 0, 0
    with SqliteLedger(tmp_path / "probe.sqlite") as probe, system(here, tmp_path, ledger=probe) as made:
        calls(here)
        made.run(replace(job, table="probe"))
        needed = calls(here)
        assert spent(probe, here) == needed
    budgets = range(1, needed) if pytestconfig.getoption("--long") else (needed // 2, needed - 2, needed - 1)
    for budget in budgets:
        folder = tmp_path / str(budget)
        folder.mkdir()
        with SqliteLedger(folder / "ledger.sqlite") as ledger, system(here, folder, ledger=ledger, budget=budget) as made:
            (ended,) = made.run_all([job])
            past += max(0, calls(here) - budget)
            assert spent(ledger, here) == budget
            if ended.error is None:
                assert rows_of(folder, "a") == ROWS, "only the deletion of the finished job may be left to the next run"
            else:
                told(ended.error, budget)
                assert (rows_of(folder, "a"), ledger.get(ended.run.id).state) == (None, "failed")
        with SqliteLedger(folder / "ledger.sqlite") as ledger, system(here, folder, ledger=ledger, budget=100) as made:
            made.run(job)
            assert rows_of(folder, "a") == ROWS
            calls(here)
    tried = len(budgets)
    record_property("says", f"budget: {past} calls past it, with {tried} of {needed - 1} budgets; {tried}/{tried} resumed")
    assert past == 0


def test_the_next_day_it_goes_on(here: Laptop, tmp_path: Path) -> None:
    """Midnight in UTC is when the count begins anew."""
    day = Day()
    with SqliteLedger(tmp_path / "ledger.sqlite", clock=day) as ledger, system(here, tmp_path, ledger=ledger, budget=20) as made:
        job = SobjectSync("Account", "raw", "a", fields=["Name"])
        made.run(job)
        ledger.spend(here.client.org_id() or "", 20 - spent(ledger, here))
        with pytest.raises(QuotaExhausted, match="2026-03-02T00:00Z"):
            made.run(job)
        day.now += timedelta(hours=12)
        assert made.run(job).counts is not None


def test_objects_beside_each_other_share_the_budget(here: Laptop, tmp_path: Path, record_property: Says) -> None:
    """Four objects, four pages of each at a time: never a call too many; who is done is done, who is not goes on tomorrow."""
    past, rounds, done = 0, (5, 40), 0
    for budget in rounds:
        folder, day = tmp_path / str(budget), Day()
        folder.mkdir()
        with SqliteLedger(folder / "ledger.sqlite", clock=day) as ledger:
            with system(here, folder, ledger=ledger, budget=budget) as made:
                calls(here)
                told = made.sync_objects(OBJECTS, "raw", fields=["CreatedDate"])
                past += max(0, calls(here) - budget)
                assert spent(ledger, here) <= budget
            for one in told:
                whole = rows_of(folder, str(one["sobject"]))
                assert whole == (ROWS if one["success"] else None)
                assert one["success"] or "of the budget of" in str(one["error"])
            done += sum(bool(one["success"]) for one in told)
            day.now += timedelta(days=1)
            with system(here, folder, ledger=ledger) as made:
                made.sync_objects(OBJECTS, "raw", fields=["CreatedDate"])
            assert [rows_of(folder, name) for name in OBJECTS] == [ROWS] * 4
    assert 0 < done < len(rounds) * len(OBJECTS), "some were stopped and some were not"
    record_property("says", f"budget: {past} calls past it in {len(rounds)} runs of four objects with parallel pages")
    assert past == 0


def test_processes_share_the_budget(here: Laptop, tmp_path: Path, nursed: Nursery) -> None:
    """Each sees what the others used: by option, by variable, and a plan counts too; a push as well."""
    shell = shell_to(here, tmp_path, nursed)
    words = ("sync", "Account", "--to", LAKE, "--fields", "Name", "--json")
    (first,) = shell.run(*words, "--api-budget", "100").documents
    assert first["success"]
    refused = shell.run(*words, HALOCLINE_API_BUDGET="2")
    assert (refused.code, refused.documents[0]["exit_code"]) == (75, 75)
    assert "of the budget of 2 calls a day" in refused.documents[0]["error"]
    assert shell.run("plan", "Account", "--to", LAKE, HALOCLINE_API_BUDGET="2").code == 75
    (tmp_path / "rows.csv").write_text("Name\nx\n")
    pushed = shell.run("push", "rows.csv", "--to", "Account", "--mode", "insert", HALOCLINE_API_BUDGET="2")
    assert (pushed.code, "of the budget of 2 calls a day" in pushed.err) == (75, True)
    assert shell.run("sync", "Account", "--to", LAKE, HALOCLINE_API_BUDGET="many").code == 2


def test_a_push_obeys_the_budget_and_is_taken_up(here: Laptop, tmp_path: Path) -> None:
    """For every small budget: no call too many, and in the end every row is there once."""
    for budget in (1, 3):
        folder = tmp_path / str(budget)
        settings = replace(here.settings, home=folder, api_budget=budget)
        records = [{"LastName": f"pushed {budget} {n}", "Company": "x"} for n in range(500)]
        calls(here)
        with pytest.raises(QuotaExhausted, match="of the budget of"):
            SyncPipeline(here.client, "Lead", None, mode="insert", settings=settings, flow="leads").sync(records)
        assert calls(here) <= budget
        SyncPipeline(here.client, "Lead", None, mode="insert", settings=replace(settings, api_budget=None), flow="leads").sync(
            records
        )
        assert here.client.count("Lead", f"LastName LIKE 'pushed {budget} %'") == 500
        calls(here)


# ---- the reserve of the quota


@pytest.mark.parametrize("allowed", [40, 70])
def test_parallel_objects_leave_the_reserve(tmp_path: Path, allowed: int, record_property: Says) -> None:
    """Under --quota-share the org's reserve is left, deletions of jobs apart; later all goes on."""
    share = 0.5
    with laptop(tmp_path, page_rows=10, daily_api_requests=allowed) as here:
        for name in OBJECTS:
            here.seed(name, ROWS)
        client = SalesforceClient(login_to(here.org), pace=QUICK, retry=Policy(attempts=3), quota_share=share)
        with client, IntelligentSync(f"duckdb:///{tmp_path / 'lake.duckdb'}", client, settings=here.settings) as made:
            made.BULK_API_THRESHOLD = 1
            told = made.sync_objects(OBJECTS, "raw", fields=["CreatedDate"])
            seen = [call for call in here.org.calls if call.kind != "token"]
            past = max(0, sum(call.method != "DELETE" for call in seen) - int(share * allowed))
            assert not all(one["success"] for one in told)
            assert all(one["success"] or "daily API calls are used" in str(one["error"]) for one in told)
            here.org.org.limits.set_max("DailyApiRequests", 100_000)
        with IntelligentSync(f"duckdb:///{tmp_path / 'lake.duckdb'}", here.client, settings=here.settings) as made:
            assert all(one["success"] for one in made.sync_objects(OBJECTS, "raw", fields=["CreatedDate"]))
        assert [rows_of(tmp_path, name) for name in OBJECTS] == [ROWS] * 4
    record_property("says", f"T22: {past} calls past the reserve of {allowed - int(share * allowed)}, four objects at a time")
    assert past == 0


def test_budgets_of_many_threads_are_exact(here: Laptop, tmp_path: Path) -> None:
    """Sixteen threads over one ledger make as many calls as the budget has, and not one more."""
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        budget = Budget(ledger, 9)
        client, refused = here.client.view(spend=budget.spend), list[Any]()

        def call() -> None:
            try:
                client.limits()
            except QuotaExhausted as error:
                refused.append(error)

        calls(here)
        threads = [threading.Thread(target=call) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (calls(here), len(refused), client.transport.usage.calls) == (9, 7, 9)
