"""What is PostgreSQL's own about the destination: sessions, rights, what hangs on a table, locks, the table of positions."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from tests.connectors.duckdb.pages import FLOW, TARGET, plan, text_schema
from tests.connectors.postgres.pages import leftovers, load, table, written
from tests.connectors.postgres.server import Place

from halocline.batch import Batch
from halocline.connector import Mode, Part, Target
from halocline.connectors import postgres as connector
from halocline.connectors.postgres.destination import PostgresDestination
from halocline.connectors.postgres.errors import translated
from halocline.errors import (
    AccessDenied,
    FixConfig,
    LoginRefused,
    NetworkFailed,
    NotFound,
    Refused,
    RetryLater,
    SchemaConflict,
)
from halocline.events import Event, Noticed
from halocline.ledger.postgres import PostgresLedger
from halocline.schema import Column, Kind, Schema
from halocline.testing.destinations import NoJournal

ROWS = [("1", "a"), ("2", "b")]


@pytest.fixture
def page(tmp_path: Path) -> Batch:
    return Batch(raw=written(tmp_path / "page.csv", text_schema(), ROWS))


# ---- sessions


def test_the_driver_is_not_loaded_to_recognise_a_session() -> None:
    """`accepts` looks at the session without importing psycopg."""
    code = (
        "import sys; from halocline.connectors.postgres import accepts\n"
        "assert accepts('postgresql://x') and accepts('Postgres://x') and not accepts('duckdb:///x') and not accepts(object())\n"
        "assert not {'psycopg', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_driver_is_told_with_its_extra() -> None:
    """The error says what to install."""
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from halocline import registry\nfrom halocline.errors import MissingExtra\n"
        "for act in (lambda: registry.open_destination('postgresql://h/d', spool=None),\n"
        "            lambda: registry.open_query('postgresql://h/d', 'SELECT 1')):\n"
        "    try: act()\n    except MissingExtra as error: assert 'halocline[postgres]' in str(error)\n    else: sys.exit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_connection_is_recognised(place: Place) -> None:
    """A live psycopg connection is a session of this connector."""
    assert connector.accepts(place.admin)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://u:sec%ret@127.0.0.1/db",
        "postgresql://u:sec@ret@127.0.0.1/db",
        "postgresql://u:sec/ret@127.0.0.1/db",
        "postgresql://u:sec?ret@127.0.0.1/db",
        "postgresql://u:sec#ret@127.0.0.1/db",
        "postgresql://u:secret@127.0.0.1/db?passwort=secret",
        "postgresql://u:secret@127.0.0.1:1/db",
        "postgresql://127.0.0.1:1/db?password=secret",
        "postgresql://u:a?sec=ret@127.0.0.1/db?sslmod=require",
    ],
)
def test_a_uri_is_never_repeated(uri: str) -> None:
    """Neither a URI that cannot be read nor one that leads nowhere puts a piece of its password into the error's text."""
    with pytest.raises((FixConfig, NetworkFailed)) as refused:
        PostgresDestination(uri)
    assert "sec" not in str(refused.value).replace("second", "")
    assert "ret" not in str(refused.value).replace("retr", "")


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("postgres://u:word@127.0.0.1:1/db?sslmod=require", r"the URI's option 'sslmod' is unknown\. Did you mean sslmode"),
        ("postgres://u:word@127.0.0.1:1/db?keepalives=1&zzz=1", r"option 'zzz' is unknown\. Options are those of libpq"),
        ("postgres://u:word@127.0.0.1:1/db?sslmode=requir", 'invalid sslmode value: "requir". Look at the options'),
        ("postgres://u:word@127.0.0.1:1/db?keepalives=abc", 'invalid integer value "abc" for connection option "keepalives"'),
    ],
)
def test_an_option_that_is_not_there_is_named(uri: str, told: str) -> None:
    """A misspelt option, or a value that it does not take, is for a person to mend; nothing else of the URI is repeated."""
    with pytest.raises(FixConfig, match=told) as refused:
        PostgresDestination(uri)
    assert "word" not in str(refused.value)


