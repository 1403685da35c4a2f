"""Laws of handlers: which function a message goes to, what it is given, and what becomes of its errors."""

from __future__ import annotations

import abc
import asyncio
import functools
import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
import pydantic
import pytest

from halocline import Handlers
from halocline.consume.flight.orders import Then
from halocline.consume.handling.context import Context
from halocline.consume.handling.handlers import UNREADABLE_TRIES, UnknownEvent, digest_of, payload_of
from halocline.consume.handling.message import Message, delivery_of
from halocline.consume.work.attempt import Attempts, End
from halocline.errors import AlreadyApplied, BadMessage, FixConfig, LeaseLost, RetryLater, Unreadable
from halocline.idempotency import Claim, State
from halocline.queues import Delivery

if TYPE_CHECKING:
    from halocline.consume.handling.message import Message as OnlyForTypeCheckers

HERE = Context(message_id="m", queue="users")


def delivery(event: str | None = None, body: str = '{"id": 17}', *, key: str = "iniesta_pass", **more: Any) -> Delivery:
    return Delivery("h", body, "m", attributes={} if event is None else {key: event}, **more)


def name_of(handlers: Handlers, event: str | None) -> str:
    return handlers.route(handlers.message(delivery(event))).name.rpartition(".")[2]


@dataclass(frozen=True)
class Order:
    id: int


class OrderModel(pydantic.BaseModel):
    id: int


class OrderStruct(msgspec.Struct):
    id: int


# ---- which handler


def named(name: str) -> Any:
    def function(message: Message) -> str:
        return f"{name} {message.event}"

    function.__qualname__ = name
    return function


@pytest.fixture
def routes() -> Handlers:
    handlers = Handlers()
    for name, event in {"exact": "Order.placed", "prefix": "Order.*", "longer": "Order.paid.*", "default": None}.items():
        handlers.add_handler(named(name), event)
    handlers.add_handler(named("several"), ["A.b", "A.c"])
    return handlers


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ("Order.placed", "exact"),
        ("Order.shipped", "prefix"),
        ("Order.paid.late", "longer"),
        ("Order.paid", "prefix"),
        ("Order.", "prefix"),
        ("A.b", "several"),
        ("A.c", "several"),
        ("A.d", "default"),
        ("order.placed", "default"),
        ("", "default"),
        (None, "default"),
    ],
)
def test_the_nearest_handler_is_called(routes: Handlers, event: str | None, name: str) -> None:
    """The event's own, else that of the longest beginning, else the default one."""
    assert name_of(routes, event) == name


def test_an_event_without_a_handler_is_a_key_error() -> None:
    """It says which event, and what is handled."""
    handlers = Handlers()
    handlers.add_handler(named("one"), "A.b")
    for event, told in (("A.x", "nobody handles the event 'A.x'"), (None, "it has no attribute 'iniesta_pass'")):
        with pytest.raises(KeyError) as caught:
            handlers.run(delivery(event), HERE)
        assert told in str(caught.value)
        assert "handled are A.b" in str(caught.value)


def test_two_registries_share_nothing() -> None:
    """An event of one is unknown to the other, and may be registered with it too."""
    one, other = Handlers(), Handlers()
    one.add_handler(named("one"), "A.b")
    with pytest.raises(UnknownEvent):
        other.run(delivery("A.b"), HERE)
    other.add_handler(named("other"), "A.b")
    assert (name_of(one, "A.b"), name_of(other, "A.b")) == ("one", "other")


@pytest.mark.parametrize("event", ["A.b", ["A.x", "A.b"], None, "A.*"])
def test_an_event_has_one_handler(event: Any) -> None:
    """A second one is refused, naming the first; nothing of a refused list is registered."""
    handlers = Handlers()
    for one in ("A.b", "A.*", None):
        handlers.add_handler(named("first"), one)
    with pytest.raises(ValueError, match=r"first handles .* already"):
        handlers.add_handler(named("second"), event)
    assert handlers.events == ("A.b", "A.*")


@pytest.mark.parametrize("event", ["", "*", "A.*.b", [], ["A.b", ""], [None], [7], "*.b", 5, object()])
def test_what_is_no_event_is_refused(event: Any) -> None:
    """At registration, not when a message comes."""
    with pytest.raises(ValueError, match=r"is no event|no events"):
        Handlers().add_handler(named("one"), event)


