"""The source as a whole, against the emulator: surveys, three ways to read, windows, deletions, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.connectors.salesforce.orgs import emulated
from tests.examples import examples

from halocline.batch import Op, Position
from halocline.connector import Abilities, Deletes, Manifest, Part, Plan, Survey
from halocline.connectors.salesforce.bulk import BulkUnsupported
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.connectors.salesforce.source import SalesforceSource, connect, open_source
from halocline.emulator.seed import seed
from halocline.emulator.server import Emulator
from halocline.errors import BadQuery, FixConfig, NotFound, SchemaConflict, Truncated
from halocline.events import Noticed
from halocline.plan import Thresholds, Wish, decide
from halocline.spool import Spool

WAYS = {"rest": Thresholds(10**6, 10**7), "bulk": Thresholds(0, 10**7), "bulk_stage": Thresholds(0, 0)}
START = datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)
USER = "005000000000001AAA"


@dataclass
class Reading:
    """What a read gave: rows, deletions, receipts, and the manifests that a destination would make."""

    plan: Plan
    survey: Survey
    rows: list[dict[str, Any]]
    table: pa.Table
    deleted: list[dict[str, Any]]
    receipts: set[str]
    manifests: list[Manifest]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool("test", tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def org() -> Iterator[tuple[Emulator, SalesforceClient]]:
    """An org with a custom object of every kind of field, and its own small Bulk pages. Tests use objects of their own."""
    with emulated(page_rows=40, schemas=(Path(__file__).parent / "thing.yaml",)) as (emulator, client):
        emulator.clock.freeze(START)
        seed(emulator.store, {"Account": 130, "Contact": 60})
        yield emulator, client


def planned(survey: Survey, way: str, *, deletes: Deletes = Deletes.SOFT, key: tuple[str, ...] = ("Id",)) -> Plan:
    plan = decide(survey, Abilities(), wish=Wish("flow", thresholds=WAYS[way], deletes=deletes, key=key))
    assert plan.api == way
    return plan


def take(source: SalesforceSource, way: str, *, since: Position | None = None, **wish: Any) -> Reading:
    """Survey, plan, read all parts through JSON as another process would, and check."""
    survey = source.survey(since)
    plan = planned(survey, way, **wish)
    batches, deleted, receipts, manifests = [], [], set(), []
    for part in source.parts(plan):
        rows = gone = 0
        for batch in source.read(Part(part.id, json.loads(json.dumps(part.spec)))):
            receipts |= set(map(str, batch.receipts))
            if batch.op is Op.DELETE:
                deleted += [row for one in batch.arrow() for row in one.to_pylist()]
                gone += batch.count
            else:
                batches += list(batch.arrow())
                rows += batch.count
        manifests.append(Manifest(part.id, rows, deletes=gone))
    source.check(plan, manifests)
    table = pa.Table.from_batches(batches, schema=plan.schema.arrow).combine_chunks().sort_by("Id")
    return Reading(plan, survey, table.to_pylist(), table, deleted, receipts, manifests)


def ids(reading: Reading) -> list[str]:
    return [row["Id"] for row in reading.rows]


# ---- three ways, one table


def test_rest_bulk_and_stage_give_the_same_table(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """Whatever the way, the Arrow tables are equal; Bulk comes in several pages and leaves a receipt."""
    readings = {way: take(SalesforceSource(org[1], "Account", spool=spool), way) for way in WAYS}
    assert readings["rest"].table.num_rows == 130
    assert readings["rest"].table.equals(readings["bulk"].table)
    assert readings["rest"].table.equals(readings["bulk_stage"].table)
    assert len(readings["bulk"].manifests) == 4
    assert readings["rest"].receipts == set()
    assert len(readings["bulk"].receipts) == 1


def test_only_staged_pages_stay_in_the_spool(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """A page that was parsed is deleted; one that the destination takes as it is stays until the run ends."""
    take(SalesforceSource(org[1], "Account", spool=spool), "bulk")
    assert list(spool.path.iterdir()) == []
    take(SalesforceSource(org[1], "Account", spool=spool), "bulk_stage")
    assert len(list(spool.path.iterdir())) == 4


def test_a_run_makes_one_job_and_ack_deletes_it(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """The job stays until its rows are durable; letting go of it twice is harmless."""
    client = org[1]
    before = _jobs(client)
    source = SalesforceSource(client, "Account", spool=spool)
    reading = take(source, "bulk")
    assert _jobs(client) - before == reading.receipts
    source.ack(sorted(reading.receipts))
    source.ack(sorted(reading.receipts))
    assert _jobs(client) == before


def test_an_org_without_a_list_of_pages_is_read_by_locators(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """Where resultPages is not there, the chain of locators gives the same table in one part."""
    emulator, client = org
    whole = take(SalesforceSource(client, "Account", spool=spool), "rest")
    fault = emulator.faults.add(
        "answer", path="resultPages", times=0, status=404, body='[{"errorCode":"NOT_FOUND","message":"x"}]'
    )
    try:
        for way in ("bulk", "bulk_stage"):
            chained = take(SalesforceSource(client, "Account", spool=spool), way)
            assert chained.table.equals(whole.table)
            assert [manifest.part for manifest in chained.manifests] == ["pages"]
    finally:
        emulator.faults.remove(fault)


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_object_is_no_rows(way: str, org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """Nothing to read is no failure, by any way."""
    reading = take(SalesforceSource(org[1], "Campaign", spool=spool), way)
    assert reading.rows == []
    assert reading.survey.estimated_rows == 0


# ---- text and types

AWKWARD = ["a\r\nb", "\r", 'say "hi"\n"', "a,b", "NA", "null", "nan", "#N/A", "None", "\t", "日本𝔘", "x" * 131_072, "\r\n" * 3000]


@pytest.mark.parametrize("way", WAYS)
def test_text_and_values_equal_the_orgs(way: str, org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """Every awkward text, and a value of every type, is in the table as it is in the org; empty and missing are null."""
    emulator, client = org
    thing = emulator.store.catalog.get("Thing__c")
    assert thing is not None
    stored = {}
    values = {
        "Amount__c": 1234.5,
        "Count__c": 7.0,
        "Share__c": 12.25,
        "Day__c": "2024-02-29",
        "At__c": "2024-02-29T01:02:03.000Z",
    }
    for text in [*AWKWARD, "", None]:
        record = emulator.store.insert(thing, {"Text__c": text, **values, "Time__c": "10:20:30.000Z"}, user_id=USER)
        stored[record] = text or None
    reading = take(SalesforceSource(client, "Thing__c", spool=spool), way)
    assert {row["Id"]: row["Text__c"] for row in reading.rows if row["Id"] in stored} == stored
    row = next(row for row in reading.rows if row["Id"] in stored)
    assert row["Amount__c"] == Decimal("1234.50")
    assert row["Count__c"] == 7
    assert row["Share__c"] == Decimal("12.25")
    assert str(row["Day__c"]) == "2024-02-29"
    assert row["At__c"] == datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC)
    assert str(row["Time__c"]) == "10:20:30"


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40), min_size=1, max_size=8))
def test_any_text_comes_by_rest_and_bulk_as_it_was(
    texts: list[str], org: tuple[Emulator, SalesforceClient], spool: Spool
) -> None:
    """Property over the whole way: store -> REST and Bulk -> Arrow."""
    emulator, client = org
    thing = emulator.store.catalog.get("Thing__c")
    assert thing is not None
    stored = {emulator.store.insert(thing, {"Text__c": text}, user_id=USER): text or None for text in texts}
    for way in ("rest", "bulk"):
        reading = take(SalesforceSource(client, "Thing__c", spool=spool, fields=["Text__c"]), way)
        assert {row["Id"]: row["Text__c"] for row in reading.rows if row["Id"] in stored} == stored


@pytest.mark.parametrize("way", ["rest", "bulk"])
def test_a_number_with_more_decimals_than_described_is_not_rounded(
    way: str, org: tuple[Emulator, SalesforceClient], spool: Spool
) -> None:
    """It stops the load and names the setting; with that setting the value comes as a double."""
    emulator, client = org
    thing = emulator.store.catalog.get("Thing__c")
    assert thing is not None
    record = emulator.store.insert(thing, {"Amount__c": 1.005}, user_id=USER)
    where = f"Id = '{record}'"
    with pytest.raises(SchemaConflict, match=r'Thing__c\.Amount__c.*1\.005.*numbers="double"'):
        take(SalesforceSource(client, "Thing__c", spool=spool, where=where), way)
    reading = take(SalesforceSource(client, "Thing__c", spool=spool, where=where, numbers="double"), way)
    assert [row["Amount__c"] for row in reading.rows] == [1.005]


# ---- windows and deletions


@dataclass
class Field:
    """An org with a clock in our hands and one object to play with."""

    emulator: Emulator
    client: SalesforceClient

    def insert(self, **values: Any) -> str:
        return self.emulator.store.insert(self._sobject, {"LastName": "x", **values}, user_id=USER)

    def update(self, record: str, **values: Any) -> None:
        self.emulator.store.update(self._sobject, record, values, user_id=USER)

    def delete(self, record: str) -> None:
        self.emulator.store.delete(self._sobject, record, user_id=USER)

    def purge(self, record: str) -> None:
        self.emulator.store.purge(self._sobject, record)

    @property
    def _sobject(self) -> Any:
        return self.emulator.store.catalog.get("Lead")


@pytest.fixture
def playing() -> Iterator[Field]:
    with emulated() as (emulator, client):
        emulator.clock.freeze(START)
        yield Field(emulator, client)


@pytest.mark.parametrize("way", WAYS)
def test_a_later_read_takes_what_changed(way: str, playing: Field, spool: Spool) -> None:
    """After the overlap has passed, just the rows changed since come; the estimate is their number."""
    old, changed = playing.insert(), playing.insert()
    playing.emulator.clock.advance(3600)
    source = SalesforceSource(playing.client, "Lead", spool=spool)
    first = take(source, way)
    assert sorted(ids(first)) == sorted([old, changed])
    playing.emulator.clock.advance(3600)
    playing.update(changed, Company="new")
    later = take(source, way, since=first.survey.next_position)
    assert ids(later) == [changed]
    assert later.survey.estimated_rows == 1
    assert later.survey.window[0] == "2026-11-21T11:10:30Z"  # ten minutes before the first read


def test_rows_of_the_same_second_are_not_lost(playing: Field, spool: Spool) -> None:
    """A row made in the second of the first read, after it, comes with the next one, even without overlap."""
    source = SalesforceSource(playing.client, "Lead", spool=spool, overlap_s=0)
    before = playing.insert()
    first = take(source, "rest")
    same_second = playing.insert()
    later = take(source, "rest", since=first.survey.next_position)
    assert set(ids(later)) >= {same_second}
    assert ids(first) == [before]


def test_a_late_commit_is_found(playing: Field, spool: Spool) -> None:
    """A transaction open during a read holds the position back to its start, so its rows come with the next read."""
    store = playing.emulator.store
    lead: Any = store.catalog.get("Lead")
    transaction = store.begin()
    late = store.insert(lead, {"LastName": "late", "Company": "x"}, user_id=USER, transaction=transaction)
    playing.emulator.clock.advance(1800)
    source = SalesforceSource(playing.client, "Lead", spool=spool, overlap_s=0)
    first = take(source, "rest")
    assert ids(first) == []
    store.commit(transaction)
    playing.emulator.clock.advance(1800)
    assert ids(take(source, "rest", since=first.survey.next_position)) == [late]


def test_rows_of_the_future_wait_for_the_next_read(playing: Field, spool: Spool) -> None:
    """The bound is fixed before the query starts: what is stamped after it is left for the next window."""
    source = SalesforceSource(playing.client, "Lead", spool=spool)
    playing.insert()
    position = take(source, "rest").survey.next_position
    survey = source.survey(position)
    playing.emulator.clock.advance(5)
    future = playing.insert()
    batches = [batch for part in source.parts(planned(survey, "rest")) for batch in source.read(part)]
    assert future not in {row["Id"] for batch in batches for one in batch.arrow() for row in one.to_pylist()}
    assert future in ids(take(source, "rest", since=survey.next_position))


@pytest.mark.parametrize("deletes", [Deletes.SOFT, Deletes.HARD])
def test_deletions_come_as_rows_and_as_ids(deletes: Deletes, playing: Field, spool: Spool) -> None:
    """A row in the recycle bin comes flagged; one that vanished comes as its id with the instant of its deletion."""
    binned, vanished = playing.insert(), playing.insert()
    source = SalesforceSource(playing.client, "Lead", spool=spool, deletes=deletes)
    first = take(source, "rest", deletes=deletes)
    playing.emulator.clock.advance(3600)
    playing.delete(binned)
    playing.delete(vanished)
    playing.purge(vanished)
    for way in WAYS:
        later = take(source, way, since=first.survey.next_position, deletes=deletes)
        assert [(row["Id"], row["IsDeleted"]) for row in later.rows] == [(binned, True)]
        gone = {row["Id"]: row["SystemModstamp"] for row in later.deleted}
        assert gone == dict.fromkeys((binned, vanished), datetime(2026, 11, 21, 11, 20, 30, tzinfo=UTC))
        assert later.plan.delete_flag == "IsDeleted"


def test_ignored_deletions_are_not_asked_for(playing: Field, spool: Spool) -> None:
    """With deletes ignored neither flagged rows nor ids come, and the flag is not used."""
    binned, kept = playing.insert(), playing.insert()
    playing.delete(binned)
    source = SalesforceSource(playing.client, "Lead", spool=spool, deletes=Deletes.IGNORE)
    first = take(source, "rest", deletes=Deletes.IGNORE)
    assert ids(first) == [kept]
    assert first.plan.delete_flag is None
    playing.delete(kept)
    later = take(source, "bulk", since=first.survey.next_position, deletes=Deletes.IGNORE)
    assert (later.rows, later.deleted) == ([], [])


def test_a_full_read_needs_no_list_of_deletions(playing: Field, spool: Spool) -> None:
    """Its table is replaced, so there is nothing to delete from."""
    vanished = playing.insert()
    playing.delete(vanished)
    playing.purge(vanished)
    assert take(SalesforceSource(playing.client, "Lead", spool=spool), "rest").deleted == []


def test_deletions_by_id_are_of_no_use_to_another_key(playing: Field, spool: Spool) -> None:
    """Where rows are matched by something else than Id, the list cannot be applied, and that is told."""
    told: list[Any] = []
    gone = playing.insert()
    source = SalesforceSource(playing.client, "Lead", spool=spool, sink=told.append)
    first = take(source, "rest")
    playing.delete(gone)
    assert take(source, "rest", since=first.survey.next_position, key=("Email",)).deleted == []
    assert [event for event in told if isinstance(event, Noticed) and "Email" in event.message]


def test_a_new_field_or_setting_reads_everything_again(playing: Field, spool: Spool) -> None:
    """Old rows must get the new field's values; another condition or way with deletes means other rows."""
    playing.insert()
    narrow = SalesforceSource(playing.client, "Lead", spool=spool, fields=["Company"]).survey(None).next_position
    wide = SalesforceSource(playing.client, "Lead", spool=spool, fields=["Company", "Email"]).survey(narrow)
    assert "Email" in (wide.full_reason or "")
    assert wide.window[0] is None
    other = SalesforceSource(playing.client, "Lead", spool=spool, fields=["Company"], where="Company != 'x'").survey(narrow)
    assert "where" in (other.full_reason or "")


