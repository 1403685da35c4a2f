"""Draw docs/demo.svg, the picture of README: what `halocline demo` prints. Times are left out, for they are the machine's.

usage: make_picture.py
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from itertools import takewhile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "demo.svg"
WIDTH = 118  # columns; the widest table takes 117
TITLE = "halocline demo (times are left out)"
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"  # what is there: none is loaded
LAST = "Look at it"  # what follows names folders of the machine
_INSTEAD = {r"\d{4}-\d\d-\d\dT[\d:]+Z": "<time>", r", [\d.]+ s\b": "", r":\d{5}\b": ":8080"}  # instants, seconds, the port


def main() -> int:
    """Run the demo, and draw what it said."""
    with tempfile.TemporaryDirectory(prefix="halocline-picture-") as folder:
        command = [sys.executable, "-m", "halocline", "demo", "--folder", f"{folder}/demo"]
        around = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
        done = subprocess.run(command, env=around, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    PICTURE.write_text(drawn(done.stdout))
    return 0


def drawn(told: str) -> str:
    """The SVG of what a terminal was sent, without times and without what follows `LAST`."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    texts = list(takewhile(lambda text: not text.plain.startswith(LAST), map(Text.from_ansi, map(_timeless, told.splitlines()))))
    while texts and not texts[-1].plain.strip():
        texts.pop()
    for text in texts:
        text.truncate(WIDTH, overflow="ellipsis")
        console.print(text, no_wrap=True)
    return console.export_svg(title=TITLE, theme=MONOKAI, code_format=_without_fonts(), unique_id="halocline")


def _timeless(line: str) -> str:
    for pattern, instead in _INSTEAD.items():
        line = re.sub(pattern, instead, line)
    return line


def _without_fonts() -> str:
    """Rich's own drawing, in fonts that are there: it would load one from a host."""
    local = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return re.sub(r"font-family: [^;]+;", f"font-family: {FONTS};", local)


if __name__ == "__main__":
    sys.exit(main())
