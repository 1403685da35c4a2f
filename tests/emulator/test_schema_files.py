"""Laws of schema files: what a line of YAML makes of an org, and what no org can hold."""

from pathlib import Path

import pytest

from halocline.emulator.objects import Field, SObject
from halocline.emulator.schema_files import load_catalog, objects_of

INVOICE = Path(__file__).with_name("invoice.yaml")
STANDARD = {
    "Account": "001",
    "Campaign": "701",
    "Case": "500",
    "Contact": "003",
    "Event": "00U",
    "Group": "00G",
    "Lead": "00Q",
    "Opportunity": "006",
    "OpportunityContactRole": "00K",
    "OpportunityLineItem": "00k",
    "Organization": "00D",
    "Pricebook2": "01s",
    "PricebookEntry": "01u",
    "Product2": "01t",
    "QueueSobject": "03g",
    "RecordType": "012",
    "Task": "00T",
    "User": "005",
}


def sobject(name: str, *extra: Path) -> SObject:
    found = load_catalog(extra).get(name)
    assert found is not None
    return found


def field(name: str, *extra: Path) -> Field:
    parent, _, own = name.partition(".")
    found = sobject(parent, *extra).field(own)
    assert found is not None
    return found


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"mine\.yaml") as caught:
        load_catalog([path])
    return str(caught.value)


def test_the_standard_objects_are_packaged() -> None:
    """The packaged catalog holds the standard objects under their real key prefixes, in order of name."""
    catalog = load_catalog()
    assert {entry.name: entry.key_prefix for entry in catalog} == STANDARD
    assert [entry.name for entry in catalog] == sorted(STANDARD)


def test_every_standard_object_has_the_fields_of_bookkeeping() -> None:
    """Each object has an Id first and the five audit fields, and references to users by id and relationship.

    QueueSobject is never changed, so it has no modified fields. Source: Object Reference, "QueueSobject".
    """
    for entry in (one for one in load_catalog() if one.name != "QueueSobject"):
        assert next(iter(entry.fields)) == "id", entry.name
        for name in ("createddate", "createdbyid", "lastmodifieddate", "lastmodifiedbyid", "systemmodstamp"):
            assert not entry.fields[name].nillable, (entry.name, name)
        assert entry.relationship("LastModifiedBy") == entry.fields["lastmodifiedbyid"]


def test_every_object_has_exactly_one_name_field() -> None:
    """Each object says which one field is its name; only OpportunityContactRole has none."""
    names = {entry.name: [f.name for f in entry.fields.values() if f.name_field] for entry in load_catalog()}
    assert names.pop("OpportunityContactRole") == []
    assert all(len(found) == 1 for found in names.values()), names


def test_an_address_stands_for_its_components() -> None:
    """One line makes eight stored components and the compound behind them, which itself is not stored."""
    account = sobject("Account")
    parts = [f.name for f in account.fields.values() if f.compound == "BillingAddress"]
    assert parts == [
        f"Billing{part}"
        for part in ["Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude", "GeocodeAccuracy"]
    ]
    assert account.fields["billingaddress"].is_compound
    assert "BillingAddress" not in {f.name for f in account.stored_fields()}


def test_a_custom_object_gains_the_fields_that_all_have() -> None:
    """A custom object has Id, owner, deletion flag, Name, audit and viewed fields before its own."""
    names = [f.name for f in sobject("Invoice__c", INVOICE).fields.values()]
    assert names[:4] == ["Id", "OwnerId", "IsDeleted", "Name"]
    assert names[4:11] == [
        "CreatedDate",
        "CreatedById",
        "LastModifiedDate",
        "LastModifiedById",
        "SystemModstamp",
        "LastViewedDate",
        "LastReferencedDate",
    ]
    assert names[11] == "Account__c"


def test_a_detail_has_a_master_and_no_owner() -> None:
    """A master reference is required, fixed and cascading, and takes the owner's place."""
    line = sobject("Invoice_Line__c", INVOICE)
    master = line.field("Invoice__c")
    assert master is not None
    assert (master.nillable, master.updateable, master.cascade_delete) == (False, False, True)
    assert line.field("OwnerId") is None


def test_custom_relationships_end_in_r() -> None:
    """A custom reference is followed by `__r` in both directions."""
    account = field("Invoice__c.Account__c", INVOICE)
    assert account.relationship_name == "Account__r"
    assert account.child_relationship_name == "Invoices__r"
    child = next(c for c in load_catalog([INVOICE]).children("Account") if c.child_sobject == "Invoice__c")
    assert (child.field, child.relationship_name, child.restricted_delete) == ("Account__c", "Invoices__r", True)


