"""Laws of docs/coming-from-*.md: all have one shape, and samples run as they stand, here or with their documents'."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from halocline.emulator.server import Emulator
from tests.command_line import app as command_line
from tests.test_docs import DOCS, run_page

PAGES = sorted(DOCS.glob("coming-from-*.md"))
SHAPE = ["What is where", "What differs", "What is absent"]


LOOKED_FOR = {
    "data-loader": """process.operation process.mappingFile process.outputSuccess process.outputError
        process.loadRowToStartAt process.name process.statusOutputDirectory process.enableLastRunOutput
        process.useEuropeanDates process.encryptionKeyFile sfdc.entity sfdc.externalIdField
        sfdc.loadBatchSize sfdc.insertNulls sfdc.useBulkApi sfdc.useBulkV2Api sfdc.bulkApiSerialMode
        sfdc.timezone sfdc.bulkApiCheckStatusInterval sfdc.extractionSOQL sfdc.extractionRequestSize
        sfdc.truncateFields sfdc.assignmentRule sfdc.timeoutSecs sfdc.maxRetries sfdc.proxyHost
        sfdc.endpoint sfdc.username sfdc.updateWithExternalId dataAccess.name dataAccess.type
        dataAccess.readBatchSize dataAccess.readUTF8 process.batchMode.exitWithErrorOnFailedRows""",
    "dlt": """write_disposition primary_key merge_key delete-insert upsert insert-only scd2 hard_delete dedup_sort
        schema_contract initial_value lag add_limit dev_mode secrets.toml _dlt_pipeline_state _dlt_loads
        add_map loader_file_format""",
    "sling": """full-refresh incremental truncate snapshot backfill definition-only primary_key update_key select
        where range sql object source_options target_options merge_strategy flatten limit chunk_size
        empty_as_null delimiter encoding datetime_format add_new_columns adjust_column_type column_casing
        delete_missing pre_sql post_sql SLING_STATE SLING_THREADS transforms""",
}


@pytest.mark.parametrize("page", LOOKED_FOR)
def test_each_setting_that_they_would_look_for_has_its_place(page: str) -> None:
    """Whoever knows a setting of theirs by name finds it as code, be it among what is absent."""
    spans = " ".join(re.findall(r"`([^`\n]+)`", (DOCS / f"coming-from-{page}.md").read_text()))
    assert [name for name in LOOKED_FOR[page].split() if not re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", spans)] == []


def test_the_flow_for_who_comes_from_sling_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both tables arrive, and later what changed is merged."""
    found = re.search(r"```yaml\n(.*?)```", (DOCS / "coming-from-sling.md").read_text(), re.DOTALL)
    assert found
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))
    Path("halocline.yaml").write_text(found[1])
    with duckdb.connect("app.duckdb") as app:
        app.execute("CREATE SCHEMA finance; CREATE TABLE finance.accounts AS SELECT 1 AS id")
        app.execute("CREATE TABLE finance.transactions AS SELECT 1 AS id, 5 AS amount, now() AS updated_at")
    assert CliRunner().invoke(command_line, ["run", "finance"]).exit_code == 0
    with duckdb.connect("app.duckdb") as app:
        app.execute("UPDATE finance.transactions SET amount = 7, updated_at = now(); INSERT INTO finance.accounts VALUES (2)")
    assert CliRunner().invoke(command_line, ["run", "finance"]).exit_code == 0
    with duckdb.connect("lake.duckdb") as lake:
        assert lake.execute("SELECT count(*), (SELECT amount FROM raw.transactions) FROM raw.accounts").fetchone() == (2, 7)


@pytest.fixture
def laptop(salesforce: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """An org that the environment leads to, and a folder for what a sample makes."""
    keys = salesforce.config
    said = {"SF_LOGIN_URL": salesforce.url, "SF_CLIENT_ID": keys.consumer_key, "SF_CLIENT_SECRET": keys.consumer_secret}
    for name, value in {**said, "HALOCLINE_HOME": str(tmp_path / "home"), "HALOCLINE_SPOOL": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return salesforce


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_has_the_shape_of_all(page: Path) -> None:
    """Who has read one finds their way in the others: what is where, what differs, what is absent."""
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert [heading for heading in headings if heading in SHAPE] == SHAPE


def test_the_sample_for_who_comes_from_simple_salesforce_runs(laptop: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Logged in by the environment, as the page says."""
    run_page(DOCS / "coming-from-simple-salesforce.md")
    first, second, third = capsys.readouterr().out.splitlines()
    assert (first, second) == ("Ada", "True []")
    assert "REQUIRED_FIELD_MISSING" in third
    assert laptop.query("SELECT FirstName FROM Contact WHERE LastName = 'Lovelace'") == [{"FirstName": "Ada"}]


def test_the_sample_for_who_comes_from_dlt_runs(laptop: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Both objects arrive, and the page's line is printed for each."""
    laptop.seed({"Account": 3, "Contact": 2})
    run_page(DOCS / "coming-from-dlt.md")
    assert capsys.readouterr().out == "Account regular_api_full 3 None\nContact regular_api_full 2 None\n"
