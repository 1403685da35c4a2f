"""The rows that every org has: the organization, its users and the standard price book."""

from __future__ import annotations

from collections.abc import Mapping

from halocline.emulator.ids import record_id
from halocline.emulator.names import unknown
from halocline.emulator.objects import Catalog, SObject
from halocline.emulator.store import Store

API_USERNAME = "api@halocline.example"
BORN = "2020-01-06T09:00:00.000Z"  # stamp of the rows that every org has: older than anything seeded
PROFILE_ID = record_id("00e", 0)  # the profile of every user; Profile itself is no object of the emulator

_ORGANIZATION = {
    "Name": "Halocline Demo",
    "OrganizationType": "Developer Edition",
    "InstanceName": "HAL1",
    "IsSandbox": False,
    "City": "Zürich",
    "Country": "Switzerland",
    "DefaultLocaleSidKey": "en_US",
    "LanguageLocaleKey": "en_US",
    "TimeZoneSidKey": "GMT",
    "FiscalYearStartMonth": 1,
    "UiSkin": "Theme3",
}
_USER = {
    "TimeZoneSidKey": "GMT",
    "LocaleSidKey": "en_US",
    "EmailEncodingKey": "UTF-8",
    "LanguageLocaleKey": "en_US",
    "ProfileId": PROFILE_ID,
    "UserType": "Standard",
    "IsActive": True,
}
# Username before the @, first name, last name, title. The first is whom an API client logs in as.
_PEOPLE = (
    (API_USERNAME.partition("@")[0], "Integration", "User", "API user"),
    ("admin", "Ada", "Brandt", "System Administrator"),
    ("noor", "Noor", "Haddad", "Account Executive"),
    ("kenji", "Kenji", "Nakamura", "Account Executive"),
    ("zofia", "Zofia", "Kowalska", "Sales Manager"),
    ("tomas", "Tomás", "García", "Support Engineer"),
    ("amara", "Amara", "Okafor", "Marketing"),
)


def ensure_org(store: Store) -> None:
    """Make sure that the organization, its users (with the API user, `API_USERNAME`) and the standard price book exist.

    Does nothing in an org that has them.
    """
    organization = known_object(store.catalog, "Organization")
    if store.count(organization):
        return
    users = known_object(store.catalog, "User")
    api_user = record_id(users.key_prefix, 0)
    for login, first, last, title in _PEOPLE:
        store.insert(users, _as_far_as(users, _person(login, first, last=last, title=title)), user_id=api_user, stamp=BORN)
    store.insert(organization, _as_far_as(organization, _ORGANIZATION), user_id=api_user, stamp=BORN)
    standard = {"Name": "Standard Price Book", "IsStandard": True, "IsActive": True}
    books = known_object(store.catalog, "Pricebook2")
    store.insert(books, _as_far_as(books, standard), user_id=api_user, stamp=BORN)


def known_object(catalog: Catalog, name: str) -> SObject:
    """The object of this name.
    Raises: ValueError for an unknown one, with the nearest name.
    """
    sobject = catalog.get(name)
    if sobject is None:
        raise unknown("sObject", name, known=[known.name for known in catalog])
    return sobject


def _as_far_as(sobject: SObject, values: Mapping[str, object]) -> dict[str, object]:
    """The values that the object has fields for; one that was imported may lack some of the packaged ones."""
    return {name: value for name, value in values.items() if sobject.field(name)}


def _person(login: str, first: str, *, last: str, title: str) -> dict[str, object]:
    address = f"{login}@halocline.example"
    names = {"FirstName": first, "LastName": last, "Title": title, "Alias": login[:8], "CommunityNickname": login}
    return {**_USER, **names, "Username": address, "Email": address}