@pytest.mark.parametrize(
    "attributes",
    [
        {"iniesta_pass": "A.b"},
        {"iniesta_pass": {"DataType": "String", "StringValue": "A.b"}},
        {"iniesta_pass": {"dataType": "String", "stringValue": "A.b"}},
        {"iniesta_pass": {"Type": "String", "Value": "A.b"}},
    ],
)
def test_an_attribute_is_read_in_every_spelling(attributes: dict[str, object]) -> None:
    """Flat as the document shows it, and as SQS, Lambda and SNS write it; from boto3's names and from Lambda's."""
    handlers = Handlers()
    for told in (
        {"Body": "{}", "MessageId": "m", "MessageAttributes": attributes},
        {"body": "{}", "messageId": "m", "messageAttributes": attributes},
    ):
        assert handlers.message(delivery_of(told)).event == "A.b"


def test_the_key_of_the_event_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """INIESTA_SNS_EVENT_KEY, or what the registry is given; `iniesta_pass` without either."""
    assert Handlers().event_key == "iniesta_pass"
    monkeypatch.setenv("INIESTA_SNS_EVENT_KEY", "kind")
    handlers, own = Handlers(), Handlers(event_key="type")
    assert handlers.message(delivery("A.b", key="kind")).event == "A.b"
    assert own.message(delivery("A.b", key="type")).event == "A.b"
    assert own.message(delivery("A.b", key="kind")).event == ""


def test_the_filter_policy_is_what_is_handled(routes: Handlers) -> None:
    """Events, and prefixes as SNS writes them; nothing is filtered where there is a default handler."""
    assert routes.filters() == {}
    handlers = Handlers(event_key="kind")
    handlers.add_handler(named("one"), ["B.b", "A.*"])
    assert handlers.filters() == {"kind": [{"prefix": "A."}, "B.b"]}


# ---- what a handler is given


def test_a_handler_is_given_what_its_parameters_ask_for() -> None:
    """By annotation first, then by name; what it does not know keeps its default."""
    handlers, got = Handlers(), {}

    @handlers.handler("A.b")
    def all_of_them(
        first: Any, order: Order, about: Context, event: str, attributes: Any, body: str, *, message: Message, more: int = 5
    ) -> None:
        said = {"order": order, "about": about, "event": event, "attributes": attributes, "body": body, "more": more}
        got.update(said, first=first, message=message)

    handlers.run(delivery("A.b"), HERE)
    message = got.pop("message")
    assert (got.pop("first"), message.event) == (message, "A.b")
    assert got == {
        "order": Order(17),
        "about": replace(HERE, key="users/m"),
        "event": "A.b",
        "attributes": {"iniesta_pass": "A.b"},
        "body": '{"id": 17}',
        "more": 5,
    }


@pytest.mark.parametrize(("model", "made"), [(OrderModel, OrderModel(id=17)), (OrderStruct, OrderStruct(17)), (Order, Order(17))])
def test_a_body_comes_as_the_model_that_is_asked_for(model: Any, made: Any) -> None:
    """pydantic, msgspec and dataclasses; `dict` and `str` too. An annotation counts more than a name."""
    handlers, got = Handlers(), []

    def typed(message: Any) -> None:
        got.append(message)

    typed.__annotations__["message"] = model
    handlers.add_handler(typed, "A.b")
    handlers.run(delivery("A.b"), HERE)
    assert got == [made]


class ByCall:
    def __call__(self, message: Any) -> str:
        return str(message.event)


def only_star(*args: Any) -> str:
    return str(args[0].event)


def only_names(**kwargs: Any) -> str:
    return str(kwargs["message"].event)


def with_default(found: Any = None, other: int = 3) -> str:
    return f"{found.event}"


def for_checkers(message: OnlyForTypeCheckers) -> str:
    return message.event


def partly(start: str, message: Any) -> str:
    return start + str(message.event)


@functools.wraps(for_checkers)
def wrapped(*args: Any, **kwargs: Any) -> str:
    return for_checkers(*args, **kwargs)


@pytest.mark.parametrize(
    "function",
    [ByCall(), ByCall().__call__, only_star, only_names, with_default, for_checkers, functools.partial(partly, ""), wrapped],
    ids=["object", "bound", "star", "names", "default", "checkers", "partial", "wrapped"],
)
def test_every_kind_of_callable_is_called_with_the_message(function: Any) -> None:
    """Objects, bound methods, partials, wrappers, `*args`, `**kwargs`, defaults, annotations that only type checkers know."""
    handlers = Handlers()
    handlers.add_handler(function, "A.b")
    assert handlers.call(handlers.message(delivery("A.b")), HERE) == "A.b"


