"""Bulk API 2.0: query jobs and ingest jobs. `jobs` keeps them, `query_jobs` and `ingest` are their resources."""
