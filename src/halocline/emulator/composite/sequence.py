"""`/composite`: a series of requests in one, each of which may use what the earlier ones answered.

Source: REST API Developer Guide, "Send Multiple Requests Using Composite", "Composite Request Body".
"""

from __future__ import annotations

import re

from halocline.emulator.composite import batch, collections, graph, tree
from halocline.emulator.composite.subrequests import Result, Subrequest, all_or_none, each_for_itself, refused, subrequests
from halocline.emulator.errors import ApiError
from halocline.emulator.members import Members
from halocline.emulator.wire import Answer, Ask, json_answer

# API version. Source: https://developer.salesforce.com/blogs/2017/01/simplify-your-api-code-with-new-composite-resources, whose
# requests name v38.0; that no earlier version has it is unverified.
SINCE = 38
MOST_REQUESTS = 25
MOST_QUERIES = 5  # and collections, together
_SUPPORTED = re.compile(
    r"/services/data/v[^/]+/(?:sobjects(?:/.*)?|query(?:all)?/?|composite/sobjects(?:/.*)?)\Z", re.IGNORECASE | re.DOTALL
)


def resources(ask: Ask) -> Answer:
    """`GET /composite`: the resources below. Source: "Get a List of Composite Resources"."""
    root = f"/services/data/v{ask.version}/composite"
    since = {"tree": tree.SINCE, "batch": batch.SINCE, "sobjects": collections.SINCE, "graph": graph.SINCE}
    return json_answer({name: f"{root}/{name}" for name, first in since.items() if float(ask.version) >= first})


def perform(ask: Ask) -> Answer:
    """`POST /composite`: 200 with an answer for every request, whatever became of it.

    Requests are done in the order in which they came, so `collateSubrequests` changes nothing here.
    """
    body = Members.of(ask.json(), ("allOrNone", "collateSubrequests"), required=("compositeRequest",))
    strictly, _ = body.flag("allOrNone"), body.flag("collateSubrequests")
    requests = subrequests(body.array("compositeRequest"), version=ask.version)
    over = _over_limit(requests)
    results = [over] if over else (all_or_none if strictly else each_for_itself)(ask, requests)
    return json_answer({"compositeResponse": [one.as_json() for one in results]})


def _over_limit(requests: list[Subrequest]) -> Result | None:
    """Source: the first message as quoted in guardian/support-service-lambdas#766; the second is unverified."""
    for one in requests:
        if not _SUPPORTED.match(one.url.partition("?")[0]):
            raise ApiError(400, "INVALID_INPUT", f"The resource is not supported in a composite request: {one.url}")
    if len(requests) > MOST_REQUESTS:
        message = f"The request can\u2019t contain more than {MOST_REQUESTS} operations."
        return refused("LIMIT_EXCEEDED", message)
    if sum(one.is_query or one.is_collection for one in requests) > MOST_QUERIES:
        message = f"The request can\u2019t contain more than {MOST_QUERIES} query and sObject Collections operations."
        return refused("LIMIT_EXCEEDED", message)
    return None
