"""Ports for servers that have to be told theirs: below those that systems hand out, so that nobody else is given one."""

from __future__ import annotations

import random
import socket

_FIRST, _END = 15_000, 30_000  # Linux hands out 32,768 and up, macOS 49,152 and up, to servers on port 0 and to clients
_ANY = random.SystemRandom()  # hypothesis sets the common one to the same seed in all processes of a run


def free_port() -> int:
    """A port of the loopback that nobody has, and that nobody is likely to take before the caller does."""
    while True:
        port = _ANY.randrange(_FIRST, _END)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