def test_a_wrong_password_is_told_as_such(place: Place) -> None:
    """The server's words are repeated, the password is not."""
    with pytest.raises(LoginRefused, match="password authentication failed") as refused:
        PostgresDestination(place.uri(word="wrong-secret"))
    assert "wrong-secret" not in str(refused.value)


def test_who_is_not_let_in_is_told_to_look(place: Place) -> None:
    """Another try would end alike: it is no server that is away."""
    place.run(f"CREATE ROLE \"shut_{place.database}\" NOLOGIN PASSWORD 'a word'")
    with pytest.raises(LoginRefused, match=r"is not permitted to log in\. Look at user, password and sslmode") as refused:
        PostgresDestination(place.uri(f"shut_{place.database}", "a word"))
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        'connection failed: FATAL:  role "nobody" does not exist',
        'connection failed: FATAL:  pg_hba.conf rejects connection for host "127.0.0.1", user "u", database "d", no encryption',
        "connection failed: server does not support SSL, but SSL was required",
    ],
)
def test_other_words_of_a_door_that_is_shut(words: str) -> None:
    """As servers write them that let everybody in without a password, or by their rules nobody."""
    assert isinstance(translated("Connecting", psycopg.OperationalError(words)), LoginRefused)


def test_a_missing_database_is_told(place: Place) -> None:
    """The error names it, and a repeat is not what it asks for."""
    with pytest.raises(NotFound, match=r'database "nowhere" does not exist\. Look at the database named in the URI') as missing:
        PostgresDestination(place.uri().replace(place.database, "nowhere"))
    assert missing.value.exit_code == 2


def test_a_host_that_nobody_knows_is_to_be_looked_at() -> None:
    """It may be misspelt, or the network away: code 75, and both are said."""
    with pytest.raises(NetworkFailed, match="Check the host, and that this machine has a network") as unknown:
        PostgresDestination("postgresql://etl@nobody.invalid/lake")
    assert unknown.value.exit_code == 75


def test_an_open_transaction_of_the_user_is_left_alone(place: Place, page: Batch) -> None:
    """What we do would be part of it, and be undone with it: such a connection is refused, and kept as it is."""
    with psycopg.connect(place.uri()) as connection:
        connection.execute("CREATE TABLE mine (x int)")
        with pytest.raises(FixConfig, match="transaction is open"):
            PostgresDestination(connection)
        connection.commit()
        load(PostgresDestination(connection), [page], text_schema())
        assert connection.execute("SELECT count(*) FROM raw.page, mine").fetchall() == [(0,)]
        connection.rollback()
    assert len(table(place)) == 2


def test_the_users_settings_are_kept(place: Place, page: Batch) -> None:
    """Time zone, lock timeout, row factory and autocommit of a user's connection are as they were, and it stays open."""
    query = "SELECT current_setting('TimeZone'), current_setting('lock_timeout'), current_setting('search_path')"
    with psycopg.connect(place.uri(TimeZone="Asia/Tokyo"), autocommit=True) as connection:
        before = connection.execute(query).fetchall()
        destination = PostgresDestination(connection)
        load(destination, [page], text_schema())
        destination.close()
        assert connection.execute(query).fetchall() == before
        assert connection.autocommit


def test_a_closed_connection_is_told(place: Place) -> None:
    """A connection closed by its owner is reported as such."""
    connection = psycopg.connect(place.uri())
    connection.close()
    with pytest.raises(FixConfig, match="closed by its owner"):
        PostgresDestination(connection)


