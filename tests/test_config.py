"""Laws of settings and secrets: where things live, and that nothing secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from halocline import registry
from halocline.config import Settings, secret
from halocline.errors import FixConfig


def test_the_environment_names_the_places(tmp_path: Path) -> None:
    """HALOCLINE_HOME, HALOCLINE_SPOOL and HALOCLINE_DUCKDB_MEMORY are read; the ledger lies in home."""
    env = {"HALOCLINE_HOME": str(tmp_path), "HALOCLINE_SPOOL": "/spool", "HALOCLINE_DUCKDB_MEMORY": "1GB"}
    settings = Settings.from_env(env)
    assert settings == Settings(tmp_path, Path("/spool"), "1GB")
    assert settings.ledger == tmp_path / "ledger.sqlite"


def test_the_ledger_may_lie_elsewhere(tmp_path: Path) -> None:
    """In a file or a database, named plainly or by a reference to a secret; a URI is in no printed settings."""
    env = {"HALOCLINE_HOME": str(tmp_path), "HALOCLINE_LEDGER": "postgresql://me:word@host/db"}
    assert Settings.from_env(env).ledger == "postgresql://me:word@host/db"
    assert "word" not in repr(Settings.from_env(env))
    (tmp_path / "uri").write_text("postgresql://host/db\n")
    (tmp_path / "uri").chmod(0o600)
    assert Settings.from_env({**env, "HALOCLINE_LEDGER": f"file:{tmp_path / 'uri'}"}).ledger == "postgresql://host/db"
    assert Settings.from_env({**env, "HALOCLINE_LEDGER": "/books/ledger.sqlite"}).ledger == Path("/books/ledger.sqlite")


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "hunter2"}',
        ' {"password": "hunter2", "uri": "postgresql://db/w"}',
        "host=db password=hunter2",
        '["hunter2"]',
    ],
)
def test_a_secret_of_several_keys_is_no_place_of_the_ledger(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused without being repeated; a file of such a name would tell the password to whoever lists the folder."""
    monkeypatch.setenv("WAREHOUSE", text)
    for given in ("env:WAREHOUSE", text):
        with pytest.raises(FixConfig, match="aws-sm:NAME#KEY") as raised:
            _ = Settings.from_env({"HALOCLINE_LEDGER": given}).ledger
        assert "hunter2" not in str(raised.value)


def test_what_stands_before_a_uri_is_shown_as_a_scheme_alone() -> None:
    """In JSON it may be a password."""
    assert registry.shown('{"password": "hunter2", "uri": "postgresql://db/w"}') == "a text that is no URI"
    assert registry.shown("mysql://me:hunter2@db/w") == "mysql://"


def test_a_reference_within_the_ledgers_uri_is_refused() -> None:
    """It would be sent as the password; the whole URI may be one, and it is said how."""
    with pytest.raises(FixConfig, match="HALOCLINE_LEDGER=env:NAME") as raised:
        _ = Settings.from_env({"HALOCLINE_LEDGER": "postgresql://etl:env:PASSWORD@db/ops"}).ledger
    assert "etl" not in str(raised.value)
    for uri in ("postgresql://etl:se:cret@db/ops", "postgresql://db:5432/env"):
        assert Settings.from_env({"HALOCLINE_LEDGER": uri}).ledger == uri


def test_a_lease_lasts_a_minute_or_as_long_as_is_said() -> None:
    """Seconds, from one to a day; anything else is refused."""
    assert (Settings.from_env({}).lease_s, Settings.from_env({"HALOCLINE_LEASE_S": "2.5"}).lease_s) == (60.0, 2.5)
    for text in ("soon", "0.5", "-1", "nan", "1e9"):
        with pytest.raises(FixConfig, match="HALOCLINE_LEASE_S"):
            Settings.from_env({"HALOCLINE_LEASE_S": text})


def test_without_settings_the_state_folder_of_the_user_is_home() -> None:
    """The XDG state folder where it is set, else the one below the user's own folder."""
    assert Settings.from_env({"XDG_STATE_HOME": "/state"}).home == Path("/state/halocline")
    assert Settings.from_env({}).home == Path.home() / ".local" / "state" / "halocline"


def test_a_reference_is_resolved_and_plain_text_is_itself(tmp_path: Path) -> None:
    """`env:` and `file:` are looked up; anything else is the secret already."""
    (tmp_path / "key").write_text("from a file\n")
    (tmp_path / "key").chmod(0o600)
    assert secret("env:KEY", {"KEY": "from a variable"}) == "from a variable"
    assert secret(f"file:{tmp_path / 'key'}") == "from a file"
    assert secret("plain") == "plain"


@pytest.mark.parametrize("reference", ["env:NOT_SET", "file:/nowhere/at/all"])
def test_a_reference_to_nothing_is_an_error_that_names_it(reference: str) -> None:
    """A secret that is not there is told by the name of its place."""
    with pytest.raises(FixConfig, match=reference.split(":")[1]):
        secret(reference, {})
