"""The clients' environments: what is installed is what the locks say, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.system.clients import environments
from tests.system.clients.environments import ENVIRONMENTS, LOCKS, Environment, installing
from tests.system.clients.lent import lend, pinned

PINS = {
    "simple-salesforce": "simple-salesforce==1.12.10",
    "aiosalesforce": "aiosalesforce==0.6.2",
    "salesforce-bulk": "salesforce-bulk==2.2.0",
    "kinetic-core": "kinetic-core==2.1.1",
    "lht": "lht==3.0.0",
    "fakesnow": "fakesnow==0.12.1",
    "snowflake-4": "snowflake-connector-python==4.8.1",
    "snowflake-5": "snowflake-connector-python==5.2.0",
}


@pytest.mark.parametrize("client", sorted(PINS))
def test_a_lock_pins_with_hashes_and_names_no_registry(client: str) -> None:
    """Each requirement is a version with hashes, the client's own among them; where to fetch it is the machine's affair."""
    for lock in ENVIRONMENTS[client].files:
        text = lock.read_text()
        pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert all("==" in pin and pin.endswith("\\") for pin in pins)
        assert "://" not in text
    assert any(pin.startswith(f"{PINS[client]} ") for pin in pins)


def test_the_lock_of_node_packages_pins_with_hashes_and_names_no_registry() -> None:
    """Each package has its integrity and no address."""
    packages = json.loads((LOCKS / "jsforce" / "package-lock.json").read_text())["packages"]
    assert packages.pop("")["dependencies"] == {"jsforce": "3.10.26"}
    assert all("integrity" in package and "resolved" not in package for package in packages.values())


def test_an_environment_is_made_once_and_again_when_its_lock_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second asker finds it; after a change of the lock nothing of the old one is left."""
    monkeypatch.setattr(environments, "HOME", tmp_path / "home")
    lock = tmp_path / "lock.txt"
    lock.write_text("one")
    made: list[str] = []

    def make(environment: Environment, folder: Path) -> None:
        made.append(environment.files[0].read_text())
        (folder / made[-1]).touch()

    client = Environment("client", (lock,), make)
    assert client.ready() == client.ready() == tmp_path / "home" / "client"
    lock.write_text("two")
    folder = client.ready()
    assert made == ["one", "two"]
    assert not (folder / "one").exists()


def test_a_half_made_environment_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that fails says so to everyone who asks, and leaves nothing that looks whole."""
    monkeypatch.setattr(environments, "HOME", tmp_path / "home")
    lock = tmp_path / "lock.txt"
    lock.write_text("one")
    attempts: list[Path] = []

    def make(_environment: Environment, folder: Path) -> None:
        assert list(folder.iterdir()) == []
        attempts.append(folder)
        (folder / "half").touch()
        if len(attempts) < 3:
            raise RuntimeError("no network")

    client = Environment("client", (lock,), make)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no network"):
            client.ready()
    assert client.ready() == attempts[0]


def test_pip_is_asked_once_how_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever installs several times passes on what the first answer was, and nobody asks again."""
    module = installing()
    for name, value in module.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, "PIP", ("/nowhere/pip",))
    assert module.variables() == os.environ


def test_what_the_lock_pins_as_it_is_here_is_lent_and_nothing_else(tmp_path: Path) -> None:
    """A package of the same version is there as links, importable; one of another version or unknown here is left to pip."""
    lock = tmp_path / "lock.txt"
    lock.write_text(f"idna=={version('idna')} \\\n    --hash=sha256:00\niniconfig==0.0.1\nnever-made==1.0\n")
    assert pinned([lock]) == [("idna", version("idna"))]
    site = tmp_path / "lib" / "python3" / "site-packages"
    site.mkdir(parents=True)
    lend(pinned([lock]), tmp_path)
    assert sorted(path.name for path in site.iterdir()) == ["idna", f"idna-{version('idna')}.dist-info"]
    code = "import sys; sys.path[:0] = sys.argv[1:]; import idna; print(idna.__file__, idna.encode('é.example').decode())"
    told = subprocess.run([sys.executable, "-I", "-S", "-c", code, str(site)], capture_output=True, text=True, check=True).stdout
    assert told.split() == [str(site / "idna" / "__init__.py"), "xn--9ca.example"]