def test_a_bare_name_lies_where_the_search_path_begins(place: Place, page: Batch) -> None:
    """Table and positions go to the first schema of the connection's path."""
    place.run("CREATE SCHEMA mine")
    destination = PostgresDestination(place.uri(search_path="mine,public"))
    unit = destination.begin(destination.claim(FLOW, "test"))
    opened = unit.open(Target(None, 'My "Table"%s'), plan(text_schema()), NoJournal())
    unit.commit({FLOW: {"n": 1}}, [opened.stage(Part("p"), iter([page]))])
    unit.close()
    assert place.rows("""SELECT count(*) FROM mine."my ""table""%s" """) == [(2,)]
    assert place.rows("SELECT to_regclass('mine._halocline_positions') IS NOT NULL") == [(True,)]
    assert destination.position(FLOW, Target("MINE", 'my "table"%s')) == {"n": 1}
    destination.close()


def test_a_name_that_would_be_cut_is_refused(destination: PostgresDestination) -> None:
    """PostgreSQL cuts names after 63 bytes, which might make two of them one."""
    schema = text_schema(Column("x" * 64, Kind.STRING))
    with pytest.raises(FixConfig, match="63 bytes"):
        load(destination, [], schema)


@pytest.mark.parametrize("name", ["xmin", "CTID", "tableoid"])
def test_a_column_called_as_one_of_the_system_is_refused_with_a_way_out(destination: PostgresDestination, name: str) -> None:
    """PostgreSQL makes no such column: the load is refused when it is opened, and the message says what to change."""
    schema = text_schema(Column(name, Kind.INTEGER))
    for mode in Mode:
        with pytest.raises(FixConfig, match=f'"{name.lower()}" conflicts with a system column name.* another name') as refused:
            load(destination, [], schema, mode=mode)
        assert refused.value.code == "42701"


# ---- rights


def test_rights_that_are_needed_suffice(place: Place, page: Batch) -> None:
    """CONNECT, a schema to make tables in and one for the positions: nothing else is asked for."""
    place.run("CREATE SCHEMA raw")
    uri = place.user("loader", "GRANT USAGE, CREATE ON SCHEMA raw TO {user}")
    destination = PostgresDestination(uri + quote(" -c search_path=raw"))
    for mode in Mode:
        assert load(destination, [page], text_schema(), mode=mode).accounted == 2
    destination.close()


@pytest.mark.parametrize(
    ("grants", "told"),
    [
        ((), "permission denied for schema public"),
        (("GRANT CREATE ON SCHEMA public TO {user}",), "permission denied for database"),
        (("GRANT CREATE ON SCHEMA public TO {user}", "CREATE SCHEMA raw"), "permission denied for schema raw"),
        (
            (
                "GRANT CREATE ON SCHEMA public TO {user}",
                "CREATE SCHEMA raw",
                "GRANT ALL ON SCHEMA raw TO {user}",
                "CREATE TABLE raw.page (id text, text text)",
            ),
            "permission denied for table page",
        ),
    ],
)
def test_a_missing_right_is_told_in_the_servers_words(grants: tuple[str, ...], told: str, place: Place, page: Batch) -> None:
    """Whatever is not allowed is named, and nothing is left behind."""
    destination = PostgresDestination(place.user("reader", *grants))
    with pytest.raises(AccessDenied, match=told):
        load(destination, [page], text_schema(), mode=Mode.MERGE)
    destination.close()
    assert leftovers(place) == []


def test_a_right_that_is_given_makes_the_next_run_right(place: Place, page: Batch) -> None:
    """A merge into a table that may only be read fails at its commit; the table is as before, and the next run succeeds."""
    user = place.user(
        "writer", "GRANT CREATE ON SCHEMA public TO {user}", "CREATE SCHEMA raw", "GRANT ALL ON SCHEMA raw TO {user}"
    )
    place.run("CREATE TABLE raw.page (id text PRIMARY KEY, text text); INSERT INTO raw.page VALUES ('1', 'old')")
    name = f'"writer_{place.database}"'
    place.run(f"GRANT SELECT ON raw.page TO {name}")
    destination = PostgresDestination(user)
    with pytest.raises(AccessDenied, match="rights needed"):
        load(destination, [page], text_schema(), mode=Mode.MERGE)
    assert table(place) == [{"id": "1", "text": "old"}]
    place.run(f"GRANT INSERT, UPDATE ON raw.page TO {name}")
    assert load(destination, [page], text_schema(), mode=Mode.MERGE).changed == 2
    destination.close()


