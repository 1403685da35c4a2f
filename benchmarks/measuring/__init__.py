"""What a benchmark measures with: processes that are timed from outside, an org to read from, tables to compare."""
