"""A desk for pushes: an org with keys of its own, a folder, and a shell in which `halocline` is typed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from halocline.emulator.server import Emulator, EmulatorConfig
from tests.command_line import app
from tests.system.desk import Told

SCHEMA = """
object: Account
fields:
  Ext__c: {type: string(40) external unique}
  Index_Date__c: date
  Cik__c: string(10)
  Founded__c: string(80)
  Founded_Year__c: "double(4,0)"
"""


@dataclass(slots=True)
class PushDesk:
    """An org, a folder, a shell."""

    emulator: Emulator
    folder: Path
    env: dict[str, str]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def type(self, *words: str | Path, stdin: bytes | None = None) -> Told:
        """Type `halocline` and these words; no traceback, no secret, no internal name may be seen."""
        done = CliRunner().invoke(app, [str(word) for word in words], env=self.env, input=stdin)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        for text in (done.stdout, done.stderr):
            for word in ("Traceback", "halocline-consumer-secret", "object at 0x"):
                assert word not in text, text
        return Told(done.exit_code, done.stdout, done.stderr)

    def push(self, source: str | Path, *words: str | Path, to: str = "Account") -> Told:
        """`halocline push` of a file by the key Ext__c."""
        way = () if "--mode" in words else ("--mode", "upsert", "--key", "Ext__c")
        return self.type("push", source, "--to", to, *way, *words)

    def file(self, name: str, content: str | bytes) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def accounts(self, *fields: str) -> list[tuple[Any, ...]]:
        """The org's accounts, by key."""
        names = fields or ("Ext__c", "Name")
        found = self.emulator.query(f"SELECT {', '.join(names)} FROM Account ORDER BY Ext__c NULLS LAST, Name")
        return [tuple(one[name] for name in names) for one in found]

    def documents(self, *words: str | Path) -> list[dict[str, Any]]:
        """The JSON documents that a command answers."""
        return [json.loads(line) for line in self.type(*words, "--json").out.splitlines()]

    def runs(self) -> list[dict[str, Any]]:
        """The runs of the ledger, newest first."""
        return self.documents("runs")

    def folders(self) -> list[Path]:
        """The folders of runs that are kept."""
        kept = self.home / "runs"
        return sorted(path for path in kept.iterdir() if path.is_dir()) if kept.is_dir() else []

    def sent(self) -> list[str]:
        """The calls since this was asked last that may write."""
        calls = [f"{call.method} {call.path}" for call in self.emulator.calls if call.kind != "token" and call.method != "GET"]
        self.emulator.calls.clear()
        return calls


@contextmanager
def push_org(folder: Path, **settings: Any) -> Iterator[Emulator]:
    """An org with SCHEMA, and a checkpoint to which each desk goes back."""
    schema = folder / "schema.yaml"
    schema.write_text(SCHEMA, encoding="utf-8")
    with Emulator(EmulatorConfig(schemas=(schema,), **settings)) as emulator:
        emulator.checkpoint()
        yield emulator


def desk_at(emulator: Emulator, folder: Path, monkeypatch: pytest.MonkeyPatch) -> PushDesk:
    """A desk in an empty folder, at an org as it was at first."""
    emulator.reset()
    for name in [name for name in os.environ if name.startswith(("SF_", "HALOCLINE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    env = {
        "SF_LOGIN_URL": emulator.url,
        "SF_CLIENT_ID": emulator.config.consumer_key,
        "SF_CLIENT_SECRET": emulator.config.consumer_secret,
        "HALOCLINE_HOME": str(folder / "home"),
    }
    return PushDesk(emulator, folder, env)
