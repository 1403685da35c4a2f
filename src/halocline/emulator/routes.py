"""Every path of the emulator, and who works on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from halocline.emulator import (
    admin,
    auth,
    authorization,
    conditional,
    identity,
    records,
    relationships,
    rest,
    search,
    tooling,
    ui_resources,
)
from halocline.emulator.bulk1 import door as bulk1
from halocline.emulator.bulk2 import ingest, query_jobs
from halocline.emulator.composite import batch, collections, graph, sequence, tree
from halocline.emulator.soap import service as soap
from halocline.emulator.wire import Answer, Ask


@dataclass(frozen=True, slots=True)
class Route:
    """A resource: its path as written below, who works on which method, and what it costs to come in.

    `is_open` needs no session; `limited` answers carry the limit header and count as API requests. Below the API version `since`
    there is no such resource.
    """

    path: str
    pattern: re.Pattern[str]
    methods: Mapping[str, Callable[[Ask], Answer]]
    is_open: bool = False
    limited: bool = True
    since: int = 0


def _route(
    path: str, methods: Mapping[str, Callable[[Ask], Answer]], *, is_open: bool = False, limited: bool = True, since: int = 0
) -> Route:
    """`{name}` in `path` stands for one segment, `{name:rest}` for the rest of the path."""
    pattern = re.sub(r"\{(\w+):rest\}", r"(?P<\1>.+)", path)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    return Route(path, re.compile(pattern + r"\Z", re.IGNORECASE), methods, is_open, limited, since)


_V = "/services/data/v{version}"
_OAUTH = "/services/oauth2"
ROUTES: tuple[Route, ...] = (
    _route("/services/data", {"GET": rest.versions}, is_open=True, limited=False),
    _route(f"{_OAUTH}/token", {"POST": auth.token}, is_open=True, limited=False),
    _route(f"{_OAUTH}/authorize", {"GET": authorization.authorize, "POST": authorization.authorize}, is_open=True, limited=False),
    _route(f"{_OAUTH}/revoke", {"POST": auth.revoke, "GET": auth.revoke}, is_open=True, limited=False),
    _route(f"{_OAUTH}/introspect", {"POST": auth.introspect}, is_open=True, limited=False),
    _route(f"{_OAUTH}/userinfo", {"GET": identity.userinfo, "POST": identity.userinfo}, is_open=True, limited=False),
    _route("/id/{organization}/{user}", {"GET": identity.identity, "POST": identity.identity}, is_open=True, limited=False),
    _route("/services/soap/{letter}/{release}(?:/.*)?", {"POST": soap.serve}, is_open=True, limited=False),
    *(_route(path, methods, is_open=True, limited=False) for path, methods in bulk1.RESOURCES.items()),
    _route(_V, {"GET": rest.resources}),
    _route(f"{_V}/query", {"GET": rest.query}),
    _route(f"{_V}/queryall", {"GET": rest.query_all}),
    _route(f"{_V}/query(?:all)?/{{locator}}", {"GET": rest.query_more}),
    _route(f"{_V}/limits", {"GET": rest.limits}),
    _route(f"{_V}/limits/recordcount", {"GET": rest.record_count}),
    _route(f"{_V}/sobjects", {"GET": conditional.describe(rest.describe_global)}),
    _route(f"{_V}/sobjects/{{sobject}}", {"GET": rest.basic_information, "POST": records.create}),
    _route(f"{_V}/sobjects/{{sobject}}/describe", {"GET": conditional.describe(rest.describe_object)}),
    _route(f"{_V}/sobjects/{{sobject}}/deleted", {"GET": rest.deleted}),
    _route(f"{_V}/sobjects/{{sobject}}/updated", {"GET": rest.updated}),
    _route(f"{_V}/sobjects/{{sobject}}/id", {"POST": records.create}),
    _route(f"{_V}/sobjects/{{sobject}}/listviews", {"GET": ui_resources.list_views}),
    _route(
        f"{_V}/sobjects/{{sobject}}/{{id}}",
        {"GET": conditional.row(records.read), "PATCH": conditional.row(records.change), "DELETE": records.delete},
    ),
    *(
        _route(path, {"GET": relationships.read, "PATCH": relationships.change, "DELETE": relationships.delete})
        for path in (f"{_V}/sobjects/{{sobject}}/{{key}}/{{value}}", f"{_V}/sobjects/{{sobject}}/{{key}}/{{value}}/{{path:rest}}")
    ),
    _route(f"{_V}/search", {"GET": search.search}),
    _route(f"{_V}/parameterizedsearch", {"GET": search.by_parameters, "POST": search.by_body}),
    _route(f"{_V}/recent", {"GET": ui_resources.nothing_listed}),
    _route(f"{_V}/tabs", {"GET": ui_resources.nothing_listed}),
    _route(f"{_V}/theme", {"GET": ui_resources.theme}),
    _route(f"{_V}/tooling", {"GET": tooling.resources}),
    _route(f"{_V}/tooling/query", {"GET": tooling.query}),
    _route(f"{_V}/tooling/query/{{locator}}", {"GET": tooling.query_more}),
    _route(f"{_V}/tooling/sobjects", {"GET": tooling.describe_global}),
    _route(f"{_V}/tooling/sobjects/{{sobject}}", {"GET": tooling.basic_information}),
    _route(f"{_V}/tooling/sobjects/{{sobject}}/describe", {"GET": tooling.describe_object}),
    _route(f"{_V}/jobs/ingest", {"GET": ingest.list_jobs, "POST": ingest.create}),
    _route(f"{_V}/jobs/ingest/{{job}}", {"GET": ingest.show, "PATCH": ingest.change, "DELETE": ingest.delete}),
    _route(f"{_V}/jobs/ingest/{{job}}/batches", {"PUT": ingest.upload}),
    _route(f"{_V}/jobs/ingest/{{job}}/successfulresults", {"GET": ingest.successful}),
    _route(f"{_V}/jobs/ingest/{{job}}/failedresults", {"GET": ingest.failed}),
    _route(f"{_V}/jobs/ingest/{{job}}/unprocessedrecords", {"GET": ingest.unprocessed}),
    _route(f"{_V}/jobs/query", {"GET": query_jobs.list_jobs, "POST": query_jobs.create}),
    _route(f"{_V}/jobs/query/{{job}}", {"GET": query_jobs.show, "PATCH": query_jobs.abort, "DELETE": query_jobs.delete}),
    _route(f"{_V}/jobs/query/{{job}}/results", {"GET": query_jobs.results}),
    _route(f"{_V}/jobs/query/{{job}}/resultpages", {"GET": query_jobs.result_pages}),
    _route(f"{_V}/composite", {"GET": sequence.resources, "POST": sequence.perform}, since=sequence.SINCE),
    _route(f"{_V}/composite/batch", {"POST": batch.perform}, since=batch.SINCE),
    _route(f"{_V}/composite/graph", {"POST": graph.perform}, since=graph.SINCE),
    _route(f"{_V}/composite/tree/{{sobject}}", {"POST": tree.create}, since=tree.SINCE),
    _route(
        f"{_V}/composite/sobjects",
        {"POST": collections.create, "PATCH": collections.update, "DELETE": collections.delete},
        since=collections.SINCE,
    ),
    _route(
        f"{_V}/composite/sobjects/{{sobject}}",
        {"GET": collections.read, "POST": collections.read_many},
        since=collections.SINCE,
    ),
    _route(f"{_V}/composite/sobjects/{{sobject}}/{{key}}", {"PATCH": collections.upsert}, since=collections.UPSERT_SINCE),
    _route(f"{_V}/{{path:rest}}", dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), rest.nothing)),
)
ADMIN_ROUTES: tuple[Route, ...] = tuple(
    _route(f"/__emulator__/{path}", methods, is_open=True, limited=False) for path, methods in admin.RESOURCES.items()
)
