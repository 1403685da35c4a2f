"""Claims: who may run a flow. The newest claim wins; each is a numbered file that only one run can make."""

from __future__ import annotations

import json
import secrets

from halocline.connector import Lease
from halocline.connectors.files.layout import claims_of, number_of
from halocline.connectors.files.storage import Storage
from halocline.errors import LeaseHeld, LeaseLost

_KEPT = 10  # claims of a flow that stay
_TRIES = 20  # runs that claim one flow at the same instant take one number each


def claim(storage: Storage, flow: str, *, owner: str) -> Lease:
    """Take the flow: its number grows by one, so that a commit under an older one fails.

    Raises: LeaseHeld when others claim the same flow at the same instant, again and again.
    """
    folder = claims_of(flow)
    data = json.dumps({"flow": flow, "owner": owner, "claim": secrets.token_hex(8)}, ensure_ascii=False).encode()
    for _ in range(_TRIES):
        there = _numbers(storage, folder)
        fence = max(there, default=0) + 1
        if storage.create(_name(folder, fence), data):
            storage.delete(_name(folder, number) for number in there if number <= fence - _KEPT)
            return Lease(flow, owner, fence)
    raise LeaseHeld(f"Claiming the flow {flow}", "other runs claim it at the same time", hint="Start one run at a time.")


def check(storage: Storage, lease: Lease) -> None:
    """Hold a lease against the claims.

    Raises: LeaseLost when a newer claim was made.
    """
    folder = claims_of(lease.flow)
    newest = max(_numbers(storage, folder), default=0)
    data = storage.read(_name(folder, newest))
    owner = "nobody: the claims are gone" if data is None else str(json.loads(data).get("owner"))
    if (newest, owner) != (lease.fence, lease.owner):
        hint = "Nothing of this run was published; the newer run goes on."
        raise LeaseLost(f"Committing the flow {lease.flow}", f"a newer run ({owner}) took it over", hint=hint, owner=owner)


def _name(folder: str, fence: int) -> str:
    return f"{folder}/{fence:08d}.json"


def _numbers(storage: Storage, folder: str) -> list[int]:
    found = (number_of(entry.name) for entry in storage.entries(folder))
    return [number for number in found if number is not None]
