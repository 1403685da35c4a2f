"""Objects: which ones of an org names and patterns stand for, and which cannot be read as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from halocline.connector import ObjectChoice
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.errors import FixConfig, NotFound
from halocline.mapping.near import near
from halocline.quantity import quantity

_DOING = "Choosing objects"
_WILD = frozenset("*?[")

# Objects that Salesforce only queries with a certain filter, and objects that their describe calls queryable but no query reads,
# as Airbyte's Salesforce connector and tap-salesforce list them (read November 2026). Neither list is complete: what else is
# refused, Salesforce says when it is asked.
NEEDS_FILTER = frozenset(
    {
        *("announcement", "apptabmember", "collaborationgrouprecord", "colordefinition", "contentdocumentlink"),
        *("contentfolderitem", "contentfoldermember", "datacloudaddress", "datastatistics", "entityparticle", "fielddefinition"),
        *("fieldhistoryarchive", "flexqueueitem", "flowvariableview", "flowversionview", "icondefinition", "ideacomment"),
        *("networkuserhistoryrecent", "ownerchangeoptioninfo", "picklistvalueinfo", "platformaction", "relationshipdomain"),
        *("relationshipinfo", "searchlayout", "sitedetail", "userentityaccess", "userfieldaccess", "vote"),
    }
)
NEVER_QUERIED = frozenset(
    {
        *("activityhistory", "aggregateresult", "attachedcontentdocument", "combinedattachment", "contentbody", "datatype"),
        *("emailstatus", "feedlike", "feedsignal", "feedtrackedchange", "folderedcontentdocument", "listviewchartinstance"),
        *("lookedupfromactivity", "name", "noteandattachment", "openactivity", "outgoingemail", "outgoingemailrelation"),
        *("ownedcontentdocument", "processinstancehistory", "userrecordaccess"),
    }
)


def choose(
    client: SalesforceClient, names: Sequence[str], *, exclude: Sequence[str] = (), everything: bool = False
) -> ObjectChoice:
    """The objects that `names` (patterns such as `Acc*` among them) stand for, or all of the org, less those of `exclude`.

    Names are matched in any case. An object that cannot be queried as a whole is left out where a pattern found it, with the
    reason; one that is named stays, and its own run says why it fails. Without patterns the org is not asked.
    Raises: NotFound for a pattern that no object matches; FixConfig when nothing is left.
    """
    asked = everything or any(_WILD & set(name) for name in names)
    listed = client.list_objects() if asked else []
    chosen: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for pattern in ("*", *names) if everything else names:
        for name, reason in _found(pattern, listed):
            if not any(fnmatchcase(name.lower(), other.lower()) for other in exclude):
                if reason:
                    left_out.setdefault(name, reason)
                else:
                    chosen.setdefault(name.lower(), name)
    if not chosen:
        hint = "Look at the patterns, and at what they leave out."
        raise FixConfig(_DOING, f"nothing is left to read ({quantity(len(left_out), 'object')} cannot be queried)", hint=hint)
    return ObjectChoice(tuple(chosen.values()), tuple(sorted(left_out.items())))


def refuse_unreadable(sobject: str, *, filtered: bool) -> None:
    """Hold a named object against what is known of objects that cannot be read.

    Raises: FixConfig.
    """
    doing = f"Describing {sobject}"
    if sobject.lower() in NEVER_QUERIED:
        raise FixConfig(doing, "Salesforce answers no query of this object by itself", hint="Leave it out.")
    if needs_filter(sobject) and not filtered:
        hint = "Give one with where (--where), as Salesforce's Object Reference says for this object."
        raise FixConfig(doing, "Salesforce queries this object only with a filter", hint=hint)


def needs_filter(sobject: str) -> bool:
    """Whether Salesforce is known to query this object only under a certain condition."""
    return sobject.lower() in NEEDS_FILTER


def _found(pattern: str, listed: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The objects that a name or pattern stands for, each with the reason to leave it out (or none).

    Raises: NotFound for a pattern that matches none.
    """
    if not _WILD & set(pattern):
        yield _spelled(pattern, listed), ""
        return
    matching = [one for one in listed if fnmatchcase(str(one["name"]).lower(), pattern.lower())]
    if not matching:
        known = [str(one["name"]) for one in listed]
        raise NotFound(_DOING, f"no object is like {pattern!r}", suggestions=near(pattern.strip("*?"), known))
    for one in matching:
        yield str(one["name"]), _reason(one)


def _spelled(name: str, listed: Iterable[Mapping[str, Any]]) -> str:
    return next((str(one["name"]) for one in listed if str(one["name"]).lower() == name.lower()), name)


def _reason(one: Mapping[str, Any]) -> str:
    name = str(one["name"]).lower()
    if not one.get("queryable", True):
        return "Salesforce does not let it be queried"
    if name in NEVER_QUERIED:
        return "Salesforce answers no query of it by itself"
    if name in NEEDS_FILTER:
        return "Salesforce queries it only with a filter"
    return "it is deprecated and hidden" if one.get("deprecatedAndHidden") else ""
