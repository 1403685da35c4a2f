"""From a path to the resource that answers it: for requests from outside, and for those that travel inside another one."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from halocline.emulator import rest
from halocline.emulator.errors import ApiError, OAuthError, malformed_json, method_not_allowed, not_found, retired_version
from halocline.emulator.wire import RAW_QUERY, Answer, Ask, error_answer, json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from halocline.emulator.org import EmulatorConfig
    from halocline.emulator.routes import Route

logger = logging.getLogger(__name__)

# What a request inside another one takes over from it; everything else it brings itself.
# Source: REST API Developer Guide, "Composite Subrequest", `httpHeaders`. The last one is ours.
INHERITED = ("accept", "authorization", "content-type", "x-emulator-transaction")

EVERY_METHOD = "*"  # among a route's methods: who works on those that it does not name


def matched(routes: Sequence[Route], path: str) -> tuple[Route, dict[str, str]]:
    """The first route that the path fits, and the path's parts, unquoted.
    Raises: ApiError(404, NOT_FOUND).
    """
    for route in routes:
        match = route.pattern.match(path)
        if match:
            return route, {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
    raise not_found()


def check_version(version: str, config: EmulatorConfig) -> None:
    """Raises: ApiError 410 for a retired version, 404 for one that never was."""
    if re.fullmatch(r"[0-9]{1,2}\.0", version, re.ASCII) is None:
        raise not_found()
    number = int(version[:-2])
    if rest.FIRST_EVER <= number < config.oldest_version:
        raise retired_version(version)
    if not config.oldest_version <= number <= config.newest_version:
        raise not_found()


def worker(route: Route, ask: Ask) -> Callable[[Ask], Answer]:
    """Who works on the request's method; HEAD is a GET whose body the server leaves out.
    Raises: ApiError(405, METHOD_NOT_ALLOWED), ApiError(404, NOT_FOUND) before the resource's first API version.
    """
    if route.since and float(ask.version) < route.since:
        raise not_found()
    found = route.methods.get("GET" if ask.method == "HEAD" else ask.method) or route.methods.get(EVERY_METHOD)
    if found is None:
        raise method_not_allowed(ask.method, route.methods)
    return found


def guarded(work: Callable[[], Answer]) -> Answer:
    """The answer of the work, or of what stopped it."""
    try:
        return work()
    except (ApiError, OAuthError) as refusal:
        return error_answer(refusal)
    except RecursionError:  # only what a client nests reaches that deep
        return error_answer(malformed_json("The request is nested too deeply"))
    except Exception:
        logger.exception("a request broke the emulator")  # the client gets Salesforce's words, the developer the traceback
        message = "An unexpected error occurred. Please include this ErrorId if you contact support: emulator"
        return error_answer(ApiError(500, "UNKNOWN_EXCEPTION", message))


def performed(
    ask: Ask, *, method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None, counted: bool = False
) -> Answer:
    """The answer to a request inside `ask`: of the same user, through the same routes, refusals included.

    `url` is a path from `/services` on, with its query; `counted` ones cost an API request each.
    """
    path, _, query = url.partition("?")
    kept = {name: value for name, value in ask.headers.items() if name in INHERITED} | {RAW_QUERY: query}
    inner = replace(
        ask,
        method=method,
        path=path.rstrip("/") or "/",
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=kept | {name.lower(): value for name, value in (headers or {}).items()},
        body=b"" if body is None else json_bytes(body),
        params={},
    )
    return guarded(partial(_inside, inner, counted=counted))


def _inside(ask: Ask, *, counted: bool) -> Answer:
    from halocline.emulator.routes import ROUTES  # the routes name the modules that call this one

    route, params = matched(ROUTES, ask.path)
    if route.is_open or "version" not in params:
        raise not_found()
    check_version(params["version"], ask.org.config)
    if counted:
        ask.org.limits.spend_request()
    named = replace(ask, params=params)
    return worker(route, named)(named)