def given(function: Any, body: str = '{"id": 17}') -> Any:
    """What a function that returns what it is given was given."""
    handlers = Handlers()
    handlers.add_handler(function, "A.b")
    return handlers.call(handlers.message(delivery("A.b", body)), HERE)


def test_a_name_counts_more_than_a_plain_type() -> None:
    """Attributes are attributes, also as a `dict`; a body that is to be a text is the text, also where it is JSON."""

    def attributes_dict(attributes: dict[str, str]) -> object:
        return attributes

    def attributes_mapping(message: Any, attributes: Mapping[str, Any]) -> object:
        return attributes

    def text(body: str) -> object:
        return body

    def parsed(body: dict[str, int]) -> object:
        return body

    assert given(attributes_dict) == given(attributes_mapping) == {"iniesta_pass": "A.b"}
    assert (given(text), given(parsed)) == ('{"id": 17}', {"id": 17})
    with pytest.raises(Unreadable, match="its body is no dict"):
        given(parsed, "[]")


def context_dict(message: Any, context: dict[str, Any]) -> None:
    """No context is a dict."""


def event_dict(event: dict[str, Any]) -> None:
    """An event is a name."""


def attributes_list(message: Any, attributes: list[str]) -> None:
    """Attributes have names."""


def message_number(message: int) -> None:
    """No message is a number."""


@pytest.mark.parametrize("function", [context_dict, event_dict, attributes_list, message_number])
def test_a_name_that_its_annotation_contradicts_is_refused(function: Any) -> None:
    """At registration, with what to do."""
    with pytest.raises(ValueError, match="leave the annotation out"):
        Handlers().add_handler(function, "A.b")


def no_parameters() -> None:
    """Cannot receive anything."""


def a_generator(message: Any) -> Any:
    yield message


async def an_async_generator(message: Any) -> Any:
    yield message


def wants_more(message: Any, database: Any) -> None:
    """Wants what no message has."""


def wants_a_number(number: int) -> None:
    """Wants what no body is."""


class Yields:
    def __call__(self, message: Any) -> Any:
        yield message


class YieldsLater:
    async def __call__(self, message: Any) -> Any:
        yield message


class Typed(TypedDict):
    id: int


def wants_a_typed_dict(order: Typed) -> None:
    """A body is read as one of few kinds."""


def wants_perhaps(order: Order | None) -> None:
    """Likewise."""


def wants_typed_dicts(order: list[Typed]) -> None:
    """Nobody would look at what is in the list."""


NOT_CALLED = [
    no_parameters,
    a_generator,
    an_async_generator,
    wants_more,
    wants_a_number,
    Yields(),
    YieldsLater(),
    functools.partial(Yields()),
]
NOT_CALLED += [wants_a_typed_dict, wants_perhaps, wants_typed_dicts]


@pytest.mark.parametrize("function", NOT_CALLED)
def test_a_function_that_cannot_receive_a_message_is_refused(function: Any) -> None:
    """At registration; a generator too, as calling it would run nothing of it."""
    handlers = Handlers()
    with pytest.raises(
        ValueError, match=r"takes no message|is a generator|which no message has|list\[.*Typed\]: .*no form in JSON"
    ):
        handlers.add_handler(function, "A.b")
    assert handlers.events == ()


def test_an_annotation_that_no_body_is_read_as_is_named() -> None:
    """It is the matter, and not the parameter's name."""
    with pytest.raises(ValueError, match=r"wants 'order' as .*Typed, which no message has: .*a dataclass"):
        Handlers().add_handler(wants_a_typed_dict, "A.b")


def hides(function: Any) -> Any:
    """A decorator without `functools.wraps`."""

    def called(message: Any) -> Any:
        return function(message)

    return called


def hides_later(function: Any) -> Any:
    async def called(message: Any) -> Any:
        return function(message)

    return called


