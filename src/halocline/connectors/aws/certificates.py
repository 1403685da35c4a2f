"""Certificates: what SNS signs with, each fetched once from the address that a message names.

Strangers can name any number of addresses below SNS's host, so of those that hold nothing each is asked once in a while, a few
are asked at a time, and who waits for one holds up nobody else.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cryptography import x509

from halocline.errors import HaloclineError, NetworkFailed

_FAILED_S = 15.0
"""For so long an address that failed is not asked again: shorter than the 20 seconds after which SNS tries again, three times,
so that a network that was away for a moment costs no message.
Source: "Set the delivery policy for the Amazon SNS subscription", read November 2026,
https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.retry.html"""
_AT_ONCE = 4
"""Fetches at a time. A region has one certificate, so more are seldom wanted."""
_KEPT = 16  # certificates; a region has one at a time
_REMEMBERED = 1_000  # addresses that failed
_DOING = "Fetching a certificate of SNS"


class Certificates:
    """The certificates by their addresses. Threads may share it.

    `fetch` gets what is at a URL, `clock` is a monotonic time in seconds.
    """

    def __init__(self, fetch: Callable[[str], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, x509.Certificate] = OrderedDict()
        self._failed: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._fetching: dict[str, threading.Event] = {}

    def get(self, url: str) -> x509.Certificate:
        """The certificate at an address; of several threads that want it one fetches it.

        Raises: NetworkFailed where it cannot be had now, or could not a moment ago, or too many others are being fetched.
        """
        if (known := self._kept.get(url)) is not None:
            return known
        with self._turn(url) as is_mine:
            if is_mine:
                self._load(url)
        with self._lock:
            if (known := self._kept.get(url)) is not None:
                return known
            _, cause = self._failed.get(url, (0.0, "it was not kept"))
        raise NetworkFailed(_DOING, cause, hint="Answer 503: SNS tries again.")

    @contextmanager
    def _turn(self, url: str) -> Iterator[bool]:
        """Whether this thread is to fetch it: not where it failed lately, nor where another thread did meanwhile."""
        with self._lock:
            other = self._fetching.get(url)
            if other is None and not self._is_settled(url):
                if len(self._fetching) >= _AT_ONCE:
                    raise NetworkFailed(_DOING, f"{_AT_ONCE} others are being fetched", hint="Answer 503: SNS tries again.")
                mine = self._fetching[url] = threading.Event()
            else:
                mine = None
        if mine is None:
            if other is not None:
                other.wait()
            yield False
            return
        try:
            yield True
        finally:
            with self._lock:
                del self._fetching[url]
            mine.set()

    def _is_settled(self, url: str) -> bool:
        at, _ = self._failed.get(url, (float("-inf"), ""))
        return url in self._kept or self._clock() - at < _FAILED_S

    def _load(self, url: str) -> None:
        """Fetch it, and keep it, or why it cannot be had."""
        try:
            found = x509.load_pem_x509_certificate(self._fetch(url))
        except (HaloclineError, ValueError) as error:
            cause = str(error) if isinstance(error, HaloclineError) else f"what is at {url} is no certificate ({error})"
            with self._lock:
                self._failed.pop(url, None)
                self._failed[url] = (self._clock(), cause)
                _bound(self._failed, _REMEMBERED)
            return
        with self._lock:
            self._failed.pop(url, None)
            self._kept[url] = found
            _bound(self._kept, _KEPT)


def _bound(found: OrderedDict[str, Any], most: int) -> None:
    while len(found) > most:
        found.popitem(last=False)
