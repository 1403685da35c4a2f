"""A GET in the body of another call, where its address is longer than a URI may be: a composite batch of one request.

Source: Salesforce Help, "Maximum number of rows returned by SOQL queries over the REST API" (000386264), which names this way out
of HTTP 431; REST API Developer Guide, "Composite Batch", "Batch Request Body" and "Batch Response Body". Read November 2026.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from halocline.connectors.salesforce.errors import refusal
from halocline.errors import NetworkFailed

if TYPE_CHECKING:
    from halocline.connectors.salesforce.transport import Reply, Transport

_BATCH = "composite/batch"


def ask(
    transport: Transport,
    path: str,
    *names: str,
    params: Mapping[str, str],
    headers: Mapping[str, str],
    doing: str,
    parse_float: Callable[[str], object] = float,
) -> dict[str, Any]:
    """What `path` (below the version) answers to a GET: a JSON object that has these names.

    Raises: as `Transport.send`: a refusal inside the batch is one like another, repeated where that helps.
    """
    address = f"v{transport.version}/{path}?{urlencode(params, quote_via=quote, safe='')}"
    requests = {"batchRequests": [{"method": "GET", "url": address}]}
    check = partial(_checked, names=names, host=urlsplit(transport.session.instance_url).netloc)
    reply = transport.send("POST", _BATCH, json=requests, headers=headers, doing=doing, check=check)
    answer: dict[str, Any] = reply.json(parse_float=parse_float)["results"][0]["result"]
    return answer


def _checked(reply: Reply, *, names: tuple[str, ...], host: str) -> Reply:
    """The answer to the batch, once that to its one request was accepted."""
    results = reply.object("results")["results"]
    only = results[0] if isinstance(results, list) and len(results) == 1 else None
    status, result = (only.get("statusCode"), only.get("result")) if isinstance(only, dict) else (None, None)
    if isinstance(status, int) and status != 200:
        content = json.dumps(result).encode()
        raise refusal(reply.doing, status, headers=reply.headers, content=content, host=host, secrets=reply.secrets)
    if status != 200 or not isinstance(result, dict) or not all(name in result for name in names):
        cause = f"expected one answer with {', '.join(names)} in a batch, and got another"
        hint = "Run it again; if it stays so, the answers are being changed on their way here."
        raise NetworkFailed(reply.doing, cause, hint=hint, status=reply.status, in_doubt=True)
    return reply
