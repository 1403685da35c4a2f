"""The way in to Bulk API 1.0: its own session header, and its own words for every refusal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from halocline.emulator.bulk1 import batch_resources, job_resources
from halocline.emulator.bulk1.packing import unpacked
from halocline.emulator.bulk1.refusals import SESSION_HEADER, refusal
from halocline.emulator.dispatch import EVERY_METHOD, check_version
from halocline.emulator.errors import ApiError, method_not_allowed
from halocline.emulator.wire import Answer, Ask

if TYPE_CHECKING:
    from halocline.emulator.org import EmulatorConfig

logger = logging.getLogger(__name__)

Worker = Callable[[Ask], Answer]
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ROOT = "/services/async/{release}"


def _entered(methods: Mapping[str, Worker]) -> Mapping[str, Worker]:
    """The resource's workers behind this door, for every method: those that it has not are refused in this API's shape."""

    def enter(ask: Ask) -> Answer:
        try:
            return _work(ask, methods)
        except ApiError as error:
            return refusal(ask, error)
        except Exception:
            logger.exception("a Bulk API request broke the emulator")  # the client gets Salesforce's words
            return refusal(ask, ApiError(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred."))

    return dict.fromkeys((*_METHODS, EVERY_METHOD), enter)


def _work(ask: Ask, methods: Mapping[str, Worker]) -> Answer:
    version = ask.params["release"]
    _check_version(version, ask.org.config)
    session = ask.org.sessions.use(ask.headers.get(SESSION_HEADER))
    ask.org.limits.spend_request()
    worker = methods.get("GET" if ask.method == "HEAD" else ask.method)
    if worker is None:
        raise method_not_allowed(ask.method, methods)
    return worker(replace(unpacked(ask), session=session, params={**ask.params, "version": version}))


def _check_version(version: str, config: EmulatorConfig) -> None:
    """Raises: ApiError InvalidVersion for a retired one, InvalidUrl for one that never was; the latter's words as observed."""
    try:
        check_version(version, config)
    except ApiError as error:
        if error.status == 404:
            raise ApiError(400, "InvalidUrl", f"unknown version: {version}") from error
        raise


def _nothing(ask: Ask) -> Answer:
    raise ApiError(400, "InvalidUrl", f"Invalid URL: {ask.path}")  # words unverified


_JOB = f"{_ROOT}/job/{{job}}"
_BATCH = f"{_JOB}/batch/{{batch}}"
METHODS: Mapping[str, Mapping[str, Worker]] = {
    f"{_ROOT}/job": {"POST": job_resources.create},
    _JOB: {"GET": job_resources.show, "POST": job_resources.change},
    f"{_JOB}/batch": {"GET": batch_resources.list_all, "POST": batch_resources.add},
    _BATCH: {"GET": batch_resources.show},
    f"{_BATCH}/request": {"GET": batch_resources.request},
    f"{_BATCH}/result": {"GET": batch_resources.result},
    f"{_BATCH}/result/{{result}}": {"GET": batch_resources.query_result},
    f"{_ROOT}/{{path:rest}}": {"GET": _nothing, "POST": _nothing},
}
RESOURCES: Mapping[str, Mapping[str, Worker]] = {path: _entered(methods) for path, methods in METHODS.items()}
