"""`halocline dlq redrive`: what was set aside goes back to its queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options as shared
from halocline.cli.answer import told
from halocline.cli.dlq import options
from halocline.cli.dlq.counted import say_tally

if TYPE_CHECKING:
    from halocline.cli.dlq.place import Opened
    from halocline.consume.letters.dead_letters import DeadLetters
    from halocline.consume.letters.redrive import Targets


def redrive(
    queue: options.Place,
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="QUEUE", help="Where they go, if not to where they came from.")
    ] = None,
    ids: options.Ids = None,
    match: options.Match = "",
    limit: options.Limit = None,
    one_by_one: Annotated[
        bool, typer.Option("--one-by-one", help="Send each from here, even where AWS could move all of them.")
    ] = False,
    per_second: Annotated[
        int | None, typer.Option("--per-second", metavar="N", help="Where AWS moves them: so many a second.", min=1, max=500)
    ] = None,
    by_aws: Annotated[
        bool, typer.Option("--by-aws", help="Have AWS move all of them, unlooked at: none was set aside by a worker.")
    ] = False,
    store: options.Store = None,
    offload: options.Offload = None,
    as_is: options.AsIs = False,
    config: shared.Config = None,
    as_json: shared.Json = False,
) -> None:
    """Send the messages that were set aside back to their queue, and delete them here.

    AWS itself moves all of them where its own policy put all of them there. Those that a worker of Halocline set aside are sent
    one by one, and booked in the idempotency store, so that a redrive that is cut off sends none twice.
    """
    from halocline.cli.dlq.place import opened
    from halocline.consume.letters.dead_letters import DeadLetters
    from halocline.consume.letters.redrive import Targets

    with told(as_json=as_json):
        place = opened(queue, as_is=as_is, config=config, offload=offload)
        letters = DeadLetters(place.queue)
        known = {flow.known: flow.queue for flow in place.flows.values()}
        targets = Targets(place.queue, place.open_queue, given=to, own=place.letters.own, known=known)
        if not (one_by_one or ids or match or limit) and _can_move(place, letters, by_aws=by_aws):
            _move(place, targets, per_second=per_second, as_json=as_json)
            return
        _send(place, letters, targets, ids=ids or [], match=match, limit=limit, store=store, as_json=as_json)


def _can_move(place: Opened, letters: DeadLetters, *, by_aws: bool) -> bool:
    """Whether AWS may move all letters: it can, and none is of a worker's setting aside."""
    from halocline.consume.letters.redrive import may_be_moved
    from halocline.queues import Redriven

    return isinstance(place.queue, Redriven) and bool(place.queue.sources()) and (by_aws or may_be_moved(letters))


def _move(place: Opened, targets: Targets, *, per_second: int | None, as_json: bool) -> None:
    """Have AWS move all letters."""
    from halocline.consume.letters.dead_letters import Tally
    from halocline.consume.letters.redrive import move_all
    from halocline.queues import Redriven, name_of

    assert isinstance(place.queue, Redriven)
    move = move_all(place.queue, name_of(targets.only()), per_second=per_second)
    say_tally(place.name, Tally(done=move.moved), done=f"moved to {targets.only()} by AWS", as_json=as_json)


def _send(
    place: Opened,
    letters: DeadLetters,
    targets: Targets,
    *,
    ids: list[str],
    match: str,
    limit: int | None,
    store: str | None,
    as_json: bool,
) -> None:
    from halocline.consume.letters.dead_letters import chosen
    from halocline.consume.letters.redrive import Redrive

    with place.store(store) as books:
        tally = Redrive(letters, targets, place.name, books).run(chosen(ids, matching=match), limit=limit)
    say_tally(place.name, tally, done="sent back", as_json=as_json)
