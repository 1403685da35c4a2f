"""Small things of the older library, for code that uses them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

__all__ = [
    "batch_collection",
    "dedupe",
    "extract_domain",
    "get_iso",
    "get_timestamp_folder",
    "unix_timestamp_in_future",
]

T = TypeVar("T")


def get_iso() -> str:
    """The minute by this machine's clock, `20220705T0930`. Two calls may give the same: name nothing by it alone."""
    return f"{datetime.now().astimezone():%Y%m%dT%H%M}"


def get_timestamp_folder(datetime_object: datetime | None = None) -> Path:
    """`2021/03/27`, of the day given or of today by this machine's clock."""
    return Path(f"{datetime_object or datetime.now().astimezone():%Y/%m/%d}")


def batch_collection(iterable: Iterable[T], size: int) -> Iterator[list[T]]:
    """The elements in lists of `size`, the last one perhaps shorter. Raises: ValueError for a size below 1."""
    if size < 1:
        raise ValueError(f"size is {size}: a batch holds 1 element or more")
    drawn = iter(iterable)
    while chunk := list(itertools.islice(drawn, size)):
        yield chunk


def dedupe(elements: Iterable[T], unique_prop: str) -> list[T]:
    """The first of those that share the value of a key or an attribute."""
    found: dict[Any, T] = {}
    for element in elements:
        value = element[unique_prop] if isinstance(element, Mapping) else getattr(element, unique_prop)
        found.setdefault(value, element)
    return list(found.values())


def unix_timestamp_in_future(hours: float) -> int:
    """Seconds since 1970 in so many hours."""
    return int((datetime.now(UTC) + timedelta(hours=hours)).timestamp())


def extract_domain(url: str | None, remove_subdomains: bool = False, remove_www: bool = True) -> str | None:
    """The host of an address, also of one without `https://`; None where there is no address, or no dot within its host.

    `remove_subdomains` leaves its last two names, which is wrong for `.co.uk` and the like.
    """
    address = url or ""
    host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
    host = host.removeprefix("www.") if remove_www else host
    if "." not in host.strip(".") or host != host.strip("."):
        return None
    return ".".join(host.split(".")[-2:]) if remove_subdomains else host
