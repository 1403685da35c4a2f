"""Connectors: one folder a system. They are loaded by `halocline.registry`, when they are used."""
