"""Laws of DynamoDB's items, judged on our server and on moto's by the same unmodified boto3."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError
from tests.testing.aws.cloud import Cloud, code_of, is_told, plain, tagged, words_of

EVERY_TYPE: dict[str, Any] = {
    "text": "é\u2028\U0001f600",
    "empty": "",
    "number": Decimal("-1234567890.0123456789012345678901234567"),
    "small": Decimal("1E-10"),
    "large": Decimal("1E+30"),
    "bytes": Binary(b"\x00\xff"),
    "yes": True,
    "nothing": None,
    "texts": {"a", "b"},
    "numbers": {Decimal(1), Decimal("2.5")},
    "binaries": {Binary(b"x"), Binary(b"y")},
    "list": ["a", Decimal(1), [None, {"deep": [False]}]],
    "map": {"a": {"b": {}}, "l": []},
}


def refusal(call: Any, **params: Any) -> tuple[str, str]:
    """The code and the words with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    return code_of(caught.value), words_of(caught.value)


@pytest.mark.short
def test_every_type_comes_back_as_it_went(cloud: Cloud) -> None:
    """Numbers to the last of 38 digits, empty texts, sets, what is nested."""
    table = cloud.table()
    cloud.put(table, {"id": "1", **EVERY_TYPE})
    assert cloud.item(table, id="1") == {"id": "1", **EVERY_TYPE}
    assert cloud.item(table, id="2") is None


def test_a_number_is_told_without_needless_zeros(cloud: Cloud) -> None:
    """As the service writes it, whoever wrote it how."""
    table = cloud.table()
    numbers = {"1.50": "1.5", "007": "7", "-0": "0", "1E3": "1000", "1.2e-3": "0.0012", "100": "100"}
    for given, told in numbers.items():
        cloud.dynamodb.put_item(TableName=table, Item={"id": {"S": "1"}, "n": {"N": given}})
        assert cloud.dynamodb.get_item(TableName=table, Key={"id": {"S": "1"}})["Item"]["n"] == {"N": told}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"N": "1E126"}, "magnitude larger than supported range"),
        ({"N": "1E-131"}, "magnitude smaller than supported range"),
        ({"N": "1" * 39}, "more than 38 significant digits"),
        ({"N": "x"}, "cannot be converted to a numeric value: x"),
        ({"SS": []}, "may not be empty"),
        ({"SS": ["a", "a"]}, "contains duplicates"),
        ({"NULL": False}, "Null attribute value types must have the value of true"),
        ({"S": "x" * 409_600}, "Item size has exceeded the maximum allowed size"),
    ],
    ids=["large", "small", "digits", "letters", "empty", "twice", "null", "size"],
)
def test_what_is_no_value_is_refused(cloud: Cloud, value: dict[str, Any], words: str) -> None:
    """And nothing is stored."""
    table = cloud.table()
    with pytest.raises(ClientError) as caught:
        cloud.dynamodb.put_item(TableName=table, Item={"id": {"S": "1"}, "v": value})
    assert code_of(caught.value) == "ValidationException"
    assert is_told(cloud, caught.value, words)
    assert cloud.item(table, id="1") is None


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"a": 1}, "One or more parameter values were invalid: Missing the key id in the item"),
        ({"id": 1}, "One or more parameter values were invalid: Type mismatch for key id expected: S actual: N"),
        ({"id": ""}, "The AttributeValue for a key attribute cannot contain an empty string value. Key: id"),
    ],
    ids=["missing", "type", "empty"],
)
def test_an_item_has_the_key_of_its_table(cloud: Cloud, item: dict[str, Any], words: str) -> None:
    """There, of its type, and not empty."""
    with pytest.raises(ClientError) as caught:
        cloud.dynamodb.put_item(TableName=cloud.table(), Item=tagged(item))
    assert code_of(caught.value) == "ValidationException"
    assert is_told(cloud, caught.value, words)


@pytest.mark.parametrize("key", [{"id": 1}, {"no": "1"}, {"id": "1", "more": "2"}], ids=["type", "name", "more"])
def test_a_key_is_that_of_the_table(cloud: Cloud, key: dict[str, Any]) -> None:
    """No more and no less."""
    code, told = refusal(cloud.dynamodb.get_item, TableName=cloud.table(), Key=tagged(key))
    assert (code, told) == ("ValidationException", "The provided key element does not match the schema")


def test_a_table_that_is_not_there_is_told(cloud: Cloud) -> None:
    """By the operation on items, and by that on tables, which names it."""
    told = refusal(cloud.dynamodb.get_item, TableName="nobody", Key={"id": {"S": "1"}})
    assert told == ("ResourceNotFoundException", "Requested resource not found")
    told = refusal(cloud.dynamodb.describe_table, TableName="nobody")
    assert told == ("ResourceNotFoundException", "Requested resource not found: Table: nobody not found")


