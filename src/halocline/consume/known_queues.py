"""Known queues: a name stands for one queue, by which its messages are remembered and set aside.

Queues of one name may be in several regions and accounts. What messages are remembered by has the name alone, so that it does not
change where a queue is told by its name, its URL or its ARN. So that no two queues share it, a store is told which one it is.
"""

from __future__ import annotations

import os
import uuid

from halocline.consume.handling.handlers import Handlers, payload_of
from halocline.errors import AccessDenied, FixConfig
from halocline.idempotency import Held, IdempotencyStore, State, Wanted
from halocline.queues import Identified, Queue

SAY_KNOWN_AS = "Say for the newer of the two by which name else it is to be known: known_as."
_KEEP_S = 10 * 365 * 86_400.0
_LEASE_S = 30.0


def identity_known(queue: Queue) -> str:
    """What no other queue is called; "": nothing tells it, or not to this login.

    Raises: what asking the queue raises, save AccessDenied.
    """
    try:
        return queue.identity() if isinstance(queue, Identified) else ""
    except AccessDenied:
        return ""


def may_clash(handlers: Handlers) -> bool:
    """Whether messages of two queues of one name may have one key, and are two all the same: ids of messages are never equal, and
    keys that are meant for several queues are those of one message.
    """
    return handlers.key is not None and not handlers.across_queues


def book(store: IdempotencyStore, name: str, *, identity: str) -> None:
    """Let the store know which queue a name stands for; `identity` "": nothing tells it, and nothing is booked.

    Raises: FixConfig where it stands for another one there; what the store raises.
    """
    if not identity:
        return
    wanted = Wanted(f"halocline:queue:{name}", payload_of(identity))
    (claim,) = store.claim([wanted], owner=f"{os.getpid()}-{uuid.uuid4().hex}", lease_s=_LEASE_S)
    if claim.state is State.MISMATCH:
        cause = f"the idempotency store has the keys of another queue called {name}: equal keys of the two would be one message"
        raise FixConfig(f"Remembering the messages of {identity}", cause, hint=SAY_KNOWN_AS)
    if claim.state is State.OURS:
        store.done([(Held(claim.key, claim.fence), "")], keep_s=_KEEP_S)
