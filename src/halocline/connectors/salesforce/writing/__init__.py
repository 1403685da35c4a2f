"""Writing a push's rows to Salesforce: staged in a durable folder, planned, sent chunk by chunk, taken up again after a death."""
