"""The looking itself: a canary that is told through any channel is found, whole, in part, and in base64."""

from __future__ import annotations

import base64
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.security.canaries import Watch, awkward, canary

from halocline.errors import FixConfig, Stop
from halocline.hiding import hidden, quiet, scrub

WORD = canary("told")


def _raise(error: BaseException, cause: BaseException | None = None) -> None:
    raise error from cause


_TOLD: dict[str, Callable[[Path], object]] = {
    "message": lambda _: _raise(Stop("Doing", f"it was {WORD}")),
    "facts": lambda _: _raise(Stop("Doing", "it", word=WORD)),
    "traceback": lambda _: _raise(Stop("Doing", "it"), ValueError(WORD)),
    "JSON": lambda _: _raise(FixConfig("Doing", "it", code=WORD)),
    "standard output": lambda _: print(f"a{WORD[:12]}"),
    "standard error": lambda _: print(base64.b64encode(f"x:{WORD}".encode()).decode(), file=sys.stderr),
    "logs": lambda _: logging.getLogger("halocline.x").debug("%s", WORD[-12:]),
    "warnings": lambda _: warnings.warn(WORD, UserWarning, stacklevel=1),
    "repr": lambda _: [WORD],
    "files": lambda folder: (folder / "left").write_text(WORD),
}


@pytest.mark.parametrize("channel", _TOLD)
def test_what_is_told_is_found(channel: str, tmp_path: Path) -> None:
    """Each channel is looked through."""
    watch = Watch()
    watch.attempt("told", lambda: _TOLD[channel](tmp_path), hiding=(WORD,), folders=(tmp_path,))
    assert any(f": {channel}: " in leak for leak in watch.leaks), watch.leaks


@pytest.mark.parametrize("shape", [WORD, awkward(WORD), "pass word", "a'b\"c\\d<e>&f", "ü" * 9, "x" * 300])
def test_a_secret_is_hidden_in_every_notation(shape: str) -> None:
    """As it is, in URLs, forms, JSON, XML, Python and base64; what stands around it stays."""
    import html
    import json
    import urllib.parse as url

    b64 = base64.b64encode(f"user:{shape}".encode()).decode()
    notations = (shape, url.quote(shape, safe=""), url.quote_plus(shape), json.dumps(shape), repr(shape), html.escape(shape), b64)
    for text in notations:
        told = hidden(f"before {text} after", [shape])
        assert shape not in told
        assert text not in told
        assert told.startswith("before ")
        assert told.endswith(" after")
    assert (
        scrub("the password does not match, basic authentication is off")
        == "the password does not match, basic authentication is off"
    )
    assert scrub("at postgresql://me:word@host/db") == "at postgresql://***host/db"
    assert quiet(ValueError("fine")) is not None
    long = "canary " * 1_500  # a key or a token of many groups may be longer than what is told of a message
    assert quiet(ValueError(f"no such file: {long}"), [long]) is None
    assert "canary" not in scrub(f"no such file: {long}", [long])
    assert quiet(ValueError(f"it was {shape}"), [shape]) is None
