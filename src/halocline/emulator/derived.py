"""Fields that Salesforce works out when a record is saved: a deal's forecast from its stage, a person's name from its parts.

They are stored, unlike formulas, and follow their sources whenever these change. What a writer gives wins.
Source: Object Reference for the Salesforce Platform, the pages of the objects named below.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from halocline.emulator.objects import SObject
from halocline.emulator.stages import STAGES, UNKNOWN_STAGE, Stage
from halocline.emulator.tables import has_column

Row: TypeAlias = Mapping[str, object]

_QUARTER_MONTHS = 3
_NAME_PARTS = ("FirstName", "MiddleName", "LastName", "Suffix")
# Forecast category by its name, where the two differ. Source: Object Reference, "Opportunity", `ForecastCategoryName`.
_CATEGORIES = {"Best Case": "BestCase", "Commit": "Forecast"}
_ALL_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Save:
    """One record being saved: its whole new `row`, the one `before` (None for a new record), the names `given` by the writer.

    `at` is the stamp of the save; `read` finds another record's row by its id, None if there is none.
    """

    row: Row
    before: Row | None
    given: Collection[str]
    at: str
    read: Callable[[str], Row | None]

    def moved(self, *names: str) -> bool:
        """Whether this save sets one of these fields to something else; true for every new record."""
        before = self.before
        return before is None or any(before.get(name) != self.row.get(name) for name in names)


Derivation: TypeAlias = Callable[[Save], Row]


def derivations(sobject: SObject) -> tuple[Derivation, ...]:
    """What is worked out for records of this object; empty for most."""
    own = _DERIVATIONS.get(sobject.name)
    person = sobject.field("LastName") is not None and sobject.field("Name") is not None
    return (*((own,) if own else ()), *((_person_name,) if person else ()))


def derived(sobject: SObject, save: Save, *, by: tuple[Derivation, ...]) -> dict[str, object]:
    """The fields that follow from this save, without those that were given or that the object does not have."""
    values = {name: value for derive in by for name, value in derive(save).items() if name not in save.given}
    return {name: value for name, value in values.items() if (field := sobject.field(name)) is not None and has_column(field)}


def _person_name(save: Save) -> Row:
    """First, middle and last name and suffix in one. Source: Object Reference, "Contact", `Name`."""
    return {"Name": " ".join(str(save.row[n]) for n in _NAME_PARTS if save.row.get(n)) or None}


def _opportunity(save: Save) -> Row:
    """Stage, forecast and fiscal period of a deal. Source: Object Reference, "Opportunity"."""
    row = save.row
    values: dict[str, object] = {}
    if save.moved("StageName"):
        values |= _of_stage(STAGES.get(str(row.get("StageName")), UNKNOWN_STAGE))
        values |= {"LastStageChangeDate": save.at} if save.before is not None else {}
    if "ForecastCategoryName" in save.given and row.get("ForecastCategoryName"):
        name = str(row["ForecastCategoryName"])
        values["ForecastCategory"] = _CATEGORIES.get(name, name)
    probability = values.get("Probability", row.get("Probability")) if "Probability" not in save.given else row["Probability"]
    return {**values, "ExpectedRevenue": _share(row.get("Amount"), probability), **_fiscal(row.get("CloseDate"))}


def _of_stage(stage: Stage) -> dict[str, object]:
    return {
        "Probability": float(stage.probability),
        "ForecastCategory": stage.category,
        "ForecastCategoryName": stage.category_name,
        "IsClosed": int(stage.closed),
        "IsWon": int(stage.won),
    }


def _share(amount: object, percent: object) -> float | None:
    if not isinstance(amount, (int, float)) or not isinstance(percent, (int, float)):
        return None
    return round(amount * percent / 100, 2)


def _fiscal(day: object) -> Row:
    """The fiscal period, in an org whose year starts in January."""
    if not isinstance(day, str):
        return {"FiscalYear": None, "FiscalQuarter": None, "Fiscal": None}
    year, quarter = int(day[:4]), (int(day[5:7]) - 1) // _QUARTER_MONTHS + 1
    return {"FiscalYear": year, "FiscalQuarter": quarter, "Fiscal": f"{year} {quarter}"}


def _line_item(save: Save) -> Row:
    """What a line comes to. Source: Object Reference, "OpportunityLineItem", `TotalPrice`; `ListPrice` is the entry's price."""
    row = save.row
    quantity, price, discount = row.get("Quantity"), row.get("UnitPrice"), row.get("Discount") or 0
    values: dict[str, object] = {}
    if isinstance(quantity, (int, float)) and isinstance(price, (int, float)) and isinstance(discount, (int, float)):
        values["TotalPrice"] = round(quantity * price * (1 - discount / 100), 2)
    entry = save.read(str(row.get("PricebookEntryId"))) if save.moved("PricebookEntryId") else None
    if entry is not None:
        values |= {"ListPrice": entry.get("UnitPrice"), "Product2Id": entry.get("Product2Id")}
        values |= {"ProductCode": entry.get("ProductCode")}
    return values