@pytest.mark.parametrize("hiding", [hides, hides_later])
@pytest.mark.parametrize("function", [a_generator, an_async_generator])
def test_a_generator_that_was_hidden_is_not_done(function: Any, hiding: Any) -> None:
    """Its message fails, by whichever way it is handled: nothing of the function was run."""
    handlers = Handlers()
    handlers.add_handler(hiding(function), "A.b")
    message = handlers.message(delivery("A.b"))
    with pytest.raises(FixConfig, match=r"^Calling the handler .*called: it returned a generator"):
        handlers.call(message, HERE)
    with pytest.raises(FixConfig, match="a generator"):
        asyncio.run(handlers.call_async(message, HERE))
    alone = Attempts(handlers, queue="users", store=None)
    for found in (alone.attempt(delivery("A.b")), asyncio.run(alone.attempt_async(delivery("A.b")))):
        assert (found.end, type(found.error)) == (End.AGAIN, FixConfig)


def orders_of(orders: list[Order]) -> object:
    return orders


def models_of(orders: dict[str, list[OrderModel]]) -> object:
    return orders


def structs_of(orders: list[OrderStruct]) -> object:
    return orders


def counts_of(counts: dict[str, int]) -> object:
    return counts


def anything_in(orders: dict[str, Any]) -> object:
    return orders


@pytest.mark.parametrize(
    ("function", "body", "made", "bad"),
    [
        (orders_of, '[{"id": 17}]', [Order(17)], '[{"id": "bad"}]'),
        (models_of, '{"a": [{"id": 17}]}', {"a": [OrderModel(id=17)]}, '{"a": [{"id": "bad"}]}'),
        (structs_of, '[{"id": 17}]', [OrderStruct(17)], '[{"id": "bad"}]'),
        (counts_of, '{"a": 1}', {"a": 1}, '{"a": "bad"}'),
        (anything_in, '{"a": [1, null]}', {"a": [1, None]}, "[]"),
    ],
)
def test_what_is_in_a_list_or_a_dict_comes_as_the_annotation_says(function: Any, body: str, made: object, bad: str) -> None:
    """As a model itself does; what does not fit is told."""
    assert given(function, body) == made
    with pytest.raises(Unreadable, match=r"its body is no (list|dict)\["):
        given(function, bad)


def test_a_body_that_does_not_fit_is_told_with_its_place() -> None:
    """Which message, which model, what was wrong."""
    handlers = Handlers()
    handlers.add_handler(lambda order: order.id, "A.a")

    @handlers.handler("A.b")
    def typed(order: Order) -> None:
        raise AssertionError("it was called")

    with pytest.raises(Unreadable, match=r"Reading the message m of users: its body is no Order \(ValueError: id: it is missing"):
        handlers.run(delivery("A.b", "{}"), HERE)


def test_a_validator_that_would_end_the_process_says_that_the_body_is_none() -> None:
    """As any other error of it."""

    class Ending(pydantic.BaseModel):
        @pydantic.model_validator(mode="before")
        @classmethod
        def ends(cls, value: object) -> object:
            return sys.exit(0)

    with pytest.raises(Unreadable, match=r"its body is no Ending \(SystemExit: 0\)"):
        Handlers().message(delivery("A.b"), "users").payload(Ending)


def test_a_body_that_could_not_be_fetched_reaches_no_handler() -> None:
    """What is there in its place is not the message, whatever the handler asks for; no key is made of it either."""
    handlers = Handlers(key=lambda message: message.raw_body)
    handlers.add_handler(lambda message: message.raw_body)
    lost = Delivery("h", "pointer", "m", attributes={"iniesta_pass": "A.b"}, failure="the object is gone")
    with pytest.raises(Unreadable, match="the object is gone"):
        handlers.run(lost, HERE)
    with pytest.raises(Unreadable, match="the object is gone"):
        asyncio.run(handlers.run_async(lost, HERE))
    assert isinstance(handlers.arrival(lost, "users").error, Unreadable)


def test_a_body_is_decoded_once_and_what_is_no_json_is_a_text() -> None:
    """The same object each time."""
    handlers = Handlers()
    message = handlers.message(delivery("A.b"))
    assert message.body is message.body
    assert (message.body, message.raw_body) == ({"id": 17}, '{"id": 17}')
    assert [handlers.message(delivery(None, text)).body for text in ("no JSON", "[" * 100_000)] == ["no JSON", "[" * 100_000]


