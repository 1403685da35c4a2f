"""Builders: what becomes of an item of each table. A function that raises rejects its item, with the reason."""
