"""Files between a bucket and this machine, for a callback of `respond_to_s3_event`."""

from __future__ import annotations

from pathlib import Path

from halocline import registry
from halocline.buckets import Buckets
from halocline.errors import NotFound
from halocline.landed import version_at_hand
from halocline.scratch import folder, key_of, place_of
from halocline.spool import storage


def download_file(
    s3_object_key: str, bucket_name: str, download_path: Path | str | None = None, *, buckets: Buckets | None = None
) -> Path:
    """Bring an object to this machine: a file named as its key is, below `download_path`, or below a folder of its own.

    In a callback of an event it is the version that landed, where the bucket keeps versions; else the newest.
    Without `download_path` the file goes when the callback that asked for it is over, else with the process. A key that means a
    place elsewhere (`../x`, `/x`) never becomes one. The file appears whole or not at all.
    Raises: NotFound; FixConfig for a place outside of `download_path`; StorageFailed; what the bucket raises.
    """
    path = place_of(s3_object_key, folder() if download_path is None else Path(download_path))
    with storage(f"Making the folder {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    version = version_at_hand(bucket_name, s3_object_key)
    (buckets or registry.open_buckets()).download(bucket_name, s3_object_key, path, version=version)
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

    Raises: NotFound when it is at neither place; Changed when another took its place meanwhile, and then nothing is deleted.
    """
    store, target = buckets or registry.open_buckets(), new_bucket or bucket
    if (target, new_key) == (bucket, old_key):
        return
    old = store.head(bucket, old_key)
    if old is None:
        if delete and store.head(target, new_key) is not None:
            return
        raise NotFound(
            f"Moving s3://{bucket}/{old_key}", "there is no such object", hint=f"Nor is it at s3://{target}/{new_key}."
        )
    store.copy(old, target, new_key)
    if delete:
        store.delete(bucket, old_key, etag=old.etag)


def delete_file(s3_key: str, bucket: str, *, buckets: Buckets | None = None) -> None:
    """Delete an object; where there is none, nothing is done."""
    (buckets or registry.open_buckets()).delete(bucket, s3_key)
