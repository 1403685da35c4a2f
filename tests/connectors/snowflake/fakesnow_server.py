"""A Snowflake for the tests: fakesnow's server with what it lacks. Runs in fakesnow's own environment.

    python fakesnow_server.py PORT

Added to fakesnow 0.12.1, each because Snowflake answers so, or takes what is asked:
login          a master token and its validity, without which connector 5.x gives up
uploads        the region and the signed headers of the bucket's address; HEAD of a file
results        the parts of a timestamp may be null
transactions   CURRENT_TRANSACTION(); DDL commits the one that is open
stages         DROP STAGE, REMOVE
comments       none of tables: they lie in another database, and DuckDB writes to one in a transaction
temporary      tables may be named in full (they live on here, until they are dropped)
schemas        a dot in a name
COPY           options of CSV whose meaning is what DuckDB does anyway; every value is a text until it is inserted
refusals       what is not understood is an error at once, and no reason to ask again

And some that only save time: a statement is parsed once, and one that was there before in another database not at all (see
`Phrases`), DuckDB's own words about a result are not parsed either, and those about mere constants are asked for once, a table is
described by looking at it alone, lengths of texts are noted where there is a limit, each database has a DuckDB of its own (most
statements look at all that one holds), and the garbage collector leaves alone what was imported.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import duckdb
import fakesnow.arrow
import fakesnow.copy_into
import fakesnow.cursor
import fakesnow.info_schema
import fakesnow.server as server
import fakesnow.transforms.transforms
import pyarrow as pa
import snowflake.connector.errors
import sqlglot
import uvicorn
from fakesnow.instance import FakeSnow
from fakesnow.transforms import stage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_DONE = "SELECT 'Statement executed successfully.' AS status"
_DUCKDB_DOES_ANYWAY = {
    *("RECORD_DELIMITER", "ENCODING", "TRIM_SPACE", "SKIP_BLANK_LINES", "ESCAPE", "BINARY_FORMAT", "FIELD_DELIMITER"),
    *("DATE_FORMAT", "TIME_FORMAT", "TIMESTAMP_FORMAT", "ERROR_ON_COLUMN_COUNT_MISMATCH", "REPLACE_INVALID_CHARACTERS"),
}
_SIGNED = "host;x-goog-if-generation-match;x-goog-meta-encryptiondata;x-goog-meta-matdesc;x-goog-meta-sfc-digest"
_BEGIN = re.compile(r"^\s*BEGIN\b", re.IGNORECASE)
_END = re.compile(r"^\s*(COMMIT|ROLLBACK)\b", re.IGNORECASE)
_DDL = re.compile(r"^\s*(CREATE|ALTER|DROP)\b", re.IGNORECASE)
_TRANSACTION = re.compile(r"\bCURRENT_TRANSACTION\(\)", re.IGNORECASE)
_TEMPORARY = re.compile(r"^\s*CREATE\s+TEMPORARY\s+TABLE\b", re.IGNORECASE)
_DROP_STAGE = re.compile(r"^\s*DROP\s+STAGE\s+IF\s+EXISTS\s+(\S+)\s*$", re.IGNORECASE)
_REMOVE = re.compile(r"^\s*REMOVE\s+'?@([^'\s]+)'?\s*$", re.IGNORECASE)
_DOTTED_SCHEMA = re.compile(r'^\s*CREATE\s+SCHEMA\s+IF\s+NOT\s+EXISTS\s+(\S+\."[^"]*\.[^"]*")\s*$', re.IGNORECASE)
_CONSTANTS = re.compile(r"^SELECT (('[^']*'|\d+) as '?[\w ]+'?(, )?)+$", re.IGNORECASE)
_NAMES = re.compile(r"\bT[0-9A-F]{20}\b|_HALOCLINE_[0-9A-F]+_\d+_[0-9A-F]+\b")  # databases of tests, side tables of loads
_PHRASES = re.compile(
    r"(SELECT|UPDATE|INSERT|DELETE|MERGE|BEGIN|COMMIT|ROLLBACK|SHOW|USE SCHEMA|DESCRIBE TABLE|CREATE TABLE|DROP TABLE)\b"
)
_LOOKS_INTO_TABLES = re.compile(r"\bAS\s+SELECT\b|\bRANDOM\b|\bRESULT_SCAN\b", re.IGNORECASE)
_MARK = "\x01{}\x01"
_UNLIMITED = 16_777_216  # characters; what DESCRIBE says of a text whose length nobody noted
_GARBAGE = 20_000  # new objects between two collections: a statement taken apart is hundreds
_MANY = 6  # databases; those that nobody asks for any more are forgotten, the oldest first
_KNOWN_OF_DATABASES = (
    ("_fs_tables_ext", "ext_table_catalog"),
    ("_fs_columns_ext", "ext_table_catalog"),
    ("_fs_stages", "database_name"),
)
_DESCRIBED = Template("SELECT * FROM _fs_global.main.described('${catalog}', '${schema}', '${table}')")
_DESCRIBE = """
CREATE MACRO _fs_global.main.described(catalog, schema_of, of) AS TABLE SELECT
    name AS "name",
    CASE WHEN starts_with(type, 'DECIMAL') THEN 'NUMBER' || type[8:]
         WHEN type = 'BIGINT' THEN 'NUMBER(38,0)'
         WHEN type = 'VARCHAR' THEN 'VARCHAR(' || coalesce(ext_character_maximum_length, 16777216) || ')'
         WHEN type = 'DOUBLE' THEN 'FLOAT'
         WHEN type = 'BLOB' THEN 'BINARY(8388608)'
         WHEN type = 'TIMESTAMP' THEN 'TIMESTAMP_NTZ(9)'
         WHEN type = 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMP_TZ(9)'
         WHEN type = 'TIME' THEN 'TIME(9)'
         WHEN type = 'JSON' THEN 'VARIANT'
         ELSE type END AS "type",
    'COLUMN' AS "kind",
    CASE WHEN "notnull" THEN 'N' ELSE 'Y' END AS "null?",
    dflt_value AS "default",
    'N' AS "primary key",
    'N' AS "unique key",
    NULL::VARCHAR AS "check",
    NULL::VARCHAR AS "expression",
    NULL::VARCHAR AS "comment",
    NULL::VARCHAR AS "policy name",
    NULL::JSON AS "privacy domain"
