"""`kinetic_core.mapping`: the same names."""

from __future__ import annotations

from halocline import ConditionalFieldMapper, FieldMapper

__all__ = ["ConditionalFieldMapper", "FieldMapper"]
