"""Laws of what DynamoDB refuses, in the service's words, and of limits of its batches: of our server, moto knows few of them."""

from __future__ import annotations

from typing import Any

import pytest
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError
from tests.testing.aws.cloud import Cloud, code_of, plain, tagged, words_of
from tests.testing.aws.test_dynamodb_scans import INDEX, STREAM

KEY = {"id": {"S": "p"}, "nr": {"N": "1"}}
ONE = {":a": {"N": "1"}}
QUERY = "id = :p"
EMPTY_VALUE = {"ExpressionAttributeValues": {":e": {"S": ""}}}
EMPTY_WRITTEN = (
    "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
    "The AttributeValue for a key attribute cannot contain an empty string value. "
)


def nested(levels: int) -> dict[str, Any]:
    """A list in a list, and so on."""
    value: dict[str, Any] = {"S": "x"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


def put(**attributes: Any) -> dict[str, Any]:
    return {"Item": {**KEY, **attributes}}


def queried(text: str, **settings: Any) -> dict[str, Any]:
    """A query of the partition "p" with more conditions."""
    values = {":p": {"S": "p"}, **({":a": {"N": "1"}} if ":a" in text else {}), **settings.pop("more", {})}
    return {"KeyConditionExpression": text, "ExpressionAttributeValues": values, **settings}


def updated(text: str) -> dict[str, Any]:
    return {"Key": KEY, "UpdateExpression": text, **({"ExpressionAttributeValues": ONE} if ":a" in text else {})}


def filtered(text: str) -> dict[str, Any]:
    return {"FilterExpression": text, **({"ExpressionAttributeValues": ONE} if ":a" in text else {})}


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "value-empty": ("put_item", put(v={}), "Supplied AttributeValue is empty"),
    "value-two": ("put_item", put(v={"S": "a", "N": "1"}), "has more than one datatypes set"),
    "value-deep": ("put_item", put(v=nested(40)), "Nesting Levels have exceeded supported limits"),
    "key-long": ("put_item", {"Item": {**KEY, "id": {"S": "x" * 2_049}}}, "Size of hashkey has exceeded the maximum size"),
    "returns": ("put_item", {**put(), "ReturnValues": "ALL_NEW"}, "ReturnValues can only be ALL_OLD or NONE"),
    "returns-none": ("put_item", {**put(), "ReturnValues": "SOME"}, "Member must satisfy enum value set"),
    "expected": ("put_item", {**put(), "Expected": {"a": {"Exists": False}}}, "are not part of this test server"),
    "names-unneeded": ("put_item", {**put(), "ExpressionAttributeNames": {"#a": "a"}}, "can only be specified when using"),
    "values-unneeded": ("put_item", {**put(), "ExpressionAttributeValues": ONE}, "ConditionExpression is null"),
    "values-none": ("scan", {"FilterExpression": "a = :a", "ExpressionAttributeValues": {}}, "must not be empty"),
    "values-wrong": (
        "scan",
        {"FilterExpression": "a = :a", "ExpressionAttributeValues": {":a": {"N": "x"}}},
        "ExpressionAttributeValues contains invalid value",
    ),
    "limit": ("scan", {"Limit": 0}, "Value '0' at 'limit' failed to satisfy constraint"),
    "segments": ("scan", {"Segment": 0, "TotalSegments": 1_000_001}, "less than or equal to 1000000"),
    "select-projection": ("scan", {"Select": "COUNT", "ProjectionExpression": "a"}, "Cannot specify the ProjectionExpression"),
    "select-index": ("scan", {"Select": "ALL_PROJECTED_ATTRIBUTES"}, "only when Querying using an IndexName"),
    "select-whole": ("scan", {"Select": "ALL_ATTRIBUTES", "IndexName": "by-state"}, "its projection type is not ALL"),
    "consistent": ("scan", {"ConsistentRead": True, "IndexName": "by-state"}, "not supported on global secondary indexes"),
    "projection-both": ("scan", {"ProjectionExpression": "a", "AttributesToGet": ["a"]}, "Can not use both expression and"),
    "projection-twice": ("scan", {"ProjectionExpression": "a, a.b"}, "Two document paths overlap"),
    "path": ("scan", filtered("a[x] = :a"), 'Syntax error; token: "x"'),
    "same": ("scan", filtered("a = a"), "The first operand must be distinct"),
    "compared": ("scan", filtered("(a = :a) = :a"), "Syntax error"),
    "operand": ("scan", filtered("a AND a = :a"), "Syntax error"),
    "misused": ("scan", filtered("contains(a, :a) = :a"), "The function is not allowed to be used this way"),
    "size": ("scan", filtered("size(:a) = :a"), "operator or function: size, operand type: N"),
    "many": ("scan", filtered(f"a IN ({', '.join([':a'] * 101)})"), "too many operands"),
    "between": (
        "scan",
        {"FilterExpression": "a BETWEEN :a AND :s", "ExpressionAttributeValues": {**ONE, ":s": {"S": "x"}}},
        "requires same data type",
    ),
    "between-type": (
        "scan",
        {"FilterExpression": "a BETWEEN :a AND :s", "ExpressionAttributeValues": {**ONE, ":s": {"BOOL": True}}},
        "operator or function: BETWEEN, operand type: BOOL",
    ),
    "type-of": ("scan", filtered("attribute_type(a, :a)"), "operator or function: attribute_type, operand type: N"),
    "parentheses": ("scan", filtered("((a = :a))"), "Invalid FilterExpression: The expression has redundant parentheses;"),
    "parentheses-inside": ("scan", filtered("b = :a AND ((a > :a OR a < :a))"), "redundant parentheses"),
    "parentheses-operand": ("scan", filtered("((a)) = :a"), "redundant parentheses"),
    "parentheses-key": ("query", queried(f"(({QUERY}))"), "Invalid KeyConditionExpression: The expression has redundant"),
    "parentheses-put": ("put_item", {**put(), "ConditionExpression": "((attribute_exists(a)))"}, "redundant parentheses"),
    "nameless": ("put_item", put(**{"": {"S": "x"}}), "name of at least one character"),
    "index-projection": (
        "scan",
        {"IndexName": "by-state", "ProjectionExpression": "x, nr, s.y"},
        "Global secondary index by-state does not project [x, s]",
    ),
    "index-listed": ("scan", {"IndexName": "by-state", "AttributesToGet": ["x"]}, "by-state does not project [x]"),
    "index-filter": (
        "scan",
        {**filtered("x = :a AND nr > :a"), "IndexName": "by-state"},
        "Secondary index by-state does not project one or more filter attributes: [x]",
    ),
    "index-empty": ("put_item", put(state={"S": ""}), f"{EMPTY_WRITTEN}IndexName: by-state, IndexKey: state"),
    "index-type": ("put_item", put(at={"S": "1"}), "Type mismatch for Index Key at Expected: N Actual: S IndexName: by-state"),
    "index-update": (
        "update_item",
        {"Key": KEY, "UpdateExpression": "SET #s = :e", "ExpressionAttributeNames": {"#s": "state"}, **EMPTY_VALUE},
        "The update expression attempted to update a secondary index key to a value that is not supported.",
    ),
    "query-none": ("query", {}, "Either the KeyConditions or KeyConditionExpression"),
    "query-not": ("query", queried(f"NOT {QUERY}"), "Invalid operator used in KeyConditionExpression: NOT"),
    "query-in": ("query", queried("id IN (:p)"), "Invalid operator used in KeyConditionExpression: IN"),
    "query-unequal": ("query", queried(f"{QUERY} AND nr <> :a"), "Invalid operator used in KeyConditionExpression: <>"),
    "query-contains": ("query", queried(f"{QUERY} AND contains(nr, :a)"), "Invalid operator used in KeyConditionExpression"),
    "query-nested": ("query", queried(f"{QUERY} AND nr.x = :a"), "cannot have conditions on nested attributes"),
    "query-size": ("query", queried(f"{QUERY} AND size(nr) = :a"), "cannot contain nested operations"),
    "query-sized": ("query", queried(f"{QUERY} AND nr = size(id)"), "cannot contain nested operations"),
    "query-names": ("query", queried(f"{QUERY} AND nr = id"), "Multiple attribute names used in one condition"),
    "query-values": ("query", queried(f"{QUERY} AND :a = :a"), "No key attribute specified"),
    "query-twice": ("query", queried(f"{QUERY} AND nr > :a AND nr < :a"), "only contain one condition per key"),
    "query-three": ("query", queried(f"{QUERY} AND nr = :a AND x = :a"), "Conditions can be of length 1 or 2 only"),
    "query-filter": ("query", queried(QUERY, FilterExpression="nr > :b", more={":b": {"N": "1"}}), "non-primary key attributes"),
    "query-start": (
        "query",
        queried(QUERY, ExclusiveStartKey={**KEY, "id": {"S": "q"}}),
        "outside query boundaries based on provided conditions",
    ),
    "start-type": ("scan", {"ExclusiveStartKey": {**KEY, "nr": {"S": "1"}}}, "element does not match the schema"),
    "update-section": ("update_item", updated("MAKE a = :a"), "Syntax error"),
    "update-add": ("update_item", updated("ADD a b"), "Syntax error"),
    "update-function": ("update_item", updated("SET a = foo(:a)"), "Invalid function name; function: foo"),
    "update-count": ("update_item", updated("SET a = list_append(b)"), "Incorrect number of operands"),
    "update-path": ("update_item", updated("SET a = if_not_exists(:a, :a)"), "requires a document path"),
    "update-conflict": ("update_item", updated("SET a.b = :a, a[0] = :a"), "Two document paths conflict"),
    "update-append": ("update_item", updated("SET a = list_append(:a, :a)"), "incorrect data type"),
    "update-type": ("update_item", updated("ADD s :a"), "incorrect data type"),
    "update-gone": ("update_item", updated("REMOVE x.deep"), "document path provided in the update expression is invalid"),
    "update-index": ("update_item", updated("SET #s = :a"), "An expression attribute name used in the document path"),
}


