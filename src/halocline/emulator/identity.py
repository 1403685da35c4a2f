"""Who a token belongs to: the identity URL and OpenID Connect's userinfo.

Source: Salesforce Help, "Identity URLs" and "Query for User Information"; keys and order from recorded answers of real orgs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.emulator.auth import bearer, form, identity_url
from halocline.emulator.errors import not_found
from halocline.emulator.wire import Answer, Ask, json_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from halocline.emulator.sessions import Session

_BAD_TOKEN = Answer(403, b"Bad_OAuth_Token", "text/html;charset=UTF-8")
_REST = {
    "rest": "",
    "sobjects": "sobjects/",
    "search": "search/",
    "query": "query/",
    "recent": "recent/",
    "tooling_rest": "tooling/",
    "feeds": "chatter/feeds",
    "groups": "chatter/groups",
    "users": "chatter/users",
    "feed_items": "chatter/feed-items",
    "feed_elements": "chatter/feed-elements",
}
_SOAP = {"enterprise": "c", "metadata": "m", "partner": "u", "tooling_soap": "T"}


def userinfo(ask: Ask) -> Answer:
    """`/services/oauth2/userinfo`, in the shape of OpenID Connect."""
    session = _visitor(ask)
    if session is None:
        return _BAD_TOKEN
    user = ask.org.user(session.user_id)
    claims = {
        "sub": identity_url(ask, session.user_id),
        "user_id": session.user_id,
        "organization_id": ask.org.org_id,
        "preferred_username": user.get("Username"),
        "nickname": user.get("CommunityNickname") or user.get("Alias"),
        "name": user.get("Name"),
        "email": user.get("Email"),
        "email_verified": True,
        "given_name": user.get("FirstName"),
        "family_name": user.get("LastName"),
        "zoneinfo": user.get("TimeZoneSidKey") or "GMT",
        "photos": _photos(ask),
        "profile": f"{ask.base_url}/{session.user_id}",
        "picture": _photos(ask)["picture"],
        "address": {},
    }
    return json_answer(claims | _end(ask, user) | {"updated_at": user.get("LastModifiedDate")})


def identity(ask: Ask) -> Answer:
    """`/id/{organization}/{user}`: the identity URL of a token answer, in JSON only."""
    session = _visitor(ask)
    if session is None:
        return _BAD_TOKEN
    if ask.params["user"][:15] != session.user_id[:15] or ask.params["organization"][:15] != ask.org.org_id[:15]:
        raise not_found()
    user = ask.org.user(session.user_id)
    claims = {
        "id": identity_url(ask, session.user_id),
        "asserted_user": True,
        "user_id": session.user_id,
        "organization_id": ask.org.org_id,
        "username": user.get("Username"),
        "nick_name": user.get("CommunityNickname") or user.get("Alias"),
        "display_name": user.get("Name"),
        "email": user.get("Email"),
        "email_verified": True,
        "first_name": user.get("FirstName"),
        "last_name": user.get("LastName"),
        "timezone": user.get("TimeZoneSidKey") or "GMT",
        "photos": _photos(ask),
        **dict.fromkeys(("addr_street", "addr_city", "addr_state", "addr_country", "addr_zip", "mobile_phone")),
        "mobile_phone_verified": False,
        "is_lightning_login_user": False,
        "status": {"created_date": None, "body": None},
    }
    return json_answer(claims | _end(ask, user) | {"last_modified_date": user.get("LastModifiedDate")})


def _visitor(ask: Ask) -> Session | None:
    asked = form(ask)
    return ask.org.sessions.peek(bearer(ask) or asked.get("access_token") or asked.get("oauth_token"))


def _end(ask: Ask, user: Mapping[str, object]) -> dict[str, object]:
    """What both answers end with."""
    return {
        "urls": _urls(ask, str(user.get("Id"))),
        "active": user.get("IsActive", True),
        "user_type": "STANDARD",
        "language": user.get("LanguageLocaleKey") or "en_US",
        "locale": user.get("LocaleSidKey") or "en_US",
        "utcOffset": 0,
    }


def _urls(ask: Ask, user_id: str) -> dict[str, str]:
    """The APIs' addresses; `{version}` stays as it is unless the query names one, or `latest`."""
    asked = ask.query.get("version", "{version}")
    version = f"{ask.org.config.newest_version}.0" if asked == "latest" else asked
    base = ask.base_url
    soap = {name: f"{base}/services/Soap/{letter}/{version}/{ask.org.org_id[:15]}" for name, letter in _SOAP.items()}
    rest = {name: f"{base}/services/data/v{version}/{path}" for name, path in _REST.items()}
    return soap | rest | {"profile": f"{base}/{user_id}", "custom_domain": base}


def _photos(ask: Ask) -> dict[str, str]:
    return {"picture": f"{ask.base_url}/profilephoto/005/F", "thumbnail": f"{ask.base_url}/profilephoto/005/T"}
