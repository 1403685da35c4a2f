"""Who carries out what the flight orders: threads, event loops, one call at a time."""