# ---- what hangs on a table


def _full(place: Place, page: Batch) -> list[str]:
    """A full refresh of the target; what it noticed."""
    heard: list[Event] = []
    destination = PostgresDestination(place.uri(), sink=heard.append)
    try:
        assert load(destination, [page], text_schema()).inserted == 2
    finally:
        destination.close()
    return [event.message for event in heard if isinstance(event, Noticed)]


def _oid(place: Place) -> object:
    return place.rows("SELECT 'raw.page'::regclass::oid")[0][0]


def test_a_plain_table_is_swapped_and_keeps_its_grants(place: Place, page: Batch) -> None:
    """A full refresh puts a new table in the old one's place, with the same grants, key and name of the key, and says nothing."""
    _full(place, page)
    place.run('CREATE ROLE "reads"; GRANT SELECT ON raw.page TO "reads" WITH GRANT OPTION; GRANT SELECT ON raw.page TO PUBLIC')
    place.run('REVOKE TRUNCATE ON raw.page FROM postgres; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO "reads"')
    acl = "SELECT unnest(relacl)::text FROM pg_class WHERE oid = 'raw.page'::regclass ORDER BY 1"
    before, oid = place.rows(acl), _oid(place)
    try:
        assert _full(place, page) == []
        assert (place.rows(acl), _oid(place) == oid) == (before, False)
        assert place.rows("SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'raw.page'::regclass") == [
            ("raw.page_pkey",)
        ]
    finally:
        place.run('DROP OWNED BY "reads"; DROP ROLE "reads"')


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("CREATE VIEW raw.loud AS SELECT upper(text) FROM raw.page", "the view raw.loud"),
        ("CREATE MATERIALIZED VIEW raw.kept AS SELECT * FROM raw.page", "the view raw.kept"),
        (
            "CREATE TABLE raw.child (page text REFERENCES raw.page); INSERT INTO raw.child VALUES ('1')",
            "the constraint child_page_fkey",
        ),
        ("CREATE INDEX by_text ON raw.page (text)", "the index raw.by_text"),
        ("ALTER TABLE raw.page ADD COLUMN note text DEFAULT 'x'", "the default of note"),
        ("ALTER TABLE raw.page ADD COLUMN note text", "its column note"),
        ("COMMENT ON TABLE raw.page IS 'mine'", "its comments"),
        ("CREATE PUBLICATION pub FOR TABLE raw.page", "the publication pub"),
        ("ALTER TABLE raw.page ENABLE ROW LEVEL SECURITY", "row security"),
        ("ALTER TABLE raw.page ADD CHECK (id <> '')", "the constraint page_id_check"),
        ("CREATE FUNCTION raw.all_of() RETURNS SETOF raw.page LANGUAGE sql AS 'SELECT * FROM raw.page'", "function raw.all_of"),
    ],
)
def test_what_hangs_on_a_table_survives_a_full_refresh(
    statement: str, told: str, place: Place, page: Batch, tmp_path: Path
) -> None:
    """Then the table itself stays, its rows are made right in one transaction, and the reason is told."""
    _full(place, page)
    place.run(statement)
    oid = _oid(place)
    changed = Batch(raw=written(tmp_path / "changed.csv", text_schema(), [("1", "new"), ("3", "c")]))
    (notice,) = _full(place, changed)
    assert told in notice
    assert _oid(place) == oid
    assert [(row["id"], row["text"]) for row in table(place)] == [("1", "new"), ("3", "c")]
    assert leftovers(place) == []


