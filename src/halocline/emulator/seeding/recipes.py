"""How a believable record of each standard object comes about: one function per object, from a block to its columns.

What a recipe leaves out stays null (or takes the field's default). People and companies are invented, mail goes to `.example`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from halocline.emulator.seeding import sales
from halocline.emulator.seeding.block import DAY_S, Block, Columns, dates, stamps
from halocline.emulator.seeding.dice import joined, only_where, padded
from halocline.emulator.seeding.traits import (
    address,
    company_and_domain,
    email,
    full_name,
    letters,
    magnitude,
    name_positions,
    person,
    phone,
    picklist_of,
    shipping_like,
)
from halocline.emulator.standing import PROFILE_ID

INDUSTRY_KNOWN = 0.88  # share of accounts and leads whose industry is known; like all shares here a guess that looks right


def account(block: Block) -> Columns:
    """Companies; a twelfth belong to an older one."""
    dice = block.dice
    name, domain = company_and_domain(block)
    ownership = dice.sometimes(dice.weighted({"Private": 60, "Public": 25, "Subsidiary": 10, "Other": 5}), 0.8)
    employees = magnitude(block, low=0.5, high=4.7)
    billing = address(block, "Billing")
    return {
        "Name": name,
        "Type": dice.sometimes(dice.pick(picklist_of(block, "Type")), 0.8),
        "ParentId": block.optional_reference("Account", 1 / 12),
        **billing,
        **shipping_like(block, billing),
        "Phone": dice.sometimes(phone(block), 0.92),
        "Fax": dice.sometimes(phone(block), 0.3),
        "AccountNumber": joined("AC-", padded(block.serials, 8)),
        "Website": dice.sometimes(joined("https://www.", domain), 0.85),
        "Sic": dice.sometimes(dice.digits(4), 0.6),
        "Industry": dice.sometimes(dice.pick(picklist_of(block, "Industry")), INDUSTRY_KNOWN),
        "AnnualRevenue": dice.sometimes(pc.multiply(employees, pc.add(dice.numbers(300_000), 40_000)), 0.7),
        "NumberOfEmployees": dice.sometimes(employees, 0.85),
        "Ownership": ownership,
        "TickerSymbol": only_where(pc.fill_null(pc.equal(ownership, "Public"), fill_value=False), letters(block, 4)),
        "Description": dice.sometimes(dice.pick(block.words.descriptions), 0.65),
        "Rating": dice.sometimes(dice.weighted({"Hot": 20, "Warm": 45, "Cold": 35}), 0.6),
        "Site": dice.sometimes(dice.weighted({"Headquarters": 60, "Plant 1": 20, "Warehouse": 20}), 0.3),
        "LastActivityDate": dice.sometimes(dates(block.modified), 0.7),
        "CleanStatus": block.constant("Pending"),
        "AccountSource": dice.sometimes(dice.pick(picklist_of(block, "AccountSource")), 0.75),
        "DunsNumber": dice.sometimes(dice.digits(9), 0.4),
        "YearStarted": dice.sometimes(pc.cast(pc.add(dice.numbers(150), 1875), pa.string()), 0.5),
    }


def contact(block: Block) -> Columns:
    """People, most of them at an account, some reporting to an older contact."""
    dice = block.dice
    return {
        "AccountId": block.accounts_of(block.positions) if "Account" in block.parents else pa.nulls(block.rows, pa.string()),
        **person(block),
        **address(block, "Mailing"),
        "Phone": dice.sometimes(phone(block), 0.8),
        "MobilePhone": dice.sometimes(phone(block), 0.6),
        "ReportsToId": block.optional_reference("Contact", 0.15),
        "Title": dice.sometimes(block.word("titles"), 0.8),
        "Department": dice.sometimes(block.word("departments"), 0.6),
        "LeadSource": dice.sometimes(dice.pick(picklist_of(block, "LeadSource")), 0.7),
        "Birthdate": dice.sometimes(dates(pc.multiply(pc.subtract(dice.numbers(16_000), 8_000), DAY_S)), 0.2),
        "Description": dice.sometimes(dice.pick(block.words.descriptions), 0.25),
        "LastActivityDate": dice.sometimes(dates(block.modified), 0.6),
        "CleanStatus": block.constant("Pending"),
    }


def lead(block: Block) -> Columns:
    """People of whom one knows little yet; converted ones point at what they became."""
    dice = block.dice
    company, domain = company_and_domain(block)
    become = {"Account", "Contact"} <= block.parents.keys()
    status = dice.weighted(
        {
            "Open - Not Contacted": 40,
            "Working - Contacted": 30,
            "Closed - Not Converted": 18,
            **({"Closed - Converted": 12} if become else {}),
        }
    )
    return {
        **person(block),
        "Title": dice.sometimes(block.word("titles"), 0.7),
        "Company": company,
        **address(block, ""),
        "Phone": dice.sometimes(phone(block), 0.75),
        "Website": dice.sometimes(joined("https://www.", domain), 0.5),
        "Description": dice.sometimes(dice.pick(block.words.descriptions), 0.3),
        "LeadSource": dice.sometimes(dice.pick(picklist_of(block, "LeadSource")), 0.9),
        "Status": status,
        "Industry": dice.sometimes(dice.pick(picklist_of(block, "Industry")), INDUSTRY_KNOWN),
        "Rating": dice.sometimes(dice.pick(picklist_of(block, "Rating")), 0.5),
        "NumberOfEmployees": dice.sometimes(magnitude(block, low=0.5, high=4.2), 0.6),
        **_conversion(block, pc.equal(status, "Closed - Converted")),
        "CleanStatus": block.constant("Pending"),
    }


def case(block: Block) -> Columns:
    """Complaints and questions; the account is the contact's."""
    dice = block.dice
    status = dice.weighted({"New": 20, "Working": 25, "Escalated": 8, "Closed": 47})
    closed = pc.equal(status, "Closed")
    return {
        "CaseNumber": padded(pc.add(block.serials, 1), 8),
        **_contact_and_account(block),
        "SuppliedEmail": dice.sometimes(email(block, *name_positions(block)), 0.3),
        "Type": dice.sometimes(dice.pick(picklist_of(block, "Type")), 0.8),
        "Status": status,
        "Reason": dice.sometimes(dice.pick(picklist_of(block, "Reason")), 0.7),
        "Origin": dice.weighted({"Phone": 45, "Email": 35, "Web": 20}),
        "Subject": block.word("case_subjects"),
        "Priority": dice.weighted({"High": 15, "Medium": 60, "Low": 25}),
        "Description": dice.sometimes(dice.pick(block.words.descriptions), 0.9),
        "IsClosed": closed,
        "ClosedDate": only_where(closed, stamps(block.modified)),
        "IsEscalated": pc.equal(status, "Escalated"),
    }


