"""Laws of DynamoDB's expressions, judged on our server and on moto's by the same unmodified boto3."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError
from tests.testing.aws.cloud import Cloud, code_of, is_told, plain, tagged

ITEM: dict[str, Any] = {
    "id": "1",
    "n": 5,
    "s": "hello",
    "b": Binary(b"abc"),
    "yes": True,
    "nil": None,
    "ss": {"x", "y"},
    "ns": {Decimal(1), Decimal("2.5")},
    "l": ["a", 2, {"deep": "v"}],
    "m": {"a": {"b": [10, 20]}, "dot.ted": 1},
}
VALUES = {
    ":five": 5,
    ":six": 6,
    ":four": 4,
    ":hello": "hello",
    ":he": "he",
    ":x": "x",
    ":a": "a",
    ":two": 2,
    ":twenty": 20,
    ":S": "S",
    ":NULL": "NULL",
    ":v": "v",
    ":true": True,
    ":ab": Binary(b"ab"),
    ":xy": {"y", "x"},
    ":nothing": None,
    ":one": 1,
    ":three": 3,
}
NAMES = {"#n": "n", "#dotted": "dot.ted", "#m": "m"}


def used(text: str) -> dict[str, Any]:
    """The names and values of an expression, as a request brings them."""
    words = {word.strip("()[].,") for word in text.replace(",", " ").replace("(", " ").replace(")", " ").split()}
    words |= {part for word in words for part in word.split(".")}
    names = {name: told for name, told in NAMES.items() if name in words}
    values = tagged({name: value for name, value in VALUES.items() if name in words})
    return {
        **({"ExpressionAttributeNames": names} if names else {}),
        **({"ExpressionAttributeValues": values} if values else {}),
    }


@pytest.fixture(scope="module")
def tables() -> dict[str, str]:
    """The table of each server that holds the item, once it is made."""
    return {}


@pytest.fixture
def table(cloud: Cloud, tables: dict[str, str]) -> str:
    if cloud.url not in tables:
        tables[cloud.url] = cloud.table()
        cloud.put(tables[cloud.url], ITEM)
    return tables[cloud.url]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("n = :five", True),
        ("n <> :five", False),
        ("n < :six AND n > :four", True),
        ("n <= :four OR n >= :five", True),
        ("s = :five", False),
        ("s <> :five", True),
        ("s < :six", False),
        ("gone = :five", False),
        ("gone <> :five", True),
        ("NOT n = :four", True),
        ("not (n = :four or n = :six)", True),
        ("n = :four OR n = :five AND s = :he", False),
        ("(n = :four OR n = :five) AND s = :hello", True),
        ("n BETWEEN :four AND :six", True),
        ("NOT n BETWEEN :six AND :six", True),
        ("n IN (:four, :six)", False),
        ("n IN (:four, :five, :six)", True),
        ("attribute_exists(m.a.b[1])", True),
        ("attribute_exists(m.a.b[2])", False),
        ("attribute_not_exists(gone.deep)", True),
        ("attribute_type(s, :S)", True),
        ("attribute_type(nil, :NULL)", True),
        ("begins_with(s, :he)", True),
        ("begins_with(b, :ab)", True),
        ("begins_with(n, :he)", False),
        ("contains(s, :he)", True),
        ("contains(ss, :x)", True),
        ("contains(ns, :one)", True),
        ("contains(l, :two)", True),
        ("contains(l, :hello)", False),
        ("size(s) = :five", True),
        ("size(l) = :three", True),
        ("size(b) < :four", True),
        ("m.a.b[1] = :twenty", True),
        ("#m.#dotted = :one", True),
        ("l[2].deep = :v", True),
        ("yes = :true", True),
        ("ss = :xy", True),
        ("nil = :nothing", True),
        (":five = #n", True),
    ],
)
def test_a_condition_holds_or_not(cloud: Cloud, table: str, text: str, *, holds: bool) -> None:
    """As a filter of a scan."""
    assert len(cloud.scan(table, FilterExpression=text, **used(text))) == holds


REFUSED = [
    ("name = :five", "Invalid FilterExpression: Attribute name is a reserved keyword; reserved keyword: name"),
    ("n = :gone", "attribute value used in expression is not defined; attribute value: :gone"),
    ("#gone = :five", "attribute name used in the document path is not defined; attribute name: #gone"),
    ("n = ", 'Invalid FilterExpression: Syntax error; token: "<EOF>"'),
    ("n == :five", 'Invalid FilterExpression: Syntax error; token: "="'),
    ("n = :five s = :hello", "Invalid FilterExpression: Syntax error"),
    ("n", "Invalid FilterExpression: Syntax error"),
    ("", "Invalid FilterExpression: The expression can not be empty;"),
    ("foo(n)", "Invalid FilterExpression: Invalid function name; function: foo"),
    ("begins_with(n)", "Incorrect number of operands for operator or function"),
    ("begins_with(s, :five)", "operator or function: begins_with, operand type: N"),
    ("n < :true", "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"),
    ("size(s)", "The function is not allowed to be used this way in an expression; function: size"),
    ("n BETWEEN :six AND :four", "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"),
    ("attribute_exists(:five)", "Operator or function requires a document path"),
    ("attribute_type(s, :he)", "Invalid attribute type name found; type: he"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[text for text, _ in REFUSED])
def test_a_condition_that_cannot_be_read_is_refused(cloud: Cloud, table: str, text: str, words: str) -> None:
    """In the service's words."""
    with pytest.raises(ClientError) as caught:
        cloud.dynamodb.scan(TableName=table, FilterExpression=text, **used(text))
    assert code_of(caught.value) == "ValidationException"
    assert is_told(cloud, caught.value, words)