def test_a_view_goes_on_working_and_a_column_of_the_users_keeps_its_values(place: Place, page: Batch) -> None:
    """Views read the new rows; what somebody wrote into a column of their own is kept by key."""
    _full(place, page)
    place.run("ALTER TABLE raw.page ADD COLUMN note text; UPDATE raw.page SET note = 'n' || id")
    place.run("CREATE VIEW raw.loud AS SELECT upper(text) AS loud, note FROM raw.page")
    place.run("UPDATE raw.page SET text = 'scribbled'")
    _full(place, page)
    assert sorted(place.rows("SELECT * FROM raw.loud")) == [("A", "n1"), ("B", "n2")]


def test_a_row_that_something_refers_to_cannot_go(place: Place, page: Batch, tmp_path: Path) -> None:
    """A foreign key stands against a refresh that lacks the row it points to: nothing changes, and the constraint is named."""
    _full(place, page)
    place.run("CREATE TABLE raw.child (page text REFERENCES raw.page); INSERT INTO raw.child VALUES ('2')")
    with pytest.raises(SchemaConflict, match="child_page_fkey"):
        _full(place, Batch(raw=written(tmp_path / "less.csv", text_schema(), [("1", "new"), ("3", "c")])))
    assert [row["text"] for row in table(place)] == ["a", "b"]


def test_a_changed_type_under_a_view_is_refused(place: Place, page: Batch) -> None:
    """The server cannot change it there, the swap cannot either: the error says what to do."""
    _full(place, page)
    place.run("ALTER TABLE raw.page ALTER COLUMN text TYPE integer USING 1")
    notice = ""
    place.run("CREATE INDEX by_text ON raw.page (text)")
    (notice,) = _full(place, page)
    assert "by_text" in notice
    assert [row["text"] for row in table(place)] == ["a", "b"]
    place.run("ALTER TABLE raw.page ALTER COLUMN text TYPE integer USING 1")
    place.run("CREATE VIEW raw.loud AS SELECT text FROM raw.page")
    with pytest.raises(SchemaConflict, match="drop it and make it again"):
        _full(place, page)
    assert [row["text"] for row in table(place)] == [1, 1]


def test_a_view_is_no_target(destination: PostgresDestination, place: Place, page: Batch) -> None:
    """A load into a view is refused by name."""
    place.run("CREATE SCHEMA raw; CREATE VIEW raw.page AS SELECT 1 AS id")
    with pytest.raises(FixConfig, match="that is a view"):
        load(destination, [page], text_schema())


@pytest.mark.parametrize("mode", [Mode.REPLACE, Mode.MERGE])
def test_no_table_of_a_ledger_is_a_target(place: Place, page: Batch, mode: Mode) -> None:
    """Its runs stay; a table of such a name in another schema, and another table in that schema, are taken."""
    with PostgresLedger(f"{place.uri()}&schema=books") as ledger:
        before = place.rows("SELECT count(*) FROM books.migrations")
        with closing(PostgresDestination(place.uri())) as destination:
            unit = destination.begin(destination.claim(FLOW, "test"))
            for name in ("runs", "Migrations"):
                with pytest.raises(FixConfig, match=r"the schema books is a ledger of Halocline.*HALOCLINE_LEDGER"):
                    unit.open(Target("books", name), plan(text_schema(), mode=mode), NoJournal())
            unit.open(Target("books", "page"), plan(text_schema(), mode=mode), NoJournal())
            unit.open(Target("raw", "runs"), plan(text_schema(), mode=mode), NoJournal())
            unit.close()
        assert place.rows("SELECT count(*) FROM books.migrations") == before
        assert ledger.runs() == []


