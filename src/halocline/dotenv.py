"""Dotenv: the variables that a `.env` file says, and nothing done with them.

# a comment
REGION=us-east-1
export LOCAL_MODE=true      # what follows a blank and a # is a comment too
PG_PASSWORD="a # that counts"
"""

from __future__ import annotations

import re
from pathlib import Path

from halocline.errors import FixConfig

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<value>.*)")
_QUOTED = re.compile(r"""(?P<mark>['"])(?P<text>.*?)(?P=mark)\s*(#.*)?""")
_COMMENT = re.compile(r"(^|\s)#.*")


def dotenv(path: Path) -> dict[str, str]:
    """The variables of a file; none where there is no such file. Values are taken as they stand: nothing in them is replaced.

    Raises: FixConfig for a line that sets no variable, by its number: it may hold a password.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise FixConfig(f"Reading {path}", str(getattr(error, "strerror", None) or "it is no UTF-8")) from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            said = _LINE.fullmatch(line.strip())
            value = None if said is None else _value(said["value"])
            if said is None or value is None:
                raise FixConfig(f"Reading {path}", f"line {number} sets no variable", hint="Write NAME=value, one a line.")
            found[said["name"]] = value
    return found


def _value(text: str) -> str | None:
    if text.startswith(("'", '"')):
        quoted = _QUOTED.fullmatch(text)
        return None if quoted is None else quoted["text"]
    return _COMMENT.sub("", text).strip()