def test_a_message_goes_by_the_names_of_iniesta_too() -> None:
    """Those of its SQSMessage, whose attributes are as they travelled: the text of a number, to the last digit."""
    told = {
        "MessageId": "m-1",
        "ReceiptHandle": "h-1",
        "MD5OfBody": "9dd4e461268c8034f5c8564e155c67a6",
        "Body": "x",
        "MessageAttributes": {
            "iniesta_pass": {"DataType": "String", "StringValue": "A.b"},
            "version": {"DataType": "Number", "StringValue": "1"},
            "price": {"DataType": "Number", "StringValue": "1.50"},
            "file": {"DataType": "Binary", "BinaryValue": b"\x00"},
        },
    }
    message = Message.of(delivery_of(told))
    assert (message.message_id, message.receipt_handle, message.md5_of_body) == ("m-1", "h-1", told["MD5OfBody"])
    assert message.message_attributes == {"iniesta_pass": "A.b", "version": "1", "price": "1.50", "file": b"\x00"}
    wrapped = {"Type": "Notification", "TopicArn": "arn:aws:sns:::t", "MessageId": "n", "Message": "x"}
    attributes = {"price": {"Type": "Number", "Value": "2"}}
    both = Message.of(delivery_of({**told, "Body": json.dumps({**wrapped, "MessageAttributes": attributes})}))
    assert both.message_attributes["price"] == "2"


def test_what_is_no_message_of_a_queue_is_refused() -> None:
    """Without a body that is a text there is nothing to handle; odd counts do not matter."""
    for told in ({}, {"Body": 7}, [], None, "text"):
        with pytest.raises(Unreadable):
            delivery_of(told)
    found = delivery_of(
        {"body": "x", "attributes": {"ApproximateReceiveCount": "4", "SentTimestamp": "no", "MessageGroupId": "g"}}
    )
    assert (found.receives, found.sent_ms, found.group) == (4, 0, "g")


# ---- methods


class Counted:
    """A class whose methods are handlers, and its registry."""

    made = 0
    handlers = Handlers()

    def __init__(self) -> None:
        type(self).made += 1
        self.events: list[str] = []

    @handlers.handler("A.b")
    def one(self, message: Message) -> int:
        self.events.append(message.event)
        return len(self.events)

    @handlers.handler("A.async")
    async def two(self, order: Order) -> int:
        self.events.append(str(order))
        return len(self.events)

    @handlers.handler("A.static")
    @staticmethod
    def three(message: Message) -> str:
        return f"static {message.event}"

    @staticmethod
    @handlers.handler("A.static2")
    def four(anything: Any) -> str:
        return f"static {anything.event}"

    @classmethod
    @handlers.handler("A.class")
    def five(cls, message: Message) -> str:
        return f"{cls.__name__} {message.event}"

    @handlers.handler("A.c")
    @handlers.handler(["A.d", "A.e"])
    def six(self, message: Message) -> str:
        return f"six {message.event}"


def test_methods_are_called_on_one_instance() -> None:
    """It is made when the worker starts; all its methods have the same one, and the class itself is as it was written."""
    handlers = Counted.handlers
    handlers.prepare()
    assert Counted.made == 1
    told = [handlers.call(handlers.message(delivery(event)), HERE) for event in ("A.b", "A.async", "A.b")]
    assert told == [1, 2, 3]
    rest = [handlers.call(handlers.message(delivery(one)), HERE) for one in ("A.static", "A.static2", "A.class", "A.c", "A.e")]
    assert rest == ["static A.static", "static A.static2", "Counted A.class", "six A.c", "six A.e"]
    assert Counted.made == 1
    assert [handlers.is_async(delivery(one)) for one in ("A.b", "A.async")] == [False, True]
    mine, message = Counted(), handlers.message(delivery("x"))
    assert (mine.one(message), mine.events, Counted.three(message)) == (1, ["x"], "static x")


def test_handlers_of_two_registries_are_called_on_one_instance() -> None:
    """A class has one for the process: what its constructor opens is opened once."""
    one, other = Handlers(), Handlers()

    class Shared:
        @one.handler("A.b")
        def first(self, message: Message) -> object:
            return self

        @other.handler("A.b")
        def second(self, message: Message) -> object:
            return self

    told = [handlers.call(handlers.message(delivery("A.b")), HERE) for handlers in (one, other)]
    assert told[0] is told[1]
    assert isinstance(told[0], Shared)


def unnamed(function: Any) -> Any:
    def inner(*args: Any) -> Any:
        return "inner", function(*args)

    return inner


