"""Patient: the model of a queue's messages, for pydantic 1 and 2."""

from __future__ import annotations

from pydantic import BaseModel

from measuring.phases import fields


class Patient(BaseModel):
    """A message of about 490 bytes as JSON."""

    number: int
    first_name: str
    last_name: str
    age: int
    email: str
    street: str
    city: str
    is_insured: bool
    balance: float
    visits: list[int]
    notes: str


def patients(count: int) -> list[Patient]:
    """So many, numbered from 0."""
    return [Patient(**fields(number)) for number in range(count)]
