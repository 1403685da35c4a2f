"""Workers that are killed all the time lose no message; with the note of an effect in its own transaction they double none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.system.torture import torture
from tests.system.torture.effects import Outcome
from tests.system.torture.killer import Consumer
from tests.system.torture.load import Load
from tests.system.torture.world import World, world

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL"),
]

Says = Callable[[str, object], None]

SCRIPTS = Path(torture.__file__).resolve().parent
TRANSACTION = Consumer("ours, transaction", SCRIPTS / "consume_ours.py", sys.executable, {"once": True})
REDIS = Consumer("ours, Redis", SCRIPTS / "consume_ours.py", sys.executable, {"once": False})
BARE = Consumer("boto3", SCRIPTS / "consume_boto3.py", sys.executable)
SHORT = Load(messages=90, threads=12, longest_s=0.8, power=2.0)
LONG = Load(messages=10_000)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("torture")) as made:
        yield made


@pytest.fixture(scope="module")
def short(everything: World) -> Mapping[str, Outcome]:
    """What came of the short load, by consumer, side by side: most of the time both wait for what was killed to come back."""
    consumers = (TRANSACTION, REDIS)
    with ThreadPoolExecutor(len(consumers)) as pool:
        found = pool.map(lambda one: torture.run(one, everything, SHORT, most_s=240), consumers)
        return {consumer.name: outcome for consumer, outcome in zip(consumers, found, strict=True)}


def told(consumer: Consumer, found: Outcome, *, record: Says) -> Outcome:
    record("says", f"T8 {consumer.name}: {found}")
    assert found.kills > 5
    return found


def happens_once(found: Outcome) -> None:
    assert (found.lost, found.doubled) == (0, 0)


def is_never_doubled_in_silence(found: Outcome) -> None:
    assert (found.lost, found.unflagged) == (0, 0)
    assert found.doubled <= found.in_doubt


def test_an_effect_in_one_transaction_with_its_note_happens_once(short: Mapping[str, Outcome], record_property: Says) -> None:
    """Two workers, one of them killed every 0.2 to 0.9 s: with `context.transaction` one row in PostgreSQL for each message."""
    happens_once(told(TRANSACTION, short[TRANSACTION.name], record=record_property))


def test_an_effect_beside_its_record_is_neither_lost_nor_doubled_in_silence(
    short: Mapping[str, Outcome], record_property: Says
) -> None:
    """The same, with the record in Redis alone: one row at least, and every other one was said to be in doubt."""
    is_never_doubled_in_silence(told(REDIS, short[REDIS.name], record=record_property))


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_ten_thousand_effects_happen_once(everything: World, record_property: Says) -> None:
    """Handlers of up to 5 s, messages hidden for 2 s: with `context.transaction` 0 lost and 0 doubled."""
    happens_once(told(TRANSACTION, torture.run(TRANSACTION, everything, LONG), record=record_property))


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_of_ten_thousand_effects_none_is_doubled_in_silence(everything: World, record_property: Says) -> None:
    """The same with the record in Redis alone: 0 lost, and every doubled effect was said to be in doubt."""
    is_never_doubled_in_silence(told(REDIS, torture.run(REDIS, everything, LONG), record=record_property))


@pytest.mark.long
def test_a_loop_that_remembers_nothing_is_found_out(everything: World, record_property: Says) -> None:
    """Under the same torture a bare boto3 loop doubles effects, and says nothing of it."""
    found = told(BARE, torture.run(BARE, everything, SHORT, most_s=240), record=record_property)
    assert found.lost == 0
    assert found.unflagged == found.doubled > 0
