"""SOAP's way to a session, and what it says about the user.

Source: SOAP API Developer Guide, login(), LoginResult, getUserInfo(), getServerTimestamp(), logout().
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.emulator.auth import active_user, matching_login
from halocline.emulator.clock import stamp
from halocline.emulator.errors import OAuthError
from halocline.emulator.soap.envelope import SoapFault

if TYPE_CHECKING:
    from halocline.emulator.soap.envelope import Message
    from halocline.emulator.wire import Ask

LAST_LOGIN = 64  # the last release with login(). Source: Salesforce Help, "SOAP API login() Retirement"
_LETTERS = {"partner": "u", "enterprise": "c"}


def login(ask: Ask, message: Message) -> list[object]:
    """A session for a name and a password with its security token; the addresses are on the host that the client used.

    Raises: SoapFault. Its words from release 65 on, and where login() is off, are as observed in forcedotcom/wsc#363 and
    OpenFn/adaptors#1715; the types of those two faults are unverified.
    """
    if message.release > LAST_LOGIN:
        raise _not_available(
            f"The SOAP Login operation is not available in the API version specified ({message.release}.0). "
            "Refer to the documentation for supported versions."
        )
    if not ask.org.config.soap_login:
        raise _not_available(
            "SOAP API login() is disabled by default in this org. Contact the org administrator to enable SOAP API login()."
        )
    user_id = _user(ask, message)
    session = ask.org.sessions.start(user_id, org_id=ask.org.org_id)
    address = f"{ask.base_url}/services/Soap/{{}}/{message.release}.0/{ask.org.org_id[:15]}"
    result = {
        "metadataServerUrl": address.format("m"),
        "passwordExpired": False,
        "sandbox": ask.org.is_sandbox,
        "serverUrl": address.format(_LETTERS[message.api]),
        "sessionId": session.token,
        "userId": user_id,
        "userInfo": _user_info(ask, user_id),
    }
    return [result]


def logout(ask: Ask, _message: Message) -> list[object]:
    """Ends the session that asks."""
    ask.org.sessions.end(ask.session.token if ask.session else "")
    return []


def user_info(ask: Ask, _message: Message) -> list[object]:
    """Who asks."""
    return [_user_info(ask, ask.user_id)]


def server_timestamp(ask: Ask, _message: Message) -> list[object]:
    """The org's time."""
    return [{"timestamp": stamp(ask.org.now())}]


def _user(ask: Ask, message: Message) -> str:
    found = matching_login(ask, username=message.text("username"), password=message.text("password"))
    try:
        if found is not None:
            return active_user(ask, found.username)
    except OAuthError:
        pass  # a user who was switched off is told what everybody is told
    text = "Invalid username, password, security token; or user locked out."
    raise SoapFault("INVALID_LOGIN", text, kind="LoginFault")


def _not_available(text: str) -> SoapFault:
    return SoapFault("INVALID_OPERATION", text, kind="LoginFault")


def _user_info(ask: Ask, user_id: str) -> dict[str, object]:
    user, organization = ask.org.user(user_id), ask.org.organization()
    return {
        "accessibilityMode": False,
        "chatterExternal": False,
        "currencySymbol": "$",
        "orgAttachmentFileSizeLimit": 5_242_880,
        "orgDefaultCurrencyIsoCode": "USD",
        "orgDefaultCurrencyLocale": "en_US",
        "orgDisallowHtmlAttachments": False,
        "orgHasPersonAccounts": False,
        "organizationId": ask.org.org_id,
        "organizationMultiCurrency": False,
        "organizationName": organization.get("Name"),
        "profileId": user.get("ProfileId"),
        "roleId": user.get("UserRoleId"),
        "sessionSecondsValid": int(ask.org.sessions.lasts_s),
        "userDefaultCurrencyIsoCode": None,
        "userEmail": user.get("Email"),
        "userFullName": user.get("Name"),
        "userId": user_id,
        "userLanguage": user.get("LanguageLocaleKey") or "en_US",
        "userLocale": user.get("LocaleSidKey") or "en_US",
        "userName": user.get("Username"),
        "userTimeZone": user.get("TimeZoneSidKey") or "GMT",
        "userType": "Standard",
        "userUiSkin": "Theme3",
    }