def test_prefixes_of_custom_objects_are_dealt_in_turn() -> None:
    """Custom objects without a prefix get the first free ones from a00."""
    assert sobject("Invoice__c", INVOICE).key_prefix == "a00"
    assert sobject("Invoice_Line__c", INVOICE).key_prefix == "a01"


def test_sizes_and_flags_are_read_from_the_type() -> None:
    """`currency(16,2) required` and its like say type, size and flags in one text."""
    amount = field("Invoice__c.Amount__c", INVOICE)
    assert (amount.type, amount.precision, amount.scale, amount.nillable, amount.custom) == ("currency", 16, 2, False, True)
    key = field("Invoice__c.External_Key__c", INVOICE)
    assert (key.length, key.external_id, key.unique, key.case_sensitive) == (40, True, True, True)
    assert field("Invoice__c.Items__c", INVOICE).digits == 6
    assert field("Invoice__c.External_Key__c", INVOICE).label == "External Key"


def test_a_formula_is_calculated_and_read_only() -> None:
    """A field with a formula can be neither created nor updated."""
    total = field("Invoice__c.Total__c", INVOICE)
    assert (total.calculated, total.createable, total.updateable) == (True, False, False)
    assert total.formula is not None
    assert total.formula.startswith("Amount__c")


def test_a_picklist_knows_its_default() -> None:
    """The default value is marked in the picklist, and makes the field defaulted on create."""
    status = field("Invoice__c.Status__c", INVOICE)
    assert [(v.value, v.label, v.default) for v in status.picklist] == [
        ("Draft", "Draft", True),
        ("sent", "Sent to customer", False),
        ("Paid", "Paid", False),
    ]
    assert (status.default, status.defaulted_on_create, status.restricted_picklist) == ("Draft", True, True)


def test_a_location_stands_for_its_coordinates() -> None:
    """A custom location is stored as a latitude and a longitude."""
    invoice = sobject("Invoice__c", INVOICE)
    parts = [f.name for f in invoice.fields.values() if f.compound == "Depot__c"]
    assert parts == ["Depot__Latitude__s", "Depot__Longitude__s"]


def test_fields_are_added_to_a_standard_object_for_that_catalog_only() -> None:
    """An extra file adds custom fields behind the standard ones, named in any case, and other catalogs do not see them."""
    names = [f.name for f in sobject("Account", INVOICE).fields.values()]
    assert names[-2:] == ["Customer_Number__c", "Net_Worth__c"]
    assert sobject("Account").field("Customer_Number__c") is None


def test_an_empty_file_adds_nothing(tmp_path: Path) -> None:
    """A file without documents is no error."""
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing yet\n", encoding="utf-8")
    assert len(load_catalog([path])) == len(STANDARD)


def test_a_complete_document_is_the_whole_object(tmp_path: Path) -> None:
    """It takes the place of an object of that name, its fields are all there are, and later files may add to it."""
    folder = tmp_path / "schemas"
    folder.mkdir()
    complete = 'object: Account\ncomplete: true\nprefix: "001"\nfields: {Id: id, Name: string(5), Where: address}\n'
    (folder / "a.yaml").write_text(complete, encoding="utf-8")
    (folder / "b.yaml").write_text("object: Account\nfields: {More__c: date}\n", encoding="utf-8")
    (folder / "c.yaml").write_text("object: Bare__c\ncomplete: true\nfields: {Id: id}\n", encoding="utf-8")
    (folder / "notes.txt").write_text("no schema", encoding="utf-8")
    catalog = load_catalog([folder])
    account, bare = catalog.get("Account"), catalog.get("Bare__c")
    assert account is not None
    assert bare is not None
    assert [one.name for one in account.fields.values()] == ["Id", "Name", "Where", "More__c"]
    assert list(bare.fields) == ["id"]
    assert len(catalog) == len(STANDARD) + 1


def test_files_say_what_they_define_and_how_many_records_it_starts_with(tmp_path: Path) -> None:
    """Of every document in every file; none where nothing is said."""
    path = tmp_path / "mine.yaml"
    text = "object: A__c\nrecords: 4\n---\nobject: Account\nfields: {B__c: date}\n---\nobject: A__c\nfields: {C__c: date}\n"
    path.write_text(text, encoding="utf-8")
    assert load_catalog([tmp_path]).get("A__c") is not None
    assert objects_of([path]) == objects_of([tmp_path]) == {"A__c": 4, "Account": 0}


