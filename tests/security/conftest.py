"""What the tests of secrets share: nothing is tried twice, and who looks for canaries tells what was looked at."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tests.command_line import app
from tests.figures import SAYS, Says, add
from tests.security.attacks import Attacks
from tests.security.canaries import Watch, key
from typer import testing
from typer.main import get_command

from halocline.connectors.salesforce import auth, soap_login
from halocline.connectors.salesforce.transport import Transport
from halocline.retry import Policy

_ONCE = Policy(attempts=1)


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried twice, and nothing of this process's own environment takes part."""
    monkeypatch.setattr(auth, "_LOGIN_POLICY", _ONCE)
    monkeypatch.setattr(soap_login, "_POLICY", _ONCE)
    assert Transport.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "retry", _ONCE)
    for name in list(os.environ):
        if name.startswith(("SF_", "HALOCLINE_", "AWS_", "PG", "SNOWFLAKE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("halocline.ledger.server.LOST_S", 0.0)
    monkeypatch.setattr(testing, "_get_command", lambda _: _command())
    monkeypatch.setenv("SSL_CERT_FILE", str(_authority()))  # all that this machine trusts takes longer to read than a test


@pytest.fixture
def watch(record_property: Says, request: pytest.FixtureRequest) -> Iterator[Watch]:
    """What a test looks for canaries with; no leak is let pass, and the figures are told."""
    found = Watch()
    yield found
    assert not found.leaks, "\n".join(found.leaks)
    assert found.looks > 0
    family = request.node.name.removeprefix("test_").replace("_", " ")
    record_property(SAYS, f"T25 canaries, {family}: {found}")
    figures = {
        "secrets": len(found.secrets),
        "injections": len(found.injections),
        "looks": found.looks,
        "leaks": len(found.leaks),
    }
    add(record_property, "T25 canaries, all of them", **figures)


@pytest.fixture
def attacks(record_property: Says, request: pytest.FixtureRequest) -> Iterator[Attacks]:
    """Where a test tells what it tried; none of it came through, and the figures are told."""
    found = Attacks()
    yield found
    assert not found.through, "\n".join(found.through)
    assert found.tried > 0
    family = request.node.name.removeprefix("test_").replace("_", " ")
    record_property(SAYS, f"T26 attacks, {family}: {found}")
    add(record_property, "T26 attacks, all of them", blocked=found.tried, through=0)


@cache
def _authority() -> Path:
    """A file with one authority."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key().public_key()).serial_number(1)
    signed = made.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key(), hashes.SHA256())
    path = Path(tempfile.mkdtemp()) / "authority.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return path


@cache
def _command() -> Any:
    """The command line, put together once."""
    return get_command(app)
