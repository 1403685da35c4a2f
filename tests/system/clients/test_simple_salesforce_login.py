"""simple-salesforce 1.12.10: every way in, as published, with no more than a proxy and a certificate authority."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from halocline.emulator.server import Emulator, EmulatorConfig
from tests.system.clients.conftest import USER, Play
from tests.system.clients.environments import ENVIRONMENTS, ROOT
from tests.system.clients.stage import ClientFailed

CLIENT = "simple-salesforce"
NAME = {"username": USER.username}
PASSWORD = {**NAME, "password": USER.password}
MY_DOMAIN = "judge.my"


@pytest.fixture
def app(org: Emulator) -> dict[str, str]:
    return {"consumer_key": org.config.consumer_key, "consumer_secret": org.config.consumer_secret}


def address(org: Emulator) -> str:
    return org.https_url.removeprefix("https://")


def test_a_password_with_its_token_comes_in_by_soap(org: Emulator, play: Play) -> None:
    """Username, password and security token: SOAP login on login.salesforce.com, whose name all later calls keep."""
    seen = play("logged_in", login={**PASSWORD, "security_token": USER.security_token})
    assert (seen["way"], seen["instance"], seen["rows"]) == ("password", "login.salesforce.com", 1)
    assert [call.path for call in org.calls] == ["/services/Soap/u/59.0", "/services/data/v59.0/query"]


def test_a_sandbox_is_another_host(org: Emulator, play: Play) -> None:
    """`domain='test'` keeps to test.salesforce.com."""
    seen = play("logged_in", login={**PASSWORD, "security_token": USER.security_token, "domain": "test"})
    assert seen["instance"] == "test.salesforce.com"


def test_the_domain_trick_reaches_any_address(org: Emulator, play: Play) -> None:
    """`domain='host:port/x'` asks for `/x.salesforce.com/services/...`: the segment is ignored, and the answer leads back."""
    seen = play("logged_in", login={**PASSWORD, "security_token": USER.security_token, "domain": f"{address(org)}/x"})
    assert (seen["instance"], seen["rows"]) == (address(org), 1)


def test_an_organization_id_comes_in_by_soap(org: Emulator, play: Play) -> None:
    """With an organization id in a LoginScopeHeader the password goes without a token, as from a trusted network."""
    login = {**PASSWORD, "password": USER.password + USER.security_token, "organizationId": org.org.org_id}
    assert play("logged_in", login=login)["way"] == "ipfilter"


def test_a_wrong_password_is_told_in_salesforces_words(org: Emulator, play: Play) -> None:
    """The fault's `sf:exceptionCode` and `sf:exceptionMessage` reach the user."""
    words = "Invalid username, password, security token; or user locked out"
    with pytest.raises(ClientFailed, match=f"INVALID_LOGIN.*{words}") as caught:
        play("logged_in", login={**PASSWORD, "security_token": "no"})
    assert caught.value.kind == "SalesforceAuthenticationFailed"
    assert [call.status for call in org.calls] == [500]


def test_soap_login_ends_with_version_65(play: Play) -> None:
    """The vendor took login() out of API version 65: the client is told so."""
    with pytest.raises(ClientFailed, match="INVALID_OPERATION"):
        play("logged_in", login={**PASSWORD, "security_token": USER.security_token, "version": "65.0"})


def test_a_password_with_a_consumer_key_comes_in_by_oauth(org: Emulator, play: Play, app: dict[str, str]) -> None:
    """Username, password and connected app: the password flow."""
    seen = play("logged_in", login={**PASSWORD, "password": USER.password + USER.security_token, **app})
    assert (seen["way"], seen["instance"], seen["rows"]) == ("password", "login.salesforce.com", 1)
    assert [call.kind for call in org.calls] == ["token", "query"]


def test_a_signed_assertion_comes_in(org: Emulator, play: Play, app: dict[str, str], private_key: str) -> None:
    """JWT bearer; its `exp` is text, which Salesforce takes."""
    login = {**NAME, "consumer_key": app["consumer_key"], "privatekey": private_key}
    assert (play("logged_in", login=login)["way"], org.calls.count("token")) == ("jwt-bearer", 1)
    assert play("who_am_i", login=login)["preferred_username"] == USER.username