FROM pragma_table_info('"' || catalog || '"."' || schema_of || '"."' || of || '"')
LEFT JOIN _fs_global._fs_information_schema._fs_columns_ext
    ON ext_table_catalog = catalog AND ext_table_schema = schema_of AND ext_table_name = of AND ext_column_name = name
ORDER BY cid
"""


def _instance() -> FakeSnow:
    made = FakeSnow()
    made.duck_conn.execute(_DESCRIBE)
    return made


class Instances(FakeSnow):
    """Fakesnow's instance that all sessions share, in which each database is one of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.duck_conn.execute(_DESCRIBE)
        self.made: dict[str, FakeSnow] = {}

    def connect(self, database: str | None = None, schema: str | None = None, **rest: Any) -> Any:
        """A connection to a database, which is there from the first one on."""
        if database is None:
            return super().connect(database, schema, **rest)
        self.made[database] = self.made.pop(database, None) or self._left() or _instance()
        return self.made[database].connect(database, schema, **rest)

    def _left(self) -> FakeSnow | None:
        """The oldest one, once there are many, without its database: to make one takes longer than several statements."""
        if len(self.made) < _MANY:
            return None
        database = next(iter(self.made))
        oldest = self.made.pop(database)
        try:
            oldest.duck_conn.execute(f"DETACH {database}")
        except duckdb.Error:  # somebody is in it
            return None
        for table, column in _KNOWN_OF_DATABASES:
            oldest.duck_conn.execute(f"DELETE FROM _fs_global._fs_information_schema.{table} WHERE {column} = ?", [database])
        oldest.results_cache.clear()
        return oldest


