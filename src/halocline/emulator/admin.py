"""The admin door `/__emulator__/`: what a test or a demo does to the org behind the clients' backs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TypeVar, cast

from halocline.emulator.errors import ApiError
from halocline.emulator.seed import seed as seed_store
from halocline.emulator.wire import Answer, Ask, empty_answer, json_answer

_T = TypeVar("_T")


def list_calls(ask: Ask) -> Answer:
    """`GET calls?kind=`: the call log, oldest first."""
    kind = ask.query.get("kind")
    calls = [asdict(call) | {"started": call.started.isoformat()} for call in ask.org.calls if kind in (None, call.kind)]
    return json_answer({"calls": calls})


def clear_calls(ask: Ask) -> Answer:
    """`DELETE calls`."""
    ask.org.calls.clear()
    return empty_answer()


def show_clock(ask: Ask) -> Answer:
    """`GET clock`."""
    return json_answer({"now": ask.org.now().isoformat()})


def move_clock(ask: Ask) -> Answer:
    """`POST clock` with any of `{"freeze": "2026-01-01T00:00:00Z" or null, "advance_s": 60}`, in that order."""
    wanted = ask.json()
    if "freeze" in wanted:
        moment = wanted["freeze"]
        ask.org.clock.freeze(None if moment is None else _moment(moment))
    if "advance_s" in wanted:
        ask.org.clock.advance(_number(wanted["advance_s"]))
    return show_clock(ask)


def seed(ask: Ask) -> Answer:
    """`POST seed` with `{"counts": {"Account": 1000}, "number": 0, "years": 2.0}`."""
    wanted = ask.json()
    counts = cast("Mapping[str, int]", wanted.get("counts", {}))
    number, years = int(_number(wanted.get("number", 0))), _number(wanted.get("years", 2.0))
    made = _tried(lambda: seed_store(ask.org.store, counts, number=number, years=years))
    return json_answer({"counts": made})


def begin(ask: Ask) -> Answer:
    """`POST transactions`: writes with its id in `X-Emulator-Transaction` become visible at its commit."""
    return json_answer({"id": ask.org.store.begin()}, status=201)


def commit(ask: Ask) -> Answer:
    """`POST transactions/{id}/commit`."""
    _tried(lambda: ask.org.store.commit(ask.params["id"]))
    return empty_answer()


def rollback(ask: Ask) -> Answer:
    """`POST transactions/{id}/rollback`."""
    _tried(lambda: ask.org.store.rollback(ask.params["id"]))
    return empty_answer()


def expire_sessions(ask: Ask) -> Answer:
    """`DELETE sessions`: every access token is invalid from now on."""
    return json_answer({"expired": ask.org.sessions.end_all()})


def list_faults(ask: Ask) -> Answer:
    """`GET faults`."""
    return json_answer({"faults": [asdict(fault) for fault in ask.org.faults]})


def add_fault(ask: Ask) -> Answer:
    """`POST faults` with the fields of a fault, `action` among them."""
    wanted = ask.json()
    action = wanted.pop("action", None)
    rule_id = _tried(lambda: ask.org.faults.add(action, **wanted))  # type: ignore[arg-type]  # checked where it is parsed
    return json_answer({"id": rule_id}, status=201)


def clear_faults(ask: Ask) -> Answer:
    """`DELETE faults`."""
    ask.org.faults.clear()
    return empty_answer()


def remove_fault(ask: Ask) -> Answer:
    """`DELETE faults/{id}`."""
    ask.org.faults.remove(ask.params["id"])
    return empty_answer()


def list_permissions(ask: Ask) -> Answer:
    """`GET permissions`: what the API user cannot see."""
    return json_answer({"hidden": sorted(ask.org.hidden)})


def hide(ask: Ask) -> Answer:
    """`POST permissions` with `{"hide": ["Lead", "Account.Rating"]}`: for the API user these no longer exist."""
    ask.org.hide(cast("list[str]", ask.json().get("hide", [])))
    return list_permissions(ask)


def show_all(ask: Ask) -> Answer:
    """`DELETE permissions`: the API user sees everything again."""
    ask.org.show()
    return empty_answer()


def undelete(ask: Ask) -> Answer:
    """`POST records/{sobject}/{id}/undelete`: out of the recycle bin, which REST cannot do."""
    sobject = ask.org.sobject(ask.params["sobject"])
    _tried(lambda: ask.org.store.undelete(sobject, ask.params["id"], user_id=ask.org.api_user_id))
    return empty_answer()


def purge(ask: Ask) -> Answer:
    """`POST records/{sobject}/{id}/purge`: the record vanishes without a trace but in `deleted`."""
    sobject = ask.org.sobject(ask.params["sobject"])
    _tried(lambda: ask.org.store.purge(sobject, ask.params["id"]))
    return empty_answer()


def show_limits(ask: Ask) -> Answer:
    """`GET limits`: the counters, without counting this request."""
    return json_answer(ask.org.limits.answer())


def set_limits(ask: Ask) -> Answer:
    """`POST limits` with `{"DailyApiRequests": 100}`: changes the allowance, not what is used."""
    for name, value in ask.json().items():
        ask.org.limits.set_max(name, int(_number(value)))
    return show_limits(ask)


def reset_limits(ask: Ask) -> Answer:
    """`DELETE limits`: nothing is used any more."""
    ask.org.limits.reset()
    return empty_answer()


RESOURCES: dict[str, dict[str, Callable[[Ask], Answer]]] = {
    "calls": {"GET": list_calls, "DELETE": clear_calls},
    "clock": {"GET": show_clock, "POST": move_clock},
    "seed": {"POST": seed},
    "transactions": {"POST": begin},
    "transactions/{id}/commit": {"POST": commit},
    "transactions/{id}/rollback": {"POST": rollback},
    "sessions": {"DELETE": expire_sessions},
    "faults": {"GET": list_faults, "POST": add_fault, "DELETE": clear_faults},
    "faults/{id}": {"DELETE": remove_fault},
    "permissions": {"GET": list_permissions, "POST": hide, "DELETE": show_all},
    "records/{sobject}/{id}/undelete": {"POST": undelete},
    "records/{sobject}/{id}/purge": {"POST": purge},
    "limits": {"GET": show_limits, "POST": set_limits, "DELETE": reset_limits},
}


def _moment(value: object) -> datetime:
    moment = _tried(lambda: datetime.fromisoformat(str(value)))
    if moment.tzinfo is None:
        raise _bad(f"{value} has no time zone")
    return moment


def _number(value: object) -> float:
    return _tried(lambda: float(str(value)))


def _bad(message: str) -> ApiError:
    return ApiError(400, "EMULATOR_ADMIN", message)


def _tried(work: Callable[[], _T]) -> _T:
    """The result of the work; a value that it refuses becomes an answer with the reason."""
    try:
        return work()
    except (KeyError, ValueError, TypeError) as reason:
        raise _bad(f"{type(reason).__name__}: {reason}") from reason
