"""Faults on order: what the emulator does wrong, at which requests, how often."""

from __future__ import annotations

from halocline.emulator.faults.in_force import Faults
from halocline.emulator.faults.rule import FOREVER, Fault

__all__ = ["FOREVER", "Fault", "Faults"]
