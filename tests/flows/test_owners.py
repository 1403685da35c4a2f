"""Laws of owners: a file belongs to one flow or to none, whoever asks."""

from __future__ import annotations

import pytest

from halocline.errors import FixConfig
from halocline.flows.connected import Connected
from halocline.flows.owners import Owners
from halocline.flows.reading import understood
from halocline.landed import Landed

FLOWS = """
connections: {b: s3://b, below: s3://b/in, c: {kind: s3, bucket: c}, named: env:BUCKET}
flows:
  all: {kind: file, from: b, object: A, key: E__c}
  inner: {kind: file, from: below, prefix: x/, object: A, key: E__c, archive: done/, errors: bad/}
  innermost: {kind: file, from: b, prefix: in/x/y/, object: A, key: E__c}
  beside: {kind: file, from: c, prefix: in/, object: A, key: E__c}
  push: {kind: push, file: x.csv, object: A, mode: insert}
"""


def owners(text: str = FLOWS) -> Owners:
    found = understood(text)
    return Owners.among(found, Connected(found.connections))


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        ("b/a.csv", "all"),
        ("b/in/x/a.csv", "inner"),
        ("b/in/x/y/a.csv", "innermost"),
        ("b/in/x/y", "inner"),
        ("b/done/in/x/a.csv", None),
        ("b/bad/a.csv", None),
        ("b/archive/in/x/a.csv", None),
        ("b/in/x/folder/", None),
        ("c/in/a.csv", "beside"),
        ("c/a.csv", None),
        ("c/in/done/a.csv", "beside"),
        ("d/a.csv", None),
    ],
)
def test_a_file_belongs_to_the_flow_of_the_longest_prefix(file: str, owner: str | None) -> None:
    """And to none where any flow of that bucket put it there itself."""
    bucket, _, key = file.partition("/")
    where, found = Landed(bucket, key), owners()
    assert found.of(where) == owner
    for name in found.jobs:
        if name == owner:
            found.check(name, where)
            continue
        with pytest.raises(FixConfig, match=f"it belongs to the flow {owner}" if owner else "it is none of its files"):
            found.check(name, where)


def test_two_flows_of_the_same_files_are_told_when_their_references_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else could tell."""
    text = FLOWS + "  again: {kind: file, from: named, prefix: in/x/y/, object: A, key: E__c}\n"
    monkeypatch.setenv("BUCKET", "s3://other")
    assert owners(text).of(Landed("other", "in/x/y/a.csv")) == "again"
    monkeypatch.setenv("BUCKET", "s3://b")
    with pytest.raises(FixConfig, match="it takes the same files as innermost"):
        owners(text)
    monkeypatch.setenv("BUCKET", "s3://b/done")
    with pytest.raises(FixConfig, match="below what inner puts there"):
        owners(text)
