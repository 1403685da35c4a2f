"""Bulk API 1.0 under `/services/async`: jobs made of batches, in CSV, XML or JSON."""
