"""Diff mode: what was written is remembered, so that only what changed is sent again, and what is gone can be deleted."""
