"""Stage: a process of a client's own interpreter, in which its scenes are played one after another."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.system.clients.environments import ENVIRONMENTS, NODE

SCRIPTS = Path(__file__).with_name("scripts")
SCENE_S = 180.0  # the longest that a scene may take; the first one of a new environment compiles what it imports
LEAVE_S = 10.0
WORDS = 4_000  # characters of what the process said that a failure shows


class ClientFailed(Exception):
    """The client raised something of its own: `kind` is the name of its error, `message` its text."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class Stage:
    """The scenes of `scripts/<client>_scenes.py` (or `.mjs`) in the environment of the client.

    Nothing of this process's environment reaches the client but `variables`, so that neither a proxy nor a module of the
    machine decides what is seen.
    """

    def __init__(self, client: str, *, variables: Mapping[str, str]) -> None:
        folder = ENVIRONMENTS[client].ready()
        self._home = tempfile.TemporaryDirectory(prefix="halocline-client-")
        self._said = (Path(self._home.name) / "said").open("w+", encoding="utf-8")
        bare = {"PATH": os.defpath, "HOME": self._home.name, "LANG": "C.UTF-8", "CLIENT_FOLDER": str(folder)}
        self._process = subprocess.Popen(
            _command(client, folder),
            env={**bare, **variables},
            cwd=self._home.name,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )

    def play(self, scene: str, /, **arguments: object) -> Any:
        """What the scene saw, as JSON.
        Raises: ClientFailed if the client raised; RuntimeError with what it printed if its process ended or hangs.
        """
        assert self._process.stdin is not None
        asked = {"scene": scene, "arguments": arguments}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        told = json.loads(self._line(scene))
        if "failure" in told:
            raise ClientFailed(**told["failure"])
        return told["saw"]

    def close(self) -> None:
        """End the process. Harmless when repeated."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()
        self._home.cleanup()

    def _line(self, scene: str) -> bytes:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._process.stdout, selectors.EVENT_READ)
            # One scene, one line: nothing of the next answer can be in a buffer already.
            line = self._process.stdout.readline() if waiting.select(SCENE_S) else b""
        if not line:
            self._said.seek(0)
            raise RuntimeError(f"the client ended or hangs in the scene {scene}; it said:\n{self._said.read()[-WORDS:]}")
        return line


def _command(client: str, folder: Path) -> tuple[str, ...]:
    name = client.replace("-", "_")
    if client == "jsforce":
        return (str(NODE), str(SCRIPTS / f"{name}_scenes.mjs"))
    # No PYTHON* variable and no packages of the user: the environment is what its lock says.
    return (str(folder / "bin" / "python"), "-E", "-s", str(SCRIPTS / f"{name}_scenes.py"))
