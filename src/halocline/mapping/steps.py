"""The forms that a mapping may have, each read into steps: one source, one target, perhaps a function and a default.

    "Target"                                     the value as it is
    ("Target", fn)                               fn of the value; a name of TRANSFORMS stands for its function
    ("Target", fn, default)                      fn of the value, or of the default where there is none
    ("Target", None, default)                    the value, or the default
    {"target": ..., "transform": ..., "default": ...}   the same as a dict; `transform` may be a list of names, done in order
    [form, form, ...]                            several targets of one source

A default stands for a value that is missing, null or the empty text. It may be None, which says null
where nothing was said, and UNTOUCHED, which leaves the field as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from halocline.errors import FixConfig, NotFound
from halocline.mapping.near import near
from halocline.mapping.paths import MISSING, UNTOUCHED
from halocline.mapping.spellings import FORMS, is_spelling, spelling
from halocline.mapping.transforms import TRANSFORMS, Function

_DOING = "Reading a mapping"
_KEYS = ("target", "transform", "default")
_HINT = (
    'Use "Target", ("Target", function), ("Target", function or None, default), '
    "a dict with target, transform and default, or a list of these."
)


@dataclass(frozen=True, slots=True)
class Step:
    """One value's way: `source` and `target` may be dotted; `default` is MISSING where the mapping states none."""

    source: str
    target: str
    function: Function | None = None
    default: object = MISSING

    @property
    def has_default(self) -> bool:
        """Whether the mapping states a default, None included."""
        return self.default is not MISSING


def steps_of(mapping: Mapping[str, object], transforms: Mapping[str, Function] | None = None) -> tuple[Step, ...]:
    """The steps of a mapping in its order; `transforms` adds names to TRANSFORMS, or replaces them.

    Raises: FixConfig for a form that is none of ours, two sources of one target, and a target that is a value and the parent of
    another; NotFound for the name of a function that nobody knows.
    """
    if not isinstance(mapping, Mapping):
        raise FixConfig(_DOING, f"a mapping is a dict of source names and targets, not a {type(mapping).__name__}")
    known = {**TRANSFORMS, **(transforms or {})}
    steps = tuple(step for source, form in mapping.items() for step in _steps(_name(source), form, known=known))
    refuse_clashes([step.target for step in steps])
    return steps


def refuse_clashes(targets: Sequence[str]) -> None:
    """Raises: FixConfig for a target that comes twice in any case, and for one that is a value and the parent of another."""
    counted = Counter(target.lower() for target in targets)
    for target in targets:
        if counted[target.lower()] > 1:
            hint = "Only one value can be sent; choose one, or join the sources before they are mapped."
            raise FixConfig(_DOING, f"several sources are mapped to {target} (names are the same in any case)", hint=hint)
        parents = [parent for parent in _parents(target) if parent in counted]
        if parents:
            cause = f"{parents[0]!r} is mapped to a value of its own, so {target} cannot be a part of it"
            raise FixConfig(_DOING, cause, hint="Map one of the two.")


def _parents(target: str) -> Iterable[str]:
    parts = target.lower().split(".")
    return (".".join(parts[:cut]).rpartition(":")[2] for cut in range(1, len(parts)))


def _steps(source: str, form: object, *, known: Mapping[str, Function]) -> Iterator[Step]:
    if isinstance(form, list):
        if not form:
            raise FixConfig(_DOING, f"the list of targets of {source!r} is empty", hint="Leave the source out, or name a target.")
        for one in form:
            yield _step(source, one, known=known)
    else:
        yield _step(source, form, known=known)


def _step(source: str, form: object, *, known: Mapping[str, Function]) -> Step:
    if isinstance(form, str):
        return Step(source, _target(source, form))
    if isinstance(form, tuple) and 1 <= len(form) <= 3:
        target, transform, default = form[0], (*form[1:2], None)[0], (*form[2:], MISSING)[0]
        return Step(source, _target(source, target), _function(source, transform, known=known), default)
    if isinstance(form, Mapping) and "target" in form:
        unknown = [str(key) for key in form if key not in _KEYS]
        if unknown:
            suggestions = near(unknown[0], _KEYS)
            hint = f"The keys are {', '.join(_KEYS)}."
            raise NotFound(_DOING, f"{source!r} has a key {unknown[0]!r}", suggestions=suggestions, hint=hint)
        function = _function(source, form.get("transform"), known=known)
        return Step(source, _target(source, form["target"]), function, form.get("default", MISSING))
    raise FixConfig(_DOING, f"{source!r} is mapped to {form!r}, which is none of the forms", hint=_HINT)


def _name(source: object) -> str:
    if not isinstance(source, str) or not source:
        hint = "YAML reads yes, no, on, off, null and numbers as values; put such a name in quotes."
        raise FixConfig(_DOING, f"{source!r} is no name of a source field", hint=hint)
    return source


def _target(source: str, target: object) -> str:
    if not isinstance(target, str) or not all(target.split(".")):
        raise FixConfig(_DOING, f"the target of {source!r} is {target!r}, which is no name of a field", hint=_HINT)
    return target


def _function(source: str, transform: object, *, known: Mapping[str, Function]) -> Function | None:
    if transform is None:
        return None
    if callable(transform):
        return transform
    if isinstance(transform, str):
        return _named(source, transform, known=known)
    if isinstance(transform, list) and transform and all(isinstance(name, str) for name in transform):
        return _chain([_named(source, name, known=known) for name in transform])
    raise FixConfig(_DOING, f"the transform of {source!r} is {transform!r}, which is neither a function nor a name", hint=_HINT)


def _named(source: str, name: str, *, known: Mapping[str, Function]) -> Function:
    if name not in known and is_spelling(name):
        try:
            return spelling(name)
        except ValueError as error:
            raise FixConfig(_DOING, f"{source!r} names a transform {name!r} that cannot be: {error}") from error
    if name not in known:
        hint = f"The names are {', '.join(sorted(known))}; and {', '.join(FORMS)}, and their like."
        raise NotFound(_DOING, f"{source!r} names a transform {name!r} that is unknown", suggestions=near(name, known), hint=hint)
    return known[name]


def _chain(functions: Sequence[Function]) -> Function:
    return functions[0] if len(functions) == 1 else partial(_through, tuple(functions))  # a partial, for it can be pickled


def _through(functions: Sequence[Function], value: object) -> object:
    """The functions in order; a null on the way is the end of it, as at its beginning."""
    for function in functions:
        if value is None or value is UNTOUCHED:
            return value
        value = function(value)
    return value