@pytest.fixture(scope="module")
def table(ours: Cloud) -> str:
    """A table with an index and one item."""
    types = [*INDEX["AttributeDefinitions"], {"AttributeName": "nr", "AttributeType": "N"}]
    made = ours.table("id,nr", **{**INDEX, "AttributeDefinitions": types})
    ours.put(made, {"id": "p", "nr": 1, "s": "text"})
    return made


@pytest.mark.parametrize("law", list(REFUSED))
def test_what_cannot_be_is_refused(ours: Cloud, table: str, law: str) -> None:
    """In the service's words, and nothing is changed."""
    operation, params, words = REFUSED[law]
    client = ours.client("dynamodb", parameter_validation=False)
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(TableName=table, **params)
    assert code_of(caught.value) == "ValidationException"
    assert words in words_of(caught.value)
    assert ours.scan(table) == [{"id": "p", "nr": 1, "s": "text"}]


@pytest.mark.parametrize(
    "text", ["(a = :a)", "((a = :a) AND (b = :a))", "((a = :a) OR b = :a) AND (size(c) < :a)", "(NOT (a = :a))", "(a) = (:a)"]
)
def test_brackets_that_are_not_doubled_are_good(ours: Cloud, table: str, text: str) -> None:
    """Needed or not; boto3's conditions write many of them."""
    assert ours.dynamodb.scan(TableName=table, **filtered(text))["Count"] == (1 if "NOT" in text else 0)


