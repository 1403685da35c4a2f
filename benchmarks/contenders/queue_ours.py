"""Halocline's SQSQueue, as documented.

Started by files.py with one JSON argument; answers with JSON lines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from halocline import SQSQueue

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.patient import Patient, patients
from measuring.phases import WARMING, Told, serve


def main() -> None:
    """`{queue, messages}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    queue: SQSQueue[Patient] = SQSQueue(url=wanted["queue"], message_model=Patient)
    all_of_them = patients(wanted["messages"])
    handles: list[str] = []

    def send(some: list[Patient]) -> Told:
        return Told(sum(map(bool, queue.send_messages(some))), sum(one.number for one in some))

    def receive(most: int) -> Told:
        found, told = queue.receive_messages(max_messages=most)
        handles[:] = found
        return Told(len(told), sum(one.number for one in told))

    def delete() -> Told:
        return Told(sum(map(bool, queue.delete_messages(handles))), sum(one.number for one in all_of_them))

    send(all_of_them[:WARMING])
    receive(WARMING)
    delete()
    serve({"send": lambda: send(all_of_them), "receive": lambda: receive(len(all_of_them)), "delete": delete})


if __name__ == "__main__":
    main()
