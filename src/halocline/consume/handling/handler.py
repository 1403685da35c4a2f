"""Handler: a function that is called for messages, and what it is called with."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from halocline.consume.handling.context import Context
from halocline.consume.handling.message import Message
from halocline.consume.handling.methods import INSTANCES, Method, is_method
from halocline.consume.handling.parameters import Parameters, refuse_generator, refuse_without_parameters
from halocline.errors import FixConfig


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

        Raises: FixConfig for a method whose class has no constructor without arguments; ValueError for parameters that no message
        has; what the constructor raised.
        """
        if self._ready is None:
            function = self._source.bound(INSTANCES) if isinstance(self._source, Method) else self._source
            try:
                self._ready = function, Parameters.of(function)
            except NameError as error:
                hint = "Annotate with a class that stands in the module, not in a function."
                raise FixConfig(f"Preparing the handler {self.name}", str(error), hint=hint) from error
        return self._ready

    @property
    def is_async(self) -> bool:
        """Whether a call returns something to await."""
        function, _ = self._ready or (inspect.unwrap(self._source), None)
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004

    def call(self, message: Message, context: Context) -> object | Awaitable[object]:
        """What the function returns: to await, where it is an async one."""
        function, parameters = self._ready or self.prepare()
        answer: object = parameters.call(function, message, context=context)
        return answer

    def __repr__(self) -> str:
        return f"Handler({self.name})"
