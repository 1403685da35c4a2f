"""Leads of another system: where they come from, and what is made of them."""

import json
import re
from pathlib import Path


def today():
    """Today's leads, a dict each; here of a file, in earnest of the other system's API."""
    yield from json.loads((Path(__file__).parent / "leads.json").read_text())


def phone(value):
    """A phone number as Salesforce is to have it; a number without digits is refused, and so is its row."""
    digits = re.sub(r"\D", "", value)
    if not digits:
        raise ValueError("no digit in it")
    return f"+{digits}"


def rating(row):
    """How promising a lead is, which depends on more than one of its values."""
    return "Hot" if row["status"] == "asked" and row.get("phone") else "Cold"


def refused(record, error):
    """Told of every lead that Salesforce does not have."""
    with Path("refused.log").open("a") as log:
        log.write(f"{record['lead_id']}: {error}\n")
