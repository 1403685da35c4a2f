"""Laws of a table of DynamoDB that goes into PostgreSQL by `halocline run`: every value arrives as it is.

Whatever gets in the way: `make test` does it with 300 items, `--long` with 200,000 and with a death at every step.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from halocline.testing.aws import FakeAWS, dynamodb_reads
from tests.connectors.aws import servers
from tests.connectors.postgres.server import Server
from tests.system.dynamodb_pipeline import Pipeline, Writer, differences
from tests.system.shell import Shell

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL"),
]

Says = Callable[[str, object], None]
SIZES = [300, pytest.param(200_000, marks=[pytest.mark.long, pytest.mark.timeout(3_000)])]
SEED = 20_261_121
STREAMED = "options: {streams: true, segments: 4}"


@pytest.fixture(scope="module")
def aws() -> Iterator[FakeAWS]:
    """AWS for the tests of this file; pages are of some dozens of items."""
    with servers.fake() as running, pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamodb_reads, "PAGE_BYTES", 15_000)
        yield running


@pytest.fixture
def pipeline(aws: FakeAWS, typed: Shell, server: Server, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline of the test's own; no fault is left behind it."""
    with server.place(tmp_path) as place:
        yield Pipeline(aws, typed, place, tmp_path, servers.new_name("whole"))
    aws.faults.clear()


def done(pipeline: Pipeline) -> None:
    """A plain run, which must do it."""
    ended = pipeline.run()
    assert (ended.code, ended.exit_code) == (0, 0), ended


@pytest.mark.parametrize("count", SIZES)
def test_every_type_arrives_as_it_is(pipeline: Pipeline, count: int, record_property: Says) -> None:
    """All ten types, exact to the last digit, and nothing more; read back from the table and compared one by one."""
    pipeline.make(count)
    done(pipeline)
    wrong = differences(pipeline.there(), pipeline.loaded())
    record_property("says", f"dynamodb into postgres: {count:,} items of every type, {len(wrong)} differ when read back")
    assert wrong[:5] == []


@pytest.mark.parametrize("count", SIZES)
def test_a_table_that_is_being_written(pipeline: Pipeline, count: int, record_property: Says) -> None:
    """What is there all the time comes once, as it was at one instant of the scan; what is not touched comes as it is."""
    pipeline.make(count)
    writer = Writer(pipeline, seed=SEED)
    with writer.at_work():
        done(pipeline)
    wrong = writer.broken(pipeline.loaded())
    touched = len(writer.versions)
    record_property(
        "says", f"dynamodb into postgres, written meanwhile: {count:,} items, {touched:,} touched, {len(wrong)} not as promised"
    )
    assert wrong[:5] == []
    assert touched > 10


@pytest.mark.parametrize("count", SIZES)
def test_a_scan_is_handed_over_to_the_stream(pipeline: Pipeline, count: int, record_property: Says) -> None:
    """Written during the scan and after it: two runs later the table is what DynamoDB has, to the last item."""
    pipeline.make(count, options=STREAMED, stream=True)
    writer = Writer(pipeline, seed=SEED + 1)
    with writer.at_work():
        done(pipeline)
        done(pipeline)
    done(pipeline)
    wrong = differences(pipeline.there(), pipeline.loaded())
    record_property(
        "says", f"dynamodb stream into postgres: {count:,} items, {len(writer.versions):,} touched, {len(wrong)} differ"
    )
    assert wrong[:5] == []


@pytest.mark.parametrize("count", SIZES)
def test_a_table_that_is_throttled(pipeline: Pipeline, count: int, record_property: Says) -> None:
    """A third of all calls are refused at random: it takes longer, and that is all."""
    pipeline.make(count)
    number = pipeline.aws.faults.add("throttle", service="dynamodb", operation="Scan", probability=0.3, seed=SEED)
    done(pipeline)
    struck = pipeline.aws.faults.counters(number)["struck"]
    wrong = differences(pipeline.there(), pipeline.loaded())
    record_property("says", f"dynamodb into postgres, throttled {struck} times: {count:,} items, {len(wrong)} differ")
    assert wrong[:5] == []
    assert struck > 0


@pytest.mark.parametrize("count", SIZES)
def test_a_segment_that_fails_for_good(pipeline: Pipeline, count: int, record_property: Says) -> None:
    """Then nothing is replaced, not a row; the run after it does all of it."""
    pipeline.make(count)
    done(pipeline)
    before = pipeline.loaded()
    Writer(pipeline, seed=SEED).write(60)
    pipeline.aws.faults.add("refuse", service="dynamodb", operation="Scan", nth=6, code="AccessDeniedException", status=400)
    failed = pipeline.run()
    assert (failed.code, failed.exit_code) == (0, 2), failed
    assert "AccessDenied" in failed.out + failed.err
    assert differences(before, pipeline.loaded()) == []
    pipeline.aws.faults.clear()
    done(pipeline)
    wrong = differences(pipeline.there(), pipeline.loaded())
    record_property("says", f"dynamodb into postgres, a segment failed: {count:,} items as before, then {len(wrong)} differ")
    assert wrong[:5] == []


@pytest.mark.parametrize(
    ("count", "kills"), [(300, 3), pytest.param(200_000, 60, marks=[pytest.mark.long, pytest.mark.timeout(3_000)])]
)
def test_a_process_that_is_killed_at_any_instant(pipeline: Pipeline, count: int, kills: int, record_property: Says) -> None:
    """By SIGKILL, again and again, while the table is written: rows are those of before or of after; the next run does it."""
    pipeline.make(count)
    done(pipeline)
    began = time.monotonic()
    done(pipeline)
    usual_s = time.monotonic() - began
    writer, chance, killed = Writer(pipeline, seed=SEED), random.Random(SEED), 0
    before = pipeline.loaded()
    for _ in range(kills):
        writer.write(20)
        killed += pipeline.run(kill_after_s=usual_s * chance.uniform(0.2, 1.0)).killed
        found = pipeline.loaded()
        assert found == before or not writer.broken(found)
        before = found
    done(pipeline)  # goes on with what the last one had: pages of then
    assert writer.broken(pipeline.loaded()) == []
    done(pipeline)
    wrong = differences(pipeline.there(), pipeline.loaded())
    record_property("says", f"dynamodb into postgres, killed: {count:,} items, {killed} kills, {len(wrong)} differ")
    assert wrong[:5] == []
    assert killed >= kills // 3


@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("step", [79, pytest.param(1, marks=pytest.mark.long)], ids=["some", "every"])
def test_a_process_that_dies_at_a_step(pipeline: Pipeline, step: int, record_property: Says) -> None:
    """At calls, files, writes, transactions of the ledger and statements of PostgreSQL: the next run makes it whole."""
    kinds = ("request", "file", "write", "ledger", "sql")
    pipeline.make(150, options="options: {segments: 2}")
    steps = len(pipeline.run(kinds=kinds).deeds)
    assert differences(pipeline.there(), pipeline.loaded()) == []
    points, wrong = 0, []
    for at in range(1 + step // 2, steps + 1, step):
        Writer(pipeline, seed=at).write(5)
        points += pipeline.run(kinds=kinds, at=at).killed
        done(pipeline)
        wrong += [f"killed at {at}: {one}" for one in differences(pipeline.there(), pipeline.loaded())]
    record_property("says", f"dynamodb into postgres: killed at {points} of {steps} steps, {len(wrong)} differences, 0 wedged")
    assert wrong[:5] == []
    assert points >= steps // step - 2