def task(block: Block) -> Columns:
    """To-dos about people, accounts and deals."""
    dice = block.dice
    status = dice.weighted({"Not Started": 25, "In Progress": 10, "Completed": 58, "Waiting on someone else": 5, "Deferred": 2})
    priority = dice.weighted({"High": 15, "Normal": 75, "Low": 10})
    done = pc.equal(status, "Completed")
    due = pc.add(block.created, pc.multiply(dice.numbers(45), DAY_S))
    return {
        **_subject_of_activity(block),
        "Subject": block.word("task_subjects"),
        "ActivityDate": dice.sometimes(dates(due), 0.9),
        "Status": status,
        "Priority": priority,
        "IsHighPriority": pc.equal(priority, "High"),
        "Description": dice.sometimes(dice.pick(block.words.descriptions), 0.4),
        "IsClosed": done,
        "TaskSubtype": dice.weighted({"Task": 70, "Email": 18, "Call": 12}),
        "CompletedDateTime": only_where(done, stamps(block.modified)),
    }


def event(block: Block) -> Columns:
    """Meetings on the quarter hour, of half an hour to three hours."""
    dice = block.dice
    day = pc.multiply(pc.divide(block.created, DAY_S), DAY_S)
    start = pc.add(pc.add(day, pc.multiply(pc.add(dice.numbers(30), 1), DAY_S)), pc.multiply(pc.add(dice.numbers(40), 32), 900))
    minutes = pc.multiply(pc.add(dice.numbers(6), 1), 30)
    end = pc.add(start, pc.multiply(minutes, 60))
    return {
        **_subject_of_activity(block),
        "Subject": block.word("event_subjects"),
        "Location": dice.sometimes(dice.pick(block.words.places["city"]), 0.6),
        "ActivityDateTime": stamps(start),
        "ActivityDate": dates(start),
        "DurationInMinutes": minutes,
        "StartDateTime": stamps(start),
        "EndDateTime": stamps(end),
        "EndDate": dates(end),
        "Description": dice.sometimes(dice.pick(block.words.descriptions), 0.5),
        "ShowAs": dice.weighted({"Busy": 85, "Free": 10, "OutOfOffice": 5}),
        "EventSubtype": block.constant("Event"),
    }


