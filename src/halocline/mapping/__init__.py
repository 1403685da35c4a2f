"""Mappings: how a record of the source becomes one of the destination.

A mapping (a dict, a YAML file) is read into steps. With them a FieldMapper has three ways to work: `each`, rows as dicts with
refused rows in their place; `columns`, Arrow batches, where no Python function takes part; `check`, what a describe says of the
mapping before a row is sent.
"""

from __future__ import annotations

from halocline.mapping.conditional import ConditionalFieldMapper
from halocline.mapping.finding import Finding
from halocline.mapping.mapper import FieldMapper
from halocline.mapping.paths import UNTOUCHED
from halocline.mapping.transforms import TRANSFORMS

__all__ = ["TRANSFORMS", "UNTOUCHED", "ConditionalFieldMapper", "FieldMapper", "Finding"]
