"""The stages of a sale: what an opportunity's `StageName` says about the rest of the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """What an opportunity's stage implies: its probability, its forecast category, and how common it is among seeded deals."""

    probability: int
    category: str
    category_name: str
    weight: float
    closed: bool = False
    won: bool = False


# Source: "Opportunity Fields" and "Forecast Categories", Salesforce Help: the stages that a new org has.
STAGES: Mapping[str, Stage] = {
    "Prospecting": Stage(10, "Pipeline", "Pipeline", 10),
    "Qualification": Stage(10, "Pipeline", "Pipeline", 9),
    "Needs Analysis": Stage(20, "Pipeline", "Pipeline", 7),
    "Value Proposition": Stage(50, "Pipeline", "Pipeline", 6),
    "Id. Decision Makers": Stage(60, "Pipeline", "Pipeline", 5),
    "Perception Analysis": Stage(70, "Pipeline", "Pipeline", 4),
    "Proposal/Price Quote": Stage(75, "Pipeline", "Pipeline", 6),
    "Negotiation/Review": Stage(90, "Pipeline", "Pipeline", 5),
    "Closed Won": Stage(100, "Closed", "Closed", 28, closed=True, won=True),
    "Closed Lost": Stage(0, "Omitted", "Omitted", 20, closed=True),
}
# What a stage that the org does not know implies; unverified.
UNKNOWN_STAGE = Stage(0, "Pipeline", "Pipeline", 0)