def user(block: Block) -> Columns:
    """Colleagues who own records."""
    dice = block.dice
    first, last = name_positions(block)
    number = pc.cast(block.serials, pa.string())
    login = joined(block.words.slugs["first_names"].take(first), ".", block.words.slugs["last_names"].take(last), ".", number)
    settings = {"TimeZoneSidKey": "Europe/Berlin", "LocaleSidKey": "en_US", "EmailEncodingKey": "UTF-8"}
    return {
        **full_name(block, first, last),
        "Username": joined(login, "@halocline.example"),
        "Email": joined(login, "@halocline.example"),
        "Alias": joined("u", number),
        "CommunityNickname": login,
        "Title": dice.sometimes(block.word("titles"), 0.9),
        "Department": dice.sometimes(block.word("departments"), 0.9),
        "IsActive": dice.chance(0.95),
        "UserType": block.constant("Standard"),
        "ProfileId": block.constant(PROFILE_ID),
        **{name: block.constant(value) for name, value in {**settings, "LanguageLocaleKey": "en_US"}.items()},
    }


RECIPES: Mapping[str, Callable[[Block], Columns]] = {
    "User": user,
    "Campaign": sales.campaign,
    "Product2": sales.product2,
    "Pricebook2": sales.pricebook2,
    "Account": account,
    "Contact": contact,
    "PricebookEntry": sales.pricebook_entry,
    "Opportunity": sales.opportunity,
    "Lead": lead,
    "OpportunityContactRole": sales.opportunity_contact_role,
    "OpportunityLineItem": sales.opportunity_line_item,
    "Case": case,
    "Task": task,
    "Event": event,
}


def _conversion(block: Block, converted: pa.Array) -> Columns:
    """What converted leads became."""
    if not {"Account", "Contact"} <= block.parents.keys():
        return {"IsConverted": converted}
    contacts = block.positions_in("Contact")
    return {
        "IsConverted": converted,
        "ConvertedDate": only_where(converted, dates(block.modified)),
        "ConvertedContactId": only_where(converted, block.parents["Contact"].ids(contacts)),
        "ConvertedAccountId": only_where(converted, block.reference("Account")),
        "ConvertedOpportunityId": only_where(converted, block.optional_reference("Opportunity", 0.6)),
    }


def _contact_and_account(block: Block) -> Columns:
    if "Contact" not in block.parents:
        return {"ContactId": pa.nulls(block.rows, pa.string()), "AccountId": block.optional_reference("Account", 0.95)}
    positions = block.positions_in("Contact")
    known = block.dice.chance(0.92)
    return {
        "ContactId": only_where(known, block.parents["Contact"].ids(positions)),
        "AccountId": only_where(known, block.accounts_of(positions)),
    }


def _subject_of_activity(block: Block) -> Columns:
    """Whom and what an activity is about: a contact or a lead; an account or a deal. AccountId where it is an account."""
    about_account = block.dice.chance(0.5)
    accounts = block.optional_reference("Account", 0.9)
    deals = block.optional_reference("Opportunity", 0.9)
    people = block.optional_reference("Contact", 0.8)
    leads = block.optional_reference("Lead", 0.8)
    # A lead is nobody's yet: activities about leads are related to nothing else.
    about_lead = pc.and_(pc.is_valid(leads), block.dice.chance(0.2))
    account = only_where(pc.and_(about_account, pc.invert(about_lead)), accounts)
    deal = only_where(pc.and_(pc.invert(about_account), pc.invert(about_lead)), deals)
    return {
        "WhoId": pc.if_else(about_lead, leads, people),
        "WhatId": pc.coalesce(account, deal),
        "AccountId": account,
    }
