"""A data engineer with Snowflake (here fakesnow): the first table in the warehouse."""

from __future__ import annotations

from tests.walks.walk import Look, Part, Walk, main

_COUNT = """
import os
from urllib.parse import urlsplit
import snowflake.connector
place = urlsplit(os.environ["WAREHOUSE"])
options = dict(one.split("=") for one in place.query.split("&"))
with snowflake.connector.connect(
    user="etl", password="any", account="fake", database="LAKE", host=options["host"], port=int(options["port"]), protocol="http"
) as connection:
    print(connection.cursor().execute('SELECT COUNT(*), COUNT(DISTINCT "Id") FROM LAKE."raw"."Account"').fetchall())
"""

WALK = Walk(
    "Data engineer",
    [Part("salesforce-to-snowflake", "halocline sync Account", Look(_COUNT, ("[(1200, 1200)]",)), block="fakesnow_server.py")],
)

if __name__ == "__main__":
    main(WALK)