def _case(save: Save) -> Row:
    """Closed or not, and since when. Source: Object Reference, "Case", `IsClosed`, `ClosedDate`."""
    closed = save.row.get("Status") == "Closed"
    values: dict[str, object] = {"IsClosed": int(closed)}
    if save.moved("Status"):
        was = save.before is not None and bool(save.before.get("IsClosed"))
        values |= {"ClosedDate": (save.row.get("ClosedDate") if was else save.at) if closed else None}
    if save.moved("ContactId"):
        values |= _contact_details(save)
    return values


def _contact_details(save: Save) -> Row:
    contact = save.read(str(save.row.get("ContactId"))) or {}
    account = {} if save.row.get("AccountId") or not contact else {"AccountId": contact.get("AccountId")}
    phones = {"ContactPhone": "Phone", "ContactMobile": "MobilePhone", "ContactEmail": "Email", "ContactFax": "Fax"}
    return {**account, **{mine: contact.get(its) for mine, its in phones.items()}}


def _task(save: Save) -> Row:
    """Source: Object Reference, "Task", `IsClosed`, `IsHighPriority`, `CompletedDateTime`, `AccountId`."""
    closed = save.row.get("Status") == "Completed"
    values: dict[str, object] = {"IsClosed": int(closed), "IsHighPriority": int(save.row.get("Priority") == "High")}
    if save.moved("Status"):
        values["CompletedDateTime"] = save.at if closed else None
    return {**values, **_activity_account(save)}


def _event(save: Save) -> Row:
    """Start, end and length, each from the others. Source: Object Reference, "Event", `DurationInMinutes`, `EndDateTime`."""
    row, values = save.row, _activity_account(save)
    sources = ["ActivityDateTime", "StartDateTime"] if "ActivityDateTime" in save.given else ["StartDateTime", "ActivityDateTime"]
    started = next((row[name] for name in sources if row.get(name)), None)
    if isinstance(started, str):
        values |= {"StartDateTime": started, "ActivityDateTime": started, "ActivityDate": started[:10]}
        values |= _length(save, started)
    elif isinstance(row.get("ActivityDate"), str):
        values |= {"DurationInMinutes": _ALL_DAY_MINUTES, "EndDate": row["ActivityDate"]}
    return values


def _length(save: Save, started: str) -> Row:
    start, end, minutes = datetime.fromisoformat(started), save.row.get("EndDateTime"), save.row.get("DurationInMinutes")
    if "EndDateTime" in save.given and isinstance(end, str):
        spent = datetime.fromisoformat(end) - start
        return {"DurationInMinutes": int(spent.total_seconds() // 60), "EndDate": end[:10]}
    if not isinstance(minutes, int):
        return {}
    finish = (start + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"EndDateTime": finish, "EndDate": finish[:10]}


def _activity_account(save: Save) -> dict[str, object]:
    """The account that an activity is about, by what it is related to or else by whom it is with."""
    if not save.moved("WhatId", "WhoId"):
        return {}
    for link in (save.row.get("WhatId"), save.row.get("WhoId")):
        if isinstance(link, str):
            if link.startswith("001"):
                return {"AccountId": link}
            if account := (save.read(link) or {}).get("AccountId"):
                return {"AccountId": account}
    return {"AccountId": None}


def _pricebook_entry(save: Save) -> Row:
    """What an entry repeats of its product. Source: Object Reference, "PricebookEntry", `Name`, `ProductCode`."""
    product = save.read(str(save.row.get("Product2Id"))) if save.moved("Product2Id") else None
    return {} if product is None else {"Name": product.get("Name"), "ProductCode": product.get("ProductCode")}


_DERIVATIONS: Mapping[str, Derivation] = {
    "Case": _case,
    "Event": _event,
    "Opportunity": _opportunity,
    "OpportunityLineItem": _line_item,
    "PricebookEntry": _pricebook_entry,
    "Task": _task,
}