class Phrases:
    """Statements as fakesnow carries them out, by their words without the names of databases and side tables.

    To take one apart and to look at each of its pieces seventy times is most of what a short statement costs. Kept is what was
    seen twice, with marks for the names; whoever gets a copy puts the names of the day there.
    """

    def __init__(self, parse: Callable[[str], Any]) -> None:
        self.parse = parse
        self.parsed: dict[str, Any] = {}
        self.kept: dict[tuple[Any, ...], list[Any]] = {}
        self.shapes: dict[str, Any] = {}
        self.seen: set[tuple[Any, ...]] = set()

    def plain(self, sql: str) -> str | None:
        """The words without the names; nothing for a statement that is not kept."""
        return _NAMES.sub(_MARK, sql) if _PHRASES.match(sql) and not _LOOKS_INTO_TABLES.search(sql) else None

    def looked_at(self, sql: str) -> Any:
        """The tree by which the server sees what kind of a statement it is; that of another one with the same words does."""
        words = self.plain(sql)
        if words is None or words not in self.shapes:
            self.parsed[sql] = self.parse(sql)
            return self.parsed[sql]
        if self.shapes[words] is None:
            self.shapes[words] = self.parse(sql)
        return self.shapes[words]

    def taken(self, sql: str) -> Any:
        """What the server just parsed, which is changed by whoever carries it out: nobody gets it twice."""
        found = self.parsed.pop(sql, None)
        return self.parse(sql) if found is None else found

    def key(self, conn: Any, sql: str) -> tuple[tuple[Any, ...], list[str]]:
        """What tells apart how a statement is carried out in a session, and the names in it."""
        found = _NAMES.findall(sql)
        names = list(dict.fromkeys([*filter(None, [conn.database]), *found]))
        order = tuple(names.index(name) for name in found)
        return (self.plain(sql), order, bool(conn.database), conn._schema, conn.database_set, conn.schema_set), names

    def keep(self, key: tuple[Any, ...], names: list[str], trees: list[Any]) -> None:
        """Keep what was just carried out, if it was seen before and holds nothing but words."""
        if key[0] is None or not all(_is_words(tree) for tree in trees):
            return
        if key not in self.seen:
            self.seen.add(key)
            return
        marks = {name: _MARK.format(at) for at, name in enumerate(names)}
        self.kept[key] = [_renamed(tree.copy(), marks) for tree in trees]
        self.shapes.setdefault(key[0], None)

    def known(self, key: tuple[Any, ...], names: list[str]) -> list[Any]:
        """What is to be carried out, with these names; nothing for a statement that is not known."""
        marks = {_MARK.format(at): name for at, name in enumerate(names)}
        return [_renamed(tree.copy(), marks) for tree in self.kept.get(key, ())]


def _is_words(tree: Any) -> bool:
    """Whether a tree holds nothing that is true of this once only: no data of an upload."""
    plain = (str, bool, int, tuple, Enum, sqlglot.Expr, type(None))
    values = (value for node in tree.walk() for value in node.args.values())
    return all(isinstance(one, plain) for value in values for one in (value if isinstance(value, list) else [value]))


def _renamed(tree: Any, names: Mapping[str, str]) -> Any:
    for node in tree.walk():
        for place, word in node.args.items():
            if isinstance(word, str):
                for name, other in names.items():
                    node.args[place] = node.args[place].replace(name, other)
    return tree


async def login(request: Request) -> Response:
    """Fakesnow's answer with what connector 5.x asks for besides."""
    answer = json.loads((await server.login_request(request)).body)
    told: dict[str, Any] = answer["data"]
    told |= {"masterToken": told["token"], "validityInSeconds": 3600, "masterValidityInSeconds": 14400, "sessionId": 1}
    return JSONResponse(answer)


async def query(request: Request) -> Response:
    """Fakesnow's answer to the statement, which is put into words that it knows."""
    body = await request.body()
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    asked = json.loads(body)
    conn = server.to_conn(server.to_token(request))
    async with _one_at_a_time(conn):
        try:
            asked["sqlText"] = known(asked["sqlText"], conn)
        except LookupError as missing:
            return _refused("002003", "02000", f"Stage '{missing.args[0]}' does not exist or not authorized.")
        answer = await server.query_request(_Again(request.scope, json.dumps(asked).encode()))
    if answer.status_code != 500:
        return answer
    return _refused("000002", "0A000", "Unsupported feature")


def _refused(code: str, state: str, words: str) -> Response:
    told = {"errorCode": code, "sqlState": state}
    return JSONResponse({"data": told, "code": code, "message": words, "success": False})


def _one_at_a_time(conn: Any) -> asyncio.Lock:
    """The lock of a session: DuckDB answers one statement of a connection at a time."""
    if not hasattr(conn, "busy"):
        conn.busy = asyncio.Lock()
    return conn.busy


def known(sql: str, conn: Any) -> str:
    """The statement as fakesnow knows it; what it has no word for is done here."""
    _follow(sql, conn)
    if _TRANSACTION.search(sql):
        return _TRANSACTION.sub("'1'" if conn._in_transaction or _begun(conn) else "NULL::VARCHAR", sql)
    if found := _DROP_STAGE.match(sql):
        return dropped(found.group(1), conn)
    if found := _REMOVE.match(sql):
        return removed(found.group(1), conn)
    if found := _DOTTED_SCHEMA.match(sql):
        conn._duck_conn.execute(f"CREATE SCHEMA IF NOT EXISTS {found.group(1)}")
        return _DONE
    return _TEMPORARY.sub("CREATE TABLE", sql)


