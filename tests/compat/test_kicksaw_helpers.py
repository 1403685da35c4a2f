"""Laws of the small helpers that users of kicksaw-integration-utils find at `halocline.compat.kicksaw`."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.test_repository import DRIVERS, modules_after

from halocline.compat.kicksaw.csv_helpers import create_error_report
from halocline.compat.kicksaw.field_formatters import convert_to_iso_date
from halocline.compat.kicksaw.sfdc_helpers import extract_errors_from_results
from halocline.compat.kicksaw.sqs_helpers import acknowledge_messages
from halocline.compat.kicksaw.utils import (
    batch_collection,
    dedupe,
    extract_domain,
    get_iso,
    get_timestamp_folder,
    unix_timestamp_in_future,
)
from halocline.errors import RetryLater


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("19700122", "1970-01-22"),
        ("1999/05/16", "1999-05-16"),
        ("1999-05-16", "1999-05-16"),
        ("/05/16", None),
        ("99999999", None),
        ("19870229", None),
        ("1999a215", None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_is_a_date_or_none(given: str | None, expected: str | None) -> None:
    """Eight digits that are a day, whatever is between them."""
    assert convert_to_iso_date(given) == expected


def test_collections_are_cut() -> None:
    """Into lists, the last one shorter; nothing into none."""
    assert list(batch_collection(iter(range(5)), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batch_collection([], 2)) == []
    with pytest.raises(ValueError, match="size is 0"):
        list(batch_collection([1, 2], 0))  # it gave none, and two elements were gone


def test_an_error_of_salesforce_keeps_its_code_in_the_report(tmp_path: Path) -> None:
    """The document takes `extract_errors_from_results` beside `create_error_report`: one feeds the other."""
    refused = {"statusCode": "DUPLICATE_VALUE", "message": "twice", "fields": []}
    results = [{"success": True, "id": "001", "errors": []}, {"success": False, "id": None, "errors": [refused]}]
    path = tmp_path / "report.csv"
    assert create_error_report([extract_errors_from_results(results)], path) == 1
    assert create_error_report([{"code": "OURS", "statusCode": "THEIRS", "message": "m"}], path) == 1
    assert path.read_text().splitlines()[1:] == [",DUPLICATE_VALUE,twice,,,", ",OURS,m,,,"]


def test_the_first_of_equals_stays() -> None:
    """Of dicts by a key, of objects by an attribute."""

    @dataclass
    class Dud:
        id: int
        name: str = ""

    assert dedupe([{"id": 1, "a": 1}, {"id": 1}, {"id": 2}], "id") == [{"id": 1, "a": 1}, {"id": 2}]
    assert dedupe([Dud(1, "a"), Dud(1), Dud(2)], "id") == [Dud(1, "a"), Dud(2)]


def test_instants_are_as_they_were() -> None:
    """The minute, the day as folders, and seconds that are still to come."""
    assert re.fullmatch(r"\d{8}T\d{4}", get_iso())
    assert get_timestamp_folder(datetime(2021, 3, 27)) == Path("2021/03/27")  # noqa: DTZ001 - as its users give it
    assert get_timestamp_folder().parts
    assert 3_590 < unix_timestamp_in_future(1) - time.time() <= 3_600


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("https://www.acme.com/a?b", {}, "acme.com"),
        ("acme.com:80/a", {}, "acme.com"),
        ("https://www.acme.com", {"remove_www": False}, "www.acme.com"),
        ("https://shop.eu.acme.com", {"remove_subdomains": True}, "acme.com"),
        ("www.acme.com", {}, "acme.com"),
        ("https://acme.com.", {}, None),
        ("https://.acme.com", {}, None),
        ("https://localhost/a.b", {}, None),
        ("acme", {}, None),
        ("https://", {}, None),
        ("", {}, None),
        (None, {"remove_subdomains": True}, None),
    ],
)
def test_a_domain_is_the_host(url: str | None, options: dict[str, Any], expected: str | None) -> None:
    """Without what is around it, and with as much of it as was asked for; None where there is none."""
    assert extract_domain(url, **options) == expected


class Stubborn:
    """A client whose queue deletes nothing of what is named so."""

    def __init__(self, stuck: set[str]) -> None:
        self.stuck = stuck
        self.calls = 0

    def get_queue_url(self, **_: str) -> dict[str, str]:
        return {"QueueUrl": "u"}

    def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        self.calls += 1
        failed, self.stuck = [one for one in Entries if one["ReceiptHandle"] in self.stuck], self.stuck - {"once"}
        return {"Failed": failed}


def test_what_is_not_deleted_is_tried_again_and_told() -> None:
    """There nobody looked at what the queue refused."""
    messages = [{"MessageId": f"m{name}", "ReceiptHandle": name} for name in ("a", "once", "never")]
    client = Stubborn({"once", "never"})
    with pytest.raises(RetryLater, match="1 were not deleted: mnever"):
        acknowledge_messages(client, "q", messages)
    assert client.calls == 3
    acknowledge_messages(Stubborn({"once"}), "q", messages)


@pytest.mark.parametrize(
    "module", ["compat.kicksaw.s3_helpers", "compat.kicksaw.csv_helpers", "consume.aws.s3_events", "sf_client.client", "s3_files"]
)
def test_helpers_load_no_driver(module: str) -> None:
    """A Lambda that starts cold pays for what it uses only."""
    assert modules_after(f"import halocline.{module}") & DRIVERS == set()