def test_deletions_that_salesforce_does_not_list_any_more_mean_a_full_read(playing: Field, spool: Spool) -> None:
    """When the list is refused, the rows that vanished can only be found by reading everything."""
    playing.insert()
    source = SalesforceSource(playing.client, "Lead", spool=spool)
    position = source.survey(None).next_position
    body = '[{"errorCode":"EXCEEDED_ID_LIMIT","message":"too many"}]'
    playing.emulator.faults.add("answer", path="/deleted", times=0, status=400, body=body)
    survey = source.survey(position)
    assert "EXCEEDED_ID_LIMIT" in (survey.full_reason or "")
    assert survey.complete_until is None
    assert survey.next_position["stamp"] == "2026-11-21T10:10:30Z"  # the clock less the lag


@pytest.mark.parametrize(("status", "code"), [(403, "INSUFFICIENT_ACCESS"), (404, "NOT_FOUND")])
def test_a_list_of_deletions_that_is_closed_to_us_costs_full_reads_only(
    status: int, code: str, playing: Field, spool: Spool
) -> None:
    """Without the right to the list every read is a full one while deletions matter, and a windowed one while they do not."""
    playing.insert()
    body = json.dumps([{"errorCode": code, "message": "no"}])
    playing.emulator.faults.add("answer", path="/deleted", times=0, status=status, body=body)
    for deletes, reason in ((Deletes.SOFT, code), (Deletes.IGNORE, None)):
        source = SalesforceSource(playing.client, "Lead", spool=spool, deletes=deletes)
        survey = source.survey(source.survey(None).next_position)
        assert (survey.full_reason is None) is (reason is None)
        assert (reason or "") in (survey.full_reason or "")
        assert survey.next_position["stamp"] == "2026-11-21T10:10:30Z"  # the clock less the lag


