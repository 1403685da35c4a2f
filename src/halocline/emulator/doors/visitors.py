"""Visitors: who may ask a server that only this machine can reach. A browser on it can, and so can the pages in that browser.

A page's name can be made to lead to 127.0.0.1 (DNS rebinding), and a page may send forms anywhere: so the name by which the
server is called, and the page that a request comes from, have to be this machine's, or names that nobody can register.
Source: RFC 6761, "Special-Use Domain Names"; RFC 9110, section 7.2, "Host"; the Fetch Standard, "Origin header",
https://fetch.spec.whatwg.org/#origin-header; CVE-2025-66414 (a server on this machine that looked at no name).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from halocline.emulator.doors.addresses import LOOPBACK

_OURS = (".localhost", ".test", ".internal", ".salesforce.com", ".force.com")  # the last two: the names of those who are emulated


def is_visitor(headers: Mapping[str, str], bound: str) -> bool:
    """Whether a request may be answered, by its headers (names in small letters) and the host that the server is bound to; one
    that is bound to the network answers everybody.
    """
    if bound not in LOOPBACK:
        return True
    origin = headers.get("origin")
    return _is_ours(f"//{headers.get('host', '')}") and (origin is None or _is_ours(origin))


def _is_ours(url: str) -> bool:
    try:
        name = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    return name in LOOPBACK or name.endswith(_OURS) or (bool(name) and "." not in name)
