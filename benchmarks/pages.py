"""How fast the emulator is - pages, ingest, small calls, reset - beside the least it could cost. `make bench NAME=pages`.

Environment: ROWS (1,000,000) of the result pages and of the ingest, ROUNDS (5) of pages and small calls, CALL_S (2.0) seconds of
each round of small calls, RESETS (200), SEED of the records.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

from measuring import machine
from measuring.org import API, COLUMNS, Door, Org
from measuring.place import place
from measuring.process import Process
from measuring.wire import Caller, download_s

from halocline.emulator.server import Emulator

HERE = Path(__file__).resolve().parent
POLL_S = 0.05
STEADY = (
    1.25  # the static server does the same work in every round; where its time differs by more, the machine was not ours alone
)
REST_ROWS = 100_000  # of the REST pages: 50 of 2,000
TIMES = 2  # the same rows are put in: first they are new, then they are known
SCHEMA = """
object: Row__c
label: Row
plural: Rows
fields:
  Code__c: {type: string(20) external unique}
  Phone__c: string(40)
  Revenue__c: double(18,2)
"""
WANTED = {"vs_static": 0.5, "vs_static_gzip": 0.5}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks for."""

    rows: int
    rounds: int
    call_s: float
    resets: int
    seed: int

    @classmethod
    def from_env(cls) -> Settings:
        env = os.environ
        return cls(
            rows=int(env.get("ROWS", "1000000")),
            rounds=int(env.get("ROUNDS", "5")),
            call_s=float(env.get("CALL_S", "2.0")),
            resets=int(env.get("RESETS", "200")),
            seed=int(env.get("SEED", "20261121")),
        )


@dataclass(frozen=True, slots=True)
class Paths:
    """The same bytes at two servers: of the emulator, of the static server, and the static server's way to compress them."""

    ours: list[str]
    static: list[str]
    packed: list[str]
    bytes: int


def main() -> None:
    """Measure, print, and end with the line of figures."""
    settings = Settings.from_env()
    print(machine.told(()))
    with place("pages") as folder:
        figures = _reading(settings, folder) | _ingest(settings, folder) | _reset(settings)
    for name, bound in WANTED.items():
        print(f"  {'met   ' if figures[name] >= bound else 'MISSED'}  {name} = {figures[name]:.2f}, wanted at least {bound:g}")
    if figures["spread"] > STEADY:
        print(
            f"  NOT TO BE QUOTED: the static server's time differs {figures['spread']:.2f} times between rounds; a busy machine"
        )
    print(f"load average at the end {os.getloadavg()[0]:.1f}")
    print("pages: " + " ".join(f"{name}={_shown(value)}" for name, value in figures.items()))


def _reading(settings: Settings, folder: Path) -> dict[str, float]:
    """Result pages, query pages and small calls, all from one org."""
    print(f"seeding {settings.rows:,} Accounts (not measured) ...", flush=True)
    org = Org(folder, accounts=settings.rows, seed_number=settings.seed)
    try:
        pages = {"": _kept(org, _result_pages(org), folder, "bulk"), "rest_": _kept(org, _query_pages(org), folder, "rest")}
        small = _small_calls(org)
        texts = {name: org.read("GET", path).decode() for name, path in small.items()}
        with _static(folder, texts) as url:
            return _streams(settings, org, url, pages=pages) | _calls(settings, org, url, paths=small)
    finally:
        org.stop()


def _result_pages(org: Org) -> list[str]:
    """The pages of a Bulk 2.0 query of all rows, in the size that a client gets who asks for none."""
    query = json.dumps({"operation": "query", "query": f"SELECT {', '.join(COLUMNS)} FROM Account"}).encode()
    job = org.call("POST", f"{API}/jobs/query", query)["id"]
    _ended(org, f"{API}/jobs/query/{job}")
    paths: list[str] = []
    more: str | None = f"{API}/jobs/query/{job}/resultPages"
    while more:
        listed = org.call("GET", more)
        paths += [page["resultUrl"] for page in listed["resultPages"]]
        more = listed.get("nextRecordsUrl")
    return paths


