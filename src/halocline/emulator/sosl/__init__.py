"""SOSL: search texts, parsed and matched."""
