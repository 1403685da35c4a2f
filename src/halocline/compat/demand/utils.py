"""What the document calls `utils`: tables of DynamoDB as lists, a connection to PostgreSQL, and lists as tables."""

from halocline.compat.demand.database import get_db_connection, get_secret, insert_data_and_validate, insert_data_into_table
from halocline.compat.demand.rows import Rows, rows_of
from halocline.compat.demand.settings import setting
from halocline.compat.demand.tables import DynamoTable, get_dynamo_table, parallel_scan_dynamo_table, scan_dynamo_table

__all__ = [
    "DynamoTable",
    "Rows",
    "get_db_connection",
    "get_dynamo_table",
    "get_secret",
    "insert_data_and_validate",
    "insert_data_into_table",
    "parallel_scan_dynamo_table",
    "rows_of",
    "scan_dynamo_table",
    "setting",
]
