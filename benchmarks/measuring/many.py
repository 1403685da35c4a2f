"""Many: a table of so many Accounts made by PostgreSQL itself, and a file of changes to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from measuring.server import Server

FIELDS = {
    "Id": "id",
    "IsDeleted": "boolean",
    "Name": "string",
    "Type": "picklist",
    "ParentId": "reference",
    "BillingStreet": "textarea",
    "BillingCity": "string",
    "BillingCountry": "string",
    "Phone": "phone",
    "Website": "url",
    "Industry": "picklist",
    "AnnualRevenue": "currency",
    "NumberOfEmployees": "int",
    "Ownership": "picklist",
    "Description": "textarea",
    "Rating": "picklist",
    "LastActivityDate": "date",
    "CreatedDate": "datetime",
    "LastModifiedDate": "datetime",
    "SystemModstamp": "datetime",
}
PHONE = "+41 44 111 11 11"  # of a changed row, and of no other
_ROWS = """
SELECT '001' || lpad(i::text, 15, '0') AS id, false AS isdeleted, 'Customer number ' || i AS name, 'Prospect'::text AS type,
    NULL::text AS parentid, i % 900 || E' Main Street\\nFloor 3' AS billingstreet, 'Zürich'::text AS billingcity,
    'Switzerland'::text AS billingcountry, {phone} AS phone, 'https://www.example.com/' || i AS website,
    'Energy'::text AS industry, ((i * 37::bigint) % 1000003)::numeric(18,0) AS annualrevenue,
    i::bigint % 10000 AS numberofemployees,
    'Private'::text AS ownership, 'said "yes", then left; came by, ' || i % 97 || ' times' AS description, 'Hot'::text AS rating,
    DATE '2020-01-01' + (i % 2000)::int AS lastactivitydate, TIMESTAMPTZ '2020-01-01 00:00:00Z' AS createddate,
    {stamp}::timestamptz AS lastmodifieddate, {stamp}::timestamptz AS systemmodstamp
FROM {numbers}
"""
_NEW_SHARE = 10  # one change in so many is a new row


def fill(server: Server, database: str, *, rows: int) -> None:
    """Make the table raw.accounts with its key, as one that has been in use."""
    made = _ROWS.format(phone="'+41 44 ' || i % 10000000", stamp="'2026-01-01Z'", numbers=f"generate_series(1, {rows}) i")
    server.sql("CREATE SCHEMA raw", database=database)
    server.sql(f"CREATE TABLE raw.accounts AS {made}", database=database)
    server.sql("ALTER TABLE raw.accounts ADD PRIMARY KEY (id)", database=database)
    server.sql("VACUUM (FREEZE, ANALYZE) raw.accounts", database=database)


def changes(server: Server, path: Path, *, rows: int, count: int) -> None:
    """A CSV file of so many changes, quoted as result pages are: nine in ten to rows all over the table, the others are new."""
    new = count // _NEW_SHARE
    step = rows // (count - new)
    known, added = (
        f"SELECT n * {step} FROM generate_series(1, {count - new}) n",
        f"SELECT {rows} + n FROM generate_series(1, {new}) n",
    )
    numbers = f"({known} UNION ALL {added}) x(i)"
    wanted = _ROWS.format(phone=f"'{PHONE}'::text", stamp="'2026-03-01Z'", numbers=numbers)
    with path.open("wb") as file:
        server.copy_out(f"COPY ({wanted}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)", file, header=",".join(FIELDS))


def content(server: Server, database: str) -> dict[str, Any]:
    """How many rows there are, how many of them are changed, and a hash of these."""
    changed = f"FILTER (WHERE phone = '{PHONE}')"
    rows, some, hashed = server.sql(
        f"SELECT count(*), count(*) {changed}, sum(hashtextextended(t::text, 0)::numeric) {changed} FROM raw.accounts t",
        database=database,
    )[0]
    return {"rows": rows, "changed": some, "content": str(hashed)}
