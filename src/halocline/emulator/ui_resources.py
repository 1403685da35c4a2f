"""Resources about pages that an org without a user interface answers with nothing in them, in Salesforce's shapes."""

from __future__ import annotations

from halocline.emulator.wire import Answer, Ask, json_answer


def list_views(ask: Ask) -> Answer:
    """`GET /sobjects/X/listviews`: none are kept. Source: REST API Developer Guide, "List Views"."""
    sobject = ask.org.sobject(ask.params["sobject"])
    answer = {"done": True, "listviews": [], "nextRecordsUrl": None, "size": 0, "sobjectType": sobject.name}
    return json_answer(answer)


def nothing_listed(_ask: Ask) -> Answer:
    """`GET /recent`, `GET /tabs`: nobody has looked at a record here, and there are no tabs.
    Source: REST API Developer Guide, "Recently Viewed Items", "Tabs".
    """
    return json_answer([])


def theme(_ask: Ask) -> Answer:
    """`GET /theme`: no icons. Source: REST API Developer Guide, "Themes"."""
    return json_answer({"themeItems": []})
