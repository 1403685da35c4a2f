"""Laws of a table as a source: all of it, exactly, in segments; nothing of it where some could not be had."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.command_line import app
from tests.connectors.aws.dynamodb.desk import Desk, expected, loaded, made, wire
from tests.connectors.aws.servers import new_name
from typer.testing import CliRunner

from halocline import registry
from halocline.batch import Items
from halocline.builders import BuiltSource
from halocline.config import Settings
from halocline.connector import Part, Plan
from halocline.connectors.aws.dynamodb import open_source
from halocline.connectors.aws.dynamodb.client import DynamoDB, Table
from halocline.connectors.aws.dynamodb.scan import segments_of
from halocline.connectors.aws.dynamodb.source import DynamoDBSource
from halocline.errors import AccessDenied, FixConfig, NotFound, Refused, RetryLater, Stop, Truncated
from halocline.halt import Halt
from halocline.ledger import MemoryLedger
from halocline.plan import Wish, decide
from halocline.retry import Pace
from halocline.schema import Column, Kind, Schema
from halocline.tables import TableCopy, copy
from halocline.testing.faults import replaced

DECLARED = Schema((Column("pk", Kind.STRING), Column("sk", Kind.INTEGER), Column("version", Kind.INTEGER)))


def test_every_type_arrives_exactly(desk: Desk) -> None:
    """Columns are inferred from all items, also from those that only the last page has."""
    items = [made(number) for number in range(200)] + [{"pk": "late", "sk": 7, "only_here": "x"}]
    desk.make(items)
    run = desk.run(segments=3)
    assert run.counts is not None
    assert (run.counts.inserted, run.rows_read) == (201, 201)
    assert loaded(desk.rows()) == expected(desk.there())
    assert desk.spools() == []


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("limit", [1, 7, 99, 100, 1_000])
def test_a_limit_is_exact_however_items_lie(desk: Desk, limit: int) -> None:
    """Most items have one partition key, so one segment has nearly all of them."""
    items = [{**made(number), "pk": "hot" if number % 30 else f"cold-{number}"} for number in range(100)]
    desk.make(items)
    run = desk.run(segments=5, limit=limit)
    assert run.counts is not None
    assert run.counts.inserted == min(limit, 100)
    assert len({desk.place(row) for row in desk.rows()}) == min(limit, 100)


@pytest.mark.usefixtures("small_pages")
def test_a_limit_counts_items_that_pass_the_filter(desk: Desk) -> None:
    """And a filter's names and values are Python's."""
    desk.make([made(number) for number in range(200)])
    chosen = {"filter": "#flag = :yes AND sk > :low", "names": {"#flag": "flag"}, "values": {":yes": True, ":low": Decimal(10)}}
    run = desk.run(**chosen)
    assert run.counts is not None
    wanted = [number for number in range(200) if number % 3 == 0 and number > 10]
    assert sorted(int(row["sk"]) for row in desk.rows()) == wanted
    assert desk.run(**chosen, limit=17).counts.inserted == 17  # type: ignore[union-attr]  # it committed


@pytest.mark.usefixtures("small_pages")
def test_declared_columns_are_all_that_travels(desk: Desk) -> None:
    """Their attributes are projected, reserved words among them; what does not fit is rejected, and the rest is there."""
    desk.make([{**made(number), "status": f"s{number}"} for number in range(99)] + [{"pk": "odd", "sk": 1, "version": "x"}])
    columns = Schema((*DECLARED.columns, Column("state", Kind.STRING)))
    run = desk.run(columns=columns, paths={"state": ["status"]})
    assert run.counts is not None
    assert (run.counts.inserted, run.counts.rejected, run.rows_read) == (99, 1, 100)
    assert [row["state"] for row in desk.rows()] == [f"s{int(row['sk'])}" for row in desk.rows()]


def test_columns_of_a_table_are_found_in_any_case(desk: Desk) -> None:
    """As PostgreSQL spells them; an attribute that only a late item has is found as well."""
    desk.make([{"pk": f"p{number}", "sk": number} for number in range(50)] + [{"pk": "z", "sk": 99, "lastArchiveReason": "r"}])
    columns = Schema((Column("pk", Kind.STRING), Column("sk", Kind.INTEGER), Column("lastarchivereason", Kind.STRING)))
    desk.put({"pk": "y", "sk": 98, "another": 1})
    desk.run(columns=columns, any_case=True)
    assert desk.told == [f"Attributes of {desk.table} that the table has no column for are left out: another."]
    assert [row["lastarchivereason"] for row in desk.rows() if row["lastarchivereason"]] == ["r"]


def test_maps_become_columns_where_that_is_asked(desk: Desk) -> None:
    """Down to the depth that is said."""
    desk.make([made(number) for number in range(5)])
    desk.run(nested="flatten", depth=2)
    assert [int(row["map__b__c"]) for row in sorted(desk.rows(), key=lambda row: row["sk"])] == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("small_pages")
def test_builders_get_items_as_boto3_has_them(desk: Desk) -> None:
    """Decimal, bytes and sets; one pass over the table, nothing inferred."""
    desk.make([made(number) for number in range(60)])
    schema = Schema((*DECLARED.columns, Column("size", Kind.INTEGER)), ("pk", "sk"))

    def build(item: Any) -> dict[str, Any]:
        assert isinstance(item["amount"], Decimal)
        assert isinstance(item["raw"], bytes)
        return {"pk": item["pk"], "sk": int(item["sk"]), "version": 1, "size": len(item["numbers"])}

    run = desk.run(infer=False, wrap=lambda source: BuiltSource(source, build, schema))
    assert run.counts is not None
    assert (run.counts.inserted, {row["size"] for row in desk.rows()}) == (60, {2})


@pytest.mark.usefixtures("small_pages")
def test_throttled_at_random_it_is_whole(desk: Desk) -> None:
    """With damaged and lost answers among them."""
    desk.make([made(number) for number in range(300)])
    for action, chance in (("throttle", 0.3), ("damage", 0.05), ("cut", 0.05)):
        desk.fake.faults.add(action, service="dynamodb", operation="Scan", probability=chance, seed=7)
    run = desk.run(segments=4)
    assert run.counts is not None
    assert (run.counts.inserted, loaded(desk.rows())) == (300, expected(desk.there()))


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("options", [{}, {"columns": DECLARED}], ids=["inferred", "declared"])
def test_a_segment_that_fails_for_good_replaces_nothing(desk: Desk, options: dict[str, Any]) -> None:
    """The table is as it was before, and the run says why it failed."""
    desk.make([made(number) for number in range(80)])
    desk.run(**options)
    before = desk.rows()
    desk.put(made(1_000))
    desk.fake.faults.add("refuse", service="dynamodb", operation="Scan", nth=3, times=0)
    with pytest.raises(AccessDenied, match=r"dynamodb:Scan on the table"):
        desk.run(**options)
    assert desk.rows() == before
    desk.fake.faults.clear()
    assert desk.run(**options).rows_read == 81


def test_throttled_all_the_while_says_so(desk: Desk) -> None:
    """It is RetryLater, with DynamoDB's own word for it."""
    desk.make([made(1)])
    desk.fake.faults.add("throttle", service="dynamodb", operation="Scan", times=0)
    with pytest.raises(RetryLater) as told:
        desk.run()
    assert told.value.code == "ProvisionedThroughputExceededException"


