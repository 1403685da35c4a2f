"""Handler: a function that is called for messages, and what it is given, by what its parameters are called and annotated with.

    message, or annotated Message        the message
    context, or annotated Context        the context
    event, attributes, body              those of the message
    annotated with a model               the body as that model: pydantic, msgspec, a dataclass, dict, list, str, list[model]
    the first that is none of these      the message
    any other with a default             nothing

An annotation with a class counts more than a name; a name counts more than `dict`, `list`, `str` and their like, which are
refused where they contradict it (`context: dict`). `body: str` is the body as it was written.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from halocline.consume.handling.context import Context
from halocline.consume.handling.decoding import decoder_of
from halocline.consume.handling.message import Message
from halocline.consume.handling.methods import INSTANCES, Method, is_method
from halocline.errors import FixConfig

Maker = Callable[[Message, Context], Any]

_BY_NAME: Mapping[str, Maker] = {
    "message": lambda message, context: message,  # noqa: ARG005 - every maker is called alike
    "context": lambda message, context: context,  # noqa: ARG005
    "ctx": lambda message, context: context,  # noqa: ARG005
    "event": lambda message, context: message.event,  # noqa: ARG005
    "attributes": lambda message, context: message.attributes,  # noqa: ARG005
    "body": lambda message, context: message.body,  # noqa: ARG005
}
_OF_NO_KIND = (inspect.Parameter.empty, Any, object)
_PLAIN = (dict, list, str, int, float, bool, bytes, tuple, set, Mapping)
_MEANT: Mapping[str, tuple[type[Any], ...]] = {
    "message": (dict, list, str),
    "context": (),
    "ctx": (),
    "event": (str,),
    "attributes": (dict, Mapping),
    "body": (dict, list, str, Mapping),
}
"""What plain types each name may be annotated with."""
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


class Handler:
    """One registered handler. What can be said of it without its class is checked at once.

    Raises: ValueError for a function that cannot receive a message.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._source = function if isinstance(function, Method) or not is_method(function) else Method(function)
        plain = inspect.unwrap(function)
        self.name = f"{getattr(plain, '__module__', '')}.{getattr(plain, '__qualname__', type(plain).__name__)}"
        self._ready: tuple[Callable[..., Any], Parameters] | None = None
        refuse_generator(plain)
        self._check(plain)

    def _check(self, plain: Callable[..., Any]) -> None:
        try:
            if not isinstance(self._source, Method):
                self._ready = self._source, Parameters.of(self._source)
            elif self._source.has_self:
                Parameters.of(functools.partial(self._source.function, None))
        except NameError:  # a name that its module makes later; `prepare` looks again
            refuse_without_parameters(plain)
        if isinstance(self._source, Method):
            refuse_without_parameters(plain)

    def prepare(self) -> tuple[Callable[..., Any], Parameters]:
        """What is called, and with what; the instance of a method's class is made now, if it was not.

        Raises: FixConfig for a method whose class has no constructor without arguments, or one that raised, and for parameters
        that no message has.
        """
        if self._ready is None:
            function = self._source.bound(INSTANCES) if isinstance(self._source, Method) else self._source
            self._ready = function, self._parameters_of(function)
        return self._ready

    def examine(self) -> None:
        """Find out whether it can be called for messages; no instance of its class is made, for that runs its constructor.

        Raises: FixConfig where it cannot.
        """
        if self._ready is None:
            self._parameters_of(self._source.unbound() if isinstance(self._source, Method) else self._source)

    def _parameters_of(self, function: Callable[..., Any]) -> Parameters:
        try:
            return Parameters.of(function)
        except NameError as error:
            hint = "Annotate with a class that stands in the module, not in a function."
            raise FixConfig(f"Preparing the handler {self.name}", str(error), hint=hint) from error
        except ValueError as error:  # of a method, whose parameters are known now
            raise FixConfig(f"Preparing the handler {self.name}", str(error)) from error

    @property
    def is_async(self) -> bool:
        """Whether a call returns something to await."""
        function, _ = self._ready or (inspect.unwrap(self._source), None)
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004

    def call(self, message: Message, context: Context) -> object | Awaitable[object]:
        """What the function returns: to await, where it is an async one.

        Raises: FixConfig for a generator, in which nothing has been run; what the function raises.
        """
        function, parameters = self._ready or self.prepare()
        return self.awaited(parameters.call(function, message, context=context))

    def awaited(self, answer: object) -> object:
        """What a call came to, as it is.

        Raises: FixConfig for a generator: a decorator or a callable hid it until it was called.
        """
        if isinstance(answer, (types.GeneratorType, types.AsyncGeneratorType)):
            hint = "Let the function do its work without `yield`."
            raise FixConfig(f"Calling the handler {self.name}", "it returned a generator, and nothing of it was run", hint=hint)
        return answer

    def __repr__(self) -> str:
        return f"Handler({self.name})"


