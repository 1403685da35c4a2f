"""Laws of tools/install.py: uv is told what pip is configured with, and what uv cannot install pip does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of tools/ are not on the path."""
    monkeypatch.syspath_prepend(ROOT / "tools")


def test_uv_is_told_what_pip_is_configured_with(tmp_path: Path) -> None:
    """For `install` before for all, by variables before both; a folder of wheels that is not there is left out, as pip does."""
    import install

    listed = [
        ":env:.default-timeout='60'",
        "global.cert='/etc/ours.pem'",
        "global.extra-index-url='https://a.example/simple\\nhttps://b.example/simple'",
        "global.index-url='https://all.example/simple'",
        "install.index-url='https://install.example/simple'",
        f"global.find-links='{tmp_path} {tmp_path}/none https://wheels.example/'",
        "global.quiet='1'",
    ]
    assert install.as_configured("\n".join(listed)) == {
        "UV_HTTP_TIMEOUT": "60",
        "SSL_CERT_FILE": "/etc/ours.pem",
        "UV_INDEX": "https://a.example/simple https://b.example/simple",
        "UV_DEFAULT_INDEX": "https://install.example/simple",
        "UV_FIND_LINKS": f"{tmp_path},https://wheels.example/",
    }
    assert install.as_configured("") == {}
    assert install.as_configured("global.find-links='/nowhere/at/all'") == {}


@pytest.mark.parametrize(("uv", "tried"), [(0, ["uv"]), (2, ["uv", "pip"]), (None, ["pip"])])
def test_pip_installs_what_uv_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uv: int | None, tried: list[str]) -> None:
    """A uv that fails, or is not there, costs time and nothing else; the words and the environment are the same for both."""
    import install

    seen = tmp_path / "seen"
    for name, code in (("uv", uv), ("pip", 0)):
        if code is not None:
            script = f'[ "$2" = list ] || echo {name} $UV_FIND_LINKS "$@" >> {seen}\nexit {code}\n'
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}")
            (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(install, "UV", tmp_path / "uv")
    monkeypatch.setattr(install, "PIP", (str(tmp_path / "pip"),))
    monkeypatch.setenv("UV_FIND_LINKS", "ours")
    assert install.main("theirs", ["-r", "lock.txt"]) == 0
    said = {
        "uv": "uv ours pip install --quiet --python theirs -r lock.txt",
        "pip": "pip ours --python theirs install --quiet -r lock.txt",
    }
    assert seen.read_text().splitlines() == [said[name] for name in tried]


def test_what_nobody_can_install_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The exit code is pip's, and its words are shown."""
    import install

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(install, "UV", tmp_path / "no uv")
    assert install.main(sys.executable, ["-r", str(tmp_path / "none.txt")]) == 1
    assert "none.txt" in capfd.readouterr().err


@pytest.mark.long
def test_what_neither_uv_nor_pip_can_install_fails(tmp_path: Path) -> None:
    """As a program: both are tried."""
    nowhere = {**os.environ, "PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}
    command = [sys.executable, str(ROOT / "tools" / "install.py"), sys.executable, "-r", str(tmp_path / "none.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=nowhere)
    assert done.returncode == 1
    assert "none.txt" in done.stderr
    assert "pip tries" in done.stderr
