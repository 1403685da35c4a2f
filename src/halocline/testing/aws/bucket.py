"""A bucket: versions of objects by key, and uploads in parts that are not complete yet."""

from __future__ import annotations

import secrets
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from halocline.testing.aws.body import Body
from halocline.testing.aws.notifications import Notification
from halocline.testing.aws.version import NULL, Version


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an upload."""

    body: Body
    etag: str
    modified: float
    checksums: Mapping[str, str]


@dataclass(slots=True)
class Upload:
    """An upload in parts: `like` is what the object will be, but for its body."""

    id: str
    like: Version
    started: float
    algorithm: str | None
    checksum_type: str
    parts: dict[int, Part] = field(default_factory=dict)


class Bucket:
    """A bucket. `versioning` is empty, Enabled or Suspended; `documents` are settings that are kept and not acted upon."""

    def __init__(self, name: str, *, region: str, created: float) -> None:
        self.name = name
        self.region = region
        self.created = created
        self.versioning = ""
        self.notifications: tuple[Notification, ...] = ()
        self.documents: dict[str, bytes] = {}
        self.uploads: dict[str, Upload] = {}
        self._versions: dict[str, list[Version]] = {}  # the newest last
        self._keys: list[str] = []  # sorted; code points sort as their UTF-8 does

    @property
    def is_empty(self) -> bool:
        return not self._keys

    def current(self, key: str) -> Version | None:
        """The object of a key; None where there is none, or where a delete marker is the newest."""
        found = self._versions.get(key)
        return None if found is None or found[-1].is_marker else found[-1]

    def version(self, key: str, version_id: str) -> Version | None:
        """One version, which may be a delete marker."""
        return next((one for one in self._versions.get(key, ()) if one.id == version_id), None)

    def newest(self, key: str) -> Version | None:
        """The newest version, which may be a delete marker."""
        found = self._versions.get(key)
        return found[-1] if found else None

    def put(self, version: Version) -> Version:
        """Make a version the newest, with an id as the bucket's versioning has it."""
        made = replace(version, id=secrets.token_urlsafe(24) if self.versioning == "Enabled" else NULL)
        kept = [one for one in self._versions.get(made.key, ()) if self.versioning and one.id != made.id]
        if made.key not in self._versions:
            insort(self._keys, made.key)
        self._versions[made.key] = [*kept, made]
        return made

    def update(self, version: Version) -> None:
        """Put a version in place of the one with its id."""
        self._versions[version.key] = [version if one.id == version.id else one for one in self._versions[version.key]]

    def delete(self, key: str, now: float) -> Version | None:
        """Delete an object; the marker where the bucket keeps versions, else what was deleted."""
        if self.versioning:
            return self.put(Version(key, Body(), "", now, is_marker=True))
        found = self.current(key)
        self._forget(key)
        return found

    def delete_version(self, key: str, version_id: str) -> Version | None:
        """Delete one version for good, and return it."""
        found = self.version(key, version_id)
        if found is not None:
            kept = [one for one in self._versions[key] if one.id != version_id]
            if kept:
                self._versions[key] = kept
            else:
                self._forget(key)
        return found

    def keys(self, prefix: str, *, after: str) -> Iterator[str]:
        """Keys with this prefix behind `after`, in order; those of deleted objects too."""
        start = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after) if after else 0)
        for at in range(start, len(self._keys)):
            if not self._keys[at].startswith(prefix):
                return
            yield self._keys[at]

    def versions(self, key: str) -> list[Version]:
        """All versions of a key, the newest first."""
        return self._versions.get(key, [])[::-1]

    def empty(self) -> None:
        """Delete everything."""
        self._versions.clear()
        self._keys.clear()
        self.uploads.clear()

    def _forget(self, key: str) -> None:
        if self._versions.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]
