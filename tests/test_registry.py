"""Laws of the registry: connectors by name or session, loaded on use, with an error that names the extra."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from halocline import registry
from halocline.errors import FixConfig, MissingExtra
from halocline.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool("test", tmp_path)


@pytest.mark.parametrize(
    ("session", "shown"),
    [
        ("oracle://scott:tiger@db/x", "oracle://."),
        ("host=db user=scott password=tiger", "a text that is no URI."),
        ("lake.duckdb", "'lake.duckdb'."),
        ("", "''."),
        (3, "int."),
    ],
)
def test_a_destination_nobody_knows_is_refused_without_showing_a_secret(session: object, shown: str, spool: Spool) -> None:
    """The error says what was passed as far as that is safe, and what can be passed; it repeats no credentials."""
    with pytest.raises(FixConfig, match="duckdb:///") as caught:
        registry.open_destination(session, spool=spool)
    assert f"nothing here knows how to write to {shown}" in str(caught.value)
    assert "tiger" not in str(caught.value)
    assert "file:folder" in str(caught.value), "file:///folder would be in the root"


def test_what_is_only_read_is_known_without_a_driver() -> None:
    """Of DynamoDB tables are read; into databases they are written too; what nobody knows is neither."""
    places = ("dynamodb://?region=us-east-1", "duckdb:///x.duckdb", "sqlite:///x.sqlite", "file:///lake", "odd://host")
    assert [registry.only_reads(one) for one in places] == [True, False, False, False, False]


def test_a_folder_of_files_is_a_uri_that_cannot_be_queried() -> None:
    """It is told as what it is: `--to` takes it."""
    with pytest.raises(FixConfig, match=r"nothing here knows how to query file:\. "):
        registry.open_query("file:lake", "SELECT 1")


def test_an_unknown_connector_is_an_error_that_lists_the_known() -> None:
    """A misspelt connector name is answered with the names there are."""
    with pytest.raises(FixConfig, match="duckdb, dynamodb, files, postgres, redis, salesforce"):
        registry.connector("sales-force")


def test_every_connector_says_what_it_is() -> None:
    """The example of each is of one of its schemes, in any case, and no other's."""
    known = registry.able("accepts").values()
    for module in known:
        example = module.ABOUT.example
        assert example.partition(":")[0] in module.ABOUT.schemes
        for uri in (example, *(f"{scheme.upper()}:///x" for scheme in module.ABOUT.schemes)):
            assert [other for other in known if other.accepts(uri)] == [module]


def test_a_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch, spool: Spool, tmp_path: Path) -> None:
    """Without the driver the error says what to install, whether rows are to be written or read."""
    ours = registry.connector("duckdb").__name__
    monkeypatch.setattr("halocline.connectors.duckdb", sys.modules[ours])  # brings the loaded one back after the test
    for name in [n for n in sys.modules if n.split(".")[0] == "duckdb" or n.startswith(ours)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtra, match=r'pip install "halocline\[duckdb\]"'):
        registry.open_destination(f"duckdb:///{tmp_path}/x.duckdb", spool=spool)
    with pytest.raises(MissingExtra, match=r'pip install "halocline\[duckdb\]"'):
        registry.connect("duckdb", f"duckdb:///{tmp_path}/x.duckdb")
