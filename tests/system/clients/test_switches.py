"""The emulator's switches, each by its effect on a client that was not told of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from halocline.emulator.server import Emulator
from tests.system.clients.conftest import REFRESH_TOKEN, USER, token_of
from tests.system.clients.stage import ClientFailed, Stage

Stages = Callable[[str], Stage]
RunOrg = Callable[..., Emulator]
SOQL = "SELECT Id FROM Organization"


def told(org: Emulator) -> dict[str, str]:
    """simple-salesforce's login by a token."""
    return {"session_id": token_of(org), "instance_url": org.https_url}


def app_of(org: Emulator) -> dict[str, str]:
    """simple-salesforce's login by client credentials, with its domain trick."""
    address = org.https_url.removeprefix("https://")
    return {"consumer_key": org.config.consumer_key, "consumer_secret": org.config.consumer_secret, "domain": f"{address}/x"}


def renewable(org: Emulator) -> dict[str, Any]:
    """A connection of jsforce with an ended session and a refresh token."""
    oauth2 = {"clientId": org.config.consumer_key, "clientSecret": org.config.consumer_secret, "loginUrl": org.https_url}
    return {"oauth2": oauth2, "instanceUrl": org.https_url, "accessToken": "00D!old", "refreshToken": REFRESH_TOKEN}


def beside_the_proxy(org: Emulator) -> Stage:
    """A stage for jsforce, which goes through its environment's proxy to loopback addresses, too: that of the first org."""
    return Stage("jsforce", variables=org.environment())


def test_soap_login_can_be_off(stages: Stages, run_org: RunOrg) -> None:
    """As in new orgs: the vendor's words reach the user."""
    org = run_org(soap_login=False)
    login = {"username": USER.username, "password": USER.password, "security_token": USER.security_token}
    with pytest.raises(ClientFailed, match=r"INVALID_OPERATION.*SOAP API login\(\) is disabled by default in this org"):
        stages("simple-salesforce").play("logged_in", login={**login, "domain": app_of(org)["domain"]})


def test_the_password_flow_can_be_off(stages: Stages, run_org: RunOrg) -> None:
    """As in new orgs: `invalid_grant`, although the password is right."""
    org = run_org(password_flow=False)
    login = {"username": USER.username, "password": USER.password + USER.security_token}
    with pytest.raises(ClientFailed, match=r"invalid_grant.*authentication failure"):
        stages("simple-salesforce").play("logged_in", login={**login, **app_of(org)})


def test_sessions_can_end_after_some_requests(stages: Stages, run_org: RunOrg) -> None:
    """A long query outlives its session: the client logs in again and no row is lost."""
    org = run_org(expire_after=2, page_size=200)
    org.seed({"Account": 950})
    seen = stages("simple-salesforce").play("query_all", login=app_of(org), soql="SELECT Id FROM Account")
    assert len({row["Id"] for row in seen["records"]}) == 950
    assert org.calls.count("token") == 3


def test_refresh_tokens_can_rotate(run_org: RunOrg) -> None:
    """The client's fault: jsforce drops the new refresh token of a renewal, so that it can renew once only."""
    org = run_org(rotate_refresh_tokens=True)
    with closing(beside_the_proxy(org)) as stage:
        assert stage.play("renewed", connection=renewable(org))["rows"] == 1
        with pytest.raises(ClientFailed, match="expired access/refresh token"):
            stage.play("renewed", connection=renewable(org))


def test_usage_can_be_told_per_app(stages: Stages, run_org: RunOrg) -> None:
    """The longer form of Sforce-Limit-Info is read by both clients that read it at all."""
    org = run_org(limit_info="per-app")
    assert stages("simple-salesforce").play("usage", login=told(org))["total"] == 100_000
    login = {"username": USER.username, "password": USER.password + USER.security_token}
    with closing(beside_the_proxy(org)) as stage:
        seen = stage.play("logged_in", connection={"loginUrl": org.https_url}, **login)
    assert seen["usage"]["limit"] == 100_000


def test_usage_can_be_untold(stages: Stages, run_org: RunOrg) -> None:
    """Without the header simple-salesforce knows of no usage."""
    with pytest.raises(ClientFailed) as caught:
        stages("simple-salesforce").play("usage", login=told(run_org(limit_info="off")))
    assert caught.value.kind == "KeyError"


def test_bulk_texts_can_name_their_charset(stages: Stages, run_org: RunOrg) -> None:
    """With `charset=UTF-8` simple-salesforce reads result files as they are meant."""
    login = told(run_org(bulk_charset="UTF-8"))
    seen = stages("simple-salesforce").play(
        "bulk2", login=login, sobject="Account", operation="insert", records=[{"Name": "Müller"}]
    )
    assert "Müller" in seen["successful"]


@pytest.mark.parametrize(("api", "rows"), [("bulk", "data"), ("bulk2", "records")])
def test_hard_deletes_can_be_forbidden(stages: Stages, run_org: RunOrg, api: str, rows: str) -> None:
    """Without the right the job is not even made."""
    given = {"login": told(run_org(hard_delete=False)), rows: [{"Id": "001000000000000AAA"}]}
    with pytest.raises(ClientFailed, match=r"(?i)FeatureNotEnabled.*hardDelete operation requires special user"):
        stages("simple-salesforce").play(api, sobject="Account", operation="hard_delete", **given)


def test_slow_jobs_are_waited_for(stages: Stages, run_org: RunOrg) -> None:
    """A job that takes a while is asked about until it is done."""
    org = run_org(job_ms=150)
    stages("simple-salesforce").play("bulk2_query", login=told(org), sobject="Organization", soql=SOQL)
    assert org.calls.count("bulk.status") > 1


def test_uploads_can_be_bounded(stages: Stages, run_org: RunOrg) -> None:
    """An upload above the limit is refused, and the client aborts its job."""
    org = run_org(bulk_upload_bytes=200)
    records = [{"Name": "x" * 100} for _ in range(10)]
    with pytest.raises(ClientFailed):
        stages("simple-salesforce").play("bulk2", login=told(org), sobject="Account", operation="insert", records=records)
    assert org.store.read('SELECT count(*) FROM "Account"') == [(0,)]


def test_daily_requests_run_out(stages: Stages, run_org: RunOrg) -> None:
    """403 REQUEST_LIMIT_EXCEEDED becomes simple-salesforce's SalesforceRefusedRequest."""
    org = run_org(daily_api_requests=1)
    login = told(org)
    stages("simple-salesforce").play("query", login=login, soql=SOQL)
    with pytest.raises(ClientFailed, match=r"REQUEST_LIMIT_EXCEEDED") as caught:
        stages("simple-salesforce").play("query", login=login, soql=SOQL)
    assert caught.value.kind == "SalesforceRefusedRequest"