# ---- values that do not fit


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("varchar(3)", "four", "takes 3 characters there, and a text of 4 came"),
        ("varchar(3)", "abc ", "takes 3 characters there, and a text of 4 came"),
        ("numeric(4,2)", "100", "numeric field overflow"),
        ("smallint", "40000", "smallint out of range"),
    ],
)
def test_a_value_too_large_for_a_table_of_the_users_is_told(
    kind: str, value: str, told: str, destination: PostgresDestination, place: Place, tmp_path: Path
) -> None:
    """A table made with narrower columns takes what fits; what does not stops the merge, and nothing changes."""
    neutral = {
        "v": Column("V", Kind.STRING),
        "n": Column("V", Kind.DECIMAL, precision=18, scale=2),
        "s": Column("V", Kind.INTEGER),
    }
    schema = Schema((Column("Id", Kind.STRING), neutral[kind[0]]), ("Id",))
    place.run(f"CREATE SCHEMA raw; CREATE TABLE raw.page (id text, v {kind})")
    load(destination, [Batch(raw=written(tmp_path / "fits.csv", schema, [("1", "12")]))], schema, mode=Mode.MERGE)
    with pytest.raises(SchemaConflict, match=told):
        load(destination, [Batch(raw=written(tmp_path / "big.csv", schema, [("2", value)]))], schema, mode=Mode.MERGE)
    assert [row["id"] for row in table(place)] == ["1"]


@pytest.mark.parametrize("kind", ["numeric(18,1)", "timestamp", "char(9)", "integer[]"])
def test_a_column_that_would_change_values_is_refused(
    kind: str, destination: PostgresDestination, place: Place, page: Batch
) -> None:
    """A column that rounds, pads or means something else is a changed type."""
    place.run(f"CREATE SCHEMA raw; CREATE TABLE raw.page (id text, text {kind})")
    decimal = kind.startswith("n")
    schema = Schema(
        (Column("Id", Kind.STRING), Column("Text", Kind.DECIMAL if decimal else Kind.STRING, precision=18, scale=2)), ("Id",)
    )
    with pytest.raises(SchemaConflict, match="would have to be"):
        load(destination, [page], schema, mode=Mode.MERGE)


def test_a_key_that_repeats_in_the_table_stops_a_merge(destination: PostgresDestination, place: Place, page: Batch) -> None:
    """A table with two rows of one key cannot be merged into by key; a full refresh leaves one of each."""
    place.run("CREATE SCHEMA raw; CREATE TABLE raw.page (id text, text text); CREATE INDEX ON raw.page (text)")
    place.run("INSERT INTO raw.page VALUES ('1', 'x'), ('1', 'y')")
    with pytest.raises(SchemaConflict, match="several rows of one key"):
        load(destination, [page], text_schema(), mode=Mode.MERGE)
    load(destination, [page], text_schema(), allow_replace=True)
    assert [(row["id"], row["text"]) for row in table(place)] == ROWS


def test_a_row_without_key_stops_a_load(destination: PostgresDestination, tmp_path: Path) -> None:
    """A key that is null identifies nothing."""
    nameless = Batch(raw=written(tmp_path / "nameless.csv", text_schema(), [(None, "a")]))
    for mode in Mode:
        with pytest.raises(SchemaConflict, match="1 row has no value in the key"):
            load(destination, [nameless], text_schema(), mode=mode)


def test_a_deletion_that_nothing_could_mark_is_refused(
    destination: PostgresDestination, place: Place, page: Batch, tmp_path: Path
) -> None:
    """Soft deletes need a flag column: without one, a deletion of a row that the table has stops the load."""
    from halocline.batch import Op

    load(destination, [page], text_schema())
    keys = text_schema().select(["Id"])
    gone = Batch(raw=written(tmp_path / "gone.csv", keys, [("1",)]), op=Op.DELETE)
    with pytest.raises(FixConfig, match='deletes="hard"'):
        load(destination, [gone], text_schema(), mode=Mode.MERGE)
    assert len(table(place)) == 2


