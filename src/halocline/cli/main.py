"""`halocline`: the console script."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn

from halocline.cli.answer import INTERRUPTED, is_unwritten
from halocline.cli.verbs import program, typed
from halocline.unneeded import leave_out

_NOBODY_READS = 128 + 13  # as a shell tells of a program that SIGPIPE ended


def run() -> None:
    """The console script: what cannot be written ends it with one line, and a reader that has gone ends it without a word."""
    leave_out()
    _spell_out()
    try:
        try:
            program(typed(sys.argv[1:]))()
        finally:
            if sys.stdout is not None:  # a shell may have closed it
                sys.stdout.flush()
            _let_go_of_errors()
    except SystemExit as end:
        # Rich and Typer end with 1 when nobody reads on; `head` is not to make a pipe fail in a way of our own.
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        _leave(_NOBODY_READS)
    except KeyboardInterrupt:  # while verbs were being loaded, or after the answer; a verb at work answers to it itself
        with suppress(OSError):
            sys.stderr.write("Interrupted.\n")
            sys.stderr.flush()
        _leave(INTERRUPTED)
    except OSError as error:
        if not is_unwritten(error):
            raise
        if error.errno == errno.EPIPE:
            _leave(_NOBODY_READS)
        with suppress(OSError):  # standard error may be as full
            sys.stderr.write(f"Failed: Writing the answer: {error.strerror}. `halocline runs` tells what was done.\n")
            sys.stderr.flush()
        _leave(1)


def _spell_out() -> None:
    """What the encoding of standard output cannot say is spelled out, as on standard error: no answer ends for a name."""
    stream = sys.stdout
    if isinstance(stream, TextIOWrapper) and (stream.encoding.lower() != "utf-8" or stream.errors == "strict"):
        stream.reconfigure(errors="backslashreplace")


def _let_go_of_errors() -> None:
    """Nothing is left in the buffer of standard error that cannot be written: Python would end with a code of its own, 120."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _leave(code: int) -> NoReturn:
    """End; what is still in the streams' buffers goes nowhere, for Python would try to write it again and complain.

    Source: Python Library Reference, "signal", Note on SIGPIPE, read November 2026.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    sys.exit(code)
