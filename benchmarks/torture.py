"""Workers that are killed all the time: ours in two ways, Powertools and a bare boto3 loop. `make bench NAME=torture`.

Every one of so many messages has one effect, a row in PostgreSQL. Two workers take them from the in-memory SQS, hidden for two
seconds; one of the two is killed with SIGKILL every 0.2 to 0.9 seconds. Handlers take up to five seconds: five times an even
chance to the power of six, so that the median is 0.08 s and one in a hundred takes 4.7 s or more; 64 threads a worker keep the
queue moving. What counts is what the table holds at the end: messages without an effect (lost), and effects beyond one for each
message (doubled). Only ours tells a handler that an effect is in doubt; doubled effects that were not in doubt are counted too.

Environment: MESSAGES (10,000), THREADS (64), SEED, ONLY (transaction, redis, powertools, powertools-short, boto3).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from measuring import machine
from measuring.place import place

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the torture itself is in tests/, which use it too

from tests.system.torture import torture
from tests.system.torture.effects import Outcome
from tests.system.torture.killer import Consumer
from tests.system.torture.load import Load
from tests.system.torture.world import world

HERE = Path(__file__).resolve().parent
SCRIPTS = Path(torture.__file__).resolve().parent
POWERTOOLS = HERE.parent / ".bench-venvs" / "powertools" / "bin" / "python"
PEER = HERE / "peers" / "powertools_torture.py"
LONG_S, SHORT_S = 6.0, 2.0  # how long its in-progress record lives: beyond the longest handler; as long as a message is hidden
CONSUMERS = {
    "transaction": Consumer("ours, transaction", SCRIPTS / "consume_ours.py", sys.executable, {"once": True}),
    "redis": Consumer("ours, Redis", SCRIPTS / "consume_ours.py", sys.executable, {"once": False}),
    "powertools": Consumer("powertools", PEER, str(POWERTOOLS), {"left_s": LONG_S}),
    "powertools-short": Consumer("powertools, 2 s", PEER, str(POWERTOOLS), {"left_s": SHORT_S}),
    "boto3": Consumer("boto3", SCRIPTS / "consume_boto3.py", sys.executable),
}


def main() -> None:
    """Torture everybody in turn, print what came of it, and end with the line of figures."""
    env = os.environ
    load = Load(
        messages=int(env.get("MESSAGES", "10000")), threads=int(env.get("THREADS", "64")), seed=int(env.get("SEED", "20261121"))
    )
    names = env.get("ONLY", ",".join(CONSUMERS)).split(",")
    there = [name for name in names if CONSUMERS[name].python != str(POWERTOOLS) or POWERTOOLS.exists()]
    print(machine.told([str(POWERTOOLS)] if POWERTOOLS.exists() else []), flush=True)
    for name in sorted({*names} - {*there}):
        print(f"{name} is left out: .bench-venvs/powertools is not there; make bench makes it")
    found: dict[str, Outcome] = {}
    with place("torture") as folder, world(folder) as everything:
        for name in there:
            found[name] = torture.run(CONSUMERS[name], everything, load)
            print(f"  {CONSUMERS[name].name:<17} {found[name]}", flush=True)
    _hold_against_wishes(found)
    print(f"load average at the end {os.getloadavg()[0]:.1f}")
    print("torture: " + " ".join(_figures(found)))


def _figures(found: dict[str, Outcome]) -> list[str]:
    figures = []
    for name, one in found.items():
        word = name.replace("-", "_")
        figures += [f"{word}_lost={one.lost}", f"{word}_doubled={one.doubled}", f"{word}_kills={one.kills}"]
        if CONSUMERS[name].script == SCRIPTS / "consume_ours.py":
            figures += [f"{word}_in_doubt={one.in_doubt}", f"{word}_unflagged={one.unflagged}"]
    return figures


def _hold_against_wishes(found: dict[str, Outcome]) -> None:
    wishes = (("transaction", "lost"), ("transaction", "doubled"), ("redis", "lost"), ("redis", "unflagged"))
    for name, figure in wishes:
        if name in found:
            got = getattr(found[name], figure)
            print(f"  {'MISSED' if got else 'met   '}  {name}_{figure} = {got}, wanted 0")


if __name__ == "__main__":
    main()