def test_a_deletion_leaves_a_creation_date_alone(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """Where CreatedDate is the cursor, a deletion brings the key alone: its instant is no creation date."""
    source = SalesforceSource(org[1], "Log", spool=spool)
    sobject: Any = org[0].store.catalog.get("Log")
    gone = org[0].store.insert(sobject, {"What": "x"}, user_id=USER)
    first = take(source, "rest")
    org[0].store.delete(sobject, gone, user_id=USER)
    later = take(source, "rest", since=first.survey.next_position)
    assert later.survey.cursor == "CreatedDate"
    assert later.deleted == [{"Id": gone}]


@pytest.mark.parametrize("bulk", [True, False])
def test_a_condition_that_no_address_holds(org: tuple[Emulator, SalesforceClient], spool: Spool, *, bulk: bool) -> None:
    """It is counted, and read by Bulk; by REST where Bulk is not possible."""
    emulator, client = org
    sobject: Any = emulator.store.catalog.get("Account" if bulk else "Stubborn__c")
    made = [emulator.store.insert(sobject, {"Name": f"w{n:08}"}, user_id=USER) for n in (1, 2, 9_999)]
    where = "Name IN ('" + "', '".join(f"w{n:08}" for n in range(1_400)) + "')"
    reading = SalesforceSource(client, sobject.name, spool=spool, fields=["Name"], where=where)
    survey = reading.survey(None)
    assert survey.estimated_rows == 2
    plan = decide(replace(survey, abilities=replace(survey.abilities, bulk=bulk)), Abilities(), wish=Wish("flow"))
    assert plan.api == ("bulk" if bulk else "rest")
    parts = [batch for part in reading.parts(plan) for batch in reading.read(part)]
    assert sorted(row["Id"] for batch in parts for some in batch.arrow() for row in some.to_pylist()) == sorted(made[:2])
    for one in made:
        emulator.store.purge(sobject, one)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Account", ""),
        ("Untold", "keeps no list of this object's deletions; rows that vanish from the recycle bin are not seen"),
        ("Group", "neither flags nor lists this object's deletions, so a later sync sees none"),
        ("Bare", ""),
    ],
)
def test_deletions_that_nobody_sees_are_told(org: tuple[Emulator, SalesforceClient], spool: Spool, name: str, told: str) -> None:
    """Those that vanish from the bin, or all of them; not where everything is read each time, or deletes do not matter."""
    for deletes in Deletes:
        notes = SalesforceSource(org[1], name, spool=spool, deletes=deletes).survey(None).notes
        found = [note for note in notes if "deletions" in note]
        assert len(found) == (1 if told and deletes is not Deletes.IGNORE else 0)
        assert all(told in note for note in found)