def test_a_method_is_one_whatever_its_decorator_made_of_it() -> None:
    """One without functools.wraps has the name of a plain function; where it is registered says what it is."""
    handlers = Handlers()

    class Odd:
        @handlers.handler("A.b")
        @unnamed
        def one(self, message: Message) -> object:
            return type(self).__name__, message.event

        @handlers.handler
        @unnamed
        def two(self, message: Message) -> object:
            return type(self).__name__, message.event

    told = [handlers.call(handlers.message(delivery(event)), HERE) for event in ("A.b", "A.c")]
    assert told == [("inner", ("Odd", "A.b")), ("inner", ("Odd", "A.c"))]


def test_a_method_that_wants_what_no_message_has_is_refused() -> None:
    """At registration; one whose first parameter has another name, before the first message."""
    handlers = Handlers()
    with pytest.raises(ValueError, match=r"Refused\.one wants 'database', which no message has"):

        class Refused:
            @handlers.handler("A.b")
            def one(self, message: Message, database: Any) -> None:
                raise AssertionError("it was called")

    class Later:
        @handlers.handler("A.b")
        def one(this, message: Message, database: Any) -> None:
            raise AssertionError("it was called")

    with pytest.raises(FixConfig, match="wants 'database', which no message has"):
        handlers.prepare()


def test_a_method_of_an_instance_is_called_on_it() -> None:
    """`add_handler(obj.method, event)`: no other instance is made."""

    class Needs:
        def __init__(self, start: int) -> None:
            self.total = start

        def add(self, message: Message) -> None:
            self.total += message.body["id"]

    handlers, one = Handlers(), Needs(100)
    handlers.add_handler(one.add, "A.b")
    handlers.run(delivery("A.b"), HERE)
    assert one.total == 117


def test_a_class_that_wants_arguments_is_told_before_the_first_message() -> None:
    """With what to write instead."""
    handlers = Handlers()

    class Needs:
        def __init__(self, start: int) -> None:
            self.start = start

        @handlers.handler("A.b")
        def handle(self, message: Message) -> None:
            raise AssertionError("it was called")

    with pytest.raises(FixConfig, match=r"add_handler\(instance.method, event\)"):
        handlers.prepare()


@pytest.mark.parametrize("error", [RuntimeError("cannot connect to db"), SystemExit(0)])
def test_a_constructor_that_raises_is_told_with_its_place(error: BaseException) -> None:
    """As the import of a module that fails; an error of ours says itself what to do."""
    handlers = Handlers()

    class Connects:
        def __init__(self) -> None:
            raise error

        @handlers.handler("A.b")
        def handle(self, message: Message) -> None:
            raise AssertionError("it was called")

    with pytest.raises(
        FixConfig, match=rf"the constructor of .*{Connects.__name__} raised {type(error).__name__}: {error} \(.*py:\d+ __init__\)"
    ):
        handlers.prepare()
    error = RetryLater("Connecting", "it is away")
    with pytest.raises(RetryLater, match="it is away"):
        handlers.prepare()


def test_an_abstract_class_is_told_before_the_first_message() -> None:
    """It has no instance to call."""
    handlers = Handlers()

    class Base(abc.ABC):
        @handlers.handler("A.b")
        @abc.abstractmethod
        def handle(self, message: Message) -> None:
            """Is for subclasses."""

    with pytest.raises(FixConfig, match=f"{Base.__name__} is abstract"):
        handlers.prepare()


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def inner(*args: Any) -> Any:
        return "inner", function(*args)

    return inner


class Wrapped:
    """Other decorators above the registration, and below it; private names; slots."""

    handlers = Handlers()
    __slots__ = ("x",)

    @decorated
    @handlers.handler("A.above")
    def above(self, message: Message) -> str:
        return message.event

    @handlers.handler("A.below")
    @decorated
    def below(self, message: Message) -> str:
        return message.event

    @handlers.handler("A.private")
    def __private(self, message: Message) -> str:
        return message.event


def test_a_method_with_other_decorators_is_called_with_them() -> None:
    """As the class has it in the end."""
    handlers = Wrapped.handlers
    told = [handlers.call(handlers.message(delivery(event)), HERE) for event in handlers.events]
    assert told == [("inner", "A.above"), ("inner", "A.below"), "A.private"]


def test_a_function_of_a_class_that_nobody_finds_is_told() -> None:
    """`add_handler(Class.method)` where the class stands in a function."""

    class Hidden:
        def handle(self, message: Message) -> None:
            raise AssertionError("it was called")

    handlers = Handlers()
    handlers.add_handler(Hidden.handle, "A.b")
    with pytest.raises(FixConfig, match=r"the class of .*Hidden\.handle cannot be found"):
        handlers.prepare()
    assert Plain.add() == "plain A.b"