def test_a_table_with_keys_of_its_own_is_not_filled_unasked(destination: PostgresDestination, place: Place, page: Batch) -> None:
    """Rows that this flow never wrote are not replaced."""
    place.run("CREATE SCHEMA raw; CREATE TABLE raw.page (id text, text text); INSERT INTO raw.page VALUES ('9', 'mine')")
    with pytest.raises(Refused, match="force_full_sync"):
        load(destination, [page], text_schema())
    assert table(place) == [{"id": "9", "text": "mine"}]


# ---- claims


def test_claims_at_the_same_instant_get_different_fences(destination: PostgresDestination) -> None:
    """However many threads claim a flow, no two hold the same fence; the first of all makes the table of positions."""

    def claims(number: int) -> list[int]:
        return [destination.claim(FLOW, f"thread {number}").fence for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        fences = [fence for found in pool.map(claims, range(4)) for fence in found]
    assert sorted(fences) == list(range(1, 21))


def test_several_tables_become_visible_together(
    destination: PostgresDestination, place: Place, page: Batch, tmp_path: Path
) -> None:
    """A unit with two loads publishes both or none: a second that cannot be leaves the first as it was."""
    place.run("CREATE SCHEMA raw")
    for unlucky in (True, False):
        unit = destination.begin(destination.claim(FLOW, "test"))
        names = ("one", "two")
        manifests = [
            unit.open(Target("raw", name), plan(text_schema()), NoJournal()).stage(Part("p"), iter([page])) for name in names
        ]
        if unlucky:
            place.run("CREATE VIEW raw.two AS SELECT 1")
            with pytest.raises(FixConfig):
                unit.commit({FLOW: {"n": 1}}, manifests)
            place.run("DROP VIEW raw.two")
        else:
            assert unit.commit({FLOW: {"n": 1}}, manifests).inserted == 4
        unit.close()
        found = [destination.position(FLOW, Target("raw", name)) for name in names]
        assert found == ([None, None] if unlucky else [{"n": 1}, {"n": 1}])


def test_the_ticket_is_json(destination: PostgresDestination, page: Batch) -> None:
    """A ticket may cross to another process as text."""
    import json

    unit = destination.begin(destination.claim(FLOW, "test"))
    ticket: Any = unit.open(TARGET, plan(text_schema()), NoJournal()).ticket()
    manifest = destination.attach(json.loads(json.dumps(ticket))).stage(Part("p"), iter([page]))
    assert unit.commit({FLOW: {}}, [manifest]).inserted == 2
    unit.close()


def test_a_source_table_that_vanished_is_not_found(destination: PostgresDestination, place: Place, page: Batch) -> None:
    """Staging tables that somebody dropped are told, and nothing is published."""
    unit = destination.begin(destination.claim(FLOW, "test"))
    opened = unit.open(TARGET, plan(text_schema()), NoJournal())
    for name in leftovers(place):
        place.run(f'DROP TABLE raw."{name}"')
    with pytest.raises(NotFound):
        opened.stage(Part("p"), iter([page]))
    unit.close()


def test_a_locked_table_is_told_after_a_while(place: Place, page: Batch, tmp_path: Path) -> None:
    """A commit gives up on a table that another session holds after lock_timeout; nothing changed, the next run is right."""
    destination = PostgresDestination(place.uri(lock_timeout="200ms"))
    load(destination, [page], text_schema())
    changed = Batch(raw=written(tmp_path / "changed.csv", text_schema(), [("1", "new"), ("2", "b")]))
    for mode in Mode:
        with psycopg.connect(place.uri()) as other:
            other.execute("LOCK TABLE raw.page IN ROW EXCLUSIVE MODE")
            with pytest.raises(RetryLater, match="lock timeout"):
                load(destination, [changed], text_schema(), mode=mode)
        assert [row["text"] for row in table(place)] == ["a", "b"]
        assert leftovers(place) == []
    assert load(destination, [changed], text_schema(), mode=Mode.MERGE).updated == 1
    destination.close()