def test_a_condition_that_records_may_cease_to_meet_is_told(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """A windowed read does not see them go, and the survey says so; without a condition there is nothing to say."""
    with_where = SalesforceSource(org[1], "Account", spool=spool, where="Name != 'x'").survey(None).notes
    assert [note for note in with_where if "where clause" in note]
    assert not [note for note in SalesforceSource(org[1], "Account", spool=spool).survey(None).notes if "where clause" in note]


def test_where_cannot_escape_the_window(playing: Field, spool: Spool) -> None:
    """`A OR B` is in parentheses: a row outside of the window stays outside, and the estimate knows the condition."""
    playing.insert(Company="a")
    playing.emulator.clock.advance(3600)
    source = SalesforceSource(playing.client, "Lead", spool=spool, where="Company = 'a' OR Company = 'b'")
    first = take(source, "rest")
    playing.emulator.clock.advance(3600)
    fresh = playing.insert(Company="b")
    playing.insert(Company="c")
    later = take(source, "bulk", since=first.survey.next_position)
    assert ids(later) == [fresh]
    assert later.survey.estimated_rows == 1


# ---- what goes wrong


def test_a_misspelt_object_is_told_with_near_names(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """The org's own list of objects gives the suggestions."""
    with pytest.raises(NotFound) as told:
        SalesforceSource(org[1], "Acount", spool=spool).survey(None)
    assert told.value.suggestions[0] == "Account"


def test_a_condition_that_salesforce_does_not_understand_is_hinted_at(
    org: tuple[Emulator, SalesforceClient], spool: Spool
) -> None:
    """The words for a bad query say nothing of where the query came from; the hint does."""
    with pytest.raises(BadQuery) as told:
        SalesforceSource(org[1], "Account", spool=spool, where="Industry =").survey(None)
    assert (told.value.code, told.value.hint[:24]) == ("MALFORMED_QUERY", "Look at the where clause")


def test_a_misspelt_field_in_a_condition_is_told_with_near_names(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """Salesforce names the field, the describe knows what was meant."""
    with pytest.raises(NotFound) as told:
        SalesforceSource(org[1], "Account", spool=spool, where="Indutry = 'x'").survey(None)
    assert "Industry" in told.value.suggestions


def test_bad_options_are_told_before_anything_is_sent(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """Names, conditions and settings are checked when the source is made."""
    calls = org[1].transport.usage.calls
    with pytest.raises(BadQuery):
        SalesforceSource(org[1], "Account; DELETE", spool=spool)
    with pytest.raises(BadQuery):
        SalesforceSource(org[1], "Account", spool=spool, where="A = 1 LIMIT 1")
    with pytest.raises(FixConfig):
        SalesforceSource(org[1], "Account", spool=spool, numbers="float")
    with pytest.raises(FixConfig):
        SalesforceSource(org[1], "Account", spool=spool, overlap_s=-1)
    assert org[1].transport.usage.calls == calls


def test_an_object_that_bulk_refuses_is_planned_again(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """The refusal comes before any row and names the ability; the same source then reads by REST."""
    source = SalesforceSource(org[1], "Stubborn__c", spool=spool)
    survey = source.survey(None)
    with pytest.raises(BulkUnsupported, match="not supported by the Bulk API") as told:
        list(source.parts(planned(survey, "bulk")))
    fewer = replace(survey, abilities=replace(survey.abilities, bulk=False, bulk_reason=told.value.cause))
    plan = decide(fewer, Abilities(), wish=Wish("flow", thresholds=WAYS["bulk"]))
    assert plan.api == "rest"
    assert [part.id for part in source.parts(plan)] == ["rows"]


def test_a_page_with_rows_missing_is_fetched_again(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """One page that ends early is noticed and the table is whole all the same; if it stays so, nothing is taken for whole."""
    emulator, client = org
    emulator.faults.add("truncate_rows", path="/results", nth=2, rows=7)
    assert len(take(SalesforceSource(client, "Account", spool=spool), "bulk").rows) == 130
    fault = emulator.faults.add("truncate_rows", path="/results", times=0, rows=7)
    try:
        with pytest.raises(Truncated, match="7 of 40 rows"):
            take(SalesforceSource(client, "Account", spool=spool), "bulk")
    finally:
        emulator.faults.remove(fault)


def _without(manifests: Sequence[Manifest]) -> list[Manifest]:
    return list(manifests[:-1])


def _shorter(manifests: Sequence[Manifest]) -> list[Manifest]:
    return [*manifests[:-1], replace(manifests[-1], rows=manifests[-1].rows - 1)]


@pytest.mark.parametrize("spoil", [_without, _shorter], ids=["a part missing", "a row missing"])
def test_check_finds_what_was_not_staged(spoil: Any, org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """Rows staged are held against the job's own count, and parts against the parts that there were."""
    source = SalesforceSource(org[1], "Account", spool=spool)
    reading = take(source, "bulk")
    with pytest.raises(Truncated):
        source.check(reading.plan, spoil(reading.manifests))


def test_check_finds_deletions_that_were_not_staged(playing: Field, spool: Spool) -> None:
    """The number of deletions staged is the number that Salesforce listed."""
    gone = playing.insert()
    source = SalesforceSource(playing.client, "Lead", spool=spool)
    first = take(source, "rest")
    playing.delete(gone)
    reading = take(source, "rest", since=first.survey.next_position)
    with pytest.raises(Truncated, match="0 of 1 deletion"):
        source.check(reading.plan, [replace(manifest, deletes=0) for manifest in reading.manifests])


def test_a_source_opens_on_a_login(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """What the registry hands on - a dict of token and address - is enough; so is a client."""
    client = org[1]
    token = client.transport.session.token()
    info = {"access_token": token.access_token, "instance_url": token.instance_url}
    with connect(info) as other:
        for one in (other, connect(client)):
            assert open_source(one, sobject="Contact", spool=spool, overlap_s=1.0).survey(None).estimated_rows == 60


def _jobs(client: SalesforceClient) -> set[str]:
    return {one["id"] for one in client.transport.send("GET", "jobs/query").json()["records"]}


def test_a_count_that_takes_too_long_is_replaced_by_salesforces_own(org: tuple[Emulator, SalesforceClient], spool: Spool) -> None:
    """A very large object is not counted in time: the cached figure chooses the way, the plan says so, the rows are all read."""
    emulator, client = org
    body = '[{"message":"Your query request was running for too long.","errorCode":"QUERY_TIMEOUT"}]'
    fault = emulator.faults.add("answer", path="/query(All)?/?$", times=3, status=400, body=body)
    try:
        source = SalesforceSource(client, "Contact", spool=spool)
        survey = source.survey(None)
    finally:
        emulator.faults.remove(fault)
    assert survey.estimated_rows == 60
    assert [note for note in survey.notes if "cached count" in note]
    assert len(take(SalesforceSource(client, "Contact", spool=spool), "bulk_stage").rows) == 60
