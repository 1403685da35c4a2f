"""Walks: somebody new, a fresh clone, a fresh environment, and what the README leads to, typed as it stands, to the first result.

    make walks                                 # all of them, with their times
    python -m tests.walks.data_engineer        # one of them

Each script is a user of the README. `walk.py` types; the pages say what.
"""
