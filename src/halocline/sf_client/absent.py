"""Absent: names of simple-salesforce's client that are no objects of an org, each with what does its work here."""

from __future__ import annotations

_OWN = "SfClient().client is a SalesforceClient"
_BESIDE = "use simple-salesforce beside it: Salesforce(session_id=sf.session_id, instance=sf.sf_instance)"
_SAME = "sf.bulk.Account.upsert(rows, 'Ext__c') is Bulk API 2.0 already, by collections where rows are few"
_RENEWED = f"sessions, headers and retries are its own: {_OWN}, and sf.restful calls any path"
_NAMES = {
    "bulk2": _SAME,
    "bulk2_url": _SAME,
    "bulk_url": _SAME,
    "mdapi": _BESIDE,
    "metadata_url": _BESIDE,
    "deploy": _BESIDE,
    "checkDeployStatus": _BESIDE,
    "oauth2": "the login does what it needs; sf.restful('/services/oauth2/userinfo') asks what it says",
    "oauth2_url": "sf.restful('/services/oauth2/userinfo') asks what the login says",
    "set_password": "sf.restful(f'sobjects/User/{user_id}/password', method='POST', json={'NewPassword': ...})",
    "setPassword": "sf.restful(f'sobjects/User/{user_id}/password', method='POST', json={'NewPassword': ...})",
    "session": _RENEWED,
    "headers": _RENEWED,
    "request": _RENEWED,
    "proxies": "HTTPS_PROXY and NO_PROXY of the environment are heeded",
    "auth_site": _RENEWED,
    "auth_type": _RENEWED,
    "domain": "sf.sf_instance is the host of the org",
    "apex_url": "sf.apexecute(action) calls Apex",
    "tooling_url": "sf.toolingexecute(action) calls the Tooling API",
    "api_usage": "sf.client.transport.usage, or sf.limits()['DailyApiRequests']",
    "parse_api_usage": "sf.client.transport.usage",
    "parse_result_to_json": "answers are parsed already",
    "parse_result_to_objects": "answers are parsed already",
}


def instead_of(name: str) -> str | None:
    """What is used in the place of such a name; None for a name that may be an object."""
    return _NAMES.get(name)
