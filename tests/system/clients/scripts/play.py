"""Play scenes: one JSON line in, one JSON line out, until the input ends.

Importing this makes every sleep of the process a short one: clients look at a job, sleep up to ten seconds, and look again.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

Scene = Callable[..., Any]
NAP_S = 0.02
_sleep = time.sleep
time.sleep = lambda seconds: _sleep(min(seconds, NAP_S))  # before the client is imported: some keep the function itself


def play(*scenes: Scene) -> None:
    """Answer each `{scene, arguments}` with `{saw}`, or with `{failure: {kind, message}}` if the client raised.

    What a client prints goes to the errors' channel.
    """
    known = {scene.__name__: scene for scene in scenes}
    told = sys.stdout
    for line in sys.stdin:
        asked = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):
            answer = _answer(known[asked["scene"]], asked["arguments"])
        print(json.dumps(answer, default=str), file=told, flush=True)


def _answer(scene: Scene, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"saw": scene(**arguments)}
    except Exception as error:  # noqa: BLE001  # whatever the client raises is what the test wants to know
        traceback.print_exc()
        return {"failure": {"kind": type(error).__name__, "message": str(error)}}
