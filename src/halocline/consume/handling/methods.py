"""Methods: handlers that are registered in the body of a class, before there is a class to call them with."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from halocline.errors import FixConfig, HaloclineError
from halocline.trace import places

_DOING = "Registering a handler"
_PREPARING = "Preparing handlers"


class Instances:
    """One instance of each class that has handlers, made by its constructor without arguments when it is first needed.

    There is one of this: `INSTANCES`.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a constructor may ask for another class's instance
        self._made: dict[type[Any], Any] = {}

    def of(self, owner: type[Any]) -> Any:
        """The instance.

        Raises: FixConfig where the constructor wants arguments, or raised; an error of ours as it was raised.
        """
        with self._lock:
            if owner not in self._made:
                self._made[owner] = _new(owner)
            return self._made[owner]


class Method:
    """A function in the body of a class, with a note to be told of the class; the class then has the function itself."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.owner: type[Any] | None = None
        self.name = _plain(function).__name__
        functools.update_wrapper(self, _plain(function))

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.owner, self.name = owner, name
        if isinstance(self.function, Method):  # two registrations above one method
            self.function.__set_name__(owner, name)
        setattr(owner, name, _unwrapped(self.function))

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Any:
        """As the function itself would: another decorator may have kept this from its class."""
        return _unwrapped(self.function).__get__(instance, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As the function itself would be called."""
        return _unwrapped(self.function)(*args, **kwargs)

    @property
    def has_self(self) -> bool:
        """Whether its first parameter is known to be the instance or the class: its name says so."""
        found = inspect.isfunction(self.function) and next(iter(inspect.signature(self.function).parameters), None)
        return found in {"self", "cls"}

    def bound(self, instances: Instances) -> Callable[..., Any]:
        """The method of the class's one instance.

        Raises: FixConfig where no class can be found, or its constructor wants arguments, or raised.
        """
        owner = self._owner()
        found: Callable[..., Any] = getattr(instances.of(owner) if self._wants_instance(owner) else owner, self.name)
        return found

    def unbound(self) -> Callable[..., Any]:
        """What takes what the method of an instance does, though none is made.

        Raises: as `bound`.
        """
        owner = self._owner()
        found: Callable[..., Any] = getattr(owner, self.name)
        if not self._wants_instance(owner):
            return found
        _refuse_unmakable(owner)
        return functools.partial(found, None)

    def _owner(self) -> type[Any]:
        owner = self.owner or _class_of(_plain(self.function))
        if owner is None:
            hint = "Give add_handler(instance.method, event) instead."
            raise FixConfig(_DOING, f"the class of {_plain(self.function).__qualname__} cannot be found", hint=hint)
        return owner

    def _wants_instance(self, owner: type[Any]) -> bool:
        return not isinstance(inspect.getattr_static(owner, self.name), (staticmethod, classmethod))


INSTANCES = Instances()
"""Those of this process: handlers of several registries have the same one."""


def in_class_body(frame: FrameType | None) -> bool:
    """Whether the body of a class is being run there: what is registered from it is a method, whatever it is called."""
    return frame is not None and {"__module__", "__qualname__"} <= set(frame.f_locals)


def is_method(function: object) -> bool:
    """Whether a function stands in the body of a class, and is not bound to an instance."""
    if isinstance(function, (staticmethod, classmethod, Method)):
        return True
    if not inspect.isfunction(function):
        return False
    place = function.__qualname__.rpartition(".")[0]
    return bool(place) and not place.endswith("<locals>")


def _new(owner: type[Any]) -> Any:
    _refuse_unmakable(owner)
    try:
        return owner()
    except HaloclineError:
        raise
    except (Exception, SystemExit) as error:  # a user's constructor may raise anything
        at = "".join(f" ({place})" for place in places(error)[:1])
        cause = f"the constructor of {owner.__qualname__} raised {type(error).__name__}: {error}{at}"
        raise FixConfig(_PREPARING, cause, hint="Its one instance is made before the first message.") from error


def _refuse_unmakable(owner: type[Any]) -> None:
    """Raises: FixConfig for a class of which no instance can be made without arguments."""
    if inspect.isabstract(owner):
        hint = "Register the methods of its subclasses: add_handler(instance.method, event)."
        raise FixConfig(_DOING, f"{owner.__qualname__} is abstract, and has no instances", hint=hint)
    try:
        inspect.signature(owner).bind()
    except TypeError as error:
        hint = "Register its methods as add_handler(instance.method, event)."
        raise FixConfig(_DOING, f"the constructor of {owner.__qualname__} wants arguments ({error})", hint=hint) from error
    except ValueError:
        pass  # a class that is not written in Python tells nothing of its constructor; it is tried


def _unwrapped(function: Any) -> Any:
    while isinstance(function, Method):
        function = function.function
    return function


def _plain(function: Any) -> Any:
    """The function within static methods, class methods and our own note."""
    while isinstance(function, (staticmethod, classmethod, Method)):
        function = function.function if isinstance(function, Method) else function.__func__
    return function


def _class_of(function: Any) -> type[Any] | None:
    """The class that a function's own name leads to, from the names of its module."""
    found: Any = None
    for number, name in enumerate(function.__qualname__.split(".")[:-1]):
        found = function.__globals__.get(name) if number == 0 else getattr(found, name, None)
    return found if isinstance(found, type) else None