def _begun(conn: Any) -> bool:
    return getattr(conn, "begun", False)


def _follow(sql: str, conn: Any) -> None:
    """Keep in mind whether a transaction is open, which DDL commits."""
    if _BEGIN.match(sql):
        conn.begun = True
    elif _END.match(sql):
        conn.begun = False
    elif _DDL.match(sql) and _begun(conn):
        conn._duck_conn.commit()
        conn.begun = False


def dropped(name: str, conn: Any) -> str:
    database, schema, found = stage.parts_from_var(name.replace('"', ""), conn.database, conn.schema)
    shutil.rmtree(stage.internal_dir(f"{database}.{schema}.{found}"), ignore_errors=True)
    conn._duck_conn.execute(
        "DELETE FROM _fs_global._fs_information_schema._fs_stages WHERE database_name = ? AND schema_name = ? AND name = ?",
        [database, schema, found],
    )
    return _DONE


def removed(place: str, conn: Any) -> str:
    name, _, path = place.partition("/")
    database, schema, found = stage.parts_from_var(name, conn.database, conn.schema)
    sql = "SELECT 1 FROM _fs_global._fs_information_schema._fs_stages WHERE database_name = ? AND schema_name = ? AND name = ?"
    if not conn._duck_conn.execute(sql, [database, schema, found]).fetchall():
        raise LookupError(found)
    folder = Path(stage.internal_dir(f"{database}.{schema}.{found}", path.rstrip("/")))
    shutil.rmtree(folder, ignore_errors=True)
    return _DONE


class _Again(Request):
    """A request whose body is another."""

    def __init__(self, scope: Any, body: bytes) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-encoding"]
        super().__init__({**scope, "headers": headers})
        self._body = body


async def file(request: Request) -> Response:
    """PUT stores a file of a stage, as fakesnow does; HEAD and GET say whether it is there."""
    if request.method == "PUT":
        return await server.bucket_upload(request)
    path = Path(stage.LOCAL_BUCKET_PATH, request.path_params["path"])
    return Response(path.read_bytes()) if path.is_file() else Response(status_code=404)


def mended() -> None:
    """Put our parts in the place of fakesnow's."""
    csv, inserts = fakesnow.copy_into.handle_csv, fakesnow.copy_into._inserts
    info, timestamps = server.gcs_stage_info, fakesnow.arrow.to_sf

    def handle_csv(options: dict[str, Any]) -> Any:
        reader = csv({name: value for name, value in options.items() if name not in _DUCKDB_DOES_ANYWAY})
        said = options.get("NULL_IF", [])
        reader.quoted_nulls = "" in (said if isinstance(said, list) else [said])
        return reader

    def inserts_of(expr: Any, params: Any, urls: list[str], parquet: Any = None) -> Any:
        params.file_format.width = len(expr.this.expressions)
        return inserts(expr, params, urls, parquet)

    def read_expression(reader: Any, url: str) -> Any:
        """Nothing is guessed: every value is a text until it is inserted."""
        columns = ", ".join(f"'column{at}': 'VARCHAR'" for at in range(reader.width))
        nulls = ", ".join(f"'{word}'" for word in reader.null_if or ())
        words = f"auto_detect=false, header=false, skip={reader.skip_header}, columns={{{columns}}}, nullstr=[{nulls}]"
        words += f", allow_quoted_nulls={reader.quoted_nulls}"
        words += """, delim=',', quote='"', escape='"', new_line='\\n', compression='gzip'"""
        return sqlglot.parse_one(f"read_csv({reader.file_literal(url).sql()}, {words}, max_line_size=20000000)", read="duckdb")

    def gcs_stage_info(*words: Any) -> dict[str, Any]:
        told = info(*words)
        address = told["presignedUrl"] + "?X-Goog-SignedHeaders=" + quote(_SIGNED)
        return {**told, "region": "US-CENTRAL1", "presignedUrl": address}

    def to_sf(table: pa.Table, rowtype: Any) -> pa.Table:
        made = timestamps(table, rowtype)
        columns = [_with_nulls(column, there) for column, there in zip(made.columns, table.columns, strict=True)]
        fields = [field.with_type(column.type) for field, column in zip(made.schema, columns, strict=True)]
        return pa.table(columns, schema=pa.schema(fields, made.schema.metadata))

    phrases = Phrases(fakesnow.cursor.parse_one)
    describe, constants = fakesnow.cursor.FakeSnowflakeCursor._describe_last_sql, dict[str, Any]()

    def describe_last(cursor: Any) -> Any:
        sql = cursor._last_sql
        if sql in constants:
            return constants[sql]
        try:
            told = cursor._duck_conn.execute(f"DESCRIBE {sql}", cursor._last_params).fetchall()
        except duckdb.Error:  # fakesnow knows better how to say what is wrong
            return describe(cursor)
        if _CONSTANTS.match(sql):
            constants[sql] = told
        return told

    mend_cursor(phrases)
    server.parse_one, fakesnow.cursor.parse_one = phrases.looked_at, phrases.taken
    fakesnow.cursor.FakeSnowflakeCursor._describe_last_sql = describe_last
    fakesnow.copy_into.handle_csv = handle_csv
    fakesnow.copy_into._inserts = inserts_of
    fakesnow.copy_into.ReadCSV.read_expression = read_expression
    fakesnow.info_schema.insert_table_comment_sql = lambda *_: "SELECT 1"
    fakesnow.info_schema.insert_text_lengths_sql = noted_lengths(fakesnow.info_schema.insert_text_lengths_sql)
    fakesnow.transforms.transforms.SQL_DESCRIBE_TABLE = _DESCRIBED
    server.shared_fs = Instances()
    server.gcs_stage_info = gcs_stage_info
    server.to_sf = to_sf


