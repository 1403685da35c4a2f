"""Rows of a source: counted, numbered from 0, and readable again."""
