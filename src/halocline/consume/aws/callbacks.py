"""Callbacks: what a piece of work is called in the ledger, so that two of them on one bucket are never taken for one."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from halocline.config import variables
from halocline.errors import FixConfig

Callback = Callable[..., object]

_DIGEST_DIGITS = 16
_DOING = "Naming the work that an event of S3 starts"
_HINT = 'Give it a name: S3Events(flow="orders").respond(event, callback, ...).'


def name_of(callback: Callback, *, args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    """The same for every delivery of an event to this callback with these arguments, in every process, and for no other.

    It is of the Lambda function, where this is one; of the module within its package, or the file where it is in none (a script,
    an `app.py`), for many programs have a module of that name; of the callback's name there; and of the arguments, as a digest.
    Programs at the same path of several machines count as one: what else they should be is for a name that is given.
    Raises: FixConfig for what has no such name: bound methods, partials, lambdas, functions made in functions, callables of other
    kinds; and for arguments that are no JSON.
    """
    shown = f"{_place(callback)}.{callback.__qualname__}"
    function = variables("AWS_").get("LAMBDA_FUNCTION_NAME", "")
    words = [*([function] if function else []), shown, *([_digest(shown, args, kwargs)] if args or kwargs else [])]
    return " ".join(words)


def _place(callback: Callback) -> str:
    """Where a function or class is found under its own name.

    Raises: FixConfig where it is not.
    """
    if not (inspect.isfunction(callback) or inspect.isclass(callback)):
        raise FixConfig(_DOING, f"{callback!r} is no plain function, and others of its kind may have its name", hint=_HINT)
    module = sys.modules.get(callback.__module__ or "")
    names: Mapping[str, Any] = vars(module) if module is not None else getattr(callback, "__globals__", {})
    first, *rest = callback.__qualname__.split(".")
    if reduce(lambda found, name: getattr(found, name, None), rest, names.get(first)) is not callback:
        cause = f"{callback.__qualname__} is not what its module has under that name, so others may have it too"
        raise FixConfig(_DOING, cause, hint=_HINT)
    spec = getattr(module, "__spec__", None)  # of `python -m package.module` it says what the module is really called
    dotted = str(spec.name if spec is not None else callback.__module__)
    if "." in dotted or variables("AWS_").get("LAMBDA_FUNCTION_NAME"):
        return dotted
    code = getattr(callback, "__code__", None)
    file = str(getattr(module, "__file__", None) or getattr(code, "co_filename", "<"))
    if file.startswith("<"):
        raise FixConfig(_DOING, f"{callback.__qualname__} is in no file", hint=_HINT)
    return str(Path(file).absolute())  # links are not followed: a deployment that moves `current` changes no name


def _digest(shown: str, args: Sequence[object], kwargs: Mapping[str, object]) -> str:
    try:
        told = json.dumps([args, kwargs], sort_keys=True)
    except (TypeError, ValueError) as error:
        cause = f"{shown} is given arguments that tell it from no other work, for they are no JSON ({error})"
        raise FixConfig(_DOING, cause, hint=_HINT) from error
    return hashlib.sha256(told.encode()).hexdigest()[:_DIGEST_DIGITS]