@pytest.mark.short
def test_what_is_defined_is_used(cloud: Cloud, table: str) -> None:
    """A value or name that no expression has is refused."""
    settings = {"TableName": table, "FilterExpression": "n = :five"}
    with pytest.raises(ClientError) as caught:
        cloud.dynamodb.scan(**settings, ExpressionAttributeValues=tagged({":five": 5, ":six": 6}))
    words = "Value provided in ExpressionAttributeValues unused in expressions: keys: {:six}"
    assert is_told(cloud, caught.value, words)
    with pytest.raises(ClientError) as caught:
        cloud.dynamodb.scan(**settings, ExpressionAttributeValues=tagged({":five": 5}), ExpressionAttributeNames={"#n": "n"})
    assert is_told(cloud, caught.value, "Value provided in ExpressionAttributeNames unused in expressions: keys: {#n}")


UPDATES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("SET a = :v", {":v": 7}, {"a": 7}),
    ("SET n = n + :v", {":v": 2}, {"n": 7}),
    ("SET n = n - :v, s = :w", {":v": Decimal("0.5"), ":w": "x"}, {"n": Decimal("4.5"), "s": "x"}),
    ("SET n = if_not_exists(n, :v), c = if_not_exists(c, :v)", {":v": 0}, {"n": 5, "c": 0}),
    ("SET c = if_not_exists(c, :z) + :v", {":v": 1, ":z": 0}, {"c": 1}),
    ("SET l = list_append(l, :v)", {":v": ["z"]}, {"l": ["a", "b", "c", "z"]}),
    ("SET l = list_append(:v, l)", {":v": ["z"]}, {"l": ["z", "a", "b", "c"]}),
    ("SET l[1] = :v, l[9] = :v", {":v": "q"}, {"l": ["a", "q", "c", "q"]}),
    ("SET m.a.c = :v", {":v": 1}, {"m": {"a": {"b": 1, "c": 1}}}),
    ("SET a = n, n = :v", {":v": 1}, {"a": 5, "n": 1}),
    ("REMOVE n, l[0], l[1]", {}, {"n": None, "l": ["c"]}),
    ("REMOVE m.a.b, gone", {}, {"m": {"a": {}}}),
    ("ADD n :v, fresh :v", {":v": 3}, {"n": 8, "fresh": 3}),
    ("ADD ss :v", {":v": {"y", "z"}}, {"ss": {"x", "y", "z"}}),
    ("DELETE ss :v", {":v": {"y"}}, {"ss": {"x"}}),
    ("DELETE ss :v", {":v": {"x", "y"}}, {"ss": None}),
    ("SET a = :v REMOVE n ADD k :v DELETE ss :w", {":v": 1, ":w": {"x"}}, {"a": 1, "n": None, "k": 1, "ss": {"y"}}),
]


