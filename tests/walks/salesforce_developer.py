"""A Salesforce developer with a CSV file: the first records in the org, and the row that was refused."""

from __future__ import annotations

from tests.walks.walk import Look, Part, Walk, main

_RECORDS = """
from halocline import SalesforceClient
for record in SalesforceClient.from_env().query("SELECT Ext__c, Name FROM Account WHERE Ext__c != null ORDER BY Ext__c"):
    print(record["Ext__c"], record["Name"])
print(open("refused.csv").read().count("REQUIRED_FIELD_MISSING"))
"""

WALK = Walk(
    "Salesforce developer",
    [
        Part(
            "csv-into-salesforce",
            "halocline push companies.csv --to Account --mode upsert --key Ext__c --map map.yaml --errors-to",
            Look(_RECORDS, ("A-1 Aab & Sons", "A-3 Estée, Elena", "1")),
        )
    ],
)

if __name__ == "__main__":
    main(WALK)
