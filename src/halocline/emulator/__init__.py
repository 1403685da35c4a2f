"""A Salesforce on your laptop: an emulator that real, unmodified clients accept.

It imports nothing else of Halocline, so that a misreading of Salesforce cannot pass on both sides.
"""