@dataclass(frozen=True, slots=True)
class Parameters:
    """What makes the arguments of one handler."""

    places: tuple[Maker, ...]
    names: Mapping[str, Maker]

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Parameters:
        """What `function` is to be given.

        Raises: ValueError for one that cannot receive a message, or wants what nobody has; NameError for an annotation whose name
        is not known yet.
        """
        places: list[Maker] = []
        names: dict[str, Maker] = {}
        told = False
        for number, one in enumerate(_parameters(function)):
            annotation = _annotation(function, one)
            _refuse_contradiction(function, one, annotation)
            maker = _maker(one, annotation, told=told)
            told = told or maker is not None
            if maker is None:
                _refuse_required(function, one, annotation)
            elif one.kind in _BY_POSITION and len(places) == number:
                places.append(maker)
            else:
                names["message" if one.kind is one.VAR_KEYWORD else one.name] = maker
        if not places and not names:
            raise ValueError(f"{_named(function)} takes no message: a handler needs a parameter for it")
        return cls(tuple(places), names)

    def call(self, function: Callable[..., Any], message: Message, *, context: Context) -> Any:
        """What the function returns for a message."""
        places = [make(message, context) for make in self.places]
        if not self.names:
            return function(*places)
        return function(*places, **{name: make(message, context) for name, make in self.names.items()})


def refuse_generator(function: Callable[..., Any]) -> None:
    """Raises: ValueError for a function with `yield`, nothing of which would ever be run, and an object that is called so."""
    called = function.func if isinstance(function, functools.partial) else function
    if any(inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one) for one in (called, type(called).__call__)):
        raise ValueError(f"{_named(function)} is a generator: a call would run nothing of it")


def refuse_without_parameters(function: Callable[..., Any]) -> None:
    """Raises: ValueError for a function that has no parameter, or none beside `self` or `cls`."""
    names = [one.name for one in _parameters(function)]
    if names in ([], ["self"], ["cls"]):
        raise ValueError(f"{_named(function)} takes no message: a handler needs a parameter for it")


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters, with annotations whose names are not known as they are written."""
    if sys.version_info >= (3, 14):  # from there on annotations are looked up when they are asked for
        from annotationlib import Format

        return list(inspect.signature(function, annotation_format=Format.FORWARDREF).parameters.values())
    return list(inspect.signature(function).parameters.values())


def _annotation(function: Callable[..., Any], one: inspect.Parameter) -> Any:
    """What a parameter is annotated with. Under a name that says enough, a class that is imported for type checkers only will do.

    Raises: NameError for another name that its module does not have.
    """
    told = getattr(one.annotation, "__forward_arg__", one.annotation)
    if not isinstance(told, str):
        return told
    try:
        return _looked_up(told, _scope(function))
    except NameError:
        if one.name in _BY_NAME:
            return one.empty
        raise


def _looked_up(annotation: str, scope: dict[str, Any]) -> Any:
    def holder() -> None:
        """Has no annotations but the one in question."""

    holder.__annotations__ = {"it": annotation}
    return typing.get_type_hints(holder, globalns=scope)["it"]


def _scope(function: Callable[..., Any]) -> dict[str, Any]:
    """The names of the module in which a callable stands."""
    plain: Any = inspect.unwrap(function)
    plain = plain.func if isinstance(plain, functools.partial) else plain
    if not inspect.isroutine(plain):
        plain = type(plain).__call__
    scope: dict[str, Any] = inspect.unwrap(plain).__globals__
    return scope


def _maker(one: inspect.Parameter, annotation: Any, *, told: bool) -> Maker | None:
    """What makes the argument for one parameter; None where it is to have its default, if it has one.

    `told`: a parameter before it is given something already.
    """
    if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
        return None if told else _BY_NAME["message"]
    known = _by_annotation(one.name, annotation) or _BY_NAME.get(one.name)
    is_plain = annotation in _OF_NO_KIND and one.kind is not one.KEYWORD_ONLY
    return _BY_NAME["message"] if known is None and is_plain and not told else known


def _by_annotation(name: str, annotation: Any) -> Maker | None:
    """What an annotation asks for; None where it says nothing, or nothing that we know."""
    kind = typing.get_origin(annotation) or annotation
    if annotation in _OF_NO_KIND or (name in {"event", "attributes"} and kind in _PLAIN):
        return None
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return _BY_NAME["message"]
    if isinstance(annotation, type) and issubclass(annotation, Context):
        return _BY_NAME["context"]
    try:
        decoder_of(annotation)
    except FixConfig as error:
        if kind in (dict, list):  # it would come as one, and nobody would look at what is in it
            raise ValueError(f"{name!r} is annotated with {inspect.formatannotation(annotation)}: {error.cause}") from error
        return None
    return lambda message, context: message.payload(annotation)  # noqa: ARG005


def _refuse_contradiction(function: Callable[..., Any], one: inspect.Parameter, annotation: Any) -> None:
    kind = typing.get_origin(annotation) or annotation
    if one.name in _MEANT and kind in _PLAIN and kind not in _MEANT[one.name]:
        cause = f"{_named(function)} wants {one.name!r} as {annotation!r}, which it is not"
        raise ValueError(f"{cause}: leave the annotation out, or call the parameter something else")


def _refuse_required(function: Callable[..., Any], one: inspect.Parameter, annotation: Any) -> None:
    if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
        known = ", ".join(sorted(_BY_NAME))
        kind = "" if annotation in _OF_NO_KIND else f" as {inspect.formatannotation(annotation)}"
        cause = f"{_named(function)} wants {one.name!r}{kind}, which no message has"
        model = "a model of the body (a pydantic model, a msgspec Struct, a dataclass, dict, list or str)"
        raise ValueError(f"{cause}: there are {known}, {model}, and parameters with a default")


def _named(function: Callable[..., Any]) -> str:
    plain = function.func if isinstance(function, functools.partial) else function
    return str(getattr(plain, "__qualname__", None) or repr(plain))
