"""Helpers for AWS and PostgreSQL: those of Halocline, under the names of this project."""

from halocline.compat.demand.utils import (
    get_db_connection,
    get_dynamo_table,
    get_secret,
    insert_data_and_validate,
    insert_data_into_table,
    parallel_scan_dynamo_table,
    scan_dynamo_table,
    setting,
)

__all__ = [
    "get_db_connection",
    "get_dynamo_table",
    "get_secret",
    "insert_data_and_validate",
    "insert_data_into_table",
    "parallel_scan_dynamo_table",
    "scan_dynamo_table",
    "setting",
]
