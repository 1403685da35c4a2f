"""Many requests or records in one: collections, composite, batch, graph and tree."""