def test_a_table_is_there_until_it_is_deleted(cloud: Cloud) -> None:
    """Made once, listed, told with its key, gone with its items."""
    table = cloud.table("id,at:N")
    told = cloud.dynamodb.describe_table(TableName=table)["Table"]
    assert told["TableStatus"] == "ACTIVE"
    assert [(one["AttributeName"], one["KeyType"]) for one in told["KeySchema"]] == [("id", "HASH"), ("at", "RANGE")]
    assert told["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    schema, types = told["KeySchema"], told["AttributeDefinitions"]
    again = {"KeySchema": schema, "AttributeDefinitions": types, "BillingMode": "PAY_PER_REQUEST"}
    assert refusal(cloud.dynamodb.create_table, TableName=table, **again)[0] == "ResourceInUseException"
    names = [name for page in cloud.dynamodb.get_paginator("list_tables").paginate() for name in page["TableNames"]]
    assert table in names
    cloud.dynamodb.delete_table(TableName=table)
    assert refusal(cloud.dynamodb.describe_table, TableName=table)[0] == "ResourceNotFoundException"


def test_names_of_tables_come_in_pages(cloud: Cloud) -> None:
    """In order, each once."""
    made = {cloud.table() for _ in range(3)}
    pages = list(cloud.dynamodb.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 1}))
    names = [name for page in pages for name in page["TableNames"]]
    assert made <= set(names)
    assert len(names) == len(set(names))


def test_a_put_replaces_all_of_an_item(cloud: Cloud) -> None:
    """And tells what was there, if asked."""
    table = cloud.table()
    cloud.put(table, {"id": "1", "a": 1, "b": 2})
    told = cloud.dynamodb.put_item(TableName=table, Item=tagged({"id": "1", "c": 3}), ReturnValues="ALL_OLD")
    assert plain(told["Attributes"]) == {"id": "1", "a": 1, "b": 2}
    assert cloud.item(table, id="1") == {"id": "1", "c": 3}
    gone = cloud.dynamodb.delete_item(TableName=table, Key=tagged({"id": "1"}), ReturnValues="ALL_OLD")
    assert plain(gone["Attributes"]) == {"id": "1", "c": 3}
    assert cloud.item(table, id="1") is None
    assert "Attributes" not in cloud.dynamodb.delete_item(TableName=table, Key=tagged({"id": "1"}), ReturnValues="ALL_OLD")


@pytest.mark.short
def test_a_condition_that_fails_changes_nothing(cloud: Cloud) -> None:
    """And tells the item that is there, if asked."""
    table = cloud.table()
    cloud.put(table, {"id": "1", "a": 1})
    with pytest.raises(ClientError) as caught:
        cloud.dynamodb.put_item(
            TableName=table,
            Item=tagged({"id": "1", "a": 2}),
            ConditionExpression="attribute_not_exists(id)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert (code_of(caught.value), words_of(caught.value)) == (
        "ConditionalCheckFailedException",
        "The conditional request failed",
    )
    assert plain(caught.value.response["Item"]) == {"id": "1", "a": 1}
    assert cloud.item(table, id="1") == {"id": "1", "a": 1}


def test_a_read_takes_the_parts_it_wants(cloud: Cloud) -> None:
    """Members of maps and lists, which close ranks."""
    table = cloud.table()
    cloud.put(table, {"id": "1", "m": {"a": 1, "b": 2}, "l": ["x", "y", "z"], "name": "n"})
    told = cloud.dynamodb.get_item(
        TableName=table,
        Key=tagged({"id": "1"}),
        ProjectionExpression="m.a, l[2], l[0], #n, gone.deep",
        ExpressionAttributeNames={"#n": "name"},
    )
    assert plain(told["Item"]) == {"m": {"a": 1}, "l": ["x", "z"], "name": "n"}


def test_a_batch_reads_from_several_tables(cloud: Cloud) -> None:
    """What is not there is not told; a key twice is refused, more than 100 too."""
    one, other = cloud.table(), cloud.table()
    cloud.put(one, {"id": "1"}, {"id": "2"})
    cloud.put(other, {"id": "1", "a": 7})
    asked = {name: {"Keys": [tagged({"id": key}) for key in ("1", "2", "3")]} for name in (one, other)}
    told = cloud.dynamodb.batch_get_item(RequestItems=asked)
    assert {name: len(found) for name, found in told["Responses"].items()} == {one: 2, other: 1}
    assert told["UnprocessedKeys"] == {}
    twice = {one: {"Keys": [tagged({"id": "1"})] * 2}}
    told = refusal(cloud.dynamodb.batch_get_item, RequestItems=twice)
    assert told == ("ValidationException", "Provided list of item keys contains duplicates")
    many = {name: {"Keys": [tagged({"id": str(at)}) for at in range(60)]} for name in (one, other)}
    assert refusal(cloud.dynamodb.batch_get_item, RequestItems=many)[0] == "ValidationException"


