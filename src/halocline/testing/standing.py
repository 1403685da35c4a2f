"""StandingLaws: the laws of a table that stands otherwise than a load expects, beside those of `DestinationSuite`.

class TestDuckDB(DestinationSuite, StandingLaws): ...
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from halocline.connector import Mode
from halocline.errors import SchemaConflict
from halocline.testing.destinations import SCHEMA, Bench, Way, account, batch, raises


class StandingLaws:
    """Every destination obeys these laws."""

    def bench(self, folder: Path) -> AbstractContextManager[Bench]:
        """See `DestinationSuite.bench`."""
        raise NotImplementedError

    def pick(self, ways: Sequence[Way]) -> Sequence[Way]:
        """See `DestinationSuite.pick`."""
        raise NotImplementedError

    def test_a_key_other_than_at_the_last_load_finds_the_rows(self, tmp_path: Path) -> None:
        """Rows that were loaded by one key are met by another: none is doubled, and none loses what only the table has."""
        narrow = SCHEMA.select([name for name in SCHEMA.names if name != "Ratio__c"])
        changed = [account(1, at=5, Name="b"), account(2, Name="a")]
        bare = [{name: value for name, value in row.items() if name != "Ratio__c"} for row in changed]
        for mode in self.pick((Mode.MERGE, Mode.REPLACE)):
            with self.bench(tmp_path / mode) as bench:
                bench.load(batch([account(1, Name="b"), account(2, Name="a")]))
                with raises(SchemaConflict) as caught:
                    bench.merge(batch([account(3, Name="b")]), key=("Name",))
                assert "match field Name" in str(caught[0])
                bench.load(batch(bare, schema=narrow), mode=mode, schema=narrow, key=("Name",))
                assert bench.rows() == changed
                bench.merge(batch([account(1, at=6, Name="c")]))
                assert bench.rows() == [account(1, at=6, Name="c"), account(2, Name="a")]