def test_an_emptied_table_empties_only_where_that_is_allowed(desk: Desk) -> None:
    """The guard of every source."""
    items = [made(number) for number in range(5)]
    desk.make(items)
    desk.run()
    for one in items:
        desk.delete(one)
    with pytest.raises(Refused, match="the answer has no rows"):
        desk.run()
    assert len(desk.rows("pk, sk")) == 5
    desk.run(wish=Wish("documents", key=desk.key, allow_empty=True))
    assert desk.rows("pk, sk") == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"segments": 0}, "segments=0"),
        ({"limit": 0}, "limit=0"),
        ({"nested": "no"}, "nested='no'"),
        ({"streams": True, "filter": "a = b"}, "streams is given, and filter"),
        ({"from_export": "s3://b/x", "limit": 3}, "from_export is given, and limit"),
        ({"paths": {"a": ["b"]}}, "no columns"),
        ({"nonsense": 1}, "'nonsense' is no option"),
        ({"index": "none"}, "it has no index 'none'"),
        ({"read_capacity": 0.5}, "paid by request"),
        ({"read_capacity": -1}, "reads nothing"),
        ({"projection": "version, #s.x", "names": {"#s": "pk"}}, "leaves out sk, which is the table's key"),
        ({"streams": True}, "the table has none"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_options_that_cannot_be_meant_are_refused(desk: Desk, options: dict[str, Any], told: str) -> None:
    """Before anything is read."""
    desk.make([made(1)])
    with pytest.raises(FixConfig, match=told):
        desk.run(**options)


def test_a_missing_table_is_told_with_names_like_it(desk: Desk) -> None:
    """And nothing is named where nothing was."""
    name = desk.make()
    with pytest.raises(NotFound, match=name):
        desk.run(table=f"{name}x")
    with pytest.raises(FixConfig, match="no table is named"):
        open_source(registry.connect("dynamodb", "dynamodb://?region=eu-west-1"))  # type: ignore[arg-type]  # it is an account
    with pytest.raises(FixConfig, match="leads to no table"):
        registry.connect("dynamodb", "dynamodb://a/b")


def test_a_uri_leads_to_the_table(desk: Desk) -> None:
    """Its settings are those of the login; the registry knows who reads it."""
    name = desk.make([made(1)])
    uri = f"dynamodb://{name}?region=us-east-1"
    assert registry.reader_of(uri) == "dynamodb"
    account = registry.connect("dynamodb", uri)
    source = registry.open_source("dynamodb", account)
    assert source.survey(None).object == name
    account.close()


@pytest.mark.usefixtures("small_pages")
def test_an_index_is_scanned_as_a_table_is(desk: Desk) -> None:
    """It has the items that have its key."""
    index = {
        "IndexName": "by_name",
        "KeySchema": [{"AttributeName": "name", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    items = [{"pk": f"p{number}", "sk": number} | ({"name": f"n{number}"} if number % 2 else {}) for number in range(200)]
    desk.make(items, GlobalSecondaryIndexes=[index])
    assert desk.run(index="by_name", segments=2).rows_read == 100
    assert {int(row["sk"]) % 2 for row in desk.rows()} == {1}


def test_a_table_of_another_account_is_read_in_its_role(desk: Desk) -> None:
    """The URI names the role."""
    name = desk.make([made(1)])
    account = registry.connect("dynamodb", f"dynamodb://{name}?role=arn:aws:iam::123456789012:role/reader")
    assert registry.open_source("dynamodb", account).survey(None).object == name
    assert desk.fake.calls.count("sts.AssumeRole") > 0
    account.close()


def test_a_run_that_is_told_to_end_ends_between_two_pages(desk: Desk) -> None:
    """Also while all pages are brought first."""
    desk.make([made(number) for number in range(20)])
    halt = Halt()
    source = registry.open_source("dynamodb", desk.account().view(halt=halt), keep_pages=False)
    plan = decide(source.survey(None), _none(), wish=Wish("f", key=("pk",)))
    halt.call()
    with pytest.raises(Stop, match="the run was interrupted"):
        source.take_up(plan, journal=_Journal(), left=())


def test_items_are_read_again_by_their_key(desk: Desk) -> None:
    """In the columns of the plan, more of them than one call takes; those that are gone do not come."""
    desk.make([{"id": f"i{number}", "n": number} for number in range(130)], key=("id",))
    source = registry.open_source("dynamodb", desk.account())
    survey = source.survey(None)
    plan = decide(survey, _none(), wish=Wish("f", key=("id",)))
    found = [row for batch in source.again(plan, [f"i{number}" for number in range(100, 230)]) for row in _listed(batch.rows)]
    assert sorted(row["n"] for row in found) == list(range(100, 130))


@pytest.mark.parametrize("failing", [1, -1], ids=["some", "all"])
def test_keys_that_dynamodb_leaves_undone_are_asked_for_again_in_a_while(desk: Desk, failing: int) -> None:
    """Each time with a wait where it did none of them, and not for ever."""
    desk.make([{"id": f"i{number}", "n": number} for number in range(5)], key=("id",))
    waits: list[float] = []
    account = replace(desk.account(), pace=Pace(sleep=waits.append, chance=lambda: 0.5))
    source = registry.open_source("dynamodb", account)
    plan = decide(source.survey(None), _none(), wish=Wish("f", key=("id",)))
    whole, rounds = DynamoDB.batch_get, 2 if failing < 0 else 99

    def leaving(self: DynamoDB, table: str, keys: list[Any], **more: Any) -> bytes:
        nonlocal rounds
        rounds -= 1
        left = keys if failing < 0 else keys[:-1]
        if rounds < 0:
            return whole(self, table, keys, **more)
        found = json.loads(whole(self, table, keys[len(left) :], **more)) if len(left) < len(keys) else {"Responses": {}}
        return json.dumps({**found, "UnprocessedKeys": {table: {"Keys": left}} if left else {}}).encode()

    with replaced(DynamoDB, "batch_get", by=leaving):
        found = [row["n"] for batch in source.again(plan, [f"i{n}" for n in range(5)]) for row in _listed(batch.rows)]
        assert (sorted(found), len(waits)) == ([0, 1, 2, 3, 4], 2 if failing < 0 else 0)
        rounds = 10**9 if failing < 0 else rounds
        if failing < 0:
            with pytest.raises(RetryLater, match="leaves 1 key for later"):
                list(source.again(plan, ["i1"]))
            assert len(waits) < 20
            halt = Halt()
            ended = registry.open_source("dynamodb", account.view(halt=halt))
            ended.survey(None)
            halt.call()
            with pytest.raises(Stop, match="the run was interrupted"):
                list(ended.again(plan, ["i1"]))


def test_items_read_again_that_do_not_fit_are_rejections_and_their_keys_are_there(desk: Desk) -> None:
    """Whoever deletes what is gone looks at keys only, and does not take such an item for gone."""
    desk.make([{"id": "a", "v": 1}, {"id": "b", "v": "text"}], key=("id",))
    columns = Schema((Column("id", Kind.STRING), Column("v", Kind.INTEGER)), ("id",))
    source = registry.open_source("dynamodb", desk.account(), columns=columns)
    plan = decide(source.survey(None), _none(), wish=Wish("f", key=("id",)))
    (batch,) = source.again(plan, ["a", "b", "gone"])
    assert (_listed(batch.rows), len(batch.rejections)) == ([{"id": "a", "v": 1}], 1)
    (keys,) = source.again(replace(plan, schema=columns.select(["id"])), ["a", "b", "gone"])
    assert (sorted(row["id"] for row in _listed(keys.rows)), keys.rejections) == (["a", "b"], ())


def test_items_of_another_account_are_read_again_there(desk: Desk) -> None:
    """The table is asked by the name that was wanted, its ARN; by its bare name it would be one of ours."""
    desk.make([{"id": "a", "v": 1}], key=("id",))
    arn = desk.client.describe_table(TableName=desk.table)["Table"]["TableArn"]
    source = registry.open_source("dynamodb", desk.account(), table=arn)
    plan = decide(source.survey(None), _none(), wish=Wish("f", key=("id",)))
    whole, asked = DynamoDB.batch_get, []

    def watched(self: DynamoDB, table: str, keys: list[Any], **more: Any) -> bytes:
        asked.append(table)
        return whole(self, table, keys, **more)

    with replaced(DynamoDB, "batch_get", by=watched):
        assert [_listed(batch.rows) for batch in source.again(plan, ["a"])] == [[{"id": "a", "v": 1}]]
    assert asked == [arn]


def test_items_are_read_again_by_keys_of_every_type_and_not_through_a_filter(desk: Desk) -> None:
    """Bytes may be base64 already; whether an item passes a filter its key does not tell."""
    for tag, key in (("B", b"\x00\xff"), ("N", 7), ("S", "a")):
        name = new_name("table")
        schema = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
        desk.client.create_table(TableName=name, AttributeDefinitions=[{"AttributeName": "id", "AttributeType": tag}], **schema)
        desk.fake.fill_table(name, [wire({"id": key})])
        source = registry.open_source("dynamodb", desk.account(), table=name)
        plan = decide(source.survey(None), _none(), wish=Wish("f", key=("id",)))
        for given in (key, "AP8=") if isinstance(key, bytes) else (key,):
            assert [_listed(batch.rows) for batch in source.again(plan, [given])] == [[{"id": key}]]
    filtered = registry.open_source("dynamodb", desk.account(), table=name, filter="attribute_exists(id)")
    filtered.survey(None)
    with pytest.raises(FixConfig, match="passes the filter"):
        list(filtered.again(plan, ["a"]))


def test_a_page_that_is_fetched_once_more_has_a_place_in_the_columns_or_ends_the_run(desk: Desk) -> None:
    """It was damaged on the disk behind the pass that settled the columns; the run after that has what is new."""
    desk.make([{"id": name, "v": 1} for name in "abcde"], key=("id",))
    settled = DynamoDBSource._first_pass

    def then(self: DynamoDBSource, *given: Any, **named: Any) -> None:
        settled(self, *given, **named)
        for path in (desk.home / "spool").rglob("*.pages"):
            data = bytearray(path.read_bytes())
            data[10] ^= 1
            path.write_bytes(data)
        desk.put({"id": "a", "v": 2} | more)

    more: dict[str, Any] = {"brandnew": "value"}
    wish = Wish("documents", key=("id",))
    with replaced(DynamoDBSource, "_first_pass", by=then):
        with pytest.raises(RetryLater, match="no place for"):
            desk.run(wish=wish)
        more = {}
        assert desk.run(wish=wish).rows_read == 5
    assert [row["v"] for row in desk.rows()] == [2, 1, 1, 1, 1]


def test_a_table_that_everything_is_merged_into_is_told_so_each_time(desk: Desk) -> None:
    """Also where a later run says why everything is read again."""
    desk.make([made(number) for number in range(3)])
    uri, lake = f"dynamodb://{desk.table}", f"duckdb:///{desk.home}/lake.duckdb"
    table = TableCopy(desk.table, "raw.documents", mode="merge")
    for reason in ("", "its stream is not followed"):
        run = copy(uri, lake, table, settings=Settings(desk.home, desk.home / "spool"), name="f")
        assert run.plan is not None
        assert reason in run.plan.reasons[0]
        assert run.plan.reasons[0].endswith("merged by pk, sk; rows that are not read stay.")


def test_what_is_staged_is_held_against_what_came(desk: Desk) -> None:
    """A part that nobody read, or some rows less, is an error."""
    desk.make([made(number) for number in range(20)])
    source = registry.open_source("dynamodb", desk.account(), columns=DECLARED, segments=2)
    plan: Plan = source.take_up(decide(source.survey(None), _none(), wish=Wish("f", key=("pk",))), journal=_Journal(), left=())
    parts: list[Part] = list(source.parts(plan))
    assert [part.id for part in parts] == ["segment-000000", "segment-000001"]
    with pytest.raises(Truncated, match="2 of 2 parts were not read"):
        source.check(plan, [])


def test_items_come_with_where_they_lie(desk: Desk) -> None:
    """Their number counts from the beginning of the part."""
    desk.make([made(number) for number in range(20)])
    source: Any = registry.open_source("dynamodb", desk.account(), infer=False, segments=1, keep_pages=False)
    plan = source.take_up(decide(source.survey(None), _none(), wish=Wish("f", key=("pk",))), journal=_Journal(), left=())
    found: list[Items] = [one for part in source.parts(plan) for one in source.items(part)]
    assert [len(one.values) for one in found] == [20]
    assert source.calls == 2


@pytest.mark.parametrize(
    ("size", "wanted", "segments"),
    [(0, None, 4), (1_000, None, 1), (100 << 20, None, 4), (10 << 30, None, 80), (1 << 50, None, 1_000), (5, 3, 3)],
)
def test_segments_follow_the_size_of_the_table(size: int, wanted: int | None, segments: int) -> None:
    """Unless somebody says how many."""
    assert segments_of(Table("t", "", "ACTIVE", ("pk",), {"pk": "S"}, bytes=size), wanted) == segments


class _Journal:
    """Remembers nothing."""

    def intend(self, chunk: str, detail: object = None) -> None:
        json.dumps([chunk, detail])

    def remote(self, chunk: str, job_id: str) -> None:
        """Nothing."""

    def settle(self, chunk: str, outcome: object) -> None:
        """Nothing."""

    def open(self) -> list[Any]:
        return []


def _none() -> Any:
    from halocline.connector import Abilities

    return Abilities()


def _listed(rows: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


FLOW = """
flows:
  f:
    kind: tables
    from: env:SOURCE
    to: duckdb:///lake.duckdb
    tables:
      - from: {table}
        to: good
        options: {{filter: "amount > :a", values: {{":a": 1.5}}}}
      - from: {table}
        to: other
        options:
          nested: flatten
          {odd}
"""


def test_a_flows_options_are_checked_with_their_place(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `check`, with the line; what is right is run, and a number with decimals filters as it was written."""
    table = desk.make([made(number) for number in range(3)])
    monkeypatch.chdir(desk.home)
    monkeypatch.setenv("HALOCLINE_HOME", str(desk.home / "state"))
    monkeypatch.setenv("SOURCE", "dynamodb://?region=us-east-1")
    for odd, line in (('depth: "3"', 15), ("nonsense: 1", 15), ("depth: 1", None)):
        Path("halocline.yaml").write_text(FLOW.format(table=table, odd=odd))
        done = CliRunner().invoke(app, ["check", "--json"])
        found = next(told for told in map(json.loads, done.stdout.splitlines()) if told["name"] == "flow f")
        name = odd.partition(":")[0]
        assert (found["success"], found.get("place")) == (line is None, None if line is None else f"tables.1.options.{name}")
        assert line is None or (found["line"], found["exit_code"]) == (line, 2)
    shown = CliRunner().invoke(app, ["run", "f"])
    assert shown.exit_code == 0, shown.output
    with duckdb.connect("lake.duckdb") as lake:
        assert lake.execute("SELECT sk FROM good").fetchall() == [(2,)]


def test_a_reference_stands_for_the_uri_of_a_source(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first place of `copy` as in the second."""
    table = desk.make([made(1)])
    monkeypatch.setenv("SOURCE", "dynamodb://?region=us-east-1")
    monkeypatch.setenv("LAKE", f"duckdb:///{desk.home / 'lake.duckdb'}")
    for source in ("env:SOURCE", "env:LAKE"):
        run = copy(source, "env:LAKE", TableCopy(table, f"again.{table}"), ledger=MemoryLedger(), settings=Settings(desk.home))
        assert run.rows_read == 1
        table = f"again.{table}"