def test_an_assertion_for_a_my_domain_comes_in_there(play: Play, app: dict[str, str], private_key: str) -> None:
    """JWT bearer with `instance_url`, which it takes for a My Domain's name."""
    login = {**NAME, "consumer_key": app["consumer_key"], "privatekey": private_key, "instance_url": MY_DOMAIN}
    assert play("logged_in", login=login)["instance"] == f"{MY_DOMAIN}.salesforce.com"


@pytest.mark.filterwarnings("ignore")
def test_an_assertion_for_a_stranger_is_refused(play: Play, app: dict[str, str], private_key: str) -> None:
    """A user whom the org does not know has not approved the app."""
    with pytest.raises(ClientFailed, match=r"invalid_grant.*user hasn't approved this consumer"):
        play("logged_in", login={"username": "x@example.com", "consumer_key": app["consumer_key"], "privatekey": private_key})


def test_an_app_comes_in_by_its_own_name(org: Emulator, play: Play, app: dict[str, str]) -> None:
    """Client credentials by HTTP Basic on the My Domain host."""
    seen = play("logged_in", login={**app, "domain": MY_DOMAIN})
    assert (seen["way"], seen["instance"], seen["rows"]) == ("client-credentials", f"{MY_DOMAIN}.salesforce.com", 1)
    assert org.calls.count("token") == 1


def test_an_app_with_a_wrong_secret_stays_outside(play: Play, app: dict[str, str]) -> None:
    """`invalid_client`, and the description, reach the user."""
    with pytest.raises(ClientFailed, match=r"invalid_client.*invalid client credentials"):
        play("logged_in", login={**app, "consumer_secret": "no", "domain": MY_DOMAIN})


def test_a_token_from_elsewhere_is_good(org: Emulator, play: Play, session_id: str) -> None:
    """`session_id` and `instance_url`, straight to the https door."""
    seen = play("logged_in", login={"session_id": session_id, "instance_url": org.https_url})
    assert (seen["way"], seen["instance"], seen["rows"]) == ("direct", address(org), 1)
    assert [call.kind for call in org.calls] == ["query"]


def test_an_unknown_token_is_an_expired_session(org: Emulator, play: Play) -> None:
    """401 INVALID_SESSION_ID becomes its SalesforceExpiredSession."""
    with pytest.raises(ClientFailed, match="INVALID_SESSION_ID") as caught:
        play("logged_in", login={"session_id": "00D!no", "instance_url": org.https_url})
    assert caught.value.kind == "SalesforceExpiredSession"


def test_an_ended_session_is_renewed_without_a_word(org: Emulator, play: Play, app: dict[str, str]) -> None:
    """It knows 401 INVALID_SESSION_ID and logs in again; the caller sees rows."""
    assert play("outlived_session", login={**app, "domain": MY_DOMAIN}) == {"is_new": True, "rows": 1}
    assert org.calls.count("token") == 2
    assert [call.status for call in org.calls.of("query")] == [401, 200]


def test_the_limit_header_is_understood(org: Emulator, play: Play, session_id: str) -> None:
    """`Sforce-Limit-Info: api-usage=1/100000`."""
    login = {"session_id": session_id, "instance_url": org.https_url}
    assert play("usage", login=login) == {"used": 1, "total": org.config.daily_api_requests}


# Runs a conftest.py of a page with the little of pytest that it takes: clients' environments have none.
FIXTURE = """
import json, os, sys, types
sys.modules["pytest"] = types.SimpleNamespace(fixture=lambda function: function)
page = {}
exec(compile(sys.argv[1], "conftest.py", "exec"), page)
here = types.SimpleNamespace(environment=lambda: json.loads(sys.argv[2]))
sf = page["sf"](here, types.SimpleNamespace(setenv=os.environ.__setitem__))
print(sf.query("SELECT Id FROM Account")["totalSize"])
"""


def test_the_fixture_of_the_page_leads_it_here() -> None:
    """docs/how-to/emulator-in-pytest.md: in a test's own process the client finds the org of the fixture."""
    page = (ROOT / "docs" / "how-to" / "emulator-in-pytest.md").read_text()
    (conftest,) = (code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "simple_salesforce" in code)
    with Emulator(EmulatorConfig(https=True, proxy=True)) as fresh:
        fresh.create("Account", {"Name": "Acme"})
        command = [ENVIRONMENTS[CLIENT].ready() / "bin" / "python", "-c", FIXTURE, conftest, json.dumps(fresh.environment())]
        clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and name != "PYTHONPATH"}
        done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
        assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
        assert [call.path for call in fresh.calls] == ["/services/Soap/u/59.0", "/services/data/v59.0/query"]
