"""The admin door `/__emulator__/`: what a test or a demo does to the org behind the clients' backs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, TypeVar

from halocline.emulator.apps import ConnectedApp
from halocline.emulator.errors import ApiError, not_found, not_open
from halocline.emulator.names import check_settings
from halocline.emulator.wire import Answer, Ask, empty_answer, json_answer
from halocline.emulator.writing import Writer

_T = TypeVar("_T")


def list_calls(ask: Ask) -> Answer:
    """`GET calls?kind=`: the call log, oldest first; a kind may be a pattern such as `record.*`."""
    kind = ask.query.get("kind", "*")
    found = _tried(lambda: ask.org.calls.of(kind))
    return json_answer({"calls": [asdict(call) | {"started": call.started.isoformat()} for call in found]})


def clear_calls(ask: Ask) -> Answer:
    """`DELETE calls`."""
    ask.org.calls.clear()
    return empty_answer()


def show_clock(ask: Ask) -> Answer:
    """`GET clock`."""
    return json_answer({"now": ask.org.now().isoformat()})


def move_clock(ask: Ask) -> Answer:
    """`POST clock` with any of `{"freeze": "2026-01-01T00:00:00Z" or null, "advance_s": 60}`, in that order."""
    wanted = _settings(ask, "clock", "freeze", "advance_s")
    if "freeze" in wanted:
        moment = wanted["freeze"]
        frozen = None if moment is None else _moment(moment)
        _tried(lambda: ask.org.clock.freeze(frozen))
    if "advance_s" in wanted:
        seconds = _number(wanted["advance_s"])
        _tried(lambda: ask.org.clock.advance(seconds))
    return show_clock(ask)


def seed(ask: Ask) -> Answer:
    """`POST seed` with `{"counts": {"Account": 1000}, "number": 0, "years": 2.0}`."""
    from halocline.emulator.seed import seed as seed_store  # pyarrow is only wanted on the bulk paths

    wanted = _settings(ask, "seed", "counts", "number", "years")
    counts = _counts(wanted.get("counts", {}))
    number, years = _count(wanted.get("number", 0)), _number(wanted.get("years", 2.0))
    made = _tried(lambda: seed_store(ask.org.store, counts, number=number, years=years))
    return json_answer({"counts": made})


def begin(ask: Ask) -> Answer:
    """`POST transactions`: what writes with its id in `X-Emulator-Transaction` do is seen by others at its commit.

    Requests with that header see it at once. A value of a unique field is taken for others from then on.
    """
    return json_answer({"id": ask.org.store.begin()}, status=201)


def commit(ask: Ask) -> Answer:
    """`POST transactions/{id}/commit`."""
    _end(ask, ask.org.store.commit)
    return empty_answer()


def rollback(ask: Ask) -> Answer:
    """`POST transactions/{id}/rollback`."""
    _end(ask, ask.org.store.rollback)
    return empty_answer()


def expire_sessions(ask: Ask) -> Answer:
    """`DELETE sessions`: every access token is invalid from now on."""
    return json_answer({"expired": ask.org.sessions.end_all()})


def show_doors(ask: Ask) -> Answer:
    """`GET doors`: where the emulator can be reached, and the login of the default app."""
    if ask.org.addresses is None:
        raise not_found()
    return json_answer(ask.org.addresses.as_json())


def list_apps(ask: Ask) -> Answer:
    """`GET apps`: the connected apps, without their secrets."""
    return json_answer({"apps": [asdict(app) | {"consumer_secret": None} for app in ask.org.apps]})


def put_app(ask: Ask) -> Answer:
    """`POST apps` with the fields of a connected app, `consumer_key` among them; what is not named stays as it is.

    `{"consumer_key": ..., "certificates": ["-----BEGIN CERTIFICATE-----..."]}` registers a certificate for the JWT flow.
    """
    wanted = {name: tuple(value) if isinstance(value, list) else value for name, value in ask.json().items()}
    known = ask.org.apps.get(wanted.get("consumer_key"))
    _tried(lambda: ask.org.apps.put(ConnectedApp(**wanted) if known is None else replace(known, **wanted)))  # type: ignore[arg-type]
    return list_apps(ask)


def list_faults(ask: Ask) -> Answer:
    """`GET faults`: the rules in force, how many requests each has `seen`, and how many it `struck`."""
    rules = [asdict(fault) | ask.org.faults.counters(fault.id) for fault in ask.org.faults]
    return json_answer({"faults": rules})


def add_fault(ask: Ask) -> Answer:
    """`POST faults` with the fields of a fault, `action` among them, or with `{"rule": "lock: path=/sobjects/Account nth=3"}`."""
    wanted = ask.json()
    if "rule" in wanted:
        _tried(lambda: check_settings("a fault written as a rule", wanted, known=("rule",)))
        rule_id = _tried(lambda: ask.org.faults.add_text(str(wanted["rule"])))
    else:
        action = wanted.pop("action", None)
        rule_id = _tried(lambda: ask.org.faults.add(action, **wanted))  # type: ignore[arg-type]  # checked where it is parsed
    return json_answer({"id": rule_id}, status=201)


def clear_faults(ask: Ask) -> Answer:
    """`DELETE faults`."""
    ask.org.faults.clear()
    return empty_answer()


def release_fault(ask: Ask) -> Answer:
    """`POST faults/{id}/release`: stuck jobs and late commits of the rule go on; it stays in force."""
    ask.org.faults.release(ask.params["id"])
    return empty_answer()


def remove_fault(ask: Ask) -> Answer:
    """`DELETE faults/{id}`: what the rule held back goes on."""
    ask.org.faults.remove(ask.params["id"])
    return empty_answer()


def list_permissions(ask: Ask) -> Answer:
    """`GET permissions`: what the API user cannot see."""
    return json_answer({"hidden": sorted(ask.org.hidden)})


def hide(ask: Ask) -> Answer:
    """`POST permissions` with `{"hide": ["Lead", "Account.Rating"]}`: for the API user these no longer exist."""
    names = _settings(ask, "permissions", "hide").get("hide", [])
    if not isinstance(names, list):
        raise _bad("hide is a list of names")
    _tried(lambda: ask.org.hide(names))
    return list_permissions(ask)


def show_all(ask: Ask) -> Answer:
    """`DELETE permissions`: the API user sees everything again."""
    ask.org.show()
    return empty_answer()


def undelete(ask: Ask) -> Answer:
    """`POST records/{sobject}/{id}/undelete`: out of the recycle bin, as SOAP does it and REST cannot."""
    sobject, record_id = ask.org.sobject(ask.params["sobject"]), ask.params["id"]
    live = ask.org.store.presence(sobject, record_id)
    if live is None:
        raise _bad(f"there is no {sobject.name} {record_id}, not in the recycle bin either")
    if not live:
        Writer(ask.org, ask.org.api_user_id).undelete(sobject, record_id)
    return empty_answer()


def purge(ask: Ask) -> Answer:
    """`POST records/{sobject}/{id}/purge`: the record vanishes without a trace but in `deleted`."""
    sobject = ask.org.sobject(ask.params["sobject"])
    _tried(lambda: ask.org.store.purge(sobject, ask.params["id"]))
    return empty_answer()


def empty_recycle_bin(ask: Ask) -> Answer:
    """`DELETE recyclebin`: everything in it vanishes, as `purge` does."""
    return json_answer({"purged": ask.org.store.empty_bin()})


def list_locks(ask: Ask) -> Answer:
    """`GET locks`: the locked records, and until when; null means until released."""
    held = ask.org.locks.held()
    return json_answer({"locks": {key: None if until is None else until.isoformat() for key, until in held.items()}})


def lock(ask: Ask) -> Answer:
    """`POST locks` with `{"id": "001...", "seconds": 5}`: writes on the record or its details answer UNABLE_TO_LOCK_ROW.

    Without `seconds`, until the lock is deleted.
    """
    wanted = _settings(ask, "locks", "id", "seconds")
    seconds = None if wanted.get("seconds") is None else _number(wanted["seconds"])
    _tried(lambda: ask.org.locks.lock(str(wanted.get("id")), seconds=seconds))
    return list_locks(ask)


def unlock(ask: Ask) -> Answer:
    """`DELETE locks/{id}`."""
    _tried(lambda: ask.org.locks.release(ask.params["id"]))
    return empty_answer()


def unlock_all(ask: Ask) -> Answer:
    """`DELETE locks`."""
    ask.org.locks.release_all()
    return empty_answer()


def list_jobs(ask: Ask) -> Answer:
    """`GET jobs`: the Bulk 2.0 jobs, and whether jobs are held."""
    return json_answer({"held": ask.org.jobs.held, "jobs": [job.full_info() for job in ask.org.jobs.all()]})


def forget_jobs(ask: Ask) -> Answer:
    """`DELETE jobs`: no Bulk 2.0 job has ever been, none is held or doomed."""
    ask.org.jobs.clear()
    return empty_answer()


def hold_jobs(ask: Ask) -> Answer:
    """`POST jobs/hold`: Bulk jobs stand still before their next batch until they are released."""
    ask.org.jobs.hold()
    ask.org.bulk1.hold()
    return empty_answer()


def release_jobs(ask: Ask) -> Answer:
    """`POST jobs/release`."""
    ask.org.jobs.release()
    ask.org.bulk1.release()
    return empty_answer()


def doom_job(ask: Ask) -> Answer:
    """`POST jobs/doom` with `{"state": "Failed", "message": "...", "job": null, "after_batches": 0}`: a Bulk 2.0 job ends so.

    It is the job of that id, or else the next to work; `state` may be `Aborted` too.
    """
    wanted = _settings(ask, "jobs/doom", "state", "message", "job", "after_batches")
    state, message, after = wanted.get("state", "Failed"), wanted.get("message", ""), _count(wanted.get("after_batches", 0))
    job_id = None if wanted.get("job") is None else str(wanted["job"])
    _tried(lambda: ask.org.jobs.doom(str(state), str(message), job_id=job_id, after_batches=after))
    return empty_answer()


def doom_batch(ask: Ask) -> Answer:
    """`POST batches/doom` with `{"state": "Failed", "message": "..."}`: so ends the next Bulk 1.0 batch; with Aborted its job."""
    wanted = _settings(ask, "batches/doom", "state", "message")
    _tried(lambda: ask.org.bulk1.doom(str(wanted.get("state", "Failed")), str(wanted.get("message", ""))))
    return empty_answer()


def show_limits(ask: Ask) -> Answer:
    """`GET limits`: the counters, without counting this request."""
    return json_answer(ask.org.limits.answer())


def set_limits(ask: Ask) -> Answer:
    """`POST limits` with `{"DailyApiRequests": 100}`: changes the allowance, not what is used."""
    wanted = {name: _count(value) for name, value in ask.json().items()}
    _tried(lambda: ask.org.limits.set_all(wanted))
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
    "doors": {"GET": show_doors},
    "apps": {"GET": list_apps, "POST": put_app},
    "faults": {"GET": list_faults, "POST": add_fault, "DELETE": clear_faults},
    "faults/{id}": {"DELETE": remove_fault},
    "faults/{id}/release": {"POST": release_fault},
    "permissions": {"GET": list_permissions, "POST": hide, "DELETE": show_all},
    "records/{sobject}/{id}/undelete": {"POST": undelete},
    "records/{sobject}/{id}/purge": {"POST": purge},
    "recyclebin": {"DELETE": empty_recycle_bin},
    "locks": {"GET": list_locks, "POST": lock, "DELETE": unlock_all},
    "locks/{id}": {"DELETE": unlock},
    "jobs": {"GET": list_jobs, "DELETE": forget_jobs},
    "jobs/hold": {"POST": hold_jobs},
    "jobs/release": {"POST": release_jobs},
    "jobs/doom": {"POST": doom_job},
    "batches/doom": {"POST": doom_batch},
    "limits": {"GET": show_limits, "POST": set_limits, "DELETE": reset_limits},
}


def _settings(ask: Ask, what: str, *known: str) -> dict[str, Any]:
    """The body of a request, which may only name what is known."""
    wanted = ask.json()
    _tried(lambda: check_settings(what, wanted, known=known))
    return wanted


def _moment(value: object) -> datetime:
    moment = _tried(lambda: datetime.fromisoformat(str(value)))
    if moment.tzinfo is None:
        raise _bad(f"{value} has no time zone")
    return moment


def _number(value: object) -> float:
    return _tried(lambda: float(str(value)))


def _counts(value: object) -> dict[str, int]:
    if not isinstance(value, Mapping) or not all(type(count) is int and count >= 0 for count in value.values()):
        raise _bad("counts are whole numbers by the name of an object")
    return dict(value)


def _count(value: object) -> int:
    number = _number(value)
    if number % 1:
        raise _bad(f"{value} is no whole number")
    return _tried(lambda: int(number))


def _end(ask: Ask, how: Callable[[str], None]) -> None:
    """Raises: ApiError for a transaction that is not open."""
    try:
        how(ask.params["id"])
    except KeyError as reason:
        raise not_open(ask.params["id"]) from reason


def _bad(message: str) -> ApiError:
    return ApiError(400, "EMULATOR_ADMIN", message)


def _tried(work: Callable[[], _T]) -> _T:
    """The result of the work; a value that it refuses becomes an answer with the reason."""
    try:
        return work()
    except (KeyError, ValueError, TypeError, OverflowError) as reason:
        raise _bad(f"{type(reason).__name__}: {reason}") from reason