def test_a_batch_writes_into_several_tables(cloud: Cloud) -> None:
    """Puts and deletes, an item once, 25 at most."""
    one, other = cloud.table(), cloud.table()
    cloud.put(one, {"id": "old"})
    writes = {
        one: [{"PutRequest": {"Item": tagged({"id": "new"})}}, {"DeleteRequest": {"Key": tagged({"id": "old"})}}],
        other: [{"PutRequest": {"Item": tagged({"id": "1"})}}],
    }
    assert cloud.dynamodb.batch_write_item(RequestItems=writes)["UnprocessedItems"] == {}
    assert [cloud.scan(one), cloud.scan(other)] == [[{"id": "new"}], [{"id": "1"}]]
    twice = {one: [writes[one][0], {"DeleteRequest": {"Key": tagged({"id": "new"})}}]}
    told = refusal(cloud.dynamodb.batch_write_item, RequestItems=twice)
    assert told == ("ValidationException", "Provided list of item keys contains duplicates")
    many = {one: [{"PutRequest": {"Item": tagged({"id": str(at)})}} for at in range(26)]}
    assert refusal(cloud.dynamodb.batch_write_item, RequestItems=many)[0] == "ValidationException"
    assert cloud.scan(one) == [{"id": "new"}]


def test_a_transaction_is_done_as_a_whole(cloud: Cloud) -> None:
    """Put, update, delete and check together."""
    table = cloud.table()
    cloud.put(table, {"id": "u", "n": 1}, {"id": "d"}, {"id": "c", "ok": True})
    cloud.dynamodb.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": table, "Item": tagged({"id": "p"}), "ConditionExpression": "attribute_not_exists(id)"}},
            {
                "Update": {
                    "TableName": table,
                    "Key": tagged({"id": "u"}),
                    "UpdateExpression": "ADD n :one",
                    "ExpressionAttributeValues": tagged({":one": 1}),
                }
            },
            {"Delete": {"TableName": table, "Key": tagged({"id": "d"})}},
            {
                "ConditionCheck": {
                    "TableName": table,
                    "Key": tagged({"id": "c"}),
                    "ConditionExpression": "ok = :yes",
                    "ExpressionAttributeValues": tagged({":yes": True}),
                }
            },
        ]
    )
    told = cloud.dynamodb.transact_get_items(
        TransactItems=[{"Get": {"TableName": table, "Key": tagged({"id": key})}} for key in ("p", "u", "d")]
    )
    found = [plain(one["Item"]) if one.get("Item") else None for one in told["Responses"]]
    assert found == [{"id": "p"}, {"id": "u", "n": 2}, None]


def test_a_transaction_that_fails_does_nothing(cloud: Cloud) -> None:
    """It tells the reason of each of its actions."""
    table = cloud.table()
    cloud.put(table, {"id": "1"})
    put = {"Put": {"TableName": table, "Item": tagged({"id": "2"})}}
    refused = {"Put": {"TableName": table, "Item": tagged({"id": "1"}), "ConditionExpression": "attribute_not_exists(id)"}}
    with pytest.raises(ClientError) as caught:
        cloud.dynamodb.transact_write_items(TransactItems=[put, refused])
    assert code_of(caught.value) == "TransactionCanceledException"
    assert "[None, ConditionalCheckFailed]" in words_of(caught.value)
    assert [one["Code"] for one in caught.value.response["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    assert cloud.scan(table) == [{"id": "1"}]


def test_a_transaction_has_an_item_once(cloud: Cloud) -> None:
    """Two writes of one item are refused."""
    table = cloud.table()
    writes = [
        {"Put": {"TableName": table, "Item": tagged({"id": "1"})}},
        {"Delete": {"TableName": table, "Key": tagged({"id": "1"})}},
    ]
    code, told = refusal(cloud.dynamodb.transact_write_items, TransactItems=writes)
    assert (code, told) == ("ValidationException", "Transaction request cannot include multiple operations on one item")


def test_what_is_consumed_is_told(cloud: Cloud) -> None:
    """A kilobyte written is a unit; four read at once and consistently are one, else half."""
    table = cloud.table()
    item = tagged({"id": "1", "text": "x" * 5_000})
    told = cloud.dynamodb.put_item(TableName=table, Item=item, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert (told["TableName"], told["CapacityUnits"]) == (table, 5.0)
    read = {"TableName": table, "Key": tagged({"id": "1"}), "ReturnConsumedCapacity": "TOTAL"}
    assert cloud.dynamodb.get_item(**read)["ConsumedCapacity"]["CapacityUnits"] == 1.0
    assert cloud.dynamodb.get_item(**read, ConsistentRead=True)["ConsumedCapacity"]["CapacityUnits"] == 2.0


def test_time_to_live_is_set_once(cloud: Cloud) -> None:
    """And told."""
    table = cloud.table()
    wanted = {"Enabled": True, "AttributeName": "until"}
    cloud.dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)
    told = cloud.dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert told == {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"}
    again = refusal(cloud.dynamodb.update_time_to_live, TableName=table, TimeToLiveSpecification=wanted)
    assert again == ("ValidationException", "TimeToLive is already enabled")