def _query_pages(org: Org) -> list[str]:
    """The pages of a REST query after its first, which has to run the query."""
    page = org.call("GET", f"{API}/query?q=" + quote(f"SELECT {', '.join(COLUMNS)} FROM Account LIMIT {REST_ROWS}"))
    paths: list[str] = []
    while not page["done"]:
        paths.append(page["nextRecordsUrl"])
        page = org.call("GET", page["nextRecordsUrl"])
    return paths


def _kept(org: Org, paths: list[str], folder: Path, name: str) -> Paths:
    """The pages, and copies of their bytes for the static server."""
    names, size = [f"{name}-{number}" for number in range(len(paths))], 0
    for path, file in zip(paths, names, strict=True):
        size += (folder / file).write_bytes(org.read("GET", path))
    return Paths(paths, [f"/file/{file}" for file in names], [f"/gzip/{file}" for file in names], size)


def _streams(settings: Settings, org: Org, url: str, *, pages: Mapping[str, Paths]) -> dict[str, float]:
    """How our rate stands to the static server's, in pairs; a second figure is our rate in MB of text a second.

    `spread` is how much the static server's own time differed between rounds.
    """
    figures: dict[str, float] = {"spread": 1.0}
    for name, paths in pages.items():
        for encoding in ("identity", "gzip"):
            pairs = [_pair(org, url, paths, encoding=encoding) for _ in range(settings.rounds)]
            ratio = median(still_s / our_s for our_s, still_s in pairs)
            rate = paths.bytes / median(our_s for our_s, _ in pairs) / 1e6
            ending = "" if encoding == "identity" else "_gzip"
            static = [still_s for _, still_s in pairs]
            figures["spread"] = max(figures["spread"], max(static) / min(static))
            figures |= {f"{name}vs_static{ending}": ratio, f"{name}mb_s{ending}": rate}
            kind = "REST" if name else "Bulk"
            print(
                f"  {kind} pages, {encoding:<8}  {ratio:.2f} of the static file's rate; {rate:,.0f} MB of text a second",
                flush=True,
            )
    return figures


def _pair(org: Org, url: str, paths: Paths, *, encoding: str) -> tuple[float, float]:
    """Seconds of the same bytes from both servers.
    Raises: RuntimeError if they are not as many.
    """
    our_s, ours = download_s(org.url, paths.ours, token=org.token, encoding=encoding)
    still_s, still = download_s(url, paths.static if encoding == "identity" else paths.packed, encoding=encoding)
    if encoding == "identity" and not ours == still == paths.bytes:
        raise RuntimeError(f"{ours:,} bytes came from the emulator, {still:,} from the static server, not {paths.bytes:,}")
    return our_s, still_s


def _small_calls(org: Org) -> dict[str, str]:
    record = org.hundredth[0]
    return {
        "get": f"{API}/sobjects/Account/{record}",
        "query": f"{API}/query?q=" + quote(f"SELECT Id, Name, SystemModstamp FROM Account WHERE Id = '{record}'"),
    }


def _calls(settings: Settings, org: Org, url: str, *, paths: Mapping[str, str]) -> dict[str, float]:
    """Small calls a second over one connection, and how that stands to a bare application that sends the same bytes."""
    figures: dict[str, float] = {}
    for name, path in paths.items():
        ours, bare = Caller(org.url, path, token=org.token), Caller(url, f"/text/{name}")
        if ours.body() != bare.body():
            raise RuntimeError(f"{path}: the bare application sends other bytes")
        pairs = [(ours.per_second(settings.call_s), bare.per_second(settings.call_s)) for _ in range(settings.rounds)]
        ours.close()
        bare.close()
        rate, ratio = median(one for one, _ in pairs), median(one / other for one, other in pairs)
        figures |= {f"{name}_per_s": rate, f"{name}_vs_bare": ratio}
        print(f"  {name:<5} {rate:,.0f} calls a second, {ratio:.2f} of the bare application's", flush=True)
    return figures


