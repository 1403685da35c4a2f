"""Install into an environment, by the uv that is beside this Python, which does it with a tenth of pip's work; else by pip.

usage: install.py PYTHON WORD ...

PYTHON is the environment's, WORDS are those of `pip install`. uv reads none of pip's files and variables, so it is told what pip
is configured with: indexes, folders of wheels, certificates, proxy. Variables of its own (UV_...) win. Where there is no uv pip
installs, and where uv fails, after what it said. Nothing outside the standard library is needed.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
UV = Path(sys.executable).with_name("uv")

# pip's option, uv's variable, and what stands between values where there are several.
# Source: https://docs.astral.sh/uv/reference/environment/ and `uv pip install --help` (0.13, 2026-11)
VARIABLES = {
    "index-url": ("UV_DEFAULT_INDEX", ""),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "timeout": ("UV_HTTP_TIMEOUT", ""),
    "cert": ("SSL_CERT_FILE", ""),
    "client-cert": ("SSL_CLIENT_CERT", ""),
    "proxy": ("ALL_PROXY", ""),
}
# pip trusts whom the machine trusts, and takes a file from any index that has it: the hashes say whether it is the right one.
LIKE_PIP = {"UV_SYSTEM_CERTS": "true", "UV_INDEX_STRATEGY": "unsafe-best-match"}


def main(python: str, words: list[str]) -> int:
    """Install. Returns the exit code of whoever did; what failed has said why."""
    if UV.exists():
        done = subprocess.run([UV, "pip", "install", "--quiet", "--python", python, *words], env=variables(), check=False)
        if done.returncode == 0:
            return 0
        print(f"{UV} could not install {' '.join(words)}, see above; pip tries", file=sys.stderr)
    return subprocess.run([*PIP, "--python", python, "install", "--quiet", *words], check=False).returncode


def variables() -> dict[str, str]:
    """This process's, and what tells uv how pip is configured. Whoever installs several times may have it told once."""
    if LIKE_PIP.items() <= os.environ.items():
        return {**os.environ}
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False).stdout
    return {**LIKE_PIP, **as_configured(listed), **os.environ}


def as_configured(listed: str) -> Mapping[str, str]:
    """What tells uv what `pip config list` prints: for all commands, for `install`, and by variables; the last one wins."""
    options: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(f"{section}."):
                options[key.removeprefix(f"{section}.").removeprefix("default-")] = str(ast.literal_eval(value))
    found = {}
    for option, (variable, between) in VARIABLES.items():
        values = [value for value in options.get(option, "").split() if option != "find-links" or _there(value)]
        if values:
            found[variable] = between.join(values) if between else options[option].strip()
    return found


def _there(place: str) -> bool:
    """Whether a place of wheels can be looked at: pip passes over a folder that is not there, uv ends."""
    return "://" in place.removeprefix("file://") or Path(place.removeprefix("file://")).exists()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: install.py PYTHON WORD ...")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
