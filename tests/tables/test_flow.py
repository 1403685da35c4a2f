"""Laws of flows of the kind tables: read, planned, checked, run, told, by the command line and by Lambda."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from tests.command_line import app
from tests.connectors.postgres.server import Place
from typer.testing import CliRunner

from halocline import aws_lambda
from halocline.errors import FixConfig
from halocline.flows.connected import Connected
from halocline.flows.policy import policy
from halocline.flows.reading import understood

BUILDERS = """
def build_name(item):
    if item["name"] is None:
        raise ValueError("it has no name")
    return {"id": item["id"], "name": item["name"].upper()}
"""
YAML = """
connections:
  app: {app}
  warehouse: {app}
  lake: duckdb:///{lake}
flows:
  demand:
    kind: tables
    from: app
    to: warehouse
    schedule: nightly
    tables:
      - {{from: app.others, to: raw.names, build: 'flow_builders:build_name', key: id, max_rejected: 1,
         schema: {{id: integer not null, name: varchar(20)}}}}
      - {{query: 'SELECT id AS number FROM app.others WHERE id > 5', to: raw.numbers, csv: numbers.csv}}
  out: {{kind: tables, from: warehouse, to: lake, together: false, tables: [{{from: raw.names}}, {{from: raw.nothing}}]}}
"""


@pytest.fixture
def folder(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a configuration, builders and a source of ten rows."""
    place.run(
        "CREATE SCHEMA app; CREATE TABLE app.others (id integer PRIMARY KEY, name text);"
        " INSERT INTO app.others SELECT n, 'name ' || n FROM generate_series(1, 10) n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("APP", place.uri())
    (tmp_path / "flow_builders.py").write_text(BUILDERS)
    (tmp_path / "halocline.yaml").write_text(YAML.format(app="env:APP", lake=tmp_path / "lake.duckdb"))
    return tmp_path


def said(*words: str) -> tuple[int, list[dict[str, object]]]:
    """The exit code of a command and the JSON that it said."""
    done = CliRunner().invoke(app, [*words, "--json"])
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_a_flow_is_run_planned_checked_and_told(folder: Path, place: Place) -> None:
    """Both tables by one commit; a rejection is told with its reason, and the exit code says that not all was written."""
    code, plans = said("plan", "demand")
    assert (code, [(one["target"], one["method"]) for one in plans]) == (
        0,
        [("raw.names", "table_full"), ("raw.numbers", "table_full")],
    )
    shown = CliRunner().invoke(app, ["plan", "demand"]).stdout
    assert "flow           demand" in shown or "flow    demand" in shown
    assert "None" not in shown
    assert place.rows("SELECT to_regclass('raw.names')") == [(None,)]
    code, (done,) = said("run", "demand")
    assert code == 0
    first, second = done["tables"]  # type: ignore[misc]
    assert (first["read"], first["inserted"], second["read"]) == (10, 10, 5)
    assert place.rows("SELECT name FROM raw.names WHERE id = 3") == [("NAME 3",)]
    assert len((folder / "numbers.csv").read_text().splitlines()) == 6
    place.run("UPDATE app.others SET name = NULL WHERE id = 3")
    code, (done,) = said("run", "demand")
    assert code == 3
    assert done["tables"][0]["rejected"] == 1  # type: ignore[index]
    shown = CliRunner().invoke(app, ["runs", "last"]).stdout
    assert "raw.names: 10 rows read, 9 inserted, 1 rejected" in " ".join(shown.split())
    code, rejections = said("errors", "last")
    assert [(one["code"], one["record"]) for one in rejections] == [("ValueError", {"id": 3, "name": None})]
    assert "raw.names" in str(rejections[0]["message"])
    place.run("UPDATE app.others SET name = NULL")
    code, (failed,) = said("run", "demand")
    assert code == 1
    assert "10 of 10" in str(failed["error"])
    assert place.rows("SELECT count(*) FROM raw.names") == [(9,)]


def test_tables_may_go_one_by_one(folder: Path, place: Place) -> None:
    """Without `together` a failure of one stops no other."""
    assert said("run", "demand")[0] == 0
    code, done = said("run", "out")
    assert code == 2
    assert [one["success"] for one in done] == [True, False]
    assert "raw.nothing" in str(done[1]["error"])
    with duckdb.connect(str(folder / "lake.duckdb"), read_only=True) as lake:
        assert lake.execute("SELECT count(*) FROM raw.names").fetchall() == [(10,)]


def test_what_a_flow_needs_is_checked(folder: Path) -> None:
    """Connections, tables, builders."""
    code, found = said("check")
    assert code == 2  # raw.nothing is not there
    told = {str(one["name"]): one for one in found}
    assert told["app"]["found"] == "answers queries"
    assert "2 tables with about 15 rows" in str(told["flow demand"]["found"])
    (folder / "halocline.yaml").write_text((folder / "halocline.yaml").read_text().replace("build_name", "no_such"))
    _, found = said("check")
    assert "has no no_such" in str({str(one["name"]): one for one in found}["flow demand"]["error"])


def test_a_schedule_starts_it_in_lambda(folder: Path, place: Place) -> None:
    """As every flow that has an end."""

    class Context:
        aws_request_id = "1"

        def get_remaining_time_in_millis(self) -> int:
            return 600_000

    event = {"detail-type": "Scheduled Event", "id": "e1", "resources": ["arn:aws:events:eu-central-1:1:rule/nightly"]}
    answer = aws_lambda.handler(event, Context())
    assert answer["done"] is True
    assert place.rows("SELECT count(*) FROM raw.names") == [(10,)]


def test_its_policy_names_its_secrets() -> None:
    """Nothing else of AWS is needed between two databases."""
    connection = "{kind: database, uri: postgresql://me@host/db, password: aws-sm:app#password}"
    configuration = understood(YAML.format(app=connection, lake="lake.duckdb"))
    found = policy("demand", configuration, around=Connected(configuration.connections))
    assert [one["Sid"] for one in found["Statement"]] == ["ReadSecrets"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{from: a, mode: upsert}", "'tables[0].mode' in the flow 'f' is none of"),
        ("{from: a, cursor: at}", "a cursor finds what changed"),
        ("{from: a, build: 'm:f', schema: {a: text}}, {from: A}", "two of its tables go to a"),
        ("{from: a, qeury: x}", "'tables[0].qeury' is unknown in the flow 'f'. Did you mean query?"),
        ("{from: a, csv: x.csv}, {from: b, csv: ./x.csv}", "the same CSV file"),
        ("{query: SELECT 1}", "a query has no name"),
        ("{from: a, max_rejected: 1.5}", "max_rejected"),
    ],
)
def test_mistakes_have_their_line(line: str, words: str) -> None:
    """With what may have been meant."""
    text = f"connections: {{d: 'duckdb:///x'}}\nflows:\n  f:\n    kind: tables\n    from: d\n    to: d\n    tables: [{line}]\n"
    with pytest.raises(FixConfig) as caught:
        understood(text)
    assert words in str(caught.value)
    assert "line " in str(caught.value)