def test_a_folder_without_schemas_is_refused(tmp_path: Path) -> None:
    """Most likely another one was meant."""
    with pytest.raises(ValueError, match=r"no \*\.yaml file"):
        load_catalog([tmp_path])


def test_a_picklist_value_can_be_written_out(tmp_path: Path) -> None:
    """Label, whether it is active or the default, and for which values of another field it may be chosen."""
    path = tmp_path / "mine.yaml"
    values = "[{value: a, label: A, valid_for: gAAA}, {value: b, active: false}, {value: c, default: true}, {value: label}, d]"
    path.write_text(f"object: A__c\nfields: {{B__c: {{type: picklist, values: {values}}}}}\n", encoding="utf-8")
    picklist = field("A__c.B__c", path).picklist
    assert [(one.value, one.label, one.active, one.default, one.valid_for) for one in picklist] == [
        ("a", "A", True, False, "gAAA"),
        ("b", "b", False, False, None),
        ("c", "c", True, True, None),
        ("value", "label", True, False, None),
        ("d", "d", True, False, None),
    ]


def test_describe_keys_that_are_attributes_change_the_field(tmp_path: Path) -> None:
    """What `describe` says of a field's nature holds for its records too, and not only for how it is shown."""
    path = tmp_path / "mine.yaml"
    text = "object: A__c\nfields: {B__c: {type: boolean, describe: {nillable: true, length: 3, mask: x}}}\n"
    path.write_text(text, encoding="utf-8")
    found = field("A__c.B__c", path)
    assert (found.nillable, found.length, found.overrides) == (True, 3, {"mask": "x"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("object: A__c\nfields: {B__c: strin(3)}", ["A__c.B__c", "strin(3)", "string"]),
        ("object: A__c\nfields: {B__c: string(3) requird}", ["A__c.B__c", "requird"]),
        ("object: A__c\nfields: {B__c: {type: string, lable: x}}", ["A__c.B__c", "lable", "label"]),
        ("object: A__c\nfields: {B__c: reference}", ["A__c.B__c", "to"]),
        ("object: A__c\nfields: {B__c: {type: reference, to: Account, on_delete: explode}}", ["A__c.B__c", "explode"]),
        ("object: A__c\nfields: {B__c: {type: picklist, values: $nothing}}", ["A__c.B__c", "$nothing"]),
        ("object: A__c\nfields: {B__c: {type: picklist, values: [yes]}}", ["A__c.B__c", "quote"]),
        ("object: A__c\nfields: {B__c: {type: picklist, values: [a], default: b}}", ["A__c.B__c", "'b'"]),
        ("object: A__c\nfields: {B__c: 3}", ["A__c.B__c", "3"]),
        ("object: A__c\nfields: {B__c: string, B__c: date}", ["B__c", "twice"]),
        ("object: A__c\nfeilds: {B__c: string}", ["A__c", "feilds"]),
        ("object: A__c\nprefix: '001'", ["A__c", "001"]),
        ("object: A__c\nprefix: a", ["A__c", "'a'"]),
        ("object: Thing", ["Thing", "prefix"]),
        ("object: Account\nfields: {Name: string}", ["Account.Name", "exists"]),
        ("object: Account\nfields: {Colour: string}", ["Account.Colour", "__c"]),
        ("object: Account\nlabel: Firm", ["Account", "label"]),
        ("object: Account\nrecords: many", ["Account", "many"]),
        ("object: A__c\ncomplete: maybe", ["A__c", "maybe"]),
        ("object: A__c\ncomplete: true\nfields: {Name: string}", ["A__c", "Id"]),
        ("object: Account\nrecords: -1", ["Account", "-1"]),
        ("object: A__c\nfields: {B__c: {type: picklist, values: [{value: a, lable: b}]}}", ["A__c.B__c", "lable"]),
        ("object: A__c\nfields: {B__c: {type: picklist, values: [{label: b, active: true}]}}", ["A__c.B__c", "text"]),
        ("object: A__c\nrecord_types: [{name: B, id: 001000000000000AAA}]", ["A__c", "B", "001000000000000AAA"]),
        ("label: X", ["object"]),
        ("- a\n- b", ["mapping"]),
        ("object: [", ["line"]),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path: Path, text: str, words: list[str]) -> None:
    """What no org could hold is refused with the file, the object and field, and what would be right."""
    message = refusal(tmp_path, text)
    assert all(word in message for word in words), message