@pytest.mark.parametrize("kind", ["batch", "transaction", "transacted update"])
def test_an_empty_key_of_an_index_fails_a_write_as_a_whole(ours: Cloud, kind: str) -> None:
    """Good items of a batch are not written, and a transaction is not even tried: it is told no reasons."""
    table = ours.table(**INDEX)
    good, bad = tagged({"id": "good"}), tagged({"id": "bad", "state": ""})
    update = {"Key": tagged({"id": "bad"}), "UpdateExpression": "SET #s = :e", "ExpressionAttributeNames": {"#s": "state"}}
    actions = {
        "transaction": {"Put": {"TableName": table, "Item": bad}},
        "transacted update": {"Update": {"TableName": table, **update, **EMPTY_VALUE}},
    }
    puts = [{"PutRequest": {"Item": one}} for one in (good, bad)]
    write = ours.dynamodb.batch_write_item
    params: dict[str, Any] = {"RequestItems": {table: puts}}
    if kind != "batch":
        write = ours.dynamodb.transact_write_items
        params = {"TransactItems": [{"Put": {"TableName": table, "Item": good}}, actions[kind]]}
    with pytest.raises(ClientError) as caught:
        write(**params)
    assert code_of(caught.value) == "ValidationException"
    assert "cannot contain an empty string value" in words_of(caught.value)
    assert ours.scan(table) == []