class Plain:
    def handle(self, message: Message) -> str:
        return f"plain {message.event}"

    @classmethod
    def add(cls) -> object:
        handlers = Handlers()
        handlers.add_handler(cls.handle, "A.b")
        return handlers.call(handlers.message(delivery("A.b")), HERE)


# ---- sync and async


def test_async_handlers_are_awaited_wherever_they_run() -> None:
    """By `run` on a loop of their own, by `run_async` on the running one; a function that returns something to await, too."""
    handlers, threads = Handlers(), []

    @handlers.handler("A.async")
    async def coroutine(message: Message) -> str:
        threads.append(threading.current_thread())
        await asyncio.sleep(0)
        return message.event

    @handlers.handler("A.sync")
    def plain(message: Message) -> str:
        threads.append(threading.current_thread())
        return message.event

    @handlers.handler("A.hidden")
    def hidden(message: Message) -> Any:
        return coroutine(message)

    async def both() -> list[str]:
        return [await handlers.run_async(delivery(one), HERE) for one in ("A.async", "A.sync", "A.hidden")]

    here = [handlers.run(delivery(one), HERE) for one in ("A.async", "A.sync", "A.hidden")]
    assert here == asyncio.run(both())
    main = threading.main_thread()
    assert [one is main for one in threads] == [True, True, True, True, False, True]
    assert [handlers.is_async(delivery(one)) for one in ("A.async", "A.sync", "A.none")] == [True, False, False]


def test_an_async_handler_is_not_run_within_another_loop() -> None:
    """It is told what to await; the handler is not begun."""
    handlers = Handlers()

    @handlers.handler
    async def coroutine(message: Message) -> None:
        raise AssertionError("it was called")

    async def within() -> None:
        handlers.run(delivery("A.b"), HERE)

    with pytest.raises(FixConfig, match=r"Await it: handlers\.run_async"):
        asyncio.run(within())


# ---- what is remembered


def test_a_message_is_remembered_by_queue_and_id_or_by_a_key_of_the_users() -> None:
    """A key function that fails, or makes no text, is an error of that message."""
    assert Handlers().arrival(delivery("A.b", group="g"), "users") == Handlers().arrival(delivery("A.b", group="g"), "users")
    plain = Handlers().arrival(delivery("A.b", group="g"), "users")
    assert (plain.key, plain.payload, plain.group, plain.error) == ("users/m", "", "g", None)
    by_id = Handlers(key=lambda message: f"order-{message.body['id']}", compare=lambda message: message.body)
    found = by_id.arrival(delivery("A.b"), "users")
    assert (found.key, found.payload) == ("users/order-17", payload_of({"id": 17}))
    assert isinstance(by_id.arrival(delivery("A.b", "[]"), "users").error, TypeError)
    ends = Handlers(key=lambda message: sys.exit(0))
    assert isinstance(ends.arrival(delivery("A.b"), "users").error, SystemExit)
    assert isinstance(Handlers(key=lambda message: message.body).arrival(delivery("A.b"), "users").error, Unreadable)
    assert isinstance(Handlers().arrival(Delivery("h", "{}"), "users").error, Unreadable)


async def later(message: Any) -> str:
    return str(message.id)


class Later:
    async def __call__(self, message: Any) -> str:
        return str(message.id)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"key": "id"}, "key is str, no function.*lambda"),
        ({"key": later}, "the key function is async"),
        ({"compare": Later()}, "the compare function is async"),
        ({"compare": 5}, "compare is int, no function"),
        ({"event_key": 5}, "event_key is 5, no name of an attribute"),
        ({"event_key": ""}, "event_key is ''"),
    ],
)
def test_what_no_message_could_be_known_by_is_refused(given: Any, says: str) -> None:
    """When handlers are made: else every message would be set aside after some tries."""
    with pytest.raises(FixConfig, match=f"^Making handlers: {says}"):
        Handlers(**given)


def test_what_a_key_stands_for_is_compared_or_refused() -> None:
    """Nothing is a value too; a set has no order; what cannot be compared is an error of its message, not equal to all else."""
    assert payload_of({"b", "a", "c"}) == payload_of(frozenset("cab")) != payload_of({"a", "b"})
    assert len({payload_of(one) for one in (None, 0, "", [], {})}) == 5
    assert payload_of(OrderModel(id=1)) == payload_of(Order(1)) == payload_of({"id": 1})
    for odd in (object(), {1: 2, "a": 3}, [object()]):
        found = Handlers(compare=lambda message, odd=odd: odd).arrival(delivery("A.b"), "users")
        assert isinstance(found.error, Unreadable)
        assert "cannot be compared" in str(found.error)


