"""A program that delivers events of files in processes that it forks, each of which may be made to die at any of its operations.

Orders are lines of JSON on standard input: which `route` takes care of the file, `where` it landed, the `home`, the `url` and
`keys` of the org, and `die`: the `kinds` of operations whose moments are counted and the one `at` which the process ends by
SIGKILL (0: none). Each is answered by a line: how the process ended, and where it was not killed the moments that it saw and
(with `marks`) what a death at each would have left.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import botocore.httpsession
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from halocline import registry
from halocline.config import Settings
from halocline.connectors.salesforce.auth import ClientCredentialsAuthenticator
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.filejob.journal import StepBook
from halocline.landed import Landed
from halocline.ledger import open_ledger
from halocline.retry import Policy
from halocline.testing.faults import Operations, Seam, When, watching_files, watching_ledger
from tests.system.fault_seams import watching_requests
from tests.system.file_world import QUICK, carried, job_of
from tests.system.forks import fork, learn
from tests.system.told_apart import Marking, counting


def _lost(when: When) -> Exception:
    kind = EndpointConnectionError if when is When.BEFORE else ConnectionClosedError
    return kind(endpoint_url="the bucket", error="connection reset by peer")


def _close_answer(_session: object, _request: object, answer: Any) -> None:
    if answer is not None:
        answer.raw.close()


S3 = Seam(
    "s3",
    _lost,
    spoil=_close_answer,
    name=lambda _, request: f"S3 {request.method} {request.url.partition('?')[0].rpartition('/')[2]}",
)
STEP = Seam("step", lambda _: OSError("a step failed"), name=lambda _, step, act: f"step {step}")
NETWORK = ("request", "response", "s3")


@contextmanager
def watching_job(operations: Operations) -> Iterator[None]:
    """Count all that a file job does: its steps, its requests to both sides, its books, its files."""
    with ExitStack() as stack:
        stack.enter_context(operations.watching(StepBook, "once", seam=STEP))
        stack.enter_context(operations.watching(botocore.httpsession.URLLib3Session, "send", seam=S3))
        for watch in (watching_requests, watching_files, watching_ledger):
            stack.enter_context(watch(operations))
        stack.enter_context(operations)
        yield


def prepare() -> None:
    """Make once what every process makes anew and what is of no interest here: boto3's models, the authorities to trust."""
    registry.open_buckets()
    trusted = ssl.create_default_context()
    ssl.create_default_context = lambda *_, **__: trusted


def live(order: dict[str, Any]) -> dict[str, list[str]]:
    """Deliver the event; the moments that were counted, and the modules that it took."""
    home, where = Path(order["home"]), Landed(**order["where"])
    operations = counting(order["die"], home)
    login = ClientCredentialsAuthenticator(*order["keys"], login_url=order["url"])
    with ExitStack() as stack:
        client = stack.enter_context(SalesforceClient(login, pace=QUICK, retry=Policy(attempts=4)))
        buckets, ledger = registry.open_buckets(), stack.enter_context(open_ledger(home / "ledger.sqlite"))
        if order["die"]["kinds"]:
            stack.enter_context(watching_job(operations))
        settings = Settings(home, home / "spool")
        job = job_of(where.bucket, route=order["route"])
        carried(order["route"], job, where, client=client, buckets=buckets, ledger=ledger, settings=settings)
    marks = operations.marks if isinstance(operations, Marking) else []
    return {"moments": [f"{moment.kind} {moment}" for moment in operations.seen], "marks": marks, "modules": [*sys.modules]}


def born(work: Callable[[], dict[str, list[str]]]) -> tuple[int, dict[str, list[str]]]:
    """How a process that did the work ended, and what it answered."""
    read, write = os.pipe()
    pid = fork()
    if not pid:
        try:
            os.close(read)
            with os.fdopen(write, "w") as answer:
                json.dump(work(), answer)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing of the parent may run in the child
            traceback.print_exc()
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as answer:
        told = answer.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, json.loads(told) if code == 0 else {}


def main() -> None:
    """Carry out orders until there are no more."""
    prepare()
    for line in sys.stdin:
        order = json.loads(line)
        code, told = born(lambda order=order: live(order))  # type: ignore[misc]  # mypy has no type for such a lambda
        learn(told.get("modules", ()))
        print(json.dumps({"ended": code, "moments": told.get("moments", []), "marks": told.get("marks", [])}), flush=True)


if __name__ == "__main__":
    main()
