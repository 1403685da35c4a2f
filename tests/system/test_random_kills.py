"""A sync that is killed at any instant, again and again, over an org that changes all the time, loses and doubles nothing."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from halocline.emulator.server import Emulator, EmulatorConfig
from tests.connectors.postgres.server import Server
from tests.system.fault_loop import Lake, Warehouse
from tests.system.kill_soak import ROWS, Soak, Writer
from tests.system.shell import Shell

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL"),
]

SEED = 20_260_301
AT_MOST = 3  # syncs for each kill that is wanted: some end before they are killed


def soak(folder: Path, typed: Shell, server: Server, *, kills: int, record: Callable[[str, object], None]) -> None:
    """Kill so many syncs, half of them into each place; then one more sync into each, after which the table equals the org."""
    chance = random.Random(SEED)
    with Emulator(EmulatorConfig(page_rows=ROWS // 4)) as emulator:
        homes = {name: folder / name for name in ("duckdb", "postgres")}
        for home in homes.values():
            home.mkdir()
        soaks = [
            Soak(emulator, typed, Lake(), homes["duckdb"], "hard"),
            Soak(emulator, typed, Warehouse(server, homes["postgres"]), homes["postgres"], "soft"),
        ]
        writer = Writer(emulator, seed=SEED)
        for one in (*soaks, *soaks):  # the second time the modules are loaded, and it takes as long as the next ones
            ended = one.sync()
            assert (ended.code, ended.exit_code) == (0, 0), ended
        began = time.monotonic()
        with writer.at_work():
            for number in range(1, AT_MOST * kills):
                soaks[number % 2].killed_sync(chance, number=number)
                if sum(one.kills for one in soaks) >= kills:
                    break
        took_s = time.monotonic() - began
        finish(soaks, writer, took_s=took_s, record=record)
        assert sum(one.kills for one in soaks) == kills


def finish(soaks: list[Soak], writer: Writer, *, took_s: float, record: Callable[[str, object], None]) -> None:
    """The last sync into each place, and what it shows."""
    lost = doubled = strange = rows = 0
    for one in soaks:
        ended = one.sync()
        assert (ended.code, ended.exit_code) == (0, 0), ended
        missing, more, twice = one.differences()
        lost, strange, doubled = lost + len(missing), strange + len(more), doubled + twice
        rows += one.rows_read()
    kills, ends = sum(one.kills for one in soaks), sum(one.ended for one in soaks)
    manual = [typed for one in soaks for typed in one.failed]
    jobs = len(soaks[0].emulator.org.jobs.all("V2Query"))
    told = (
        f"random kills: {kills} kills, {ends} syncs ended, {writer.done.total()} changes, {rows / took_s:,.0f} rows/s under kills"
    )
    told += f", {lost} lost, {doubled} doubled, {strange} strange, {len(manual)} manual steps, {jobs} jobs left"
    record("says", told)
    assert (lost, doubled, strange, manual) == (0, 0, 0, []), told
    assert writer.done.total() > kills


@pytest.mark.timeout(200)
def test_a_few_random_kills_do_no_harm(
    tmp_path: Path, typed: Shell, server: Server, record_property: Callable[[str, object], None]
) -> None:
    """Killed by SIGKILL at eight instants, into DuckDB and PostgreSQL in turn, while people write."""
    soak(tmp_path, typed, server, kills=8, record=record_property)


@pytest.mark.long
@pytest.mark.timeout(3_000)
def test_five_hundred_random_kills_do_no_harm(
    tmp_path: Path, typed: Shell, server: Server, record_property: Callable[[str, object], None]
) -> None:
    """The same five hundred times."""
    soak(tmp_path, typed, server, kills=500, record=record_property)
