"""`halocline listen`: the messages of queues to the handlers of a module, each handled once."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from halocline.cli import options
from halocline.cli.answer import err, error_json, out, refuse, say_error, say_json, told
from halocline.cli.system import worst
from halocline.errors import HaloclineError

if TYPE_CHECKING:
    from halocline.consume.listening import Ended, Post
    from halocline.consume.topics.subscription import Plan
    from halocline.consume.watching.observer import Observer

_DIFFERS = 3
_OF_ONE = "--queue, --topic and --store say more of module:name; a flow of halocline.yaml says them itself."


def listen(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="FLOW|MODULE:NAME", help="Flows of the kind listen, or where handlers are.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every flow of the kind listen.")] = False,
    queue: Annotated[
        str | None, typer.Option("--queue", metavar="QUEUE", help="The queue of MODULE:NAME, by name or URL.")
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", metavar="ARN", help="A topic of MODULE:NAME, for --plan. Repeatable.")
    ] = None,
    store: Annotated[
        str | None, typer.Option("--store", metavar="URI", help="Where MODULE:NAME remembers what was handled; none: nowhere.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what must change so that the queue gets what is handled.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Make those changes.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Say whether any is needed: exit code 3 if so.")] = False,
    health: Annotated[
        str | None,
        typer.Option("--health", metavar="PORT", help="Answer /live, /ready, /metrics on PORT, HOST:PORT or [::1]:PORT."),
    ] = None,
    otel: Annotated[bool, typer.Option("--otel", help="Make spans and metrics of OpenTelemetry.")] = False,
    log_bodies: Annotated[bool, typer.Option("--log-bodies", help="Log the bodies of messages that fail.")] = False,
    config: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """Listen to queues until SIGTERM, and have each message handled once. Logs are lines of JSON on standard error.

    SIGTERM lets handlers end and hands back what has not begun; a second one hands everything back at once.
    """
    if sum((plan, apply, verify)) > 1:
        refuse("--plan, --apply and --verify are one each.")
    if bool(targets) == everything:
        refuse("name flows or module:name, or say --all.")
    with told(as_json=as_json):
        posts = _posts(targets or [], config, queue=queue, topics=topic or [], store=store)
        if plan or apply or verify:
            code = worst([_subscribe(post, apply=apply, verify=verify, as_json=as_json) for post in posts])
        else:
            code = _listen(posts, health=health, otel=otel, bodies=log_bodies, as_json=as_json)
    raise typer.Exit(code)


def _posts(targets: list[str], config: str | None, *, queue: str | None, topics: list[str], store: str | None) -> list[Post]:
    """The flows that are meant, with their handlers; none is begun before all are known."""
    from pathlib import Path

    from halocline.consume.handling.registries import registry_at
    from halocline.consume.listening import Post
    from halocline.flows.listening import listening

    modules = [one for one in targets if ":" in one]
    if (queue or topics or store) and len(targets) + len(modules) != 2:
        bare = next((one for one in targets if "." in one and ":" not in one), None)
        refuse(_OF_ONE if bare is None else f"{_OF_ONE} Did you mean {bare}:handlers?")
    posts = [Post.at(one, registry_at(one, folder=Path()), queue=queue, topics=topics, store=store) for one in modules]
    names = [one for one in targets if ":" not in one]
    if names or not targets:
        for name, flow, folder in listening(names, config):
            posts.append(Post(name, flow, registry_at(flow.handlers, folder=folder).handlers))
    return posts


def _listen(posts: list[Post], *, health: str | None, otel: bool, bodies: bool, as_json: bool) -> int:
    """Listen; the exit code that the end deserves."""
    from halocline.config import Settings
    from halocline.consume.listening import Listening, labels
    from halocline.consume.watching.health import Health, HealthServer
    from halocline.consume.watching.logs import Logs
    from halocline.consume.watching.observer import Observers

    _log([post.flow.handlers for post in posts])
    watching: list[Observer] = [Logs(bodies=bodies)]
    if otel:
        from halocline.consume.watching.telemetry import Telemetry

        watching.append(Telemetry())
    with ExitStack() as stack:
        if health is not None:
            known = Health(labels(posts))
            watching.append(known)
            stack.enter_context(HealthServer(known, health))
        ended = Listening(posts, Observers(watching), Settings.from_env()).run()
    code = worst([_tell(one, as_json=as_json) for one in ended])
    mistakes = [one.error for one in ended if one.error is not None and not isinstance(one.error, HaloclineError)]
    if mistakes and not as_json:  # after all queues were told of
        raise mistakes[0] if len(mistakes) == 1 else BaseExceptionGroup("several workers ended by mistakes of ours", mistakes)
    return code


def _log(handlers: list[str]) -> None:
    """Lines of JSON on standard error, also for what handlers log; who has set up logging already keeps it.

    Of other packages there are warnings alone: what they tell beside, such as each call over HTTP, may hold anything.
    """
    from halocline.consume.watching.logs import JsonLines

    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root.addHandler(handler)
    for name in {"halocline", *(place.partition(":")[0].partition(".")[0] for place in handlers)}:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)


def _tell(ended: Ended, *, as_json: bool) -> int:
    from dataclasses import asdict

    error = ended.error
    code = 0 if error is None else error.exit_code if isinstance(error, HaloclineError) else 1
    if as_json:
        failed: dict[str, object] = {} if error is None else {"error": str(error), "kind": type(error).__name__}
        if isinstance(error, HaloclineError):
            failed = error_json(error)
        counts = asdict(ended.counts)
        say_json({"flow": ended.name, "queue": ended.queue, "success": error is None, **failed, **counts, "exit_code": code})
        return code
    some = {name.replace("_", " "): count for name, count in asdict(ended.counts).items() if count}
    out.print(f"{ended.name}: {', '.join(f'{count:,} {name}' for name, count in some.items()) or 'no message'}", markup=False)
    if isinstance(error, HaloclineError):
        say_error(error, as_json=False)
    elif error is not None:
        err.print(f"{ended.name}: a mistake of ours: {type(error).__name__}", markup=False)
    return code


def _subscribe(post: Post, *, apply: bool, verify: bool, as_json: bool) -> int:
    """Say how the queue of a flow is subscribed, or make it so; the exit code that it deserves."""
    from halocline import registry
    from halocline.consume.topics import subscription

    cloud = registry.open_subscriptions(**post.flow.access())
    planned = subscription.plan(post.wish(), cloud)
    if apply and planned.changes:
        subscription.apply(planned, cloud)
    code = _DIFFERS if (verify and not planned.is_met) or (apply and planned.problems) else 0
    _say(post, planned, applied=apply, as_json=as_json, code=code)
    return code


def _say(post: Post, planned: Plan, *, applied: bool, as_json: bool, code: int) -> None:
    if as_json:
        changes = [{"act": one.act, "place": one.place, "after": one.after, "before": one.before} for one in planned.changes]
        found = {"changes": changes, "problems": planned.problems, "notes": planned.notes}
        say_json({"flow": post.name, "queue": post.queue, "applied": applied, "met": planned.is_met, **found, "exit_code": code})
        return
    verb = "applied" if applied and planned.changes else "as it is" if planned.is_met else "to change"
    out.print(f"{post.name} ({post.queue}): {verb}", markup=False)
    for line in planned.lines():
        out.print(f"  {line}", markup=False)
