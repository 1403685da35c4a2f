"""Files between a bucket and this machine, for a callback of `respond_to_s3_event`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from halocline import registry
from halocline.buckets import Buckets, Stored
from halocline.errors import Changed, NotFound
from halocline.filejob.names import source_mark
from halocline.landed import Landed, at_hand, telling
from halocline.scratch import folder, key_of, place_of
from halocline.spool import storage

_NAMES = ("from", "version", "etag", "sequencer")
_MOVED_FROM, _MOVED_VERSION, _MOVED_ETAG, _MOVED_SEQUENCER = (f"halocline-moved-{name}" for name in _NAMES)
"""Names in the metadata of a copy: a digest of the place it was moved from; version, etag and sequencer of what was moved."""


def download_file(
    s3_object_key: str, bucket_name: str, download_path: Path | str | None = None, *, buckets: Buckets | None = None
) -> Path:
    """Bring an object to this machine: a file named as its key is, below `download_path`, or below a folder of its own.

    In a callback of an event it is the object that landed: its version where the bucket keeps versions, else the newest with the
    event's etag. Anywhere else it is the newest.
    Without `download_path` the file goes when the callback that asked for it is over, else with the process. A key that means a
    place elsewhere (`../x`, `/x`) never becomes one. The file appears whole or not at all.
    Raises: NotFound; Changed in a callback when what landed was overwritten (let it through: the file's result is SUPERSEDED
    then); FixConfig for a place outside of `download_path`; StorageFailed; what the bucket raises.
    """
    path = place_of(s3_object_key, folder() if download_path is None else Path(download_path))
    with storage(f"Making the folder {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    where = at_hand(bucket_name, s3_object_key)
    version, etag = (where.version, where.etag) if where is not None else (None, None)
    with telling(where):
        store = buckets or registry.open_buckets()
        store.download(bucket_name, s3_object_key, path, version=version, etag=None if version else etag)
    return path


def upload_file(
    local_path: Path | str,
    bucket: str,
    s3_key: Path | str | None = None,
    public_read: bool = False,  # noqa: FBT001, FBT002 - the documented signature
    *,
    buckets: Buckets | None = None,
) -> str:
    """Make an object of a file, and say under which key: `s3_key`, else what the file is called below its folder.

    A relative path is its own key, a file of `download_file` or `create_error_report` has the key that is in its path, and any
    other gets its name. Raises: NotFound for a bucket that is not there; StorageFailed; what the bucket raises.
    """
    path = Path(local_path)
    key = key_of(path) if s3_key is None else s3_key if isinstance(s3_key, str) else s3_key.as_posix()
    (buckets or registry.open_buckets()).upload(path, bucket, key, public=public_read)
    return key


def move_file(
    old_key: str,
    new_key: str,
    bucket: str,
    new_bucket: str | None = None,
    delete: bool = True,  # noqa: FBT001, FBT002 - the documented signature
    *,
    buckets: Buckets | None = None,
) -> None:
    """Copy an object and delete the old one, if it is still the one that was copied. Moving what was moved before does nothing.

    In a callback of an event it is the object that landed: one that has taken its place meanwhile stays, for it has an event of
    its own, and so does the copy of one that landed later. Anywhere else it is the newest. What was moved before is known by the
    metadata of its copy.
    Raises: NotFound when it is at neither place; Changed when another took its place: in a callback before the copy was made, and
    nothing is done (see `download_file`); elsewhere after it, and nothing is deleted.
    """
    store, target = buckets or registry.open_buckets(), new_bucket or bucket
    if (target, new_key) == (bucket, old_key):
        return
    where = at_hand(bucket, old_key)
    old = store.head(bucket, old_key, version=where.version if where is not None else None)
    if old is None:
        if delete and _is_moved(store.head(target, new_key), bucket, old_key, where=where):
            return
        hint = f"Nor was it moved to s3://{target}/{new_key}."
        raise NotFound(f"Moving s3://{bucket}/{old_key}", "there is no such object", hint=hint)
    if where is None or not _stands(store.head(target, new_key), old, where):
        with telling(where):
            _expect(old, where)
            store.copy(old, target, new_key, metadata=_moved(old, where))
    if delete:
        _delete_what_was(old, store, where=where)


def delete_file(s3_key: str, bucket: str, *, buckets: Buckets | None = None) -> None:
    """Delete an object; where there is none, nothing is done. In a callback of an event, one newer than what landed stays."""
    store, where = buckets or registry.open_buckets(), at_hand(bucket, s3_key)
    old = None if where is None else store.head(bucket, s3_key, version=where.version)
    if where is None:
        store.delete(bucket, s3_key)
    elif old is not None and _is_landed(old, where):
        _delete_what_was(old, store, where=where)


def _delete_what_was(old: Stored, store: Buckets, *, where: Landed | None) -> None:
    """Delete the key while the object is the newest under it; the newer one of a landing at hand stays without a word."""
    newest = store.head(old.bucket, old.key) if where is not None else old
    if newest is None or newest.version != old.version:
        return
    try:
        store.delete(old.bucket, old.key, etag=old.etag)
    except Changed:
        if where is None:
            raise


def _expect(old: Stored, where: Landed | None) -> None:
    """Raises: Changed where the object is not the one that landed."""
    if where is not None and not _is_landed(old, where):
        cause = f"the object was replaced: its etag is {old.etag}, not {where.etag}"
        raise Changed(f"Moving {where}", cause, hint="What is there now has an event of its own.")


def _is_landed(old: Stored, where: Landed) -> bool:
    return where.version is not None or where.etag in {None, old.etag}


def _is_moved(copy: Stored | None, bucket: str, key: str, *, where: Landed | None) -> bool:
    """Whether an object is the copy that a move made of what was at this place; of a landing at hand, of that one."""
    if copy is None or copy.metadata.get(_MOVED_FROM) != source_mark(bucket, key):
        return False
    if where is not None and where.version is not None:
        return copy.metadata.get(_MOVED_VERSION) == where.version
    return where is None or where.etag in {None, copy.metadata.get(_MOVED_ETAG)}


def _stands(copy: Stored | None, old: Stored, where: Landed) -> bool:
    """Whether the copy of this object, or of one that landed in its place later, is at the target: it is not copied over."""
    if not _is_moved(copy, old.bucket, old.key, where=None) or copy is None:
        return False
    sequencer = copy.metadata.get(_MOVED_SEQUENCER, "")
    if sequencer and where.sequencer and replace(where, sequencer=sequencer).order > where.order:
        return True
    mine = _moved(old, where)
    return all(copy.metadata.get(name) == mine[name] for name in mine)


def _moved(old: Stored, where: Landed | None) -> dict[str, str]:
    """What a copy says of the object that it was made of."""
    told = {_MOVED_FROM: source_mark(old.bucket, old.key), _MOVED_ETAG: old.etag}
    told |= {} if old.version is None else {_MOVED_VERSION: old.version}
    return told if where is None or not where.sequencer else {**told, _MOVED_SEQUENCER: where.sequencer}