def mend_cursor(phrases: Phrases) -> None:
    """Have cursors carry out known phrases at once, and keep what they take apart."""
    cursors = fakesnow.cursor.FakeSnowflakeCursor
    execute, carry_out = cursors.execute, cursors._execute

    def keeping(cursor: Any, tree: Any, *words: Any) -> None:
        carry_out(cursor, tree, *words)
        if (trees := getattr(cursor, "trees", None)) is not None:
            trees.append(tree)

    def executed(cursor: Any, sql: str, params: Any = None, *words: Any, **more: Any) -> Any:
        if params or more.get("binding_params"):
            return execute(cursor, sql, params, *words, **more)
        key, names = phrases.key(cursor._conn, sql)
        trees = phrases.known(key, names)
        cursor.trees = None if trees else []
        try:
            for tree in trees:
                cursor._execute(tree)
        except snowflake.connector.errors.ProgrammingError as error:
            cursor._sqlstate = error.sqlstate
            raise
        if not trees:
            execute(cursor, sql, params, *words, **more)
            phrases.keep(key, names, cursor.trees)
        return cursor

    cursors.execute, cursors._execute = executed, keeping


def noted_lengths(insert: Callable[..., str]) -> Callable[..., str]:
    """Lengths of texts that are limited are noted; others are forgotten, should a table of that name have had some."""

    def sql(catalog: str, schema: str, table: str, lengths: list[tuple[str, int]]) -> str:
        columns = ", ".join(f"'{name}'" for name, _ in lengths)
        place = f"ext_table_catalog = '{catalog}' AND ext_table_schema = '{schema}' AND ext_table_name = '{table}'"
        forget = f"DELETE FROM _fs_global._fs_information_schema._fs_columns_ext WHERE {place} AND ext_column_name IN ({columns})"
        limited = [(name, length) for name, length in lengths if length < _UNLIMITED]
        return insert(catalog, schema, table, limited) if limited else forget

    return sql


def _with_nulls(column: pa.ChunkedArray, there: pa.ChunkedArray) -> pa.ChunkedArray:
    """The parts of timestamps with the nulls of the timestamps."""
    if not pa.types.is_struct(column.type):
        return column
    parts = column.combine_chunks()
    fields = [part.with_nullable(True) for part in column.type]
    return pa.chunked_array([pa.StructArray.from_arrays(parts.flatten(), fields=fields, mask=there.combine_chunks().is_null())])


def main(port: int) -> None:
    """Serve until the process is ended."""
    mended()
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    ours = [
        Route("/session/v1/login-request", login, methods=["POST"]),
        Route("/queries/v1/query-request", query, methods=["POST"]),
        Route("/fs_bucket/{path:path}", file, methods=["PUT", "GET", "HEAD"]),
        Route("/telemetry/send", lambda _: JSONResponse({"success": True}), methods=["POST"]),
    ]
    mine = {route.path for route in ours}
    theirs = [route for route in server.routes if route.path not in mine]
    uvicorn.run(Starlette(routes=[*ours, *theirs]), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
