"""Words of others - dlt, Sling, LHT, Data Loader, our own Python - for what halocline.yaml has a key of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

_INCREMENTAL = "A sync is incremental by itself: `full: true` reads everything each time, `history: true` keeps every version."
_STAMPED = "A sync reads what is newer than its position by the object's own stamp; there is nothing to say."
_REPLACE = "Without more a table is replaced: say `mode: replace` of it, or leave mode out."
_BY_CURSOR = "Say `mode: merge` of a table, with its key, and its cursor."
_KEY, _CURSOR, _FULL = ("key", "diff_key"), ("cursor",), ("full",)

_OURS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("primary_key", "merge_key", "unique_key", "match_field", "external_id_field", "external_id"), _KEY),
    **dict.fromkeys(("update_key", "incremental_key", "replication_key", "cursor_field", "cursor_path"), _CURSOR),
    **dict.fromkeys(("full_refresh", "full_load", "full_sync", "force_full_sync", "force_full"), _FULL),
    **dict.fromkeys(("write_disposition", "operation", "load_mode"), ("mode",)),
    **dict.fromkeys(("where_clause", "where", "filter", "condition"), ("where", "filter")),
    **dict.fromkeys(("lookback_s", "lookback_window", "lag", "lookback", "overlap_s", "overlap"), ("lookback", "overlap")),
    **dict.fromkeys(("sql", "query", "soql", "custom_sql"), ("soql", "query")),
    **dict.fromkeys(("select", "columns", "fields"), ("fields", "columns")),
    **dict.fromkeys(
        ("stream", "streams", "resource", "resources", "object", "objects", "sobject", "sobjects"), ("objects", "object")
    ),
    **dict.fromkeys(("source", "source_conn", "src_conn"), ("from",)),
    **dict.fromkeys(("target", "destination", "sink", "target_conn", "tgt_conn"), ("to",)),
    **dict.fromkeys(("target_table", "table_name"), ("table", "to")),
    **dict.fromkeys(("dataset", "dataset_name", "target_schema"), ("schema",)),
    **dict.fromkeys(("mapper", "map", "field_mapping", "field_map"), ("mapping",)),
    **dict.fromkeys(("scd2", "scd_type_2"), ("history",)),
    **dict.fromkeys(("wait_s", "lock_timeout"), ("wait",)),
    **dict.fromkeys(("dlq", "dead_letter_queue"), ("dead_letters",)),
    **dict.fromkeys(("threads", "concurrency", "max_workers"), ("parallel", "workers", "segments")),
    **dict.fromkeys(("pipelines", "replications", "tasks", "jobs"), ("flows",)),
    **dict.fromkeys(("sources", "targets", "destinations", "credentials"), ("connections",)),
}
"""Their word -> our keys, of which the first counts that is known at its place."""

_WITHOUT_A_KEY: Mapping[str, Mapping[str, str]] = {
    "sync": {
        **dict.fromkeys(("mode", "write_disposition", "load_mode", "incremental"), _INCREMENTAL),
        **dict.fromkeys(("cursor", "update_key", "incremental_key", "replication_key", "cursor_field", "cursor_path"), _STAMPED),
    },
    "tables": {**dict.fromkeys(("full", "full_refresh", "full_load", "full_sync"), _REPLACE), "incremental": _BY_CURSOR},
}
"""Their word -> what to do about it in a flow of that kind, where no one key says the same."""


def ours(word: str, known: Collection[str], *, kind: str = "", inner: Collection[str] = ()) -> str | None:
    """What to write for a word of others where these keys are known, and below them the `inner` ones; None for any other word.

    `kind` is that of the flow.
    """
    said = _plain(word)
    keys = next((keys for other, keys in _OURS.items() if _plain(other) == said), (word,))
    if there := next((key for key in keys if key in known), None):
        return f"Here it is called {there}."
    if there := next((key for key in keys if key in inner), None):
        return f"It is said of each table: `tables: [{{from: ..., {there}: ...}}]`."
    return next((told for other, told in _WITHOUT_A_KEY.get(kind, {}).items() if _plain(other) == said), None)


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
