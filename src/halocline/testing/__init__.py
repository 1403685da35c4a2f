"""Suites that every implementation of a contract must pass. They need pytest to run, and nothing but the package to import."""