def _ingest(settings: Settings, folder: Path) -> dict[str, float]:
    """The same CSV by Bulk 2.0 upsert and by the floor, twice each: first its rows are new, then they are known."""
    file, schema = folder / "rows.csv", folder / "rows.yaml"
    schema.write_text(SCHEMA, encoding="utf-8")
    file.write_text("".join(_csv(settings.rows)), encoding="utf-8")
    floor = Process([sys.executable, str(HERE / "contenders/ingest_floor.py")], _wanted_of_floor(file, folder))
    try:
        floors = floor.answer()["seconds"]
    finally:
        floor.close()
    door = Door(["--store", str(folder / "ingest.sqlite"), "--schema", str(schema)])
    try:
        took = [_upsert_s(door, file, rows=settings.rows) for _ in range(TIMES)]
    finally:
        door.stop()
    figures: dict[str, float] = {}
    for name, our_s, floor_s in zip(("insert", "update"), took, floors, strict=True):
        figures |= {f"{name}_rows_s": settings.rows / our_s, f"{name}_vs_floor": our_s / floor_s}
        rate = settings.rows / our_s
        print(f"  upsert, {name}: {our_s:.1f} s, {rate:,.0f} rows a second; the floor takes {floor_s:.1f} s", flush=True)
    return figures


def _csv(rows: int) -> Iterator[str]:
    yield "Code__c,Name,Phone__c,Revenue__c\n"
    for number in range(rows):
        yield f"C{number:09d},Row number {number},+41 44 {number % 10_000_000:07d},{number % 1_000_003}.25\n"


def _wanted_of_floor(file: Path, folder: Path) -> dict[str, object]:
    return {"csv": str(file), "database": str(folder / "floor.sqlite"), "times": TIMES}


def _upsert_s(door: Door, file: Path, *, rows: int) -> float:
    """Seconds from the creation of the job to its end, upload included.
    Raises: RuntimeError unless every row was written.
    """
    began = time.perf_counter()
    wanted = {"operation": "upsert", "object": "Row__c", "externalIdFieldName": "Code__c"}
    job = f"{API}/jobs/ingest/" + door.call("POST", f"{API}/jobs/ingest", json.dumps(wanted).encode())["id"]
    door.read("PUT", f"{job}/batches", file.read_bytes(), kind="text/csv")
    door.call("PATCH", job, b'{"state": "UploadComplete"}')
    told = _ended(door, job)
    took_s = time.perf_counter() - began
    if (told["numberRecordsProcessed"], told["numberRecordsFailed"]) != (rows, 0):
        raise RuntimeError(f"the ingest is not whole: {told}")
    return took_s


def _ended(door: Door, job: str) -> dict[str, Any]:
    """The job, once it is complete.
    Raises: RuntimeError if it ends in another way.
    """
    while (told := door.call("GET", job))["state"] in ("UploadComplete", "InProgress"):
        time.sleep(POLL_S)
    if told["state"] != "JobComplete":
        raise RuntimeError(f"the job ended: {told}")
    return dict(told)


def _reset(settings: Settings) -> dict[str, float]:
    """Milliseconds to make the org of a test fixture fresh again after a record was written: the median of many."""
    with Emulator() as emulator:
        sobject = emulator.store.catalog.get("Account")
        assert sobject is not None
        emulator.checkpoint()
        took = []
        for _ in range(settings.resets):
            emulator.store.insert(sobject, {"Name": "one"}, user_id=emulator.org.api_user_id)
            began = time.perf_counter()
            emulator.reset()
            took.append(time.perf_counter() - began)
            if emulator.store.count(sobject):
                raise RuntimeError("the org is not fresh")
    reset_ms = median(took) * 1_000
    print(f"  reset of a fixture {reset_ms:.1f} ms, at worst {max(took) * 1_000:.1f} ms")
    return {"reset_ms": reset_ms}


def _shown(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


@contextmanager
def _static(folder: Path, texts: Mapping[str, str]) -> Iterator[str]:
    """The address of the static server."""
    process = Process([sys.executable, str(HERE / "contenders/static.py")], {"folder": str(folder), "texts": texts})
    try:
        yield process.answer()["url"]
    finally:
        process.close()


if __name__ == "__main__":
    main()