def test_equal_results_have_equal_hashes() -> None:
    """In whatever order a dict was made; nothing, and what cannot be written, has none: no message that was done fails by it."""
    assert digest_of({"a": 1, "b": Order(2)}) == digest_of({"b": Order(2), "a": 1})
    assert digest_of(OrderModel(id=1)) == digest_of({"id": 1}) != digest_of({"id": 2})
    endless: list[Any] = []
    endless.append(endless)
    assert [digest_of(one) for one in (None, object(), endless, {1: 2, "a": 3})] == [""] * 4
    assert len(digest_of(0)) == 32


# ---- errors


@pytest.mark.parametrize(
    ("unknown", "then"),
    [("set_aside", Then.BURY), ("bury", Then.BURY), ("ignore", Then.IGNORE), ("leave", Then.LEAVE), ("error", Then.RETRY)],
)
def test_the_policy_says_what_becomes_of_unknown_events(unknown: str, then: Then) -> None:
    """Set aside by default."""
    assert Handlers(unknown=unknown).then(UnknownEvent("", ""), delivery()) is then
    assert Handlers().then(UnknownEvent("", ""), delivery()) is Then.BURY


def test_an_unknown_policy_is_refused() -> None:
    """When it is said, not when the first message comes."""
    with pytest.raises(ValueError, match="drop"):
        Handlers(unknown="drop")


@pytest.mark.parametrize(
    ("error", "receives", "then"),
    [
        (ValueError(), 9, Then.RETRY),
        (RetryLater("", ""), 9, Then.RETRY),
        (BadMessage("", ""), 1, Then.BURY),
        (Unreadable("", ""), 1, Then.RETRY),
        (Unreadable("", ""), UNREADABLE_TRIES, Then.BURY),
        (LeaseLost("", ""), 1, Then.LEAVE),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else str(one),
)
def test_an_error_says_what_becomes_of_its_message(error: Exception, receives: int, then: Then) -> None:
    """Again, set aside at once or after some tries, or left to whoever has it now."""
    assert Handlers().then(error, delivery(receives=receives)) is then


# ---- the context


def test_a_context_tells_of_the_claim() -> None:
    """Fence, failures and deaths before; in doubt when a run before ended without a word."""
    claim = Claim("users/m", State.OURS, fence=7, attempts=2, deaths=1)
    context = Context.of(delivery(receives=4), claim, queue="users", key="users/m", deadline=float("inf"))
    assert (context.fence, context.attempts, context.receives, context.in_doubt, context.left_s) == (7, 2, 4, True, float("inf"))
    bare = Context.of(delivery())
    assert (bare.fence, bare.in_doubt, bare.left_s, bare.message_id) == (0, False, None, "m")


def test_a_lost_lease_is_told_in_every_way() -> None:
    """An event to wait for, a call to be made, an error to be raised; asked for before or after. The first reason stays."""
    context, told = Context(message_id="m"), []
    context.check()
    context.lease.on_lost(lambda: told.append("before"))
    lost = context.lease.lost
    assert not lost.is_set()
    context.lease.lose("taken over")
    context.lease.lose("another")
    context.lease.on_lost(lambda: told.append("after"))
    assert (lost.is_set(), told, context.lease.reason) == (True, ["before", "after"], "taken over")
    with pytest.raises(LeaseLost, match="taken over"):
        context.check()
    late = Context()
    late.lease.lose("")
    assert late.lease.lost.is_set()


def test_a_log_line_says_which_message_and_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """Queue, id and key are fields of the record."""
    with caplog.at_level("INFO"):
        Context(message_id="m", queue="users", key="users/m").logger.info("done")
    (record,) = caplog.records
    assert (record.queue, record.message_id, record.message_key) == ("users", "m", "users/m")  # type: ignore[attr-defined]


def test_an_effect_that_is_there_is_an_error_that_passes() -> None:
    """`run` lets AlreadyApplied through: who counts messages takes it for done."""
    handlers = Handlers()

    @handlers.handler
    def applied(message: Message) -> None:
        raise AlreadyApplied("Handling", "it is there")

    with pytest.raises(AlreadyApplied):
        handlers.run(delivery(), HERE)
