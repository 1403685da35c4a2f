"""A company list as the world keeps it goes into Accounts, comes back into DuckDB, and is the same: commas in quotes, letters of
other alphabets, references in brackets, dates that are none.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from halocline.emulator.server import Emulator
from tests.system.push_desk import PushDesk, desk_at, push_org

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

MAP = """
mapping:
  Symbol: Ext__c
  Security: Name
  GICS Sector: Industry
  GICS Sub-Industry: Description
  Headquarters Location: BillingStreet
  Date added: {target: Index_Date__c, transform: date_iso}
  CIK: Cik__c
  Founded: Founded__c
"""
COLUMNS = ("Ext__c", "Name", "Industry", "Description", "BillingStreet", "Index_Date__c", "Cik__c", "Founded__c")

# Invented, with every oddity of the real list: the heads of two of its columns have blanks, keys have dots, one key is a number
# with a zero in front, and `Founded` is a year, two years, a sentence, or nothing that a calendar knows.
OWN = """\
Symbol,Security,GICS Sector,GICS Sub-Industry,Headquarters Location,Date added,CIK,Founded
AAB,Aab & Sons,Industrials,Industrial Conglomerates,"Saint Olga, Minnesota",1957-03-04,66741,1902
AB.B,Aster–Birch,Consumer Staples,Distillers & Vintners,"Louis Hill, Kentucky",1982-10-31,14694,1870
CRL,Carl Global,Industrials,Building Products,"Palm Creek, Florida",2020-04-03,1783181,"2020 (1915, United Carls spinoff)"
ELE,Estée Elena Companies (The),Consumer Staples,Personal Care Products,"New York City, New York",2006-01-05,1001251,1946
ORL,O’Really Automotive,Consumer Discretionary,Automotive Retail,"Springmeadow, Missouri",2009-03-27,898174,1957
PMC,Pot 'n' Mill,Consumer Staples,Brewers,"Chicago, Illinois; Pittsburgh, Ohio",1976-06-30,0024546,"2005 (Pot 1786, Mill 1873)"
QQ,"Quill, Quoin and ""Quartz"" Co",Materials,Gold,none,1998-12-01,12,1975/1977 (1997)
000,Zero,Energy,Oil & Gas,"Warm Ley, Bristol, United Kingdom",2012-02-29,7,1904/1946/1959
-5,Minus Five,Financials,Insurance,"Virginia Falls, Virginia[2]",2008-09-22,202059,2013 (1888)
=X,Equals,Utilities,Water Utilities,"Sum, Florida",2015-12-31,3,1998 (1923 / 1874)
株,株式会社ハロ,Health Care,Biotechnology,"東京, 日本",2012-12-31,1551153,2013
LONG,A name of two lines has its address below,Real Estate,Office REITs,"Two\r
Lines, Ohio",1999-01-01,99,1999 (1869)
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with push_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PushDesk:
    return desk_at(emulator, tmp_path, monkeypatch)


def rows_of(text: str) -> list[tuple[object, ...]]:
    """The file as Python's own reader has it, in the types of the table, by key."""
    read = csv.reader(io.StringIO(text, newline=""))
    next(read)
    return sorted((*row[:5], date.fromisoformat(row[5]), *row[6:]) for row in read)


def synced(desk: PushDesk) -> list[tuple[object, ...]]:
    """The accounts that `halocline sync` brings, by key."""
    lake = desk.folder / "lake.duckdb"
    told = desk.type("sync", "Account", "--to", f"duckdb:///{lake}")
    assert told.exit_code == 0, told.err
    with duckdb.connect(str(lake), read_only=True) as connection:
        return sorted(connection.execute(f'SELECT {", ".join(COLUMNS)} FROM "Account"').fetchall())


def there_and_back(desk: PushDesk, content: str) -> None:
    source, mapping = desk.file("list.csv", content), desk.file("map.yaml", MAP)
    expected = rows_of(content)
    for sentence in (
        f"list.csv -> Account: upsert by collections, {len(expected)} written ({len(expected)} created, 0 updated), 0 refused,",
        f"list.csv -> Account: upsert by collections, {len(expected)} written (0 created, {len(expected)} updated), 0 refused,",
    ):
        told = desk.push(source, "--map", mapping)
        assert (told.exit_code, sentence in told.out) == (0, True), told
        assert synced(desk) == expected


def test_the_real_list_goes_there_and_back(desk: PushDesk, recorded_data: Path) -> None:
    """503 companies pushed by a mapping, synced back, equal in every cell; pushed again they are changed, not doubled."""
    content = (recorded_data / "sp500_companies.csv").read_text(encoding="utf-8")
    assert len(rows_of(content)) == 503
    there_and_back(desk, content)


def test_a_list_of_its_oddities_goes_there_and_back(desk: PushDesk) -> None:
    """The same with twelve invented companies that have all that is odd in the real list."""
    assert len(rows_of(OWN)) == 12
    there_and_back(desk, OWN)


def test_the_list_goes_there_and_back_by_bulk(desk: PushDesk) -> None:
    """What collections carry, Bulk carries: equal in every cell."""
    told = desk.push(desk.file("list.csv", OWN), "--map", desk.file("map.yaml", MAP), "--api", "bulk")
    assert (told.exit_code, "upsert by Bulk, 12 written (12 created, 0 updated)" in told.out) == (0, True), told
    assert synced(desk) == rows_of(OWN)


def test_dates_that_are_none_are_refused_row_by_row(desk: PushDesk) -> None:
    """`Founded` as a number: the rows whose cell is a year are written, the others are refused with their numbers and named."""
    year = "{target: Founded_Year__c, transform: int}"
    mapping = desk.file("map.yaml", f"mapping: {{Symbol: Ext__c, Security: Name, Founded: {year}}}")
    told = desk.push(desk.file("list.csv", OWN), "--map", mapping)
    assert told.exit_code == 3, told
    assert "5 written (5 created, 0 updated), 0 refused, 7 not sent" in told.out
    assert sorted(int(year) for (year,) in desk.accounts("Founded_Year__c")) == [1870, 1902, 1946, 1957, 2013]
    refused = desk.documents("errors", "last")
    assert [one["row"] for one in refused] == [2, 5, 6, 7, 8, 9, 11]
    assert {one["code"] for one in refused} == {"MAPPING_FAILED"}
    assert {tuple(one["fields"]) for one in refused} == {("Founded_Year__c",)}
    assert refused[0]["record"]["Founded"] == "2020 (1915, United Carls spinoff)"
