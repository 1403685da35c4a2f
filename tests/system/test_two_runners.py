"""Two runners of one flow: one at a time, whatever their clocks say, and who stood still too long changes nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from halocline.ledger import Ledger, open_ledger
from halocline.outcome import RunRecord
from tests.connectors.postgres.server import Place, Server
from tests.system.laptop import Laptop, laptop
from tests.system.runners import Driver, driver

pytestmark = pytest.mark.system

SHIFT_S = 300.0
STOPS = ("survey", "open", "commit")
SYNC = ("sync", "Account", "--fields", "Id,Name,SystemModstamp,IsDeleted", "--json")


@dataclass(frozen=True, slots=True)
class Shop:
    """An org, a database that takes its rows and keeps the ledger, and who starts the runners."""

    here: Laptop
    place: Place
    driver: Driver
    ledger: Ledger
    env: dict[str, str]

    @property
    def sync(self) -> tuple[str, ...]:
        """The command."""
        return (*SYNC, "--to", self.place.uri())

    def order(self, *more: str, stop: str = "", shift_s: float = 0.0, **env: str) -> dict[str, Any]:
        """What a runner is to do."""
        return self.driver.order(*self.sync, *more, stop=stop, shift_s=shift_s, env={**self.env, **env})

    def runs(self) -> list[RunRecord]:
        """All runs, oldest first."""
        return self.ledger.runs(limit=10_000)[::-1]

    def is_whole(self) -> bool:
        """Whether the table holds the records of the org, each once."""
        theirs = sorted((record["Id"], record["Name"]) for record in self.here.client.query("SELECT Id, Name FROM Account"))
        return theirs == sorted(self.place.rows("SELECT id, name FROM account"))

    def position(self) -> Any:
        """The position in the table's own database."""
        ((found,),) = self.place.rows("SELECT position FROM _halocline_positions WHERE target <> ''")
        return found


@pytest.fixture(scope="module")
def runners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """Who starts the runners of all tests: to load the modules takes longer than a test's syncs."""
    with driver(tmp_path_factory.mktemp("said")) as made:
        yield made


@pytest.fixture(params=["a server", "a file"])
def shop(request: pytest.FixtureRequest, server: Server, runners: Driver, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose ledger lies on a server or in a file."""
    with server.place(tmp_path) as place, laptop(tmp_path) as here:
        here.seed("Account", 5)
        books = place.uri() if request.param == "a server" else str(tmp_path / "ledger.sqlite")
        login = {"SF_ACCESS_TOKEN": here.access_info["access_token"], "SF_INSTANCE_URL": here.access_info["instance_url"]}
        environment = {**login, "HALOCLINE_HOME": str(tmp_path), "HALOCLINE_LEDGER": books}
        with open_ledger(books) as ledger:
            yield Shop(here, place, runners, ledger, environment)


def together(shop: Shop, rounds: int, *, shift_s: float) -> tuple[int, int, int]:
    """Start two runners at once, again and again: rounds in which both were at work, one was refused, both had their turn."""
    refused = both = 0
    for number in range(rounds):
        shop.here.add("Account", 1, Name=f"round {number}")
        shifts = (0.0, shift_s if number % 2 else -shift_s)
        pair = shop.driver.start([shop.order(shift_s=shift) for shift in shifts])
        codes = sorted(runner.ended() for runner in pair)
        assert codes in ([0, 75], [0, 0]), [runner.said() for runner in pair]
        refused += codes == [0, 75]
        both += codes == [0, 0]
        assert shop.is_whole()
        if codes == [0, 75]:
            (told,) = (answer for runner in pair if (answer := runner.answer())["exit_code"] == 75)
            assert "holds it since" in told["error"]
            assert f"{shop.runs()[-1].run}" in told["error"]
    records = shop.runs()
    assert {record.state for record in records} == {"done"}
    spans = sorted((record.started, str(record.finished)) for record in records)
    overlaps = sum(later[0] < earlier[1] for earlier, later in pairwise(spans))
    return overlaps, refused, both


@pytest.mark.timeout(3_000)
@pytest.mark.parametrize(
    ("shop", "shift_s", "rounds"),
    [("a server", 0.0, 2), ("a server", SHIFT_S, 2), ("a file", 0.0, 2)],  # a file's runners are on one host, and have its clock
    indirect=["shop"],
)
def test_two_runners_that_start_together_never_both_work(
    shop: Shop, shift_s: float, rounds: int, request: pytest.FixtureRequest, record_property: pytest.RecordProperty
) -> None:
    """T16: one runs, the other is refused with 75 or has its turn after it; also when one's clock is five minutes off."""
    rounds = 50 if request.config.getoption("--long") else rounds
    overlaps, refused, both = together(shop, rounds, shift_s=shift_s)
    assert overlaps == 0
    which = f"ledger in {request.node.callspec.params['shop']}, clocks {shift_s:.0f} s apart"
    record_property("says", f"T16 two runners: {rounds} starts, both ran {overlaps}, refused {refused}, in turn {both} ({which})")


def test_the_second_waits_and_finds_nothing_to_do(shop: Shop) -> None:
    """With --wait it is not refused: it runs when the first has ended, and nothing is left for it."""
    first, second = (shop.order(stop=stop) for stop in ("commit", ""))
    second["words"] = [*second["words"], "--wait", "60"]
    (one,) = shop.driver.start([first])
    one.stopped()
    (two,) = shop.driver.start([second])
    one.go_on()
    assert (one.ended(), two.ended()) == (0, 0)
    assert one.answer()["counts"]["inserted"] == 5
    assert (two.answer()["counts"]["inserted"], two.answer()["counts"]["updated"]) == (0, 0)
    assert shop.is_whole()


@pytest.mark.timeout(3_000)
def test_a_runner_that_wakes_up_late_is_fenced_off(
    shop: Shop, request: pytest.FixtureRequest, record_property: pytest.RecordProperty
) -> None:
    """It stood still for longer than its lease: another took over; its commit is refused, 75, and the winner's position stays."""
    stops = STOPS * 5 if request.config.getoption("--long") else STOPS[:1] if request.node.callspec.id == "a file" else STOPS[1:]
    refused, rounds = 0, len(stops)
    for number, stop in enumerate(stops):
        shop.here.add("Account", 1, Name=f"before {number}")
        (late,) = shop.driver.start([shop.order(stop=stop, HALOCLINE_LEASE_S="1")])
        late.stopped()
        shop.here.add("Account", 1, Name=f"after {number}")
        (winner,) = shop.driver.start([shop.order("--wait", "60", HALOCLINE_LEASE_S="1")])
        assert winner.ended() == 0, winner.said()
        before = shop.position()
        late.go_on()
        code, told, run = late.ended(), late.answer(), shop.runs()[-2]
        assert (code, told["success"], told["actual_records"]) == (75, False, 0), told
        assert f"newer run ({socket.gethostname()}:{winner.pid}:{shop.runs()[-1].run}) took it over" in told["error"], told
        assert (run.state, run.error) == ("failed", told["error"])
        refused += shop.position() == before and shop.is_whole()
    assert refused == rounds
    record_property("says", f"T7 late runners: stale commits refused {refused}/{rounds} (ledger in {request.node.callspec.id})")