def test_a_binary_key_of_a_local_index_is_not_empty(ours: Cloud) -> None:
    """In the words for binaries."""
    key = [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "data", "KeyType": "RANGE"}]
    local = {"IndexName": "by-data", "KeySchema": key, "Projection": {"ProjectionType": "ALL"}}
    kinds = {"id": "S", "nr": "N", "data": "B"}
    defined = [{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()]
    table = ours.table("id,nr:N", LocalSecondaryIndexes=[local], AttributeDefinitions=defined)
    with pytest.raises(ClientError) as caught:
        ours.put(table, {"id": "p", "nr": 1, "data": Binary(b"")})
    assert words_of(caught.value).endswith("an empty binary value. IndexName: by-data, IndexKey: data")
    ours.put(table, {"id": "p", "nr": 1, "data": Binary(b"x"), "other": Binary(b""), "text": ""})
    assert len(ours.scan(table, IndexName="by-data")) == 1


def test_an_index_lacks_the_items_whose_key_it_cannot_take(ours: Cloud) -> None:
    """Those that were there before it; they can be changed otherwise, and are in it once their key is good."""
    table = ours.table()
    ours.put(table, {"id": "empty", "state": "", "at": 1}, {"id": "type", "state": "new", "at": "x"}, {"id": "good"})
    wanted = [{"Create": INDEX["GlobalSecondaryIndexes"][0]}]
    ours.dynamodb.update_table(
        TableName=table, AttributeDefinitions=INDEX["AttributeDefinitions"], GlobalSecondaryIndexUpdates=wanted
    )
    for name in ("empty", "type"):
        key = tagged({"id": name})
        ours.dynamodb.update_item(TableName=table, Key=key, UpdateExpression="SET x = :a", ExpressionAttributeValues=ONE)
    assert ours.scan(table, IndexName="by-state") == []
    values = {":s": {"S": "new"}}
    ours.dynamodb.update_item(
        TableName=table,
        Key=tagged({"id": "empty"}),
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues=values,
    )
    assert ours.scan(table, IndexName="by-state") == [{"id": "empty", "state": "new", "at": 1}]


def test_a_key_of_a_segment_is_no_key_of_another(ours: Cloud) -> None:
    """A scan that goes on in the wrong segment is refused."""
    table = ours.table()
    ours.put(table, *({"id": str(at)} for at in range(20)))
    key = ours.dynamodb.scan(TableName=table, Segment=0, TotalSegments=2, Limit=1)["LastEvaluatedKey"]
    with pytest.raises(ClientError, match="Please use ExclusiveStartKey with correct Segment"):
        ours.dynamodb.scan(TableName=table, Segment=1, TotalSegments=2, ExclusiveStartKey=key)


def test_a_batch_answers_up_to_sixteen_megabytes(ours: Cloud) -> None:
    """The keys of the rest are unprocessed."""
    table = ours.table()
    keys = [tagged({"id": str(at)}) for at in range(50)]
    ours.put(table, *({"id": str(at), "text": "x" * 400_000} for at in range(50)))
    told = ours.dynamodb.batch_get_item(RequestItems={table: {"Keys": keys}}, ReturnConsumedCapacity="TOTAL")
    read, left = told["Responses"][table], told["UnprocessedKeys"][table]["Keys"]
    assert 35 < len(read) < 45
    assert {item["id"]["S"] for item in read} | {key["id"]["S"] for key in left} == {key["id"]["S"] for key in keys}
    assert len(read) + len(left) == 50
    assert told["ConsumedCapacity"][0]["CapacityUnits"] == len(read) * 49.0


def test_what_an_index_consumes_is_told(ours: Cloud) -> None:
    """Beside the table's, where it is asked for; a transaction costs twice."""
    table = ours.table(**INDEX)
    put = {"Put": {"TableName": table, "Item": tagged({"id": "1", "state": "new", "at": 1})}}
    told = ours.dynamodb.transact_write_items(TransactItems=[put], ReturnConsumedCapacity="TOTAL")
    assert told["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 2.0}]
    get = {"Get": {"TableName": table, "Key": tagged({"id": "1"})}}
    told = ours.dynamodb.transact_get_items(TransactItems=[get], ReturnConsumedCapacity="TOTAL")
    assert told["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 2.0}]
    told = ours.dynamodb.scan(TableName=table, IndexName="by-state", ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert told["GlobalSecondaryIndexes"] == {"by-state": {"CapacityUnits": 0.5}}
    put_items = {table: [{"PutRequest": {"Item": tagged({"id": "2"})}}]}
    batch = ours.dynamodb.batch_write_item(RequestItems=put_items, ReturnConsumedCapacity="TOTAL")
    assert batch["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 1.0}]


@pytest.mark.parametrize(
    ("actions", "code"),
    [
        ([], "ValidationException"),
        ([{"Put": {}, "Delete": {}}], "ValidationException"),
        ([{"Put": {"TableName": "nobody", "Item": {"id": {"S": "1"}}}}], "ResourceNotFoundException"),
    ],
    ids=["none", "two", "table"],
)
def test_a_transaction_that_cannot_be_is_refused(ours: Cloud, actions: list[Any], code: str) -> None:
    """As a whole."""
    client = ours.client("dynamodb", parameter_validation=False)
    with pytest.raises(ClientError) as caught:
        client.transact_write_items(TransactItems=actions)
    assert code_of(caught.value) == code


def test_a_transaction_tells_the_item_that_is_there(ours: Cloud) -> None:
    """In its reason, if asked; an update that cannot be is a reason too."""
    table = ours.table()
    ours.put(table, {"id": "1", "a": "text"})
    put = {"TableName": table, "Item": tagged({"id": "1"}), "ConditionExpression": "attribute_not_exists(id)"}
    add = {
        "TableName": table,
        "Key": tagged({"id": "2"}),
        "UpdateExpression": "SET a = a + :a",
        "ExpressionAttributeValues": ONE,
    }
    actions = [{"Put": {**put, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}, {"Update": add}]
    with pytest.raises(ClientError) as caught:
        ours.dynamodb.transact_write_items(TransactItems=actions)
    first, second = caught.value.response["CancellationReasons"]
    assert plain(first["Item"]) == {"id": "1", "a": "text"}
    assert second["Code"] == "ValidationError"


def test_binary_keys_are_in_the_order_of_their_bytes(ours: Cloud) -> None:
    """Not in that of their base64."""
    table = ours.table("id,nr:B")
    keys = [b"\x00", b"\x00\x00", b"\x01\xff", b"\x7f", b"\xff", b"\xff\x00"]
    ours.put(table, *({"id": "p", "nr": Binary(key)} for key in reversed(keys)))
    told = ours.dynamodb.query(TableName=table, KeyConditionExpression="id = :p", ExpressionAttributeValues={":p": {"S": "p"}})
    assert [plain(item)["nr"].value for item in told["Items"]] == keys


def test_shards_and_streams_come_in_pages(ours: Cloud) -> None:
    """Each once."""
    tables = [ours.table(**STREAM) for _ in range(3)]
    names, more = [], {}
    while True:
        page = ours.streams.list_streams(Limit=2, **more)
        names += [one["TableName"] for one in page["Streams"]]
        if "LastEvaluatedStreamArn" not in page:
            break
        more = {"ExclusiveStartStreamArn": page["LastEvaluatedStreamArn"]}
    assert set(tables) <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("operation", "params", "code"),
    [
        ("describe_stream", {"StreamArn": "arn:aws:dynamodb:us-east-1:1:table/x/stream/2020"}, "ResourceNotFoundException"),
        ("get_records", {"ShardIterator": "nonsense"}, "ValidationException"),
        ("get_shard_iterator", {"ShardIteratorType": "LATEST", "ShardId": "shardId-none"}, "ResourceNotFoundException"),
        ("get_shard_iterator", {"ShardIteratorType": "NEVER"}, "ValidationException"),
        ("get_shard_iterator", {"ShardIteratorType": "AT_SEQUENCE_NUMBER"}, "ValidationException"),
        ("get_shard_iterator", {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "1"}, "TrimmedDataAccessException"),
    ],
    ids=["stream", "iterator", "shard", "type", "number", "trimmed"],
)
def test_a_stream_that_is_not_there_is_told(ours: Cloud, operation: str, params: dict[str, Any], code: str) -> None:
    """And a shard, and an iterator that is none."""
    arn = ours.dynamodb.describe_table(TableName=ours.table(**STREAM))["Table"]["LatestStreamArn"]
    (shard,) = ours.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    usual = {"StreamArn": arn, "ShardId": shard["ShardId"]} if operation == "get_shard_iterator" else {}
    client = ours.client("dynamodbstreams", parameter_validation=False)
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**{**usual, **params})
    assert code_of(caught.value) == code
