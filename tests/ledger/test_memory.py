"""The in-memory ledger keeps the laws of every ledger."""

from __future__ import annotations

import pytest

from halocline.ledger import Ledger, MemoryLedger
from halocline.testing.ledgers import HandClock, LedgerSuite


class TestMemoryLedger(LedgerSuite):
    @pytest.fixture
    def ledger(self, clock: HandClock) -> Ledger:
        return MemoryLedger(clock=clock)
