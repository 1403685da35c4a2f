"""Laws of opening an idempotency store by its place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from halocline.claims import KEPT_S
from halocline.config import Settings
from halocline.consume.stores import open_store
from halocline.errors import FixConfig, MissingExtra
from halocline.ledger import open_ledger
from halocline.ledger.claims_sqlite import SWEPT_EVERY, SqliteStore
from halocline.testing.idempotency import Seconds, hold, take


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "home")


def test_without_a_word_it_is_the_ledgers_database(settings: Settings) -> None:
    """The ledger's file holds both, whichever is opened first; `ledger` says the same."""
    store = open_store(settings=settings)
    assert isinstance(store, SqliteStore)
    held = hold(store)
    with open_ledger(settings.ledger) as ledger:
        assert ledger.runs() == []
    again = open_store("ledger", settings=settings)
    assert again is not None
    assert again.renew([held], lease_s=5) == [True]
    for one in (store, again):
        one.close()


def test_the_setting_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HALOCLINE_IDEMPOTENCY, by reference too; a place that is given counts before it."""
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HALOCLINE_IDEMPOTENCY", "env:WHERE")
    monkeypatch.setenv("WHERE", f"sqlite:///{tmp_path / 'claims.sqlite'}")
    store = open_store()
    assert store is not None
    hold(store)
    store.close()
    assert (tmp_path / "claims.sqlite").exists()
    assert not (tmp_path / "home").exists()
    assert open_store("none") is open_store(" None ") is None
    assert "WHERE" not in repr(Settings.from_env())


@pytest.mark.parametrize(
    "place",
    [
        *("", "redis", "sqlite:///", "claims.sqlite", "user:word@host"),
        *("mysql://user:word@host/x", "mysql://user:a/word@host/x", "mysql://host/x?password=word"),
    ],
    ids=range(8),
)
def test_a_place_that_is_none_is_refused(place: str, settings: Settings) -> None:
    """With what can be written, and without what may be a secret in it."""
    with pytest.raises(FixConfig, match="redis://host:6379/0") as raised:
        open_store(place, settings=settings)
    assert "word" not in str(raised.value)


@pytest.mark.parametrize(
    ("place", "driver", "extra"),
    [("redis://host", "redis", "redis"), ("dynamodb://t", "boto3", "aws"), ("postgresql://host/x", "psycopg", "postgres")],
)
def test_a_driver_that_is_missing_is_named(
    place: str, driver: str, extra: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the extra that brings it."""
    for name in [name for name in sys.modules if name.startswith(("halocline.connectors.", "halocline.ledger."))]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == driver]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(MissingExtra, match=rf"halocline\[{extra}\]"):
        open_store(place, settings=settings)


def test_what_is_over_is_swept_from_a_file(tmp_path: Path) -> None:
    """Now and then, with the changes: memories that ended and claims of workers long dead; nothing else."""
    clock = Seconds()
    store = SqliteStore(tmp_path / "claims.sqlite", clock=clock)
    store.done([(hold(store, "done"), "")], keep_s=10)
    store.done([(hold(store, "kept"), "")], keep_s=2 * KEPT_S)
    store.quarantine([(hold(store, "poison"), "reason")])
    store.quarantine([(hold(store, "gone"), "reason")], keep_s=10)
    hold(store, "dead")
    clock.advance(KEPT_S)
    late = hold(store, "late", lease_s=1)
    for _ in range(SWEPT_EVERY):
        clock.advance(1)
        store.renew([late], lease_s=1)
    rows = store._db.execute("SELECT key FROM claims ORDER BY key").fetchall()
    assert [key for (key,) in rows] == ["kept", "late", "poison"]
    assert take(store, "done").attempts == 0
    store.close()
