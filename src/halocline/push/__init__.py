"""The push: rows from anywhere into a system that takes them one by one and has no transaction, such as Salesforce."""
