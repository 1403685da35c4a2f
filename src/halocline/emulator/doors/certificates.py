"""The emulator's certificate authority, and the certificate that it gives the https door."""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.emulator.doors.addresses import LOOPBACK

if TYPE_CHECKING:
    import trustme

# A wildcard stands for one label only. Source: RFC 6125, section 6.4.3; host names: Salesforce Help, "My Domain URL Formats".
SALESFORCE_HOSTS = (
    "login.salesforce.com",
    "test.salesforce.com",
    "*.salesforce.com",
    "*.my.salesforce.com",
    "*.sandbox.my.salesforce.com",
    "*.develop.my.salesforce.com",
    "*.scratch.my.salesforce.com",
    "*.trailblaze.my.salesforce.com",
    "*.demo.my.salesforce.com",
    "*.patch.my.salesforce.com",
    "*.lightning.force.com",
    "*.sandbox.lightning.force.com",
    "*.develop.lightning.force.com",
    "*.scratch.lightning.force.com",
)
LEAF_AGE = timedelta(days=397)  # Apple's clients refuse server certificates that are valid for longer than 398 days
_AUTHORITY = "ca.pem"
_PRIVATE = "ca-private.pem"  # key and certificate in one file, so that they can never belong to two authorities


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the https door needs: `ca_file` for clients (PEM), `context` for the server."""

    ca_file: Path
    context: ssl.SSLContext


def certificates(folder: Path) -> Certificates:
    """A server certificate for the loopback and Salesforce's hosts, signed by the authority that lives in `folder`.

    The authority is made on first use; only the server's certificate is new each time.
    Raises: ValueError if the folder holds something else under the authority's name.
    """
    authority = _authority(folder)
    leaf = authority.issue_cert(*LOOPBACK, *SALESFORCE_HOSTS, not_after=datetime.now(UTC) + LEAF_AGE)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf.configure_cert(context)
    return Certificates(_published(folder, authority), context)


def _authority(folder: Path) -> trustme.CA:
    import trustme  # cryptography behind it takes a tenth of a second to load: only for those who open the https door

    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / _PRIVATE
    if not kept.exists():
        fresh = trustme.CA(organization_name="Halocline", organization_unit_name="Emulator on this machine")
        _write_once(kept, fresh.private_key_pem.bytes() + fresh.cert_pem.bytes())
    pem = kept.read_bytes()
    try:
        return trustme.CA.from_pem(cert_bytes=pem, private_key_bytes=pem)
    except ValueError as reason:
        raise ValueError(
            f"{kept} is not a certificate authority of the emulator ({reason}); delete it to get a new one"
        ) from reason


def _write_once(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read; another process that was faster wins."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.link(name, path)
    except FileExistsError:
        return
    finally:
        Path(name).unlink()


def _published(folder: Path, authority: trustme.CA) -> Path:
    """The authority's certificate alone, for clients."""
    path = folder / _AUTHORITY
    content = authority.cert_pem.bytes()
    if not path.exists() or path.read_bytes() != content:
        handle, name = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    return path
