"""Laws of a flight under faults: whatever is lost, late, cut off or dead, in virtual time and from seeds."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from tests.consume.mutants import MUTANTS, Mutant
from tests.consume.simulation import Faults, Plan, Simulation, drawn
from tests.figures import SAYS, Says

from halocline.consume.flight.backoff import Backoff
from halocline.consume.flight.flight import Limits

SHORT, LONG = 100, 12_000  # schedules; a seed is a schedule


def explore(first: int, count: int, says: Says) -> None:
    """Run schedules, tell how many and how fast, and name the first that breaks a law."""
    began = time.perf_counter()
    messages = runs = 0
    faults: Counter[str] = Counter()
    for seed in range(first, first + count):
        schedule = Simulation(drawn(seed)).run()
        broken = schedule.broken_laws()
        assert broken == [], f"drawn({seed}): {schedule.plan}"
        messages += schedule.plan.messages
        runs += len(schedule.runs)
        faults.update(schedule.happened)
    took_s = time.perf_counter() - began
    told = ", ".join(f"{times:,} {what.replace('_', ' ')}" for what, times in sorted(faults.items()))
    says(SAYS, f"T5 simulation: {count:,} schedules, {count / took_s:,.0f} a second, 0 violations;")
    says(SAYS, f"T5 simulation, what happened: {messages:,} messages, {runs:,} handler runs, {told}")


def test_no_schedule_breaks_a_law(record_property: Says) -> None:
    """Nothing is lost, stuck, out of order, done twice unsaid or set aside in vain, in some hundred schedules."""
    explore(0, SHORT, record_property)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_schedule_of_many_breaks_a_law(record_property: Says) -> None:
    """The same, in more than ten thousand schedules."""
    explore(100_000, LONG, record_property)


@pytest.mark.parametrize("name", list(MUTANTS))
def test_what_is_missing_breaks_a_law(name: str, record_property: Says) -> None:
    """Without fencing, the heartbeat, the retry of deletes or the order of groups, some schedule breaks a law."""
    seed, broken = first_broken(MUTANTS[name])
    record_property(SAYS, f"T6 consumer without {name}: seed {seed}: {broken}")
    assert Simulation(drawn(seed)).run().broken_laws() == []  # with it, the same schedule holds


def first_broken(mutant: Mutant) -> tuple[int, str]:
    """The first schedule that shows that something is missing, and a law that it breaks."""
    simulation = mutant.simulation()
    for seed in (mutant.seed, *range(2000)):
        broken = simulation(drawn(seed)).run().broken_laws()
        if broken:
            return seed, broken[0]
    raise AssertionError("no schedule shows it")


@pytest.mark.parametrize("records", [True, False])
def test_a_handler_may_outlive_its_visibility(*, records: bool, record_property: Says) -> None:
    """Where nothing goes wrong, each message runs once, though handlers take up to ten times the visibility."""
    limits = Limits(visibility_s=2, workers=10, in_flight=40, records=records)
    schedule = Simulation(Plan(seed=9, messages=60, limits=limits, longest_handler_s=20.0)).run()
    assert schedule.broken_laws() == []
    runs = Counter(run.letter for run in schedule.runs)
    record_property(SAYS, f"T9 model, records={records}: {len(runs)} messages, {max(runs.values())} run each, visibility 2 s")
    assert set(runs.values()) == {1}


def test_groups_keep_their_order_and_run_beside_each_other(record_property: Says) -> None:
    """50 groups of 20 messages, with failures and deaths: no message before one in front of it, and far faster than in a row."""
    limits = Limits(visibility_s=3, workers=25, in_flight=100, fifo=True, retries=Backoff(first_s=1.0, most_s=4.0))
    plan = Plan(
        seed=20,
        messages=1000,
        groups=50,
        limits=limits,
        faults=Faults(death=0.1, lost_reply=0.01, lost_request=0.01, refused_delete=0.05),
        longest_handler_s=0.4,
        failing=0.02,
    )
    schedule = Simulation(plan).run()
    assert schedule.broken_laws() == []
    deaths = schedule.happened["death"]
    assert deaths > 0
    in_a_row = sum(schedule.takes_s.values())
    record_property(
        SAYS,
        f"T20 groups: 1,000 messages of 50 groups, {deaths} deaths, 0 inversions, "
        f"{schedule.now:.1f} s where one after the other takes {in_a_row:.1f} s",
    )
    assert schedule.now < in_a_row


def test_poison_is_found_and_nothing_else(record_property: Says) -> None:
    """What kills its worker is set aside after three deaths, and nothing that only ran beside it is."""
    limits = Limits(visibility_s=3, workers=10, in_flight=30, retries=Backoff(first_s=1.0, most_s=4.0))
    schedule = Simulation(Plan(seed=21, messages=300, limits=limits, longest_handler_s=0.5, poison=0.03)).run()
    assert schedule.broken_laws() == []
    assert {int(one[1:]) for one in schedule.buried} == schedule.killers != set()
    runs = Counter(run.letter for run in schedule.runs if run.letter in schedule.killers)
    record_property(SAYS, f"T21 model: {len(schedule.killers)} of 300 messages kill, set aside after {max(runs.values())} runs")
    assert max(runs.values()) == limits.poison_after