@pytest.mark.parametrize(("text", "values", "after"), UPDATES, ids=[text for text, _, _ in UPDATES])
def test_an_update_changes_what_it_names(cloud: Cloud, text: str, values: dict[str, Any], after: dict[str, Any]) -> None:
    """And nothing else; None stands for what is gone."""
    before = {"id": "1", "n": 5, "s": "t", "l": ["a", "b", "c"], "m": {"a": {"b": 1}}, "ss": {"x", "y"}}
    table = cloud.table()
    cloud.put(table, before)
    given = {"ExpressionAttributeValues": tagged(values)} if values else {}
    told = cloud.dynamodb.update_item(
        TableName=table, Key=tagged({"id": "1"}), UpdateExpression=text, ReturnValues="ALL_NEW", **given
    )
    wanted = {name: value for name, value in {**before, **after}.items() if value is not None}
    assert plain(told["Attributes"]) == wanted == cloud.item(table, id="1")


def test_an_update_makes_an_item(cloud: Cloud) -> None:
    """Where there is none."""
    table = cloud.table()
    key = tagged({"id": "1"})
    cloud.dynamodb.update_item(
        TableName=table, Key=key, UpdateExpression="SET a = :v", ExpressionAttributeValues=tagged({":v": 1})
    )
    assert cloud.item(table, id="1") == {"id": "1", "a": 1}


@pytest.mark.short
def test_an_update_tells_what_it_changed(cloud: Cloud) -> None:
    """Before or after, of the attributes that it names."""
    table = cloud.table()
    cloud.put(table, {"id": "1", "n": 1, "other": 1})
    change = {
        "TableName": table,
        "Key": tagged({"id": "1"}),
        "UpdateExpression": "SET n = n + :v",
        "ExpressionAttributeValues": tagged({":v": 1}),
    }
    assert plain(cloud.dynamodb.update_item(**change, ReturnValues="UPDATED_NEW")["Attributes"]) == {"n": 2}
    assert plain(cloud.dynamodb.update_item(**change, ReturnValues="UPDATED_OLD")["Attributes"]) == {"n": 2}
    assert plain(cloud.dynamodb.update_item(**change, ReturnValues="ALL_OLD")["Attributes"]) == {"id": "1", "n": 3, "other": 1}


WRONG_UPDATES: list[tuple[str, dict[str, Any], str]] = [
    ("SET id = :v", {":v": "2"}, "Cannot update attribute id. This attribute is part of the key"),
    ("SET a = gone", {}, "The provided expression refers to an attribute that does not exist in the item"),
    ("SET gone.deep = :v", {":v": 1}, "The document path provided in the update expression is invalid for update"),
    ("SET s = s + :v", {":v": 1}, "An operand in the update expression has an incorrect data type"),
    ("SET a = :v, a = :v", {":v": 1}, "Two document paths overlap with each other"),
    ("SET a = :v SET b = :v", {":v": 1}, 'The "SET" section can only be used once in an update expression;'),
    ("ADD a :v", {":v": "text"}, "Incorrect operand type for operator or function; operator: ADD, operand type: STRING"),
    ("SET a :v", {":v": 1}, "Invalid UpdateExpression: Syntax error"),
    ("SET size = :v", {":v": 1}, "Attribute name is a reserved keyword; reserved keyword: size"),
]


@pytest.mark.parametrize(("text", "values", "words"), WRONG_UPDATES, ids=[text for text, _, _ in WRONG_UPDATES])
def test_an_update_that_cannot_be_is_refused(cloud: Cloud, text: str, values: dict[str, Any], words: str) -> None:
    """In the service's words; the item stays as it was."""
    table = cloud.table()
    cloud.put(table, {"id": "1", "s": "t"})
    given = {"ExpressionAttributeValues": tagged(values)} if values else {}
    with pytest.raises(ClientError) as caught:
        cloud.dynamodb.update_item(TableName=table, Key=tagged({"id": "1"}), UpdateExpression=text, **given)
    assert code_of(caught.value) == "ValidationException"
    assert is_told(cloud, caught.value, words)
    assert cloud.item(table, id="1") == {"id": "1", "s": "t"}
